/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels of src/model against their naive references. Products must have the reference's bits:
 * each element is one chain of multiply-adds, of bfloat16 as Intel's manual defines vdpbf16ps.
 * Activations are compared with double arithmetic.
 */
#include <check.h>
#include <math.h>
#include <model/elementwise.h>
#include <model/instructions.h>
#include <model/pairs.h>
#include <model/reference.h>
#include <model/sparse.h>
#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = {1, 3, 10, 17, 32, 33, 64, 200};
enum { N_SIZES = sizeof sizes / sizeof *sizes, ROOM = 800 * 210 };

static float *a, *b, *c, *expected, *bias, *pack;

static void fill(float *values, size_t n, unsigned seed) {
    srand(seed);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(rand() % 2001 - 1000) / 997.0f;
}

static void setup(void) {
    ck_assert_int_eq(gr_base_start(), GR_OK);
    ck_assert_int_eq(gr_allocate(ROOM, sizeof *a, "a", &a), GR_OK);
    ck_assert_int_eq(gr_allocate(ROOM, sizeof *b, "b", &b), GR_OK);
    ck_assert_int_eq(gr_allocate(ROOM, sizeof *c, "c", &c), GR_OK);
    ck_assert_int_eq(gr_allocate(ROOM, sizeof *c, "expected", &expected), GR_OK);
    ck_assert_int_eq(gr_allocate(800, sizeof *bias, "bias", &bias), GR_OK);
    ck_assert_int_eq(gr_allocate(GR_BLOCK_SUMS + 800 * GR_TILE_PACK, sizeof *pack, "pack", &pack),
                     GR_OK);
    fill(a, ROOM, 1);
    fill(b, ROOM, 2);
    fill(bias, 800, 3);
}

static void teardown(void) {
    gr_free(pack);
    gr_free(bias);
    gr_free(expected);
    gr_free(c);
    gr_free(b);
    gr_free(a);
}

/* Whether this set fuses multiply-adds: (1 + e)^2 - 1 keeps e^2 only then. */
static bool fuses(const struct gr_tiles *tiles) {
    float x = 1 + 0x1p-13f, out = -(1 + 0x1p-12f);
    const struct gr_product p = {.m = 1, .n = 1, .k = 1, .a = &x, .b = &x, .c = &out, .from = &out};
    gr_multiply(tiles, &p, pack);
    return out != 0;
}

/* Where the sums of a product start. */
enum start { ZERO, ROW, SAME };

static void start_from(struct gr_product *p, enum start start) {
    p->from = start == ZERO ? NULL : start == ROW ? bias : p->c;
    p->from_row = start == SAME ? p->c_row : 0;
}

static void check_product(const struct gr_tiles *tiles, enum gr_arithmetic arithmetic,
                          struct gr_product p, enum start start) {
    const size_t used = p.m * p.c_row + 64;
    fill(c, used, 4);
    memcpy(expected, c, used * sizeof *c);
    p.c = c;
    start_from(&p, start);
    gr_multiply(tiles, &p, pack);
    p.c = expected;
    start_from(&p, start);
    gr_reference_multiply(&p, arithmetic);
    /* With the room between and behind the rows, which must not be touched. */
    size_t i = 0;
    while (i < used && c[i] == expected[i])
        i++;
    if (i < used)
        ck_abort_msg("%s: %zu x %zu x %zu start %d finish %d: element %zu,%zu is %a, expected %a",
                     tiles->name, p.m, p.n, p.k, (int)start, (int)p.finish, i / p.c_row,
                     i % p.c_row, c[i], expected[i]);
}

/* The product plain and with a transposed, with each start and finish in turn. */
static void check_shape(const struct gr_tiles *tiles, enum gr_arithmetic arithmetic, size_t m,
                        size_t n, size_t k, unsigned variant) {
    static const struct {
        enum start start;
        enum gr_product_finish finish;
        float decay;
    } ways[] = {{ZERO, GR_FINISH_STORE, 0}, {ROW, GR_FINISH_RELU, 0},
                {ROW, GR_FINISH_STORE, 0},  {SAME, GR_FINISH_STORE, 0},
                {ZERO, GR_FINISH_STEP, 0},  {ZERO, GR_FINISH_STEP, 0.01f}};
    const size_t way = variant % (sizeof ways / sizeof *ways);
    struct gr_product p = {.m = m,
                           .n = n,
                           .k = k,
                           .a = a,
                           .a_row = k,
                           .a_step = 1,
                           .b = b,
                           .b_row = n,
                           .c_row = n,
                           .finish = ways[way].finish,
                           .decay = ways[way].decay};
    check_product(tiles, arithmetic, p, ways[way].start);
    p.a_row = 1;
    p.a_step = m;
    p.b_row = n + 3;
    p.c_row = n + 5;
    check_product(tiles, arithmetic, p, ways[way].start);
}

/* ---- sparse products ------------------------------------------------------------------------ */

/* a[rows, columns] with that share of elements not zero, and zeros of either sign. */
static size_t thin_out(size_t rows, size_t columns, int percent) {
    size_t count = 0;
    srand(5);
    for (size_t i = 0; i < rows * columns; i++) {
        a[i] = rand() % 100 < percent ? (float)(rand() % 1000 + 1) / 997.0f : 0.0f;
        if (i % 7 == 0 && a[i] == 0.0f) a[i] = -0.0f;
        count += a[i] != 0.0f;
    }
    return count;
}

/* The reference's bits; c's gaps are not touched. */
static void check_sparse(const struct gr_sparse_kernels *kernels, struct gr_product p,
                         enum start start, const uint32_t *masks) {
    const size_t used = p.m * p.c_row + 64;
    ck_assert_uint_le(used, ROOM);
    fill(c, used, 4);
    memcpy(expected, c, used * sizeof *c);
    p.c = c;
    start_from(&p, start);
    gr_sparse_multiply(kernels, &p, masks, pack);
    p.c = expected;
    start_from(&p, start);
    gr_reference_multiply(&p, GR_ARITHMETIC_FUSED);
    for (size_t i = 0; i < used; i++)
        if (c[i] != expected[i])
            ck_abort_msg("%zu x %zu x %zu start %d finish %d: element %zu,%zu is %a, expected %a",
                         p.m, p.n, p.k, (int)start, (int)p.finish, i / p.c_row, i % p.c_row,
                         (double)c[i], (double)expected[i]);
}

static void check_sparse_shape(const struct gr_sparse_kernels *kernels, struct gr_sparse *sparse,
                               size_t rows, size_t columns, size_t width, int percent) {
    struct gr_product p = {.m = rows,
                           .n = width,
                           .k = columns,
                           .a = a,
                           .a_row = columns,
                           .a_step = 1,
                           .b = b,
                           .b_row = width + 3,
                           .c_row = width + 5,
                           .finish = percent % 2 ? GR_FINISH_RELU : GR_FINISH_STORE};
    const size_t count = thin_out(rows, columns, percent);
    ck_assert_int_eq(gr_sparse_find(sparse, kernels, a, rows, columns), GR_OK);
    if (rows * columns >= 1000) ck_assert_int_eq(sparse->pays, percent < 60);
    if (!sparse->pays) return;
    ck_assert_uint_eq(sparse->count, count);
    check_sparse(kernels, p, ROW, sparse->by_row);
    check_sparse(kernels, p, SAME, sparse->by_row);
    p.m = columns;
    p.k = rows;
    p.a_row = 1;
    p.a_step = columns;
    p.finish = GR_FINISH_STORE;
    check_sparse(kernels, p, ZERO, sparse->by_column);
    p.finish = GR_FINISH_STEP;
    check_sparse(kernels, p, ZERO, sparse->by_column);
    p.decay = 0.01f;
    check_sparse(kernels, p, ZERO, sparse->by_column);
}

/* Of each instruction set that has them. */
START_TEST(test_sparse_products) {
    static const size_t inner[] = {1, 15, 16, 17, 32, 33, 70, 130},
                        widths[] = {64, 65, 71, 200, 209, 430};
    static const int percents[] = {51, 10, 100, 33};
    size_t n_sets;
    const struct gr_tiles *const tiles = gr_tiles_all(&n_sets)[(size_t)_i];
    const struct gr_sparse_kernels *kernels = gr_sparse_kernels_of(tiles, 64);
    if (!gr_tiles_supported(tiles) || !kernels) return;
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
        struct gr_sparse sparse = {0};
        for (size_t j = 0; j < sizeof inner / sizeof *inner; j++)
            for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
                check_sparse_shape(kernels, &sparse, inner[j], inner[i], widths[w],
                                   percents[(i + j + w) % 4]);
        gr_sparse_release(&sparse);
    }
    a[0] = NAN;
    struct gr_sparse sparse = {0};
    ck_assert_int_eq(gr_sparse_find(&sparse, kernels, a, 1, 1), GR_OK);
    ck_assert_uint_eq(sparse.count, 1);
    ck_assert_uint_eq(sparse.by_row[0] & sparse.by_column[0], 1);
    gr_sparse_release(&sparse);
}
END_TEST

/* 1 more than a width that any even deal leaves in whole parts: the last part would be less than a
 * vector, whichever number of vectors the parts have. No set can deal it. */
START_TEST(test_sparse_widths) {
    enum { MULTIPLE = 360360, LANES_MAX = 16 }; /* the least common of 1 to 13 */
    const struct gr_tiles *const tiles = gr_tiles_all(&(size_t){0})[(size_t)_i];
    if (!gr_sparse_kernels_of(tiles, 64)) return;
    ck_assert_ptr_null(gr_sparse_kernels_of(tiles, (size_t)MULTIPLE * LANES_MAX + 1));
    ck_assert_ptr_nonnull(gr_sparse_kernels_of(tiles, (size_t)MULTIPLE * LANES_MAX));
    ck_assert_ptr_nonnull(gr_sparse_kernels_of(tiles, 6720));
}
END_TEST

/* oneDNN's documentation has the names and what each set holds. */
START_TEST(test_environment_limits) {
    size_t n_sets;
    const struct gr_tiles *const *sets = gr_tiles_all(&n_sets);
    const struct gr_tiles *portable = sets[n_sets - 1], *avx2 = n_sets > 1 ? sets[1] : portable;
    if (!gr_tiles_supported(avx2)) avx2 = portable;
    for (size_t i = 0; i < 2; i++) {
        const char *name = i == 0 ? "ONEDNN_MAX_CPU_ISA" : "DNNL_MAX_CPU_ISA";
        ck_assert_int_eq(unsetenv("ONEDNN_MAX_CPU_ISA"), 0);
        ck_assert_int_eq(setenv(name, "AVX2", 1), 0);
        ck_assert_ptr_eq(gr_tiles_best(), avx2);
        ck_assert_int_eq(setenv(name, "AVX2_VNNI", 1), 0);
        ck_assert_ptr_eq(gr_tiles_best(), avx2);
        ck_assert_int_eq(setenv(name, "SSE41", 1), 0);
        ck_assert_ptr_eq(gr_tiles_best(), portable);
        ck_assert(!gr_instructions_allow(GR_USE_AVX512) && !gr_instructions_allow(GR_USE_AMX));
        ck_assert_int_eq(setenv(name, "sse41", 1), 0);
        ck_assert_ptr_eq(gr_tiles_best(), portable);
        ck_assert_int_eq(setenv("ONEDNN_MAX_CPU_ISA", i == 0 ? "sse41" : "", 1), 0);
        ck_assert_ptr_eq(gr_tiles_best(), portable);
        ck_assert_int_eq(setenv(name, "DEFAULT", 1), 0);
        ck_assert(gr_tiles_best() != portable || avx2 == portable);
    }
}
END_TEST

static void check_shapes(const struct gr_tiles *tiles, enum gr_arithmetic arithmetic) {
    unsigned variant = 0;
    for (size_t m = 0; m < N_SIZES; m++)
        for (size_t n = 0; n < N_SIZES; n++)
            for (size_t k = 0; k < N_SIZES; k++)
                if (sizes[m] * sizes[n] * sizes[k] <= 64 * 200 * 33)
                    check_shape(tiles, arithmetic, sizes[m], sizes[n], sizes[k], variant++);
    for (unsigned way = 0; way < 6; way++) {
        check_shape(tiles, arithmetic, 32, 200, 784, way);
        check_shape(tiles, arithmetic, 784, 200, 17, way);
        check_shape(tiles, arithmetic, 3, 10, 784, way);
        /* Several blocks of rows, of columns beside which sums are kept, of the inner index. */
        check_shape(tiles, arithmetic, 197, 250, 300, way);
    }
}

START_TEST(test_products) {
    size_t n_sets;
    const struct gr_tiles *const *sets = gr_tiles_all(&n_sets);
    const struct gr_tiles *tiles = sets[(size_t)_i];
    if (!gr_tiles_supported(tiles)) return;
    check_shapes(tiles, fuses(tiles) ? GR_ARITHMETIC_FUSED : GR_ARITHMETIC_PLAIN);
}
END_TEST

/* ---- pairs of bfloat16 ---------------------------------------------------------------------- */

static float pair_of(float first, float second) {
    const uint32_t bits = (uint32_t)gr_reference_round(second) << 16 | gr_reference_round(first);
    float pair;
    memcpy(&pair, &bits, sizeof pair);
    return pair;
}

/* Numbers of all sizes, so that sums lose bits, and some vanish below 2^-126 as factors or as
 * products. */
static void fill_pairs(float *pairs, size_t n, unsigned seed) {
    srand(seed);
    for (size_t i = 0; i < n; i++) {
        float of[2];
        for (size_t j = 0; j < 2; j++)
            of[j] = ldexpf((float)(rand() % 2001 - 1000),
                           rand() % 9 > 0 ? -rand() % 20 : -60 - rand() % 80);
        pairs[i] = pair_of(of[0], of[1]);
    }
}

START_TEST(test_paired_products) {
    const struct gr_tiles *tiles = gr_tiles_bfloat16();
    if (!tiles) return;
    fill_pairs(a, ROOM, 6);
    fill_pairs(b, ROOM, 7);
    check_shapes(tiles, GR_ARITHMETIC_PAIRED);
}
END_TEST

/* Rows and columns that end within vectors and pairs; x[rows, columns] is a. */
static void check_pairs(size_t rows, size_t columns) {
    const size_t along = (columns + 1) / 2, below = gr_pairs_row(columns),
                 turned = gr_pairs_row(rows);
    size_t wrong = 0;
    gr_pairs_along(a, rows, columns, c);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < along; j++) {
            const float *x = a + i * columns + 2 * j;
            expected[i * along + j] = pair_of(x[0], 2 * j + 1 < columns ? x[1] : 0);
        }
    ck_assert_mem_eq(c, expected, rows * along * sizeof *c);
    gr_pairs_turned(a, rows, columns, c);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < along; j++)
            wrong += memcmp(&c[j * turned + i], &expected[i * along + j], sizeof *c) != 0;
    gr_pairs_between(a, rows, columns, c);
    for (size_t i = 0; i < rows; i += 2)
        for (size_t j = 0; j < columns; j++) {
            const float *x = a + i * columns + j;
            const float pair = pair_of(x[0], i + 1 < rows ? x[columns] : 0);
            wrong += memcmp(&c[i / 2 * below + j], &pair, sizeof pair) != 0;
        }
    ck_assert_uint_eq(wrong, 0);
}

/* Ties, and the largest numbers, which are rounded to infinity. Nothing is written behind. */
START_TEST(test_pairs) {
    static const float edges[] = {0x1.01p0f, 0x1.03p0f, 0x1.010002p0f, -0x1.01p0f, 0x1.fffffep127f};
    static const uint16_t rounded[] = {0x3f80, 0x3f82, 0x3f81, 0xbf80, 0x7f80};
    if (!gr_tiles_bfloat16()) return;
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        ck_assert_uint_eq(gr_reference_round(edges[i]), rounded[i]);
        a[3 * i] = edges[i];
    }
    for (size_t i = 0; i < N_SIZES; i++)
        for (size_t j = 0; j < N_SIZES; j++)
            check_pairs(sizes[i], sizes[j]);
    c[7 * 7] = 1;
    gr_pairs_along(a, 7, 13, c);
    ck_assert(c[7 * 7] == 1);
    c[7 * 32] = 1;
    gr_pairs_between(a, 13, 31, c);
    ck_assert(c[7 * 32] == 1);
    gr_pairs_turned(a, 31, 13, c);
    ck_assert(c[7 * 32] == 1);
}
END_TEST

START_TEST(test_relu_keeps_nan) {
    float one = 1, out[24], nan_bias[24];
    for (size_t i = 0; i < 24; i++)
        nan_bias[i] = NAN;
    const struct gr_product p = {.m = 1,
                                 .n = 24,
                                 .k = 1,
                                 .a = &one,
                                 .b = b,
                                 .c = out,
                                 .c_row = 24,
                                 .from = nan_bias,
                                 .finish = GR_FINISH_RELU};
    gr_multiply(gr_tiles_best(), &p, pack);
    for (size_t i = 0; i < 24; i++)
        ck_assert(isnan(out[i]));
    gr_activate(GR_ACTIVATION_RELU, nan_bias, out, 24);
    ck_assert(isnan(out[0]));
}
END_TEST

START_TEST(test_activations) {
    const enum gr_activation activation = (enum gr_activation)_i;
    for (int step = -400; step <= 400; step++) {
        const float x = (float)step / 50;
        float out, slope = 1;
        if (step == 0) continue; /* relu has no derivative there */
        gr_activate(activation, &x, &out, 1);
        gr_activate_backward(activation, &x, &out, &slope, 1);
        ck_assert_double_eq_tol(out, gr_reference_activate(activation, x), 1e-6);
        ck_assert_double_eq_tol(slope, gr_reference_slope(activation, x), 1e-6);
        /* The reference's derivative against central differences. */
        const double h = 1e-5, rise = gr_reference_activate(activation, x + h) -
                                      gr_reference_activate(activation, x - h);
        ck_assert_double_eq_tol(gr_reference_slope(activation, x), rise / (2 * h), 1e-9);
    }
}
END_TEST

START_TEST(test_transpose) {
    for (size_t i = 0; i < N_SIZES; i++)
        for (size_t j = 0; j < N_SIZES; j++) {
            const size_t rows = sizes[i], columns = sizes[j];

            gr_transpose(a, columns + 1, rows, columns, c, rows + 2);
            size_t wrong = 0;
            for (size_t r = 0; r < rows; r++)
                for (size_t l = 0; l < columns; l++)
                    wrong += c[l * (rows + 2) + r] != a[r * (columns + 1) + l];
            ck_assert_uint_eq(wrong, 0);
        }
}
END_TEST

START_TEST(test_column_sums) {
    for (int way = 0; way < 2; way++) {
        const float *from = way == 0 ? NULL : bias;
        gr_column_sums(a, 33, 17, from, c);
        for (size_t j = 0; j < 17; j++) {
            float sum = from ? from[j] : 0;
            for (size_t i = 0; i < 33; i++)
                sum += a[i * 17 + j];
            ck_assert(c[j] == sum);
        }
    }
}
END_TEST

START_TEST(test_cross_entropy) {
    /* softmax(log 1, log 2, log 5) = 1/8, 2/8, 5/8 by hand; a large constant changes nothing. */
    const float logits[] = {0.0f, 0.69314718f, 1.60943791f, 100.0f, 100.69314718f, 101.60943791f};
    const int32_t labels[] = {1, 2};
    float delta[6];
    size_t correct;
    double loss = gr_cross_entropy(logits, labels, 2, 3, 0.5f, delta, &correct);
    ck_assert_double_eq_tol(loss, -log(2.0 / 8) - log(5.0 / 8), 1e-5);
    ck_assert_uint_eq(correct, 1);
    const double expected_delta[] = {1 / 16.0, -6 / 16.0, 5 / 16.0, 1 / 16.0, 2 / 16.0, -3 / 16.0};
    for (size_t i = 0; i < 6; i++)
        ck_assert_double_eq_tol(delta[i], expected_delta[i], 1e-5);
}
END_TEST

START_TEST(test_cross_entropy_extremes) {
    const int32_t label = 0;
    const float far[] = {-200.0f, 200.0f}, ties[] = {7.0f, 7.0f, 7.0f}, broken[] = {1.0f, NAN},
                infinite[] = {1.0f, INFINITY};
    size_t correct;
    ck_assert_double_eq_tol(gr_cross_entropy(far, &label, 1, 2, 1, NULL, &correct), 400, 1e-9);
    ck_assert_uint_eq(correct, 0);
    ck_assert_double_eq_tol(gr_cross_entropy(ties, &label, 1, 3, 1, NULL, &correct), log(3), 1e-7);
    ck_assert_uint_eq(correct, 1); /* the first of ties */
    const int32_t last = 2;
    gr_cross_entropy(ties, &last, 1, 3, 1, NULL, &correct);
    ck_assert_uint_eq(correct, 0);
    ck_assert(!isfinite(gr_cross_entropy(broken, &label, 1, 2, 1, NULL, NULL)));
    ck_assert(!isfinite(gr_cross_entropy(infinite, &label, 1, 2, 1, NULL, NULL)));
}
END_TEST

int main(void) {
    size_t n_sets;
    Suite *suite = suite_create("kernels");
    TCase *tests = tcase_create("kernels");
    gr_tiles_all(&n_sets);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_products, 0, (int)n_sets);
    tcase_add_test(tests, test_paired_products);
    tcase_add_test(tests, test_pairs);
    tcase_add_loop_test(tests, test_sparse_products, 0, (int)n_sets);
    tcase_add_loop_test(tests, test_sparse_widths, 0, (int)n_sets);
    tcase_add_test(tests, test_environment_limits);
    tcase_add_test(tests, test_relu_keeps_nan);
    tcase_add_loop_test(tests, test_activations, 0, GR_ACTIVATION_TANH + 1);
    tcase_add_test(tests, test_transpose);
    tcase_add_test(tests, test_column_sums);
    tcase_add_test(tests, test_cross_entropy);
    tcase_add_test(tests, test_cross_entropy_extremes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
