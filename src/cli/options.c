/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands share. */
#include "cli/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int gr_next_option(struct gr_invocation *invocation, const char *short_options,
                   const struct option *options) {
    opterr = 0;
    int option = getopt_long(invocation->argc, invocation->argv, short_options, options, NULL);
    if (option == '?' || option == ':') {
        /* Within a cluster of letters optind has not moved yet: the letter is in optopt. */
        const char letter[] = {'-', (char)optopt, '\0'};
        const char *word = invocation->argv[optind - 1];
        if (strncmp(word, "--", 2) != 0) word = letter;
        char quoted[80];
        gr_text_quote(word, strlen(word), quoted, sizeof quoted);
        (void)gr_fail(GR_ERROR_USAGE, "%s %s '%s'; see `granary help %s`", invocation->argv[0],
                      option == ':' ? "needs a value after" : "does not take the option", quoted,
                      invocation->argv[0]);
        return '?';
    }
    return option;
}

gr_status gr_overrides_add(struct gr_overrides *overrides, const char *text) {
    const char **grown = realloc(overrides->text, (overrides->n + 1) * sizeof *grown);
    if (!grown) return gr_fail(GR_ERROR_INTERNAL, "memory for --set was refused");
    overrides->text = grown;
    overrides->text[overrides->n++] = text;
    return GR_OK;
}

gr_status gr_only_argument(struct gr_invocation *invocation, const char *what, const char **out) {
    int found = invocation->argc - optind;
    if (found != 1)
        return gr_fail(GR_ERROR_USAGE,
                       "%s: found %d arguments, expected one: %s; see `granary help %s`",
                       invocation->argv[0], found, what, invocation->argv[0]);
    *out = invocation->argv[optind];
    return GR_OK;
}

gr_status gr_own_program(char out[PATH_MAX]) {
    static const char deleted[] = " (deleted)";
    const ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (n < 0) return gr_fail(GR_ERROR_INTERNAL, "/proc/self/exe cannot be read");
    out[n] = '\0';
    /* Installed anew meanwhile: the new one is where the old one was. */
    char *end = out + n - (sizeof deleted - 1);
    if (end > out && strcmp(end, deleted) == 0) *end = '\0';
    return GR_OK;
}

void gr_leave(struct gr_invocation *invocation, struct gr_comm *comm) {
    if (!comm) return;
    invocation->ranks_lost = gr_comm_losses(comm);
    invocation->leaves = invocation->ranks_lost && gr_comm_hosts(comm) == 1;
    gr_comm_free(comm);
}

gr_status gr_read_separator(const struct gr_invocation *invocation, const char *text,
                            enum gr_separator *out) {
    static const char *const names[] = {"comma", "semicolon", "tab", "pipe",
                                        "space", "blanks",    "auto"};
    char quoted[80];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        enum gr_separator separator = (enum gr_separator)i;
        bool byte = separator <= GR_SEPARATOR_SPACE && text[0] == gr_separator_byte(separator) &&
                    text[1] == '\0';
        if (!byte && strcmp(text, names[i]) != 0) continue;
        *out = separator;
        return GR_OK;
    }
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    return gr_fail(
        GR_ERROR_USAGE,
        "%s: --separator: found '%s', expected comma, semicolon, tab, pipe, space, blanks "
        "or auto",
        invocation->argv[0], quoted);
}
