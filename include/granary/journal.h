/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal: evidence of a study of institutions. Lines in a chain, of which some are signed; the
 * seals, by which the coordinator vouches for its records; and the journal of a site, in which it
 * writes down all that has left it and the seals that it was shown.
 *
 * A chain is a file as events.jsonl is (observe.h). A line may hold the signature of its writer,
 * before its hash: "signature", of all that stands before it in the line, so of all lines before as
 * well. Whoever has no key can make a chain anew, but for the lines that are signed.
 *
 * Not collective: each process keeps its own. Lifetime: keys and parties are borrowed, and outlive
 * what borrows them.
 *
 * Interface: internal.
 */
#ifndef GRANARY_JOURNAL_H
#define GRANARY_JOURNAL_H

#include <granary/observe.h>
#include <granary/post.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- chains (observe/events.c) --------------------------------------------------------------- */

/* Purposes of signatures. */
#define GR_PURPOSE_OF_SEALS    "seal"
#define GR_PURPOSE_OF_JOURNALS "journal"

struct gr_chain_signer {
    const struct gr_keys *keys;
    const char *purpose;
};
/*
 * Not collective. As gr_events_append; signer NULL: not signed. *line: the line without its
 * newline, for gr_free; line may be NULL. detail must not have a member "signature".
 */
gr_status gr_events_append_signed(struct gr_events_file *file, const char *event, uint32_t round,
                                  const char *detail, const struct gr_chain_signer *signer,
                                  char **line) GR_CHECKED;

/* A line as it is read. */
struct gr_chain_line {
    const char *text; /* n bytes, without a newline */
    size_t n;
    uint64_t number;          /* in the file, from 1 */
    bool follows;             /* it has the hash of its text, and continues the line before */
    char hash[GR_DIGEST_HEX]; /* that it says it has; "": none */
};
typedef gr_status (*gr_chain_visit)(void *context, const struct gr_chain_line *line);
/*
 * Not collective. Reads a chain line by line; a visit that fails ends it. *torn: behind the last
 * line stands a part of one. Errors: GR_ERROR_DATA, also where there is no file; those of `visit`.
 */
gr_status gr_chain_read(const char *path, gr_chain_visit visit, void *context, uint64_t *n_lines,
                        bool *torn) GR_CHECKED;
/* Not collective. Whether a line ends with the hash of the rest of it, which is copied. */
bool gr_chain_whole(const char *line, size_t length, char hash[GR_DIGEST_HEX]);
/* Not collective. Whether a line holds the key's signature, for this purpose, of its text. */
bool gr_chain_signed(const char *line, size_t length, const char *purpose,
                     const struct gr_public_key *key);

/* ---- seals (observe/run_seal.c) -------------------------------------------------------------- */

/*
 * A line of seals.jsonl: {"n", "time", "event", "round", "study", "run_id", "by", "model",
 * "events": {"lines", "head"}, "files": {NAME: {"bytes", "digest"}}, "previous", "signature",
 * "hash"}. "event" is "start" or "resumed" when a stretch begins, "checkpoint", and at the end of a
 * stretch "finished", "stopped" or "failed".
 */
enum { GR_SEAL_TEXT_MAX = 16384, GR_SEAL_KIND_BYTES = 16 };
struct gr_run_seal {
    uint64_t n; /* of the run's, from 1 */
    char kind[GR_SEAL_KIND_BYTES];
    uint32_t round;
    char study[GR_DIGEST_HEX];
    char run_id[GR_DIGEST_HEX];
    char by[GR_PUBLIC_KEY_TEXT];
    char model[GR_DIGEST_HEX]; /* gr_layout_digest of the parameters; "": not said */
    struct gr_head events;
    char previous[GR_DIGEST_HEX], hash[GR_DIGEST_HEX];
};
/* Not collective. Reads a seal, and checks its hash, not its signature. Errors: GR_ERROR_DATA. */
gr_status gr_run_seal_read(const char *text, size_t length, struct gr_run_seal *out) GR_CHECKED;
/* Not collective. Whether a seal of this kind ends a stretch of a run. */
bool gr_run_seal_closes(const struct gr_run_seal *seal);
/* Not collective. The last line of RUN/seals.jsonl, where it is a seal of this version of the study
 * (GR_DIGEST_BYTES) by which the run has finished; the file is the own one: no signature is asked
 * for. NULL: it is none. Caller releases it with gr_free. */
char *gr_run_finished_by(const char *run_path, const unsigned char *study);

/* ---- the journal of a site (observe/journal.c) ----------------------------------------------- */

/*
 * journal.jsonl, one of each rank of a site's job. Events: "opened" (study, site, rank, key,
 * approvals); "release" (release, name, values, bytes, digest, protected); "withheld" (release,
 * name, values, protected); "seal" (seal: the line of the coordinator's; held: false where the site
 * does not know the model), "contradiction" (what,
 * seal), and "closed" (outcome), all three signed.
 */
struct gr_journal; /* opaque */
struct gr_journal_options {
    const char *path;
    const unsigned char *study; /* GR_DIGEST_BYTES: its digest */
    /* Digests of versions of the study before it, whose journal is gone on with; n_follows. */
    const unsigned char (*follows)[GR_DIGEST_BYTES];
    uint32_t n_follows;
    const struct gr_party *parties; /* [0]: the coordinator */
    uint32_t party;                 /* this one's */
    int rank;                       /* in its job */
    const struct gr_keys *keys;     /* NULL: this rank has none, and signs nothing */
    const char *approvals;          /* JSON, a list of gr_site_approvals (policy.h); NULL: none */
};
/* Not collective. DIRECTORY/journal.jsonl of rank 0 of a job, journal-RANK.jsonl of another. Caller
 * releases *out with gr_free. */
gr_status gr_journal_path(const char *directory, int rank, char **out) GR_CHECKED;
/*
 * Not collective. Opens a journal to be gone on with; what is damaged is kept aside and told, as
 * gr_events_open does. The file is on disk, under its name, before this returns. Errors:
 * GR_ERROR_WRITE; GR_ERROR_CONFIG: the file is the journal of another site, or of a study that this
 * one does not follow.
 */
gr_status gr_journal_open(const struct gr_journal_options *options,
                          struct gr_journal **out) GR_CHECKED;
/* Not collective. The lines that gr_journal_open found to be none, in words; NULL: none. */
const char *gr_journal_damage(const struct gr_journal *journal);
/* Not collective. The round that releases are of from now on. */
void gr_journal_begin(struct gr_journal *journal, uint32_t round);

/* That has left, or is about to. */
struct gr_journal_release {
    int id;
    const char *name;
    uint64_t values, bytes;
    const unsigned char *digest; /* GR_DIGEST_BYTES; NULL: the values are not at hand */
    const char *how;             /* it is protected */
};
/*
 * Not collective. Writes down a release. It is with the system when this returns, and on disk after
 * gr_journal_sync. Errors: GR_ERROR_WRITE: the release must not leave, and gr_journal_failed says
 * so from then on.
 */
gr_status gr_journal_add(struct gr_journal *journal,
                         const struct gr_journal_release *release) GR_CHECKED;
/* Not collective. Writes down that a release was withheld, with the reason for it in `how`. Errors:
 * GR_ERROR_WRITE. */
gr_status gr_journal_withhold(struct gr_journal *journal,
                              const struct gr_journal_release *release) GR_CHECKED;

/* All that a site knows by itself of the run that a seal speaks of. */
struct gr_journal_seen {
    uint32_t round;            /* done */
    char model[GR_DIGEST_HEX]; /* of the parameters that it holds; "": it does not know */
    const char *run_id;        /* as it was told before; NULL: it does not know */
};
/*
 * Not collective. Holds a seal against what the site has seen, writes it down, countersigned, and
 * brings it to disk. Errors: GR_ERROR_POLICY: it is not the coordinator's, or contradicts another
 * seal, the round or the model; that is written down as well. GR_ERROR_WRITE.
 */
gr_status gr_journal_seal(struct gr_journal *journal, const char *text,
                          const struct gr_journal_seen *seen) GR_CHECKED;
/*
 * Not collective. The end of a run at which this site was away: writes the seal into the journals
 * of all ranks that the folder has, where it is not their last, as gr_journal_seal does, and closes
 * them. `options` is of rank 0; its path is not used. Errors: as gr_journal_open and
 * gr_journal_seal.
 */
gr_status gr_journal_finish(const char *directory, const struct gr_journal_options *options,
                            const char *text) GR_CHECKED;
/* Not collective. Writes down, signed, that the site leaves the study for good. Errors:
 * GR_ERROR_WRITE. */
gr_status gr_journal_leave(struct gr_journal *journal) GR_CHECKED;
/* Not collective. Brings the journal to disk. Errors: GR_ERROR_WRITE, also where lines wait for a
 * disk that is full: a site goes no further than its journal. */
gr_status gr_journal_sync(struct gr_journal *journal) GR_CHECKED;
/* Not collective. Whether the journal could not be written, or a seal contradicted it. */
bool gr_journal_failed(const struct gr_journal *journal);
/*
 * Not collective. Signs the end of a stretch ("finished", "stopped", "failed", "lost", "refused"),
 * brings it to disk and releases the journal; NULL is accepted. Errors: GR_ERROR_WRITE; it is
 * released nevertheless.
 */
gr_status gr_journal_close(struct gr_journal *journal, const char *outcome) GR_CHECKED;
/*
 * Not collective. Whether the journal at `path` ends with a run of the study, by its digest, that
 * has finished; a journal that is not there or cannot be read has none.
 */
bool gr_journal_has_finished(const char *path, const unsigned char study[GR_DIGEST_BYTES]);

/* ---- the report of a site (observe/site_report.c) -------------------------------------------- */

/* What leaves by a release, as what numbers, and who sees it. Static; NULL: not known. */
struct gr_release_words {
    const char *what, *kind, *to;
};
typedef void (*gr_release_describe)(int id, struct gr_release_words *words);
/* Not collective. Whether a folder is a site's of a study: it has a journal, and is no run. */
bool gr_is_site_folder(const char *folder);
/*
 * Not collective. Writes a page, made of the journals in the folder, on all that has left the site.
 * describe: by the table of releases; NULL: releases have their names alone. Errors: GR_ERROR_DATA:
 * there is no journal; GR_ERROR_WRITE.
 */
gr_status gr_site_report_write(const char *folder, gr_release_describe describe,
                               const char *path) GR_CHECKED;

/* ---- what journals say in sum (observe/journal_sums.c) ----------------------------------------
 */

/* A release, in all journals of a folder. */
struct gr_journal_sum {
    int id;
    char name[32];
    uint64_t times, values, bytes; /* that have left */
    uint64_t withheld;             /* times */
    uint32_t first, last;          /* rounds */
    char how[160];                 /* the last that left was protected; */
    char rule[160];                /* and by which the last one was withheld; "": none was */
};
/* A stretch in which a rank took part: from the line that opens its journal to that which closes
 * it. */
struct gr_journal_stretch {
    char opened[32], closed[32], outcome[16]; /* closed "": nothing closes it */
    uint64_t rank;
    uint32_t round; /* at its end */
};
enum { GR_JOURNAL_SUMS_MAX = 64, GR_JOURNAL_STRETCHES_MAX = 60 };
struct gr_journal_sums {
    size_t n_files, n; /* journals that were read; releases, ascending by number */
    struct gr_journal_sum sum[GR_JOURNAL_SUMS_MAX];
    uint64_t others;     /* releases of yet other numbers */
    uint32_t rounds;     /* in which something left, by the first journal; */
    uint32_t last_round; /* and the last of them */
    uint64_t lines;
    uint64_t seals;          /* of the coordinator's, countersigned, by all; */
    struct gr_run_seal seal; /* and the last of them; n 0: there is none */
    uint64_t broken;         /* lines that do not continue their chain; */
    char broken_at[64];      /* and the first of them, in words */
    bool torn;               /* a last line is a part of one */
    char oldest[32];         /* time of the oldest line, */
    char newest[32];         /* and of the newest release; "": there was none */
    char contradiction[400]; /* why some seal was refused; "": none was */
    /* Of the latest lines that open a journal. */
    char site[80], study[GR_DIGEST_HEX], key[GR_PUBLIC_KEY_TEXT];
    char *approvals; /* JSON, a list: gr_journal_options; owned; NULL: none */
    struct gr_journal_stretch stretch[GR_JOURNAL_STRETCHES_MAX]; /* the latest, */
    size_t n_stretches;                                          /* of so many */
};
/* Not collective. Adds up the journals of a site's folder, of all its ranks; none is no error.
 * Nobody's signature is asked for: `granary audit` does. Release in any case. Errors:
 * GR_ERROR_DATA. */
gr_status gr_journal_sum_up(const char *directory, struct gr_journal_sums *out) GR_CHECKED;
/* Not collective. */
void gr_journal_sums_release(struct gr_journal_sums *sums);

#ifdef __cplusplus
}
#endif
#endif
