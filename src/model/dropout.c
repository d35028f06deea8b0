/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dropout: in training each value is zero with probability `rate`, and else divided by 1 - rate
 * (Srivastava et al. 2014, in the form that leaves scoring alone). The draws run on over the
 * batches of a silo's round, from the stream gr_model_start_round names; or each row has a stream
 * for itself, see gr_model_key_rows.
 */
#include <model/network.h>

#include <math.h>
#include <string.h>

/* Draws at a time: they are made eight blocks side by side. */
enum { WORDS = 512 };

/* The factor of each value of the last batch. */
struct dropout {
    float *factor;        /* owned */
    size_t room;          /* values */
    uint32_t first_block; /* of a row's own stream: those before are the layers' before */
};

static gr_status shape(struct gr_layer *layer) {
    layer->to = layer->from;
    return GR_OK;
}

/* The mask is made by the first training pass: a model that only scores has none. */
static gr_status prepare(struct gr_model *model, struct gr_layer *layer) {
    struct dropout *dropout;
    gr_status status;
    GR_TRY(gr_allocate_zero(1, sizeof *dropout, "a dropout layer", &dropout));
    for (const struct gr_layer *before = model->layers; before < layer; before++)
        if (before->config.type == GR_LAYER_DROPOUT)
            dropout->first_block += (uint32_t)((before->outputs + 3) / 4);
    layer->state = dropout;
out:
    return status;
}

static void release(struct gr_layer *layer) {
    struct dropout *dropout = layer->state;
    gr_free(dropout->factor);
    gr_free(dropout);
    layer->state = NULL;
}

static gr_status make_room(struct dropout *dropout, size_t n) {
    gr_status status = GR_OK;
    if (n <= dropout->room) return GR_OK;
    gr_free(dropout->factor);
    dropout->factor = NULL;
    dropout->room = 0;
    GR_TRY(gr_allocate(n, sizeof(float), "a dropout mask", &dropout->factor));
    dropout->room = n;
out:
    return status;
}

/* rate is below 1, so that what is kept is finite. */
static void take_words(const struct gr_layer *layer, const uint32_t *words, size_t n,
                       float *factor) {
    const double rate = layer->config.rate;
    const float kept = (float)(1 / (1 - rate));
    const uint32_t below = (uint32_t)(rate * 0x1p32);
    for (size_t j = 0; j < n; j++)
        factor[j] = words[j] < below ? 0.0f : kept;
}

/* A draw for each value, in order, also of those that are zero anyway: the stream's place must
 * follow from the shapes alone. */
static void draw(const struct gr_model *model, const struct gr_layer *layer, size_t n) {
    const struct dropout *dropout = layer->state;
    uint32_t words[WORDS];
    for (size_t i = 0; i < n; i += WORDS) {
        const size_t m = n - i < WORDS ? n - i : WORDS;
        gr_stream_draw(model->stream, words, m);
        take_words(layer, words, m, dropout->factor + i);
    }
}

/* The stream of a row's own: of a seed that follows from the round's key and the step's upper half,
 * and of the row and the lower half, which stand where silo and round do. */
static struct gr_stream_key key_of(const struct gr_model *model, uint32_t row) {
    struct gr_stream_key key = model->key;
    uint32_t seed[2];
    gr_stream_words(model->key, (uint32_t)(model->step >> 32), seed, 2);
    key.seed = (uint64_t)seed[0] << 32 | seed[1];
    key.silo = row;
    key.round = (uint32_t)model->step;
    return key;
}

static void draw_keyed(const struct gr_model *model, const struct gr_layer *layer, size_t n) {
    const struct dropout *dropout = layer->state;
    const size_t width = layer->outputs;
    uint32_t words[WORDS];
    for (size_t i = 0; i < n; i++) {
        const struct gr_stream_key key = key_of(model, model->row_keys[model->first_row + i]);
        for (size_t at = 0; at < width; at += WORDS) {
            const size_t m = width - at < WORDS ? width - at : WORDS;
            gr_stream_words(key, dropout->first_block + (uint32_t)(at / 4), words, m);
            take_words(layer, words, m, dropout->factor + i * width + at);
        }
    }
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
    GR_TRY(make_room(layer->state, n * layer->outputs));
    if (model->row_keys)
        draw_keyed(model, layer, n);
    else
        draw(model, layer, n * layer->outputs);
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
