/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intervals of a bootstrap, out of evaluation.json, for the report and the model card. Numbers and
 * names in the file are not trusted: a metric that the table does not have is passed over.
 */
#include <math.h>
#include <string.h>

#include "observe/html.h"
#include "observe/report.h"

enum { SILOS_ENOUGH = 20 };

/* False: it is not told. */
static bool read_interval(const json_t *metric, double *lower, double *upper, double *deviation) {
    *lower = gr_json_real(metric, "lower");
    *upper = gr_json_real(metric, "upper");
    *deviation = gr_json_real(metric, "standard_deviation");
    return isfinite(*lower) && isfinite(*upper) && isfinite(*deviation);
}

/* "500 replicates, in each of which .."; few silos make a narrow interval. */
static void write_basis(FILE *page, const json_t *bootstrap) {
    const uint64_t replicates = gr_json_count(bootstrap, "replicates");
    const uint64_t silos = gr_json_count(bootstrap, "silos");
    fprintf(page,
            "Between these ends lie the middle 95 %% of %llu replicates, in each of which %s as "
            "often as a Poisson number says",
            (unsigned long long)replicates,
            silos > 0 ? "a silo counts with all its rows" : "a row counts");
    if (silos > 0) fprintf(page, " (drawn: %llu silos)", (unsigned long long)silos);
    if (silos > 0 && silos < SILOS_ENOUGH)
        fputs(". They are few: such intervals are too narrow", page);
    fputc('.', page);
}

static void write_row(FILE *page, const char *key, const json_t *metric) {
    double lower, upper, deviation;
    char name[80];
    if (gr_metric_find(key) == gr_metric_count ||
        !read_interval(metric, &lower, &upper, &deviation))
        return;
    gr_report_metric_name(key, name);
    fputs("<tr><th scope=\"row\">", page);
    gr_html_text(page, name);
    fprintf(page, "</th><td>%.4f to %.4f</td><td>%.2g</td></tr>\n", lower, upper, deviation);
}

void gr_report_intervals(FILE *page, const json_t *evaluation) {
    const json_t *bootstrap = json_object_get(evaluation, "bootstrap");
    json_t *metrics = json_object_get(bootstrap, "metrics"), *metric;
    const char *key;
    if (json_object_size(metrics) == 0) return;
    fputs("<div class=\"card scroll\"><h3>Intervals</h3>\n<table class=\"facts\"><caption>", page);
    write_basis(page, bootstrap);
    fputs("</caption><thead><tr><th scope=\"col\">metric</th><th scope=\"col\">95 % interval</th>"
          "<th scope=\"col\">standard deviation</th></tr></thead>\n<tbody>\n",
          page);
    json_object_foreach(metrics, key, metric) {
        write_row(page, key, metric);
    }
    fputs("</tbody></table></div>\n", page);
}

void gr_card_intervals(FILE *card, const json_t *evaluation) {
    const json_t *bootstrap = json_object_get(evaluation, "bootstrap");
    json_t *metrics = json_object_get(bootstrap, "metrics"), *metric;
    const char *key;
    double lower, upper, deviation;
    char name[80];
    if (json_object_size(metrics) == 0) return;
    write_basis(card, bootstrap);
    fputs("\n\n| metric | 95 % interval | standard deviation |\n|---|---|---|\n", card);
    json_object_foreach(metrics, key, metric) {
        if (gr_metric_find(key) == gr_metric_count ||
            !read_interval(metric, &lower, &upper, &deviation))
            continue;
        gr_report_metric_name(key, name);
        fprintf(card, "| %s | %.4g to %.4g | %.2g |\n", name, lower, upper, deviation);
    }
    fputc('\n', card);
}
