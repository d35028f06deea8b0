/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loss of a sampled Gaussian sum is that of P = (1 - q) N(0, z^2) + q N(1, z^2) against
 * Q = N(0, z^2), or of Q against P (Zhu, Dong, Wang 2022, arXiv:2106.08567, theorem 11: the pair of
 * Poisson sampling, under add_remove; zero_out has the same). It grows with x, so that the cells of
 * a grid of losses are intervals of x, whose masses under P and Q follow from the normal
 * distribution.
 *
 * Above: the mass of each cell is divided between both ends of the cell so that its masses under P
 * and under Q stay as they are. This connects the dots of the privacy profile (Doroshenko et al.
 * 2022, algorithm 1), which is convex in e^epsilon and so lies below.
 *
 * Below: the reverse. Parts of neighbouring cells are merged at the point between them so that the
 * point has its loss at least. Merging is post-processing, by which P and Q only get closer, and so
 * is each composition of it. A cell gives one share to the point below it and the rest to the point
 * above; shares follow one from the other, from the greatest loss downwards.
 */
#include "privacy/loss_distribution.h"

#include <assert.h>
#include <math.h>

enum { HALVINGS = 16, NARROWINGS = 6, SEARCHED_MOST = 1 << 15, SEARCHED_TAIL = 5 };

/* Masses of the cells offset + [first + i, first + i + 1) * step of the loss. */
struct loss_cells {
    double offset;
    int64_t first;
    size_t n;
    double *p, *q;       /* under P and Q; owned */
    double below, above; /* masses of P beyond them */
};

/* Of a number x, in units of the noise: which part of the normal distribution lies beyond it, on
 * the side on which that is a half at most, for there the digits are. */
struct normal_edge {
    double x, beyond;
};

static struct normal_edge normal_edge(double x) {
    return (struct normal_edge){x, erfc(fabs(x) / M_SQRT2) / 2};
}

/* Phi(b) - Phi(a); 0 unless a < b. */
static double normal_between(struct normal_edge a, struct normal_edge b) {
    if (!(a.x < b.x)) return 0;
    if (a.x > 0) return a.beyond - b.beyond;
    return b.x > 0 ? 1 - a.beyond - b.beyond : b.beyond - a.beyond;
}

/* Where the loss has this value; minus infinite: it is greater everywhere. */
static double position_of(double z, double q, double loss) {
    const double ratio = expm1(loss) / q;
    if (q == 1) return z * z * loss + 0.5;
    if (ratio <= -1) return -INFINITY;
    return z * z * (loss > 30 ? loss - log(q) + log1p((q - 1) * exp(-loss)) : log1p(ratio)) + 0.5;
}

/* An edge of a cell, under the distribution without the unit and under that of a step with it. */
struct edge {
    struct normal_edge without, with;
};

static struct edge edge_at(double z, double x) {
    return (struct edge){normal_edge(x / z), normal_edge((x - 1) / z)};
}

static double mass_without(struct edge from, struct edge to) {
    return normal_between(from.without, to.without);
}

/* Under the mixture. */
static double mass_with(double q, struct edge from, struct edge to) {
    return (1 - q) * mass_without(from, to) + q * normal_between(from.with, to.with);
}

static void turn_round(double *values, size_t n) {
    for (size_t i = 0; i < n / 2; i++) {
        const double value = values[i];
        values[i] = values[n - 1 - i];
        values[n - 1 - i] = value;
    }
}

/* Of the other direction: P and Q change places, and losses their sign. */
static void reverse(struct loss_cells *cells) {
    double *p = cells->p;
    cells->p = cells->q;
    cells->q = p;
    turn_round(cells->p, cells->n);
    turn_round(cells->q, cells->n);
    cells->first = -cells->first - (int64_t)cells->n;
    cells->offset = -cells->offset;
}

struct grid {
    const struct gr_privacy_event *event;
    double step, tail;
    size_t most;
    enum gr_loss_direction direction;
    enum gr_loss_bound bound;
};

static gr_status make_cells(const struct grid *grid, double offset, struct loss_cells *out) {
    const bool removes = grid->direction == GR_LOSS_REMOVE;
    const double z = grid->event->noise_multiplier, q = grid->event->sampling, step = grid->step,
                 at = removes ? offset : -offset,
                 low = floor((gr_sampled_loss(z, q, -grid->tail * z) - at) / step),
                 high = ceil((gr_sampled_loss(z, q, 1 + grid->tail * z) - at) / step);
    gr_status status = GR_OK;
    if (!(high - low < (double)grid->most))
        return gr_fail(GR_ERROR_CONFIG, "a grid of privacy losses would have %.3g points",
                       high - low);
    out->offset = at;
    out->first = (int64_t)low;
    out->n = (size_t)(high - low) + 1;
    GR_TRY(gr_allocate(out->n, sizeof *out->p, "privacy losses", &out->p));
    GR_TRY(gr_allocate(out->n, sizeof *out->q, "privacy losses", &out->q));
    const struct edge least = edge_at(z, -INFINITY), greatest = edge_at(z, INFINITY),
                      lowest = edge_at(z, position_of(z, q, at + low * step));
    struct edge from, to = lowest;
    for (size_t i = 0; i < out->n; i++) {
        const double loss = at + (double)(out->first + (int64_t)i + 1) * step;
        from = to;
        to = edge_at(z, position_of(z, q, loss));
        out->p[i] = mass_with(q, from, to);
        out->q[i] = mass_without(from, to);
    }
    out->below = removes ? mass_with(q, least, lowest) : mass_without(to, greatest);
    out->above = removes ? mass_with(q, to, greatest) : mass_without(least, lowest);
    if (!removes) reverse(out);
out:
    return status;
}

/* exp(loss) Q of a cell for the loss of grid point i; Q is so small where the loss is great that
 * the product is no greater than P of the cells beside it. */
static double scaled(const struct loss_cells *cells, double step, size_t point, size_t cell) {
    return cells->q[cell] > 0 ? exp(cells->offset + (double)(cells->first + (int64_t)point) * step +
                                    log(cells->q[cell]))
                              : 0;
}

/* p: n + 1 points, zero. Returns the probability of a loss without a limit. */
static double connect_dots(const struct loss_cells *cells, double step, double *p) {
    const double share = 1 / -expm1(-step); /* e^step / (e^step - 1) */
    for (size_t i = 0; i < cells->n; i++) {
        const double mass = cells->p[i],
                     up = fmin(mass, fmax(0, (mass - scaled(cells, step, i, i)) * share));
        p[i + 1] += up;
        p[i] += mass - up;
    }
    p[0] += cells->below;
    return cells->above;
}

/* p: n + 1 points, zero. Of the uppermost cell half is left out of account, for from there on
 * shares stay near one half, which keeps parts near the points where they are merged. */
static void merge_cells(const struct loss_cells *cells, double step, double *p) {
    double down = 0.5; /* share of cell i that goes to point i */
    p[cells->n - 1] += cells->p[cells->n - 1] / 2;
    for (size_t i = cells->n; i-- > 0;) {
        const double surplus = fmax(0, down * (cells->p[i] - scaled(cells, step, i, i)));
        p[i] += down * cells->p[i];
        if (i == 0) break;
        /* By how much cell i - 1 is short of the loss of point i. */
        const double deficit = fmax(0, scaled(cells, step, i, i - 1) - cells->p[i - 1]),
                     up = deficit > surplus ? surplus / deficit : 1;
        p[i] += up * cells->p[i - 1];
        down = 1 - up;
    }
    p[cells->n] += cells->above;
}

/* out->log_p: the probabilities themselves, so far. */
static gr_status distribute(const struct grid *grid, double offset, struct gr_loss_masses *out) {
    gr_status status = GR_OK;
    struct loss_cells cells = {0};
    *out = (struct gr_loss_masses){.step = grid->step, .offset = offset};
    GR_TRY(make_cells(grid, offset, &cells));
    assert(cells.p && cells.q);
    out->first = cells.first;
    out->n = cells.n + 1;
    GR_TRY(gr_allocate_zero(out->n, sizeof *out->log_p, "privacy losses", &out->log_p));
    if (grid->bound == GR_LOSS_UPPER)
        out->infinite = connect_dots(&cells, grid->step, out->log_p);
    else
        merge_cells(&cells, grid->step, out->log_p);
out:
    gr_free(cells.p);
    gr_free(cells.q);
    return status;
}

/* The mean loss: all distributions of a lower bound have one that is at most the true one. */
static gr_status mean_of(const struct grid *grid, double offset, double *out) {
    gr_status status = GR_OK;
    struct gr_loss_masses masses = {0};
    double mean = 0;
    GR_TRY(distribute(grid, offset, &masses));
    for (size_t i = 0; i < masses.n; i++)
        mean += masses.log_p[i] * (offset + (double)(masses.first + (int64_t)i) * grid->step);
    *out = mean;
out:
    gr_free(masses.log_p);
    return status;
}

/*
 * Where a unit is seldom in a step nearly all losses are near 0, and nearer to each other than the
 * points of the grid: then it matters to a lower bound where the grid lies, by far less than its
 * step. Distances from 0 are tried by halves, and refined about the best. Great losses have next to
 * no part in the mean, and are left away.
 */
static gr_status find_offset(const struct grid *whole, double *offset) {
    gr_status status = GR_OK;
    struct grid middle_part = *whole, *grid = &middle_part;
    double best, width = grid->step / 2, mean;
    grid->tail = fmin(grid->tail, SEARCHED_TAIL);
    *offset = 0;
    GR_TRY(mean_of(grid, 0, &best));
    for (int i = 0; i < 2 * HALVINGS; i++) {
        const double distance = ldexp(grid->step, -1 - i / 2),
                     at = i % 2 == 0 ? distance : grid->step - distance;
        GR_TRY(mean_of(grid, at, &mean));
        if (mean > best) best = mean, *offset = at, width = distance / 2;
    }
    for (int i = 0; i < NARROWINGS; i++, width /= 2) {
        const double middle = *offset;
        for (int side = -1; side <= 1; side += 2) {
            const double at = fmin(fmax(middle + side * width, 0), grid->step);
            GR_TRY(mean_of(grid, at, &mean));
            if (mean > best) best = mean, *offset = at;
        }
    }
out:
    return status;
}

gr_status gr_loss_distribution(const struct gr_privacy_event *event, double step, double tail,
                               size_t most, enum gr_loss_direction direction,
                               enum gr_loss_bound bound, struct gr_loss_masses *out) {
    const struct grid grid = {event, step, tail, most, direction, bound};
    const double z = event->noise_multiplier, q = event->sampling,
                 points = (gr_sampled_loss(z, q, 1 + tail * z) - gr_sampled_loss(z, q, -tail * z)) /
                          step;
    gr_status status = GR_OK;
    double offset = 0;
    *out = (struct gr_loss_masses){0};
    if (bound == GR_LOSS_LOWER && points < SEARCHED_MOST) GR_TRY(find_offset(&grid, &offset));
    GR_TRY(distribute(&grid, offset, out));
    for (size_t i = 0; i < out->n; i++)
        out->log_p[i] = log(out->log_p[i]);
out:
    return status;
}
