/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Train, validation and test rows of a silo.
 *
 * The shares of a class are seldom whole numbers, and a small silo's are mostly below one: rounded
 * down in each silo, or one way in all of them, they would leave the rare classes of a federation
 * without any held-out row. So they are rounded at random, by controlled rounding (Cox 1987, "A
 * constructive procedure for unbiased controlled rounding", JASA 82): every cell of the table of
 * classes and parts, and every part's total, becomes one of the two whole numbers next to it, and
 * the expectation of each is its exact share.
 */
#include "data/split.h"

#include <stdlib.h>
#include <string.h>

#include "data/rows.h"

/* Fractions of rows are counted in units: sums of theirs are then exact. */
#define ONE (INT64_C(1) << 30)

/* A class of the silo's rows; without classes all rows are of one. */
struct class_rows {
    size_t rows;
    int64_t part[GR_PARTS]; /* beyond a whole number of rows: 0 to ONE, in the end either */
    size_t take[GR_PARTS];
};

struct split {
    const int32_t *labels; /* NULL: no classes */
    uint32_t *order;       /* of n rows */
    size_t n, n_classes;
    struct class_rows
        *classes;    /* by label; behind them the one that fills up the parts' totals; owned */
    gsl_rng *stream; /* owned */
};

bool gr_split_by_class(const struct gr_config *config) {
    const struct gr_data_config *data = &config->data;
    return data->stratify && (data->validation_fraction > 0 || data->test_fraction > 0) &&
           !gr_predicts_number(&config->model); /* of a number labels are no classes */
}

static size_t class_of(const struct split *s, size_t row) {
    return s->labels ? (size_t)s->labels[row] : 0;
}

static gr_status count_classes(struct split *s) {
    gr_status status;
    s->n_classes = 1;
    for (size_t i = 0; i < s->n; i++)
        if (class_of(s, i) >= s->n_classes) s->n_classes = class_of(s, i) + 1;
    GR_TRY(gr_allocate_zero(s->n_classes + 1, sizeof *s->classes, "a split", &s->classes));
    for (size_t i = 0; i < s->n; i++)
        s->classes[class_of(s, i)].rows++;
out:
    return status;
}

/* ---- shares --------------------------------------------------------------------------------- */

/*
 * The number of rows that each class is to give to each part. Where less than one of the silo's
 * rows would be left to train on, both fractions are lowered until one is. `rest` is a row of the
 * table that makes the fractions of each part add up to whole rows.
 */
static void set_shares(struct split *s, double validation, double test) {
    const double n = (double)s->n, held = validation + test;
    const double lowered = n - n * held < 1 ? (n - 1) / (n * held) : 1;
    const double fraction[GR_PARTS] = {
        [GR_PART_VALIDATION] = validation * lowered, [GR_PART_TEST] = test * lowered};
    struct class_rows *rest = &s->classes[s->n_classes];
    for (size_t i = 0; i < s->n_classes; i++) {
        struct class_rows *c = &s->classes[i];
        for (int p = GR_PART_VALIDATION; p < GR_PARTS; p++) {
            /* The thousandth: a product just below a whole number is that number. */
            const int64_t share = (int64_t)(fraction[p] * (double)c->rows * (double)ONE + 1e-3);
            c->take[p] = (size_t)(share / ONE);
            c->part[p] = share % ONE;
            c->part[GR_PART_TRAIN] -= c->part[p];
        }
        c->part[GR_PART_TRAIN] = (c->part[GR_PART_TRAIN] + 2 * ONE) % ONE;
        for (int p = 0; p < GR_PARTS; p++)
            rest->part[p] = (rest->part[p] + ONE - c->part[p]) % ONE;
    }
}

/* ---- rounding ------------------------------------------------------------------------------- */

/* 64 bits times n, high part: a bias below n / 2^64. */
static int64_t draw_below(gsl_rng *stream, int64_t n) {
    uint64_t bits = (uint64_t)gsl_rng_get(stream) << 32;
    bits |= gsl_rng_get(stream);
    return (int64_t)(((unsigned __int128)bits * (uint64_t)n) >> 64);
}

/*
 * n cells on a way round through rows and columns, of which one after the other goes up and down by
 * the same amount: sums stay. Either the largest step that way or the largest one back is taken, at
 * odds that leave the expectation of each cell where it is; so at least one of them becomes whole.
 */
static void exchange(gsl_rng *stream, int64_t *const *cell, size_t n) {
    int64_t most[2] = {ONE, ONE}; /* forth, back */
    for (size_t i = 0; i < n; i++) {
        const int64_t room[2] = {ONE - *cell[i], *cell[i]};
        for (size_t way = 0; way < 2; way++)
            if (room[(i + way) % 2] < most[way]) most[way] = room[(i + way) % 2];
    }
    const bool forth = draw_below(stream, most[0] + most[1]) < most[1];
    const int64_t step = forth ? most[0] : -most[1];
    for (size_t i = 0; i < n; i++)
        *cell[i] += i % 2 ? -step : step;
}

static bool is_open(const struct class_rows *c, size_t a, size_t b) {
    return c && c->part[a] > 0 && c->part[a] < ONE && c->part[b] > 0 && c->part[b] < ONE;
}

/* Until at most one class has a fraction in both of these parts, which is returned. */
static struct class_rows *round_pair(struct split *s, size_t a, size_t b) {
    struct class_rows *open = NULL;
    for (size_t i = 0; i <= s->n_classes; i++) {
        struct class_rows *c = &s->classes[i];
        if (!is_open(c, a, b)) continue;
        if (open)
            exchange(s->stream,
                     (int64_t *[]){&open->part[a], &open->part[b], &c->part[b], &c->part[a]}, 4);
        if (!is_open(open, a, b)) open = is_open(c, a, b) ? c : NULL;
    }
    return open;
}

/*
 * A class with fractions has two at least, and so has a part; once no two classes share a pair of
 * parts there are none left, or three classes, one for each pair.
 */
static void round_shares(struct split *s) {
    enum { A = GR_PART_TRAIN, B = GR_PART_VALIDATION, C = GR_PART_TEST };
    struct class_rows *ab = round_pair(s, A, B), *bc = round_pair(s, B, C),
                      *ca = round_pair(s, C, A);
    if (is_open(ab, A, B) && is_open(bc, B, C) && is_open(ca, C, A))
        exchange(s->stream,
                 (int64_t *[]){&ab->part[A], &ab->part[B], &bc->part[B], &bc->part[C], &ca->part[C],
                               &ca->part[A]},
                 6);
    for (size_t i = 0; i < s->n_classes; i++)
        for (int p = GR_PART_VALIDATION; p < GR_PARTS; p++)
            s->classes[i].take[p] += s->classes[i].part[p] == ONE;
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* Rows come in a random order, and the first ones of a class are held out. */
static void deal(struct split *s, uint8_t *out) {
    for (size_t i = 0; i < s->n; i++) {
        struct class_rows *c = &s->classes[class_of(s, s->order[i])];
        enum gr_part part = GR_PART_TRAIN;
        if (c->take[GR_PART_VALIDATION] > 0)
            part = GR_PART_VALIDATION;
        else if (c->take[GR_PART_TEST] > 0)
            part = GR_PART_TEST;
        if (part != GR_PART_TRAIN) c->take[part]--;
        out[s->order[i]] = (uint8_t)part;
    }
}

/* Without a fraction no stream is opened and nothing drawn: a run that holds nothing out keeps its
 * bits whatever is changed here. */
gr_status gr_split_rows(const struct gr_config *config, uint32_t stream, size_t n,
                        const int32_t *labels, uint8_t *part) {
    const struct gr_data_config *data = &config->data;
    const struct gr_stream_key key = {data->split_seed, stream, 0, GR_PURPOSE_SPLIT};
    struct split s = {.labels = gr_split_by_class(config) ? labels : NULL, .n = n};
    gr_status status = GR_OK;
    memset(part, GR_PART_TRAIN, n);
    if (!(data->validation_fraction > 0 || data->test_fraction > 0)) return GR_OK;
    GR_TRY(gr_allocate(n, sizeof *s.order, "a split", &s.order));
    GR_TRY(gr_stream_create(key, &s.stream));
    gr_stream_permutation(s.stream, s.order, n);
    GR_TRY(count_classes(&s));
    set_shares(&s, data->validation_fraction, data->test_fraction);
    round_shares(&s);
    deal(&s, part);
out:
    if (s.stream) gsl_rng_free(s.stream);
    gr_free(s.order);
    gr_free(s.classes);
    return status;
}

struct gr_rows *gr_silo_part(struct gr_silo *silo, enum gr_part part) {
    return part == GR_PART_TRAIN        ? &silo->train
           : part == GR_PART_VALIDATION ? &silo->validation
                                        : &silo->test;
}

/* Counted first and allocated once: parts do not grow. */
gr_status gr_silo_create(const struct gr_config *config, uint32_t id, size_t n,
                         const int32_t *labels, const struct gr_named_rows *persons,
                         const struct gr_rows *like, struct gr_silo *silo, uint8_t *part) {
    size_t rows[GR_PARTS] = {0};
    gr_status status;
    silo->id = id;
    silo->stream = gr_silo_stream(config, id);
    gr_silo_pseudonym(id, silo->pseudonym);
    if (n == 0 && !(gr_is_private(config) && config->data.silo_tables_count > 0))
        return gr_fail(GR_ERROR_DATA, "%s: no rows to train on, expected at least one",
                       silo->pseudonym);
    GR_TRY(config->privacy.evaluation.noise_multiplier > 0
               ? gr_split_by_coins(config, id, silo->stream, n, persons, part)
               : gr_split_rows(config, silo->stream, n, labels, part));
    for (size_t i = 0; i < n; i++)
        rows[part[i]]++;
    for (int p = 0; p < GR_PARTS; p++)
        GR_TRY(gr_rows_create_like(rows[p], like, gr_silo_part(silo, (enum gr_part)p)));
out:
    return status;
}
