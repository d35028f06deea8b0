/* SPDX-License-Identifier: Apache-2.0 */
/* Several watched runs, a row each. */
#include <math.h>
#include <string.h>

#include "cli/watch_view.h"
#include "observe/opening.h"

enum { NAME_MAX_WIDTH = 40, BAR = 12 };

static void put_row(struct gr_screen *screen, const struct gr_watched_run *run, int row,
                    int name_width, bool chosen, double now_s) {
    const struct gr_watched *seen = gr_watch_see(run->watch);
    const double left = gr_view_left(run, now_s);
    const double share = seen->rounds > 0 ? (double)seen->last.round / (double)seen->rounds : 0;
    char text[32] = "", done[32];
    gr_screen_put(screen, row, 0, chosen ? GR_INK_CHOSEN : GR_INK_PLAIN, "%-*.*s", name_width,
                  name_width, run->label);
    int at = gr_view_bar(screen, row, name_width + 1, BAR, share) + 1;
    gr_count_text(seen->last.round, done);
    gr_screen_put(screen, row, at, GR_INK_PLAIN, "%7s", done);
    at += 8;
    if (isfinite(left)) gr_view_duration(fmax(left, 0), text);
    gr_screen_put(screen, row, at, GR_INK_PLAIN, "%9.9s", text);
    at += 10;
    if (seen->held.round > 0 && isfinite(seen->held.held_accuracy))
        gr_screen_put(screen, row, at, GR_INK_BOLD, "%6.2f%%",
                      100 * (double)seen->held.held_accuracy);
    else if (seen->held.round > 0)
        gr_screen_put(screen, row, at, GR_INK_BOLD, "%7.4g", (double)seen->held.held_loss);
    at += 8;
    if (seen->n_alerts > 0)
        gr_screen_put(screen, row, at, GR_INK_BAD, "%4llu", (unsigned long long)seen->n_alerts);
    at += 5;
    gr_screen_put(screen, row, at, gr_view_ink(run), "%s",
                  seen->there ? run->state : "the folder is gone");
}

int gr_view_list(struct gr_screen *screen, const struct gr_watched_run *runs, size_t n,
                 size_t first, size_t chosen, const char *path, double now_s) {
    const int name_width = screen->width / 4 < 18               ? 18
                           : screen->width / 4 > NAME_MAX_WIDTH ? NAME_MAX_WIDTH
                                                                : screen->width / 4;
    const int rows = screen->height - 4 > 0 ? screen->height - 4 : 1;
    size_t alive = 0;
    gr_screen_clear(screen);
    for (size_t i = 0; i < n; i++)
        alive += runs[i].alive;
    gr_screen_put(screen, 0, 0, GR_INK_BOLD, "%s", path);
    gr_screen_put_right(screen, 0, GR_INK_PLAIN, " %zu run%s, %zu under way", n, n == 1 ? "" : "s",
                        alive);
    gr_screen_put(screen, 2, 0, GR_INK_DIM, "%-*s %-*s %7s %9s %7s %4s %s", name_width, "run", BAR,
                  "done", "round", "ETA", "score", "!", "state");
    for (int i = 0; i < rows && first + (size_t)i < n; i++)
        put_row(screen, &runs[first + (size_t)i], 3 + i, name_width, first + (size_t)i == chosen,
                now_s);
    gr_screen_put(screen, screen->height - 1, 0, GR_INK_DIM,
                  "q ends, up and down choose, Enter shows a run");
    return rows;
}
