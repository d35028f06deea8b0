/* SPDX-License-Identifier: Apache-2.0 */
/* A plan from its first run to its tables: rung after rung, of which all but the last drop points.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/launch.h"
#include "cli/sweep.h"

struct planned_runs {
    const struct gr_sweep_plan *plan;
    struct gr_sweep_result *results; /* owned */
    uint32_t *rungs;                 /* of each point, the last that it is in; owned */
    bool *kept;                      /* points that are still in; owned */
};

static gr_status read_results(struct planned_runs *runs) {
    gr_status status = GR_OK;
    const struct gr_sweep_plan *plan = runs->plan;
    for (size_t run = 0; run < gr_plan_runs(plan) && status == GR_OK; run++)
        status = gr_result_read(plan, run, runs->rungs[run / plan->n_seeds], &runs->results[run]);
    return status;
}

/* Rung after rung, until runs are open: those are others', or have been stopped. */
static gr_status run_rungs(struct planned_runs *runs, const struct gr_schedule_asked *asked,
                           struct gr_claims *claims, size_t *n_open) {
    gr_status status = GR_OK;
    const struct gr_sweep_plan *plan = runs->plan;
    for (uint32_t rung = 0; rung < plan->n_rungs; rung++) {
        for (size_t p = 0; p < plan->n_points; p++)
            if (runs->kept[p]) runs->rungs[p] = rung;
        GR_TRY(gr_schedule_rung(plan, asked, claims, rung, runs->kept, n_open));
        if (*n_open > 0 || rung + 1 == plan->n_rungs) break;
        GR_TRY(read_results(runs));
        GR_TRY(gr_rung_keep(plan, runs->results, rung, runs->kept));
    }
out:
    return status;
}

gr_status gr_plan_judge(const struct gr_sweep_plan *plan, const struct gr_sweep_result *results) {
    const size_t n = gr_plan_runs(plan);
    size_t failed = 0, first = n;
    char name[GR_RUN_NAME_MAX];
    for (size_t run = n; run-- > 0;) {
        if (results[run].state != GR_SWEEP_FAILED) continue;
        failed++;
        first = run;
    }
    if (failed == 0) return GR_OK;
    gr_plan_run_name(plan, first, name);
    const int code = results[first].code;
    return gr_fail(code > 0 ? (gr_status)code : GR_ERROR_DATA,
                   "%zu of %zu runs failed, the first %s: %s; --retry starts them again", failed, n,
                   name, results[first].reason);
}

/* What a stop leaves is told as well, but its own words and code go before those of runs. */
gr_status gr_plan_run(const struct gr_sweep_plan *plan, const struct gr_schedule_asked *asked,
                      gr_plan_teller tell) {
    gr_status status;
    struct planned_runs runs = {.plan = plan};
    struct gr_claims *claims = NULL;
    size_t n_open = 0;
    char why[GR_MESSAGE_MAX];
    GR_TRY(gr_allocate_zero(gr_plan_runs(plan), sizeof *runs.results, "results", &runs.results));
    GR_TRY(gr_allocate_zero(plan->n_points, sizeof *runs.rungs, "points", &runs.rungs));
    GR_TRY(gr_allocate(plan->n_points, sizeof *runs.kept, "points", &runs.kept));
    memset(runs.kept, true, plan->n_points * sizeof *runs.kept);
    GR_TRY(gr_claims_open(plan->folder, &claims));
    const gr_status ran = run_rungs(&runs, asked, claims, &n_open);
    snprintf(why, sizeof why, "%s", gr_message());
    gr_claims_close(claims);
    claims = NULL;
    status = read_results(&runs);
    if (status == GR_OK) status = tell(plan, asked, runs.results, runs.rungs, n_open);
    if (ran != GR_OK) status = gr_fail(ran, "%s", why);
out:
    gr_claims_close(claims);
    gr_results_free(runs.results, runs.results ? gr_plan_runs(plan) : 0);
    gr_free(runs.rungs);
    gr_free(runs.kept);
    return status;
}
