/* SPDX-License-Identifier: Apache-2.0 */
/* Model files: containers written and read by one process. The reader does not trust them: in
 * contrast to checkpoints, which a run reads back from its own folder, they come from others. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/container.h"
#include "store/hdf5.h"

/* Written under another name and renamed, as a checkpoint: readers find the old model or the new
 * one. */
gr_status gr_model_file_write(const char *path, const struct gr_state *state) {
    gr_status status = GR_OK;
    char *temporary = NULL;
    GR_TRY(gr_text_format(&temporary, "%s.tmp", path));
    /* A file left there may still be open in a stopped process, which must not write into this one.
     */
    unlink(temporary);
    GR_TRY(gr_container_write(NULL, temporary, GR_FORMAT_MODEL, state, NULL));
    GR_TRY(gr_file_publish(temporary, path));
out:
    if (status != GR_OK && temporary) unlink(temporary);
    gr_free(temporary);
    return status;
}

/* 0 for whatever cannot be read: the caller then writes the file anew. */
uint32_t gr_model_file_round(const char *path) {
    struct gr_container container = {0};
    uint32_t round = 0;
    if (access(path, F_OK) != 0 || gr_container_open(path, &container) != GR_OK) return 0;
    round = container.round;
    gr_container_close(&container);
    return round;
}

/* The child's part. Its status is all that comes back. */
static gr_status open_and_close(void *context) {
    struct gr_container container;
    gr_status status = gr_container_open(context, &container);
    if (status == GR_OK) gr_container_close(&container);
    return status;
}

/*
 * A model may be anybody's, and its seal is no secret: with metadata that were damaged on purpose
 * libhdf5 1.10.8 crashes, loops or asks for any amount of memory. So a child tries it first, within
 * 120 s, 30 s of processor time and 1 GiB; a crash there is a message here.
 */
static gr_status try_in_child(const char *path) {
    static const struct gr_child_limits limits = {
        .wall_seconds = 120, .cpu_seconds = 30, .memory_bytes = (size_t)1 << 30};
    char *what = NULL, *copy = NULL;
    gr_status status;
    GR_TRY(gr_hdf5_start());
    GR_TRY(gr_text_format(&copy, "%s", path));
    GR_TRY(gr_text_format(&what, "%s: damaged: reading it", path));
    status = gr_child_run(what, GR_ERROR_DATA, &limits, open_and_close, copy);
out:
    gr_free(copy);
    gr_free(what);
    return status;
}

/* Digests that do not match are no failure here: the caller says so, and decides. Texts and layout
 * pass from the container to *out, whose owner releases them. */
gr_status gr_model_file_read(const char *path, int rank, int size, struct gr_model_file *out) {
    gr_status status = GR_OK;
    struct gr_container container;
    memset(out, 0, sizeof *out);
    status = try_in_child(path);
    if (status == GR_OK) status = gr_container_open(path, &container);
    if (status == GR_REFUSED) return gr_fail(GR_ERROR_DATA, "%s", gr_message());
    if (status != GR_OK) return status;
    if (strcmp(container.format, GR_FORMAT_SILO) == 0) {
        status = gr_fail(GR_ERROR_DATA, "%s: what a silo keeps for itself, and no model", path);
        goto out;
    }
    GR_TRY(gr_allocate(container.layout.size, sizeof *out->parameters, "parameters",
                       &out->parameters));
    GR_TRY(gr_container_load(&container, 0, out->parameters));
    out->digests_match = gr_container_verify(&container, rank, size) == GR_OK;
    out->round = container.round;
    out->n_server = container.n_server;
    out->n_silos = container.n_silos;
    snprintf(out->format, sizeof out->format, "%s", container.format);
    snprintf(out->config_digest, sizeof out->config_digest, "%s", container.config_digest);
    out->architecture = container.architecture;
    container.architecture = NULL;
    out->preprocessing = container.preprocessing;
    container.preprocessing = NULL;
    out->postprocessing = container.postprocessing;
    container.postprocessing = NULL;
    out->layout = container.layout;
    memset(&container.layout, 0, sizeof container.layout);
out:
    if (status == GR_REFUSED) status = gr_fail(GR_ERROR_DATA, "%s", gr_message());
    gr_container_close(&container);
    if (status != GR_OK) gr_model_file_release(out);
    return status;
}

void gr_model_file_release(struct gr_model_file *file) {
    gr_free(file->architecture);
    gr_free(file->postprocessing);
    gr_free(file->preprocessing);
    gr_layout_release(&file->layout);
    gr_free(file->parameters);
    memset(file, 0, sizeof *file);
}
