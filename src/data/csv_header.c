/* SPDX-License-Identifier: Apache-2.0 */
/* The first row of a CSV file. It is told by place only: without a header it is a row of cells. */
#include "data/csv_table.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 1024 };

void gr_csv_names_free(char **names, size_t n) {
    for (size_t i = 0; names && i < n; i++)
        gr_free(names[i]);
    gr_free(names);
}

/* One column, and another separator in it: what was meant can be told. */
static gr_status check_separator(const struct gr_csv_scan *s) {
    static const struct {
        char byte;
        const char *name;
    } known[] = {{',', "comma"}, {';', "semicolon"}, {'\t', "tab"}, {'|', "pipe"}};
    const char *mine = "space", *best = NULL;
    size_t most = 0;
    if (s->n_fields != 1 || s->fields[0].quoted) return GR_OK;
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        size_t n = 0;
        for (size_t i = 0; i < s->fields[0].length; i++)
            n += s->fields[0].text[i] == known[k].byte;
        if (known[k].byte == s->separator) mine = known[k].name;
        if (n <= most) continue;
        most = n;
        best = known[k].name;
    }
    if (!best) return GR_OK;
    return gr_fail(GR_ERROR_DATA,
                   "%s:%zu: found 1 column with separator %s, it would be %zu with %s: set "
                   "data.csv.separator, or --separator",
                   s->path, s->row_line, mine, most + 1, best);
}

/* Equal names in the order of their columns, so that the message names the first two. */
static int by_text(const void *a, const void *b) {
    char *const *x = *(char *const *const *)a, *const *y = *(char *const *const *)b;
    int order = strcmp(*x, *y);
    return order != 0 ? order : x < y ? -1 : x > y;
}

static gr_status check_different(const struct gr_csv_scan *s, char *const *names, size_t n) {
    char *const **sorted = NULL;
    gr_status status;
    GR_TRY(gr_allocate(n, sizeof *sorted, "names of columns", &sorted));
    for (size_t i = 0; i < n; i++)
        sorted[i] = names + i;
    qsort(sorted, n, sizeof *sorted, by_text);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(*sorted[i - 1], *sorted[i]) != 0) continue;
        status = gr_fail(GR_ERROR_DATA,
                         "%s:%zu: columns %zu and %zu have the same name, expected different "
                         "ones " GR_NO_HEADER_WORDS,
                         s->path, s->row_line, (size_t)(sorted[i - 1] - names) + 1,
                         (size_t)(sorted[i] - names) + 1);
        goto out;
    }
out:
    gr_free(sorted);
    return status;
}

/* Spaces around a name are not part of it. */
static gr_status take_name(const struct gr_csv_scan *s, size_t i, char **out) {
    const char *text = s->fields[i].text;
    size_t length = s->fields[i].length;
    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    if (!gr_text_is_utf8(text, length))
        return gr_fail(GR_ERROR_DATA,
                       "%s:%zu: column %zu: its name is not UTF-8; if it is Latin-1, as of "
                       "Excel: " GR_LATIN1_WORDS,
                       s->path, s->row_line, i + 1);
    for (size_t k = 0; k < length; k++)
        if ((unsigned char)text[k] < 0x20 || text[k] == 0x7F || length > NAME_BYTES_MAX)
            return gr_fail(GR_ERROR_DATA,
                           "%s:%zu: column %zu: a name of control characters or over %d bytes",
                           s->path, s->row_line, i + 1, NAME_BYTES_MAX);
    if (length == 0)
        return gr_fail(GR_ERROR_DATA, "%s:%zu: column %zu: has no name", s->path, s->row_line,
                       i + 1);
    return gr_text_format(out, "%.*s", (int)length, text);
}

/* Which of the header's fields are names; the rows' fields are theirs from here on. From the header
 * on `n_named` is set, which makes the scan take row names and empty ends off each row. */
static size_t take_form(struct gr_csv_scan *s) {
    const struct gr_csv_form *form = &s->form;
    const bool first = form->row_names && !form->row_names_unheaded && s->n_fields > 1;
    size_t n = s->n_fields - first;
    if (first) memmove(s->fields, s->fields + 1, n * sizeof *s->fields);
    while (form->n_empty > 0 && n > 1 && s->fields[n - 1].length == 0)
        n--;
    s->n_fields = s->n_named = n;
    return n;
}

gr_status gr_csv_names(struct gr_csv_scan *scan, bool header, char ***names, size_t *n) {
    bool more = false;
    gr_status status;
    *names = NULL;
    *n = 0;
    GR_TRY(gr_csv_scan_next(scan, &more));
    if (!more) {
        status = gr_fail(GR_ERROR_DATA, "%s: empty, expected %s", scan->path,
                         header ? "a row of column names" : "rows");
        goto out;
    }
    GR_TRY(check_separator(scan));
    const size_t count = header ? take_form(scan) : scan->n_fields;
    GR_TRY(gr_allocate_zero(count, sizeof **names, "names of columns", names));
    *n = count;
    for (size_t i = 0; i < *n; i++) {
        if (header)
            GR_TRY(take_name(scan, i, &(*names)[i]));
        else
            GR_TRY(gr_text_format(&(*names)[i], "column%zu", i + 1));
    }
    GR_TRY(check_different(scan, *names, *n));
    /* The row was read for its number of fields, and is the first row of data. */
    if (!header) GR_TRY(gr_csv_scan_seek(scan, scan->row_offset, scan->row_line));
out:
    if (status != GR_OK) {
        gr_csv_names_free(*names, *n);
        *names = NULL;
    }
    return status;
}
