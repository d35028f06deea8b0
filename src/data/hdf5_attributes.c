/* SPDX-License-Identifier: Apache-2.0 */
/* The attributes of an HDF5 table. In the guard's child, as hdf5.c. */
#include "data/hdf5_attributes.h"

#include <math.h>
#include <string.h>

enum { TABLE_VERSION = 1, ATTRIBUTE_BYTES_MAX = 64 };

/* A number in an attribute of the root group; *found false when there is no such attribute. After a
 * failure handles stay open: the child that reads ends with the refusal. */
static gr_status read_number(const char *path, hid_t file, const char *name, double *value,
                             bool *found) {
    *found = H5Aexists(file, name) > 0;
    if (!*found) return GR_OK;
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute);
    hid_t space = attribute < 0 ? -1 : H5Aget_space(attribute);
    H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
    if ((class != H5T_INTEGER && class != H5T_FLOAT) || space < 0 ||
        H5Sget_simple_extent_npoints(space) != 1 ||
        H5Aread(attribute, H5T_NATIVE_DOUBLE, value) < 0)
        return gr_fail(GR_ERROR_DATA, "%s: attribute \"%s\" is not a number", path, name);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return GR_OK;
}

/* A file that says what it is must be a table; one that says nothing is judged by its datasets. A
 * text is taken up to 64 bytes: an attribute may have any size. */
static gr_status check_format(const char *path, hid_t file) {
    char text[ATTRIBUTE_BYTES_MAX + 1] = {0}, *variable = NULL;
    if (H5Aexists(file, "format") <= 0) return GR_OK;
    hid_t attribute = H5Aopen(file, "format", H5P_DEFAULT);
    hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute);
    hid_t space = attribute < 0 ? -1 : H5Aget_space(attribute);
    bool is_text = type >= 0 && H5Tget_class(type) == H5T_STRING && space >= 0 &&
                   H5Sget_simple_extent_npoints(space) == 1;
    if (is_text && H5Tis_variable_str(type) > 0) {
        is_text = H5Aread(attribute, type, &variable) >= 0 && variable;
        if (is_text) memcpy(text, variable, strnlen(variable, ATTRIBUTE_BYTES_MAX));
        H5free_memory(variable);
    } else if (is_text) {
        is_text = H5Tget_size(type) <= ATTRIBUTE_BYTES_MAX && H5Aread(attribute, type, text) >= 0;
    }
    if (is_text && strcmp(text, "granary-table") == 0) return GR_OK;
    char quoted[ATTRIBUTE_BYTES_MAX];
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    return gr_fail(GR_ERROR_DATA, "%s: its format is \"%s\", expected \"granary-table\"", path,
                   quoted);
}

/* All are optional: a file that somebody made with h5py needs none of them. */
gr_status gr_hdf5_attributes(const char *path, hid_t file, struct gr_table_shape *shape) {
    double value = 0;
    bool found;
    gr_status status;
    GR_TRY(check_format(path, file));
    GR_TRY(read_number(path, file, "version", &value, &found));
    if (found && value != TABLE_VERSION) {
        status = gr_fail(GR_ERROR_DATA, "%s: version %g of the table's form, expected %d", path,
                         value, TABLE_VERSION);
        goto out;
    }
    GR_TRY(read_number(path, file, "scale", &value, &found));
    if (found && !(value > 0 && value <= 1e30)) {
        status = gr_fail(GR_ERROR_DATA, "%s: scale %g, expected a positive number", path, value);
        goto out;
    }
    if (found) shape->scale = (float)value;
    GR_TRY(read_number(path, file, "n_classes", &value, &found));
    if (found && !(value >= 1 && value <= GR_CLASSES_MAX && value == floor(value))) {
        status = gr_fail(GR_ERROR_DATA, "%s: n_classes %g, expected 1 to %d", path, value,
                         GR_CLASSES_MAX);
        goto out;
    }
    if (found) shape->n_classes = (uint32_t)value;
out:
    return status;
}
