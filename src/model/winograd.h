/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd: 5x5 and 3x3 convolutions of stride 1 with 2.8 and 4 times fewer multiplications than
 * their definition has: F(2x2, 5x5) and F(4x4, 3x3) of Winograd's minimal filtering (Lavin and
 * Gray, Fast Algorithms for Convolutional Neural Networks, 2016), both by the points 0, 1, -1, 1/2,
 * -2 and infinity, of the simple ones those that lose least: of outputs of size 1 a root mean
 * square of 1.2e-6 and 0.95e-6, where the definition in float32 loses 0.5e-6 and 0.3e-6
 * (analysis/peers/winograd_points.py). F(2x2, 3x3) would lose 0.2e-6, with 2.25 times fewer.
 *
 * Windows of 6x6, one for each square of the output, 2x2 or 4x4, are transformed (d becomes B^T d
 * B), the weights g too (G g G^T); where the 36 numbers of the one meet those of the other there
 * are 36 products of matrices [windows, channels] [channels, filters], and the output is A^T m A of
 * what comes. The derivatives are the same steps transposed, in reverse. See winograd_transform.h.
 *
 * Transforms neither fuse nor reorder, products are gr_multiply's: the bits depend on neither the
 * instruction set (as long as it fuses the multiply-add), nor the batch.
 */
#ifndef GRANARY_MODEL_WINOGRAD_H
#define GRANARY_MODEL_WINOGRAD_H

#include <model/images.h>
#include <model/kernels.h>

enum { GR_WINOGRAD_POINTS = 36, GR_WINOGRAD_LANES = 16 };

/* A convolution's sizes; of windows there are as many as squares in the output, rounded up. */
struct gr_winograd_shape {
    struct gr_extent in, out;
    size_t above, left;  /* padding */
    size_t down, across; /* windows */
    /* Of a max pool of 2 x 2, done on the way; height 0: none. */
    struct gr_extent pooled;
};

/*
 * A row of windows of one image. Point p of its window t lies at p * point + t * channels of
 * `spread`. An `image` is a whole one, of which the row's windows are touched.
 */
struct gr_winograd_row {
    const struct gr_winograd_shape *shape;
    size_t number; /* in the image */
    size_t point;
    float *strip; /* room for 6 (4 across + 4) vectors */
};

/* The transforms, once for each instruction set. Channels and n are multiples of 16. */
struct gr_winograd_kernels {
    size_t side; /* of a window's square of the output */
    /* spread = B^T image B */
    void (*spread_in)(const struct gr_winograd_row *row, const float *image, float *spread);
    /* image = A^T spread A + bias, cut at zero for relu */
    void (*gather_out)(const struct gr_winograd_row *row, const float *spread, const float *bias,
                       bool relu, float *image);
    /* The same cut at zero, and of each 2 x 2 the largest and its place, pool.h */
    void (*gather_pooled)(const struct gr_winograd_row *row, const float *spread, const float *bias,
                          float *image, int32_t *places);
    /* spread = A image A^T; sums[filters] += the image, filter by filter */
    void (*spread_out)(const struct gr_winograd_row *row, const float *image, float *spread,
                       float *sums);
    /* The same of derivatives by what comes out of the pool. */
    void (*spread_pooled)(const struct gr_winograd_row *row, const float *image,
                          const int32_t *places, float *spread, float *sums);
    /* image += B spread B^T */
    void (*gather_in)(const struct gr_winograd_row *row, const float *spread, float *image);
    /* spread[36, n] = G weight G^T of weight[25 or 9, n] */
    void (*spread_weight)(const float *weight, size_t n, float *spread);
    /* weight[25 or 9, n] = G^T spread G of spread[36, n] */
    void (*gather_weight)(const float *spread, size_t n, float *weight);
};

/* The kernels for the instruction set of `tiles`; kernel: 5 or 3, the weights' side. */
const struct gr_winograd_kernels *gr_winograd_kernels_of(const struct gr_tiles *tiles,
                                                         size_t kernel);

/*
 * Whether the layer is run that way: float32, channels and filters in whole vectors, and images of
 * a window or more, below which the definition is faster.
 */
bool gr_winograd_fits(const struct gr_model *model, const struct gr_layer *layer);

/* The kind that a convolution becomes when its window and sizes fit. */
extern const struct gr_layer_kind gr_layer_winograd;

#endif
