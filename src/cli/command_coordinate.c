/* SPDX-License-Identifier: Apache-2.0 */
/* granary coordinate: the coordinator's part in a study. */
#include <string.h>
#include <unistd.h>

#include "cli/part_status.h"
#include "cli/take_part.h"

struct coordinate_words {
    const char *study_path, *key, *listen, *mailbox, *run_path, *certificate, *certificate_key,
        *initial;
    double idle_s;
    bool quiet;
};

static gr_status read_words(struct gr_invocation *invocation, struct coordinate_words *words) {
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        switch (option) {
        case 'k':
            words->key = optarg;
            break;
        case 'l':
            words->listen = optarg;
            break;
        case 'm':
            words->mailbox = optarg;
            break;
        case 'r':
            words->run_path = optarg;
            break;
        case 'c':
            words->certificate = optarg;
            break;
        case 'y':
            words->certificate_key = optarg;
            break;
        case 'i':
            if (gr_read_duration("coordinate: --idle", optarg, &words->idle_s) != GR_OK)
                return GR_ERROR_USAGE;
            break;
        case 'o':
            words->initial = optarg;
            break;
        case 'q':
            words->quiet = true;
            break;
        default:
            return GR_ERROR_USAGE;
        }
    }
    gr_status status = gr_only_argument(invocation, "STUDY", &words->study_path);
    if (status == GR_OK && !words->listen && !words->mailbox)
        status = gr_fail(GR_ERROR_USAGE, "coordinate: expected --listen ADDRESS:PORT, --mailbox "
                                         "FOLDER, or both");
    return status;
}

/* Rank 0. Both ways at once, if both are named: each site is answered by the way it writes. */
static gr_status open_carriers(const struct coordinate_words *words, const struct gr_study *study,
                               const struct gr_keys *keys, const char *directory,
                               struct gr_carrier **carriers, size_t *n) {
    gr_status status = GR_OK;
    const struct gr_carrier_options who = {.keys = keys,
                                           .parties = study->parties,
                                           .n_parties = study->n_parties,
                                           .study = study->digest};
    const struct gr_https_server server = {.address = words->listen,
                                           .certificate = words->certificate,
                                           .key = words->certificate_key,
                                           .directory = directory};
    char pin[96];
    if (words->mailbox) {
        GR_TRY(gr_carrier_open_folder(&who, words->mailbox, &carriers[*n]));
        ++*n;
    }
    if (words->listen) {
        GR_TRY(gr_carrier_open_https_server(&who, &server, &carriers[*n]));
        gr_https_server_pin(carriers[*n], pin, sizeof pin);
        fprintf(stderr, "granary: listening on port %d; in the site files: pin: \"%s\"\n",
                gr_https_server_port(carriers[*n]), pin);
        ++*n;
    }
out:
    return status;
}

/* Rank 0. Before sites are waited for, of which none would come by another version: the run asks
 * once more when it has its folder. */
static gr_status check_run(const struct gr_study *study, const char *directory) {
    struct gr_run_version last;
    char digest[GR_DIGEST_HEX];
    if (!gr_run_last_version(directory, &last) || gr_study_is_version(study, last.study))
        return GR_OK;
    gr_digest_hex(last.study, digest);
    return gr_fail(GR_ERROR_CONFIG,
                   "%s: the run goes by the study of digest %s, expected that one or one that "
                   "follows it (study.follows) in %s",
                   directory, digest, study->path);
}

/* Rank 0. A copy of the study stays with the run, by which an audit follows its versions. */
static gr_status keep_study(const struct gr_study *study, const char *directory) {
    struct gr_study *before = NULL;
    char *folder = NULL;
    gr_status status;
    GR_TRY(gr_text_format(&folder, "%s/studies", directory));
    GR_TRY(gr_study_kept_before(folder, study, &before));
    if (before) GR_TRY(gr_study_check_version(before, study));
    status = gr_study_keep(study, folder);
out:
    gr_study_free(before);
    gr_free(folder);
    return status;
}

/* Of a run that goes on a checkpoint is taken, and no model is asked for. */
static gr_status check_initial(const struct coordinate_words *words, const struct gr_study *study,
                               const char *directory) {
    gr_status status = GR_OK;
    char *begun = NULL;
    GR_TRY(gr_text_format(&begun, "%s/manifest.json", directory));
    if (access(begun, F_OK) != 0) status = gr_run_check_initial(study->config, words->initial);
out:
    gr_free(begun);
    return status;
}

gr_status gr_command_coordinate(struct gr_invocation *invocation) {
    enum { CARRIERS = 2 };
    gr_status status = GR_OK;
    struct coordinate_words words = {.key = "keys"};
    struct gr_study *study = NULL;
    struct gr_keys *keys = NULL;
    struct gr_carrier *carriers[CARRIERS] = {NULL};
    size_t n = 0, length;
    char *directory = NULL, *text = NULL, *named = NULL, *why = NULL;
    int lock = -1;
    GR_TRY(read_words(invocation, &words));
    GR_TRY(gr_study_load(words.study_path, &study));
    GR_TRY(gr_file_read(words.study_path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, &text, &length));
    if (!words.run_path) GR_TRY(gr_text_format(&named, "%s-run", study->name));
    GR_TRY(gr_own_folder(named ? named : words.run_path, &directory));
    GR_TRY(gr_keys_read(words.key, &keys));
    if (gr_study_find(study, gr_keys_public(keys)) != 0) {
        status = gr_fail(GR_ERROR_CONFIG, "%s: not the keys of the study's coordinator", words.key);
        goto out;
    }
    gr_status opened = GR_OK;
    if (invocation->speaks)
        opened = gr_part_lock(directory, GR_COORDINATOR_LOCK, "coordinate", &lock);
    if (invocation->speaks && opened == GR_OK) opened = check_run(study, directory);
    if (invocation->speaks && opened == GR_OK) opened = keep_study(study, directory);
    if (invocation->speaks && opened == GR_OK) opened = check_initial(&words, study, directory);
    if (invocation->speaks && opened == GR_OK)
        opened = open_carriers(&words, study, keys, directory, carriers, &n);
    GR_TRY(gr_text_format(&why, "%s", gr_message()));
    const struct gr_part_in_study part = {.study = study,
                                          .keys = keys,
                                          .carriers = carriers,
                                          .n_carriers = n,
                                          .directory = directory,
                                          .text = text,
                                          .initial = words.initial,
                                          .quiet = words.quiet,
                                          .idle_s = words.idle_s,
                                          .failed = opened,
                                          .why = why};
    status = gr_take_part(invocation, &part);
out:
    for (size_t i = 0; i < CARRIERS; i++)
        gr_carrier_close(carriers[i]);
    if (lock >= 0) close(lock);
    gr_keys_free(keys);
    gr_study_free(study);
    gr_free(why);
    gr_free(named);
    gr_free(directory);
    gr_free(text);
    return status;
}
