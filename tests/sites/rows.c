/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether rows of numbers of one file stand in others, byte for byte.
 *   rows MODEL FILE...
 * A row is four float32 one behind the other that are all such as weights are: not 0, different, of
 * 1e-5 to 1e2 in magnitude. Prints how many rows MODEL has and how many of them each FILE; ends
 * with 0 when none is found, 1 when one is, 2 on errors.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW = 4 * sizeof(float), ROWS_MAX = 1 << 16 };

static unsigned char *read_file(const char *path, size_t *n) {
    unsigned char *bytes = NULL;
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(2);
    }
    *n = (size_t)ftell(file);
    rewind(file);
    bytes = malloc(*n + 1);
    if (!bytes || fread(bytes, 1, *n, file) != *n) exit(2);
    fclose(file);
    return bytes;
}

static bool is_row(const unsigned char *bytes) {
    float weights[4];
    memcpy(weights, bytes, ROW);
    for (int i = 0; i < 4; i++) {
        const float size = fabsf(weights[i]);
        if (!(size > 1e-5F && size < 1e2F) || (i > 0 && weights[i] == weights[i - 1])) return false;
    }
    return true;
}

int main(int n_words, char **words) {
    static const unsigned char *row[ROWS_MAX];
    size_t n, n_rows = 0, found = 0;
    if (n_words < 3) return 2;
    const unsigned char *model = read_file(words[1], &n);
    for (size_t i = 0; i + ROW <= n && n_rows < ROWS_MAX; i += 4)
        if (is_row(model + i)) row[n_rows++] = model + i;
    printf("%s: %zu rows\n", words[1], n_rows);
    for (int i = 2; i < n_words; i++) {
        size_t size, here = 0;
        unsigned char *bytes = read_file(words[i], &size);
        for (size_t k = 0; k < n_rows; k++)
            here += memmem(bytes, size, row[k], ROW) != NULL;
        printf("%s: %zu of them\n", words[i], here);
        found += here;
        free(bytes);
    }
    return n_rows == 0 ? 2 : found > 0;
}
