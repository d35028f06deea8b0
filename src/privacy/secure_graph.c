/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/secure_graph.h"

#include <gsl/gsl_cdf.h>

#include "privacy/key_stream.h"

/* ---- how many neighbours ----------------------------------------------------------------------
 */

/* In the worst of n places at most, each of which has `marked` of n - 1 or n parties by chance, two
 * ways to fail: so each has half of 2^-40. */
static bool is_rare(double probability, uint32_t n) {
    static const double most = 0x1p-41;
    return n * probability <= most;
}

/* Among `places` others at random, of `others` of whom `living` are left, there are fewer than x.
 */
static double fewer_living(uint32_t x, uint32_t living, uint32_t others, uint32_t places) {
    return x == 0 ? 0 : gsl_cdf_hypergeometric_P(x - 1, living, others - living, places);
}

static double as_many_colluding(uint32_t x, uint32_t colluding, uint32_t others, uint32_t places) {
    return x == 0 ? 1 : gsl_cdf_hypergeometric_Q(x - 1, colluding, others - colluding, places);
}

/* The greatest number that is left among so many places, but for what is rare. */
static uint32_t surely_living(uint32_t n, uint32_t living, uint32_t others, uint32_t places) {
    uint32_t least = 0, beyond = places + 1;
    while (beyond - least > 1) {
        const uint32_t middle = least + (beyond - least) / 2;
        if (is_rare(fewer_living(middle, living, others, places), n))
            least = middle;
        else
            beyond = middle;
    }
    return least;
}

gr_status gr_secure_degree(const struct gr_secure_degree_of *of, struct gr_secure_degree *out) {
    enum { SHARE = 20 };
    const uint32_t n = of->n_parties, living = of->threshold, asked = (of->neighbours + 1) / 2,
                   colluding = of->colluding > (n + SHARE - 1) / SHARE ? of->colluding
                                                                       : (n + SHARE - 1) / SHARE;
    for (uint32_t side = asked > 1 ? asked : 1; n > GR_SECURE_COMPLETE_MAX && 2 * side < n - 1;
         side++) {
        /* A party that is left has living - 1 others, and one that does not collude all of the
         * colluding. */
        const uint32_t shares = surely_living(n, living - 1, n - 1, 2 * side),
                       in_run = surely_living(n, living, n, side);
        if (shares == 0 || in_run == 0 || 2 * side > GR_SECURE_NEIGHBOURS_MAX) continue;
        if (!is_rare(as_many_colluding(shares, colluding, n - 1, 2 * side), n) ||
            !is_rare(as_many_colluding(in_run, colluding, n, side), n))
            continue;
        *out = (struct gr_secure_degree){2 * side, shares, in_run};
        return GR_OK;
    }
    *out = (struct gr_secure_degree){.neighbours = n - 1, .shares = of->threshold};
    if (out->neighbours <= GR_SECURE_NEIGHBOURS_MAX) return GR_OK;
    return gr_fail(GR_ERROR_CONFIG,
                   "secure sums of %u parties with a threshold of %u and %u colluding need more "
                   "than %d neighbours of each; a higher threshold needs fewer",
                   n, of->threshold, colluding, GR_SECURE_NEIGHBOURS_MAX);
}

/* ---- the ring ---------------------------------------------------------------------------------
 */

/* Fisher and Yates. Of 2^64 values of a word a remainder has one more or fewer than another, so
 * that no order is likelier than another by more than 2^-43 of it. */
void gr_secure_graph_draw(const struct gr_party_set *listed, const struct gr_secure_degree *degree,
                          const unsigned char seed[GR_DIGEST_BYTES], struct gr_secure_graph *out) {
    uint64_t words[GR_SECURE_PARTIES_MAX] = {0};
    gr_key_stream_add(seed, (struct gr_stream_range){.bits = 64, .n = GR_SECURE_PARTIES_MAX}, false,
                      words);
    out->degree = *degree;
    out->n = 0;
    for (uint32_t p = 0; p < GR_SECURE_PARTIES_MAX; p++) {
        out->place[p] = GR_SECURE_PARTIES_MAX;
        if (gr_party_set_has(listed, p)) out->party[out->n++] = (uint16_t)p;
    }
    for (uint32_t i = out->n; i > 1; i--) {
        const uint32_t other = (uint32_t)(words[i - 1] % i);
        const uint16_t party = out->party[i - 1];
        out->party[i - 1] = out->party[other];
        out->party[other] = party;
    }
    for (uint32_t i = 0; i < out->n; i++)
        out->place[out->party[i]] = (uint16_t)i;
}

bool gr_secure_graph_joins(const struct gr_secure_graph *graph, uint32_t a, uint32_t b) {
    if (a >= GR_SECURE_PARTIES_MAX || b >= GR_SECURE_PARTIES_MAX) return false;
    const uint32_t at = graph->place[a], other = graph->place[b],
                   way = at > other ? at - other : other - at;
    if (at >= graph->n || other >= graph->n) return false;
    return 2 * (way < graph->n - way ? way : graph->n - way) <= graph->degree.neighbours + 1;
}

void gr_secure_graph_around(const struct gr_secure_graph *graph, uint32_t party,
                            struct gr_party_set *out) {
    *out = (struct gr_party_set){0};
    for (uint32_t i = 0; i < graph->n; i++)
        if (gr_secure_graph_joins(graph, party, graph->party[i]))
            gr_party_set_add(out, graph->party[i]);
}

/* In a complete graph in_run is 0. */
bool gr_secure_graph_holds(const struct gr_secure_graph *graph, const struct gr_party_set *summed) {
    const uint32_t n = graph->n, run = graph->degree.neighbours / 2;
    uint32_t there = 0;
    for (uint32_t i = 0; i < run; i++)
        there += gr_party_set_has(summed, graph->party[i % n]);
    for (uint32_t i = 0; i < n; i++) {
        if (there < graph->degree.in_run) return false;
        there -= gr_party_set_has(summed, graph->party[i]);
        there += gr_party_set_has(summed, graph->party[(i + run) % n]);
    }
    return true;
}
