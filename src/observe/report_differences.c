/* SPDX-License-Identifier: Apache-2.0 */
/* The settings in which runs are not alike. */
#include <string.h>

#include "observe/report.h"

bool gr_report_is_chance(const char *path) {
    static const char *const paths[] = {"run.name", "run.seed", "run.directory"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (strcmp(path, paths[i]) == 0) return true;
    return false;
}

/*
 * A setting as one line of text, a list as a whole. NULL: the run has no such setting, as with runs
 * of different versions. Caller frees.
 */
static gr_status value_at(const struct gr_report_run *run, const char *path, char **out,
                          bool *is_path) {
    struct gr_node *node = gr_node_at(run->settings, path);
    size_t length = 0;
    *out = NULL;
    if (!node) return GR_OK;
    *is_path = *is_path || gr_report_holds_path(node);
    if (node->kind == GR_NODE_SCALAR)
        return gr_text_format(out, "%s", node->text ? node->text : "");
    return gr_tree_emit(node, out, &length);
}

static void release(struct gr_report_difference *difference, size_t n) {
    for (size_t i = 0; i < n && difference->values; i++)
        gr_free(difference->values[i]);
    gr_free(difference->values);
    gr_free(difference->path);
}

static gr_status add(struct gr_report_set *set, struct gr_report_difference *difference) {
    if (set->n_differences == set->differences_room) {
        const size_t room = 2 * set->differences_room + 16;
        struct gr_report_difference *grown;
        gr_status status = gr_allocate_zero(room, sizeof *grown, "settings that differ", &grown);
        if (status != GR_OK) return status;
        if (set->n_differences > 0)
            memcpy(grown, set->differences, set->n_differences * sizeof *grown);
        gr_free(set->differences);
        set->differences = grown;
        set->differences_room = room;
    }
    set->differences[set->n_differences++] = *difference;
    *difference = (struct gr_report_difference){0};
    return GR_OK;
}

/* Keeps a setting in which the runs differ; none where all have the same. */
static gr_status compare_at(struct gr_report_set *set, const char *path) {
    gr_status status = GR_OK;
    struct gr_report_difference found = {0};
    bool differ = false;
    GR_TRY(gr_text_format(&found.path, "%s", path));
    GR_TRY(gr_allocate_zero(set->n, sizeof *found.values, "settings that differ", &found.values));
    for (size_t i = 0; i < set->n; i++) {
        GR_TRY(value_at(&set->runs[i], path, &found.values[i], &found.is_path));
        differ = differ || (found.values[i] == NULL) != (found.values[0] == NULL) ||
                 (found.values[i] && strcmp(found.values[i], found.values[0]) != 0);
    }
    if (differ) status = add(set, &found);
out:
    release(&found, set->n);
    return status;
}

/*
 * Whether an earlier run has a setting at the path: it has been compared with all others then.
 * Sections are not values and do not count.
 */
static bool is_done(const struct gr_report_set *set, size_t run, const char *path) {
    for (size_t i = 0; i < run; i++) {
        struct gr_node *node = gr_node_at(set->runs[i].settings, path);
        if (node && node->kind != GR_NODE_SECTION) return true;
    }
    return false;
}

/*
 * Each key below `section` of one run, sections in it likewise. Lists are compared as wholes: their
 * elements have no names by which they could be matched.
 */
static gr_status compare_below(struct gr_report_set *set, size_t run, const struct gr_node *section,
                               const char *prefix) {
    gr_status status = GR_OK;
    char *path = NULL;
    for (const struct gr_node *node = section->child; node; node = node->next) {
        gr_free(path);
        path = NULL;
        GR_TRY(gr_text_format(&path, "%s%s%s", prefix, prefix[0] ? "." : "", node->key));
        if (node->kind == GR_NODE_SECTION)
            GR_TRY(compare_below(set, run, node, path));
        else if (!is_done(set, run, path))
            GR_TRY(compare_at(set, path));
    }
out:
    gr_free(path);
    return status;
}

/*
 * Goes through the settings of each run, since a later run may have keys that the first lacks.
 * Without the settings of one run nothing can be said of any.
 */
gr_status gr_report_find_differences(struct gr_report_set *set) {
    gr_status status = GR_OK;
    for (size_t i = 0; i < set->n && !set->unknown; i++)
        if (!set->runs[i].settings) set->unknown = &set->runs[i];
    for (size_t i = 0; i < set->n && !set->unknown; i++)
        GR_TRY(compare_below(set, i, set->runs[i].settings, ""));
out:
    return status;
}
