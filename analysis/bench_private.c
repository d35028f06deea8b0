/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a private step costs beside one of plain SGD, over made-up images: rows drawn in secret,
 * clipped sums by groups, rounded to integers, noise, and the step; in turn with plain ones.
 *
 *   bench_private MODEL SECONDS [BATCH...]
 *
 * MODEL: mlp (784-200-200-10) or cnn (McMahan's). A line for each batch, which a private step has
 * in the mean: processor time of a plain and of a private step in milliseconds, the medians of as
 * many of each as take SECONDS; their ratio, also without noise; what sums with their rounding take
 * of the same rows by parts of 64, and noise; and by how much the process has grown since the first
 * private step. Half of the images' bytes are zero, as in Fashion-MNIST.
 */
#include <data/rows.h>
#include <granary/model.h>
#include <privacy/noise.h>
#include <privacy/secret_draw.h>
#include <privacy/sensitivity.h>
#include <train/private_steps.h>
#include <train/private_sum.h>

#include <gsl/gsl_rng.h>
#include <gsl/gsl_sort.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { SIDE = 28, CLASSES = 10, ROWS = 4096, STEPS_MAX = 1000 };

static const double clip_norm = 1, noise_multiplier = 1, rate = 0.05;

#define STANDARD .activation = GR_ACTIVATION_DEFAULT
static struct gr_layer_config layers[] = {
    {.type = GR_LAYER_CONV, .filters = 32, .kernel = 5, .padding = GR_PADDING_SAME, STANDARD},
    {.type = GR_LAYER_MAX_POOL, .kernel = 2, STANDARD},
    {.type = GR_LAYER_CONV, .filters = 64, .kernel = 5, .padding = GR_PADDING_SAME, STANDARD},
    {.type = GR_LAYER_MAX_POOL, .kernel = 2, STANDARD},
    {.type = GR_LAYER_DENSE, .width = 512, STANDARD},
};
static uint32_t hidden[] = {200, 200};
static const struct gr_model_config mlp = {
    .type = GR_MODEL_MLP, .hidden = hidden, .hidden_count = 2};
static const struct gr_model_config cnn = {
    .type = GR_MODEL_CNN, .layers = layers, .layers_count = sizeof layers / sizeof *layers};

struct bench {
    const struct gr_model_config *config;
    double seconds;
    struct gr_rows rows;
    struct gr_model *model;
    struct gr_private_steps *steps;
    struct gr_noise *noise;
    size_t size;
    float *parameters, *sum;
    int64_t *whole;
    unsigned char secret[GR_SECRET_BYTES];
    uint64_t stream;
};

static gr_status make_rows(struct gr_rows *rows) {
    const size_t columns = SIDE * SIDE;
    gsl_rng *stream = NULL;
    uint8_t *bytes;
    gr_status status;
    *rows = (struct gr_rows){
        .n_rows = ROWS, .n_features = columns, .element = GR_ELEMENT_UINT8, .scale = 1.0f / 255.0f};
    GR_TRY(gr_allocate(ROWS, columns, "features", &rows->features));
    GR_TRY(gr_allocate(ROWS, sizeof *rows->labels, "labels", &rows->labels));
    GR_TRY(
        gr_stream_create((struct gr_stream_key){.seed = 1, .purpose = GR_PURPOSE_TEST}, &stream));
    bytes = rows->features;
    for (size_t i = 0; i < ROWS * columns; i++) {
        const unsigned long draw = gsl_rng_uniform_int(stream, 512);
        bytes[i] = draw < 256 ? (uint8_t)draw : 0;
    }
    for (size_t i = 0; i < ROWS; i++)
        rows->labels[i] = (int32_t)gsl_rng_uniform_int(stream, CLASSES);
out:
    gsl_rng_free(stream);
    return status;
}

/* For batches of so many rows, which plain steps take at once and private ones in parts. */
static gr_status make_model(struct bench *b, size_t batch, size_t rows) {
    const struct gr_privacy_config privacy = {.unit = GR_PRIVACY_ROW,
                                              .clip_norm = clip_norm,
                                              .noise_multiplier = noise_multiplier,
                                              .sampling = GR_PRIVATE_SAMPLING_POISSON,
                                              .expected_batch = (uint32_t)batch,
                                              .expected_units = ROWS};
    const struct gr_row_shape row = {2, {SIDE, SIDE}};
    gr_status status;
    gr_private_steps_free(b->steps);
    gr_model_free(b->model);
    b->steps = NULL;
    b->model = NULL;
    GR_TRY(gr_model_create_shaped(b->config, &row, NULL, CLASSES, rows, &b->model));
    GR_TRY(gr_private_steps_create(&privacy, b->model, &b->steps));
    gr_private_steps_start(b->steps, b->secret);
    b->size = gr_model_layout(b->model)->size;
    if (!b->parameters) {
        GR_TRY(gr_allocate_zero(b->size, sizeof(float), "parameters", &b->parameters));
        GR_TRY(gr_allocate_zero(b->size, sizeof(float), "a sum", &b->sum));
        GR_TRY(gr_allocate_zero(b->size, sizeof(int64_t), "a sum", &b->whole));
        GR_TRY(gr_noise_create(noise_multiplier * GR_PRIVATE_SUM_STEPS, &b->noise));
    }
    status = gr_model_initialise(b->model, 1, b->parameters);
out:
    return status;
}

static void gather(struct bench *b, size_t first, size_t n) {
    gr_rows_gather(&b->rows, NULL, first, n, gr_model_batch_features(b->model),
                   gr_model_batch_labels(b->model), gr_model_batch_targets(b->model));
}

static gr_status plain_step(struct bench *b, size_t first, size_t batch) {
    double loss;
    gather(b, first, batch);
    return gr_model_step(b->model, b->parameters, batch, rate, 0, b->sum, &loss);
}

static gr_status private_step(struct bench *b) {
    gr_status status;
    GR_TRY(gr_private_steps_gradient(b->steps, b->parameters, &b->rows, NULL, NULL, b->sum));
    for (size_t i = 0; i < b->size; i++)
        b->parameters[i] -= (float)rate * b->sum[i];
out:
    return status;
}

/* The same rows' sums alone, by whole parts. */
static gr_status sum_parts(struct bench *b, size_t first, size_t batch) {
    gr_status status = GR_OK;
    for (size_t done = 0, n; done < batch; done += n) {
        n = batch - done < GR_CLIP_ROWS_MAX ? batch - done : GR_CLIP_ROWS_MAX;
        gather(b, first + done, n);
        GR_TRY(gr_model_clipped_sum(b->model, b->parameters, n, clip_norm, b->sum));
        gr_round_to_grid(b->sum, GR_PRIVATE_SUM_STEPS / clip_norm, b->whole, b->size);
    }
out:
    return status;
}

/* ---- measuring ------------------------------------------------------------------------------ */

static double peak_mebibytes(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

/* Before anything takes batches of their own size, which plain steps do. */
static gr_status grow(struct bench *b, size_t n_batches, const size_t *batches, double *grown) {
    double least = 0;
    gr_status status = GR_OK;
    for (size_t k = 0; k < n_batches; k++) {
        GR_TRY(make_model(b, batches[k], GR_CLIP_ROWS_MAX));
        GR_TRY(private_step(b));
        if (k == 0) least = peak_mebibytes();
        grown[k] = peak_mebibytes() - least;
    }
out:
    return status;
}

enum part { PLAIN, PRIVATE, SUMS, NOISE, PARTS };

/* One of each, in turn, so that all meet the same disturbances. */
static gr_status take_turns(struct bench *b, size_t step, size_t batch, double seconds[PARTS]) {
    const size_t first = step * batch % (ROWS - batch + 1);
    double at[PARTS + 1];
    gr_status status;
    at[PLAIN] = gr_clock_cpu_seconds();
    GR_TRY(plain_step(b, first, batch));
    at[PRIVATE] = gr_clock_cpu_seconds();
    GR_TRY(private_step(b));
    at[SUMS] = gr_clock_cpu_seconds();
    GR_TRY(sum_parts(b, first, batch));
    at[NOISE] = gr_clock_cpu_seconds();
    gr_noise_add(b->noise, b->secret, b->stream++, b->whole, b->size);
    at[PARTS] = gr_clock_cpu_seconds();
    for (size_t p = 0; p < PARTS; p++)
        seconds[p] = at[p + 1] - at[p];
out:
    return status;
}

static gr_status measure(struct bench *b, size_t batch, double grown) {
    static double each[PARTS][STEPS_MAX];
    double used = 0, turn[PARTS], median[PARTS];
    size_t n = 0;
    gr_status status;
    GR_TRY(make_model(b, batch, batch < GR_CLIP_ROWS_MAX ? GR_CLIP_ROWS_MAX : batch));
    for (size_t step = 0; n < 3 || (used < b->seconds && n < STEPS_MAX); step++) {
        GR_TRY(take_turns(b, step, batch, turn));
        if (step < 2) continue; /* they take memory */
        for (size_t p = 0; p < PARTS; p++)
            each[p][n] = turn[p];
        used += turn[PLAIN] + turn[PRIVATE];
        n++;
    }
    for (size_t p = 0; p < PARTS; p++) {
        gsl_sort(each[p], 1, n);
        median[p] = each[p][n / 2];
    }
    printf("%5zu %9.3f %9.3f %7.2f %14.2f %9.3f %8.3f %8.1f\n", batch, 1e3 * median[PLAIN],
           1e3 * median[PRIVATE], median[PRIVATE] / median[PLAIN],
           (median[PRIVATE] - median[NOISE]) / median[PLAIN], 1e3 * median[SUMS],
           1e3 * median[NOISE], grown);
out:
    return status;
}

static gr_status run(struct bench *b, size_t n_batches, const size_t *batches) {
    double grown[16];
    gr_status status;
    GR_TRY(gr_base_start());
    GR_TRY(make_rows(&b->rows));
    gr_secret_make(b->secret);
    GR_TRY(grow(b, n_batches, batches, grown));
    printf("%s, %zu parameters, milliseconds of processor time a step\n"
           "batch     plain   private   ratio  without noise      sums    noise  MiB more\n",
           b->config == &mlp ? "784-200-200-10" : "McMahan's CNN", b->size);
    for (size_t k = 0; k < n_batches; k++)
        GR_TRY(measure(b, batches[k], grown[k]));
out:
    gr_private_steps_free(b->steps);
    gr_model_free(b->model);
    gr_noise_free(b->noise);
    gr_free(b->parameters);
    gr_free(b->sum);
    gr_free(b->whole);
    gr_rows_release(&b->rows);
    return status;
}

int main(int argc, char **argv) {
    struct bench bench = {.seconds = argc > 2 ? strtod(argv[2], NULL) : 0};
    size_t batches[16] = {16, 64, 256, 1024, 4096}, n = 5;
    if (argc > 1)
        bench.config = !strcmp(argv[1], "mlp") ? &mlp : !strcmp(argv[1], "cnn") ? &cnn : NULL;
    if (argc > 3) n = 0;
    for (int i = 3; i < argc && n < 16; i++)
        batches[n++] = strtoul(argv[i], NULL, 10);
    for (size_t k = 0; k < n; k++)
        if (batches[k] < 1 || batches[k] > ROWS) bench.config = NULL;
    if (!bench.config || !(bench.seconds > 0)) {
        fprintf(stderr, "usage: bench_private mlp|cnn SECONDS [BATCH...], of at most %d rows\n",
                ROWS);
        return GR_ERROR_USAGE;
    }
    const gr_status status = run(&bench, n, batches);
    if (status != GR_OK) fprintf(stderr, "bench_private: %s\n", gr_message());
    return (int)status;
}
