/* SPDX-License-Identifier: Apache-2.0 */
/* The command: finds the subcommand, starts MPI if it is needed, prints the error, exits. */
#include "cli/command.h"
#include "cli/launch.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NEEDS_MPI = 1,
    IS_LONG = 2
}; /* IS_LONG: a signal stops it in order, and what it prints is no result */
enum { FINALIZE_S = 30, FINALIZE_LOST_S = 5 }; /* for MPI_Finalize, without and after a loss */

const struct gr_command gr_commands[] = {
    {"train", gr_command_train, NEEDS_MPI | IS_LONG, "train a model across silos",
     "usage: granary train CONFIG [--set SECTION.KEY=VALUE]... [--run DIR] [--resume] [--quiet]\n"
     "\n"
     "  --set S.K=V  replaces a setting of the config; VALUE is YAML\n"
     "  --run DIR    the run directory; default <run.directory>/<run.name>-<id>\n"
     "  --resume     goes on from the newest whole checkpoint of DIR (default: of the latest run)\n"
     "  --quiet      no progress on standard output\n"
     "\n"
     "example: mpirun --oversubscribe -n 8 granary train configs/fashion-mnist.yaml\n"},
    {"run", gr_command_run, IS_LONG, "train under mpirun, and restart what cannot go on",
     "usage: granary run -n RANKS CONFIG [--set SECTION.KEY=VALUE]... [--run DIR] [--resume]\n"
     "                   [--quiet] [--restarts M] [--backoff SECONDS] [--grace SECONDS]\n"
     "                   [--host NAME[:SLOTS],... | --hostfile FILE] [-- LAUNCHER OPTIONS]\n"
     "\n"
     "  --set, --run, --resume, --quiet   as for `granary train`\n"
     "  --restarts M        restarts in a row without a checkpoint of a new round; default 5\n"
     "  --backoff SECONDS   before the first restart, then twice as long each; default 1\n"
     "  --grace SECONDS     from a signal to the end by force; default 60\n"
     "  --host, --hostfile  the hosts; those that do not answer are left out of a restart\n"
     "  --                  what follows goes to mpirun\n"
     "\n"
     "Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP: the round is finished, a checkpoint written, exit\n"
     "code 75. A second Ctrl-C or SIGTERM ends at once. GRANARY_MPIRUN names another mpirun.\n"
     "\n"
     "example: granary run -n 8 configs/fashion-mnist.yaml --run runs/mine\n"},
    {"init", gr_command_init, 0, "write a config and a schema for tables, ready to run",
     "usage: granary init TABLE.csv --label NAME [--group NAME] [--separator NAME] [--no-header]\n"
     "                    [--encoding latin1] -o FOLDER\n"
     "       granary init TABLE.csv TABLE.csv... --label NAME -o FOLDER\n"
     "\n"
     "  TABLE.csv         one table for all silos, or one for each\n"
     "  --label NAME      the column to be predicted: classes, a number or a count\n"
     "  --group NAME      a silo for each value of this column; default: dealt at random\n"
     "  --separator NAME  as for `granary import`; default: found\n"
     "  --no-header       the first row is data; columns are column1, column2...\n"
     "  --encoding NAME   latin1 for files of Excel and other Windows programs; default utf8\n"
     "  -o FOLDER         FOLDER/config.yaml and FOLDER/schema.yaml; nothing is overwritten\n"
     "\n"
     "Says of each column what it was taken for. Cells that do not fit are named by line. Without\n"
     "--label it names the columns that are likely.\n"
     "\n"
     "example: granary init patients.csv --label died --group centre -o study\n"
     "example: granary init hospital-*.csv --label died -o study\n"},
    {"validate", gr_command_validate, 0, "find what `train` would refuse, without training",
     "usage: granary validate CONFIG [--set SECTION.KEY=VALUE]... [--run DIR] [--resolved]\n"
     "\n"
     "  --set S.K=V  replaces a setting of the config; VALUE is YAML\n"
     "  --run DIR    the run directory that is meant: could a new run be opened there?\n"
     "  --resolved   only prints every setting as it will be used, and which are required\n"
     "\n"
     "Reads the tables as `train` does, once, and ends with the code that `train` would end with.\n"
     "Nothing is written. With tables larger than one process can hold: under mpirun.\n"
     "\n"
     "example: granary validate configs/synthetic.yaml --resolved\n"},
    {"inspect", gr_command_inspect, 0, "show a model, checkpoint, table or run directory",
     "usage: granary inspect [--digest] FILE | RUN\n"
     "\n"
     "Of a run directory, live, stopped, finished or damaged: its state, rounds, scores, time, "
     "last\n"
     "event, and where its model is. Reads only.\n"
     "\n"
     "  --digest     prints the BLAKE2b-256 of all parameters in hex, and nothing else\n"
     "\n"
     "example: granary inspect runs/latest/model.h5\n"},
    {"evaluate", gr_command_evaluate, NEEDS_MPI, "score a stored model on labelled rows",
     "usage: granary evaluate MODEL TABLE.h5 [--json]\n"
     "       granary evaluate MODEL TABLE.csv [--separator NAME] [--no-header]\n"
     "                                        [--encoding latin1] [--json]\n"
     "       granary evaluate MODEL --features FILE --labels FILE [--json]\n"
     "\n"
     "  --separator, --no-header, --encoding   of a CSV file, as for `granary init`\n"
     "  --format NAME          csv, hdf5 or idx, where the file does not tell\n"
     "  --features, --labels   an IDX pair, plain or gzipped, instead of an HDF5 table\n"
     "  --json                 all metrics with all digits, confusion matrix, reliability table,\n"
     "                         findings, and lost_weights: too small beside the largest, so 0\n"
     "\n"
     "Under mpirun the rows are dealt to the ranks; what is printed is the same for any number.\n"
     "The AUC is counted in bins of scores: the range behind it encloses its exact value.\n"
     "\n"
     "example: granary evaluate runs/latest/model.h5 test.h5\n"},
    {"report", gr_command_report, 0, "make a page about a run, or compare several",
     "usage: granary report RUN... [-o FILE]\n"
     "\n"
     "  RUN        run directories, finished or not; at most eight\n"
     "  -o FILE    the page; default RUN/report.html; needed for several runs\n"
     "\n"
     "One HTML file that needs nothing else. It tells no more than the run directories do, and\n"
     "no paths. A run writes its own report.html when it ends.\n"
     "\n"
     "example: granary report runs/a runs/b -o comparison.html\n"},
    {"predict", gr_command_predict, NEEDS_MPI, "write a stored model's predictions for rows",
     "usage: granary predict MODEL TABLE.h5 -o FILE\n"
     "       granary predict MODEL TABLE.csv [--id COLUMN] [--separator NAME] [--no-header]\n"
     "                                       [--encoding latin1] -o FILE\n"
     "       granary predict MODEL --features FILE -o FILE\n"
     "\n"
     "  -o FILE      .csv: label,p_no,p_yes... a line for each row, in the table's order, classes\n"
     "               by name (p0,p1... where the model knows none); .h5 or .hdf5: datasets\n"
     "               /labels, /probabilities and /classes; of a model that predicts a number: the\n"
     "               column or dataset prediction\n"
     "  --id COLUMN  a column of the table that tells rows apart, carried along\n"
     "  --separator, --no-header, --encoding   of a CSV file, as for `granary init`\n"
     "  --format NAME   csv, hdf5 or idx, where the file does not tell\n"
     "  --features   an IDX file, plain or gzipped, instead of an HDF5 table\n"
     "\n"
     "The table needs no labels; what it has is not looked at. Under mpirun the rows are dealt to\n"
     "the ranks; the file is the same for any number.\n"
     "\n"
     "example: granary predict runs/latest/model.h5 new.csv --id patient -o predictions.csv\n"},
    {"import", gr_command_import, 0, "make an HDF5 table from a CSV file or IDX files",
     "usage: granary import FILE.csv [--label NAME] [--group NAME] [--separator NAME]\n"
     "                      [--first N] [--rows N] -o TABLE.h5\n"
     "       granary import FILE.csv --schema FILE.yaml [--separator NAME] [--no-header]\n"
     "                      [--first N] [--rows N] -o TABLE.h5\n"
     "       granary import --infer-schema FILE.csv [--label NAME] [--group NAME] [-o FILE.yaml]\n"
     "       granary import --features FILE --labels FILE [--first N] [--rows N] -o TABLE.h5\n"
     "\n"
     "  --label NAME      the column of labels, or of numbers to predict; default label\n"
     "  --group NAME      the column of centres, by which data.partition can make silos\n"
     "  --schema FILE     what the columns are, see configs/schemas; default: they are guessed\n"
     "  --separator NAME  comma, semicolon, tab, pipe, space or blanks; default: found\n"
     "  --no-header       the first row is data; the schema names the columns\n"
     "  --encoding NAME   latin1 for files of Excel and other Windows programs; default utf8\n"
     "  --infer-schema    writes a schema that fits the file, with its doubts as comments, to be\n"
     "                    looked through and kept; says of each column what it was taken for\n"
     "  --first N         the first row to take, from 0; default 0\n"
     "  --rows N          how many rows; default: to the end\n"
     "\n"
     "example: granary import patients.csv --label died -o patients.h5\n"
     "example: granary import --features train-images-idx3-ubyte.gz \\\n"
     "             --labels train-labels-idx1-ubyte.gz -o train.h5\n"},
    {"version", gr_command_version, 0, "show versions",
     "usage: granary version [--verbose]\n"
     "\n"
     "  --verbose    also the versions of the libraries, thread and fault-tolerance level\n"
     "\n"
     "example: granary version --verbose\n"},
};
const size_t gr_commands_n = sizeof gr_commands / sizeof *gr_commands;

static bool is_long(const char *name) {
    const struct gr_command *command = gr_command_find(name);
    return command && (command->flags & IS_LONG);
}

static bool asks_for_help(int argc, char **argv) {
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    return false;
}

/* Output that did not reach its file is a failure. */
static gr_status check_output(void) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "standard output could not be written");
}

gr_status gr_run_with_mpi(gr_status (*run)(struct gr_invocation *), bool is_long,
                          struct gr_invocation *invocation) {
    int provided, rank = 0, size = 1;
    const struct gr_company company = gr_start_company();
    invocation->told = true;
    if (gr_start_check_launcher(&company) != GR_OK) {
        fprintf(stderr, "granary: %s\n", gr_message());
        return GR_ERROR_USAGE;
    }
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
    invocation->speaks = rank == 0 && !gr_comm_was_spawned();
    gr_status status = gr_comm_was_spawned() ? GR_OK : gr_start_check_company(&company, size);
    if (status == GR_OK && provided < MPI_THREAD_FUNNELED)
        status = gr_fail(GR_ERROR_INTERNAL, "MPI gives less than MPI_THREAD_FUNNELED");
    if (status == GR_OK) status = run(invocation);
    if (status == GR_LOST) status = gr_fail(GR_STOPPED, "%s", gr_message());
    if (status == GR_OK) status = check_output();
    /* An internal error may be one rank's alone. */
    if (status != GR_OK && (invocation->speaks || status == GR_ERROR_INTERNAL))
        fprintf(stderr, "granary: %s\n", gr_message());
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
    gr_guard_code(status);
    gr_guard_start(invocation->ranks_lost ? FINALIZE_LOST_S : FINALIZE_S,
                   "MPI does not come to an end");
    MPI_Finalize();
    gr_guard_stop();
    return status;
}

/* Prints the error, if there was one; returns the exit code. */
static int end(gr_status status) {
    if (status == GR_OK) status = check_output();
    if (status != GR_OK) fprintf(stderr, "granary: %s\n", gr_message());
    return (int)status;
}

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
    if (status == GR_OK && (command->flags & NEEDS_MPI))
        return (int)gr_run_with_mpi(command->run, command->flags & IS_LONG, &invocation);
    if (status == GR_OK) status = command->run(&invocation);
    return invocation.told ? (int)status : end(status);
}
