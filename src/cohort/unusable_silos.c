/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Silos that sit out the run, and why: the whole message goes to the terminal of the process that
 * read their data and to the silo's own log; the others are told a reason out of a fixed list, and
 * the column.
 */
#include "cohort/cohort_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a silo, so that sums over ranks, of which one brings it, are all that travels. */
struct gr_reason {
    int64_t reason; /* place in the list + 1; 0: it does not sit out */
    int64_t column; /* from 1, + 1; 0: not known */
};
enum { REASON_WORDS = sizeof(struct gr_reason) / sizeof(int64_t) };
_Static_assert(sizeof(struct gr_reason) == REASON_WORDS * sizeof(int64_t),
               "a reason is an array of int64_t");

/* Told where a message holds the words; the first that does. */
static const struct {
    const char *words, *told;
} reasons[] = {
    {"cannot be opened", "the file cannot be opened"},
    {"not a regular file", "the file cannot be opened"},
    {"damaged", "the file is damaged"},
    {"cut off", "the file is damaged"},
    {"no rows", "there are no rows"},
    {" fields, expected", "a row has another number of fields than there are columns"},
    {"a quote", "a quote is not closed, or stands within a field"},
    {"UTF-8", "the text is not UTF-8"},
    {"label", "a label is none of those expected"},
    {"target", "a target is not what the loss is defined for"},
    {"NaN, expected", "a value is missing or not a finite number"},
    {"no value, expected", "a value is missing"},
    {"an infinity", "a value is not a finite number"},
    {"finite number", "a value is not a finite number"},
    {"whole number", "a value is not a whole number"},
    {"beyond float32", "a number is beyond float32"},
    {"no category", "a value is none of the categories"},
    {"dimension", "the rows are of another shape than those of others"},
    {"rows of", "the rows are of another shape than those of others"},
    {"column", "the columns are not as expected"},
    {"feature ", "a value cannot be looked up in the model's tables"},
    {"data.schema", "data.schema cannot be read, or breaks its rules"},
};
/* A message that none of the words is in; of secure sums every one. */
enum { REASONS = sizeof reasons / sizeof *reasons, OTHER = REASONS + 1, ABSENT };

/* The number behind a word of the message's place, + 1; 0: there is none. A column's place in the
 * table is no value of anybody's, unlike the row's. */
static int64_t number_behind(const char *place, const char *word) {
    const char *at = strstr(place, word);
    char *end;
    if (!at) return 0;
    const long long number = strtoll(at + strlen(word), &end, 10);
    return end > at + strlen(word) && number >= 0 ? number + 1 : 0;
}

/* The message without the path it begins with, as in "a.csv:7: column 2 (age): found ...": the path
 * is the config's, and may hold any of the words that are looked for. */
static const char *behind_path(const struct gr_cohort *cohort, const struct gr_silo *silo) {
    if (!cohort->data->silo_tables) return silo->why;
    const struct gr_table_config *table = &cohort->config->data.silo_tables[silo->id];
    const char *paths[] = {table->file, table->features, table->labels};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        const size_t n = paths[i] ? strlen(paths[i]) : 0;
        if (n > 0 && strncmp(silo->why, paths[i], n) == 0) return silo->why + n;
    }
    return silo->why;
}

/* The message behind a column's name, "(age): ", which may be any words. */
static const char *behind_name(const char *text) {
    const char *found = text;
    for (const char *at = strstr(text, "): "); at; at = strstr(at + 1, "): "))
        found = at;
    return found;
}

/*
 * The message is searched, not passed on: whatever a table holds, only a number out of the list can
 * leave. Reasons are tried from the last to the first, so that the first in the list wins. Under
 * secure sums the reason, which is no sum, stays in the silo.
 */
static struct gr_reason reason_of(const struct gr_cohort *cohort, const struct gr_silo *silo) {
    struct gr_reason out = {.reason = OTHER};
    if (cohort->config->secure.aggregation || gr_is_private(cohort->config))
        return (struct gr_reason){.reason = ABSENT};
    const char *text = behind_path(cohort, silo), *schema = cohort->config->data.schema;
    const char *body = behind_name(text);
    char place[64];
    /* A message about the schema tells what it may hold, in words that are those of other reasons.
     */
    const size_t n = strlen(schema);
    if (n > 0 && strncmp(text, schema, n) == 0) {
        text += n;
        body = "data.schema";
    }
    snprintf(place, sizeof place, "%.*s", (int)strcspn(text, "("), text);
    for (int64_t i = REASONS; i-- > 0;)
        if (strstr(body, reasons[i].words)) out.reason = i + 1;
    out.column = number_behind(place, strstr(place, ": row ") ? ", column " : ": column ");
    return out;
}

/* An array by silo, in which each rank sets its own: the sum puts them together. Called only where
 * some silo is unusable, which all know alike. */
gr_status gr_unusable_share(struct gr_cohort *cohort) {
    const size_t n = cohort->data->n_silos;
    gr_status status = GR_OK;
    if (cohort->n_unusable == 0) return GR_OK;
    GR_TRY(gr_comm_agree(cohort->comm, cohort->reasons
                                           ? GR_OK
                                           : gr_allocate_zero(n, sizeof *cohort->reasons, "reasons",
                                                              &cohort->reasons)));
    memset(cohort->reasons, 0, n * sizeof *cohort->reasons);
    for (size_t i = 0; i < cohort->data->n_local; i++) {
        const struct gr_silo *silo = &cohort->data->local[i];
        if (silo->unusable != GR_OK) cohort->reasons[silo->id] = reason_of(cohort, silo);
    }
    status = gr_release_sum(cohort->door, GR_RELEASE_UNUSABLE, &cohort->reasons->reason,
                            n * REASON_WORDS);
out:
    return status;
}

/* Rows are released at once: an unusable silo keeps no memory, and counts as one without rows
 * everywhere. A table that all read fails the run instead, since every silo would be as wrong. */
gr_status gr_cohort_exclude(struct gr_cohort *cohort, struct gr_silo *silo, gr_status why) {
    if (why != GR_ERROR_DATA) return why;
    if (!cohort->data->silo_tables) return gr_fail_context(why, "%s: ", silo->pseudonym);
    silo->unusable = why;
    gr_rows_release(&silo->train);
    gr_rows_release(&silo->validation);
    gr_rows_release(&silo->test);
    silo->train = silo->validation = silo->test = (struct gr_rows){0};
    const struct gr_table_config *table = &cohort->config->data.silo_tables[silo->id];
    return gr_text_format(&silo->why, "%s: %s", table->file[0] ? table->file : table->features,
                          gr_message());
}

/* Whole messages go to this rank's own terminal alone, and before silos are counted, so that they
 * are there even if the run ends for it. */
void gr_unusable_hear(struct gr_cohort *cohort) {
    for (size_t i = 0; i < cohort->data->n_local; i++) {
        const struct gr_silo *silo = &cohort->data->local[i];
        if ((silo->unusable == GR_OK && silo->n_dropped == 0) || cohort->heard[silo->id]) continue;
        cohort->heard[silo->id] = 1;
        if (silo->unusable == GR_OK) {
            gr_cohort_hear_silo(cohort, silo, "%s: %zu row%s left out, the first: %s",
                                silo->pseudonym, silo->n_dropped,
                                silo->n_dropped == 1 ? " is" : "s are", silo->first_dropped);
            continue;
        }
        gr_cohort_hear_silo(cohort, silo, "%s sits out the run: %s", silo->pseudonym, silo->why);
    }
}

static void tell_reason(const struct gr_reason *r, char *words, size_t size) {
    const char *told = r->reason <= REASONS  ? reasons[r->reason - 1].told
                       : r->reason == ABSENT ? "absent: why is in its own log"
                                             : "it cannot be used";
    if (r->column > 0)
        snprintf(words, size, "column %lld: %s", (long long)r->column - 1, told);
    else
        snprintf(words, size, "%s", told);
}

/* The reason of this rank's first silo; the agreement then picks the lowest rank's. */
static gr_status fail_all(const struct gr_cohort *cohort, const struct gr_silo *silo) {
    return gr_fail_context(gr_unusable_fail(cohort, silo), "no silo has data that can be read; ");
}

/* Both numbers are sums, so all ranks find alike whether any silo is left. */
gr_status gr_unusable_count(struct gr_cohort *cohort) {
    const struct gr_silo *first = NULL;
    int64_t counts[] = {0, (int64_t)cohort->data->n_local}; /* unusable ones, of all */
    gr_unusable_hear(cohort);
    for (size_t i = 0; i < cohort->data->n_local; i++) {
        if (cohort->data->local[i].unusable == GR_OK) continue;
        counts[0]++;
        if (!first) first = &cohort->data->local[i];
    }
    gr_status status = gr_release_sum(cohort->door, GR_RELEASE_UNUSABLE, counts, 2);
    if (status != GR_OK) return status;
    cohort->n_unusable = (uint32_t)counts[0];
    if (counts[0] < counts[1]) return GR_OK;
    return gr_comm_agree(cohort->comm, first ? fail_all(cohort, first)
                                             : gr_fail(GR_ERROR_DATA, "no silo has data"));
}

gr_status gr_unusable_fail(const struct gr_cohort *cohort, const struct gr_silo *silo) {
    const struct gr_reason reason = reason_of(cohort, silo);
    char words[192];
    tell_reason(&reason, words, sizeof words);
    return gr_fail(silo->unusable, "%s: %s", silo->pseudonym, words);
}

bool gr_cohort_sits_out(const struct gr_cohort *cohort, uint32_t silo, char *words, size_t size) {
    const struct gr_reason *r = cohort->reasons ? &cohort->reasons[silo] : NULL;
    if (!r || r->reason == 0) return false;
    tell_reason(r, words, size);
    return true;
}

uint32_t gr_cohort_unusable(const struct gr_cohort *cohort) {
    return cohort->n_unusable;
}
