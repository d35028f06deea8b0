/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train: local solvers. One silo's work in one round: from the global parameters to an update.
 *
 * Lifetime: gr_trainer_create borrows the model; gr_trainer_free. Not collective; knows no MPI.
 *
 * Interface: internal.
 */
#ifndef GRANARY_TRAIN_H
#define GRANARY_TRAIN_H

#include <granary/data.h>
#include <granary/model.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gr_trainer; /* opaque: gradient and optimizer workspace, batch order, stream */

/*
 * Not collective. Makes a local solver for a model, both borrowed until gr_trainer_free; seed: of
 * the streams of batches and dropout. Errors: GR_ERROR_INTERNAL, also for a batch_size that the
 * model does not take.
 */
gr_status gr_trainer_create(const struct gr_train_config *config, uint64_t seed,
                            struct gr_model *model, struct gr_trainer **out) GR_CHECKED;
/* Not collective. Releases a trainer; NULL is accepted. */
void gr_trainer_free(struct gr_trainer *trainer);

/* The result of a silo's round. */
struct gr_train_result {
    uint64_t examples;  /* rows of the silo */
    double weight;      /* of them, added up: the silo's in the average; examples without weights */
    uint64_t processed; /* rows that passed, over all epochs or steps */
    uint64_t steps;     /* that the solver took */
    double processed_weight;
    double loss_sum; /* weighted, over the processed rows, each before its step */
    float largest;   /* magnitude of the update's largest element */
};

/*
 * Not collective. The learning rate of a round, from 1. Over the first W = schedule.warmup_rounds
 * it rises, L round / W; after them, with k = round - 1 - W: constant  L step      L factor^floor(k
 * / every) cosine    minimum + (L - minimum)(1 + cos(pi k / (schedule.rounds - W))) / 2, and from
 *             schedule.rounds on the minimum (Loshchilov and Hutter 2017, equation 5)
 * where L is learning_rate. Neither falls below `minimum`.
 */
double gr_learning_rate(const struct gr_train_config *config, uint32_t round);

enum { GR_SOLVER_VECTORS_MAX = 2 };
/*
 * Not collective. Returns how many vectors an optimizer has between steps: 0, 1 (momentum) or 2
 * (Adam's moments), each of layout size floats and zero before the first step. name: receives their
 * names, static; or NULL.
 */
size_t gr_solver_vectors(const struct gr_train_config *config,
                         const char *name[GR_SOLVER_VECTORS_MAX]);
struct gr_solver {
    float *vector[GR_SOLVER_VECTORS_MAX]; /* borrowed */
    uint64_t steps;                       /* taken so far */
};
/*
 * Not collective. With train.state keep, before each gr_train_silo: it goes on from `solver` as if
 * there had been no end of a round, and leaves there what the silo's next round is to go on from;
 * its vectors are void after a failure. Borrowed until then.
 */
void gr_trainer_carry(struct gr_trainer *trainer, struct gr_solver *solver);

/*
 * Not collective. For the silo's round that follows: `correction`, layout size floats, is added to
 * each gradient, once that has been cut to max_gradient_norm (SCAFFOLD's c - c_i). Borrowed until
 * the round is over; NULL: none.
 */
void gr_trainer_correct(struct gr_trainer *trainer, const float *correction);

/*
 * Not collective. For the silo's round that follows: as many steps as it took when it was trained
 * first, whatever the time, so that the update is the same where `seconds` had ended it. 0: as
 * the config says.
 */
void gr_trainer_repeat(struct gr_trainer *trainer, uint64_t steps);

/*
 * Not collective. The config's optimizer over `epochs` passes or `steps` batches, or until
 * `seconds` have passed, the rows in an order drawn anew each pass from the stream (seed, silo,
 * round, GR_PURPOSE_BATCH); the last batch of a pass may be smaller. Each batch's gradient, with
 * FedProx's term proximal_mu (w - global), is cut to max_gradient_norm before the optimizer adds
 * weight decay, as in PyTorch; the optimizer's state starts at zero in every round but with
 * train.state keep (optimizer.h has the formulas). Rows that weigh nothing in all leave the model
 * as it is, and are not processed. update: layout size, receives trained minus global; gaps zero.
 * Errors: GR_ERROR_DATA with the pseudonym when the loss or the update is not finite.
 */
gr_status gr_train_silo(struct gr_trainer *trainer, const struct gr_silo *silo, uint32_t round,
                        const float *global, float *update, gr_poll_function poll, void *context,
                        struct gr_train_result *out) GR_CHECKED;

/*
 * Not collective. From now on the trainer is for gr_train_silo_privately; privacy: copied. Errors:
 * GR_ERROR_CONFIG: the model has too many parameters; GR_ERROR_INTERNAL.
 */
gr_status gr_trainer_make_private(struct gr_trainer *trainer,
                                  const struct gr_privacy_config *privacy) GR_CHECKED;
/* Not collective. Whether private steps can be taken with the silo's table: GR_ERROR_DATA: it has
 * more than twice the rows expected. */
gr_status gr_trainer_check(const struct gr_trainer *trainer, const struct gr_silo *silo) GR_CHECKED;
/*
 * Not collective. Before each gr_train_silo_privately: GR_SECRET_BYTES (privacy/secret_draw.h) of
 * the operating system's, of which sampling and noise are drawn; copied. The same secret, silo and
 * model give the same update.
 */
void gr_trainer_keep_secret(struct gr_trainer *trainer, const unsigned char *secret);
/*
 * Not collective. As gr_train_silo, in steps of which each adds noise to the sum of its rows'
 * clipped gradients (private_steps.h); the number of steps follows from the config alone. The
 * update is protected: whatever is made of it tells no more of a row than these sums. So are all
 * numbers of the result: examples are the units expected, weight is 1, no losses are added up.
 * Errors: GR_ERROR_DATA: the update is not finite.
 */
gr_status gr_train_silo_privately(struct gr_trainer *trainer, const struct gr_silo *silo,
                                  uint32_t round, const float *global, float *update,
                                  gr_poll_function poll, void *context,
                                  struct gr_train_result *out) GR_CHECKED;

/*
 * Not collective. As gr_train_silo, for FedSGD (McMahan et al. 2017, section 2): one step of plain
 * gradient descent with the gradient over all of the silo's rows, taken batch_size rows at a time;
 * update =
 * - learning rate (g + weight_decay global), g cut to max_gradient_norm.
 */
gr_status gr_train_full_gradient(struct gr_trainer *trainer, const struct gr_silo *silo,
                                 uint32_t round, const float *global, float *update,
                                 gr_poll_function poll, void *context,
                                 struct gr_train_result *out) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
