/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refusals of a run before its first round, found in advance: the federation is made as a run makes
 * it, and let go. A refusal hides what would come after it; where it may be about how one table is
 * dealt to the silos, the federation is made again with that out of the way, to see the next one
 * too.
 */
#include "federation/internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct examiner {
    struct gr_comm *comm;
    const struct gr_config *config;
    struct gr_examination *out;
    gr_status failed; /* while listening */
};

static gr_status add_text(char ***list, size_t *n, const char *text) {
    gr_status status = GR_OK;
    if (!*list) GR_TRY(gr_allocate_zero(GR_FINDINGS_MAX, sizeof **list, "findings", list));
    if (*n < GR_FINDINGS_MAX) status = gr_text_format(&(*list)[*n], "%s", text);
    if (status == GR_OK && *n < GR_FINDINGS_MAX) ++*n;
out:
    return status;
}

/*
 * A listener: lines that silos of this rank would see on their terminal. It may not fail, so an
 * error is kept in `failed` and agreed on later.
 */
static void hear(void *context, const char *line) {
    struct examiner *e = context;
    if (e->out->n_sitting == GR_FINDINGS_MAX) {
        e->out->n_more++;
        return;
    }
    gr_status status = add_text(&e->out->sitting, &e->out->n_sitting, line);
    if (e->failed == GR_OK) e->failed = status;
}

/*
 * Collective. Adds gr_message to the problems, unless it is there: a second attempt often meets the
 * first one's refusal again. The message is the same on all ranks, for they have agreed on it.
 */
static gr_status note(struct examiner *e, gr_status status) {
    struct gr_examination *out = e->out;
    for (size_t i = 0; i < out->n; i++)
        if (strcmp(out->problem[i], gr_message()) == 0) return GR_OK;
    if (out->status == GR_OK) out->status = status;
    return gr_comm_agree(e->comm, add_text(&out->problem, &out->n, gr_message()));
}

/* Takes the words over. */
static gr_status add_words(struct examiner *e, char *words) {
    gr_status status = words ? add_text(&e->out->note, &e->out->n_notes, words) : GR_OK;
    gr_free(words);
    return status;
}

/*
 * What the config promises less than it may seem to; then the findings that a run would write into
 * its events (note_found of run_records.c), in the same order.
 */
static gr_status note_found(struct examiner *e, const struct gr_cohort *cohort) {
    gr_status status = GR_OK;
    char *words = NULL;
    GR_TRY(gr_privacy_remark(e->config, &words));
    GR_TRY(add_words(e, words));
    for (size_t i = 0; i < gr_cohort_columns(cohort); i++) {
        GR_TRY(gr_cohort_tell_found(cohort, i, &words));
        GR_TRY(add_words(e, words));
        GR_TRY(gr_cohort_tell_vanished(cohort, i, &words));
        GR_TRY(add_words(e, words));
    }
    GR_TRY(gr_cohort_tell_preprocessing(cohort, &words));
    GR_TRY(add_words(e, words));
    GR_TRY(gr_cohort_tell_withheld(cohort, &words));
    GR_TRY(add_words(e, words));
    GR_TRY(gr_cohort_tell_passed_over(cohort, &words));
    GR_TRY(add_words(e, words));
    GR_TRY(gr_cohort_tell_weights(cohort, &words));
    GR_TRY(add_words(e, words));
    GR_TRY(gr_cohort_tell_codes(cohort, &words));
    GR_TRY(add_words(e, words));
    for (size_t i = 0; i < GR_TELL_SPLITS; i++) {
        GR_TRY(gr_cohort_tell_split(cohort, i, &words));
        GR_TRY(add_words(e, words));
    }
out:
    return status;
}

/*
 * Collective. Makes the federation of a config as a run does, and lets it go; nothing is written.
 * GR_ERROR_INTERNAL and GR_LOST are failures of the examination; any other status is a finding.
 * Only the first attempt listens and notes, later ones are of a changed config.
 */
static gr_status attempt(struct examiner *e, const struct gr_config *config, bool first) {
    struct gr_federation *f = NULL;
    const struct gr_listener listener = {hear, e};
    struct gr_cohort_options options = {.listener = first ? &listener : NULL};
    struct gr_cohort *cohort = NULL;
    struct gr_initial initial = {0};
    gr_status status = gr_comm_agree(e->comm, gr_cohort_create(e->comm, config, &cohort));
    if (status != GR_OK) goto out;
    /* A site has no file of it. */
    if (config->model.initial[0]) status = gr_initial_read(e->comm, config, NULL, &initial);
    if (status != GR_OK) goto out;
    options.fitted = initial.used;
    options.preprocessing = initial.used && initial.preprocessing[0] ? initial.preprocessing : NULL;
    gr_cohort_set_options(cohort, &options);
    status = gr_federation_create(cohort, &f);
    if (status == GR_OK) status = gr_initial_apply(&initial, f);
    if (status == GR_OK && first) status = gr_federation_outline(f, &e->out->opening);
    if (status == GR_OK && first && e->failed == GR_OK) e->failed = note_found(e, cohort);
out:
    gr_federation_free(f);
    gr_cohort_free(cohort);
    gr_initial_release(&initial);
    if (status == GR_OK) return gr_comm_agree(e->comm, e->failed);
    return status == GR_ERROR_INTERNAL || status == GR_LOST ? status : note(e, status);
}

/* ---- with something out of the way ------------------------------------------------------------
 */

/*
 * The schema with that column as a group, as text; NULL: there is no such column, or it is one. All
 * that a group may not have is taken off the column, so that the schema stays valid. Caller frees.
 */
static gr_status retype(const char *path, const char *column, char **out) {
    struct gr_schema *schema = NULL;
    gr_status status;
    GR_TRY(gr_schema_load(path, &schema));
    for (unsigned i = 0; i < schema->columns_count; i++) {
        struct gr_column *c = &schema->columns[i];
        if (strcmp(c->name, column) != 0) continue;
        if (c->type == GR_COLUMN_GROUP) break;
        for (unsigned k = 0; k < c->categories_count; k++)
            gr_free(c->categories[k]);
        c->categories_count = c->range_count = 0;
        c->type = GR_COLUMN_GROUP;
        c->missing = GR_MISSING_REFUSE;
        c->encode = GR_ENCODE_CODE;
        c->scale = GR_SCALE_DEFAULT;
        c->open = false;
        status = gr_schema_to_yaml(schema, out);
        break;
    }
out:
    gr_schema_free(schema);
    return status;
}

/* Collective. As if the column to partition by were of groups, which it may have to be. */
static gr_status attempt_groups(struct examiner *e) {
    gr_status status = GR_OK;
    struct gr_config changed = *e->config;
    char *text = NULL, path[64];
    int memory = -1;
    if (changed.data.source != GR_SOURCE_CSV || !changed.data.schema[0]) return GR_OK;
    GR_TRY(
        gr_comm_agree(e->comm, retype(changed.data.schema, changed.data.partition.column, &text)));
    if (!text) goto out;
    /* A file of no folder. */
    memory = memfd_create("schema", MFD_CLOEXEC);
    const ssize_t n = (ssize_t)strlen(text);
    GR_TRY(gr_comm_agree(e->comm,
                         memory >= 0 && write(memory, text, (size_t)n) == n
                             ? GR_OK
                             : gr_fail(GR_ERROR_INTERNAL, "memory for a schema was refused")));
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    changed.data.schema = path;
    status = attempt(e, &changed, false);
out:
    if (memory >= 0) close(memory);
    gr_free(text);
    return status;
}

/* Collective. As if rows were dealt at random, so that what comes after is seen. */
static gr_status attempt_dealt(struct examiner *e) {
    struct gr_config changed = *e->config;
    changed.data.partition.method = GR_PARTITION_IID;
    return attempt(e, &changed, false);
}

/* ---- all of it --------------------------------------------------------------------------------
 */

/*
 * Collective. A refusal ends an attempt, so that what would come after it is not seen. Where the
 * partition by a column may be the reason, two more attempts put it out of the way, first by
 * another type of column and then by another partition; their refusals are added to the list.
 */
gr_status gr_examine(struct gr_comm *comm, const struct gr_config *config, const char *run_path,
                     struct gr_examination *out) {
    struct examiner e = {.comm = comm, .config = config, .out = out};
    gr_status status;
    *out = (struct gr_examination){0};
    GR_TRY(attempt(&e, config, true));
    const bool by_column =
        config->data.partition.method == GR_PARTITION_COLUMN && config->data.silo_tables_count == 0;
    if (out->status != GR_OK && by_column) {
        GR_TRY(attempt_groups(&e));
        GR_TRY(attempt_dealt(&e));
    }
    status = gr_comm_agree(comm, gr_comm_rank(comm) == 0 ? gr_run_directory_check(config, run_path)
                                                         : GR_OK);
    if (status == GR_ERROR_WRITE) status = note(&e, status);
out:
    return status;
}

static void release(char **list, size_t n) {
    for (size_t i = 0; list && i < n; i++)
        gr_free(list[i]);
    gr_free(list);
}

void gr_examination_release(struct gr_examination *e) {
    release(e->problem, e->n);
    release(e->sitting, e->n_sitting);
    release(e->note, e->n_notes);
    *e = (struct gr_examination){0};
}
