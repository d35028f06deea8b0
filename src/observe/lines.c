/* SPDX-License-Identifier: Apache-2.0 */
/* JSON lines on disk. */
#include "observe/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

gr_status gr_lines_read(const char *path, char **out, size_t *length) {
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        *length = 0;
        return gr_text_format(out, "%s", "");
    }
    return gr_file_read(path, GR_LINES_FILE_MAX, GR_ERROR_DATA, out, length);
}

bool gr_lines_next(const char *text, size_t length, size_t *at, const char **line, size_t *n) {
    const char *end = *at < length ? memchr(text + *at, '\n', length - *at) : NULL;
    if (!end) return false;
    *line = text + *at;
    *n = (size_t)(end - *line);
    *at += *n + 1;
    return true;
}

gr_status gr_lines_open(const char *path, int *fd) {
    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (*fd < 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    return GR_OK;
}

gr_status gr_lines_append(int fd, const char *path, const char *line, size_t n) {
    ssize_t written;
    off_t end = lseek(fd, 0, SEEK_END);
    do
        written = write(fd, line, n);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)n) return GR_OK;
    /* Half a line would spoil the next. */
    if (written > 0 && end >= 0 && ftruncate(fd, end) != 0)
        return gr_fail(GR_ERROR_WRITE, "%s: a line was cut and could not be taken back", path);
    return gr_fail(GR_ERROR_WRITE, "%s: %s", path,
                   written < 0 ? strerror(errno) : "a line was cut: the disk is full");
}

void gr_lines_close(int fd) {
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}
