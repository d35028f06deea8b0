/* SPDX-License-Identifier: Apache-2.0 */
/* The config: who may be missing from a round, and the faults that are rehearsed. */
#include "config.h"

#define NEED       "data: {source: synthetic, silos: 3}\n"
#define REHEARSE   "run: {rounds: 2, rehearsal: true}\n"
#define FAULT_KEYS "kind, silo, round, point, after_s, seconds"
#define KINDS      "allowed kill, stop, delay, slow, nan, explode or corrupt"
#define POINTS                                                                                     \
    "allowed train, ready, aggregate, seal, unmask, unmasking, commit, evaluate, losses, score, "  \
    "postprocess, record, "                                                                        \
    "checkpoint, write, recover, load, compare, fit, dictionary, statistics, count, open, "        \
    "fingerprint or start"

/* ---- round and alerts --------------------------------------------------------------------- */

static const struct {
    const char *section, *message;
} broken[] = {
    {"policy: {minimum_silos: 0}",
     "t.yaml:5: policy.minimum_silos: found 0, " WHOLE("1", "1000000")},
    {"policy: {digits: 18}", "t.yaml:5: policy.digits: found 18, " WHOLE("1", "17")},
    {"policy: {extremes: 1}", "t.yaml:5: policy.extremes: found 1, allowed true or false"},
    {"run: {rounds: 2, rehearsal: yes}",
     "t.yaml:1: run.rehearsal: found \"yes\", allowed true or false"},
    {"run: {rounds: 2, rehearsal: 1}", "t.yaml:1: run.rehearsal: found 1, allowed true or false"},
    {"round: {respawn: }", "t.yaml:5: round.respawn: found nothing, allowed true or false"},
    {"round: {quorum: 0}", "t.yaml:5: round.quorum: found 0, " WHOLE("1", "1000000")},
    {"round: {quorum: 4}", "t.yaml:5: round.quorum: found 4, allowed 1 to 3 (data.silos)"},
    {"round: {participants: 2, quorum: 3}",
     "t.yaml:5: round.quorum: found 3, allowed 1 to 2 (round.participants)"},
    {"round: {deadline_s: 0}",
     "t.yaml:5: round.deadline_s: found 0, allowed 0 < x <= 1e+06 seconds, or 10m, 36h, 2d"},
    {"round: {deadline_s: 1000001}",
     "t.yaml:5: round.deadline_s: found 1000001, allowed 0 < x <= 1e+06 seconds, or 10m, 36h, 2d"},
    {"round: {collective_deadline_s: 0}", "t.yaml:5: round.collective_deadline_s: found 0, allowed "
                                          "0 < x <= 1e+06 seconds, or 10m, 36h, 2d"},
    {"round: {collective_deadline_s: 1e7}", "t.yaml:5: round.collective_deadline_s: found 1e7, "
                                            "allowed 0 < x <= 1e+06 seconds, or 10m, 36h, 2d"},
    {"round: {start_deadline_s: 0}",
     "t.yaml:5: round.start_deadline_s: found 0, allowed 0 < x <= 1e+06 seconds, or 10m, 36h, 2d"},
    {"round: {heartbeat_s: 0.09}",
     "t.yaml:5: round.heartbeat_s: found 0.09, allowed 0 (none) or at least 0.1"},
    {"round: {heartbeat_s: -1}",
     "t.yaml:5: round.heartbeat_s: found -1, allowed 0 <= x <= 1e+06 seconds, or 10m, 36h, 2d"},
    {"round: {replay: [a]}", "t.yaml:5: round.replay: found a list, " PATH_TEXT},
    {"round: {deadline: 3}",
     "t.yaml:5: round.deadline: found an unknown key, allowed participants, sampling, share_sizes, "
     "availability, quorum, deadline_s, "
     "collective_deadline_s, heartbeat_s, start_deadline_s, respawn, replay; nearest is "
     "round.deadline_s"},
    {"alerts: {participation: 1.01}",
     "t.yaml:5: alerts.participation: found 1.01, allowed 0 <= x <= 1"},
    {"alerts: {rounds: 0}", "t.yaml:5: alerts.rounds: found 0, " WHOLE("1", "10000000")},
    /* A key of a fault is not what is meant elsewhere. */
    {"data: {source: synthetic, silo: 3}",
     "t.yaml:2: data.silo: found an unknown key, allowed source, silos, train, silo_tables, test, "
     "partition, synthetic, split_seed, validation_fraction, test_fraction, stratify, limit, csv, "
     "schema, "
     "disclosure_threshold; nearest "
     "is data.silos"},
    {"faults: [{kind: kill, silo: 0, round: 1}]",
     "t.yaml:5: faults: found 1, allowed none unless run.rehearsal is true"},
    {"faults: 3",
     "t.yaml:5: faults: found 3, allowed a list of at most 64, each a section of " FAULT_KEYS},
};

START_TEST(test_broken_rule) {
    must_fail(text_with(broken[_i].section), NULL, 0, broken[_i].message);
}
END_TEST

static const char *const allowed[] = {
    "round: {quorum: 3}",
    "round: {participants: 2, quorum: 2}",
    "round: {heartbeat_s: 0}",
    "round: {heartbeat_s: 0.1}",
    "round: {deadline_s: 1e6, collective_deadline_s: 1e-3}",
    "alerts: {participation: 0}",
    "alerts: {participation: 1}",
    "run: {rounds: 2, rehearsal: true}",
    "faults: []",
};

START_TEST(test_allowed) {
    gr_config_free(must_parse(text_with(allowed[_i]), NULL, 0));
}
END_TEST

/* ---- faults ------------------------------------------------------------------------------- */

/* The text of a rehearsal whose faults begin in line 6, an entry a line. */
static const char *rehearsal(const char *faults) {
    static char text[20000];
    snprintf(text, sizeof text, "%s%s%s\n%s\nfaults:\n%s\n", REHEARSE, NEED, base[2], base[3],
             faults);
    return text;
}

static const struct {
    const char *faults, *message;
} broken_faults[] = {
    {"- {}", "t.yaml:6: faults[0].kind: is required; found nothing, " KINDS "\n"
             "t.yaml:6: faults[0].silo: is required; found nothing, " WHOLE(
                 "0", "999999") "\n"
                                "t.yaml:6: faults[0].round: is required; found nothing, " WHOLE(
                                    "0", "10000000")},
    {"- {kind: kill, silo: 3, round: 1}",
     "t.yaml:6: faults[0].silo: found 3, allowed 0 to 2 (data.silos is 3)"},
    {"- {kind: kill, silo: 0, round: 1}\n- {kind: kill, silo: 0, round: 0}",
     "t.yaml:7: faults[1].round: found 0, allowed at least 1 at this point"},
    {"- {kind: kill, silo: 0, round: 1, point: fit}",
     "t.yaml:6: faults[0].round: found 1, allowed only 0 at this point"},
    {"- {kind: explodes, silo: 0, round: 1}",
     "t.yaml:6: faults[0].kind: found \"explodes\", " KINDS},
    {"- {kind: kill, silo: 0, round: 1, point: summing}",
     "t.yaml:6: faults[0].point: found \"summing\", " POINTS},
    {"- {kind: nan, silo: 0, round: 1, point: ready}",
     "t.yaml:6: faults[0].point: found ready, allowed only train with kind nan"},
    {"- {kind: explode, silo: 0, round: 1, point: recover}",
     "t.yaml:6: faults[0].point: found recover, allowed only train with kind explode"},
    {"- {kind: corrupt, silo: 0, round: 1}",
     "t.yaml:6: faults[0].point: found train, allowed only checkpoint with kind corrupt"},
    {"- {kind: corrupt, silo: 0, round: 1, point: nowhere}",
     "t.yaml:6: faults[0].point: found \"nowhere\", " POINTS},
    {"- {kind: delay, silo: 0, round: 1, seconds: x}",
     "t.yaml:6: faults[0].seconds: found \"x\", allowed 0 <= x <= 1e+06 seconds, or 10m, 36h, 2d"},
    {"- {kind: delay, silo: 0, round: 1}",
     "t.yaml:6: faults[0].seconds: found 0, allowed more than 0 with kind delay"},
    {"- kind: delay\n  silo: 0\n  round: 1\n  seconds: 0.0",
     "t.yaml:9: faults[0].seconds: found 0, allowed more than 0 with kind delay"},
    {"- {kind: kill, silo: 0, round: 1, after_s: -1}",
     "t.yaml:6: faults[0].after_s: found -1, allowed 0 <= x <= 1e+06 seconds, or 10m, 36h, 2d"},
    {"- {kind: stop, silo: 0, round: 1, seconds: 1e7}",
     "t.yaml:6: faults[0].seconds: found 1e7, allowed 0 <= x <= 1e+06 seconds, or 10m, 36h, 2d"},
    {"- {kind: stop, silo: 0, round: 1, second: 1}",
     "t.yaml:6: faults[0].second: found an unknown key, allowed " FAULT_KEYS
     "; nearest is faults[0].seconds"},
    {"- {kin: nan, silo: 0, round: 1, point: ready}",
     "t.yaml:6: faults[0].kin: found an unknown key, allowed " FAULT_KEYS
     "; nearest is faults[0].kind"},
    {"- kill", "t.yaml:6: faults[0]: found \"kill\", allowed a section of " FAULT_KEYS},
    /* All of them, whatever stands between. */
    {"- {kind: kill, silo: 7, round: 1}\n- 3\n- {kind: delay, silo: 8, round: 1}",
     "t.yaml:7: faults[1]: found 3, allowed a section of " FAULT_KEYS "\n"
     "t.yaml:6: faults[0].silo: found 7, allowed 0 to 2 (data.silos is 3)\n"
     "t.yaml:8: faults[2].silo: found 8, allowed 0 to 2 (data.silos is 3)\n"
     "t.yaml:8: faults[2].seconds: found 0, allowed more than 0 with kind delay"},
};

START_TEST(test_broken_fault) {
    must_fail(rehearsal(broken_faults[_i].faults), NULL, 0, broken_faults[_i].message);
}
END_TEST

START_TEST(test_faults) {
    struct gr_config *c = must_parse(
        rehearsal("- {kind: kill, silo: 0, round: 1}\n"
                  "- {kind: stop, silo: 1, round: 10000000, point: ready, after_s: 0.5}\n"
                  "- {kind: delay, silo: 2, round: 2, point: aggregate, seconds: 2.5}\n"
                  "- {kind: nan, silo: 0, round: 2}\n"
                  "- {kind: explode, silo: 0, round: 2, point: train}\n"
                  "- {kind: corrupt, silo: 0, round: 2, point: checkpoint}\n"
                  "- {kind: kill, silo: 0, round: 3, point: commit}\n"
                  "- {kind: kill, silo: 0, round: 3, point: evaluate}\n"
                  "- {kind: kill, silo: 0, round: 3, point: record}\n"
                  "- {kind: kill, silo: 0, round: 3, point: seal}\n"
                  "- {kind: kill, silo: 0, round: 3, point: score}\n"
                  "- {kind: kill, silo: 0, round: 3, point: recover}"),
        NULL, 0);
    static const enum gr_fault_kind kinds[] = {GR_FAULT_KILL, GR_FAULT_STOP,    GR_FAULT_DELAY,
                                               GR_FAULT_NAN,  GR_FAULT_EXPLODE, GR_FAULT_CORRUPT};
    static const enum gr_fault_point points[] = {
        GR_POINT_TRAIN,  GR_POINT_READY,      GR_POINT_AGGREGATE, GR_POINT_TRAIN,
        GR_POINT_TRAIN,  GR_POINT_CHECKPOINT, GR_POINT_COMMIT,    GR_POINT_EVALUATE,
        GR_POINT_RECORD, GR_POINT_SEAL,       GR_POINT_SCORE,     GR_POINT_RECOVER};
    ck_assert(c->run.rehearsal);
    ck_assert_uint_eq(c->faults_count, COUNT(points));
    for (size_t i = 0; i < COUNT(points); i++) {
        ck_assert_int_eq(c->faults[i].kind, i < COUNT(kinds) ? kinds[i] : GR_FAULT_KILL);
        ck_assert_int_eq(c->faults[i].point, points[i]);
    }
    ck_assert_double_eq(c->faults[0].after_s, 0);
    ck_assert_double_eq(c->faults[0].seconds, 0);
    ck_assert_uint_eq(c->faults[1].silo, 1);
    ck_assert_uint_eq(c->faults[1].round, 10000000);
    ck_assert_double_eq(c->faults[1].after_s, 0.5);
    ck_assert_double_eq(c->faults[2].seconds, 2.5);
    gr_config_free(c);
}
END_TEST

/* 64 at most; of more the number is told, and no rule between them and others. */
START_TEST(test_many_faults) {
    char faults[8192] = "";
    for (int i = 0; i < 64; i++)
        strcat(faults, "- {kind: kill, silo: 0, round: 1}\n");
    struct gr_config *c = must_parse(rehearsal(faults), NULL, 0);
    ck_assert_uint_eq(c->faults_count, 64);
    gr_config_free(c);
    strcat(faults, "- {kind: delay, silo: 9, round: 1}\n");
    must_fail(rehearsal(faults), NULL, 0,
              "t.yaml:5: faults: found a list of 65, allowed a list of at most 64, each a section "
              "of " FAULT_KEYS);
}
END_TEST

/* From the command line, where a list is the value of one override. */
START_TEST(test_overrides) {
    const char *const overrides[] = {"run.rehearsal=true",
                                     "faults=[{kind: kill, silo: 2, round: 1}]"};
    struct gr_config *c = must_parse(text_with(NULL), overrides, 2);
    ck_assert_uint_eq(c->faults_count, 1);
    ck_assert_uint_eq(c->faults[0].silo, 2);
    gr_config_free(c);
    must_fail(text_with(NULL), overrides + 1, 1,
              "--set faults: found 1, allowed none unless run.rehearsal is true");
    const char *const wrong[] = {"run.rehearsal=true", "faults=[{kind: kill, silo: 3, round: 1}]"};
    must_fail(text_with(NULL), wrong, 2,
              "--set faults: faults[0].silo: found 3, allowed 0 to 2 (data.silos is 3)");
    /* A list has no keys. */
    const char *const below[] = {"run.rehearsal=true", "faults=[]", "faults.kind=kill"};
    must_fail(text_with(NULL), below, 3,
              "--set faults.kind: found a key below what is no section, allowed "
              "section.key=value");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config faults");
    TCase *rules = tcase_create("rules");
    tcase_add_loop_test(rules, test_broken_rule, 0, (int)COUNT(broken));
    tcase_add_loop_test(rules, test_allowed, 0, (int)COUNT(allowed));
    tcase_add_loop_test(rules, test_broken_fault, 0, (int)COUNT(broken_faults));
    tcase_add_test(rules, test_faults);
    tcase_add_test(rules, test_many_faults);
    tcase_add_test(rules, test_overrides);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
