/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal: the alternate screen, without cursor, echo and lines. Signals are blocked but while
 * a key is waited for, so that none comes in the middle of a frame.
 */
#include "cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static const char enter_words[] = "\033[?1049h\033[?25l";
static const char leave_words[] = "\033[0m\033[?25h\033[?1049l";
static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* One process has one terminal. */
static struct {
    bool taken, with_keys;
    struct termios before;
    sigset_t open; /* the mask while a key is waited for */
    volatile sig_atomic_t signal, stopped, resized;
} terminal;

static void note_signal(int number) {
    if (number == SIGWINCH)
        terminal.resized = 1;
    else if (number == SIGTSTP)
        terminal.stopped = 1;
    else
        terminal.signal = number;
}

bool gr_terminal_is_screen(void) {
    const char *kind = getenv("TERM");
    return isatty(STDOUT_FILENO) && kind && kind[0] && strcmp(kind, "dumb") != 0;
}

/* A slow terminal takes it in pieces. */
static bool write_all(const char *text, size_t n) {
    while (n > 0) {
        const ssize_t written = write(STDOUT_FILENO, text, n);
        if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (written <= 0) return false;
        text += written;
        n -= (size_t)written;
    }
    return true;
}

static bool take(void) {
    struct termios raw;
    terminal.with_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &terminal.before) == 0;
    if (terminal.with_keys) {
        raw = terminal.before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        /* In the background it stops here until the shell brings it to the front. */
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    terminal.taken = true;
    return write_all(enter_words, sizeof enter_words - 1);
}

static void give_back(void) {
    if (!terminal.taken) return;
    (void)write_all(leave_words, sizeof leave_words - 1);
    if (terminal.with_keys) tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal.before);
    terminal.taken = false;
}

/* The locale is not asked, which nothing else here needs: its name tells of the characters. */
static bool has_utf8(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (!value || !value[0]) continue;
        return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

gr_status gr_terminal_enter(struct gr_screen *screen) {
    struct sigaction action = {.sa_handler = note_signal};
    sigset_t ours;
    const char *no_colour = getenv("NO_COLOR");
    screen->utf8 = has_utf8();
    screen->colours = !no_colour || !no_colour[0];
    sigemptyset(&ours);
    sigaddset(&ours, SIGWINCH);
    sigaddset(&ours, SIGTSTP);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        sigaddset(&ours, ending[i]);
    sigprocmask(SIG_BLOCK, &ours, &terminal.open);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        sigaction(ending[i], &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
    sigaction(SIGTSTP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (!take()) {
        give_back();
        return gr_fail(GR_ERROR_WRITE, "the terminal could not be written");
    }
    return gr_terminal_fit(screen);
}

gr_status gr_terminal_fit(struct gr_screen *screen) {
    struct winsize size;
    int width = 80, height = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        width = size.ws_col;
        height = size.ws_row;
    }
    return gr_screen_size(screen, width, height);
}

bool gr_terminal_show(struct gr_screen *screen) {
    char *text = NULL;
    size_t n = 0;
    if (gr_screen_changes(screen, &text, &n) != GR_OK) return true; /* the next frame is whole */
    const bool written = write_all(text, n);
    gr_free(text);
    return written;
}

/* By the shell's order; all is drawn anew when it goes on. */
static void stop(struct gr_screen *screen) {
    sigset_t before, stop_only;
    terminal.stopped = 0;
    give_back();
    signal(SIGTSTP, SIG_DFL);
    sigemptyset(&stop_only);
    sigaddset(&stop_only, SIGTSTP);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stop_only, &before); /* it stops here */
    sigprocmask(SIG_SETMASK, &before, NULL);
    const struct sigaction action = {.sa_handler = note_signal};
    sigaction(SIGTSTP, &action, NULL);
    (void)take();
    screen->whole = true;
}

/* Of what was typed the first key counts; cursor keys send three bytes. */
static enum gr_key read_key(void) {
    char bytes[16];
    const ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    if (n == 0) return GR_KEY_QUIT;
    if (n < 0) return errno == EINTR || errno == EAGAIN ? GR_KEY_NONE : GR_KEY_QUIT;
    if (n >= 3 && bytes[0] == '\033' && (bytes[1] == '[' || bytes[1] == 'O')) {
        if (bytes[2] == 'A') return GR_KEY_UP;
        if (bytes[2] == 'B') return GR_KEY_DOWN;
        return bytes[2] == 'D' ? GR_KEY_BACK : bytes[2] == 'C' ? GR_KEY_ENTER : GR_KEY_NONE;
    }
    switch (bytes[0]) {
    case 'q':
    case 'Q':
        return GR_KEY_QUIT;
    case 'k':
        return GR_KEY_UP;
    case 'j':
        return GR_KEY_DOWN;
    case '\r':
    case '\n':
        return GR_KEY_ENTER;
    case '\033':
    case 'b':
    case 0x7F:
        return GR_KEY_BACK;
    default:
        return GR_KEY_NONE;
    }
}

enum gr_key gr_terminal_key(struct gr_screen *screen, double seconds) {
    const struct timespec wait = {(time_t)seconds,
                                  (long)(1e9 * (seconds - (double)(time_t)seconds))};
    struct pollfd input = {.fd = terminal.with_keys ? STDIN_FILENO : -1, .events = POLLIN};
    const int n = ppoll(&input, 1, &wait, &terminal.open);
    if (terminal.signal) return GR_KEY_SIGNAL;
    if (terminal.stopped) stop(screen);
    terminal.resized = 0; /* each frame asks for the size */
    if (n <= 0) return GR_KEY_NONE;
    return input.revents & POLLIN ? read_key() : GR_KEY_QUIT;
}

void gr_terminal_leave(void) {
    give_back();
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        signal(ending[i], SIG_DFL);
    signal(SIGTSTP, SIG_DFL);
    sigprocmask(SIG_SETMASK, &terminal.open, NULL);
    if (terminal.signal) raise(terminal.signal);
}
