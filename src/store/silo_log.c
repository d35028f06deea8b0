/* SPDX-License-Identifier: Apache-2.0 */
/* A silo's own log: it tells all that befell its data, with values and paths, for its owner's eyes
 * only. Others are told a reason out of a fixed list. */
#include <granary/store.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static gr_status cannot_write(const char *path) {
    return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
}

/* A full log makes room, in the place of the one that was full before it: 2 GR_SILO_LOG_MAX bytes
 * at most. Nobody's failure: a log that cannot be renamed grows on. */
static void turn_over(const char *path, size_t more) {
    struct stat is;
    char *old = NULL;
    if (lstat(path, &is) != 0 || is.st_size + (off_t)more <= GR_SILO_LOG_MAX) return;
    if (gr_text_format(&old, "%s.1", path) == GR_OK) (void)!rename(path, old);
    gr_free(old);
}

/*
 * Whoever may write into the folder could have put anything there: links are not followed, pipes do
 * not block, and only a regular file is written to. A line goes in one write, so lines of two
 * processes do not mix.
 */
static gr_status append(const char *path, const char *line, size_t n) {
    struct stat is;
    gr_status status = GR_OK;
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    const int fd = open(path, flags, 0600);
    if (fd < 0) return cannot_write(path);
    if (fstat(fd, &is) != 0 || fchmod(fd, 0600) != 0)
        status = cannot_write(path);
    else if (!S_ISREG(is.st_mode))
        status = gr_fail(GR_ERROR_WRITE, "%s: not a regular file", path);
    else if (write(fd, line, n) != (ssize_t)n)
        status = cannot_write(path);
    close(fd);
    return status;
}

/* The text is quoted: a value from a table must not begin a line of its own. */
gr_status gr_silo_log_add(const char *dir, const char *pseudonym, const char *text) {
    char now[32], line[GR_MESSAGE_MAX + 64], quoted[GR_MESSAGE_MAX];
    char *path = NULL;
    gr_status status;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) return cannot_write(dir);
    GR_TRY(gr_text_format(&path, "%s/%s.log", dir, pseudonym));
    gr_clock_utc(now);
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    const int n = snprintf(line, sizeof line, "%s %s\n", now, quoted);
    turn_over(path, (size_t)n);
    status = append(path, line, (size_t)n);
out:
    gr_free(path);
    return status;
}
