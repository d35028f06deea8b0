/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.jsonl, a hash chain. The hash at the end of each line is over the line without it, which
 * holds the hash of the line before: no line can be changed, left out or put in without breaking
 * all that follow (Haber, Stornetta 1991). Whoever rewrites the rest of the file can make a new
 * valid chain; so checkpoint and manifest hold the chain's head, and evidence.c compares them.
 */
#include <granary/journal.h>
#include <granary/observe.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/lines.h"

/* Of an event with its hash, a line that every reader takes; and of a short one in its place. */
enum { HASH_HEX = GR_DIGEST_HEX - 1, EVENT_MAX = GR_LINE_MAX - 1024, NAMED_MAX = 256 };

/* The text between the last member and the end of a line: ,"hash":"..."} */
#define HASH_KEY ",\"hash\":\""
enum { HASH_KEY_BYTES = sizeof HASH_KEY - 1, TAIL_BYTES = HASH_KEY_BYTES + HASH_HEX + 2 };

/* Before it, in a line that is signed: ,"signature":"..." */
#define SIGNATURE_KEY ",\"signature\":\""
enum {
    SIGNATURE_KEY_BYTES = sizeof SIGNATURE_KEY - 1,
    SIGNATURE_HEX = 2 * GR_SIGNATURE_BYTES,
    SIGNATURE_PART = SIGNATURE_KEY_BYTES + SIGNATURE_HEX + 1
};
_Static_assert(GR_SIGNATURE_BYTES == 2 * GR_DIGEST_BYTES, "a signature is written as two digests");

/*
 * The writer's end of the chain. n and previous advance only once a line is with gr_lines, so that
 * a refused event leaves no gap.
 */
struct gr_events_file {
    struct gr_lines *lines; /* owned */
    uint64_t n;             /* events so far */
    char previous[GR_DIGEST_HEX];
    char *damage; /* owned; NULL: none */
};

/* The hash that a line without its hash, "{...}", gets: BLAKE2b-256 in hex. */
static void hash_of(const char *body, size_t n, char out[GR_DIGEST_HEX]) {
    unsigned char digest[GR_DIGEST_BYTES];
    gr_digest_of(body, n, digest);
    gr_digest_hex(digest, out);
}

/*
 * Takes a line apart: *n_body bytes of it and "}" are the text that was hashed. The bytes count,
 * not the parsed JSON: another writer may order or space members differently.
 */
static bool split(const char *line, size_t n, size_t *n_body, char hash[GR_DIGEST_HEX]) {
    if (n <= TAIL_BYTES || memcmp(line + n - TAIL_BYTES, HASH_KEY, HASH_KEY_BYTES) != 0 ||
        memcmp(line + n - 2, "\"}", 2) != 0)
        return false;
    *n_body = n - TAIL_BYTES;
    memcpy(hash, line + n - 2 - HASH_HEX, HASH_HEX);
    hash[HASH_HEX] = '\0';
    return true;
}

/* Whether a line has, at its end, the hash of all the rest of it. */
bool gr_chain_whole(const char *line, size_t length, char hash[GR_DIGEST_HEX]) {
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
    return strcmp(found, hash) == 0;
}

/* Whether a line is the n-th of a chain whose line before has the hash `previous`. */
static bool follows(const char *line, size_t length, uint64_t n, const char *previous,
                    char hash[GR_DIGEST_HEX]) {
    if (!gr_chain_whole(line, length, hash)) return false;
    json_t *json = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    const char *before = json_string_value(json_object_get(json, "previous"));
    const json_t *number = json_object_get(json, "n");
    bool good = before && strcmp(before, previous) == 0 && json_is_integer(number) &&
                json_integer_value(number) == (json_int_t)n;
    json_decref(json);
    return good;
}

/* The first event has 64 zeros for `previous`. */
static void start_chain(char previous[GR_DIGEST_HEX]) {
    memset(previous, '0', HASH_HEX);
    previous[HASH_HEX] = '\0';
}

/*
 * Puts the members of `detail` behind the common ones. None may have the name of a common one, or
 * of the chain's: readers take the last of two equal keys, and a detail could forge a hash.
 */
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
            strcmp(key, "signature") == 0 || strcmp(key, "hash") == 0) {
            status = gr_fail(GR_ERROR_INTERNAL, "the detail of an event has the member %s", key);
            goto out;
        }
        json_object_set(event, key, value);
    }
out:
    json_decref(json);
    return status;
}

/*
 * Shortens lists that make an event too long, each to a quarter of the room, and says by how much:
 * "silos": [...], "silos_cut": 812. A replay refuses cut lists; readers for people show the rest as
 * a number.
 */
static void cut_lists(json_t *event, size_t room) {
    const char *key;
    json_t *list, *counts = json_object();
    json_object_foreach(event, key, list) {
        const size_t n = json_array_size(list);
        size_t used = 0, i = 0;
        for (; i < n && used < room / 4; i++)
            used += 4 + json_string_length(json_array_get(list, i));
        if (i == n) continue;
        char name[NAMED_MAX];
        snprintf(name, sizeof name, "%.200s_cut", key);
        json_object_set_new(counts, name, json_integer((json_int_t)(n - i)));
        while (json_array_size(list) > i)
            json_array_remove(list, json_array_size(list) - 1);
    }
    json_object_update(event, counts);
    json_decref(counts);
}

/* The text of an event, at most EVENT_MAX bytes; NULL: it cannot be written down. */
static char *compose(json_t *event) {
    char *body = json_dumps(event, JSON_COMPACT);
    if (!body || strlen(body) <= EVENT_MAX) return body;
    free(body);
    cut_lists(event, EVENT_MAX);
    body = json_dumps(event, JSON_COMPACT);
    if (!body || strlen(body) <= EVENT_MAX) return body;
    free(body);
    return NULL;
}

/* ---- signatures ----------------------------------------------------------------------------- */

/* {"a":1} becomes {"a":1,"signature":"..."}: the signature is of the text before, every byte of it.
 */
static gr_status sign(const char *body, const struct gr_chain_signer *signer, char **out) {
    unsigned char signature[GR_SIGNATURE_BYTES];
    char half[2][GR_DIGEST_HEX];
    gr_keys_sign(signer->keys, signer->purpose, body, strlen(body), signature);
    gr_digest_hex(signature, half[0]);
    gr_digest_hex(signature + GR_DIGEST_BYTES, half[1]);
    return gr_text_format(out, "%.*s" SIGNATURE_KEY "%s%s\"}", (int)strlen(body) - 1, body, half[0],
                          half[1]);
}

/* The signature stands right before the hash, or the line has none. */
bool gr_chain_signed(const char *line, size_t length, const char *purpose,
                     const struct gr_public_key *key) {
    size_t n;
    char hash[GR_DIGEST_HEX], half[2][GR_DIGEST_HEX], *body = NULL;
    unsigned char signature[GR_SIGNATURE_BYTES];
    if (!split(line, length, &n, hash) || n <= SIGNATURE_PART) return false;
    const char *part = line + n - SIGNATURE_PART;
    if (memcmp(part, SIGNATURE_KEY, SIGNATURE_KEY_BYTES) != 0 || line[n - 1] != '"') return false;
    for (size_t i = 0; i < 2; i++) {
        memcpy(half[i], part + SIGNATURE_KEY_BYTES + i * HASH_HEX, HASH_HEX);
        half[i][HASH_HEX] = '\0';
        if (!gr_digest_from_hex(half[i], signature + i * GR_DIGEST_BYTES)) return false;
    }
    const size_t n_body = n - SIGNATURE_PART;
    if (gr_text_format(&body, "%.*s}", (int)n_body, line) != GR_OK) return false;
    const bool good = gr_public_key_verify(key, purpose, body, n_body + 1, signature);
    gr_free(body);
    return good;
}

/* ---- appending ------------------------------------------------------------------------------- */

/* With the hash, and a newline that *line is given without. The chain is as before on failure. */
static gr_status append_body(struct gr_events_file *file, const char *body, char **line) {
    gr_status status = GR_OK;
    char hash[GR_DIGEST_HEX];
    hash_of(body, strlen(body), hash);
    GR_TRY(gr_text_format(line, "%.*s" HASH_KEY "%s\"}\n", (int)strlen(body) - 1, body, hash));
    GR_TRY(gr_lines_append(file->lines, *line, strlen(*line)));
    (*line)[strlen(*line) - 1] = '\0';
    file->n++;
    memcpy(file->previous, hash, sizeof hash);
out:
    return status;
}

/*
 * The time is UTC in seconds. Errors: GR_ERROR_INTERNAL for an event that cannot be composed;
 * GR_ERROR_WRITE as of gr_lines_append. The chain is as before then.
 */
static gr_status append(struct gr_events_file *file, const char *event, uint32_t round,
                        const char *detail, const struct gr_chain_signer *signer, char **line) {
    gr_status status = GR_OK;
    char time[32], *body = NULL, *with_signature = NULL;
    gr_clock_utc(time);
    json_t *json = json_pack("{s:I, s:s, s:s, s:I}", "n", (json_int_t)file->n + 1, "time", time,
                             "event", event, "round", (json_int_t)round);
    if (json && detail) GR_TRY(add_detail(json, detail));
    json_object_set_new(json, "previous", json_string(file->previous));
    body = compose(json);
    if (!body) {
        status =
            gr_fail(GR_ERROR_INTERNAL, "the event %.*s cannot be written down", NAMED_MAX, event);
        goto out;
    }
    if (signer) GR_TRY(sign(body, signer, &with_signature));
    status = append_body(file, signer ? with_signature : body, line);
out:
    gr_free(with_signature);
    free(body);
    json_decref(json);
    return status;
}

gr_status gr_events_append(struct gr_events_file *file, const char *event, uint32_t round,
                           const char *detail) {
    char *line = NULL;
    const gr_status status = append(file, event, round, detail, NULL, &line);
    gr_free(line);
    return status;
}

gr_status gr_events_append_signed(struct gr_events_file *file, const char *event, uint32_t round,
                                  const char *detail, const struct gr_chain_signer *signer,
                                  char **line) {
    char *text = NULL;
    const gr_status status = append(file, event, round, detail, signer, &text);
    if (line) *line = NULL;
    if (line && status == GR_OK)
        *line = text;
    else
        gr_free(text);
    return status;
}

/* ---- opening --------------------------------------------------------------------------------- */

/*
 * The end of the chain in a file that was read through, and which of its lines are events. The file
 * is never held in memory as a whole: an audit of a long run may be large.
 */
struct chain {
    struct gr_lines_reader *reader; /* owned */
    struct gr_lines_kept kept;      /* owned */
    uint64_t n;                     /* events */
    uint64_t damaged, first;        /* lines that are none, and the number of the first */
    uint32_t round;                 /* of the last event */
    char previous[GR_DIGEST_HEX];
};

static void release_chain(struct chain *chain) {
    gr_lines_end(chain->reader);
    gr_free(chain->kept.ranges);
}

/*
 * Of a line that split has accepted; a plain search serves, as it is the writer's own format, and
 * JSON parsing would dominate the opening of a long file.
 */
static uint32_t round_of(const char *line, size_t n) {
    static const char key[] = "\"round\":";
    const char *at = memmem(line, n, key, sizeof key - 1);
    return at ? (uint32_t)strtoul(at + sizeof key - 1, NULL, 10) : 0; /* a hash ends the line */
}

/*
 * Hashes are not verified here: a chain that is broken further up must not keep a run from going
 * on; gr_events_verify tells of it.
 */
static gr_status find_end(struct chain *chain, const char *path) {
    gr_status status = GR_OK;
    const char *line;
    size_t n, n_body;
    start_chain(chain->previous);
    GR_TRY(gr_lines_start(path, &chain->reader));
    for (;;) {
        const uint64_t from = gr_lines_at(chain->reader);
        GR_TRY(gr_lines_next(chain->reader, &line, &n));
        if (!line) break;
        /* A chain that is broken further up stays so, and is told by gr_events_verify. */
        if (split(line, n, &n_body, chain->previous)) {
            GR_TRY(gr_lines_keep(&chain->kept, from, gr_lines_at(chain->reader)));
            chain->n++;
            chain->round = round_of(line, n);
        } else if (chain->damaged++ == 0) {
            chain->first = chain->n + 1;
        }
    }
    /* A crash has cut it, or somebody. */
    if (gr_lines_torn(chain->reader) && chain->damaged++ == 0) chain->first = chain->n + 1;
out:
    return status;
}

/*
 * Keeps the file, as it is, under another name beside it: damage to an audit is itself evidence. A
 * link leaves the original in place, so that no crash in between can lose it.
 */
static gr_status set_aside(const char *path, char **name) {
    enum { NAMES_MAX = 1000 };
    gr_status status = GR_OK;
    for (unsigned i = 1; i <= NAMES_MAX; i++) {
        GR_TRY(gr_text_format(name, "%s.damaged-%u", path, i));
        if (link(path, *name) == 0) return GR_OK;
        const int error = errno;
        /* A file system without links: it is renamed, and the new one is made from the copy open.
         */
        if (error == EPERM || error == EOPNOTSUPP || error == ENOSYS || error == EMLINK)
            if (access(*name, F_OK) != 0 && rename(path, *name) == 0) return GR_OK;
        if (error != EEXIST) status = gr_fail(GR_ERROR_WRITE, "%s: %s", *name, strerror(error));
        gr_free(*name);
        *name = NULL;
        if (status != GR_OK) return status;
    }
    status =
        gr_fail(GR_ERROR_WRITE, "%s.damaged-1 to -%d are there: move them away", path, NAMES_MAX);
out:
    return status;
}

/* Lines that are no events: told in the chain, which goes on from the last that is one. */
static gr_status tell_damage(struct gr_events_file *file, const struct chain *chain,
                             const char *path, const char *aside) {
    gr_status status = GR_OK;
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path,
               *name = aside + (base - path);
    json_t *json = NULL;
    char *detail = NULL;
    GR_TRY(gr_text_format(
        &file->damage, "%s: line %llu is no event%s; the file as it was is kept as %s", base,
        (unsigned long long)chain->first, chain->damaged > 1 ? ", nor are others" : "", name));
    json = json_pack("{s:s, s:I}", "what", file->damage, "lines", (json_int_t)chain->damaged);
    detail = json ? json_dumps(json, JSON_COMPACT) : NULL;
    status = gr_events_append(file, "alert", chain->round, detail);
out:
    free(detail);
    json_decref(json);
    return status;
}

/*
 * The chain goes on from its last good line; damaged lines are left out of the file that goes on,
 * are kept aside, and told by an event. A run does not refuse to start for them: the training
 * matters more, and the damage stays visible.
 */
gr_status gr_events_open(const char *path, struct gr_events_file **out) {
    gr_status status = GR_OK;
    struct gr_events_file *file = NULL;
    struct chain chain = {0};
    char *aside = NULL;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *file, "events", &file));
    GR_TRY(find_end(&chain, path));
    if (chain.damaged > 0) GR_TRY(set_aside(path, &aside));
    file->n = chain.n;
    memcpy(file->previous, chain.previous, sizeof file->previous);
    GR_TRY(gr_lines_open(path, chain.reader, &chain.kept, &file->lines));
    if (aside) GR_TRY(tell_damage(file, &chain, path, aside));
    *out = file;
    file = NULL;
out:
    gr_free(aside);
    release_chain(&chain);
    gr_events_close(file);
    return status;
}

const char *gr_events_damage(const struct gr_events_file *file) {
    return file->damage;
}

gr_status gr_events_sync(struct gr_events_file *file) {
    return gr_lines_sync(file->lines);
}

void gr_events_head(const struct gr_events_file *file, struct gr_head *out) {
    out->n = file->n;
    memcpy(out->hash, file->previous, sizeof out->hash);
}

void gr_events_close(struct gr_events_file *file) {
    if (!file) return;
    gr_lines_close(file->lines);
    gr_free(file->damage);
    gr_free(file);
}

size_t gr_events_behind(const struct gr_events_file *file) {
    return gr_lines_behind(file->lines);
}

/* ---- looking back --------------------------------------------------------------------------- */

/* One pass, in memory of the longest line. */
gr_status gr_chain_read(const char *path, gr_chain_visit visit, void *context, uint64_t *n_lines,
                        bool *torn) {
    gr_status status = GR_OK;
    struct gr_lines_reader *reader = NULL;
    struct gr_chain_line line = {0};
    char previous[GR_DIGEST_HEX];
    *n_lines = 0;
    start_chain(previous);
    if (access(path, F_OK) != 0) return gr_fail(GR_ERROR_DATA, "%s: %s", path, strerror(errno));
    GR_TRY(gr_lines_start(path, &reader));
    for (;;) {
        GR_TRY(gr_lines_next(reader, &line.text, &line.n));
        if (!line.text) break;
        line.number++;
        memset(line.hash, 0, sizeof line.hash);
        line.follows = follows(line.text, line.n, line.number, previous, line.hash);
        GR_TRY(visit(context, &line));
        memcpy(previous, line.hash, sizeof previous);
    }
    *n_lines = line.number;
    *torn = gr_lines_torn(reader);
out:
    gr_lines_end(reader);
    return status;
}

/* A visit that holds lines against heads. */
struct look {
    const struct gr_head *heads;
    bool *holds;
    size_t n_heads;
    uint64_t broken;
};

/* Only the first break is told, for every line behind it follows. */
static gr_status look_at(void *context, const struct gr_chain_line *line) {
    struct look *look = context;
    if (!line->follows && look->broken == 0) look->broken = line->number;
    for (size_t i = 0; i < look->n_heads; i++)
        if (look->heads[i].n == line->number)
            look->holds[i] = strcmp(look->heads[i].hash, line->hash) == 0;
    return GR_OK;
}

/*
 * A head with n lines holds if the n-th line has its hash; a head of 0 lines holds always. A torn
 * last line breaks the chain like a wrong one.
 */
gr_status gr_events_look(const char *path, const struct gr_head *heads, bool *holds, size_t n_heads,
                         uint64_t *n_lines, size_t *broken_line) {
    struct look look = {.heads = heads, .holds = holds, .n_heads = n_heads};
    bool torn = false;
    for (size_t i = 0; i < n_heads; i++)
        holds[i] = heads[i].n == 0;
    const gr_status status = gr_chain_read(path, look_at, &look, n_lines, &torn);
    *broken_line = look.broken == 0 && torn ? *n_lines + 1 : look.broken;
    return status;
}

gr_status gr_events_verify(const char *path, size_t *broken_line) {
    uint64_t n;
    return gr_events_look(path, NULL, NULL, 0, &n, broken_line);
}

static void copy_digest(const json_t *records, const char *key, char out[GR_DIGEST_HEX]) {
    const char *text = json_string_value(json_object_get(records, key));
    snprintf(out, GR_DIGEST_HEX, "%s", text ? text : "");
}

/*
 * number: of the line, from 1. *found is false where the file ends before it, or the line has no
 * "records", as in records of earlier versions; digests that are missing become "".
 */
gr_status gr_events_closing(const char *path, uint64_t number, struct gr_closing *out,
                            bool *found) {
    gr_status status = GR_OK;
    struct gr_lines_reader *reader = NULL;
    const char *line = NULL;
    size_t n = 0;
    *found = false;
    GR_TRY(gr_lines_start(path, &reader));
    for (uint64_t i = 0; i < number; i++) {
        GR_TRY(gr_lines_next(reader, &line, &n));
        if (!line) goto out;
    }
    json_t *json = json_loadb(line, n, 0, NULL);
    const json_t *records = json_object_get(json, "records");
    *found = records != NULL;
    copy_digest(records, "manifest", out->manifest);
    copy_digest(records, "metrics", out->metrics);
    copy_digest(records, "model", out->model);
    json_decref(json);
out:
    gr_lines_end(reader);
    return status;
}
