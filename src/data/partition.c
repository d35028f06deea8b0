/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows to silos. Everything draws from one stream and looks only at the labels, so every process
 * finds the same partition. Within a silo rows are in the order of the table.
 */
#include <granary/data.h>

#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>

enum { DIRICHLET_TRIES = 1000 };

/* The input and output of a method. */
struct dealing {
    const struct gr_partition_config *config;
    uint32_t n_silos;
    const int32_t *labels;
    size_t n_rows;
    size_t n_classes;
    gsl_rng *stream;
    size_t *class_first;   /* n_classes + 1: of the rows sorted by label */
    uint32_t *by_class;    /* n_rows: rows sorted by label, stable; owned */
    uint32_t *silo_of;     /* n_rows: the outcome; owned */
    uint32_t *permutation; /* n_rows: workspace; owned */
};

static gr_status too_few(const struct dealing *d, size_t least) {
    return gr_fail(GR_ERROR_CONFIG,
                   "data.partition: %zu rows over %u silos: found a silo with %zu rows, "
                   "data.partition.minimum_rows is %u",
                   d->n_rows, d->n_silos, least, d->config->minimum_rows);
}

/* Sizes differ by one row at most; the permutation says which rows, the place i * silos / rows how
 * many. */
static gr_status deal_iid(struct dealing *d) {
    gr_stream_permutation(d->stream, d->permutation, d->n_rows);
    for (size_t i = 0; i < d->n_rows; i++)
        d->silo_of[d->permutation[i]] = (uint32_t)((uint64_t)i * d->n_silos / d->n_rows);
    return GR_OK;
}

/* Counting sort by label. class_first is moved on while rows are placed, and set back by one class
 * afterwards. */
static void sort_by_class(struct dealing *d) {
    memset(d->class_first, 0, (d->n_classes + 1) * sizeof *d->class_first);
    for (size_t i = 0; i < d->n_rows; i++)
        d->class_first[d->labels[i] + 1]++;
    for (size_t c = 0; c < d->n_classes; c++)
        d->class_first[c + 1] += d->class_first[c];
    for (size_t i = 0; i < d->n_rows; i++)
        d->by_class[d->class_first[d->labels[i]]++] = (uint32_t)i;
    memmove(d->class_first + 1, d->class_first, d->n_classes * sizeof *d->class_first);
    d->class_first[0] = 0;
}

/* One draw: each class's proportions become the silos' cuts of its rows. size: each silo's rows;
 * `deal`: the rows are dealt, too. The last silo takes the rest, so that rounding loses no row. */
static void draw_proportions(const struct dealing *d, gsl_rng *stream, double *alpha,
                             double *proportion, size_t *size, bool deal) {
    for (uint32_t s = 0; s < d->n_silos; s++) {
        alpha[s] = d->config->alpha;
        size[s] = 0;
    }
    for (size_t c = 0; c < d->n_classes; c++) {
        size_t first = d->class_first[c], n = d->class_first[c + 1] - first, at = 0;
        double sum = 0;
        if (n == 0) continue;
        gsl_ran_dirichlet(stream, d->n_silos, alpha, proportion);
        for (uint32_t s = 0; s < d->n_silos; s++) {
            sum += proportion[s];
            size_t end = s + 1 == d->n_silos || sum >= 1 ? n : (size_t)(sum * (double)n);
            size[s] += end - at;
            for (; at < end; at++)
                if (deal) d->silo_of[d->by_class[first + at]] = s;
        }
    }
}

/* The cuts are to be of each class's rows in a random order. */
static void shuffle_classes(struct dealing *d) {
    for (size_t c = 0; c < d->n_classes; c++) {
        size_t first = d->class_first[c], n = d->class_first[c + 1] - first;
        gr_stream_permutation(d->stream, d->permutation + first, n);
        for (size_t i = first; i < first + n; i++)
            d->permutation[i] = d->by_class[first + d->permutation[i]];
    }
    memcpy(d->by_class, d->permutation, d->n_rows * sizeof *d->by_class);
}

/*
 * Draws until every silo has enough, which needs sizes only; then the last draw is repeated. The
 * stream is cloned before each draw rather than all proportions kept: they are as many as silos
 * times classes.
 */
static gr_status deal_dirichlet(struct dealing *d) {
    double *alpha = NULL, *proportion = NULL;
    size_t *size = NULL, least = 0, best = 0;
    gsl_rng *before = gsl_rng_clone(d->stream);
    gr_status status;
    if (!before) return gr_fail(GR_ERROR_INTERNAL, "memory for a random stream was refused");
    GR_TRY(gr_allocate(d->n_silos, sizeof *alpha, "a partition", &alpha));
    GR_TRY(gr_allocate(d->n_silos, sizeof *proportion, "a partition", &proportion));
    GR_TRY(gr_allocate(d->n_silos, sizeof *size, "a partition", &size));
    for (int i = 0; i < DIRICHLET_TRIES; i++) {
        gsl_rng_memcpy(before, d->stream);
        draw_proportions(d, d->stream, alpha, proportion, size, false);
        least = size[0];
        for (uint32_t s = 1; s < d->n_silos; s++)
            if (size[s] < least) least = size[s];
        if (least > best) best = least;
        if (least >= d->config->minimum_rows) break;
    }
    if (least < d->config->minimum_rows) {
        status = gr_fail_context(too_few(d, best),
                                 "the best of %d draws of Dirichlet(%g): ", DIRICHLET_TRIES,
                                 d->config->alpha);
        goto out;
    }
    shuffle_classes(d);
    draw_proportions(d, before, alpha, proportion, size, true);
out:
    gsl_rng_free(before);
    gr_free(size);
    gr_free(proportion);
    gr_free(alpha);
    return status;
}

/* Shards of rows sorted by label, so that a silo sees few classes (McMahan et al. 2017, section 3,
 * the pathological partition). */
static gr_status deal_shards(struct dealing *d) {
    uint64_t n_shards = (uint64_t)d->n_silos * d->config->shards_per_silo;
    if (n_shards == 0 || n_shards > d->n_rows)
        return gr_fail(GR_ERROR_CONFIG,
                       "data.partition.shards_per_silo: found %u for %u silos, allowed are 1 to "
                       "%zu with %zu rows",
                       d->config->shards_per_silo, d->n_silos, d->n_rows / d->n_silos, d->n_rows);
    gr_stream_permutation(d->stream, d->permutation, n_shards);
    for (uint64_t k = 0; k < n_shards; k++) {
        uint32_t silo = d->permutation[k] / d->config->shards_per_silo;
        for (uint64_t i = k * d->n_rows / n_shards; i < (k + 1) * d->n_rows / n_shards; i++)
            d->silo_of[d->by_class[i]] = silo;
    }
    return GR_OK;
}

/* Lists the rows silo by silo, and holds the sizes against minimum_rows. */
static gr_status list_rows(const struct dealing *d, struct gr_partition *out) {
    size_t least = d->n_rows;
    for (size_t i = 0; i < d->n_rows; i++)
        out->first[d->silo_of[i] + 1]++;
    for (uint32_t s = 0; s < d->n_silos; s++) {
        if (out->first[s + 1] < least) least = out->first[s + 1];
        out->first[s + 1] += out->first[s];
    }
    if (least < d->config->minimum_rows) return too_few(d, least);
    for (size_t i = 0; i < d->n_rows; i++)
        out->row_of[out->first[d->silo_of[i]]++] = (uint32_t)i;
    memmove(out->first + 1, out->first, d->n_silos * sizeof *out->first);
    out->first[0] = 0;
    return GR_OK;
}

/* Every process partitions the whole table, though it keeps its silos' rows only: the cost is a few
 * bytes a row, and no communication. */
gr_status gr_partition_create(const struct gr_partition_config *config, uint64_t seed,
                              uint32_t n_silos, const int32_t *labels, size_t n_rows,
                              struct gr_partition *out) {
    struct dealing d = {
        .config = config, .n_silos = n_silos, .labels = labels, .n_rows = n_rows, .n_classes = 1};
    gr_status status;
    *out = (struct gr_partition){.n_silos = n_silos};
    if (n_silos == 0 || n_rows > UINT32_MAX)
        return gr_fail(GR_ERROR_CONFIG, "data.silos: found %u for %zu rows", n_silos, n_rows);
    if (n_rows / n_silos < config->minimum_rows) return too_few(&d, n_rows / n_silos);
    for (size_t i = 0; i < n_rows; i++)
        if ((size_t)labels[i] >= d.n_classes) d.n_classes = (size_t)labels[i] + 1;
    GR_TRY(gr_stream_create((struct gr_stream_key){seed, 0, 0, GR_PURPOSE_PARTITION}, &d.stream));
    GR_TRY(gr_allocate(d.n_classes + 1, sizeof *d.class_first, "classes", &d.class_first));
    GR_TRY(gr_allocate(n_rows, sizeof *d.by_class, "a partition", &d.by_class));
    GR_TRY(gr_allocate(n_rows, sizeof *d.silo_of, "a partition", &d.silo_of));
    GR_TRY(gr_allocate(n_rows, sizeof *d.permutation, "a partition", &d.permutation));
    sort_by_class(&d);
    switch (config->method) {
    case GR_PARTITION_DIRICHLET:
        status = deal_dirichlet(&d);
        break;
    case GR_PARTITION_SHARDS:
        status = deal_shards(&d);
        break;
    case GR_PARTITION_IID:
    default:
        status = deal_iid(&d);
        break;
    }
    if (status != GR_OK) goto out;
    GR_TRY(gr_allocate_zero((size_t)n_silos + 1, sizeof *out->first, "a partition", &out->first));
    out->row_of = d.permutation;
    d.permutation = NULL;
    GR_TRY(list_rows(&d, out));
out:
    if (d.stream) gsl_rng_free(d.stream);
    gr_free(d.class_first);
    gr_free(d.by_class);
    gr_free(d.silo_of);
    gr_free(d.permutation);
    if (status != GR_OK) gr_partition_release(out);
    return status;
}

/* Nothing is drawn: silos are the groups, in their order. */
gr_status gr_partition_by_group(const struct gr_partition_config *config, uint32_t n_silos,
                                const uint32_t *silo_of, size_t n_rows, struct gr_partition *out) {
    struct dealing d = {.config = config, .n_silos = n_silos, .n_rows = n_rows};
    gr_status status;
    *out = (struct gr_partition){.n_silos = n_silos};
    GR_TRY(gr_allocate(n_rows, sizeof *d.silo_of, "a partition", &d.silo_of));
    memcpy(d.silo_of, silo_of, n_rows * sizeof *d.silo_of);
    GR_TRY(gr_allocate(n_rows, sizeof *out->row_of, "a partition", &out->row_of));
    GR_TRY(gr_allocate_zero((size_t)n_silos + 1, sizeof *out->first, "a partition", &out->first));
    status = list_rows(&d, out);
out:
    gr_free(d.silo_of);
    if (status != GR_OK) gr_partition_release(out);
    return status;
}

void gr_partition_release(struct gr_partition *partition) {
    gr_free(partition->first);
    gr_free(partition->row_of);
    *partition = (struct gr_partition){0};
}
