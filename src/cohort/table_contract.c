/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract between silos, before the first round: all tables have the same columns, and what
 * was found in them is counted over the federation. Of a column its digest goes to the others, of
 * the findings their sums.
 */
#include "cohort/cohort_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = GR_COMM_SMALL_MAX / 2, NOBODY = -1 };

/* ---- the same columns ----------------------------------------------------------------------- */

/*
 * 62 bits of all that rows of the model need to agree on; never negative, so that NOBODY is below
 * all. Units and ways to write cells are not in it: silos may differ there. Strings go with their
 * NUL, so that no two lists of names run together.
 */
static int64_t digest_column(const struct gr_column *c) {
    struct gr_digest digest;
    unsigned char bytes[GR_DIGEST_BYTES];
    uint64_t number;
    /* Categories of open columns are a silo's own. */
    const uint32_t n = c->open ? 0 : c->categories_count;
    const uint32_t form[] = {c->type, c->encode, c->missing, c->scale, c->open, c->range_count, n};
    gr_digest_start(&digest);
    gr_digest_add(&digest, form, sizeof form);
    gr_digest_add(&digest, c->name, strlen(c->name) + 1);
    if (c->range_count > 0) gr_digest_add(&digest, c->range, c->range_count * sizeof *c->range);
    for (unsigned i = 0; i < n; i++)
        gr_digest_add(&digest, c->categories[i], strlen(c->categories[i]) + 1);
    if (c->origin < 0 || c->origin > 0) gr_digest_add(&digest, &c->origin, sizeof c->origin);
    if (c->type == GR_COLUMN_DATE || c->type == GR_COLUMN_DATETIME) {
        const uint32_t unit = c->in;
        gr_digest_add(&digest, &unit, sizeof unit);
        gr_digest_add(&digest, c->since, strlen(c->since) + 1);
    }
    gr_digest_finish(&digest, bytes);
    memcpy(&number, bytes, sizeof number);
    return (int64_t)(number >> 2);
}

/* A silo of this rank that has rows, for the message. */
static const char *who(const struct gr_data *data) {
    for (size_t i = 0; i < data->n_local; i++)
        if (data->local[i].unusable == GR_OK) return data->local[i].pseudonym;
    return "test table";
}

/*
 * Says which column, and not how: the other silo's columns are not known here, only their digest.
 */
static gr_status differ(const struct gr_cohort *cohort, size_t column) {
    return gr_fail(GR_ERROR_DATA,
                   "%s: column %zu: its name, type or categories are not those of another silo; "
                   "%s",
                   who(cohort->data), column + 1,
                   cohort->config->data.schema[0]
                       ? "data.schema says which they are to be"
                       : "without data.schema each silo guesses them by its own rows: `granary "
                         "init` writes a schema for all");
}

/*
 * Collective. Column by column all that have some bring the same digest, or the lesser is refused:
 * a rank whose digest is not the maximum differs from somebody. AT_ONCE columns at a time bound the
 * room on the stack. The digest of all maxima is the same on all ranks, and goes into the
 * fingerprints.
 */
static gr_status compare_columns(struct gr_cohort *cohort, size_t n) {
    const struct gr_data *data = cohort->data;
    gr_status status = GR_OK, mine = GR_OK;
    struct gr_digest digest;
    gr_digest_start(&digest);
    for (size_t first = 0; first < n; first += AT_ONCE) {
        int64_t most[AT_ONCE], own[AT_ONCE];
        size_t count = n - first < AT_ONCE ? n - first : AT_ONCE;
        for (size_t i = 0; i < count; i++)
            most[i] = own[i] =
                data->columns ? digest_column(&data->columns->schema->columns[first + i]) : NOBODY;
        GR_TRY(gr_release_max(cohort->door, GR_RELEASE_COLUMN_DIGESTS, most, count));
        gr_digest_add(&digest, most, count * sizeof *most);
        for (size_t i = 0; i < count && mine == GR_OK; i++)
            if (own[i] != NOBODY && own[i] != most[i]) mine = differ(cohort, first + i);
    }
    gr_digest_finish(&digest, cohort->columns_digest);
    status = gr_comm_agree(cohort->comm, mine);
out:
    return status;
}

/* A silo whose columns were found to be wrong as it was read ends the run before it begins. */
static gr_status refuse_misfits(const struct gr_cohort *cohort) {
    for (size_t i = 0; i < cohort->data->n_local; i++)
        if (cohort->data->local[i].misfit) return gr_unusable_fail(cohort, &cohort->data->local[i]);
    return GR_OK;
}

/* Misfits, the number of columns, then the columns themselves: each is agreed on before the next,
 * as the next one's loop runs as often as the number says. */
gr_status gr_contract_check(struct gr_cohort *cohort) {
    const struct gr_data *data = cohort->data;
    gr_status status, mine = GR_OK;
    GR_TRY(gr_comm_agree(cohort->comm, refuse_misfits(cohort)));
    int64_t own = NOBODY, most;
    if (data->columns) own = data->columns->schema->columns_count;
    most = own;
    GR_TRY(gr_release_max(cohort->door, GR_RELEASE_SHAPE, &most, 1));
    if (own != NOBODY && own != most)
        mine =
            gr_fail(GR_ERROR_DATA,
                    "%s: found %lld columns, another silo has %lld; with a data.schema it is said "
                    "whose are wrong",
                    who(data), (long long)own, (long long)most);
    else if (own == NOBODY && most != NOBODY && data->n_features > 0)
        mine = gr_fail(GR_ERROR_DATA, "%s: its table names no columns, those of other silos do",
                       who(data));
    GR_TRY(gr_comm_agree(cohort->comm, mine));
    if (most != NOBODY) status = compare_columns(cohort, (size_t)most);
out:
    return status;
}

/* ---- findings ------------------------------------------------------------------------------- */

enum { FOUND_WORDS = sizeof(struct gr_found) / sizeof(int64_t) };
_Static_assert(sizeof(struct gr_found) == 7 * sizeof(int64_t), "found is seven int64_t");

/* In how many values a finding was not made: a small rest tells of few persons as a small count
 * does. `present` is a number of rows, and nobody's. */
static struct gr_found rest_of(const struct gr_found *found) {
    struct gr_found rest = {.missing = found->present, .dropped = found->present};
    rest.outside = found->present - found->outside;
    rest.unknown = found->present - found->unknown;
    rest.censored = found->present - found->censored;
    rest.lost = found->present - found->lost;
    return rest;
}

/* Collective. counts: of this rank's silos, one struct gr_found for each silo and column, taken as
 * an array of integers (the assertion above). */
static gr_status release_found(struct gr_cohort *cohort, size_t n) {
    const struct gr_data *data = cohort->data;
    const size_t all = data->columns ? data->n_local * n : 0;
    struct gr_found *counts = NULL, *rests = NULL;
    gr_status status, mine = gr_allocate_zero(all, sizeof *counts, "findings", &counts);
    if (mine == GR_OK) mine = gr_allocate_zero(all, sizeof *rests, "findings", &rests);
    GR_TRY(gr_comm_agree(cohort->comm, mine));
    for (size_t i = 0; counts && rests && i < all; i++) {
        counts[i] = data->found[i];
        rests[i] = rest_of(&counts[i]);
        counts[i].present = 0;
    }
    status = gr_release_counts(cohort->door, GR_RELEASE_FINDINGS, (const int64_t *)counts,
                               (const int64_t *)rests, all > 0 ? data->n_local : 0, n * FOUND_WORDS,
                               &cohort->found->missing);
out:
    gr_free(rests);
    gr_free(counts);
    return status;
}

/* Collective. A rank without columns brings zeros for as many columns as the others have. */
static gr_status sum_found(struct gr_cohort *cohort) {
    int64_t n = cohort->data->columns ? cohort->data->columns->schema->columns_count : 0;
    gr_status status;
    GR_TRY(gr_comm_max_public(cohort->comm, &n, 1));
    /* The findings, and behind them the rests. */
    GR_TRY(gr_comm_agree(cohort->comm, gr_allocate_zero(2 * (size_t)n, sizeof *cohort->found,
                                                        "findings", &cohort->found)));
    status = release_found(cohort, (size_t)n);
out:
    return status;
}

gr_status gr_contract_sum_found(struct gr_cohort *cohort) {
    gr_status status = GR_OK;
    if (gr_counts_are_due(cohort) && gr_release_leaves(GR_RELEASE_FINDINGS, cohort->config))
        GR_TRY(sum_found(cohort));
    if (!gr_release_leaves(GR_RELEASE_PASSED_OVER, cohort->config)) return GR_OK;
    cohort->passed_over = cohort->data->passed_over;
    status = gr_release_max(cohort->door, GR_RELEASE_PASSED_OVER, &cohort->passed_over.sep_line,
                            sizeof cohort->passed_over / sizeof(int64_t));
out:
    return status;
}

/*
 * "12 missing"; nothing for none. Withheld: "some", or of a table that all read, whose counts are
 * withheld below the threshold and never else, "fewer than 10". `out` holds all kinds: 512 bytes.
 */
static void add_count(const struct gr_cohort *cohort, char *out, size_t size, int64_t count,
                      const char *what) {
    const size_t used = strlen(out);
    const char *comma = used ? "," : "", *all_but = count == GR_RELEASE_MOST ? "all but " : "";
    if (count == 0) return;
    if (count > 0)
        snprintf(out + used, size - used, "%s %lld %s", comma, (long long)count, what);
    else if (gr_policy_holds(cohort->config))
        snprintf(out + used, size - used, "%s %ssome %s", comma, all_but, what);
    else
        snprintf(out + used, size - used, "%s %sfewer than %u %s", comma, all_but,
                 cohort->config->data.disclosure_threshold, what);
}

/* Words of a column's findings; *words NULL: nothing was found. Caller: gr_free. */
gr_status gr_cohort_tell_found(const struct gr_cohort *cohort, size_t column, char **words) {
    const struct gr_columns *columns = cohort->data->columns;
    char counts[512] = "", name[64];
    *words = NULL;
    if (!columns || !cohort->found) return GR_OK;
    const struct gr_found *found = &cohort->found[column],
                          *rest = &cohort->found[columns->schema->columns_count + column];
    const struct {
        int64_t count;
        const char *what;
    } kinds[] = {
        {found->missing, "missing"},
        {found->outside, "outside of the range"},
        {found->unknown, "of no known category"},
        {found->censored, "censored at a bound"},
        {found->lost, "beyond the digits of float32 (`origin`, or of dates `since`, keeps them)"},
        {found->dropped, "rows left out without it"}};
    const char *text = columns->schema->columns[column].name;
    gr_text_quote(text, strlen(text), name, sizeof name);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        add_count(cohort, counts, sizeof counts, kinds[i].count, kinds[i].what);
    if (rest->missing == 0 && found->missing > 0)
        snprintf(counts + strlen(counts), sizeof counts - strlen(counts), ", no row has a value");
    return counts[0] ? gr_text_format(words, "data: %s:%s", name, counts) : GR_OK;
}

gr_status gr_cohort_tell_weights(const struct gr_cohort *cohort, char **words) {
    char counts[160] = "";
    *words = NULL;
    add_count(cohort, counts, sizeof counts, cohort->terms.lost,
              "above 0 but below 2^-25 of the largest, and taken as 0");
    return counts[0] ? gr_text_format(words, "data: weights:%s", counts) : GR_OK;
}

gr_status gr_cohort_tell_passed_over(const struct gr_cohort *cohort, char **words) {
    const struct gr_passed_over *p = &cohort->passed_over;
    const int64_t there[] = {p->sep_line, p->comments, p->row_names, p->empty_columns};
    static const char *const what[] = {"a line \"sep=\"", "comment lines",
                                       "a first column without a name (names of rows)",
                                       "empty last columns"};
    char list[256] = "";
    *words = NULL;
    for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
        const size_t used = strlen(list);
        if (there[i]) snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", what[i]);
    }
    return list[0] ? gr_text_format(words, "data: passed over in CSV files: %s", list) : GR_OK;
}

size_t gr_cohort_columns(const struct gr_cohort *cohort) {
    return cohort->data->columns ? cohort->data->columns->schema->columns_count : 0;
}
