/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit: the evidence of a study held against itself: a run directory against its seals, and the
 * journals of sites against both. It needs no MPI and no key, and changes nothing.
 *
 * Interface: internal.
 */
#ifndef GRANARY_AUDIT_H
#define GRANARY_AUDIT_H

#include <stdio.h>

#include <granary/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All borrowed. */
struct gr_audit_options {
    const char *run_path;
    const char *const *journals; /* paths, n_journals */
    size_t n_journals;
    const char *study; /* path of the study's file, with its signature beside it; NULL: the keys of
                        * the evidence are taken as they stand in it, and held against nobody's */
};
/*
 * Not collective. Writes a page to `out`, NULL: nothing: who, which study, which rounds, what
 * holds, and what does not, each with file and line. Errors: GR_ERROR_DATA: something does not, or
 * there is no evidence at all.
 */
gr_status gr_audit(const struct gr_audit_options *options, FILE *out) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
