/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group_norm: per image and group of channels (x - mean) / sqrt(variance + 1e-5), then per channel
 * times weight plus bias (Wu and He 2018). It knows no batch, which is why federated learning
 * prefers it to batch normalisation: silos need not agree on statistics.
 */
#include <model/elementwise.h>
#include <model/network.h>

#include <math.h>
#include <string.h>

static const double epsilon = 1e-5; /* PyTorch's */

/* Of the last batch, n x groups each. */
struct group_norm {
    float *mean, *scale; /* scale: 1 / sqrt(variance + epsilon); owned */
    size_t room;
    double *by_weight, *by_bias; /* per channel; owned */
};

static gr_status shape(struct gr_layer *layer) {
    const size_t channels = layer->from.channels, groups = layer->config.groups;
    layer->to = layer->from;
    if (groups < 1 || channels % groups != 0)
        return gr_fail(GR_ERROR_CONFIG,
                       "model.layers: group_norm: found %zu groups, allowed divisors of %zu, the "
                       "channels that come in",
                       groups, channels);
    return GR_OK;
}

static gr_status tensors(struct gr_layer *layer, struct gr_layout *layout) {
    return gr_layer_append(layer, layout, 1, &layer->to.channels, layer->to.channels);
}

static gr_status prepare(struct gr_model *model, struct gr_layer *layer) {
    struct group_norm *norm;
    gr_status status;
    (void)model;
    GR_TRY(gr_allocate_zero(1, sizeof *norm, "a group norm layer", &norm));
    layer->state = norm;
    GR_TRY(gr_allocate(layer->to.channels, sizeof(double), "derivatives", &norm->by_weight));
    GR_TRY(gr_allocate(layer->to.channels, sizeof(double), "derivatives", &norm->by_bias));
out:
    return status;
}

static void release(struct gr_layer *layer) {
    struct group_norm *norm = layer->state;
    gr_free(norm->by_bias);
    gr_free(norm->by_weight);
    gr_free(norm->scale);
    gr_free(norm->mean);
    gr_free(norm);
    layer->state = NULL;
}

/* Grown for the largest batch so far; the statistics of the last one are void, and the forward pass
 * that follows writes them. */
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

/*
 * One image's group: `pixels` rows of `width` channels, `row` from one to the next. In two passes
 * and in double: mean square less squared mean loses all digits where the mean is large beside the
 * deviation.
 */
static void normalise(const float *in, size_t pixels, size_t width, size_t row, float *mean_out,
                      float *scale_out) {
    double sum = 0, squares = 0;
    const double count = (double)(pixels * width);
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < width; c++)
            sum += (double)in[p * row + c];
    const double mean = sum / count;
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < width; c++) {
            const double e = (double)in[p * row + c] - mean;
            squares += e * e;
        }
    *mean_out = (float)mean;
    *scale_out = (float)(1 / sqrt(squares / count + epsilon));
}

static gr_status forward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training) {
    struct group_norm *norm = layer->state;
    const size_t channels = layer->to.channels, groups = layer->config.groups,
                 width = channels / groups, pixels = layer->outputs / channels;
    const float *weight = parameters + layer->weight, *bias = parameters + layer->bias;
    gr_status status;
    (void)model;
    (void)training;
    GR_TRY(make_room(norm, n * groups));
    for (size_t i = 0; i < n; i++) {
        const float *in = layer->in + i * layer->inputs;
        float *out = layer->sums + i * layer->outputs;
        float *mean = norm->mean + i * groups, *scale = norm->scale + i * groups;
        for (size_t g = 0; g < groups; g++)
            normalise(in + g * width, pixels, width, channels, &mean[g], &scale[g]);
        for (size_t p = 0; p < pixels; p++)
            for (size_t c = 0; c < channels; c++)
                out[p * channels + c] =
                    (in[p * channels + c] - mean[c / width]) * scale[c / width] * weight[c] +
                    bias[c];
    }
    gr_activate(layer->activation, layer->sums, layer->out, n * layer->outputs);
out:
    return status;
}

/* One image's part of by_weight and by_bias. */
static void add_derivatives(const struct gr_layer *layer, size_t image, const float *delta) {
    const size_t channels = layer->to.channels, groups = layer->config.groups,
                 width = channels / groups, pixels = layer->outputs / channels;
    const struct group_norm *norm = layer->state;
    const float *in = layer->in + image * layer->inputs;
    const float *mean = norm->mean + image * groups, *scale = norm->scale + image * groups;
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++) {
            const double x = (double)((in[p * channels + c] - mean[c / width]) * scale[c / width]);
            const double d = (double)delta[p * channels + c];
            norm->by_weight[c] += d * x;
            norm->by_bias[c] += d;
        }
}

/*
 * One image's group. With x' the normalised values and d = delta weight:
 * by x: scale (d - mean(d) - x' mean(d x')).
 */
static void backward_group(const struct gr_layer *layer, const float *in, const float *delta,
                           const float *weight, size_t g, float mean, float scale, float *before) {
    const size_t channels = layer->to.channels, width = channels / layer->config.groups,
                 pixels = layer->outputs / channels, first = g * width;
    const double count = (double)(pixels * width);
    double sum = 0, product = 0;
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = first; c < first + width; c++) {
            const double x = (double)((in[p * channels + c] - mean) * scale);
            const double d = (double)delta[p * channels + c];
            sum += d * (double)weight[c];
            product += d * (double)weight[c] * x;
        }
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = first; c < first + width; c++) {
            const double x = (double)((in[p * channels + c] - mean) * scale);
            const double d = (double)(delta[p * channels + c] * weight[c]);
            before[p * channels + c] =
                (float)((double)scale * (d - sum / count - x * product / count));
        }
}

/* Derivatives are summed over all pixels of the batch in double, and rounded once. */
static void take(const struct gr_target *target, float *scratch, float *to, const double *from,
                 size_t n) {
    for (size_t i = 0; i < n; i++)
        scratch[i] = (float)from[i];
    gr_target_take(target, to, scratch, n);
}

/* Works from `in` and the kept statistics; normalised values are not kept, as that would take the
 * batch's room once more. */
static gr_status backward_data(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n) {
    const struct group_norm *norm = layer->state;
    const size_t groups = layer->config.groups;
    for (size_t i = 0; i < n; i++)
        for (size_t g = 0; g < groups; g++)
            backward_group(layer, layer->in + i * layer->inputs, model->delta + i * layer->outputs,
                           parameters + layer->weight, g, norm->mean[i * groups + g],
                           norm->scale[i * groups + g], model->delta_before + i * layer->inputs);
    return GR_OK;
}

static void clear_derivatives(const struct gr_layer *layer) {
    const struct group_norm *norm = layer->state;
    memset(norm->by_weight, 0, layer->to.channels * sizeof *norm->by_weight);
    memset(norm->by_bias, 0, layer->to.channels * sizeof *norm->by_bias);
}

static gr_status backward_weight(struct gr_model *model, struct gr_layer *layer,
                                 const float *parameters, size_t n,
                                 const struct gr_target *target) {
    const struct group_norm *norm = layer->state;
    const size_t channels = layer->to.channels;
    (void)parameters;
    clear_derivatives(layer);
    for (size_t i = 0; i < n; i++)
        add_derivatives(layer, i, model->delta + i * layer->outputs);
    take(target, model->pack, target->vector + layer->weight, norm->by_weight, channels);
    take(target, model->pack, target->vector + layer->bias, norm->by_bias, channels);
    return GR_OK;
}

/* An image's derivatives are those of a batch of it alone, because groups never span images. */
static gr_status row_norms(struct gr_model *model, const struct gr_layer *layer, size_t n,
                           double *squares) {
    const struct group_norm *norm = layer->state;
    for (size_t i = 0; i < n; i++) {
        clear_derivatives(layer);
        add_derivatives(layer, i, model->delta + i * layer->outputs);
        for (size_t c = 0; c < layer->to.channels; c++)
            squares[i] +=
                norm->by_weight[c] * norm->by_weight[c] + norm->by_bias[c] * norm->by_bias[c];
    }
    return GR_OK;
}

const struct gr_layer_kind gr_layer_group_norm = {.shape = shape,
                                                  .tensors = tensors,
                                                  .prepare = prepare,
                                                  .forward = forward,
                                                  .backward_data = backward_data,
                                                  .backward_weight = backward_weight,
                                                  .row_norms = row_norms,
                                                  .release = release};
