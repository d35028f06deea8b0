/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A carrier in memory that a test has in its hand: letters lie in one bag, where the test doubles,
 * changes, reorders and withholds them before they are taken.
 */
#ifndef GRANARY_TESTS_BAG_H
#define GRANARY_TESTS_BAG_H

#include "parties.h"

enum { BAG_MAX = 20000 };
static struct gr_letter *bag[BAG_MAX];
static size_t n_bag;

struct bag_carrier {
    struct gr_carrier carrier;
    uint32_t me;
    bool full; /* put fails */
    uint32_t n_put, n_forgotten;
};

static inline struct gr_letter *copy_of(const struct gr_letter *letter) {
    struct gr_letter *copy;
    MUST(gr_allocate(1, sizeof *copy + letter->n, "copy", &copy));
    memcpy(copy, letter, sizeof *copy + letter->n);
    return copy;
}

static inline void bag_add(struct gr_letter *letter) {
    ck_assert_uint_lt(n_bag, BAG_MAX);
    bag[n_bag++] = letter;
}

static inline struct gr_letter *bag_take(size_t i) {
    struct gr_letter *letter = bag[i];
    memmove(bag + i, bag + i + 1, (--n_bag - i) * sizeof(struct gr_letter *));
    return letter;
}

static inline void bag_empty(void) {
    while (n_bag > 0)
        gr_free(bag[--n_bag]);
}

static inline gr_status bag_put(struct gr_carrier *carrier, struct gr_letter *letter) {
    struct bag_carrier *mine = (struct bag_carrier *)carrier;
    if (mine->full) {
        gr_free(letter);
        return gr_fail(GR_ERROR_WRITE, "the bag is full");
    }
    mine->n_put++;
    bag_add(letter);
    return GR_OK;
}

static inline gr_status bag_take_first(struct gr_carrier *carrier, struct gr_letter **out) {
    *out = NULL;
    for (size_t i = 0; i < n_bag && !*out; i++)
        if (bag[i]->label.to == ((struct bag_carrier *)carrier)->me) *out = bag_take(i);
    return GR_OK;
}

static inline void bag_forget(struct gr_carrier *carrier, uint32_t to, const unsigned char *session,
                              uint64_t counter) {
    (void)to, (void)session, (void)counter;
    ((struct bag_carrier *)carrier)->n_forgotten++;
}

static inline double bag_silent_s(struct gr_carrier *carrier, uint32_t party) {
    (void)carrier, (void)party;
    return INFINITY;
}

static inline void bag_describe(struct gr_carrier *carrier, char *out, size_t size) {
    (void)carrier;
    snprintf(out, size, "a bag");
}

static inline void bag_close(struct gr_carrier *carrier) {
    (void)carrier;
}

static const struct gr_carrier_kind bag_kind = {.name = "bag",
                                                .put = bag_put,
                                                .take = bag_take_first,
                                                .forget = bag_forget,
                                                .silent_s = bag_silent_s,
                                                .describe = bag_describe,
                                                .close = bag_close};

/* One that is known to bring each letter: no receipts, no window. */
static const struct gr_carrier_kind sure_bag_kind = {.name = "sure bag",
                                                     .acknowledges = true,
                                                     .put = bag_put,
                                                     .take = bag_take_first,
                                                     .forget = bag_forget,
                                                     .silent_s = bag_silent_s,
                                                     .describe = bag_describe,
                                                     .close = bag_close};

static inline struct bag_carrier bag_carrier_of(uint32_t p) {
    return (struct bag_carrier){.carrier = {.kind = &bag_kind}, .me = p};
}

/* The letter in the bag of this sender and kind, by its place from the start; it must be there. */
static inline size_t find_letter(uint32_t from, uint32_t kind) {
    for (size_t i = 0; i < n_bag; i++)
        if (bag[i]->label.from == from && bag[i]->bytes[20] == kind) return i;
    ck_abort_msg("no letter of %u of kind %u is in the bag", from, kind);
}

static inline size_t n_letters(uint32_t from, uint32_t kind) {
    size_t n = 0;
    for (size_t i = 0; i < n_bag; i++)
        n += bag[i]->label.from == from && bag[i]->bytes[20] == kind;
    return n;
}

#endif
