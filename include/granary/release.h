/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door: all that depends on a silo's rows and reaches another process, a shared file or a
 * person leaves through it, as a named release. The table says of each release its kind, who sees
 * it, how often, and by which rule it is withheld; `granary releases` prints the rows that a config
 * lets out. Nothing else in cohort, federation, evaluate or study may call a reduction.
 */
#ifndef GRANARY_RELEASE_H
#define GRANARY_RELEASE_H

#include <granary/comm.h>
#include <granary/config.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers stay as they are: events hold them. */
enum gr_release {
    GR_RELEASE_COLUMN_DIGESTS = 1,
    GR_RELEASE_COLUMNS = 2,
    GR_RELEASE_FINDINGS = 3,
    GR_RELEASE_SHAPE = 4,
    GR_RELEASE_UNUSABLE = 5,
    GR_RELEASE_ERRORS = 6,
    GR_RELEASE_CODES = 7,
    GR_RELEASE_CATEGORIES = 8,
    GR_RELEASE_MODES = 9,
    GR_RELEASE_VALUE_EXPONENTS = 10,
    GR_RELEASE_EXTREMES = 11,
    GR_RELEASE_MOMENTS = 12,
    GR_RELEASE_CLASS_COUNTS = 13,
    GR_RELEASE_SIZES = 14,
    GR_RELEASE_FINGERPRINTS = 15,
    GR_RELEASE_COMMON_TABLE = 16,
    GR_RELEASE_UPDATE_EXPONENTS = 17,
    GR_RELEASE_UPDATE = 18,
    GR_RELEASE_TRAINING = 20,
    GR_RELEASE_TIMES = 21,
    GR_RELEASE_SCORES = 22,
    GR_RELEASE_SILO_SCORES = 23,
    GR_RELEASE_PARTICIPATION = 25,
    GR_RELEASE_CHECKPOINT = 28,
    GR_RELEASE_UNSCORED = 33,
    GR_RELEASE_CLASSES_HELD = 34,
    GR_RELEASE_ROW_TERMS = 35,
    GR_RELEASE_ROWS = 36,
    GR_RELEASE_AUC_BOUNDS = 38,
    GR_RELEASE_JOB_COMMENT = 45,
    GR_RELEASE_PASSED_OVER = 46,
    GR_RELEASES_MAX = 48
};

enum gr_release_when {
    GR_RELEASE_AT_START,      /* once, before the first round */
    GR_RELEASE_EACH_ROUND,    /* and once more for each repetition after a loss */
    GR_RELEASE_EACH_SCORING,  /* every evaluate.every rounds, and after the last */
    GR_RELEASE_AT_CHECKPOINT, /* every checkpoint.every rounds, and after the last */
    GR_RELEASE_WHEN_IT_COMES  /* where something is wrong */
};

/* A row of the table; all borrowed. */
struct gr_release_row {
    enum gr_release id;
    const char *name; /* a word, for events and --json */
    const char *what; /* leaves */
    const char *kind; /* sum, maximum, minimum, bits, text ... and of what numbers */
    const char *to;   /* who sees it */
    enum gr_release_when when;
    const char *rule; /* by which it is withheld or bounded; NULL: none, it leaves as it is */
    bool (*leaves)(const struct gr_config *config); /* under this config; NULL: under every one */
};

/* Not collective. All rows, ascending by number; n: how many. */
const struct gr_release_row *gr_release_rows(size_t *n);
/* Not collective. NULL: there is none of this number. */
const struct gr_release_row *gr_release_row(enum gr_release id);
/* Not collective. "once, before round 1". Static. */
const char *gr_release_when_text(enum gr_release_when when);

#ifdef __cplusplus
}
#endif
#endif
