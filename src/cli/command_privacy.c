/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary privacy: accounts for noised sums, of numbers given here, of a config or of a ledger, and
 * audits the steps of a config.
 * Bounds are printed as bounds: a lower one is rounded down, an upper one and noise are rounded up.
 */
#include "cli/privacy_answers.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BEFORE_MAX = 64, OPTIONS_MAX = 16 };

struct privacy_words {
    const struct privacy_action *action;
    const char *path;        /* of plan and ledger; borrowed, as all text */
    char given[OPTIONS_MAX]; /* keys of the options that were given */
    double noise_multiplier, sampling, delta, epsilon;
    uint32_t steps;
    enum gr_adjacency adjacency;
    struct gr_privacy_event events[BEFORE_MAX + 1]; /* those before, and room for one more */
    size_t n_before;
    struct gr_overrides overrides;
    uint32_t canaries;
    double confidence;
    unsigned char rows[GR_DIGEST_BYTES]; /* of the table to be adopted */
    bool json;
};

/* ---- the command line ----------------------------------------------------------------------- */

static gr_status read_adjacency(const char *text, enum gr_adjacency *out) {
    char quoted[80];
    for (int i = GR_ADJACENCY_ADD_REMOVE; i <= GR_ADJACENCY_REPLACE; i++)
        if (strcmp(text, gr_adjacency_word((enum gr_adjacency)i)) == 0) {
            *out = (enum gr_adjacency)i;
            return GR_OK;
        }
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    return gr_fail(GR_ERROR_USAGE,
                   "--adjacency: found '%s', expected add_remove, zero_out or replace", quoted);
}

/* "1.1,0.01,1000" */
static gr_status read_before(const char *text, struct privacy_words *words) {
    struct gr_privacy_event *event = &words->events[words->n_before];
    char part[3][32] = {"", "", ""}, quoted[80];
    uint32_t steps;
    gr_status status = GR_OK;
    if (words->n_before == BEFORE_MAX)
        return gr_fail(GR_ERROR_USAGE, "--before: found more than %d, allowed at most %d",
                       BEFORE_MAX, BEFORE_MAX);
    int end = 0;
    if (sscanf(text, "%31[^,],%31[^,],%31[^,]%n", part[0], part[1], part[2], &end) != 3 ||
        text[end]) {
        gr_text_quote(text, strlen(text), quoted, sizeof quoted);
        return gr_fail(GR_ERROR_USAGE,
                       "--before: found '%s', expected NOISE_MULTIPLIER,SAMPLING,STEPS, as "
                       "1.1,0.01,1000",
                       quoted);
    }
    GR_TRY(gr_read_number("--before: noise multiplier", part[0], GR_NOISE_MULTIPLIER_MIN,
                          GR_NOISE_MULTIPLIER_MAX, &event->noise_multiplier));
    GR_TRY(gr_read_number("--before: sampling", part[1], 1e-12, 1, &event->sampling));
    GR_TRY(gr_read_count("--before: steps", part[2], 1, GR_PRIVACY_STEPS_MAX, &steps));
    event->count = steps;
    words->n_before++;
out:
    return status;
}

static gr_status read_rows(const char *text, unsigned char out[GR_DIGEST_BYTES]) {
    char quoted[80];
    if (gr_digest_from_hex(text, out)) return GR_OK;
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    return gr_fail(GR_ERROR_USAGE,
                   "--adopt: found '%s', expected the 64 digits that a run has told where it "
                   "refused the table",
                   quoted);
}

static gr_status read_option(int option, struct privacy_words *words) {
    const size_t n = strlen(words->given);
    if (!memchr(words->given, option, n) && n + 1 < sizeof words->given)
        words->given[n] = (char)option;
    switch (option) {
    case 's':
        return gr_overrides_add(&words->overrides, optarg);
    case 'z':
        return gr_read_number("--noise-multiplier", optarg, GR_NOISE_MULTIPLIER_MIN,
                              GR_NOISE_MULTIPLIER_MAX, &words->noise_multiplier);
    case 'q':
        return gr_read_number("--sampling", optarg, 1e-12, 1, &words->sampling);
    case 'n':
        return gr_read_count("--steps", optarg, 1, GR_PRIVACY_STEPS_MAX, &words->steps);
    case 'd':
        return gr_read_number("--delta", optarg, GR_PRIVACY_DELTA_MIN, 0.999, &words->delta);
    case 'e':
        return gr_read_number("--epsilon", optarg, 1e-6, 1e6, &words->epsilon);
    case 'a':
        return read_adjacency(optarg, &words->adjacency);
    case 'b':
        return read_before(optarg, words);
    case 'c':
        return gr_read_count("--canaries", optarg, 10, 1000000, &words->canaries);
    case 'o':
        return gr_read_number("--confidence", optarg, 0.5, 0.999999, &words->confidence);
    case 't':
        return read_rows(optarg, words->rows);
    case 'j':
        words->json = true;
        return GR_OK;
    default:
        return GR_ERROR_USAGE;
    }
}

struct privacy_action {
    const char *name;
    const char *needs, *takes; /* keys of options, and of those that may be given besides */
    const char *argument;      /* behind the name; NULL: none */
    gr_status (*tell)(struct privacy_words *words); /* NULL: it is audit, under MPI */
};

static gr_status tell_epsilon(struct privacy_words *words);
static gr_status tell_noise(struct privacy_words *words);
static gr_status tell_table(struct privacy_words *words);
static gr_status tell_plan(struct privacy_words *words);
static gr_status tell_ledger(struct privacy_words *words);

static const struct privacy_action actions[] = {
    {"epsilon", "znd", "qabj", NULL, tell_epsilon},
    {"noise", "end", "qabj", NULL, tell_noise},
    {"table", "znd", "qabj", NULL, tell_table},
    {"plan", "", "sbj", "CONFIG", tell_plan},
    {"ledger", "", "dajt", "FILE or FOLDER", tell_ledger},
    {"audit", "", "scoj", "CONFIG", NULL}};

/* An option's name by its key. */
static const char *name_of(char key) {
    const struct gr_option *option = gr_command_find("privacy")->options;
    while (option->name && option->key != key)
        option++;
    return option->name ? option->name : "?";
}

/* Each action needs some options and has no use for others. */
static gr_status check_words(const struct privacy_words *words) {
    const struct privacy_action *action = words->action;
    for (const char *key = action->needs; *key; key++)
        if (!strchr(words->given, *key))
            return gr_fail(GR_ERROR_USAGE,
                           "privacy %s: --%s is missing; see `granary help privacy`", action->name,
                           name_of(*key));
    for (const char *key = words->given; *key; key++)
        if (!strchr(action->needs, *key) && !strchr(action->takes, *key))
            return gr_fail(GR_ERROR_USAGE,
                           "privacy %s: --%s is not for it; see `granary help privacy`",
                           action->name, name_of(*key));
    return GR_OK;
}

static gr_status read_action(const char *word, struct privacy_words *words) {
    char quoted[80];
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(word, actions[i].name) == 0) {
            words->action = &actions[i];
            return GR_OK;
        }
    gr_text_quote(word, strlen(word), quoted, sizeof quoted);
    return gr_fail(
        GR_ERROR_USAGE,
        "privacy: found '%s', expected epsilon, noise, table, plan, ledger or audit; see "
        "`granary help privacy`",
        quoted);
}

static gr_status read_words(struct gr_invocation *invocation, struct privacy_words *words) {
    gr_status status = GR_OK;
    int option;
    words->sampling = 1;
    words->canaries = 500;
    words->confidence = 0.95;
    while ((option = gr_next_option(invocation)) != -1)
        GR_TRY(read_option(option, words));
    if (optind == invocation->argc) {
        status = gr_fail(GR_ERROR_USAGE,
                         "privacy: epsilon, noise, table, plan, ledger or audit is missing; see "
                         "`granary help privacy`");
        goto out;
    }
    GR_TRY(read_action(invocation->argv[optind], words));
    if (words->action->argument) {
        optind++;
        GR_TRY(gr_only_argument(invocation, words->action->argument, &words->path));
    } else {
        const char *name;
        GR_TRY(gr_only_argument(invocation, words->action->name, &name));
    }
    status = check_words(words);
out:
    return status;
}

/* ---- answers -------------------------------------------------------------------------------- */

static gr_status account(struct privacy_words *words, uint64_t steps, struct gr_epsilon *out) {
    const struct gr_privacy_history history = {words->adjacency, words->events,
                                               words->n_before + 1};
    words->events[words->n_before] = (struct gr_privacy_event){
        .noise_multiplier = words->noise_multiplier, .sampling = words->sampling, .count = steps};
    return gr_accounting_epsilon(&history, words->delta, out);
}

static gr_status print_json(json_t *members, const struct privacy_words *words) {
    gr_status status = GR_OK;
    char *text = NULL;
    if (members && json_object_set_new(members, "delta", json_real(words->delta)) == 0 &&
        json_object_set_new(members, "adjacency",
                            json_string(gr_adjacency_word(words->adjacency))) == 0)
        text = json_dumps(members, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    if (text)
        puts(text);
    else
        status = gr_fail(GR_ERROR_INTERNAL, "memory for an answer was refused");
    free(text);
    json_decref(members);
    return status;
}

static json_t *json_of(const struct gr_epsilon *epsilon, uint64_t steps) {
    return json_pack("{s:I, s:f, s:f, s:f, s:b}", "steps", (json_int_t)steps, "epsilon_lower",
                     epsilon->lower, "epsilon_upper", epsilon->upper, "epsilon_renyi",
                     epsilon->renyi, "exact", epsilon->exact);
}

static gr_status tell_epsilon(struct privacy_words *words) {
    gr_status status = GR_OK;
    struct gr_epsilon epsilon;
    GR_TRY(account(words, words->steps, &epsilon));
    if (words->json) return print_json(json_of(&epsilon, words->steps), words);
    if (epsilon.exact)
        printf("epsilon %.4f", gr_rounded_up(epsilon.upper));
    else
        printf("epsilon %.4f to %.4f", gr_rounded_down(epsilon.lower),
               gr_rounded_up(epsilon.upper));
    printf(" for delta %g, %s\n", words->delta, gr_adjacency_word(words->adjacency));
    printf("by Renyi divergences alone %.4f, of order %.3g\n", gr_rounded_up(epsilon.renyi),
           epsilon.order);
out:
    return status;
}

static gr_status tell_noise(struct privacy_words *words) {
    const struct gr_privacy_history before = {words->adjacency, words->events, words->n_before};
    gr_status status = GR_OK;
    double z;
    GR_TRY(gr_accounting_noise(&before, words->sampling, words->steps, words->epsilon, words->delta,
                               &z));
    if (words->json)
        return print_json(json_pack("{s:I, s:f, s:f}", "steps", (json_int_t)words->steps, "epsilon",
                                    words->epsilon, "noise_multiplier", z),
                          words);
    printf("noise multiplier %.4f keeps epsilon at most %g for delta %g, %s\n", gr_rounded_up(z),
           words->epsilon, words->delta, gr_adjacency_word(words->adjacency));
out:
    return status;
}

/* 1, 2, 5, 10, 20, ... and the last one. */
static uint64_t next_steps(uint64_t steps, uint64_t last) {
    uint64_t ten = 1;
    if (steps == last) return last + 1;
    while (ten * 10 <= steps)
        ten *= 10;
    const uint64_t next = steps / ten < 2 ? 2 * ten : steps / ten < 5 ? 5 * ten : 10 * ten;
    return next < last ? next : last;
}

static gr_status tell_table(struct privacy_words *words) {
    gr_status status = GR_OK;
    struct gr_epsilon epsilon;
    json_t *rows = words->json ? json_array() : NULL;
    if (!words->json) printf("%10s %14s %14s %14s\n", "steps", "epsilon from", "to", "by Renyi");
    for (uint64_t steps = 1; steps <= words->steps; steps = next_steps(steps, words->steps)) {
        GR_TRY(account(words, steps, &epsilon));
        if (words->json)
            json_array_append_new(rows, json_of(&epsilon, steps));
        else
            printf("%10llu %14.4f %14.4f %14.4f\n", (unsigned long long)steps,
                   gr_rounded_down(epsilon.lower), gr_rounded_up(epsilon.upper),
                   gr_rounded_up(epsilon.renyi));
    }
    if (words->json) status = print_json(json_pack("{s:O}", "rows", rows), words);
out:
    json_decref(rows);
    return status;
}

static gr_status tell_plan(struct privacy_words *words) {
    const struct gr_plan_question question = {words->path, &words->overrides, words->events,
                                              words->n_before, words->json};
    return gr_tell_privacy_plan(&question);
}

static gr_status tell_ledger(struct privacy_words *words) {
    const bool chosen = strchr(words->given, 'a') != NULL;
    if (strcmp(words->given, "t") == 0) return gr_adopt_table(words->path, words->rows);
    if (strchr(words->given, 't'))
        return gr_fail(GR_ERROR_USAGE, "privacy ledger: --adopt is given alone");
    const struct gr_spent_question question = {words->path,
                                               strchr(words->given, 'd') ? words->delta : 1e-5,
                                               chosen ? &words->adjacency : NULL, words->json};
    return gr_tell_privacy_spent(&question);
}

/* Under MPI, which reads tables as a run does; the words are read again, behind its start. */
static gr_status audit(struct gr_invocation *invocation) {
    struct privacy_words words = {.action = actions};
    gr_status status;
    optind = 1;
    GR_TRY(read_words(invocation, &words));
    const struct gr_audit_question question = {words.path, &words.overrides, words.canaries,
                                               words.confidence, words.json};
    status = gr_tell_privacy_audit(invocation, &question);
out:
    free(words.overrides.text);
    return status;
}

/* Without a file, a config is what is wrong elsewhere; here it is the command line. */
gr_status gr_command_privacy(struct gr_invocation *invocation) {
    struct privacy_words words = {.action = actions};
    gr_status status = read_words(invocation, &words);
    const bool audits = status == GR_OK && !words.action->tell;
    if (status == GR_OK && !audits) status = words.action->tell(&words);
    if (status == GR_ERROR_CONFIG && !words.path)
        status = gr_fail(GR_ERROR_USAGE, "privacy: %s", gr_message());
    free(words.overrides.text);
    return audits ? gr_run_with_mpi(audit, false, invocation) : status;
}
