/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of a site, held against a study: one function for each key, all of which are asked, so
 * that a security officer reads all reasons at once. A rule looks at the settings that decide what
 * leaves, and where these cannot tell (columns without a schema) it refuses.
 */
#include <granary/policy.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/privacy_plan.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { LINE_BYTES = 512, LINES_BYTES = GR_MESSAGE_MAX - 64, DAY_SECONDS = 86400 };

/* A study before a site, and the lines of its broken rules. */
struct judgement {
    const struct gr_study *study;
    const struct gr_config *config; /* the study's */
    const struct gr_site *site;
    const struct gr_site_policy_config *policy; /* the site's */
    double now_s;
    const char *run; /* or NULL */
    size_t n, n_shown;
    char lines[LINES_BYTES];
};

/* Adds "site.yaml:12: policy.rounds: WORDS"; where the key is not given its default holds. */
static void GR_PRINTF(3, 4) refuse(struct judgement *j, const char *key, const char *format, ...) {
    char words[LINE_BYTES], line[LINE_BYTES + 512], place[32] = "", shown[256];
    const size_t used = strlen(j->lines), at = gr_site_line(j->site, key);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    gr_text_quote(j->site->path, strlen(j->site->path), shown, sizeof shown);
    if (at > 0) snprintf(place, sizeof place, ":%zu", at);
    snprintf(line, sizeof line, "%s%s%s: %s: %s%s", j->n > 0 ? "\n" : "", shown, place, key, words,
             at > 0 ? "" : " (the default)");
    const size_t n = strlen(line);
    /* Once a line was left out all later ones are, so that "and N more" is true. */
    if (j->n++ == j->n_shown && used + n < sizeof j->lines) {
        memcpy(j->lines + used, line, n + 1);
        j->n_shown++;
    }
}

static gr_status verdict(const struct judgement *j) {
    if (j->n == 0) return GR_OK;
    if (j->n == j->n_shown) return gr_fail(GR_ERROR_POLICY, "%s", j->lines);
    return gr_fail(GR_ERROR_POLICY, "%s\nand %zu more", j->lines, j->n - j->n_shown);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static bool lists(char *const *list, unsigned n, const char *word) {
    for (unsigned i = 0; i < n; i++)
        if (strcmp(list[i], word) == 0) return true;
    return false;
}

/* Adds a word to "a, b"; what does not fit ends in "...". */
static void add_word(char *out, size_t size, const char *word) {
    char quoted[72];
    const size_t used = strlen(out), dots = sizeof ", ...";
    gr_text_quote(word, strlen(word), quoted, sizeof quoted);
    if (used >= 3 && strcmp(out + used - 3, "...") == 0) return;
    if (used + strlen(quoted) + 2 + dots > size)
        snprintf(out + used, size - used, "%s...", used > 0 ? ", " : "");
    else
        snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", quoted);
}

static void join_list(char *const *list, unsigned n, char *out, size_t size) {
    *out = '\0';
    for (unsigned i = 0; i < n; i++)
        add_word(out, size, list[i]);
}

/* ---- counts of silos and rows ---------------------------------------------------------------- */

/* Silos of a site; one that has left brings none. */
static uint32_t bring(const struct gr_study *study, uint32_t party) {
    return study->parties[party].left ? 0 : study->sites[party].n_silos;
}

/* The fewest silos of which any so many are of at least `sites` sites: one more than the others of
 * them can bring. */
static uint32_t least_silos(const struct gr_study *study, uint32_t sites) {
    uint32_t least = 1;
    for (uint32_t p = 1; p < study->n_parties; p++) {
        uint32_t larger = 0; /* sites that bring more, or as many and come first */
        for (uint32_t q = 1; q < study->n_parties; q++)
            larger +=
                bring(study, q) > bring(study, p) || (q < p && bring(study, q) == bring(study, p));
        if (larger + 1 < sites) least += bring(study, p);
    }
    return least;
}

/* A site can take its own silos out of a sum: it is sites that have to be several. */
static void check_minimum_silos(struct judgement *j) {
    const uint32_t found = gr_policy_silos(j->config), sites = j->policy->minimum_silos;
    const uint32_t least = least_silos(j->study, sites);
    uint32_t there = 0;
    for (uint32_t p = 1; p < j->study->n_parties; p++)
        there += !j->study->parties[p].left;
    if (sites > there)
        refuse(j, "policy.minimum_silos", "found %u sites (study.sites of %s), allowed at least %u",
               there, j->study->path, sites);
    else if (found < least)
        refuse(j, "policy.minimum_silos",
               "found %u (policy.minimum_silos of %s), allowed at least %u%s", found,
               j->study->path, least,
               least > sites ? ": fewer silos may be of fewer sites, which know their own part"
                             : "");
}

static void check_threshold(struct judgement *j, const char *key, uint32_t least) {
    const uint32_t found = j->config->data.disclosure_threshold;
    if (found < least)
        refuse(j, key, "found %u (data.disclosure_threshold of %s), allowed at least %u", found,
               j->study->path, least);
}

static void check_disclosure_threshold(struct judgement *j) {
    check_threshold(j, "policy.disclosure_threshold", j->policy->disclosure_threshold);
}

/* The threshold is that of the cells of a confusion matrix and of the bins of scores too. */
static void check_minimum_cell(struct judgement *j) {
    check_threshold(j, "policy.minimum_cell", j->policy->minimum_cell);
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void check_per_silo(struct judgement *j) {
    if (j->config->evaluate.per_silo && !j->policy->per_silo)
        refuse(j, "policy.per_silo", "found true (evaluate.per_silo of %s), allowed false",
               j->study->path);
}

static void check_extremes(struct judgement *j) {
    if (j->config->policy.extremes && !j->policy->extremes)
        refuse(j, "policy.extremes", "found true (policy.extremes of %s), allowed false",
               j->study->path);
}

static void check_digits(struct judgement *j) {
    const uint32_t found = j->config->policy.digits, most = j->policy->digits;
    if (found > most)
        refuse(j, "policy.digits", "found %u (policy.digits of %s), allowed at most %u", found,
               j->study->path, most);
}

static bool allows_release(const struct judgement *j, int id) {
    for (unsigned i = 0; i < j->policy->releases_count; i++)
        if (j->policy->releases[i] == (uint32_t)id) return true;
    return false;
}

/* A number that no release has is told first: the one that was meant is then not allowed. */
static void check_releases(struct judgement *j) {
    char found[LINE_BYTES / 2] = "", word[80];
    size_t n;
    const struct gr_release_row *rows = gr_release_rows(&n);
    if (j->policy->releases_count == 0) return;
    for (unsigned i = 0; i < j->policy->releases_count; i++)
        if (!gr_release_row((enum gr_release)j->policy->releases[i])) {
            refuse(j, "policy.releases",
                   "found the number %u, which no release has: see `granary releases %s`",
                   j->policy->releases[i], j->study->path);
            return;
        }
    for (size_t i = 0; i < n; i++) {
        if (!gr_release_leaves(rows[i].id, j->config) || allows_release(j, (int)rows[i].id))
            continue;
        snprintf(word, sizeof word, "%d %s", (int)rows[i].id, rows[i].name);
        add_word(found, sizeof found, word);
    }
    if (found[0])
        refuse(j, "policy.releases", "found %s (`granary releases %s`), allowed only those listed",
               found, j->study->path);
}

/* As many as the label has categories; GR_CLASSES_OPEN: that is not known before tables are read.
 */
enum { GR_CLASSES_OPEN = 0 };
static size_t count_classes(const struct judgement *j) {
    const struct gr_schema *schema = j->study->schema;
    for (unsigned i = 0; schema && i < schema->columns_count; i++)
        if (schema->columns[i].type == GR_COLUMN_LABEL) return schema->columns[i].categories_count;
    return GR_CLASSES_OPEN;
}

static bool may_be_told(const struct judgement *j, unsigned metric) {
    const bool of_numbers = gr_predicts_number(&j->config->model);
    const size_t classes = count_classes(j);
    if (gr_metric_rows[metric].always || gr_metric_rows[metric].of_numbers != of_numbers)
        return false;
    return of_numbers || classes == GR_CLASSES_OPEN || gr_metric_fits(metric, classes);
}

/* After the last round evaluation.json has all metrics that fit the model, whatever
 * evaluate.metrics says. */
static void check_metrics(struct judgement *j) {
    char found[LINE_BYTES / 2] = "", allowed[LINE_BYTES / 4];
    if (j->policy->metrics_count == 0 || !gr_release_leaves(GR_RELEASE_SCORES, j->config)) return;
    for (unsigned m = 0; m < gr_metric_count; m++) {
        const struct gr_metric_row *row = &gr_metric_rows[m];
        if (!may_be_told(j, m) || lists(j->policy->metrics, j->policy->metrics_count, row->name))
            continue;
        add_word(found, sizeof found, row->name);
    }
    join_list(j->policy->metrics, j->policy->metrics_count, allowed, sizeof allowed);
    if (found[0])
        refuse(j, "policy.metrics",
               "found %s (evaluate.every of %s is %u: evaluation.json has them), allowed only %s",
               found, j->study->path, j->config->evaluate.every, allowed);
}

/* ---- what is done ---------------------------------------------------------------------------- */

static void check_strategies(struct judgement *j) {
    char allowed[LINE_BYTES / 2];
    if (j->policy->strategies_count == 0 ||
        lists(j->policy->strategies, j->policy->strategies_count, j->config->strategy.name))
        return;
    join_list(j->policy->strategies, j->policy->strategies_count, allowed, sizeof allowed);
    refuse(j, "policy.strategies", "found %s (strategy.name of %s), allowed only %s",
           j->config->strategy.name, j->study->path, allowed);
}

/* Columns of type text are never read into the rows. IDX files have no columns with names. */
static void check_columns_refused(struct judgement *j) {
    const struct gr_schema *schema = j->study->schema;
    char found[LINE_BYTES / 2] = "";
    if (j->policy->columns_refused_count == 0 || j->config->data.source == GR_SOURCE_IDX) return;
    if (!schema) {
        refuse(j, "policy.columns_refused",
               "found no `schema` in %s, allowed only studies that say which columns they use",
               j->study->path);
        return;
    }
    for (unsigned i = 0; i < schema->columns_count; i++)
        if (schema->columns[i].type != GR_COLUMN_TEXT &&
            lists(j->policy->columns_refused, j->policy->columns_refused_count,
                  schema->columns[i].name))
            add_word(found, sizeof found, schema->columns[i].name);
    if (found[0])
        refuse(j, "policy.columns_refused",
               "found %s (schema.columns of %s), allowed no column of this list but of type text",
               found, j->study->path);
}

static void check_rounds(struct judgement *j) {
    const uint32_t found = j->config->run.rounds, most = j->policy->rounds;
    if (most > 0 && found > most)
        refuse(j, "policy.rounds", "found %u (run.rounds of %s), allowed at most %u", found,
               j->study->path, most);
}

static gr_status check_runs(struct judgement *j) {
    uint32_t others = 0;
    if (j->policy->runs == 0) return GR_OK;
    gr_status status = gr_site_count_runs(j->study, j->site, j->run, &others);
    if (status == GR_OK && others >= j->policy->runs)
        refuse(j, "policy.runs", "found %u others (runs.jsonl in %s), allowed at most %u in all",
               others, j->site->settings->site.directory, j->policy->runs);
    return status;
}

/* All parties have one version, or none of them begins: the handshake compares them. */
static void check_versions(struct judgement *j) {
    char allowed[LINE_BYTES / 2];
    if (j->policy->versions_count == 0 ||
        lists(j->policy->versions, j->policy->versions_count, GRANARY_VERSION))
        return;
    join_list(j->policy->versions, j->policy->versions_count, allowed, sizeof allowed);
    refuse(j, "policy.versions", "found granary %s, allowed only %s", GRANARY_VERSION, allowed);
}

/* ---- whose it is ----------------------------------------------------------------------------- */

static void check_study(struct judgement *j) {
    unsigned char allowed[GR_DIGEST_BYTES];
    char found[GR_DIGEST_HEX];
    if (!j->policy->study[0]) return;
    gr_digest_hex(j->study->digest, found);
    if (!gr_digest_from_hex(j->policy->study, allowed) ||
        memcmp(allowed, j->study->digest, sizeof allowed) != 0)
        refuse(j, "policy.study", "found the digest %s (%s), allowed only %s", found,
               j->study->path, j->policy->study);
}

static bool lists_key(const struct gr_site_policy_config *policy, const struct gr_public_key *key) {
    struct gr_public_key allowed;
    for (unsigned i = 0; i < policy->keys_count; i++)
        if (gr_public_key_parse(policy->keys[i], &allowed) &&
            memcmp(&allowed, key, sizeof allowed) == 0)
            return true;
    return false;
}

/* The site's own key need not be listed. */
static void check_keys(struct judgement *j) {
    char found[LINE_BYTES / 2] = "";
    if (j->policy->keys_count == 0) return;
    const uint32_t own = gr_study_find(j->study, gr_keys_public(j->site->keys));
    for (uint32_t p = 0; p < j->study->n_parties; p++)
        if (p != own && !lists_key(j->policy, &j->study->parties[p].key))
            add_word(found, sizeof found, j->study->parties[p].name);
    if (found[0])
        refuse(j, "policy.keys", "found other keys of %s (%s), allowed only those listed", found,
               j->study->path);
}

/* Without them the coordinator sees the part of each site. */
static void check_secure_sums(struct judgement *j) {
    if (j->policy->secure_sums && !j->config->secure.aggregation)
        refuse(j, "policy.secure_sums", "found false (secure.aggregation of %s), allowed only true",
               j->study->path);
    if (j->policy->roster_difference > 0 && !j->config->secure.aggregation)
        refuse(j, "policy.roster_difference",
               "found false (secure.aggregation of %s), allowed only true: it is of secure sums",
               j->study->path);
}

/* ---- differential privacy -------------------------------------------------------------------- */

/* The price of all rounds; what the site's ledgers have besides is asked where a run begins. */
static gr_status check_price(struct judgement *j) {
    const double most = j->policy->privacy.epsilon;
    struct gr_epsilon price;
    const gr_status status = gr_privacy_plan_price(j->config, &price);
    if (status == GR_OK && !(price.upper <= most))
        refuse(
            j, "policy.privacy.epsilon",
            "found %.4g at a delta of %g after %u rounds (`granary privacy plan %s`), allowed at "
            "most %g",
            price.upper, j->config->privacy.budget.delta, j->config->run.rounds, j->study->path,
            most);
    return status;
}

static gr_status check_privacy(struct judgement *j) {
    const struct gr_privacy_config *found = &j->config->privacy;
    const struct gr_site_privacy_config *allowed = &j->policy->privacy;
    const bool none = found->unit == GR_PRIVACY_NONE;
    if (allowed->unit != GR_PRIVACY_NONE && found->unit != allowed->unit)
        refuse(j, "policy.privacy.unit", "found %s (privacy.unit of %s), allowed only %s",
               gr_privacy_unit_text(found->unit), j->study->path,
               gr_privacy_unit_text(allowed->unit));
    if (allowed->delta > 0 && (none || found->budget.delta > allowed->delta))
        refuse(j, "policy.privacy.delta",
               "found %g (privacy.budget.delta of %s), allowed at most %g%s", found->budget.delta,
               j->study->path, allowed->delta, none ? ", with a privacy.unit" : "");
    if (!(allowed->epsilon > 0)) return GR_OK;
    if (!none) return check_price(j);
    refuse(j, "policy.privacy.epsilon",
           "found no differential privacy (privacy.unit of %s), allowed at most %g", j->study->path,
           allowed->epsilon);
    return GR_OK;
}

/* ---- until when ------------------------------------------------------------------------------ */

/* The day itself is the last on which it holds. */
static bool has_passed(const char *day, double now_s) {
    double begins;
    return day[0] && gr_date_read(day, strlen(day), GR_DATE_ISO, false, &begins) == GR_DATE_READ &&
           now_s >= begins + DAY_SECONDS;
}

static void check_until(struct judgement *j) {
    if (has_passed(j->policy->until, j->now_s))
        refuse(j, "policy.until", "found a later day (the clock of this machine), allowed up to %s",
               j->policy->until);
}

/* An approval that names this study, or any. */
static void check_approvals(struct judgement *j) {
    unsigned char digest[GR_DIGEST_BYTES];
    char quoted[72];
    for (unsigned i = 0; i < j->site->settings->approvals_count; i++) {
        const struct gr_approval_config *approval = &j->site->settings->approvals[i];
        const bool other =
            approval->study[0] && (!gr_digest_from_hex(approval->study, digest) ||
                                   memcmp(digest, j->study->digest, sizeof digest) != 0);
        if (other || !has_passed(approval->until, j->now_s)) continue;
        gr_text_quote(approval->number, strlen(approval->number), quoted, sizeof quoted);
        refuse(j, "approvals",
               "found a later day (the clock of this machine), allowed up to %s (\"%s\")",
               approval->until, quoted);
    }
}

/* ---- all ------------------------------------------------------------------------------------- */

/* In the order of the keys. policy.runs reads a file and policy.privacy computes: they can fail. */
static void (*const rules[])(struct judgement *j) = {
    check_minimum_silos,   check_minimum_cell, check_disclosure_threshold,
    check_per_silo,        check_extremes,     check_digits,
    check_releases,        check_strategies,   check_metrics,
    check_columns_refused, check_rounds,       check_versions,
    check_study,           check_keys,         check_secure_sums,
    check_until,           check_approvals,
};

gr_status gr_policy_check(const struct gr_study *study, const struct gr_site *site, double now_s,
                          const char *run) {
    struct judgement j = {.study = study,
                          .config = study->config,
                          .site = site,
                          .policy = &site->settings->policy,
                          .now_s = now_s,
                          .run = run};
    for (size_t i = 0; i < COUNT(rules); i++)
        rules[i](&j);
    gr_status status = check_runs(&j);
    if (status == GR_OK) status = check_privacy(&j);
    return status == GR_OK ? verdict(&j) : status;
}

gr_status gr_policy_check_defaults(const struct gr_study *study) {
    /* Of the least that a site's file has; no key is read and no path opened. */
    static const char least[] = "site: {key: keys, directory: records}\n"
                                "mailbox: {folder: letters}\n"
                                "silos: [{name: silo, file: table}]\n";
    struct gr_site *site = NULL;
    gr_status status;
    GR_TRY(gr_site_parse("a site without a policy", least, sizeof least - 1, &site));
    status = gr_policy_check(study, site, 0, NULL);
out:
    gr_site_free(site);
    return status;
}

gr_status gr_policy_check_rows(const struct gr_study *study, const struct gr_site *site,
                               uint32_t party, const uint64_t *rows, size_t n) {
    const struct gr_study_site own = study->sites[party];
    struct judgement j = {.study = study, .site = site, .policy = &site->settings->policy};
    for (size_t i = 0; i < n && i < own.n_silos; i++)
        if (rows[i] < j.policy->minimum_rows)
            refuse(&j, "policy.minimum_rows",
                   "found fewer rows in the silo \"%s\", allowed at least %u",
                   study->silos[own.first_silo + i], j.policy->minimum_rows);
    return verdict(&j);
}
