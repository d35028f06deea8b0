/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: containers named after their round, of which the newest that is whole is taken.
 *
 * Rank 0 alone lists, renames, removes and reads vectors; every rank writes and verifies. A
 * checkpoint is written under a temporary name and renamed once it is sealed and on the disk, so a
 * death at any moment leaves either the old set or the new one. Damage (GR_ERROR_DATA) lets an
 * older checkpoint be taken instead; a checkpoint that is whole but not this run's ends the start,
 * for to go on from an older one would hide the mistake.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store/container.h"

enum { CHECKPOINTS_MAX = 1 << 20, DIFFERENCES_MAX = 1024 };

/* "round-000005.h5": *round 5. The name is composed again and compared, so that "round-5.h5", which
 * nobody here writes, is not taken for the same round. */
static bool parse_name(const char *name, uint32_t *round) {
    unsigned value = 0;
    int end = 0;
    char again[32];
    if (sscanf(name, "round-%9u.h5%n", &value, &end) != 1 || end == 0 || name[end]) return false;
    snprintf(again, sizeof again, "round-%06u.h5", value);
    *round = value;
    return strcmp(name, again) == 0;
}

static int newest_first(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x > y ? -1 : x < y;
}

/* The rounds of a folder's checkpoints, newest first. No folder: none. Caller frees *out. */
static gr_status list_rounds(const char *dir, uint32_t **out, size_t *n) {
    gr_status status = GR_OK;
    uint32_t *rounds = NULL, round;
    size_t room = 0;
    struct dirent *entry;
    *out = NULL;
    *n = 0;
    DIR *folder = opendir(dir);
    if (!folder && errno == ENOENT) return GR_OK;
    if (!folder) return gr_fail(GR_ERROR_DATA, "%s: %s", dir, strerror(errno));
    while ((entry = readdir(folder)) && *n < CHECKPOINTS_MAX) {
        if (!parse_name(entry->d_name, &round)) continue;
        if (*n == room) {
            uint32_t *grown = realloc(rounds, (room = 2 * room + 16) * sizeof *rounds);
            if (!grown) {
                status = gr_fail(GR_ERROR_INTERNAL, "memory for a list of checkpoints was refused");
                goto out;
            }
            rounds = grown;
        }
        rounds[(*n)++] = round;
    }
    if (*n > 0) qsort(rounds, *n, sizeof *rounds, newest_first);
    *out = rounds;
    rounds = NULL;
out:
    free(rounds);
    closedir(folder);
    return status;
}

/* By name alone: it need not be whole. A folder that cannot be listed counts as one without
 * checkpoints. */
uint32_t gr_checkpoint_newest(const char *run_path) {
    uint32_t *rounds = NULL, newest = 0;
    size_t n = 0;
    char *dir = NULL;
    if (gr_text_format(&dir, "%s/checkpoints", run_path) != GR_OK) return 0;
    if (list_rounds(dir, &rounds, &n) == GR_OK && n > 0) newest = rounds[0];
    free(rounds);
    gr_free(dir);
    return newest;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/*
 * Leftovers of writers that were killed or given up, which must not be published by a writer that
 * only slept. Files of a later round or attempt are left alone: it may be this rank that was given
 * up. A file that cannot be removed does no harm.
 */
static void remove_temporaries(const char *dir, uint32_t round, uint32_t attempt) {
    struct dirent *entry;
    DIR *folder = opendir(dir);
    if (!folder) return;
    while ((entry = readdir(folder))) {
        const char *name = entry->d_name;
        unsigned of_round = 0, of_attempt = 0;
        /* MPI-IO may have files of its own beside it: ".round-000005.1.h5.tmp.data.0". */
        if (strncmp(name, ".round-", 7) != 0 || !strstr(name, ".tmp")) continue;
        /* Of a run that begins, where no lock keeps two apart; it removes its own. */
        if (strncmp(name, ".round-trial", 12) == 0) continue;
        bool ours = sscanf(name, ".round-%9u.%9u.h5.tmp", &of_round, &of_attempt) == 2;
        if (ours && (of_round > round || (of_round == round && of_attempt > attempt))) continue;
        unlinkat(dirfd(folder), name, 0);
    }
    closedir(folder);
}

/*
 * Removes all but the newest `keep` up to `round`. Newer ones are damaged, or the run would have
 * been resumed from them; they do not count, and are overwritten when the run comes to them.
 */
static void remove_old(const char *dir, uint32_t round, uint32_t keep) {
    uint32_t *rounds = NULL, kept = 0;
    size_t n = 0;
    char *path = NULL;
    if (list_rounds(dir, &rounds, &n) != GR_OK) return;
    for (size_t i = 0; i < n; i++) {
        if (rounds[i] > round || kept++ < keep) continue;
        if (gr_text_format(&path, "%s/round-%06u.h5", dir, rounds[i]) != GR_OK) break;
        unlink(path);
        gr_free(path);
    }
    free(rounds);
}

/*
 * Rank 0 only: the temporary file becomes the checkpoint. Older ones go only after the new name is
 * on the disk (gr_file_publish syncs the folder); failing to remove them is no failure of the
 * checkpoint.
 */
static gr_status publish(const char *dir, const char *temporary, const char *path,
                         const struct gr_state *state, uint32_t keep) {
    gr_status status = gr_file_publish(temporary, path);
    if (status != GR_OK) return status;
    remove_old(dir, state->round, keep);
    return GR_OK;
}

/*
 * A rank lost in it is GR_LOST for all sooner or later, and the caller repeats with a higher
 * attempt under another name. The first rank cleans up its temporary file on the way out, whatever
 * the failure.
 */
gr_status gr_checkpoint_write(struct gr_comm *comm, const char *dir, const struct gr_state *state,
                              uint32_t keep, uint32_t attempt, const struct gr_checkpoint_io *io) {
    gr_status status = GR_OK;
    /* Asked once: ranks are numbered anew when some are lost. */
    bool first = gr_comm_rank(comm) == 0;
    char *temporary = NULL, *path = NULL;
    gr_status mine =
        gr_text_format(&temporary, "%s/.round-%06u.%u.h5.tmp", dir, state->round, attempt);
    if (mine == GR_OK) mine = gr_text_format(&path, "%s/round-%06u.h5", dir, state->round);
    GR_TRY(gr_comm_agree(comm, mine));
    if (first) remove_temporaries(dir, state->round, attempt);
    GR_TRY(gr_container_write(comm, temporary, GR_FORMAT_CHECKPOINT, state, io));
    GR_TRY(gr_comm_agree(comm, first ? publish(dir, temporary, path, state, keep) : GR_OK));
out:
    if (status != GR_OK && first && temporary) unlink(temporary);
    gr_free(path);
    gr_free(temporary);
    return status;
}

/* ---- which way ---------------------------------------------------------------------------------
 */

/* Whether many clients write one file of this kind of file system at once as a matter of course:
 * Lustre, Spectrum Scale (GPFS), BeeGFS, PanFS, OrangeFS. By the numbers of statfs(2). */
static bool is_parallel(const char *dir) {
    static const uint32_t kinds[] = {0x0BD00BD0, 0x47504653, 0x19830326, 0xAAD7AAEA, 0x20030528};
    struct statfs info;
    if (statfs(dir, &info) != 0) return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((uint32_t)info.f_type == kinds[i]) return true;
    return false;
}

/*
 * A rank lost in a collective write ends the job, so that it is never taken by itself where losses
 * are survived. Rank 0 decides for all: a folder may be another mount on another host.
 */
gr_status gr_checkpoint_choose_io(struct gr_comm *comm, const char *dir,
                                  const struct gr_checkpoint_config *config,
                                  struct gr_checkpoint_io *io) {
    int64_t collective = config->io == GR_CHECKPOINT_COLLECTIVE;
    if (config->io == GR_CHECKPOINT_AUTO)
        collective = gr_comm_rank(comm) == 0 && !gr_comm_tolerant(comm) && is_parallel(dir);
    gr_status status = gr_comm_max_int64(comm, &collective, 1);
    io->collective = collective != 0;
    return status;
}

/* ---- before the first --------------------------------------------------------------------------
 */

/* Rank 0. Whether so many more files of that length would fit: `keep` and the one being written,
 * less those that are there and will be replaced. */
static bool has_room(const char *dir, uint64_t bytes, uint32_t keep) {
    uint32_t *rounds = NULL;
    size_t n = 0;
    struct statvfs disk;
    if (list_rounds(dir, &rounds, &n) != GR_OK) n = 0;
    free(rounds);
    const uint64_t wanted = (uint64_t)keep + 1, missing = wanted > n ? wanted - n : 1;
    /* A file system that does not know is taken at its word when it refuses. */
    if (statvfs(dir, &disk) != 0 || disk.f_frsize == 0 || disk.f_blocks == 0) return true;
    return disk.f_bavail / missing >= bytes / disk.f_frsize;
}

/*
 * Everything but the vectors is done as gr_checkpoint_write does it, so that a path, a library or a
 * file system that cannot take a checkpoint is found before hours of training. A lack of room is
 * told in *room and is no failure here: the caller decides.
 */
gr_status gr_checkpoint_try(struct gr_comm *comm, const char *dir, const struct gr_state *state,
                            uint32_t keep, const struct gr_checkpoint_io *io, bool *room) {
    gr_status status = GR_OK;
    const bool first = gr_comm_rank(comm) == 0;
    char *path = NULL;
    uint64_t bytes = 0;
    int64_t told;
    GR_TRY(gr_comm_agree(comm, gr_text_format(&path, "%s/.round-trial.h5.tmp", dir)));
    GR_TRY(gr_container_try(comm, path, GR_FORMAT_CHECKPOINT, state, io, &bytes));
out:
    if (first && path) unlink(path);
    gr_free(path);
    if (status != GR_OK) return gr_fail_context(status, "before the first round: ");
    told = first && has_room(dir, bytes, keep);
    status = gr_comm_max_int64(comm, &told, 1);
    *room = told != 0;
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* All differences in one message: a wrong config usually differs in several, and to find them one
 * by one costs a start each. */
struct differences {
    char text[DIFFERENCES_MAX];
};

static void differ(struct differences *d, const char *format, ...) GR_PRINTF(2, 3);
/* A text that is full stays cut off; nothing is written beyond it. */
static void differ(struct differences *d, const char *format, ...) {
    size_t length = strlen(d->text);
    va_list arguments;
    if (length > 0 && length + 3 < sizeof d->text) {
        memcpy(d->text + length, "; ", 3);
        length += 2;
    }
    va_start(arguments, format);
    vsnprintf(d->text + length, sizeof d->text - length, format, arguments);
    va_end(arguments);
}

static void shape_text(const struct gr_tensor *tensor, char *out, size_t size) {
    int used = snprintf(out, size, "[");
    for (size_t d = 0; d < tensor->n_dims; d++)
        used += snprintf(out + used, size - (size_t)used, d ? ", %zu" : "%zu", tensor->shape[d]);
    snprintf(out + used, size - (size_t)used, "]");
}

/* Names the first tensor that differs: tensors behind it differ for the same reason. */
static void compare_layouts(const struct gr_layout *found, const struct gr_layout *expected,
                            struct differences *d) {
    if (gr_layout_equal(found, expected)) return;
    if (found->n_tensors != expected->n_tensors)
        differ(d, "found %zu tensors, expected %zu", found->n_tensors, expected->n_tensors);
    for (size_t t = 0; t < found->n_tensors && t < expected->n_tensors; t++) {
        const struct gr_tensor *a = &found->tensors[t], *b = &expected->tensors[t];
        char is[128], should[128];
        shape_text(a, is, sizeof is);
        shape_text(b, should, sizeof should);
        if (strcmp(a->name, b->name) == 0 && strcmp(is, should) == 0) continue;
        differ(d, "found tensor %s %s, expected %s %s", a->name, is, b->name, should);
        return;
    }
}

/*
 * Whole, and yet not to be taken, nor to be passed over for an older one: a checkpoint of another
 * run, or one that has been given another's name. Files without a run id, of earlier versions, are
 * not asked.
 */
static gr_status check_identity(const struct gr_container *c, const struct gr_state *state,
                                uint32_t round) {
    if (strcmp(c->format, GR_FORMAT_CHECKPOINT) == 0 && c->round != round)
        return gr_fail(GR_REFUSED,
                       "%s: found a checkpoint of round %u, expected that of its name: files were "
                       "renamed or exchanged",
                       c->path, c->round);
    if (c->run_id && state->run_id && strcmp(c->run_id, state->run_id) != 0)
        return gr_fail(GR_REFUSED,
                       "%s: a checkpoint of another run: found run %.12s..., expected %.12s...; "
                       "move it away to go on without it",
                       c->path, c->run_id, state->run_id);
    return GR_OK;
}

/* GR_ERROR_CONFIG when the checkpoint is whole but belongs to another config: told apart from
 * damage, since the user has to change something and an older file would not help. */
static gr_status compare(const struct gr_container *c, const struct gr_state *state) {
    struct differences d = {""};
    char digest[GR_DIGEST_HEX];
    gr_digest_hex(state->config_digest, digest);
    if (strcmp(c->format, GR_FORMAT_CHECKPOINT) != 0)
        differ(&d, "found format %s, expected %s", c->format, GR_FORMAT_CHECKPOINT);
    compare_layouts(&c->layout, state->layout, &d);
    if (c->n_server != state->n_server)
        differ(&d, "found %zu vectors of server state, expected %zu", c->n_server, state->n_server);
    for (size_t i = 0; i < c->n_server && i < state->n_server; i++)
        if (strcmp(c->server_name[i], state->server_name[i]) != 0)
            differ(&d, "found server state %s, expected %s", c->server_name[i],
                   state->server_name[i]);
    if (c->n_silos > state->n_silos || (c->n_silos < state->n_silos && !state->grows))
        differ(&d, "found %u silos, expected %u", c->n_silos, state->n_silos);
    if (c->n_class_counts != state->n_class_counts)
        differ(&d, "found the rows of %zu classes, expected %zu", c->n_class_counts,
               state->n_class_counts);
    if (strcmp(c->preprocessing ? c->preprocessing : "",
               state->preprocessing ? state->preprocessing : "") != 0)
        differ(&d, "found another preprocessing");
    if (strcmp(c->config_digest, digest) != 0)
        differ(&d,
               "found digest %.16s... of config and data, expected %.16s...: it is of another run, "
               "or of another version of granary",
               c->config_digest, digest);
    if (!d.text[0]) return GR_OK;
    return gr_fail(GR_ERROR_CONFIG, "%s: a checkpoint of another model, config or data: %s",
                   c->path, d.text);
}

/*
 * Collective. Damage gives way to failures of another kind, such as a rank that cannot read the
 * file and why: else a missing mount on one rank would look like damage, and an older checkpoint be
 * taken.
 */
static gr_status agree_read(struct gr_comm *comm, gr_status mine) {
    gr_status status = gr_comm_agree(comm, mine == GR_ERROR_DATA ? GR_OK : mine);
    return status == GR_OK ? gr_comm_agree(comm, mine) : status;
}

/* The small values of a checkpoint that are not in vectors. */
struct small_state {
    uint32_t round, void_rounds, best_round;
    int32_t clip_step;
    double best_value;
    char run_id[GR_RUN_ID_HEX];
};

/* Collective. From rank 0, which has the file open, to all. */
static gr_status share_small(struct gr_comm *comm, const struct gr_container *c,
                             struct gr_state *state) {
    gr_status status = GR_OK;
    struct small_state small = {.round = c->round,
                                .void_rounds = c->void_rounds,
                                .clip_step = c->clip_step,
                                .best_round = c->best_round,
                                .best_value = c->best_value};
    snprintf(small.run_id, sizeof small.run_id, "%s", c->run_id ? c->run_id : "");
    if (gr_comm_rank(comm) == 0) {
        assert(c->silo_rounds); /* of an open file */
        memset(state->silo_rounds, 0, state->n_silos * sizeof *state->silo_rounds);
        memcpy(state->silo_rounds, c->silo_rounds, c->n_silos * sizeof *c->silo_rounds);
        if (c->n_class_counts > 0)
            memcpy(state->class_counts, c->class_counts,
                   c->n_class_counts * sizeof *c->class_counts);
    }
    GR_TRY(gr_comm_broadcast(comm, &small, sizeof small));
    GR_TRY(
        gr_comm_broadcast(comm, state->silo_rounds, state->n_silos * sizeof *state->silo_rounds));
    if (state->n_class_counts > 0)
        GR_TRY(gr_comm_broadcast(comm, state->class_counts,
                                 state->n_class_counts * sizeof *state->class_counts));
    state->round = small.round;
    state->void_rounds = small.void_rounds;
    state->clip_step = small.clip_step;
    state->best_round = small.best_round;
    state->best_value = small.best_value;
    memcpy(state->run_id_found, small.run_id, sizeof small.run_id);
out:
    return status;
}

/*
 * Collective. Rank 0 reads the file and the others are given what it holds: each has its own copy
 * of the model and the server's state, but the file is not read as often as there are ranks, some
 * of which do not see it. Rank 0 may be shown other bytes than the ranks that have verified them,
 * so that what all have been given is digested again, a share by each that sees the file.
 */
static gr_status load(struct gr_comm *comm, const struct gr_container *c, struct gr_state *state) {
    gr_status status = GR_OK;
    const bool reads = gr_comm_rank(comm) == 0;
    const float *given[GR_CONTAINER_VECTORS_MAX];
    int reader;
    const int readers = gr_comm_writers(comm, &reader);
    for (size_t i = 0; i < 1 + state->n_server; i++) {
        float *vector = i == 0 ? state->parameters : state->server[i - 1];
        GR_TRY(agree_read(comm, reads ? gr_container_load(c, i, vector) : GR_OK));
        GR_TRY(gr_comm_broadcast(comm, vector, state->layout->size * sizeof *vector));
        given[i] = vector;
    }
    if (reader >= 0) status = gr_container_check(c, reader, readers, given);
    if (status == GR_ERROR_DATA)
        status = gr_fail(GR_ERROR_DATA, "%s; in the file they do: rank 0 reads other bytes of it",
                         gr_message());
    GR_TRY(agree_read(comm, status));
    status = share_small(comm, c, state);
out:
    return status;
}

/*
 * Collective. The order is: open, identity, config, digests, load; each agreed on, so that all take
 * the same file. Ranks share the digests of the pieces. GR_ERROR_DATA before anything in `state`
 * has been touched (*loading false): it is damaged, and another may be tried.
 */
static gr_status read_one(struct gr_comm *comm, const char *path, uint32_t round,
                          struct gr_state *state, bool *loading) {
    gr_status status = GR_OK;
    struct gr_container container = {0};
    int reader;
    const int readers = gr_comm_writers(comm, &reader);
    const bool sees = reader >= 0; /* the file */
    GR_TRY(agree_read(comm, sees ? gr_container_open(path, &container) : GR_OK));
    GR_TRY(gr_comm_agree(comm, sees ? check_identity(&container, state, round) : GR_OK));
    GR_TRY(gr_comm_agree(comm, sees ? compare(&container, state) : GR_OK));
    GR_TRY(agree_read(comm, sees ? gr_container_verify(&container, reader, readers) : GR_OK));
    *loading = true;
    GR_TRY(load(comm, &container, state));
out:
    gr_container_close(&container);
    return status;
}

/* Adds a line, without the folder's name. */
static gr_status note_passed_over(char **lines, const char *dir, const char *message) {
    size_t prefix = strlen(dir) + 1;
    char *longer = NULL;
    if (strncmp(message, dir, prefix - 1) == 0 && message[prefix - 1] == '/') message += prefix;
    gr_status status =
        gr_text_format(&longer, "%s%s%s", *lines ? *lines : "", *lines ? "\n" : "", message);
    if (status != GR_OK) return status;
    gr_free(*lines);
    *lines = longer;
    return GR_OK;
}

/* Collective. Rank 0's list on all ranks: a network file system may show each host another one. At
 * most CHECKPOINTS_MAX, so the memory asked for is bounded. Caller frees *rounds. */
static gr_status share_rounds(struct gr_comm *comm, const char *dir, uint32_t **rounds, size_t *n) {
    gr_status status = GR_OK;
    uint64_t count = 0;
    *rounds = NULL;
    GR_TRY(gr_comm_agree(comm, gr_comm_rank(comm) == 0 ? list_rounds(dir, rounds, n) : GR_OK));
    count = *n;
    GR_TRY(gr_comm_broadcast(comm, &count, sizeof count));
    if (gr_comm_rank(comm) != 0) *rounds = malloc((size_t)count * sizeof **rounds + 1);
    GR_TRY(gr_comm_agree(comm, *rounds || count == 0
                                   ? GR_OK
                                   : gr_fail(GR_ERROR_INTERNAL, "memory for a list was refused")));
    if (count > 0) GR_TRY(gr_comm_broadcast(comm, *rounds, (size_t)count * sizeof **rounds));
    *n = *rounds ? (size_t)count : 0;
out:
    return status;
}

/* Copies the evidence of a file that opens, and whose vectors are whole where that is asked. Not
 * collective: this process verifies all pieces. */
static gr_status find_evidence(const char *path, bool verify, struct gr_evidence *evidence,
                               char run_id[GR_RUN_ID_HEX], bool *found) {
    gr_status status = GR_OK;
    struct gr_container container;
    GR_TRY(gr_container_open(path, &container));
    if (verify) status = gr_container_verify(&container, 0, 1);
    *found = status == GR_OK && container.has_evidence;
    if (*found) *evidence = container.evidence;
    snprintf(run_id, GR_RUN_ID_HEX, "%s", container.run_id ? container.run_id : "");
    gr_container_close(&container);
out:
    return status;
}

/* round 0: the newest that is whole, as a resumption would take; else that round alone. */
gr_status gr_checkpoint_evidence(const char *run_path, uint32_t round, struct gr_evidence *evidence,
                                 char run_id[GR_RUN_ID_HEX], uint32_t *of_round, bool *found) {
    gr_status status = GR_OK;
    char *dir = NULL, *path = NULL;
    uint32_t *rounds = NULL;
    size_t n = 0;
    *found = false;
    *of_round = 0;
    run_id[0] = '\0';
    GR_TRY(gr_text_format(&dir, "%s/checkpoints", run_path));
    GR_TRY(list_rounds(dir, &rounds, &n));
    for (size_t i = 0; i < n; i++) {
        if (round > 0 && rounds[i] != round) continue;
        GR_TRY(gr_text_format(&path, "%s/round-%06u.h5", dir, rounds[i]));
        status = find_evidence(path, round == 0, evidence, run_id, found);
        /*
         * A damaged file is passed over, as by a resumption; a file may go while the run goes on.
         */
        const bool gone = status == GR_REFUSED && access(path, F_OK) != 0;
        gr_free(path);
        path = NULL;
        if (status == GR_OK) *of_round = rounds[i];
        if (status != GR_ERROR_DATA && !gone) break;
        status = GR_OK;
    }
    if (status == GR_REFUSED) status = gr_fail(GR_ERROR_DATA, "%s", gr_message());
out:
    gr_free(path);
    free(rounds);
    gr_free(dir);
    return status;
}

/* Rank 0: of the newest that opens; damaged ones are told of when they are read. */
static gr_status find_preprocessing(const char *dir, char **out) {
    gr_status status;
    uint32_t *rounds = NULL;
    size_t n = 0;
    char *path = NULL;
    bool found = false;
    GR_TRY(list_rounds(dir, &rounds, &n));
    for (size_t i = 0; i < n && !found; i++) {
        struct gr_container container = {0};
        GR_TRY(gr_text_format(&path, "%s/round-%06u.h5", dir, rounds[i]));
        found = gr_container_open(path, &container) == GR_OK;
        if (found) *out = container.preprocessing;
        container.preprocessing = NULL;
        if (found) gr_container_close(&container);
        gr_free(path);
        path = NULL;
    }
out:
    gr_free(path);
    free(rounds);
    return status;
}

/* Needed before the data are loaded, and so before the checkpoint can be compared and read. */
gr_status gr_checkpoint_preprocessing(struct gr_comm *comm, const char *dir, char **out) {
    gr_status status;
    char *text = NULL;
    *out = NULL;
    const bool root = gr_comm_rank(comm) == 0;
    GR_TRY(gr_comm_agree(comm, root && dir ? find_preprocessing(dir, &text) : GR_OK));
    int64_t there = text != NULL;
    GR_TRY(gr_comm_max_int64(comm, &there, 1));
    if (there) GR_TRY(gr_comm_broadcast_text(comm, &text, GR_CONFIG_TEXT_MAX));
    *out = text;
    text = NULL;
out:
    gr_free(text);
    return status;
}

/*
 * From the newest down. *passed_over: a line for each damaged one, for the user has to know that
 * rounds are lost. Once vectors are being loaded a failure ends the start: `state` is then part of
 * a file.
 */
gr_status gr_checkpoint_read(struct gr_comm *comm, const char *dir, struct gr_state *state,
                             bool *found, char **passed_over) {
    gr_status status = GR_OK;
    uint32_t *rounds = NULL;
    size_t n = 0;
    char *path = NULL;
    *found = false;
    *passed_over = NULL;
    /* A run begins: nobody is writing. Later writers would leave what comes after them. */
    if (gr_comm_rank(comm) == 0) remove_temporaries(dir, UINT32_MAX, UINT32_MAX);
    GR_TRY(share_rounds(comm, dir, &rounds, &n));
    for (size_t i = 0; i < n && !*found; i++) {
        bool loading = false;
        GR_TRY(gr_comm_agree(comm, gr_text_format(&path, "%s/round-%06u.h5", dir, rounds[i])));
        status = read_one(comm, path, rounds[i], state, &loading);
        gr_free(path);
        path = NULL;
        if (status == GR_OK)
            *found = true;
        else if (status != GR_ERROR_DATA || loading)
            goto out;
        else
            GR_TRY(gr_comm_agree(comm, note_passed_over(passed_over, dir, gr_message())));
    }
    status = GR_OK;
out:
    if (status == GR_REFUSED)
        status =
            gr_fail(GR_ERROR_DATA, "%s (not damaged: no older one is taken instead)", gr_message());
    gr_free(path);
    free(rounds);
    if (status != GR_OK) {
        gr_free(*passed_over);
        *passed_over = NULL;
    }
    return status;
}
