/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GRANARY_DATA_HDF5_ATTRIBUTES_H
#define GRANARY_DATA_HDF5_ATTRIBUTES_H

#include <hdf5.h>

#include "data/reader.h"

/*
 * Scale and number of classes, where the file says them; format and version must be ours if it says
 * any. Only in the guard's child: what is open on a failure goes with it.
 */
gr_status gr_hdf5_attributes(const char *path, hid_t file, struct gr_table_shape *shape) GR_CHECKED;

#endif
