/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary reproduce: a run is made again by its own resolved config, with the silos that took part
 * then, and its model held against the first one's. The first run's folder stays as it is.
 */
#include "cli/command.h"

#include <granary/store.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/reproduction.h"
#include "cli/train_again.h"
#include "observe/json.h"
#include "observe/lines.h"

struct reproducing {
    const char *run_path, *ranks, *output;
    bool json;
    /* Owned. */
    struct gr_config *config;
    char *config_path, *folder, *events;
    char *settings[GR_TRAINING_SETTINGS_MAX];
    size_t n_settings;
};

static gr_status read_words(struct gr_invocation *invocation, struct reproducing *r) {
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == 'n')
            r->ranks = optarg;
        else if (option == 'o')
            r->output = optarg;
        else if (option == 'j')
            r->json = true;
        else
            return GR_ERROR_USAGE;
    }
    return gr_only_argument(invocation, "RUN", &r->run_path);
}

static void release(struct reproducing *r) {
    gr_config_free(r->config);
    gr_free(r->config_path);
    gr_free(r->folder);
    gr_free(r->events);
    for (size_t i = 0; i < r->n_settings; i++)
        gr_free(r->settings[i]);
}

/* ---- whether it can be made again ------------------------------------------------------------ */

/* The config has to be the one that was trained by. */
static gr_status read_config(struct reproducing *r, const struct gr_run_facts *facts) {
    unsigned char digest[GR_DIGEST_BYTES];
    char hex[GR_DIGEST_HEX];
    gr_status status;
    GR_TRY(gr_text_format(&r->config_path, "%s/resolved.yaml", r->run_path));
    GR_TRY(gr_config_load(r->config_path, NULL, 0, &r->config));
    GR_TRY(gr_config_digest(r->config, digest));
    gr_digest_hex(digest, hex);
    if (strcmp(hex, facts->config) != 0)
        status = gr_fail(GR_ERROR_DATA,
                         "%s: found a config of the digest %s, expected %s (manifest.json)",
                         r->config_path, hex, facts->config);
out:
    return status;
}

/* What nobody has any more, or what is not decided by the config. */
static gr_status check_possible(const struct reproducing *r, const struct gr_run_facts *facts) {
    const struct gr_config *config = r->config;
    if (facts->study[0])
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: is the run of a study, whose tables are at its sites; `granary study "
                       "trial` tries it on tables of one's own",
                       r->run_path);
    if (strcmp(facts->outcome, "finished") != 0)
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: found a run that is \"%s\", expected one that has finished",
                       r->run_path, facts->outcome);
    if (gr_is_private(config) && !config->run.rehearsal)
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: its noise of differential privacy was drawn from secrets that nobody "
                       "has: no run can have the same bits",
                       r->run_path);
    if (config->train.seconds > 0)
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: train.seconds ended its training by the clock: no run has the same "
                       "batches",
                       r->run_path);
    return GR_OK;
}

/* ---- the settings that are otherwise --------------------------------------------------------- */

static gr_status set(struct reproducing *r, const char *text) {
    return gr_text_format(&r->settings[r->n_settings++], "%s", text);
}

/* Whether its events tell of silos that were away, or of rounds without a step. */
static gr_status needs_replay(const char *path, bool *needs) {
    gr_status status;
    struct gr_lines_reader *reader = NULL;
    const char *line;
    size_t n;
    *needs = false;
    GR_TRY(gr_lines_start(path, &reader));
    while (!*needs) {
        GR_TRY(gr_lines_next(reader, &line, &n));
        if (!line) break;
        json_t *event = json_loadb(line, n, 0, NULL);
        const char *name = gr_json_text(event, "event");
        *needs = (name && (strcmp(name, "partial") == 0 || strcmp(name, "void") == 0)) ||
                 json_is_true(json_object_get(event, "before_start"));
        json_decref(event);
    }
out:
    gr_lines_end(reader);
    return status;
}

/* Faults happened once, and are in the rosters; whoever was told of alerts is not told again. */
static gr_status make_settings(struct reproducing *r) {
    gr_status status;
    char *path = NULL, *whole = NULL;
    bool replay;
    GR_TRY(gr_text_format(&path, "%s/events.jsonl", r->run_path));
    GR_TRY(needs_replay(path, &replay));
    if (r->config->faults_count > 0) GR_TRY(set(r, "faults=[]"));
    if (r->config->round.respawn) GR_TRY(set(r, "round.respawn=false"));
    if (r->config->alerts.command_count > 0) GR_TRY(set(r, "alerts.command=[]"));
    if (r->config->observe.prometheus[0]) GR_TRY(set(r, "observe.prometheus=''"));
    if (replay) {
        whole = realpath(path, NULL);
        GR_TRY(
            gr_text_format(&r->settings[r->n_settings++], "round.replay=%s", whole ? whole : path));
    }
out:
    free(whole);
    gr_free(path);
    return status;
}

/* ---- the folder ------------------------------------------------------------------------------ */

/* With the salts of the first run the prints of both runs' data can be compared; a salt that cannot
 * be had is drawn anew, and nothing is said of that silo. */
static gr_status copy_salt(const char *from, const char *to, const char *name) {
    gr_status status;
    char *source = NULL, *target = NULL, *salt = NULL;
    size_t n;
    GR_TRY(gr_text_format(&source, "%s/%s", from, name));
    GR_TRY(gr_text_format(&target, "%s/%s", to, name));
    if (access(source, R_OK) != 0) goto out;
    GR_TRY(gr_file_read(source, 4096, GR_ERROR_DATA, &salt, &n));
    const int fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) goto out; /* it is there already */
    if (write(fd, salt, n) != (ssize_t)n)
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", target, strerror(errno));
    close(fd);
out:
    gr_free(source);
    gr_free(target);
    gr_free(salt);
    return status;
}

static gr_status copy_salts(const struct reproducing *r) {
    gr_status status;
    char *from = NULL, *to = NULL, name[32];
    GR_TRY(gr_text_format(&from, "%s/secrets", r->run_path));
    GR_TRY(gr_text_format(&to, "%s/secrets", r->folder));
    if (access(from, X_OK) != 0) goto out;
    if (mkdir(to, 0700) != 0 && errno != EEXIST) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", to, strerror(errno));
        goto out;
    }
    GR_TRY(copy_salt(from, to, "run"));
    for (uint32_t i = 0; i < r->config->data.silos; i++) {
        snprintf(name, sizeof name, "silo-%03u", i);
        GR_TRY(copy_salt(from, to, name));
    }
out:
    gr_free(from);
    gr_free(to);
    return status;
}

static gr_status make_folder(struct reproducing *r) {
    gr_status status;
    size_t n = strlen(r->run_path);
    while (n > 1 && r->run_path[n - 1] == '/')
        n--;
    if (r->output)
        GR_TRY(gr_text_format(&r->folder, "%s", r->output));
    else
        GR_TRY(gr_text_format(&r->folder, "%.*s-again", (int)n, r->run_path));
    if (mkdir(r->folder, 0750) != 0 && errno != EEXIST) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", r->folder, strerror(errno));
        goto out;
    }
    status = copy_salts(r);
out:
    return status;
}

/* ---- what came of it ------------------------------------------------------------------------- */

static void print_number(double value) {
    if (isnan(value))
        printf("not defined");
    else
        printf("%.17g", value);
}

static void print_result(const struct reproducing *r, const struct gr_reproduction *p) {
    printf("then        %s, model %.16s\n", r->run_path, p->then.model);
    printf("now         %s, model %.16s\n", r->folder, p->now.model);
    printf("result      %s\n", p->same ? "the same model, to the last bit" : "another model");
    if (p->round > 0) {
        printf("figures     differ from round %u on: %s is ", p->round, p->figure);
        print_number(p->figure_then);
        printf(" then, ");
        print_number(p->figure_now);
        printf(" now%s\n",
               p->same ? "; which rows are scored depends on which silos are there" : "");
    } else {
        printf("figures     of %u rounds are the same\n", p->rounds);
    }
    if (p->tensor[0])
        printf("tensor      %s differs, in %llu of %llu numbers, %s of round %u\n", p->tensor,
               (unsigned long long)p->differing, (unsigned long long)p->elements,
               p->tensor_of_model ? "in the model" : "in the first checkpoint that both have,",
               p->tensor_round);
    if (p->data[0]) printf("data        other than then: %s\n", p->data);
    if (p->software[0]) printf("software    %s\n", p->software);
}

static gr_status print_json(const struct reproducing *r, const struct gr_reproduction *p) {
    json_t *json = json_object();
    json_object_set_new(json, "same", json_boolean(p->same));
    json_object_set_new(json, "run", json_string(r->run_path));
    json_object_set_new(json, "again", json_string(r->folder));
    json_object_set_new(json, "model_then", json_string(p->then.model));
    json_object_set_new(json, "model_now", json_string(p->now.model));
    json_object_set_new(json, "rounds_compared", json_integer(p->rounds));
    json_object_set_new(json, "first_round", p->round ? json_integer(p->round) : json_null());
    json_object_set_new(json, "figure", p->round ? json_string(p->figure) : json_null());
    json_object_set_new(json, "tensor", p->tensor[0] ? json_string(p->tensor) : json_null());
    json_object_set_new(json, "tensor_round",
                        p->tensor[0] ? json_integer(p->tensor_round) : json_null());
    json_object_set_new(json, "data", json_string(p->data));
    json_object_set_new(json, "software", json_string(p->software));
    const bool written = json && json_dumpf(json, stdout, JSON_INDENT(2)) == 0;
    printf("\n");
    json_decref(json);
    return written ? GR_OK : gr_fail(GR_ERROR_INTERNAL, "memory for a result was refused");
}

static gr_status make_again(const struct reproducing *r) {
    struct gr_run_facts facts;
    const struct gr_training_again training = {.config = r->config_path,
                                               .run_path = r->folder,
                                               .ranks = r->ranks,
                                               .quiet = r->json,
                                               .settings = r->settings,
                                               .n_settings = r->n_settings};
    gr_status code = GR_OK, status = GR_OK;
    const bool done =
        gr_run_facts_read(r->folder, &facts) == GR_OK && strcmp(facts.outcome, "finished") == 0;
    if (!done) status = gr_train_again(&training, &code);
    if (status != GR_OK || code == GR_OK) return status;
    return gr_fail(code, "%s: could not be made again from %s; the same command goes on", r->folder,
                   r->run_path);
}

static gr_status reproduce(struct reproducing *r) {
    gr_status status;
    struct gr_run_facts facts;
    struct gr_reproduction result;
    GR_TRY(gr_run_facts_read(r->run_path, &facts));
    GR_TRY(read_config(r, &facts));
    GR_TRY(check_possible(r, &facts));
    GR_TRY(make_settings(r));
    GR_TRY(make_folder(r));
    GR_TRY(make_again(r));
    GR_TRY(gr_reproduction_compare(r->run_path, r->folder, &result));
    if (r->json)
        GR_TRY(print_json(r, &result));
    else
        print_result(r, &result);
    if (!result.same)
        status = gr_fail(GR_NOT_PASSED, "%s: has another model than %s", r->folder, r->run_path);
out:
    return status;
}

gr_status gr_command_reproduce(struct gr_invocation *invocation) {
    struct reproducing r = {0};
    gr_status status = read_words(invocation, &r);
    if (status == GR_OK) status = reproduce(&r);
    release(&r);
    return status;
}
