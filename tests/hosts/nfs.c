/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder as hosts see it that have mounted it by NFS, for kernels without: a FUSE mount for each
 * host, with all that makes NFS another thing than a disk.
 *   nfs FOLDER MOUNTPOINT SECONDS local|none|server
 * Names, missing ones too, and attributes are believed for SECONDS, which others' changes do not
 * end. Opening a file asks for its attributes anew, and forgets what had been read of it. What is
 * written stays with the client until the file is closed or synced, and then goes out in whole
 * pages, over what others have written to them meanwhile. A file that has been removed or replaced
 * elsewhere is stale to those that have it open; one removed here is renamed while it is open
 * (libfuse does that by itself). Locks (flock, fcntl) hold on this host only, on none, or, as with
 * a lock daemon, on all.
 */
#define FUSE_USE_VERSION 35
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { PAGE = 4096 };
enum locks { LOCKS_LOCAL, LOCKS_NONE, LOCKS_SERVER };

struct page {
    off_t at;
    char bytes[PAGE];
};

/* A file that is open here, however often, and what is yet to be written of it. */
struct node {
    struct node *next;
    ino_t ino;
    int n_open;
    struct page *pages;
    size_t n_pages, room;
    off_t end; /* of what is written here */
};

struct handle {
    int fd;
    bool writes;
    struct node *node;
};

static int folder;
static double believed;
static enum locks locks;
static struct node *nodes;
static pthread_mutex_t all = PTHREAD_MUTEX_INITIALIZER;

static int result(int value) {
    return value < 0 ? -errno : 0;
}

/* Paths begin with a slash, and are those below the folder. */
static const char *below(const char *path) {
    return path[1] ? path + 1 : ".";
}

static struct handle *handle_of(const struct fuse_file_info *info) {
    return (struct handle *)(uintptr_t)info->fh;
}

/* ---- what is written and not yet out --------------------------------------------------------- */

static struct node *find_node(ino_t ino) {
    struct node *node = nodes;
    while (node && node->ino != ino)
        node = node->next;
    return node;
}

/* 0, or -ESTALE where the server has the file no more. */
static int ask_server(const struct handle *handle, struct stat *info) {
    if (fstat(handle->fd, info) != 0) return -errno;
    return info->st_nlink > 0 ? 0 : -ESTALE;
}

/* The page that begins there: as it is kept here, or as the server has it now. */
static struct page *take_page(const struct handle *handle, off_t at) {
    struct node *node = handle->node;
    for (size_t i = 0; i < node->n_pages; i++)
        if (node->pages[i].at == at) return &node->pages[i];
    if (node->n_pages == node->room) {
        const size_t room = node->room ? 2 * node->room : 16;
        struct page *more = realloc(node->pages, room * sizeof *more);
        if (!more) return NULL;
        node->pages = more;
        node->room = room;
    }
    struct page *page = &node->pages[node->n_pages];
    memset(page, 0, sizeof *page);
    page->at = at;
    if (pread(handle->fd, page->bytes, PAGE, at) < 0) return NULL;
    node->n_pages++;
    return page;
}

/* Whole pages, up to the end of the file as it is known here. */
static int write_out(const struct handle *handle) {
    struct node *node = handle->node;
    struct stat info;
    if (!handle->writes || node->n_pages == 0) return 0;
    int status = ask_server(handle, &info);
    for (size_t i = 0; status == 0 && i < node->n_pages; i++) {
        const struct page *page = &node->pages[i];
        const off_t end = info.st_size > node->end ? info.st_size : node->end;
        const size_t n = end - page->at < PAGE ? (size_t)(end - page->at) : PAGE;
        if (pwrite(handle->fd, page->bytes, n, page->at) < 0) status = -errno;
    }
    node->n_pages = 0;
    node->end = 0;
    return status;
}

static int nfs_write(const char *path, const char *bytes, size_t n, off_t at,
                     struct fuse_file_info *info) {
    const struct handle *handle = handle_of(info);
    struct stat server;
    (void)path;
    pthread_mutex_lock(&all);
    int status = ask_server(handle, &server);
    for (size_t done = 0; status == 0 && done < n;) {
        const off_t inside = (at + (off_t)done) % PAGE;
        const size_t left = n - done, fits = (size_t)(PAGE - inside);
        const size_t part = left < fits ? left : fits;
        struct page *page = take_page(handle, at + (off_t)done - inside);
        if (page) memcpy(page->bytes + inside, bytes + done, part);
        if (!page) status = -EIO;
        done += part;
    }
    if (status == 0 && handle->node->end < at + (off_t)n) handle->node->end = at + (off_t)n;
    pthread_mutex_unlock(&all);
    return status == 0 ? (int)n : status;
}

/* The server's bytes, and over them those that are not out yet. */
static int read_both(const struct handle *handle, char *bytes, size_t n, off_t at) {
    const struct node *node = handle->node;
    struct stat server;
    const int status = ask_server(handle, &server);
    if (status != 0) return status;
    const off_t end = server.st_size > node->end ? server.st_size : node->end;
    if (at >= end) return 0;
    if (end - at < (off_t)n) n = (size_t)(end - at);
    memset(bytes, 0, n);
    if (pread(handle->fd, bytes, n, at) < 0) return -errno;
    for (size_t i = 0; i < node->n_pages; i++) {
        const struct page *page = &node->pages[i];
        const off_t from = page->at > at ? page->at : at;
        const off_t to = page->at + PAGE < at + (off_t)n ? page->at + PAGE : at + (off_t)n;
        if (from < to) memcpy(bytes + (from - at), page->bytes + (from - page->at), to - from);
    }
    return (int)n;
}

static int nfs_read(const char *path, char *bytes, size_t n, off_t at,
                    struct fuse_file_info *info) {
    (void)path;
    pthread_mutex_lock(&all);
    const int status = read_both(handle_of(info), bytes, n, at);
    pthread_mutex_unlock(&all);
    return status;
}

static int nfs_flush(const char *path, struct fuse_file_info *info) {
    (void)path;
    pthread_mutex_lock(&all);
    const int status = write_out(handle_of(info));
    pthread_mutex_unlock(&all);
    return status;
}

static int nfs_fsync(const char *path, int data, struct fuse_file_info *info) {
    (void)data;
    const int status = nfs_flush(path, info);
    return status == 0 ? result(fdatasync(handle_of(info)->fd)) : status;
}

/* ---- opening and closing ----------------------------------------------------------------------
 */

/* Opening asks anew. */
static void forget(const char *path) {
    fuse_invalidate_path(fuse_get_context()->fuse, path);
}

static int keep_open(const char *path, int flags, mode_t mode, struct fuse_file_info *info) {
    struct stat server;
    struct handle *handle = calloc(1, sizeof *handle);
    if (!handle) return -ENOMEM;
    /* Pages are read before they are written to; where they end is said with each write. */
    flags &= ~O_APPEND;
    if ((flags & O_ACCMODE) == O_WRONLY) flags = (flags & ~O_ACCMODE) | O_RDWR;
    handle->writes = (flags & O_ACCMODE) != O_RDONLY;
    handle->fd = openat(folder, below(path), flags | O_CLOEXEC, mode);
    if (handle->fd < 0 || fstat(handle->fd, &server) != 0) {
        const int error = errno;
        if (handle->fd >= 0) close(handle->fd);
        free(handle);
        return -error;
    }
    pthread_mutex_lock(&all);
    handle->node = find_node(server.st_ino);
    if (!handle->node) {
        handle->node = calloc(1, sizeof *handle->node);
        if (!handle->node) abort();
        *handle->node = (struct node){.next = nodes, .ino = server.st_ino};
        nodes = handle->node;
    }
    handle->node->n_open++;
    if (flags & O_TRUNC) {
        handle->node->n_pages = 0;
        handle->node->end = 0;
    }
    pthread_mutex_unlock(&all);
    info->fh = (uint64_t)(uintptr_t)handle;
    return 0;
}

static int nfs_open(const char *path, struct fuse_file_info *info) {
    const int status = keep_open(path, info->flags & ~(O_CREAT | O_EXCL), 0, info);
    if (status == 0) forget(path);
    /* A name that was believed: the kernel then looks it up again, and may create it. */
    return status == -ENOENT ? -ESTALE : status;
}

static int nfs_create(const char *path, mode_t mode, struct fuse_file_info *info) {
    return keep_open(path, info->flags | O_CREAT, mode, info);
}

static int nfs_release(const char *path, struct fuse_file_info *info) {
    struct handle *handle = handle_of(info);
    struct node *node = handle->node, **link = &nodes;
    (void)path;
    pthread_mutex_lock(&all);
    (void)!write_out(handle);
    if (--node->n_open == 0) {
        while (*link != node)
            link = &(*link)->next;
        *link = node->next;
        free(node->pages);
        free(node);
    }
    pthread_mutex_unlock(&all);
    close(handle->fd);
    free(handle);
    return 0;
}

/* ---- locks ------------------------------------------------------------------------------------
 */

/* A lock that is let go of makes what was written under it visible, one that is taken shows it. */
static int lock_on_server(const char *path, struct fuse_file_info *info, bool release,
                          int (*lock)(int fd, void *what), void *what) {
    if (locks == LOCKS_NONE) return -ENOLCK;
    if (release) nfs_flush(path, info);
    const int status = result(lock(handle_of(info)->fd, what));
    if (status == 0 && !release) forget(path);
    return status;
}

static int flock_there(int fd, void *what) {
    return flock(fd, *(int *)what);
}

static int nfs_flock(const char *path, struct fuse_file_info *info, int operation) {
    return lock_on_server(path, info, operation & LOCK_UN, flock_there, &operation);
}

struct range {
    int command;
    struct flock *lock;
};

static int range_there(int fd, void *what) {
    const struct range *range = what;
    range->lock->l_pid = 0;
    return fcntl(fd, range->command, range->lock);
}

/* Of this process there is one, so that the locks are the open file's. */
static int nfs_lock(const char *path, struct fuse_file_info *info, int command,
                    struct flock *lock) {
    struct range range = {command == F_GETLK   ? F_OFD_GETLK
                          : command == F_SETLK ? F_OFD_SETLK
                                               : F_OFD_SETLKW,
                          lock};
    return lock_on_server(path, info, lock->l_type == F_UNLCK, range_there, &range);
}

/* ---- names and attributes ---------------------------------------------------------------------
 */

static int nfs_getattr(const char *path, struct stat *out, struct fuse_file_info *info) {
    int status = info ? ask_server(handle_of(info), out)
                      : result(fstatat(folder, below(path), out, AT_SYMLINK_NOFOLLOW));
    pthread_mutex_lock(&all);
    const struct node *node = status == 0 ? find_node(out->st_ino) : NULL;
    if (node && out->st_size < node->end) out->st_size = node->end;
    pthread_mutex_unlock(&all);
    return status;
}

static int nfs_truncate(const char *path, off_t size, struct fuse_file_info *info) {
    struct fuse_file_info own = {.flags = O_RDWR};
    struct fuse_file_info *used = info ? info : &own;
    int status = info ? 0 : keep_open(path, O_RDWR, 0, &own);
    if (status != 0) return status;
    status = nfs_flush(path, used);
    if (status == 0) status = result(ftruncate(handle_of(used)->fd, size));
    if (!info) nfs_release(path, &own);
    return status;
}

static int nfs_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                       struct fuse_file_info *info, enum fuse_readdir_flags flags) {
    (void)offset, (void)info, (void)flags;
    const int fd = openat(folder, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    if (!names) return -errno;
    while ((entry = readdir(names))) {
        const struct stat known = {.st_ino = entry->d_ino, .st_mode = DTTOIF(entry->d_type)};
        if (fill(buffer, entry->d_name, &known, 0, 0)) break;
    }
    closedir(names);
    return 0;
}

static int nfs_mkdir(const char *path, mode_t mode) {
    return result(mkdirat(folder, below(path), mode));
}
static int nfs_unlink(const char *path) {
    return result(unlinkat(folder, below(path), 0));
}
static int nfs_rmdir(const char *path) {
    return result(unlinkat(folder, below(path), AT_REMOVEDIR));
}
static int nfs_symlink(const char *to, const char *path) {
    return result(symlinkat(to, folder, below(path)));
}
static int nfs_link(const char *from, const char *to) {
    return result(linkat(folder, below(from), folder, below(to), 0));
}
static int nfs_rename(const char *from, const char *to, unsigned flags) {
    return flags ? -EINVAL : result(renameat(folder, below(from), folder, below(to)));
}
static int nfs_chmod(const char *path, mode_t mode, struct fuse_file_info *info) {
    (void)info;
    return result(fchmodat(folder, below(path), mode, 0));
}
static int nfs_chown(const char *path, uid_t user, gid_t group, struct fuse_file_info *info) {
    (void)info;
    return result(fchownat(folder, below(path), user, group, AT_SYMLINK_NOFOLLOW));
}
static int nfs_utimens(const char *path, const struct timespec at[2], struct fuse_file_info *info) {
    (void)info;
    return result(utimensat(folder, below(path), at, AT_SYMLINK_NOFOLLOW));
}
static int nfs_statfs(const char *path, struct statvfs *out) {
    (void)path;
    return result(fstatvfs(folder, out));
}
static int nfs_readlink(const char *path, char *out, size_t room) {
    const ssize_t n = readlinkat(folder, below(path), out, room - 1);
    if (n < 0) return -errno;
    out[n] = '\0';
    return 0;
}

static void *start(struct fuse_conn_info *connection, struct fuse_config *config) {
    config->use_ino = config->readdir_ino = 1;
    config->attr_timeout = config->entry_timeout = config->negative_timeout = believed;
    if (locks == LOCKS_LOCAL)
        connection->want &= ~(unsigned)(FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS);
    return NULL;
}

static const struct fuse_operations operations = {
    .init = start,
    .getattr = nfs_getattr,
    .readdir = nfs_readdir,
    .open = nfs_open,
    .create = nfs_create,
    .release = nfs_release,
    .read = nfs_read,
    .write = nfs_write,
    .flush = nfs_flush,
    .fsync = nfs_fsync,
    .truncate = nfs_truncate,
    .flock = nfs_flock,
    .lock = nfs_lock,
    .mkdir = nfs_mkdir,
    .unlink = nfs_unlink,
    .rmdir = nfs_rmdir,
    .symlink = nfs_symlink,
    .link = nfs_link,
    .readlink = nfs_readlink,
    .rename = nfs_rename,
    .chmod = nfs_chmod,
    .chown = nfs_chown,
    .utimens = nfs_utimens,
    .statfs = nfs_statfs,
};

int main(int argc, char **argv) {
    static const char *const kinds[] = {"local", "none", "server"};
    int kind = 0;
    while (argc == 5 && kind < 3 && strcmp(argv[4], kinds[kind]) != 0)
        kind++;
    if (argc != 5 || kind == 3) {
        fprintf(stderr, "usage: nfs FOLDER MOUNTPOINT SECONDS local|none|server\n");
        return 64;
    }
    folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        perror(argv[1]);
        return 1;
    }
    believed = strtod(argv[3], NULL);
    locks = (enum locks)kind;
    char options[] = "default_permissions,allow_other,fsname=export,subtype=nfs";
    char *words[] = {argv[0], "-o", options, argv[2], NULL};
    umask(0);
    return fuse_main(4, words, &operations, NULL);
}
