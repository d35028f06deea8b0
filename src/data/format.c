/* SPDX-License-Identifier: Apache-2.0 */
/* The kind of table that a file is, by its first bytes, because names are given by people. */
#include "data/reader.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <zlib.h>

enum { IDX_MAGIC_BYTES = 4, HDF5_SIGNATURE_BYTES = 8, HDF5_FIRST_USER_BLOCK = 512 };

/* A user's block of 512, 1024, 2048... bytes may stand in front of an HDF5 file. */
static bool is_hdf5(int fd, size_t size) {
    static const char signature[] = "\x89HDF\r\n\x1a\n";
    char found[HDF5_SIGNATURE_BYTES];
    for (size_t at = 0; at < size; at = at ? 2 * at : HDF5_FIRST_USER_BLOCK)
        if (pread(fd, found, sizeof found, (off_t)at) == (ssize_t)sizeof found &&
            memcmp(found, signature, sizeof found) == 0)
            return true;
    return false;
}

/* 00 00, the type of the elements, the number of dimensions; no text begins like that. */
static bool is_idx_magic(const unsigned char magic[IDX_MAGIC_BYTES]) {
    return magic[0] == 0 && magic[1] == 0 && magic[2] >= 0x08 && magic[2] <= 0x0E && magic[3] > 0;
}

/* Plain or gzipped: zlib hands plain bytes through. fd stays open. */
static bool is_idx(int fd) {
    unsigned char magic[IDX_MAGIC_BYTES];
    const int copy = dup(fd);
    gzFile file = copy < 0 ? NULL : gzdopen(copy, "rb");
    if (!file) {
        if (copy >= 0) close(copy);
        return false;
    }
    const bool found = gzread(file, magic, sizeof magic) == (int)sizeof magic;
    gzclose(file);
    return found && is_idx_magic(magic);
}

static bool ends_in(const char *path, const char *ending) {
    const size_t n = strlen(path), m = strlen(ending);
    return n > m && strcasecmp(path + n - m, ending) == 0;
}

/* Binary forms are told by their bytes; whatever is left is CSV, whose own reader refuses other
 * files with a reason. */
gr_status gr_table_find_source(const char *path, enum gr_data_source *out) {
    size_t size;
    int fd;
    gr_status status = gr_open_regular(path, &fd, &size);
    if (status != GR_OK) return status;
    if (is_hdf5(fd, size))
        *out = GR_SOURCE_HDF5;
    else if (is_idx(fd))
        *out = GR_SOURCE_IDX;
    else /* A file that calls itself HDF5 and is none is told as such. */
        *out = ends_in(path, ".h5") || ends_in(path, ".hdf5") ? GR_SOURCE_HDF5 : GR_SOURCE_CSV;
    close(fd);
    return GR_OK;
}
