/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few HDF5 calls that store needs, with our status and messages. HDF5's own printing is off
 * between gr_hdf5_start and the end of the process. Not collective.
 */
#ifndef GRANARY_STORE_HDF5_H
#define GRANARY_STORE_HDF5_H

#include <granary/base.h>
#include <hdf5.h>

gr_status gr_hdf5_start(void) GR_CHECKED;

/* gr_fail with the reason that HDF5 gives: "PATH: WHAT: reason". */
gr_status gr_hdf5_fail(gr_status status, const char *path, const char *what);

/* How a file is opened to be written by this process alone. Caller closes *out if >= 0, also on
 * failure. */
gr_status gr_hdf5_access(const char *path, hid_t *out) GR_CHECKED;
/*
 * The same by all members of a communicator, as one file of MPI-IO with its hints; metadata are
 * read and written collectively.
 */
gr_status gr_hdf5_access_together(const char *path, MPI_Comm members, MPI_Info hints,
                                  hid_t *out) GR_CHECKED;

/*
 * Whether a file of so many bytes will fit: to be known before the HDF5 library begins, which does
 * not survive its own failure to write metadata. And the room taken, where the file system can:
 * quotas are found here too; once the library has created the file, for that cuts it. fd: of the
 * file, or of the empty one before it. Errors: GR_ERROR_WRITE.
 */
gr_status gr_hdf5_check_room(const char *path, int fd, uint64_t bytes) GR_CHECKED;
gr_status gr_hdf5_reserve_room(const char *path, int fd, uint64_t bytes) GR_CHECKED;

/* A contiguous dataset whose room is there at once, and that holds no times: the same contents give
 * the same bytes. Caller closes it; negative on failure. */
hid_t gr_hdf5_create_dataset(hid_t group, const char *name, hid_t type, size_t n_dims,
                             const size_t *shape);

/* A text attribute larger than this would not fit into an object header. */
enum { GR_HDF5_TEXT_MAX = 60000 };

/* Attributes of the object `at`: fixed-length text of at most GR_HDF5_TEXT_MAX bytes, unsigned and
 * real numbers. */
gr_status gr_hdf5_set_text(hid_t at, const char *path, const char *name,
                           const char *text) GR_CHECKED;
gr_status gr_hdf5_set_number(hid_t at, const char *path, const char *name,
                             uint64_t number) GR_CHECKED;
gr_status gr_hdf5_set_real(hid_t at, const char *path, const char *name, double value) GR_CHECKED;
/* Whether there is an attribute of that name. */
bool gr_hdf5_has(hid_t at, const char *name);
/* Caller frees *out. Errors: GR_ERROR_DATA. */
gr_status gr_hdf5_get_text(hid_t at, const char *path, const char *name, char **out) GR_CHECKED;
gr_status gr_hdf5_get_number(hid_t at, const char *path, const char *name,
                             uint64_t *out) GR_CHECKED;
gr_status gr_hdf5_get_real(hid_t at, const char *path, const char *name, double *out) GR_CHECKED;

#endif
