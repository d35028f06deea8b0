/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.jsonl: a line a round, with all digits of its doubles, so that lines of
 * two runs with the same bits differ in times and bytes only.
 */
#include <granary/observe.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "observe/json.h"
#include "observe/lines.h"
#include "observe/metrics.h"

/*
 * `before` is the head without the last line: gr_metrics_amend replaces this line and computes the
 * head again from there.
 */
struct gr_metrics_file {
    struct gr_lines *lines; /* owned */
    struct gr_head before;  /* the last line */
    struct gr_head head;
};

/* ---- the head of the lines ------------------------------------------------------------------ */

static void start_head(struct gr_head *head) {
    head->n = 0;
    memset(head->hash, '0', GR_DIGEST_HEX - 1);
    head->hash[GR_DIGEST_HEX - 1] = '\0';
}

/*
 * The head behind one more line: BLAKE2b-256 of the head before it and the line without its
 * newline, without blanks that fill it up, and without the members of "seconds". Its members are
 * amended after the checkpoint, whose cost they contain, while the checkpoint itself already holds
 * this head.
 */
static void advance(struct gr_head *head, const char *line, size_t n) {
    static const char costs[] = "\"seconds\":{";
    struct gr_digest digest;
    unsigned char bytes[GR_DIGEST_BYTES];
    while (n > 0 && line[n - 1] == ' ')
        n--;
    const char *from = memmem(line, n, costs, sizeof costs - 1);
    const char *to = from ? memchr(from, '}', n - (size_t)(from - line)) : NULL;
    gr_digest_start(&digest);
    gr_digest_add(&digest, head->hash, GR_DIGEST_HEX - 1);
    if (to) gr_digest_add(&digest, line, (size_t)(from - line));
    gr_digest_add(&digest, to ? to : line, to ? n - (size_t)(to - line) : n);
    gr_digest_finish(&digest, bytes);
    gr_digest_hex(bytes, head->hash);
    head->n++;
}

void gr_metrics_head(const struct gr_metrics_file *file, struct gr_head *out) {
    *out = file->head;
}

/* A head of 0 lines holds for every file. */
gr_status gr_metrics_look(const char *path, const struct gr_head *heads, bool *holds,
                          size_t n_heads, uint64_t *n_lines) {
    gr_status status = GR_OK;
    struct gr_lines_reader *reader = NULL;
    struct gr_head head;
    const char *line;
    size_t n;
    start_head(&head);
    for (size_t i = 0; i < n_heads; i++)
        holds[i] = heads[i].n == 0;
    GR_TRY(gr_lines_start(path, &reader));
    for (;;) {
        GR_TRY(gr_lines_next(reader, &line, &n));
        if (!line) break;
        advance(&head, line, n);
        for (size_t i = 0; i < n_heads; i++)
            if (heads[i].n == head.n) holds[i] = strcmp(heads[i].hash, head.hash) == 0;
    }
    *n_lines = head.n;
out:
    gr_lines_end(reader);
    return status;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Of a round that is done. */
static bool is_of(const json_t *json, uint32_t rounds_done) {
    const json_t *round = json_object_get(json, "round");
    return json_is_integer(round) && json_integer_value(round) >= 1 &&
           json_integer_value(round) <= (json_int_t)rounds_done;
}

/*
 * True for a line that stays when a run goes on: it parses and is of a round that is done. Later
 * rounds will be trained again, and torn lines are of no use.
 */
static bool keeps(const char *line, size_t n, uint32_t rounds_done) {
    json_t *json = json_loadb(line, n, 0, NULL);
    bool keep = is_of(json, rounds_done);
    json_decref(json);
    return keep;
}

/* The lines that stay, and their head. */
static gr_status filter(struct gr_lines_reader *reader, uint32_t rounds_done,
                        struct gr_lines_kept *kept, struct gr_head *head) {
    gr_status status = GR_OK;
    const char *line;
    size_t n;
    for (;;) {
        const uint64_t from = gr_lines_at(reader);
        GR_TRY(gr_lines_next(reader, &line, &n));
        if (!line) break;
        if (!keeps(line, n, rounds_done)) continue;
        GR_TRY(gr_lines_keep(kept, from, gr_lines_at(reader)));
        advance(head, line, n);
    }
out:
    return status;
}

/*
 * The lines that stay are copied as bytes, not parsed and written again: their digests stay the
 * same.
 */
gr_status gr_metrics_open(const char *path, uint32_t rounds_done, struct gr_metrics_file **out) {
    gr_status status = GR_OK;
    struct gr_metrics_file *file = NULL;
    struct gr_lines_reader *reader = NULL;
    struct gr_lines_kept kept = {0};
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *file, "metrics", &file));
    start_head(&file->head);
    GR_TRY(gr_lines_start(path, &reader));
    GR_TRY(filter(reader, rounds_done, &kept, &file->head));
    GR_TRY(gr_lines_open(path, reader, &kept, &file->lines));
    *out = file;
    file = NULL;
out:
    gr_free(kept.ranges);
    gr_lines_end(reader);
    gr_metrics_close(file);
    return status;
}

/* JSON has no NaN or infinity; null stands for both. */
static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* "test_auc"; end: "", "_lower" or "_upper". */
static void named_key(bool of_validation, unsigned metric, const char *end, char out[96]) {
    snprintf(out, 96, "%s_%s%s", of_validation ? "validation" : "test", gr_metric_rows[metric].name,
             end);
}

static int set_named(json_t *line, const struct gr_metrics *m, unsigned metric, const char *end,
                     double value) {
    char key[96];
    named_key(m->of_validation, metric, end, key);
    return json_object_set_new(line, key, number(value));
}

/* The metrics that the config names, as far as they were told; bounds only where they differ. */
static int add_named(json_t *line, const struct gr_metrics *m) {
    int bad = 0;
    for (unsigned i = 0; i < gr_metric_count; i++)
        if (m->named_told & UINT32_C(1) << i) bad |= set_named(line, m, i, "", m->named[i]);
    for (unsigned i = 0; i < gr_metric_count; i++) {
        /*
         * Also false where either is NaN: bounds are told only where they say more than the value.
         */
        if (!(m->named_lower[i] < m->named_upper[i])) continue;
        bad |= set_named(line, m, i, "_lower", m->named_lower[i]);
        bad |= set_named(line, m, i, "_upper", m->named_upper[i]);
    }
    return bad;
}

/* Of one of the standard errors that noise gives the scores: its key, and where it is kept. */
enum { NOISE_ERRORS = 4 };
static double *noise_error_of(struct gr_noise_errors *errors, size_t i, const char **key) {
    static const char *const keys[NOISE_ERRORS] = {"validation_loss_error",
                                                   "validation_accuracy_error", "test_loss_error",
                                                   "test_accuracy_error"};
    double *const values[NOISE_ERRORS] = {&errors->validation_loss, &errors->validation_accuracy,
                                          &errors->test_loss, &errors->test_accuracy};
    *key = keys[i];
    return values[i];
}

/* NaN: there is noise, and the score is not defined for it. */
static int add_errors(json_t *line, const struct gr_metrics *m) {
    struct gr_noise_errors errors = m->noise_error;
    int bad = 0;
    for (size_t i = 0; i < NOISE_ERRORS; i++) {
        const char *key;
        const double *error = noise_error_of(&errors, i, &key);
        if (!(*error <= 0)) bad |= json_object_set_new(line, key, number(*error));
    }
    return bad;
}

static json_t *three(const double values[3]) {
    return json_pack("[o, o, o]", number(values[0]), number(values[1]), number(values[2]));
}

static int add_silos(json_t *line, const struct gr_metrics *m) {
    if (m->silos == 0) return 0;
    json_t *silos = json_pack("{s:I, s:o, s:o}", "n", (json_int_t)m->silos, "loss",
                              three(m->silo_loss), "accuracy", three(m->silo_accuracy));
    return json_object_set_new(line, "silos", silos);
}

/* The object that holds a figure's member, whose name *key becomes: the line, or one in it. */
static json_t *holder(json_t *line, const char *name, const char **key) {
    char object[32];
    const char *dot = strchr(name, '.');
    *key = dot ? dot + 1 : name;
    if (!dot) return line;
    snprintf(object, sizeof object, "%.*s", (int)(dot - name), name);
    if (!json_object_get(line, object)) json_object_set_new(line, object, json_object());
    return json_object_get(line, object);
}

/*
 * The order of members is that of gr_figures: jansson keeps the order of insertion, and so equal
 * rounds give equal text.
 */
static int add_figures(json_t *line, const struct gr_metrics *m) {
    int bad = 0;
    for (size_t i = 0; i < gr_figure_count; i++) {
        const struct gr_figure *figure = &gr_figures[i];
        const char *key;
        json_t *object = holder(line, figure->name, &key);
        json_t *value = gr_figure_is_real(figure)
                            ? number(gr_figure_value(figure, m))
                            : json_integer((json_int_t)gr_figure_whole(figure, m));
        bad |= json_object_set_new(object, key, value);
    }
    return bad;
}

/* The line of a round, with its newline; *n: its bytes. Caller frees. */
static gr_status format_line(const struct gr_metrics *m, char **line, size_t *n) {
    json_t *json = json_object();
    char *text = NULL;
    int bad = add_figures(json, m);
    bad |= add_errors(json, m);
    bad |= add_named(json, m);
    bad |= add_silos(json, m);
    if (m->clip_norm > 0) bad |= json_object_set_new(json, "clip_norm", json_real(m->clip_norm));
    /* 17 significant digits give the same double back. */
    if (!bad) text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(json);
    if (!text) return gr_fail(GR_ERROR_INTERNAL, "memory for metrics was refused");
    gr_status status = gr_text_format(line, "%s\n", text);
    if (status == GR_OK) *n = strlen(*line);
    free(text);
    return status;
}

/* The head advances only with a line that was accepted, on disk or waiting. */
gr_status gr_metrics_append(struct gr_metrics_file *file, const struct gr_metrics *metrics) {
    char *line = NULL;
    size_t n = 0;
    gr_status status = format_line(metrics, &line, &n);
    if (status == GR_OK) status = gr_lines_append(file->lines, line, n);
    if (status == GR_OK && line) {
        file->before = file->head;
        advance(&file->head, line, n - 1);
    }
    gr_free(line);
    return status;
}

/* For the round of the last line only; the caller sees to it (write_round, write_cost). */
gr_status gr_metrics_amend(struct gr_metrics_file *file, const struct gr_metrics *metrics) {
    char *line = NULL;
    size_t n = 0;
    gr_status status = format_line(metrics, &line, &n);
    if (status == GR_OK) status = gr_lines_replace_last(file->lines, line, n);
    if (status == GR_OK && line) {
        file->head = file->before;
        advance(&file->head, line, n - 1);
    }
    gr_free(line);
    return status;
}

gr_status gr_metrics_sync(struct gr_metrics_file *file) {
    return gr_lines_sync(file->lines);
}

size_t gr_metrics_behind(const struct gr_metrics_file *file) {
    return gr_lines_behind(file->lines);
}

void gr_metrics_close(struct gr_metrics_file *file) {
    if (!file) return;
    gr_lines_close(file->lines);
    gr_free(file);
}

/* ---- reading, for the report ---------------------------------------------------------------- */

/*
 * The rows that its metrics are of are in the names of a line's members. Accuracy and loss have
 * members of their own (`always`) and would be read twice.
 */
static void read_named(json_t *json, struct gr_metrics *out) {
    static const char *const rows[] = {"test_", "validation_"};
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value) {
        const bool of_validation = key[0] == 'v';
        const size_t n = strlen(rows[of_validation]);
        if (strncmp(key, rows[of_validation], n) != 0) continue;
        const unsigned metric = gr_metric_find(key + n);
        if (metric == gr_metric_count || gr_metric_rows[metric].always) continue;
        out->named[metric] = gr_json_number(value);
        out->named_told |= UINT32_C(1) << metric;
        out->of_validation = of_validation;
    }
}

/* Lists shorter than three read as NaN. */
static void read_silos(const json_t *json, struct gr_metrics *out) {
    const json_t *silos = json_object_get(json, "silos");
    const json_t *loss = json_object_get(silos, "loss");
    const json_t *accuracy = json_object_get(silos, "accuracy");
    out->silos = (uint32_t)gr_json_count(silos, "n");
    for (size_t i = 0; out->silos > 0 && i < 3; i++) {
        out->silo_loss[i] = gr_json_number(json_array_get(loss, i));
        out->silo_accuracy[i] = gr_json_number(json_array_get(accuracy, i));
    }
}

static void read_errors(const json_t *json, struct gr_metrics *out) {
    for (size_t i = 0; i < NOISE_ERRORS; i++) {
        const char *key;
        double *error = noise_error_of(&out->noise_error, i, &key);
        if (json_object_get(json, key)) *error = gr_json_real(json, key);
    }
}

/* Lines of earlier versions lack members: zeros, and NAN. */
static void from_json(json_t *json, struct gr_metrics *out) {
    *out = (struct gr_metrics){0};
    for (size_t i = 0; i < gr_figure_count; i++) {
        const char *key;
        const json_t *object = holder(json, gr_figures[i].name, &key);
        gr_figure_set(&gr_figures[i], gr_json_count(object, key), gr_json_real(object, key), out);
    }
    read_named(json, out);
    read_silos(json, out);
    read_errors(json, out);
    out->clip_norm = json_object_get(json, "clip_norm") ? gr_json_real(json, "clip_norm") : 0;
}

bool gr_metrics_parse(const char *line, size_t n, struct gr_metrics *out) {
    json_t *json = json_loadb(line, n, 0, NULL);
    const bool whole = is_of(json, UINT32_MAX);
    if (whole) from_json(json, out);
    json_decref(json);
    return whole;
}

/* For one more. */
static gr_status make_room(struct gr_metrics **rounds, size_t n, size_t *room) {
    struct gr_metrics *grown;
    if (n < *room) return GR_OK;
    gr_status status = gr_allocate(2 * n + 16, sizeof *grown, "metrics", &grown);
    if (status != GR_OK) return status;
    if (n > 0) memcpy(grown, *rounds, n * sizeof *grown);
    gr_free(*rounds);
    *rounds = grown;
    *room = 2 * n + 16;
    return GR_OK;
}

/*
 * A line that is damaged counts in *lines and not in *n; the report tells the difference. Caller
 * frees *out.
 */
gr_status gr_metrics_read(const char *path, struct gr_metrics **out, size_t *n, size_t *lines) {
    gr_status status = GR_OK;
    struct gr_lines_reader *reader = NULL;
    struct gr_metrics *rounds = NULL;
    size_t size, room = 0;
    const char *line;
    *n = *lines = 0;
    GR_TRY(gr_lines_start(path, &reader));
    for (;;) {
        GR_TRY(gr_lines_next(reader, &line, &size));
        if (!line) break;
        (*lines)++;
        GR_TRY(make_room(&rounds, *n, &room));
        if (gr_metrics_parse(line, size, &rounds[*n])) (*n)++;
    }
    /* No lines are a list as well. */
    GR_TRY(make_room(&rounds, *n, &room));
    *out = rounds;
    rounds = NULL;
out:
    gr_free(rounds);
    gr_lines_end(reader);
    return status;
}
