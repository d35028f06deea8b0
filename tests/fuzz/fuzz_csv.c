/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the CSV reader. The first byte says how: bits 0-1: the separator; bit 2: a schema, else
 * the columns are guessed; bit 3: no header; bit 4: partition by column; bit 5: the separator is
 * found, or of bits 0-1 it is blanks; bit 6: Latin-1; bit 7: the schema of rules. The second byte:
 * rows taken. All else is the file. What is read is read again, and must be the same.
 *
 *   make MODE=fuzz CC=clang ROOMS="base config data" build/fuzz/tests/fuzz/fuzz_csv
 *   build/fuzz/tests/fuzz/fuzz_csv -max_total_time=600 -max_len=2048 -dict=tests/fuzz/csv.dict \
 *     CORPUS tests/fuzz/corpus/csv
 */
#include <granary/data.h>

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static const char schema[] =
    "columns:\n- {name: a, type: number, missing: mean, range: [0, 9]}\n- {name: b, type: "
    "category, "
    "categories: [x, y, '1'], encode: one_hot, missing: indicator}\n- {name: c, type: category, "
    "categories: [p, q], missing: mode}\n- {name: g, type: group}\n- {name: l, type: label}\n";

/* The rules of cells; dates, also from another column; rows without a label are dropped. */
static const char rules[] =
    "decimal: comma\nmissing_words: ['-9']\ncolumns:\n- {name: a, type: number, missing: mean, "
    "thousands: point, percent: true, affixes: [kg, $], censored: ['> 89'], origin: 0.5}\n- {name: "
    "b, type: date, format: day_first, since: d, in: years, missing: zero}\n- {name: c, type: "
    "category, missing: mode}\n- {name: d, type: datetime, in: hours, missing: mean}\n- {name: g, "
    "type: group}\n- {name: l, type: label, categories: ['1', '2'], unlabelled: drop}\n";

/* A file in memory, made once and filled for each input. */
struct file {
    int fd;
    char path[32];
};

static void fill(struct file *file, const char *name, const void *bytes, size_t n) {
    if (file->path[0] == '\0') {
        file->fd = memfd_create(name, 0);
        snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->fd);
    }
    if (file->fd < 0 || ftruncate(file->fd, 0) != 0 || pwrite(file->fd, bytes, n, 0) != (ssize_t)n)
        abort();
}

static gr_status load(const struct gr_config *config, struct gr_data **data) {
    const uint32_t silo[] = {0, 1};
    struct gr_share share = {.n_silos = 2, .silos = silo, .n_local = 2, .test_count = 1};
    gr_status status = gr_data_load(config, &share, data);
    if (status != GR_OK && status != GR_ERROR_DATA && status != GR_ERROR_CONFIG) abort();
    if (status != GR_OK && gr_message()[0] == '\0') abort();
    return status;
}

static void check_same(const struct gr_rows *a, const struct gr_rows *b) {
    if (a->n_rows != b->n_rows || a->n_features != b->n_features) abort();
    if (memcmp(a->features, b->features, a->n_rows * a->n_features * sizeof(float)) != 0) abort();
    if (memcmp(a->labels, b->labels, a->n_rows * sizeof *a->labels) != 0) abort();
    for (size_t i = 0; i < a->n_rows * a->n_features; i++)
        if (isinf(((const float *)a->features)[i])) abort(); /* NaN: a value is missing */
}

/* A guessed schema can be written and read, with its comments. */
static void check_guess(const struct gr_config *config) {
    const char *path = config->data.train.file;
    const struct gr_infer_options options = {.paths = &path,
                                             .n_paths = 1,
                                             .csv = &config->data.csv,
                                             .group = "",
                                             .threshold = 2,
                                             .unlabelled = true};
    struct gr_inference *guess;
    struct gr_schema *again;
    char *yaml, *lines;
    if (gr_csv_infer(&options, &guess) != GR_OK) return;
    if (gr_inference_to_yaml(guess, &yaml) != GR_OK) abort();
    if (gr_inference_tell(guess, &lines) != GR_OK) abort();
    if (gr_schema_parse("guessed", yaml, strlen(yaml), &again) != GR_OK) abort();
    gr_free(yaml);
    gr_free(lines);
    gr_inference_free(guess);
    gr_schema_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static struct file table, contract;
    static char none[] = "", label[] = "l", group[] = "g";
    struct gr_config config;
    struct gr_data *data = NULL, *again = NULL;
    if (n < 2) return 0;
    if (gr_base_start() != GR_OK) abort();
    fill(&table, "table", bytes + 2, n - 2);
    if (bytes[0] & 128)
        fill(&contract, "schema", rules, sizeof rules - 1);
    else
        fill(&contract, "schema", schema, sizeof schema - 1);
    memset(&config, 0, sizeof config);
    config.data.source = GR_SOURCE_CSV;
    config.data.csv.separator = (enum gr_separator)(bytes[0] & 3);
    if (bytes[0] & 32)
        config.data.csv.separator = bytes[0] & 3 ? GR_SEPARATOR_AUTO : GR_SEPARATOR_BLANKS;
    config.data.csv.encoding = bytes[0] & 64 ? GR_TEXT_LATIN1 : GR_TEXT_UTF8;
    config.data.csv.header = !(bytes[0] & 8);
    config.data.csv.label = label;
    config.data.schema = bytes[0] & (4 | 128) ? contract.path : none;
    config.data.limit = bytes[1];
    config.data.train.file = table.path;
    config.data.test = config.data.train;
    config.data.validation_fraction = 0.25;
    config.data.partition.minimum_rows = 1;
    config.data.partition.column = group;
    config.data.partition.method = bytes[0] & 16 ? GR_PARTITION_COLUMN : GR_PARTITION_IID;
    check_guess(&config);
    if (load(&config, &data) == GR_OK) {
        if (load(&config, &again) != GR_OK) abort();
        for (size_t i = 0; i < 2; i++) {
            check_same(&data->local[i].train, &again->local[i].train);
            check_same(&data->local[i].validation, &again->local[i].validation);
        }
    }
    gr_data_free(data);
    gr_data_free(again);
    return 0;
}
