/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that are told of alerts. Each is started by coreutils' timeout, which kills it and all
 * of its group at its deadline, also after this process has ended; what it is told lies in memory
 * of its own, so that no pipe can fill.
 */
#include <granary/observe.h>

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "observe/spawn.h"

enum { WORDS_MAX = 32 };

/* A place for one more; NULL: none. Those that have ended are reaped. */
static pid_t *find_place(struct gr_alert_handlers *handlers) {
    pid_t *place = NULL;
    for (int i = 0; i < GR_HANDLERS_MAX; i++) {
        pid_t *pid = &handlers->running[i];
        if (*pid > 0 && waitpid(*pid, NULL, WNOHANG) != 0) *pid = 0;
        if (*pid == 0) place = pid;
    }
    return place;
}

/* A file without a name that holds the text. */
static int text_file(const char *text) {
    const size_t n = strlen(text);
    const int fd = memfd_create("alert", MFD_CLOEXEC);
    if (fd < 0) return -1;
    if (write(fd, text, n) == (ssize_t)n && lseek(fd, 0, SEEK_SET) == 0) return fd;
    close(fd);
    return -1;
}

bool gr_alert_handle(struct gr_alert_handlers *handlers, char *const *words, unsigned n,
                     double deadline_s, const char *text) {
    char program[] = "timeout", signal[] = "--signal=KILL", end[] = "--", seconds[32];
    char *all[WORDS_MAX + 5] = {program, signal, end, seconds};
    pid_t *place = find_place(handlers);
    const int input = place ? text_file(text) : -1;
    handlers->untold++;
    if (input < 0 || n > WORDS_MAX) {
        if (input >= 0) close(input);
        return false;
    }
    snprintf(seconds, sizeof seconds, "%.3f", deadline_s);
    for (unsigned i = 0; i < n; i++)
        all[4 + i] = words[i];
    *place = gr_spawn(all, input);
    close(input);
    if (*place == 0) return false;
    handlers->untold--;
    return true;
}
