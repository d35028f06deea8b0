/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells to numbers, by the rules of their columns. A cell that is written otherwise than programs
 * write it (marks, signs, affixes) is rewritten into a short buffer and read by gr_csv_number, so
 * that there is one reader of digits. Texts are not told in messages from here: only the caller
 * knows the line.
 */
#include "data/csv_cell.h"

#include <math.h>
#include <string.h>

/* Longer texts are no numbers. */
enum { NUMBER_BYTES_MAX = 512, GROUP_DIGITS = 3 };

/* ---- spaces and signs ----------------------------------------------------------------------- */

/* Bytes of a space at the text's beginning: also no-break, narrow no-break and thin spaces. */
static size_t space_at(const char *p, size_t n) {
    if (n > 0 && (*p == ' ' || *p == '\t')) return 1;
    if (n > 1 && memcmp(p, "\xC2\xA0", 2) == 0) return 2;
    if (n > 2 && (memcmp(p, "\xE2\x80\xAF", 3) == 0 || memcmp(p, "\xE2\x80\x89", 3) == 0)) return 3;
    return 0;
}

/* By trying each length, because UTF-8 cannot be read backwards in one step. */
static size_t space_before(const char *end, size_t n) {
    for (size_t bytes = 1; bytes <= 3 && bytes <= n; bytes++)
        if (space_at(end - bytes, bytes) == bytes) return bytes;
    return 0;
}

void gr_cell_trim(const char **text, size_t *length) {
    size_t n;
    while ((n = space_at(*text, *length)) > 0) {
        *text += n;
        *length -= n;
    }
    while ((n = space_before(*text + *length, *length)) > 0)
        *length -= n;
}

/* Bytes of a sign; *negative is told. */
static size_t sign_at(const char *p, size_t n, bool *negative) {
    *negative = false;
    if (n > 0 && *p == '+') return 1;
    *negative = true;
    if (n > 0 && *p == '-') return 1;
    if (n > 2 && (memcmp(p, "\xE2\x88\x92", 3) == 0 || memcmp(p, "\xE2\x80\x93", 3) == 0)) return 3;
    *negative = false;
    return 0;
}

/* ---- numbers written in another way --------------------------------------------------------- */

/* A number being rewritten as "-1234.5e6". */
struct rewriting {
    const char *at, *end;
    char *out;
    size_t n;
};

static bool put(struct rewriting *r, char byte) {
    if (r->n == NUMBER_BYTES_MAX) return false;
    r->out[r->n++] = byte;
    return true;
}

static bool is_digit(const struct rewriting *r) {
    return r->at < r->end && (unsigned char)(*r->at - '0') < 10;
}

/* Stops where the buffer is full; then the caller finds bytes left, and the cell is no number. */
static size_t put_digits(struct rewriting *r) {
    size_t n = 0;
    for (; is_digit(r) && put(r, *r->at); r->at++)
        n++;
    return n;
}

/* Bytes of a thousands mark at the beginning. */
static size_t mark_at(enum gr_thousands thousands, const char *p, size_t n) {
    switch (thousands) {
    case GR_THOUSANDS_COMMA:
        return n > 0 && *p == ',';
    case GR_THOUSANDS_POINT:
        return n > 0 && *p == '.';
    case GR_THOUSANDS_SPACE:
        return n > 0 && *p != '\t' ? space_at(p, n) : 0;
    case GR_THOUSANDS_APOSTROPHE:
        return n > 0 && *p == '\'' ? 1 : n > 2 && memcmp(p, "\xE2\x80\x99", 3) == 0 ? 3 : 0;
    default:
        return 0;
    }
}

/* Digits in groups of three behind a first of one to three, or not in groups at all. "1,23" with a
 * thousands comma is refused and not taken for 123: it may be another country's decimal. */
static bool put_whole(struct rewriting *r, enum gr_thousands thousands) {
    size_t digits = put_digits(r), bytes;
    if (mark_at(thousands, r->at, (size_t)(r->end - r->at)) == 0) return true;
    if (digits == 0 || digits > GROUP_DIGITS) return false;
    while ((bytes = mark_at(thousands, r->at, (size_t)(r->end - r->at))) > 0) {
        r->at += bytes;
        if (put_digits(r) != GROUP_DIGITS) return false;
    }
    return true;
}

static bool put_exponent(struct rewriting *r) {
    bool negative;
    if (r->at == r->end || (*r->at != 'e' && *r->at != 'E')) return true;
    r->at++;
    if (!put(r, 'e')) return false;
    const size_t sign = sign_at(r->at, (size_t)(r->end - r->at), &negative);
    r->at += sign;
    if (negative && !put(r, '-')) return false;
    return put_digits(r) > 0;
}

/* Takes the longest affix off one end; false: none is there. */
static bool strip_affix(const struct gr_column *c, bool behind, const char **text, size_t *length) {
    size_t most = 0;
    for (unsigned i = 0; i < c->affixes_count; i++) {
        const size_t n = strlen(c->affixes[i]);
        if (n <= most || n > *length) continue;
        if (memcmp(behind ? *text + *length - n : *text, c->affixes[i], n) == 0) most = n;
    }
    if (!behind) *text += most;
    *length -= most;
    gr_cell_trim(text, length);
    return most > 0;
}

/* The sign is taken off, and the number stays: 5% is 5. On either side of an affix, hence called
 * twice. */
static void strip_percent(const struct gr_column *c, const char **text, size_t *length) {
    if (!c->percent || *length == 0 || (*text)[*length - 1] != '%') return;
    --*length;
    gr_cell_trim(text, length);
}

/*
 * The number as gr_csv_number reads it; false: it is none by the column's rules. A sign may stand
 * before an affix ("-$5") or behind it ("$-5"), not in both places. *n is set before the exponent
 * is read, so that it is defined in any case.
 */
static bool rewrite(const struct gr_column *c, const char *text, size_t length, char *out,
                    size_t *n) {
    bool negative, behind = false;
    size_t sign = sign_at(text, length, &negative);
    text += sign;
    length -= sign;
    gr_cell_trim(&text, &length);
    if (strip_affix(c, false, &text, &length) && sign == 0) {
        sign = sign_at(text, length, &negative);
        text += sign;
        length -= sign;
    }
    strip_percent(c, &text, &length);
    behind = strip_affix(c, true, &text, &length);
    if (behind) strip_percent(c, &text, &length);
    struct rewriting r = {text, text + length, out, 0};
    const char mark = c->decimal == GR_DECIMAL_COMMA ? ',' : '.';
    if (negative && !put(&r, '-')) return false;
    if (!put_whole(&r, c->thousands)) return false;
    if (r.at < r.end && *r.at == mark) {
        r.at++;
        if (!put(&r, '.')) return false;
        put_digits(&r);
    }
    *n = r.n;
    if (!put_exponent(&r) || r.at != r.end) return false;
    *n = r.n;
    return *n > (size_t)negative;
}

/* ---- words ---------------------------------------------------------------------------------- */

static bool is_text(const char *text, size_t length, const char *word) {
    return strlen(word) == length && memcmp(word, text, length) == 0;
}

/* Where the one number in a censored cell begins and ends; false: there is none, or another. A
 * point, comma or minus right before the first digit belongs to it. */
static bool find_bound(const char *text, const char **from, const char **to) {
    const char *const digits = "0123456789";
    const char *p = strpbrk(text, digits);
    if (!p) return false;
    *from = p;
    while (strspn(p, digits) > 0 || (strspn(p, ".,'") == 1 && strspn(p + 1, digits) > 0))
        p++;
    *to = p;
    if (*from > text && ((*from)[-1] == '.' || (*from)[-1] == ',' || (*from)[-1] == '-')) --*from;
    return strpbrk(p, digits) == NULL;
}

/* Once a file, so that a cell costs no search for marks: `plain` columns go straight to
 * gr_csv_number. */
gr_status gr_cell_rules_create(const struct gr_column *of, struct gr_cell_rules *out) {
    gr_status status;
    float ignored;
    *out = (struct gr_cell_rules){.of = of};
    out->plain = of->decimal == GR_DECIMAL_POINT && of->thousands == GR_THOUSANDS_NONE &&
                 !of->percent && of->affixes_count == 0;
    GR_TRY(gr_allocate(of->censored_count, sizeof *out->bound, "censored cells", &out->bound));
    GR_TRY(gr_allocate(of->missing_words_count, sizeof *out->word, "missing words", &out->word));
    for (unsigned i = 0; i < of->missing_words_count; i++) {
        const char *text = of->missing_words[i];
        if (gr_cell_number(out, text, strlen(text), &out->word[i], &ignored) > GR_CSV_WHOLE)
            out->word[i] = NAN;
    }
    for (unsigned i = 0; i < of->censored_count; i++) {
        const char *from, *to;
        char name[64];
        if (find_bound(of->censored[i], &from, &to) &&
            gr_cell_number(out, from, (size_t)(to - from), &out->bound[i], &ignored) <=
                GR_CSV_WHOLE)
            continue;
        gr_text_quote(of->name, strlen(of->name), name, sizeof name);
        status = gr_fail(GR_ERROR_CONFIG,
                         "column \"%s\": censored: entry %u: expected a text with one number in "
                         "it, such as \"> 89\"",
                         name, i + 1);
        goto out;
    }
    out->words = of->missing_words_count > 0 || of->censored_count > 0;
out:
    if (status != GR_OK) gr_cell_rules_release(out);
    return status;
}

void gr_cell_rules_release(struct gr_cell_rules *rules) {
    gr_free(rules->bound);
    gr_free(rules->word);
    *rules = (struct gr_cell_rules){0};
}

static bool is_missing_word(const struct gr_column *c, const char *text, size_t length) {
    for (unsigned i = 0; i < c->missing_words_count; i++)
        if (is_text(text, length, c->missing_words[i])) return true;
    return false;
}

/* Of texts: words such as "none" are answers here, unless the column lists them. */
bool gr_cell_is_missing(const struct gr_cell_rules *rules, const char *text, size_t length) {
    return gr_cell_default_missing(text, length, false) || is_missing_word(rules->of, text, length);
}

/* ---- cells ---------------------------------------------------------------------------------- */

/* A cell that is no number by the column's rules is still looked at for "NA" and infinities; a
 * number by other rules (a point where the column has commas) is refused. */
static enum gr_csv_number read_written(const struct gr_column *c, const char *text, size_t length,
                                       double *value, float *nearest) {
    char plain[NUMBER_BYTES_MAX];
    size_t n;
    if (rewrite(c, text, length, plain, &n)) return gr_csv_number(plain, n, value, nearest);
    enum gr_csv_number kind = gr_csv_number(text, length, value, nearest);
    return kind == GR_CSV_MISSING || kind == GR_CSV_INFINITE ? kind : GR_CSV_OTHER;
}

/* Censored cells and missing words are compared as texts first: they may look like numbers
 * ("-999"). Missing words that are numbers are compared by value last. */
enum gr_csv_number gr_cell_number(const struct gr_cell_rules *rules, const char *text,
                                  size_t length, double *value, float *nearest) {
    const struct gr_column *c = rules->of;
    if (rules->plain && !rules->words) return gr_csv_number(text, length, value, nearest);
    gr_cell_trim(&text, &length);
    for (unsigned i = 0; rules->words && i < c->censored_count; i++) {
        if (!is_text(text, length, c->censored[i])) continue;
        *value = rules->bound[i];
        *nearest = (float)*value;
        return GR_CSV_CENSORED;
    }
    if (rules->words && is_missing_word(c, text, length)) return GR_CSV_MISSING;
    enum gr_csv_number kind = rules->plain ? gr_csv_number(text, length, value, nearest)
                                           : read_written(c, text, length, value, nearest);
    if (!rules->words || kind > GR_CSV_WHOLE) return kind;
    for (unsigned i = 0; i < c->missing_words_count; i++)
        if (!(*value < rules->word[i]) && !(*value > rules->word[i]) && !isnan(rules->word[i]))
            return GR_CSV_MISSING;
    return kind;
}

/* The date is tried before the default words for no value, since none of them is a date. */
enum gr_csv_number gr_cell_date(const struct gr_cell_rules *rules, const char *text, size_t length,
                                double *seconds, enum gr_date_reading *why) {
    const struct gr_column *c = rules->of;
    gr_cell_trim(&text, &length);
    *why = GR_DATE_READ;
    if (is_missing_word(c, text, length)) return GR_CSV_MISSING;
    *why = gr_date_read(text, length, c->format, c->type != GR_COLUMN_DATE, seconds);
    if (*why == GR_DATE_READ) return GR_CSV_NUMBER;
    return gr_cell_default_missing(text, length, true) ? GR_CSV_MISSING : GR_CSV_OTHER;
}

/* A year of 365.25 days: an age is told to a few hours, whatever leap years lie between. */
double gr_date_unit_seconds(enum gr_date_unit unit) {
    static const double seconds[] = {[GR_DATE_DAYS] = 86400,
                                     [GR_DATE_YEARS] = 365.25 * 86400,
                                     [GR_DATE_HOURS] = 3600,
                                     [GR_DATE_SECONDS] = 1};
    return seconds[unit];
}
