/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meeting of the jobs of a study. Each site's gateway says hello to the coordinator's: of what
 * its job is made and how many ranks it has. Once all sites are there the coordinator tells all how
 * many ranks each has, which fixes the slots of this meeting. Everything later is laid out by
 * constants of the build, so a hello is a line of text behind two numbers, which no build may
 * change.
 *
 * The gateways alone wait for letters; the other ranks of a job wait for their gateway by MPI, and
 * sleep meanwhile, for a site may be waited for a day.
 */
#include "comm/jobs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "comm/handshake.h"
#include "comm/wait.h"

/* Pauses of a wait that may last for days: short at first, and never long for a person. */
static double pause_after(double waited_s) {
    static const double least_s = 50e-6, most_s = 5e-3;
    return fmin(fmax(least_s, waited_s / 16), most_s);
}

/* ---- inside a job -----------------------------------------------------------------------------
 */

/* Collective over the job. MPI_Bcast of its gateway's bytes, without keeping a core busy. */
static gr_status share_bytes(MPI_Comm local, void *bytes, size_t n) {
    gr_status status = GR_OK;
    MPI_Request request = MPI_REQUEST_NULL;
    int done = 0;
    const double began = gr_clock_seconds();
    GR_TRY_MPI(MPI_Ibcast(bytes, (int)n, MPI_BYTE, 0, local, &request));
    for (;;) {
        GR_TRY_MPI(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
        if (done) break;
        gr_doze(pause_after(gr_clock_seconds() - began));
    }
out:
    return status;
}

struct outcome {
    int32_t status, ends;
    char message[GR_MESSAGE_MAX];
};

gr_status gr_job_agree(MPI_Comm local, gr_status gateways, enum gr_job_end *ends) {
    struct outcome outcome = {.status = (int32_t)gateways, .ends = ends ? (int32_t)*ends : 0};
    if (gateways != GR_OK) memcpy(outcome.message, gr_message(), strlen(gr_message()) + 1);
    gr_status status = share_bytes(local, &outcome, sizeof outcome);
    if (status != GR_OK) return status;
    outcome.message[GR_MESSAGE_MAX - 1] = '\0';
    if (ends) *ends = (enum gr_job_end)outcome.ends;
    if (outcome.status == GR_OK) return GR_OK;
    return gr_fail((gr_status)outcome.status, "%s", outcome.message);
}

gr_status gr_job_share(MPI_Comm local, gr_status gateways, enum gr_job_end *ends, int32_t *numbers,
                       size_t n) {
    gr_status status = gr_job_agree(local, gateways, ends);
    return status == GR_OK ? share_bytes(local, numbers, n * sizeof *numbers) : status;
}

/* ---- between gateways -------------------------------------------------------------------------
 */

/* A wait of a gateway, from its first look to its deadline. */
struct watch {
    struct gr_gateway *gateway;
    const struct gr_comm_options *options;
    double began_s, limit_s, told_s;
    double before_s; /* of a meeting: what processes before this one have waited */
    bool meets;
};

static struct watch begin_watch(struct gr_gateway *gateway, const struct gr_comm_options *options) {
    return (struct watch){.gateway = gateway,
                          .options = options,
                          .began_s = gr_clock_seconds(),
                          .limit_s = gr_comm_start_s(options)};
}

/* A meeting that has failed for want of others is gone on with by the next. */
static void begin_to_meet(struct watch *watch) {
    watch->meets = true;
    if (watch->gateway->waits_s <= 0) watch->gateway->waits_s = watch->began_s;
}

/* A coordinator that was started again goes on with the wait of the one before it; but whoever was
 * there then says hello again within half a minute, and is not to be left out. */
static void go_on_with(struct watch *watch) {
    static const double least_s = 60;
    const double most = watch->limit_s - fmin(least_s, watch->limit_s);
    if (!watch->gateway->has_gathered)
        watch->before_s = fmin(watch->options->study->waited_s, most);
    watch->gateway->has_gathered = true;
}

/* Of a run that has finished: whoever still waits says hello again meanwhile. */
static void watch_for_the_late(struct watch *watch) {
    static const double most_s = 60;
    watch->before_s = 0;
    watch->limit_s = fmin(most_s, watch->limit_s);
    gr_say(watch->options,
           "the run has finished; for %g s sites that do not know it yet are told so",
           watch->limit_s);
}

static double waited(const struct watch *watch) {
    return gr_clock_seconds() - watch->began_s + watch->before_s;
}

static bool is_over(const struct watch *watch) {
    return waited(watch) >= watch->limit_s;
}

/* The job waits no longer than it was told to, and is started again by whoever told it. */
static bool is_idle(const struct watch *watch) {
    const double idle_s = watch->options->study->idle_s;
    return watch->meets && idle_s > 0 && gr_clock_seconds() - watch->gateway->waits_s >= idle_s;
}

static gr_status end_idle(const struct watch *watch, const char *whom) {
    const struct gr_comm_study *study = watch->options->study;
    if (study->ends) *study->ends = GR_JOB_ENDS;
    return gr_fail(GR_STOPPED,
                   "%s: not here within %g s (--idle); started again, the same command goes on "
                   "waiting",
                   whom, study->idle_s);
}

/* A turn without news: says whom it waits for, at least once in a minute; GR_STOPPED at the end. */
static gr_status keep_watch(struct watch *watch, const char *whom) {
    static const double every_s = 30, longest_s = 0.25;
    const double now_s = waited(watch);
    const struct gr_comm_study *study = watch->options->study;
    if (study->stop && *study->stop != 0) {
        if (study->ends) *study->ends = GR_JOB_ENDS;
        if (study->party > 0) gr_gateway_say_goodbye(watch->gateway, GR_STOPPED);
        return gr_fail(GR_STOPPED, "stopped by a signal, while it waited for %s", whom);
    }
    const bool idle = is_idle(watch);
    if (idle) watch->gateway->told.changed = true; /* the last word of this process */
    if (watch->meets)
        gr_attendance_of_meeting(watch->gateway, watch->options, now_s, watch->limit_s);
    if (idle) return end_idle(watch, whom);
    if (is_over(watch))
        return gr_fail(GR_STOPPED, "%s: not here within %g s (round.start_deadline_s)", whom,
                       watch->limit_s);
    if (now_s >= watch->told_s + every_s) {
        watch->told_s = now_s;
        gr_say(watch->options, "waiting for %s, for %.0f of %g s", whom, now_s, watch->limit_s);
    }
    gr_gateway_wait(watch->gateway, longest_s);
    return gr_gateway_flush(watch->gateway);
}

/* A site that has gone meanwhile will be found missing, or say hello again. */
static gr_status send_note(struct gr_gateway *gateway, uint32_t party, enum gr_note_kind kind,
                           const void *head, size_t n_head, const void *bytes, size_t n) {
    const gr_status status = gr_gateway_send(gateway, party, kind, head, n_head, bytes, n, NULL);
    return status == GR_STOPPED ? GR_OK : status;
}

/* ---- the coordinator's ------------------------------------------------------------------------
 */

/* How many sites are here, and how many may come. */
struct attendance {
    size_t here, awaited;
    char absent[GR_NAMES_BYTES]; /* "site-a, site-c (bad data)" */
};

/* A site that fails by itself is not waited for: it comes once it has been mended. */
static void take_attendance(const struct gr_gateway *gateway, const struct gr_comm_study *study,
                            struct attendance *out) {
    size_t used = 0;
    *out = (struct attendance){0};
    for (uint32_t p = 1; p < study->n_parties; p++) {
        if (study->parties[p].left) continue;
        const struct gr_parting *parting = &gateway->parting[p];
        const bool left = parting->why != GR_OK;
        const bool here = gateway->hello[p].ranks > 0;
        out->here += here;
        out->awaited += !here && !gr_gateway_is_refused(gateway, p);
        if (here || used + 1 >= sizeof out->absent) continue;
        const int n = snprintf(out->absent + used, sizeof out->absent - used, "%s%s%s%s%s",
                               used > 0 ? ", " : "", study->parties[p].name, left ? " (" : "",
                               left ? gr_parting_words(parting) : "", left ? ")" : "");
        used += n > 0 ? (size_t)n : 0;
    }
}

/* A site of another build is told why, and can come again; the others go on waiting for it. */
static gr_status judge(struct gr_gateway *gateway, const struct gr_comm_options *options,
                       uint32_t party, const char *first, gr_jobs_differ differs) {
    struct gr_hello *hello = &gateway->hello[party];
    const char *name = options->study->parties[party].name;
    if (differs(first, hello->text, name) == GR_OK) {
        gr_say(options, "%s is here", name);
        return GR_OK;
    }
    gr_say(options, "%s", gr_message());
    hello->ranks = 0;
    gateway->differs[party] = true;
    return send_note(gateway, party, GR_NOTE_REFUSED, &hello->number, sizeof hello->number,
                     gr_message(), strlen(gr_message()) + 1);
}

bool gr_jobs_take_goodbye(struct gr_gateway *gateway, const struct gr_comm_options *options,
                          const struct gr_post_message *note) {
    if (!gr_gateway_take_goodbye(gateway, note) && !gr_gateway_take_leave(gateway, options, note))
        return false;
    struct gr_parting *parting = &gateway->parting[note->party];
    /* Once in a session: a site must not fill the coordinator's terminal. */
    if (parting->said && !parting->for_good) return true;
    parting->said = true;
    gr_say(options, "%s says goodbye: %s%s", options->study->parties[note->party].name,
           gr_parting_words(parting),
           parting->why == GR_STOPPED ? "" : "; its own terminal says why");
    return true;
}

/* What a site's process has said before is void once it has begun a new session. */
static gr_status take_arrival(struct gr_gateway *gateway, const struct gr_comm_options *options,
                              const struct gr_post_message *message, const char *first,
                              gr_jobs_differ differs) {
    if (message->kind == GR_POST_GREETING) gr_gateway_greeted(gateway, message->party);
    if (gr_jobs_take_goodbye(gateway, options, message)) return GR_OK;
    if (message->kind != GR_POST_MESSAGE || !gr_gateway_take_hello(gateway, message)) return GR_OK;
    return judge(gateway, options, message->party, first, differs);
}

/* From now on a hello is of a site that wants to meet anew. */
static gr_status tell_roster(struct gr_gateway *gateway, const struct gr_comm_study *study,
                             int32_t *ranks) {
    gr_status status = GR_OK;
    gateway->meeting++;
    gateway->waits_s = 0;
    gateway->told.changed = true;
    for (uint32_t p = 1; p < study->n_parties; p++)
        ranks[p] = gateway->hello[p].ranks;
    for (uint32_t p = 1; p < study->n_parties; p++) {
        const int32_t head[] = {gateway->meeting, gateway->hello[p].number};
        if (ranks[p] > 0)
            GR_TRY(send_note(gateway, p, GR_NOTE_ROSTER, head, sizeof head, ranks,
                             study->n_parties * sizeof *ranks));
        gateway->hello[p].ranks = 0;
    }
out:
    return status;
}

/* Whoever waits in the meeting before, in which others have left, is to say hello to this one. */
static gr_status tell_over(struct gr_gateway *gateway) {
    gr_status status = GR_OK;
    for (uint32_t p = 1; p < gateway->n_parties && gateway->meeting > 0; p++)
        GR_TRY(send_note(gateway, p, GR_NOTE_OVER, &gateway->meeting, sizeof gateway->meeting, NULL,
                         0));
out:
    return status;
}

/* The sites that are here had the last seal, or were lost before it; of them nothing is needed. */
static gr_status tell_finished(struct gr_gateway *gateway, const struct gr_comm_study *study) {
    gr_status status = GR_OK;
    for (uint32_t p = 1; p < study->n_parties; p++) {
        struct gr_hello *hello = &gateway->hello[p];
        if (hello->ranks > 0)
            GR_TRY(send_note(gateway, p, GR_NOTE_FINISHED, &hello->number, sizeof hello->number,
                             study->finished, strlen(study->finished) + 1));
    }
    GR_TRY(gr_gateway_flush(gateway));
    if (study->ends) *study->ends = GR_JOB_HAS_FINISHED;
    status = gr_fail(GR_STOPPED, "the run has finished");
out:
    return status;
}

gr_status gr_jobs_gather(struct gr_gateway *gateway, const struct gr_comm_options *options,
                         const char *hello, gr_jobs_differ differs, int32_t *ranks) {
    gr_status status = GR_OK;
    struct watch watch = begin_watch(gateway, options);
    struct gr_post_message message = {0};
    struct attendance found;
    begin_to_meet(&watch);
    go_on_with(&watch);
    if (options->study->finished) watch_for_the_late(&watch);
    for (uint32_t p = 1; p < gateway->n_parties && options->study->left; p++)
        if (options->study->left[p])
            gateway->parting[p] = (struct gr_parting){.why = GR_STOPPED, .for_good = true};
    GR_TRY(tell_over(gateway));
    for (uint32_t p = 1; p < gateway->n_parties; p++) /* that have come while a run went on */
        if (gateway->hello[p].ranks > 0) GR_TRY(judge(gateway, options, p, hello, differs));
    for (;;) {
        take_attendance(gateway, options->study, &found);
        if (!found.absent[0]) break;
        if (options->study->finished && (found.awaited == 0 || is_over(&watch))) {
            status = tell_finished(gateway, options->study);
            goto out;
        }
        if (found.here > 0 && (found.awaited == 0 || is_over(&watch))) {
            gr_say(options, "begins without %s", found.absent);
            break;
        }
        GR_TRY(gr_post_receive(gateway->post, &message));
        GR_TRY(message.kind == GR_POST_NOTHING
                   ? keep_watch(&watch, found.absent)
                   : take_arrival(gateway, options, &message, hello, differs));
        gr_free(message.memory);
        message.memory = NULL;
    }
    status = tell_roster(gateway, options->study, ranks);
out:
    gr_free(message.memory);
    return status;
}

/* ---- a site's ---------------------------------------------------------------------------------
 */

static gr_status say_hello(struct gr_gateway *gateway, const char *text, int32_t ranks) {
    struct gr_hello hello = {.ranks = ranks, .number = gateway->hellos};
    snprintf(hello.text, sizeof hello.text, "%s", text);
    return send_note(gateway, 0, GR_NOTE_HELLO, &hello, sizeof hello, NULL, 0);
}

static gr_status note_finished(struct gr_gateway *gateway, const struct gr_comm_study *study,
                               const char *seal) {
    gr_status status = GR_OK;
    GR_TRY(gr_text_format(&gateway->finished, "%s", seal));
    if (study->ends) *study->ends = GR_JOB_HAS_FINISHED;
    status = gr_fail(GR_STOPPED, "the run has finished, as the coordinator says");
out:
    return status;
}

/* Whether a note is the answer to the last hello: then it is either the roster, or GR_ERROR_CONFIG,
 * or GR_STOPPED where the run has finished. */
static gr_status take_answer(struct gr_gateway *gateway, const struct gr_comm_study *study,
                             const struct gr_post_message *message, int32_t *ranks, bool *found) {
    const unsigned char *bytes;
    size_t n;
    const uint32_t kind = gr_note_kind(message, &bytes, &n);
    int32_t head[2];
    const size_t roster = gateway->n_parties * sizeof *ranks;
    *found = false;
    if (kind == GR_NOTE_REFUSED && n > sizeof *head && bytes[n - 1] == '\0') {
        memcpy(head, bytes, sizeof *head);
        if (head[0] == gateway->hellos)
            return gr_fail(GR_ERROR_CONFIG, "%s", (const char *)bytes + sizeof *head);
    }
    if (kind == GR_NOTE_FINISHED && n > sizeof *head && bytes[n - 1] == '\0') {
        memcpy(head, bytes, sizeof *head);
        if (head[0] == gateway->hellos)
            return note_finished(gateway, study, (const char *)bytes + sizeof *head);
    }
    if (kind != GR_NOTE_ROSTER || n != sizeof head + roster) return GR_OK;
    memcpy(head, bytes, sizeof head);
    if (head[1] != gateway->hellos) return GR_OK; /* to an earlier one */
    gateway->meeting = head[0];
    memcpy(ranks, bytes + sizeof head, roster);
    for (uint32_t p = 0; p < gateway->n_parties; p++)
        if (ranks[p] < 0 || ranks[p] > GR_JOB_RANKS_MAX)
            return gr_fail(GR_ERROR_CONFIG, "the coordinator tells of %d ranks", (int)ranks[p]);
    gateway->waits_s = 0;
    *found = true;
    return GR_OK;
}

/* Said again where the coordinator has begun a new session: it has been started anew. */
gr_status gr_jobs_attend(struct gr_gateway *gateway, const struct gr_comm_options *options,
                         const char *hello, int32_t *ranks) {
    gr_status status = GR_OK;
    struct watch watch = begin_watch(gateway, options);
    begin_to_meet(&watch);
    /* Not the first to give up: a hello that is said again ends the meeting of all others. */
    watch.limit_s = 2 * watch.limit_s + GR_COMM_LATER_S;
    struct gr_post_message message = {0};
    const int32_t own = ranks[options->study->party];
    gateway->told.changed = true;
    gateway->hellos++;
    GR_TRY(say_hello(gateway, hello, own));
    for (bool found = false; !found;) {
        GR_TRY(gr_post_receive(gateway->post, &message));
        if (message.kind == GR_POST_NOTHING)
            GR_TRY(keep_watch(&watch, "the coordinator, and until all sites are there"));
        gateway->told.changed = gateway->told.changed || message.kind == GR_POST_GREETING;
        if (message.kind == GR_POST_GREETING) GR_TRY(say_hello(gateway, hello, own));
        GR_TRY(gr_gateway_heed(&message));
        GR_TRY(take_answer(gateway, options->study, &message, ranks, &found));
        gr_free(message.memory);
        message.memory = NULL;
    }
out:
    gr_free(message.memory);
    return status;
}

/* The coordinator may not be there: nobody waits for long on behalf of a refusal. */
void gr_jobs_decline(struct gr_gateway *gateway, gr_status why) {
    static const double longest_s = 10, look_s = 0.05;
    struct gr_post_message message = {0};
    const double until = gr_clock_seconds() + longest_s;
    while (gr_post_session(gateway->post, 0) == 0 && gr_clock_seconds() < until) {
        if (gr_post_receive(gateway->post, &message) != GR_OK) return;
        gr_free(message.memory);
        gr_gateway_wait(gateway, look_s);
    }
    gr_gateway_say_goodbye(gateway, why);
}

/* ---- numbers of all ----------------------------------------------------------------------------
 */

/* Whether a note ends this meeting: of a party that leaves it, or the coordinator's word that it is
 * over. Hellos of others are for the next. */
static gr_status find_end(struct gr_gateway *gateway, const struct gr_comm_options *options,
                          const struct gr_link_job *jobs, const struct gr_post_message *note) {
    const char *name = options->study->parties[note->party].name;
    const unsigned char *bytes;
    size_t n;
    int32_t meeting = 0;
    gr_status status = options->study->party > 0 ? gr_gateway_heed(note) : GR_OK;
    if (status != GR_OK) return status;
    const uint32_t kind = gr_note_kind(note, &bytes, &n);
    if (note->kind == GR_POST_GREETING) gr_gateway_greeted(gateway, note->party);
    const bool anew = note->kind == GR_POST_GREETING || gr_gateway_take_hello(gateway, note);
    const bool goodbye = options->study->party == 0 && gr_jobs_take_goodbye(gateway, options, note);
    if (kind == GR_NOTE_OVER && n == sizeof meeting) memcpy(&meeting, bytes, n);
    if (kind == GR_NOTE_OVER && meeting == gateway->meeting)
        return gr_fail(GR_STOPPED, "%s has ended the meeting", name);
    if (!jobs[note->party].here || (!anew && !goodbye)) return GR_OK;
    return gr_fail(GR_STOPPED, "%s has %s", name, goodbye ? "left" : "begun anew");
}

/* The next note of numbers of this meeting. */
static gr_status await_numbers(struct gr_gateway *gateway, const struct gr_comm_options *options,
                               const struct gr_link_job *jobs, const char *whom,
                               struct gr_post_message *note) {
    gr_status status = GR_OK;
    struct watch watch = begin_watch(gateway, options);
    for (;;) {
        const unsigned char *bytes;
        size_t n;
        int32_t meeting = 0;
        GR_TRY(gr_post_receive(gateway->post, note));
        if (note->kind == GR_POST_NOTHING) GR_TRY(keep_watch(&watch, whom));
        const bool numbers = gr_note_kind(note, &bytes, &n) == GR_NOTE_NUMBERS;
        if (numbers && n >= sizeof meeting) memcpy(&meeting, bytes, sizeof meeting);
        if (numbers && meeting == gateway->meeting && jobs[note->party].here) break;
        if (note->kind != GR_POST_NOTHING) GR_TRY(find_end(gateway, options, jobs, note));
        gr_free(note->memory);
        note->memory = NULL;
    }
out:
    return status;
}

/* Behind the words of kind and meeting. */
static gr_status take_numbers(const struct gr_post_message *note, const char *name, int32_t *out,
                              size_t n) {
    enum { WORDS = 2 };
    const size_t found = note->n - WORDS * sizeof *out;
    if (found != n * sizeof *out)
        return gr_fail(GR_ERROR_INTERNAL, "%s: found %zu bytes of numbers, expected %zu", name,
                       found, n * sizeof *out);
    memcpy(out, note->bytes + WORDS * sizeof *out, n * sizeof *out);
    return GR_OK;
}

static gr_status send_numbers(struct gr_gateway *gateway, uint32_t party, const int32_t *numbers,
                              size_t n) {
    return send_note(gateway, party, GR_NOTE_NUMBERS, &gateway->meeting, sizeof gateway->meeting,
                     numbers, n * sizeof *numbers);
}

/* A site whose numbers cannot be is given up, and the others meet again. */
static gr_status take_in(struct gr_gateway *gateway, const struct gr_comm_options *options,
                         const struct gr_post_message *note, const struct gr_link_job *job,
                         int32_t *numbers, size_t n) {
    gr_status status = take_numbers(note, options->study->parties[note->party].name,
                                    numbers + (size_t)job->first * n, (size_t)job->ranks * n);
    if (status == GR_OK) return GR_OK;
    gr_say(options, "%s; it is given up", gr_message());
    gr_gateway_give_up(gateway, note->party);
    return gr_fail(GR_STOPPED, "%s has been given up", options->study->parties[note->party].name);
}

/* The coordinator takes each site's in any order, and then tells all. */
static gr_status collect(struct gr_gateway *gateway, const struct gr_comm_options *options,
                         const struct gr_link_job *jobs, int32_t *numbers, size_t n, size_t total) {
    gr_status status = GR_OK;
    struct gr_post_message note = {0};
    uint8_t *came = NULL;
    uint32_t left = 0;
    GR_TRY(gr_allocate_zero(gateway->n_parties, sizeof *came, "numbers of sites", &came));
    for (uint32_t p = 1; p < gateway->n_parties; p++)
        left += jobs[p].here;
    while (left > 0) {
        GR_TRY(await_numbers(gateway, options, jobs, "the sites", &note));
        GR_TRY(take_in(gateway, options, &note, &jobs[note.party], numbers, n));
        left -= !came[note.party];
        came[note.party] = 1;
        gr_free(note.memory);
        note.memory = NULL;
    }
    for (uint32_t p = 1; p < gateway->n_parties; p++)
        if (jobs[p].here) GR_TRY(send_numbers(gateway, p, numbers, total));
out:
    gr_free(came);
    gr_free(note.memory);
    return status;
}

gr_status gr_jobs_exchange(struct gr_gateway *gateway, const struct gr_comm_options *options,
                           const struct gr_link_job *jobs, int32_t *numbers, size_t n,
                           size_t total) {
    gr_status status = GR_OK;
    const struct gr_comm_study *study = options->study;
    const struct gr_link_job *own = &jobs[study->party];
    struct gr_post_message note = {0};
    if (study->party == 0) return collect(gateway, options, jobs, numbers, n, total);
    GR_TRY(send_numbers(gateway, 0, numbers + (size_t)own->first * n, (size_t)own->ranks * n));
    GR_TRY(await_numbers(gateway, options, jobs, "the coordinator and the other sites", &note));
    status = take_numbers(&note, study->parties[0].name, numbers, total);
out:
    gr_free(note.memory);
    return status;
}
