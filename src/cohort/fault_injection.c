/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault rehearsal: the faults of a config strike here, at named points of the start and of a round.
 * Signals that are to come later, or to be taken back, are sent by a process of their own, so that
 * they hit whatever the rank is doing then.
 */
#include "cohort/cohort_parts.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Whole, whatever signals come. */
static void sleep_for(double seconds) {
    struct timespec left = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - floor(seconds)) * 1e9)};
    while (nanosleep(&left, &left) != 0)
        ;
}

/*
 * Sends `number` (0: nothing) to this process after a while, and SIGCONT after a further one. By
 * another process, since a stopped one cannot continue itself; forked twice, so that this process
 * never has to wait for it.
 */
static void signal_later(int number, double after_s, double continued_s) {
    pid_t target = getpid(), child = fork();
    if (child > 0) {
        waitpid(child, NULL, 0);
        return;
    }
    if (child < 0) return;
    if (fork() != 0) _exit(0); /* so that nobody has to wait for the one that sleeps */
    sleep_for(after_s);
    kill(target, number);
    if (continued_s > 0) {
        sleep_for(continued_s);
        kill(target, SIGCONT);
    }
    _exit(0);
}

/* Work that takes long, as others see it: it polls, and so gives signs of life. It ends, as work
 * does, when the membership changes. */
static void work_for(struct gr_cohort *cohort, const struct gr_fault_config *fault) {
    const double until = gr_clock_seconds() + fault->seconds;
    const gr_poll_function poll =
        fault->point == GR_POINT_TRAIN ? gr_control_poll : gr_control_watch;
    while (gr_clock_seconds() < until && poll(cohort->comm) == GR_OK)
        sleep_for(1e-3);
}

/* A kill without delay does not return. */
static void strike(struct gr_cohort *cohort, const struct gr_fault_config *fault) {
    switch (fault->kind) {
    case GR_FAULT_KILL:
        if (fault->after_s > 0)
            signal_later(SIGKILL, fault->after_s, 0);
        else
            kill(getpid(), SIGKILL);
        break;
    case GR_FAULT_STOP:
        if (fault->after_s > 0 || fault->seconds > 0)
            signal_later(fault->after_s > 0 ? SIGSTOP : 0, fault->after_s, fault->seconds);
        if (fault->after_s <= 0) raise(SIGSTOP);
        break;
    case GR_FAULT_DELAY:
        sleep_for(fault->seconds);
        break;
    case GR_FAULT_SLOW:
        work_for(cohort, fault);
        break;
    default: /* those of updates and checkpoints have their own places */
        break;
    }
}

/* Faults are given by silo, as a config knows silos and no ranks; the silo's process is hit. */
static bool is_here(const struct gr_cohort *cohort, uint32_t silo) {
    return cohort->host_of[silo] == gr_comm_slot(cohort->comm);
}

/* The next fault that is due and has not struck; NULL: none. Marked before it strikes: work that is
 * repeated after the loss must not meet it again. */
static const struct gr_fault_config *next_fault(struct gr_cohort *cohort, uint32_t round,
                                                enum gr_fault_point point) {
    for (unsigned i = 0; i < cohort->config->faults_count; i++) {
        const struct gr_fault_config *fault = &cohort->config->faults[i];
        if (cohort->struck[i] || fault->round != round || fault->point != point ||
            !is_here(cohort, fault->silo) || fault->kind > GR_FAULT_SLOW)
            continue;
        cohort->struck[i] = 1;
        return fault;
    }
    return NULL;
}

/* Costs nothing where the config rehearses nothing. Each point may have several faults. */
void gr_inject_fault(struct gr_cohort *cohort, uint32_t round, enum gr_fault_point point) {
    const struct gr_fault_config *fault;
    if (!cohort->config->run.rehearsal) return;
    while ((fault = next_fault(cohort, round, point)))
        strike(cohort, fault);
}

/* Not marked as struck: an update that is trained again is bad again, as a diverged model's is. */
void gr_inject_fault_update(struct gr_cohort *cohort, uint32_t round, uint32_t silo, float *update,
                            size_t n, float *largest) {
    for (unsigned i = 0; i < cohort->config->faults_count && cohort->config->run.rehearsal; i++) {
        const struct gr_fault_config *fault = &cohort->config->faults[i];
        if (fault->round != round || fault->silo != silo) continue;
        if (fault->kind == GR_FAULT_NAN) update[0] = *largest = NAN;
        if (fault->kind != GR_FAULT_EXPLODE) continue;
        for (size_t k = 0; k < n; k++)
            update[k] = 1e38F;
        *largest = 1e38F;
    }
}

bool gr_inject_fault_corruption(struct gr_cohort *cohort, uint32_t round) {
    for (unsigned i = 0; i < cohort->config->faults_count && cohort->config->run.rehearsal; i++) {
        const struct gr_fault_config *fault = &cohort->config->faults[i];
        if (fault->kind == GR_FAULT_CORRUPT && fault->round == round &&
            is_here(cohort, fault->silo))
            return true;
    }
    return false;
}
