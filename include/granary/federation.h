/* SPDX-License-Identifier: Apache-2.0 */
/*
 * federation: rounds, rosters, strategies, server optimisers, sampling.
 */
#ifndef GRANARY_FEDERATION_H
#define GRANARY_FEDERATION_H

#include <granary/comm.h>
#include <granary/config.h>
#include <granary/observe.h>
#include <granary/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- strategies --------------------------------------------------------------------------- */

/*
 * A strategy is pure: it says how many vectors of state the server keeps and how the mean update
 * moves the model. It never calls MPI and never sees a silo. Every rank takes the same step on its
 * own copy.
 */
struct gr_strategy {
    const char *name;
    size_t n_server;
    const char *server_name[GR_SERVER_VECTORS_MAX];
    /*
     * parameters, mean, server[i]: n floats of the same range of the vectors; moves parameters and
     * server state in place. Elementwise, so that any range may be stepped by itself.
     */
    void (*step)(const struct gr_strategy_config *config, float *parameters, const float *mean,
                 float *const *server, size_t n);
};

/* The strategy of that name. Never NULL for a checked config. */
const struct gr_strategy *gr_strategy_find(enum gr_strategy_name name);

/* ---- sampling ----------------------------------------------------------------------------- */

/*
 * Flags the silos of a round: `participants` of n_silos (0: all) without replacement, from the
 * stream (seed, 0, round, GR_PURPOSE_SAMPLE). The same on every rank. selected: n_silos flags.
 */
gr_status gr_sample_silos(uint64_t seed, uint32_t round, uint32_t n_silos, uint32_t participants,
                          uint8_t *selected) GR_CHECKED;

/*
 * The silos that `rank` of `size` hosts, ascending: block gives each rank a run of ids, cyclic
 * deals them. silos: room for n_silos; *n_local receives how many.
 */
void gr_place_silos(enum gr_placement placement, uint32_t n_silos, int rank, int size,
                    uint32_t *silos, size_t *n_local);

/* ---- a run -------------------------------------------------------------------------------- */

struct gr_federation; /* opaque: data, model, trainer, aggregator, server state */

/* Collective. Loads data, makes the model, holds the roll call. config borrowed. */
gr_status gr_federation_create(struct gr_comm *comm, const struct gr_config *config,
                               struct gr_federation **out) GR_CHECKED;
void gr_federation_free(struct gr_federation *federation); /* Collective */

/*
 * Collective. One round as in the design: select, train, close the roster, reduce, step. Rounds
 * count from 1. metrics is filled on every rank, but for update_norm, which rank 0 alone has.
 * stop: non-zero once this process has got a signal, looked at when its silos have trained; may be
 * NULL. *stopped: whether any rank's was.
 */
gr_status gr_federation_round(struct gr_federation *federation, const volatile int *stop,
                              bool *stopped, struct gr_metrics *metrics) GR_CHECKED;

/* Rounds completed. */
uint32_t gr_federation_rounds_done(const struct gr_federation *federation);
/* The state to be stored, with pointers into the federation. */
void gr_federation_state(struct gr_federation *federation, struct gr_state *out);
/* After a checkpoint has been read into the vectors of gr_federation_state. */
void gr_federation_resume(struct gr_federation *federation, uint32_t rounds_done);

/* For the manifest: borrowed. */
const char *gr_federation_architecture(const struct gr_federation *federation);
/* GR_DIGEST_BYTES: over every silo's rows and labels, the same for any placement. */
const unsigned char *gr_federation_fingerprint(const struct gr_federation *federation);
const int32_t *gr_federation_hosts(const struct gr_federation *federation);

/* What a whole run was asked to do. */
struct gr_run_options {
    const char *run_path; /* --run, or NULL */
    bool resume;
    const char *config_text;  /* the config as given, for config.yaml; rank 0 */
    FILE *progress;           /* rank 0; NULL: silent */
    const volatile int *stop; /* becomes non-zero when a signal came; may be NULL */
};

/*
 * Collective. The whole main job: run directory, rounds, checkpoints, model, report. GR_STOPPED
 * after a signal, with a checkpoint of the last round finished.
 */
gr_status gr_run(struct gr_comm *comm, const struct gr_config *config,
                 const struct gr_run_options *options) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
