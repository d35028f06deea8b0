/* SPDX-License-Identifier: Apache-2.0 */
#include "train/private_steps.h"

#include "train/private_sum.h"

#include <config/privacy_plan.h>
#include <data/rows.h>
#include <privacy/correlated_noise.h>
#include <privacy/noise.h>
#include <privacy/secret_draw.h>
#include <privacy/sensitivity.h>

#include <math.h>
#include <string.h>

struct gr_private_steps {
    struct gr_privacy_config config;
    struct gr_model *model; /* borrowed */
    size_t size;            /* of the layout */
    struct gr_noise *noise; /* owned, as all that follows; NULL: it is correlated, or
                                       not added here */
    struct gr_correlation_matrix *correlation; /* NULL: the noise of steps is independent */
    struct gr_correlated_noise *correlated;    /* of the steps since the secret */
    int64_t *sum;                              /* size */
    float *part;                               /* size: the sum of a micro-batch, */
    float *passed;      /* size: or of the rows of it that have passed the model together */
    uint32_t *drawn;    /* units of a step, ascending, for each unit of the table */
    uint32_t *group;    /* of each drawn one */
    uint32_t *begin_at; /* person: of each drawn one, which of her rows is the first, of 2^32 */
    uint32_t *order;    /* places in `drawn`, group by group */
    uint32_t *begin;    /* of each group in `order`; n_groups + 1 */
    uint32_t *step_of;  /* fixed: of each unit, in the pass */
    size_t room;        /* units of the table */
    uint32_t n_groups;
    uint64_t inclusion; /* see gr_secret_include */
    uint32_t pass_steps;
    unsigned char secret[GR_SECRET_BYTES];
    uint64_t taken;         /* steps since the secret */
    const size_t *canaries; /* places in the layout, n_canaries; borrowed */
    uint32_t n_canaries;
};

/* Rows that pass the model together, as units. */
struct passing {
    uint32_t row[GR_CLIP_ROWS_MAX];
    size_t first_row[GR_CLIP_ROWS_MAX + 1]; /* of each unit in `row`; n_units + 1 */
    size_t n_units;
};

/* expected_batch / expected_units in units of 2^-64, rounded up; 0 for 1. */
static uint64_t inclusion_of(const struct gr_privacy_config *config) {
    __extension__ typedef unsigned __int128 wide;
    if (config->sampling == GR_PRIVATE_SAMPLING_FIXED ||
        config->expected_batch >= config->expected_units)
        return 0;
    return (uint64_t)(((wide)config->expected_batch << 64) / config->expected_units) + 1;
}

static gr_status create_noise(struct gr_private_steps *steps) {
    const struct gr_privacy_config *config = &steps->config;
    const double sigma = config->noise_multiplier * GR_PRIVATE_SUM_STEPS;
    gr_status status;
    if (config->noise == GR_NOISE_SHARED) return GR_OK;
    if (config->correlation.type == GR_CORRELATED_NONE)
        return gr_noise_create(sigma, &steps->noise);
    GR_TRY(
        gr_allocate_zero(1, sizeof *steps->correlation, "correlated noise", &steps->correlation));
    GR_TRY(gr_privacy_correlation(config, steps->correlation));
    status = gr_correlated_noise_create(steps->correlation, sigma, steps->size, &steps->correlated);
out:
    return status;
}

gr_status gr_private_steps_create(const struct gr_privacy_config *config, struct gr_model *model,
                                  struct gr_private_steps **out) {
    const struct gr_layout *layout = gr_model_layout(model);
    struct gr_private_steps *steps = NULL;
    gr_status status;
    *out = NULL;
    if (layout->size > GR_PRIVATE_SUM_SIZE_MAX)
        return gr_fail(GR_ERROR_CONFIG, "privacy.unit: %zu parameters, allowed at most %d",
                       layout->size, GR_PRIVATE_SUM_SIZE_MAX);
    GR_TRY(gr_allocate_zero(1, sizeof *steps, "private steps", &steps));
    steps->config = *config;
    steps->model = model;
    steps->size = layout->size;
    steps->inclusion = inclusion_of(config);
    steps->pass_steps = (uint32_t)gr_privacy_pass(config);
    steps->n_groups = (config->expected_batch + GR_PRIVATE_GROUP_ROWS - 1) / GR_PRIVATE_GROUP_ROWS;
    GR_TRY(create_noise(steps));
    GR_TRY(gr_allocate(steps->size, sizeof *steps->sum, "a noised sum", &steps->sum));
    GR_TRY(gr_allocate(steps->size, sizeof *steps->part, "a clipped sum", &steps->part));
    GR_TRY(gr_allocate(steps->size, sizeof *steps->passed, "a clipped sum", &steps->passed));
    GR_TRY(gr_allocate((size_t)steps->n_groups + 1, sizeof *steps->begin, "groups of units",
                       &steps->begin));
    *out = steps;
    steps = NULL;
out:
    gr_private_steps_free(steps);
    return status;
}

static void forget_units(struct gr_private_steps *steps) {
    gr_free(steps->drawn);
    gr_free(steps->group);
    gr_free(steps->begin_at);
    gr_free(steps->order);
    gr_free(steps->step_of);
    steps->drawn = steps->group = steps->begin_at = steps->order = steps->step_of = NULL;
    steps->room = 0;
}

void gr_private_steps_free(struct gr_private_steps *steps) {
    if (!steps) return;
    forget_units(steps);
    gr_noise_free(steps->noise);
    gr_correlated_noise_free(steps->correlated);
    gr_free(steps->correlation);
    gr_free(steps->sum);
    gr_free(steps->part);
    gr_free(steps->passed);
    gr_free(steps->begin);
    gr_free(steps);
}

uint32_t gr_private_steps_units(const struct gr_private_steps *steps) {
    return steps->config.expected_units;
}

bool gr_private_steps_are_shared(const struct gr_private_steps *steps) {
    return steps->config.noise == GR_NOISE_SHARED;
}

uint64_t gr_private_steps_of_round(const struct gr_private_steps *steps,
                                   const struct gr_train_config *train) {
    return gr_privacy_steps(&steps->config, train);
}

void gr_private_steps_start(struct gr_private_steps *steps, const unsigned char *secret) {
    memcpy(steps->secret, secret, GR_SECRET_BYTES);
    steps->taken = 0;
}

static bool are_persons(const struct gr_private_steps *steps) {
    return steps->config.unit == GR_PRIVACY_PERSON;
}

static size_t units_of(const struct gr_private_steps *steps, const struct gr_rows *rows) {
    return are_persons(steps) ? rows->persons.n : rows->n_rows;
}

gr_status gr_private_steps_check(const struct gr_private_steps *steps, const struct gr_rows *rows) {
    const size_t n = units_of(steps, rows);
    if (n == 0 && rows->n_rows > 0)
        return gr_fail(GR_ERROR_INTERNAL, "rows have no persons with privacy.unit person");
    if (n <= 2 * (uint64_t)steps->config.expected_units && n <= UINT32_MAX) return GR_OK;
    return gr_fail(GR_ERROR_DATA,
                   "%zu %ss, allowed at most twice privacy.expected_units, which is %u", n,
                   gr_privacy_unit_text(steps->config.unit), steps->config.expected_units);
}

/* ---- who is in a step ------------------------------------------------------------------------ */

static gr_status make_room(struct gr_private_steps *steps, size_t n) {
    gr_status status = GR_OK;
    if (n <= steps->room) return GR_OK;
    forget_units(steps);
    GR_TRY(gr_allocate(n, sizeof *steps->drawn, "units of a step", &steps->drawn));
    GR_TRY(gr_allocate(n, sizeof *steps->group, "units of a step", &steps->group));
    if (are_persons(steps))
        GR_TRY(gr_allocate(n, sizeof *steps->begin_at, "units of a step", &steps->begin_at));
    GR_TRY(gr_allocate(n, sizeof *steps->order, "units of a step", &steps->order));
    GR_TRY(gr_allocate(n, sizeof *steps->step_of, "units of a pass", &steps->step_of));
    steps->room = n;
out:
    if (status != GR_OK) forget_units(steps);
    return status;
}

/* fixed: each unit draws the step of the pass in which it is, by itself, so that one that is not
 * there moves no other. */
static uint32_t draw_of_pass(struct gr_private_steps *steps, uint32_t n) {
    /* Correlated noise asks that a unit is in the same step of every pass. */
    const uint64_t pass = steps->correlation ? 0 : steps->taken / steps->pass_steps;
    const uint32_t at = (uint32_t)(steps->taken % steps->pass_steps);
    uint32_t count = 0;
    if (at == 0)
        gr_secret_choose(steps->secret, GR_SECRET_PASS, pass, steps->pass_steps, n, steps->step_of);
    for (uint32_t i = 0; i < n; i++)
        if (steps->step_of[i] == at) steps->drawn[count++] = i;
    return count;
}

/* The drawn units, group by group, each in the table's order. */
static void draw(struct gr_private_steps *steps, uint32_t n) {
    const uint32_t count =
        steps->config.sampling == GR_PRIVATE_SAMPLING_FIXED
            ? draw_of_pass(steps, n)
            : gr_secret_include(steps->secret, steps->taken, steps->inclusion, n, steps->drawn);
    uint32_t *begin = steps->begin;
    gr_secret_choose(steps->secret, GR_SECRET_GROUPS, steps->taken, steps->n_groups, count,
                     steps->group);
    if (are_persons(steps))
        gr_secret_choose(steps->secret, GR_SECRET_ROWS, steps->taken, UINT32_MAX, count,
                         steps->begin_at);
    memset(begin, 0, ((size_t)steps->n_groups + 1) * sizeof *begin);
    for (uint32_t i = 0; i < count; i++)
        begin[steps->group[i] + 1]++;
    for (uint32_t g = 0; g < steps->n_groups; g++)
        begin[g + 1] += begin[g];
    for (uint32_t i = 0; i < count; i++)
        steps->order[begin[steps->group[i]]++] = i;
    memmove(begin + 1, begin, (size_t)steps->n_groups * sizeof *begin);
    begin[0] = 0;
}

/* ---- the sum --------------------------------------------------------------------------------- */

/* sum: overwritten. */
static gr_status pass_rows(struct gr_private_steps *steps, const float *parameters,
                           const struct gr_rows *rows, const struct passing *p, float *sum) {
    struct gr_model *model = steps->model;
    const size_t n = p->first_row[p->n_units];
    const double clip_norm = steps->config.clip_norm;
    gr_rows_gather(rows, p->row, 0, n, gr_model_batch_features(model), gr_model_batch_labels(model),
                   gr_model_batch_targets(model));
    gr_rows_gather_terms(rows, p->row, 0, n, gr_model_batch_weights(model),
                         gr_model_batch_offsets(model));
    gr_model_key_rows(model, steps->taken, p->row);
    return are_persons(steps)
               ? gr_model_clipped_units(model, parameters, p->first_row, p->n_units, clip_norm, sum)
               : gr_model_clipped_sum(model, parameters, n, clip_norm, sum);
}

/*
 * Which of the table's rows the drawn unit of that place has in this step; returns how many. Of a
 * person with more rows than a step takes they are as far apart as can be, from one on that is
 * drawn: each of her rows is as likely as any other, and nobody else's rows have a share in it.
 */
static size_t rows_of_unit(const struct gr_private_steps *steps, const struct gr_rows *rows,
                           uint32_t place, uint32_t row[GR_CLIP_ROWS_MAX]) {
    const struct gr_persons *persons = &rows->persons;
    const uint32_t unit = steps->drawn[place];
    row[0] = unit;
    if (!are_persons(steps)) return 1;
    const uint32_t *own = persons->rows + persons->first[unit];
    const uint64_t n = persons->first[unit + 1] - persons->first[unit];
    const uint64_t most = steps->config.rows_per_person, taken = n < most ? n : most;
    const uint64_t begin = n > most ? steps->begin_at[place] * n >> 32 : 0;
    for (uint64_t j = 0; j < taken; j++)
        row[j] = own[(begin + j * n / taken) % n];
    return (size_t)taken;
}

/* A micro-batch of n units, on the grid: as many at a time as have rows for a pass of the model. */
static gr_status add_units(struct gr_private_steps *steps, const float *parameters,
                           const struct gr_rows *rows, const uint32_t *places, size_t n) {
    uint32_t row[GR_CLIP_ROWS_MAX];
    gr_status status = GR_OK;
    for (size_t i = 0, passes = 0; i < n; passes++) {
        struct passing p = {.n_units = 0};
        for (; i < n; i++) {
            const size_t used = p.first_row[p.n_units];
            const size_t count = rows_of_unit(steps, rows, places[i], row);
            if (used + count > GR_CLIP_ROWS_MAX) break;
            memcpy(p.row + used, row, count * sizeof *row);
            p.first_row[++p.n_units] = used + count;
        }
        float *sum = passes == 0 ? steps->part : steps->passed;
        GR_TRY(pass_rows(steps, parameters, rows, &p, sum));
        for (size_t k = 0; passes > 0 && k < steps->size; k++)
            steps->part[k] += sum[k];
    }
    gr_round_to_grid(steps->part, GR_PRIVATE_SUM_STEPS / steps->config.clip_norm, steps->sum,
                     steps->size);
out:
    return status;
}

/* A group of more units than the bound of the sensitivity is proven for loses those above it: with
 * up to twice the expected units that happens with a probability below 1e-38. */
static gr_status add_group(struct gr_private_steps *steps, const float *parameters,
                           const struct gr_rows *rows, const uint32_t *places, size_t n) {
    const size_t most = (size_t)GR_PRIVATE_PARTS_MAX * GR_CLIP_ROWS_MAX;
    gr_status status = GR_OK;
    n = n < most ? n : most;
    for (size_t first = 0; first < n && status == GR_OK; first += GR_CLIP_ROWS_MAX)
        status = add_units(steps, parameters, rows, places + first,
                           n - first < GR_CLIP_ROWS_MAX ? n - first : GR_CLIP_ROWS_MAX);
    return status;
}

/* Steps of another secret go on from nothing: a round is one release. */
static gr_status begin_noise(struct gr_private_steps *steps) {
    if (!steps->correlation || steps->taken > 0 || gr_correlated_noise_step(steps->correlated) == 0)
        return GR_OK;
    gr_correlated_noise_free(steps->correlated);
    steps->correlated = NULL;
    return gr_correlated_noise_create(steps->correlation,
                                      steps->config.noise_multiplier * GR_PRIVATE_SUM_STEPS,
                                      steps->size, &steps->correlated);
}

static void add_noise(struct gr_private_steps *steps) {
    unsigned char key[GR_SECRET_BYTES];
    gr_secret_key(steps->secret, GR_SECRET_NOISE, 0, key);
    if (steps->correlation)
        gr_correlated_noise_apply(steps->correlated, key, steps->taken, steps->sum);
    else if (steps->noise)
        gr_noise_add(steps->noise, key, steps->taken, steps->sum, steps->size);
}

void gr_private_steps_plant(struct gr_private_steps *steps, const size_t *place, uint32_t n) {
    steps->canaries = place;
    steps->n_canaries = n;
}

/* Drawn by streams that no step and no pass has: their numbers count down. */
static void add_canaries(struct gr_private_steps *steps) {
    const uint64_t pass = steps->taken / steps->pass_steps;
    const uint32_t at = (uint32_t)(steps->taken % steps->pass_steps), n = steps->n_canaries;
    uint32_t *drawn = steps->drawn;
    if (n == 0) return;
    if (steps->config.sampling == GR_PRIVATE_SAMPLING_FIXED) {
        gr_secret_choose(steps->secret, GR_SECRET_PASS, ~pass, steps->pass_steps, n, drawn);
        for (uint32_t i = 0; i < n; i++)
            if (drawn[i] == at) steps->sum[steps->canaries[i]] += (int64_t)GR_PRIVATE_SUM_STEPS;
        return;
    }
    const uint32_t count =
        gr_secret_include(steps->secret, ~steps->taken, steps->inclusion, n, drawn);
    for (uint32_t i = 0; i < count; i++)
        steps->sum[steps->canaries[drawn[i]]] += (int64_t)GR_PRIVATE_SUM_STEPS;
}

/* In float32 at the end: what is made of the noised sum tells nothing more. Gaps get no noise. */
static void to_gradient(const struct gr_private_steps *steps, float *gradient) {
    const struct gr_layout *layout = gr_model_layout(steps->model);
    const double unit = steps->correlation ? ldexp(1, -GR_CORRELATION_BITS) : 1; /* of a step */
    const double step =
        unit * steps->config.clip_norm / GR_PRIVATE_SUM_STEPS / steps->config.expected_batch;
    memset(gradient, 0, steps->size * sizeof *gradient);
    for (size_t t = 0; t < layout->n_tensors; t++) {
        const struct gr_tensor *tensor = &layout->tensors[t];
        for (size_t i = tensor->offset; i < tensor->offset + tensor->n_elements; i++)
            gradient[i] = (float)(step * (double)steps->sum[i]);
    }
}

/*
 * Dropout's masks are drawn from the secret: by the run's seed, which is public, they would be
 * those of a row's place in the table, and a row that is not there would give all behind it others.
 */
static void start_masks(const struct gr_private_steps *steps) {
    unsigned char key[GR_SECRET_BYTES];
    uint64_t seed;
    gr_secret_key(steps->secret, GR_SECRET_MASKS, 0, key);
    memcpy(&seed, key, sizeof seed);
    gr_model_start_round(steps->model, seed, 0, 0);
}

gr_status gr_private_steps_gradient(struct gr_private_steps *steps, const float *parameters,
                                    const struct gr_rows *rows, gr_poll_function poll,
                                    void *context, float *gradient) {
    gr_status status;
    const size_t n = units_of(steps, rows);
    GR_TRY(begin_noise(steps));
    GR_TRY(make_room(steps, n > steps->n_canaries ? n : steps->n_canaries + 1)); /* 1 at least */
    memset(steps->sum, 0, steps->size * sizeof *steps->sum);
    draw(steps, (uint32_t)n);
    start_masks(steps);
    for (uint32_t g = 0; g < steps->n_groups; g++) {
        if (poll) GR_TRY(poll(context));
        GR_TRY(add_group(steps, parameters, rows, steps->order + steps->begin[g],
                         steps->begin[g + 1] - steps->begin[g]));
    }
    add_canaries(steps);
    add_noise(steps);
    to_gradient(steps, gradient);
    steps->taken++;
out:
    return status;
}
