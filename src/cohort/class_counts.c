/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classes of all silos' rows: which have rows at all, which are held out anywhere, and where
 * classes are to weigh differently how many rows each has. Of the rows only sums, and one bit of
 * each class, leave their rank.
 */
#include "cohort/cohort_parts.h"

#include <stdio.h>
#include <string.h>

/* A model of two classes has two also where all rows are of one. */
size_t gr_cohort_classes(const struct gr_cohort *cohort) {
    return cohort->data->n_classes < 2 ? 2 : cohort->data->n_classes;
}

/* Room for a count of each class, where classes weigh differently; kept where it is there, as on
 * members that share theirs with respawned ranks. */
static gr_status make_counts(struct gr_cohort *cohort) {
    if (cohort->config->train.class_weights == GR_CLASS_WEIGHTS_NONE || cohort->class_counts)
        return GR_OK;
    return gr_allocate_zero(gr_cohort_classes(cohort), sizeof *cohort->class_counts, "classes",
                            &cohort->class_counts);
}

/*
 * The weight of a class would tell how few rows it has: where silos have tables of their own, a
 * count below the threshold is taken as the threshold. A count of 0 stays, as the class then has no
 * weight. In units of GR_WEIGHT_ONE where rows have weights.
 */
static void raise_counts(struct gr_cohort *cohort) {
    const int64_t threshold = cohort->config->data.disclosure_threshold;
    const int64_t least = cohort->terms.weights ? threshold * GR_WEIGHT_ONE : threshold;
    if (!gr_policy_holds(cohort->config)) return;
    for (size_t c = 0; c < gr_cohort_classes(cohort); c++)
        if (cohort->class_counts[c] > 0 && cohort->class_counts[c] < least)
            cohort->class_counts[c] = least;
}

/* Called after weights have been scaled, so that integers are added: the same counts for any
 * placement. */
gr_status gr_classes_count(struct gr_cohort *cohort) {
    gr_status status;
    GR_TRY(gr_comm_agree(cohort->comm, make_counts(cohort)));
    if (!cohort->class_counts || !gr_masked_sums_are_due(cohort)) return GR_OK; /* or: read */
    /* It may be done again after a loss. */
    memset(cohort->class_counts, 0, gr_cohort_classes(cohort) * sizeof *cohort->class_counts);
    for (size_t s = 0; s < cohort->data->n_local; s++) {
        const struct gr_rows *rows = &cohort->data->local[s].train;
        for (size_t i = 0; i < rows->n_rows; i++)
            cohort->class_counts[rows->labels[i]] +=
                rows->weights ? gr_weight_units(rows->weights, i) : 1;
    }
    GR_TRY(gr_release_sum(cohort->door, GR_RELEASE_CLASS_COUNTS, cohort->class_counts,
                          gr_cohort_classes(cohort)));
    raise_counts(cohort);
out:
    return status;
}

static void mark_classes(const struct gr_rows *rows, int64_t *there) {
    for (size_t i = 0; i < rows->n_rows; i++)
        there[rows->labels[i]] = 1;
}

/*
 * Whether more than half of the classes have no rows: labels are then probably codes with gaps, and
 * the model has outputs for nothing. Where the config says how many classes there are, it is meant
 * so. A bit for each class leaves, and no count.
 */
gr_status gr_classes_find_empty(struct gr_cohort *cohort) {
    enum { FEWEST = 3 };
    const size_t n = cohort->data->n_classes;
    int64_t *there = NULL;
    size_t empty = 0;
    gr_status status;
    if (cohort->config->model.classes > 0 || n < FEWEST ||
        gr_predicts_number(&cohort->config->model) || !gr_masked_sums_are_due(cohort) ||
        !gr_release_leaves(GR_RELEASE_CLASSES_HELD, cohort->config))
        return GR_OK;
    GR_TRY(gr_comm_agree(cohort->comm, gr_allocate_zero(n, sizeof *there, "classes", &there)));
    for (size_t s = 0; s < cohort->data->n_local; s++) {
        mark_classes(&cohort->data->local[s].train, there);
        mark_classes(&cohort->data->local[s].validation, there);
        mark_classes(&cohort->data->local[s].test, there);
    }
    GR_TRY(gr_release_max(cohort->door, GR_RELEASE_CLASSES_HELD, there, n));
    for (size_t c = 0; c < n; c++)
        empty += !there[c];
    cohort->empty_classes = 2 * empty > n;
out:
    gr_free(there);
    return status;
}

/* ---- held-out rows -------------------------------------------------------------------------- */

enum { THERE, HELD, GR_HELD_PARTS = HELD + GR_TELL_SPLITS };

/* Classes that the split tells apart; else all rows are of one. */
static size_t held_classes(const struct gr_cohort *cohort) {
    return !gr_predicts_number(&cohort->config->model) ? gr_cohort_classes(cohort) : 1;
}

/* A flag for each class that has a row; all rows are of class 0 where the target is a number. */
static void mark_rows(const struct gr_rows *rows, size_t classes, int64_t *flags) {
    for (size_t i = 0; i < rows->n_rows; i++)
        flags[classes > 1 ? rows->labels[i] : 0] = 1;
}

/* Only where the config holds rows out. `flags` has three parts of n classes each: rows at all,
 * rows held out for validation, rows held out for the test. */
gr_status gr_classes_find_held(struct gr_cohort *cohort) {
    const struct gr_data_config *config = &cohort->config->data;
    const size_t n = held_classes(cohort);
    int64_t *flags = NULL;
    gr_status status = GR_OK, mine;
    if (!(config->validation_fraction > 0 || config->test_fraction > 0) ||
        !gr_masked_sums_are_due(cohort) ||
        !gr_release_leaves(GR_RELEASE_CLASSES_HELD, cohort->config))
        return GR_OK;
    mine = gr_allocate_zero(GR_HELD_PARTS * n, sizeof *flags, "classes", &flags);
    if (mine == GR_OK) mine = gr_allocate_zero(GR_HELD_PARTS * n, 1, "classes", &cohort->held);
    GR_TRY(gr_comm_agree(cohort->comm, mine));
    for (size_t i = 0; i < cohort->data->n_local; i++) {
        const struct gr_silo *silo = &cohort->data->local[i];
        mark_rows(&silo->train, n, flags);
        mark_rows(&silo->validation, n, flags);
        mark_rows(&silo->test, n, flags);
        mark_rows(&silo->validation, n, flags + HELD * n);
        mark_rows(&silo->test, n, flags + (HELD + 1) * n);
    }
    /* A bit of each leaves, and no count. */
    GR_TRY(gr_release_max(cohort->door, GR_RELEASE_CLASSES_HELD, flags, GR_HELD_PARTS * n));
    for (size_t i = 0; i < GR_HELD_PARTS * n; i++)
        cohort->held[i] = flags[i] != 0;
out:
    gr_free(flags);
    return status;
}

/*
 * "class 2, class 5", or "class no, class yes" where the label's `categories` name them, of those
 * without a row in the part; how many they are. size: of at least 11 quoted names.
 */
static size_t list_classes(const struct gr_cohort *cohort, size_t part, char *out, size_t size) {
    enum { NAMED_MAX = 10 };
    const size_t n = held_classes(cohort);
    const uint8_t *held = cohort->held + (HELD + part) * n;
    const char *const *names = gr_columns_class_names(cohort->data->columns, n);
    char name[40];
    size_t missing = 0, used = 0;
    for (size_t c = 0; c < n; c++) {
        if (!cohort->held[c] || held[c]) continue;
        if (missing++ >= NAMED_MAX) continue;
        snprintf(name, sizeof name, "%zu", c);
        if (names) gr_text_quote(names[c], strlen(names[c]), name, sizeof name);
        used +=
            (size_t)snprintf(out + used, size - used, "%sclass %s", missing > 1 ? ", " : "", name);
    }
    if (missing > NAMED_MAX) snprintf(out + used, size - used, " and others");
    return missing;
}

/* Words for people: nothing in them is finer than a bit for each class. */
gr_status gr_cohort_tell_split(const struct gr_cohort *cohort, size_t part, char **words) {
    static const char *const name[GR_TELL_SPLITS] = {"validation", "test"};
    const struct gr_data_config *config = &cohort->config->data;
    const double fraction = part == 0 ? config->validation_fraction : config->test_fraction;
    char classes[640] = "";
    *words = NULL;
    if (!cohort->held || !(fraction > 0)) return GR_OK;
    const size_t n = held_classes(cohort);
    const uint8_t *held = cohort->held + (HELD + part) * n;
    const size_t missing = list_classes(cohort, part, classes, sizeof classes);
    if (missing == 0) return GR_OK;
    if (!memchr(held, 1, n))
        return gr_text_format(words,
                              "alert: no silo holds a row out for the %s, though "
                              "data.%s_fraction is %g: the silos are too small for it",
                              name[part], name[part], fraction);
    return gr_text_format(words,
                          "alert: no silo holds a row of %s out for the %s: its scores say nothing "
                          "of %s",
                          classes, name[part], missing > 1 ? "them" : "it");
}

/* Rank 0's counts to all: members have them already, and get the same. */
gr_status gr_classes_share(struct gr_cohort *cohort) {
    gr_status status;
    GR_TRY(make_counts(cohort));
    if (cohort->class_counts)
        status = gr_comm_broadcast(cohort->comm, cohort->class_counts,
                                   gr_cohort_classes(cohort) * sizeof *cohort->class_counts);
out:
    return status;
}

int64_t *gr_cohort_class_counts(const struct gr_cohort *cohort) {
    return cohort->class_counts;
}

bool gr_cohort_empty_classes(const struct gr_cohort *cohort) {
    return cohort->empty_classes;
}
