/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a run: opened or taken over by rank 0, known to all, and by which version of its
 * study it goes. */
#include "federation/run.h"

#include <string.h>

/*
 * Rank 0. Whether the version of the study is the one that the stretches before went by, or follows
 * it. A run of before versions were written down has none that could be followed.
 */
static gr_status find_version(struct gr_run_state *run) {
    const struct gr_run_evidence *e = run->options->evidence;
    struct gr_run_version first, last;
    char found[GR_DIGEST_HEX], then[GR_DIGEST_HEX];
    if (!e) return GR_OK;
    if (!gr_run_directory_versions(run->directory, &first, &last)) return GR_OK;
    memcpy(run->first_config, first.config_digest, GR_DIGEST_BYTES);
    if (memcmp(last.study, e->study, GR_DIGEST_BYTES) == 0) return GR_OK;
    for (uint32_t i = 0; i < e->n_follows && !run->evolved; i++)
        run->evolved = memcmp(last.study, e->follows[i], GR_DIGEST_BYTES) == 0;
    if (run->evolved) return GR_OK;
    gr_digest_hex(e->study, found);
    gr_digest_hex(last.study, then);
    return gr_fail(GR_ERROR_CONFIG,
                   "%s: the run goes by the study of digest %s, found %s, expected that one or one "
                   "that follows it (study.follows)",
                   run->path, then, found);
}

/*
 * Rank 0. If an earlier rank 0 was lost once all knew the directory, that directory is taken over;
 * a second one would split the records of a run. The caller agrees on the status.
 */
gr_status gr_run_open_directory(struct gr_run_state *run) {
    gr_status status = GR_OK;
    if (run->directory) return GR_OK;
    if (run->shared) return gr_run_directory_take_over(run->path, &run->directory);
    gr_free(run->path);
    gr_free(run->config_text);
    run->path = run->config_text = NULL;
    GR_TRY(gr_run_directory_open(run->config, run->options->run_path, run->options->resume,
                                 &run->directory));
    GR_TRY(gr_text_format(&run->path, "%s", gr_run_directory_path(run->directory)));
    GR_TRY(gr_text_format(&run->config_text, "%s", run->options->config_text));
    if (run->options->evidence) GR_TRY(gr_run_directory_keep_id(run->directory));
    run->start = gr_run_directory_start(run->directory);
    memcpy(run->id, gr_run_directory_id(run->directory, &run->id_known), sizeof run->id);
    status = find_version(run);
out:
    return status;
}

/*
 * The arbiter of epochs: a claim is a file in the run directory, created exclusively. If the
 * network falls apart, only one group of ranks can claim the next epoch, and the other group is
 * refused; two groups that both went on would write two histories into one directory. In a study
 * the coordinator's ranks alone may claim.
 */
gr_status gr_run_claim_epoch(void *context, uint32_t epoch, bool *granted) {
    const struct gr_run_state *run = context;
    if (gr_comm_party(run->comm, gr_comm_slot(run->comm)) > 0)
        return gr_fail(GR_STOPPED, "the coordinator is away, and no site takes its place");
    return gr_run_claim(run->path, run->start, epoch, granted);
}

gr_status gr_run_name_folders(struct gr_run_state *run) {
    gr_free(run->checkpoints);
    gr_free(run->silos);
    run->checkpoints = run->silos = NULL;
    gr_status status = gr_text_format(&run->checkpoints, "%s/checkpoints", run->path);
    return status == GR_OK ? gr_text_format(&run->silos, "%s/silos", run->path) : status;
}

/* Collective. Rank 0's text replaces the others'. */
static gr_status share_text(struct gr_run_state *run, char **text, size_t limit) {
    char *own = gr_run_is_root(run) ? NULL : *text;
    if (own) *text = NULL;
    gr_status status = gr_comm_broadcast_text(run->comm, text, limit);
    gr_free(own);
    return status;
}

/* The directory of each party of a study is its own, and no other's to know. */
static gr_status name_directory(struct gr_run_state *run) {
    if (gr_comm_parties(run->comm) == 1) return share_text(run, &run->path, GR_RUN_PATH_MAX);
    gr_free(run->path);
    run->path = NULL;
    return gr_text_format(&run->path, "%s", run->options->run_path);
}

/* Collective. All that a rank must know to become rank 0, and the arbiter of epochs. */
gr_status gr_run_share_directory(struct gr_run_state *run) {
    gr_status status = GR_OK;
    GR_TRY(name_directory(run));
    GR_TRY(share_text(run, &run->config_text, GR_CONFIG_TEXT_MAX));
    GR_TRY(gr_comm_broadcast(run->comm, &run->start, sizeof run->start));
    GR_TRY(gr_comm_broadcast(run->comm, run->started_utc, sizeof run->started_utc));
    GR_TRY(gr_comm_broadcast(run->comm, run->id, sizeof run->id));
    GR_TRY(gr_comm_broadcast(run->comm, &run->id_known, sizeof run->id_known));
    GR_TRY(gr_comm_broadcast(run->comm, run->first_config, sizeof run->first_config));
    GR_TRY(gr_comm_agree(run->comm, gr_run_name_folders(run)));
    run->shared = true;
out:
    return status;
}

/* By a version that follows another silos may have come. */
bool gr_run_follows(const struct gr_run_state *run) {
    return run->options->evidence && run->options->evidence->n_follows > 0;
}
