/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums for statistics with noise: a row or a person moves them by no more than is accounted for,
 * and reaches that; means and deviations are those of the clamped values, computed otherwise; noise
 * spreads them as it says; what noise leaves nothing of is told so.
 */
#include "data/bounded_sums.h"

#include "scratch.h"

#include <math.h>
#include <stdlib.h>

#include "config/privacy_plan.h"
#include "data/rows.h"
#include "privacy/noise.h"
#include "privacy/sensitivity.h"

enum { VALUES = 5, ROWS = 400, PEOPLE = 60, WARDS = 4 };

/* Standardised; filled by its mean; both; filled by its mode; neither. */
static const struct gr_treatment treatments[VALUES] = {
    {.number = true, .by = GR_SCALE_STANDARDISE, .ranged = true, .range = {-3, 5}},
    {.number = true,
     .by = GR_SCALE_NONE,
     .missing = GR_MISSING_MEAN,
     .ranged = true,
     .range = {10, 11}},
    {.number = true,
     .by = GR_SCALE_STANDARDISE,
     .missing = GR_MISSING_MEAN,
     .ranged = true,
     .range = {0, 1e6}},
    {.missing = GR_MISSING_MODE, .n_categories = WARDS},
    {.number = true, .by = GR_SCALE_MIN_MAX, .ranged = true, .range = {0, 1}}};
enum { SUMS = 3 + 2 + 3 + WARDS, MOST = 3 + 2 + 3 + 1 };

static double uniform(unsigned *state) {
    return rand_r(state) / ((double)RAND_MAX + 1);
}

/* Values within their ranges, some outside, some missing, some infinite. */
static void fill_row(float row[VALUES], unsigned *state) {
    for (size_t v = 0; v < VALUES; v++) {
        const struct gr_treatment *t = &treatments[v];
        const double u = uniform(state), range = t->range[1] - t->range[0];
        row[v] = t->number ? (float)(t->range[0] + (1.6 * u - 0.3) * range)
                           : (float)floor(u * (WARDS + 1));
        const double kind = uniform(state);
        if (kind < 0.1) row[v] = NAN;
        if (kind > 0.98) row[v] = kind > 0.99 ? INFINITY : -INFINITY;
    }
}

static void make_rows(struct gr_rows *rows, size_t n, unsigned seed) {
    ck_assert_int_eq(gr_rows_create(n, VALUES, GR_ELEMENT_FLOAT32, 1, rows), GR_OK);
    for (size_t i = 0; i < n; i++)
        fill_row((float *)rows->features + i * VALUES, &seed);
}

static void make_people(struct gr_rows *rows, unsigned seed) {
    uint32_t group[ROWS];
    for (size_t i = 0; i < rows->n_rows; i++)
        group[i] = (uint32_t)(uniform(&seed) * uniform(&seed) * PEOPLE);
    ck_assert_int_eq(gr_persons_create(group, PEOPLE, NULL, rows->n_rows, &rows->persons), GR_OK);
}

static struct gr_bounded_layout make_layout(void) {
    struct gr_bounded_layout layout;
    ck_assert_int_eq(gr_bounded_layout_create(treatments, VALUES, &layout), GR_OK);
    ck_assert_uint_eq(layout.n, SUMS);
    ck_assert_uint_eq(layout.most, MOST);
    return layout;
}

static double norm_between(const int64_t *a, const int64_t *b, size_t n) {
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (double)(a[i] - b[i]) * (double)(a[i] - b[i]);
    return sqrt(squares) / GR_TALLY_STEPS;
}

/* ---- what a unit adds ------------------------------------------------------------------------ */

START_TEST(one_row) {
    struct gr_bounded_layout layout = make_layout();
    double greatest = 0;
    for (unsigned seed = 1; seed <= 200; seed++) {
        struct gr_rows rows;
        int64_t with[SUMS] = {0}, without[SUMS] = {0};
        make_rows(&rows, 2 + seed % 5, seed);
        gr_bounded_add(&layout, treatments, &rows, false, with);
        rows.n_rows--;
        gr_bounded_add(&layout, treatments, &rows, false, without);
        greatest = fmax(greatest, norm_between(with, without, SUMS));
        gr_rows_release(&rows);
    }
    ck_assert_double_le(greatest, sqrt(MOST));
    ck_assert_double_gt(greatest, 0.7 * sqrt(MOST));
    gr_bounded_layout_release(&layout);
}
END_TEST

/* At both ends of its ranges, and far outside of them. */
START_TEST(most_of_a_row) {
    static const float row[][VALUES] = {
        {5, 11, 1e6f, 2, 1}, {-3, 10, 0, 0, 0}, {99, -99, 1e30f, 1, 9}};
    struct gr_bounded_layout layout = make_layout();
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct gr_rows rows = {
            .n_rows = 1, .n_features = VALUES, .features = (void *)(uintptr_t)row[i]};
        int64_t sums[SUMS] = {0}, none[SUMS] = {0};
        gr_bounded_add(&layout, treatments, &rows, false, sums);
        ck_assert_double_eq_tol(norm_between(sums, none, SUMS), sqrt(MOST), 1e-12);
    }
    gr_bounded_layout_release(&layout);
}
END_TEST

/* A person with any number of rows, of which some are missing. */
START_TEST(one_person) {
    struct gr_bounded_layout layout = make_layout();
    double greatest = 0;
    for (unsigned seed = 1; seed <= 40; seed++) {
        struct gr_rows rows;
        int64_t with[SUMS] = {0}, without[SUMS] = {0};
        make_rows(&rows, ROWS, seed);
        make_people(&rows, seed);
        ck_assert_uint_gt(rows.persons.n, PEOPLE / 2);
        gr_bounded_add(&layout, treatments, &rows, true, with);
        rows.persons.n--;
        gr_bounded_add(&layout, treatments, &rows, true, without);
        greatest = fmax(greatest, norm_between(with, without, SUMS));
        gr_rows_release(&rows);
    }
    ck_assert_double_le(greatest, sqrt(MOST));
    ck_assert_double_gt(greatest, 0.4 * sqrt(MOST));
    gr_bounded_layout_release(&layout);
}
END_TEST

/* ---- what sums say --------------------------------------------------------------------------- */

struct plain {
    double n, mean, deviation;
};

/* Of clamped values, each unit's mean of them being one value and that of their squares another. */
static struct plain find_plain(const struct gr_rows *rows, size_t v, bool persons) {
    const double low = treatments[v].range[0], high = treatments[v].range[1];
    const size_t n_units = persons ? rows->persons.n : rows->n_rows;
    struct plain plain = {0};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n_units; i++) {
        const uint32_t first = persons ? rows->persons.first[i] : (uint32_t)i,
                       end = persons ? rows->persons.first[i + 1] : (uint32_t)i + 1;
        double n = 0, own = 0, own_squares = 0;
        for (uint32_t k = first; k < end; k++) {
            const size_t row = persons ? rows->persons.rows[k] : k;
            const double x = (double)((const float *)rows->features)[row * VALUES + v];
            const double clamped = x < low ? low : x > high ? high : x;
            if (x - x != 0) continue;
            n++;
            own += clamped;
            own_squares += clamped * clamped;
        }
        if (n == 0) continue;
        plain.n++;
        sum += own / n;
        squares += own_squares / n;
    }
    plain.mean = sum / plain.n;
    plain.deviation = sqrt(squares / plain.n - plain.mean * plain.mean);
    return plain;
}

static void check_numbers(bool persons) {
    struct gr_bounded_layout layout = make_layout();
    struct gr_rows rows;
    int64_t sums[SUMS] = {0};
    double mean, deviation;
    make_rows(&rows, ROWS, 17);
    make_people(&rows, 18);
    gr_bounded_add(&layout, treatments, &rows, persons, sums);
    for (size_t v = 0; v < 3; v++) {
        const struct plain plain = find_plain(&rows, v, persons);
        const double range = treatments[v].range[1] - treatments[v].range[0];
        ck_assert_double_eq_tol((double)sums[layout.value[v].first], plain.n * GR_TALLY_STEPS, 0.5);
        ck_assert(gr_bounded_number(&layout.value[v], &treatments[v], sums, 0, &mean, &deviation));
        ck_assert_double_eq_tol(mean, plain.mean, 1e-6 * range);
        ck_assert_double_eq_tol(deviation, v == 1 ? range / 2 : plain.deviation, 1e-6 * range);
    }
    gr_rows_release(&rows);
    gr_bounded_layout_release(&layout);
}

START_TEST(numbers_of_rows) {
    check_numbers(false);
}
END_TEST

START_TEST(numbers_of_persons) {
    check_numbers(true);
}
END_TEST

START_TEST(modes) {
    struct gr_bounded_layout layout = make_layout();
    const struct gr_bounded_sums *of = &layout.value[3];
    int64_t sums[SUMS] = {0};
    uint32_t mode = 9;
    ck_assert(!gr_bounded_mode(of, sums, 0, &mode));
    for (uint32_t k = 0; k < WARDS; k++)
        sums[of->first + k] = (int64_t)(GR_TALLY_STEPS * (k == 2 || k == 3 ? 30 : 5));
    ck_assert(gr_bounded_mode(of, sums, 7.4, &mode));
    ck_assert_uint_eq(mode, 2); /* of several the first */
    ck_assert(!gr_bounded_mode(of, sums, 7.6, &mode));
    gr_bounded_layout_release(&layout);
}
END_TEST

/* One person's rows in two wards: she is half in each. */
START_TEST(a_person_in_two_wards) {
    struct gr_bounded_layout layout = make_layout();
    static const float row[3][VALUES] = {
        {NAN, NAN, NAN, 1, 0}, {NAN, NAN, NAN, 3, 0}, {NAN, NAN, NAN, WARDS, 0}};
    static const uint32_t group[3] = {0, 0, 0};
    struct gr_rows rows = {.n_rows = 3, .n_features = VALUES, .features = (void *)(uintptr_t)row};
    int64_t sums[SUMS] = {0};
    ck_assert_int_eq(gr_persons_create(group, 1, NULL, 3, &rows.persons), GR_OK);
    gr_bounded_add(&layout, treatments, &rows, true, sums);
    for (size_t i = 0; i < SUMS; i++)
        ck_assert_int_eq(sums[i], i == layout.value[3].first + 1 || i == layout.value[3].first + 3
                                      ? 1 << 19
                                      : 0);
    gr_free(rows.persons.first);
    gr_free(rows.persons.rows);
    gr_bounded_layout_release(&layout);
}
END_TEST

/* ---- with noise ------------------------------------------------------------------------------ */

/* Of many draws: sums spread as the plan says, and means and deviations as follows from it. */
START_TEST(noise_spreads) {
    enum { DRAWS = 600 };
    const double z = 2;
    struct gr_config config = {.privacy.statistics.noise_multiplier = z};
    const double sigma = gr_privacy_statistics_noise(&config, MOST);
    struct gr_bounded_layout layout = make_layout();
    struct gr_noise *noise;
    struct gr_rows rows;
    int64_t sums[SUMS] = {0};
    double squares[SUMS] = {0}, of_means = 0;
    ck_assert_double_ge(sigma, z * sqrt(MOST) * GR_TALLY_STEPS);
    ck_assert_double_eq_tol(sigma, z * sqrt(MOST) * GR_TALLY_STEPS, 1e-3);
    ck_assert_int_eq(gr_noise_create(sigma, &noise), GR_OK);
    make_rows(&rows, ROWS, 5);
    gr_bounded_add(&layout, treatments, &rows, false, sums);
    const struct plain plain = find_plain(&rows, 0, false);
    for (unsigned draw = 0; draw < DRAWS; draw++) {
        unsigned char seed[GR_NOISE_SEED_BYTES] = {(unsigned char)draw, (unsigned char)(draw >> 8),
                                                   7};
        int64_t noised[SUMS];
        double mean, deviation;
        memcpy(noised, sums, sizeof noised);
        gr_noise_add(noise, seed, 0, noised, SUMS);
        for (size_t i = 0; i < SUMS; i++)
            squares[i] += pow((double)(noised[i] - sums[i]) / sigma, 2);
        ck_assert(gr_bounded_number(&layout.value[0], &treatments[0], noised,
                                    sigma / GR_TALLY_STEPS, &mean, &deviation));
        of_means += pow(mean - plain.mean, 2);
    }
    /* The variance of so many draws is off by 1/17 of itself: five times that. */
    for (size_t i = 0; i < SUMS; i++)
        ck_assert_double_eq_tol(squares[i] / DRAWS, 1, 5 * sqrt(2.0 / DRAWS));
    const double u = (plain.mean - 1) / 4,
                 expected = 4 * z * sqrt(MOST) / plain.n * sqrt(1 + u * u);
    ck_assert_double_eq_tol(sqrt(of_means / DRAWS), expected, 0.2 * expected);
    gr_noise_free(noise);
    gr_rows_release(&rows);
    gr_bounded_layout_release(&layout);
}
END_TEST

/* Sums as of n units with means of u and u^2, in a column from 0 to 10. */
static bool say(double n, double u, double square, double noise, double *mean, double *deviation) {
    static const struct gr_treatment t = {
        .number = true, .by = GR_SCALE_STANDARDISE, .ranged = true, .range = {0, 10}};
    static const struct gr_bounded_sums of = {.n = 3, .squares = true};
    const int64_t sums[3] = {llrint(n * GR_TALLY_STEPS), llrint(n * u * GR_TALLY_STEPS),
                             llrint(n * square * GR_TALLY_STEPS)};
    return gr_bounded_number(&of, &t, sums, noise, mean, deviation);
}

START_TEST(guarded) {
    double mean, deviation;
    for (int n = -100; n <= 0; n += 50) { /* no count */
        ck_assert(!say(n, 0.5, 0.5, 0, &mean, &deviation));
        ck_assert(mean == 5 && deviation == 5);
    }
    ck_assert(!say(39, 0.5, 0.5, 10, &mean, &deviation)); /* fewer than four deviations */
    ck_assert(mean == 5 && deviation == 5);
    ck_assert(say(41, 0.5, 0.5, 10, &mean, &deviation));
    ck_assert_double_eq_tol(mean, 7.5, 1e-9);
    /* Noise has left a square below that of the mean: as much as noise could make of it. */
    ck_assert(say(1000, 0.5, 0.2, 1, &mean, &deviation));
    ck_assert_double_eq_tol(deviation, 5 * sqrt(1e-3 * sqrt(1 + 1 + pow(0.5 - 0.2, 2))), 1e-9);
    ck_assert(say(1000, 0.5, 0.25, 0, &mean, &deviation)); /* of a constant: of rounding */
    ck_assert_double_eq_tol(deviation, 5 * 0x1p-10, 1e-12);
    ck_assert(say(1000, 0.1, 7, 1, &mean, &deviation)); /* no further than half the range */
    ck_assert_double_le(deviation, 5);
    ck_assert(say(1000, -3, 0.5, 1, &mean, &deviation));
    ck_assert(mean == 0 && deviation > 0);
}
END_TEST

START_TEST(without_a_range) {
    struct gr_treatment t[2] = {treatments[4], treatments[0]};
    struct gr_bounded_layout layout;
    t[1].ranged = false;
    ck_assert_int_eq(gr_bounded_layout_create(t, 2, &layout), GR_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(gr_message(), "value 2 of a row: found no range"));
    t[1].by = GR_SCALE_NONE; /* nothing is asked of it */
    ck_assert_int_eq(gr_bounded_layout_create(t, 2, &layout), GR_OK);
    ck_assert_uint_eq(layout.n, 0);
    gr_bounded_layout_release(&layout);
}
END_TEST

RUN_TESTS("bounded sums", one_row, most_of_a_row, one_person, numbers_of_rows, numbers_of_persons,
          modes, a_person_in_two_wards, noise_spreads, guarded, without_a_range)
