/* SPDX-License-Identifier: Apache-2.0 */
/* Curves of a run as SVG, drawn by gnuplot. */
#ifndef GRANARY_OBSERVE_PLOT_H
#define GRANARY_OBSERVE_PLOT_H

#include <granary/observe.h>

enum gr_plot { GR_PLOT_LOSS, GR_PLOT_ACCURACY, GR_PLOT_SECONDS };

/*
 * An <svg> element of every `step`-th round and the last. *out NULL: there is nothing to draw.
 * Errors: GR_ERROR_INTERNAL, saying why no gnuplot drew it. Caller frees *out.
 */
gr_status gr_plot_svg(enum gr_plot plot, const struct gr_metrics *rounds, size_t n, size_t step,
                      char **out) GR_CHECKED;

#endif
