/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secret draws: which units are in a step, and which of them are summed together. Their secret
 * comes from the operating system, never from a run's seed: sampling protects only while nobody
 * knows who was drawn. All decisions are of whole numbers, so that a unit is drawn with exactly the
 * probability that is accounted for. Not collective.
 */
#ifndef GRANARY_PRIVACY_SECRET_DRAW_H
#define GRANARY_PRIVACY_SECRET_DRAW_H

#include <granary/base.h>

enum { GR_SECRET_BYTES = 32 };

/* Purposes of a secret's streams, each with keys of its own. */
enum gr_secret_purpose {
    GR_SECRET_INCLUSION, /* who is in a step */
    GR_SECRET_TIES,
    GR_SECRET_GROUPS, /* who is summed with whom */
    GR_SECRET_PASS,   /* in which step of a pass a unit is */
    GR_SECRET_NOISE,
    GR_SECRET_MASKS, /* of dropout */
    GR_SECRET_ROWS,  /* which of a person's rows are in a step */
    GR_SECRET_SPLIT, /* who is held out */
    GR_SECRET_BOOTSTRAP
};

/* Not collective. A secret of the operating system's. */
void gr_secret_make(unsigned char secret[GR_SECRET_BYTES]);
/* Not collective. One that is none, for a rehearsal: it follows from these numbers. */
void gr_secret_rehearse(uint64_t seed, uint32_t silo, uint32_t round,
                        unsigned char secret[GR_SECRET_BYTES]);
/* Not collective. The key of a stream: BLAKE2b of purpose and number, keyed with the secret. */
void gr_secret_key(const unsigned char secret[GR_SECRET_BYTES], enum gr_secret_purpose purpose,
                   uint64_t number, unsigned char key[GR_SECRET_BYTES]);

/*
 * Not collective. Draws each of n units by itself with probability inclusion / 2^64 (inclusion 0:
 * with certainty), into drawn, ascending, which has room for n. Returns how many they are. step: no
 * two steps of a secret have the same.
 */
uint32_t gr_secret_include(const unsigned char secret[GR_SECRET_BYTES], uint64_t step,
                           uint64_t inclusion, uint32_t n, uint32_t *drawn);

/* Not collective. Draws for each of n units one of the numbers 0 .. choices - 1, by itself; stream:
 * as `step` above. */
void gr_secret_choose(const unsigned char secret[GR_SECRET_BYTES], enum gr_secret_purpose purpose,
                      uint64_t stream, uint32_t choices, uint32_t n, uint32_t *chosen);

#endif
