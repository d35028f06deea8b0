/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A silo is taken out: who took part in which round by config and events, worked out by hand; and
 * the statement, whose every word is signed.
 */
#include <granary/federation.h>
#include <granary/store.h>
#include <granary/study.h>

#include <sys/stat.h>

#include "scratch.h"

static const char named[] = "run: {rounds: 6, rehearsal: true}\n"
                            "data: {source: csv, silo_tables: [{file: 1}, {file: 2}, {file: 3}, "
                            "{file: 4}, {file: 5}]}\n"
                            "silos: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}]\n"
                            "model: {type: mlp, hidden: [3]}\n"
                            "train: {learning_rate: 0.1, batch_size: 4}\n"
                            "faults: [{kind: kill, silo: 3, round: 4}]\n";

/* The config above, with the sections `round` behind it. */
static struct gr_config *config_of(const char *round) {
    struct gr_config *config;
    char text[1024];
    snprintf(text, sizeof text, "%s%s", named, round);
    MUST(gr_config_parse("named", text, strlen(text), NULL, 0, &config));
    return config;
}

/* "1 2:3-5" for silos 1 and 2 in rounds 3 to 5. */
static const char *written(const struct gr_recorded_rounds *rounds) {
    static char text[512];
    text[0] = '\0';
    for (unsigned e = 0; e < rounds->n; e++) {
        const struct gr_availability_config *entry = &rounds->entries[e];
        for (unsigned i = 0; i < entry->silos_count; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u",
                     i > 0   ? " "
                     : e > 0 ? ", "
                             : "",
                     entry->silos[i]);
        snprintf(text + strlen(text), sizeof text - strlen(text), ":%u-%u", entry->from, entry->to);
    }
    return text;
}

static const char *rounds_of(const char *round, const char *events, uint32_t silo,
                             struct gr_silo_part_taken *taken) {
    struct gr_recorded_rounds rounds;
    struct gr_config *config = config_of(round);
    spill(in_scratch("events.jsonl"), events, strlen(events));
    MUST(gr_rounds_without(config, in_scratch("events.jsonl"), 6, silo, &rounds, taken));
    const char *text = written(&rounds);
    gr_recorded_rounds_release(&rounds);
    gr_config_free(config);
    return text;
}

START_TEST(who_took_part) {
    struct gr_silo_part_taken taken;
    ck_assert_str_eq(rounds_of("", "", 1, &taken), "");
    ck_assert_uint_eq(taken.first, 1);
    ck_assert_uint_eq(taken.rounds, 6);
    /* d is absent from round 4 on, and a in round 2; without b, c is 1, d is 2 and e is 3. */
    const char *events =
        "{\"event\":\"partial\",\"round\":2,\"absent\":[\"silo-000\"]}\n"
        "{\"event\":\"partial\",\"round\":4,\"absent\":[\"silo-003\"],\"stands\":true}\n";
    ck_assert_str_eq(rounds_of("", events, 1, &taken), "0 2:1-1, 2:2-2, 0 2:3-3, 0:4-6");
    ck_assert_str_eq(rounds_of("", events, 3, &taken), "0:1-1, 0:3-6");
    ck_assert_uint_eq(taken.rounds, 3);
    ck_assert_str_eq(rounds_of("", events, 0, &taken), "2:1-3");
    ck_assert_uint_eq(taken.rounds, 5);
}
END_TEST

/* Of three in turn, in the order of names: a b c, d e a, b c d, e a b, c d e, a b c. */
START_TEST(who_was_drawn) {
    struct gr_silo_part_taken taken;
    const char *round = "round: {participants: 3, sampling: cyclic}\n"
                        "policy: {minimum_silos: 2}\n";
    ck_assert_str_eq(rounds_of(round, "", 2, &taken),
                     "0 1:1-1, 0 2 3:2-2, 1 2:3-3, 0 1 3:4-4, 2 3:5-5, 0 1:6-6");
    ck_assert_uint_eq(taken.first, 1);
    ck_assert_uint_eq(taken.rounds, 4);
    /* e came instead of a in round 1, where none of c's was asked; b in none at all. */
    const char *events = "{\"event\":\"partial\",\"round\":1,\"absent\":[\"silo-000\"],\"instead\":"
                         "[\"silo-004\"]}\n";
    ck_assert_str_eq(rounds_of(round, events, 2, &taken),
                     "1 3:1-1, 0 2 3:2-2, 1 2:3-3, 0 1 3:4-4, 2 3:5-5, 0 1:6-6");
}
END_TEST

START_TEST(strangers_stay_away) {
    struct gr_silo_part_taken taken;
    const char *events =
        "{\"event\":\"partial\",\"round\":1,\"absent\":[\"silo-000\",\"silo-004\"],"
        "\"stands\":true}\n";
    ck_assert_str_eq(rounds_of("", events, 4, &taken), "0:7-0");
    ck_assert_uint_eq(taken.first, 0);
    ck_assert_uint_eq(taken.rounds, 0);
}
END_TEST

START_TEST(sizes_are_not_recorded) {
    struct gr_silo_part_taken taken;
    struct gr_recorded_rounds rounds;
    struct gr_config *config =
        config_of("round: {participants: 3, sampling: size, share_sizes: true}\n");
    spill(in_scratch("events.jsonl"), "", 0);
    ck_assert_int_eq(gr_rounds_without(config, in_scratch("events.jsonl"), 6, 1, &rounds, &taken),
                     GR_ERROR_CONFIG);
    gr_recorded_rounds_release(&rounds);
    gr_config_free(config);
}
END_TEST

START_TEST(void_rounds_are_not_repeated) {
    struct gr_silo_part_taken taken;
    struct gr_recorded_rounds rounds;
    struct gr_config *config = config_of("round: {participants: 3}\n");
    const char *events = "{\"event\":\"void\",\"round\":2}\n";
    spill(in_scratch("events.jsonl"), events, strlen(events));
    ck_assert_int_eq(gr_rounds_without(config, in_scratch("events.jsonl"), 6, 1, &rounds, &taken),
                     GR_ERROR_CONFIG);
    ck_assert(strstr(gr_message(), "round 2 was void"));
    gr_recorded_rounds_release(&rounds);
    gr_config_free(config);
}
END_TEST

/* The others keep their names, tables and settings; what a rehearsal did is not done again. */
START_TEST(a_config_without) {
    struct gr_recorded_rounds rounds = {.n_rounds = 5, .minimum_silos = 3};
    struct gr_config *config = config_of("round: {participants: 5}\n"), *less;
    char *yaml;
    MUST(gr_config_without(config, 1, &rounds, &yaml));
    MUST(gr_config_parse("less", yaml, strlen(yaml), NULL, 0, &less));
    ck_assert_uint_eq(less->data.silos, 4);
    ck_assert_uint_eq(less->silos_count, 4);
    ck_assert_str_eq(less->silos[1].name, "c");
    ck_assert_str_eq(less->data.silo_tables[1].file, "3");
    ck_assert_uint_eq(less->round.participants, 0);
    ck_assert_uint_eq(less->faults_count, 0);
    ck_assert_uint_eq(less->run.rounds, 5);
    ck_assert_uint_eq(less->policy.minimum_silos, 3);
    ck_assert_double_eq(less->train.learning_rate, 0.1);
    gr_config_free(less);
    gr_config_free(config);
    gr_free(yaml);
}
END_TEST

/* Any byte of a value that is changed is found, and so is another key. */
START_TEST(statement_is_signed) {
    static const struct gr_run_facts run = {.run_id = "old", .model = "0123", .rounds_done = 6},
                                     retrained = {.run_id = "new", .model = "4567"};
    const struct gr_withdrawal withdrawal = {
        .silo = "b", .run = &run, .retrained = &retrained, .first_round = 2, .rounds_with = 5};
    struct gr_public_key key;
    struct gr_keys *keys;
    struct gr_withdrawn found;
    char *text;
    size_t length;
    MUST(gr_withdrawal_read(scratch, &found));
    ck_assert(!found.found);
    MUST(gr_keys_generate(in_scratch("keys"), &key));
    MUST(gr_keys_read(in_scratch("keys"), &keys));
    MUST(gr_withdrawal_write(scratch, &withdrawal, keys));
    MUST(gr_withdrawal_read(scratch, &found));
    ck_assert(found.found && found.holds && !found.descends);
    ck_assert_str_eq(found.silo, "b");
    ck_assert_str_eq(found.model, "4567");
    ck_assert_str_eq(found.run_id, "old");
    MUST(gr_withdrawal_of_model(in_scratch("model.h5"), &found));
    ck_assert(found.found && found.holds);
    MUST(gr_file_read(in_scratch("withdrawn.json"), 1 << 16, GR_ERROR_DATA, &text, &length));
    char *number = strstr(text, "\"rounds_with_silo\": 5");
    ck_assert_ptr_nonnull(number);
    number[strlen("\"rounds_with_silo\": ")] = '4';
    spill(in_scratch("withdrawn.json"), text, length);
    MUST(gr_withdrawal_read(scratch, &found));
    ck_assert(found.found && !found.holds);
    spill(in_scratch("withdrawn.json"), "{}", 2);
    ck_assert_int_eq(gr_withdrawal_read(scratch, &found), GR_ERROR_DATA);
    gr_free(text);
    gr_keys_free(keys);
}
END_TEST

/* Of seals that are none: a pipe, which nobody writes to, and a line without an end. */
START_TEST(study_of_foreign_seals) {
    enum { LONG = 1 << 20 };
    static const char manifest[] = "{\"stretches\": [], \"rounds_done\": 4}",
                      seal[] = "{\"study\":\"0123\"}\nrest";
    struct gr_run_facts facts;
    char *line = malloc(LONG);
    ck_assert_ptr_nonnull(line);
    memset(line, ' ', LONG);
    memcpy(line + LONG - sizeof seal, seal, sizeof seal);
    spill(in_scratch("manifest.json"), manifest, strlen(manifest));
    ck_assert_int_eq(mkfifo(in_scratch("seals.jsonl"), 0600), 0);
    MUST(gr_run_facts_read(scratch, &facts));
    ck_assert_str_eq(facts.study, "");
    unlink(in_scratch("seals.jsonl"));
    spill(in_scratch("seals.jsonl"), line, LONG);
    MUST(gr_run_facts_read(scratch, &facts));
    ck_assert_str_eq(facts.study, "");
    spill(in_scratch("seals.jsonl"), seal, strlen(seal));
    MUST(gr_run_facts_read(scratch, &facts));
    ck_assert_str_eq(facts.study, "0123");
    ck_assert_uint_eq(facts.rounds_done, 4);
    free(line);
}
END_TEST

RUN_TESTS("withdrawal", who_took_part, who_was_drawn, strangers_stay_away, sizes_are_not_recorded,
          void_rounds_are_not_repeated, a_config_without, statement_is_signed,
          study_of_foreign_seals)
