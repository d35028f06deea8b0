/* SPDX-License-Identifier: Apache-2.0 */
/* The settings that exist: names, types, members. Their defaults are in defaults.c. */
#include "config/schema.h"

#include "config/names.h"

enum {
    TEXT_MAX = 4096,
    HIDDEN_MAX = 32,
    LAYERS_MAX = 64,
    SILO_TABLES_MAX = 10000,
    FAULTS_MAX = 64,
    AVAILABILITY_MAX = 1000,
    LAYERS_NAMED = 6 /* others follow from the model's type */
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

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
    ONE_OF(gr_run_config, placement, gr_placement_names),
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
    ONE_OF(gr_partition_config, method, gr_partition_names),
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
    ONE_OF(gr_csv_config, separator, gr_separator_names),
    YES_NO(gr_csv_config, header),
    TEXT(gr_csv_config, label),
    ONE_OF(gr_csv_config, encoding, gr_text_encoding_names),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t data_fields[] = {
    ONE_OF(gr_data_config, source, gr_source_names),
    WHOLE(gr_data_config, silos),
    SECTION(gr_data_config, train, table_fields),
    LIST(gr_data_config, silo_tables, &table_entry, SILO_TABLES_MAX),
    SECTION(gr_data_config, test, table_fields),
    SECTION(gr_data_config, partition, partition_fields),
    SECTION(gr_data_config, synthetic, synthetic_fields),
    WHOLE(gr_data_config, split_seed),
    REAL(gr_data_config, validation_fraction),
    REAL(gr_data_config, test_fraction),
    YES_NO(gr_data_config, stratify),
    WHOLE(gr_data_config, limit),
    SECTION(gr_data_config, csv, csv_fields),
    TEXT(gr_data_config, schema),
    WHOLE(gr_data_config, disclosure_threshold),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t preprocess_fields[] = {
    ONE_OF(gr_preprocess_config, scale, gr_scale_names),
    YES_NO(gr_preprocess_config, clip),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t width_entry = {CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t)};

static const cyaml_schema_field_t layer_fields[] = {
    CYAML_FIELD_ENUM("type", CYAML_FLAG_STRICT, struct gr_layer_config, type, gr_layer_type_names,
                     LAYERS_NAMED),
    WHOLE(gr_layer_config, filters),
    WHOLE(gr_layer_config, width),
    WHOLE(gr_layer_config, kernel),
    WHOLE(gr_layer_config, stride),
    ONE_OF(gr_layer_config, padding, gr_padding_names),
    ONE_OF(gr_layer_config, activation, gr_layer_activation_names),
    WHOLE(gr_layer_config, groups),
    REAL(gr_layer_config, rate),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t layer_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gr_layer_config, layer_fields)};

static const cyaml_schema_field_t model_fields[] = {
    ONE_OF(gr_model_config, type, gr_model_names),
    LIST(gr_model_config, hidden, &width_entry, HIDDEN_MAX),
    LIST(gr_model_config, layers, &layer_entry, LAYERS_MAX),
    WHOLE(gr_model_config, embedding),
    WHOLE(gr_model_config, vocabulary),
    WHOLE(gr_model_config, classes),
    ONE_OF(gr_model_config, activation, gr_activation_names),
    ONE_OF(gr_model_config, initialisation, gr_initialisation_names),
    ONE_OF(gr_model_config, compute, gr_compute_names),
    ONE_OF(gr_model_config, loss, gr_loss_names),
    REAL(gr_model_config, label_smoothing),
    REAL(gr_model_config, huber_delta),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t schedule_fields[] = {
    ONE_OF(gr_schedule_config, type, gr_schedule_names),
    WHOLE(gr_schedule_config, warmup_rounds),
    WHOLE(gr_schedule_config, every),
    REAL(gr_schedule_config, factor),
    REAL(gr_schedule_config, minimum),
    WHOLE(gr_schedule_config, rounds),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t train_fields[] = {
    ONE_OF(gr_train_config, optimizer, gr_optimizer_names),
    REAL(gr_train_config, learning_rate),
    SECTION(gr_train_config, schedule, schedule_fields),
    REAL(gr_train_config, momentum),
    REAL(gr_train_config, beta1),
    REAL(gr_train_config, beta2),
    REAL(gr_train_config, epsilon),
    REAL(gr_train_config, weight_decay),
    YES_NO(gr_train_config, decay_biases),
    ONE_OF(gr_train_config, state, gr_solver_state_names),
    REAL(gr_train_config, clip_norm),
    REAL(gr_train_config, proximal_mu),
    ONE_OF(gr_train_config, class_weights, gr_class_weights_names),
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
    ONE_OF(gr_round_config, sampling, gr_sampling_names),
    YES_NO(gr_round_config, share_sizes),
    LIST(gr_round_config, availability, &availability_entry, AVAILABILITY_MAX),
    WHOLE(gr_round_config, quorum),
    REAL(gr_round_config, deadline_s),
    REAL(gr_round_config, collective_deadline_s),
    REAL(gr_round_config, heartbeat_s),
    REAL(gr_round_config, start_deadline_s),
    YES_NO(gr_round_config, respawn),
    TEXT(gr_round_config, replay),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t aggregation_fields[] = {
    ONE_OF(gr_aggregation_config, encoding, gr_encoding_names),
    WHOLE(gr_aggregation_config, ranks_per_node),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t metric_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, TEXT_MAX)};

static const cyaml_schema_field_t evaluate_fields[] = {
    WHOLE(gr_evaluate_config, every),
    LIST(gr_evaluate_config, metrics, &metric_entry, GR_METRICS_MAX),
    YES_NO(gr_evaluate_config, per_silo),
    WHOLE(gr_evaluate_config, minimum_rows),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t stop_fields[] = {
    ONE_OF(gr_stop_config, metric, gr_stop_metric_names),
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

static const cyaml_schema_field_t policy_fields[] = {
    WHOLE(gr_policy_config, minimum_silos),
    YES_NO(gr_policy_config, extremes),
    WHOLE(gr_policy_config, digits),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t fault_fields[] = {
    ONE_OF(gr_fault_config, kind, gr_fault_kind_names),
    WHOLE(gr_fault_config, silo),
    WHOLE(gr_fault_config, round),
    ONE_OF(gr_fault_config, point, gr_fault_point_names),
    REAL(gr_fault_config, after_s),
    REAL(gr_fault_config, seconds),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t fault_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gr_fault_config, fault_fields)};

static const cyaml_schema_field_t config_fields[] = {
    SECTION(gr_config, run, run_fields),
    SECTION(gr_config, data, data_fields),
    SECTION(gr_config, preprocess, preprocess_fields),
    SECTION(gr_config, model, model_fields),
    SECTION(gr_config, train, train_fields),
    SECTION(gr_config, round, round_fields),
    SECTION(gr_config, strategy, gr_strategy_fields),
    SECTION(gr_config, aggregation, aggregation_fields),
    SECTION(gr_config, evaluate, evaluate_fields),
    SECTION(gr_config, stop, stop_fields),
    SECTION(gr_config, checkpoint, checkpoint_fields),
    SECTION(gr_config, alerts, alerts_fields),
    SECTION(gr_config, policy, policy_fields),
    LIST(gr_config, faults, &fault_entry, FAULTS_MAX),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t gr_config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct gr_config, config_fields)};

_Static_assert(COUNT(config_fields) <= GR_FIELDS_MAX && COUNT(run_fields) <= GR_FIELDS_MAX &&
                   COUNT(data_fields) <= GR_FIELDS_MAX && COUNT(table_fields) <= GR_FIELDS_MAX &&
                   COUNT(partition_fields) <= GR_FIELDS_MAX &&
                   COUNT(synthetic_fields) <= GR_FIELDS_MAX &&
                   COUNT(model_fields) <= GR_FIELDS_MAX && COUNT(train_fields) <= GR_FIELDS_MAX &&
                   COUNT(round_fields) <= GR_FIELDS_MAX &&
                   COUNT(schedule_fields) <= GR_FIELDS_MAX &&
                   COUNT(aggregation_fields) <= GR_FIELDS_MAX &&
                   COUNT(evaluate_fields) <= GR_FIELDS_MAX && COUNT(stop_fields) <= GR_FIELDS_MAX &&
                   COUNT(checkpoint_fields) <= GR_FIELDS_MAX &&
                   COUNT(alerts_fields) <= GR_FIELDS_MAX && COUNT(policy_fields) <= GR_FIELDS_MAX &&
                   COUNT(fault_fields) <= GR_FIELDS_MAX && COUNT(csv_fields) <= GR_FIELDS_MAX &&
                   COUNT(layer_fields) <= GR_FIELDS_MAX,
               "a section of more keys than GR_FIELDS_MAX");
