/* SPDX-License-Identifier: Apache-2.0 */
/* strategy: the registry, what it refuses, and the settings that a strategy brings to a config. */
#include <granary/config.h>

#include "scratch.h"

#include <stdio.h>
#include <string.h>

static void step(const struct gr_strategy_config *config, const struct gr_server_step *s) {
    s->parameters[0] += (float)gr_strategy_get(config, "reach") * s->mean[0][0];
}

static const struct gr_strategy_setting reach = {
    .name = "reach", .standard = "0.25", .high = 2, .below = true};
static const struct gr_strategy own = {
    .name = "own", .setting = {&reach}, .rule = {{"train.momentum", "0.5"}}, .step = step};

#define TEXT                                                                                       \
    "run: {rounds: 1}\ndata: {source: synthetic, silos: 2}\nmodel: {type: softmax}\n"              \
    "train: {learning_rate: 0.1, batch_size: 4"

static struct gr_config *parse(const char *text) {
    struct gr_config *config = NULL;
    if (gr_config_parse("t.yaml", text, strlen(text), NULL, 0, &config) != GR_OK) return NULL;
    return config;
}

START_TEST(own_strategy) {
    struct gr_config *config;
    char *text;
    ck_assert_ptr_null(gr_strategy_find("own"));
    ck_assert_ptr_null(parse(TEXT "}\nstrategy: {name: own}\n"));
    ck_assert_ptr_nonnull(strstr(gr_message(), "strategy.name: found \"own\", allowed fedavg"));
    ck_assert_int_eq(gr_strategy_register(&own), GR_OK);
    ck_assert_ptr_eq(gr_strategy_find("own"), &own);
    config = parse(TEXT "}\nstrategy: {name: own}\n");
    ck_assert_msg(config != NULL, "%s", gr_message());
    ck_assert_double_eq(gr_strategy_get(&config->strategy, "reach"), 0.25);
    ck_assert_double_eq(gr_strategy_get(&config->strategy, "server_momentum"), 0.9);
    ck_assert_int_eq(gr_config_to_yaml(config, &text), GR_OK);
    ck_assert_ptr_nonnull(strstr(text, "  reach: 0.25\n"));
    gr_free(text);
    gr_config_free(config);
    config = parse(TEXT "}\nstrategy: {name: own, reach: 1.5}\n");
    float w = 1, mean = 4;
    const struct gr_server_step s = {.n = 1, .parameters = &w, .mean = {&mean}};
    gr_strategy_find(config->strategy.name)->step(&config->strategy, &s);
    ck_assert_float_eq(w, 7);
    gr_config_free(config);
    ck_assert_ptr_null(parse(TEXT "}\nstrategy: {name: own, reach: 2}\n"));
    ck_assert_ptr_nonnull(strstr(gr_message(), "strategy.reach: found 2, allowed 0 <= x < 2"));
    ck_assert_ptr_null(parse(TEXT ", momentum: 0.6}\nstrategy: {name: own}\n"));
    ck_assert_ptr_nonnull(strstr(gr_message(), "train.momentum: found 0.6, allowed only 0.5"));
}
END_TEST

START_TEST(refusals) {
    static const struct gr_strategy_setting other = {.name = "tau", .standard = "1", .high = 1};
    static const struct {
        struct gr_strategy strategy;
        const char *message;
    } cases[] = {
        {{.name = "fedavg", .step = step}, "the name is taken"},
        {{.name = "Fed Avg", .step = step}, "lower-case"},
        {{.name = "", .step = step}, "lower-case"},
        {{.name = "a_name_that_is_longer_than_any_should_be", .step = step}, "lower-case"},
        {{.name = "none"}, "has no step"},
        {{.name = "many", .step = step, .n_sent = 3}, "vectors that it must not"},
        {{.name = "bare", .step = step, .corrects = true}, "vectors that it must not"},
        {{.name = "another", .setting = {&other}, .step = step}, "setting tau is another"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(gr_strategy_register(&cases[i].strategy), GR_ERROR_USAGE);
        ck_assert_msg(strstr(gr_message(), cases[i].message) != NULL, "%s", gr_message());
    }
}
END_TEST

/* A place for each, until there is none left. */
START_TEST(too_many) {
    static struct gr_strategy more[GR_STRATEGIES_MAX];
    static char name[GR_STRATEGIES_MAX][8];
    gr_status status = GR_OK;
    for (size_t i = 0; i < GR_STRATEGIES_MAX && status == GR_OK; i++) {
        snprintf(name[i], sizeof name[i], "more%zu", i);
        more[i] = (struct gr_strategy){.name = name[i], .step = step};
        status = gr_strategy_register(&more[i]);
    }
    ck_assert_int_eq(status, GR_ERROR_USAGE);
    ck_assert_ptr_nonnull(strstr(gr_message(), "found 32 strategies already"));
    ck_assert_ptr_nonnull(gr_strategy_at(GR_STRATEGIES_MAX - 1));
    ck_assert_ptr_null(gr_strategy_at(GR_STRATEGIES_MAX));
}
END_TEST

RUN_TESTS("strategies", own_strategy, refusals, too_many)
