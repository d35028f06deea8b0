/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of numbers as few bytes, and control messages as packets: what comes back is what was sent,
 * sizes are those of a count by hand, and no bytes of a peer are read or written out of bounds
 * (AddressSanitizer sees it: the room is exact).
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "comm/communicator.h"
#include "comm/number_list.h"

/* Memory of exactly n bytes, so that one too many is seen. */
static unsigned char *exact(const unsigned char *bytes, size_t n) {
    unsigned char *copy = malloc(n > 0 ? n : 1);
    ck_assert_ptr_nonnull(copy);
    if (n > 0) memcpy(copy, bytes, n);
    return copy;
}

static bool unpack(const unsigned char *bytes, size_t n_bytes, uint32_t *values, size_t n,
                   size_t *taken) {
    unsigned char *copy = exact(bytes, n_bytes);
    const unsigned char *at = copy;
    const bool good = gr_number_list_unpack(&at, copy + n_bytes, values, n);
    *taken = (size_t)(at - copy);
    free(copy);
    return good;
}

/* Bytes of the list, which has to come back, and not to come back from any shorter part of it. */
static size_t round_trip(const uint32_t *values, size_t n) {
    unsigned char *out = malloc(gr_number_list_most(n) + 1);
    uint32_t *back = malloc(n * sizeof *back + 1);
    size_t taken;
    ck_assert(out && back);
    const size_t bytes = gr_number_list_pack(values, n, out);
    ck_assert_uint_le(bytes, gr_number_list_most(n));
    ck_assert(unpack(out, bytes, back, n, &taken));
    ck_assert_uint_eq(taken, bytes);
    ck_assert_int_eq(memcmp(values, back, n * sizeof *back), 0);
    for (size_t less = n > 0 ? 1 : 0; less <= bytes && less < 50 && n > 0; less++)
        ck_assert(!unpack(out, bytes - less, back, n, &taken));
    free(back);
    free(out);
    return bytes;
}

START_TEST(sizes_are_as_counted) {
    static uint32_t values[10000];
    for (uint32_t i = 0; i < 10000; i++)
        values[i] = i;
    /* Form, distance 0, length 10,000 in two bytes, step 1. */
    ck_assert_uint_eq(round_trip(values, 10000), 5);
    ck_assert_uint_eq(round_trip(values, 0), 0);
    ck_assert_uint_eq(round_trip(values, 1), 3);
    /* Dealt in turn among 16 ranks: the distance 7 from 0, and the step 16. */
    for (uint32_t i = 0; i < 625; i++)
        values[i] = 16 * i + 7;
    ck_assert_uint_eq(round_trip(values, 625), 5);
    /* All but one: two runs, the second begins 2 behind the first one's end. */
    for (uint32_t i = 0; i < 9999; i++)
        values[i] = i < 5000 ? i : i + 1;
    ck_assert_uint_eq(round_trip(values, 9999), 9);
    /* The same number again and again, descending, and the ends of the range. */
    for (uint32_t i = 0; i < 256; i++)
        values[i] = 41;
    ck_assert_uint_eq(round_trip(values, 256), 5);
    for (uint32_t i = 0; i < 256; i++)
        values[i] = 255 - i;
    ck_assert_uint_eq(round_trip(values, 256), 6);
    ck_assert_uint_le(round_trip((uint32_t[]){UINT32_MAX, 0, UINT32_MAX, UINT32_MAX - 1, 5}, 5),
                      1 + 6 * 5);
}
END_TEST

/* Drawn silos: never more than a bit for each silo of the federation and a few bytes, nor than six
 * bytes for each that is drawn. */
START_TEST(drawn_silos_take_a_bit_each) {
    static uint32_t values[20000];
    srand(1);
    for (unsigned percent = 1; percent <= 100; percent += 3) {
        size_t n = 0;
        for (uint32_t i = 0; i < 20000; i++)
            if ((unsigned)rand() % 100 < percent) values[n++] = i;
        const size_t bytes = round_trip(values, n);
        ck_assert_uint_le(bytes, 20000 / 8 + 8);
        ck_assert_uint_le(bytes, 1 + 6 * n);
        for (size_t i = n; i > 1; i--) { /* in no order */
            const size_t k = (size_t)rand() % i;
            const uint32_t kept = values[k];
            values[k] = values[i - 1];
            values[i - 1] = kept;
        }
        round_trip(values, n);
    }
}
END_TEST

/* Lists that nobody packs: each is refused. */
START_TEST(wrong_lists_are_refused) {
    static const struct {
        const char *why;
        size_t n, bytes;
        unsigned char byte[12];
    } bad[] = {
        {"nothing", 1, 0, {0}},
        {"another form", 1, 3, {2, 0, 1}},
        {"a length of 0", 1, 3, {0, 0, 0}},
        {"longer than told", 1, 4, {0, 0, 2, 2}},
        {"shorter than told", 3, 4, {0, 0, 2, 2}},
        {"below 0", 1, 3, {0, 1, 1}},
        {"steps below 0", 2, 4, {0, 0, 2, 1}},
        {"beyond 2^32", 1, 7, {0, 0x80, 0x80, 0x80, 0x80, 0x20, 1}},
        {"steps beyond 2^32", 2, 8, {0, 2, 2, 0xfe, 0xff, 0xff, 0xff, 0x1f}},
        {"a number without end", 1, 8, {0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}},
        {"an endless length", 1, 8, {0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
        {"a bitmap longer than the packet", 1, 4, {1, 0, 2, 1}},
        {"a bitmap of too many", 1, 4, {1, 0, 1, 3}},
        {"a bitmap of too few", 2, 4, {1, 0, 1, 1}},
        {"an empty bitmap", 1, 3, {1, 0, 0}},
        {"a bitmap beyond 2^32", 2, 8, {1, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 3}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t *values = malloc(bad[i].n * sizeof *values);
        size_t taken;
        ck_assert_msg(!unpack(bad[i].byte, bad[i].bytes, values, bad[i].n, &taken), "%s",
                      bad[i].why);
        free(values);
    }
}
END_TEST

/* Whatever the bytes: an answer, and nothing out of bounds. */
START_TEST(any_bytes_are_answered) {
    srand(2);
    for (int turn = 0; turn < 20000; turn++) {
        unsigned char bytes[24];
        const size_t n_bytes = (size_t)rand() % sizeof bytes, n = 1 + (size_t)rand() % 40;
        uint32_t *values = malloc(n * sizeof *values);
        size_t taken;
        for (size_t i = 0; i < n_bytes; i++)
            bytes[i] = (unsigned char)(rand() % 4 ? rand() % 4 : rand());
        (void)unpack(bytes, n_bytes, values, n, &taken);
        ck_assert_uint_le(taken, n_bytes);
        free(values);
    }
}
END_TEST

/* ---- packets -------------------------------------------------------------------------------- */

static const struct gr_control_limits limits = {.slots = 8, .silos = 100};

static struct gr_packet *make_packet(void) {
    static const uint32_t content[] = {0, 1, 3, 11, 11, 12, 13, 6, 7, 8, 9, 99, 42};
    const struct gr_control_message_head head = {.kind = GR_CONTROL_DECISION,
                                                 .epoch = 5,
                                                 .phase = GR_PHASE_SCORED,
                                                 .fd = -1,
                                                 .n_slots = 3,
                                                 .n_fds = 3,
                                                 .n_changes = 1,
                                                 .n_ids = 5,
                                                 .n_sat = 1,
                                                 .length = 4};
    struct gr_control_message *message;
    struct gr_packet *packet;
    ck_assert_int_eq(gr_control_message_create(&head, &message), GR_OK);
    memcpy(message->content, content, sizeof content);
    memcpy((char *)message->content + sizeof content, "text", 4);
    ck_assert_int_eq(gr_packet_pack(message, &packet), GR_OK);
    gr_free(message);
    return packet;
}

START_TEST(a_packet_comes_back) {
    struct gr_packet *packet = make_packet();
    struct gr_control_message *message;
    ck_assert_uint_lt(packet->bytes, gr_packet_most(&limits));
    ck_assert_int_eq(gr_packet_unpack(packet, &limits, &message), GR_OK);
    ck_assert_uint_eq(message->head.epoch, 5);
    ck_assert_int_eq(message->head.fd, -1);
    ck_assert_uint_eq(message->slots[2], 3);
    ck_assert_uint_eq(message->fds[2], 12);
    ck_assert_uint_eq(message->changes[0], 13);
    ck_assert_uint_eq(message->ids[0], 6);
    ck_assert_uint_eq(message->ids[4], 99);
    ck_assert_uint_eq(message->sat[0], 42);
    ck_assert_int_eq(memcmp(message->text, "text", 4), 0);
    gr_free(message);
    gr_free(packet);
}
END_TEST

static bool is_refused(const struct gr_packet *packet) {
    struct gr_control_message *message = NULL;
    if (gr_packet_unpack(packet, &limits, &message) == GR_OK) {
        gr_free(message);
        return false;
    }
    ck_assert_str_eq(gr_message(), "a message of slot 0 does not hold what it says");
    return true;
}

/* Each of the head's words in turn says what the packet does not hold, or what there cannot be. */
START_TEST(packets_that_lie_are_refused) {
    static const struct {
        size_t at;
        uint32_t value;
    } lies[] = {
#define LIE(member, value) {offsetof(struct gr_control_message_head, member), value}
        LIE(kind, 0),           LIE(kind, GR_CONTROL_KINDS),
        LIE(kind, 1U << 31),    LIE(phase, GR_PHASE_SCORED + 1),
        LIE(n_slots, 2),        LIE(n_slots, 9),
        LIE(n_fds, 4),          LIE(n_fds, UINT32_MAX),
        LIE(n_changes, 0),      LIE(n_changes, 17),
        LIE(n_ids, 4),          LIE(n_ids, 101),
        LIE(n_ids, 1U << 31),   LIE(n_sat, 2),
        LIE(n_sat, 101),        LIE(length, 3),
        LIE(length, 5),         LIE(length, GR_MESSAGE_MAX),
        LIE(length, UINT32_MAX)};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct gr_packet *packet = make_packet();
        memcpy(packet->content + lies[i].at, &lies[i].value, sizeof lies[i].value);
        ck_assert_msg(is_refused(packet), "lie %zu", i);
        gr_free(packet);
    }
    struct gr_packet *packet = make_packet();
    for (packet->bytes--; packet->bytes > 0; packet->bytes--)
        ck_assert(is_refused(packet));
    ck_assert(is_refused(packet));
    gr_free(packet);
}
END_TEST

int main(void) {
    if (gr_base_start() != GR_OK) return EXIT_FAILURE;
    Suite *suite = suite_create("number list");
    TCase *tests = tcase_create("number list");
    tcase_add_test(tests, sizes_are_as_counted);
    tcase_add_test(tests, drawn_silos_take_a_bit_each);
    tcase_add_test(tests, wrong_lists_are_refused);
    tcase_add_test(tests, any_bytes_are_answered);
    tcase_add_test(tests, a_packet_comes_back);
    tcase_add_test(tests, packets_that_lie_are_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
