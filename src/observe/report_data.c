/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison for programs: what the page shows, with all digits. Paths stay untold here too. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "observe/report.h"

/* "test_accuracy" of "test accuracy"; units are seconds and bytes. */
static void key_of(enum gr_report_figure figure, char out[64]) {
    if (figure == GR_SECONDS_IN_ROUNDS)
        snprintf(out, 64, "seconds_in_rounds");
    else if (figure == GR_BYTES_SENT)
        snprintf(out, 64, "bytes_sent");
    else
        snprintf(out, 64, "%s", gr_report_figure_rows[figure].label);
    for (char *c = out; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
        if (*c == ' ') *c = '_';
    }
}

static const char *value_of(const struct gr_report_difference *d, size_t run) {
    return d->values[run] && d->is_path ? "(another path)" : d->values[run];
}

/* ---- CSV ------------------------------------------------------------------------------------ */

/* RFC 4180: quoted where it must be. NULL is an empty cell. */
static void write_cell(FILE *csv, const char *text) {
    if (!text) return;
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, csv);
        return;
    }
    fputc('"', csv);
    for (; *text; text++) {
        if (*text == '"') fputc('"', csv);
        fputc(*text, csv);
    }
    fputc('"', csv);
}

static void write_head(FILE *csv, const struct gr_report_set *set) {
    char key[64];
    fputs("group,run,name,folder", csv);
    for (size_t d = 0; d < set->n_differences; d++) {
        fputc(',', csv);
        write_cell(csv, set->differences[d].path);
    }
    fputs(",outcome,rounds_done,rounds,silos,ranks", csv);
    for (enum gr_report_figure f = 0; f < GR_REPORT_FIGURES; f++) {
        key_of(f, key);
        fprintf(csv, ",%s", key);
    }
    fputs(",model_digest\n", csv);
}

static void write_run(FILE *csv, const struct gr_report_set *set,
                      const struct gr_report_group *group, size_t i) {
    const struct gr_report_run *run = &set->runs[i];
    const char *const texts[] = {group->label, set->n > 1 ? run->label : group->label,
                                 gr_json_text(run->manifest, "name"), run->folder};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
        if (k > 0) fputc(',', csv);
        write_cell(csv, texts[k]);
    }
    for (size_t d = 0; d < set->n_differences; d++) {
        fputc(',', csv);
        write_cell(csv, value_of(&set->differences[d], i));
    }
    fputc(',', csv);
    write_cell(csv, gr_json_text(run->manifest, "outcome"));
    fprintf(csv, ",%llu,%llu,%llu,%llu", (unsigned long long)gr_report_rounds_done(run),
            (unsigned long long)gr_json_count(run->manifest, "rounds"),
            (unsigned long long)gr_json_count(run->manifest, "silos"),
            (unsigned long long)gr_json_count(run->manifest, "ranks"));
    for (size_t f = 0; f < GR_REPORT_FIGURES; f++) {
        fputc(',', csv);
        if (isfinite(run->figures[f])) fprintf(csv, "%.17g", run->figures[f]);
    }
    fputc(',', csv);
    write_cell(csv, gr_json_text(run->manifest, "model_digest"));
    fputc('\n', csv);
}

void gr_report_csv(FILE *csv, const struct gr_report_set *set) {
    write_head(csv, set);
    for (size_t g = 0; g < set->n_groups; g++)
        for (size_t i = 0; i < set->groups[g].n; i++)
            write_run(csv, set, &set->groups[g], set->groups[g].first + i);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

/* null where it is not defined. */
static json_t *real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *text(const char *value) {
    return value ? json_string(value) : json_null();
}

static json_t *settings_of(const struct gr_report_set *set, size_t run) {
    json_t *json = json_object();
    for (size_t d = 0; d < set->n_differences; d++)
        json_object_set_new(json, set->differences[d].path,
                            text(value_of(&set->differences[d], run)));
    return json;
}

static json_t *run_of(const struct gr_report_set *set, size_t i) {
    const struct gr_report_run *run = &set->runs[i];
    json_t *json = json_object(), *figures = json_object();
    char key[64];
    json_object_set_new(json, "run", text(set->n > 1 ? run->label : "A"));
    json_object_set_new(json, "name", text(gr_json_text(run->manifest, "name")));
    json_object_set_new(json, "folder", text(run->folder));
    json_object_set_new(json, "settings", settings_of(set, i));
    json_object_set_new(json, "outcome", text(gr_json_text(run->manifest, "outcome")));
    json_object_set_new(json, "rounds_done", json_integer((json_int_t)gr_report_rounds_done(run)));
    json_object_set_new(json, "rounds",
                        json_integer((json_int_t)gr_json_count(run->manifest, "rounds")));
    json_object_set_new(json, "silos",
                        json_integer((json_int_t)gr_json_count(run->manifest, "silos")));
    json_object_set_new(json, "ranks",
                        json_integer((json_int_t)gr_json_count(run->manifest, "ranks")));
    for (enum gr_report_figure f = 0; f < GR_REPORT_FIGURES; f++) {
        key_of(f, key);
        json_object_set_new(figures, key, real(run->figures[f]));
    }
    json_object_set_new(json, "figures", figures);
    json_object_set_new(json, "model_digest", text(gr_json_text(run->manifest, "model_digest")));
    return json;
}

static json_t *group_of(const struct gr_report_set *set, const struct gr_report_group *group) {
    json_t *json = json_object(), *figures = json_object(), *runs = json_array();
    char key[64];
    json_object_set_new(json, "group", text(group->label));
    json_object_set_new(json, "title", text(group->title));
    json_object_set_new(json, "finished", json_integer((json_int_t)gr_report_finished(set, group)));
    for (enum gr_report_figure f = 0; f < GR_REPORT_FIGURES; f++) {
        const struct gr_report_mean m = gr_report_mean_of(set, group, f);
        json_t *mean = json_object();
        json_object_set_new(mean, "n", json_integer((json_int_t)m.n));
        json_object_set_new(mean, "mean", real(m.mean));
        json_object_set_new(mean, "standard_deviation", real(m.deviation));
        key_of(f, key);
        json_object_set_new(figures, key, mean);
    }
    json_object_set_new(json, "figures", figures);
    for (size_t i = 0; i < group->n; i++)
        json_array_append_new(runs, run_of(set, group->first + i));
    json_object_set_new(json, "runs", runs);
    return json;
}

/* Memory that was refused leaves members out; jansson then writes none of the object. */
void gr_report_json(FILE *out, const struct gr_report_set *set) {
    json_t *json = json_object(), *groups = json_array();
    for (size_t g = 0; g < set->n_groups; g++)
        json_array_append_new(groups, group_of(set, &set->groups[g]));
    json_object_set_new(json, "groups", groups);
    json_object_set(json, "left_out", set->left_out);
    json_dumpf(json, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(json);
}
