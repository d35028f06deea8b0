/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary sweep: makes a plan of runs of one config with other settings, or finds the one that its
 * folder holds, and runs what is not done yet.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/launch.h"
#include "cli/sweep.h"
#include "observe/json.h"

const struct gr_option gr_sweep_options[] = {
    {.name = "over",
     .key = 'o',
     .value = "KEY=V,V,...",
     .kind = GR_VALUE_SETTING,
     .help = "a setting and its values, any number of times: each value with each of the others"},
    {.name = "seeds",
     .key = 'S',
     .value = "N",
     .help = "runs of each point, from run.seed on; default 1"},
    {.name = "random",
     .key = 'R',
     .value = "N",
     .help = "so many points drawn from --over in place of the grid, which may then have ranges,\n"
             "LOW..HIGH or LOW..HIGH:log"},
    {.name = "from",
     .key = 'f',
     .value = "FILE",
     .kind = GR_VALUE_FILE,
     .help = "points of a CSV file: a line of keys, a line for each point"},
    {.name = "halving",
     .key = 'h',
     .value = "ETA",
     .help = "all points begin with few rounds; the best 1/ETA of them go on to ETA times as many"},
    {.name = "metric",
     .key = 'm',
     .value = "NAME",
     .help = "by which points are put in order, as in metrics.jsonl; default: accuracy, or the\n"
             "loss of a model that predicts a number, of validation rows where there are any"},
    {.name = "set",
     .key = 's',
     .value = "S.K=V",
     .kind = GR_VALUE_SETTING,
     .help = "replaces a setting of the config; VALUE is YAML"},
    {.name = "run",
     .key = 'r',
     .value = "FOLDER",
     .kind = GR_VALUE_FOLDER,
     .help = "where the runs are, begun or gone on with; default <run.directory>/<run.name>-sweep"},
    {.name = "jobs",
     .key = 'j',
     .value = "N",
     .help = "runs beside each other; default: as many as there are cores for"},
    {.name = "ranks",
     .key = 'n',
     .letter = true,
     .value = "RANKS",
     .help = "processes that train each run; default 1, which needs no mpirun"},
    {.name = "grace",
     .key = 'g',
     .value = "SECONDS",
     .help = "from a signal to the end by force; default 60"},
    {.name = "retry", .key = 'y', .help = "starts runs that have failed again"},
    {.name = "plan",
     .key = 'p',
     .help = "only checks all points and writes the plan, for jobs/sweep.sbatch"},
    {.name = "no-wait", .key = 'w', .help = "ends once all that is left is at work elsewhere"},
    {.name = "quiet", .key = 'q', .help = "only the table at the end"},
    {.name = NULL}};

struct sweep_words {
    const char *config_path, *folder, *metric;
    struct gr_points_asked points;
    struct gr_overrides set;
    uint32_t seeds, halving;
    bool plan_only;
    struct gr_schedule_asked schedule;
};

/* ---- the command line ------------------------------------------------------------------------ */

static gr_status read_option(int option, struct sweep_words *words) {
    switch (option) {
    case 'o':
        return gr_overrides_add(&words->points.over, optarg);
    case 's':
        return gr_overrides_add(&words->set, optarg);
    case 'S':
        return gr_read_count("--seeds", optarg, 1, GR_SWEEP_RUNS_MAX, &words->seeds);
    case 'R':
        return gr_read_count("--random", optarg, 1, GR_SWEEP_RUNS_MAX, &words->points.random);
    case 'h':
        return gr_read_count("--halving", optarg, 2, 100, &words->halving);
    case 'n':
        return gr_read_count("-n", optarg, 1, 1 << 20, &words->schedule.ranks);
    case 'f':
        words->points.from = optarg;
        return GR_OK;
    case 'm':
        words->metric = optarg;
        return GR_OK;
    case 'r':
        words->folder = optarg;
        return GR_OK;
    case 'p':
        words->plan_only = true;
        return GR_OK;
    case 'w':
        words->schedule.no_wait = true;
        return GR_OK;
    default:
        return gr_schedule_option(option, &words->schedule);
    }
}

/* Without CONFIG the folder's own plan is gone on with, and nothing may contradict it. */
static gr_status read_words(struct gr_invocation *invocation, struct sweep_words *words) {
    gr_status status = GR_OK;
    int option;
    while ((option = gr_next_option(invocation)) != -1)
        GR_TRY(read_option(option, words));
    if (optind < invocation->argc || !words->folder)
        return gr_only_argument(invocation, "CONFIG", &words->config_path);
    if (words->points.over.n > 0 || words->points.from || words->points.random > 0 ||
        words->seeds > 0 || words->halving > 0 || words->metric || words->set.n > 0 ||
        words->plan_only)
        status = gr_fail(GR_ERROR_USAGE,
                         "sweep: --run alone goes on with the plan of a folder; what belongs to a "
                         "plan needs CONFIG");
out:
    return status;
}

/* ---- the plan -------------------------------------------------------------------------------- */

struct planned {
    const struct sweep_words *words;
    char *text; /* of the config; owned */
    size_t length;
    struct gr_config *config; /* as --set leaves it; owned */
    struct gr_sweep_plan plan;
};

static gr_status read_config(struct planned *p) {
    gr_status status;
    const struct sweep_words *words = p->words;
    GR_TRY(gr_check_is_config(words->config_path));
    GR_TRY(gr_file_read(words->config_path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, &p->text,
                        &p->length));
    GR_TRY(gr_config_parse(words->config_path, p->text, p->length, words->set.text, words->set.n,
                           &p->config));
out:
    return status;
}

/* Choices by test rows make the chosen score too good; so validation rows go first. */
static const char *usual_metric(const struct gr_config *config) {
    const bool number = gr_predicts_number(&config->model);
    if (config->data.validation_fraction > 0)
        return number ? "validation_loss" : "validation_accuracy";
    return number ? "test_loss" : "test_accuracy";
}

/* Rounds by which the best 1 / eta of the points go on: the last rung has all rounds, each one
 * before 1 / eta of them. */
static json_t *make_rungs(uint32_t rounds, uint32_t eta, size_t n_points) {
    json_t *rungs = json_array();
    uint32_t n = 0;
    size_t left = n_points;
    while (eta > 0 && left >= eta && rounds / pow(eta, n + 1) >= 1) {
        left /= eta;
        n++;
    }
    for (uint32_t r = 0; r <= n; r++)
        json_array_append_new(rungs,
                              json_integer((json_int_t)(rounds / pow(eta ? eta : 1, n - r))));
    return rungs;
}

static json_t *make_seeds(uint64_t first, uint32_t n) {
    json_t *seeds = json_array();
    char text[24];
    for (uint32_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%" PRIu64, first + i);
        json_array_append_new(seeds, json_string(text));
    }
    return seeds;
}

/* Cosine is laid over the rounds of the last rung, so that a run in an earlier one has begun it. */
static json_t *make_set(const struct planned *p, bool halving) {
    json_t *set = json_array();
    char text[64];
    for (size_t i = 0; i < p->words->set.n; i++)
        json_array_append_new(set, json_string(p->words->set.text[i]));
    snprintf(text, sizeof text, "train.schedule.rounds=%u", p->config->run.rounds);
    if (halving && p->config->train.schedule.type == GR_SCHEDULE_COSINE)
        json_array_append_new(set, json_string(text));
    return set;
}

static gr_status check_metric(const char *metric) {
    char text[64], quoted[80];
    const char *names[GR_SCORES_MAX];
    char room[GR_SCORES_MAX][64];
    size_t n = 0;
    const bool known = gr_score_find(metric) < GR_SCORES_MAX;
    if (known && gr_score_direction(metric) != 0) return GR_OK;
    gr_text_quote(metric, strlen(metric), quoted, sizeof quoted);
    if (known) return gr_fail(GR_ERROR_USAGE, "--metric: %s is best neither high nor low", quoted);
    for (const char *name; (name = gr_score_name(n, text)); n++) {
        snprintf(room[n], sizeof room[n], "%s", name);
        names[n] = room[n];
    }
    const char *nearest = gr_text_nearest(metric, names, n);
    return gr_fail(GR_ERROR_USAGE,
                   "--metric: found '%s', expected validation_NAME or test_NAME, NAME loss, "
                   "accuracy or one of evaluate.metrics%s%s",
                   quoted, nearest ? "; nearest is " : "", nearest ? nearest : "");
}

/* Members in the order in which people read them. */
static gr_status make_plan(struct planned *p) {
    gr_status status;
    const struct sweep_words *words = p->words;
    const uint32_t n_seeds = words->seeds > 0 ? words->seeds : 1;
    const char *metric = words->metric ? words->metric : usual_metric(p->config);
    char *folder = NULL;
    json_t *keys = NULL, *points = NULL, *point;
    size_t i;
    struct gr_points_asked asked = words->points;
    asked.seed = p->config->run.seed;
    GR_TRY(check_metric(metric));
    GR_TRY(gr_points_make(&asked, &keys, &points));
    const size_t n_points = json_array_size(points);
    if (n_points > GR_SWEEP_RUNS_MAX / n_seeds || p->config->run.seed > UINT64_MAX - n_seeds) {
        status = gr_fail(GR_ERROR_USAGE, "sweep: %zu points by %u seeds, expected at most %d runs",
                         n_points, n_seeds, GR_SWEEP_RUNS_MAX);
        goto out;
    }
    json_array_foreach(points, i, point) {
        json_object_set_new(point, "config", json_string("config.yaml"));
        json_object_set_new(point, "set", json_array());
    }
    json_t *rungs = make_rungs(p->config->run.rounds, words->halving, n_points);
    const bool halving = json_array_size(rungs) > 1;
    json_t *json = json_pack("{s:s, s:i, s:O, s:O, s:o, s:o, s:i, s:o, s:s, s:b}", "format",
                             "granary-sweep", "version", 1, "keys", keys, "points", points, "seeds",
                             make_seeds(p->config->run.seed, n_seeds), "rungs", rungs, "halving",
                             (int)words->halving, "set", make_set(p, halving), "metric", metric,
                             "maximize", gr_score_direction(metric) > 0);
    if (words->folder)
        GR_TRY(gr_text_format(&folder, "%s", words->folder));
    else
        GR_TRY(
            gr_text_format(&folder, "%s/%s-sweep", p->config->run.directory, p->config->run.name));
    for (size_t n = strlen(folder); n > 1 && folder[n - 1] == '/';)
        folder[--n] = '\0';
    status = gr_plan_take(folder, json, &p->plan);
out:
    gr_free(folder);
    json_decref(keys);
    json_decref(points);
    return status;
}

/* Whether rounds tell the metric, by a point's config. */
static bool tells(const struct gr_config *config, const char *metric) {
    const char *name = strchr(metric, '_') + 1;
    if (strncmp(metric, "validation_", 11) == 0 && !(config->data.validation_fraction > 0))
        return false;
    if (strcmp(name, "loss") == 0 || strcmp(name, "accuracy") == 0) return true;
    for (unsigned i = 0; i < config->evaluate.metrics_count; i++)
        if (strcmp(config->evaluate.metrics[i], name) == 0) return true;
    return false;
}

static gr_status check_point(const struct planned *p, size_t run, uint32_t rung) {
    gr_status status;
    struct gr_overrides overrides = {0};
    struct gr_config *config = NULL;
    char name[GR_RUN_NAME_MAX];
    gr_plan_run_name(&p->plan, run, name);
    GR_TRY(gr_plan_overrides(&p->plan, run, rung, &overrides));
    GR_TRY(gr_config_parse(p->words->config_path, p->text, p->length, overrides.text, overrides.n,
                           &config));
    if (p->words->schedule.ranks > config->data.silos)
        status = gr_fail(GR_ERROR_USAGE, "-n: found %u ranks for %u silos",
                         p->words->schedule.ranks, config->data.silos);
    else if (!tells(config, p->plan.metric))
        status = gr_fail(GR_ERROR_CONFIG,
                         "rounds do not tell %s: see evaluate.metrics and "
                         "data.validation_fraction",
                         p->plan.metric);
out:
    gr_plan_overrides_release(&overrides);
    gr_config_free(config);
    return status == GR_OK ? GR_OK : gr_fail_context(status, "%s: ", name);
}

/* Before anything is written: all points are read as their runs will be. */
static gr_status check_points(const struct planned *p) {
    gr_status status = GR_OK;
    if (p->words->halving > 0 && p->plan.n_rungs == 1)
        return gr_fail(GR_ERROR_USAGE,
                       "--halving: found %u for %zu point%s and %u rounds, expected no more than "
                       "there are of either",
                       p->words->halving, p->plan.n_points, p->plan.n_points == 1 ? "" : "s",
                       p->config->run.rounds);
    for (size_t k = 0; k < p->plan.n_keys; k++)
        if (p->plan.n_rungs > 1 &&
            strcmp(gr_json_text(json_array_get(p->plan.keys, k), "name"), "run.rounds") == 0)
            return gr_fail(GR_ERROR_USAGE,
                           "sweep: run.rounds cannot be varied with --halving, which gives rounds");
    for (size_t i = 0; i < p->plan.n_points && status == GR_OK; i++) {
        status = check_point(p, i * p->plan.n_seeds, 0);
        if (status == GR_OK && p->plan.n_rungs > 1)
            status = check_point(p, i * p->plan.n_seeds, p->plan.n_rungs - 1);
    }
    return status;
}

static gr_status lay_plan(const struct sweep_words *words, struct gr_sweep_plan *out) {
    gr_status status;
    struct planned p = {.words = words};
    json_t *files = NULL;
    GR_TRY(read_config(&p));
    GR_TRY(make_plan(&p));
    GR_TRY(check_points(&p));
    files = json_pack("{s:s%}", "config.yaml", p.text, p.length);
    GR_TRY(gr_plan_lay(&p.plan, files));
    *out = p.plan;
    p.plan = (struct gr_sweep_plan){0};
out:
    json_decref(files);
    gr_plan_release(&p.plan);
    gr_config_free(p.config);
    gr_free(p.text);
    return status;
}

/* ---- the runs -------------------------------------------------------------------------------- */

static void tell_plan(const struct gr_sweep_plan *plan) {
    printf("%s: %zu point%s, %zu seed%s, by %s\n", plan->folder, plan->n_points,
           plan->n_points == 1 ? "" : "s", plan->n_seeds, plan->n_seeds == 1 ? "" : "s",
           plan->metric);
    if (strncmp(plan->metric, "test_", 5) == 0 && plan->n_points > 1)
        printf("chosen by test rows a score is too good: data.validation_fraction holds out rows "
               "to choose by\n");
    fflush(stdout);
}

static gr_status tell(const struct gr_sweep_plan *plan, const struct gr_schedule_asked *asked,
                      const struct gr_sweep_result *results, const uint32_t *rungs, size_t n_open) {
    gr_status status;
    GR_TRY(gr_sweep_write_csv(plan, results, rungs));
    GR_TRY(gr_sweep_write_journal(plan, results, rungs));
    if (n_open > 0)
        printf("%zu run%s %s at work elsewhere\n", n_open, n_open == 1 ? "" : "s",
               n_open == 1 ? "is" : "are");
    if (!asked->quiet) putchar('\n');
    GR_TRY(gr_sweep_print(plan, results, rungs));
    status = gr_plan_judge(plan, results);
out:
    return status;
}

gr_status gr_command_sweep(struct gr_invocation *invocation) {
    gr_status status;
    struct sweep_words words = {.schedule = {.ranks = 1, .grace_s = 60}};
    struct gr_sweep_plan plan = {0};
    GR_TRY(gr_start_check_once());
    GR_TRY(read_words(invocation, &words));
    if (words.config_path)
        GR_TRY(lay_plan(&words, &plan));
    else
        GR_TRY(gr_plan_read(words.folder, &plan));
    if (!gr_plan_is_of(&plan, "sweep")) {
        status = gr_fail(GR_ERROR_DATA, "%s: the folder of `granary compare`", plan.folder);
        goto out;
    }
    if (!words.schedule.quiet) tell_plan(&plan);
    if (words.plan_only) goto out;
    gr_watch_begin();
    status = gr_plan_run(&plan, &words.schedule, tell);
out:
    gr_plan_release(&plan);
    free(words.points.over.text);
    free(words.set.text);
    return status;
}
