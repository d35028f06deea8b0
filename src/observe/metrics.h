/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of a round, and metrics read back, for the report. */
#ifndef GRANARY_OBSERVE_METRICS_H
#define GRANARY_OBSERVE_METRICS_H

#include <granary/observe.h>

enum gr_figure_kind { GR_FIGURE_COUNT32, GR_FIGURE_COUNT64, GR_FIGURE_REAL };

/* A figure of a round: a row of the table in figures.c. */
struct gr_figure {
    const char *name; /* its member in the line; "seconds.train": "train" in "seconds" */
    enum gr_figure_kind kind;
    size_t offset; /* of its member in struct gr_metrics */
    /* It follows from other figures: it is real, has no member, and is not read. NULL: it does not.
     */
    double (*derive)(const struct gr_metrics *m);
    const char *title;  /* of its column in the report's table of rounds; NULL: it has none */
    double shown_times; /* so much there; 0: as it is */
    int decimals;       /* there, of a real one */
    bool bytes;         /* there as bytes */
};
extern const struct gr_figure gr_figures[];
extern const size_t gr_figure_count;

bool gr_figure_is_real(const struct gr_figure *figure);
double gr_figure_value(const struct gr_figure *figure, const struct gr_metrics *m);
uint64_t gr_figure_whole(const struct gr_figure *figure, const struct gr_metrics *m); /* a count */
/* Sets the member to one of the two, by the figure's kind. */
void gr_figure_set(const struct gr_figure *figure, uint64_t whole, double real,
                   struct gr_metrics *out);

/* The round of a line, without its newline; false: it is none. */
bool gr_metrics_parse(const char *line, size_t n, struct gr_metrics *out);
/* The rounds of a metrics file; of its lines those that are none are left out. Caller frees *out.
 */
gr_status gr_metrics_read(const char *path, struct gr_metrics **out, size_t *n,
                          size_t *lines) GR_CHECKED;

#endif
