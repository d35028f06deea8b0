/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the reader of model files, and the model made of what one describes. The seeds are small
 * files of the built command: models of several types, one with preprocessing, a checkpoint, a
 * silo's own file. A file that is merely damaged ends at its seal, so the mutator seals most of
 * what it has wounded anew: what is behind the seal must hold against a file that was made to harm.
 * Coverage does not see into HDF5: what the reader says of a file counts as coverage too. A crash-*
 * file after which the fuzzer goes on is of the child in which the reader tries a file first, and
 * no finding.
 *
 *   make MODE=fuzz CC=clang ROOMS="base metric config comm store data model"
 * build/fuzz/tests/fuzz/fuzz_model build/fuzz/tests/fuzz/fuzz_model -max_total_time=600 -timeout=60
 * CORPUS tests/fuzz/corpus/model
 */
#include <granary/data.h>
#include <granary/model.h>
#include <granary/postprocessing.h>
#include <granary/store.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t room, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t room);

enum { OUTCOMES = 4096, HEADER = 64, DIGEST_AT = 32 };

static char path[64];

static void remove_file(void) {
    unlink(path);
}

/* libFuzzer takes what is counted in this section for coverage. */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t outcome[OUTCOMES];

/* Messages that differ in their numbers only are one outcome. */
static void count_outcome(const char *message) {
    uint32_t hash = 2166136261u;
    for (; *message; message++)
        if (*message < '0' || *message > '9') hash = (hash ^ (uint8_t)*message) * 16777619u;
    outcome[hash % OUTCOMES] = 1;
}

/* xorshift: the mutator has to draw from its seed alone. */
static uint32_t draw(uint32_t *state, uint32_t below) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % below;
}

/* The seal's digest as store/seal.c has it: the block with zeros for it, then all that is in no
 * extent. False: the seal's sizes are not possible. */
static bool seal(uint8_t *bytes, size_t n) {
    struct {
        uint64_t offset, length;
    } extent;
    uint32_t block, n_extents;
    struct gr_digest digest;
    uint64_t all = n, at;
    if (n < 512) return false;
    memcpy(&block, bytes + 8, sizeof block);
    memcpy(&n_extents, bytes + 12, sizeof n_extents);
    if (block > n || block < HEADER || n_extents > (block - HEADER) / sizeof extent) return false;
    memcpy(bytes + 16, &all, sizeof all);
    memset(bytes + DIGEST_AT, 0, GR_DIGEST_BYTES);
    gr_digest_start(&digest);
    gr_digest_add(&digest, bytes, block);
    at = block;
    for (uint32_t i = 0; i < n_extents; i++) {
        memcpy(&extent, bytes + HEADER + i * sizeof extent, sizeof extent);
        if (extent.offset < at || extent.offset > n || extent.length > n - extent.offset)
            return false;
        gr_digest_add(&digest, bytes + at, extent.offset - at);
        at = extent.offset + extent.length;
    }
    gr_digest_add(&digest, bytes + at, n - at);
    gr_digest_finish(&digest, bytes + DIGEST_AT);
    return true;
}

static void wound(uint8_t *bytes, uint32_t n, uint32_t *state) {
    static const uint64_t words[] = {0,          1,          8,          0xff,
                                     0xffff,     0x7fffffff, 0xffffffff, UINT64_MAX - 1,
                                     UINT64_MAX, 1ull << 32, 1ull << 63};
    uint32_t at = draw(state, n), from = draw(state, n);
    uint32_t most = n - (at > from ? at : from), length = 1u << draw(state, 4);
    if (length > most) length = most;
    switch (draw(state, 5)) {
    case 0:
        bytes[at] ^= (uint8_t)(1u << draw(state, 8));
        break;
    case 1:
        bytes[at] = (uint8_t)draw(state, 256);
        break;
    case 2:
        memcpy(bytes + at, &words[draw(state, sizeof words / sizeof *words)], length);
        break;
    case 3:
        memmove(bytes + at, bytes + from, length);
        break;
    default:
        bytes[at] = (uint8_t)(bytes[at] + draw(state, 5) - 2);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t room, unsigned seed) {
    uint32_t state = seed * 2654435761u + 1;
    if (n < 512 || draw(&state, 16) == 0) return LLVMFuzzerMutate(bytes, n, room);
    for (uint32_t k = draw(&state, 4) + 1; k > 0; k--)
        wound(bytes, (uint32_t)n, &state);
    if (draw(&state, 16) == 0) n = 1 + draw(&state, (uint32_t)n);
    if (draw(&state, 16) != 0) (void)seal(bytes, n);
    return n;
}

/* What `granary evaluate` does with a model file before it sees a row. */
static gr_status read_model(const char *file_path) {
    struct gr_model_file file;
    struct gr_model *model = NULL;
    struct gr_preprocessing *p = NULL;
    struct gr_postprocessing made = {0};
    gr_status status = gr_model_file_read(file_path, 0, 1, &file);
    if (status != GR_OK) return status;
    status = gr_model_create_from_description(file.architecture, &file.layout, 4, &model);
    if (status == GR_OK && file.preprocessing)
        status = gr_preprocessing_create("/preprocessing", file.preprocessing, &p);
    if (status == GR_OK && file.postprocessing)
        status = gr_postprocessing_parse("/postprocessing", file.postprocessing,
                                         gr_model_classes(model), &made);
    gr_postprocessing_release(&made);
    gr_preprocessing_free(p);
    gr_model_free(model);
    gr_model_file_release(&file);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static int fd = -1;
    if (fd < 0) {
        snprintf(path, sizeof path, "/dev/shm/granary-fuzz-%d.h5", (int)getpid());
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        atexit(remove_file);
        if (gr_base_start() != GR_OK) abort();
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, bytes, n, 0) != (ssize_t)n) abort();
    gr_status status = read_model(path);
    if (status != GR_OK && status != GR_ERROR_DATA && status != GR_ERROR_CONFIG) abort();
    if (status != GR_OK && gr_message()[0] == '\0') abort();
    count_outcome(status == GR_OK ? "good" : gr_message());
    return 0;
}
