/* SPDX-License-Identifier: Apache-2.0 */
/* See energy.h. */
#include "base/energy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Watts that no zone takes for long: where a counter could have turned round meanwhile, nothing is
 * known any more. */
static const double most_watts = 1000;

static int open_in(const char *root, const char *zone, const char *file) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s/%s", root, zone, file);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static bool read_text(int fd, char out[64]) {
    const ssize_t n = pread(fd, out, 63, 0);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool read_number(int fd, uint64_t *out) {
    char text[64], *end;
    if (!read_text(fd, text) || text[0] < '0' || text[0] > '9') return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && (*end == '\n' || *end == '\0');
}

/* Memory is no part of its package; cores and graphics are, and would count twice. */
static bool is_counted(const char *root, const char *zone) {
    char name[64];
    const int fd = open_in(root, zone, "name");
    const bool read = fd >= 0 && read_text(fd, name);
    if (fd >= 0) close(fd);
    return read && (strncmp(name, "package-", 8) == 0 || strcmp(name, "dram\n") == 0);
}

static void let_go(struct gr_energy *energy, const char *why_not) {
    for (unsigned i = 0; i < energy->n; i++)
        close(energy->zone[i].fd);
    energy->n = 0;
    energy->why_not = why_not;
}

/* False: a counter is there that cannot be read, and without it the sum says nothing. */
static bool add_zone(struct gr_energy *energy, const char *root, const char *name) {
    struct gr_energy_zone zone = {.fd = open_in(root, name, "energy_uj")};
    const int range = open_in(root, name, "max_energy_range_uj");
    const bool whole = zone.fd >= 0 && range >= 0 && energy->n < GR_ENERGY_ZONES_MAX &&
                       read_number(zone.fd, &zone.last) && read_number(range, &zone.range) &&
                       zone.range > 0;
    if (range >= 0) close(range);
    if (whole)
        energy->zone[energy->n++] = zone;
    else if (zone.fd >= 0)
        close(zone.fd);
    return whole;
}

void gr_energy_open(struct gr_energy *energy, const char *root) {
    const struct dirent *entry;
    DIR *folder = opendir(root);
    *energy = (struct gr_energy){.why_not = "the kernel has no counters of energy"};
    while (folder && (entry = readdir(folder))) {
        if (strncmp(entry->d_name, "intel-rapl:", 11) != 0 || !is_counted(root, entry->d_name))
            continue;
        if (!add_zone(energy, root, entry->d_name)) {
            let_go(energy, "the counters of energy cannot be read");
            break;
        }
    }
    if (folder) closedir(folder);
    if (energy->n > 0) energy->why_not = NULL;
    energy->taken_s = gr_clock_seconds();
}

void gr_energy_take(struct gr_energy *energy) {
    const double now_s = gr_clock_seconds(), gap_s = now_s - energy->taken_s;
    for (unsigned i = 0; i < energy->n; i++) {
        struct gr_energy_zone *zone = &energy->zone[i];
        uint64_t now;
        if (!read_number(zone->fd, &now)) {
            let_go(energy, "a counter of energy could no longer be read");
            return;
        }
        if (1e6 * most_watts * gap_s > (double)zone->range) {
            let_go(energy, "a round was longer than a counter's turn");
            return;
        }
        /* It turns round at its range. */
        energy->microjoules += now < zone->last ? zone->range - zone->last + now : now - zone->last;
        zone->last = now;
    }
    energy->taken_s = now_s;
}

void gr_energy_close(struct gr_energy *energy) {
    let_go(energy, energy->why_not);
}
