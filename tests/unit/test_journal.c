/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of signed lines, and a site's journal: each byte of either counts, a signature is of one
 * purpose and one key, and seals that contradict each other or the site are refused and kept. The
 * hash at the end of a line and its signature are computed here once more, by libsodium itself.
 */
#include <granary/journal.h>

#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>

#include "scratch.h"

static struct gr_keys *keys[2]; /* the coordinator's, a site's */
static struct gr_party parties[2];
static unsigned char study[GR_DIGEST_BYTES];

static void make_parties(void) {
    static const char *const names[] = {"coordinator", "north"};
    for (int i = 0; i < 2; i++) {
        MUST(gr_keys_generate(in_scratch(names[i]), &parties[i].key));
        MUST(gr_keys_read(in_scratch(names[i]), &keys[i]));
        snprintf(parties[i].name, sizeof parties[i].name, "%s", names[i]);
    }
    gr_digest_of("study", 5, study);
}

static void free_parties(void) {
    gr_keys_free(keys[0]);
    gr_keys_free(keys[1]);
}

/* ---- chains ---------------------------------------------------------------------------------- */

struct seen {
    unsigned lines, follow, sealed, of_journal, of_other;
};

static gr_status see(void *context, const struct gr_chain_line *line) {
    struct seen *seen = context;
    seen->lines++;
    seen->follow += line->follows;
    seen->sealed += gr_chain_signed(line->text, line->n, GR_PURPOSE_OF_SEALS, &parties[0].key);
    seen->of_journal +=
        gr_chain_signed(line->text, line->n, GR_PURPOSE_OF_JOURNALS, &parties[0].key);
    seen->of_other += gr_chain_signed(line->text, line->n, GR_PURPOSE_OF_SEALS, &parties[1].key);
    return GR_OK;
}

static struct seen look(const char *path, bool *torn) {
    struct seen seen = {0};
    uint64_t n;
    MUST(gr_chain_read(path, see, &seen, &n, torn));
    ck_assert_uint_eq(n, seen.lines);
    return seen;
}

static void write_chain(const char *path, unsigned n) {
    struct gr_events_file *file;
    const struct gr_chain_signer signer = {.keys = keys[0], .purpose = GR_PURPOSE_OF_SEALS};
    MUST(gr_events_open(path, &file));
    for (unsigned i = 0; i < n; i++)
        MUST(gr_events_append_signed(file, "start", i, "{\"a\":\"b\"}", i % 2 ? &signer : NULL,
                                     NULL));
    gr_events_close(file);
}

START_TEST(a_line_is_signed_and_hashed) {
    make_parties();
    struct gr_events_file *file;
    const struct gr_chain_signer signer = {.keys = keys[0], .purpose = GR_PURPOSE_OF_SEALS};
    char *line = NULL, body[512], hex[129];
    unsigned char digest[32], whole[64], signature[64];
    MUST(gr_events_open(in_scratch("chain"), &file));
    MUST(gr_events_append_signed(file, "start", 7, "{\"a\":1}", &signer, &line));
    gr_events_close(file);
    /* The hash: BLAKE2b-256 of the line up to it, and "}". */
    const char *hash = strstr(line, ",\"hash\":\"");
    ck_assert_ptr_nonnull(hash);
    snprintf(body, sizeof body, "%.*s}", (int)(hash - line), line);
    crypto_generichash(digest, 32, (const unsigned char *)body, strlen(body), NULL, 0);
    sodium_bin2hex(hex, sizeof hex, digest, 32);
    ck_assert_int_eq(memcmp(hash + 9, hex, 64), 0);
    /* The signature: Ed25519 over BLAKE2b-512 of title, purpose, and the line up to it, and "}". */
    char *part = strstr(body, ",\"signature\":\"");
    ck_assert_ptr_nonnull(part);
    size_t n = 0;
    ck_assert_int_eq(sodium_hex2bin(signature, 64, part + 14, 128, NULL, &n, NULL), 0);
    ck_assert_uint_eq(n, 64);
    strcpy(part, "}");
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 64);
    crypto_generichash_update(&state, (const unsigned char *)"granary signature 1", 20);
    crypto_generichash_update(&state, (const unsigned char *)"seal", 5);
    crypto_generichash_update(&state, (const unsigned char *)body, strlen(body));
    crypto_generichash_final(&state, whole, 64);
    ck_assert_int_eq(crypto_sign_verify_detached(signature, whole, 64, parties[0].key.verify), 0);
    gr_free(line);
    free_parties();
}
END_TEST

START_TEST(signatures_are_of_one_key_and_purpose) {
    make_parties();
    bool torn;
    write_chain(in_scratch("chain"), 6);
    const struct seen seen = look(in_scratch("chain"), &torn);
    ck_assert_uint_eq(seen.lines, 6);
    ck_assert_uint_eq(seen.follow, 6);
    ck_assert_uint_eq(seen.sealed, 3);
    ck_assert_uint_eq(seen.of_journal, 0);
    ck_assert_uint_eq(seen.of_other, 0);
    ck_assert(!torn);
    free_parties();
}
END_TEST

/* Each bit of each byte: a line no longer follows, or the file is torn. */
START_TEST(each_byte_counts) {
    make_parties();
    char path[1024];
    size_t n;
    bool torn;
    snprintf(path, sizeof path, "%s", in_scratch("chain"));
    write_chain(path, 3);
    char *text = slurp(path, &n);
    for (size_t i = 0; i < n; i++)
        for (int bit = 0; bit < 8; bit++) {
            text[i] ^= (char)(1 << bit);
            spill(path, text, n);
            const struct seen seen = look(path, &torn);
            ck_assert_msg(torn || seen.lines != 3 || seen.follow < 3, "bit %d of byte %zu", bit, i);
            text[i] ^= (char)(1 << bit);
        }
    gr_free(text);
    free_parties();
}
END_TEST

/* Another round, and the hash that fits it. */
static void forge(char *text) {
    char hex[65], *hash = strstr(text, ",\"hash\":\"");
    unsigned char digest[32];
    strstr(text, "\"round\":1")[8] = '2';
    hash[0] = '}';
    gr_digest_of(text, (size_t)(hash - text) + 1, digest);
    hash[0] = ',';
    gr_digest_hex(digest, hex);
    memcpy(hash + 9, hex, 64);
}

/* Whoever makes the hashes anew has no signature for what he has changed. */
START_TEST(a_new_hash_is_no_signature) {
    make_parties();
    char path[1024];
    size_t n;
    bool torn;
    snprintf(path, sizeof path, "%s", in_scratch("chain"));
    struct gr_events_file *file;
    const struct gr_chain_signer signer = {.keys = keys[0], .purpose = GR_PURPOSE_OF_SEALS};
    MUST(gr_events_open(path, &file));
    MUST(gr_events_append_signed(file, "start", 1, NULL, &signer, NULL));
    gr_events_close(file);
    char *text = NULL;
    MUST(gr_file_read(path, 1 << 20, GR_ERROR_DATA, &text, &n));
    forge(text);
    spill(path, text, n);
    const struct seen seen = look(path, &torn);
    ck_assert_uint_eq(seen.follow, 1);
    ck_assert_uint_eq(seen.sealed, 0);
    gr_free(text);
    free_parties();
}
END_TEST

/* ---- journals -------------------------------------------------------------------------------- */

/* A coordinator's lines of seals; of one fork. */
struct sealer {
    struct gr_events_file *file;
    const char *run_id;
    int hand;             /* whose keys */
    const char *of_study; /* NULL: the study's */
};

static const char *seal(const struct sealer *sealer, const char *kind, uint32_t round,
                        const char *model) {
    static char text[4][4096];
    static unsigned turn;
    char *out = text[turn++ % 4], *line, detail[2048], digest[GR_DIGEST_HEX];
    const struct gr_chain_signer signer = {.keys = keys[sealer->hand],
                                           .purpose = GR_PURPOSE_OF_SEALS};
    gr_digest_hex(study, digest);
    snprintf(detail, sizeof detail,
             "{\"study\":\"%s\",\"run_id\":\"%s\",\"by\":\"gk1-\",\"model\":\"%s\","
             "\"events\":{\"lines\":1,\"head\":\"\"},\"files\":{}}",
             sealer->of_study ? sealer->of_study : digest, sealer->run_id, model);
    MUST(gr_events_append_signed(sealer->file, kind, round, detail, &signer, &line));
    snprintf(out, sizeof text[0], "%s", line);
    gr_free(line);
    return out;
}

static struct gr_journal *open_journal(const char *path) {
    struct gr_journal *journal;
    const struct gr_journal_options options = {
        .path = path, .study = study, .parties = parties, .party = 1, .keys = keys[1]};
    MUST(gr_journal_open(&options, &journal));
    return journal;
}

static const char *told_id; /* of the run, as the site was told; NULL: it was not */

static gr_status show(struct gr_journal *journal, const char *text, uint32_t round,
                      const char *model) {
    struct gr_journal_seen seen = {.round = round, .run_id = told_id};
    snprintf(seen.model, sizeof seen.model, "%s", model);
    return gr_journal_seal(journal, text, &seen);
}

#define REFUSED(call, words)                                                                       \
    do {                                                                                           \
        ck_assert_int_eq((call), GR_ERROR_POLICY);                                                 \
        ck_assert_msg(strstr(gr_message(), words) != NULL, "found %s", gr_message());              \
    } while (0)

START_TEST(seals_are_held_against_the_site) {
    make_parties();
    struct sealer s = {.run_id = "r"};
    MUST(gr_events_open(in_scratch("seals"), &s.file));
    struct gr_journal *journal = open_journal(in_scratch("journal"));
    MUST(show(journal, seal(&s, "start", 0, "aa"), 0, "aa"));
    MUST(show(journal, seal(&s, "checkpoint", 2, "bb"), 2, "bb"));
    ck_assert(!gr_journal_failed(journal));
    REFUSED(show(journal, seal(&s, "checkpoint", 4, "cc"), 4, "dd"), "names a model of digest");
    ck_assert(gr_journal_failed(journal));
    REFUSED(show(journal, seal(&s, "checkpoint", 4, "cc"), 5, "cc"), "this site has done 5");
    s.hand = 1;
    REFUSED(show(journal, seal(&s, "checkpoint", 4, "cc"), 4, "cc"), "not signed by");
    s.hand = 0;
    s.of_study = "00";
    REFUSED(show(journal, seal(&s, "checkpoint", 4, "cc"), 4, "cc"), "is of study 00");
    REFUSED(show(journal, "{}", 4, "cc"), "is none");
    s.of_study = NULL;
    told_id = "q";
    REFUSED(show(journal, seal(&s, "checkpoint", 4, "cc"), 4, "cc"), "this site was told of q");
    told_id = NULL;
    MUST(gr_journal_close(journal, "refused"));
    gr_events_close(s.file);
    size_t n;
    char *text = slurp(in_scratch("journal"), &n);
    unsigned kept = 0;
    for (const char *at = text; (at = strstr(at, "\"event\":\"contradiction\"")); at++)
        kept++;
    ck_assert_uint_eq(kept, 6);
    gr_free(text);
    free_parties();
}
END_TEST

/* Two lines of seals out of one, of which the site has seen the first. */
START_TEST(forks_are_refused) {
    make_parties();
    size_t n;
    struct sealer s = {.run_id = "r"}, other = s;
    MUST(gr_events_open(in_scratch("seals"), &s.file));
    struct gr_journal *journal = open_journal(in_scratch("journal"));
    MUST(show(journal, seal(&s, "start", 0, "aa"), 0, "aa"));
    char *before = slurp(in_scratch("seals"), &n);
    spill(in_scratch("fork"), before, n);
    MUST(show(journal, seal(&s, "checkpoint", 2, "bb"), 2, "bb"));
    MUST(gr_events_open(in_scratch("fork"), &other.file));
    /* Of the same number, and of the next. */
    REFUSED(show(journal, seal(&other, "checkpoint", 2, "b2"), 2, "b2"), "has gone back");
    REFUSED(show(journal, seal(&other, "checkpoint", 4, "cc"), 4, "cc"), "a fork");
    /* The true line goes on; a stretch that goes back to an earlier checkpoint says so. */
    MUST(show(journal, seal(&s, "checkpoint", 4, "cc"), 4, "cc"));
    MUST(show(journal, seal(&s, "resumed", 2, "bb"), 2, "bb"));
    REFUSED(show(journal, seal(&s, "checkpoint", 1, "bb"), 1, "bb"),
            "the one before it of round 2");
    /* One that was away has missed some. */
    (void)seal(&s, "checkpoint", 3, "dd");
    MUST(show(journal, seal(&s, "checkpoint", 4, "ee"), 4, "ee"));
    /* Another run begins with its first seal, and with no other. */
    struct sealer fresh = {.run_id = "q"};
    MUST(gr_events_open(in_scratch("fresh"), &fresh.file));
    const char *first = seal(&fresh, "start", 0, "aa");
    REFUSED(show(journal, seal(&fresh, "checkpoint", 2, "bb"), 2, "bb"), "is of run q");
    MUST(show(journal, first, 0, "aa"));
    MUST(gr_journal_close(journal, "finished"));
    gr_events_close(s.file);
    gr_events_close(other.file);
    gr_events_close(fresh.file);
    gr_free(before);
    free_parties();
}
END_TEST

static unsigned count(const char *path, const char *words) {
    size_t n;
    unsigned found = 0;
    char *text = slurp(path, &n);
    for (const char *at = text; (at = strstr(at, words)); at++)
        found++;
    gr_free(text);
    return found;
}

/* The coordinator's last line closes the run; a site that was killed before it writes it down. */
START_TEST(an_end_is_told_afterwards) {
    make_parties();
    unsigned char other[GR_DIGEST_BYTES];
    struct sealer s = {.run_id = "r"};
    const struct gr_journal_options options = {
        .study = study, .parties = parties, .party = 1, .keys = keys[1]};
    gr_digest_of("version", 7, other);
    ck_assert_ptr_null(gr_run_finished_by(in_scratch(""), study));
    MUST(gr_events_open(in_scratch("seals.jsonl"), &s.file));
    const char *first = seal(&s, "start", 0, "aa");
    (void)seal(&s, "checkpoint", 2, "bb");
    ck_assert_ptr_null(gr_run_finished_by(in_scratch(""), study));
    for (int rank = 0; rank < 2; rank++) {
        struct gr_journal *journal =
            open_journal(in_scratch(rank ? "journal-1.jsonl" : "journal.jsonl"));
        MUST(show(journal, first, 0, "aa"));
        MUST(gr_journal_close(journal, "lost"));
    }
    const char *end = seal(&s, "finished", 4, "cc");
    char *found = gr_run_finished_by(in_scratch(""), study);
    ck_assert_str_eq(found, end);
    ck_assert_ptr_null(gr_run_finished_by(in_scratch(""), other));
    for (int time = 0; time < 2; time++)
        MUST(gr_journal_finish(in_scratch(""), &options, found));
    for (int rank = 0; rank < 2; rank++) {
        const char *path = in_scratch(rank ? "journal-1.jsonl" : "journal.jsonl");
        ck_assert_uint_eq(count(path, "\"event\":\"seal\",\"round\":4"), 1);
        ck_assert_uint_eq(count(path, "\"held\":false"), 1);
        ck_assert_uint_eq(count(path, "\"outcome\":\"finished\""), 2);
    }
    REFUSED(gr_journal_finish(in_scratch(""), &options, first), "has gone back");
    (void)seal(&s, "resumed", 4, "cc");
    ck_assert_ptr_null(gr_run_finished_by(in_scratch(""), study));
    gr_events_close(s.file);
    gr_free(found);
    free_parties();
}
END_TEST

/* Opened again it knows the last seal; a line that a crash has cut is kept aside. */
START_TEST(goes_on) {
    make_parties();
    size_t n;
    struct sealer s = {.run_id = "r"};
    MUST(gr_events_open(in_scratch("seals"), &s.file));
    struct gr_journal *journal = open_journal(in_scratch("journal"));
    const char *first = seal(&s, "start", 0, "aa");
    MUST(show(journal, first, 0, "aa"));
    MUST(show(journal, seal(&s, "checkpoint", 2, "bb"), 2, "bb"));
    MUST(gr_journal_close(journal, "stopped"));
    char *text = slurp(in_scratch("journal"), &n);
    spill(in_scratch("journal"), text, n - 10);
    journal = open_journal(in_scratch("journal"));
    ck_assert_ptr_nonnull(strstr(gr_journal_damage(journal), "is kept as journal.damaged-1"));
    ck_assert(exists(in_scratch("journal.damaged-1")));
    REFUSED(show(journal, first, 0, "aa"), "has gone back");
    MUST(gr_journal_close(journal, "refused"));
    struct seen seen;
    bool torn;
    seen = look(in_scratch("journal"), &torn);
    ck_assert_uint_eq(seen.follow, seen.lines);
    /* Of another study: another folder. */
    const struct gr_journal_options wrong = {
        .path = in_scratch("journal"), .study = study, .parties = parties, .party = 0};
    ck_assert_int_eq(gr_journal_open(&wrong, &journal), GR_ERROR_CONFIG);
    ck_assert(strstr(gr_message(), "another folder is needed"));
    /* By a version that follows it goes on, and takes seals of that one. */
    unsigned char first_study[1][GR_DIGEST_BYTES];
    memcpy(first_study[0], study, GR_DIGEST_BYTES);
    gr_digest_of("version", 7, study);
    const struct gr_journal_options unlike = {.path = in_scratch("journal"),
                                              .study = study,
                                              .parties = parties,
                                              .party = 1,
                                              .keys = keys[1]};
    ck_assert_int_eq(gr_journal_open(&unlike, &journal), GR_ERROR_CONFIG);
    struct gr_journal_options next = unlike;
    next.follows = (const unsigned char(*)[GR_DIGEST_BYTES])first_study;
    next.n_follows = 1;
    MUST(gr_journal_open(&next, &journal));
    MUST(show(journal, seal(&s, "resumed", 2, "bb"), 2, "bb"));
    MUST(gr_journal_close(journal, "finished"));
    gr_events_close(s.file);
    gr_free(text);
    free_parties();
}
END_TEST

START_TEST(releases_are_lines) {
    make_parties();
    size_t n;
    unsigned char digest[GR_DIGEST_BYTES];
    gr_digest_of("abc", 3, digest);
    struct gr_journal *journal = open_journal(in_scratch("journal"));
    gr_journal_begin(journal, 3);
    const struct gr_journal_release release = {
        .id = 18, .name = "update", .values = 5, .bytes = 20, .digest = digest, .how = "plain"};
    MUST(gr_journal_add(journal, &release));
    MUST(gr_journal_withhold(journal, &release));
    MUST(gr_journal_close(journal, "finished"));
    char *text = slurp(in_scratch("journal"), &n);
    /* BLAKE2b-256 of "abc", of b2sum -l 256. */
    ck_assert(strstr(text, "\"event\":\"release\",\"round\":3,\"release\":18,\"name\":\"update\","
                           "\"values\":5,\"bytes\":20,\"digest\":\"bddd813c634239723171ef3fee98579b"
                           "94964e3bb1cb3e427262c8c068d52319\",\"protected\":\"plain\""));
    ck_assert(strstr(text, "\"event\":\"withheld\",\"round\":3,\"release\":18"));
    gr_free(text);
    free_parties();
}
END_TEST

/* A site goes no further than its journal, and loses nothing of it. */
START_TEST(a_full_disk_ends_it) {
    make_parties();
    struct stat is;
    struct rlimit before, limit;
    struct gr_journal *journal = open_journal(in_scratch("journal"));
    const struct gr_journal_release release = {.id = 18, .name = "update", .how = "plain"};
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(stat(in_scratch("journal"), &is), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)is.st_size + 10;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const gr_status added = gr_journal_add(journal, &release);
    const gr_status synced = gr_journal_sync(journal);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_int_eq(added, GR_OK);
    ck_assert_int_eq(synced, GR_ERROR_WRITE);
    ck_assert(strstr(gr_message(), "a site goes no further than its journal"));
    ck_assert(gr_journal_failed(journal));
    ck_assert_int_eq(gr_journal_close(journal, "failed"), GR_ERROR_WRITE);
    /* There was room again: nothing is lost. */
    size_t n;
    char *text = slurp(in_scratch("journal"), &n);
    ck_assert(strstr(text, "\"name\":\"update\""));
    ck_assert(strstr(text, "\"outcome\":\"failed\""));
    gr_free(text);
    free_parties();
}
END_TEST

RUN_TESTS("journal", a_full_disk_ends_it, a_line_is_signed_and_hashed,
          signatures_are_of_one_key_and_purpose, each_byte_counts, a_new_hash_is_no_signature,
          seals_are_held_against_the_site, forks_are_refused, goes_on, an_end_is_told_afterwards,
          releases_are_lines)
