/* SPDX-License-Identifier: Apache-2.0 */
/* Preprocessing of a cohort: fitted once, then the same for everybody who comes. */
#include "cohort/preprocessing_fit.h"

#include <granary/slices.h>

#include <stdio.h>
#include <string.h>

/* Collective. Whether rows go into the model otherwise than as they are. A rank whose silos are all
 * unusable has no columns, and yet has to take part: hence the maximum. */
static gr_status find_need(struct gr_cohort *cohort, bool *needed) {
    int64_t any = cohort->data->columns || cohort->config->preprocess.scale != GR_SCALE_NONE;
    gr_status status = gr_comm_max_public(cohort->comm, &any, 1);
    *needed = any != 0;
    return status;
}

/* Not collective. Each rank parses the same text for itself, so that the model's preprocessing and
 * the training's are the same by construction. */
static gr_status apply(struct gr_cohort *cohort, const char *text) {
    struct gr_preprocessing *p;
    const struct gr_evaluate_config *evaluate = &cohort->config->evaluate;
    gr_status status = gr_preprocessing_create("preprocessing", text, &p);
    if (status != GR_OK) return status;
    status = gr_slicings_create(evaluate->slices, evaluate->slices_count,
                                gr_preprocessing_columns(p), &cohort->data->slicings);
    if (status == GR_OK) return gr_data_preprocess(cohort->data, p);
    gr_preprocessing_free(p);
    return status;
}

/* ---- open columns --------------------------------------------------------------------------- */

/* Rows whose category, one of this table's own, the column of all silos does not list: they become
 * "no known category". `known` is found once for each category and not for each row. */
static void count_lost(const struct gr_column *own, const struct gr_column *all, size_t value,
                       const struct gr_rows *rows, bool *known, int64_t *lost) {
    const struct gr_categories list = {all->categories, all->categories_count, 0};
    const float *x = rows->features;
    for (unsigned k = 0; k < own->categories_count; k++)
        known[k] = gr_categories_find(&list, own->categories[k]) < all->categories_count;
    for (size_t i = 0; i < rows->n_rows; i++) {
        const float code = x[i * rows->n_features + value];
        if (code >= 0 && code < (float)own->categories_count && !known[(size_t)code]) ++*lost;
    }
}

/* The rows of each of this rank's silos as read, whose open columns are known from now on. lost:
 * n_local x columns. */
static gr_status count_silos(const struct gr_cohort *cohort, const struct gr_columns *all,
                             int64_t *lost) {
    bool *known = NULL;
    gr_status status;
    GR_TRY(gr_allocate_zero(GR_OPEN_CATEGORIES_MAX + 1, sizeof *known, "categories", &known));
    for (size_t i = 0; i < cohort->data->n_local; i++) {
        const struct gr_silo *silo = &cohort->data->local[i];
        const struct gr_columns *own = silo->columns ? silo->columns : cohort->data->columns;
        if (silo->unusable != GR_OK || !own || own->n_values != all->n_values) continue;
        for (size_t v = 0; v < all->n_values; v++) {
            const uint32_t column = all->column_of[v];
            const struct gr_column *c = &all->schema->columns[column];
            const struct gr_column *mine = &own->schema->columns[own->column_of[v]];
            if (!c->open || mine->categories_count > GR_OPEN_CATEGORIES_MAX) continue;
            int64_t *count = &lost[i * all->schema->columns_count + column];
            count_lost(mine, c, v, &silo->train, known, count);
            count_lost(mine, c, v, &silo->validation, known, count);
            count_lost(mine, c, v, &silo->test, known, count);
        }
    }
out:
    gr_free(known);
    return status;
}

static int64_t count_rows(const struct gr_silo *silo) {
    return (int64_t)(silo->train.n_rows + silo->validation.n_rows + silo->test.n_rows);
}

/*
 * Collective. Categories that open columns do not list join the findings as unknown. To be called
 * on rows as read: once they are features, a category's code is gone. Findings of other kinds were
 * counted as the tables were read.
 */
static gr_status find_lost(struct gr_cohort *cohort, const char *text) {
    struct gr_preprocessing *p = NULL;
    const size_t n_local = cohort->data->n_local;
    int64_t *lost = NULL, *told = NULL;
    size_t n = 0;
    gr_status mine = gr_preprocessing_create("preprocessing", text, &p), status;
    const struct gr_columns *all = mine == GR_OK ? gr_preprocessing_columns(p) : NULL;
    if (all) n = all->schema->columns_count;
    /* The counts, and behind them the rests; the answer. */
    if (mine == GR_OK) mine = gr_allocate_zero(2 * n_local * n, sizeof *lost, "findings", &lost);
    if (mine == GR_OK) mine = gr_allocate_zero(2 * n, sizeof *told, "findings", &told);
    if (mine == GR_OK && all) mine = count_silos(cohort, all, lost);
    GR_TRY(gr_comm_agree(cohort->comm, mine));
    for (size_t i = 0; i < n_local * n; i++)
        lost[n_local * n + i] = count_rows(&cohort->data->local[i / n]) - lost[i];
    GR_TRY(gr_release_counts(cohort->door, GR_RELEASE_FINDINGS, lost, lost + n_local * n, n_local,
                             n, told));
    for (size_t i = 0; cohort->found && told && i < n; i++)
        if (told[i] != 0) cohort->found[i].unknown = told[i]; /* open columns know all else */
out:
    gr_free(told);
    gr_free(lost);
    gr_preprocessing_free(p);
    return status;
}

/* A run that goes on takes the preprocessing it was begun with, though silos may be missing or more
 * rows be there: fitted anew, the model's inputs would change their meaning. */
gr_status gr_cohort_preprocess(struct gr_cohort *cohort, const char *given) {
    char *text = NULL;
    bool needed;
    gr_status status;
    GR_TRY(find_need(cohort, &needed));
    if (cohort->options.fitted && needed != (given != NULL))
        return gr_fail(GR_ERROR_CONFIG,
                       "model.initial: found a model %s preprocessing, expected one %s: these "
                       "tables and `preprocess` need %s",
                       given ? "with" : "without", given ? "without" : "with",
                       given ? "none" : "some");
    if (!needed)
        return gr_slicings_create(cohort->config->evaluate.slices,
                                  cohort->config->evaluate.slices_count, NULL,
                                  &cohort->data->slicings);
    if (!given) GR_TRY(gr_cohort_fit(cohort, &text));
    if (gr_counts_are_due(cohort) && gr_release_leaves(GR_RELEASE_FINDINGS, cohort->config))
        GR_TRY(find_lost(cohort, given ? given : text));
    status = gr_comm_agree(cohort->comm, apply(cohort, given ? given : text));
out:
    gr_free(text);
    return status;
}

/* An empty text stands for none. Members broadcast rank 0's and apply nothing, as they have done
 * so. */
gr_status gr_cohort_share_preprocessing(struct gr_cohort *cohort, bool respawned) {
    const struct gr_preprocessing *p = cohort->data->preprocessing;
    char *text = NULL, *mine = NULL;
    gr_status status = GR_OK;
    GR_TRY(gr_comm_agree(cohort->comm,
                         gr_text_format(&mine, "%s", p ? gr_preprocessing_text(p) : "")));
    text = mine;
    GR_TRY(gr_comm_broadcast_text(cohort->comm, &text, GR_CONFIG_TEXT_MAX));
    if (respawned && text[0]) status = apply(cohort, text);
out:
    if (text != mine) gr_free(text);
    gr_free(mine);
    return status;
}

/* ---- in words ------------------------------------------------------------------------------- */

enum { NAMES_MAX = 10, WORDS_BYTES = 1024 };

/* At most NAMES_MAX names, then "and others": `words` has a fixed size, and names may be of any
 * length. */
static void add_name(char *out, const char *name, size_t n) {
    size_t used = strlen(out);
    char quoted[64];
    gr_text_quote(name, strlen(name), quoted, sizeof quoted);
    if (n <= NAMES_MAX)
        snprintf(out + used, WORDS_BYTES - used, "%s%s", n > 1 ? ", " : "", quoted);
    else if (n == NAMES_MAX + 1)
        snprintf(out + used, WORDS_BYTES - used, " and others");
}

/* An open column whose categories are all rare: the model gets the same value from every row. */
gr_status gr_cohort_tell_vanished(const struct gr_cohort *cohort, size_t column, char **words) {
    const struct gr_columns *columns = cohort->data->columns;
    char name[64];
    *words = NULL;
    if (!columns || !cohort->found || column >= columns->schema->columns_count) return GR_OK;
    const struct gr_column *c = &columns->schema->columns[column];
    if (!c->open || c->categories_count > 0 || cohort->found[column].unknown == 0) return GR_OK;
    gr_text_quote(c->name, strlen(c->name), name, sizeof name);
    return gr_text_format(words,
                          "alert: %s: no silo has a category of it in %u training rows "
                          "(data.disclosure_threshold), so it says nothing to the model; "
                          "data.schema can list its categories",
                          name, cohort->config->data.disclosure_threshold);
}

/* Whether nothing of a value of a row was told to preprocessing; false where this process has not
 * fitted: a resumed run does not tell it again. */
static bool is_withheld(const struct gr_cohort *cohort, size_t value) {
    return value < cohort->n_withheld && cohort->withheld[value];
}

/* The names of values without a spread that are, or are not, withheld; how many they are. */
static size_t list_values(const struct gr_cohort *cohort, bool withheld, char names[WORDS_BYTES]) {
    const struct gr_preprocessing *p = cohort->data->preprocessing;
    const struct gr_columns *columns = p ? gr_preprocessing_columns(p) : NULL;
    char number[32];
    size_t n = 0;
    names[0] = '\0';
    for (size_t v = 0; p && v < gr_preprocessing_values(p); v++) {
        if (is_withheld(cohort, v) != withheld) continue;
        if (!withheld && gr_preprocessing_fit(p)->spread[v] > 0) continue;
        snprintf(number, sizeof number, "feature %zu", v);
        add_name(names, columns ? columns->schema->columns[columns->column_of[v]].name : number,
                 ++n);
    }
    return n;
}

gr_status gr_cohort_tell_preprocessing(const struct gr_cohort *cohort, char **words) {
    char names[WORDS_BYTES];
    *words = NULL;
    if (list_values(cohort, false, names) == 0) return GR_OK;
    return gr_text_format(words, "preprocessing: the same in all training rows, and so 0: %s",
                          names);
}

gr_status gr_cohort_tell_withheld(const struct gr_cohort *cohort, char **words) {
    char names[WORDS_BYTES];
    *words = NULL;
    if (list_values(cohort, true, names) == 0) return GR_OK;
    if (gr_is_private(cohort->config))
        return gr_text_format(words,
                              "alert: preprocessing: too few values beside the noise "
                              "(privacy.statistics.noise_multiplier): numbers go by the middle of "
                              "their range and half of it, and a missing category is "
                              "none: %s",
                              names);
    return gr_text_format(
        words,
        "alert: preprocessing: fewer than %u values (data.disclosure_threshold) "
        "or values of fewer than %u silos (policy.minimum_silos), so that nothing "
        "of them leaves a silo; numbers are 0, and a missing category is none: %s",
        cohort->config->data.disclosure_threshold, gr_policy_silos(cohort->config), names);
}

/* Whether a feature goes into the model with one weight, as a quantity. */
static bool is_linear(enum gr_model_type type) {
    return type == GR_MODEL_SOFTMAX || type == GR_MODEL_LINEAR || type == GR_MODEL_LOGISTIC ||
           type == GR_MODEL_POISSON;
}

/* An ordering of codes is arbitrary with three and more categories; with two any line is right. */
gr_status gr_cohort_tell_codes(const struct gr_cohort *cohort, char **words) {
    const struct gr_columns *columns = cohort->data->columns;
    char names[WORDS_BYTES] = "";
    size_t n = 0;
    *words = NULL;
    if (!columns || !is_linear(cohort->config->model.type)) return GR_OK;
    for (size_t i = 0; i < columns->n_features; i++) {
        const struct gr_feature *feature = &columns->features[i];
        if (feature->kind != GR_FEATURE_CODE || feature->n_categories < 3) continue;
        add_name(names, columns->schema->columns[feature->column].name, ++n);
    }
    if (n == 0) return GR_OK;
    return gr_text_format(words,
                          "data: codes of three and more categories in a linear model, which takes "
                          "them for quantities: %s; `encode: one_hot` gives each a weight",
                          names);
}
