/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dictionaries of open columns: the categories that all ranks are to know, and the columns
 * themselves. Of a silo's categories only those that are common enough leave; all ranks make the
 * same dictionary of them, in byte order.
 */
#include "cohort/preprocessing_fit.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of a column's categories that all ranks bring, most of them more than once. */
enum { CATEGORIES_OF_ALL_MAX = 256 << 20 };

/* ---- columns -------------------------------------------------------------------------------- */

/* The columns as a schema. Categories of open columns are taken out first: so far they are a silo's
 * own, and leave by their own release, counted against the threshold. */
static gr_status make_text(const struct gr_columns *columns, char **out) {
    struct gr_schema *schema = NULL;
    struct gr_categories none = {0};
    gr_status status;
    GR_TRY(gr_schema_copy(columns->schema, &schema));
    for (unsigned i = 0; i < schema->columns_count; i++)
        if (schema->columns[i].open) gr_categories_give(&none, &schema->columns[i]);
    status = gr_schema_to_yaml(schema, out);
out:
    gr_schema_free(schema);
    return status;
}

/*
 * Every rank parses the same text, the rank that brought it included, so all hold the same columns.
 */
static gr_status read_columns(const char *text, struct gr_columns **out) {
    struct gr_schema *schema = NULL;
    gr_status status = gr_schema_parse("the columns", text, strlen(text), &schema);
    return status == GR_OK ? gr_columns_create(schema, out) : status;
}

/* Without columns (images, arrays) there is no schema. */
static gr_status load_columns(const struct gr_config *config, struct gr_columns **out) {
    struct gr_schema *schema = NULL;
    gr_status status = GR_OK;
    if (config->data.schema[0]) status = gr_schema_load(config->data.schema, &schema);
    return status == GR_OK && schema ? gr_columns_create(schema, out) : status;
}

/* The lowest rank with columns brings them: the maximum of -rank is agreed on. A rank whose silos
 * are all unusable has none. Under secure sums no rank brings any: they are the schema's. */
gr_status gr_dictionary_share_columns(struct gr_fitting *fit) {
    const struct gr_columns *own = fit->data->columns;
    const int64_t nobody = -(INT64_C(1) << 40);
    int64_t who = own ? -(int64_t)gr_comm_rank(fit->comm) : nobody;
    char *mine = NULL, *text = NULL;
    size_t n;
    gr_status status;
    if (!gr_release_leaves(GR_RELEASE_COLUMNS, fit->config))
        return gr_comm_agree(fit->comm, load_columns(fit->config, &fit->columns));
    GR_TRY(gr_comm_max_public(fit->comm, &who, 1));
    if (who == nobody) return GR_OK;
    const bool brings = own && who == -(int64_t)gr_comm_rank(fit->comm);
    GR_TRY(gr_comm_agree(fit->comm, brings ? make_text(own, &mine) : GR_OK));
    GR_TRY(gr_release_text(fit->door, GR_RELEASE_COLUMNS, mine, mine ? strlen(mine) + 1 : 0,
                           GR_CONFIG_TEXT_MAX, &text, &n));
    GR_TRY(gr_comm_agree(fit->comm, read_columns(text, &fit->columns)));
out:
    gr_free(text);
    gr_free(mine);
    return status;
}

/* ---- categories ----------------------------------------------------------------------------- */

/* A silo with a table of its own may have its own columns, with other categories of open ones; all
 * else of them was compared before (table_contract.c). */
static const struct gr_column *column_of(const struct gr_fitting *fit, const struct gr_silo *silo,
                                         size_t value) {
    const struct gr_columns *columns = silo->columns ? silo->columns : fit->data->columns;
    return &columns->schema->columns[columns->column_of[value]];
}

/* Rows of each category of a silo's own list; caller: gr_free. */
static gr_status count_own(const struct gr_fitting *fit, const struct gr_silo *silo, size_t value,
                           int64_t **out) {
    const uint32_t n = column_of(fit, silo, value)->categories_count;
    gr_status status = gr_allocate_zero(n, sizeof **out, "categories", out);
    if (status == GR_OK) gr_fit_categories(&silo->train, value, n, *out);
    return status;
}

/*
 * Adds the categories of this rank's silos that are common enough: in at least
 * data.disclosure_threshold training rows of a single silo. Counts are not added over silos first,
 * for the sum would already tell of rare categories.
 */
static gr_status collect(const struct gr_fitting *fit, size_t value, struct gr_categories *out) {
    gr_status status = GR_OK;
    int64_t *count = NULL;
    bool room = true;
    for (size_t i = 0; i < fit->data->n_local && room; i++) {
        const struct gr_silo *silo = &fit->data->local[i];
        if (!gr_fit_usable(silo)) continue;
        const struct gr_column *c = column_of(fit, silo, value);
        GR_TRY(count_own(fit, silo, value, &count));
        for (unsigned k = 0; k < c->categories_count && room; k++)
            if (count[k] >= (int64_t)fit->config->data.disclosure_threshold)
                GR_TRY(gr_categories_add(out, c->categories[k], strlen(c->categories[k]), &room));
        gr_free(count);
        count = NULL;
    }
    /* A category more than there is room for makes all fail. */
    if (!room)
        status = gr_fail(GR_ERROR_DATA, "column %u: found more than %d categories",
                         fit->columns->column_of[value] + 1, GR_OPEN_CATEGORIES_MAX);
out:
    gr_free(count);
    return status;
}

/* The categories, each with its NUL, one behind the other. */
static gr_status pack(const struct gr_categories *categories, char **out, size_t *n) {
    size_t at = 0;
    *n = 0;
    for (uint32_t i = 0; i < categories->n; i++)
        *n += strlen(categories->text[i]) + 1;
    gr_status status = gr_allocate(*n, 1, "categories", out);
    for (uint32_t i = 0; status == GR_OK && i < categories->n; i++) {
        const size_t bytes = strlen(categories->text[i]) + 1;
        memcpy(*out + at, categories->text[i], bytes);
        at += bytes;
    }
    return status;
}

/* All ranks' texts into one list without repetition, in byte order: the same on all ranks, whoever
 * brought them in which order. So a category's code does not depend on placement. */
static gr_status unite(struct gr_fitting *fit, size_t value, const char *texts, size_t n,
                       struct gr_categories *all) {
    gr_status status = GR_OK;
    bool room = true;
    for (size_t at = 0; at < n && room; at += strlen(texts + at) + 1)
        GR_TRY(gr_categories_add(all, texts + at, strlen(texts + at), &room));
    if (!room)
        return gr_fail(GR_ERROR_DATA, "column %u: found more than %d categories in all silos",
                       fit->columns->column_of[value] + 1, GR_OPEN_CATEGORIES_MAX);
    for (uint32_t i = 0; i < all->n; i++)
        fit->category_bytes += strlen(all->text[i]) + 1;
    /* Of all open columns together: preprocessing must fit into its text. */
    if (fit->category_bytes > GR_CONFIG_FILE_MAX)
        status = gr_fail(GR_ERROR_DATA,
                         "column %u: the categories of open columns take more than %d bytes "
                         "together: data.schema can list them",
                         fit->columns->column_of[value] + 1, GR_CONFIG_FILE_MAX);
out:
    return status;
}

/* Collective. The limit of CATEGORIES_OF_ALL_MAX bounds the memory of every rank before any text
 * travels; a rank whose silos bring too many categories fails all. */
static gr_status make_dictionary(struct gr_fitting *fit, size_t value) {
    struct gr_categories mine = {0}, all = {0};
    char *own = NULL, *texts = NULL;
    size_t n_own = 0, n = 0;
    gr_status status = collect(fit, value, &mine);
    if (status == GR_OK) status = pack(&mine, &own, &n_own);
    GR_TRY(gr_comm_agree(fit->comm, status));
    GR_TRY(gr_release_text(fit->door, GR_RELEASE_CATEGORIES, own, n_own, CATEGORIES_OF_ALL_MAX,
                           &texts, &n));
    GR_TRY(gr_comm_agree(fit->comm, unite(fit, value, texts, n, &all)));
    gr_categories_give(&all, &fit->columns->schema->columns[fit->columns->column_of[value]]);
out:
    gr_free(texts);
    gr_free(own);
    gr_categories_release(&mine);
    gr_categories_release(&all);
    return status;
}

/* ---- modes ---------------------------------------------------------------------------------- */

/* The code in the list of all silos; n where it is not there, as a rare category is not. */
static uint32_t find_code(const struct gr_column *column, const char *text) {
    const struct gr_categories all = {column->categories, column->categories_count, 0};
    return gr_categories_find(&all, text);
}

/* This rank's rows of each category of all silos' list. Codes of a closed column are the same
 * everywhere; an open column's are looked up by name. */
static gr_status count_all(const struct gr_fitting *fit, size_t value,
                           const struct gr_column *column, int64_t *sums) {
    gr_status status = GR_OK;
    int64_t *count = NULL;
    for (size_t i = 0; i < fit->data->n_local; i++) {
        const struct gr_silo *silo = &fit->data->local[i];
        if (!gr_fit_usable(silo)) continue;
        const struct gr_column *own = column_of(fit, silo, value);
        GR_TRY(count_own(fit, silo, value, &count));
        for (unsigned k = 0; k < own->categories_count; k++) {
            const uint32_t code = column->open ? find_code(column, own->categories[k]) : k;
            if (code < column->categories_count) sums[code] += count[k];
        }
        gr_free(count);
        count = NULL;
    }
out:
    gr_free(count);
    return status;
}

/* Collective. The most frequent category; of several the one with the lowest code, so that ties are
 * broken alike on all ranks. Counts of all categories leave, as a sum over silos. */
static gr_status find_mode(struct gr_fitting *fit, size_t value) {
    const struct gr_column *column = &fit->columns->schema->columns[fit->columns->column_of[value]];
    const uint32_t n = column->categories_count;
    int64_t *sums = NULL;
    gr_status status;
    gr_status mine = gr_allocate_zero((size_t)n + 1, sizeof *sums, "categories", &sums);
    if (mine == GR_OK) mine = count_all(fit, value, column, sums);
    GR_TRY(gr_comm_agree(fit->comm, mine));
    GR_TRY(gr_release_sum(fit->door, GR_RELEASE_MODES, sums, n));
    for (uint32_t k = 1; k < n; k++)
        if (sums[k] > sums[fit->mode[value]]) fit->mode[value] = k;
out:
    gr_free(sums);
    return status;
}

/* Codes outside 0 .. n - 1 stand for missing and unknown values. */
int64_t gr_dictionary_count(const struct gr_fitting *fit, const struct gr_silo *silo,
                            size_t value) {
    const float n_categories = (float)column_of(fit, silo, value)->categories_count;
    const float *x = silo->train.features;
    int64_t n = 0;
    for (size_t row = 0; row < silo->train.n_rows; row++) {
        const float code = x[row * silo->train.n_features + value];
        n += code >= 0 && code < n_categories;
    }
    return n;
}

/* Values in their order, the same on all ranks, for each is a collective of its own. Modes come
 * after the dictionary of their column, whose codes they are. */
gr_status gr_dictionary_find_categories(struct gr_fitting *fit) {
    gr_status status = GR_OK;
    for (size_t v = 0; v < fit->n; v++) {
        if (fit->treatment[v].open) GR_TRY(make_dictionary(fit, v));
        if (gr_fit_wants_mode(fit, v) && !fit->withheld[v] &&
            gr_release_leaves(GR_RELEASE_MODES, fit->config))
            GR_TRY(find_mode(fit, v));
    }
out:
    return status;
}
