/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole run: its directory, rounds, checkpoints, the model, the report.
 *
 * Rank 0 alone writes the directory; its errors are agreed on before the others go on. Every rank
 * nevertheless holds all that a rank 0 needs (path, config text, id, room for events), because
 * after a loss the next in seniority becomes rank 0, at any point.
 */
#include "federation/run.h"

#include <granary/study.h>

#include <stdlib.h>
#include <string.h>

/*
 * Each rank tells of its own tables on its own terminal: guesses about a table are its owner's to
 * see and do not leave the silo. Told once, though the start may be attempted several times.
 */
static void tell_guessed(struct gr_run_state *run) {
    const char *guessed = run->federation->data->guessed;
    if (guessed && run->options->progress && !run->guessed_told)
        fputs(guessed, run->options->progress);
    run->guessed_told = true;
}

/*
 * The digest of config and data together, as the run was begun with. A checkpoint carries it, and
 * one with another origin is refused: its parameters have been trained for something else.
 */
static void find_origin(struct gr_run_state *run) {
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, run->first_config, GR_DIGEST_BYTES);
    gr_digest_add(&digest, gr_cohort_run_data(run->cohort)->fingerprint, GR_DIGEST_BYTES);
    gr_digest_finish(&digest, run->origin);
}

/*
 * Collective. The newest whole checkpoint, if the run is resumed; vectors are read in place,
 * through gr_federation_state. A directory without any checkpoint begins with round 1, unless
 * gr_run_check_reached finds signs that there were some. Damaged ones are passed over in favour of
 * an older, and told; if none is whole, the run is refused instead of begun anew.
 */
static gr_status read_checkpoint(struct gr_run_state *run) {
    gr_status status = GR_OK;
    struct gr_state state;
    bool found = false;
    char *passed_over = NULL;
    gr_federation_state(run->federation, &state);
    memcpy(state.config_digest, run->origin, GR_DIGEST_BYTES);
    state.run_id = run->id_known ? run->id : NULL;
    state.grows = gr_run_follows(run);
    GR_TRY(gr_checkpoint_read(run->comm, run->checkpoints, &state, &found, &passed_over));
    if (!found && passed_over) {
        status = gr_fail(GR_ERROR_DATA, "no checkpoint is whole: %s", passed_over);
        goto out;
    }
    GR_TRY(
        gr_comm_agree(run->comm, gr_run_is_root(run) ? gr_run_check_reached(run, found) : GR_OK));
    if (found && state.round > run->config->run.rounds) {
        status =
            gr_fail(GR_ERROR_CONFIG, "run.rounds: found %u, expected at least the %u that are done",
                    run->config->run.rounds, state.round);
        goto out;
    }
    if (found) {
        GR_TRY(gr_comm_agree(run->comm, gr_federation_resume(run->federation, &state)));
        run->resumed_from = run->checkpointed = state.round;
        run->adopted = state.run_id_found[0] == '\0';
        /* Its manifest is lost, or of before there were any. */
        if (!run->id_known && !run->adopted) memcpy(run->id, state.run_id_found, sizeof run->id);
    }
    run->passed_over = passed_over != NULL;
    if (gr_run_is_root(run) && passed_over && run->options->progress)
        fprintf(run->options->progress, "%s\n", passed_over);
out:
    gr_free(passed_over);
    return status;
}

/* A gr_checkpoint_io's midway. */
static void inject_midway(void *context) {
    struct gr_run_state *run = context;
    gr_inject_fault(run->cohort, gr_federation_rounds_done(run->federation), GR_POINT_WRITE);
}

void gr_run_set_io(struct gr_run_state *run) {
    const bool collective = run->io.collective;
    run->io = (struct gr_checkpoint_io){.collective = collective,
                                        .patience_s = run->config->round.collective_deadline_s,
                                        .hints = run->config->checkpoint.hints,
                                        .n_hints = run->config->checkpoint.hints_count,
                                        .midway = inject_midway,
                                        .context = run};
}

/*
 * Collective. Finds out before the first round is trained whether a checkpoint can be written at
 * all (rights, room): hours of training would else be lost to a wrong path.
 */
static gr_status try_checkpoint(struct gr_run_state *run) {
    struct gr_state state;
    gr_status status =
        gr_checkpoint_choose_io(run->comm, run->checkpoints, &run->config->checkpoint, &run->io);
    if (status != GR_OK) return status;
    gr_run_set_io(run);
    gr_federation_state(run->federation, &state);
    memcpy(state.config_digest, run->origin, GR_DIGEST_BYTES);
    state.run_id = run->id;
    /* A rehearsal's fault is for a checkpoint of a round. */
    struct gr_checkpoint_io io = run->io;
    io.midway = NULL;
    return gr_checkpoint_try(run->comm, run->checkpoints, &state, run->config->checkpoint.keep, &io,
                             &run->room);
}

/*
 * The deadline of a collective must cover the time that rank 0 takes for the disk while the others
 * wait in the agreement; 10 MB a second is slower than file systems in use. `bytes` 0 restores the
 * config's deadlines.
 */
void gr_run_allow(struct gr_run_state *run, double bytes) {
    static const double slow_disk = 10e6; /* bytes in a second */
    const struct gr_round_config *limits = &run->config->round;
    gr_comm_set_deadlines(run->comm, limits->collective_deadline_s + bytes / slow_disk,
                          limits->heartbeat_s);
}

static bool is_done(const struct gr_run_state *run) {
    return gr_federation_rounds_done(run->federation) >= run->config->run.rounds ||
           gr_federation_ends_early(run->federation);
}

static void note_trained(void *context, uint32_t round, uint32_t done, uint32_t of) {
    const struct gr_run_state *run = context;
    gr_progress_trained(run->progress, round, done, of);
}

const char *gr_run_resumes(const struct gr_run_state *run) {
    if (gr_comm_parties(run->comm) == 1) return "--resume goes on";
    if (gr_comm_party(run->comm, gr_comm_slot(run->comm)) > 0)
        return "this site waits for the others, to go on";
    return run->options->stop && *run->options->stop
               ? "`granary coordinate`, started again, goes on"
               : "it goes on when all meet again";
}

/* Only the coordinator knows why; sites learn that it is so. */
static const char *stopped_by(const struct gr_run_state *run) {
    if (gr_comm_party(run->comm, gr_comm_slot(run->comm)) > 0) return "the coordinator has stopped";
    return gr_comm_awaited(run->comm) ? "stopped, for a site has come," : "stopped by a signal";
}

/*
 * Collective, below the quorum: GR_STOPPED, or where a site has left for a reason that waiting does
 * not mend, its own.
 */
static gr_status name_refusal(struct gr_run_state *run) {
    char *words = NULL;
    gr_status status, refused = GR_OK;
    GR_TRY(gr_text_format(&words, "%s", gr_message()));
    if (gr_run_is_root(run)) refused = gr_comm_refused(run->comm, words);
    status = gr_comm_parties(run->comm) > 1 ? gr_comm_agree(run->comm, refused) : GR_OK;
    if (status == GR_OK || status == GR_LOST) status = gr_fail(GR_STOPPED, "%s", words);
out:
    gr_free(words);
    return status;
}

/*
 * Collective. Rounds until the last, or until a signal: then GR_STOPPED. Lost ranks are replaced
 * between rounds only, when all members are at the same place and hold the same state. A GR_STOPPED
 * of a rank that is out is not the quorum's; its run goes on elsewhere.
 */
static gr_status run_rounds(struct gr_run_state *run) {
    gr_status status = GR_OK;
    bool stop = false;
    const struct gr_round_options options = {.stop = run->options->stop,
                                             .record = gr_record_round,
                                             .trained = note_trained,
                                             .context = run};
    while (!stop && !is_done(run)) {
        status = gr_federation_round(run->federation, &options, &stop);
        if (status == GR_STOPPED && !gr_comm_out(run->comm)) {
            run->below_quorum = true;
            status = name_refusal(run);
            if (status != GR_STOPPED) return status;
            return gr_fail_context(status, "below quorum after round %u, %s: ",
                                   gr_federation_rounds_done(run->federation), gr_run_resumes(run));
        }
        GR_TRY(status);
        gr_costs_take(run);
        if (!stop && !is_done(run)) GR_TRY(gr_run_respawn(run));
    }
    if (!is_done(run)) run->asked = stopped_by(run);
    if (!is_done(run))
        status = gr_fail(GR_STOPPED, "%s after round %u of %u; %s", run->asked,
                         gr_federation_rounds_done(run->federation), run->config->run.rounds,
                         gr_run_resumes(run));
out:
    return status;
}

/*
 * Rank 0: the records of the end, whatever it is. An early end does not fail on account of its
 * records: the reason why it ended is the status that counts.
 */
static gr_status write_end(struct gr_run_state *run, gr_status outcome) {
    if (outcome == GR_OK) return gr_records_finish(run);
    if (run->below_quorum && !run->ended) {
        const uint32_t done = gr_federation_rounds_done(run->federation);
        gr_record_losses(run, done + 1);
        gr_records_note(run, "quorum lost", done, NULL, NULL);
    }
    gr_records_end_early(run, outcome);
    return GR_OK;
}

/*
 * Collective. Writes a checkpoint of the rounds that are done, if the newest is older. A run that
 * is stopped between two checkpoints, or whose last round is void, keeps its work in this way.
 */
static gr_status keep_rounds(struct gr_run_state *run) {
    gr_status status = GR_OK;
    int64_t newest = run->checkpointed;
    bool written;
    GR_TRY(gr_comm_max_public(run->comm, &newest, 1)); /* whoever has seen it written knows */
    run->checkpointed = (uint32_t)newest;
    if (gr_federation_rounds_done(run->federation) <= run->checkpointed) return GR_OK;
    GR_TRY(gr_comm_agree(run->comm, gr_run_is_root(run) ? gr_records_sync(run) : GR_OK));
    status = gr_record_checkpoint(run, &written);
out:
    return status;
}

/*
 * Collective; one attempt at the end, repeated by end_together after a loss. `message` is that of
 * the outcome: agreements in between overwrite gr_message. The deadline is extended while rank 0
 * writes the model.
 */
static gr_status write_and_leave(struct gr_run_state *run, gr_status outcome,
                                 char message[GR_MESSAGE_MAX]) {
    gr_status status = gr_records_hold(run, gr_federation_rounds_done(run->federation));
    if (run->journal) gr_journal_begin(run->journal, gr_federation_rounds_done(run->federation));
    if (status == GR_LOST) return status;
    GR_TRY(gr_comm_agree(run->comm, status)); /* rank 0 alone may be refused, before all go on */
    if (outcome == GR_STOPPED) status = keep_rounds(run);
    if (outcome == GR_OK) status = gr_evaluate_outcome(run->federation);
    if (outcome == GR_OK && status == GR_OK) status = gr_postprocess_find(run->federation);
    if (status == GR_OK) status = gr_costs_sum(run);
    if (status == GR_OK) {
        (void)gr_fail(outcome, "%s", message); /* what ended the run is written down */
        gr_run_allow(run, (double)(run->federation->layout->size * sizeof(float)));
        if (gr_run_is_root(run)) status = write_end(run, outcome);
    }
    if (outcome != GR_OK) memcpy(message, gr_message(), strlen(gr_message()) + 1);
    if (status != GR_LOST) status = gr_comm_agree(run->comm, status);
    gr_run_allow(run, 0);
    GR_TRY(status);
    GR_TRY(gr_sealing_seal(run, outcome == GR_OK        ? "finished"
                                : outcome == GR_STOPPED ? "stopped"
                                                        : "failed"));
    status = gr_control_finish(run->comm, outcome);
out:
    return status;
}

/* Of a rank that was given up: the others are through. A party of a study is to be there again,
 * where they have only stopped, and where it has not seen the last seal; in a single job that is
 * for whoever starts it again. */
static gr_status end_of_others(const struct gr_run_state *run) {
    if (gr_comm_parties(run->comm) == 1 || gr_comm_over_with(run->comm) == GR_OK) return GR_OK;
    return gr_fail(
        GR_STOPPED,
        "the others have ended without this site, which has come to round %u: they go on "
        "later, or the coordinator, started once more, shows it the end",
        gr_federation_rounds_done(run->federation));
}

/*
 * Collective. The end of a run that has begun, in the order that nobody leaves who may still be
 * needed: the records, agreed on by those left, and then all at once.
 */
static gr_status end_together(struct gr_run_state *run, gr_status outcome) {
    gr_status status;
    char message[GR_MESSAGE_MAX];
    memcpy(message, gr_message(), strlen(gr_message()) + 1);
    if (outcome != GR_OK && outcome != GR_STOPPED) gr_control_fail(run->comm, outcome);
    do {
        status = write_and_leave(run, outcome, message);
        if (status != GR_LOST) break;
        status = gr_federation_recover(run->federation);
    } while (!gr_comm_out(run->comm) &&
             (status == GR_OK || (status == outcome && outcome != GR_STOPPED)));
    if (run->leaves) return status;
    if (gr_comm_over(run->comm))
        status = end_of_others(run);
    else if (gr_comm_out(run->comm))
        return status;
    else if (gr_run_is_root(run) && status == GR_OK)
        gr_run_claims_clear(run->path, run->start, gr_comm_epoch(run->comm));
    return outcome == GR_OK ? status : gr_fail(outcome, "%s", message);
}

/* A site's own copy of the model, which the last seal has vouched for. The coordinator's is written
 * with the records. A rank that was given up does not hold the last one. */
static gr_status keep_model(const struct gr_run_state *run) {
    struct gr_state state;
    if (!run->options->keep_model || gr_run_is_shared(run) || !gr_run_is_tidier(run) ||
        gr_comm_over(run->comm) || gr_comm_out(run->comm))
        return GR_OK;
    gr_federation_outcome(run->federation, &state);
    memcpy(state.config_digest, run->origin, GR_DIGEST_BYTES);
    return gr_model_file_write(run->options->keep_model, &state);
}

static void release(struct gr_run_state *run) {
    gr_records_close(run);
    gr_federation_free(run->federation);
    gr_cohort_free(run->cohort);
    gr_flags_release(&run->missing);
    gr_flags_release(&run->unfitted);
    gr_free(run->preprocessing);
    gr_free(run->partial);
    gr_flags_release(&run->sitting);
    gr_flags_release(&run->listed);
    gr_comm_texts_release(&run->software);
    gr_flags_release(&run->noted);
    gr_free(run->config_text);
    gr_free(run->checkpoints);
    gr_free(run->silos);
    gr_free(run->path);
}

/* Room for what rank 0 has told of silos, for any rank may become rank 0. */
static gr_status make_room(struct gr_run_state *run) {
    gr_status status = GR_OK;
    const uint32_t n = run->config->data.silos;
    GR_TRY(gr_flags_create(n, "events", &run->noted));
    GR_TRY(gr_flags_create(n, "events", &run->sitting));
    GR_TRY(gr_flags_create(n, "events", &run->listed));
    GR_TRY(gr_flags_create(n, "events", &run->missing));
    GR_TRY(gr_flags_create(n, "silos of a replay", &run->unfitted));
out:
    return status;
}

/*
 * From here on epochs are claimed in the run directory and the config's deadlines hold. Not
 * earlier: silos may take long to read their data, for which the start deadline is meant.
 */
static void begin_rounds(struct gr_run_state *run) {
    const struct gr_round_config *limits = &run->config->round;
    gr_comm_set_arbiter(run->comm, gr_run_claim_epoch, run);
    gr_comm_started(run->comm);
    gr_comm_set_deadlines(run->comm, limits->collective_deadline_s, limits->heartbeat_s);
}

static gr_status check_respawn(const struct gr_config *config) {
    if (!config->round.respawn || gr_comm_has_ulfm()) return GR_OK;
    return gr_fail(GR_ERROR_CONFIG, "round.respawn: found true, allowed only with an Open MPI 5 "
                                    "that has failure mitigation (mpirun --with-ft ulfm)");
}

/*
 * The settings that an earlier stretch ran with. A resolved.yaml that is missing or that this
 * version cannot read decides nothing here; the digest in the checkpoint does.
 */
static gr_status compare_settings(const struct gr_run_state *run, const char *run_path) {
    gr_status status;
    struct gr_config *then = NULL;
    char *path = NULL, *text = NULL, *difference = NULL;
    size_t length;
    GR_TRY(gr_text_format(&path, "%s/resolved.yaml", run_path));
    if (gr_file_read(path, GR_CONFIG_TEXT_MAX, GR_ERROR_CONFIG, &text, &length) != GR_OK ||
        gr_config_parse(path, text, length, NULL, 0, &then) != GR_OK)
        goto out;
    GR_TRY(gr_config_difference(then, run->config, gr_run_follows(run) ? gr_study_may_change : NULL,
                                &difference));
    if (difference)
        status = gr_fail(GR_ERROR_CONFIG,
                         "%s: the run was begun with another config: %s; it goes on with the same "
                         "settings only",
                         run_path, difference);
out:
    gr_free(difference);
    gr_config_free(then);
    gr_free(text);
    gr_free(path);
    return status;
}

/* Rank 0: of the run that is gone on with; none where there is no run, which is told later.
 * *begun: there are some. */
static gr_status find_checkpoints(const struct gr_run_state *run, char **out, uint8_t *begun) {
    char *latest = NULL;
    const char *path = run->options->run_path;
    gr_status status = GR_OK;
    if (!path && gr_run_directory_latest(run->config, &latest) == GR_OK) path = latest;
    if (!path) return GR_OK;
    GR_TRY(compare_settings(run, path));
    *begun = gr_checkpoint_newest(path) > 0;
    status = gr_text_format(out, "%s/checkpoints", path);
out:
    gr_free(latest);
    return status;
}

/* Collective. The fit of the run that is gone on with: what its model has learnt is of these
 * features. *begun: it has checkpoints. */
static gr_status find_preprocessing(struct gr_run_state *run, char **out, uint8_t *begun) {
    gr_status status = GR_OK;
    char *dir = NULL;
    *out = NULL;
    if (!run->options->resume) return GR_OK;
    GR_TRY(
        gr_comm_agree(run->comm, gr_run_is_root(run) ? find_checkpoints(run, &dir, begun) : GR_OK));
    GR_TRY(gr_comm_broadcast(run->comm, begun, sizeof *begun));
    status = gr_checkpoint_preprocessing(run->comm, dir, out);
out:
    gr_free(dir);
    return status;
}

/*
 * Collective. The instruction sets that all ranks have, where they differ. Kernels of different
 * instruction sets round differently, so the bits of the model would depend on which rank hosts
 * which silo; all are held to the common ones. The minimum is taken as the maximum of the negation,
 * as there is no other reduction at hand.
 */
static gr_status agree_on_instructions(struct gr_run_state *run) {
    enum { BITS = 32 };
    gr_status status = GR_OK;
    const uint32_t mine = gr_instructions_here();
    int64_t lacking[BITS], having[BITS];
    uint32_t common = 0, any = 0;
    for (size_t i = 0; i < BITS; i++) {
        having[i] = mine >> i & 1;
        lacking[i] = !having[i];
    }
    GR_TRY(gr_comm_max_public(run->comm, having, BITS));
    GR_TRY(gr_comm_max_public(run->comm, lacking, BITS));
    for (size_t i = 0; i < BITS; i++) {
        any |= (uint32_t)having[i] << i;
        common |= (uint32_t)!lacking[i] << i;
    }
    if (any == common) return GR_OK;
    run->instructions = common;
    run->instructions_text = gr_instructions_limit(common);
out:
    return status;
}

/* Collective. All ranks have read the same text: whether they have understood the same. */
static gr_status compare_configs(struct gr_run_state *run) {
    gr_status status = GR_OK;
    char names[GR_NAMES_BYTES];
    GR_TRY(gr_comm_name_unlike(run->comm, run->config_digest, sizeof run->config_digest, names));
    if (names[0]) status = gr_fail(GR_ERROR_CONFIG, "%s: another config than on rank 0", names);
out:
    return status;
}

/* Collective. The software of each rank, for the manifest. */
static gr_status gather_software(struct gr_run_state *run) {
    gr_status status = GR_OK;
    char *text = NULL;
    const bool own = gr_comm_party(run->comm, gr_comm_slot(run->comm)) == 0;
    /* A site's processor and libraries are nobody else's to know. */
    GR_TRY(gr_comm_agree(run->comm, own ? gr_versions_text(&text)
                                        : gr_text_format(&text, "a site's, not told\n")));
    status = gr_comm_gather_texts(run->comm, text, &run->software);
out:
    gr_free(text);
    return status;
}

/*
 * An earlier attempt at the start, over more ranks: all that depended on their silos is void. The
 * directory and its id stay, so that the run is the same.
 */
static void forget_attempt(struct gr_run_state *run) {
    gr_records_begin_anew(run);
    gr_federation_free(run->federation);
    run->federation = NULL;
    gr_comm_texts_release(&run->software);
    gr_free(run->preprocessing);
    run->preprocessing = NULL;
    run->adopted = run->passed_over = false;
    run->resumed_from = run->checkpointed = 0;
}

/* A gr_statistics_charge; context: a gr_run_state. */
static gr_status charge_statistics(void *context, const unsigned char *secrets, size_t n_secret) {
    struct gr_run_state *run = context;
    return gr_spending_charge_statistics(run->cohort, run->id, run->path, secrets, n_secret);
}

/* Collective. The federation, without the silos that are flagged. fitted: as gr_cohort_options. */
static gr_status create_without(struct gr_run_state *run, const struct gr_flags *without,
                                bool fitted) {
    const struct gr_cohort_options options = {
        .preprocessing = run->preprocessing,
        .fitted = fitted,
        .resumed = run->options->resume,
        .listener = &run->options->listener,
        .permit = run->options->permit,
        .permit_context = run->options->permit_context,
        .charge = charge_statistics,
        .charge_context = run,
        .epsilon_most = run->options->epsilon_most,
        .without = run->config->round.replay[0] ? without->flag : NULL};
    gr_cohort_set_options(run->cohort, &options);
    return gr_federation_create(run->cohort, &run->federation);
}

/*
 * Collective. Silos that came once the run that is replayed had begun: preprocessing and the rows
 * of classes are of the others. So the tables are read twice, as they were then: by the stretch
 * that fitted, and by one that went on with the fit.
 */
static gr_status fit_without(struct gr_run_state *run, bool fitted, int64_t **class_counts) {
    gr_status status = GR_OK, mine = GR_OK;
    struct gr_state state;
    GR_TRY(create_without(run, &run->unfitted, fitted));
    gr_federation_state(run->federation, &state);
    if (state.preprocessing && !run->preprocessing)
        mine = gr_text_format(&run->preprocessing, "%s", state.preprocessing);
    if (mine == GR_OK && state.n_class_counts > 0)
        mine = gr_allocate(state.n_class_counts, sizeof **class_counts, "classes", class_counts);
    if (*class_counts)
        memcpy(*class_counts, state.class_counts, state.n_class_counts * sizeof **class_counts);
    GR_TRY(gr_comm_agree(run->comm, mine));
    gr_federation_free(run->federation);
    run->federation = NULL;
out:
    return status;
}

/* Not collective. The counts of the fit take the place of those of all. */
static gr_status take_class_counts(struct gr_run_state *run, const int64_t *class_counts) {
    struct gr_state state;
    if (!class_counts) return GR_OK;
    gr_federation_state(run->federation, &state);
    memcpy(state.class_counts, class_counts, state.n_class_counts * sizeof *class_counts);
    return gr_inputs_weigh_classes(run->federation);
}

/* Collective. The silos' data, and the model for them. A run that has checkpoints goes on from
 * them, whatever it was begun from. */
static gr_status make_federation(struct gr_run_state *run) {
    gr_status status = GR_OK;
    struct gr_initial initial = {0};
    int64_t *class_counts = NULL;
    uint8_t begun = 0;
    GR_TRY(find_preprocessing(run, &run->preprocessing, &begun));
    if (!begun) GR_TRY(gr_initial_read(run->comm, run->config, run->options->initial, &initial));
    if (gr_run_is_root(run) && !run->progress)
        (void)!gr_progress_create(run->options->progress, run->config->run.rounds, 0,
                                  &run->progress);
    gr_progress_phase(run->progress, "loading the silos' tables");
    if (initial.used && initial.preprocessing[0])
        GR_TRY(gr_comm_agree(run->comm,
                             gr_text_format(&run->preprocessing, "%s", initial.preprocessing)));
    if (run->unfitted.n_set > run->missing.n_set && !begun)
        GR_TRY(fit_without(run, initial.used, &class_counts));
    GR_TRY(create_without(run, &run->missing, initial.used));
    GR_TRY(gr_comm_agree(run->comm, take_class_counts(run, class_counts)));
    GR_TRY(gr_initial_apply(&initial, run->federation));
    gr_progress_phase(run->progress, NULL);
    tell_guessed(run);
out:
    gr_initial_release(&initial);
    gr_free(class_counts);
    return status;
}

/*
 * Collective. The run directory, and whether it is this run's. The fingerprint of the data comes
 * before the checkpoint is read, because origin depends on it; silos' states come after it, because
 * they must be of the checkpoint's round.
 */
static gr_status enter_directory(struct gr_run_state *run) {
    gr_status status = GR_OK;
    struct gr_comm *comm = run->comm;
    struct gr_run_data earlier = {0};
    gr_inject_fault(run->cohort, 0, GR_POINT_OPEN);
    GR_TRY(gr_comm_agree(comm, gr_run_is_root(run) ? gr_run_open_directory(run) : GR_OK));
    GR_TRY(gr_run_share_directory(run));
    GR_TRY(gr_run_directory_check_shared(comm, run->path));
    GR_TRY(gather_software(run));
    gr_inject_fault(run->cohort, 0, GR_POINT_FINGERPRINT);
    if (gr_run_is_root(run)) earlier = gr_run_directory_data(run->directory);
    earlier.grows = gr_run_follows(run);
    GR_TRY(gr_cohort_fingerprint(run->cohort, run->path, &earlier));
    find_origin(run);
    if (run->options->resume) {
        GR_TRY(read_checkpoint(run));
        if (gr_run_is_tidier(run)) gr_silo_states_tidy(run->silos);
        GR_TRY(gr_comm_agree(
            comm, gr_kept_read(run->federation->kept, run->silos, run->id, run->origin)));
    }
    status = try_checkpoint(run);
out:
    return status;
}

/* Collective. A study's: which run it is, before anything leaves a site. Ledgers need to know it
 * before statistics leave. */
static gr_status announce(struct gr_run_state *run) {
    const struct gr_run_options *options = run->options;
    gr_status status = GR_OK;
    if (gr_release_leaves(GR_RELEASE_NOISED_STATISTICS, run->config)) {
        GR_TRY(gr_comm_agree(run->comm, gr_run_is_root(run) ? gr_run_open_directory(run) : GR_OK));
        GR_TRY(gr_run_share_directory(run));
    }
    if (!options->evidence) return GR_OK;
    GR_TRY(gr_comm_agree(run->comm, gr_run_is_root(run) ? gr_run_open_directory(run) : GR_OK));
    GR_TRY(gr_comm_broadcast(run->comm, run->id, sizeof run->id));
    gr_door_name_run(gr_cohort_door(run->cohort), run->id);
    if (options->begin && options->evidence->rank == 0)
        status = options->begin(options->permit_context, run->id);
    status = gr_comm_agree(run->comm, status);
out:
    return status;
}

/*
 * Collective; a gr_cohort_work. Everything up to the first round, over the ranks that are there. If
 * a rank is lost meanwhile, gr_cohort_attempt calls this again over the ranks that are left, from
 * the beginning: nothing of a former attempt may be relied on.
 */
static gr_status set_up_once(void *context) {
    struct gr_run_state *run = context;
    struct gr_comm *comm = run->comm;
    gr_status status = GR_OK;
    forget_attempt(run);
    GR_TRY(compare_configs(run));
    GR_TRY(announce(run));
    GR_TRY(agree_on_instructions(run));
    GR_TRY(make_federation(run));
    GR_TRY(enter_directory(run));
    GR_TRY(gr_spending_begin(run->federation, run->id, run->path));
    GR_TRY(gr_federation_outline(run->federation, &run->opening));
    /* Losses up to here are told by the silos that are missing, later ones by the first round. */
    gr_control_clear_changes(comm);
    gr_cohort_missing(run->cohort, &run->missing);
    gr_inject_fault(run->cohort, 0, GR_POINT_START);
    GR_TRY(gr_comm_agree(comm, gr_run_is_root(run) ? gr_records_start(run) : GR_OK));
    status = gr_sealing_seal(run, run->options->resume ? "resumed" : "start");
out:
    return status;
}

/* Not collective: the parts that each rank makes by itself. */
static gr_status prepare(struct gr_run_state *run) {
    gr_status status = GR_OK;
    const struct gr_config *config = run->config;
    struct gr_replay *replay = NULL;
    GR_TRY(check_respawn(config));
    GR_TRY(gr_config_digest(config, run->config_digest));
    memcpy(run->first_config, run->config_digest, GR_DIGEST_BYTES);
    GR_TRY(make_room(run));
    GR_TRY(gr_cohort_create(run->comm, config, &run->cohort));
    GR_TRY(gr_sealing_begin(run));
    if (config->round.replay[0]) {
        GR_TRY(gr_replay_open(config->round.replay, config->data.silos, &replay));
        gr_replay_lost(replay, &run->unfitted);
        gr_replay_never(replay, &run->missing);
    }
out:
    gr_replay_close(replay);
    return status;
}

static gr_status set_up(struct gr_run_state *run) {
    gr_status status = GR_OK;
    gr_clock_utc(run->started_utc);
    status = prepare(run);
    if (run->leaves) return status;
    GR_TRY(gr_comm_agree(run->comm, status));
    GR_TRY(gr_cohort_attempt(run->cohort, set_up_once, run));
    GR_TRY(gr_sealing_round(run, gr_federation_rounds_done(run->federation)));
    gr_run_close_ledger(run);
    begin_rounds(run);
out:
    return status;
}

/* Collective. The rounds, and the end. */
static gr_status run_through(struct gr_run_state *run) {
    run->written = gr_federation_rounds_done(run->federation);
    gr_costs_begin(run);
    gr_status status = run_rounds(run);
    if (gr_comm_over(run->comm)) return end_of_others(run);
    if (status == GR_ERROR_INTERNAL || run->leaves || gr_comm_out(run->comm)) return status;
    return end_together(run, status);
}

/* Rank 0, alone with its records: there is nobody any more whom a seal could be shown. */
static void end_before_rounds(struct gr_run_state *run, gr_status status) {
    char *message = NULL, *seal = NULL;
    gr_records_end_early(run, status);
    if (gr_text_format(&message, "%s", gr_message()) != GR_OK) return;
    if (gr_sealing_make(run, status == GR_STOPPED ? "stopped" : "failed", &seal) == GR_OK)
        gr_free(seal);
    (void)gr_fail(status, "%s", message);
    gr_free(message);
}

static gr_status conclude(struct gr_run_state *run, gr_status status) {
    gr_alive_set(NULL, NULL); /* nobody is waited for any more */
    /* Not agreed on: the others learn at once that this party is gone. */
    if (run->leaves || status == GR_ERROR_INTERNAL) status = gr_comm_depart(run->comm, status);
    /* Before the rounds began there is nothing that could be gone on with. */
    if (status == GR_LOST)
        status = gr_fail(GR_STOPPED, "before the first round: %s: %s", gr_message(),
                         gr_comm_parties(run->comm) > 1 ? "all meet again" : "start again");
    if (status != GR_OK && run->directory && !run->ended && !gr_comm_out(run->comm))
        end_before_rounds(run, status);
    if (status == GR_OK) status = keep_model(run);
    gr_sealing_end(run, status);
    release(run);
    return status;
}

/*
 * The watch gives other ranks signs of life during long work of this rank (gr_alive_on): without it
 * reading a large table would look like a hang.
 */
gr_status gr_run(struct gr_comm *comm, const struct gr_config *config,
                 const struct gr_run_options *options) {
    struct gr_run_state run = {.comm = comm, .config = config, .options = options};
    gr_alive_set(gr_control_watch, comm);
    gr_status status = set_up(&run);
    if (status == GR_OK) status = run_through(&run);
    return conclude(&run, status);
}

/*
 * A respawned rank skips set_up: its config, directory and state come from the members, in lockstep
 * with gr_run_respawn. From run_through on it is a member like the others and may even become rank
 * 0.
 */
gr_status gr_run_join(struct gr_comm *comm, const struct gr_run_options *options) {
    gr_status status = GR_OK;
    struct gr_config *config = NULL;
    struct gr_run_state run = {.comm = comm, .options = options};
    gr_alive_set(gr_control_watch, comm);
    GR_TRY(gr_run_listen(&run, &config));
    find_origin(&run);
    GR_TRY(gr_sealing_begin(&run));
    GR_TRY(make_room(&run));
    begin_rounds(&run);
    status = run_through(&run);
out:
    status = conclude(&run, status);
    gr_config_free(config);
    return status;
}
