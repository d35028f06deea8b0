/* SPDX-License-Identifier: Apache-2.0 */
/* Claims of runs, by hard links to a file of each process: sweep.h says how. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/sweep.h"

/* Seconds: between two touches, and from the last that was seen to the end of a claim of another
 * host, whose clock need not be ours: only that it changes is looked at. */
static const double touch_s = 10, silence_s = 120;

enum { PLACE_MAX = 256, OWNER_MAX = 512 };

struct gr_claims {
    char *folder; /* FOLDER/claims; owned */
    char *own;    /* this process's file in it; owned */
    char place[PLACE_MAX];
    double touched_s;
};

/* ---- who a process is ------------------------------------------------------------------------ */

/* In clock ticks since the host began; 0: there is no such process. Its name may hold blanks. */
static unsigned long long start_of(long pid) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return 0;
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    /* The name ends at the last bracket; the state is the third member, the start the 22nd. */
    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X') return 0;
    for (int member = 2; at && member < 22; member++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

/* Processes of one place see each other: a host since it began, and its space of process ids. */
static void find_place(char out[PLACE_MAX]) {
    char boot[64] = "", space[64] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, boot, sizeof boot - 1) < 0) boot[0] = '\0';
    if (fd >= 0) close(fd);
    boot[strcspn(boot, "\n")] = '\0';
    if (readlink("/proc/self/ns/pid", space, sizeof space - 1) < 0) space[0] = '\0';
    snprintf(out, PLACE_MAX, "%s %s", boot, space);
}

/* "PID START PLACE" of a claim; or "ended". False: it cannot be read. */
static bool read_owner(const char *path, char out[OWNER_MAX], struct stat *info) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool known = fstat(fd, info) == 0;
    ssize_t n = read(fd, out, OWNER_MAX - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return known && n > 0;
}

/* ---- this process ---------------------------------------------------------------------------- */

gr_status gr_claims_open(const char *folder, struct gr_claims **out) {
    gr_status status = GR_OK;
    struct gr_claims *claims = NULL;
    struct timespec now;
    char *text = NULL;
    clock_gettime(CLOCK_REALTIME, &now);
    GR_TRY(gr_allocate_zero(1, sizeof *claims, "claims", &claims));
    find_place(claims->place);
    GR_TRY(gr_text_format(&claims->folder, "%s/claims", folder));
    GR_TRY(gr_make_folder(claims->folder));
    /* The time tells processes of several hosts apart. */
    GR_TRY(gr_text_format(&claims->own, "%s/.owner-%ld-%lld%09ld", claims->folder, (long)getpid(),
                          (long long)now.tv_sec, now.tv_nsec));
    GR_TRY(
        gr_text_format(&text, "%ld %llu %s\n", (long)getpid(), start_of(getpid()), claims->place));
    GR_TRY(gr_file_write(claims->own, text, strlen(text)));
    claims->touched_s = gr_clock_seconds();
    *out = claims;
    claims = NULL;
out:
    gr_free(text);
    gr_claims_close(claims);
    return status;
}

void gr_claims_touch(struct gr_claims *claims) {
    const double now = gr_clock_seconds();
    if (now < claims->touched_s + touch_s) return;
    claims->touched_s = now;
    (void)utimensat(AT_FDCWD, claims->own, NULL, 0);
}

/* All claims are links to the one file, so that its text ends them all. */
void gr_claims_close(struct gr_claims *claims) {
    if (!claims) return;
    int fd = claims->own ? open(claims->own, O_WRONLY | O_TRUNC | O_CLOEXEC) : -1;
    if (fd >= 0 && write(fd, "ended\n", 6) != 6 && ftruncate(fd, 0) == 0) (void)fsync(fd);
    if (fd >= 0) close(fd);
    if (claims->own) unlink(claims->own);
    gr_free(claims->own);
    gr_free(claims->folder);
    gr_free(claims);
}

static bool is_same(const char *a, const char *b) {
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

/* ---- a run ----------------------------------------------------------------------------------- */

/* Whether the owner of a claim can be gone by now; `claim` keeps what was seen of it before. */
static bool is_given_up(const struct gr_claims *claims, const char *path,
                        struct gr_run_claim *claim) {
    char text[OWNER_MAX], *at;
    struct stat info;
    if (read_owner(path, text, &info)) {
        if (strcmp(text, "ended") == 0) return true;
        const long pid = strtol(text, &at, 10);
        const unsigned long long start = strtoull(at, &at, 10);
        if (*at == ' ' && strcmp(at + 1, claims->place) == 0)
            return start == 0 || start_of(pid) != start;
        const int64_t touched = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
        if (touched != claim->touched_ns || claim->since_s == 0) {
            claim->touched_ns = touched;
            claim->since_s = gr_clock_seconds();
        }
    }
    if (claim->since_s == 0) claim->since_s = gr_clock_seconds();
    return gr_clock_seconds() > claim->since_s + silence_s;
}

gr_status gr_claim_take(struct gr_claims *claims, const char *name, struct gr_run_claim *claim) {
    gr_status status = GR_OK;
    char *path = NULL;
    for (;; claim->generation++) {
        GR_TRY(gr_text_format(&path, "%s/%s.%u", claims->folder, name, claim->generation + 1));
        if (access(path, F_OK) != 0) break;
        claim->since_s = 0;
        claim->ours = false;
        gr_free(path);
        path = NULL;
    }
    if (claim->ours) goto out;
    if (claim->generation > 0) {
        char *last = NULL;
        GR_TRY(gr_text_format(&last, "%s/%s.%u", claims->folder, name, claim->generation));
        claim->ours = is_same(last, claims->own);
        const bool given_up = !claim->ours && is_given_up(claims, last, claim);
        gr_free(last);
        if (!given_up) goto out;
    }
    claim->ours = link(claims->own, path) == 0;
    if (claim->ours)
        claim->generation++;
    else if (errno != EEXIST)
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
out:
    gr_free(path);
    return status;
}
