/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of `granary privacy` that are read off a file. */
#ifndef GRANARY_CLI_PRIVACY_ANSWERS_H
#define GRANARY_CLI_PRIVACY_ANSWERS_H

#include "cli/command.h"

#include "privacy/ledger.h"

/* A bound to four decimals, as a bound. */
double gr_rounded_down(double x);
double gr_rounded_up(double x);
/* "epsilon 1.2 to 1.3", without an end of the line. */
void gr_print_epsilon(const struct gr_epsilon *epsilon);

/* ---- privacy_promise.c ---------------------------------------------------------------------- */

struct gr_plan_question {
    const char *path; /* of a config or a study */
    const struct gr_overrides *overrides;
    const struct gr_privacy_event *before; /* n_before, of what was spent on the same data */
    size_t n_before;
    bool json;
};
/* What a config promises, and what it costs. */
gr_status gr_tell_privacy_plan(const struct gr_plan_question *question) GR_CHECKED;

/* ---- privacy_spent.c ------------------------------------------------------------------------ */

struct gr_spent_question {
    const char *path; /* of a ledger or its folder */
    double delta;
    const enum gr_adjacency *adjacency; /* NULL: the one that its entries were made for */
    bool json;
};
/* What a ledger holds, and what all of it has told of a unit. */
gr_status gr_tell_privacy_spent(const struct gr_spent_question *question) GR_CHECKED;
/* The ledger at path, or in that folder, is from now on of the table that a run has refused. */
gr_status gr_adopt_table(const char *path, const unsigned char rows[GR_DIGEST_BYTES]) GR_CHECKED;

/* ---- privacy_checked.c ---------------------------------------------------------------------- */

struct gr_audit_question {
    const char *path; /* of a config */
    const struct gr_overrides *overrides;
    uint32_t canaries;
    double confidence;
    bool json;
};
/* Whether a config's private steps keep what is promised of them, on the tables that are here.
 * Under MPI, of one rank. GR_ERROR_INTERNAL: they do not. */
gr_status gr_tell_privacy_audit(struct gr_invocation *invocation,
                                const struct gr_audit_question *question) GR_CHECKED;

#endif
