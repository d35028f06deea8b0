/* SPDX-License-Identifier: Apache-2.0 */
/* What the run took: time by phase, bytes; and every round in figures. */
#include <math.h>

#include "observe/chart.h"
#include "observe/html.h"
#include "observe/report.h"

enum { ROWS_MAX = 200, PHASES = 5 };
_Static_assert((int)PHASES <= (int)GR_REPORT_PARTS, "all of them in a bar");

/* ---- time and bytes ------------------------------------------------------------------------- */

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

/* Columns of values that no round has are left out. */
struct columns {
    bool validation, test;
};

static void write_cell(FILE *page, double value, int decimals) {
    fputs("<td>", page);
    gr_html_real(page, value, decimals);
    fputs("</td>", page);
}

static void write_row(FILE *page, const struct gr_metrics *m, const struct columns *columns) {
    fprintf(page, "<tr><th scope=\"row\">%u</th><td>%u", m->round, m->participants);
    if (m->participants < m->selected) fprintf(page, " of %u", m->selected);
    fputs("</td><td>", page);
    gr_html_count(page, m->examples);
    fputs("</td>", page);
    write_cell(page, m->train_loss, 4);
    if (columns->validation) {
        write_cell(page, m->validation_loss, 4);
        write_cell(page, 100 * m->validation_accuracy, 2);
    }
    if (columns->test) {
        write_cell(page, m->test_loss, 4);
        write_cell(page, 100 * m->test_accuracy, 2);
    }
    write_cell(page, m->update_norm, 3);
    const double seconds[] = {m->seconds.train, m->seconds.aggregate, m->seconds.evaluate,
                              m->seconds.checkpoint, m->seconds.total};
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++)
        write_cell(page, 1000 * seconds[i], 1);
    fputs("<td>", page);
    gr_html_bytes(page, (double)m->bytes_sent);
    fputs("</td></tr>\n", page);
}

static void write_round_head(FILE *page, const struct columns *columns) {
    static const char *const times[] = {"train ms",   "aggregate", "evaluate",
                                        "checkpoint", "total ms",  "sent"};
    fputs("<div class=\"scroll\"><table class=\"rounds\"><thead><tr><th "
          "scope=\"col\">round</th><th scope=\"col\">"
          "silos</th><th scope=\"col\">rows</th><th scope=\"col\">training loss</th>",
          page);
    if (columns->validation)
        fputs("<th scope=\"col\">validation loss</th><th scope=\"col\">validation&#8239;%</th>",
              page);
    if (columns->test)
        fputs("<th scope=\"col\">test loss</th><th scope=\"col\">test&#8239;%</th>", page);
    fputs("<th scope=\"col\">update norm</th>", page);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        fprintf(page, "<th scope=\"col\">%s</th>", times[i]);
    fputs("</tr></thead>\n<tbody>\n", page);
}

void gr_report_rounds(FILE *page, const struct gr_report_run *run) {
    struct columns columns = {false, false};
    size_t step = gr_report_step(run->n, ROWS_MAX);
    if (run->n == 0) return;
    for (size_t i = 0; i < run->n; i++) {
        columns.validation |= isfinite(run->rounds[i].validation_loss);
        columns.test |= isfinite(run->rounds[i].test_loss);
    }
    fputs("<h2>Rounds</h2>\n<details class=\"card\"><summary>Every round in figures</summary>\n"
          "<p class=\"muted\">\xe2\x80\x93 stands for not defined: nothing of the kind was "
          "measured in that round, or it is not a number.</p>\n",
          page);
    if (step > 1)
        fprintf(page,
                "<p class=\"muted\">One round in %zu and the last are shown; all %zu are in "
                "<code>metrics.jsonl</code>.</p>\n",
                step, run->n);
    write_round_head(page, &columns);
    for (size_t i = 0; i < run->n; i++)
        if (run->rounds[i].round % step == 0 || i + 1 == run->n)
            write_row(page, &run->rounds[i], &columns);
    fputs("</tbody></table></div></details>\n", page);
}
