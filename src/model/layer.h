/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer: a layer as the passes over a model know it. Each kind is one file that ends in its table
 * of functions, and one row of GR_LAYER_TYPES (granary/settings.h).
 *
 * All layers pass float32 arrays of n rows; a row of images is [height, width, channels], the last
 * the fastest, so that a dense layer takes it as it lies.
 */
#ifndef GRANARY_MODEL_LAYER_H
#define GRANARY_MODEL_LAYER_H

#include <granary/model.h>

/* Above this a size is a mistake or an attack, and sums of sizes below cannot overflow. */
enum { GR_WIDTH_MAX = 1 << 28 };

/* A row's shape; what is no image has height and width 1. */
struct gr_extent {
    size_t height, width, channels;
};

/* Where the backward pass takes the parameters' derivatives. */
struct gr_target {
    float *vector; /* the gradient, or the parameters themselves */
    bool step;     /* vector += derivative - decay * vector, instead of vector = derivative */
    float decay;   /* learning rate times weight decay */
    /* Of a batch taken in parts: the derivative over the rows before these, as long as `vector`,
     * which may be the same. NULL: there are none. Only dense layers look at it. */
    const float *before;
};

/* Handles `n` floats of `derivative` in that way. */
void gr_target_take(const struct gr_target *target, float *to, const float *derivative, size_t n);

/* Returns the sum of the squares of n floats in double precision, added in an order that n alone
 * decides. */
double gr_square_sum(const float *x, size_t n);

struct gr_layer_kind;

struct gr_layer {
    const struct gr_layer_kind *kind;
    struct gr_layer_config config;
    enum gr_activation activation; /* never `default` */
    struct gr_extent from, to;
    size_t inputs, outputs; /* of a row: the extents multiplied out */
    bool first;             /* no derivative by what comes in is wanted */
    bool slope_behind;      /* the pool behind takes the derivative of the activation */
    bool merged;            /* the layer before does its work on the way; passes leave it out */
    size_t number;          /* among those with tensors of the same kind */
    size_t weight, bias;    /* offsets in the parameter vector */
    size_t n_weights, n_biases;
    size_t fan_in, fan_out;      /* of a weight; fan_in 0: weights start at 1 */
    float *in;                   /* the batch, or the layer's before */
    float *sums;                 /* before the activation; may be `out` */
    float *out;                  /* n x outputs */
    const struct gr_code *codes; /* of an embedding; the model's */
    size_t n_codes, vocabulary;  /* of an embedding; of a bag */
    void *state;                 /* the kind's own; owned */
};

/* Floats from a row's own derivative by the layer's parameters to the next row's; its weights come
 * first, and its biases begin where gr_layer_row_biases says. Both are aligned. */
size_t gr_layer_row_stride(const struct gr_layer *layer);
size_t gr_layer_row_biases(const struct gr_layer *layer);

/*
 * A kind of layer: its functions. n: rows of the batch. A function that may be NULL, and is, is not
 * called.
 *
 * In the backward pass model->delta, n x outputs float32, is the loss's derivative by a layer's
 * sums before the activation: gr_layer_backward has taken it through the activation. The halves do
 * not change it and know nothing of each other, so that a caller may ask for either alone.
 */
struct gr_layer_kind {
    /* Sets `to` from `from` and the settings. Errors: GR_ERROR_CONFIG, settings that do not fit. */
    gr_status (*shape)(struct gr_layer *layer);
    /* Appends the layer's tensors to the layout; NULL: it has none. */
    gr_status (*tensors)(struct gr_layer *layer, struct gr_layout *layout);
    /* Makes `state`, which release frees; NULL: there is none. It may put another kind in the
     * layer's place, which computes the same in another way. */
    gr_status (*prepare)(struct gr_model *model, struct gr_layer *layer);
    /* Computes `out` from `in`; training: dropout drops. */
    gr_status (*forward)(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training);
    /* The first half: model->delta_before, n x inputs, receives the derivative by `in`. The first
     * layer is never asked. */
    gr_status (*backward_data)(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n);
    /* The second half: the target takes the derivatives by the layer's parameters; NULL: it has
     * none. It comes second because a step moves the parameters that the first half reads. */
    gr_status (*backward_weight)(struct gr_model *model, struct gr_layer *layer,
                                 const float *parameters, size_t n, const struct gr_target *target);
    /* Both halves in one pass, of the same bits; NULL: that would save nothing. */
    gr_status (*backward)(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                          size_t n, const struct gr_target *target);
    /*
     * For clipped sums (clipped.c) a layer with backward_weight has either these two or
     * backward_rows; others have neither. Those two are for rows whose own derivatives are products
     * that need not be made. row_norms adds to squares[i], of n, the squared L2 norm of row i's own
     * derivative by the layer's parameters; add_rows adds the rows' derivatives to `sum`, laid out
     * as the gradient, or if `fresh` puts them there: a row's at most once to each element, so that
     * roundings are as few as rows.
     */
    gr_status (*row_norms)(struct gr_model *model, struct gr_layer *layer, size_t n,
                           double *squares);
    gr_status (*add_rows)(struct gr_model *model, struct gr_layer *layer, size_t n, bool fresh,
                          float *sum);
    /* Each row apart: rows, n x gr_layer_row_stride, receives the rows' own derivatives. data: both
     * halves, as `backward` takes them. */
    gr_status (*backward_rows)(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n, float *rows, bool data);
    void (*release)(struct gr_layer *layer);
    /* Whether rows can come in: GR_ERROR_DATA if not; NULL: any can. */
    gr_status (*check)(const struct gr_layer *layer, const float *features, size_t n);
};

#define GR_LAYER_EXTERN(type, name, ...) extern const struct gr_layer_kind gr_layer_##name;
GR_LAYER_TYPES(GR_LAYER_EXTERN)
GR_FRONT_LAYER_TYPES(GR_LAYER_EXTERN)

/* fan_in, without fan_out, of weights whose variance is to be 1 by either initialisation. */
enum { GR_FAN_OF_ONE = 2 };

/*
 * The layers of a model over rows of `inputs`, `outputs` wide at its end: planned, with their
 * tensors in `layout`. codes: borrowed for as long as the layers are. *out is owned by the caller
 * in any case: gr_layers_free.
 */
gr_status gr_layers_plan(const struct gr_model_config *config, const struct gr_extent *inputs,
                         const struct gr_codes *codes, size_t outputs, struct gr_layout *layout,
                         struct gr_layer **out, size_t *n_layers) GR_CHECKED;
void gr_layers_free(struct gr_layer *layers, size_t n_layers);

/* Appends TYPEn.weight of that shape and TYPEn.bias of `biases`, and notes where they are. */
gr_status gr_layer_append(struct gr_layer *layer, struct gr_layout *layout, size_t n_dims,
                          const size_t *shape, size_t biases) GR_CHECKED;

#endif
