/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main job: a run directory, rounds, checkpoints, the model, the report.
 *
 * Rank 0 alone writes the directory; what befalls it there is agreed on before the others go on.
 */
#include "federation/federation.h"

#include <math.h>
#include <string.h>

enum { PATH_LIMIT = 65536 };

struct run {
    struct gr_comm *comm;
    const struct gr_config *config;
    const struct gr_run_options *options;
    struct gr_federation *federation;
    unsigned char config_digest[GR_DIGEST_BYTES];
    unsigned char origin[GR_DIGEST_BYTES]; /* of config and data: what a checkpoint belongs to */
    char *checkpoints;                     /* the folder, known to all ranks */
    bool root;
    /* Rank 0's: */
    struct gr_run_directory *directory;
    struct gr_metrics_file *metrics;
    struct gr_events_file *events;
    struct gr_progress *progress;
    char started_utc[32];
    uint32_t resumed_from;
    bool passed_over; /* a damaged checkpoint, when resuming */
};

static gr_status path_in(const struct run *run, const char *name, char **out) {
    return gr_text_format(out, "%s/%s", gr_run_directory_path(run->directory), name);
}

static gr_status write_text(const struct run *run, const char *name, const char *text) {
    char *path = NULL;
    gr_status status = path_in(run, name, &path);
    if (status == GR_OK) status = gr_file_write(path, text, strlen(text));
    gr_free(path);
    return status;
}

/* Rank 0. */
static gr_status write_manifest(const struct run *run, const char *outcome,
                                const char *model_digest) {
    char now[32];
    gr_clock_utc(now);
    const struct gr_federation *f = run->federation;
    char fingerprint[GR_DIGEST_HEX];
    gr_digest_hex(gr_federation_fingerprint(f), fingerprint);
    struct gr_manifest manifest = {
        .config = run->config,
        .ranks = gr_comm_size(run->comm),
        .nodes = gr_comm_nodes(run->comm),
        .n_silos = run->config->data.silos,
        .data_fingerprint = fingerprint,
        .architecture = gr_federation_architecture(f),
        .n_parameters = f->layout->n_parameters,
        .started_utc = run->started_utc,
        .resumed_from = run->resumed_from,
        .ended_utc = strcmp(outcome, "running") == 0 ? NULL : now,
        .outcome = outcome,
        .rounds_done = gr_federation_rounds_done(f),
        .model_digest = model_digest,
        .host_of = gr_federation_hosts(f),
    };
    memcpy(manifest.config_digest, run->config_digest, GR_DIGEST_BYTES);
    return gr_manifest_write(run->directory, &manifest);
}

/* Another config or other data: a checkpoint of theirs is not ours. */
static void find_origin(struct run *run) {
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, run->config_digest, GR_DIGEST_BYTES);
    gr_digest_add(&digest, gr_federation_fingerprint(run->federation), GR_DIGEST_BYTES);
    gr_digest_finish(&digest, run->origin);
}

/* Rank 0. */
static gr_status open_directory(struct run *run) {
    gr_status status = GR_OK;
    GR_TRY(gr_run_directory_open(run->config, run->options->run_path, run->options->resume,
                                 &run->directory));
    GR_TRY(path_in(run, "checkpoints", &run->checkpoints));
out:
    return status;
}

/* Collective. The newest whole checkpoint, if the run is resumed. */
static gr_status read_checkpoint(struct run *run) {
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
        run->resumed_from = state.round;
    }
    run->passed_over = passed_over != NULL;
    if (run->root && passed_over && run->options->progress)
        fprintf(run->options->progress, "%s\n", passed_over);
out:
    gr_free(passed_over);
    return status;
}

/* Rank 0: the files that tell what runs, before it runs. */
static gr_status start_records(struct run *run) {
    gr_status status = GR_OK;
    char *resolved = NULL, *path = NULL;
    const uint32_t done = gr_federation_rounds_done(run->federation);
    GR_TRY(gr_config_to_yaml(run->config, &resolved));
    GR_TRY(write_text(run, "config.yaml", run->options->config_text));
    GR_TRY(write_text(run, "resolved.yaml", resolved));
    GR_TRY(write_manifest(run, "running", NULL));
    GR_TRY(path_in(run, "metrics.jsonl", &path));
    GR_TRY(gr_metrics_open(path, done, &run->metrics));
    gr_free(path);
    path = NULL;
    GR_TRY(path_in(run, "events.jsonl", &path));
    GR_TRY(gr_events_open(path, &run->events));
    GR_TRY(gr_events_append(run->events, done ? "resumed" : "started", done, NULL));
    if (run->passed_over)
        GR_TRY(gr_events_append(run->events, "damaged checkpoint passed over", done, NULL));
    if (run->options->progress)
        GR_TRY(gr_progress_create(run->options->progress, run->config->run.rounds, done,
                                  &run->progress));
out:
    gr_free(path);
    gr_free(resolved);
    return status;
}

static bool checkpoint_due(const struct run *run, uint32_t round, bool last) {
    uint32_t every = run->config->checkpoint.every;
    return last || (every > 0 && round % every == 0);
}

/* Collective. */
static gr_status write_checkpoint(struct run *run) {
    struct gr_state state;
    gr_federation_state(run->federation, &state);
    memcpy(state.config_digest, run->origin, GR_DIGEST_BYTES);
    return gr_checkpoint_write(run->comm, run->checkpoints, &state, run->config->checkpoint.keep);
}

/*
 * Collective. The round's line first, then the checkpoint, so that no run resumed from it lacks the
 * line; what the checkpoint cost is then written into it.
 */
static gr_status record_round(struct run *run, struct gr_metrics *metrics, bool checkpoint) {
    gr_status status = GR_OK;
    if (run->root) status = gr_metrics_append(run->metrics, metrics);
    if (run->root && checkpoint && status == GR_OK) status = gr_metrics_sync(run->metrics);
    GR_TRY(gr_comm_agree(run->comm, status));
    if (checkpoint) {
        double started = gr_clock_seconds();
        GR_TRY(write_checkpoint(run));
        metrics->seconds.checkpoint = gr_clock_seconds() - started;
        metrics->seconds.total += metrics->seconds.checkpoint;
        if (run->root) status = gr_metrics_amend(run->metrics, metrics);
        if (run->root && status == GR_OK)
            status = gr_events_append(run->events, "checkpoint", metrics->round, NULL);
        GR_TRY(gr_comm_agree(run->comm, status));
    }
    if (run->progress) gr_progress_round(run->progress, metrics);
out:
    return status;
}

/* Collective. Rounds until the last, or until a signal: then GR_STOPPED. */
static gr_status run_rounds(struct run *run) {
    gr_status status = GR_OK;
    struct gr_metrics metrics;
    bool stop = false;
    while (!stop && gr_federation_rounds_done(run->federation) < run->config->run.rounds) {
        GR_TRY(gr_federation_round(run->federation, run->options->stop, &stop, &metrics));
        bool last = stop || metrics.round == run->config->run.rounds;
        GR_TRY(record_round(run, &metrics, checkpoint_due(run, metrics.round, last)));
    }
    if (gr_federation_rounds_done(run->federation) < run->config->run.rounds)
        status = gr_fail(GR_STOPPED, "stopped by a signal after round %u of %u; --resume goes on",
                         gr_federation_rounds_done(run->federation), run->config->run.rounds);
out:
    return status;
}

/* Rank 0: model, manifest and report of a run that has come to its end. */
static gr_status finish_records(struct run *run) {
    gr_status status = GR_OK;
    struct gr_state state;
    char *path = NULL, hex[GR_DIGEST_HEX];
    unsigned char digest[GR_DIGEST_BYTES];
    gr_federation_state(run->federation, &state);
    memcpy(state.config_digest, run->origin, GR_DIGEST_BYTES);
    GR_TRY(path_in(run, "model.h5", &path));
    GR_TRY(gr_model_file_write(path, &state));
    gr_layout_digest(state.layout, state.parameters, digest);
    gr_digest_hex(digest, hex);
    GR_TRY(gr_events_append(run->events, "finished", state.round, NULL));
    GR_TRY(write_manifest(run, "finished", hex));
    GR_TRY(gr_report_write(gr_run_directory_path(run->directory)));
    if (run->progress)
        gr_progress_finish(run->progress, gr_run_directory_path(run->directory), hex);
out:
    gr_free(path);
    return status;
}

/*
 * Rank 0: the records of a run that ended early. What fails here does not replace the reason why
 * it ended; the records of the rounds done are on disk already.
 */
static void note_early_end(struct run *run, gr_status reason) {
    char *message = NULL;
    const char *outcome = reason == GR_STOPPED ? "stopped" : "failed";
    if (!run->events || gr_text_format(&message, "%s", gr_message()) != GR_OK) return;
    uint32_t done = gr_federation_rounds_done(run->federation);
    if (run->progress && reason == GR_STOPPED)
        gr_progress_finish(run->progress, gr_run_directory_path(run->directory), NULL);
    gr_status noted = gr_events_append(run->events, outcome, done, NULL);
    if (noted == GR_OK) noted = write_manifest(run, outcome, NULL);
    if (noted == GR_OK && done > 0) noted = gr_report_write(gr_run_directory_path(run->directory));
    if (noted == GR_OK)
        (void)gr_fail(reason, "%s", message);
    else
        (void)gr_fail(reason, "%s (and its records: %s)", message, gr_message());
    gr_free(message);
}

static void release(struct run *run) {
    gr_progress_free(run->progress);
    gr_events_close(run->events);
    gr_metrics_close(run->metrics);
    gr_run_directory_close(run->directory);
    gr_federation_free(run->federation);
    gr_free(run->checkpoints);
}

gr_status gr_run(struct gr_comm *comm, const struct gr_config *config,
                 const struct gr_run_options *options) {
    gr_status status = GR_OK;
    struct run run = {.comm = comm, .config = config, .options = options};
    run.root = gr_comm_rank(comm) == 0;
    gr_clock_utc(run.started_utc);
    GR_TRY(gr_comm_agree(comm, gr_config_digest(config, run.config_digest)));
    GR_TRY(gr_federation_create(comm, config, &run.federation));
    find_origin(&run);
    GR_TRY(gr_comm_agree(comm, run.root ? open_directory(&run) : GR_OK));
    GR_TRY(gr_comm_broadcast_text(comm, &run.checkpoints, PATH_LIMIT));
    if (options->resume) GR_TRY(read_checkpoint(&run));
    GR_TRY(gr_comm_agree(comm, run.root ? start_records(&run) : GR_OK));
    GR_TRY(run_rounds(&run));
    GR_TRY(gr_comm_agree(comm, run.root ? finish_records(&run) : GR_OK));
out:
    if (status != GR_OK && run.root && run.directory) note_early_end(&run, status);
    release(&run);
    return status;
}
