/* SPDX-License-Identifier: Apache-2.0 */
/* See own_log.h. A coordinator has none: its folder is handed on, and holds no path of a machine.
 */
#include "cli/own_log.h"

#include <granary/store.h>

#include <stdio.h>
#include <string.h>

static const char *log_folder;

void gr_own_log_open(const char *folder) {
    log_folder = folder;
}

void gr_own_log_add(const char *words) {
    char line[GR_MESSAGE_MAX];
    while (log_folder && *words) {
        const size_t n = strcspn(words, "\n");
        snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1), words);
        (void)!gr_silo_log_add(log_folder, "site", line);
        words += n + (words[n] == '\n');
    }
}
