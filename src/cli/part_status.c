/* SPDX-License-Identifier: Apache-2.0 */
/* A party's process in a study keeps its status.json: see granary/study_state.h. */
#include "cli/part_status.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The lock ends with the process. Where the file system has none, the coordinator still tells two
 * processes of a site apart. */
gr_status gr_part_lock(const char *directory, const char *name, const char *command, int *out) {
    gr_status status = GR_OK;
    char *path = NULL;
    GR_TRY(gr_text_format(&path, "%s/%s", directory, name));
    *out = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*out < 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (flock(*out, LOCK_EX | LOCK_NB) == 0) goto out;
    if (errno == EWOULDBLOCK)
        status =
            gr_fail(GR_ERROR_WRITE, "%s: another `granary %s` takes part from here", path, command);
    else
        fprintf(stderr,
                "granary: %s: the file system has no locks (%s): take care that no second `granary "
                "%s` takes part from here\n",
                path, strerror(errno), command);
out:
    gr_free(path);
    return status;
}

/* ---- what there was ---------------------------------------------------------------------------
 */

static struct gr_party_state *find(struct gr_study_state *state, const char *name) {
    for (uint32_t p = 0; p < state->n_parties; p++)
        if (strcmp(state->parties[p].name, name) == 0) return &state->parties[p];
    return NULL;
}

/* Of an earlier process of the same study: how long it has waited, and the last letters. */
static void look_back(struct gr_part_status *status, const char *directory) {
    struct gr_study_state *state = &status->state, before;
    if (gr_study_state_read(directory, &before) == GR_OK &&
        strcmp(before.digest, state->digest) == 0 && strcmp(before.party, state->party) == 0) {
        memcpy(state->waits_since, before.waits_since, sizeof state->waits_since);
        state->waited_s = before.waits_since[0] ? before.waited_s : 0;
        for (uint32_t p = 0; p < state->n_parties; p++) {
            const struct gr_party_state *then = find(&before, state->parties[p].name);
            if (then) memcpy(state->parties[p].letter, then->letter, sizeof then->letter);
        }
        state->round = before.round;
    }
    gr_study_state_release(&before);
}

/* Once: a folder that cannot be written is told where it matters. */
static void write_down(struct gr_part_status *status) {
    gr_clock_utc(status->state.written);
    if (gr_study_state_write(status->directory, &status->state) == GR_OK || status->told) return;
    status->told = true;
    fprintf(stderr, "granary: %s; `granary study status` will not be up to date\n", gr_message());
}

gr_status gr_part_status_open(struct gr_part_status *out, const struct gr_study *study,
                              uint32_t party, const struct gr_keys *keys, const char *directory) {
    gr_status status = GR_OK;
    struct gr_study_state *state = &out->state;
    *out = (struct gr_part_status){.directory = directory, .party = party};
    snprintf(state->study, sizeof state->study, "%s", study->name);
    memcpy(state->party, study->parties[party].name, sizeof state->party);
    gr_digest_hex(study->digest, state->digest);
    gr_public_key_text(gr_keys_public(keys), state->key);
    state->rounds = study->config->run.rounds;
    GR_TRY(gr_allocate_zero(study->n_parties, sizeof *state->parties, "parties", &state->parties));
    for (uint32_t p = 0; p < study->n_parties; p++)
        if (p != party)
            memcpy(state->parties[state->n_parties++].name, study->parties[p].name,
                   sizeof state->party);
    gr_clock_utc(state->began);
    snprintf(state->phase, sizeof state->phase, "waiting");
    memcpy(state->since, state->began, sizeof state->since);
    look_back(out, directory);
    write_down(out);
out:
    return status;
}

/* ---- what there is ----------------------------------------------------------------------------
 */

static const char *standing_words(enum gr_standing standing) {
    static const char *const words[] = {[GR_STANDING_AWAY] = "away",
                                        [GR_STANDING_HERE] = "here",
                                        [GR_STANDING_MEMBER] = "takes part",
                                        [GR_STANDING_LATE] = "late",
                                        [GR_STANDING_LOST] = "lost",
                                        [GR_STANDING_DECLINES] = "its policy refuses",
                                        [GR_STANDING_STOPPED] = "stopped",
                                        [GR_STANDING_LEFT] = "left for good",
                                        [GR_STANDING_FAILED] = "left, its own terminal says why",
                                        [GR_STANDING_DIFFERS] = "of another build"};
    return words[standing];
}

static void take_party(struct gr_party_state *state, const struct gr_attendance *now) {
    const char *standing = standing_words(now->standing);
    if (strcmp(state->standing, standing) != 0) {
        snprintf(state->standing, sizeof state->standing, "%s", standing);
        gr_clock_utc(state->since);
    }
    state->awaited = now->awaited;
    if (isfinite(now->silent_s)) gr_state_time_before(now->silent_s, state->letter);
}

static void enter_phase(struct gr_part_status *status, const char *phase) {
    struct gr_study_state *state = &status->state;
    if (strcmp(state->phase, phase) == 0) return;
    gr_clock_utc(state->since);
    snprintf(state->phase, sizeof state->phase, "%s", phase);
}

void gr_part_status_report(void *context, const struct gr_comm_report *report) {
    static const char *const phases[] = {[GR_STAGE_MEETING] = "waiting",
                                         [GR_STAGE_STARTING] = "starting",
                                         [GR_STAGE_ROUNDS] = "running"};
    struct gr_part_status *status = context;
    struct gr_study_state *state = &status->state;
    enter_phase(status, phases[report->stage]);
    const bool meets = report->stage == GR_STAGE_MEETING;
    if (!meets) state->waits_since[0] = '\0';
    if (meets && !state->waits_since[0]) gr_clock_utc(state->waits_since);
    state->waited_s = meets ? report->waited_s : 0;
    state->limit_s = meets ? report->limit_s : 0;
    if (report->stage == GR_STAGE_ROUNDS) state->round = report->round;
    /* The list of the state is that of the report without this side. */
    for (uint32_t p = 0, i = 0; p < report->n_parties && i < state->n_parties; p++)
        if (p != status->party) take_party(&state->parties[i++], &report->parties[p]);
    write_down(status);
}

void gr_part_status_close(struct gr_part_status *status, gr_status outcome) {
    struct gr_study_state *state = &status->state;
    if (!state->parties) return;
    enter_phase(status, outcome == GR_OK             ? "finished"
                        : outcome == GR_STOPPED      ? "stopped"
                        : outcome == GR_ERROR_POLICY ? "refused"
                                                     : "failed");
    state->code = (int)outcome;
    /* The coordinator's may go to others. */
    if (outcome != GR_OK && status->party > 0)
        (void)!gr_text_format(&state->words, "%s", gr_message());
    for (uint32_t p = 0; p < state->n_parties; p++) {
        struct gr_party_state *other = &state->parties[p];
        other->awaited = other->awaited && outcome == GR_STOPPED;
        if (strcmp(other->standing, standing_words(GR_STANDING_MEMBER)) == 0)
            snprintf(other->standing, sizeof other->standing, "took part");
    }
    write_down(status);
    gr_study_state_release(state);
}
