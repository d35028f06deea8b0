/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who took part in which round of a run, worked out from its config (the draw) and its events (who
 * was absent, and who came instead), as round.replay does, and written as round.availability. Two
 * passes: silos that always took part stand in no entry, and that is known only at the end.
 */
#include <granary/federation.h>
#include <granary/observe.h>

#include <assert.h>
#include <string.h>

enum { ENTRIES_MAX = 1000, LISTED_MAX = 1000 }; /* as round.availability takes */

struct recording {
    const struct gr_config *config;
    uint32_t n_rounds, left_out;
    struct gr_sampler *sampler;
    struct gr_replay *before; /* of the run that this run replayed; NULL: it did not */
    struct gr_replay *events;
    struct gr_flags member, named;
    uint32_t *rounds_of; /* of each silo, how many it took part in */
    uint32_t *list;      /* of silos of a round */
    unsigned room;       /* for entries */
    struct gr_recorded_rounds *out;
};

static gr_status start(struct recording *r, const char *events) {
    const struct gr_config *config = r->config;
    const uint32_t n = config->data.silos;
    const struct gr_draw draw = {.seed = config->run.seed,
                                 .n_silos = n,
                                 .round = &config->round,
                                 .named = gr_silos_named(config) ? config : NULL};
    gr_status status;
    if (config->round.sampling == GR_SAMPLING_SIZE && config->round.participants > 0)
        return gr_fail(GR_ERROR_CONFIG,
                       "round.sampling: found size, by which who took part follows from rows that "
                       "nobody has recorded; allowed uniform, cyclic or list");
    GR_TRY(gr_sampler_create(&draw, &r->sampler));
    GR_TRY(gr_flags_create(n, "silos of a round", &r->member));
    GR_TRY(gr_flags_create(n, "silos of a round", &r->named));
    GR_TRY(gr_allocate_zero(n, sizeof *r->rounds_of, "silos of a round", &r->rounds_of));
    GR_TRY(gr_allocate(n, sizeof *r->list, "silos of a round", &r->list));
    if (config->round.replay[0]) GR_TRY(gr_replay_open(config->round.replay, n, &r->before));
    status = gr_replay_open(events, n, &r->events);
out:
    return status;
}

static void finish(struct recording *r) {
    gr_sampler_free(r->sampler);
    gr_replay_close(r->before);
    gr_replay_close(r->events);
    gr_flags_release(&r->member);
    gr_flags_release(&r->named);
    gr_free(r->rounds_of);
    gr_free(r->list);
}

/* ---- a round --------------------------------------------------------------------------------- */

static void apply(struct recording *r, const struct gr_replay *replay, uint32_t round) {
    gr_replay_absent(replay, round, &r->named);
    for (uint32_t i = 0; i < r->named.n_set; i++)
        r->member.flag[r->named.set[i]] = 0;
    gr_replay_instead(replay, round, &r->named);
    for (uint32_t i = 0; i < r->named.n_set; i++)
        r->member.flag[r->named.set[i]] = 1;
}

/* A round in which nobody took part is none that round.availability could list. */
static gr_status check_void(const struct recording *r, uint32_t round) {
    if (!gr_replay_void(r->events, round) && !(r->before && gr_replay_void(r->before, round)))
        return GR_OK;
    return gr_fail(GR_ERROR_CONFIG,
                   "round %u was void, for too few parties of its secure sum were left: "
                   "round.availability cannot repeat such a round",
                   round);
}

/* Flags of the silos that took part; the list of the flags is of the draw alone. */
static gr_status find_members(struct recording *r, uint32_t round) {
    assert(r->member.flag);
    memset(r->member.flag, 0, r->config->data.silos);
    gr_status status = gr_sampler_draw(r->sampler, round, NULL, &r->member);
    if (status != GR_OK) return status;
    if (r->before) apply(r, r->before, round);
    apply(r, r->events, round);
    return GR_OK;
}

/* Its number once the silo that is left out is gone. */
static uint32_t renumbered(const struct recording *r, uint32_t silo) {
    return silo - (silo > r->left_out);
}

/* Those of the round that are not always there, into the list; how many. */
static uint32_t list_members(struct recording *r) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->config->data.silos; i++)
        if (r->member.flag[i] && i != r->left_out && r->rounds_of[i] < r->n_rounds)
            r->list[n++] = renumbered(r, i);
    return n;
}

/* ---- entries --------------------------------------------------------------------------------- */

static gr_status add_entry(struct recording *r, const uint32_t *silos, uint32_t n, uint32_t from,
                           uint32_t to) {
    struct gr_recorded_rounds *out = r->out;
    gr_status status;
    if (!out->entries)
        GR_TRY(gr_allocate_zero(ENTRIES_MAX, sizeof *out->entries, "rounds", &out->entries));
    if (out->n == ENTRIES_MAX) {
        status = gr_fail(GR_ERROR_CONFIG,
                         "found other silos in more than %d stretches of rounds up to round %u, "
                         "allowed as many as round.availability takes",
                         ENTRIES_MAX, from);
        goto out;
    }
    struct gr_availability_config *entry = &out->entries[out->n];
    GR_TRY(gr_allocate(n, sizeof *entry->silos, "silos of a round", &entry->silos));
    memcpy(entry->silos, silos, n * sizeof *silos);
    entry->silos_count = n;
    entry->from = from;
    entry->to = to;
    out->n++;
out:
    return status;
}

/* A stretch of rounds, in as many entries as its silos take. */
static gr_status add_stretch(struct recording *r, const uint32_t *silos, uint32_t n, uint32_t from,
                             uint32_t to) {
    gr_status status = GR_OK;
    for (uint32_t i = 0; i < n && status == GR_OK; i += LISTED_MAX)
        status = add_entry(r, silos + i, n - i < LISTED_MAX ? n - i : LISTED_MAX, from, to);
    return status;
}

/* Silos that took part in no round are listed behind the last, so that they are away before. */
static gr_status add_strangers(struct recording *r) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->config->data.silos; i++)
        if (i != r->left_out && r->rounds_of[i] == 0) r->list[n++] = renumbered(r, i);
    return add_stretch(r, r->list, n, r->n_rounds + 1, 0);
}

static gr_status add_stretches(struct recording *r) {
    uint32_t *held = NULL, n_held = 0, from = 1;
    gr_status status;
    GR_TRY(gr_allocate(r->config->data.silos, sizeof *held, "silos of a round", &held));
    for (uint32_t round = 1; round <= r->n_rounds; round++) {
        GR_TRY(find_members(r, round));
        const uint32_t n = list_members(r);
        if (round > 1 && n == n_held && memcmp(held, r->list, n * sizeof *held) == 0) continue;
        GR_TRY(add_stretch(r, held, n_held, from, round - 1));
        memcpy(held, r->list, n * sizeof *held);
        n_held = n;
        from = round;
    }
    GR_TRY(add_stretch(r, held, n_held, from, r->n_rounds));
    status = add_strangers(r);
out:
    gr_free(held);
    return status;
}

gr_status gr_rounds_without(const struct gr_config *config, const char *events, uint32_t n_rounds,
                            uint32_t silo, struct gr_recorded_rounds *out,
                            struct gr_silo_part_taken *taken) {
    struct recording r = {.config = config, .n_rounds = n_rounds, .left_out = silo, .out = out};
    gr_status status;
    *out = (struct gr_recorded_rounds){.n_rounds = n_rounds};
    *taken = (struct gr_silo_part_taken){0};
    GR_TRY(start(&r, events));
    assert(r.rounds_of);
    for (uint32_t round = 1; round <= n_rounds; round++) {
        GR_TRY(check_void(&r, round));
        GR_TRY(find_members(&r, round));
        for (uint32_t i = 0; i < config->data.silos; i++)
            r.rounds_of[i] += r.member.flag[i] != 0;
        if (r.member.flag[silo] && taken->first == 0) taken->first = round;
    }
    taken->rounds = r.rounds_of[silo];
    status = add_stretches(&r);
out:
    finish(&r);
    return status;
}

void gr_recorded_rounds_release(struct gr_recorded_rounds *rounds) {
    for (unsigned i = 0; rounds->entries && i < rounds->n; i++)
        gr_free(rounds->entries[i].silos);
    gr_free(rounds->entries);
    *rounds = (struct gr_recorded_rounds){0};
}
