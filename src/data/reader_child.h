/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing in a child process: why and how is in guard.c. */
#ifndef GRANARY_DATA_READER_CHILD_H
#define GRANARY_DATA_READER_CHILD_H

#include "data/reader.h"

/*
 * Opens `reader` through `inner`, which runs in a child and reads into reader->window. The limits
 * are those of one request.
 */
gr_status gr_guard_open(struct gr_reader *reader, const struct gr_reader_operations *inner,
                        const struct gr_child_limits *limits) GR_CHECKED;

/*
 * Runs `work`, which writes the HDF5 file `path`, in a child, and returns its status and message.
 * Waits as long as the writing takes. `temporary`, what the file is called until it is whole, is
 * not left behind by a failure or a signal.
 */
gr_status gr_guard_write(const char *path, const char *temporary, gr_status (*work)(void *context),
                         void *context) GR_CHECKED;

#endif
