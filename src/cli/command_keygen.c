/* SPDX-License-Identifier: Apache-2.0 */
/* granary keygen: the keys of a party of a study. All that is said on standard output is public. */
#include "cli/command.h"

gr_status gr_command_keygen(struct gr_invocation *invocation) {
    const char *directory = NULL;
    char text[GR_PUBLIC_KEY_TEXT];
    struct gr_public_key key;
    gr_status status;
    if (gr_next_option(invocation) != -1) return GR_ERROR_USAGE;
    GR_TRY(gr_only_argument(invocation, "DIR", &directory));
    GR_TRY(gr_keys_generate(directory, &key));
    gr_public_key_text(&key, text);
    printf("%s\n", text);
    fprintf(
        stderr,
        "granary: %s/secret.key stays on this machine; the line above, also in %s/public.key, is "
        "for the study's file\n",
        directory, directory);
out:
    return status;
}
