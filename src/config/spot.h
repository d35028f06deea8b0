/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that a study's and a site's file have in common. */
#ifndef GR_CONFIG_SPOT_H
#define GR_CONFIG_SPOT_H

#include "config/check.h"

#include <granary/study.h>

/* Words with which messages say what a name may be. */
#define GR_NAME_WORDS "1 to 63 of a-z, 0-9 and '-', no '-' first"

bool gr_is_study_name(const char *text);

/* A section or an entry of a list, and how messages call it. */
struct gr_spot {
    struct gr_broken *broken;
    const struct gr_node *node;
    const char *path; /* "" for the whole file */
};

/* Reports a key of it, which was not reported before: at its line, or where it was not given, at
 * the section's. */
void gr_spot_refuse(const struct gr_spot *spot, const char *key, const char *format, ...)
    GR_PRINTF(3, 4);

/* Each reports a text that is not of its kind: a name of a study, site or silo; a public key; a
 * day, ISO; a digest of a study. The latter two may be empty. *key: zeros where the text is none.
 */
void gr_spot_check_name(const struct gr_spot *spot, const char *key, const char *text);
void gr_spot_check_key(const struct gr_spot *spot, const char *key, const char *text,
                       struct gr_public_key *out);
void gr_spot_check_day(const struct gr_spot *spot, const char *key, const char *text);
void gr_spot_check_digest(const struct gr_spot *spot, const char *key, const char *text);

/* The random streams of the silo of that name: gr_silo_stream. */
uint32_t gr_name_stream(const char *name);
/* Finds two of n names with the same streams, the first in `one`; n in both: there are none. */
gr_status gr_names_clash(const char *const *names, uint32_t n, uint32_t *one,
                         uint32_t *other) GR_CHECKED;

/* Sorts texts, and returns the first that occurs twice; NULL: none does. */
const char *gr_texts_repeated(const char **texts, size_t n);

#endif
