/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of `granary watch`: the runs that are watched, and the views of them. */
#ifndef GRANARY_CLI_WATCH_VIEW_H
#define GRANARY_CLI_WATCH_VIEW_H

#include "cli/command.h"
#include "cli/screen.h"

struct gr_watched_run {
    struct gr_run_watch *watch; /* owned */
    char label[64];             /* of its folder, quoted */
    char state[128];            /* in words */
    double judged_s;            /* when it was judged, by gr_clock_seconds */
    double moved_s;             /* when a round was seen to come; 0: none was */
    bool alive;                 /* a process is at work on it, as far as is known */
    char study[96];             /* whom the coordinator of a study waits for; "": nobody */
    uint32_t printed;           /* the last round of which a line was printed */
};

/* Seconds that its rounds left will take; NAN: not known. now_s: since the epoch. */
double gr_view_left(const struct gr_watched_run *run, double now_s);
/* "0:07", "12:30", "3:04:05", "2 days" */
const char *gr_view_duration(double seconds, char out[32]);
/* "512 B", "1.2 GiB" */
const char *gr_view_bytes(double bytes, char out[32]);
/* Ink for its state. */
enum gr_ink gr_view_ink(const struct gr_watched_run *run);
/* A bar of how far the run has come. */
int gr_view_bar(struct gr_screen *screen, int row, int column, int width, double share);

/* One run, on the whole screen. keys: the words of the last row. */
void gr_view_run(struct gr_screen *screen, const struct gr_watched_run *run, double now_s,
                 const char *keys);
/* A row for each of n runs, from the first-th on, of which the chosen-th is marked; returns how
 * many fit. */
int gr_view_list(struct gr_screen *screen, const struct gr_watched_run *runs, size_t n,
                 size_t first, size_t chosen, const char *path, double now_s);

#endif
