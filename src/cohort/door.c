/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door: reductions of values of silos, each as a named release, with the rules that withhold
 * and the ledger of what has left.
 */
#include <granary/release.h>

#include <string.h>

struct gr_door {
    struct gr_comm *comm;           /* borrowed */
    const struct gr_config *config; /* borrowed */
    /* By number; what has left since the ledger was last closed. */
    struct gr_release_entry ledger[GR_RELEASES_MAX];
    uint64_t failures; /* that comm had carried then */
};

gr_status gr_door_create(struct gr_comm *comm, const struct gr_config *config,
                         struct gr_door **out) {
    gr_status status = gr_allocate_zero(1, sizeof **out, "the door", out);
    if (status != GR_OK) return status;
    (*out)->comm = comm;
    (*out)->config = config;
    return GR_OK;
}

void gr_door_free(struct gr_door *door) {
    gr_free(door);
}

/* ---- the ledger ----------------------------------------------------------------------------- */

void gr_release_note(struct gr_door *door, enum gr_release id, size_t n) {
    struct gr_release_entry *entry = &door->ledger[id];
    entry->times++;
    entry->values += n;
}

struct gr_release_entry gr_door_entry(const struct gr_door *door, enum gr_release id) {
    if (id != GR_RELEASE_ERRORS) return door->ledger[id];
    const uint64_t n = gr_comm_failures(door->comm) - door->failures;
    return (struct gr_release_entry){n, n};
}

void gr_door_close_ledger(struct gr_door *door) {
    memset(door->ledger, 0, sizeof door->ledger);
    door->failures = gr_comm_failures(door->comm);
}

/* The same on all ranks. */
static gr_status check_listed(const struct gr_door *door, enum gr_release id) {
    if (gr_release_leaves(id, door->config)) return GR_OK;
    return gr_fail(GR_ERROR_INTERNAL,
                   "release %d is to leave, and the table does not list it for this config",
                   (int)id);
}

/* ---- reductions ----------------------------------------------------------------------------- */

gr_status gr_release_sum(struct gr_door *door, enum gr_release id, int64_t *values, size_t n) {
    if (n == 0) return GR_OK;
    gr_status status = check_listed(door, id);
    if (status != GR_OK) return status;
    /* Before the sum: a try that a loss ends may have passed values to others. */
    gr_release_note(door, id, n);
    return gr_comm_sum_int64(door->comm, values, n);
}

gr_status gr_release_max(struct gr_door *door, enum gr_release id, int64_t *values, size_t n) {
    if (n == 0) return GR_OK;
    gr_status status = check_listed(door, id);
    if (status != GR_OK) return status;
    gr_release_note(door, id, n);
    return gr_comm_max_int64(door->comm, values, n);
}

gr_status gr_release_allows(struct gr_door *door, const uint32_t *silos, bool *allowed, size_t n) {
    const int64_t least = gr_policy_silos(door->config);
    int64_t all[GR_RELEASES_ASKED_MAX] = {0};
    gr_status status = GR_OK;
    if (n > GR_RELEASES_ASKED_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "the door was asked for %zu sums at once", n);
    for (size_t i = 0; i < n; i++)
        all[i] = silos[i];
    if (least >= 2) status = gr_comm_sum_public(door->comm, all, n);
    for (size_t i = 0; i < n; i++)
        allowed[i] = least < 2 || all[i] >= least;
    return status;
}

gr_status gr_release_update(struct gr_door *door, struct gr_aggregator *aggregator,
                            const struct gr_contribution *mine, size_t n_mine, uint32_t n_members,
                            size_t n) {
    const uint32_t least = gr_policy_silos(door->config);
    if (n_members < least)
        return gr_fail(GR_STOPPED, "%u silos are ready, policy.minimum_silos is %u", n_members,
                       least);
    if (gr_strategy_find(door->config->strategy.name)->combine) {
        gr_release_note(door, GR_RELEASE_UPDATE_SLICES, n_members * n);
    } else {
        const struct gr_aggregation_config *aggregation = &door->config->aggregation;
        if (aggregation->encoding != GR_ENCODING_FLOAT32 && aggregation->grid == GR_GRID_AGREED)
            gr_release_note(door, GR_RELEASE_UPDATE_EXPONENTS,
                            (n + GR_RING_BLOCK - 1) / GR_RING_BLOCK);
        gr_release_note(door, GR_RELEASE_UPDATE, n);
    }
    return gr_aggregate_total(aggregator, mine, n_mine, n_members);
}
