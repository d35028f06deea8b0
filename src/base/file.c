/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole files, read with a limit and written so that they appear whole or not at all. Files that
 * grow by lines (metrics, events) are store's; HDF5 files are written through HDF5 and only
 * published here.
 */
#include <granary/base.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

gr_status gr_file_read(const char *path, size_t limit, gr_status failure, char **out,
                       size_t *length) {
    gr_status status = GR_OK;
    struct stat info;
    char *text = NULL;
    size_t used = 0;
    *out = NULL;
    /* Not to wait for ever for the other end of a pipe that somebody named. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return gr_fail(failure, "%s: %s", path, strerror(errno));
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        status = gr_fail(failure, "%s: not a regular file", path);
        goto out;
    }
    if ((uint64_t)info.st_size > limit) {
        status = gr_fail(failure, "%s: found %lld bytes, expected at most %zu", path,
                         (long long)info.st_size, limit);
        goto out;
    }
    GR_TRY(gr_allocate((size_t)info.st_size + 1, 1, path, &text));
    /* No more is read than was there at first, even if the file grows meanwhile: the memory is
     * allocated. A file that shrinks meanwhile gives what is left. */
    while (used < (size_t)info.st_size) {
        ssize_t n = read(fd, text + used, (size_t)info.st_size - used);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            status = gr_fail(failure, "%s: %s", path, strerror(errno));
            goto out;
        }
        if (n == 0) break;
        used += (size_t)n;
    }
    text[used] = '\0';
    *length = used;
    *out = text;
    text = NULL;
out:
    gr_free(text);
    close(fd);
    return status;
}

gr_status gr_file_sync_folder(const char *path) {
    char *copy = strdup(path);
    if (!copy) return gr_fail(GR_ERROR_INTERNAL, "memory for a path was refused");
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some file systems have no fsync for folders: EINVAL is not a failure. */
    int bad = fd < 0 || (fsync(fd) != 0 && errno != EINVAL);
    int error = errno;
    if (fd >= 0) close(fd);
    free(copy);
    if (bad) return gr_fail(GR_ERROR_WRITE, "%s: its folder: %s", path, strerror(error));
    return GR_OK;
}

/* By device and inode, because one file has many names: links, ./x and x, a bind mount. */
gr_status gr_file_check_output(const char *path, const char *const *read, size_t n) {
    struct stat out, in;
    if (stat(path, &out) != 0) return GR_OK; /* writing it tells more */
    for (size_t i = 0; i < n; i++)
        if (read[i] && stat(read[i], &in) == 0 && in.st_dev == out.st_dev &&
            in.st_ino == out.st_ino)
            return gr_fail(GR_ERROR_USAGE, "%s: is read, and cannot be what is written", path);
    if (S_ISDIR(out.st_mode)) return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(EISDIR));
    if (!S_ISREG(out.st_mode))
        return gr_fail(GR_ERROR_WRITE, "%s: a device or a pipe, expected a file or none", path);
    return GR_OK;
}

/*
 * Through the open file, and not through a link: between a check and chmod by name, somebody else
 * might put another file there. A failure is left alone, as the modes may be out of this process's
 * hands (another owner, a file system without modes).
 */
void gr_file_keep_private(const char *path) {
    struct stat is;
    const mode_t others = S_IRWXG | S_IRWXO;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return;
    if (fstat(fd, &is) == 0 && is.st_mode & others) (void)fchmod(fd, is.st_mode & ~others & 07777);
    close(fd);
}

/* rename replaces the old file in one step, so that a reader sees the old one or the new one whole.
 * It lasts through a power cut only once the folder is on disk as well. */
gr_status gr_file_publish(const char *temporary, const char *path) {
    if (rename(temporary, path) != 0)
        return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    return gr_file_sync_folder(path);
}

bool gr_file_leads_to(const char *path, int fd) {
    struct stat named, open_one;
    return stat(path, &named) == 0 && fstat(fd, &open_one) == 0 &&
           named.st_dev == open_one.st_dev && named.st_ino == open_one.st_ino;
}

/*
 * The lock is on the file, not on its name: whoever held it before may have renamed it to PATH
 * between our open and our lock. Such a file is left, and the temporary one opened anew. It is
 * emptied only under the lock, because before that its content is another process's.
 */
gr_status gr_file_claim(const char *path, const char *temporary, int *fd) {
    enum { TRIES = 100 };
    for (int i = 0; i < TRIES; i++) {
        *fd = open(temporary, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
        if (*fd < 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
        const bool held = flock(*fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (!held && gr_file_leads_to(temporary, *fd)) {
            if (ftruncate(*fd, 0) == 0) return GR_OK;
            const int error = errno;
            close(*fd);
            *fd = -1;
            return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(error));
        }
        close(*fd);
        *fd = -1;
        if (held) break;
    }
    return gr_fail(GR_ERROR_WRITE, "%s: another process is writing it", path);
}

static int write_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        bytes += n;
        length -= (size_t)n;
    }
    return 0;
}

/*
 * The temporary file has one name, not one for each process, so that a killed process leaves no
 * more than one file behind. Two writers of one PATH therefore meet: each removes the temporary
 * file that it finds, and the one whose file is gone fails, instead of publishing the other's half.
 */
gr_status gr_file_write(const char *path, const void *bytes, size_t length) {
    gr_status status = GR_OK;
    char *temporary = NULL;
    GR_TRY(gr_text_format(&temporary, "%s.tmp", path));
    /* A file left there may still be open in a stopped process, which must not write into this one.
     */
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", temporary, strerror(errno));
        goto out;
    }
    if (write_all(fd, bytes, length) != 0 || fsync(fd) != 0)
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    else if (!gr_file_leads_to(temporary, fd))
        status = gr_fail(GR_ERROR_WRITE, "%s: another process is writing it", path);
    else
        status = gr_file_publish(temporary, path);
    if (status != GR_OK && gr_file_leads_to(temporary, fd)) unlink(temporary);
    close(fd);
out:
    gr_free(temporary);
    return status;
}
