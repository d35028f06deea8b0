/* SPDX-License-Identifier: Apache-2.0 */
/* Members of JSON that may be of any kind: what is not there, or another kind, is none. */
#ifndef GRANARY_OBSERVE_JSON_H
#define GRANARY_OBSERVE_JSON_H

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
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

/* 17 of "silo-017" and what follows it in *end; -1 for anything else. */
static inline int64_t gr_json_pseudonym(const char *text, const char **end) {
    if (!text || strncmp(text, "silo-", 5) != 0) return -1;
    const size_t digits = strspn(text + 5, "0123456789");
    if (digits < 3 || digits > 9) return -1;
    *end = text + 5 + digits;
    return strtoll(text + 5, NULL, 10);
}

/* 17 of "silo-017"; -1 for anything else. */
static inline int64_t gr_json_silo(const char *pseudonym) {
    const char *end;
    const int64_t silo = gr_json_pseudonym(pseudonym, &end);
    return silo >= 0 && *end == '\0' ? silo : -1;
}

/* first, first + step, ... last. */
struct gr_silo_range {
    int64_t first, last, step;
};

/* Of "silo-017", "silo-000..silo-499", "silo-000..silo-998/2"; false for anything else. */
static inline bool gr_json_silos(const char *text, struct gr_silo_range *out) {
    const char *end;
    *out = (struct gr_silo_range){.first = gr_json_pseudonym(text, &end), .step = 1};
    out->last = out->first;
    if (out->first < 0 || *end == '\0') return out->first >= 0;
    if (strncmp(end, "..", 2) != 0) return false;
    out->last = gr_json_pseudonym(end + 2, &end);
    if (out->last < out->first || *end == '\0') return out->last >= out->first;
    const size_t digits = strspn(end + 1, "0123456789");
    if (*end != '/' || digits < 1 || digits > 9 || end[1 + digits] != '\0') return false;
    out->step = strtoll(end + 1, NULL, 10);
    return out->step > 0 && (out->last - out->first) % out->step == 0;
}

#endif
