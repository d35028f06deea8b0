/* SPDX-License-Identifier: Apache-2.0 */
/* MPI's sums of words are tried before they are trusted: a total that stopped at the largest number
 * would be wrong without a sign of it. */
#include "comm/word_sum.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { TRIED = 1024 }; /* words: more than a vector register and a remainder take */

size_t gr_word_width(size_t bytes) {
    return bytes == sizeof(uint64_t) ? 2 : bytes == sizeof(uint32_t) ? 1 : 0;
}

static void add_16(void *in, void *sums, int *n, MPI_Datatype *type) {
    const uint16_t *from = in;
    uint16_t *to = sums;
    (void)type;
    for (int i = 0; i < *n; i++)
        to[i] = (uint16_t)(to[i] + from[i]);
}

static void add_32(void *in, void *sums, int *n, MPI_Datatype *type) {
    const uint32_t *from = in;
    uint32_t *to = sums;
    (void)type;
    for (int i = 0; i < *n; i++)
        to[i] += from[i];
}

static void add_64(void *in, void *sums, int *n, MPI_Datatype *type) {
    const uint64_t *from = in;
    uint64_t *to = sums;
    (void)type;
    for (int i = 0; i < *n; i++)
        to[i] += from[i];
}

/* Word i of a buffer, its lower `bytes`. */
static void set_word(unsigned char *words, size_t bytes, size_t i, uint64_t value) {
    for (size_t k = 0; k < bytes; k++)
        words[i * bytes + k] = (unsigned char)(value >> 8 * k);
}

/* Each leader brings half of the range and one: two of them leave it. */
static int try_sum(MPI_Comm leaders, MPI_Datatype type, size_t bytes, bool *wraps) {
    unsigned char words[TRIED * sizeof(uint64_t)], expected[TRIED * sizeof(uint64_t)];
    const uint64_t half = (uint64_t)1 << (8 * bytes - 1);
    int size, same;
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the lower bytes first");
    int code = MPI_Comm_size(leaders, &size);
    if (code != MPI_SUCCESS) return code;
    for (size_t i = 0; i < TRIED; i++) {
        set_word(words, bytes, i, half + i + 1);
        set_word(expected, bytes, i, (uint64_t)size * (half + i + 1));
    }
    code = MPI_Allreduce(MPI_IN_PLACE, words, TRIED, type, MPI_SUM, leaders);
    if (code != MPI_SUCCESS) return code;
    same = memcmp(words, expected, TRIED * bytes) == 0;
    code = MPI_Allreduce(MPI_IN_PLACE, &same, 1, MPI_INT, MPI_MIN, leaders);
    *wraps = same != 0;
    return code;
}

int gr_word_sums_create(MPI_Comm leaders, struct gr_word_sums *out) {
    static MPI_User_function *const own[GR_WORD_WIDTHS] = {add_16, add_32, add_64};
    *out = (struct gr_word_sums){{MPI_UINT16_T, MPI_UINT32_T, MPI_UINT64_T},
                                 {MPI_SUM, MPI_SUM, MPI_SUM}};
    for (size_t w = 0; w < GR_WORD_WIDTHS; w++) {
        bool wraps = false;
        int code = try_sum(leaders, out->type[w], sizeof(uint16_t) << w, &wraps);
        if (code == MPI_SUCCESS && !wraps) code = MPI_Op_create(own[w], 1, &out->op[w]);
        if (code != MPI_SUCCESS) return code;
    }
    return MPI_SUCCESS;
}

void gr_word_sums_free(struct gr_word_sums *sums) {
    for (size_t w = 0; w < GR_WORD_WIDTHS; w++)
        if (sums->op[w] != MPI_SUM && sums->op[w] != MPI_OP_NULL) MPI_Op_free(&sums->op[w]);
}
