/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lost ranks replaced by new processes: the members spawn and tell, the new ranks listen; then all
 * are members alike. Whatever fails in a respawned rank ends that respawned rank, and the members
 * go on.
 */
#include "federation/run.h"

#include <math.h>
#include <string.h>

/* Of the run, beside its texts. */
struct respawn_outline {
    uint64_t start;
    uint32_t resumed_from, checkpointed, instructions;
    bool collective; /* checkpoints */
    char started_utc[32], id[GR_RUN_ID_HEX];
    unsigned char first_config[GR_DIGEST_BYTES];
};

/*
 * Collective. Rank 0's text; the others keep it where `keep` is given. The cast drops a const that
 * the broadcast does not use on rank 0. limit: bytes, so that no allocation follows an unbounded
 * length.
 */
static gr_status tell_text(struct gr_run_state *run, const char *mine, size_t limit, char **keep) {
    char *text = (char *)(uintptr_t)mine;
    const bool root = gr_run_is_root(run);
    if (!root) text = NULL;
    gr_status status = gr_comm_broadcast_text(run->comm, &text, limit);
    if (status == GR_OK && keep)
        *keep = text;
    else if (!root)
        gr_free(text);
    return status;
}

/*
 * Collective. All of the run that is not text, as one broadcast of a struct: ranks are of one
 * build, which the handshake has checked, so its layout is the same on all. `instructions` 0 would
 * mean "no limit", so the members' own set is told in its place.
 */
static gr_status tell_outline(struct gr_run_state *run) {
    struct respawn_outline outline = {.start = run->start,
                                      .resumed_from = run->resumed_from,
                                      .checkpointed = run->checkpointed,
                                      .collective = run->io.collective,
                                      .instructions = run->instructions ? run->instructions
                                                                        : gr_instructions_here()};
    memcpy(outline.started_utc, run->started_utc, sizeof outline.started_utc);
    memcpy(outline.id, run->id, sizeof outline.id);
    memcpy(outline.first_config, run->first_config, sizeof outline.first_config);
    gr_status status = gr_comm_broadcast(run->comm, &outline, sizeof outline);
    if (status != GR_OK) return status;
    run->start = outline.start;
    run->resumed_from = outline.resumed_from;
    run->checkpointed = outline.checkpointed;
    run->io.collective = outline.collective;
    run->instructions = outline.instructions;
    memcpy(run->started_utc, outline.started_utc, sizeof outline.started_utc);
    memcpy(run->id, outline.id, sizeof outline.id);
    memcpy(run->first_config, outline.first_config, sizeof outline.first_config);
    return GR_OK;
}

/* The members' side; pairs with gr_run_listen, call by call. */
static gr_status welcome(struct gr_run_state *run) {
    gr_status status = GR_OK;
    char *resolved = NULL;
    /* The same on all ranks, so that any may be rank 0. */
    GR_TRY(gr_comm_agree(run->comm, gr_config_to_yaml(run->config, &resolved)));
    GR_TRY(tell_text(run, resolved, GR_CONFIG_TEXT_MAX, NULL));
    GR_TRY(tell_text(run, run->path, GR_RUN_PATH_MAX, NULL));
    GR_TRY(tell_text(run, run->config_text, GR_CONFIG_TEXT_MAX, NULL));
    GR_TRY(tell_outline(run));
    status = gr_federation_welcome(run->federation);
out:
    gr_free(resolved);
    return status;
}

/*
 * Collective, between rounds. After FAILURES_MAX failures in a row nothing is tried any more: each
 * attempt makes all members wait for a process that reads its data, up to the longer deadline.
 */
gr_status gr_run_respawn(struct gr_run_state *run) {
    enum { FAILURES_MAX = 3 };
    const struct gr_round_config *limits = &run->config->round;
    const double reading_s = fmax(limits->deadline_s, limits->collective_deadline_s);
    enum gr_respawn outcome;
    gr_status status = GR_OK;
    if (!limits->respawn || !run->options->command || gr_comm_epoch(run->comm) == 0 ||
        gr_comm_size(run->comm) == gr_comm_slots(run->comm))
        return GR_OK;
    /* A rank that was away has not counted along: what it says must not decide who calls this. */
    status = gr_comm_respawn(run->comm, run->options->command, run->respawns_failed < FAILURES_MAX,
                             &outcome);
    if (status == GR_OK && outcome == GR_RESPAWN_DONE) {
        /* Respawned ranks may take long to read their data. */
        gr_comm_set_deadlines(run->comm, reading_s, limits->heartbeat_s);
        status = welcome(run);
        gr_comm_set_deadlines(run->comm, limits->collective_deadline_s, limits->heartbeat_s);
    }
    /* Of ranks that cannot be started, or cannot read their data, there would be no end. */
    if (outcome != GR_RESPAWN_NOT_NOW)
        run->respawns_failed =
            status == GR_OK && outcome == GR_RESPAWN_DONE ? 0 : run->respawns_failed + 1;
    if (status == GR_LOST) status = gr_federation_recover(run->federation);
    return status;
}

/* A respawned rank: its kernels must give the bits that the members' give. */
static gr_status keep_to_instructions(const struct gr_run_state *run) {
    const uint32_t mine = gr_instructions_here();
    if ((mine & run->instructions) != run->instructions)
        return gr_fail(GR_ERROR_CONFIG, "the processor of this rank lacks instructions that the "
                                        "other ranks train with");
    if (mine != run->instructions) (void)gr_instructions_limit(run->instructions);
    return GR_OK;
}

/*
 * The respawned rank's side, in step with welcome. The config comes as resolved text and not from a
 * file: the file may have changed since the run began, or not be there on this host.
 */
gr_status gr_run_listen(struct gr_run_state *run, struct gr_config **config) {
    gr_status status = GR_OK;
    char *resolved = NULL;
    GR_TRY(gr_comm_agree(run->comm, GR_OK));
    GR_TRY(tell_text(run, NULL, GR_CONFIG_TEXT_MAX, &resolved));
    GR_TRY(tell_text(run, NULL, GR_RUN_PATH_MAX, &run->path));
    GR_TRY(tell_text(run, NULL, GR_CONFIG_TEXT_MAX, &run->config_text));
    GR_TRY(tell_outline(run));
    GR_TRY(gr_config_parse("resolved config", resolved, strlen(resolved), NULL, 0, config));
    run->config = *config;
    gr_run_set_io(run);
    GR_TRY(keep_to_instructions(run));
    GR_TRY(gr_run_name_folders(run));
    GR_TRY(gr_config_digest(run->config, run->config_digest));
    GR_TRY(gr_cohort_create(run->comm, run->config, &run->cohort));
    const struct gr_cohort_options options = {.resumed = true, .listener = &run->options->listener};
    gr_cohort_set_options(run->cohort, &options);
    status = gr_federation_join(run->cohort, &run->federation);
out:
    gr_free(resolved);
    return status;
}
