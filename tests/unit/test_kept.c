/* SPDX-License-Identifier: Apache-2.0 */
/* When what a silo keeps is used, when it is void, and that it changes only with the round. */
#include "federation/internal.h"

#include "scratch.h"

enum { SILOS = 6, LOCAL = 2, SIZE = 16 };

static struct gr_config config;
static struct gr_data data;
static struct gr_silo local[LOCAL];
static struct gr_layout layout;
static uint32_t silo_rounds[SILOS];
static struct gr_kept *kept;
static struct gr_solver *solver;
static bool begins_anew[SILOS];

/* This rank hosts silos 3 and 5 of 6. */
static void begin(void) {
    const size_t n = SIZE;
    MUST(gr_layout_append(&layout, "all", 1, &n));
    local[0].id = local[0].stream = 3;
    local[1].id = local[1].stream = 5;
    data.n_silos = SILOS;
    data.n_local = LOCAL;
    data.local = local;
    static char strategy[] = "fedavg";
    config.run.seed = 77;
    config.strategy.name = strategy;
    config.aggregation.encoding = GR_ENCODING_RING16;
    MUST(gr_kept_create(&config, &data, &layout, silo_rounds, &kept));
}

static void end(void) {
    gr_kept_free(kept);
    gr_layout_release(&layout);
}

/* As a round does: silo of place `which` brings an update. */
static struct gr_contribution offer(size_t which, uint32_t round) {
    struct gr_contribution contribution = {.weight = 1};
    MUST(gr_kept_begin(kept, which, &solver));
    begins_anew[local[which].id] = gr_kept_offer(kept, which, round, &contribution);
    ck_assert_ptr_nonnull(contribution.left);
    return contribution;
}

/* The sum leaves `value` over, and the round is taken or not. */
static void leave(const struct gr_contribution *contribution, float value) {
    for (size_t i = 0; i < layout.size; i++)
        contribution->left[i] = value;
}

static void commit(size_t which) {
    silo_rounds[local[which].id]++;
    gr_kept_commit(kept);
}

static bool anew(size_t which) {
    return begins_anew[local[which].id];
}

START_TEST(with_the_round) {
    begin();
    struct gr_contribution c = offer(1, 1);
    ck_assert_ptr_null(c.residual);
    ck_assert(!anew(1));
    ck_assert_uint_eq(c.rounding.seed, 77);
    ck_assert_uint_eq(c.rounding.silo, 5);
    ck_assert_uint_eq(c.rounding.round, 1);
    ck_assert_int_eq(c.rounding.purpose, GR_PURPOSE_ROUNDING);
    leave(&c, 1);
    commit(1);
    /* A round that is not taken, whatever its sums leave over. */
    for (int again = 0; again < 3; again++) {
        c = offer(1, 2);
        ck_assert(!anew(1) && c.residual && c.residual != c.left && c.residual[7] == 1);
        leave(&c, 50);
        gr_kept_open(kept);
    }
    /* One that is; the other silo has had none, and its place among the contributions varies. */
    struct gr_contribution first = offer(0, 2);
    c = offer(1, 2);
    ck_assert(!first.residual && c.residual[7] == 1 && first.left != c.left);
    leave(&first, 3);
    leave(&c, 2);
    silo_rounds[3]++;
    commit(1);
    c = offer(1, 3);
    ck_assert(c.residual[7] == 2);
    first = offer(0, 3);
    ck_assert(first.residual[7] == 3 && !anew(0) && !anew(1));
    ck_assert(c.left != first.left && c.left != first.residual && first.left != c.residual);
    end();
}
END_TEST

/* Absence alone changes nothing; a round taken with its update by the others does. */
START_TEST(void_when_the_others_went_on) {
    begin();
    struct gr_contribution c = offer(0, 1);
    leave(&c, 4);
    commit(0);
    c = offer(0, 9);
    ck_assert(c.residual && c.residual[0] == 4 && !anew(0));
    gr_kept_open(kept);
    silo_rounds[3] = 2;
    c = offer(0, 10);
    ck_assert(!c.residual && anew(0));
    leave(&c, 5);
    commit(0);
    c = offer(0, 11);
    ck_assert(c.residual && c.residual[0] == 5 && !anew(0));
    gr_kept_open(kept);
    /* As the rank of a replacement finds it. */
    silo_rounds[5] = 3;
    c = offer(1, 12);
    ck_assert(!c.residual && anew(1));
    end();
}
END_TEST

START_TEST(void_in_a_replay) {
    begin();
    struct gr_contribution c = offer(0, 1);
    leave(&c, 4);
    commit(0);
    gr_flags_set(gr_kept_anew(kept), 3, 1);
    c = offer(0, 2);
    ck_assert(!c.residual && anew(0));
    leave(&c, 6);
    commit(0);
    gr_flags_clear(gr_kept_anew(kept));
    c = offer(0, 3);
    ck_assert(c.residual && c.residual[0] == 6 && !anew(0));
    end();
}
END_TEST

/* On disk only what has changed, and back as it was at a checkpoint. */
START_TEST(on_disk) {
    static const unsigned char origin[GR_DIGEST_BYTES] = {9};
    begin();
    struct gr_contribution c = offer(0, 1);
    MUST(gr_kept_write(kept, in_scratch("silos"), NULL, origin)); /* nothing yet */
    ck_assert_int_ne(access(in_scratch("silos"), F_OK), 0);
    leave(&c, 0.5F);
    commit(0);
    MUST(gr_kept_write(kept, in_scratch("silos"), NULL, origin));
    ck_assert_int_eq(access(in_scratch("silos/silo-003-000001.h5"), F_OK), 0);
    ck_assert_int_ne(access(in_scratch("silos/silo-005-000000.h5"), F_OK), 0);
    ck_assert_int_eq(unlink(in_scratch("silos/silo-003-000001.h5")), 0);
    MUST(gr_kept_write(kept, in_scratch("silos"), NULL, origin)); /* not again */
    ck_assert_int_ne(access(in_scratch("silos/silo-003-000001.h5"), F_OK), 0);
    c = offer(0, 2);
    leave(&c, 0.25F);
    commit(0);
    MUST(gr_kept_write(kept, in_scratch("silos"), NULL, origin));
    ck_assert_int_eq(access(in_scratch("silos/silo-003-000002.h5"), F_OK), 0);
    end();
}
END_TEST

/* Where the checkpoint that goes with them is refused, those of the one before are not crowded out.
 */
START_TEST(of_a_refused_checkpoint) {
    static const unsigned char origin[GR_DIGEST_BYTES] = {9};
    begin();
    for (uint32_t round = 1; round <= 4; round++) {
        struct gr_contribution c = offer(0, round);
        leave(&c, (float)round);
        commit(0);
        MUST(gr_kept_write(kept, in_scratch("silos"), NULL, origin));
        if (round < 3)
            gr_kept_settle(kept, in_scratch("silos"), 2);
        else
            gr_kept_take_back(kept, in_scratch("silos"));
        ck_assert_int_eq(access(in_scratch("silos/silo-003-000001.h5"), F_OK), 0);
        ck_assert((access(in_scratch("silos/silo-003-000002.h5"), F_OK) == 0) == (round >= 2));
        ck_assert_int_ne(access(in_scratch("silos/silo-003-000003.h5"), F_OK), 0);
    }
    MUST(gr_kept_write(kept, in_scratch("silos"), NULL, origin)); /* there is room again */
    gr_kept_settle(kept, in_scratch("silos"), 2);
    gr_kept_take_back(kept, in_scratch("silos"));
    ck_assert_int_eq(access(in_scratch("silos/silo-003-000004.h5"), F_OK), 0);
    ck_assert_int_eq(access(in_scratch("silos/silo-003-000002.h5"), F_OK), 0);
    ck_assert_int_ne(access(in_scratch("silos/silo-003-000001.h5"), F_OK), 0);
    end();
}
END_TEST

/* Other encodings keep nothing, unless the optimizer's state is to be kept. */
START_TEST(nothing_is_kept) {
    begin();
    gr_kept_free(kept);
    config.aggregation.encoding = GR_ENCODING_RING32;
    config.train.momentum = 0.5;
    MUST(gr_kept_create(&config, &data, &layout, silo_rounds, &kept));
    ck_assert_uint_eq(gr_kept_vectors(kept), 0);
    struct gr_contribution c = {.weight = 1};
    silo_rounds[3] = 4;
    MUST(gr_kept_begin(kept, 0, &solver));
    ck_assert_ptr_null(solver);
    ck_assert(!gr_kept_offer(kept, 0, 5, &c) && !c.residual && !c.left);
    gr_kept_commit(kept);
    MUST(gr_kept_write(kept, in_scratch("none"), NULL, NULL));
    ck_assert_int_ne(access(in_scratch("none"), F_OK), 0);
    end();
}
END_TEST

/* ---- an optimizer's state, with a residual and alone ----------------------------------- */

static void begin_adam(bool residual) {
    begin();
    gr_kept_free(kept);
    if (!residual) config.aggregation.encoding = GR_ENCODING_RING32;
    config.train = (struct gr_train_config){
        .optimizer = GR_OPTIMIZER_ADAM, .batch_size = 4, .epochs = 1, .state = GR_SOLVER_KEEP};
    MUST(gr_kept_create(&config, &data, &layout, silo_rounds, &kept));
    ck_assert_uint_eq(gr_kept_vectors(kept), residual ? 3 : 2);
}

/* As a training does: silo of place `which` begins with `had` in its vectors, and leaves `value`.
 */
static void train(size_t which, uint32_t round, float had, float value) {
    struct gr_contribution c = {.weight = 1};
    MUST(gr_kept_begin(kept, which, &solver));
    ck_assert_ptr_nonnull(solver);
    ck_assert_uint_eq(solver->steps, (uint64_t)had * 10);
    for (size_t v = 0; v < GR_SOLVER_VECTORS_MAX; v++)
        for (size_t i = 0; i < layout.size; i++) {
            ck_assert(solver->vector[v][i] == (had == 0 ? 0 : had + (float)v));
            solver->vector[v][i] = value + (float)v;
        }
    solver->steps = (uint64_t)value * 10;
    begins_anew[local[which].id] = gr_kept_offer(kept, which, round, &c);
    if (c.residual) ck_assert(c.residual[2] == had);
    if (c.left) leave(&c, value);
}

static void solver_goes_on(bool with_residual) {
    begin_adam(with_residual);
    train(1, 1, 0, 4);
    commit(1);
    for (int again = 0; again < 3; again++) { /* rounds that are not taken */
        train(1, 2, 4, 77);
        gr_kept_open(kept);
    }
    train(0, 2, 0, 6);
    train(1, 2, 4, 5);
    silo_rounds[3]++;
    commit(1);
    train(1, 3, 5, 8);
    train(0, 3, 6, 9);
    ck_assert(!anew(0) && !anew(1));
    gr_kept_open(kept);
    silo_rounds[3]++; /* the others have gone on */
    train(0, 4, 0, 2);
    ck_assert(anew(0));
    commit(0);
    train(0, 5, 2, 3);
    ck_assert(!anew(0));
    end();
}

static void solver_comes_back(bool with_residual) {
    static const unsigned char origin[GR_DIGEST_BYTES] = {9};
    begin_adam(with_residual);
    train(0, 1, 0, 3);
    train(1, 1, 0, 4);
    silo_rounds[5]++;
    commit(0);
    MUST(gr_kept_write(kept, in_scratch("silos"), NULL, origin));
    gr_kept_settle(kept, in_scratch("silos"), 2);
    /* Another process, to which one of the files is lost. */
    gr_kept_free(kept);
    MUST(gr_kept_create(&config, &data, &layout, silo_rounds, &kept));
    ck_assert_int_eq(unlink(in_scratch("silos/silo-005-000001.h5")), 0);
    MUST(gr_kept_read(kept, in_scratch("silos"), NULL, origin));
    train(0, 2, 3, 1);
    ck_assert(!anew(0));
    train(1, 2, 0, 1);
    ck_assert(anew(1));
    /* A run that keeps other things does not take it. */
    gr_kept_free(kept);
    config.train.optimizer = GR_OPTIMIZER_NESTEROV;
    config.train.momentum = 0.9;
    MUST(gr_kept_create(&config, &data, &layout, silo_rounds, &kept));
    MUST(gr_kept_read(kept, in_scratch("silos"), NULL, origin));
    MUST(gr_kept_begin(kept, 0, &solver));
    ck_assert(solver && solver->steps == 0 && solver->vector[0][2] == 0);
    end();
}

START_TEST(solver_alone_goes_on) {
    solver_goes_on(false);
}
END_TEST
START_TEST(solver_and_residual_go_on) {
    solver_goes_on(true);
}
END_TEST
START_TEST(solver_alone_comes_back) {
    solver_comes_back(false);
}
END_TEST
START_TEST(solver_and_residual_come_back) {
    solver_comes_back(true);
}
END_TEST

RUN_TESTS("kept", with_the_round, void_when_the_others_went_on, void_in_a_replay, on_disk,
          of_a_refused_checkpoint, nothing_is_kept, solver_alone_goes_on, solver_and_residual_go_on,
          solver_alone_comes_back, solver_and_residual_come_back)
