/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a site in two parts: its journals are read (site_report.c), then told
 * (site_page.c). */
#ifndef GRANARY_OBSERVE_SITE_REPORT_H
#define GRANARY_OBSERVE_SITE_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include <granary/journal.h>

enum {
    GR_SITE_RELEASES = 256, /* numbers of releases below this are told one by one */
    GR_SITE_STRETCHES = 60
};

/* All that has left by one release. */
struct gr_site_release {
    char name[64];
    char how[160];  /* the last one was protected */
    char rule[160]; /* by which the last one was withheld; "": none was */
    uint64_t times, values, bytes, withheld;
    uint32_t first, last; /* rounds */
};

/* A stretch of taking part, of one rank: from the line that opens a journal to the one that closes
 * it. */
struct gr_site_stretch {
    char opened[32], closed[32], outcome[16]; /* closed "": nothing closes it */
    uint64_t rank;
    uint32_t round; /* at its end */
};

struct gr_site_report {
    char site[80], study[GR_DIGEST_HEX], key[GR_PUBLIC_KEY_TEXT];
    char since[32], until[32];
    struct gr_site_release releases[GR_SITE_RELEASES]; /* by number */
    uint64_t unknown;                                  /* releases of no such number */
    struct gr_site_stretch stretches[GR_SITE_STRETCHES];
    size_t kept_stretches;
    uint64_t n_stretches;
    json_t *approvals; /* owned; of the latest stretch that has some; or NULL */
    struct gr_run_seal last_seal;
    uint64_t seals, contradictions, lines, journals;
    char contradiction[400];
    uint32_t last_round;
    uint64_t broken; /* lines that do not continue their chain */
    char broken_at[112];
    bool torn;
    const char *reading; /* the file's name, while it is read */
};

/* Not collective. *report is all 0; its approvals are the caller's to release, on failure too.
 * Errors: GR_ERROR_DATA. */
gr_status gr_site_report_read(const char *folder, struct gr_site_report *report) GR_CHECKED;
void gr_site_page(FILE *page, const struct gr_site_report *report, gr_release_describe describe);

#endif
