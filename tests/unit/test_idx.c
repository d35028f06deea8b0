/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IDX tables: files written byte by byte from the format's description, and the same with each
 * byte of a gzip stream cut off. Facts about Fashion-MNIST are its authors' (Xiao, Rasul,
 * Vollgraf 2017): 60,000 rows of 28 x 28 and 6,000 of each of ten classes; 10,000 for testing.
 */
#include "tables.h"

#include <sys/stat.h>

#include <zlib.h>

static void enter(void) {
    ck_assert_int_eq(gr_base_start(), GR_OK);
    scratch_enter();
}

/* One gzip member by zlib's deflate; returns its length. */
static size_t zip(const unsigned char *bytes, size_t n, unsigned char *out, size_t room) {
    z_stream z = {0};
    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)bytes;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)room;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t length = z.total_out;
    deflateEnd(&z);
    return length;
}

static gr_status load(uint32_t limit, struct gr_data **data) {
    struct gr_config config = idx_config(1);
    config.data.limit = limit;
    return load_all(&config, 1, data);
}

static gr_status load_and_free(void) {
    struct gr_data *data = NULL;
    gr_status status = load(0, &data);
    gr_data_free(data);
    return status;
}

static void check_rows(const struct gr_data *data, size_t rows, size_t width) {
    const struct gr_rows *train = &data->local[0].train;
    ck_assert_uint_eq(train->n_rows, rows);
    ck_assert_uint_eq(train->n_features, width);
    ck_assert_int_eq(train->element, GR_ELEMENT_UINT8);
    /* Counted, not asserted one by one: each assertion of Check's is a write to a file. */
    size_t wrong = 0;
    for (size_t i = 0; i < rows; i++) {
        wrong += train->labels[i] != label_of(i);
        for (size_t j = 0; j < width; j++)
            wrong += ((unsigned char *)train->features)[i * width + j] != feature_of(i, j);
    }
    ck_assert_uint_eq(wrong, 0);
}

START_TEST(plain_and_zipped) {
    unsigned char bytes[4096], zipped[4096];
    struct gr_data *data;
    put_pair("a", 21, 3, 2);
    CHECK_OK(load(0, &data));
    check_rows(data, 21, 6);
    ck_assert_uint_eq(data->n_classes, 4);
    gr_data_free(data);
    put_file("a.images", zipped, zip(bytes, make_images(bytes, 21, 3, 2), zipped, sizeof zipped));
    put_file("a.labels", zipped, zip(bytes, make_labels(bytes, 21), zipped, sizeof zipped));
    CHECK_OK(load(0, &data));
    check_rows(data, 21, 6);
    gr_data_free(data);
}
END_TEST

/* gzip files may be concatenated (RFC 1952, 2.2); the last trailer then tells the last part only.
 */
START_TEST(several_members) {
    unsigned char bytes[4096], zipped[4096];
    struct gr_data *data;
    put_pair("a", 21, 3, 2);
    size_t n = make_images(bytes, 21, 3, 2), first = zip(bytes, 50, zipped, sizeof zipped);
    first += zip(bytes + 50, n - 50, zipped + first, sizeof zipped - first);
    put_file("a.images", zipped, first);
    CHECK_OK(load(0, &data));
    check_rows(data, 21, 6);
    gr_data_free(data);
}
END_TEST

/* Rows wider than a window, and windows of many rows. */
START_TEST(sizes_of_rows) {
    static const uint32_t shape[][3] = {{3, 600, 500}, {1, 1, 1}, {20000, 5, 10}, {300, 40, 50}};
    unsigned char *bytes = malloc(FEATURE_ROOM), *zipped = malloc(FEATURE_ROOM);
    for (size_t k = 0; k < sizeof shape / sizeof *shape; k++) {
        const uint32_t *s = shape[k];
        struct gr_data *data;
        put_pair("a", s[0], s[1], s[2]);
        CHECK_OK(load(0, &data));
        check_rows(data, s[0], (size_t)s[1] * s[2]);
        gr_data_free(data);
        size_t n = make_images(bytes, s[0], s[1], s[2]);
        put_file("a.images", zipped, zip(bytes, n, zipped, FEATURE_ROOM));
        CHECK_OK(load(0, &data));
        check_rows(data, s[0], (size_t)s[1] * s[2]);
        gr_data_free(data);
    }
    free(bytes);
    free(zipped);
}
END_TEST

START_TEST(two_and_four_dimensions) {
    unsigned char bytes[256];
    uint32_t two[] = {5, 6}, four[] = {5, 1, 2, 3};
    struct gr_table_config table = idx_config(1).data.train;
    struct gr_table_summary summary;
    struct gr_data *data;
    for (int k = 0; k < 2; k++) {
        put_pair("a", 5, 2, 3);
        size_t n = put_header(bytes, 8, k ? 4 : 2, k ? four : two);
        for (size_t i = 0; i < 30; i++)
            bytes[n++] = feature_of(i / 6, i % 6);
        put_file("a.images", bytes, n);
        CHECK_OK(load(0, &data));
        check_rows(data, 5, 6);
        gr_data_free(data);
        CHECK_OK(gr_table_summarise(&table, GR_SOURCE_IDX, &summary));
        ck_assert_uint_eq(summary.n_dims, k ? 4 : 2);
        ck_assert_uint_eq(summary.n_rows, 5);
        ck_assert_uint_eq(summary.shape[1], k ? 1 : 6);
        ck_assert_uint_eq(summary.n_classes, 4);
    }
}
END_TEST

/* What is wrong with the file, and what the message must say. */
static const struct lie {
    const char *file;
    size_t at; /* byte changed ... */
    int value; /* ... to this; -1: the file ends before it; -2: one byte more */
    const char *says;
} lies[] = {
    {"a.images", 0, 1, "begins with 01 00"},
    {"a.images", 1, 8, "begins with 00 08"},
    {"a.images", 2, 0x0d, "type 0x0d, expected unsigned byte"},
    {"a.images", 3, 1, "1 dimensions, expected 2 to 4"},
    {"a.images", 3, 5, "5 dimensions, expected 2 to 4"},
    {"a.images", 3, 255, "255 dimensions"},
    {"a.images", 3, 4, "its header says"},
    {"a.images", 4, 255, "holds 142 bytes, its header says 25669140622"},
    {"a.images", 7, 22, "holds 142 bytes, its header says 148"},
    {"a.images", 7, 20, "holds 142 bytes, its header says 136"},
    {"a.images", 7, 0, "holds 142 bytes"},
    {"a.images", 11, 0, "holds 142 bytes, its header says 16"},
    {"a.images", 8, 127, "its header says"},
    {"a.images", 0, -1, "0 bytes, too short"},
    {"a.images", 3, -1, "too short"},
    {"a.images", 9, -1, "end within the header"},
    {"a.images", 16, -1, "holds 16 bytes, its header says 142"},
    {"a.images", 141, -1, "holds 141 bytes"},
    {"a.images", 142, -2, "holds 143 bytes"},
    {"a.labels", 3, 3, "3 dimensions, expected 1"},
    {"a.labels", 7, 20, "holds 29 bytes, its header says 28"},
    {"a.labels", 2, 9, "type 0x09"},
    {"a.labels", 29, -2, "holds 30 bytes"},
};

START_TEST(lying_headers) {
    unsigned char bytes[256];
    const struct lie *lie = &lies[_i];
    put_pair("a", 21, 3, 2);
    CHECK_OK(load_and_free());
    size_t n = get_file(lie->file, bytes, sizeof bytes);
    if (lie->value >= 0) bytes[lie->at] = (unsigned char)lie->value;
    if (lie->value == -1) n = lie->at;
    if (lie->value == -2) bytes[n++] = 0;
    put_file(lie->file, bytes, n);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, lie->says);
    ck_assert_ptr_nonnull(strstr(gr_message(), lie->file));
    /* The same lie inside a gzip stream is found, too. */
    unsigned char zipped[512];
    put_file(lie->file, zipped, zip(bytes, n, zipped, sizeof zipped));
    ck_assert_int_eq(load_and_free(), GR_ERROR_DATA);
    ck_assert_ptr_nonnull(strstr(gr_message(), lie->file));
}
END_TEST

START_TEST(labels_and_rows_differ) {
    unsigned char bytes[64];
    put_pair("a", 21, 3, 2);
    put_file("a.labels", bytes, make_labels(bytes, 20));
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "20 labels for the 21 rows of a.images");
}
END_TEST

START_TEST(not_regular_files) {
    put_pair("a", 21, 3, 2);
    unlink("a.images");
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "a.images: cannot be opened: No such file");
    ck_assert_int_eq(mkdir("a.images", 0700), 0);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "not a regular file");
    rmdir("a.images");
    ck_assert_int_eq(mkfifo("a.images", 0600), 0); /* nobody writes: it must not wait */
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "not a regular file");
}
END_TEST

START_TEST(zipped_cut_anywhere) {
    unsigned char bytes[512], zipped[512];
    put_pair("a", 21, 3, 2);
    size_t n = zip(bytes, make_images(bytes, 21, 3, 2), zipped, sizeof zipped);
    for (size_t cut = 0; cut < n; cut++) {
        put_file("a.images", zipped, cut);
        ck_assert_msg(load_and_free() == GR_ERROR_DATA, "cut at %zu of %zu", cut, n);
    }
    put_file("a.images", zipped, n);
    CHECK_OK(load_and_free());
}
END_TEST

/*
 * Any single bit flipped is found: by the header, the checksum (CRC-32) or the length. What gzip
 * itself does not protect are the ten bytes before the stream: flags, time, system.
 */
START_TEST(zipped_bit_flips) {
    unsigned char bytes[512], zipped[512];
    put_pair("a", 21, 3, 2);
    size_t n = zip(bytes, make_images(bytes, 21, 3, 2), zipped, sizeof zipped);
    for (size_t bit = 0; bit < 8 * n; bit += 3) {
        zipped[bit / 8] ^= (unsigned char)(1u << bit % 8);
        put_file("a.images", zipped, n);
        gr_status status = load_and_free();
        ck_assert(status == GR_ERROR_DATA || (status == GR_OK && bit / 8 < 10));
        zipped[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}
END_TEST

START_TEST(zipped_with_more_behind) {
    unsigned char bytes[512], zipped[1024];
    put_pair("a", 21, 3, 2);
    size_t plain = make_images(bytes, 21, 3, 2), n = zip(bytes, plain, zipped, 512);
    memcpy(zipped + n, "garbage", 7);
    put_file("a.images", zipped, n + 7);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "bytes follow the end of the gzip stream");
    /* More behind with a last word as the trailer of the true stream has it. */
    memcpy(zipped + n, zipped + n - 8, 8);
    put_file("a.images", zipped, n + 8);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "a.images: ");
    size_t more = zip((const unsigned char *)"x", 1, zipped + n, 512);
    put_file("a.images", zipped, n + more);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "goes on after the 142 bytes its header says");
}
END_TEST

/* A header that claims 200 GB in a small file, with a trailer that agrees. */
START_TEST(zipped_claim_beyond_reason) {
    unsigned char bytes[64], zipped[256];
    uint32_t size[] = {4000000000u, 7, 7};
    put_pair("a", 21, 3, 2);
    size_t n = zip(bytes, put_header(bytes, 8, 3, size), zipped, sizeof zipped);
    put_file("a.images", zipped, n);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "more than");
}
END_TEST

/* A wrong size is found at the start, also when only the first rows are wanted. */
START_TEST(zipped_size_is_checked_first) {
    unsigned char bytes[512], zipped[512];
    struct gr_data *data;
    put_pair("a", 21, 3, 2);
    size_t plain = make_images(bytes, 21, 3, 2);
    put_file("a.images", zipped, zip(bytes, plain - 1, zipped, sizeof zipped));
    CHECK_REFUSED(load(3, &data), GR_ERROR_DATA, "holds 141 bytes inflated, its header says 142");
    put_file("a.images", zipped, zip(bytes, plain + 1, zipped, sizeof zipped));
    CHECK_REFUSED(load(3, &data), GR_ERROR_DATA, "goes on after the 142 bytes its header says");
}
END_TEST

/* The trailer agrees with the header, the stream has fewer bytes. */
START_TEST(zipped_trailer_lies) {
    unsigned char bytes[512], zipped[512];
    put_pair("a", 21, 3, 2);
    size_t plain = make_images(bytes, 21, 3, 2), n = zip(bytes, plain - 1, zipped, sizeof zipped);
    zipped[n - 4]++;
    put_file("a.images", zipped, n);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "a.images: the gzip stream is damaged");
}
END_TEST

/* Only what is needed is inflated: damage behind it is not met. */
START_TEST(zipped_stops_early) {
    enum { ROWS = 20000, WIDTH = 50 };
    unsigned char *bytes = malloc(FEATURE_ROOM + 64), *zipped = malloc(FEATURE_ROOM);
    struct gr_data *data;
    put_pair("a", ROWS, 5, 10);
    size_t n = make_images(bytes, ROWS, 5, 10);
    for (size_t i = 16; i < n; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    n = zip(bytes, n, zipped, FEATURE_ROOM);
    memset(zipped + n - 2000, 0xff, 1900);
    put_file("a.images", zipped, n);
    CHECK_OK(load(100, &data));
    ck_assert_uint_eq(data->local[0].train.n_rows, 100);
    gr_data_free(data);
    CHECK_REFUSED(load(0, &data), GR_ERROR_DATA, "damaged after");
    free(bytes);
    free(zipped);
}
END_TEST

#define FASHION "/usr/share/datasets/fashion-mnist/"

static gr_status load_fashion(struct gr_data **data) {
    static char file[4][96] = {
        FASHION "train-images-idx3-ubyte.gz", FASHION "train-labels-idx1-ubyte.gz",
        FASHION "t10k-images-idx3-ubyte.gz", FASHION "t10k-labels-idx1-ubyte.gz"};
    struct gr_config config = idx_config(8);
    config.data.train = (struct gr_table_config){.features = file[0], .labels = file[1]};
    config.data.test = (struct gr_table_config){.features = file[2], .labels = file[3]};
    config.data.partition.method = GR_PARTITION_DIRICHLET;
    config.data.partition.alpha = 0.3;
    config.data.partition.minimum_rows = 10;
    return load_all(&config, 8, data);
}

START_TEST(fashion_mnist) {
    struct gr_data *data;
    size_t count[10] = {0}, test[10] = {0}, rows = 0;
    if (access(FASHION "train-images-idx3-ubyte.gz", R_OK) != 0) return;
    CHECK_OK(load_fashion(&data));
    for (size_t s = 0; s < 8; s++) {
        rows += data->local[s].train.n_rows;
        for (size_t i = 0; i < data->local[s].train.n_rows; i++)
            count[data->local[s].train.labels[i]]++;
    }
    ck_assert_uint_eq(rows, 60000);
    ck_assert_uint_eq(data->n_features, 784);
    ck_assert_uint_eq(data->n_dims, 2);
    ck_assert_uint_eq(data->shape[0] * 100 + data->shape[1], 2828);
    ck_assert_uint_eq(data->n_classes, 10);
    ck_assert_uint_eq(data->n_test, 10000);
    for (size_t i = 0; i < 10000; i++)
        test[data->test.labels[i]]++;
    for (size_t c = 0; c < 10; c++) {
        ck_assert_uint_eq(count[c], 6000);
        ck_assert_uint_eq(test[c], 1000);
    }
    gr_data_free(data);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("idx");
    TCase *tests = tcase_create("idx");
    tcase_add_unchecked_fixture(tests, scratch_create, scratch_remove);
    tcase_add_checked_fixture(tests, enter, NULL);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, plain_and_zipped);
    tcase_add_test(tests, several_members);
    tcase_add_test(tests, sizes_of_rows);
    tcase_add_test(tests, two_and_four_dimensions);
    tcase_add_loop_test(tests, lying_headers, 0, sizeof lies / sizeof *lies);
    tcase_add_test(tests, labels_and_rows_differ);
    tcase_add_test(tests, not_regular_files);
    tcase_add_test(tests, zipped_cut_anywhere);
    tcase_add_test(tests, zipped_bit_flips);
    tcase_add_test(tests, zipped_with_more_behind);
    tcase_add_test(tests, zipped_claim_beyond_reason);
    tcase_add_test(tests, zipped_size_is_checked_first);
    tcase_add_test(tests, zipped_trailer_lies);
    tcase_add_test(tests, zipped_stops_early);
    tcase_add_test(tests, fashion_mnist);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
