/* SPDX-License-Identifier: Apache-2.0 */
/* granary join: a site's part in a study. */
#include <granary/data.h>
#include <granary/journal.h>
#include <granary/policy.h>
#include <granary/release.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/own_log.h"
#include "cli/part_status.h"
#include "cli/take_part.h"

struct join_words {
    const char *site_path, *study_path;
    double idle_s;
    bool leave, quiet;
};

static gr_status read_words(struct gr_invocation *invocation, struct join_words *words) {
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        switch (option) {
        case 's':
            words->study_path = optarg;
            break;
        case 'i':
            if (gr_read_duration("join: --idle", optarg, &words->idle_s) != GR_OK)
                return GR_ERROR_USAGE;
            break;
        case 'e':
            words->leave = true;
            break;
        case 'q':
            words->quiet = true;
            break;
        default:
            return GR_ERROR_USAGE;
        }
    }
    gr_status status = gr_only_argument(invocation, "SITE", &words->site_path);
    if (status == GR_OK && !words->study_path)
        status = gr_fail(GR_ERROR_USAGE, "join: expected --study STUDY");
    return status;
}

static gr_status open_carrier(const struct gr_study *study, const struct gr_site *site,
                              uint32_t party, struct gr_carrier **out) {
    const struct gr_mailbox_config *mailbox = &site->settings->mailbox;
    const struct gr_carrier_options who = {.keys = site->keys,
                                           .parties = study->parties,
                                           .n_parties = study->n_parties,
                                           .me = party,
                                           .study = study->digest};
    if (mailbox->folder[0]) return gr_carrier_open_folder(&who, mailbox->folder, out);
    const struct gr_https_client client = {
        .url = mailbox->url,
        .ca = mailbox->ca[0] ? mailbox->ca : NULL,
        .pin = mailbox->pin[0] ? mailbox->pin : NULL,
        .proxy = mailbox->proxy[0] ? mailbox->proxy : NULL,
        .certificate = mailbox->certificate[0] ? mailbox->certificate : NULL,
        .key = mailbox->key[0] ? mailbox->key : NULL};
    return gr_carrier_open_https_client(&who, &client, out);
}

/* The run of a study has a folder of its name in the site's. */
static gr_status find_folder(const struct gr_study *study, const struct gr_site *site, char **out) {
    gr_status status = GR_OK;
    char *whole = NULL, *path = NULL;
    GR_TRY(gr_own_folder(site->settings->site.directory, &whole));
    GR_TRY(gr_text_format(&path, "%s/%s", whole, study->name));
    status = gr_own_folder(path, out);
out:
    gr_free(path);
    gr_free(whole);
    return status;
}

/*
 * A table that does not fit would end the run of all sites: its own engineer is told, with the
 * whole reason, before any other is met.
 */
static gr_status check_tables(const struct gr_study *study, const struct gr_site *site,
                              const char *directory) {
    gr_status status;
    struct gr_config *config = NULL;
    struct gr_table_summary found;
    GR_TRY(gr_study_configure_alone(study, site, directory, &config));
    for (unsigned i = 0; i < config->data.silo_tables_count; i++)
        GR_TRY(gr_data_summarise(&config->data, &config->data.silo_tables[i], &found));
out:
    gr_config_free(config);
    return status;
}

/* Of the rank that speaks, whose failure the others learn by gr_take_part. Of a refusal the
 * coordinator is told, so the carrier is opened all the same. */
static gr_status take_place(const struct gr_study *study, const struct gr_site *site,
                            uint32_t party, const char *directory, gr_status permitted, bool leave,
                            int *lock, struct gr_carrier **carrier) {
    gr_status status = GR_OK;
    char *refused = NULL;
    GR_TRY(gr_text_format(&refused, "%s", gr_message()));
    GR_TRY(gr_part_lock(directory, GR_SITE_LOCK, "join", lock));
    GR_TRY(open_carrier(study, site, party, carrier));
    if (leave) goto out;
    if (permitted != GR_OK)
        status = gr_fail(permitted, "%s", refused);
    else
        status = check_tables(study, site, directory);
out:
    gr_free(refused);
    return status;
}

/* By the journal of the site's first rank, on all ranks. */
static gr_status look_for_end(const struct gr_study *study, const char *directory, bool *finished) {
    gr_status status;
    char *journal = NULL;
    GR_TRY(gr_journal_path(directory, 0, &journal));
    *finished = gr_journal_has_finished(journal, study->digest);
out:
    gr_free(journal);
    return status;
}

/* Whatever the end was: a page that cannot be made is no failure of the part that was taken. */
static void tell_end(const struct gr_study *study, const char *directory, gr_status status,
                     bool quiet) {
    char *path = NULL, *message = NULL;
    if (gr_text_format(&message, "%s", gr_message()) != GR_OK) return;
    if (gr_report_path(directory, &path) == GR_OK && gr_is_site_folder(directory) &&
        gr_site_report_write(directory, gr_release_words_of, path) == GR_OK && status == GR_OK &&
        !quiet)
        printf("the run of %s has finished; what has left this site: %s, from journal.jsonl "
               "beside it\n",
               study->name, path);
    if (status != GR_OK) gr_own_log_add(message);
    (void)gr_fail(status, "%s", message);
    gr_free(message);
    gr_free(path);
}

gr_status gr_command_join(struct gr_invocation *invocation) {
    static const double once_more_s = 10;
    gr_status status = GR_OK;
    struct join_words words = {0};
    struct gr_study *study = NULL;
    struct gr_site *site = NULL;
    struct gr_carrier *carrier = NULL;
    char *directory = NULL, *why = NULL, *approvals = NULL, *model = NULL;
    bool finished = false;
    uint32_t party;
    int lock = -1;
    GR_TRY(read_words(invocation, &words));
    GR_TRY(gr_site_load(words.site_path, &site));
    GR_TRY(gr_study_load(words.study_path, &study));
    GR_TRY(gr_site_find(study, site, &party));
    GR_TRY(find_folder(study, site, &directory));
    gr_own_log_open(directory);
    if (!words.leave) GR_TRY(look_for_end(study, directory, &finished));
    if (finished && (words.idle_s == 0 || words.idle_s > once_more_s)) words.idle_s = once_more_s;
    /* Before a table is opened. */
    gr_status opened = words.leave ? GR_OK : gr_site_stays(study, site);
    if (opened == GR_ERROR_POLICY) {
        status = opened;
        goto out;
    }
    if (opened == GR_OK && !words.leave) opened = gr_site_approved(study, site);
    if (opened == GR_OK && !words.leave)
        opened = gr_policy_check(study, site, (double)time(NULL), NULL);
    if (opened != GR_OK && opened != GR_ERROR_POLICY) {
        status = opened;
        goto out;
    }
    if (invocation->speaks)
        opened = take_place(study, site, party, directory, opened, words.leave, &lock, &carrier);
    GR_TRY(gr_text_format(&why, "%s", gr_message()));
    GR_TRY(gr_site_approvals(study, site, &approvals));
    if (site->settings->site.keep_model) GR_TRY(gr_text_format(&model, "%s/model.h5", directory));
    const struct gr_part_in_study part = {.study = study,
                                          .site = site,
                                          .keys = site->keys,
                                          .party = party,
                                          .carriers = &carrier,
                                          .n_carriers = 1,
                                          .directory = directory,
                                          .approvals = approvals,
                                          .keep_model = model,
                                          .leave = words.leave,
                                          .quiet = words.quiet,
                                          .has_end = finished,
                                          .idle_s = words.idle_s,
                                          .failed = opened,
                                          .why = why};
    status = gr_take_part(invocation, &part);
out:
    if (directory && invocation->speaks)
        tell_end(study, directory, status, words.quiet || words.leave);
    gr_own_log_open(NULL);
    gr_carrier_close(carrier);
    if (lock >= 0) close(lock);
    gr_study_free(study);
    gr_site_free(site);
    gr_free(why);
    gr_free(approvals);
    gr_free(model);
    gr_free(directory);
    return status;
}
