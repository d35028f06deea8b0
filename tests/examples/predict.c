/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scores rows with a model file, in one process without MPI.
 *
 *   mpicc predict.c $(pkg-config --cflags --libs granary) -lm -o predict
 *   ./predict model.h5 < rows.txt
 *
 * A row is a line of as many numbers as the model has inputs. For each a line is written: the
 * probability of each class, or the number that is expected.
 */
#include <math.h>
#include <stdio.h>

#include <granary/model.h>
#include <granary/store.h>

/* The next row; false at the end of the input, or where it holds no number. */
static bool read_row(float *features, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (scanf("%f%*[, ]", &features[i]) != 1) return false;
    return true;
}

static void print_probabilities(const float *logits, size_t classes) {
    double sum = 0;
    float most = logits[0];
    for (size_t c = 1; c < classes; c++)
        most = fmaxf(most, logits[c]);
    for (size_t c = 0; c < classes; c++)
        sum += exp((double)(logits[c] - most));
    for (size_t c = 0; c < classes; c++)
        printf("%s%.6f", c > 0 ? " " : "", exp((double)(logits[c] - most)) / sum);
    printf("\n");
}

int main(int argc, char **argv) {
    struct gr_model_file file = {0};
    struct gr_model *model = NULL;
    gr_status status = gr_base_start();
    if (argc != 2) {
        fputs("usage: predict MODEL < ROWS\n", stderr);
        return GR_ERROR_USAGE;
    }
    if (status == GR_OK) status = gr_model_file_read(argv[1], 0, 1, &file);
    if (status == GR_OK && file.preprocessing) {
        fputs("predict: the model's rows are preprocessed: use `granary predict`\n", stderr);
        status = GR_ERROR_USAGE;
        goto out;
    }
    if (status == GR_OK)
        status = gr_model_create_from_description(file.architecture, &file.layout, 1, &model);
    while (status == GR_OK && read_row(gr_model_batch_features(model), gr_model_inputs(model))) {
        double loss;
        size_t correct;
        /* Of the loss nothing is wanted: any label and target will do. */
        if (gr_model_batch_labels(model)) *gr_model_batch_labels(model) = 0;
        if (gr_model_batch_targets(model)) *gr_model_batch_targets(model) = 0;
        status = gr_model_score(model, file.parameters, 1, &loss, &correct);
        if (status != GR_OK) break;
        if (gr_model_classes(model) > 0)
            print_probabilities(gr_model_logits(model), gr_model_classes(model));
        else
            printf("%.6f\n", (double)*gr_model_logits(model));
    }
    if (status != GR_OK) fprintf(stderr, "predict: %s\n", gr_message());
out:
    gr_model_free(model);
    gr_model_file_release(&file);
    return status;
}
