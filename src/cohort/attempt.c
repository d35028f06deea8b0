/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collective work on a cohort that survives the loss of ranks. A position says how many works have
 * succeeded: after a loss the members meet, and where the foremost one is beyond this work, it had
 * this rank's part in its last agreement, so the work is done. Else all do it again.
 */
#include "cohort/cohort_parts.h"

/*
 * Meets the other members until a recovery stands: a rank may die in it as well. A loss that nobody
 * has seen end (a rank that is merely silent) is not survived before the first round: nobody knows
 * what has become of it, so the start is given up for all (gr_control_give_up).
 */
static gr_status recover(struct gr_cohort *cohort) {
    /* Each rank may be lost once: more is a fault of ours. */
    const int most = 2 * gr_comm_slots(cohort->comm) + 8;
    gr_status status = GR_LOST;
    for (int i = 0; status == GR_LOST && i < most; i++) {
        if (!gr_comm_saw_end(cohort->comm)) {
            gr_control_give_up(cohort->comm);
            return GR_LOST;
        }
        status = gr_control_recover(cohort->comm, &cohort->roster);
    }
    return status;
}

/*
 * The position is the control plane's round, with `attempts` in its place, which no round uses
 * before the first. A member that has succeeded has passed the work's last agreement, so all others
 * have brought their part, and a rank that got GR_LOST in that agreement may take the work as done.
 */
gr_status gr_cohort_attempt(struct gr_cohort *cohort, gr_cohort_work work, void *context) {
    const uint32_t position = cohort->attempts;
    gr_status status;
    gr_control_at(cohort->comm, position, GR_PHASE_OPEN);
    cohort->roster.round = position;
    do {
        gr_door_begin(cohort->door, GR_WORK_START, position);
        status = work(context);
        if (status != GR_LOST) break;
        GR_TRY(recover(cohort));
        if (cohort->roster.need_state)
            return gr_fail(GR_STOPPED, "this rank was given up before the first round");
    } while (cohort->roster.round == position);
out:
    if (status != GR_OK) return status;
    cohort->attempts++;
    if (cohort->roster.round == position)
        gr_control_at(cohort->comm, cohort->attempts, GR_PHASE_OPEN);
    return GR_OK;
}
