/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary import: an HDF5 table from a CSV file or a pair of IDX files; and with --infer-schema a
 * proposal of the CSV file's columns. No MPI: one process reads and writes.
 */
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA_HEAD                                                                                \
    "# Proposed by `granary import --infer-schema`. Look through types, ranges, categories, and\n" \
    "# `missing` (refuse, mean, mode, indicator, zero); then all sites use this one file.\n"

struct import_words {
    char *features, *labels, *output, *csv; /* borrowed; NULL where absent */
    char *label, *schema, *group;
    enum gr_separator separator;
    enum gr_encoding_of_text encoding;
    bool infer, no_header, encoded;
    size_t first, rows;
};

/*
 * Copies of the standard streams, as descriptors: the table is read in a child process, whose
 * standard streams are others.
 */
struct streams {
    int output, terminal; /* -1: nobody watches */
    double drawn_s;
};

/* Signs are refused explicitly, since strtoull would wrap a negative number around. */
static gr_status read_count(const char *option, const char *text, size_t *out) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > UINT32_MAX) {
        char quoted[80];
        gr_text_quote(text, strlen(text), quoted, sizeof quoted);
        return gr_fail(GR_ERROR_USAGE, "import: %s: found '%s', expected 0 to %u", option, quoted,
                       UINT32_MAX);
    }
    *out = (size_t)value;
    return GR_OK;
}

/* Values are only stored; which options go together is decided in read_words, in one place. */
static gr_status read_option(struct gr_invocation *invocation, int option,
                             struct import_words *words) {
    switch (option) {
    case 'f':
        words->features = optarg;
        return GR_OK;
    case 'l':
        words->labels = optarg;
        return GR_OK;
    case '1':
        return read_count("--first", optarg, &words->first);
    case 'n':
        return read_count("--rows", optarg, &words->rows);
    case 'o':
        words->output = optarg;
        return GR_OK;
    case 'c':
        words->label = optarg;
        return GR_OK;
    case 'g':
        words->group = optarg;
        return GR_OK;
    case 's':
        words->schema = optarg;
        return GR_OK;
    case 'd':
        return gr_read_separator(invocation, optarg, &words->separator);
    case 'e':
        words->encoded = true;
        return gr_read_encoding(invocation, optarg, &words->encoding);
    case 'h':
        words->no_header = true;
        return GR_OK;
    case 'i':
        words->infer = true;
        return GR_OK;
    default:
        return GR_ERROR_USAGE;
    }
}

/*
 * Exactly one of three forms: CSV with -o, CSV with --infer-schema, or a pair of IDX files with -o.
 * An option of another form is refused and never ignored.
 */
static gr_status read_words(struct gr_invocation *invocation, struct import_words *words) {
    gr_status status = GR_OK;
    int option;
    while ((option = gr_next_option(invocation)) != -1)
        GR_TRY(read_option(invocation, option, words));
    if (invocation->argc - optind == 1) words->csv = invocation->argv[optind];
    bool pair = words->features && words->labels && !words->csv,
         of_csv = words->label || words->schema || words->group || words->infer ||
                  words->no_header || words->encoded;
    bool well = words->infer ? words->csv && !words->features && !words->labels && !words->schema
                             : words->output && (words->csv ? !words->features && !words->labels
                                                            : pair && !of_csv);
    if (!well || invocation->argc - optind > 1)
        status = gr_fail(GR_ERROR_USAGE,
                         "import: expected FILE.csv and -o, or --features, --labels and -o, and "
                         "nothing else; see `granary help import`");
    else if (words->group && words->schema)
        status =
            gr_fail(GR_ERROR_USAGE, "import: --group: the columns' types are those of --schema");
    else if (words->no_header && !words->schema && !words->infer)
        status = gr_fail(GR_ERROR_USAGE, "import: --no-header needs --schema, which names the "
                                         "columns");
out:
    return status;
}

/* ---- CSV ------------------------------------------------------------------------------------ */

/* At most ten times a second, and only on a terminal. */
static void show(void *context, size_t bytes, size_t total) {
    struct streams *streams = context;
    double now = gr_clock_seconds();
    if (streams->terminal < 0 || (now - streams->drawn_s < 0.1 && bytes < total)) return;
    streams->drawn_s = now;
    dprintf(streams->terminal, "\r%3.0f %% of %.0f MB%s",
            total > 0 ? 100 * (double)bytes / (double)total : 100, (double)total / 1e6,
            bytes < total ? "" : "\r\033[K");
}

static void say(void *context, const char *line) {
    const struct streams *streams = context;
    if (streams->output >= 0) dprintf(streams->output, "  %s\n", line);
}

/*
 * The descriptors are above 2 (F_DUPFD_CLOEXEC, 3): a child that redirects its standard streams
 * leaves them as they are.
 */
static gr_status import_csv(const struct import_words *words, const struct gr_csv_config *csv) {
    struct streams streams = {
        .output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3),
        .terminal = isatty(STDERR_FILENO) ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : -1};
    struct gr_import_options options = {.csv = *csv,
                                        .schema = words->schema,
                                        .group = words->group,
                                        .first = words->first,
                                        .limit = words->rows,
                                        .progress = show,
                                        .say = say,
                                        .context = &streams};
    gr_status status = gr_import_csv(words->csv, &options, words->output);
    if (streams.output >= 0) close(streams.output);
    if (streams.terminal >= 0) close(streams.terminal);
    return status;
}

/*
 * A schema to be looked through by a person before it is used: doubts stand as comments in it, a
 * summary beside it. Where the schema goes to standard output, the summary goes to standard error,
 * so that a redirected file is a valid schema.
 */
static gr_status propose(const struct import_words *words, const struct gr_csv_config *csv) {
    const char *path = words->csv;
    const struct gr_infer_options options = {.paths = &path,
                                             .n_paths = 1,
                                             .csv = csv,
                                             .group = words->group ? words->group : "",
                                             .threshold = GR_INFER_THRESHOLD,
                                             .unlabelled = !words->label,
                                             .names_told = true};
    struct gr_inference *inference = NULL;
    char *yaml = NULL, *lines = NULL, *text = NULL;
    gr_status status;
    GR_TRY(gr_csv_infer(&options, &inference));
    GR_TRY(gr_inference_to_yaml(inference, &yaml));
    GR_TRY(gr_inference_tell(inference, &lines));
    GR_TRY(gr_text_format(&text, "%s%s", SCHEMA_HEAD, yaml));
    if (words->output)
        GR_TRY(gr_file_write(words->output, text, strlen(text)));
    else
        fputs(text, stdout);
    FILE *terminal = words->output ? stdout : stderr;
    fprintf(terminal, "%s: %zu rows\n%s", path, inference->n_rows, lines);
    if (words->output) fprintf(terminal, "%s: the schema, to be looked through\n", words->output);
out:
    gr_inference_free(inference);
    gr_free(yaml);
    gr_free(lines);
    gr_free(text);
    return status;
}

/* ---- the command ---------------------------------------------------------------------------- */

/* Reads the table back from the file: a summary of what is on disk is the better proof. */
static gr_status print_summary(const char *output) {
    struct gr_table_summary summary;
    char *path = NULL;
    gr_status status = gr_text_format(&path, "%s", output);
    if (status != GR_OK) return status;
    struct gr_table_config table = {.file = path, .features = path + strlen(path)};
    table.labels = table.features;
    status = gr_table_summarise(&table, GR_SOURCE_HDF5, &summary);
    if (status == GR_OK)
        printf("%s: %zu rows, %u classes\n", output, summary.n_rows, summary.n_classes);
    gr_free(path);
    return status;
}

/* The output must not be one of the inputs; checked before anything is read. */
gr_status gr_command_import(struct gr_invocation *invocation) {
    static char standard[] = "label";
    struct import_words words = {.separator = GR_SEPARATOR_AUTO};
    gr_status status;
    GR_TRY(read_words(invocation, &words));
    const struct gr_csv_config csv = {.separator = words.separator,
                                      .header = !words.no_header,
                                      .encoding = words.encoding,
                                      .label = words.label ? words.label : standard};
    const char *read[] = {words.csv, words.schema, words.features, words.labels};
    if (words.output) GR_TRY(gr_file_check_output(words.output, read, 4));
    if (words.infer) return propose(&words, &csv);
    if (words.csv)
        GR_TRY(import_csv(&words, &csv));
    else
        GR_TRY(gr_import_idx(words.features, words.labels, words.first, words.rows, words.output));
    status = print_summary(words.output);
out:
    return status;
}
