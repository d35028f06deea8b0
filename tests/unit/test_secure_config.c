/* SPDX-License-Identifier: Apache-2.0 */
/* Which configs, studies and schemas may have secure sums, and what becomes of each release. */
#include "config.h"
#include "study.h"

#include <granary/release.h>

#include "privacy/secure_sum.h"

#define SECURE "secure: {aggregation: true}\n"
#define GRID   "aggregation: {grid: public, clip_norm: 1, weight_max: 100}\n"

/* ---- a config ---------------------------------------------------------------------------------
 */

static const struct {
    const char *section, *message;
} refused[] = {
    {"secure: {threshold: 3}", "t.yaml:5: secure.threshold: found 3, allowed only 0, the default, "
                               "with secure.aggregation false"},
    {"secure: {colluding: 1}", "t.yaml:5: secure.colluding: found 1, allowed only 0, the default, "
                               "with secure.aggregation false"},
    {"secure: {neighbours: 6}",
     "t.yaml:5: secure.neighbours: found 6, allowed only 0, the default, "
     "with secure.aggregation false"},
    {"data: {source: synthetic, silos: 9}\n" GRID "secure: {aggregation: true, neighbours: 8}",
     "t.yaml:4: secure.neighbours: found 8, allowed only 0 with 9 silos: up to 64 are all "
     "neighbours of each other"},
    {"data: {source: synthetic, silos: 80}\n" GRID "secure: {aggregation: true, neighbours: 57}",
     "t.yaml:4: secure.neighbours: found 57, allowed 0 (which is 58) or 58 to 79 of 80 silos"},
    {"data: {source: synthetic, silos: 80}\n" GRID "secure: {aggregation: true, neighbours: 80}",
     "t.yaml:4: secure.neighbours: found 80, allowed 0 (which is 58) or 58 to 79 of 80 silos"},
    {"data: {source: synthetic, silos: 1000}\n" GRID "secure: {aggregation: true, colluding: 130}",
     "t.yaml:4: secure.neighbours: found 0, and 1000 silos with a threshold of 667 and 130 "
     "colluding need more than 254: a higher secure.threshold needs fewer"},
    {SECURE, "t.yaml: aggregation.grid: found agreed, allowed only public with secure.aggregation "
             "true: an agreed grid tells of single updates"},
    {SECURE "aggregation: {encoding: ring16}",
     "t.yaml:6: aggregation.grid: found agreed, allowed only public with secure.aggregation true: "
     "an agreed grid tells of single updates\n"
     "t.yaml:6: aggregation.encoding: found ring16, allowed ring32 or ring64 with "
     "secure.aggregation true"},
    {SECURE "aggregation: {grid: public, clip_norm: 1, weight_max: 100, encoding: ring16}",
     "t.yaml:6: aggregation.encoding: found ring16, allowed ring32 or ring64 with "
     "secure.aggregation true"},
    {SECURE GRID "strategy: {name: median}",
     "t.yaml:7: strategy.name: found median, allowed only strategies that add up one vector of "
     "each silo with secure.aggregation true"},
    {SECURE GRID "strategy: {name: scaffold}",
     "t.yaml:7: strategy.name: found scaffold, allowed only strategies that add up one vector of "
     "each silo with secure.aggregation true"},
    {SECURE GRID "round: {sampling: size, participants: 2, share_sizes: true}",
     "t.yaml:7: round.sampling: found size, allowed uniform, cyclic or list with "
     "secure.aggregation true: the rows of a single silo are no sum"},
    {SECURE GRID "evaluate: {per_silo: true}",
     "t.yaml:7: evaluate.per_silo: found true, allowed only false with secure.aggregation true: "
     "the scores of a single silo are no sum"},
    {SECURE GRID "policy: {extremes: true}",
     "t.yaml:7: policy.extremes: found true, allowed only false with secure.aggregation true: the "
     "least value is no sum"},
    {SECURE GRID "preprocess: {scale: standardise}",
     "t.yaml:7: preprocess.scale: found standardise, allowed only none with secure.aggregation "
     "true and data.source synthetic, whose features have no range"},
    {"data: {source: csv, silo_tables: [{file: a}, {file: b}, {file: c}]}\n" SECURE GRID,
     "t.yaml:2: data.schema: is required; found nothing, allowed a path with secure.aggregation "
     "true: columns, categories and ranges are not asked of silos"},
    {"data: {source: idx, silo_tables: [{features: a, labels: b}, {features: c, labels: d}, "
     "{features: e, labels: f}]}\n" SECURE GRID,
     "t.yaml:6: model.classes: is required; found nothing, allowed the number of classes with "
     "secure.aggregation true: the greatest label is not asked of silos"},
    {"data: {source: synthetic, silos: 2}\n" SECURE GRID,
     "t.yaml:3: secure.aggregation: found true, allowed only false with 2 silos: secure sums are "
     "of 3 to 1024"},
    {"data: {source: synthetic, silos: 1025}\n" SECURE GRID,
     "t.yaml:3: secure.aggregation: found true, allowed only false with 1025 silos: secure sums "
     "are "
     "of 3 to 1024"},
    {"data: {source: synthetic, silos: 9}\n" GRID "secure: {aggregation: true, threshold: 4}",
     "t.yaml:4: secure.threshold: found 4, allowed 0 (which is 7) or 5 to 9 of 9 silos"},
    {"data: {source: synthetic, silos: 9}\n" GRID "secure: {aggregation: true, threshold: 10}",
     "t.yaml:4: secure.threshold: found 10, allowed 0 (which is 7) or 5 to 9 of 9 silos"},
    {"data: {source: synthetic, silos: 9}\n" GRID "secure: {aggregation: true, colluding: 5}",
     "t.yaml:4: secure.colluding: found 5, allowed 0 to 4 with a threshold of 7 of 9 silos: more "
     "could sign two rosters for one sum"},
};

START_TEST(each_rule_is_told_at_its_place) {
    must_fail(text_with(refused[_i].section), NULL, 0, refused[_i].message);
}
END_TEST

/* What is allowed, and that a masked run has a digest of its own: it fits otherwise. */
START_TEST(secure_sums_may_be_asked_for) {
    static const char *const allowed[] = {
        "strategy: {name: fedadam}", "round: {participants: 2}",
        "round: {sampling: cyclic, "
        "participants: 2}",
        "model: {type: softmax}\ntrain: {learning_rate: 0.1, batch_size: 4, "
        "class_weights: balanced}"};
    char text[1024], plain[GR_DIGEST_HEX], masked[GR_DIGEST_HEX];
    for (size_t i = 0; i < COUNT(allowed); i++) {
        const bool whole = strncmp(allowed[i], "model", 5) == 0;
        snprintf(text, sizeof text, "%s\n%s\n%s%s\n" SECURE GRID, base[0], base[1],
                 whole ? ""
                       : "model: {type: softmax}\ntrain: {learning_rate: 0.1, batch_size: "
                         "4}\n",
                 allowed[i]);
        struct gr_config *config = must_parse(text, NULL, 0);
        ck_assert(config->secure.aggregation);
        ck_assert_uint_eq(gr_secure_parties(config), 3);
        ck_assert_uint_eq(gr_secure_threshold(config, 3), 3);
        gr_config_free(config);
    }
    struct gr_config *config = must_parse(text_with(GRID), NULL, 0);
    digest_of(config, plain);
    gr_config_free(config);
    config = must_parse(text_with(GRID SECURE), NULL, 0);
    digest_of(config, masked);
    ck_assert_str_ne(plain, masked);
    char *yaml = yaml_of(config);
    ck_assert_ptr_nonnull(strstr(yaml, "secure:\n  aggregation: true\n  threshold: 0\n"));
    gr_config_free(config);
    config = must_parse(yaml, NULL, 0);
    ck_assert(config->secure.aggregation);
    gr_config_free(config);
    gr_free(yaml);
}
END_TEST

/* The rules of a config are those by which a party of a sum goes. */
START_TEST(the_rules_are_those_of_the_protocol) {
    struct gr_public_key identities[GR_SECURE_PARTIES_MAX];
    char text[512];
    memset(identities, 0, sizeof identities);
    static const uint32_t sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 30, 64, 65, 300, 1024, 1025};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const uint32_t n = sizes[i], many = n / 10;
        for (uint32_t t = 0; t <= n + 1; t += n < 12 ? 1 : 1 + many)
            for (uint32_t c = 0; c <= n + 1; c += n < 12 ? 1 : 1 + many) {
                struct gr_config *config = NULL;
                struct gr_secure_terms terms = {.identities = identities,
                                                .n_parties = n,
                                                .threshold = t ? t : gr_secure_threshold_default(n),
                                                .colluding = c};
                snprintf(text, sizeof text,
                         "run: {rounds: 2}\ndata: {source: synthetic, silos: %u}\n"
                         "model: {type: softmax}\ntrain: {learning_rate: 0.1, batch_size: 4}\n" GRID
                         "secure: {aggregation: true, threshold: %u, colluding: %u}\n",
                         n, t, c);
                const gr_status told = parse_text(text, NULL, 0, &config);
                const gr_status expected = gr_secure_terms_check(&terms);
                ck_assert_msg(told == expected, "%u of %u, %u colluding: %d, expected %d", t, n, c,
                              told, expected);
                gr_config_free(config);
            }
    }
}
END_TEST

/* ---- columns ----------------------------------------------------------------------------------
 */

#define SICK "- {name: sick, type: label, categories: [no, yes]}\n"

static const struct {
    const char *columns, *preprocess, *message; /* message NULL: allowed */
} schemas[] = {
    {"- {name: age, type: number, range: [0, 120]}\n" SICK, "{scale: standardise}", NULL},
    {"- {name: seen, type: date, in: years, range: [0, 40]}\n" SICK, "{scale: standardise}", NULL},
    {"- {name: seen, type: date, in: years}\n" SICK, "{scale: standardise}",
     "columns[0].range: found none, allowed [low, high] of a number that is scaled or filled"},
    {"- {name: age, type: number}\n" SICK, "{scale: none}", NULL},
    {"- {name: age, type: number, missing: mean}\n" SICK, "{scale: none}",
     "columns[0].range: found none, allowed [low, high] of a number that is scaled or filled"},
    {"- {name: age, type: number}\n" SICK, "{scale: standardise}",
     "columns[0].range: found none, allowed [low, high] of a number that is scaled or filled"},
    {"- {name: age, type: number, scale: min_max}\n" SICK, "{scale: none}",
     "columns[0].range: found none, allowed [low, high] of a number that is scaled or filled"},
    {"- {name: town, type: category}\n" SICK, "{scale: none}",
     "columns[0].categories: found none, allowed the list of all categories"},
    {"- {name: town, type: category, categories: [a, b], open: true}\n" SICK, "{scale: none}",
     "columns[0].open: found true, allowed only false"},
    {"- {name: town, type: category, categories: [a, b]}\n" SICK, "{scale: standardise}", NULL},
    {"- {name: age, type: number}\n- {name: sick, type: label}\n", "{scale: none}",
     "columns[1].categories: found none, allowed the list of classes, or model.classes,"},
    {"- {name: age, type: number}\n- {name: w, type: weight}\n" SICK, "{scale: none}",
     "columns[1].range: found none, allowed [low, high] of a weight"},
    {"- {name: age, type: number}\n- {name: w, type: weight, range: [0, 8]}\n" SICK,
     "{scale: none}", NULL},
};

START_TEST(a_schema_says_what_silos_are_not_asked_for) {
    char schema[1024], text[1024], path[256], expected[1024];
    snprintf(schema, sizeof schema, "columns:\n%s", schemas[_i].columns);
    snprintf(path, sizeof path, "%s", in_scratch("schema.yaml"));
    spill(path, schema, strlen(schema));
    for (int secure = 0; secure < 2; secure++) {
        snprintf(text, sizeof text,
                 "run: {rounds: 2}\n"
                 "data: {source: csv, schema: %s, silo_tables: [{file: a}, {file: b}, {file: c}]}\n"
                 "model: {type: logistic}\ntrain: {learning_rate: 0.1, batch_size: 4}\n"
                 "preprocess: %s\n%s",
                 path, schemas[_i].preprocess, secure ? GRID SECURE : "");
        struct gr_config *config = must_parse(text, NULL, 0);
        const gr_status status = gr_schema_check_secure(config);
        if (!secure || !schemas[_i].message) {
            ck_assert_msg(status == GR_OK, "%s", gr_message());
        } else {
            ck_assert_int_eq(status, GR_ERROR_CONFIG);
            const unsigned line = schemas[_i].message[8] == '0' ? 2 : 3;
            snprintf(expected, sizeof expected, "%s:%u: %s with secure.aggregation true", path,
                     line, schemas[_i].message);
            ck_assert_str_eq(gr_message(), expected);
        }
        gr_config_free(config);
    }
}
END_TEST

/* ---- a study ----------------------------------------------------------------------------------
 */

static gr_status read_study(const char *text, struct gr_study **out) {
    const char *words = with_keys(text);
    return gr_study_parse("s.yaml", words, strlen(words), out);
}

static void check_refused_study(const char *text, const char *message) {
    struct gr_study *study = NULL;
    ck_assert_int_eq(read_study(text, &study), GR_ERROR_CONFIG);
    ck_assert_str_eq(gr_message(), message);
}

/* Its parties are its sites, of which one here has two silos. */
START_TEST(a_studys_parties_are_its_sites) {
    make_keys();
    check_refused_study(STUDY_HEAD STUDY_CONFIG GRID SECURE,
                        "s.yaml: schema: is required; found nothing, allowed the section `schema` "
                        "with secure.aggregation true: columns, categories and ranges are not "
                        "asked of silos");
    check_refused_study(STUDY GRID "secure: {aggregation: true, threshold: 4}\n",
                        "s.yaml:19: secure.threshold: found 4, allowed 0 (which is 3) or 2 to 3 "
                        "of 3 sites");
    check_refused_study(
        STUDY_HEAD "schema:\n"
                   "  columns:\n"
                   "  - {name: age, type: number}\n"
                   "  - {name: town, type: category}\n"
                   "  - {name: sick, type: label, categories: [no, yes]}\n" STUDY_CONFIG GRID SECURE
                   "preprocess: {scale: standardise}\n",
        "s.yaml:10: schema.columns[0].range: found none, allowed [low, high] of a "
        "number that is scaled or filled with secure.aggregation true\n"
        "s.yaml:11: schema.columns[1].categories: found none, allowed the list of "
        "all categories with secure.aggregation true");
    check_refused_study(
        "study:\n"
        "  name: x\n"
        "  coordinator: @0\n"
        "  sites: [{name: a, key: @1, silos: [p, q]}, {name: b, key: @2}]\n" STUDY_SCHEMA
        "run: {rounds: 5}\n"
        "data: {source: csv}\n"
        "model: {type: logistic}\n"
        "train: {learning_rate: 0.05, batch_size: 16}\n" GRID SECURE,
        "s.yaml:15: secure.aggregation: found true, allowed only false with 2 "
        "sites: secure sums are of 3 to 1024");
    check_refused_study("study:\n"
                        "  name: x\n"
                        "  coordinator: @0\n"
                        "  sites: [{name: a, key: @1, silos: [p, q]}, {name: b, key: @2}, "
                        "{name: c, key: @3, left: true}]\n" STUDY_SCHEMA "run: {rounds: 5}\n"
                        "data: {source: csv}\n"
                        "model: {type: logistic}\n"
                        "train: {learning_rate: 0.05, batch_size: 16}\n" GRID SECURE,
                        "s.yaml:15: secure.threshold: found 3, allowed at most the 2 sites that "
                        "have not left");
}
END_TEST

START_TEST(configs_of_a_study_have_its_terms) {
    static const struct gr_site_silo_config tables[] = {{"cleveland", "", "", "c.csv", ""},
                                                        {"zurich-a", "", "", "a.csv", ""},
                                                        {"zurich-b", "", "", "b.csv", ""},
                                                        {"budapest", "", "", "d.csv", ""}};
    struct gr_study *study = NULL;
    struct gr_site *site = NULL;
    struct gr_config *config = NULL;
    make_keys();
    MUST(read_study(STUDY GRID "secure: {aggregation: true, threshold: 2}\n", &study));
    MUST(gr_site_load(put("site.yaml", SITE), &site));
    MUST(gr_study_configure(study, site, in_scratch("."), &config));
    ck_assert(config->secure.aggregation);
    ck_assert_uint_eq(gr_secure_parties(config), 3);
    ck_assert_uint_eq(gr_secure_threshold(config, 3), 2);
    gr_config_free(config);
    /* A site by itself has no sums with others. */
    MUST(gr_study_configure_alone(study, site, in_scratch("."), &config));
    ck_assert(!config->secure.aggregation);
    gr_config_free(config);
    /* On one machine silos are the parties. */
    MUST(gr_study_configure_trial(study, tables, COUNT(tables), in_scratch("."), &config));
    ck_assert(config->secure.aggregation);
    ck_assert_uint_eq(gr_secure_parties(config), 4);
    ck_assert_uint_eq(gr_secure_threshold(config, 4), 3);
    gr_config_free(config);
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* Of three sites with 70 silos a trial on one machine has 70 parties. */
START_TEST(a_trial_has_more_parties_than_a_complete_graph) {
    enum { SILOS = 70 };
    static struct gr_site_silo_config tables[SILOS];
    static char names[SILOS][8], text[4096];
    struct gr_study *study = NULL;
    struct gr_config *config = NULL;
    size_t at =
        (size_t)snprintf(text, sizeof text,
                         "study:\n  name: x\n  coordinator: @0\n  sites: [{name: a, key: @1}, "
                         "{name: b, key: @2}, {name: c, key: @3, silos: [");
    for (size_t i = 0; i < SILOS; i++) {
        snprintf(names[i], sizeof names[i], i == 0 ? "a" : i == 1 ? "b" : "s%zu", i);
        tables[i] = (struct gr_site_silo_config){names[i], "", "", "t.csv", ""};
        if (i > 1)
            at +=
                (size_t)snprintf(text + at, sizeof text - at, "%s%s", i > 2 ? ", " : "", names[i]);
    }
    snprintf(text + at, sizeof text - at, "%s",
             "]}]\n" STUDY_SCHEMA "run: {rounds: 5}\ndata: {source: csv}\nmodel: {type: logistic}\n"
             "train: {learning_rate: 0.05, batch_size: 16}\n" GRID SECURE);
    make_keys();
    MUST(read_study(text, &study));
    MUST(gr_study_configure_trial(study, tables, SILOS, in_scratch("."), &config));
    ck_assert(config->secure.aggregation);
    ck_assert_uint_eq(gr_secure_parties(config), SILOS);
    ck_assert_uint_eq(gr_secure_threshold(config, SILOS), 47);
    gr_config_free(config);
    gr_study_free(study);
}
END_TEST

/* ---- releases ---------------------------------------------------------------------------------
 */

START_TEST(what_is_refused_does_not_leave) {
    struct gr_config *plain = must_parse(text_with(GRID), NULL, 0);
    struct gr_config *masked = must_parse(text_with(GRID SECURE), NULL, 0);
    size_t n, refusals = 0;
    const struct gr_release_row *rows = gr_release_rows(&n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(gr_release_secure(rows[i].id), rows[i].secure);
        if (rows[i].secure == GR_SECURE_REFUSED)
            ck_assert(!gr_release_leaves(rows[i].id, masked));
        else
            ck_assert_int_eq(gr_release_leaves(rows[i].id, masked),
                             gr_release_leaves(rows[i].id, plain));
        refusals += rows[i].secure == GR_SECURE_REFUSED;
    }
    ck_assert_uint_eq(refusals, 10);
    ck_assert_int_eq(gr_release_secure(GR_RELEASE_UPDATE), GR_SECURE_MASKED);
    ck_assert_int_eq(gr_release_secure(GR_RELEASE_CLASSES_HELD), GR_SECURE_BITS);
    ck_assert_int_eq(gr_release_secure(GR_RELEASE_SHAPE), GR_SECURE_AS_IT_IS);
    ck_assert_int_eq(gr_release_secure(GR_RELEASES_MAX), GR_SECURE_REFUSED);
    ck_assert(gr_release_leaves(GR_RELEASE_AUC_BOUNDS, plain));
    gr_config_free(plain);
    gr_config_free(masked);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("secure config");
    TCase *tcase = tcase_create("secure config");
    if (gr_base_start() != GR_OK) return 1;
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, scratch_make, scratch_remove);
    tcase_add_loop_test(tcase, each_rule_is_told_at_its_place, 0, (int)COUNT(refused));
    tcase_add_test(tcase, secure_sums_may_be_asked_for);
    tcase_add_test(tcase, the_rules_are_those_of_the_protocol);
    tcase_add_loop_test(tcase, a_schema_says_what_silos_are_not_asked_for, 0, (int)COUNT(schemas));
    tcase_add_test(tcase, a_studys_parties_are_its_sites);
    tcase_add_test(tcase, configs_of_a_study_have_its_terms);
    tcase_add_test(tcase, a_trial_has_more_parties_than_a_complete_graph);
    tcase_add_test(tcase, what_is_refused_does_not_leave);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
