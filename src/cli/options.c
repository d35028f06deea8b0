/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that several subcommands share: options by the table of commands, positional arguments,
 * files in each other's place, and the end of MPI.
 */
#include "cli/command.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPTIONS_MAX = 32 };

/* The option that was meant by "--sett" or "--sett=1"; NULL: none is near in spelling. */
static const char *nearest_option(const char *word, const struct gr_option *options) {
    const char *names[OPTIONS_MAX];
    char name[64];
    size_t n = 0;
    if (strncmp(word, "--", 2) != 0) return NULL;
    for (; n < OPTIONS_MAX && options[n].name; n++)
        names[n] = options[n].name;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    return gr_text_nearest(name, names, n);
}

/*
 * A hint where an option belongs to another program or command: ranks are mpirun's, or `granary
 * run`'s.
 */
static const char *advice(const char *command, const char *word) {
    const bool ranks = strncmp(word, "-n", 2) == 0 || strcmp(word, "--np") == 0;
    if (ranks && (strcmp(command, "train") == 0 || strcmp(command, "predict") == 0 ||
                  strcmp(command, "evaluate") == 0 || strcmp(command, "validate") == 0))
        return strcmp(command, "train") == 0 ? "; ranks are given by `granary run -n RANKS`"
                                             : "; ranks are given by `mpirun -n RANKS granary ...`";
    return strcmp(command, "run") == 0 ? "; options of mpirun follow `--`" : "";
}

/* The nearest name goes before general advice: a misspelling is the commoner mistake. */
static void refuse_option(const char *command, const char *word, bool lacks_value,
                          const struct gr_option *options) {
    const char *nearest = nearest_option(word, options);
    char quoted[80];
    gr_text_quote(word, strlen(word), quoted, sizeof quoted);
    if (lacks_value)
        (void)gr_fail(GR_ERROR_USAGE, "%s needs a value after '%s'; see `granary help %s`", command,
                      quoted, command);
    else
        (void)gr_fail(GR_ERROR_USAGE,
                      "%s does not take the option '%s'%s%s%s%s; see `granary help %s`", command,
                      quoted, nearest ? ", did you mean '--" : "", nearest ? nearest : "",
                      nearest ? "'" : "", nearest ? "" : advice(command, word), command);
}

/*
 * The lists that getopt_long takes. letters: "o:", for each option two bytes at most, behind a ":"
 * that makes a missing value ':' instead of '?'.
 */
static void list_options(const struct gr_option *options, struct option list[OPTIONS_MAX],
                         char letters[2 * OPTIONS_MAX]) {
    size_t used = 0, i = 0;
    letters[used++] = ':';
    for (; options[i].name && i + 1 < OPTIONS_MAX; i++) {
        list[i] =
            (struct option){options[i].name, options[i].value ? required_argument : no_argument,
                            NULL, options[i].key};
        if (!options[i].letter) continue;
        letters[used++] = options[i].key;
        if (options[i].value) letters[used++] = ':';
    }
    list[i] = (struct option){0};
    letters[used] = '\0';
}

/*
 * Options may stand behind arguments: getopt_long moves arguments to the end of argv. Its own
 * messages are off; refuse_option's have a hint.
 */
int gr_next_option(struct gr_invocation *invocation) {
    const struct gr_option *options = gr_command_find(invocation->argv[0])->options;
    struct option list[OPTIONS_MAX];
    char letters[2 * OPTIONS_MAX];
    list_options(options, list, letters);
    opterr = 0;
    int option = getopt_long(invocation->argc, invocation->argv, letters, list, NULL);
    if (option == '?' || option == ':') {
        /* Within a cluster of letters optind has not moved yet: the letter is in optopt. */
        const char letter[] = {'-', (char)optopt, '\0'};
        const char *word = invocation->argv[optind - 1];
        if (strncmp(word, "--", 2) != 0) word = letter;
        refuse_option(invocation->argv[0], word, option == ':', options);
        return '?';
    }
    return option;
}

gr_status gr_overrides_add(struct gr_overrides *overrides, const char *text) {
    const char **grown = realloc(overrides->text, (overrides->n + 1) * sizeof *grown);
    if (!grown) return gr_fail(GR_ERROR_INTERNAL, "memory for --set was refused");
    overrides->text = grown;
    overrides->text[overrides->n++] = text;
    return GR_OK;
}

/* The comparison refuses NaN as well. */
gr_status gr_read_number(const char *what, const char *text, double smallest, double largest,
                         double *out) {
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    if (end != text && *end == '\0' && *out >= smallest && *out <= largest) return GR_OK;
    return gr_fail(GR_ERROR_USAGE, "%s: found '%.80s', expected %.10g to %.10g", what, text,
                   smallest, largest);
}

gr_status gr_read_count(const char *what, const char *text, uint32_t smallest, uint32_t largest,
                        uint32_t *out) {
    double number;
    gr_status status = gr_read_number(what, text, smallest, largest, &number);
    if (status == GR_OK && number != floor(number))
        status = gr_fail(GR_ERROR_USAGE, "%s: found '%.80s', expected a whole number", what, text);
    if (status == GR_OK) *out = (uint32_t)number;
    return status;
}

/* The blanks of "--set a = b" and of unquoted names are told apart, as both are common. */
gr_status gr_only_argument(struct gr_invocation *invocation, const char *what, const char **out) {
    const int found = invocation->argc - optind;
    const char *command = invocation->argv[0];
    char quoted[80];
    if (found == 0)
        return gr_fail(GR_ERROR_USAGE, "%s: %s is missing; see `granary help %s`", command, what,
                       command);
    *out = invocation->argv[optind];
    if (found == 1) return GR_OK;
    const char *extra = invocation->argv[optind + 1];
    gr_text_quote(extra, strlen(extra), quoted, sizeof quoted);
    return gr_fail(GR_ERROR_USAGE,
                   "%s: found %d arguments, expected one, %s: '%s' is one too many (%s); see "
                   "`granary help %s`",
                   command, found, what, quoted,
                   strcmp(extra, "=") == 0 ? "there are no blanks around the = of --set"
                                           : "a name with blanks is put in quotes",
                   command);
}

/* ---- a config that is none ------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *ending) {
    const size_t n = strlen(path), m = strlen(ending);
    return n > m && strcasecmp(path + n - m, ending) == 0;
}

static bool holds(const char *folder, const char *name) {
    char *path = NULL;
    if (gr_text_format(&path, "%s/%s", folder, name) != GR_OK) return false;
    const bool found = access(path, F_OK) == 0;
    gr_free(path);
    return found;
}

bool gr_is_table_name(const char *path) {
    static const char *const endings[] = {".csv", ".tsv", ".csv.gz", ".tsv.gz", ".data"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_in(path, endings[i])) return true;
    return false;
}

bool gr_is_yaml_name(const char *path) {
    return ends_in(path, ".yaml") || ends_in(path, ".yml");
}

/*
 * By name and first bytes only, before a parser would complain about the first line of a table. A
 * file that is missing is left to the reader, which has the better message.
 */
gr_status gr_check_is_config(const char *path) {
    enum gr_data_source source;
    struct stat info;
    if (stat(path, &info) != 0) return GR_OK; /* told by who reads it */
    if (S_ISDIR(info.st_mode) && holds(path, "manifest.json"))
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: a run directory, expected a config; to go on with it: granary train "
                       "%s/config.yaml --run %s --resume",
                       path, path, path);
    if (S_ISDIR(info.st_mode))
        return gr_fail(GR_ERROR_CONFIG, "%s: a folder, expected a config: a YAML file", path);
    if (gr_is_table_name(path))
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: a table, expected a config: a YAML file that names the table in "
                       "data.train.file",
                       path);
    const bool study = gr_file_has_section(path, "study");
    if (study || gr_file_has_section(path, "site"))
        return gr_fail(
            GR_ERROR_CONFIG,
            "%s: the file of a %s, expected a config; `granary help institutions` tells of "
            "studies",
            path, study ? "study" : "site");
    if (gr_table_find_source(path, &source) != GR_OK || source == GR_SOURCE_CSV) return GR_OK;
    return gr_fail(GR_ERROR_CONFIG, "%s: an %s file, expected a config: a YAML file", path,
                   source == GR_SOURCE_HDF5 ? "HDF5" : "IDX");
}

/* A model and a table in the wrong order are recognised by the table's HDF5 signature. */
gr_status gr_check_is_model(const char *command, const char *path, const char *table) {
    enum gr_data_source source, of_table;
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        const bool has = holds(path, "model.h5");
        return gr_fail(GR_ERROR_DATA, "%s: a folder, expected a model%s%s%s", path,
                       has ? "; its model is " : "", has ? path : "", has ? "/model.h5" : "");
    }
    if (gr_table_find_source(path, &source) != GR_OK || source == GR_SOURCE_HDF5) return GR_OK;
    const bool swapped =
        table[0] && gr_table_find_source(table, &of_table) == GR_OK && of_table == GR_SOURCE_HDF5;
    return gr_fail(GR_ERROR_DATA, "%s: no model, expected `granary %s MODEL TABLE`%s", path,
                   command, swapped ? ", in this order" : "");
}

/* /proc/self/exe and not argv[0], which need not be a path. */
gr_status gr_own_program(char out[PATH_MAX]) {
    static const char deleted[] = " (deleted)";
    const ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (n < 0) return gr_fail(GR_ERROR_INTERNAL, "/proc/self/exe cannot be read");
    out[n] = '\0';
    /* Installed anew meanwhile: the new one is where the old one was. */
    char *end = out + n - (sizeof deleted - 1);
    if (end > out && strcmp(end, deleted) == 0) *end = '\0';
    return GR_OK;
}

/*
 * After a loss on a single host MPI_Finalize is left out: it may wait for the dead. On several
 * hosts it has to be called, or the launcher's daemons never end the job.
 */
void gr_leave(struct gr_invocation *invocation, struct gr_comm *comm) {
    if (!comm) return;
    invocation->ranks_lost = gr_comm_losses(comm);
    invocation->leaves = invocation->ranks_lost && gr_comm_hosts(comm) == 1;
    gr_comm_free(comm);
}

gr_status gr_read_encoding(const struct gr_invocation *invocation, const char *text,
                           enum gr_encoding_of_text *out) {
    char quoted[80];
    const bool utf8 = strcmp(text, "utf8") == 0;
    if (utf8 || strcmp(text, "latin1") == 0) {
        *out = utf8 ? GR_TEXT_UTF8 : GR_TEXT_LATIN1;
        return GR_OK;
    }
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    return gr_fail(GR_ERROR_USAGE, "%s: --encoding: found '%s', expected utf8 or latin1",
                   invocation->argv[0], quoted);
}

/* The byte itself is taken too, as users of other tools expect (--separator ';'). */
gr_status gr_read_separator(const struct gr_invocation *invocation, const char *text,
                            enum gr_separator *out) {
    static const char *const names[] = {"comma", "semicolon", "tab", "pipe",
                                        "space", "blanks",    "auto"};
    char quoted[80];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        enum gr_separator separator = (enum gr_separator)i;
        bool byte = separator <= GR_SEPARATOR_SPACE && text[0] == gr_separator_byte(separator) &&
                    text[1] == '\0';
        if (!byte && strcmp(text, names[i]) != 0) continue;
        *out = separator;
        return GR_OK;
    }
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    return gr_fail(
        GR_ERROR_USAGE,
        "%s: --separator: found '%s', expected comma, semicolon, tab, pipe, space, blanks "
        "or auto",
        invocation->argv[0], quoted);
}
