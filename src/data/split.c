/* SPDX-License-Identifier: Apache-2.0 */
/* Train, validation and test rows of a silo: by class with largest remainders, or of all alike. */
#include "data/split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/rows.h"

/* A class of the silo's rows; without classes all rows are of one. */
struct class {
    size_t rows, room; /* room: how many may still be held out */
    size_t place;      /* of its first row in the order drawn */
    size_t take[GR_PARTS];
    double remainder;
};

struct split {
    const int32_t *labels; /* NULL: no classes */
    uint32_t *order;       /* of n rows */
    size_t n, n_classes;
    struct class *classes;  /* by label; owned */
    struct class **largest; /* by remainder; owned */
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
    GR_TRY(gr_allocate_zero(s->n_classes, sizeof *s->classes, "a split", &s->classes));
    GR_TRY(gr_allocate(s->n_classes, sizeof(struct class *), "a split", &s->largest));
    for (size_t i = s->n; i-- > 0;) {
        struct class *c = &s->classes[class_of(s, s->order[i])];
        c->place = i;
        c->rows++;
    }
    for (size_t c = 0; c < s->n_classes; c++) {
        s->largest[c] = &s->classes[c];
        s->classes[c].room = s->classes[c].rows > 0 ? s->classes[c].rows - 1 : 0;
    }
out:
    return status;
}

static int by_remainder(const void *a, const void *b) {
    const struct class *x = *(struct class *const *)a, *y = *(struct class *const *)b;
    if (x->remainder != y->remainder) return x->remainder > y->remainder ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* How many rows of each class go to a part. */
static void choose(struct split *s, double fraction, enum gr_part part) {
    size_t left = (size_t)(fraction * (double)s->n);
    for (size_t i = 0; i < s->n_classes; i++) {
        struct class *c = &s->classes[i];
        const double share = fraction * (double)c->rows;
        size_t take = (size_t)share;
        c->remainder = share - floor(share);
        if (take > c->room) take = c->room;
        if (take > left) take = left;
        c->take[part] = take;
        c->room -= take;
        left -= take;
    }
    qsort(s->largest, s->n_classes, sizeof(struct class *), by_remainder);
    for (size_t i = 0; i < s->n_classes && left > 0; i++) {
        struct class *c = s->largest[i];
        if (c->room == 0 || c->remainder <= 0) continue;
        c->take[part]++;
        c->room--;
        left--;
    }
}

static void deal(struct split *s, uint8_t *out) {
    for (size_t i = 0; i < s->n; i++) {
        struct class *c = &s->classes[class_of(s, s->order[i])];
        enum gr_part part = GR_PART_TRAIN;
        if (c->take[GR_PART_VALIDATION] > 0)
            part = GR_PART_VALIDATION;
        else if (c->take[GR_PART_TEST] > 0)
            part = GR_PART_TEST;
        if (part != GR_PART_TRAIN) c->take[part]--;
        out[s->order[i]] = (uint8_t)part;
    }
}

gr_status gr_split_rows(const struct gr_config *config, uint32_t silo, size_t n,
                        const int32_t *labels, uint8_t *part) {
    const struct gr_data_config *data = &config->data;
    const struct gr_stream_key key = {config->run.seed, silo, 0, GR_PURPOSE_SPLIT};
    struct split s = {.labels = gr_split_by_class(config) ? labels : NULL, .n = n};
    gsl_rng *stream = NULL;
    gr_status status = GR_OK;
    memset(part, GR_PART_TRAIN, n);
    if (!(data->validation_fraction > 0 || data->test_fraction > 0)) return GR_OK;
    GR_TRY(gr_allocate(n, sizeof *s.order, "a split", &s.order));
    GR_TRY(gr_stream_create(key, &stream));
    gr_stream_permutation(stream, s.order, n);
    GR_TRY(count_classes(&s));
    choose(&s, data->validation_fraction, GR_PART_VALIDATION);
    choose(&s, data->test_fraction, GR_PART_TEST);
    deal(&s, part);
out:
    if (stream) gsl_rng_free(stream);
    gr_free(s.order);
    gr_free(s.classes);
    gr_free(s.largest);
    return status;
}

struct gr_rows *gr_silo_part(struct gr_silo *silo, enum gr_part part) {
    return part == GR_PART_TRAIN        ? &silo->train
           : part == GR_PART_VALIDATION ? &silo->validation
                                        : &silo->test;
}

gr_status gr_silo_create(const struct gr_config *config, uint32_t id, size_t n,
                         const int32_t *labels, const struct gr_rows *like, struct gr_silo *silo,
                         uint8_t *part) {
    size_t rows[GR_PARTS] = {0};
    gr_status status;
    silo->id = id;
    gr_silo_pseudonym(id, silo->pseudonym);
    if (n == 0)
        return gr_fail(GR_ERROR_DATA, "%s: no rows to train on, expected at least one",
                       silo->pseudonym);
    GR_TRY(gr_split_rows(config, id, n, labels, part));
    for (size_t i = 0; i < n; i++)
        rows[part[i]]++;
    for (int p = 0; p < GR_PARTS; p++)
        GR_TRY(gr_rows_create_like(rows[p], like, gr_silo_part(silo, (enum gr_part)p)));
out:
    return status;
}
