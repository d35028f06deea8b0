/* SPDX-License-Identifier: Apache-2.0 */
/* granary train: reads the config on rank 0, gives it to all, runs. */
#include "cli/command.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t stop_signal;

static void on_stop_signal(int number) {
    stop_signal = number;
}

static void catch_stop_signals(void) {
    struct sigaction action = {.sa_handler = on_stop_signal, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

struct words {
    const char *config_path;
    struct gr_overrides overrides;
    const char *run_path;
    bool resume, quiet;
};

static gr_status read_words(struct gr_invocation *invocation, struct words *words) {
    static const struct option options[] = {{"set", required_argument, NULL, 's'},
                                            {"run", required_argument, NULL, 'r'},
                                            {"resume", no_argument, NULL, 'c'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {0}};
    gr_status status = GR_OK;
    int option;
    while ((option = gr_next_option(invocation, ":", options)) != -1) {
        switch (option) {
        case 's':
            GR_TRY(gr_overrides_add(&words->overrides, optarg));
            break;
        case 'r':
            words->run_path = optarg;
            break;
        case 'c':
            words->resume = true;
            break;
        case 'q':
            words->quiet = true;
            break;
        default:
            return GR_ERROR_USAGE;
        }
    }
    status = gr_only_argument(invocation, "CONFIG", &words->config_path);
out:
    return status;
}

/* Rank 0: the config's text as given, and as resolved. */
static gr_status read_config(const struct words *words, char **given, char **resolved) {
    gr_status status = GR_OK;
    struct gr_config *config = NULL;
    size_t length;
    GR_TRY(gr_check_is_config(words->config_path));
    GR_TRY(gr_file_read(words->config_path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, given, &length));
    GR_TRY(gr_config_parse(words->config_path, *given, length, words->overrides.text,
                           words->overrides.n, &config));
    GR_TRY(gr_config_to_yaml(config, resolved));
out:
    gr_config_free(config);
    return status;
}

/* Collective. Rank 0's config on all ranks, and a communicator as the config wants it. */
static gr_status start(struct gr_invocation *invocation, const struct words *words, char **given,
                       struct gr_config **config, struct gr_comm **comm) {
    gr_status status = GR_OK;
    char *resolved = NULL;
    struct gr_comm_options whole_nodes = {0};
    GR_TRY(gr_comm_create(invocation->world, &whole_nodes, comm));
    bool root = gr_comm_rank(*comm) == 0;
    GR_TRY(gr_comm_agree(*comm, root ? read_config(words, given, &resolved) : GR_OK));
    GR_TRY(gr_comm_broadcast_text(*comm, &resolved, GR_CONFIG_TEXT_MAX));
    GR_TRY(gr_comm_agree(
        *comm, gr_config_parse("resolved config", resolved, strlen(resolved), NULL, 0, config)));
    if ((*config)->aggregation.ranks_per_node > 0) {
        struct gr_comm_options options = {(*config)->aggregation.ranks_per_node};
        gr_comm_free(*comm);
        *comm = NULL;
        GR_TRY(gr_comm_create(invocation->world, &options, comm));
    }
out:
    gr_free(resolved);
    return status;
}

/* What this process was started with, for processes that replace lost ranks; caller frees the list.
 */
static char **find_command(const struct gr_invocation *invocation, char program[PATH_MAX]) {
    char **command = calloc((size_t)invocation->argc + 2, sizeof *command);
    if (!command || gr_own_program(program) != GR_OK) {
        free(command);
        return NULL;
    }
    command[0] = program;
    memcpy(command + 1, invocation->argv, (size_t)invocation->argc * sizeof *command);
    return command;
}

gr_status gr_command_train(struct gr_invocation *invocation) {
    gr_status status = GR_OK;
    struct words words = {0};
    struct gr_comm *comm = NULL;
    struct gr_config *config = NULL;
    char *given = NULL, program[PATH_MAX], **command = find_command(invocation, program);

    catch_stop_signals();
    /* All ranks see the same words, so all fail here or none. */
    GR_TRY(read_words(invocation, &words));
    struct gr_run_options options = {.run_path = words.run_path,
                                     .resume = words.resume,
                                     .progress = words.quiet ? NULL : stdout,
                                     .stop = &stop_signal,
                                     .command = command};
    if (gr_comm_was_spawned()) {
        GR_TRY(gr_comm_join(&comm));
        status = gr_run_join(comm, &options);
    } else {
        GR_TRY(start(invocation, &words, &given, &config, &comm));
        options.config_text = given;
        status = gr_run(comm, config, &options);
    }
out:
    if (comm)
        invocation->speaks = gr_comm_rank(comm) == 0 && !gr_comm_over(comm) && !gr_comm_out(comm);
    gr_leave(invocation, comm);
    gr_config_free(config);
    gr_free(given);
    free(words.overrides.text);
    free(command);
    return status;
}
