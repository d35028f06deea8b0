/* SPDX-License-Identifier: Apache-2.0 */
/* Fields to numbers. */
#include "data/csv_scan.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NUMBER_BYTES_MAX = 512, DIGITS_MAX = 19, POWER_MAX = 22, WORD_MAX = 12 };

static const double power_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                      1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Words, compared without case, that stand for no value, and those for an infinity. */
static const char *const missing_words[] = {"",     "na",      "n/a",    "#n/a",   "<na>", "nan",
                                            "null", "none",    "nil",    "?",      ".",    "-",
                                            "#na",  "1.#qnan", "1.#ind", "missing"};
static const char *const infinite_words[] = {"inf", "infinity", "1.#inf", "1.#infinity",
                                             "\xE2\x88\x9E"};

static bool is_word(const char *text, size_t length, const char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strlen(words[i]) == length && strncasecmp(text, words[i], length) == 0) return true;
    return false;
}

static enum gr_csv_number read_word(const char *text, size_t length) {
    const size_t n_missing = sizeof missing_words / sizeof *missing_words;
    const size_t n_infinite = sizeof infinite_words / sizeof *infinite_words;
    if (is_word(text, length, missing_words, n_missing)) return GR_CSV_MISSING;
    bool sign = length > 0 && (*text == '+' || *text == '-');
    text += sign;
    length -= sign;
    if (sign && length < 3) return GR_CSV_OTHER;
    if (length > 4 && text[length - 1] == ')' && strncasecmp(text, "nan(", 4) == 0)
        return GR_CSV_MISSING;
    if (is_word(text, length, missing_words + 1, n_missing - 1) && strncasecmp(text, "n", 1) == 0)
        return strncasecmp(text, "nan", 3) == 0 ? GR_CSV_MISSING : GR_CSV_OTHER;
    if (length > 3 && strncasecmp(text, "1.#", 3) == 0 &&
        is_word(text, length, missing_words, n_missing))
        return GR_CSV_MISSING;
    return is_word(text, length, infinite_words, n_infinite) ? GR_CSV_INFINITE : GR_CSV_OTHER;
}

static locale_t c_locale(void) {
    static locale_t made;
    if (made == (locale_t)0) made = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return made;
}

/* What the fast way does not decide. The text is known to be a decimal number. */
static enum gr_csv_number read_exactly(const char *text, size_t length, float *out) {
    char copy[NUMBER_BYTES_MAX + 1];
    if (length > NUMBER_BYTES_MAX || c_locale() == (locale_t)0) return GR_CSV_OTHER;
    memcpy(copy, text, length);
    copy[length] = '\0';
    *out = strtof_l(copy, NULL, c_locale());
    return isfinite(*out) ? GR_CSV_NUMBER : GR_CSV_OVERFLOW;
}

/* Whether a double within two units of its last place rounds to one and the same float32. */
static bool decides(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t rest = bits & ((1u << 29) - 1);
    double size = fabs(value);
    return size > FLT_MIN && size < (double)FLT_MAX / 2 &&
           (rest < (1u << 28) - 4 || rest > (1u << 28) + 4);
}

/* The exponent behind its 'e'; returns the end, NULL: none. */
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

void gr_csv_trim(const struct gr_csv_field *field, const char **text, size_t *length) {
    const char *at = field->text;
    size_t n = field->length;
    while (!field->quoted && n > 0 && at[n - 1] == ' ')
        n--;
    for (; !field->quoted && n > 0 && *at == ' '; n--)
        at++;
    *text = at;
    *length = n;
}

enum gr_csv_number gr_csv_number(const char *text, size_t length, float *out) {
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
    if (n_digits == 0) return read_word(text, length);
    if (p < end && (*p == 'e' || *p == 'E')) {
        whole = false;
        p = read_exponent(p + 1, end, &exponent);
    }
    if (p != end) return read_word(text, length);
    enum gr_csv_number kind = GR_CSV_NUMBER;
    double value = 0;
    if (n_digits <= DIGITS_MAX && exponent >= -POWER_MAX && exponent <= POWER_MAX)
        value = exponent < 0 ? (double)mantissa / power_of_ten[-exponent]
                             : (double)mantissa * power_of_ten[exponent];
    if (decides(value) || (n_digits <= DIGITS_MAX && mantissa == 0))
        *out = (float)(*text == '-' ? -value : value);
    else
        kind = read_exactly(text, length, out);
    return kind == GR_CSV_NUMBER && whole ? GR_CSV_WHOLE : kind;
}
