/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The costs of the run: time by phase, processor time, bytes; and every round in figures. Times are
 * of the rank that kept the records, in seconds by its clock; waiting for slower ranks is part of
 * them.
 */
#include <math.h>

#include "observe/chart.h"
#include "observe/html.h"
#include "observe/metrics.h"
#include "observe/report.h"

enum { ROWS_MAX = 200, PHASES = 5, FIGURES_MAX = 64 };
_Static_assert((int)PHASES <= (int)GR_REPORT_PARTS, "all of them in a bar");

/* ---- time and bytes ------------------------------------------------------------------------- */

/*
 * "other" is the rest of the round's time (records, recoveries). Rounding may make the sum of the
 * phases larger than the total; the rest is then 0.
 */
static void add_phases(const struct gr_metrics *m, double *parts) {
    const double known[] = {
        gr_report_positive(m->seconds.train), gr_report_positive(m->seconds.aggregate),
        gr_report_positive(m->seconds.evaluate), gr_report_positive(m->seconds.checkpoint)};
    double sum = 0;
    for (size_t p = 0; p < PHASES - 1; p++) {
        parts[p] += known[p];
        sum += known[p];
    }
    parts[PHASES - 1] += fmax(0, gr_report_positive(m->seconds.total) - sum);
}

/* Phases are stacked, so that the height of a bar is the time of a round. */
static void draw_seconds(FILE *page, const struct gr_report_run *run) {
    static const char *const names[PHASES] = {"train", "aggregate", "evaluate", "checkpoint",
                                              "other"};
    static const char *const classes[PHASES] = {"s0", "s1", "s2", "s3", "away"};
    gr_report_bars(page, run,
                   (struct gr_bars){.title = "Seconds a round",
                                    .unit = "s",
                                    .names = names,
                                    .classes = classes,
                                    .n_names = PHASES},
                   add_phases);
}

/* The mean is over all rounds, also for phases that occur in few of them, as checkpoints. */
static void write_phase(FILE *page, const char *name, double seconds,
                        const struct gr_report_totals *t, size_t rounds) {
    fprintf(page, "<tr><th scope=\"row\">%s</th><td>", name);
    gr_html_seconds(page, seconds);
    fputs("</td><td>", page);
    gr_html_seconds(page, seconds / (double)rounds);
    fputs("</td><td>", page);
    if (t->seconds > 0)
        gr_html_percent(page, seconds / t->seconds, 1);
    else
        gr_html_not_defined(page, "no time was measured");
    fputs("</td></tr>\n", page);
}

/* Shares are of the time in rounds; loading of data and the end of the run are not in it. */
void gr_report_costs(FILE *page, const struct gr_report_run *run) {
    struct gr_report_totals t = gr_report_totals_of(run);
    if (run->n == 0) return;
    fputs("<h2>Time and bytes</h2>\n<section class=\"grid two\">\n", page);
    draw_seconds(page, run);
    fputs("<div class=\"card scroll\"><table class=\"facts\"><caption>As the rank that keeps the "
          "records lived them</caption><thead><tr><th scope=\"col\">phase</th><th scope=\"col\">"
          "all rounds</th><th scope=\"col\">a round</th><th scope=\"col\">share</th></tr></thead>"
          "\n<tbody>\n",
          page);
    write_phase(page, "train", t.phases.train, &t, run->n);
    write_phase(page, "aggregate", t.phases.aggregate, &t, run->n);
    write_phase(page, "evaluate", t.phases.evaluate, &t, run->n);
    write_phase(page, "checkpoint", t.phases.checkpoint, &t, run->n);
    write_phase(page, "other", t.phases.other, &t, run->n);
    write_phase(page, "together", t.seconds, &t, run->n);
    fputs("</tbody><tbody>\n<tr><th scope=\"row\">processor time in training, all ranks</th><td>",
          page);
    gr_html_seconds(page, t.cpu_seconds);
    fputs("</td><td>", page);
    gr_html_seconds(page, t.cpu_seconds / (double)run->n);
    fputs("</td><td></td></tr>\n<tr><th scope=\"row\">sent between ranks</th><td>", page);
    gr_html_bytes(page, (double)t.bytes);
    fputs("</td><td>", page);
    gr_html_bytes(page, (double)t.bytes / (double)run->n);
    fputs("</td><td></td></tr>\n</tbody></table></div>\n</section>\n", page);
}

/* ---- every round ---------------------------------------------------------------------------- */

/* Whether any round has a value of the figure: of others there is no column. */
static bool has_column(const struct gr_figure *figure, const struct gr_report_run *run) {
    bool any = false;
    for (size_t i = 0; i < run->n && figure->title && !any; i++)
        any = isfinite(gr_figure_value(figure, &run->rounds[i]));
    return any;
}

/* A real that is not finite is shown as a dash; the text above the table explains it. */
static void write_cell(FILE *page, const struct gr_figure *figure, const struct gr_metrics *m) {
    const double value = gr_figure_value(figure, m);
    fputs("<td>", page);
    if (figure->bytes)
        gr_html_bytes(page, value);
    else if (gr_figure_is_real(figure))
        gr_html_real(page, figure->shown_times > 0 ? figure->shown_times * value : value,
                     figure->decimals);
    else
        gr_html_count(page, gr_figure_whole(figure, m));
    fputs("</td>", page);
}

static void write_row(FILE *page, const struct gr_metrics *m, const bool *columns) {
    fprintf(page, "<tr><th scope=\"row\">%u</th><td>%u", m->round, m->participants);
    if (m->participants < m->selected) fprintf(page, " of %u", m->selected);
    fputs("</td>", page);
    for (size_t i = 0; i < gr_figure_count; i++)
        if (columns[i]) write_cell(page, &gr_figures[i], m);
    fputs("</tr>\n", page);
}

/* Rows and head use the same `columns`, so that they cannot come apart. */
static void write_round_head(FILE *page, const bool *columns) {
    fputs("<div class=\"scroll\"><table class=\"rounds\"><thead><tr><th "
          "scope=\"col\">round</th><th scope=\"col\">silos</th>",
          page);
    for (size_t i = 0; i < gr_figure_count; i++) {
        if (!columns[i]) continue;
        fputs("<th scope=\"col\">", page);
        gr_html_text(page, gr_figures[i].title);
        fputs("</th>", page);
    }
    fputs("</tr></thead>\n<tbody>\n", page);
}

/*
 * At most about ROWS_MAX rows: of a long run every step-th round and the last, for the page must
 * open in a browser.
 */
void gr_report_rounds(FILE *page, const struct gr_report_run *run) {
    bool columns[FIGURES_MAX] = {false};
    size_t step = gr_report_step(run->n, ROWS_MAX);
    if (run->n == 0) return;
    for (size_t i = 0; i < gr_figure_count && i < FIGURES_MAX; i++)
        columns[i] = has_column(&gr_figures[i], run);
    fputs("<h2>Rounds</h2>\n<details class=\"card\"><summary>Every round in figures</summary>\n"
          "<p class=\"muted\">\xe2\x80\x93 stands for not defined: nothing of the kind was "
          "measured in that round, or it is not a number.</p>\n",
          page);
    if (step > 1)
        fprintf(page,
                "<p class=\"muted\">One round in %zu and the last are shown; all %zu are in "
                "<code>metrics.jsonl</code>.</p>\n",
                step, run->n);
    write_round_head(page, columns);
    for (size_t i = 0; i < run->n; i++)
        if (run->rounds[i].round % step == 0 || i + 1 == run->n)
            write_row(page, &run->rounds[i], columns);
    fputs("</tbody></table></div></details>\n", page);
}
