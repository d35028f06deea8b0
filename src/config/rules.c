/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules between settings. They look at values, not at what was written: a resolved config, in
 * which every setting stands, obeys the same rules.
 */
#include "config/check.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64 };

/* Shorter ones would give up ranks that the system merely did not run for a while. */
#define HEARTBEAT_MIN_S 0.1

struct rules {
    const struct gr_config *config;
    struct gr_node *root;
    struct gr_broken *broken;
};

/* Whether the setting's value is the user's, and not a filler for one reported already. */
static bool sound(const struct rules *r, const char *path) {
    const struct gr_node *node = gr_node_at(r->root, path);
    return node && !node->broken;
}

/* The place of a setting, or where it was not given, of its section. */
static struct gr_place place_of(const struct rules *r, const char *path) {
    struct gr_place place = {0};
    struct gr_node *node = r->root;
    while (node && *path) {
        size_t length = strcspn(path, ".");
        node = gr_node_child(node, path, length);
        if (node && (node->place.line > 0 || node->place.override)) place = node->place;
        path += length + (path[length] == '.');
    }
    return place;
}

#define REFUSE(r, path, ...) gr_broken_add((r)->broken, place_of(r, path), path, __VA_ARGS__)

/* What is wrong with a member of a list's entry; path: the entry's. */
static void refuse_member(const struct rules *r, const struct gr_node *entry, const char *path,
                          const char *key, const char *what) {
    char below[64];
    const struct gr_node *child = gr_node_child(entry, key, strlen(key));
    bool given = child->place.line > 0 || child->place.override;
    snprintf(below, sizeof below, "%s.%s", path, key);
    gr_broken_add(r->broken, given ? child->place : entry->place, below, "%s", what);
}

static bool member_sound(const struct gr_node *entry, const char *key) {
    const struct gr_node *child = gr_node_child(entry, key, strlen(key));
    return child && !child->broken;
}

/* ---- run and data ------------------------------------------------------------------------- */

static void check_name(const struct rules *r) {
    const char *name = r->config->run.name;
    char quoted[NAME_MAX_BYTES + 4];
    size_t n = strlen(name);
    bool good = n >= 1 && n <= NAME_MAX_BYTES && isalnum((unsigned char)name[0]);
    for (size_t i = 0; i < n; i++)
        good = good && (isalnum((unsigned char)name[i]) || strchr("-_.", name[i]));
    if (!good && sound(r, "run.name")) {
        gr_text_quote(name, n, quoted, sizeof quoted);
        REFUSE(r, "run.name",
               "found \"%s\", allowed at most %d letters, digits, '-', '_' and '.', a letter or "
               "digit first",
               quoted, NAME_MAX_BYTES);
    }
    if (!r->config->run.directory[0] && sound(r, "run.directory"))
        REFUSE(r, "run.directory", "found \"\", allowed the path of a folder");
}

static bool is_empty(const struct gr_table_config *table) {
    return !table->features[0] && !table->labels[0] && !table->file[0];
}

static void check_member(const struct rules *r, struct gr_place place, const char *path,
                         const char *key, const char *text, bool needed, const char *source) {
    char below[128], quoted[64];
    snprintf(below, sizeof below, "%s.%s", path, key);
    if (needed && !text[0]) {
        gr_broken_add(r->broken, place, below, "found nothing, allowed a path (data.source is %s)",
                      source);
    } else if (!needed && text[0]) {
        gr_text_quote(text, strlen(text), quoted, sizeof quoted);
        gr_broken_add(r->broken, place, below, "found \"%s\", allowed nothing (data.source is %s)",
                      quoted, source);
    }
}

/* A table that has something in it: what its source needs, and no more. */
static void check_table(const struct rules *r, const struct gr_node *node, struct gr_place place,
                        const char *path, const struct gr_table_config *table) {
    bool idx = r->config->data.source == GR_SOURCE_IDX;
    const char *source = idx ? "idx" : r->config->data.source == GR_SOURCE_HDF5 ? "hdf5" : "csv";
    const struct {
        const char *key, *text;
        bool needed;
    } members[] = {{"features", table->features, idx},
                   {"labels", table->labels, idx},
                   {"file", table->file, !idx}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const struct gr_node *child = gr_node_child(node, members[i].key, strlen(members[i].key));
        if (!child || child->broken) return;
    }
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const struct gr_node *child = gr_node_child(node, members[i].key, strlen(members[i].key));
        bool given = child->place.line > 0 || child->place.override;
        check_member(r, given ? child->place : place, path, members[i].key, members[i].text,
                     members[i].needed, source);
    }
}

/* What makes sense for one table to be partitioned only. */
static void check_no_partition(const struct rules *r, const char *with) {
    const struct gr_data_config *data = &r->config->data;
    if (!is_empty(&data->train) && sound(r, "data.train"))
        REFUSE(r, "data.train", "found a table, allowed none with %s", with);
    if (data->partition.method != GR_PARTITION_IID && sound(r, "data.partition.method"))
        REFUSE(r, "data.partition.method", "found %s, allowed only iid, the default, with %s",
               gr_partition_text(data->partition.method), with);
    if (data->limit > 0 && sound(r, "data.limit"))
        REFUSE(r, "data.limit", "found %u, allowed only 0, the default, with %s", data->limit,
               with);
}

static void check_synthetic(const struct rules *r) {
    const struct gr_data_config *data = &r->config->data;
    check_no_partition(r, "data.source synthetic");
    if (data->silo_tables_count > 0)
        REFUSE(r, "data.silo_tables", "found %u tables, allowed none with data.source synthetic",
               data->silo_tables_count);
    if (!is_empty(&data->test) && sound(r, "data.test"))
        REFUSE(r, "data.test", "found a table, allowed none with data.source synthetic");
    if (data->synthetic.minimum_rows > data->synthetic.maximum_rows &&
        sound(r, "data.synthetic.minimum_rows") && sound(r, "data.synthetic.maximum_rows"))
        REFUSE(r, "data.synthetic.minimum_rows",
               "found %u, allowed 1 to %u (data.synthetic.maximum_rows)",
               data->synthetic.minimum_rows, data->synthetic.maximum_rows);
}

static void check_silo_tables(const struct rules *r) {
    const struct gr_data_config *data = &r->config->data;
    const struct gr_node *list = gr_node_at(r->root, "data.silo_tables");
    const struct gr_node *node = list->child;
    char path[64];
    check_no_partition(r, "data.silo_tables");
    if (data->silos != data->silo_tables_count && sound(r, "data.silos"))
        REFUSE(r, "data.silos",
               "found %u, allowed only %u, the number of data.silo_tables, or none", data->silos,
               data->silo_tables_count);
    for (unsigned i = 0; i < data->silo_tables_count && node; i++, node = node->next) {
        snprintf(path, sizeof path, "data.silo_tables[%u]", i);
        if (!node->broken) check_table(r, node, node->place, path, &data->silo_tables[i]);
    }
}

/* What has a meaning with some sources only. */
static void check_columns(const struct rules *r) {
    const struct gr_data_config *data = &r->config->data;
    bool by_column = data->partition.method == GR_PARTITION_COLUMN;
    bool csv = data->source == GR_SOURCE_CSV, columns = csv || data->source == GR_SOURCE_HDF5;
    if (by_column && !columns && sound(r, "data.partition.method"))
        REFUSE(r, "data.partition.method",
               "found column, allowed only with data.source csv or hdf5");
    else if (by_column && !data->partition.column[0] && sound(r, "data.partition.column"))
        REFUSE(r, "data.partition.column",
               "found nothing, allowed a column's name (data.partition.method is column)");
    if (data->schema[0] && !columns && sound(r, "data.schema"))
        REFUSE(r, "data.schema", "found a path, allowed only with data.source csv or hdf5");
    if (csv && !data->csv.header && !data->schema[0] && sound(r, "data.csv.header") &&
        sound(r, "data.schema"))
        REFUSE(r, "data.csv.header",
               "found false, allowed only with data.schema, which then names "
               "the columns");
}

/* One test for a run: a table of its own, or rows of the silos. */
static void check_held_out(const struct rules *r) {
    const struct gr_data_config *data = &r->config->data;
    const bool synthetic = data->source == GR_SOURCE_SYNTHETIC;
    if (!(data->test_fraction > 0) || !sound(r, "data.test_fraction")) return;
    if (synthetic && data->synthetic.test_rows > 0 && sound(r, "data.synthetic.test_rows"))
        REFUSE(r, "data.test_fraction", "found %g, allowed only 0 with data.synthetic.test_rows %u",
               data->test_fraction, data->synthetic.test_rows);
    if (!synthetic && !is_empty(&data->test) && sound(r, "data.test"))
        REFUSE(r, "data.test_fraction", "found %g, allowed only 0 with data.test",
               data->test_fraction);
    if (data->test_fraction + data->validation_fraction > 0.9 &&
        sound(r, "data.validation_fraction"))
        REFUSE(r, "data.test_fraction",
               "found %g, allowed at most 0.9 together with data.validation_fraction, which is %g",
               data->test_fraction, data->validation_fraction);
}

/* Scaling is of floating-point numbers; what a range is, columns say. */
static void check_preprocess(const struct rules *r) {
    const struct gr_preprocess_config *p = &r->config->preprocess;
    const enum gr_data_source source = r->config->data.source;
    const bool idx = source == GR_SOURCE_IDX, tables = !idx && source != GR_SOURCE_SYNTHETIC;
    if (!sound(r, "data.source")) return;
    if (p->scale != GR_SCALE_NONE && idx && sound(r, "preprocess.scale"))
        REFUSE(r, "preprocess.scale", "found %s, allowed only none with data.source idx",
               gr_scale_text(p->scale));
    if (p->clip && !tables && sound(r, "preprocess.clip"))
        REFUSE(r, "preprocess.clip", "found true, allowed only with data.source csv or hdf5");
}

static void check_data(const struct rules *r) {
    const struct gr_data_config *data = &r->config->data;
    if (data->silos == 0 && data->silo_tables_count == 0 && sound(r, "data.silos") &&
        sound(r, "data.silo_tables"))
        REFUSE(r, "data.silos", "found nothing, allowed a whole number from 1 to 1000000");
    if (!sound(r, "data.source")) return;
    check_columns(r);
    check_held_out(r);
    if (data->source == GR_SOURCE_SYNTHETIC) {
        check_synthetic(r);
        return;
    }
    if (data->silo_tables_count > 0)
        check_silo_tables(r);
    else if (sound(r, "data.silo_tables") && sound(r, "data.train"))
        check_table(r, gr_node_at(r->root, "data.train"), place_of(r, "data.train"), "data.train",
                    &data->train);
    if (!is_empty(&data->test) && sound(r, "data.test"))
        check_table(r, gr_node_at(r->root, "data.test"), place_of(r, "data.test"), "data.test",
                    &data->test);
}

/* ---- model, train, round ------------------------------------------------------------------ */

/* A list that one type of model needs, and no other has. */
static void check_list_of(const struct rules *r, const char *path, enum gr_model_type type,
                          unsigned found, unsigned most, const char *what) {
    const enum gr_model_type own = r->config->model.type;
    if (!sound(r, path)) return;
    if (own == type && found == 0)
        REFUSE(r, path, "found nothing, allowed 1 to %u %s (model.type is %s)", most, what,
               gr_model_type_text(own));
    if (own != type && found > 0)
        REFUSE(r, path, "found %u %s, allowed none (model.type is %s)", found, what,
               gr_model_type_text(own));
}

/* Regressions have their own losses; a network takes any. */
static void check_loss(const struct rules *r) {
    static const struct {
        enum gr_loss_type losses[2];
        const char *allowed;
    } of[] = {
        [GR_MODEL_SOFTMAX] = {{GR_LOSS_CROSS_ENTROPY}, "default or cross_entropy"},
        [GR_MODEL_LINEAR] = {{GR_LOSS_SQUARED, GR_LOSS_HUBER}, "default, squared or huber"},
        [GR_MODEL_LOGISTIC] = {{GR_LOSS_BINARY_CROSS_ENTROPY}, "default or binary_cross_entropy"},
        [GR_MODEL_POISSON] = {{GR_LOSS_POISSON}, "default or poisson"},
        [GR_MODEL_CNN] = {{0}, NULL},
        [GR_MODEL_BAG] = {{0}, NULL},
    };
    const struct gr_model_config *model = &r->config->model;
    const enum gr_loss_type loss = model->loss;
    if (!sound(r, "model.loss") || loss == GR_LOSS_DEFAULT || !of[model->type].allowed) return;
    if (loss != of[model->type].losses[0] && loss != of[model->type].losses[1])
        REFUSE(r, "model.loss", "found %s, allowed %s (model.type is %s)", gr_loss_text(loss),
               of[model->type].allowed, gr_model_type_text(model->type));
}

static void check_model(const struct rules *r) {
    const struct gr_model_config *model = &r->config->model;
    if (!sound(r, "model.type")) return;
    if (model->type != GR_MODEL_BAG)
        check_list_of(r, "model.hidden", GR_MODEL_MLP, model->hidden_count, 32, "widths");
    check_list_of(r, "model.layers", GR_MODEL_CNN, model->layers_count, 64, "layers");
    check_loss(r);
    gr_check_layers(model, r->root, r->broken);
}

static void check_schedule(const struct rules *r) {
    const struct gr_train_config *train = &r->config->train;
    const struct gr_schedule_config *schedule = &train->schedule;
    if (schedule->minimum > train->learning_rate && sound(r, "train.schedule.minimum") &&
        sound(r, "train.learning_rate"))
        REFUSE(r, "train.schedule.minimum", "found %g, allowed 0 to %g (train.learning_rate)",
               schedule->minimum, train->learning_rate);
    if (schedule->type == GR_SCHEDULE_COSINE && schedule->rounds <= schedule->warmup_rounds &&
        sound(r, "train.schedule.type") && sound(r, "train.schedule.rounds") &&
        sound(r, "train.schedule.warmup_rounds") && sound(r, "run.rounds"))
        REFUSE(r, "train.schedule.rounds",
               "found %u, allowed more than %u (train.schedule.warmup_rounds)", schedule->rounds,
               schedule->warmup_rounds);
}

static void check_optimizer(const struct rules *r) {
    const struct gr_train_config *train = &r->config->train;
    const bool adam =
        train->optimizer == GR_OPTIMIZER_ADAM || train->optimizer == GR_OPTIMIZER_ADAMW;
    if (!sound(r, "train.optimizer") || !sound(r, "train.momentum")) return;
    if (adam && train->momentum > 0)
        REFUSE(r, "train.momentum",
               "found %g, allowed only 0, the default, with train.optimizer %s", train->momentum,
               gr_optimizer_text(train->optimizer));
    if (train->optimizer == GR_OPTIMIZER_NESTEROV && !(train->momentum > 0))
        REFUSE(r, "train.momentum", "found 0, allowed 0 < x < 1 with train.optimizer nesterov");
    if (train->state == GR_SOLVER_KEEP && train->optimizer == GR_OPTIMIZER_SGD &&
        !(train->momentum > 0) && sound(r, "train.state"))
        REFUSE(r, "train.state",
               "found keep, allowed only reset, the default, with "
               "train.optimizer sgd and train.momentum 0, which keep nothing");
}

/* FedSGD's silos take one plain step, whatever the batches. */
static void check_fedsgd(const struct rules *r) {
    const struct gr_train_config *train = &r->config->train;
    const struct {
        const char *path;
        bool wrong;
        const char *allowed;
    } rules[] = {
        {"train.optimizer", train->optimizer != GR_OPTIMIZER_SGD, "sgd"},
        {"train.momentum", train->momentum > 0, "0"},
        {"train.proximal_mu", train->proximal_mu > 0, "0"},
        {"train.epochs", train->epochs > 1, "1"},
        {"train.steps", train->steps > 0, "0"},
        {"train.seconds", train->seconds > 0, "0"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].wrong && sound(r, rules[i].path))
            REFUSE(r, rules[i].path,
                   "found %s, allowed only %s, the default, with strategy.name fedsgd",
                   gr_node_at(r->root, rules[i].path)->text, rules[i].allowed);
}

static void check_strategy(const struct rules *r) {
    const struct gr_config *config = r->config;
    if (!sound(r, "strategy.name")) return;
    if (config->strategy.name == GR_STRATEGY_FEDSGD) check_fedsgd(r);
    if (config->strategy.name == GR_STRATEGY_FEDPROX && !(config->train.proximal_mu > 0) &&
        sound(r, "train.proximal_mu"))
        REFUSE(r, "train.proximal_mu", "found 0, allowed more than 0 with strategy.name fedprox");
}

/* A number has no class. */
static void check_class_weights(const struct rules *r) {
    if (gr_predicts_number(&r->config->model) &&
        r->config->train.class_weights != GR_CLASS_WEIGHTS_NONE && sound(r, "model.type") &&
        sound(r, "model.loss") && sound(r, "train.class_weights"))
        REFUSE(r, "train.class_weights",
               "found balanced, allowed only none, the default, for a loss of numbers");
}

static void check_train(const struct rules *r) {
    const struct gr_train_config *train = &r->config->train;
    check_class_weights(r);
    if ((train->epochs > 0) == (train->steps > 0) && sound(r, "train.epochs") &&
        sound(r, "train.steps"))
        REFUSE(r, train->steps > 0 ? "train.steps" : "train.epochs",
               "found epochs %u and steps %u, allowed exactly one of them above 0", train->epochs,
               train->steps);
    if (r->config->round.participants > r->config->data.silos && r->config->data.silos > 0 &&
        sound(r, "round.participants") && sound(r, "data.silos"))
        REFUSE(r, "round.participants", "found %u, allowed 0 (all) to %u (data.silos)",
               r->config->round.participants, r->config->data.silos);
}

static void check_available(const struct rules *r, const struct gr_availability_config *entry,
                            const struct gr_node *node, const char *path) {
    char what[96];
    const uint32_t silos = r->config->data.silos;
    if (entry->to > 0 && entry->to < entry->from && member_sound(node, "from") &&
        member_sound(node, "to")) {
        snprintf(what, sizeof what, "found %u, allowed 0 or at least %u (from)", entry->to,
                 entry->from);
        refuse_member(r, node, path, "to", what);
    }
    for (unsigned i = 0; i < entry->silos_count && silos > 0; i++) {
        if (entry->silos[i] < silos || !sound(r, "data.silos") || !member_sound(node, "silos"))
            continue;
        snprintf(what, sizeof what, "found %u, allowed 0 to %u (data.silos is %u)", entry->silos[i],
                 silos - 1, silos);
        refuse_member(r, node, path, "silos", what);
        break;
    }
}

static void check_sampling(const struct rules *r) {
    const struct gr_round_config *round = &r->config->round;
    const enum gr_sampling sampling = round->sampling;
    const struct gr_node *list = gr_node_at(r->root, "round.availability"), *node = list->child;
    char path[48];
    if (!sound(r, "round.sampling")) return;
    if (round->participants == 0 && sound(r, "round.participants") &&
        (sampling == GR_SAMPLING_SIZE || sampling == GR_SAMPLING_CYCLIC))
        REFUSE(r, "round.participants", "found 0 (all), allowed at least 1 with round.sampling %s",
               gr_sampling_text(sampling));
    if (sampling == GR_SAMPLING_SIZE && !round->share_sizes && sound(r, "round.share_sizes"))
        REFUSE(r, "round.share_sizes",
               "found false, allowed only true with round.sampling size: every rank learns how "
               "many rows each silo has");
    if ((sampling == GR_SAMPLING_LIST) != (round->availability_count > 0) && !list->broken)
        REFUSE(r, "round.availability", "found %u entries, allowed %s with round.sampling %s",
               round->availability_count, sampling == GR_SAMPLING_LIST ? "1 to 1000" : "none",
               gr_sampling_text(sampling));
    for (unsigned i = 0; i < round->availability_count && node; i++, node = node->next) {
        snprintf(path, sizeof path, "round.availability[%u]", i);
        check_available(r, &round->availability[i], node, path);
    }
}

static void check_round(const struct rules *r) {
    const struct gr_round_config *round = &r->config->round;
    if (round->replay[0] && r->config->train.seconds > 0 && sound(r, "round.replay") &&
        sound(r, "train.seconds"))
        REFUSE(r, "round.replay",
               "found a file, allowed none with train.seconds, which no replay can repeat");
    bool sampled = round->participants > 0;
    uint32_t most = sampled ? round->participants : r->config->data.silos;
    if (most > 0 && round->quorum > most && sound(r, "round.quorum") &&
        sound(r, "round.participants") && sound(r, "data.silos"))
        REFUSE(r, "round.quorum", "found %u, allowed 1 to %u (%s)", round->quorum, most,
               sampled ? "round.participants" : "data.silos");
    if (round->heartbeat_s > 0 && round->heartbeat_s < HEARTBEAT_MIN_S &&
        sound(r, "round.heartbeat_s"))
        REFUSE(r, "round.heartbeat_s", "found %g, allowed 0 (none) or at least %g",
               round->heartbeat_s, HEARTBEAT_MIN_S);
}

/* ---- aggregation -------------------------------------------------------------------------- */

static void check_aggregation(const struct rules *r) {
    const struct gr_config *config = r->config;
    uint32_t most =
        config->round.participants > 0 ? config->round.participants : config->data.silos;
    if (config->aggregation.encoding == GR_ENCODING_RING16 && most > GR_RING16_SILOS_MAX &&
        sound(r, "aggregation.encoding") && sound(r, "round.participants") &&
        sound(r, "data.silos"))
        REFUSE(r, "aggregation.encoding",
               "found ring16, allowed up to %d silos in a round, not %u (%s)", GR_RING16_SILOS_MAX,
               most, config->round.participants > 0 ? "round.participants" : "data.silos");
}

static void check_stop(const struct rules *r) {
    const struct gr_config *config = r->config;
    if (config->stop.metric == GR_STOP_NONE || !sound(r, "stop.metric")) return;
    if (config->evaluate.every == 0 && sound(r, "evaluate.every"))
        REFUSE(r, "evaluate.every", "found 0, allowed at least 1 with stop.metric %s",
               gr_stop_text(config->stop.metric));
    if (!(config->data.validation_fraction > 0) && sound(r, "data.validation_fraction"))
        REFUSE(r, "data.validation_fraction", "found 0, allowed more than 0 with stop.metric %s",
               gr_stop_text(config->stop.metric));
    if (config->stop.metric == GR_STOP_VALIDATION_ACCURACY && sound(r, "model.type") &&
        sound(r, "model.loss") && gr_predicts_number(&config->model))
        REFUSE(r, "stop.metric",
               "found validation_accuracy, allowed none or validation_loss with a model that "
               "predicts a number");
}

/* ---- faults ------------------------------------------------------------------------------- */

/* A fault of the list: its path, and its node, which knows the places. */
struct fault {
    const struct gr_fault_config *config;
    const struct gr_node *node;
    char path[32];
};

/* Some kinds strike at one point only. */
static void check_point(const struct rules *r, const struct fault *fault) {
    char what[96];
    const struct gr_fault_config *f = fault->config;
    bool update = f->kind == GR_FAULT_NAN || f->kind == GR_FAULT_EXPLODE;
    bool wrong = (update && f->point != GR_POINT_TRAIN) ||
                 (f->kind == GR_FAULT_CORRUPT && f->point != GR_POINT_CHECKPOINT);
    if (!wrong || !member_sound(fault->node, "kind") || !member_sound(fault->node, "point")) return;
    snprintf(what, sizeof what, "found %s, allowed only %s with kind %s",
             gr_node_child(fault->node, "point", 5)->text, update ? "train" : "checkpoint",
             gr_node_child(fault->node, "kind", 4)->text);
    refuse_member(r, fault->node, fault->path, "point", what);
}

static void check_fault(const struct rules *r, const struct fault *fault) {
    char what[96];
    const struct gr_fault_config *f = fault->config;
    uint32_t silos = r->config->data.silos;
    if (f->silo >= silos && silos > 0 && sound(r, "data.silos") &&
        member_sound(fault->node, "silo")) {
        snprintf(what, sizeof what, "found %u, allowed 0 to %u (data.silos is %u)", f->silo,
                 silos - 1, silos);
        refuse_member(r, fault->node, fault->path, "silo", what);
    }
    check_point(r, fault);
    if (f->kind == GR_FAULT_DELAY && !(f->seconds > 0) && member_sound(fault->node, "kind") &&
        member_sound(fault->node, "seconds"))
        refuse_member(r, fault->node, fault->path, "seconds",
                      "found 0, allowed more than 0 with kind delay");
}

static void check_faults(const struct rules *r) {
    const struct gr_config *config = r->config;
    const struct gr_node *list = gr_node_at(r->root, "faults"), *node = list->child;
    if (config->faults_count > 0 && !config->run.rehearsal && sound(r, "run.rehearsal"))
        REFUSE(r, "faults", "found %u, allowed none unless run.rehearsal is true",
               config->faults_count);
    for (unsigned i = 0; i < config->faults_count && node; i++, node = node->next) {
        struct fault fault = {&config->faults[i], node, ""};
        snprintf(fault.path, sizeof fault.path, "faults[%u]", i);
        check_fault(r, &fault);
    }
}

void gr_check_rules(struct gr_config *config, struct gr_node *root, struct gr_broken *broken) {
    struct rules r = {config, root, broken};
    const struct gr_node *epochs = gr_node_at(root, "train.epochs");
    bool given = epochs->place.line > 0 || epochs->place.override;
    if (config->train.steps > 0 && !given && sound(&r, "train.steps")) config->train.epochs = 0;
    if (config->train.schedule.type == GR_SCHEDULE_COSINE && config->train.schedule.rounds == 0)
        config->train.schedule.rounds = config->run.rounds;
    if (config->data.silos == 0) config->data.silos = config->data.silo_tables_count;
    check_name(&r);
    check_data(&r);
    check_preprocess(&r);
    check_model(&r);
    check_train(&r);
    check_schedule(&r);
    check_optimizer(&r);
    check_strategy(&r);
    check_sampling(&r);
    check_round(&r);
    check_aggregation(&r);
    check_stop(&r);
    check_faults(&r);
}
