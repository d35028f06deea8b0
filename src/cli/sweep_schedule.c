/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of a plan beside each other, each a process of its own: `granary train` where one rank
 * trains, which needs no launcher, else `granary run`. This process calls no MPI. What is left to
 * be done is read from the folder alone, again and again while others work in it too.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/launch.h"
#include "cli/sweep.h"

/* Seconds: between two looks at runs that others have; from SIGTERM to SIGKILL; between two
 * signals, as a run may not have listened yet. */
static const double look_s = 1, force_s = 5, repeat_s = 5;
/* Starts of a run by this process, before what ends it otherwise than by its own words counts. */
enum { STARTS_MAX = 3, REASON_MAX = 200, LOG_TAIL = 4096 };

gr_status gr_schedule_option(int option, struct gr_schedule_asked *asked) {
    switch (option) {
    case 'j':
        return gr_read_count("--jobs", optarg, 1, 1000, &asked->jobs);
    case 'g':
        return gr_read_number("--grace", optarg, 0, 1e6, &asked->grace_s);
    case 'y':
        asked->retry = true;
        return GR_OK;
    case 'q':
        asked->quiet = true;
        return GR_OK;
    default:
        return GR_ERROR_USAGE;
    }
}

enum fate {
    FATE_OPEN,   /* to be looked at */
    FATE_THEIRS, /* another process has it, or its directory */
    FATE_OURS,   /* running here */
    FATE_DONE,
    FATE_FAILED
};
struct scheduled_run {
    enum fate fate;
    pid_t pid;
    uint32_t starts;
    double looked_s; /* at one of others; or when the start after a failure may be */
    struct gr_run_claim claim;
};
struct schedule {
    const struct gr_sweep_plan *plan;
    const struct gr_schedule_asked *asked;
    struct gr_claims *claims;
    uint32_t rung, jobs;
    const bool *points;
    struct scheduled_run *runs; /* owned */
    size_t n, n_running, n_ended, n_all;
    bool asked_to_end;
    double asked_s, repeated_s;
    gr_status status;
    char why[GR_MESSAGE_MAX]; /* of the status */
    char program[PATH_MAX];
};

/* ---- starting -------------------------------------------------------------------------------- */

/* Cores that this process may use, by runs of so many ranks; over several hosts one at a time. */
static uint32_t jobs_that_fit(uint32_t ranks) {
    const int each = ranks > 1 ? (int)ranks : 1;
    const char *nodes = getenv("SLURM_JOB_NUM_NODES");
    cpu_set_t cores;
    if (nodes && atol(nodes) > 1) return 1;
    const int n = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
    return n > each ? (uint32_t)(n / each) : 1;
}

static gr_status add_words(struct gr_words *words, const struct schedule *s, size_t run,
                           const char *folder, bool resume) {
    static const char *const unbound[] = {"--", "--bind-to", "none"};
    gr_status status = GR_OK;
    struct gr_overrides overrides = {0};
    char *config = NULL;
    GR_TRY(gr_plan_config(s->plan, run, &config));
    GR_TRY(gr_plan_overrides(s->plan, run, s->rung, &overrides));
    GR_TRY(gr_words_add(words, "%s", s->program));
    GR_TRY(gr_words_add(words, "%s", s->asked->ranks > 1 ? "run" : "train"));
    if (s->asked->ranks > 1) {
        GR_TRY(gr_words_add(words, "-n"));
        GR_TRY(gr_words_add(words, "%u", s->asked->ranks));
        GR_TRY(gr_words_add(words, "--grace"));
        GR_TRY(gr_words_add(words, "%.17g", s->asked->grace_s));
    }
    GR_TRY(gr_words_add(words, "%s", config));
    GR_TRY(gr_words_add(words, "--quiet"));
    GR_TRY(gr_words_add(words, "--run"));
    GR_TRY(gr_words_add(words, "%s", folder));
    if (resume) GR_TRY(gr_words_add(words, "--resume"));
    for (size_t i = 0; i < overrides.n; i++) {
        GR_TRY(gr_words_add(words, "--set"));
        GR_TRY(gr_words_add(words, "%s", overrides.text[i]));
    }
    /* Launchers do not know of each other, and would bind all ranks to the first cores. */
    for (size_t i = 0; s->asked->ranks > 1 && s->jobs > 1 && i < 3; i++)
        GR_TRY(gr_words_add(words, "%s", unbound[i]));
out:
    gr_plan_overrides_release(&overrides);
    gr_free(config);
    return status;
}

static gr_status log_path(const struct schedule *s, size_t run, char **out) {
    char name[GR_RUN_NAME_MAX];
    gr_plan_run_name(s->plan, run, name);
    return gr_text_format(out, "%s/logs/%s.log", s->plan->folder, name);
}

static gr_status start_run(struct schedule *s, size_t i, const char *folder) {
    gr_status status = GR_OK;
    struct gr_words words = {0};
    struct gr_marks marks;
    char *log = NULL;
    int output = -1;
    GR_TRY(log_path(s, i, &log));
    gr_marks_read(folder, &marks);
    GR_TRY(add_words(&words, s, i, folder, marks.holds_run));
    output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (output < 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", log, strerror(errno));
        goto out;
    }
    s->runs[i].pid = gr_watch_start(&words, output);
    if (s->runs[i].pid < 0) {
        status = gr_fail(GR_ERROR_INTERNAL, "no process: %s", strerror(errno));
        goto out;
    }
    s->runs[i].fate = FATE_OURS;
    s->runs[i].starts++;
    s->n_running++;
out:
    if (output >= 0) close(output);
    gr_words_release(&words);
    gr_free(log);
    return status;
}

/* ---- looking --------------------------------------------------------------------------------- */

static void settle(struct schedule *s, size_t i, enum fate fate, const char *words) {
    char name[GR_RUN_NAME_MAX];
    s->runs[i].fate = fate;
    if (fate != FATE_DONE && fate != FATE_FAILED) return;
    s->n_ended++;
    if (!words || s->asked->quiet) return;
    gr_plan_run_name(s->plan, i, name);
    printf("%zu/%zu  %s  %s\n", s->n_ended, s->n_all, name, words);
    fflush(stdout);
}

/* What the folder says, and whether the run is to be begun here now. */
static gr_status look_at(struct schedule *s, size_t i) {
    gr_status status = GR_OK;
    struct scheduled_run *run = &s->runs[i];
    struct gr_sweep_result found = {0};
    char name[GR_RUN_NAME_MAX], *folder = NULL;
    if (gr_clock_seconds() < run->looked_s) return GR_OK;
    run->looked_s = gr_clock_seconds() + look_s;
    gr_plan_run_name(s->plan, i, name);
    gr_result_state(s->plan, i, s->rung, &found);
    if (found.state == GR_SWEEP_DONE || (found.state == GR_SWEEP_FAILED && !s->asked->retry)) {
        const bool told = run->fate == FATE_THEIRS;
        settle(s, i, found.state == GR_SWEEP_DONE ? FATE_DONE : FATE_FAILED,
               told ? "ended elsewhere" : NULL);
        return GR_OK;
    }
    GR_TRY(gr_claim_take(s->claims, name, &run->claim));
    GR_TRY(gr_text_format(&folder, "%s/%s", s->plan->folder, name));
    /* A process that lost its sweep may still be writing its last checkpoint. */
    if (!run->claim.ours || gr_run_directory_hold(folder) == GR_HOLD_HELD) {
        run->fate = FATE_THEIRS;
        goto out;
    }
    /* Whoever had the claim may have brought the run to its end meanwhile. */
    gr_result_state(s->plan, i, s->rung, &found);
    if (found.state == GR_SWEEP_DONE) {
        settle(s, i, FATE_DONE, "ended elsewhere");
        goto out;
    }
    if (found.state == GR_SWEEP_FAILED) GR_TRY(gr_result_retry(s->plan, name));
    status = start_run(s, i, folder);
out:
    gr_free(folder);
    return status;
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* The last words of a log: the last line that granary said, quoted. */
static void last_words(const struct schedule *s, size_t run, char out[REASON_MAX]) {
    char *path = NULL, tail[LOG_TAIL + 1] = "", *line, *rest = tail;
    out[0] = '\0';
    if (log_path(s, run, &path) != GR_OK) return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    gr_free(path);
    if (fd < 0) return;
    const off_t length = lseek(fd, 0, SEEK_END);
    const ssize_t n = pread(fd, tail, LOG_TAIL, length > LOG_TAIL ? length - LOG_TAIL : 0);
    close(fd);
    tail[n > 0 ? n : 0] = '\0';
    while ((line = strsep(&rest, "\n")))
        if (strncmp(line, "granary: ", 9) == 0)
            gr_text_quote(line + 9, strlen(line + 9), out, REASON_MAX);
}

static gr_status note_failure(struct schedule *s, size_t i, int code, const char *reason) {
    char name[GR_RUN_NAME_MAX], words[REASON_MAX + 32];
    gr_plan_run_name(s->plan, i, name);
    const gr_status status = gr_result_fail(s->plan, name, code, reason);
    if (status != GR_OK) return status;
    snprintf(words, sizeof words, "failed (%d): %.*s", code, (int)strcspn(reason, ";"), reason);
    settle(s, i, FATE_FAILED, words);
    return GR_OK;
}

static void tell_done(struct schedule *s, size_t i) {
    struct gr_sweep_result result = {0};
    char words[128] = "done", score[64] = "";
    const size_t metric = gr_score_find(s->plan->metric);
    if (!s->asked->quiet && gr_result_read(s->plan, i, s->rung, &result) == GR_OK) {
        if (metric < GR_SCORES_MAX && !isnan(result.last[metric]))
            snprintf(score, sizeof score, "%s %.4g  ", s->plan->metric, result.last[metric]);
        snprintf(words, sizeof words, "%s%llu rounds in %.3g s", score,
                 (unsigned long long)result.rounds, result.seconds);
    }
    gr_free(result.by_rung);
    settle(s, i, FATE_DONE, words);
}

/* A run has ended otherwise than well. 73 and 75 may be about others, and are looked into. */
static gr_status judge_failure(struct schedule *s, size_t i, int how) {
    struct scheduled_run *run = &s->runs[i];
    char reason[REASON_MAX], name[GR_RUN_NAME_MAX], *folder = NULL;
    gr_status status = GR_OK;
    const int code = WIFEXITED(how) ? WEXITSTATUS(how) : GR_STOPPED;
    run->fate = FATE_OPEN;
    run->looked_s = 0;
    if (s->asked_to_end) return GR_OK;
    gr_plan_run_name(s->plan, i, name);
    GR_TRY(gr_text_format(&folder, "%s/%s", s->plan->folder, name));
    if (code == GR_ERROR_WRITE && gr_run_directory_hold(folder) == GR_HOLD_HELD) {
        run->fate = FATE_THEIRS;
        goto out;
    }
    last_words(s, i, reason);
    if (WIFSIGNALED(how)) snprintf(reason, sizeof reason, "ended by signal %d", WTERMSIG(how));
    if (code == GR_ERROR_WRITE) {
        /* A disk that is full is so for the runs that follow as well. */
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", name, reason);
        goto out;
    }
    if (code == GR_STOPPED && run->starts < STARTS_MAX) {
        run->looked_s = gr_clock_seconds() + (double)run->starts;
        goto out;
    }
    status = note_failure(s, i, code, reason);
out:
    gr_free(folder);
    return status;
}

static size_t find_pid(const struct schedule *s, pid_t pid) {
    size_t i = 0;
    while (i < s->n && (s->runs[i].fate != FATE_OURS || s->runs[i].pid != pid))
        i++;
    return i;
}

/* Orphans of a run become children of this process, and are no runs. */
static gr_status reap(struct schedule *s) {
    gr_status status = GR_OK;
    struct gr_sweep_result found = {0};
    int how;
    for (pid_t pid; status == GR_OK && (pid = waitpid(-1, &how, WNOHANG)) > 0;) {
        const size_t i = find_pid(s, pid);
        if (i == s->n) continue;
        s->n_running--;
        gr_result_state(s->plan, i, s->rung, &found);
        if (found.state == GR_SWEEP_DONE)
            tell_done(s, i);
        else
            status = judge_failure(s, i, how);
    }
    return status;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void signal_runs(const struct schedule *s, int number, bool whole_groups) {
    for (size_t i = 0; i < s->n; i++)
        if (s->runs[i].fate == FATE_OURS)
            kill(whole_groups ? -s->runs[i].pid : s->runs[i].pid, number);
}

/* A second SIGINT or SIGTERM, and the end of the grace, end by force. */
static void take_signal(struct schedule *s, int number) {
    const double now = gr_clock_seconds(), grace_s = s->asked->grace_s;
    const bool asks = number != 0 && number != SIGCHLD;
    const bool insists = asks && s->asked_to_end && now > s->asked_s + 0.5 &&
                         (number == SIGINT || number == SIGTERM);
    if (asks && !s->asked_to_end) {
        s->asked_to_end = true;
        s->asked_s = now;
        s->repeated_s = 0;
    }
    if (insists && now < s->asked_s + grace_s) s->asked_s = now - grace_s;
    if (!s->asked_to_end) return;
    if (now > s->asked_s + grace_s + force_s) {
        signal_runs(s, SIGKILL, true);
    } else if (now > s->repeated_s + repeat_s || insists) {
        const bool force = now >= s->asked_s + grace_s;
        signal_runs(s, force ? SIGTERM : SIGUSR1, force);
        s->repeated_s = now;
    }
}

/* What ends the schedule ends the runs that it has started, in order. */
static void give_up(struct schedule *s, gr_status status) {
    if (s->status != GR_OK) return;
    s->status = status;
    snprintf(s->why, sizeof s->why, "%s", gr_message());
    take_signal(s, SIGUSR1);
}

/* Starts what there is room for. *left: runs that have not ended; *elsewhere: of these of others.
 */
static gr_status fill(struct schedule *s, size_t *left, size_t *elsewhere) {
    gr_status status = GR_OK;
    *left = *elsewhere = 0;
    for (size_t i = 0; i < s->n && status == GR_OK; i++) {
        struct scheduled_run *run = &s->runs[i];
        if (!s->points[i / s->plan->n_seeds]) continue;
        if (run->fate < FATE_OURS && s->n_running < s->jobs && !s->asked_to_end)
            status = look_at(s, i);
        *left += run->fate < FATE_DONE;
        *elsewhere += run->fate == FATE_THEIRS;
    }
    return status;
}

static gr_status loop(struct schedule *s) {
    for (;;) {
        size_t left = 0, elsewhere = 0;
        gr_status status = reap(s);
        if (status == GR_OK) status = fill(s, &left, &elsewhere);
        if (status != GR_OK) give_up(s, status);
        if (s->n_running == 0 && (s->asked_to_end || s->status != GR_OK)) break;
        if (status == GR_OK && left == 0) return GR_OK;
        if (status == GR_OK && s->asked->no_wait && left == elsewhere) return GR_OK;
        gr_claims_touch(s->claims);
        take_signal(s, gr_watch_signal(left == elsewhere ? look_s : look_s / 4));
    }
    if (s->status != GR_OK) return gr_fail(s->status, "%s", s->why);
    return gr_fail(GR_STOPPED, "%s: stopped by a signal; the same command goes on",
                   s->plan->folder);
}

gr_status gr_schedule_rung(const struct gr_sweep_plan *plan, const struct gr_schedule_asked *asked,
                           struct gr_claims *claims, uint32_t rung, const bool *points,
                           size_t *n_open) {
    gr_status status = GR_OK;
    struct schedule s = {.plan = plan,
                         .asked = asked,
                         .claims = claims,
                         .rung = rung,
                         .points = points,
                         .jobs = asked->jobs ? asked->jobs : jobs_that_fit(asked->ranks),
                         .n = gr_plan_runs(plan)};
    char *logs = NULL;
    *n_open = 0;
    GR_TRY(gr_own_program(s.program));
    GR_TRY(gr_text_format(&logs, "%s/logs", plan->folder));
    GR_TRY(gr_make_folder(logs));
    GR_TRY(gr_allocate_zero(s.n, sizeof *s.runs, "runs", &s.runs));
    for (size_t i = 0; i < s.n; i++)
        s.n_all += points[i / plan->n_seeds];
    status = loop(&s);
    gr_watch_sweep();
    for (size_t i = 0; i < s.n; i++)
        *n_open += s.runs[i].fate == FATE_THEIRS;
out:
    gr_free(s.runs);
    gr_free(logs);
    return status;
}
