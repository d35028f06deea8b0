/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformal prediction: keys of scores, sets and intervals, and the search for the key up to which
 * an answer is in them.
 *
 * The k-th smallest key of all processes' rows is found by bisection: each pass counts the rows
 * whose key is at most the middle of what is left, which halves it. There are as many passes as a
 * key has bits, whatever the rows are.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/accumulator.h"
#include "metric/outputs.h"

enum { CLASS_BITS = 14, NUMBER_BITS = 16, FLOAT_DROPPED = 15, KEY_INFINITE = 0x7F800000 >> 15 };
_Static_assert(GR_CONFORMAL_PASSES_MAX >= 1 + NUMBER_BITS, "a pass for the rows, then the bits");

/* ---- keys ----------------------------------------------------------------------------------- */

uint32_t gr_conformal_keys(bool of_number) {
    return of_number ? KEY_INFINITE : 1U << CLASS_BITS;
}

static uint32_t key_of_log_odds(double against) {
    return (uint32_t)gr_bin_of(against, 4, (size_t)1 << CLASS_BITS);
}

/* ln((1 - p) / p) of a class: the others' exponentials are summed without it. */
static double log_odds_against(const float *z, size_t classes, size_t class) {
    double most = -(double)INFINITY, sum = 0;
    for (size_t j = 0; j < classes; j++)
        if (j != class && (double)z[j] > most) most = (double)z[j];
    for (size_t j = 0; j < classes; j++)
        if (j != class) sum += exp((double)z[j] - most);
    return most + log(sum < 1 ? 1 : sum) - (double)z[class]; /* the largest adds 1 */
}

uint32_t gr_conformal_key_of_class(const float *logits, size_t classes, size_t label) {
    if (classes > 2) return key_of_log_odds(log_odds_against(logits, classes, label));
    const double x = (double)gr_output_log_odds(logits);
    return key_of_log_odds(label == 1 ? -x : x);
}

/* The first bits of the float32 above: 8 of the exponent, 8 behind the point. */
uint32_t gr_conformal_key_of_number(float prediction, float target) {
    const double apart = fabs((double)target - (double)prediction);
    float above = (float)apart;
    uint32_t bits;
    if ((double)above < apart) above = nextafterf(above, INFINITY);
    memcpy(&bits, &above, sizeof bits);
    return (bits + (1U << FLOAT_DROPPED) - 1) >> FLOAT_DROPPED;
}

/* Of a row that is kept. */
static uint32_t key_of_row(const struct gr_outputs *rows, size_t i) {
    const float *values = rows->values + i * rows->width;
    if (rows->classes == 0) return gr_conformal_key_of_number(values[0], rows->targets[i]);
    if (rows->classes == 2)
        return key_of_log_odds(rows->labels[i] == 1 ? -(double)values[0] : (double)values[0]);
    return gr_conformal_key_of_class(values, rows->classes, (size_t)rows->labels[i]);
}

/* ---- sets and intervals --------------------------------------------------------------------- */

double gr_conformal_bound(const struct gr_conformal *c) {
    const uint32_t bits = c->key << FLOAT_DROPPED;
    float half;
    if (c->of_number) {
        memcpy(&half, &bits, sizeof half);
        return (double)half;
    }
    const double middle = 0.5 * (1 << CLASS_BITS), place = ((double)c->key + 1 - middle) / middle;
    return place < 1 ? 1 / (1 + exp(gr_unsqueeze(place, 4))) : 0;
}

void gr_conformal_set(const struct gr_conformal *c, const float *logits, size_t classes,
                      uint8_t *in) {
    for (size_t j = 0; j < classes; j++)
        in[j] = gr_conformal_key_of_class(logits, classes, j) <= c->key;
}

/* Outwards, so that whatever is at most so far away is in it. */
void gr_conformal_interval(const struct gr_conformal *c, float prediction, float bounds[2]) {
    const double half = gr_conformal_bound(c);
    bounds[0] = (float)((double)prediction - half);
    bounds[1] = (float)((double)prediction + half);
    if ((double)bounds[0] > (double)prediction - half) bounds[0] = nextafterf(bounds[0], -INFINITY);
    if ((double)bounds[1] < (double)prediction + half) bounds[1] = nextafterf(bounds[1], INFINITY);
}

/* ---- the search ----------------------------------------------------------------------------- */

struct gr_conformal_search {
    struct gr_conformal found;
    uint32_t least;
    unsigned pass; /* the one that is summed, from 1, of the rows */
    unsigned bits;
    bool ended;
    const char *why;
    uint32_t low, high; /* the key is one of these, and those between */
    int64_t wanted;     /* rows that are to be at most at it */
    int64_t sum;
    uint32_t *keys; /* of this process's rows, ascending; owned */
    size_t n;
};

static int compare_keys(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

gr_status gr_conformal_search_create(double alpha, uint32_t least, const struct gr_outputs *rows,
                                     struct gr_conformal_search **out) {
    struct gr_conformal_search *s = NULL;
    gr_status status = GR_OK;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *s, "a conformal search", &s));
    s->found = (struct gr_conformal){.alpha = alpha, .of_number = rows->classes == 0};
    s->least = least;
    s->bits = rows->classes == 0 ? NUMBER_BITS : CLASS_BITS;
    s->high = (1U << s->bits) - 1;
    s->n = rows->n;
    GR_TRY(gr_allocate(rows->n, sizeof *s->keys, "keys", &s->keys));
    for (size_t i = 0; i < rows->n; i++)
        s->keys[i] = key_of_row(rows, i);
    qsort(s->keys, s->n, sizeof *s->keys, compare_keys);
    *out = s;
    s = NULL;
out:
    gr_conformal_search_free(s);
    return status;
}

void gr_conformal_search_free(struct gr_conformal_search *s) {
    if (s) gr_free(s->keys);
    gr_free(s);
}

/* Of this process, at most at the key. */
static int64_t count_up_to(const struct gr_conformal_search *s, uint32_t key) {
    size_t low = 0, high = s->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (s->keys[middle] <= key)
            low = middle + 1;
        else
            high = middle;
    }
    return (int64_t)low;
}

static void end(struct gr_conformal_search *s, const char *why) {
    s->ended = true;
    s->why = why;
}

/* ceil((n + 1) (1 - alpha)), without the last bits of alpha, which is seldom what it says. */
static void take_rows(struct gr_conformal_search *s) {
    const int64_t n = s->sum, least = s->least;
    s->wanted = (int64_t)ceil((double)(n + 1) * (1 - s->found.alpha) - 1e-9);
    if (s->wanted > n)
        end(s, "validation rows are too few for alpha: it takes 1 / alpha - 1");
    else if (least > 0 && (s->wanted < least || n - s->wanted < least))
        end(s, "fewer validation rows than data.disclosure_threshold would lie beyond the bound");
}

static uint32_t middle_of(const struct gr_conformal_search *s) {
    return s->low + (s->high - s->low) / 2;
}

static void take_count(struct gr_conformal_search *s) {
    if (s->sum >= s->wanted)
        s->high = middle_of(s);
    else
        s->low = middle_of(s) + 1;
    if (s->pass < 1 + s->bits) return;
    s->found.key = s->high;
    end(s, s->found.of_number && s->high >= KEY_INFINITE ? "numbers are too far apart" : NULL);
}

int64_t *gr_conformal_search_sums(struct gr_conformal_search *s, size_t *n) {
    *n = 0;
    if (s->pass == 1) take_rows(s);
    if (s->pass > 1 && !s->ended) take_count(s);
    if (s->ended) return &s->sum;
    s->pass++;
    s->sum = s->pass == 1 ? (int64_t)s->n : count_up_to(s, middle_of(s));
    *n = 1;
    return &s->sum;
}

const char *gr_conformal_search_why(const struct gr_conformal_search *s) {
    return s->why;
}

struct gr_conformal gr_conformal_search_found(const struct gr_conformal_search *s) {
    return s->found;
}
