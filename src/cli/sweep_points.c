/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The points of a sweep: the grid of lists, points drawn from lists and ranges, or the lines of a
 * CSV file. Values stay the text that --set takes; the config's parser is the judge of them.
 */
#include <ctype.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sweep.h"
#include "observe/json.h"

enum { FILE_MAX_BYTES = 4 << 20, KEYS_MAX = 32, LABEL_MAX = 512, TITLE_MAX = 64 };

/* ---- keys ------------------------------------------------------------------------------------ */

/* Refuses settings that the sweep itself gives to each run, and a key that is there already. */
static gr_status check_key(const char *name, const json_t *keys) {
    static const char *const own[] = {"run.seed", "run.name", "run.directory"};
    char quoted[80];
    gr_text_quote(name, strlen(name), quoted, sizeof quoted);
    if (!*name) return gr_fail(GR_ERROR_USAGE, "sweep: found a key without a name");
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(name, own[i]) == 0)
            return gr_fail(GR_ERROR_USAGE, "sweep: %s is given to each run by the sweep itself%s",
                           name, i == 0 ? "; --seeds says how many there are" : "");
    for (size_t i = 0; i < json_array_size(keys); i++)
        if (strcmp(gr_json_text(json_array_get(keys, i), "name"), name) == 0)
            return gr_fail(GR_ERROR_USAGE, "sweep: %s is given twice", quoted);
    if (json_array_size(keys) == KEYS_MAX)
        return gr_fail(GR_ERROR_USAGE, "sweep: found more than %d keys", KEYS_MAX);
    return GR_OK;
}

static gr_status no_memory(void) {
    return gr_fail(GR_ERROR_INTERNAL, "memory for the points was refused");
}

/* The last part of a dotted key, or where that says little the one before it. */
static void short_of(const char *key, char *out, size_t size) {
    static const char *const dull[] = {"name", "type", "method", "metric"};
    const char *last = strrchr(key, '.');
    last = last ? last + 1 : key;
    const char *end = key + strlen(key);
    for (size_t i = 0; i < sizeof dull / sizeof *dull && last > key; i++) {
        if (strcmp(last, dull[i]) != 0) continue;
        end = last - 1;
        for (last = end; last > key && last[-1] != '.';)
            last--;
    }
    snprintf(out, size, "%.*s", (int)(end - last), last);
}

void gr_key_title(const json_t *keys, size_t key, char *out, size_t size) {
    const char *name = gr_json_text(json_array_get(keys, key), "name");
    char other[TITLE_MAX];
    short_of(name, out, size);
    for (size_t i = 0; i < json_array_size(keys); i++) {
        if (i == key) continue;
        short_of(gr_json_text(json_array_get(keys, i), "name"), other, sizeof other);
        if (strcmp(other, out) == 0) snprintf(out, size, "%s", name);
    }
}

/* ---- --over ---------------------------------------------------------------------------------- */

/* The end of a value of YAML in a list: the comma that is in no bracket and no quotes. */
static const char *end_of_value(const char *text) {
    int depth = 0;
    char quote = '\0';
    for (; *text; text++) {
        if (quote) {
            if (*text == quote) quote = '\0';
        } else if (*text == '"' || *text == '\'') {
            quote = *text;
        } else if (*text == '[' || *text == '{') {
            depth++;
        } else if (*text == ']' || *text == '}') {
            depth--;
        } else if (*text == ',' && depth <= 0) {
            break;
        }
    }
    return text;
}

static gr_status add_value(json_t *values, const char *from, const char *to, const char *key) {
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    if (from == to)
        return gr_fail(GR_ERROR_USAGE, "sweep: %s: found an empty value, expected %s=VALUE,VALUE",
                       key, key);
    return json_array_append_new(values, json_stringn(from, (size_t)(to - from))) == 0
               ? GR_OK
               : gr_fail(GR_ERROR_USAGE, "sweep: %s: found a value that is no UTF-8", key);
}

/* "0.001..0.1" or "0.001..0.1:log" of --random. False: it is no range. */
static bool read_range(const char *text, json_t *key) {
    const char *dots = strstr(text, "..");
    char low_text[32], *end;
    if (!dots || (size_t)(dots - text) >= sizeof low_text) return false;
    snprintf(low_text, sizeof low_text, "%.*s", (int)(dots - text), text);
    const double low = strtod(low_text, &end);
    if (end == low_text || *end) return false;
    const double high = strtod(dots + 2, &end);
    const bool log = strcmp(end, ":log") == 0;
    if (end == dots + 2 || (*end && !log) || !isfinite(low) || !isfinite(high)) return false;
    if (!(low < high) || (log && !(low > 0))) return false;
    const bool whole = !low_text[strcspn(low_text, ".eE")] &&
                       dots + 2 + strcspn(dots + 2, ".eE") >= end && high < 0x1p53 && low > -0x1p53;
    return json_object_set_new(key, "low", json_real(low)) == 0 &&
           json_object_set_new(key, "high", json_real(high)) == 0 &&
           json_object_set_new(key, "log", json_boolean(log)) == 0 &&
           json_object_set_new(key, "whole", json_boolean(whole)) == 0;
}

/* "KEY=VALUE,VALUE": another key in `keys`, and the list of its values in `lists`. */
static gr_status read_over(const char *text, bool ranges, json_t *keys, json_t *lists) {
    const char *equals = strchr(text, '=');
    gr_status status = GR_OK;
    char *name = NULL;
    if (!equals || !equals[1]) {
        char quoted[80];
        gr_text_quote(text, strlen(text), quoted, sizeof quoted);
        return gr_fail(GR_ERROR_USAGE, "sweep: --over: found '%s', expected KEY=VALUE,VALUE,...",
                       quoted);
    }
    GR_TRY(gr_text_format(&name, "%.*s", (int)(equals - text), text));
    GR_TRY(check_key(name, keys));
    json_t *key = json_pack("{s:s}", "name", name), *values = json_array();
    if (!key || json_array_append_new(keys, key) != 0 || json_array_append_new(lists, values) != 0)
        GR_TRY(no_memory());
    if (ranges && read_range(equals + 1, key)) goto out;
    if (strstr(equals, "..")) {
        status = gr_fail(GR_ERROR_USAGE,
                         "sweep: --over %s: found %s, expected values; a range is LOW..HIGH or "
                         "LOW..HIGH:log, LOW below HIGH, and of --random",
                         name, ranges ? "no range" : "a range");
        goto out;
    }
    for (const char *from = equals + 1; from;) {
        const char *to = end_of_value(from);
        GR_TRY(add_value(values, from, to, name));
        from = *to ? to + 1 : NULL;
    }
out:
    gr_free(name);
    return status;
}

/* ---- grid and draws -------------------------------------------------------------------------- */

static gr_status append_point(json_t *points, json_t *values) {
    json_t *point = json_pack("{s:o}", "values", values);
    return point && json_array_append_new(points, point) == 0 ? GR_OK : no_memory();
}

/* The last key varies fastest. */
static gr_status make_grid(const json_t *lists, json_t *points) {
    const size_t n_keys = json_array_size(lists);
    size_t n = 1;
    gr_status status = GR_OK;
    for (size_t k = 0; k < n_keys; k++) {
        n *= json_array_size(json_array_get(lists, k));
        if (n > GR_SWEEP_RUNS_MAX)
            return gr_fail(GR_ERROR_USAGE, "sweep: the grid has more than %d points",
                           GR_SWEEP_RUNS_MAX);
    }
    for (size_t p = 0; p < n && status == GR_OK; p++) {
        json_t *values = json_array();
        size_t rest = n, place = p;
        for (size_t k = 0; k < n_keys; k++) {
            const json_t *list = json_array_get(lists, k);
            rest /= json_array_size(list);
            json_array_append(values, json_array_get(list, place / rest));
            place %= rest;
        }
        status = append_point(points, values);
    }
    return status;
}

/* Six digits are enough of a draw, and short enough to read. */
static json_t *draw(const json_t *key, gsl_rng *rng) {
    const double low = gr_json_real(key, "low"), high = gr_json_real(key, "high");
    const double u = gsl_rng_uniform(rng);
    const bool log_scale = json_is_true(json_object_get(key, "log"));
    char text[32];
    if (json_is_true(json_object_get(key, "whole"))) {
        const double drawn =
            log_scale ? floor(low * pow((high + 1) / low, u)) : low + floor(u * (high - low + 1));
        snprintf(text, sizeof text, "%.0f", fmin(drawn, high));
        return json_string(text);
    }
    const double drawn = log_scale ? low * pow(high / low, u) : low + u * (high - low);
    snprintf(text, sizeof text, "%.6g", drawn);
    if (strtod(text, NULL) < low) snprintf(text, sizeof text, "%.17g", low);
    if (strtod(text, NULL) > high) snprintf(text, sizeof text, "%.17g", high);
    return json_string(text);
}

static gr_status draw_points(const struct gr_points_asked *asked, const json_t *keys,
                             const json_t *lists, json_t *points) {
    gsl_rng *rng = NULL;
    gr_status status = gr_stream_create(
        (struct gr_stream_key){.seed = asked->seed, .purpose = GR_PURPOSE_SWEEP}, &rng);
    for (uint32_t p = 0; p < asked->random && status == GR_OK; p++) {
        json_t *values = json_array();
        for (size_t k = 0; k < json_array_size(keys); k++) {
            const json_t *list = json_array_get(lists, k);
            const size_t n = json_array_size(list);
            if (n > 0)
                json_array_append(values, json_array_get(list, gsl_rng_uniform_int(rng, n)));
            else
                json_array_append_new(values, draw(json_array_get(keys, k), rng));
        }
        status = append_point(points, values);
    }
    if (rng) gsl_rng_free(rng);
    return status;
}

/* ---- --from ---------------------------------------------------------------------------------- */

/* The next cell of a line of RFC 4180, in place; *text goes behind it, NULL: it was the last. */
static char *next_cell(char **text) {
    char *from = *text, *cell = from, *out;
    if (*from == '"') {
        cell = out = ++from;
        while (*from && (*from != '"' || from[1] == '"')) {
            if (*from == '"') from++;
            *out++ = *from++;
        }
        if (*from) from++;
    } else {
        while (*from && *from != ',')
            from++;
        out = from;
    }
    *text = *from ? from + 1 : NULL;
    *out = '\0';
    return cell;
}

static gr_status read_cells(const char *path, size_t line, char *text, const json_t *keys,
                            json_t *values) {
    gr_status status = GR_OK;
    const size_t n = json_array_size(keys);
    size_t k = 0;
    for (char *rest = text; rest; k++) {
        const char *cell = next_cell(&rest);
        if (k >= n) continue;
        GR_TRY(add_value(values, cell, cell + strlen(cell),
                         gr_json_text(json_array_get(keys, k), "name")));
    }
    if (k != n)
        status =
            gr_fail(GR_ERROR_CONFIG, "%s:%zu: found %zu cells, expected %zu", path, line, k, n);
    return status;
out:
    return gr_fail_context(status, "%s:%zu: ", path, line);
}

static gr_status read_keys(char *text, json_t *keys) {
    gr_status status = GR_OK;
    for (char *rest = text; rest;) {
        const char *name = next_cell(&rest);
        GR_TRY(check_key(name, keys));
        if (json_array_append_new(keys, json_pack("{s:s}", "name", name)) != 0) GR_TRY(no_memory());
    }
out:
    return status;
}

/* The first line holds keys, each other one a point. */
static gr_status read_file(const char *path, json_t *keys, json_t *points) {
    gr_status status = GR_OK;
    char *text = NULL, *rest, *line;
    size_t length, number = 0;
    GR_TRY(gr_file_read(path, FILE_MAX_BYTES, GR_ERROR_CONFIG, &text, &length));
    for (rest = text; (line = strsep(&rest, "\n"));) {
        number++;
        line[strcspn(line, "\r")] = '\0';
        if (!*line) continue;
        if (json_array_size(keys) == 0) {
            status = read_keys(line, keys);
            if (status != GR_OK) {
                status = gr_fail_context(status, "%s:%zu: ", path, number);
                goto out;
            }
            continue;
        }
        json_t *values = json_array();
        GR_TRY(append_point(points, values));
        GR_TRY(read_cells(path, number, line, keys, values));
        if (json_array_size(points) > GR_SWEEP_RUNS_MAX) {
            status =
                gr_fail(GR_ERROR_CONFIG, "%s: found more than %d points", path, GR_SWEEP_RUNS_MAX);
            goto out;
        }
    }
    if (json_array_size(points) == 0)
        status =
            gr_fail(GR_ERROR_CONFIG,
                    "%s: found no point, expected a line of keys and a line for each point", path);
out:
    gr_free(text);
    return status;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* "_learning_rate-0.01_strategy-fedprox", of letters that run.name may have. */
static gr_status name_point(const json_t *keys, json_t *point) {
    char label[LABEL_MAX] = "", title[TITLE_MAX];
    size_t used = 0;
    const json_t *values = json_object_get(point, "values");
    for (size_t k = 0; k < json_array_size(keys) && used < sizeof label - 1; k++) {
        gr_key_title(keys, k, title, sizeof title);
        const int n = snprintf(label + used, sizeof label - used, "_%s-%s", title,
                               json_string_value(json_array_get(values, k)));
        used += (size_t)n < sizeof label - used ? (size_t)n : sizeof label - 1 - used;
    }
    for (char *c = label; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_.", *c)) *c = '-';
    return json_object_set_new(point, "name", json_string(label)) == 0 ? GR_OK : no_memory();
}

gr_status gr_points_make(const struct gr_points_asked *asked, json_t **keys, json_t **points) {
    gr_status status = GR_OK;
    json_t *lists = json_array(), *point;
    size_t p;
    *keys = json_array();
    *points = json_array();
    if (!lists || !*keys || !*points) GR_TRY(no_memory());
    if (asked->from && (asked->over.n > 0 || asked->random > 0)) {
        status = gr_fail(GR_ERROR_USAGE, "sweep: found --from beside --%s, expected one of them",
                         asked->over.n > 0 ? "over" : "random");
        goto out;
    }
    if (asked->random > 0 && asked->over.n == 0) {
        status =
            gr_fail(GR_ERROR_USAGE, "sweep: found --random without --over, which says of what");
        goto out;
    }
    for (size_t i = 0; i < asked->over.n; i++)
        GR_TRY(read_over(asked->over.text[i], asked->random > 0, *keys, lists));
    if (asked->from)
        GR_TRY(read_file(asked->from, *keys, *points));
    else if (asked->random > 0)
        GR_TRY(draw_points(asked, *keys, lists, *points));
    else
        GR_TRY(make_grid(lists, *points));
    json_array_foreach(*points, p, point) GR_TRY(name_point(*keys, point));
out:
    json_decref(lists);
    return status;
}
