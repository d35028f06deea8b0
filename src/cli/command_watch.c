/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary watch: runs on a screen, or a line a round where there is none, by their files alone. It
 * asks no process and writes nothing, so that it works wherever the folder can be read.
 */
#include "cli/command.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/terminal.h"
#include "cli/watch_view.h"

enum { RUNS_MAX = 1000 };
/*
 * Seconds: for reading between two frames, between two looks at the files, at a run's state and at
 * which runs there are.
 */
static const double budget_s = 0.03, look_s = 0.5, judge_s = 2, search_s = 3;
/* A run that wrote a round so long ago is under way, whatever its lock tells: those of some file
 * systems are not seen on other hosts. */
static const double moving_s = 10;

struct watching {
    const char *path;
    struct gr_watched_run *runs; /* owned; by name */
    size_t n, chosen, first;
    bool folder; /* of runs */
    bool open;   /* of several, one is shown */
    double searched_s;
};

/* ---- runs ----------------------------------------------------------------------------------- */

static bool is_run(const char *path) {
    static const char *const files[] = {"manifest.json", "metrics.jsonl", "events.jsonl"};
    bool found = false;
    for (size_t i = 0; !found && i < sizeof files / sizeof *files; i++) {
        char *file = NULL;
        if (gr_text_format(&file, "%s/%s", path, files[i]) != GR_OK) return false;
        found = access(file, F_OK) == 0;
        gr_free(file);
    }
    return found;
}

static gr_status add_run(struct watching *all, const char *path, const char *label) {
    struct gr_watched_run *grown;
    if (all->n == RUNS_MAX) return GR_OK;
    gr_status status = gr_allocate_zero(all->n + 1, sizeof *grown, "runs", &grown);
    if (status != GR_OK) return status;
    if (all->n > 0) memcpy(grown, all->runs, all->n * sizeof *grown);
    gr_free(all->runs);
    all->runs = grown;
    struct gr_watched_run *run = &grown[all->n];
    gr_text_quote(label, strlen(label), run->label, sizeof run->label);
    run->judged_s = -INFINITY;
    status = gr_watch_create(path, &run->watch);
    if (status == GR_OK) all->n++;
    return status;
}

static int by_label(const void *a, const void *b) {
    const struct gr_watched_run *left = a, *right = b;
    return strcmp(gr_watch_path(left->watch), gr_watch_path(right->watch));
}

static bool is_known(const struct watching *all, const char *path) {
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(gr_watch_path(all->runs[i].watch), path) == 0) return true;
    return false;
}

/* A link, as runs/latest, names a run that is there anyway. */
static gr_status consider(struct watching *all, const char *name) {
    gr_status status = GR_OK;
    struct stat info;
    char *path = NULL;
    if (name[0] == '.') return GR_OK;
    GR_TRY(gr_text_format(&path, "%s/%s", all->path, name));
    if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode) && !is_known(all, path) && is_run(path))
        status = add_run(all, path, name);
out:
    gr_free(path);
    return status;
}

/* Runs that have come since; the one that is chosen stays so. */
static gr_status search(struct watching *all) {
    gr_status status = GR_OK;
    const size_t before = all->n;
    const struct gr_run_watch *chosen = before > 0 ? all->runs[all->chosen].watch : NULL;
    const struct dirent *entry;
    all->searched_s = gr_clock_seconds();
    DIR *folder = opendir(all->path);
    if (!folder) return GR_OK;
    while (status == GR_OK && (entry = readdir(folder)))
        status = consider(all, entry->d_name);
    closedir(folder);
    if (all->n == before) return status;
    qsort(all->runs, all->n, sizeof *all->runs, by_label);
    for (size_t i = 0; i < all->n; i++)
        if (all->runs[i].watch == chosen) all->chosen = i;
    return status;
}

static gr_status find_runs(struct watching *all) {
    const char *slash = strrchr(all->path, '/');
    if (is_run(all->path))
        return add_run(all, all->path, slash && slash[1] ? slash + 1 : all->path);
    all->folder = true;
    const gr_status status = search(all);
    if (status != GR_OK || all->n > 0) return status;
    return gr_fail(GR_ERROR_DATA,
                   "%s: neither a run directory nor a folder of some: found no manifest.json, "
                   "metrics.jsonl or events.jsonl in it, nor in a folder of it",
                   all->path);
}

/* ---- what is told of them ------------------------------------------------------------------- */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Whom the coordinator of a study waits for; how many, as in the list of silos no names stand. */
static void judge_study(struct gr_watched_run *run) {
    struct gr_study_state state = {0};
    run->study[0] = '\0';
    if (gr_study_state_read(gr_watch_path(run->watch), &state) == GR_OK) {
        uint32_t awaited = 0;
        for (uint32_t i = 0; i < state.n_parties; i++)
            awaited += state.parties[i].awaited;
        if (awaited > 0)
            snprintf(run->study, sizeof run->study, "%.16s: waits for %u of %u parties since %.20s",
                     state.phase, awaited, state.n_parties, state.waits_since);
    }
    gr_study_state_release(&state);
}

static void judge(struct gr_watched_run *run, bool changed, bool moved) {
    const struct gr_watched *seen = gr_watch_see(run->watch);
    const double clock_s = gr_clock_seconds();
    if (moved && strcmp(seen->outcome, "running") == 0) run->moved_s = clock_s;
    if (!changed && clock_s - run->judged_s < judge_s) return;
    struct gr_run_summary summary = {.rounds = seen->rounds,
                                     .rounds_done = seen->last.round,
                                     .seconds = seen->seconds,
                                     .record_age_s = fmax(now() - seen->written_s, 0)};
    char words[128];
    memcpy(summary.outcome, seen->outcome, sizeof summary.outcome);
    const double round_s = seen->recent.n > 0 ? seen->recent.total / seen->recent.n : 0;
    const bool moves =
        run->moved_s > 0 && clock_s - run->moved_s < fmax(moving_s, 3 * round_s) && !seen->ended;
    snprintf(run->state, sizeof run->state, "%s",
             moves ? "running" : gr_run_state_words(gr_watch_path(run->watch), &summary, words));
    run->alive = strncmp(run->state, "running", 7) == 0 || strncmp(run->state, "about to", 8) == 0;
    judge_study(run);
    run->judged_s = clock_s;
}

/* Reads all runs a little further; *behind: one of them has more. */
static gr_status read_runs(struct watching *all, bool *behind) {
    gr_status status = GR_OK;
    *behind = false;
    if (all->folder && gr_clock_seconds() - all->searched_s > search_s) GR_TRY(search(all));
    for (size_t i = 0; i < all->n; i++) {
        struct gr_watched_run *run = &all->runs[i];
        const struct gr_watched *seen = gr_watch_see(run->watch);
        /* Of the first reading nothing moves. */
        const uint32_t round = run->judged_s > 0 && !seen->behind ? seen->last.round : UINT32_MAX;
        bool changed;
        GR_TRY(gr_watch_read(run->watch, budget_s / (double)all->n, &changed));
        judge(run, changed, seen->last.round > round);
        *behind = *behind || seen->behind;
    }
out:
    return status;
}

static void release(struct watching *all) {
    for (size_t i = 0; i < all->n; i++)
        gr_watch_free(all->runs[i].watch);
    gr_free(all->runs);
}

/* ---- a line a round ------------------------------------------------------------------------- */

struct line_teller {
    struct gr_watched_run *run;
    bool several;
};

static void print_name(const struct line_teller *teller) {
    if (teller->several) printf("%s: ", teller->run->label);
}

static void print_round(const struct line_teller *teller, const struct gr_watched *seen) {
    char text[32];
    const struct gr_metrics *m = &seen->last;
    if (m->round <= teller->run->printed) return;
    teller->run->printed = m->round;
    print_name(teller);
    printf("round %u/%llu", m->round, (unsigned long long)seen->rounds);
    if (seen->held.round == m->round && isfinite(seen->held.held_accuracy))
        printf("  accuracy %.2f %%", 100 * (double)seen->held.held_accuracy);
    if (isfinite(m->train_loss)) printf("  loss %.4f", m->train_loss);
    if (m->participants < m->selected)
        printf("  %u of %u silos", m->participants, m->selected);
    else
        printf("  %u silos", m->participants);
    printf("  %.3g s  %s\n", m->seconds.total, gr_view_bytes((double)m->bytes_sent, text));
}

/* Rounds and alerts as they are read. */
static void tell(void *context, const struct gr_watched *seen, const struct gr_watch_event *event) {
    const struct line_teller *teller = context;
    if (!event) {
        print_round(teller, seen);
    } else if (event->alert) {
        print_name(teller);
        printf("round %u: %s\n", event->round, event->text);
    }
}

static bool any_alive(const struct watching *all) {
    for (size_t i = 0; i < all->n; i++)
        if (all->runs[i].alive) return true;
    return false;
}

static bool nap(double seconds) {
    const struct timespec wait = {(time_t)seconds,
                                  (long)(1e9 * (seconds - (double)(time_t)seconds))};
    return nanosleep(&wait, NULL) == 0;
}

/* Which runs there are is settled at the start, so that it comes to an end with them. */
static gr_status print_lines(struct watching *all) {
    gr_status status = GR_OK;
    bool behind = true;
    struct line_teller *teller;
    all->folder = false;
    GR_TRY(gr_allocate_zero(all->n, sizeof *teller, "runs", &teller));
    for (size_t i = 0; i < all->n; i++) {
        teller[i] = (struct line_teller){&all->runs[i], all->n > 1};
        gr_watch_on(all->runs[i].watch, tell, &teller[i]);
    }
    for (;;) {
        status = read_runs(all, &behind);
        /* After a start from an earlier checkpoint its rounds are told again. */
        for (size_t i = 0; i < all->n && !behind; i++)
            all->runs[i].printed = gr_watch_see(all->runs[i].watch)->last.round;
        if (status != GR_OK || fflush(stdout) != 0 || (!behind && !any_alive(all))) break;
        if (!behind) (void)nap(look_s);
    }
    for (size_t i = 0; i < all->n && status == GR_OK; i++)
        printf("%s: %s\n", all->runs[i].label,
               gr_watch_see(all->runs[i].watch)->there ? all->runs[i].state : "the folder is gone");
    gr_free(teller);
out:
    return status;
}

/* ---- the screen ------------------------------------------------------------------------------ */

static void draw(struct watching *all, struct gr_screen *screen) {
    if (!all->folder || all->open) {
        gr_view_run(screen, &all->runs[all->chosen], now(),
                    all->folder ? "q ends, b goes back" : "q ends");
        return;
    }
    const size_t rows = screen->height > 4 ? (size_t)screen->height - 4 : 1;
    if (all->chosen < all->first) all->first = all->chosen;
    if (all->chosen >= all->first + rows) all->first = all->chosen - rows + 1;
    gr_view_list(screen, all->runs, all->n, all->first, all->chosen, all->path, now());
}

static void take_key(struct watching *all, enum gr_key key) {
    if (key == GR_KEY_UP && all->chosen > 0) all->chosen--;
    if (key == GR_KEY_DOWN && all->chosen + 1 < all->n) all->chosen++;
    if (key == GR_KEY_ENTER) all->open = true;
    if (key == GR_KEY_BACK) all->open = false;
}

static gr_status show_screen(struct watching *all) {
    struct gr_screen screen = {0};
    gr_status status = gr_terminal_enter(&screen);
    while (status == GR_OK) {
        bool behind;
        GR_TRY(gr_terminal_fit(&screen));
        GR_TRY(read_runs(all, &behind));
        draw(all, &screen);
        if (!gr_terminal_show(&screen)) break;
        const enum gr_key key = gr_terminal_key(&screen, behind ? 0 : look_s);
        if (key == GR_KEY_QUIT || key == GR_KEY_SIGNAL) break;
        take_key(all, key);
    }
out:
    gr_terminal_leave();
    gr_screen_release(&screen);
    return status;
}

gr_status gr_command_watch(struct gr_invocation *invocation) {
    struct watching all = {0};
    if (gr_next_option(invocation) != -1) return GR_ERROR_USAGE;
    gr_status status = gr_only_argument(invocation, "RUN or FOLDER", &all.path);
    if (status == GR_OK) status = find_runs(&all);
    if (status == GR_OK) status = gr_terminal_is_screen() ? show_screen(&all) : print_lines(&all);
    release(&all);
    return status;
}
