/* SPDX-License-Identifier: Apache-2.0 */
/* Members of JSON that may be of any kind: what is not there, or another kind, is none. */
#ifndef GRANARY_OBSERVE_JSON_H
#define GRANARY_OBSERVE_JSON_H

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* NULL: none. */
static inline const char *gr_json_text(const json_t *json, const char *key) {
    return json_string_value(json_object_get(json, key));
}

/* 0: none. */
static inline uint64_t gr_json_count(const json_t *json, const char *key) {
    json_int_t value = json_integer_value(json_object_get(json, key));
    return value > 0 ? (uint64_t)value : 0;
}

/* NAN: none. */
static inline double gr_json_number(const json_t *value) {
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}
static inline double gr_json_real(const json_t *json, const char *key) {
    return gr_json_number(json_object_get(json, key));
}

/* 17 of "silo-017"; -1 for anything else. */
static inline int64_t gr_json_silo(const char *pseudonym) {
    if (!pseudonym || strncmp(pseudonym, "silo-", 5) != 0) return -1;
    const size_t digits = strspn(pseudonym + 5, "0123456789");
    if (digits < 3 || digits > 9 || pseudonym[5 + digits] != '\0') return -1;
    return strtoll(pseudonym + 5, NULL, 10);
}

#endif
