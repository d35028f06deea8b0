/* SPDX-License-Identifier: Apache-2.0 */
/* Aligned memory with overflow checked. There is no pool and no realloc: whatever grows copies, and
 * large vectors are allocated once a run. */
#include <granary/base.h>

#include <stdlib.h>
#include <string.h>

/* A cache line, and a register of AVX-512: no vector of a kernel straddles two lines. */
enum { ALIGNMENT = 64 };

/* `out` is written by memcpy, because it points to a pointer of any type: a store through void **
 * would break the aliasing rules. aligned_alloc asks for a multiple of the alignment. */
gr_status gr_allocate(size_t count, size_t size, const char *what, void *out) {
    size_t bytes;
    void *pointer = NULL;
    memset(out, 0, sizeof pointer);
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX - ALIGNMENT)
        return gr_fail(GR_ERROR_INTERNAL, "memory for %s: %zu times %zu bytes is too much", what,
                       count, size);
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    pointer = aligned_alloc(ALIGNMENT, bytes ? bytes : ALIGNMENT);
    if (!pointer)
        return gr_fail(GR_ERROR_INTERNAL, "memory for %s: %zu bytes were refused", what, bytes);
    memcpy(out, &pointer, sizeof pointer);
    /* cppcheck-suppress memleak ; *out has it */
    return GR_OK;
}

gr_status gr_allocate_zero(size_t count, size_t size, const char *what, void *out) {
    gr_status status = gr_allocate(count, size, what, out);
    if (status == GR_OK) {
        void *pointer;
        memcpy(&pointer, out, sizeof pointer);
        memset(pointer, 0, count * size);
    }
    return status;
}

void gr_free(void *pointer) {
    free(pointer);
}
