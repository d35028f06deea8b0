/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.jsonl: a chain. The hash at the end of each line is over the line without it, which holds
 * the hash of the line before: no line can be changed, left out or put in without all that follow.
 */
#include <granary/observe.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "observe/events.h"
#include "observe/lines.h"

enum { HASH_HEX = GR_DIGEST_HEX - 1, DETAIL_MAX = 16 << 20 /* a list of all silos */ };

/* What stands between the last member and the end of a line: ,"hash":"..."} */
#define HASH_KEY ",\"hash\":\""
enum { HASH_KEY_BYTES = sizeof HASH_KEY - 1, TAIL_BYTES = HASH_KEY_BYTES + HASH_HEX + 2 };

struct gr_events_file {
    struct gr_lines *lines; /* owned */
    uint64_t n;             /* events so far */
    char previous[GR_DIGEST_HEX];
};

/* The hash that a line without its hash, "{...}", gets. */
static void hash_of(const char *body, size_t n, char out[GR_DIGEST_HEX]) {
    unsigned char digest[GR_DIGEST_BYTES];
    gr_digest_of(body, n, digest);
    gr_digest_hex(digest, out);
}

/* Takes a line apart: *n_body bytes of it and "}" are what was hashed. */
static bool split(const char *line, size_t n, size_t *n_body, char hash[GR_DIGEST_HEX]) {
    if (n <= TAIL_BYTES || memcmp(line + n - TAIL_BYTES, HASH_KEY, HASH_KEY_BYTES) != 0 ||
        memcmp(line + n - 2, "\"}", 2) != 0)
        return false;
    *n_body = n - TAIL_BYTES;
    memcpy(hash, line + n - 2 - HASH_HEX, HASH_HEX);
    hash[HASH_HEX] = '\0';
    return true;
}

/* Whether a line is the n-th of a chain whose line before has the hash `previous`. */
static bool follows(const char *line, size_t length, uint64_t n, const char *previous,
                    char hash[GR_DIGEST_HEX]) {
    size_t n_body;
    char found[GR_DIGEST_HEX];
    struct gr_digest digest;
    unsigned char bytes[GR_DIGEST_BYTES];
    if (!split(line, length, &n_body, hash)) return false;
    gr_digest_start(&digest);
    gr_digest_add(&digest, line, n_body);
    gr_digest_add(&digest, "}", 1);
    gr_digest_finish(&digest, bytes);
    gr_digest_hex(bytes, found);
    if (strcmp(found, hash) != 0) return false;
    json_t *json = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    const char *before = json_string_value(json_object_get(json, "previous"));
    const json_t *number = json_object_get(json, "n");
    bool good = before && strcmp(before, previous) == 0 && json_is_integer(number) &&
                json_integer_value(number) == (json_int_t)n;
    json_decref(json);
    return good;
}

static void start_chain(char previous[GR_DIGEST_HEX]) {
    memset(previous, '0', HASH_HEX);
    previous[HASH_HEX] = '\0';
}

/* Finds the end of the chain; *end: where its lines end, before a torn one. */
static gr_status find_end(struct gr_events_file *file, const char *path, const char *text,
                          size_t length, size_t *end) {
    const char *line;
    size_t n, n_body;
    *end = 0;
    start_chain(file->previous);
    while (gr_lines_next(text, length, end, &line, &n)) {
        file->n++;
        /* A chain that is broken further up stays so, and is told by gr_events_verify. */
        if (split(line, n, &n_body, file->previous)) continue;
        return gr_fail(GR_ERROR_DATA, "%s:%llu: not an event; move the file away to go on", path,
                       (unsigned long long)file->n);
    }
    return GR_OK;
}

gr_status gr_events_open(const char *path, struct gr_events_file **out) {
    gr_status status = GR_OK;
    struct gr_events_file *file = NULL;
    char *text = NULL;
    size_t length = 0, end;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *file, "events", &file));
    GR_TRY(gr_lines_read(path, &text, &length));
    GR_TRY(find_end(file, path, text, length, &end));
    GR_TRY(gr_lines_open(path, text, end, &file->lines));
    *out = file;
    file = NULL;
out:
    gr_free(text);
    gr_events_close(file);
    return status;
}

/* Puts the members of `detail` behind the common ones. */
static gr_status add_detail(json_t *event, const char *detail) {
    gr_status status = GR_OK;
    const char *key;
    json_t *value;
    json_t *json = json_loads(detail, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(json)) {
        status = gr_fail(GR_ERROR_INTERNAL, "the detail of an event is not a JSON object");
        goto out;
    }
    json_object_foreach(json, key, value) {
        if (json_object_get(event, key) || strcmp(key, "previous") == 0 ||
            strcmp(key, "hash") == 0) {
            status = gr_fail(GR_ERROR_INTERNAL, "the detail of an event has the member %s", key);
            goto out;
        }
        json_object_set(event, key, value);
    }
out:
    json_decref(json);
    return status;
}

gr_status gr_events_append(struct gr_events_file *file, const char *event, uint32_t round,
                           const char *detail) {
    gr_status status = GR_OK;
    char time[32], hash[GR_DIGEST_HEX], *body = NULL, *line = NULL;
    gr_clock_utc(time);
    json_t *json = json_pack("{s:I, s:s, s:s, s:I}", "n", (json_int_t)file->n + 1, "time", time,
                             "event", event, "round", (json_int_t)round);
    if (json && detail) GR_TRY(add_detail(json, detail));
    json_object_set_new(json, "previous", json_string(file->previous));
    body = json_dumps(json, JSON_COMPACT);
    if (!body || strlen(body) > DETAIL_MAX) {
        status = gr_fail(GR_ERROR_INTERNAL, "the event %s cannot be written down", event);
        goto out;
    }
    hash_of(body, strlen(body), hash);
    GR_TRY(gr_text_format(&line, "%.*s" HASH_KEY "%s\"}\n", (int)strlen(body) - 1, body, hash));
    GR_TRY(gr_lines_append(file->lines, line, strlen(line)));
    file->n++;
    memcpy(file->previous, hash, sizeof hash);
out:
    gr_free(line);
    free(body);
    json_decref(json);
    return status;
}

void gr_events_close(struct gr_events_file *file) {
    if (!file) return;
    gr_lines_close(file->lines);
    gr_free(file);
}

size_t gr_events_behind(const struct gr_events_file *file) {
    return gr_lines_behind(file->lines);
}

size_t gr_events_broken(const char *text, size_t length) {
    char previous[GR_DIGEST_HEX], hash[GR_DIGEST_HEX];
    const char *line;
    size_t at = 0, n, number = 0;
    start_chain(previous);
    while (gr_lines_next(text, length, &at, &line, &n)) {
        number++;
        if (!follows(line, n, number, previous, hash)) return number;
        memcpy(previous, hash, sizeof hash);
    }
    return at == length ? 0 : number + 1;
}

gr_status gr_events_verify(const char *path, size_t *broken_line) {
    gr_status status = GR_OK;
    char *text = NULL;
    size_t length = 0;
    *broken_line = 0;
    GR_TRY(gr_file_read(path, GR_LINES_FILE_MAX, GR_ERROR_DATA, &text, &length));
    *broken_line = gr_events_broken(text, length);
out:
    gr_free(text);
    return status;
}
