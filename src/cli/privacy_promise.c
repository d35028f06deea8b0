/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/privacy_answers.h"

#include "config/privacy_plan.h"
#include "privacy/sensitivity.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Fewer silos than this, and noise for silos is rather more than what they learn. */
enum { SILOS_FEW = 100, ROUNDS_TOLD_MAX = 1000000, WARNINGS_MAX = 8, WARNING_BYTES = 256 };

/* A config's promise, and its price. */
struct promise {
    const struct gr_config *config;
    struct gr_privacy_plan plan;
    struct gr_epsilon all, more; /* after all rounds, and after one more */
    uint64_t fit;                /* rounds within the budget; without one 0 */
    double noise_needed;         /* privacy.noise_multiplier for all rounds; 0: none is enough */
    /* Standard deviation of the noise in a parameter of a step's mean gradient, or of a round's
     * mean update, over the clip norm. */
    double noise_in_mean;
    char warnings[WARNINGS_MAX][WARNING_BYTES];
    size_t n_warnings;
};

/* ---- what it comes to ----------------------------------------------------------------------- */

static uint32_t silos_of_round(const struct gr_config *config) {
    return config->round.participants > 0 ? config->round.participants : config->data.silos;
}

/* The noise that the budget needs; none being enough is an answer, and no failure. */
static gr_status find_noise(struct promise *promise, const struct gr_privacy_history *before) {
    const struct gr_privacy_plan *plan = &promise->plan;
    const struct gr_budget_config *budget = &promise->config->privacy.budget;
    double z = 0;
    const gr_status status =
        gr_accounting_noise(before, plan->round.sampling, plan->round.count * plan->rounds,
                            budget->epsilon, budget->delta, &z);
    /* Asked for and accounted for in the same proportion. */
    promise->noise_needed =
        z * promise->config->privacy.noise_multiplier / plan->round.noise_multiplier;
    return status == GR_ERROR_CONFIG ? GR_OK : status;
}

/* Of the noise in a mean. Parties that share the noise add more than is needed, for those that may
 * collude; the fewer of them are there, the more it is. */
static double noise_in_mean(const struct gr_config *config) {
    const struct gr_privacy_config *privacy = &config->privacy;
    const uint32_t parties = gr_secure_parties(config),
                   needed = gr_privacy_sufficient_shares(config, parties);
    const double more = privacy->noise == GR_NOISE_SHARED ? sqrt((double)parties / needed) : 1;
    const double silos = privacy->noise == GR_NOISE_SHARED ? silos_of_round(config) : 1;
    return more * gr_privacy_update_noise(config) /
           (privacy->unit == GR_PRIVACY_SILO ? silos_of_round(config)
                                             : silos * privacy->expected_batch);
}

static gr_status compute(const struct gr_plan_question *question, struct promise *promise) {
    gr_status status;
    const struct gr_privacy_config *privacy = &promise->config->privacy;
    struct gr_privacy_plan *plan = &promise->plan;
    struct gr_privacy_event *events = NULL;
    size_t n = question->n_before;
    *plan = gr_privacy_plan_of(promise->config);
    GR_TRY(gr_privacy_plan_sampler(promise->config, GR_PRIVATE_SUM_SIZE_MAX, plan));
    GR_TRY(gr_allocate(n + GR_PRIVACY_BESIDE_MAX, sizeof *events, "events", &events));
    for (size_t i = 0; i < n; i++)
        events[i] = question->before[i];
    n += gr_privacy_plan_beside(promise->config, plan, events + n);
    const struct gr_private_rounds rounds = {
        {plan->adjacency, events, n}, &plan->round, 1, privacy->budget.delta};
    GR_TRY(gr_budget_account(&rounds, plan->rounds, &promise->all));
    GR_TRY(gr_budget_account(&rounds, plan->rounds + 1, &promise->more));
    if (privacy->budget.epsilon > 0) {
        GR_TRY(gr_budget_rounds(&rounds, privacy->budget.epsilon, ROUNDS_TOLD_MAX, &promise->fit));
        GR_TRY(find_noise(promise, &rounds.before));
    }
    promise->noise_in_mean = noise_in_mean(promise->config);
out:
    gr_free(events);
    return status;
}

/* ---- warnings ------------------------------------------------------------------------------- */

static void warn(struct promise *promise, const char *format, ...) GR_PRINTF(2, 3);
static void warn(struct promise *promise, const char *format, ...) {
    va_list arguments;
    if (promise->n_warnings == WARNINGS_MAX) return;
    va_start(arguments, format);
    vsnprintf(promise->warnings[promise->n_warnings++], WARNING_BYTES, format, arguments);
    va_end(arguments);
}

static void find_warnings(struct promise *promise) {
    const struct gr_config *config = promise->config;
    const struct gr_privacy_config *privacy = &config->privacy;
    const bool silo = promise->plan.unit == GR_UNIT_SILO;
    const uint32_t units = silo ? config->data.silos : privacy->expected_units,
                   silos = silos_of_round(config);
    if (isinf(promise->all.upper))
        warn(promise, "delta is used up by what the noise is short of the Gaussian distribution: "
                      "a greater privacy.budget.delta is needed");
    else if (promise->all.upper > 10)
        warn(promise, "an epsilon above 10 is hardly a promise: e^10 is 22,000");
    if (privacy->budget.delta > 1.0 / units)
        warn(promise,
             "delta %g is above 1 / %u, the units that there are: it permits that one of them is "
             "told as it is",
             privacy->budget.delta, units);
    if (privacy->budget.epsilon == 0)
        warn(promise, "privacy.budget.epsilon is 0: runs over a table may add up without a limit");
    else if (promise->fit < promise->plan.rounds)
        warn(promise, "%llu of %llu rounds fit the budget: the run %s",
             (unsigned long long)promise->fit, (unsigned long long)promise->plan.rounds,
             privacy->budget.on_exhausted == GR_EXHAUSTED_STOP ? "stops after them"
                                                               : "is refused (77)");
    if (config->run.rehearsal && !silo)
        warn(promise, "run.rehearsal: the noise follows from run.seed, and protects nothing");
    char *remark = NULL; /* a schema that cannot be read is told by `granary validate` */
    if (gr_privacy_remark(config, &remark) == GR_OK && remark) warn(promise, "%s", remark);
    gr_free(remark);
    if (silo && silos < SILOS_FEW)
        warn(promise,
             "with %u silos in a round the noise is far above what they add; with fewer than some "
             "%d silos, row or person is the better unit",
             silos, (int)SILOS_FEW);
}

/* ---- in words ------------------------------------------------------------------------------- */

static void print_line(const char *label, const char *format, ...) GR_PRINTF(2, 3);
/* The text behind its label, broken at blanks. */
static void print_line(const char *label, const char *format, ...) {
    enum { INDENT = 12, WIDTH = 96 };
    char text[1024], *word = text;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t at = (size_t)printf("%-*s", INDENT, label);
    for (const char *between = ""; *word; between = " ") {
        const size_t n = strcspn(word, " ");
        if (at + strlen(between) + n > WIDTH) {
            at = (size_t)printf("\n%*s", INDENT, "") - 1;
            between = "";
        }
        at += (size_t)printf("%s%.*s", between, (int)n, word);
        word += n + (word[n] == ' ');
    }
    putchar('\n');
}

static void print_shares(const struct gr_config *config) {
    const uint32_t parties = gr_secure_parties(config),
                   needed = gr_privacy_sufficient_shares(config, parties);
    if (config->privacy.noise != GR_NOISE_SHARED) return;
    print_line("",
               "shares of any %u of %u parties have all of it, as others know their own; all "
               "together have %.4g times as much",
               needed, parties, sqrt((double)parties / needed));
}

static void print_promise(const struct promise *promise) {
    static const char *const whose[] = {"row of a silo's table", "person in a silo's table",
                                        "silo"};
    static const char *const others[] = {
        "without it", "with zeros as its contribution, so that the number of units is public",
        "with another in its place"};
    static const char *const against[] = {
        [GR_NOISE_SILO] =
            "each silo adds noise itself: the promise holds against everybody outside "
            "of it, also against rank 0",
        [GR_NOISE_SHARED] = "the silos add parts of the noise under secure sums: it holds against "
                            "everybody, as long as no more than they allow for collude",
        [GR_NOISE_ROOT] = "rank 0 adds the noise: it holds against everybody but rank 0, who sees "
                          "the sum without it"};
    const struct gr_privacy_plan *plan = &promise->plan;
    const struct gr_privacy_config *privacy = &promise->config->privacy;
    print_line(
        "promise",
        "to each %s: what leaves is nearly as likely from the data with it as from those %s (%s)",
        whose[plan->unit], others[plan->adjacency], gr_adjacency_word(plan->adjacency));
    print_line("noise",
               "Gaussian on integers, its standard deviation in a sum %g times the clip "
               "norm %g",
               gr_privacy_update_noise(promise->config), privacy->clip_norm);
    print_shares(promise->config);
    if (privacy->adaptive_clipping.quantile > 0)
        print_line("",
                   "for the clip norm follows a count of noise %g; both together tell as much as "
                   "%g times would",
                   gr_privacy_count_noise(promise->config), privacy->noise_multiplier);
    if (plan->bands > 0)
        print_line("",
                   "correlated over the steps of a round, by %u %s; all of them are one release, "
                   "for which %.5g times is accounted for",
                   plan->bands, plan->correlation == GR_CORRELATION_BLT ? "buffers" : "bands",
                   plan->round.noise_multiplier);
    else if (plan->round.noise_multiplier < privacy->noise_multiplier)
        print_line("", "%.5g times is accounted for, as roundings add to what a %s moves",
                   plan->round.noise_multiplier, gr_protected_unit_word(plan->unit));
    print_line("by whom", "%s", against[privacy->noise]);
}

static void print_sums(const struct promise *promise) {
    const struct gr_privacy_plan *plan = &promise->plan;
    const unsigned long long sums = plan->sums, rounds = plan->rounds, count = plan->round.count;
    const char *unit = gr_protected_unit_word(plan->unit);
    if (plan->unit == GR_UNIT_SILO)
        print_line("sums",
                   "1 in a round, %llu rounds; the silos of a round are drawn in public, "
                   "which hides nobody: each is taken to be in all of them",
                   rounds);
    else if (plan->bands > 0)
        print_line("sums",
                   "%llu in a round, %llu rounds; a %s is in one of each pass (nothing is "
                   "earned by sampling)",
                   sums, rounds, unit);
    else if (plan->round.sampling == 1)
        print_line("sums",
                   "%llu in a round, %llu rounds; a %s is in at most %llu of a round's "
                   "(nothing is earned by sampling)",
                   sums, rounds, unit, count);
    else
        print_line("sums",
                   "%llu in a round, %llu rounds; a %s is in each with probability %.6g, in "
                   "secret",
                   sums, rounds, unit, plan->round.sampling);
}

static void print_scores(const struct promise *promise) {
    const struct gr_config *config = promise->config;
    if (promise->plan.evaluation.count == 0) return;
    print_line(
        "scores",
        "%llu evaluations of rows that silos hold out; the noise in each count is %.3g %ss "
        "of each silo, and in the sum of losses %.3g",
        (unsigned long long)gr_privacy_evaluations(config, config->run.rounds, true),
        gr_privacy_tally_noise(config) / GR_TALLY_STEPS, gr_privacy_unit_text(config->privacy.unit),
        gr_privacy_tally_noise(config) / GR_TALLY_STEPS * config->privacy.evaluation.loss_bound);
}

static void print_statistics(const struct promise *promise) {
    const double z = promise->config->privacy.statistics.noise_multiplier;
    if (promise->plan.statistics.count == 0) return;
    print_line(
        "statistics",
        "means, deviations and modes of columns once, before round 1; of m sums to which a %s "
        "adds each has noise of %g sqrt(m) %ss of each silo",
        gr_protected_unit_word(promise->plan.unit), z, gr_protected_unit_word(promise->plan.unit));
}

static void print_price(const struct promise *promise) {
    const struct gr_budget_config *budget = &promise->config->privacy.budget;
    printf("%-12s", "price");
    gr_print_epsilon(&promise->all);
    printf(" for delta %g after %llu rounds\n", budget->delta,
           (unsigned long long)promise->plan.rounds);
    if (isinf(promise->more.upper)) return;
    print_line("", "by Renyi divergences alone %.4f; one more round would bring it to %.4f",
               gr_rounded_up(promise->all.renyi), gr_rounded_up(promise->more.upper));
    if (budget->epsilon == 0) return;
    print_line("budget", "epsilon %g: %llu%s rounds fit", budget->epsilon,
               (unsigned long long)promise->fit, promise->fit == ROUNDS_TOLD_MAX ? " or more" : "");
    if (promise->noise_needed > 0)
        print_line("", "with privacy.noise_multiplier %.4f just the %llu rounds would",
                   gr_rounded_up(promise->noise_needed), (unsigned long long)promise->plan.rounds);
    else
        print_line("", "no noise is enough for it after what was spent before");
}

/* What a ledger on this machine has, and the rounds that fit behind it. */
static gr_status print_ledger(const struct promise *promise, const char *directory) {
    const struct gr_privacy_plan *plan = &promise->plan;
    const struct gr_budget_config *budget = &promise->config->privacy.budget;
    struct gr_privacy_event events[GR_LEDGER_KINDS_MAX + GR_PRIVACY_BESIDE_MAX];
    struct gr_privacy_history history;
    struct gr_ledger *ledger = NULL;
    struct gr_epsilon spent;
    char name[80], fit[64] = "";
    uint64_t rounds = 0;
    gr_status status;
    GR_TRY(gr_ledger_read(directory, &ledger));
    GR_TRY(gr_ledger_history(ledger, plan->unit, plan->adjacency, events, &history));
    GR_TRY(gr_accounting_epsilon(&history, budget->delta, &spent));
    history.n += gr_privacy_plan_beside(promise->config, plan, events + history.n);
    const struct gr_private_rounds behind = {history, &plan->round, 1, budget->delta};
    if (budget->epsilon > 0) {
        GR_TRY(gr_budget_rounds(&behind, budget->epsilon, plan->rounds, &rounds));
        snprintf(fit, sizeof fit, "; %llu of %llu rounds fit behind it", (unsigned long long)rounds,
                 (unsigned long long)plan->rounds);
    }
    gr_text_quote(directory, strlen(directory), name, sizeof name);
    print_line("spent", "epsilon %.4f by the ledger in %s%s", gr_rounded_up(spent.upper), name,
               fit);
out:
    gr_ledger_close(ledger);
    return status;
}

/* Where silos have folders here; a silo without a ledger has spent nothing. */
static gr_status print_ledgers(const struct promise *promise) {
    const struct gr_config *config = promise->config;
    gr_status status = GR_OK;
    for (uint32_t i = 0; i < config->silos_count && status == GR_OK; i++) {
        if (!config->silos[i].directory[0]) continue;
        status = print_ledger(promise, config->silos[i].directory);
        if (status == GR_ERROR_USAGE) status = GR_OK;
    }
    return status;
}

/* The L2 norm of the noise goes by the model's size, which a config does not know. */
static void print_harm(const struct promise *promise) {
    const bool silo = promise->plan.unit == GR_UNIT_SILO;
    const double each = promise->noise_in_mean;
    print_line("harm",
               "noise in a %s%s: %.3g times the clip norm in each parameter. Over all of 1,000, "
               "200,000 and 10,000,000 parameters (L2 norm) %.3g, %.3g and %.3g times, beside at "
               "most 1 of what is clipped",
               silo ? "round's mean update"
               : promise->config->privacy.noise == GR_NOISE_SHARED
                   ? "step's mean gradient of all silos"
                   : "step's mean gradient of one silo",
               promise->plan.bands > 0 ? ", before it is correlated" : "", each, each * sqrt(1e3),
               each * sqrt(2e5), each * sqrt(1e7));
}

static gr_status print_all(const struct promise *promise) {
    print_promise(promise);
    print_sums(promise);
    print_scores(promise);
    print_statistics(promise);
    print_price(promise);
    const gr_status status = print_ledgers(promise);
    print_harm(promise);
    for (size_t i = 0; i < promise->n_warnings; i++)
        print_line("warning", "%s", promise->warnings[i]);
    return status;
}

/* ---- for a program -------------------------------------------------------------------------- */

static gr_status print_json(const struct promise *promise) {
    const struct gr_privacy_plan *plan = &promise->plan;
    const struct gr_privacy_config *privacy = &promise->config->privacy;
    const bool limited = privacy->budget.epsilon > 0;
    json_t *warnings = json_array();
    for (size_t i = 0; i < promise->n_warnings; i++)
        json_array_append_new(warnings, json_string(promise->warnings[i]));
    /* A number that is infinite, or that there is none of, is null. */
    json_t *all = json_pack(
        "{s:s, s:s, s:I, s:f, s:f, s:I, s:I, s:I, s:f, s:f, s:f, s:s, s:I, s:o?, s:o?, s:o?, s:b, "
        "s:o?, s:o?, s:o?, s:o?, s:f, s:O?}",
        "unit", gr_protected_unit_word(plan->unit), "adjacency", gr_adjacency_word(plan->adjacency),
        "evaluations",
        (json_int_t)(plan->evaluation.count > 0
                         ? gr_privacy_evaluations(promise->config, plan->rounds, true)
                         : 0),
        "statistics_noise_multiplier", privacy->statistics.noise_multiplier, "delta",
        privacy->budget.delta, "rounds", (json_int_t)plan->rounds, "sums_of_round",
        (json_int_t)plan->sums, "count_of_round", (json_int_t)plan->round.count, "sampling",
        plan->round.sampling, "noise_multiplier", privacy->noise_multiplier,
        "noise_multiplier_accounted", plan->round.noise_multiplier, "correlation",
        gr_correlation_word(plan->correlation), "bands", (json_int_t)plan->bands, "epsilon_lower",
        json_real(promise->all.lower), "epsilon_upper", json_real(promise->all.upper),
        "epsilon_renyi", json_real(promise->all.renyi), "exact", promise->all.exact,
        "epsilon_upper_one_more", json_real(promise->more.upper), "budget_epsilon",
        limited ? json_real(privacy->budget.epsilon) : NULL, "rounds_that_fit",
        limited ? json_integer((json_int_t)promise->fit) : NULL, "noise_multiplier_for_budget",
        promise->noise_needed > 0 ? json_real(promise->noise_needed) : NULL, "noise_in_mean",
        promise->noise_in_mean, "warnings", warnings);
    char *text = all ? json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    const bool bad = !text;
    if (text) puts(text);
    free(text);
    json_decref(all);
    json_decref(warnings);
    return bad ? gr_fail(GR_ERROR_INTERNAL, "memory for an answer was refused") : GR_OK;
}

/* ---- of a file ------------------------------------------------------------------------------ */

static gr_status tell(const struct gr_plan_question *question, const struct gr_config *config) {
    gr_status status;
    struct promise promise = {.config = config};
    if (!gr_is_private(config))
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: privacy.unit: found none, expected row, person or silo: without it "
                       "nothing is promised",
                       question->path);
    GR_TRY(compute(question, &promise));
    find_warnings(&promise);
    if (question->json)
        status = print_json(&promise);
    else
        status = print_all(&promise);
out:
    return status;
}

static gr_status tell_study(const struct gr_plan_question *question) {
    struct gr_study *study = NULL;
    if (question->overrides->n > 0)
        return gr_fail(GR_ERROR_USAGE, "privacy plan: %s is a study, expected no --set",
                       question->path);
    gr_status status = gr_study_read(question->path, &study);
    if (status == GR_OK) status = tell(question, study->config);
    gr_study_free(study);
    return status;
}

gr_status gr_tell_privacy_plan(const struct gr_plan_question *question) {
    struct gr_config *config = NULL;
    gr_status status;
    if (gr_file_has_section(question->path, "study")) return tell_study(question);
    GR_TRY(gr_check_is_config(question->path));
    GR_TRY(
        gr_config_load(question->path, question->overrides->text, question->overrides->n, &config));
    status = tell(question, config);
out:
    gr_config_free(config);
    return status;
}
