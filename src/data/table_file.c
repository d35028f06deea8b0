/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the HDF5 form of a table. The form is the manual's (granary help files); hdf5_table.c
 * reads it. Everything here but gr_table_file_run is called in a child process. */
#include "data/table_file.h"

#include "data/reader_child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A silo reads few rows of others along with its own, and a chunk's checksum costs little. */
#define CHUNK_BYTES ((size_t)256 << 10)

/* errno is cleared before calls of HDF5: it sets none itself, but the system calls below it do. */
gr_status gr_table_file_failed(const struct gr_table_file *t, const char *what) {
    return gr_fail(GR_ERROR_WRITE, "%s: %s could not be written: %s", t->path, what,
                   errno ? strerror(errno) : "HDF5 refused");
}

struct gr_table_file gr_table_file_at(const char *path) {
    return (struct gr_table_file){.path = path,
                                  .file = -1,
                                  .features = -1,
                                  .labels = -1,
                                  .targets = -1,
                                  .groups = -1,
                                  .terms = {-1, -1}};
}

static bool write_attribute(hid_t object, const char *name, hid_t file_type, hid_t memory_type,
                            const void *value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool written = attribute >= 0 && H5Awrite(attribute, memory_type, value) >= 0;
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    return written;
}

/* Of fixed length: h5py and other readers take either kind, and a fixed one needs no heap in the
 * file. */
static bool write_text_attribute(hid_t object, const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1);
    bool written =
        H5Tset_size(type, strlen(text) + 1) >= 0 && write_attribute(object, name, type, type, text);
    H5Tclose(type);
    return written;
}

/*
 * A dataset in chunks of whole rows; its bytes are all written, so none are filled beforehand. Each
 * chunk carries a checksum: a row that was damaged on disk must not be trained on.
 */
static hid_t create_dataset(hid_t file, const char *name, hid_t type, size_t n_dims,
                            const size_t *shape, size_t row_bytes) {
    hsize_t extent[GR_TENSOR_DIMS_MAX] = {0}, chunk[GR_TENSOR_DIMS_MAX] = {0};
    hsize_t most[GR_TENSOR_DIMS_MAX] = {0};
    for (size_t i = 0; i < n_dims; i++)
        extent[i] = chunk[i] = most[i] = shape[i];
    size_t rows = CHUNK_BYTES / row_bytes ? CHUNK_BYTES / row_bytes : 1;
    if (shape[0] == 0) most[0] = H5S_UNLIMITED;
    if (chunk[0] > rows || shape[0] == 0) chunk[0] = rows;
    hid_t space = H5Screate_simple((int)n_dims, extent, most);
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    hid_t dataset = -1;
    /* No times: the same rows make the same file. */
    if (H5Pset_obj_track_times(properties, false) >= 0 &&
        H5Pset_chunk(properties, (int)n_dims, chunk) >= 0 && H5Pset_fletcher32(properties) >= 0 &&
        H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) >= 0)
        dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Pclose(properties);
    H5Sclose(space);
    return dataset;
}

/* Weights and offsets, of which the shape speaks. */
static bool create_terms(struct gr_table_file *t, const struct gr_table_shape *shape) {
    static const char *const names[GR_TERMS] = {"weights", "offsets"};
    static const char *const roles[GR_TERMS] = {"weight", "offset"};
    for (size_t k = 0; k < GR_TERMS; k++) {
        if (!shape->terms[k]) continue;
        t->terms[k] =
            create_dataset(t->file, names[k], H5T_IEEE_F32LE, 1, shape->shape, sizeof(float));
        if (t->terms[k] < 0 || !write_text_attribute(t->terms[k], "role", roles[k])) return false;
    }
    return true;
}

gr_status gr_table_file_create(struct gr_table_file *t, const struct gr_table_shape *shape) {
    const uint32_t version = 1;
    bool bytes = shape->element == GR_ELEMENT_UINT8;
    errno = 0;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    /* No lock of HDF5's: the file is claimed. */
    if (H5Pset_fapl_sec2(access) >= 0 && H5Pset_file_locking(access, 0, 1) >= 0)
        t->file = H5Fcreate(t->temporary, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    if (t->file < 0) return gr_table_file_failed(t, "the file");
    t->features = create_dataset(t->file, "features", bytes ? H5T_STD_U8LE : H5T_IEEE_F32LE,
                                 shape->n_dims, shape->shape, shape->row_bytes);
    t->labels = create_dataset(t->file, "labels", H5T_STD_I32LE, 1, shape->shape, sizeof(int32_t));
    if (shape->targets)
        t->targets =
            create_dataset(t->file, "targets", H5T_IEEE_F32LE, 1, shape->shape, sizeof(float));
    if (shape->group_bytes > 0)
        t->groups =
            create_dataset(t->file, "groups", H5T_STD_I32LE, 1, shape->shape, sizeof(int32_t));
    if (!create_terms(t, shape) || t->features < 0 || t->labels < 0 ||
        (shape->targets && t->targets < 0) || (shape->group_bytes > 0 && t->groups < 0) ||
        !write_text_attribute(t->file, "format", "granary-table") ||
        !write_attribute(t->file, "version", H5T_STD_U32LE, H5T_NATIVE_UINT32, &version) ||
        !write_attribute(t->file, "scale", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, &shape->scale) ||
        !write_text_attribute(t->labels, "role", "label") ||
        (shape->targets && !write_text_attribute(t->targets, "role", "target")) ||
        (shape->group_bytes > 0 && !write_text_attribute(t->groups, "role", "group")))
        return gr_table_file_failed(t, "the form of the table");
    return GR_OK;
}

gr_status gr_table_file_classes(struct gr_table_file *t, uint32_t n_classes) {
    errno = 0;
    if (write_attribute(t->file, "n_classes", H5T_STD_U32LE, H5T_NATIVE_UINT32, &n_classes))
        return GR_OK;
    return gr_table_file_failed(t, "the number of classes");
}

gr_status gr_table_file_text(struct gr_table_file *t, const char *name, const char *text,
                             size_t n) {
    errno = 0;
    hid_t dataset = create_dataset(t->file, name, H5T_STD_U8LE, 1, &n, 1);
    bool written = dataset >= 0 &&
                   H5Dwrite(dataset, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) >= 0;
    if (dataset >= 0) H5Dclose(dataset);
    return written ? GR_OK : gr_table_file_failed(t, name);
}

gr_status gr_table_file_findings(struct gr_table_file *t, const int64_t *counts, size_t n) {
    const size_t shape[] = {n, GR_FINDINGS};
    errno = 0;
    hid_t dataset =
        create_dataset(t->file, "findings", H5T_STD_I64LE, 2, shape, GR_FINDINGS * sizeof *counts);
    bool written = dataset >= 0 &&
                   H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, counts) >= 0;
    if (dataset >= 0) H5Dclose(dataset);
    return written ? GR_OK : gr_table_file_failed(t, "findings");
}

/* The dataset must have been grown to first + n rows before. */
bool gr_table_file_write(hid_t dataset, const size_t *shape, size_t n_dims, size_t first, size_t n,
                         hid_t type, const void *values) {
    hsize_t start[GR_TENSOR_DIMS_MAX] = {first}, count[GR_TENSOR_DIMS_MAX] = {n};
    for (size_t i = 1; i < n_dims; i++)
        count[i] = shape[i];
    hid_t space = H5Dget_space(dataset), memory = H5Screate_simple((int)n_dims, count, NULL);
    bool written = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                   H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, values) >= 0;
    H5Sclose(memory);
    H5Sclose(space);
    return written;
}

gr_status gr_table_file_grow(struct gr_table_file *t, hid_t dataset, size_t n_dims, size_t width,
                             size_t n) {
    const hsize_t extent[] = {n, width};
    errno = 0;
    if (n_dims <= 2 && H5Dset_extent(dataset, extent) >= 0) return GR_OK;
    return gr_table_file_failed(t, "further rows");
}

/* Closes the HDF5 objects; what HDF5 had kept back is written now. */
static bool close_file(struct gr_table_file *t) {
    bool good = true;
    if (t->features >= 0) good = H5Dclose(t->features) >= 0 && good;
    if (t->labels >= 0) good = H5Dclose(t->labels) >= 0 && good;
    if (t->targets >= 0) good = H5Dclose(t->targets) >= 0 && good;
    if (t->groups >= 0) good = H5Dclose(t->groups) >= 0 && good;
    for (size_t k = 0; k < GR_TERMS; k++) {
        if (t->terms[k] >= 0) good = H5Dclose(t->terms[k]) >= 0 && good;
        t->terms[k] = -1;
    }
    if (t->file >= 0) good = H5Fclose(t->file) >= 0 && good;
    t->features = t->labels = t->targets = t->groups = t->file = -1;
    return good;
}

/* The claim is held by the parent until the child has published, so that two imports of one table
 * do not meet. */
gr_status gr_table_file_run(struct gr_table_file *t, gr_status (*work)(void *context),
                            void *context) {
    gr_status status;
    int claim = -1;
    GR_TRY(gr_text_format(&t->temporary, "%s.tmp", t->path));
    GR_TRY(gr_file_claim(t->path, t->temporary, &claim));
    status = gr_guard_write(t->path, t->temporary, work, context);
    close(claim);
out:
    gr_free(t->temporary);
    t->temporary = NULL;
    return status;
}

/* For a second try in the same child: the temporary file is truncated by it. */
void gr_table_file_abandon(struct gr_table_file *t) {
    (void)close_file(t);
}

/* On disk first, then under its name. */
gr_status gr_table_file_publish(struct gr_table_file *t) {
    errno = 0;
    if (!close_file(t)) return gr_table_file_failed(t, "the file");
    int fd = open(t->temporary, O_RDONLY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    if (!synced || rename(t->temporary, t->path) != 0) return gr_table_file_failed(t, "the file");
    return gr_file_sync_folder(t->path);
}
