/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stretch of a run has cost: time on its nodes, bytes by the link that they took, energy.
 * Each process counts its own; at the end they are added up over those that are there.
 */
#include "federation/run.h"

/* Seconds between two readings of the counters of energy. */
static const double take_s = 5;

/*
 * A host is read by the first of its ranks. Of a private run it is not, since work that depends on
 * rows shows in it; nor where ranks_per_node makes several nodes of a host, which would count
 * twice.
 */
void gr_costs_begin(struct gr_run_state *run) {
    run->costs = (struct gr_costs){.joules = -1};
    run->costs_begun_s = gr_clock_seconds();
    run->energy = (struct gr_energy){.why_not = "it is not told of a private run"};
    if (gr_is_private(run->config) || gr_comm_parties(run->comm) > 1) return;
    run->energy.why_not = "aggregation.ranks_per_node makes several nodes of a host";
    if (run->config->aggregation.ranks_per_node > 0) return;
    run->energy.why_not = "the host is read by another rank";
    if (gr_comm_leads_node(run->comm)) gr_energy_open(&run->energy, GR_ENERGY_ROOT);
}

void gr_costs_take(struct gr_run_state *run) {
    if (run->energy.n > 0 && gr_clock_seconds() - run->energy.taken_s > take_s)
        gr_energy_take(&run->energy);
}

/* Between institutions nothing is added up: the coordinator tells its own. */
gr_status gr_costs_sum(struct gr_run_state *run) {
    gr_status status = GR_OK;
    struct gr_comm_bytes bytes;
    struct gr_costs *costs = &run->costs;
    enum { RANKS, INSIDE, BETWEEN, PARTIES, CONTROL, ENERGY, ENERGY_NODES, VALUES };
    gr_comm_bytes(run->comm, &bytes);
    gr_energy_take(&run->energy);
    int64_t values[VALUES] = {[RANKS] = 1,
                              [INSIDE] = (int64_t)bytes.inside_nodes,
                              [BETWEEN] = (int64_t)bytes.between_nodes,
                              [PARTIES] = (int64_t)bytes.between_parties,
                              [CONTROL] = (int64_t)bytes.control,
                              [ENERGY] = (int64_t)run->energy.microjoules,
                              [ENERGY_NODES] = run->energy.n > 0};
    if (gr_comm_parties(run->comm) == 1) GR_TRY(gr_comm_sum_public(run->comm, values, VALUES));
    costs->known = true;
    costs->hosts = gr_comm_hosts(run->comm);
    costs->ranks = (int)values[RANKS];
    costs->seconds = gr_clock_seconds() - run->costs_begun_s;
    costs->bytes = (struct gr_comm_bytes){.inside_nodes = (uint64_t)values[INSIDE],
                                          .between_nodes = (uint64_t)values[BETWEEN],
                                          .between_parties = (uint64_t)values[PARTIES],
                                          .control = (uint64_t)values[CONTROL]};
    costs->energy_nodes = (int)values[ENERGY_NODES];
    costs->joules = costs->energy_nodes > 0 ? 1e-6 * (double)values[ENERGY] : -1;
    costs->no_energy = costs->energy_nodes > 0 ? NULL : run->energy.why_not;
out:
    return status;
}
