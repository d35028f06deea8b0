/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary withdraw: a silo is taken out of a model by training another without it, by the rounds
 * that are recorded. Of a single job's run it trains; of a study's it writes the study that the
 * others approve and run. Once there is a model, withdrawn.json beside the old one says what was
 * done. The same command goes on from wherever it was stopped.
 */
#include "cli/command.h"

#include <granary/study.h>

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/train_again.h"

struct withdraw_words {
    const char *run_path, *silo, *output, *study, *key, *ranks;
    uint32_t minimum_silos; /* 0: as it was */
};

/* All that is found out, and owned. */
struct withdrawing {
    const struct withdraw_words *words;
    struct gr_config *config;  /* of the run */
    struct gr_study *study;    /* of the run, where it is a study's */
    char *study_text;          /* likewise */
    struct gr_keys *keys;      /* NULL: nothing is signed */
    struct gr_run_facts facts; /* of the run */
    uint32_t silo;
    struct gr_recorded_rounds rounds;
    struct gr_silo_part_taken taken;
    char *folder, *file, *new_run; /* of what is made: FOLDER/config.yaml, FOLDER/run */
    char *yaml;                    /* the new config's, or study's */
};

static bool read_minimum(const char *text, uint32_t *out) {
    char *end;
    const unsigned long number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || number < 1 || number > 1000000) return false;
    *out = (uint32_t)number;
    return true;
}

static gr_status read_words(struct gr_invocation *invocation, struct withdraw_words *words) {
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == 'S')
            words->silo = optarg;
        else if (option == 'o')
            words->output = optarg;
        else if (option == 's')
            words->study = optarg;
        else if (option == 'k')
            words->key = optarg;
        else if (option == 'n')
            words->ranks = optarg;
        else if (option == 'm' && read_minimum(optarg, &words->minimum_silos))
            continue;
        else
            return option == 'm' ? gr_fail(GR_ERROR_USAGE,
                                           "withdraw: --minimum-silos: found '%s', "
                                           "expected a number from 1 on",
                                           optarg)
                                 : GR_ERROR_USAGE;
    }
    gr_status status = gr_only_argument(invocation, "RUN", &words->run_path);
    if (status == GR_OK && !words->silo)
        status = gr_fail(GR_ERROR_USAGE,
                         "withdraw: --silo SILO is missing; see `granary help withdraw`");
    return status;
}

static void release(struct withdrawing *w) {
    gr_recorded_rounds_release(&w->rounds);
    gr_config_free(w->config);
    gr_study_free(w->study);
    gr_keys_free(w->keys);
    gr_free(w->study_text);
    gr_free(w->folder);
    gr_free(w->file);
    gr_free(w->new_run);
    gr_free(w->yaml);
}

/* ---- the run --------------------------------------------------------------------------------- */

static gr_status find_silo(struct withdrawing *w) {
    char quoted[72];
    if (!gr_silos_named(w->config))
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: its silos have no names, so that their random numbers go by their "
                       "places and would move with one that is taken out; expected silos[].name in "
                       "its config (`granary help tables`)",
                       w->words->run_path);
    w->silo = gr_silo_find(w->config, w->words->silo);
    if (w->silo < w->config->data.silos) return GR_OK;
    gr_text_quote(w->words->silo, strlen(w->words->silo), quoted, sizeof quoted);
    return gr_fail(GR_ERROR_CONFIG, "%s: found no silo \"%s\" in its resolved.yaml",
                   w->words->run_path, quoted);
}

/* A run of a study is withdrawn from with the study, by the key that has signed it. */
static gr_status read_study(struct withdrawing *w) {
    const struct withdraw_words *words = w->words;
    char digest[GR_DIGEST_HEX];
    size_t length;
    gr_status status = GR_OK;
    if (!w->facts.study[0] && !words->study) goto keys;
    if (!words->study || !w->facts.study[0])
        return gr_fail(GR_ERROR_USAGE, "withdraw: %s is the run of %s study: expected %s--study",
                       words->run_path, w->facts.study[0] ? "a" : "no",
                       w->facts.study[0] ? "" : "no ");
    GR_TRY(gr_study_load(words->study, &w->study));
    GR_TRY(
        gr_file_read(words->study, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, &w->study_text, &length));
    gr_digest_hex(w->study->digest, digest);
    if (strcmp(digest, w->facts.study) != 0)
        return gr_fail(GR_ERROR_CONFIG, "%s: found the study %s, expected %s, which %s is of",
                       words->study, digest, w->facts.study, words->run_path);
keys:
    if (words->key || w->study) GR_TRY(gr_keys_read(words->key ? words->key : "keys", &w->keys));
    if (w->study && gr_study_find(w->study, gr_keys_public(w->keys)) != 0)
        status = gr_fail(GR_ERROR_CONFIG, "%s: not the keys of the study's coordinator",
                         words->key ? words->key : "keys");
out:
    return status;
}

/* What resolved.yaml says has to be what was trained by. */
static gr_status read_config(struct withdrawing *w) {
    char *path = NULL, hex[GR_DIGEST_HEX];
    unsigned char digest[GR_DIGEST_BYTES];
    gr_status status;
    GR_TRY(gr_text_format(&path, "%s/resolved.yaml", w->words->run_path));
    GR_TRY(gr_config_load(path, NULL, 0, &w->config));
    GR_TRY(gr_config_digest(w->config, digest));
    gr_digest_hex(digest, hex);
    if (strcmp(hex, w->facts.config) != 0)
        status = gr_fail(GR_ERROR_DATA,
                         "%s: found a config of the digest %s, expected %s "
                         "(manifest.json)",
                         path, hex, w->facts.config);
out:
    gr_free(path);
    return status;
}

/* Who took part stands in records that anybody may have edited since: they have to be as the run
 * has written them, and of a study as its coordinator has sealed them. */
static gr_status check_records(const struct withdrawing *w) {
    const struct gr_audit_options audit = {.run_path = w->words->run_path,
                                           .study = w->words->study};
    char *words = NULL;
    const gr_status status =
        w->study ? gr_audit(&audit, NULL) : gr_run_compare(w->words->run_path, &words);
    gr_free(words);
    return status;
}

static gr_status read_run(struct withdrawing *w) {
    char *events = NULL;
    const char *run = w->words->run_path;
    gr_status status;
    GR_TRY(gr_run_facts_read(run, &w->facts));
    if (gr_run_directory_hold(run) == GR_HOLD_HELD) {
        status =
            gr_fail(GR_ERROR_CONFIG, "%s: the run is at work; expected one that has ended", run);
        goto out;
    }
    if (w->facts.rounds_done == 0) {
        status = gr_fail(GR_ERROR_CONFIG, "%s: found no round that is done, expected some", run);
        goto out;
    }
    GR_TRY(read_config(w));
    GR_TRY(find_silo(w));
    GR_TRY(read_study(w));
    GR_TRY(check_records(w));
    GR_TRY(gr_text_format(&events, "%s/events.jsonl", run));
    status =
        gr_rounds_without(w->config, events, w->facts.rounds_done, w->silo, &w->rounds, &w->taken);
    w->rounds.minimum_silos = w->words->minimum_silos;
out:
    gr_free(events);
    return status;
}

/* ---- the new config, or study ---------------------------------------------------------------- */

static gr_status check_yaml(const struct withdrawing *w) {
    struct gr_config *config = NULL;
    struct gr_study *study = NULL;
    gr_status status = w->study
                           ? gr_study_parse(w->file, w->yaml, strlen(w->yaml), &study)
                           : gr_config_parse(w->file, w->yaml, strlen(w->yaml), NULL, 0, &config);
    gr_study_free(study);
    gr_config_free(config);
    return status == GR_OK ? GR_OK : gr_fail_context(status, "without %s: ", w->words->silo);
}

static gr_status make_yaml(struct withdrawing *w) {
    const struct withdraw_words *words = w->words;
    gr_status status;
    if (words->output)
        GR_TRY(gr_text_format(&w->folder, "%s", words->output));
    else
        GR_TRY(gr_text_format(&w->folder, "%s-without-%s", words->run_path, words->silo));
    GR_TRY(gr_text_format(&w->file, "%s/%s.yaml", w->folder, w->study ? "study" : "config"));
    GR_TRY(gr_text_format(&w->new_run, "%s/run", w->folder));
    if (w->study)
        GR_TRY(gr_study_without(w->study, w->study_text, strlen(w->study_text), words->silo,
                                &w->rounds, &w->yaml));
    else
        GR_TRY(gr_config_without(w->config, w->silo, &w->rounds, &w->yaml));
    status = check_yaml(w);
out:
    return status;
}

/* What an earlier call has made is what this one would make, or another's, and stays. */
static gr_status write_yaml(struct withdrawing *w) {
    char *text = NULL;
    size_t length;
    gr_status status = GR_OK;
    if (mkdir(w->folder, 0750) != 0 && errno != EEXIST)
        return gr_fail(GR_ERROR_WRITE, "%s: %s", w->folder, strerror(errno));
    if (access(w->file, F_OK) == 0) {
        GR_TRY(gr_file_read(w->file, GR_CONFIG_FILE_MAX, GR_ERROR_DATA, &text, &length));
        if (strcmp(text, w->yaml) != 0)
            status = gr_fail(GR_ERROR_WRITE, "%s: is another one's, and stays; -o names a folder",
                             w->file);
        goto out;
    }
    GR_TRY(gr_file_write(w->file, w->yaml, strlen(w->yaml)));
    if (w->study) status = gr_study_sign(w->file, w->keys);
out:
    gr_free(text);
    return status;
}

/* ---- training -------------------------------------------------------------------------------- */

static bool has_finished(const struct withdrawing *w, struct gr_run_facts *facts) {
    return gr_run_facts_read(w->new_run, facts) == GR_OK && strcmp(facts->outcome, "finished") == 0;
}

static gr_status train_anew(const struct withdrawing *w) {
    const struct gr_training_again training = {
        .config = w->file, .run_path = w->new_run, .ranks = w->words->ranks};
    gr_status code, status = gr_train_again(&training, &code);
    if (status != GR_OK || code == GR_OK) return status;
    return gr_fail(code,
                   "%s: the training without %s has not finished, and %s is as it was; the same "
                   "command goes on",
                   w->new_run, w->words->silo, w->words->run_path);
}

/* ---- the statement --------------------------------------------------------------------------- */

/* Runs in the same folder that come from the run: copies of it, and those that started from the
 * model of one of these. */
struct family {
    char *path[256], *id[256], *model[256];
    size_t n;
};

static bool comes_from(const struct withdrawing *w, const struct family *family,
                       const struct gr_run_facts *facts) {
    bool comes = strcmp(facts->run_id, w->facts.run_id) == 0;
    if (facts->initial[0] && strcmp(facts->initial, w->facts.model) == 0) comes = true;
    for (size_t i = 0; facts->initial[0] && i < family->n; i++)
        comes = comes || strcmp(facts->initial, family->model[i]) == 0;
    return comes;
}

static bool is_known(const struct family *family, const char *path) {
    for (size_t i = 0; i < family->n; i++)
        if (strcmp(family->path[i], path) == 0) return true;
    return false;
}

static gr_status add_relative(struct family *family, const char *path,
                              const struct gr_run_facts *facts) {
    const size_t i = family->n;
    gr_status status;
    if (i == sizeof family->path / sizeof *family->path)
        return gr_fail(GR_ERROR_CONFIG, "found more than %zu runs that come from this one", i);
    GR_TRY(gr_text_format(&family->path[i], "%s", path));
    GR_TRY(gr_text_format(&family->id[i], "%s", facts->run_id));
    GR_TRY(gr_text_format(&family->model[i], "%s", facts->model));
    family->n++;
out:
    return status;
}

/* One look over the folder; *found: somebody was added, whose children may have been passed. */
static gr_status look_around(const struct withdrawing *w, const char *own, const char *parent,
                             struct family *family, bool *found) {
    gr_status status = GR_OK;
    struct gr_run_facts facts;
    char path[PATH_MAX + 300], whole[PATH_MAX]; /* path: and a name, and the manifest's */
    DIR *folder = opendir(parent);
    *found = false;
    if (!folder) return gr_fail(GR_ERROR_DATA, "%s: %s", parent, strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s/manifest.json", parent, entry->d_name);
        if (access(path, R_OK) != 0) continue;
        snprintf(path, sizeof path, "%s/%s", parent, entry->d_name);
        if (!realpath(path, whole) || strcmp(whole, own) == 0 || is_known(family, whole)) continue;
        if (gr_run_facts_read(whole, &facts) != GR_OK || !comes_from(w, family, &facts)) continue;
        GR_TRY(add_relative(family, whole, &facts));
        *found = true;
    }
out:
    closedir(folder);
    return status;
}

static gr_status find_family(const struct withdrawing *w, struct family *family) {
    char own[PATH_MAX], parent[PATH_MAX];
    gr_status status = GR_OK;
    bool found = true;
    if (!realpath(w->words->run_path, own))
        return gr_fail(GR_ERROR_DATA, "%s: %s", w->words->run_path, strerror(errno));
    memcpy(parent, own, sizeof parent);
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = '\0';
    while (status == GR_OK && found)
        status = look_around(w, own, parent, family, &found);
    return status;
}

/* The new run has to be of the new config, or study. */
static gr_status check_new_run(const struct withdrawing *w, const struct gr_run_facts *facts) {
    unsigned char digest[GR_DIGEST_BYTES];
    char hex[GR_DIGEST_HEX];
    struct gr_config *config = NULL;
    gr_status status = GR_OK;
    if (w->study) {
        gr_digest_of(w->yaml, strlen(w->yaml), digest);
    } else {
        GR_TRY(gr_config_parse(w->file, w->yaml, strlen(w->yaml), NULL, 0, &config));
        GR_TRY(gr_config_digest(config, digest));
    }
    gr_digest_hex(digest, hex);
    if (strcmp(hex, w->study ? facts->study : facts->config) != 0)
        status = gr_fail(GR_ERROR_DATA, "%s: found a run of another %s than %s", w->new_run,
                         w->study ? "study" : "config", w->file);
out:
    gr_config_free(config);
    return status;
}

static gr_status state_it(const struct withdrawing *w, const struct gr_run_facts *facts) {
    struct family family = {.n = 0};
    gr_status status;
    GR_TRY(check_new_run(w, facts));
    GR_TRY(find_family(w, &family));
    struct gr_withdrawal withdrawal = {.silo = w->words->silo,
                                       .run = &w->facts,
                                       .retrained = facts,
                                       .first_round = w->taken.first,
                                       .rounds_with = w->taken.rounds,
                                       .descendants = family.id,
                                       .n_descendants = family.n};
    GR_TRY(gr_withdrawal_write(w->words->run_path, &withdrawal, w->keys));
    if (gr_report_write(w->words->run_path) != GR_OK)
        fprintf(stderr, "granary: its report.html is as it was: %s\n", gr_message());
    withdrawal.descends = true;
    for (size_t i = 0; i < family.n; i++) {
        GR_TRY(gr_withdrawal_write(family.path[i], &withdrawal, w->keys));
        printf("%s: comes from it, and is marked\n", family.path[i]);
    }
    printf(
        "%s: the model without %s, %s\n%s/withdrawn.json: says what was done, and what cannot be "
        "undone%s\n",
        w->new_run, w->words->silo, facts->model, w->words->run_path,
        w->keys ? "" : "; --key DIR would have signed it");
out:
    for (size_t i = 0; i < family.n; i++) {
        gr_free(family.path[i]);
        gr_free(family.id[i]);
        gr_free(family.model[i]);
    }
    return status;
}

/* A silo that has been withdrawn stays so; another one is withdrawn from the model without it. */
static gr_status check_earlier(const struct withdraw_words *words, bool *done) {
    struct gr_withdrawn earlier;
    gr_status status = gr_withdrawal_read(words->run_path, &earlier);
    *done = status == GR_OK && earlier.found && strcmp(earlier.silo, words->silo) == 0;
    if (*done) printf("%s: %s has been withdrawn: withdrawn.json\n", words->run_path, words->silo);
    if (status != GR_OK || !earlier.found || *done) return status;
    return gr_fail(GR_ERROR_CONFIG,
                   "%s: %s has been withdrawn from it (withdrawn.json); expected the run of the "
                   "model without that silo, %s",
                   words->run_path, earlier.silo, earlier.model);
}

static void tell_study(const struct withdrawing *w) {
    printf("%s: the study without %s, signed; next, all sites that are left approve it, and\n"
           "  granary coordinate %s --run %s ...\n"
           "  granary join SITE --study study.yaml\n"
           "then the same command as now says what was done\n",
           w->file, w->words->silo, w->file, w->new_run);
}

gr_status gr_command_withdraw(struct gr_invocation *invocation) {
    struct withdraw_words words = {0};
    struct withdrawing w = {.words = &words};
    struct gr_run_facts facts;
    bool done;
    gr_status status;
    GR_TRY(read_words(invocation, &words));
    assert(words.silo);
    GR_TRY(check_earlier(&words, &done));
    if (done) goto out;
    GR_TRY(read_run(&w));
    GR_TRY(make_yaml(&w));
    GR_TRY(write_yaml(&w));
    printf("%s: %s took part in %u of %u rounds\n", words.run_path, words.silo, w.taken.rounds,
           w.facts.rounds_done);
    if (!has_finished(&w, &facts)) {
        if (w.study) {
            tell_study(&w);
            goto out;
        }
        GR_TRY(train_anew(&w));
        if (!has_finished(&w, &facts)) {
            status = gr_fail(GR_ERROR_INTERNAL, "%s: has not finished", w.new_run);
            goto out;
        }
    }
    status = state_it(&w, &facts);
out:
    release(&w);
    return status;
}
