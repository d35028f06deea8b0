/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a run directory compared with each other. A file that vouches for others was written
 * when they were on disk: a checkpoint of the records so far, the manifest of the events before it,
 * the event that closes a stretch of the manifest, the metrics and the model.
 */
#include "federation/run.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 256 << 10, MANIFEST_MAX = 1 << 30, DIFFERENCES_MAX = GR_MESSAGE_MAX / 2 };

/* Heads that the records are to have come by. */
enum { OF_CHECKPOINT, OF_MANIFEST, HEADS };

struct comparison {
    const char *run_path;
    char differences[DIFFERENCES_MAX];
    json_t *manifest; /* owned */
    char manifest_digest[GR_DIGEST_HEX];
    /* Of the checkpoint. */
    struct gr_evidence evidence;
    char run_id[GR_RUN_ID_HEX];
    uint32_t round;
    bool has_evidence;
    /* Of the end of a stretch. */
    struct gr_head events; /* n 0: it has not ended, or does not say */
    struct gr_closing closing;
    bool closed;
};

static void differ(struct comparison *c, const char *format, ...) GR_PRINTF(2, 3);
static void differ(struct comparison *c, const char *format, ...) {
    size_t length = strlen(c->differences);
    va_list arguments;
    va_start(arguments, format);
    if (length > 0) snprintf(c->differences + length, sizeof c->differences - length, "; ");
    length = strlen(c->differences);
    vsnprintf(c->differences + length, sizeof c->differences - length, format, arguments);
    va_end(arguments);
}

/*
 * Read in pieces: metrics of a long run need not fit into memory. O_NONBLOCK keeps a pipe under
 * this name from blocking the program.
 */
gr_status gr_evidence_digest(const char *path, char out[GR_DIGEST_HEX]) {
    gr_status status = GR_OK;
    struct gr_digest digest;
    unsigned char bytes[GR_DIGEST_BYTES];
    char *chunk = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return gr_fail(GR_ERROR_DATA, "%s: %s", path, strerror(errno));
    GR_TRY(gr_allocate(CHUNK, 1, path, &chunk));
    gr_digest_start(&digest);
    for (;;) {
        const ssize_t n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            status = gr_fail(GR_ERROR_DATA, "%s: %s", path, strerror(errno));
            goto out;
        }
        if (n == 0) break;
        gr_digest_add(&digest, chunk, (size_t)n);
    }
    gr_digest_finish(&digest, bytes);
    gr_digest_hex(bytes, out);
out:
    gr_free(chunk);
    close(fd);
    return status;
}

static gr_status path_in(const struct comparison *c, const char *name, char **out) {
    return gr_text_format(out, "%s/%s", c->run_path, name);
}

static const char *text_of(const json_t *json, const char *key) {
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

/* ---- what is said --------------------------------------------------------------------------- */

/*
 * Its digest is over the bytes as they stand, not over the parsed JSON: closing event and
 * checkpoint have recorded the digest of the file.
 */
static gr_status read_manifest(struct comparison *c) {
    gr_status status = GR_OK;
    char *path = NULL, *text = NULL;
    size_t length = 0;
    unsigned char digest[GR_DIGEST_BYTES];
    json_error_t error;
    GR_TRY(path_in(c, "manifest.json", &path));
    GR_TRY(gr_file_read(path, MANIFEST_MAX, GR_ERROR_DATA, &text, &length));
    c->manifest = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!c->manifest) {
        status = gr_fail(GR_ERROR_DATA, "%s:%d: %s", path, error.line, error.text);
        goto out;
    }
    gr_digest_of(text, length, digest);
    gr_digest_hex(digest, c->manifest_digest);
    const json_t *records = json_object_get(c->manifest, "records");
    const char *head = text_of(records, "events_head");
    if (strlen(head) == GR_DIGEST_HEX - 1) {
        c->events.n = (uint64_t)json_integer_value(json_object_get(records, "events"));
        memcpy(c->events.hash, head, GR_DIGEST_HEX);
    }
out:
    gr_free(text);
    gr_free(path);
    return status;
}

/* ---- comparisons ----------------------------------------------------------------------------- */

/*
 * `head` is the number of lines and their hash when `whose` was written. More lines than that are
 * no difference, for runs go on; fewer, or others, are.
 */
static void compare_head(struct comparison *c, const char *file, const char *whose,
                         const struct gr_head *head, uint64_t n_lines, bool holds) {
    if (holds) return;
    if (n_lines < head->n)
        differ(c, "%s: found %llu lines, expected at least the %llu that %s knows of", file,
               (unsigned long long)n_lines, (unsigned long long)head->n, whose);
    else
        differ(c, "%s: its first %llu lines are not those that %s knows of", file,
               (unsigned long long)head->n, whose);
}

/*
 * The chain proves that no line was changed in its middle, but whoever rewrites it from some line
 * on gets a valid chain; the heads in checkpoint and manifest are there against that.
 */
static gr_status compare_events(struct comparison *c) {
    gr_status status = GR_OK;
    char *path = NULL;
    struct gr_head heads[HEADS] = {[OF_CHECKPOINT] = c->evidence.events, [OF_MANIFEST] = c->events};
    bool holds[HEADS];
    uint64_t n_lines;
    size_t broken;
    GR_TRY(path_in(c, "events.jsonl", &path));
    GR_TRY(gr_events_look(path, heads, holds, HEADS, &n_lines, &broken));
    if (broken) differ(c, "events.jsonl:%zu: its hash does not continue the chain", broken);
    compare_head(c, "events.jsonl", "the checkpoint", &heads[OF_CHECKPOINT], n_lines,
                 holds[OF_CHECKPOINT]);
    compare_head(c, "events.jsonl", "the manifest", &heads[OF_MANIFEST], n_lines,
                 holds[OF_MANIFEST]);
    if (c->events.n == 0 || !holds[OF_MANIFEST]) goto out;
    GR_TRY(gr_events_closing(path, c->events.n + 1, &c->closing, &c->closed));
    if (!c->closed)
        differ(c, "events.jsonl: line %llu, the event that closes the run, is missing",
               (unsigned long long)c->events.n + 1);
out:
    gr_free(path);
    return status;
}

static gr_status compare_metrics(struct comparison *c) {
    gr_status status = GR_OK;
    char *path = NULL, digest[GR_DIGEST_HEX];
    uint64_t n_lines;
    bool holds;
    GR_TRY(path_in(c, "metrics.jsonl", &path));
    GR_TRY(gr_metrics_look(path, &c->evidence.metrics, &holds, 1, &n_lines));
    compare_head(c, "metrics.jsonl", "the checkpoint", &c->evidence.metrics, n_lines, holds);
    if (c->events.n == 0) goto out;
    GR_TRY(gr_evidence_digest(path, digest));
    if (strcmp(digest, text_of(json_object_get(c->manifest, "records"), "metrics")) != 0)
        differ(c, "metrics.jsonl: not what it was at the end, as the manifest has it");
    if (c->closed && strcmp(digest, c->closing.metrics) != 0)
        differ(c, "metrics.jsonl: not what it was at the end, as the last event has it");
out:
    gr_free(path);
    return status;
}

/*
 * The checkpoint knows the manifest as it stood then. Compared only while the manifest still is of
 * the same stretch and says "running": a later stretch, or the end, has rewritten it rightly.
 */
static void compare_manifest(struct comparison *c) {
    const size_t stretches = json_array_size(json_object_get(c->manifest, "stretches"));
    const bool running = strcmp(text_of(c->manifest, "outcome"), "running") == 0;
    const char *id = text_of(c->manifest, "run_id");
    if (c->closed && strcmp(c->manifest_digest, c->closing.manifest) != 0)
        differ(c, "manifest.json: not what it was at the end, as the last event has it");
    if (running && c->has_evidence && stretches == c->evidence.stretches &&
        strcmp(c->manifest_digest, c->evidence.manifest) != 0)
        differ(c, "manifest.json: not what it was when the checkpoint was written");
    if (id[0] && c->run_id[0] && strcmp(id, c->run_id) != 0)
        differ(c, "manifest.json: of run %.12s..., the checkpoint of run %.12s...", id, c->run_id);
}

/*
 * Only a finished run's manifest has a model_digest. The digest is over the parameters, so a model
 * file that was repacked without a change is accepted.
 */
static gr_status compare_model(struct comparison *c) {
    gr_status status = GR_OK;
    char *path = NULL, hex[GR_DIGEST_HEX];
    unsigned char digest[GR_DIGEST_BYTES];
    struct gr_model_file file = {0};
    const char *expected = text_of(c->manifest, "model_digest");
    if (!expected[0]) return GR_OK;
    GR_TRY(path_in(c, "model.h5", &path));
    GR_TRY(gr_model_file_read(path, 0, 1, &file));
    gr_layout_digest(&file.layout, file.parameters, digest);
    gr_digest_hex(digest, hex);
    if (!file.digests_match) differ(c, "model.h5: damaged");
    if (strcmp(hex, expected) != 0)
        differ(c, "model.h5: found a model of digest %.12s..., the manifest names %.12s...", hex,
               expected);
    if (c->closed && strcmp(hex, c->closing.model) != 0)
        differ(c, "model.h5: not what it was at the end, as the last event has it");
out:
    gr_model_file_release(&file);
    gr_free(path);
    return status;
}

static gr_status describe(const struct comparison *c, char **words) {
    if (!c->has_evidence && c->events.n == 0)
        return gr_text_format(words, "the records are of before they were compared: only the chain "
                                     "of events is");
    if (!c->has_evidence) return gr_text_format(words, "the records agree with the manifest");
    return gr_text_format(words, "the records agree with the checkpoint of round %u%s", c->round,
                          c->events.n > 0 ? " and with the manifest" : "");
}

/*
 * Fails with GR_ERROR_DATA when anything differs; a missing checkpoint is none (`has_evidence`
 * false).
 */
gr_status gr_evidence_compare(const char *run_path, uint32_t round, char **words) {
    gr_status status = GR_OK;
    struct comparison c = {.run_path = run_path};
    *words = NULL;
    /* In this order: the records of a run that goes on are never behind what is said of them. */
    GR_TRY(read_manifest(&c));
    GR_TRY(
        gr_checkpoint_evidence(run_path, round, &c.evidence, c.run_id, &c.round, &c.has_evidence));
    GR_TRY(compare_events(&c));
    GR_TRY(compare_metrics(&c));
    compare_manifest(&c);
    /* A run that is gone on with makes its model anew. */
    if (round == 0) GR_TRY(compare_model(&c));
    status = c.differences[0] ? gr_fail(GR_ERROR_DATA, "%s: %s", run_path, c.differences)
                              : describe(&c, words);
out:
    json_decref(c.manifest);
    return status;
}

gr_status gr_run_compare(const char *run_path, char **words) {
    return gr_evidence_compare(run_path, 0, words);
}
