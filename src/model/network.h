/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network: what a model holds, for the files of this room.
 */
#ifndef GRANARY_MODEL_NETWORK_H
#define GRANARY_MODEL_NETWORK_H

#include <model/kernels.h>
#include <model/layer.h>
#include <model/loss.h>
#include <model/onednn.h>
#include <model/primitive.h>

struct gr_inner;    /* inner_product.h */
struct gr_clipping; /* clipped.c */

/* Rows of a batch of which dense layers take the derivative at a time; whole tiles. */
enum { GR_TURNED_ROWS = 96 };

struct gr_model {
    enum gr_model_type type;
    enum gr_activation activation;
    enum gr_initialisation initialisation;
    enum gr_compute compute;
    struct gr_loss loss;
    double *class_weights; /* owned; the loss's; NULL: all weigh the same */
    double mean_weight;    /* of a row, see gr_model_set_mean_weight; 1 without weights */
    double weight;         /* of the last training batch: gr_loss_weight */
    bool own_loss;         /* other than the type's */
    struct gr_row_shape row;
    struct gr_codes codes; /* its list owned */
    size_t inputs, classes, outputs, batch_max;
    struct gr_layout layout;
    size_t n_layers;
    struct gr_layer *layers; /* owned */
    const struct gr_tiles *tiles;
    const struct gr_tiles *pairs; /* of dense products in bfloat16; NULL: none are on our own */
    struct gr_inner *inner;       /* owned; dense products through oneDNN; NULL: tiles */
    struct gr_dnnl dnnl;          /* for images; zeroed without */
    gsl_rng *stream;              /* owned; of dropout; NULL without */
    struct gr_stream_key key;     /* of the round: gr_model_start_round */
    const uint32_t *row_keys;     /* of the batch's rows, for dropout; borrowed; NULL: none */
    uint64_t step;                /* with row_keys */
    struct gr_clipping *clipping; /* of clipped sums; owned; NULL before the first */
    bool row_by_row; /* oneDNN takes a row at a time: its sums may go by their number */
    /* A batch, and what comes of it; owned. */
    float *features; /* batch_max x inputs */
    int32_t *labels; /* batch_max */
    float *targets;  /* batch_max; NULL for classification and binary */
    float *weights;  /* batch_max; NULL: rows weigh alike */
    float *offsets;  /* batch_max; NULL: none are added to the outputs */
    float *logits;   /* batch_max x outputs */
    float *shown;    /* gr_model_logits, where that is another; NULL: `logits` */
    /*
     * The layers' outputs in between, for `rows` rows at a time: a gradient takes all of its own,
     * scoring goes in slices, so that images do not take room for batches that are only scored.
     */
    size_t rows;
    size_t first_row;            /* of the batch, with which the part that passes begins */
    float *workspace;            /* owned; the pointers below and in layers point into it */
    float *delta, *delta_before; /* rows x widest layer: derivatives by a layer's outputs */
    float *turned, *product;     /* widest dense layer x rows that are turned at a time */
    float *left, *right;         /* operands in pairs, where there are; paired.h */
    float *pack;                 /* for gr_multiply */
};

/*
 * Whether convolutions may be on our own kernels, in float32: those of a bfloat16 model too where
 * its dense layers are on our own, since they are faster than oneDNN's in bfloat16 without AMX.
 */
static inline bool gr_model_convolves(const struct gr_model *model) {
    return model->compute == GR_COMPUTE_FLOAT32 || model->pairs;
}

/*
 * A model in two steps, so that what a file describes can be looked at before it takes memory:
 * layers and layout; then, once, operations and room for batches, of gr_model_room bytes and what
 * oneDNN takes. *out: the caller's, for gr_model_free.
 */
gr_status gr_model_plan(const struct gr_model_config *config, const struct gr_row_shape *row,
                        const struct gr_codes *codes, size_t classes, size_t batch_max,
                        struct gr_model **out) GR_CHECKED;
size_t gr_model_room(struct gr_model *model);
gr_status gr_model_furnish(struct gr_model *model) GR_CHECKED;

/* Lays the workspace out for `rows` rows, when it is for fewer. */
gr_status gr_model_make_room(struct gr_model *model, size_t rows) GR_CHECKED;

/*
 * Rows that are scored at a time: all of a batch, or a power of two, so that a slice's rows are
 * those that oneDNN's dense products take, and what they clear behind them is no other slice.
 */
size_t gr_model_slice(const struct gr_model *model);

/* Makes a model with its products through oneDNN in that type, whatever `compute` says. */
gr_status gr_model_use_inner(struct gr_model *model, enum gr_compute compute) GR_CHECKED;

/*
 * The backward pass over one layer, behind a forward pass of n rows: model->delta, n x outputs, is
 * the derivative by `out` and is overwritten; model->delta_before receives the one by `in`, unless
 * the layer is the first. target: takes the derivatives by the parameters; NULL: they are not
 * computed. rows: without a target, where the kind's backward_rows leaves the rows' own; NULL: it
 * is not asked.
 */
gr_status gr_layer_backward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                            size_t n, const struct gr_target *target, float *rows) GR_CHECKED;

/*
 * The forward pass over rows first .. first + n - 1 of the batch, for which there is room;
 * training: dropout drops.
 */
gr_status gr_model_forward(struct gr_model *model, const float *parameters, size_t first, size_t n,
                           bool training) GR_CHECKED;
/* gr_loss_run on these rows' outputs, behind gr_model_forward. */
double gr_model_loss(const struct gr_model *model, size_t first, size_t n, float scale,
                     float *delta, size_t *correct);
/*
 * Forward and backward over these rows. scale: what the derivatives are multiplied by, from the
 * loss of one row to the target. The loss of these rows is added to loss_sum.
 */
gr_status gr_model_pass(struct gr_model *model, const float *parameters, size_t first, size_t n,
                        double scale, const struct gr_target *target, double *loss_sum) GR_CHECKED;

/* Zeroes what lies between and behind the tensors. */
void gr_layout_zero_gaps(const struct gr_layout *layout, float *vector);

/* NULL is nothing to release. */
void gr_clipping_free(struct gr_clipping *clipping);

#endif
