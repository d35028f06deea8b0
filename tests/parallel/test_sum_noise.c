/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise in sums of updates, as the door lets them out: its variance over many elements, by rank 0
 * whether it has contributions or none, or in shares behind masks, of which those of the parties
 * that are there suffice without the colluding ones, however many are away; the same for one
 * roster, another for another, and none but what was asked for; and what cannot be written down
 * does not leave, whoever is lost. The plain sum is known, so what is beside it is the noise.
 *
 * ranks: 1 2 3 5
 */
#include <math.h>

#include "parallel.h"

#include "cohort/cohort_parts.h"
#include "cohort/sum_noise.h"

enum { SILOS = 8, SILOS_MOST = 100, SIZE = 20000, TALLY = 1 << 19 };

static const char plain_text[] =
    "run: {rounds: 1}\n"
    "data: {source: synthetic, silos: %d, synthetic: {features: 2, classes: 2, minimum_rows: 9, "
    "maximum_rows: 9}}\n"
    "model: {type: softmax}\ntrain: {learning_rate: 0.1, batch_size: 8}\n"
    "aggregation: {grid: public, clip_norm: 2, weight_max: 1}\n";

/* A door with all that it needs, and sums of updates of which each element is 2^-10. */
struct work {
    struct gr_comm *comm;
    struct gr_config *config;
    struct gr_cohort cohort; /* as far as the door looks at it */
    struct gr_aggregator *aggregator;
    struct gr_layout layout;
    struct gr_roster roster;
    int32_t host_of[SILOS_MOST];
    float *update, *mean, *before;
    unsigned charged;                                                 /* sums, by their secrets */
    bool full;                                                        /* no more can be charged */
    unsigned char secret[GR_DIGEST_BYTES], seed[GR_NOISE_SEED_BYTES]; /* charged last */
};

static gr_status charge(void *context, uint32_t round, const unsigned char *secret, size_t n) {
    struct work *work = context;
    unsigned char digest[GR_DIGEST_BYTES];
    if (work->full) return gr_fail(GR_ERROR_WRITE, "the ledger is full");
    gr_digest_of(secret, n, digest);
    if (round != work->roster.round) return gr_fail(GR_ERROR_INTERNAL, "round %u", round);
    work->charged += memcmp(digest, work->secret, sizeof digest) != 0;
    memcpy(work->secret, digest, sizeof digest);
    if (n == sizeof work->seed) memcpy(work->seed, secret, n);
    return GR_OK;
}

struct asked {
    enum gr_noise_place place;
    double deviation;
    const char *more; /* lines of the config */
    int shift;        /* of the silos' ranks */
    double tally;     /* deviation of the noise in tallies */
    size_t size;      /* of an update */
    int silos;        /* 0: SILOS */
};

static int work_begin(struct work *work, struct gr_comm *comm, const struct asked *asked) {
    int bad = 0;
    char text[1024];
    const size_t size = asked->size;
    const int silos = asked->silos > 0 ? asked->silos : SILOS;
    *work = (struct work){.comm = comm};
    int n = snprintf(text, sizeof text, plain_text, silos);
    snprintf(text + n, sizeof text - (size_t)n, "%s", asked->more);
    EXPECT(gr_config_parse("t.yaml", text, strlen(text), NULL, 0, &work->config) == GR_OK);
    for (int s = 0; s < silos; s++)
        work->host_of[s] = gr_comm_size(comm) == 1 ? 0
                           : asked->shift > 0      ? 1 + s % (gr_comm_size(comm) - 1)
                                                   : s % gr_comm_size(comm);
    EXPECT(gr_door_create(comm, work->config, &work->cohort.door) == GR_OK);
    EXPECT(gr_door_mask(work->cohort.door, work->host_of) == GR_OK);
    work->cohort.comm = comm;
    work->cohort.config = work->config;
    EXPECT(gr_layout_append(&work->layout, "all", 1, &size) == GR_OK);
    const size_t room = work->layout.size; /* size, and zeros */
    EXPECT(gr_allocate_zero(room, sizeof(float), "update", &work->update) == GR_OK);
    EXPECT(gr_allocate_zero(room, sizeof(float), "mean", &work->mean) == GR_OK);
    EXPECT(gr_allocate_zero(room, sizeof(float), "mean", &work->before) == GR_OK);
    for (size_t i = 0; i < size; i++)
        work->update[i] = 0x1p-10F;
    gr_door_set_noise(work->cohort.door, asked->place,
                      (struct gr_sum_deviations){asked->deviation, asked->tally});
    gr_door_set_charge(work->cohort.door, (struct gr_door_charge){charge, work});
    const struct gr_aggregator_options options = {
        .grid = {.clip_norm = 2,
                 .weight_max = 1,
                 .n_selected = (uint32_t)silos,
                 .noise = gr_door_noise(work->cohort.door)},
        .encoding = GR_ENCODING_RING32,
        .stage = gr_door_stage(work->cohort.door)};
    EXPECT(gr_aggregator_create_with(comm, &work->layout, &options, &work->aggregator) == GR_OK);
    EXPECT(gr_roster_create((uint32_t)silos, &work->roster) == GR_OK);
    return bad;
}

static void work_end(struct work *work) {
    gr_roster_release(&work->roster);
    gr_aggregator_free(work->aggregator);
    gr_free(work->update);
    gr_free(work->mean);
    gr_free(work->before);
    gr_layout_release(&work->layout);
    gr_door_free(work->cohort.door);
    gr_config_free(work->config);
}

/* The sum of the first n silos, of a round, up to its seal. */
static gr_status bring(struct work *work, uint32_t round, uint32_t n) {
    struct gr_contribution mine[SILOS_MOST];
    size_t n_mine = 0;
    gr_flags_clear(&work->roster.member);
    for (uint32_t s = 0; s < n; s++) {
        gr_flags_set(&work->roster.member, s, GR_PRESENT);
        if (work->host_of[s] == gr_comm_rank(work->comm))
            mine[n_mine++] = (struct gr_contribution){.update = work->update,
                                                      .silo = s,
                                                      .weight = 1,
                                                      .tally = TALLY,
                                                      .pseudonym = "silo"};
    }
    work->roster.round = round;
    work->roster.n_members = n;
    gr_door_trained(work->cohort.door, round, (unsigned char[GR_DIGEST_BYTES]){0});
    return gr_release_update(work->cohort.door, work->aggregator, mine, n_mine, &work->roster,
                             work->layout.size);
}

/* The same, as it is opened. */
static gr_status open_sum(struct work *work, uint32_t round, uint32_t n) {
    gr_status status;
    GR_TRY(bring(work, round, n));
    GR_TRY(gr_comm_agree(work->comm, GR_OK));
    status = gr_release_open(&work->cohort, work->aggregator, true, false);
out:
    return status;
}

/* Without what the silos have brought: work->mean; of the sum before: work->before. */
static int take_sum(struct work *work, uint32_t round, uint32_t n) {
    int bad = 0;
    float *before = work->before;
    work->before = work->mean;
    work->mean = before;
    EXPECT(open_sum(work, round, n) == GR_OK);
    for (size_t i = 0; i < SIZE; i += GR_RING_BLOCK)
        gr_aggregate_decode(work->aggregator, 0, i, work->mean + i,
                            SIZE - i < GR_RING_BLOCK ? SIZE - i : GR_RING_BLOCK);
    for (size_t i = 0; i < SIZE; i++)
        work->mean[i] = (float)n * (work->mean[i] - work->update[i]);
    return bad;
}

/* Whether the elements of a - b (b NULL: of a) have mean 0 and this standard deviation, as far as
 * so many samples tell: 6 of their own deviations. */
static int is_noise(const float *a, const float *b, double deviation) {
    int bad = 0;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < SIZE; i++) {
        const double x = (double)a[i] - (b ? (double)b[i] : 0);
        sum += x;
        squares += x * x;
    }
    EXPECT(fabs(sum) <= 6 * deviation * sqrt(SIZE));
    const double ratio = squares / (deviation * deviation * SIZE);
    if (!(fabs(ratio - 1) <= 6 * sqrt(2.0 / SIZE))) fprintf(stderr, "variance / asked %g\n", ratio);
    EXPECT(fabs(ratio - 1) <= 6 * sqrt(2.0 / SIZE));
    return bad;
}

/* All ranks have the same bits of it. */
static int is_shared(const struct work *work) {
    int bad = 0;
    unsigned char digest[GR_DIGEST_BYTES], first[GR_DIGEST_BYTES];
    gr_digest_of(work->mean, SIZE * sizeof(float), digest);
    memcpy(first, digest, sizeof first);
    EXPECT(MPI_Bcast(first, sizeof first, MPI_BYTE, 0, MPI_COMM_WORLD) == MPI_SUCCESS);
    EXPECT(memcmp(first, digest, sizeof first) == 0);
    return bad;
}

static int sums_in_turn(struct work *work, double deviation) {
    int bad = 0;
    bad += take_sum(work, 1, SILOS);
    bad += is_noise(work->mean, NULL, deviation);
    bad += is_shared(work);
    bad += take_sum(work, 1, SILOS); /* again, over the same roster */
    EXPECT(memcmp(work->mean, work->before, SIZE * sizeof(float)) == 0);
    EXPECT_EQUAL(work->charged, 1);
    bad += take_sum(work, 1, SILOS - 1); /* a silo was lost */
    bad += is_noise(work->mean, NULL, deviation);
    bad += is_noise(work->mean, work->before, deviation * sqrt(2));
    bad += is_shared(work);
    EXPECT_EQUAL(work->charged, 2);
    bad += take_sum(work, 2, SILOS - 1); /* the next round */
    bad += is_noise(work->mean, work->before, deviation * sqrt(2));
    EXPECT_EQUAL(work->charged, 3);
    return bad;
}

static int by_root(struct gr_comm *found) {
    int bad = 0;
    (void)found;
    for (uint32_t group = 0; group < 3; group++)
        for (int shift = 0; shift < 2; shift++) {
            const struct asked asked = {GR_NOISE_ROOT, 3, "", shift, 0, SIZE, 0};
            const struct gr_comm_options options = {.ranks_per_node = group};
            struct gr_comm *comm = NULL;
            struct work work;
            EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
            gr_comm_started(comm);
            bad += work_begin(&work, comm, &asked);
            EXPECT(fabs(gr_door_noise(work.cohort.door) - 3) < 1e-12);
            bad += sums_in_turn(&work, 3);
            work_end(&work);
            gr_comm_free(comm);
        }
    return bad;
}

/* Of a sum's parties, as many as are there; how many of them may collude, one at least. */
struct shared {
    uint32_t parties, colluding, sums;
};

/* Of this rank's `own` silos, in units of 2^exponent; NULL: it has none. */
static struct gr_noise *noise_of_own(const struct shared *shared, uint32_t own, int exponent) {
    struct gr_noise *noise = NULL;
    const double part = sqrt((double)own / (shared->parties - shared->colluding));
    if (own > 0 && gr_noise_create(ldexp(3 * part, -exponent), &noise) != GR_OK) return NULL;
    return noise;
}

/* Takes that noise off work->mean, by the seed that was charged. */
static void take_off(struct work *work, const struct gr_noise *noise, int exponent) {
    int64_t drawn[GR_RING_BLOCK];
    for (size_t i = 0; i < SIZE && noise; i += GR_RING_BLOCK) {
        const size_t n = SIZE - i < GR_RING_BLOCK ? SIZE - i : GR_RING_BLOCK;
        memset(drawn, 0, sizeof drawn);
        gr_noise_add(noise, work->seed, i / GR_RING_BLOCK, drawn, n);
        for (size_t k = 0; k < n; k++)
            work->mean[i + k] -= (float)ldexp((double)drawn[k], exponent);
    }
}

static double squares_of(const float *x) {
    double sum = 0;
    for (size_t i = 0; i < SIZE; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

/* Whether n squares add up to this variance each: to 5 deviations of a chi-square of n degrees. */
static int is_variance(double squares, double n, double variance) {
    int bad = 0;
    const double ratio = squares / (n * variance);
    if (!(fabs(ratio - 1) <= 5 * sqrt(2 / n))) fprintf(stderr, "variance / expected %g\n", ratio);
    EXPECT(fabs(ratio - 1) <= 5 * sqrt(2 / n));
    return bad;
}

/* The noise of many sums, in variances of what was asked for: n / (n - colluding) of n parties that
 * are there, and without those of a rank in proportion. */
static int spread(struct work *work, uint32_t round, const struct shared *shared) {
    int bad = 0;
    uint64_t bound;
    double all = 0, others = 0;
    uint32_t own = 0;
    const double n = shared->parties, share = 9 / (n - shared->colluding), size = SIZE;
    const int exponent = gr_aggregate_exponent(work->aggregator, shared->parties, &bound);
    for (uint32_t s = 0; s < shared->parties; s++)
        own += work->host_of[s] == gr_comm_rank(work->comm);
    struct gr_noise *noise = noise_of_own(shared, own, exponent);
    work->config->data.silos = shared->parties; /* the others are away */
    for (uint32_t i = 0; i < shared->sums && bad == 0; i++) {
        bad += take_sum(work, round + i, shared->parties);
        all += squares_of(work->mean);
        take_off(work, noise, exponent);
        others += squares_of(work->mean);
    }
    gr_noise_free(noise);
    bad += is_variance(all, size * shared->sums, n * share);
    if (own < shared->parties)
        bad += is_variance(others, size * shared->sums, (n - own) * share);
    else
        EXPECT(others < 1e-9 * all);
    return bad;
}

static int in_shares(struct gr_comm *comm) {
    int bad = 0;
    static const char *const more[] = {"secure: {aggregation: true}\n",
                                       "secure: {aggregation: true, colluding: 3}\n",
                                       "secure: {aggregation: true, threshold: 7, colluding: 5}\n"};
    static const uint32_t thresholds[] = {6, 6, 7}, colluding[] = {1, 3, 5};
    for (int c = 0; c < 3; c++) {
        const struct asked asked = {GR_NOISE_SHARED, 3, more[c], c % 2, 0, SIZE, 0};
        const uint32_t t = thresholds[c];
        const double most = 3 * sqrt((double)t / (t - colluding[c]));
        struct work work;
        bad += work_begin(&work, comm, &asked);
        EXPECT(fabs(gr_door_noise(work.cohort.door) - most) < 1e-9);
        bad += sums_in_turn(&work, 3 * sqrt((double)SILOS / (SILOS - colluding[c])));
        for (uint32_t n = SILOS; n >= t; n--)
            bad += spread(&work, 100 * n, &(struct shared){n, colluding[c], 4});
        work_end(&work);
    }
    return bad;
}

/* As few as there may be, and so many that a party has its masks with some of them only, for which
 * more ranks would take long. */
static int of_few_and_many(struct gr_comm *comm) {
    int bad = 0;
    static const char many[] = "secure: {aggregation: true, threshold: 70, colluding: 20}\n";
    const struct asked few = {GR_NOISE_SHARED, 3, "secure: {aggregation: true}\n", 0, 0, SIZE, 3},
                       hundred = {GR_NOISE_SHARED, 3, many, 0, 0, SIZE, SILOS_MOST};
    struct work work;
    bad += work_begin(&work, comm, &few);
    bad += spread(&work, 1, &(struct shared){3, 1, 8});
    work_end(&work);
    if (gr_comm_size(comm) > 2) return bad;
    bad += work_begin(&work, comm, &hundred);
    bad += spread(&work, 2, &(struct shared){70, 20, 1});
    work_end(&work);
    return bad;
}

/* A party without a silo in the round is lost: shares are greater, so it is another sum. */
static int of_one_roster(struct gr_comm *comm) {
    int bad = 0;
    const struct asked asked = {GR_NOISE_SHARED, 3, "secure: {aggregation: true}\n", 0, 0, SIZE, 0};
    const double eight = 9.0 * 8 / 7, seven = 9.0 * 7 / 6;
    struct work work;
    bad += work_begin(&work, comm, &asked);
    bad += take_sum(&work, 1, SILOS - 2);
    work.config->data.silos = SILOS - 1;
    bad += take_sum(&work, 1, SILOS - 2);
    bad += is_noise(work.mean, NULL, sqrt(seven));
    bad += is_noise(work.mean, work.before, sqrt(seven + eight));
    EXPECT_EQUAL(work.charged, 2);
    work_end(&work);
    return bad;
}

/* Behind masks rank 0 adds all of it. */
static int by_root_masked(struct gr_comm *comm) {
    int bad = 0;
    const struct asked asked = {GR_NOISE_ROOT, 3, "secure: {aggregation: true}\n", 1, 0, SIZE, 0};
    struct work work;
    bad += work_begin(&work, comm, &asked);
    bad += sums_in_turn(&work, 3);
    work_end(&work);
    return bad;
}

/* Tallies of 1 << 19 in many sums: noise of its own, that of all shares; without noise they are a
 * sum. */
static int in_tallies(struct gr_comm *comm) {
    static const struct asked asked[] = {
        {GR_NOISE_ROOT, 3, "", 1, 1e6, 8, 0},
        {GR_NOISE_SHARED, 3, "secure: {aggregation: true, threshold: 7, colluding: 5}\n", 0, 1e6, 8,
         0},
        {GR_NOISE_ROOT, 3, "", 0, 0, 8, 0}};
    static const uint32_t sums[] = {1000, 200, 100}; /* a masked one takes longer */
    int bad = 0;
    for (int c = 0; c < 3; c++) {
        const double variance = asked[c].tally * asked[c].tally * (c == 1 ? SILOS / 3.0 : 1);
        double sum = 0, squares = 0;
        struct work work;
        bad += work_begin(&work, comm, &asked[c]);
        for (uint32_t round = 1; round <= sums[c] && bad == 0; round++) {
            EXPECT(open_sum(&work, round, SILOS) == GR_OK);
            const double x = (double)(gr_aggregate_tally(work.aggregator) - SILOS * TALLY);
            sum += x;
            squares += x * x;
        }
        EXPECT(fabs(sum) <= 6 * sqrt(variance * sums[c]));
        EXPECT(c == 2 ? !(squares > 0)
                      : fabs(squares / (variance * sums[c]) - 1) <= 6 * sqrt(2.0 / sums[c]));
        work_end(&work);
    }
    return bad;
}

/* Where one rank cannot write down that a sum leaves, it does not: nobody opens it. */
static int not_charged(struct gr_comm *comm) {
    int bad = 0;
    static const char *const more[] = {"", "secure: {aggregation: true}\n"};
    for (int c = 0; c < 2; c++) {
        const struct asked asked = {c ? GR_NOISE_SHARED : GR_NOISE_ROOT, 3, more[c], 0, 0, SIZE, 0};
        struct work work;
        bad += work_begin(&work, comm, &asked);
        work.full = gr_comm_rank(comm) == gr_comm_size(comm) - 1;
        EXPECT_EQUAL(open_sum(&work, 1, SILOS), GR_ERROR_WRITE);
        EXPECT(strstr(gr_message(), "the ledger is full") != NULL);
        work_end(&work);
    }
    return bad;
}

/* Whoever is lost once a masked sum is sealed is in what the others open, and has been charged. A
 * sum that was not opened and the one that is taken in its place are one. */
static int charged_before_its_seal(struct gr_comm *comm) {
    int bad = 0;
    const struct asked asked = {GR_NOISE_SHARED, 3, "secure: {aggregation: true}\n", 0, 0, SIZE, 0};
    struct work work;
    bad += work_begin(&work, comm, &asked);
    EXPECT(bring(&work, 1, SILOS) == GR_OK);
    EXPECT_EQUAL(work.charged, 1);
    bad += take_sum(&work, 1, SILOS - 1);
    EXPECT_EQUAL(work.charged, 1);
    bad += take_sum(&work, 1, SILOS); /* one more, as that was opened */
    EXPECT_EQUAL(work.charged, 2);
    EXPECT(bring(&work, 2, SILOS) == GR_OK);
    bad += take_sum(&work, 3, SILOS); /* nor does a round pay for the next */
    EXPECT_EQUAL(work.charged, 4);
    work_end(&work);
    return bad;
}

static int without(struct gr_comm *comm) {
    int bad = 0;
    static const char *const more[] = {"", "secure: {aggregation: true}\n"};
    for (int c = 0; c < 2; c++) {
        const struct asked asked = {GR_NOISE_ROOT, 0, more[c], 0, 0, SIZE, 0};
        struct work work;
        bad += work_begin(&work, comm, &asked);
        bad += take_sum(&work, 1, SILOS);
        for (size_t i = 0; i < SIZE; i++)
            if (fabsf(work.mean[i]) > 1e-8F) bad++;
        EXPECT_EQUAL(work.charged, 0);
        EXPECT(gr_door_check_noise(work.cohort.door, work.aggregator, SILOS, SIZE) == GR_OK);
        work_end(&work);
    }
    return bad;
}

/* Noise of few steps, or an update that roundings lift by more than a little. */
static int too_coarse(struct gr_comm *comm) {
    int bad = 0;
    struct work work;
    struct asked asked = {GR_NOISE_ROOT, 3, "", 0, 0, SIZE, 0};
    bad += work_begin(&work, comm, &asked);
    EXPECT(gr_door_check_noise(work.cohort.door, work.aggregator, SILOS, SIZE) == GR_OK);
    EXPECT_EQUAL(gr_door_check_noise(work.cohort.door, work.aggregator, SILOS, (size_t)1 << 50),
                 GR_ERROR_CONFIG);
    EXPECT(strstr(gr_message(), "privacy.clip_norm: ") != NULL);
    work_end(&work);
    asked.deviation = 1e-7;
    bad += work_begin(&work, comm, &asked);
    EXPECT_EQUAL(gr_door_check_noise(work.cohort.door, work.aggregator, SILOS, SIZE),
                 GR_ERROR_CONFIG);
    EXPECT(strstr(gr_message(), "privacy.noise_multiplier: noise of") != NULL);
    work_end(&work);
    return bad;
}

PARALLEL_MAIN({"by rank 0", by_root}, {"in shares", in_shares},
              {"in shares of few and many", of_few_and_many},
              {"in shares of one roster", of_one_roster},
              {"charged before its seal", charged_before_its_seal},
              {"by rank 0, behind masks", by_root_masked}, {"in tallies", in_tallies},
              {"not charged", not_charged}, {"without noise", without}, {"too coarse", too_coarse})
