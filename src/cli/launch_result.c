/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The result of a start of the launcher, and the decision whether another follows. There are three
 * witnesses: the status that
 * rank 0 noted, the manifest, and the launcher's own end; in this order, because a launcher that is
 * to survive the death of ranks ends with 0 whatever happened, and one that died tells nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/launch.h"

/*
 * A status that another start would only meet again: errors of usage, config, data, policy or
 * writing, and internal errors.
 */
static bool is_final(int code) {
    return code == GR_ERROR_USAGE || code == GR_ERROR_DATA || code == GR_ERROR_INTERNAL ||
           code == GR_ERROR_WRITE || code == GR_ERROR_POLICY || code == GR_ERROR_CONFIG;
}

/*
 * Never creates the file: a note that is made here might be where nobody looks. Short enough for a
 * single write, so that readers see all of it or nothing.
 */
static void write_note(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    const ssize_t n = (ssize_t)strlen(text);
    if (fd < 0) return;
    /* Unwritten, it is as if nothing had been noted: the launcher's end decides. */
    if (write(fd, text, (size_t)n) != n && ftruncate(fd, 0) != 0) unlink(path);
    close(fd);
}

/*
 * Words of a note before there is a status. They have no digits, so that gr_noted_status reads
 * none.
 */
static const char started[] = "started\n";

/* Whether rank 0 has started, and has not come beyond the meeting of the ranks, by the note. */
static bool is_meeting(const char *path) {
    char text[16] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 && strcmp(text, started) == 0;
}

/*
 * GR_OK is never replaced: a rank that was cut off from the others ends otherwise, and later.
 * Outside of `granary run` the variable is not set, and nothing is noted.
 */
void gr_note_status(gr_status status, bool speaks) {
    const char *path = getenv(GR_STATUS_FILE);
    char text[16];
    if (!path) return;
    const int noted = gr_noted_status(path);
    if (noted == GR_OK) return;
    /* Rank 0 may be the one that stands still, and never say it. */
    const bool meets = status == GR_STOPPED && is_meeting(path);
    if (!speaks && !meets && (noted >= 0 || !is_final((int)status) || status == GR_ERROR_INTERNAL))
        return;
    snprintf(text, sizeof text, "%d\n", (int)status);
    write_note(path, text);
}

/*
 * A file that rank 0 does not see could never tell `granary run` anything. A network file system
 * may show it late, hence the wait of seen_s seconds.
 */
gr_status gr_note_start(void) {
    static const double seen_s = 5; /* a file system between hosts may take a while to show it */
    const char *path = getenv(GR_STATUS_FILE);
    const struct timespec moment = {0, 100000000};
    if (!path) return GR_OK;
    for (double limit = gr_clock_seconds() + seen_s; access(path, F_OK) != 0;) {
        if (gr_clock_seconds() > limit)
            return gr_fail(GR_ERROR_WRITE,
                           "%s: %s: `granary run` made it, and rank 0 does not see it: the folder "
                           "of the run directory is to be one that all hosts share",
                           path, strerror(errno));
        nanosleep(&moment, NULL);
    }
    if (gr_noted_status(path) < 0) write_note(path, started);
    return GR_OK;
}

void gr_note_meeting(void) {
    gr_guard_note(getenv(GR_STATUS_FILE), started);
}

void gr_note_met(bool speaks) {
    const char *path = getenv(GR_STATUS_FILE);
    gr_guard_note(NULL, NULL);
    if (path && speaks && is_meeting(path)) write_note(path, "met\n");
}

bool gr_noted_start(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && info.st_size > 0;
}

gr_status gr_note_clear(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    close(fd);
    return GR_OK;
}

/* The newline must be there: a note that is being written counts as none. */
int gr_noted_status(const char *path) {
    char text[16] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC), status;
    if (fd < 0) return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 && strchr(text, '\n') && sscanf(text, "%d", &status) == 1 ? status : -1;
}

gr_status gr_note_path(const char *run_path, bool within, char **out) {
    return gr_text_format(out, "%s%s.status-%ld", run_path, within ? "/" : "", (long)getpid());
}

/* Removes also notes of earlier processes that were killed before they could. */
void gr_notes_clear(const char *run_path) {
    const char *slash = strrchr(run_path, '/');
    char *folder = slash ? strndup(run_path, (size_t)(slash - run_path) + 1) : strdup("."), *prefix;
    struct dirent *entry;
    DIR *entries = folder ? opendir(folder) : NULL;
    free(folder);
    if (entries && asprintf(&prefix, "%s.status-", slash ? slash + 1 : run_path) >= 0) {
        while ((entry = readdir(entries)))
            if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
                unlinkat(dirfd(entries), entry->d_name, 0);
        free(prefix);
    }
    if (entries) closedir(entries);
}

static bool stat_in(const char *folder, const char *name, struct stat *out) {
    char *path = NULL;
    if (gr_text_format(&path, "%s/%s", folder, name) != GR_OK) return false;
    bool found = stat(path, out) == 0;
    gr_free(path);
    return found;
}

/*
 * The round of the newest checkpoint by its name; it is not opened, as it serves only to see
 * whether a start got on.
 */
static uint32_t newest_checkpoint(const char *run_path) {
    char *path = NULL;
    struct dirent *entry;
    uint32_t newest = 0, round;
    int behind;
    if (gr_text_format(&path, "%s/checkpoints", run_path) != GR_OK) return 0;
    DIR *folder = opendir(path);
    gr_free(path);
    while (folder && (entry = readdir(folder))) {
        behind = 0;
        if (sscanf(entry->d_name, "round-%9u.h5%n", &round, &behind) == 1 && behind > 0 &&
            entry->d_name[behind] == '\0' && round > newest)
            newest = round;
    }
    if (folder) closedir(folder);
    return newest;
}

/*
 * Inode and time of the manifest change with each start that opens the directory, as it is replaced
 * by renaming.
 */
void gr_marks_read(const char *run_path, struct gr_marks *out) {
    struct stat info;
    *out = (struct gr_marks){.checkpoint = newest_checkpoint(run_path)};
    out->holds_run = out->checkpoint > 0 || stat_in(run_path, "resolved.yaml", &info) ||
                     stat_in(run_path, "events.jsonl", &info);
    if (!stat_in(run_path, "manifest.json", &info)) return;
    out->holds_run = true;
    out->manifest[0] = (int64_t)info.st_ino;
    out->manifest[1] = info.st_mtim.tv_sec;
    out->manifest[2] = info.st_mtim.tv_nsec;
}

int64_t gr_records_bytes(const char *run_path) {
    static const char *const records[] = {"metrics.jsonl", "events.jsonl"};
    struct stat info;
    int64_t bytes = 0;
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        if (stat_in(run_path, records[i], &info)) bytes += info.st_size;
    return bytes;
}

/* A manifest that cannot be read says no. */
bool gr_run_finished(const char *run_path) {
    char *path = NULL;
    if (gr_text_format(&path, "%s/manifest.json", run_path) != GR_OK) return false;
    json_t *manifest = json_load_file(path, 0, NULL);
    const char *outcome = json_string_value(json_object_get(manifest, "outcome"));
    bool finished = outcome && strcmp(outcome, "finished") == 0;
    json_decref(manifest);
    gr_free(path);
    return finished;
}

/*
 * Whether the launcher's code is that of a rank which gave up within MPI_Init: Open MPI's own codes
 * are 1, and from version 5 on above 200. With version 5 a rank that dies in MPI_Init makes the
 * others report that it cannot be reached, just as a wrong choice of networks does; only another
 * start tells the two apart.
 */
static bool is_of_rank(int code) {
    return code > 1 && code < 128;
}

/*
 * Nothing but the same would follow from another start. An error of the launcher before training is
 * futile at the first start (a wrong option); a rank's error only once a second start has met it
 * too.
 */
static bool is_futile(const struct gr_outcome *outcome, int code) {
    if (outcome->began) return false;
    return is_of_rank(code) ? outcome->fresh && !outcome->first : outcome->first;
}

/*
 * The order of the questions is that of the witnesses: noted status, manifest, launcher's code. A
 * final error goes before a signal, so that the user who pressed Ctrl-C still sees it.
 */
gr_status gr_outcome_judge(const struct gr_outcome *outcome, const char **reason) {
    const int wait_status = outcome->end.wait_status;
    const bool noted = outcome->noted >= 0;
    const int code = noted                    ? outcome->noted
                     : WIFEXITED(wait_status) ? WEXITSTATUS(wait_status)
                                              : -1;
    *reason = NULL;
    if (outcome->noted == GR_OK || (!noted && outcome->began && outcome->finished)) return GR_OK;
    if (is_final(code))
        return gr_fail((gr_status)code, "run: ended with code %d, which no restart would change",
                       code);
    if (outcome->end.asked)
        return gr_fail(GR_STOPPED, "run: stopped by a signal; `granary run --resume` goes on");
    if (outcome->unstarted)
        *reason = "no rank started";
    else if (code == GR_STOPPED)
        *reason = outcome->began ? "quorum lost" : "the start was given up";
    else if (noted || code == 0)
        *reason = "ranks lost";
    else if (code < 0)
        *reason = "launcher died";
    else if (is_futile(outcome, code))
        return gr_fail(GR_ERROR_INTERNAL,
                       "run: the launcher ended with code %d before training began", code);
    else
        *reason = "launcher gave up";
    return GR_LOST;
}
