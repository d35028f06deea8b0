/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain numbers: the double and the float32 nearest to a text. A mantissa of up to 53 bits and a
 * power of ten up to 10^22 are exact doubles, so that one operation rounds right (Clinger 1990).
 * Mantissas of up to 64 bits go the same way in 64-bit arithmetic, where there is one, unless the
 * result is the middle of two doubles; then, and beyond, strtod decides. The float32 is the
 * double's, unless that is the middle of two floats: strtof.
 */
#include "data/csv_cell.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define EXACT_BITS   (UINT64_C(1) << 53)

enum { NUMBER_BYTES_MAX = 512, DIGITS_MAX = 19, POWER_MAX = 22 };

/* 10^22 is the last power of ten that a double holds exactly: 5^22 < 2^53. */
static const double power_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                      1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* ---- words ---------------------------------------------------------------------------------- */

static const char *const missing_words[] = {"",    "na",  "n/a",  "#n/a", "<na>",
                                            "#na", "nan", "null", "\\n",  "?"};
static const char *const missing_numbers[] = {
    "none",         "nil",     ".",       "-",       "\xE2\x80\x93", "\xE2\x80\x94",
    "\xE2\x88\x92", "missing", "unknown", "1.#qnan", "1.#ind"};
static const char *const infinite_words[] = {"inf", "infinity", "1.#inf", "1.#infinity",
                                             "\xE2\x88\x9E"};

/* Words in lower case; most texts differ from all of them in the first byte. */
static bool is_word(const char *text, size_t length, const char *const *words, size_t n) {
    char first = '\0';
    if (length > 0) first = *text;
    if (first >= 'A' && first <= 'Z') first = (char)(first - 'A' + 'a');
    for (size_t i = 0; i < n; i++)
        if (words[i][0] == first && strlen(words[i]) == length &&
            strncasecmp(text, words[i], length) == 0)
            return true;
    return false;
}

/* NaN as printf has it. */
static bool is_nan(const char *text, size_t length) {
    if (length < 3 || strncasecmp(text, "nan", 3) != 0) return false;
    return length == 3 || (length > 4 && text[3] == '(' && text[length - 1] == ')');
}

bool gr_cell_default_missing(const char *text, size_t length, bool numbers) {
    if (is_word(text, length, missing_words, COUNT(missing_words))) return true;
    if (!numbers) return false;
    if (is_word(text, length, missing_numbers, COUNT(missing_numbers))) return true;
    const bool sign = length > 0 && (*text == '+' || *text == '-');
    text += sign;
    length -= sign;
    return is_nan(text, length) || (length > 3 && strncasecmp(text, "1.#", 3) == 0 &&
                                    is_word(text, length, missing_numbers, COUNT(missing_numbers)));
}

static bool is_infinite(const char *text, size_t length) {
    const bool sign = length > 0 && (*text == '+' || *text == '-');
    return is_word(text + sign, length - sign, infinite_words, COUNT(infinite_words));
}

/* Reads a cell that is no number in plain signs. */
static enum gr_csv_number read_other(const char *text, size_t length, double *value,
                                     float *nearest) {
    const char *p = text;
    size_t n = length;
    gr_cell_trim(&p, &n);
    if (n < length) return gr_csv_number(p, n, value, nearest);
    if (n > 3 && (memcmp(p, "\xE2\x88\x92", 3) == 0 || memcmp(p, "\xE2\x80\x93", 3) == 0) &&
        (p[3] == '.' || (unsigned char)(p[3] - '0') < 10)) {
        const enum gr_csv_number kind = gr_csv_number(p + 3, n - 3, value, nearest);
        if (kind <= GR_CSV_WHOLE) {
            *value = -*value;
            *nearest = -*nearest;
        }
        return kind;
    }
    if (gr_cell_default_missing(p, n, true)) return GR_CSV_MISSING;
    return is_infinite(p, n) ? GR_CSV_INFINITE : GR_CSV_OTHER;
}

/* ---- numbers -------------------------------------------------------------------------------- */

/* Made once and kept: a program's own locale may write a comma for the point. */
static locale_t c_locale(void) {
    static locale_t made;
    if (made == (locale_t)0) made = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return made;
}

/* The C library, whose conversions are exact. The text is known to be a decimal number. */
static bool read_exactly(const char *text, size_t length, double *value, float *nearest) {
    char copy[NUMBER_BYTES_MAX + 1];
    if (length > NUMBER_BYTES_MAX || c_locale() == (locale_t)0) return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (value) *value = strtod_l(copy, NULL, c_locale());
    *nearest = strtof_l(copy, NULL, c_locale());
    return true;
}

/* False: not decided. In 64 bits the quotient or product is rounded once; rounding it again to 53
 * bits is right unless its last 11 bits are the middle, 100 0000 0000. */
static inline bool make_double(uint64_t mantissa, int exponent, double *value) {
    if (exponent < -POWER_MAX || exponent > POWER_MAX) return false;
    const double power = power_of_ten[exponent < 0 ? -exponent : exponent];
    if (mantissa <= EXACT_BITS) {
        *value = exponent < 0 ? (double)mantissa / power : (double)mantissa * power;
        return true;
    }
#if LDBL_MANT_DIG == 64
    const long double wide = exponent < 0 ? (long double)mantissa / (long double)power
                                          : (long double)mantissa * (long double)power;
    uint64_t bits;
    memcpy(&bits, &wide, sizeof bits);
    *value = (double)wide;
    return (bits & 0x7FF) != 0x400;
#else
    return false;
#endif
}

/*
 * Whether a double's float32 is the float32 nearest to the text that the double is nearest to. The
 * middle of two floats has a 1 and 28 zeros below float's 24 bits. Small and huge numbers, where
 * float32 has other spacing or none, are not decided here either.
 */
static bool decides(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const double size = fabs(value);
    return (bits & ((1u << 29) - 1)) != 1u << 28 && size > (double)FLT_MIN &&
           size < (double)FLT_MAX / 2;
}

/* The exponent behind its 'e'; returns the end, NULL: none. Digits behind 100000 are of no account:
 * the number is 0, or beyond all. */
static const char *read_exponent(const char *p, const char *end, int *exponent) {
    bool negative = p < end && *p == '-';
    int value = 0;
    p += p < end && (*p == '-' || *p == '+');
    const char *first = p;
    for (; p < end && (unsigned char)(*p - '0') < 10; p++)
        if (value < 100000) value = value * 10 + (*p - '0');
    *exponent += negative ? -value : value;
    return p == first ? NULL : p;
}

/* Long on purpose: it is the innermost loop of every CSV file, a single pass over the bytes. The
 * mantissa may wrap beyond 19 digits; n_digits then sends it to strtod. */
enum gr_csv_number gr_csv_number(const char *text, size_t length, double *value, float *nearest) {
    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    const char *p = text, *end = text + length;
    uint64_t mantissa = 0;
    int exponent = 0;
    bool whole = true;
    p += p < end && (*p == '-' || *p == '+');
    const char *digits = p;
    for (; p < end && (unsigned char)(*p - '0') < 10; p++)
        mantissa = mantissa * 10 + (uint64_t)(*p - '0');
    size_t n_digits = (size_t)(p - digits);
    if (p < end && *p == '.') {
        const char *fraction = ++p;
        whole = false;
        for (; p < end && (unsigned char)(*p - '0') < 10; p++)
            mantissa = mantissa * 10 + (uint64_t)(*p - '0');
        n_digits += (size_t)(p - fraction);
        exponent = -(int)(p - fraction < NUMBER_BYTES_MAX ? p - fraction : NUMBER_BYTES_MAX);
    }
    if (n_digits == 0) return read_other(text, length, value, nearest);
    if (p < end && (*p == 'e' || *p == 'E')) {
        whole = false;
        p = read_exponent(p + 1, end, &exponent);
    }
    if (p != end) return read_other(text, length, value, nearest);
    double size = 0;
    const bool made =
        n_digits <= DIGITS_MAX && (mantissa == 0 || make_double(mantissa, exponent, &size));
    *value = *text == '-' ? -size : size;
    *nearest = (float)*value;
    if (!made || !(decides(size) || mantissa == 0)) {
        if (!read_exactly(text, length, made ? NULL : value, nearest)) return GR_CSV_OTHER;
        if (!isfinite(*nearest)) return GR_CSV_OVERFLOW;
    }
    return whole ? GR_CSV_WHOLE : GR_CSV_NUMBER;
}
