/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of a party's secure sums: what it refuses, also after a restart, and that no kill at
 * any point leaves two rosters for one sum or a counter that goes back.
 */
#include "privacy/sum_journal.h"

#include "scratch.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const unsigned char one[GR_DIGEST_BYTES] = "one", two[GR_DIGEST_BYTES] = "two",
                           first[GR_DIGEST_BYTES] = "first", second[GR_DIGEST_BYTES] = "second";

static const struct gr_sum_subject of_one = {"a round", "all"}, of_two = {"another", "all"};

static struct gr_sum_journal *opened(void) {
    struct gr_sum_journal *journal = NULL;
    MUST(gr_sum_journal_open(in_scratch("sums"), &journal));
    return journal;
}

START_TEST(refusals_outlive_a_restart) {
    struct gr_sum_journal *journal = opened();
    ck_assert_uint_eq(gr_sum_journal_counter(journal), 0);
    ck_assert_int_eq(gr_sum_journal_begin(journal, 0, one), GR_ERROR_POLICY);
    MUST(gr_sum_journal_begin(journal, 7, one));
    ck_assert_int_eq(gr_sum_journal_shares(journal, one, first, &of_one), GR_ERROR_POLICY);
    MUST(gr_sum_journal_roster(journal, one, first));
    for (int restart = 0; restart < 2; restart++) {
        ck_assert_uint_eq(gr_sum_journal_counter(journal), 7);
        ck_assert_int_eq(gr_sum_journal_begin(journal, 7, two), GR_ERROR_POLICY);
        ck_assert_int_eq(gr_sum_journal_begin(journal, 6, two), GR_ERROR_POLICY);
        ck_assert_int_eq(gr_sum_journal_roster(journal, one, second), GR_ERROR_POLICY);
        ck_assert_int_eq(gr_sum_journal_roster(journal, two, first), GR_ERROR_POLICY);
        ck_assert_int_eq(gr_sum_journal_shares(journal, one, second, &of_one), GR_ERROR_POLICY);
        MUST(gr_sum_journal_roster(journal, one, first)); /* the same once more */
        gr_sum_journal_close(journal);
        journal = opened();
    }
    MUST(gr_sum_journal_shares(journal, one, first, &of_one));
    MUST(gr_sum_journal_begin(journal, 8, two));
    ck_assert_int_eq(gr_sum_journal_shares(journal, two, first, &of_two), GR_ERROR_POLICY);
    MUST(gr_sum_journal_roster(journal, two, second));
    gr_sum_journal_close(journal);
}
END_TEST

/* The same sum again is of no harm, and over others it is: whatever the run, and after restarts. */
START_TEST(one_subject_has_one_set_of_parties) {
    const struct gr_sum_subject fewer = {"a round", "all but one"};
    struct gr_sum_journal *journal = opened();
    MUST(gr_sum_journal_begin(journal, 100, one));
    MUST(gr_sum_journal_roster(journal, one, first));
    MUST(gr_sum_journal_check(journal, &fewer)); /* nothing of it has left */
    MUST(gr_sum_journal_shares(journal, one, first, &of_one));
    for (uint64_t counter = 101; counter < 300; counter++) {
        struct gr_sum_subject other = {"", "all"};
        memcpy(other.of, &counter, sizeof counter);
        MUST(gr_sum_journal_begin(journal, counter, two));
        MUST(gr_sum_journal_roster(journal, two, second));
        MUST(gr_sum_journal_shares(journal, two, second, &other));
    }
    for (int restart = 0; restart < 2; restart++) {
        ck_assert_int_eq(gr_sum_journal_check(journal, &fewer), GR_ERROR_POLICY);
        ck_assert_ptr_nonnull(strstr(gr_message(), "of the same sum over other parties"));
        ck_assert_int_eq(gr_sum_journal_shares(journal, two, second, &fewer), GR_ERROR_POLICY);
        MUST(gr_sum_journal_check(journal, &of_one));
        gr_sum_journal_close(journal);
        journal = opened();
    }
    gr_sum_journal_close(journal);
}
END_TEST

static const struct gr_party_set *set_of(int word, uint64_t bits) {
    static struct gr_party_set set;
    set = (struct gr_party_set){0};
    set.bits[word] = bits;
    return &set;
}

/* Of each study by itself; the same set again, and between other lines, is the same. */
START_TEST(sets_of_parties_are_compared) {
    struct gr_sum_journal *journal = opened();
    MUST(gr_sum_journal_begin(journal, 1, one));
    MUST(gr_sum_journal_parties(journal, first, set_of(0, 0xf)));
    MUST(gr_sum_journal_roster(journal, one, first));
    for (uint64_t i = 0; i < 20; i++)
        MUST(gr_sum_journal_parties(journal, first, set_of(2, UINT64_C(0xff00) << i % 10)));
    MUST(gr_sum_journal_shares(journal, one, first, &of_one));
    for (int restart = 0; restart < 2; restart++) {
        ck_assert_uint_eq(gr_sum_journal_difference(journal, first, set_of(0, 0xe)), 1);
        ck_assert_uint_eq(gr_sum_journal_difference(journal, first, set_of(0, 0x3f)), 2);
        ck_assert_uint_eq(gr_sum_journal_difference(journal, first, set_of(0, 0xf)), 12);
        ck_assert_uint_eq(gr_sum_journal_difference(journal, first, set_of(2, 0xff01)), 1);
        ck_assert_uint_eq(gr_sum_journal_difference(journal, second, set_of(0, 0xe)), UINT32_MAX);
        gr_sum_journal_close(journal);
        journal = opened();
    }
    gr_sum_journal_close(journal);
    ck_assert_uint_eq(gr_sum_journal_difference(NULL, first, set_of(0, 0xe)), UINT32_MAX);
}
END_TEST

/* Keys of sums are exchanged before those of an earlier one are opened: each has one roster. */
START_TEST(several_are_under_way) {
    enum { SUMS = 40, LATEST = 16 };
    unsigned char id[SUMS][GR_DIGEST_BYTES] = {{0}};
    struct gr_sum_journal *journal = opened();
    for (uint64_t i = 0; i < SUMS; i++) {
        snprintf((char *)id[i], sizeof id[i], "sum %u", (unsigned)i);
        MUST(gr_sum_journal_begin(journal, 10 + i, id[i]));
    }
    for (size_t i = SUMS; i-- > SUMS - LATEST;)
        MUST(gr_sum_journal_roster(journal, id[i], i % 2 ? first : second));
    for (int restart = 0; restart < 2; restart++) {
        ck_assert_int_eq(gr_sum_journal_roster(journal, id[SUMS - LATEST - 1], first),
                         GR_ERROR_POLICY);
        ck_assert_ptr_nonnull(strstr(gr_message(), "not one of the"));
        for (size_t i = SUMS - LATEST; i < SUMS; i++) {
            MUST(gr_sum_journal_roster(journal, id[i], i % 2 ? first : second));
            ck_assert_int_eq(gr_sum_journal_roster(journal, id[i], i % 2 ? second : first),
                             GR_ERROR_POLICY);
            MUST(gr_sum_journal_shares(journal, id[i], i % 2 ? first : second, &of_one));
        }
        ck_assert_uint_eq(gr_sum_journal_counter(journal), 10 + SUMS - 1);
        gr_sum_journal_close(journal);
        journal = opened();
    }
    gr_sum_journal_close(journal);
}
END_TEST

START_TEST(only_the_owner_reads_it_and_one_process_has_it) {
    struct stat is;
    struct gr_sum_journal *again = NULL, *journal = opened();
    ck_assert_int_eq(stat(in_scratch("sums"), &is), 0);
    ck_assert_uint_eq(is.st_mode & 0777, 0600);
    ck_assert_int_eq(gr_sum_journal_open(in_scratch("sums"), &again), GR_ERROR_WRITE);
    ck_assert_ptr_nonnull(strstr(gr_message(), "another process"));
    gr_sum_journal_close(journal);
    journal = opened();
    gr_sum_journal_close(journal);
}
END_TEST

/* A line that was cut counts for nothing and goes; lines that are none are not passed over. */
START_TEST(a_damaged_journal) {
    static const char hex[] = "6f6e650000000000000000000000000000000000000000000000000000000000";
    char text[512];
    size_t n;
    snprintf(text, sizeof text, "begin 3 %s\nbegin 9 %s", hex, hex);
    spill(in_scratch("sums"), text, strlen(text));
    struct gr_sum_journal *journal = opened();
    ck_assert_uint_eq(gr_sum_journal_counter(journal), 3);
    MUST(gr_sum_journal_begin(journal, 4, two));
    gr_sum_journal_close(journal);
    journal = opened(); /* the new line is whole, and the last */
    ck_assert_uint_eq(gr_sum_journal_counter(journal), 4);
    gr_sum_journal_close(journal);
    char *now = slurp(in_scratch("sums"), &n);
    ck_assert_ptr_null(strstr(now, "begin 9"));
    ck_assert_ptr_nonnull(strstr(now, "\nbegin 4 "));
    gr_free(now);
    static const char *const bad[] = {"begin 3 %s\nbegin 3 %s\n",
                                      "begin 3 %s\nbegin 2 %s\n",
                                      "roster 3 %s %s\n",
                                      "begin 3 %s\nshares 3 %s %s\n",
                                      "begin 3 %s \n",
                                      "begin 3 1%s\n",
                                      "nonsense\n",
                                      "\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *from = bad[i];
        size_t end = 0;
        for (; *from; from++) { /* %s: the digest */
            if (*from != '%')
                text[end++] = *from;
            else
                end += (size_t)snprintf(text + end, sizeof text - end, "%s", hex), from++;
        }
        text[end] = '\0';
        spill(in_scratch("sums"), text, strlen(text));
        ck_assert_msg(gr_sum_journal_open(in_scratch("sums"), &journal) == GR_ERROR_DATA, "%zu", i);
        ck_assert_ptr_nonnull(strstr(gr_message(), "sums:"));
    }
}
END_TEST

/* Nothing leaves that was not written, and nothing is written behind a line that is cut. */
START_TEST(a_full_disk) {
    struct gr_sum_journal *journal = opened();
    struct rlimit no_more = {0};
    MUST(gr_sum_journal_begin(journal, 1, one));
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &no_more), 0);
    const rlim_t before = no_more.rlim_cur;
    no_more.rlim_cur = 100; /* bytes: in the midst of the second line */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &no_more), 0);
    ck_assert_int_eq(gr_sum_journal_roster(journal, one, first), GR_ERROR_WRITE);
    no_more.rlim_cur = before;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &no_more), 0);
    ck_assert_int_eq(gr_sum_journal_roster(journal, one, first), GR_ERROR_WRITE);
    ck_assert_int_eq(gr_sum_journal_begin(journal, 2, two), GR_ERROR_WRITE);
    gr_sum_journal_close(journal);
    journal = opened();
    MUST(gr_sum_journal_roster(journal, one, second)); /* the first was never signed */
    gr_sum_journal_close(journal);
}
END_TEST

/* ---- kills ------------------------------------------------------------------------------------
 */

/* What a party has let out, in memory that outlives it. */
struct let_out {
    volatile uint64_t counter;          /* of the sum that was begun last */
    volatile uint64_t rosters[1 << 16]; /* by counter: the first byte of the one signed, + 1 */
    volatile uint32_t broken;
};

/* A party that begins sums and signs rosters until it is killed; each process would sign another
 * roster than the one before it. */
static void live(struct let_out *out, unsigned char life) {
    struct gr_sum_journal *journal = NULL;
    if (gr_sum_journal_open(in_scratch("sums"), &journal) != GR_OK) _exit(1);
    const unsigned char roster[GR_DIGEST_BYTES] = {life};
    /* The sum before, whose id it may be told again. */
    uint64_t counter = gr_sum_journal_counter(journal);
    for (;; counter++) {
        unsigned char id[GR_DIGEST_BYTES] = {0};
        memcpy(id, &counter, sizeof counter);
        if (counter > gr_sum_journal_counter(journal)) {
            if (counter <= out->counter) out->broken = 1;
            if (gr_sum_journal_begin(journal, counter, id) != GR_OK) _exit(2);
            out->counter = counter;
        }
        if (counter == 0 || gr_sum_journal_roster(journal, id, roster) != GR_OK) continue;
        const uint64_t before = out->rosters[counter % (1 << 16)];
        if (before != 0 && before != life + 1ULL) out->broken = 2;
        struct gr_sum_subject subject = {"", "all"};
        memcpy(subject.of, &counter, sizeof counter);
        out->rosters[counter % (1 << 16)] = life + 1ULL; /* its signature leaves */
        if (gr_sum_journal_shares(journal, id, roster, &subject) != GR_OK) _exit(3);
    }
}

START_TEST(no_kill_leaves_two_rosters) {
    enum { KILLS = 500 };
    struct let_out *out =
        mmap(NULL, sizeof *out, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(out, MAP_FAILED);
    struct gr_stream_key key = {.seed = 5, .purpose = GR_PURPOSE_TEST};
    uint64_t before = 0;
    for (uint32_t kill_number = 0; kill_number < KILLS; kill_number++) {
        uint32_t word;
        int how;
        key.round = kill_number;
        gr_stream_words(key, 0, &word, 1);
        const pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) live(out, (unsigned char)kill_number);
        usleep(200 + word % 4000);
        kill(child, SIGKILL);
        ck_assert_int_eq(waitpid(child, &how, 0), child);
        ck_assert(WIFSIGNALED(how));
        ck_assert_uint_eq(out->broken, 0);
    }
    struct gr_sum_journal *journal = opened(); /* whole after all of them */
    ck_assert_uint_ge(gr_sum_journal_counter(journal), out->counter);
    ck_assert_uint_gt(out->counter, before);
    gr_sum_journal_close(journal);
    munmap(out, sizeof *out);
}
END_TEST

RUN_TESTS("the journal of secure sums", sets_of_parties_are_compared, refusals_outlive_a_restart,
          several_are_under_way, one_subject_has_one_set_of_parties,
          only_the_owner_reads_it_and_one_process_has_it, a_damaged_journal, a_full_disk,
          no_kill_leaves_two_rosters)
