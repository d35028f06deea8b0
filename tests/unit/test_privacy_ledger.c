/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger of a silo's table: what it charges and what it tells was spent; that whatever is cut,
 * moved or changed in it is found; and that no kill at any point lets more leave than is noted.
 */
#include "privacy/ledger.h"

#include "scratch.h"

#include <math.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Links of rows: of a table, of one that differs from its third row on, and two ways to hold rows
 * out. */
static const unsigned char chain[][GR_LINK_BYTES] = {"a", "ab", "abc", "abcd", "abcde"},
                           other_chain[][GR_LINK_BYTES] = {"a", "ab", "abx", "abxd", "abxde"},
                           parts[GR_DIGEST_BYTES] = "one way", other_parts[GR_DIGEST_BYTES] = "two";
static const struct gr_ledger_table table = {chain, 3, parts},
                                    other_table = {other_chain, 3, parts};

static struct gr_ledger *opened_for(const struct gr_ledger_table *of) {
    struct gr_ledger *ledger = NULL;
    MUST(gr_ledger_open(scratch, of, &ledger));
    return ledger;
}

static struct gr_ledger *opened(void) {
    return opened_for(&table);
}

static void expect_refusal(const char *words) {
    struct gr_ledger *ledger = NULL;
    const gr_status status = gr_ledger_open(scratch, &table, &ledger);
    ck_assert_msg(status == GR_ERROR_POLICY, "%d instead of 77: %s", status, gr_message());
    ck_assert_msg(strstr(gr_message(), words), "%s", gr_message());
    ck_assert_int_eq(gr_ledger_read(scratch, &ledger), GR_ERROR_POLICY);
}

/* The release of a round, with a binding of its own. */
static struct gr_ledger_entry of_round(uint32_t round) {
    struct gr_ledger_entry entry = {.round = round,
                                    .run = "0123456789abcdef0123456789abcdef",
                                    .event = {1.1, 1.0 / 256, 117, 1e-12}};
    memcpy(entry.binding, &round, sizeof round);
    return entry;
}

static void charge(struct gr_ledger *ledger, uint32_t round) {
    const struct gr_ledger_entry entry = of_round(round);
    MUST(gr_ledger_charge(ledger, &entry));
}

/* A ledger of so many rounds, closed. */
static void make_ledger(uint32_t rounds) {
    struct gr_ledger *ledger = opened();
    for (uint32_t round = 1; round <= rounds; round++)
        charge(ledger, round);
    gr_ledger_close(ledger);
}

static size_t count(const struct gr_ledger *ledger) {
    size_t n;
    (void)gr_ledger_entries(ledger, &n);
    return n;
}

/* ---- what is charged ------------------------------------------------------------------------ */

START_TEST(entries_outlive_a_restart) {
    make_ledger(3);
    struct gr_ledger_entry odd = {.release = GR_NOISED_STATISTICS,
                                  .run = "x",
                                  .unit = GR_UNIT_PERSON,
                                  .adjacency = GR_ADJACENCY_REPLACE,
                                  .mechanism = GR_MECHANISM_DISCRETE_GAUSSIAN,
                                  .event = {0.1 + 0.2, 1, GR_PRIVACY_STEPS_MAX, 0},
                                  .correlation = GR_CORRELATION_BLT,
                                  .bands = UINT32_MAX,
                                  .binding = "statistics"};
    struct gr_ledger *ledger = opened(), *read;
    MUST(gr_ledger_charge(ledger, &odd));
    MUST(gr_ledger_read(in_scratch("privacy-ledger"), &read)); /* while it is in use */
    ck_assert_uint_eq(count(read), 4);
    ck_assert_int_eq(gr_ledger_charge(read, &odd), GR_ERROR_WRITE);
    gr_ledger_close(read);
    gr_ledger_close(ledger);
    ledger = opened();
    size_t n;
    const struct gr_ledger_entry *entry = gr_ledger_entries(ledger, &n);
    ck_assert_uint_eq(n, 4);
    ck_assert_str_eq(entry[2].run, "0123456789abcdef0123456789abcdef");
    ck_assert_uint_eq(entry[2].round, 3);
    ck_assert(entry[2].event.sampling == 1.0 / 256 && entry[2].event.delta_added == 1e-12);
    ck_assert_uint_eq(strlen(entry[3].time), 20);
    memcpy(odd.time, entry[3].time, sizeof odd.time);
    ck_assert(entry[3].event.noise_multiplier == 0.1 + 0.2); /* to the last digit */
    ck_assert(entry[3].unit == odd.unit && entry[3].adjacency == odd.adjacency);
    ck_assert(entry[3].mechanism == odd.mechanism && entry[3].release == odd.release);
    ck_assert(entry[3].correlation == odd.correlation && entry[3].bands == odd.bands);
    ck_assert_mem_eq(entry[3].binding, odd.binding, sizeof odd.binding);
    gr_ledger_close(ledger);
}
END_TEST

/* The same bytes once more cost nothing; other noise under their name is refused. */
START_TEST(a_binding_is_charged_once) {
    make_ledger(2);
    struct gr_ledger *ledger = opened();
    charge(ledger, 1);
    charge(ledger, 2);
    ck_assert_uint_eq(count(ledger), 2);
    struct gr_ledger_entry entry = of_round(2);
    entry.event.noise_multiplier = 2;
    ck_assert_int_eq(gr_ledger_charge(ledger, &entry), GR_ERROR_POLICY);
    ck_assert_ptr_nonnull(strstr(gr_message(), "noise is not used twice"));
    charge(ledger, 3);
    ck_assert_uint_eq(count(ledger), 3);
    gr_ledger_close(ledger);
}
END_TEST

START_TEST(no_event_without_a_price) {
    struct gr_ledger *ledger = opened();
    const struct gr_privacy_event bad[] = {{0, 1, 1, 0},   {NAN, 1, 1, 0}, {INFINITY, 1, 1, 0},
                                           {-1, 1, 1, 0},  {1, 0, 1, 0},   {1, NAN, 1, 0},
                                           {1, 1.1, 1, 0}, {1, 1, 0, 0},   {1, 1, 1, NAN},
                                           {1, 1, 1, 1},   {1, 1, 1, -1}};
    struct gr_ledger_entry entry;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        entry = of_round(1);
        entry.event = bad[i];
        ck_assert_msg(gr_ledger_charge(ledger, &entry) == GR_ERROR_INTERNAL, "%zu", i);
    }
    static const char *const runs[] = {"", "a b", "a\"b", "a\nb"};
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        entry = of_round(1);
        strcpy(entry.run, runs[i]);
        ck_assert_msg(gr_ledger_charge(ledger, &entry) == GR_ERROR_INTERNAL, "%zu", i);
    }
    entry = of_round(1);
    memset(entry.run, 'a', sizeof entry.run);
    ck_assert_int_eq(gr_ledger_charge(ledger, &entry), GR_ERROR_INTERNAL);
    ck_assert_uint_eq(count(ledger), 0);
    gr_ledger_close(ledger);
}
END_TEST

/* ---- what was spent ------------------------------------------------------------------------- */

static struct gr_privacy_event kinds[GR_LEDGER_KINDS_MAX];

static struct gr_privacy_history spent(const struct gr_ledger *ledger, enum gr_protected_unit unit,
                                       enum gr_adjacency adjacency) {
    struct gr_privacy_history history;
    MUST(gr_ledger_history(ledger, unit, adjacency, kinds, &history));
    ck_assert_int_eq(history.adjacency, adjacency);
    return history;
}

START_TEST(events_of_one_kind_are_one) {
    struct gr_privacy_history history;
    make_ledger(5);
    struct gr_ledger *ledger = opened();
    struct gr_ledger_entry entry = of_round(6);
    entry.event = (struct gr_privacy_event){2, 1, 3, 0};
    MUST(gr_ledger_charge(ledger, &entry));
    history = spent(ledger, GR_UNIT_ROW, GR_ADJACENCY_ADD_REMOVE);
    ck_assert_uint_eq(history.n, 2);
    ck_assert_uint_eq(kinds[0].count, 5 * 117);
    ck_assert(kinds[0].sampling == 1.0 / 256 && kinds[0].delta_added == 1e-12);
    ck_assert(kinds[1].noise_multiplier == 2 && kinds[1].count == 3);
    /* Whoever hides less knows of no more; replace has no accountant of sampling. */
    history = spent(ledger, GR_UNIT_ROW, GR_ADJACENCY_ZERO_OUT);
    ck_assert(history.n == 2 && kinds[0].noise_multiplier == 1.1 && kinds[0].sampling < 1);
    history = spent(ledger, GR_UNIT_ROW, GR_ADJACENCY_REPLACE);
    ck_assert(history.n == 2 && kinds[0].noise_multiplier == 1.1 && kinds[0].sampling == 1);
    /* A table of rows tells nothing about what was promised to persons. */
    ck_assert_int_eq(
        gr_ledger_history(ledger, GR_UNIT_PERSON, GR_ADJACENCY_ADD_REMOVE, kinds, &history),
        GR_ERROR_POLICY);
    ck_assert_ptr_nonnull(strstr(gr_message(), "hide a row"));
    gr_ledger_close(ledger);
}
END_TEST

/* A row of a person, after releases that hide persons: twice the clip norm, and no sampling. */
START_TEST(a_finer_unit_after_a_coarser_one) {
    struct gr_privacy_history history;
    struct gr_ledger *ledger = opened();
    struct gr_ledger_entry entry = of_round(1);
    entry.unit = GR_UNIT_PERSON;
    entry.adjacency = GR_ADJACENCY_ZERO_OUT;
    MUST(gr_ledger_charge(ledger, &entry));
    history = spent(ledger, GR_UNIT_ROW, GR_ADJACENCY_ZERO_OUT);
    ck_assert(history.n == 1 && kinds[0].noise_multiplier == 0.55 && kinds[0].sampling == 1);
    history = spent(ledger, GR_UNIT_ROW, GR_ADJACENCY_REPLACE); /* the accountant doubles */
    ck_assert(history.n == 1 && kinds[0].noise_multiplier == 1.1 && kinds[0].sampling == 1);
    history = spent(ledger, GR_UNIT_PERSON, GR_ADJACENCY_ZERO_OUT);
    ck_assert(history.n == 1 && kinds[0].noise_multiplier == 1.1 && kinds[0].sampling < 1);
    ck_assert_int_eq(
        gr_ledger_history(ledger, GR_UNIT_SILO, GR_ADJACENCY_ZERO_OUT, kinds, &history),
        GR_ERROR_POLICY);
    ck_assert_int_eq(
        gr_ledger_history(ledger, GR_UNIT_PERSON, GR_ADJACENCY_ADD_REMOVE, kinds, &history),
        GR_ERROR_POLICY);
    ck_assert_ptr_nonnull(strstr(gr_message(), "how many units"));
    gr_ledger_close(ledger);
}
END_TEST

/* Kinds for which there is no room are taken for worse ones, and no step is forgotten. */
START_TEST(more_kinds_than_there_is_room_for) {
    struct gr_ledger *ledger = opened();
    for (uint32_t i = 1; i <= 100; i++) {
        struct gr_ledger_entry entry = of_round(i);
        entry.event = (struct gr_privacy_event){1 + i, 1.0 / i, i, i * 1e-12};
        MUST(gr_ledger_charge(ledger, &entry));
    }
    const struct gr_privacy_history history = spent(ledger, GR_UNIT_ROW, GR_ADJACENCY_ADD_REMOVE);
    uint64_t steps = 0;
    ck_assert_uint_eq(history.n, GR_LEDGER_KINDS_MAX);
    for (size_t i = 0; i < history.n; i++)
        steps += kinds[i].count;
    ck_assert_uint_eq(steps, 5050);
    const struct gr_privacy_event *last = &kinds[GR_LEDGER_KINDS_MAX - 1];
    ck_assert(last->noise_multiplier == 65 && last->sampling == 1.0 / 64);
    ck_assert(last->delta_added == 100 * 1e-12);
    gr_ledger_close(ledger);
}
END_TEST

/* ---- the table ------------------------------------------------------------------------------ */

static size_t changes(const struct gr_ledger *ledger, enum gr_table_change *last) {
    size_t n;
    const struct gr_ledger_change *change = gr_ledger_changes(ledger, &n);
    ck_assert_uint_gt(n, 0);
    *last = change[n - 1].change;
    return n;
}

/* Opens it for a table, charges a round, and says how many changes it then knows. */
static size_t go_on(const struct gr_ledger_table *of, uint32_t round, enum gr_table_change *last) {
    struct gr_ledger *ledger = opened_for(of);
    charge(ledger, round);
    ck_assert_uint_eq(count(ledger), round);
    const size_t n = changes(ledger, last);
    gr_ledger_close(ledger);
    return n;
}

/* Rows behind those that were there leave it the same table; all that was spent stays. */
START_TEST(a_table_that_grows) {
    enum gr_table_change last;
    const struct gr_ledger_table more = {chain, 4, parts}, most = {chain, 5, other_parts},
                                 otherwise = {chain, 5, parts};
    ck_assert_uint_eq(go_on(&table, 1, &last), 1);
    ck_assert_int_eq(last, GR_TABLE_BEGUN);
    ck_assert_uint_eq(go_on(&table, 2, &last), 1);
    ck_assert_uint_eq(go_on(&more, 3, &last), 2);
    ck_assert_int_eq(last, GR_TABLE_GROWN);
    ck_assert_uint_eq(go_on(&most, 4, &last), 3);
    ck_assert_uint_eq(go_on(&otherwise, 5, &last), 4);
    ck_assert_int_eq(last, GR_TABLE_DEALT);
    ck_assert_uint_eq(go_on(&otherwise, 6, &last), 4);
    /* Rows that were taken off are not where the ledger knows them. */
    struct gr_ledger *ledger = NULL;
    ck_assert_int_eq(gr_ledger_open(scratch, &table, &ledger), GR_ERROR_POLICY);
}
END_TEST

/* It has spent as well, and may have rows later; what was there then does not go again. */
START_TEST(a_table_without_rows) {
    enum gr_table_change last;
    const struct gr_ledger_table none = {chain, 1, parts};
    struct gr_ledger *ledger = NULL;
    ck_assert_uint_eq(go_on(&none, 1, &last), 1);
    ck_assert_uint_eq(go_on(&none, 2, &last), 1);
    ck_assert_uint_eq(go_on(&table, 3, &last), 2);
    ck_assert_int_eq(last, GR_TABLE_GROWN);
    ck_assert_int_eq(gr_ledger_open(scratch, &none, &ledger), GR_ERROR_POLICY);
}
END_TEST

/* The digest that a refusal tells, behind "--adopt ". */
static void told_digest(unsigned char out[GR_DIGEST_BYTES]) {
    char hex[GR_DIGEST_HEX] = "";
    const char *at = strstr(gr_message(), "--adopt ");
    ck_assert_ptr_nonnull(at);
    memcpy(hex, at + strlen("--adopt "), GR_DIGEST_HEX - 1);
    ck_assert(gr_digest_from_hex(hex, out));
}

/* Another table is refused until somebody says that it is of the same people, and then it starts
 * with what was spent; of the one that was there before the same holds. */
START_TEST(a_table_that_is_adopted) {
    enum gr_table_change last;
    unsigned char digest[GR_DIGEST_BYTES], wrong[GR_DIGEST_BYTES] = "wrong";
    struct gr_ledger *ledger = NULL;
    make_ledger(2);
    ck_assert_int_eq(gr_ledger_open(scratch, &other_table, &ledger), GR_ERROR_POLICY);
    told_digest(digest);
    MUST(gr_ledger_adopt(scratch, wrong));
    ck_assert_int_eq(gr_ledger_open(scratch, &other_table, &ledger), GR_ERROR_POLICY);
    MUST(gr_ledger_adopt(in_scratch("privacy-ledger"), digest));
    ck_assert_uint_eq(go_on(&other_table, 3, &last), 4); /* how it is dealt was not known */
    ck_assert_int_eq(last, GR_TABLE_DEALT);
    ck_assert_int_eq(gr_ledger_open(scratch, &table, &ledger), GR_ERROR_POLICY);
    MUST(gr_ledger_read(scratch, &ledger));
    ck_assert_uint_eq(count(ledger), 3);
    gr_ledger_close(ledger);
    ck_assert_int_eq(gr_ledger_adopt(in_scratch("nowhere"), digest), GR_ERROR_USAGE);
    ledger = opened_for(&other_table);
    ck_assert_int_eq(gr_ledger_adopt(scratch, digest), GR_ERROR_WRITE); /* it is in use */
    gr_ledger_close(ledger);
    ck_assert_int_eq(truncate(in_scratch("privacy-ledger"), 300), 0);
    ck_assert_int_eq(gr_ledger_adopt(scratch, digest), GR_ERROR_POLICY);
}
END_TEST

/* With other rows the same secret gives other bytes and the same noise. */
START_TEST(noise_of_other_rows_is_not_used_again) {
    const struct gr_ledger_table more = {chain, 4, parts}, dealt = {chain, 3, other_parts};
    const struct gr_ledger_table *const of[] = {&more, &dealt};
    for (size_t i = 0; i < 2; i++) {
        remove(in_scratch("privacy-ledger"));
        remove(in_scratch("privacy-ledger.head"));
        make_ledger(2);
        struct gr_ledger *ledger = opened();
        charge(ledger, 2); /* of the same rows it is the same */
        gr_ledger_close(ledger);
        ledger = opened_for(of[i]);
        const struct gr_ledger_entry entry = of_round(2);
        ck_assert_int_eq(gr_ledger_charge(ledger, &entry), GR_ERROR_POLICY);
        ck_assert_ptr_nonnull(strstr(gr_message(), "of other rows: noise is not used twice"));
        charge(ledger, 3);
        charge(ledger, 3);
        ck_assert_uint_eq(count(ledger), 3);
        gr_ledger_close(ledger);
    }
}
END_TEST

/* A line and its hash behind those before. */
static void add_line(const char *text, uint64_t n, struct gr_head *head) {
    struct gr_digest digest;
    unsigned char out[GR_DIGEST_BYTES];
    gr_digest_start(&digest);
    gr_digest_add(&digest, head->hash, strlen(head->hash));
    gr_digest_add(&digest, text, strlen(text));
    gr_digest_finish(&digest, out);
    gr_digest_hex(out, head->hash);
    FILE *file = fopen(in_scratch("privacy-ledger"), n == 0 ? "w" : "a");
    fprintf(file, "%s,\"hash\":\"%s\"}\n", text, head->hash);
    fclose(file);
    file = fopen(in_scratch("privacy-ledger.head"), "w");
    fprintf(file, "granary-privacy-ledger-head 1 %llu %s\n", (unsigned long long)n, head->hash);
    fclose(file);
}

static void make_first_version(void) {
    static const char entry[] =
        "{\"entry\":1,\"time\":\"2026-11-21T09:30:00Z\",\"run\":\"0a1b\",\"release\":\"round\","
        "\"round\":1,\"unit\":\"row\",\"adjacency\":\"add_remove\",\"mechanism\":\"gaussian\","
        "\"noise_multiplier\":1.5,\"sampling\":1,\"count\":1,\"delta_added\":0,\"correlation\":"
        "\"none\",\"bands\":0,\"binding\":"
        "\"0000000000000000000000000000000000000000000000000000000000000001\"";
    const unsigned char salt[GR_DIGEST_BYTES] = "salt";
    unsigned char salted[2 * GR_DIGEST_BYTES], data[GR_DIGEST_BYTES];
    char salt_hex[GR_DIGEST_HEX], data_hex[GR_DIGEST_HEX], *title = NULL;
    struct gr_head head = {0};
    memcpy(salted, salt, sizeof salt);
    memcpy(salted + sizeof salt, parts, sizeof parts);
    gr_digest_of(salted, sizeof salted, data);
    gr_digest_hex(salt, salt_hex);
    gr_digest_hex(data, data_hex);
    MUST(gr_text_format(&title,
                        "{\"format\":\"granary-privacy-ledger\",\"version\":1,\"salt\":\"%s\","
                        "\"data\":\"%s\"",
                        salt_hex, data_hex));
    add_line(title, 0, &head);
    add_line(entry, 1, &head);
    gr_free(title);
}

/* A ledger of the first version knows its table with all of its parts, and from then on by rows. */
START_TEST(a_ledger_of_the_first_version) {
    enum gr_table_change last;
    unsigned char digest[GR_DIGEST_BYTES];
    const struct gr_ledger_table more = {chain, 4, parts}, dealt = {chain, 3, other_parts};
    struct gr_ledger *ledger = NULL;
    make_first_version();
    ck_assert_int_eq(gr_ledger_open(scratch, &dealt, &ledger), GR_ERROR_POLICY);
    ck_assert_uint_eq(go_on(&table, 2, &last), 1);
    ck_assert_int_eq(last, GR_TABLE_BEGUN);
    ck_assert_uint_eq(go_on(&more, 3, &last), 2);
    ck_assert_uint_eq(go_on(&more, 4, &last), 2);
    make_first_version();
    ck_assert_int_eq(gr_ledger_open(scratch, &dealt, &ledger), GR_ERROR_POLICY);
    told_digest(digest);
    MUST(gr_ledger_adopt(scratch, digest));
    ck_assert_uint_eq(go_on(&dealt, 2, &last), 2);
}
END_TEST

/* ---- damage --------------------------------------------------------------------------------- */

/* The two files as they are, and put back. */
struct files {
    char *ledger, *head;
    size_t n, n_head;
};

static struct files keep_files(void) {
    struct files files;
    files.ledger = slurp(in_scratch("privacy-ledger"), &files.n);
    files.head = slurp(in_scratch("privacy-ledger.head"), &files.n_head);
    return files;
}

static void put_back(const struct files *files) {
    spill(in_scratch("privacy-ledger"), files->ledger, files->n);
    spill(in_scratch("privacy-ledger.head"), files->head, files->n_head);
}

static void free_files(struct files *files) {
    gr_free(files->ledger);
    gr_free(files->head);
}

static size_t line_start(const struct files *files, int line) {
    size_t at = 0;
    for (int i = 0; i < line; i++)
        at = (size_t)((char *)memchr(files->ledger + at, '\n', files->n - at) - files->ledger) + 1;
    return at;
}

START_TEST(a_ledger_cut_at_every_byte) {
    make_ledger(3);
    struct files files = keep_files();
    for (size_t n = 0; n < files.n; n++) {
        put_back(&files);
        ck_assert_int_eq(truncate(in_scratch("privacy-ledger"), (off_t)n), 0);
        expect_refusal("privacy-ledger");
    }
    for (size_t n = 0; n < files.n_head; n++) {
        put_back(&files);
        ck_assert_int_eq(truncate(in_scratch("privacy-ledger.head"), (off_t)n), 0);
        expect_refusal("not the head of a privacy ledger, or changed");
    }
    put_back(&files);
    gr_ledger_close(opened());
    free_files(&files);
}
END_TEST

START_TEST(every_bit_counts) {
    make_ledger(2);
    struct files files = keep_files();
    for (size_t i = 0; i < 8 * files.n; i += 3) { /* each byte, and each of its bits in turn */
        files.ledger[i / 8] = (char)(files.ledger[i / 8] ^ 1 << i % 8);
        put_back(&files);
        expect_refusal("privacy-ledger");
        files.ledger[i / 8] = (char)(files.ledger[i / 8] ^ 1 << i % 8);
    }
    for (size_t i = 0; i < 8 * files.n_head; i++) {
        files.head[i / 8] = (char)(files.head[i / 8] ^ 1 << i % 8);
        put_back(&files);
        expect_refusal("privacy-ledger");
        files.head[i / 8] = (char)(files.head[i / 8] ^ 1 << i % 8);
    }
    put_back(&files);
    gr_ledger_close(opened());
    free_files(&files);
}
END_TEST

/* Lines `from` and `to` change their places; from == to: that line is left out. */
static void reorder(const struct files *files, int from, int to) {
    char text[8192];
    size_t n = 0;
    for (int line = 0; line < 6; line++) {
        const int taken = line == from ? to : line == to ? from : line;
        if (from == to && line == from) continue;
        const size_t start = line_start(files, taken), end = line_start(files, taken + 1);
        memcpy(text + n, files->ledger + start, end - start);
        n += end - start;
    }
    put_back(files);
    spill(in_scratch("privacy-ledger"), text, n);
}

START_TEST(lines_keep_their_places) {
    make_ledger(4);
    struct files files = keep_files();
    for (int from = 0; from < 6; from++)
        for (int to = from; to < 6; to++) {
            reorder(&files, from, to);
            expect_refusal("privacy-ledger");
        }
    put_back(&files);
    FILE *file = fopen(in_scratch("privacy-ledger"), "a"); /* the last one twice */
    fwrite(files.ledger + line_start(&files, 5), 1, files.n - line_start(&files, 5), file);
    fclose(file);
    expect_refusal("privacy-ledger:7: ");
    free_files(&files);
}
END_TEST

/* Of two ledgers of the same events none passes for the other, nor does a head. */
START_TEST(another_ledger) {
    make_ledger(2);
    struct files one = keep_files();
    remove(in_scratch("privacy-ledger"));
    remove(in_scratch("privacy-ledger.head"));
    make_ledger(2);
    struct files two = keep_files();
    spill(in_scratch("privacy-ledger"), one.ledger, one.n);
    expect_refusal("does not agree with its head");
    put_back(&one);
    struct gr_ledger *ledger = NULL;
    ck_assert_int_eq(gr_ledger_open(scratch, &other_table, &ledger), GR_ERROR_POLICY);
    ck_assert_ptr_nonnull(strstr(gr_message(), "of another table"));
    ck_assert_ptr_null(ledger);
    gr_ledger_close(opened());
    free_files(&one);
    free_files(&two);
}
END_TEST

START_TEST(a_file_that_is_missing) {
    make_ledger(2);
    struct files files = keep_files();
    remove(in_scratch("privacy-ledger.head"));
    expect_refusal("its head is missing");
    put_back(&files);
    remove(in_scratch("privacy-ledger"));
    expect_refusal("missing or empty, expected the 3 lines");
    expect_refusal("missing or empty"); /* also when it was tried before */
    put_back(&files);
    gr_ledger_close(opened());
    free_files(&files);
}
END_TEST

/* A kill leaves the head one behind, or a line without its end, or neither of the first line. */
START_TEST(what_a_kill_leaves) {
    make_ledger(1);
    struct files one = keep_files();
    make_ledger(2);
    struct files two = keep_files();
    make_ledger(3);
    struct files three = keep_files();
    put_back(&three);
    spill(in_scratch("privacy-ledger.head"), two.head, two.n_head);
    struct gr_ledger *ledger = opened();
    ck_assert_uint_eq(count(ledger), 3);
    gr_ledger_close(ledger);
    char *head = slurp(in_scratch("privacy-ledger.head"), NULL);
    ck_assert_str_eq(head, three.head); /* the head has come up */
    gr_free(head);
    spill(in_scratch("privacy-ledger.head"), one.head, one.n_head);
    ck_assert_int_eq(gr_ledger_open(scratch, &table, &ledger), GR_ERROR_POLICY);
    for (size_t n = two.n; n < three.n; n += 13) {
        put_back(&two);
        spill(in_scratch("privacy-ledger"), three.ledger, n);
        ledger = opened();
        ck_assert_uint_eq(count(ledger), 2);
        charge(ledger, 3);
        gr_ledger_close(ledger);
        ledger = opened();
        ck_assert_uint_eq(count(ledger), 3);
        gr_ledger_close(ledger);
    }
    for (size_t n = 0; n <= line_start(&one, 2); n += 7) {
        remove(in_scratch("privacy-ledger.head"));
        spill(in_scratch("privacy-ledger"), one.ledger, n);
        make_ledger(1);
    }
    free_files(&one);
    free_files(&two);
    free_files(&three);
}
END_TEST

START_TEST(a_later_version) {
    static const char title[] = "{\"format\":\"granary-privacy-ledger\",\"version\":3,\"x\":1}\n",
                      head[] = "granary-privacy-ledger-head 7 what may be\n";
    spill(in_scratch("privacy-ledger"), title, sizeof title - 1);
    expect_refusal("a ledger of version 3, which a later granary has written");
    spill(in_scratch("privacy-ledger.head"), head, sizeof head - 1);
    expect_refusal("of version 7, which a later granary has written");
}
END_TEST

/* A run remembers how far the ledger had come, so that both files of an earlier time are found. */
START_TEST(a_head_that_was_kept_elsewhere) {
    make_ledger(2);
    struct files two = keep_files();
    struct gr_ledger *ledger = opened();
    const struct gr_head then = gr_ledger_head(ledger);
    charge(ledger, 3);
    const struct gr_head now = gr_ledger_head(ledger);
    MUST(gr_ledger_check(ledger, &then));
    MUST(gr_ledger_check(ledger, &now));
    gr_ledger_close(ledger);
    put_back(&two);
    ledger = opened();
    MUST(gr_ledger_check(ledger, &then));
    ck_assert_int_eq(gr_ledger_check(ledger, &now), GR_ERROR_POLICY);
    ck_assert_ptr_nonnull(strstr(gr_message(), "has 3 lines, and is not the ledger of at least 4"));
    charge(ledger, 4);
    ck_assert_int_eq(gr_ledger_check(ledger, &now), GR_ERROR_POLICY);
    gr_ledger_close(ledger);
    free_files(&two);
}
END_TEST

/* ---- the disk ------------------------------------------------------------------------------- */

START_TEST(only_the_owner_reads_it_and_one_process_has_it) {
    struct stat is;
    struct gr_ledger *ledger = opened(), *second = NULL;
    charge(ledger, 1);
    ck_assert_int_eq(stat(in_scratch("privacy-ledger"), &is), 0);
    ck_assert_int_eq(is.st_mode & 0777, 0600);
    ck_assert_int_eq(stat(in_scratch("privacy-ledger.head"), &is), 0);
    ck_assert_int_eq(is.st_mode & 077, 0);
    ck_assert_int_eq(gr_ledger_open(scratch, &table, &second), GR_ERROR_WRITE);
    ck_assert_ptr_nonnull(strstr(gr_message(), "has it"));
    gr_ledger_close(ledger);
    ck_assert_int_eq(gr_ledger_open(in_scratch("nowhere"), &table, &second), GR_ERROR_WRITE);
    ck_assert_int_eq(gr_ledger_read(in_scratch("nowhere"), &second), GR_ERROR_USAGE);
    ck_assert_int_eq(rename(in_scratch("privacy-ledger"), in_scratch("moved")), 0);
    ck_assert_int_eq(symlink("moved", in_scratch("privacy-ledger")), 0);
    ck_assert_int_eq(gr_ledger_open(scratch, &table, &second), GR_ERROR_WRITE);
    ck_assert_ptr_nonnull(strstr(gr_message(), "a symbolic link, expected the file itself"));
}
END_TEST

/* What is written to a file that has no name any more, nobody will ever count. */
START_TEST(a_ledger_that_is_taken_away_while_it_is_used) {
    const struct gr_ledger_entry entry = of_round(2);
    for (int replaced = 0; replaced < 2; replaced++) {
        struct gr_ledger *ledger = opened();
        charge(ledger, 1);
        ck_assert_int_eq(rename(in_scratch("privacy-ledger"), in_scratch("moved")), 0);
        if (replaced) ck_assert_int_eq(fclose(fopen(in_scratch("privacy-ledger"), "w")), 0);
        ck_assert_int_eq(gr_ledger_charge(ledger, &entry), GR_ERROR_WRITE);
        ck_assert_ptr_nonnull(strstr(gr_message(), "removed, replaced or written by others"));
        ck_assert_int_eq(rename(in_scratch("moved"), in_scratch("privacy-ledger")), 0);
        ck_assert_int_eq(gr_ledger_charge(ledger, &entry), GR_ERROR_WRITE);
        gr_ledger_close(ledger);
        ledger = opened();
        ck_assert_uint_eq(count(ledger), 1);
        gr_ledger_close(ledger);
    }
}
END_TEST

/* Nothing may leave that was not written, and nothing is charged behind a line that is cut. */
START_TEST(a_full_disk) {
    struct gr_ledger *ledger = opened();
    struct rlimit limit = {0};
    struct stat is;
    charge(ledger, 1);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    const rlim_t before = limit.rlim_cur;
    ck_assert_int_eq(stat(in_scratch("privacy-ledger"), &is), 0);
    limit.rlim_cur = (rlim_t)is.st_size + 100; /* in the midst of the second entry */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const struct gr_ledger_entry entry = of_round(2);
    ck_assert_int_eq(gr_ledger_charge(ledger, &entry), GR_ERROR_WRITE);
    limit.rlim_cur = before;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(gr_ledger_charge(ledger, &entry), GR_ERROR_WRITE);
    ck_assert_uint_eq(count(ledger), 1);
    gr_ledger_close(ledger);
    ledger = opened();
    ck_assert_uint_eq(count(ledger), 1);
    charge(ledger, 2);
    gr_ledger_close(ledger);
}
END_TEST

/* A head that cannot be replaced: the entry counts, and its release does not leave. */
START_TEST(a_head_that_cannot_be_written) {
    struct gr_ledger *ledger = opened();
    charge(ledger, 1);
    ck_assert_int_eq(mkdir(in_scratch("privacy-ledger.head.tmp"), 0700), 0);
    const struct gr_ledger_entry entry = of_round(2), next = of_round(3);
    ck_assert_int_eq(gr_ledger_charge(ledger, &entry), GR_ERROR_WRITE);
    ck_assert_int_eq(gr_ledger_charge(ledger, &next), GR_ERROR_WRITE);
    gr_ledger_close(ledger);
    ck_assert_int_eq(rmdir(in_scratch("privacy-ledger.head.tmp")), 0);
    ledger = opened();
    ck_assert_uint_eq(count(ledger), 2);
    gr_ledger_close(ledger);
}
END_TEST

/* As where a file system locks nothing: the entry of whoever comes second would be put over it. */
START_TEST(another_run_adds_to_a_ledger) {
    const struct gr_ledger_entry entry = of_round(2);
    struct gr_ledger *ledger = opened();
    charge(ledger, 1);
    FILE *other = fopen(in_scratch("privacy-ledger"), "a");
    ck_assert_int_gt(fprintf(other, "an entry"), 0);
    ck_assert_int_eq(fclose(other), 0);
    ck_assert_int_eq(gr_ledger_charge(ledger, &entry), GR_ERROR_WRITE);
    ck_assert_ptr_nonnull(strstr(gr_message(), "removed, replaced or written by others"));
    gr_ledger_close(ledger);
}
END_TEST

/* ---- kills ---------------------------------------------------------------------------------- */

/* Writes an entry and lets its release leave, until it is killed. n: releases that have left, in
 * memory that outlives the process. Which release a process was at is told by n, so that it sends
 * the same bytes once more. */
static void live(volatile uint32_t *n) {
    struct gr_ledger *ledger = NULL;
    if (gr_ledger_open(scratch, &table, &ledger) != GR_OK) _exit(1);
    for (;;) {
        const struct gr_ledger_entry entry = of_round(1 + *n);
        if (gr_ledger_charge(ledger, &entry) != GR_OK) _exit(2);
        ++*n; /* it leaves */
    }
}

/* GRANARY_KILLS: of the writer at random points, 500 where it is not set. */
START_TEST(no_kill_lets_more_leave_than_is_noted) {
    const char *text = getenv("GRANARY_KILLS");
    const uint32_t kills = text ? (uint32_t)strtoul(text, NULL, 10) : 500;
    volatile uint32_t *left =
        mmap(NULL, sizeof *left, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(left != MAP_FAILED);
    struct gr_stream_key key = {.seed = 7, .purpose = GR_PURPOSE_TEST};
    for (uint32_t i = 0; i < kills; i++) {
        uint32_t word;
        int how;
        key.round = i;
        gr_stream_words(key, 0, &word, 1);
        const pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) live(left);
        usleep(200 + word % 12000);
        kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, &how, 0), child);
        ck_assert_msg(WIFSIGNALED(how), "it ended by itself, with %d", WEXITSTATUS(how));
    }
    struct gr_ledger *ledger = opened();
    size_t n;
    const struct gr_ledger_entry *entries = gr_ledger_entries(ledger, &n);
    ck_assert_uint_gt(*left, 0);
    ck_assert_uint_ge(n, *left);
    ck_assert_uint_le(n, *left + 1);
    for (uint32_t i = 0; i < n; i++)
        ck_assert_uint_eq(entries[i].round, i + 1);
    printf("%u kills, %u releases, %zu entries\n", kills, *left, n);
    gr_ledger_close(ledger);
}
END_TEST

RUN_TESTS("the privacy ledger", entries_outlive_a_restart, a_binding_is_charged_once,
          no_event_without_a_price, events_of_one_kind_are_one, a_finer_unit_after_a_coarser_one,
          more_kinds_than_there_is_room_for, a_table_that_grows, a_table_without_rows,
          a_table_that_is_adopted, noise_of_other_rows_is_not_used_again,
          a_ledger_of_the_first_version, a_ledger_cut_at_every_byte, every_bit_counts,
          lines_keep_their_places, another_ledger, a_file_that_is_missing, what_a_kill_leaves,
          a_later_version, a_head_that_was_kept_elsewhere,
          only_the_owner_reads_it_and_one_process_has_it,
          a_ledger_that_is_taken_away_while_it_is_used, another_run_adds_to_a_ledger, a_full_disk,
          a_head_that_cannot_be_written, no_kill_lets_more_leave_than_is_noted)
