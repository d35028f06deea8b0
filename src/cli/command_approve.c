/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary approve: shows a site's engineer what would leave, by the table that is enforced at run
 * time, and what the site's policy says, and records a yes. Nothing of a table is read.
 */
#include "cli/command.h"
#include "cli/privacy_answers.h"

#include "config/privacy_plan.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct approve_words {
    const char *study, *site, *number, *by; /* borrowed; NULL: not given */
    bool yes;
};

static gr_status read_words(struct gr_invocation *invocation, struct approve_words *words) {
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == 's')
            words->site = optarg;
        else if (option == 'n')
            words->number = optarg;
        else if (option == 'b')
            words->by = optarg;
        else if (option == 'y')
            words->yes = true;
        else
            return GR_ERROR_USAGE;
    }
    gr_status status = gr_only_argument(invocation, "STUDY", &words->study);
    if (status == GR_OK && !words->site)
        return gr_fail(GR_ERROR_USAGE,
                       "approve: --site SITE is missing; see `granary help approve`");
    const char *texts[] = {words->number, words->by};
    for (size_t i = 0; status == GR_OK && i < 2; i++)
        if (texts[i] && (strlen(texts[i]) > 256 || !gr_text_is_utf8(texts[i], strlen(texts[i]))))
            status = gr_fail(GR_ERROR_USAGE,
                             "approve: --%s: found more than 256 bytes or no UTF-8, "
                             "expected a short text",
                             i == 0 ? "number" : "by");
    return status;
}

/* The site's own part, and the approvals that its file gives. */
static void print_site(const struct gr_study *study, const struct gr_site *site, uint32_t party) {
    const struct gr_site_config *s = site->settings;
    printf("this site    %s (%s)\n", study->parties[party].name, site->path);
    for (unsigned i = 0; i < s->approvals_count; i++)
        printf("approval     %s%s%s%s%s\n", s->approvals[i].number,
               s->approvals[i].by[0] ? ", by " : "", s->approvals[i].by,
               s->approvals[i].until[0] ? ", until " : "", s->approvals[i].until);
}

/* What the noised sums of the study tell of a unit, before they are told. */
static gr_status print_price(const struct gr_study *study) {
    const struct gr_config *config = study->config;
    struct gr_epsilon price;
    gr_status status = GR_OK;
    if (!gr_is_private(config)) return GR_OK;
    GR_TRY(gr_privacy_plan_price(config, &price));
    printf("privacy      of each %s: ", gr_privacy_unit_text(config->privacy.unit));
    gr_print_epsilon(&price);
    printf(" for delta %g after %u rounds\n             (`granary privacy plan %s` tells more, "
           "`granary privacy ledger` what was spent before)\n",
           config->privacy.budget.delta, config->run.rounds, study->path);
out:
    return status;
}

/* The folder with copies of the studies that the site has approved. */
static gr_status kept_folder(const struct gr_site *site, char **out) {
    return gr_text_format(out, "%s/studies", site->settings->site.directory);
}

/* What has changed since the version that this site has approved last. A version by which its run
 * cannot go on is refused. */
static gr_status show_changes(const struct gr_study *study, const struct gr_site *site) {
    struct gr_study *before = NULL;
    char *folder = NULL, digest[GR_DIGEST_HEX];
    gr_status status;
    if (study->n_follows == 0) return GR_OK;
    GR_TRY(kept_folder(site, &folder));
    GR_TRY(gr_study_kept_before(folder, study, &before));
    if (!before) {
        puts("\nThis site has approved none of the versions that the study follows.");
        goto out;
    }
    gr_digest_hex(before->digest, digest);
    printf("\nChanges since the version that this site has approved, of the digest\n%s:\n\n",
           digest);
    GR_TRY(gr_print_changes(before, study));
    fflush(stdout);
    status = gr_study_check_version(before, study);
out:
    gr_study_free(before);
    gr_free(folder);
    return status;
}

/* Its copy first: with it a later version can be compared. */
static gr_status record(const struct approve_words *words, const struct gr_study *study,
                        const struct gr_site *site) {
    char *folder = NULL;
    gr_status status;
    GR_TRY(gr_site_folder(site));
    GR_TRY(kept_folder(site, &folder));
    GR_TRY(gr_study_keep(study, folder));
    status = gr_site_approve(study, site, words->number, words->by);
out:
    gr_free(folder);
    return status;
}

/* False: nobody has said yes. *status: whether somebody could be asked. */
static bool is_agreed(const struct approve_words *words, gr_status *status) {
    char answer[16] = "";
    *status = GR_OK;
    if (words->yes) return true;
    if (!isatty(STDIN_FILENO)) {
        *status = gr_fail(GR_ERROR_USAGE,
                          "approve: nobody can be asked on standard input; --yes approves what is "
                          "shown above");
        return false;
    }
    fputs("\nIs this approved? yes or no: ", stdout);
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin)) return false;
    answer[strcspn(answer, "\r\n")] = '\0';
    return strcmp(answer, "yes") == 0;
}

static gr_status approve(const struct approve_words *words, const struct gr_study *study,
                         const struct gr_site *site) {
    gr_status status = gr_policy_check(study, site, (double)time(NULL), NULL);
    if (status != GR_OK) return status;
    printf("\n%s: the site's policy allows it\n", site->path);
    status = gr_site_approved(study, site);
    if (status != GR_ERROR_POLICY) {
        if (status == GR_OK) puts("approved already");
        return status;
    }
    if (!is_agreed(words, &status)) {
        if (status == GR_OK) puts("not approved: nothing is recorded");
        return status;
    }
    status = record(words, study, site);
    if (status == GR_OK)
        printf("approved: recorded in %s/approvals.jsonl\n", site->settings->site.directory);
    return status;
}

gr_status gr_command_approve(struct gr_invocation *invocation) {
    struct approve_words words = {0};
    struct gr_study *study = NULL;
    struct gr_site *site = NULL;
    uint32_t party;
    gr_status status;
    GR_TRY(read_words(invocation, &words));
    GR_TRY(gr_study_load(words.study, &study));
    GR_TRY(gr_site_load(words.site, &site));
    GR_TRY(gr_site_find(study, site, &party));
    gr_print_study(study);
    print_site(study, site, party);
    GR_TRY(print_price(study));
    printf("\nWhat would leave each site:\n\n");
    gr_print_releases(study->config);
    GR_TRY(show_changes(study, site));
    fflush(stdout);
    status = approve(&words, study, site);
out:
    gr_site_free(site);
    gr_study_free(study);
    return status;
}
