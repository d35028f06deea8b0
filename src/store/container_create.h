/* SPDX-License-Identifier: Apache-2.0 */
/* The first step of writing a container: see container.h. */
#ifndef GRANARY_STORE_CONTAINER_CREATE_H
#define GRANARY_STORE_CONTAINER_CREATE_H

#include <granary/store.h>
#include <hdf5.h>

/* Places in the file of what is no tensor and yet written after the layout; they stand behind those
 * of the tensors, vector by vector. 0: there is no such dataset. */
enum { GR_PLACE_DIGESTS, GR_PLACE_ROUNDS, GR_PLACE_COUNTS, GR_PLACES };
size_t gr_container_places(const struct gr_state *state);

/*
 * Makes the file with everything in it but the bytes of its datasets, and leaves it open as *file,
 * also on failure where it is >= 0. access: how; through MPI-IO it is collective over the access's
 * communicator, and all bring the same. place: receives gr_container_places(state) positions.
 * reserve, where it is not NULL, is called once the file is there and empty. Errors:
 * GR_ERROR_WRITE.
 */
gr_status gr_container_create(const char *path, const char *format, const struct gr_state *state,
                              size_t n_pieces, hid_t access, gr_status (*reserve)(void *context),
                              void *context, uint64_t *place, hid_t *file) GR_CHECKED;

/* How long such a file is at most. */
uint64_t gr_container_bytes(const struct gr_state *state, size_t n_pieces);

#endif
