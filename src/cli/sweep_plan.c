/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a sweep: FOLDER/plan.json and the configs beside it, laid down once, by whoever comes
 * first, before any run; whoever comes later finds the same plan or is refused. How many ranks
 * train a run is no part of it, for the model does not depend on that.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/sweep.h"
#include "observe/json.h"

enum { PLAN_MAX_BYTES = 64 << 20 };

/* ---- folders and files ----------------------------------------------------------------------- */

/* A name that no other process has, of any host. */
static gr_status temporary_of(const char *path, char **out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return gr_text_format(out, "%s.%ld-%lld%09ld.tmp", path, (long)getpid(), (long long)now.tv_sec,
                          now.tv_nsec);
}

static gr_status write_temporary(const char *temporary, const char *text, size_t length) {
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool written = fd >= 0;
    for (size_t done = 0; written && done < length;) {
        const ssize_t n = write(fd, text + done, length - done);
        written = n > 0 || (n < 0 && errno == EINTR);
        if (n > 0) done += (size_t)n;
    }
    written = written && fsync(fd) == 0;
    const int error = errno;
    if (fd >= 0 && close(fd) != 0) written = false;
    if (written) return GR_OK;
    if (fd >= 0) unlink(temporary);
    return gr_fail(GR_ERROR_WRITE, "%s: %s", temporary, strerror(error));
}

gr_status gr_plan_write(const struct gr_sweep_plan *plan, const char *name, const char *text,
                        size_t length) {
    gr_status status = GR_OK;
    char *path = NULL, *temporary = NULL;
    GR_TRY(gr_text_format(&path, "%s/%s", plan->folder, name));
    GR_TRY(temporary_of(path, &temporary));
    GR_TRY(write_temporary(temporary, text, length));
    status = gr_file_publish(temporary, path);
    if (status != GR_OK) unlink(temporary);
out:
    gr_free(temporary);
    gr_free(path);
    return status;
}

/* As gr_plan_write, where there is no such file yet; *there: there was. */
static gr_status write_once(const char *folder, const char *name, const char *text, bool *there) {
    gr_status status = GR_OK;
    char *path = NULL, *temporary = NULL;
    GR_TRY(gr_text_format(&path, "%s/%s", folder, name));
    *there = access(path, F_OK) == 0;
    if (*there) goto out;
    GR_TRY(temporary_of(path, &temporary));
    GR_TRY(write_temporary(temporary, text, strlen(text)));
    if (link(temporary, path) != 0) {
        *there = errno == EEXIST;
        if (!*there) status = gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    }
    unlink(temporary);
    if (status == GR_OK) status = gr_file_sync_folder(path);
out:
    gr_free(temporary);
    gr_free(path);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool are_texts(const json_t *list, size_t n) {
    if (!json_is_array(list) || json_array_size(list) != n) return false;
    for (size_t i = 0; i < n; i++)
        if (!json_is_string(json_array_get(list, i))) return false;
    return true;
}

static bool is_plan(const struct gr_sweep_plan *plan) {
    const json_t *rungs = json_object_get(plan->json, "rungs"),
                 *seeds = json_object_get(plan->json, "seeds");
    if (gr_json_count(plan->json, "version") != 1 || !plan->metric) return false;
    if (!are_texts(plan->set, json_array_size(plan->set)) || !json_is_array(rungs)) return false;
    if (plan->n_points == 0 || plan->n_seeds == 0 || plan->n_rungs == 0) return false;
    if (plan->n_points > GR_SWEEP_RUNS_MAX / plan->n_seeds) return false;
    for (size_t i = 0; i < plan->n_keys; i++)
        if (!gr_json_text(json_array_get(plan->keys, i), "name")) return false;
    for (size_t i = 0; i < plan->n_points; i++) {
        const json_t *point = json_array_get(plan->points, i);
        if (!gr_json_text(point, "name") || !gr_json_text(point, "config") ||
            !are_texts(json_object_get(point, "values"), plan->n_keys) ||
            !are_texts(json_object_get(point, "set"),
                       json_array_size(json_object_get(point, "set"))))
            return false;
    }
    for (size_t i = 0; i < plan->n_seeds; i++)
        if (!json_is_string(json_array_get(seeds, i))) return false;
    for (size_t i = 0; i < plan->n_rungs; i++)
        if (json_integer_value(json_array_get(rungs, i)) < 1) return false;
    return true;
}

/* plan->json and folder are there. */
static gr_status take_members(struct gr_sweep_plan *plan) {
    plan->keys = json_object_get(plan->json, "keys");
    plan->points = json_object_get(plan->json, "points");
    plan->set = json_object_get(plan->json, "set");
    plan->n_keys = json_array_size(plan->keys);
    plan->n_points = json_array_size(plan->points);
    plan->n_seeds = json_array_size(json_object_get(plan->json, "seeds"));
    plan->n_rungs = (uint32_t)json_array_size(json_object_get(plan->json, "rungs"));
    plan->metric = gr_json_text(plan->json, "metric");
    plan->maximize = json_is_true(json_object_get(plan->json, "maximize"));
    if (is_plan(plan)) return GR_OK;
    return gr_fail(GR_ERROR_DATA, "%s/plan.json: no plan of `granary sweep` or `granary compare`",
                   plan->folder);
}

gr_status gr_plan_take(const char *folder, json_t *json, struct gr_sweep_plan *out) {
    *out = (struct gr_sweep_plan){.json = json};
    gr_status status = gr_path_absolute(folder, &out->folder);
    if (status == GR_OK) status = take_members(out);
    if (status != GR_OK) gr_plan_release(out);
    return status;
}

gr_status gr_plan_read(const char *folder, struct gr_sweep_plan *out) {
    gr_status status = GR_OK;
    char *path = NULL, *text = NULL;
    size_t length;
    *out = (struct gr_sweep_plan){0};
    GR_TRY(gr_text_format(&path, "%s/plan.json", folder));
    GR_TRY(gr_file_read(path, PLAN_MAX_BYTES, GR_ERROR_DATA, &text, &length));
    status = gr_plan_take(folder, json_loadb(text, length, 0, NULL), out);
out:
    gr_free(text);
    gr_free(path);
    return status;
}

bool gr_plan_is_of(const struct gr_sweep_plan *plan, const char *command) {
    const char *format = gr_json_text(plan->json, "format");
    return format && strncmp(format, "granary-", 8) == 0 && strcmp(format + 8, command) == 0;
}

void gr_plan_release(struct gr_sweep_plan *plan) {
    json_decref(plan->json);
    gr_free(plan->folder);
    *plan = (struct gr_sweep_plan){0};
}

/* ---- laying down ----------------------------------------------------------------------------- */

/* A folder that holds anything else is somebody's: files of the plan alone may be there, which a
 * killed process has left. */
static gr_status check_empty(const char *folder) {
    const struct dirent *entry;
    gr_status status = GR_OK;
    DIR *entries = opendir(folder);
    if (!entries) return gr_fail(GR_ERROR_WRITE, "%s: %s", folder, strerror(errno));
    while (status == GR_OK && (entry = readdir(entries))) {
        const char *name = entry->d_name;
        const char *behind = strstr(name, ".yaml");
        if (name[0] == '.' || strncmp(name, "plan.json", 9) == 0 || behind) continue;
        status =
            gr_fail(GR_ERROR_WRITE,
                    "%s: holds '%s' and no plan.json, expected the folder of a sweep, an empty "
                    "one or none; --run names another",
                    folder, name);
    }
    closedir(entries);
    return status;
}

/* Also where neither has the member. */
static bool is_same_member(const json_t *a, const json_t *b, const char *name) {
    const json_t *one = json_object_get(a, name), *other = json_object_get(b, name);
    return (!one && !other) || json_equal(one, other);
}

static gr_status refuse_other(const struct gr_sweep_plan *there, const json_t *json) {
    static const char *const members[] = {"format", "keys",    "points", "silos",  "seeds",
                                          "rungs",  "halving", "set",    "metric", "maximize"};
    const char *hint = gr_plan_is_of(there, "sweep")
                           ? "; `granary sweep --run` of this one goes on with its plan"
                           : "";
    if (!is_same_member(there->json, json, "digests"))
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: the config has changed since its plan was made, and runs by two "
                       "configs cannot be compared; --run names another folder%s",
                       there->folder, hint);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (!is_same_member(there->json, json, members[i]))
            return gr_fail(GR_ERROR_WRITE,
                           "%s: is another one's: its \"%s\" differ from those of this command; "
                           "--run names another folder%s",
                           there->folder, members[i], hint);
    return GR_OK;
}

/* Digests of the configs, so that a plan tells that one of them has changed. */
static gr_status add_digests(json_t *json, json_t *files) {
    const char *name;
    json_t *text, *digests = json_object();
    json_object_foreach(files, name, text) {
        unsigned char digest[GR_DIGEST_BYTES];
        char hex[GR_DIGEST_HEX];
        gr_digest_of(json_string_value(text), json_string_length(text), digest);
        gr_digest_hex(digest, hex);
        json_object_set_new(digests, name, json_string(hex));
    }
    return json_object_set_new(json, "digests", digests) == 0
               ? GR_OK
               : gr_fail(GR_ERROR_INTERNAL, "memory for the plan was refused");
}

static gr_status write_plan(const char *folder, const json_t *json, json_t *files) {
    gr_status status = GR_OK;
    const char *name;
    json_t *text;
    char *words = NULL;
    bool there;
    json_object_foreach(files, name, text)
        GR_TRY(write_once(folder, name, json_string_value(text), &there));
    words = json_dumps(json, JSON_INDENT(1));
    if (!words) return gr_fail(GR_ERROR_INTERNAL, "memory for the plan was refused");
    status = write_once(folder, "plan.json", words, &there);
out:
    free(words);
    return status;
}

gr_status gr_plan_lay(struct gr_sweep_plan *plan, json_t *files) {
    gr_status status = GR_OK;
    struct gr_sweep_plan there = {0};
    char *path = NULL;
    GR_TRY(add_digests(plan->json, files));
    GR_TRY(gr_text_format(&path, "%s/plan.json", plan->folder));
    if (access(path, F_OK) != 0) {
        GR_TRY(gr_make_folders_above(plan->folder));
        GR_TRY(gr_make_folder(plan->folder));
        GR_TRY(check_empty(plan->folder));
        GR_TRY(write_plan(plan->folder, plan->json, files));
    }
    GR_TRY(gr_plan_read(plan->folder, &there));
    status = refuse_other(&there, plan->json);
    gr_plan_release(&there);
out:
    gr_free(path);
    return status;
}

/* ---- runs ------------------------------------------------------------------------------------ */

size_t gr_plan_runs(const struct gr_sweep_plan *plan) {
    return plan->n_points * plan->n_seeds;
}

uint64_t gr_plan_seed(const struct gr_sweep_plan *plan, size_t run) {
    const json_t *seeds = json_object_get(plan->json, "seeds");
    return strtoull(json_string_value(json_array_get(seeds, run % plan->n_seeds)), NULL, 10);
}

uint32_t gr_plan_rounds(const struct gr_sweep_plan *plan, uint32_t rung) {
    const json_t *rungs = json_object_get(plan->json, "rungs");
    return (uint32_t)json_integer_value(json_array_get(rungs, rung));
}

/* "p03-s2_learning_rate-0.01": point and seed come first, for they tell the runs apart where names
 * are cut. */
void gr_plan_run_name(const struct gr_sweep_plan *plan, size_t run, char out[GR_RUN_NAME_MAX]) {
    const json_t *point = json_array_get(plan->points, run / plan->n_seeds);
    int width = 1;
    for (size_t n = plan->n_points; n >= 10; n /= 10)
        width++;
    const int n =
        snprintf(out, GR_RUN_NAME_MAX, "p%0*zu-s%llu%s", width, run / plan->n_seeds + 1,
                 (unsigned long long)gr_plan_seed(plan, run), gr_json_text(point, "name"));
    if (n < 0) out[0] = '\0';
}

static gr_status add_override(struct gr_overrides *out, char *text) {
    const gr_status status = gr_overrides_add(out, text);
    if (status != GR_OK) gr_free(text);
    return status;
}

static gr_status add_list(struct gr_overrides *out, const json_t *list) {
    gr_status status = GR_OK;
    char *text;
    for (size_t i = 0; i < json_array_size(list) && status == GR_OK; i++) {
        status = gr_text_format(&text, "%s", json_string_value(json_array_get(list, i)));
        if (status == GR_OK) status = add_override(out, text);
    }
    return status;
}

/* A path may have any letters: as text of JSON it is YAML. */
static gr_status add_path(struct gr_overrides *out, const char *key, const char *path) {
    gr_status status = GR_OK;
    json_t *json = json_string(path);
    char *quoted = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL, *text;
    if (!quoted) {
        status = gr_fail(GR_ERROR_CONFIG, "%s: found a path that is no UTF-8", key);
        goto out;
    }
    GR_TRY(gr_text_format(&text, "%s=%s", key, quoted));
    status = add_override(out, text);
out:
    free(quoted);
    json_decref(json);
    return status;
}

/* The user's --set first, then the point's values, and last what is the sweep's own. */
gr_status gr_plan_overrides(const struct gr_sweep_plan *plan, size_t run, uint32_t rung,
                            struct gr_overrides *out) {
    gr_status status = GR_OK;
    const json_t *point = json_array_get(plan->points, run / plan->n_seeds);
    char name[GR_RUN_NAME_MAX], *text;
    *out = (struct gr_overrides){0};
    gr_plan_run_name(plan, run, name);
    GR_TRY(add_list(out, plan->set));
    GR_TRY(add_list(out, json_object_get(point, "set")));
    for (size_t k = 0; k < plan->n_keys; k++) {
        GR_TRY(
            gr_text_format(&text, "%s=%s", gr_json_text(json_array_get(plan->keys, k), "name"),
                           json_string_value(json_array_get(json_object_get(point, "values"), k))));
        GR_TRY(add_override(out, text));
    }
    GR_TRY(gr_text_format(&text, "run.seed=%llu", (unsigned long long)gr_plan_seed(plan, run)));
    GR_TRY(add_override(out, text));
    GR_TRY(gr_text_format(&text, "run.name=%s", name));
    GR_TRY(add_override(out, text));
    GR_TRY(add_path(out, "run.directory", plan->folder));
    if (plan->n_rungs > 1) {
        GR_TRY(gr_text_format(&text, "run.rounds=%u", gr_plan_rounds(plan, rung)));
        GR_TRY(add_override(out, text));
    }
out:
    if (status != GR_OK) gr_plan_overrides_release(out);
    return status;
}

/* The texts of gr_plan_overrides are its own, though a list of --set only borrows them. */
static void *owned_text(const char *text) {
    union {
        const char *lent;
        void *own;
    } both = {text};
    return both.own;
}

void gr_plan_overrides_release(struct gr_overrides *overrides) {
    for (size_t i = 0; i < overrides->n; i++)
        gr_free(owned_text(overrides->text[i]));
    free(overrides->text);
    *overrides = (struct gr_overrides){0};
}

gr_status gr_plan_config(const struct gr_sweep_plan *plan, size_t run, char **out) {
    const json_t *point = json_array_get(plan->points, run / plan->n_seeds);
    return gr_text_format(out, "%s/%s", plan->folder, gr_json_text(point, "config"));
}
