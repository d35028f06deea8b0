/* SPDX-License-Identifier: Apache-2.0 */
/* Paths that mean the same to processes with other working folders. */
#include <granary/base.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

gr_status gr_path_absolute(const char *path, char **out) {
    if (path[0] == '/') return gr_text_format(out, "%s", path);
    char *folder = getcwd(NULL, 0);
    if (!folder) return gr_fail(GR_ERROR_USAGE, "the working folder: %s", strerror(errno));
    /* Not resolved: links above may stand for another place on another host. */
    gr_status status = gr_text_format(out, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, path);
    free(folder);
    return status;
}

/* Only below the working folder: "../x" is longer to read than the path itself, and a folder "/" (n
 * = 1) is in front of everything. */
const char *gr_path_shown(const char *path) {
    char *folder = getcwd(NULL, 0);
    const size_t n = folder ? strlen(folder) : 0;
    const bool below = n > 1 && strncmp(path, folder, n) == 0 && path[n] == '/' && path[n + 1];
    free(folder);
    return below ? path + n + 1 : path;
}
