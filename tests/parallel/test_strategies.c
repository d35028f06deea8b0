/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three rounds of each strategy of the sum kind on five silos, from local training over the sum in
 * the ring to the server's step, against NumPy (strategy_reference.h).
 *
 * ranks: 1 2 3 5
 */
#include "parallel.h"
#include "strategy_reference.h"

#include <granary/federation.h>
#include <granary/model.h>
#include <granary/train.h>
#include <math.h>

enum { SILOS = 5, FEATURES = 3, CLASSES = 3, ROWS_MAX = 12, ROUNDS = 3 };

static const size_t rows_of[SILOS] = {4, 9, 6, 5, 12};

struct bench {
    struct gr_model *model;
    struct gr_trainer *trainer;
    struct gr_aggregator *aggregator;
    size_t size;
    float *parameters, *mean, *server[GR_SERVER_VECTORS_MAX], *update[SILOS];
    float features[SILOS][ROWS_MAX * FEATURES];
    int32_t labels[SILOS][ROWS_MAX];
    struct gr_silo silo[SILOS];
};

static gr_status make_bench(struct gr_comm *comm, const struct gr_train_config *train,
                            struct bench *b) {
    static uint32_t hidden = 4;
    const struct gr_model_config mlp = {.type = GR_MODEL_MLP,
                                        .hidden = &hidden,
                                        .hidden_count = 1,
                                        .activation = GR_ACTIVATION_TANH};
    gr_status status;
    GR_TRY(gr_model_create(&mlp, FEATURES, CLASSES, ROWS_MAX, &b->model));
    GR_TRY(gr_trainer_create(train, 1, b->model, &b->trainer));
    const struct gr_layout *layout = gr_model_layout(b->model);
    b->size = layout->size;
    GR_TRY(gr_aggregator_create(comm, layout, GR_ENCODING_RING32, &b->aggregator));
    GR_TRY(gr_allocate_zero(b->size, sizeof(float), "a model", &b->parameters));
    GR_TRY(gr_allocate_zero(b->size, sizeof(float), "a mean", &b->mean));
    for (size_t i = 0; i < GR_SERVER_VECTORS_MAX; i++)
        GR_TRY(gr_allocate_zero(b->size, sizeof(float), "server state", &b->server[i]));
    for (size_t s = 0; s < SILOS; s++) {
        GR_TRY(gr_allocate_zero(b->size, sizeof(float), "an update", &b->update[s]));
        for (size_t i = 0; i < rows_of[s] * FEATURES; i++)
            b->features[s][i] = (float)cos(0.7 * (double)i + (double)s);
        for (size_t i = 0; i < rows_of[s]; i++)
            b->labels[s][i] = (int32_t)((i + s) % CLASSES);
        b->silo[s] = (struct gr_silo){.id = (uint32_t)s, .pseudonym = "silo"};
        b->silo[s].train = (struct gr_rows){.n_rows = rows_of[s],
                                            .n_features = FEATURES,
                                            .element = GR_ELEMENT_FLOAT32,
                                            .scale = 1,
                                            .features = b->features[s],
                                            .labels = b->labels[s]};
    }
out:
    return status;
}

static void free_bench(struct bench *b) {
    for (size_t s = 0; s < SILOS; s++)
        gr_free(b->update[s]);
    for (size_t i = 0; i < GR_SERVER_VECTORS_MAX; i++)
        gr_free(b->server[i]);
    gr_free(b->mean);
    gr_free(b->parameters);
    gr_aggregator_free(b->aggregator);
    gr_trainer_free(b->trainer);
    gr_model_free(b->model);
}

/* Parameter number `at` of the model, in the order of its tensors. */
static float *parameter(const struct bench *b, size_t at) {
    const struct gr_layout *layout = gr_model_layout(b->model);
    size_t t = 0;
    for (; at >= layout->tensors[t].n_elements; t++)
        at -= layout->tensors[t].n_elements;
    return b->parameters + layout->tensors[t].offset + at;
}

/* One round: silos are dealt to ranks. */
static gr_status take_round(struct gr_comm *comm, struct bench *b,
                            const struct gr_strategy *strategy,
                            const struct gr_strategy_config *config, uint32_t round) {
    gr_status status = GR_OK;
    struct gr_contribution contribution[SILOS];
    struct gr_train_result result;
    uint64_t weight;
    size_t n = 0;
    for (size_t s = (size_t)gr_comm_rank(comm); s < SILOS; s += (size_t)gr_comm_size(comm), n++) {
        GR_TRY((strategy->full_gradient ? gr_train_full_gradient : gr_train_silo)(
            b->trainer, &b->silo[s], round, b->parameters, b->update[n], NULL, NULL, &result));
        contribution[n] = (struct gr_contribution){
            .update = b->update[n], .weight = result.examples, .pseudonym = "silo"};
    }
    GR_TRY(gr_aggregate(b->aggregator, contribution, n, SILOS, b->mean, &weight));
    strategy->step(config, b->parameters, b->mean, b->server, b->size);
out:
    return status;
}

static int compare(struct gr_comm *comm, enum gr_strategy_name name,
                   const struct gr_strategy_config *config, double mu, const double *expected,
                   size_t n) {
    int bad = 0;
    struct bench b = {0};
    const struct gr_strategy *strategy = gr_strategy_find(name);
    const struct gr_train_config train = {.learning_rate = 0.2,
                                          .weight_decay = 0.01,
                                          .proximal_mu = mu,
                                          .batch_size = ROWS_MAX,
                                          .epochs = 3};
    EXPECT(make_bench(comm, &train, &b) == GR_OK);
    EXPECT(strcmp(strategy->name, gr_strategy_text(name)) == 0);
    for (size_t i = 0; i < n; i++)
        *parameter(&b, i) = (float)(sin((double)i + 1) / 2);
    if (strategy->start) strategy->start(config, b.server, b.size);
    for (uint32_t round = 1; round <= ROUNDS; round++)
        EXPECT(take_round(comm, &b, strategy, config, round) == GR_OK);
    for (size_t i = 0; i < n; i++) {
        const double off = fabs((double)*parameter(&b, i) - expected[i]);
        if (off <= 1e-6 * fmax(fabs(expected[i]), 0.1)) continue;
        fprintf(stderr, "%s: parameter %zu is %.9g, expected %.9g\n", strategy->name, i,
                (double)*parameter(&b, i), expected[i]);
        bad++;
    }
    free_bench(&b);
    return bad;
}

static const struct gr_strategy_config plain = {.server_learning_rate = 1};
static const struct gr_strategy_config momentum = {.server_learning_rate = 0.5,
                                                   .server_momentum = 0.9};
static const struct gr_strategy_config adaptive = {
    .server_learning_rate = 0.05, .beta1 = 0.8, .beta2 = 0.95, .tau = 0.02};

#define STRATEGY(function, name, config, mu, expected)                                             \
    static int function(struct gr_comm *comm) {                                                    \
        return compare(comm, name, config, mu, expected, sizeof expected / sizeof *expected);      \
    }

STRATEGY(fedavg, GR_STRATEGY_FEDAVG, &plain, 0, numpy_fedavg)
STRATEGY(fedavgm, GR_STRATEGY_FEDAVGM, &momentum, 0, numpy_fedavgm)
STRATEGY(fedsgd, GR_STRATEGY_FEDSGD, &plain, 0, numpy_fedsgd)
STRATEGY(fedprox, GR_STRATEGY_FEDPROX, &plain, 0.7, numpy_fedprox)
STRATEGY(fedadagrad, GR_STRATEGY_FEDADAGRAD, &adaptive, 0, numpy_fedadagrad)
STRATEGY(fedadam, GR_STRATEGY_FEDADAM, &adaptive, 0, numpy_fedadam)
STRATEGY(fedyogi, GR_STRATEGY_FEDYOGI, &adaptive, 0, numpy_fedyogi)

PARALLEL_MAIN({"fedavg", fedavg}, {"fedavgm", fedavgm}, {"fedsgd", fedsgd}, {"fedprox", fedprox},
              {"fedadagrad", fedadagrad}, {"fedadam", fedadam}, {"fedyogi", fedyogi})
