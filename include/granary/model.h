/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model: regressions, multilayer perceptrons and convolutional networks over one contiguous
 * parameter vector.
 *
 * A model is a shape and a workspace, not parameters: parameters and gradients are the caller's
 * vectors of gr_model_layout()->size floats, 64-byte aligned. The same call on the same processor
 * gives the same bits: one thread, kernels chosen by shape alone.
 *
 * Lifetime: gr_model_create, gr_model_free. Not collective; knows no MPI.
 *
 * Interface: stable.
 */
#ifndef GRANARY_MODEL_H
#define GRANARY_MODEL_H

#include <granary/config.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gr_model; /* opaque */

/* The kind of a model's outputs, which follows from its loss. */
enum gr_task {
    GR_TASK_CLASSIFICATION, /* an output a class, before the softmax; rows have labels */
    GR_TASK_BINARY,         /* one output, the log odds of label 1; rows have labels 0 and 1 */
    GR_TASK_REGRESSION,     /* one output, the expected value; rows have targets */
    GR_TASK_COUNT           /* one output, the logarithm of the expected count; rows have targets */
};

/* A row of features: [height, width] or [height, width, channels] of an image, or a plain list. */
struct gr_row_shape {
    size_t n_dims;
    size_t dims[GR_TENSOR_DIMS_MAX];
};

/* A feature that is looked up: a category's place, or `n_categories` for one that is not known. */
struct gr_code {
    uint32_t feature, n_categories;
};
struct gr_codes {
    size_t n;
    const struct gr_code *list; /* ascending features */
};

/*
 * Not collective. Makes a model over rows of plain features. config: the section `model`; inputs:
 * features of a row; classes: labels there are (of no use to regression and count); batch_max: most
 * rows of one call. Caller releases with gr_model_free. Errors: GR_ERROR_CONFIG (layers that do not
 * fit the rows, more than two classes for binary, bfloat16 where the kernel library has none),
 * GR_ERROR_INTERNAL.
 */
gr_status gr_model_create(const struct gr_model_config *config, size_t inputs, size_t classes,
                          size_t batch_max, struct gr_model **out) GR_CHECKED;
/*
 * Not collective. As gr_model_create, for rows of any shape; a cnn needs images. codes: the
 * features that an mlp with `embedding` looks up, copied; NULL: none.
 */
gr_status gr_model_create_shaped(const struct gr_model_config *config,
                                 const struct gr_row_shape *row, const struct gr_codes *codes,
                                 size_t classes, size_t batch_max,
                                 struct gr_model **out) GR_CHECKED;
/* Not collective. Releases a model with its workspace; NULL is accepted. */
void gr_model_free(struct gr_model *model);

/*
 * Not collective. Returns the labels or targets that the model's loss is defined for; of labels as
 * many as it has classes.
 */
struct gr_domain gr_model_domain(const struct gr_model *model);
/* Not collective. Returns the kind of the model's outputs. */
enum gr_task gr_model_task(const struct gr_model *model);

/*
 * Not collective. Returns where each tensor lies in the parameter vector. Tensors are
 * "dense0.weight" [in, out], "dense0.bias" [out], "dense1.weight", ...; "conv0.weight" [height,
 * width, in, out]; "group_norm0.weight" [channels]; each kind counts on its own. A dense layer
 * behind images takes them as [height, width, channels]. "embedding3.weight" [categories + 1,
 * width], the last row of unknown ones, for feature 3; "bag0.weight" [vocabulary, width], row i of
 * id i + 1. Borrowed.
 */
const struct gr_layout *gr_model_layout(const struct gr_model *model);
/* Not collective. Returns how many features a row has. */
size_t gr_model_inputs(const struct gr_model *model);
/* Not collective. Returns how many classes there are; 0 for regression and count. */
size_t gr_model_classes(const struct gr_model *model);

/*
 * Not collective. Draws parameters, layout size floats, overwritten: weights from N(0, 2 / fan_in)
 * (He et al. 2015) or U(-l, l), l = sqrt(6 / (fan_in
 * + fan_out)) (Glorot and Bengio 2010), of tables N(0, 1) or U(-l, l), l = sqrt(3), group norm's 1;
 * biases zero; gaps zero. Stream (seed, 0, 0, GR_PURPOSE_INITIALISE).
 */
gr_status gr_model_initialise(const struct gr_model *model, uint64_t seed,
                              float *parameters) GR_CHECKED;

/* Not collective. Returns the most rows of one batch, as gr_model_create was told. */
size_t gr_model_batch_max(const struct gr_model *model);
/*
 * Not collective. Returns the place of a batch's features, batch_max x inputs float32, which the
 * caller writes. Borrowed.
 */
float *gr_model_batch_features(struct gr_model *model);
/*
 * Not collective. Returns the place of a batch's labels, batch_max int32, which the caller writes.
 * Borrowed.
 */
int32_t *gr_model_batch_labels(struct gr_model *model);
/*
 * Not collective. Returns the place of a batch's targets, batch_max float32; NULL for
 * classification and binary. Borrowed.
 */
float *gr_model_batch_targets(struct gr_model *model);

/*
 * Not collective. From now on rows have a weight, in gr_model_batch_weights, by which their losses
 * are multiplied in training and in scores. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_model_use_weights(struct gr_model *model) GR_CHECKED;
/*
 * Not collective. From now on rows have an offset, in gr_model_batch_offsets, which is added to the
 * model's one output. Errors: GR_ERROR_CONFIG for a model of several outputs, GR_ERROR_INTERNAL.
 */
gr_status gr_model_use_offsets(struct gr_model *model) GR_CHECKED;
/* Not collective. Whether gr_model_use_offsets was called. */
bool gr_model_has_offset(const struct gr_model *model);
/*
 * Not collective. Returns the place of a batch's weights, batch_max float32, each >= 0; NULL before
 * gr_model_use_weights. Borrowed.
 */
float *gr_model_batch_weights(struct gr_model *model);
/*
 * Not collective. Returns the place of a batch's offsets, batch_max float32; NULL before
 * gr_model_use_offsets. Borrowed.
 */
float *gr_model_batch_offsets(struct gr_model *model);

/*
 * Not collective. From now on a row of class c weighs n / (k n_c) in training, beside its own
 * weight, for n_c rows (or any unit of their weight) of k classes, n in all (a class without any:
 * as with one). Scores are as before. For classification and binary.
 */
gr_status gr_model_balance_classes(struct gr_model *model, const int64_t *counts) GR_CHECKED;

/*
 * Not collective. Returns the sum of the training weights of n rows with these labels and weights;
 * NULL: each weighs 1.
 */
double gr_model_weigh(const struct gr_model *model, const int32_t *labels, const float *weights,
                      size_t n);
/*
 * Not collective. Sets the mean weight, above 0, of the rows that batches are drawn from. A batch's
 * gradient is that of sum w l / (n mean_weight): over batches drawn alike its mean is that of sum w
 * l / sum w over all of these rows. A division by the batch's own sum of weights would not be: it
 * unweighs a batch of one class. Default 1; of no matter without weights, where it is 1.
 */
void gr_model_set_mean_weight(struct gr_model *model, double mean_weight);

/*
 * Not collective. Whether the model can look up the n rows lying in gr_model_batch_features; a
 * model without tables takes any. Errors: GR_ERROR_DATA, as from the calls below.
 */
gr_status gr_model_check_batch(const struct gr_model *model, size_t n) GR_CHECKED;
/* Not collective. Whether the model has tables in which it looks features up. */
bool gr_model_looks_up(const struct gr_model *model);
/*
 * Not collective. Returns the features that an embedding looks up; none for a bag, all of whose
 * features are ids. Borrowed.
 */
const struct gr_codes *gr_model_codes(const struct gr_model *model);

/* Not collective. Names the stream that dropout draws from; to be called before a silo trains in a
 * round. */
void gr_model_start_round(struct gr_model *model, uint64_t seed, uint32_t silo, uint32_t round);

/*
 * Not collective. Computes loss and gradient of the batch lying in gr_model_batch_features and
 * labels or targets, n rows. gradient: of the mean loss, layout size floats, overwritten; loss_sum:
 * sum of w l over rows. A loss that is not finite is returned as it is; the caller decides.
 */
gr_status gr_model_gradient(struct gr_model *model, const float *parameters, size_t n,
                            float *gradient, double *loss_sum) GR_CHECKED;

/*
 * One step of plain stochastic gradient descent on the batch, in place:
 * w <- w - learning_rate (g + weight_decay w), with the gradient g of gr_model_gradient. The
 * gradient is not stored: the product that would write a weight's gradient moves the weight
 * instead, which saves a pass over the gradient and two over the parameters. Of a large batch it is
 * added up in `room`, layout size floats, overwritten; NULL: not that way. The parameters
 * have the same bits either way, the loss is added in another order.
 * Not collective.
 */
gr_status gr_model_step(struct gr_model *model, float *parameters, size_t n, double learning_rate,
                        double weight_decay, float *room, double *loss_sum) GR_CHECKED;
/*
 * The sum of the training weights of the last batch's rows, in rows (without weights: n), as
 * gr_model_gradient or gr_model_step found it. Not collective.
 */
double gr_model_batch_weight(const struct gr_model *model);

/* ---- private steps ----------------------------------------------------------------------------
 */

/* Rows, or units, of one clipped sum at most: its bound on roundings grows with their square. */
enum { GR_CLIP_ROWS_MAX = 64 };

/*
 * Not collective. Names the rows of the batch for the dropout of the next clipped sum, n keys, and
 * the step: the mask of a row then follows from gr_model_start_round's key, the step and its own
 * key alone, and no other row of the batch has a share in it. rows: borrowed until that sum has
 * been taken, after which they are forgotten. Of no matter to a model without dropout.
 */
void gr_model_key_rows(struct gr_model *model, uint64_t step, const uint32_t *rows);
/*
 * The sum over the n rows of the batch, 1 to GR_CLIP_ROWS_MAX, of min(1, clip_norm / |g_i|) g_i,
 * for g_i the gradient of row i alone, over all parameters (Abadi et al. 2016, Algorithm 1), with
 * its weight, whatever the mean weight. sum: layout size floats, overwritten, zero in the gaps.
 *
 * A row's clipped gradient follows from that row, its dropout key and the parameters alone, bit by
 * bit, whatever else is in the batch. Its norm is at most clip_norm (1 + 2^-22), and `sum` is
 * within n^2 2^-24 clip_norm of the exact sum of the rows' clipped gradients, both in the 2-norm;
 * for finite parameters. A row whose features, loss or gradient are not finite, or that a table
 * cannot look up, counts as zero, and nobody is told; its features may have been zeroed.
 *
 * Errors: GR_ERROR_CONFIG (compute bfloat16: operands that are rounded once more do not keep the
 * norm), GR_ERROR_INTERNAL (n, more rows than a batch has, dropout without keys, memory). Not
 * collective.
 */
gr_status gr_model_clipped_sum(struct gr_model *model, const float *parameters, size_t n,
                               double clip_norm, float *sum) GR_CHECKED;
/*
 * As gr_model_clipped_sum, for units of several rows each, such as persons: the gradient that is
 * clipped is the mean of those of a unit's rows, and a unit with a row that is not finite counts as
 * zero, as one without rows does. first_row: n_units + 1 ascending places in the batch: unit u has
 * rows first_row[u] .. first_row[u + 1] - 1. n_units: 1 to GR_CLIP_ROWS_MAX; the rows are as many
 * as a batch holds. Not collective.
 */
gr_status gr_model_clipped_units(struct gr_model *model, const float *parameters,
                                 const size_t *first_row, size_t n_units, double clip_norm,
                                 float *sum) GR_CHECKED;

/*
 * Not collective. Scores the batch, without dropout, label smoothing and class weights. loss_sum:
 * sum of w l; correct: rows whose largest output is their label's (first of ties; 0 for regression
 * and count).
 */
gr_status gr_model_score(struct gr_model *model, const float *parameters, size_t n,
                         double *loss_sum, size_t *correct) GR_CHECKED;

/*
 * Not collective. Returns the outputs of the last gr_model_score, borrowed until the next call: n x
 * classes before the softmax, where the one output z of a binary model stands as [0, z]; of
 * regression the n values expected, of count the n counts expected.
 */
const float *gr_model_logits(const struct gr_model *model);

/*
 * Not collective. Writes the architecture as JSON, for the model file: type, inputs, classes,
 * hidden, activation, compute; of a cnn shape and layers; of tables embedding, and codes ([feature,
 * n_categories] each) or vocabulary; loss where it is not the type's own; offset where one is
 * added. Caller releases with gr_free. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_model_describe(const struct gr_model *model, char **out) GR_CHECKED;
/*
 * Not collective. Makes a model from gr_model_describe's text, to score with. layout: the tensors
 * that it is to have, which are compared before memory is taken; NULL: any. A batch of more than 2
 * GiB is refused. Errors: GR_ERROR_DATA, and those of gr_model_create.
 */
gr_status gr_model_create_from_description(const char *json, const struct gr_layout *layout,
                                           size_t batch_max, struct gr_model **out) GR_CHECKED;

/* ---- instruction sets -------------------------------------------------------------------------
 */

/*
 * Not collective. Returns the bits of the instruction sets that kernels would use here, oneDNN's
 * and our own: those of this processor that ONEDNN_MAX_CPU_ISA allows.
 */
uint32_t gr_instructions_here(void);
/*
 * Not collective. From now on kernels use no other instruction sets than `common`. To be called
 * before the first model is made, and before anything asks oneDNN for its own choice. Returns the
 * set that is used, in words; NULL: oneDNN cannot be held to it. Static.
 */
const char *gr_instructions_limit(uint32_t common);

#ifdef __cplusplus
}
#endif
#endif
