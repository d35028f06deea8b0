/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the parties of a study stand, as the gateway of a job sees it: for a report to whoever
 * started the job, and for a line on the terminal where a run waits for long. Nothing here decides
 * anything.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "comm/communicator.h"
#include "comm/handshake.h"
#include "comm/jobs.h"

static const double report_every_s = 10, say_every_s = 30, look_every_s = 0.25;

/* Names with commas between them; what does not fit is left out. */
static void add_name(char *out, size_t size, const char *name) {
    const size_t used = strlen(out);
    snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", name);
}

static gr_status allocate(const struct gr_gateway *gateway, struct gr_attendance **out) {
    return gr_allocate_zero(gateway->n_parties, sizeof **out, "how all stand", out);
}

/* Whether a report is due. */
static bool is_news(const struct gr_told *told, enum gr_report_stage stage, double now) {
    return told->changed || told->stage != stage || now - told->report_s >= report_every_s;
}

static void has_told(struct gr_told *told, enum gr_report_stage stage, double now) {
    told->changed = false;
    told->stage = stage;
    told->report_s = now;
}

/* ---- while the jobs meet ----------------------------------------------------------------------
 */

/* How a party has left that is not here; has_left: by the study's version. */
static enum gr_standing parting_of(const struct gr_gateway *gateway, uint32_t party, bool has_left,
                                   enum gr_standing otherwise) {
    if (has_left || gateway->parting[party].for_good) return GR_STANDING_LEFT;
    switch (gateway->parting[party].why) {
    case GR_OK:
        return otherwise;
    case GR_STOPPED:
        return GR_STANDING_STOPPED;
    case GR_ERROR_POLICY:
        return GR_STANDING_DECLINES;
    default:
        return GR_STANDING_FAILED;
    }
}

static enum gr_standing standing_of(const struct gr_gateway *gateway, uint32_t party,
                                    bool has_left) {
    if (gateway->differs[party]) return GR_STANDING_DIFFERS;
    if (gateway->hello[party].ranks > 0) return GR_STANDING_HERE;
    return parting_of(gateway, party, has_left, GR_STANDING_AWAY);
}

void gr_attendance_of_meeting(struct gr_gateway *gateway, const struct gr_comm_options *options,
                              double waited_s, double limit_s) {
    const struct gr_comm_study *study = options->study;
    const double now = gr_clock_seconds();
    struct gr_attendance *parties;
    if (!study->report || !is_news(&gateway->told, GR_STAGE_MEETING, now)) return;
    if (allocate(gateway, &parties) != GR_OK) return;
    has_told(&gateway->told, GR_STAGE_MEETING, now);
    for (uint32_t p = 0; p < gateway->n_parties; p++) {
        if (p == study->party) continue;
        parties[p].silent_s = gr_post_silent_s(gateway->post, p);
        parties[p].standing = standing_of(gateway, p, study->parties[p].left);
        if (p == 0 && gr_post_session(gateway->post, 0) > 0) parties[p].standing = GR_STANDING_HERE;
        parties[p].awaited = p == 0 || (gateway->hello[p].ranks == 0 && !study->parties[p].left);
    }
    /* A site knows of the coordinator alone. */
    const struct gr_comm_report report = {.stage = GR_STAGE_MEETING,
                                          .waited_s = waited_s,
                                          .limit_s = limit_s,
                                          .n_parties = study->party == 0 ? gateway->n_parties : 1,
                                          .parties = parties};
    study->report(study->report_context, &report);
    gr_free(parties);
}

/* ---- while a run goes on ----------------------------------------------------------------------
 */

/* Of a slot at the coordinator, which has trained: whether its word is still to come. */
static bool is_awaited(const struct gr_comm *comm, int slot) {
    const struct gr_control_message *report = comm->peers[slot].report;
    return !report || report->head.kind != GR_CONTROL_READY || report->head.epoch != comm->epoch ||
           report->head.round != comm->situation.round;
}

static struct gr_attendance attendance_in_run(const struct gr_comm *comm, uint32_t party,
                                              bool closes) {
    const struct gr_link_job *job = gr_link_job(comm->link, party);
    struct gr_attendance out = {.standing = GR_STANDING_AWAY};
    bool dead = false;
    for (int slot = job->first; job->here && slot < job->first + job->ranks; slot++) {
        dead = dead || comm->peers[slot].dead;
        if (comm->rank_of[slot] < 0 || comm->peers[slot].dead) continue;
        out.standing = GR_STANDING_MEMBER;
        out.awaited = out.awaited || (closes && is_awaited(comm, slot));
    }
    if (job->here && out.standing != GR_STANDING_MEMBER)
        out.standing = dead ? GR_STANDING_LOST : GR_STANDING_LATE;
    return out;
}

static void say_of_site(const struct gr_comm *comm, const struct gr_gateway *gateway,
                        double waited_s) {
    const struct gr_comm_options *options = &comm->options;
    const struct gr_told *told = &gateway->told;
    const double silent_s = gr_post_silent_s(gateway->post, 0);
    if (silent_s > 2 * say_every_s)
        gr_say(options, "round %u: nothing has come from the coordinator for %.0f s", told->round,
               silent_s);
    else if (comm->situation.need_state)
        gr_say(options,
               "round %u: the others go on without this site, which asks to be taken in "
               "again, for %.0f s",
               told->round, waited_s);
    else if (told->trained)
        gr_say(options, "round %u: this site has trained, and waits for the others, for %.0f s",
               told->round, waited_s);
}

/* Whom the coordinator waits for, once it has nothing to do itself. */
static void say_of_coordinator(const struct gr_comm *comm, const struct gr_gateway *gateway,
                               const struct gr_attendance *parties, double waited_s) {
    char names[GR_NAMES_BYTES] = "";
    for (uint32_t p = 1; p < gateway->n_parties; p++)
        if (parties[p].awaited) add_name(names, sizeof names, gr_link_name(comm->link, p));
    if (names[0])
        gr_say(&comm->options, "round %u: waiting for the training of %s, for %.0f s",
               gateway->told.round, names, waited_s);
}

/* Whether the run has gone on since the last look. */
static bool has_moved(const struct gr_comm *comm, const struct gr_told *told) {
    return told->round != comm->situation.round || told->phase != comm->situation.phase ||
           told->trained != comm->situation.ready;
}

static void note_place(const struct gr_comm *comm, struct gr_told *told, double now) {
    if (!has_moved(comm, told)) return;
    told->round = comm->situation.round;
    told->phase = comm->situation.phase;
    told->trained = comm->situation.ready;
    told->since_s = told->say_s = now;
}

static void look_at_all(const struct gr_comm *comm, const struct gr_gateway *gateway,
                        struct gr_attendance *parties) {
    const struct gr_told *told = &gateway->told;
    const uint32_t own = comm->options.study->party;
    const bool closes = own == 0 && told->trained && told->phase == GR_PHASE_OPEN;
    for (uint32_t p = 0; p < gateway->n_parties; p++) {
        if (p == own) continue;
        parties[p] = attendance_in_run(comm, p, closes);
        if (parties[p].standing == GR_STANDING_AWAY || parties[p].standing == GR_STANDING_LOST)
            parties[p].standing =
                parting_of(gateway, p, comm->options.study->parties[p].left, parties[p].standing);
        parties[p].silent_s =
            own == 0 || p == 0 ? gr_post_silent_s(gateway->post, p) : (double)INFINITY;
    }
}

void gr_attendance_of_run(struct gr_comm *comm, struct gr_gateway *gateway) {
    const struct gr_comm_study *study = comm->options.study;
    struct gr_told *told = &gateway->told;
    const double now = gr_clock_seconds();
    struct gr_attendance *parties;
    if (now - told->looked_s < look_every_s) return;
    told->looked_s = now;
    note_place(comm, told, now);
    const bool says = !comm->starting && now - told->say_s >= say_every_s;
    const enum gr_report_stage stage = comm->starting ? GR_STAGE_STARTING : GR_STAGE_ROUNDS;
    const bool reports = study->report && is_news(told, stage, now);
    if ((!says && !reports) || allocate(gateway, &parties) != GR_OK) return;
    look_at_all(comm, gateway, parties);
    if (says) {
        told->say_s = now;
        if (study->party == 0)
            say_of_coordinator(comm, gateway, parties, now - told->since_s);
        else
            say_of_site(comm, gateway, now - told->since_s);
    }
    if (reports) {
        const struct gr_comm_report report = {.stage = stage,
                                              .round = told->round,
                                              .trained = told->trained,
                                              .n_parties = gateway->n_parties,
                                              .parties = parties};
        has_told(told, stage, now);
        study->report(study->report_context, &report);
    }
    gr_free(parties);
}
