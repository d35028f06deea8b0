/* SPDX-License-Identifier: Apache-2.0 */
/* Two runs that should be one and the same, and where they come apart. */
#ifndef GRANARY_CLI_REPRODUCTION_H
#define GRANARY_CLI_REPRODUCTION_H

#include <granary/store.h>

struct gr_reproduction {
    bool same;                      /* the models, to the last bit */
    struct gr_run_facts then, now;  /* of the two */
    uint32_t rounds;                /* that both have figures of */
    uint32_t round;                 /* the first of other figures; 0: none */
    char figure[48];                /* of them the first */
    double figure_then, figure_now; /* NAN: not defined */
    char tensor[96];                /* the first that differs, where it can be known; "" */
    uint32_t tensor_round;          /* of the first checkpoint that differs, or of the model */
    bool tensor_of_model;
    uint64_t elements, differing; /* of that tensor */
    char data[256];               /* silos whose data differ: "silo-001 (train)"; "": none */
    char software[600];           /* "BLAS: a then, b now; ..."; "": alike */
};
/* Compares the records and models of two run directories. Errors: GR_ERROR_DATA. */
gr_status gr_reproduction_compare(const char *then_path, const char *now_path,
                                  struct gr_reproduction *out) GR_CHECKED;

#endif
