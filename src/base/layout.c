/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The named tensors of one contiguous parameter vector. The layout is the contract between model,
 * checkpoint and sum: all of them address a parameter by its offset here. It holds no parameters.
 */
#include <granary/base.h>

#include <stdlib.h>
#include <string.h>

gr_status gr_layout_append(struct gr_layout *layout, const char *name, size_t n_dims,
                           const size_t *shape) {
    struct gr_tensor tensor = {.n_dims = n_dims, .n_elements = 1, .offset = layout->size};
    if (n_dims < 1 || n_dims > GR_TENSOR_DIMS_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "tensor %s: %zu dimensions, expected 1 to %d", name,
                       n_dims, GR_TENSOR_DIMS_MAX);
    if (strnlen(name, GR_TENSOR_NAME_MAX) >= GR_TENSOR_NAME_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "tensor %.40s...: name over %d bytes", name,
                       GR_TENSOR_NAME_MAX - 1);
    memcpy(tensor.name, name, strlen(name));
    for (size_t i = 0; i < n_dims; i++) {
        tensor.shape[i] = shape[i];
        if (__builtin_mul_overflow(tensor.n_elements, shape[i], &tensor.n_elements))
            return gr_fail(GR_ERROR_INTERNAL, "tensor %s: its size overflows", name);
    }
    /* Sizes come from files as well. An eighth of the address space leaves room for the alignment
     * and for multiplying by sizeof(float). */
    if (tensor.n_elements == 0 || tensor.n_elements > SIZE_MAX / 8 - layout->size)
        return gr_fail(GR_ERROR_INTERNAL, "tensor %s: %zu elements", name, tensor.n_elements);
    /* One at a time: a model has tens of tensors, and appends them once. */
    struct gr_tensor *grown =
        realloc(layout->tensors, (layout->n_tensors + 1) * sizeof *layout->tensors);
    if (!grown) return gr_fail(GR_ERROR_INTERNAL, "memory for a layout was refused");
    layout->tensors = grown;
    layout->tensors[layout->n_tensors++] = tensor;
    size_t end = tensor.offset + tensor.n_elements;
    layout->size = (end + GR_LAYOUT_ALIGNMENT - 1) / GR_LAYOUT_ALIGNMENT * GR_LAYOUT_ALIGNMENT;
    layout->n_parameters += tensor.n_elements;
    return GR_OK;
}

void gr_layout_release(struct gr_layout *layout) {
    free(layout->tensors);
    memset(layout, 0, sizeof *layout);
}

const struct gr_tensor *gr_layout_find(const struct gr_layout *layout, size_t offset) {
    for (size_t i = 0; i < layout->n_tensors; i++) {
        const struct gr_tensor *tensor = &layout->tensors[i];
        if (offset >= tensor->offset && offset - tensor->offset < tensor->n_elements) return tensor;
    }
    return NULL;
}

bool gr_layout_equal(const struct gr_layout *a, const struct gr_layout *b) {
    if (a->n_tensors != b->n_tensors || a->size != b->size) return false;
    for (size_t i = 0; i < a->n_tensors; i++) {
        const struct gr_tensor *x = &a->tensors[i], *y = &b->tensors[i];
        if (strcmp(x->name, y->name) != 0 || x->n_dims != y->n_dims || x->offset != y->offset ||
            memcmp(x->shape, y->shape, x->n_dims * sizeof *x->shape) != 0)
            return false;
    }
    return true;
}

/* Over the elements alone: another alignment, or another name of a tensor, leaves the digest of the
 * same numbers as it is. */
void gr_layout_digest(const struct gr_layout *layout, const float *parameters,
                      unsigned char out[GR_DIGEST_BYTES]) {
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "digests are over little-endian");
    struct gr_digest digest;
    gr_digest_start(&digest);
    for (size_t i = 0; i < layout->n_tensors; i++) {
        const struct gr_tensor *tensor = &layout->tensors[i];
        gr_digest_add(&digest, parameters + tensor->offset, tensor->n_elements * sizeof(float));
    }
    gr_digest_finish(&digest, out);
}

/* ---- some tensors --------------------------------------------------------------------------- */

void gr_sublayout_release(struct gr_sublayout *sub) {
    gr_layout_release(&sub->layout);
    gr_free(sub->spans);
    *sub = (struct gr_sublayout){0};
}

gr_status gr_sublayout_create(const struct gr_layout *whole, const uint8_t *chosen,
                              struct gr_sublayout *out) {
    gr_status status = GR_OK;
    *out = (struct gr_sublayout){0};
    struct gr_layout_span *spans = NULL;
    GR_TRY(gr_allocate(whole->n_tensors, sizeof *spans, "a layout", &spans));
    out->spans = spans;
    for (size_t i = 0; i < whole->n_tensors; i++) {
        const struct gr_tensor *tensor = &whole->tensors[i];
        const size_t part = out->layout.size;
        if (chosen && !chosen[i]) continue;
        GR_TRY(gr_layout_append(&out->layout, tensor->name, tensor->n_dims, tensor->shape));
        /* The gap behind a tensor is as long in both, and goes with it. */
        const size_t n = out->layout.size - part;
        const size_t last = out->n_spans - 1;
        if (out->n_spans > 0 && spans[last].whole + spans[last].n == tensor->offset)
            spans[last].n += n;
        else
            spans[out->n_spans++] = (struct gr_layout_span){tensor->offset, part, n};
    }
out:
    if (status != GR_OK) gr_sublayout_release(out);
    return status;
}

void gr_sublayout_pack(const struct gr_sublayout *sub, float *vector) {
    for (size_t i = 0; i < sub->n_spans; i++) {
        const struct gr_layout_span *span = &sub->spans[i];
        if (span->whole == span->part) continue;
        memmove(vector + span->part, vector + span->whole, span->n * sizeof *vector);
    }
}
