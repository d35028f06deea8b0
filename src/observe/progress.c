/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The progress line: redrawn in place on a terminal and fitted to its width; plain lines elsewhere,
 * few enough for a batch job's log. Rank 0's alone.
 *
 * A thread of its own redraws the time of a long phase, while the main thread is in a kernel or in
 * MPI. It calls no MPI and takes no part in training; a lock orders the drawings of both.
 */
#include <granary/observe.h>

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "observe/job.h"
#include "observe/opening.h"

enum { LINE_BYTES = 256, SAID_BYTES = 512, PHASE_BYTES = 80, WIDTH_DEFAULT = 80 };

/*
 * Seconds between two drawings of rounds, on a terminal and elsewhere; and between two drawings of
 * a phase that takes long within a round.
 */
static const double redraw_s = 0.1, plain_s = 2, wait_redraw_s = 1, wait_plain_s = 30;

struct gr_progress {
    FILE *stream;
    bool terminal;
    struct gr_job job;
    uint32_t rounds, first, done; /* first: rounds done before this process */
    double started_s, drawn_s, processed;
    double accuracy, loss; /* the last that were known; of the test rows where there are any */
    bool of_test;
    struct gr_metrics last;
    bool pending; /* a round has come that is not drawn yet */
    /* The work under way; "": none that is to be told. */
    char phase[PHASE_BYTES];
    double phase_s; /* since when */
    /* The thread that tells it. All above is under the lock once there is one. */
    pthread_t watcher;
    pthread_mutex_t lock;
    pthread_cond_t end;
    bool watching, ending;
    const char *resume; /* at the end: how the run is gone on with; NULL: it is not told */
};

/*
 * Whether a person watches. Open MPI gives rank 0 a terminal of its own whatever mpirun's output
 * is: there the launcher's standard output decides. On another host than mpirun's the launcher is a
 * daemon without one: plain lines.
 */
static bool is_watched(FILE *stream) {
    char name[64], target[64] = "";
    if (!stream || !isatty(fileno(stream))) return false;
    if (!getenv("OMPI_COMM_WORLD_RANK")) return true;
    snprintf(name, sizeof name, "/proc/%d/fd/1", (int)getppid());
    if (readlink(name, target, sizeof target - 1) < 0) return false;
    return strncmp(target, "/dev/pts/", 9) == 0 || strncmp(target, "/dev/tty", 8) == 0;
}

/* Without the thread there is nothing to lock. */
static void enter(struct gr_progress *p) {
    if (p->watching) pthread_mutex_lock(&p->lock);
}

static void leave(struct gr_progress *p) {
    if (p->watching) pthread_mutex_unlock(&p->lock);
}

/* Asked anew with each drawing: windows are resized. */
static size_t width_of(FILE *stream) {
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return WIDTH_DEFAULT;
}

/* "0:07", "12:30", "3:04:05". */
static void duration_text(double seconds, char *out, size_t size) {
    unsigned long s = seconds < 3.6e6 ? (unsigned long)(seconds + 0.5) : 3600000;
    if (s < 3600)
        snprintf(out, size, "%lu:%02lu", s / 60, s % 60);
    else
        snprintf(out, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
}

/* "132,000": three significant digits, for a rate that moves. */
static void rate_text(double rate, char out[32]) {
    double unit = rate >= 1000 ? pow(10, floor(log10(rate)) - 2) : 1;
    gr_count_text((uint64_t)(round(fmin(rate, 1e15) / unit) * unit), out);
}

/*
 * Adds a field if the line stays within `width`; fields come in the order of their weight, so that
 * a narrow terminal lacks the least important ones.
 */
static void add(char line[LINE_BYTES], size_t width, const char *field) {
    size_t used = strlen(line), n = strlen(field);
    if (used + n <= width && used + n < LINE_BYTES) memcpy(line + used, field, n + 1);
}

/*
 * The line of a round. The ETA assumes that the rounds left take as long as those of this process
 * on average. Unknown figures are left out.
 */
static void compose(const struct gr_progress *p, size_t width, char line[LINE_BYTES]) {
    char field[64], number[32];
    double elapsed = gr_clock_seconds() - p->started_s;
    uint32_t rounds = p->done - p->first;
    snprintf(line, LINE_BYTES, "round %u/%u", p->done, p->rounds);
    if (isfinite(p->accuracy)) {
        snprintf(field, sizeof field, "  accuracy %.2f %%", 100 * p->accuracy);
        add(line, width, field);
    }
    if (isfinite(p->last.train_loss)) {
        snprintf(field, sizeof field, "  loss %.4f", p->last.train_loss);
        add(line, width, field);
    }
    if (rounds > 0 && p->done < p->rounds) {
        duration_text(elapsed / rounds * (p->rounds - p->done), number, sizeof number);
        snprintf(field, sizeof field, "  ETA %s", number);
        add(line, width, field);
    }
    if (p->last.participants < p->last.selected)
        snprintf(field, sizeof field, "  %u of %u silos", p->last.participants, p->last.selected);
    else
        snprintf(field, sizeof field, "  %u silos", p->last.participants);
    add(line, width, field);
    if (elapsed > 0 && p->processed > 0) { /* under differential privacy they are not told */
        rate_text(p->processed / elapsed, number);
        snprintf(field, sizeof field, "  %s samples/s", number);
        add(line, width, field);
    }
}

/* \r and \033[K redraw in place: no more of the terminal's abilities is assumed. */
static void draw(struct gr_progress *p) {
    char line[LINE_BYTES];
    /* A terminal's last column is left free: some wrap when it is written. */
    compose(p, p->terminal ? width_of(p->stream) - 1 : LINE_BYTES - 1, line);
    if (p->terminal)
        fprintf(p->stream, "\r%s\033[K", line);
    else
        fprintf(p->stream, "%s\n", line);
    fflush(p->stream);
    p->drawn_s = gr_clock_seconds();
    p->pending = false;
}

/* ---- what takes long ------------------------------------------------------------------------ */

/* "loading data, 0:12", with the scores of the last round behind it where there was one. */
static void draw_phase(struct gr_progress *p) {
    char line[LINE_BYTES], rounds[LINE_BYTES] = "", time[32];
    const size_t width = p->terminal ? width_of(p->stream) - 1 : LINE_BYTES - 1;
    duration_text(gr_clock_seconds() - p->phase_s, time, sizeof time);
    snprintf(line, sizeof line, "%s, %s", p->phase, time);
    if (p->done > p->first) {
        compose(p, LINE_BYTES - 1, rounds);
        const char *behind = strstr(rounds, "  ");
        if (behind) add(line, width, behind);
    }
    fprintf(p->stream, p->terminal ? "\r%.*s\033[K" : "%.*s\n", (int)width, line);
    fflush(p->stream);
    p->drawn_s = gr_clock_seconds();
}

/*
 * The thread that tells how long a phase takes already; it wakes each second, and draws only where
 * nothing was drawn meanwhile.
 */
static void *watch(void *context) {
    struct gr_progress *p = context;
    const double pause_s = p->terminal ? wait_redraw_s : wait_plain_s;
    pthread_mutex_lock(&p->lock);
    while (!p->ending) {
        struct timespec until;
        /*
         * A condition variable waits by the realtime clock unless told otherwise; a jump of the
         * clock costs one late drawing at most.
         */
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&p->end, &p->lock, &until);
        const double now = gr_clock_seconds();
        if (p->ending || !p->phase[0] || now - p->phase_s < pause_s || now - p->drawn_s < pause_s)
            continue;
        draw_phase(p);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/*
 * Signals are blocked in the new thread, so that a stop request reaches the thread that runs the
 * rounds. If the thread cannot be made, everything works without it, only long phases stay silent.
 */
static void start_watcher(struct gr_progress *p) {
    sigset_t all, before;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->end, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    p->watching = pthread_create(&p->watcher, NULL, watch, p) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A phase that was drawn on a terminal goes from it. */
static void clear_line(const struct gr_progress *p) {
    if (p->terminal && p->phase[0] && p->drawn_s > p->phase_s) fputs("\r\033[K", p->stream);
}

/* Joined, not cancelled: a cancelled thread could leave the lock held. */
static void stop_watcher(struct gr_progress *p) {
    if (!p->watching) return;
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_signal(&p->end);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->watcher, NULL);
    p->watching = false;
    clear_line(p);
}

static void set_phase(struct gr_progress *p, const char *phase) {
    snprintf(p->phase, sizeof p->phase, "%s", phase);
    p->phase_s = gr_clock_seconds();
}

/* ---- from the beginning to the end ---------------------------------------------------------- */

/* stream NULL: nothing is drawn, but Slurm's comment is still told. The stream is borrowed. */
gr_status gr_progress_create(FILE *stream, uint32_t rounds, uint32_t rounds_done,
                             struct gr_progress **out) {
    gr_status status = gr_allocate_zero(1, sizeof **out, "progress", out);
    if (status != GR_OK) return status;
    (*out)->stream = stream;
    (*out)->terminal = is_watched(stream);
    (*out)->rounds = rounds;
    (*out)->first = (*out)->done = rounds_done;
    (*out)->started_s = gr_clock_seconds();
    (*out)->drawn_s = -INFINITY;
    (*out)->accuracy = (*out)->loss = NAN;
    gr_job_find(&(*out)->job);
    if (stream) start_watcher(*out);
    return GR_OK;
}

/* A phase is drawn only once it has lasted; short ones never appear. */
void gr_progress_phase(struct gr_progress *p, const char *phase) {
    if (!p) return;
    enter(p);
    set_phase(p, phase ? phase : "");
    leave(p);
}

/* Called between silos; the time shown is that of the round's training, not of the single silo. */
void gr_progress_trained(struct gr_progress *p, uint32_t round, uint32_t done, uint32_t of) {
    char phase[PHASE_BYTES];
    if (!p) return;
    enter(p);
    const double began_s = p->phase_s;
    if (done < of)
        snprintf(phase, sizeof phase, "round %u/%u: %u of %u silos of this rank have trained",
                 round, p->rounds, done, of);
    else
        snprintf(phase, sizeof phase, "round %u/%u: summed up and evaluated", round, p->rounds);
    set_phase(p, phase);
    if (done > 0) p->phase_s = began_s; /* of the round */
    leave(p);
}

/*
 * The clock of the ETA begins here and not at creation: loading the tables is no part of a round.
 */
void gr_progress_open(struct gr_progress *p, const struct gr_opening *o) {
    if (!p) return;
    enter(p);
    p->started_s = gr_clock_seconds();
    p->first = p->done = o->rounds_done;
    if (p->stream) {
        clear_line(p);
        gr_opening_write(p->stream, o);
        fflush(p->stream);
    }
    set_phase(p, "");
    leave(p);
}

/* For whoever looks into the queue; whether it is told now. */
static bool tell_job(struct gr_progress *p, const char *state) {
    char text[LINE_BYTES], number[32];
    if (!p->job.id[0]) return false;
    snprintf(text, sizeof text, "granary %s %u/%u", state, p->done, p->rounds);
    if (p->job.with_scores && isfinite(p->accuracy))
        snprintf(text + strlen(text), sizeof text - strlen(text), " accuracy %.1f%%",
                 100 * p->accuracy);
    if (p->done > p->first && p->done < p->rounds) {
        const double elapsed = gr_clock_seconds() - p->started_s;
        duration_text(elapsed / (p->done - p->first) * (p->rounds - p->done), number,
                      sizeof number);
        snprintf(text + strlen(text), sizeof text - strlen(text), " ETA %s", number);
    }
    return gr_job_comment(&p->job, text, strcmp(state, "round") != 0);
}

/*
 * Test scores go before validation scores; once a round had test scores, later rounds without them
 * keep the last known. True: Slurm's comment was told, which the ledger of releases is to note.
 */
bool gr_progress_round(struct gr_progress *p, const struct gr_metrics *metrics) {
    if (!p) return false;
    enter(p);
    set_phase(p, "");
    /* Whoever has taken over began with a round under way. */
    double began_s = gr_clock_seconds() - metrics->seconds.total;
    if (isfinite(began_s) && began_s < p->started_s) p->started_s = began_s;
    p->last = *metrics;
    p->done = metrics->round;
    p->processed += (double)metrics->processed;
    /* A model that predicts a number has a loss, and no accuracy. */
    if (isfinite(metrics->test_loss)) {
        p->of_test = true;
        p->accuracy = metrics->test_accuracy;
        p->loss = metrics->test_loss;
    } else if (!p->of_test && isfinite(metrics->validation_loss)) {
        p->accuracy = metrics->validation_accuracy;
        p->loss = metrics->validation_loss;
    }
    p->pending = true;
    double since = gr_clock_seconds() - p->drawn_s;
    if (p->stream && (p->done >= p->rounds || since >= (p->terminal ? redraw_s : plain_s))) draw(p);
    const bool told = tell_job(p, "round");
    leave(p);
    return told;
}

bool gr_progress_tells_job(const struct gr_progress *p) {
    return p && p->job.id[0] != '\0';
}

/* The text may hold names from files and is quoted. */
void gr_progress_say(struct gr_progress *p, const char *text) {
    char line[SAID_BYTES];
    if (!p || !p->stream) return;
    gr_text_quote(text, strlen(text), line, sizeof line);
    enter(p);
    /* On a terminal it takes the place of the progress line, which is drawn again below it. */
    fprintf(p->stream, p->terminal ? "\r%s\033[K\n" : "%s\n", line);
    if (p->terminal && p->done > p->first && isfinite(p->drawn_s)) draw(p);
    fflush(p->stream);
    leave(p);
}

/* "  test       81.20 % (largest class 52.00 %), AUC 0.870, loss 0.4123"; "  test       loss
 * 0.4123, R2 0.870" of a model that predicts a number. */
static void say_scores(const struct gr_progress *p, const struct gr_headline *h) {
    const bool classes = isfinite(p->accuracy);
    if (!classes && !isfinite(p->loss)) return;
    fprintf(p->stream, "  %-11s", p->of_test ? "test" : "validation");
    if (classes) fprintf(p->stream, "%.2f %%", 100 * p->accuracy);
    if (h && isfinite(h->largest)) fprintf(p->stream, " (largest class %.2f %%)", 100 * h->largest);
    if (h && isfinite(h->auc)) fprintf(p->stream, ", AUC %.3f", h->auc);
    if (isfinite(p->loss)) fprintf(p->stream, "%sloss %.4f", classes ? ", " : "", p->loss);
    if (h && isfinite(h->r2)) fprintf(p->stream, ", R2 %.3f", h->r2);
    fputc('\n', p->stream);
}

/* A pending round is drawn first, so that the last line of rounds is of the last round. */
static void say_end(struct gr_progress *p, const char *run_path, const char *model_digest,
                    const struct gr_headline *headline) {
    char time[32];
    if (p->pending) draw(p);
    if (p->terminal && isfinite(p->drawn_s)) fputc('\n', p->stream);
    duration_text(gr_clock_seconds() - p->started_s, time, sizeof time);
    fprintf(p->stream, "\n%s %u of %u rounds; %u in %s\n",
            p->done >= p->rounds ? "finished" : "stopped after", p->done, p->rounds,
            p->done - p->first, time);
    say_scores(p, headline);
    if (model_digest) fprintf(p->stream, "  %-11s%s\n", "model", model_digest);
    if (run_path) {
        run_path = gr_path_shown(run_path);
        fprintf(p->stream, "  %-11s%s\n", "run", run_path);
        fprintf(p->stream, "  %-11s%s/report.html\n", "report", run_path);
    }
    if (p->done < p->rounds && p->resume) fprintf(p->stream, "  %s\n", p->resume);
    fflush(p->stream);
}

/* The thread ends first, so that nothing is drawn into the last lines. */
void gr_progress_finish(struct gr_progress *p, const char *run_path, const char *model_digest,
                        const struct gr_headline *headline, const char *resume) {
    if (!p) return;
    p->resume = resume;
    stop_watcher(p);
    if (p->stream) say_end(p, run_path, model_digest, headline);
    (void)tell_job(p, model_digest ? "finished" : "stopped");
}

void gr_progress_free(struct gr_progress *progress) {
    if (!progress) return;
    stop_watcher(progress);
    gr_free(progress);
}
