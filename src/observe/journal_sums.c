/* SPDX-License-Identifier: Apache-2.0 */
/* The journals of a site's folder in a few figures, and in few words. */
#include <granary/journal.h>

#include <unistd.h>

#include "observe/json.h"

enum { RANKS_MAX = 4096, NUMBERS_MAX = 10000 };

struct addition {
    struct gr_journal_sums *out;
    int rank; /* whose journal it is; the first one's tells the rounds */
};

static void keep_text(char *to, size_t room, const char *text) {
    if (text) gr_text_quote(text, strlen(text), to, room);
}

/* ---- releases -------------------------------------------------------------------------------- */

/* The entry of a release, made where there is none, in its place; NULL: there are too many. */
static struct gr_journal_sum *entry_of(struct gr_journal_sums *out, const json_t *json) {
    const uint64_t number = gr_json_count(json, "release");
    const int id = number < NUMBERS_MAX ? (int)number : NUMBERS_MAX;
    size_t at = 0;
    while (at < out->n && out->sum[at].id < id)
        at++;
    if (at < out->n && out->sum[at].id == id) return &out->sum[at];
    if (id == NUMBERS_MAX || out->n == GR_JOURNAL_SUMS_MAX) return NULL;
    memmove(&out->sum[at + 1], &out->sum[at], (out->n - at) * sizeof out->sum[0]);
    out->n++;
    out->sum[at] =
        (struct gr_journal_sum){.id = id, .first = (uint32_t)gr_json_count(json, "round")};
    keep_text(out->sum[at].name, sizeof out->sum[at].name, gr_json_text(json, "name"));
    return &out->sum[at];
}

static void add_release(struct addition *addition, const json_t *json) {
    struct gr_journal_sums *out = addition->out;
    const uint64_t round = gr_json_count(json, "round");
    const char *time = gr_json_text(json, "time");
    struct gr_journal_sum *sum = entry_of(out, json);
    if (!sum) {
        out->others++;
        return;
    }
    sum->times++;
    sum->values += gr_json_count(json, "values");
    sum->bytes += gr_json_count(json, "bytes");
    sum->last = (uint32_t)round;
    keep_text(sum->how, sizeof sum->how, gr_json_text(json, "protected"));
    if (time && strcmp(time, out->newest) > 0) keep_text(out->newest, sizeof out->newest, time);
    /* After a restart rounds are done again: they were given before. */
    if (addition->rank > 0 || round <= out->last_round || round > UINT32_MAX) return;
    out->last_round = (uint32_t)round;
    out->rounds++;
}

static void add_withheld(struct gr_journal_sums *out, const json_t *json) {
    struct gr_journal_sum *sum = entry_of(out, json);
    if (!sum) return;
    sum->withheld++;
    keep_text(sum->rule, sizeof sum->rule, gr_json_text(json, "protected"));
}

/* ---- stretches ------------------------------------------------------------------------------- */

static size_t stretches_kept(const struct gr_journal_sums *out) {
    return out->n_stretches < GR_JOURNAL_STRETCHES_MAX ? out->n_stretches
                                                       : GR_JOURNAL_STRETCHES_MAX;
}

static void open_stretch(struct addition *addition, const json_t *json) {
    struct gr_journal_sums *out = addition->out;
    json_t *approvals = json_object_get(json, "approvals");
    size_t at = stretches_kept(out);
    if (at == GR_JOURNAL_STRETCHES_MAX)
        memmove(out->stretch, out->stretch + 1, --at * sizeof out->stretch[0]);
    out->n_stretches++;
    out->stretch[at] = (struct gr_journal_stretch){.rank = (uint64_t)addition->rank};
    keep_text(out->stretch[at].opened, sizeof out->stretch[at].opened, gr_json_text(json, "time"));
    keep_text(out->site, sizeof out->site, gr_json_text(json, "site"));
    keep_text(out->study, sizeof out->study, gr_json_text(json, "study"));
    keep_text(out->key, sizeof out->key, gr_json_text(json, "key"));
    if (!json_is_array(approvals)) return;
    free(out->approvals);
    out->approvals = json_dumps(approvals, JSON_COMPACT);
}

static void close_stretch(struct gr_journal_sums *out, const json_t *json) {
    if (out->n_stretches == 0) return;
    struct gr_journal_stretch *stretch = &out->stretch[stretches_kept(out) - 1];
    keep_text(stretch->closed, sizeof stretch->closed, gr_json_text(json, "time"));
    keep_text(stretch->outcome, sizeof stretch->outcome, gr_json_text(json, "outcome"));
    stretch->round = (uint32_t)gr_json_count(json, "round");
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void add_seal(struct gr_journal_sums *out, const json_t *json) {
    struct gr_run_seal seal;
    const char *text = gr_json_text(json, "seal");
    out->seals++;
    if (text && gr_run_seal_read(text, strlen(text), &seal) == GR_OK) out->seal = seal;
}

static void add_event(struct addition *addition, const char *event, const json_t *json) {
    struct gr_journal_sums *out = addition->out;
    const char *time = gr_json_text(json, "time"), *what = gr_json_text(json, "what");
    if (time && (!out->oldest[0] || strcmp(time, out->oldest) < 0))
        keep_text(out->oldest, sizeof out->oldest, time);
    if (strcmp(event, "opened") == 0) open_stretch(addition, json);
    if (strcmp(event, "release") == 0) add_release(addition, json);
    if (strcmp(event, "withheld") == 0) add_withheld(out, json);
    if (strcmp(event, "seal") == 0) add_seal(out, json);
    if (strcmp(event, "contradiction") == 0)
        keep_text(out->contradiction, sizeof out->contradiction, what ? what : "?");
    if (strcmp(event, "closed") == 0) close_stretch(out, json);
}

static gr_status add_line(void *context, const struct gr_chain_line *line) {
    struct addition *addition = context;
    struct gr_journal_sums *out = addition->out;
    json_t *json = json_loadb(line->text, line->n, JSON_REJECT_DUPLICATES, NULL);
    const char *event = gr_json_text(json, "event");
    if (!line->follows && out->broken++ == 0)
        snprintf(out->broken_at, sizeof out->broken_at, "line %llu of the journal of process %d",
                 (unsigned long long)line->number, addition->rank);
    if (event) add_event(addition, event, json);
    json_decref(json);
    return GR_OK;
}

gr_status gr_journal_sum_up(const char *directory, struct gr_journal_sums *out) {
    gr_status status = GR_OK;
    char *path = NULL;
    *out = (struct gr_journal_sums){0};
    for (int rank = 0; rank < RANKS_MAX; rank++) {
        struct addition addition = {.out = out, .rank = rank};
        uint64_t n;
        bool torn;
        gr_free(path);
        path = NULL;
        GR_TRY(gr_journal_path(directory, rank, &path));
        if (access(path, F_OK) != 0) break;
        GR_TRY(gr_chain_read(path, add_line, &addition, &n, &torn));
        out->n_files++;
        out->lines += n;
        out->torn = out->torn || torn;
    }
out:
    gr_free(path);
    return status;
}

void gr_journal_sums_release(struct gr_journal_sums *sums) {
    free(sums->approvals);
    sums->approvals = NULL;
}
