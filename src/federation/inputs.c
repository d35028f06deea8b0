/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be known of all silos' rows: which features are codes of categories, whether what is
 * to be looked up can be, how many silos have none, and how many each class has. Of the rows only
 * sums leave their rank.
 */
#include "federation/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- codes ---------------------------------------------------------------------------------- */

static gr_status make_room(struct gr_federation *f) {
    if (f->config->model.embedding == 0 || f->categories) return GR_OK;
    return gr_allocate_zero(f->data->n_features, sizeof *f->categories, "categories",
                            &f->categories);
}

gr_status gr_inputs_find_codes(struct gr_federation *f) {
    const struct gr_columns *columns = f->data->columns;
    gr_status status;
    GR_TRY(gr_comm_agree(f->comm, make_room(f)));
    if (!f->categories) return GR_OK;
    for (size_t i = 0; columns && i < columns->n_features && i < f->data->n_features; i++)
        if (columns->features[i].kind == GR_FEATURE_CODE)
            f->categories[i] = columns->features[i].n_categories;
    /* A rank without rows has no columns. */
    status = gr_comm_max_int64(f->comm, f->categories, f->data->n_features);
out:
    return status;
}

static gr_status list_codes(const struct gr_federation *f, struct gr_code **list, size_t *n) {
    gr_status status;
    *n = 0;
    *list = NULL;
    if (!f->categories) return GR_OK;
    GR_TRY(gr_allocate(f->data->n_features, sizeof **list, "codes", list));
    for (size_t i = 0; i < f->data->n_features; i++)
        if (f->categories[i] > 0)
            (*list)[(*n)++] = (struct gr_code){(uint32_t)i, (uint32_t)f->categories[i]};
out:
    return status;
}

gr_status gr_inputs_create_model(struct gr_federation *f, size_t batch_max) {
    struct gr_row_shape row = {.n_dims = f->data->n_dims};
    struct gr_code *list = NULL;
    size_t n = 0;
    gr_status status;
    memcpy(row.dims, f->data->shape, sizeof row.dims);
    GR_TRY(list_codes(f, &list, &n));
    status = gr_model_create_shaped(&f->config->model, &row, &(struct gr_codes){n, list},
                                    f->data->n_classes, batch_max, &f->model);
out:
    gr_free(list);
    return status;
}

static gr_status check_rows(const struct gr_federation *f, const struct gr_rows *rows) {
    gr_status status = GR_OK;
    for (size_t first = 0, n; first < rows->n_rows; first += n) {
        n = rows->n_rows - first < GR_TEST_BATCH ? rows->n_rows - first : GR_TEST_BATCH;
        gr_rows_gather(rows, NULL, first, n, gr_model_batch_features(f->model),
                       gr_model_batch_labels(f->model), gr_model_batch_targets(f->model));
        GR_TRY(gr_model_check_batch(f->model, n));
    }
out:
    return status;
}

/* A silo whose rows cannot be looked up has none, as one whose table cannot be read. */
static gr_status check_silo(const struct gr_federation *f, struct gr_silo *silo) {
    gr_status status = check_rows(f, &silo->train);
    if (status == GR_OK) status = check_rows(f, &silo->validation);
    if (status == GR_OK) status = check_rows(f, &silo->test);
    if (status != GR_ERROR_DATA) return status;
    if (!f->data->silo_tables) return gr_fail_context(status, "%s: ", silo->pseudonym);
    silo->unusable = status;
    gr_rows_release(&silo->train);
    gr_rows_release(&silo->validation);
    gr_rows_release(&silo->test);
    silo->train = silo->validation = silo->test = (struct gr_rows){0};
    const struct gr_table_config *table = &f->config->data.silo_tables[silo->id];
    return gr_text_format(&silo->why, "%s: %s", table->file[0] ? table->file : table->features,
                          gr_message());
}

gr_status gr_inputs_check(struct gr_federation *f) {
    gr_status status = GR_OK;
    if (!gr_model_looks_up(f->model)) return GR_OK;
    for (size_t i = 0; i < f->data->n_local; i++)
        if (f->data->local[i].unusable == GR_OK) GR_TRY(check_silo(f, &f->data->local[i]));
    status = check_rows(f, &f->data->test);
    if (status == GR_ERROR_DATA) status = gr_fail_context(status, "test table: ");
out:
    return status;
}

gr_status gr_inputs_count_unusable(struct gr_federation *f) {
    const struct gr_silo *first = NULL;
    int64_t unusable = 0;
    gr_sitting_hear(f);
    for (size_t i = 0; i < f->data->n_local; i++) {
        if (f->data->local[i].unusable == GR_OK) continue;
        unusable++;
        if (!first) first = &f->data->local[i];
    }
    gr_status status = gr_comm_sum_int64(f->comm, &unusable, 1);
    if (status != GR_OK) return status;
    f->n_unusable = (uint32_t)unusable;
    if (f->n_unusable < f->data->n_silos) return GR_OK;
    return gr_comm_agree(f->comm, first ? gr_sitting_fail(f, first)
                                        : gr_fail(GR_ERROR_DATA, "no silo has data"));
}

/* ---- weights and offsets --------------------------------------------------------------------- */

/* What one list of rows says; an empty one says nothing. */
struct said {
    int64_t weights, offsets, no_weights, no_offsets, train_exponent, held_exponent;
};
_Static_assert(sizeof(struct said) == 6 * sizeof(int64_t), "said is six int64_t");

static void hear_rows(const struct gr_rows *rows, int64_t *exponent, struct said *said) {
    if (rows->n_rows == 0) return;
    const int64_t own = gr_rows_weight_exponent(rows);
    *(rows->weights ? &said->weights : &said->no_weights) = 1;
    *(rows->offsets ? &said->offsets : &said->no_offsets) = 1;
    if (own > *exponent) *exponent = own;
}

static void hear_silo(const struct gr_silo *silo, struct said *said) {
    hear_rows(&silo->train, &said->train_exponent, said);
    hear_rows(&silo->validation, &said->held_exponent, said);
    hear_rows(&silo->test, &said->held_exponent, said);
}

/* What this rank's rows lack that others have. */
static gr_status lacks(const char *who, const struct said *own, const struct said *all) {
    if (own->no_weights && all->weights)
        return gr_fail(GR_ERROR_DATA, "%s: rows have no weights, those of other tables have", who);
    if (own->no_offsets && all->offsets)
        return gr_fail(GR_ERROR_DATA, "%s: rows have no offsets, those of other tables have", who);
    return GR_OK;
}

static gr_status compare_terms(const struct gr_federation *f, const struct said *all) {
    gr_status status = GR_OK;
    for (size_t i = 0; status == GR_OK && i < f->data->n_local; i++) {
        struct said own = {0};
        hear_silo(&f->data->local[i], &own);
        status = lacks(f->data->local[i].pseudonym, &own, all);
    }
    if (status == GR_OK) {
        struct said own = {0};
        hear_rows(&f->data->test, &own.held_exponent, &own);
        status = lacks("test table", &own, all);
    }
    return status;
}

gr_status gr_inputs_agree_terms(struct gr_federation *f) {
    struct said all = {.train_exponent = GR_WEIGHT_NONE, .held_exponent = GR_WEIGHT_NONE};
    gr_status status;
    for (size_t i = 0; i < f->data->n_local; i++)
        hear_silo(&f->data->local[i], &all);
    hear_rows(&f->data->test, &all.held_exponent, &all);
    GR_TRY(gr_comm_max_int64(f->comm, &all.weights, sizeof all / sizeof(int64_t)));
    GR_TRY(gr_comm_agree(f->comm, compare_terms(f, &all)));
    if (all.weights && all.train_exponent == GR_WEIGHT_NONE)
        return gr_fail(GR_ERROR_DATA, "the weights of all training rows are 0");
    f->terms = (struct terms){.weights = all.weights,
                              .offsets = all.offsets,
                              .train_exponent = all.train_exponent,
                              .held_exponent = all.held_exponent};
out:
    return status;
}

gr_status gr_inputs_use_terms(struct gr_federation *f) {
    gr_status status = GR_OK;
    if (f->terms.weights) GR_TRY(gr_model_use_weights(f->model));
    if (f->terms.offsets) GR_TRY(gr_model_use_offsets(f->model));
out:
    return status;
}

static size_t scale_test(struct gr_federation *f) {
    return f->terms.held_exponent != GR_WEIGHT_NONE
               ? gr_rows_scale_weights(&f->data->test, (int)f->terms.held_exponent)
               : 0;
}

void gr_inputs_scale_test(struct gr_federation *f) {
    (void)scale_test(f);
}

void gr_inputs_scale_weights(struct gr_federation *f) {
    const int held = (int)f->terms.held_exponent;
    size_t lost = 0;
    if (!f->terms.weights) return;
    for (size_t i = 0; i < f->data->n_local; i++) {
        struct gr_silo *silo = &f->data->local[i];
        lost += gr_rows_scale_weights(&silo->train, (int)f->terms.train_exponent);
        if (held == GR_WEIGHT_NONE) continue;
        lost += gr_rows_scale_weights(&silo->validation, held);
        lost += gr_rows_scale_weights(&silo->test, held);
    }
    lost += scale_test(f);
    f->terms.lost = (int64_t)lost;
    if (held != GR_WEIGHT_NONE) gr_accumulator_set_exponent(f->total, held);
}

gr_status gr_inputs_sum_lost(struct gr_federation *f) {
    return gr_comm_sum_int64(f->comm, &f->terms.lost, 1);
}

/* ---- classes -------------------------------------------------------------------------------- */

/* A model of two classes has two also where all rows are of one. */
size_t gr_inputs_classes(const struct gr_federation *f) {
    return f->data->n_classes < 2 ? 2 : f->data->n_classes;
}

gr_status gr_inputs_weigh_classes(struct gr_federation *f) {
    return f->class_counts ? gr_model_balance_classes(f->model, f->class_counts) : GR_OK;
}

static gr_status make_counts(struct gr_federation *f) {
    if (f->config->train.class_weights == GR_CLASS_WEIGHTS_NONE || f->class_counts) return GR_OK;
    return gr_allocate_zero(gr_inputs_classes(f), sizeof *f->class_counts, "classes",
                            &f->class_counts);
}

gr_status gr_inputs_count_classes(struct gr_federation *f) {
    gr_status status;
    GR_TRY(gr_comm_agree(f->comm, make_counts(f)));
    if (!f->class_counts) return GR_OK;
    for (size_t s = 0; s < f->data->n_local; s++) {
        const struct gr_rows *rows = &f->data->local[s].train;
        for (size_t i = 0; i < rows->n_rows; i++)
            f->class_counts[rows->labels[i]] +=
                rows->weights ? gr_weight_units(rows->weights, i) : 1;
    }
    GR_TRY(gr_comm_sum_int64(f->comm, f->class_counts, gr_inputs_classes(f)));
    status = gr_comm_agree(f->comm, gr_inputs_weigh_classes(f));
out:
    return status;
}

static void mark_classes(const struct gr_rows *rows, int64_t *there) {
    for (size_t i = 0; i < rows->n_rows; i++)
        there[rows->labels[i]] = 1;
}

/* Where the config says how many classes there are, it is meant so. Nothing but the fact is told.
 */
gr_status gr_inputs_find_empty(struct gr_federation *f) {
    enum { FEWEST = 3 };
    const size_t n = f->data->n_classes;
    int64_t *there = NULL;
    size_t empty = 0;
    gr_status status;
    if (f->config->model.classes > 0 || n < FEWEST || gr_model_classes(f->model) == 0) return GR_OK;
    GR_TRY(gr_comm_agree(f->comm, gr_allocate_zero(n, sizeof *there, "classes", &there)));
    for (size_t s = 0; s < f->data->n_local; s++) {
        mark_classes(&f->data->local[s].train, there);
        mark_classes(&f->data->local[s].validation, there);
        mark_classes(&f->data->local[s].test, there);
    }
    GR_TRY(gr_comm_max_int64(f->comm, there, n));
    for (size_t c = 0; c < n; c++)
        empty += !there[c];
    f->empty_classes = 2 * empty > n;
out:
    gr_free(there);
    return status;
}

/* ---- held-out rows -------------------------------------------------------------------------- */

enum { THERE, HELD, GR_HELD_PARTS = HELD + GR_TELL_SPLITS };

/* Classes that the split tells apart; else all rows are of one. */
static size_t held_classes(const struct gr_federation *f) {
    return gr_model_classes(f->model) > 0 ? gr_inputs_classes(f) : 1;
}

static void mark_rows(const struct gr_rows *rows, size_t classes, int64_t *flags) {
    for (size_t i = 0; i < rows->n_rows; i++)
        flags[classes > 1 ? rows->labels[i] : 0] = 1;
}

gr_status gr_inputs_find_held(struct gr_federation *f) {
    const struct gr_data_config *config = &f->config->data;
    const size_t n = held_classes(f);
    int64_t *flags = NULL;
    gr_status status = GR_OK, mine;
    if (!(config->validation_fraction > 0 || config->test_fraction > 0)) return GR_OK;
    mine = gr_allocate_zero(GR_HELD_PARTS * n, sizeof *flags, "classes", &flags);
    if (mine == GR_OK) mine = gr_allocate_zero(GR_HELD_PARTS * n, 1, "classes", &f->held);
    GR_TRY(gr_comm_agree(f->comm, mine));
    for (size_t i = 0; i < f->data->n_local; i++) {
        const struct gr_silo *silo = &f->data->local[i];
        mark_rows(&silo->train, n, flags);
        mark_rows(&silo->validation, n, flags);
        mark_rows(&silo->test, n, flags);
        mark_rows(&silo->validation, n, flags + HELD * n);
        mark_rows(&silo->test, n, flags + (HELD + 1) * n);
    }
    /* One bit of each, and no count. */
    GR_TRY(gr_comm_max_int64(f->comm, flags, GR_HELD_PARTS * n));
    for (size_t i = 0; i < GR_HELD_PARTS * n; i++)
        f->held[i] = flags[i] != 0;
out:
    gr_free(flags);
    return status;
}

/*
 * "class 2, class 5", or "class no, class yes" where the label's `categories` name them, of those
 * without a row in the part; how many they are. size: of at least 11 quoted names.
 */
static size_t list_classes(const struct gr_federation *f, size_t part, char *out, size_t size) {
    enum { NAMED_MAX = 10 };
    const size_t n = held_classes(f);
    const uint8_t *held = f->held + (HELD + part) * n;
    const char *const *names = gr_columns_class_names(f->data->columns, n);
    char name[40];
    size_t missing = 0, used = 0;
    for (size_t c = 0; c < n; c++) {
        if (!f->held[c] || held[c]) continue;
        if (missing++ >= NAMED_MAX) continue;
        snprintf(name, sizeof name, "%zu", c);
        if (names) gr_text_quote(names[c], strlen(names[c]), name, sizeof name);
        used +=
            (size_t)snprintf(out + used, size - used, "%sclass %s", missing > 1 ? ", " : "", name);
    }
    if (missing > NAMED_MAX) snprintf(out + used, size - used, " and others");
    return missing;
}

gr_status gr_federation_tell_split(const struct gr_federation *f, size_t part, char **words) {
    static const char *const name[GR_TELL_SPLITS] = {"validation", "test"};
    const struct gr_data_config *config = &f->config->data;
    const double fraction = part == 0 ? config->validation_fraction : config->test_fraction;
    char classes[640] = "";
    *words = NULL;
    if (!f->held || !(fraction > 0)) return GR_OK;
    const size_t n = held_classes(f);
    const uint8_t *held = f->held + (HELD + part) * n;
    const size_t missing = list_classes(f, part, classes, sizeof classes);
    if (missing == 0) return GR_OK;
    if (gr_count_flags(held, (uint32_t)n) == 0)
        return gr_text_format(words,
                              "alert: no silo holds a row out for the %s, though "
                              "data.%s_fraction is %g: the silos are too small for it",
                              name[part], name[part], fraction);
    return gr_text_format(words,
                          "alert: no silo holds a row of %s out for the %s: its scores say nothing "
                          "of %s",
                          classes, name[part], missing > 1 ? "them" : "it");
}

/* ---- respawned ------------------------------------------------------------------------------ */

gr_status gr_inputs_share(struct gr_federation *f) {
    gr_status status;
    GR_TRY(make_room(f));
    GR_TRY(make_counts(f));
    GR_TRY(gr_comm_broadcast(f->comm, &f->terms, sizeof f->terms));
    if (f->categories)
        GR_TRY(
            gr_comm_broadcast(f->comm, f->categories, f->data->n_features * sizeof *f->categories));
    if (f->class_counts)
        GR_TRY(gr_comm_broadcast(f->comm, f->class_counts,
                                 gr_inputs_classes(f) * sizeof *f->class_counts));
out:
    return status;
}
