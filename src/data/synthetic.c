/* SPDX-License-Identifier: Apache-2.0 */
/*
 * synthetic(alpha, beta) of Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith, "Federated Optimization in
 * Heterogeneous Networks" (FedProx), 2020, section 5.1: silo k has the model W_k, b_k and rows x,
 *
 *   u_k ~ N(0, alpha)   W_k, b_k ~ N(u_k, 1)
 *   B_k ~ N(0, beta)    v_k ~ N(B_k, 1)        x ~ N(v_k, Sigma), Sigma = diag(j^-1.2), j = 1...
 *   y = argmax softmax(W_k x + b_k)
 *
 * where alpha and beta are variances. (u_k moves all outputs of a row by the same amount, so that
 * with this definition, as with the authors' program, alpha leaves the labels as they are.) A silo
 * draws everything from its own stream, so any process makes any silo.
 */
#include "data/rows.h"
#include "data/split.h"

#include <math.h>
#include <string.h>

#include <gsl/gsl_randist.h>

struct generator {
    const struct gr_synthetic_config *config;
    uint64_t seed;
    gsl_rng *stream;
    double *weight;    /* n_classes x n_features */
    double *bias;      /* n_classes */
    double *mean;      /* n_features: v_k */
    double *deviation; /* n_features: square roots of Sigma's diagonal */
    double *x;         /* n_features */
};

static void generator_release(struct generator *g) {
    if (g->stream) gsl_rng_free(g->stream);
    gr_free(g->weight);
    gr_free(g->bias);
    gr_free(g->mean);
    gr_free(g->deviation);
    gr_free(g->x);
}

/* The features' covariance is diagonal, Sigma_jj = j^-1.2 (Li et al. 2020, section 5.1). */
static gr_status generator_create(const struct gr_config *config, struct generator *g) {
    const struct gr_synthetic_config *c = &config->data.synthetic;
    struct gr_stream_key key = {config->data.split_seed, 0, 0, GR_PURPOSE_SYNTHETIC};
    size_t width = c->n_features;
    gr_status status;
    *g = (struct generator){.config = c, .seed = config->data.split_seed};
    GR_TRY(gr_stream_create(key, &g->stream));
    GR_TRY(gr_allocate(c->n_classes * width, sizeof(double), "a synthetic model", &g->weight));
    GR_TRY(gr_allocate(c->n_classes, sizeof(double), "a synthetic model", &g->bias));
    GR_TRY(gr_allocate(width, sizeof(double), "a synthetic model", &g->mean));
    GR_TRY(gr_allocate(width, sizeof(double), "a synthetic model", &g->deviation));
    GR_TRY(gr_allocate(width, sizeof(double), "a synthetic row", &g->x));
    for (size_t j = 0; j < width; j++)
        g->deviation[j] = pow((double)(j + 1), -0.6);
out:
    if (status != GR_OK) generator_release(g);
    return status;
}

/* Begins a silo; returns its number of rows, test rows included. The order of draws is fixed:
 * digests of the examples stand on it. */
static size_t begin_silo(struct generator *g, uint32_t silo) {
    const struct gr_synthetic_config *c = g->config;
    gr_stream_restart(g->stream, (struct gr_stream_key){g->seed, silo, 0, GR_PURPOSE_SYNTHETIC});
    double extra = floor(gsl_ran_lognormal(g->stream, 4, 2));
    double u = gsl_ran_gaussian_ziggurat(g->stream, sqrt(c->alpha));
    double b = gsl_ran_gaussian_ziggurat(g->stream, sqrt(c->beta));
    for (size_t j = 0; j < c->n_features; j++)
        g->mean[j] = b + gsl_ran_gaussian_ziggurat(g->stream, 1);
    for (size_t i = 0; i < (size_t)c->n_classes * c->n_features; i++)
        g->weight[i] = u + gsl_ran_gaussian_ziggurat(g->stream, 1);
    for (size_t i = 0; i < c->n_classes; i++)
        g->bias[i] = u + gsl_ran_gaussian_ziggurat(g->stream, 1);
    double rows = (double)c->minimum_rows + extra;
    return rows < c->maximum_rows ? (size_t)rows : c->maximum_rows;
}

/* The silo's next row; `features` NULL: the row is drawn and forgotten. */
static void next_row(struct generator *g, float *features, int32_t *label) {
    const struct gr_synthetic_config *c = g->config;
    double largest = -INFINITY;
    for (size_t j = 0; j < c->n_features; j++)
        g->x[j] = g->mean[j] + gsl_ran_gaussian_ziggurat(g->stream, g->deviation[j]);
    if (!features) return;
    for (size_t j = 0; j < c->n_features; j++)
        features[j] = (float)g->x[j];
    for (uint32_t i = 0; i < c->n_classes; i++) {
        const double *w = g->weight + (size_t)i * c->n_features;
        double output = g->bias[i];
        for (size_t j = 0; j < c->n_features; j++)
            output += w[j] * g->x[j];
        if (output > largest) {
            largest = output;
            *label = (int32_t)i;
        }
    }
}

/* The next row into row `at` of `rows`, or nowhere. */
static void put_row(struct generator *g, struct gr_rows *rows, size_t at) {
    if (!rows)
        next_row(g, NULL, NULL);
    else
        next_row(g, (float *)rows->features + at * rows->n_features, rows->labels + at);
}

/* Where test row `row` of the whole table lies in data->test; false: in another process. Batches
 * are dealt as gr_test_create deals them. */
static bool test_position(const struct gr_share *share, size_t row, size_t *at) {
    size_t batch = row / GR_TEST_BATCH;
    *at = batch / share->test_count * GR_TEST_BATCH + row % GR_TEST_BATCH;
    return batch % share->test_count == share->test_index;
}

/* Whether any of silo s's test rows is held here. */
static bool tests_here(const struct gr_share *share, uint32_t silo, uint32_t test_rows) {
    size_t at;
    for (size_t i = 0; i < test_rows; i++)
        if (test_position(share, (size_t)silo * test_rows + i, &at)) return true;
    return false;
}

/*
 * The labels of a silo's own rows, which its split looks at; then the silo begins anew. The
 * features are drawn twice rather than kept: a silo's rows may be many, its split must come before
 * their places are known.
 */
static gr_status draw_labels(struct generator *g, uint32_t id, size_t n, int32_t *labels) {
    float *row = NULL;
    gr_status status;
    GR_TRY(gr_allocate(g->config->n_features, sizeof *row, "a synthetic row", &row));
    for (size_t i = 0; i < n; i++)
        next_row(g, row, &labels[i]);
    (void)begin_silo(g, id);
out:
    gr_free(row);
    return status;
}

/* Makes one silo: its own rows into `silo` (NULL: another process's), its test rows. */
static gr_status make_silo(const struct gr_config *config, const struct gr_share *share,
                           struct generator *g, uint32_t id, const struct gr_rows *like,
                           struct gr_silo *silo, struct gr_data *data) {
    size_t rows = begin_silo(g, id), test_rows = g->config->test_rows, own = rows - test_rows;
    size_t filled[GR_PARTS] = {0}, at;
    uint8_t *part = NULL;
    int32_t *labels = NULL;
    gr_status status = GR_OK;
    if (silo) {
        GR_TRY(gr_allocate(own, 1, "a split", &part));
        GR_TRY(gr_allocate_zero(own, sizeof *labels, "a split", &labels));
        if (gr_split_by_class(config)) GR_TRY(draw_labels(g, id, own, labels));
        GR_TRY(gr_silo_create(config, id, own, labels, NULL, like, silo, part));
    }
    for (size_t i = 0; i < own; i++)
        put_row(g, silo ? gr_silo_part(silo, part[i]) : NULL, silo ? filled[part[i]]++ : 0);
    for (size_t i = 0; i < test_rows; i++) {
        bool here = test_position(share, (size_t)id * test_rows + i, &at);
        put_row(g, here ? &data->test : NULL, at);
    }
out:
    gr_free(labels);
    gr_free(part);
    return status;
}

/* A silo keeps at least one row of its own beside its test rows. */
static gr_status check_config(const struct gr_synthetic_config *c) {
    size_t least = c->minimum_rows < c->maximum_rows ? c->minimum_rows : c->maximum_rows;
    if (c->n_classes == 0 || c->n_classes > UINT16_MAX || c->n_features == 0)
        return gr_fail(GR_ERROR_CONFIG, "data.synthetic: found %u features and %u classes",
                       c->n_features, c->n_classes);
    if (least <= c->test_rows)
        return gr_fail(GR_ERROR_CONFIG,
                       "data.synthetic.test_rows: found %u, which leaves no row to a silo of %zu "
                       "rows, allowed less than data.synthetic.minimum_rows",
                       c->test_rows, least);
    return GR_OK;
}

/* A silo of another process is drawn here too where test rows of it are held here. */
gr_status gr_synthetic_load(const struct gr_config *config, const struct gr_share *share,
                            struct gr_data *data) {
    const struct gr_synthetic_config *c = &config->data.synthetic;
    const struct gr_rows like = {
        .n_features = c->n_features, .element = GR_ELEMENT_FLOAT32, .scale = 1.0f};
    struct generator g = {0};
    gr_status status;
    GR_TRY(check_config(c));
    GR_TRY(generator_create(config, &g));
    data->n_features = data->shape[0] = c->n_features;
    data->n_dims = 1;
    data->n_classes = c->n_classes;
    GR_TRY(gr_test_create(share, (size_t)share->n_silos * c->test_rows, &like, data));
    for (uint32_t id = 0, next = 0; id < share->n_silos; id++) {
        bool own = next < share->n_local && share->silos[next] == id;
        if (!own && !tests_here(share, id, c->test_rows)) continue;
        GR_TRY(gr_alive());
        GR_TRY(make_silo(config, share, &g, id, &like, own ? &data->local[next] : NULL, data));
        next += own;
    }
out:
    generator_release(&g);
    return status;
}
