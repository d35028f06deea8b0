/* SPDX-License-Identifier: Apache-2.0 */
/* The settings that exist: names, types, members; defaults and allowed values. */
#include "config/schema.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

enum {
    TEXT_MAX = 4096,
    HIDDEN_MAX = 32,
    LAYERS_MAX = 64,
    SILO_TABLES_MAX = 10000,
    FAULTS_MAX = 64,
    AVAILABILITY_MAX = 1000
};

/* ---- names of values ---------------------------------------------------------------------- */

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const cyaml_strval_t sources[] = {{"idx", GR_SOURCE_IDX},
                                         {"hdf5", GR_SOURCE_HDF5},
                                         {"csv", GR_SOURCE_CSV},
                                         {"synthetic", GR_SOURCE_SYNTHETIC}};
static const cyaml_strval_t partitions[] = {{"iid", GR_PARTITION_IID},
                                            {"dirichlet", GR_PARTITION_DIRICHLET},
                                            {"shards", GR_PARTITION_SHARDS},
                                            {"column", GR_PARTITION_COLUMN}};
static const cyaml_strval_t separators[] = {{"comma", GR_SEPARATOR_COMMA},
                                            {"semicolon", GR_SEPARATOR_SEMICOLON},
                                            {"tab", GR_SEPARATOR_TAB},
                                            {"pipe", GR_SEPARATOR_PIPE},
                                            {"space", GR_SEPARATOR_SPACE}};
static const cyaml_strval_t models[] = {
    {"softmax", GR_MODEL_SOFTMAX},   {"mlp", GR_MODEL_MLP},         {"linear", GR_MODEL_LINEAR},
    {"logistic", GR_MODEL_LOGISTIC}, {"poisson", GR_MODEL_POISSON}, {"cnn", GR_MODEL_CNN}};
static const cyaml_strval_t activations[] = {
    {"relu", GR_ACTIVATION_RELU}, {"gelu", GR_ACTIVATION_GELU}, {"tanh", GR_ACTIVATION_TANH}};
static const cyaml_strval_t layer_activations[] = {{"relu", GR_ACTIVATION_RELU},
                                                   {"gelu", GR_ACTIVATION_GELU},
                                                   {"tanh", GR_ACTIVATION_TANH},
                                                   {"none", GR_ACTIVATION_NONE},
                                                   {"default", GR_ACTIVATION_DEFAULT}};
static const cyaml_strval_t layer_types[] = {{"conv", GR_LAYER_CONV},
                                             {"max_pool", GR_LAYER_MAX_POOL},
                                             {"average_pool", GR_LAYER_AVERAGE_POOL},
                                             {"group_norm", GR_LAYER_GROUP_NORM},
                                             {"dropout", GR_LAYER_DROPOUT},
                                             {"dense", GR_LAYER_DENSE}};
static const cyaml_strval_t paddings[] = {{"valid", GR_PADDING_VALID}, {"same", GR_PADDING_SAME}};
static const cyaml_strval_t losses[] = {{"default", GR_LOSS_DEFAULT},
                                        {"cross_entropy", GR_LOSS_CROSS_ENTROPY},
                                        {"binary_cross_entropy", GR_LOSS_BINARY_CROSS_ENTROPY},
                                        {"squared", GR_LOSS_SQUARED},
                                        {"huber", GR_LOSS_HUBER},
                                        {"poisson", GR_LOSS_POISSON}};
static const cyaml_strval_t initialisations[] = {{"he", GR_INITIALISE_HE},
                                                 {"glorot", GR_INITIALISE_GLOROT}};
static const cyaml_strval_t computes[] = {{"float32", GR_COMPUTE_FLOAT32},
                                          {"bfloat16", GR_COMPUTE_BFLOAT16}};
static const cyaml_strval_t strategies[] = {
    {"fedavg", GR_STRATEGY_FEDAVG},         {"fedavgm", GR_STRATEGY_FEDAVGM},
    {"fedsgd", GR_STRATEGY_FEDSGD},         {"fedprox", GR_STRATEGY_FEDPROX},
    {"fedadagrad", GR_STRATEGY_FEDADAGRAD}, {"fedadam", GR_STRATEGY_FEDADAM},
    {"fedyogi", GR_STRATEGY_FEDYOGI}};
static const cyaml_strval_t optimizers[] = {{"sgd", GR_OPTIMIZER_SGD},
                                            {"nesterov", GR_OPTIMIZER_NESTEROV},
                                            {"adam", GR_OPTIMIZER_ADAM},
                                            {"adamw", GR_OPTIMIZER_ADAMW}};
static const cyaml_strval_t schedules[] = {
    {"constant", GR_SCHEDULE_CONSTANT}, {"step", GR_SCHEDULE_STEP}, {"cosine", GR_SCHEDULE_COSINE}};
static const cyaml_strval_t samplings[] = {{"uniform", GR_SAMPLING_UNIFORM},
                                           {"size", GR_SAMPLING_SIZE},
                                           {"cyclic", GR_SAMPLING_CYCLIC},
                                           {"list", GR_SAMPLING_LIST}};
static const cyaml_strval_t stop_metrics[] = {{"none", GR_STOP_NONE},
                                              {"validation_loss", GR_STOP_VALIDATION_LOSS},
                                              {"validation_accuracy", GR_STOP_VALIDATION_ACCURACY}};
static const cyaml_strval_t encodings[] = {{"ring32", GR_ENCODING_RING32},
                                           {"ring64", GR_ENCODING_RING64},
                                           {"ring16", GR_ENCODING_RING16},
                                           {"float32", GR_ENCODING_FLOAT32}};
/* Those that a config may name come first. */
static const cyaml_strval_t metrics[] = {
    {"balanced_accuracy", GR_METRIC_BALANCED_ACCURACY},
    {"macro_f1", GR_METRIC_MACRO_F1},
    {"auc", GR_METRIC_AUC},
    {"brier", GR_METRIC_BRIER},
    {"calibration_error", GR_METRIC_CALIBRATION_ERROR},
    {"mse", GR_METRIC_MSE},
    {"mae", GR_METRIC_MAE},
    {"r2", GR_METRIC_R2},
    {"poisson_deviance", GR_METRIC_POISSON_DEVIANCE},
    {"accuracy", GR_METRIC_ACCURACY},
    {"log_loss", GR_METRIC_LOG_LOSS},
};
enum { METRICS_NAMED = 9 }; /* accuracy and loss are always told */
static const cyaml_strval_t placements[] = {{"block", GR_PLACEMENT_BLOCK},
                                            {"cyclic", GR_PLACEMENT_CYCLIC}};
static const cyaml_strval_t fault_kinds[] = {
    {"kill", GR_FAULT_KILL}, {"stop", GR_FAULT_STOP},       {"delay", GR_FAULT_DELAY},
    {"nan", GR_FAULT_NAN},   {"explode", GR_FAULT_EXPLODE}, {"corrupt", GR_FAULT_CORRUPT}};
static const cyaml_strval_t fault_points[] = {
    {"train", GR_POINT_TRAIN},           {"ready", GR_POINT_READY},
    {"aggregate", GR_POINT_AGGREGATE},   {"commit", GR_POINT_COMMIT},
    {"evaluate", GR_POINT_EVALUATE},     {"record", GR_POINT_RECORD},
    {"checkpoint", GR_POINT_CHECKPOINT}, {"recover", GR_POINT_RECOVER}};

static const char *name_of(const cyaml_strval_t *names, size_t n, int64_t value) {
    for (size_t i = 0; i < n; i++)
        if (names[i].val == value) return names[i].str;
    return "unknown";
}

const char *gr_encoding_text(enum gr_encoding encoding) {
    return name_of(encodings, COUNT(encodings), encoding);
}

const char *gr_stop_text(enum gr_stop_metric metric) {
    return name_of(stop_metrics, COUNT(stop_metrics), metric);
}

const char *gr_sampling_text(enum gr_sampling sampling) {
    return name_of(samplings, COUNT(samplings), sampling);
}

const char *gr_strategy_text(enum gr_strategy_name name) {
    return name_of(strategies, COUNT(strategies), name);
}

const char *gr_optimizer_text(enum gr_optimizer optimizer) {
    return name_of(optimizers, COUNT(optimizers), optimizer);
}

const char *gr_model_type_text(enum gr_model_type type) {
    return name_of(models, COUNT(models), type);
}

const char *gr_layer_type_text(enum gr_layer_type type) {
    return name_of(layer_types, COUNT(layer_types), type);
}

const char *gr_padding_text(enum gr_padding padding) {
    return name_of(paddings, COUNT(paddings), padding);
}

const char *gr_loss_text(enum gr_loss_type loss) {
    return name_of(losses, COUNT(losses), loss);
}

const char *gr_activation_text(enum gr_activation activation) {
    return name_of(layer_activations, COUNT(layer_activations), activation);
}

const char *gr_compute_text(enum gr_compute compute) {
    return name_of(computes, COUNT(computes), compute);
}

const char *gr_metric_text(enum gr_metric metric) {
    return name_of(metrics, COUNT(metrics), metric);
}

const char *gr_partition_text(enum gr_partition_method method) {
    return name_of(partitions, COUNT(partitions), method);
}

char gr_separator_byte(enum gr_separator separator) {
    return ",;\t| "[separator];
}

/* ---- names, types, members ---------------------------------------------------------------- */

/* Nothing is optional here: libcyaml is given a tree in which every default has been filled in. */
#define WHOLE(type, member)      CYAML_FIELD_UINT(#member, CYAML_FLAG_DEFAULT, struct type, member)
#define NAMED(type, key, member) CYAML_FIELD_UINT(key, CYAML_FLAG_DEFAULT, struct type, member)
#define REAL(type, member)       CYAML_FIELD_FLOAT(#member, CYAML_FLAG_DEFAULT, struct type, member)
#define YES_NO(type, member)     CYAML_FIELD_BOOL(#member, CYAML_FLAG_DEFAULT, struct type, member)
#define TEXT(type, member)                                                                         \
    CYAML_FIELD_STRING_PTR(#member, CYAML_FLAG_POINTER, struct type, member, 0, TEXT_MAX)
#define ONE_OF(type, member, names)                                                                \
    CYAML_FIELD_ENUM(#member, CYAML_FLAG_STRICT, struct type, member, names, COUNT(names))
#define SECTION(type, member, fields)                                                              \
    CYAML_FIELD_MAPPING(#member, CYAML_FLAG_DEFAULT, struct type, member, fields)
#define LIST(type, member, entry, most)                                                            \
    CYAML_FIELD_SEQUENCE(#member, CYAML_FLAG_POINTER, struct type, member, entry, 0, most)

static const cyaml_schema_field_t run_fields[] = {
    TEXT(gr_run_config, name),
    WHOLE(gr_run_config, seed),
    WHOLE(gr_run_config, rounds),
    TEXT(gr_run_config, directory),
    ONE_OF(gr_run_config, placement, placements),
    YES_NO(gr_run_config, rehearsal),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t table_fields[] = {
    TEXT(gr_table_config, features),
    TEXT(gr_table_config, labels),
    TEXT(gr_table_config, file),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t table_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gr_table_config, table_fields)};

static const cyaml_schema_field_t partition_fields[] = {
    ONE_OF(gr_partition_config, method, partitions),
    REAL(gr_partition_config, alpha),
    WHOLE(gr_partition_config, shards_per_silo),
    WHOLE(gr_partition_config, minimum_rows),
    TEXT(gr_partition_config, column),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t synthetic_fields[] = {
    REAL(gr_synthetic_config, alpha),
    REAL(gr_synthetic_config, beta),
    NAMED(gr_synthetic_config, "features", n_features),
    NAMED(gr_synthetic_config, "classes", n_classes),
    WHOLE(gr_synthetic_config, minimum_rows),
    WHOLE(gr_synthetic_config, maximum_rows),
    WHOLE(gr_synthetic_config, test_rows),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t csv_fields[] = {
    ONE_OF(gr_csv_config, separator, separators),
    YES_NO(gr_csv_config, header),
    TEXT(gr_csv_config, label),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t data_fields[] = {
    ONE_OF(gr_data_config, source, sources),
    WHOLE(gr_data_config, silos),
    SECTION(gr_data_config, train, table_fields),
    LIST(gr_data_config, silo_tables, &table_entry, SILO_TABLES_MAX),
    SECTION(gr_data_config, test, table_fields),
    SECTION(gr_data_config, partition, partition_fields),
    SECTION(gr_data_config, synthetic, synthetic_fields),
    REAL(gr_data_config, validation_fraction),
    WHOLE(gr_data_config, limit),
    SECTION(gr_data_config, csv, csv_fields),
    TEXT(gr_data_config, schema),
    WHOLE(gr_data_config, disclosure_threshold),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t width_entry = {CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t)};

static const cyaml_schema_field_t layer_fields[] = {
    ONE_OF(gr_layer_config, type, layer_types),
    WHOLE(gr_layer_config, filters),
    WHOLE(gr_layer_config, width),
    WHOLE(gr_layer_config, kernel),
    WHOLE(gr_layer_config, stride),
    ONE_OF(gr_layer_config, padding, paddings),
    ONE_OF(gr_layer_config, activation, layer_activations),
    WHOLE(gr_layer_config, groups),
    REAL(gr_layer_config, rate),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t layer_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gr_layer_config, layer_fields)};

static const cyaml_schema_field_t model_fields[] = {
    ONE_OF(gr_model_config, type, models),
    LIST(gr_model_config, hidden, &width_entry, HIDDEN_MAX),
    LIST(gr_model_config, layers, &layer_entry, LAYERS_MAX),
    ONE_OF(gr_model_config, activation, activations),
    ONE_OF(gr_model_config, initialisation, initialisations),
    ONE_OF(gr_model_config, compute, computes),
    ONE_OF(gr_model_config, loss, losses),
    REAL(gr_model_config, label_smoothing),
    REAL(gr_model_config, huber_delta),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t schedule_fields[] = {
    ONE_OF(gr_schedule_config, type, schedules),
    WHOLE(gr_schedule_config, warmup_rounds),
    WHOLE(gr_schedule_config, every),
    REAL(gr_schedule_config, factor),
    REAL(gr_schedule_config, minimum),
    WHOLE(gr_schedule_config, rounds),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t train_fields[] = {
    ONE_OF(gr_train_config, optimizer, optimizers),
    REAL(gr_train_config, learning_rate),
    SECTION(gr_train_config, schedule, schedule_fields),
    REAL(gr_train_config, momentum),
    REAL(gr_train_config, beta1),
    REAL(gr_train_config, beta2),
    REAL(gr_train_config, epsilon),
    REAL(gr_train_config, weight_decay),
    REAL(gr_train_config, clip_norm),
    REAL(gr_train_config, proximal_mu),
    WHOLE(gr_train_config, batch_size),
    WHOLE(gr_train_config, epochs),
    WHOLE(gr_train_config, steps),
    REAL(gr_train_config, seconds),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t silo_entry = {CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t)};

static const cyaml_schema_field_t availability_fields[] = {
    LIST(gr_availability_config, silos, &silo_entry, AVAILABILITY_MAX),
    WHOLE(gr_availability_config, from),
    WHOLE(gr_availability_config, to),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t availability_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gr_availability_config, availability_fields)};

static const cyaml_schema_field_t round_fields[] = {
    WHOLE(gr_round_config, participants),
    ONE_OF(gr_round_config, sampling, samplings),
    YES_NO(gr_round_config, share_sizes),
    LIST(gr_round_config, availability, &availability_entry, AVAILABILITY_MAX),
    WHOLE(gr_round_config, quorum),
    REAL(gr_round_config, deadline_s),
    REAL(gr_round_config, collective_deadline_s),
    REAL(gr_round_config, heartbeat_s),
    YES_NO(gr_round_config, respawn),
    TEXT(gr_round_config, replay),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t strategy_fields[] = {
    ONE_OF(gr_strategy_config, name, strategies),
    REAL(gr_strategy_config, server_learning_rate),
    REAL(gr_strategy_config, server_momentum),
    REAL(gr_strategy_config, beta1),
    REAL(gr_strategy_config, beta2),
    REAL(gr_strategy_config, tau),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t aggregation_fields[] = {
    ONE_OF(gr_aggregation_config, encoding, encodings),
    WHOLE(gr_aggregation_config, ranks_per_node),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t metric_entry = {
    CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, enum gr_metric, metrics, METRICS_NAMED)};

static const cyaml_schema_field_t evaluate_fields[] = {
    WHOLE(gr_evaluate_config, every),
    LIST(gr_evaluate_config, metrics, &metric_entry, METRICS_NAMED),
    YES_NO(gr_evaluate_config, per_silo),
    WHOLE(gr_evaluate_config, minimum_rows),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t stop_fields[] = {
    ONE_OF(gr_stop_config, metric, stop_metrics),
    WHOLE(gr_stop_config, patience),
    REAL(gr_stop_config, minimum_delta),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t checkpoint_fields[] = {
    WHOLE(gr_checkpoint_config, every),
    WHOLE(gr_checkpoint_config, keep),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t alerts_fields[] = {
    REAL(gr_alerts_config, participation),
    WHOLE(gr_alerts_config, rounds),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t fault_fields[] = {
    ONE_OF(gr_fault_config, kind, fault_kinds),
    WHOLE(gr_fault_config, silo),
    WHOLE(gr_fault_config, round),
    ONE_OF(gr_fault_config, point, fault_points),
    REAL(gr_fault_config, after_s),
    REAL(gr_fault_config, seconds),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t fault_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gr_fault_config, fault_fields)};

static const cyaml_schema_field_t config_fields[] = {
    SECTION(gr_config, run, run_fields),
    SECTION(gr_config, data, data_fields),
    SECTION(gr_config, model, model_fields),
    SECTION(gr_config, train, train_fields),
    SECTION(gr_config, round, round_fields),
    SECTION(gr_config, strategy, strategy_fields),
    SECTION(gr_config, aggregation, aggregation_fields),
    SECTION(gr_config, evaluate, evaluate_fields),
    SECTION(gr_config, stop, stop_fields),
    SECTION(gr_config, checkpoint, checkpoint_fields),
    SECTION(gr_config, alerts, alerts_fields),
    LIST(gr_config, faults, &fault_entry, FAULTS_MAX),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t gr_config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct gr_config, config_fields)};

/* ---- defaults and allowed values ---------------------------------------------------------- */

#define FROM_TO(low, high) .whole_low = (low), .whole_high = (high)
#define BETWEEN(low, high) .real_low = (low), .real_high = (high)

enum {
    REQUIRED = GR_SETTING_REQUIRED,
    ABOVE = GR_SETTING_ABOVE,
    BELOW = GR_SETTING_BELOW,
    CHANGEABLE = GR_SETTING_CHANGEABLE,
    SILOS_MAX = 1000000,
    ROUNDS_MAX = 10000000,
    WIDTH_MAX = 65536,
    KERNEL_MAX = 1024,
    SECONDS_MAX = 1000000,
    RATE_MAX = 1000, /* of a learning rate and the like: beyond it there is no sense, and float32
                        runs out of range */
};

const struct gr_setting gr_settings[] = {
    {.path = "run.name", .standard = "run", .flags = CHANGEABLE},
    {.path = "run.seed", .standard = "1", FROM_TO(0, UINT64_MAX)},
    {.path = "run.rounds", .flags = REQUIRED | CHANGEABLE, FROM_TO(1, ROUNDS_MAX)},
    {.path = "run.directory", .standard = "runs", .flags = CHANGEABLE},
    {.path = "run.placement", .standard = "block", .flags = CHANGEABLE},
    {.path = "run.rehearsal", .standard = "false", .flags = CHANGEABLE},
    {.path = "data.source", .flags = REQUIRED},
    /* Its default says "as many as there are tables". */
    {.path = "data.silos", .standard = "0", FROM_TO(1, SILOS_MAX)},
    {.path = "data.train.features"},
    {.path = "data.train.labels"},
    {.path = "data.train.file"},
    {.path = "data.silo_tables"},
    {.path = "data.test.features"},
    {.path = "data.test.labels"},
    {.path = "data.test.file"},
    {.path = "data.partition.method", .standard = "iid"},
    {.path = "data.partition.alpha", .standard = "0.3", .flags = ABOVE, BETWEEN(0, 1e6)},
    {.path = "data.partition.shards_per_silo", .standard = "2", FROM_TO(1, 1000)},
    {.path = "data.partition.minimum_rows", .standard = "1", FROM_TO(1, 1000000000)},
    {.path = "data.partition.column"},
    {.path = "data.synthetic.alpha", .standard = "1", BETWEEN(0, 1e6)},
    {.path = "data.synthetic.beta", .standard = "1", BETWEEN(0, 1e6)},
    {.path = "data.synthetic.features", .standard = "60", FROM_TO(1, WIDTH_MAX)},
    {.path = "data.synthetic.classes", .standard = "10", FROM_TO(2, WIDTH_MAX)},
    {.path = "data.synthetic.minimum_rows", .standard = "50", FROM_TO(1, 1000000)},
    {.path = "data.synthetic.maximum_rows", .standard = "2000", FROM_TO(1, 1000000)},
    {.path = "data.synthetic.test_rows", .standard = "20", FROM_TO(0, 1000000)},
    {.path = "data.validation_fraction", .standard = "0", BETWEEN(0, 0.9)},
    {.path = "data.limit", .standard = "0", FROM_TO(0, UINT32_MAX)},
    {.path = "data.csv.separator", .standard = "comma"},
    {.path = "data.csv.header", .standard = "true"},
    {.path = "data.csv.label", .standard = "label"},
    {.path = "data.schema"},
    {.path = "data.disclosure_threshold",
     .standard = "10",
     .flags = CHANGEABLE,
     FROM_TO(1, 1000000000)},
    {.path = "model.type", .flags = REQUIRED},
    {.path = "model.hidden", FROM_TO(1, WIDTH_MAX)},
    {.path = "model.layers"},
    {.path = "model.layers[].type", .flags = REQUIRED},
    {.path = "model.layers[].filters", .standard = "0", FROM_TO(0, WIDTH_MAX)},
    {.path = "model.layers[].width", .standard = "0", FROM_TO(0, WIDTH_MAX)},
    {.path = "model.layers[].kernel", .standard = "0", FROM_TO(0, KERNEL_MAX)},
    {.path = "model.layers[].stride", .standard = "0", FROM_TO(0, KERNEL_MAX)},
    {.path = "model.layers[].padding", .standard = "valid"},
    {.path = "model.layers[].activation", .standard = "default"},
    {.path = "model.layers[].groups", .standard = "0", FROM_TO(0, WIDTH_MAX)},
    {.path = "model.layers[].rate", .standard = "0", .flags = BELOW, BETWEEN(0, 1)},
    {.path = "model.activation", .standard = "relu"},
    {.path = "model.initialisation", .standard = "he"},
    {.path = "model.compute", .standard = "float32"},
    {.path = "model.loss", .standard = "default"},
    {.path = "model.label_smoothing", .standard = "0", .flags = BELOW, BETWEEN(0, 1)},
    {.path = "model.huber_delta", .standard = "1", .flags = ABOVE, BETWEEN(0, 1e6)},
    {.path = "train.optimizer", .standard = "sgd"},
    {.path = "train.learning_rate", .flags = REQUIRED | ABOVE, BETWEEN(0, RATE_MAX)},
    {.path = "train.schedule.type", .standard = "constant"},
    {.path = "train.schedule.warmup_rounds", .standard = "0", FROM_TO(0, ROUNDS_MAX)},
    {.path = "train.schedule.every", .standard = "10", FROM_TO(1, ROUNDS_MAX)},
    {.path = "train.schedule.factor", .standard = "0.5", .flags = ABOVE, BETWEEN(0, 1)},
    {.path = "train.schedule.minimum", .standard = "0", BETWEEN(0, RATE_MAX)},
    /* Its default says "run.rounds", with cosine. */
    {.path = "train.schedule.rounds", .standard = "0", FROM_TO(0, ROUNDS_MAX)},
    {.path = "train.momentum", .standard = "0", .flags = BELOW, BETWEEN(0, 1)},
    {.path = "train.beta1", .standard = "0.9", .flags = BELOW, BETWEEN(0, 1)},
    {.path = "train.beta2", .standard = "0.999", .flags = BELOW, BETWEEN(0, 1)},
    {.path = "train.epsilon", .standard = "1e-8", .flags = ABOVE, BETWEEN(0, 1)},
    {.path = "train.weight_decay", .standard = "0", BETWEEN(0, RATE_MAX)},
    {.path = "train.clip_norm", .standard = "0", BETWEEN(0, 1e6)},
    {.path = "train.proximal_mu", .standard = "0", BETWEEN(0, RATE_MAX)},
    {.path = "train.batch_size", .flags = REQUIRED, FROM_TO(1, 65536)},
    {.path = "train.epochs", .standard = "1", FROM_TO(0, 1000000)},
    {.path = "train.steps", .standard = "0", FROM_TO(0, 1000000000)},
    {.path = "train.seconds", .standard = "0", BETWEEN(0, SECONDS_MAX)},
    {.path = "round.participants", .standard = "0", FROM_TO(0, SILOS_MAX)},
    {.path = "round.sampling", .standard = "uniform"},
    {.path = "round.share_sizes", .standard = "false", .flags = CHANGEABLE},
    {.path = "round.availability"},
    /* Digested with their list. */
    {.path = "round.availability[].silos",
     .flags = REQUIRED | CHANGEABLE,
     FROM_TO(0, SILOS_MAX - 1)},
    {.path = "round.availability[].from",
     .standard = "1",
     .flags = CHANGEABLE,
     FROM_TO(1, ROUNDS_MAX)},
    {.path = "round.availability[].to",
     .standard = "0",
     .flags = CHANGEABLE,
     FROM_TO(0, ROUNDS_MAX)},
    {.path = "round.quorum", .standard = "1", .flags = CHANGEABLE, FROM_TO(1, SILOS_MAX)},
    {.path = "round.deadline_s",
     .standard = "3600",
     .flags = ABOVE | CHANGEABLE,
     BETWEEN(0, SECONDS_MAX)},
    {.path = "round.collective_deadline_s",
     .standard = "60",
     .flags = ABOVE | CHANGEABLE,
     BETWEEN(0, SECONDS_MAX)},
    {.path = "round.heartbeat_s", .standard = "30", .flags = CHANGEABLE, BETWEEN(0, SECONDS_MAX)},
    {.path = "round.respawn", .standard = "false", .flags = CHANGEABLE},
    {.path = "round.replay", .flags = CHANGEABLE},
    {.path = "strategy.name", .standard = "fedavg"},
    {.path = "strategy.server_learning_rate",
     .standard = "1",
     .flags = ABOVE,
     BETWEEN(0, RATE_MAX)},
    {.path = "strategy.server_momentum", .standard = "0.9", .flags = BELOW, BETWEEN(0, 1)},
    {.path = "strategy.beta1", .standard = "0.9", .flags = BELOW, BETWEEN(0, 1)},
    {.path = "strategy.beta2", .standard = "0.99", .flags = BELOW, BETWEEN(0, 1)},
    {.path = "strategy.tau", .standard = "0.001", .flags = ABOVE, BETWEEN(0, RATE_MAX)},
    {.path = "aggregation.encoding", .standard = "ring32"},
    {.path = "aggregation.ranks_per_node",
     .standard = "0",
     .flags = CHANGEABLE,
     FROM_TO(0, SILOS_MAX)},
    {.path = "evaluate.every", .standard = "1", .flags = CHANGEABLE, FROM_TO(0, ROUNDS_MAX)},
    {.path = "evaluate.metrics",
     .standard = "balanced_accuracy macro_f1 calibration_error mae r2",
     .flags = CHANGEABLE},
    {.path = "evaluate.per_silo", .standard = "false", .flags = CHANGEABLE},
    {.path = "evaluate.minimum_rows",
     .standard = "10",
     .flags = CHANGEABLE,
     FROM_TO(1, UINT32_MAX)},
    {.path = "stop.metric", .standard = "none"},
    {.path = "stop.patience", .standard = "10", .flags = CHANGEABLE, FROM_TO(0, ROUNDS_MAX)},
    {.path = "stop.minimum_delta", .standard = "0", BETWEEN(0, 1e6)},
    {.path = "checkpoint.every", .standard = "1", .flags = CHANGEABLE, FROM_TO(0, ROUNDS_MAX)},
    {.path = "checkpoint.keep", .standard = "2", .flags = CHANGEABLE, FROM_TO(1, ROUNDS_MAX)},
    {.path = "alerts.participation", .standard = "0.5", .flags = CHANGEABLE, BETWEEN(0, 1)},
    {.path = "alerts.rounds", .standard = "3", .flags = CHANGEABLE, FROM_TO(1, ROUNDS_MAX)},
    {.path = "faults[].kind", .flags = REQUIRED | CHANGEABLE},
    {.path = "faults[].silo", .flags = REQUIRED | CHANGEABLE, FROM_TO(0, SILOS_MAX - 1)},
    {.path = "faults[].round", .flags = REQUIRED | CHANGEABLE, FROM_TO(1, ROUNDS_MAX)},
    {.path = "faults[].point", .standard = "train", .flags = CHANGEABLE},
    {.path = "faults[].after_s", .standard = "0", .flags = CHANGEABLE, BETWEEN(0, SECONDS_MAX)},
    {.path = "faults[].seconds", .standard = "0", .flags = CHANGEABLE, BETWEEN(0, SECONDS_MAX)},
    /* Of a schema's file, not of a config. */
    {.path = "columns", .flags = REQUIRED | CHANGEABLE},
    {.path = "columns[].name", .flags = REQUIRED | CHANGEABLE},
    {.path = "columns[].type", .flags = REQUIRED | CHANGEABLE},
    {.path = "columns[].unit", .flags = CHANGEABLE},
    {.path = "columns[].range", .flags = CHANGEABLE, BETWEEN(-FLT_MAX, FLT_MAX)},
    {.path = "columns[].categories", .flags = CHANGEABLE},
    {.path = "columns[].missing", .standard = "refuse", .flags = CHANGEABLE},
    {.path = "columns[].encode", .standard = "code", .flags = CHANGEABLE},
};

const size_t gr_settings_count = COUNT(gr_settings);

_Static_assert(COUNT(gr_settings) <= GR_SETTINGS_MAX, "more settings than GR_SETTINGS_MAX");
_Static_assert(COUNT(config_fields) <= GR_FIELDS_MAX && COUNT(run_fields) <= GR_FIELDS_MAX &&
                   COUNT(data_fields) <= GR_FIELDS_MAX && COUNT(table_fields) <= GR_FIELDS_MAX &&
                   COUNT(partition_fields) <= GR_FIELDS_MAX &&
                   COUNT(synthetic_fields) <= GR_FIELDS_MAX &&
                   COUNT(model_fields) <= GR_FIELDS_MAX && COUNT(train_fields) <= GR_FIELDS_MAX &&
                   COUNT(round_fields) <= GR_FIELDS_MAX &&
                   COUNT(schedule_fields) <= GR_FIELDS_MAX &&
                   COUNT(strategy_fields) <= GR_FIELDS_MAX &&
                   COUNT(aggregation_fields) <= GR_FIELDS_MAX &&
                   COUNT(evaluate_fields) <= GR_FIELDS_MAX && COUNT(stop_fields) <= GR_FIELDS_MAX &&
                   COUNT(checkpoint_fields) <= GR_FIELDS_MAX &&
                   COUNT(alerts_fields) <= GR_FIELDS_MAX && COUNT(fault_fields) <= GR_FIELDS_MAX &&
                   COUNT(csv_fields) <= GR_FIELDS_MAX && COUNT(layer_fields) <= GR_FIELDS_MAX,
               "a section of more keys than GR_FIELDS_MAX");
