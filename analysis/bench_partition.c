/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the rows of each silo of a config, so that another system can be given the same silos.
 *   bench_partition LABELS.idx[.gz] SILOS ALPHA SEED LIMIT OUT
 * LABELS: at most LIMIT rows of it, 0: all. OUT: for each silo its number of rows, then its row
 * numbers, all uint32.
 */
#include <granary/data.h>

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { ROWS_MAX = 1 << 20 };

static size_t read_labels(const char *path, size_t limit, int32_t *labels) {
    unsigned char header[8];
    size_t n = 0;
    gzFile file = gzopen(path, "rb");
    if (!file || gzread(file, header, 8) != 8) {
        fprintf(stderr, "%s: no IDX file of labels\n", path);
        exit(65);
    }
    for (int c; n < ROWS_MAX && (limit == 0 || n < limit) && (c = gzgetc(file)) >= 0; n++)
        labels[n] = c;
    gzclose(file);
    return n;
}

int main(int argc, char **argv) {
    static int32_t labels[ROWS_MAX];
    struct gr_partition_config config = {.method = GR_PARTITION_DIRICHLET, .minimum_rows = 1};
    struct gr_partition partition;
    if (argc != 7 || gr_base_start() != GR_OK) {
        fprintf(stderr, "usage: bench_partition LABELS SILOS ALPHA SEED LIMIT OUT\n");
        return 64;
    }
    config.alpha = strtod(argv[3], NULL);
    size_t n = read_labels(argv[1], strtoull(argv[5], NULL, 10), labels);
    uint32_t silos = (uint32_t)strtoul(argv[2], NULL, 10);
    FILE *out = fopen(argv[6], "wb");
    if (!out || gr_partition_create(&config, strtoull(argv[4], NULL, 10), silos, labels, n,
                                    &partition) != GR_OK) {
        fprintf(stderr, "%s: %s\n", argv[6], out ? gr_message() : "cannot write");
        return 73;
    }
    for (uint32_t i = 0; i < silos; i++) {
        uint32_t rows = (uint32_t)(partition.first[i + 1] - partition.first[i]);
        fwrite(&rows, sizeof rows, 1, out);
        fwrite(partition.row_of + partition.first[i], sizeof rows, rows, out);
    }
    gr_partition_release(&partition);
    return fclose(out) == 0 ? 0 : 73;
}
