/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local training rate: an MLP 784-200-200-10, or McMahan's CNN (5x5x32, pool, 5x5x64, pool, 512),
 * over made-up images of Fashion-MNIST's size.
 *
 *   bench_train BATCH PASSES float32|bfloat16 [mlp|cnn]
 *
 * prints samples per second of processor time, after one pass to warm up. The images are random
 * bytes, half of them zero as in Fashion-MNIST. analysis/bench_train.sh takes it in turn with
 * PyTorch.
 */
#include <granary/train.h>

#include <gsl/gsl_rng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 7500, ROWS_CNN = 1600, SIDE = 28, FEATURES = SIDE * SIDE, CLASSES = 10 };

static gr_status make_silo(struct gr_silo *silo, size_t n_rows) {
    struct gr_rows *rows = &silo->train;
    gsl_rng *stream = NULL;
    gr_status status;
    *silo = (struct gr_silo){.pseudonym = "silo-000"};
    *rows = (struct gr_rows){.n_rows = n_rows,
                             .n_features = FEATURES,
                             .element = GR_ELEMENT_UINT8,
                             .scale = 1.0f / 255.0f};
    GR_TRY(gr_allocate(n_rows, FEATURES, "images", &rows->features));
    GR_TRY(gr_allocate(n_rows, sizeof *rows->labels, "labels", &rows->labels));
    GR_TRY(
        gr_stream_create((struct gr_stream_key){.seed = 1, .purpose = GR_PURPOSE_TEST}, &stream));
    for (size_t i = 0; i < n_rows * FEATURES; i++) {
        const unsigned long draw = gsl_rng_uniform_int(stream, 512);
        ((uint8_t *)rows->features)[i] = draw < 256 ? (uint8_t)draw : 0;
    }
    for (size_t i = 0; i < n_rows; i++)
        rows->labels[i] = (int32_t)gsl_rng_uniform_int(stream, CLASSES);
out:
    gsl_rng_free(stream);
    return status;
}

/* McMahan's. */
#define STANDARD .activation = GR_ACTIVATION_DEFAULT
static struct gr_layer_config layers[] = {
    {.type = GR_LAYER_CONV, .filters = 32, .kernel = 5, .padding = GR_PADDING_SAME, STANDARD},
    {.type = GR_LAYER_MAX_POOL, .kernel = 2, STANDARD},
    {.type = GR_LAYER_CONV, .filters = 64, .kernel = 5, .padding = GR_PADDING_SAME, STANDARD},
    {.type = GR_LAYER_MAX_POOL, .kernel = 2, STANDARD},
    {.type = GR_LAYER_DENSE, .width = 512, STANDARD},
};

static gr_status measure(uint32_t batch, uint32_t passes, enum gr_compute compute, bool cnn,
                         double *rate) {
    uint32_t hidden[] = {200, 200};
    const struct gr_model_config shape = {.type = cnn ? GR_MODEL_CNN : GR_MODEL_MLP,
                                          .hidden = hidden,
                                          .hidden_count = 2,
                                          .layers = layers,
                                          .layers_count = sizeof layers / sizeof *layers,
                                          .compute = compute};
    const struct gr_row_shape row = {2, {SIDE, SIDE}};
    const size_t n_rows = cnn ? ROWS_CNN : ROWS;
    struct gr_train_config config = {.learning_rate = 0.05, .batch_size = batch, .epochs = 1};
    struct gr_silo silo = {0};
    struct gr_model *model = NULL;
    struct gr_trainer *trainer = NULL;
    struct gr_train_result result;
    float *parameters = NULL, *update = NULL;
    gr_status status;
    GR_TRY(make_silo(&silo, n_rows));
    GR_TRY(gr_model_create_shaped(&shape, &row, NULL, CLASSES, batch, &model));
    GR_TRY(gr_trainer_create(&config, 1, model, &trainer));
    const size_t size = gr_model_layout(model)->size;
    GR_TRY(gr_allocate(size, sizeof(float), "parameters", &parameters));
    GR_TRY(gr_allocate(size, sizeof(float), "an update", &update));
    GR_TRY(gr_model_initialise(model, 1, parameters));
    GR_TRY(gr_train_silo(trainer, &silo, 1, parameters, update, NULL, NULL, &result));
    const double start = gr_clock_cpu_seconds();
    for (uint32_t pass = 0; pass < passes; pass++)
        GR_TRY(gr_train_silo(trainer, &silo, 2 + pass, parameters, update, NULL, NULL, &result));
    *rate = passes * (double)n_rows / (gr_clock_cpu_seconds() - start);
out:
    gr_free(update);
    gr_free(parameters);
    gr_trainer_free(trainer);
    gr_model_free(model);
    gr_rows_release(&silo.train);
    return status;
}

int main(int argc, char **argv) {
    const bool counts = argc == 4 || argc == 5, cnn = argc == 5 && strcmp(argv[4], "cnn") == 0;
    const int batch = counts ? atoi(argv[1]) : 0, passes = counts ? atoi(argv[2]) : 0;
    double rate;
    if (batch < 1 || passes < 1) {
        fprintf(stderr, "usage: bench_train BATCH PASSES float32|bfloat16 [mlp|cnn]\n");
        return GR_ERROR_USAGE;
    }
    const enum gr_compute compute =
        strcmp(argv[3], "bfloat16") == 0 ? GR_COMPUTE_BFLOAT16 : GR_COMPUTE_FLOAT32;
    gr_status status = gr_base_start();
    if (status == GR_OK) status = measure((uint32_t)batch, (uint32_t)passes, compute, cnn, &rate);
    if (status != GR_OK) {
        fprintf(stderr, "bench_train: %s\n", gr_message());
        return (int)status;
    }
    printf("%.0f\n", rate);
    return 0;
}
