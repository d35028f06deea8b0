/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that the run directory and the manifest in it share. */
#ifndef GRANARY_STORE_RUN_DIRECTORY_H
#define GRANARY_STORE_RUN_DIRECTORY_H

#include <granary/store.h>
#include <jansson.h>

struct gr_run_directory {
    char *path;              /* owned */
    uint64_t start;          /* tells this start of the program from others; 0 after a takeover */
    int lock;                /* descriptor that holds the lock, -1: not held */
    char *warning;           /* owned; NULL: none */
    json_t *earlier;         /* stretches of the run before this process; array; owned */
    json_t *versions;        /* of the study, that they went by; array; owned; NULL: none */
    struct gr_run_data data; /* as those say */
    char id[GR_RUN_ID_HEX];  /* of the run */
    bool id_known;           /* from its manifest, or drawn for a new one */
};

/*
 * The stretches that PATH/manifest.json tells of. A stretch that still says that it is running was
 * cut short by a death and is marked so, with the rounds that its files show; with `ours` it is the
 * present one, which gr_manifest_write adds, and is left out. Sets out->earlier, versions, data and
 * id: of the run, "" if it has none.
 */
gr_status gr_manifest_earlier(const char *run_path, bool ours,
                              struct gr_run_directory *out) GR_CHECKED;

/* Removes the claims of earlier starts and makes room for this one's. By who holds the lock. */
gr_status gr_run_claims_open(const char *path, uint64_t start) GR_CHECKED;

/* Libraries and processor: "name" and "value" one after the other; caller releases. */
struct gr_version {
    char name[24];
    char value[160];
};
/* In the text the value begins in this column, from 0. */
enum { GR_VERSIONS_MAX = 20, GR_VERSIONS_COLUMN = 21 };
size_t gr_versions_list(struct gr_version out[GR_VERSIONS_MAX]);

#endif
