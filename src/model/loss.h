/* SPDX-License-Identifier: Apache-2.0 */
/* loss: what training makes small, and its derivative by the model's outputs. */
#ifndef GRANARY_MODEL_LOSS_H
#define GRANARY_MODEL_LOSS_H

#include <granary/model.h>

struct gr_loss {
    enum gr_loss_type type; /* never `default` */
    double smoothing;       /* cross_entropy */
    double huber_delta;
    const double *weights; /* of classes, in training; NULL: all weigh the same */
};

/* n rows: outputs n x width; labels for classes, targets for numbers. */
struct gr_loss_batch {
    const float *outputs;
    const int32_t *labels;
    const float *targets;
    const float *weights; /* of rows; NULL: each is 1 */
    size_t n, width;
};

enum gr_task gr_loss_task(enum gr_loss_type type);

/*
 * Sum of the rows' losses, with z an output, y its label (of `cross_entropy`: z_y its output) or
 * target:
 *   cross_entropy         log sum_j exp(z_j) - z_y, or with smoothing e
 *                         (1 - e) of that + e times its mean over all labels (Szegedy et al. 2016)
 *   binary_cross_entropy  log(1 + exp(z)) - y z
 *   squared               (z - y)^2
 *   huber                 (z - y)^2 / 2 up to |z - y| = d, beyond it d (|z - y| - d / 2)
 *   poisson               exp(z) - y z: less the term log y!, which no parameter moves
 * as PyTorch's CrossEntropyLoss, BCEWithLogitsLoss, MSELoss, HuberLoss and PoissonNLLLoss.
 * With class weights w, when delta is not NULL: w_y times that, and of smoothing
 * (1 - e) w_y times it + e times the mean over all labels j of w_j times theirs, as
 * CrossEntropyLoss(weight=). With weights of rows each row's loss, and its derivative, is
 * multiplied by its own. The caller divides by what a mean is to be of.
 * delta, when not NULL, receives scale times the derivative by outputs. correct, when not NULL: the
 * rows whose likeliest label (the first of ties) is their own; 0 for numbers.
 */
double gr_loss_run(const struct gr_loss *loss, const struct gr_loss_batch *batch, float scale,
                   float *delta, size_t *correct);
/* The rows' weights times those of their classes, added up: n where all weigh the same. */
double gr_loss_weight(const struct gr_loss *loss, const int32_t *labels, const float *weights,
                      size_t n);

#endif
