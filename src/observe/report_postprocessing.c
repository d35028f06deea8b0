/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is made of the model's outputs, out of evaluation.json: the recalibration, with scores of
 * test rows before and after, and conformal sets, with their coverage. Numbers in the file are not
 * trusted, lists are bounded.
 */
#include <math.h>
#include <string.h>

#include "observe/html.h"
#include "observe/report.h"

enum { METRICS_MAX = 16, SILOS_MAX = 1000 };

static const json_t *recalibration_of(const json_t *evaluation) {
    return json_object_get(json_object_get(evaluation, "postprocessing"), "recalibration");
}

/* "slope 0.713, intercept -0.454". */
static void write_found(FILE *out, const json_t *found) {
    const double slope = gr_json_real(found, "slope");
    const double intercept = gr_json_real(found, "intercept");
    const double temperature = gr_json_real(found, "temperature");
    const size_t steps = json_array_size(json_object_get(found, "steps"));
    if (isfinite(temperature))
        fprintf(out, "temperature %.4g", temperature);
    else if (isfinite(slope) && isfinite(intercept))
        fprintf(out, "slope %.4g, intercept %.4g", slope, intercept);
    else
        fprintf(out, "%zu steps", steps);
}

static void write_number(FILE *page, const json_t *metric) {
    const double value = gr_json_real(metric, "value");
    fputs("<td>", page);
    if (isfinite(value))
        fprintf(page, "%.4f", value);
    else
        gr_html_not_defined(page, gr_json_text(metric, "why"));
    fputs("</td>", page);
}

static void write_rows(FILE *page, const json_t *test) {
    json_t *before = json_object_get(test, "before"), *metric;
    const char *key;
    size_t n = 0;
    json_object_foreach(before, key, metric) {
        char name[80];
        if (n++ == METRICS_MAX) break;
        gr_report_metric_name(key, name);
        fputs("<tr><th scope=\"row\">", page);
        gr_html_text(page, name);
        fputs("</th>", page);
        write_number(page, metric);
        write_number(page, json_object_get(json_object_get(test, "after"), key));
        fputs("</tr>\n", page);
    }
}

static void write_recalibration(FILE *page, const json_t *evaluation) {
    const json_t *found = recalibration_of(evaluation), *test = json_object_get(found, "test");
    const char *method = gr_json_text(found, "method"), *why = gr_json_text(found, "why");
    if (!found) return;
    fputs("<div class=\"card scroll\"><h3>Recalibration</h3>\n<table class=\"facts\"><caption>",
          page);
    gr_html_text(page, method ? method : "");
    fputs(", found on validation rows: ", page);
    if (why)
        fputs("nothing. ", page);
    else
        write_found(page, found);
    if (!why) why = gr_json_text(test, "why");
    if (why) gr_html_text(page, why);
    fputs("</caption>", page);
    if (json_is_object(json_object_get(test, "before"))) {
        fputs("<thead><tr><th scope=\"col\">of test rows</th><th scope=\"col\">before</th>"
              "<th scope=\"col\">after</th></tr></thead>\n<tbody>\n",
              page);
        write_rows(page, test);
        fputs("</tbody>", page);
    }
    fputs("</table></div>\n", page);
}

static const json_t *conformal_of(const json_t *evaluation) {
    return json_object_get(json_object_get(evaluation, "postprocessing"), "conformal");
}

/* "classes of a probability from 0.0312 on". */
static void write_bound(FILE *out, const json_t *found) {
    const double least = gr_json_real(found, "least_probability");
    const double half = gr_json_real(found, "half_width");
    if (isfinite(half))
        fprintf(out, "the prediction and %.4g to either side", half);
    else
        fprintf(out, "classes of a probability from %.4g on", least);
}

static void write_share(FILE *page, const char *name, double value, int digits) {
    if (!isfinite(value)) return;
    fprintf(page, "<tr><th scope=\"row\">%s</th><td>%.*f</td></tr>\n", name, digits, value);
}

static void write_coverage(FILE *page, const json_t *found) {
    const json_t *test = json_object_get(found, "test"), *silos = json_object_get(found, "silos");
    const char *why = gr_json_text(test, "why");
    fputs("<tbody>\n", page);
    if (why) {
        fputs("<tr><th scope=\"row\">coverage of test rows</th><td>", page);
        gr_html_not_defined(page, why);
        fputs("</td></tr>\n", page);
    }
    write_share(page, "coverage of test rows", gr_json_real(test, "coverage"), 4);
    write_share(page, "classes in a set, on average", gr_json_real(test, "mean_size"), 2);
    write_share(page, "sets without any", gr_json_real(test, "empty"), 4);
    for (size_t i = 0; i < json_array_size(silos) && i < SILOS_MAX; i++) {
        const char *name = gr_json_text(json_array_get(silos, i), "silo");
        char words[64];
        gr_text_quote(name ? name : "", name ? strnlen(name, 32) : 0, words, sizeof words);
        fputs("<tr><th scope=\"row\">coverage of ", page);
        gr_html_text(page, words);
        fprintf(page, " (%llu rows)</th>",
                (unsigned long long)gr_json_count(json_array_get(silos, i), "rows"));
        const double coverage = gr_json_real(json_array_get(silos, i), "coverage");
        if (isfinite(coverage))
            fprintf(page, "<td>%.4f</td></tr>\n", coverage);
        else
            fputs("<td>too few rows</td></tr>\n", page);
    }
    fputs("</tbody>", page);
}

static void write_conformal(FILE *page, const json_t *evaluation) {
    const json_t *found = conformal_of(evaluation);
    const char *why = gr_json_text(found, "why");
    if (!found) return;
    fprintf(page,
            "<div class=\"card scroll\"><h3>Conformal prediction</h3>\n<table class=\"facts\">"
            "<caption>To hold the answer with a probability of %.4g, found on validation rows: ",
            1 - gr_json_real(found, "alpha"));
    if (why)
        gr_html_text(page, why);
    else
        write_bound(page, found);
    fputs("</caption>", page);
    if (!why) write_coverage(page, found);
    fputs("</table></div>\n", page);
}

void gr_report_postprocessing(FILE *page, const json_t *evaluation) {
    write_recalibration(page, evaluation);
    write_conformal(page, evaluation);
}

static void card_conformal(FILE *card, const json_t *evaluation) {
    const json_t *found = conformal_of(evaluation), *test = json_object_get(found, "test");
    const double coverage = gr_json_real(test, "coverage");
    if (!found) return;
    if (gr_json_text(found, "why")) {
        fputs("The model was to have conformal sets, and has none: see `evaluation.json`.\n\n",
              card);
        return;
    }
    fprintf(card,
            "Conformal prediction, to hold the answer with a probability of %.4g over rows "
            "like the validation rows: ",
            1 - gr_json_real(found, "alpha"));
    write_bound(card, found);
    if (isfinite(coverage)) fprintf(card, ". Of test rows %.4g were held", coverage);
    fputs(".\n\n", card);
}

static void card_recalibration(FILE *card, const json_t *evaluation) {
    const json_t *found = recalibration_of(evaluation), *test = json_object_get(found, "test");
    const char *const names[] = {"log_loss", "brier", "calibration_slope", "calibration_intercept",
                                 "observed_expected"};
    if (!found) return;
    if (gr_json_text(found, "why")) {
        fputs("The model was to be recalibrated, and is not: see `evaluation.json`.\n\n", card);
        return;
    }
    fputs("Its probabilities are recalibrated, by what was found on validation rows (", card);
    write_found(card, found);
    fputs("); the metrics above are of probabilities as they were before.", card);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const double before =
            gr_json_real(json_object_get(json_object_get(test, "before"), names[i]), "value");
        const double after =
            gr_json_real(json_object_get(json_object_get(test, "after"), names[i]), "value");
        char name[80];
        if (!isfinite(before) || !isfinite(after)) continue;
        gr_report_metric_name(names[i], name);
        fprintf(card, " %s: %.4g before, %.4g after.", name, before, after);
    }
    fputs("\n\n", card);
}

void gr_card_postprocessing(FILE *card, const json_t *evaluation) {
    card_recalibration(card, evaluation);
    card_conformal(card, evaluation);
}
