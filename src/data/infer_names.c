/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns asked for by name that are not there, and those that may have been meant; and files whose
 * first row is data. Names are told only where `names_told`: a file without a header has cells in
 * their place.
 */
#include "data/csv_cell.h"
#include "data/infer.h"

#include <string.h>
#include <strings.h>

enum { NAMES_TOLD = 5, SAID_IN = 20 };

static bool is_there(const struct gr_infer_state *state, const char *name) {
    for (size_t i = 0; i < state->n; i++)
        if (strcmp(state->column[i].column->name, name) == 0) return true;
    return false;
}

/* Names that labels often have. */
static bool sounds_like_label(const char *name) {
    static const char *const words[] = {
        "label",    "class",       "target", "outcome",  "died",       "dead",      "death",
        "died30d",  "y",           "status", "result",   "event",      "diagnosis", "response",
        "survived", "survival",    "churn",  "default",  "readmitted", "income",    "mortality",
        "disease",  "score",       "price",  "severity", "risk",       "type",      "quality",
        "deposit",  "credit_risk", "num",    "species"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(words[i], name) == 0) return true;
    return false;
}

/* The columns that may be the label: by their names, of two values, the last. From the last column
 * on, where labels mostly stand. */
static gr_status name_likely(const struct gr_infer_state *state, char **out) {
    char name[64];
    unsigned told = 0;
    gr_status status = GR_OK;
    for (int rank = 0; rank < 3 && told < NAMES_TOLD; rank++)
        for (size_t i = state->n; i-- > 0 && told < NAMES_TOLD;) {
            const struct gr_inferred *c = &state->column[i];
            const bool named = sounds_like_label(c->column->name),
                       two = gr_infer_statistics_different(&c->accumulator) == 2,
                       last = i + 1 == state->n;
            const int own = named ? 0 : two ? 1 : last ? 2 : 3;
            if (own != rank || strcmp(c->column->name, state->options->group) == 0) continue;
            gr_text_quote(c->column->name, strlen(c->column->name), name, sizeof name);
            GR_TRY(gr_infer_tell(out, "%s%s", told++ ? ", " : "", name));
        }
out:
    return status;
}

/* By edits first, then by letters regardless of case. */
static gr_status nearest(const struct gr_infer_state *state, const char *word, char *out,
                         size_t size) {
    const char **names = NULL;
    gr_status status;
    out[0] = '\0';
    GR_TRY(gr_allocate(state->n, sizeof *names, "names", &names));
    for (size_t i = 0; i < state->n; i++)
        names[i] = state->column[i].column->name;
    const char *found = gr_text_nearest(word, names, state->n);
    for (size_t i = 0; i < state->n && !found; i++)
        if (strcasecmp(names[i], word) == 0) found = names[i];
    if (found) gr_text_quote(found, strlen(found), out, size);
out:
    gr_free(names);
    return status;
}

static gr_status refuse(const struct gr_infer_state *state, const char *name, const char *role) {
    const struct gr_infer_options *options = state->options;
    char quoted[80], near[80];
    char *likely = NULL;
    const bool label = strcmp(role, "labels") == 0;
    gr_status status;
    GR_TRY(nearest(state, name, near, sizeof near));
    if (label) GR_TRY(name_likely(state, &likely));
    gr_text_quote(name, strlen(name), quoted, sizeof quoted);
    const bool tells = options->names_told;
    status =
        gr_fail(GR_ERROR_DATA, "%s: has no column \"%s\" of %s%s%s%s%s%s%s%s", options->paths[0],
                quoted, role, tells && *near ? "; nearest is \"" : "", tells ? near : "",
                tells && *near ? "\"" : "", tells && likely ? "; likely are: " : "",
                tells && likely ? likely : "", label ? ": data.csv.label or --label names it" : "",
                label && options->federated ? ", data.schema has one of type label or target" : "");
out:
    gr_free(likely);
    return status;
}

/* A guess for `granary init` goes on without a label, with a note; a run does not. */
gr_status gr_infer_check_names(struct gr_infer_state *state) {
    const struct gr_infer_options *options = state->options;
    const char *label = options->csv->label, *group = options->group;
    char *likely = NULL;
    gr_status status = GR_OK;
    if (group[0] && !is_there(state, group)) return refuse(state, group, "groups");
    if (is_there(state, label)) return GR_OK;
    if (!options->unlabelled) return refuse(state, label, "labels");
    GR_TRY(name_likely(state, &likely));
    status = gr_infer_tell(&state->result->notes,
                           GR_NO_LABEL ": --label NAME, or `type: label` (classes) or `type: "
                                       "target` (a number); likely are: %s\n",
                           likely ? likely : "none");
out:
    gr_free(likely);
    return status;
}

/* ---- a first row that is none of names --------------------------------------------------------
 */

/* Whether the name is what many rows say: one of 20, since headers may stand twice in a file. */
static bool is_said_by_rows(const struct gr_inferred *c) {
    const struct gr_infer_words *words = &c->accumulator.words;
    if (c->decision.seems != GR_SEEMS_WORDS) return false;
    for (size_t i = 0; i < words->n; i++)
        if (strcmp(gr_infer_words_text(words, i), c->column->name) == 0)
            return words->word[i].count > 1 &&
                   SAID_IN * words->word[i].count >= gr_infer_statistics_values(&c->accumulator);
    return false;
}

/* Numbers over numbers; years and wavelengths ascend, values of a row do not. */
static bool are_numbers(const struct gr_infer_state *state) {
    double value, last = 0;
    float nearest;
    size_t n = 0;
    bool ascend = true;
    for (size_t i = 0; i < state->n; i++) {
        const struct gr_inferred *c = &state->column[i];
        const char *name = c->column->name;
        if (c->decision.seems != GR_SEEMS_NUMBER ||
            !gr_csv_is_number(gr_csv_number(name, strlen(name), &value, &nearest)))
            continue;
        ascend = ascend && (n == 0 || value > last);
        last = value;
        n++;
    }
    return n > 1 && 2 * n >= state->n && !ascend;
}

/* Only where a header is said to be there. */
gr_status gr_infer_check_header(const struct gr_infer_state *state) {
    bool data = are_numbers(state);
    if (!state->options->csv->header) return GR_OK;
    for (size_t i = 0; i < state->n && !data; i++)
        data = is_said_by_rows(&state->column[i]);
    if (!data) return GR_OK;
    return gr_fail(GR_ERROR_DATA,
                   "%s: the first row seems to be data and no names of columns: `header: false` "
                   "(--no-header) calls them column1, column2..., or put a row of names above it",
                   state->options->paths[0]);
}
