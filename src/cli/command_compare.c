/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary compare: one config trained over all silos, by each silo alone, with all rows in one
 * place, and with one silo left out, each by the same rounds; all are judged on the same held-out
 * rows. The tables are read once, and written as tables of training rows and of held-out rows, by
 * silo and together, so that every mode has the same rows and learns its own preprocessing.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <granary/data.h>

#include "cli/launch.h"
#include "cli/sweep.h"
#include "observe/json.h"

const struct gr_option gr_compare_options[] = {
    {.name = "seeds",
     .key = 'S',
     .value = "N",
     .help = "runs of each mode, from run.seed on; default 1"},
    {.name = "leave-one-out",
     .key = 'l',
     .help = "also a federation without each silo, judged on the silo that it never saw"},
    {.name = "metric",
     .key = 'm',
     .value = "NAME",
     .help = "of the table, as in evaluation.json; default accuracy, of a model that predicts a\n"
             "number mse"},
    {.name = "set",
     .key = 's',
     .value = "S.K=V",
     .kind = GR_VALUE_SETTING,
     .help = "replaces a setting of the config; VALUE is YAML"},
    {.name = "run",
     .key = 'r',
     .value = "FOLDER",
     .kind = GR_VALUE_FOLDER,
     .help =
         "where the runs are, begun or gone on with; default <run.directory>/<run.name>-compare"},
    {.name = "jobs",
     .key = 'j',
     .value = "N",
     .help = "runs beside each other; default: as many as there are cores for"},
    {.name = "grace",
     .key = 'g',
     .value = "SECONDS",
     .help = "from a signal to the end by force; default 60"},
    {.name = "retry", .key = 'y', .help = "starts runs that have failed again"},
    {.name = "quiet", .key = 'q', .help = "only the table at the end"},
    {.name = NULL}};

/* So many silos have a mode each. */
enum { SILOS_MAX = 200, NAME_MAX_BYTES = 32 };

struct compare_words {
    const char *config_path, *folder, *metric;
    struct gr_overrides set;
    uint32_t seeds;
    bool leave_one_out;
    struct gr_schedule_asked schedule;
};

struct comparing {
    const struct compare_words *words;
    char *text; /* of the config; owned */
    size_t length;
    struct gr_config *config; /* owned */
    struct gr_data *data;     /* as read; owned */
    char *folder;             /* absolute; owned */
    json_t *silos;            /* by silo {"name", "train", "held", "why"}; owned */
    json_t *points;           /* owned */
    struct gr_sweep_plan plan;
};

/* ---- the command line ------------------------------------------------------------------------ */

static gr_status read_option(int option, struct compare_words *words) {
    switch (option) {
    case 's':
        return gr_overrides_add(&words->set, optarg);
    case 'S':
        return gr_read_count("--seeds", optarg, 1, 1000, &words->seeds);
    case 'l':
        words->leave_one_out = true;
        return GR_OK;
    case 'm':
        words->metric = optarg;
        return GR_OK;
    case 'r':
        words->folder = optarg;
        return GR_OK;
    default:
        return gr_schedule_option(option, &words->schedule);
    }
}

static gr_status read_words(struct gr_invocation *invocation, struct compare_words *words) {
    gr_status status = GR_OK;
    int option;
    while ((option = gr_next_option(invocation)) != -1)
        GR_TRY(read_option(option, words));
    GR_TRY(gr_only_argument(invocation, "CONFIG", &words->config_path));
out:
    return status;
}

/* ---- what may be compared -------------------------------------------------------------------- */

/* A model of one silo tells of its rows what a sum over several hides. */
static gr_status check_policy(const struct gr_config *config) {
    if (gr_is_private(config))
        return gr_fail(GR_ERROR_CONFIG,
                       "compare: privacy.unit is not none: silos alone and rows in one place have "
                       "no such protection; compare with --set privacy.unit=none what is yours");
    if (gr_policy_holds(config) && gr_policy_silos(config) > 1)
        return gr_fail(GR_ERROR_POLICY,
                       "compare: trains each silo alone and tells its scores, and "
                       "policy.minimum_silos is %u: nothing of fewer silos may be known. Where all "
                       "tables are yours to compare, --set policy.minimum_silos=1 says so",
                       gr_policy_silos(config));
    return GR_OK;
}

static gr_status check_metric(const char *metric, bool numbers) {
    char quoted[80];
    const char *names[GR_METRICS_MAX];
    char judged[80];
    const unsigned m = gr_metric_find(metric);
    snprintf(judged, sizeof judged, "test_%.70s", metric);
    if (m < gr_metric_count && gr_metric_rows[m].of_numbers == numbers &&
        gr_score_direction(judged) != 0)
        return GR_OK;
    for (unsigned i = 0; i < gr_metric_count; i++)
        names[i] = gr_metric_rows[i].name;
    const char *nearest = gr_text_nearest(metric, names, gr_metric_count);
    gr_text_quote(metric, strlen(metric), quoted, sizeof quoted);
    return gr_fail(GR_ERROR_USAGE,
                   "--metric: found '%s', expected a metric of %s that is best high or low%s%s",
                   quoted, numbers ? "numbers" : "classes", nearest ? "; nearest is " : "",
                   nearest ? nearest : "");
}

static gr_status read_config(struct comparing *c) {
    gr_status status;
    const struct compare_words *words = c->words;
    GR_TRY(gr_check_is_config(words->config_path));
    GR_TRY(gr_file_read(words->config_path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, &c->text,
                        &c->length));
    GR_TRY(gr_config_parse(words->config_path, c->text, c->length, words->set.text, words->set.n,
                           &c->config));
    GR_TRY(check_policy(c->config));
    if (c->config->data.silos < 2 || c->config->data.silos > SILOS_MAX) {
        status = gr_fail(GR_ERROR_CONFIG, "%s: found %u silos, expected 2 to %d to compare",
                         words->config_path, c->config->data.silos, SILOS_MAX);
        goto out;
    }
    if (words->folder)
        status = gr_path_absolute(words->folder, &c->folder);
    else
        status = gr_text_format(&c->folder, "%s/%s-compare", c->config->run.directory,
                                c->config->run.name);
out:
    return status;
}

/* ---- silos ----------------------------------------------------------------------------------- */

/* NULL: nothing speaks against a silo alone. */
static const char *why_not_alone(const struct gr_silo *silo, bool numbers) {
    bool alike = true;
    for (size_t i = 1; i < silo->train.n_rows && alike; i++)
        alike = silo->train.labels[i] == silo->train.labels[0];
    if (silo->unusable != GR_OK) return silo->why;
    if (silo->train.n_rows == 0) return "it has no rows to train on";
    return alike && !numbers ? "all of its rows are of one class" : NULL;
}

/* "zurich" of tables/zurich.csv, where that can be a silo's name; else "". */
static void stem_of(const char *path, char out[NAME_MAX_BYTES]) {
    const char *slash = strrchr(path, '/'), *from = slash ? slash + 1 : path;
    const size_t n = strcspn(from, ".");
    out[0] = '\0';
    if (n == 0 || n >= NAME_MAX_BYTES || !isalnum((unsigned char)from[0])) return;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)from[i]) && !strchr("-_", from[i])) return;
    snprintf(out, NAME_MAX_BYTES, "%.*s", (int)n, from);
}

/* The config's names, or those of the tables' files where they tell the silos apart. */
static void name_silos(const struct comparing *c, bool *by_file) {
    const struct gr_data_config *data = &c->config->data;
    char name[NAME_MAX_BYTES], other[NAME_MAX_BYTES];
    *by_file = data->silo_tables_count == data->silos;
    for (unsigned i = 0; i < data->silo_tables_count && *by_file; i++) {
        stem_of(data->silo_tables[i].file, name);
        *by_file = name[0] != '\0';
        for (unsigned k = 0; k < i && *by_file; k++) {
            stem_of(data->silo_tables[k].file, other);
            *by_file = strcasecmp(name, other) != 0;
        }
    }
}

static gr_status list_silos(struct comparing *c) {
    const bool numbers = gr_predicts_number(&c->config->model);
    size_t usable = 0;
    char stem[NAME_MAX_BYTES];
    bool by_file;
    name_silos(c, &by_file);
    c->silos = json_array();
    for (size_t i = 0; i < c->data->n_local; i++) {
        const struct gr_silo *silo = &c->data->local[i];
        if (by_file) stem_of(c->config->data.silo_tables[i].file, stem);
        const char *name = gr_silos_named(c->config) ? c->config->silos[i].name
                           : by_file                 ? stem
                                                     : silo->pseudonym;
        const char *why = why_not_alone(silo, numbers);
        usable += silo->unusable == GR_OK;
        json_array_append_new(
            c->silos,
            json_pack("{s:s, s:I, s:I, s:b, s:s?}", "name", name, "train",
                      (json_int_t)silo->train.n_rows + (json_int_t)silo->validation.n_rows, "held",
                      (json_int_t)silo->test.n_rows, "usable", silo->unusable == GR_OK, "why",
                      why));
    }
    if (usable >= 2) return GR_OK;
    return gr_fail(GR_ERROR_DATA, "%s: %zu of its silos can be read, expected 2 at least: %s",
                   c->words->config_path, usable,
                   c->data->n_local > 0 && c->data->local[0].why ? c->data->local[0].why : "");
}

static gr_status load_data(struct comparing *c) {
    gr_status status;
    uint32_t *ids = NULL;
    GR_TRY(gr_allocate(c->config->data.silos, sizeof *ids, "silos", &ids));
    for (uint32_t i = 0; i < c->config->data.silos; i++)
        ids[i] = i;
    const struct gr_share share = {.n_silos = c->config->data.silos,
                                   .silos = ids,
                                   .n_local = c->config->data.silos,
                                   .test_index = 0,
                                   .test_count = 1};
    GR_TRY(gr_data_load(c->config, &share, &c->data));
    status = list_silos(c);
    size_t held = c->data->n_test;
    for (size_t i = 0; i < c->data->n_local; i++)
        held += c->data->local[i].test.n_rows;
    if (status == GR_OK && held == 0)
        status = gr_fail(GR_ERROR_CONFIG,
                         "%s: no rows are held out to judge by, expected data.test or "
                         "data.test_fraction",
                         c->words->config_path);
out:
    gr_free(ids);
    return status;
}

/* ---- modes ----------------------------------------------------------------------------------- */

static bool is_usable(const struct comparing *c, size_t silo) {
    return json_is_true(json_object_get(json_array_get(c->silos, silo), "usable"));
}

static void add_set(json_t *set, const char *key, json_t *value) {
    char *text = json_dumps(value, JSON_ENCODE_ANY), *word = NULL;
    if (text && gr_text_format(&word, "%s=%s", key, text) == GR_OK)
        json_array_append_new(set, json_string(word));
    gr_free(word);
    free(text);
    json_decref(value);
}

static json_t *path_of(const struct comparing *c, const char *what, long silo) {
    char *path = NULL;
    gr_status status = silo < 0
                           ? gr_text_format(&path, "%s/tables/%s.h5", c->folder, what)
                           : gr_text_format(&path, "%s/tables/%s-%03ld.h5", c->folder, what, silo);
    json_t *json = status == GR_OK ? json_string(path) : NULL;
    gr_free(path);
    return json;
}

/* Robust sums withstand some of several silos, and know nothing of one. */
static bool needs_several(const char *strategy) {
    return strcmp(strategy, "median") == 0 || strcmp(strategy, "trimmed_mean") == 0;
}

/* The settings that turn the config into one over these tables: nobody is drawn, away or masked,
 * and probabilities are those of the model, on single silos' rows as on all. */
static json_t *make_set(const struct comparing *c, json_t *tables, json_t *names, json_t *test) {
    static const char *const plain[] = {"data.source=hdf5",
                                        "data.schema=''",
                                        "data.train.file=''",
                                        "data.train.features=''",
                                        "data.train.labels=''",
                                        "data.test.features=''",
                                        "data.test.labels=''",
                                        "data.test_fraction=0",
                                        "data.partition.method=iid",
                                        "data.partition.column=''",
                                        "data.limit=0",
                                        "round.availability=[]",
                                        "round.replay=''",
                                        "round.participants=0",
                                        "round.quorum=1",
                                        "policy.minimum_silos=1",
                                        "secure.aggregation=false",
                                        "evaluate.per_silo=false",
                                        "evaluate.recalibration=none",
                                        "evaluate.slices=[]"};
    json_t *set = json_array();
    for (size_t i = 0; i < c->words->set.n; i++)
        json_array_append_new(set, json_string(c->words->set.text[i]));
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        json_array_append_new(set, json_string(plain[i]));
    const size_t n = json_array_size(tables);
    add_set(set, "data.silos", json_integer((json_int_t)n));
    add_set(set, "data.silo_tables", tables);
    add_set(set, "silos", names);
    add_set(set, "data.test.file", test);
    if (n < 3 && needs_several(c->config->strategy.name))
        json_array_append_new(set, json_string("strategy.name=fedavg"));
    return set;
}

/* mode: "federated", "alone", "pooled" or "without"; silo: of the middle and the last. */
static void add_point(struct comparing *c, const char *mode, long silo) {
    json_t *tables = json_array(), *names = json_array();
    const bool pooled = strcmp(mode, "pooled") == 0, alone = strcmp(mode, "alone") == 0;
    char name[GR_RUN_NAME_MAX];
    for (long i = 0; i < (long)json_array_size(c->silos); i++) {
        if (pooled || !is_usable(c, (size_t)i) || (silo >= 0 && (i == silo) != alone)) continue;
        json_array_append_new(tables, json_pack("{s:o}", "file", path_of(c, "train", i)));
        json_array_append_new(
            names,
            json_pack("{s:s}", "name", gr_json_text(json_array_get(c->silos, (size_t)i), "name")));
    }
    if (pooled) {
        json_array_append_new(tables, json_pack("{s:o}", "file", path_of(c, "train", -1)));
        json_array_append_new(names, json_pack("{s:s}", "name", "pooled"));
    }
    json_t *test = strcmp(mode, "without") == 0 ? path_of(c, "all", silo) : path_of(c, "held", -1);
    snprintf(name, sizeof name, "_%s%s%.40s", mode, silo >= 0 ? "_" : "",
             silo >= 0 ? gr_json_text(json_array_get(c->silos, (size_t)silo), "name") : "");
    json_array_append_new(c->points,
                          json_pack("{s:s, s:s, s:i, s:s, s:[], s:o}", "name", name, "mode", mode,
                                    "silo", (int)silo, "config", "config.yaml", "values", "set",
                                    make_set(c, tables, names, test)));
}

static size_t count_usable(const struct comparing *c) {
    size_t usable = 0;
    for (size_t i = 0; i < json_array_size(c->silos); i++)
        usable += is_usable(c, i);
    return usable;
}

static void make_points(struct comparing *c) {
    const long n = (long)json_array_size(c->silos);
    c->points = json_array();
    add_point(c, "federated", -1);
    add_point(c, "pooled", -1);
    for (long i = 0; i < n; i++)
        if (!gr_json_text(json_array_get(c->silos, (size_t)i), "why")) add_point(c, "alone", i);
    for (long i = 0; i < n && c->words->leave_one_out && count_usable(c) > 2; i++)
        if (is_usable(c, (size_t)i)) add_point(c, "without", i);
}

static gr_status make_plan(struct comparing *c) {
    gr_status status = GR_OK;
    const bool numbers = gr_predicts_number(&c->config->model);
    const char *metric = c->words->metric ? c->words->metric : numbers ? "mse" : "accuracy";
    char judged[80], text[24];
    json_t *seeds = json_array();
    GR_TRY(check_metric(metric, numbers));
    make_points(c);
    snprintf(judged, sizeof judged, "test_%.70s", metric);
    for (uint32_t i = 0; i < (c->words->seeds ? c->words->seeds : 1); i++) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)c->config->run.seed + i);
        json_array_append_new(seeds, json_string(text));
    }
    json_t *json = json_pack("{s:s, s:i, s:[], s:O, s:O, s:O, s:[i], s:[], s:s, s:b}", "format",
                             "granary-compare", "version", 1, "keys", "points", c->points, "silos",
                             c->silos, "seeds", seeds, "rungs", (int)c->config->run.rounds, "set",
                             "metric", judged, "maximize", gr_score_direction(judged) > 0);
    status = gr_plan_take(c->folder, json, &c->plan);
out:
    json_decref(seeds);
    return status;
}

/* Before anything is written each mode is read as its runs will be. */
static gr_status check_points(const struct comparing *c) {
    gr_status status = GR_OK;
    for (size_t p = 0; p < c->plan.n_points && status == GR_OK; p++) {
        struct gr_overrides overrides = {0};
        struct gr_config *config = NULL;
        status = gr_plan_overrides(&c->plan, p * c->plan.n_seeds, 0, &overrides);
        if (status == GR_OK)
            status = gr_config_parse(c->words->config_path, c->text, c->length, overrides.text,
                                     overrides.n, &config);
        gr_config_free(config);
        gr_plan_overrides_release(&overrides);
        if (status != GR_OK)
            status = gr_fail_context(
                status, "%s: ", gr_json_text(json_array_get(c->points, p), "name") + 1);
    }
    return status;
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* Rows of silos first .. first + n - 1: of training and validation, held out, or all. */
static gr_status write_table(const struct comparing *c, const char *what, long silo, bool train,
                             bool held) {
    gr_status status = GR_OK;
    struct gr_rows_part *parts = NULL;
    json_t *json = path_of(c, what, silo);
    const char *path = json_string_value(json);
    const size_t n = c->data->n_local;
    size_t used = 0, rows = 0;
    if (!path) return gr_fail(GR_ERROR_INTERNAL, "memory for a path was refused");
    if (access(path, F_OK) == 0) goto out;
    GR_TRY(gr_allocate_zero(GR_SILO_PARTS * n + 1, sizeof *parts, "parts", &parts));
    for (size_t i = 0; i < n; i++) {
        const struct gr_silo *s = &c->data->local[i];
        const struct gr_columns *columns = s->columns ? s->columns : c->data->columns;
        if ((silo >= 0 && i != (size_t)silo) || s->unusable != GR_OK) continue;
        if (train) parts[used++] = (struct gr_rows_part){&s->train, columns};
        if (train) parts[used++] = (struct gr_rows_part){&s->validation, columns};
        if (held) parts[used++] = (struct gr_rows_part){&s->test, columns};
    }
    if (held && silo < 0)
        parts[used++] = (struct gr_rows_part){
            &c->data->test, c->data->test_columns ? c->data->test_columns : c->data->columns};
    for (size_t p = 0; p < used; p++)
        if (parts[p].rows->n_rows > 0) {
            const struct gr_rows_part part = parts[p];
            parts[rows++] = part;
        }
    if (rows > 0) status = gr_rows_write(path, c->data, parts, rows);
out:
    gr_free(parts);
    json_decref(json);
    return status;
}

/* They hold the rows of all silos, and are for nobody but their owner. */
static gr_status write_tables(const struct comparing *c) {
    gr_status status = GR_OK;
    char *folder = NULL;
    GR_TRY(gr_text_format(&folder, "%s/tables", c->folder));
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", folder, strerror(errno));
        goto out;
    }
    GR_TRY(write_table(c, "train", -1, true, false));
    GR_TRY(write_table(c, "held", -1, false, true));
    for (long i = 0; i < (long)c->data->n_local; i++) {
        GR_TRY(write_table(c, "train", i, true, false));
        GR_TRY(write_table(c, "held", i, false, true));
        if (c->words->leave_one_out) GR_TRY(write_table(c, "all", i, true, true));
    }
out:
    gr_free(folder);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void tell_plan(const struct comparing *c) {
    printf("%s: %zu modes, %zu seed%s, %zu runs\n", c->plan.folder, c->plan.n_points,
           c->plan.n_seeds, c->plan.n_seeds == 1 ? "" : "s", gr_plan_runs(&c->plan));
    for (size_t i = 0; i < json_array_size(c->silos); i++) {
        const json_t *silo = json_array_get(c->silos, i);
        if (gr_json_text(silo, "why"))
            printf("%s is not trained alone: %s\n", gr_json_text(silo, "name"),
                   gr_json_text(silo, "why"));
    }
    if (c->words->leave_one_out && count_usable(c) < 3)
        printf("with two silos each alone is the federation without the other\n");
    fflush(stdout);
}

gr_status gr_command_compare(struct gr_invocation *invocation) {
    gr_status status;
    struct compare_words words = {.schedule = {.ranks = 1, .grace_s = 60}};
    struct comparing c = {.words = &words};
    json_t *files = NULL;
    GR_TRY(gr_start_check_once());
    GR_TRY(read_words(invocation, &words));
    GR_TRY(read_config(&c));
    GR_TRY(load_data(&c));
    GR_TRY(make_plan(&c));
    GR_TRY(check_points(&c));
    files = json_pack("{s:s%}", "config.yaml", c.text, c.length);
    GR_TRY(gr_plan_lay(&c.plan, files));
    GR_TRY(write_tables(&c));
    if (!words.schedule.quiet) tell_plan(&c);
    gr_data_free(c.data);
    c.data = NULL;
    gr_watch_begin();
    status = gr_plan_run(&c.plan, &words.schedule, gr_compare_tell);
out:
    json_decref(files);
    gr_plan_release(&c.plan);
    json_decref(c.silos);
    json_decref(c.points);
    gr_data_free(c.data);
    gr_config_free(c.config);
    gr_free(c.folder);
    gr_free(c.text);
    free(words.set.text);
    return status;
}
