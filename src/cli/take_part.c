/* SPDX-License-Identifier: Apache-2.0 */
/* See take_part.h: the meeting, the run, and the meeting again after a loss. */
#include "cli/take_part.h"

#include "cli/own_log.h"
#include "cli/part_status.h"

#include <granary/journal.h>
#include <granary/policy.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void say_waiting(const char *words) {
    fprintf(stderr, "granary: %s\n", words);
    fflush(stderr);
    gr_own_log_add(words);
}

static void say_of_post(void *context, const char *words) {
    (void)context;
    say_waiting(words);
}

/* Of a rank's own silos, on its own terminal. Lines begin with the silo's pseudonym, by which the
 * records name it: here it has the name that the study gives it, too. */
static void hear(void *context, const char *line) {
    const struct gr_study *study = context;
    char pseudonym[24], named[GR_MESSAGE_MAX];
    for (uint32_t i = 0; i < study->n_silos; i++) {
        gr_silo_pseudonym(i, pseudonym);
        const size_t n = strlen(pseudonym);
        if (strncmp(line, pseudonym, n) != 0 || (line[n] >= '0' && line[n] <= '9')) continue;
        snprintf(named, sizeof named, "%s (%s)%s", study->silos[i], pseudonym, line + n);
        line = named;
        break;
    }
    say_waiting(line);
}

gr_status gr_own_folder(const char *path, char **out) {
    gr_status status = GR_OK;
    char whole[PATH_MAX];
    if (mkdir(path, 0750) != 0 && errno != EEXIST)
        return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    if (!realpath(path, whole)) return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    status = gr_text_format(out, "%s", whole);
    return status;
}

gr_status gr_read_duration(const char *option, const char *text, double *out) {
    char quoted[80];
    if (gr_seconds_parse(text, out) && *out > 0) return GR_OK;
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    return gr_fail(GR_ERROR_USAGE, "%s: found '%s', expected a time above 0, as in 90s, 30m, 12h",
                   option, quoted);
}

/* Whether the run directory holds a run to go on with: the coordinator's alone knows. */
static gr_status share_resume(struct gr_comm *comm, const struct gr_part_in_study *part,
                              bool *resume) {
    gr_status status = GR_OK;
    char *path = NULL;
    uint8_t there = 0;
    GR_TRY(gr_comm_agree(comm, gr_text_format(&path, "%s/manifest.json", part->directory)));
    if (gr_comm_rank(comm) == 0) there = access(path, F_OK) == 0;
    GR_TRY(gr_comm_broadcast(comm, &there, sizeof there));
    *resume = there != 0;
out:
    gr_free(path);
    return status;
}

/* policy.minimum_rows of the site, of the silos of this rank. */
static gr_status permit(void *context, const uint64_t *rows, size_t n) {
    const struct gr_part_in_study *part = context;
    const struct gr_study_site *own = &part->study->sites[part->party];
    if (own->first_silo + own->n_silos > n)
        return gr_fail(GR_ERROR_INTERNAL, "%zu silos, the study has %u", n, part->study->n_silos);
    return gr_policy_check_rows(part->study, part->site, part->party, rows + own->first_silo,
                                own->n_silos);
}

/* The whole policy of the site once more: days may have gone by since it was asked. */
static gr_status begin(void *context, const char *run_id) {
    const struct gr_part_in_study *part = context;
    gr_status status;
    GR_TRY(gr_policy_check(part->study, part->site, (double)time(NULL), run_id));
    status = gr_site_note_run(part->study, part->site, run_id);
out:
    return status;
}

/* One meeting, and the run until it ends in whatever way. */
static gr_status run_once(struct gr_invocation *invocation, const struct gr_part_in_study *part,
                          const struct gr_config *config, const struct gr_comm_options *common,
                          const volatile sig_atomic_t *stop) {
    gr_status status = GR_OK;
    struct gr_comm *comm = NULL;
    struct gr_run_options options = {
        .run_path = part->directory,
        .config_text = part->text,
        .initial = part->initial,
        .progress = part->quiet ? NULL : stdout,
        .listener = {.hear = hear, .context = (void *)(uintptr_t)part->study},
        .stop = part->site ? NULL : stop,
        .keep_model = part->keep_model,
        .begin = part->site ? begin : NULL,
        .permit = part->site ? permit : NULL,
        .permit_context = (void *)(uintptr_t)part,
        .epsilon_most = part->site ? part->site->settings->policy.privacy.epsilon : 0};
    struct gr_run_evidence evidence = {
        .study = part->study->digest,
        .follows = (const unsigned char(*)[GR_DIGEST_BYTES])part->study->follows,
        .n_follows = part->study->n_follows,
        .parties = part->study->parties,
        .party = part->party,
        .keys = part->keys};
    char *journal = NULL;
    int ranks;
    GR_TRY(gr_comm_create(invocation->world, common, &comm));
    evidence.rank = gr_comm_slot(comm) - gr_comm_party_slots(comm, part->party, &ranks);
    GR_TRY(gr_comm_agree(comm, gr_journal_path(part->directory, evidence.rank, &journal)));
    evidence.journal = part->site ? journal : NULL;
    evidence.approvals = part->approvals;
    if (part->site) evidence.roster_difference = part->site->settings->policy.roster_difference;
    options.evidence = &evidence;
    GR_TRY(share_resume(comm, part, &options.resume));
    status = gr_run(comm, config, &options);
    /* The coordinator's disk is full, or the like: it is waited for as one that was killed. */
    if (status == GR_ERROR_WRITE && part->site && !gr_comm_leaves(comm))
        status = gr_fail(GR_STOPPED, "%s", gr_message());
out:
    /* Before the tables are read nobody goes on without the others: the jobs meet again. */
    if (status == GR_LOST) status = gr_fail(GR_STOPPED, "%s", gr_message());
    gr_leave(invocation, comm);
    gr_free(journal);
    return status;
}

/*
 * Letters come and go by the megabyte, in other threads than those that free them. Memory that the
 * system gives anew for each costs as much time as sealing it does; so what they have used is kept
 * for the next ones, up to what may be under way. Vectors, which are larger, go back as before.
 */
static void keep_memory_of_letters(void) {
#ifdef __GLIBC__
    enum { LETTERS = 4 << 20, KEPT = 64 << 20 };
    mallopt(M_MMAP_THRESHOLD, LETTERS);
    mallopt(M_TRIM_THRESHOLD, KEPT);
#endif
}

/*
 * By its journal the site has the end, but the coordinator may have been killed before it told all;
 * then it is there, and tells them. Mostly it has ended, and nobody is waited for.
 */
static gr_status after_the_end(const struct gr_part_in_study *part, bool speaks) {
    if (speaks && !part->quiet)
        fprintf(stderr,
                "granary: by this site's journal the run of %s has finished, and no coordinator "
                "asks for more; a further run is begun in another run directory, and counts for "
                "policy.runs\n",
                part->study->name);
    return GR_OK;
}

/* What is kept of the coordinator's run: how it stands, and who has left for good. */
struct kept {
    struct gr_part_status status; /* first: reports are given it */
    const struct gr_part_in_study *part;
};

static gr_status note_leaving(void *context, uint32_t party, const char *line) {
    const struct kept *kept = context;
    return gr_leaving_note(kept->part->study, kept->part->directory, party, line);
}

/* A site's: recorded in its folder and its journal first, then the coordinator is told. */
static gr_status leave_for_good(const struct gr_part_in_study *part, struct gr_gateway *gateway) {
    static const double patience_s = 60;
    struct gr_journal_options options = {.study = part->study->digest,
                                         .parties = part->study->parties,
                                         .party = part->party,
                                         .keys = part->keys};
    struct gr_journal *journal = NULL;
    char *path = NULL, *line = NULL;
    const bool anew = gr_site_stays(part->study, part->site) == GR_OK;
    gr_status status;
    GR_TRY(gr_site_leave(part->study, part->site, &line));
    GR_TRY(gr_journal_path(part->directory, 0, &path));
    options.path = path;
    if (anew) {
        GR_TRY(gr_journal_open(&options, &journal));
        GR_TRY(gr_journal_leave(journal));
        status = gr_journal_close(journal, "left");
        journal = NULL;
        if (status != GR_OK) goto out;
    }
    GR_TRY(gr_gateway_leave(gateway, line, patience_s));
    if (!part->quiet)
        printf("this site has left the study %s for good; the coordinator knows\n",
               part->study->name);
out:
    if (journal) (void)!gr_journal_close(journal, "failed");
    gr_free(path);
    gr_free(line);
    return status;
}

/* The run had finished, which this job learns afterwards: at its end it was killed, or away. */
static gr_status conclude(const struct gr_invocation *invocation,
                          const struct gr_part_in_study *part, const struct gr_gateway *gateway) {
    gr_status status = GR_OK;
    char *words = NULL;
    const struct gr_journal_options options = {
        .study = part->study->digest,
        .follows = (const unsigned char(*)[GR_DIGEST_BYTES])part->study->follows,
        .n_follows = part->study->n_follows,
        .parties = part->study->parties,
        .party = part->party,
        .keys = part->keys,
        .approvals = part->approvals};
    if (invocation->speaks) say_waiting(gr_message());
    if (gateway && gr_gateway_finished(gateway))
        GR_TRY(gr_journal_finish(part->directory, &options, gr_gateway_finished(gateway)));
    if (!invocation->speaks || !part->keep_model || access(part->keep_model, F_OK) == 0) goto out;
    GR_TRY(gr_text_format(&words, "%s: the model was not kept; the coordinator has it",
                          part->keep_model));
    say_waiting(words);
out:
    gr_free(words);
    return status;
}

gr_status gr_take_part(struct gr_invocation *invocation, const struct gr_part_in_study *part) {
    gr_status status = GR_OK;
    struct gr_config *config = NULL;
    gr_status opened = GR_OK;
    char *libraries = NULL, *why = NULL, *finished = NULL;
    struct kept kept = {.part = part};
    bool compared = false, *left = NULL;
    enum gr_job_end ends = GR_JOB_GOES_ON;
    /* The coordinator stops after the round; a site says goodbye, and the others go on. */
    const volatile sig_atomic_t *stop = gr_catch_stop(SIGTERM);
    if (part->site) stop = gr_catch_stop(SIGINT);
    const struct gr_post_options post = {.who = {.keys = part->keys,
                                                 .parties = part->study->parties,
                                                 .n_parties = part->study->n_parties,
                                                 .me = part->party,
                                                 .study = part->study->digest},
                                         .carriers = part->carriers,
                                         .n_carriers = part->n_carriers,
                                         .say = say_of_post};
    struct gr_comm_study study = {.party = part->party,
                                  .n_parties = part->study->n_parties,
                                  .parties = part->study->parties,
                                  .stop = stop,
                                  .failed = part->failed,
                                  .why = part->why,
                                  .idle_s = part->idle_s,
                                  .ends = &ends,
                                  .compared = &compared};
    keep_memory_of_letters();
    GR_TRY(gr_libraries_text(&libraries));
    GR_TRY(gr_study_configure(part->study, part->site, part->directory, &config));
    const struct gr_comm_options common = {.command = "study",
                                           .libraries = libraries,
                                           .start_s = config->round.start_deadline_s,
                                           .ranks_per_node = config->aggregation.ranks_per_node,
                                           .say = say_waiting,
                                           .study = &study};
    const bool answers =
        part->failed == GR_OK || part->failed == GR_ERROR_POLICY || part->failed == GR_ERROR_DATA;
    if (invocation->speaks && answers) opened = gr_gateway_open(&post, &study.gateway);
    if (study.gateway) {
        GR_TRY(gr_part_status_open(&kept.status, part->study, part->party, part->keys,
                                   part->directory));
        study.report = gr_part_status_report;
        study.report_context = &kept.status;
        study.waited_s = kept.status.state.waited_s;
        GR_TRY(gr_allocate_zero(part->study->n_parties, sizeof *left, "parties", &left));
        if (!part->site) GR_TRY(gr_leaving_read(part->study, part->directory, left));
        study.left = left;
        study.leave = note_leaving;
    }
    if (opened != GR_OK) {
        GR_TRY(gr_text_format(&why, "%s", gr_message()));
        study.failed = opened;
        study.why = why;
    }
    while (!part->leave) {
        gr_free(finished);
        finished = study.gateway && !part->site
                       ? gr_run_finished_by(part->directory, part->study->digest)
                       : NULL;
        study.finished = finished;
        status = run_once(invocation, part, config, &common, stop);
        if (status != GR_STOPPED || ends != GR_JOB_GOES_ON || *stop) break;
        if (invocation->speaks) say_waiting(gr_message());
    }
    if (ends == GR_JOB_HAS_FINISHED) status = conclude(invocation, part, study.gateway);
    if (part->leave && study.failed != GR_OK)
        status = gr_fail(study.failed, "%s", study.why);
    else if (part->leave && study.gateway)
        status = leave_for_good(part, study.gateway);
out:
    if (part->has_end && status == GR_STOPPED && *stop == 0)
        status = after_the_end(part, invocation->speaks);
    gr_part_status_close(&kept.status, status);
    gr_free(left);
    gr_free(finished);
    gr_gateway_close(study.gateway);
    gr_config_free(config);
    gr_free(why);
    gr_free(libraries);
    return status;
}
