/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The draw: the silos that a round asks to take part. Each rank computes it for itself, without
 * communication: it depends on config, seed, round and sizes only, which all ranks have alike.
 *
 * Each way of sampling puts all silos into an order, whether they are there or not, and takes the
 * first `participants` that are: so a silo that is away is replaced by the next in order, and no
 * other silo's place changes. Up to GR_SAMPLE_WHOLE_MAX silos the order is made as a whole, beyond
 * from its front, as far as it is looked at: in time by the number of participants.
 *
 * Silos with names each draw their own place, whoever else there is: a silo that is taken out of a
 * study changes the others' order no more than one that is away.
 */
#include <granary/federation.h>

#include <gsl/gsl_randist.h>
#include <stdlib.h>
#include <string.h>

struct arrival {
    double time;
    uint32_t silo, stream; /* stream: by which equal times are ordered */
};

struct gr_sampler {
    struct gr_draw draw;
    bool whole;
    gsl_rng *stream;        /* owned, as all that follows */
    struct gr_flags listed; /* sampling list: enum gr_listed; else of no silo */
    /* n_silos; for a permutation that is not whole 0, 1, 2, ... between draws. */
    uint32_t *order;
    struct arrival *arrival; /* n_silos, where the draw is of arrivals; else NULL */
    uint32_t *by_name;       /* the stream of each silo with a name; NULL: they have none */
    uint64_t *tree;          /* sampling by size, not whole: n_silos + 1; NULL: not built yet */
    const struct gr_present *present; /* of the draw; NULL: all are; borrowed */
    struct gr_flags *selected;        /* of the draw; borrowed */
};

/* ---- one silo ------------------------------------------------------------------------------- */

/* Whether a silo may take part: listed (round.availability), present where presence matters, and
 * with rows where silos are drawn by size. */
static bool is_eligible(const struct gr_sampler *s, uint32_t silo) {
    if (s->draw.round->sampling == GR_SAMPLING_LIST && s->listed.flag[silo] == GR_LISTED_AWAY)
        return false;
    if (s->draw.sizes && s->draw.sizes[silo] <= 0) return false;
    return !s->present || s->present->is_present(s->present->context, silo);
}

/* The next in order. False: enough are selected. */
static bool take(struct gr_sampler *s, uint32_t silo) {
    if (is_eligible(s, silo)) gr_flags_set(s->selected, silo, 1);
    return s->selected->n_set < s->draw.round->participants;
}

/* A whole number below n >= 1: 64 bits times n, high part; a bias below n / 2^64. */
static uint64_t draw_below(gsl_rng *stream, uint64_t n) {
    uint64_t bits = (uint64_t)gsl_rng_get(stream) << 32;
    bits |= gsl_rng_get(stream);
    return (uint64_t)(((unsigned __int128)bits * n) >> 64);
}

/* ---- each silo as likely as any other ------------------------------------------------------- */

static void take_whole_permutation(struct gr_sampler *s) {
    const uint32_t n = s->draw.n_silos;
    gr_stream_permutation(s->stream, s->order, n);
    for (uint32_t i = 0; i < n && take(s, s->order[i]); i++)
        ;
}

/*
 * A permutation from its front (Fisher and Yates): place i gets one of the silos in places i to
 * n - 1, and its own goes where that was. The order is put back afterwards: a place that is not
 * drawn yet has been touched only if its own silo was drawn.
 */
static void take_permutation(struct gr_sampler *s) {
    const uint32_t n = s->draw.n_silos;
    uint32_t *order = s->order, drawn = 0;
    for (bool more = true; drawn < n && more; drawn++) {
        const uint32_t at = drawn + (uint32_t)draw_below(s->stream, n - drawn);
        const uint32_t silo = order[at];
        order[at] = order[drawn];
        order[drawn] = silo;
        more = take(s, silo);
    }
    for (uint32_t i = 0; i < drawn; i++)
        if (order[i] >= drawn) order[order[i]] = order[i];
    for (uint32_t i = 0; i < drawn; i++)
        order[i] = i;
}

/* ---- by size -------------------------------------------------------------------------------- */

static bool arrives_before(const struct arrival *a, const struct arrival *b) {
    return a->time != b->time ? a->time < b->time : a->stream < b->stream;
}

/* Makes a heap, the earliest first, of one that is wrong at most in place `at`. */
static void sift_down(struct arrival *heap, uint32_t n, uint32_t at) {
    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && arrives_before(&heap[child + 1], &heap[child])) child++;
        if (!arrives_before(&heap[child], &heap[at])) return;
        const struct arrival swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
    }
}

/*
 * Silos arrive after exponential times of rate `size`: the next to arrive is each time drawn in
 * proportion to size among those that have not (Efraimidis and Spirakis 2006). Each silo consumes
 * exactly one random number, in the order of ids, so the draw of a silo does not depend on the
 * presence of others; one with a name takes it from its own stream. A silo without rows never
 * arrives; equal times are ordered by id, or by stream. Without sizes all rates are 1.
 */
static void take_arrivals(struct gr_sampler *s, uint32_t round) {
    uint32_t n = 0;
    struct gr_stream_key key = {.seed = s->draw.seed, .round = round, .purpose = GR_PURPOSE_SAMPLE};
    for (uint32_t i = 0; i < s->draw.n_silos; i++) {
        key.silo = s->by_name ? s->by_name[i] : i;
        if (s->by_name) gr_stream_restart(s->stream, key);
        const double time = gsl_ran_exponential(s->stream, 1);
        const double rate = s->draw.sizes ? (double)s->draw.sizes[i] : 1;
        if (is_eligible(s, i)) s->arrival[n++] = (struct arrival){time / rate, i, key.silo};
    }
    for (uint32_t i = n / 2; i-- > 0;)
        sift_down(s->arrival, n, i);
    while (n > 0 && take(s, s->arrival[0].silo)) {
        s->arrival[0] = s->arrival[--n];
        sift_down(s->arrival, n, 0);
    }
}

/* Place i of the tree holds the rows of the (i & -i) silos up to silo i - 1 (Fenwick 1994). */
static void add_rows(struct gr_sampler *s, uint32_t silo, uint64_t rows) {
    for (uint64_t i = (uint64_t)silo + 1; i <= s->draw.n_silos; i += i & (~i + 1))
        s->tree[i] += rows; /* modulo 2^64: also takes rows away */
}

/* Whose row it is when all silos' rows stand in the order of ids. */
static uint32_t find_silo(const struct gr_sampler *s, uint64_t row) {
    uint64_t at = 0, step = 1;
    while (2 * step <= s->draw.n_silos)
        step *= 2;
    for (; step > 0; step /= 2) {
        if (at + step > s->draw.n_silos || s->tree[at + step] > row) continue;
        at += step;
        row -= s->tree[at];
    }
    return (uint32_t)at;
}

static gr_status build_tree(struct gr_sampler *s) {
    const uint64_t n = s->draw.n_silos;
    gr_status status = gr_allocate_zero(n + 1, sizeof *s->tree, "the sample of silos", &s->tree);
    if (status != GR_OK) return status;
    for (uint64_t i = 1; i <= n; i++) {
        const uint64_t above = i + (i & (~i + 1));
        if (s->draw.sizes[i - 1] > 0) s->tree[i] += (uint64_t)s->draw.sizes[i - 1];
        if (above <= n) s->tree[above] += s->tree[i];
    }
    return GR_OK;
}

/* The same distribution: a row is drawn, each as likely as any other of the silos that have not
 * been drawn, and its silo is the next in order. The rows are put back afterwards. */
static gr_status take_rows(struct gr_sampler *s) {
    const int64_t *sizes = s->draw.sizes;
    uint64_t rows = 0;
    uint32_t drawn = 0;
    gr_status status = GR_OK;
    if (!s->tree) GR_TRY(build_tree(s));
    for (uint64_t i = s->draw.n_silos; i > 0; i &= i - 1)
        rows += s->tree[i];
    for (bool more = true; rows > 0 && more; drawn++) {
        const uint32_t silo = find_silo(s, draw_below(s->stream, rows));
        s->order[drawn] = silo;
        add_rows(s, silo, -(uint64_t)sizes[silo]);
        rows -= (uint64_t)sizes[silo];
        more = take(s, silo);
    }
    for (uint32_t i = 0; i < drawn; i++)
        add_rows(s, s->order[i], (uint64_t)sizes[s->order[i]]);
out:
    return status;
}

/* ---- the draw ------------------------------------------------------------------------------- */

static void take_in_turn(struct gr_sampler *s, uint32_t round) {
    const uint32_t n = s->draw.n_silos;
    const uint64_t taken = (uint64_t)(round - 1) * s->draw.round->participants;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t at = (uint32_t)((taken + i) % n);
        if (!take(s, s->by_name ? s->order[at] : at)) return;
    }
}

struct named_silo {
    const char *name;
    uint32_t silo;
};

static int by_bytes(const void *a, const void *b) {
    return strcmp(((const struct named_silo *)a)->name, ((const struct named_silo *)b)->name);
}

/* The streams of silos with names, and their order by name. */
static gr_status read_names(struct gr_sampler *s) {
    const struct gr_config *config = s->draw.named;
    const uint32_t n = s->draw.n_silos;
    struct named_silo *list = NULL;
    gr_status status;
    GR_TRY(gr_allocate(n, sizeof *s->by_name, "the sample of silos", &s->by_name));
    GR_TRY(gr_allocate(n, sizeof *list, "the sample of silos", &list));
    for (uint32_t i = 0; i < n; i++) {
        s->by_name[i] = gr_silo_stream(config, i);
        list[i] = (struct named_silo){config->silos[i].name, i};
    }
    qsort(list, n, sizeof *list, by_bytes);
    for (uint32_t i = 0; i < n; i++)
        s->order[i] = list[i].silo;
out:
    gr_free(list);
    return status;
}

gr_status gr_sampler_create(const struct gr_draw *draw, struct gr_sampler **out) {
    gr_status status;
    struct gr_sampler *s = NULL;
    const uint32_t n = draw->n_silos;
    const bool drawn = draw->round->participants > 0;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *s, "the sample of silos", &s));
    s->draw = *draw;
    s->whole = n <= GR_SAMPLE_WHOLE_MAX || draw->named;
    GR_TRY(gr_stream_create((struct gr_stream_key){0}, &s->stream));
    GR_TRY(gr_flags_create(draw->round->sampling == GR_SAMPLING_LIST ? n : 0, "silos that are away",
                           &s->listed));
    if (drawn && (draw->round->sampling != GR_SAMPLING_CYCLIC || draw->named))
        GR_TRY(gr_allocate(n, sizeof *s->order, "the sample of silos", &s->order));
    for (uint32_t i = 0; s->order && i < n; i++)
        s->order[i] = i;
    if (s->whole && (draw->round->sampling == GR_SAMPLING_SIZE || draw->named))
        GR_TRY(gr_allocate(n, sizeof *s->arrival, "the sample of silos", &s->arrival));
    if (drawn && draw->named) GR_TRY(read_names(s));
    *out = s;
    s = NULL;
out:
    gr_sampler_free(s);
    return status;
}

void gr_sampler_free(struct gr_sampler *s) {
    if (!s) return;
    if (s->stream) gsl_rng_free(s->stream);
    gr_flags_release(&s->listed);
    gr_free(s->order);
    gr_free(s->arrival);
    gr_free(s->by_name);
    gr_free(s->tree);
    gr_free(s);
}

/*
 * If participants is 0, or not below n, all eligible silos take part and no random number is used.
 */
gr_status gr_sampler_draw(struct gr_sampler *s, uint32_t round, const struct gr_present *present,
                          struct gr_flags *selected) {
    gr_status status = GR_OK;
    const struct gr_round_config *config = s->draw.round;
    const uint32_t n = s->draw.n_silos;
    s->present = present;
    s->selected = selected;
    gr_flags_clear(selected);
    if (config->sampling == GR_SAMPLING_LIST) gr_round_listed(config, round, &s->listed);
    gr_stream_restart(
        s->stream,
        (struct gr_stream_key){.seed = s->draw.seed, .round = round, .purpose = GR_PURPOSE_SAMPLE});
    if (config->participants == 0 || config->participants >= n) {
        for (uint32_t i = 0; i < n; i++)
            if (is_eligible(s, i)) gr_flags_set(selected, i, 1);
    } else if (config->sampling == GR_SAMPLING_CYCLIC) {
        take_in_turn(s, round);
    } else if (s->by_name || (s->whole && config->sampling == GR_SAMPLING_SIZE)) {
        take_arrivals(s, round);
    } else if (config->sampling == GR_SAMPLING_SIZE) {
        status = take_rows(s);
    } else if (s->whole) {
        take_whole_permutation(s);
    } else {
        take_permutation(s);
    }
    gr_flags_sort(selected);
    return status;
}
