/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary train: reads the config on rank 0, gives it to all, runs. Other hosts need not see the
 * config file; they get its resolved text, so that all ranks train with the same settings.
 */
#include "cli/command.h"
#include "cli/launch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct train_words {
    const char *config_path;
    struct gr_overrides overrides;
    const char *run_path;
    bool resume, quiet;
};

/*
 * Every rank reads the same words and so returns the same status: no agreement is needed, and there
 * is no communicator yet.
 */
static gr_status read_words(struct gr_invocation *invocation, struct train_words *words) {
    gr_status status = GR_OK;
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
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

/*
 * Rank 0: the config's text as given, for config.yaml, and as resolved, for the other ranks; and
 * the seconds that the start may take.
 */
static gr_status read_config(const struct train_words *words, char **given, char **resolved,
                             double *start_s) {
    gr_status status = GR_OK;
    struct gr_config *config = NULL;
    size_t length;
    GR_TRY(gr_check_is_config(words->config_path));
    GR_TRY(gr_file_read(words->config_path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, given, &length));
    GR_TRY(gr_config_parse(words->config_path, *given, length, words->overrides.text,
                           words->overrides.n, &config));
    GR_TRY(gr_config_to_yaml(config, resolved));
    *start_s = config->round.start_deadline_s;
out:
    gr_config_free(config);
    return status;
}

/*
 * Collective. Rank 0's config on all ranks, and a communicator as the config wants it. An error of
 * rank 0's reading is held back until the ranks have met: a rank that returned before
 * gr_comm_create would leave the others waiting in it. The communicator is made anew where the
 * config asks for aggregation.ranks_per_node, which cannot be known before.
 */
static gr_status start(struct gr_invocation *invocation, const struct train_words *words,
                       const struct gr_comm_options *common, char **given,
                       struct gr_config **config, struct gr_comm **comm) {
    gr_status status = GR_OK, read = GR_OK;
    /* `message` keeps rank 0's error: gr_comm_create in between sets messages of its own. */
    char *resolved = NULL, message[GR_MESSAGE_MAX] = "";
    struct gr_comm_options options = *common;
    /* Before the ranks meet: it says how long they have got for that. */
    if (invocation->speaks) read = gr_note_start();
    if (invocation->speaks && read == GR_OK)
        read = read_config(words, given, &resolved, &options.start_s);
    if (read != GR_OK) memcpy(message, gr_message(), strlen(gr_message()) + 1);
    gr_note_meeting();
    GR_TRY(gr_comm_create(invocation->world, &options, comm));
    gr_note_met(invocation->speaks);
    GR_TRY(gr_comm_agree(*comm, read == GR_OK ? GR_OK : gr_fail(read, "%s", message)));
    GR_TRY(gr_comm_broadcast_text(*comm, &resolved, GR_CONFIG_TEXT_MAX));
    GR_TRY(gr_comm_agree(
        *comm, gr_config_parse("resolved config", resolved, strlen(resolved), NULL, 0, config)));
    if ((*config)->aggregation.ranks_per_node > 0) {
        options.ranks_per_node = (*config)->aggregation.ranks_per_node;
        gr_comm_free(*comm);
        *comm = NULL;
        GR_TRY(gr_comm_create(invocation->world, &options, comm));
    }
out:
    gr_free(resolved);
    return status;
}

/*
 * The words this process was started with, for processes that replace lost ranks; NULL where they
 * cannot be had, and no rank is replaced then. Caller frees the list; its words are argv's.
 */
static char **find_command(const struct gr_invocation *invocation, char program[PATH_MAX]) {
    char **command = calloc((size_t)invocation->argc + 2, sizeof *command);
    if (!command || gr_own_program(program) != GR_OK) {
        free(command);
        return NULL;
    }
    /*
     * The path of the program itself, since argv[0] was found by PATH, which a daemon on another
     * host may not have.
     */
    command[0] = program;
    memcpy(command + 1, invocation->argv, (size_t)invocation->argc * sizeof *command);
    return command;
}

static void say_waiting(const char *words) {
    fprintf(stderr, "granary: %s\n", words);
    fflush(stderr);
}

/*
 * The words that all ranks must have been started with, as "train DIGEST". Ranks that resume and
 * ranks that begin would call different collectives; the handshake names them instead. Only a
 * digest is compared, so that words may be of any length.
 */
static void describe_command(const struct gr_invocation *invocation, char out[GR_DIGEST_HEX + 16]) {
    struct gr_digest digest;
    unsigned char bytes[GR_DIGEST_BYTES];
    char hex[GR_DIGEST_HEX];
    gr_digest_start(&digest);
    for (int i = 0; i < invocation->argc; i++)
        gr_digest_add(&digest, invocation->argv[i], strlen(invocation->argv[i]) + 1);
    gr_digest_finish(&digest, bytes);
    gr_digest_hex(bytes, hex);
    snprintf(out, GR_DIGEST_HEX + 16, "%s %.16s", invocation->argv[0], hex);
}

/* Events of a rank's own silos, on its own terminal: the other ranks do not get these texts. */
static void hear(void *context, const char *line) {
    (void)context;
    fprintf(stderr, "granary: %s\n", line);
    fflush(stderr);
}

/*
 * A spawned process (MPI_Comm_spawn) joins a run under way, all others begin or resume one. On the
 * way out the communicator goes first, for it borrows `started` and `libraries`.
 */
gr_status gr_command_train(struct gr_invocation *invocation) {
    gr_status status = GR_OK;
    struct train_words words = {0};
    struct gr_comm *comm = NULL;
    struct gr_config *config = NULL;
    char *given = NULL, *libraries = NULL, started[GR_DIGEST_HEX + 16], program[PATH_MAX],
         **command = find_command(invocation, program);

    /* All ranks see the same words, so all fail here or none. */
    GR_TRY(read_words(invocation, &words));
    struct gr_run_options options = {.run_path = words.run_path,
                                     .resume = words.resume,
                                     .progress = words.quiet ? NULL : stdout,
                                     .listener = {.hear = hear},
                                     .stop = gr_catch_stop(SIGTERM), /* SIGUSR1 has been caught */
                                     .command = command};
    const struct gr_comm_options common = {
        .command = started, .libraries = libraries, .say = say_waiting};
    describe_command(invocation, started);
    GR_TRY(gr_libraries_text(&libraries));
    if (gr_comm_was_spawned()) {
        GR_TRY(gr_comm_join(&common, &comm));
        status = gr_run_join(comm, &options);
    } else {
        GR_TRY(start(invocation, &words, &common, &given, &config, &comm));
        options.config_text = given;
        status = gr_run(comm, config, &options);
    }
out:
    if (comm) invocation->speaks = gr_comm_speaks(comm);
    /* Ranks that cannot meet leave MPI as it is. */
    if (!comm && status == GR_STOPPED) invocation->leaves = true;
    gr_leave(invocation, comm);
    gr_config_free(config);
    gr_free(given);
    gr_free(libraries);
    free(words.overrides.text);
    free(command);
    return status;
}
