/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clip norm that follows the norms of updates (Andrew, Thakkar, McMahan, Ramaswamy 2021,
 * arXiv:1905.03871, algorithm 1): C becomes C exp(-eta (b - gamma)), where b is the noised share of
 * updates that were not cut, gamma the quantile asked for. All ranks have the same count, and are
 * to have the same norm to the last bit on whatever machines: it is clip_norm times a power of
 * 2^(1/256), whose exponent is a whole number, and no logarithm of a library decides it.
 */
#include "federation/internal.h"

#include <math.h>

enum { STEPS_OF_TWO = 256, STEPS_MAX = 20 * STEPS_OF_TWO };

/* 2^(step / 256): square roots are rounded alike everywhere. */
double gr_clip_norm(const struct gr_config *config, int32_t step) {
    const int32_t whole = (step + STEPS_MAX) / STEPS_OF_TWO - STEPS_MAX / STEPS_OF_TWO;
    const int32_t rest = (step + STEPS_MAX) % STEPS_OF_TWO;
    double norm = ldexp(config->privacy.clip_norm, whole), root = 2;
    for (int32_t bit = STEPS_OF_TWO / 2; bit > 0; bit /= 2) {
        root = sqrt(root);
        if (rest & bit) norm *= root;
    }
    return norm;
}

int64_t gr_clip_tally(const float *update, size_t n, double norm) {
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (double)update[i] * (double)update[i];
    return squares <= norm * norm ? GR_CLIP_TALLY : -GR_CLIP_TALLY;
}

/* Noise may take the share out of its range, where it says nothing more. */
int32_t gr_clip_follow(const struct gr_adaptive_clipping_config *clipping, int32_t step,
                       int64_t tally, uint32_t n_members) {
    static const double steps_of_e = STEPS_OF_TWO * M_LOG2E;
    const double n = n_members;
    const double share = fmin(fmax((double)tally / (2.0 * GR_CLIP_TALLY * n) + 0.5, 0), 1);
    const double change = -clipping->learning_rate * (share - clipping->quantile) * steps_of_e;
    const int32_t next = step + (int32_t)lrint(change);
    return next > STEPS_MAX ? STEPS_MAX : next < -STEPS_MAX ? -STEPS_MAX : next;
}
