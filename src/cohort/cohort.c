/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cohort's parts: made together, by all ranks, and released together.
 *
 * Silos are placed by slot and not by rank: a slot is a process's number for the whole run, so a
 * silo stays with the process that has its table when ranks are numbered anew after a loss.
 */
#include "cohort/cohort_parts.h"

#include <sodium.h>
#include <string.h>

#include "privacy/secret_draw.h"

/* Of a study: the silos of a site, in blocks on its own job's ranks, for nobody else has their
 * tables. */
static void find_hosts_of_site(struct gr_cohort *cohort, uint32_t site) {
    const struct gr_config *config = cohort->config;
    int ranks;
    const int first = gr_comm_party_slots(cohort->comm, site, &ranks);
    uint32_t n = 0, found = 0;
    for (uint32_t i = 0; i < config->silos_count; i++)
        n += config->silos[i].site == site;
    for (uint32_t i = 0; i < config->silos_count; i++)
        if (config->silos[i].site == site)
            cohort->host_of[i] = first + (int32_t)((uint64_t)found++ * (uint64_t)ranks / n);
}

/* Which slot hosts which silo. Every rank computes the whole map, as placement depends on the
 * config and the number of slots alone. */
static void find_hosts(struct gr_cohort *cohort) {
    const uint32_t parties = gr_comm_parties(cohort->comm);
    for (uint32_t site = 1; site < parties; site++)
        find_hosts_of_site(cohort, site);
    if (parties > 1) return;
    const int slots = gr_comm_slots(cohort->comm);
    for (int slot = 0; slot < slots; slot++) {
        size_t n = 0;
        gr_place_silos(cohort->config->run.placement, cohort->config->data.silos, slot, slots,
                       cohort->placed, &n);
        for (size_t i = 0; i < n; i++)
            cohort->host_of[cohort->placed[i]] = slot;
    }
}

/*
 * Every rank learns how many rows each silo has: only where the config says so, and has a use for
 * it. Collective.
 */
static gr_status share_sizes(struct gr_cohort *cohort) {
    if (!cohort->sizes) return GR_OK;
    for (size_t i = 0; i < cohort->data->n_local; i++)
        if (cohort->data->local[i].unusable == GR_OK)
            cohort->sizes[cohort->data->local[i].id] = (int64_t)cohort->data->local[i].train.n_rows;
    return gr_release_sum(cohort->door, GR_RELEASE_SIZES, cohort->sizes,
                          cohort->config->data.silos);
}

/* Not collective. By the number of silos of the federation, not of this rank: findings are indexed
 * by silo. */
static gr_status allocate(struct gr_cohort *cohort) {
    const struct gr_config *config = cohort->config;
    const uint32_t n = config->data.silos;
    gr_status status = GR_OK;
    GR_TRY(gr_allocate(n, sizeof *cohort->placed, "this rank's silos", &cohort->placed));
    GR_TRY(gr_allocate_zero(n, 1, "what was heard", &cohort->heard));
    GR_TRY(gr_allocate_zero(n, sizeof *cohort->host_of, "the silos' hosts", &cohort->host_of));
    GR_TRY(gr_allocate_zero(config->faults_count, 1, "rehearsed faults", &cohort->struck));
    if (config->round.sampling == GR_SAMPLING_SIZE)
        GR_TRY(gr_allocate_zero(n, sizeof *cohort->sizes, "the silos' sizes", &cohort->sizes));
    GR_TRY(gr_roster_create(n, &cohort->roster));
out:
    return status;
}

gr_status gr_cohort_create(struct gr_comm *comm, const struct gr_config *config,
                           struct gr_cohort **out) {
    gr_status status = GR_OK;
    struct gr_cohort *cohort = NULL;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *cohort, "a cohort", &cohort));
    cohort->comm = comm;
    cohort->config = config;
    GR_TRY(gr_door_create(comm, config, &cohort->door));
    GR_TRY(allocate(cohort));
    GR_TRY(gr_door_mask(cohort->door, cohort->host_of));
    gr_control_expect(comm, config->data.silos);
    find_hosts(cohort);
    gr_control_hosts(comm, cohort->host_of);
    *out = cohort;
    cohort = NULL;
out:
    gr_cohort_free(cohort);
    return status;
}

/* A shallow copy: pointers in it stay the caller's. */
void gr_cohort_set_options(struct gr_cohort *cohort, const struct gr_cohort_options *options) {
    cohort->options = *options;
}

double gr_cohort_epsilon_most(const struct gr_cohort *cohort) {
    return cohort->options.epsilon_most;
}

/* All that an earlier load has found, so that a load repeated after a loss begins anew; `heard`
 * stays, so that a terminal is told of a silo once. */
static void forget(struct gr_cohort *cohort) {
    const uint32_t n = cohort->config->data.silos;
    gr_data_free(cohort->data);
    gr_free(cohort->reasons);
    gr_free(cohort->found);
    gr_free(cohort->withheld);
    gr_free(cohort->categories);
    gr_free(cohort->held);
    gr_free(cohort->class_counts);
    cohort->data = NULL;
    cohort->reasons = NULL;
    cohort->found = NULL;
    cohort->withheld = NULL;
    cohort->n_withheld = 0;
    cohort->categories = NULL;
    cohort->held = NULL;
    cohort->class_counts = NULL;
    cohort->empty_classes = false;
    cohort->n_unusable = 0;
    if (cohort->sizes) memset(cohort->sizes, 0, n * sizeof *cohort->sizes);
}

/* The order is fixed by what each step needs: tables are read and compared first; preprocessing is
 * fitted on rows as read and turns them into features; codes and weights are found in features. */
gr_status gr_cohort_load(struct gr_cohort *cohort) {
    gr_status status = GR_OK;
    forget(cohort);
    gr_inject_fault(cohort, 0, GR_POINT_LOAD);
    GR_TRY(gr_tables_load(cohort));
    gr_inject_fault(cohort, 0, GR_POINT_FIT);
    GR_TRY(gr_cohort_preprocess(cohort, cohort->options.preprocessing));
    GR_TRY(gr_codes_find(cohort));
    status = gr_terms_agree(cohort);
out:
    return status;
}

/* Placed on a slot that is no member any more, or left out by the caller, whose flags may be the
 * same ones: each is read before it is set. */
void gr_cohort_missing(const struct gr_cohort *cohort, struct gr_flags *silos) {
    for (uint32_t i = 0; i < cohort->config->data.silos; i++)
        gr_flags_set(silos, i,
                     gr_comm_rank_of(cohort->comm, cohort->host_of[i]) < 0 ||
                         (cohort->options.without && cohort->options.without[i]));
    gr_flags_sort(silos);
}

/* Unusable silos come first, for none of the sums counts them. Classes come after the weights, as a
 * class's count is the sum of its rows' scaled weights. */
gr_status gr_cohort_count(struct gr_cohort *cohort) {
    gr_status status;
    GR_TRY(gr_unusable_count(cohort));
    GR_TRY(gr_unusable_share(cohort));
    GR_TRY(gr_classes_find_held(cohort));
    GR_TRY(share_sizes(cohort));
    gr_cohort_scale_weights(cohort);
    GR_TRY(gr_terms_sum_lost(cohort));
    gr_inject_fault(cohort, 0, GR_POINT_COUNT);
    GR_TRY(gr_classes_find_empty(cohort));
    status = gr_classes_count(cohort);
out:
    return status;
}

void gr_cohort_free(struct gr_cohort *cohort) {
    if (!cohort) return;
    gr_control_hosts(cohort->comm, NULL);
    forget(cohort);
    if (cohort->secrets)
        sodium_memzero(cohort->secrets, (size_t)cohort->config->data.silos * GR_SECRET_BYTES);
    gr_free(cohort->secrets);
    gr_free(cohort->heard);
    gr_free(cohort->struck);
    gr_free(cohort->sizes);
    gr_free(cohort->host_of);
    gr_free(cohort->placed);
    gr_door_free(cohort->door);
    gr_roster_release(&cohort->roster);
    gr_free(cohort);
}

/* ---- respawned ------------------------------------------------------------------------------ */

/* Facts that a respawned rank is told beside the state; sent as it lies in memory, since all ranks
 * are of one build (the handshake). */
struct cohort_outline {
    uint32_t n_unusable;
    uint64_t n_test;
    int64_t test_total[GR_DIGEST_WORDS];
    int64_t kind[GR_KIND_WORDS];
    struct gr_run_data run_data;
};

/*
 * A respawned rank without the test table is one that has not read its share yet: it is dealt anew
 * in the next evaluation, as to all. Where the members have none it has none either.
 */
static gr_status take_test(struct gr_cohort *cohort, size_t n_test) {
    gr_status status = GR_OK, unused;
    if (cohort->data->n_test != n_test) {
        unused = gr_fail(GR_ERROR_DATA, "the members have %zu test rows", n_test);
        (void)unused;
        status = gr_data_drop_test(cohort->data);
    }
    if (status != GR_OK || n_test == 0) return status;
    if (cohort->data->test_why) cohort->share_size = 0;
    gr_free(cohort->data->test_why);
    cohort->data->test_why = NULL;
    cohort->data->n_test = n_test;
    return GR_OK;
}

/* Collective: of members and respawned ranks alike, by the same broadcasts in the same order. Only
 * a respawned rank can find itself not to fit; it then leaves, and the members find it missing. */
static gr_status share_outline(struct gr_cohort *cohort) {
    gr_status status = GR_OK;
    struct cohort_outline outline = {.n_unusable = cohort->n_unusable,
                                     .n_test = cohort->data->n_test,
                                     .run_data = cohort->run_data};
    gr_tables_kind(cohort->data, outline.kind);
    memcpy(outline.test_total, cohort->test_total, sizeof outline.test_total);
    GR_TRY(gr_comm_broadcast(cohort->comm, &outline, sizeof outline));
    memcpy(cohort->test_total, outline.test_total, sizeof cohort->test_total);
    cohort->test_known = true;
    if (!gr_tables_take_kind(cohort->data, outline.kind) ||
        cohort->data->n_classes > outline.kind[GR_KIND_CLASSES])
        return gr_fail(
            GR_ERROR_DATA, "found %zu features, %u classes, expected %lld, of one shape, %lld",
            cohort->data->n_features, cohort->data->n_classes,
            (long long)outline.kind[GR_KIND_FEATURES], (long long)outline.kind[GR_KIND_CLASSES]);
    cohort->data->n_classes = (uint32_t)outline.kind[GR_KIND_CLASSES];
    GR_TRY(take_test(cohort, (size_t)outline.n_test));
    cohort->n_unusable = outline.n_unusable;
    cohort->run_data = outline.run_data;
    if (cohort->sizes)
        GR_TRY(gr_comm_broadcast(cohort->comm, cohort->sizes,
                                 cohort->config->data.silos * sizeof *cohort->sizes));
    GR_TRY(gr_comm_broadcast(cohort->comm, &cohort->terms, sizeof cohort->terms));
    GR_TRY(gr_codes_share(cohort));
    GR_TRY(gr_classes_share(cohort));
out:
    return status;
}

gr_status gr_cohort_welcome(struct gr_cohort *cohort) {
    gr_status status = gr_cohort_share_preprocessing(cohort, false);
    return status == GR_OK ? share_outline(cohort) : status;
}

/* Tables first, without a collective: it takes longest, and the members wait only for the
 * broadcasts. */
gr_status gr_cohort_join(struct gr_cohort *cohort) {
    gr_status status = GR_OK;
    GR_TRY(gr_tables_read(cohort));
    GR_TRY(gr_cohort_share_preprocessing(cohort, true));
    status = share_outline(cohort);
out:
    return status;
}

/* ---- parts ------------------------------------------------------------------------------------
 */

struct gr_door *gr_cohort_door(const struct gr_cohort *cohort) {
    return cohort->door;
}

struct gr_comm *gr_cohort_comm(const struct gr_cohort *cohort) {
    return cohort->comm;
}

const struct gr_config *gr_cohort_config(const struct gr_cohort *cohort) {
    return cohort->config;
}

struct gr_data *gr_cohort_data(const struct gr_cohort *cohort) {
    return cohort->data;
}

bool gr_cohort_tells_rows(const struct gr_cohort *cohort) {
    return gr_masked_sums_are_due(cohort);
}

const int32_t *gr_cohort_hosts(const struct gr_cohort *cohort) {
    return cohort->host_of;
}

const int64_t *gr_cohort_sizes(const struct gr_cohort *cohort) {
    return cohort->sizes;
}

const int64_t *gr_cohort_categories(const struct gr_cohort *cohort) {
    return cohort->categories;
}

const struct gr_row_terms *gr_cohort_terms(const struct gr_cohort *cohort) {
    return &cohort->terms;
}

const struct gr_run_data *gr_cohort_run_data(const struct gr_cohort *cohort) {
    return &cohort->run_data;
}

uint32_t gr_cohort_uncompared(const struct gr_cohort *cohort) {
    return cohort->n_uncompared;
}
