/* SPDX-License-Identifier: Apache-2.0 */
/* See reproduction.h. */
#include "cli/reproduction.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "observe/json.h"
#include "observe/metrics.h"

static gr_status load(const char *run_path, const char *name, json_t **out) {
    char *path = NULL;
    gr_status status = gr_text_format(&path, "%s/%s", run_path, name);
    *out = status == GR_OK ? json_load_file(path, 0, NULL) : NULL;
    gr_free(path);
    return status;
}

/* Appends as far as there is room. */
static void add(char *out, size_t size, const char *separator, const char *text) {
    const size_t n = strlen(out);
    char quoted[300];
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    snprintf(out + n, size - n, "%s%s", n > 0 ? separator : "", quoted);
}

/* ---- figures -------------------------------------------------------------------------------- */

/* Times, and what depends on how many ranks there are, and on the losses of some: a replay selects
 * nobody who was away. */
static bool is_of_the_machine(const struct gr_figure *figure) {
    static const char *const names[] = {
        "dropped", "late", "returned", "recoveries", "bytes_sent", "cpu_seconds_train", "sat_out"};
    if (strncmp(figure->name, "seconds.", 8) == 0 || figure->derive) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(figure->name, names[i]) == 0) return true;
    return false;
}

static double value_of(const struct gr_figure *figure, const struct gr_metrics *m) {
    return gr_figure_is_real(figure) ? gr_figure_value(figure, m)
                                     : (double)gr_figure_whole(figure, m);
}

/* NaN is like NaN: the figure is defined in neither. */
static bool differ(double a, double b) {
    return isnan(a) != isnan(b) || (!isnan(a) && (a < b || a > b));
}

static bool compare_round(const struct gr_metrics *then, const struct gr_metrics *now,
                          struct gr_reproduction *out) {
    for (size_t i = 0; i < gr_figure_count; i++) {
        const struct gr_figure *figure = &gr_figures[i];
        if (is_of_the_machine(figure)) continue;
        const double a = value_of(figure, then), b = value_of(figure, now);
        if (!differ(a, b)) continue;
        snprintf(out->figure, sizeof out->figure, "%s", figure->name);
        out->figure_then = a;
        out->figure_now = b;
        out->round = then->round;
        return true;
    }
    return false;
}

static gr_status read_rounds(const char *run_path, struct gr_metrics **rounds, size_t *n) {
    char *path = NULL;
    size_t lines;
    gr_status status = gr_text_format(&path, "%s/metrics.jsonl", run_path);
    if (status == GR_OK) status = gr_metrics_read(path, rounds, n, &lines);
    gr_free(path);
    return status;
}

static gr_status compare_rounds(const char *then_path, const char *now_path,
                                struct gr_reproduction *out) {
    struct gr_metrics *then = NULL, *now = NULL;
    size_t n_then = 0, n_now = 0, k = 0;
    gr_status status;
    GR_TRY(read_rounds(then_path, &then, &n_then));
    GR_TRY(read_rounds(now_path, &now, &n_now));
    for (size_t i = 0; i < n_then; i++) {
        while (k < n_now && now[k].round < then[i].round)
            k++;
        if (k == n_now || now[k].round != then[i].round) continue;
        out->rounds++;
        if (compare_round(&then[i], &now[k], out)) break;
    }
out:
    gr_free(then);
    gr_free(now);
    return status;
}

/* ---- tensors -------------------------------------------------------------------------------- */

static uint64_t count_differing(const float *a, const float *b, size_t n) {
    uint64_t differing = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits[2];
        memcpy(&bits[0], &a[i], sizeof *bits);
        memcpy(&bits[1], &b[i], sizeof *bits);
        differing += bits[0] != bits[1];
    }
    return differing;
}

/* Bits count: -0 is another number than 0 here. */
static void compare_tensors(const struct gr_model_file *then, const struct gr_model_file *now,
                            struct gr_reproduction *out) {
    for (size_t i = 0; i < then->layout.n_tensors && !out->tensor[0]; i++) {
        const struct gr_tensor *a = &then->layout.tensors[i];
        const struct gr_tensor *b =
            i < now->layout.n_tensors ? &now->layout.tensors[i] : &(struct gr_tensor){0};
        if (strcmp(a->name, b->name) == 0 && a->n_elements == b->n_elements)
            out->differing = count_differing(then->parameters + a->offset,
                                             now->parameters + b->offset, a->n_elements);
        else
            out->differing = a->n_elements;
        if (out->differing == 0) continue;
        gr_text_quote(a->name, strlen(a->name), out->tensor, sizeof out->tensor);
        out->elements = a->n_elements;
        out->tensor_round = then->round;
    }
}

/* Nothing is said of files that are not there in both, or cannot be read. */
static gr_status compare_files(const char *then_path, const char *now_path, const char *name,
                               struct gr_reproduction *out) {
    gr_status status;
    char *then_file = NULL, *now_file = NULL;
    struct gr_model_file then = {0}, now = {0};
    GR_TRY(gr_text_format(&then_file, "%s/%s", then_path, name));
    GR_TRY(gr_text_format(&now_file, "%s/%s", now_path, name));
    if (access(then_file, R_OK) == 0 && access(now_file, R_OK) == 0 &&
        gr_model_file_read(then_file, 0, 1, &then) == GR_OK &&
        gr_model_file_read(now_file, 0, 1, &now) == GR_OK)
        compare_tensors(&then, &now, out);
out:
    gr_model_file_release(&then);
    gr_model_file_release(&now);
    gr_free(then_file);
    gr_free(now_file);
    return status;
}

/* Checkpoints first, from the earliest that is left on; the model last. */
static gr_status find_tensor(const char *then_path, const char *now_path,
                             struct gr_reproduction *out) {
    char name[64];
    for (uint32_t round = out->round > 0 ? out->round : 1;
         round <= out->then.rounds_done && !out->tensor[0]; round++) {
        snprintf(name, sizeof name, "checkpoints/round-%06u.h5", round);
        const gr_status status = compare_files(then_path, now_path, name, out);
        if (status != GR_OK) return status;
    }
    if (out->tensor[0]) return GR_OK;
    out->tensor_of_model = true;
    return compare_files(then_path, now_path, "model.h5", out);
}

/* ---- data and software ---------------------------------------------------------------------- */

/* Prints are comparable because the second run has the first one's salts. */
static gr_status compare_data(const char *then_path, const char *now_path,
                              struct gr_reproduction *out) {
    static const char *const parts[] = {"train", "validation", "test"};
    static const char *const common[] = {"test_table", "columns"}, *const common_words[] = {
                                                                       "the test table",
                                                                       "the columns"};
    json_t *then = NULL, *now = NULL, *silo;
    size_t i;
    gr_status status;
    GR_TRY(load(then_path, "fingerprints.json", &then));
    GR_TRY(load(now_path, "fingerprints.json", &now));
    json_array_foreach(json_object_get(then, "silos"), i, silo) {
        const json_t *other = json_array_get(json_object_get(now, "silos"), i);
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            const char *a = gr_json_text(silo, parts[p]), *b = gr_json_text(other, parts[p]);
            char text[64];
            if (!a || (b && strcmp(a, b) == 0)) continue;
            const char *name = gr_json_text(silo, "silo");
            snprintf(text, sizeof text, "%.32s (%s%s)", name ? name : "a silo", parts[p],
                     b ? "" : ", not read");
            add(out->data, sizeof out->data, ", ", text);
        }
    }
    for (size_t p = 0; p < sizeof common / sizeof *common; p++) {
        const char *a = gr_json_text(then, common[p]), *b = gr_json_text(now, common[p]);
        if (a && b && strcmp(a, b) != 0) add(out->data, sizeof out->data, ", ", common_words[p]);
    }
out:
    json_decref(then);
    json_decref(now);
    return status;
}

static gr_status compare_software(const char *then_path, const char *now_path,
                                  struct gr_reproduction *out) {
    json_t *then = NULL, *now = NULL, *value;
    const char *key;
    gr_status status;
    GR_TRY(load(then_path, "manifest.json", &then));
    GR_TRY(load(now_path, "manifest.json", &now));
    json_object_foreach(json_object_get(then, "software"), key, value) {
        const char *a = json_string_value(value);
        const char *b = gr_json_text(json_object_get(now, "software"), key);
        char text[280];
        if (!a || (b && strcmp(a, b) == 0)) continue;
        snprintf(text, sizeof text, "%.40s: %.100s then, %.100s now", key, a, b ? b : "not told");
        add(out->software, sizeof out->software, "; ", text);
    }
out:
    json_decref(then);
    json_decref(now);
    return status;
}

gr_status gr_reproduction_compare(const char *then_path, const char *now_path,
                                  struct gr_reproduction *out) {
    gr_status status;
    *out = (struct gr_reproduction){0};
    GR_TRY(gr_run_facts_read(then_path, &out->then));
    GR_TRY(gr_run_facts_read(now_path, &out->now));
    out->same = out->then.model[0] && strcmp(out->then.model, out->now.model) == 0;
    GR_TRY(compare_rounds(then_path, now_path, out));
    if (!out->same) GR_TRY(find_tensor(then_path, now_path, out));
    GR_TRY(compare_data(then_path, now_path, out));
    status = compare_software(then_path, now_path, out);
out:
    return status;
}
