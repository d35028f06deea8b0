/* SPDX-License-Identifier: Apache-2.0 */
/* granary evaluate: a stored model's loss and accuracy on labelled rows. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

struct words {
    char *model, *file, *features, *labels; /* borrowed; "" where absent */
};

static gr_status read_words(struct gr_invocation *invocation, struct words *words) {
    static const struct option options[] = {
        {"features", required_argument, NULL, 'f'}, {"labels", required_argument, NULL, 'l'}, {0}};
    static char none[] = "";
    int option;
    *words = (struct words){none, none, none, none};
    while ((option = gr_next_option(invocation, ":", options)) != -1) {
        if (option == 'f')
            words->features = optarg;
        else if (option == 'l')
            words->labels = optarg;
        else
            return GR_ERROR_USAGE;
    }
    bool pair = words->features[0] && words->labels[0];
    if ((words->features[0] || words->labels[0]) && !pair)
        return gr_fail(GR_ERROR_USAGE, "evaluate: --features and --labels go together");
    if (invocation->argc - optind != (pair ? 1 : 2))
        return gr_fail(GR_ERROR_USAGE, "evaluate: expected MODEL and a table or an IDX pair; see "
                                       "`granary help evaluate`");
    words->model = invocation->argv[optind];
    if (!pair) words->file = invocation->argv[optind + 1];
    return GR_OK;
}

static gr_status check_fit(const struct words *words, const struct gr_model *model,
                           const struct gr_rows *rows) {
    const char *table = words->file[0] ? words->file : words->features;
    if (rows->n_features != gr_model_inputs(model))
        return gr_fail(GR_ERROR_DATA, "%s: found %zu features in a row, expected %zu as in %s",
                       table, rows->n_features, gr_model_inputs(model), words->model);
    for (size_t i = 0; i < rows->n_rows; i++)
        if ((size_t)rows->labels[i] >= gr_model_classes(model))
            return gr_fail(GR_ERROR_DATA, "%s: row %zu: found label %d, expected 0 to %zu", table,
                           i, rows->labels[i], gr_model_classes(model) - 1);
    return GR_OK;
}

gr_status gr_command_evaluate(struct gr_invocation *invocation) {
    gr_status status = GR_OK;
    struct words words;
    struct gr_model_file file = {0};
    struct gr_model *model = NULL;
    struct gr_rows rows = {0};
    struct gr_score score;
    GR_TRY(read_words(invocation, &words));
    GR_TRY(gr_model_file_read(words.model, &file));
    if (!file.digests_match) {
        status = gr_fail(GR_ERROR_DATA, "%s: damaged: a slab's digest differs", words.model);
        goto out;
    }
    GR_TRY(gr_model_create_from_description(file.architecture, GR_TEST_BATCH, &model));
    if (!gr_layout_equal(&file.layout, gr_model_layout(model))) {
        status = gr_fail(GR_ERROR_DATA, "%s: its tensors are not those of its architecture",
                         words.model);
        goto out;
    }
    struct gr_table_config table = {
        .file = words.file, .features = words.features, .labels = words.labels};
    GR_TRY(gr_table_load(&table, words.file[0] ? GR_SOURCE_HDF5 : GR_SOURCE_IDX, &rows));
    GR_TRY(check_fit(&words, model, &rows));
    GR_TRY(gr_evaluate_rows(model, file.parameters, &rows, &score));
    printf("rows %lld  loss %.6f  accuracy %.4f\n", (long long)score.examples,
           gr_loss_mean(score.loss, score.examples),
           score.examples ? (double)score.correct / (double)score.examples : 0.0);
out:
    gr_rows_release(&rows);
    gr_model_free(model);
    gr_model_file_release(&file);
    return status;
}
