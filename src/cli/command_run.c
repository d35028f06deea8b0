/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary run: starts `granary train` under the launcher, watches it, and starts it again from the
 * newest checkpoint when the launcher or too many of its ranks are gone. Ranks survive the loss of
 * others by themselves; here it is about losses that they cannot survive (mpirun, a host, rank
 * quorum).
 *
 * This process calls no MPI and reads no tables: it must outlive all that it watches. Everything it
 * knows of a start comes from files of the run directory, the status note, and the launcher's end.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/launch.h"

/*
 * Seconds: the longest pause before a restart; and the longest wait until ranks of the last start
 * have let go of the run directory.
 */
static const double backoff_max_s = 60, lock_s = 15;
/* Seconds that the launcher may outlive its run: far more than ranks need to leave, and twice what
 * they are given after a loss. Open MPI 4 over several hosts does not end once a rank was killed.
 */
static const double outlives_s = 10;

struct run {
    /* As asked for. */
    const char *config_path, *hostfile, *host_list;
    struct gr_overrides overrides;
    char *const *options; /* of the launcher */
    uint32_t ranks, restarts;
    double backoff_s, grace_s;
    bool resume, quiet;
    /* As found. */
    struct gr_config *config;
    struct gr_launcher launcher;
    struct gr_hosts hosts;
    char *path;         /* the run directory */
    char *status_path;  /* where rank 0 notes its status */
    bool was_there;     /* it held a run before the first start */
    struct stat folder; /* the run directory as it was before the first start */
    bool made;          /* it was made for this run */
    bool held;          /* since then a start has left a run in it */
    bool begun;         /* in a start the manifest was written */
    /* In this start: when the launcher was first seen to outlive what is noted; since then. */
    struct {
        int noted;
        int64_t bytes;
        double since;
    } outlived;
    uint64_t claimed_before,
        claimed;             /* whose the directory was, and is by its claims; 0: nobody's */
    double launched_s;       /* when it began, by the clock */
    bool started, unstarted; /* a rank has said that it runs; none has in time */
};

/* ---- the command line -------------------------------------------------------------------------
 */

/*
 * Words behind `--` are the launcher's. -np, mpirun's own name of -n, is taken for it: getopt would
 * read it as -n with the value "p". Changes argv in place.
 */
static void split_off_options(struct gr_invocation *invocation, struct run *run) {
    static char ranks[] = "-n";
    for (int i = 1; i < invocation->argc; i++) {
        if (strcmp(invocation->argv[i], "-np") == 0) invocation->argv[i] = ranks;
        if (strcmp(invocation->argv[i], "--") != 0) continue;
        run->options = invocation->argv + i + 1;
        invocation->argc = i;
    }
}

/* Ranges are checked here and not by ranks, which see none of these options. */
static gr_status read_option(int option, struct run *run) {
    switch (option) {
    case 's':
        return gr_overrides_add(&run->overrides, optarg);
    case 'n':
        return gr_read_count("-n", optarg, 1, 1 << 20, &run->ranks);
    case 'm':
        return gr_read_count("--restarts", optarg, 0, 1 << 20, &run->restarts);
    case 'b':
        return gr_read_number("--backoff", optarg, 0, backoff_max_s, &run->backoff_s);
    case 'g':
        return gr_read_number("--grace", optarg, 0, 1e6, &run->grace_s);
    case 'r':
        return gr_text_format(&run->path, "%s", optarg);
    case 'f':
        run->hostfile = optarg;
        return GR_OK;
    case 'h':
        run->host_list = optarg;
        return GR_OK;
    case 'c':
        run->resume = true;
        return GR_OK;
    case 'q':
        run->quiet = true;
        return GR_OK;
    default:
        return GR_ERROR_USAGE;
    }
}

/* Of --run given twice the last counts, as with all options; the earlier copy is freed. */
static gr_status read_words(struct gr_invocation *invocation, struct run *run) {
    gr_status status = GR_OK;
    int option;
    split_off_options(invocation, run);
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == 'r') gr_free(run->path);
        if (option == 'r') run->path = NULL;
        GR_TRY(read_option(option, run));
    }
    GR_TRY(gr_only_argument(invocation, "CONFIG", &run->config_path));
    if (run->ranks == 0)
        return gr_fail(GR_ERROR_USAGE,
                       "run: -n RANKS is missing, the number of processes; see `granary help run`");
    if (run->path && !*run->path)
        return gr_fail(GR_ERROR_USAGE, "--run: found '', expected a folder");
    if (run->hostfile && run->host_list)
        return gr_fail(GR_ERROR_USAGE, "run: found --hostfile and --host, expected one of them");
    if (run->hostfile) GR_TRY(gr_hosts_from_file(run->hostfile, &run->hosts));
    if (run->host_list) GR_TRY(gr_hosts_from_list(run->host_list, &run->hosts));
out:
    return status;
}

/* ---- what is needed before the first start ----------------------------------------------------
 */

/*
 * Read here too, for the run directory's name and the deadlines, and so that a mistake in it is
 * told once and at once, not by every rank after a start of MPI.
 */
static gr_status read_config(struct run *run) {
    gr_status status = GR_OK;
    char *text = NULL;
    size_t length;
    GR_TRY(gr_check_is_config(run->config_path));
    GR_TRY(gr_file_read(run->config_path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, &text, &length));
    GR_TRY(gr_config_parse(run->config_path, text, length, run->overrides.text, run->overrides.n,
                           &run->config));
    if (run->ranks > run->config->data.silos)
        status = gr_fail(GR_ERROR_USAGE,
                         "run: -n: found %u ranks for %u silos, expected at most one rank for a "
                         "silo",
                         run->ranks, run->config->data.silos);
out:
    gr_free(text);
    return status;
}

/*
 * Makes the file for the status that rank 0 notes, beside the run directory, or in it where nothing
 * may be made beside it: where the directory is shared between hosts, so is the note. Ranks never
 * create it, so a rank that does not find it knows that its host does not see the folder.
 */
static gr_status make_note(struct run *run) {
    gr_status status = GR_OK;
    GR_TRY(gr_note_path(run->path, false, &run->status_path));
    if (gr_note_clear(run->status_path) != GR_OK) {
        gr_free(run->status_path);
        run->status_path = NULL;
        if (access(run->path, F_OK) != 0)
            return gr_fail(GR_ERROR_WRITE, "run directory %s", gr_message());
        GR_TRY(gr_note_path(run->path, true, &run->status_path));
        GR_TRY(gr_note_clear(run->status_path));
    }
    if (setenv(GR_STATUS_FILE, run->status_path, 1) != 0)
        status = gr_fail(GR_ERROR_INTERNAL, "memory for the environment was refused");
out:
    return status;
}

/* Ranks on other hosts may have other working folders. */
static gr_status make_absolute(char **path) {
    char *whole = NULL;
    gr_status status = gr_path_absolute(*path, &whole);
    if (status != GR_OK) return status;
    gr_free(*path);
    *path = whole;
    return GR_OK;
}

/*
 * The folder stands before the first start, so that it is known again whatever a start was quick
 * to do. Ranks take an empty one for a new run's.
 */
static gr_status make_folder(struct run *run) {
    run->made = mkdir(run->path, 0777) == 0;
    if (!run->made && errno != EEXIST)
        return gr_fail(GR_ERROR_WRITE, "run directory %s: %s", run->path, strerror(errno));
    if (stat(run->path, &run->folder) == 0) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "run directory %s: %s", run->path, strerror(errno));
}

/*
 * The path is fixed before the first start: all restarts go to the same directory, which the ranks
 * alone would name anew each time.
 */
static gr_status choose_path(struct run *run) {
    gr_status status = GR_OK;
    struct gr_marks marks;
    if (!run->path && run->resume) {
        GR_TRY(gr_run_directory_latest(run->config, &run->path));
    } else if (!run->path) {
        GR_TRY(gr_run_directory_name(run->config, &run->path));
    }
    for (size_t n = strlen(run->path); n > 1 && run->path[n - 1] == '/';)
        run->path[--n] = '\0';
    GR_TRY(make_absolute(&run->path));
    if (run->resume && access(run->path, F_OK) != 0) {
        status = gr_fail(GR_ERROR_USAGE, "nothing to resume: %s: %s", run->path, strerror(errno));
        goto out;
    }
    if (!run->resume) GR_TRY(gr_make_folders_above(run->path));
    gr_marks_read(run->path, &marks);
    run->was_there = marks.holds_run;
    GR_TRY(make_note(run));
    status = make_folder(run);
out:
    return status;
}

/*
 * Ranks must know round.start_deadline_s before they can read the config together, so it is given
 * to them by the environment.
 */
static gr_status tell_deadline(const struct run *run) {
    char text[32];
    snprintf(text, sizeof text, "%.17g", run->config->round.start_deadline_s);
    if (setenv(GR_COMM_START_VARIABLE, text, 1) == 0) return GR_OK;
    return gr_fail(GR_ERROR_INTERNAL, "memory for the environment was refused");
}

/* ---- one start --------------------------------------------------------------------------------
 */

/*
 * Whether the run has ended and its launcher does not. A noted error may be rank 0's alone, and the
 * others may yet go on without it: they get the deadline of a sum for that, or the round's where
 * another start could not make the error good.
 */
static bool is_outlived(struct run *run) {
    double now = gr_clock_seconds(), limit = outlives_s;
    int noted = gr_noted_status(run->status_path);
    if (noted < 0) return false;
    /* Growing records show that the run still works after its note, as when other ranks go on. */
    int64_t bytes = gr_records_bytes(run->path);
    if (noted != run->outlived.noted || bytes != run->outlived.bytes) {
        run->outlived.noted = noted;
        run->outlived.bytes = bytes;
        run->outlived.since = now;
    }
    if (noted != GR_OK)
        limit += noted == GR_STOPPED ? run->config->round.collective_deadline_s
                                     : run->config->round.deadline_s;
    if (now < run->outlived.since + limit) return false;
    fprintf(stderr, "granary run: the launcher outlives its run by %g s and is ended\n", limit);
    return true;
}

/* Whether the launcher, and its host, have had their time and no rank has said that it runs. */
static bool is_unstarted(struct run *run) {
    const double limit = run->config->round.start_deadline_s;
    if (run->started || gr_clock_seconds() < run->launched_s + limit) return false;
    run->started = gr_noted_start(run->status_path);
    if (run->started) return false;
    fprintf(stderr, "granary run: no rank has started within %g s (round.start_deadline_s)\n",
            limit);
    run->unstarted = true;
    return true;
}

/*
 * Looks while a start runs: whose claim the directory has, and whether the start has left anything
 * that a restart may resume.
 */
static void notice_run(struct run *run) {
    struct gr_marks marks;
    uint64_t start;
    if (!run->claimed && gr_run_claimed_by(run->path, &start) && start != run->claimed_before)
        run->claimed = start;
    if (run->held) return;
    gr_marks_read(run->path, &marks);
    run->held = marks.holds_run;
}

/*
 * Called several times a second by gr_watch. True ends the launcher by force, and the start is
 * judged by its notes.
 */
static bool look(void *context) {
    notice_run(context);
    return is_unstarted(context) || is_outlived(context);
}

/*
 * A run is not begun anew because its folder has been moved away, replaced or emptied: a new start
 * would train from the first round under the old name. Compared by device and inode.
 */
static gr_status check_folder(const struct run *run) {
    struct stat now;
    struct gr_marks marks;
    gr_marks_read(run->path, &marks);
    if (stat(run->path, &now) != 0)
        return gr_fail(GR_ERROR_WRITE,
                       "run: %s: the run directory is gone: %s; it is not begun anew: bring it "
                       "back, and `granary run --resume` goes on",
                       run->path, strerror(errno));
    if (now.st_ino == run->folder.st_ino && now.st_dev == run->folder.st_dev &&
        (marks.holds_run || !run->held))
        return GR_OK;
    return gr_fail(GR_ERROR_WRITE,
                   "run: %s: is no longer the folder of the run; it is left as it is: bring the "
                   "run directory back, and `granary run --resume` goes on",
                   run->path);
}

/*
 * Where there are no locks another run may have taken the directory over. Started again, each would
 * take it from the other, over and over.
 */
static gr_status check_claim(const struct run *run) {
    uint64_t start;
    if (!run->claimed || !gr_run_claimed_by(run->path, &start) || start == run->claimed)
        return GR_OK;
    return gr_fail(GR_STOPPED, "run: %s: another run goes on in it; this one is over", run->path);
}

/*
 * One start from words to judgement. GR_LOST: to be started again, because of *reason (static
 * text). Signals that this process gets meanwhile are passed on by gr_watch. All state of the last
 * start is reset here, in one place.
 */
static gr_status start_once(struct run *run, bool first, const char **reason) {
    gr_status status = GR_OK;
    struct gr_words words = {0};
    struct gr_marks before, after;
    struct gr_outcome outcome = {.first = first};
    struct gr_watch watch = {.grace_s = run->grace_s, .tick = look, .context = run};
    char *hosts = NULL;
    /* Only what this run left is gone on with, never what was there before. */
    gr_marks_read(run->path, &before);
    bool resume = run->resume || (!first && !run->was_there && (run->held || before.holds_run));
    GR_TRY(gr_hosts_text(&run->hosts, &hosts));
    struct gr_start start = {.launcher = &run->launcher,
                             .ranks = run->ranks,
                             .hosts = hosts,
                             .options = run->options,
                             .config_path = run->config_path,
                             .overrides = &run->overrides,
                             .run_path = run->path,
                             .resume = resume,
                             .quiet = run->quiet};
    GR_TRY(gr_start_words(&start, &words));
    GR_TRY(gr_note_clear(run->status_path));
    run->outlived.noted = -1;
    run->started = run->unstarted = false;
    run->claimed = run->claimed_before = 0;
    (void)gr_run_claimed_by(run->path, &run->claimed_before);
    run->launched_s = gr_clock_seconds();
    GR_TRY(gr_watch(&words, &watch, &outcome.end));
    notice_run(run);
    gr_marks_read(run->path, &after);
    outcome.noted = gr_noted_status(run->status_path);
    outcome.unstarted = run->unstarted;
    /* The manifest is replaced by each start that gets as far as its first round. */
    outcome.began = memcmp(before.manifest, after.manifest, sizeof after.manifest) != 0;
    run->begun |= outcome.began;
    outcome.fresh = !run->begun;
    outcome.finished = gr_run_finished(run->path);
    status = gr_outcome_judge(&outcome, reason);
out:
    gr_words_release(&words);
    gr_free(hosts);
    return status;
}

/* ---- from one start to the next ---------------------------------------------------------------
 */

/* As many ranks as the hosts that are left were given. */
static gr_status drop_dead_hosts(struct run *run) {
    uint64_t before = gr_hosts_slots(&run->hosts);
    if (before == 0) return GR_OK;
    gr_status status = gr_hosts_probe(&run->launcher, &run->hosts);
    uint64_t left = gr_hosts_slots(&run->hosts);
    if (status != GR_OK) return status;
    if (left == 0)
        return gr_fail(GR_STOPPED, "run: no host answers; `granary run --resume` goes on");
    if (left < before && run->ranks > left)
        run->ranks = run->ranks <= before ? (uint32_t)left
                                          : (uint32_t)((run->ranks * left + before - 1) / before);
    return GR_OK;
}

/* Opens the run directory as a run does: ranks on other hosts may take a while to let go of it. */
static gr_status take_directory(const struct run *run, struct gr_run_directory **out) {
    double limit = gr_clock_seconds() + lock_s;
    gr_status status;
    while ((status = gr_run_directory_open(run->config, run->path, true, out)) == GR_ERROR_WRITE &&
           gr_clock_seconds() < limit)
        if (gr_watch_pause(0.2)) return gr_fail(GR_STOPPED, "run: stopped by a signal");
    return status;
}

/*
 * Writes the event "restarted", while no rank runs: events.jsonl has one writer at a time, for
 * which the directory's lock is taken. A start that left no run leaves no record to note it in.
 */
static gr_status note_restart(const struct run *run, uint32_t attempt, uint32_t round,
                              const char *reason) {
    gr_status status = GR_OK;
    struct gr_run_directory *directory = NULL;
    struct gr_events_file *events = NULL;
    struct gr_marks marks;
    char *path = NULL, *detail = NULL;
    gr_marks_read(run->path, &marks);
    if (run->was_there ? !run->resume : !marks.holds_run) return GR_OK;
    GR_TRY(gr_text_format(&path, "%s/events.jsonl", run->path));
    GR_TRY(gr_text_format(&detail, "{\"attempt\":%u,\"reason\":\"%s\",\"ranks\":%u}", attempt,
                          reason, run->ranks));
    GR_TRY(take_directory(run, &directory));
    GR_TRY(gr_events_open(path, &events));
    GR_TRY(gr_events_append(events, "restarted", round, detail));
out:
    gr_events_close(events);
    gr_run_directory_close(directory);
    gr_free(detail);
    gr_free(path);
    return status;
}

/*
 * The pause doubles with each restart in a row, from --backoff to backoff_max_s: a cause that
 * passes (a file system, a network) gets time, and a cause that stays does not keep a cluster busy.
 */
static gr_status prepare_restart(struct run *run, uint32_t attempt, uint32_t round,
                                 const char *reason) {
    gr_status status = GR_OK;
    double pause = fmin(backoff_max_s, run->backoff_s * exp2(fmin(attempt - 1, 30)));
    GR_TRY(check_claim(run));
    GR_TRY(drop_dead_hosts(run));
    fprintf(stderr, "granary run: %s; restart %u of %u, from round %u, on %u rank%s, in %g s\n",
            reason, attempt, run->restarts, round, run->ranks, run->ranks == 1 ? "" : "s", pause);
    if (gr_watch_pause(pause))
        return gr_fail(GR_STOPPED, "run: stopped by a signal; `granary run --resume` goes on");
    GR_TRY(check_folder(run));
    /* An event ends no run: where the folder has no room, or its records are damaged, ranks say. */
    if (note_restart(run, attempt, round, reason) != GR_OK)
        fprintf(stderr, "granary run: the restart is not noted: %s\n", gr_message());
out:
    return status;
}

/*
 * Starts until the end. Restarts count only since the last checkpoint of a new round: a run that
 * gets on may be restarted without limit, a run that gets nowhere ends after --restarts of them,
 * with GR_STOPPED.
 */
static gr_status start_until_done(struct run *run) {
    const char *reason = NULL;
    uint32_t attempt = 0, reached = 0;
    struct gr_marks marks;
    gr_marks_read(run->path, &marks);
    reached = marks.checkpoint;
    gr_status status = start_once(run, true, &reason);
    while (status == GR_LOST) {
        gr_marks_read(run->path, &marks);
        if (marks.checkpoint > reached) attempt = 0;
        reached = marks.checkpoint;
        if (attempt == run->restarts)
            return gr_fail(GR_STOPPED,
                           "run: %s; given up after %u restart%s without a checkpoint "
                           "of a new round; `granary run --resume` goes on",
                           reason, attempt, attempt == 1 ? "" : "s");
        attempt++;
        status = prepare_restart(run, attempt, reached, reason);
        if (status == GR_OK) status = start_once(run, false, &reason);
    }
    return status;
}

/*
 * gr_watch_begin comes before all that may start processes or hang. The guard of gr_watch_self
 * needs the config's deadline, so the reading of the config itself is not guarded.
 */
gr_status gr_command_run(struct gr_invocation *invocation) {
    gr_status status = GR_OK;
    struct run run = {.restarts = 5, .backoff_s = 1, .grace_s = 60};
    GR_TRY(gr_start_check_once());
    GR_TRY(read_words(invocation, &run));
    gr_watch_begin();
    GR_TRY(read_config(&run));
    gr_watch_self(run.config->round.start_deadline_s,
                  "granary run: given up: the file system of the run directory does not answer; "
                  "`granary run --resume` goes on\n");
    GR_TRY(tell_deadline(&run));
    GR_TRY(gr_launcher_find(&run.launcher));
    GR_TRY(choose_path(&run));
    status = start_until_done(&run);
    if (status == GR_OK) gr_notes_clear(run.path);
out:
    if (run.status_path) unlink(run.status_path);
    if (run.made) rmdir(run.path); /* as long as it is empty: no start has begun */
    gr_hosts_release(&run.hosts);
    gr_config_free(run.config);
    free(run.launcher.path);
    gr_free(run.path);
    gr_free(run.status_path);
    free(run.overrides.text);
    return status;
}
