/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An audit of private steps: whether they keep what the accountant promises of them. Canaries give
 * a lower bound of epsilon (canary_bound.h); but a bound from one run is far below the truth, and
 * so faults that it would miss are looked for one by one, in the parts that training is made of.
 *
 * An audit depends on rows without any noise: nothing of it may leave the silo. Its models are
 * thrown away, and nothing is charged.
 */
#ifndef GRANARY_TRAIN_PRIVATE_AUDIT_H
#define GRANARY_TRAIN_PRIVATE_AUDIT_H

#include <granary/data.h>
#include <granary/model.h>

#include "privacy/canary_bound.h"

enum { GR_PRIVATE_CHECKS_MAX = 12, GR_PRIVATE_CHECK_BYTES = 200 };

struct gr_private_check {
    const char *name;
    bool passed;
    char found[GR_PRIVATE_CHECK_BYTES]; /* in words, with figures */
};

/* What is asked; all of it is borrowed. */
struct gr_private_question {
    struct gr_model *model;
    const struct gr_privacy_config *privacy; /* its unit is the row */
    const struct gr_train_config *train;
    const struct gr_rows *rows; /* one at least */
    const float *parameters;    /* of the first round, layout size */
    uint64_t seed;              /* of the run */
    uint32_t rounds, canaries;
    uint64_t sums;     /* of a round, by the accountant */
    double sampling;   /* probability with which a row is in a sum */
    double epsilon;    /* the accountant's, of add_remove, after all rounds */
    double confidence; /* of the bounds; the other checks fail by chance once in a million */
};

struct gr_private_audit {
    struct gr_private_check check[GR_PRIVATE_CHECKS_MAX]; /* n of them */
    size_t n, failed;
    struct gr_canary_bound gradients, rows; /* by canaries of these kinds */
};

/*
 * Not collective. Trains the question's rounds twice, with canaries of two kinds, and checks single
 * steps. Errors: those of private steps and of the model; a check that fails is none.
 */
gr_status gr_private_audit(const struct gr_private_question *question,
                           struct gr_private_audit *out) GR_CHECKED;

/* ---- its parts: private_checks.c, private_canaries.c ---------------------------------------- */

/* Not collective, as all of these. Adds a check, of printf's words. */
void gr_private_tell(struct gr_private_audit *audit, const char *name, bool passed,
                     const char *format, ...) GR_PRINTF(4, 5);
gr_status gr_private_check_noise(const struct gr_private_question *question,
                                 struct gr_private_audit *out) GR_CHECKED;
gr_status gr_private_check_rows(const struct gr_private_question *question,
                                struct gr_private_audit *out) GR_CHECKED;
gr_status gr_private_check_rounding(const struct gr_private_question *question,
                                    struct gr_private_audit *out) GR_CHECKED;
/* Canaries with gradients of their own; and rows of the table with a wrong answer. */
gr_status gr_private_try_gradients(const struct gr_private_question *question,
                                   struct gr_private_audit *out) GR_CHECKED;
gr_status gr_private_try_rows(const struct gr_private_question *question,
                              struct gr_private_audit *out) GR_CHECKED;

#endif
