/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct: the first convolution of a network whose images have a few channels, with the relu and
 * the max pool behind it, by the definition. What comes out of the convolution is never stored:
 * four sums, of which the pool takes the largest, stay in registers, and the derivative by them is
 * spread two lines at a time.
 *
 * Each sum is one chain of fused multiply-adds in the order of the weights, from the bias on; the
 * derivative by a weight is a sum of chains, one for each two lines of an image. So the bits depend
 * neither on the instruction set (as long as it fuses), nor on the batch.
 */
#ifndef GRANARY_MODEL_DIRECT_H
#define GRANARY_MODEL_DIRECT_H

#include <model/kernels.h>
#include <model/layer.h>

enum { GR_DIRECT_LANES = 16, GR_DIRECT_CHANNELS_MAX = 4 };

/* Filters are a multiple of GR_DIRECT_LANES. An image is one with its padding, `line` floats from
 * a line of pixels to the next. */
struct gr_direct_shape {
    size_t channels, filters, kernel, width; /* width: of what comes out, before the pool */
    size_t line;
    struct gr_extent pooled;
};

struct gr_direct_kernels {
    /* out, places: of the pool, an image; see pool.h */
    void (*forward)(const struct gr_direct_shape *shape, const float *image, const float *weight,
                    const float *bias, float *out, int32_t *places);
    /* Adds an image's derivatives to by_weight and by_bias. delta: by the pool's outputs; strip:
     * room for two lines of what comes out, zero at the end where the pool leaves a pixel over. */
    void (*backward)(const struct gr_direct_shape *shape, const float *image, const float *delta,
                     const int32_t *places, float *strip, float *by_weight, float *by_bias);
};

/* The kernels for the instruction set of `tiles`. */
const struct gr_direct_kernels *gr_direct_kernels_of(const struct gr_tiles *tiles);

/* Whether the convolution, not yet prepared, is run that way. */
bool gr_direct_fits(const struct gr_model *model, const struct gr_layer *layer);

/* The kind that a convolution becomes when it fits. */
extern const struct gr_layer_kind gr_layer_direct;

#endif
