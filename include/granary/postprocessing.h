/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postprocessing: what is made of a model's outputs, as it was found on validation rows: calibrated
 * probabilities (recalibration), and sets of classes and intervals that hold the answer with a
 * given probability (conformal prediction). It is stored in the model's file.
 *
 * Knows neither models nor configs nor MPI. No function of this header is collective: the caller
 * adds the sums of all processes.
 *
 * Interface: internal.
 */
#ifndef GRANARY_POSTPROCESSING_H
#define GRANARY_POSTPROCESSING_H

#include <granary/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- outputs -------------------------------------------------------------------------------- */

struct gr_outputs; /* opaque: a model's outputs for some rows of this process, and the answers */

/*
 * Not collective. classes: of a classifier, from 2; 0: for a model that predicts a number. A row
 * takes 4 bytes for each class (of two for both together) and 8 more. Released with
 * gr_outputs_free. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_outputs_create(size_t classes, struct gr_outputs **out) GR_CHECKED;
/* Not collective. NULL is accepted. */
void gr_outputs_free(struct gr_outputs *outputs);
/* Not collective. Returns how many rows were added, and are not of weight 0. */
size_t gr_outputs_rows(const struct gr_outputs *outputs);
/*
 * Not collective. Adds n rows. values: logits, n x classes, or n predictions; labels: n, each below
 * classes, or NULL; targets: n, or NULL; weights: n as gr_rows_scale_weights leaves them, NULL: 1
 * each. Errors: GR_ERROR_DATA: one is not finite, and the rows before it were added.
 */
gr_status gr_outputs_add(struct gr_outputs *outputs, const float *values, const int32_t *labels,
                         const float *targets, const float *weights, size_t n) GR_CHECKED;
/* Not collective. Forgets all rows from the first n on. */
void gr_outputs_cut(struct gr_outputs *outputs, size_t n);

/* ---- recalibration -------------------------------------------------------------------------- */

#define GR_RECALIBRATION_WORDS(WORD)                                                               \
    WORD(GR_RECALIBRATION_NONE, "none")                                                            \
    WORD(GR_RECALIBRATION_TEMPERATURE, "temperature")                                              \
    WORD(GR_RECALIBRATION_PLATT, "platt")                                                          \
    WORD(GR_RECALIBRATION_ISOTONIC, "isotonic")
#define GR_RECALIBRATION_VALUE(value, word) value,
enum gr_recalibration_method { GR_RECALIBRATION_WORDS(GR_RECALIBRATION_VALUE) };
/* Not collective. "platt". Static. */
const char *gr_recalibration_text(enum gr_recalibration_method method);

/* Scores of two classes are taken in bins of their log-odds, whose bounds are the same for all. */
enum { GR_ISOTONIC_BINS = 4096 };
struct gr_isotonic_step {
    uint32_t from; /* the first bin that it is of */
    double rate;   /* the probability of class 1 from there on */
};

/*
 * temperature: softmax(slope * logits), whose temperature is 1 / slope (Guo et al. 2017). platt, of
 * two classes with log-odds x: the log-odds intercept + slope * x (Platt 1999). isotonic, of two
 * classes: the rate of the step in which x lies (Zadrozny, Elkan 2002).
 */
struct gr_recalibration {
    enum gr_recalibration_method method;
    double intercept, slope;
    struct gr_isotonic_step *steps; /* ascending in both; owned */
    size_t n_steps;
};
/* Not collective. A zeroed one is accepted. */
void gr_recalibration_release(struct gr_recalibration *recalibration);
/*
 * Not collective. Writes the logits of the calibrated probabilities of a row; out may be the logits
 * themselves. Without a method they stay as they are.
 */
void gr_recalibrate(const struct gr_recalibration *recalibration, const float *logits,
                    size_t classes, float *out);

struct gr_recalibration_fit; /* opaque */
/*
 * Not collective. Begins a fit of a method other than none. classes: from 2; of platt and isotonic
 * 2. least: so many rows of each class are to stand behind what is found of two classes (with
 * isotonic behind each of its steps), and of more classes so many in all. Released with
 * gr_recalibration_fit_free. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_recalibration_fit_create(enum gr_recalibration_method method, size_t classes,
                                      uint32_t least, struct gr_recalibration_fit **out) GR_CHECKED;
/* Not collective. NULL is accepted. */
void gr_recalibration_fit_free(struct gr_recalibration_fit *fit);
enum { GR_RECALIBRATION_PASSES_MAX = 40 };
/*
 * Not collective. Returns n integers of the rows, to be added over processes in place before it is
 * called again, GR_RECALIBRATION_PASSES_MAX times at most, and then with n 0: the fit has ended.
 * All that is found follows from these sums, so that it has the same bits however the rows were
 * dealt. Borrowed.
 */
int64_t *gr_recalibration_fit_sums(struct gr_recalibration_fit *fit, const struct gr_outputs *rows,
                                   size_t *n);
/* Not collective. Why a fit that has ended found nothing; NULL: it has. Static. */
const char *gr_recalibration_fit_why(const struct gr_recalibration_fit *fit);
/*
 * Not collective. What a fit has found, its numbers with so many significant digits (0: all).
 * Released with gr_recalibration_release. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_recalibration_fit_take(const struct gr_recalibration_fit *fit, uint32_t digits,
                                    struct gr_recalibration *out) GR_CHECKED;

/* ---- conformal prediction ------------------------------------------------------------------- */

/*
 * Split conformal prediction (Papadopoulos et al. 2002). A row's score says how little its answer
 * fits the output: of classes its odds against the label, which order rows as 1 - p does (Sadinle,
 * Lei, Wasserman 2019), and of a number |target - prediction|. Scores are rounded up to a public
 * grid, whose places are keys: of odds as fine as the bins of an AUC, of numbers 1/256 of a power
 * of two. The set of a row has the classes, its interval the numbers, whose key is at most the
 * ceil((n + 1) (1 - alpha))-th smallest of n rows; a row like these n has its answer in it with a
 * probability of 1 - alpha at least, over all such rows.
 */
struct gr_conformal {
    double alpha; /* 0: there is none */
    bool of_number;
    uint32_t key;
};
/* Not collective. How many keys there are, from 0 on. */
uint32_t gr_conformal_keys(bool of_number);
/* Not collective. The key of a class of a row of logits. */
uint32_t gr_conformal_key_of_class(const float *logits, size_t classes, size_t label);
/* Not collective. The key of a number, of which a model has predicted another. */
uint32_t gr_conformal_key_of_number(float prediction, float target);
/* Not collective. Of classes the least probability that is in a set, of a number half of the width
 * of an interval. */
double gr_conformal_bound(const struct gr_conformal *conformal);
/* Not collective. Whether each class is in the set of a row of logits; there may be none. */
void gr_conformal_set(const struct gr_conformal *conformal, const float *logits, size_t classes,
                      uint8_t *in);
/* Not collective. Writes the ends of the interval about a prediction. */
void gr_conformal_interval(const struct gr_conformal *conformal, float prediction, float bounds[2]);

struct gr_conformal_search; /* opaque */
/*
 * Not collective. Begins the search for the key of an alpha above 0. least: so many rows are to lie
 * on either side of it at least. Each row counts once, whatever its weight. Released with
 * gr_conformal_search_free. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_conformal_search_create(double alpha, uint32_t least, const struct gr_outputs *rows,
                                     struct gr_conformal_search **out) GR_CHECKED;
/* Not collective. NULL is accepted. */
void gr_conformal_search_free(struct gr_conformal_search *search);
enum { GR_CONFORMAL_PASSES_MAX = 17 };
/*
 * Not collective. Returns n integers of the rows, to be added over processes in place before it is
 * called again; n is 0 once the search has ended. If the rows suffice there are 15 passes of
 * classes and 17 of numbers. Borrowed.
 */
int64_t *gr_conformal_search_sums(struct gr_conformal_search *search, size_t *n);
/* Not collective. Why a search that has ended found nothing; NULL: it has. Static. */
const char *gr_conformal_search_why(const struct gr_conformal_search *search);
/* Not collective. What a search has found. */
struct gr_conformal gr_conformal_search_found(const struct gr_conformal_search *search);

/* ---- as text -------------------------------------------------------------------------------- */

struct gr_postprocessing {
    struct gr_recalibration recalibration;
    struct gr_conformal conformal; /* of outputs as they are, before they are recalibrated */
};
/* Not collective. A zeroed one is accepted. */
void gr_postprocessing_release(struct gr_postprocessing *postprocessing);
/* Not collective. A JSON object, as it is stored in a model; NULL: there is nothing to be done.
 * Caller releases with gr_free. Errors: GR_ERROR_INTERNAL. */
gr_status gr_postprocessing_to_json(const struct gr_postprocessing *postprocessing,
                                    char **out) GR_CHECKED;
/*
 * Not collective. Reads such a text, which may be anybody's; name: of where it stands, for errors.
 * classes: of the model. Released with gr_postprocessing_release. Errors: GR_ERROR_DATA.
 */
gr_status gr_postprocessing_parse(const char *name, const char *text, size_t classes,
                                  struct gr_postprocessing *out) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
