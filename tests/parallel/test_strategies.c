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

/* Where silos are uneven: their local steps, and who takes part in which round. */
enum { STEPS_MAX = 3 };
static const double RATE = 0.2;
static const uint32_t steps_of[SILOS] = {1, 2, 3, 1, 2};
static const bool drawn[ROUNDS][SILOS] = {{1, 1, 1, 1, 1}, {1, 0, 1, 1, 0}, {0, 1, 1, 0, 1}};

struct bench {
    struct gr_model *model;
    struct gr_trainer *trainer[STEPS_MAX + 1]; /* by local steps */
    struct gr_aggregator *aggregator;
    size_t size;
    float *parameters, *mean, *server[GR_STRATEGY_SERVER_MAX];
    float *sent[SILOS][GR_STRATEGY_SENT_MAX], *kept[SILOS][GR_STRATEGY_KEPT_MAX];
    size_t n_sent;
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
    for (uint32_t steps = 1; steps <= STEPS_MAX; steps++) {
        struct gr_train_config config_of = *train;
        config_of.epochs = steps;
        GR_TRY(gr_trainer_create(&config_of, 1, b->model, &b->trainer[steps]));
    }
    const struct gr_layout *layout = gr_model_layout(b->model);
    b->size = layout->size;
    b->n_sent = strategy->n_sent > 0 ? strategy->n_sent : 1;
    const struct gr_aggregator_options options = {.encoding = GR_ENCODING_RING32,
                                                  .n_vectors = b->n_sent,
                                                  .steps = strategy->sends_steps,
                                                  .combination = {strategy->combine, config}};
    GR_TRY(gr_aggregator_create_with(comm, layout, &options, &b->aggregator));
    GR_TRY(gr_allocate_zero(b->size, sizeof(float), "a model", &b->parameters));
    GR_TRY(gr_allocate_zero(b->n_sent * b->size, sizeof(float), "means", &b->mean));
    for (size_t i = 0; i < GR_STRATEGY_SERVER_MAX; i++)
        GR_TRY(gr_allocate_zero(b->size, sizeof(float), "server state", &b->server[i]));
    for (size_t s = 0; s < SILOS; s++) {
        for (size_t v = 0; v < b->n_sent; v++)
            GR_TRY(gr_allocate_zero(b->size, sizeof(float), "an update", &b->sent[s][v]));
        for (size_t v = 0; v < strategy->n_kept; v++)
            GR_TRY(gr_allocate_zero(b->size, sizeof(float), "what is kept", &b->kept[s][v]));
        for (size_t i = 0; i < rows_of[s] * FEATURES; i++)
            b->features[s][i] = (float)cos(0.7 * (double)i + (double)s);
        for (size_t i = 0; i < rows_of[s]; i++)
            b->labels[s][i] = (int32_t)((i + s) % CLASSES);
        b->silo[s] =
            (struct gr_silo){.id = (uint32_t)s, .stream = (uint32_t)s, .pseudonym = "silo"};
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
        for (size_t v = 0; v < GR_STRATEGY_SENT_MAX; v++)
            gr_free(b->sent[s][v]);
    for (size_t s = 0; s < SILOS; s++)
        for (size_t v = 0; v < GR_STRATEGY_KEPT_MAX; v++)
            gr_free(b->kept[s][v]);
    for (size_t i = 0; i < GR_STRATEGY_SERVER_MAX; i++)
        gr_free(b->server[i]);
    gr_free(b->mean);
    gr_free(b->parameters);
    gr_aggregator_free(b->aggregator);
    for (size_t steps = 0; steps <= STEPS_MAX; steps++)
        gr_trainer_free(b->trainer[steps]);
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

/* What is asked for, of one strategy. */
struct task {
    const char *name;
    struct {
        const char *name;
        double value;
    } setting[4];
    double mu;   /* of FedProx */
    bool uneven; /* steps_of, drawn */
    const double *expected;
    size_t n;
    struct gr_strategy_config config; /* of these settings */
};

static void configure(struct task *task) {
    for (size_t i = 0; i < 4 && task->setting[i].name; i++)
        gr_strategy_set(&task->config, task->setting[i].name, task->setting[i].value);
}

/* A silo's part in a round. */
static gr_status train(struct bench *b, const struct task *task, size_t s, uint32_t round,
                       struct gr_contribution *out) {
    gr_status status = GR_OK;
    struct gr_trainer *trainer = b->trainer[task->uneven ? steps_of[s] : STEPS_MAX];
    const struct gr_strategy *strategy = gr_strategy_find(task->name);
    struct gr_train_result result;
    struct gr_silo_part part = {.config = &task->config,
                                .n = b->size,
                                .learning_rate = RATE,
                                .server = (const float *const *)b->server,
                                .kept = b->kept[s],
                                .sent = b->sent[s]};
    if (strategy->prepare) strategy->prepare(&part);
    gr_trainer_correct(trainer, strategy->corrects ? b->kept[s][0] : NULL);
    GR_TRY((strategy->full_gradient ? gr_train_full_gradient : gr_train_silo)(
        trainer, &b->silo[s], round, b->parameters, b->sent[s][0], NULL, NULL, &result));
    part.steps = result.steps;
    if (strategy->conclude) strategy->conclude(&part);
    *out = (struct gr_contribution){.silo = (uint32_t)s,
                                    .weight = strategy->alike ? 1 : (double)result.examples,
                                    .steps = (double)result.steps,
                                    .pseudonym = "silo"};
    for (size_t v = 0; v < b->n_sent; v++)
        out->vector[v] = b->sent[s][v];
out:
    return status;
}

/* One round: silos are dealt to ranks. */
static gr_status take_round(struct gr_comm *comm, struct bench *b, const struct task *task,
                            uint32_t round) {
    gr_status status = GR_OK;
    struct gr_contribution contribution[SILOS];
    const struct gr_strategy *strategy = gr_strategy_find(task->name);
    uint64_t examples;
    uint32_t members = 0;
    size_t n = 0;
    for (size_t s = 0; s < SILOS; s++) {
        const bool takes_part = !task->uneven || drawn[round - 1][s];
        members += takes_part;
        if (takes_part && (int)s % gr_comm_size(comm) == gr_comm_rank(comm))
            GR_TRY(train(b, task, s, round, &contribution[n++]));
    }
    GR_TRY(gr_aggregate(b->aggregator, contribution, n, members, b->mean, &examples));
    struct gr_server_step step = {.n = b->size,
                                  .parameters = b->parameters,
                                  .share = members / (double)SILOS,
                                  .steps = gr_aggregate_steps(b->aggregator)};
    for (size_t v = 0; v < b->n_sent; v++)
        step.mean[v] = b->mean + v * b->size;
    for (size_t i = 0; i < GR_STRATEGY_SERVER_MAX; i++)
        step.server[i] = b->server[i];
    strategy->step(&task->config, &step);
out:
    return status;
}

static int take_rounds(struct gr_comm *comm, const struct task *task, struct bench *b) {
    int bad = 0;
    const struct gr_strategy *strategy = gr_strategy_find(task->name);
    const struct gr_train_config train_config = {.learning_rate = RATE,
                                                 .weight_decay = 0.01,
                                                 .decay_biases = true,
                                                 .proximal_mu = task->mu,
                                                 .batch_size = ROWS_MAX};
    EXPECT(make_bench(comm, &train_config, strategy, &task->config, b) == GR_OK);
    for (size_t i = 0; i < task->n; i++)
        *parameter(b, i) = (float)(sin((double)i + 1) / 2);
    if (strategy->start) strategy->start(&task->config, b->server, b->size);
    for (uint32_t round = 1; round <= ROUNDS; round++)
        EXPECT(take_round(comm, b, task, round) == GR_OK);
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
    for (size_t i = 0; i < GR_STRATEGY_SERVER_MAX; i++)
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

#define NOVA                                                                                       \
    {                                                                                              \
        { "server_learning_rate", 0.8 }                                                            \
    }
#define SCAFFOLD                                                                                   \
    {                                                                                              \
        { "server_learning_rate", 0.9 }                                                            \
    }

#define STRATEGY(strategy, settings, proximal_mu, is_uneven)                                       \
    static int strategy(struct gr_comm *comm) {                                                    \
        struct task task = {.name = #strategy,                                                     \
                            .setting = settings,                                                   \
                            .mu = proximal_mu,                                                     \
                            .uneven = is_uneven,                                                   \
                            .expected = numpy_##strategy,                                          \
                            .n = sizeof numpy_##strategy / sizeof *numpy_##strategy};              \
        configure(&task);                                                                          \
        return compare(comm, &task);                                                               \
    }

STRATEGY(fedavg, PLAIN, 0, false)
STRATEGY(fedavgm, MOMENTUM, 0, false)
STRATEGY(fedsgd, PLAIN, 0, false)
STRATEGY(fedprox, PLAIN, 0.7, false)
STRATEGY(fedadagrad, ADAPTIVE, 0, false)
STRATEGY(fedadam, ADAPTIVE, 0, false)
STRATEGY(fedyogi, ADAPTIVE, 0, false)
STRATEGY(median, PLAIN, 0, false)
STRATEGY(trimmed_mean, TRIMMED, 0, false)
STRATEGY(fednova, NOVA, 0, true)
STRATEGY(scaffold, SCAFFOLD, 0, true)

PARALLEL_MAIN({"fedavg", fedavg}, {"fedavgm", fedavgm}, {"fedsgd", fedsgd}, {"fedprox", fedprox},
              {"fedadagrad", fedadagrad}, {"fedadam", fedadam}, {"fedyogi", fedyogi},
              {"median", median}, {"trimmed_mean", trimmed_mean}, {"fednova", fednova},
              {"scaffold", scaffold})
