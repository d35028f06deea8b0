/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The final model's scores, out of evaluation.json: metrics, confusion matrix, reliability. Sizes
 * and numbers in the file are not trusted: counts are clipped, lists bounded.
 */
#include <math.h>
#include <string.h>

#include "observe/chart.h"
#include "observe/html.h"
#include "observe/report.h"

/* MATRIX_MAX: classes of a matrix that is shown whole; of a larger one the commonest mistakes. */
enum { CLASSES_MAX = 1000, MATRIX_MAX = 20, MISTAKES_SHOWN = 20, BINS_MAX = 1000 };

/* ---- metrics -------------------------------------------------------------------------------- */

/* {"value": 0.91, "lower": .., "upper": .., "why": ".."}, or the value alone. */
static void write_metric(FILE *page, const char *key, const json_t *metric) {
    bool alone = !json_is_object(metric);
    char name[80];
    double value =
        json_is_number(metric) ? json_number_value(metric) : gr_json_real(metric, "value");
    double lower = gr_json_real(metric, "lower"), upper = gr_json_real(metric, "upper");
    fputs("<tr><th scope=\"row\">", page);
    gr_report_metric_name(key, name);
    gr_html_text(page, name);
    fputs("</th><td>", page);
    if (isfinite(value))
        fprintf(page, "%.4f", value);
    else
        gr_html_not_defined(page, alone ? NULL : gr_json_text(metric, "why"));
    fputs("</td><td>", page);
    if (isfinite(value) && isfinite(lower) && isfinite(upper) && upper > lower)
        fprintf(page, "%.4f and %.4f", lower, upper);
    fputs("</td></tr>\n", page);
}

/* In the column of bounds, as it is one. */
static void write_auc_interval(FILE *page, const json_t *interval) {
    const double lower = gr_json_real(interval, "lower"), upper = gr_json_real(interval, "upper");
    const double error = gr_json_real(interval, "standard_error");
    if (!isfinite(lower) || !isfinite(upper)) return;
    fputs("<tr><th scope=\"row\">ROC AUC, 95 % interval</th><td>", page);
    if (isfinite(error)) fprintf(page, "&plusmn;&nbsp;%.4f", error);
    fprintf(page, "</td><td>%.4f and %.4f</td></tr>\n", lower, upper);
}

/* Metrics are shown in the order of the file, which is that of the table of metrics. */
static void write_metrics(FILE *page, json_t *metrics, const json_t *interval) {
    const char *key;
    json_t *value;
    if (json_object_size(metrics) == 0) return;
    fputs("<div class=\"card scroll\"><table class=\"facts\"><thead><tr><th scope=\"col\">metric"
          "</th><th scope=\"col\">value</th><th scope=\"col\">lies between</th></tr></thead>"
          "\n<tbody>\n",
          page);
    json_object_foreach(metrics, key, value) {
        write_metric(page, key, value);
        if (strcmp(key, "auc") == 0) write_auc_interval(page, interval);
    }
    fputs("</tbody></table></div>\n", page);
}

/* ---- confusion ------------------------------------------------------------------------------ */

/* 0 for a cell that is withheld or no number; is_withheld tells the first. */
static double count_at(const json_t *counts, size_t row, size_t column) {
    const json_t *cell = json_array_get(json_array_get(counts, row), column);
    double count = json_is_number(cell) ? json_number_value(cell) : 0;
    return isfinite(count) && count > 0 ? count : 0;
}

/*
 * Cells of few rows are null: they were withheld before the file was written
 * (gr_accumulator_disclose).
 */
static bool is_withheld(const json_t *counts, size_t row, size_t column) {
    return json_is_null(json_array_get(json_array_get(counts, row), column));
}

/* Of the n cells that begin with `first`, in reading order. */
static bool any_withheld(const json_t *counts, size_t n, size_t first, size_t cells) {
    for (size_t i = first; i < first + cells; i++)
        if (is_withheld(counts, i / n, i % n)) return true;
    return false;
}

/* 0 where a cell is withheld: a share would otherwise tell the cell. */
static double row_sum(const json_t *counts, size_t row, size_t n) {
    double sum = 0;
    for (size_t column = 0; column < n; column++)
        sum += count_at(counts, row, column);
    return any_withheld(counts, n, row * n, n) ? 0 : sum;
}

/* Its name, or its number where it has none. */
static void write_class(FILE *page, const json_t *names, size_t class) {
    const char *name = json_string_value(json_array_get(names, class));
    if (name)
        gr_html_text(page, name);
    else
        fprintf(page, "%zu", class);
}

static void write_class_head(FILE *page, const char *scope, const json_t *names, size_t class) {
    fprintf(page, "<th scope=\"%s\">", scope);
    write_class(page, names, class);
    fputs("</th>", page);
}

/* Rows, or the sum of their weights where rows have weights. */
static void write_count(FILE *page, double count) {
    if (count == floor(count))
        gr_html_count(page, (uint64_t)fmin(count, 1e18));
    else
        gr_html_real(page, count, count < 100 ? 2 : 1);
}

/*
 * Weights show in fractional counts; a matrix of whole weights reads as rows, which does no harm.
 */
static bool has_weights(const json_t *counts, size_t n) {
    for (size_t i = 0; i < n * n; i++) {
        const double count = count_at(counts, i / n, i % n);
        if (count != floor(count)) return true;
    }
    return false;
}

/*
 * Rows are true classes, columns predicted ones. Shade is the share of the true class's rows, so
 * that small classes are as legible as large ones.
 */
static void write_matrix(FILE *page, const json_t *names, const json_t *counts, size_t n) {
    fprintf(
        page,
        "<div class=\"scroll\"><table class=\"matrix\"><caption>Rows: the true class. Columns: "
        "what the model said. The darker, the larger the share of the true class.%s%s</caption>"
        "<thead><tr><td></td>",
        has_weights(counts, n) ? " Figures are sums of the rows' weights." : "",
        any_withheld(counts, n, 0, n * n)
            ? " Cells with a dash hold few rows, or would show cells that do: they are withheld."
            : "");
    for (size_t column = 0; column < n; column++)
        write_class_head(page, "col", names, column);
    fputs("<th scope=\"col\">right</th></tr></thead>\n<tbody>\n", page);
    for (size_t row = 0; row < n; row++) {
        double sum = row_sum(counts, row, n);
        fputs("<tr>", page);
        write_class_head(page, "row", names, row);
        for (size_t column = 0; column < n; column++) {
            double count = count_at(counts, row, column);
            double share = sum > 0 ? 100 * count / sum : 0;
            fprintf(page, "<td%s style=\"--share:%.0f%%\"%s>",
                    row == column ? " class=\"hit\"" : "", count > 0 ? fmax(share, 2) : 0,
                    count > 0 ? "" : " data-none");
            if (is_withheld(counts, row, column))
                fputs("&ndash;", page);
            else
                write_count(page, count);
            fputs("</td>", page);
        }
        fputs("<td class=\"right\">", page);
        if (sum > 0)
            gr_html_percent(page, count_at(counts, row, row) / sum, 1);
        else
            gr_html_not_defined(page, any_withheld(counts, n, row * n, n) ? "withheld" : "no rows");
        fputs("</td></tr>\n", page);
    }
    fputs("</tbody></table></div>\n", page);
}

struct mistake {
    size_t row, column;
    double count;
};

/*
 * The MISTAKES_SHOWN commonest mistakes, most frequent first, by insertion into a short list: no
 * sort of n * n cells. Of equal counts the first in reading order comes first. Returns how many.
 */
static size_t find_mistakes(const json_t *counts, size_t n, struct mistake *found) {
    size_t kept = 0;
    for (size_t i = 0; i < n * n; i++) {
        struct mistake m = {i / n, i % n, count_at(counts, i / n, i % n)};
        if (m.row == m.column || m.count <= 0) continue;
        if (kept == MISTAKES_SHOWN && m.count <= found[kept - 1].count) continue;
        size_t place = kept < MISTAKES_SHOWN ? kept++ : kept - 1;
        for (; place > 0 && found[place - 1].count < m.count; place--)
            found[place] = found[place - 1];
        found[place] = m;
    }
    return kept;
}

/* For many classes, where a matrix would not be legible. A mistake's share is of its true class. */
static void write_mistakes(FILE *page, const json_t *names, const json_t *counts, size_t n) {
    struct mistake found[MISTAKES_SHOWN];
    size_t kept = find_mistakes(counts, n, found);
    fprintf(page,
            "<div class=\"scroll\"><table class=\"facts\"><caption>The commonest mistakes among "
            "%zu classes</caption><thead><tr><th scope=\"col\">true class</th><th scope=\"col\">"
            "model said</th><th scope=\"col\">%s</th><th scope=\"col\">of the class</th></tr>"
            "</thead>\n<tbody>\n",
            n, has_weights(counts, n) ? "weight" : "rows");
    for (size_t i = 0; i < kept; i++) {
        fputs("<tr>", page);
        write_class_head(page, "row", names, found[i].row);
        fputs("<td>", page);
        write_class(page, names, found[i].column);
        fputs("</td><td>", page);
        write_count(page, found[i].count);
        fputs("</td><td>", page);
        if (row_sum(counts, found[i].row, n) > 0)
            gr_html_percent(page, found[i].count / row_sum(counts, found[i].row, n), 1);
        else
            gr_html_not_defined(page, "withheld");
        fputs("</td></tr>\n", page);
    }
    fputs("</tbody></table></div>\n", page);
}

/* Above CLASSES_MAX the file is not believed, and looking through n * n cells would take long. */
static void write_confusion(FILE *page, const json_t *confusion) {
    const json_t *counts = json_object_get(confusion, "counts");
    const json_t *names = json_object_get(confusion, "names");
    size_t n = json_array_size(counts);
    if (n == 0 || n > CLASSES_MAX) return;
    fputs("<div class=\"card\"><h3>Confusion matrix</h3>\n", page);
    if (n <= MATRIX_MAX)
        write_matrix(page, names, counts, n);
    else
        write_mistakes(page, names, counts, n);
    fputs("</div>\n", page);
}

/* ---- reliability ---------------------------------------------------------------------------- */

static bool is_share(double value) {
    return value >= 0 && value <= 1;
}

/*
 * A point for each bin with rows: x the mean score, y the share of rows of which the prediction
 * came true. A calibrated model lies on the diagonal.
 */
static void write_reliability(FILE *page, const json_t *reliability) {
    struct gr_point points[BINS_MAX];
    struct gr_series series = {.name = "observed", .colour = 0, .points = points};
    const json_t *bins = json_object_get(reliability, "bins");
    for (size_t i = 0; i < json_array_size(bins) && i < BINS_MAX; i++) {
        const json_t *bin = json_array_get(bins, i);
        struct gr_point point = {gr_json_real(bin, "mean_score"), gr_json_real(bin, "fraction"),
                                 gr_json_count(bin, "n")};
        /* A bin without rows has no fraction. */
        if (point.n > 0 && is_share(point.x) && is_share(point.y)) points[series.n++] = point;
    }
    gr_chart_lines(page, &(struct gr_chart){.title = "Reliability: how often a score comes true",
                                            .unit = "",
                                            .x_name = "score of the model",
                                            .series = &series,
                                            .n_series = 1});
}

/* ---- all of it ------------------------------------------------------------------------------ */

/* "On 10,000 test rows, after round 20." */
static void write_rows(FILE *page, const json_t *evaluation, uint32_t kept) {
    const uint64_t round = gr_json_count(evaluation, "round");
    const char *rows_of = gr_json_text(evaluation, "rows_of");
    if (!rows_of) return;
    fputs("<p class=\"muted\">On ", page);
    gr_html_count(page, gr_json_count(evaluation, "rows"));
    fputc(' ', page);
    gr_html_text(page, rows_of);
    fputs(" rows, after round ", page);
    gr_html_count(page, round);
    if (kept > 0 && round != kept)
        fprintf(page, "; the model that was kept is that of round %u", kept);
    fputs(".</p>\n", page);
}

/* Nothing is written for a run that was never evaluated. */
void gr_report_scores(FILE *page, const struct gr_report_run *run) {
    json_t *metrics = json_object_get(run->evaluation, "metrics");
    const json_t *confusion = json_object_get(run->evaluation, "confusion");
    const json_t *reliability = json_object_get(run->evaluation, "reliability");
    if (json_object_size(metrics) == 0 && !confusion && !reliability) return;
    fputs("<h2>Scores of the model</h2>\n", page);
    write_rows(page, run->evaluation, run->best_round);
    fputs("<section class=\"grid two\">\n", page);
    fputs("<div class=\"grid\">\n", page);
    write_metrics(page, metrics, json_object_get(run->evaluation, "auc_interval"));
    gr_report_intervals(page, run->evaluation);
    write_reliability(page, reliability);
    fputs("</div>\n", page);
    fputs("<div class=\"grid\">\n", page);
    write_confusion(page, confusion);
    gr_report_decisions(page, run->evaluation);
    gr_report_postprocessing(page, run->evaluation);
    fputs("</div>\n", page);
    fputs("</section>\n", page);
    gr_report_slices(page, run->evaluation);
}
