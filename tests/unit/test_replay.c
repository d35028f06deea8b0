/* SPDX-License-Identifier: Apache-2.0 */
/* Who was absent, out of events as a run writes them and as it does not. */
#include <granary/observe.h>

#include "scratch.h"

enum { SILOS = 1005 };

static const char *events(void) {
    return in_scratch("events.jsonl");
}

static struct gr_replay *replay_of(const char *text) {
    struct gr_replay *replay;
    spill(events(), text, strlen(text));
    MUST(gr_replay_open(events(), SILOS, &replay));
    return replay;
}

/* "1 17": who is flagged for a round. */
static const char *flagged(void (*flag)(const struct gr_replay *, uint32_t, struct gr_flags *),
                           const struct gr_replay *replay, uint32_t round) {
    static char text[256];
    struct gr_flags flags;
    MUST(gr_flags_create(SILOS, "silos", &flags));
    gr_flags_set(&flags, SILOS - 2, 9); /* is cleared */
    flag(replay, round, &flags);
    text[0] = '\0';
    for (uint32_t i = 0; i < flags.n_set; i++) {
        ck_assert_uint_eq(flags.flag[flags.set[i]], 1);
        snprintf(text + strlen(text), sizeof text - strlen(text), *text ? " %u" : "%u",
                 flags.set[i]);
    }
    gr_flags_release(&flags);
    return text;
}

static const char *absent(const struct gr_replay *replay, uint32_t round) {
    return flagged(gr_replay_absent, replay, round);
}

static const char *instead(const struct gr_replay *replay, uint32_t round) {
    return flagged(gr_replay_instead, replay, round);
}

static const char *anew(const struct gr_replay *replay, uint32_t round) {
    return flagged(gr_replay_anew, replay, round);
}

static void lost(const struct gr_replay *replay, uint32_t round, struct gr_flags *flags) {
    (void)round;
    gr_replay_lost(replay, flags);
}

static void partial(struct gr_events_file *file, uint32_t round, const char *names) {
    char detail[256];
    snprintf(detail, sizeof detail, "{\"participants\":3,\"absent\":[%s]}", names);
    MUST(gr_events_append(file, "partial", round, detail));
}

/* As a run writes them: a torn last line, other events, and a stretch that did rounds again. */
START_TEST(run) {
    struct gr_events_file *file;
    struct gr_replay *replay;
    size_t length;
    MUST(gr_events_open(events(), &file));
    MUST(gr_events_append(file, "started", 0, NULL));
    partial(file, 2, "\"silo-001\",\"silo-017\"");
    MUST(gr_events_append(file, "checkpoint", 2, NULL));
    partial(file, 3, "\"silo-1004\"");
    partial(file, 4, "\"silo-002\"");
    partial(file, 6, "\"silo-003\"");
    MUST(gr_events_append(file, "resumed", 3, NULL));
    partial(file, 5, "\"silo-004\"");
    partial(file, 5, "\"silo-005\",\"silo-006\"");
    partial(file, 7, "\"silo-007\"");
    gr_events_close(file);
    char *text = slurp(events(), &length);
    spill(events(), text, length - 1);
    gr_free(text);
    MUST(gr_replay_open(events(), SILOS, &replay));
    ck_assert_str_eq(absent(replay, 1), "");
    ck_assert_str_eq(absent(replay, 2), "1 17");
    ck_assert_str_eq(absent(replay, 3), "1004");
    ck_assert_str_eq(absent(replay, 4), "");
    ck_assert_str_eq(absent(replay, 5), "5 6");
    ck_assert_str_eq(absent(replay, 6), "");
    ck_assert_str_eq(absent(replay, 7), "");
    ck_assert_str_eq(absent(replay, UINT32_MAX), "");
    gr_replay_close(replay);
}
END_TEST

#define EVENT(name, round) "{\"event\":\"" name "\",\"round\":" #round "}\n"
#define PARTIAL(round, names)                                                                      \
    "{\"event\":\"partial\",\"round\":" #round ",\"absent\":[" names "]}\n"

/* Each of the three takes back; "finished" and what is new does not. */
START_TEST(taken_back) {
    static const char *const events_[] = {EVENT("started", 1), EVENT("resumed", 1),
                                          EVENT("restarted", 1), EVENT("finished", 1),
                                          EVENT("alert", 0)};
    char text[512];
    for (size_t i = 0; i < 5; i++) {
        snprintf(text, sizeof text, "%s%s%s", PARTIAL(1, "\"silo-001\""),
                 PARTIAL(2, "\"silo-002\""), events_[i]);
        struct gr_replay *replay = replay_of(text);
        ck_assert_str_eq(absent(replay, 1), "1");
        ck_assert_str_eq(absent(replay, 2), i < 3 ? "" : "2");
        gr_replay_close(replay);
    }
}
END_TEST

/* Three lists of a round, each its own; a list may be missing. */
START_TEST(lists) {
    struct gr_replay *replay = replay_of(
        "{\"event\":\"partial\",\"round\":2,\"absent\":[\"silo-001\",\"silo-002\"],"
        "\"instead\":[\"silo-003\"],\"anew\":[\"silo-004\",\"silo-1004\"]}\n"
        "{\"event\":\"partial\",\"round\":3,\"absent\":[],\"anew\":[\"silo-005\"]}\n" PARTIAL(
            4, "\"silo-006\""));
    ck_assert_str_eq(absent(replay, 2), "1 2");
    ck_assert_str_eq(instead(replay, 2), "3");
    ck_assert_str_eq(anew(replay, 2), "4 1004");
    ck_assert_str_eq(anew(replay, 3), "5");
    ck_assert_str_eq(absent(replay, 3), "");
    ck_assert_str_eq(anew(replay, 4), "");
    gr_replay_close(replay);
}
END_TEST

/* Out of their order, none absent after all, and many. */
START_TEST(any_order) {
    struct gr_replay *replay =
        replay_of(PARTIAL(12, "\"silo-012\"") PARTIAL(9, "\"silo-009\"") PARTIAL(3, "\"silo-003\"")
                      PARTIAL(6, "\"silo-006\"") PARTIAL(3, "\"silo-004\"") PARTIAL(9, ""));
    ck_assert_str_eq(absent(replay, 3), "4");
    ck_assert_str_eq(absent(replay, 6), "6");
    ck_assert_str_eq(absent(replay, 9), "");
    ck_assert_str_eq(absent(replay, 12), "12");
    gr_replay_close(replay);
    char *text = calloc(2000, 80), *end = text;
    for (uint32_t i = 1; i <= 2000; i++)
        end += sprintf(end, "{\"event\":\"partial\",\"round\":%u,\"absent\":[\"silo-%03u\"]}\n", i,
                       i % SILOS);
    replay = replay_of(text);
    free(text);
    ck_assert_str_eq(absent(replay, 1), "1");
    ck_assert_str_eq(absent(replay, 1005), "0");
    ck_assert_str_eq(absent(replay, 2000), "995");
    gr_replay_close(replay);
    replay = replay_of("");
    ck_assert_str_eq(absent(replay, 1), "");
    gr_replay_close(replay);
    gr_replay_close(NULL);
}
END_TEST

/* Lists of ranges, of every silo or of every second; those of before beside them. */
START_TEST(ranges) {
    struct gr_replay *replay = replay_of(PARTIAL(1, "\"silo-002..silo-005\",\"silo-1000\"") PARTIAL(
        2, "\"silo-001..silo-009/4\"") PARTIAL(3, "\"silo-007..silo-007\",\"silo-003\""));
    ck_assert_str_eq(absent(replay, 1), "2 3 4 5 1000");
    ck_assert_str_eq(absent(replay, 2), "1 5 9");
    ck_assert_str_eq(absent(replay, 3), "3 7");
    ck_assert_str_eq(absent(replay, 4), "");
    gr_replay_close(replay);
}
END_TEST

#define STANDS(round, silos)                                                                       \
    "{\"event\":\"partial\",\"round\":" #round ",\"absent\":[" silos "],\"stands\":true}\n"

/* A list that stands is of the rounds behind it too: to the next one, or to another start. */
START_TEST(standing) {
    struct gr_replay *replay = replay_of(
        PARTIAL(1, "\"silo-001\"") STANDS(3, "\"silo-002..silo-004\"") STANDS(6, "\"silo-003\"")
            STANDS(8, "")
                STANDS(10, "\"silo-005\"") "{\"event\":\"resumed\",\"round\":11}\n" STANDS(
                    13, "\"silo-006\"") PARTIAL(15, "\"silo-007\""));
    static const char *const want[] = {"", "1", "",  "2 3 4", "2 3 4", "2 3 4", "3", "3", "",
                                       "", "5", "5", "",      "6",     "6",     "7", ""};
    for (uint32_t round = 1; round < sizeof want / sizeof *want; round++)
        ck_assert_str_eq(absent(replay, round), want[round]);
    gr_replay_close(replay);
}
END_TEST

/* Silos that took part for absent ones; not to be taken for absent ones of the next line. */
START_TEST(taken_instead) {
    struct gr_replay *replay = replay_of(
        "{\"event\":\"partial\",\"round\":2,\"absent\":[\"silo-001\"],\"instead\":[\"silo-007\","
        "\"silo-1000\"]}\n"
        "{\"event\":\"partial\",\"round\":3,\"absent\":[\"silo-001\"],\"instead\":[]}\n"
        "{\"event\":\"partial\",\"round\":4,\"absent\":[],\"instead\":[\"silo-003\"]}\n" PARTIAL(
            5, "\"silo-005\""));
    ck_assert_str_eq(absent(replay, 2), "1");
    ck_assert_str_eq(instead(replay, 2), "7 1000");
    ck_assert_str_eq(absent(replay, 3), "1");
    ck_assert_str_eq(instead(replay, 3), "");
    ck_assert_str_eq(absent(replay, 4), "");
    ck_assert_str_eq(instead(replay, 4), "3");
    ck_assert_str_eq(absent(replay, 5), "5");
    ck_assert_str_eq(instead(replay, 5), "");
    gr_replay_close(replay);
}
END_TEST

static const struct {
    const char *line, *message;
} bad[] = {
    {"hello\n", "found no event with its name and round"},
    {"[1]\n", "found no event with its name and round"},
    {"{\"event\":\"alert\"}\n", "found no event with its name and round"},
    {"{\"event\":\"alert\",\"round\":-1}\n", "found no event with its name and round"},
    {"{\"event\":\"alert\",\"round\":4294967296}\n", "found no event with its name and round"},
    {"{\"event\":1,\"round\":1}\n", "found no event with its name and round"},
    {EVENT("partial", 1), "found no list \"absent\" in the event partial"},
    {PARTIAL(1, "\"silo-001\",3"), "\"absent\"[1] is none of the 1005 silos"},
    {PARTIAL(1, "\"silo-001..silo-1005\""), "\"absent\"[0] is none of the 1005 silos"},
    {PARTIAL(1, "\"silo-005..silo-001\""), "\"absent\"[0] is none of the 1005 silos"},
    {PARTIAL(1, "\"silo-001..silo-006/2\""), "\"absent\"[0] is none of the 1005 silos"},
    {PARTIAL(1, "\"silo-001..silo-006/0\""), "\"absent\"[0] is none of the 1005 silos"},
    {PARTIAL(1, "\"silo-001..\""), "\"absent\"[0] is none of the 1005 silos"},
    {"{\"event\":\"partial\",\"round\":1,\"absent\":[],\"absent_cut\":5}\n",
     "\"absent\" was too long and is cut: it cannot be replayed"},
    {"{\"event\":\"resumed\",\"round\":3,\"silos\":1006}\n",
     "\"silos\" is 1006, expected 1 to the 1005 of data.silos"},
    {PARTIAL(1, "\"silo-1005\""), "\"absent\"[0] is none of the 1005 silos"},
    {PARTIAL(1, "\"silo-1\""), "\"absent\"[0] is none of the 1005 silos"},
    {PARTIAL(1, "\"silo-001x\""), "\"absent\"[0] is none of the 1005 silos"},
    {PARTIAL(1, "\"silo-+01\""), "\"absent\"[0] is none of the 1005 silos"},
    {PARTIAL(1, "\"silo-18446744073709551617\""), "\"absent\"[0] is none of the 1005 silos"},
    {PARTIAL(1, "\"hospital\""), "\"absent\"[0] is none of the 1005 silos"},
};

START_TEST(bad_lines) {
    struct gr_replay *replay;
    char text[512], message[512];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "%s%s", EVENT("started", 0), bad[i].line);
        spill(events(), text, strlen(text));
        ck_assert_int_eq(gr_replay_open(events(), SILOS, &replay), GR_ERROR_DATA);
        ck_assert_ptr_null(replay);
        snprintf(message, sizeof message, "%s:2: %s", events(), bad[i].message);
        ck_assert_str_eq(gr_message(), message);
    }
    ck_assert_int_eq(gr_replay_open(in_scratch("none"), SILOS, &replay), GR_ERROR_DATA);
}
END_TEST

/* Lost before the first round, at the last beginning; in later rounds, and as a run is gone on
 * with, nobody is. */
START_TEST(lost_before) {
#define LOST(round, names)                                                                         \
    "{\"event\":\"lost\",\"round\":" #round ",\"silos\":[" names "],\"before_start\":true}\n"
    static const struct {
        const char *text, *lost;
    } cases[] = {
        {EVENT("started", 0), ""},
        {EVENT("started", 0) LOST(0, "\"silo-001\",\"silo-004..silo-006\""), "1 4 5 6"},
        {EVENT("started", 0) LOST(0, "\"silo-001\"") EVENT("resumed", 3) LOST(3, "\"silo-002\""),
         "1"},
        {EVENT("started", 0) LOST(0, "\"silo-001\"") EVENT("started", 0), ""},
        {EVENT("started", 0) LOST(0, "\"silo-001\"") EVENT("started", 0) LOST(0, "\"silo-003\""),
         "3"},
        {EVENT("started", 0) "{\"event\":\"lost\",\"round\":0,\"silos\":[\"silo-001\"]}\n", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gr_replay *replay = replay_of(cases[i].text);
        ck_assert_str_eq(flagged(lost, replay, 0), cases[i].lost);
        gr_replay_close(replay);
    }
}
END_TEST

static void never(const struct gr_replay *replay, uint32_t round, struct gr_flags *flags) {
    (void)round;
    gr_replay_never(replay, flags);
}

/* A study that gets silos, and silos that come late: not there for the fit, and there later. */
START_TEST(silos_that_come) {
#define BEGUN(name, round, n) "{\"event\":\"" name "\",\"round\":" #round ",\"silos\":" #n "}\n"
    static const struct {
        const char *text;
        uint32_t round, n; /* so many silos in that round */
        uint32_t first, n_lost, n_never;
    } cases[] = {
        {BEGUN("started", 0, 1004) BEGUN("resumed", 7, 1005), 7, 1004, 1004, 1, 0},
        {BEGUN("started", 0, 1004) BEGUN("resumed", 7, 1005), 8, 1005, 1004, 1, 0},
        {BEGUN("started", 0, 1004), 9, 1004, 1004, 1, 1},
        /* A later stretch goes on from an earlier round; from the beginning, all is anew. */
        {BEGUN("started", 0, 1003) BEGUN("resumed", 7, 1004) BEGUN("resumed", 4, 1005), 5, 1005,
         1003, 2, 0},
        {BEGUN("started", 0, 1003) BEGUN("resumed", 7, 1004) BEGUN("resumed", 4, 1005), 4, 1003,
         1003, 2, 0},
        {BEGUN("started", 0, 1003) BEGUN("started", 0, 1005), 1, 1005, 0, 0, 0},
        /* Lost before the first round, and there when the run is gone on with; or not there either.
         */
        {EVENT("started", 0) LOST(0, "\"silo-003\"") EVENT("resumed", 2), 1, 1005, 3, 1, 0},
        {EVENT("started", 0) LOST(0, "\"silo-003\"") EVENT("resumed", 2) LOST(2, "\"silo-003\""), 1,
         1005, 3, 1, 1},
        /* A silo that joins, and is not there when it could. */
        {BEGUN("started", 0, 1004) BEGUN("resumed", 7, 1005) LOST(7, "\"silo-1004\""), 8, 1005,
         1004, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gr_replay *replay = replay_of(cases[i].text);
        struct gr_flags flags;
        MUST(gr_flags_create(SILOS, "silos", &flags));
        ck_assert_uint_eq(gr_replay_silos(replay, cases[i].round), cases[i].n);
        lost(replay, 0, &flags);
        ck_assert_uint_eq(flags.n_set, cases[i].n_lost);
        if (flags.n_set > 0) ck_assert_uint_eq(flags.set[0], cases[i].first);
        never(replay, 0, &flags);
        ck_assert_uint_eq(flags.n_set, cases[i].n_never);
        gr_flags_release(&flags);
        gr_replay_close(replay);
    }
}
END_TEST

/* Rounds without a step, until a stretch takes them back. */
START_TEST(voids) {
    struct gr_replay *replay = replay_of(EVENT("started", 0) EVENT("void", 3) EVENT("void", 6)
                                             EVENT("resumed", 5) EVENT("void", 7));
    static const uint32_t expected[] = {3, 7};
    for (uint32_t round = 1, i = 0; round < 10; round++) {
        const bool is_void = i < 2 && round == expected[i];
        ck_assert_int_eq(gr_replay_void(replay, round), is_void);
        i += is_void;
    }
    gr_replay_close(replay);
}
END_TEST

RUN_TESTS("replay", lost_before, silos_that_come, voids, run, taken_back, lists, any_order, ranges,
          standing, taken_instead, bad_lines)
