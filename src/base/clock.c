/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks: intervals, processor time, the date. Deadlines are taken from the monotonic clock alone:
 * the date jumps when a host's clock is set, and is for people to read. */
#include <granary/base.h>

#include <time.h>

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double gr_clock_seconds(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

double gr_clock_cpu_seconds(void) {
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

void gr_clock_utc(char out[32]) {
    struct tm parts;
    time_t now = time(NULL);
    gmtime_r(&now, &parts);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}
