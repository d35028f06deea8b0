/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HDF5's errors as messages, room for its files, datasets, and attributes as text and numbers.
 *
 * All of store's datasets are made through these calls, so that their properties are the same:
 * contiguous, without times or filters. No call waits for another rank inside the library.
 */
#include "store/hdf5.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

/*
 * A file that is anybody's may link to other files, a device or a pipe among them, and its seal
 * says nothing of what is in those. Ours have no such links: without their class none is followed.
 */
static void forget_external_links(void) {
    if (H5Lis_registered(H5L_TYPE_EXTERNAL) > 0) (void)H5Lunregister(H5L_TYPE_EXTERNAL);
}

/*
 * May be called often. HDF5's own printing of errors goes to standard error, with paths: it is off.
 */
gr_status gr_hdf5_start(void) {
    if (H5open() < 0 || H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0)
        return gr_fail(GR_ERROR_INTERNAL, "the HDF5 library does not start");
    forget_external_links();
    return GR_OK;
}

/*
 * No sieve buffer: written bytes must be with the kernel at once, for they are read back. No lock:
 * the name is this run's own, and some shared file systems have none.
 */
gr_status gr_hdf5_access(const char *path, hid_t *out) {
    *out = H5Pcreate(H5P_FILE_ACCESS);
    if (*out < 0 || H5Pset_sieve_buf_size(*out, 0) < 0 ||
        H5Pset_file_locking(*out, false, true) < 0)
        return gr_hdf5_fail(GR_ERROR_WRITE, path, "access");
    return GR_OK;
}

/*
 * What Open MPI's own MPI-IO is to leave out; read when the first file is opened, and a user's own
 * choice stands.
 *
 * Shared file pointers, which HDF5 never uses, are by default a semaphore in shared memory and a
 * file that it locks, both named after the file. A process that is killed there leaves them behind,
 * and one that is suspended there might hold up others. Without these two ways it takes one that
 * locks nothing and whose files lie beside ours.
 *
 * Data sieving reads a block, changes a part, and writes the whole of it back. Where several ranks
 * write for all, Open MPI before 4.1.7 and 5.0.6 does so without a lock, and one rank undoes what
 * another has written into the same block (its issue 12718); later versions lock, which not every
 * file system can. Nothing is gained by it here: bytes between slabs are few.
 *
 * Collective buffering sends bytes to the ranks that write. Slabs are contiguous, and gain nothing
 * by it (400 MB on 4 ranks of a local disk: 1.03 GB/s with it, 1.36 GB/s without) unless the file
 * system has so many clients that fewer should write, which the user's hints then say.
 */
static void set_up_mpi_io(MPI_Info hints) {
    char value[2];
    int there = 0;
    if (!getenv("OMPI_MCA_sharedfp")) setenv("OMPI_MCA_sharedfp", "^sm,lockedfile", 0);
    setenv("OMPI_MCA_fbtl_posix_write_datasieving", "0", 0);
    if (hints != MPI_INFO_NULL) MPI_Info_get(hints, "cb_nodes", 1, value, &there);
    if (!there) setenv("OMPI_MCA_fcoll", "individual", 0);
}

gr_status gr_hdf5_access_together(const char *path, MPI_Comm members, MPI_Info hints, hid_t *out) {
    gr_status status = gr_hdf5_access(path, out);
    if (status != GR_OK) return status;
    set_up_mpi_io(hints);
    if (H5Pset_fapl_mpio(*out, members, hints) < 0 ||
        H5Pset_all_coll_metadata_ops(*out, true) < 0 || H5Pset_coll_metadata_write(*out, true) < 0)
        return gr_hdf5_fail(GR_ERROR_WRITE, path, "access through MPI-IO");
    return GR_OK;
}

/*
 * The innermost description on HDF5's error stack, quoted: file names from the file may be in it.
 */
struct reason {
    char text[256];
};

/* The first entry on the way up is where the error happened. */
static herr_t take_reason(unsigned n, const H5E_error2_t *error, void *context) {
    struct reason *reason = context;
    if (n == 0 && error->desc)
        gr_text_quote(error->desc, strlen(error->desc), reason->text, sizeof reason->text);
    return 0;
}

gr_status gr_hdf5_fail(gr_status status, const char *path, const char *what) {
    struct reason reason = {"no reason given"};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, &reason);
    H5Eclear2(H5E_DEFAULT);
    return gr_fail(status, "%s: %s: %s", path, what, reason.text);
}

/* ---- room and datasets ---------------------------------------------------------------------- */

/*
 * Before anything is written: a limit on file sizes (ulimit -f) would otherwise end the process by
 * a signal, and a full disk be found after minutes. Free space is what an ordinary user may have.
 */
gr_status gr_hdf5_check_room(const char *path, int fd, uint64_t bytes) {
    struct rlimit limit;
    struct statvfs disk;
    int error = 0;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes) error = EFBIG;
    /* A file system that knows of no block at all does not count them. */
    else if (fstatvfs(fd, &disk) == 0 && disk.f_frsize > 0 && disk.f_blocks > 0 &&
             disk.f_bavail < bytes / disk.f_frsize)
        error = ENOSPC;
    if (!error) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "%s: %llu bytes: %s", path, (unsigned long long)bytes,
                   strerror(error));
}

/* Keeps the file's size as it is. A file system without fallocate(2) is taken at its word later. */
gr_status gr_hdf5_reserve_room(const char *path, int fd, uint64_t bytes) {
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0 || errno == EOPNOTSUPP ||
        errno == ENOSYS)
        return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "%s: %llu bytes: %s", path, (unsigned long long)bytes,
                   strerror(errno));
}

/* Contiguous, allocated early, never filled and without times: its offset is known at once, and
 * nothing is written twice. Negative on failure. */
hid_t gr_hdf5_create_dataset(hid_t group, const char *name, hid_t type, size_t n_dims,
                             const size_t *shape) {
    hsize_t dims[GR_TENSOR_DIMS_MAX];
    for (size_t d = 0; d < n_dims; d++)
        dims[d] = shape[d];
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE),
          space = H5Screate_simple((int)n_dims, dims, NULL);
    hid_t dataset = -1;
    if (creation >= 0 && space >= 0 && H5Pset_layout(creation, H5D_CONTIGUOUS) >= 0 &&
        H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER) >= 0 &&
        H5Pset_obj_track_times(creation, false) >= 0)
        dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    if (space >= 0) H5Sclose(space);
    if (creation >= 0) H5Pclose(creation);
    return dataset;
}

/* ---- attributes ----------------------------------------------------------------------------- */

static gr_status set_attribute(hid_t at, const char *path, const char *name, hid_t stored,
                               hid_t given, const void *value) {
    gr_status status = GR_OK;
    hid_t space = H5Screate(H5S_SCALAR), attribute = -1;
    if (space >= 0) attribute = H5Acreate2(at, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, given, value) < 0)
        status = gr_hdf5_fail(GR_ERROR_WRITE, path, name);
    if (attribute >= 0) H5Aclose(attribute);
    if (space >= 0) H5Sclose(space);
    return status;
}

/* Fixed length, no terminator: a text of variable length would be allocated on reading by a length
 * that the file tells. */
gr_status gr_hdf5_set_text(hid_t at, const char *path, const char *name, const char *text) {
    size_t length = strlen(text);
    if (length > GR_HDF5_TEXT_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "%s: %s has %zu bytes, at most %d can be stored", path,
                       name, length, GR_HDF5_TEXT_MAX);
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0 || H5Tset_size(type, length > 0 ? length : 1) < 0 ||
        H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0) {
        gr_status status = gr_hdf5_fail(GR_ERROR_INTERNAL, path, name);
        if (type >= 0) H5Tclose(type);
        return status;
    }
    gr_status status = set_attribute(at, path, name, type, type, text);
    H5Tclose(type);
    return status;
}

gr_status gr_hdf5_set_number(hid_t at, const char *path, const char *name, uint64_t number) {
    return set_attribute(at, path, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, &number);
}

gr_status gr_hdf5_set_real(hid_t at, const char *path, const char *name, double value) {
    return set_attribute(at, path, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

/* Opens a scalar attribute of the class wanted. On failure *attribute and *type may be open: the
 * caller closes both in any case. */
static gr_status open_scalar(hid_t at, const char *path, const char *name, H5T_class_t class,
                             hid_t *attribute, hid_t *type) {
    *type = -1;
    *attribute = H5Aopen(at, name, H5P_DEFAULT);
    if (*attribute < 0) return gr_hdf5_fail(GR_ERROR_DATA, path, name);
    *type = H5Aget_type(*attribute);
    hid_t space = H5Aget_space(*attribute);
    bool good = *type >= 0 && H5Tget_class(*type) == class && space >= 0 &&
                H5Sget_simple_extent_npoints(space) == 1;
    if (space >= 0) H5Sclose(space);
    if (!good)
        return gr_fail(GR_ERROR_DATA, "%s: attribute %s: not of the type expected", path, name);
    return GR_OK;
}

static void close_scalar(hid_t attribute, hid_t type) {
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
}

/* A failure counts as no; the attribute's reading would then tell it. */
bool gr_hdf5_has(hid_t at, const char *name) {
    return H5Aexists(at, name) > 0;
}

/* The length is the file's and is bounded before memory is allocated by it. */
gr_status gr_hdf5_get_text(hid_t at, const char *path, const char *name, char **out) {
    gr_status status = GR_OK;
    hid_t attribute = -1, type = -1;
    char *text = NULL;
    size_t length = 0;
    GR_TRY(open_scalar(at, path, name, H5T_STRING, &attribute, &type));
    length = H5Tget_size(type);
    if (length == 0 || length > GR_HDF5_TEXT_MAX || H5Tis_variable_str(type) != 0) {
        status = gr_fail(GR_ERROR_DATA, "%s: attribute %s: not a text of 1 to %d bytes", path, name,
                         GR_HDF5_TEXT_MAX);
        goto out;
    }
    GR_TRY(gr_allocate_zero(length + 1, 1, name, &text));
    if (H5Aread(attribute, type, text) < 0) {
        status = gr_hdf5_fail(GR_ERROR_DATA, path, name);
        goto out;
    }
    *out = text;
    text = NULL;
out:
    gr_free(text);
    close_scalar(attribute, type);
    return status;
}

static gr_status get_scalar(hid_t at, const char *path, const char *name, H5T_class_t class,
                            hid_t read_as, void *out) {
    gr_status status = GR_OK;
    hid_t attribute = -1, type = -1;
    GR_TRY(open_scalar(at, path, name, class, &attribute, &type));
    if (H5Aread(attribute, read_as, out) < 0) status = gr_hdf5_fail(GR_ERROR_DATA, path, name);
out:
    close_scalar(attribute, type);
    return status;
}

/* HDF5 converts from whatever integer the file has; a value out of range is clipped, which the
 * caller's own bounds then find. */
gr_status gr_hdf5_get_number(hid_t at, const char *path, const char *name, uint64_t *out) {
    return get_scalar(at, path, name, H5T_INTEGER, H5T_NATIVE_UINT64, out);
}

gr_status gr_hdf5_get_real(hid_t at, const char *path, const char *name, double *out) {
    return get_scalar(at, path, name, H5T_FLOAT, H5T_NATIVE_DOUBLE, out);
}
