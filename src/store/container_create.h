/* SPDX-License-Identifier: Apache-2.0 */
/* The first step of writing a container: see container.h. Not collective. */
#ifndef GRANARY_STORE_CONTAINER_CREATE_H
#define GRANARY_STORE_CONTAINER_CREATE_H

#include <granary/store.h>

/*
 * Makes the file PATH, which `fd` has open, with everything in it but the bytes of its datasets,
 * and closes it. parallel: through MPI-IO. offset: receives where the tensors' bytes belong, vector
 * by vector. Room is checked and reserved first. Errors: GR_ERROR_WRITE.
 */
gr_status gr_container_create(const char *path, int fd, const char *format,
                              const struct gr_state *state, size_t n_pieces, bool parallel,
                              uint64_t *offset) GR_CHECKED;

/* How long such a file is at most. */
uint64_t gr_container_bytes(const struct gr_state *state, size_t n_pieces);

#endif
