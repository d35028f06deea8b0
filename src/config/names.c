/* SPDX-License-Identifier: Apache-2.0 */
/* Names of values, as they stand in a config. */
#include "config/names.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

const cyaml_strval_t gr_source_names[4] = {{"idx", GR_SOURCE_IDX},
                                           {"hdf5", GR_SOURCE_HDF5},
                                           {"csv", GR_SOURCE_CSV},
                                           {"synthetic", GR_SOURCE_SYNTHETIC}};
const cyaml_strval_t gr_partition_names[4] = {{"iid", GR_PARTITION_IID},
                                              {"dirichlet", GR_PARTITION_DIRICHLET},
                                              {"shards", GR_PARTITION_SHARDS},
                                              {"column", GR_PARTITION_COLUMN}};
const cyaml_strval_t gr_separator_names[7] = {
    {"comma", GR_SEPARATOR_COMMA}, {"semicolon", GR_SEPARATOR_SEMICOLON},
    {"tab", GR_SEPARATOR_TAB},     {"pipe", GR_SEPARATOR_PIPE},
    {"space", GR_SEPARATOR_SPACE}, {"blanks", GR_SEPARATOR_BLANKS},
    {"auto", GR_SEPARATOR_AUTO}};
const cyaml_strval_t gr_text_encoding_names[2] = {{"utf8", GR_TEXT_UTF8},
                                                  {"latin1", GR_TEXT_LATIN1}};
const cyaml_strval_t gr_scale_names[3] = {
    {"none", GR_SCALE_NONE}, {"standardise", GR_SCALE_STANDARDISE}, {"min_max", GR_SCALE_MIN_MAX}};
const cyaml_strval_t gr_column_scale_names[4] = {{"default", GR_SCALE_DEFAULT},
                                                 {"none", GR_SCALE_NONE},
                                                 {"standardise", GR_SCALE_STANDARDISE},
                                                 {"min_max", GR_SCALE_MIN_MAX}};
const cyaml_strval_t gr_model_names[7] = {
    {"softmax", GR_MODEL_SOFTMAX}, {"mlp", GR_MODEL_MLP},
    {"linear", GR_MODEL_LINEAR},   {"logistic", GR_MODEL_LOGISTIC},
    {"poisson", GR_MODEL_POISSON}, {"cnn", GR_MODEL_CNN},
    {"bag", GR_MODEL_BAG}};
const cyaml_strval_t gr_activation_names[3] = {
    {"relu", GR_ACTIVATION_RELU}, {"gelu", GR_ACTIVATION_GELU}, {"tanh", GR_ACTIVATION_TANH}};
const cyaml_strval_t gr_layer_activation_names[5] = {{"relu", GR_ACTIVATION_RELU},
                                                     {"gelu", GR_ACTIVATION_GELU},
                                                     {"tanh", GR_ACTIVATION_TANH},
                                                     {"none", GR_ACTIVATION_NONE},
                                                     {"default", GR_ACTIVATION_DEFAULT}};
/* Those that a config may name come first: LAYERS_NAMED in schema.c. */
const cyaml_strval_t gr_layer_type_names[8] = {{"conv", GR_LAYER_CONV},
                                               {"max_pool", GR_LAYER_MAX_POOL},
                                               {"average_pool", GR_LAYER_AVERAGE_POOL},
                                               {"group_norm", GR_LAYER_GROUP_NORM},
                                               {"dropout", GR_LAYER_DROPOUT},
                                               {"dense", GR_LAYER_DENSE},
                                               {"embedding", GR_LAYER_EMBEDDING},
                                               {"bag", GR_LAYER_BAG}};
const cyaml_strval_t gr_padding_names[2] = {{"valid", GR_PADDING_VALID}, {"same", GR_PADDING_SAME}};
const cyaml_strval_t gr_loss_names[6] = {{"default", GR_LOSS_DEFAULT},
                                         {"cross_entropy", GR_LOSS_CROSS_ENTROPY},
                                         {"binary_cross_entropy", GR_LOSS_BINARY_CROSS_ENTROPY},
                                         {"squared", GR_LOSS_SQUARED},
                                         {"huber", GR_LOSS_HUBER},
                                         {"poisson", GR_LOSS_POISSON}};
const cyaml_strval_t gr_initialisation_names[2] = {{"he", GR_INITIALISE_HE},
                                                   {"glorot", GR_INITIALISE_GLOROT}};
const cyaml_strval_t gr_compute_names[2] = {{"float32", GR_COMPUTE_FLOAT32},
                                            {"bfloat16", GR_COMPUTE_BFLOAT16}};
const cyaml_strval_t gr_optimizer_names[4] = {{"sgd", GR_OPTIMIZER_SGD},
                                              {"nesterov", GR_OPTIMIZER_NESTEROV},
                                              {"adam", GR_OPTIMIZER_ADAM},
                                              {"adamw", GR_OPTIMIZER_ADAMW}};
const cyaml_strval_t gr_solver_state_names[2] = {{"reset", GR_SOLVER_RESET},
                                                 {"keep", GR_SOLVER_KEEP}};
const cyaml_strval_t gr_class_weights_names[2] = {{"none", GR_CLASS_WEIGHTS_NONE},
                                                  {"balanced", GR_CLASS_WEIGHTS_BALANCED}};
const cyaml_strval_t gr_schedule_names[3] = {
    {"constant", GR_SCHEDULE_CONSTANT}, {"step", GR_SCHEDULE_STEP}, {"cosine", GR_SCHEDULE_COSINE}};
const cyaml_strval_t gr_sampling_names[4] = {{"uniform", GR_SAMPLING_UNIFORM},
                                             {"size", GR_SAMPLING_SIZE},
                                             {"cyclic", GR_SAMPLING_CYCLIC},
                                             {"list", GR_SAMPLING_LIST}};
const cyaml_strval_t gr_stop_metric_names[3] = {
    {"none", GR_STOP_NONE},
    {"validation_loss", GR_STOP_VALIDATION_LOSS},
    {"validation_accuracy", GR_STOP_VALIDATION_ACCURACY}};
const cyaml_strval_t gr_encoding_names[4] = {{"ring32", GR_ENCODING_RING32},
                                             {"ring64", GR_ENCODING_RING64},
                                             {"ring16", GR_ENCODING_RING16},
                                             {"float32", GR_ENCODING_FLOAT32}};
const cyaml_strval_t gr_placement_names[2] = {{"block", GR_PLACEMENT_BLOCK},
                                              {"cyclic", GR_PLACEMENT_CYCLIC}};
const cyaml_strval_t gr_fault_kind_names[7] = {
    {"kill", GR_FAULT_KILL},      {"stop", GR_FAULT_STOP}, {"delay", GR_FAULT_DELAY},
    {"slow", GR_FAULT_SLOW},      {"nan", GR_FAULT_NAN},   {"explode", GR_FAULT_EXPLODE},
    {"corrupt", GR_FAULT_CORRUPT}};
const cyaml_strval_t gr_fault_point_names[18] = {{"train", GR_POINT_TRAIN},
                                                 {"ready", GR_POINT_READY},
                                                 {"aggregate", GR_POINT_AGGREGATE},
                                                 {"seal", GR_POINT_SEAL},
                                                 {"commit", GR_POINT_COMMIT},
                                                 {"evaluate", GR_POINT_EVALUATE},
                                                 {"score", GR_POINT_SCORE},
                                                 {"record", GR_POINT_RECORD},
                                                 {"checkpoint", GR_POINT_CHECKPOINT},
                                                 {"recover", GR_POINT_RECOVER},
                                                 {"load", GR_POINT_LOAD},
                                                 {"compare", GR_POINT_COMPARE},
                                                 {"fit", GR_POINT_FIT},
                                                 {"dictionary", GR_POINT_DICTIONARY},
                                                 {"count", GR_POINT_COUNT},
                                                 {"open", GR_POINT_OPEN},
                                                 {"fingerprint", GR_POINT_FINGERPRINT},
                                                 {"start", GR_POINT_START}};

static const char *name_of(const cyaml_strval_t *names, size_t n, int64_t value) {
    for (size_t i = 0; i < n; i++)
        if (names[i].val == value) return names[i].str;
    return "unknown";
}

const char *gr_encoding_text(enum gr_encoding encoding) {
    return name_of(gr_encoding_names, COUNT(gr_encoding_names), encoding);
}

const char *gr_stop_text(enum gr_stop_metric metric) {
    return name_of(gr_stop_metric_names, COUNT(gr_stop_metric_names), metric);
}

const char *gr_sampling_text(enum gr_sampling sampling) {
    return name_of(gr_sampling_names, COUNT(gr_sampling_names), sampling);
}

const char *gr_optimizer_text(enum gr_optimizer optimizer) {
    return name_of(gr_optimizer_names, COUNT(gr_optimizer_names), optimizer);
}

const char *gr_model_type_text(enum gr_model_type type) {
    return name_of(gr_model_names, COUNT(gr_model_names), type);
}

const char *gr_layer_type_text(enum gr_layer_type type) {
    return name_of(gr_layer_type_names, COUNT(gr_layer_type_names), type);
}

const char *gr_padding_text(enum gr_padding padding) {
    return name_of(gr_padding_names, COUNT(gr_padding_names), padding);
}

const char *gr_loss_text(enum gr_loss_type loss) {
    return name_of(gr_loss_names, COUNT(gr_loss_names), loss);
}

const char *gr_activation_text(enum gr_activation activation) {
    return name_of(gr_layer_activation_names, COUNT(gr_layer_activation_names), activation);
}

const char *gr_compute_text(enum gr_compute compute) {
    return name_of(gr_compute_names, COUNT(gr_compute_names), compute);
}

const char *gr_partition_text(enum gr_partition_method method) {
    return name_of(gr_partition_names, COUNT(gr_partition_names), method);
}

const char *gr_scale_text(enum gr_scale scale) {
    return name_of(gr_column_scale_names, COUNT(gr_column_scale_names), scale);
}

char gr_separator_byte(enum gr_separator separator) {
    return ",;\t|  ,"[separator]; /* auto: comma, where nobody has looked */
}
