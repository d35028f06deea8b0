/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several runs: read one after the other, so that memory does not grow with their rounds where they
 * are many; grouped where they differ in nothing but the seed; and named by what tells them apart.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "observe/report.h"

/* Of a title: settings that are told, and bytes of each. */
enum { TITLE_SETTINGS = 4, TITLE_VALUE = 40 };

const struct gr_report_figure_row gr_report_figure_rows[GR_REPORT_FIGURES] = {
    [GR_TEST_ACCURACY] = {"test accuracy", GR_SHOWN_PERCENT, .score = true},
    [GR_BEST_TEST_ACCURACY] = {"best test accuracy", GR_SHOWN_PERCENT, .score = true},
    [GR_TEST_LOSS] = {"test loss", GR_SHOWN_REAL, .score = true, .lower_is_better = true},
    [GR_AUC] = {"AUC", GR_SHOWN_REAL, .score = true},
    [GR_R2] = {"R2", GR_SHOWN_REAL, .score = true},
    [GR_VALIDATION_ACCURACY] = {"validation accuracy", GR_SHOWN_PERCENT, .score = true},
    [GR_VALIDATION_LOSS] = {"validation loss", GR_SHOWN_REAL, .score = true,
                            .lower_is_better = true},
    [GR_ROUNDS_PARTIAL] = {"rounds with silos missing", GR_SHOWN_COUNT, .score = false},
    [GR_SECONDS_IN_ROUNDS] = {"time in rounds", GR_SHOWN_SECONDS, .score = false},
    [GR_BYTES_SENT] = {"sent between ranks", GR_SHOWN_BYTES, .score = false},
};

/* ---- a run ---------------------------------------------------------------------------------- */

static void take_figures(struct gr_report_run *run) {
    const struct gr_report_totals t = gr_report_totals_of(run);
    const struct gr_headline headline = gr_report_headline(run);
    double *figures = run->figures;
    for (size_t i = 0; i < GR_REPORT_FIGURES; i++)
        figures[i] = (double)NAN;
    if (t.tested) {
        figures[GR_TEST_ACCURACY] = t.tested->test_accuracy;
        figures[GR_TEST_LOSS] = t.tested->test_loss;
        figures[GR_BEST_TEST_ACCURACY] = t.best_tested->test_accuracy;
        run->best_tested_round = t.best_tested->round;
    }
    if (t.validated) {
        figures[GR_VALIDATION_ACCURACY] = t.validated->validation_accuracy;
        figures[GR_VALIDATION_LOSS] = t.validated->validation_loss;
    }
    figures[GR_AUC] = headline.auc;
    figures[GR_R2] = headline.r2;
    figures[GR_ROUNDS_PARTIAL] = (double)t.partial;
    figures[GR_SECONDS_IN_ROUNDS] = t.seconds;
    figures[GR_BYTES_SENT] = (double)t.bytes;
}

/* What is told of single runs alone is let go; the last round tells how far the run has come. */
static gr_status forget(struct gr_report_run *run) {
    struct gr_metrics *last = NULL;
    if (run->n > 0) {
        gr_status status = gr_allocate(1, sizeof *last, "a round", &last);
        if (status != GR_OK) return status;
        *last = run->rounds[run->n - 1];
        run->n = 1;
    }
    gr_free(run->rounds);
    gr_free(run->missed);
    json_decref(run->evaluation);
    json_decref(run->timeline);
    json_decref(run->last_event);
    run->rounds = last;
    run->missed = NULL;
    run->evaluation = run->timeline = run->last_event = NULL;
    return GR_OK;
}

static gr_status read_run(const char *path, bool several, bool brief, struct gr_report_run *run) {
    gr_status status = brief ? gr_report_read_brief(path, run) : gr_report_read(path, run);
    if (status != GR_OK) return status;
    take_figures(run);
    if (several) status = gr_report_take_curves(run);
    return brief && status == GR_OK ? forget(run) : status;
}

/* A run of a folder is left out where it cannot be read; of one that was named, that is an error.
 */
static gr_status read_runs(const struct gr_report_found *found, struct gr_report_set *set,
                           const char **kept) {
    gr_status status = GR_OK;
    set->left_out = json_array();
    GR_TRY(gr_allocate_zero(found->n, sizeof *set->runs, "runs", &set->runs));
    set->brief = found->n > GR_REPORT_WHOLE_MAX;
    for (size_t i = 0; i < found->n; i++) {
        struct gr_report_run *run = &set->runs[set->n];
        status = read_run(found->paths[i], found->n > 1, set->brief, run);
        if (status == GR_ERROR_DATA && found->from_folder[i]) {
            const char *name = strrchr(found->paths[i], '/');
            char quoted[128];
            gr_text_quote(name + 1, strlen(name + 1), quoted, sizeof quoted);
            json_array_append_new(set->left_out, json_string(quoted));
            gr_report_release(run);
            status = GR_OK;
            continue;
        }
        kept[set->n++] = found->paths[i];
        GR_TRY(status);
    }
    if (set->n == 0)
        status = gr_fail(GR_ERROR_DATA, "of %zu runs none has a manifest.json that can be read",
                         found->n);
out:
    return status;
}

/* ---- groups --------------------------------------------------------------------------------- */

static bool has_finished(const struct gr_report_run *run) {
    const char *outcome = gr_json_text(run->manifest, "outcome");
    return outcome && strcmp(outcome, "finished") == 0;
}

size_t gr_report_finished(const struct gr_report_set *set, const struct gr_report_group *group) {
    size_t finished = 0;
    for (size_t i = group->first; i < group->first + group->n; i++)
        finished += has_finished(&set->runs[i]);
    return finished;
}

bool gr_report_counts(const struct gr_report_set *set, const struct gr_report_group *group,
                      size_t run) {
    return gr_report_finished(set, group) == 0 || has_finished(&set->runs[run]);
}

/* In two passes, so that no large number is taken from another. */
struct gr_report_mean gr_report_mean_of(const struct gr_report_set *set,
                                        const struct gr_report_group *group,
                                        enum gr_report_figure figure) {
    struct gr_report_mean m = {.mean = (double)NAN, .deviation = (double)NAN};
    double sum = 0, squares = 0;
    const size_t end = group->first + group->n;
    for (size_t i = group->first; i < end; i++) {
        const double value = set->runs[i].figures[figure];
        if (!isfinite(value) || !gr_report_counts(set, group, i)) continue;
        sum += value;
        m.n++;
    }
    if (m.n == 0) return m;
    m.mean = sum / (double)m.n;
    for (size_t i = group->first; i < end; i++) {
        const double value = set->runs[i].figures[figure];
        if (!isfinite(value) || !gr_report_counts(set, group, i)) continue;
        squares += (value - m.mean) * (value - m.mean);
    }
    if (m.n > 1) m.deviation = sqrt(squares / (double)(m.n - 1));
    return m;
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Whether two runs differ in nothing but what chance decides. Unknown settings are like no others'.
 */
static bool are_of_one_group(const struct gr_report_set *set, size_t a, size_t b) {
    bool seeds = false;
    if (set->unknown) return false;
    for (size_t i = 0; i < set->n_differences; i++) {
        const struct gr_report_difference *d = &set->differences[i];
        if (same_text(d->values[a], d->values[b])) continue;
        if (!gr_report_is_chance(d->path)) return false;
        seeds = seeds || strcmp(d->path, "run.seed") == 0;
    }
    return seeds; /* the same run twice is no second sample of it */
}

/* Puts the runs into a new order, and with them what is told of each. */
static gr_status reorder(struct gr_report_set *set, const size_t *order) {
    gr_status status = GR_OK;
    struct gr_report_run *runs = NULL;
    char **values = NULL;
    GR_TRY(gr_allocate_zero(set->n, sizeof *runs, "runs", &runs));
    GR_TRY(gr_allocate_zero(set->n, sizeof *values, "runs", &values));
    for (size_t i = 0; i < set->n; i++)
        runs[i] = set->runs[order[i]];
    for (size_t d = 0; d < set->n_differences; d++) {
        for (size_t i = 0; i < set->n; i++)
            values[i] = set->differences[d].values[order[i]];
        memcpy(set->differences[d].values, values, set->n * sizeof *values);
    }
    memcpy(set->runs, runs, set->n * sizeof *runs);
out:
    gr_free(runs);
    gr_free(values);
    return status;
}

/* Each run joins the first group that has its like. */
static gr_status find_groups(struct gr_report_set *set) {
    gr_status status = GR_OK;
    size_t *group_of = NULL, *order = NULL, n = 0;
    GR_TRY(gr_allocate_zero(set->n, sizeof *set->groups, "groups", &set->groups));
    GR_TRY(gr_allocate_zero(set->n, sizeof *group_of, "groups", &group_of));
    GR_TRY(gr_allocate_zero(set->n, sizeof *order, "groups", &order));
    for (size_t i = 0; i < set->n; i++) {
        size_t g = 0;
        while (g < set->n_groups && !are_of_one_group(set, set->groups[g].first, i))
            g++;
        if (g == set->n_groups) set->groups[set->n_groups++].first = i;
        set->groups[g].n++;
        group_of[i] = g;
    }
    for (size_t g = 0; g < set->n_groups; g++) {
        set->groups[g].first = n;
        for (size_t i = 0; i < set->n; i++)
            if (group_of[i] == g) order[n++] = i;
    }
    status = reorder(set, order);
out:
    gr_free(group_of);
    gr_free(order);
    return status;
}

/* ---- order and names ------------------------------------------------------------------------ */

struct ranked {
    double score; /* the lower the better */
    size_t place; /* as given */
    struct gr_report_group group;
};

static int by_score(const void *a, const void *b) {
    const struct ranked *left = a, *right = b;
    if (left->score < right->score) return -1;
    if (left->score > right->score) return 1;
    return left->place < right->place ? -1 : 1;
}

/*
 * More groups than can have curves are sorted, the best first: by validation rows where there are
 * any, since what is chosen by test rows is no longer tested by them.
 */
static gr_status sort_groups(struct gr_report_set *set) {
    static const enum gr_report_figure scores[] = {GR_VALIDATION_ACCURACY, GR_VALIDATION_LOSS,
                                                   GR_TEST_ACCURACY, GR_TEST_LOSS};
    struct ranked *ranked;
    set->order = GR_REPORT_FIGURES;
    if (set->n_groups <= GR_CHART_COLOURS) return GR_OK;
    gr_status status = gr_allocate_zero(set->n_groups, sizeof *ranked, "groups", &ranked);
    if (status != GR_OK) return status;
    for (size_t s = 0; s < sizeof scores / sizeof *scores; s++)
        for (size_t g = 0; g < set->n_groups && set->order == GR_REPORT_FIGURES; g++)
            if (gr_report_mean_of(set, &set->groups[g], scores[s]).n > 0) set->order = scores[s];
    for (size_t g = 0; g < set->n_groups && set->order != GR_REPORT_FIGURES; g++) {
        const double mean = gr_report_mean_of(set, &set->groups[g], set->order).mean;
        const bool lower = gr_report_figure_rows[set->order].lower_is_better;
        const double score = isfinite(mean) ? (lower ? mean : -mean) : INFINITY;
        ranked[g] = (struct ranked){score, g, set->groups[g]};
    }
    if (set->order != GR_REPORT_FIGURES) {
        qsort(ranked, set->n_groups, sizeof *ranked, by_score);
        for (size_t g = 0; g < set->n_groups; g++)
            set->groups[g] = ranked[g].group;
    }
    gr_free(ranked);
    return GR_OK;
}

/* "A" to "Z", "AA", "AB", ... */
static void label_of(size_t i, char out[16]) {
    char reversed[8];
    size_t n = 0, k = 0;
    for (size_t rest = i + 1; rest > 0 && n < 7; rest = (rest - 1) / 26)
        reversed[n++] = (char)('A' + (rest - 1) % 26);
    while (n > 0)
        out[k++] = reversed[--n];
    out[k] = '\0';
}

/* The last part of a path, where no other setting that differs has it as its last. */
static const char *short_name(const struct gr_report_set *set, const char *path) {
    const char *dot = strrchr(path, '.');
    const char *last = dot ? dot + 1 : path;
    if (strcmp(last, "name") == 0 || strcmp(last, "type") == 0) return path;
    for (size_t i = 0; i < set->n_differences; i++) {
        const char *other = strrchr(set->differences[i].path, '.');
        other = other ? other + 1 : set->differences[i].path;
        if (strcmp(set->differences[i].path, path) != 0 && strcmp(other, last) == 0) return path;
    }
    return last;
}

/* "learning_rate 0.1, strategy.name fedavg" of what tells groups apart. */
static void write_title(FILE *out, const struct gr_report_set *set,
                        const struct gr_report_group *group) {
    size_t told = 0, more = 0;
    bool paths = false;
    for (size_t i = 0; i < set->n_differences; i++) {
        const struct gr_report_difference *d = &set->differences[i];
        const char *value = d->values[group->first];
        if (gr_report_is_chance(d->path)) continue;
        if (d->is_path) {
            paths = true;
        } else if (told == TITLE_SETTINGS) {
            more++;
        } else {
            fprintf(out, "%s%s ", told++ ? ", " : "", short_name(set, d->path));
            if (!value) fputs("not set", out);
            for (size_t k = 0; value && value[k] && k < TITLE_VALUE; k++)
                fputc(value[k] == '\n' ? ' ' : value[k], out);
        }
    }
    if (more > 0) fprintf(out, ", and %zu more", more);
    const char *folder = set->runs[group->first].folder;
    if (paths && told > 0 && folder) fprintf(out, " (%s)", folder);
}

static gr_status name_group(struct gr_report_set *set, struct gr_report_group *group, size_t g) {
    gr_status status = GR_OK;
    char *text = NULL;
    size_t length = 0;
    label_of(g, group->label);
    group->colour = g < GR_CHART_COLOURS ? (unsigned)g : (unsigned)GR_CHART_COLOURS;
    for (size_t i = 0; i < group->n; i++) {
        struct gr_report_run *run = &set->runs[group->first + i];
        run->colour = group->colour;
        if (set->n == 1) break;
        snprintf(run->label, sizeof run->label, "%s", group->label);
        if (group->n > 1)
            snprintf(run->label, sizeof run->label, "%.5s%u", group->label, (unsigned)i + 1);
    }
    FILE *out = open_memstream(&text, &length);
    if (out) write_title(out, set, group);
    if (!out || fclose(out) != 0) status = gr_fail(GR_ERROR_INTERNAL, "memory was refused");
    if (status == GR_OK && length > 0) status = gr_text_format(&group->title, "%s", text);
    free(text);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------ */

gr_status gr_report_set_read(const struct gr_report_found *found, struct gr_report_set *set) {
    gr_status status = GR_OK;
    const char **kept = NULL;
    if (found->n == 0 || found->n > GR_REPORT_RUNS_MAX)
        return gr_fail(GR_ERROR_USAGE, "report: found %zu run directories, expected 1 to %d",
                       found->n, GR_REPORT_RUNS_MAX);
    GR_TRY(gr_allocate_zero(found->n, sizeof *kept, "runs", &kept));
    GR_TRY(read_runs(found, set, kept));
    GR_TRY(gr_report_tell_apart(kept, set->runs, set->n));
    GR_TRY(gr_report_find_differences(set));
    GR_TRY(find_groups(set));
    GR_TRY(sort_groups(set));
    for (size_t g = 0; g < set->n_groups; g++)
        GR_TRY(name_group(set, &set->groups[g], g));
out:
    gr_free(kept);
    return status;
}

void gr_report_set_release(struct gr_report_set *set) {
    for (size_t d = 0; d < set->n_differences; d++) {
        for (size_t i = 0; i < set->n; i++)
            gr_free(set->differences[d].values[i]);
        gr_free(set->differences[d].values);
        gr_free(set->differences[d].path);
    }
    for (size_t g = 0; g < set->n_groups; g++)
        gr_free(set->groups[g].title);
    for (size_t i = 0; i < set->n; i++)
        gr_report_release(&set->runs[i]);
    gr_free(set->differences);
    gr_free(set->groups);
    gr_free(set->runs);
    json_decref(set->left_out);
    *set = (struct gr_report_set){0};
}
