/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run may tell of its silos' tables, and what it has told. Each silo with a folder of its
 * own has a ledger there, over all runs; an update that is noised leaves once it is charged. How
 * many rounds fit the budget follows from ledgers and config, before anything is trained.
 */
#include "federation/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/privacy_plan.h"
#include "privacy/budget.h"
#include "privacy/ledger.h"

_Static_assert((int)GR_CHAIN_BYTES == (int)GR_LINK_BYTES, "the data's chain is the ledger's");

struct gr_spending {
    struct gr_privacy_plan plan;
    struct gr_ledger **ledger; /* n_local; owned; NULL: a silo has none */
    char run[GR_LEDGER_RUN_BYTES];
    const char *run_path; /* borrowed */
    uint32_t last_round;  /* that fits the budget of every silo */
    double before;        /* the most that earlier runs have spent of any silo: epsilon */
    double total;         /* with the rounds of this run that fit */
    /* Of sums over silos: one that a loss has ended may be taken again as another. */
    uint64_t fit;                        /* of this rank's silos, from now on */
    uint64_t taken, again;               /* on this run's way; of rounds that had one before */
    unsigned char last[GR_DIGEST_BYTES]; /* of the secret of the last */
    uint32_t last_of;                    /* its round */
    bool statistics_due;                 /* they are not in the ledgers yet */
};

/* What is to come of silos' tables, of each where it is least or most. */
struct outlook {
    uint64_t rounds;      /* that fit */
    uint64_t sums;        /* that fit, should some be taken again */
    double before, total; /* epsilon: spent, and with these rounds */
};

/* What was spent of a silo's table, in events of this run's unit. */
struct silo_past {
    struct gr_privacy_event
        event[GR_LEDGER_KINDS_MAX + 2]; /* and what this run adds beside rounds */
    struct gr_privacy_history history;
};

/* A rehearsal's private steps are of no secret, and protect nothing: see gr_secret_rehearse. */
static bool charges(const struct gr_federation *f) {
    return f->config->privacy.unit == GR_PRIVACY_SILO || !f->config->run.rehearsal;
}

/* What cannot be accounted for afterwards must not begin. Where there is a budget it ends the run
 * in time; else all rounds are to come. */
static gr_status check_plan(const struct gr_config *config, const struct gr_privacy_plan *plan) {
    struct gr_privacy_event event[3] = {plan->round};
    struct gr_privacy_history history = {plan->adjacency, event, 1};
    double added = 0;
    if (!(config->privacy.budget.epsilon > 0)) event[0].count *= plan->rounds;
    if (plan->evaluation.count > 0) event[history.n++] = plan->evaluation;
    if (plan->statistics.count > 0) event[history.n++] = plan->statistics;
    for (size_t i = 0; i < history.n; i++)
        added += (double)event[i].count * event[i].delta_added;
    gr_status status = gr_accounting_check(&history, config->privacy.budget.delta);
    if (status == GR_OK && !(added < config->privacy.budget.delta))
        status = gr_fail(GR_ERROR_CONFIG, "privacy.budget.delta: the noise's sampler adds %g to it",
                         added);
    return status == GR_OK
               ? status
               : gr_fail_context(status, "privacy.unit %s: nothing could be promised of a run: ",
                                 gr_privacy_unit_text(config->privacy.unit));
}

gr_status gr_spending_create(struct gr_federation *f) {
    struct gr_spending *spending;
    gr_status status = GR_OK;
    if (!gr_is_private(f->config)) return GR_OK;
    gr_leave_no_core_file();
    GR_TRY(gr_allocate_zero(1, sizeof *spending, "a privacy budget", &f->spending));
    spending = f->spending;
    spending->last_round = UINT32_MAX;
    spending->plan = gr_privacy_plan_of(f->config);
    /* Before there is a model, the least that it can be: with it all is looked at again. */
    GR_TRY(gr_privacy_plan_sampler(f->config, f->layout ? f->layout->n_parameters : 1,
                                   &spending->plan));
    GR_TRY(check_plan(f->config, &spending->plan));
    GR_TRY(gr_allocate_zero(f->data->n_local, sizeof(struct gr_ledger *), "ledgers",
                            &spending->ledger));
out:
    return status;
}

void gr_spending_free(struct gr_federation *f) {
    struct gr_spending *spending = f->spending;
    if (!spending) return;
    for (size_t i = 0; spending->ledger && i < f->data->n_local; i++)
        gr_ledger_close(spending->ledger[i]);
    gr_free(spending->ledger);
    gr_free(spending);
    f->spending = NULL;
}

/* ---- before the first round ------------------------------------------------------------------ */

/* Of a silo's rows as they were read. A table that is dealt needs no ledger, for its rows are
 * nobody's own; where a silo has a folder all the same, its share is known as a whole. */
static gr_status open_ledger(struct gr_federation *f, size_t local) {
    const struct gr_silo *silo = &f->data->local[local];
    const struct gr_config *config = f->config;
    unsigned char parts[GR_DIGEST_BYTES], whole[GR_CHAIN_BYTES];
    const char *directory = silo->id < config->silos_count ? config->silos[silo->id].directory : "";
    if (silo->unusable != GR_OK || (!directory[0] && config->data.silo_tables_count == 0))
        return GR_OK;
    if (!directory[0])
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: silos[%u].directory: is required with privacy.unit %s; found nothing, "
                       "expected a folder of the silo's own, for its ledger",
                       silo->pseudonym, silo->id, gr_privacy_unit_text(config->privacy.unit));
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return gr_fail(GR_ERROR_WRITE,
                       "%s: %s: a silo's folder is made, but none above it, for there may be a "
                       "ledger elsewhere",
                       directory, strerror(errno));
    gr_digest_of(silo->digest, sizeof silo->digest, parts);
    const bool own = silo->n_links > 0;
    memcpy(whole, parts, sizeof whole);
    const struct gr_ledger_table table = {own ? silo->chain : &whole, own ? silo->n_links : 1,
                                          parts};
    return gr_ledger_open(directory, &table, &f->spending->ledger[local]);
}

/* ---- the run's own note of a ledger ---------------------------------------------------------- */

/* In the run's folder for secrets: a silo's folder that was put back to an earlier state as a whole
 * is found by it when the run goes on. */
static gr_status path_of_note(const struct gr_federation *f, size_t local, char **out) {
    return gr_text_format(out, "%s/secrets/ledger-%s", f->spending->run_path,
                          f->data->local[local].pseudonym);
}

static gr_status note_seen(const struct gr_federation *f, size_t local) {
    const struct gr_head head = gr_ledger_head(f->spending->ledger[local]);
    char *path = NULL, *text = NULL;
    gr_status status;
    GR_TRY(path_of_note(f, local, &path));
    GR_TRY(gr_text_format(&text, "%" PRIu64 " %s\n", head.n, head.hash));
    status = gr_file_write(path, text, strlen(text));
out:
    gr_free(text);
    gr_free(path);
    return status;
}

/* No note is there where the run begins. */
static gr_status check_seen(const struct gr_federation *f, size_t local) {
    enum { NOTE_BYTES = 256 };
    const struct gr_ledger *ledger = f->spending->ledger[local];
    struct gr_head known = {0};
    char *path = NULL, *text = NULL;
    size_t length = 0;
    gr_status status = GR_OK;
    _Static_assert(GR_DIGEST_HEX == 65, "the digits of the format below");
    if (!ledger) return GR_OK;
    GR_TRY(path_of_note(f, local, &path));
    const bool noted = access(path, F_OK) == 0;
    if (noted) GR_TRY(gr_file_read(path, NOTE_BYTES, GR_ERROR_POLICY, &text, &length));
    if (noted && sscanf(text, "%" SCNu64 " %64[0-9a-f]", &known.n, known.hash) != 2)
        status = gr_fail(GR_ERROR_POLICY, "%s: found no number and digest of a ledger", path);
    else if (noted)
        status = gr_ledger_check(ledger, &known);
    if (status == GR_OK) status = note_seen(f, local);
out:
    gr_free(text);
    gr_free(path);
    return status;
}

static gr_status spent_of(const struct gr_federation *f, size_t local, struct silo_past *out) {
    const struct gr_spending *spending = f->spending;
    out->history =
        (struct gr_privacy_history){.adjacency = spending->plan.adjacency, .events = out->event};
    return spending->ledger[local]
               ? gr_ledger_history(spending->ledger[local], spending->plan.unit,
                                   spending->plan.adjacency, out->event, &out->history)
               : GR_OK;
}

/* Whether a silo's past is that of the silo before: it has been worked out then. */
static bool is_same(const struct silo_past *a, const struct silo_past *b) {
    return a->history.n == b->history.n &&
           memcmp(a->event, b->event, a->history.n * sizeof *a->event) == 0;
}

/* The most that may be told of a silo's table: by the config, or by the own policy of a site that
 * is stricter; 0: there is no limit. */
static double most_told(const struct gr_federation *f, bool *by_site) {
    const double most = f->config->privacy.budget.epsilon, own = gr_cohort_epsilon_most(f->cohort);
    *by_site = own > 0 && (most == 0 || own < most);
    return *by_site ? own : most;
}

static gr_status refuse_budget(const struct gr_federation *f, const char *pseudonym,
                               const struct outlook *outlook, uint64_t of) {
    const struct gr_budget_config *budget = &f->config->privacy.budget;
    bool by_site;
    const double most = most_told(f, &by_site);
    if (by_site)
        return gr_fail(GR_ERROR_POLICY,
                       "%s: policy.privacy.epsilon: %llu of %llu rounds fit the site's own %g at a "
                       "delta of %g, of which %.4g was spent before: `granary privacy ledger`",
                       pseudonym, (unsigned long long)outlook->rounds, (unsigned long long)of, most,
                       budget->delta, outlook->before);
    return gr_fail(GR_ERROR_POLICY,
                   "%s: privacy.budget: %llu of %llu rounds fit an epsilon of %g at a delta of %g, "
                   "of which %.4g was spent before; `granary privacy plan` shows what fits, and "
                   "privacy.budget.on_exhausted: stop ends the run after those",
                   pseudonym, (unsigned long long)outlook->rounds, (unsigned long long)of, most,
                   budget->delta, outlook->before);
}

/* Whether the round that was last is the last one of the run. */
static bool is_over(const struct gr_federation *f, uint32_t rounds) {
    return rounds == f->config->run.rounds || rounds == f->spending->last_round;
}

/* So many evaluations, as if all of them came before the rounds: the order of what is composed does
 * not matter. */
static void add_evaluations(const struct gr_federation *f, uint64_t count, struct silo_past *past) {
    struct gr_privacy_event event = f->spending->plan.evaluation;
    if (event.count == 0 || count == 0) return;
    event.count = count;
    past->event[past->history.n++] = event;
}

/* Once for a run. */
static void add_statistics(const struct gr_federation *f, struct silo_past *past) {
    const struct gr_privacy_event event = f->spending->plan.statistics;
    if (event.count > 0) past->event[past->history.n++] = event;
}

/* Before there is a model none is done. */
static uint32_t rounds_done(const struct gr_federation *f) {
    return f->server ? gr_server_rounds(f->server) : 0;
}

static struct gr_private_rounds rounds_behind(const struct gr_federation *f,
                                              const struct gr_privacy_history *before) {
    return (struct gr_private_rounds){.before = *before,
                                      .round = &f->spending->plan.round,
                                      .n = 1,
                                      .delta = f->config->privacy.budget.delta};
}

/* Of all that was spent what earlier runs have: without the statistics of this one, which come
 * before its rounds are looked for. *past: events of one kind are one. */
static void leave_out_statistics(const struct gr_federation *f, size_t local,
                                 struct silo_past *past) {
    const struct gr_ledger *ledger = f->spending->ledger[local];
    const struct gr_privacy_event *own = &f->spending->plan.statistics;
    size_t n = 0;
    const struct gr_ledger_entry *entry = ledger ? gr_ledger_entries(ledger, &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        if (entry[i].release != GR_NOISED_STATISTICS || strcmp(entry[i].run, f->spending->run) != 0)
            continue;
        for (size_t k = 0; k < past->history.n; k++) {
            struct gr_privacy_event *event = &past->event[k];
            if (event->noise_multiplier < own->noise_multiplier ||
                event->noise_multiplier > own->noise_multiplier || event->sampling < 1)
                continue;
            if (--event->count == 0) *event = past->event[--past->history.n];
            break;
        }
    }
}

/* Sums that are looked for beyond twice the rounds: losses may ask for so many more. */
enum { AGAIN = 100 };

/* The rounds that fit one silo's budget, and what earlier runs have spent. */
static gr_status find_rounds(struct gr_federation *f, size_t local, const struct silo_past *spent,
                             struct outlook *out) {
    const struct gr_budget_config *budget = &f->config->privacy.budget;
    const uint32_t done = rounds_done(f);
    const uint64_t left = f->config->run.rounds - done;
    const bool any = spent->history.n > 0;
    bool by_site;
    const double most = most_told(f, &by_site);
    struct silo_past planned = *spent, earlier = *spent;
    planned.history.events = planned.event;
    earlier.history.events = earlier.event;
    leave_out_statistics(f, local, &earlier);
    add_evaluations(f,
                    gr_privacy_evaluations(f->config, f->config->run.rounds, true) -
                        gr_privacy_evaluations(f->config, done, false),
                    &planned);
    if (f->spending->statistics_due) add_statistics(f, &planned);
    const struct gr_private_rounds ahead = rounds_behind(f, &planned.history);
    struct gr_epsilon epsilon = {0};
    gr_status status = GR_OK;
    *out = (struct outlook){.rounds = left, .sums = UINT64_MAX};
    if (earlier.history.n > 0)
        GR_TRY(gr_accounting_epsilon(&earlier.history, budget->delta, &epsilon));
    out->before = epsilon.upper;
    if (most > 0 && left > 0) GR_TRY(gr_budget_rounds(&ahead, most, 2 * left + AGAIN, &out->sums));
    out->rounds = out->sums < left ? out->sums : left;
    /* A silo with nothing left is no reason to stop all others. */
    if (out->rounds < left &&
        (by_site || out->rounds == 0 || budget->on_exhausted == GR_EXHAUSTED_REFUSE))
        return refuse_budget(f, f->data->local[local].pseudonym, out, left);
    if (any && out->rounds > 0) GR_TRY(gr_budget_account(&ahead, out->rounds, &epsilon));
    out->total = epsilon.upper;
out:
    return status;
}

static gr_status find_all_rounds(struct gr_federation *f, struct outlook *all) {
    gr_status status = GR_OK;
    struct silo_past last = {.history = {.n = SIZE_MAX}}, spent = {0};
    struct outlook own = {.rounds = UINT64_MAX, .sums = UINT64_MAX};
    for (size_t i = 0; i < f->data->n_local; i++) {
        if (f->data->local[i].unusable != GR_OK) continue;
        GR_TRY(spent_of(f, i, &spent));
        if (!is_same(&spent, &last)) GR_TRY(find_rounds(f, i, &spent, &own));
        last = spent;
        last.history.events = last.event;
        all->rounds = own.rounds < all->rounds ? own.rounds : all->rounds;
        all->sums = own.sums < all->sums ? own.sums : all->sums;
        all->before = fmax(all->before, own.before);
        all->total = fmax(all->total, own.total);
    }
out:
    return status;
}

/* The most rounds of this run that a silo here has been charged for: those behind a checkpoint that
 * were trained before it was stopped are trained again, and told twice. */
static int64_t rounds_charged(const struct gr_federation *f) {
    int64_t most = 0;
    for (size_t i = 0; i < f->data->n_local && charges(f); i++) {
        const struct gr_ledger *ledger = f->spending->ledger[i];
        size_t n = 0;
        int64_t own = 0;
        const struct gr_ledger_entry *entry = ledger ? gr_ledger_entries(ledger, &n) : NULL;
        for (size_t k = 0; k < n; k++)
            own +=
                entry[k].release == GR_NOISED_ROUND && strcmp(entry[k].run, f->spending->run) == 0;
        if (own > most) most = own;
    }
    return most;
}

/* Rank 0 has to say in evidence what was spent before, wherever the silo is. In millionths, rounded
 * up: all ranks find the same number. */
static gr_status agree_rounds(struct gr_federation *f, const struct outlook *all) {
    const uint32_t done = gr_server_rounds(f->server);
    int64_t word[4] = {-(int64_t)(all->rounds < UINT32_MAX ? all->rounds : UINT32_MAX),
                       (int64_t)fmin(ceil(all->before * 1e6), 0x1p62),
                       (int64_t)fmin(ceil(all->total * 1e6), 0x1p62), rounds_charged(f)};
    gr_status status = gr_comm_max_public(f->comm, word, 4);
    if (status != GR_OK) return status;
    const int64_t last = (int64_t)done - word[0];
    f->spending->last_round = last < UINT32_MAX ? (uint32_t)last : UINT32_MAX;
    f->spending->before = (double)word[1] * 1e-6;
    f->spending->total = (double)word[2] * 1e-6;
    f->spending->again = word[3] > (int64_t)done ? (uint64_t)(word[3] - (int64_t)done) : 0;
    return GR_OK;
}

/* A gr_door_charge's: a sum over silos is charged to each of them that is in it. */
static gr_status charge_sum(void *context, uint32_t round, const unsigned char *secret, size_t n) {
    struct gr_federation *f = context;
    struct gr_spending *spending = f->spending;
    unsigned char digest[GR_DIGEST_BYTES];
    gr_digest_of(secret, n, digest);
    if (memcmp(digest, spending->last, sizeof digest) != 0) {
        if (spending->taken == spending->fit)
            return gr_fail(GR_ERROR_POLICY,
                           "privacy.budget: round %u: its sum is to be taken again after a loss, "
                           "and no further one fits an epsilon of %g at a delta of %g",
                           round, f->config->privacy.budget.epsilon,
                           f->config->privacy.budget.delta);
        /* Both would be of the same draw of rows, which sampling does not account for. */
        if (gr_training_is_private(f->config) && round == spending->last_of)
            return gr_fail(GR_ERROR_POLICY,
                           "round %u: its sum is to be taken again after a loss, of the same rows",
                           round);
        spending->taken++;
        spending->again += round == spending->last_of;
        spending->last_of = round;
        memcpy(spending->last, digest, sizeof digest);
    }
    return gr_training_charge(f, secret, n);
}

gr_status gr_spending_begin(struct gr_federation *f, const char *run_id, const char *run_path) {
    gr_status status = GR_OK, mine = GR_OK;
    struct outlook all = {.rounds = UINT64_MAX, .sums = UINT64_MAX};
    if (!f->spending) return GR_OK;
    snprintf(f->spending->run, sizeof f->spending->run, "%s", run_id);
    gr_door_set_charge(gr_cohort_door(f->cohort), (struct gr_door_charge){charge_sum, f});
    f->spending->run_path = run_path;
    for (size_t i = 0; i < f->data->n_local && mine == GR_OK && charges(f); i++) {
        mine = open_ledger(f, i);
        if (mine == GR_OK) mine = check_seen(f, i);
    }
    if (mine == GR_OK) mine = find_all_rounds(f, &all);
    GR_TRY(gr_comm_agree(f->comm, mine));
    f->spending->fit = all.sums;
    f->spending->taken = 0;
    GR_TRY(agree_rounds(f, &all));
    if (f->spending->last_round == gr_server_rounds(f->server) &&
        f->config->run.rounds > f->spending->last_round)
        status = gr_fail(GR_ERROR_POLICY,
                         "privacy.budget: no further round fits an epsilon of %g at a delta of %g",
                         f->config->privacy.budget.epsilon, f->config->privacy.budget.delta);
out:
    return status;
}

/* ---- in a round ------------------------------------------------------------------------------ */

/* The secret stands for the bytes: of one secret, one silo and one round comes one update, and of
 * another the counts of one evaluation. */
static gr_status charge(struct gr_federation *f, size_t local, uint32_t round,
                        enum gr_noised_release release, const struct gr_privacy_event *event,
                        const unsigned char *secret, size_t n_secret) {
    const struct gr_spending *spending = f->spending;
    if (!spending->ledger[local]) return GR_OK;
    struct gr_ledger_entry entry = {.release = release,
                                    .round = round,
                                    .unit = spending->plan.unit,
                                    .adjacency = spending->plan.adjacency,
                                    .mechanism = GR_MECHANISM_DISCRETE_GAUSSIAN,
                                    .event = *event};
    if (release == GR_NOISED_ROUND) {
        entry.correlation = spending->plan.correlation;
        entry.bands = spending->plan.bands;
    }
    snprintf(entry.run, sizeof entry.run, "%s", spending->run);
    gr_digest_of(secret, n_secret, entry.binding);
    const gr_status status = gr_ledger_charge(spending->ledger[local], &entry);
    return status == GR_OK ? note_seen(f, local) : status;
}

gr_status gr_spending_charge(struct gr_federation *f, size_t local, uint32_t round,
                             const unsigned char *secret, size_t n_secret) {
    return f->spending ? charge(f, local, round, GR_NOISED_ROUND, &f->spending->plan.round, secret,
                                n_secret)
                       : GR_OK;
}

gr_status gr_spending_charge_scores(struct gr_federation *f, size_t local, uint32_t round,
                                    const unsigned char *secret, size_t n_secret) {
    return f->spending ? charge(f, local, round, GR_NOISED_EVALUATION,
                                &f->spending->plan.evaluation, secret, n_secret)
                       : GR_OK;
}

/* ---- statistics, before there is a model ---------------------------------------------------- */

/* Notes of ledgers stand there. */
static gr_status make_secrets_folder(const char *run_path) {
    char *path = NULL;
    gr_status status = gr_text_format(&path, "%s/secrets", run_path);
    if (status == GR_OK && mkdir(path, 0700) != 0 && errno != EEXIST)
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    gr_free(path);
    return status;
}

static bool is_charged(const struct gr_ledger *ledger, const unsigned char *secret, size_t n) {
    unsigned char binding[GR_DIGEST_BYTES];
    size_t n_entries = 0;
    const struct gr_ledger_entry *entry = ledger ? gr_ledger_entries(ledger, &n_entries) : NULL;
    gr_digest_of(secret, n, binding);
    for (size_t i = 0; i < n_entries; i++)
        if (memcmp(entry[i].binding, binding, sizeof binding) == 0) return true;
    return false;
}

/* Statistics, and at least one round behind them. */
static gr_status check_statistics(struct gr_federation *f, size_t local,
                                  const unsigned char *secret, size_t n_secret) {
    const struct gr_budget_config *budget = &f->config->privacy.budget;
    struct silo_past spent;
    struct outlook outlook;
    gr_status status = GR_OK;
    if (f->data->local[local].unusable != GR_OK) return GR_OK;
    if (charges(f)) {
        GR_TRY(open_ledger(f, local));
        GR_TRY(check_seen(f, local));
    }
    if (is_charged(f->spending->ledger[local], secret, n_secret)) return GR_OK;
    GR_TRY(spent_of(f, local, &spent));
    GR_TRY(find_rounds(f, local, &spent, &outlook));
    if (outlook.rounds == 0)
        status = gr_fail(GR_ERROR_POLICY,
                         "privacy.budget: no round fits an epsilon of %g at a delta of %g behind "
                         "privacy.statistics",
                         budget->epsilon, budget->delta);
out:
    return status;
}

/* All ledgers are looked at before the first is charged. The temporary federation has no more than
 * spending needs; ledgers are opened again, with the model, by gr_spending_begin. */
gr_status gr_spending_charge_statistics(struct gr_cohort *cohort, const char *run_id,
                                        const char *run_path, const unsigned char *secrets,
                                        size_t n_secret) {
    struct gr_federation f = {.comm = gr_cohort_comm(cohort),
                              .config = gr_cohort_config(cohort),
                              .cohort = cohort,
                              .data = gr_cohort_data(cohort)};
    gr_status status, mine;
    GR_TRY(gr_comm_agree(f.comm, gr_spending_create(&f)));
    if (!f.spending) return GR_OK;
    snprintf(f.spending->run, sizeof f.spending->run, "%s", run_id);
    f.spending->run_path = run_path;
    f.spending->statistics_due = true;
    mine = make_secrets_folder(run_path);
    for (size_t i = 0; i < f.data->n_local && mine == GR_OK; i++)
        mine = check_statistics(&f, i, secrets + i * n_secret, n_secret);
    GR_TRY(gr_comm_agree(f.comm, mine));
    for (size_t i = 0; i < f.data->n_local && mine == GR_OK; i++)
        mine = charge(&f, i, 0, GR_NOISED_STATISTICS, &f.spending->plan.statistics,
                      secrets + i * n_secret, n_secret);
    status = gr_comm_agree(f.comm, mine);
out:
    gr_spending_free(&f);
    return status;
}

/* ---- how far it goes ------------------------------------------------------------------------- */

bool gr_spending_ends(const struct gr_federation *f) {
    return f->spending && gr_server_rounds(f->server) >= f->spending->last_round;
}

uint32_t gr_spending_last_round(const struct gr_federation *f) {
    return f->spending ? f->spending->last_round : UINT32_MAX;
}

/* ---- afterwards ------------------------------------------------------------------------------ */

gr_status gr_spending_account(const struct gr_federation *f, bool ended,
                              struct gr_privacy_account *out) {
    const struct gr_spending *spending = f->spending;
    const uint32_t planned = f->config->run.rounds, last = spending->last_round,
                   rounds = ended            ? gr_server_rounds(f->server)
                            : last < planned ? last
                                             : planned;
    struct gr_epsilon epsilon = {0};
    *out = (struct gr_privacy_account){
        .rounds = rounds,
        .planned = !ended,
        .evaluations = spending->plan.evaluation.count > 0
                           ? gr_privacy_evaluations(f->config, rounds, is_over(f, rounds))
                           : 0,
        .plan = &spending->plan,
        .before = spending->before,
        .total = spending->total};
    struct silo_past told = {.history = {.adjacency = spending->plan.adjacency}};
    told.history.events = told.event;
    add_evaluations(f, out->evaluations, &told);
    add_statistics(f, &told);
    const struct gr_private_rounds all = rounds_behind(f, &told.history);
    const gr_status status = gr_budget_account(&all, rounds + spending->again, &epsilon);
    out->lower = epsilon.lower;
    out->upper = epsilon.upper;
    out->renyi = epsilon.renyi;
    return status;
}
