/* SPDX-License-Identifier: Apache-2.0 */
/* A config that breaks no rule, and how the tests of the config read it, changed, and fail. */
#ifndef TESTS_UNIT_CONFIG_H
#define TESTS_UNIT_CONFIG_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <granary/config.h>

#define COUNT(array)     (sizeof(array) / sizeof *(array))
#define WHOLE(low, high) "allowed a whole number from " low " to " high
#define PATH_TEXT        "allowed text of at most 4096 bytes, no control characters, '' for none"

/* Breaks no rule; each section is a line of its own, so that places are known. */
static const char *const base[] = {"run: {rounds: 2}", "data: {source: synthetic, silos: 3}",
                                   "model: {type: softmax}",
                                   "train: {learning_rate: 0.1, batch_size: 4}"};

/* The base, in which `section` (if not NULL) takes the place of its namesake or comes last. */
static inline char *text_with(const char *section) {
    static char text[20000];
    bool taken = section == NULL;
    text[0] = '\0';
    for (size_t i = 0; i < COUNT(base); i++) {
        bool same = section && strncmp(section, base[i], strcspn(base[i], ":") + 1) == 0;
        strcat(strcat(text, same ? section : base[i]), "\n");
        taken = taken || same;
    }
    if (!taken) strcat(strcat(text, section), "\n");
    return text;
}

static inline gr_status parse_text(const char *text, const char *const *overrides, size_t n,
                                   struct gr_config **out) {
    return gr_config_parse("t.yaml", text, strlen(text), overrides, n, out);
}

static inline struct gr_config *must_parse(const char *text, const char *const *overrides,
                                           size_t n) {
    struct gr_config *config = NULL;
    gr_status status = parse_text(text, overrides, n, &config);
    ck_assert_msg(status == GR_OK, "%s\n%s", text, gr_message());
    return config;
}

static inline void must_fail(const char *text, const char *const *overrides, size_t n,
                             const char *message) {
    struct gr_config *config = NULL;
    ck_assert_int_eq(parse_text(text, overrides, n, &config), GR_ERROR_CONFIG);
    ck_assert_ptr_null(config);
    ck_assert_str_eq(gr_message(), message);
}

static inline char *yaml_of(const struct gr_config *config) {
    char *yaml = NULL;
    ck_assert_int_eq(gr_config_to_yaml(config, &yaml), GR_OK);
    return yaml;
}

static inline void digest_of(const struct gr_config *config, char hex[GR_DIGEST_HEX]) {
    unsigned char digest[GR_DIGEST_BYTES];
    ck_assert_int_eq(gr_config_digest(config, digest), GR_OK);
    gr_digest_hex(digest, hex);
}

#endif
