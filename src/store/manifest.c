/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest.json: it says what ran, on what, with what result. It is written whole each time, under
 * another name and renamed, from the caller's present knowledge and the stretches of the run that
 * came before. A stretch is the time from a start to an end, a death or a resumption; the last one
 * says "running" until it can say more.
 */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/container.h"
#include "store/manifest_privacy.h"
#include "store/run_directory.h"

enum { MANIFEST_MAX = 1 << 30, TAIL_BYTES = 64 << 10 };

static gr_status manifest_path(const char *run_path, char **out) {
    return gr_text_format(out, "%s/manifest.json", run_path);
}

/* The round of the last whole line of PATH/metrics.jsonl, 0: there is none. Only the end of the
 * file is read (TAIL_BYTES); a line that a death has cut off has no newline and does not count. */
static uint32_t last_line(const char *run_path) {
    char *path = NULL, *tail = NULL, *end, *begin;
    struct stat info;
    json_int_t round = 0;
    int fd = -1;
    if (gr_text_format(&path, "%s/metrics.jsonl", run_path) != GR_OK ||
        gr_allocate_zero(TAIL_BYTES + 1, 1, "metrics", &tail) != GR_OK)
        goto out;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info) != 0) goto out;
    ssize_t n =
        pread(fd, tail, TAIL_BYTES, info.st_size > TAIL_BYTES ? info.st_size - TAIL_BYTES : 0);
    end = n > 0 ? memrchr(tail, '\n', (size_t)n) : NULL;
    if (!end) goto out;
    begin = memrchr(tail, '\n', (size_t)(end - tail));
    begin = begin ? begin + 1 : tail;
    json_t *line = json_loadb(begin, (size_t)(end - begin), 0, NULL);
    round = json_integer_value(json_object_get(line, "round"));
    json_decref(line);
out:
    if (fd >= 0) close(fd);
    gr_free(tail);
    gr_free(path);
    return round > 0 && round <= UINT32_MAX ? (uint32_t)round : 0;
}

/*
 * A stretch that could not say how it ended: nobody wrote to its files since. Its rounds are the
 * most that manifest, metrics and checkpoints show, as each is written at another moment of a
 * round.
 */
static void mark_interrupted(const char *run_path, json_t *stretch) {
    json_int_t done = json_integer_value(json_object_get(stretch, "rounds_done"));
    json_int_t line = last_line(run_path), checkpoint = gr_checkpoint_newest(run_path);
    if (line > done) done = line;
    if (checkpoint > done) done = checkpoint;
    json_object_set_new(stretch, "outcome", json_string("interrupted"));
    json_object_set_new(stretch, "rounds_done", json_integer(done));
}

/* Nobody wrote an end: the process of that stretch died, or is still at work. */
static bool is_running(const json_t *stretch) {
    const char *outcome = json_string_value(json_object_get(stretch, "outcome"));
    return outcome && strcmp(outcome, "running") == 0;
}

/* Not known where the manifest is of a version that wrote none. */
static struct gr_run_data data_of(const json_t *manifest) {
    struct gr_run_data data = {0};
    const char *hex = json_string_value(json_object_get(manifest, "data_fingerprint"));
    data.known = hex && gr_digest_from_hex(hex, data.fingerprint);
    data.incomplete = json_is_true(json_object_get(manifest, "data_incomplete"));
    return data;
}

static void id_of(const json_t *manifest, char id[GR_RUN_ID_HEX]) {
    const char *text = json_string_value(json_object_get(manifest, "run_id"));
    snprintf(id, GR_RUN_ID_HEX, "%s", text ? text : "");
}

/* A manifest that cannot be parsed ends the start with GR_ERROR_DATA: to write a new one over it
 * would drop the run's history. */
gr_status gr_manifest_earlier(const char *run_path, bool ours, struct gr_run_directory *out) {
    gr_status status = GR_OK;
    char *path = NULL, *text = NULL;
    size_t length = 0, n;
    json_t *manifest = NULL, *stretches, *last;
    json_error_t error;
    out->earlier = out->versions = NULL;
    GR_TRY(manifest_path(run_path, &path));
    if (access(path, F_OK) == 0) {
        GR_TRY(gr_file_read(path, MANIFEST_MAX, GR_ERROR_DATA, &text, &length));
        manifest = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
        stretches = json_object_get(manifest, "stretches");
        if (!json_is_array(stretches)) {
            status =
                gr_fail(GR_ERROR_DATA, "%s: not a manifest of ours; move it away to go on", path);
            goto out;
        }
        n = json_array_size(stretches);
        last = n > 0 ? json_array_get(stretches, n - 1) : NULL;
        if (ours && is_running(last))
            json_array_remove(stretches, n - 1);
        else if (is_running(last))
            mark_interrupted(run_path, last);
        out->earlier = json_deep_copy(stretches);
        out->versions = json_deep_copy(json_object_get(manifest, "versions"));
        out->data = data_of(manifest);
        id_of(manifest, out->id);
    } else {
        out->earlier = json_array();
    }
    if (!out->earlier) status = gr_fail(GR_ERROR_INTERNAL, "memory for a manifest was refused");
out:
    json_decref(manifest);
    gr_free(text);
    gr_free(path);
    return status;
}

/* Text that is not UTF-8 becomes null instead of losing the whole manifest. */
static json_t *text_or_null(const char *text) {
    json_t *json = text ? json_string(text) : NULL;
    return json ? json : json_null();
}

static json_t *hex(const unsigned char digest[GR_DIGEST_BYTES]) {
    char text[GR_DIGEST_HEX];
    gr_digest_hex(digest, text);
    return json_string(text);
}

/* As text beyond what a JSON reader's 64-bit integer can hold. */
static json_t *whole(uint64_t number) {
    char text[24];
    if (number <= INT64_MAX) return json_integer((json_int_t)number);
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return json_string(text);
}

static json_t *software(void) {
    struct gr_version versions[GR_VERSIONS_MAX];
    size_t n = gr_versions_list(versions);
    json_t *json = json_object();
    for (size_t i = 0; i < n; i++)
        json_object_set_new(json, versions[i].name, json_string(versions[i].value));
    return json;
}

/* A text of gr_versions_text: the name is padded, the value begins in a column. */
static json_t *software_of(const char *text) {
    json_t *json = json_object();
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        char name[GR_VERSIONS_COLUMN] = "";
        const size_t length = strcspn(line, "\n");
        if (length < GR_VERSIONS_COLUMN) continue;
        memcpy(name, line, GR_VERSIONS_COLUMN - 1);
        for (size_t n = strlen(name); n > 0 && name[n - 1] == ' ';)
            name[--n] = '\0';
        json_object_set_new(json, name,
                            json_stringn(line + GR_VERSIONS_COLUMN, length - GR_VERSIONS_COLUMN));
    }
    return json;
}

/* The software of each rank, equal ranks together; no host is named. */
static json_t *software_of_ranks(const struct gr_manifest *manifest) {
    json_t *json = json_array();
    for (size_t i = 0; i < manifest->software->n; i++) {
        json_t *ranks = json_array();
        for (int slot = 0; slot < manifest->ranks; slot++)
            if (manifest->software->of_slot[slot] == (int64_t)i + 1)
                json_array_append_new(ranks, json_integer(slot));
        json_array_append_new(json, json_pack("{s:o, s:o}", "ranks", ranks, "software",
                                              software_of(manifest->software->text[i])));
    }
    return json;
}

/* Whole seconds and joules: more would tell of single batches. */
static json_t *costs_of(const struct gr_manifest *manifest) {
    const struct gr_costs *c = manifest->costs;
    if (!c || !c->known) return json_null();
    const double seconds = ceil(c->seconds);
    json_t *json =
        json_pack("{s:f, s:i, s:i, s:{s:I, s:I, s:I, s:I}, s:o, s:i}", "node_hours",
                  c->hosts * seconds / 3600, "hosts", c->hosts, "ranks", c->ranks, "bytes",
                  "inside_nodes", (json_int_t)c->bytes.inside_nodes, "between_nodes",
                  (json_int_t)c->bytes.between_nodes, "between_parties",
                  (json_int_t)c->bytes.between_parties, "control", (json_int_t)c->bytes.control,
                  "energy_joules", c->joules < 0 ? json_null() : json_real(floor(c->joules)),
                  "energy_of_nodes", c->energy_nodes);
    if (json && c->no_energy) json_object_set_new(json, "no_energy", json_string(c->no_energy));
    return json;
}

/* The earlier ones and this one; `earlier` itself is not changed, for the manifest is written
 * often. */
static json_t *stretches(const struct gr_run_directory *run, const struct gr_manifest *manifest) {
    json_t *json = json_deep_copy(run->earlier);
    json_array_append_new(json, json_pack("{s:o, s:o, s:i, s:i, s:i, s:o, s:o, s:o}", "started",
                                          text_or_null(manifest->started_utc), "ended",
                                          text_or_null(manifest->ended_utc), "resumed_from",
                                          (int)manifest->resumed_from, "rounds_done",
                                          (int)manifest->rounds_done, "ranks", manifest->ranks,
                                          "outcome", text_or_null(manifest->outcome),
                                          "checkpoint_io", text_or_null(manifest->checkpoint_io),
                                          "costs", costs_of(manifest)));
    return json;
}

static const char *last_study(const json_t *versions) {
    const size_t n = json_array_size(versions);
    const json_t *last = n > 0 ? json_array_get(versions, n - 1) : NULL;
    const char *study = json_string_value(json_object_get(last, "study"));
    return study ? study : "";
}

/* The versions of the study by which the run has gone, each from the rounds that were done. */
static json_t *versions(const struct gr_run_directory *run, const struct gr_manifest *manifest) {
    char study[GR_DIGEST_HEX];
    json_t *json = run->versions ? json_deep_copy(run->versions) : json_array();
    gr_digest_hex(manifest->study, study);
    if (strcmp(last_study(json), study) != 0)
        json_array_append_new(json, json_pack("{s:s, s:o, s:i, s:i}", "study", study,
                                              "config_digest", hex(manifest->config_digest), "from",
                                              (int)manifest->resumed_from, "silos",
                                              (int)manifest->n_silos));
    return json;
}

static bool version_of(const json_t *json, struct gr_run_version *out) {
    const char *study = json_string_value(json_object_get(json, "study"));
    const char *config = json_string_value(json_object_get(json, "config_digest"));
    out->from = (uint32_t)json_integer_value(json_object_get(json, "from"));
    return study && config && gr_digest_from_hex(study, out->study) &&
           gr_digest_from_hex(config, out->config_digest);
}

bool gr_run_directory_versions(const struct gr_run_directory *run, struct gr_run_version *first,
                               struct gr_run_version *last) {
    const size_t n = json_array_size(run->versions);
    return n > 0 && version_of(json_array_get(run->versions, 0), first) &&
           version_of(json_array_get(run->versions, n - 1), last);
}

bool gr_run_last_version(const char *run_path, struct gr_run_version *last) {
    struct gr_run_directory run = {0};
    struct gr_run_version first;
    const bool found = gr_manifest_earlier(run_path, true, &run) == GR_OK &&
                       gr_run_directory_versions(&run, &first, last);
    json_decref(run.earlier);
    json_decref(run.versions);
    return found;
}

/* The slot of each silo, in the order of silos. */
static json_t *placement(const struct gr_manifest *manifest) {
    json_t *json = json_array();
    for (uint32_t i = 0; manifest->host_of && i < manifest->n_silos; i++)
        json_array_append_new(json, json_integer(manifest->host_of[i]));
    return json;
}

/* Everything in the file, in the order in which people read it. No host, path, user or silo's name
 * is in it: it is handed on as evidence. */
static json_t *compose(const struct gr_run_directory *run, const struct gr_manifest *manifest) {
    json_t *json = json_object(), *architecture = NULL;
    if (manifest->architecture) architecture = json_loads(manifest->architecture, 0, NULL);
    json_object_set_new(json, "format", json_string("granary-manifest"));
    json_object_set_new(json, "version", json_integer(1));
    json_object_set_new(json, "name", text_or_null(manifest->config->run.name));
    json_object_set_new(json, "run_id", text_or_null(manifest->run_id));
    json_object_set_new(json, "outcome", text_or_null(manifest->outcome));
    json_object_set_new(json, "rounds", json_integer(manifest->config->run.rounds));
    json_object_set_new(json, "rounds_done", json_integer(manifest->rounds_done));
    json_object_set_new(json, "model_digest", text_or_null(manifest->model_digest));
    if (manifest->postprocessing)
        json_object_set_new(json, "postprocessing", json_loads(manifest->postprocessing, 0, NULL));
    if (manifest->initial)
        json_object_set_new(json, "initial_digest", json_string(manifest->initial));
    json_object_set_new(json, "seed", whole(manifest->config->run.seed));
    json_object_set_new(json, "config_digest", hex(manifest->config_digest));
    if (manifest->study) json_object_set_new(json, "versions", versions(run, manifest));
    json_object_set_new(json, "data_fingerprint", hex(manifest->data.fingerprint));
    json_object_set_new(json, "data_incomplete", json_boolean(manifest->data.incomplete));
    json_object_set_new(json, "architecture", architecture ? architecture : json_null());
    json_object_set_new(json, "parameters", json_integer((json_int_t)manifest->n_parameters));
    json_object_set_new(json, "silos", json_integer(manifest->n_silos));
    json_object_set_new(json, "ranks", json_integer(manifest->ranks));
    json_object_set_new(json, "nodes", json_integer(manifest->nodes));
    json_object_set_new(json, "rank_of_silo", placement(manifest));
    json_object_set_new(json, "detection", text_or_null(manifest->detection));
    if (manifest->job) json_object_set_new(json, "job", text_or_null(manifest->job));
    json_object_set_new(json, "privacy", gr_manifest_privacy(manifest->config, manifest->privacy));
    json_object_set_new(json, "stretches", stretches(run, manifest));
    json_object_set_new(json, "software", software());
    if (manifest->events)
        json_object_set_new(json, "records",
                            json_pack("{s:I, s:s, s:o}", "events", (json_int_t)manifest->events->n,
                                      "events_head", manifest->events->hash, "metrics",
                                      text_or_null(manifest->metrics_digest)));
    if (manifest->software)
        json_object_set_new(json, "software_of_ranks", software_of_ranks(manifest));
    return json;
}

static void digest_text(const char *text, size_t length, char out[GR_DIGEST_HEX]) {
    unsigned char digest[GR_DIGEST_BYTES];
    gr_digest_of(text, length, digest);
    gr_digest_hex(digest, out);
}

/* The digest of the file's bytes goes into the evidence of the next checkpoint, by which a manifest
 * that was changed afterwards is found. */
gr_status gr_manifest_write(const struct gr_run_directory *run, const struct gr_manifest *manifest,
                            struct gr_evidence *evidence) {
    gr_status status = GR_OK;
    char *path = NULL, *text = NULL, *file = NULL;
    json_t *json = compose(run, manifest);
    text = json_dumps(json, JSON_INDENT(2));
    if (text) status = gr_text_format(&file, "%s\n", text);
    if (status != GR_OK) goto out;
    if (!text) {
        status = gr_fail(GR_ERROR_INTERNAL, "a manifest cannot be made: memory, or text that is "
                                            "not UTF-8");
        goto out;
    }
    GR_TRY(manifest_path(run->path, &path));
    GR_TRY(gr_file_write(path, file, strlen(file)));
    digest_text(file, strlen(file), evidence->manifest);
    evidence->stretches = (uint32_t)json_array_size(json_object_get(json, "stretches"));
out:
    gr_free(file);
    free(text);
    gr_free(path);
    json_decref(json);
    return status;
}

/* The same of a manifest that is there: for the rank that takes over, and for checks. */
gr_status gr_manifest_evidence(const char *run_path, struct gr_evidence *evidence) {
    gr_status status = GR_OK;
    char *path = NULL, *text = NULL;
    size_t length = 0;
    json_t *json = NULL;
    GR_TRY(manifest_path(run_path, &path));
    GR_TRY(gr_file_read(path, MANIFEST_MAX, GR_ERROR_DATA, &text, &length));
    json = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    digest_text(text, length, evidence->manifest);
    evidence->stretches = (uint32_t)json_array_size(json_object_get(json, "stretches"));
out:
    json_decref(json);
    gr_free(text);
    gr_free(path);
    return status;
}
