/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal as a screen that is given back as it was: at the end, at a signal that ends the
 * process, and while it is stopped by the shell.
 */
#ifndef GRANARY_CLI_TERMINAL_H
#define GRANARY_CLI_TERMINAL_H

#include "cli/screen.h"

enum gr_key {
    GR_KEY_NONE, /* the time is over, or the window has another size */
    GR_KEY_QUIT, /* q, or the terminal has gone */
    GR_KEY_UP,
    GR_KEY_DOWN,
    GR_KEY_ENTER,
    GR_KEY_BACK,
    GR_KEY_SIGNAL /* the process is to end by it: gr_terminal_leave sends it again */
};

/* Whether standard output is a terminal that can be addressed. */
bool gr_terminal_is_screen(void);
/* Takes the terminal over, with signals that end or stop the process. */
gr_status gr_terminal_enter(struct gr_screen *screen) GR_CHECKED;
/* The size of now. Errors: GR_ERROR_INTERNAL. */
gr_status gr_terminal_fit(struct gr_screen *screen) GR_CHECKED;
/* Writes what has changed. false: the terminal has gone. */
bool gr_terminal_show(struct gr_screen *screen);
/* The next key, awaited for so long. */
enum gr_key gr_terminal_key(struct gr_screen *screen, double seconds);
/* Gives the terminal back; of a signal that has come the process dies then. */
void gr_terminal_leave(void);

#endif
