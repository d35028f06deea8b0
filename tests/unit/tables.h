/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small tables for the tests of data: files put together byte by byte from the IDX format's
 * description, and configs that name them. Every program works in a scratch folder of its own.
 */
#ifndef GRANARY_TESTS_TABLES_H
#define GRANARY_TESTS_TABLES_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <granary/data.h>

/* The status, and a text that the message must hold. */
#define CHECK_REFUSED(call, expected, text)                                                        \
    do {                                                                                           \
        gr_status got_ = (call);                                                                   \
        ck_assert_msg(got_ == (expected), "%s: status %d, message \"%s\"", #call, (int)got_,       \
                      gr_message());                                                               \
        ck_assert_msg(strstr(gr_message(), text) != NULL, "message \"%s\" lacks \"%s\"",           \
                      gr_message(), text);                                                         \
    } while (0)
#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        gr_status got_ = (call);                                                                   \
        ck_assert_msg(got_ == GR_OK, "%s: status %d, message \"%s\"", #call, (int)got_,            \
                      gr_message());                                                               \
    } while (0)

/*
 * One folder for a program, removed at its end however a test fares; in it one for each test, which
 * runs in a process of its own. In memory where that is possible: some tests write thousands of
 * files.
 */
static char scratch_folder[64];

static inline void scratch_create(void) {
    const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(scratch_folder, sizeof scratch_folder, "%s/granary-XXXXXX", place);
    if (!mkdtemp(scratch_folder)) abort();
}

static inline void scratch_remove(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", scratch_folder);
    if (chdir("/") != 0 || system(command) != 0) abort();
}

static inline void scratch_enter(void) {
    char name[96];
    snprintf(name, sizeof name, "%s/XXXXXX", scratch_folder);
    if (!mkdtemp(name) || chdir(name) != 0) abort();
}

static inline void put_file(const char *path, const void *bytes, size_t n) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file) != 0) abort();
}

static inline size_t get_file(const char *path, unsigned char *bytes, size_t room) {
    FILE *file = fopen(path, "rb");
    if (!file) abort();
    size_t n = fread(bytes, 1, room, file);
    fclose(file);
    return n;
}

/* An IDX header: 00 00 type dims, then big-endian sizes. Returns its length. */
static inline size_t put_header(unsigned char *at, unsigned type, size_t n_dims,
                                const uint32_t *size) {
    at[0] = at[1] = 0;
    at[2] = (unsigned char)type;
    at[3] = (unsigned char)n_dims;
    for (size_t i = 0; i < n_dims; i++)
        for (size_t b = 0; b < 4; b++)
            at[4 + 4 * i + b] = (unsigned char)(size[i] >> (24 - 8 * b));
    return 4 + 4 * n_dims;
}

/* Feature j of row i and label of row i in the tables made here. */
static inline unsigned char feature_of(size_t i, size_t j) {
    return (unsigned char)(i * 31 + j * 7 + 3);
}
static inline unsigned char label_of(size_t i) {
    return (unsigned char)((i * 7 + i / 5) % 4);
}

enum { FEATURE_ROOM = 1 << 20 };

/* Images of rows x (height x width) and their labels, in memory; returns the bytes. */
static inline size_t make_images(unsigned char *bytes, uint32_t rows, uint32_t height,
                                 uint32_t width) {
    uint32_t size[] = {rows, height, width};
    size_t at = put_header(bytes, 8, 3, size);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < (size_t)height * width; j++)
            bytes[at++] = feature_of(i, j);
    return at;
}
static inline size_t make_labels(unsigned char *bytes, uint32_t rows) {
    size_t at = put_header(bytes, 8, 1, &rows);
    for (size_t i = 0; i < rows; i++)
        bytes[at++] = label_of(i);
    return at;
}

/* Writes PREFIX.images and PREFIX.labels. */
static inline void put_pair(const char *prefix, uint32_t rows, uint32_t height, uint32_t width) {
    unsigned char *bytes = malloc(FEATURE_ROOM);
    char path[64];
    snprintf(path, sizeof path, "%s.images", prefix);
    put_file(path, bytes, make_images(bytes, rows, height, width));
    snprintf(path, sizeof path, "%s.labels", prefix);
    put_file(path, bytes, make_labels(bytes, rows));
    free(bytes);
}

/* A config of iid silos on the pair a.images, a.labels; its text is not owned. */
static inline struct gr_config idx_config(uint32_t n_silos) {
    static char images[] = "a.images", labels[] = "a.labels";
    struct gr_config config;
    memset(&config, 0, sizeof config);
    config.run.seed = 11;
    config.data.source = GR_SOURCE_IDX;
    config.data.silos = n_silos;
    config.data.train.features = images;
    config.data.train.labels = labels;
    config.data.partition.method = GR_PARTITION_IID;
    config.data.partition.alpha = 0.5;
    config.data.partition.shards_per_silo = 2;
    config.data.partition.minimum_rows = 1;
    return config;
}

/* All silos in one process. */
static inline gr_status load_all(const struct gr_config *config, uint32_t n_silos,
                                 struct gr_data **out) {
    uint32_t *id = malloc((n_silos + 1) * sizeof *id);
    for (uint32_t s = 0; s < n_silos; s++)
        id[s] = s;
    struct gr_share share = {
        .n_silos = n_silos, .silos = id, .n_local = n_silos, .test_index = 0, .test_count = 1};
    *out = NULL;
    gr_status status = gr_data_load(config, &share, out);
    free(id);
    return status;
}

static inline int run_suite(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
