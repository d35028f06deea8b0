/* SPDX-License-Identifier: Apache-2.0 */
/* The privacy profile of Gaussian sums that sample nothing: Balle, Wang 2018, theorem 8. */
#include "privacy/accounting.h"

#include <gsl/gsl_sf_erf.h>
#include <math.h>

/* log(Phi(-x)) */
static double log_tail(double x) {
    return gsl_sf_log_erfc(x / M_SQRT2) - M_LN2;
}

/* Phi(mu / 2 - epsilon / mu) - e^epsilon Phi(-mu / 2 - epsilon / mu), by logarithms, so that both
 * may be smaller than any double. */
double gr_gaussian_delta(double mu, double epsilon) {
    const double first = log_tail(epsilon / mu - mu / 2),
                 second = epsilon + log_tail(epsilon / mu + mu / 2);
    return second >= first ? 0 : -exp(first) * expm1(second - first);
}

/* By bisection, to the last digits; from above, so that rounding makes epsilon greater. */
double gr_gaussian_epsilon(double mu, double delta) {
    double low = 0, high = 1;
    if (gr_gaussian_delta(mu, 0) <= delta) return 0;
    while (gr_gaussian_delta(mu, high) > delta)
        high *= 2;
    for (int i = 0; i < 200 && high - low > 1e-15 * high; i++) {
        const double middle = low + (high - low) / 2;
        if (gr_gaussian_delta(mu, middle) > delta)
            low = middle;
        else
            high = middle;
    }
    return high;
}
