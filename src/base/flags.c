/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of many elements of which few are set: found by the element, walked by a list. */
#include <granary/base.h>

#include <stdlib.h>
#include <string.h>

/* The list has room for all elements, so that setting a flag cannot fail; its memory is untouched,
 * and the system's, until so many are set. */
gr_status gr_flags_create(uint32_t n, const char *what, struct gr_flags *out) {
    gr_status status;
    *out = (struct gr_flags){.n = n, .ascending = true};
    GR_TRY(gr_allocate_zero(n, sizeof *out->flag, what, &out->flag));
    GR_TRY(gr_allocate(n, sizeof *out->set, what, &out->set));
out:
    return status;
}

void gr_flags_release(struct gr_flags *flags) {
    gr_free(flags->flag);
    gr_free(flags->set);
    *flags = (struct gr_flags){0};
}

static void unset(struct gr_flags *flags, uint32_t element) {
    uint32_t at = 0;
    if (!flags->flag[element]) return;
    while (flags->set[at] != element)
        at++;
    memmove(flags->set + at, flags->set + at + 1, (--flags->n_set - at) * sizeof *flags->set);
    flags->flag[element] = 0;
}

void gr_flags_set(struct gr_flags *flags, uint32_t element, uint8_t value) {
    if (value == 0) {
        unset(flags, element);
        return;
    }
    if (!flags->flag[element]) {
        if (flags->n_set > 0 && flags->set[flags->n_set - 1] > element) flags->ascending = false;
        flags->set[flags->n_set++] = element;
    }
    flags->flag[element] = value;
}

void gr_flags_clear(struct gr_flags *flags) {
    for (uint32_t i = 0; i < flags->n_set; i++)
        flags->flag[flags->set[i]] = 0;
    flags->n_set = 0;
    flags->ascending = true;
}

static int compare_elements(const void *left, const void *right) {
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* Where many are set, looking at all flags takes less time than sorting does. */
void gr_flags_sort(struct gr_flags *flags) {
    enum { FEW = 32 };
    if (flags->ascending) return;
    if (flags->n_set < flags->n / FEW) {
        qsort(flags->set, flags->n_set, sizeof *flags->set, compare_elements);
    } else {
        flags->n_set = 0;
        for (uint32_t i = 0; i < flags->n; i++)
            if (flags->flag[i]) flags->set[flags->n_set++] = i;
    }
    flags->ascending = true;
}
