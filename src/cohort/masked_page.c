/* SPDX-License-Identifier: Apache-2.0 */
#include "cohort/masked_page.h"

#include <assert.h>
#include <string.h>

static void forget(struct gr_masked_entry *entry) {
    gr_masked_free(entry->sum);
    gr_free(entry->words);
    *entry = (struct gr_masked_entry){0};
}

void gr_masked_page_release(struct gr_masked_page *page) {
    for (size_t i = 0; i < page->n_entries; i++)
        forget(&page->entries[i]);
    gr_free(page->entries);
    *page = (struct gr_masked_page){0};
}

void gr_masked_page_turn(struct gr_masked_page *page, uint64_t key) {
    if (!page->begun || page->key != key) gr_masked_page_release(page);
    page->key = key;
    page->next = 0;
    page->begun = true;
}

/* ---- how far all have come ------------------------------------------------------------------ */

static int64_t reach_of(const struct gr_masked_page *page) {
    size_t read = 0;
    while (read < page->n_entries && page->entries[read].opened)
        read++;
    return 2 * (int64_t)read + (read < page->n_entries && page->entries[read].agreed);
}

gr_status gr_masked_page_forget(struct gr_masked_page *page, struct gr_comm *comm, bool *told) {
    const uint64_t key = page->key;
    int64_t times = page->forgotten + (reach_of(page) > 0);
    const gr_status status = gr_comm_max_public(comm, &times, 1);
    if (status != GR_OK) return status;
    *told = times != 0;
    if (*told) gr_masked_page_release(page);
    page->key = key;
    page->begun = true;
    page->forgotten = times < UINT16_MAX ? (uint16_t)times : UINT16_MAX;
    return GR_OK;
}

/* Collective, where members have changed: the sums that some member has read, or may be about to.
 */
static gr_status meet(struct gr_masked_page *page, struct gr_comm *comm) {
    gr_status status = GR_OK;
    int64_t reach = reach_of(page);
    if (page->next > 0 && page->epoch == gr_comm_epoch(comm)) return GR_OK;
    GR_TRY(gr_comm_max_public(comm, &reach, 1));
    page->reach = reach;
    page->epoch = gr_comm_epoch(comm);
out:
    return status;
}

static gr_status make_room(struct gr_masked_page *page) {
    struct gr_masked_entry *entries = NULL;
    if (page->next < page->n_entries) return GR_OK;
    const gr_status status =
        gr_allocate_zero(page->next + 1, sizeof *entries, "masked sums", &entries);
    if (status != GR_OK) return status;
    if (page->n_entries > 0) memcpy(entries, page->entries, page->n_entries * sizeof *entries);
    gr_free(page->entries);
    page->entries = entries;
    page->n_entries = page->next + 1;
    return GR_OK;
}

/* What is remembered is of the sum that is asked for: another's words must not be told in its
 * place.
 */
static gr_status check_same(const struct gr_masked_entry *entry, uint32_t release, size_t n) {
    if (!entry->held && !entry->opened) return GR_OK;
    if (entry->release == release && entry->n == n) return GR_OK;
    return gr_fail(GR_ERROR_INTERNAL,
                   "masked sums are asked for in another order than before a loss: %zu values of "
                   "release %u, expected %zu of release %u",
                   n, (unsigned)release, entry->n, (unsigned)entry->release);
}

/* ---- a sum ---------------------------------------------------------------------------------- */

static struct gr_stream_range all_of(const struct gr_masked_entry *entry) {
    return (struct gr_stream_range){.bits = 64, .n = entry->n};
}

/*
 * Collective. The sum of the masked words. mine: a failure of this rank alone, of which the sum's
 * next exchange tells the others; it adds up zeros in the place of the values.
 */
static gr_status take(struct gr_masked_entry *entry, struct gr_masking *masking, gr_status mine,
                      const struct gr_masked_options *options, int64_t *values, size_t n) {
    gr_status status = GR_OK;
    forget(entry);
    GR_TRY(gr_masked_begin(masking, options, &entry->sum));
    gr_masked_fail(entry->sum, mine);
    gr_masked_fail(entry->sum, gr_allocate(n, sizeof *values, "a masked sum", &entry->words));
    int64_t *words = entry->words ? entry->words : values;
    if (entry->words) memcpy(words, values, n * sizeof *values);
    entry->n = n;
    entry->release = options->release;
    gr_masked_add(entry->sum, all_of(entry), words);
    GR_TRY(gr_comm_sum_public(masking->comm, words, n)); /* behind their masks they tell nothing */
    entry->held = entry->words != NULL;
out:
    return status;
}

/* Collective. `again`: somebody may have opened it before a loss; then it is not known who was in
 * it, and a rank that was not takes part in the exchanges alone. */
static gr_status open_entry(struct gr_masked_entry *entry, struct gr_masking *masking, bool again) {
    gr_status status = GR_OK;
    unsigned char total[GR_DIGEST_BYTES] = {0};
    bool agreed = false;
    struct gr_masked_sum *sum = entry->held || !again ? entry->sum : NULL;
    int64_t n_parties = again && sum ? sum->terms.n_parties : 0;
    if (again) GR_TRY(gr_comm_max_public(masking->comm, &n_parties, 1));
    if (again && (n_parties < GR_SECURE_PARTIES_MIN || n_parties > GR_SECURE_PARTIES_MAX))
        return gr_fail(GR_ERROR_INTERNAL, "a masked sum of %lld parties", (long long)n_parties);
    if (entry->held && !entry->opened)
        gr_digest_of(entry->words, entry->n * sizeof(int64_t), total);
    status = gr_masked_open(masking, sum, (uint32_t)n_parties, total, &agreed);
    entry->agreed = entry->agreed || (agreed && entry->held);
    if (status != GR_OK || !entry->held || entry->opened) goto out;
    gr_masked_remove(sum, all_of(entry), entry->words);
    entry->opened = true;
out:
    return status;
}

/* Collective. A sum that some have read, to those who have come since, by the lowest rank that has:
 * all would find the same. */
static gr_status tell_again(struct gr_masked_entry *entry, struct gr_comm *comm, uint32_t release,
                            size_t n) {
    gr_status status = GR_OK;
    int64_t *words = NULL;
    int64_t first = entry->opened ? gr_comm_size(comm) - gr_comm_rank(comm) : 0;
    GR_TRY(gr_comm_max_public(comm, &first, 1));
    GR_TRY(gr_comm_agree(comm, gr_allocate_zero(n, sizeof *words, "a masked sum", &words)));
    if (first == gr_comm_size(comm) - gr_comm_rank(comm) && entry->opened)
        memcpy(words, entry->words, n * sizeof *words);
    GR_TRY(gr_comm_sum_public(comm, words, n));
    if (first == 0) return gr_fail(GR_ERROR_INTERNAL, "a masked sum that nobody has any more");
    gr_free(entry->words);
    entry->words = words;
    entry->n = n;
    entry->release = release;
    entry->opened = true;
    words = NULL;
out:
    gr_free(words);
    return status;
}

/* Kind of work, how often it was forgotten, place. */
struct gr_masked_options gr_masked_page_place(uint64_t key, uint16_t forgotten, size_t place,
                                              uint32_t release) {
    enum { WORK_BITS = 32, PLACE_BITS = 16 };
    return (struct gr_masked_options){.release = release,
                                      .round = (uint32_t)key,
                                      .part = key >> WORK_BITS << WORK_BITS |
                                              (uint64_t)forgotten << PLACE_BITS | (uint16_t)place};
}

gr_status gr_masked_page_sum(struct gr_masked_page *page, struct gr_masking *masking,
                             uint32_t release, int64_t *values, size_t n) {
    gr_status status = GR_OK;
    struct gr_comm *comm = masking->comm;
    const struct gr_masked_options options =
        gr_masked_page_place(page->key, page->forgotten, page->next, release);
    struct gr_masked_entry none = {0};
    GR_TRY(meet(page, comm));
    gr_status room = make_room(page);
    const int64_t step = 2 * (int64_t)page->next;
    if (room == GR_OK && page->reach > step)
        room = check_same(page->entries + page->next, release, n);
    if (page->reach > step) GR_TRY(gr_comm_agree(comm, room));
    /* Without room for it this rank takes part until all know of that. */
    struct gr_masked_entry *entry = room == GR_OK ? page->entries + page->next : &none;
    if (page->reach <= step) GR_TRY(take(entry, masking, room, &options, values, n));
    /* Where all have read it, or nobody could before now, it is opened once. */
    if (page->reach <= step + 1) GR_TRY(open_entry(entry, masking, page->reach == step + 1));
    if (page->reach > step) GR_TRY(tell_again(entry, comm, release, n));
    assert(entry->words); /* else it has failed */
    memcpy(values, entry->words, n * sizeof *values);
    page->next++;
out:
    forget(&none);
    return status;
}
