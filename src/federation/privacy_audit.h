/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit of a config's private steps, on a silo's table: as a run would train on it, but alone,
 * with canaries, and with nothing kept or charged.
 */
#ifndef GRANARY_FEDERATION_PRIVACY_AUDIT_H
#define GRANARY_FEDERATION_PRIVACY_AUDIT_H

#include <granary/comm.h>
#include <granary/config.h>

#include "privacy/accounting.h"
#include "train/private_audit.h"

struct gr_privacy_audit {
    char pseudonym[24];          /* of the silo: the first that this process can read */
    size_t n_rows;               /* that it trains on */
    uint64_t steps;              /* of all rounds */
    struct gr_epsilon accounted; /* for add_remove, after all rounds */
    struct gr_private_audit found;
};

/*
 * Not collective: comm is of one rank. Trains all rounds of the config twice, for one silo. Errors:
 * GR_ERROR_USAGE: more ranks than one; GR_ERROR_CONFIG: rows are not what is protected; as of
 * gr_federation_create and of gr_private_audit.
 */
gr_status gr_privacy_audit(struct gr_comm *comm, const struct gr_config *config, uint32_t canaries,
                           double confidence, struct gr_privacy_audit *out) GR_CHECKED;

#endif
