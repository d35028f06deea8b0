/* SPDX-License-Identifier: Apache-2.0 */
/*
 * study: the two files of a study between institutions. The study's says what is to be computed, by
 * which sites, known by pseudonym and public key; its coordinator signs it, and it names no path
 * and no host. A site's says where its keys, mailbox, tables and folder are, and its policy;
 * nothing of it is sent. Of both follows the config that a run takes: the same digest for every
 * party.
 *
 * Lifetime: gr_study_load and gr_site_load create, the caller owns and releases. All text in the
 * structs belongs to them, and is never NULL: absent is "". Not collective: each party reads its
 * own copy.
 *
 * Interface: internal.
 */
#ifndef GRANARY_STUDY_H
#define GRANARY_STUDY_H

#include <granary/config.h>
#include <granary/post.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { GR_STUDY_VERSIONS_MAX = 100 }; /* that a study follows */

/* Keys, as those of a config: see settings.h. */
/* clang-format off */

/* ---- the study's file ------------------------------------------------------------------------ */

#define GR_STUDY_SITE_KEYS(X, in)                                                                  \
    /* Its pseudonym. */                                                                           \
    X##_TEXT(in, name, NULL, REQUIRED)                                                             \
    /* Its public key, as `granary keygen` shows it. */                                            \
    X##_TEXT(in, key, NULL, REQUIRED)                                                              \
    /* The names of the silos that it brings; none: one, of the site's name. */                    \
    X##_TEXTS(in, silos, 1000, NULL, DECIDES, NULL)                                                \
    /* It has left: its silos keep their places, and nobody waits for it or hears it. */           \
    X##_YES_NO(in, left, "false", DECIDES)
struct gr_study_site_config {
    GR_STUDY_SITE_KEYS(GR_MEMBER, )
};

#define GR_STUDY_KEYS(X, in)                                                                       \
    X##_TEXT(in, name, NULL, REQUIRED)                                                             \
    /* The public key of the coordinator, who signs the file. */                                   \
    X##_TEXT(in, coordinator, NULL, REQUIRED)                                                      \
    X##_SECTIONS(in, sites, gr_study_site_config, GR_STUDY_SITE_KEYS, 1000, REQUIRED)              \
    /* The digests of the versions before this one, the latest first; none: it is the first. */    \
    X##_TEXTS(in, follows, GR_STUDY_VERSIONS_MAX, NULL, DECIDES, NULL)
struct gr_study_config {
    GR_STUDY_KEYS(GR_MEMBER, )
};

/* ---- the site's file ------------------------------------------------------------------------- */

#define GR_SITE_OWN_KEYS(X, in)                                                                    \
    /* The folder of `granary keygen`. */                                                          \
    X##_TEXT(in, key, NULL, REQUIRED)                                                              \
    /* The folder of approvals, journal, logs and runs. */                                         \
    X##_TEXT(in, directory, NULL, REQUIRED)                                                        \
    X##_WHOLE(in, ranks, "1", DECIDES, 1, SILOS_MAX)                                               \
    /* Whether the finished model is written there, model.h5. */                                   \
    X##_YES_NO(in, keep_model, "false", DECIDES)
struct gr_site_own_config {
    GR_SITE_OWN_KEYS(GR_MEMBER, )
};

#define GR_MAILBOX_KEYS(X, in)                                                                     \
    /* https://HOST:PORT of the coordinator, or folder: one of the two. */                         \
    X##_TEXT(in, url, NULL, DECIDES)                                                               \
    X##_TEXT(in, folder, NULL, DECIDES)                                                            \
    /* sha256//BASE64 of the coordinator's certificate, or ca, a PEM file; neither: the system's. */ \
    X##_TEXT(in, pin, NULL, DECIDES)                                                               \
    X##_TEXT(in, ca, NULL, DECIDES)                                                                \
    /* http://HOST:PORT; none: as the environment says. */                                         \
    X##_TEXT(in, proxy, NULL, DECIDES)                                                             \
    /* PEM files of this site's, where the coordinator asks for a certificate. */                  \
    X##_TEXT(in, certificate, NULL, DECIDES)                                                       \
    X##_TEXT(in, key, NULL, DECIDES)
struct gr_mailbox_config {
    GR_MAILBOX_KEYS(GR_MEMBER, )
};

#define GR_SITE_SILO_KEYS(X, in)                                                                   \
    /* As in the study. */                                                                         \
    X##_TEXT(in, name, NULL, REQUIRED)                                                             \
    /* Its table, as in data.silo_tables of a config. */                                           \
    X##_TEXT(in, features, NULL, DECIDES)                                                          \
    X##_TEXT(in, labels, NULL, DECIDES)                                                            \
    X##_TEXT(in, file, NULL, DECIDES)                                                              \
    /* As silos[].directory of a config. */                                                        \
    X##_TEXT(in, directory, NULL, DECIDES)
struct gr_site_silo_config {
    GR_SITE_SILO_KEYS(GR_MEMBER, )
};

/* An approval by an ethics committee or the like, shown as it is given. */
#define GR_APPROVAL_KEYS(X, in)                                                                    \
    X##_TEXT(in, number, NULL, REQUIRED)                                                           \
    /* The last day, ISO. */                                                                       \
    X##_TEXT(in, until, NULL, DECIDES)                                                             \
    X##_TEXT(in, by, NULL, DECIDES)                                                                \
    /* The digest of the study that it is of; none: of any. */                                     \
    X##_TEXT(in, study, NULL, DECIDES)
struct gr_approval_config {
    GR_APPROVAL_KEYS(GR_MEMBER, )
};

/* What a site demands of differential privacy. */
#define GR_SITE_PRIVACY_KEYS(X, in)                                                                \
    /* Whose presence is hidden; none: it is not demanded. */                                      \
    X##_ONE_OF(in, unit, gr_privacy_unit, GR_PRIVACY_UNIT_WORDS, "none", DECIDES)                  \
    /* The most that the study, and all runs over a table of the site, may tell; 0: any. */        \
    X##_REAL(in, epsilon, "0", DECIDES, 0, 1e6)                                                    \
    /* The largest privacy.budget.delta; 0: any. */                                                \
    X##_REAL(in, delta, "0", BELOW | DECIDES, 0, 1)
struct gr_site_privacy_config {
    GR_SITE_PRIVACY_KEYS(GR_MEMBER, )
};

/* The least that a site demands of a study: gr_policy_check (policy.h). Lists that are empty, and
 * counts that are 0, demand nothing. */
#define GR_SITE_POLICY_KEYS(X, in)                                                                 \
    X##_WHOLE(in, minimum_silos, "3", DECIDES, 1, SILOS_MAX)                                       \
    /* Rows of each of the site's own silos. */                                                    \
    X##_WHOLE(in, minimum_rows, "10", DECIDES, 0, 1000000000)                                      \
    X##_WHOLE(in, minimum_cell, "10", DECIDES, 0, 1000000000)                                      \
    X##_WHOLE(in, disclosure_threshold, "10", DECIDES, 0, 1000000000)                              \
    X##_YES_NO(in, per_silo, "false", DECIDES)                                                     \
    X##_YES_NO(in, extremes, "false", DECIDES)                                                     \
    X##_WHOLE(in, digits, "4", DECIDES, 1, 17)                                                     \
    /* Numbers of `granary releases`. */                                                           \
    X##_WHOLES(in, releases, 100, NULL, DECIDES, 1, 1000)                                          \
    X##_TEXTS(in, strategies, 100, NULL, DECIDES, strategy_word)                                   \
    X##_TEXTS(in, metrics, GR_METRICS_MAX, NULL, DECIDES, metric_word)                             \
    X##_TEXTS(in, columns_refused, 10000, NULL, DECIDES, NULL)                                     \
    X##_WHOLE(in, rounds, "0", DECIDES, 0, ROUNDS_MAX)                                             \
    X##_WHOLE(in, runs, "0", DECIDES, 0, 1000000)                                                  \
    X##_TEXTS(in, versions, 100, NULL, DECIDES, NULL)                                              \
    X##_TEXT(in, study, NULL, DECIDES)                                                             \
    X##_TEXTS(in, keys, 10000, NULL, DECIDES, NULL)                                                \
    X##_YES_NO(in, secure_sums, "false", DECIDES)                                                  \
    /* Sites by which the parties of any two secure sums of updates differ, if at all. */          \
    X##_WHOLE(in, roster_difference, "0", DECIDES, 0, 1024)                                       \
    X##_SECTION(in, privacy, gr_site_privacy_config, GR_SITE_PRIVACY_KEYS)                         \
    /* The last day, ISO, in Coordinated Universal Time. */                                        \
    X##_TEXT(in, until, NULL, DECIDES)
struct gr_site_policy_config {
    GR_SITE_POLICY_KEYS(GR_MEMBER, )
};

#define GR_SITE_KEYS(X, in)                                                                        \
    X##_PART(in, site, gr_site_own_config, GR_SITE_OWN_KEYS)                                       \
    X##_PART(in, mailbox, gr_mailbox_config, GR_MAILBOX_KEYS)                                      \
    X##_PARTS(in, silos, gr_site_silo_config, GR_SITE_SILO_KEYS, 1000, REQUIRED)                   \
    X##_PARTS(in, approvals, gr_approval_config, GR_APPROVAL_KEYS, 100, DECIDES)                   \
    X##_PART(in, policy, gr_site_policy_config, GR_SITE_POLICY_KEYS)
struct gr_site_config {
    GR_SITE_KEYS(GR_MEMBER, )
};

/* Every list of keys with its struct, by file. */
#define GR_STUDY_SECTION_LISTS(LIST)                                                               \
    LIST(gr_study_site_config, GR_STUDY_SITE_KEYS)                                                 \
    LIST(gr_study_config, GR_STUDY_KEYS)
#define GR_SITE_SECTION_LISTS(LIST)                                                                \
    LIST(gr_site_own_config, GR_SITE_OWN_KEYS)                                                     \
    LIST(gr_mailbox_config, GR_MAILBOX_KEYS)                                                       \
    LIST(gr_site_silo_config, GR_SITE_SILO_KEYS)                                                   \
    LIST(gr_approval_config, GR_APPROVAL_KEYS)                                                     \
    LIST(gr_site_privacy_config, GR_SITE_PRIVACY_KEYS)                                             \
    LIST(gr_site_policy_config, GR_SITE_POLICY_KEYS)                                               \
    LIST(gr_site_config, GR_SITE_KEYS)

/* clang-format on */

/* ---- a study --------------------------------------------------------------------------------- */

/* A site of a study, and the silos that it brings: first_silo to first_silo + n_silos - 1. */
struct gr_study_site {
    uint32_t first_silo, n_silos;
};

struct gr_study {
    char *path; /* as it was given */
    char *name;
    unsigned char digest[GR_DIGEST_BYTES]; /* BLAKE2b-256 of the file's bytes */
    /* The digests of the versions before it, the latest first; n_follows. */
    unsigned char (*follows)[GR_DIGEST_BYTES];
    uint32_t n_follows;
    /* [0] the coordinator, of the name "coordinator"; from 1 on the sites. n_parties of each; the
     * coordinator brings no silo. */
    struct gr_party *parties;
    struct gr_study_site *sites;
    uint32_t n_parties;
    char **silos; /* the names of all, in the order of the sites */
    uint32_t n_silos;
    struct gr_schema *schema; /* NULL: the file has none */
    /* Of the file's other sections. In the place of each table stands a word, and data.schema says
     * no more than whether there is one: gr_study_configure makes the config of a run. */
    struct gr_config *config;
};

/*
 * Not collective. Reads a study (YAML, at most 1 MiB) with its schema and all sections of a config,
 * and checks every rule. It names no path and no host: data.silo_tables, data.train, data.test,
 * data.schema, run.directory, round.replay, silos and faults are refused. Nobody's signature is
 * asked for. Errors: as gr_config_load. *out: for gr_study_free.
 */
gr_status gr_study_read(const char *path, struct gr_study **out) GR_CHECKED;
/* Not collective. As gr_study_read, of text of `length` bytes; `name` stands for the path. */
gr_status gr_study_parse(const char *name, const char *text, size_t length,
                         struct gr_study **out) GR_CHECKED;
/*
 * Not collective. As gr_study_read, and PATH.sig must hold the signature of the study's coordinator
 * over the bytes that were read. Errors: GR_ERROR_CONFIG says what of the two does not fit.
 */
gr_status gr_study_load(const char *path, struct gr_study **out) GR_CHECKED;
/*
 * Not collective. Reads a study and writes PATH.sig, its signature by `keys`, which must be those
 * of its coordinator. Errors: as gr_study_read; GR_ERROR_WRITE.
 */
gr_status gr_study_sign(const char *path, const struct gr_keys *keys) GR_CHECKED;
/* Not collective. Whether a file has a section of that name ("study", "site"), by which studies and
 * sites are told from configs; false of one that cannot be read as YAML. */
bool gr_file_has_section(const char *path, const char *section);
/* Not collective. Releases a study; NULL is accepted. */
void gr_study_free(struct gr_study *study);
/* Not collective. Whether a digest is that of the study, or of a version that it follows. */
bool gr_study_is_version(const struct gr_study *study, const unsigned char digest[GR_DIGEST_BYTES]);
/* Not collective. The party of that public key; n_parties: there is none. */
uint32_t gr_study_find(const struct gr_study *study, const struct gr_public_key *key);

/* ---- versions of a study (config/study_versions.c) ------------------------------------------- */

/* A difference between a version of a study and the next. */
struct gr_study_change {
    const char *words;   /* "run.rounds: 60 then, 80 now"; of the call */
    const char *refused; /* why a run cannot go on by the next; NULL: it can */
};
typedef void (*gr_study_change_function)(void *context, const struct gr_study_change *change);
/*
 * Not collective. Visits all that `now` changes of `then`, the version before it or an earlier one,
 * first what is refused for the whole of it. A run goes on by a version that names the digests of
 * those before, keeps coordinator, name, schema and the places of silos, and changes no setting
 * that decides the model's bits.
 */
gr_status gr_study_compare(const struct gr_study *then, const struct gr_study *now,
                           gr_study_change_function visit, void *context) GR_CHECKED;
/* Not collective. GR_ERROR_CONFIG with a line for each change by which no run can go on. */
gr_status gr_study_check_version(const struct gr_study *then,
                                 const struct gr_study *now) GR_CHECKED;
/*
 * Not collective. Copies the study's file and its signature to FOLDER/DIGEST.yaml, where they can
 * be found by gr_study_kept; the folder is made where it is missing (0750), the files are readable
 * for owner and group at most. Errors: GR_ERROR_CONFIG: the file is not what it was;
 * GR_ERROR_WRITE.
 */
gr_status gr_study_keep(const struct gr_study *study, const char *folder) GR_CHECKED;
/* Not collective. The study of that digest, with its signature. *out NULL: the folder has none.
 * Errors: as gr_study_load; GR_ERROR_CONFIG: the file has another digest than its name. */
gr_status gr_study_kept(const char *folder, const unsigned char digest[GR_DIGEST_BYTES],
                        struct gr_study **out) GR_CHECKED;
/* Not collective. The latest version that the study follows of which the folder has a copy; *out
 * NULL: it has none. Errors: as gr_study_kept. */
gr_status gr_study_kept_before(const char *folder, const struct gr_study *study,
                               struct gr_study **out) GR_CHECKED;
/* Not collective. Whether a version of a study may change the setting at a path, though it is of
 * the digest of a config. */
bool gr_study_may_change(const struct gr_config *now, const char *path);

/* ---- a site ---------------------------------------------------------------------------------- */

struct gr_site {
    char *path;                      /* as it was given */
    struct gr_site_config *settings; /* paths stand in it behind the folder of the file, if they are
                                        relative: as a process that stays in its working folder
                                        opens them */
    struct gr_keys *keys;            /* of settings->site.key; NULL after gr_site_parse */
    struct gr_node *tree;            /* knows the lines: gr_site_line */
};

/*
 * Not collective. Reads a site's file (YAML, at most 1 MiB), checks every rule, and reads its keys.
 * Relative paths in the file are relative to the file's folder. Errors: as gr_config_load, and
 * those of gr_keys_read. *out: for gr_site_free.
 */
gr_status gr_site_load(const char *path, struct gr_site **out) GR_CHECKED;
/* Not collective. As gr_site_load, of text of `length` bytes, without keys; `name` stands for the
 * path, also where paths in the file are relative. */
gr_status gr_site_parse(const char *name, const char *text, size_t length,
                        struct gr_site **out) GR_CHECKED;
/* Not collective. Releases a site and wipes its keys; NULL is accepted. */
void gr_site_free(struct gr_site *site);
/* Not collective. The line of the file in which the setting at a path ("policy.rounds") was given;
 * 0: it was not. */
size_t gr_site_line(const struct gr_site *site, const char *setting);

/*
 * Not collective. The party of the study that a site is, by its public key. Errors:
 * GR_ERROR_CONFIG: it is none, or its silos are not those that the study lists for it.
 */
gr_status gr_site_find(const struct gr_study *study, const struct gr_site *site,
                       uint32_t *party) GR_CHECKED;

/*
 * Not collective. The config of a run, as a party takes it: data.silo_tables has an entry for each
 * silo of the study, in its order; of the site's own silos it names their tables, of others the
 * word "site:NAME", which is no file; silos[].directory are its own, silos[].site the number of the
 * party that brings each. The study's schema is written to DIRECTORY/schema.yaml, which data.schema
 * names; run.directory is DIRECTORY. site NULL: as the coordinator, who has no table.
 * gr_config_digest is the same for all parties. All ranks of a job may call it at once. Errors:
 * those of gr_site_find; GR_ERROR_WRITE. *out: for gr_config_free.
 */
gr_status gr_study_configure(const struct gr_study *study, const struct gr_site *site,
                             const char *directory, struct gr_config **out) GR_CHECKED;

/*
 * Not collective. As gr_study_configure of a site, of its own silos alone, and with nobody to be
 * kept from or waited for: what in its tables does not fit the study is found before the others are
 * met. Its digest is another.
 */
gr_status gr_study_configure_alone(const struct gr_study *study, const struct gr_site *site,
                                   const char *directory, struct gr_config **out) GR_CHECKED;
/*
 * Not collective. As gr_study_configure, with the tables of all silos, by name, on one machine, for
 * trying a study out: its digest is that of all parties. Errors: GR_ERROR_USAGE: a silo has none,
 * or a table no silo; GR_ERROR_WRITE.
 */
gr_status gr_study_configure_trial(const struct gr_study *study,
                                   const struct gr_site_silo_config *silos, unsigned n,
                                   const char *directory, struct gr_config **out) GR_CHECKED;

/*
 * Not collective. YAML of a study without one of its silos, and without the site that brought no
 * other; as gr_config_without. text: the study's own, `length` bytes. The new one has another name,
 * since it is another study. GR_ERROR_CONFIG: it has no such silo. Caller releases with gr_free.
 */
gr_status gr_study_without(const struct gr_study *study, const char *text, size_t length,
                           const char *silo, const struct gr_recorded_rounds *rounds,
                           char **yaml) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
