/* SPDX-License-Identifier: Apache-2.0 */
/* The list of broken rules of a config, which becomes one message. */
#ifndef GR_CONFIG_BROKEN_H
#define GR_CONFIG_BROKEN_H

#include "config/tree.h"

enum { GR_BROKEN_LINES_MAX = 50, GR_BROKEN_BYTES = GR_MESSAGE_MAX - 256 };

struct gr_broken {
    char name[256];     /* the config's path, fit for a message */
    const char *within; /* in front of each path: "schema." of a section that is read as a file of
                           its own; "" */
    size_t n;           /* rules found broken */
    size_t n_shown;     /* those of them that `lines` holds */
    size_t length;
    char lines[GR_BROKEN_BYTES];
};

void gr_broken_start(struct gr_broken *broken, const char *name);

/* Adds "NAME:LINE: PATH: ..." or "--set PATH: ...". path "" for the whole config. */
void gr_broken_add(struct gr_broken *broken, struct gr_place place, const char *path,
                   const char *format, ...) GR_PRINTF(4, 5);

/* GR_OK without a broken rule, else GR_ERROR_CONFIG with all lines as its message. */
gr_status gr_broken_status(const struct gr_broken *broken);

#endif
