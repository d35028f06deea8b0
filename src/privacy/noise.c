/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sample is y_0 + k y_1 + k^2 y_2 + ..., of up to five samples y of a table (Micciancio, Walter
 * 2017, IACR ePrint 2017/259). How far that is from the discrete Gaussian distribution, in total
 * variation:
 *
 * Let rho_s(x) = exp(-x^2 / (2 s^2)), and R(s) = 2 sum_{j >= 1} exp(-2 pi^2 s^2 j^2). By Poisson
 * summation rho_s summed over any translate of the whole numbers is within a factor 1 +- R(s) of s
 * sqrt(2 pi). For discrete Gaussian X, Y of deviations S, s_0 and a whole K,
 *
 *   P(X + K Y = z) ~ sum_y rho_S(z - K y) rho_{s_0}(y) = rho_{S'}(z) sum_y rho_s(y - c_z),
 *   S'^2 = S^2 + K^2 s_0^2,  1 / s^2 = K^2 / S^2 + 1 / s_0^2,
 *
 * so that the ratio to the discrete Gaussian distribution of S' is within (1 +- R) / (1 -+ R), and
 * the distance at most R / (1 - R). For powers of k, K^2 / S^2 <= k^2 / s_0^2 in each step, whence
 * s^2 >= s_0^2 / (k^2 + 1). Distances of the tables and of the steps add up. With K
 * = 1 it is the noise of two parties: s^2 >= S^2 / 2 where none has a deviation below S.
 *
 * The same sum tells that the discrete Gaussian distribution of S is what becomes of a continuous
 * one of variance S^2 - s^2 when each g is replaced by a whole number x with probability rho_s(x -
 * g) / rho_s(Z - g): P(x) is the integral of phi(g) rho_s(x - g) / rho_s(Z - g), whose denominator
 * is s sqrt(2 pi) up to 1 +- R(s). A whole number added to g is added to x. So whatever holds for a
 * sum on the grid with continuous noise holds with the discrete one, up to R / (1 - R).
 */
#include "privacy/noise.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#include "privacy/noise_table.h"

/* LEAST: of s above, whose R is below 2^-118. */
#define LEAST 2.05
enum { TERMS = 5, LOW = 3, FURTHER = 8, CHUNK = 1024 };

struct gr_noise {
    double sigma, a; /* of the noise; of the table, 1 / (2 s_0^2) */
    int terms;
    int64_t factor; /* k */
    struct gr_noise_table table;
};

gr_status gr_noise_seed(unsigned char seed[GR_NOISE_SEED_BYTES]) {
    if (sodium_init() < 0) return gr_fail(GR_ERROR_INTERNAL, "libsodium could not be started");
    randombytes_buf(seed, GR_NOISE_SEED_BYTES);
    return GR_OK;
}

/* 1 + k^2 + k^4 + .... */
static double squares(int terms, int64_t k) {
    double sum = 0;
    for (int i = 0; i < terms; i++)
        sum = sum * (double)(k * k) + 1;
    return sum;
}

/* The greatest factor, 0 where there is none, with which s is LEAST or more. */
static int64_t greatest_factor(double sigma, int terms) {
    int64_t k = (int64_t)pow(sigma / LEAST, 1.0 / terms) + 1;
    while (k > 0 && LEAST * LEAST * (double)(k * k + 1) * squares(terms, k) > sigma * sigma)
        k--;
    return k;
}

/* As few terms as may be, of as narrow a table as may be. The margin in a is for rounding, so that
 * the deviation, which follows from a exactly, is not below sigma. */
static void arrange(struct gr_noise *noise, double sigma) {
    double table = sigma;
    noise->factor = 0;
    for (noise->terms = 1; table > GR_NOISE_TABLE_SIGMA_MAX; noise->terms++) {
        noise->factor = greatest_factor(sigma, noise->terms + 1);
        table = sigma / sqrt(squares(noise->terms + 1, noise->factor));
    }
    const double sum = squares(noise->terms, noise->factor);
    noise->a = sum / (2 * sigma * sigma) * (1 - 0x1p-48);
    noise->sigma = sqrt(sum / (2 * noise->a));
}

gr_status gr_noise_create(double sigma, struct gr_noise **out) {
    *out = NULL;
    if (!(sigma >= GR_NOISE_SIGMA_MIN && sigma <= GR_NOISE_SIGMA_MAX))
        return gr_fail(GR_ERROR_CONFIG, "noise: standard deviation %g, expected %g to %g", sigma,
                       GR_NOISE_SIGMA_MIN, GR_NOISE_SIGMA_MAX);
    struct gr_noise *noise;
    const gr_status status = gr_allocate_zero(1, sizeof *noise, "noise", &noise);
    if (status != GR_OK) return status;
    arrange(noise, sigma);
    gr_noise_table_fill(noise->a, &noise->table);
    *out = noise;
    return GR_OK;
}

void gr_noise_free(struct gr_noise *noise) {
    gr_free(noise);
}

/* A sample some of whose words, CHUNK apart, left it open. */
static int64_t settle(const struct gr_noise *noise, const unsigned char key[GR_STREAM_KEY_BYTES],
                      const uint32_t *words, uint64_t sample) {
    gr_double_limb further[FURTHER] = {0};
    int64_t x = 0;
    gr_key_stream_make(key, sample * sizeof further, further, sizeof further);
    for (int i = noise->terms - 1; i >= 0; i--)
        x = x * noise->factor +
            gr_noise_table_settle(&noise->table, words[(size_t)i * CHUNK], further[i]);
    sodium_memzero(further, sizeof further);
    return x;
}

/* Where a chunk is worked on: its words, term by term, their columns' entries, and sums of terms.
 */
struct noise_chunk {
    uint32_t words[TERMS * CHUNK], entry[CHUNK];
    int32_t low[CHUNK], high[CHUNK];
};

/* of[i] k + the sample of word[i], for n of them. Whether a word leaves it open. */
static inline bool add_term(const struct gr_noise *noise, const uint32_t *restrict word,
                            uint32_t *restrict entry, int32_t *restrict of, size_t n) {
    const int32_t k = (int32_t)noise->factor;
    uint32_t undecided = 0;
    for (size_t i = 0; i < n; i++)
        entry[i] = noise->table.column[gr_noise_table_column(word[i])];
    for (size_t i = 0; i < n; i++) {
        of[i] = of[i] * k + gr_noise_table_sample(entry[i], word[i]);
        undecided |= gr_noise_table_undecided(entry[i], word[i]);
    }
    return undecided != 0;
}

/* A chunk's samples, added to sum. LOW terms fit into 32 bits; the others are added up by
 * themselves. Whether a word leaves its sample open. */
static bool add_terms(const struct gr_noise *noise, struct noise_chunk *chunk, int64_t *sum,
                      size_t n) {
    const int64_t cube = noise->factor * noise->factor * noise->factor;
    bool open = false;
    memset(chunk->low, 0, sizeof chunk->low);
    if (noise->terms > LOW) memset(chunk->high, 0, sizeof chunk->high);
    for (int j = noise->terms - 1; j >= 0; j--)
        open |= add_term(noise, chunk->words + (size_t)j * CHUNK, chunk->entry,
                         j < LOW ? chunk->low : chunk->high, n);
    for (size_t i = 0; i < n; i++)
        sum[i] += chunk->low[i];
    for (size_t i = 0; i < n && noise->terms > LOW; i++)
        sum[i] += chunk->high[i] * cube;
    return open;
}

/* Of a chunk's samples those that words left open: once in 2^18 words, once in 80 chunks of three
 * terms. */
static void settle_open(const struct gr_noise *noise, const unsigned char *key,
                        const uint32_t *words, uint64_t first, int64_t *sum, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t undecided = 0;
        int64_t x = 0;
        for (int j = noise->terms - 1; j >= 0; j--) {
            const uint32_t word = words[(size_t)j * CHUNK + i],
                           entry = noise->table.column[gr_noise_table_column(word)];
            undecided |= gr_noise_table_undecided(entry, word);
            x = x * noise->factor + gr_noise_table_sample(entry, word);
        }
        if (undecided) sum[i] += settle(noise, key, words + i, first + i) - x;
    }
}

/* Words of samples first .. first + n - 1, a part of one chunk, term by term. */
static void make_words(const struct gr_noise *noise, const unsigned char *key, uint64_t first,
                       uint32_t *words, size_t n) {
    const size_t row = CHUNK * sizeof *words;
    const uint64_t position = first * sizeof *words * (uint64_t)noise->terms;
    if (n == CHUNK) {
        gr_key_stream_make(key, position, words, row * (size_t)noise->terms);
        return;
    }
    for (int j = noise->terms - 1; j >= 0; j--)
        gr_key_stream_make(key, position + (size_t)j * row, words + (size_t)j * CHUNK,
                           n * sizeof *words);
}

void gr_noise_add(const struct gr_noise *noise, const unsigned char seed[GR_NOISE_SEED_BYTES],
                  uint64_t stream, int64_t *sum, size_t n) {
    unsigned char key[GR_STREAM_KEY_BYTES], further_key[GR_STREAM_KEY_BYTES];
    struct noise_chunk chunk;
    gr_noise_key(seed, stream, GR_NOISE_LOOK_UP, key);
    gr_noise_key(seed, stream, GR_NOISE_UNDECIDED, further_key);
    for (size_t first = 0; first < n; first += CHUNK) {
        const size_t here = n - first < CHUNK ? n - first : CHUNK;
        make_words(noise, key, first, chunk.words, here);
        if (add_terms(noise, &chunk, sum + first, here))
            settle_open(noise, further_key, chunk.words, first, sum + first, here);
    }
    sodium_memzero(&chunk, sizeof chunk);
    sodium_memzero(key, sizeof key);
    sodium_memzero(further_key, sizeof further_key);
}

/* R(s) / (1 - R(s)), for s > 1/2: the terms of R after the first are less than a hundredth. */
double gr_noise_ripple(double s) {
    const double r = 2.02 * exp(-2 * M_PI * M_PI * s * s);
    return r / (1 - r);
}

double gr_noise_sigma(const struct gr_noise *noise) {
    return noise->sigma;
}

double gr_noise_continuous(const struct gr_noise *noise) {
    return noise->sigma > LEAST ? sqrt(noise->sigma * noise->sigma - LEAST * LEAST) : 0;
}

double gr_noise_distance(const struct gr_noise *noise) {
    const double k = (double)noise->factor, s = sqrt(1 / (2 * noise->a * (k * k + 1)));
    return noise->terms * gr_noise_table_distance(noise->a) +
           (noise->terms - 1) * gr_noise_ripple(s);
}

/* A distance t of each of two neighbours' outputs adds (1 + exp(epsilon)) t. */
double gr_noise_delta(const struct gr_noise *noise, uint64_t n) {
    const double of_one = gr_noise_distance(noise) + gr_noise_ripple(LEAST);
    return (double)n * (1 + exp(GR_NOISE_EPSILON_MAX)) * of_one;
}
