/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door: reductions of values of silos, each as a named release, with the rules that withhold
 * and the ledger of all that has left. In a study a site keeps a journal of it as well.
 *
 * A release leaves only if the table lists it for the config (release_table.c), so `granary
 * releases` cannot promise less than happens. Values are noted in the ledger before they leave,
 * since a reduction that a loss ends may have passed them on.
 */
#include <granary/release.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cohort/cohort_parts.h"
#include "cohort/masked_page.h"
#include "cohort/sum_noise.h"
#include "config/privacy_plan.h"
#include "privacy/sensitivity.h"
#include "store/lanes.h"

struct gr_door {
    struct gr_comm *comm;           /* borrowed */
    const struct gr_config *config; /* borrowed */
    /* By number; what has left since the ledger was last closed. */
    struct gr_release_entry ledger[GR_RELEASES_MAX];
    uint64_t failures;          /* that comm had carried then */
    struct gr_journal *journal; /* borrowed; NULL: none */
    /* Vectors that have been added one by one, for the journal. */
    struct gr_digest running;
    bool adding;
    unsigned char added[GR_DIGEST_BYTES]; /* once the sum has begun */
    /* Secure sums. */
    struct gr_masking *masking;   /* NULL: none; owned */
    bool bare;                    /* nothing of silos is in the integers that follow */
    struct gr_masked_page page;   /* of integers */
    struct gr_masked_sum *update; /* the latest of updates; owned */
    uint32_t round;               /* of which it is, or is to be */
    unsigned char model[GR_DIGEST_BYTES];
    unsigned char total[GR_DIGEST_BYTES]; /* of the last that was opened, as it was masked */
    bool digested;                        /* it is that of `update` */
    uint32_t charged;                     /* the round whose sum was, and was not opened; 0: none */
    /* Noise of sums of updates. */
    enum gr_noise_place noise_place;
    struct gr_sum_deviations deviations; /* of what one process adds, or one party */
    struct gr_sum_noise noise;
    struct gr_door_charge charge;
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
    if (!door) return;
    gr_masked_free(door->update);
    gr_masked_page_release(&door->page);
    gr_masking_free(door->masking);
    gr_sum_noise_release(&door->noise);
    gr_free(door);
}

gr_status gr_door_mask(struct gr_door *door, const int32_t *host_of) {
    if (!door->config->secure.aggregation) return GR_OK;
    return gr_masking_create(door->comm, door->config, host_of, &door->masking);
}

gr_status gr_door_join(struct gr_door *door, const struct gr_door_party *party) {
    return door->masking ? gr_masking_join(door->masking, party) : GR_OK;
}

void gr_door_name_run(struct gr_door *door, const char *run_id) {
    if (door->masking) gr_digest_of(run_id, strlen(run_id), door->masking->run);
}

const unsigned char *gr_door_total(const struct gr_door *door) {
    return door->total;
}

bool gr_door_masks(const struct gr_door *door) {
    return door->masking != NULL;
}

bool gr_door_suffices(const struct gr_door *door) {
    return !door->masking || gr_masking_suffices(door->masking);
}

bool gr_door_can_update(const struct gr_door *door) {
    return gr_door_suffices(door) &&
           (!door->masking || gr_masking_check_difference(door->masking) == GR_OK);
}

void gr_door_bare(struct gr_door *door) {
    door->bare = true;
}

enum { WORK_BITS = 32 }; /* behind those of a work's number */

void gr_door_begin(struct gr_door *door, enum gr_door_work work, uint32_t number) {
    door->bare = false;
    gr_masked_page_turn(&door->page, (uint64_t)work << WORK_BITS | number);
}

gr_status gr_door_forget(struct gr_door *door, bool *told) {
    *told = false;
    return door->masking ? gr_masked_page_forget(&door->page, door->comm, told) : GR_OK;
}

void gr_door_set_journal(struct gr_door *door, struct gr_journal *journal) {
    door->journal = journal;
}

/* ---- the ledger ----------------------------------------------------------------------------- */

/* Attempts that fail count as well. */
static void count(struct gr_door *door, enum gr_release id, size_t n) {
    struct gr_release_entry *entry = &door->ledger[id];
    entry->times++;
    entry->values += n;
}

/* digest: of `bytes` bytes as they were given to the door; NULL: they were not. */
static gr_status write_down(struct gr_door *door, enum gr_release id, size_t n, size_t bytes,
                            const unsigned char *digest, const char *how) {
    if (!door->journal) return GR_OK;
    const struct gr_journal_release release = {.id = (int)id,
                                               .name = gr_release_row(id)->name,
                                               .values = n,
                                               .bytes = bytes,
                                               .digest = digest,
                                               .how = how};
    return gr_journal_add(door->journal, &release);
}

/* `n` values of one release. A journal that cannot be written tells so at the end of the round. */
void gr_release_note(struct gr_door *door, enum gr_release id, size_t n) {
    count(door, id, n);
    (void)!write_down(door, id, n, 0, NULL, "as it is, in a message or a file");
}

/* Before the values leave: into the journal, and then into the ledger. way: they are taken to the
 * ranks, "plain sum over". */
static gr_status let_out(struct gr_door *door, enum gr_release id, size_t n, const void *values,
                         size_t bytes, const char *way) {
    gr_status status = GR_OK;
    char how[96];
    unsigned char digest[GR_DIGEST_BYTES];
    if (door->journal) {
        gr_digest_of(values, bytes, digest);
        snprintf(how, sizeof how, "%s %d ranks", way, gr_comm_size(door->comm));
        status = write_down(door, id, n, bytes, digest, how);
    }
    if (status == GR_OK) count(door, id, n);
    return status;
}

/* Error messages leave by gr_comm_agree and not by the door, so comm counts them. */
struct gr_release_entry gr_door_entry(const struct gr_door *door, enum gr_release id) {
    if (id != GR_RELEASE_ERRORS) return door->ledger[id];
    const uint64_t n = gr_comm_failures(door->comm) - door->failures;
    return (struct gr_release_entry){n, n};
}

gr_status gr_door_note_failures(struct gr_door *door) {
    const struct gr_release_entry entry = gr_door_entry(door, GR_RELEASE_ERRORS);
    if (entry.times == 0) return GR_OK;
    return write_down(door, GR_RELEASE_ERRORS, entry.values, 0, NULL,
                      "text without values, rows and paths");
}

/* After the ledger has gone into the events. */
void gr_door_close_ledger(struct gr_door *door) {
    memset(door->ledger, 0, sizeof door->ledger);
    door->failures = gr_comm_failures(door->comm);
}

/* The same on all ranks, for it depends on the config alone: so none is left waiting in a
 * reduction. */
static gr_status check_listed(const struct gr_door *door, enum gr_release id) {
    if (gr_release_leaves(id, door->config)) return GR_OK;
    return gr_fail(GR_ERROR_INTERNAL,
                   "release %d is to leave, and the table does not list it for this config",
                   (int)id);
}

/* ---- reductions ----------------------------------------------------------------------------- */

/* Collective. */
static gr_status sum_masked(struct gr_door *door, uint32_t id, int64_t *values, size_t n) {
    return gr_masked_page_sum(&door->page, door->masking, id, values, n);
}

gr_status gr_release_sum(struct gr_door *door, enum gr_release id, int64_t *values, size_t n) {
    if (n == 0) return GR_OK;
    const bool masked = door->masking && !door->bare && gr_release_secure(id) != GR_SECURE_AS_IT_IS;
    gr_status status = check_listed(door, id);
    if (status != GR_OK) return status;
    /* Before the sum: a try that a loss ends may have passed values to others. */
    status = let_out(door, id, n, values, n * sizeof *values,
                     masked ? "masked sum over" : "plain sum over");
    if (status != GR_OK) return status;
    return masked ? sum_masked(door, (uint32_t)id, values, n)
                  : gr_comm_sum_int64(door->comm, values, n);
}

/* Bits have no maximum that could be masked, but a sum, of which is kept whether it is 0. */
static gr_status any_masked(struct gr_door *door, enum gr_release id, int64_t *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        values[i] = values[i] != 0;
    const gr_status status = sum_masked(door, (uint32_t)id, values, n);
    for (size_t i = 0; i < n; i++)
        values[i] = values[i] != 0;
    return status;
}

gr_status gr_release_max(struct gr_door *door, enum gr_release id, int64_t *values, size_t n) {
    if (n == 0) return GR_OK;
    gr_status status = check_listed(door, id);
    if (status != GR_OK) return status;
    const bool masked = door->masking && gr_release_secure(id) != GR_SECURE_AS_IT_IS;
    if (masked && gr_release_secure(id) != GR_SECURE_BITS)
        return gr_fail(GR_ERROR_INTERNAL, "release %d has no maximum behind masks", (int)id);
    status = let_out(door, id, n, values, n * sizeof *values,
                     masked ? "whether any, by a masked sum over" : "maximum over");
    if (status != GR_OK) return status;
    return masked ? any_masked(door, id, values, n) : gr_comm_max_int64(door->comm, values, n);
}

/* ---- counts of rows ------------------------------------------------------------------------- */

/* Of a count, in how many silos it is from 1 to below the threshold, and in how many not below. */
enum { FEW, ENOUGH, MARKS };

/* A count of 0 leaves no mark: a silo without such rows is not told apart from one without data. */
static void mark_counts(const struct gr_door *door, const int64_t *counts, size_t n_silos, size_t n,
                        int64_t *marks) {
    const int64_t threshold = door->config->data.disclosure_threshold;
    for (size_t i = 0; i < n_silos * n; i++)
        if (counts[i] > 0) marks[i % n * MARKS + (counts[i] < threshold ? FEW : ENOUGH)]++;
}

/*
 * By its marks alone: 0: in no silo; GR_RELEASE_SOME: perhaps of few rows, or of few silos; 1: the
 * sum may be told. A sum is not of few rows if some silo has enough by itself, or as many silos as
 * the threshold have a row each.
 */
static int64_t weigh_marks(const struct gr_door *door, const int64_t marks[MARKS]) {
    const int64_t threshold = door->config->data.disclosure_threshold;
    const int64_t silos = marks[FEW] + marks[ENOUGH];
    if (silos == 0) return 0;
    return (marks[ENOUGH] > 0 || marks[FEW] >= threshold) && silos >= gr_policy_silos(door->config)
               ? 1
               : GR_RELEASE_SOME;
}

/* A small rest gives persons away as a small count does: whoever knows the number of rows
 * subtracts. */
static void withhold_most(int64_t *told, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (told[i] > 0 && told[n + i] == GR_RELEASE_SOME) told[i] = GR_RELEASE_MOST;
}

/* Collective. marks: 2 n x MARKS, zeros; told: all that is to be told but the sums. */
static gr_status weigh_counts(struct gr_door *door, enum gr_release id, const int64_t *counts,
                              const int64_t *rests, size_t n_silos, size_t n, int64_t *marks,
                              int64_t *told) {
    mark_counts(door, counts, n_silos, n, marks);
    mark_counts(door, rests, n_silos, n, marks + n * MARKS);
    gr_status status = gr_release_sum(door, id, marks, 2 * n * MARKS);
    if (status != GR_OK) return status;
    for (size_t i = 0; i < 2 * n; i++)
        told[i] = weigh_marks(door, marks + i * MARKS);
    withhold_most(told, n);
    return GR_OK;
}

/* Collective. The sums of a table that all read, of which small ones are told to nobody else. Rests
 * are cut at the threshold, since only whether they are small is wanted. */
static gr_status sum_all(struct gr_door *door, enum gr_release id, const int64_t *counts,
                         const int64_t *rests, size_t n_silos, size_t n, int64_t *told) {
    const int64_t threshold = door->config->data.disclosure_threshold;
    memset(told, 0, 2 * n * sizeof *told);
    for (size_t i = 0; i < n_silos * n; i++) {
        told[i % n] += counts[i];
        told[n + i % n] += rests[i] < threshold ? rests[i] : threshold;
    }
    gr_status status = gr_release_sum(door, id, told, 2 * n);
    if (status != GR_OK) return status;
    for (size_t i = 0; i < 2 * n; i++)
        if (told[i] > 0 && told[i] < threshold) told[i] = GR_RELEASE_SOME;
    for (size_t i = n; i < 2 * n; i++)
        if (told[i] > 0) told[i] = 1;
    withhold_most(told, n);
    return GR_OK;
}

/* For the journal: how many counts do not leave. */
static gr_status withhold_counts(struct gr_door *door, enum gr_release id, const int64_t *told,
                                 size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        kept += told[i] == GR_RELEASE_SOME || told[i] == GR_RELEASE_MOST;
    if (!door->journal || kept == 0) return GR_OK;
    const struct gr_journal_release release = {.id = (int)id,
                                               .name = gr_release_row(id)->name,
                                               .values = kept,
                                               .how = "of too few rows or silos"};
    return gr_journal_withhold(door->journal, &release);
}

/*
 * In two steps, so that a count which is to be withheld never leaves its silo, not even into a sum:
 * first the marks, then the sums of the counts that may be told. All ranks find the same ones, for
 * marks are sums over all.
 */
gr_status gr_release_counts(struct gr_door *door, enum gr_release id, const int64_t *counts,
                            const int64_t *rests, size_t n_silos, size_t n, int64_t *told) {
    int64_t *marks = NULL, *sums;
    gr_status status = GR_OK;
    if (n == 0) return GR_OK;
    if (!gr_policy_holds(door->config)) return sum_all(door, id, counts, rests, n_silos, n, told);
    GR_TRY(gr_comm_agree(door->comm,
                         gr_allocate_zero(2 * n * MARKS, sizeof *marks, "the door", &marks)));
    GR_TRY(weigh_counts(door, id, counts, rests, n_silos, n, marks, told));
    sums = marks; /* they have been read */
    memset(sums, 0, n * sizeof *sums);
    for (size_t i = 0; i < n_silos * n; i++)
        if (told[i % n] == 1) sums[i % n] += counts[i];
    GR_TRY(withhold_counts(door, id, told, n));
    GR_TRY(gr_release_sum(door, id, sums, n));
    for (size_t i = 0; i < n; i++)
        if (told[i] == 1) told[i] = sums[i];
out:
    gr_free(marks);
    return status;
}

/* ---- texts ---------------------------------------------------------------------------------- */

/* Ends of texts among n bytes. */
static size_t count_texts(const char *bytes, size_t n) {
    size_t ends = 0;
    for (size_t i = 0; i < n; i++)
        ends += bytes[i] == '\0';
    return ends;
}

/* The size is agreed on before a byte of text travels, so a limit that is exceeded is refused on
 * all ranks with nothing told. */
gr_status gr_release_text(struct gr_door *door, enum gr_release id, const char *mine, size_t n,
                          size_t limit, char **texts, size_t *total) {
    struct gr_gathered all = {0};
    int64_t bytes = (int64_t)n;
    gr_status status, ended = GR_OK;
    *texts = NULL;
    *total = 0;
    if (n > 0 && mine[n - 1] != '\0')
        ended = gr_fail(GR_ERROR_INTERNAL, "a text that is to leave has no end");
    GR_TRY(gr_comm_agree(door->comm, ended));
    GR_TRY(check_listed(door, id));
    GR_TRY(gr_comm_sum_public(door->comm, &bytes, 1));
    if (bytes == 0) goto out;
    if ((uint64_t)bytes > limit)
        return gr_fail(GR_ERROR_DATA,
                       "%s: found %lld bytes of text in all silos, expected at most "
                       "%zu",
                       gr_release_row(id)->name, (long long)bytes, limit);
    /* Before they leave, as for a sum; how many there are is known afterwards. */
    GR_TRY(let_out(door, id, 0, mine, n, "text, as it is, to"));
    GR_TRY(gr_comm_gather(door->comm, mine, n, limit, &all));
    *total = all.begin[gr_comm_size(door->comm)];
    door->ledger[id].values += count_texts((const char *)all.bytes, *total);
    *texts = (char *)all.bytes;
    all.bytes = NULL;
out:
    gr_gathered_release(&all);
    return status;
}

/* ---- whether sums may be known -------------------------------------------------------------- */

/* Where the policy does not hold (all ranks read one table) every sum may be known. */
bool gr_release_suffices(const struct gr_door *door, struct gr_release_basis all) {
    return !gr_policy_holds(door->config) || (all.silos >= gr_policy_silos(door->config) &&
                                              all.rows >= door->config->data.disclosure_threshold);
}

/* Each rank's rows are cut at the threshold before they are summed: the sum tells whether there are
 * enough, and little more. Also agrees on `mine`, and costs no exchange more than that would. */
gr_status gr_release_allows(struct gr_door *door, gr_status mine,
                            const struct gr_release_basis *basis, bool *allowed, size_t n) {
    enum { FAILED, ASKED, SUMS = ASKED + 2 * GR_RELEASES_ASKED_MAX };
    const uint64_t rows = door->config->data.disclosure_threshold;
    int64_t all[SUMS] = {mine != GR_OK};
    gr_status status = GR_OK;
    if (n > GR_RELEASES_ASKED_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "the door was asked for %zu sums at once", n);
    for (size_t i = 0; i < n; i++) {
        all[ASKED + 2 * i] = basis[i].silos;
        all[ASKED + 2 * i + 1] = (int64_t)(basis[i].rows < rows ? basis[i].rows : rows);
        allowed[i] = true;
    }
    if (!gr_policy_holds(door->config) || mine == GR_LOST) return gr_comm_agree(door->comm, mine);
    if (door->masking) {
        GR_TRY(gr_comm_agree(door->comm, mine));
        GR_TRY(sum_masked(door, 0, all + ASKED, 2 * n));
    } else {
        GR_TRY(gr_comm_sum_public(door->comm, all, ASKED + 2 * n));
        if (all[FAILED] > 0) GR_TRY(gr_comm_agree(door->comm, mine));
    }
    for (size_t i = 0; i < n; i++) {
        const struct gr_release_basis of = {.silos = (uint32_t)all[ASKED + 2 * i],
                                            .rows = (uint64_t)all[ASKED + 2 * i + 1]};
        allowed[i] = gr_release_suffices(door, of);
    }
out:
    return status;
}

/* ---- updates -------------------------------------------------------------------------------- */

/* Vectors of a contribution. */
static size_t vectors_of(const struct gr_door *door) {
    const struct gr_strategy *strategy = gr_strategy_find(door->config->strategy.name);
    return strategy->n_sent > 1 ? strategy->n_sent : 1;
}

/* n: floats of a contribution, in all its vectors. */
static void add_to_digest(const struct gr_door *door, struct gr_digest *digest,
                          const struct gr_contribution *contribution, size_t n) {
    const size_t vectors = vectors_of(door);
    for (size_t v = 0; v < vectors; v++)
        gr_digest_add_chunks(digest, contribution->vector[v], n / vectors * sizeof(float));
}

/* Once its vectors are in the sum nobody has them any more. */
gr_status gr_release_add(struct gr_door *door, struct gr_aggregator *aggregator,
                         struct gr_contribution *contribution, int headroom, size_t n) {
    if (door->journal && !door->adding) gr_digest_start(&door->running);
    if (door->journal) add_to_digest(door, &door->running, contribution, n);
    door->adding = door->journal != NULL;
    return gr_aggregate_add(aggregator, contribution, headroom);
}

/* Of this rank's silos, in their order. A sum that is repeated after a loss has the same. */
static void digest_updates(struct gr_door *door, const struct gr_contribution *mine, size_t n_mine,
                           size_t n, unsigned char out[GR_DIGEST_BYTES]) {
    struct gr_digest digest;
    if (n_mine > 0 && !mine[0].update) {
        if (door->adding) gr_digest_finish(&door->running, door->added);
        door->adding = false;
        memcpy(out, door->added, GR_DIGEST_BYTES);
        return;
    }
    gr_digest_start(&digest);
    for (size_t i = 0; i < n_mine; i++)
        add_to_digest(door, &digest, &mine[i], n);
    gr_digest_finish(&digest, out);
}

/* Of a rank without a silo in the round nothing leaves. */
static gr_status write_updates(struct gr_door *door, const struct gr_contribution *mine,
                               size_t n_mine, uint32_t n_members, size_t n, bool combined) {
    char how[96];
    unsigned char digest[GR_DIGEST_BYTES];
    if (!door->journal || n_mine == 0) return GR_OK;
    digest_updates(door, mine, n_mine, n, digest);
    snprintf(how, sizeof how,
             combined        ? "of each silo by itself, in slices, of %u silos"
             : door->masking ? "masked sum over %u silos%s"
                             : "plain sum over %u silos%s",
             n_members, door->deviations.update > 0 ? ", with noise" : "");
    return write_down(door, combined ? GR_RELEASE_UPDATE_SLICES : GR_RELEASE_UPDATE,
                      combined ? n_mine * n : n, n_mine * n * sizeof(float), digest, how);
}

/* GR_STOPPED, with its message, unless that cannot be written down. */
static gr_status withhold_update(struct gr_door *door, size_t n, const char *how) {
    const struct gr_journal_release release = {.id = GR_RELEASE_UPDATE,
                                               .name = gr_release_row(GR_RELEASE_UPDATE)->name,
                                               .values = n,
                                               .how = how};
    if (door->journal && gr_journal_withhold(door->journal, &release) != GR_OK)
        return GR_ERROR_WRITE;
    return GR_STOPPED;
}

/* ---- noise ----------------------------------------------------------------------------------- */

/* Of the noise's deviation that of so many shares of it, in a sum of so many parties. */
static double part_of(const struct gr_door *door, uint32_t shares, uint32_t parties) {
    if (!door->masking || door->noise_place != GR_NOISE_SHARED) return 1;
    return sqrt((double)shares / gr_privacy_sufficient_shares(door->config, parties));
}

void gr_door_set_noise(struct gr_door *door, enum gr_noise_place place,
                       struct gr_sum_deviations deviations) {
    door->noise_place = place;
    door->deviations = deviations;
}

/* There is the more of it the fewer parties are there. */
double gr_door_noise(const struct gr_door *door) {
    const uint32_t fewest =
        door->masking ? gr_secure_threshold(door->config, door->masking->n_parties) : 1;
    return door->deviations.update * part_of(door, fewest, fewest);
}

void gr_door_set_charge(struct gr_door *door, struct gr_door_charge charge) {
    door->charge = charge;
}

/* A seed is drawn where no noise is added, too: it says that the sum is another. */
static gr_status charge_sum(const struct gr_door *door) {
    if (!(door->deviations.update > 0) || !door->charge.charge) return GR_OK;
    return door->charge.charge(door->charge.context, door->round, door->noise.seed,
                               sizeof door->noise.seed);
}

/*
 * Before the seal: from then on the others can open a sum without a party that is lost, which could
 * not be charged any more. One that a loss ends before is never opened, and its charge holds for
 * the next of the round.
 */
static gr_status charge_masked(struct gr_door *door) {
    if (door->charged == door->round) return GR_OK;
    const gr_status status = charge_sum(door);
    if (status == GR_OK) door->charged = door->round;
    return status;
}

/* Where rounding lifts the norm of an update it is cut by as much; that is to be little. */
gr_status gr_door_check_noise(const struct gr_door *door, const struct gr_aggregator *aggregator,
                              uint32_t n_members, size_t n) {
    uint64_t bound;
    if (!(door->deviations.update > 0)) return GR_OK;
    const int exponent = gr_aggregate_exponent(aggregator, n_members, &bound);
    /* The least share is that of a sum of all parties. */
    const double of_all = part_of(door, 1, door->masking ? door->masking->n_parties : 1),
                 steps = ldexp(door->deviations.update * of_all, -exponent),
                 lift = sqrt((double)n) / 2;
    if (!(steps >= GR_NOISE_STEPS_MIN))
        return gr_fail(GR_ERROR_CONFIG,
                       "privacy.noise_multiplier: noise of %.3g steps of the grid of sums, allowed "
                       "at least %g: a larger one, aggregation.encoding ring64, or fewer silos",
                       steps, GR_NOISE_STEPS_MIN);
    if (!((double)bound >= 16 * lift))
        return gr_fail(GR_ERROR_CONFIG,
                       "privacy.clip_norm: %llu steps of the grid of sums, allowed at least %.0f "
                       "for %zu parameters: aggregation.encoding ring64, or fewer silos",
                       (unsigned long long)bound, 16 * lift, n);
    return GR_OK;
}

/* ---- updates behind masks -------------------------------------------------------------------- */

void gr_door_trained(struct gr_door *door, uint32_t round,
                     const unsigned char model[GR_DIGEST_BYTES]) {
    door->round = round;
    memcpy(door->model, model, sizeof door->model);
}

/* Riders, then the words of all vectors behind the room for them. */
static struct gr_stream_range range_of(struct gr_stage_key key, size_t width, size_t n) {
    enum { BEHIND_RIDERS = 128 };
    return (struct gr_stream_range){.position = key.riders ? 0 : BEHIND_RIDERS + key.at * width,
                                    .bits = (uint32_t)(8 * width),
                                    .n = n};
}

/* Noise comes first: what is behind masks has it too. */
static void pass_update(void *context, struct gr_stage_key key, void *words, size_t width,
                        size_t n) {
    struct gr_door *door = context;
    gr_sum_noise_add(&door->noise, key, words, width, n);
    if (door->masking) gr_masked_add(door->update, range_of(key, width, n), words);
}

static void take_masks_off(void *context, struct gr_stage_key key, void *words, size_t width,
                           size_t n) {
    const struct gr_cohort *cohort = context;
    gr_masked_remove(cohort->door->update, range_of(key, width, n), words);
}

static void inject_midway(void *context) {
    struct gr_cohort *cohort = context;
    gr_inject_fault(cohort, cohort->door->round, GR_POINT_UNMASKING);
}

struct gr_stage gr_door_stage(struct gr_door *door) {
    const bool passes = door->masking || door->deviations.update > 0;
    return (struct gr_stage){
        .apply = passes ? pass_update : NULL, .context = door, .stays = !door->masking};
}

/* model: NULL: silos do not train on one; then its digest is 0. */
static struct gr_masked_options update_of(uint32_t round,
                                          const unsigned char model[GR_DIGEST_BYTES]) {
    struct gr_masked_options options = {.release = GR_RELEASE_UPDATE, .round = round};
    if (model) memcpy(options.model, model, sizeof options.model);
    return options;
}

void gr_door_foresee(struct gr_door *door, const struct gr_door_foreseen *foreseen, size_t n,
                     const unsigned char *model) {
    struct gr_masked_options next[GR_FORESEEN_MAX];
    if (!door->masking) return;
    if (n > GR_FORESEEN_MAX) n = GR_FORESEEN_MAX;
    for (size_t i = 0; i < n; i++)
        next[i] =
            foreseen[i].release == GR_RELEASE_UPDATE
                ? update_of(foreseen[i].round, model)
                : gr_masked_page_place((uint64_t)GR_WORK_ROUND << WORK_BITS | foreseen[i].round, 0,
                                       foreseen[i].place, foreseen[i].release);
    gr_masked_expect(door->masking, next, n);
}

void gr_door_forget_keys(struct gr_door *door) {
    if (door->masking) gr_masked_forget_keys(door->masking);
}

/* Not collective. This rank's noise for a sum that begins; its failure is agreed on in the sum. */
static gr_status make_noise(struct gr_door *door, const struct gr_aggregator *aggregator,
                            const struct gr_roster *roster) {
    gr_status status = GR_OK;
    struct gr_comm *comm = door->comm;
    uint64_t bound;
    const int exponent = gr_aggregate_exponent(aggregator, roster->n_members, &bound);
    int root = 0;
    const bool shared = door->noise_place == GR_NOISE_SHARED;
    /* Of a process with several parties' shares the sum is what one draw brings. */
    const double part = shared ? part_of(door, gr_party_set_count(&door->update->own),
                                         door->update->terms.n_parties)
                               : gr_comm_rank(comm) == 0;
    while (gr_comm_rank_of(comm, root) != 0)
        root++;
    GR_TRY(gr_sum_noise_measure(
        &door->noise,
        (struct gr_sum_deviations){.update = ldexp(door->deviations.update * part, -exponent),
                                   .tally = door->deviations.tally * part}));
    status = gr_sum_noise_draw(&door->noise, roster, root);
out:
    return status;
}

/*
 * Collective. A sum that a loss has ended was never opened, and never will be: its masks are
 * forgotten, and the one over those who are left has others. takes_part: this rank's status.
 */
static gr_status total_masked(struct gr_door *door, gr_status takes_part,
                              struct gr_aggregator *aggregator, const struct gr_contribution *mine,
                              size_t n_mine, const struct gr_roster *roster) {
    gr_status status = GR_OK;
    const struct gr_masked_options options = update_of(door->round, door->model);
    gr_masked_free(door->update);
    door->update = NULL;
    door->digested = false;
    GR_TRY(gr_masked_begin(door->masking, &options, &door->update));
    gr_masked_fail(door->update, takes_part);
    if (door->deviations.update > 0)
        gr_masked_fail(door->update, make_noise(door, aggregator, roster));
    GR_TRY(gr_aggregate_total(aggregator, mine, n_mine, roster->n_members));
    if (gr_masked_status(door->update) == GR_OK) gr_masked_fail(door->update, charge_masked(door));
    status = gr_masked_agree(door->masking, gr_masked_status(door->update));
out:
    return status;
}

/* Collective. Others read words of a sum as soon as it has begun, so it counts whatever becomes of
 * it. */
static gr_status total_noised(struct gr_door *door, struct gr_aggregator *aggregator,
                              const struct gr_contribution *mine, size_t n_mine,
                              const struct gr_roster *roster) {
    gr_status status = GR_OK, ready = make_noise(door, aggregator, roster);
    door->round = roster->round;
    if (ready == GR_OK) ready = charge_sum(door);
    GR_TRY(gr_comm_agree(door->comm, ready));
    status = gr_aggregate_total(aggregator, mine, n_mine, roster->n_members);
out:
    return status;
}

static void digest_total(const struct gr_aggregator *aggregator,
                         unsigned char out[GR_DIGEST_BYTES]) {
    struct gr_digest digest;
    size_t n, bytes;
    const int64_t *riders = gr_aggregate_riders(aggregator, &n);
    const void *words = gr_aggregate_words(aggregator, &bytes);
    gr_digest_start(&digest);
    gr_digest_add(&digest, riders, n * sizeof *riders);
    gr_digest_add_chunks(&digest, words, bytes);
    gr_digest_finish(&digest, out);
}

/* Of those who have opened it before a loss all masks are off, and their signatures are brought
 * again. A member without the sum would have to be told of how many parties it is: there is none
 * today, for whoever asks to be taken in waits while a loss is recovered from. */
gr_status gr_release_open(struct gr_cohort *cohort, struct gr_aggregator *aggregator, bool needs,
                          bool again) {
    enum { NEEDED, PARTIES, FACTS };
    gr_status status = GR_OK;
    bool all;
    struct gr_door *door = cohort->door;
    const struct gr_stage remove = {
        .apply = take_masks_off, .context = cohort, .midway = inject_midway};
    int64_t facts[FACTS] = {needs, door->update ? door->update->terms.n_parties : 0};
    if (!door->masking) return GR_OK;
    if (again) GR_TRY(gr_comm_max_public(door->comm, facts, FACTS));
    if (!facts[NEEDED]) return GR_OK;
    if (facts[PARTIES] < GR_SECURE_PARTIES_MIN || facts[PARTIES] > GR_SECURE_PARTIES_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "a masked sum of %lld parties",
                       (long long)facts[PARTIES]);
    /* Before the first try: one that a loss has ended may have taken masks off a part. */
    if (needs && !door->digested) digest_total(aggregator, door->total);
    door->digested = door->digested || needs;
    if (needs) gr_masked_note_parties(door->masking, door->update);
    if (needs) door->charged = 0;
    GR_TRY(gr_masked_open(door->masking, door->update, again ? (uint32_t)facts[PARTIES] : 0,
                          door->total, &all));
    if (needs)
        status =
            (again ? gr_aggregate_unstage : gr_aggregate_unstage_together)(aggregator, &remove);
out:
    return status;
}

/* A sum of fewer silos than policy.minimum_silos does not begin: GR_STOPPED, for the round is void
 * and more silos may be there later. */
gr_status gr_release_update(struct gr_door *door, struct gr_aggregator *aggregator,
                            const struct gr_contribution *mine, size_t n_mine,
                            const struct gr_roster *roster, size_t n) {
    const uint32_t least = gr_policy_silos(door->config), n_members = roster->n_members;
    const bool combined = gr_strategy_find(door->config->strategy.name)->combine != NULL;
    gr_status status = GR_OK, takes_part = GR_OK;
    if (n_members < least) {
        (void)gr_fail(GR_STOPPED, "%u silos are ready, policy.minimum_silos is %u", n_members,
                      least);
        return withhold_update(door, n, "fewer silos than policy.minimum_silos");
    }
    if (door->masking) takes_part = gr_masking_check_difference(door->masking);
    if (takes_part != GR_OK)
        takes_part = withhold_update(door, n, "by policy.roster_difference of the site");
    else
        status = write_updates(door, mine, n_mine, n_members, n, combined);
    if (status != GR_OK) return status;
    if (combined) {
        count(door, GR_RELEASE_UPDATE_SLICES, n_members * n);
    } else {
        const struct gr_aggregation_config *aggregation = &door->config->aggregation;
        if (aggregation->encoding != GR_ENCODING_FLOAT32 && aggregation->grid == GR_GRID_AGREED)
            gr_release_note(door, GR_RELEASE_UPDATE_EXPONENTS,
                            (n + GR_RING_BLOCK - 1) / GR_RING_BLOCK);
        count(door, GR_RELEASE_UPDATE, n);
    }
    status = door->masking ? total_masked(door, takes_part, aggregator, mine, n_mine, roster)
             : door->deviations.update > 0
                 ? total_noised(door, aggregator, mine, n_mine, roster)
                 : gr_aggregate_total(aggregator, mine, n_mine, n_members);
    door->adding = false; /* where the sum has added them again, on another grid */
    return status;
}
