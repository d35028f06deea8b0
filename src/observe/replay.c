/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rosters of a run, read from its events: silos that were absent, took another's place, or
 * began anew, by round, and rounds that were void. A replay with them gets the same sums, and so
 * the same bits, as the run that lost ranks.
 *
 * An event "partial" is of one round in records of earlier versions; with "stands" it holds until
 * the next. A resumption takes back rounds after its checkpoint.
 */
#include <granary/observe.h>

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "observe/json.h"
#include "observe/lines.h"
#include "observe/replay.h"

/* The lists that an event of a round has. */
enum list { ABSENT, INSTEAD, ANEW, N_LISTS };
static const char *const list_names[N_LISTS] = {"absent", "instead", "anew"};

/*
 * Lists of silos of one round, or with `stands` of it and all later rounds until the next partial.
 */
struct partial {
    uint32_t round;
    bool stands;
    size_t first;      /* of `absent`, list after list */
    size_t n[N_LISTS]; /* in each */
};

/* How many silos a study had from a round on: it may have got more by a new version. */
struct silos_from {
    uint32_t round, n;
};

/* Reading goes forward, so both lists only grow at their ends, and rounds taken back leave them
 * there; a round between others is put in its place. */
struct gr_replay {
    uint32_t n_silos;
    struct partial *partials; /* owned; by ascending round */
    size_t n_partials, partials_room;
    uint32_t *absent; /* owned; the silos of all partials */
    size_t n_absent, absent_room;
    struct silos_from *silos; /* owned; by ascending round */
    size_t n_changes, changes_room;
    uint32_t *voids; /* owned; rounds that were void, in the order of events */
    size_t n_voids, voids_room;
    bool begun; /* a stretch is read */
    /* Flags of silos; n_silos each; owned. */
    uint8_t *lost; /* before the first round */
    uint8_t *away; /* for the stretch that is read */
    uint8_t *came; /* there in an earlier one */
};

/*
 * Doubles the room of a list for n elements of `size` bytes. `list` is the address of a pointer of
 * some type; memcpy reads and writes it, as no cast between pointer types may be relied on.
 */
static gr_status grow(void *list, size_t size, size_t n, size_t *room) {
    void *old, *new;
    if (n <= *room) return GR_OK;
    gr_status status = gr_allocate(2 * n, size, "a replay", &new);
    if (status != GR_OK) return status;
    memcpy(&old, list, sizeof old);
    if (*room > 0) memcpy(new, old, *room * size);
    gr_free(old);
    memcpy(list, &new, sizeof new);
    *room = 2 * n;
    return GR_OK;
}

/* The index of the first partial whose round is `round` or later, by bisection: partials ascend. */
static size_t place_of(const struct gr_replay *replay, uint32_t round) {
    size_t low = 0, high = replay->n_partials;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (replay->partials[middle].round < round)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Adds the silos of one entry of a list. */
static gr_status add_range(struct gr_replay *replay, const json_t *entry, const char *key,
                           size_t i) {
    struct gr_silo_range range;
    if (!gr_json_silos(json_string_value(entry), &range) || range.last >= (int64_t)replay->n_silos)
        return gr_fail(GR_ERROR_DATA, "\"%s\"[%zu] is none of the %u silos", key, i,
                       replay->n_silos);
    const size_t n = (size_t)((range.last - range.first) / range.step) + 1;
    gr_status status =
        grow(&replay->absent, sizeof *replay->absent, replay->n_absent + n, &replay->absent_room);
    if (status != GR_OK) return status;
    for (int64_t silo = range.first; silo <= range.last; silo += range.step)
        replay->absent[replay->n_absent++] = (uint32_t)silo;
    return GR_OK;
}

/*
 * Adds the silos of the list named `key` to those of all partials; *n of them. A list that was cut
 * to fit a line cannot be replayed: silos are missing from it.
 */
static gr_status add_silos(struct gr_replay *replay, const json_t *event, const char *key,
                           size_t *n) {
    gr_status status = GR_OK;
    const json_t *list = json_object_get(event, key);
    const size_t before = replay->n_absent;
    char cut[32];
    json_t *entry;
    size_t i;
    snprintf(cut, sizeof cut, "%s_cut", key);
    if (json_object_get(event, cut)) {
        status =
            gr_fail(GR_ERROR_DATA, "\"%s\" was too long and is cut: it cannot be replayed", key);
        goto out;
    }
    json_array_foreach(list, i, entry) GR_TRY(add_range(replay, entry, key, i));
    *n = replay->n_absent - before;
out:
    return status;
}

/*
 * Puts a partial in its place. Of two with the same round the later event counts: a round may be
 * written down again after a loss.
 */
static gr_status put_partial(struct gr_replay *replay, struct partial partial) {
    gr_status status = grow(&replay->partials, sizeof *replay->partials, replay->n_partials + 1,
                            &replay->partials_room);
    if (status != GR_OK) return status;
    size_t at = place_of(replay, partial.round);
    if (at == replay->n_partials || replay->partials[at].round != partial.round) {
        memmove(replay->partials + at + 1, replay->partials + at,
                (replay->n_partials - at) * sizeof *replay->partials);
        replay->n_partials++;
    }
    replay->partials[at] = partial;
    return GR_OK;
}

/*
 * All lists of a partial lie one behind the other in `absent`, from `first` on, in the order of
 * enum list; flag adds up lengths to find its own.
 */
static gr_status add_partial(struct gr_replay *replay, uint32_t round, const json_t *event) {
    gr_status status = GR_OK;
    struct partial partial = {.round = round,
                              .stands = json_is_true(json_object_get(event, "stands")),
                              .first = replay->n_absent};
    for (int list = 0; list < N_LISTS; list++)
        GR_TRY(add_silos(replay, event, list_names[list], &partial.n[list]));
    status = put_partial(replay, partial);
out:
    return status;
}

/* The last of the changes up to a round; n_changes: it is before them all. */
static size_t change_of(const struct gr_replay *replay, uint32_t round) {
    size_t at = replay->n_changes;
    while (at > 0 && replay->silos[at - 1].round > round)
        at--;
    return at > 0 ? at - 1 : replay->n_changes;
}

uint32_t gr_replay_silos(const struct gr_replay *replay, uint32_t round) {
    const size_t at = change_of(replay, round);
    return at < replay->n_changes ? replay->silos[at].n : replay->n_silos;
}

/* Silos that a stretch had were there, but for those that it was told to have begun without. */
static void end_stretch(struct gr_replay *replay) {
    const uint32_t n = gr_replay_silos(replay, UINT32_MAX);
    for (uint32_t i = 0; i < n; i++)
        replay->came[i] = replay->came[i] || !replay->away[i];
    memset(replay->away, 0, replay->n_silos);
}

/* A stretch from behind `round` on, of as many silos as its event says. */
static gr_status begin_stretch(struct gr_replay *replay, uint32_t round, const json_t *event) {
    const json_t *member = json_object_get(event, "silos");
    const json_int_t n = member ? json_integer_value(member) : replay->n_silos;
    gr_status status;
    if (replay->begun) end_stretch(replay);
    replay->begun = true;
    if (round == 0) memset(replay->came, 0, replay->n_silos);
    if (n < 1 || n > replay->n_silos)
        return gr_fail(GR_ERROR_DATA, "\"silos\" is %lld, expected 1 to the %u of data.silos",
                       (long long)n, replay->n_silos);
    while (replay->n_changes > 0 && replay->silos[replay->n_changes - 1].round > round)
        replay->n_changes--;
    GR_TRY(
        grow(&replay->silos, sizeof *replay->silos, replay->n_changes + 1, &replay->changes_room));
    replay->silos[replay->n_changes++] = (struct silos_from){round + 1, (uint32_t)n};
out:
    return status;
}

/*
 * A start after round `round` takes back what was said of later rounds. A list that stood ends
 * there, as the silos of a lost rank are hosted again: an empty standing list says so.
 */
static gr_status start_again(struct gr_replay *replay, uint32_t round) {
    /*
     * A start from round 0 loads its silos anew, so former losses before the first round are void.
     */
    if (round == 0) memset(replay->lost, 0, replay->n_silos);
    while (replay->n_voids > 0 && replay->voids[replay->n_voids - 1] > round)
        replay->n_voids--;
    while (replay->n_partials > 0 && replay->partials[replay->n_partials - 1].round > round)
        replay->n_partials--;
    if (replay->n_partials == 0 || !replay->partials[replay->n_partials - 1].stands ||
        round == UINT32_MAX)
        return GR_OK;
    return put_partial(replay, (struct partial){.round = round + 1, .stands = true});
}

static gr_status add_void(struct gr_replay *replay, uint32_t round) {
    const gr_status status =
        grow(&replay->voids, sizeof *replay->voids, replay->n_voids + 1, &replay->voids_room);
    if (status == GR_OK) replay->voids[replay->n_voids++] = round;
    return status;
}

/* Silos that a stretch began without; the fit is of the last one from round 0. */
static gr_status take_lost(struct gr_replay *replay, uint32_t round, const json_t *event) {
    const size_t first = replay->n_absent;
    size_t n = 0;
    gr_status status = add_silos(replay, event, "silos", &n);
    if (status != GR_OK) return status;
    for (size_t i = 0; i < n; i++) {
        const uint32_t silo = replay->absent[first + i];
        replay->away[silo] = 1;
        if (round == 0) replay->lost[silo] = 1;
    }
    return GR_OK;
}

static bool is_one_of(const char *event, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(event, names[i]) == 0) return true;
    return false;
}

/*
 * Unknown events are passed over, for later versions may have more. A line that is no event is an
 * error, because the roster of some round may be in it.
 */
gr_status gr_replay_take(struct gr_replay *replay, const json_t *json) {
    static const char *const restarts[] = {"started", "resumed", "restarted"};
    const char *event = json_string_value(json_object_get(json, "event"));
    const json_t *member = json_object_get(json, "round");
    json_int_t round = json_is_integer(member) ? json_integer_value(member) : -1;
    if (!event || round < 0 || round > UINT32_MAX)
        return gr_fail(GR_ERROR_DATA, "found no event with its name and round");
    if (is_one_of(event, restarts, sizeof restarts / sizeof *restarts)) {
        gr_status status = begin_stretch(replay, (uint32_t)round, json);
        return status == GR_OK ? start_again(replay, (uint32_t)round) : status;
    }
    if (strcmp(event, "lost") == 0 && json_is_true(json_object_get(json, "before_start")))
        return take_lost(replay, (uint32_t)round, json);
    if (strcmp(event, "void") == 0) return add_void(replay, (uint32_t)round);
    if (strcmp(event, "partial") != 0) return GR_OK;
    if (!json_is_array(json_object_get(json, "absent")))
        return gr_fail(GR_ERROR_DATA, "found no list \"absent\" in the event partial");
    return add_partial(replay, (uint32_t)round, json);
}

/*
 * The chain of hashes is not checked: rosters may be replayed from a file that was edited on
 * purpose. An error names the file and the line.
 */
static gr_status take_lines(struct gr_replay *replay, const char *path,
                            struct gr_lines_reader *reader) {
    gr_status status = GR_OK;
    const char *line;
    size_t n, number = 0;
    for (;;) {
        GR_TRY(gr_lines_next(reader, &line, &n));
        if (!line) break;
        json_t *json = json_loadb(line, n, 0, NULL);
        number++;
        status = gr_replay_take(replay, json);
        json_decref(json);
        if (status != GR_OK) return gr_fail_context(status, "%s:%zu: ", path, number);
    }
out:
    return status;
}

/* n_silos bounds the silos that events may name, and so the memory of a list. */
gr_status gr_replay_begin(uint32_t n_silos, struct gr_replay **out) {
    gr_status status = GR_OK;
    struct gr_replay *replay = NULL;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *replay, "a replay", &replay));
    replay->n_silos = n_silos;
    GR_TRY(gr_allocate_zero(n_silos, 1, "a replay", &replay->lost));
    GR_TRY(gr_allocate_zero(n_silos, 1, "a replay", &replay->away));
    GR_TRY(gr_allocate_zero(n_silos, 1, "a replay", &replay->came));
    *out = replay;
    replay = NULL;
out:
    gr_replay_close(replay);
    return status;
}

gr_status gr_replay_open(const char *path, uint32_t n_silos, struct gr_replay **out) {
    gr_status status = GR_OK;
    struct gr_replay *replay = NULL;
    struct gr_lines_reader *reader = NULL;
    *out = NULL;
    if (access(path, F_OK) != 0) return gr_fail(GR_ERROR_DATA, "%s: %s", path, strerror(errno));
    GR_TRY(gr_replay_begin(n_silos, &replay));
    GR_TRY(gr_lines_start(path, &reader));
    GR_TRY(take_lines(replay, path, reader));
    end_stretch(replay);
    *out = replay;
    replay = NULL;
out:
    gr_lines_end(reader);
    gr_replay_close(replay);
    return status;
}

/* No partial of this round, and none that stands from an earlier one: no silo was absent. */
static void flag(const struct gr_replay *replay, uint32_t round, enum list list,
                 struct gr_flags *flags) {
    size_t at = place_of(replay, round);
    gr_flags_clear(flags);
    if (at == replay->n_partials || replay->partials[at].round != round) {
        if (at == 0 || !replay->partials[at - 1].stands) return;
        at--;
    }
    const struct partial *partial = &replay->partials[at];
    size_t first = partial->first;
    for (int before = 0; before < (int)list; before++)
        first += partial->n[before];
    for (size_t i = 0; i < partial->n[list]; i++)
        gr_flags_set(flags, replay->absent[first + i], 1);
    gr_flags_sort(flags);
}

void gr_replay_absent(const struct gr_replay *replay, uint32_t round, struct gr_flags *absent) {
    flag(replay, round, ABSENT, absent);
}

void gr_replay_instead(const struct gr_replay *replay, uint32_t round, struct gr_flags *instead) {
    flag(replay, round, INSTEAD, instead);
}

void gr_replay_anew(const struct gr_replay *replay, uint32_t round, struct gr_flags *anew) {
    flag(replay, round, ANEW, anew);
}

bool gr_replay_void(const struct gr_replay *replay, uint32_t round) {
    for (size_t i = 0; i < replay->n_voids; i++)
        if (replay->voids[i] == round) return true;
    return false;
}

void gr_replay_lost(const struct gr_replay *replay, struct gr_flags *lost) {
    gr_flags_clear(lost);
    const uint32_t n = gr_replay_silos(replay, 1);
    for (uint32_t i = 0; i < replay->n_silos; i++)
        if (replay->lost[i] || i >= n) gr_flags_set(lost, i, 1);
}

void gr_replay_never(const struct gr_replay *replay, struct gr_flags *never) {
    gr_flags_clear(never);
    for (uint32_t i = 0; i < replay->n_silos; i++)
        if (!replay->came[i]) gr_flags_set(never, i, 1);
}

void gr_replay_close(struct gr_replay *replay) {
    if (!replay) return;
    gr_free(replay->partials);
    gr_free(replay->voids);
    gr_free(replay->absent);
    gr_free(replay->silos);
    gr_free(replay->lost);
    gr_free(replay->away);
    gr_free(replay->came);
    gr_free(replay);
}
