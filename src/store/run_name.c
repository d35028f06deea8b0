/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of a run directory, for who must know it before the run has it; and the link to the
 * latest.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Two runs started by one process within a second would have one name; the second is then refused
 * as the folder holds a run. */
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
        status = gr_fail(GR_ERROR_USAGE, "nothing to resume: %s: %s; --run names a run directory",
                         link, strerror(errno));
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

/* A path that is a link, as `latest`, becomes what it leads to: the link may move on meanwhile. */
gr_status gr_run_directory_behind_link(char **path) {
    char whole[PATH_MAX];
    struct stat info;
    char *out;
    if (lstat(*path, &info) != 0 || !S_ISLNK(info.st_mode) || !realpath(*path, whole)) return GR_OK;
    const gr_status status = gr_text_format(&out, "%s", whole);
    if (status != GR_OK) return status;
    gr_free(*path);
    *path = out;
    return GR_OK;
}

/* The link's target: the bare name where the run lies beside it, so that both can be moved
 * together. */
static gr_status link_text(const char *directory, const char *path, char **out) {
    gr_status status = GR_OK;
    char *copy = NULL, *whole = NULL;
    GR_TRY(gr_path_absolute(path, &whole));
    GR_TRY(gr_text_format(&copy, "%s", whole));
    char *slash = strrchr(copy, '/');
    *slash = '\0';
    char *above = realpath(slash == copy ? "/" : copy, NULL), *here = realpath(directory, NULL);
    const bool beside = above && here && strcmp(above, here) == 0;
    free(above);
    free(here);
    status = gr_text_format(out, "%s", beside ? slash + 1 : whole);
out:
    gr_free(copy);
    gr_free(whole);
    return status;
}

/* Whether two paths lead to one folder. */
static bool are_one(const char *a, const char *b) {
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

/* A new link renamed over the old one, so that "latest" leads to a run at every moment. A run that
 * is the folder itself, as a study's is, gets none: it would only tell where it lies. A
 * folder or file of that name, somebody's own, is left as it is. */
gr_status gr_run_directory_set_latest(const struct gr_config *config, const char *path) {
    gr_status status = GR_OK;
    const char *directory = config->run.directory;
    char *fresh = NULL, *latest = NULL, *text = NULL;
    struct stat info;
    if (access(directory, F_OK) != 0 && errno == ENOENT) return GR_OK;
    if (are_one(directory, path)) return GR_OK;
    GR_TRY(link_text(directory, path, &text));
    GR_TRY(gr_text_format(&latest, "%s/latest", directory));
    GR_TRY(gr_text_format(&fresh, "%s/.latest-%ld", directory, (long)getpid()));
    unlink(fresh);
    if (lstat(latest, &info) == 0 && !S_ISLNK(info.st_mode)) {
        status = gr_fail(GR_ERROR_WRITE, "%s: is no link, and is left as it is", latest);
        goto out;
    }
    if (symlink(text, fresh) != 0 || rename(fresh, latest) != 0) {
        const int error = errno;
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", latest, strerror(error));
        unlink(fresh);
        errno = error;
    }
out:
    gr_free(text);
    gr_free(fresh);
    gr_free(latest);
    return status;
}
