/* SPDX-License-Identifier: Apache-2.0 */
/* The run directories of a folder: of a sweep, or of all runs. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "observe/report.h"

/* Folders in folders, as a sweep of modes and seeds has them; and how many are looked through. */
enum { DEPTH_MAX = 3, FOLDERS_MAX = 10000 };

static gr_status add(struct gr_report_found *found, const char *path, bool from_folder) {
    gr_status status = GR_OK;
    char **paths = NULL;
    bool *flags = NULL;
    if (found->n == found->room) {
        const size_t room = 2 * found->room + 16;
        GR_TRY(gr_allocate_zero(room, sizeof *paths, "runs", &paths));
        GR_TRY(gr_allocate_zero(room, sizeof *flags, "runs", &flags));
        if (found->n > 0) {
            memcpy(paths, found->paths, found->n * sizeof *paths);
            memcpy(flags, found->from_folder, found->n * sizeof *flags);
        }
        gr_free(found->paths);
        gr_free(found->from_folder);
        found->paths = paths;
        found->from_folder = flags;
        found->room = room;
        paths = NULL;
        flags = NULL;
    }
    GR_TRY(gr_text_format(&found->paths[found->n], "%s", path));
    found->from_folder[found->n++] = from_folder;
out:
    gr_free(paths);
    gr_free(flags);
    return status;
}

static bool has(const char *path, const char *name) {
    char *file = NULL;
    if (gr_text_format(&file, "%s/%s", path, name) != GR_OK) return false;
    const bool there = access(file, F_OK) == 0;
    gr_free(file);
    return there;
}

/* One that was killed before its manifest was whole has left other records. */
static bool is_run(const char *path) {
    return has(path, "manifest.json") || has(path, "metrics.jsonl") || has(path, "events.jsonl");
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_shown(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* Links are passed over: runs/latest names a run that is there anyway, and a loop has no end. */
static bool is_folder(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static gr_status find_below(struct gr_report_found *found, const char *folder, int depth,
                            size_t *looked) {
    gr_status status = GR_OK;
    struct dirent **entries = NULL;
    char *path = NULL;
    const int n = scandir(folder, &entries, is_shown, by_name);
    for (int i = 0; i < n && *looked < FOLDERS_MAX; i++) {
        gr_free(path);
        path = NULL;
        GR_TRY(gr_text_format(&path, "%s/%s", folder, entries[i]->d_name));
        if (!is_folder(path)) continue;
        ++*looked;
        if (is_run(path))
            GR_TRY(add(found, path, true));
        else if (depth < DEPTH_MAX)
            GR_TRY(find_below(found, path, depth + 1, looked));
    }
out:
    gr_free(path);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return status;
}

gr_status gr_report_find(const char *const *paths, size_t n, struct gr_report_found *found) {
    gr_status status = GR_OK;
    for (size_t i = 0; i < n; i++) {
        const size_t before = found->n;
        size_t looked = 0;
        if (!is_run(paths[i])) GR_TRY(find_below(found, paths[i], 1, &looked));
        if (found->n == before) GR_TRY(add(found, paths[i], false));
    }
out:
    return status;
}

void gr_report_found_release(struct gr_report_found *found) {
    for (size_t i = 0; i < found->n; i++)
        gr_free(found->paths[i]);
    gr_free(found->paths);
    gr_free(found->from_folder);
    *found = (struct gr_report_found){0};
}
