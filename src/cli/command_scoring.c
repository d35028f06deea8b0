/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary evaluate and granary predict: a stored model on a table of rows, by all ranks. Only rank
 * 0 prints; results are the same for any number of ranks.
 */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

struct scoring_words {
    char *model, *file, *features, *labels, *output; /* borrowed; "" where absent */
    const char *id;                                  /* NULL: none */
    bool json, no_header, separated, encoded, formatted;
    enum gr_separator separator;
    enum gr_encoding_of_text encoding;
    enum gr_data_source source; /* once the file has been looked at */
};

/*
 * Takes MODEL and a table, or with --features MODEL alone. A name with blanks that was not quoted
 * is the usual reason for one too many, and the message says so.
 */
static gr_status take_names(struct gr_invocation *invocation, struct scoring_words *words) {
    const bool pair = words->features[0];
    const int found = invocation->argc - optind, wanted = pair ? 1 : 2;
    char extra[80], hint[160] = "";
    if (found > wanted) {
        const char *word = invocation->argv[optind + wanted];
        gr_text_quote(word, strlen(word), extra, sizeof extra);
        snprintf(hint, sizeof hint, ": '%s' is one too many (a name with blanks is put in quotes)",
                 extra);
    }
    if (found != wanted)
        return gr_fail(GR_ERROR_USAGE,
                       "%s: found %d arguments, expected %s%s; see `granary help %s`",
                       invocation->argv[0], found,
                       pair ? "one beside --features: MODEL" : "two: MODEL and a table", hint,
                       invocation->argv[0]);
    words->model = invocation->argv[optind];
    if (!pair) words->file = invocation->argv[optind + 1];
    return GR_OK;
}

/* The single file that was named is IDX: it holds features, and labels come from another file. */
static gr_status take_idx(const char *command, struct scoring_words *words, bool labelled) {
    if (labelled && !words->labels[0])
        return gr_fail(GR_ERROR_USAGE,
                       "%s: %s is an IDX file, whose labels are in another: --labels FILE is "
                       "missing",
                       command, words->file);
    words->features = words->file;
    return GR_OK;
}

/*
 * The format of the table: by --format, else by the first bytes of the file, whatever its name.
 * Options that do not apply to it are refused and not ignored.
 */
static gr_status find_source(const char *command, struct scoring_words *words, bool labelled) {
    gr_status status = GR_OK;
    GR_TRY(gr_check_is_model(command, words->model, words->file));
    if (gr_is_yaml_name(words->file))
        return gr_fail(GR_ERROR_USAGE, "%s: %s: a config or a schema, expected a table", command,
                       words->file);
    if (words->features[0]) {
        words->source = GR_SOURCE_IDX;
    } else {
        if (!words->formatted) GR_TRY(gr_table_find_source(words->file, &words->source));
        if (words->source == GR_SOURCE_IDX) GR_TRY(take_idx(command, words, labelled));
    }
    const bool csv = words->source == GR_SOURCE_CSV, idx = words->source == GR_SOURCE_IDX;
    if (!csv && (words->no_header || words->separated || words->encoded))
        return gr_fail(GR_ERROR_USAGE,
                       "%s: --separator, --encoding and --no-header are of CSV files, and %s is %s",
                       command, idx ? words->features : words->file, idx ? "IDX" : "HDF5");
    if (idx && words->id)
        return gr_fail(GR_ERROR_USAGE, "%s: --id: an IDX file has no columns", command);
    if (!idx && words->labels[0])
        return gr_fail(GR_ERROR_USAGE, "%s: --labels is of IDX files; %s has its labels itself",
                       command, words->file);
out:
    return status;
}

static struct gr_table_options options_of(const struct scoring_words *words) {
    return (struct gr_table_options){.source = words->source,
                                     .id = words->id,
                                     .csv = {.separator = words->separator,
                                             .header = !words->no_header,
                                             .encoding = words->encoding}};
}

/* Collective. find_source opens files, which may fail on some hosts only, hence the agreement. */
static gr_status start(struct gr_invocation *invocation, struct scoring_words *words, bool labelled,
                       struct gr_comm **comm) {
    struct gr_comm_options whole_nodes = {0};
    gr_status status = gr_comm_create(invocation->world, &whole_nodes, comm);
    if (status != GR_OK) return status;
    if (invocation->speaks) gr_warn_withdrawn(words->model);
    return gr_comm_agree(*comm, find_source(invocation->argv[0], words, labelled));
}

static struct gr_table_config table_of(const struct scoring_words *words) {
    return (struct gr_table_config){
        .file = words->file, .features = words->features, .labels = words->labels};
}

/* Indexed by enum gr_data_source, so that the names cannot be out of step with it. */
static gr_status read_format(const char *command, const char *text, struct scoring_words *words) {
    static const char *const names[] = {
        [GR_SOURCE_IDX] = "idx", [GR_SOURCE_HDF5] = "hdf5", [GR_SOURCE_CSV] = "csv"};
    char quoted[80];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        words->source = (enum gr_data_source)i;
        words->formatted = true;
        return GR_OK;
    }
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    return gr_fail(GR_ERROR_USAGE, "%s: --format: found '%s', expected csv, hdf5 or idx", command,
                   quoted);
}

/* An option that both commands have. */
static gr_status read_option(struct gr_invocation *invocation, int option,
                             struct scoring_words *words) {
    switch (option) {
    case 'f':
        words->features = optarg;
        return GR_OK;
    case 'h':
        words->no_header = true;
        return GR_OK;
    case 'm':
        return read_format(invocation->argv[0], optarg, words);
    case 'd':
        words->separated = true;
        return gr_read_separator(invocation, optarg, &words->separator);
    case 'e':
        words->encoded = true;
        return gr_read_encoding(invocation, optarg, &words->encoding);
    default:
        return GR_ERROR_USAGE;
    }
}

/* The library takes paths as char *, "" where absent; nothing writes to them. */
static struct scoring_words no_words(void) {
    static char none[] = "";
    return (struct scoring_words){.model = none,
                                  .file = none,
                                  .features = none,
                                  .labels = none,
                                  .output = none,
                                  .separator = GR_SEPARATOR_AUTO};
}

/* ---- evaluate ------------------------------------------------------------------------------- */

static gr_status read_evaluate(struct gr_invocation *invocation, struct scoring_words *words) {
    gr_status status;
    int option;
    *words = no_words();
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == 'l')
            words->labels = optarg;
        else if (option == 'j')
            words->json = true;
        else
            GR_TRY(read_option(invocation, option, words));
    }
    if (words->features[0] && !words->labels[0])
        return gr_fail(GR_ERROR_USAGE,
                       "evaluate: --features and --labels go together: --labels FILE is missing");
    status = take_names(invocation, words);
out:
    return status;
}

/* gr_leave comes last and on every way out: comm may hold MPI resources. */
gr_status gr_command_evaluate(struct gr_invocation *invocation) {
    gr_status status = GR_OK;
    struct scoring_words words;
    struct gr_comm *comm = NULL;
    struct gr_scored scored = {0};
    GR_TRY(read_evaluate(invocation, &words));
    GR_TRY(start(invocation, &words, true, &comm));
    const struct gr_table_config table = table_of(&words);
    const struct gr_table_options options = options_of(&words);
    GR_TRY(gr_evaluate_table(comm, words.model, &table, &options, &scored));
    if (!invocation->speaks) goto out;
    status = words.json ? gr_print_scores_json(&scored) : gr_print_scores(&scored);
out:
    gr_scored_release(&scored);
    gr_leave(invocation, comm);
    return status;
}

/* ---- predict -------------------------------------------------------------------------------- */

static gr_status read_predict(struct gr_invocation *invocation, struct scoring_words *words) {
    gr_status status;
    int option;
    *words = no_words();
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == 'o')
            words->output = optarg;
        else if (option == 'i')
            words->id = optarg;
        else
            GR_TRY(read_option(invocation, option, words));
    }
    if (!words->output[0])
        return gr_fail(GR_ERROR_USAGE, "predict: -o FILE is missing; see `granary help predict`");
    status = take_names(invocation, words);
out:
    return status;
}

/*
 * The output's name is checked before MPI's ranks meet, as all see the same name. Findings go to
 * standard error, so that standard output has the result alone.
 */
gr_status gr_command_predict(struct gr_invocation *invocation) {
    gr_status status = GR_OK;
    struct scoring_words words;
    struct gr_comm *comm = NULL;
    struct gr_scored scored = {0};
    GR_TRY(read_predict(invocation, &words));
    GR_TRY(gr_predictions_check_path(words.output));
    GR_TRY(start(invocation, &words, false, &comm));
    const struct gr_table_config table = table_of(&words);
    const struct gr_table_options options = options_of(&words);
    GR_TRY(gr_predict_table(comm, words.model, &table, &options, words.output, &scored));
    if (!invocation->speaks) goto out;
    printf("%s: %zu rows\n", words.output, scored.n_rows);
    status = gr_print_findings(stderr, &scored);
out:
    gr_scored_release(&scored);
    gr_leave(invocation, comm);
    return status;
}
