/* SPDX-License-Identifier: Apache-2.0 */
/* The settings as libcyaml's tables: the rows of granary/settings.h and study.h with their members'
 * places.
 * Defaults and bounds are not here but in defaults.c: libcyaml knows neither. */
#include "config/schema.h"

#include <granary/study.h>

enum { TEXT_MAX = 4096 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A list of words. */
#define WORD(value, word)      {word, value},
#define LAYER(type, name, ...) {#name, type},
#define STRINGS(rows)          ((const cyaml_strval_t[]){rows})
#define ENTRY(...)             (&(const cyaml_schema_value_t){__VA_ARGS__})
#define SECTION_ENTRY(type)                                                                        \
    ENTRY(CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct type, type##_fields))
#define LIST_FIELD(in, name, of, most)                                                             \
    CYAML_FIELD_SEQUENCE(#name, CYAML_FLAG_POINTER, struct in, name, of, 0, most),

/* Nothing is optional here: libcyaml is given a tree in which every default has been filled in. */
#define FIELD_WHOLE(in, name, ...)  CYAML_FIELD_UINT(#name, CYAML_FLAG_DEFAULT, struct in, name),
#define FIELD_WIDE(in, name, ...)   CYAML_FIELD_UINT(#name, CYAML_FLAG_DEFAULT, struct in, name),
#define FIELD_COUNT(in, name, ...)  CYAML_FIELD_UINT(#name, CYAML_FLAG_DEFAULT, struct in, n_##name),
#define FIELD_REAL(in, name, ...)   CYAML_FIELD_FLOAT(#name, CYAML_FLAG_DEFAULT, struct in, name),
#define FIELD_YES_NO(in, name, ...) CYAML_FIELD_BOOL(#name, CYAML_FLAG_DEFAULT, struct in, name),
#define FIELD_TEXT(in, name, ...)                                                                  \
    CYAML_FIELD_STRING_PTR(#name, CYAML_FLAG_POINTER, struct in, name, 0, TEXT_MAX),
#define FIELD_ONE_OF(in, name, type, words, ...)                                                   \
    CYAML_FIELD_ENUM(#name, CYAML_FLAG_STRICT, struct in, name, STRINGS(words(WORD)),              \
                     COUNT(STRINGS(words(WORD)))),
#define FIELD_LAYER(in, name, ...)                                                                 \
    CYAML_FIELD_ENUM(#name, CYAML_FLAG_STRICT, struct in, name, STRINGS(GR_LAYER_TYPES(LAYER)),    \
                     GR_LAYER_TYPES_NAMED),
#define FIELD_WHOLES(in, name, most, ...)                                                          \
    LIST_FIELD(in, name, ENTRY(CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t)), most)
#define FIELD_TEXTS(in, name, most, ...)                                                           \
    LIST_FIELD(in, name, ENTRY(CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, TEXT_MAX)), most)
#define FIELD_SECTION(in, name, type, ...)                                                         \
    CYAML_FIELD_MAPPING(#name, CYAML_FLAG_DEFAULT, struct in, name, type##_fields),
#define FIELD_SECTIONS(in, name, type, keys, most, ...)                                            \
    LIST_FIELD(in, name, SECTION_ENTRY(type), most)
#define FIELD_STRATEGY(in, name, type)                                                             \
    CYAML_FIELD_MAPPING(#name, CYAML_FLAG_DEFAULT, struct in, name, gr_strategy_fields),
#define FIELD_PART(in, name, type, ...)                                                            \
    CYAML_FIELD_MAPPING(#name, CYAML_FLAG_DEFAULT, struct in, name, type##_fields),
#define FIELD_PARTS(in, name, type, keys, most, ...) LIST_FIELD(in, name, SECTION_ENTRY(type), most)

#define FIELDS(type, keys)                                                                         \
    static const cyaml_schema_field_t type##_fields[] = {keys(FIELD, type) CYAML_FIELD_END};       \
    _Static_assert(COUNT(type##_fields) <= GR_FIELDS_MAX, "more keys than GR_FIELDS_MAX");

GR_SECTION_LISTS(FIELDS)
GR_STUDY_SECTION_LISTS(FIELDS)
GR_SITE_SECTION_LISTS(FIELDS)

const cyaml_schema_value_t gr_config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct gr_config, gr_config_fields)};

const cyaml_schema_value_t gr_study_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct gr_study_config, gr_study_config_fields)};
const cyaml_schema_value_t gr_site_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct gr_site_config, gr_site_config_fields)};
