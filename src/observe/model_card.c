/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model card: the model in the words of those who answer for it, with the figures of the run
 * that trained it. Front matter is that of Hugging Face's model cards; the sections follow Mitchell
 * et al. 2019, "Model Cards for Model Reporting". Of data it tells what the federation has in all,
 * never one silo's.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "observe/report.h"

/* ---- text ----------------------------------------------------------------------------------- */

/* Where a text begins these make a heading, a list, a quotation or a numbered item of it. */
static bool makes_block(const char *text, size_t at) {
    const size_t digits = strspn(text, "0123456789");
    if (digits > 0) return at == digits && strchr(".)", text[at]);
    return at == 0 && strchr("#-+>=~", text[0]);
}

/* Text of files has no say in the page's form: marks of Markdown and HTML are escaped, and lines
 * joined, so that it stays in its paragraph, list or cell. */
void gr_card_text(FILE *card, const char *text) {
    if (!text) return;
    for (size_t i = 0; text[i]; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c < ' ' || c == 0x7f) {
            fputc(' ', card);
            continue;
        }
        if (strchr("\\`*_[]<>|&$", c) || makes_block(text, i)) fputc('\\', card);
        fputc(c, card);
    }
}

/* A scalar of the front matter, as JSON, which YAML takes as it is. */
static void write_scalar(FILE *card, const char *text) {
    json_t *json = json_string(text ? text : "");
    char *quoted = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;
    fputs(quoted ? quoted : "\"\"", card);
    free(quoted);
    json_decref(json);
}

/* The entries of a list of the section `card`. */
static const struct gr_node *entries(const struct gr_report_run *run, const char *path) {
    const struct gr_node *node = run->settings ? gr_node_at(run->settings, path) : NULL;
    return node ? node->child : NULL;
}

/* NULL: nothing is. */
static const char *said(const struct gr_report_run *run, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "card.%s", name);
    const char *text = gr_report_setting(run, path);
    return text && text[0] ? text : NULL;
}

static const char *title_of(const struct gr_report_run *run) {
    const char *title = said(run, "title"), *name = gr_json_text(run->manifest, "name");
    return title ? title : name ? name : "model";
}

/* ---- front matter --------------------------------------------------------------------------- */

/* A word of Hugging Face's list of tasks. */
static const char *task_of(const struct gr_report_run *run) {
    const json_t *architecture = json_object_get(run->manifest, "architecture");
    const char *source = gr_report_setting(run, "data.source");
    if (gr_json_count(architecture, "classes") == 0) return "tabular-regression";
    return source && strcmp(source, "idx") == 0 ? "image-classification" : "tabular-classification";
}

/* Metrics that are known, by name and value; those with bounds alone are in the table below. */
static void write_index(FILE *card, const struct gr_report_run *run) {
    json_t *metrics = json_object_get(run->evaluation, "metrics"), *metric;
    const char *key, *rows = gr_json_text(run->evaluation, "rows_of");
    bool any = false;
    fputs("model-index:\n- name: ", card);
    write_scalar(card, title_of(run));
    json_object_foreach(metrics, key, metric) {
        const double value = gr_json_real(metric, "value");
        if (!isfinite(value)) continue;
        if (!any) {
            fprintf(card,
                    "\n  results:\n  - task: {type: %s}\n    dataset: {type: federation, name: "
                    "\"%s rows of %llu silos\", split: %s}\n    metrics:\n",
                    task_of(run), rows && strcmp(rows, "test") == 0 ? "test" : "validation",
                    (unsigned long long)gr_json_count(run->manifest, "silos"),
                    rows && strcmp(rows, "test") == 0 ? "test" : "validation");
            any = true;
        }
        fputs("    - {type: ", card);
        write_scalar(card, key);
        fprintf(card, ", value: %.6g}\n", value);
    }
    if (!any) fputs("\n  results: []\n", card);
}

static void write_front(FILE *card, const struct gr_report_run *run) {
    const char *license = said(run, "license");
    fputs("---\n", card);
    if (license) {
        fputs("license: ", card);
        write_scalar(card, license);
        fputc('\n', card);
    }
    fprintf(card, "pipeline_tag: %s\ntags:\n- federated-learning\n", task_of(run));
    for (const struct gr_node *tag = entries(run, "card.tags"); tag; tag = tag->next) {
        fputs("- ", card);
        write_scalar(card, tag->text);
        fputc('\n', card);
    }
    write_index(card, run);
    fputs("---\n\n", card);
}

/* ---- sections ------------------------------------------------------------------------------- */

/* Nobody's word is made up: where nothing is said, the card says so. */
static void write_said(FILE *card, const struct gr_report_run *run, const char *heading,
                       const char *name) {
    const char *text = said(run, name);
    fprintf(card, "## %s\n\n", heading);
    if (text)
        gr_card_text(card, text);
    else
        fprintf(card, "Not stated (`card.%s` of the config).", name);
    fputs("\n\n", card);
}

static void write_summary(FILE *card, const struct gr_report_run *run) {
    const json_t *m = run->manifest, *architecture = json_object_get(m, "architecture");
    const char *type = gr_json_text(architecture, "type");
    const char *strategy = gr_report_setting(run, "strategy.name");
    const uint64_t classes = gr_json_count(architecture, "classes");
    const char *outcome = gr_json_text(m, "outcome");
    fputs("# ", card);
    gr_card_text(card, title_of(run));
    fprintf(card, "\n\nA model (%s, %llu parameters", type ? type : "of unknown type",
            (unsigned long long)gr_json_count(m, "parameters"));
    if (classes > 0)
        fprintf(card, ", %llu classes", (unsigned long long)classes);
    else
        fputs(", which predicts a number", card);
    fprintf(card, ") trained across %llu silos, whose rows did not leave them",
            (unsigned long long)gr_json_count(m, "silos"));
    if (strategy) {
        fputs(", with the strategy ", card);
        gr_card_text(card, strategy);
    }
    fprintf(card, ", in %llu rounds of %llu.\n\n", (unsigned long long)gr_report_rounds_done(run),
            (unsigned long long)gr_json_count(m, "rounds"));
    if (run->best_round > 0)
        fprintf(card, "The model is that of round %u, whose score on validation rows was best.\n\n",
                run->best_round);
    if (outcome && strcmp(outcome, "finished") != 0) {
        fputs("**The run has not finished: it is ", card);
        gr_card_text(card, outcome);
        fputs(".**\n\n", card);
    }
}

static void write_noised_score(FILE *card, const char *name, const char *rows, uint32_t round,
                               double score, double error) {
    if (!isfinite(score)) return;
    fprintf(card, "| %s (%s rows, after round %u) | %.4g", name, rows, round, score);
    if (error > 0) fprintf(card, " (standard error of the noise alone: %.2g)", error);
    fputs(" |\n", card);
}

/* A score of rows that are noised is of the last round that has one. */
static void write_noised(FILE *card, const struct gr_report_run *run) {
    const struct gr_report_totals totals = gr_report_totals_of(run);
    const struct gr_metrics *m = totals.tested ? totals.tested : totals.validated;
    if (m && totals.tested) {
        write_noised_score(card, "accuracy", "test", m->round, m->test_accuracy,
                           m->noise_error.test_accuracy);
        write_noised_score(card, "loss", "test", m->round, m->test_loss, m->noise_error.test_loss);
    } else if (m) {
        write_noised_score(card, "accuracy", "validation", m->round, m->validation_accuracy,
                           m->noise_error.validation_accuracy);
        write_noised_score(card, "loss", "validation", m->round, m->validation_loss,
                           m->noise_error.validation_loss);
    }
}

static bool is_told(const json_t *metric) {
    return isfinite(gr_json_real(metric, "value")) ||
           (isfinite(gr_json_real(metric, "lower")) && isfinite(gr_json_real(metric, "upper")));
}

static void write_metric(FILE *card, const char *key, const json_t *metric) {
    const double value = gr_json_real(metric, "value"), lower = gr_json_real(metric, "lower"),
                 upper = gr_json_real(metric, "upper");
    char name[80];
    gr_report_metric_name(key, name);
    fputs("| ", card);
    gr_card_text(card, name);
    fputs(" | ", card);
    if (isfinite(value)) fprintf(card, "%.4g", value);
    if (isfinite(lower) && isfinite(upper))
        fprintf(card, isfinite(value) ? " (counted within %.4g to %.4g)" : "%.4g to %.4g", lower,
                upper);
    fputs(" |\n", card);
}

/* Metrics that are not told, those of one reason together. */
static void write_untold(FILE *card, json_t *metrics) {
    const char *key, *last = NULL;
    json_t *metric;
    char name[80];
    json_object_foreach(metrics, key, metric) {
        if (is_told(metric)) continue;
        const char *why = gr_json_text(metric, "why");
        if (!why) why = "not defined";
        gr_report_metric_name(key, name);
        if (last && strcmp(last, why) == 0) {
            fputs(", ", card);
        } else {
            if (last) fputs(".\n", card);
            fputs("- Not told (", card);
            gr_card_text(card, why);
            fputs("): ", card);
        }
        gr_card_text(card, name);
        last = why;
    }
    if (last) fputs(".\n\n", card);
}

static void write_scores(FILE *card, const struct gr_report_run *run) {
    json_t *metrics = json_object_get(run->evaluation, "metrics"), *metric;
    const char *key, *rows_of = gr_json_text(run->evaluation, "rows_of");
    const uint64_t rows = gr_json_count(run->evaluation, "rows");
    fputs("## Evaluation\n\n", card);
    if (!run->evaluation) fputs("There is no evaluation of the final model.\n\n", card);
    if (rows > 0)
        fprintf(card, "On %llu %s rows, which no silo trained on.\n\n", (unsigned long long)rows,
                rows_of && strcmp(rows_of, "test") == 0 ? "test" : "validation");
    fputs("| metric | value |\n|---|---|\n", card);
    if (!is_told(json_object_get(metrics, "accuracy")) && !is_told(json_object_get(metrics, "r2")))
        write_noised(card, run);
    json_object_foreach(metrics, key, metric) if (is_told(metric)) write_metric(card, key, metric);
    fputc('\n', card);
    write_untold(card, metrics);
    gr_card_intervals(card, run->evaluation);
    gr_card_postprocessing(card, run->evaluation);
    gr_card_slices(card, run->evaluation);
}

static void write_privacy(FILE *card, const struct gr_report_run *run) {
    const json_t *privacy = json_object_get(run->manifest, "privacy");
    const char *statement = gr_json_text(privacy, "statement"),
               *mechanism = gr_json_text(privacy, "mechanism");
    const char *secure = gr_report_setting(run, "secure.aggregation");
    fputs("## Privacy\n\n", card);
    if (statement)
        gr_card_text(card, statement);
    else if (mechanism && strcmp(mechanism, "rehearsal") == 0)
        fputs("**None: a rehearsal, whose noise follows from its seed.**", card);
    else
        fputs("No differential privacy: the model may tell of rows that it was trained on.", card);
    fputs("\n\n", card);
    if (secure && strcmp(secure, "true") == 0)
        fputs("Updates were added up behind masks: nobody saw a single silo's.\n\n", card);
}

/* Pseudonyms and reasons stand in the report; here is how much of the federation it was. */
static void write_refused(FILE *card, const struct gr_report_run *run) {
    const struct gr_report_totals totals = gr_report_totals_of(run);
    fprintf(card,
            "## What went otherwise\n\n- rounds in which silos were missing: %zu of %zu\n- alerts: "
            "%zu\n",
            totals.partial, run->n, run->n_alerts);
    if (json_is_true(json_object_get(run->manifest, "data_incomplete")))
        fputs("- silos that could not read their data were left out\n", card);
    if (run->broken_event > 0)
        fprintf(card,
                "- the chain of events breaks at line %zu: what is told from there on is "
                "not certain\n",
                run->broken_event);
    json_t *text;
    size_t i;
    json_array_foreach(run->notes, i, text) {
        fputs("- ", card);
        gr_card_text(card, json_string_value(text));
        fputc('\n', card);
    }
    fputc('\n', card);
}

static void write_lineage(FILE *card, const struct gr_report_run *run) {
    static const char *const digests[][2] = {{"model digest", "model_digest"},
                                             {"config digest", "config_digest"},
                                             {"data fingerprint", "data_fingerprint"},
                                             {"run", "run_id"}};
    const json_t *stretches = json_object_get(run->manifest, "stretches");
    const json_t *last = json_array_get(stretches, json_array_size(stretches) - 1);
    const char *started = gr_json_text(json_array_get(stretches, 0), "started");
    const char *ended = gr_json_text(last, "ended");
    fputs("## Lineage\n\n", card);
    for (size_t i = 0; i < sizeof digests / sizeof *digests; i++) {
        const char *value = gr_json_text(run->manifest, digests[i][1]);
        if (!value) continue;
        fprintf(card, "- %s: ", digests[i][0]);
        gr_card_text(card, value);
        fputc('\n', card);
    }
    fputs("- trained from ", card);
    gr_card_text(card, started ? started : "an unknown time");
    fputs(" to ", card);
    gr_card_text(card, ended ? ended : "an unknown time");
    fputs("\n- granary ", card);
    gr_card_text(card, gr_json_text(json_object_get(run->manifest, "software"), "granary"));
    fputs("; `manifest.json` and `resolved.yaml` of the run tell all settings and software\n\n",
          card);
}

static void write_approvals(FILE *card, const struct gr_report_run *run) {
    const struct gr_node *line = entries(run, "card.approvals");
    fputs("## Approvals\n\n", card);
    if (!line) fputs("None stated (`card.approvals` of the config).\n", card);
    for (; line; line = line->next) {
        fputs("- ", card);
        gr_card_text(card, line->text);
        fputc('\n', card);
    }
}

static void write_card(FILE *card, const struct gr_report_run *run) {
    write_front(card, run);
    write_summary(card, run);
    write_said(card, run, "Intended use", "intended_use");
    write_said(card, run, "Limits", "limits");
    write_said(card, run, "Data", "data");
    write_scores(card, run);
    write_privacy(card, run);
    write_refused(card, run);
    write_lineage(card, run);
    write_said(card, run, "Contact", "contact");
    write_approvals(card, run);
}

/* Into memory first: a disk that is full then leaves the former card as it was. */
gr_status gr_model_card_write(const struct gr_report_run *run, const char *run_path) {
    gr_status status = GR_OK;
    char *text = NULL, *path = NULL;
    size_t length = 0;
    FILE *card = open_memstream(&text, &length);
    if (card) write_card(card, run);
    bool failed = !card || ferror(card);
    if (card && fclose(card) != 0) failed = true;
    if (failed) status = gr_fail(GR_ERROR_INTERNAL, "memory for a model card was refused");
    GR_TRY(status);
    GR_TRY(gr_text_format(&path, "%s/model-card.md", run_path));
    status = gr_file_write(path, text, length);
out:
    gr_free(path);
    free(text);
    return status;
}
