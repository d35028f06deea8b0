/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who makes masks with whom, and keeps shares of whose secrets. Up to GR_SECURE_COMPLETE_MAX
 * parties each with all others; of more each with a number of neighbours only, after Bell,
 * Bonawitz, Gascon, Lepoint and Raykova, Secure single-server aggregation with (poly)logarithmic
 * overhead (CCS 2020): the parties stand on a ring in an order that is drawn once all keys are
 * known, and a party's neighbours are the next on either side (a Harary graph).
 *
 * A party's part is hidden as long as those in the sum who do not collude are joined by masks of
 * theirs, and fewer than a secret's threshold of a party's neighbours collude. The graph is drawn
 * after it is settled who is there, so where the colluding stand is chance, and the probability
 * that they stand too close is that of hypergeometric tails. The paper has the same bound for those
 * who are lost. Here who is lost may be said by somebody who lies and knows the graph: so each
 * party, who knows the whole of it, signs only a roster in which every run of places as long as a
 * side of a neighbourhood has more parties than collude in any. Not collective.
 */
#ifndef GRANARY_PRIVACY_SECURE_GRAPH_H
#define GRANARY_PRIVACY_SECURE_GRAPH_H

#include <granary/base.h>

#include "privacy/party_set.h"

enum {
    /* Of more parties a graph is drawn. */
    GR_SECURE_COMPLETE_MAX = 64,
    /* A share's number is a byte, and is not 0; the party itself holds one. */
    GR_SECURE_NEIGHBOURS_MAX = 254
};

struct gr_secure_degree {
    uint32_t neighbours; /* of each party; even, or all others */
    uint32_t shares;     /* of a secret, of those of its party and its neighbours, that give it */
    uint32_t in_run;     /* parties of a sum, at least, in any run of neighbours / 2 places */
};
/* Of whom. */
struct gr_secure_degree_of {
    uint32_t n_parties;  /* that have shown keys */
    uint32_t threshold;  /* parties without which there is no sum; the others may be lost */
    uint32_t colluding;  /* counts as a twentieth of the parties where it is less */
    uint32_t neighbours; /* that are asked for, at least */
};
/*
 * Not collective. The least number of neighbours by which a sum of these parties fails with a
 * probability of 2^-40 at most: to hide each part from the colluding, wherever the graph has put
 * them; and to be opened, whichever n_parties - threshold of them are lost, unless somebody chooses
 * them who knows the graph. Errors: GR_ERROR_CONFIG: GR_SECURE_NEIGHBOURS_MAX are too few.
 */
gr_status gr_secure_degree(const struct gr_secure_degree_of *of,
                           struct gr_secure_degree *out) GR_CHECKED;

struct gr_secure_graph {
    struct gr_secure_degree degree;
    uint32_t n;                            /* parties on the ring */
    uint16_t party[GR_SECURE_PARTIES_MAX]; /* by place on the ring */
    uint16_t place[GR_SECURE_PARTIES_MAX]; /* by party; GR_SECURE_PARTIES_MAX: it is not on it */
};
/* Not collective. Puts the listed parties on the ring, in the order that the seed draws. */
void gr_secure_graph_draw(const struct gr_party_set *listed, const struct gr_secure_degree *degree,
                          const unsigned char seed[GR_DIGEST_BYTES], struct gr_secure_graph *out);
/* Not collective. Whether two parties are neighbours, or one and the same. */
bool gr_secure_graph_joins(const struct gr_secure_graph *graph, uint32_t a, uint32_t b);
/* Not collective. The party, its neighbours, and nobody else. */
void gr_secure_graph_around(const struct gr_secure_graph *graph, uint32_t party,
                            struct gr_party_set *out);
/* Not collective. Whether those in a sum stand close enough for each other's masks to hide them. */
bool gr_secure_graph_holds(const struct gr_secure_graph *graph, const struct gr_party_set *summed);

#endif
