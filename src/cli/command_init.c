/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary init: a config and a schema for tables, commented and ready to run. It reads the tables
 * once, guesses, and says what it guessed; all numbers it writes are starting points for a person
 * to change.
 */
#include "cli/command.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SILOS_WITHOUT_GROUP = 4, ROWS_EACH = 50, RANKS_MAX = 8, OPEN_FEATURES = 30 };
enum { BATCH = 32, STEPS = 3000, ROUNDS_LEAST = 20, ROUNDS_MOST = 150 };

struct init_words {
    const char *const *tables; /* in argv */
    size_t n_tables;
    const char *label, *group;
    char *folder;
    struct gr_csv_config csv;
};

/*
 * Several tables are a silo each, so --group would be a second answer to the same question.
 * Trailing slashes are cut from the folder, in argv, so that joined paths look as usual.
 */
static gr_status read_words(struct gr_invocation *invocation, struct init_words *words) {
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        gr_status status = GR_OK;
        if (option == 'c')
            words->label = optarg;
        else if (option == 'g')
            words->group = optarg;
        else if (option == 'o')
            words->folder = optarg;
        else if (option == 'h')
            words->csv.header = false;
        else if (option == 'd')
            status = gr_read_separator(invocation, optarg, &words->csv.separator);
        else if (option == 'e')
            status = gr_read_encoding(invocation, optarg, &words->csv.encoding);
        else
            status = GR_ERROR_USAGE;
        if (status != GR_OK) return status;
    }
    words->tables = (const char *const *)invocation->argv + optind;
    words->n_tables = (size_t)(invocation->argc - optind);
    if (words->n_tables == 0)
        return gr_fail(GR_ERROR_USAGE, "init: TABLE.csv is missing; see `granary help init`");
    /* Without a label nothing is written, and the likely ones are named. */
    if (!words->folder && words->label)
        return gr_fail(GR_ERROR_USAGE, "init: -o FOLDER is missing: where config.yaml and "
                                       "schema.yaml are to be; see `granary help init`");
    if (!words->folder) return GR_OK;
    for (size_t n = strlen(words->folder); n > 1 && words->folder[n - 1] == '/'; n--)
        words->folder[n - 1] = '\0';
    if (words->n_tables > 1 && words->group)
        return gr_fail(GR_ERROR_USAGE,
                       "init: --group is of one table for all silos; %zu tables are a silo each "
                       "already: leave it off",
                       words->n_tables);
    if (words->group && words->label && strcmp(words->group, words->label) == 0)
        return gr_fail(GR_ERROR_USAGE,
                       "init: --label and --group name the same column, expected two: a label that "
                       "is to be predicted, and a column whose values are the silos");
    return GR_OK;
}

/* ---- what the tables are ----------------------------------------------------------------------
 */

/*
 * A label cannot be guessed, for it is the user's question. The notes of the inference have a line
 * with the likely columns, which becomes the message.
 */
static gr_status ask_for_label(const struct gr_inference *inference) {
    const char *line = strstr(inference->notes, GR_NO_LABEL);
    if (!line) line = GR_NO_LABEL;
    return gr_fail(GR_ERROR_USAGE, "init: %.*s", (int)strcspn(line, "\n"), line);
}

/*
 * A row of units below the header would make every column one of categories; only a person can tell
 * that the line is to go.
 */
static gr_status refuse_units(const struct init_words *words,
                              const struct gr_inference *inference) {
    const char *path = words->tables[inference->units_table];
    const size_t line = inference->units_line;
    char others[64] = "";
    if (inference->n_units > 1)
        snprintf(others, sizeof others, ", as in %zu more table%s", inference->n_units - 1,
                 inference->n_units > 2 ? "s" : "");
    return gr_fail(GR_ERROR_DATA,
                   "%s:%zu: seems to hold units, no values%s: take the line out first, as with "
                   "`sed -i %zud TABLE...`",
                   path, line, others, line);
}

/* Refuses tables of which no config would run, before files are written. */
static gr_status check(const struct init_words *words, const struct gr_inference *inference) {
    const char *path = words->tables[0];
    bool features = false;
    if (!words->label) return ask_for_label(inference);
    if (inference->n_units > 0) return refuse_units(words, inference);
    if (inference->label_kind == GR_LABEL_NONE || inference->n_classes == 1)
        return gr_fail(GR_ERROR_DATA,
                       "%s: column \"%s\": found %s, expected two classes or more, "
                       "or numbers",
                       path, words->label,
                       inference->n_classes == 1 ? "one class only" : "no value in any row");
    if (inference->n_groups == SIZE_MAX)
        return gr_fail(GR_ERROR_DATA,
                       "%s: column \"%s\": found more than 1000000 groups, allowed at most so "
                       "many, as there is a silo for each",
                       path, words->group);
    for (unsigned i = 0; i < inference->schema->columns_count && !features; i++)
        features = gr_column_has_value(inference->schema->columns[i].type);
    return features
               ? GR_OK
               : gr_fail(GR_ERROR_DATA, "%s: has no column of features: all are left out", path);
}

/*
 * Reads all tables as one, for their columns have to agree: what one hospital writes as a number
 * and another as a word must become one type.
 */
static gr_status infer(const struct init_words *words, struct gr_inference **out) {
    const struct gr_infer_options options = {.paths = words->tables,
                                             .n_paths = words->n_tables,
                                             .csv = &words->csv,
                                             .group = words->group ? words->group : "",
                                             .threshold = GR_INFER_THRESHOLD,
                                             .unlabelled = !words->label,
                                             .names_told = true};
    gr_status status = gr_csv_infer(&options, out);
    return status == GR_OK ? check(words, *out) : status;
}

/* ---- the config -------------------------------------------------------------------------------
 */

/*
 * A path as a shell takes it, since the line is to be pasted: quoted where it has other characters
 * than these.
 */
static void put_word(FILE *out, const char *path) {
    if (path[strspn(path,
                    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-+:@%")] ==
        '\0') {
        fputs(path, out);
        return;
    }
    fputc('\'', out);
    for (; *path; path++)
        fputs(*path == '\'' ? "'\\''" : (const char[]){*path, '\0'}, out);
    fputc('\'', out);
}

/* The two commands that come next, each behind `margin`. */
static void put_commands(FILE *out, const char *margin, const char *config, unsigned ranks) {
    fprintf(out, "%sgranary validate ", margin);
    put_word(out, config);
    fprintf(out, "\n%sgranary run -n %u ", margin, ranks);
    put_word(out, config);
    fputc('\n', out);
}

/* A text in YAML's double quotes; quotes and backslashes are escaped. */
static void put_quoted(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/*
 * The folder's last part as the run's name, with other characters than letters, digits and -_.
 * replaced, as config rules ask; "study" if nothing is left.
 */
static void put_name(FILE *out, const char *folder) {
    size_t n = strlen(folder), written = 0;
    while (n > 1 && folder[n - 1] == '/')
        n--;
    const char *name = folder + n;
    while (name > folder && name[-1] != '/')
        name--;
    for (; name < folder + n; name++) {
        const bool good = isalnum((unsigned char)*name) || strchr("-_.", *name);
        if (written == 0 && !isalnum((unsigned char)*name)) continue;
        fputc(good ? *name : '-', out);
        written++;
    }
    if (written == 0) fputs("study", out);
}

static size_t count_silos(const struct init_words *words, const struct gr_inference *inference) {
    if (words->n_tables > 1) return words->n_tables;
    if (words->group) return inference->n_groups;
    const size_t most = inference->n_rows / ROWS_EACH;
    return most >= SILOS_WITHOUT_GROUP ? SILOS_WITHOUT_GROUP : most > 1 ? most : 1;
}

/* Only settings that differ from a default, or that a reader will want to change, are written. */
static void put_data(FILE *out, const struct init_words *words,
                     const struct gr_inference *inference, const char *schema) {
    fprintf(out, "data:\n  source: csv\n  silos: %zu\n", count_silos(words, inference));
    if (words->n_tables > 1) {
        fputs("  silo_tables:                  # a table for each silo, of the same columns\n",
              out);
        for (size_t i = 0; i < words->n_tables; i++) {
            fputs("  - {file: ", out);
            put_quoted(out, words->tables[i]);
            fputs("}\n", out);
        }
    } else {
        fputs("  train: {file: ", out);
        put_quoted(out, words->tables[0]);
        fputs("}\n", out);
    }
    if (words->group) {
        fputs("  partition: {method: column, column: ", out);
        put_quoted(out, words->group);
        fputs("}   # a silo for each value of it\n", out);
    } else if (words->n_tables == 1) {
        fputs("  partition: {method: iid}      # no column says whose a row is: dealt at random\n",
              out);
    }
    const bool latin1 = words->csv.encoding == GR_TEXT_LATIN1;
    if (words->csv.separator != GR_SEPARATOR_AUTO || !words->csv.header || latin1) {
        static const char *const names[] = {"comma", "semicolon", "tab", "pipe",
                                            "space", "blanks",    "auto"};
        fprintf(out, "  csv: {separator: %s, header: %s%s}\n", names[words->csv.separator],
                words->csv.header ? "true" : "false", latin1 ? ", encoding: latin1" : "");
    }
    fputs("  schema: ", out);
    put_quoted(out, schema);
    fputs("\n"
          "  test_fraction: 0.2            # of each silo's rows: what the scores are of\n"
          "  validation_fraction: 0.1      # for comparing settings; the test is for the end\n",
          out);
}

/* An estimate: categories become a feature each, an open list OPEN_FEATURES. */
static size_t count_features(const struct gr_schema *schema) {
    size_t n = 0;
    for (unsigned i = 0; i < schema->columns_count; i++) {
        const struct gr_column *c = &schema->columns[i];
        if (!gr_column_has_value(c->type)) continue;
        n += gr_column_is_number(c->type) ? 1 : c->open ? OPEN_FEATURES : c->categories_count;
    }
    return n;
}

/*
 * Rounds in which a silo makes about STEPS steps of BATCH rows, within bounds: small tables need
 * more rounds for the same number of steps.
 */
static size_t count_rounds(const struct init_words *words, const struct gr_inference *inference) {
    const size_t steps = inference->n_rows / count_silos(words, inference) / BATCH + 1;
    const size_t rounds = STEPS / steps;
    return rounds < ROUNDS_LEAST ? ROUNDS_LEAST : rounds > ROUNDS_MOST ? ROUNDS_MOST : rounds;
}

/*
 * A learning rate at which standardised features are learnt without oscillation. The largest
 * curvature of the loss grows with the number of features, so the rate falls as 1/n beyond 40 of
 * them.
 */
static double find_rate(const struct gr_inference *inference) {
    const size_t n = count_features(inference->schema);
    const double rate = n > 40 ? 4.0 / (double)n : 0.1;
    switch (inference->label_kind) {
    case GR_LABEL_NUMBER:
        return rate / 10;
    case GR_LABEL_COUNT: /* the gradient of a Poisson model grows with what it predicts */
        return rate / (1 + inference->label_mean);
    default:
        return rate;
    }
}

/*
 * The simplest model that fits the label is chosen, with a larger one in the comment: a linear
 * model is the reference for any other.
 */
static void put_model(FILE *out, const struct gr_inference *inference) {
    static const struct {
        const char *type, *why, *metrics;
    } models[] = {
        [GR_LABEL_NONE] = {"logistic", "", ""},
        [GR_LABEL_TWO] = {"logistic", "two classes; or {type: mlp, hidden: [32]}",
                          "[auc, balanced_accuracy, calibration_error]"},
        [GR_LABEL_CLASSES] = {"softmax", "several classes; or {type: mlp, hidden: [32]}",
                              "[balanced_accuracy, macro_f1]"},
        [GR_LABEL_NUMBER] = {"linear", "a number; or {type: mlp, hidden: [32], loss: squared}",
                             "[mae, r2]"},
        [GR_LABEL_COUNT] = {"poisson", "a count; or {type: linear}", "[mae, poisson_deviance]"}};
    const enum gr_label_kind kind = inference->label_kind;
    fprintf(out,
            "preprocess: {scale: standardise}  # by what the training rows of all silos have\n"
            "model: {type: %s}           # %s\n"
            "train:\n"
            "  learning_rate: %.2g           # smaller where the loss rises or jumps\n"
            "  schedule: {type: cosine}      # it falls to 0 over run.rounds\n"
            "  batch_size: %d\n"
            "evaluate: {metrics: %s}\n"
            "checkpoint: {every: 10}         # rounds that a crash can cost\n",
            models[kind].type, models[kind].why, find_rate(inference), BATCH, models[kind].metrics);
}

/* At most a rank for each silo, and no more than RANKS_MAX, for the first try on a workstation. */
static unsigned count_ranks(size_t silos) {
    return silos < RANKS_MAX ? (unsigned)silos : RANKS_MAX;
}

/*
 * Plain text and not gr_config_to_yaml: the comments beside the settings are the point. write_files
 * parses the result, so that a config that does not load is never written.
 */
static gr_status make_config(const struct init_words *words, const struct gr_inference *inference,
                             const char *path, const char *schema, char **text, size_t *n) {
    *text = NULL;
    FILE *out = open_memstream(text, n);
    if (!out) return gr_fail(GR_ERROR_INTERNAL, "memory for a config was refused");
    fputs("# Written by `granary init`. Paths are relative to the folder where it is started:\n",
          out);
    put_commands(out, "#   ", path, count_ranks(count_silos(words, inference)));
    fputs("# All settings, as they are used: `granary validate` with --resolved\nrun:\n  name: \"",
          out);
    put_name(out, words->folder);
    fprintf(out,
            "\"\n  rounds: %zu                   # more where the loss still falls at the end\n",
            count_rounds(words, inference));
    put_data(out, words, inference, schema);
    put_model(out, inference);
    return fclose(out) == 0 ? GR_OK : gr_fail(GR_ERROR_INTERNAL, "memory for a config was refused");
}

static gr_status make_schema(const struct gr_inference *inference, char **out) {
    char *yaml = NULL;
    gr_status status = gr_inference_to_yaml(inference, &yaml);
    if (status == GR_OK)
        status = gr_text_format(out,
                                "# Written by `granary init`: what the columns are, the same at "
                                "every site. Look through it.\n"
                                "# `missing` is refuse, mean, mode, indicator or zero.\n%s",
                                yaml);
    gr_free(yaml);
    return status;
}

/* ---- the folder -------------------------------------------------------------------------------
 */

/*
 * lstat and not stat: a dangling link in the file's place is refused as well. *made: the folder was
 * made here, so that it may be removed again after a failure.
 */
static gr_status make_folder(const struct init_words *words, const char *config, const char *schema,
                             bool *made) {
    const char *const files[] = {config, schema};
    struct stat found;
    for (size_t i = 0; i < 2; i++)
        if (lstat(files[i], &found) == 0)
            return gr_fail(GR_ERROR_WRITE, "%s: is there already, and stays as it is", files[i]);
    *made = mkdir(words->folder, 0777) == 0;
    if (!*made && errno != EEXIST)
        return gr_fail(GR_ERROR_WRITE, "%s: %s", words->folder, strerror(errno));
    return GR_OK;
}

/*
 * Both files, or none: a schema without its config would be refused as existing at the next
 * attempt. Existing files are never replaced, as a person may have edited them.
 */
static gr_status write_files(const struct init_words *words, const struct gr_inference *inference,
                             const char *config_path, const char *schema_path) {
    char *config = NULL, *schema = NULL;
    struct gr_config *read = NULL;
    struct gr_schema *columns = NULL;
    size_t n = 0;
    bool made = false;
    gr_status status;
    GR_TRY(make_config(words, inference, config_path, schema_path, &config, &n));
    GR_TRY(make_schema(inference, &schema));
    GR_TRY(gr_config_parse(config_path, config, n, NULL, 0, &read));
    GR_TRY(gr_schema_parse(schema_path, schema, strlen(schema), &columns));
    GR_TRY(make_folder(words, config_path, schema_path, &made));
    GR_TRY(gr_file_write(schema_path, schema, strlen(schema)));
    status = gr_file_write(config_path, config, n);
    if (status != GR_OK) unlink(schema_path);
out:
    if (status != GR_OK && made) rmdir(words->folder);
    gr_config_free(read);
    gr_schema_free(columns);
    free(config);
    gr_free(schema);
    return status;
}

/* Ends with the two commands to run next, quoted for a shell. */
static void tell(const struct init_words *words, const struct gr_inference *inference,
                 const char *lines, const char *config, const char *schema) {
    const size_t silos = count_silos(words, inference);
    printf("%s%s: %zu rows\n%s", words->tables[0], words->n_tables > 1 ? " and the others" : "",
           inference->n_rows, lines);
    printf("%s: %zu silo%s, %s\n%s: %u columns, to be looked through\n", config, silos,
           silos == 1 ? "" : "s",
           words->n_tables > 1 ? "a table each"
           : words->group      ? "one for each group"
                               : "rows dealt at random",
           schema, inference->schema->columns_count);
    if (inference->n_unfit > 0)
        printf("before it runs: mend or declare the cells named above (%zu)\n", inference->n_unfit);
    puts("next:");
    put_commands(stdout, "  ", config, count_ranks(silos));
}

/* The label is copied, as the options of CSV files take it as char *. */
gr_status gr_command_init(struct gr_invocation *invocation) {
    static char nothing[] = "";
    struct init_words words = {.csv = {.separator = GR_SEPARATOR_AUTO, .header = true}};
    struct gr_inference *inference = NULL;
    char *config = NULL, *schema = NULL, *lines = NULL, *label = NULL;
    gr_status status;
    GR_TRY(read_words(invocation, &words));
    GR_TRY(gr_text_format(&label, "%s", words.label ? words.label : nothing));
    words.csv.label = label;
    GR_TRY(infer(&words, &inference));
    GR_TRY(gr_text_format(&config, "%s/config.yaml", words.folder));
    GR_TRY(gr_text_format(&schema, "%s/schema.yaml", words.folder));
    GR_TRY(gr_inference_tell(inference, &lines));
    GR_TRY(write_files(&words, inference, config, schema));
    tell(&words, inference, lines, config, schema);
out:
    gr_inference_free(inference);
    gr_free(config);
    gr_free(schema);
    gr_free(lines);
    gr_free(label);
    return status;
}
