/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one cell is written, before anything is known of its column. A cell may be read in several
 * ways; all that fit are told, and the column decides. Nothing is converted here but numbers in
 * plain signs: the reader of training does that in the second pass.
 */
#include "data/infer.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { WORD_BYTES_MAX = 24, ALL_READINGS = (1 << GR_READINGS) - 1 };

/* In lower case; beside those that gr_cell_default_missing knows. */
static const char *const unknown_words[] = {"unknown",
                                            "unk",
                                            "unk.",
                                            "unkn",
                                            "n.k.",
                                            "nk",
                                            "n/k",
                                            "not known",
                                            "n.a.",
                                            "not available",
                                            "not applicable",
                                            "not done",
                                            "nd",
                                            "n.d.",
                                            "n/d",
                                            "not tested",
                                            "not recorded",
                                            "not reported",
                                            "not stated",
                                            "not measured",
                                            "no data",
                                            "nodata",
                                            "missing",
                                            "miss",
                                            "\\n",
                                            ".",
                                            "..",
                                            "...",
                                            "-",
                                            "--",
                                            "---",
                                            "*",
                                            "**",
                                            "#n/a",
                                            "#value!",
                                            "#div/0!",
                                            "#null!",
                                            "#ref!",
                                            "#name?",
                                            "#num!",
                                            "unbekannt",
                                            "unbek.",
                                            "k.a.",
                                            "k. a.",
                                            "keine angabe",
                                            "fehlt",
                                            "fehlend",
                                            "inconnu",
                                            "inconnue",
                                            "nc",
                                            "non connu",
                                            "desconocido",
                                            "desconhecido",
                                            "sconosciuto",
                                            "onbekend",
                                            "ukendt",
                                            "ukjent",
                                            "nieznany",
                                            "declined",
                                            "refused",
                                            "pending",
                                            "error",
                                            "invalid",
                                            "void",
                                            "blank",
                                            "empty",
                                            "nil",
                                            "none",
                                            "null",
                                            "tbd",
                                            "unspecified",
                                            "9999-99-99",
                                            "0000-00-00"};

/* Units and currencies that stand directly at a number. */
static const char *const units[] = {
    "$",          "\u20AC", "\u00A3", "\u00A5", "EUR",    "USD",     "GBP",     "CHF",    "Fr.",
    "kr",         "kg",     "g",      "mg",     "ug",     "\u00B5g", "ng",      "t",      "lb",
    "lbs",        "oz",     "km",     "m",      "cm",     "mm",      "in",      "ft",     "l",
    "L",          "dl",     "ml",     "mL",     "h",      "hrs",     "min",     "s",      "sec",
    "ms",         "d",      "days",   "years",  "yrs",    "y",       "J",       "mmHg",   "bpm",
    "/min",       "K",      "k",      "M",      "C",      "\u00B0C", "\u00B0F", "\u00B0", "mg/dl",
    "mg/dL",      "g/dl",   "g/dL",   "mmol/l", "mmol/L", "U/l",     "U/L",     "IU/l",   "kg/m2",
    "kg/m\u00B2", "cc",     "kW",     "kWh",    "W",      "V",       "Hz"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- words ------------------------------------------------------------------------------------
 */

static char lower(char byte) {
    if (byte >= 'A' && byte <= 'Z') return (char)(byte - 'A' + 'a');
    return byte;
}

static bool is_unit(const char *text, size_t length) {
    /* Most differ at once: texts of 75 units and words are asked for each cell that is no number.
     */
    for (size_t i = 0; i < COUNT(units); i++)
        if (length > 0 && units[i][0] == *text && strlen(units[i]) == length &&
            memcmp(units[i], text, length) == 0)
            return true;
    return false;
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

/* Bytes of a space at `text`, among them the no-break ones (U+00A0, U+2009, U+202F); 0: none. */
static size_t space_at(const char *text, const char *end) {
    if (text < end && *text == ' ') return 1;
    if (end - text >= 2 && memcmp(text, "\u00A0", 2) == 0) return 2;
    if (end - text >= 3 && (memcmp(text, "\u2009", 3) == 0 || memcmp(text, "\u202F", 3) == 0))
        return 3;
    return 0;
}

/* Bytes of a minus or plus at `text`. */
static size_t sign_at(const char *text, const char *end) {
    if (text < end && (*text == '-' || *text == '+')) return 1;
    if (end - text >= 3 && (memcmp(text, "\u2212", 3) == 0 || memcmp(text, "\u2013", 3) == 0))
        return 3;
    return 0;
}

/* A mark between digits at `text`; *bytes: its length. 0: there is none. */
static char mark_at(const char *text, const char *end, size_t *bytes) {
    *bytes = 1;
    if (text == end) return 0;
    if (*text == '.' || *text == ',' || *text == '\'') return *text;
    if (end - text >= 4 && memcmp(text, "\u2019", 3) == 0 && is_digit(text[3])) {
        *bytes = 3;
        return '\'';
    }
    *bytes = space_at(text, end);
    return *bytes > 0 && text + *bytes < end && is_digit(text[*bytes]) ? ' ' : 0;
}

static const struct {
    char decimal, thousands;
} marks[GR_READINGS] = {{'.', 0},   {',', 0},   {'.', ','},  {',', '.'},
                        {'.', ' '}, {',', ' '}, {'.', '\''}, {',', '\''}};

enum gr_decimal gr_infer_reading_decimal(enum gr_infer_reading reading) {
    return marks[reading].decimal == ',' ? GR_DECIMAL_COMMA : GR_DECIMAL_POINT;
}

enum gr_thousands gr_infer_reading_thousands(enum gr_infer_reading reading) {
    switch (marks[reading].thousands) {
    case ',':
        return GR_THOUSANDS_COMMA;
    case '.':
        return GR_THOUSANDS_POINT;
    case ' ':
        return GR_THOUSANDS_SPACE;
    case '\'':
        return GR_THOUSANDS_APOSTROPHE;
    default:
        return GR_THOUSANDS_NONE;
    }
}

/* Digits parted by a mark: whether there was one before, how many stand on its two sides (0 in
 * front: such as part no thousands), and whether it is the last. */
struct parted {
    char mark;
    bool first, last;
    size_t in_front, behind;
};

/* A mark fits as a decimal if it is the last one, as a thousands mark if three digits follow and
 * one to three (behind another mark: three) stand before it. */
static unsigned readings_of(const struct parted *p) {
    const bool three =
        p->behind == 3 && p->in_front >= 1 && p->in_front <= 3 && (p->first || p->in_front == 3);
    unsigned fit = 0;
    for (int r = 0; r < GR_READINGS; r++)
        if ((marks[r].decimal == p->mark && p->last) || (marks[r].thousands == p->mark && three))
            fit |= 1u << r;
    return fit;
}

static size_t count_digits(const char *text, const char *end) {
    size_t n = 0;
    while (text + n < end && is_digit(text[n]))
        n++;
    return n;
}

/* Reads digits with marks from *at on; the readings that fit, 0: no number. */
static unsigned read_digits(const char **at, const char *end, struct gr_infer_form *form) {
    const char *p = *at;
    unsigned fit = ALL_READINGS;
    size_t bytes, digits = count_digits(p, end), all = digits;
    const bool zero = digits > 0 && *p == '0';
    form->whole = true;
    form->padded = zero && digits > 1;
    p += digits;
    struct parted part = {.first = true, .in_front = zero ? 0 : digits};
    while ((part.mark = mark_at(p, end, &bytes)) != 0) {
        const char *next = p + bytes;
        part.behind = count_digits(next, end);
        if (part.behind == 0 && (all == 0 || part.mark == ' ')) break;
        next += part.behind;
        part.last = mark_at(next, end, &bytes) == 0;
        fit &= readings_of(&part);
        all += part.behind;
        form->whole = form->padded = false;
        part.first = false;
        part.in_front = part.behind;
        p = next;
    }
    *at = p;
    return all > 0 ? fit : 0;
}

static void read_exponent(const char **at, const char *end, struct gr_infer_form *form) {
    const char *p = *at;
    if (p == end || (*p != 'e' && *p != 'E')) return;
    p += 1 + sign_at(p + 1, end);
    size_t digits = count_digits(p, end);
    if (digits == 0) return;
    form->whole = false;
    *at = p + digits;
}

/* All kinds of spaces: units follow numbers behind a narrow no-break one in many tables. */
static const char *pass_spaces(const char *p, const char *end) {
    for (size_t n; (n = space_at(p, end)) > 0;)
        p += n;
    return p;
}

/* A currency in front: no letters of a code as "A12". */
static const char *read_prefix(const char *p, const char *end, struct gr_infer_form *form) {
    size_t n = 0;
    while (p + n < end && n < GR_AFFIX_BYTES && !is_digit(p[n]) && p[n] != ' ' && p[n] != '-' &&
           p[n] != '+' && !space_at(p + n, end) && !sign_at(p + n, end) &&
           !(p[n] == '.' && p + n + 1 < end && is_digit(p[n + 1])))
        n++;
    if (n == 0 || !is_unit(p, n) || (isalpha((unsigned char)*p) && n < 2)) return p;
    form->affix[0] = p;
    form->affix_length[0] = n;
    return pass_spaces(p + n, end);
}

/* A unit behind: a known one, or letters after a space. */
static bool read_suffix(const char *p, const char *end, struct gr_infer_form *form) {
    const char *word = pass_spaces(p, end);
    size_t n = (size_t)(end - word);
    bool letters = word > p;
    if (n == 1 && *word == '%') {
        form->percent = true;
        return true;
    }
    if (n == 0 || n > GR_AFFIX_BYTES) return n == 0;
    for (size_t i = 0; i < n; i++)
        letters = letters && !is_digit(word[i]) && (unsigned char)word[i] > ' ';
    if (!is_unit(word, n) && !letters) return false;
    form->affix[1] = word;
    form->affix_length[1] = n;
    return true;
}

/* Sign, prefix, sign, digits, exponent, suffix, each but the digits optional: as csv_cell.c reads
 * them. */
static bool read_number(const char *text, const char *end, struct gr_infer_form *form) {
    const char *p = text + sign_at(text, end);
    p = read_prefix(p, end, form);
    if (form->affix_length[0] > 0 || p == text) p += sign_at(p, end);
    form->readings = read_digits(&p, end, form);
    if (form->readings == 0) return false;
    read_exponent(&p, end, form);
    return read_suffix(p, end, form);
}

/* "<5", "> 89", "90+". */
static bool is_censored(const char *p, const char *end) {
    struct gr_infer_form bound = {0};
    const char *start = p;
    if (end - p >= 3 && (memcmp(p, "\u2264", 3) == 0 || memcmp(p, "\u2265", 3) == 0))
        p += 3;
    else if (p < end && (*p == '<' || *p == '>'))
        p += 1 + (end - p > 1 && p[1] == '=');
    else if (end - p > 1 && end[-1] == '+' && is_digit(end[-2]))
        end--;
    else
        return false;
    p = pass_spaces(p, end);
    return (p > start || *end == '+') && p < end && read_number(p, end, &bound);
}

/* Two numbers in a cell: 120/80, 20-30. */
static bool is_pair(const char *p, const char *end) {
    struct gr_infer_form part = {0};
    if (read_digits(&p, end, &part) == 0) return false;
    p = pass_spaces(p, end);
    if (p == end || !strchr("/-:x", *p)) return false;
    p = pass_spaces(p + 1, end);
    return read_digits(&p, end, &part) != 0 && p == end;
}

/* ---- times and dates --------------------------------------------------------------------------
 */

/* 7:30, 18:00:00, 18.00.00 */
static bool is_time(const char *p, const char *end) {
    unsigned part[3] = {0};
    size_t n = 0, digits;
    char mark = 0;
    for (; n < 3; n++) {
        digits = count_digits(p, end);
        if (digits < 1 || digits > 2) return false;
        for (; digits > 0; digits--)
            part[n] = part[n] * 10 + (unsigned)(*p++ - '0');
        if (p == end || (*p != ':' && *p != '.') || (mark && *p != mark)) break;
        mark = *p++;
    }
    const bool whole = n == 2 || (n == 1 && mark == ':');
    return whole && part[0] < 24 && part[1] < 60 && part[2] < 61 &&
           (p == end || (n == 2 && *p == '.' && count_digits(p + 1, end) == (size_t)(end - p) - 1));
}

/* 12-Mar-2020, 3 March 2020, Mar 12, 2020: known as dates, though no format is for them. */
static bool names_month(const char *text, size_t length) {
    static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdecm\u00E4rmaiokt";
    size_t letters = 0, digits = 0;
    const char *word = NULL;
    if (length < 6 || length > 20) return false;
    for (size_t i = 0; i < length; i++) {
        digits += is_digit(text[i]);
        if (!isalpha((unsigned char)text[i])) continue;
        if (letters++ == 0) word = text + i;
        if (text + i != word + letters - 1) return false;
    }
    if (letters < 3 || digits < 3) return false;
    const char first = lower(*word);
    for (size_t m = 0; m + 3 < sizeof months; m += 3)
        if (months[m] == first && strncasecmp(months + m, word, 3) == 0) return true;
    return false;
}

/* 31.01.24 or 24-01-31, as if it were of this century: whether there is such a day. */
static bool is_short_date(const char *text, size_t length, enum gr_date_format format) {
    char longer[64];
    double seconds;
    size_t year = 0, seen = 0;
    for (size_t i = 0; i < length && seen < 2 && format != GR_DATE_ISO; i++)
        if (!is_digit(text[i]) && ++seen == 2) year = i + 1;
    if (length + 3 > sizeof longer) return false;
    memcpy(longer, text, year);
    longer[year] = '2';
    longer[year + 1] = '0';
    memcpy(longer + year + 2, text + year, length - year);
    return gr_date_read(longer, length + 2, format, true, &seconds) == GR_DATE_READ;
}

/* All three orders are tried; of 03.04.2020 two fit, and another row may decide. */
static bool is_date(const char *text, size_t length, struct gr_infer_form *form) {
    double seconds;
    if (length < 6 || length > 40) return false;
    for (int f = GR_DATE_ISO; is_digit(*text) && f <= GR_DATE_MONTH_FIRST; f++) {
        enum gr_date_reading found =
            gr_date_read(text, length, (enum gr_date_format)f, true, &seconds);
        const bool brief =
            found == GR_DATE_SHORT_YEAR && is_short_date(text, length, (enum gr_date_format)f);
        if (found != GR_DATE_READ && !brief) continue;
        form->dates |= 1u << f;
        form->short_year = brief;
        form->clock = memchr(text, ':', length) != NULL;
    }
    return form->dates || names_month(text, length);
}

/* ---- the cell ---------------------------------------------------------------------------------
 */

/* Of a number with a point, or none, and nothing else in it: read_digits by hand, for there are
 * many. Such cells have passed gr_csv_number; only the three-digit case is open, "1.234". */
static unsigned readings_of_plain(const char *text, size_t length, bool whole) {
    enum {
        POINTS = 1 << GR_READ_POINT | 1 << GR_READ_POINT_COMMAS | 1 << GR_READ_POINT_SPACES |
                 1 << GR_READ_POINT_APOSTROPHES
    };
    const char *end = text + length, *first = text + sign_at(text, end);
    const char *point = whole ? NULL : memchr(text, '.', length);
    if (!point) return ALL_READINGS; /* an exponent */
    const bool three = count_digits(point + 1, end) == 3, few = point - first <= 3;
    return three && few && point > first && *first != '0' ? POINTS | 1 << GR_READ_COMMA_POINTS
                                                          : POINTS;
}

/* Words before dates, since "0000-00-00" is no day; times before pairs, as 7:30 is both. */
static void read_other(const char *text, size_t length, struct gr_infer_form *form) {
    const char *end = text + length;
    form->time = is_time(text, end);
    if (gr_infer_form_is_common(text, length))
        form->kind = GR_FORM_UNKNOWN;
    else if (is_date(text, length, form)) /* 10.12.21 may be either */
        form->kind = GR_FORM_DATE;
    else if (form->time)
        form->kind = GR_FORM_TIME;
    else if (is_pair(text, end))
        form->kind = GR_FORM_PAIR;
    else if (is_censored(text, end))
        form->kind = GR_FORM_CENSORED;
    else if (read_number(text, end, form))
        form->kind = GR_FORM_NUMBER;
    else
        form->kind = GR_FORM_WORD;
}

/* Numbers in plain signs first: they are most cells, and the reader of training knows them. */
void gr_infer_form_of(const char *text, size_t length, struct gr_infer_form *form) {
    double value;
    float nearest;
    *form = (struct gr_infer_form){.kind = GR_FORM_NUMBER};
    enum gr_csv_number kind = gr_csv_number(text, length, &value, &nearest);
    switch (kind) {
    case GR_CSV_WHOLE:
    case GR_CSV_NUMBER:
    case GR_CSV_OVERFLOW:
        form->value = value;
        form->whole = kind == GR_CSV_WHOLE;
        form->readings = readings_of_plain(text, length, form->whole);
        form->padded = form->whole && length > 1 && *text == '0';
        break;
    case GR_CSV_MISSING:
        form->kind =
            gr_cell_default_missing(text, length, false) ? GR_FORM_MISSING : GR_FORM_UNKNOWN;
        break;
    case GR_CSV_INFINITE:
        form->kind = GR_FORM_INFINITE;
        break;
    default:
        read_other(text, length, form);
    }
}

/* Signs without a letter or digit, and a spreadsheet's errors, which begin with "#". */
bool gr_infer_form_says_nothing(const char *text, size_t length) {
    bool letters = false;
    for (size_t i = 0; i < length; i++)
        letters = letters || isalpha((unsigned char)text[i]) || is_digit(text[i]);
    return !letters || *text == '#';
}

bool gr_infer_form_is_common(const char *text, size_t length) {
    if (gr_cell_default_missing(text, length, true)) return true;
    if (length == 0 || length > WORD_BYTES_MAX) return false;
    const char first = lower(*text);
    for (size_t i = 0; i < COUNT(unknown_words); i++)
        if (unknown_words[i][0] == first && strlen(unknown_words[i]) == length &&
            strncasecmp(unknown_words[i], text, length) == 0)
            return true;
    return false;
}
