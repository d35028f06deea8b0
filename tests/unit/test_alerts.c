/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of alerts, by rounds that are made for them; and programs that are told. */
#include <granary/observe.h>

#include <math.h>
#include <time.h>

#include "scratch.h"

enum { ROUNDS_OF_MEDIAN = 20 };

static char told[4096]; /* "12+update norm 15-update norm " */
static uint32_t at_round;
static double budget;

static void note(void *context, const struct gr_alert *alert) {
    ck_assert_ptr_null(context);
    snprintf(told + strlen(told), sizeof told - strlen(told), "%u%c%s ", at_round,
             alert->over ? '-' : '+', alert->name);
    ck_assert_ptr_nonnull(strstr(alert->words, alert->name));
    ck_assert_ptr_nonnull(strstr(alert->words, alert->figure));
}

/* A round in which nothing is amiss, though its figures go up and down by a half. */
static struct gr_metrics healthy(uint32_t round) {
    const double swing = 1 + 0.5 * sin(round * 1.7);
    const unsigned calibration = gr_metric_find("calibration_error");
    struct gr_metrics m = {.round = round,
                           .participants = 10,
                           .selected = 10,
                           .train_loss = swing,
                           .test_loss = swing,
                           .test_accuracy = 0.8,
                           .validation_loss = (double)NAN,
                           .validation_accuracy = (double)NAN,
                           .silos = 10,
                           .silo_accuracy = {0.6 * swing, 0.9, 1},
                           .update_norm = 3 * swing,
                           .bytes_sent = 1000};
    m.seconds.total = 0.2 * swing;
    m.named[calibration] = 0.08 * swing;
    m.named_told |= UINT32_C(1) << calibration;
    return m;
}

static struct gr_alerts *start(const struct gr_alerts_config *config) {
    struct gr_alerts *alerts;
    MUST(gr_alerts_create(config, &alerts));
    told[0] = '\0';
    at_round = 0;
    budget = (double)NAN;
    return alerts;
}

static void take(struct gr_alerts *alerts, struct gr_metrics m) {
    m.round = ++at_round;
    gr_alerts_round(alerts, &m, budget, note, NULL);
}

static void take_healthy(struct gr_alerts *alerts, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        take(alerts, healthy(at_round + 1));
}

static const struct gr_alerts_config usual = {.usual = true};

START_TEST(healthy_rounds_are_silent) {
    struct gr_alerts *alerts = start(&usual);
    take_healthy(alerts, 1000);
    ck_assert_str_eq(told, "");
    gr_alerts_free(alerts);
}
END_TEST

/* Each usual rule: the rounds that break it, when it is told, and when it is over. */
static void break_norm(struct gr_metrics *m) {
    m->update_norm = 100;
}
static void break_loss(struct gr_metrics *m) {
    m->train_loss = 10;
}
static void break_loss_entirely(struct gr_metrics *m) {
    m->train_loss = INFINITY;
}
static void break_calibration(struct gr_metrics *m) {
    m->named[gr_metric_find("calibration_error")] = 0.5;
}
static void break_silo(struct gr_metrics *m) {
    m->silo_accuracy[0] = 0.1;
}
static void break_time(struct gr_metrics *m) {
    m->seconds.total = 30;
}

START_TEST(each_usual_rule_fires) {
    static const struct {
        void (*spoil)(struct gr_metrics *m);
        unsigned n; /* rounds */
        const char *expected;
    } cases[] = {
        {break_norm, 1, "31+update norm 32-update norm "},
        {break_norm, 9, "31+update norm 40-update norm "},
        {break_loss, 4, ""},
        {break_loss, 5, "35+divergence 40-divergence "},
        {break_loss_entirely, 5, "35+divergence 40-divergence "},
        {break_calibration, 2, ""},
        {break_calibration, 3, "33+calibration 36-calibration "},
        {break_silo, 3, "33+worst silo "},
        {break_time, 3, "33+round time 36-round time "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gr_alerts *alerts = start(&usual);
        take_healthy(alerts, 30);
        for (unsigned k = 0; k < cases[i].n; k++) {
            struct gr_metrics m = healthy(at_round + 1);
            cases[i].spoil(&m);
            take(alerts, m);
        }
        take_healthy(alerts, 30);
        ck_assert_msg(strncmp(told, cases[i].expected, strlen(cases[i].expected)) == 0 &&
                          (cases[i].expected[0] || !told[0]),
                      "%zu: %s", i, told);
        gr_alerts_free(alerts);
    }
}
END_TEST

/* Rounds of milliseconds: a busy machine makes some of them a hundred times as long. */
START_TEST(short_rounds_may_swing) {
    struct gr_alerts *alerts = start(&usual);
    for (unsigned i = 1; i <= 40; i++) {
        struct gr_metrics m = healthy(i);
        m.seconds.total = i <= 30 ? 1e-3 : 0.5;
        take(alerts, m);
    }
    ck_assert_str_eq(told, "");
    gr_alerts_free(alerts);
}
END_TEST

START_TEST(the_budget_comes_to_its_end) {
    struct gr_alerts *alerts = start(&usual);
    for (unsigned i = 1; i <= 100; i++) {
        budget = i / 100.0;
        take(alerts, healthy(i));
    }
    ck_assert_str_eq(told, "91+privacy budget ");
    gr_alerts_free(alerts);
}
END_TEST

START_TEST(the_usual_rules_can_be_left_out) {
    struct gr_alerts_config config = {0};
    struct gr_alerts *alerts = start(&config);
    take_healthy(alerts, 30);
    struct gr_metrics m = healthy(31);
    break_norm(&m);
    take(alerts, m);
    ck_assert_str_eq(told, "");
    gr_alerts_free(alerts);
}
END_TEST

/* Values of test_loss, one a round, NAN: none; and what is told. */
static void expect(struct gr_alert_rule_config rule, const double *values, size_t n,
                   const char *expected) {
    rule.figure = GR_WATCHED_TEST_LOSS;
    struct gr_alerts_config config = {.rules = &rule, .rules_count = 1};
    struct gr_alerts *alerts = start(&config);
    for (size_t i = 0; i < n; i++) {
        struct gr_metrics m = healthy((uint32_t)i + 1);
        m.test_loss = values[i];
        take(alerts, m);
    }
    ck_assert_str_eq(told, expected);
    gr_alerts_free(alerts);
}
#define EXPECT(expected, rule, ...)                                                                \
    expect((struct gr_alert_rule_config)rule, (const double[]){__VA_ARGS__},                       \
           sizeof(double[]){__VA_ARGS__} / sizeof(double), expected)
#define RULE(...)                                                                                  \
    { __VA_ARGS__ }

START_TEST(above_and_below) {
    EXPECT("2+test_loss above 6-test_loss above 7+test_loss above ",
           RULE(.when = GR_ALERT_ABOVE, .threshold = 10, .rounds = 1, .hysteresis = 0.1), 10, 11,
           12, 9.5, 10.5, 9, 11);
    EXPECT("4+test_loss above 9-test_loss above ",
           RULE(.when = GR_ALERT_ABOVE, .threshold = 10, .rounds = 2, .hysteresis = 0), 11, 9, 11,
           11, 9, 11, 9, NAN, 9, 9);
    EXPECT("1+test_loss below 3-test_loss below ",
           RULE(.when = GR_ALERT_BELOW, .threshold = -10, .rounds = 1, .hysteresis = 0.5), -11, -9,
           -5);
}
END_TEST

START_TEST(trends) {
    EXPECT("4+test_loss rises 9-test_loss rises ",
           RULE(.when = GR_ALERT_RISES, .threshold = 0, .rounds = 3), 1, 2, 3, 4, 5, 6, 6, 5, 5);
    EXPECT("", RULE(.when = GR_ALERT_RISES, .threshold = 0, .rounds = 3), 1, 2, 3, 3, 4, 5, 5);
    EXPECT("5+test_loss rises ", RULE(.when = GR_ALERT_RISES, .threshold = 0.5, .rounds = 3), 10,
           11, 12, 13, 15);
    EXPECT("3+test_loss falls ", RULE(.when = GR_ALERT_FALLS, .threshold = 0, .rounds = 2), 3, 2, 1,
           0);
}
END_TEST

/* The median is of the rounds before, in which nothing was wrong. */
START_TEST(of_the_median) {
    EXPECT("4+test_loss above 6-test_loss above ",
           RULE(.when = GR_ALERT_ABOVE, .threshold = 2, .of_median = 3, .rounds = 1), 1, 5, 3, 7, 7,
           6);
    EXPECT("", RULE(.when = GR_ALERT_ABOVE, .threshold = 2, .of_median = 3, .rounds = 1), 1, 100,
           NAN, 1, 2, 3, 4);
    EXPECT("5+test_loss above ",
           RULE(.when = GR_ALERT_ABOVE, .threshold = 2, .of_median = 2, .rounds = 1), 10, 10, 1, 1,
           3);
}
END_TEST

/* ---- programs ------------------------------------------------------------------------------- */

static void script(const char *text) {
    spill(in_scratch("handler"), text, strlen(text));
    ck_assert_int_eq(chmod(in_scratch("handler"), 0700), 0);
}

static bool handle(struct gr_alert_handlers *handlers, double deadline_s, const char *text) {
    char path[256], folder[256];
    snprintf(path, sizeof path, "%s", in_scratch("handler"));
    snprintf(folder, sizeof folder, "%s", in_scratch("out"));
    return gr_alert_handle(handlers, (char *[]){path, folder}, 2, deadline_s, text);
}

/* Whether a file comes within 10 s. */
static bool comes(const char *name) {
    for (int i = 0; i < 1000; i++) {
        if (exists(in_scratch(name))) return true;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return false;
}

START_TEST(a_program_is_told) {
    struct gr_alert_handlers handlers = {0};
    char read[64] = "";
    script("#!/bin/sh\ncat >\"$1.part\" && mv \"$1.part\" \"$1\"\n");
    ck_assert(handle(&handlers, 10, "{\"event\":\"alert\"}"));
    ck_assert(comes("out"));
    FILE *file = fopen(in_scratch("out"), "re");
    ck_assert_ptr_nonnull(fgets(read, sizeof read, file));
    fclose(file);
    ck_assert_str_eq(read, "{\"event\":\"alert\"}");
    ck_assert_uint_eq(handlers.untold, 0);
}
END_TEST

/* The caller is not held, and the program and what it has started end at the deadline. */
START_TEST(a_program_that_hangs_and_forks) {
    struct gr_alert_handlers handlers = {0};
    script("#!/bin/sh\n(sleep 2; touch \"$1\") &\nyes &\nsleep 2\ntouch \"$1\"\n");
    for (int i = 0; i < GR_HANDLERS_MAX; i++)
        ck_assert(handle(&handlers, 0.3, "{}"));
    ck_assert(!handle(&handlers, 0.3, "{}")); /* as many as there may be */
    ck_assert_uint_eq(handlers.untold, 1);
    nanosleep(&(struct timespec){4, 0}, NULL);
    ck_assert(!exists(in_scratch("out")));
    ck_assert(handle(&handlers, 0.3, "{}")); /* those have been reaped */
}
END_TEST

START_TEST(a_program_that_is_not_there) {
    struct gr_alert_handlers handlers = {0};
    ck_assert(handle(&handlers, 1, "{}")); /* timeout says so, to nobody */
    char *words[40];
    for (int i = 0; i < 40; i++)
        words[i] = scratch;
    ck_assert(!gr_alert_handle(&handlers, words, 40, 1, "{}"));
    ck_assert_uint_eq(handlers.untold, 1);
}
END_TEST

RUN_TESTS("alerts", healthy_rounds_are_silent, each_usual_rule_fires, short_rounds_may_swing,
          the_budget_comes_to_its_end, the_usual_rules_can_be_left_out, above_and_below, trends,
          of_the_median, a_program_is_told, a_program_that_hangs_and_forks,
          a_program_that_is_not_there)
