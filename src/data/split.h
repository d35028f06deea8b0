/* SPDX-License-Identifier: Apache-2.0 */
/* A silo's own rows: those to train on, those held out for validation, and those for the test. */
#ifndef GRANARY_DATA_SPLIT_H
#define GRANARY_DATA_SPLIT_H

#include <granary/data.h>

enum gr_part { GR_PART_TRAIN, GR_PART_VALIDATION, GR_PART_TEST, GR_PARTS };

/* Whether the split looks at labels: data.stratify, something is held out, and the model has
 * classes. */
bool gr_split_by_class(const struct gr_config *config);

/*
 * Says of each of n rows in part[n] where it goes (enum gr_part); all draws are from the stream
 * (data.split_seed, stream, 0, GR_PURPOSE_SPLIT). Held out are floor or ceil of fraction n rows in
 * each part, and by class of every class's rows likewise, at odds that make the expectation the
 * exact share; so also a class's only row may be held out. One row of a silo stays to be trained
 * on: in a silo of n < 1 / (1 - both fractions) rows these are lowered to (n - 1) / n together.
 * labels: n; looked at by class only.
 */
gr_status gr_split_rows(const struct gr_config *config, uint32_t stream, size_t n,
                        const int32_t *labels, uint8_t *part) GR_CHECKED;

/* Whose each row of a silo is. Borrowed. */
struct gr_named_rows {
    const uint32_t *person;  /* of each row: a number below n */
    const char *const *name; /* n */
    uint32_t n;
};

/*
 * Not collective. The same where held-out rows are scored with noise: each row is held out or not
 * by a coin of its own, or all rows of a person by the coin of her name, so that a row or person
 * more or less moves no other, and all or none of a silo's rows may be held out. Coins are of a
 * secret that silos[id].directory keeps (privacy-split, 0600), and of data.split_seed: the same in
 * each run. Without a folder, for rows that are dealt, and in rehearsals they follow from
 * data.split_seed alone. Errors: GR_ERROR_WRITE.
 */
gr_status gr_split_by_coins(const struct gr_config *config, uint32_t id, uint32_t stream, size_t n,
                            const struct gr_named_rows *persons, uint8_t *part) GR_CHECKED;

/*
 * A silo of n rows: splits them, and makes room in its parts for rows like `like`; all parts keep
 * the order of the rows. persons: NULL: rows have none. n = 0: GR_ERROR_DATA, but of an own table
 * with privacy.unit, where having no rows must not show.
 */
gr_status gr_silo_create(const struct gr_config *config, uint32_t id, size_t n,
                         const int32_t *labels, const struct gr_named_rows *persons,
                         const struct gr_rows *like, struct gr_silo *silo,
                         uint8_t *part) GR_CHECKED;
struct gr_rows *gr_silo_part(struct gr_silo *silo, enum gr_part part);

#endif
