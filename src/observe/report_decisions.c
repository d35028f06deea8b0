/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model of two classes is for, out of evaluation.json: operating points, and the net benefit
 * of acting on it. Numbers in the file are not trusted, lists are bounded.
 */
#include <math.h>
#include <string.h>

#include "observe/html.h"
#include "observe/report.h"

enum { POINTS_MAX = 64 };

static void write_number(FILE *page, double value, int digits) {
    fputs("<td>", page);
    if (isfinite(value))
        fprintf(page, "%.*f", digits, value);
    else
        gr_html_not_defined(page, NULL);
    fputs("</td>", page);
}

static void write_point(FILE *page, const json_t *point) {
    const char *rule = gr_json_text(point, "rule");
    fputs("<tr><th scope=\"row\">", page);
    gr_html_text(page, rule ? rule : "");
    fputs("</th>", page);
    write_number(page, gr_json_real(point, "threshold"), 4);
    write_number(page, gr_json_real(point, "sensitivity"), 4);
    write_number(page, gr_json_real(point, "specificity"), 4);
    write_number(page, gr_json_real(point, "positive_predictive_value"), 4);
    write_number(page, gr_json_real(point, "negative_predictive_value"), 4);
    fputs("</tr>\n", page);
}

/* Where all figures are of validation rows a threshold looks better on them than on others. */
static void write_points(FILE *page, const json_t *evaluation) {
    const json_t *points =
        json_object_get(json_object_get(evaluation, "operating_points"), "points");
    const char *rows_of = gr_json_text(evaluation, "rows_of");
    const bool same = rows_of && strcmp(rows_of, "validation") == 0;
    if (json_array_size(points) == 0) return;
    fprintf(page,
            "<div class=\"card scroll\"><h3>Operating points</h3>\n<table class=\"facts\"><caption>"
            "Thresholds of the probability of class 1, chosen on validation rows and told on %s."
            "</caption><thead><tr><th scope=\"col\">chosen by</th><th scope=\"col\">threshold</th>"
            "<th scope=\"col\">sensitivity</th><th scope=\"col\">specificity</th>"
            "<th scope=\"col\">PPV</th><th scope=\"col\">NPV</th></tr></thead>\n<tbody>\n",
            same ? "the same rows, on which they look better than on others" : "test rows");
    for (size_t i = 0; i < json_array_size(points) && i < POINTS_MAX; i++)
        write_point(page, json_array_get(points, i));
    fputs("</tbody></table></div>\n", page);
}

/* Every tenth of the list of hundredths, and its beginning, where rare events are decided. */
static bool is_shown(double threshold) {
    static const double shown[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (fabs(threshold - shown[i]) < 1e-9) return true;
    return false;
}

static void write_net_benefit(FILE *page, const json_t *list) {
    if (json_array_size(list) == 0) return;
    fputs(
        "<div class=\"card scroll\"><h3>Net benefit</h3>\n<table class=\"facts\"><caption>Of "
        "acting "
        "on rows from a probability of class 1 on, for each row: rightly less wrongly, weighed by "
        "the threshold's odds. Acting on none has 0.</caption><thead><tr><th scope=\"col\">"
        "threshold</th><th scope=\"col\">the model</th><th scope=\"col\">all rows</th></tr></thead>"
        "\n<tbody>\n",
        page);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *at = json_array_get(list, i);
        const double threshold = gr_json_real(at, "threshold");
        if (!is_shown(threshold)) continue;
        fprintf(page, "<tr><th scope=\"row\">%.2f</th>", threshold);
        write_number(page, gr_json_real(at, "model"), 4);
        write_number(page, gr_json_real(at, "all"), 4);
        fputs("</tr>\n", page);
    }
    fputs("</tbody></table></div>\n", page);
}

void gr_report_decisions(FILE *page, const json_t *evaluation) {
    write_points(page, evaluation);
    write_net_benefit(page, json_object_get(evaluation, "net_benefit"));
}
