/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary inspect: the contents of a model, checkpoint, table or run directory. It changes nothing,
 * and works on files that are damaged or still being written; damage makes it end with
 * GR_ERROR_DATA after all has been printed.
 */
#include "cli/command.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The text as it stands in the file, line by line; quoted, as a file may come from anywhere. */
static void show_text(const char *name, const char *text) {
    if (!text) return;
    printf("  %s\n", name);
    for (const char *line = text; *line;) {
        const size_t n = strcspn(line, "\n");
        char quoted[4096];
        gr_text_quote(line, n, quoted, sizeof quoted);
        printf("    %s\n", quoted);
        line += n + (line[n] == '\n');
    }
}

static void show_model(const char *path, const struct gr_model_file *file, const char *digest) {
    printf("%s: %s after round %u\n", path, file->format, file->round);
    char quoted[1024];
    gr_text_quote(file->architecture, strlen(file->architecture), quoted, sizeof quoted);
    printf("  architecture  %s\n", quoted);
    printf("  parameters    %zu\n", file->layout.n_parameters);
    for (size_t i = 0; i < file->layout.n_tensors; i++) {
        const struct gr_tensor *tensor = &file->layout.tensors[i];
        gr_text_quote(tensor->name, strlen(tensor->name), quoted, sizeof quoted);
        printf("    %-20s", quoted);
        for (size_t d = 0; d < tensor->n_dims; d++)
            printf("%s%zu", d ? " x " : " ", tensor->shape[d]);
        printf("\n");
    }
    show_text("preprocessing", file->preprocessing);
    show_text("postprocessing", file->postprocessing);
    printf("  server state  %zu vectors\n", file->n_server);
    if (file->n_silos > 0) printf("  silos         %u\n", file->n_silos);
    printf("  config, data  %s\n", file->config_digest);
    printf("  digest        %s\n", digest);
    printf("  whole         %s\n", file->digests_match ? "yes" : "NO, a slab's digest differs");
}

/*
 * A damaged file is still shown, with its digest; with --digest alone nothing is printed for it, so
 * that a script cannot take the digest of a damaged model for good.
 */
static gr_status inspect_model(const char *path, bool digest_only) {
    struct gr_model_file file = {0};
    unsigned char digest[GR_DIGEST_BYTES];
    char hex[GR_DIGEST_HEX];
    gr_status status = gr_model_file_read(path, 0, 1, &file);
    if (status != GR_OK) return status;
    gr_layout_digest(&file.layout, file.parameters, digest);
    gr_digest_hex(digest, hex);
    if (!file.digests_match)
        status = gr_fail(GR_ERROR_DATA, "%s: damaged: a slab's digest differs from what is stored",
                         path);
    if (!digest_only) gr_warn_withdrawn(path);
    if (!digest_only)
        show_model(path, &file, hex);
    else if (status == GR_OK)
        puts(hex);
    gr_model_file_release(&file);
    return status;
}

static gr_status inspect_table(const char *path) {
    struct gr_table_summary summary;
    char *copy = NULL;
    gr_status status = gr_text_format(&copy, "%s", path);
    if (status != GR_OK) return status;
    char *empty = copy + strlen(copy);
    struct gr_table_config table = {.file = copy, .features = empty, .labels = empty};
    status = gr_table_summarise(&table, GR_SOURCE_HDF5, &summary);
    if (status == GR_OK) {
        printf("%s: granary-table\n  rows      %zu\n  features ", path, summary.n_rows);
        for (size_t i = 1; i < summary.n_dims; i++)
            printf("%s%zu", i == 1 ? " " : " x ", summary.shape[i]);
        printf(" %s\n  classes   %u\n", summary.element == GR_ELEMENT_UINT8 ? "uint8" : "float32",
               summary.n_classes);
    }
    gr_free(copy);
    return status;
}

/* ---- a run ------------------------------------------------------------------------------------
 */

/* The largest class and the AUC stand beside the accuracy, as at the end of a run. */
static void print_scores(const struct gr_run_summary *s) {
    if (s->scored_round == 0) {
        printf("  scores        none%s\n", strcmp(s->outcome, "finished") == 0 ? "" : " yet");
        return;
    }
    printf("  scores        %s", s->of_test ? "test" : "validation");
    if (isfinite(s->accuracy)) printf(" accuracy %.2f %%", 100 * s->accuracy);
    if (isfinite(s->headline.largest))
        printf(" (largest class %.2f %%)", 100 * s->headline.largest);
    if (isfinite(s->headline.auc)) printf(", AUC %.3f", s->headline.auc);
    if (isfinite(s->loss)) printf("%s loss %.4f", isfinite(s->accuracy) ? "," : "", s->loss);
    if (isfinite(s->headline.r2)) printf(", R2 %.3f", s->headline.r2);
    printf(", after round %u\n", s->scored_round);
}

/* A broken chain is shown in capitals, since everything below it in the events may be forged. */
static void print_summary(const char *path, const char *model, const struct gr_run_summary *s) {
    char state[128];
    printf("%s: %s\n", path, gr_run_state_words(path, s, state));
    printf("  rounds        %llu of %llu\n", (unsigned long long)s->rounds_done,
           (unsigned long long)s->rounds);
    print_scores(s);
    printf("  time          %.1f s in rounds%s%s%s%s\n", s->seconds,
           s->started[0] ? "; started " : "", s->started, s->ended[0] ? ", ended " : "", s->ended);
    if (s->last_event[0])
        printf("  last event    %s, round %llu, %s\n", s->last_event,
               (unsigned long long)s->last_event_round, s->last_event_utc);
    printf("  last record   %.0f s ago\n", s->record_age_s);
    if (s->n_alerts > 0) printf("  alerts        %zu\n", s->n_alerts);
    printf("  model         %s\n", model ? model : "none yet");
    struct gr_withdrawn withdrawn;
    if (gr_withdrawal_read(path, &withdrawn) != GR_OK || (withdrawn.found && !withdrawn.holds))
        printf("  withdrawn     withdrawn.json is DAMAGED\n");
    else if (withdrawn.found)
        printf("  withdrawn     %s; the model without it is %s\n", withdrawn.silo, withdrawn.model);
    if (s->broken_event > 0)
        printf("  events        BROKEN at line %zu\n", s->broken_event);
    else
        printf("  events        the chain is whole\n");
    for (const char *line = s->notes; line && *line;) {
        const size_t n = strcspn(line, "\n");
        printf("  note          %.*s\n", (int)n, line);
        line += n + (line[n] == '\n');
    }
}

/*
 * Whether the directory is whole: its model, its chain of events, its manifest. A checkpoint that
 * went away meanwhile is no damage, as a run under way drops old ones.
 */
static gr_status judge_run(const char *path, const char *model, const struct gr_run_summary *s) {
    struct gr_model_file file = {0};
    gr_status status = model ? gr_model_file_read(model, 0, 1, &file) : GR_OK;
    if (status == GR_OK && model && !file.digests_match)
        status = gr_fail(GR_ERROR_DATA, "%s: damaged: a slab's digest differs from what is stored",
                         model);
    gr_model_file_release(&file);
    /* Of a run under way the checkpoint may have made room for a newer one meanwhile. */
    if (status != GR_OK && access(model, F_OK) != 0) status = GR_OK;
    if (status != GR_OK) return status;
    if (s->broken_event > 0)
        return gr_fail(GR_ERROR_DATA, "%s/events.jsonl:%zu: its hash does not continue the chain",
                       path, s->broken_event);
    if (s->outcome[0] == '\0')
        return gr_fail(GR_ERROR_DATA, "%s/manifest.json: cannot be read", path);
    return GR_OK;
}

/*
 * The folder of runs is not a run itself, but its link `latest` names the newest; other errors pass
 * unchanged.
 */
static gr_status suggest_run(const char *path, gr_status status) {
    char *latest = NULL;
    if (status != GR_ERROR_DATA) return status;
    char reason[GR_MESSAGE_MAX];
    memcpy(reason, gr_message(), strlen(gr_message()) + 1);
    if (gr_text_format(&latest, "%s/latest", path) != GR_OK) return status;
    status = access(latest, F_OK) == 0 ? gr_fail(status, "%s; its newest run is %s", reason, latest)
                                       : gr_fail(status, "%s", reason);
    gr_free(latest);
    return status;
}

/* Everything is shown before it is judged: a damaged run is the one that somebody inspects. */
static gr_status inspect_run(const char *path, bool digest_only) {
    gr_status status = GR_OK;
    struct gr_run_summary summary = {0};
    char *model = NULL, *words = NULL;
    GR_TRY(suggest_run(path, gr_run_summarise(path, &summary)));
    GR_TRY(gr_run_directory_model(path, &model));
    if (digest_only) {
        status = model ? inspect_model(model, true)
                       : gr_fail(GR_ERROR_DATA, "%s: has no model and no checkpoint yet", path);
        goto out;
    }
    print_summary(path, model, &summary);
    GR_TRY(judge_run(path, model, &summary));
    status = gr_run_compare(path, &words);
    if (words) printf("  evidence      %s\n", words);
out:
    gr_free(words);
    gr_free(model);
    gr_run_summary_release(&summary);
    return status;
}

/*
 * The kind of a file is found by trying: model first, then table. The names of configs and text
 * tables are recognised before, to give a better message than HDF5's.
 */
gr_status gr_command_inspect(struct gr_invocation *invocation) {
    const char *path;
    struct stat info = {0};
    bool digest_only = false;
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        if (option != 'd') return GR_ERROR_USAGE;
        digest_only = true;
    }
    gr_status status = gr_only_argument(invocation, "FILE or RUN", &path);
    if (status != GR_OK) return status;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return inspect_run(path, digest_only);
    if (gr_is_yaml_name(path) && S_ISREG(info.st_mode))
        return gr_fail(GR_ERROR_DATA,
                       "%s: a config or a schema, expected a model, a checkpoint, an HDF5 table or "
                       "a run directory; `granary validate` checks a config",
                       path);
    if (gr_is_table_name(path) && S_ISREG(info.st_mode))
        return gr_fail(
            GR_ERROR_DATA,
            "%s: a table of text, expected a model, a checkpoint, an HDF5 table or a run "
            "directory; `granary import --infer-schema` shows what its columns are",
            path);

    status = inspect_model(path, digest_only);
    if (status == GR_ERROR_DATA && !digest_only) {
        /* Perhaps a table; if not, what was said of it as a model stands. */
        char reason[GR_MESSAGE_MAX];
        memcpy(reason, gr_message(), sizeof reason);
        if (inspect_table(path) == GR_OK) return GR_OK;
        return gr_fail(status, "%s", reason);
    }
    return status;
}
