/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dictionaries of open columns: the categories that all ranks are to know, and the columns
 * themselves. A text that one rank has goes to the others by sums, in which the others bring zeros,
 * and by minima: nothing is gathered, and of a silo's categories only those that are common enough
 * take part.
 */
#include "cohort/preprocessing_fit.h"

#include <stdlib.h>
#include <string.h>

enum { WORD_BYTES = 7 }; /* of text in a sum: it stays positive */

/* ---- columns -------------------------------------------------------------------------------- */

static uint64_t pack(const char *text, size_t length) {
    uint64_t word = 0;
    for (size_t i = 0; i < WORD_BYTES; i++)
        word = word << 8 | (i < length ? (unsigned char)text[i] : 0);
    return word;
}

static void unpack(uint64_t word, char out[WORD_BYTES]) {
    for (size_t i = WORD_BYTES; i-- > 0; word >>= 8)
        out[i] = (char)(word & 0xFF);
}

/* Collective. One rank's text to all, NULL elsewhere; *out is the caller's to release. */
static gr_status share_text(struct gr_fitting *fit, const char *mine, char **out) {
    int64_t *words = NULL, length = mine ? (int64_t)strlen(mine) : 0;
    char *text = NULL;
    gr_status status;
    GR_TRY(gr_comm_max_public(fit->comm, &length, 1));
    const size_t n = ((size_t)length + WORD_BYTES - 1) / WORD_BYTES;
    gr_status made = gr_allocate_zero(n, sizeof *words, "a text", &words);
    if (made == GR_OK) made = gr_allocate_zero(n * WORD_BYTES + 1, 1, "a text", &text);
    GR_TRY(gr_comm_agree(fit->comm, made));
    for (size_t i = 0; mine && i < n; i++)
        words[i] = (int64_t)pack(mine + i * WORD_BYTES, strlen(mine + i * WORD_BYTES));
    GR_TRY(gr_release_sum(fit->door, GR_RELEASE_COLUMNS, words, n));
    for (size_t i = 0; i < n; i++)
        unpack((uint64_t)words[i], text + i * WORD_BYTES);
    *out = text;
    text = NULL;
out:
    gr_free(text);
    gr_free(words);
    return status;
}

/* What an open column lists so far are a silo's own. */
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

static gr_status read_columns(const char *text, struct gr_columns **out) {
    struct gr_schema *schema = NULL;
    gr_status status = gr_schema_parse("the columns", text, strlen(text), &schema);
    return status == GR_OK ? gr_columns_create(schema, out) : status;
}

gr_status gr_dictionary_share_columns(struct gr_fitting *fit) {
    const struct gr_columns *own = fit->data->columns;
    const int64_t nobody = -(INT64_C(1) << 40);
    int64_t who = own ? -(int64_t)gr_comm_rank(fit->comm) : nobody;
    char *mine = NULL, *text = NULL;
    gr_status status;
    GR_TRY(gr_comm_max_public(fit->comm, &who, 1));
    if (who == nobody) return GR_OK;
    const bool brings = own && who == -(int64_t)gr_comm_rank(fit->comm);
    GR_TRY(gr_comm_agree(fit->comm, brings ? make_text(own, &mine) : GR_OK));
    GR_TRY(share_text(fit, mine, &text));
    GR_TRY(gr_comm_agree(fit->comm, text ? read_columns(text, &fit->columns) : GR_ERROR_INTERNAL));
out:
    gr_free(text);
    gr_free(mine);
    return status;
}

/* ---- categories ----------------------------------------------------------------------------- */

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

/* Those of this rank's silos that are common enough in one of them. */
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
    /* One more than there is room for makes all fail. */
    if (!room)
        status = gr_fail(GR_ERROR_DATA, "column %u: found more than %d categories",
                         fit->columns->column_of[value] + 1, GR_OPEN_CATEGORIES_MAX);
out:
    gr_free(count);
    return status;
}

/*
 * Collective. The least of all ranks' texts, `mine` being what this one has left, found word by
 * word: each is the minimum over those that agree with all before it. *found false: there is none.
 */
static gr_status least_category(struct gr_fitting *fit, const char *mine, char *out, bool *found) {
    const int64_t none = -(INT64_C(1) << 60);
    gr_status status = GR_OK;
    *found = true;
    for (size_t at = 0; at <= GR_OPEN_CATEGORY_BYTES; at += WORD_BYTES) {
        const bool agrees = mine && strncmp(mine, out, at) == 0;
        int64_t word = agrees ? -(int64_t)pack(mine + at, strlen(mine + at)) : none;
        GR_TRY(gr_release_max(fit->door, GR_RELEASE_CATEGORIES, &word, 1));
        *found = word != none;
        if (!*found) break;
        unpack((uint64_t)-word, out + at);
        if (memchr(out + at, '\0', WORD_BYTES)) goto out;
    }
    if (*found) /* columns list no longer ones, see gr_columns_create */
        status =
            gr_fail(GR_ERROR_INTERNAL, "a category of more than %d bytes", GR_OPEN_CATEGORY_BYTES);
out:
    return status;
}

/* Of all open columns together: preprocessing must fit into its text. */
static bool count_bytes(struct gr_fitting *fit, const char *category) {
    fit->category_bytes += strlen(category) + 1;
    return fit->category_bytes <= GR_CONFIG_FILE_MAX;
}

/* Collective. */
static gr_status make_dictionary(struct gr_fitting *fit, size_t value) {
    struct gr_categories mine = {0}, all = {0};
    struct gr_column *column = &fit->columns->schema->columns[fit->columns->column_of[value]];
    char next[GR_OPEN_CATEGORY_BYTES + WORD_BYTES];
    bool found = true, room = true;
    uint32_t at = 0;
    gr_status status;
    GR_TRY(gr_comm_agree(fit->comm, collect(fit, value, &mine)));
    while (room) {
        const char *own = at < mine.n ? mine.text[at] : NULL;
        GR_TRY(least_category(fit, own, next, &found));
        if (!found) break;
        if (own && strcmp(own, next) == 0) at++;
        GR_TRY(gr_comm_agree(fit->comm, gr_categories_add(&all, next, strlen(next), &room)));
        if (count_bytes(fit, next)) continue;
        status = gr_fail(GR_ERROR_DATA,
                         "column %u: the categories of open columns take more than %d bytes "
                         "together: data.schema can list them",
                         fit->columns->column_of[value] + 1, GR_CONFIG_FILE_MAX);
        goto out;
    }
    if (!room)
        status = gr_fail(GR_ERROR_DATA, "column %u: found more than %d categories in all silos",
                         fit->columns->column_of[value] + 1, GR_OPEN_CATEGORIES_MAX);
    else
        gr_categories_give(&all, column);
out:
    gr_categories_release(&mine);
    gr_categories_release(&all);
    return status;
}

/* ---- modes ---------------------------------------------------------------------------------- */

static uint32_t find_code(const struct gr_column *column, const char *text) {
    const struct gr_categories all = {column->categories, column->categories_count, 0};
    return gr_categories_find(&all, text);
}

/* This rank's rows of each category; those of open columns are in byte order. */
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

/* Collective. The first of the most frequent. */
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

gr_status gr_dictionary_find_categories(struct gr_fitting *fit) {
    gr_status status = GR_OK;
    for (size_t v = 0; v < fit->n; v++) {
        if (fit->treatment[v].open) GR_TRY(make_dictionary(fit, v));
        if (gr_fit_wants_mode(fit, v) && !fit->withheld[v]) GR_TRY(find_mode(fit, v));
    }
out:
    return status;
}
