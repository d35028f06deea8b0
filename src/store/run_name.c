/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of a run directory, for who must know it before the run has it; and the link to the
 * latest.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/run_directory.h"

/* "20261121-093000-1234": Coordinated Universal Time and the process. */
static void make_id(char out[64]) {
    time_t now = time(NULL);
    struct tm utc;
    char text[32];
    gmtime_r(&now, &utc);
    strftime(text, sizeof text, "%Y%m%d-%H%M%S", &utc);
    snprintf(out, 64, "%s-%ld", text, (long)getpid());
}

gr_status gr_run_directory_name(const struct gr_config *config, char **out) {
    char id[64];
    make_id(id);
    return gr_text_format(out, "%s/%s-%s", config->run.directory, config->run.name, id);
}

/* The path itself, not the link, so that it stays the same when the link moves on. */
gr_status gr_run_directory_latest(const struct gr_config *config, char **out) {
    gr_status status = GR_OK;
    const char *directory = config->run.directory;
    char *link = NULL, target[PATH_MAX];
    GR_TRY(gr_text_format(&link, "%s/latest", directory));
    ssize_t n = readlink(link, target, sizeof target - 1);
    if (n < 0) {
        status = gr_fail(GR_ERROR_USAGE, "nothing to resume: %s: %s", link, strerror(errno));
        goto out;
    }
    target[n] = '\0';
    if (target[0] == '/')
        status = gr_text_format(out, "%s", target);
    else
        status = gr_text_format(out, "%s/%s", directory, target);
out:
    gr_free(link);
    return status;
}

/* A new link renamed over the old one. */
gr_status gr_run_directory_set_latest(const char *path) {
    gr_status status = GR_OK;
    char *fresh = NULL, *latest = NULL;
    struct stat info;
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    int folder = slash ? (int)(slash - path) : 1;
    GR_TRY(gr_text_format(&latest, "%.*s/latest", folder, slash ? path : "."));
    GR_TRY(gr_text_format(&fresh, "%.*s/.latest-%ld", folder, slash ? path : ".", (long)getpid()));
    unlink(fresh);
    if (lstat(latest, &info) == 0 && !S_ISLNK(info.st_mode)) {
        status = gr_fail(GR_ERROR_WRITE, "%s: is no link, and is left as it is", latest);
        goto out;
    }
    if (symlink(name, fresh) != 0 || rename(fresh, latest) != 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", latest, strerror(errno));
        unlink(fresh);
    }
out:
    gr_free(fresh);
    gr_free(latest);
    return status;
}
