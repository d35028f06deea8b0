/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A silo's own record of what noised releases have told of its table: in its own folder, one for a
 * table, over all runs. The table is the same as long as the rows that it had are its first ones;
 * rows may be added behind them, and all that was spent counts for these as well. An event is on
 * disk before the release that it is of, so that no kill, no restart and no full disk lets more
 * leave than is noted. Lines are chained by digests, and a second file says how far they go: a
 * ledger that is missing, cut, reordered, changed or of another table is refused. A folder that
 * somebody has put back to an earlier state as a whole cannot be told from a true one but by a head
 * that was kept elsewhere (gr_ledger_check). Not collective.
 *
 * Interface: internal.
 */
#ifndef GRANARY_PRIVACY_LEDGER_H
#define GRANARY_PRIVACY_LEDGER_H

#include <granary/base.h>

#include "privacy/accounting.h"

/* Whose presence an event hides, from the finest to the coarsest; in the order of
 * enum gr_privacy_unit (settings.h), which begins with none. */
enum gr_protected_unit { GR_UNIT_ROW, GR_UNIT_PERSON, GR_UNIT_SILO };
enum gr_mechanism { GR_MECHANISM_GAUSSIAN, GR_MECHANISM_DISCRETE_GAUSSIAN };
enum gr_correlation { GR_CORRELATION_NONE, GR_CORRELATION_BANDED, GR_CORRELATION_BLT };
enum gr_noised_release { GR_NOISED_ROUND, GR_NOISED_STATISTICS, GR_NOISED_EVALUATION };
/* What has become of the table: the ledger is of it from now on; rows were added; other ones of the
 * same rows are held out; somebody has said that it holds the same people. */
enum gr_table_change { GR_TABLE_BEGUN, GR_TABLE_GROWN, GR_TABLE_DEALT, GR_TABLE_ADOPTED };

/* Not collective. A value's word in the ledger; "?" for one that is none. Static. */
const char *gr_protected_unit_word(enum gr_protected_unit unit);
const char *gr_adjacency_word(enum gr_adjacency adjacency);
const char *gr_mechanism_word(enum gr_mechanism mechanism);
const char *gr_correlation_word(enum gr_correlation correlation);
const char *gr_noised_release_word(enum gr_noised_release release);
const char *gr_table_change_word(enum gr_table_change change);

enum { GR_LEDGER_RUN_BYTES = 65, GR_LEDGER_KINDS_MAX = 64 };

/* A release that is about to leave, or some that leave together. */
struct gr_ledger_entry {
    enum gr_noised_release release;
    uint32_t round;                /* of a release that belongs to one, from 1; else 0 */
    char run[GR_LEDGER_RUN_BYTES]; /* the run's id: letters, digits, '-', '_', '.' */
    enum gr_protected_unit unit;
    enum gr_adjacency adjacency; /* of the promise; the event is of the mechanism, and the same */
    enum gr_mechanism mechanism;
    struct gr_privacy_event event; /* as it is accounted for: noise_multiplier after all losses */
    enum gr_correlation correlation;
    uint32_t bands; /* of correlated noise; none: 0 */
    /* What the bytes that leave follow from: model, roster, secret seed. The same binding is the
     * same bytes, which cost once. */
    unsigned char binding[GR_DIGEST_BYTES];
    char time[32];       /* written by gr_ledger_charge: "2026-11-21T09:30:00Z" */
    struct gr_head head; /* the ledger's behind it; written by gr_ledger_charge */
};

/* Which table the ledger is of from there on, by digests with its salt. */
struct gr_ledger_change {
    enum gr_table_change change;
    unsigned char rows[GR_DIGEST_BYTES];  /* of all rows in their order */
    unsigned char parts[GR_DIGEST_BYTES]; /* of how they are held out; 0: not known */
    char time[32];
    struct gr_head head;
};

enum { GR_LINK_BYTES = GR_DIGEST_BYTES / 2 };
/* A table that is read. Borrowed. */
struct gr_ledger_table {
    const unsigned char (*chain)[GR_LINK_BYTES]; /* link i is of its first i rows, see gr_silo */
    size_t links;                                /* at least 1, which is of no rows */
    const unsigned char *parts;                  /* GR_DIGEST_BYTES: of how they are held out */
};

struct gr_ledger; /* opaque */

/*
 * Not collective. Opens DIRECTORY/privacy-ledger for the table, and locks it
 * against other processes. It is made (0600), with DIRECTORY/privacy-ledger.head, where there is
 * neither of the two. A table that has grown is noted, and on disk, before this returns. Errors:
 * GR_ERROR_POLICY: what is there is no whole ledger, or is of another table, or was written by a
 * later version; GR_ERROR_WRITE: the folder cannot be written to, or another process has the
 * ledger. *out: the caller's, for gr_ledger_close.
 */
gr_status gr_ledger_open(const char *directory, const struct gr_ledger_table *table,
                         struct gr_ledger **out) GR_CHECKED;
/*
 * Not collective. The ledger at path, or in that folder, is from now on of the table whose digest a
 * refusal of gr_ledger_open has told, and all that was spent counts for all of its rows. Errors: as
 * of gr_ledger_open; GR_ERROR_USAGE as below.
 */
gr_status gr_ledger_adopt(const char *path, const unsigned char rows[GR_DIGEST_BYTES]) GR_CHECKED;
/*
 * Not collective. As gr_ledger_open, of whatever table, to be read: nothing is locked or written,
 * and there has to be a ledger; it may be in use. path: the ledger or its folder. Errors:
 * GR_ERROR_USAGE: there is none, nor a trace of one; GR_ERROR_POLICY as above.
 */
gr_status gr_ledger_read(const char *path, struct gr_ledger **out) GR_CHECKED;
/* Not collective. NULL accepted. */
void gr_ledger_close(struct gr_ledger *ledger);

/*
 * Not collective. Charges a release before it leaves, and returns once that is on disk. A binding
 * that is there already costs nothing more. Errors: GR_ERROR_WRITE: nothing may leave, nor be
 * charged any more; GR_ERROR_POLICY: that binding was charged with another event,
 * or of other rows; GR_ERROR_INTERNAL: a value that no accountant takes.
 */
gr_status gr_ledger_charge(struct gr_ledger *ledger,
                           const struct gr_ledger_entry *entry) GR_CHECKED;

/* Not collective. Lines behind the first, and the digest of the last line: what a run keeps
 * elsewhere. */
struct gr_head gr_ledger_head(const struct gr_ledger *ledger);
/*
 * Not collective. Whether the ledger goes on from a head that was kept elsewhere. Errors:
 * GR_ERROR_POLICY: it is older than that, or another one.
 */
gr_status gr_ledger_check(const struct gr_ledger *ledger, const struct gr_head *known) GR_CHECKED;

/* Not collective. All entries in their order; *n of them. Borrowed until the next charge. */
const struct gr_ledger_entry *gr_ledger_entries(const struct gr_ledger *ledger, size_t *n);
/* Not collective. The same of changes of the table. */
const struct gr_ledger_change *gr_ledger_changes(const struct gr_ledger *ledger, size_t *n);

/*
 * Not collective. All that was spent, as events about one unit and adjacency, for
 * gr_accounting_epsilon; events: room for GR_LEDGER_KINDS_MAX of them, which history borrows.
 * Events of one kind are one; more kinds than there is room for are taken for worse ones.
 *
 * What was noised for persons or silos is a promise about rows as well, but for twice the clip
 * norm and without what sampling earns: a row that goes changes a contribution and does not remove
 * it. What was noised for rows is none about persons. A promise that hides how many units there are
 * cannot follow on one that does not. Errors: GR_ERROR_POLICY: such a history.
 */
gr_status gr_ledger_history(const struct gr_ledger *ledger, enum gr_protected_unit unit,
                            enum gr_adjacency adjacency,
                            struct gr_privacy_event events[GR_LEDGER_KINDS_MAX],
                            struct gr_privacy_history *out) GR_CHECKED;

#endif
