/* SPDX-License-Identifier: Apache-2.0 */
/* Whole numbers as texts: 1 and 1.0 are one category. They are compared as text and not as numbers,
 * because codes may have more digits than double has, and "007" is not 7. */
#include <granary/config.h>

/* "-1.00" gives 2, "10" gives 2 and ".0", "1.5" and "x.0" their whole length. */
size_t gr_whole_length(const char *text, size_t length, enum gr_decimal decimal) {
    const char mark = decimal == GR_DECIMAL_COMMA ? ',' : '.';
    size_t n = length;
    while (n > 0 && text[n - 1] == '0')
        n--;
    if (n < 2 || n == length || text[n - 1] != mark) return length;
    for (size_t i = text[0] == '-' || text[0] == '+'; i < n - 1; i++)
        if ((unsigned char)(text[i] - '0') >= 10) return length;
    return (unsigned char)(text[n - 2] - '0') < 10 ? n - 1 : length;
}

bool gr_is_whole(const char *text, size_t length, enum gr_decimal decimal) {
    const size_t n = gr_whole_length(text, length, decimal);
    const size_t first = n > 0 && (text[0] == '-' || text[0] == '+');
    for (size_t i = first; i < n; i++)
        if ((unsigned char)(text[i] - '0') >= 10) return false;
    return n > first;
}
