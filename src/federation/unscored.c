/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Held-out rows that cannot be scored: a silo's sit out of the round's scores, as its update would
 * of the sum; a test table that has one leaves the test metrics undefined. The run goes on.
 */
#include "federation/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A row and a column of it in one number, so that the lowest of all ranks is a maximum of minus. */
enum { COLUMN_BITS = 24, NO_COLUMN = (1 << COLUMN_BITS) - 1, ITS_TARGET = NO_COLUMN - 1 };
#define NO_ROW  (INT64_C(1) << 34)
#define NOWHERE (INT64_C(1) << 60)

struct gr_unscored_rows {
    struct gr_flags own; /* this rank's silos, as of the last scoring; n_silos; owned */
    uint8_t *heard;      /* silos whose terminal knows why; n_silos flags; owned */
    int64_t test_place;  /* of this rank's bad row of the test table */
    /* Over all ranks: */
    uint32_t round;      /* of which */
    struct gr_flags all; /* n_silos; owned */
    int64_t *room;       /* n_silos; owned */
    int64_t place;
    bool silos, test, diverged;
    bool replaced; /* the test table is not the one that the run began with */
};

gr_status gr_unscored_create(uint32_t n_silos, struct gr_unscored_rows **out) {
    struct gr_unscored_rows *u = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *u, "scores", &u));
    GR_TRY(gr_flags_create(n_silos, "scores", &u->own));
    GR_TRY(gr_allocate_zero(n_silos, 1, "scores", &u->heard));
    GR_TRY(gr_flags_create(n_silos, "scores", &u->all));
    GR_TRY(gr_allocate_zero(n_silos, sizeof *u->room, "scores", &u->room));
    *out = u;
    u = NULL;
out:
    gr_unscored_free(u);
    return status;
}

void gr_unscored_free(struct gr_unscored_rows *u) {
    if (!u) return;
    gr_flags_release(&u->own);
    gr_free(u->heard);
    gr_flags_release(&u->all);
    gr_free(u->room);
    gr_free(u);
}

void gr_unscored_none(struct gr_unscored_rows *u, uint32_t silo) {
    u->heard[silo] = 0;
}

bool gr_unscored_has(const struct gr_unscored_rows *u, uint32_t silo) {
    return u->own.flag[silo] != 0;
}

void gr_unscored_replaced(struct gr_unscored_rows *u, bool replaced) {
    u->replaced = replaced;
}

/* ---- the place ------------------------------------------------------------------------------ */

/*
 * Rows first .. first + n - 1 as rows of their own; borrowed. features is untyped, so its offset is
 * counted in bytes of the element.
 */
static struct gr_rows view(const struct gr_rows *rows, size_t first, size_t n) {
    struct gr_rows out = *rows;
    const size_t bytes = rows->n_features * (rows->element == GR_ELEMENT_UINT8 ? 1 : sizeof(float));
    out.n_rows = n;
    out.features = (char *)rows->features + first * bytes;
    out.labels = rows->labels + first;
    if (rows->targets) out.targets = rows->targets + first;
    if (rows->weights) out.weights = rows->weights + first;
    if (rows->offsets) out.offsets = rows->offsets + first;
    return out;
}

/*
 * The column whose magnitude stands out, beyond 1e4 and the largest of the row: the likely culprit.
 * A guess, as scores are functions of all columns; columns in uint8 cannot stand out. The number
 * must fit COLUMN_BITS.
 */
static int64_t find_column(const struct gr_rows *row) {
    const float beyond = 1e4f;
    float largest = beyond;
    int64_t column = NO_COLUMN;
    const float *x = row->features;
    for (size_t j = 0; row->element == GR_ELEMENT_FLOAT32 && j < row->n_features; j++) {
        if (!(fabsf(x[j]) > largest) || j >= ITS_TARGET) continue;
        largest = fabsf(x[j]);
        column = (int64_t)j;
    }
    return row->targets && fabsf(row->targets[0]) > largest ? ITS_TARGET : column;
}

/*
 * Whether some rows can be scored. Uses the spare accumulator, so counts of the round are not
 * touched. *status is set when more is wrong than the rows (GR_LOST from the watch).
 */
static bool scores(struct gr_federation *f, const float *parameters, const struct gr_rows *rows,
                   gr_status *status) {
    struct gr_score score;
    gr_accumulator_clear(gr_scores_spare(f->scores), false);
    const gr_status found = gr_evaluate_rows(f->model, parameters, rows, gr_control_watch, f->comm,
                                             &score, gr_scores_spare(f->scores));
    if (found != GR_OK && found != GR_ERROR_DATA) *status = found;
    return found == GR_OK;
}

/*
 * Finds the first bad row of the first batch that has one, as a place; row NO_ROW where no row
 * alone is bad (a sum over the batch may overflow). *fine: how many batches and rows were met on
 * the way that can be scored: any at all means that the model has not diverged.
 *
 * Scores batches first and rows only within the bad batch, for the sake of time on large tables.
 */
static gr_status locate(struct gr_federation *f, const float *parameters,
                        const struct gr_rows *rows, int64_t *place, int64_t *fine) {
    gr_status status = GR_OK;
    size_t first = 0, n = 0;
    *fine = 0;
    *place = NO_ROW << COLUMN_BITS | NO_COLUMN;
    for (; first < rows->n_rows; first += n) {
        n = rows->n_rows - first < GR_TEST_BATCH ? rows->n_rows - first : GR_TEST_BATCH;
        const struct gr_rows batch = view(rows, first, n);
        if (!scores(f, parameters, &batch, &status)) break;
        ++*fine;
    }
    for (size_t i = first; status == GR_OK && i < rows->n_rows && i < first + n; i++) {
        const struct gr_rows row = view(rows, i, 1);
        if (scores(f, parameters, &row, &status)) {
            ++*fine;
        } else if (*place >> COLUMN_BITS == NO_ROW) {
            *place = (int64_t)i << COLUMN_BITS | find_column(&row);
        }
    }
    return status;
}

/* " (row 3 of them, column "x")"; rows counted from 0. */
static void describe(const struct gr_federation *f, int64_t place, char *out, size_t size) {
    const int64_t row = place >> COLUMN_BITS, column = place & NO_COLUMN;
    char name[128] = "";
    out[0] = '\0';
    if (row >= NO_ROW) return;
    if (column == ITS_TARGET)
        snprintf(name, sizeof name, ", its target");
    else if (column != NO_COLUMN && f->data->columns) {
        char feature[96];
        gr_feature_name(f->data->columns, (size_t)column, feature, sizeof feature);
        snprintf(name, sizeof name, ", column \"%s\"", feature);
    } else if (column != NO_COLUMN)
        snprintf(name, sizeof name, ", feature %lld", (long long)column);
    snprintf(out, size, "row %lld%s", (long long)row, name);
}

/* ---- what is left out ----------------------------------------------------------------------- */

/*
 * The place of the bad row is looked for once, for the silo's own terminal, and never leaves the
 * rank; others learn only that the silo's rows are not in the scores (gr_unscored_share).
 */
gr_status gr_unscored_silo(struct gr_federation *f, const float *parameters,
                           const struct gr_silo *silo, const struct gr_rows *rows,
                           struct gr_round_sums *sums) {
    char message[GR_MESSAGE_MAX], where[256];
    int64_t place, fine;
    snprintf(message, sizeof message, "%s", gr_message());
    gr_flags_set(&f->unscored->own, silo->id, 1);
    sums->unscored++;
    if (f->unscored->heard[silo->id]) return GR_OK;
    gr_status status = locate(f, parameters, rows, &place, &fine);
    if (status != GR_OK) return status;
    describe(f, place, where, sizeof where);
    f->unscored->heard[silo->id] = 1;
    gr_cohort_hear_silo(f->cohort, silo,
                        "%s: round %u: its held-out rows are not scored: %s; of its %s rows%s%s",
                        silo->pseudonym, gr_server_rounds(f->server), message,
                        rows == &silo->test ? "test" : "validation", where[0] ? " " : "", where);
    return GR_OK;
}

/*
 * A common test table belongs to no silo, so its bad row may be named to all. Local rows are dealt
 * in batches of GR_TEST_BATCH; local_batch translates the row into the whole table's numbering.
 */
gr_status gr_unscored_test(struct gr_federation *f, const float *parameters,
                           struct gr_round_sums *sums) {
    int64_t place, fine;
    gr_status status = locate(f, parameters, &f->data->test, &place, &fine);
    if (status != GR_OK) return status;
    const int64_t row = place >> COLUMN_BITS;
    if (row < NO_ROW) { /* of the whole table, counted from 0 */
        const size_t at = (size_t)row;
        place =
            (int64_t)(f->data->local_batch[at / GR_TEST_BATCH] * GR_TEST_BATCH + at % GR_TEST_BATCH)
                << COLUMN_BITS |
            (place & NO_COLUMN);
    }
    f->unscored->test_place = place;
    sums->unscored_test++;
    sums->scored += fine;
    return GR_OK;
}

void gr_unscored_table(struct gr_federation *f, struct gr_round_sums *sums) {
    f->unscored->test_place = NOWHERE;
    sums->unscored_test++;
    gr_cohort_hear(f->cohort, "round %u: the test table cannot be read anew: %s",
                   gr_server_rounds(f->server), gr_message());
}

void gr_unscored_begin(struct gr_federation *f) {
    f->unscored->test_place = NOWHERE;
    gr_flags_clear(&f->unscored->own);
}

/* ---- over all ranks ------------------------------------------------------------------------- */

/*
 * All ranks take the same branches, since `sums` are totals over all of them. The lowest bad place
 * of all ranks is found as the maximum of the negation, so the message does not depend on the
 * number of ranks. A model has diverged when bad rows were found and nothing at all could be
 * scored.
 */
gr_status gr_unscored_share(struct gr_federation *f, const struct gr_round_sums *sums) {
    struct gr_unscored_rows *u = f->unscored;
    const uint32_t n = f->data->n_silos;
    gr_status status = GR_OK;
    u->silos = u->test = u->diverged = false;
    u->round = gr_server_rounds(f->server);
    u->place = NOWHERE;
    gr_flags_clear(&u->all);
    if (sums->unscored > 0) {
        int64_t *flags = f->unscored->room;
        for (uint32_t i = 0; i < n; i++)
            flags[i] = u->own.flag[i];
        GR_TRY(gr_release_max(gr_cohort_door(f->cohort), GR_RELEASE_UNSCORED, flags, n));
        for (uint32_t i = 0; i < n; i++)
            if (flags[i] != 0) gr_flags_set(&u->all, i, 1);
        u->silos = true;
    }
    if (sums->unscored_test > 0) {
        int64_t lowest = -u->test_place;
        GR_TRY(gr_comm_max_public(f->comm, &lowest, 1));
        u->place = -lowest;
        u->test = true;
    }
    u->diverged = (u->silos || u->place < NOWHERE) && sums->scored == 0;
out:
    return status;
}

void gr_federation_unscored(const struct gr_federation *f, struct gr_unscored *out) {
    const struct gr_unscored_rows *u = f->unscored;
    const bool now = u->round > 0 && u->round == gr_server_rounds(f->server);
    *out = (struct gr_unscored){.evaluated = now,
                                .silos = now && u->silos ? &u->all : NULL,
                                .test = now && u->test,
                                .unreadable = u->place == NOWHERE && !u->replaced,
                                .diverged = now && u->diverged};
    if (out->test && u->replaced)
        snprintf(out->where, sizeof out->where, "it is not the one that the run began with");
    else if (out->test && !out->unreadable)
        describe(f, u->place, out->where, sizeof out->where);
}

const char *gr_unscored_why(const struct gr_federation *f, bool of_test) {
    const struct gr_unscored_rows *u = f->unscored;
    if (u->diverged) return "the model has diverged: no score is finite";
    if (of_test && u->test && u->replaced)
        return "the test table is not the one that the run began with";
    if (of_test && u->test)
        return u->place == NOWHERE ? "the test table cannot be read"
                                   : "a row of the test table cannot be scored";
    return u->silos ? "no held-out row can be scored" : NULL;
}

/* ---- remedies ------------------------------------------------------------------------------- */

/* Whether columns go into the model as they are; the same on all ranks. */
static bool unscaled(const struct gr_federation *f) {
    const struct gr_preprocessing *p = f->data->preprocessing;
    if (f->config->data.source == GR_SOURCE_IDX) return false;
    if (!p) return true;
    const struct gr_fit *fit = gr_preprocessing_fit(p);
    for (size_t v = 0; v < gr_preprocessing_values(p); v++)
        if (fit->centre[v] < 0 || fit->centre[v] > 0 || fit->spread[v] < 1 || fit->spread[v] > 1)
            return false;
    return true;
}

/* Targets are never scaled: squares of large ones are too large for a sum at any rate. */
static bool predicts_numbers(const struct gr_federation *f) {
    const struct gr_domain domain = gr_domain_of(&f->config->model);
    return !domain.labels && gr_loss_of(&f->config->model) != GR_LOSS_POISSON;
}

void gr_federation_remedies(const struct gr_federation *f, char out[GR_REMEDIES_BYTES]) {
    snprintf(out, GR_REMEDIES_BYTES, "%sa smaller train.learning_rate%s%s",
             unscaled(f) ? "preprocess.scale: standardise (columns are not scaled: with large "
                           "numbers in them no learning rate is right), "
                         : "",
             f->config->train.max_gradient_norm > 0 ? "" : " or train.max_gradient_norm",
             predicts_numbers(f) ? "; where targets or offsets are large, a larger unit for them "
                                   "in the tables, or one number taken off them at all sites"
                                 : "");
}
