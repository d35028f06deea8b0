/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures of a round, in the order in which they stand in its line of metrics.jsonl. The
 * writer, the reader and the report's table of rounds follow this table; a figure that is derived
 * from others needs nothing else, a measured one a member of struct gr_metrics.
 */
#include <math.h>
#include <string.h>

#include "observe/metrics.h"

/*
 * Rows of all ranks over the training time of the rank that keeps the records, in rows a second.
 * NaN where no time was measured, or no rows are told.
 */
static double rows_per_second(const struct gr_metrics *m) {
    return m->seconds.train > 0 && m->processed > 0 ? (double)m->processed / m->seconds.train
                                                    : (double)NAN;
}

#define FIGURE(member, what)                                                                       \
    .name = #member, .offset = offsetof(struct gr_metrics, member), .kind = what
#define PERCENT "\xe2\x80\xaf%" /* behind a narrow space */

/*
 * Names are the keys of metrics.jsonl and stay as they are, since reports read lines of earlier
 * versions. A `title` makes a column of the report; shown_times scales a unit for it (s to ms, a
 * share to per cent).
 */
const struct gr_figure gr_figures[] = {
    {FIGURE(round, GR_FIGURE_COUNT32)},
    /* Silos, of which `selected` and below count fates; see struct gr_metrics. */
    {FIGURE(participants, GR_FIGURE_COUNT32)},
    {FIGURE(selected, GR_FIGURE_COUNT32)},
    {FIGURE(dropped, GR_FIGURE_COUNT32)},
    {FIGURE(late, GR_FIGURE_COUNT32)},
    {FIGURE(sat_out, GR_FIGURE_COUNT32)},
    {FIGURE(returned, GR_FIGURE_COUNT32)},
    {FIGURE(recoveries, GR_FIGURE_COUNT32)},
    {FIGURE(examples, GR_FIGURE_COUNT64), .title = "rows"},
    {FIGURE(processed, GR_FIGURE_COUNT64)},
    /* Losses have four decimals in the report, shares two in per cent. */
    {FIGURE(train_loss, GR_FIGURE_REAL), .title = "training loss", .decimals = 4},
    {FIGURE(validation_loss, GR_FIGURE_REAL), .title = "validation loss", .decimals = 4},
    {FIGURE(validation_accuracy, GR_FIGURE_REAL), .title = "validation" PERCENT, .shown_times = 100,
     .decimals = 2},
    {FIGURE(test_loss, GR_FIGURE_REAL), .title = "test loss", .decimals = 4},
    {FIGURE(test_accuracy, GR_FIGURE_REAL), .title = "test" PERCENT, .shown_times = 100,
     .decimals = 2},
    {FIGURE(validation_rows, GR_FIGURE_COUNT64)},
    {FIGURE(test_rows, GR_FIGURE_COUNT64)},
    /* Times of the rank that keeps the records, in seconds; in the report in ms. */
    {FIGURE(seconds.train, GR_FIGURE_REAL), .title = "train ms", .shown_times = 1000,
     .decimals = 1},
    {FIGURE(seconds.aggregate, GR_FIGURE_REAL), .title = "aggregate", .shown_times = 1000,
     .decimals = 1},
    {FIGURE(seconds.evaluate, GR_FIGURE_REAL), .title = "evaluate", .shown_times = 1000,
     .decimals = 1},
    {FIGURE(seconds.checkpoint, GR_FIGURE_REAL), .title = "checkpoint", .shown_times = 1000,
     .decimals = 1},
    {FIGURE(seconds.total, GR_FIGURE_REAL), .title = "total ms", .shown_times = 1000,
     .decimals = 1},
    {FIGURE(bytes_sent, GR_FIGURE_COUNT64), .title = "sent", .bytes = true},
    {FIGURE(cpu_seconds_train, GR_FIGURE_REAL)},
    {FIGURE(update_norm, GR_FIGURE_REAL), .title = "update norm", .decimals = 3},
    {.name = "rows_per_second", .derive = rows_per_second, .title = "rows/s", .decimals = 0},
};

const size_t gr_figure_count = sizeof gr_figures / sizeof *gr_figures;

static const char *member_of(const struct gr_figure *figure, const struct gr_metrics *m) {
    return (const char *)m + figure->offset;
}

/*
 * memcpy and not a cast: the table gives an offset only, and the copy is free of assumptions about
 * aliasing.
 */
uint64_t gr_figure_whole(const struct gr_figure *figure, const struct gr_metrics *m) {
    uint32_t narrow;
    uint64_t wide;
    if (figure->kind == GR_FIGURE_COUNT32) {
        memcpy(&narrow, member_of(figure, m), sizeof narrow);
        return narrow;
    }
    memcpy(&wide, member_of(figure, m), sizeof wide);
    return wide;
}

bool gr_figure_is_real(const struct gr_figure *figure) {
    return figure->derive || figure->kind == GR_FIGURE_REAL;
}

double gr_figure_value(const struct gr_figure *figure, const struct gr_metrics *m) {
    double real;
    if (figure->derive) return figure->derive(m);
    if (figure->kind != GR_FIGURE_REAL) return (double)gr_figure_whole(figure, m);
    memcpy(&real, member_of(figure, m), sizeof real);
    return real;
}

/* A derived figure is not set: it follows from others. */
void gr_figure_set(const struct gr_figure *figure, uint64_t whole, double real,
                   struct gr_metrics *out) {
    const uint32_t narrow = (uint32_t)whole;
    char *member = (char *)out + figure->offset;
    if (figure->derive) return;
    if (figure->kind == GR_FIGURE_REAL)
        memcpy(member, &real, sizeof real);
    else if (figure->kind == GR_FIGURE_COUNT32)
        memcpy(member, &narrow, sizeof narrow);
    else
        memcpy(member, &whole, sizeof whole);
}
