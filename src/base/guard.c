/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A deadline on calls that know none, by the alarm clock of the process. It ends the process: a
 * call into MPI that waits for ever can be neither cancelled nor left. Waits of our own have
 * deadlines of their own, and need no guard.
 */
#include <granary/base.h>

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const char *volatile guarded = "";
static volatile sig_atomic_t exit_code = GR_STOPPED;

/*
 * Standard I/O is out of bounds in a signal handler, which may have interrupted it. A line is one
 * write, so that those of ranks whose time is up together do not run into each other.
 */
static void say(const char *beginning, const char *text) {
    char line[4096];
    const size_t first = strlen(beginning), room = sizeof line - first - 1;
    const size_t length = strnlen(text, room);
    memcpy(line, beginning, first);
    memcpy(line + first, text, length);
    line[first + length] = '\n';
    if (write(STDERR_FILENO, line, first + length + 1) < 0) return; /* nobody listens */
}

/* NULL: nothing is noted. */
static const char *volatile note_path;
static const char *volatile note_before;

/* Of several processes the first one notes: they all write the same. */
static void note(void) {
    char found[16] = {0},
         text[4] = {(char)('0' + exit_code / 10 % 10), (char)('0' + exit_code % 10), '\n', '\0'};
    const int fd = note_path ? open(note_path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    if (read(fd, found, sizeof found - 1) > 0 && strcmp(found, note_before) == 0 &&
        lseek(fd, 0, SEEK_SET) == 0 && ftruncate(fd, 0) == 0 && write(fd, text, 3) != 3)
        (void)!ftruncate(fd, 0); /* as if nothing had been noted */
    close(fd);
}

/* Seconds left, and from one message to the next; 0: none. */
static volatile sig_atomic_t left, every;

/* Until the next message, or the end. */
static void set_alarm(void) {
    const sig_atomic_t step = every > 0 && every < left ? every : left;
    left -= step;
    alarm((unsigned)step);
}

/* Only what a signal handler may call. */
static void on_alarm(int number) {
    (void)number;
    say(left > 0 ? "granary: waiting: " : "granary: given up: ", guarded);
    if (left <= 0) {
        note();
        _exit(exit_code);
    }
    set_alarm();
}

/* SA_RESTART: a guarded library does not see its system calls fail with EINTR when a message is
 * due. alarm(0) would switch the alarm off, so that a limit of 0 counts as 1 s. */
void gr_guard_start(unsigned seconds, const char *what) {
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    guarded = what;
    left = seconds < 1 ? 1 : seconds < INT_MAX ? (sig_atomic_t)seconds : INT_MAX;
    sigaction(SIGALRM, &action, NULL);
    set_alarm();
}

void gr_guard_tell(unsigned seconds) {
    every = (sig_atomic_t)seconds;
}

void gr_guard_stop(void) {
    alarm(0);
}

void gr_guard_note(const char *path, const char *before) {
    note_before = before;
    note_path = path;
}

void gr_guard_code(gr_status code) {
    exit_code = (sig_atomic_t)code;
}
