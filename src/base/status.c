/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message of the last failure, kept per thread: a status travels up through returns, and its
 * text waits here until the command prints it. Messages of a success are void, and no function
 * clears them.
 */
#include <granary/base.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last_message[GR_MESSAGE_MAX];

gr_status gr_fail(gr_status status, const char *format, ...) {
    /* An argument may be the message itself. */
    char text[GR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(last_message, text, sizeof text);
    return status;
}

/* For a caller that knows more than the function that failed, such as the silo. Where both do not
 * fit, the end of the old message is cut, not the new context. */
gr_status gr_fail_context(gr_status status, const char *format, ...) {
    char text[GR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (n < 0) n = 0;
    size_t used = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    size_t rest = strlen(last_message);
    if (rest > sizeof text - 1 - used) rest = sizeof text - 1 - used;
    memcpy(text + used, last_message, rest);
    text[used + rest] = '\0';
    memcpy(last_message, text, used + rest + 1);
    return status;
}

const char *gr_message(void) {
    return last_message;
}
