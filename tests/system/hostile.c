/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked into tests/granary-hostile, in which all that a site's gateway sends goes through here: a
 * `granary join` with a real key, whose letters break the protocol behind it. GRANARY_HOSTILE says
 * how, and behind how many letters: "cut 40".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/control_message.h"
#include "comm/jobs.h"

/* Of a parcel, as link.c has it. */
struct parcel {
    uint32_t kind;
    int32_t from, to, tag;
    uint32_t epoch;
    int32_t meeting;
    uint64_t total, offset;
};
enum { CONTROL = 1, DATA = 2, ROOM = 1 << 21, TAG_UP = 1, TAG_DATA = 16 };

struct letter {
    struct parcel head;
    size_t n_head, n;
    unsigned char bytes[ROOM];
};
/* Whether the fault fits this letter, which has been spoilt then. */
typedef bool (*spoil_function)(struct letter *letter);

static bool shorten_head(struct letter *l) {
    l->n_head = sizeof(uint32_t);
    l->n = 0;
    return true;
}
static bool speak_for_others(struct letter *l) {
    l->head.from = 0;
    return true;
}
static bool name_no_slot(struct letter *l) {
    l->head.to = INT32_MAX;
    return true;
}
static bool name_no_kind(struct letter *l) {
    l->head.kind = 77;
    return true;
}
static bool begin_beyond(struct letter *l) {
    l->head.offset = l->head.total + 1;
    return true;
}
static bool begin_in_middle(struct letter *l) {
    l->head.offset = 1;
    l->head.total++;
    return l->head.kind == DATA;
}
static bool promise_all_memory(struct letter *l) {
    if (l->head.kind != DATA) return false;
    l->head.total = UINT64_MAX / 2;
    return true;
}
static bool cut(struct letter *l) {
    if (l->head.kind != DATA || l->n < 2) return false;
    l->n--;
    l->head.total--;
    return true;
}
static bool lengthen(struct letter *l) {
    if (l->head.kind != DATA || l->n + 8 > ROOM) return false;
    l->n += 8;
    l->head.total += 8;
    return true;
}
/* More bytes come than the message is said to have. */
static bool overflow(struct letter *l) {
    const size_t more = 64 << 10;
    if (l->head.kind != DATA || l->n + more > ROOM) return false;
    l->n += more;
    return true;
}
/* Small exchanges of one value are agreements. */
static bool fail_all(struct letter *l) {
    const int64_t values[] = {1, -5, INT64_MAX};
    static size_t next;
    if (l->head.kind != DATA || l->head.tag % 32 != TAG_UP || l->n != sizeof *values) return false;
    memcpy(l->bytes, &values[next++ % 3], sizeof *values);
    return true;
}
/* The sum of the weights: rows; weight and steps in four words each; silos; failures; the way of
 * the coordinator's choice; nanoseconds. */
enum { EXAMPLES = 0, WEIGHT = 2, MEMBERS = 10, FAILED = 11, BETWEEN = 12, N_SUMS = 14 };
static bool put_sum(struct letter *l, size_t at, int64_t value) {
    if (l->head.kind != DATA || l->head.tag % 32 != TAG_UP || l->n != N_SUMS * sizeof value)
        return false;
    memcpy(l->bytes + at * sizeof value, &value, sizeof value);
    return true;
}
static bool bring_no_silo(struct letter *l) {
    return put_sum(l, MEMBERS, 0);
}
static bool bring_failure(struct letter *l) {
    return put_sum(l, FAILED, 1);
}
static bool choose_way(struct letter *l) {
    return put_sum(l, BETWEEN, 99);
}
static bool bring_no_weight(struct letter *l) {
    for (size_t i = 0; i < 4; i++)
        if (!put_sum(l, WEIGHT + i, INT64_MIN)) return false;
    return true;
}
static bool bring_few_rows(struct letter *l) {
    return put_sum(l, EXAMPLES, -1);
}
/* The exponents of few blocks are a message of few bytes, of no even words. */
static bool put_exponents(struct letter *l, int16_t value) {
    if (l->head.kind != DATA || l->head.tag % 32 != TAG_UP || l->n > 6) return false;
    for (size_t i = 0; i + sizeof value <= l->n; i += sizeof value)
        memcpy(l->bytes + i, &value, sizeof value);
    return l->n > 0;
}
static bool refuse_block(struct letter *l) {
    return put_exponents(l, INT16_MAX);
}
static bool lift_exponent(struct letter *l) {
    return put_exponents(l, 3000);
}
static bool sink_exponent(struct letter *l) {
    return put_exponents(l, -3000);
}
/* The piece of the sum itself, where it is one of floats. */
static bool send_no_number(struct letter *l) {
    const uint32_t nan = 0x7fc00000;
    if (l->head.kind != DATA || l->head.tag % 32 < TAG_DATA || l->n < 64) return false;
    memcpy(l->bytes + 8, &nan, sizeof nan);
    return true;
}
static bool say_garbage(struct letter *l) {
    if (l->head.kind != CONTROL) return false;
    memset(l->bytes, 0xff, l->n);
    return true;
}
/* An order of the next epoch, which only the coordinator may give, with the lists of a report. */
static bool give_order(struct letter *l, uint32_t kind) {
    struct gr_control_message_head head;
    if (l->head.kind != CONTROL || l->n < sizeof head) return false;
    memcpy(&head, l->bytes, sizeof head);
    if (head.kind != GR_CONTROL_READY) return false;
    head.kind = kind;
    head.epoch++;
    memcpy(l->bytes, &head, sizeof head);
    return true;
}
static bool decide(struct letter *l) {
    return give_order(l, GR_CONTROL_DECISION);
}
static bool exclude(struct letter *l) {
    return give_order(l, GR_CONTROL_EXCLUDED);
}
/* Orders go beside the letters of which they are made: their site stays in the study. */
static bool is_order(spoil_function spoil) {
    return spoil == decide || spoil == exclude;
}
/* Spoils a report that is about silos. */
static bool change_report(struct letter *l, void (*change)(struct gr_control_message_head *head)) {
    struct gr_control_message_head head;
    if (l->head.kind != CONTROL || l->n < sizeof head) return false;
    memcpy(&head, l->bytes, sizeof head);
    if (head.kind != GR_CONTROL_READY || head.n_ids == 0) return false;
    change(&head);
    memcpy(l->bytes, &head, sizeof head);
    return true;
}
static void put_failure(struct gr_control_message_head *head) {
    head->status = GR_ERROR_INTERNAL;
}
static void put_round(struct gr_control_message_head *head) {
    head->round += 1000000;
}
static bool report_failure(struct letter *l) {
    return change_report(l, put_failure);
}
static bool report_future(struct letter *l) {
    return change_report(l, put_round);
}
/* Its own list, of one silo, becomes one that begins with silo 0. */
static bool report_others(struct letter *l) {
    struct gr_control_message_head head;
    struct gr_packet *packet = NULL;
    struct gr_control_message *message = NULL;
    if (l->head.kind != CONTROL || l->n < sizeof head) return false;
    memcpy(&head, l->bytes, sizeof head);
    if (head.kind != GR_CONTROL_READY || head.n_ids != 1) return false;
    head.n_slots = head.n_sat = head.length = 0;
    if (gr_control_message_create(&head, &message) != GR_OK) return false;
    message->content[0] = 0;
    if (gr_packet_pack(message, &packet) != GR_OK) return false;
    memcpy(l->bytes, packet->content, packet->bytes);
    l->head.total = l->n = packet->bytes;
    gr_free(message);
    gr_free(packet);
    return true;
}

static const struct {
    const char *name;
    spoil_function spoil;
} faults[] = {{"head", shorten_head},
              {"from", speak_for_others},
              {"slot", name_no_slot},
              {"kind", name_no_kind},
              {"beyond", begin_beyond},
              {"middle", begin_in_middle},
              {"memory", promise_all_memory},
              {"cut", cut},
              {"long", lengthen},
              {"over", overflow},
              {"agreement", fail_all},
              {"members", bring_no_silo},
              {"failed", bring_failure},
              {"way", choose_way},
              {"weight", bring_no_weight},
              {"rows", bring_few_rows},
              {"refused", refuse_block},
              {"exponent", lift_exponent},
              {"underflow", sink_exponent},
              {"nan", send_no_number},
              {"garbage", say_garbage},
              {"decision", decide},
              {"exclusion", exclude},
              {"failure", report_failure},
              {"future", report_future},
              {"silo", report_others}};

/* Messages that nobody will ever await, of so many bytes each, before the first that is. */
static const struct {
    const char *name;
    int n;
    uint64_t total;
} hoards[] = {{"hoard", 1, 256 << 20}, {"flood", 5000, 0}};

static spoil_function find(int *after) {
    char name[32] = "";
    const char *text = getenv("GRANARY_HOSTILE");
    if (!text || sscanf(text, "%31s %d", name, after) != 2) return NULL;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (strcmp(name, faults[i].name) == 0) return faults[i].spoil;
    return NULL;
}

gr_status __real_gr_gateway_send(struct gr_gateway *gateway, uint32_t party, enum gr_note_kind kind,
                                 const void *head, size_t n_head, const void *bytes, size_t n,
                                 uint64_t *ticket);
gr_status __wrap_gr_gateway_send(struct gr_gateway *gateway, uint32_t party, enum gr_note_kind kind,
                                 const void *head, size_t n_head, const void *bytes, size_t n,
                                 uint64_t *ticket);

/* A process that leaves, again and again, and stays. */
static void send_goodbyes(struct gr_gateway *gateway, uint32_t party) {
    const char *text = getenv("GRANARY_HOSTILE");
    static bool done;
    if (!text || strcmp(text, "goodbyes") != 0 || done) return;
    done = true;
    for (int32_t i = 0; i < 1000; i++) {
        const int32_t why = i % 2 ? GR_STOPPED : GR_ERROR_POLICY;
        (void)!__real_gr_gateway_send(gateway, party, GR_NOTE_GOODBYE, &why, sizeof why, NULL, 0,
                                      NULL);
    }
}

static void send_hoard(struct gr_gateway *gateway, uint32_t party, const void *head) {
    const char *text = getenv("GRANARY_HOSTILE");
    struct parcel parcel;
    static bool done;
    for (size_t i = 0; text && !done && i < sizeof hoards / sizeof *hoards; i++) {
        if (strcmp(text, hoards[i].name) != 0) continue;
        done = true;
        memcpy(&parcel, head, sizeof parcel);
        parcel.kind = DATA;
        parcel.epoch += 1000;
        parcel.total = hoards[i].total;
        parcel.offset = 0;
        for (int k = 0; k < hoards[i].n; k++)
            (void)!__real_gr_gateway_send(gateway, party, GR_NOTE_PARCEL, &parcel, sizeof parcel,
                                          text, parcel.total ? 5 : 0, NULL);
    }
}

gr_status __wrap_gr_gateway_send(struct gr_gateway *gateway, uint32_t party, enum gr_note_kind kind,
                                 const void *head, size_t n_head, const void *bytes, size_t n,
                                 uint64_t *ticket) {
    static struct letter letter;
    static int sent;
    int after = 0;
    const spoil_function spoil = find(&after);
    const bool numbers =
        getenv("GRANARY_HOSTILE") && strcmp(getenv("GRANARY_HOSTILE"), "numbers") == 0;
    if (kind == GR_NOTE_NUMBERS && numbers && n > 0) n--;
    if (kind == GR_NOTE_PARCEL) send_goodbyes(gateway, party);
    if (kind == GR_NOTE_PARCEL) send_hoard(gateway, party, head);
    if (kind != GR_NOTE_PARCEL || !spoil || n > ROOM || n_head != sizeof letter.head ||
        sent++ < after)
        return __real_gr_gateway_send(gateway, party, kind, head, n_head, bytes, n, ticket);
    memset(letter.bytes, 0, sizeof letter.bytes);
    memcpy(&letter.head, head, n_head);
    if (n > 0) memcpy(letter.bytes, bytes, n);
    letter.n_head = n_head;
    letter.n = n;
    const bool spoilt = spoil(&letter);
    if (spoilt) fprintf(stderr, "hostile: letter %d is spoilt\n", sent);
    const gr_status status =
        __real_gr_gateway_send(gateway, party, kind, &letter.head, letter.n_head, letter.bytes,
                               letter.n, spoilt && is_order(spoil) ? NULL : ticket);
    if (status != GR_OK || !spoilt || !is_order(spoil)) return status;
    return __real_gr_gateway_send(gateway, party, kind, head, n_head, bytes, n, ticket);
}
