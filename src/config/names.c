/* SPDX-License-Identifier: Apache-2.0 */
/* The words of values, as they stand in a config. All come from the lists of granary/settings.h,
 * which the parser reads too, so that a value shown can be written back. */
#include <granary/config.h>

/* A function that gives a value's word, by a list of words of granary/settings.h. */
#define CASE(value, word)                                                                          \
    case value:                                                                                    \
        return word;
#define TEXT_OF(function, type, words)                                                             \
    const char *function(enum type value) {                                                        \
        switch (value) { words(CASE) }                                                             \
        return "unknown";                                                                          \
    }

TEXT_OF(gr_encoding_text, gr_encoding, GR_ENCODING_WORDS)
TEXT_OF(gr_between_text, gr_between, GR_BETWEEN_WORDS)
TEXT_OF(gr_gate_kind_text, gr_gate_kind, GR_GATE_KIND_WORDS)
TEXT_OF(gr_privacy_unit_text, gr_privacy_unit, GR_PRIVACY_UNIT_WORDS)
TEXT_OF(gr_neighbours_text, gr_neighbours, GR_NEIGHBOURS_WORDS)
TEXT_OF(gr_noise_text, gr_noise_place, GR_NOISE_WORDS)
TEXT_OF(gr_private_sampling_text, gr_private_sampling, GR_PRIVATE_SAMPLING_WORDS)
TEXT_OF(gr_resampled_text, gr_resampled, GR_RESAMPLED_WORDS)
TEXT_OF(gr_stop_text, gr_stop_metric, GR_STOP_METRIC_WORDS)
TEXT_OF(gr_sampling_text, gr_sampling, GR_SAMPLING_WORDS)
TEXT_OF(gr_optimizer_text, gr_optimizer, GR_OPTIMIZER_WORDS)
TEXT_OF(gr_model_type_text, gr_model_type, GR_MODEL_WORDS)
TEXT_OF(gr_padding_text, gr_padding, GR_PADDING_WORDS)
TEXT_OF(gr_loss_text, gr_loss_type, GR_LOSS_WORDS)
TEXT_OF(gr_activation_text, gr_activation, GR_LAYER_ACTIVATION_WORDS)
TEXT_OF(gr_compute_text, gr_compute, GR_COMPUTE_WORDS)
TEXT_OF(gr_partition_text, gr_partition_method, GR_PARTITION_WORDS)
TEXT_OF(gr_scale_text, gr_scale, GR_COLUMN_SCALE_WORDS)

#define LAYER_CASE(type, name, ...) CASE(type, #name)
#define LAYER_WORDS(WORD)           GR_LAYER_TYPES(LAYER_CASE) GR_FRONT_LAYER_TYPES(LAYER_CASE)
TEXT_OF(gr_layer_type_text, gr_layer_type, LAYER_WORDS)

/* In the order of enum gr_separator; blanks are a space here, and the scan takes tabs too. */
char gr_separator_byte(enum gr_separator separator) {
    return ",;\t|  ,"[separator]; /* auto: comma, where nobody has looked */
}
