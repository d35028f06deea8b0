/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group_norm: per image and group of channels (x - mean) / sqrt(variance +
 * 1e-5), then per channel times weight plus bias (Wu and He 2018). It knows no
 * batch, which is why federated learning prefers it to batch normalisation:
 * silos need not agree on statistics.
 *
 * Sums are taken channel by channel, in double and in the order of pixels, by
 * loops over channels that the compiler makes vectors of, once for each
 * instruction set; a group's are the sums of its channels'. So the bits are the
 * same by all of them.
 */
#include <model/elementwise.h>
#include <model/network.h>

#include <math.h>
#include <string.h>

static const double epsilon = 1e-5; /* PyTorch's */

/* An image's statistics spread over the channels, and its sums channel by
 * channel; owned. */
struct channel_sums {
    float *mean, *scale;    /* scale: 1 / sqrt(variance + epsilon) */
    float *level, *slope;   /* of delta times weight, and of that times the
                               normalised values */
    double *first, *second; /* sums and sums of squares; back: of delta, and delta
                               times values */
    double *centre;
};

/* The loops over one image of `pixels` rows. */
struct norm_kernels {
    void (*add)(const float *in, size_t pixels, size_t channels, double *sums);
    void (*add_squares)(const float *in, const double *centre, size_t pixels, size_t channels,
                        double *sums);
    void (*normalise)(const struct channel_sums *of, const float *in, const float *weight,
                      const float *bias, size_t pixels, size_t channels, float *out);
    void (*add_back)(const struct channel_sums *of, const float *in, const float *delta,
                     size_t pixels, size_t channels);
    void (*spread_back)(const struct channel_sums *of, const float *in, const float *delta,
                        const float *weight, size_t pixels, size_t channels, float *before);
};

/* Means and scales are of the last batch, n x groups each. */
struct group_norm {
    const struct norm_kernels *kernels;
    struct channel_sums of; /* one image */
    float *mean, *scale;    /* owned */
    size_t room;
    double *by_weight, *by_bias; /* per channel; owned */
};

static gr_status shape(struct gr_layer *layer) {
    const size_t channels = layer->from.channels, groups = layer->config.groups;
    layer->to = layer->from;
    if (groups < 1 || channels % groups != 0)
        return gr_fail(GR_ERROR_CONFIG,
                       "model.layers: group_norm: found %zu groups, allowed "
                       "divisors of %zu, the "
                       "channels that come in",
                       groups, channels);
    return GR_OK;
}

static gr_status tensors(struct gr_layer *layer, struct gr_layout *layout) {
    return gr_layer_append(layer, layout, 1, &layer->to.channels, layer->to.channels);
}

/* ---- loops
 * --------------------------------------------------------------------------------
 */

#define INLINE static inline __attribute__((always_inline)) void

INLINE add(const float *in, size_t pixels, size_t channels, double *restrict sums) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++)
            sums[c] += (double)in[p * channels + c];
}

INLINE add_squares(const float *in, const double *centre, size_t pixels, size_t channels,
                   double *restrict sums) {
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) {
            const double e = (double)in[p * channels + c] - centre[c];
            sums[c] += e * e;
        }
}

INLINE normalise(const struct channel_sums *of, const float *in, const float *weight,
                 const float *bias, size_t pixels, size_t channels, float *restrict out) {
    const float *const mean = of->mean, *const scale = of->scale;
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++)
            out[p * channels + c] =
                (in[p * channels + c] - mean[c]) * scale[c] * weight[c] + bias[c];
}

INLINE add_back(const struct channel_sums *of, const float *in, const float *delta, size_t pixels,
                size_t channels) {
    const float *const mean = of->mean, *const scale = of->scale;
    double *restrict const first = of->first, *restrict const second = of->second;
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) {
            const double x = (double)((in[p * channels + c] - mean[c]) * scale[c]);
            const double d = (double)delta[p * channels + c];
            first[c] += d;
            second[c] += d * x;
        }
}

INLINE spread_back(const struct channel_sums *of, const float *in, const float *delta,
                   const float *weight, size_t pixels, size_t channels, float *restrict before) {
    const float *const mean = of->mean, *const scale = of->scale;
    const float *const level = of->level, *const slope = of->slope;
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) {
            const float x = (in[p * channels + c] - mean[c]) * scale[c];
            before[p * channels + c] =
                scale[c] * ((delta[p * channels + c] * weight[c] - level[c]) - x * slope[c]);
        }
}

/* NOLINTBEGIN(bugprone-macro-parentheses): neither an attribute nor a name can stand in them */
#define DEFINE(name, isa)                                                                          \
    isa static void name##_add(const float *in, size_t pixels, size_t channels, double *sums) {    \
        add(in, pixels, channels, sums);                                                           \
    }                                                                                              \
    isa static void name##_add_squares(const float *in, const double *centre, size_t pixels,       \
                                       size_t channels, double *sums) {                            \
        add_squares(in, centre, pixels, channels, sums);                                           \
    }                                                                                              \
    isa static void name##_normalise(const struct channel_sums *of, const float *in,               \
                                     const float *weight, const float *bias, size_t pixels,        \
                                     size_t channels, float *out) {                                \
        normalise(of, in, weight, bias, pixels, channels, out);                                    \
    }                                                                                              \
    isa static void name##_add_back(const struct channel_sums *of, const float *in,                \
                                    const float *delta, size_t pixels, size_t channels) {          \
        add_back(of, in, delta, pixels, channels);                                                 \
    }                                                                                              \
    isa static void name##_spread_back(const struct channel_sums *of, const float *in,             \
                                       const float *delta, const float *weight, size_t pixels,     \
                                       size_t channels, float *before) {                           \
        spread_back(of, in, delta, weight, pixels, channels, before);                              \
    }                                                                                              \
    static const struct norm_kernels name##_kernels = {                                            \
        name##_add, name##_add_squares, name##_normalise, name##_add_back, name##_spread_back};
/* NOLINTEND(bugprone-macro-parentheses) */

#if defined(__x86_64__)
DEFINE(avx512, __attribute__((target("avx512f,avx2"))))
DEFINE(avx2, __attribute__((target("avx2"))))
#endif
DEFINE(portable, )

/* By enum gr_vectors. */
static const struct norm_kernels *const by_vectors[] = {
    &portable_kernels,
#if defined(__x86_64__)
    &avx2_kernels,
    &avx512_kernels,
#endif
};

/* ---- making ------------------------------------------------------------------------------- */

static gr_status prepare(struct gr_model *model, struct gr_layer *layer) {
    const size_t n = layer->to.channels;
    struct group_norm *norm;
    gr_status status;
    GR_TRY(gr_allocate_zero(1, sizeof *norm, "a group norm layer", &norm));
    layer->state = norm;
    norm->kernels = by_vectors[model->tiles->vectors];
    GR_TRY(gr_allocate(n, sizeof(double), "derivatives", &norm->by_weight));
    GR_TRY(gr_allocate(n, sizeof(double), "derivatives", &norm->by_bias));
    GR_TRY(gr_allocate(n, sizeof(float), "means", &norm->of.mean));
    GR_TRY(gr_allocate(n, sizeof(float), "variances", &norm->of.scale));
    GR_TRY(gr_allocate(n, sizeof(float), "derivatives", &norm->of.level));
    GR_TRY(gr_allocate(n, sizeof(float), "derivatives", &norm->of.slope));
    GR_TRY(gr_allocate(n, sizeof(double), "sums", &norm->of.first));
    GR_TRY(gr_allocate(n, sizeof(double), "sums", &norm->of.second));
    GR_TRY(gr_allocate(n, sizeof(double), "means", &norm->of.centre));
out:
    return status;
}

static void release(struct gr_layer *layer) {
    struct group_norm *norm = layer->state;
    gr_free(norm->of.centre);
    gr_free(norm->of.second);
    gr_free(norm->of.first);
    gr_free(norm->of.slope);
    gr_free(norm->of.level);
    gr_free(norm->of.scale);
    gr_free(norm->of.mean);
    gr_free(norm->by_bias);
    gr_free(norm->by_weight);
    gr_free(norm->scale);
    gr_free(norm->mean);
    gr_free(norm);
    layer->state = NULL;
}

/* Grown for the largest batch so far; the statistics of the last one are void,
 * and the forward pass that follows writes them. */
static gr_status make_room(struct group_norm *norm, size_t n) {
    gr_status status = GR_OK;
    if (n <= norm->room) return GR_OK;
    gr_free(norm->mean);
    gr_free(norm->scale);
    norm->mean = norm->scale = NULL;
    norm->room = 0;
    GR_TRY(gr_allocate(n, sizeof(float), "means", &norm->mean));
    GR_TRY(gr_allocate(n, sizeof(float), "variances", &norm->scale));
    norm->room = n;
out:
    return status;
}

/* ---- running
 * ------------------------------------------------------------------------------
 */

/* The sizes of a layer's images and groups. */
struct group_sizes {
    size_t pixels, channels, groups, width;
    double count; /* of a group's values */
};

static struct group_sizes sizes_of(const struct gr_layer *layer) {
    const size_t channels = layer->to.channels, groups = layer->config.groups,
                 width = channels / groups, pixels = layer->outputs / channels;
    return (struct group_sizes){pixels, channels, groups, width, (double)(pixels * width)};
}

/* A group's sum of its channels'. */
static double sum_group(const struct group_sizes *s, size_t g, const double *sums) {
    double sum = 0;
    for (size_t c = g * s->width; c < (g + 1) * s->width; c++)
        sum += sums[c];
    return sum;
}

/* An image's statistics, spread over the channels. */
static void spread_statistics(const struct group_norm *norm, const struct group_sizes *s,
                              size_t image) {
    for (size_t c = 0; c < s->channels; c++) {
        norm->of.mean[c] = norm->mean[image * s->groups + c / s->width];
        norm->of.scale[c] = norm->scale[image * s->groups + c / s->width];
    }
}

/*
 * In two passes and in double: mean square less squared mean loses all digits
 * where the mean is large beside the deviation.
 */
static void find_statistics(const struct group_norm *norm, const struct group_sizes *s,
                            size_t image, const float *in) {
    const struct channel_sums *of = &norm->of;
    memset(of->first, 0, s->channels * sizeof *of->first);
    norm->kernels->add(in, s->pixels, s->channels, of->first);
    for (size_t g = 0; g < s->groups; g++) {
        const double mean = sum_group(s, g, of->first) / s->count;
        for (size_t c = g * s->width; c < (g + 1) * s->width; c++)
            of->centre[c] = mean;
        norm->mean[image * s->groups + g] = (float)mean;
    }
    memset(of->second, 0, s->channels * sizeof *of->second);
    norm->kernels->add_squares(in, of->centre, s->pixels, s->channels, of->second);
    for (size_t g = 0; g < s->groups; g++)
        norm->scale[image * s->groups + g] =
            (float)(1 / sqrt(sum_group(s, g, of->second) / s->count + epsilon));
}

static gr_status forward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training) {
    struct group_norm *norm = layer->state;
    const struct group_sizes s = sizes_of(layer);
    gr_status status;
    (void)model;
    (void)training;
    GR_TRY(make_room(norm, n * s.groups));
    for (size_t i = 0; i < n; i++) {
        const size_t at = i * layer->outputs;
        find_statistics(norm, &s, i, layer->in + at);
        spread_statistics(norm, &s, i);
        norm->kernels->normalise(&norm->of, layer->in + at, parameters + layer->weight,
                                 parameters + layer->bias, s.pixels, s.channels, layer->sums + at);
        gr_activate(layer->activation, layer->sums + at, layer->out + at, layer->outputs);
    }
out:
    return status;
}

/* One image's derivatives by the biases and the weights: the sums `first` and
 * `second`. Works from `in` and the kept statistics; normalised values are not
 * kept, as that would take the batch's room once more. */
static void derive_image(const struct gr_model *model, const struct gr_layer *layer,
                         const struct group_sizes *s, size_t image) {
    const struct group_norm *norm = layer->state;
    const struct channel_sums *of = &norm->of;
    const size_t at = image * layer->outputs;
    spread_statistics(norm, s, image);
    memset(of->first, 0, s->channels * sizeof *of->first);
    memset(of->second, 0, s->channels * sizeof *of->second);
    norm->kernels->add_back(of, layer->in + at, model->delta + at, s->pixels, s->channels);
}

/*
 * One image, behind derive_image. With x' the normalised values and d = delta
 * weight, by x: scale (d - mean(d) - x' mean(d x')). The weight is the same for
 * a channel's pixels, so that the means follow from its sums.
 */
static void spread_image(const struct gr_model *model, const struct gr_layer *layer,
                         const struct group_sizes *s, const float *weight, size_t image) {
    const struct group_norm *norm = layer->state;
    const struct channel_sums *of = &norm->of;
    const size_t at = image * layer->outputs;
    for (size_t g = 0; g < s->groups; g++) {
        double level = 0, slope = 0;
        for (size_t c = g * s->width; c < (g + 1) * s->width; c++) {
            level += (double)weight[c] * of->first[c];
            slope += (double)weight[c] * of->second[c];
        }
        for (size_t c = g * s->width; c < (g + 1) * s->width; c++) {
            of->level[c] = (float)(level / s->count);
            of->slope[c] = (float)(slope / s->count);
        }
    }
    norm->kernels->spread_back(of, layer->in + at, model->delta + at, weight, s->pixels,
                               s->channels, model->delta_before + at);
}

/* Derivatives are summed over all pixels of the batch in double, and rounded
 * once. */
static void take(const struct gr_target *target, float *scratch, float *to, const double *from,
                 size_t n) {
    for (size_t i = 0; i < n; i++)
        scratch[i] = (float)from[i];
    gr_target_take(target, to, scratch, n);
}

/* Both halves, or the one whose target or `data` is given: the sums of the one
 * serve the other. */
static gr_status pass_back(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                           size_t n, const struct gr_target *target, bool data) {
    const struct group_norm *norm = layer->state;
    const struct group_sizes s = sizes_of(layer);
    memset(norm->by_weight, 0, s.channels * sizeof *norm->by_weight);
    memset(norm->by_bias, 0, s.channels * sizeof *norm->by_bias);
    for (size_t i = 0; i < n; i++) {
        derive_image(model, layer, &s, i);
        for (size_t c = 0; c < s.channels; c++) {
            norm->by_bias[c] += norm->of.first[c];
            norm->by_weight[c] += norm->of.second[c];
        }
        if (data) spread_image(model, layer, &s, parameters + layer->weight, i);
    }
    if (!target) return GR_OK;
    take(target, model->pack, target->vector + layer->weight, norm->by_weight, s.channels);
    take(target, model->pack, target->vector + layer->bias, norm->by_bias, s.channels);
    return GR_OK;
}

static gr_status backward_data(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n) {
    return pass_back(model, layer, parameters, n, NULL, true);
}

static gr_status backward_weight(struct gr_model *model, struct gr_layer *layer,
                                 const float *parameters, size_t n,
                                 const struct gr_target *target) {
    return pass_back(model, layer, parameters, n, target, false);
}

static gr_status backward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                          size_t n, const struct gr_target *target) {
    return pass_back(model, layer, parameters, n, target, true);
}

/* An image's derivatives are those of a batch of it alone, because groups never span images. */
static gr_status backward_rows(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n, float *rows, bool data) {
    const struct group_norm *norm = layer->state;
    const struct group_sizes s = sizes_of(layer);
    float *by_weight = rows, *by_bias = rows + gr_layer_row_biases(layer);
    for (size_t i = 0; i < n; i++) {
        derive_image(model, layer, &s, i);
        for (size_t c = 0; c < s.channels; c++) {
            by_weight[c] = (float)norm->of.second[c];
            by_bias[c] = (float)norm->of.first[c];
        }
        if (data) spread_image(model, layer, &s, parameters + layer->weight, i);
        by_weight += gr_layer_row_stride(layer);
        by_bias += gr_layer_row_stride(layer);
    }
    return GR_OK;
}

const struct gr_layer_kind gr_layer_group_norm = {.shape = shape,
                                                  .tensors = tensors,
                                                  .prepare = prepare,
                                                  .forward = forward,
                                                  .backward_data = backward_data,
                                                  .backward_weight = backward_weight,
                                                  .backward = backward,
                                                  .backward_rows = backward_rows,
                                                  .release = release};
