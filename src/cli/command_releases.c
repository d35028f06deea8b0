/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary releases: all that a config lets out of a silo, to whom, how often, and by which rule it
 * is withheld. Printed from the table that the door enforces at run time (granary/release.h), so
 * that document and program cannot differ. No table of rows is read.
 */
#include "cli/command.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct release_words {
    const char *config_path; /* borrowed */
    struct gr_overrides overrides;
    bool json;
};

static gr_status read_words(struct gr_invocation *invocation, struct release_words *words) {
    gr_status status = GR_OK;
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == 's')
            GR_TRY(gr_overrides_add(&words->overrides, optarg));
        else if (option == 'j')
            words->json = true;
        else
            return GR_ERROR_USAGE;
    }
    status = gr_only_argument(invocation, "CONFIG", &words->config_path);
out:
    return status;
}

/* `text` behind `label`, broken at blanks so that no line is longer than 90 bytes. */
static void print_wrapped(const char *label, const char *text) {
    enum { INDENT = 15, WIDTH = 90 };
    size_t at = (size_t)printf("    %-*s", INDENT - 4, label);
    for (const char *between = ""; *text; between = " ") {
        const size_t n = strcspn(text, " ");
        if (at + strlen(between) + n > WIDTH) {
            at = (size_t)printf("\n%*s", INDENT, "") - 1;
            between = "";
        }
        at += (size_t)printf("%s%.*s", between, (int)n, text);
        text += n + (text[n] == ' ');
    }
    putchar('\n');
}

/* What leaves; and of secure sums what else would, and is refused. */
static bool is_listed(const struct gr_release_row *row, const struct gr_config *config) {
    const bool refused = (config->secure.aggregation && row->secure == GR_SECURE_REFUSED) ||
                         (gr_is_private(config) && row->hidden == GR_PRIVATE_REFUSED);
    return gr_release_leaves(row->id, config) || (refused && row->leaves && row->leaves(config));
}

static void print_row(const struct gr_release_row *row, const struct gr_config *config) {
    const bool secure = config->secure.aggregation;
    printf("%2d  %s\n", (int)row->id, row->name);
    print_wrapped("what", row->what);
    print_wrapped("as", row->kind);
    print_wrapped("to", row->to);
    print_wrapped("how often", gr_release_when_text(row->when));
    if (row->rule && gr_release_leaves(row->id, config)) print_wrapped("withheld", row->rule);
    if (secure) print_wrapped("secure", gr_release_secure_text(row->secure));
    if (gr_is_private(config)) print_wrapped("private", gr_release_private_text(row->hidden));
}

/* The rules hold only where silos have rows that other processes do not read (gr_policy_holds). */
static void print_policy(const struct gr_config *config) {
    if (!gr_policy_holds(config)) {
        printf(
            "\nThe table is dealt to the silos, or there is one silo: every process may read all "
            "rows,\nand the rules of `policy` are not in force.\n");
        return;
    }
    printf("\npolicy: sums of at least %u silos, %s, %u digits; data.disclosure_threshold: %u\n",
           config->policy.minimum_silos,
           config->policy.extremes ? "extremes are told" : "no extremes", config->policy.digits,
           config->data.disclosure_threshold);
}

static void print_secure(const struct gr_config *config) {
    if (!config->secure.aggregation) return;
    printf("\nsecure sums: the parties are the sites of a study, or in one job the silos; in one "
           "job,\n"
           "under one account, they protect nothing against that account.\n");
}

static void print_private(const struct gr_config *config) {
    if (!gr_is_private(config)) return;
    printf("\nprivacy: of a %s; `granary privacy plan` says how much is told in all.\n",
           gr_privacy_unit_text(config->privacy.unit));
}

void gr_print_releases(const struct gr_config *config) {
    size_t n;
    const struct gr_release_row *rows = gr_release_rows(&n);
    for (size_t i = 0; i < n; i++)
        if (is_listed(&rows[i], config)) print_row(&rows[i], config);
    print_secure(config);
    print_private(config);
    print_policy(config);
}

/* "withheld" is null where a release leaves as it is; "secure" is there with secure sums only. */
static bool add_json(json_t *list, const struct gr_release_row *r, const struct gr_config *config) {
    static const char *const words[] = {[GR_SECURE_AS_IT_IS] = "as it is",
                                        [GR_SECURE_COMMON] = "not hidden",
                                        [GR_SECURE_MASKED] = "masked",
                                        [GR_SECURE_BITS] = "bits",
                                        [GR_SECURE_REFUSED] = "refused"};
    static const char *const hidden[] = {[GR_PRIVATE_AS_IT_IS] = "as it is",
                                         [GR_PRIVATE_NOISED] = "noised",
                                         [GR_PRIVATE_PUBLIC] = "public",
                                         [GR_PRIVATE_REFUSED] = "refused"};
    const char *secure = config->secure.aggregation ? words[r->secure] : NULL;
    const char *private = gr_is_private(config) ? hidden[r->hidden] : NULL;
    json_t *row = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s?, s:s*, s:s*}", "release",
                            (int)r->id, "name", r->name, "what", r->what, "as", r->kind, "to",
                            r->to, "how_often", gr_release_when_text(r->when), "withheld", r->rule,
                            "secure", secure, "private", private);
    return json_array_append_new(list, row) == 0;
}

static gr_status print_json(const struct gr_config *config) {
    size_t n;
    const struct gr_release_row *rows = gr_release_rows(&n);
    json_t *list = json_array();
    bool bad = !list;
    for (size_t i = 0; i < n && !bad; i++)
        bad = is_listed(&rows[i], config) && !add_json(list, &rows[i], config);
    char *text = bad ? NULL : json_dumps(list, JSON_INDENT(1));
    if (text) puts(text);
    bad = !text;
    free(text);
    json_decref(list);
    return bad ? gr_fail(GR_ERROR_INTERNAL, "memory for the table was refused") : GR_OK;
}

static gr_status tell(const struct gr_config *config, bool json) {
    if (json) return print_json(config);
    gr_print_releases(config);
    return GR_OK;
}

/* A study's settings are signed: nobody can set others beside the file. */
static gr_status tell_study(const struct release_words *words) {
    struct gr_study *study = NULL;
    if (words->overrides.n > 0)
        return gr_fail(GR_ERROR_USAGE, "releases: %s is a study, expected no --set",
                       words->config_path);
    gr_status status = gr_study_read(words->config_path, &study);
    if (status == GR_OK) status = tell(study->config, words->json);
    gr_study_free(study);
    return status;
}

/* --set counts, as with train: the list is of the config as it would be used. */
static gr_status tell_config(const struct release_words *words) {
    struct gr_config *config = NULL;
    gr_status status;
    GR_TRY(gr_check_is_config(words->config_path));
    GR_TRY(gr_config_load(words->config_path, words->overrides.text, words->overrides.n, &config));
    status = tell(config, words->json);
out:
    gr_config_free(config);
    return status;
}

gr_status gr_command_releases(struct gr_invocation *invocation) {
    struct release_words words = {0};
    gr_status status = read_words(invocation, &words);
    if (status == GR_OK)
        status = gr_file_has_section(words.config_path, "study") ? tell_study(&words)
                                                                 : tell_config(&words);
    free(words.overrides.text);
    return status;
}
