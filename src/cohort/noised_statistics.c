/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Means, deviations and modes under differential privacy: each silo adds up its training rows in
 * whole numbers (bounded_sums.h), adds noise to all sums, and its ledger is charged; then they are
 * summed over all. The noise is of each silo in full, wherever that of steps comes from: so a silo
 * need not trust the others, and the sums of those that are left after a loss have enough of it.
 *
 * A silo brings its sums whether it has rows or not, as that would be told by nothing else.
 */
#include "cohort/preprocessing_fit.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#include "config/privacy_plan.h"
#include "data/bounded_sums.h"
#include "privacy/noise.h"
#include "privacy/secret_draw.h"
#include "privacy/sensitivity.h"

/* Streams of a secret, apart from those of steps and of scores. */
enum { STATISTICS_NOISE = 2 };

struct statistics {
    struct gr_bounded_layout layout;
    struct gr_noise *noise; /* of one silo; NULL: no sum is asked for */
    int64_t *own, *all;     /* layout.n each: of a silo; of this rank's, then of all ranks' */
    unsigned char *secrets; /* of this rank's silos */
    int64_t silos;          /* of all ranks, that bring sums */
};

static void release(struct statistics *s, size_t n_local) {
    if (s->own) sodium_memzero(s->own, s->layout.n * sizeof *s->own);
    if (s->secrets) sodium_memzero(s->secrets, n_local * GR_SECRET_BYTES);
    gr_free(s->secrets);
    gr_free(s->own);
    gr_free(s->all);
    gr_noise_free(s->noise);
    gr_bounded_layout_release(&s->layout);
}

static gr_status prepare(const struct gr_fitting *fit, struct gr_cohort *cohort,
                         struct statistics *s) {
    const size_t n_local = fit->data->n_local;
    gr_status status;
    GR_TRY(gr_bounded_layout_create(fit->treatment, fit->n, &s->layout));
    if (s->layout.n == 0) return GR_OK;
    GR_TRY(gr_noise_create(gr_privacy_statistics_noise(fit->config, s->layout.most), &s->noise));
    GR_TRY(gr_allocate_zero(s->layout.n, sizeof *s->own, "statistics", &s->own));
    GR_TRY(gr_allocate_zero(s->layout.n, sizeof *s->all, "statistics", &s->all));
    GR_TRY(gr_allocate_zero(n_local, GR_SECRET_BYTES, "secrets", &s->secrets));
    if (!cohort->secrets)
        status =
            gr_allocate_zero(fit->config->data.silos, GR_SECRET_BYTES, "secrets", &cohort->secrets);
out:
    return status;
}

/* Unusable silos are known to all. */
static bool brings(const struct gr_silo *silo) {
    return silo->unusable == GR_OK;
}

/* The secret of a silo, which is drawn when it is asked for first. */
static const unsigned char *secret_of(const struct gr_cohort *cohort, const struct gr_silo *silo) {
    unsigned char *secret = cohort->secrets + (size_t)silo->id * GR_SECRET_BYTES;
    if (!sodium_is_zero(secret, GR_SECRET_BYTES)) return secret;
    if (cohort->config->run.rehearsal)
        gr_secret_rehearse(cohort->config->run.seed, silo->stream, 0, secret);
    else
        gr_secret_make(secret);
    return secret;
}

/* ---- a silo's -------------------------------------------------------------------------------- */

static gr_status add_silo(const struct gr_fitting *fit, const struct gr_silo *silo,
                          const unsigned char *secret, struct statistics *s) {
    const bool persons = fit->config->privacy.unit == GR_PRIVACY_PERSON;
    unsigned char seed[GR_SECRET_BYTES];
    _Static_assert((int)GR_SECRET_BYTES == (int)GR_NOISE_SEED_BYTES, "a secret's key is a seed");
    if (persons && silo->train.n_rows > 0 && silo->train.persons.n == 0)
        return gr_fail(GR_ERROR_INTERNAL, "rows have no persons with privacy.unit person");
    memset(s->own, 0, s->layout.n * sizeof *s->own);
    gr_bounded_add(&s->layout, fit->treatment, &silo->train, persons, s->own);
    gr_secret_key(secret, GR_SECRET_NOISE, STATISTICS_NOISE, seed);
    gr_noise_add(s->noise, seed, 0, s->own, s->layout.n);
    sodium_memzero(seed, sizeof seed);
    for (size_t i = 0; i < s->layout.n; i++)
        s->all[i] += s->own[i];
    return GR_OK;
}

/* With noise in them before they are added up. */
static gr_status add_own(const struct gr_fitting *fit, const struct gr_cohort *cohort,
                         struct statistics *s) {
    gr_status status = GR_OK;
    for (size_t i = 0; i < fit->data->n_local; i++) {
        const struct gr_silo *silo = &fit->data->local[i];
        if (!brings(silo)) continue;
        gr_alive_on();
        const unsigned char *secret = secret_of(cohort, silo);
        memcpy(s->secrets + i * GR_SECRET_BYTES, secret, GR_SECRET_BYTES);
        GR_TRY(add_silo(fit, silo, secret, s));
    }
out:
    return status;
}

/* ---- over all -------------------------------------------------------------------------------- */

/* Collective. Fewer silos than policy.minimum_silos have ended the start before. */
static gr_status share(struct gr_fitting *fit, struct gr_cohort *cohort, struct statistics *s) {
    gr_status status = GR_OK;
    s->silos = 0;
    for (size_t i = 0; i < fit->data->n_local; i++)
        s->silos += brings(&fit->data->local[i]);
    GR_TRY(gr_comm_sum_public(fit->comm, &s->silos, 1));
    GR_TRY(gr_comm_agree(fit->comm, add_own(fit, cohort, s)));
    GR_TRY(cohort->options.charge(cohort->options.charge_context, s->secrets, GR_SECRET_BYTES));
    gr_inject_fault(cohort, 0, GR_POINT_STATISTICS);
    status = gr_release_sum(fit->door, GR_RELEASE_NOISED_STATISTICS, s->all, s->layout.n);
out:
    return status;
}

/* Where sums tell nothing, or are all 0 as none has left, numbers go by their ranges, and a missing
 * category is none. */
static void conclude(struct gr_fitting *fit, const struct statistics *s) {
    const double noise = gr_noise_sigma(s->noise) * sqrt((double)s->silos) / GR_TALLY_STEPS;
    for (size_t v = 0; v < fit->n; v++) {
        const struct gr_bounded_sums *of = &s->layout.value[v];
        if (of->n == 0) continue;
        const bool told = fit->treatment[v].number
                              ? gr_bounded_number(of, &fit->treatment[v], s->all, noise,
                                                  &fit->mean[v], &fit->deviation[v])
                              : gr_bounded_mode(of, s->all, noise, &fit->mode[v]);
        fit->withheld[v] = !told;
    }
}

gr_status gr_fit_noised_statistics(struct gr_fitting *fit, struct gr_cohort *cohort) {
    struct statistics s = {0};
    gr_status status = GR_OK;
    if (!gr_release_leaves(GR_RELEASE_NOISED_STATISTICS, fit->config)) return GR_OK;
    GR_TRY(gr_comm_agree(fit->comm, prepare(fit, cohort, &s)));
    if (s.layout.n == 0) goto out;
    if (cohort->options.charge) GR_TRY(share(fit, cohort, &s));
    conclude(fit, &s);
out:
    release(&s, fit->data->n_local);
    return status;
}
