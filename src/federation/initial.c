/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model that a run starts from (model.initial): read by rank 0, given to all, and held by each
 * against the digest that the config names, so that a party of a study, which has no file, starts
 * from the model that it has approved or not at all. With the model comes its preprocessing, by
 * which its inputs have their meaning: nothing is fitted anew.
 */
#include "federation/internal.h"

#include <string.h>

/* Rank 0. */
static gr_status open_initial(const struct gr_config *config, const char *path,
                              struct gr_model_file *file) {
    unsigned char digest[GR_DIGEST_BYTES], named[GR_DIGEST_BYTES];
    char hex[GR_DIGEST_HEX];
    struct gr_withdrawn withdrawn;
    gr_status status;
    if (!path[0])
        return gr_fail(GR_ERROR_CONFIG,
                       "model.initial: found none, expected the model of model.initial_digest %s "
                       "(in a study: `granary coordinate --initial FILE`)",
                       config->model.initial_digest);
    GR_TRY(gr_withdrawal_of_model(path, &withdrawn));
    if (withdrawn.found)
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: the silo %s has been withdrawn from this model (withdrawn.json), "
                       "expected the model without it, %s",
                       path, withdrawn.silo, withdrawn.model);
    GR_TRY(gr_model_file_read(path, 0, 1, file));
    if (file->n_silos > 0)
        return gr_fail(GR_ERROR_DATA, "%s: found a checkpoint, expected a model", path);
    if (!file->digests_match)
        return gr_fail(GR_ERROR_DATA, "%s: damaged: a slab's digest differs from what is stored",
                       path);
    gr_layout_digest(&file->layout, file->parameters, digest);
    gr_digest_hex(digest, hex);
    if (!gr_digest_from_hex(config->model.initial_digest, named) ||
        memcmp(named, digest, sizeof named) != 0)
        status = gr_fail(GR_ERROR_CONFIG,
                         "%s: found a model of the digest %s, expected %s "
                         "(model.initial_digest)",
                         path, hex, config->model.initial_digest);
out:
    return status;
}

gr_status gr_run_check_initial(const struct gr_config *config, const char *path) {
    struct gr_model_file file = {0};
    if (!config->model.initial_digest[0]) return GR_OK;
    const gr_status status = open_initial(config, path ? path : "", &file);
    gr_model_file_release(&file);
    return status;
}

gr_status gr_initial_read(struct gr_comm *comm, const struct gr_config *config, const char *path,
                          struct gr_initial *out) {
    gr_status status = GR_OK;
    const bool root = gr_comm_rank(comm) == 0;
    char *text = NULL;
    *out = (struct gr_initial){.used = config->model.initial_digest[0] != '\0'};
    if (!out->used) return GR_OK;
    out->path = path && path[0] ? path : config->model.initial;
    GR_TRY(gr_comm_agree(comm, root ? open_initial(config, out->path, &out->file) : GR_OK));
    const char *own = root && out->file.preprocessing ? out->file.preprocessing : "";
    GR_TRY(gr_comm_agree(comm, gr_text_format(&out->preprocessing, "%s", own)));
    text = out->preprocessing;
    GR_TRY(gr_comm_broadcast_text(comm, &text, GR_CONFIG_TEXT_MAX));
    if (text != out->preprocessing) {
        gr_free(out->preprocessing);
        out->preprocessing = text;
    }
out:
    return status;
}

/* Rank 0. Of equal architectures the layouts are equal. */
static gr_status check_architecture(const struct gr_initial *initial,
                                    const struct gr_federation *f) {
    const char *expected = gr_federation_architecture(f);
    if (strcmp(initial->file.architecture, expected) == 0 &&
        initial->file.layout.size == f->layout->size)
        return GR_OK;
    return gr_fail(GR_ERROR_CONFIG,
                   "%s: found the model %.300s, expected that of this config and these tables, "
                   "%.300s",
                   initial->path, initial->file.architecture, expected);
}

gr_status gr_initial_apply(struct gr_initial *initial, struct gr_federation *f) {
    gr_status status = GR_OK;
    const bool root = gr_comm_rank(f->comm) == 0;
    const size_t bytes = f->layout->size * sizeof(float);
    float *parameters = gr_server_parameters(f->server);
    unsigned char digest[GR_DIGEST_BYTES], named[GR_DIGEST_BYTES];
    if (!initial->used) return GR_OK;
    GR_TRY(gr_comm_agree(f->comm, root ? check_architecture(initial, f) : GR_OK));
    if (root) memcpy(parameters, initial->file.parameters, bytes);
    GR_TRY(gr_comm_broadcast(f->comm, parameters, bytes));
    gr_layout_digest(f->layout, parameters, digest);
    const bool same = gr_digest_from_hex(f->config->model.initial_digest, named) &&
                      memcmp(digest, named, sizeof named) == 0;
    status = gr_comm_agree(
        f->comm, same ? GR_OK
                      : gr_fail(GR_ERROR_DATA,
                                "the model that has come is not that of model.initial_digest %s",
                                f->config->model.initial_digest));
out:
    gr_model_file_release(&initial->file);
    return status;
}

void gr_initial_release(struct gr_initial *initial) {
    gr_model_file_release(&initial->file);
    gr_free(initial->preprocessing);
    *initial = (struct gr_initial){0};
}
