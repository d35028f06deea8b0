/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of what a process has read, as it was read, before preprocessing: they follow from the
 * tables' bytes and from how rows are dealt and split, and from nothing else. Whoever guesses a
 * table can confirm it with its digest, so they are salted before they leave the process.
 */
#include "data/rows.h"

#include <string.h>

/* The texts of open categories, whose places are what the rows hold. */
static void add_open(struct gr_digest *digest, const struct gr_columns *columns) {
    for (unsigned i = 0; columns && i < columns->schema->columns_count; i++) {
        const struct gr_column *c = &columns->schema->columns[i];
        for (unsigned k = 0; c->open && k < c->categories_count; k++)
            gr_digest_add(digest, c->categories[k], strlen(c->categories[k]) + 1);
    }
}

static void add_list(struct gr_digest *digest, const void *list, size_t size, size_t first,
                     size_t n) {
    if (list) gr_digest_add(digest, (const char *)list + first * size, n * size);
}

/* Rows first to first + n - 1. */
static void digest_rows(const struct gr_rows *rows, size_t first, size_t n,
                        const struct gr_columns *columns, uint64_t number,
                        unsigned char out[GR_DIGEST_BYTES]) {
    struct gr_digest digest;
    const uint64_t form[] = {number,
                             n,
                             rows->n_features,
                             rows->element,
                             rows->targets != NULL,
                             rows->weights != NULL,
                             rows->offsets != NULL};
    gr_digest_start(&digest);
    gr_digest_add(&digest, form, sizeof form);
    gr_digest_add(&digest, &rows->scale, sizeof rows->scale);
    add_open(&digest, columns);
    add_list(&digest, rows->labels, sizeof *rows->labels, first, n);
    add_list(&digest, rows->targets, sizeof *rows->targets, first, n);
    add_list(&digest, rows->weights, sizeof *rows->weights, first, n);
    add_list(&digest, rows->offsets, sizeof *rows->offsets, first, n);
    add_list(&digest, rows->features, gr_rows_bytes(rows), first, n);
    add_list(&digest, rows->persons.first, sizeof(uint32_t), 0, (size_t)rows->persons.n + 1);
    add_list(&digest, rows->persons.rows, sizeof(uint32_t), first, n);
    gr_digest_finish(&digest, out);
}

/*
 * Batches' digests are added word by word, modulo 2^32: the sum over processes is then the same
 * however batches are dealt. Each holds its batch's number, so that two that change places are
 * told.
 */
static void digest_test(struct gr_data *data) {
    const struct gr_columns *columns = data->test_columns ? data->test_columns : data->columns;
    unsigned char bytes[GR_DIGEST_BYTES];
    uint32_t words[GR_DIGEST_WORDS];
    memset(data->test_digest, 0, sizeof data->test_digest);
    for (size_t i = 0, first = 0, n; i < data->n_local_batches; i++, first += n) {
        const size_t left = data->test.n_rows - first;
        n = left < GR_TEST_BATCH ? left : GR_TEST_BATCH;
        gr_alive_on();
        digest_rows(&data->test, first, n, columns, data->local_batch[i], bytes);
        memcpy(words, bytes, sizeof words);
        for (size_t w = 0; w < GR_DIGEST_WORDS; w++)
            data->test_digest[w] += words[w];
    }
}

/* A silo that could not be read has no digest: zeros. */
void gr_data_digest(struct gr_data *data) {
    for (size_t i = 0; i < data->n_local; i++) {
        struct gr_silo *silo = &data->local[i];
        const struct gr_rows *part[GR_SILO_PARTS] = {&silo->train, &silo->validation, &silo->test};
        const struct gr_columns *columns = silo->columns ? silo->columns : data->columns;
        gr_alive_on();
        for (size_t p = 0; p < GR_SILO_PARTS && silo->unusable == GR_OK; p++)
            digest_rows(part[p], 0, part[p]->n_rows, columns, p, silo->digest[p]);
    }
    digest_test(data);
}
