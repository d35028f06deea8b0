/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process loads: its own silos' rows and no others, validation rows, test batches, tables
 * of one silo each, batches gathered. Expected values are worked out from the tables' formula.
 */
#include "tables.h"

#include <math.h>

enum { ROWS = 1230, WIDTH = 6 };

static void enter(void) {
    ck_assert_int_eq(gr_base_start(), GR_OK);
    scratch_enter();
    put_pair("a", ROWS, 2, 3);
}

/* Which row of the table this is: found by its features and label, from `least` on. */
static size_t row_of(const struct gr_rows *rows, size_t i, size_t least) {
    const unsigned char *x = (const unsigned char *)rows->features + i * WIDTH;
    for (size_t r = least; r < ROWS; r++) {
        bool same = rows->labels[i] == label_of(r);
        for (size_t j = 0; j < WIDTH; j++)
            same = same && x[j] == feature_of(r, j);
        if (same) return r;
    }
    return ROWS;
}

START_TEST(own_silos_only) {
    struct gr_config config = idx_config(5);
    struct gr_partition partition;
    int32_t labels[ROWS];
    const uint32_t ids[] = {1, 4};
    struct gr_share share = {.n_silos = 5, .silos = ids, .n_local = 2, .test_count = 1};
    struct gr_data *data;
    size_t wrong = 0;
    config.data.partition.method = GR_PARTITION_DIRICHLET;
    for (size_t i = 0; i < ROWS; i++)
        labels[i] = label_of(i);
    CHECK_OK(gr_partition_create(&config.data.partition, config.data.split_seed, 5, labels, ROWS,
                                 &partition));
    CHECK_OK(gr_data_load(&config, &share, &data));
    ck_assert_uint_eq(data->n_local, 2);
    ck_assert_uint_eq(data->n_silos, 5);
    for (size_t k = 0; k < 2; k++) {
        const struct gr_rows *train = &data->local[k].train;
        const uint32_t *row = partition.row_of + partition.first[ids[k]];
        ck_assert_uint_eq(data->local[k].id, ids[k]);
        ck_assert_uint_eq(train->n_rows, partition.first[ids[k] + 1] - partition.first[ids[k]]);
        ck_assert_uint_eq(data->local[k].validation.n_rows, 0);
        for (size_t i = 0; i < train->n_rows; i++) {
            wrong += train->labels[i] != label_of(row[i]);
            for (size_t j = 0; j < WIDTH; j++)
                wrong += ((unsigned char *)train->features)[i * WIDTH + j] != feature_of(row[i], j);
        }
    }
    ck_assert_uint_eq(wrong, 0);
    gr_data_free(data);
    gr_partition_release(&partition);
}
END_TEST

START_TEST(validation_split) {
    struct gr_config config = idx_config(3);
    struct gr_data *whole, *split, *other;
    config.data.validation_fraction = 0;
    CHECK_OK(load_all(&config, 3, &whole));
    config.data.validation_fraction = 0.2;
    CHECK_OK(load_all(&config, 3, &split));
    config.data.split_seed++;
    CHECK_OK(load_all(&config, 3, &other));
    for (size_t s = 0; s < 3; s++) {
        const struct gr_rows *all = &whole->local[s].train, *train = &split->local[s].train;
        const struct gr_rows *held = &split->local[s].validation;
        ck_assert_uint_eq(held->n_rows, 82); /* 0.2 of 410 */
        ck_assert_uint_eq(train->n_rows, 328);
        /* Put together in order they are the silo again, and validation is no end of it. */
        size_t t = 0, v = 0, last_was_held = 0;
        for (size_t i = 0; i < all->n_rows; i++) {
            const unsigned char *x = (unsigned char *)all->features + i * WIDTH;
            bool in_held = v < held->n_rows &&
                           memcmp(x, (unsigned char *)held->features + v * WIDTH, WIDTH) == 0 &&
                           held->labels[v] == all->labels[i];
            if (in_held)
                v++;
            else
                ck_assert_mem_eq(x, (unsigned char *)train->features + t++ * WIDTH, WIDTH);
            if (in_held) last_was_held = i;
        }
        ck_assert_uint_eq(v, 82);
        ck_assert_uint_gt(last_was_held, 250);
    }
    ck_assert_int_ne(memcmp(split->local[0].validation.features,
                            other->local[0].validation.features, 82 * WIDTH),
                     0);
    gr_data_free(whole);
    gr_data_free(split);
    gr_data_free(other);
}
END_TEST

START_TEST(test_batches_are_dealt) {
    struct gr_config config = idx_config(2);
    config.data.test = config.data.train;
    for (uint32_t count = 1; count <= 4; count++) {
        size_t rows = 0;
        for (uint32_t index = 0; index < count; index++) {
            const uint32_t id = 0;
            struct gr_share share = {
                .n_silos = 2, .silos = &id, .n_local = 1, .test_index = index, .test_count = count};
            struct gr_data *data;
            size_t k = 0, wrong = 0;
            CHECK_OK(gr_data_load(&config, &share, &data));
            ck_assert_uint_eq(data->n_test, ROWS);
            ck_assert_uint_eq(data->n_test_batches, 3);
            for (size_t i = 0; i < data->n_local_batches; i++) {
                size_t b = data->local_batch[i];
                ck_assert_uint_eq(b % count, index);
                for (size_t r = b * 500; r < b * 500 + 500 && r < ROWS; r++, k++) {
                    wrong += data->test.labels[k] != label_of(r);
                    wrong += ((unsigned char *)data->test.features)[k * WIDTH] != feature_of(r, 0);
                }
            }
            ck_assert_uint_eq(k, data->test.n_rows);
            ck_assert_uint_eq(wrong, 0);
            rows += k;
            gr_data_free(data);
        }
        ck_assert_uint_eq(rows, ROWS);
    }
}
END_TEST

START_TEST(limit_takes_the_first_rows) {
    struct gr_config config = idx_config(4);
    struct gr_data *data;
    config.data.limit = 101;
    CHECK_OK(load_all(&config, 4, &data));
    size_t rows = 0;
    for (size_t s = 0; s < 4; s++) {
        rows += data->local[s].train.n_rows;
        for (size_t i = 0; i < data->local[s].train.n_rows; i++)
            ck_assert_uint_lt(row_of(&data->local[s].train, i, 0), 101);
    }
    ck_assert_uint_eq(rows, 101);
    gr_data_free(data);
    config.data.limit = 1000000;
    CHECK_OK(load_all(&config, 4, &data));
    gr_data_free(data);
    config.data.limit = 3;
    CHECK_REFUSED(load_all(&config, 4, &data), GR_ERROR_CONFIG, "3 rows over 4 silos");
}
END_TEST

/* With minimum_rows 0 a partition may leave a silo empty; such a silo cannot train. */
START_TEST(empty_silo_is_refused) {
    struct gr_config config = idx_config(9);
    struct gr_data *data;
    config.data.partition.minimum_rows = 0;
    config.data.limit = 5;
    CHECK_REFUSED(load_all(&config, 9, &data), GR_ERROR_DATA, "no rows to train on");
    ck_assert_ptr_nonnull(strstr(gr_message(), "silo-00"));
    ck_assert_ptr_null(data);
}
END_TEST

START_TEST(one_table_per_silo) {
    char names[6][16] = {"a.images", "a.labels", "b.images", "b.labels", "c.images", "c.labels"};
    struct gr_table_config tables[3];
    struct gr_config config = idx_config(3);
    struct gr_data *data;
    const uint32_t ids[] = {0, 2};
    struct gr_share share = {.n_silos = 3, .silos = ids, .n_local = 2, .test_count = 1};
    for (size_t s = 0; s < 3; s++)
        tables[s] = (struct gr_table_config){.features = names[2 * s], .labels = names[2 * s + 1]};
    put_pair("c", 2, 2, 3); /* labels 0 and 3; there is no file for silo 1 */
    config.data.silo_tables = tables;
    config.data.silo_tables_count = 3;
    config.data.test = tables[0];
    CHECK_OK(gr_data_load(&config, &share, &data));
    ck_assert_uint_eq(data->local[0].train.n_rows, ROWS);
    ck_assert_uint_eq(data->local[1].train.n_rows, 2);
    ck_assert_uint_eq(data->local[1].id, 2);
    ck_assert_uint_eq(data->n_test, ROWS);
    ck_assert_uint_eq(data->n_classes, 4);
    ck_assert_int_eq(data->local[0].unusable, GR_OK);
    ck_assert_ptr_null(data->local[0].why);
    gr_data_free(data);
}
END_TEST

/* A byte of a table changes the digest of the part that has its row, and no other. */
START_TEST(digests_follow_bytes) {
    struct gr_config config = idx_config(2);
    struct gr_data *before, *after;
    unsigned char bytes[ROWS * WIDTH + 16];
    put_pair("b", 700, 2, 3);
    config.data.validation_fraction = config.data.test_fraction = 0.2;
    config.data.test =
        (struct gr_table_config){.features = (char[]){"b.images"}, .labels = (char[]){"b.labels"}};
    CHECK_OK(load_all(&config, 2, &before));
    CHECK_OK(load_all(&config, 2, &after));
    ck_assert_mem_eq(before->local[0].digest, after->local[0].digest,
                     sizeof before->local[0].digest);
    ck_assert_mem_eq(before->test_digest, after->test_digest, sizeof before->test_digest);
    gr_data_free(after);
    static const char *const files[] = {"a.labels", "a.images", "b.labels", "b.images"};
    for (size_t i = 0; i < 4; i++) {
        size_t differ = 0, n = get_file(files[i], bytes, sizeof bytes);
        bytes[n - 1] ^= 1;
        put_file(files[i], bytes, n);
        CHECK_OK(load_all(&config, 2, &after));
        for (size_t s = 0; s < 2; s++)
            for (size_t p = 0; p < GR_SILO_PARTS; p++)
                differ += memcmp(before->local[s].digest[p], after->local[s].digest[p],
                                 GR_DIGEST_BYTES) != 0;
        const bool other =
            memcmp(before->test_digest, after->test_digest, sizeof before->test_digest) != 0;
        /* Not stratified: which rows are held out does not follow from labels. */
        ck_assert_uint_eq(differ, i < 2);
        ck_assert_int_eq(other, i >= 2);
        bytes[n - 1] ^= 1;
        put_file(files[i], bytes, n);
        gr_data_free(after);
    }
    gr_data_free(before);
}
END_TEST

START_TEST(gather) {
    enum { N = 37, COLUMNS = 19 };
    uint8_t bytes[N * COLUMNS];
    float floats[N * COLUMNS], out[N * COLUMNS + 1];
    int32_t labels[N], out_labels[N + 1];
    uint32_t index[N];
    struct gr_rows rows = {.n_rows = N,
                           .n_features = COLUMNS,
                           .element = GR_ELEMENT_UINT8,
                           .scale = 1.0f / 255.0f,
                           .features = bytes,
                           .labels = labels};
    for (size_t i = 0; i < N; i++) {
        labels[i] = (int32_t)(i * i);
        index[i] = (uint32_t)(i * 5 % N);
    }
    for (size_t i = 0; i < N * COLUMNS; i++) {
        bytes[i] = (uint8_t)(i * 13);
        floats[i] = (float)i * 0.37f - 2.385f;
    }
    for (int kind = 0; kind < 2; kind++) {
        for (size_t n = 0; n <= N; n++) {
            out[n * COLUMNS] = -1;
            out_labels[n] = -1;
            gr_rows_gather(&rows, index, 0, n, out, out_labels, NULL);
            size_t wrong = out[n * COLUMNS] != -1 || out_labels[n] != -1;
            for (size_t i = 0; i < n; i++) {
                wrong += out_labels[i] != labels[index[i]];
                for (size_t j = 0; j < COLUMNS; j++) {
                    size_t at = index[i] * (size_t)COLUMNS + j;
                    float expected = kind ? floats[at] : (float)bytes[at] * (1.0f / 255.0f);
                    wrong += out[i * COLUMNS + j] != expected;
                }
            }
            ck_assert_uint_eq(wrong, 0);
        }
        gr_rows_gather(&rows, NULL, 30, 7, out, out_labels, NULL);
        ck_assert_int_eq(out_labels[6], 36 * 36);
        ck_assert(out[COLUMNS] ==
                  (kind ? floats[31 * COLUMNS] : (float)bytes[31 * COLUMNS] * (1.0f / 255.0f)));
        rows.element = GR_ELEMENT_FLOAT32;
        rows.scale = 1;
        rows.features = floats;
    }
}
END_TEST

START_TEST(targets_or_labels) {
    int32_t labels[] = {4, 0, 7, 2}, taken[3];
    float features[4] = {0}, gathered[3];
    float targets[] = {0.5f, -2.385f, 1e6f, 3}, out[] = {-1, -1, -1};
    const uint32_t index[] = {2, 1};
    struct gr_rows rows = {.n_rows = 4,
                           .n_features = 1,
                           .element = GR_ELEMENT_FLOAT32,
                           .scale = 1,
                           .features = features,
                           .labels = labels};
    gr_rows_gather(&rows, index, 0, 2, gathered, taken, out);
    ck_assert(out[0] == 7 && out[1] == 0 && out[2] == -1);
    rows.targets = targets;
    gr_rows_gather(&rows, index, 0, 2, gathered, taken, out);
    ck_assert(out[0] == 1e6f && out[1] == -2.385f && out[2] == -1);
    gr_rows_gather(&rows, NULL, 1, 3, gathered, taken, out);
    ck_assert(out[0] == -2.385f && out[2] == 3);
    gr_rows_gather(&rows, NULL, 1, 3, gathered, taken, NULL);
}
END_TEST

/* Reads rows first .. first + n - 1 and holds them against what they must be. */
static void check_rows(struct gr_table *table, size_t first, size_t n, bool labelled) {
    const struct gr_rows *rows;
    size_t wrong = 0;
    CHECK_OK(gr_table_read(table, first, n, &rows));
    ck_assert_uint_eq(rows->n_rows, n);
    for (size_t i = 0; i < n; i++)
        wrong += rows->labels[i] != (labelled ? label_of(first + i) : 0) ||
                 ((unsigned char *)rows->features)[i * WIDTH + 5] != feature_of(first + i, 5);
    ck_assert_uint_eq(wrong, 0);
}

static const struct gr_table_options labelled = {.source = GR_SOURCE_IDX, .labelled = true};
static const struct gr_table_options unlabelled = {.source = GR_SOURCE_IDX};

START_TEST(table_by_ranges) {
    struct gr_table_config config = idx_config(1).data.train;
    const struct gr_rows *rows;
    struct gr_table *table;
    CHECK_OK(gr_table_open(&config, &labelled, &table));
    ck_assert_uint_eq(gr_table_n_rows(table), ROWS);
    ck_assert_uint_eq(gr_table_n_features(table), WIDTH);
    for (size_t i = 0; i < ROWS; i++)
        ck_assert_int_eq(gr_table_labels(table)[i], label_of(i));
    check_rows(table, 0, 3, true);
    check_rows(table, 3, 1, true);
    check_rows(table, 10, ROWS - 10, true);
    ck_assert_int_eq(gr_table_read(table, 9, 1, &rows), GR_ERROR_INTERNAL);
    gr_table_close(table);
    CHECK_OK(gr_table_open(&config, &labelled, &table));
    ck_assert_int_eq(gr_table_read(table, 0, ROWS + 1, &rows), GR_ERROR_INTERNAL);
    check_rows(table, 0, ROWS, true);
    gr_table_close(table);
}
END_TEST

/* Labels that are not there are not missed. */
START_TEST(table_without_labels) {
    struct gr_table_config config = idx_config(1).data.train;
    struct gr_table *table;
    config.labels = config.file;
    ck_assert_int_eq(gr_table_open(&config, &labelled, &table), GR_ERROR_DATA);
    CHECK_OK(gr_table_open(&config, &unlabelled, &table));
    ck_assert_ptr_null(gr_table_labels(table));
    check_rows(table, 2, ROWS - 2, false);
    gr_table_close(table);
}
END_TEST

START_TEST(pseudonyms) {
    char text[24];
    gr_silo_pseudonym(17, text);
    ck_assert_str_eq(text, "silo-017");
    gr_silo_pseudonym(UINT32_MAX, text);
    ck_assert_str_eq(text, "silo-4294967295");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("data");
    TCase *tests = tcase_create("data");
    tcase_add_unchecked_fixture(tests, scratch_create, scratch_remove);
    tcase_add_checked_fixture(tests, enter, NULL);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, own_silos_only);
    tcase_add_test(tests, validation_split);
    tcase_add_test(tests, test_batches_are_dealt);
    tcase_add_test(tests, limit_takes_the_first_rows);
    tcase_add_test(tests, empty_silo_is_refused);
    tcase_add_test(tests, one_table_per_silo);
    tcase_add_test(tests, digests_follow_bytes);
    tcase_add_test(tests, gather);
    tcase_add_test(tests, targets_or_labels);
    tcase_add_test(tests, table_by_ranges);
    tcase_add_test(tests, table_without_labels);
    tcase_add_test(tests, pseudonyms);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
