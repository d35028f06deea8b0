/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resumption is refused where the run's folder tells of more rounds than the checkpoint that was
 * found. Checkpoints that are lost, or are looked for in the wrong place, would else cost the
 * records and the model as well, for the run would write over them.
 */
#include <string.h>
#include <unistd.h>

#include "federation/run.h"

/* The end of each message: a remedy. */
#define HOW "bring the folder back as it was, or begin a run in another one (--run)"

/* Lines of a file, 0 if it is not there. A file above 1 GiB is refused, not read into memory. */
static gr_status count_lines(const char *path, size_t *n) {
    char *text = NULL;
    size_t length;
    *n = 0;
    if (access(path, F_OK) != 0) return GR_OK;
    gr_status status = gr_file_read(path, (size_t)1 << 30, GR_ERROR_DATA, &text, &length);
    for (const char *at = text; status == GR_OK && (at = strchr(at, '\n')); at++)
        ++*n;
    gr_free(text);
    return status;
}

/*
 * Where there is no checkpoint at all. A model is then a sign that checkpoints are missing or
 * looked for in the wrong place; so are metrics of at least as many rounds as lie between two
 * checkpoints. With an events file the decision has been taken already: its checkpoint events are
 * the better witness.
 */
static gr_status check_beginning(const struct gr_run_state *run, bool has_events) {
    gr_status status = GR_OK;
    char *model = NULL, *metrics = NULL;
    const uint32_t every = run->config->checkpoint.every;
    size_t lines = 0;
    GR_TRY(gr_text_format(&model, "%s/model.h5", run->path));
    GR_TRY(gr_text_format(&metrics, "%s/metrics.jsonl", run->path));
    if (access(model, F_OK) == 0) {
        status =
            gr_fail(GR_ERROR_DATA,
                    "%s: holds model.h5 and no checkpoint: a run from the first round on would "
                    "write over it; " HOW,
                    run->path);
        goto out;
    }
    /* The events would have told that no checkpoint could be written. */
    if (!has_events && every > 0) GR_TRY(count_lines(metrics, &lines));
    if (lines >= every && lines > 0)
        status = gr_fail(GR_ERROR_DATA,
                         "%s: metrics.jsonl has %zu rounds, and neither a checkpoint nor "
                         "events.jsonl is there: a run from the first round on would write over "
                         "them; " HOW,
                         run->path, lines);
out:
    gr_free(metrics);
    gr_free(model);
    return status;
}

/*
 * A model of more rounds than the run is now to have would be replaced by one of fewer. The user
 * has most likely shortened run.rounds, hence GR_ERROR_CONFIG.
 */
static gr_status check_model(const struct gr_run_state *run) {
    char *path = NULL;
    gr_status status = gr_text_format(&path, "%s/model.h5", run->path);
    const uint32_t round = status == GR_OK ? gr_model_file_round(path) : 0;
    if (round > run->config->run.rounds)
        status = gr_fail(GR_ERROR_CONFIG,
                         "run.rounds: found %u, expected at least the %u rounds of model.h5",
                         run->config->run.rounds, round);
    gr_free(path);
    return status;
}

/* Rank 0 only; the caller agrees on the status. Called before anything in the folder is written. */
gr_status gr_run_check_reached(const struct gr_run_state *run, bool found) {
    gr_status status = GR_OK;
    char *events = NULL;
    bool has_events = false;
    uint32_t told = 0;
    const uint32_t newest = gr_checkpoint_newest(run->path);
    GR_TRY(gr_text_format(&events, "%s/events.jsonl", run->path));
    GR_TRY(gr_events_checkpoint(events, &has_events, &told));
    /* A damaged checkpoint counts in `newest`: it has been named, and is passed over. */
    if (told > newest && newest > 0)
        status = gr_fail(GR_ERROR_DATA,
                         "%s: events.jsonl tells of a checkpoint after round %u, the newest in "
                         "checkpoints/ is of round %u; " HOW,
                         run->path, told, newest);
    else if (told > newest)
        status = gr_fail(GR_ERROR_DATA,
                         "%s: events.jsonl tells of a checkpoint after round %u, in checkpoints/ "
                         "there is none; " HOW,
                         run->path, told);
    else if (!found)
        status = check_beginning(run, has_events);
    if (status == GR_OK) status = check_model(run);
out:
    gr_free(events);
    return status;
}
