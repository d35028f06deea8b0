/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate of local training and of scoring, over made-up rows.
 *
 *   bench_train MODEL train|score BATCH float32|bfloat16 half|full SECONDS
 *
 * prints samples per second of processor time: passes over the rows until SECONDS are used, after
 * one pass to warm up. MODEL is one of `cases` below. half: half of the images' bytes are zero, as
 * in Fashion-MNIST; full: none is; without images it does not matter. score: rows are gathered and
 * scored as `evaluate` and `predict` do it, BATCH at a time (they take 500).
 * analysis/bench_train.sh takes it in turn with PyTorch and scikit-learn.
 */
#include <granary/train.h>

#include <gsl/gsl_rng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 28, CODES = 8 };

/* McMahan's. */
#define STANDARD .activation = GR_ACTIVATION_DEFAULT
static struct gr_layer_config layers[] = {
    {.type = GR_LAYER_CONV, .filters = 32, .kernel = 5, .padding = GR_PADDING_SAME, STANDARD},
    {.type = GR_LAYER_MAX_POOL, .kernel = 2, STANDARD},
    {.type = GR_LAYER_CONV, .filters = 64, .kernel = 5, .padding = GR_PADDING_SAME, STANDARD},
    {.type = GR_LAYER_MAX_POOL, .kernel = 2, STANDARD},
    {.type = GR_LAYER_DENSE, .width = 512, STANDARD},
};
static uint32_t wide[] = {200, 200}, narrow[] = {32, 16};

static const struct bench_case {
    const char *name;
    struct gr_model_config model;
    struct gr_row_shape row;
    uint32_t rows, classes;
    uint32_t n_codes, most; /* the first features are codes 0 .. most; a bag's all are ids */
} cases[] = {
    {"mlp",
     {.type = GR_MODEL_MLP, .hidden = wide, .hidden_count = 2},
     {2, {SIDE, SIDE}},
     8192,
     10,
     0,
     0},
    {"cnn",
     {.type = GR_MODEL_CNN, .layers = layers, .layers_count = sizeof layers / sizeof *layers},
     {2, {SIDE, SIDE}},
     1024,
     10,
     0,
     0},
    {"tabular",
     {.type = GR_MODEL_MLP, .hidden = narrow, .hidden_count = 2},
     {1, {20}},
     8192,
     3,
     0,
     0},
    {"softmax", {.type = GR_MODEL_SOFTMAX}, {1, {20}}, 8192, 3, 0, 0},
    {"logistic", {.type = GR_MODEL_LOGISTIC}, {1, {20}}, 8192, 2, 0, 0},
    {"embedding",
     {.type = GR_MODEL_MLP, .hidden = narrow, .hidden_count = 1, .embedding = 16},
     {1, {2 * CODES}},
     8192,
     2,
     CODES,
     1000},
    {"bag",
     {.type = GR_MODEL_BAG, .embedding = 32, .vocabulary = 10000},
     {1, {32}},
     8192,
     2,
     32,
     10000},
};

/* What the command line asks for. */
struct job {
    const struct bench_case *of;
    bool score, full;
    uint32_t batch;
    enum gr_compute compute;
    double seconds;
};

static void fill_images(gsl_rng *stream, bool full, uint8_t *to, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const unsigned long draw = gsl_rng_uniform_int(stream, 512);
        to[i] = full ? (uint8_t)(1 + draw % 255) : draw < 256 ? (uint8_t)draw : 0;
    }
}

static void fill_numbers(gsl_rng *stream, const struct bench_case *of, float *to, size_t columns) {
    for (size_t i = 0; i < of->rows; i++)
        for (size_t c = 0; c < columns; c++)
            to[i * columns + c] = c < of->n_codes
                                      ? (float)gsl_rng_uniform_int(stream, of->most + 1UL)
                                      : 2 * (float)gsl_rng_uniform(stream) - 1;
}

static gr_status make_rows(const struct job *job, struct gr_rows *rows) {
    const bool images = job->of->row.n_dims == 2;
    const size_t n = job->of->rows, columns = job->of->row.dims[0] * (images ? SIDE : 1);
    gsl_rng *stream = NULL;
    gr_status status;
    *rows = (struct gr_rows){.n_rows = n,
                             .n_features = columns,
                             .element = images ? GR_ELEMENT_UINT8 : GR_ELEMENT_FLOAT32,
                             .scale = images ? 1.0f / 255.0f : 1};
    GR_TRY(gr_allocate(n * columns, images ? 1 : sizeof(float), "features", &rows->features));
    GR_TRY(gr_allocate(n, sizeof *rows->labels, "labels", &rows->labels));
    GR_TRY(
        gr_stream_create((struct gr_stream_key){.seed = 1, .purpose = GR_PURPOSE_TEST}, &stream));
    if (images)
        fill_images(stream, job->full, rows->features, n * columns);
    else
        fill_numbers(stream, job->of, rows->features, columns);
    for (size_t i = 0; i < n; i++)
        rows->labels[i] = (int32_t)gsl_rng_uniform_int(stream, job->of->classes);
out:
    gsl_rng_free(stream);
    return status;
}

static gr_status make_model(const struct job *job, struct gr_model **out) {
    struct gr_code list[CODES];
    const struct gr_codes codes = {CODES, list};
    struct gr_model_config config = job->of->model;
    config.compute = job->compute;
    for (uint32_t c = 0; c < CODES; c++)
        list[c] = (struct gr_code){c, job->of->most};
    return gr_model_create_shaped(&config, &job->of->row, job->of->n_codes == CODES ? &codes : NULL,
                                  job->of->classes, job->batch, out);
}

static gr_status score_all(struct gr_model *model, const float *parameters,
                           const struct gr_rows *rows, size_t batch) {
    gr_status status = GR_OK;
    for (size_t first = 0; first < rows->n_rows; first += batch) {
        const size_t left = rows->n_rows - first, n = left < batch ? left : batch;
        double loss;
        size_t correct;
        gr_rows_gather(rows, NULL, first, n, gr_model_batch_features(model),
                       gr_model_batch_labels(model), gr_model_batch_targets(model));
        GR_TRY(gr_model_score(model, parameters, n, &loss, &correct));
    }
out:
    return status;
}

/* Passes as rounds of one silo, each from the same parameters. */
static gr_status measure(const struct job *job, double *rate) {
    const struct gr_train_config config = {
        .learning_rate = 0.05, .batch_size = job->batch, .epochs = 1};
    struct gr_silo silo = {.pseudonym = "silo-000"};
    struct gr_model *model = NULL;
    struct gr_trainer *trainer = NULL;
    struct gr_train_result result;
    float *parameters = NULL, *update = NULL;
    double start = 0, used = 0;
    gr_status status;
    GR_TRY(make_rows(job, &silo.train));
    GR_TRY(make_model(job, &model));
    GR_TRY(gr_trainer_create(&config, 1, model, &trainer));
    const size_t size = gr_model_layout(model)->size;
    GR_TRY(gr_allocate(size, sizeof(float), "parameters", &parameters));
    GR_TRY(gr_allocate(size, sizeof(float), "an update", &update));
    GR_TRY(gr_model_initialise(model, 1, parameters));
    for (uint32_t pass = 0; pass < 2 || used < job->seconds; pass++) {
        if (job->score)
            GR_TRY(score_all(model, parameters, &silo.train, job->batch));
        else
            GR_TRY(
                gr_train_silo(trainer, &silo, 1 + pass, parameters, update, NULL, NULL, &result));
        if (pass == 0) start = gr_clock_cpu_seconds();
        used = gr_clock_cpu_seconds() - start;
        *rate = pass * (double)silo.train.n_rows / used;
    }
out:
    gr_free(update);
    gr_free(parameters);
    gr_trainer_free(trainer);
    gr_model_free(model);
    gr_rows_release(&silo.train);
    return status;
}

static bool read_job(int argc, char **argv, struct job *job) {
    *job = (struct job){0};
    if (argc != 7) return false;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(argv[1], cases[i].name) == 0) job->of = &cases[i];
    job->score = strcmp(argv[2], "score") == 0;
    job->batch = (uint32_t)strtoul(argv[3], NULL, 10);
    job->compute = strcmp(argv[4], "bfloat16") == 0 ? GR_COMPUTE_BFLOAT16 : GR_COMPUTE_FLOAT32;
    job->full = strcmp(argv[5], "full") == 0;
    job->seconds = strtod(argv[6], NULL);
    return job->of && job->batch > 0 && job->seconds > 0;
}

int main(int argc, char **argv) {
    struct job job;
    double rate = 0;
    if (!read_job(argc, argv, &job)) {
        fprintf(stderr, "usage: bench_train MODEL train|score BATCH float32|bfloat16 half|full "
                        "SECONDS\n");
        return GR_ERROR_USAGE;
    }
    gr_status status = gr_base_start();
    if (status == GR_OK) status = measure(&job, &rate);
    if (status != GR_OK) {
        fprintf(stderr, "bench_train: %s\n", gr_message());
        return (int)status;
    }
    printf("%.0f\n", rate);
    return 0;
}
