/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/privacy_answers.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

double gr_rounded_down(double x) {
    return floor(x * 1e4) / 1e4;
}

double gr_rounded_up(double x) {
    return ceil(x * 1e4) / 1e4;
}

void gr_print_epsilon(const struct gr_epsilon *epsilon) {
    if (isinf(epsilon->upper))
        printf("no epsilon, for delta is used up,");
    else if (epsilon->exact)
        printf("epsilon %.4f", gr_rounded_up(epsilon->upper));
    else
        printf("epsilon %.4f to %.4f", gr_rounded_down(epsilon->lower),
               gr_rounded_up(epsilon->upper));
}

/* What a ledger comes to. */
struct spent {
    const struct gr_ledger_entry *entries; /* borrowed, as changes are */
    size_t n;
    const struct gr_ledger_change *changes;
    size_t n_changes;
    struct gr_head head;
    enum gr_protected_unit unit; /* the finest of all: what hides a coarser one counts for it */
    enum gr_adjacency adjacency;
    double delta;
    struct gr_epsilon epsilon;
};

/* The adjacency of all entries, or of mixed ones the one that asks most of the accountant. */
static void find_promise(struct spent *spent) {
    spent->unit = spent->n > 0 ? GR_UNIT_SILO : GR_UNIT_ROW;
    for (size_t i = 0; i < spent->n; i++) {
        if (spent->entries[i].unit < spent->unit) spent->unit = spent->entries[i].unit;
        if (spent->entries[i].adjacency > spent->adjacency)
            spent->adjacency = spent->entries[i].adjacency;
    }
}

static void print_entry(const struct gr_ledger_entry *entry) {
    char what[32];
    const struct gr_privacy_event *event = &entry->event;
    snprintf(what, sizeof what, "%s %u", gr_noised_release_word(entry->release), entry->round);
    if (entry->round == 0)
        snprintf(what, sizeof what, "%s", gr_noised_release_word(entry->release));
    printf("%-20s  %-12.12s  %-12s  %-6s  %-10s  z %-8.5g q %-10.5g %8llu steps", entry->time,
           entry->run, what, gr_protected_unit_word(entry->unit),
           gr_adjacency_word(entry->adjacency), event->noise_multiplier, event->sampling,
           (unsigned long long)event->count);
    if (entry->correlation != GR_CORRELATION_NONE)
        printf("  %s, %u %s", gr_correlation_word(entry->correlation), entry->bands,
               entry->correlation == GR_CORRELATION_BLT ? "buffers" : "bands");
    putchar('\n');
}

static void print_change(const struct gr_ledger_change *change) {
    static const char *const meaning[] = {
        [GR_TABLE_BEGUN] = "the ledger is of this table",
        [GR_TABLE_GROWN] = "rows were added, for which all of the above counts too",
        [GR_TABLE_DEALT] = "other ones of its rows are held out",
        [GR_TABLE_ADOPTED] = "the ledger is of another table, for which all of the above counts"};
    printf("%-20s  table %s: %s\n", change->time, gr_table_change_word(change->change),
           meaning[change->change]);
}

static void print_spent(const struct spent *spent) {
    for (size_t i = 0, c = 0; i < spent->n || c < spent->n_changes;)
        if (c < spent->n_changes &&
            (i == spent->n || spent->changes[c].head.n < spent->entries[i].head.n))
            print_change(&spent->changes[c++]);
        else
            print_entry(&spent->entries[i++]);
    if (spent->n > 0) putchar('\n');
    printf("%zu entries, whole; head %.16s\n", spent->n, spent->head.hash);
    printf("spent on each %s: ", gr_protected_unit_word(spent->unit));
    gr_print_epsilon(&spent->epsilon);
    printf(" for delta %g, %s\n", spent->delta, gr_adjacency_word(spent->adjacency));
}

static bool add_entry(json_t *list, const struct gr_ledger_entry *entry) {
    char binding[GR_DIGEST_HEX];
    const struct gr_privacy_event *event = &entry->event;
    gr_digest_hex(entry->binding, binding);
    return json_array_append_new(
               list,
               json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:f, s:f, s:I, s:f, s:s, s:I, s:s}",
                         "time", entry->time, "run", entry->run, "release",
                         gr_noised_release_word(entry->release), "round", (json_int_t)entry->round,
                         "unit", gr_protected_unit_word(entry->unit), "adjacency",
                         gr_adjacency_word(entry->adjacency), "mechanism",
                         gr_mechanism_word(entry->mechanism), "noise_multiplier",
                         event->noise_multiplier, "sampling", event->sampling, "count",
                         (json_int_t)event->count, "delta_added", event->delta_added, "correlation",
                         gr_correlation_word(entry->correlation), "bands", (json_int_t)entry->bands,
                         "binding", binding)) == 0;
}

static bool add_change(json_t *list, const struct gr_ledger_change *change) {
    char rows[GR_DIGEST_HEX];
    gr_digest_hex(change->rows, rows);
    return json_array_append_new(list,
                                 json_pack("{s:s, s:s, s:s, s:I}", "time", change->time, "table",
                                           gr_table_change_word(change->change), "rows", rows,
                                           "line", (json_int_t)change->head.n)) == 0;
}

static gr_status print_json(const struct spent *spent) {
    const struct gr_epsilon *epsilon = &spent->epsilon;
    json_t *list = json_array(), *tables = json_array();
    bool bad = !list || !tables;
    for (size_t i = 0; i < spent->n_changes && !bad; i++)
        bad = !add_change(tables, &spent->changes[i]);
    for (size_t i = 0; i < spent->n && !bad; i++)
        bad = !add_entry(list, &spent->entries[i]);
    /* A number that is infinite is null. */
    json_t *all =
        bad ? NULL
            : json_pack("{s:O, s:O, s:s, s:s, s:s, s:f, s:o?, s:o?, s:o?, s:b}", "entries", list,
                        "tables", tables, "head", spent->head.hash, "unit",
                        gr_protected_unit_word(spent->unit), "adjacency",
                        gr_adjacency_word(spent->adjacency), "delta", spent->delta, "epsilon_lower",
                        json_real(epsilon->lower), "epsilon_upper", json_real(epsilon->upper),
                        "epsilon_renyi", json_real(epsilon->renyi), "exact", epsilon->exact);
    char *text = all ? json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    if (text) puts(text);
    bad = !text;
    free(text);
    json_decref(all);
    json_decref(list);
    json_decref(tables);
    return bad ? gr_fail(GR_ERROR_INTERNAL, "memory for an answer was refused") : GR_OK;
}

gr_status gr_tell_privacy_spent(const struct gr_spent_question *question) {
    gr_status status;
    struct gr_ledger *ledger = NULL;
    struct gr_privacy_event events[GR_LEDGER_KINDS_MAX];
    struct gr_privacy_history history;
    struct spent spent = {.delta = question->delta};
    GR_TRY(gr_ledger_read(question->path, &ledger));
    spent.entries = gr_ledger_entries(ledger, &spent.n);
    spent.changes = gr_ledger_changes(ledger, &spent.n_changes);
    spent.head = gr_ledger_head(ledger);
    find_promise(&spent);
    if (question->adjacency) spent.adjacency = *question->adjacency;
    GR_TRY(gr_ledger_history(ledger, spent.unit, spent.adjacency, events, &history));
    GR_TRY(gr_accounting_epsilon(&history, spent.delta, &spent.epsilon));
    if (question->json)
        status = print_json(&spent);
    else
        print_spent(&spent);
out:
    gr_ledger_close(ledger);
    return status;
}

gr_status gr_adopt_table(const char *path, const unsigned char rows[GR_DIGEST_BYTES]) {
    const gr_status status = gr_ledger_adopt(path, rows);
    if (status == GR_OK)
        printf("%s: is of that table from now on; all that was spent counts for all of its rows\n",
               gr_path_shown(path));
    return status;
}
