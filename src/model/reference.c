/* SPDX-License-Identifier: Apache-2.0 */
/* Naive references of the kernels, for tests: loops as the definitions have them, in double where
 * no bits are compared. Nothing but tests calls them. */
#include <model/reference.h>

#include <math.h>
#include <string.h>

uint16_t gr_reference_round(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* The upper bits of a float; below the least normal number the processor sees zero. */
static float widen(uint32_t half) {
    const uint32_t bits = half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

static float add_flushed(float x, float y, float sum) {
    const float made = fmaf(x, y, fpclassify(sum) == FP_SUBNORMAL ? copysignf(0, sum) : sum);
    return fpclassify(made) == FP_SUBNORMAL ? copysignf(0, made) : made;
}

static float add_pair(float x, float y, float sum) {
    uint32_t a, b;
    memcpy(&a, &x, sizeof a);
    memcpy(&b, &y, sizeof b);
    sum = add_flushed(widen(a >> 16), widen(b >> 16), sum);
    return add_flushed(widen(a & 0xffff), widen(b & 0xffff), sum);
}

static float add_product(float x, float y, float sum, enum gr_arithmetic arithmetic) {
    if (arithmetic == GR_ARITHMETIC_PAIRED) return add_pair(x, y, sum);
    return arithmetic == GR_ARITHMETIC_FUSED ? fmaf(x, y, sum) : sum + x * y;
}

void gr_reference_multiply(const struct gr_product *p, enum gr_arithmetic arithmetic) {
    const bool fused = arithmetic != GR_ARITHMETIC_PLAIN;
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            float *c = &p->c[i * p->c_row + j];
            float sum = p->from ? p->from[i * p->from_row + j] : 0;
            for (size_t l = 0; l < p->k; l++) {
                const float x = p->a[i * p->a_row + l * p->a_step], y = p->b[l * p->b_row + j];
                sum = add_product(x, y, sum, arithmetic);
            }
            if (p->finish == GR_FINISH_STEP)
                *c += fused ? fmaf(-p->decay, *c, sum) : sum - p->decay * *c;
            else
                *c = p->finish == GR_FINISH_RELU && sum <= 0 ? 0 : sum;
        }
}

double gr_reference_activate(enum gr_activation activation, double x) {
    switch (activation) {
    case GR_ACTIVATION_RELU:
        return x > 0 ? x : 0;
    case GR_ACTIVATION_GELU:
        return x * 0.5 * erfc(-x * M_SQRT1_2);
    case GR_ACTIVATION_TANH:
        return tanh(x);
    case GR_ACTIVATION_NONE:
    case GR_ACTIVATION_DEFAULT:
        return x;
    }
    return NAN;
}

double gr_reference_slope(enum gr_activation activation, double x) {
    switch (activation) {
    case GR_ACTIVATION_RELU:
        return x > 0 ? 1 : 0;
    case GR_ACTIVATION_GELU:
        return 0.5 * erfc(-x * M_SQRT1_2) + x * exp(-0.5 * x * x) / sqrt(2 * M_PI);
    case GR_ACTIVATION_TANH:
        return 1 / (cosh(x) * cosh(x));
    case GR_ACTIVATION_NONE:
    case GR_ACTIVATION_DEFAULT:
        return 1;
    }
    return NAN;
}

/* Output `at`, and what it takes from the image at `from` by that tap of the kernel. */
static void convolve_tap(const struct gr_reference_conv *conv, size_t from, size_t at, size_t tap,
                         const float *in, const float *weight, const float *delta, double *out,
                         double *d_in, double *d_weight) {
    const size_t channels = conv->in.channels, filters = conv->out.channels;
    for (size_t c = 0; c < channels; c++)
        for (size_t f = 0; f < filters; f++) {
            const size_t w = (tap * channels + c) * filters + f;
            const double x = in[from * channels + c], d = delta[at * filters + f];
            out[at * filters + f] += x * weight[w];
            d_in[from * channels + c] += d * weight[w];
            d_weight[w] += d * x;
        }
}

void gr_reference_convolve(const struct gr_reference_conv *conv, const float *in,
                           const float *weight, const float *delta, double *out, double *d_in,
                           double *d_weight) {
    const size_t width = conv->out.width, taps = conv->kernel * conv->kernel;
    for (size_t at = 0; at < conv->out.height * width; at++)
        for (size_t tap = 0; tap < taps; tap++) {
            const size_t y = at / width + tap / conv->kernel, x = at % width + tap % conv->kernel;
            if (y < conv->above || y - conv->above >= conv->in.height) continue;
            if (x < conv->left || x - conv->left >= conv->in.width) continue;
            convolve_tap(conv, (y - conv->above) * conv->in.width + x - conv->left, at, tap, in,
                         weight, delta, out, d_in, d_weight);
        }
}

/* Mean loss of n rows of outputs; delta: its derivative by them. */
static double cross_entropy(const double *outputs, const int32_t *labels, size_t n, size_t classes,
                            double *delta) {
    double loss = 0;
    for (size_t i = 0; i < n; i++) {
        const double *row = outputs + i * classes;
        double largest = row[0], sum = 0;
        for (size_t j = 0; j < classes; j++)
            largest = fmax(largest, row[j]);
        for (size_t j = 0; j < classes; j++)
            sum += exp(row[j] - largest);
        /* cppcheck-suppress invalidFunctionArg; there is a class */
        loss += log(sum) + largest - row[labels[i]];
        for (size_t j = 0; j < classes; j++)
            delta[i * classes + j] =
                (exp(row[j] - largest) / sum - (j == (size_t)labels[i])) / (double)n;
    }
    return loss / (double)n;
}

/* Derivatives by a layer's weights, and by what came in (delta_in NULL: not wanted). */
static void backward(const double *in, const double *weight, const double *delta, size_t n,
                     size_t n_in, size_t n_out, double *by_weight, double *by_bias,
                     double *delta_in) {
    for (size_t i = 0; i < n; i++)
        for (size_t o = 0; o < n_out; o++) {
            by_bias[o] += delta[i * n_out + o];
            for (size_t k = 0; k < n_in; k++) {
                by_weight[k * n_out + o] += in[i * n_in + k] * delta[i * n_out + o];
                if (delta_in)
                    delta_in[i * n_in + k] += weight[k * n_out + o] * delta[i * n_out + o];
            }
        }
}

/* Layers' outputs, sums and deltas lie behind each other in `scratch`, a batch each; `at` is where
 * the present layer's begin. */
double gr_reference_loss(const struct gr_reference_network *network, const double *parameters,
                         const float *features, const int32_t *labels, size_t n, double *scratch,
                         double *gradient) {
    const size_t *w = network->widths, last = network->n_widths - 1;
    const struct gr_tensor *tensors = network->layout->tensors;
    size_t total = 0, at = 0;
    for (size_t l = 0; l <= last; l++)
        total += n * w[l];
    double *outs = scratch, *sums = scratch + total, *deltas = scratch + 2 * total;
    memset(scratch, 0, 3 * total * sizeof *scratch);
    for (size_t i = 0; i < n * w[0]; i++)
        outs[i] = features[i];
    for (size_t l = 0; l < last; l++) {
        const double *weight = parameters + tensors[2 * l].offset;
        const double *bias = parameters + tensors[2 * l + 1].offset;
        const double *in = outs + at;
        at += n * w[l];
        for (size_t i = 0; i < n; i++)
            for (size_t o = 0; o < w[l + 1]; o++) {
                double sum = bias[o];
                for (size_t k = 0; k < w[l]; k++)
                    sum += in[i * w[l] + k] * weight[k * w[l + 1] + o];
                sums[at + i * w[l + 1] + o] = sum;
                outs[at + i * w[l + 1] + o] =
                    l + 1 < last ? gr_reference_activate(network->activation, sum) : sum;
            }
    }
    const double loss = cross_entropy(outs + at, labels, n, w[last], deltas + at);
    if (!gradient) return loss;
    memset(gradient, 0, network->layout->size * sizeof *gradient);
    for (size_t l = last; l-- > 0;) {
        const size_t before = at - n * w[l];
        if (l + 1 < last)
            for (size_t i = 0; i < n * w[l + 1]; i++)
                deltas[at + i] *= gr_reference_slope(network->activation, sums[at + i]);
        backward(outs + before, parameters + tensors[2 * l].offset, deltas + at, n, w[l], w[l + 1],
                 gradient + tensors[2 * l].offset, gradient + tensors[2 * l + 1].offset,
                 l > 0 ? deltas + before : NULL);
        at = before;
    }
    return loss;
}
