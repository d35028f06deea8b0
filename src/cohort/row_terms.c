/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights and offsets of rows: all tables have them or none has, and all ranks scale weights by the
 * same powers of two, so that a weight is the same number of units wherever its silo is placed.
 */
#include "cohort/cohort_parts.h"

/* The terms that a list of rows brings; an empty list brings none. */
struct said {
    int64_t weights, offsets, no_weights, no_offsets, train_exponent, held_exponent;
};
_Static_assert(sizeof(struct said) == 6 * sizeof(int64_t), "said is six int64_t");

/* Of the greatest weight that a schema allows; GR_WEIGHT_NONE: it does not say. */
static int64_t exponent_allowed(const struct gr_schema *schema) {
    for (unsigned i = 0; schema && i < schema->columns_count; i++) {
        const struct gr_column *c = &schema->columns[i];
        if (c->type != GR_COLUMN_WEIGHT || c->range_count != 2) continue;
        float greatest = (float)c->range[1];
        return gr_rows_weight_exponent(&(struct gr_rows){.n_rows = 1, .weights = &greatest});
    }
    return GR_WEIGHT_NONE;
}

/* The power of two above the greatest weight is found for training and held-out rows apart, unless
 * the schema says one for all. */
static void hear_rows(const struct gr_rows *rows, int64_t allowed, int64_t *exponent,
                      struct said *said) {
    if (rows->n_rows == 0) return;
    const int64_t own =
        rows->weights && allowed != GR_WEIGHT_NONE ? allowed : gr_rows_weight_exponent(rows);
    *(rows->weights ? &said->weights : &said->no_weights) = 1;
    *(rows->offsets ? &said->offsets : &said->no_offsets) = 1;
    if (own > *exponent) *exponent = own;
}

static void hear_silo(const struct gr_silo *silo, int64_t allowed, struct said *said) {
    hear_rows(&silo->train, allowed, &said->train_exponent, said);
    hear_rows(&silo->validation, allowed, &said->held_exponent, said);
    hear_rows(&silo->test, allowed, &said->held_exponent, said);
}

static void hear_all(const struct gr_cohort *cohort, struct said *all) {
    const struct gr_columns *columns = cohort->data->columns;
    const int64_t allowed = exponent_allowed(columns ? columns->schema : NULL);
    for (size_t i = 0; i < cohort->data->n_local; i++)
        hear_silo(&cohort->data->local[i], allowed, all);
    hear_rows(&cohort->data->test, allowed, &all->held_exponent, all);
}

/* What the schema says of all tables; without one they have no columns, and no terms. */
static gr_status hear_schema(const struct gr_config *config, struct said *all) {
    struct gr_schema *schema = NULL;
    gr_status status = GR_OK;
    if (!config->data.schema[0]) return GR_OK;
    GR_TRY(gr_schema_load(config->data.schema, &schema));
    for (unsigned i = 0; i < schema->columns_count; i++) {
        all->weights |= schema->columns[i].type == GR_COLUMN_WEIGHT;
        all->offsets |= schema->columns[i].type == GR_COLUMN_OFFSET;
    }
    all->train_exponent = all->held_exponent = exponent_allowed(schema);
out:
    gr_schema_free(schema);
    return status;
}

/* Names the rows of this rank that lack weights or offsets which others have: a missing column must
 * not count as weight 1 beside real weights. */
static gr_status lacks(const char *who, const struct said *own, const struct said *all) {
    if (own->no_weights && all->weights)
        return gr_fail(GR_ERROR_DATA, "%s: rows have no weights, those of other tables have", who);
    if (own->no_offsets && all->offsets)
        return gr_fail(GR_ERROR_DATA, "%s: rows have no offsets, those of other tables have", who);
    return GR_OK;
}

/* Silo by silo again, for the message has to name one; only in this rank's memory. */
static gr_status compare_terms(const struct gr_cohort *cohort, const struct said *all) {
    gr_status status = GR_OK;
    for (size_t i = 0; status == GR_OK && i < cohort->data->n_local; i++) {
        struct said own = {0};
        hear_silo(&cohort->data->local[i], GR_WEIGHT_NONE, &own);
        status = lacks(cohort->data->local[i].pseudonym, &own, all);
    }
    if (status == GR_OK) {
        struct said own = {0};
        hear_rows(&cohort->data->test, GR_WEIGHT_NONE, &own.held_exponent, &own);
        status = lacks("test table", &own, all);
    }
    return status;
}

/* Six maxima in one reduction: presence is a maximum of flags, so that "some have" and "some have
 * not" are both known to all. Under secure sums the schema says them. */
gr_status gr_terms_agree(struct gr_cohort *cohort) {
    struct said all = {.train_exponent = GR_WEIGHT_NONE, .held_exponent = GR_WEIGHT_NONE};
    gr_status status, mine = GR_OK;
    if (cohort->config->secure.aggregation || gr_is_private(cohort->config)) {
        mine = hear_schema(cohort->config, &all);
    } else {
        hear_all(cohort, &all);
        GR_TRY(gr_release_max(cohort->door, GR_RELEASE_ROW_TERMS, &all.weights,
                              sizeof all / sizeof(int64_t)));
    }
    if (mine == GR_OK) mine = compare_terms(cohort, &all);
    GR_TRY(gr_comm_agree(cohort->comm, mine));
    if (all.weights && all.train_exponent == GR_WEIGHT_NONE)
        return gr_fail(GR_ERROR_DATA, "the weights of all training rows are 0");
    cohort->terms = (struct gr_row_terms){.weights = all.weights,
                                          .offsets = all.offsets,
                                          .train_exponent = all.train_exponent,
                                          .held_exponent = all.held_exponent};
out:
    return status;
}

/* Weights that scaling has made 0, of this rank's share; 0 where no held-out row has a weight. */
static size_t scale_test(struct gr_cohort *cohort) {
    return cohort->terms.held_exponent != GR_WEIGHT_NONE
               ? gr_rows_scale_weights(&cohort->data->test, (int)cohort->terms.held_exponent)
               : 0;
}

void gr_terms_scale_test(struct gr_cohort *cohort) {
    (void)scale_test(cohort);
}

/* Weights become whole multiples of one unit, so that sums of weights are sums of integers. Exactly
 * once for each table: scaled twice, they would be wrong. */
void gr_cohort_scale_weights(struct gr_cohort *cohort) {
    const int held = (int)cohort->terms.held_exponent;
    if (!cohort->terms.weights) return;
    for (size_t i = 0; i < cohort->data->n_local; i++) {
        struct gr_silo *silo = &cohort->data->local[i];
        size_t lost = gr_rows_scale_weights(&silo->train, (int)cohort->terms.train_exponent);
        if (held != GR_WEIGHT_NONE) {
            lost += gr_rows_scale_weights(&silo->validation, held);
            lost += gr_rows_scale_weights(&silo->test, held);
        }
        silo->lost_weights = (int64_t)lost;
    }
    /* A test table is read by all, and its weights are nobody's secret. */
    cohort->terms.lost = (int64_t)scale_test(cohort);
}

/* A count withheld for a silo's sake (negative) hides the test table's as well: their difference
 * would tell it. */
gr_status gr_terms_sum_lost(struct gr_cohort *cohort) {
    const size_t n = cohort->data->n_local;
    int64_t *counts = NULL, told[2];
    gr_status status;
    if (!gr_counts_are_due(cohort) || gr_is_private(cohort->config)) {
        cohort->terms.lost = 0; /* the events of the beginning tell them */
        return GR_OK;
    }
    /* The counts, and behind them the rests, which would tell of rows, and are none. */
    GR_TRY(
        gr_comm_agree(cohort->comm, gr_allocate_zero(2 * n, sizeof *counts, "weights", &counts)));
    for (size_t i = 0; i < n; i++)
        counts[i] = cohort->data->local[i].lost_weights;
    GR_TRY(gr_release_counts(cohort->door, GR_RELEASE_ROW_TERMS, counts, counts + n, n, 1, told));
    GR_TRY(gr_comm_sum_public(cohort->comm, &cohort->terms.lost, 1));
    if (told[0] != 0) cohort->terms.lost = told[0] < 0 ? told[0] : cohort->terms.lost + told[0];
out:
    gr_free(counts);
    return status;
}
