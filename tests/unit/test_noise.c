/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise: the tables' probabilities against 100 decimal digits (tests/unit/noise_vectors.py), and
 * column by column; the bounds of distance against sums; samples of both samplers against the
 * distribution and each other; the same bits for a seed. 10^6 samples each; test_noise_tails has
 * more.
 *
 * slow: millions of samples are drawn for moments.
 */
#include "privacy/noise.h"

#include "privacy/discrete_gaussian.h"
#include "privacy/noise_table.h"

#include "noise_fit.h"
#include "noise_vectors.h"

enum { N = 1000000 };
static int64_t samples[N], others[N];
static const unsigned char seed[GR_NOISE_SEED_BYTES] = "a seed of noise";

/* ---- tables --------------------------------------------------------------------------------- */

static struct gr_noise_table table;
static gr_double_limb mass[GR_NOISE_COLUMNS], found[GR_NOISE_COLUMNS];

/* Each is cut, in units of 2^-128, so that it is at most one unit off; 0 has the rest. */
START_TEST(probabilities) {
    for (size_t i = 0; i < sizeof noise_vectors / sizeof *noise_vectors; i++) {
        const gr_double_limb expected =
            (gr_double_limb)noise_vectors[i].high << 64 | noise_vectors[i].low;
        const int x = noise_vectors[i].x;
        gr_noise_table_masses(noise_vectors[i].a, mass);
        const gr_double_limb off = mass[x] + 1 - expected;
        ck_assert_msg(off <= (x == 0 ? GR_NOISE_COLUMNS : 2), "a %g, x %d", noise_vectors[i].a, x);
    }
}
END_TEST

static const double table_sigmas[] = {0.5, 0.83, 2, 64.3, GR_NOISE_TABLE_SIGMA_MAX};

/* The parts of columns that a magnitude has are its probability, to the last unit. */
START_TEST(columns) {
    for (size_t s = 0; s < sizeof table_sigmas / sizeof *table_sigmas; s++) {
        const double a = 1 / (2 * table_sigmas[s] * table_sigmas[s]);
        gr_noise_table_masses(a, mass);
        gr_noise_table_fill(a, &table);
        memset(found, 0, sizeof found);
        for (uint32_t c = 0; c < GR_NOISE_COLUMNS; c++) {
            const gr_double_limb level = table.column[c] >> GR_NOISE_COLUMN_BITS;
            const gr_double_limb own =
                (level << (128 - GR_NOISE_LEVEL_BITS) | table.rest[c] >> GR_NOISE_LEVEL_BITS) >>
                GR_NOISE_COLUMN_BITS;
            found[c] += own;
            found[table.column[c] & (GR_NOISE_COLUMNS - 1)] +=
                ((gr_double_limb)1 << (128 - GR_NOISE_COLUMN_BITS)) - own;
        }
        ck_assert_mem_eq(found, mass, sizeof mass);
    }
}
END_TEST

/* Each column, around its threshold: the magnitude below it and above, and both signs. */
START_TEST(look_ups) {
    gr_noise_table_fill(1.0 / (2 * 64.3 * 64.3), &table);
    const uint32_t levels = 1u << GR_NOISE_LEVEL_BITS;
    for (uint32_t c = 0; c < GR_NOISE_COLUMNS; c++) {
        const uint32_t threshold = table.column[c] >> GR_NOISE_COLUMN_BITS;
        const int32_t own = (int32_t)c, other = (int32_t)(table.column[c] & (GR_NOISE_COLUMNS - 1));
        for (uint32_t l = threshold ? threshold - 1 : 0; l < levels && l <= threshold + 1; l++) {
            const uint32_t word = c << GR_NOISE_LEVEL_BITS | l;
            const uint32_t entry = table.column[gr_noise_table_column(word)];
            const bool undecided = gr_noise_table_undecided(entry, word);
            const int32_t x = gr_noise_table_sample(entry, word);
            ck_assert_int_eq(undecided, l == threshold);
            if (!undecided) ck_assert_int_eq(x, l < threshold ? own : other);
            if (!undecided) ck_assert_int_eq(gr_noise_table_settle(&table, word, 0), x);
            ck_assert_int_eq(gr_noise_table_sample(entry, word | 1u << 31), -x);
        }
        const uint32_t at = c << GR_NOISE_LEVEL_BITS | threshold, negative = at | 1u << 31;
        const gr_double_limb rest = table.rest[c];
        ck_assert_int_eq(gr_noise_table_settle(&table, at, rest), other);
        ck_assert_int_eq(gr_noise_table_settle(&table, negative, rest), -other);
        if (rest > 0) ck_assert_int_eq(gr_noise_table_settle(&table, at, rest - 1), own);
    }
}
END_TEST

/* ---- bounds --------------------------------------------------------------------------------- */

/* Beyond a narrow table's columns there is at most what the bound says: with 8192 columns that is
 * seen where the deviation is far too great. */
START_TEST(bound_of_a_table) {
    for (double sigma = 2000; sigma < 9000; sigma *= 1.3) {
        const double a = 1 / (2 * sigma * sigma), bound = gr_noise_table_distance(a),
                     outside = 2 * fit_below(sigma, -GR_NOISE_COLUMNS);
        ck_assert_double_le(outside, bound);
        ck_assert_double_gt(outside, bound / 20);
    }
}
END_TEST

static double rho(double s, double x) {
    return exp(-x * x / (2 * s * s));
}

static double rho_of_translate(double s, double c) {
    double sum = 0;
    for (double x = floor(c) - 40 * s - 2; x <= c + 40 * s + 2; x++)
        sum += rho(s, x - c);
    return sum;
}

/* X + K Y by summation, at deviations so small that the distance is seen in doubles. */
START_TEST(bound_of_a_step) {
    for (int k = 1; k <= 4; k++)
        for (double s0 = 0.55 * k; s0 < 0.95 * k; s0 += 0.07 * k) {
            const double s = s0 / sqrt(k * k + 1), sum = s0 * sqrt(k * k + 1);
            const double all = rho_of_translate(s0, 0), target = rho_of_translate(sum, 0);
            double distance = 0;
            for (double z = -ceil(9 * sum); z <= 9 * sum; z++) {
                double p = 0;
                for (double y = -ceil(12 * s0); y <= 12 * s0; y++)
                    p += rho(s0, z - k * y) * rho(s0, y);
                distance += fabs(p / (all * all) - rho(sum, z) / target) / 2;
            }
            if (s <= 0.5) continue;
            ck_assert_double_le(distance, gr_noise_ripple(s) + 1e-14);
            ck_assert_double_gt(distance, gr_noise_ripple(s) / 40);
        }
}
END_TEST

/* A continuous Gaussian number rounded at random, by the trapezoidal rule. */
START_TEST(bound_of_the_continuous) {
    for (double s = 0.55; s < 1; s += 0.1) {
        const double sigma = 1.7, wide = sqrt(sigma * sigma - s * s), h = 1.0 / 64;
        double distance = 0;
        for (double x = -16; x <= 16; x++) {
            double p = 0;
            for (double g = -20; g <= 20; g += h)
                p += h * rho(wide, g) * rho(s, x - g) / rho_of_translate(s, g);
            p /= wide * sqrt(2 * M_PI);
            distance += fabs(p - rho(sigma, x) / rho_of_translate(sigma, 0)) / 2;
        }
        ck_assert_double_le(distance, gr_noise_ripple(s) + 1e-13);
    }
}
END_TEST

START_TEST(deviations) {
    for (double sigma = GR_NOISE_SIGMA_MIN; sigma <= GR_NOISE_SIGMA_MAX; sigma *= 1.37) {
        struct gr_noise *noise;
        MUST(gr_noise_create(sigma, &noise));
        ck_assert_double_ge(gr_noise_sigma(noise), sigma);
        ck_assert_double_le(gr_noise_sigma(noise), sigma * (1 + 1e-14));
        ck_assert_double_lt(gr_noise_distance(noise), 0x1p-112);
        ck_assert_double_gt(gr_noise_distance(noise), 0);
        ck_assert_double_lt(gr_noise_delta(noise, 1), 0x1p-68);
        ck_assert_double_eq_tol(gr_noise_delta(noise, 1000) / gr_noise_delta(noise, 1), 1000, 1e-9);
        const double wide = gr_noise_continuous(noise), square = sigma * sigma;
        if (sigma > 2.05)
            ck_assert_double_eq_tol(wide * wide / (square - 2.05 * 2.05), 1, 1e-9);
        else
            ck_assert_double_eq(wide, 0);
        gr_noise_free(noise);
    }
    gr_noise_free(NULL);
}
END_TEST

START_TEST(refused) {
    static const double bad[] = {0, -1, 0.49, 0x1.01p42, NAN, INFINITY, -INFINITY};
    struct gr_discrete_gaussian gaussian;
    struct gr_noise *noise;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(gr_noise_create(bad[i], &noise), GR_ERROR_CONFIG);
        ck_assert_ptr_null(noise);
    }
    MUST(gr_discrete_gaussian_create(1, 4, &gaussian));
    MUST(gr_discrete_gaussian_create(UINT64_MAX, 1, &gaussian));
    MUST(gr_discrete_gaussian_create(UINT64_MAX, UINT64_MAX, &gaussian));
    ck_assert_int_eq(gr_discrete_gaussian_create(1, 0, &gaussian), GR_ERROR_CONFIG);
    ck_assert_int_eq(gr_discrete_gaussian_create(0, 1, &gaussian), GR_ERROR_CONFIG);
    ck_assert_int_eq(gr_discrete_gaussian_create(1, 5, &gaussian), GR_ERROR_CONFIG);
    ck_assert_int_eq(gr_discrete_gaussian_create(UINT64_MAX / 5, UINT64_MAX, &gaussian),
                     GR_ERROR_CONFIG);
}
END_TEST

/* ---- samples -------------------------------------------------------------------------------- */

static void draw_fast(double sigma, uint64_t stream, int64_t *x) {
    struct gr_noise *noise;
    MUST(gr_noise_create(sigma, &noise));
    memset(x, 0, N * sizeof *x);
    gr_noise_add(noise, seed, stream, x, N);
    gr_noise_free(noise);
}

static void draw_exact(uint64_t numerator, uint64_t denominator, int drop, int64_t *x, size_t n) {
    struct gr_discrete_gaussian gaussian;
    struct gr_noise_words words;
    MUST(gr_discrete_gaussian_create(numerator, denominator, &gaussian));
    gaussian.drop = drop;
    gr_noise_words_start(&words, seed, 0, GR_NOISE_EXACT);
    for (size_t i = 0; i < n; i++)
        x[i] = gr_discrete_gaussian_draw(&gaussian, &words);
}

static const double sigmas[] = {2, 64, 0x1p10, 0x1p20, 0x1p25};
enum { SIGMAS = sizeof sigmas / sizeof *sigmas };

START_TEST(fast) {
    for (size_t s = 0; s < SIGMAS; s++) {
        draw_fast(sigmas[s], s, samples);
        fit_all(sigmas[s], samples, N);
    }
    draw_fast(0x1.fp33, SIGMAS, samples);
    fit_all(0x1.fp33, samples, N);
    draw_fast(0x1p42, SIGMAS, samples);
    fit_all(0x1p42, samples, N);
    int64_t greatest = 0;
    for (size_t i = 0; i < N; i++)
        greatest = llabs(samples[i]) > greatest ? llabs(samples[i]) : greatest;
    ck_assert(greatest < (int64_t)1 << 46);
}
END_TEST

/* Eight parties' noises are noise of sqrt(8) times the deviation, down to the smallest. */
START_TEST(sums_of_parties) {
    static const double of_one[] = {3, 1000, 0x1p24};
    for (size_t s = 0; s < sizeof of_one / sizeof *of_one; s++) {
        struct gr_noise *noise;
        MUST(gr_noise_create(of_one[s], &noise));
        memset(samples, 0, sizeof samples);
        for (uint64_t party = 0; party < 8; party++)
            gr_noise_add(noise, seed, 100 + party, samples, N);
        fit_all(sqrt(8) * gr_noise_sigma(noise), samples, N);
        gr_noise_free(noise);
    }
}
END_TEST

START_TEST(exact) {
    for (size_t s = 0; s < SIGMAS; s++) {
        draw_exact((uint64_t)(sigmas[s] * sigmas[s]), 1, 0, samples, N);
        fit_all(sigmas[s], samples, N);
    }
}
END_TEST

/* sigma 1/2, whose variance is less than sigma^2: both against each probability. */
static void check_small(const int64_t *x) {
    double expected[5] = {0}, seen[5] = {0};
    for (int b = 0; b < 5; b++)
        expected[b] = N * (b < 4 ? fit_below(0.5, b - 2) : 1);
    for (int b = 4; b > 0; b--)
        expected[b] -= expected[b - 1];
    for (size_t i = 0; i < N; i++)
        seen[x[i] <= -2 ? 0 : x[i] >= 2 ? 4 : x[i] + 2]++;
    fit_chi_square("sigma 1/2", expected, seen, 5);
}

START_TEST(smallest) {
    draw_fast(0.5, 0, samples);
    check_small(samples);
    draw_exact(1, 4, 0, samples, N);
    check_small(samples);
}
END_TEST

static int ascending(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov's and Smirnov's greatest distance of the two; P(D > 1.63 sqrt(2 / n)) is .01, and of
 * 2.5 below 10^-5. */
START_TEST(fast_and_exact) {
    draw_fast(1000, 7, samples);
    draw_exact(1000000, 1, 0, others, N);
    qsort(samples, N, sizeof *samples, ascending);
    qsort(others, N, sizeof *others, ascending);
    double greatest = 0;
    for (size_t i = 0, j = 0; i < N; i++) {
        if (i + 1 < N && samples[i + 1] == samples[i]) continue;
        while (j < N && others[j] <= samples[i])
            j++;
        greatest = fmax(greatest, fabs((double)i + 1 - (double)j) / N);
    }
    ck_assert_double_lt(greatest, 2.5 * sqrt(2.0 / N));
    ck_assert_double_gt(greatest, 0);
}
END_TEST

/* Comparisons by the highest bits are those of the whole numbers, however few bits there are. */
START_TEST(exact_by_few_bits) {
    static const uint64_t variance[][2] = {{1, 4}, {22, 7}, {1 << 20, 1}, {UINT64_MAX, 3}};
    enum { SOME = N / 10 };
    for (size_t v = 0; v < sizeof variance / sizeof *variance; v++) {
        draw_exact(variance[v][0], variance[v][1], 0, samples, SOME);
        for (int drop = 43; drop <= 50; drop += 7) {
            draw_exact(variance[v][0], variance[v][1], drop, others, SOME);
            ck_assert_mem_eq(samples, others, SOME * sizeof *samples);
        }
    }
}
END_TEST

/* ---- seeds ---------------------------------------------------------------------------------- */

/* A sample belongs to its seed, stream and place, however many there are; it is added. */
START_TEST(same_bits) {
    static const double at[] = {2, 1000, 0x1p25, 0x1p30};
    unsigned char other_seed[GR_NOISE_SEED_BYTES];
    memcpy(other_seed, seed, sizeof seed);
    other_seed[31] ^= 1;
    for (size_t s = 0; s < sizeof at / sizeof *at; s++) {
        enum { SOME = 5000 };
        struct gr_noise *noise;
        MUST(gr_noise_create(at[s], &noise));
        draw_fast(at[s], 3, samples);
        for (size_t n = 0; n < SOME; n = n * 3 + 1) {
            for (size_t i = 0; i <= n; i++)
                others[i] = -7;
            gr_noise_add(noise, seed, 3, others, n);
            for (size_t i = 0; i < n; i++)
                ck_assert_int_eq(others[i], samples[i] - 7);
            ck_assert_int_eq(others[n], -7);
        }
        for (int what = 0; what < 2; what++) {
            size_t same = 0;
            memset(others, 0, sizeof others);
            gr_noise_add(noise, what ? other_seed : seed, what ? 3 : 4, others, SOME);
            for (size_t i = 0; i < SOME; i++)
                same += others[i] == samples[i];
            ck_assert_uint_lt(same, SOME / 5);
        }
        gr_noise_free(noise);
    }
}
END_TEST

/* k of `terms` look-ups, as noise.c has it, and 1 + k^2 + ... */
static int64_t factor_of(double sigma, int terms, double *squares) {
    int64_t k = 0;
    for (;; k++) {
        const double next = (double)((k + 1) * (k + 1)),
                     sum = terms > 2 ? 1 + next + next * next : 1;
        if (terms == 1 || 2.05 * 2.05 * (next + 1) * sum > sigma * sigma) break;
        *squares = sum;
    }
    return k;
}

/* Each sample anew, by the table: those that a word leaves open too, some 60 of them for each term,
 * of which some have their own column's magnitude. */
static void check_undecided(double sigma, int terms) {
    enum { CHUNK = 1024, FURTHER = 8, STREAMS = 16 };
    static uint32_t words[3 * CHUNK];
    unsigned char key[GR_STREAM_KEY_BYTES], further_key[GR_STREAM_KEY_BYTES];
    size_t undecided = 0, own = 0, wrong = 0;
    double squares = 1;
    struct gr_noise *noise;
    MUST(gr_noise_create(sigma, &noise));
    const int64_t k = factor_of(sigma, terms, &squares);
    const double actual = gr_noise_sigma(noise);
    gr_noise_table_fill(squares / (2 * actual * actual), &table);
    for (uint64_t stream = 0; stream < STREAMS; stream++) {
        memset(samples, 0, sizeof samples);
        gr_noise_add(noise, seed, stream, samples, N);
        gr_noise_key(seed, stream, GR_NOISE_LOOK_UP, key);
        gr_noise_key(seed, stream, GR_NOISE_UNDECIDED, further_key);
        for (size_t i = 0; i < N; i++) {
            const size_t at = i % CHUNK, width = (size_t)terms * CHUNK * sizeof *words;
            gr_double_limb further[FURTHER] = {0};
            int64_t x = 0, without = 0;
            bool open = false;
            if (at == 0) gr_key_stream_make(key, i / CHUNK * width, words, width);
            for (int j = 0; j < terms; j++)
                open |= gr_noise_table_undecided(
                    table.column[gr_noise_table_column(words[(size_t)j * CHUNK + at])],
                    words[(size_t)j * CHUNK + at]);
            if (open) gr_key_stream_make(further_key, i * sizeof further, further, sizeof further);
            for (int j = terms - 1; j >= 0; j--) {
                const uint32_t word = words[(size_t)j * CHUNK + at];
                x = x * k + gr_noise_table_settle(&table, word, further[j]);
                without = without * k +
                          gr_noise_table_sample(table.column[gr_noise_table_column(word)], word);
            }
            wrong += x != samples[i];
            undecided += open;
            own += x != without;
        }
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_msg(undecided > 30 * (size_t)terms && undecided < 100 * (size_t)terms && own > 10,
                  "%zu undecided, %zu their own", undecided, own);
    gr_noise_free(noise);
}

START_TEST(undecided_words) {
    check_undecided(600, 1);
    check_undecided(0x1p25, 3);
}
END_TEST

/* A seed that is kept gives what it gave, on any processor: the bytes that are sent again are the
 * same. */
START_TEST(kept_bits) {
    static const struct {
        double sigma;
        int64_t samples[4];
    } cases[] = {{2, {1, 0, -2, 0}},
                 {1000, {-492, -188, -464, 214}},
                 {0x1p25, {-27503818, -25191954, 32100465, 62537281}},
                 {0x1p30, {592693031, -133207487, 355110498, 1343188933}}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct gr_noise *noise;
        int64_t x[4] = {0};
        MUST(gr_noise_create(cases[c].sigma, &noise));
        gr_noise_add(noise, seed, 0x123456789abcdef0, x, 4);
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(x[i], cases[c].samples[i]);
        gr_noise_free(noise);
    }
}
END_TEST

START_TEST(seeds) {
    unsigned char a[GR_NOISE_SEED_BYTES] = {0}, b[GR_NOISE_SEED_BYTES] = {0};
    MUST(gr_noise_seed(a));
    MUST(gr_noise_seed(b));
    ck_assert_mem_ne(a, b, sizeof a);
}
END_TEST

RUN_TESTS("noise", probabilities, columns, look_ups, bound_of_a_table, bound_of_a_step,
          bound_of_the_continuous, deviations, refused, fast, sums_of_parties, exact, smallest,
          fast_and_exact, exact_by_few_bits, same_bits, undecided_words, kept_bits, seeds)
