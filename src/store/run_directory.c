/* SPDX-License-Identifier: Apache-2.0 */
/* The run directory: whose it is. A single process at a time holds it, through a lock that the
 * system drops when the process ends, however it ends. */
#include "store/run_directory.h"

#include "store/container.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder that is there is as good as one made now. */
static gr_status make_folder(const char *path) {
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "run directory %s: %s", path, strerror(errno));
}

/* The folder and all those above it. */
static gr_status make_folders(const char *path) {
    gr_status status = GR_OK;
    char *part = NULL;
    GR_TRY(gr_text_format(&part, "%s", path));
    for (char *at = part + 1; part[0] && *at; at++) {
        if (*at != '/') continue;
        *at = '\0';
        GR_TRY(make_folder(part));
        *at = '/';
    }
    GR_TRY(make_folder(part));
out:
    gr_free(part);
    return status;
}

/* Shortcomings of the file system that do not keep the run from going on. */
static void warn(struct gr_run_directory *run, const char *what, int error) {
    char *more = NULL;
    if (gr_text_format(&more, "%s%s%s: %s", run->warning ? run->warning : "",
                       run->warning ? "; " : "", what, strerror(error)) != GR_OK)
        return;
    gr_free(run->warning);
    run->warning = more;
}

/* The file system lacks locks: NFS without a lock daemon, Lustre without the mount option flock. */
static bool has_no_locks(int error) {
    return error == ENOSYS || error == EOPNOTSUPP || error == ENOLCK;
}

/* Takes the lock or leaves run->lock at -1, which is GR_OK where there are no locks. */
static gr_status take_lock(struct gr_run_directory *run) {
    gr_status status = GR_OK;
    char *path = NULL;
    GR_TRY(gr_text_format(&path, "%s/lock", run->path));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        run->lock = fd;
        goto out;
    }
    const int error = errno;
    close(fd);
    if (error == EWOULDBLOCK)
        status = gr_fail(GR_ERROR_WRITE, "%s: in use by another run", run->path);
    else if (!has_no_locks(error))
        status = gr_fail(GR_ERROR_WRITE, "%s: cannot be locked: %s", path, strerror(error));
    else if (!run->warning) /* of two runs at once the one that came later goes on, by its claims */
        warn(run, "the file system has no locks, so two runs in one directory are found late",
             error);
out:
    gr_free(path);
    return status;
}

/* A checkpoint alone counts too: the next to resume would take it. */
static bool holds_checkpoint(int folder) {
    bool found = false;
    struct dirent *entry;
    int fd = openat(folder, "checkpoints", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *checkpoints = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !checkpoints) close(fd);
    while (checkpoints && !found && (entry = readdir(checkpoints)))
        found = strncmp(entry->d_name, "round-", 6) == 0;
    if (checkpoints) closedir(checkpoints);
    return found;
}

/* A run is there as soon as any of its files is. */
static bool holds_run(int folder) {
    static const char *const files[] = {"manifest.json", "resolved.yaml", "metrics.jsonl",
                                        "events.jsonl",  "model.h5",      "evaluation.json",
                                        "report.html",   "model-card.md", "silos"};
    struct stat info;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (fstatat(folder, files[i], &info, AT_SYMLINK_NOFOLLOW) == 0) return true;
    return holds_checkpoint(folder);
}

/* From the operating system's entropy: two runs of one seed are two runs. */
static void draw_id(char id[GR_RUN_ID_HEX]) {
    unsigned char bytes[(GR_RUN_ID_HEX - 1) / 2];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(id, GR_RUN_ID_HEX, bytes, sizeof bytes);
}

/* The name of the file that holds the id before there is a manifest. */
static const char id_name[] = "run.id";

/* A file that is no id is as good as none: it was not written whole. */
static bool is_id(const char *text, size_t n) {
    return n == GR_RUN_ID_HEX && text[n - 1] == '\n' && strspn(text, "0123456789abcdef") == n - 1;
}

gr_status gr_run_directory_keep_id(struct gr_run_directory *run) {
    gr_status status = GR_OK;
    char *path = NULL, *text = NULL, line[GR_RUN_ID_HEX + 1];
    size_t n = 0;
    const size_t digits = GR_RUN_ID_HEX - 1;
    if (json_array_size(run->earlier) > 0) return GR_OK; /* the manifest has it */
    GR_TRY(gr_text_format(&path, "%s/%s", run->path, id_name));
    if (gr_file_read(path, GR_RUN_ID_HEX, GR_ERROR_DATA, &text, &n) == GR_OK && is_id(text, n)) {
        memcpy(run->id, text, digits);
        goto out;
    }
    memcpy(line, run->id, digits);
    line[digits] = '\n';
    status = gr_file_write(path, line, digits + 1);
out:
    gr_free(text);
    gr_free(path);
    return status;
}

/* Lock, then look, then claims, then manifest: each step relies on nobody else having begun a run
 * here meanwhile. Without locks on the file system the claims find out later. */
static gr_status enter(struct gr_run_directory *run, bool resume) {
    gr_status status = GR_OK;
    char *checkpoints = NULL;
    int folder = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", run->path, strerror(errno));
    /* Its files may be writable where it is not; each round would then fail at its checkpoint. */
    if (faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", run->path, strerror(errno));
        goto out;
    }
    /* The lock first: two runs that start together must not both find the folder empty. */
    GR_TRY(take_lock(run));
    if (holds_run(folder) && !resume) {
        status =
            gr_fail(GR_ERROR_WRITE,
                    "%s: holds a run; resume it with --resume, or name another folder", run->path);
        goto out;
    }
    GR_TRY(gr_text_format(&checkpoints, "%s/checkpoints", run->path));
    GR_TRY(make_folder(checkpoints));
    GR_TRY(gr_run_claims_open(run->path, run->start));
    GR_TRY(gr_manifest_earlier(run->path, false, run));
    run->id_known = run->id[0] != '\0' || !holds_run(folder);
    if (!run->id[0]) draw_id(run->id);
out:
    gr_free(checkpoints);
    close(folder);
    return status;
}

/* lock is -1: descriptor 0 must not be closed by a release. */
static gr_status create(struct gr_run_directory **out) {
    gr_status status = gr_allocate_zero(1, sizeof **out, "run directory", out);
    if (status == GR_OK) (*out)->lock = -1;
    return status;
}

/*
 * By rank 0. A relative path is made absolute at once, since ranks may have other working folders.
 */
gr_status gr_run_directory_open(const struct gr_config *config, const char *path, bool resume,
                                struct gr_run_directory **out) {
    gr_status status = GR_OK;
    struct gr_run_directory *run = NULL;
    char *given = NULL;
    *out = NULL;
    GR_TRY(create(&run));
    if (path)
        GR_TRY(gr_text_format(&given, "%s", path));
    else if (resume)
        GR_TRY(gr_run_directory_latest(config, &given));
    else
        GR_TRY(gr_run_directory_name(config, &given));
    /* The same for ranks with other working folders. */
    GR_TRY(gr_path_absolute(given, &run->path));
    GR_TRY(gr_run_directory_behind_link(&run->path));
    /* A misspelt path must not become a new run that looks like a resumed one. */
    if (resume && access(run->path, F_OK) != 0) {
        status = gr_fail(GR_ERROR_USAGE, "nothing to resume: %s: %s", run->path, strerror(errno));
        goto out;
    }
    randombytes_buf(&run->start, sizeof run->start);
    GR_TRY(make_folders(run->path));
    GR_TRY(enter(run, resume));
    /* A link is a convenience: there are file systems that have none. */
    if (gr_run_directory_set_latest(config, run->path) != GR_OK)
        warn(run, "the link to the latest run cannot be made", errno);
    *out = run;
    run = NULL;
out:
    gr_free(given);
    gr_run_directory_close(run);
    return status;
}

/* The member that leads after rank 0 was lost: the folder is there, and the present stretch goes
 * on. It may not get the lock while the lost rank is merely suspended. */
gr_status gr_run_directory_take_over(const char *path, struct gr_run_directory **out) {
    gr_status status = GR_OK;
    struct gr_run_directory *run = NULL;
    *out = NULL;
    GR_TRY(create(&run));
    GR_TRY(gr_text_format(&run->path, "%s", path));
    gr_run_directory_relock(run);
    /* The earlier stretches of a damaged manifest are lost; the run is not. */
    if (gr_manifest_earlier(run->path, true, run) != GR_OK) run->earlier = json_array();
    *out = run;
    run = NULL;
out:
    gr_run_directory_close(run);
    return status;
}

void gr_run_directory_relock(struct gr_run_directory *run) {
    /* A rank without the lock goes on: its right to write comes from its claim. */
    if (run->lock < 0) (void)!take_lock(run);
}

const char *gr_run_directory_path(const struct gr_run_directory *run) {
    return run->path;
}

/*
 * *known false: the folder holds a run of a version without ids, and this id was drawn for it now.
 */
const char *gr_run_directory_id(const struct gr_run_directory *run, bool *known) {
    *known = run->id_known;
    return run->id;
}

const char *gr_run_directory_warning(const struct gr_run_directory *run) {
    return run->warning;
}

uint64_t gr_run_directory_start(const struct gr_run_directory *run) {
    return run->start;
}

struct gr_run_data gr_run_directory_data(const struct gr_run_directory *run) {
    return run->data;
}

/* Closing the descriptor drops the lock. */
void gr_run_directory_close(struct gr_run_directory *run) {
    if (!run) return;
    if (run->lock >= 0) close(run->lock);
    json_decref(run->earlier);
    json_decref(run->versions);
    gr_free(run->warning);
    gr_free(run->path);
    gr_free(run);
}

/* The folder itself, or where it is not there yet the nearest above it, must take new names. */
static gr_status check_place(const char *path) {
    gr_status status = GR_OK;
    char *part = NULL;
    GR_TRY(gr_text_format(&part, "%s", path));
    while (access(part, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        char *slash = strrchr(part, '/');
        if (slash == part)
            part[1] = '\0';
        else if (slash)
            *slash = '\0';
        else
            part[0] = '\0';
        if (!part[0] || slash == part) break;
    }
    const char *folder = part[0] ? part : ".";
    struct stat info;
    if (stat(folder, &info) != 0)
        status = gr_fail(GR_ERROR_WRITE, "run directory %s: %s: %s", path, folder, strerror(errno));
    else if (!S_ISDIR(info.st_mode))
        status = gr_fail(GR_ERROR_WRITE, "run directory %s: %s is no folder", path, folder);
    else if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0)
        status = gr_fail(GR_ERROR_WRITE, "run directory %s: %s: %s", path, folder, strerror(errno));
out:
    gr_free(part);
    return status;
}

/* Without side effects, for a check of a config before anything is made; the answer may be out of
 * date by the time of the run, which checks again under the lock. */
gr_status gr_run_directory_check(const struct gr_config *config, const char *path) {
    gr_status status;
    GR_TRY(check_place(path ? path : config->run.directory));
    const int folder = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder < 0) return GR_OK;
    if (holds_run(folder))
        status = gr_fail(GR_ERROR_WRITE,
                         "%s: holds a run; resume it with --resume, or name another folder", path);
    close(folder);
out:
    return status;
}

/* UNKNOWN where there is no lock file, or no locks: a reader must not then say that the run is
 * over. */
enum gr_hold gr_lock_hold(const char *path) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return GR_HOLD_UNKNOWN;
    /* Shared, and for a moment: who looks does not keep out who looks as well. */
    const bool taken = flock(fd, LOCK_SH | LOCK_NB) == 0, held = !taken && errno == EWOULDBLOCK;
    close(fd);
    return taken ? GR_HOLD_FREE : held ? GR_HOLD_HELD : GR_HOLD_UNKNOWN;
}

enum gr_hold gr_run_directory_hold(const char *path) {
    char *lock = NULL;
    if (gr_text_format(&lock, "%s/lock", path) != GR_OK) return GR_HOLD_UNKNOWN;
    const enum gr_hold hold = gr_lock_hold(lock);
    gr_free(lock);
    return hold;
}

/* The final model, or while there is none the newest checkpoint; *out NULL: neither is there. */
gr_status gr_run_directory_model(const char *path, char **out) {
    gr_status status;
    GR_TRY(gr_text_format(out, "%s/model.h5", path));
    if (access(*out, F_OK) == 0) return GR_OK;
    gr_free(*out);
    *out = NULL;
    const uint32_t round = gr_checkpoint_newest(path);
    if (round > 0) status = gr_text_format(out, "%s/checkpoints/round-%06u.h5", path, round);
out:
    return status;
}
