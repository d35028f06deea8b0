/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subcommands of `granary`. To add one:
 *   1. src/cli/command_<name>.c with `gr_status gr_command_<name>(struct gr_invocation *)`;
 *   2. its declaration below, and its row in the table of commands.c with summary, usage, options
 *      and example (parsing, help, the manual page granary.1 and completions follow it);
 *   3. a line in tests/system/test_commands.sh, which also checks that --help works.
 * A subcommand parses, calls the library and prints. Only this room prints; only main.c exits.
 */
#ifndef GRANARY_CLI_COMMAND_H
#define GRANARY_CLI_COMMAND_H

#include <getopt.h>
#include <granary/granary.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>

/* ---- process.c: before any command --------------------------------------------------------------
 */

/*
 * Opens /dev/null where standard input, output or error are closed: a file or pipe opened later
 * must not take their place. output_matters: what is printed is the command's result, so that
 * writing it fails, as it does where output is closed.
 */
void gr_start_streams(bool output_matters);

/* Whether this process is rank 0, or the only one, as far as its launcher tells before MPI does. */
bool gr_start_is_first(void);

/* From now on that signal is no death but noted where the result points to. */
const volatile sig_atomic_t *gr_catch_stop(int number);

/* How many processes there are, as whoever started this one told it; 0: it did not. */
struct gr_company {
    long told;
    const char *by; /* the variable that says so */
};
/* To be asked before MPI starts, which sets such variables too. */
struct gr_company gr_start_company(void);
/* Before MPI starts, which may end the process in this case. GR_ERROR_USAGE: there are more, and no
 * way in which MPI could come to know them. */
gr_status gr_start_check_launcher(const struct gr_company *company) GR_CHECKED;
/* Before MPI starts. Without a launcher MPI opens no port and starts no daemon. */
void gr_start_alone(void);
/* GR_ERROR_USAGE: there are more, and MPI, with `size` ranks, does not know them. */
gr_status gr_start_check_company(const struct gr_company *company, int size) GR_CHECKED;
/* For `granary run`. GR_ERROR_USAGE: srun has started several of it. */
gr_status gr_start_check_once(void) GR_CHECKED;

struct gr_invocation {
    int argc; /* argv[0] is the subcommand's name */
    char **argv;
    MPI_Comm world;  /* MPI_COMM_NULL for subcommands that need no MPI */
    bool speaks;     /* this rank prints what went wrong, and notes the status */
    bool ranks_lost; /* some rank died or was given up */
    bool leaves;     /* and MPI is to be left as it is */
    bool told;       /* what went wrong has been printed */
};

/*
 * Runs the rest of a command under MPI, once in a process; every rank returns the same status, rank
 * 0 prints what went wrong. is_long: SIGUSR1 stops it in order, else it is ignored.
 */
gr_status gr_run_with_mpi(gr_status (*run)(struct gr_invocation *), bool is_long,
                          struct gr_invocation *invocation) GR_CHECKED;

/* ---- commands.c: the table ------------------------------------------------------------------ */

enum gr_value_kind {
    GR_VALUE_OTHER, /* nobody but the user knows it */
    GR_VALUE_FILE,
    GR_VALUE_FOLDER,
    GR_VALUE_WORD,   /* one of `words` */
    GR_VALUE_SETTING /* section.key=value */
};

struct gr_option {
    const char *name;        /* "output", given as --output; NULL ends a list */
    char key;                /* what gr_next_option returns for it */
    bool letter;             /* -key means the same */
    const char *value;       /* what help calls its value; NULL: it takes none */
    enum gr_value_kind kind; /* of the value, for completion */
    const char *words;       /* GR_VALUE_WORD: with blanks between */
    const char *help;        /* lines, without a newline at the end */
};

enum {
    GR_COMMAND_MPI = 1,
    GR_COMMAND_LONG = 2,  /* a signal stops it in order, and what it prints is no result */
    GR_COMMAND_FILES = 4, /* files follow the word that is its first argument */
    GR_COMMAND_OPEN = 8   /* what it writes is for others to read, as far as the umask says */
};

struct gr_command {
    const char *name;
    gr_status (*run)(struct gr_invocation *);
    int flags;
    const char *summary;
    const char *usage; /* its forms: lines */
    const struct gr_option *options;
    const char *words; /* that its first argument is one of; NULL: arguments are files */
    const char *notes; /* lines behind the options in help: more of it, and examples */
};
extern const struct gr_command gr_commands[];
extern const size_t gr_commands_n;

/* Options of commands with many, beside the command. */
extern const struct gr_option gr_sweep_options[];
extern const struct gr_option gr_compare_options[];

/* NULL: there is none of this name. */
const struct gr_command *gr_command_find(const char *name);
/* Usage, options and notes, as `granary help COMMAND` shows them below the summary. */
void gr_command_help(FILE *stream, const struct gr_command *command);

/* ---- command_help.c ------------------------------------------------------------------------- */

/* GR_ERROR_USAGE, with what may have been meant. */
gr_status gr_command_refuse(const char *name);

/* The commands and the topics of the manual. */
void gr_help_overview(FILE *stream);
/* `granary help ...`; argv: what follows `help`. */
gr_status gr_help(int argc, char **argv) GR_CHECKED;

gr_status gr_command_train(struct gr_invocation *invocation);
gr_status gr_command_coordinate(struct gr_invocation *invocation);
gr_status gr_command_join(struct gr_invocation *invocation);
gr_status gr_command_run(struct gr_invocation *invocation);
gr_status gr_command_validate(struct gr_invocation *invocation);
gr_status gr_command_releases(struct gr_invocation *invocation);
gr_status gr_command_inspect(struct gr_invocation *invocation);
gr_status gr_command_evaluate(struct gr_invocation *invocation);
gr_status gr_command_report(struct gr_invocation *invocation);
gr_status gr_command_predict(struct gr_invocation *invocation);
gr_status gr_command_init(struct gr_invocation *invocation);
gr_status gr_command_import(struct gr_invocation *invocation);
gr_status gr_command_keygen(struct gr_invocation *invocation);
gr_status gr_command_study(struct gr_invocation *invocation);
gr_status gr_command_approve(struct gr_invocation *invocation);
gr_status gr_command_audit(struct gr_invocation *invocation);
gr_status gr_command_completion(struct gr_invocation *invocation);
gr_status gr_command_version(struct gr_invocation *invocation);
gr_status gr_command_withdraw(struct gr_invocation *invocation);
gr_status gr_command_privacy(struct gr_invocation *invocation);
gr_status gr_command_gate(struct gr_invocation *invocation);
gr_status gr_command_watch(struct gr_invocation *invocation);
gr_status gr_command_explain(struct gr_invocation *invocation);
gr_status gr_command_sweep(struct gr_invocation *invocation);
gr_status gr_command_reproduce(struct gr_invocation *invocation);
gr_status gr_command_compare(struct gr_invocation *invocation);

/*
 * The key of the next option, out of the command's row of the table, with its value in optarg; -1:
 * there are no more. '?': an unknown or incomplete one, which sets the message.
 */
int gr_next_option(struct gr_invocation *invocation);

/* The `--set` values of a command line, in order; text borrowed from argv. */
struct gr_overrides {
    const char **text; /* owned */
    size_t n;
};
gr_status gr_overrides_add(struct gr_overrides *overrides, const char *text) GR_CHECKED;

/* An option's value, within limits; `what` names the option. GR_ERROR_USAGE. */
gr_status gr_read_number(const char *what, const char *text, double smallest, double largest,
                         double *out) GR_CHECKED;
gr_status gr_read_count(const char *what, const char *text, uint32_t smallest, uint32_t largest,
                        uint32_t *out) GR_CHECKED;

/* The single file name that must follow the options. */
gr_status gr_only_argument(struct gr_invocation *invocation, const char *what,
                           const char **out) GR_CHECKED;

/* By their names only. */
bool gr_is_table_name(const char *path);
bool gr_is_yaml_name(const char *path);
/* Refuses a file that cannot be a config, GR_ERROR_CONFIG, or a model, GR_ERROR_DATA;
 * GR_OK: nothing speaks against it. table: the argument behind it, or "". */
gr_status gr_check_is_config(const char *path) GR_CHECKED;
gr_status gr_check_is_model(const char *command, const char *path, const char *table) GR_CHECKED;

/* ---- studies.c and command_releases.c -------------------------------------------------------- */

/* A study for people: sites, keys, rounds, model, columns; nothing of what leaves. */
void gr_print_study(const struct gr_study *study);
/* What a version changes of one before it, a line each. */
gr_status gr_print_changes(const struct gr_study *then, const struct gr_study *now) GR_CHECKED;
/* A word to the coordinator on what sites without a policy of their own would refuse. */
gr_status gr_tell_refused(const struct gr_study *study) GR_CHECKED;
/* `granary study trial`: FOLDER/config.yaml of a study and a table for each silo, n words
 * SILO=FILE, which are written to. */
gr_status gr_study_trial(const char *path, char **tables, int n, const char *folder) GR_CHECKED;
/* `granary study status`: of the folder of a party's process. */
gr_status gr_study_status(const char *folder, bool json) GR_CHECKED;
/* `granary validate` of a study or a site, to standard output. */
gr_status gr_validate_study(const char *path) GR_CHECKED;
gr_status gr_validate_site(const char *path) GR_CHECKED;
/* The releases of a config and its policy, as `granary releases` prints them. */
void gr_print_releases(const struct gr_config *config);

/* ---- folders.c ------------------------------------------------------------------------------- */

/* Where there is none. Errors: GR_ERROR_WRITE. */
gr_status gr_make_folder(const char *path) GR_CHECKED;
/* The folders above a path, like mkdir -p. Errors: GR_ERROR_WRITE. */
gr_status gr_make_folders_above(const char *path) GR_CHECKED;

/* The path of this program, to be started again. */
gr_status gr_own_program(char out[PATH_MAX]) GR_CHECKED;

/* A line on standard error where a silo has been withdrawn from the model in a file, or the run
 * whose folder it is in. */
void gr_warn_withdrawn(const char *model_path);

/* Frees comm, which may be NULL, and notes how MPI is to be left. */
void gr_leave(struct gr_invocation *invocation, struct gr_comm *comm);

/* --separator's value: by name, as in a config, or the byte itself. */
gr_status gr_read_separator(const struct gr_invocation *invocation, const char *text,
                            enum gr_separator *out) GR_CHECKED;

/* --encoding's value, by name as in a config. */
gr_status gr_read_encoding(const struct gr_invocation *invocation, const char *text,
                           enum gr_encoding_of_text *out) GR_CHECKED;

/* "running", "stopped; --resume goes on", ... of the run in a folder: of the summary it takes
 * outcome, rounds, seconds and the records' age. Words of a run that a process is at work on begin
 * with "running" or "about to". */
const char *gr_run_state_words(const char *path, const struct gr_run_summary *summary,
                               char out[128]);

/* Prints the findings in a table's columns, a line each; nothing for none. */
gr_status gr_print_findings(FILE *stream, const struct gr_scored *scored) GR_CHECKED;
/* An evaluation to standard output: for people, and with all digits. */
gr_status gr_print_scores(const struct gr_scored *scored) GR_CHECKED;
gr_status gr_print_scores_json(const struct gr_scored *scored) GR_CHECKED;

#endif
