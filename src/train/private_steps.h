/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private steps: the gradient of a step as a noised sum over secretly drawn units, rows or persons,
 * of each of which at most clip_norm enters (Abadi et al. 2016, algorithm 1; of a person's rows the
 * mean gradient), divided by a public number. Whatever is made of such gradients tells no more of a
 * unit than they do.
 *
 * Two tables that differ in one unit differ in one group of units that are summed in floats: which
 * unit is in which group is drawn for each by itself. So what roundings add to the sensitivity does
 * not grow with the batch: see GR_PRIVATE_SENSITIVITY.
 */
#ifndef GRANARY_TRAIN_PRIVATE_STEPS_H
#define GRANARY_TRAIN_PRIVATE_STEPS_H

#include <granary/data.h>
#include <granary/model.h>

struct gr_private_steps;

/* Not collective. Errors: GR_ERROR_CONFIG: the model has more parameters than the bound of the
 * sensitivity allows; those of gr_noise_create. config: copied; model: borrowed. */
gr_status gr_private_steps_create(const struct gr_privacy_config *config, struct gr_model *model,
                                  struct gr_private_steps **out) GR_CHECKED;
/* Not collective. NULL accepted. */
void gr_private_steps_free(struct gr_private_steps *steps);

/* Not collective. Units that a silo is expected to have. */
uint32_t gr_private_steps_units(const struct gr_private_steps *steps);
/* Not collective. Whether the noise is added to sums over silos, and not here. */
bool gr_private_steps_are_shared(const struct gr_private_steps *steps);
/* Not collective. Steps of a round, by config alone: train.steps, or of train.epochs passes. */
uint64_t gr_private_steps_of_round(const struct gr_private_steps *steps,
                                   const struct gr_train_config *train);

/* Not collective. The steps that follow draw from this secret, GR_SECRET_BYTES, and are counted
 * from 0 anew. */
void gr_private_steps_start(struct gr_private_steps *steps, const unsigned char *secret);

/*
 * Not collective. Whether rows can be trained on: GR_ERROR_DATA, where they are of more than twice
 * the units expected, for which no bound of the sensitivity is proven.
 */
gr_status gr_private_steps_check(const struct gr_private_steps *steps,
                                 const struct gr_rows *rows) GR_CHECKED;

/*
 * Not collective. For an audit and nothing else: the sums that follow have n units more without any
 * row. Each is drawn as a row is, and then adds clip_norm in the parameter at its place in the
 * layout, which is the most that a unit adds. place: borrowed until n is 0 again or the steps are
 * freed. Ordinary steps have none.
 */
void gr_private_steps_plant(struct gr_private_steps *steps, const size_t *place, uint32_t n);

/*
 * Not collective. The next step's gradient at `parameters`, layout size floats, gaps zero: the
 * noised sum / expected_batch, of whatever many units are drawn, be it none; with noise shared the
 * sum without noise, which must not leave. poll: called between micro-batches; NULL: never. Errors:
 * of poll and of the model.
 */
gr_status gr_private_steps_gradient(struct gr_private_steps *steps, const float *parameters,
                                    const struct gr_rows *rows, gr_poll_function poll,
                                    void *context, float *gradient) GR_CHECKED;

#endif
