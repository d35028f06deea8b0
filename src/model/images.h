/* SPDX-License-Identifier: Apache-2.0 */
/*
 * images: windows over images; oneDNN's operations of a convolution, made for a number of rows when
 * that number first comes, and kept for a few of them.
 *
 * They are made for just so many rows: padding a batch of 10 to 16 would cost half as much again.
 */
#ifndef GRANARY_MODEL_IMAGES_H
#define GRANARY_MODEL_IMAGES_H

#include <model/layer.h>
#include <model/primitive.h>

/* For one number of rows. */
struct gr_image_set {
    size_t n;      /* 0: unused */
    uint64_t used; /* when, on the clock of uses */
    struct gr_primitive forward;
    struct gr_primitive data, weight; /* made by the first backward pass: scoring needs none */
};

/* Batches, the last of an epoch in a few silos, and the test's: more come and go. */
enum { GR_IMAGE_SETS = 8 };

/* A layer's state. */
struct gr_images {
    struct gr_image_set sets[GR_IMAGE_SETS];
    uint64_t clock;
};

/* A layer's `prepare` and `release`. */
gr_status gr_images_prepare(struct gr_model *model, struct gr_layer *layer) GR_CHECKED;
void gr_images_release(struct gr_layer *layer);

typedef gr_status (*gr_images_make)(const struct gr_dnnl *dnnl, const struct gr_layer *layer,
                                    struct gr_image_set *set);

/* The set for n rows, by `make` (set->n says how many) when there is none yet. */
gr_status gr_images_find(const struct gr_dnnl *dnnl, struct gr_layer *layer, size_t n,
                         gr_images_make make, struct gr_image_set **out) GR_CHECKED;

/* n images of that extent as [n, height, width, channels]. */
dnnl_status_t gr_images_desc(dnnl_data_type_t type, size_t n, const struct gr_extent *extent,
                             struct gr_desc *out);

/*
 * The window of a layer's kernel, stride and padding. Sets the height and width of *to:
 * 1 + (n - kernel) / stride for `valid`, n / stride rounded up for `same`, where what is padded is
 * shared evenly, the odd row or column behind (as TensorFlow, and PyTorch for stride 1).
 * GR_ERROR_CONFIG for a kernel that is larger than the image.
 */
gr_status gr_images_window(const struct gr_layer *layer, struct gr_kernel_window *out,
                           struct gr_extent *to) GR_CHECKED;

#endif
