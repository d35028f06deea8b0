/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dropout: in training each value is zero with probability `rate`, and else divided by 1 - rate
 * (Srivastava et al. 2014, in the form that leaves scoring alone). The draws run on over the
 * batches of a silo's round, from the stream gr_model_start_round names.
 */
#include <model/network.h>

#include <math.h>
#include <string.h>

/* Draws at a time: they are made eight blocks side by side. */
enum { WORDS = 512 };

/* The factor of each value of the last batch. */
struct dropout {
    float *factor; /* owned */
    size_t room;   /* values */
};

static gr_status shape(struct gr_layer *layer) {
    layer->to = layer->from;
    return GR_OK;
}

/* The mask is made by the first training pass: a model that only scores has none. */
static gr_status prepare(struct gr_model *model, struct gr_layer *layer) {
    (void)model;
    return gr_allocate_zero(1, sizeof(struct dropout), "a dropout layer", &layer->state);
}

static void release(struct gr_layer *layer) {
    struct dropout *dropout = layer->state;
    gr_free(dropout->factor);
    gr_free(dropout);
    layer->state = NULL;
}

/* A draw for each value, in order, also of those that are zero anyway: the stream's place must
 * follow from the shapes alone. rate is below 1, so that `kept` is finite. */
static gr_status draw(struct gr_model *model, const struct gr_layer *layer, size_t n) {
    struct dropout *dropout = layer->state;
    const double rate = layer->config.rate;
    const float kept = (float)(1 / (1 - rate));
    const uint32_t below = (uint32_t)(rate * 0x1p32);
    uint32_t words[WORDS];
    gr_status status = GR_OK;
    if (n > dropout->room) {
        gr_free(dropout->factor);
        *dropout = (struct dropout){0};
        GR_TRY(gr_allocate(n, sizeof(float), "a dropout mask", &dropout->factor));
        dropout->room = n;
    }
    for (size_t i = 0; i < n; i += WORDS) {
        const size_t m = n - i < WORDS ? n - i : WORDS;
        gr_stream_draw(model->stream, words, m);
        for (size_t j = 0; j < m; j++)
            dropout->factor[i + j] = words[j] < below ? 0.0f : kept;
    }
out:
    return status;
}

static gr_status forward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training) {
    const struct dropout *dropout = layer->state;
    gr_status status = GR_OK;
    (void)parameters;
    /* Copied, not passed on: layers own their outputs, and the next one reads from there. */
    if (!training) {
        memcpy(layer->out, layer->in, n * layer->outputs * sizeof *layer->out);
        return GR_OK;
    }
    GR_TRY(draw(model, layer, n * layer->outputs));
    for (size_t i = 0; i < n * layer->outputs; i++)
        layer->out[i] = layer->in[i] * dropout->factor[i];
out:
    return status;
}

/* By the mask of the last forward pass, which is why a backward pass must follow it at once. */
static gr_status backward_data(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n) {
    const struct dropout *dropout = layer->state;
    (void)parameters;
    for (size_t i = 0; i < n * layer->outputs; i++)
        model->delta_before[i] = model->delta[i] * dropout->factor[i];
    return GR_OK;
}

const struct gr_layer_kind gr_layer_dropout = {.shape = shape,
                                               .prepare = prepare,
                                               .forward = forward,
                                               .backward_data = backward_data,
                                               .release = release};
