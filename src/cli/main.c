/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program: finds the subcommand, starts MPI if it is needed, prints the error, exits with the
 * status as its code. The only file that calls MPI_Init and MPI_Finalize.
 */
#include "cli/command.h"
#include "cli/launch.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FINALIZE_S = 30, FINALIZE_LOST_S = 5 }; /* for MPI_Finalize, without and after a loss */

static bool is_long(const char *name) {
    const struct gr_command *command = gr_command_find(name);
    return command && (command->flags & GR_COMMAND_LONG);
}

/*
 * Looked for before the command parses anything, so that help is shown beside wrong options as
 * well.
 */
static bool asks_for_help(int argc, char **argv) {
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    return false;
}

/* Output that did not reach its file is a failure: a full disk shows at the flush only. */
static gr_status check_output(void) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "standard output could not be written");
}

/*
 * MPI_Init and MPI_Finalize may hang for ever when a rank or a host is missing, and no MPI call has
 * a deadline; gr_guard ends the process in their place.
 */
gr_status gr_run_with_mpi(gr_status (*run)(struct gr_invocation *), bool is_long,
                          struct gr_invocation *invocation) {
    int provided, rank = 0, size = 1;
    const struct gr_company company = gr_start_company();
    invocation->told = true;
    if (gr_start_check_launcher(&company) != GR_OK) {
        fprintf(stderr, "granary: %s\n", gr_message());
        return GR_ERROR_USAGE;
    }
    gr_start_alone();
    /* To a command that can stop in order a signal that comes while MPI starts counts as well. */
    if (is_long)
        (void)gr_catch_stop(SIGUSR1);
    else
        signal(SIGUSR1, SIG_IGN);
    const double start_s = gr_comm_start_seconds();
    if (gr_start_is_first()) gr_guard_tell((unsigned)fmax(1, fmin(30, start_s / 4)));
    gr_guard_start((unsigned)start_s, "MPI does not start on all ranks");
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        fprintf(stderr, "granary: MPI did not start\n");
        return GR_ERROR_INTERNAL;
    }
    gr_guard_stop();
    gr_guard_tell(0);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    invocation->world = MPI_COMM_WORLD;
    /*
     * Respawned processes have a world of their own, in which each may be rank 0; they never speak
     * for the run.
     */
    invocation->speaks = rank == 0 && !gr_comm_was_spawned();
    gr_status status = gr_comm_was_spawned() ? GR_OK : gr_start_check_company(&company, size);
    if (status == GR_OK && provided < MPI_THREAD_FUNNELED)
        status = gr_fail(GR_ERROR_INTERNAL, "MPI gives less than MPI_THREAD_FUNNELED");
    if (status == GR_OK) status = run(invocation);
    if (status == GR_LOST) status = gr_fail(GR_STOPPED, "%s", gr_message());
    if (status == GR_OK) status = check_output();
    fflush(stdout);
    /* An internal error may be one rank's alone. */
    if (status != GR_OK && (invocation->speaks || status == GR_ERROR_INTERNAL))
        fprintf(stderr, "granary: %s\n", gr_message());
    /*
     * Noted before MPI_Finalize, which may hang: the status must reach `granary run` in any case.
     */
    gr_note_status(status, invocation->speaks);
    /*
     * After an internal error the others may be anywhere, and find that this rank has gone. After a
     * loss MPI_Finalize may wait for those that are no more: on one host the launcher takes it well
     * when it is left out; with daemons on several it would itself wait for ever.
     */
    if (status == GR_ERROR_INTERNAL || invocation->leaves) {
        fflush(NULL);
        _exit((int)status);
    }
    fflush(NULL);
    /* If the guard has to end the process, it ends with the status of the work done. */
    gr_guard_code(status);
    gr_guard_start(invocation->ranks_lost ? FINALIZE_LOST_S : FINALIZE_S,
                   "MPI does not come to an end");
    MPI_Finalize();
    gr_guard_stop();
    return status;
}

/* Prints the error, if there was one, after all output before it; returns the exit code. */
static int end(gr_status status) {
    if (status == GR_OK) status = check_output();
    fflush(stdout);
    if (status != GR_OK) fprintf(stderr, "granary: %s\n", gr_message());
    return (int)status;
}

/* Tables, models, records, predictions: 0640 and folders 0750 at most. What is to be handed on says
 * so by its own mode. */
static void keep_from_others(void) {
    umask(umask(0) | S_IWGRP | S_IRWXO);
}

/* Commands without MPI never start it: `granary inspect` works on hosts where MPI does not. */
int main(int argc, char **argv) {
    struct gr_invocation invocation = {.world = MPI_COMM_NULL};
    gr_start_streams(argc < 2 || !is_long(argv[1]));
    /* A file past the limit of its size is an error of that write, not a death. */
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2) {
        gr_help_overview(stderr);
        return (int)GR_ERROR_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0)
        return end(gr_help(argc - 2, argv + 2));
    if (strcmp(argv[1], "--version") == 0) {
        puts("granary " GRANARY_VERSION);
        return end(GR_OK);
    }
    const struct gr_command *command = gr_command_find(argv[1]);
    if (!command) return end(gr_command_refuse(argv[1]));
    gr_status status = gr_base_start();
    if (status == GR_OK && asks_for_help(argc, argv)) return end(gr_help(1, argv + 1));
    invocation.argc = argc - 1;
    invocation.argv = argv + 1;
    if (!(command->flags & GR_COMMAND_OPEN)) keep_from_others();
    if (status == GR_OK && (command->flags & GR_COMMAND_MPI))
        return (int)gr_run_with_mpi(command->run, command->flags & GR_COMMAND_LONG, &invocation);
    if (status == GR_OK) status = command->run(&invocation);
    return invocation.told ? (int)status : end(status);
}
