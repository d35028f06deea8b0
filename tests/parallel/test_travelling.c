/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sum of some of a model's tensors: the same bits as if the others were not in the model, in all
 * encodings and as a combination; messages name the tensor; and the server's step leaves the others
 * as they were.
 *
 * ranks: 1 2 3
 */
#include <math.h>
#include <stdlib.h>

#include "federation/internal.h"
#include "parallel.h"

enum { SILOS = 4, TENSORS = 5 };

/* Blocks of the grid begin elsewhere than in the whole; the second and the last stay at home. */
static const size_t sizes[TENSORS] = {4999, 7001, 33, 9000, 12};
static const uint8_t chosen[TENSORS] = {1, 0, 1, 1, 0};

struct travel {
    struct gr_layout whole, alone; /* alone: a model that has the chosen ones only */
    struct gr_sublayout sub;
    float *update[SILOS], *of_alone[SILOS], *left[SILOS];
    float *mean, *expected;
};

static float value(size_t silo, size_t tensor, size_t i) {
    return (float)(sin((double)(i * (silo + 2) + tensor)) * pow(10, (double)tensor - 3));
}

static int travel_create(struct travel *t) {
    int bad = 0;
    *t = (struct travel){0};
    for (size_t i = 0; i < TENSORS; i++) {
        const char name[] = {(char)('a' + i), 0};
        EXPECT(gr_layout_append(&t->whole, name, 1, &sizes[i]) == GR_OK);
        if (chosen[i]) EXPECT(gr_layout_append(&t->alone, name, 1, &sizes[i]) == GR_OK);
    }
    EXPECT(gr_sublayout_create(&t->whole, chosen, &t->sub) == GR_OK);
    EXPECT(gr_layout_equal(&t->sub.layout, &t->alone));
    const size_t size = t->whole.size;
    EXPECT(gr_allocate_zero(size, sizeof(float), "mean", &t->mean) == GR_OK);
    EXPECT(gr_allocate_zero(size, sizeof(float), "mean", &t->expected) == GR_OK);
    for (size_t s = 0; s < SILOS; s++) {
        EXPECT(gr_allocate_zero(size, sizeof(float), "update", &t->update[s]) == GR_OK);
        EXPECT(gr_allocate_zero(size, sizeof(float), "update", &t->of_alone[s]) == GR_OK);
        EXPECT(gr_allocate_zero(size, sizeof(float), "left", &t->left[s]) == GR_OK);
        size_t k = 0;
        for (size_t i = 0; i < TENSORS; i++) {
            for (size_t e = 0; e < sizes[i]; e++)
                t->update[s][t->whole.tensors[i].offset + e] = value(s, i, e);
            if (!chosen[i]) continue;
            const size_t at = t->alone.tensors[k++].offset;
            for (size_t e = 0; e < sizes[i]; e++)
                t->of_alone[s][at + e] = value(s, i, e);
        }
        gr_sublayout_pack(&t->sub, t->update[s]);
    }
    return bad;
}

static void travel_release(struct travel *t) {
    for (size_t s = 0; s < SILOS; s++) {
        gr_free(t->update[s]);
        gr_free(t->of_alone[s]);
        gr_free(t->left[s]);
    }
    gr_free(t->mean);
    gr_free(t->expected);
    gr_sublayout_release(&t->sub);
    gr_layout_release(&t->whole);
    gr_layout_release(&t->alone);
}

static size_t contribute(struct gr_comm *comm, const struct travel *t, float *const *update,
                         struct gr_contribution mine[SILOS]) {
    size_t n = 0;
    for (uint32_t s = 0; s < SILOS; s++)
        if ((int)s % gr_comm_size(comm) == gr_comm_rank(comm))
            mine[n++] = (struct gr_contribution){
                .update = update[s],
                .silo = s,
                .weight = 2.5 * s + 1,
                .pseudonym = "silo",
                .left = t->left[s],
                .rounding = {.seed = 3, .silo = s, .round = 1, .purpose = GR_PURPOSE_ROUNDING}};
    return n;
}

static int others_alone(struct gr_comm *comm) {
    static const enum gr_encoding encodings[] = {GR_ENCODING_RING64, GR_ENCODING_RING32,
                                                 GR_ENCODING_RING16, GR_ENCODING_FLOAT32};
    int bad = 0;
    for (int c = 0; c < 5; c++) {
        struct travel t;
        struct gr_contribution mine[SILOS];
        struct gr_aggregator *part = NULL, *alone = NULL;
        struct gr_aggregator_options options = {.encoding = encodings[c % 4]};
        uint64_t examples;
        if (c == 4) options.combination.combine = gr_strategy_find("median")->combine;
        bad += travel_create(&t);
        EXPECT(gr_aggregator_create_with(comm, &t.alone, &options, &alone) == GR_OK);
        EXPECT(gr_aggregate(alone, mine, contribute(comm, &t, t.of_alone, mine), SILOS, t.expected,
                            &examples) == GR_OK);
        EXPECT(gr_aggregator_create_with(comm, &t.sub.layout, &options, &part) == GR_OK);
        EXPECT(gr_aggregate(part, mine, contribute(comm, &t, t.update, mine), SILOS, t.mean,
                            &examples) == GR_OK);
        EXPECT(memcmp(t.mean, t.expected, t.alone.size * sizeof *t.mean) == 0);
        /* Element 8 of the last one that travels, which is tensor d. */
        t.update[2][t.sub.layout.tensors[2].offset + 8] = NAN;
        EXPECT_EQUAL(gr_aggregate(part, mine, contribute(comm, &t, t.update, mine), SILOS, t.mean,
                                  &examples),
                     GR_ERROR_DATA);
        EXPECT(strstr(gr_message(), "silo: update of d, element 8"));
        gr_aggregator_free(part);
        gr_aggregator_free(alone);
        travel_release(&t);
    }
    return bad;
}

/* The server's parameters and state, element by element, against one step over the packed mean. */
static int others_stay(struct gr_comm *comm) {
    static const char yaml[] = "run: {name: t, rounds: 1}\n"
                               "data: {source: synthetic, silos: 4}\n"
                               "model: {type: mlp, hidden: [70]}\n"
                               "train: {learning_rate: 0.1, batch_size: 1}\n"
                               "strategy: {name: fedadam}\n";
    static const uint8_t travel[] = {1, 0, 0, 1};
    int bad = 0;
    struct gr_config *config = NULL;
    struct gr_model *model = NULL;
    struct gr_server *server = NULL;
    struct gr_aggregator *aggregator = NULL;
    struct gr_sublayout sub;
    struct gr_roster roster;
    float *update, *mean, *before, *packed, *state[2];
    uint64_t examples;
    EXPECT(gr_config_parse("t", yaml, strlen(yaml), NULL, 0, &config) == GR_OK);
    EXPECT(gr_model_create(&config->model, 90, 10, 1, &model) == GR_OK);
    EXPECT(gr_server_create(config, model, &server) == GR_OK);
    EXPECT(gr_roster_create(4, &roster) == GR_OK);
    const struct gr_layout *layout = gr_model_layout(model);
    EXPECT_EQUAL(layout->n_tensors, 4);
    EXPECT(gr_sublayout_create(layout, travel, &sub) == GR_OK);
    float **vectors[] = {&update, &mean, &before, &packed, &state[0], &state[1]};
    for (size_t i = 0; i < 6; i++)
        EXPECT(gr_allocate_zero(layout->size, sizeof(float), "vector", vectors[i]) == GR_OK);
    for (size_t i = 0; i < layout->size; i++)
        update[i] = (float)cos((double)i);
    gr_sublayout_pack(&sub, update);
    memcpy(before, gr_server_parameters(server), layout->size * sizeof *before);
    memcpy(packed, before, layout->size * sizeof *before);
    memcpy(state[1], gr_server_vectors(server)[1], layout->size * sizeof *before);
    gr_sublayout_pack(&sub, packed);
    EXPECT(gr_aggregator_create(comm, &sub.layout, GR_ENCODING_RING32, &aggregator) == GR_OK);
    const struct gr_contribution mine = {
        .update = update, .silo = (uint32_t)gr_comm_rank(comm), .weight = 3, .pseudonym = "silo"};
    const uint32_t n = (uint32_t)gr_comm_size(comm);
    EXPECT(gr_aggregate(aggregator, &mine, 1, n, mean, &examples) == GR_OK);
    roster.n_members = n;
    const struct gr_server_step step = {.n = sub.layout.size,
                                        .parameters = packed,
                                        .mean = {mean},
                                        .server = {state[0], state[1]},
                                        .share = n / 4.0};
    gr_strategy_find("fedadam")->step(&config->strategy, &step);
    EXPECT(gr_aggregate_total(aggregator, &mine, 1, n) == GR_OK);
    double squares = 0, expected = 0;
    gr_server_step(server, aggregator, &sub, &roster, 4, &squares);
    gr_sublayout_pack(&sub, gr_server_vectors(server)[0]);
    EXPECT(memcmp(gr_server_vectors(server)[0], state[0], sub.layout.size * sizeof(float)) == 0);
    float *after = gr_server_parameters(server);
    for (size_t i = 1; i < 3; i++)
        EXPECT(memcmp(after + layout->tensors[i].offset, before + layout->tensors[i].offset,
                      layout->tensors[i].n_elements * sizeof *after) == 0);
    gr_sublayout_pack(&sub, after);
    EXPECT(memcmp(after, packed, sub.layout.size * sizeof *after) == 0);
    EXPECT(memcmp(after, before, sizes[0] * sizeof *after) != 0);
    for (size_t i = 0; i < sub.layout.size; i++)
        expected += (double)mean[i] * (double)mean[i];
    EXPECT(squares == expected);
    EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
    for (size_t i = 0; i < 6; i++)
        gr_free(*vectors[i]);
    gr_aggregator_free(aggregator);
    gr_roster_release(&roster);
    gr_sublayout_release(&sub);
    gr_server_free(server);
    gr_model_free(model);
    gr_config_free(config);
    return bad;
}

PARALLEL_MAIN({"as if the others were not there", others_alone}, {"others stay", others_stay})
