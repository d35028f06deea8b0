/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gnuplot is given its script, data included, in a file in memory and answers into another: no
 * pipe can fill up, and what it may take in time and bytes is bounded here.
 */
#include "observe/plot.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SVG_MAX = 4 << 20, MARKS_MAX = 60, BARS_MAX = 100 };

static const double deadline_s = 20;

extern char **environ;

/* ---- scripts ----------------------------------------------------------------------------------
 */

/* Colours that stand out on white and on black; text and grid are coloured by the page. */
static const char blue[] = "#3f86e0", orange[] = "#e0823d", green[] = "#3da36f", grey[] = "#8c8f94",
                  violet[] = "#9a6bd0";

static void begin(FILE *script, const char *name) {
    fprintf(script,
            "set terminal svg size 420,260 dynamic noenhanced font 'sans-serif,12' name '%s'\n"
            "set border 3 lc rgb '%s' lw 1\nset tics nomirror out scale 0.5\n"
            "set grid ytics lt 1 lc rgb '%s' lw 0.5\nset xlabel 'round'\n"
            "set key outside top center horizontal samplen 1.5 width -2\nset style fill solid 1 "
            "noborder\n"
            "set offsets graph 0, 0, graph 0.04, 0\n",
            name, grey, grey);
}

/* The value of a series in a round. */
typedef double (*series)(const struct gr_metrics *round);

static double train_loss(const struct gr_metrics *m) {
    return m->train_loss;
}
static double validation_loss(const struct gr_metrics *m) {
    return m->validation_loss;
}
static double test_loss(const struct gr_metrics *m) {
    return m->test_loss;
}
static double validation_accuracy(const struct gr_metrics *m) {
    return 100 * m->validation_accuracy;
}
static double test_accuracy(const struct gr_metrics *m) {
    return 100 * m->test_accuracy;
}

struct curve {
    const char *title, *colour;
    series value;
};

static size_t count_points(const struct curve *curve, const struct gr_metrics *rounds, size_t n) {
    size_t points = 0;
    for (size_t i = 0; i < n; i++)
        points += isfinite(curve->value(&rounds[i])) ? 1 : 0;
    return points;
}

/* The points of a curve as a data block; a round without a value is left out. */
static void write_points(FILE *script, size_t index, const struct curve *curve,
                         const struct gr_metrics *rounds, size_t n, size_t step) {
    /* Values may be known in few rounds only: each of those counts when there are not too many. */
    size_t points = count_points(curve, rounds, n), k = 0;
    if (points <= n / step) step = 1;
    fprintf(script, "$d%zu << EOD\n", index);
    for (size_t i = 0; i < n; i++) {
        double value = curve->value(&rounds[i]);
        if (!isfinite(value)) continue;
        k++;
        if (rounds[i].round % step == 0 || k == 1 || k == points)
            fprintf(script, "%u %.9g\n", rounds[i].round, value);
    }
    fputs("EOD\n", script);
}

static bool write_curves(FILE *script, const struct curve *curves, size_t n_curves,
                         const struct gr_metrics *rounds, size_t n, size_t step) {
    const char *comma = "plot";
    bool any = false;
    for (size_t c = 0; c < n_curves; c++)
        write_points(script, c, &curves[c], rounds, n, step);
    for (size_t c = 0; c < n_curves; c++) {
        size_t points = count_points(&curves[c], rounds, n);
        if (points == 0) continue;
        fprintf(script, "%s $d%zu using 1:2 with %s lw 2 pt 7 ps 0.35 lc rgb '%s' title '%s'",
                comma, c, points <= MARKS_MAX ? "linespoints" : "lines", curves[c].colour,
                curves[c].title);
        comma = ",";
        any = true;
    }
    fputc('\n', script);
    return any;
}

static double or_zero(double value) {
    return isfinite(value) && value > 0 ? value : 0;
}

/* Seconds of each round, phase upon phase; the highest bar is drawn first. */
static void write_seconds(FILE *script, const struct gr_metrics *rounds, size_t n, size_t step) {
    static const char *const titles[] = {"train", "aggregate", "evaluate", "checkpoint", "other"};
    const char *const colours[] = {blue, orange, green, violet, grey};
    fputs("$d << EOD\n", script);
    for (size_t i = 0; i < n; i++) {
        if (rounds[i].round % step != 0 && i + 1 != n) continue;
        double phases[4] = {or_zero(rounds[i].seconds.train), or_zero(rounds[i].seconds.aggregate),
                            or_zero(rounds[i].seconds.evaluate),
                            or_zero(rounds[i].seconds.checkpoint)};
        double sum = 0;
        fprintf(script, "%u", rounds[i].round);
        for (size_t p = 0; p < 4; p++)
            fprintf(script, " %.9g", sum += phases[p]);
        fprintf(script, " %.9g\n", fmax(sum, or_zero(rounds[i].seconds.total)));
    }
    fprintf(script, "EOD\nset boxwidth %g absolute\nset yrange [0:*]\nset key reverse Left\nplot",
            (n <= BARS_MAX ? 0.85 : 1) * (double)step);
    for (int p = 4; p >= 0; p--)
        fprintf(script, "%s $d using 1:%d with boxes lc rgb '%s' title '%s'", p == 4 ? "" : ",",
                p + 2, colours[p], titles[p]);
    fputc('\n', script);
}

/* The same rounds for every curve of a run; one round alone still has a width. */
static void set_range(FILE *script, const struct gr_metrics *rounds, size_t n) {
    double first = rounds[0].round, last = rounds[n - 1].round;
    fprintf(script, "set xrange [%g:%g]\n", first, last > first ? last : first + 1);
}

static bool write_script(FILE *script, enum gr_plot plot, const struct gr_metrics *rounds, size_t n,
                         size_t step) {
    const struct curve losses[] = {{"training", blue, train_loss},
                                   {"validation", green, validation_loss},
                                   {"test", orange, test_loss}};
    const struct curve accuracies[] = {{"validation", green, validation_accuracy},
                                       {"test", orange, test_accuracy}};
    switch (plot) {
    case GR_PLOT_LOSS:
        begin(script, "loss");
        set_range(script, rounds, n);
        return write_curves(script, losses, 3, rounds, n, step);
    case GR_PLOT_ACCURACY:
        begin(script, "accuracy");
        set_range(script, rounds, n);
        fputs("set format y '%g %%'\n", script);
        return write_curves(script, accuracies, 2, rounds, n, step);
    case GR_PLOT_SECONDS:
        begin(script, "seconds");
        fprintf(script, "set format y '%%g s'\nset xrange [%g:%g]\n",
                rounds[0].round - 0.6 * (double)step, rounds[n - 1].round + 0.6 * (double)step);
        write_seconds(script, rounds, n, step);
        return true;
    }
    return false;
}

/* ---- gnuplot ----------------------------------------------------------------------------------
 */

/* Waits for the process, not beyond the deadline; kills it then. */
static gr_status wait_for(pid_t process) {
    double end = gr_clock_seconds() + deadline_s;
    int outcome = 0;
    for (;;) {
        pid_t gone = waitpid(process, &outcome, WNOHANG);
        if (gone < 0 && errno != EINTR)
            return gr_fail(GR_ERROR_INTERNAL, "gnuplot: %s", strerror(errno));
        if (gone == process) break;
        if (gr_clock_seconds() > end) {
            kill(process, SIGKILL);
            waitpid(process, &outcome, 0);
            return gr_fail(GR_ERROR_INTERNAL, "gnuplot did not finish in %g s", deadline_s);
        }
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    /* 127: where a system finds out only in the new process that there is no such program. */
    if (WIFEXITED(outcome) && WEXITSTATUS(outcome) == 127)
        return gr_fail(GR_ERROR_INTERNAL, "gnuplot is not installed");
    if (!WIFEXITED(outcome) || WEXITSTATUS(outcome) != 0)
        return gr_fail(GR_ERROR_INTERNAL, "gnuplot failed");
    return GR_OK;
}

static gr_status run_gnuplot(int script, int answer) {
    /* -d: no settings of the user's. */
    char name[] = "gnuplot", plain[] = "-d";
    char *const arguments[] = {name, plain, NULL};
    posix_spawn_file_actions_t actions;
    pid_t process;
    if (lseek(script, 0, SEEK_SET) != 0 || posix_spawn_file_actions_init(&actions) != 0)
        return gr_fail(GR_ERROR_INTERNAL, "gnuplot: %s", strerror(errno));
    int error = posix_spawn_file_actions_adddup2(&actions, script, STDIN_FILENO);
    if (!error) error = posix_spawn_file_actions_adddup2(&actions, answer, STDOUT_FILENO);
    if (!error)
        error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1, 0);
    if (!error) error = posix_spawnp(&process, name, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == ENOENT) return gr_fail(GR_ERROR_INTERNAL, "gnuplot is not installed");
    if (error) return gr_fail(GR_ERROR_INTERNAL, "gnuplot: %s", strerror(error));
    return wait_for(process);
}

/* What gnuplot wrote, from <svg to the end. */
static gr_status take_svg(int answer, char **out) {
    struct stat info;
    char *text = NULL;
    gr_status status = GR_OK;
    *out = NULL;
    if (fstat(answer, &info) != 0 || info.st_size <= 0 || info.st_size > SVG_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "gnuplot drew nothing, or too much");
    size_t size = (size_t)info.st_size;
    GR_TRY(gr_allocate_zero(size + 1, 1, "curve", &text));
    if (pread(answer, text, size, 0) != info.st_size) {
        status = gr_fail(GR_ERROR_INTERNAL, "gnuplot: %s", strerror(errno));
        goto out;
    }
    const char *svg = strstr(text, "<svg");
    if (!svg || !strstr(svg, "</svg>"))
        status = gr_fail(GR_ERROR_INTERNAL, "gnuplot drew no SVG");
    else
        status = gr_text_format(out, "%s", svg);
out:
    gr_free(text);
    return status;
}

gr_status gr_plot_svg(enum gr_plot plot, const struct gr_metrics *rounds, size_t n, size_t step,
                      char **out) {
    gr_status status = GR_OK;
    FILE *script = NULL;
    bool any;
    *out = NULL;
    if (n == 0) return GR_OK;
    int input = memfd_create("granary-script", MFD_CLOEXEC);
    int answer = memfd_create("granary-svg", MFD_CLOEXEC);
    if (input >= 0 && answer >= 0) script = fdopen(input, "w");
    if (!script) {
        status = gr_fail(GR_ERROR_INTERNAL, "gnuplot: %s", strerror(errno));
        goto out;
    }
    any = write_script(script, plot, rounds, n, step);
    if (fflush(script) != 0) {
        status = gr_fail(GR_ERROR_INTERNAL, "gnuplot: %s", strerror(errno));
        goto out;
    }
    if (!any) goto out;
    GR_TRY(run_gnuplot(input, answer));
    GR_TRY(take_svg(answer, out));
out:
    if (script)
        fclose(script);
    else if (input >= 0)
        close(input);
    if (answer >= 0) close(answer);
    return status;
}
