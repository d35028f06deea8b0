/* SPDX-License-Identifier: Apache-2.0 */
/* status.json of a party of a study: written by its process, read by anybody who may. */
#include <granary/study_state.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "observe/json.h"

enum { STATE_FILE_MAX = 4 << 20 };
static const char state_format[] = "granary-status-1";

/* ---- times ----------------------------------------------------------------------------------- */

void gr_state_time_before(double seconds, char out[GR_STATE_TIME]) {
    const time_t at = time(NULL) - (time_t)seconds;
    struct tm tm;
    gmtime_r(&at, &tm);
    if (strftime(out, GR_STATE_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) out[0] = '\0';
}

double gr_state_seconds_since(const char *text) {
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!end || *end) return 0;
    const double seconds = difftime(time(NULL), timegm(&tm));
    return seconds > 0 ? seconds : 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static gr_status refuse(const char *path) {
    return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
}

/* Without fsync: it is written every few seconds, by a process that others wait for. Whatever lies
 * by the temporary name is nobody's: a pipe is not waited for, nor is a file by another name cut.
 */
static gr_status replace(const char *path, const char *text, size_t n) {
    gr_status status = GR_OK;
    char *temporary = NULL;
    GR_TRY(gr_text_format(&temporary, "%s.tmp", path));
    (void)unlink(temporary);
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0) {
        status = refuse(temporary);
        goto out;
    }
    const bool written = write(fd, text, n) == (ssize_t)n;
    if (close(fd) != 0 || !written)
        status = refuse(temporary);
    else if (rename(temporary, path) != 0)
        status = refuse(path);
    if (status != GR_OK) (void)unlink(temporary);
out:
    gr_free(temporary);
    return status;
}

static json_t *parties_json(const struct gr_study_state *state) {
    json_t *list = json_array();
    for (uint32_t p = 0; list && p < state->n_parties; p++) {
        const struct gr_party_state *party = &state->parties[p];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s*, s:b}", "name", party->name,
                                              "standing", party->standing, "since", party->since,
                                              "letter", party->letter[0] ? party->letter : NULL,
                                              "awaited", party->awaited));
    }
    return list;
}

static json_t *state_json(const struct gr_study_state *s) {
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:f, s:I, s:I, s:i, "
                     "s:s*, s:o*}",
                     "format", state_format, "study", s->study, "digest", s->digest, "party",
                     s->party, "key", s->key, "phase", s->phase, "since", s->since, "began",
                     s->began, "written", s->written, "waits_since", s->waits_since, "waited_s",
                     s->waited_s, "limit_s", s->limit_s, "round", (json_int_t)s->round, "rounds",
                     (json_int_t)s->rounds, "code", s->code, "words", s->words, "parties",
                     parties_json(s));
}

gr_status gr_study_state_write(const char *directory, const struct gr_study_state *state) {
    gr_status status = GR_OK;
    json_t *json = state_json(state);
    char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL, *path = NULL;
    json_decref(json);
    if (!text) return gr_fail(GR_ERROR_INTERNAL, "memory for status.json was refused");
    GR_TRY(gr_text_format(&path, "%s/status.json", directory));
    status = replace(path, text, strlen(text));
out:
    free(text);
    gr_free(path);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Quoted, for it goes to a terminal. */
static void take(const json_t *json, const char *key, char *out, size_t size) {
    const char *text = gr_json_text(json, key);
    gr_text_quote(text ? text : "", text ? strlen(text) : 0, out, size);
}

static double take_seconds(const json_t *json, const char *key) {
    const double value = gr_json_real(json, key);
    return isfinite(value) && value > 0 ? value : 0;
}

static uint32_t take_round(const json_t *json, const char *key) {
    const uint64_t value = gr_json_count(json, key);
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static gr_status take_parties(const json_t *list, struct gr_study_state *out) {
    gr_status status = GR_OK;
    const size_t n = json_array_size(list);
    if (n > GR_STATE_PARTIES_MAX)
        return gr_fail(GR_ERROR_DATA, "status.json: found %zu parties, expected at most %d", n,
                       (int)GR_STATE_PARTIES_MAX);
    GR_TRY(gr_allocate_zero(n, sizeof *out->parties, "parties", &out->parties));
    out->n_parties = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(list, i);
        struct gr_party_state *party = &out->parties[i];
        take(entry, "name", party->name, sizeof party->name);
        take(entry, "standing", party->standing, sizeof party->standing);
        take(entry, "since", party->since, sizeof party->since);
        take(entry, "letter", party->letter, sizeof party->letter);
        party->awaited = json_is_true(json_object_get(entry, "awaited"));
    }
out:
    return status;
}

static gr_status take_state(const json_t *json, struct gr_study_state *out) {
    gr_status status = GR_OK;
    const char *words = gr_json_text(json, "words");
    char quoted[GR_MESSAGE_MAX];
    take(json, "study", out->study, sizeof out->study);
    take(json, "digest", out->digest, sizeof out->digest);
    take(json, "party", out->party, sizeof out->party);
    take(json, "key", out->key, sizeof out->key);
    take(json, "phase", out->phase, sizeof out->phase);
    take(json, "since", out->since, sizeof out->since);
    take(json, "began", out->began, sizeof out->began);
    take(json, "written", out->written, sizeof out->written);
    take(json, "waits_since", out->waits_since, sizeof out->waits_since);
    out->waited_s = take_seconds(json, "waited_s");
    out->limit_s = take_seconds(json, "limit_s");
    out->round = take_round(json, "round");
    out->rounds = take_round(json, "rounds");
    out->code = (int)gr_json_count(json, "code") & 255;
    if (words) {
        gr_text_quote(words, strlen(words), quoted, sizeof quoted);
        GR_TRY(gr_text_format(&out->words, "%s", quoted));
    }
    status = take_parties(json_object_get(json, "parties"), out);
out:
    return status;
}

gr_status gr_study_state_read(const char *directory, struct gr_study_state *out) {
    gr_status status = GR_OK;
    char *path = NULL, *text = NULL;
    size_t n;
    json_t *json = NULL;
    *out = (struct gr_study_state){0};
    GR_TRY(gr_text_format(&path, "%s/status.json", directory));
    GR_TRY(gr_file_read(path, STATE_FILE_MAX, GR_ERROR_DATA, &text, &n));
    json = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    const char *format = gr_json_text(json, "format");
    if (!format || strcmp(format, state_format) != 0)
        status = gr_fail(GR_ERROR_DATA, "%s: found something else, expected a file of %s", path,
                         state_format);
    else
        status = take_state(json, out);
out:
    json_decref(json);
    gr_free(text);
    gr_free(path);
    return status;
}

void gr_study_state_release(struct gr_study_state *state) {
    gr_free(state->words);
    gr_free(state->parties);
    *state = (struct gr_study_state){0};
}
