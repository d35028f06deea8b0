/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readers of a study's and of a site's file under libFuzzer, each with the whole input.
 * Whatever comes in, either the rules are listed, or the settings keep what they promise.
 *   make build/release/tests/fuzz/config.dict
 *   make MODE=fuzz CC=clang ROOMS="base post metric strategy config"
 * build/fuzz/tests/fuzz/fuzz_study
 *   build/fuzz/tests/fuzz/fuzz_study -dict=build/release/tests/fuzz/config.dict -timeout=5 \
 *       -max_total_time=600 CORPUS tests/fuzz/corpus/study
 */
#include <granary/study.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define INSIST(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s does not hold\n%s\n", __LINE__, #condition,               \
                    gr_message());                                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Every silo is one site's, in the order of the sites, and has a table's word in the config. */
static void has_its_silos(const struct gr_study *study) {
    uint32_t next = 0;
    INSIST(study->n_parties >= 2 && study->n_silos >= 2);
    for (uint32_t p = 1; p < study->n_parties; p++) {
        INSIST(study->sites[p].first_silo == next && study->sites[p].n_silos >= 1);
        INSIST(gr_study_find(study, &study->parties[p].key) == p);
        next += study->sites[p].n_silos;
    }
    INSIST(next == study->n_silos && study->config->data.silos == next);
    INSIST(study->config->data.silo_tables_count == next && study->config->silos_count == 0);
    INSIST(study->config->faults_count == 0 && !study->config->round.replay[0]);
    INSIST(!!study->config->data.schema[0] == !!study->schema);
}

static void survives_writing(const struct gr_study *study) {
    char *text = NULL;
    struct gr_config *again = NULL;
    unsigned char digest[2][GR_DIGEST_BYTES];
    INSIST(gr_config_to_yaml(study->config, &text) == GR_OK);
    INSIST(gr_config_parse("resolved", text, strlen(text), NULL, 0, &again) == GR_OK);
    INSIST(gr_config_digest(study->config, digest[0]) == GR_OK);
    INSIST(gr_config_digest(again, digest[1]) == GR_OK);
    INSIST(memcmp(digest[0], digest[1], GR_DIGEST_BYTES) == 0);
    gr_config_free(again);
    gr_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct gr_study *study = NULL;
    struct gr_site *site = NULL;
    /* A copy of just the right size, so that a read beyond it is seen. */
    char *text = malloc(size + 1);
    if (!text) abort();
    memcpy(text + 1, bytes, size);
    gr_status status = gr_study_parse("fuzz/study.yaml", text + 1, size, &study);
    INSIST(status == GR_OK || status == GR_ERROR_CONFIG);
    INSIST((status == GR_OK) == (study != NULL));
    INSIST(status == GR_OK || strlen(gr_message()) > 0);
    if (study) has_its_silos(study);
    if (study) survives_writing(study);
    gr_study_free(study);
    status = gr_site_parse("fuzz/site.yaml", text + 1, size, &site);
    INSIST(status == GR_OK || status == GR_ERROR_CONFIG);
    INSIST((status == GR_OK) == (site != NULL));
    INSIST(!site || (site->settings->silos_count > 0 && gr_site_line(site, "silos") > 0));
    gr_site_free(site);
    free(text);
    return 0;
}
