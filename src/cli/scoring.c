/* SPDX-License-Identifier: Apache-2.0 */
/* granary evaluate and granary predict: a stored model on a table of rows, by all ranks. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct words {
    char *model, *file, *features, *labels, *output; /* borrowed; "" where absent */
    bool json, no_header;
    enum gr_separator separator;
    enum gr_data_source source;
};

static bool is_csv(const char *path) {
    size_t n = strlen(path);
    return n > 4 && strcasecmp(path + n - 4, ".csv") == 0;
}

/* MODEL and a table, or features with options of its own. */
static gr_status take_names(struct gr_invocation *invocation, struct words *words) {
    const bool pair = words->features[0];
    if (invocation->argc - optind != (pair ? 1 : 2))
        return gr_fail(GR_ERROR_USAGE,
                       "%s: expected MODEL and a table or --features; see `granary help %s`",
                       invocation->argv[0], invocation->argv[0]);
    words->model = invocation->argv[optind];
    if (!pair) words->file = invocation->argv[optind + 1];
    words->source = pair ? GR_SOURCE_IDX : is_csv(words->file) ? GR_SOURCE_CSV : GR_SOURCE_HDF5;
    if (words->source != GR_SOURCE_CSV &&
        (words->no_header || words->separator != GR_SEPARATOR_COMMA))
        return gr_fail(GR_ERROR_USAGE,
                       "%s: --separator and --no-header are of files ending in .csv",
                       invocation->argv[0]);
    return GR_OK;
}

static struct gr_table_options options_of(const struct words *words) {
    return (struct gr_table_options){
        .source = words->source,
        .csv = {.separator = words->separator, .header = !words->no_header}};
}

static gr_status start(struct gr_invocation *invocation, struct gr_comm **comm) {
    struct gr_comm_options whole_nodes = {0};
    return gr_comm_create(invocation->world, &whole_nodes, comm);
}

static struct gr_table_config table_of(const struct words *words) {
    return (struct gr_table_config){
        .file = words->file, .features = words->features, .labels = words->labels};
}

/* ---- evaluate ------------------------------------------------------------------------------- */

static gr_status read_evaluate(struct gr_invocation *invocation, struct words *words) {
    static const struct option options[] = {
        {"features", required_argument, NULL, 'f'}, {"labels", required_argument, NULL, 'l'},
        {"json", no_argument, NULL, 'j'},           {"separator", required_argument, NULL, 'd'},
        {"no-header", no_argument, NULL, 'h'},      {0}};
    static char none[] = "";
    gr_status status;
    int option;
    *words = (struct words){.model = none, .file = none, .features = none, .labels = none};
    while ((option = gr_next_option(invocation, ":", options)) != -1) {
        if (option == 'f')
            words->features = optarg;
        else if (option == 'l')
            words->labels = optarg;
        else if (option == 'j')
            words->json = true;
        else if (option == 'h')
            words->no_header = true;
        else if (option == 'd')
            GR_TRY(gr_read_separator(invocation, optarg, &words->separator));
        else
            return GR_ERROR_USAGE;
    }
    if (!words->features[0] != !words->labels[0])
        return gr_fail(GR_ERROR_USAGE, "evaluate: --features and --labels go together");
    status = take_names(invocation, words);
out:
    return status;
}

static void print_metrics(const struct gr_score *score, const struct gr_tally *tally) {
    printf("rows %lld  loss %.6f", (long long)score->examples, gr_score_loss(score));
    if (gr_tally_classes(tally) > 0) printf("  accuracy %.4f", gr_score_accuracy(score));
    printf("\n");
    for (enum gr_metric m = GR_METRIC_BALANCED_ACCURACY; m < GR_METRICS; m++) {
        const struct gr_metric_value v = gr_tally_metric(tally, m);
        if (!gr_metric_fits(m, gr_tally_classes(tally))) continue;
        if (v.why && v.lower < v.upper)
            printf("%-18s not known: %s (%.6f to %.6f)\n", gr_metric_text(m), v.why, v.lower,
                   v.upper);
        else if (v.why)
            printf("%-18s not defined: %s\n", gr_metric_text(m), v.why);
        else if (v.lower < v.upper)
            printf("%-18s %.6f  (%.6f to %.6f)\n", gr_metric_text(m), v.value, v.lower, v.upper);
        else
            printf("%-18s %.6f\n", gr_metric_text(m), v.value);
    }
}

gr_status gr_command_evaluate(struct gr_invocation *invocation) {
    gr_status status = GR_OK;
    struct words words;
    struct gr_comm *comm = NULL;
    struct gr_tally *tally = NULL;
    struct gr_score score;
    char *text = NULL;
    GR_TRY(read_evaluate(invocation, &words));
    const struct gr_table_config table = table_of(&words);
    GR_TRY(start(invocation, &comm));
    const struct gr_table_options options = options_of(&words);
    GR_TRY(gr_evaluate_table(comm, words.model, &table, &options, &score, &tally));
    if (!invocation->speaks) goto out;
    if (words.json) {
        const struct gr_evaluation evaluation = {.rows_of = "table", .tally = tally};
        GR_TRY(gr_evaluation_to_json(&evaluation, &text));
        fputs(text, stdout);
    } else {
        print_metrics(&score, tally);
    }
out:
    gr_free(text);
    gr_tally_free(tally);
    gr_leave(invocation, comm);
    return status;
}

/* ---- predict -------------------------------------------------------------------------------- */

static gr_status read_predict(struct gr_invocation *invocation, struct words *words) {
    static const struct option options[] = {{"features", required_argument, NULL, 'f'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"separator", required_argument, NULL, 'd'},
                                            {"no-header", no_argument, NULL, 'h'},
                                            {0}};
    static char none[] = "";
    gr_status status;
    int option;
    *words = (struct words){
        .model = none, .file = none, .features = none, .labels = none, .output = none};
    while ((option = gr_next_option(invocation, ":o:", options)) != -1) {
        if (option == 'f')
            words->features = optarg;
        else if (option == 'o')
            words->output = optarg;
        else if (option == 'h')
            words->no_header = true;
        else if (option == 'd')
            GR_TRY(gr_read_separator(invocation, optarg, &words->separator));
        else
            return GR_ERROR_USAGE;
    }
    if (!words->output[0])
        return gr_fail(GR_ERROR_USAGE, "predict: expected -o FILE; see `granary help predict`");
    status = take_names(invocation, words);
out:
    return status;
}

gr_status gr_command_predict(struct gr_invocation *invocation) {
    gr_status status = GR_OK;
    struct words words;
    struct gr_comm *comm = NULL;
    size_t n_rows = 0;
    GR_TRY(read_predict(invocation, &words));
    GR_TRY(gr_predictions_check_path(words.output));
    const struct gr_table_config table = table_of(&words);
    GR_TRY(start(invocation, &comm));
    const struct gr_table_options options = options_of(&words);
    GR_TRY(gr_predict_table(comm, words.model, &table, &options, words.output, &n_rows));
    if (invocation->speaks) printf("%s: %zu rows\n", words.output, n_rows);
out:
    gr_leave(invocation, comm);
    return status;
}
