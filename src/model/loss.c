/* SPDX-License-Identifier: Apache-2.0 */
/* The losses, a function each. A row's loss and slope are worked out in double, but for the
 * plain cross-entropy, elementwise.c's; whether labels or targets are allowed at all is
 * config/losses.c's. */
#include <model/loss.h>

#include <math.h>

#include <model/elementwise.h>

/* One row's loss for output z and target y; its derivative by z. */
typedef double (*row_loss)(const struct gr_loss *loss, double z, double y, double *slope);

/* log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)): neither side overflows, and small losses keep
 * their digits. */
static double binary_cross_entropy(const struct gr_loss *loss, double z, double y, double *slope) {
    const double small = exp(-fabs(z)); /* never overflows */
    (void)loss;
    *slope = (z >= 0 ? 1 / (1 + small) : small / (1 + small)) - y;
    return fmax(z, 0) - y * z + log1p(small);
}

/* Without the half that some texts have: PyTorch's MSELoss has none. */
static double squared(const struct gr_loss *loss, double z, double y, double *slope) {
    (void)loss;
    *slope = 2 * (z - y);
    return (z - y) * (z - y);
}

static double huber(const struct gr_loss *loss, double z, double y, double *slope) {
    const double d = loss->huber_delta, e = z - y;
    if (fabs(e) > d) {
        *slope = copysign(d, e);
        return d * (fabs(e) - 0.5 * d);
    }
    *slope = e;
    return 0.5 * e * e;
}

/* exp(z) overflows beyond z = 709; the loss is infinite then, and the trainer refuses the batch. */
static double poisson(const struct gr_loss *loss, double z, double y, double *slope) {
    const double expected = exp(z);
    (void)loss;
    *slope = expected - y;
    return expected - y * z;
}

/* The term that smoothing e adds to the cross-entropy: e (z_y - mean z). */
static double smooth(const struct gr_loss *loss, const struct gr_loss_batch *batch, float scale,
                     float *delta) {
    const size_t width = batch->width;
    const double share = loss->smoothing / (double)width;
    double sum = 0;
    for (size_t i = 0; i < batch->n; i++) {
        const float *row = batch->outputs + i * width;
        double mean = 0;
        for (size_t j = 0; j < width; j++) {
            const bool own = j == (size_t)batch->labels[i];
            mean += (double)row[j] / (double)width;
            delta[i * width + j] += scale * (float)((own ? loss->smoothing : 0) - share);
        }
        sum += loss->smoothing * ((double)row[batch->labels[i]] - mean);
    }
    return sum;
}

static double class_weight(const struct gr_loss *loss, size_t class) {
    return loss->weights ? loss->weights[class] : 1;
}

static double row_weight(const float *weights, size_t row) {
    return weights ? (double)weights[row] : 1;
}

/* A row's loss where rows or classes weigh differently, and its derivative. */
static double weighted_row(const struct gr_loss *loss, const float *z, size_t label, size_t width,
                           double scale, float *delta) {
    const double own = (1 - loss->smoothing) * class_weight(loss, label);
    const double share = loss->smoothing / (double)width;
    double most = (double)z[0], total = own, mean = 0;
    for (size_t j = 1; j < width; j++)
        most = fmax(most, (double)z[j]);
    double sum = exp((double)z[0] - most);
    for (size_t j = 1; j < width; j++)
        sum += exp((double)z[j] - most);
    const double normal = most + log(sum);
    for (size_t j = 0; j < width; j++) {
        total += share * class_weight(loss, j);
        mean += share * class_weight(loss, j) * (normal - (double)z[j]);
    }
    for (size_t j = 0; j < width; j++) {
        const double wanted = share * class_weight(loss, j) + (j == label ? own : 0);
        delta[j] = (float)(scale * (total * exp((double)z[j] - normal) - wanted));
    }
    return own * (normal - (double)z[label]) + mean;
}

/* The plain path is not this one with weights of 1: it is a float32 pass over vectors, and digests
 * stand on its bits. */
static double weighted(const struct gr_loss *loss, const struct gr_loss_batch *batch, float scale,
                       float *delta) {
    const size_t width = batch->width;
    double sum = 0;
    for (size_t i = 0; i < batch->n; i++) {
        const double w = row_weight(batch->weights, i);
        sum += w * weighted_row(loss, batch->outputs + i * width, (size_t)batch->labels[i], width,
                                w * (double)scale, delta + i * width);
    }
    return sum;
}

/* The same sum as a score: classes weigh alike, and labels are not smoothed. */
static double weighted_score(const struct gr_loss_batch *batch, size_t *correct) {
    const size_t width = batch->width;
    double sum = 0;
    size_t n_correct = 0, one;
    for (size_t i = 0; i < batch->n; i++) {
        sum += row_weight(batch->weights, i) * gr_cross_entropy(batch->outputs + i * width,
                                                                batch->labels + i, 1, width, 1,
                                                                NULL, &one);
        n_correct += one;
    }
    if (correct) *correct = n_correct;
    return sum;
}

static double cross_entropy(const struct gr_loss *loss, const struct gr_loss_batch *batch,
                            float scale, float *delta, size_t *correct) {
    if (delta && (loss->weights || batch->weights)) return weighted(loss, batch, scale, delta);
    if (batch->weights) return weighted_score(batch, correct);
    double sum = gr_cross_entropy(batch->outputs, batch->labels, batch->n, batch->width, scale,
                                  delta, correct);
    /* Smoothing is for training; a score is of the labels. */
    if (delta && loss->smoothing > 0) sum += smooth(loss, batch, scale, delta);
    return sum;
}

static const struct {
    enum gr_task task;
    row_loss run; /* NULL: cross_entropy */
} losses[] = {
    [GR_LOSS_CROSS_ENTROPY] = {GR_TASK_CLASSIFICATION, NULL},
    [GR_LOSS_BINARY_CROSS_ENTROPY] = {GR_TASK_BINARY, binary_cross_entropy},
    [GR_LOSS_SQUARED] = {GR_TASK_REGRESSION, squared},
    [GR_LOSS_HUBER] = {GR_TASK_REGRESSION, huber},
    [GR_LOSS_POISSON] = {GR_TASK_COUNT, poisson},
};

enum gr_task gr_loss_task(enum gr_loss_type type) {
    return losses[type].task;
}

/* An output of exactly 0 is a tie, and goes to label 0, the first. */
double gr_loss_run(const struct gr_loss *loss, const struct gr_loss_batch *batch, float scale,
                   float *delta, size_t *correct) {
    const row_loss run = losses[loss->type].run;
    const bool binary = losses[loss->type].task == GR_TASK_BINARY;
    double sum = 0, slope;
    size_t n_correct = 0;
    if (!run) return cross_entropy(loss, batch, scale, delta, correct);
    for (size_t i = 0; i < batch->n; i++) {
        const float z = batch->outputs[i];
        const double y = binary ? (double)batch->labels[i] : (double)batch->targets[i];
        const double w = row_weight(batch->weights, i) *
                         (delta && loss->weights ? loss->weights[batch->labels[i]] : 1);
        sum += w * run(loss, (double)z, y, &slope);
        n_correct += binary && (z > 0) == (batch->labels[i] == 1);
        if (delta) delta[i] = (float)((double)scale * w * slope);
    }
    if (correct) *correct = n_correct;
    return sum;
}

/* In the order of rows, in double: the same for a batch wherever it is computed. */
double gr_loss_weight(const struct gr_loss *loss, const int32_t *labels, const float *weights,
                      size_t n) {
    double sum = 0;
    if (!loss->weights && !weights) return (double)n;
    for (size_t i = 0; i < n; i++)
        sum += row_weight(weights, i) * (loss->weights ? loss->weights[labels[i]] : 1);
    return sum;
}
