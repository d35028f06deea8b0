/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reference: every kernel once more, as its definition says and no faster. Tests compare the fast
 * ones with these; nothing else calls them.
 */
#ifndef GRANARY_MODEL_REFERENCE_H
#define GRANARY_MODEL_REFERENCE_H

#include <granary/config.h>
#include <model/kernels.h>
#include <model/layer.h>

/* What a step of the inner index adds to a sum: a product, rounded apart or fused as by processors
 * that can; or two of bfloat16, see pairs.h. */
enum gr_arithmetic { GR_ARITHMETIC_PLAIN, GR_ARITHMETIC_FUSED, GR_ARITHMETIC_PAIRED };

/* gr_multiply. */
void gr_reference_multiply(const struct gr_product *product, enum gr_arithmetic arithmetic);

/* x rounded to the nearest bfloat16, of two equally near ones to the even one; its 16 bits. */
uint16_t gr_reference_round(float x);

/* The activation and its derivative, in double. */
double gr_reference_activate(enum gr_activation activation, double x);
double gr_reference_slope(enum gr_activation activation, double x);

/* A convolution of stride 1; weights are [kernel, kernel, in, out]. */
struct gr_reference_conv {
    struct gr_extent in, out;
    size_t kernel, above, left; /* rows and columns of padding before the image */
};

/*
 * The share of one image in out, and, by the derivative delta of out, to d_in and d_weight; in
 * double, without bias.
 */
void gr_reference_convolve(const struct gr_reference_conv *conv, const float *in,
                           const float *weight, const float *delta, double *out, double *d_in,
                           double *d_weight);

/* A network in double: layers of widths[0] (inputs) to widths[n_widths - 1] (classes). */
struct gr_reference_network {
    size_t n_widths;
    const size_t *widths;
    enum gr_activation activation;
    const struct gr_layout *layout; /* of its parameters */
};

/*
 * Mean softmax cross-entropy over n rows, and, when gradient is not NULL, its gradient in the
 * layout's places, zero in the gaps. scratch: 3 n times the sum of the widths.
 */
double gr_reference_loss(const struct gr_reference_network *network, const double *parameters,
                         const float *features, const int32_t *labels, size_t n, double *scratch,
                         double *gradient);

#endif
