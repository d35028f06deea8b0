/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planes of rounded sums, block by block. All of a block lies together, so that the contributions
 * kept at first are replaced by the block's planes where they are, and an addition stays in the
 * cache.
 */
#include "comm/running_sum.h"

#include <string.h>

void gr_running_create(const struct gr_codec *codec, size_t span, size_t n_blocks, size_t n_planes,
                       struct gr_running_sum *out) {
    *out = (struct gr_running_sum){
        .codec = codec, .span = span, .n_blocks = n_blocks, .n_planes = n_planes, .n_expected = 1};
    /* One plane needs no estimate, and so no sample to make it from. */
    if (n_planes > 1) out->room = n_planes * codec->element / sizeof(float);
}

void gr_running_release(struct gr_running_sum *running) {
    gr_free(running->words);
    gr_free(running->largest);
    gr_free(running->before);
    gr_free(running->lowest);
    gr_free(running->expected);
    gr_free(running->multiplier);
    running->words = NULL;
    running->largest = running->before = NULL;
    running->lowest = running->expected = NULL;
    running->multiplier = NULL;
    running->n = 0;
}

size_t gr_running_bytes(const struct gr_running_sum *running) {
    return running->n_planes * running->codec->element;
}

/* `words` is made last: it says that all the others are there. */
static gr_status make_memory(struct gr_running_sum *running) {
    gr_status status = GR_OK;
    const size_t n = running->n_blocks;
    if (running->words) return GR_OK;
    gr_running_release(running);
    GR_TRY(gr_allocate_zero(n, sizeof *running->largest, "running sums", &running->largest));
    GR_TRY(gr_allocate(n, sizeof *running->before, "running sums", &running->before));
    GR_TRY(gr_allocate(n, sizeof *running->lowest, "running sums", &running->lowest));
    GR_TRY(gr_allocate(n, sizeof *running->expected, "running sums", &running->expected));
    GR_TRY(gr_allocate(running->room, sizeof(float), "running sums", &running->multiplier));
    for (size_t b = 0; b < n; b++)
        running->expected[b] = running->lowest[b] = GR_RING_EXPONENT_ZERO;
    GR_TRY(
        gr_allocate(n * GR_RING_BLOCK, gr_running_bytes(running), "running sums", &running->words));
out:
    return status;
}

void gr_running_begin(struct gr_running_sum *running, uint32_t n_expected, int16_t known) {
    running->n = 0;
    running->due = false;
    running->n_expected = n_expected;
    running->headroom = 0;
    running->known = known;
    running->spread = running->room == 0;
    running->exact = false;
    for (size_t b = 0; running->words && b < running->n_blocks; b++) {
        running->largest[b] = 0;
        running->lowest[b] = GR_RING_EXPONENT_ZERO;
    }
}

/* Where plane k of a block is. */
static char *plane_of(const struct gr_running_sum *running, size_t block, size_t k) {
    const size_t bytes = GR_RING_BLOCK * running->codec->element;
    return running->words + (block * running->n_planes + k) * bytes;
}

/* Where a block of the i-th contribution is that is kept as it is. */
static float *kept_of(const struct gr_running_sum *running, size_t block, size_t i) {
    return (float *)(void *)plane_of(running, block, 0) + i * GR_RING_BLOCK;
}

/*
 * The exponent of a block's first plane. What has been added already bounds it from below, but for
 * the room that lost silos leave; above that the last sum is the better guess, for it was over all
 * ranks' silos. On a grid that is known there is nothing to guess.
 */
static int16_t choose_lowest(const struct gr_running_sum *running, size_t block) {
    const int16_t expected = running->expected[block];
    const bool known = expected != GR_RING_EXPONENT_ZERO;
    if (running->n_planes == 1 && running->exact) return expected;
    if (running->n_planes == 1) return running->known;
    const int least =
        gr_ring_exponent(running->largest[block], running->codec->limit / running->n_expected);
    const int guess = known ? expected - GR_RUNNING_BELOW : least + running->headroom;
    if (running->exact) return (int16_t)guess;
    return (int16_t)(guess > least - 1 ? guess : least - 1);
}

/*
 * Adds n values times the multiplier to the planes of a block. A plane is left out where some value
 * does not fit its word: no grid of a sum with this contribution can be so fine.
 */
static void add_to_planes(struct gr_running_sum *running, size_t block, const float *x,
                          float multiplier, size_t n, bool first) {
    const struct gr_codec *codec = running->codec;
    const uint32_t largest = gr_ring_largest(x, multiplier, n);
    if (largest > running->largest[block]) running->largest[block] = largest;
    if (running->lowest[block] == GR_RING_EXPONENT_ZERO && running->largest[block] > 0)
        running->lowest[block] = choose_lowest(running, block);
    const bool is_float = codec == &gr_codec_float32;
    if (largest == 0 && !is_float && !first) return;
    const int fits = largest > 0 ? gr_ring_exponent(largest, codec->limit) : INT16_MIN;
    for (size_t k = 0; k < running->n_planes; k++) {
        const int exponent = running->lowest[block] + (int)k;
        char *words = plane_of(running, block, k);
        if (first && (largest == 0 || exponent < fits) && !is_float)
            memset(words, 0, n * codec->element);
        else if (is_float || exponent >= fits)
            (first ? codec->encode : codec->add_encoded)(x, multiplier, (int16_t)exponent, words,
                                                         n);
    }
}

/* The contributions that were kept become sums, in the order in which they came. */
static void spread_block(struct gr_running_sum *running, size_t block, size_t n) {
    float kept[2 * GR_RUNNING_PLANES][GR_RING_BLOCK];
    for (size_t i = 0; i < running->n; i++)
        memcpy(kept[i], kept_of(running, block, i), n * sizeof(float));
    for (size_t i = 0; i < running->n; i++)
        add_to_planes(running, block, kept[i], running->multiplier[i], n, i == 0);
}

/* Elements of a vector of `size` in a block of the sum; they begin at *begin of vector *vector. */
static size_t elements_of(const struct gr_running_sum *running, size_t block, size_t size,
                          size_t *vector, size_t *begin) {
    *vector = block * GR_RING_BLOCK / running->span;
    *begin = block * GR_RING_BLOCK % running->span;
    return gr_smaller(GR_RING_BLOCK, size - *begin);
}

static void spread(struct gr_running_sum *running, size_t size) {
    size_t vector, begin;
    for (size_t b = 0; b < running->n_blocks; b++)
        spread_block(running, b, elements_of(running, b, size, &vector, &begin));
    running->spread = true;
}

gr_status gr_running_add(struct gr_running_sum *running, const float *const *vector, size_t size,
                         float multiplier, int headroom) {
    gr_status status = GR_OK;
    size_t v, begin;
    GR_TRY(make_memory(running));
    running->headroom = headroom;
    if (!running->spread && running->n == running->room) spread(running, size);
    for (size_t b = 0; b < running->n_blocks; b++) {
        const size_t n = elements_of(running, b, size, &v, &begin);
        const float *x = vector[v] + begin;
        if (running->spread) {
            add_to_planes(running, b, x, multiplier, n, running->n == 0);
            continue;
        }
        const uint32_t largest = gr_ring_largest(x, multiplier, n);
        if (largest > running->largest[b]) running->largest[b] = largest;
        memcpy(kept_of(running, b, running->n), x, n * sizeof(float));
    }
    if (!running->spread) running->multiplier[running->n] = multiplier;
    running->n++;
out:
    return status;
}

/* On a grid that has been agreed on: what was kept is rounded on it, what is added anew as well. */
static void fix(struct gr_running_sum *running, const int16_t *exponents) {
    memcpy(running->expected, exponents, running->n_blocks * sizeof *exponents);
    running->exact = true;
}

static bool has_plane(const struct gr_running_sum *running, size_t block, int16_t exponent) {
    const int k = exponent - running->lowest[block];
    return running->largest[block] == 0 || (k >= 0 && k < (int)running->n_planes);
}

/* The grid stays what the next sum expects. */
bool gr_running_settle(struct gr_running_sum *running, const int16_t *exponents, size_t size) {
    if (running->n == 0 || running->codec == &gr_codec_float32) return true;
    fix(running, exponents);
    if (!running->spread) spread(running, size);
    for (size_t b = 0; b < running->n_blocks && !running->due; b++)
        running->due = !has_plane(running, b, exponents[b]);
    return !running->due;
}

void gr_running_repeat(struct gr_running_sum *running) {
    uint32_t *largest = running->largest;
    running->largest = running->before;
    running->before = largest;
    running->n_before = running->n;
    gr_running_begin(running, running->n_expected, running->known);
    running->spread = running->exact = true;
}

/* Contributions are the same only if their largest values are; that is no proof, but finds a
 * training that depends on anything but its seed. */
bool gr_running_repeated(struct gr_running_sum *running, bool done) {
    const size_t bytes = running->n_blocks * sizeof *running->largest;
    const bool same =
        running->n == running->n_before && memcmp(running->largest, running->before, bytes) == 0;
    running->due = !done;
    if (done) return same;
    memcpy(running->largest, running->before, bytes);
    running->n = running->n_before;
    return true;
}

/* Floats have one plane, and exponents of no meaning. */
void gr_running_take(const struct gr_running_sum *running, size_t block, int16_t exponent,
                     void *words, size_t n) {
    const size_t bytes = n * running->codec->element;
    const bool is_float = running->codec == &gr_codec_float32;
    if (!is_float && running->largest[block] == 0)
        memset(words, 0, bytes);
    else
        memcpy(words,
               plane_of(running, block, is_float ? 0 : (size_t)(exponent - running->lowest[block])),
               bytes);
}
