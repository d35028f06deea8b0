/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that is killed at the very end of a run: preloaded, it counts what a process brings to
 * disk (rename, fsync, unlink) from the rename to the last round's checkpoint on, and kills the
 * process before the N-th of these. MORTAL_FROM: how the name of that checkpoint ends. MORTAL_AT: a
 * file with N, which is renamed to "struck" first, so that the next process lives.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_bool began;
static atomic_long count;

static bool ends_with(const char *name, const char *end) {
    const size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

static int rename_for_real(const char *from, const char *to) {
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    return real(from, to);
}

/* Before a call; renamed NULL: it is no rename. */
static void pass(const char *renamed) {
    const char *from = getenv("MORTAL_FROM"), *at = getenv("MORTAL_AT");
    long n = -1;
    if (!from || !at) return;
    if (renamed && ends_with(renamed, from)) atomic_store(&began, true);
    if (!atomic_load(&began)) return;
    const long now = atomic_fetch_add(&count, 1);
    FILE *file = fopen(at, "r");
    if (!file) return;
    if (fscanf(file, "%ld", &n) != 1) n = -1;
    fclose(file);
    if (n >= 0 && now >= n && rename_for_real(at, "struck") == 0) raise(SIGKILL);
}

int rename(const char *from, const char *to) {
    pass(to);
    return rename_for_real(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    int (*real)(int, const char *, int, const char *) = dlsym(RTLD_NEXT, "renameat");
    pass(to);
    return real(from_folder, from, to_folder, to);
}

int fsync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    pass(NULL);
    return real(fd);
}

int unlink(const char *path) {
    int (*real)(const char *) = dlsym(RTLD_NEXT, "unlink");
    pass(NULL);
    return real(path);
}
