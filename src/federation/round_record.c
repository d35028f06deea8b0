/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A round written down: its line, its events, its checkpoint. All of it may be done again when
 * ranks are lost meanwhile, by the same rank 0 or by the next.
 */
#include "federation/run.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

/* ---- events --------------------------------------------------------------------------------- */

/*
 * An event that names silos, when there are any; words: "were lost", for the terminal; NULL:
 * silent. A failure is told as an alert and does not end the run, as for all events.
 */
static void note_silos(struct gr_run_state *run, const char *event, const char *key,
                       const struct gr_flags *silos, uint32_t round, const char *words) {
    gr_status status = GR_OK;
    char *detail = NULL, *line = NULL;
    const uint32_t n = silos->n_set;
    if (n == 0) return;
    GR_TRY(gr_silo_list(key, silos->set, n, &detail));
    if (words)
        GR_TRY(gr_text_format(&line, "round %u: %u silo%s %s", round, n, n == 1 ? "" : "s", words));
    gr_records_note(run, event, round, detail, line);
out:
    if (status != GR_OK) gr_records_unwritten(run, event, round);
    gr_free(line);
    gr_free(detail);
}

/*
 * Silos that sit out, a list for each reason. An event is written when a silo begins to sit out,
 * not in each round: `sitting` holds the reason that has been told, and is cleared once the silo
 * takes part.
 */
static void note_sitting(struct gr_run_state *run, const struct gr_participation *p,
                         uint32_t round) {
    static const struct {
        enum gr_sit_out reason;
        const char *event, *words;
    } reasons[] = {
        {GR_SIT_NOT_FINITE, "sat out: update not finite", "out: the update is not finite"},
        {GR_SIT_DATA, "sat out: data cannot be read", NULL},
        {GR_SIT_UNCHARGED, "sat out: privacy ledger cannot be written",
         "out: what their updates would tell cannot be charged"},
    };
    const struct gr_flags *out = p->sat_out, *member = p->member;
    for (size_t r = 0; r < sizeof reasons / sizeof *reasons; r++) {
        gr_flags_clear(&run->listed);
        for (uint32_t i = 0; i < out->n_set; i++) {
            const uint32_t silo = out->set[i];
            if (out->flag[silo] == reasons[r].reason && run->sitting.flag[silo] != out->flag[silo])
                gr_flags_set(&run->listed, silo, 1);
        }
        note_silos(run, reasons[r].event, "silos", &run->listed, round, reasons[r].words);
    }
    for (uint32_t i = 0; run->sitting.n_set > 0 && i < member->n_set; i++)
        gr_flags_set(&run->sitting, member->set[i], 0);
    for (uint32_t i = 0; i < out->n_set; i++)
        gr_flags_set(&run->sitting, out->set[i], out->flag[out->set[i]]);
}

/*
 * Losses and returns: once for each silo and kind in a round, though the round may be written down
 * again after a loss. `noted` has a bit for each kind; write_round clears it with each new round.
 */
static void note_changes(struct gr_run_state *run, uint32_t round) {
    struct gr_participation p;
    gr_federation_participation(run->federation, &p);
    const struct {
        const struct gr_flags *silos;
        const char *event;
    } kinds[] = {{p.lost, "lost"}, {p.late, "late"}, {p.returned, "returned"}};
    for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        gr_flags_clear(&run->listed);
        for (uint32_t i = 0; i < kinds[k].silos->n_set; i++) {
            const uint32_t silo = kinds[k].silos->set[i];
            if (run->noted.flag[silo] & 1U << k) continue;
            gr_flags_set(&run->listed, silo, 1);
            gr_flags_set(&run->noted, silo, (uint8_t)(run->noted.flag[silo] | 1U << k));
        }
        note_silos(run, kinds[k].event, "silos", &run->listed, round, kinds[k].event);
    }
}

void gr_record_losses(struct gr_run_state *run, uint32_t round) {
    if (run->written < round) gr_flags_clear(&run->noted);
    note_changes(run, round);
}

/* {"a":[...]} and {"b":[...]} become one object. Replaces and frees *detail on success only. */
static gr_status join(char **detail, const char *more) {
    char *both = NULL;
    gr_status status =
        gr_text_format(&both, "%.*s,%s", (int)strlen(*detail) - 1, *detail, more + 1);
    if (status != GR_OK) return status;
    gr_free(*detail);
    *detail = both;
    return GR_OK;
}

/*
 * The difference between draw and roster: silos of the draw that are not in the sum, silos in their
 * place, silos without the vectors that their rank kept. A replay applies these lists to its own
 * draw. *any false: all lists are empty.
 */
static gr_status list_partial(const struct gr_participation *p, struct gr_flags *listed,
                              char **detail, bool *any) {
    gr_status status;
    char *instead = NULL, *anew = NULL;
    const struct gr_flags *selected = p->selected, *member = p->member;
    gr_flags_clear(listed);
    for (uint32_t i = 0; i < selected->n_set; i++)
        if (!member->flag[selected->set[i]]) gr_flags_set(listed, selected->set[i], 1);
    GR_TRY(gr_silo_list("absent", listed->set, listed->n_set, detail));
    *any = listed->n_set > 0;
    gr_flags_clear(listed);
    for (uint32_t i = 0; i < member->n_set; i++)
        if (!selected->flag[member->set[i]]) gr_flags_set(listed, member->set[i], 1);
    GR_TRY(gr_silo_list("instead", listed->set, listed->n_set, &instead));
    if (listed->n_set > 0) GR_TRY(join(detail, instead));
    *any = *any || listed->n_set > 0;
    gr_flags_clear(listed);
    for (uint32_t i = 0; i < member->n_set; i++)
        if (member->flag[member->set[i]] == GR_PRESENT_ANEW)
            gr_flags_set(listed, member->set[i], 1);
    GR_TRY(gr_silo_list("anew", listed->set, listed->n_set, &anew));
    if (listed->n_set > 0) GR_TRY(join(detail, anew));
    *any = *any || listed->n_set > 0;
    status = join(detail, "{\"stands\":true}");
out:
    gr_free(anew);
    gr_free(instead);
    return status;
}

/*
 * The event "partial" stands until the next (member "stands"): a round with the same lists gets
 * none. Otherwise a run with one silo lost for good would have such an event in each round. An
 * empty list after a standing one is written too, for it ends that one.
 */
static void note_partial(struct gr_run_state *run, const struct gr_participation *p,
                         uint32_t round) {
    char *detail = NULL;
    bool any = false;
    if (list_partial(p, &run->listed, &detail, &any) != GR_OK) {
        gr_records_unwritten(run, "partial", round);
    } else if (any ? !run->partial || strcmp(run->partial, detail) != 0 : run->partial != NULL) {
        const bool written = gr_records_note(run, "partial", round, detail, NULL);
        gr_free(run->partial);
        run->partial = NULL;
        if (written && any) {
            run->partial = detail;
            detail = NULL;
        }
    }
    gr_free(detail);
}

static void note_participation(struct gr_run_state *run, uint32_t round) {
    struct gr_participation p;
    gr_federation_participation(run->federation, &p);
    note_sitting(run, &p, round);
    if (!gr_round_is_void(run->federation)) note_partial(run, &p, round);
}

/*
 * The way of sums between nodes, when it is settled and when it changes, as it does after a loss:
 * with the seconds of the best sum in each way that was tried.
 */
static void note_between(struct gr_run_state *run, uint32_t round) {
    enum gr_between way;
    double least_s[GR_BETWEEN_MPI + 1];
    const bool settled = gr_federation_between(run->federation, &way, least_s);
    json_t *seconds = NULL, *object = NULL;
    char *detail = NULL;
    if (!settled || way == GR_BETWEEN_AUTO || way == run->between) return;
    seconds = json_object();
    for (int i = GR_BETWEEN_TREE; i <= GR_BETWEEN_MPI; i++)
        if (least_s[i] > 0)
            json_object_set_new(seconds, gr_between_text((enum gr_between)i),
                                json_real(least_s[i]));
    object = json_pack("{s:s,s:o}", "way", gr_between_text(way), "seconds", seconds);
    detail = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(4)) : NULL;
    if (!detail)
        gr_records_unwritten(run, "between", round);
    else if (gr_records_note(run, "between", round, detail, NULL))
        run->between = way;
    free(detail);
    json_decref(object);
}

/* ---- scores --------------------------------------------------------------------------------- */

/* The row and column of a common table that no score could be had of. */
static gr_status note_bad_test(struct gr_run_state *run, const struct gr_unscored *u,
                               uint32_t round) {
    gr_status status;
    json_t *object = NULL;
    char *words = NULL, *detail = NULL;
    const char *where = u->unreadable ? "it cannot be read anew" : u->where;
    GR_TRY(gr_text_format(
        &words, "round %u: test metrics are undefined: the test table cannot be scored%s%s", round,
        where[0] ? ": " : "", where));
    object = json_pack("{s:s}", "where", where);
    detail = object ? json_dumps(object, JSON_COMPACT) : NULL;
    if (detail)
        gr_records_note(run, "test table cannot be scored", round, detail, words);
    else
        status = gr_fail(GR_ERROR_INTERNAL, "memory for an event was refused");
out:
    free(detail);
    json_decref(object);
    gr_free(words);
    return status;
}

static gr_status note_divergence(struct gr_run_state *run, uint32_t round) {
    char *words = NULL, remedies[GR_REMEDIES_BYTES];
    gr_status status;
    gr_federation_remedies(run->federation, remedies);
    GR_TRY(gr_text_format(&words,
                          "alert: round %u: the model has diverged, no held-out row has a finite "
                          "score; what helps: %s",
                          round, remedies));
    gr_records_note(run, "alert", round, "{\"what\":\"the model has diverged\"}", words);
out:
    gr_free(words);
    return status;
}

/*
 * Silos whose rows could not be scored are told in each round that they are missing from; the test
 * table and divergence only when they begin, as they seldom pass.
 */
static gr_status note_unscored(struct gr_run_state *run, uint32_t round) {
    gr_status status = GR_OK;
    struct gr_unscored u;
    gr_federation_unscored(run->federation, &u);
    if (!u.evaluated) return GR_OK;
    const uint32_t n = u.silos ? u.silos->n_set : 0;
    if (n > 0)
        note_silos(run, "sat out: held-out rows cannot be scored", "silos", u.silos, round,
                   n != run->unscored
                       ? "out of the scores: held-out rows whose score is not finite, or "
                         "too large for a sum"
                       : NULL);
    if (u.test && !run->unscored_test) GR_TRY(note_bad_test(run, &u, round));
    if (u.diverged && !run->diverged) GR_TRY(note_divergence(run, round));
    run->unscored = n;
    run->unscored_test = u.test;
    run->diverged = u.diverged;
out:
    return status;
}

/* A round that took no step, or that nothing of silos was told of, for want of parties. */
static gr_status note_void(struct gr_run_state *run, uint32_t round) {
    const bool is_void = gr_round_is_void(run->federation);
    const char *what = is_void ? "void" : "scores left out";
    /* A site does not tell the others that it has kept away. */
    const char *why = is_void ? "too few parties of its secure sum were left, or one kept away"
                              : "too few parties of a secure sum were left";
    gr_status status = GR_OK;
    char *words = NULL, *detail = NULL;
    if (!is_void && !gr_scores_left_out(run->federation)) return GR_OK;
    GR_TRY(gr_text_format(&words, "round %u: %s: %s", round, what, why));
    GR_TRY(gr_text_format(&detail, "{\"why\":\"%s\"}", why));
    gr_records_note(run, what, round, detail, words);
out:
    gr_free(detail);
    gr_free(words);
    return status;
}

/* ---- alerts --------------------------------------------------------------------------------- */

/*
 * An alert when `alerts.rounds` rounds in a row had fewer than the share alerts.participation of
 * the selected silos; `!=` and not `<`, so that it is given once in such a stretch.
 */
static gr_status watch_participation(struct gr_run_state *run, const struct gr_metrics *metrics) {
    const struct gr_alerts_config *alerts = &run->config->alerts;
    char *words = NULL;
    gr_status status = GR_OK;
    bool thin = metrics->participants < alerts->participation * metrics->selected;
    run->thin_rounds = thin ? run->thin_rounds + 1 : 0;
    if (run->thin_rounds != alerts->rounds) return GR_OK;
    GR_TRY(gr_text_format(&words, "alert: %u rounds running with %u of %u silos or about as few",
                          alerts->rounds, metrics->participants, metrics->selected));
    gr_records_note(run, "alert", metrics->round, "{\"what\":\"low participation\"}", words);
out:
    gr_free(words);
    return status;
}

/* Once for each time that rounds begin in which so few silos are left that a robust strategy
 * withstands no wrong update. */
static gr_status watch_breakdown(struct gr_run_state *run, const struct gr_metrics *metrics) {
    const struct gr_strategy_config *config = &run->config->strategy;
    const struct gr_strategy *strategy = gr_strategy_find(config->name);
    char *words = NULL;
    gr_status status = GR_OK;
    const bool exposed =
        strategy->breakdown && strategy->breakdown(config, metrics->participants) == 0;
    if (exposed && !run->exposed) {
        GR_TRY(gr_text_format(&words,
                              "alert: round %u: of %u silos %s withstands no wrong update; "
                              "round.quorum says how many there must be",
                              metrics->round, metrics->participants, strategy->name));
        gr_records_note(run, "alert", metrics->round, "{\"what\":\"no wrong update is withstood\"}",
                        words);
    }
    run->exposed = exposed;
out:
    gr_free(words);
    return status;
}

/*
 * Once for each time that rounds begin to move nothing. clip_norm and weight_max decide how coarse
 * a public grid is; on a grid that is too coarse each update is 0, and the run would go on to its
 * end without having learnt. A round without a learning rate, as the last of a cosine, says nothing
 * of the grid.
 */
static gr_status watch_grid(struct gr_run_state *run, const struct gr_metrics *metrics) {
    const struct gr_aggregation_config *c = &run->config->aggregation;
    const bool coarse = c->grid == GR_GRID_PUBLIC && metrics->participants > 0 &&
                        metrics->update_norm == 0 &&
                        gr_learning_rate(&run->config->train, metrics->round) > 0;
    char *words = NULL;
    gr_status status = GR_OK;
    if (coarse && !run->coarse) {
        GR_TRY(
            gr_text_format(&words,
                           "alert: round %u: the sum of the updates is 0 on the public grid, and "
                           "nothing is learnt; aggregation.clip_norm %g times weight_max %g is "
                           "far above the updates",
                           metrics->round, c->clip_norm, c->weight_max));
        gr_records_note(run, "alert", metrics->round,
                        "{\"what\":\"updates are 0 on the public grid\"}", words);
    }
    run->coarse = coarse;
out:
    gr_free(words);
    return status;
}

/*
 * Once for each time that the disk begins to refuse. why: the message of a checkpoint's refusal,
 * NULL: there was none; on the terminal in full, and without its path in the events.
 */
static gr_status watch_disk(struct gr_run_state *run, uint32_t round, const char *why) {
    bool refused = why || gr_metrics_behind(run->metrics) > 0;
    gr_status status = GR_OK;
    char *words = NULL, *detail = NULL;
    if (refused && !run->refused) {
        const char *reason = why ? strrchr(why, ':') : NULL;
        char quoted[160] = "";
        if (reason) gr_text_quote(reason + 2, strlen(reason + 2), quoted, sizeof quoted);
        GR_TRY(gr_text_format(&words,
                              "alert: the disk refuses to be written; the training goes on%s%s",
                              why ? ": " : "", why ? why : ""));
        json_t *object = json_pack("{s:s, s:s*}", "what", "the disk refuses to be written", "why",
                                   quoted[0] ? quoted : NULL);
        detail = object ? json_dumps(object, JSON_COMPACT) : NULL;
        json_decref(object);
        gr_records_note(run, "alert", round, detail, words);
    }
    run->refused = refused;
out:
    free(detail);
    gr_free(words);
    return status;
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

/*
 * The same on all ranks: all terms are config, roster or agreed metrics. The checkpoint is
 * collective, so a rank that judged differently would hang the others. A void round has one, so
 * that no run that goes on trains it again.
 */
static bool checkpoint_due(const struct gr_run_state *run, uint32_t round) {
    uint32_t every = run->config->checkpoint.every;
    return gr_round_roster(run->federation)->stop_requested || gr_round_is_void(run->federation) ||
           round == run->config->run.rounds || gr_federation_ends_early(run->federation) ||
           (every > 0 && round % every == 0);
}

/* Rehearsal: a byte in the middle of the newest checkpoint is flipped. */
static void damage_checkpoint(const struct gr_run_state *run, uint32_t round) {
    char *path = NULL;
    unsigned char byte;
    if (gr_text_format(&path, "%s/round-%06u.h5", run->checkpoints, round) != GR_OK) return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t middle = fd < 0 ? 0 : lseek(fd, 0, SEEK_END) / 2;
    if (fd >= 0 && pread(fd, &byte, 1, middle) == 1) {
        byte ^= 1;
        ssize_t unused = pwrite(fd, &byte, 1, middle);
        (void)unused;
    }
    if (fd >= 0) close(fd);
    gr_free(path);
}

static size_t state_values(const struct gr_state *state) {
    return (1 + state->n_server) * state->layout->size;
}

static double state_bytes(const struct gr_state *state) {
    return (double)(state_values(state) * sizeof(float));
}

/*
 * Collective. Silos' own states first, then the checkpoint that goes with them: a checkpoint must
 * never be on disk whose states are not. States are files of many ranks, outside of the protection
 * that gr_checkpoint_write has by its attempt number; so the claim of a later epoch is looked for
 * first. A site of a study writes into a folder of its own, which has no claims: its lock keeps a
 * second process out.
 */
static gr_status write_states(struct gr_run_state *run, const struct gr_state *state) {
    gr_status status = GR_OK;
    const uint32_t epoch = gr_comm_epoch(run->comm), keep = run->config->checkpoint.keep;
    struct gr_kept *kept = run->federation->kept;
    if (gr_kept_vectors(kept) > 0) {
        if (gr_run_is_shared(run) && gr_run_superseded(run->path, run->start, epoch))
            return gr_fail(GR_LOST, "%s: others have gone on without this rank", run->path);
        GR_TRY(gr_comm_agree(run->comm, gr_kept_write(kept, run->silos, run->id, run->origin)));
    }
    GR_TRY(gr_checkpoint_write(run->comm, run->checkpoints, state, keep, epoch, &run->io));
    gr_kept_settle(kept, run->silos, keep);
    if (gr_kept_vectors(kept) > 0 && gr_run_is_tidier(run)) gr_silo_states_tidy(run->silos);
out:
    if (status == GR_ERROR_WRITE) gr_kept_take_back(kept, run->silos);
    return status;
}

/*
 * A checkpoint was refused, as all ranks know by the same message. If the disk is full the run goes
 * on, since somebody may make room; for any other reason (rights, a broken disk) only a few
 * refusals are borne, because training without checkpoints is lost with the next fault.
 */
static gr_status bear_refusal(struct gr_run_state *run, uint32_t round) {
    enum { BORNE = 3 };
    static const int of_room[] = {ENOSPC, EDQUOT, EFBIG};
    for (size_t i = 0; i < sizeof of_room / sizeof *of_room; i++)
        if (strstr(gr_message(), strerror(of_room[i]))) return GR_OK;
    if (++run->refusals < BORNE) return GR_OK;
    return gr_fail_context(GR_ERROR_WRITE,
                           "round %u: %d checkpoints in a row were refused, the newest is of round "
                           "%u; %s from there: ",
                           round, (int)BORNE, run->checkpointed,
                           gr_comm_parties(run->comm) == 1
                               ? "--resume goes on"
                               : "started again, the coordinator goes on");
}

/*
 * Collective. `evidence` is stored only if the records it speaks of are on disk (`synced`); a
 * checkpoint must not bear witness to lines that a crash would take away.
 */
gr_status gr_record_checkpoint(struct gr_run_state *run, bool *written) {
    struct gr_state state;
    const uint32_t round = gr_federation_rounds_done(run->federation);
    gr_inject_fault(run->cohort, round, GR_POINT_CHECKPOINT);
    gr_federation_state(run->federation, &state);
    memcpy(state.config_digest, run->origin, GR_DIGEST_BYTES);
    state.run_id = run->id;
    if (gr_run_is_root(run) && run->synced) state.evidence = &run->evidence;
    gr_release_note(gr_cohort_door(run->cohort), GR_RELEASE_CHECKPOINT, state_values(&state));
    gr_run_allow(run, state_bytes(&state) +
                          gr_kept_bytes(run->federation->kept, gr_comm_slots(run->comm)));
    gr_status status = write_states(run, &state);
    gr_run_allow(run, 0);
    *written = status == GR_OK;
    if (status == GR_OK) {
        run->checkpointed = round;
        run->refusals = 0;
        if (gr_inject_fault_corruption(run->cohort, round)) damage_checkpoint(run, round);
    }
    return status == GR_ERROR_WRITE ? bear_refusal(run, round) : status;
}

/* ---- the round ------------------------------------------------------------------------------ */

/* Rank 0: the line and the events; done again only by a rank that takes over. */
static gr_status write_round(struct gr_run_state *run, const struct gr_metrics *metrics,
                             bool checkpoint) {
    gr_status status = GR_OK;
    const bool again = run->written == metrics->round;
    if (!again) gr_flags_clear(&run->noted);
    gr_records_partings(run, metrics->round);
    note_changes(run, metrics->round);
    if (again) {
        GR_TRY(gr_metrics_amend(run->metrics, metrics));
    } else {
        GR_TRY(note_void(run, metrics->round));
        note_participation(run, metrics->round);
        note_between(run, metrics->round);
        GR_TRY(note_unscored(run, metrics->round));
        GR_TRY(gr_metrics_append(run->metrics, metrics));
        GR_TRY(watch_participation(run, metrics));
        GR_TRY(watch_breakdown(run, metrics));
        GR_TRY(watch_grid(run, metrics));
        gr_monitoring_judge(run, metrics);
    }
    gr_records_releases(run, metrics->round);
    run->written = metrics->round;
    if (checkpoint) {
        /* A full disk is no failure: the last one is written again with the model. */
        status = gr_records_evaluation(run);
        if (status == GR_ERROR_WRITE) status = GR_OK;
        GR_TRY(status);
    }
    if (!checkpoint) GR_TRY(watch_disk(run, metrics->round, NULL));
    /* A host that is lost takes along what only its own cache of the file system has. */
    if (checkpoint || gr_comm_hosts(run->comm) > 1) GR_TRY(gr_records_sync(run));
out:
    return status;
}

/* Rank 0: what only the checkpoint has shown. */
static gr_status write_cost(struct gr_run_state *run, const struct gr_metrics *metrics,
                            bool written, const char *why) {
    gr_status status = GR_OK;
    GR_TRY(gr_metrics_amend(run->metrics, metrics));
    if (written) gr_records_note(run, "checkpoint", metrics->round, NULL, NULL);
    if (run->exposition) gr_exposition_checkpoint(run->exposition, metrics->round, written);
    GR_TRY(watch_disk(run, metrics->round, written ? NULL : why));
out:
    return status;
}

/*
 * The line first, then the checkpoint, so that no run resumed from it lacks the line; what the
 * checkpoint cost is then written into it.
 */
gr_status gr_record_round(void *context, struct gr_metrics *metrics) {
    struct gr_run_state *run = context;
    const bool checkpoint = checkpoint_due(run, metrics->round);
    bool written = false;
    gr_status status = gr_records_hold(run, metrics->round - 1);
    if (status == GR_OK && gr_run_is_root(run)) status = write_round(run, metrics, checkpoint);
    if (status == GR_LOST) return status;
    GR_TRY(gr_comm_agree(run->comm, status));
    GR_TRY(gr_sealing_note(run));
    gr_run_close_ledger(run);
    if (checkpoint) {
        double started = gr_clock_seconds();
        char why[GR_MESSAGE_MAX] = "";
        GR_TRY(gr_record_checkpoint(run, &written));
        if (!written) memcpy(why, gr_message(), strlen(gr_message()) + 1);
        metrics->seconds.checkpoint = gr_clock_seconds() - started;
        metrics->seconds.total += metrics->seconds.checkpoint;
        if (gr_run_is_root(run)) status = write_cost(run, metrics, written, why);
        GR_TRY(gr_comm_agree(run->comm, status));
        GR_TRY(gr_sealing_seal(run, "checkpoint"));
    }
    GR_TRY(gr_sealing_round(run, metrics->round));
    if (run->progress && gr_progress_round(run->progress, metrics))
        gr_release_note(gr_cohort_door(run->cohort), GR_RELEASE_JOB_COMMENT, 1);
    gr_monitoring_round(run, metrics);
out:
    return status;
}
