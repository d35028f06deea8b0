/* SPDX-License-Identifier: Apache-2.0 */
/* The policy of a site, key by key; its approvals and its record of runs. */
#include "study.h"

#include <granary/policy.h>

#include <signal.h>
#include <sys/resource.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* 2026-11-29T12:00:00Z: 20786 days and a half from 1970-01-01. Source: date -ud @1795953600. */
static const double noon = 1795953600;

static struct gr_study *study_of(const char *text) {
    struct gr_study *study = NULL;
    MUST(gr_study_read(put("s.yaml", text), &study));
    return study;
}

static struct gr_site *site_of(const char *text) {
    struct gr_site *site = NULL;
    MUST(gr_site_load(put("site.yaml", text), &site));
    return site;
}

/* The lines of a message with the scratch folder taken out. */
static const char *told(void) {
    static char text[GR_MESSAGE_MAX];
    char *at = text;
    const size_t n = strlen(scratch);
    for (const char *from = gr_message(); *from;) {
        if (strncmp(from, scratch, n) == 0 && from[n] == '/')
            from += n + 1;
        else
            *at++ = *from++;
    }
    *at = '\0';
    return text;
}

/* ---- every key ------------------------------------------------------------------------------- */

/* Demands nothing, so that each key can be the only one that is raised. */
#define FREE                                                                                       \
    "policy:\n"                                                                                    \
    "  minimum_silos: 1\n"                                                                         \
    "  minimum_rows: 0\n"                                                                          \
    "  minimum_cell: 0\n"                                                                          \
    "  disclosure_threshold: 0\n"                                                                  \
    "  per_silo: true\n"                                                                           \
    "  extremes: true\n"                                                                           \
    "  digits: 17\n"

/* Of a study that lets out more than the defaults of granary do. */
#define LOOSE                                                                                      \
    STUDY_HEAD STUDY_SCHEMA "run: {rounds: 60}\n"                                                  \
                            "data: {source: csv, test_fraction: 0.2, disclosure_threshold: 4}\n"   \
                            "model: {type: logistic}\n"                                            \
                            "train: {learning_rate: 0.05, batch_size: 16}\n"                       \
                            "evaluate: {per_silo: true}\n"                                         \
                            "policy: {minimum_silos: 3, extremes: true, digits: 6}\n"

/* Further metrics of two classes. */
#define OTHERS                                                                                     \
    "micro_f1, weighted_f1, cohen_kappa, sensitivity, specificity, positive_predictive_value, "    \
    "negative_predictive_value, average_precision, observed_expected, calibration_slope, "         \
    "calibration_intercept, hosmer_lemeshow, hosmer_lemeshow_p"

static const struct {
    const char *key;
    const char *allowed; /* by which the study passes */
    const char *refused;
    const char *message;
} keys[] = {
    /* One site brings two of the four silos. */
    {"minimum_silos", "2", "3",
     "found 3 (policy.minimum_silos of s.yaml), allowed at least 4: fewer silos may be of fewer "
     "sites, which know their own part"},
    {"minimum_silos", "1", "4", "found 3 sites (study.sites of s.yaml), allowed at least 4"},
    {"minimum_cell", "4", "5", "found 4 (data.disclosure_threshold of s.yaml), allowed at least 5"},
    {"disclosure_threshold", "4", "5",
     "found 4 (data.disclosure_threshold of s.yaml), allowed at least 5"},
    {"per_silo", "true", "false", "found true (evaluate.per_silo of s.yaml), allowed false"},
    {"extremes", "true", "false", "found true (policy.extremes of s.yaml), allowed false"},
    {"digits", "6", "5", "found 6 (policy.digits of s.yaml), allowed at most 5"},
    {"releases",
     "[1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 15, 17, 18, 20, 21, 22, 23, 25, 28, 33, 34, 35, 36, 38, "
     "45, 46, 47]",
     "[1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 15, 17, 18, 20, 21, 25, 28, 33, 34, 35, 36, 38, 45, 46, "
     "47]",
     "found 22 scores, 23 silo-scores (`granary releases s.yaml`), allowed only those listed"},
    {"releases", "[]", "[18, 19]",
     "found the number 19, which no release has: see `granary releases s.yaml`"},
    {"strategies", "[fedavg, fedprox]", "[fedprox]", NULL},
    {"metrics",
     "[auc, balanced_accuracy, macro_f1, matthews, brier, calibration_error, " OTHERS "]",
     "[auc, balanced_accuracy, brier, calibration_error, " OTHERS "]",
     "found macro_f1, matthews (evaluate.every of s.yaml is 1: evaluation.json has them), allowed "
     "only auc, balanced_accuracy, brier, calibration_error, micro_f1, weighted_f1, cohen_kappa, "
     "sensitivity, specificity, ..."},
    {"columns_refused", "[name, address]", "[name, sex, sick]",
     "found sex, sick (schema.columns of s.yaml), allowed no column of this list but of type text"},
    {"rounds", "60", "59", "found 60 (run.rounds of s.yaml), allowed at most 59"},
    {"versions", "[0.0.9, " GRANARY_VERSION "]", "[0.0.9]",
     "found granary " GRANARY_VERSION ", allowed only 0.0.9"},
    {"keys", "[@0, @1, @3]", "[@0, @2]",
     "found other keys of cleveland, budapest (s.yaml), allowed only those listed"},
    {"secure_sums", "false", "true",
     "found false (secure.aggregation of s.yaml), allowed only true"},
    {"roster_difference", "0", "2",
     "found false (secure.aggregation of s.yaml), allowed only true: it is of secure sums"},
    {"until", "2026-11-29", "2026-11-28",
     "found a later day (the clock of this machine), allowed up to 2026-11-28"},
};

/* FREE, in which `key` has the value. */
static const char *policy_with(const char *key, const char *value) {
    static char text[4096];
    char line[2048], name[64];
    snprintf(name, sizeof name, "  %s:", key);
    snprintf(line, sizeof line, "%s %s\n", name, value);
    strcpy(text, SITE);
    for (const char *at = FREE, *next; *at; at = next) {
        next = at + strcspn(at, "\n") + 1;
        if (strncmp(at, name, strlen(name)) != 0) strncat(text, at, (size_t)(next - at));
    }
    strcat(text, line);
    return text;
}

START_TEST(each_key_is_raised_alone) {
    char expected[1024];
    make_keys();
    struct gr_study *study = study_of(LOOSE);
    struct gr_site *site = site_of(policy_with(keys[_i].key, keys[_i].allowed));
    ck_assert_msg(gr_policy_check(study, site, noon, NULL) == GR_OK, "%s", gr_message());
    gr_site_free(site);
    site = site_of(policy_with(keys[_i].key, keys[_i].refused));
    ck_assert_int_eq(gr_policy_check(study, site, noon, NULL), GR_ERROR_POLICY);
    char path[64];
    snprintf(path, sizeof path, "policy.%s", keys[_i].key);
    const size_t line = gr_site_line(site, path);
    ck_assert_uint_gt(line, 0);
    if (keys[_i].message)
        snprintf(expected, sizeof expected, "site.yaml:%zu: %s: %s", line, path, keys[_i].message);
    else
        snprintf(
            expected, sizeof expected,
            "site.yaml:%zu: policy.strategies: found fedavg (strategy.name of s.yaml), allowed "
            "only fedprox",
            line);
    ck_assert_str_eq(told(), expected);
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* minimum_rows, runs, study and privacy have tests of their own below. */
START_TEST(no_key_is_without_a_test) {
#define NAME_WHOLE(in, name, ...)   #name,
#define NAME_REAL(in, name, ...)    #name,
#define NAME_YES_NO(in, name, ...)  #name,
#define NAME_TEXT(in, name, ...)    #name,
#define NAME_WHOLES(in, name, ...)  #name,
#define NAME_TEXTS(in, name, ...)   #name,
#define NAME_SECTION(in, name, ...) #name,
    static const char *const all[] = {GR_SITE_POLICY_KEYS(NAME, )};
    static const char *const apart[] = {"minimum_rows", "runs", "study", "privacy"};
    for (size_t i = 0; i < COUNT(all); i++) {
        bool there = false;
        for (size_t k = 0; k < COUNT(keys); k++)
            there = there || strcmp(keys[k].key, all[i]) == 0;
        for (size_t k = 0; k < COUNT(apart); k++)
            there = there || strcmp(apart[k], all[i]) == 0;
        ck_assert_msg(there, "policy.%s", all[i]);
    }
}
END_TEST

START_TEST(the_study_is_the_one_that_was_looked_at) {
    char digest[GR_DIGEST_HEX], expected[1024];
    make_keys();
    struct gr_study *study = study_of(LOOSE);
    gr_digest_hex(study->digest, digest);
    struct gr_site *site = site_of(policy_with("study", digest));
    ck_assert_int_eq(gr_policy_check(study, site, noon, NULL), GR_OK);
    gr_study_free(study);
    study = study_of(LOOSE "# edited\n");
    ck_assert_int_eq(gr_policy_check(study, site, noon, NULL), GR_ERROR_POLICY);
    char found[GR_DIGEST_HEX];
    gr_digest_hex(study->digest, found);
    snprintf(expected, sizeof expected,
             "site.yaml:14: policy.study: found the digest %s (s.yaml), allowed only %s", found,
             digest);
    ck_assert_str_eq(told(), expected);
    gr_study_free(study);
    gr_site_free(site);
}
END_TEST

/* All rules at once, in the order of the keys; those that are not given by their defaults. */
START_TEST(all_broken_rules_are_told) {
    make_keys();
    struct gr_study *study = study_of(LOOSE);
    struct gr_site *site = site_of(SITE "policy:\n  rounds: 5\n  until: 2020-02-29\n");
    ck_assert_int_eq(gr_policy_check(study, site, noon, NULL), GR_ERROR_POLICY);
    ck_assert_str_eq(
        told(),
        "site.yaml: policy.minimum_silos: found 3 (policy.minimum_silos of s.yaml), allowed at "
        "least 4: fewer silos may be of fewer sites, which know their own part (the default)\n"
        "site.yaml: policy.minimum_cell: found 4 (data.disclosure_threshold of s.yaml), allowed at "
        "least 10 (the default)\n"
        "site.yaml: policy.disclosure_threshold: found 4 (data.disclosure_threshold of s.yaml), "
        "allowed at least 10 (the default)\n"
        "site.yaml: policy.per_silo: found true (evaluate.per_silo of s.yaml), allowed false (the "
        "default)\n"
        "site.yaml: policy.extremes: found true (policy.extremes of s.yaml), allowed false (the "
        "default)\n"
        "site.yaml: policy.digits: found 6 (policy.digits of s.yaml), allowed at most 4 (the "
        "default)\n"
        "site.yaml:7: policy.rounds: found 60 (run.rounds of s.yaml), allowed at most 5\n"
        "site.yaml:8: policy.until: found a later day (the clock of this machine), allowed up to "
        "2020-02-29");
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* Sites that have left do not count. */
START_TEST(sites_that_have_left_are_none) {
    make_keys();
    struct gr_study *study = study_of(LOOSE);
    struct gr_site *site = site_of(SITE "policy:\n  minimum_silos: 3\n");
    study->parties[3].left = true;
    ck_assert_int_eq(gr_policy_check(study, site, noon, NULL), GR_ERROR_POLICY);
    ck_assert_ptr_nonnull(strstr(told(), "policy.minimum_silos: found 2 sites (study.sites of "
                                         "s.yaml), allowed at least 3"));
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* A study by granary's own defaults and minimum_silos 4 passes a site that says nothing. */
START_TEST(the_defaults_pass) {
    make_keys();
    struct gr_study *study = study_of(STUDY);
    struct gr_site *site = site_of(SITE);
    ck_assert_msg(gr_policy_check(study, site, noon, NULL) == GR_OK, "%s", gr_message());
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* Its author learns what sites refuse before they do. */
START_TEST(a_study_is_held_against_the_defaults) {
    make_keys();
    struct gr_study *study = study_of(STUDY);
    ck_assert_msg(gr_policy_check_defaults(study) == GR_OK, "%s", gr_message());
    gr_study_free(study);
    study = study_of(STUDY_HEAD STUDY_SCHEMA "run: {rounds: 5}\n"
                                             "data: {source: csv, test_fraction: 0.2}\n"
                                             "model: {type: logistic}\n"
                                             "train: {learning_rate: 0.05, batch_size: 16}\n");
    ck_assert_int_eq(gr_policy_check_defaults(study), GR_ERROR_POLICY);
    ck_assert_ptr_nonnull(
        strstr(gr_message(), "a site without a policy: policy.minimum_silos: found 2"));
    gr_study_free(study);
}
END_TEST

/* Of sites with a silo each, silos are sites. */
START_TEST(sites_of_one_silo_are_counted) {
    make_keys();
    struct gr_study *study = study_of("study:\n"
                                      "  name: x\n"
                                      "  coordinator: @0\n"
                                      "  sites: [{name: a, key: @1}, {name: b, key: @2}, {name: c, "
                                      "key: @3}]\n" STUDY_SCHEMA "run: {rounds: 60}\n"
                                      "data: {source: csv}\n"
                                      "model: {type: logistic}\n"
                                      "train: {learning_rate: 0.05, batch_size: 16}\n");
    struct gr_site *site = site_of(SITE "policy: {minimum_silos: 2}\n");
    MUST(gr_policy_check(study, site, noon, NULL));
    gr_site_free(site);
    site = site_of(SITE);
    ck_assert_int_eq(gr_policy_check(study, site, noon, NULL), GR_ERROR_POLICY);
    ck_assert_str_eq(told(), "site.yaml: policy.minimum_silos: found 2 (policy.minimum_silos of "
                             "s.yaml), allowed at least 3 (the default)");
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* More than a message holds: it ends with how many are left out. */
START_TEST(a_message_has_an_end) {
    static char folder[300];
    make_keys();
    memset(folder, 'd', 250);
    mkdir(in_scratch(folder), 0700);
    char site_path[600], study_path[600];
    snprintf(site_path, sizeof site_path, "%s/%s/site.yaml", scratch, folder);
    snprintf(study_path, sizeof study_path, "%s/%s/s.yaml", scratch, folder);
    const char *site_text = with_keys(
        "site: {key: ../key2, directory: work}\nmailbox: {folder: letters}\n"
        "silos: [{name: zurich-a, file: a}, {name: zurich-b, file: b}]\n"
        "policy: {rounds: 5, until: 2020-02-29, versions: [x], keys: [@0], secure_sums: true, "
        "privacy: {epsilon: 1}, strategies: [fedprox], columns_refused: [age], metrics: [auc]}\n");
    spill(site_path, site_text, strlen(site_text));
    const char *study_text = with_keys(LOOSE);
    spill(study_path, study_text, strlen(study_text));
    struct gr_study *study = NULL;
    struct gr_site *site = NULL;
    MUST(gr_study_read(study_path, &study));
    MUST(gr_site_load(site_path, &site));
    ck_assert_int_eq(gr_policy_check(study, site, noon, NULL), GR_ERROR_POLICY);
    const char *more = strstr(gr_message(), "\nand ");
    ck_assert_ptr_nonnull(more);
    ck_assert_str_eq(more + 6, " more");
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* A study with them passes a site that demands them, and one that does not. */
START_TEST(secure_sums_pass) {
    make_keys();
    struct gr_study *study = study_of(STUDY "aggregation: {grid: public, clip_norm: 1, "
                                            "weight_max: 100}\n"
                                            "secure: {aggregation: true}\n");
    for (int demanded = 0; demanded < 2; demanded++) {
        struct gr_site *site =
            site_of(demanded ? SITE "policy: {secure_sums: true, roster_difference: 2}\n" : SITE);
        ck_assert_msg(gr_policy_check(study, site, noon, NULL) == GR_OK, "%s", gr_message());
        gr_site_free(site);
    }
    gr_study_free(study);
}
END_TEST

/* Of a study without differential privacy, and of one with an epsilon of 1.135 to 1.1374. */
static const struct {
    const char *policy;
    const char *of_none, *of_rows; /* what is told; NULL: it passes */
} privacy_demands[] = {
    {"{}", NULL, NULL},
    {"{unit: row, epsilon: 1.2, delta: 0.001}",
     "site.yaml:8: policy.privacy.unit: found none (privacy.unit of s.yaml), allowed only row\n"
     "site.yaml:8: policy.privacy.delta: found 0 (privacy.budget.delta of s.yaml), allowed at most "
     "0.001, with a privacy.unit\n"
     "site.yaml:8: policy.privacy.epsilon: found no differential privacy (privacy.unit of s.yaml), "
     "allowed at most 1.2",
     NULL},
    {"{unit: person}",
     "site.yaml:8: policy.privacy.unit: found none (privacy.unit of s.yaml), allowed only person",
     "site.yaml:8: policy.privacy.unit: found row (privacy.unit of s.yaml), allowed only person"},
    {"{delta: 0.0009}",
     "site.yaml:8: policy.privacy.delta: found 0 (privacy.budget.delta of s.yaml), allowed at most "
     "0.0009, with a privacy.unit",
     "site.yaml:8: policy.privacy.delta: found 0.001 (privacy.budget.delta of s.yaml), allowed at "
     "most 0.0009"},
    {"{epsilon: 1.13}",
     "site.yaml:8: policy.privacy.epsilon: found no differential privacy (privacy.unit of s.yaml), "
     "allowed at most 1.13",
     "site.yaml:8: policy.privacy.epsilon: found 1.137 at a delta of 0.001 after 5 rounds "
     "(`granary privacy plan s.yaml`), allowed at most 1.13"},
};

START_TEST(privacy_may_be_demanded) {
    static const char *const text[] = {
        STUDY, STUDY_HEAD STUDY_SCHEMA
        "run: {rounds: 5}\n"
        "data: {source: csv}\n"
        "model: {type: logistic}\n"
        "train: {learning_rate: 0.05, batch_size: 16}\n"
        "privacy: {unit: row, clip_norm: 1, noise_multiplier: 2, expected_batch: 16, "
        "expected_units: 150, budget: {delta: 0.001}}\n"
        "policy: {minimum_silos: 4}\n"};
    const char *expected[] = {privacy_demands[_i].of_none, privacy_demands[_i].of_rows};
    char policy[512];
    make_keys();
    snprintf(policy, sizeof policy,
             SITE_WITH_FOLDERS "policy:\n  minimum_silos: 3\n  privacy: %s\n",
             privacy_demands[_i].policy);
    for (size_t i = 0; i < COUNT(text); i++) {
        struct gr_study *study = study_of(text[i]);
        struct gr_site *site = site_of(policy);
        const gr_status status = gr_policy_check(study, site, noon, NULL);
        ck_assert_int_eq(status, expected[i] ? GR_ERROR_POLICY : GR_OK);
        if (expected[i]) ck_assert_str_eq(told(), expected[i]);
        gr_site_free(site);
        gr_study_free(study);
    }
}
END_TEST

START_TEST(columns_need_a_schema) {
    make_keys();
    struct gr_study *study = study_of(STUDY_HEAD STUDY_CONFIG);
    struct gr_site *site = site_of(SITE "policy: {columns_refused: [age]}\n");
    ck_assert_int_eq(gr_policy_check(study, site, noon, NULL), GR_ERROR_POLICY);
    ck_assert_str_eq(told(), "site.yaml:6: policy.columns_refused: found no `schema` in s.yaml, "
                             "allowed only studies that say which columns they use");
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* The last day itself is allowed, to its last second in UTC. */
START_TEST(an_approval_ends) {
    char digest[GR_DIGEST_HEX], text[1024];
    make_keys();
    struct gr_study *study = study_of(STUDY);
    gr_digest_hex(study->digest, digest);
    const double end = noon + 43200;
    const struct {
        const char *study;
        double now;
        bool refused;
    } cases[] = {{"", end - 1, false},
                 {"", end, true},
                 {digest, end, true},
                 {"0000000000000000000000000000000000000000000000000000000000000000", end, false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(text, sizeof text,
                 "%sapprovals: [{number: EK 12/3, until: 2026-11-29, study: '%s'}]\n", SITE,
                 cases[i].study);
        struct gr_site *site = site_of(text);
        const gr_status found = gr_policy_check(study, site, cases[i].now, NULL);
        ck_assert_int_eq(found, cases[i].refused ? GR_ERROR_POLICY : GR_OK);
        if (cases[i].refused)
            ck_assert_str_eq(told(), "site.yaml:6: approvals: found a later day (the clock of this "
                                     "machine), allowed up to 2026-11-29 (\"EK 12/3\")");
        gr_site_free(site);
    }
    gr_study_free(study);
}
END_TEST

START_TEST(silos_of_few_rows_are_named_without_a_number) {
    make_keys();
    struct gr_study *study = study_of(STUDY);
    struct gr_site *site = site_of(SITE "policy: {minimum_rows: 20}\n");
    static const uint64_t enough[] = {20, 21}, few[] = {20, 19};
    ck_assert_int_eq(gr_policy_check_rows(study, site, 2, enough, 2), GR_OK);
    ck_assert_int_eq(gr_policy_check_rows(study, site, 2, few, 2), GR_ERROR_POLICY);
    ck_assert_str_eq(told(), "site.yaml:6: policy.minimum_rows: found fewer rows in the silo "
                             "\"zurich-b\", allowed at least 20");
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* ---- records --------------------------------------------------------------------------------- */

static void must_not_be_approved(const struct gr_study *study, const struct gr_site *site,
                                 gr_status status, const char *words) {
    ck_assert_int_eq(gr_site_approved(study, site), status);
    ck_assert_msg(strstr(gr_message(), words), "%s", gr_message());
}

START_TEST(a_study_is_approved_by_its_digest) {
    struct stat is;
    make_keys();
    struct gr_study *study = study_of(STUDY), *edited;
    struct gr_site *site = site_of(SITE);
    must_not_be_approved(study, site, GR_ERROR_POLICY, "which is not approved in ");
    MUST(gr_site_approve(study, site, "EK 12/3", "Dr. \"Z\""));
    MUST(gr_site_approved(study, site));
    ck_assert_int_eq(stat(in_scratch("work/approvals.jsonl"), &is), 0);
    ck_assert_int_eq(is.st_mode & 07777, 0600);
    ck_assert_int_eq(stat(in_scratch("work"), &is), 0);
    ck_assert_int_eq(is.st_mode & 07777, 0700);
    edited = study_of(STUDY "# edited\n");
    must_not_be_approved(edited, site, GR_ERROR_POLICY, "which is not approved in ");
    MUST(gr_site_approve(edited, site, NULL, NULL));
    MUST(gr_site_approved(study, site));
    MUST(gr_site_approved(edited, site));
    gr_study_free(edited);
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* A folder that cannot be one, a link in the file's place, and a disk that is full. */
START_TEST(approvals_that_cannot_be_written) {
    make_keys();
    struct gr_study *study = study_of(STUDY);
    struct gr_site *site = site_of(SITE);
    spill(in_scratch("work"), "", 0);
    ck_assert_int_eq(gr_site_approve(study, site, NULL, NULL), GR_ERROR_WRITE);
    ck_assert_msg(strstr(gr_message(), "work/approvals.jsonl: "), "%s", gr_message());
    remove(in_scratch("work"));
    mkdir(in_scratch("work"), 0700);
    ck_assert_int_eq(symlink("elsewhere", in_scratch("work/approvals.jsonl")), 0);
    ck_assert_int_eq(gr_site_approve(study, site, NULL, NULL), GR_ERROR_WRITE);
    ck_assert(!exists(in_scratch("work/elsewhere")));
    remove(in_scratch("work/approvals.jsonl"));
    /* Of a line half on disk nothing stays: the file is as it was. */
    MUST(gr_site_approve(study, site, NULL, NULL));
    struct stat before, after;
    ck_assert_int_eq(stat(in_scratch("work/approvals.jsonl"), &before), 0);
    const struct rlimit limit = {(rlim_t)before.st_size + 40, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(gr_site_approve(study, site, NULL, NULL), GR_ERROR_WRITE);
    ck_assert_int_eq(stat(in_scratch("work/approvals.jsonl"), &after), 0);
    ck_assert_int_eq(after.st_size, before.st_size);
    MUST(gr_site_approved(study, site));
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

/* Another key's line, any changed byte, and a line for the other purpose. */
START_TEST(approvals_are_signed) {
    size_t n = 0;
    char *text = NULL, path[1024];
    make_keys();
    struct gr_study *study = study_of(STUDY);
    struct gr_site *site = site_of(SITE);
    MUST(gr_site_approve(study, site, NULL, NULL));
    snprintf(path, sizeof path, "%s/work/approvals.jsonl", scratch);
    MUST(gr_file_read(path, 4096, GR_ERROR_DATA, &text, &n));
    for (size_t i = 0; i + 1 < n; i++) {
        text[i] ^= 1;
        spill(path, text, n);
        const gr_status found = gr_site_approved(study, site);
        text[i] ^= 1;
        ck_assert_int_eq(found, GR_ERROR_CONFIG);
    }
    spill(path, text, n - 20);
    must_not_be_approved(study, site, GR_ERROR_CONFIG, "approvals.jsonl:1: found no");
    spill(path, "", 0);
    must_not_be_approved(study, site, GR_ERROR_POLICY, "is not approved");
    gr_site_free(site);
    spill(path, text, n);
    gr_free(text);
    site = site_of("site: {key: key1, directory: work}\nmailbox: {folder: x}\n"
                   "silos: [{name: cleveland, file: x}]\n");
    must_not_be_approved(study, site, GR_ERROR_CONFIG,
                         "approvals.jsonl:1: found a line that another key has signed, or that was "
                         "changed, expected a line that this site's key has signed");
    gr_site_free(site);
    site = site_of(SITE);
    MUST(gr_site_note_run(study, site, "a"));
    MUST(gr_file_read(in_scratch("work/runs.jsonl"), 4096, GR_ERROR_DATA, &text, &n));
    spill(path, text, n);
    must_not_be_approved(study, site, GR_ERROR_CONFIG, "another key");
    gr_free(text);
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

START_TEST(runs_are_counted) {
    uint32_t n = 9;
    make_keys();
    struct gr_study *study = study_of(STUDY);
    struct gr_site *site = site_of(SITE "policy: {runs: 2}\n");
    MUST(gr_site_count_runs(study, site, NULL, &n));
    ck_assert_uint_eq(n, 0);
    MUST(gr_policy_check(study, site, noon, "a"));
    MUST(gr_site_note_run(study, site, "a"));
    MUST(gr_site_note_run(study, site, "a"));
    MUST(gr_site_note_run(study, site, "b"));
    MUST(gr_site_count_runs(study, site, "c", &n));
    ck_assert_uint_eq(n, 2);
    MUST(gr_site_count_runs(study, site, "b", &n));
    ck_assert_uint_eq(n, 1);
    MUST(gr_site_count_runs(study, site, NULL, &n));
    ck_assert_uint_eq(n, 1);
    /* A run goes on, a third does not begin. */
    MUST(gr_policy_check(study, site, noon, "b"));
    ck_assert_int_eq(gr_policy_check(study, site, noon, "c"), GR_ERROR_POLICY);
    ck_assert_str_eq(told(), "site.yaml:6: policy.runs: found 2 others (runs.jsonl in work), "
                             "allowed at most 2 in all");
    /* As long as it is not known which it will be, it may be one that goes on. */
    MUST(gr_policy_check(study, site, noon, NULL));
    /* An edited study is another one, whatever it calls its run. */
    struct gr_study *edited = study_of(STUDY "# edited\n");
    ck_assert_int_eq(gr_policy_check(edited, site, noon, NULL), GR_ERROR_POLICY);
    ck_assert_int_eq(gr_policy_check(edited, site, noon, "b"), GR_ERROR_POLICY);
    MUST(gr_site_note_run(edited, site, "b"));
    MUST(gr_site_count_runs(edited, site, "b", &n));
    ck_assert_uint_eq(n, 2);
    gr_study_free(edited);
    spill(in_scratch("work/runs.jsonl"), "{}\n", 3);
    ck_assert_int_eq(gr_policy_check(study, site, noon, NULL), GR_ERROR_CONFIG);
    gr_site_free(site);
    gr_study_free(study);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("policy");
    TCase *tcase = tcase_create("policy");
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_checked_fixture(tcase, scratch_make, scratch_remove);
    tcase_add_loop_test(tcase, each_key_is_raised_alone, 0, COUNT(keys));
    tcase_add_test(tcase, no_key_is_without_a_test);
    tcase_add_test(tcase, the_study_is_the_one_that_was_looked_at);
    tcase_add_test(tcase, all_broken_rules_are_told);
    tcase_add_test(tcase, sites_that_have_left_are_none);
    tcase_add_test(tcase, the_defaults_pass);
    tcase_add_test(tcase, a_study_is_held_against_the_defaults);
    tcase_add_test(tcase, sites_of_one_silo_are_counted);
    tcase_add_test(tcase, a_message_has_an_end);
    tcase_add_test(tcase, secure_sums_pass);
    tcase_add_loop_test(tcase, privacy_may_be_demanded, 0, COUNT(privacy_demands));
    tcase_add_test(tcase, columns_need_a_schema);
    tcase_add_test(tcase, an_approval_ends);
    tcase_add_test(tcase, silos_of_few_rows_are_named_without_a_number);
    tcase_add_test(tcase, a_study_is_approved_by_its_digest);
    tcase_add_test(tcase, approvals_that_cannot_be_written);
    tcase_add_test(tcase, approvals_are_signed);
    tcase_add_test(tcase, runs_are_counted);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
