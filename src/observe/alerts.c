/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alerts: rules that are held against the figures of each round. A rule that begins to hold is told
 * once, and once more when it is over; in between it is silent.
 *
 * Values of rounds that a rule holds for do not enter its median: what has gone wrong does not
 * become the usual.
 */
#include <granary/observe.h>

#include <math.h>
#include <string.h>

#include "observe/metrics.h"

enum { MEDIAN_MAX = 64, RULES_MAX = 64 + 8 };

/* The argument is a designator. NOLINTNEXTLINE(bugprone-macro-parentheses) */
#define WORD_OF(value, word) [value] = word,
static const char *const figure_words[] = {GR_WATCHED_FIGURE_WORDS(WORD_OF)};

/* A rule that every run has, and the least value that it is of: small values swing widely. */
struct usual_rule {
    const char *name;
    struct gr_alert_rule_config rule;
    double least;
};

/* Words that a rule only reads. */
static char no_metric[] = "", calibration[] = "calibration_error";

static const struct usual_rule usual_rules[] = {
    {"update norm",
     {.figure = GR_WATCHED_UPDATE_NORM,
      .metric = no_metric,
      .when = GR_ALERT_ABOVE,
      .threshold = 10,
      .of_median = 20,
      .rounds = 1,
      .hysteresis = 0.5},
     0},
    {"divergence",
     {.figure = GR_WATCHED_TRAIN_LOSS,
      .metric = no_metric,
      .when = GR_ALERT_ABOVE,
      .threshold = 3,
      .of_median = 20,
      .rounds = 5,
      .hysteresis = 0.3},
     0.1},
    {"calibration",
     {.figure = GR_WATCHED_METRIC,
      .metric = calibration,
      .when = GR_ALERT_ABOVE,
      .threshold = 3,
      .of_median = 20,
      .rounds = 3,
      .hysteresis = 0.3},
     0.1},
    {"worst silo",
     {.figure = GR_WATCHED_LOWEST_SILO_ACCURACY,
      .metric = no_metric,
      .when = GR_ALERT_BELOW,
      .threshold = 0.5,
      .of_median = 20,
      .rounds = 3,
      .hysteresis = 0.3},
     0},
    {"round time",
     {.figure = GR_WATCHED_ROUND_SECONDS,
      .metric = no_metric,
      .when = GR_ALERT_ABOVE,
      .threshold = 10,
      .of_median = 20,
      .rounds = 3,
      .hysteresis = 0.5},
     1},
    {"privacy budget",
     {.figure = GR_WATCHED_BUDGET_SPENT,
      .metric = no_metric,
      .when = GR_ALERT_ABOVE,
      .threshold = 0.9,
      .rounds = 1,
      .hysteresis = 0},
     0},
};

struct alert_rule {
    const struct gr_alert_rule_config *rule; /* borrowed */
    char name[80];
    double least;
    unsigned metric; /* of GR_WATCHED_METRIC */
    bool holds;
    uint32_t running;                            /* rounds for the change that is in the making */
    double before, begun;                        /* of the last round; where a rise began */
    double ring[MEDIAN_MAX], sorted[MEDIAN_MAX]; /* the same values */
    uint32_t n, next;                            /* of the ring */
};

struct gr_alerts {
    struct alert_rule rules[RULES_MAX];
    size_t n;
};

/* ---- values --------------------------------------------------------------------------------- */

static double named_of(const struct gr_metrics *m, unsigned metric) {
    return m->named_told >> metric & 1 ? m->named[metric] : (double)NAN;
}

static double seconds_of(const struct gr_metrics *m, enum gr_watched_figure figure) {
    switch (figure) {
    case GR_WATCHED_TRAIN_SECONDS:
        return m->seconds.train;
    case GR_WATCHED_AGGREGATE_SECONDS:
        return m->seconds.aggregate;
    case GR_WATCHED_EVALUATE_SECONDS:
        return m->seconds.evaluate;
    default:
        return m->seconds.total;
    }
}

/* NAN: the round does not have it. */
static double value_of(const struct alert_rule *rule, const struct gr_metrics *m, double budget) {
    switch (rule->rule->figure) {
    case GR_WATCHED_PARTICIPATION:
        return m->selected > 0 ? (double)m->participants / m->selected : (double)NAN;
    case GR_WATCHED_TRAIN_LOSS:
        return m->train_loss;
    case GR_WATCHED_VALIDATION_LOSS:
        return m->validation_loss;
    case GR_WATCHED_VALIDATION_ACCURACY:
        return m->validation_accuracy;
    case GR_WATCHED_TEST_LOSS:
        return m->test_loss;
    case GR_WATCHED_TEST_ACCURACY:
        return m->test_accuracy;
    case GR_WATCHED_METRIC:
        return named_of(m, rule->metric);
    case GR_WATCHED_LOWEST_SILO_ACCURACY:
        return m->silos > 0 ? m->silo_accuracy[0] : (double)NAN;
    case GR_WATCHED_UPDATE_NORM:
        return m->update_norm;
    case GR_WATCHED_BYTES_SENT:
        return (double)m->bytes_sent;
    case GR_WATCHED_ROWS_PER_SECOND:
        return m->processed > 0 && m->seconds.train > 0 ? (double)m->processed / m->seconds.train
                                                        : (double)NAN;
    case GR_WATCHED_BUDGET_SPENT:
        return budget;
    default:
        return seconds_of(m, rule->rule->figure);
    }
}

/* ---- medians -------------------------------------------------------------------------------- */

static uint32_t place_in(const double *sorted, uint32_t n, double value) {
    uint32_t at = 0;
    while (at < n && sorted[at] < value)
        at++;
    return at;
}

/* The oldest value makes room. */
static void remember(struct alert_rule *rule, double value) {
    const uint32_t most = rule->rule->of_median;
    if (most == 0) return;
    if (rule->n == most) {
        const uint32_t gone = place_in(rule->sorted, rule->n, rule->ring[rule->next]);
        memmove(rule->sorted + gone, rule->sorted + gone + 1,
                (rule->n - gone - 1) * sizeof *rule->sorted);
        rule->n--;
    }
    const uint32_t at = place_in(rule->sorted, rule->n, value);
    memmove(rule->sorted + at + 1, rule->sorted + at, (rule->n - at) * sizeof *rule->sorted);
    rule->sorted[at] = value;
    rule->ring[rule->next] = value;
    rule->next = (rule->next + 1) % most;
    rule->n++;
}

/* NAN: there are too few rounds for a median. */
static double limit_of(const struct alert_rule *rule) {
    const uint32_t n = rule->rule->of_median;
    if (n == 0) return rule->rule->threshold;
    if (rule->n < n) return (double)NAN;
    const double median =
        n % 2 ? rule->sorted[n / 2] : (rule->sorted[n / 2 - 1] + rule->sorted[n / 2]) / 2;
    return rule->rule->threshold * median;
}

/* ---- rules ---------------------------------------------------------------------------------- */

/* Whether a value is on the wrong side. Comparisons with NAN are false. */
static bool is_wrong(const struct alert_rule *rule, double value, double limit) {
    switch (rule->rule->when) {
    case GR_ALERT_ABOVE:
        return value > limit && value >= rule->least;
    case GR_ALERT_BELOW:
        return value < limit;
    case GR_ALERT_RISES:
        return value > rule->before;
    case GR_ALERT_FALLS:
        break;
    }
    return value < rule->before;
}

/* Back on the right side, by the hysteresis; not the contrary of is_wrong: in between nothing
 * changes. */
static bool is_right(const struct alert_rule *rule, double value, double limit) {
    const double room = rule->rule->hysteresis * fabs(limit);
    switch (rule->rule->when) {
    case GR_ALERT_ABOVE:
        return value <= limit - room || value < rule->least;
    case GR_ALERT_BELOW:
        return value >= limit + room;
    case GR_ALERT_RISES:
        return value <= rule->before;
    case GR_ALERT_FALLS:
        break;
    }
    return value >= rule->before;
}

static bool is_trend(const struct alert_rule *rule) {
    return rule->rule->when == GR_ALERT_RISES || rule->rule->when == GR_ALERT_FALLS;
}

/* A rise or fall is told if it is large enough as a whole. */
static bool is_enough(const struct alert_rule *rule, double value) {
    return !is_trend(rule) ||
           fabs(value - rule->begun) >= rule->rule->threshold * fabs(rule->begun);
}

static void put_words(const struct alert_rule *rule, uint32_t round, struct gr_alert *alert) {
    static const char *const whens[] = {"above", "below", "rises", "falls"};
    char of[64] = "";
    if (rule->rule->of_median > 0)
        snprintf(of, sizeof of, " (%g times the median of %u rounds)", rule->rule->threshold,
                 rule->rule->of_median);
    if (alert->over)
        snprintf(alert->words, sizeof alert->words, "alert over: round %u: %s: %s is %.6g", round,
                 rule->name, alert->figure, alert->value);
    else if (is_trend(rule))
        snprintf(alert->words, sizeof alert->words,
                 "alert: round %u: %s: %s %s for %u rounds, from %.6g to %.6g", round, rule->name,
                 alert->figure, whens[rule->rule->when], rule->running, rule->begun, alert->value);
    else
        snprintf(alert->words, sizeof alert->words, "alert: round %u: %s: %s is %.6g, %s %.6g%s",
                 round, rule->name, alert->figure, alert->value, whens[rule->rule->when],
                 alert->limit, of);
}

static void take_value(struct alert_rule *rule, double value, uint32_t round, gr_alert_tell tell,
                       void *context) {
    const double limit = limit_of(rule);
    const bool wrong = is_wrong(rule, value, limit);
    const bool turns = rule->holds ? is_right(rule, value, limit) : wrong;
    if (turns && rule->running == 0) rule->begun = rule->before;
    rule->running = turns ? rule->running + 1 : 0;
    if (rule->running >= rule->rule->rounds && (rule->holds || is_enough(rule, value))) {
        rule->holds = !rule->holds;
        struct gr_alert alert = {.over = !rule->holds,
                                 .name = rule->name,
                                 .figure = rule->rule->figure == GR_WATCHED_METRIC
                                               ? rule->rule->metric
                                               : figure_words[rule->rule->figure],
                                 .value = value,
                                 .limit = is_trend(rule) ? rule->begun : limit};
        put_words(rule, round, &alert);
        tell(context, &alert);
        rule->running = 0;
    }
    if (!wrong && !rule->holds) remember(rule, value);
    rule->before = value;
}

void gr_alerts_round(struct gr_alerts *alerts, const struct gr_metrics *m, double budget_spent,
                     gr_alert_tell tell, void *context) {
    for (size_t i = 0; i < alerts->n; i++) {
        const double value = value_of(&alerts->rules[i], m, budget_spent);
        if (!isnan(value)) take_value(&alerts->rules[i], value, m->round, tell, context);
    }
}

/* "test_loss above" of a rule of the config. */
static void add_rule(struct gr_alerts *alerts, const struct gr_alert_rule_config *config,
                     const char *name, double least) {
    static const char *const whens[] = {"above", "below", "rises", "falls"};
    struct alert_rule *rule = &alerts->rules[alerts->n++];
    rule->rule = config;
    rule->least = least;
    rule->before = rule->begun = (double)NAN;
    rule->metric = config->metric ? gr_metric_find(config->metric) : gr_metric_count;
    if (name)
        snprintf(rule->name, sizeof rule->name, "%s", name);
    else
        snprintf(rule->name, sizeof rule->name, "%.60s %s",
                 config->figure == GR_WATCHED_METRIC ? config->metric
                                                     : figure_words[config->figure],
                 whens[config->when]);
}

gr_status gr_alerts_create(const struct gr_alerts_config *config, struct gr_alerts **out) {
    gr_status status = gr_allocate_zero(1, sizeof **out, "alerts", out);
    if (status != GR_OK) return status;
    for (size_t i = 0; config->usual && i < sizeof usual_rules / sizeof *usual_rules; i++)
        add_rule(*out, &usual_rules[i].rule, usual_rules[i].name, usual_rules[i].least);
    for (unsigned i = 0; i < config->rules_count; i++)
        add_rule(*out, &config->rules[i], NULL, -INFINITY);
    return GR_OK;
}

void gr_alerts_free(struct gr_alerts *alerts) {
    gr_free(alerts);
}
