/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provenance of a run: settings, digests, stretches, software. A report is passed on further
 * than a run directory, so it shows no paths and no hosts.
 */
#include <stdlib.h>
#include <string.h>

#include "observe/html.h"
#include "observe/report.h"

/* ---- settings ------------------------------------------------------------------------------- */

static void indent(FILE *page, unsigned depth) {
    for (unsigned i = 0; i < depth; i++)
        fputs("  ", page);
}

static void write_scalar(FILE *page, const struct gr_node *node) {
    const char *text = node->text ? node->text : "";
    if (gr_report_holds_path(node))
        fputs("(a path, not shown here)", page);
    else
        gr_html_text(page, text[0] ? text : "''");
    fputc('\n', page);
}

/*
 * The lines below a section or list, as YAML has them: a reader can copy settings, but for paths.
 */
static void write_nodes(FILE *page, const struct gr_node *parent, unsigned depth) {
    for (const struct gr_node *node = parent->child; node; node = node->next) {
        indent(page, depth);
        if (node->key) {
            gr_html_text(page, node->key);
            fputc(':', page);
        } else {
            fputc('-', page);
        }
        if (node->kind == GR_NODE_SCALAR) {
            fputc(' ', page);
            write_scalar(page, node);
        } else {
            fputs(node->child ? "\n" : " none\n", page);
            write_nodes(page, node, depth + 1);
        }
    }
}

void gr_report_settings(FILE *page, const struct gr_report_run *run) {
    if (!run->settings) return;
    fputs("<h2>Settings</h2>\n<details class=\"card\"><summary>Every setting, as it was used"
          "</summary>\n<pre>",
          page);
    write_nodes(page, run->settings, 0);
    fputs("</pre></details>\n", page);
}

/* ---- provenance ----------------------------------------------------------------------------- */

/* Missing members are left out: manifests of earlier versions have fewer. */
static void write_term(FILE *page, const char *term, const char *text, bool code) {
    if (!text) return;
    fprintf(page, "<dt>%s</dt><dd>%s", term, code ? "<code>" : "");
    gr_html_text(page, text);
    fprintf(page, "%s</dd>\n", code ? "</code>" : "");
}

static void write_json_term(FILE *page, const char *term, const json_t *json) {
    if (!json || json_is_null(json)) return;
    fprintf(page, "<dt>%s</dt><dd><code>", term);
    gr_html_json(page, json);
    fputs("</code></dd>\n", page);
}

static void write_count_cell(FILE *page, const json_t *json, const char *key) {
    fputs("<td>", page);
    gr_html_count(page, gr_json_count(json, key));
    fputs("</td>", page);
}

/*
 * A stretch is the time from one start of the program to its end; a run that was resumed has
 * several.
 */
static void write_stretches(FILE *page, const json_t *stretches) {
    const json_t *stretch;
    size_t i;
    fputs("<h3>Stretches of the run</h3>\n<div class=\"card scroll\"><table class=\"facts\"><thead>"
          "<tr><th scope=\"col\">started</th><th scope=\"col\">ended</th><th scope=\"col\">after "
          "round</th><th scope=\"col\">to round</th><th scope=\"col\">ranks</th><th scope=\"col\">"
          "outcome</th></tr></thead>\n<tbody>\n",
          page);
    json_array_foreach(stretches, i, stretch) {
        fputs("<tr><th scope=\"row\">", page);
        gr_html_text(page, gr_json_text(stretch, "started"));
        fputs("</th><td>", page);
        gr_html_text(page, gr_json_text(stretch, "ended"));
        fputs("</td>", page);
        write_count_cell(page, stretch, "resumed_from");
        write_count_cell(page, stretch, "rounds_done");
        write_count_cell(page, stretch, "ranks");
        fputs("<td>", page);
        gr_html_text(page, gr_json_text(stretch, "outcome"));
        fputs("</td></tr>\n", page);
    }
    fputs("</tbody></table></div>\n", page);
}

/* All names are shown in the order of the manifest, so that new libraries need no change here. */
static void write_software(FILE *page, const json_t *software) {
    const char *name;
    json_t *value;
    fputs("<h3>Software and processor</h3>\n<details class=\"card\"><summary>Versions</summary>"
          "<dl>\n",
          page);
    /* jansson's iterators take no const. */
    json_object_foreach((json_t *)(uintptr_t)software, name, value) {
        fputs("<dt>", page);
        gr_html_text(page, name);
        fputs("</dt><dd>", page);
        gr_html_text(page, json_string_value(value));
        fputs("</dd>\n", page);
    }
    fputs("</dl></details>\n", page);
}

/* Of a thousand silos the placement is a page of numbers: folded. */
static void write_placement(FILE *page, const json_t *placement) {
    enum { OPEN_MAX = 64 };
    size_t n = json_array_size(placement);
    if (n == 0) return;
    fputs("<dt>rank of each silo</dt><dd>", page);
    if (n > OPEN_MAX) fprintf(page, "<details><summary>of %zu silos</summary>", n);
    fputs("<code>", page);
    gr_html_json(page, placement);
    fputs(n > OPEN_MAX ? "</code></details></dd>\n" : "</code></dd>\n", page);
}

/*
 * Everything by which a run can be repeated, or two runs be told to be the same: digests, seed,
 * ranks, placement, software.
 */
void gr_report_provenance(FILE *page, const struct gr_report_run *run) {
    const json_t *m = run->manifest, *privacy = json_object_get(m, "privacy");
    fputs("<h2>What exactly ran</h2>\n<div class=\"card\"><dl>\n", page);
    write_term(page, "model digest", gr_json_text(m, "model_digest"), true);
    if (run->best_round > 0) fprintf(page, "<dt>of round</dt><dd>%u</dd>\n", run->best_round);
    write_term(page, "config digest", gr_json_text(m, "config_digest"), true);
    write_term(page, "data fingerprint", gr_json_text(m, "data_fingerprint"), true);
    if (json_is_true(json_object_get(m, "data_incomplete")))
        write_term(page, "", "The fingerprint lacks the data of silos that could not read theirs.",
                   false);
    write_json_term(page, "architecture", json_object_get(m, "architecture"));
    write_json_term(page, "seed", json_object_get(m, "seed"));
    write_json_term(page, "nodes", json_object_get(m, "nodes"));
    write_json_term(page, "ranks", json_object_get(m, "ranks"));
    write_placement(page, json_object_get(m, "rank_of_silo"));
    write_term(page, "detection of lost ranks", gr_json_text(m, "detection"), false);
    write_term(page, "batch job", gr_json_text(m, "job"), true);
    if (json_array_size(run->timeline) > 0)
        write_term(page, "chain of events",
                   run->broken_event ? "broken: lines were changed, lost or added" : "whole",
                   false);
    write_term(page, "privacy mechanism", gr_json_text(privacy, "mechanism"), false);
    write_term(page, "privacy", gr_json_text(privacy, "statement"), false);
    fputs("</dl></div>\n", page);
    write_stretches(page, json_object_get(m, "stretches"));
    write_software(page, json_object_get(m, "software"));
}
