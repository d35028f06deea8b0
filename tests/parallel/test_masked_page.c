/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masked sums of a piece of work that a loss has ended: the ranks are left in the states in which
 * one leaves them, and do the work again with other values, as those who are left would. A sum that
 * all have is opened, and told as it was, for some may have read it; one that somebody lacks was
 * read by nobody, and is taken anew.
 *
 * ranks: 4 5
 */
#include "parallel.h"

#include <stdio.h>
#include <unistd.h>

#include "cohort/masked_page.h"

enum { SILOS = 4, N = 3, KEY = 7 };

static const char config_text[] = "run: {rounds: 1}\n"
                                  "data: {source: synthetic, silos: 4}\n"
                                  "model: {type: softmax}\n"
                                  "train: {learning_rate: 0.1, batch_size: 8}\n"
                                  "aggregation: {grid: public, clip_norm: 1, weight_max: 9}\n"
                                  "secure: {aggregation: true}\n";

/* A work of one sum. Each rank hosts one silo, the fifth rank none. */
struct work {
    struct gr_comm *comm;
    struct gr_config *config;
    struct gr_masking *masking;
    struct gr_masked_page page;
    int32_t host_of[SILOS];
};

static int work_create(struct gr_comm *comm, struct work *work) {
    int bad = 0;
    *work = (struct work){.comm = comm};
    for (int s = 0; s < SILOS; s++)
        work->host_of[s] = s;
    EXPECT(gr_config_parse("t.yaml", config_text, strlen(config_text), NULL, 0, &work->config) ==
           GR_OK);
    EXPECT(gr_masking_create(comm, work->config, work->host_of, &work->masking) == GR_OK);
    gr_masked_page_turn(&work->page, KEY);
    return bad;
}

static void work_release(struct work *work) {
    gr_masked_page_release(&work->page);
    gr_masking_free(work->masking);
    gr_config_free(work->config);
}

/* A rank's values the first time, 0, and when the work is begun again. */
static void values_of(int rank, int time, int64_t values[N]) {
    for (int i = 0; i < N; i++)
        values[i] = rank < SILOS ? 100 * (rank + 1) + i + 5000 * time : 0;
}

static bool are_sums(const int64_t values[N], int time) {
    for (int i = 0; i < N; i++)
        if (values[i] != 1000 + SILOS * i + SILOS * 5000 * time) return false;
    return true;
}

/* Collective. The masked sum of the first values, as a loss in its agreement leaves it: held by
 * all, and known to be so where `agreed`. */
static int take(struct work *work, bool agreed) {
    int bad = 0;
    struct gr_masked_entry *entry = NULL;
    const struct gr_masked_options options = {.release = GR_RELEASE_SCORES, .round = KEY};
    EXPECT(gr_allocate_zero(1, sizeof *entry, "entry", &entry) == GR_OK);
    EXPECT(gr_allocate(N, sizeof *entry->words, "words", &entry->words) == GR_OK);
    work->page.entries = entry;
    work->page.n_entries = 1;
    entry->n = N;
    entry->release = options.release;
    EXPECT(gr_masked_begin(work->masking, &options, &entry->sum) == GR_OK);
    values_of(gr_comm_rank(work->comm), 0, entry->words);
    gr_masked_add(entry->sum, (struct gr_stream_range){.bits = 64, .n = N}, entry->words);
    EXPECT(gr_comm_sum_public(work->comm, entry->words, N) == GR_OK);
    EXPECT(!are_sums(entry->words, 0));
    EXPECT(gr_masked_agree(work->masking, gr_masked_status(entry->sum)) == GR_OK);
    entry->held = true;
    entry->agreed = agreed;
    return bad;
}

/* Collective. The work is begun for the time-th time; told: of which time its sum is to be. */
static int again(struct work *work, int time, int told) {
    int bad = 0;
    int64_t values[N];
    values_of(gr_comm_rank(work->comm), time, values);
    gr_masked_page_turn(&work->page, KEY);
    EXPECT(gr_masked_page_sum(&work->page, work->masking, GR_RELEASE_SCORES, values, N) == GR_OK);
    EXPECT(are_sums(values, told));
    return bad;
}

static int nobody_knows_that_all_have_it(struct gr_comm *comm) {
    struct work work;
    int bad = work_create(comm, &work);
    bad += take(&work, false);
    bad += again(&work, 1, 1);
    bad += again(&work, 2, 1); /* it has been read */
    work_release(&work);
    return bad;
}

/* Some had gone on to open it, and may have heard enough for that. */
static int one_knows_that_all_have_it(struct gr_comm *comm) {
    struct work work;
    int bad = work_create(comm, &work);
    bad += take(&work, gr_comm_rank(comm) == 1);
    bad += again(&work, 1, 0);
    work_release(&work);
    return bad;
}

/* A rank that has come since has no part in it, and is told what the others open. */
static int who_was_not_in_it(struct gr_comm *comm) {
    struct work work;
    int bad = work_create(comm, &work);
    bad += take(&work, true);
    if (gr_comm_rank(comm) == 2) gr_masked_page_release(&work.page);
    bad += again(&work, 1, 0);
    work_release(&work);
    return bad;
}

/* A rank has heard nothing of an opening that the others have ended: they bring once more what they
 * have signed, and do not sign again. */
static int who_has_missed_the_opening(struct gr_comm *comm) {
    struct work work;
    unsigned char total[GR_DIGEST_BYTES];
    bool all = false;
    int bad = work_create(comm, &work);
    bad += take(&work, true);
    struct gr_masked_sum *sum = work.page.entries->sum;
    gr_digest_of(work.page.entries->words, N * sizeof(int64_t), total);
    /* Without its sum it neither brings nor hears. */
    EXPECT(gr_masked_open(work.masking, gr_comm_rank(comm) == 2 ? NULL : sum, SILOS, total, &all) ==
           GR_OK);
    EXPECT(all); /* they have heard of all signatures before they have opened anything */
    EXPECT((gr_secure_collector_step(sum->collector) == GR_SECURE_STEP_ROSTERS) ==
           (gr_comm_rank(comm) == 2));
    bad += again(&work, 1, 0);
    work_release(&work);
    return bad;
}

/*
 * Collective. Who has a record of sums refuses what would tell, by subtraction, what those brought
 * who are gone; a work that was forgotten, of which nothing is brought any more, is another sum
 * each time.
 */
static int what_is_forgotten_is_another_sum(struct gr_comm *comm) {
    static const int32_t others[][2] = {{3, 2}, {4, 2}, {4, 3}}; /* who are there */
    char path[64];
    int64_t values[N];
    bool told;
    struct work work;
    if (gr_comm_size(comm) == SILOS) return 0;
    int bad = work_create(comm, &work);
    snprintf(path, sizeof path, "masked-page-%d.sums", gr_comm_slot(comm));
    unlink(path);
    EXPECT(gr_sum_journal_open(path, &work.masking->journal) == GR_OK);
    for (int lost = 0; lost < 3; lost++) {
        work.host_of[SILOS - 1] = others[lost][0];
        work.host_of[SILOS - 2] = others[lost][1];
        gr_masked_page_turn(&work.page, KEY);
        if (lost > 0) EXPECT(gr_masked_page_forget(&work.page, comm, &told) == GR_OK && told);
        values_of(lost > 0 ? SILOS : gr_comm_rank(comm), 0, values);
        EXPECT(gr_masked_page_sum(&work.page, work.masking, GR_RELEASE_SCORES, values, N) == GR_OK);
        EXPECT(lost > 0 ? values[0] == 0 : are_sums(values, 0));
    }
    unlink(path);
    work_release(&work);
    return bad;
}

PARALLEL_MAIN({"nobody knows that all have it", nobody_knows_that_all_have_it},
              {"one knows that all have it", one_knows_that_all_have_it},
              {"who was not in it", who_was_not_in_it},
              {"who has missed the opening", who_has_missed_the_opening},
              {"what is forgotten is another sum", what_is_forgotten_is_another_sum})
