/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals of a coordinator, as they are read: by sites that are shown one, and by an audit. Text of
 * another party is not trusted: every member is looked at before it is copied.
 */
#include <granary/journal.h>

#include <jansson.h>
#include <string.h>

/* A text of fewer than `size` bytes; false: it is none, or longer. */
static bool copy_text(const json_t *json, const char *key, char *out, size_t size) {
    const char *text = json_string_value(json_object_get(json, key));
    if (!text || strlen(text) >= size) return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool copy_whole(const json_t *json, const char *key, uint64_t most, uint64_t *out) {
    const json_t *value = json_object_get(json, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > most)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static bool copy_all(const json_t *json, struct gr_run_seal *out) {
    uint64_t round = 0;
    const json_t *events = json_object_get(json, "events");
    const bool good = copy_whole(json, "n", INT64_MAX, &out->n) &&
                      copy_whole(json, "round", UINT32_MAX, &round) &&
                      copy_text(json, "event", out->kind, sizeof out->kind) &&
                      copy_text(json, "study", out->study, sizeof out->study) &&
                      copy_text(json, "run_id", out->run_id, sizeof out->run_id) &&
                      copy_text(json, "by", out->by, sizeof out->by) &&
                      copy_text(json, "model", out->model, sizeof out->model) &&
                      copy_text(json, "previous", out->previous, sizeof out->previous) &&
                      copy_whole(events, "lines", INT64_MAX, &out->events.n) &&
                      copy_text(events, "head", out->events.hash, sizeof out->events.hash);
    out->round = (uint32_t)round;
    return good;
}

gr_status gr_run_seal_read(const char *text, size_t length, struct gr_run_seal *out) {
    memset(out, 0, sizeof *out);
    if (length > GR_SEAL_TEXT_MAX)
        return gr_fail(GR_ERROR_DATA, "a seal of %zu bytes, expected at most %d", length,
                       (int)GR_SEAL_TEXT_MAX);
    if (!gr_chain_whole(text, length, out->hash))
        return gr_fail(GR_ERROR_DATA, "its hash is not that of its text");
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    const bool good = json && copy_all(json, out);
    json_decref(json);
    return good ? GR_OK : gr_fail(GR_ERROR_DATA, "a line of another kind than a seal");
}

bool gr_run_seal_closes(const struct gr_run_seal *seal) {
    return strcmp(seal->kind, "finished") == 0 || strcmp(seal->kind, "stopped") == 0 ||
           strcmp(seal->kind, "failed") == 0;
}

struct last_line {
    struct gr_run_seal seal;
    char *text; /* owned; NULL: the line is no seal */
};

static gr_status take_line(void *context, const struct gr_chain_line *line) {
    struct last_line *last = context;
    gr_free(last->text);
    last->text = NULL;
    if (gr_run_seal_read(line->text, line->n, &last->seal) != GR_OK) return GR_OK;
    return gr_text_format(&last->text, "%.*s", (int)line->n, line->text);
}

char *gr_run_finished_by(const char *run_path, const unsigned char *study) {
    struct last_line last = {.text = NULL};
    char *path = NULL, digest[GR_DIGEST_HEX];
    uint64_t n;
    bool torn = false;
    gr_digest_hex(study, digest);
    const bool read = gr_text_format(&path, "%s/seals.jsonl", run_path) == GR_OK &&
                      gr_chain_read(path, take_line, &last, &n, &torn) == GR_OK;
    gr_free(path);
    if (read && !torn && last.text && strcmp(last.seal.kind, "finished") == 0 &&
        strcmp(last.seal.study, digest) == 0)
        return last.text;
    gr_free(last.text);
    return NULL;
}
