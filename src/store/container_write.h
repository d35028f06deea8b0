/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two ways of writing a container share: container_write.c, by which each rank writes by
 * itself, and container_collective.c, by which all write one file through MPI-IO.
 */
#ifndef GRANARY_STORE_CONTAINER_WRITE_H
#define GRANARY_STORE_CONTAINER_WRITE_H

#include "store/container.h"
#include "store/container_create.h"

struct gr_container_writer {
    struct gr_comm *comm; /* NULL: this process alone */
    int rank, size;
    const char *path, *format;
    const struct gr_state *state;
    const struct gr_checkpoint_io *io;       /* never NULL */
    bool together;                           /* through MPI-IO; else each rank a slab */
    size_t n_vectors, n_tensors, n_datasets; /* datasets: those of tensors */
    const float *vector[GR_CONTAINER_VECTORS_MAX];
    uint64_t *place;         /* see gr_container_create; owned */
    int fd;                  /* -1: not open */
    struct gr_piece *pieces; /* owned */
    size_t n_pieces, begin, end;
    size_t digested;                          /* the next piece of this rank's to be digested */
    unsigned char (*digest)[GR_DIGEST_BYTES]; /* of all pieces; first of this rank's only; owned */
};

/* Bytes of the file that are brought from memory after the layout. */
struct gr_container_extent {
    uint64_t offset;
    uint64_t bytes;
    const void *memory;
};
/* The bytes of a tensor of a vector; those of the rows at a GR_PLACE, of none where there are none.
 */
struct gr_container_extent gr_container_tensor(const struct gr_container_writer *w, size_t vector,
                                               size_t tensor);
struct gr_container_extent gr_container_rows(const struct gr_container_writer *w, int place);

/* A plain descriptor, of a file that is there already. */
gr_status gr_container_open_plain(struct gr_container_writer *w) GR_CHECKED;
/* The room of the whole file, once it is there; a gr_container_create's reserve. */
gr_status gr_container_reserve(void *writer) GR_CHECKED;
/* Digests this rank's next pieces, GR_LANES together where it can, from memory. False: there are
 * none left. */
bool gr_container_digest_next(struct gr_container_writer *w);
/* Asks the kernel to write these bytes out now. Only a hint: a file system that has no such call
 * does it at fsync. */
void gr_container_write_out(const struct gr_container_writer *w, uint64_t offset, uint64_t bytes);

/*
 * Collective, over MPI too. The file with all its bytes, by all ranks through MPI-IO as one; left
 * closed. `bytes` false: only the layout, as a trial. Where a member is lost on the way the process
 * ends, see gr_checkpoint_io.
 */
gr_status gr_container_write_together(struct gr_container_writer *w, bool bytes) GR_CHECKED;

#endif
