/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the IDX reader. The first byte says which of the two files is the rest, the other one is
 * good: bit 0: labels, bit 1: the rest is deflated first, so that a header's lies reach the reader
 * through a sound gzip stream.
 *
 *   make MODE=fuzz CC=clang ROOMS="base config data" build/fuzz/tests/fuzz/fuzz_idx
 *   build/fuzz/tests/fuzz/fuzz_idx -max_total_time=600 -max_len=512 CORPUS tests/fuzz/corpus/idx
 */
#include <granary/data.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static const uint8_t good_features[] = {0, 0, 8, 2, 0, 0, 0, 3, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6};
static const uint8_t good_labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 2};

/* A file in memory, made once and filled for each input. */
struct file {
    int fd;
    char path[32];
};

static void fill(struct file *file, const char *name, const uint8_t *bytes, size_t n) {
    if (file->path[0] == '\0') {
        file->fd = memfd_create(name, 0);
        snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->fd);
    }
    if (file->fd < 0 || ftruncate(file->fd, 0) != 0 || pwrite(file->fd, bytes, n, 0) != (ssize_t)n)
        abort();
}

static size_t zip(const uint8_t *bytes, size_t n, uint8_t *out, size_t room) {
    z_stream z = {0};
    if (deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK) abort();
    z.next_in = (uint8_t *)(uintptr_t)bytes;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)room;
    int code = deflate(&z, Z_FINISH);
    size_t length = z.total_out;
    deflateEnd(&z);
    return code == Z_STREAM_END ? length : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static struct file features, labels;
    static uint8_t zipped[1 << 17];
    const uint32_t silo[] = {0, 2};
    struct gr_share share = {.n_silos = 3, .silos = silo, .n_local = 2, .test_count = 1};
    struct gr_config config;
    struct gr_data *data = NULL;
    if (n < 1 || n > sizeof zipped / 2) return 0;
    unsigned how = *bytes++;
    n--;
    if (how & 2) {
        n = zip(bytes, n, zipped, sizeof zipped);
        bytes = zipped;
    }
    if (how & 1) {
        fill(&features, "features", good_features, sizeof good_features);
        fill(&labels, "labels", bytes, n);
    } else {
        fill(&features, "features", bytes, n);
        fill(&labels, "labels", good_labels, sizeof good_labels);
    }
    memset(&config, 0, sizeof config);
    config.data.source = GR_SOURCE_IDX;
    config.data.train.features = features.path;
    config.data.train.labels = labels.path;
    config.data.test = config.data.train;
    config.data.limit = how >> 4;
    config.data.validation_fraction = 0.5;
    config.data.partition.minimum_rows = 1;
    if (gr_base_start() != GR_OK) abort();
    gr_status status = gr_data_load(&config, &share, &data);
    if (status != GR_OK && status != GR_ERROR_DATA && status != GR_ERROR_CONFIG) abort();
    if (status != GR_OK && gr_message()[0] == '\0') abort();
    gr_data_free(data);
    return 0;
}
