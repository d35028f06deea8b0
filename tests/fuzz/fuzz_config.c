/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config reader under libFuzzer: a text, and behind each NUL an override. Whatever comes in,
 * either the rules are listed, or the settings survive being written and read again.
 *   make build/release/tests/fuzz/config.dict
 *   make MODE=fuzz CC=clang ROOMS="base metric strategy config" build/fuzz/tests/fuzz/fuzz_config
 *   build/fuzz/tests/fuzz/fuzz_config -dict=build/release/tests/fuzz/config.dict -timeout=5 \
 *       -max_total_time=600 CORPUS tests/fuzz/corpus/config
 */
#include <granary/config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OVERRIDES_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define INSIST(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s does not hold\n%s\n", __LINE__, #condition,               \
                    gr_message());                                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void survives_writing(const struct gr_config *config) {
    char *first = NULL, *second = NULL;
    struct gr_config *again = NULL;
    unsigned char digest[2][GR_DIGEST_BYTES];
    INSIST(gr_config_to_yaml(config, &first) == GR_OK);
    INSIST(gr_config_parse("resolved", first, strlen(first), NULL, 0, &again) == GR_OK);
    INSIST(gr_config_to_yaml(again, &second) == GR_OK);
    INSIST(strcmp(first, second) == 0);
    INSIST(gr_config_digest(config, digest[0]) == GR_OK);
    INSIST(gr_config_digest(again, digest[1]) == GR_OK);
    INSIST(memcmp(digest[0], digest[1], GR_DIGEST_BYTES) == 0);
    gr_config_free(again);
    gr_free(first);
    gr_free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    const char *overrides[OVERRIDES_MAX];
    size_t n_overrides = 0, length = strnlen((const char *)bytes, size);
    struct gr_config *config = NULL;
    /* Copies of just the right size, so that a read beyond them is seen. */
    char *text = malloc(length + 1), *rest = calloc(size - length + 1, 1);
    if (!text || !rest) abort();
    memcpy(text + 1, bytes, length);
    memcpy(rest, bytes + length, size - length);
    for (size_t at = 1; at < size - length && n_overrides < OVERRIDES_MAX;
         at += strlen(rest + at) + 1)
        overrides[n_overrides++] = rest + at;
    gr_status status =
        gr_config_parse("fuzz.yaml", text + 1, length, overrides, n_overrides, &config);
    INSIST(status == GR_OK || status == GR_ERROR_CONFIG);
    INSIST((status == GR_OK) == (config != NULL));
    INSIST(status == GR_OK || strlen(gr_message()) > 0);
    if (config) survives_writing(config);
    gr_config_free(config);
    free(text);
    free(rest);
    return 0;
}
