/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy: what a site demands of a study, what it has approved, and how often it took part. All of
 * it stays in the site's folder, is decided on its own ranks, and before a table is opened.
 *
 * Nothing is tightened silently: where a site is stricter than the study, it takes no part. A study
 * has one config, whose digest all parties compare.
 *
 * Interface: internal.
 */
#ifndef GRANARY_POLICY_H
#define GRANARY_POLICY_H

#include <granary/release.h>
#include <granary/study.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the rules (cohort/site_policy.c) -------------------------------------------------------- */

/*
 * Not collective. Holds a study against the policy of a site. now_s: seconds since
 * 1970-01-01T00:00:00 UTC, which `until` alone depends on. run: the id of the run that is to begin
 * or to be gone on with, which counts for policy.runs once; NULL: not known yet, it may be one of
 * this study's that is recorded. Errors: GR_ERROR_POLICY with a
 * line for each rule that is broken: "site.yaml:12: policy.rounds: found 60 (run.rounds of
 * study.yaml), allowed at most 20"; they are for the site's own log, and others may learn no more
 * than that its policy refuses. GR_ERROR_CONFIG: the site's record of runs cannot be read.
 */
gr_status gr_policy_check(const struct gr_study *study, const struct gr_site *site, double now_s,
                          const char *run) GR_CHECKED;
/*
 * Not collective. As gr_policy_check, of a site whose file says nothing of a policy: whether the
 * sites have to allow more than the defaults, so that a coordinator learns it before they do.
 */
gr_status gr_policy_check_defaults(const struct gr_study *study) GR_CHECKED;
/*
 * Not collective. policy.minimum_rows, once the tables are read. rows: of the site's own silos, in
 * the order of the study, n of them: those of `party`. Errors: GR_ERROR_POLICY names the silos, and
 * no number of rows, so that the message may travel.
 */
gr_status gr_policy_check_rows(const struct gr_study *study, const struct gr_site *site,
                               uint32_t party, const uint64_t *rows, size_t n) GR_CHECKED;

/* ---- the records of a site (store/site_records.c) -------------------------------------------- */

/* Not collective. Makes the site's folder where it is missing (0700). Errors: GR_ERROR_WRITE. */
gr_status gr_site_folder(const struct gr_site *site) GR_CHECKED;
/*
 * Not collective. Adds a line to approvals.jsonl in the site's folder, which is made where it is
 * missing (0700): the time, the study's name and digest, the file that was looked at, who approves
 * and by which number (NULL: not said), signed with the site's key. Errors: GR_ERROR_WRITE.
 */
gr_status gr_site_approve(const struct gr_study *study, const struct gr_site *site,
                          const char *number, const char *by) GR_CHECKED;
/*
 * Not collective. GR_OK: approvals.jsonl has a line, signed by the site's key, for the digest of
 * the study. Errors: GR_ERROR_POLICY: it has none; GR_ERROR_CONFIG: the file holds something else,
 * or a line that the key has not signed.
 */
gr_status gr_site_approved(const struct gr_study *study, const struct gr_site *site) GR_CHECKED;
/* An approval as it is recorded; all borrowed; "": not given. */
struct gr_approval_record {
    const char *time, *number, *by;
};
typedef void (*gr_approval_visit)(void *context, const struct gr_approval_record *record);
/* Not collective. Shows each approval of a study, by its digest in hex, that lies in a site's
 * folder and is signed with its key. Errors: GR_ERROR_CONFIG, as gr_site_approved. */
gr_status gr_site_show_approvals(const char *directory, const struct gr_public_key *key,
                                 const char *digest, gr_approval_visit visit,
                                 void *context) GR_CHECKED;
/*
 * Not collective. The approvals of this study as a JSON list: those of the site's file (number, by,
 * until), and those of approvals.jsonl (approved, number, by). Caller releases *out with gr_free.
 * Errors: as gr_site_approved.
 */
gr_status gr_site_approvals(const struct gr_study *study, const struct gr_site *site,
                            char **out) GR_CHECKED;
/*
 * Not collective. Notes in runs.jsonl of the site's folder that it takes part in a run, by the
 * run's id and the study's digest; a run that is there already is not added again, nor one that
 * goes on by a version that follows. A study that was edited otherwise is another, and its run a
 * further one. Errors: as gr_site_approve and gr_site_count_runs.
 */
gr_status gr_site_note_run(const struct gr_study *study, const struct gr_site *site,
                           const char *run) GR_CHECKED;
/* Not collective. How many runs runs.jsonl has, but for `run` of this study or a version that
 * it follows; NULL: but for one of these. Errors: GR_ERROR_CONFIG, as gr_site_approved. */
gr_status gr_site_count_runs(const struct gr_study *study, const struct gr_site *site,
                             const char *run, uint32_t *n) GR_CHECKED;

/* ---- leaving for good ------------------------------------------------------------------------ */

/*
 * Not collective. Records in left.jsonl of the site's folder that it leaves this study for good;
 * *line: the line, which its key has signed, without its newline, for the coordinator; caller
 * releases it with gr_free. A record that is there already is taken. Errors: as gr_site_approve.
 */
gr_status gr_site_leave(const struct gr_study *study, const struct gr_site *site,
                        char **line) GR_CHECKED;
/* Not collective. GR_ERROR_POLICY, with what to do, where the site has left this study; others as
 * gr_site_approved. */
gr_status gr_site_stays(const struct gr_study *study, const struct gr_site *site) GR_CHECKED;
/*
 * Not collective. The coordinator's: writes a party's line into left.jsonl of the run directory.
 * Errors: GR_ERROR_DATA: the party's key has not signed it, or it is of another study;
 * GR_ERROR_WRITE.
 */
gr_status gr_leaving_note(const struct gr_study *study, const char *directory, uint32_t party,
                          const char *line) GR_CHECKED;
/* Not collective. Flags, of n_parties, of those that have left the study by these lines. A line
 * that no party has signed is GR_ERROR_CONFIG. */
gr_status gr_leaving_read(const struct gr_study *study, const char *directory,
                          bool *left) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
