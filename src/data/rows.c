/* SPDX-License-Identifier: Apache-2.0 */
/* Rows in memory: their room, the batches gathered from them, and how they are dealt. */
#include "data/rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

size_t gr_rows_bytes(const struct gr_rows *rows) {
    return rows->n_features * (rows->element == GR_ELEMENT_UINT8 ? 1 : sizeof(float));
}

/* Features are not zeroed: every row is read into its place, or the load fails. */
gr_status gr_rows_create(size_t n_rows, size_t n_features, enum gr_element element, float scale,
                         struct gr_rows *out) {
    gr_status status;
    *out = (struct gr_rows){
        .n_rows = n_rows, .n_features = n_features, .element = element, .scale = scale};
    GR_TRY(gr_allocate(n_rows, gr_rows_bytes(out), "rows", &out->features));
    GR_TRY(gr_allocate(n_rows, sizeof *out->labels, "labels of rows", &out->labels));
out:
    if (status != GR_OK) gr_rows_release(out);
    return status;
}

gr_status gr_rows_create_like(size_t n_rows, const struct gr_rows *like, struct gr_rows *out) {
    gr_status status = gr_rows_create(n_rows, like->n_features, like->element, like->scale, out);
    if (status != GR_OK) return status;
    if (like->targets)
        GR_TRY(gr_allocate(n_rows, sizeof *out->targets, "targets of rows", &out->targets));
    if (like->weights)
        GR_TRY(gr_allocate(n_rows, sizeof *out->weights, "weights of rows", &out->weights));
    if (like->offsets)
        GR_TRY(gr_allocate(n_rows, sizeof *out->offsets, "offsets of rows", &out->offsets));
out:
    if (status != GR_OK) gr_rows_release(out);
    return status;
}

void gr_rows_release(struct gr_rows *rows) {
    gr_free(rows->features);
    gr_free(rows->labels);
    gr_free(rows->targets);
    gr_free(rows->weights);
    gr_free(rows->offsets);
    gr_free(rows->persons.first);
    gr_free(rows->persons.rows);
    gr_free(rows->groups);
    *rows = (struct gr_rows){0};
}

/* ---- persons -------------------------------------------------------------------------------- */

/* Sorted by counting. Groups that have none of these rows are no persons; the others keep their
 * order, so that a person who is not there moves no other. */
gr_status gr_persons_create(const uint32_t *group, uint32_t n_groups, const uint32_t *row, size_t n,
                            struct gr_persons *out) {
    uint32_t *place = NULL, used = 0;
    gr_status status;
    *out = (struct gr_persons){0};
    GR_TRY(gr_allocate_zero(n_groups, sizeof *place, "persons", &place));
    for (size_t i = 0; i < n; i++)
        place[group[row ? row[i] : i]]++;
    for (uint32_t g = 0; g < n_groups; g++)
        used += place[g] > 0;
    GR_TRY(gr_allocate((size_t)used + 1, sizeof *out->first, "persons", &out->first));
    GR_TRY(gr_allocate(n, sizeof *out->rows, "rows of persons", &out->rows));
    out->first[0] = 0;
    for (uint32_t g = 0; g < n_groups; g++) {
        if (place[g] == 0) continue;
        out->first[out->n + 1] = out->first[out->n] + place[g];
        place[g] = out->first[out->n++];
    }
    for (size_t i = 0; i < n; i++)
        out->rows[place[group[row ? row[i] : i]]++] = (uint32_t)i;
out:
    gr_free(place);
    if (status != GR_OK) {
        gr_free(out->first);
        gr_free(out->rows);
        *out = (struct gr_persons){0};
    }
    return status;
}

/* ---- batches -------------------------------------------------------------------------------- */

/* Two loops without branches, which become vectors. scale 1 changes no float. */
static void scale_bytes(const uint8_t *restrict from, float scale, size_t n, float *restrict to) {
    for (size_t i = 0; i < n; i++)
        to[i] = (float)from[i] * scale;
}

static void scale_floats(const float *restrict from, float scale, size_t n, float *restrict to) {
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] * scale;
}

/* Rows of a batch lie anywhere in memory: the next one is called for while this one is scaled. */
static void fetch(const char *row, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(row + i);
}

/* Targets of a table without any are its labels as numbers. */
void gr_rows_gather(const struct gr_rows *rows, const uint32_t *index, size_t first, size_t n,
                    float *out_features, int32_t *out_labels, float *out_targets) {
    const char *features = rows->features;
    size_t width = rows->n_features, bytes = gr_rows_bytes(rows);
    for (size_t i = 0; i < n; i++) {
        size_t row = index ? index[i] : first + i;
        if (index && i + 1 < n) fetch(features + index[i + 1] * bytes, bytes);
        out_labels[i] = rows->labels[row];
        if (out_targets)
            out_targets[i] = rows->targets ? rows->targets[row] : (float)rows->labels[row];
        const void *from = features + row * bytes;
        float *to = out_features + i * width;
        if (rows->element == GR_ELEMENT_UINT8)
            scale_bytes(from, rows->scale, width, to);
        else
            scale_floats(from, rows->scale, width, to);
    }
}

/* Rows of a table without weights weigh 1, without offsets they add 0: a model may ask for them all
 * the same, because another silo has some. */
static void gather_floats(const float *from, const uint32_t *index, size_t first, size_t n,
                          float without, float *to) {
    for (size_t i = 0; to && i < n; i++)
        to[i] = from ? from[index ? index[i] : first + i] : without;
}

void gr_rows_gather_terms(const struct gr_rows *rows, const uint32_t *index, size_t first, size_t n,
                          float *out_weights, float *out_offsets) {
    gather_floats(rows->weights, index, first, n, 1.0f, out_weights);
    gather_floats(rows->offsets, index, first, n, 0.0f, out_offsets);
}

/* The least exponent whose power of two no weight exceeds: an exact power of two needs no larger
 * one. */
int gr_rows_weight_exponent(const struct gr_rows *rows) {
    float largest = 0;
    int exponent;
    for (size_t i = 0; rows->weights && i < rows->n_rows; i++)
        largest = fmaxf(largest, rows->weights[i]);
    if (!(largest > 0)) return GR_WEIGHT_NONE;
    /* largest = mantissa 2^exponent, with 1/2 <= mantissa < 1. */
    const float mantissa = frexpf(largest, &exponent);
    return mantissa > 0.5f ? exponent : exponent - 1;
}

/* Rounded to units of 2^-24 of the largest: from here on weights are exact integers. Returns how
 * many weights above 0 became 0. */
size_t gr_rows_scale_weights(struct gr_rows *rows, int exponent) {
    size_t lost = 0;
    for (size_t i = 0; rows->weights && i < rows->n_rows; i++) {
        const double units = rint(ldexp((double)rows->weights[i], GR_WEIGHT_BITS - exponent));
        lost += rows->weights[i] > 0 && !(units > 0);
        rows->weights[i] = (float)ldexp(units, -GR_WEIGHT_BITS);
    }
    return lost;
}

/* ---- dealing -------------------------------------------------------------------------------- */

void gr_silo_pseudonym(uint32_t id, char out[24]) {
    snprintf(out, 24, "silo-%03u", id);
}

/* Batches are dealt in turn, so that ranks differ by one batch at most, and a batch is the same
 * rows on any number of ranks. */
gr_status gr_test_create(const struct gr_share *share, size_t n, const struct gr_rows *like,
                         struct gr_data *data) {
    size_t rows = 0;
    gr_status status;
    data->n_test = n;
    data->n_test_batches = (n + GR_TEST_BATCH - 1) / GR_TEST_BATCH;
    GR_TRY(gr_allocate(data->n_test_batches / share->test_count + 1, sizeof *data->local_batch,
                       "test batches", &data->local_batch));
    for (size_t b = share->test_index; b < data->n_test_batches; b += share->test_count) {
        data->local_batch[data->n_local_batches++] = b;
        rows += n - b * GR_TEST_BATCH < GR_TEST_BATCH ? n - b * GR_TEST_BATCH : GR_TEST_BATCH;
    }
    GR_TRY(gr_rows_create_like(rows, like, &data->test));
out:
    return status;
}
