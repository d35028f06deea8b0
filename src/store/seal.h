/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seal: it stands before the HDF5 data in a file of ours, in HDF5's own "user block", which
 * other readers of HDF5 skip. It says how long the file is, where the tensors' bytes lie, and what
 * all other bytes must digest to. It is checked with plain reads before the HDF5 library sees the
 * file, since that library trusts its metadata and crashes on some that are damaged. The tensors'
 * bytes have digests of their own (see container.h). Not collective.
 */
#ifndef GRANARY_STORE_SEAL_H
#define GRANARY_STORE_SEAL_H

#include <granary/base.h>

/* Bytes offset .. offset + length - 1 of the file. */
struct gr_seal_extent {
    uint64_t offset;
    uint64_t length;
};

/* Bytes of the user block that holds a seal of so many extents: a power of two, at least 512. */
size_t gr_seal_bytes(size_t n_extents);

/*
 * Seals a file that is complete but for its user block of gr_seal_bytes(n_extents) bytes. Sorts
 * the extents. Errors: GR_ERROR_WRITE.
 */
gr_status gr_seal_write(int fd, const char *path, struct gr_seal_extent *extents,
                        size_t n_extents) GR_CHECKED;

/* GR_ERROR_DATA when the file is not one of ours, not as long as it was, or damaged;
 * GR_ERROR_WRITE when the system refuses to read it. */
gr_status gr_seal_check(int fd, const char *path) GR_CHECKED;

#endif
