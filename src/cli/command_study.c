/* SPDX-License-Identifier: Apache-2.0 */
/* granary study: signs a study's file, shows it, tries it out, or tells how it stands. */
#include "cli/command.h"

#include <string.h>
#include <unistd.h>

struct study_words {
    const char *action, *path; /* borrowed; NULL where nothing was given */
    const char *key, *folder, *before;
    bool json;
    char **tables; /* behind the path, of trial */
    int n_tables;
};

static gr_status read_action(struct gr_invocation *invocation, struct study_words *words) {
    static const char *const actions[] = {"sign", "show", "trial", "status"};
    char quoted[80];
    if (invocation->argc == optind)
        return gr_fail(
            GR_ERROR_USAGE,
            "study: found nothing, expected sign, show, trial or status; see `granary help study`");
    words->action = invocation->argv[optind++];
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(words->action, actions[i]) == 0) return GR_OK;
    gr_text_quote(words->action, strlen(words->action), quoted, sizeof quoted);
    return gr_fail(GR_ERROR_USAGE,
                   "study: found '%s', expected sign, show, trial or status; see `granary help "
                   "study`",
                   quoted);
}

static gr_status read_words(struct gr_invocation *invocation, struct study_words *words) {
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == 'k')
            words->key = optarg;
        else if (option == 'o')
            words->folder = optarg;
        else if (option == 'j')
            words->json = true;
        else if (option == 'b')
            words->before = optarg;
        else
            return GR_ERROR_USAGE;
    }
    gr_status status = read_action(invocation, words);
    if (status != GR_OK) return status;
    if (strcmp(words->action, "trial") != 0)
        return gr_only_argument(
            invocation, strcmp(words->action, "status") == 0 ? "FOLDER" : "STUDY", &words->path);
    if (invocation->argc == optind || !words->folder)
        return gr_fail(GR_ERROR_USAGE, "study: %s is missing; see `granary help study`",
                       words->folder ? "STUDY" : "-o FOLDER");
    words->path = invocation->argv[optind];
    words->tables = invocation->argv + optind + 1;
    words->n_tables = invocation->argc - optind - 1;
    return GR_OK;
}

/* Of a version that follows another all changes are shown, and held against the rules: a run that
 * cannot go on by it is better told to its author than to the sites. */
static gr_status check_version(const struct study_words *words) {
    struct gr_study *study = NULL, *before = NULL;
    gr_status status;
    GR_TRY(gr_study_read(words->path, &study));
    if (study->n_follows == 0 && !words->before) goto out;
    if (!words->before) {
        status = gr_fail(GR_ERROR_USAGE,
                         "study: %s follows another version (study.follows): --before STUDY, the "
                         "file of that version, is missing",
                         words->path);
        goto out;
    }
    GR_TRY(gr_study_load(words->before, &before));
    GR_TRY(gr_study_check_version(before, study));
    printf("since %s:\n", words->before);
    status = gr_print_changes(before, study);
out:
    gr_study_free(before);
    gr_study_free(study);
    return status;
}

static gr_status sign(const struct study_words *words) {
    struct gr_keys *keys = NULL;
    struct gr_study *study = NULL;
    gr_status status;
    if (!words->key)
        return gr_fail(GR_ERROR_USAGE, "study: --key DIR is missing; see `granary help study`");
    GR_TRY(check_version(words));
    GR_TRY(gr_keys_read(words->key, &keys));
    GR_TRY(gr_study_sign(words->path, keys));
    printf("%s.sig: written; sites need both files\n", words->path);
    GR_TRY(gr_study_load(words->path, &study));
    status = gr_tell_refused(study);
out:
    gr_study_free(study);
    gr_keys_free(keys);
    return status;
}

/* A study that is not signed is shown as well, with a word about it: its author looks at it first.
 * A signature that does not fit is an error behind what is shown. */
static gr_status show(const struct study_words *words) {
    struct gr_study *study = NULL, *again = NULL;
    char *beside = NULL;
    gr_status status;
    GR_TRY(gr_text_format(&beside, "%s.sig", words->path));
    GR_TRY(gr_study_read(words->path, &study));
    gr_print_study(study);
    if (access(beside, F_OK) != 0) {
        puts("signature    none yet: `granary study sign` makes it");
        goto out;
    }
    GR_TRY(gr_study_load(words->path, &again));
    puts("signature    of the coordinator");
out:
    gr_study_free(again);
    gr_study_free(study);
    gr_free(beside);
    return status;
}

gr_status gr_command_study(struct gr_invocation *invocation) {
    struct study_words words = {.action = ""};
    gr_status status = read_words(invocation, &words);
    if (status != GR_OK) return status;
    if (strcmp(words.action, "trial") == 0)
        return gr_study_trial(words.path, words.tables, words.n_tables, words.folder);
    if (strcmp(words.action, "status") == 0) return gr_study_status(words.path, words.json);
    return strcmp(words.action, "sign") == 0 ? sign(&words) : show(&words);
}
