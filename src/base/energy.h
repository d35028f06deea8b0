/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The energy that the processors and the memory of this host take, by the counters of the kernel's
 * powercap interface (RAPL). It is of the whole host, whoever works on it. Often root alone may
 * read them: then there is no energy to be had, and that is said.
 */
#ifndef GRANARY_BASE_ENERGY_H
#define GRANARY_BASE_ENERGY_H

#include <granary/base.h>

#define GR_ENERGY_ROOT "/sys/class/powercap"

enum { GR_ENERGY_ZONES_MAX = 32 };
struct gr_energy {
    unsigned n; /* zones; 0: it is not to be had */
    struct gr_energy_zone {
        int fd;
        uint64_t last, range; /* microjoules; the counter begins again behind range */
    } zone[GR_ENERGY_ZONES_MAX];
    double taken_s;       /* gr_clock_seconds of the last reading */
    uint64_t microjoules; /* since it was opened */
    const char *why_not;  /* static; NULL: it is to be had */
};
/* Looks for counters below `root`, GR_ENERGY_ROOT but in tests. Close in any case. */
void gr_energy_open(struct gr_energy *energy, const char *root);
/* Reads the counters; to be called before one can have turned round, which takes minutes. */
void gr_energy_take(struct gr_energy *energy);
/* A zeroed struct is accepted. */
void gr_energy_close(struct gr_energy *energy);

#endif
