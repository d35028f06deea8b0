/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process holds when not all is well: silos whose own table is bad, and test batches dealt
 * anew after other processes were lost.
 */
#include "tables.h"

#include <zlib.h>

enum { ROWS = 1230, WIDTH = 6, LONG = 100000 };

static void enter(void) {
    ck_assert_int_eq(gr_base_start(), GR_OK);
    scratch_enter();
    put_pair("a", ROWS, 2, 3);
}

/* A silo that cannot be used is there, says why, and holds nothing; the others are as without it.
 */
static void check_unusable(const struct gr_silo *silo, uint32_t id, const char *why) {
    char pseudonym[24];
    gr_silo_pseudonym(id, pseudonym);
    ck_assert_int_eq(silo->unusable, GR_ERROR_DATA);
    ck_assert_msg(silo->why && strstr(silo->why, why), "why \"%s\" lacks \"%s\"", silo->why, why);
    ck_assert_uint_eq(silo->id, id);
    ck_assert_str_eq(silo->pseudonym, pseudonym);
    ck_assert_uint_eq(silo->train.n_rows + silo->validation.n_rows, 0);
    ck_assert_ptr_null(silo->train.features);
}

static void check_usable(const struct gr_silo *silo, uint32_t id, size_t n_rows) {
    ck_assert_msg(silo->unusable == GR_OK, "%s", silo->why);
    ck_assert_ptr_null(silo->why);
    ck_assert_uint_eq(silo->id, id);
    ck_assert_uint_eq(silo->train.n_rows, n_rows);
}

START_TEST(bad_silo_table_is_its_silos) {
    char names[6][16] = {"a.images", "a.labels", "b.images", "b.labels", "c.images", "c.labels"};
    struct gr_table_config tables[3];
    struct gr_config config = idx_config(3);
    struct gr_data *data;
    unsigned char *bytes = malloc(FEATURE_ROOM);
    for (size_t s = 0; s < 3; s++)
        tables[s] = (struct gr_table_config){.features = names[2 * s], .labels = names[2 * s + 1]};
    put_pair("c", 2, 2, 3);
    config.data.silo_tables = tables;
    config.data.silo_tables_count = 3;
    CHECK_OK(load_all(&config, 3, &data));
    check_usable(&data->local[0], 0, ROWS);
    check_unusable(&data->local[1], 1, "b.images: cannot be opened");
    check_usable(&data->local[2], 2, 2);
    gr_data_free(data);
    put_pair("b", 4, 2, 2);
    CHECK_OK(load_all(&config, 3, &data));
    check_unusable(&data->local[1], 1, "b.images: rows of 4 features, expected 6");
    gr_data_free(data);
    put_pair("b", 0, 2, 3);
    CHECK_OK(load_all(&config, 3, &data));
    ck_assert_int_ne(data->local[1].unusable, GR_OK);
    gr_data_free(data);
    /* What a bad silo says of itself does not count: here a class that nobody else has. */
    put_pair("b", LONG, 2, 3);
    size_t n = get_file("b.labels", bytes, FEATURE_ROOM);
    bytes[n - 1] = 9;
    put_file("b.labels", bytes, n);
    CHECK_OK(load_all(&config, 3, &data));
    check_usable(&data->local[1], 1, LONG);
    ck_assert_uint_eq(data->n_classes, 10);
    gr_data_free(data);
    n = get_file("b.images", bytes, FEATURE_ROOM);
    gzFile packed = gzopen("b.images", "wb");
    ck_assert_int_eq(gzwrite(packed, bytes, (unsigned)n), (int)n);
    ck_assert_int_eq(gzclose(packed), Z_OK);
    n = get_file("b.images", bytes, FEATURE_ROOM);
    bytes[n - 8] ^= 1; /* its checksum, which is seen when all is read */
    put_file("b.images", bytes, n);
    CHECK_OK(load_all(&config, 3, &data));
    check_unusable(&data->local[1], 1, "gzip stream is damaged");
    ck_assert_uint_eq(data->n_classes, 4);
    gr_data_free(data);
    free(bytes);
}
END_TEST

/* The test table says how wide rows are, not the silo that happens to come first. */
START_TEST(test_table_decides_on_width) {
    char names[6][16] = {"b.images", "b.labels", "a.images", "a.labels", "none", "none"};
    struct gr_table_config tables[3];
    struct gr_config config = idx_config(2);
    struct gr_data *data;
    for (size_t s = 0; s < 3; s++)
        tables[s] = (struct gr_table_config){.features = names[2 * s], .labels = names[2 * s + 1]};
    put_pair("b", 4, 2, 2);
    config.data.silo_tables = tables;
    config.data.silo_tables_count = 2;
    CHECK_OK(load_all(&config, 2, &data));
    check_usable(&data->local[0], 0, 4);
    check_unusable(&data->local[1], 1, "a.images: rows of 6 features, expected 4");
    gr_data_free(data);
    put_pair("b", 4, 3, 2); /* as many as in 2 x 3, lying otherwise */
    CHECK_OK(load_all(&config, 2, &data));
    ck_assert_uint_eq(data->n_dims, 2);
    ck_assert_uint_eq(data->shape[0], 3);
    ck_assert_uint_eq(data->shape[1], 2);
    check_unusable(&data->local[1], 1, "a.images: rows of another shape");
    gr_data_free(data);
    put_pair("b", 4, 2, 2);
    config.data.test = tables[1];
    CHECK_OK(load_all(&config, 2, &data));
    check_unusable(&data->local[0], 0, "b.images: rows of 4 features, expected 6");
    check_usable(&data->local[1], 1, ROWS);
    ck_assert_uint_eq(data->n_features, 6);
    gr_data_free(data);
    /* Nobody is well. */
    tables[0] = tables[1] = tables[2];
    CHECK_OK(load_all(&config, 2, &data));
    ck_assert_uint_eq(data->n_features, 6);
    gr_data_free(data);
    memset(&config.data.test, 0, sizeof config.data.test);
    CHECK_OK(load_all(&config, 2, &data));
    check_unusable(&data->local[1], 1, "none: cannot be opened");
    ck_assert_uint_eq(data->n_features, 0);
    ck_assert_uint_eq(data->n_classes, 0);
    ck_assert_uint_eq(data->n_test, 0);
    gr_data_free(data);
    /* A test table is everybody's. */
    config.data.test = tables[2];
    CHECK_REFUSED(load_all(&config, 2, &data), GR_ERROR_DATA, "none: cannot be opened");
}
END_TEST

static void check_same_test(const struct gr_data *a, const struct gr_data *b) {
    ck_assert_uint_eq(a->n_local_batches, b->n_local_batches);
    ck_assert_uint_eq(a->test.n_rows, b->test.n_rows);
    ck_assert_mem_eq(a->local_batch, b->local_batch, a->n_local_batches * sizeof(size_t));
    ck_assert_mem_eq(a->test.labels, b->test.labels, a->test.n_rows * sizeof(int32_t));
    ck_assert_mem_eq(a->test.features, b->test.features, a->test.n_rows * WIDTH);
}

START_TEST(test_share_is_reloaded) {
    struct gr_config config = idx_config(2);
    unsigned char bytes[ROWS + 8];
    struct gr_data *data, *fresh;
    const uint32_t id = 1;
    struct gr_share share = {
        .n_silos = 2, .silos = &id, .n_local = 1, .test_index = 2, .test_count = 3};
    config.data.test = config.data.train;
    CHECK_OK(gr_data_load(&config, &share, &data));
    const void *train = data->local[0].train.features;
    static const uint32_t to[][2] = {{0, 2}, {1, 2}, {0, 1}, {3, 4}, {1, 3}};
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        share.test_index = to[i][0];
        share.test_count = to[i][1];
        CHECK_OK(gr_data_load(&config, &share, &fresh));
        CHECK_OK(gr_data_reload_test(&config, to[i][0], to[i][1], data));
        check_same_test(data, fresh);
        if (i + 1 < sizeof to / sizeof *to) gr_data_free(fresh);
    }
    ck_assert_ptr_eq(data->local[0].train.features, train);
    /* What cannot be read, or is not what it was, leaves the old share. */
    CHECK_REFUSED(gr_data_reload_test(&config, 1, 1, data), GR_ERROR_INTERNAL, "share");
    size_t n = get_file("a.labels", bytes, sizeof bytes);
    bytes[n - 1] = 4;
    put_file("a.labels", bytes, n);
    CHECK_REFUSED(gr_data_reload_test(&config, 0, 1, data), GR_ERROR_DATA, "in 5 classes");
    put_pair("a", ROWS - 1, 2, 3);
    CHECK_REFUSED(gr_data_reload_test(&config, 0, 1, data), GR_ERROR_DATA, "found 1229 rows");
    put_pair("a", ROWS, 2, 2);
    CHECK_REFUSED(gr_data_reload_test(&config, 0, 1, data), GR_ERROR_DATA, "rows of 4 features");
    unlink("a.images");
    CHECK_REFUSED(gr_data_reload_test(&config, 0, 1, data), GR_ERROR_DATA, "cannot be opened");
    check_same_test(data, fresh);
    gr_data_free(fresh);
    gr_data_free(data);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("data_losses");
    TCase *tests = tcase_create("data_losses");
    tcase_add_unchecked_fixture(tests, scratch_create, scratch_remove);
    tcase_add_checked_fixture(tests, enter, NULL);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, bad_silo_table_is_its_silos);
    tcase_add_test(tests, test_table_decides_on_width);
    tcase_add_test(tests, test_share_is_reloaded);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
