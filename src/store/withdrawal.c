/* SPDX-License-Identifier: Apache-2.0 */
/*
 * withdrawn.json in a run directory: that a silo has been taken out of the model which was trained
 * there, by which other run, and what that does not undo. It stands beside the model that it is
 * about, so that whoever uses the model from there is told; a copy of the model elsewhere cannot
 * be.
 */
#include <granary/journal.h>
#include <granary/store.h>

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char purpose[] = "withdrawal";
enum { STATEMENT_MAX = 1 << 20 };

static void copy_text(const json_t *json, const char *key, char *out, size_t size) {
    const char *text = json_string_value(json_object_get(json, key));
    if (text && strlen(text) < size) memcpy(out, text, strlen(text) + 1);
}

/* The first line of a file that somebody else may have written; *n 0: there is none, or it is
 * longer than a seal. Nobody waits for the other end of a pipe. */
static void read_first_line(const char *path, char text[GR_SEAL_TEXT_MAX], size_t *n) {
    struct stat is;
    ssize_t found = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *n = 0;
    if (fd < 0) return;
    if (fstat(fd, &is) == 0 && S_ISREG(is.st_mode)) found = read(fd, text, GR_SEAL_TEXT_MAX);
    close(fd);
    const char *end = found > 0 ? memchr(text, '\n', (size_t)found) : NULL;
    if (end) *n = (size_t)(end - text);
}

/* Of the coordinator's first seal; "": the run is no study's. */
static gr_status find_study(const char *run_path, char out[GR_DIGEST_HEX]) {
    char *path = NULL, line[GR_SEAL_TEXT_MAX];
    size_t n;
    const gr_status status = gr_text_format(&path, "%s/seals.jsonl", run_path);
    if (status != GR_OK) return status;
    read_first_line(path, line, &n);
    json_t *json = n > 0 ? json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    copy_text(json, "study", out, GR_DIGEST_HEX);
    json_decref(json);
    gr_free(path);
    return GR_OK;
}

gr_status gr_run_facts_read(const char *run_path, struct gr_run_facts *out) {
    enum { MANIFEST_MAX = 1 << 30 };
    char *path = NULL, *text = NULL;
    size_t length = 0;
    json_t *json = NULL;
    gr_status status;
    *out = (struct gr_run_facts){0};
    GR_TRY(gr_text_format(&path, "%s/manifest.json", run_path));
    GR_TRY(gr_file_read(path, MANIFEST_MAX, GR_ERROR_DATA, &text, &length));
    json = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_array(json_object_get(json, "stretches"))) {
        status = gr_fail(GR_ERROR_DATA, "%s: found no manifest of a run", path);
        goto out;
    }
    const json_int_t done = json_integer_value(json_object_get(json, "rounds_done"));
    out->rounds_done = done > 0 && done <= UINT32_MAX ? (uint32_t)done : 0;
    copy_text(json, "outcome", out->outcome, sizeof out->outcome);
    copy_text(json, "run_id", out->run_id, sizeof out->run_id);
    copy_text(json, "model_digest", out->model, sizeof out->model);
    copy_text(json, "initial_digest", out->initial, sizeof out->initial);
    copy_text(json, "config_digest", out->config, sizeof out->config);
    status = find_study(run_path, out->study);
out:
    json_decref(json);
    gr_free(text);
    gr_free(path);
    return status;
}

/* ---- the statement --------------------------------------------------------------------------- */

static json_t *list_of(const char *const *texts, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

static json_t *text_or_null(const char *text) {
    return text && text[0] ? json_string(text) : json_null();
}

static json_t *compose(const struct gr_withdrawal *w, const char *by) {
    static const char *const undone[] = {
        "copies of the model, and of checkpoints, that have left this folder",
        "predictions, reports and decisions made with the model",
        "letters that were sent, and journals of sites, which tell that the silo took part",
        "what whoever saw sums of rounds, or the model, has learnt from them",
    };
    char now[32];
    gr_clock_utc(now);
    return json_pack(
        "{s:s, s:i, s:s, s:s, s:b, s:s, s:o, s:i, s:i, s:i, s:{s:s, s:s, s:o, s:i, s:s}, s:o, s:o, "
        "s:o}",
        "format", "granary-withdrawal", "version", 1, "time", now, "silo", w->silo, "descends",
        (int)w->descends, "run_id", w->run->run_id, "model_digest", text_or_null(w->run->model),
        "rounds", (int)w->run->rounds_done, "first_round", (int)w->first_round, "rounds_with_silo",
        (int)w->rounds_with, "retrained", "run_id", w->retrained->run_id, "model_digest",
        w->retrained->model, "initial_digest", text_or_null(w->retrained->initial), "rounds",
        (int)w->retrained->rounds_done, "from", "the beginning", "descendants",
        list_of((const char *const *)w->descendants, w->n_descendants), "not_undone",
        list_of(undone, sizeof undone / sizeof *undone), "by", text_or_null(by));
}

/* The bytes that are signed: all but the signature, keys in order, no blanks. */
static char *signed_text(const json_t *json) {
    return json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT);
}

static gr_status sign(json_t *json, const struct gr_keys *keys) {
    unsigned char signature[GR_SIGNATURE_BYTES];
    char hex[2 * GR_SIGNATURE_BYTES + 1];
    char *text = signed_text(json);
    if (!text) return gr_fail(GR_ERROR_INTERNAL, "memory for a statement was refused");
    if (keys) {
        gr_keys_sign(keys, purpose, text, strlen(text), signature);
        for (size_t i = 0; i < sizeof signature; i++)
            snprintf(hex + 2 * i, 3, "%02x", signature[i]);
        json_object_set_new(json, "signature", json_string(hex));
    }
    free(text);
    return GR_OK;
}

static gr_status path_of(const char *folder, char **out) {
    return gr_text_format(out, "%s/withdrawn.json", folder);
}

gr_status gr_withdrawal_write(const char *run_path, const struct gr_withdrawal *withdrawal,
                              const struct gr_keys *keys) {
    char key[GR_PUBLIC_KEY_TEXT] = "", *text = NULL, *path = NULL, *file = NULL;
    gr_status status;
    if (keys) gr_public_key_text(gr_keys_public(keys), key);
    json_t *json = compose(withdrawal, key);
    if (!json) return gr_fail(GR_ERROR_INTERNAL, "memory for a statement was refused");
    GR_TRY(sign(json, keys));
    text = json_dumps(json, JSON_INDENT(2));
    GR_TRY(gr_text_format(&file, "%s\n", text ? text : ""));
    GR_TRY(path_of(run_path, &path));
    status = gr_file_write(path, file, strlen(file));
out:
    json_decref(json);
    free(text);
    gr_free(file);
    gr_free(path);
    return status;
}

/* Whether the signature is that of the key that the statement names. */
static bool is_signed(json_t *json, const char *by) {
    struct gr_public_key key;
    unsigned char signature[GR_SIGNATURE_BYTES];
    char hex[2 * GR_SIGNATURE_BYTES + 1] = "", half[GR_DIGEST_HEX] = "";
    bool good = false;
    copy_text(json, "signature", hex, sizeof hex);
    if (!gr_public_key_parse(by, &key) || strlen(hex) != sizeof hex - 1) return false;
    for (size_t i = 0; i < 2; i++) {
        memcpy(half, hex + i * (GR_DIGEST_HEX - 1), GR_DIGEST_HEX - 1);
        if (!gr_digest_from_hex(half, signature + i * GR_DIGEST_BYTES)) return false;
    }
    json_object_del(json, "signature");
    char *text = signed_text(json);
    if (text) good = gr_public_key_verify(&key, purpose, text, strlen(text), signature);
    free(text);
    return good;
}

gr_status gr_withdrawal_read(const char *folder, struct gr_withdrawn *out) {
    char *path = NULL, *text = NULL;
    size_t length = 0;
    json_t *json = NULL;
    gr_status status;
    *out = (struct gr_withdrawn){0};
    GR_TRY(path_of(folder, &path));
    if (access(path, F_OK) != 0) goto out;
    GR_TRY(gr_file_read(path, STATEMENT_MAX, GR_ERROR_DATA, &text, &length));
    json = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    copy_text(json, "silo", out->silo, sizeof out->silo);
    copy_text(json, "run_id", out->run_id, sizeof out->run_id);
    copy_text(json, "by", out->by, sizeof out->by);
    copy_text(json_object_get(json, "retrained"), "model_digest", out->model, sizeof out->model);
    out->descends = json_is_true(json_object_get(json, "descends"));
    if (!out->silo[0] || !out->model[0])
        status = gr_fail(GR_ERROR_DATA, "%s: found no statement of a withdrawal", path);
    else
        out->found = true;
    out->holds = out->found && (!out->by[0] || is_signed(json, out->by));
out:
    json_decref(json);
    gr_free(text);
    gr_free(path);
    return status;
}

gr_status gr_withdrawal_of_model(const char *model_path, struct gr_withdrawn *out) {
    char *folder = NULL;
    gr_status status = gr_text_format(&folder, "%s", model_path);
    *out = (struct gr_withdrawn){0};
    if (status != GR_OK) return status;
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = '\0';
    status = gr_withdrawal_read(slash ? folder : ".", out);
    gr_free(folder);
    return status;
}
