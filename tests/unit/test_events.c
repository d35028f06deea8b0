/* SPDX-License-Identifier: Apache-2.0 */
/* events.jsonl: the chain, against Python's hashlib where there is one, and against tampering. */
#include <granary/observe.h>

#include <jansson.h>

#include "scratch.h"

static const char *events(void) {
    return in_scratch("events.jsonl");
}

static void append(int n) {
    struct gr_events_file *file;
    MUST(gr_events_open(events(), &file));
    for (int i = 0; i < n; i++)
        MUST(gr_events_append(file, i ? "round" : "started", (uint32_t)i,
                              i % 2 ? "{\"what\":\"\\\"quoted\\\" <text>\",\"n_ranks\":4}" : NULL));
    gr_events_close(file);
}

static size_t broken(void) {
    size_t line = 999;
    MUST(gr_events_verify(events(), &line));
    return line;
}

START_TEST(chain_holds) {
    append(5);
    ck_assert_uint_eq(broken(), 0);
    append(3);
    ck_assert_uint_eq(broken(), 0);
    char *text = slurp(events(), NULL);
    ck_assert_ptr_nonnull(strstr(text, "\"n\":8,"));
    json_t *json = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
    char zeros[65];
    memset(zeros, '0', 64);
    zeros[64] = '\0';
    ck_assert_str_eq(json_string_value(json_object_get(json, "previous")), zeros);
    ck_assert_str_eq(json_string_value(json_object_get(json, "event")), "started");
    json_decref(json);
    gr_free(text);
}
END_TEST

/* A list of all silos of a large federation is one event. */
START_TEST(long_lists_fit) {
    enum { SILOS = 100000, EACH = 16 };
    struct gr_events_file *file;
    char *detail = malloc(SILOS * EACH + 64);
    size_t used = (size_t)sprintf(detail, "{\"silos\":[\"silo-000000\"");
    for (int i = 1; i < SILOS; i++)
        used += (size_t)sprintf(detail + used, ",\"silo-%06d\"", i);
    strcpy(detail + used, "]}");
    ck_assert_int_eq(gr_events_open(events(), &file), GR_OK);
    ck_assert_int_eq(gr_events_append(file, "partial", 1, detail), GR_OK);
    gr_events_close(file);
    ck_assert_uint_eq(broken(), 0);
    free(detail);
}
END_TEST

START_TEST(every_bit_counts) {
    size_t length;
    append(4);
    char *text = slurp(events(), &length);
    for (size_t i = 0; i < length; i++) {
        text[i] = (char)(text[i] ^ (1 << (i % 7)));
        spill(events(), text, length);
        ck_assert_msg(broken() != 0, "byte %zu of %zu was changed and nobody saw it", i, length);
        text[i] = (char)(text[i] ^ (1 << (i % 7)));
    }
    gr_free(text);
}
END_TEST

/* Leaves line `drop` out and puts it in again after `put`; 0: not at all. */
static void shuffle(const char *text, int drop, int put, char *out) {
    const char *lines[16], *at = text;
    int n = 0;
    for (; *at; at = strchr(at, '\n') + 1)
        lines[++n] = at;
    lines[n + 1] = at;
    out[0] = '\0';
    for (int i = 1; i <= n; i++) {
        if (i != drop) strncat(out, lines[i], (size_t)(lines[i + 1] - lines[i]));
        if (i == put) strncat(out, lines[drop], (size_t)(lines[drop + 1] - lines[drop]));
    }
}

START_TEST(lines_cannot_move) {
    char changed[8192];
    append(5);
    char *text = slurp(events(), NULL);
    for (int drop = 1; drop < 5; drop++) {
        shuffle(text, drop, 0, changed);
        spill(events(), changed, strlen(changed));
        ck_assert_uint_eq(broken(), (size_t)drop);
        shuffle(text, drop, 5, changed);
        spill(events(), changed, strlen(changed));
        ck_assert_uint_eq(broken(), (size_t)drop);
    }
    gr_free(text);
}
END_TEST

/* A line that is whole in itself, but of another chain. */
START_TEST(lines_cannot_be_exchanged) {
    char mixed[4096];
    struct gr_events_file *file;
    append(3);
    char *one = slurp(events(), NULL);
    remove(events());
    MUST(gr_events_open(events(), &file));
    for (uint32_t i = 0; i < 3; i++)
        MUST(gr_events_append(file, "other", i, NULL));
    gr_events_close(file);
    char *two = slurp(events(), NULL);
    snprintf(mixed, sizeof mixed, "%.*s%s", (int)strcspn(one, "\n"), one, two + strcspn(two, "\n"));
    spill(events(), mixed, strlen(mixed));
    ck_assert_uint_eq(broken(), 2);
    gr_free(two);
    gr_free(one);
}
END_TEST

START_TEST(torn_line) {
    size_t length;
    append(3);
    char *text = slurp(events(), &length);
    spill(events(), text, length - 5);
    ck_assert_uint_eq(broken(), 3);
    append(1);
    ck_assert_uint_eq(broken(), 0);
    /* It is told, and kept: a crash has cut it, or somebody. */
    char *again = slurp(events(), NULL);
    ck_assert_ptr_nonnull(strstr(again, "events.jsonl: line 3 is no event; the file as it was is "
                                        "kept as events.jsonl.damaged-1"));
    ck_assert_ptr_nonnull(strstr(again, "\"n\":4,"));
    ck_assert_ptr_null(strstr(again, "\"n\":5,"));
    ck_assert(exists(in_scratch("events.jsonl.damaged-1")));
    gr_free(again);
    gr_free(text);
}
END_TEST

START_TEST(bad_details) {
    struct gr_events_file *file;
    MUST(gr_events_open(events(), &file));
    ck_assert_int_eq(gr_events_append(file, "x", 1, "not json"), GR_ERROR_INTERNAL);
    ck_assert_int_eq(gr_events_append(file, "x", 1, "[1]"), GR_ERROR_INTERNAL);
    ck_assert_int_eq(gr_events_append(file, "x", 1, "{\"hash\":1}"), GR_ERROR_INTERNAL);
    ck_assert_int_eq(gr_events_append(file, "x", 1, "{\"previous\":1}"), GR_ERROR_INTERNAL);
    ck_assert_int_eq(gr_events_append(file, "x", 1, "{\"n\":1}"), GR_ERROR_INTERNAL);
    ck_assert_int_eq(gr_events_append(file, "not \xff utf-8", 1, NULL), GR_ERROR_INTERNAL);
    MUST(gr_events_append(file, "good", 1, "{}"));
    gr_events_close(file);
    ck_assert_uint_eq(broken(), 0);
}
END_TEST

static bool has(const char *path, const char *text) {
    char *found = slurp(path, NULL);
    bool has = strstr(found, text) != NULL;
    gr_free(found);
    return has;
}

/* A line that is none is told and kept aside, wherever it stands, and the chain goes on. */
START_TEST(bad_lines_do_not_block) {
    static const char bad[] = "\001\002 not an event\n";
    for (int at = 0; at <= 3; at++) {
        struct gr_events_file *file;
        char changed[4096], aside[64];
        remove(events());
        append(3);
        char *text = slurp(events(), NULL);
        const char *line = text;
        for (int i = 0; i < at; i++)
            line = strchr(line, '\n') + 1;
        snprintf(changed, sizeof changed, "%.*s%s%s", (int)(line - text), text, bad, line);
        spill(events(), changed, strlen(changed));
        gr_free(text);
        MUST(gr_events_open(events(), &file));
        snprintf(aside, sizeof aside, "kept as events.jsonl.damaged-%d", at + 1);
        ck_assert_ptr_nonnull(strstr(gr_events_damage(file), aside));
        MUST(gr_events_append(file, "resumed", 2, NULL));
        gr_events_close(file);
        ck_assert_uint_eq(broken(), 0);
        ck_assert(has(events(), aside));
        ck_assert(has(events(), "\"n\":5,"));
        ck_assert(!has(events(), "not an event"));
        snprintf(aside, sizeof aside, "events.jsonl.damaged-%d", at + 1);
        text = slurp(in_scratch(aside), NULL);
        ck_assert_str_eq(text, changed);
        gr_free(text);
        MUST(gr_events_open(events(), &file)); /* told once */
        ck_assert_ptr_null(gr_events_damage(file));
        gr_events_close(file);
    }
}
END_TEST

START_TEST(not_a_chain) {
    struct gr_events_file *file;
    size_t line;
    spill(events(), "hello\n", 6);
    ck_assert_uint_eq(broken(), 1);
    MUST(gr_events_open(events(), &file));
    gr_events_close(file);
    ck_assert_uint_eq(broken(), 0);
    ck_assert_int_eq(gr_events_verify(in_scratch("none"), &line), GR_ERROR_DATA);
}
END_TEST

/* Lists that would make a line of over 16 MiB are cut, with a count; nothing else is lost. */
START_TEST(too_long_is_cut) {
    enum { ENTRIES = 1500000 };
    struct gr_events_file *file;
    char *detail = malloc((size_t)ENTRIES * 16 + 64), *at = detail;
    at += sprintf(at, "{\"silos\":[");
    for (int i = 0; i < ENTRIES; i++)
        at += sprintf(at, "%s\"silo-%03d\"", i ? "," : "", i);
    sprintf(at, "],\"short\":[1,2]}");
    MUST(gr_events_open(events(), &file));
    MUST(gr_events_append(file, "lost", 3, detail));
    MUST(gr_events_append(file, "finished", 3, NULL));
    gr_events_close(file);
    free(detail);
    ck_assert_uint_eq(broken(), 0);
    char *text = slurp(events(), NULL);
    json_t *json = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
    const size_t told = json_array_size(json_object_get(json, "silos"));
    ck_assert_uint_gt(told, 100000);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "silos_cut")),
                     (json_int_t)(ENTRIES - told));
    ck_assert_ptr_null(json_object_get(json, "short_cut"));
    json_decref(json);
    gr_free(text);
}
END_TEST

/* Heads: the chain came by them, or was cut, emptied, or is another. */
START_TEST(heads) {
    struct gr_events_file *file;
    struct gr_head head[3] = {0};
    bool holds[3];
    size_t line, length;
    uint64_t n;
    append(4);
    MUST(gr_events_open(events(), &file));
    gr_events_head(file, &head[1]);
    MUST(gr_events_append(file, "more", 1, NULL));
    gr_events_head(file, &head[2]);
    gr_events_close(file);
    ck_assert_uint_eq(head[1].n, 4);
    MUST(gr_events_look(events(), head, holds, 3, &n, &line));
    ck_assert(holds[0] && holds[1] && holds[2] && line == 0);
    head[1].hash[9] ^= 1;
    MUST(gr_events_look(events(), head, holds, 3, &n, &line));
    ck_assert(holds[0] && !holds[1] && holds[2] && line == 0);
    head[1].hash[9] ^= 1;
    char *text = slurp(events(), &length);
    *(char *)memrchr(text, '\n', length - 1) = '\0';
    spill(events(), text, strlen(text));
    spill(events(), strcat(text, "\n"), strlen(text) + 1);
    MUST(gr_events_look(events(), head, holds, 3, &n, &line));
    ck_assert(holds[0] && holds[1] && !holds[2] && line == 0);
    spill(events(), "", 0);
    MUST(gr_events_look(events(), head, holds, 3, &n, &line));
    ck_assert(holds[0] && !holds[1] && !holds[2] && line == 0);
    gr_free(text);
}
END_TEST

/* The rule as the header states it, in another language. */
START_TEST(python_agrees) {
    char command[2048];
    append(4);
    snprintf(command, sizeof command,
             "/usr/bin/python3 -c \"\n"
             "import hashlib, json, re\n"
             "before = '0' * 64\n"
             "for line in open('%s', 'rb').read().splitlines():\n"
             "    event = json.loads(line)\n"
             "    body = re.sub(rb',.hash.:.[0-9a-f]{64}.}$', b'}', line)\n"
             "    assert hashlib.blake2b(body, digest_size=32).hexdigest() == event['hash']\n"
             "    assert event['previous'] == before\n"
             "    before = event['hash']\n\"",
             events());
    if (system("/usr/bin/python3 -c 'import hashlib' 2>/dev/null") != 0) return;
    ck_assert_int_eq(system(command), 0);
}
END_TEST

RUN_TESTS("events", chain_holds, long_lists_fit, every_bit_counts, lines_cannot_move,
          lines_cannot_be_exchanged, torn_line, bad_details, bad_lines_do_not_block, not_a_chain,
          too_long_is_cut, heads, python_agrees)
