/* SPDX-License-Identifier: Apache-2.0 */
/* Names of values, as they stand in a config; the lengths are for libcyaml's tables of fields. */
#ifndef GR_CONFIG_NAMES_H
#define GR_CONFIG_NAMES_H

#include <cyaml/cyaml.h>

#include <granary/config.h>

extern const cyaml_strval_t gr_source_names[4];
extern const cyaml_strval_t gr_partition_names[4];
extern const cyaml_strval_t gr_separator_names[7];
extern const cyaml_strval_t gr_text_encoding_names[2];
extern const cyaml_strval_t gr_scale_names[3];
extern const cyaml_strval_t gr_column_scale_names[4];
extern const cyaml_strval_t gr_model_names[7];
extern const cyaml_strval_t gr_activation_names[3];
extern const cyaml_strval_t gr_layer_activation_names[5];
extern const cyaml_strval_t gr_layer_type_names[8];
extern const cyaml_strval_t gr_padding_names[2];
extern const cyaml_strval_t gr_loss_names[6];
extern const cyaml_strval_t gr_initialisation_names[2];
extern const cyaml_strval_t gr_compute_names[2];
extern const cyaml_strval_t gr_optimizer_names[4];
extern const cyaml_strval_t gr_solver_state_names[2];
extern const cyaml_strval_t gr_class_weights_names[2];
extern const cyaml_strval_t gr_schedule_names[3];
extern const cyaml_strval_t gr_sampling_names[4];
extern const cyaml_strval_t gr_stop_metric_names[3];
extern const cyaml_strval_t gr_encoding_names[4];
extern const cyaml_strval_t gr_placement_names[2];
extern const cyaml_strval_t gr_fault_kind_names[7];
extern const cyaml_strval_t gr_fault_point_names[18];

#endif
