/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Means, deviations and modes of a cohort under differential privacy: they are those of the silos'
 * clamped sums with the noise of each, computed otherwise; all is charged before anything leaves,
 * and nothing leaves where that fails; a start that is repeated has the same noise.
 *
 * ranks: 1 2 3
 */
#include "cohort/cohort_parts.h"
#include "parallel.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "privacy/noise.h"
#include "privacy/secret_draw.h"

enum { SILOS = 3, ROWS = 200, SUMS = 3 + 2 + 2, STEPS = 1 << 20, SEED = 42 };

/* Of a silo's row: a is standardised, b is filled by its mean, k by its mode. Each tenth lacks
 * both. */
static int value_a(int silo, int row) {
    return (row * 7 + silo * 13) % 120 - 10;
}
static int value_b(int silo, int row) {
    return row % 10 == 3 ? -1 : (row * 3 + silo) % 50;
}
static int value_k(int silo, int row) {
    return row % 10 == 3 ? -1 : (row + silo) % 3 == 0;
}

static const char config_text[] =
    "run: {rounds: 1, rehearsal: true, seed: 42}\n"
    "data: {source: csv, schema: s.yaml, silo_tables: [{file: 0.csv}, {file: 1.csv}, {file: "
    "2.csv}]}\n"
    "model: {type: softmax}\n"
    "train: {learning_rate: 0.1, batch_size: 8, epochs: 0, steps: 1}\n"
    "preprocess: {scale: standardise}\nevaluate: {every: 0}\n"
    "silos: [{directory: o0}, {directory: o1}, {directory: o2}]\n"
    "privacy: {unit: row, clip_norm: 1, noise_multiplier: 1, expected_batch: 8, expected_units: "
    "200,\n"
    "          budget: {delta: 1.0e-4}, statistics: {noise_multiplier: 3}}\n";
static const char schema_text[] =
    "columns:\n- {name: a, type: number, range: [0, 100]}\n"
    "- {name: b, type: number, range: [0, 40], missing: mean, scale: none}\n"
    "- {name: k, type: category, categories: [no, yes], missing: mode, encode: one_hot}\n"
    "- {name: y, type: label, categories: [no, yes]}\n";

static void put_table(int silo, int rows) {
    char name[16];
    snprintf(name, sizeof name, "%d.csv", silo);
    FILE *file = fopen(name, "w");
    if (!file) abort();
    fputs("a,b,k,y\n", file);
    for (int i = 0; i < rows; i++) {
        const int b = value_b(silo, i), k = value_k(silo, i);
        fprintf(file, "%d,", value_a(silo, i));
        if (b >= 0) fprintf(file, "%d", b);
        fprintf(file, ",%s,%s\n", k < 0 ? "" : k ? "yes" : "no", i % 2 ? "no" : "yes");
    }
    fclose(file);
}

/* Each rank in a folder of its own, with all tables. */
static void enter(char folder[32]) {
    strcpy(folder, "/tmp/granary-XXXXXX");
    if (!mkdtemp(folder) || chdir(folder) != 0) abort();
    FILE *file = fopen("s.yaml", "w");
    if (!file) abort();
    fputs(schema_text, file);
    fclose(file);
    for (int s = 0; s < SILOS; s++)
        put_table(s, ROWS);
}

static void leave(const char *folder) {
    static const char *const names[] = {"0.csv", "1.csv", "2.csv", "s.yaml"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    for (int s = 0; s < SILOS; s++) { /* folders of silos that told something */
        char name[48];
        snprintf(name, sizeof name, "o%d/silo-%03d.log", s, s);
        unlink(name);
        name[2] = '\0';
        rmdir(name);
    }
    if (chdir("/") != 0 || rmdir(folder) != 0) abort();
}

/* ---- a cohort ---------------------------------------------------------------------------------
 */

/* Who charges, and what it was asked. */
struct till {
    struct gr_cohort *cohort;
    gr_status says;
    int calls, early; /* early: something had left before */
};

static uint64_t times_left(const struct gr_cohort *cohort) {
    return gr_door_entry(gr_cohort_door(cohort), GR_RELEASE_NOISED_STATISTICS).times;
}

static gr_status charge(void *context, const unsigned char *secrets, size_t n_secret) {
    struct till *till = context;
    const struct gr_data *data = gr_cohort_data(till->cohort);
    till->calls++;
    till->early += times_left(till->cohort) > 0;
    for (size_t i = 0; i < data->n_local; i++) {
        unsigned char any = 0;
        for (size_t k = 0; k < n_secret; k++)
            any |= secrets[i * n_secret + k];
        if (!any != (data->local[i].unusable != GR_OK)) till->early++;
    }
    return till->says == GR_OK ? GR_OK : gr_fail(till->says, "the till is shut");
}

static struct gr_config *read_config(const char *override) {
    struct gr_config *config = NULL;
    if (gr_config_parse("t.yaml", config_text, strlen(config_text), &override, 1, &config) != GR_OK)
        fprintf(stderr, "%s\n", gr_message());
    return config;
}

static gr_status load(struct gr_comm *comm, const struct gr_config *config, struct till *till,
                      bool charges) {
    const struct gr_cohort_options options = {.charge = charges ? charge : NULL,
                                              .charge_context = till};
    const gr_status status = gr_cohort_create(comm, config, &till->cohort);
    if (status != GR_OK) return status;
    gr_cohort_set_options(till->cohort, &options);
    return gr_cohort_load(till->cohort);
}

static const struct gr_fit *fit_of(const struct till *till) {
    return gr_preprocessing_fit(gr_cohort_data(till->cohort)->preprocessing);
}

/* ---- otherwise computed -----------------------------------------------------------------------
 */

/* Of one row, added to a silo's sums. */
static void add_row(int silo, int row, int64_t sums[SUMS]) {
    const double a = fmin(fmax(value_a(silo, row), 0), 100) / 50 - 1;
    sums[0] += STEPS;
    sums[1] += llrint(a * STEPS);
    sums[2] += llrint(a * a * STEPS);
    if (value_b(silo, row) >= 0) {
        sums[3] += STEPS;
        sums[4] += llrint((fmin(value_b(silo, row), 40) / 20 - 1) * STEPS);
    }
    if (value_k(silo, row) >= 0) sums[5 + value_k(silo, row)] += STEPS;
}

/* What a silo of so many rows is to bring; its noise: 3 sqrt(6) rows, for a row adds to 3, 2 and 1
 * sums. */
static void find_silo(const struct gr_config *config, int silo, int rows, int64_t sums[SUMS]) {
    unsigned char secret[GR_SECRET_BYTES], seed[GR_SECRET_BYTES];
    struct gr_noise *noise = NULL;
    for (int i = 0; i < SUMS; i++)
        sums[i] = 0;
    for (int i = 0; i < rows; i++)
        add_row(silo, i, sums);
    if (gr_noise_create(nextafter(3 * (sqrt(6) * STEPS), INFINITY), &noise) != GR_OK) abort();
    gr_secret_rehearse(SEED, gr_silo_stream(config, (uint32_t)silo), 0, secret);
    gr_secret_key(secret, GR_SECRET_NOISE, 2, seed);
    gr_noise_add(noise, seed, 0, sums, SUMS);
    gr_noise_free(noise);
}

static void find_all(const struct gr_config *config, int rows_of_1, int64_t sums[SUMS]) {
    int64_t own[SUMS];
    for (int i = 0; i < SUMS; i++)
        sums[i] = 0;
    for (int s = 0; s < SILOS; s++) {
        find_silo(config, s, s == 1 ? rows_of_1 : ROWS, own);
        for (int i = 0; i < SUMS; i++)
            sums[i] += own[i];
    }
}

static int compare(const struct till *till, const int64_t sums[SUMS]) {
    const struct gr_fit *fit = fit_of(till);
    const double n = (double)sums[0], mean = (double)sums[1] / n,
                 deviation = sqrt((double)sums[2] / n - mean * mean);
    int bad = 0;
    EXPECT(fabs(fit->centre[0] - 50 * (1 + mean)) < 1e-9);
    EXPECT(fabs(fit->spread[0] - 50 * deviation) < 1e-9);
    EXPECT(fabs(fit->fill[1] - 20 * (1 + (double)sums[4] / (double)sums[3])) < 1e-9);
    EXPECT(fit->spread[1] == 1);
    EXPECT_EQUAL(fit->fill[2], sums[6] > sums[5]);
    return bad;
}

/* ---- cases ------------------------------------------------------------------------------------
 */

static int test_of_sums(struct gr_comm *comm) {
    char folder[32], *words = NULL;
    struct till till = {0}, more = {0};
    int64_t sums[SUMS], sums_more[SUMS];
    double squares = 0;
    int bad = 0;
    enter(folder);
    struct gr_config *config = read_config("run.seed=42");
    EXPECT(config && load(comm, config, &till, true) == GR_OK);
    find_all(config, ROWS, sums);
    bad += compare(&till, sums);
    EXPECT_EQUAL(till.calls, 1);
    EXPECT_EQUAL(till.early, 0);
    EXPECT_EQUAL(times_left(till.cohort), 1);
    EXPECT(gr_cohort_tell_withheld(till.cohort, &words) == GR_OK && !words);
    /* A row more, with the same secrets: the integers that leave differ by what one row may add. */
    put_table(1, ROWS + 1);
    EXPECT(load(comm, config, &more, true) == GR_OK);
    find_all(config, ROWS + 1, sums_more);
    bad += compare(&more, sums_more);
    for (int i = 0; i < SUMS; i++)
        squares += pow((double)(sums_more[i] - sums[i]) / STEPS, 2);
    EXPECT(squares > 0 && squares <= 6);
    gr_cohort_free(more.cohort);
    gr_cohort_free(till.cohort);
    gr_config_free(config);
    leave(folder);
    return bad;
}

/* Whoever cannot charge ends the start, and nothing has left. */
static int test_not_charged(struct gr_comm *comm) {
    char folder[32];
    struct till till = {.says = GR_ERROR_POLICY};
    int bad = 0;
    enter(folder);
    struct gr_config *config = read_config("run.seed=42");
    EXPECT(config && load(comm, config, &till, true) == GR_ERROR_POLICY);
    EXPECT_EQUAL(till.calls, 1);
    EXPECT_EQUAL(times_left(till.cohort), 0);
    gr_cohort_free(till.cohort);
    gr_config_free(config);
    leave(folder);
    return bad;
}

/* An examination, which charges nobody, goes by ranges. */
static int test_nobody_charges(struct gr_comm *comm) {
    char folder[32], *words = NULL;
    struct till till = {0};
    int bad = 0;
    enter(folder);
    struct gr_config *config = read_config("run.seed=42");
    EXPECT(config && load(comm, config, &till, false) == GR_OK);
    EXPECT_EQUAL(times_left(till.cohort), 0);
    EXPECT(fit_of(&till)->centre[0] == 50 && fit_of(&till)->spread[0] == 50);
    EXPECT(fit_of(&till)->fill[1] == 20 && fit_of(&till)->fill[2] == 2);
    EXPECT(gr_cohort_tell_withheld(till.cohort, &words) == GR_OK && !words);
    gr_cohort_free(till.cohort);
    gr_config_free(config);
    leave(folder);
    return bad;
}

/* Of the operating system's secrets. */
static int test_again(struct gr_comm *comm) {
    char folder[32], *first = NULL;
    struct till till = {0}, other = {0};
    int bad = 0;
    enter(folder);
    struct gr_config *config = read_config("run.rehearsal=false");
    EXPECT(config && load(comm, config, &till, true) == GR_OK);
    EXPECT(gr_text_format(&first, "%s",
                          gr_preprocessing_text(gr_cohort_data(till.cohort)->preprocessing)) ==
           GR_OK);
    EXPECT(gr_cohort_load(till.cohort) == GR_OK);
    EXPECT(strcmp(first, gr_preprocessing_text(gr_cohort_data(till.cohort)->preprocessing)) == 0);
    EXPECT_EQUAL(till.calls, 2);
    EXPECT(load(comm, config, &other, true) == GR_OK);
    EXPECT(strcmp(first, gr_preprocessing_text(gr_cohort_data(other.cohort)->preprocessing)) != 0);
    gr_free(first);
    gr_cohort_free(other.cohort);
    gr_cohort_free(till.cohort);
    gr_config_free(config);
    leave(folder);
    return bad;
}

/* Of fewer silos than policy.minimum_silos nothing leaves, and nobody is charged. */
static int test_too_few_silos(struct gr_comm *comm) {
    char folder[32];
    struct till till = {0};
    int bad = 0;
    enter(folder);
    for (int s = 0; s < 2; s++) {
        char name[16];
        snprintf(name, sizeof name, "%d.csv", s);
        unlink(name);
    }
    struct gr_config *config = read_config("policy.minimum_silos=2");
    EXPECT(config && load(comm, config, &till, true) == GR_ERROR_DATA);
    EXPECT_EQUAL(till.calls, 0);
    EXPECT_EQUAL(times_left(till.cohort), 0);
    gr_cohort_free(till.cohort);
    gr_config_free(config);
    leave(folder);
    return bad;
}

PARALLEL_MAIN({"of sums", test_of_sums}, {"not charged", test_not_charged},
              {"nobody charges", test_nobody_charges}, {"again", test_again},
              {"too few silos", test_too_few_silos})
