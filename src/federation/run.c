/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main job: a run directory, rounds, checkpoints, the model, the report.
 *
 * Rank 0 alone writes the directory; what befalls it there is agreed on before the others go on.
 */
#include "federation/run.h"

#include <sodium.h>
#include <string.h>

enum { PATH_LIMIT = 65536 };

/* Another config or other data: a checkpoint of theirs is not ours. */
static void find_origin(struct gr_run_state *run) {
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, run->config_digest, GR_DIGEST_BYTES);
    gr_digest_add(&digest, gr_federation_fingerprint(run->federation), GR_DIGEST_BYTES);
    gr_digest_finish(&digest, run->origin);
}

/* Rank 0. */
static gr_status open_directory(struct gr_run_state *run) {
    gr_status status = GR_OK;
    GR_TRY(gr_run_directory_open(run->config, run->options->run_path, run->options->resume,
                                 &run->directory));
    GR_TRY(gr_text_format(&run->path, "%s", gr_run_directory_path(run->directory)));
    GR_TRY(gr_text_format(&run->config_text, "%s", run->options->config_text));
    randombytes_buf(&run->start, sizeof run->start);
out:
    return status;
}

static gr_status claim_epoch(void *context, uint32_t epoch, bool *granted) {
    const struct gr_run_state *run = context;
    gr_status status = gr_run_claim(run->path, run->start, epoch, granted);
    /* A disk that is full must not end a run that could go on. */
    if (status == GR_ERROR_WRITE) *granted = true;
    return status == GR_ERROR_WRITE ? GR_OK : status;
}

/* Collective. What any rank must know to become rank 0, and who may begin an epoch. */
static gr_status share_directory(struct gr_run_state *run) {
    gr_status status = GR_OK;
    GR_TRY(gr_comm_broadcast_text(run->comm, &run->path, PATH_LIMIT));
    GR_TRY(gr_comm_broadcast_text(run->comm, &run->config_text, GR_CONFIG_TEXT_MAX));
    GR_TRY(gr_comm_broadcast(run->comm, &run->start, sizeof run->start));
    GR_TRY(gr_comm_broadcast(run->comm, run->started_utc, sizeof run->started_utc));
    GR_TRY(
        gr_comm_agree(run->comm, gr_text_format(&run->checkpoints, "%s/checkpoints", run->path)));
    gr_comm_set_arbiter(run->comm, claim_epoch, run);
out:
    return status;
}

/* Collective. The newest whole checkpoint, if the run is resumed. */
static gr_status read_checkpoint(struct gr_run_state *run) {
    gr_status status = GR_OK;
    struct gr_state state;
    bool found = false;
    char *passed_over = NULL;
    gr_federation_state(run->federation, &state);
    memcpy(state.config_digest, run->origin, GR_DIGEST_BYTES);
    GR_TRY(gr_checkpoint_read(run->comm, run->checkpoints, &state, &found, &passed_over));
    if (!found && passed_over) {
        status = gr_fail(GR_ERROR_DATA, "no checkpoint is whole: %s", passed_over);
        goto out;
    }
    if (found && state.round > run->config->run.rounds) {
        status =
            gr_fail(GR_ERROR_CONFIG, "run.rounds: found %u, expected at least the %u that are done",
                    run->config->run.rounds, state.round);
        goto out;
    }
    if (found) {
        gr_federation_resume(run->federation, state.round);
        run->resumed_from = run->checkpointed = state.round;
    }
    run->passed_over = passed_over != NULL;
    if (gr_run_is_root(run) && passed_over && run->options->progress)
        fprintf(run->options->progress, "%s\n", passed_over);
out:
    gr_free(passed_over);
    return status;
}

/*
 * Collective. The round in which fewer are left than the quorum is void; what was done before it is
 * kept.
 */
static gr_status stop_below_quorum(struct gr_run_state *run) {
    gr_status status = GR_OK;
    bool written;
    char *message = NULL;
    const uint32_t done = gr_federation_rounds_done(run->federation);
    GR_TRY(gr_text_format(&message, "%s", gr_message()));
    status = GR_LOST;
    while (status == GR_LOST && done > run->checkpointed) {
        status = gr_records_hold(run, done);
        if (status == GR_OK) status = gr_record_checkpoint(run, &written);
        if (status == GR_LOST) GR_TRY(gr_federation_recover(run->federation));
    }
    status = gr_records_hold(run, done);
    if (status == GR_OK && gr_run_is_root(run))
        status = gr_records_note(run, "quorum lost", done, NULL, NULL);
    (void)gr_fail(GR_STOPPED, "%s; --resume goes on after round %u", message, done);
    status = GR_STOPPED;
out:
    gr_free(message);
    return status;
}

/* Collective. Rounds until the last, or until a signal: then GR_STOPPED. */
static gr_status run_rounds(struct gr_run_state *run) {
    gr_status status = GR_OK;
    bool stop = false;
    const struct gr_round_options options = {
        .stop = run->options->stop, .record = gr_record_round, .context = run};
    while (!stop && gr_federation_rounds_done(run->federation) < run->config->run.rounds) {
        status = gr_federation_round(run->federation, &options, &stop);
        if (status == GR_STOPPED && !gr_comm_over(run->comm)) return stop_below_quorum(run);
        GR_TRY(status);
    }
    if (gr_federation_rounds_done(run->federation) < run->config->run.rounds)
        status = gr_fail(GR_STOPPED, "stopped by a signal after round %u of %u; --resume goes on",
                         gr_federation_rounds_done(run->federation), run->config->run.rounds);
out:
    return status;
}

/* Rank 0: the records of the end, whatever it is. */
static gr_status write_end(struct gr_run_state *run, gr_status outcome) {
    if (outcome == GR_OK) return gr_records_finish(run);
    gr_records_end_early(run, outcome);
    return GR_OK;
}

/*
 * Collective. The end of a run that has begun, in the order that nobody leaves who may still be
 * needed: the records, agreed on by those left, and then all at once.
 */
static gr_status end_together(struct gr_run_state *run, gr_status outcome) {
    gr_status status;
    char message[GR_MESSAGE_MAX];
    strcpy(message, gr_message());
    if (outcome != GR_OK && outcome != GR_STOPPED) gr_control_fail(run->comm, outcome);
    do {
        status = gr_records_hold(run, gr_federation_rounds_done(run->federation));
        (void)gr_fail(outcome, "%s", message);
        if (status == GR_OK && gr_run_is_root(run)) status = write_end(run, outcome);
        if (outcome != GR_OK) strcpy(message, gr_message());
        if (status != GR_LOST) status = gr_comm_agree(run->comm, status);
        if (status == GR_OK) status = gr_control_finish(run->comm);
        if (status != GR_LOST) break;
        status = gr_federation_recover(run->federation);
    } while (status == GR_OK || status == outcome);
    if (gr_run_is_root(run)) gr_run_claims_clear(run->path);
    if (outcome == GR_OK || gr_comm_over(run->comm)) return status;
    return gr_fail(outcome, "%s", message);
}

static void release(struct gr_run_state *run) {
    gr_records_close(run);
    gr_federation_free(run->federation);
    gr_free(run->noted);
    gr_free(run->config_text);
    gr_free(run->checkpoints);
    gr_free(run->path);
}

gr_status gr_run(struct gr_comm *comm, const struct gr_config *config,
                 const struct gr_run_options *options) {
    gr_status status = GR_OK;
    struct gr_run_state run = {.comm = comm, .config = config, .options = options};
    gr_clock_utc(run.started_utc);
    GR_TRY(gr_comm_agree(comm, gr_config_digest(config, run.config_digest)));
    GR_TRY(gr_federation_create(comm, config, &run.federation));
    find_origin(&run);
    GR_TRY(gr_comm_agree(comm, gr_allocate_zero(config->data.silos, 1, "events", &run.noted)));
    GR_TRY(gr_comm_agree(comm, gr_run_is_root(&run) ? open_directory(&run) : GR_OK));
    GR_TRY(share_directory(&run));
    if (options->resume) GR_TRY(read_checkpoint(&run));
    GR_TRY(gr_comm_agree(comm, gr_run_is_root(&run) ? gr_records_start(&run) : GR_OK));
    run.written = gr_federation_rounds_done(run.federation);
    /* Not earlier: silos may take long to read their data. */
    gr_comm_set_deadlines(comm, config->round.collective_deadline_s, config->round.heartbeat_s);
    status = run_rounds(&run);
    if (status != GR_ERROR_INTERNAL && !gr_comm_over(comm)) status = end_together(&run, status);
out:
    if (status == GR_STOPPED && gr_comm_over(comm)) status = GR_OK;
    /* Before the rounds began there is nothing that could be gone on with. */
    if (status == GR_LOST)
        status = gr_fail(GR_STOPPED, "ranks were lost before the first round: start again");
    if (status != GR_OK && run.directory && !run.ended) gr_records_end_early(&run, status);
    release(&run);
    return status;
}
