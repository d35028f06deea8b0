/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state that a silo keeps from round to round and nobody else may see: a container of its own
 * for each checkpoint that has found it changed, for its owner's eyes only.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/container.h"

/* ---- names ---------------------------------------------------------------------------------- */

/* Named after silo and rounds taken part in, so that states of several checkpoints lie side by
 * side. */
static gr_status path_of(const char *dir, const struct gr_silo_state *state, char **out) {
    return gr_text_format(out, "%s/silo-%03u-%06u.h5", dir, state->silo, state->rounds);
}

/* Composed again and compared, as the names of checkpoints. */
static bool parse_name(const char *name, uint32_t *silo, uint32_t *rounds) {
    char again[48];
    if (sscanf(name, "silo-%9u-%9u.h5", silo, rounds) != 2) return false;
    snprintf(again, sizeof again, "silo-%03u-%06u.h5", *silo, *rounds);
    return strcmp(name, again) == 0;
}

/* ---- one state ------------------------------------------------------------------------------ */

/* Longer than three names and a number. */
enum { TEXT_MAX = 256 };

/* The vectors' names and the steps, in the place of an architecture. Composed alike by writer and
 * reader, so that comparing texts compares all of it. */
static void describe(const struct gr_silo_state *state, uint64_t steps, char text[TEXT_MAX]) {
    size_t used = (size_t)snprintf(text, TEXT_MAX, "{\"vectors\":[");
    for (size_t i = 0; i < state->n_vectors; i++)
        used += (size_t)snprintf(text + used, TEXT_MAX - used, "%s\"%.40s\"", i ? "," : "",
                                 state->name[i]);
    snprintf(text + used, TEXT_MAX - used, "],\"steps\":%llu}", (unsigned long long)steps);
}

/* A silo's state as a container. The digest is of the run's origin and the silo: another silo's or
 * run's file is not taken for ours. */
static void fill_container(const struct gr_silo_state *state, char text[TEXT_MAX],
                           struct gr_state *out) {
    struct gr_digest digest;
    memset(out, 0, sizeof *out);
    describe(state, state->steps, text);
    out->round = state->rounds;
    out->layout = state->layout;
    out->parameters = state->vector[0];
    out->n_server = state->n_vectors - 1;
    for (size_t i = 0; i < out->n_server; i++) {
        out->server_name[i] = state->name[1 + i];
        out->server[i] = state->vector[1 + i];
    }
    out->architecture = text;
    out->run_id = state->run_id;
    gr_digest_start(&digest);
    gr_digest_add(&digest, state->origin, GR_DIGEST_BYTES);
    gr_digest_add(&digest, &state->silo, sizeof state->silo);
    gr_digest_finish(&digest, out->config_digest);
}

/* The file's mode is there before its first byte is. */
static gr_status create_private(const char *path) {
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    close(fd);
    return GR_OK;
}

/* Not collective: a silo's rank writes it alone. The folder is synced once for all silos, by
 * gr_silo_states_sync. */
gr_status gr_silo_state_write(const char *dir, const struct gr_silo_state *state) {
    gr_status status = GR_OK;
    struct gr_state container;
    char *path = NULL, *temporary = NULL, text[TEXT_MAX];
    if (mkdir(dir, 0700) == 0)
        GR_TRY(gr_file_sync_folder(dir)); /* the one that it is in */
    else if (errno != EEXIST)
        return gr_fail(GR_ERROR_WRITE, "%s: %s", dir, strerror(errno));
    gr_file_keep_private(dir);
    GR_TRY(path_of(dir, state, &path));
    GR_TRY(gr_text_format(&temporary, "%s/.silo-%03u.tmp", dir, state->silo));
    fill_container(state, text, &container);
    GR_TRY(create_private(temporary));
    GR_TRY(gr_container_write(NULL, temporary, GR_FORMAT_SILO, &container, NULL));
    if (rename(temporary, path) != 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
        goto out;
    }
out:
    if (status != GR_OK && temporary) unlink(temporary);
    gr_free(temporary);
    gr_free(path);
    return status;
}

/* Names are on the disk only once their folder is; a state without its name would be lost with the
 * power while the checkpoint that counts on it is kept. */
gr_status gr_silo_states_sync(const char *dir) {
    char *path = NULL;
    gr_status status = gr_text_format(&path, "%s/.", dir);
    if (status == GR_OK) status = gr_file_sync_folder(path);
    gr_free(path);
    return status;
}

/* The steps that are told beside the vectors expected. */
static bool find_steps(const struct gr_container *c, const struct gr_silo_state *state,
                       uint64_t *steps) {
    char again[TEXT_MAX];
    const char *at = strstr(c->architecture, "\"steps\":");
    if (!at) return false;
    *steps = strtoull(at + strlen("\"steps\":"), NULL, 10);
    describe(state, *steps, again);
    return strcmp(c->architecture, again) == 0;
}

/* Whatever does not fit is GR_ERROR_DATA, damage or not: the caller lets the silo begin anew, and
 * the run goes on. */
static gr_status load(const struct gr_container *c, struct gr_silo_state *state) {
    gr_status status = GR_OK;
    struct gr_state expected;
    char digest[GR_DIGEST_HEX], text[TEXT_MAX];
    fill_container(state, text, &expected);
    gr_digest_hex(expected.config_digest, digest);
    if (strcmp(c->format, GR_FORMAT_SILO) != 0 || strcmp(c->config_digest, digest) != 0 ||
        c->round != state->rounds || !gr_layout_equal(&c->layout, state->layout) ||
        (c->run_id && state->run_id && strcmp(c->run_id, state->run_id) != 0) ||
        c->n_server != expected.n_server || !find_steps(c, state, &state->steps))
        return gr_fail(GR_ERROR_DATA, "%s: the state of another silo, run or round", c->path);
    GR_TRY(gr_container_verify(c, 0, 1));
    for (size_t i = 0; i < state->n_vectors; i++)
        GR_TRY(gr_container_load(c, i, state->vector[i]));
out:
    return status;
}

/*
 * state->silo, rounds, layout and names say which file is expected; vectors and steps are filled.
 */
gr_status gr_silo_state_read(const char *dir, struct gr_silo_state *state) {
    struct gr_container container = {0};
    char *path = NULL;
    gr_status status = path_of(dir, state, &path);
    if (status == GR_OK) status = gr_container_open(path, &container);
    if (status == GR_OK) status = load(&container, state);
    if (status == GR_REFUSED) status = gr_fail(GR_ERROR_DATA, "%s", gr_message());
    gr_container_close(&container);
    gr_free(path);
    return status;
}

/* ---- many ----------------------------------------------------------------------------------- */

struct state_entry {
    uint32_t silo, rounds;
};

static int newest_first(const void *a, const void *b) {
    const struct state_entry *x = a, *y = b;
    if (x->silo != y->silo) return x->silo < y->silo ? -1 : 1;
    return x->rounds > y->rounds ? -1 : x->rounds < y->rounds;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/*
 * The states of the silos given (ascending), by silo, newest first. A folder that cannot be listed
 * is left alone, and so is what does not fit the memory: files that stay do no harm. Caller frees.
 */
static struct state_entry *list(const char *dir, const uint32_t *silos, size_t n_silos, size_t *n) {
    struct state_entry *entries = NULL, found;
    size_t room = 0;
    struct dirent *file;
    DIR *folder = opendir(dir);
    *n = 0;
    while (folder && (file = readdir(folder))) {
        if (!parse_name(file->d_name, &found.silo, &found.rounds) || n_silos == 0 ||
            !bsearch(&found.silo, silos, n_silos, sizeof *silos, ascending))
            continue;
        if (*n == room) {
            struct state_entry *grown = realloc(entries, (room = 2 * room + 16) * sizeof *entries);
            if (!grown) break;
            entries = grown;
        }
        entries[(*n)++] = found;
    }
    if (folder) closedir(folder);
    if (*n > 0) qsort(entries, *n, sizeof *entries, newest_first);
    return entries;
}

void gr_silo_state_remove(const char *dir, uint32_t silo, uint32_t rounds) {
    const struct gr_silo_state state = {.silo = silo, .rounds = rounds};
    char *path = NULL;
    if (path_of(dir, &state, &path) == GR_OK) unlink(path);
    gr_free(path);
}

/* Other silos' files are not touched: a folder may be shared by ranks, each of which tidies its
 * own. */
void gr_silo_states_keep(const char *dir, const uint32_t *silos, size_t n_silos, uint32_t keep) {
    size_t n;
    uint32_t kept = 0;
    struct state_entry *entries = list(dir, silos, n_silos, &n);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || entries[i].silo != entries[i - 1].silo) kept = 0;
        if (kept++ >= keep) gr_silo_state_remove(dir, entries[i].silo, entries[i].rounds);
    }
    free(entries);
}

/* States of rounds after the checkpoint that a run goes on from: kept, they would be taken for
 * those of the same rounds when they are trained again. */
void gr_silo_states_forget(const char *dir, const uint32_t *silos, size_t n_silos,
                           const uint32_t *rounds) {
    size_t n;
    struct state_entry *entries = list(dir, silos, n_silos, &n);
    for (size_t i = 0; i < n; i++)
        if (entries[i].rounds > rounds[entries[i].silo])
            gr_silo_state_remove(dir, entries[i].silo, entries[i].rounds);
    free(entries);
}

/* Temporary files of writers that died. */
void gr_silo_states_tidy(const char *dir) {
    struct dirent *file;
    DIR *folder = opendir(dir);
    while (folder && (file = readdir(folder)))
        if (strncmp(file->d_name, ".silo-", 6) == 0) unlinkat(dirfd(folder), file->d_name, 0);
    if (folder) closedir(folder);
}
