/* SPDX-License-Identifier: Apache-2.0 */
/* granary inspect: what a file or a run directory holds. Shows, judges little, changes nothing. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As it stands in the file. */
static void show_preprocessing(const char *text) {
    if (!text) return;
    printf("  preprocessing\n");
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
    show_preprocessing(file->preprocessing);
    printf("  server state  %zu vectors\n", file->n_server);
    printf("  silos         %u\n", file->n_silos);
    printf("  config, data  %s\n", file->config_digest);
    printf("  digest        %s\n", digest);
    printf("  whole         %s\n", file->digests_match ? "yes" : "NO, a slab's digest differs");
}

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

/* A run directory: is its event chain whole, do its files agree, and the model it ended with. */
static gr_status inspect_run(const char *path, bool digest_only) {
    gr_status status = GR_OK;
    char *events = NULL, *model = NULL, *words = NULL;
    size_t broken = 0;
    GR_TRY(gr_text_format(&events, "%s/events.jsonl", path));
    GR_TRY(gr_text_format(&model, "%s/model.h5", path));
    if (!digest_only) {
        GR_TRY(gr_events_verify(events, &broken));
        if (broken)
            printf("%s: BROKEN at line %zu\n", events, broken);
        else
            printf("%s: the chain of events is whole\n", events);
    }
    gr_status compared = digest_only ? GR_OK : gr_run_compare(path, &words);
    if (words) printf("%s: %s\n", path, words);
    if (compared != GR_OK) GR_TRY(gr_text_format(&words, "%s", gr_message()));
    status = access(model, F_OK) == 0 || digest_only ? inspect_model(model, digest_only) : GR_OK;
    if (compared != GR_OK) status = gr_fail(compared, "%s", words);
out:
    gr_free(words);
    gr_free(events);
    gr_free(model);
    return status;
}

gr_status gr_command_inspect(struct gr_invocation *invocation) {
    static const struct option options[] = {{"digest", no_argument, NULL, 'd'}, {0}};
    const char *path;
    struct stat info;
    bool digest_only = false;
    int option;
    while ((option = gr_next_option(invocation, ":", options)) != -1) {
        if (option != 'd') return GR_ERROR_USAGE;
        digest_only = true;
    }
    gr_status status = gr_only_argument(invocation, "FILE", &path);
    if (status != GR_OK) return status;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return inspect_run(path, digest_only);

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
