/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The form of a CSV file, from its first lines. It only counts fields; no cell is kept or told. All
 * decisions are of the first 256 KiB: two readings of a file come to the same form, and a large
 * file costs no extra pass.
 */
#include "data/csv_form.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "data/csv_cell.h"

/* Records that a separator must take apart alike to be believed. */
enum { RECORDS_MAX = 50, CANDIDATES = 5 };

/* In the order in which they are believed: numbers hold commas and texts blanks. */
static const enum gr_separator candidates[CANDIDATES] = {GR_SEPARATOR_TAB, GR_SEPARATOR_SEMICOLON,
                                                         GR_SEPARATOR_PIPE, GR_SEPARATOR_COMMA,
                                                         GR_SEPARATOR_BLANKS};
static const char *const names[] = {"comma", "semicolon", "tab", "pipe", "space", "blanks"};

/* The text that is looked at. */
struct sample {
    const char *path, *end;
    bool whole;
    char line_end;
};

/* ---- records -------------------------------------------------------------------------------- */

/* A record's fields: how many, and whether the first and the last are empty. */
struct record {
    size_t n;
    bool first_empty, last_empty;
    size_t n_empty;  /* at its end */
    bool any_number; /* a field begins as a number does */
};

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t';
}

/* A field that begins as a number does tells rows from headers; quoted ones are texts. */
static void add_field(struct record *r, const char *text, size_t n, bool quoted) {
    gr_cell_trim(&text, &n);
    const bool empty = n == 0, sign = n > 1 && (*text == '-' || *text == '+' || *text == '.');
    if (r->n == 0) r->first_empty = empty;
    r->last_empty = empty;
    r->n_empty = empty ? r->n_empty + 1 : 0;
    if (!empty && !quoted && (unsigned char)(text[sign] - '0') < 10) r->any_number = true;
    r->n++;
}

static const char *skip_blanks(const char *p, const char *end) {
    while (p < end && is_blank(*p))
        p++;
    return p;
}

/* Behind a field that begins at p; NULL: the sample ends before it does. The walk is csv_scan.c's
 * in short: it takes any separator and knows no limits. */
static const char *walk_field(const struct sample *s, const char *p, enum gr_separator separator,
                              bool *quoted) {
    const bool blanks = separator == GR_SEPARATOR_BLANKS;
    const char byte = gr_separator_byte(separator);
    *quoted = p < s->end && *p == '"';
    if (*quoted) {
        for (p++; p < s->end; p++) {
            if (*p != '"') continue;
            if (p + 1 == s->end || p[1] != '"') break;
            p++;
        }
        if (p == s->end) return NULL;
    }
    while (p < s->end && *p != s->line_end && *p != '\r' && (blanks ? !is_blank(*p) : *p != byte))
        p++;
    return p == s->end && !s->whole ? NULL : p;
}

/* The record that begins at *p, which goes behind it; false: the sample ends within it. */
static bool walk_record(const struct sample *s, const char **p, enum gr_separator separator,
                        struct record *r) {
    const bool blanks = separator == GR_SEPARATOR_BLANKS;
    const char *at = *p;
    *r = (struct record){0};
    for (;;) {
        bool quoted;
        if (blanks) at = skip_blanks(at, s->end);
        const bool none = at == s->end || *at == s->line_end || *at == '\r';
        if (!(blanks && none && r->n > 0)) {
            const char *end = walk_field(s, at, separator, &quoted);
            if (!end) return false;
            add_field(r, at + quoted, (size_t)(end - at) - (quoted ? 2 : 0), quoted);
            at = end;
        }
        if (at < s->end && *at == '\r' && s->line_end != '\r') at++;
        if (at == s->end || *at == s->line_end) break;
        at++;
    }
    if (at == s->end && !s->whole) return false;
    *p = at < s->end ? at + 1 : at;
    return true;
}

static const char *skip_empty_lines(const struct sample *s, const char *p, size_t *line) {
    while (p < s->end && (*p == s->line_end || (*p == '\r' && p + 1 < s->end && p[1] == '\n'))) {
        p += *p == '\r' && s->line_end != '\r' ? 2 : 1;
        ++*line;
    }
    return p;
}

/* The form that the records from p have in common, taken apart by one separator. */
struct shape {
    struct record head;
    size_t n_records; /* behind the first */
    size_t least, most;
    /* Of them those with as many fields as the first, or one more; of these with an empty last one.
     */
    size_t n_alike, n_longer, n_longer_empty;
};

static struct shape shape_of(const struct sample *s, const char *p, enum gr_separator separator) {
    struct shape shape = {0};
    size_t ignored = 0;
    if (!walk_record(s, &p, separator, &shape.head)) return shape;
    while (shape.n_records < RECORDS_MAX) {
        struct record r;
        p = skip_empty_lines(s, p, &ignored);
        if (p == s->end || !walk_record(s, &p, separator, &r)) break;
        if (shape.n_records == 0) shape.least = shape.most = r.n;
        if (r.n < shape.least) shape.least = r.n;
        if (r.n > shape.most) shape.most = r.n;
        shape.n_alike += r.n == shape.head.n;
        shape.n_longer += r.n == shape.head.n + 1;
        shape.n_longer_empty += r.n == shape.head.n + 1 && r.last_empty;
        shape.n_records++;
    }
    return shape;
}

/* ---- the separator -------------------------------------------------------------------------- */

/* All rows are of one length, and the header is too, or lacks the name of the first. A missing name
 * is from R's write.table, whose first column has none. */
static bool is_table(const struct shape *shape, bool header) {
    if (shape->n_records == 0) return shape->head.n > 1;
    return shape->least == shape->most && shape->most > 1 &&
           (shape->head.n == shape->most ||
            (header && shape->head.n > 1 && shape->head.n + 1 == shape->most));
}

/* Blanks are tried last, and only where no other sign stands in the first line: most texts hold
 * them. A single row of another length does not decide. */
static enum gr_separator find_separator(const struct sample *s, const char *p, bool header) {
    enum gr_separator best = GR_SEPARATOR_COMMA;
    size_t most = 1;
    bool single = true;
    for (size_t i = 0; i + 1 < CANDIDATES; i++) {
        const struct shape shape = shape_of(s, p, candidates[i]);
        if (is_table(&shape, header)) return candidates[i];
        if (shape.head.n > 1) single = false;
    }
    const struct shape blanks = shape_of(s, p, GR_SEPARATOR_BLANKS);
    const bool most_alike = blanks.head.n > 1 && 2 * blanks.n_alike > blanks.n_records;
    if (single && (most_alike || is_table(&blanks, header))) return GR_SEPARATOR_BLANKS;
    /* No separator makes a table: a message is about the one that makes most of the first line. */
    for (size_t i = CANDIDATES - 1; i-- > 0;) {
        const struct shape shape = shape_of(s, p, candidates[i]);
        if (shape.head.n <= most) continue;
        most = shape.head.n;
        best = candidates[i];
    }
    return best;
}

/* "table.tsv.gz" ends in ".tsv". */
static bool ends_in(const char *path, const char *ending) {
    size_t n = strlen(path), k = strlen(ending);
    if (n > 3 && strcasecmp(path + n - 3, ".gz") == 0) n -= 3;
    return n > k && strncasecmp(path + n - k, ending, k) == 0;
}

/* ---- in front of the header ----------------------------------------------------------------- */

/* "sep=;", perhaps in quotes; *byte: the separator. */
static bool take_sep_line(const struct sample *s, const char **p, char *byte) {
    const char *at = *p;
    const bool quoted = at < s->end && *at == '"';
    at += quoted;
    if (s->end - at < 5 || strncasecmp(at, "sep=", 4) != 0) return false;
    *byte = at[4];
    at += 5;
    if (quoted && at < s->end && *at == '"') at++;
    if (at < s->end && *at == '\r' && s->line_end != '\r') at++;
    if (at < s->end && *at != s->line_end) return false;
    *p = at < s->end ? at + 1 : at;
    return true;
}

static gr_status name_separator(const char *path, char byte, enum gr_separator *out) {
    for (size_t i = GR_SEPARATOR_COMMA; i <= GR_SEPARATOR_SPACE; i++) {
        *out = (enum gr_separator)i;
        if (gr_separator_byte(*out) == byte) return GR_OK;
    }
    return gr_fail(GR_ERROR_DATA,
                   "%s:1: a line \"sep=\" with another sign than comma, semicolon, tab, pipe or "
                   "space",
                   path);
}

/* Lines of svmlight: a number, and pairs of a place and a value. It would pass for a table
 * separated by blanks, with "3:0.5" for texts. */
static bool is_svmlight(const struct sample *s, const char *p) {
    size_t pairs = 0;
    if (p == s->end || !((*p >= '0' && *p <= '9') || *p == '-' || *p == '+')) return false;
    while (p < s->end && !is_blank(*p) && *p != '\n' && *p != '\r')
        if (!strchr("0123456789+-.eE", *p++)) return false;
    for (;;) {
        p = skip_blanks(p, s->end);
        if (p == s->end || *p == '\n' || *p == '\r' || *p == '#') return pairs > 0;
        const char *first = p;
        while (p < s->end && *p >= '0' && *p <= '9')
            p++;
        if (p == first && s->end - p > 3 && memcmp(p, "qid", 3) == 0) p += 3;
        if (p == first || p == s->end || *p != ':') return false;
        for (p++; p < s->end && !is_blank(*p) && *p != '\n' && *p != '\r';)
            if (!strchr("0123456789+-.eE", *p++)) return false;
        pairs++;
    }
}

/* Where the last of the comment lines begins, if it may be a header. */
struct front {
    const char *last; /* behind its "#"; NULL: there is none right before the first record */
    size_t last_line;
};

/* A comment line that is followed by an empty one is no header. */
static gr_status skip_comments(const struct sample *s, const char **p, size_t *line,
                               struct gr_csv_form *form, struct front *front) {
    for (;;) {
        const char *at = skip_empty_lines(s, *p, line);
        if (at != *p) front->last = NULL;
        *p = at;
        if (at == s->end || *at != '#') return GR_OK;
        const char *end = memchr(at, s->line_end, (size_t)(s->end - at));
        if (!end && !s->whole)
            return gr_fail(GR_ERROR_DATA,
                           "%s:%zu: comment lines of more than 256 KiB, expected a header", s->path,
                           *line);
        *front = (struct front){at + 1, *line};
        form->n_comments++;
        ++*line;
        *p = end ? end + 1 : s->end;
    }
}

/*
 * Whether the last comment line is the header: it has as many fields as the record behind it, and
 * none of them begins as a number does, while one of the record's does.
 */
static bool is_marked(const struct sample *s, const struct front *front, const char *p,
                      enum gr_separator separator) {
    struct record head, row;
    const char *at = front->last;
    if (!at || p == s->end) return false;
    if (separator == GR_SEPARATOR_BLANKS || (at < s->end && *at == ' '))
        at = skip_blanks(at, s->end);
    return walk_record(s, &at, separator, &head) && walk_record(s, &p, separator, &row) &&
           head.n > 1 && head.n == row.n && !head.any_number && row.any_number;
}

/* ---- columns without values ----------------------------------------------------------------- */

/*
 * Empty names at the end are columns without values, one at the beginning is that of row names.
 * Where most rows are one field longer than a full header they have an unnamed first column, or
 * where the last field of most of these is empty a separator at each line's end: a single row of
 * another length does not decide how all others are read.
 */
static void find_empty(const struct shape *shape, struct gr_csv_form *form) {
    const struct record *head = &shape->head;
    if (head->n > 1 && head->n_empty < head->n) form->n_empty = head->n_empty;
    const size_t named = head->n - form->n_empty;
    if (named > 1 && head->first_empty) {
        form->row_names = true;
    } else if (form->n_empty == 0 && 2 * shape->n_longer > shape->n_records) {
        form->n_empty = 2 * shape->n_longer_empty > shape->n_longer;
        form->row_names = form->row_names_unheaded = form->n_empty == 0;
    }
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* The config or the file's own line holds first; then the name's ending, if the text agrees; then a
 * search. */
static gr_status choose(const struct sample *s, const struct gr_csv_config *csv, const char *p,
                        char sep, struct gr_csv_form *form) {
    form->separator = csv->separator;
    if (csv->separator != GR_SEPARATOR_AUTO) return GR_OK;
    form->found = true;
    if (sep != '\0') return name_separator(s->path, sep, &form->separator);
    form->separator = GR_SEPARATOR_TAB;
    if ((ends_in(s->path, ".tsv") || ends_in(s->path, ".tab")) &&
        shape_of(s, p, GR_SEPARATOR_TAB).head.n > 1)
        return GR_OK;
    form->separator = find_separator(s, p, csv->header);
    return GR_OK;
}

/* In the order in which the parts stand in a file: "sep=", comments, header. The separator must be
 * known before the last comment line can be judged to be the header. */
gr_status gr_csv_form_find(const char *path, const struct gr_csv_config *csv, const char *text,
                           size_t n, bool whole, struct gr_csv_form *form, size_t *at,
                           size_t *line) {
    const struct sample s = {path, text + n, whole, form->returns ? '\r' : '\n'};
    const char *p = text + *at;
    struct front front = {0};
    char sep = '\0';
    gr_status status;
    form->sep_line = take_sep_line(&s, &p, &sep);
    *line += form->sep_line;
    GR_TRY(skip_comments(&s, &p, line, form, &front));
    if (is_svmlight(&s, p))
        return gr_fail(GR_ERROR_DATA,
                       "%s:%zu: lines of svmlight (label place:value ...), expected CSV: write the "
                       "rows out (scikit-learn: load_svmlight_file, and its toarray)",
                       path, *line);
    GR_TRY(choose(&s, csv, p, sep, form));
    if (csv->header && is_marked(&s, &front, p, form->separator)) {
        form->marked = true;
        form->n_comments--;
        p = front.last;
        *line = front.last_line;
    }
    if (csv->header) {
        const struct shape shape = shape_of(&s, p, form->separator);
        find_empty(&shape, form);
    }
    *at = (size_t)(p - text);
out:
    return status;
}

/* ---- in words ------------------------------------------------------------------------------- */

static void say(char out[GR_FORM_LINE], const char *format, ...) GR_PRINTF(2, 3);

static void say(char out[GR_FORM_LINE], const char *format, ...) {
    size_t used = strlen(out);
    if (used > 0) used += (size_t)snprintf(out + used, GR_FORM_LINE - used, "; ");
    va_list arguments;
    va_start(arguments, format);
    if (used < GR_FORM_LINE) (void)vsnprintf(out + used, GR_FORM_LINE - used, format, arguments);
    va_end(arguments);
}

/* Commas and other usual things are not told. */
void gr_csv_form_tell(const struct gr_csv_form *form, char out[GR_FORM_LINE]) {
    out[0] = '\0';
    if (form->found && form->separator != GR_SEPARATOR_COMMA)
        say(out, "separator %s, as found", names[form->separator]);
    if (form->sep_line) say(out, "a line \"sep=\" passed over");
    if (form->n_comments > 0)
        say(out, "%zu comment line%s passed over", form->n_comments,
            form->n_comments > 1 ? "s" : "");
    if (form->marked) say(out, "the header is the line that begins with \"#\"");
    if (form->row_names) say(out, "a first column without a name: names of rows, passed over");
    if (form->n_empty > 0)
        say(out, "%zu empty last column%s left out", form->n_empty, form->n_empty > 1 ? "s" : "");
    if (form->latin1) say(out, "read as Latin-1, but for rows that are UTF-8");
}
