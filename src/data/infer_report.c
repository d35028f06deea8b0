/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guess in words, for the person whose table it is. Two texts for each column: `taken`, a line
 * that says its type, and `doubts`, lines to look at. Cells are named by line; texts only where
 * infer.h's rule lets them be told.
 */
#include "data/infer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* As far as schemas take texts. */
enum { LISTED_BYTES_MAX = 4096 };

/* Copied anew each time: texts are lines, and few. */
gr_status gr_infer_text_append(char **text, const char *part, size_t length) {
    char *longer = NULL;
    const size_t before = *text ? strlen(*text) : 0;
    gr_status status = gr_allocate(before + length + 1, 1, "text", &longer);
    if (status != GR_OK) return status;
    if (before > 0) memcpy(longer, *text, before);
    memcpy(longer + before, part, length);
    longer[before + length] = '\0';
    gr_free(*text);
    *text = longer;
    return GR_OK;
}

gr_status gr_infer_tell(char **text, const char *format, ...) {
    char part[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(part, sizeof part, format, arguments);
    va_end(arguments);
    return gr_infer_text_append(text, part, strlen(part));
}

/* Type text: such a column is checked for UTF-8, and is no feature. */
gr_status gr_infer_tell_left_out(struct gr_inferred *c, const char *format, ...) {
    char why[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    c->column->type = GR_COLUMN_TEXT;
    c->guess->left_out = true;
    gr_status status = gr_infer_tell(&c->guess->taken, "left out: %s", why);
    return status == GR_OK ? gr_infer_tell(&c->guess->doubts, "left out: %s\n", why) : status;
}

/* "line 5", "lines 5, 9 and 3 more"; of several tables "line 5 of table 2". */
static void name_lines(const struct gr_infer_values *v, bool tables, char *out, size_t size) {
    const size_t told = v->n_unfit < GR_LINES_TOLD ? v->n_unfit : GR_LINES_TOLD;
    size_t used = 0;
    for (size_t i = 0; i < told && used < size; i++) {
        const char *before = i == 0                ? (v->n_unfit == 1 ? "line " : "lines ")
                             : i + 1 == v->n_unfit ? " and "
                                                   : ", ";
        used += (size_t)snprintf(out + used, size - used, "%s%zu", before, v->unfit_line[i]);
        if (tables && used < size)
            used +=
                (size_t)snprintf(out + used, size - used, " of table %zu", v->unfit_table[i] + 1);
    }
    if (v->n_unfit > told && used < size)
        snprintf(out + used, size - used, " and %zu more", v->n_unfit - told);
}

gr_status gr_infer_tell_unfit(struct gr_infer_state *state, struct gr_inferred *c) {
    char lines[192] = "";
    const size_t n = c->values.n_unfit;
    gr_status status;
    state->result->n_unfit += n;
    if (n == 0) return GR_OK;
    name_lines(&c->values, state->options->n_paths > 1, lines, sizeof lines);
    GR_TRY(gr_infer_tell(&c->guess->taken, "; %s: no number, refused", lines));
    status =
        gr_infer_tell(&c->guess->doubts,
                      "%s: no number; refused until %s mended, or listed in `missing_words` (no "
                      "value) or `censored` (the bound is the value)\n",
                      lines, n == 1 ? "it is" : "they are");
out:
    return status;
}

gr_status gr_infer_check_listed(const struct gr_infer_state *state, const struct gr_inferred *c,
                                const struct gr_infer_words *words, size_t i) {
    const char *text = gr_infer_words_text(words, i);
    const struct gr_infer_word *word = &words->word[i];
    bool good = word->length <= LISTED_BYTES_MAX;
    for (size_t k = 0; good && k < word->length; k++)
        good = (unsigned char)text[k] >= 0x20 && text[k] != 0x7F;
    if (good) return GR_OK;
    return gr_fail(GR_ERROR_DATA,
                   "%s%s:%zu: column \"%s\": found a text with control characters or of more than "
                   "%d bytes among its values, expected none that a schema cannot list",
                   state->options->paths[0], state->options->n_paths > 1 ? " or another" : "",
                   word->line, c->column->name, LISTED_BYTES_MAX);
}

/* A text that is in the list already is not added again. */
gr_status gr_infer_list_add(char ***list, unsigned *n, const char *text, size_t length) {
    char **longer = NULL;
    gr_status status;
    for (unsigned i = 0; i < *n; i++)
        if (strlen((*list)[i]) == length && memcmp((*list)[i], text, length) == 0) return GR_OK;
    GR_TRY(gr_allocate_zero(*n + 1, sizeof *longer, "words", &longer));
    GR_TRY(gr_text_format(&longer[*n], "%.*s", (int)length, text));
    for (unsigned i = 0; i < *n; i++)
        longer[i] = (*list)[i];
    gr_free(*list);
    *list = longer;
    longer = NULL;
    ++*n;
out:
    gr_free(longer);
    return status;
}

gr_status gr_infer_tell_list(char **text, char *const *list, unsigned n) {
    gr_status status = GR_OK;
    char word[64];
    for (unsigned i = 0; i < n; i++) {
        gr_text_quote(list[i], strlen(list[i]), word, sizeof word);
        GR_TRY(gr_infer_tell(text, "%s\"%s\"", i == 0 ? "" : i + 1 == n ? " and " : ", ", word));
    }
out:
    return status;
}
