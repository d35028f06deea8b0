/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.html: one page from the files of a run directory, for people who were not there. It only
 * reads what the run wrote, and holds all it needs.
 */
#include <granary/observe.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "observe/html.h"
#include "observe/metrics.h"
#include "observe/participation.h"
#include "observe/plot.h"

enum { FILE_LIMIT = 64 << 20, ROWS_MAX = 200, POINTS_MAX = 400 };

struct report {
    FILE *page;
    json_t *manifest;          /* owned */
    json_t *alerts;            /* owned */
    char *config;              /* owned */
    struct gr_metrics *rounds; /* owned */
    size_t n;
};

static const char *text_of(const json_t *json, const char *key) {
    return json_string_value(json_object_get(json, key));
}

static uint64_t count_of(const json_t *json, const char *key) {
    json_int_t value = json_integer_value(json_object_get(json, key));
    return value > 0 ? (uint64_t)value : 0;
}

/* ---- top: what ran and how it went --------------------------------------------------------------
 */

static void figure_begin(FILE *page) {
    fputs("<div class=\"card figure\"><b>", page);
}

static void figure_end(FILE *page, const char *label) {
    fprintf(page, "</b><span>%s</span></div>\n", label);
}

struct totals {
    double seconds;
    uint64_t processed, bytes;
    const struct gr_metrics *tested, *validated; /* the last rounds that were */
};

static struct totals add_up(const struct report *r) {
    struct totals t = {0};
    for (size_t i = 0; i < r->n; i++) {
        const struct gr_metrics *m = &r->rounds[i];
        if (isfinite(m->seconds.total)) t.seconds += m->seconds.total;
        t.processed += m->processed;
        t.bytes += m->bytes_sent;
        if (isfinite(m->test_accuracy)) t.tested = m;
        if (isfinite(m->validation_accuracy)) t.validated = m;
    }
    return t;
}

static void write_scores(FILE *page, const struct totals *t) {
    if (t->tested) {
        figure_begin(page);
        fprintf(page, "%.2f&#8239;%%", 100 * t->tested->test_accuracy);
        figure_end(page, "test accuracy");
        figure_begin(page);
        gr_html_real(page, t->tested->test_loss, 4);
        figure_end(page, "test loss");
    } else if (t->validated) {
        figure_begin(page);
        fprintf(page, "%.2f&#8239;%%", 100 * t->validated->validation_accuracy);
        figure_end(page, "validation accuracy");
        figure_begin(page);
        gr_html_real(page, t->validated->validation_loss, 4);
        figure_end(page, "validation loss");
    }
}

static void write_figures(const struct report *r) {
    FILE *page = r->page;
    struct totals t = add_up(r);
    fputs("<section class=\"grid figures\">\n", page);
    write_scores(page, &t);
    figure_begin(page);
    gr_html_count(page, count_of(r->manifest, "rounds_done"));
    fputs(" <small>of ", page);
    gr_html_count(page, count_of(r->manifest, "rounds"));
    fputs("</small>", page);
    figure_end(page, "rounds");
    figure_begin(page);
    gr_html_seconds(page, t.seconds);
    figure_end(page, "in rounds");
    if (t.seconds > 0) {
        figure_begin(page);
        gr_html_count(page, (uint64_t)((double)t.processed / t.seconds));
        figure_end(page, "samples a second");
    }
    figure_begin(page);
    gr_html_bytes(page, (double)t.bytes);
    figure_end(page, "sent between ranks");
    fputs("</section>\n", page);
}

static void write_top(const struct report *r) {
    FILE *page = r->page;
    const json_t *m = r->manifest;
    const char *outcome = text_of(m, "outcome");
    const json_t *stretch = json_array_get(json_object_get(m, "stretches"), 0);
    /* The class is one of ours; anything else has none. */
    static const char *const known[] = {"finished", "stopped", "running", "failed"};
    const char *class = "";
    for (size_t i = 0; outcome && i < sizeof known / sizeof *known; i++)
        if (strcmp(outcome, known[i]) == 0) class = known[i];
    fputs("<div class=\"head\"><h1>", page);
    gr_html_text(page, text_of(m, "name"));
    fprintf(page, "</h1><span class=\"badge %s\">", class);
    gr_html_text(page, outcome);
    fputs("</span></div>\n<p class=\"muted\">", page);
    gr_html_count(page, count_of(m, "silos"));
    fputs(" silos on ", page);
    gr_html_count(page, count_of(m, "ranks"));
    fputs(count_of(m, "ranks") == 1 ? " rank" : " ranks", page);
    fputs(", ", page);
    gr_html_count(page, count_of(m, "parameters"));
    fputs(" parameters", page);
    if (text_of(stretch, "started")) {
        fputs(", started ", page);
        gr_html_text(page, text_of(stretch, "started"));
    }
    fputs("</p>\n", page);
    gr_participation_sentence(page, r->rounds, r->n);
    write_figures(r);
}

/* ---- curves
 * -------------------------------------------------------------------------------------- */

/* Every how many rounds are shown so that at most `most` and the last are. */
static size_t step_for(size_t n, size_t most) {
    return n <= most ? 1 : (n + most - 1) / most;
}

static void write_curves(const struct report *r) {
    static const struct {
        enum gr_plot plot;
        const char *title;
    } plots[] = {{GR_PLOT_ACCURACY, "Accuracy"},
                 {GR_PLOT_LOSS, "Loss"},
                 {GR_PLOT_SECONDS, "Seconds a round"}};
    size_t step = step_for(r->n, POINTS_MAX);
    fputs("<h2>Curves</h2>\n", r->page);
    if (step > 1)
        fprintf(r->page, "<p class=\"muted\">One round in %zu and the last are drawn.</p>\n", step);
    fputs("<section class=\"grid curves\">\n", r->page);
    for (size_t i = 0; i < sizeof plots / sizeof *plots; i++) {
        char *svg = NULL;
        if (gr_plot_svg(plots[i].plot, r->rounds, r->n, step, &svg) != GR_OK) {
            fputs("<p>There are no curves: ", r->page);
            gr_html_text(r->page, gr_message());
            fputs(".</p>\n", r->page);
            break;
        }
        if (svg)
            fprintf(r->page, "<figure class=\"card\"><h3>%s</h3>\n%s</figure>\n", plots[i].title,
                    svg);
        gr_free(svg);
    }
    fputs("</section>\n", r->page);
}

/* ---- rounds
 * -------------------------------------------------------------------------------------- */

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
    fprintf(page, "<tr><td>%u</td><td>%u", m->round, m->participants);
    if (gr_participation_is_partial(m)) fprintf(page, " of %u", m->selected);
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

static void write_rounds(const struct report *r) {
    FILE *page = r->page;
    struct columns columns = {false, false};
    size_t step = step_for(r->n, ROWS_MAX);
    for (size_t i = 0; i < r->n; i++) {
        columns.validation |= isfinite(r->rounds[i].validation_loss);
        columns.test |= isfinite(r->rounds[i].test_loss);
    }
    fputs("<h2>Rounds</h2>\n", page);
    if (step > 1)
        fprintf(page,
                "<p class=\"muted\">One round in %zu and the last are shown; all %zu are in "
                "<code>metrics.jsonl</code>.</p>\n",
                step, r->n);
    fputs("<div class=\"card scroll\"><table><thead><tr><th>round</th><th>silos</th><th>examples"
          "</th><th>training loss</th>",
          page);
    if (columns.validation) fputs("<th>validation loss</th><th>validation&#8239;%</th>", page);
    if (columns.test) fputs("<th>test loss</th><th>test&#8239;%</th>", page);
    fputs("<th>update norm</th><th>train ms</th><th>aggregate</th><th>evaluate</th>"
          "<th>checkpoint</th><th>total ms</th><th>sent</th></tr></thead>\n<tbody>\n",
          page);
    for (size_t i = 0; i < r->n; i++)
        if (r->rounds[i].round % step == 0 || i + 1 == r->n)
            write_row(page, &r->rounds[i], &columns);
    fputs("</tbody></table></div>\n", page);
}

/* ---- provenance
 * ---------------------------------------------------------------------------------- */

static void write_term(FILE *page, const char *term, const char *text, bool code) {
    fprintf(page, "<dt>%s</dt><dd>%s", term, code ? "<code>" : "");
    gr_html_text(page, text);
    fprintf(page, "%s</dd>\n", code ? "</code>" : "");
}

static void write_json_term(FILE *page, const char *term, const json_t *json) {
    char *text = json_dumps(json, JSON_ENCODE_ANY);
    write_term(page, term, text, true);
    free(text);
}

static void write_stretches(const struct report *r) {
    FILE *page = r->page;
    const json_t *stretch;
    size_t i;
    fputs("<h2>Stretches of the run</h2>\n<div class=\"card scroll\"><table class=\"left\"><thead>"
          "<tr><th>started</th><th>ended</th><th>from round</th><th>to round</th><th>ranks</th>"
          "<th>outcome</th></tr></thead>\n<tbody>\n",
          page);
    json_array_foreach(json_object_get(r->manifest, "stretches"), i, stretch) {
        fputs("<tr><td>", page);
        gr_html_text(page, text_of(stretch, "started"));
        fputs("</td><td>", page);
        gr_html_text(page, text_of(stretch, "ended"));
        fputs("</td><td>", page);
        gr_html_count(page, count_of(stretch, "resumed_from"));
        fputs("</td><td>", page);
        gr_html_count(page, count_of(stretch, "rounds_done"));
        fputs("</td><td>", page);
        gr_html_count(page, count_of(stretch, "ranks"));
        fputs("</td><td>", page);
        gr_html_text(page, text_of(stretch, "outcome"));
        fputs("</td></tr>\n", page);
    }
    fputs("</tbody></table></div>\n", page);
}

static void write_software(const struct report *r) {
    FILE *page = r->page;
    const char *name;
    json_t *value;
    fputs("<h2>Software and processor</h2>\n<div class=\"card\"><dl>\n", page);
    json_object_foreach(json_object_get(r->manifest, "software"), name, value) {
        fputs("<dt>", page);
        gr_html_text(page, name);
        fputs("</dt><dd>", page);
        gr_html_text(page, json_string_value(value));
        fputs("</dd>\n", page);
    }
    fputs("</dl></div>\n", page);
}

/* True for a line of YAML whose value is a path: such a name may tell who a silo is. */
static bool holds_path(const char *line) {
    static const char *const keys[] = {
        "features: ", "labels: ", "file: ", "directory: ", "replay: "};
    line += strspn(line, " -");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        size_t n = strlen(keys[i]);
        if (strncmp(line, keys[i], n) == 0)
            return strncmp(line + n, "''", 2) != 0 && !(line[n] >= '0' && line[n] <= '9');
    }
    return false;
}

/* The config without the paths in it: the page is what people hand on. */
static void write_config(FILE *page, const char *config) {
    char line[512];
    while (config && *config) {
        size_t length = strcspn(config, "\n"), shown = length;
        bool hidden = holds_path(config);
        if (hidden) shown = strcspn(config, ":") + 2;
        for (size_t at = 0; at < shown; at += sizeof line - 1) {
            snprintf(line, sizeof line, "%.*s", (int)(shown - at), config + at);
            gr_html_text(page, line);
        }
        fputs(hidden ? "(a path, not shown here)\n" : "\n", page);
        config += length + (config[length] == '\n');
    }
}

static void write_provenance(const struct report *r) {
    FILE *page = r->page;
    const json_t *m = r->manifest;
    fputs("<h2>What exactly ran</h2>\n<div class=\"card\"><dl>\n", page);
    write_term(page, "model digest", text_of(m, "model_digest"), true);
    write_term(page, "config digest", text_of(m, "config_digest"), true);
    write_term(page, "data fingerprint", text_of(m, "data_fingerprint"), true);
    write_json_term(page, "architecture", json_object_get(m, "architecture"));
    write_json_term(page, "seed", json_object_get(m, "seed"));
    write_json_term(page, "rank of each silo", json_object_get(m, "rank_of_silo"));
    write_term(page, "privacy mechanism", text_of(json_object_get(m, "privacy"), "mechanism"),
               false);
    write_term(page, "", text_of(json_object_get(m, "privacy"), "statement"), false);
    fputs("</dl></div>\n", page);
    write_stretches(r);
    write_software(r);
    fputs("<h2>Config</h2>\n<details class=\"card\"><summary>resolved.yaml</summary>\n<pre>", page);
    write_config(page, r->config);
    fputs("</pre></details>\n", page);
}

/* ---- the page
 * ------------------------------------------------------------------------------------ */

static void write_page(const struct report *r) {
    FILE *page = r->page;
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          page);
    gr_html_text(page, text_of(r->manifest, "name"));
    fprintf(page, " \xc2\xb7 granary</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n",
            gr_html_style);
    write_top(r);
    if (r->n > 0) {
        write_curves(r);
        gr_participation_section(page, r->rounds, r->n);
        write_rounds(r);
    } else {
        fputs("<p>No round has been finished.</p>\n", page);
    }
    gr_alerts_section(page, r->alerts);
    write_provenance(r);
    fputs("<footer>granary ", page);
    gr_html_text(page, text_of(json_object_get(r->manifest, "software"), "granary"));
    fputs("; from <code>manifest.json</code>, <code>metrics.jsonl</code>, "
          "<code>events.jsonl</code> and <code>resolved.yaml</code> of the run "
          "directory.</footer>\n</main>\n</body>\n</html>\n",
          page);
}

static gr_status path_in(const char *run_path, const char *name, char **out) {
    gr_free(*out);
    *out = NULL;
    return gr_text_format(out, "%s/%s", run_path, name);
}

static gr_status read_run(const char *run_path, struct report *r) {
    gr_status status = GR_OK;
    char *path = NULL, *text = NULL;
    size_t length = 0;
    json_error_t error;
    GR_TRY(path_in(run_path, "manifest.json", &path));
    GR_TRY(gr_file_read(path, FILE_LIMIT, GR_ERROR_DATA, &text, &length));
    r->manifest = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(r->manifest)) {
        status = gr_fail(GR_ERROR_DATA, "%s:%d: %s", path, error.line, error.text);
        goto out;
    }
    GR_TRY(path_in(run_path, "resolved.yaml", &path));
    GR_TRY(gr_file_read(path, FILE_LIMIT, GR_ERROR_DATA, &r->config, &length));
    GR_TRY(path_in(run_path, "metrics.jsonl", &path));
    GR_TRY(gr_metrics_read(path, &r->rounds, &r->n));
    GR_TRY(path_in(run_path, "events.jsonl", &path));
    GR_TRY(gr_alerts_read(path, &r->alerts));
out:
    gr_free(text);
    gr_free(path);
    return status;
}

gr_status gr_report_write(const char *run_path) {
    gr_status status = GR_OK;
    struct report r = {0};
    char *path = NULL, *text = NULL;
    size_t length = 0;
    GR_TRY(read_run(run_path, &r));
    r.page = open_memstream(&text, &length);
    if (!r.page) {
        status = gr_fail(GR_ERROR_INTERNAL, "memory for a report was refused");
        goto out;
    }
    write_page(&r);
    if (fclose(r.page) != 0) {
        status = gr_fail(GR_ERROR_INTERNAL, "memory for a report was refused");
        goto out;
    }
    GR_TRY(path_in(run_path, "report.html", &path));
    GR_TRY(gr_file_write(path, text, length));
out:
    free(text);
    gr_free(path);
    gr_free(r.rounds);
    gr_free(r.config);
    json_decref(r.alerts);
    json_decref(r.manifest);
    return status;
}
