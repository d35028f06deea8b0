/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The progress line: redrawn in place on a terminal and fitted to its width, plain lines elsewhere,
 * few enough for a batch job's log.
 */
#include <granary/observe.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_BYTES = 256, SAID_BYTES = 512, WIDTH_DEFAULT = 80 };

/* Seconds between two drawings. */
static const double redraw_s = 0.1, plain_s = 2;

struct gr_progress {
    FILE *stream;
    bool terminal;
    uint32_t rounds, first, done; /* first: rounds done before this process */
    double started_s, drawn_s, processed;
    double accuracy, loss; /* the last that were known; of the test rows where there are any */
    bool of_test;
    struct gr_metrics last;
    bool pending; /* a round has come that is not drawn yet */
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
    return GR_OK;
}

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
static void rate_text(double rate, char *out, size_t size) {
    char digits[32];
    double unit = rate >= 1000 ? pow(10, floor(log10(rate)) - 2) : 1;
    int n = snprintf(digits, sizeof digits, "%.0f", round(rate / unit) * unit);
    size_t used = 0;
    for (int i = 0; i < n && used + 2 < size; i++) {
        if (i > 0 && (n - i) % 3 == 0) out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = '\0';
}

/* Adds a field if the line stays within `width`. */
static void add(char line[LINE_BYTES], size_t width, const char *field) {
    size_t used = strlen(line), n = strlen(field);
    if (used + n <= width && used + n < LINE_BYTES) memcpy(line + used, field, n + 1);
}

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
    if (elapsed > 0) {
        rate_text(p->processed / elapsed, number, sizeof number);
        snprintf(field, sizeof field, "  %s samples/s", number);
        add(line, width, field);
    }
}

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

void gr_progress_round(struct gr_progress *p, const struct gr_metrics *metrics) {
    if (!p) return;
    /* Whoever has taken over began with a round under way. */
    double began_s = gr_clock_seconds() - metrics->seconds.total;
    if (isfinite(began_s) && began_s < p->started_s) p->started_s = began_s;
    p->last = *metrics;
    p->done = metrics->round;
    p->processed += (double)metrics->processed;
    if (isfinite(metrics->test_accuracy)) {
        p->of_test = true;
        p->accuracy = metrics->test_accuracy;
        p->loss = metrics->test_loss;
    } else if (!p->of_test && isfinite(metrics->validation_accuracy)) {
        p->accuracy = metrics->validation_accuracy;
        p->loss = metrics->validation_loss;
    }
    p->pending = true;
    if (!p->stream) return;
    double since = gr_clock_seconds() - p->drawn_s;
    if (p->done >= p->rounds || since >= (p->terminal ? redraw_s : plain_s)) draw(p);
}

void gr_progress_say(struct gr_progress *p, const char *text) {
    char line[SAID_BYTES];
    if (!p || !p->stream) return;
    gr_text_quote(text, strlen(text), line, sizeof line);
    /* On a terminal it takes the place of the progress line, which is drawn again below it. */
    fprintf(p->stream, p->terminal ? "\r%s\033[K\n" : "%s\n", line);
    if (p->terminal && isfinite(p->drawn_s)) draw(p);
    fflush(p->stream);
}

void gr_progress_finish(struct gr_progress *p, const char *run_path, const char *model_digest) {
    char time[32];
    if (!p || !p->stream) return;
    if (p->pending) draw(p);
    if (p->terminal && isfinite(p->drawn_s)) fputc('\n', p->stream);
    duration_text(gr_clock_seconds() - p->started_s, time, sizeof time);
    fprintf(p->stream, "\n%s %u of %u rounds; %u in %s\n",
            p->done >= p->rounds ? "finished" : "stopped after", p->done, p->rounds,
            p->done - p->first, time);
    if (isfinite(p->accuracy))
        fprintf(p->stream, "  %-11s%.2f %%", p->of_test ? "test" : "validation", 100 * p->accuracy);
    if (isfinite(p->accuracy) && isfinite(p->loss)) fprintf(p->stream, ", loss %.4f", p->loss);
    if (isfinite(p->accuracy)) fputc('\n', p->stream);
    if (model_digest) fprintf(p->stream, "  %-11s%s\n", "model", model_digest);
    if (run_path) {
        run_path = gr_path_shown(run_path);
        fprintf(p->stream, "  %-11s%s\n", "run", run_path);
        fprintf(p->stream, "  %-11s%s/report.html\n", "report", run_path);
    }
    if (p->done < p->rounds) fprintf(p->stream, "  go on with --resume\n");
    fflush(p->stream);
}

void gr_progress_free(struct gr_progress *progress) {
    gr_free(progress);
}
