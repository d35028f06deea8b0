/* SPDX-License-Identifier: Apache-2.0 */
/* The journals of a site's folder in a few figures. */
#include <granary/journal.h>

#include <unistd.h>

#include "observe/json.h"

enum { RANKS_MAX = 4096 };

struct addition {
    struct gr_journal_sums *out;
    bool first; /* of the journals: it tells the rounds */
};

/* The entry of a release, made where there is none, in its place; NULL: there are too many. */
static struct gr_journal_sum *entry_of(struct gr_journal_sums *out, int id, const char *name) {
    size_t at = 0;
    while (at < out->n && out->sum[at].id < id)
        at++;
    if (at < out->n && out->sum[at].id == id) return &out->sum[at];
    if (out->n == GR_JOURNAL_SUMS_MAX) return NULL;
    memmove(&out->sum[at + 1], &out->sum[at], (out->n - at) * sizeof out->sum[0]);
    out->n++;
    out->sum[at] = (struct gr_journal_sum){.id = id};
    gr_text_quote(name ? name : "", name ? strlen(name) : 0, out->sum[at].name,
                  sizeof out->sum[at].name);
    return &out->sum[at];
}

static void add_release(struct addition *addition, const json_t *json) {
    struct gr_journal_sums *out = addition->out;
    const uint64_t id = gr_json_count(json, "release"), round = gr_json_count(json, "round");
    const char *time = gr_json_text(json, "time");
    struct gr_journal_sum *sum =
        id < 10000 ? entry_of(out, (int)id, gr_json_text(json, "name")) : NULL;
    if (!sum) return;
    sum->times++;
    sum->values += gr_json_count(json, "values");
    sum->bytes += gr_json_count(json, "bytes");
    if (time && strcmp(time, out->newest) > 0)
        gr_text_quote(time, strlen(time), out->newest, sizeof out->newest);
    /* After a restart rounds are done again: they were given before. */
    if (!addition->first || round <= out->last_round || round > UINT32_MAX) return;
    out->last_round = (uint32_t)round;
    out->rounds++;
}

static gr_status add_line(void *context, const struct gr_chain_line *line) {
    struct addition *addition = context;
    struct gr_journal_sums *out = addition->out;
    json_t *json = json_loadb(line->text, line->n, JSON_REJECT_DUPLICATES, NULL);
    const char *event = gr_json_text(json, "event");
    out->broken += !line->follows;
    if (event && strcmp(event, "release") == 0) add_release(addition, json);
    out->seals += event && strcmp(event, "seal") == 0;
    if (event && strcmp(event, "contradiction") == 0) out->contradicted = true;
    json_decref(json);
    return GR_OK;
}

gr_status gr_journal_sum_up(const char *directory, struct gr_journal_sums *out) {
    gr_status status = GR_OK;
    char *path = NULL;
    *out = (struct gr_journal_sums){0};
    for (int rank = 0; rank < RANKS_MAX; rank++) {
        struct addition addition = {.out = out, .first = rank == 0};
        uint64_t n;
        bool torn;
        gr_free(path);
        path = NULL;
        GR_TRY(gr_journal_path(directory, rank, &path));
        if (access(path, F_OK) != 0) break;
        GR_TRY(gr_chain_read(path, add_line, &addition, &n, &torn));
        out->n_files++;
    }
out:
    gr_free(path);
    return status;
}
