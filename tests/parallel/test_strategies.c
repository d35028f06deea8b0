/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three rounds of each strategy on five silos, from local training over the sum in the ring, or the
 * updates side by side, to the server's step, against NumPy and SciPy (strategy_reference.h), and
 * the same bits on any number of ranks.
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
                            const struct gr_strategy *strategy,
                            const struct gr_strategy_config *config, struct bench *b) {
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
    const struct gr_combination combination = {strategy->combine, config};
    if (combination.combine)
        GR_TRY(gr_aggregator_create_combining(comm, layout, &combination, &b->aggregator));
    else
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
        contribution[n] = (struct gr_contribution){.update = b->update[n],
                                                   .silo = (uint32_t)s,
                                                   .weight = (double)result.examples,
                                                   .pseudonym = "silo"};
    }
    GR_TRY(gr_aggregate(b->aggregator, contribution, n, SILOS, b->mean, &weight));
    struct gr_server_step step = {.n = b->size, .parameters = b->parameters, .mean = {b->mean}};
    for (size_t i = 0; i < GR_STRATEGY_SERVER_MAX; i++)
        step.server[i] = b->server[i];
    strategy->step(config, &step);
out:
    return status;
}

/* What is asked for, of one strategy. */
struct task {
    const char *name;
    struct {
        const char *name;
        double value;
    } setting[4];
    double mu; /* of FedProx */
    const double *expected;
    size_t n;
    struct gr_strategy_config config; /* of these settings */
};

static void configure(struct task *task) {
    for (size_t i = 0; i < 4 && task->setting[i].name; i++)
        gr_strategy_set(&task->config, task->setting[i].name, task->setting[i].value);
}

static int take_rounds(struct gr_comm *comm, const struct task *task, struct bench *b) {
    int bad = 0;
    const struct gr_strategy *strategy = gr_strategy_find(task->name);
    const struct gr_train_config train = {.learning_rate = 0.2,
                                          .weight_decay = 0.01,
                                          .decay_biases = true,
                                          .proximal_mu = task->mu,
                                          .batch_size = ROWS_MAX,
                                          .epochs = 3};
    EXPECT(make_bench(comm, &train, strategy, &task->config, b) == GR_OK);
    for (size_t i = 0; i < task->n; i++)
        *parameter(b, i) = (float)(sin((double)i + 1) / 2);
    if (strategy->start) strategy->start(&task->config, b->server, b->size);
    for (uint32_t round = 1; round <= ROUNDS; round++)
        EXPECT(take_round(comm, b, strategy, &task->config, round) == GR_OK);
    return bad;
}

/* Near NumPy's, and to the last bit what one rank finds by itself. */
static int compare(struct gr_comm *comm, const struct task *task) {
    struct bench b = {0}, alone = {0};
    struct gr_comm *self = NULL;
    const struct gr_comm_options options = {0};
    int bad = take_rounds(comm, task, &b);
    EXPECT(gr_comm_create(MPI_COMM_SELF, &options, &self) == GR_OK);
    bad += take_rounds(self, task, &alone);
    EXPECT(memcmp(b.parameters, alone.parameters, b.size * sizeof *b.parameters) == 0);
    for (size_t i = 0; i < GR_SERVER_VECTORS_MAX; i++)
        EXPECT(memcmp(b.server[i], alone.server[i], b.size * sizeof *b.server[i]) == 0);
    for (size_t i = 0; i < task->n; i++) {
        const double found = (double)*parameter(&b, i), expected = task->expected[i];
        if (fabs(found - expected) <= 1e-6 * fmax(fabs(expected), 0.1)) continue;
        fprintf(stderr, "%s: parameter %zu is %.9g, expected %.9g\n", task->name, i, found,
                expected);
        bad++;
    }
    free_bench(&alone);
    free_bench(&b);
    gr_comm_free(self);
    return bad;
}

#define PLAIN                                                                                      \
    {                                                                                              \
        { "server_learning_rate", 1 }                                                              \
    }
#define MOMENTUM                                                                                   \
    {                                                                                              \
        {"server_learning_rate", 0.5}, {                                                           \
            "server_momentum", 0.9                                                                 \
        }                                                                                          \
    }
#define ADAPTIVE                                                                                   \
    {                                                                                              \
        {"server_learning_rate", 0.05}, {"beta1", 0.8}, {"beta2", 0.95}, {                         \
            "tau", 0.02                                                                            \
        }                                                                                          \
    }
#define TRIMMED                                                                                    \
    {                                                                                              \
        {"server_learning_rate", 1}, {                                                             \
            "trim", 0.25                                                                           \
        }                                                                                          \
    }

#define STRATEGY(strategy, settings, proximal_mu)                                                  \
    static int strategy(struct gr_comm *comm) {                                                    \
        struct task task = {.name = #strategy,                                                     \
                            .setting = settings,                                                   \
                            .mu = proximal_mu,                                                     \
                            .expected = numpy_##strategy,                                          \
                            .n = sizeof numpy_##strategy / sizeof *numpy_##strategy};              \
        configure(&task);                                                                          \
        return compare(comm, &task);                                                               \
    }

STRATEGY(fedavg, PLAIN, 0)
STRATEGY(fedavgm, MOMENTUM, 0)
STRATEGY(fedsgd, PLAIN, 0)
STRATEGY(fedprox, PLAIN, 0.7)
STRATEGY(fedadagrad, ADAPTIVE, 0)
STRATEGY(fedadam, ADAPTIVE, 0)
STRATEGY(fedyogi, ADAPTIVE, 0)
STRATEGY(median, PLAIN, 0)
STRATEGY(trimmed_mean, TRIMMED, 0)

PARALLEL_MAIN({"fedavg", fedavg}, {"fedavgm", fedavgm}, {"fedsgd", fedsgd}, {"fedprox", fedprox},
              {"fedadagrad", fedadagrad}, {"fedadam", fedadam}, {"fedyogi", fedyogi},
              {"median", median}, {"trimmed_mean", trimmed_mean})
