/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions of a study: what a new one may change while a run goes on, and what it may not, each by
 * its name; the chain of digests; and copies of the versions.
 */
#include "study.h"

#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The digest of STUDY with the keys of the test, in hex. */
static const char *digest_of(const char *text) {
    static char hex[2][GR_DIGEST_HEX];
    static unsigned turn;
    unsigned char digest[GR_DIGEST_BYTES];
    char *out = hex[turn++ % 2];
    gr_digest_of(text, strlen(text), digest);
    gr_digest_hex(digest, out);
    return out;
}

/* STUDY with `from` replaced by `to`, and the digests that it follows. */
static const char *version_of(const char *follows, const char *from, const char *to) {
    static char text[16384];
    const char *given = STUDY;
    const char *schema = strstr(given, "schema:");
    char with[8192];
    snprintf(with, sizeof with, "%.*s  follows: [%s]\n%s", (int)(schema - given), given, follows,
             schema);
    const char *at = strstr(with, from);
    ck_assert_msg(at != NULL, "%s", from);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - with), with, to, at + strlen(from));
    return text;
}

static struct gr_study *must_parse(const char *name, const char *text) {
    struct gr_study *study = NULL;
    const char *words = with_keys(text);
    MUST(gr_study_parse(name, words, strlen(words), &study));
    return study;
}

static char told[4096];

static void note(void *context, const struct gr_study_change *change) {
    unsigned *n = context;
    const size_t used = strlen(told);
    ++*n;
    snprintf(told + used, sizeof told - used, "%s%s\n", change->words, change->refused ? " !" : "");
}

/* From one text to another; "!" behind those that are refused. */
static const struct {
    const char *from, *to, *told;
} changes[] = {
    {"rounds: 5", "rounds: 9", "run.rounds: 5 then, 9 now\n"},
    {"run: {rounds: 5}", "run: {rounds: 5}\nround: {deadline_s: 2d}",
     "round.deadline_s: 3600 then, 172800 now\n"},
    {"minimum_silos: 4", "minimum_silos: 3", "policy.minimum_silos: 4 then, 3 now\n"},
    {"minimum_silos: 4", "minimum_silos: 4, digits: 6", "policy.digits: 4 then, 6 now\n"},
    {"{name: budapest, key: @3}", "{name: budapest, key: @3, left: true}",
     NULL}, /* fewer silos than policy.minimum_silos, as below */
    {"run: {rounds: 5}", "run: {rounds: 5, seed: 2}", "run.seed: 1 then, 2 now !\n"},
    {"run: {rounds: 5}", "run: {rounds: 5}\nround: {participants: 4}",
     "round.participants: 0 then, 4 now !\n"},
    {"test_fraction: 0.2", "test_fraction: 0.3", "data.test_fraction: 0.2 then, 0.3 now !\n"},
    {"model: {type: logistic}", "model: {type: logistic}\npreprocess: {scale: standardise}",
     "preprocess.scale: none then, standardise now !\n"},
    {"model: {type: logistic}", "model: {type: softmax}",
     "model.type: logistic then, softmax now !\n"},
    {"batch_size: 16", "batch_size: 8", "train.batch_size: 16 then, 8 now !\n"},
    {"minimum_silos: 4", "minimum_silos: 4, extremes: true",
     "policy.extremes: false then, true now !\n"},
    {"categories: [f, m]", "categories: [f, m, x]", "schema: another than then !\n"},
    {"name: heart-4", "name: heart-5",
     "study.name: heart-4 then, heart-5 now !\n"
     "run.name: heart-4 then, heart-5 now\n"},
    {"silos: [zurich-a, zurich-b]", "silos: [zurich-a, zurich-b, zurich-c]",
     "study.sites[1]: zurich with 2 silos then, another number of them now !\n"},
    {"silos: [zurich-a, zurich-b]", "silos: [zurich-b, zurich-a]",
     "study.sites: the silo zurich-a then, zurich-b now, at the place 1 !\n"},
    {"{name: cleveland, key: @1}", "{name: ohio, key: @1}",
     "study.sites[0]: cleveland with 1 silo then, ohio now !\n"},
    {"  - {name: budapest, key: @3}\n", "", NULL},
};

/* The terms of secure sums may change with the sites; plain sums in their place are another study.
 */
START_TEST(secure_sums_stay) {
#define MASKED(secure)                                                                             \
    STUDY "aggregation: {grid: public, clip_norm: 1, weight_max: 100}\nsecure: {" secure "}\n"
    unsigned n = 0;
    make_keys();
    struct gr_study *then = must_parse("1.yaml", MASKED("aggregation: true"));
    struct gr_study *now = must_parse("2.yaml", MASKED("aggregation: true, threshold: 2"));
    told[0] = '\0';
    MUST(gr_study_compare(then, now, note, &n));
    ck_assert_ptr_nonnull(strstr(told, "secure.threshold: 0 then, 2 now\n"));
    gr_study_free(now);
    now = must_parse("2.yaml", MASKED("aggregation: false"));
    told[0] = '\0';
    MUST(gr_study_compare(then, now, note, &n));
    ck_assert_ptr_nonnull(strstr(told, "secure.aggregation: true then, false now !\n"));
    gr_study_free(now);
    gr_study_free(then);
}
END_TEST

START_TEST(each_change_is_told) {
    unsigned n = 0;
    make_keys();
    told[0] = '\0';
    struct gr_study *then = must_parse("a.yaml", STUDY);
    struct gr_study *now = NULL;
    const char *text = version_of(digest_of(with_keys(STUDY)), changes[_i].from, changes[_i].to);
    if (changes[_i].told) {
        now = must_parse("b.yaml", text);
        MUST(gr_study_compare(then, now, note, &n));
        ck_assert_str_eq(told, changes[_i].told);
        const bool refused = strchr(told, '!') != NULL;
        ck_assert_int_eq(gr_study_check_version(then, now), refused ? GR_ERROR_CONFIG : GR_OK);
        if (refused) {
            char line[128];
            snprintf(line, sizeof line,
                     "b.yaml: no version by which a run of a.yaml can go on:\n%.*s",
                     (int)strcspn(told, "!") - 1, told);
            ck_assert_msg(strncmp(gr_message(), line, strlen(line)) == 0, "%s", gr_message());
        }
    } else { /* fewer silos than policy.minimum_silos: none of any version */
        const char *words = with_keys(text);
        ck_assert_int_eq(gr_study_parse("b.yaml", words, strlen(words), &now), GR_ERROR_CONFIG);
    }
    gr_study_free(now);
    gr_study_free(then);
}
END_TEST

START_TEST(sites_join_behind_the_others) {
    unsigned n = 0;
    char added[512], one[sizeof key_text[0]];
    make_keys();
    strcpy(one, key_text[1]);
    struct gr_public_key fifth;
    char text[GR_PUBLIC_KEY_TEXT], words[1024];
    MUST(gr_keys_generate(in_scratch("fifth"), &fifth));
    gr_public_key_text(&fifth, text);
    struct gr_study *then = must_parse("a.yaml", STUDY);
    snprintf(added, sizeof added,
             "{name: budapest, key: @3}\n  - {name: va, key: %s, silos: [va-1, va-2]}", text);
    struct gr_study *now = must_parse(
        "b.yaml", version_of(digest_of(with_keys(STUDY)), "{name: budapest, key: @3}", added));
    told[0] = '\0';
    MUST(gr_study_compare(then, now, note, &n));
    snprintf(words, sizeof words,
             "study.sites: va joins with the silos va-1, va-2; its key is %s\n", text);
    ck_assert_str_eq(told, words);
    MUST(gr_study_check_version(then, now));
    ck_assert_uint_eq(now->n_silos, 6);
    gr_study_free(now);
    /* Another key of a site. */
    snprintf(added, sizeof added, "{name: cleveland, key: %s}", text);
    now = must_parse("b.yaml",
                     version_of(digest_of(with_keys(STUDY)), "{name: cleveland, key: @1}", added));
    told[0] = '\0';
    MUST(gr_study_compare(then, now, note, &n));
    snprintf(words, sizeof words, "study.sites: the key of cleveland: %s then, %s now\n", one,
             text);
    ck_assert_str_eq(told, words);
    MUST(gr_study_check_version(then, now));
    gr_study_free(now);
    gr_study_free(then);
}
END_TEST

/* The chain names all versions before, the latest first. */
START_TEST(versions_are_a_chain) {
    char first[GR_DIGEST_HEX], both[2 * GR_DIGEST_HEX + 8], text[16384];
    make_keys();
    struct gr_study *a = must_parse("a.yaml", STUDY);
    strcpy(first, digest_of(with_keys(STUDY)));
    strcpy(text, version_of(first, "rounds: 5", "rounds: 6"));
    struct gr_study *b = must_parse("b.yaml", text);
    snprintf(both, sizeof both, "%s, %s", digest_of(with_keys(text)), first);
    struct gr_study *c = must_parse("c.yaml", version_of(both, "rounds: 5", "rounds: 7"));
    ck_assert_uint_eq(c->n_follows, 2);
    ck_assert_mem_eq(c->follows[0], b->digest, GR_DIGEST_BYTES);
    ck_assert(gr_study_is_version(c, a->digest));
    ck_assert(gr_study_is_version(c, c->digest));
    ck_assert(!gr_study_is_version(b, c->digest));
    MUST(gr_study_check_version(a, b));
    MUST(gr_study_check_version(b, c));
    MUST(gr_study_check_version(a, c));
    ck_assert_int_eq(gr_study_check_version(b, a), GR_ERROR_CONFIG);
    gr_study_free(c);
    /* One that leaves the first out is none. */
    snprintf(both, sizeof both, "%s", digest_of(with_keys(text)));
    c = must_parse("c.yaml", version_of(both, "rounds: 5", "rounds: 7"));
    ck_assert_int_eq(gr_study_check_version(b, c), GR_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(gr_message(), "study.follows: found none of it, expected "));
    ck_assert_ptr_nonnull(strstr(gr_message(), "and behind it those that it follows"));
    gr_study_free(c);
    gr_study_free(b);
    gr_study_free(a);
}
END_TEST

static const struct {
    const char *follows, *message;
} chains[] = {
    {"abc", "study.follows[0]: found \"abc\", allowed a study's digest, 64 hexadecimal digits"},
    {"0000000000000000000000000000000000000000000000000000000000000001, "
     "0000000000000000000000000000000000000000000000000000000000000001",
     "study.follows[1]: found a digest a second time, allowed once"},
};

START_TEST(other_chains_are_none) {
    struct gr_study *study = NULL;
    make_keys();
    const char *words = with_keys(version_of(chains[_i].follows, "rounds: 5", "rounds: 5"));
    ck_assert_int_eq(gr_study_parse("s.yaml", words, strlen(words), &study), GR_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(gr_message(), chains[_i].message));
}
END_TEST

START_TEST(copies_are_found_by_their_digest) {
    struct gr_keys *keys = NULL;
    struct gr_study *a = NULL, *b = NULL, *found = NULL;
    char folder[512], path[640], hex[GR_DIGEST_HEX];
    make_keys();
    MUST(gr_keys_read(in_scratch("key0"), &keys));
    MUST(gr_study_sign(put("a.yaml", STUDY), keys));
    MUST(gr_study_load(in_scratch("a.yaml"), &a));
    put("b.yaml", version_of(digest_of(with_keys(STUDY)), "rounds: 5", "rounds: 6"));
    MUST(gr_study_sign(in_scratch("b.yaml"), keys));
    MUST(gr_study_load(in_scratch("b.yaml"), &b));
    snprintf(folder, sizeof folder, "%s", in_scratch("studies"));
    MUST(gr_study_kept_before(folder, b, &found));
    ck_assert_ptr_null(found);
    MUST(gr_study_keep(a, folder));
    MUST(gr_study_keep(a, folder));
    MUST(gr_study_kept_before(folder, b, &found));
    ck_assert_mem_eq(found->digest, a->digest, GR_DIGEST_BYTES);
    gr_study_free(found);
    MUST(gr_study_kept(folder, b->digest, &found));
    ck_assert_ptr_null(found);
    /* Another in its place. */
    gr_digest_hex(b->digest, hex);
    snprintf(path, sizeof path, "%s/%s.yaml", folder, hex);
    MUST(gr_study_sign(put("a.yaml", STUDY), keys));
    spill(path, with_keys(STUDY), strlen(with_keys(STUDY)));
    MUST(gr_study_sign(path, keys));
    ck_assert_int_eq(gr_study_kept(folder, b->digest, &found), GR_ERROR_CONFIG);
    ck_assert_ptr_null(found);
    ck_assert_ptr_nonnull(strstr(gr_message(), "found a study of another digest"));
    /* The file was changed since it was read. */
    put("b.yaml", STUDY);
    ck_assert_int_eq(gr_study_keep(b, folder), GR_ERROR_CONFIG);
    gr_study_free(a);
    gr_study_free(b);
    gr_keys_free(keys);
}
END_TEST

/* A site that has left is none of the study's any more. */
START_TEST(a_site_that_has_left_takes_no_part) {
    struct gr_site *site = NULL;
    uint32_t party;
    make_keys();
    struct gr_study *study = must_parse(
        "s.yaml", version_of(digest_of("another"), "[zurich-a, zurich-b]}\n  - {name: budapest",
                             "[zurich-a, zurich-b], left: true}\n  - {silos: [b1, b2, b3], name: "
                             "budapest"));
    MUST(gr_site_load(put("site.yaml", SITE), &site));
    ck_assert(study->parties[2].left);
    ck_assert_int_eq(gr_site_find(study, site, &party), GR_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(gr_message(), "found the site zurich, which has left the study"));
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("versions of a study");
    TCase *tcase = tcase_create("versions of a study");
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_checked_fixture(tcase, scratch_make, scratch_remove);
    tcase_add_test(tcase, secure_sums_stay);
    tcase_add_loop_test(tcase, each_change_is_told, 0, COUNT(changes));
    tcase_add_test(tcase, sites_join_behind_the_others);
    tcase_add_test(tcase, versions_are_a_chain);
    tcase_add_loop_test(tcase, other_chains_are_none, 0, COUNT(chains));
    tcase_add_test(tcase, copies_are_found_by_their_digest);
    tcase_add_test(tcase, a_site_that_has_left_takes_no_part);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
