/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that a command makes for what it writes. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"

gr_status gr_make_folder(const char *path) {
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return GR_OK;
    /* Where it is there all the same, e.g. a mount point, another error may have come first. */
    const int error = errno;
    if (access(path, F_OK) == 0) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(error));
}

gr_status gr_make_folders_above(const char *path) {
    gr_status status = GR_OK;
    char *part = NULL;
    GR_TRY(gr_text_format(&part, "%s", path));
    for (char *at = part + 1; status == GR_OK && (at = strchr(at, '/')); *at++ = '/') {
        *at = '\0';
        status = gr_make_folder(part);
    }
out:
    gr_free(part);
    return status;
}
