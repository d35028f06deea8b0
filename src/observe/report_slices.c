/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scores by slices and fairness, out of evaluation.json, for the report and the model card. Numbers
 * and names in the file are not trusted: lists are bounded, text is escaped.
 */
#include <math.h>
#include <string.h>

#include "observe/html.h"
#include "observe/report.h"

#include <granary/slices.h>

enum { SLICINGS_SHOWN = GR_SLICINGS_MAX, GROUPS_SHOWN = GR_SLICE_GROUPS_MAX };

/* Columns of the table of groups; only those that the model has are shown. */
static const struct {
    const char *key, *title;
} columns[] = {{"accuracy", "accuracy"},
               {"base_rate", "base rate"},
               {"selection_rate", "taken for 1"},
               {"sensitivity", "sensitivity"},
               {"specificity", "specificity"},
               {"positive_predictive_value", "PPV"},
               {"auc", "AUC"},
               {"brier", "Brier"},
               {"observed_expected", "O / E"},
               {"mae", "MAE"},
               {"rmse", "RMSE"}};
enum { COLUMNS = sizeof columns / sizeof *columns };

static const char *const measures[][2] = {{"demographic_parity", "Demographic parity"},
                                          {"equal_opportunity", "Equal opportunity"},
                                          {"equalized_odds", "Equalised odds"},
                                          {"predictive_parity", "Predictive parity"},
                                          {"disparate_impact", "Disparate impact"}};
enum { MEASURES = sizeof measures / sizeof *measures };

/* The metrics of the first group that has some. */
static const json_t *first_metrics(const json_t *groups) {
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const json_t *metrics = json_object_get(json_array_get(groups, i), "metrics");
        if (metrics) return metrics;
    }
    return NULL;
}

/* ---- the report ----------------------------------------------------------------------------- */

static void write_value(FILE *page, const json_t *metric) {
    const double value = gr_json_real(metric, "value");
    fputs("<td>", page);
    if (isfinite(value))
        fprintf(page, "%.3f", value);
    else
        gr_html_not_defined(page, gr_json_text(metric, "why"));
    fputs("</td>", page);
}

static void write_group(FILE *page, const json_t *group, const json_t *shown) {
    const json_t *metrics = json_object_get(group, "metrics");
    const char *withheld = gr_json_text(group, "withheld");
    size_t n = 0;
    fputs("<tr><th scope=\"row\">", page);
    gr_html_text(page, gr_json_text(group, "group"));
    fputs("</th><td>", page);
    if (!withheld) gr_html_count(page, gr_json_count(group, "rows"));
    fputs("</td>", page);
    for (size_t i = 0; i < COLUMNS; i++)
        n += json_object_get(shown, columns[i].key) != NULL;
    if (withheld) {
        fprintf(page, "<td colspan=\"%zu\">withheld: ", n > 0 ? n : 1);
        gr_html_text(page, withheld);
        fputs("</td>", page);
    }
    for (size_t i = 0; i < COLUMNS && !withheld; i++)
        if (json_object_get(shown, columns[i].key))
            write_value(page, json_object_get(metrics, columns[i].key));
    fputs("</tr>\n", page);
}

static void write_groups(FILE *page, const json_t *slicing) {
    const json_t *groups = json_object_get(slicing, "groups"), *shown = first_metrics(groups);
    fputs("<table class=\"facts\"><thead><tr><th scope=\"col\">group</th><th scope=\"col\">rows"
          "</th>",
          page);
    for (size_t i = 0; i < COLUMNS; i++)
        if (json_object_get(shown, columns[i].key))
            fprintf(page, "<th scope=\"col\">%s</th>", columns[i].title);
    fputs("</tr></thead>\n<tbody>\n", page);
    for (size_t i = 0; i < json_array_size(groups) && i < GROUPS_SHOWN; i++)
        write_group(page, json_array_get(groups, i), shown);
    fputs("</tbody></table>\n", page);
}

/* "0.12 (0.02 to 0.21; m, f)". */
static void write_fairness_value(FILE *page, const json_t *value) {
    const json_t *interval = json_object_get(value, "interval");
    const double of = gr_json_real(value, "value"), lower = gr_json_real(interval, "lower"),
                 upper = gr_json_real(interval, "upper");
    fputs("<td>", page);
    if (!value) {
        fputs("</td>", page);
        return;
    }
    if (!isfinite(of)) {
        gr_html_not_defined(page, gr_json_text(value, "why"));
        if (gr_json_text(value, "group")) {
            fputs(" (", page);
            gr_html_text(page, gr_json_text(value, "group"));
            fputc(')', page);
        }
    } else {
        fprintf(page, "%.3f", of);
        if (isfinite(lower) && isfinite(upper)) fprintf(page, " (%.3f to %.3f)", lower, upper);
        fputs("<br>", page);
        gr_html_text(page, gr_json_text(value, "lowest"));
        fputs(" | ", page);
        gr_html_text(page, gr_json_text(value, "highest"));
    }
    fputs("</td>", page);
}

static bool has_measures(const json_t *fairness) {
    for (size_t i = 0; i < MEASURES; i++)
        if (json_object_get(fairness, measures[i][0])) return true;
    return false;
}

static void write_fairness(FILE *page, const json_t *fairness) {
    if (!has_measures(fairness)) return;
    fputs("<table class=\"facts\"><caption>Fairness between groups: of the shares the highest less "
          "the lowest, and the lowest by the highest, with an interval of 95 %; below them the "
          "groups with the lowest and the highest.</caption><thead><tr><th scope=\"col\">measure"
          "</th><th scope=\"col\">difference</th><th scope=\"col\">ratio</th></tr></thead>\n"
          "<tbody>\n",
          page);
    for (size_t i = 0; i < MEASURES; i++) {
        const json_t *measure = json_object_get(fairness, measures[i][0]);
        if (!measure) continue;
        fprintf(page, "<tr><th scope=\"row\">%s</th>", measures[i][1]);
        write_fairness_value(page, json_object_get(measure, "difference"));
        write_fairness_value(page, json_object_get(measure, "ratio"));
        fputs("</tr>\n", page);
    }
    fputs("</tbody></table>\n", page);
}

/* Which slice, and which silo, is worst by each metric. */
static void write_worst(FILE *page, const json_t *evaluation) {
    json_t *slices = json_object_get(json_object_get(evaluation, "slices"), "worst");
    json_t *silos = json_object_get(evaluation, "worst_silo");
    if (json_object_size(slices) == 0) return;
    fputs("<div class=\"card scroll\"><h3>Where the model is worst</h3>\n<table class=\"facts\">"
          "<thead><tr><th scope=\"col\">metric</th><th scope=\"col\">slice</th><th scope=\"col\">"
          "value</th><th scope=\"col\">silo</th><th scope=\"col\">value</th></tr></thead>\n"
          "<tbody>\n",
          page);
    for (int i = 0; i < GR_SLICE_FIGURES; i++) {
        const char *key = gr_slice_figure_name((enum gr_slice_figure)i);
        const json_t *slice = json_object_get(slices, key), *silo = json_object_get(silos, key);
        char name[80];
        if (!slice && !silo) continue;
        gr_report_metric_name(key, name);
        fputs("<tr><th scope=\"row\">", page);
        gr_html_text(page, name);
        fputs("</th><td>", page);
        if (slice) gr_html_text(page, gr_json_text(slice, "group"));
        fputs("</td>", page);
        if (slice)
            write_value(page, slice);
        else
            fputs("<td></td>", page);
        fputs("<td>", page);
        if (silo) gr_html_text(page, gr_json_text(silo, "silo"));
        fputs("</td>", page);
        if (silo)
            write_value(page, silo);
        else
            fputs("<td></td>", page);
        fputs("</tr>\n", page);
    }
    fputs("</tbody></table></div>\n", page);
}

void gr_report_slices(FILE *page, const json_t *evaluation) {
    const json_t *slices = json_object_get(evaluation, "slices");
    const json_t *list = json_object_get(slices, "slicings");
    const char *why = gr_json_text(slices, "why");
    if (!slices) return;
    fputs("<h2>Scores by slices</h2>\n", page);
    if (why) {
        fputs("<p class=\"muted\">Not told: ", page);
        gr_html_text(page, why);
        fputs(".</p>\n", page);
    }
    for (size_t i = 0; i < json_array_size(list) && i < SLICINGS_SHOWN; i++) {
        const json_t *slicing = json_array_get(list, i);
        fputs("<div class=\"card scroll\"><h3>", page);
        gr_html_text(page, gr_json_text(slicing, "slicing"));
        fputs("</h3>\n", page);
        write_groups(page, slicing);
        write_fairness(page, json_object_get(slicing, "fairness"));
        fputs("</div>\n", page);
    }
    write_worst(page, evaluation);
}

/* ---- the card ------------------------------------------------------------------------------- */

static void write_card_value(FILE *card, const json_t *value) {
    const double of = gr_json_real(value, "value");
    const char *why = gr_json_text(value, "why");
    if (isfinite(of))
        fprintf(card, "%.3g", of);
    else if (why) {
        fputs("not told: ", card);
        gr_card_text(card, why);
    }
    fputs(" | ", card);
}

static void write_card_slicing(FILE *card, const json_t *slicing) {
    const json_t *groups = json_object_get(slicing, "groups"), *shown = first_metrics(groups);
    const json_t *fairness = json_object_get(slicing, "fairness");
    fputs("### By ", card);
    gr_card_text(card, gr_json_text(slicing, "slicing"));
    fputs("\n\n| group | rows |", card);
    for (size_t k = 0; k < COLUMNS; k++)
        if (json_object_get(shown, columns[k].key)) fprintf(card, " %s |", columns[k].title);
    fputs("\n|---|---|", card);
    for (size_t k = 0; k < COLUMNS; k++)
        if (json_object_get(shown, columns[k].key)) fputs("---|", card);
    fputc('\n', card);
    for (size_t i = 0; i < json_array_size(groups) && i < GROUPS_SHOWN; i++) {
        const json_t *group = json_array_get(groups, i), *metrics;
        metrics = json_object_get(group, "metrics");
        fputs("| ", card);
        gr_card_text(card, gr_json_text(group, "group"));
        if (gr_json_text(group, "withheld"))
            fputs(" | withheld | ", card);
        else
            fprintf(card, " | %llu | ", (unsigned long long)gr_json_count(group, "rows"));
        for (size_t k = 0; k < COLUMNS; k++)
            if (json_object_get(shown, columns[k].key))
                write_card_value(card, json_object_get(metrics, columns[k].key));
        fputc('\n', card);
    }
    fputc('\n', card);
    if (!has_measures(fairness)) return;
    fputs("| fairness | difference | ratio |\n|---|---|---|\n", card);
    for (size_t i = 0; i < MEASURES; i++) {
        const json_t *measure = json_object_get(fairness, measures[i][0]);
        if (!measure) continue;
        fprintf(card, "| %s | ", measures[i][1]);
        write_card_value(card, json_object_get(measure, "difference"));
        write_card_value(card, json_object_get(measure, "ratio"));
        fputc('\n', card);
    }
    fputc('\n', card);
}

void gr_card_slices(FILE *card, const json_t *evaluation) {
    const json_t *slices = json_object_get(evaluation, "slices");
    const json_t *list = json_object_get(slices, "slicings");
    const char *why = gr_json_text(slices, "why");
    if (!slices) return;
    fputs("## Slices and fairness\n\n", card);
    if (why) {
        fputs("Not told: ", card);
        gr_card_text(card, why);
        fputs(".\n\n", card);
    } else {
        fprintf(card,
                "Groups of fewer rows than %llu are withheld, with others from which they would "
                "follow.\n\n",
                (unsigned long long)gr_json_count(slices, "least_rows"));
    }
    for (size_t i = 0; i < json_array_size(list) && i < SLICINGS_SHOWN; i++)
        write_card_slicing(card, json_array_get(list, i));
}
