/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of the local solvers, each one loop over the parameters. All state and all arithmetic but
 * norms and Adam's constants are float32, in the order in which PyTorch has them: tests compare the
 * two. A solver that the model can take in its backward pass (plain SGD) is not here but behind
 * gr_model_step.
 */
#include "train/optimizer.h"

#include <math.h>

static bool is_adam(const struct gr_train_config *config) {
    return config->optimizer == GR_OPTIMIZER_ADAM || config->optimizer == GR_OPTIMIZER_ADAMW;
}

size_t gr_optimizer_state(const struct gr_train_config *config) {
    return is_adam(config) ? 2 : config->momentum > 0 ? 1 : 0;
}

/* Before clipping: the term is part of the objective, and its gradient is clipped with the rest. */
void gr_add_proximal(float *restrict gradient, const float *restrict parameters,
                     const float *restrict global, double mu, size_t n) {
    const float pull = (float)mu;
    for (size_t i = 0; i < n; i++)
        gradient[i] += pull * (parameters[i] - global[i]);
}

float gr_clip_scale(const float *gradient, double max_norm, size_t n) {
    enum { LANES = 8 }; /* sums side by side, in an order that does not depend on the compiler */
    double lane[LANES] = {0}, sum = 0;
    if (!(max_norm > 0)) return 1;
    for (size_t i = 0; i < n; i++)
        lane[i % LANES] += (double)gradient[i] * (double)gradient[i];
    for (size_t l = 0; l < LANES; l++)
        sum += lane[l];
    /* Not finite: such a gradient is found out by what it does to the loss. */
    return sqrt(sum) <= max_norm ? 1 : (float)(max_norm / sqrt(sum));
}

/* One loop for each kind, without a branch on what is 0: the compiler makes vectors of it, and
 * scale 1 and decay 0 leave the value of a finite gradient as it is. */
static void plain_step(float *restrict parameters, const float *restrict gradient, float scale,
                       float rate, float decay, size_t n) {
    for (size_t i = 0; i < n; i++)
        parameters[i] -= rate * (scale * gradient[i] + decay * parameters[i]);
}

static void momentum_step(float *restrict parameters, float *restrict velocity,
                          const float *restrict gradient, float scale, float rate, float keep,
                          float decay, size_t n) {
    for (size_t i = 0; i < n; i++) {
        velocity[i] = keep * velocity[i] + (scale * gradient[i] + decay * parameters[i]);
        parameters[i] -= rate * velocity[i];
    }
}

static void nesterov_step(float *restrict parameters, float *restrict velocity,
                          const float *restrict gradient, float scale, float rate, float keep,
                          float decay, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const float slope = scale * gradient[i] + decay * parameters[i];
        velocity[i] = keep * velocity[i] + slope;
        parameters[i] -= rate * (slope + keep * velocity[i]);
    }
}

/* The constants of an Adam step, the same for all parameters. */
struct adam {
    float beta1, rest1; /* rest: 1 - beta, which float32 would not tell from a beta close to 1 */
    float beta2, rest2;
    float rate, root; /* rate / (1 - beta1^t), sqrt(1 - beta2^t) */
    float epsilon;
    float decay, shrink; /* added to the gradient; what a parameter is multiplied by */
};

/*
 * In double: 1 - beta2^t of t = 1 and beta2 = 0.999 would keep four digits in float32. rate is
 * divided by the first moment's correction, root takes the second's out of the square root, so that
 * the loop has no power.
 */
static struct adam adam_of(const struct gr_train_config *config, double rate, uint64_t t) {
    const bool apart = config->optimizer == GR_OPTIMIZER_ADAMW;
    return (struct adam){
        .beta1 = (float)config->beta1,
        .rest1 = (float)(1 - config->beta1),
        .beta2 = (float)config->beta2,
        .rest2 = (float)(1 - config->beta2),
        .rate = (float)(rate / (1 - pow(config->beta1, (double)t))),
        .root = (float)sqrt(1 - pow(config->beta2, (double)t)),
        .epsilon = (float)config->epsilon,
        .decay = apart ? 0 : (float)config->weight_decay,
        .shrink = apart ? (float)(1 - rate * config->weight_decay) : 1,
    };
}

static void adam_step(float *restrict parameters, float *restrict first, float *restrict second,
                      const float *restrict gradient, float scale, struct adam a, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const float slope = scale * gradient[i] + a.decay * parameters[i];
        first[i] = a.beta1 * first[i] + a.rest1 * slope;
        second[i] = a.beta2 * second[i] + a.rest2 * slope * slope;
        parameters[i] =
            a.shrink * parameters[i] - a.rate * first[i] / (sqrtf(second[i]) / a.root + a.epsilon);
    }
}

void gr_optimizer_step(const struct gr_train_config *config, double rate, uint64_t t,
                       float *parameters, const float *gradient, float scale, float *const *state,
                       size_t n) {
    const float keep = (float)config->momentum, decay = (float)config->weight_decay;
    if (is_adam(config))
        adam_step(parameters, state[0], state[1], gradient, scale, adam_of(config, rate, t), n);
    else if (!(config->momentum > 0))
        plain_step(parameters, gradient, scale, (float)rate, decay, n);
    else if (config->optimizer == GR_OPTIMIZER_NESTEROV)
        nesterov_step(parameters, state[0], gradient, scale, (float)rate, keep, decay, n);
    else
        momentum_step(parameters, state[0], gradient, scale, (float)rate, keep, decay, n);
}
