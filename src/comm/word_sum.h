/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addition of unsigned words modulo 2^b as an operation of MPI's collectives: MPI_SUM where it
 * is that on all leaders, else one of our own, which no network adds up by itself. Open MPI 4.1
 * stops at the largest number when it adds words of 16 bits with a processor's vector instructions.
 */
#ifndef GRANARY_COMM_WORD_SUM_H
#define GRANARY_COMM_WORD_SUM_H

#include <mpi.h>
#include <stddef.h>

enum { GR_WORD_WIDTHS = 3 }; /* of 2, 4 and 8 bytes */
struct gr_word_sums {
    MPI_Datatype type[GR_WORD_WIDTHS];
    MPI_Op op[GR_WORD_WIDTHS]; /* owned, where it is not MPI_SUM */
};

/* Collective over `leaders`, two or more, by collectives of MPI: finds out what its sums do. */
int gr_word_sums_create(MPI_Comm leaders, struct gr_word_sums *out);
/* Not collective. */
void gr_word_sums_free(struct gr_word_sums *sums);
/* Not collective. The place of a width in bytes. */
size_t gr_word_width(size_t bytes);

#endif
