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

/* Sums over the stretches whose end is recorded. */
struct costs {
    size_t known, all;
    double node_hours, joules;
    uint64_t inside, between, parties, control;
    const char *no_energy; /* of the last stretch that has none; NULL: all have */
};

static struct costs costs_of(const struct gr_report_run *run) {
    struct costs sum = {0};
    json_t *stretch;
    size_t i;
    json_array_foreach(json_object_get(run->manifest, "stretches"), i, stretch) {
        const json_t *costs = json_object_get(stretch, "costs");
        const json_t *bytes = json_object_get(costs, "bytes");
        sum.all++;
        if (!json_is_object(costs)) continue;
        sum.known++;
        sum.node_hours += gr_report_positive(gr_json_real(costs, "node_hours"));
        sum.joules += gr_report_positive(gr_json_real(costs, "energy_joules"));
        sum.inside += gr_json_count(bytes, "inside_nodes");
        sum.between += gr_json_count(bytes, "between_nodes");
        sum.parties += gr_json_count(bytes, "between_parties");
        sum.control += gr_json_count(bytes, "control");
        if (!isfinite(gr_json_real(costs, "energy_joules"))) {
            const char *why = gr_json_text(costs, "no_energy");
            sum.no_energy = why ? why : "it is not told";
        }
    }
    return sum;
}

static void write_bytes(FILE *page, const char *link, uint64_t bytes) {
    fprintf(page, "<tr><th scope=\"row\">%s</th><td>", link);
    gr_html_bytes(page, (double)bytes);
    fputs("</td><td></td><td></td></tr>\n", page);
}

/*
 * Of the whole run, loading and the end as well. Stretches that were killed have told nothing of
 * themselves, and are not in it.
 */
static void write_whole(FILE *page, const struct gr_report_run *run) {
    const struct costs c = costs_of(run);
    const char *job = gr_json_text(run->manifest, "job");
    if (c.known == 0) return;
    fputs("<tbody>\n<tr><th scope=\"row\">node-hours</th><td>", page);
    gr_html_real(page, c.node_hours, c.node_hours < 1 ? 4 : 1);
    fputs("</td><td></td><td></td></tr>\n", page);
    write_bytes(page, "bytes inside nodes", c.inside);
    write_bytes(page, "bytes between nodes", c.between);
    if (c.parties > 0) write_bytes(page, "bytes to other parties", c.parties);
    write_bytes(page, "bytes of the control plane", c.control);
    fputs("<tr><th scope=\"row\">energy of processors and memory</th><td colspan=\"3\">", page);
    if (c.no_energy) {
        fputs("<span class=\"muted\">not to be had: ", page);
        gr_html_text(page, c.no_energy);
        fputs("</span>", page);
    } else {
        gr_html_real(page, c.joules / 3.6e6, 4);
        fputs(" kWh", page);
    }
    fputs("</td></tr>\n</tbody>", page);
    if (c.known < c.all)
        fprintf(page,
                "<tbody><tr><td colspan=\"4\">%zu of %zu stretches did not end in order, and are "
                "not in node-hours, bytes by link and energy.</td></tr></tbody>",
                c.all - c.known, c.all);
    if (!job) return;
    fputs("<tbody><tr><td colspan=\"4\">Slurm&#39;s own account: <code>sacct -j ", page);
    gr_html_text(page, job);
    fputs(" --format=Elapsed,CPUTimeRAW,MaxRSS,ConsumedEnergyRaw</code></td></tr></tbody>", page);
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
    fputs("</td><td></td></tr>\n</tbody>", page);
    write_whole(page, run);
    fputs("</table></div>\n</section>\n", page);
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
