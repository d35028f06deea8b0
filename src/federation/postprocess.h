/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of what is made of outputs, for its files: postprocess.c, coverage.c. */
#ifndef GRANARY_FEDERATION_POSTPROCESS_H
#define GRANARY_FEDERATION_POSTPROCESS_H

#include "federation/internal.h"

/* Of some test rows: how many there are, how many answers are in their set, the classes of all
 * sets, and sets without any. */
enum {
    GR_COVERAGE_ROWS,
    GR_COVERAGE_HELD,
    GR_COVERAGE_SIZE,
    GR_COVERAGE_EMPTY,
    GR_COVERAGE_COUNTS
};

/* How often sets and intervals hold the answers of test rows. */
struct gr_coverage {
    const struct gr_conformal *conformal; /* borrowed */
    int64_t part[GR_COVERAGE_COUNTS];     /* of the rows that are being scored */
    int64_t all[GR_COVERAGE_COUNTS];      /* of this rank, and then of all */
    uint8_t *set;                         /* of a row; owned */
    int64_t *silos; /* rows and held, by id, and a place for no silo; owned; NULL: not told */
    uint32_t n_silos;
    struct gr_coverage_told told; /* its silos: owned */
};
gr_status gr_coverage_create(const struct gr_federation *f, struct gr_coverage *out) GR_CHECKED;
void gr_coverage_release(struct gr_coverage *coverage);
/* Counts rows as they are scored; they are dropped or taken, as a silo's (n_silos: nobody's). */
struct gr_row_listener gr_coverage_listener(struct gr_coverage *coverage,
                                            const struct gr_conformal *conformal);
void gr_coverage_drop(struct gr_coverage *coverage);
void gr_coverage_take(struct gr_coverage *coverage, uint32_t silo);
/* Collective. Over all ranks, into told; of silos those that may be told. of_silos: silos hold the
 * rows out. */
gr_status gr_coverage_sum(struct gr_federation *f, struct gr_coverage *coverage,
                          bool of_silos) GR_CHECKED;

struct gr_postprocess {
    struct gr_outputs *outputs; /* of validation rows of this rank; owned, as all that follows */
    struct gr_recalibration_fit *fit;
    struct gr_conformal_search *search;
    struct gr_accumulator *part, *own, *after; /* of test rows: of a silo, of this rank, of all */
    struct gr_coverage coverage;
    struct gr_postprocessing found;
    struct gr_postprocess_why why;
    char *text, *told; /* of the model, and of evaluation.json; NULL: none */
};

#endif
