/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole run inside another program: what `granary train CONFIG --run DIR` does.
 *
 *   mpicc run.c $(pkg-config --cflags --libs granary) -o run
 *   mpirun -n 2 ./run config.yaml DIR
 */
#include <stdio.h>

#include <granary/federation.h>

/* Every rank reads the config; a program whose ranks share no disk would broadcast its text. */
static gr_status run(struct gr_comm *comm, const char *path, const char *directory) {
    struct gr_config *config = NULL;
    char *text = NULL;
    gr_status status = gr_config_load(path, NULL, 0, &config);
    if (status == GR_OK) status = gr_config_to_yaml(config, &text);
    status = gr_comm_agree(comm, status);
    if (status == GR_OK) {
        const struct gr_run_options options = {.run_path = directory, .config_text = text};
        status = gr_run(comm, config, &options);
    }
    gr_free(text);
    gr_config_free(config);
    return status;
}

int main(int argc, char **argv) {
    const struct gr_comm_options options = {.command = "run"};
    struct gr_comm *comm = NULL;
    MPI_Init(&argc, &argv);
    gr_status status = gr_base_start();
    if (status == GR_OK) status = gr_comm_create(MPI_COMM_WORLD, &options, &comm);
    if (status == GR_OK)
        status = argc == 3
                     ? run(comm, argv[1], argv[2])
                     : gr_fail(GR_ERROR_USAGE, "found %d words, expected CONFIG DIR", argc - 1);
    if (status != GR_OK && (!comm || gr_comm_rank(comm) == 0))
        fprintf(stderr, "run: %s\n", gr_message());
    gr_comm_free(comm);
    MPI_Finalize();
    return status;
}
