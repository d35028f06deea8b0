/* SPDX-License-Identifier: Apache-2.0 */
/* A deadline on calls that know none, by the alarm clock of the process. */
#include <granary/base.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

static const char *volatile guarded = "";
static volatile sig_atomic_t exit_code = GR_STOPPED;

static void say(const char *text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0) return; /* nobody listens */
}

/* Only what a signal handler may call. */
static void end_process(int number) {
    (void)number;
    say("granary: given up: ");
    say(guarded);
    say("\n");
    _exit(exit_code);
}

void gr_guard_start(unsigned seconds, const char *what) {
    struct sigaction action = {.sa_handler = end_process};
    guarded = what;
    sigaction(SIGALRM, &action, NULL);
    alarm(seconds);
}

void gr_guard_stop(void) {
    alarm(0);
}

void gr_guard_code(gr_status code) {
    exit_code = code;
}
