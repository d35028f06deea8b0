/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of a ledger: JSON in a form that is written in one way only, so that a line which does
 * not come out the same again is none. Each ends in the digest of the line before it and of itself.
 *
 * Interface: internal.
 */
#ifndef GRANARY_PRIVACY_LEDGER_LINE_H
#define GRANARY_PRIVACY_LEDGER_LINE_H

#include "privacy/ledger.h"

enum { GR_LEDGER_VERSION = 2, GR_LEDGER_LINE_BYTES = 1024 };

/* The first line. In version 1 it said of which table the ledger is, by the digest of its parts. */
struct gr_ledger_title {
    int version; /* 1 or 2 */
    unsigned char salt[GR_DIGEST_BYTES];
    unsigned char parts[GR_DIGEST_BYTES]; /* version 1 only; salted */
};

/* Not collective. The digest of n bytes with that salt. */
void gr_ledger_salted(const unsigned char salt[GR_DIGEST_BYTES], const void *bytes, size_t n,
                      unsigned char out[GR_DIGEST_BYTES]);

/* Not collective. A line with its end and a NUL behind it; returns its length. The head goes on to
 * it, and is zeroed before the first line. */
size_t gr_ledger_write_title(const struct gr_ledger_title *title, struct gr_head *head,
                             char out[GR_LEDGER_LINE_BYTES]);
size_t gr_ledger_write_entry(const struct gr_ledger_entry *entry, struct gr_head *head,
                             char out[GR_LEDGER_LINE_BYTES]);
size_t gr_ledger_write_change(const struct gr_ledger_change *change, struct gr_head *head,
                              char out[GR_LEDGER_LINE_BYTES]);

/*
 * Not collective. Reads such a line of n bytes, its end among them. Errors, without the name of the
 * file: GR_ERROR_POLICY.
 */
gr_status gr_ledger_read_title(const char *line, size_t n, struct gr_head *head,
                               struct gr_ledger_title *out) GR_CHECKED;
gr_status gr_ledger_read_entry(const char *line, size_t n, struct gr_head *head,
                               struct gr_ledger_entry *out) GR_CHECKED;
gr_status gr_ledger_read_change(const char *line, size_t n, struct gr_head *head,
                                struct gr_ledger_change *out) GR_CHECKED;
/* Not collective. Whether a line, if it is any, is about the table and not about a release. */
bool gr_ledger_is_change(const char *line);

/* Not collective. Whether an accountant takes an event as it is. */
bool gr_ledger_event_sound(const struct gr_privacy_event *event);

#endif
