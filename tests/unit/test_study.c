/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a study and of a site, the signature, and the config that follows from them. */
#include "study.h"

#include <dirent.h>
#include <sys/wait.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define NAME_WORDS   "allowed 1 to 63 of a-z, 0-9 and '-', no '-' first"

static gr_status parse(const char *text, struct gr_study **out) {
    const char *words = with_keys(text);
    return gr_study_parse("s.yaml", words, strlen(words), out);
}

static struct gr_study *must_read(const char *text) {
    struct gr_study *study = NULL;
    MUST(parse(text, &study));
    return study;
}

/* ---- the study's file ------------------------------------------------------------------------ */

START_TEST(a_study_is_read) {
    make_keys();
    struct gr_study *study = must_read(STUDY);
    unsigned char digest[GR_DIGEST_BYTES];
    const char *text = with_keys(STUDY);
    ck_assert_str_eq(study->name, "heart-4");
    ck_assert_uint_eq(study->n_parties, 4);
    ck_assert_str_eq(study->parties[0].name, "coordinator");
    ck_assert_str_eq(study->parties[2].name, "zurich");
    for (uint32_t p = 0; p < 4; p++)
        ck_assert_uint_eq(gr_study_find(study, &party_key[p]), p);
    ck_assert_uint_eq(study->n_silos, 4);
    ck_assert_str_eq(study->silos[0], "cleveland");
    ck_assert_str_eq(study->silos[2], "zurich-b");
    ck_assert_uint_eq(study->sites[2].first_silo, 1);
    ck_assert_uint_eq(study->sites[2].n_silos, 2);
    ck_assert_uint_eq(study->sites[3].first_silo, 3);
    ck_assert_uint_eq(study->schema->columns_count, 3);
    ck_assert_uint_eq(study->config->data.silos, 4);
    ck_assert_uint_eq(study->config->policy.minimum_silos, 4);
    ck_assert_str_eq(study->config->run.name, "heart-4");
    gr_digest_of(text, strlen(text), digest);
    ck_assert_mem_eq(study->digest, digest, sizeof digest);
    gr_study_free(study);
}
END_TEST

#define REST                                                                                       \
    "run: {rounds: 5}\n"                                                                           \
    "data: {source: csv}\n"                                                                        \
    "model: {type: logistic}\n"                                                                    \
    "train: {learning_rate: 0.05, batch_size: 16}\n"
#define TWO_SITES(second)                                                                          \
    "study:\n"                                                                                     \
    "  name: x\n"                                                                                  \
    "  coordinator: @0\n"                                                                          \
    "  sites:\n"                                                                                   \
    "  - {name: a, key: @1}\n"                                                                     \
    "  - " second "\n" REST

static const struct {
    const char *text, *message;
} broken[] = {
    {TWO_SITES("{name: A b, key: @2}"),
     "s.yaml:6: study.sites[1].name: found \"A b\", " NAME_WORDS},
    {TWO_SITES("{name: coordinator, key: @2}"),
     "s.yaml:6: study.sites[1].name: found \"coordinator\" a second time, allowed once"},
    {TWO_SITES("{name: a, key: @2, silos: [b]}"),
     "s.yaml:6: study.sites[1].name: found \"a\" a second time, allowed once"},
    {TWO_SITES("{name: b, key: @1}"),
     "s.yaml:6: study.sites[1].key: found the key of \"a\", allowed one of its own"},
    {TWO_SITES("{name: b, key: @0}"),
     "s.yaml:6: study.sites[1].key: found the key of \"coordinator\", allowed one of its own"},
    {TWO_SITES("{name: b, key: gk1-x}"), "s.yaml:6: study.sites[1].key: found \"gk1-x\", allowed a "
                                         "public key as `granary keygen` shows "
                                         "it: it is none, or was mistyped"},
    {TWO_SITES("{name: b, key: @2, silos: [c, -d]}"),
     "s.yaml:6: study.sites[1].silos[1]: found \"-d\", " NAME_WORDS},
    {TWO_SITES("{name: b, key: @2, silos: [c, a]}"),
     "s.yaml:4: study.sites: found two silos of the name \"a\", allowed each once"},
    /* Both names' BLAKE2b-256 begins with 19d50201, by Python's hashlib. */
    {TWO_SITES("{name: b, key: @2, silos: [site-60467, site-77904]}"),
     "s.yaml:4: study.sites: found the silos \"site-60467\" and \"site-77904\", which would draw "
     "the same random numbers, allowed another name for one of them"},
    {TWO_SITES("{name: b, key: @2, path: x}"),
     "s.yaml:6: study.sites[1].path: found an unknown key, allowed name, key, silos, left"},
    {TWO_SITES("{name: b, kye: @2}"), "s.yaml:6: study.sites[1].kye: found an unknown key, allowed "
                                      "name, key, silos, left; nearest is "
                                      "sites[1].key"},
    {"study: {name: x, coordinator: @0, sites: [{name: a, key: @1}]}\n"
     "policy: {minimum_silos: 1}\n" REST,
     "s.yaml:1: study.sites: found 1 silo of all sites, allowed at least 2: the sum of one silo is "
     "that silo's"},
    {"study: [x]\n" REST,
     "s.yaml:1: study: found a list, allowed a section of name, coordinator, sites, follows"},
    {STUDY_HEAD "schema:\n  columns: []\n" STUDY_CONFIG,
     "s.yaml:9: schema.columns: found an empty list, allowed 1 to 10000 columns"},
    {STUDY_HEAD "schema: x\n" STUDY_CONFIG, "s.yaml:8: schema: found \"x\", allowed a section of "
                                            "decimal, thousands, missing_words, columns"},
    {STUDY_HEAD STUDY_SCHEMA "run: {rounds: 5, rehearsal: true}\n"
                             "data: {source: csv, test_fraction: 0.2}\n"
                             "model: {type: logistic}\n"
                             "train: {learning_rate: 0.05, batch_size: 16}\n",
     "s.yaml:13: run.rehearsal: found in a study, allowed none: a study is no rehearsal: its noise "
     "would follow from run.seed"},
    {STUDY_HEAD STUDY_SCHEMA "run: {rounds: 5, directory: out}\n"
                             "data:\n"
                             "  source: csv\n"
                             "  silo_tables: [{file: a.csv}]\n"
                             "  train: {file: a.csv}\n"
                             "  test: {file: a.csv}\n"
                             "  schema: s.yaml\n"
                             "model: {type: logistic}\n"
                             "train: {learning_rate: 0.05, batch_size: 16}\n"
                             "round: {replay: events.jsonl}\n"
                             "silos: [{directory: x}]\n"
                             "faults: [{kind: kill, silo: 0, round: 1}]\n",
     "s.yaml:23: silos: found in a study, allowed none: it belongs in the site file\n"
     "s.yaml:24: faults: found in a study, allowed none: a study is no rehearsal\n"
     "s.yaml:16: data.silo_tables: found in a study, allowed none: it belongs in the site file "
     "(silos)\n"
     "s.yaml:17: data.train: found in a study, allowed none: it belongs in the site file (silos)\n"
     "s.yaml:18: data.test: found in a study, allowed none: a table of nobody's has no place in a "
     "study; see data.test_fraction\n"
     "s.yaml:19: data.schema: found in a study, allowed none: it belongs in the study's own "
     "section "
     "`schema`\n"
     "s.yaml:13: run.directory: found in a study, allowed none: it belongs in the site file "
     "(site.directory), or is a word of `granary coordinate`\n"
     "s.yaml:22: round.replay: found in a study, allowed none: it is a word of `granary "
     "coordinate`"},
    {STUDY_HEAD "run: {rounds: 5}\n"
                "data: {source: synthetic}\n"
                "model: {type: softmax}\n"
                "train: {learning_rate: 0.05, batch_size: 16}\n",
     "s.yaml:9: data.source: found synthetic, allowed idx, hdf5 or csv: sites bring tables"},
    {STUDY_HEAD STUDY_SCHEMA "run: {rounds: 0}\n"
                             "data: {source: csv, silos: 3, partition: {method: iid}, limit: 5}\n"
                             "model: {type: logistic}\n"
                             "train: {learning_rate: 0.05, batch_size: 16, mometum: 1}\n",
     "s.yaml:13: run.rounds: found 0, allowed a whole number from 1 to 10000000\n"
     "s.yaml:16: train.mometum: found an unknown key, allowed optimizer, learning_rate, schedule, "
     "momentum, "
     "beta1, beta2, epsilon, weight_decay, decay_biases, state, max_gradient_norm, proximal_mu, "
     "class_weights, "
     "batch_size, epochs, steps, seconds; nearest is train.momentum\n"
     "s.yaml:14: data.limit: found 5, allowed only 0, the default, with data.silo_tables\n"
     "s.yaml:14: data.silos: found 3, allowed only 4, the number of data.silo_tables, or none"},
};

START_TEST(a_broken_study_is_told_line_by_line) {
    struct gr_study *study = NULL;
    make_keys();
    ck_assert_int_eq(parse(broken[_i].text, &study), GR_ERROR_CONFIG);
    ck_assert_ptr_null(study);
    ck_assert_str_eq(gr_message(), broken[_i].message);
}
END_TEST

static const char *const no_studies[] = {"",
                                         "[1]",
                                         "x",
                                         "study:",
                                         "study: {}",
                                         "{}",
                                         "schema: {}",
                                         "\"",
                                         "data: 3\nstudy: 5",
                                         "run: ~\ndata: ~\nstudy: ~"};

START_TEST(no_study_is_refused) {
    struct gr_study *study = NULL;
    for (size_t i = 0; i < COUNT(no_studies); i++) {
        ck_assert_int_eq(parse(no_studies[i], &study), GR_ERROR_CONFIG);
        ck_assert_ptr_null(study);
    }
}
END_TEST

/* ---- the signature --------------------------------------------------------------------------- */

static void must_not_load(const char *path, const char *words) {
    struct gr_study *study = NULL;
    ck_assert_int_eq(gr_study_load(path, &study), GR_ERROR_CONFIG);
    ck_assert_ptr_null(study);
    ck_assert_msg(strstr(gr_message(), words), "%s", gr_message());
}

/* A signature by hand of any key, of a study's bytes and for any purpose, in the file's form. */
static void sign_by_hand(const char *beside, const struct gr_keys *keys, const char *text,
                         const char *purpose) {
    unsigned char digest[GR_DIGEST_BYTES], bytes[GR_SIGNATURE_BYTES];
    char key[GR_PUBLIC_KEY_TEXT], hex[3][GR_DIGEST_HEX], file[1024];
    gr_public_key_text(gr_keys_public(keys), key);
    gr_digest_of(text, strlen(text), digest);
    gr_keys_sign(keys, purpose, text, strlen(text), bytes);
    gr_digest_hex(digest, hex[0]);
    gr_digest_hex(bytes, hex[1]);
    gr_digest_hex(bytes + GR_DIGEST_BYTES, hex[2]);
    snprintf(file, sizeof file,
             "granary signature 1\nof: study\nby: %s\ndigest: %s\nsignature: %s%s\n", key, hex[0],
             hex[1], hex[2]);
    spill(beside, file, strlen(file));
}

START_TEST(another_signature_is_none) {
    struct gr_study *study = NULL;
    struct gr_keys *keys = NULL, *other = NULL;
    char path[1024], beside[1040];
    make_keys();
    snprintf(path, sizeof path, "%s", put("s.yaml", STUDY));
    snprintf(beside, sizeof beside, "%s.sig", path);
    MUST(gr_keys_read(in_scratch("key0"), &keys));
    MUST(gr_keys_read(in_scratch("key1"), &other));
    sign_by_hand(beside, keys, with_keys(STUDY), "study");
    MUST(gr_study_load(path, &study));
    gr_study_free(study);
    sign_by_hand(beside, other, with_keys(STUDY), "study");
    must_not_load(path, "s.yaml.sig: found a signature by the key gk1-");
    sign_by_hand(beside, keys, with_keys(STUDY), "letter");
    must_not_load(path, "found a signature that is not of its key");
    gr_keys_free(keys);
    gr_keys_free(other);
}
END_TEST

START_TEST(a_study_is_signed) {
    struct gr_study *study = NULL;
    struct gr_keys *keys = NULL, *other = NULL;
    char path[1024], beside[1040];
    make_keys();
    snprintf(path, sizeof path, "%s", put("s.yaml", STUDY));
    snprintf(beside, sizeof beside, "%s.sig", path);
    MUST(gr_keys_read(in_scratch("key0"), &keys));
    MUST(gr_keys_read(in_scratch("key1"), &other));
    must_not_load(path, "found none, expected the coordinator's signature");
    ck_assert_int_eq(gr_study_sign(path, other), GR_ERROR_CONFIG);
    ck_assert_msg(strstr(gr_message(), "s.yaml: found the key gk1-"), "%s", gr_message());
    MUST(gr_study_sign(path, keys));
    MUST(gr_study_load(path, &study));
    gr_study_free(study);
    /* Another study's signature. */
    put("s.yaml", STUDY "# edited\n");
    must_not_load(path, "the study was changed after it was signed");
    /* A signature with the digest of the edited study set by hand. */
    size_t n;
    char *text = NULL, digest[GR_DIGEST_HEX];
    MUST(gr_file_read(beside, 4096, GR_ERROR_DATA, &text, &n));
    unsigned char bytes[GR_DIGEST_BYTES];
    const char *edited = with_keys(STUDY "# edited\n");
    gr_digest_of(edited, strlen(edited), bytes);
    gr_digest_hex(bytes, digest);
    memcpy(strstr(text, "digest: ") + 8, digest, GR_DIGEST_HEX - 1);
    spill(beside, text, n);
    must_not_load(path, "found a signature that is not of its key");
    /* Any byte of it; a third of them will do. */
    put("s.yaml", STUDY);
    MUST(gr_study_sign(path, keys));
    gr_free(text);
    MUST(gr_file_read(beside, 4096, GR_ERROR_DATA, &text, &n));
    for (size_t i = 0; i < n; i += 3) {
        text[i] ^= 1;
        spill(beside, text, n);
        ck_assert_int_eq(gr_study_load(path, &study), GR_ERROR_CONFIG);
        text[i] ^= 1;
    }
    spill(beside, text, n - 1);
    must_not_load(path, "expected a signature by `granary study sign`");
    spill(beside, "", 0);
    must_not_load(path, "expected a signature by `granary study sign`");
    gr_free(text);
    gr_keys_free(keys);
    gr_keys_free(other);
}
END_TEST

/* ---- the site's file ------------------------------------------------------------------------- */

static const struct {
    const char *text, *message;
} broken_sites[] = {
    {"site: {key: k, directory: d}\nmailbox: {}\nsilos: [{name: a, file: a.csv}]\n",
     "t.yaml:2: mailbox: found neither url nor folder, allowed one of the two"},
    {"site: {key: k, directory: d}\nsilos: [{name: a, file: a.csv}]\n",
     "t.yaml: mailbox: found neither url nor folder, allowed one of the two"},
    {"site: {key: k, directory: d}\nmailbox: {url: 'https://h:1', folder: x}\n"
     "silos: [{name: a, file: a.csv}]\n",
     "t.yaml:2: mailbox.folder: found \"x\", allowed nothing with mailbox.url: one of the two"},
    {"site: {key: k, directory: d}\nmailbox: {url: 'http://h:1'}\nsilos: [{name: a, file: "
     "a.csv}]\n",
     "t.yaml:2: mailbox.url: found \"http://h:1\", allowed https://HOST:PORT"},
    {"site: {key: k, directory: d}\nmailbox: {folder: x, pin: y}\nsilos: [{name: a, file: "
     "a.csv}]\n",
     "t.yaml:2: mailbox.pin: found \"y\", allowed nothing without mailbox.url"},
    {"site: {key: k, directory: d}\n"
     "mailbox: {url: 'https://h:1', pin: 'sha256//x', ca: y, certificate: z, proxy: p}\n"
     "silos: [{name: a, file: a.csv}]\n",
     "t.yaml:2: mailbox.proxy: found \"p\", allowed http://HOST:PORT\n"
     "t.yaml:2: mailbox.pin: found \"sha256//x\", allowed sha256// and 44 characters, as `granary "
     "coordinate` shows it\n"
     "t.yaml:2: mailbox.ca: found \"y\", allowed nothing with mailbox.pin: one of the two\n"
     "t.yaml:2: mailbox.certificate: found one without the other, allowed certificate and key "
     "together"},
    {"site: {key: '', directory: ''}\nmailbox: {folder: x}\nsilos: []\n",
     "t.yaml:1: site.key: found \"\", allowed a folder of `granary keygen`\n"
     "t.yaml:1: site.directory: found \"\", allowed the path of a folder\n"
     "t.yaml:3: silos: found none, allowed the silos that the study lists"},
    {"site: {key: k, directory: d}\nmailbox: {folder: x}\n"
     "silos:\n- {name: a, file: a.csv, features: x, labels: y}\n- {name: a, labels: y}\n- {name: "
     "b}\n",
     "t.yaml:4: silos[0].file: found \"a.csv\", allowed nothing with features and labels\n"
     "t.yaml:5: silos[1].features: is required; found nothing, allowed a path (features and labels "
     "go together)\n"
     "t.yaml:6: silos[2].file: is required; found nothing, allowed a path (with data.source idx: "
     "features and labels)\n"
     "t.yaml:3: silos: found \"a\", allowed each name once"},
    {"site: {key: k, directory: d}\nmailbox: {folder: x}\nsilos: [{name: a, file: a.csv}]\n"
     "approvals: [{number: '', until: 31.12.2027, study: 12}]\n"
     "policy: {strategies: [fedsdg], metrics: [AUC]}\n",
     "t.yaml:5: policy.strategies[0]: found \"fedsdg\", allowed "},
    {"site: {key: k, directory: d}\nmailbox: {folder: x}\nsilos: [{name: a, file: a.csv}]\n"
     "approvals: [{number: '', until: 31.12.2027, study: 12}]\n"
     "policy: {until: 2027-02-30, study: x, keys: [k]}\n",
     "t.yaml:4: approvals[0].number: found \"\", allowed a number or name\n"
     "t.yaml:4: approvals[0].until: found \"31.12.2027\", allowed a day such as 2027-12-31\n"
     "t.yaml:4: approvals[0].study: found \"12\", allowed a study's digest, 64 hexadecimal digits "
     "(`granary study show`)\n"
     "t.yaml:5: policy.until: found \"2027-02-30\", allowed a day such as 2027-12-31\n"
     "t.yaml:5: policy.study: found \"x\", allowed a study's digest, 64 hexadecimal digits "
     "(`granary study show`)\n"
     "t.yaml:5: policy.keys[0]: found \"k\", allowed a public key as `granary keygen` shows it: it "
     "is none, or was mistyped"},
    {"site: {key: k, directory: d, rank: 2}\nmailbox: {folder: x}\nsilos: [{name: a, file: "
     "a.csv}]\n"
     "policy: {minimum_silo: 2, minimum_silos: 0}\n",
     "t.yaml:1: site.rank: found an unknown key, allowed key, directory, ranks, keep_model; "
     "nearest is "
     "site.ranks\n"
     "t.yaml:4: policy.minimum_silo: found an unknown key, allowed minimum_silos, "},
};

START_TEST(a_broken_site_is_told_line_by_line) {
    struct gr_site *site = NULL;
    const char *text = broken_sites[_i].text, *expected = broken_sites[_i].message;
    ck_assert_int_eq(gr_site_parse("t.yaml", text, strlen(text), &site), GR_ERROR_CONFIG);
    ck_assert_ptr_null(site);
    /* Of long lists of words the beginning. */
    const bool whole = strcmp(gr_message(), expected) == 0;
    const size_t n = strlen(expected);
    ck_assert_msg(whole || (expected[n - 1] == ' ' && strncmp(gr_message(), expected, n) == 0),
                  "%s", gr_message());
}
END_TEST

START_TEST(paths_of_a_site_are_behind_its_folder) {
    struct gr_site *site = NULL;
    char expected[1024];
    make_keys();
    MUST(gr_site_load(put("site.yaml", SITE "policy:\n  rounds: 4\n"), &site));
    snprintf(expected, sizeof expected, "%s/b.csv", scratch);
    ck_assert_str_eq(site->settings->silos[0].file, expected);
    ck_assert_str_eq(site->settings->silos[1].file, "/data/a.csv");
    snprintf(expected, sizeof expected, "%s/work", scratch);
    ck_assert_str_eq(site->settings->site.directory, expected);
    ck_assert_str_eq(site->settings->silos[1].directory, "");
    ck_assert_uint_eq(site->settings->policy.minimum_silos, 3);
    ck_assert_uint_eq(gr_site_line(site, "policy.rounds"), 7);
    ck_assert_uint_eq(gr_site_line(site, "policy.runs"), 0);
    gr_site_free(site);
    /* Beside the working folder nothing is put in front. */
    MUST(gr_site_parse("site.yaml", SITE, strlen(SITE), &site));
    ck_assert_str_eq(site->settings->silos[0].file, "b.csv");
    gr_site_free(site);
}
END_TEST

static void must_not_find(const struct gr_study *study, const char *text, const char *words) {
    struct gr_site *site = NULL;
    uint32_t party;
    MUST(gr_site_load(put("site.yaml", text), &site));
    ck_assert_int_eq(gr_site_find(study, site, &party), GR_ERROR_CONFIG);
    ck_assert_msg(strstr(gr_message(), words), "%s", gr_message());
    gr_site_free(site);
}

#define SITE_OF(key, silos)                                                                        \
    "site: {key: " key ", directory: work}\nmailbox: {folder: letters}\nsilos: " silos "\n"

START_TEST(a_site_has_its_place_in_the_study) {
    struct gr_site *site = NULL;
    struct gr_public_key stranger;
    uint32_t party = 0;
    make_keys();
    MUST(gr_keys_generate(in_scratch("key9"), &stranger));
    struct gr_study *study = must_read(STUDY);
    MUST(gr_site_load(put("site.yaml", SITE), &site));
    MUST(gr_site_find(study, site, &party));
    ck_assert_uint_eq(party, 2);
    gr_site_free(site);
    must_not_find(study, SITE_OF("key9", "[{name: a, file: x}]"),
                  "expected that of a site of s.yaml");
    must_not_find(study, SITE_OF("key0", "[{name: a, file: x}]"), ", not of its coordinator");
    must_not_find(study, SITE_OF("key2", "[{name: zurich-a, file: x}]"),
                  "site.yaml:3: silos: found none of the name \"zurich-b\", expected the 2 that "
                  "s.yaml lists for the site \"zurich\"");
    must_not_find(study,
                  SITE_OF("key2",
                          "[{name: zurich-a, file: x}, {name: zurich-b, file: x}, {name: c, "
                          "file: x}]"),
                  "silos: found 3, expected only the 2 that");
    must_not_find(study, SITE_OF("key1", "[{name: cleveland, features: x, labels: y}]"),
                  "silos[0]: found features and labels, expected file: data.source of s.yaml");
    gr_study_free(study);
}
END_TEST

/* ---- the config of a run --------------------------------------------------------------------- */

static void digest_of(const struct gr_config *config, char hex[GR_DIGEST_HEX]) {
    unsigned char digest[GR_DIGEST_BYTES];
    MUST(gr_config_digest(config, digest));
    gr_digest_hex(digest, hex);
}

/* The same study with all tables on one machine. */
static const char plain[] = "run: {rounds: 5}\n"
                            "data:\n"
                            "  source: csv\n"
                            "  test_fraction: 0.2\n"
                            "  schema: elsewhere/schema.yaml\n"
                            "  silo_tables: [{file: 1}, {file: 2}, {file: 3}, {file: 4}]\n"
                            "model: {type: logistic}\n"
                            "train: {learning_rate: 0.05, batch_size: 16}\n"
                            "silos: [{name: cleveland}, {name: zurich-a}, {name: zurich-b}, {name: "
                            "budapest}]\n"
                            "policy: {minimum_silos: 4}\n";

START_TEST(all_parties_have_one_digest) {
    static const uint32_t site_of[] = {1, 2, 2, 3};
    struct gr_config *config = NULL;
    struct gr_schema *schema = NULL;
    struct gr_site *site = NULL;
    char expected[GR_DIGEST_HEX], found[GR_DIGEST_HEX], path[1024];
    make_keys();
    struct gr_study *study = must_read(STUDY);
    MUST(gr_config_parse("plain", plain, strlen(plain), NULL, 0, &config));
    digest_of(config, expected);
    gr_config_free(config);
    MUST(gr_study_configure(study, NULL, scratch, &config));
    digest_of(config, found);
    ck_assert_str_eq(found, expected);
    ck_assert_str_eq(config->data.silo_tables[1].file, "site:zurich-a");
    ck_assert_uint_eq(config->silos_count, 4);
    ck_assert_uint_eq(config->silos[0].site, 1);
    ck_assert_uint_eq(config->silos[2].site, 2);
    ck_assert_uint_eq(config->silos[3].site, 3);
    gr_config_free(config);
    static const char *const sites[] = {
        SITE_OF("key1", "[{name: cleveland, file: x}]"), SITE,
        SITE_OF("key3", "[{name: budapest, file: x, directory: d}]")};
    for (size_t i = 0; i < COUNT(sites); i++) {
        MUST(gr_site_load(put("site.yaml", sites[i]), &site));
        MUST(gr_study_configure(study, site, scratch, &config));
        digest_of(config, found);
        ck_assert_str_eq(found, expected);
        ck_assert_str_eq(config->data.silo_tables[2].file + (i == 1 ? strlen(scratch) : 0),
                         i == 1 ? "/b.csv" : "site:zurich-b");
        ck_assert_str_eq(config->data.silo_tables[1].file,
                         i == 1 ? "/data/a.csv" : "site:zurich-a");
        ck_assert_uint_eq(config->silos_count, 4);
        snprintf(path, sizeof path, "%s/private", scratch);
        ck_assert_str_eq(config->silos[2].directory, i == 1 ? path : "");
        ck_assert_str_eq(config->run.directory, scratch);
        for (uint32_t k = 0; k < 4; k++)
            ck_assert_uint_eq(config->silos[k].site, site_of[k]);
        gr_config_free(config);
        gr_site_free(site);
    }
    snprintf(path, sizeof path, "%s/schema.yaml", scratch);
    MUST(gr_schema_load(path, &schema));
    ck_assert_str_eq(schema->columns[2].name, "sick");
    gr_schema_free(schema);
    gr_study_free(study);
}
END_TEST

/* The ranks of a job write one schema, and each can read it as soon as it has its config. */
START_TEST(ranks_may_configure_at_once) {
    enum { RANKS = 8, TIMES = 40 };
    make_keys();
    struct gr_study *study = must_read(STUDY);
    for (int rank = 0; rank < RANKS; rank++) {
        if (fork() != 0) continue;
        for (int i = 0; i < TIMES; i++) {
            struct gr_config *config = NULL;
            struct gr_schema *schema = NULL;
            if (gr_study_configure(study, NULL, scratch, &config) != GR_OK) _exit(1);
            if (gr_schema_load(config->data.schema, &schema) != GR_OK) _exit(2);
            gr_schema_free(schema);
            gr_config_free(config);
        }
        _exit(0);
    }
    for (int rank = 0; rank < RANKS; rank++) {
        int ended = -1;
        ck_assert_int_gt(wait(&ended), 0);
        ck_assert_int_eq(ended, 0);
    }
    DIR *folder = opendir(scratch);
    size_t left = 0;
    for (const struct dirent *entry; (entry = readdir(folder));)
        left += strncmp(entry->d_name, ".schema", 7) == 0;
    closedir(folder);
    ck_assert_uint_eq(left, 0);
    gr_study_free(study);
}
END_TEST

/* A site's part by itself: rules about how many silos there are do not stand in its way. */
START_TEST(a_site_can_be_looked_at_alone) {
    struct gr_config *config = NULL;
    struct gr_site *site = NULL;
    make_keys();
    struct gr_study *study =
        must_read(STUDY_HEAD STUDY_SCHEMA "run: {rounds: 5}\n"
                                          "data: {source: csv, silos: 4}\n"
                                          "model: {type: logistic}\n"
                                          "train: {learning_rate: 0.05, batch_size: 16}\n"
                                          "round: {quorum: 3, participants: 3, sampling: list, "
                                          "availability: [{silos: [3], from: 2}]}\n"
                                          "policy: {minimum_silos: 3}\n");
    MUST(gr_site_load(put("site.yaml", SITE), &site));
    MUST(gr_study_configure_alone(study, site, scratch, &config));
    ck_assert_uint_eq(config->data.silos, 2);
    ck_assert_uint_eq(config->data.silo_tables_count, 2);
    ck_assert_str_eq(config->data.silo_tables[0].file, "/data/a.csv");
    ck_assert_str_eq(config->data.silo_tables[1].file + strlen(scratch), "/b.csv");
    ck_assert_str_eq(config->silos[1].directory + strlen(scratch), "/private");
    ck_assert_uint_eq(config->round.availability_count, 0);
    ck_assert_uint_eq(config->silos[1].site, 0);
    gr_config_free(config);
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* What noise of all sites together, and a norm of all silos, is for the site's part alone. */
START_TEST(a_site_of_a_private_study_can_be_looked_at_alone) {
    static const char *const privacy[] = {
        "privacy: {unit: row, noise: shared, clip_norm: 1, noise_multiplier: 20, expected_batch: "
        "16, expected_units: 150, budget: {delta: 0.001}}\n",
        "privacy: {unit: silo, adjacency: zero_out, noise: shared, clip_norm: 1, noise_multiplier: "
        "5, adaptive_clipping: {quantile: 0.5, count_noise: 3, learning_rate: 0.3}, budget: "
        "{delta: 0.01}}\n"};
    char text[2048];
    struct gr_config *config = NULL;
    struct gr_site *site = NULL;
    make_keys();
    snprintf(text, sizeof text,
             STUDY_HEAD STUDY_SCHEMA
             "run: {rounds: 5}\n"
             "data: {source: csv}\n"
             "model: {type: logistic}\n"
             "train: {learning_rate: 0.1, batch_size: 16, epochs: 0, steps: "
             "1}\n"
             "aggregation: {grid: public, clip_norm: 1, weight_max: 1}\n"
             "secure: {aggregation: true}\n"
             "policy: {minimum_silos: 3}\n%s",
             privacy[_i]);
    struct gr_study *study = must_read(text);
    uint32_t party;
    MUST(gr_site_load(put("site.yaml", SITE), &site));
    ck_assert_int_eq(gr_site_find(study, site, &party), GR_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(gr_message(), "site.yaml:3: silos[1].directory: found nothing, "
                                               "expected a folder of the silo's own, for its "
                                               "ledger (privacy.unit of "));
    gr_site_free(site);
    MUST(gr_site_load(put("site.yaml", SITE_WITH_FOLDERS), &site));
    MUST(gr_study_configure_alone(study, site, scratch, &config));
    ck_assert_int_eq(config->privacy.unit, study->config->privacy.unit);
    ck_assert_uint_eq(config->data.silos, 2);
    gr_config_free(config);
    MUST(gr_study_configure(study, site, scratch, &config));
    ck_assert_int_eq(config->privacy.noise, GR_NOISE_SHARED);
    ck_assert_str_eq(config->silos[0].directory, "");
    gr_config_free(config);
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* The file that says nothing of columns: as data.schema "". */
START_TEST(a_study_may_have_no_schema) {
    struct gr_config *config = NULL;
    make_keys();
    struct gr_study *study = must_read(STUDY_HEAD "run: {rounds: 5}\n"
                                                  "data: {source: idx}\n"
                                                  "model: {type: softmax}\n"
                                                  "train: {learning_rate: 0.05, batch_size: 16}\n");
    ck_assert_ptr_null(study->schema);
    MUST(gr_study_configure(study, NULL, scratch, &config));
    ck_assert_str_eq(config->data.schema, "");
    ck_assert_str_eq(config->data.silo_tables[3].labels, "site:budapest");
    ck_assert(!exists(in_scratch("schema.yaml")));
    gr_config_free(config);
    gr_study_free(study);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("study");
    TCase *tcase = tcase_create("study");
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_checked_fixture(tcase, scratch_make, scratch_remove);
    tcase_add_test(tcase, a_study_is_read);
    tcase_add_loop_test(tcase, a_broken_study_is_told_line_by_line, 0, COUNT(broken));
    tcase_add_test(tcase, no_study_is_refused);
    tcase_add_test(tcase, a_study_is_signed);
    tcase_add_test(tcase, another_signature_is_none);
    tcase_add_loop_test(tcase, a_broken_site_is_told_line_by_line, 0, COUNT(broken_sites));
    tcase_add_test(tcase, paths_of_a_site_are_behind_its_folder);
    tcase_add_test(tcase, a_site_has_its_place_in_the_study);
    tcase_add_test(tcase, all_parties_have_one_digest);
    tcase_add_test(tcase, ranks_may_configure_at_once);
    tcase_add_test(tcase, a_site_can_be_looked_at_alone);
    tcase_add_loop_test(tcase, a_site_of_a_private_study_can_be_looked_at_alone, 0, 2);
    tcase_add_test(tcase, a_study_may_have_no_schema);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
