/* SPDX-License-Identifier: Apache-2.0 */
/* A deadline on calls that know none, by the alarm clock of the process. */
#include <granary/base.h>

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const char *volatile guarded = "";
static volatile sig_atomic_t exit_code = GR_STOPPED;

static void say(const char *text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return; /* nobody listens */
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
    say(left > 0 ? "granary: waiting: " : "granary: given up: ");
    say(guarded);
    say("\n");
    if (left <= 0) _exit(exit_code);
    set_alarm();
}

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

void gr_guard_code(gr_status code) {
    exit_code = (sig_atomic_t)code;
}
