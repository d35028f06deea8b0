/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The silos' tables are read, each rank those of its slot and its share of the test table, and all
 * ranks find out whether their rows are of one kind.
 */
#include "cohort/cohort_parts.h"

#include <stdio.h>
#include <string.h>

/* The shape of rows as integers, which maxima over ranks can compare; all 0 where there are no
 * rows. */
void gr_tables_kind(const struct gr_data *data, int64_t kind[GR_KIND_WORDS]) {
    kind[GR_KIND_CLASSES] = data->n_classes;
    kind[GR_KIND_FEATURES] = (int64_t)data->n_features;
    kind[GR_KIND_N_DIMS] = (int64_t)data->n_dims;
    for (size_t i = 0; i < GR_TENSOR_DIMS_MAX; i++)
        kind[GR_KIND_DIMS + i] = (int64_t)data->shape[i];
}

/* A rank without rows takes the shape; with rows it has to have the same. Classes are not compared:
 * silos may lack some. */
bool gr_tables_take_kind(struct gr_data *data, const int64_t kind[GR_KIND_WORDS]) {
    int64_t own[GR_KIND_WORDS];
    if (data->n_features == 0) {
        data->n_features = (size_t)kind[GR_KIND_FEATURES];
        data->n_dims = (size_t)kind[GR_KIND_N_DIMS];
        for (size_t i = 0; i < GR_TENSOR_DIMS_MAX; i++)
            data->shape[i] = (size_t)kind[GR_KIND_DIMS + i];
    }
    gr_tables_kind(data, own);
    return memcmp(own + GR_KIND_FEATURES, kind + GR_KIND_FEATURES,
                  (GR_KIND_WORDS - GR_KIND_FEATURES) * sizeof *own) == 0;
}

/* Takes the silos that the cohort goes without out of `placed`; returns how many are left. */
static size_t leave_out(struct gr_cohort *cohort, size_t n) {
    const uint8_t *without = cohort->options.without;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!without || !without[cohort->placed[i]]) cohort->placed[kept++] = cohort->placed[i];
    return kept;
}

/* Silos of this rank's slot into `placed`; how many. Where the sites of a study have the tables,
 * the map of hosts says which. */
static size_t find_placed(struct gr_cohort *cohort) {
    const struct gr_config *config = cohort->config;
    const int slot = gr_comm_slot(cohort->comm);
    size_t n = 0;
    if (gr_comm_parties(cohort->comm) == 1)
        gr_place_silos(config->run.placement, config->data.silos, slot, gr_comm_slots(cohort->comm),
                       cohort->placed, &n);
    else
        for (uint32_t i = 0; i < config->data.silos; i++)
            if (cohort->host_of[i] == slot) cohort->placed[n++] = i;
    return n;
}

/*
 * Not collective. Reads the silos of this rank's slot, and the rank's share of the test table,
 * which is dealt by rank so that it is scored whole when slots are empty. shape: as `given` says.
 * An unreadable table of a silo's own is noted in the silo; only failures of tables that all read
 * are returned.
 */
static gr_status read_share(struct gr_cohort *cohort, const struct gr_share *given) {
    struct gr_share share = *given;
    share.n_silos = cohort->config->data.silos;
    share.silos = cohort->placed;
    share.test_index = (uint32_t)gr_comm_rank(cohort->comm);
    share.test_count = (uint32_t)gr_comm_size(cohort->comm);
    share.n_local = leave_out(cohort, find_placed(cohort));
    cohort->share_rank = gr_comm_rank(cohort->comm);
    cohort->share_size = gr_comm_size(cohort->comm);
    return gr_data_load(cohort->config, &share, &cohort->data);
}

/*
 * Collective. A table that all read must be the same for all: of two copies each rank would train
 * on its own. Silos' own tables are theirs alone.
 */
static gr_status compare_tables(struct gr_cohort *cohort) {
    gr_status status = GR_OK;
    char names[GR_NAMES_BYTES];
    for (size_t i = 0; i < GR_COMMON_TABLES; i++) {
        const unsigned char *digest = cohort->data->common_digest[i];
        /* A run that goes on may be without its test table, on all ranks then. */
        if (i == GR_COMMON_TEST && cohort->data->test_why) continue;
        GR_TRY(gr_comm_name_unlike(cohort->comm, digest, GR_DIGEST_BYTES, names));
        if (names[0])
            return gr_fail(GR_ERROR_DATA,
                           "data: %s: found other rows in the shared tables than rank 0: their "
                           "hosts have other copies of the files",
                           names);
    }
out:
    return status;
}

/* Collective. Where one rank cannot read the test table of a run that goes on, nobody scores it. */
static gr_status agree_on_test(struct gr_cohort *cohort) {
    int64_t missing = cohort->data->test_why != NULL;
    gr_status status = gr_comm_max_public(cohort->comm, &missing, 1), unused;
    if (status != GR_OK || missing == 0 || cohort->data->test_why) return status;
    unused = gr_fail(GR_ERROR_DATA, "another rank cannot read it");
    (void)unused;
    return gr_data_drop_test(cohort->data);
}

/* Silos of a rank are in ascending order, so this is the lowest. */
static const struct gr_silo *first_usable(const struct gr_data *data) {
    for (size_t i = 0; i < data->n_local; i++)
        if (data->local[i].unusable == GR_OK) return &data->local[i];
    return NULL;
}

/*
 * Collective. Where each silo has a table of its own and there is none for the test, the usable
 * silo with the lowest number says what shape rows have, wherever it is placed; ranks that took
 * another silo's read theirs again, so that silos of another shape sit out on any rank. Otherwise
 * placement would decide which silos are usable. Columns are compared elsewhere (table_contract.c).
 */
static gr_status agree_shape(struct gr_cohort *cohort) {
    const int64_t nobody = -(INT64_C(1) << 40);
    const struct gr_silo *first = first_usable(cohort->data);
    int64_t lowest = first && !cohort->data->columns ? -(int64_t)first->id : nobody,
            shape[GR_KIND_WORDS];
    gr_status status = GR_OK, mine = GR_OK;
    if (!cohort->data->silo_tables || cohort->data->n_test > 0) return GR_OK;
    GR_TRY(gr_comm_max_public(cohort->comm, &lowest, 1));
    const bool says = first && lowest == -(int64_t)first->id;
    for (size_t i = 0; i < GR_KIND_WORDS; i++)
        shape[i] = -1;
    if (says) gr_tables_kind(cohort->data, shape);
    GR_TRY(gr_release_max(cohort->door, GR_RELEASE_SHAPE, shape, GR_KIND_WORDS));
    if (lowest == nobody || !first || cohort->data->columns ||
        gr_tables_take_kind(cohort->data, shape))
        goto agreed;
    struct gr_share share = {.n_dims = (size_t)shape[GR_KIND_N_DIMS],
                             .test_optional = cohort->options.resumed};
    for (size_t i = 0; i < share.n_dims; i++)
        share.shape[i] = (size_t)shape[GR_KIND_DIMS + i];
    gr_data_free(cohort->data);
    cohort->data = NULL;
    mine = read_share(cohort, &share);
agreed:
    status = gr_comm_agree(cohort->comm, mine);
out:
    return status;
}

/* Collective. Names into `words` the silos that bring bad data, and of a study the sites that are
 * not here: "bad data of north (silo-001); not here: south". No more is told of either. */
static gr_status name_lacking(struct gr_cohort *cohort, char *words, size_t size) {
    gr_status status = GR_OK;
    const uint32_t n = cohort->config->data.silos, parties = gr_comm_parties(cohort->comm);
    char name[24];
    int64_t *bad = NULL;
    size_t used = 0, away = 0;
    words[0] = '\0';
    GR_TRY(gr_comm_agree(cohort->comm, gr_allocate_zero(n, sizeof *bad, "silos", &bad)));
    for (size_t i = 0; i < cohort->data->n_local; i++)
        bad[cohort->data->local[i].id] = cohort->data->local[i].unusable != GR_OK;
    GR_TRY(gr_release_sum(cohort->door, GR_RELEASE_UNUSABLE, bad, n));
    for (uint32_t i = 0; i < n && used < size; i++) {
        if (bad[i] == 0) continue;
        gr_silo_pseudonym(i, name);
        const char *given = i < cohort->config->silos_count ? cohort->config->silos[i].name : "";
        used += (size_t)snprintf(words + used, size - used, "%s%s%s%s%s",
                                 used > 0 ? ", " : "bad data of ", given, given[0] ? " (" : "",
                                 name, given[0] ? ")" : "");
    }
    for (uint32_t party = 1; party < parties && used < size; party++) {
        int ranks, first = gr_comm_party_slots(cohort->comm, party, &ranks);
        if (gr_comm_rank_of(cohort->comm, first) >= 0) continue;
        used += (size_t)snprintf(words + used, size - used, "%s%s",
                                 away++ > 0 ? ", "
                                 : used > 0 ? "; not here: "
                                            : "not here: ",
                                 gr_comm_party_name(cohort->comm, party));
    }
out:
    gr_free(bad);
    return status;
}

/* Collective. Too few silos for any sum of theirs: nothing of their rows is added up. */
static gr_status refuse_few(struct gr_cohort *cohort) {
    char lacking[GR_NAMES_BYTES];
    const uint32_t least = gr_policy_silos(cohort->config);
    int64_t usable = 0;
    for (size_t i = 0; i < cohort->data->n_local; i++)
        usable += cohort->data->local[i].unusable == GR_OK;
    if (least < 2) return GR_OK;
    gr_status status = gr_comm_sum_public(cohort->comm, &usable, 1);
    if (status != GR_OK || usable == 0 || usable >= least) return status;
    status = name_lacking(cohort, lacking, sizeof lacking);
    if (status != GR_OK) return status;
    /* Of a study: those that are away may come. */
    const bool wait = gr_comm_parties(cohort->comm) > 1 &&
                      gr_comm_size(cohort->comm) < gr_comm_slots(cohort->comm);
    char words[GR_NAMES_BYTES + 256];
    snprintf(words, sizeof words,
             "%s%sfound %lld silo%s with data that can be read, expected at least %u "
             "(policy.minimum_silos): sums of fewer show what is theirs",
             lacking, lacking[0] ? "; " : "", (long long)usable, usable == 1 ? "" : "s", least);
    /* But for those that have left for a reason which waiting does not mend. */
    if (wait) GR_TRY(gr_comm_agree(cohort->comm, gr_comm_refused(cohort->comm, words)));
    status = gr_fail(wait ? GR_STOPPED : GR_ERROR_DATA, "%s", words);
out:
    return status;
}

static gr_status refuse_ranks(int ranks, uint32_t silos, const char *whose) {
    return gr_fail(GR_ERROR_USAGE,
                   "%s%sfound %d ranks for %u silos, expected at most one rank for a silo", whose,
                   whose[0] ? ": " : "", ranks, silos);
}

/* The same on all ranks of a job. In a study the coordinator's have no silos, and each site fails
 * by itself. */
static gr_status check_ranks(const struct gr_cohort *cohort) {
    const struct gr_config *config = cohort->config;
    const uint32_t site = gr_comm_party(cohort->comm, gr_comm_slot(cohort->comm));
    uint32_t silos = 0;
    int ranks;
    if (gr_comm_parties(cohort->comm) == 1)
        return (uint64_t)gr_comm_size(cohort->comm) <= config->data.silos
                   ? GR_OK
                   : refuse_ranks(gr_comm_size(cohort->comm), config->data.silos, "");
    (void)gr_comm_party_slots(cohort->comm, site, &ranks);
    for (uint32_t i = 0; i < config->silos_count; i++)
        silos += config->silos[i].site == site;
    if (site == 0 || (uint32_t)ranks <= silos) return GR_OK;
    return refuse_ranks(ranks, silos, gr_comm_party_name(cohort->comm, site));
}

/* Not collective. Silos whose tables cannot be read bring nothing, and are not asked about. */
static gr_status ask_permission(const struct gr_cohort *cohort) {
    gr_status status = GR_OK;
    const uint32_t n = cohort->config->data.silos;
    const struct gr_cohort_options *options = &cohort->options;
    uint64_t *rows = NULL;
    if (!options->permit) return GR_OK;
    GR_TRY(gr_allocate(n, sizeof *rows, "rows of silos", &rows));
    for (uint32_t i = 0; i < n; i++)
        rows[i] = UINT64_MAX;
    for (size_t i = 0; i < cohort->data->n_local; i++) {
        const struct gr_silo *silo = &cohort->data->local[i];
        if (silo->unusable == GR_OK)
            rows[silo->id] = silo->train.n_rows + silo->validation.n_rows + silo->test.n_rows;
    }
    status = options->permit(options->permit_context, rows, n);
out:
    gr_free(rows);
    return status;
}

/* Collective. This rank's silos: placed, read, and their classes known to all. Each step ends in an
 * agreement, so that the next step's reductions are entered by all or by none. */
gr_status gr_tables_load(struct gr_cohort *cohort) {
    const struct gr_share any = {.test_optional = cohort->options.resumed};
    gr_status status = check_ranks(cohort);
    if (status == GR_OK) status = gr_schema_check_secure(cohort->config);
    status = gr_comm_agree(cohort->comm, status);
    if (status != GR_OK) return status;
    status = gr_comm_agree(cohort->comm, read_share(cohort, &any));
    if (status == GR_OK) status = gr_comm_agree(cohort->comm, ask_permission(cohort));
    if (status == GR_OK && cohort->data->n_common > 0)
        gr_release_note(cohort->door, GR_RELEASE_COMMON_TABLE, cohort->data->n_common);
    if (status == GR_OK) gr_unusable_hear(cohort);
    if (status == GR_OK) status = gr_comm_agree(cohort->comm, agree_on_test(cohort));
    if (status == GR_OK) status = compare_tables(cohort);
    if (status == GR_OK) status = agree_shape(cohort);
    /* Who has read again may have found it meanwhile. */
    if (status == GR_OK) status = gr_comm_agree(cohort->comm, agree_on_test(cohort));
    gr_inject_fault(cohort, 0, GR_POINT_COMPARE);
    if (status == GR_OK) status = gr_contract_check(cohort);
    if (status == GR_OK) status = refuse_few(cohort);
    if (status == GR_OK) status = gr_contract_sum_found(cohort);
    if (status != GR_OK) return status;

    int64_t shape[GR_KIND_WORDS];
    gr_tables_kind(cohort->data, shape);
    status = gr_release_max(cohort->door, GR_RELEASE_SHAPE, shape, GR_KIND_WORDS);
    if (status == GR_OK) status = gr_unusable_count(cohort);
    if (status != GR_OK) return status;
    cohort->data->n_classes = (uint32_t)shape[GR_KIND_CLASSES];
    if (!gr_tables_take_kind(cohort->data, shape))
        status = gr_fail(GR_ERROR_DATA,
                         "%s: found %zu features, expected %lld, of one shape, as in other silos",
                         cohort->data->n_local ? cohort->data->local[0].pseudonym : "test table",
                         cohort->data->n_features, (long long)shape[GR_KIND_FEATURES]);
    return gr_comm_agree(cohort->comm, status);
}

/* A respawned rank reads without the others; the comparison is share_outline's. */
gr_status gr_tables_read(struct gr_cohort *cohort) {
    const struct gr_share any = {.test_optional = true};
    return read_share(cohort, &any);
}

/* ---- the test table ---------------------------------------------------------------------------
 */

/* Shares go by rank and size of the epoch: after a loss the table is dealt anew at the next
 * scoring, by a rank that has another share now. *dealt: the share has other rows now. */
gr_status gr_cohort_deal_test(struct gr_cohort *cohort, bool *dealt) {
    gr_status status = GR_OK;
    const int rank = gr_comm_rank(cohort->comm), size = gr_comm_size(cohort->comm);
    *dealt = false;
    if (cohort->data->test_why) return gr_fail(GR_ERROR_DATA, "%s", cohort->data->test_why);
    if (cohort->share_rank == rank && cohort->share_size == size) return GR_OK;
    GR_TRY(gr_data_reload_test(cohort->config, (uint32_t)rank, (uint32_t)size, cohort->data));
    gr_terms_scale_test(cohort);
    cohort->share_rank = rank;
    cohort->share_size = size;
    *dealt = true;
out:
    return status;
}

/* The digest is a sum over rows and does not depend on how they are dealt. */
bool gr_cohort_test_replaced(const struct gr_cohort *cohort,
                             const int64_t digest[GR_DIGEST_WORDS]) {
    return cohort->test_known && cohort->data->n_test > 0 &&
           memcmp(digest, cohort->test_total, sizeof cohort->test_total) != 0;
}
