/* SPDX-License-Identifier: Apache-2.0 */
/* A watched run on a screen of 80 columns and 24 rows, or as many as there are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/watch_view.h"
#include "observe/opening.h"

enum { LABEL = 9, CURVES_MAX = 4, SILO_WIDTH = 26, SILOS_SHOWN_MAX = 256 };

/* ---- words ---------------------------------------------------------------------------------- */

double gr_view_left(const struct gr_watched_run *run, double now_s) {
    const struct gr_watched *seen = gr_watch_see(run->watch);
    if (!run->alive || seen->recent.n == 0 || seen->last.round >= seen->rounds) return (double)NAN;
    const double round_s = seen->recent.total / seen->recent.n;
    const double since = fmin(fmax(now_s - seen->written_s, 0), round_s);
    return round_s * (double)(seen->rounds - seen->last.round) - since;
}

const char *gr_view_duration(double seconds, char out[32]) {
    const unsigned long s = seconds < 3.6e6 ? (unsigned long)(seconds + 0.5) : 3600000;
    if (s < 3600)
        snprintf(out, 32, "%lu:%02lu", s / 60, s % 60);
    else if (s < 172800)
        snprintf(out, 32, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, 32, "%.1f days", seconds / 86400);
    return out;
}

const char *gr_view_bytes(double bytes, char out[32]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit < sizeof units / sizeof *units - 1) {
        bytes /= 1024;
        unit++;
    }
    snprintf(out, 32, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return out;
}

enum gr_ink gr_view_ink(const struct gr_watched_run *run) {
    if (run->alive) return GR_INK_GOOD;
    return strncmp(run->state, "finished", 8) == 0 ? GR_INK_BOLD : GR_INK_BAD;
}

int gr_view_bar(struct gr_screen *screen, int row, int column, int width, double share) {
    const int full = (int)(fmin(fmax(share, 0), 1) * (width - 2) + 1e-9);
    gr_screen_put(screen, row, column, GR_INK_PLAIN, "[");
    for (int i = 0; i < width - 2; i++)
        gr_screen_put(screen, row, column + 1 + i, i < full ? GR_INK_GOOD : GR_INK_DIM, "%s",
                      i < full ? "#" : ".");
    return gr_screen_put(screen, row, column + width - 1, GR_INK_PLAIN, "]");
}

static int put_label(struct gr_screen *screen, int row, const char *label) {
    gr_screen_put(screen, row, 0, GR_INK_BOLD, "%s", label);
    return LABEL;
}

static double round_seconds(const struct gr_watched *seen) {
    return seen->recent.n > 0 ? seen->recent.total / seen->recent.n : (double)NAN;
}

/* "0.27 ms", "1.4 s" */
static const char *seconds_text(double seconds, char out[32]) {
    if (seconds < 0.1)
        snprintf(out, 32, "%.3g ms", 1000 * seconds);
    else
        snprintf(out, 32, "%.3g s", seconds);
    return out;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static void put_title(struct gr_screen *screen, const struct gr_watched_run *run) {
    const struct gr_watched *seen = gr_watch_see(run->watch);
    const char *name = seen->name[0] ? seen->name : run->label;
    int at = gr_screen_put(screen, 0, 0, GR_INK_BOLD, "%s", name);
    if (strcmp(name, run->label) != 0)
        at = gr_screen_put(screen, 0, at + 2, GR_INK_DIM, "%s", run->label);
    const int room = screen->width - at - 3;
    if (room > 8)
        gr_screen_put_right(screen, 0, gr_view_ink(run), "  %.*s", room,
                            seen->there ? run->state : "the folder is gone");
}

static void put_progress(struct gr_screen *screen, const struct gr_watched_run *run, int row,
                         double now_s) {
    const struct gr_watched *seen = gr_watch_see(run->watch);
    char done[32], rounds[32], text[32];
    gr_count_text(seen->last.round, done);
    gr_count_text(seen->rounds, rounds);
    const double share = seen->rounds > 0 ? (double)seen->last.round / (double)seen->rounds : 0;
    int at = gr_screen_put(screen, row, put_label(screen, row, "round"), GR_INK_PLAIN, "%s of %s ",
                           done, rounds);
    at = gr_view_bar(screen, row, at, screen->width < 120 ? 22 : 42, share);
    at = gr_screen_put(screen, row, at, GR_INK_PLAIN, " %.0f %%", floor(100 * share));
    const double left = gr_view_left(run, now_s), round_s = round_seconds(seen);
    if (isfinite(left))
        at = gr_screen_put(screen, row, at, GR_INK_BOLD, "  ETA %s",
                           gr_view_duration(fmax(left, 0), text));
    if (isfinite(round_s))
        at = gr_screen_put(screen, row, at, GR_INK_PLAIN, "  %s a round",
                           seconds_text(round_s, text));
    if (seen->behind) gr_screen_put(screen, row, at, GR_INK_DIM, "  (reading)");
}

static void put_scores(struct gr_screen *screen, const struct gr_watched *seen, int row) {
    const struct gr_watch_point *held = &seen->held, *best = &seen->best;
    const char *rows = seen->of_test ? "test" : "validation";
    int at = put_label(screen, row, "scores");
    if (held->round == 0 && !isfinite(seen->last.train_loss)) {
        gr_screen_put(screen, row, at, GR_INK_DIM, "none yet");
        return;
    }
    if (isfinite(held->held_accuracy) && held->round > 0)
        at = gr_screen_put(screen, row, at, GR_INK_BOLD, "%s %.2f %%  ", rows,
                           100 * (double)held->held_accuracy);
    if (isfinite(best->held_accuracy) && best->round > 0)
        at = gr_screen_put(screen, row, at, GR_INK_PLAIN, "best %.2f %% in round %u  ",
                           100 * (double)best->held_accuracy, best->round);
    if (isfinite(held->held_loss) && held->round > 0)
        at = gr_screen_put(screen, row, at, GR_INK_PLAIN, "loss %.4g  ", (double)held->held_loss);
    if (isfinite(seen->last.train_loss))
        at = gr_screen_put(screen, row, at, GR_INK_PLAIN, "training %.4g  ", seen->last.train_loss);
    for (unsigned i = 0; i < gr_metric_count; i++)
        if ((seen->last.named_told >> i & 1) && isfinite(seen->last.named[i]) &&
            at + (int)strlen(gr_metric_rows[i].name) + 8 < screen->width)
            at = gr_screen_put(screen, row, at, GR_INK_PLAIN, "%s %.4g  ", gr_metric_rows[i].name,
                               seen->last.named[i]);
}

/* ---- curves --------------------------------------------------------------------------------- */

enum curve { ACCURACY, HELD_LOSS, TRAIN_LOSS, SECONDS };

static double value_of(const struct gr_watch_point *point, enum curve curve) {
    switch (curve) {
    case ACCURACY:
        return (double)point->held_accuracy;
    case HELD_LOSS:
        return (double)point->held_loss;
    case TRAIN_LOSS:
        return (double)point->train_loss;
    case SECONDS:
        break;
    }
    return (double)point->seconds;
}

static void put_curve(struct gr_screen *screen, const struct gr_watched *seen, enum curve curve,
                      int row, int column, int width, int height) {
    static double x[GR_WATCH_POINTS], y[GR_WATCH_POINTS];
    static const char *const titles[2][4] = {
        {"validation accuracy, %", "validation loss", "training loss", "ms a round"},
        {"test accuracy, %", "test loss", "training loss", "ms a round"}};
    for (size_t i = 0; i < seen->n_points; i++) {
        x[i] = seen->points[i].round;
        y[i] = value_of(&seen->points[i], curve);
    }
    gr_screen_plot(screen, &(struct gr_plot){.title = titles[seen->of_test][curve],
                                             .row = row,
                                             .column = column,
                                             .width = width,
                                             .height = height,
                                             .n = seen->n_points,
                                             .x = x,
                                             .y = y,
                                             .times = curve == ACCURACY  ? 100
                                                      : curve == SECONDS ? 1000
                                                                         : 1});
}

/* As many as have 35 columns each; what a model does not have is left out. */
static void put_curves(struct gr_screen *screen, const struct gr_watched *seen, int row,
                       int height) {
    enum curve curves[CURVES_MAX];
    int n = 0, most = screen->width / 36;
    if (seen->held.round == 0 || isfinite(seen->held.held_accuracy)) curves[n++] = ACCURACY;
    if (n == 0 || most > 2) curves[n++] = HELD_LOSS;
    curves[n++] = TRAIN_LOSS;
    curves[n++] = SECONDS;
    most = most < 1 ? 1 : most < n ? most : n;
    const int width = screen->width / most;
    for (int i = 0; i < most; i++)
        put_curve(screen, seen, curves[i], row, i * width, width - 2, height);
}

/* ---- costs ---------------------------------------------------------------------------------- */

static void put_phases(struct gr_screen *screen, const struct gr_watched *seen, int row) {
    static const char *const names[] = {"train", "aggregate", "evaluate", "checkpoint", "other"};
    static const enum gr_ink inks[] = {GR_INK_GOOD, GR_INK_WARN, GR_INK_CURVE, GR_INK_BOLD,
                                       GR_INK_DIM};
    double part[5] = {seen->recent.train, seen->recent.aggregate, seen->recent.evaluate,
                      seen->recent.checkpoint, seen->recent.total};
    int at = put_label(screen, row, "phases");
    if (!(seen->recent.total > 0)) {
        gr_screen_put(screen, row, at, GR_INK_DIM, "none yet");
        return;
    }
    for (int i = 0; i < 4; i++)
        part[4] -= part[i];
    for (int i = 0; i < 5; i++) {
        const double share = fmax(part[i], 0) / seen->recent.total;
        if (i == 4 && share < 0.005) break;
        at = gr_screen_put(screen, row, at, inks[i], "%s ", names[i]);
        at = gr_screen_put(screen, row, at, GR_INK_PLAIN, "%.0f %%  ", 100 * share);
    }
    if (at + 24 < screen->width)
        gr_screen_put(screen, row, at, GR_INK_DIM, "of the last %u round%s", seen->recent.n,
                      seen->recent.n == 1 ? "" : "s");
}

static void put_bytes(struct gr_screen *screen, const struct gr_watched *seen, int row) {
    char all[32], each[32];
    int at = gr_screen_put(screen, row, put_label(screen, row, "sent"), GR_INK_PLAIN, "%s",
                           gr_view_bytes((double)seen->bytes, all));
    if (seen->recent.n > 0)
        at = gr_screen_put(screen, row, at, GR_INK_PLAIN, ", %s a round",
                           gr_view_bytes((double)seen->recent.bytes / seen->recent.n, each));
    if (seen->n_silos > 0)
        at = gr_screen_put(screen, row, at, GR_INK_PLAIN, "; %u silos on %u rank%s", seen->n_silos,
                           seen->n_ranks, seen->n_ranks == 1 ? "" : "s");
    if (seen->checkpoint > 0)
        gr_screen_put(screen, row, at, GR_INK_PLAIN, "; checkpoint of round %u", seen->checkpoint);
}

/* ---- silos ---------------------------------------------------------------------------------- */

struct shown_silo {
    uint32_t silo, missed;
    uint8_t fate;
};

static bool goes_before(const struct shown_silo *a, const struct shown_silo *b) {
    if ((a->fate != GR_WATCH_TOOK_PART) != (b->fate != GR_WATCH_TOOK_PART))
        return a->fate != GR_WATCH_TOOK_PART;
    return a->missed != b->missed ? a->missed > b->missed : a->silo < b->silo;
}

/* Those that are away first, then those that missed the most; *away and *ever count all of them. */
static int find_shown(const struct gr_watched *seen, struct shown_silo *shown, int most,
                      uint32_t *away, uint32_t *ever) {
    int n = 0;
    *away = *ever = 0;
    for (uint32_t i = 0; seen->silos && i < seen->n_silos; i++) {
        const struct shown_silo silo = {i, seen->silos[i].missed, seen->silos[i].fate};
        if (silo.missed == 0 && silo.fate == GR_WATCH_TOOK_PART) continue;
        *away += silo.fate != GR_WATCH_TOOK_PART;
        (*ever)++;
        int at = n < most ? n++ : n;
        if (at == most && (most == 0 || !goes_before(&silo, &shown[most - 1]))) continue;
        if (at == most) at--;
        for (; at > 0 && goes_before(&silo, &shown[at - 1]); at--)
            shown[at] = shown[at - 1];
        shown[at] = silo;
    }
    return n;
}

static void put_silo(struct gr_screen *screen, const struct shown_silo *silo, int row, int column) {
    static const char *const fates[] = {"", "lost ", "late ", "sat out ", "away "};
    char name[24];
    gr_silo_pseudonym(silo->silo, name);
    const bool away = silo->fate != GR_WATCH_TOOK_PART;
    const int at = gr_screen_put(screen, row, column, away ? GR_INK_BAD : GR_INK_PLAIN, "%s %s",
                                 name, fates[silo->fate % (sizeof fates / sizeof *fates)]);
    gr_screen_put(screen, row, at, GR_INK_DIM, "missed %u", silo->missed);
}

/* A row of how many took part, and silos that did not in rows behind it; returns the next row. */
static int put_silos(struct gr_screen *screen, const struct gr_watched *seen, int row, int rows) {
    struct shown_silo shown[SILOS_SHOWN_MAX];
    const int across =
        (screen->width - LABEL) / SILO_WIDTH > 0 ? (screen->width - LABEL) / SILO_WIDTH : 1;
    int most = across * (rows - 1);
    if (most > SILOS_SHOWN_MAX) most = SILOS_SHOWN_MAX;
    uint32_t away, ever;
    const int n = find_shown(seen, shown, most > 0 ? most : 0, &away, &ever);
    const struct gr_metrics *m = &seen->last;
    int at = put_label(screen, row, "silos");
    if (m->round == 0) {
        gr_screen_put(screen, row, at, GR_INK_DIM, "none yet");
        return row + 1;
    }
    at = gr_screen_put(screen, row, at, m->participants < m->selected ? GR_INK_WARN : GR_INK_PLAIN,
                       "%u of %u took part in round %u", m->participants, m->selected, m->round);
    if (ever > 0)
        gr_screen_put(screen, row, at, GR_INK_PLAIN, "; %u missed some round%s", ever,
                      n < (int)ever ? ", of whom most:" : ":");
    else if (seen->silos)
        gr_screen_put(screen, row, at, GR_INK_PLAIN, "; none has missed a round");
    for (int i = 0; i < n; i++)
        put_silo(screen, &shown[i], row + 1 + i / across, LABEL + i % across * SILO_WIDTH);
    return row + 1 + (n + across - 1) / across;
}

/* ---- events --------------------------------------------------------------------------------- */

static const struct gr_watch_event *event_back(const struct gr_watched *seen, uint64_t i) {
    return &seen->events[(seen->n_events - 1 - i) % GR_WATCH_EVENTS];
}

/* The newest last, as they came. */
static void put_events(struct gr_screen *screen, const struct gr_watched *seen, int row, int rows) {
    const uint64_t kept = seen->n_events < GR_WATCH_EVENTS ? seen->n_events : GR_WATCH_EVENTS;
    const int n = rows - 1 < (int)kept ? rows - 1 : (int)kept;
    if (rows < 1) return;
    const int at = put_label(screen, row, "events");
    gr_screen_put(screen, row, at, seen->n_alerts > 0 ? GR_INK_BAD : GR_INK_PLAIN,
                  "%llu alert%s of %llu", (unsigned long long)seen->n_alerts,
                  seen->n_alerts == 1 ? "" : "s", (unsigned long long)seen->n_events);
    for (int i = 0; i < n; i++) {
        const struct gr_watch_event *event = event_back(seen, (uint64_t)(n - 1 - i));
        /* "2026-11-30T18:48:05Z": the time of day. */
        const char *time = strlen(event->time) >= 19 ? event->time + 11 : "";
        gr_screen_put(screen, row + 1 + i, 0, event->alert ? GR_INK_BAD : GR_INK_PLAIN,
                      "%.8s round %u %s", time, event->round, event->text);
    }
}

static void put_footer(struct gr_screen *screen, const struct gr_watched *seen, double now_s,
                       const char *keys) {
    char text[32];
    gr_screen_put(screen, screen->height - 1, 0, GR_INK_DIM, "%s", keys);
    if (seen->written_s > 0)
        gr_screen_put_right(screen, screen->height - 1, GR_INK_DIM, " last record %s ago",
                            gr_view_duration(fmax(now_s - seen->written_s, 0), text));
}

void gr_view_run(struct gr_screen *screen, const struct gr_watched_run *run, double now_s,
                 const char *keys) {
    const struct gr_watched *seen = gr_watch_see(run->watch);
    int row = 0;
    gr_screen_clear(screen);
    put_title(screen, run);
    put_progress(screen, run, ++row, now_s);
    put_scores(screen, seen, ++row);
    /* Of what is left between scores and footer about a half is for curves. */
    int left = screen->height - row - 2;
    const int curves = left / 2 < 5 ? 5 : left / 2 > 26 ? 26 : left / 2;
    if (left >= curves + 4) {
        put_curves(screen, seen, row + 1, curves);
        row += curves;
    }
    put_phases(screen, seen, ++row);
    put_bytes(screen, seen, ++row);
    if (run->study[0]) {
        row++;
        gr_screen_put(screen, row, put_label(screen, row, "study"), GR_INK_WARN, "%s", run->study);
    }
    left = screen->height - row - 2;
    if (left > 0) row = put_silos(screen, seen, row + 1, left / 2 > 0 ? left / 2 : 1);
    put_events(screen, seen, row, screen->height - row - 1);
    put_footer(screen, seen, now_s, keys);
}
