/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evaluate: scores of a model on rows, as integer sums that add up to the same bits anywhere.
 *
 * Not collective; knows no MPI: the caller adds the sums of all processes.
 *
 * Interface: internal.
 */
#ifndef GRANARY_EVALUATE_H
#define GRANARY_EVALUATE_H

#include <granary/data.h>
#include <granary/metric.h>
#include <granary/model.h>
#include <granary/postprocessing.h>
#include <granary/slices.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Sums; int64 so that gr_comm_sum_int64 adds them over processes, as GR_SCORE_SUMS values. Weights
 * are counted in units of 2^-GR_WEIGHT_BITS, GR_WEIGHT_ONE for a row without one.
 */
struct gr_score {
    int64_t examples;            /* rows */
    int64_t correct;             /* of those that are, the weights */
    int64_t loss[GR_REAL_WORDS]; /* sum of weight times loss, rounded batch by batch */
    int64_t weight;
};
enum { GR_SCORE_SUMS = 3 + GR_REAL_WORDS };

/*
 * Not collective. Adds a sum of losses to the integers of `loss`. Errors: GR_ERROR_DATA when it is
 * not finite or beyond +-2^70.
 */
gr_status gr_loss_add(int64_t loss[GR_REAL_WORDS], double loss_sum) GR_CHECKED;
/*
 * Not collective. Returns the mean loss over the rows by their weights; NAN where there is no
 * weight.
 */
double gr_score_loss(const struct gr_score *score);
/* Not collective. Returns the mean loss, loss / weight; NAN where there is no weight. */
double gr_loss_mean(const int64_t loss[GR_REAL_WORDS], const int64_t weight[GR_REAL_WORDS]);
/* Not collective. Adds the sums of other rows. */
void gr_score_add(struct gr_score *sum, const struct gr_score *part);
/*
 * Not collective. Returns the share of the weight whose label was found, 0 to 1; NAN where there is
 * no weight.
 */
double gr_score_accuracy(const struct gr_score *score);
/*
 * Not collective. Returns the accuracy as it may be told: exactly where no row, or at least `least`
 * rows, were right, and wrong; else, and with weights, in multiples of gr_share_step. NAN: not at
 * all.
 */
double gr_score_accuracy_told(const struct gr_score *score, uint32_t least);

/*
 * Not collective. Returns the index of one more silo whose scores are to be withheld; n: none. The
 * scores of the silos with told[i] != 0 are to be told; n_withheld others are withheld because of
 * few rows, and a single one would follow from a sum over all by subtraction. None is needed when
 * so many are withheld that they have minimum_rows rows at any rate. The index is the lowest that
 * is told, the same in each round.
 */
size_t gr_scores_withhold_more(const int64_t *told, size_t n, int64_t n_withheld,
                               int64_t minimum_rows);

/*
 * Not collective. Lowest, middle (of an even number the upper one) and highest of the silos' mean
 * losses and accuracies, among those that have rows; returns how many these are. room: n_silos
 * numbers.
 */
uint32_t gr_scores_spread(const struct gr_score *silos, uint32_t n_silos, double *room,
                          double loss[3], double accuracy[3]);

/* ---- rows --------------------------------------------------------------------------------- */

/*
 * Who is told of each batch of rows that is scored: rows first .. first + n - 1 of `rows`, whose
 * logits, labels, targets and weights stand in the model (gr_model_logits, gr_model_batch_labels
 * and the others), and whose groups in rows->groups. A status other than GR_OK ends the scoring.
 */
struct gr_row_listener {
    gr_status (*hear)(void *context, struct gr_model *model, const struct gr_rows *rows,
                      size_t first, size_t n);
    void *context;                      /* borrowed */
    const struct gr_row_listener *next; /* told after this one; NULL: nobody */
};
/*
 * Not collective. Scores rows in batches of GR_TEST_BATCH, in order; the model's batch_max must
 * allow them. accumulator: gets the rows added; or NULL. poll, if not NULL, is called between
 * batches; a return other than GR_OK ends the scoring with that status.
 */
gr_status gr_evaluate_rows(struct gr_model *model, const float *parameters,
                           const struct gr_rows *rows, gr_poll_function poll, void *context,
                           struct gr_score *out, struct gr_accumulator *accumulator) GR_CHECKED;
/* Not collective. Likewise, with listeners; NULL: none. */
gr_status gr_evaluate_heard(struct gr_model *model, const float *parameters,
                            const struct gr_rows *rows, gr_poll_function poll, void *context,
                            struct gr_score *out, struct gr_accumulator *accumulator,
                            const struct gr_row_listener *listener) GR_CHECKED;

enum gr_tally { GR_TALLY_ROWS, GR_TALLY_LOSS, GR_TALLY_RIGHT, GR_TALLIES };
/*
 * Not collective. Adds to tally the rows, their losses, each cut to 0 .. loss_bound and divided by
 * it, and the rows whose label is found, all in steps: a row adds at most that to each. Where rows
 * have persons, each of n rows of one adds an n-th of it, so that a person adds at most that. A
 * loss that is no number counts as the bound. Rows pass the model one by one, so that what a row
 * adds does not depend on others' rows; weights of rows do not count. Errors: of the model; of
 * poll, as above.
 */
gr_status gr_evaluate_tally(struct gr_model *model, const float *parameters,
                            const struct gr_rows *rows, double loss_bound, double steps,
                            gr_poll_function poll, void *context,
                            int64_t tally[GR_TALLIES]) GR_CHECKED;

/* ---- as text ------------------------------------------------------------------------------ */

/* What a bootstrap tells; all borrowed. */
struct gr_bootstrap_told {
    uint32_t replicates;
    const char *unit;                          /* "row" or "silo" */
    uint32_t silos;                            /* that were drawn; 0: rows were */
    uint64_t seed;                             /* of replicates of slices */
    const struct gr_resampled_metric *metrics; /* GR_METRICS_MAX, with all digits */
    const struct gr_silo_spread *of_silos;     /* of those that silo_metrics has; NULL: none */
};

/* The contents of evaluation.json of a run directory, and of `granary evaluate --json`. */
struct gr_evaluation {
    uint32_t round;                           /* 0: not of a run */
    const char *rows_of;                      /* "test" or "validation" */
    const char *why;                          /* there are no rows; NULL: for no special reason */
    const struct gr_accumulator *accumulator; /* over all processes; borrowed */
    const struct gr_score *silos; /* each silo's validation rows, by id; NULL: not told */
    uint32_t n_silos;             /* silos without rows are left out */
    uint32_t digits;              /* of silos' losses and metrics; 0: all */
    const struct gr_silo_metrics *silo_metrics; /* by id, those that are told; NULL: none */
    const struct gr_operating_point *points;    /* chosen on validation rows; borrowed */
    size_t n_points;                            /* 0: none were asked for */
    const struct gr_bootstrap_told *bootstrap;  /* NULL: none was asked for */
    const struct gr_slice_scores *slices;       /* NULL: none are told; borrowed */
    const struct gr_slice_silos *silo_slices;   /* with `slices`; NULL: of no silo; borrowed */
    const char *slices_why;                     /* then; NULL: none are asked for */
    const char *const *class_names;             /* of each class; NULL: they have none; borrowed */
    const char *postprocessing; /* of the model's outputs: a JSON object; NULL: none; borrowed */
    const char *findings; /* a JSON list of what was found in the columns; NULL: none; borrowed */
    bool weighted;        /* of a table whose rows have weights, of which */
    size_t lost_weights;  /* so many are too small beside the largest, and taken as 0 */
};
/* How often sets and intervals hold the answers of test rows; of a silo, and of all. */
struct gr_silo_coverage {
    uint32_t silo;
    int64_t rows;
    double coverage;
};
struct gr_coverage_told {
    int64_t rows;
    double coverage, mean_size, empty; /* of classes: of a set, and the share of sets without any */
    struct gr_silo_coverage *silos;    /* NULL: none may be known */
    size_t n_silos;
};
/* What evaluation.json tells of what is made of outputs; all borrowed. */
struct gr_postprocessing_told {
    enum gr_recalibration_method recalibration; /* that was asked for */
    double alpha;                               /* likewise; 0: no sets were */
    const struct gr_postprocessing *found;
    const char *why_not_recalibrated, *why_no_sets; /* NULL: it was found, or not asked for */
    const char *why_not_of_test;                    /* nothing is told of test rows; NULL: it is */
    const struct gr_accumulator *before, *after;    /* of test rows, without and with */
    const struct gr_coverage_told *coverage;
};
/*
 * Not collective. {"recalibration": {"method", "found_on", then "why", or of what was found
 * "slope", "intercept", "temperature", or "steps" (a list of "from", a probability of the model,
 * and "rate"), and "test": {"before", "after"} (metrics, each as in "metrics") or "why"},
 * "conformal":
 * {"alpha", "found_on", then "why", or "least_probability" or "half_width", "test": {"rows",
 * "coverage", of classes "mean_size", "empty"} or "why", and "silos" (each "silo", "rows",
 * "coverage") where they are told}}. Caller releases with gr_free.
 */
gr_status gr_postprocessing_told_to_json(const struct gr_postprocessing_told *told,
                                         char **out) GR_CHECKED;

/*
 * Not collective. A JSON object: "round" (of a run), "rows_of", "rows", "why" (there are none),
 * "metrics" (each
 * {"value"} with "lower" and "upper" or, where it is null, "why"), of classes "confusion"
 * ("classes", "names" where they have some, "counts") and "reliability" ("bins"), of two classes
 * "auc_interval" ("level", "method", "standard_error", "lower", "upper", or "why") and, with the
 * AUC, "net_benefit" (a list of "threshold", "model", "all"), where some are asked for
 * "operating_points" ("chosen_on", "points"), where it is asked for "bootstrap" ("replicates",
 * "unit", "silos" where these were drawn, "level", "method", and "metrics", each "lower", "upper",
 * "mean", "standard_deviation" and, where there are any, "left_out", or "why"),
 * "postprocessing", "findings",
 * "lost_weights" (of a table with weights), "slices" ("least_rows", "slicings", each with its
 * "groups" and "fairness", and "worst", or "why"), "worst_silo" (by metric, "silo", "value"),
 * "silos" (each "silo", its pseudonym, "rows", "loss", "accuracy", and "metrics" and "bootstrap"
 * again where they are told). Caller releases with gr_free.
 */
gr_status gr_evaluation_to_json(const struct gr_evaluation *evaluation, char **out) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
