/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the HDF5 reader behind its guard: whatever the bytes are, this process lives and does not
 * wait for long. The seeds are small good files of every storage form.
 * Coverage does not see into the child, so the fuzzer alone would lose the seeds at once: instead,
 * good files are remembered and damaged anew by the mutator here, and what the reader says of a
 * file counts as coverage.
 *
 *   make MODE=fuzz CC=clang ROOMS="base config data" build/fuzz/tests/fuzz/fuzz_hdf5
 *   build/fuzz/tests/fuzz/fuzz_hdf5 -max_total_time=600 -timeout=90 CORPUS tests/fuzz/corpus/hdf5
 */
#include <granary/data.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t room, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t room);

enum { GOOD_MAX = 16, GOOD_BYTES_MAX = 16384, OUTCOMES = 4096 };

static struct {
    size_t n;
    uint8_t bytes[GOOD_BYTES_MAX];
} good[GOOD_MAX];
static size_t n_good;
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

static void remember(const uint8_t *bytes, size_t n) {
    if (n_good == GOOD_MAX || n > GOOD_BYTES_MAX) return;
    memcpy(good[n_good].bytes, bytes, n);
    good[n_good++].n = n;
}

/* xorshift: the mutator has to draw from its seed alone. */
static uint32_t draw(uint32_t *state, uint32_t below) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % below;
}

/* One to eight wounds: bytes, words of a size or an address, blocks from elsewhere, a cut. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t room, unsigned seed) {
    static const uint64_t words[] = {0,          1,          8,          0xff,
                                     0xffff,     0x7fffffff, 0xffffffff, UINT64_MAX - 1,
                                     UINT64_MAX, 1ull << 32, 1ull << 63};
    uint32_t state = seed * 2654435761u + 1;
    if (n_good == 0 || draw(&state, 16) == 0) return LLVMFuzzerMutate(bytes, n, room);
    /* From a good file each time: what made the reader loop once is not to be tried for ever. */
    size_t which = draw(&state, (uint32_t)n_good);
    n = good[which].n < room ? good[which].n : room;
    memcpy(bytes, good[which].bytes, n);
    for (uint32_t k = draw(&state, 8) + 1; k > 0; k--) {
        uint32_t at = draw(&state, (uint32_t)n), from = draw(&state, (uint32_t)n);
        uint32_t most = (uint32_t)n - (at > from ? at : from), length = 1u << draw(&state, 4);
        if (length > most) length = most;
        switch (draw(&state, 5)) {
        case 0:
            bytes[at] ^= (uint8_t)(1u << draw(&state, 8));
            break;
        case 1:
            bytes[at] = (uint8_t)draw(&state, 256);
            break;
        case 2:
            memcpy(bytes + at, &words[draw(&state, sizeof words / sizeof *words)], length);
            break;
        case 3:
            memmove(bytes + at, bytes + from, length);
            break;
        default:
            bytes[at] = (uint8_t)(bytes[at] + draw(&state, 5) - 2);
        }
    }
    return draw(&state, 16) ? n : 1 + draw(&state, (uint32_t)n);
}

static gr_status load(const struct gr_config *config) {
    const uint32_t silo[] = {0, 2};
    struct gr_share share = {.n_silos = 3, .silos = silo, .n_local = 2, .test_count = 1};
    struct gr_data *data = NULL;
    gr_status status = gr_data_load(config, &share, &data);
    if (status != GR_OK && status != GR_ERROR_DATA && status != GR_ERROR_CONFIG) abort();
    if (status != GR_OK && gr_message()[0] == '\0') abort();
    count_outcome(status == GR_OK ? "good" : gr_message());
    gr_data_free(data);
    return status;
}

/* Good files found on the way are remembered as well, while there is room. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static int fd = -1;
    static char column[] = "c";
    struct gr_config config;
    if (fd < 0) {
        /* A name that stands: HDF5 resolves the path of what it opened. */
        snprintf(path, sizeof path, "/dev/shm/granary-fuzz-%d.h5", (int)getpid());
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        atexit(remove_file);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, bytes, n, 0) != (ssize_t)n) abort();
    memset(&config, 0, sizeof config);
    config.data.source = GR_SOURCE_HDF5;
    config.data.train.file = path;
    config.data.partition.minimum_rows = 1;
    if (gr_base_start() != GR_OK) abort();
    if (load(&config) != GR_OK) return 0;
    remember(bytes, n);
    /* Good rows: partitioned by a column of theirs, too. */
    config.data.partition.method = GR_PARTITION_COLUMN;
    config.data.partition.column = column;
    (void)load(&config);
    return 0;
}
