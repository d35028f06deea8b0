/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of an audit: the run directory with its seals (audit_run.c), journals
 * (audit_journal.c), and the page (audit.c). */
#ifndef GRANARY_FEDERATION_AUDIT_PARTS_H
#define GRANARY_FEDERATION_AUDIT_PARTS_H

#include <jansson.h>

#include <granary/audit.h>
#include <granary/journal.h>
#include <granary/study.h>

/* Lines of the page. */
struct gr_audit_lines {
    char **line; /* owned, as each of its n */
    size_t n, room;
};

/* A file that a seal speaks of. */
struct gr_audit_file {
    char name[64];
    uint64_t bytes;
    char digest[GR_DIGEST_HEX];
    size_t seal; /* its index */
};

/* Where an audit stands. */
struct gr_audit_state {
    const struct gr_audit_options *options;
    struct gr_audit_lines facts, holds, notes, amiss;
    bool refused; /* memory */
    bool live;    /* a process holds the run, so that its end cannot be there yet */
    /* The seals of the run, in their order: line i + 1 of seals.jsonl where no line is damaged. */
    struct gr_run_seal *seals; /* owned */
    uint64_t *seal_line;       /* owned; of each its line in the file */
    size_t n_seals, room;
    struct gr_public_key coordinator;
    bool has_coordinator;
    /* By the newest seal that names them. */
    struct gr_audit_file *files; /* owned */
    size_t n_files, files_room;
    struct gr_study *study; /* owned; NULL: none is given, or it cannot be read */
    /* Versions of it of which the run keeps a copy, as far as they were asked for. */
    struct gr_study **versions; /* owned, as each of its n_versions */
    size_t n_versions, versions_room;
    struct gr_config *config; /* owned; whose releases journals may hold; NULL: it cannot be read */
};

/* ---- audit.c --------------------------------------------------------------------------------- */

void gr_audit_fact(struct gr_audit_state *audit, const char *format, ...) GR_PRINTF(2, 3);
void gr_audit_holds(struct gr_audit_state *audit, const char *format, ...) GR_PRINTF(2, 3);
void gr_audit_note(struct gr_audit_state *audit, const char *format, ...) GR_PRINTF(2, 3);
/* file NULL: in none; line 0: in none. */
void gr_audit_amiss(struct gr_audit_state *audit, const char *file, uint64_t line,
                    const char *format, ...) GR_PRINTF(4, 5);
/* The last seal of the run; NULL: there is none. */
static inline const struct gr_run_seal *gr_audit_last(const struct gr_audit_state *audit) {
    return audit->n_seals > 0 ? &audit->seals[audit->n_seals - 1] : NULL;
}

/* ---- audit_run.c ----------------------------------------------------------------------------- */

/* The study, by which keys are known. Errors: memory. */
gr_status gr_audit_study(struct gr_audit_state *audit) GR_CHECKED;
/* The study of that digest: the one that is given, or a copy that the run keeps of a version; NULL:
 * there is none, or it is amiss, which is told where `told`. */
const struct gr_study *gr_audit_version(struct gr_audit_state *audit, const char *digest,
                                        bool told);
/* The run directory: its seals first, then all that they seal. Errors: memory. */
gr_status gr_audit_run(struct gr_audit_state *audit) GR_CHECKED;

/* ---- audit_journal.c ------------------------------------------------------------------------- */

/* A journal, after gr_audit_run. Errors: memory. */
gr_status gr_audit_journal(struct gr_audit_state *audit, const char *path) GR_CHECKED;

#endif
