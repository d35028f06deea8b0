/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: files whose names say which start of the program and which epoch, each made once. A claim
 * rests on the exclusive creation of a file, which file systems shared by hosts have as well (NFS
 * since version 3). A lock would not do: a suspended process keeps it, and a host that has lost
 * sight of the others may lose its locks too.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/run_directory.h"

/* GR_STOPPED: this rank has no right to write here any more. The two reasons are told apart for
 * people; a caller ends in both. */
static gr_status over(const char *path) {
    if (access(path, F_OK) != 0)
        return gr_fail(GR_STOPPED, "%s: the run directory is gone: %s", path, strerror(errno));
    return gr_fail(GR_STOPPED, "%s: the run has ended, or another start goes on with it", path);
}

/*
 * Creates the file of a claim; *granted false: it is there already. O_EXCL makes it the act of one
 * process alone, on this host or another. A missing folder means that the run has ended, for its
 * end removes it.
 */
static gr_status make_claim(const char *path, uint64_t start, uint32_t epoch, bool *granted) {
    gr_status status = GR_OK;
    char *claim = NULL;
    *granted = false;
    GR_TRY(
        gr_text_format(&claim, "%s/claims/%016llx-%06u", path, (unsigned long long)start, epoch));
    int fd = open(claim, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0)
        *granted = true;
    else if (errno == ENOSPC || errno == EDQUOT)
        *granted = true; /* a full disk must not end a run that could go on */
    else if (errno == ENOENT)
        status = over(path);
    else if (errno != EEXIST)
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", claim, strerror(errno));
    if (fd >= 0) close(fd);
out:
    gr_free(claim);
    return status;
}

/* Other names in the folder are nobody's claims. */
static bool parse_claim(const char *name, unsigned long long *start, unsigned *epoch) {
    int end = 0;
    return sscanf(name, "%16llx-%9u%n", start, epoch, &end) == 2 && end > 0 && !name[end];
}

/* Opening a folder asks its server anew what is in it, where a look-up of a name might not. */
static DIR *open_claims(const char *path) {
    char *folder = NULL;
    if (gr_text_format(&folder, "%s/claims", path) != GR_OK) return NULL;
    DIR *claims = opendir(folder);
    int error = errno;
    gr_free(folder);
    errno = error;
    return claims;
}

/* Failures are passed over: a folder that stays is cleared by the next start. */
static void clear(const char *path) {
    struct dirent *entry;
    unsigned long long start;
    unsigned epoch;
    DIR *claims = open_claims(path);
    if (!claims) return;
    while ((entry = readdir(claims)))
        if (parse_claim(entry->d_name, &start, &epoch)) unlinkat(dirfd(claims), entry->d_name, 0);
    closedir(claims);
    char *folder = NULL;
    if (gr_text_format(&folder, "%s/claims", path) == GR_OK) rmdir(folder);
    gr_free(folder);
}

/* By the process that has the lock, or found no locks. After it every older start's claims are
 * gone, and its ranks stop at their next claim or look. */
gr_status gr_run_claims_open(const char *path, uint64_t start) {
    gr_status status = GR_OK;
    char *folder = NULL;
    bool granted;
    clear(path);
    GR_TRY(gr_text_format(&folder, "%s/claims", path));
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", folder, strerror(errno));
    /* Epoch 0 says whose the folder is. */
    if (status == GR_OK) status = make_claim(path, start, 0, &granted);
out:
    gr_free(folder);
    return status;
}

/*
 * Whether there is a claim of an epoch after `epoch`, or the folder is another start's, or gone.
 * A rank that cannot look for another reason may try to write. Two starts at the very same time,
 * where no lock decides, may both find their folder: the lower one's it is.
 */
bool gr_run_superseded(const char *path, uint64_t start, uint32_t epoch) {
    bool later = false, here = false, other = false, lower = false;
    struct dirent *entry;
    unsigned long long of_start;
    unsigned of_epoch;
    errno = 0;
    DIR *claims = open_claims(path);
    if (!claims) return errno == ENOENT;
    while ((entry = readdir(claims))) {
        if (!parse_claim(entry->d_name, &of_start, &of_epoch)) continue;
        later = later || (of_start == start && of_epoch > epoch);
        here = here || (of_start == start && of_epoch == 0);
        other = other || (of_start != start && of_epoch == 0);
        lower = lower || (of_start < start && of_epoch == 0);
    }
    closedir(claims);
    return later || (here ? lower : other);
}

/* The lowest start with a claim of epoch 0, as gr_run_superseded decides. */
bool gr_run_claimed_by(const char *path, uint64_t *start) {
    bool any = false;
    struct dirent *entry;
    unsigned long long of_start;
    unsigned of_epoch;
    DIR *claims = open_claims(path);
    while (claims && (entry = readdir(claims))) {
        if (!parse_claim(entry->d_name, &of_start, &of_epoch) || of_epoch > 0) continue;
        if (!any || of_start < *start) *start = of_start;
        any = true;
    }
    if (claims) closedir(claims);
    return any;
}

/* Claimed first and looked second: a start that comes between the two is found by the look. */
gr_status gr_run_claim(const char *path, uint64_t start, uint32_t epoch, bool *granted) {
    gr_status status = make_claim(path, start, epoch, granted);
    /* No epoch comes after the last there can be: so the question is whether the folder is ours. */
    if (status == GR_OK && gr_run_superseded(path, start, UINT32_MAX)) {
        *granted = false;
        status = over(path);
    }
    return status;
}

/* At the end of a run, unless another start or epoch has the folder by now. */
void gr_run_claims_clear(const char *path, uint64_t start, uint32_t epoch) {
    if (!gr_run_superseded(path, start, epoch)) clear(path);
}
