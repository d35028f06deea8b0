/* SPDX-License-Identifier: Apache-2.0 */
/* The labels or targets that each loss is defined for. Tables are held against it before the first
 * round. */
#include <granary/config.h>

#include <float.h>

static const struct {
    bool labels;
    uint32_t n_classes;
    double least; /* of targets; of labels as numbers too, which are never below 0 */
    const char *found, *expected; /* of targets */
} domains[] = {
    [GR_LOSS_CROSS_ENTROPY] = {true, 0, 0, "a label beyond the classes", NULL},
    [GR_LOSS_BINARY_CROSS_ENTROPY] = {true, 2, 0, "a label beyond the classes", NULL},
    [GR_LOSS_SQUARED] = {false, 0, -FLT_MAX, "no number", "a finite number"},
    [GR_LOSS_HUBER] = {false, 0, -FLT_MAX, "no number", "a finite number"},
    [GR_LOSS_POISSON] = {false, 0, 0, "a target below 0", "at least 0 (the loss is poisson)"},
};

/* A row for each model type; a type without one would be 0, which is GR_LOSS_DEFAULT. */
enum gr_loss_type gr_loss_of(const struct gr_model_config *config) {
    static const enum gr_loss_type standard[] = {
        [GR_MODEL_SOFTMAX] = GR_LOSS_CROSS_ENTROPY,
        [GR_MODEL_MLP] = GR_LOSS_CROSS_ENTROPY,
        [GR_MODEL_LINEAR] = GR_LOSS_SQUARED,
        [GR_MODEL_LOGISTIC] = GR_LOSS_BINARY_CROSS_ENTROPY,
        [GR_MODEL_POISSON] = GR_LOSS_POISSON,
        [GR_MODEL_CNN] = GR_LOSS_CROSS_ENTROPY,
        [GR_MODEL_BAG] = GR_LOSS_CROSS_ENTROPY,
    };
    return config->loss == GR_LOSS_DEFAULT ? standard[config->type] : config->loss;
}

bool gr_predicts_number(const struct gr_model_config *config) {
    return !domains[gr_loss_of(config)].labels;
}

/* A loss of two classes fixes their number; of others the config says it, or with 0 the data do. */
struct gr_domain gr_domain_of(const struct gr_model_config *config) {
    const enum gr_loss_type loss = gr_loss_of(config);
    return (struct gr_domain){.labels = domains[loss].labels,
                              .n_classes = domains[loss].n_classes ? domains[loss].n_classes
                                                                   : config->classes,
                              .least = domains[loss].least,
                              .found = domains[loss].found,
                              .expected = domains[loss].expected};
}
