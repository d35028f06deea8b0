/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a federation, shared by the files of this room. */
#ifndef GRANARY_FEDERATION_PARTS_H
#define GRANARY_FEDERATION_PARTS_H

#include <granary/data.h>
#include <granary/evaluate.h>
#include <granary/federation.h>
#include <granary/model.h>
#include <granary/train.h>

struct gr_federation {
    struct gr_comm *comm;           /* borrowed */
    const struct gr_config *config; /* borrowed */
    const struct gr_strategy *strategy;
    struct gr_data *data;
    struct gr_model *model;
    struct gr_trainer *trainer;
    struct gr_aggregator *aggregator;
    const struct gr_layout *layout; /* the model's */
    char *architecture;
    int32_t *host_of; /* rank of each silo */

    float *parameters; /* the global model, the same on every rank */
    float *server[GR_SERVER_VECTORS_MAX];
    uint32_t *silo_rounds; /* rounds each silo took part in, the same on every rank */
    uint32_t rounds_done;

    /* Of one round. Updates are made when first needed: as many as silos of this rank train in one
     * round, for the grid of the sum is not known before all have trained. */
    float **update; /* data->n_local pointers */
    struct gr_contribution *contribution;
    size_t n_contributions;
    uint8_t *selected; /* n_silos flags */
    struct gr_roster roster;
    uint64_t bytes_sent;                        /* up to the last round */
    unsigned char fingerprint[GR_DIGEST_BYTES]; /* of all silos' rows */
};

#endif
