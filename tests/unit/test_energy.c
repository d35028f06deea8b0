/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of energy: those that count, one that turns round, and what is not to be had. */
#include "base/energy.h"

#include "scratch.h"

static void write_zone(const char *zone, const char *name, const char *energy, const char *range) {
    char path[128];
    mkdir(in_scratch(zone), 0700);
    snprintf(path, sizeof path, "%s/name", zone);
    spill(in_scratch(path), name, strlen(name));
    snprintf(path, sizeof path, "%s/energy_uj", zone);
    if (energy) spill(in_scratch(path), energy, strlen(energy));
    snprintf(path, sizeof path, "%s/max_energy_range_uj", zone);
    spill(in_scratch(path), range, strlen(range));
}

/* The file stays the same one, as the kernel's does. */
static void set_counter(const char *zone, const char *energy) {
    char path[128];
    snprintf(path, sizeof path, "%s/energy_uj", zone);
    FILE *file = fopen(in_scratch(path), "r+");
    ck_assert_ptr_nonnull(file);
    fputs(energy, file);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(packages_and_memory) {
    struct gr_energy energy;
    write_zone("intel-rapl:0", "package-0\n", "1000\n", "262143328850\n");
    write_zone("intel-rapl:0:0", "core\n", "500\n", "262143328850\n");
    write_zone("intel-rapl:0:1", "dram\n", "70\n", "65712999613\n");
    write_zone("intel-rapl:1", "package-1\n", "9000\n", "262143328850\n");
    write_zone("dtpm", "package-7\n", "1\n", "2\n");
    gr_energy_open(&energy, scratch);
    ck_assert_uint_eq(energy.n, 3);
    ck_assert_ptr_null(energy.why_not);
    set_counter("intel-rapl:0", "1200\n");
    set_counter("intel-rapl:0:0", "9999\n");
    set_counter("intel-rapl:0:1", "75\n");
    gr_energy_take(&energy);
    ck_assert_uint_eq(energy.microjoules, 205);
    set_counter("intel-rapl:1", "9001\n");
    gr_energy_take(&energy);
    ck_assert_uint_eq(energy.microjoules, 206);
    gr_energy_close(&energy);
    ck_assert_uint_eq(energy.n, 0);
}
END_TEST

START_TEST(a_counter_that_turns_round) {
    struct gr_energy energy;
    write_zone("intel-rapl:0", "package-0\n", "262143328800\n", "262143328850\n");
    gr_energy_open(&energy, scratch);
    set_counter("intel-rapl:0", "25\n         ");
    gr_energy_take(&energy);
    ck_assert_uint_eq(energy.microjoules, 75);
    gr_energy_close(&energy);
}
END_TEST

/* A thousand watts for as long as it was not read may have turned it round. */
START_TEST(not_read_for_too_long) {
    struct gr_energy energy;
    write_zone("intel-rapl:0", "package-0\n", "1\n", "262143328850\n");
    gr_energy_open(&energy, scratch);
    energy.taken_s -= 300;
    gr_energy_take(&energy);
    ck_assert_uint_eq(energy.n, 0);
    ck_assert_ptr_nonnull(strstr(energy.why_not, "longer than a counter's turn"));
    gr_energy_close(&energy);
}
END_TEST

START_TEST(not_to_be_had) {
    struct gr_energy energy;
    gr_energy_open(&energy, in_scratch("none"));
    ck_assert_ptr_nonnull(strstr(energy.why_not, "no counters"));
    gr_energy_close(&energy);
    gr_energy_open(&energy, scratch);
    ck_assert_ptr_nonnull(strstr(energy.why_not, "no counters"));
    gr_energy_close(&energy);
    write_zone("intel-rapl:0", "package-0\n", "1\n", "262143328850\n");
    write_zone("intel-rapl:1", "package-1\n", NULL, "262143328850\n");
    gr_energy_open(&energy, scratch);
    ck_assert_uint_eq(energy.n, 0);
    ck_assert_ptr_nonnull(strstr(energy.why_not, "cannot be read"));
    gr_energy_close(&energy);
}
END_TEST

RUN_TESTS("energy", packages_and_memory, a_counter_that_turns_round, not_read_for_too_long,
          not_to_be_had)
