/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guessing the columns of CSV files: the files read twice, and the whole put together. The first
 * reading counts forms of cells, from which follows how numbers are written; the second reads the
 * numbers by those rules. The type that follows from the counts is decided in infer_*.c. All tables
 * must have one header: a guess is of one schema for all silos.
 */
#include "data/csv_table.h"
#include "data/infer.h"

#include <stdio.h>
#include <string.h>

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Told of each row. */
typedef gr_status (*row_taker)(struct gr_infer_state *state, const struct gr_csv_scan *scan,
                               size_t table);

/* The names are taken over, their places set to NULL; the other arrays are of the number of columns
 * or tables, known from here on. */
static gr_status take_names(struct gr_infer_state *state, char **names, size_t n) {
    struct gr_schema *schema = state->result->schema;
    gr_status status;
    GR_TRY(gr_allocate_zero(n, sizeof *schema->columns, "a schema", &schema->columns));
    GR_TRY(gr_allocate_zero(n, sizeof *state->column, "columns", &state->column));
    GR_TRY(gr_allocate_zero(n, sizeof *state->result->guesses, "columns", &state->result->guesses));
    state->result->n_columns = n;
    const size_t tables = state->options->n_paths;
    GR_TRY(gr_allocate_zero(tables, sizeof *state->first_line, "tables", &state->first_line));
    GR_TRY(gr_allocate_zero(tables, sizeof *state->has_units, "tables", &state->has_units));
    schema->columns_count = (unsigned)n;
    state->n = n;
    for (size_t i = 0; i < n; i++) {
        struct gr_column *c = &schema->columns[i];
        c->name = names[i];
        names[i] = NULL;
        c->scale = GR_SCALE_DEFAULT;
        GR_TRY(gr_text_format(&c->unit, "%s", ""));
        GR_TRY(gr_text_format(&c->since, "%s", ""));
        state->column[i].column = c;
        state->column[i].guess = &state->result->guesses[i];
        GR_TRY(gr_allocate_zero(tables, sizeof *state->column[i].first, "tables",
                                &state->column[i].first));
    }
out:
    return status;
}

/* Names are not told: without a header they may be cells. */
static gr_status check_names(const struct gr_infer_state *state, const char *path, char **names,
                             size_t n) {
    const struct gr_schema *schema = state->result->schema;
    if (n != state->n)
        return gr_fail(GR_ERROR_DATA, "%s: found %zu columns, expected %zu as in %s", path, n,
                       state->n, state->options->paths[0]);
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], schema->columns[i].name) != 0)
            return gr_fail(GR_ERROR_DATA, "%s: column %zu: its name is another than in %s", path,
                           i + 1, state->options->paths[0]);
    return GR_OK;
}

/* A wrong number of fields is refused, not passed over: a guess from half-read rows would be wrong
 * in silence. */
static gr_status read_rows(struct gr_infer_state *state, struct gr_csv_scan *scan, size_t table,
                           row_taker take) {
    const size_t limit = state->options->limit ? state->options->limit : SIZE_MAX;
    gr_status status = GR_OK;
    bool more;
    size_t n = 0;
    for (; n < limit; n++) {
        GR_TRY(gr_csv_scan_next(scan, &more));
        if (!more) break;
        if (scan->n_fields != state->n) {
            status = gr_fail(GR_ERROR_DATA, "%s:%zu: found %zu fields, expected %zu", scan->path,
                             scan->row_line, scan->n_fields, state->n);
            goto out;
        }
        GR_TRY(take(state, scan, table));
    }
    if (n == 0)
        status =
            gr_fail(GR_ERROR_DATA, "%s: a header and no rows, expected at least one", scan->path);
out:
    return status;
}

static gr_status tell_form(struct gr_infer_state *state, const struct gr_csv_form *form) {
    char line[GR_FORM_LINE];
    gr_csv_form_tell(form, line);
    return line[0] ? gr_infer_tell(&state->result->notes, "%s\n", line) : GR_OK;
}

static gr_status read_table(struct gr_infer_state *state, size_t table, row_taker take) {
    const char *path = state->options->paths[table];
    struct gr_csv_scan scan = {0};
    char **names = NULL;
    size_t n = 0;
    gr_status status;
    GR_TRY(gr_csv_scan_open(path, state->options->csv, &scan));
    GR_TRY(gr_csv_names(&scan, state->options->csv->header, &names, &n));
    if (state->n == 0) {
        GR_TRY(take_names(state, names, n));
        GR_TRY(tell_form(state, &scan.form));
    } else
        GR_TRY(check_names(state, path, names, n));
    status = read_rows(state, &scan, table, take);
out:
    gr_csv_names_free(names, n);
    gr_csv_scan_close(&scan);
    return status;
}

static gr_status read_tables(struct gr_infer_state *state, row_taker take) {
    gr_status status = GR_OK;
    for (size_t i = 0; i < state->options->n_paths; i++)
        GR_TRY(read_table(state, i, take));
out:
    return status;
}

/* ---- rows -------------------------------------------------------------------------------------
 */

/* Each table's first row is kept apart until it is known whether it holds units. */
static gr_status accumulator_row(struct gr_infer_state *state, const struct gr_csv_scan *scan,
                                 size_t table) {
    const bool first = state->first_line[table] == 0;
    gr_status status = GR_OK;
    state->result->n_rows++;
    if (first) state->first_line[table] = scan->row_line;
    for (size_t i = 0; i < state->n; i++) {
        struct gr_inferred *c = &state->column[i];
        const char *text = scan->fields[i].text;
        size_t length = scan->fields[i].length;
        gr_cell_trim(&text, &length);
        if (first) {
            gr_infer_statistics_restart(&c->accumulator);
            GR_TRY(gr_text_format(&c->first[table], "%.*s", (int)length, text));
        } else
            GR_TRY(gr_infer_statistics_add(&c->accumulator, text, length, scan->row_line));
        if (c->accumulator.not_utf8 || (first && !gr_text_is_utf8(text, length))) {
            status = gr_fail(GR_ERROR_DATA,
                             "%s:%zu: column %zu: found bytes that are not UTF-8, expected UTF-8 "
                             "text; if it is Latin-1, as of Excel: " GR_LATIN1_WORDS,
                             scan->path, scan->row_line, i + 1);
            goto out;
        }
    }
out:
    return status;
}

/* Each value is a silo, of which there may be more than there are categories in any column. A name
 * that is too long is refused when the table is loaded. */
static gr_status count_group(struct gr_infer_state *state, const char *text, size_t length) {
    struct gr_infer_form form;
    uint32_t number;
    gr_infer_form_of(text, length, &form);
    if (form.kind == GR_FORM_MISSING || state->groups.n > GR_SILO_GROUPS_MAX) return GR_OK;
    if (length > GR_GROUP_NAME_MAX) length = GR_GROUP_NAME_MAX;
    return gr_groups_find(&state->groups, text, length, &number);
}

/* Lines of units are left out, as they were taken out of the count. */
static gr_status read_values(struct gr_infer_state *state, const struct gr_csv_scan *scan,
                             size_t table) {
    gr_status status = GR_OK;
    if (state->has_units[table] && scan->row_line == state->first_line[table]) return GR_OK;
    for (size_t i = 0; i < state->n; i++) {
        struct gr_inferred *c = &state->column[i];
        const bool group = strcmp(c->column->name, state->options->group) == 0;
        if (!group && c->decision.seems != GR_SEEMS_NUMBER) continue;
        const char *text = scan->fields[i].text;
        size_t length = scan->fields[i].length;
        gr_cell_trim(&text, &length);
        if (group) GR_TRY(count_group(state, text, length));
        if (c->decision.seems == GR_SEEMS_NUMBER)
            gr_infer_values_add(&c->values, text, length, table, scan->row_line);
    }
out:
    return status;
}

/* ---- how columns are written ------------------------------------------------------------------
 */

/* A single column of commas decides for the others: whether "1,234" is a thousand or one and a
 * quarter cannot be told from a single column. */
static void decide(struct gr_infer_state *state) {
    bool comma = false;
    for (size_t i = 0; i < state->n; i++)
        comma = comma || gr_infer_decide_is_comma(&state->column[i].accumulator);
    for (size_t i = 0; i < state->n; i++)
        gr_infer_decide(&state->column[i].accumulator, state->options->threshold, comma,
                        &state->column[i].decision);
}

/* A row behind the header with a word in every column of numbers, where it has anything there. Two
 * words at least: a single word may be a missing value. */
static bool holds_units(const struct gr_infer_state *state, size_t table) {
    struct gr_infer_form form;
    size_t words = 0;
    for (size_t i = 0; i < state->n; i++) {
        const struct gr_inferred *c = &state->column[i];
        if (c->decision.seems != GR_SEEMS_NUMBER || c->accumulator.n_word > 0) continue;
        gr_infer_form_of(c->first[table], strlen(c->first[table]), &form);
        if (form.kind == GR_FORM_NUMBER || form.kind == GR_FORM_CENSORED) return false;
        words += form.kind == GR_FORM_WORD;
    }
    return words >= 2;
}

/* The column's unit is the first table's that tells one; another one elsewhere is a doubt. */
static gr_status take_unit(struct gr_infer_state *state, struct gr_inferred *c, size_t table) {
    char *const found = c->first[table], *const before = c->column->unit;
    if (c->decision.seems != GR_SEEMS_NUMBER || strlen(found) > GR_AFFIX_BYTES || !found[0])
        return GR_OK;
    if (before[0] && strcmp(before, found) != 0)
        return gr_infer_tell(&state->result->notes, "%s: another unit in table %zu than before\n",
                             c->column->name, table + 1);
    c->column->unit = found;
    c->first[table] = before;
    return GR_OK;
}

static gr_status take_units(struct gr_infer_state *state, size_t table) {
    struct gr_inference *result = state->result;
    gr_status status = GR_OK;
    if (result->n_units++ == 0) {
        result->units_table = table;
        result->units_line = state->first_line[table];
    }
    state->has_units[table] = true;
    result->n_rows--;
    for (size_t i = 0; i < state->n; i++)
        GR_TRY(take_unit(state, &state->column[i], table));
out:
    return status;
}

static gr_status tell_units(struct gr_infer_state *state) {
    struct gr_inference *result = state->result;
    char more[64] = "";
    if (result->n_units == 0) return GR_OK;
    if (state->options->n_paths > 1)
        snprintf(more, sizeof more, " of table %zu", result->units_table + 1);
    if (result->n_units > 1)
        snprintf(more + strlen(more), sizeof more - strlen(more), ", as in %zu more,",
                 result->n_units - 1);
    return gr_infer_tell(
        &result->notes,
        "line %zu%s seems to hold units, no values: take it out of the table; until then "
        "it is refused\n",
        result->units_line, more);
}

/* A first row is one like the others, or holds units. */
static gr_status settle_first(struct gr_infer_state *state) {
    const size_t tables = state->options->n_paths;
    gr_status status = GR_OK;
    decide(state);
    const bool others = state->result->n_rows > tables;
    for (size_t t = 0; t < tables && others; t++)
        if (holds_units(state, t)) GR_TRY(take_units(state, t));
    GR_TRY(tell_units(state));
    for (size_t i = 0; i < state->n; i++) {
        struct gr_inferred *c = &state->column[i];
        for (size_t t = 0; t < tables; t++) {
            if (state->has_units[t]) continue;
            gr_infer_statistics_restart(&c->accumulator);
            GR_TRY(gr_infer_statistics_add(&c->accumulator, c->first[t], strlen(c->first[t]),
                                           state->first_line[t]));
        }
    }
    decide(state);
out:
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static gr_status conclude(struct gr_infer_state *state, struct gr_inferred *c) {
    const char *name = c->column->name;
    if (strcmp(name, state->options->group) == 0) return gr_infer_group(state, c);
    if (strcmp(name, state->options->csv->label) == 0) return gr_infer_label(state, c);
    return gr_infer_column(state, c);
}

/* Empty texts are added so that none of them is NULL for the reader. */
static gr_status conclude_all(struct gr_infer_state *state) {
    gr_status status = GR_OK;
    for (size_t i = 0; i < state->n; i++) {
        struct gr_guess *guess = state->column[i].guess;
        GR_TRY(conclude(state, &state->column[i]));
        GR_TRY(gr_infer_tell(&guess->taken, "%s", ""));
        GR_TRY(gr_infer_tell(&guess->doubts, "%s", ""));
    }
    status = gr_infer_tell(&state->result->notes, "%s", "");
out:
    return status;
}

static void release(struct gr_infer_state *state) {
    for (size_t i = 0; i < state->n; i++) {
        struct gr_inferred *c = &state->column[i];
        gr_infer_statistics_release(&c->accumulator);
        gr_cell_rules_release(&c->values.rules);
        gr_free(c->reading);
        for (size_t t = 0; t < state->options->n_paths && c->first; t++)
            gr_free(c->first[t]);
        gr_free(c->first);
    }
    gr_groups_release(&state->groups);
    gr_free(state->column);
    gr_free(state->first_line);
    gr_free(state->has_units);
}

/*
 * The order matters: rules of a column need its decision, the second reading needs the rules, and
 * types need the values. Columns asked for by name are looked for before the second reading, so
 * that a slip costs half.
 */
static gr_status infer(struct gr_infer_state *state) {
    gr_status status;
    GR_TRY(gr_allocate_zero(1, sizeof *state->result->schema, "a schema", &state->result->schema));
    GR_TRY(read_tables(state, accumulator_row));
    GR_TRY(settle_first(state));
    GR_TRY(gr_infer_check_header(state));
    GR_TRY(gr_infer_check_names(state));
    for (size_t i = 0; i < state->n; i++)
        GR_TRY(gr_infer_rules(state, &state->column[i]));
    GR_TRY(read_tables(state, read_values));
    GR_TRY(conclude_all(state));
    if (state->options->federated) gr_infer_loosen(state->result->schema);
out:
    return status;
}

gr_status gr_csv_infer(const struct gr_infer_options *options, struct gr_inference **out) {
    struct gr_infer_state state = {.options = options};
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *state.result, "a guess", &state.result));
    GR_TRY(infer(&state));
    *out = state.result;
    state.result = NULL;
out:
    release(&state);
    gr_inference_free(state.result);
    return status;
}

void gr_inference_free(struct gr_inference *inference) {
    if (!inference) return;
    for (size_t i = 0; i < inference->n_columns; i++) {
        gr_free(inference->guesses[i].taken);
        gr_free(inference->guesses[i].doubts);
    }
    gr_free(inference->guesses);
    gr_free(inference->notes);
    gr_schema_free(inference->schema);
    gr_free(inference);
}
