/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run followed by its files. Rounds are read before events: a round's events are written before
 * its line, so that all that is said of the rounds that have been read is there when events are.
 *
 * Memory does not grow with the rounds but for the rosters that events tell: curves are thinned
 * out.
 */
#include <granary/watch.h>

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "observe/json.h"
#include "observe/lines.h"
#include "observe/metrics.h"
#include "observe/replay.h"

enum { MANIFEST_LIMIT = 64 << 20, SILOS_MAX = 1 << 20, PARTIAL_ROUNDS_MAX = 1 << 22 };

/* As it was when it was read. */
struct stamp {
    uint64_t device, inode, size;
    struct timespec written;
};

/* A file of lines, read up to `place`. */
struct followed {
    char *path; /* owned */
    struct gr_lines_place place;
    struct stamp stamp;
    bool unread; /* there is more than has been read */
};

struct gr_run_watch {
    struct gr_watched seen;
    gr_watch_tell tell; /* NULL: nobody is to be told */
    void *context;
    char *path, *manifest; /* owned */
    struct stamp stamp;    /* of the manifest */
    struct followed metrics, events;
    uint32_t stride;                           /* each so many-th round is a point */
    size_t n_points;                           /* of rounds before the last */
    struct gr_watch_point open;                /* of the last round, which may still be amended */
    struct gr_metrics recent[GR_WATCH_RECENT]; /* ring of the rounds before the last */
    uint64_t n_settled;                        /* rounds before the last one */
    uint64_t settled_bytes;
    double settled_s;
    uint32_t *partial; /* rounds with silos missing; owned */
    size_t n_partial, partial_room, counted;
    struct gr_replay *replay; /* owned; NULL: none */
    struct gr_flags absent;   /* owned */
    uint64_t n_event;         /* number of the last event */
};

/* ---- files ---------------------------------------------------------------------------------- */

/* Whether a file is another than when it was read; *there: it is. */
static bool has_changed(const char *path, const struct stamp *stamp, struct stamp *now,
                        bool *there) {
    struct stat info;
    *now = (struct stamp){0};
    if (stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
        *there = true;
        *now = (struct stamp){info.st_dev, info.st_ino, (uint64_t)info.st_size, info.st_mtim};
    }
    return memcmp(&now->device, &stamp->device, 3 * sizeof now->device) != 0 ||
           now->written.tv_sec != stamp->written.tv_sec ||
           now->written.tv_nsec != stamp->written.tv_nsec;
}

static void note_written(struct gr_watched *seen, const struct stamp *stamp) {
    const double written = (double)stamp->written.tv_sec + 1e-9 * (double)stamp->written.tv_nsec;
    if (written > seen->written_s) seen->written_s = written;
}

static void take_text(char *out, size_t size, const char *text) {
    gr_text_quote(text ? text : "", text ? strlen(text) : 0, out, size);
}

/* ---- the manifest --------------------------------------------------------------------------- */

static gr_status begin_rosters(struct gr_run_watch *watch) {
    struct gr_watched *seen = &watch->seen;
    gr_status status = GR_OK;
    gr_replay_close(watch->replay);
    watch->replay = NULL;
    watch->counted = 0;
    watch->events.place = (struct gr_lines_place){0};
    watch->events.unread = true;
    if (seen->n_silos == 0) return GR_OK;
    memset(seen->silos, 0, seen->n_silos * sizeof *seen->silos);
    status = gr_replay_begin(seen->n_silos, &watch->replay);
    return status;
}

/* How many silos there are is known by the manifest only: events are read anew for it. */
static gr_status set_silos(struct gr_run_watch *watch, uint64_t n) {
    struct gr_watched *seen = &watch->seen;
    gr_status status = GR_OK;
    if (n > SILOS_MAX) n = 0;
    if (n == seen->n_silos) return GR_OK;
    gr_free(seen->silos);
    seen->silos = NULL;
    seen->n_silos = 0;
    gr_flags_release(&watch->absent);
    watch->absent = (struct gr_flags){0};
    if (n > 0) {
        GR_TRY(gr_allocate_zero(n, sizeof *seen->silos, "silos", &seen->silos));
        GR_TRY(gr_flags_create((uint32_t)n, "silos", &watch->absent));
    }
    seen->n_silos = (uint32_t)n;
    status = begin_rosters(watch);
out:
    return status;
}

/* A manifest that cannot be read, as it is torn or of no run, leaves what is known. */
static gr_status read_manifest(struct gr_run_watch *watch, bool *changed) {
    struct gr_watched *seen = &watch->seen;
    struct stamp now;
    char *text = NULL;
    size_t length = 0;
    if (!has_changed(watch->manifest, &watch->stamp, &now, &seen->there)) return GR_OK;
    watch->stamp = now;
    *changed = true;
    if (gr_file_read(watch->manifest, MANIFEST_LIMIT, GR_ERROR_DATA, &text, &length) != GR_OK)
        return GR_OK;
    json_t *json = json_loadb(text, length, 0, NULL);
    gr_free(text);
    if (!json_is_object(json)) {
        json_decref(json);
        return GR_OK;
    }
    note_written(seen, &now);
    const json_t *stretches = json_object_get(json, "stretches");
    seen->named = true;
    take_text(seen->name, sizeof seen->name, gr_json_text(json, "name"));
    take_text(seen->outcome, sizeof seen->outcome, gr_json_text(json, "outcome"));
    take_text(seen->started, sizeof seen->started,
              gr_json_text(json_array_get(stretches, 0), "started"));
    seen->rounds = gr_json_count(json, "rounds");
    seen->n_ranks = (uint32_t)gr_json_count(json, "ranks");
    const gr_status status = set_silos(watch, gr_json_count(json, "silos"));
    json_decref(json);
    return status;
}

/* ---- rounds --------------------------------------------------------------------------------- */

static bool better(const struct gr_watch_point *a, const struct gr_watch_point *than) {
    if (than->round == 0) return true;
    if (isfinite(a->held_accuracy) || isfinite(than->held_accuracy))
        return a->held_accuracy > than->held_accuracy || !isfinite(than->held_accuracy);
    return a->held_loss < than->held_loss;
}

/* Scores of test rows once there are any; those of validation rows before are forgotten. */
static struct gr_watch_point point_of(struct gr_run_watch *watch, const struct gr_metrics *m) {
    struct gr_watched *seen = &watch->seen;
    const bool of_test = isfinite(m->test_loss);
    struct gr_watch_point point = {.round = m->round,
                                   .train_loss = (float)m->train_loss,
                                   .held_loss = (float)NAN,
                                   .held_accuracy = (float)NAN,
                                   .seconds = (float)m->seconds.total};
    if (of_test && !seen->of_test) {
        seen->of_test = true;
        seen->best = seen->held = (struct gr_watch_point){0};
        for (size_t i = 0; i < watch->n_points; i++)
            seen->points[i].held_loss = seen->points[i].held_accuracy = (float)NAN;
    }
    if (seen->of_test != of_test) return point;
    point.held_loss = (float)(of_test ? m->test_loss : m->validation_loss);
    point.held_accuracy = (float)(of_test ? m->test_accuracy : m->validation_accuracy);
    return point;
}

/* Thinned out to every second round where there is no room: curves keep their shape. */
static void add_point(struct gr_run_watch *watch, const struct gr_watch_point *point) {
    struct gr_watched *seen = &watch->seen;
    if (watch->n_settled % watch->stride != 0) return;
    /* One stays free for the last round. */
    if (watch->n_points >= GR_WATCH_POINTS - 1) {
        for (size_t i = 0; 2 * i < watch->n_points; i++)
            seen->points[i] = seen->points[2 * i];
        watch->n_points = (watch->n_points + 1) / 2;
        watch->stride *= 2;
        if (watch->n_settled % watch->stride != 0) return;
    }
    seen->points[watch->n_points++] = *point;
}

static gr_status add_partial(struct gr_run_watch *watch, uint32_t round) {
    if (watch->n_partial == watch->partial_room) {
        const size_t room = 2 * watch->partial_room + 64;
        uint32_t *grown;
        if (room > PARTIAL_ROUNDS_MAX) return GR_OK;
        gr_status status = gr_allocate(room, sizeof *grown, "rounds", &grown);
        if (status != GR_OK) return status;
        if (watch->n_partial > 0) memcpy(grown, watch->partial, watch->n_partial * sizeof *grown);
        gr_free(watch->partial);
        watch->partial = grown;
        watch->partial_room = room;
    }
    watch->partial[watch->n_partial++] = round;
    return GR_OK;
}

/* The line of the last round stays as it is, for another has followed. */
static void settle(struct gr_run_watch *watch) {
    struct gr_watched *seen = &watch->seen;
    const struct gr_metrics *m = &seen->last;
    if (m->round == 0) return;
    add_point(watch, &watch->open);
    watch->recent[watch->n_settled % GR_WATCH_RECENT] = *m;
    watch->n_settled++;
    watch->settled_bytes += m->bytes_sent;
    if (m->seconds.total > 0) watch->settled_s += m->seconds.total;
}

/* Of a line read again, as its costs may have been amended, or of one more. */
static gr_status take_round(struct gr_run_watch *watch, const struct gr_metrics *m) {
    struct gr_watched *seen = &watch->seen;
    gr_status status = GR_OK;
    /* Rounds ascend; others can be of damage only. */
    if (m->round < seen->last.round) return GR_OK;
    const bool again = m->round == seen->last.round;
    if (!again) settle(watch);
    if (!again && m->participants < m->selected) GR_TRY(add_partial(watch, m->round));
    seen->last = *m;
    watch->open = point_of(watch, m);
    const struct gr_watch_point *point = &watch->open;
    if (isfinite(point->held_loss) || isfinite(point->held_accuracy)) {
        seen->held = *point;
        if (better(point, &seen->best)) seen->best = *point;
    }
    seen->n_rounds = watch->n_settled + 1;
    seen->bytes = watch->settled_bytes + m->bytes_sent;
    seen->seconds = watch->settled_s + (m->seconds.total > 0 ? m->seconds.total : 0);
    if (!again && watch->tell) watch->tell(watch->context, seen, NULL);
out:
    return status;
}

static void forget_rounds(struct gr_run_watch *watch) {
    struct gr_watched *seen = &watch->seen;
    seen->last = (struct gr_metrics){0};
    seen->best = seen->held = watch->open = (struct gr_watch_point){0};
    seen->of_test = false;
    watch->n_points = seen->n_points = 0;
    seen->n_rounds = watch->n_settled = watch->settled_bytes = seen->bytes = 0;
    seen->seconds = watch->settled_s = 0;
    watch->stride = 1;
    watch->n_partial = watch->counted = 0;
    for (uint32_t i = 0; i < seen->n_silos; i++)
        seen->silos[i].missed = 0;
}

static void sum_recent(struct gr_run_watch *watch) {
    struct gr_watched *seen = &watch->seen;
    const uint64_t settled =
        watch->n_settled < GR_WATCH_RECENT - 1 ? watch->n_settled : GR_WATCH_RECENT - 1;
    memset(&seen->recent, 0, sizeof seen->recent);
    for (uint64_t i = 0; i <= settled && seen->last.round > 0; i++) {
        const struct gr_metrics *m =
            i == 0 ? &seen->last : &watch->recent[(watch->n_settled - i) % GR_WATCH_RECENT];
        if (!(m->seconds.total > 0)) continue;
        /* NaN, as with differential privacy, where phases are not told, counts as 0. */
        seen->recent.train += fmax(m->seconds.train, 0);
        seen->recent.aggregate += fmax(m->seconds.aggregate, 0);
        seen->recent.evaluate += fmax(m->seconds.evaluate, 0);
        seen->recent.checkpoint += m->seconds.checkpoint;
        seen->recent.total += m->seconds.total;
        seen->recent.bytes += m->bytes_sent;
        seen->recent.n++;
    }
}

/* ---- following ------------------------------------------------------------------------------ */

/* Takes a line; *again: reading is to go on from it, and not from behind it. */
typedef gr_status (*take_function)(struct gr_run_watch *watch, const char *line, size_t n,
                                   bool *again);

static gr_status take_metrics(struct gr_run_watch *watch, const char *line, size_t n, bool *again) {
    struct gr_metrics m;
    if (!gr_metrics_parse(line, n, &m)) return GR_OK;
    *again = true;
    return take_round(watch, &m);
}

/*
 * Lines up to the end of the file or of the time, but two at least: the place is that of the last
 * line where it is to be read again, as the last in the file may be amended.
 */
static gr_status take_lines(struct gr_run_watch *watch, struct followed *file, take_function take,
                            struct gr_lines_reader *reader, double until_s) {
    gr_status status = GR_OK;
    const char *line;
    size_t n;
    for (size_t taken = 0;; taken++) {
        const uint64_t from = gr_lines_at(reader);
        bool again = false;
        if (gr_lines_next(reader, &line, &n) != GR_OK || !line) break; /* gone meanwhile */
        file->unread = taken >= 2 && gr_clock_seconds() > until_s;
        if (file->unread) break;
        GR_TRY(take(watch, line, n, &again));
        file->place.at = again ? from : gr_lines_at(reader);
    }
out:
    return status;
}

/* A file that went away has said what it said. */
static gr_status follow(struct gr_run_watch *watch, struct followed *file, take_function take,
                        gr_status (*forget)(struct gr_run_watch *), double until_s, bool *changed) {
    gr_status status = GR_OK;
    struct gr_lines_reader *reader = NULL;
    struct stamp now;
    bool there = false, anew = false;
    const bool is_new = has_changed(file->path, &file->stamp, &now, &there);
    watch->seen.there = watch->seen.there || there;
    if (!is_new && !file->unread) return GR_OK;
    *changed = true;
    file->stamp = now;
    file->unread = false;
    if (!there || gr_lines_go_on(file->path, &file->place, &anew, &reader) != GR_OK) return GR_OK;
    note_written(&watch->seen, &now);
    if (anew) GR_TRY(forget(watch));
    status = take_lines(watch, file, take, reader, until_s);
out:
    gr_lines_end(reader);
    return status;
}

static gr_status forget_metrics(struct gr_run_watch *watch) {
    forget_rounds(watch);
    return GR_OK;
}

/* ---- events --------------------------------------------------------------------------------- */

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static bool ends_stretch(const char *event) {
    return is(event, "finished") || is(event, "stopped") || is(event, "failed") ||
           is(event, "quorum lost");
}

/* The silos of a list are noted with what befell them. */
static void note_fate(struct gr_watched *seen, const json_t *event, enum gr_watch_fate fate) {
    const json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(event, "silos"), i, entry) {
        struct gr_silo_range range;
        if (!gr_json_silos(json_string_value(entry), &range)) continue;
        for (int64_t s = range.first; s <= range.last && s < (int64_t)seen->n_silos;
             s += range.step)
            seen->silos[s].noted = (uint8_t)fate;
    }
}

static void note_fates(struct gr_watched *seen, const char *name, const json_t *event) {
    if (is(name, "lost"))
        note_fate(seen, event, GR_WATCH_LOST);
    else if (is(name, "late"))
        note_fate(seen, event, GR_WATCH_LATE);
    else if (is(name, "returned"))
        note_fate(seen, event, GR_WATCH_TOOK_PART);
    else if (strncmp(name, "sat out: ", 9) == 0 && !strstr(name, "held-out"))
        note_fate(seen, event, GR_WATCH_SAT_OUT);
}

/* "alert: low participation", "lost: 3 silos" */
static void describe(const char *name, const json_t *event, char *out, size_t size) {
    static const char *const members[] = {"what", "why", "reason", "where"};
    char text[512];
    const char *more = NULL;
    const json_t *silos = json_object_get(event, "silos");
    for (size_t i = 0; !more && i < sizeof members / sizeof *members; i++)
        more = gr_json_text(event, members[i]);
    if (more)
        snprintf(text, sizeof text, "%.64s: %.400s", name, more);
    else if (json_is_array(silos) && json_array_size(silos) > 0)
        snprintf(text, sizeof text, "%.64s: %.64s%s", name,
                 json_is_string(json_array_get(silos, 0))
                     ? json_string_value(json_array_get(silos, 0))
                     : "silos",
                 json_array_size(silos) > 1 ? ", ..." : "");
    else
        snprintf(text, sizeof text, "%.64s", name);
    take_text(out, size, text);
}

/* Absences are shown by silo, checkpoints by the newest. */
static void keep_event(struct gr_run_watch *watch, const char *name, const json_t *json) {
    struct gr_watched *seen = &watch->seen;
    const uint32_t round = (uint32_t)gr_json_count(json, "round");
    seen->ended = ends_stretch(name);
    if (is(name, "checkpoint")) {
        seen->n_checkpoints++;
        seen->checkpoint = round;
        return;
    }
    if (is(name, "partial")) return;
    struct gr_watch_event *event = &seen->events[seen->n_events++ % GR_WATCH_EVENTS];
    event->round = round;
    event->alert = is(name, "alert");
    seen->n_alerts += event->alert;
    take_text(event->time, sizeof event->time, gr_json_text(json, "time"));
    describe(name, json, event->text, sizeof event->text);
    if (watch->tell) watch->tell(watch->context, seen, event);
}

/* Most lines of a long run tell what was released; they are not parsed. */
static bool tells_releases(const char *line, size_t n) {
    static const char words[] = "\"event\":\"releases\"";
    return memmem(line, n < 160 ? n : 160, words, sizeof words - 1) != NULL;
}

static gr_status take_event(struct gr_run_watch *watch, const char *line, size_t n, bool *again) {
    struct gr_watched *seen = &watch->seen;
    *again = false;
    if (tells_releases(line, n)) return GR_OK;
    json_t *json = json_loadb(line, n, 0, NULL);
    const char *name = gr_json_text(json, "event");
    if (name) {
        keep_event(watch, name, json);
        if (seen->silos) note_fates(seen, name, json);
    }
    if (watch->replay && gr_replay_take(watch->replay, json) != GR_OK) {
        gr_replay_close(watch->replay);
        watch->replay = NULL;
    }
    json_decref(json);
    return GR_OK;
}

static gr_status forget_events(struct gr_run_watch *watch) {
    struct gr_watched *seen = &watch->seen;
    const struct gr_lines_place place = watch->events.place;
    seen->n_events = seen->n_alerts = seen->n_checkpoints = 0;
    seen->checkpoint = 0;
    seen->ended = false;
    const gr_status status = begin_rosters(watch);
    watch->events.place = place;
    watch->events.unread = false;
    return status;
}

/* Which silos each round missed, once the events up to it have been read. */
static void count_missed(struct gr_run_watch *watch) {
    struct gr_watched *seen = &watch->seen;
    if (!watch->replay || !seen->silos || watch->events.unread || seen->last.round == 0) return;
    for (; watch->counted < watch->n_partial; watch->counted++) {
        gr_replay_absent(watch->replay, watch->partial[watch->counted], &watch->absent);
        for (uint32_t i = 0; i < watch->absent.n_set; i++)
            seen->silos[watch->absent.set[i]].missed++;
    }
    for (uint32_t i = 0; i < seen->n_silos; i++)
        seen->silos[i].fate = GR_WATCH_TOOK_PART;
    if (seen->last.participants >= seen->last.selected) return;
    gr_replay_absent(watch->replay, seen->last.round, &watch->absent);
    for (uint32_t i = 0; i < watch->absent.n_set; i++) {
        struct gr_watch_silo *silo = &seen->silos[watch->absent.set[i]];
        silo->fate = silo->noted == GR_WATCH_TOOK_PART ? (uint8_t)GR_WATCH_AWAY : silo->noted;
    }
}

/* ---- the watch ------------------------------------------------------------------------------ */

gr_status gr_watch_create(const char *path, struct gr_run_watch **out) {
    gr_status status = GR_OK;
    struct gr_run_watch *watch = NULL;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *watch, "a watch", &watch));
    watch->stride = 1;
    GR_TRY(gr_allocate(GR_WATCH_POINTS, sizeof *watch->seen.points, "curves", &watch->seen.points));
    GR_TRY(gr_text_format(&watch->path, "%s", path));
    GR_TRY(gr_text_format(&watch->manifest, "%s/manifest.json", path));
    GR_TRY(gr_text_format(&watch->metrics.path, "%s/metrics.jsonl", path));
    GR_TRY(gr_text_format(&watch->events.path, "%s/events.jsonl", path));
    *out = watch;
    watch = NULL;
out:
    gr_watch_free(watch);
    return status;
}

gr_status gr_watch_read(struct gr_run_watch *watch, double budget_s, bool *changed) {
    struct gr_watched *seen = &watch->seen;
    const double until_s = gr_clock_seconds() + budget_s;
    gr_status status = GR_OK;
    const bool was_there = seen->there;
    *changed = false;
    seen->there = false;
    GR_TRY(read_manifest(watch, changed));
    GR_TRY(follow(watch, &watch->metrics, take_metrics, forget_metrics, until_s, changed));
    GR_TRY(follow(watch, &watch->events, take_event, forget_events, until_s, changed));
    seen->behind = watch->metrics.unread || watch->events.unread;
    *changed = *changed || was_there != seen->there;
    if (!*changed) goto out;
    sum_recent(watch);
    count_missed(watch);
    seen->n_points = watch->n_points;
    if (seen->last.round > 0) seen->points[seen->n_points++] = watch->open;
out:
    return status;
}

void gr_watch_on(struct gr_run_watch *watch, gr_watch_tell tell, void *context) {
    watch->tell = tell;
    watch->context = context;
}

const struct gr_watched *gr_watch_see(const struct gr_run_watch *watch) {
    return &watch->seen;
}

const char *gr_watch_path(const struct gr_run_watch *watch) {
    return watch->path;
}

void gr_watch_free(struct gr_run_watch *watch) {
    if (!watch) return;
    gr_replay_close(watch->replay);
    gr_flags_release(&watch->absent);
    gr_free(watch->seen.points);
    gr_free(watch->seen.silos);
    gr_free(watch->partial);
    gr_free(watch->metrics.path);
    gr_free(watch->events.path);
    gr_free(watch->manifest);
    gr_free(watch->path);
    gr_free(watch);
}
