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
 * Says of each of n rows in part[n] where it goes (enum gr_part). Held out are floor(fraction n)
 * rows, drawn from the stream (seed, silo, 0, GR_PURPOSE_SPLIT). By class: of each class its
 * fraction rounded down, and one more for those with the largest remainders (equal ones in an order
 * drawn from the stream) until there are as many; but one row of every class stays to be trained
 * on, so that there may be fewer. labels: n; looked at by class only.
 */
gr_status gr_split_rows(const struct gr_config *config, uint32_t silo, size_t n,
                        const int32_t *labels, uint8_t *part) GR_CHECKED;

/*
 * A silo of n rows: splits them, and makes room in its parts for rows like `like`; all parts keep
 * the order of the rows. n = 0: GR_ERROR_DATA.
 */
gr_status gr_silo_create(const struct gr_config *config, uint32_t id, size_t n,
                         const int32_t *labels, const struct gr_rows *like, struct gr_silo *silo,
                         uint8_t *part) GR_CHECKED;
struct gr_rows *gr_silo_part(struct gr_silo *silo, enum gr_part part);

#endif
