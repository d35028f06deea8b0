/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole messages about this rank's silos, with values and paths: to the rank's own terminal, and to
 * the log in the silo's own folder. To other ranks goes nothing of them.
 */
#include "cohort/cohort_parts.h"

#include <stdarg.h>
#include <stdio.h>

/* To this process's own listener, which must not wait: ranks are between collectives. */
static void hear(const struct gr_cohort *cohort, const char *line) {
    const struct gr_listener *listener = cohort->options.listener;
    if (listener && listener->hear) listener->hear(listener->context, line);
}

void gr_cohort_hear(const struct gr_cohort *cohort, const char *format, ...) {
    char line[GR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    hear(cohort, line);
}

/* The log comes second: the terminal is told even if the log's disk is full. */
void gr_cohort_hear_silo(const struct gr_cohort *cohort, const struct gr_silo *silo,
                         const char *format, ...) {
    const struct gr_config *config = cohort->config;
    const char *dir = silo->id < config->silos_count ? config->silos[silo->id].directory : "";
    char line[GR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    hear(cohort, line);
    /* A log that cannot be written ends no run. */
    if (dir[0] && gr_silo_log_add(dir, silo->pseudonym, line) != GR_OK)
        gr_cohort_hear(cohort, "%s: its own log: %s", silo->pseudonym, gr_message());
}
