/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands and their options: the one table from which options are parsed, and from which help,
 * the manual page granary.1 and the completions of shells are made. A new option needs a row here
 * and a branch in its command; all else follows.
 *
 * Keys of options are private to a command, so that the same letter may mean different options in
 * two commands. Options that several commands have are macros, so that their help is the same.
 */
#include "cli/command.h"

#include <string.h>

/* The arguments are members of initialisers, which bear no parentheses.
 * NOLINTBEGIN(bugprone-macro-parentheses) */
#define SEPARATORS "comma semicolon tab pipe space blanks auto"
#define SET                                                                                        \
    {                                                                                              \
        .name = "set", .key = 's', .value = "S.K=V", .kind = GR_VALUE_SETTING,                     \
        .help = "replaces a setting of the config; VALUE is YAML"                                  \
    }
#define RESUME                                                                                     \
    {                                                                                              \
        .name = "resume", .key = 'c',                                                              \
        .help = "goes on from the newest whole checkpoint of DIR (default: of the latest run)"     \
    }
#define QUIET                                                                                      \
    { .name = "quiet", .key = 'q', .help = "no progress on standard output" }
#define RUN_DIRECTORY(key_, help_)                                                                 \
    { .name = "run", .key = key_, .value = "DIR", .kind = GR_VALUE_FOLDER, .help = help_ }
#define OUTPUT(value_, kind_, help_)                                                               \
    { .name = "output", .key = 'o', .letter = true, .value = value_, .kind = kind_, .help = help_ }
#define SEPARATOR                                                                                  \
    {                                                                                              \
        .name = "separator", .key = 'd', .value = "NAME", .kind = GR_VALUE_WORD,                   \
        .words = SEPARATORS,                                                                       \
        .help = "of a CSV file: comma, semicolon, tab, pipe, space or blanks; default: found"      \
    }
#define NO_HEADER(help_)                                                                           \
    { .name = "no-header", .key = 'h', .help = help_ }
#define ENCODING                                                                                   \
    {                                                                                              \
        .name = "encoding", .key = 'e', .value = "NAME", .kind = GR_VALUE_WORD,                    \
        .words = "utf8 latin1",                                                                    \
        .help = "latin1 for files of Excel and other Windows programs; default utf8"               \
    }
#define FORMAT                                                                                     \
    {                                                                                              \
        .name = "format", .key = 'm', .value = "NAME", .kind = GR_VALUE_WORD,                      \
        .words = "csv hdf5 idx", .help = "csv, hdf5 or idx, where the file does not tell"          \
    }
#define IDX(name_, key_, help_)                                                                    \
    { .name = name_, .key = key_, .value = "FILE", .kind = GR_VALUE_FILE, .help = help_ }
#define NAMED(name_, key_, value_, help_)                                                          \
    { .name = name_, .key = key_, .value = value_, .help = help_ }
#define IDLE                                                                                       \
    NAMED("idle", 'i', "TIME",                                                                     \
          "ends with 75 when all have not met for so long (30m, 12h): started again by cron\n"     \
          "or a batch system, it goes on waiting; default: it waits as long as it takes")
#define KEYS(help_)                                                                                \
    { .name = "key", .key = 'k', .value = "DIR", .kind = GR_VALUE_FOLDER, .help = help_ }
#define SITE_FILE(key_, help_)                                                                     \
    { .name = "site", .key = key_, .value = "SITE", .kind = GR_VALUE_FILE, .help = help_ }
#define END                                                                                        \
    { .name = NULL }
/* NOLINTEND(bugprone-macro-parentheses) */

static const struct gr_option train_options[] = {
    SET, RUN_DIRECTORY('r', "the run directory; default <run.directory>/<run.name>-<id>"), RESUME,
    QUIET, END};

static const struct gr_option run_options[] = {
    {.name = "ranks",
     .key = 'n',
     .letter = true,
     .value = "RANKS",
     .help = "how many processes train"},
    SET,
    RUN_DIRECTORY('r', "the run directory; default <run.directory>/<run.name>-<id>"),
    RESUME,
    QUIET,
    NAMED("restarts", 'm', "M", "restarts in a row without a checkpoint of a new round; default 5"),
    NAMED("backoff", 'b', "SECONDS",
          "before the first restart, then twice as long each; default 1"),
    NAMED("grace", 'g', "SECONDS", "from a signal to the end by force; default 60"),
    NAMED("host", 'h', "NAME[:SLOTS],...",
          "the hosts; those that do not answer are left out of a restart"),
    {.name = "hostfile",
     .key = 'f',
     .value = "FILE",
     .kind = GR_VALUE_FILE,
     .help = "the same in a file of mpirun's"},
    END};

static const struct gr_option coordinate_options[] = {
    {.name = "listen",
     .key = 'l',
     .value = "ADDRESS:PORT",
     .help = "sites come by https; 0.0.0.0:8443 for all interfaces"},
    {.name = "mailbox",
     .key = 'm',
     .value = "FOLDER",
     .kind = GR_VALUE_FOLDER,
     .help = "sites come by files of a folder that something synchronises"},
    {.name = "key",
     .key = 'k',
     .value = "DIR",
     .kind = GR_VALUE_FOLDER,
     .help = "the folder of `granary keygen`; default keys"},
    RUN_DIRECTORY('r', "the run directory, begun or gone on with; default <study.name>-run"),
    {.name = "certificate",
     .key = 'c',
     .value = "FILE",
     .kind = GR_VALUE_FILE,
     .help = "PEM, of this host; default: one that is made, whose pin is printed"},
    {.name = "certificate-key",
     .key = 'y',
     .value = "FILE",
     .kind = GR_VALUE_FILE,
     .help = "PEM, its private key"},
    {.name = "initial",
     .key = 'o',
     .value = "FILE",
     .kind = GR_VALUE_FILE,
     .help = "the model.h5 of the study's model.initial_digest, which the run starts from"},
    IDLE,
    QUIET,
    END};

static const struct gr_option join_options[] = {
    {.name = "study",
     .key = 's',
     .value = "STUDY",
     .kind = GR_VALUE_FILE,
     .help = "the study's file, with STUDY.sig beside it"},
    {.name = "leave",
     .key = 'e',
     .help = "leave the study for good: recorded here, and told to the coordinator"},
    IDLE,
    QUIET,
    END};

static const struct gr_option init_options[] = {
    NAMED("label", 'c', "NAME", "the column to be predicted: classes, a number or a count"),
    NAMED("group", 'g', "NAME", "a silo for each value of this column; default: dealt at random"),
    SEPARATOR,
    NO_HEADER("the first row is data; columns are column1, column2..."),
    ENCODING,
    OUTPUT("FOLDER", GR_VALUE_FOLDER,
           "FOLDER/config.yaml and FOLDER/schema.yaml; nothing is overwritten"),
    END};

static const struct gr_option validate_options[] = {
    SET,
    RUN_DIRECTORY('d', "the run directory that is meant: could a new run be opened there?"),
    SITE_FILE('f', "of a study: the site whose tables are read as by the study"),
    {.name = "resolved",
     .key = 'r',
     .help = "only prints every setting as it will be used, and which are required"},
    END};

static const struct gr_option releases_options[] = {
    SET, {.name = "json", .key = 'j', .help = "the table for a program"}, END};

static const struct gr_option study_options[] = {
    KEYS("of sign: the coordinator's folder of `granary keygen`"),
    {.name = "before",
     .key = 'b',
     .value = "STUDY",
     .kind = GR_VALUE_FILE,
     .help = "of sign: the version that STUDY follows, signed, with which it is compared"},
    OUTPUT("FOLDER", GR_VALUE_FOLDER,
           "of trial: FOLDER/config.yaml and FOLDER/schema.yaml; nothing is overwritten"),
    {.name = "json", .key = 'j', .help = "of status: for a program"},
    END};

static const struct gr_option approve_options[] = {
    SITE_FILE('s', "the site's file, whose policy is held against the study"),
    {.name = "yes", .key = 'y', .help = "approves without asking"},
    NAMED("number", 'n', "TEXT", "the number under which it is approved, for the record"),
    NAMED("by", 'b', "TEXT", "who approves, for the record"),
    END};

static const struct gr_option withdraw_options[] = {
    {.name = "silo", .key = 'S', .value = "SILO", .help = "its name, as in silos[].name"},
    OUTPUT("DIR", GR_VALUE_FOLDER,
           "where the new config, or study, and its run go; default RUN-without-SILO"),
    {.name = "ranks",
     .key = 'n',
     .letter = true,
     .value = "RANKS",
     .help = "processes that train; default 1"},
    NAMED("minimum-silos", 'm', "N", "policy.minimum_silos without the silo; default: as it was"),
    {.name = "study",
     .key = 's',
     .value = "STUDY",
     .kind = GR_VALUE_FILE,
     .help = "the study of RUN, where it is one's"},
    {.name = "key",
     .key = 'k',
     .value = "DIR",
     .kind = GR_VALUE_FOLDER,
     .help = "the folder of `granary keygen` that signs; of a study the coordinator's, default "
             "keys"},
    END};

static const struct gr_option audit_options[] = {
    {.name = "journal",
     .key = 'j',
     .value = "FILE",
     .kind = GR_VALUE_FILE,
     .help = "the journal of a site's rank; may be given for each of them"},
    {.name = "study",
     .key = 's',
     .value = "STUDY",
     .kind = GR_VALUE_FILE,
     .help = "the study's file, with STUDY.sig beside it: its keys and its releases"},
    END};

static const struct gr_option inspect_options[] = {
    {.name = "digest",
     .key = 'd',
     .help = "prints the BLAKE2b-256 of all parameters in hex, and nothing else"},
    END};

static const struct gr_option evaluate_options[] = {
    SEPARATOR,
    NO_HEADER("the first row of a CSV file is data"),
    ENCODING,
    FORMAT,
    IDX("features", 'f', "an IDX file, plain or gzipped, instead of an HDF5 table"),
    IDX("labels", 'l', "the IDX file of its labels"),
    {.name = "json",
     .key = 'j',
     .help = "all metrics with all digits, confusion matrix, reliability table,\n"
             "findings, and lost_weights: too small beside the largest, so 0"},
    END};

static const struct gr_option gate_options[] = {
    {.name = "gates",
     .key = 'g',
     .value = "FILE",
     .kind = GR_VALUE_FILE,
     .help = "a YAML file with a list `gates`, instead of that of the run's config"},
    {.name = "junit",
     .key = 'u',
     .value = "FILE",
     .kind = GR_VALUE_FILE,
     .help = "the same as XML, a test case for each gate"},
    {.name = "json", .key = 'j', .help = "for a program: found, limit, and why it is not known"},
    END};

static const struct gr_option reproduce_options[] = {
    {.name = "ranks",
     .key = 'n',
     .letter = true,
     .value = "RANKS",
     .help = "trains under the launcher; default: one process"},
    OUTPUT("FOLDER", GR_VALUE_FOLDER, "of the run that is made; default RUN-again"),
    {.name = "json", .key = 'j', .help = "for a program"},
    END};

static const struct gr_option explain_options[] = {
    {.name = "json", .key = 'j', .help = "for a program"},
    {.name = "all",
     .key = 'a',
     .help = "all exit codes, events and alerts, as in `granary help runbook`"},
    END};

static const struct gr_option report_options[] = {
    OUTPUT("FILE", GR_VALUE_FILE, "the page; default RUN/report.html; needed for several runs"),
    {.name = "csv",
     .key = 'c',
     .value = "FILE",
     .kind = GR_VALUE_FILE,
     .help = "a table with a line for each run: settings that differ, figures with all digits"},
    {.name = "json",
     .key = 'j',
     .value = "FILE",
     .kind = GR_VALUE_FILE,
     .help = "the same, and the means of runs that differ in their seed alone"},
    END};

static const struct gr_option predict_options[] = {
    OUTPUT("FILE", GR_VALUE_FILE,
           ".csv: label,p_no,p_yes... a line for each row, in the table's order, classes\n"
           "by name (p0,p1... where the model knows none); .h5 or .hdf5: datasets\n"
           "/labels, /probabilities and /classes; of a model that predicts a number: the\n"
           "column or dataset prediction"),
    NAMED("id", 'i', "COLUMN", "a column of the table that tells rows apart, carried along"),
    SEPARATOR,
    NO_HEADER("the first row of a CSV file is data"),
    ENCODING,
    FORMAT,
    IDX("features", 'f', "an IDX file, plain or gzipped, instead of an HDF5 table"),
    END};

static const struct gr_option import_options[] = {
    NAMED("label", 'c', "NAME", "the column of labels, or of numbers to predict; default label"),
    NAMED("group", 'g', "NAME", "the column of centres, by which data.partition can make silos"),
    {.name = "schema",
     .key = 's',
     .value = "FILE",
     .kind = GR_VALUE_FILE,
     .help = "what the columns are, see configs/schemas; default: they are guessed"},
    SEPARATOR,
    NO_HEADER("the first row is data; the schema names the columns"),
    ENCODING,
    {.name = "infer-schema",
     .key = 'i',
     .help = "writes a schema that fits the file, with its doubts as comments, to be\n"
             "looked through and kept; says of each column what it was taken for"},
    NAMED("first", '1', "N", "the first row to take, from 0; default 0"),
    NAMED("rows", 'n', "N", "how many rows; default: to the end"),
    IDX("features", 'f', "an IDX file, plain or gzipped"),
    IDX("labels", 'l', "the IDX file of its labels"),
    OUTPUT("FILE", GR_VALUE_FILE, "the HDF5 table, or with --infer-schema the schema"),
    END};

static const struct gr_option version_options[] = {
    {.name = "verbose",
     .key = 'v',
     .help = "also the versions of the libraries, thread and fault-tolerance level"},
    END};

static const struct gr_option privacy_options[] = {
    {.name = "noise-multiplier",
     .key = 'z',
     .value = "Z",
     .help = "standard deviation of the noise in a sum / clip norm"},
    {.name = "sampling",
     .key = 'q',
     .value = "Q",
     .help = "probability with which a unit is in a step, by Poisson sampling; default 1:\n"
             "each unit is in each of the steps"},
    {.name = "steps", .key = 'n', .value = "N", .help = "noised sums that a unit may be in"},
    {.name = "delta",
     .key = 'd',
     .value = "D",
     .help = "below 1 / number of units; of ledger: 1e-5 where it is not given"},
    {.name = "epsilon", .key = 'e', .value = "E", .help = "of noise: not to be exceeded"},
    {.name = "adjacency",
     .key = 'a',
     .value = "NAME",
     .kind = GR_VALUE_WORD,
     .words = "add_remove zero_out replace",
     .help = "neighbours differ by a unit that is there or not (default), by one whose\n"
             "contribution is zero, or by one that is another"},
    {.name = "adopt",
     .key = 't',
     .value = "DIGEST",
     .help = "of ledger, alone: the table that a run has refused with this digest holds the same\n"
             "people; what was spent counts for all of its rows"},
    {.name = "canaries",
     .key = 'c',
     .value = "N",
     .help = "of audit: of which half are in, by coin; default 500"},
    {.name = "confidence",
     .key = 'o',
     .value = "C",
     .help = "of audit: of its bounds of epsilon; default 0.95"},
    {.name = "before",
     .key = 'b',
     .value = "Z,Q,N",
     .help = "steps that were taken on the same data; may be given several times"},
    SET,
    {.name = "json", .key = 'j', .help = "all digits, as JSON"},
    END};

static const struct gr_option no_options[] = {END};

const struct gr_command gr_commands[] = {
    {.name = "train",
     .run = gr_command_train,
     .flags = GR_COMMAND_MPI | GR_COMMAND_LONG,
     .summary = "train a model across silos",
     .usage = "usage: granary train CONFIG [--set SECTION.KEY=VALUE]... [--run DIR] [--resume] "
              "[--quiet]\n",
     .options = train_options,
     .notes = "example: mpirun --oversubscribe -n 8 granary train configs/fashion-mnist.yaml\n"},
    {.name = "run",
     .run = gr_command_run,
     .flags = GR_COMMAND_LONG,
     .summary = "train under mpirun, and restart what cannot go on",
     .usage = "usage: granary run -n RANKS CONFIG [--set SECTION.KEY=VALUE]... [--run DIR] "
              "[--resume]\n"
              "                   [--quiet] [--restarts M] [--backoff SECONDS] [--grace SECONDS]\n"
              "                   [--host NAME[:SLOTS],... | --hostfile FILE] [-- LAUNCHER "
              "OPTIONS]\n",
     .options = run_options,
     .notes = "What follows -- goes to mpirun. Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP: the round is\n"
              "finished, a checkpoint written, exit code 75. A second Ctrl-C or SIGTERM ends at\n"
              "once. GRANARY_MPIRUN names another mpirun.\n"
              "\n"
              "example: granary run -n 8 configs/fashion-mnist.yaml --run runs/mine\n"},
    {.name = "sweep",
     .run = gr_command_sweep,
     .flags = GR_COMMAND_LONG,
     .summary = "train a config with many settings and seeds",
     .usage =
         "usage: granary sweep CONFIG [--over KEY=V,V,...]... [--random N] [--from FILE]\n"
         "                     [--seeds N] [--halving ETA] [--metric NAME] [--set S.K=V]...\n"
         "                     [--run FOLDER] [--jobs N] [-n RANKS] [--grace SECONDS] [--retry]\n"
         "                     [--plan] [--no-wait] [--quiet]\n"
         "       granary sweep --run FOLDER [--jobs N] [-n RANKS] [--grace SECONDS] [--retry]\n"
         "                     [--no-wait] [--quiet]\n",
     .options = gr_sweep_options,
     .notes =
         "FOLDER holds the plan, a run directory for each run, sweep.csv, and optuna.jsonl for\n"
         "Optuna. Stopped or killed, the same command goes on; several may share FOLDER. What is\n"
         "done is not done again. A run that fails does not stop the others, and its code is that\n"
         "of the sweep. `granary help sweeps` tells more.\n"
         "\n"
         "example: granary sweep configs/synthetic.yaml --seeds 5 \\\n"
         "             --over train.learning_rate=0.01,0.1 --over strategy.name=fedavg,fedadam\n"},
    {.name = "compare",
     .run = gr_command_compare,
     .flags = GR_COMMAND_LONG,
     .summary = "compare a federation with each silo alone and with all rows in one place",
     .usage = "usage: granary compare CONFIG [--seeds N] [--leave-one-out] [--metric NAME]\n"
              "                       [--set S.K=V]... [--run FOLDER] [--jobs N]\n"
              "                       [--grace SECONDS] [--retry] [--quiet]\n",
     .options = gr_compare_options,
     .notes =
         "Trains by the same rounds and judges on the same held-out rows. FOLDER holds copies of\n"
         "the rows, the runs, and compare.csv. Stopped or killed, the same command goes on. What\n"
         "silos alone score is told only where policy.minimum_silos is 1 (77). `granary help\n"
         "comparisons` tells more.\n"
         "\n"
         "example: granary compare configs/heart-disease.yaml --seeds 5 --leave-one-out \\\n"
         "             --set policy.minimum_silos=1\n"},
    {.name = "coordinate",
     .run = gr_command_coordinate,
     .flags = GR_COMMAND_MPI | GR_COMMAND_LONG,
     .summary = "lead a study whose sites have accounts and machines of their own",
     .usage =
         "usage: granary coordinate STUDY --listen ADDRESS:PORT | --mailbox FOLDER [--key DIR]\n"
         "                          [--run DIR] [--certificate FILE --certificate-key FILE]\n"
         "                          [--initial FILE] [--idle TIME] [--quiet]\n",
     .options = coordinate_options,
     .notes = "A run that was stopped, or killed, is gone on with by the same command.\n"
              "\n"
              "example: granary coordinate study.yaml --listen 0.0.0.0:8443\n"},
    {.name = "join",
     .run = gr_command_join,
     .flags = GR_COMMAND_MPI | GR_COMMAND_LONG,
     .summary = "take part in a study as a site",
     .usage = "usage: granary join SITE --study STUDY [--idle TIME] [--leave] [--quiet]\n",
     .options = join_options,
     .notes = "Calls out only. With several silos: mpirun -n RANKS granary join ...\n"
              "\n"
              "example: granary join site.yaml --study study.yaml\n"},
    {.name = "init",
     .run = gr_command_init,
     .summary = "write a config and a schema for tables, ready to run",
     .usage = "usage: granary init TABLE.csv --label NAME [--group NAME] [--separator NAME] "
              "[--no-header]\n"
              "                    [--encoding latin1] -o FOLDER\n"
              "       granary init TABLE.csv TABLE.csv... --label NAME -o FOLDER\n",
     .options = init_options,
     .notes = "TABLE.csv is one table for all silos, or one for each. Says of each column what it\n"
              "was taken for. Cells that do not fit are named by line. Without --label it names\n"
              "the columns that are likely.\n"
              "\n"
              "example: granary init patients.csv --label died --group centre -o study\n"
              "example: granary init hospital-*.csv --label died -o study\n"},
    {.name = "validate",
     .run = gr_command_validate,
     .summary = "find what `train` would refuse, without training",
     .usage = "usage: granary validate CONFIG [--set SECTION.KEY=VALUE]... [--run DIR] "
              "[--resolved]\n"
              "       granary validate STUDY [--site SITE]\n"
              "       granary validate SITE\n",
     .options = validate_options,
     .notes = "Reads the tables as `train` does, once, and ends with the code that `train` would "
              "end with.\n"
              "Nothing is written. With tables larger than one process can hold: under mpirun.\n"
              "\n"
              "example: granary validate configs/synthetic.yaml --resolved\n"},
    {.name = "releases",
     .run = gr_command_releases,
     .summary = "list what a config lets out of a silo, and to whom",
     .usage = "usage: granary releases CONFIG [--set SECTION.KEY=VALUE]... [--json]\n"
              "       granary releases STUDY [--json]\n",
     .options = releases_options,
     .notes = "Of each release what leaves, as what numbers, to whom, how often, and by which rule "
              "it is\n"
              "withheld. No table is read. A run's events tell what has left: `granary help "
              "privacy`.\n"
              "\n"
              "example: granary releases configs/heart-disease.yaml\n"},
    {.name = "watch",
     .run = gr_command_watch,
     .summary = "show runs while they go on",
     .usage = "usage: granary watch RUN | FOLDER\n",
     .options = no_options,
     .notes =
         "RUN is a run directory, under way or ended; of a FOLDER of some there is a list first.\n"
         "On a terminal: rounds and time left, curves, phases, bytes, silos that are away, "
         "alerts;\n"
         "q ends. Elsewhere a line for each round, to the end of the runs. It reads files only:\n"
         "any host that sees the folder will do. NO_COLOR leaves colours out.\n"
         "\n"
         "example: granary watch runs/latest\n"},
    {.name = "inspect",
     .run = gr_command_inspect,
     .summary = "show a model, checkpoint, table or run directory",
     .usage = "usage: granary inspect [--digest] FILE | RUN\n",
     .options = inspect_options,
     .notes = "Of a run directory, live, stopped, finished or damaged: its state, rounds, scores, "
              "time, last\n"
              "event, and where its model is. Reads only.\n"
              "\n"
              "example: granary inspect runs/latest/model.h5\n"},
    {.name = "evaluate",
     .run = gr_command_evaluate,
     .flags = GR_COMMAND_MPI,
     .summary = "score a stored model on labelled rows",
     .usage = "usage: granary evaluate MODEL TABLE.h5 [--json]\n"
              "       granary evaluate MODEL TABLE.csv [--separator NAME] [--no-header]\n"
              "                                        [--encoding latin1] [--json]\n"
              "       granary evaluate MODEL --features FILE --labels FILE [--json]\n",
     .options = evaluate_options,
     .notes = "Under mpirun the rows are dealt to the ranks; what is printed is the same for any "
              "number.\n"
              "The AUC is counted in bins of scores: the range behind it encloses its exact "
              "value.\n"
              "\n"
              "example: granary evaluate runs/latest/model.h5 test.h5\n"},
    {.name = "gate",
     .run = gr_command_gate,
     .summary = "tell whether a run's model is good enough to go on",
     .usage = "usage: granary gate RUN [--gates FILE] [--junit FILE] [--json]\n",
     .options = gate_options,
     .notes =
         "Ends with 0 if all gates are passed and with 1 if one is not, which a figure that is\n"
         "not known is not. `granary help gates` tells what can be asked.\n"
         "\n"
         "example: granary gate runs/heart --gates release.yaml --junit gates.xml\n"},
    {.name = "reproduce",
     .run = gr_command_reproduce,
     .summary = "make a run again, and hold the models against each other",
     .usage = "usage: granary reproduce RUN [-n RANKS] [-o FOLDER] [--json]\n",
     .options = reproduce_options,
     .notes =
         "Trains by the resolved config of a run that has finished, in a folder of its own, with\n"
         "the silos that took part then. Ends with 0 if the model is the same to the last bit and\n"
         "with 1 if not: then with the first round and tensor that differ, and with what is not "
         "as\n"
         "it was of data and software. It is to be started where the run was started. A call that\n"
         "was stopped is gone on with by the same call. `granary help evidence`.\n"
         "\n"
         "example: granary reproduce runs/heart -n 2\n"},
    {.name = "explain",
     .run = gr_command_explain,
     .summary = "say why a run stands as it does, and what to do",
     .usage = "usage: granary explain RUN [--json]\n"
              "       granary explain CODE|NAME [--json]\n"
              "       granary explain --all\n",
     .options = explain_options,
     .notes =
         "Reads the records of a run that is under way, stopped, killed, failed, finished or\n"
         "damaged, and names what went otherwise, in which round, why, the next three steps and\n"
         "when to give up. CODE is an exit code; NAME is that of an event or an alert. The folder\n"
         "of a site in a study is told of by its journal. `granary help runbook`.\n"
         "\n"
         "example: granary explain runs/latest\n"
         "example: granary explain 75\n"
         "example: granary explain quorum lost\n"},
    {.name = "report",
     .run = gr_command_report,
     .summary = "make a page about a run, or compare several",
     .usage = "usage: granary report RUN [-o FILE]\n"
              "       granary report RUN|FOLDER... -o FILE [--csv FILE] [--json FILE]\n"
              "       granary report FOLDER [-o FILE]\n",
     .options = report_options,
     .notes =
         "RUN is a run directory, finished or not; FOLDER holds some. One HTML file that needs\n"
         "nothing else. Runs that differ in their seed alone are a group with mean and\n"
         "standard deviation. It tells no more than the run directories do, and no paths. A run\n"
         "writes its own report.html when it ends, and model-card.md, which is written anew\n"
         "here without -o. FOLDER of a site in a study: a page on all\n"
         "that has left the site, made from its journals.\n"
         "\n"
         "example: granary report runs/a runs/b -o comparison.html\n"
         "example: granary report runs/sweep -o sweep.html --csv sweep-runs.csv\n"},
    {.name = "predict",
     .run = gr_command_predict,
     .flags = GR_COMMAND_MPI,
     .summary = "write a stored model's predictions for rows",
     .usage = "usage: granary predict MODEL TABLE.h5 -o FILE\n"
              "       granary predict MODEL TABLE.csv [--id COLUMN] [--separator NAME] "
              "[--no-header]\n"
              "                                       [--encoding latin1] -o FILE\n"
              "       granary predict MODEL --features FILE -o FILE\n",
     .options = predict_options,
     .notes = "The table needs no labels; what it has is not looked at. Under mpirun the rows are "
              "dealt to\n"
              "the ranks; the file is the same for any number.\n"
              "\n"
              "example: granary predict runs/latest/model.h5 new.csv --id patient -o "
              "predictions.csv\n"},
    {.name = "import",
     .run = gr_command_import,
     .summary = "make an HDF5 table from a CSV file or IDX files",
     .usage = "usage: granary import FILE.csv [--label NAME] [--group NAME] [--separator NAME]\n"
              "                      [--first N] [--rows N] -o TABLE.h5\n"
              "       granary import FILE.csv --schema FILE.yaml [--separator NAME] "
              "[--no-header]\n"
              "                      [--first N] [--rows N] -o TABLE.h5\n"
              "       granary import --infer-schema FILE.csv [--label NAME] [--group NAME] [-o "
              "FILE.yaml]\n"
              "       granary import --features FILE --labels FILE [--first N] [--rows N] -o "
              "TABLE.h5\n",
     .options = import_options,
     .notes = "example: granary import patients.csv --label died -o patients.h5\n"
              "example: granary import --features train-images-idx3-ubyte.gz \\\n"
              "             --labels train-labels-idx1-ubyte.gz -o train.h5\n"},
    {.name = "keygen",
     .run = gr_command_keygen,
     .summary = "draw the keys of a coordinator or a site",
     .usage = "usage: granary keygen DIR\n",
     .options = no_options,
     .notes =
         "Writes DIR/secret.key (0600), which never leaves this machine, and DIR/public.key, a "
         "word\n"
         "for the study's file. Keys that are there are never replaced.\n"
         "\n"
         "example: granary keygen keys\n"},
    {.name = "study",
     .run = gr_command_study,
     .flags = GR_COMMAND_FILES | GR_COMMAND_OPEN,
     .summary = "sign, show or try out a study between institutions; tell how it stands",
     .usage = "usage: granary study sign STUDY --key DIR [--before STUDY]\n"
              "       granary study show STUDY\n"
              "       granary study trial STUDY SILO=FILE... -o FOLDER\n"
              "       granary study status FOLDER [--json]\n",
     .options = study_options,
     .words = "sign show trial status",
     .notes =
         "sign writes STUDY.sig, by the coordinator's key; whoever edits STUDY afterwards has to "
         "sign it\n"
         "again, and sites have to approve it again; a version by which a run is to go on\n"
         "(study.follows) needs --before. show tells its digest and whether it is signed.\n"
         "trial writes a config that trains the study on this machine, with a table for each "
         "silo;\n"
         "the sites would get the same model from these tables. status tells who is there, what "
         "is\n"
         "waited for and since when, by the files of FOLDER alone: the coordinator's run "
         "directory, "
         "or\n"
         "the site's folder of the study, <site.directory>/<study.name>.\n"
         "\n"
         "example: granary study sign study.yaml --key keys\n"},
    {.name = "approve",
     .run = gr_command_approve,
     .summary = "show a site what of it would leave for a study, and approve that",
     .usage = "usage: granary approve STUDY --site SITE [--yes] [--number TEXT] [--by TEXT]\n",
     .options = approve_options,
     .notes =
         "Shows the study, what would leave, and what the site's policy says; a study that the "
         "policy\n"
         "refuses cannot be approved (77). The digest is recorded, signed, in approvals.jsonl of "
         "the\n"
         "site's folder; `granary join` takes part in no other study.\n"
         "\n"
         "example: granary approve study.yaml --site site.yaml\n"},
    {.name = "audit",
     .run = gr_command_audit,
     .summary = "hold the evidence of a study against itself",
     .usage = "usage: granary audit RUN [--journal FILE]... [--study STUDY]\n",
     .options = audit_options,
     .notes =
         "RUN is the coordinator's run directory, or a copy of it. One page: who, which study, "
         "what holds,\n"
         "and what does not, each with file and line; 65 where anything is amiss. Reads only; "
         "needs no key.\n"
         "`granary help evidence` tells who keeps what, and what is checked.\n"
         "\n"
         "example: granary audit runs/heart --journal north/journal.jsonl --study study.yaml\n"},
    {.name = "withdraw",
     .run = gr_command_withdraw,
     .flags = GR_COMMAND_LONG,
     .summary = "take a silo out of a model, by training another without it",
     .usage = "usage: granary withdraw RUN --silo SILO [-o DIR] [-n RANKS] [--study STUDY]\n"
              "                        [--key DIR] [--minimum-silos N]\n",
     .options = withdraw_options,
     .notes =
         "Trains by the rounds that RUN has recorded, in DIR/run, and says in RUN/withdrawn.json "
         "what was\n"
         "done. Of a study's run it writes and signs DIR/study.yaml, which the sites that are left "
         "approve\n"
         "and run; then the same command says what was done. A call that was stopped is gone on "
         "with by the\n"
         "same call. `granary help withdrawal` tells what cannot be undone.\n"
         "\n"
         "example: granary withdraw runs/heart --silo zurich -n 4\n"},
    {.name = "privacy",
     .run = gr_command_privacy,
     .flags = GR_COMMAND_FILES,
     .summary = "how much noised sums tell of one unit, and how much noise an epsilon needs",
     .usage =
         "usage: granary privacy epsilon --noise-multiplier Z --steps N --delta D [...]\n"
         "       granary privacy noise --epsilon E --steps N --delta D [...]\n"
         "       granary privacy table --noise-multiplier Z --steps N --delta D [...]\n"
         "       granary privacy plan CONFIG [--set S.K=V]... [--before Z,Q,N]... [--json]\n"
         "       granary privacy ledger FILE | FOLDER [--delta D] [--adjacency NAME] [--json]\n"
         "       granary privacy ledger FILE | FOLDER --adopt DIGEST\n"
         "       granary privacy audit CONFIG [--set S.K=V]... [--canaries N] [--confidence C] "
         "[--json]\n",
     .options = privacy_options,
     .words = "epsilon noise table plan ledger audit",
     .notes =
         "epsilon tells between which two numbers the smallest epsilon for the delta is, and what "
         "Renyi\n"
         "divergences alone would tell; noise the smallest noise multiplier for an epsilon; table "
         "how\n"
         "epsilon grows with the steps. plan tells what a config promises to whom, what it costs, "
         "and how many\n"
         "rounds fit its budget; ledger what all runs have spent on a silo's table, and checks the "
         "file.\n"
         "audit trains a config on a silo's table, with canaries, and checks its steps: what it "
         "tells depends on\n"
         "rows, and is not to leave the silo. The others train nothing, and read no data. `granary "
         "help\n"
         "accounting`, `granary help privacy-budget` and `granary help privacy-audit` tell more.\n"
         "\n"
         "example: granary privacy plan configs/private.yaml\n"
         "example: granary privacy epsilon --noise-multiplier 1.1 --sampling 0.00427 --steps 14063 "
         "--delta 1e-5\n"},
    {.name = "completion",
     .run = gr_command_completion,
     .summary = "write what lets a shell complete commands and options",
     .usage = "usage: granary completion bash | zsh\n",
     .options = no_options,
     .words = "bash zsh",
     .notes = "`make install` installs both. Below /usr or /usr/local the shells find them; with\n"
              "another PREFIX bash needs, in ~/.bashrc:\n"
              "  source PREFIX/share/bash-completion/completions/granary\n"
              "and zsh, in ~/.zshrc, before compinit:\n"
              "  fpath=(PREFIX/share/zsh/site-functions $fpath)\n"
              "\n"
              "example: granary completion bash >granary.bash\n"},
    {.name = "version",
     .run = gr_command_version,
     .summary = "show versions",
     .usage = "usage: granary version [--verbose]\n",
     .options = version_options,
     .notes = "example: granary version --verbose\n"},
};
const size_t gr_commands_n = sizeof gr_commands / sizeof *gr_commands;

const struct gr_command *gr_command_find(const char *name) {
    for (size_t i = 0; i < gr_commands_n; i++)
        if (strcmp(name, gr_commands[i].name) == 0) return &gr_commands[i];
    return NULL;
}

/* ---- help of a command ---------------------------------------------------------------------- */

/* "-o, --output FILE"; returns its length. */
static int label_of(const struct gr_option *option, char out[64]) {
    char letter[5] = "";
    if (option->letter) snprintf(letter, sizeof letter, "-%c, ", option->key);
    return snprintf(out, 64, "%s--%s%s%s", letter, option->name, option->value ? " " : "",
                    option->value ? option->value : "");
}

/* Lines behind the first stand below it. */
static void write_option(FILE *stream, const struct gr_option *option, int width) {
    char label[64];
    (void)label_of(option, label);
    fprintf(stream, "  %-*s  ", width, label);
    for (const char *c = option->help; *c; c++) {
        fputc(*c, stream);
        if (*c == '\n') fprintf(stream, "%*s", width + 4, "");
    }
    fputc('\n', stream);
}

/* All options of a command are aligned to the longest label. */
void gr_command_help(FILE *stream, const struct gr_command *command) {
    char label[64];
    int width = 0;
    fprintf(stream, "%s\n", command->usage);
    for (const struct gr_option *option = command->options; option->name; option++) {
        const int n = label_of(option, label);
        if (n > width) width = n;
    }
    for (const struct gr_option *option = command->options; option->name; option++)
        write_option(stream, option, width);
    fprintf(stream, "%s%s", command->options->name ? "\n" : "", command->notes);
}
