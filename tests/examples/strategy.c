/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strategy of one's own, with a setting of its own: FedAvg whose step moves no parameter by more
 * than `strategy.most` a round. It runs as any other, on any number of ranks, with `strategy.name:
 * bounded` in the config.
 *
 *   mpicc strategy.c $(pkg-config --cflags --libs granary) -o strategy
 *   mpirun -n 2 ./strategy config.yaml DIR
 */
#include <stdio.h>

#include <granary/federation.h>

static const struct gr_strategy_setting most = {
    .name = "most", .standard = "0.1", .above = true, .high = 1000};

static void step(const struct gr_strategy_config *config, const struct gr_server_step *step) {
    const float bound = (float)gr_strategy_get(config, "most");
    for (size_t i = 0; i < step->n; i++) {
        const float mean = step->mean[0][i];
        step->parameters[i] += mean > bound ? bound : mean < -bound ? -bound : mean;
    }
}

static const struct gr_strategy bounded = {.name = "bounded", .setting = {&most}, .step = step};

static gr_status run(struct gr_comm *comm, const char *path, const char *directory) {
    struct gr_config *config = NULL;
    char *text = NULL;
    gr_status status = gr_strategy_register(&bounded); /* before a config names it, on all ranks */
    if (status == GR_OK) status = gr_config_load(path, NULL, 0, &config);
    if (status == GR_OK) status = gr_config_to_yaml(config, &text);
    status = gr_comm_agree(comm, status);
    const struct gr_run_options options = {.run_path = directory, .config_text = text};
    if (status == GR_OK) status = gr_run(comm, config, &options);
    gr_free(text);
    gr_config_free(config);
    return status;
}

int main(int argc, char **argv) {
    const struct gr_comm_options options = {.command = "strategy"};
    struct gr_comm *comm = NULL;
    MPI_Init(&argc, &argv);
    gr_status status = gr_base_start();
    if (status == GR_OK) status = gr_comm_create(MPI_COMM_WORLD, &options, &comm);
    if (status == GR_OK)
        status = argc == 3
                     ? run(comm, argv[1], argv[2])
                     : gr_fail(GR_ERROR_USAGE, "found %d words, expected CONFIG DIR", argc - 1);
    if (status != GR_OK && (!comm || gr_comm_rank(comm) == 0))
        fprintf(stderr, "strategy: %s\n", gr_message());
    gr_comm_free(comm);
    MPI_Finalize();
    return status;
}
