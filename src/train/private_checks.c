/* SPDX-License-Identifier: Apache-2.0 */
/*
 * private_checks: single steps against what is promised of them. The noise of a step is what it has
 * more than one without noise of the same secret; a row's share is what a table has more than the
 * same table without its last row.
 */
#include "train/private_audit.h"
#include "train/private_steps.h"
#include "train/private_sum.h"

#include <privacy/secret_draw.h>
#include <privacy/sensitivity.h>

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Standard deviations: exceeded to one side by chance with a probability of 3e-7. */
#define FAR 5.0
/* Noise so small that a sum is as good as exact: 17 steps of the grid. */
#define QUIET 1e-6

void gr_private_tell(struct gr_private_audit *audit, const char *name, bool passed,
                     const char *format, ...) {
    struct gr_private_check *check = &audit->check[audit->n];
    va_list arguments;
    if (audit->n == GR_PRIVATE_CHECKS_MAX) return;
    check->name = name;
    check->passed = passed;
    va_start(arguments, format);
    vsnprintf(check->found, sizeof check->found, format, arguments);
    va_end(arguments);
    audit->n++;
    audit->failed += !passed;
}

/* ---- noise ---------------------------------------------------------------------------------- */

struct noise {
    const struct gr_private_question *question;
    const struct gr_layout *layout;
    struct gr_private_steps *loud, *quiet; /* owned, as all that follows */
    float *with, *without;                 /* gradients of a step */
    double *now, *last;                    /* noise of a step, in units of clip_norm */
    double *kept;                          /* of the first n_kept steps, one after another */
    size_t n_steps, n_kept;
};

/* Figures of the steps over one table, each over what it is to be. */
struct noise_figures {
    double deviation, least, worst; /* of all; the least that is far off by chance; of a tensor */
    double successive, restarted;   /* correlations, in standard deviations */
};

static gr_status create_noise(const struct gr_private_question *question, struct noise *out) {
    const struct gr_layout *layout = gr_model_layout(question->model);
    const size_t size = layout->size, n = layout->n_parameters;
    struct gr_privacy_config quiet = *question->privacy;
    gr_status status;
    quiet.noise_multiplier = QUIET;
    *out = (struct noise){.question = question, .layout = layout};
    out->n_steps = 200000 / n < 16 ? 16 : 200000 / n > 4000 ? 4000 : 200000 / n;
    out->n_kept = 20000 / n < 1 ? 1 : 20000 / n > out->n_steps ? out->n_steps : 20000 / n;
    GR_TRY(gr_private_steps_create(question->privacy, question->model, &out->loud));
    GR_TRY(gr_private_steps_create(&quiet, question->model, &out->quiet));
    GR_TRY(gr_allocate(size, sizeof(float), "an audit", &out->with));
    GR_TRY(gr_allocate(size, sizeof(float), "an audit", &out->without));
    GR_TRY(gr_allocate_zero(size, sizeof(double), "an audit", &out->now));
    GR_TRY(gr_allocate_zero(size, sizeof(double), "an audit", &out->last));
    status = gr_allocate_zero(out->n_kept * size, sizeof(double), "an audit", &out->kept);
out:
    return status;
}

static void release_noise(struct noise *noise) {
    gr_private_steps_free(noise->loud);
    gr_private_steps_free(noise->quiet);
    gr_free(noise->with);
    gr_free(noise->without);
    gr_free(noise->now);
    gr_free(noise->last);
    gr_free(noise->kept);
}

static gr_status take_noise(struct noise *noise, const struct gr_rows *rows) {
    const struct gr_private_question *question = noise->question;
    const struct gr_privacy_config *config = question->privacy;
    const double scale = config->expected_batch / config->clip_norm;
    double *last = noise->last;
    gr_status status;
    noise->last = noise->now;
    noise->now = last;
    GR_TRY(gr_private_steps_gradient(noise->loud, question->parameters, rows, NULL, NULL,
                                     noise->with));
    GR_TRY(gr_private_steps_gradient(noise->quiet, question->parameters, rows, NULL, NULL,
                                     noise->without));
    for (size_t i = 0; i < noise->layout->size; i++)
        noise->now[i] = scale * ((double)noise->with[i] - (double)noise->without[i]);
out:
    return status;
}

static double product(const double *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* The least that a deviation over the promised one is by chance, of n squares. */
static double least_of(double n) {
    return sqrt(fmax(0, 1 - FAR * sqrt(2 / n)));
}

/* The worst tensor: its variance over the least that it has by chance; above 1 it is in order. */
static double find_worst(const struct noise *noise, const double *squares, double variance) {
    double worst = INFINITY;
    for (size_t t = 0; t < noise->layout->n_tensors; t++) {
        const double n = (double)noise->layout->tensors[t].n_elements * (double)noise->n_steps;
        const double least = least_of(n);
        if (least > 0) worst = fmin(worst, sqrt(squares[t] / (n * variance)) / least);
    }
    return worst;
}

/* Steps of a secret over a table; begun: some have been kept, of another secret. */
static gr_status measure(struct noise *noise, const struct gr_rows *rows, bool begun,
                         double *squares, struct noise_figures *out) {
    const struct gr_layout *layout = noise->layout;
    const size_t size = layout->size;
    const double n = (double)layout->n_parameters, z = noise->question->privacy->noise_multiplier,
                 all = n * (double)noise->n_steps;
    unsigned char secret[GR_SECRET_BYTES];
    double square = 0, successive = 0, restarted = 0;
    gr_status status = GR_OK;
    gr_secret_make(secret);
    gr_private_steps_start(noise->loud, secret);
    gr_private_steps_start(noise->quiet, secret);
    for (size_t s = 0; s < noise->n_steps; s++) {
        double *kept = noise->kept + s * size;
        GR_TRY(take_noise(noise, rows));
        for (size_t t = 0; t < layout->n_tensors; t++) {
            const double *at = noise->now + layout->tensors[t].offset;
            const double sum = product(at, at, layout->tensors[t].n_elements);
            squares[t] += sum;
            square += sum;
        }
        if (s > 0) successive += product(noise->now, noise->last, size);
        if (s < noise->n_kept && begun) restarted += product(noise->now, kept, size);
        if (s < noise->n_kept && !begun) memcpy(kept, noise->now, size * sizeof *kept);
    }
    *out = (struct noise_figures){
        .deviation = sqrt(square / all) / z,
        .least = least_of(all),
        .worst = find_worst(noise, squares, z * z),
        .successive = successive / (z * z) / sqrt(n * (double)(noise->n_steps - 1)),
        .restarted = restarted / (z * z) / sqrt(n * (double)noise->n_kept)};
out:
    return status;
}

static void tell_noise(const struct noise_figures *f, const char *table,
                       struct gr_private_audit *out) {
    gr_private_tell(out, "noise", f->deviation >= f->least && f->worst >= 1,
                    "steps of %s: %.4f of the deviation promised, by chance not below %.4f; of a "
                    "tensor %.3g times what it is by chance not below",
                    table, f->deviation, f->least, f->worst);
}

/* Over the table, and over one row, so that most steps are of no row where rows are drawn. */
gr_status gr_private_check_noise(const struct gr_private_question *question,
                                 struct gr_private_audit *out) {
    struct noise noise;
    struct gr_rows one = *question->rows;
    struct noise_figures first, second;
    double *squares = NULL;
    const size_t n_tensors = gr_model_layout(question->model)->n_tensors;
    gr_status status;
    one.n_rows = 1;
    GR_TRY(create_noise(question, &noise));
    GR_TRY(gr_allocate_zero(2 * n_tensors, sizeof *squares, "an audit", &squares));
    GR_TRY(measure(&noise, question->rows, false, squares, &first));
    GR_TRY(measure(&noise, &one, true, squares + n_tensors, &second));
    tell_noise(&first, "all rows", out);
    tell_noise(&second, "one row", out);
    const double step = fmax(fabs(first.successive), fabs(second.successive)),
                 secret = fabs(second.restarted);
    gr_private_tell(out, "fresh noise", step < FAR && secret < FAR,
                    "correlated with that of the step before by %.2g, after a restart by %.2g "
                    "standard deviations of chance; allowed %g",
                    step, secret, FAR);
out:
    release_noise(&noise);
    gr_free(squares);
    return status;
}

/* ---- a row more ----------------------------------------------------------------------------- */

enum { TABLES = 16, TABLE_STEPS_MAX = 512 };

struct share {
    const struct gr_private_question *question;
    size_t size;
    size_t steps, moved;   /* of all tables; in which the row has moved the sum */
    double expected;       /* of them */
    double furthest;       /* in units of the clip norm */
    float *with, *without; /* owned */
};

/* The share of the last row: the same secret over the table with it and without it. */
static gr_status compare(struct share *share, const struct gr_privacy_config *config, size_t n) {
    const struct gr_private_question *question = share->question;
    const double scale = config->expected_batch / config->clip_norm;
    const size_t steps = (size_t)fmin(ceil(4 / question->sampling), TABLE_STEPS_MAX);
    struct gr_rows rows = *question->rows, fewer = *question->rows;
    struct gr_private_steps *a = NULL, *b = NULL;
    unsigned char secret[GR_SECRET_BYTES];
    gr_status status;
    rows.n_rows = n;
    fewer.n_rows = n - 1;
    GR_TRY(gr_private_steps_create(config, question->model, &a));
    GR_TRY(gr_private_steps_create(config, question->model, &b));
    gr_secret_make(secret);
    gr_private_steps_start(a, secret);
    gr_private_steps_start(b, secret);
    for (size_t s = 0; s < steps; s++) {
        double square = 0, all = 0;
        GR_TRY(gr_private_steps_gradient(a, question->parameters, &rows, NULL, NULL, share->with));
        GR_TRY(
            gr_private_steps_gradient(b, question->parameters, &fewer, NULL, NULL, share->without));
        for (size_t i = 0; i < share->size; i++) {
            const double x = (double)share->with[i], y = (double)share->without[i];
            square += (x - y) * (x - y);
            all += x * x;
        }
        share->moved += square > 0;
        /* Gradients are in float32: of the noised sum 2^-23 are lost in the difference. */
        share->furthest = fmax(share->furthest, scale * (sqrt(square) - 0x1p-23 * sqrt(all)));
    }
    share->steps += steps;
    share->expected += (double)steps * question->sampling;
out:
    gr_private_steps_free(a);
    gr_private_steps_free(b);
    return status;
}

/*
 * Tables of two rows to all of them. Every second one with a clip norm 1,024 times as small, so
 * that rows are cut whose gradients are short by themselves.
 */
gr_status gr_private_check_rows(const struct gr_private_question *question,
                                struct gr_private_audit *out) {
    struct share share = {.question = question, .size = gr_model_layout(question->model)->size};
    const size_t n = question->rows->n_rows;
    gr_status status;
    GR_TRY(gr_allocate(share.size, sizeof(float), "an audit", &share.with));
    GR_TRY(gr_allocate(share.size, sizeof(float), "an audit", &share.without));
    for (size_t t = 0; t < TABLES && n > 1; t++) {
        struct gr_privacy_config config = *question->privacy;
        if (t % 2 == 1) config.clip_norm /= 1024;
        const double rows = pow((double)n / 2, (double)t / (TABLES - 1)) * 2;
        GR_TRY(compare(&share, &config, rows < (double)n ? (size_t)rows : n));
    }
    gr_private_tell(out, "sensitivity", share.furthest <= GR_PRIVATE_SENSITIVITY,
                    "a row moves a sum by %.4f of clip_norm, the most over %zu steps; allowed %g",
                    share.furthest, share.steps, GR_PRIVATE_SENSITIVITY);
    const double deviation = sqrt(share.expected * (1 - question->sampling));
    gr_private_tell(
        out, "draws", (double)share.moved <= share.expected + FAR * deviation + 1,
        "a row moves %zu of %zu sums; at most %.1f and by chance %.1f more are expected",
        share.moved, share.steps, share.expected, FAR * deviation + 1);
out:
    gr_free(share.with);
    gr_free(share.without);
    return status;
}

/* ---- rounding ------------------------------------------------------------------------------- */

/* Fractions of 2^-12 of a step, of either sign, in an order that is no order. Without a bias the
 * errors add up to nothing. */
gr_status gr_private_check_rounding(const struct gr_private_question *question,
                                    struct gr_private_audit *out) {
    enum { N = 1 << 13, HALF = N / 2 };
    float exact[N];
    int64_t rounded[N] = {0};
    double bias = 0, furthest = 0;
    (void)question;
    for (int i = 0; i < N; i++)
        exact[i] = (float)((i * 2741) % N - HALF) / 4096.0f * 3;
    gr_round_to_grid(exact, 1, rounded, N);
    for (int i = 0; i < N; i++) {
        const double error = (double)rounded[i] - (double)exact[i];
        bias += error / N;
        furthest = fmax(furthest, fabs(error));
    }
    gr_private_tell(out, "rounding", furthest <= 0.5 && fabs(bias) < 1e-3,
                    "to the grid: off by %.4g steps at most and by %.2g in the mean; allowed 0.5, "
                    "0.001",
                    furthest, bias);
    return GR_OK;
}
