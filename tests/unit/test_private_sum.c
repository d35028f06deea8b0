/* SPDX-License-Identifier: Apache-2.0 */
/* Rounding to the grid, against libm's nearest whole number, ties to even. */
#include <check.h>
#include <math.h>
#include <train/private_sum.h>

enum { N = 1003 };

START_TEST(sums_go_to_the_nearest_whole_number) {
    static const double scales[] = {1, 0.5, 0x1p24, 0x1p24 / 1.3, 12345.678, 3e-3};
    static float sum[N];
    static int64_t into[N];
    const double scale = scales[_i];
    for (size_t i = 0; i < N; i++) {
        sum[i] = (float)i / 2 - 250; /* halves: ties, either sign, where scale is 1 */
        if (i % 3 == 0) sum[i] = (float)(sin((double)i) * 63);
        into[i] = (int64_t)i * 1000000007 - 7;
    }
    gr_round_to_grid(sum, scale, into, N);
    for (size_t i = 0; i < N; i++) {
        const int64_t expected = (int64_t)i * 1000000007 - 7 + llrint((double)sum[i] * scale);
        ck_assert_msg(into[i] == expected, "%zu: %lld, expected %lld", i, (long long)into[i],
                      (long long)expected);
    }
}
END_TEST

/* The even one of two: never away from zero, nor up. */
START_TEST(ties_go_to_even) {
    const float sum[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 0x1.8p-1f, -0x1.8p-1f, 0};
    const int64_t expected[] = {0, 2, 2, 0, -2, -2, 1, -1, 0};
    int64_t into[sizeof sum / sizeof *sum] = {0};
    gr_round_to_grid(sum, 1, into, sizeof sum / sizeof *sum);
    for (size_t i = 0; i < sizeof sum / sizeof *sum; i++)
        ck_assert_msg(into[i] == expected[i], "%g: %lld", (double)sum[i], (long long)into[i]);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("private sum");
    TCase *tcase = tcase_create("private sum");
    tcase_add_loop_test(tcase, sums_go_to_the_nearest_whole_number, 0, 6);
    tcase_add_test(tcase, ties_go_to_even);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
