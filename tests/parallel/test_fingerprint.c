/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of a run that is gone on with: compared by silo and table, on any number of ranks, by
 * fingerprints that nobody can confirm a guessed table with.
 *
 * ranks: 1 2 3
 */
#include "federation/internal.h"
#include "parallel.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SILOS = 3, ROWS = 20 };

static const char config_text[] =
    "run: {rounds: 1}\n"
    "data: {source: csv, validation_fraction: 0.2, test_fraction: 0.2,\n"
    "       silo_tables: [{file: 0.csv}, {file: 1.csv}, {file: 2.csv}]}\n"
    "model: {type: logistic}\ntrain: {learning_rate: 0.1, batch_size: 8}\n";
static const char *const names[] = {"0.csv",     "1.csv",   "2.csv",  "t.csv",
                                    "moved.csv", "all.csv", "all.bak"};

/* Row `odd` (-1: none) has another value. */
static void put_table(const char *name, int number, int odd) {
    FILE *file = fopen(name, "w");
    if (!file) abort();
    fputs("x,label\n", file);
    for (int i = 0; i < ROWS + number; i++)
        fprintf(file, "%d.%d,%d\n", number, i + (i == odd ? 100 : 0), i % 2);
    fclose(file);
}

/* All ranks in one folder of rank 0's. */
static void enter(struct gr_comm *comm, char folder[32]) {
    char name[16];
    strcpy(folder, "/tmp/granary-XXXXXX");
    if (gr_comm_rank(comm) == 0) {
        if (!mkdtemp(folder) || chdir(folder) != 0) abort();
        for (int s = 0; s < SILOS; s++) {
            snprintf(name, sizeof name, "%d.csv", s);
            put_table(name, s, -1);
        }
        put_table("t.csv", 7, -1);
        put_table("all.csv", 9, -1);
    }
    if (gr_comm_broadcast(comm, folder, 32) != GR_OK || chdir(folder) != 0) abort();
}

static void leave(struct gr_comm *comm, const char *folder) {
    if (gr_comm_agree(comm, GR_OK) != GR_OK || gr_comm_rank(comm) != 0) return;
    static const char *const more[] = {"fingerprints.json", "secrets/run", "secrets/silo-000",
                                       "secrets/silo-001", "secrets/silo-002"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        unlink(more[i]);
    rmdir("secrets");
    if (chdir("/") != 0 || rmdir(folder) != 0) abort();
}

/* Rank 0 changes a file; nobody reads it before. */
static void change(struct gr_comm *comm, const char *name, int number, int odd) {
    if (gr_comm_agree(comm, GR_OK) != GR_OK) abort();
    if (gr_comm_rank(comm) == 0) put_table(name, number, odd);
    if (gr_comm_agree(comm, GR_OK) != GR_OK) abort();
}

/* Loads the data of the config and compares them; `data` gets what the manifest would tell. */
static gr_status meet(struct gr_comm *comm, const char *const *overrides, size_t n,
                      struct gr_run_data *data, uint32_t *uncompared) {
    struct gr_config *config = NULL;
    struct gr_federation *f = NULL;
    struct gr_cohort *cohort = NULL;
    gr_status status;
    GR_TRY(gr_config_parse("t.yaml", config_text, strlen(config_text), overrides, n, &config));
    GR_TRY(gr_cohort_create(comm, config, &cohort));
    GR_TRY(gr_federation_create(cohort, &f));
    GR_TRY(gr_cohort_fingerprint(f->cohort, ".", data));
    *data = *gr_cohort_run_data(f->cohort);
    *uncompared = gr_cohort_uncompared(f->cohort);
out:
    gr_federation_free(f);
    gr_cohort_free(cohort);
    gr_config_free(config);
    return status;
}

static bool says(const char *words) {
    return strstr(gr_message(), words) != NULL;
}

static int check_modes(void) {
    static const char *const files[] = {"secrets/run", "secrets/silo-000", "secrets/silo-002"};
    struct stat info;
    int bad = 0;
    EXPECT(stat("secrets", &info) == 0 && (info.st_mode & 0777) == 0700);
    for (size_t i = 0; i < 3; i++)
        EXPECT(stat(files[i], &info) == 0 && (info.st_mode & 0777) == 0600 && info.st_size == 32);
    return bad;
}

static int test_silo_tables(struct gr_comm *comm) {
    static const char *const test[] = {"data.test_fraction=0", "data.test.file=t.csv"};
    static const char *const moved[] = {
        "data.silo_tables=[{file: 0.csv}, {file: moved.csv}, {file: 2.csv}]"};
    struct gr_run_data data = {0}, first;
    uint32_t uncompared = 0;
    int bad = 0, named[3] = {0};
    char folder[32];
    enter(comm, folder);
    EXPECT(meet(comm, NULL, 0, &data, &uncompared) == GR_OK);
    EXPECT(data.known && !data.incomplete);
    bad += check_modes();
    first = data;
    EXPECT(meet(comm, NULL, 0, &data, &uncompared) == GR_OK && uncompared == 0);
    EXPECT(memcmp(&data, &first, sizeof data) == 0);
    /* Each row of a table is in one part of its silo, and is missed there. */
    for (int row = 0; row < ROWS + 1; row++) {
        change(comm, "1.csv", 1, row);
        EXPECT(meet(comm, NULL, 0, &data, &uncompared) == GR_ERROR_CONFIG);
        const bool in[] = {says(": silo-001: train rows;"), says(": silo-001: validation rows;"),
                           says(": silo-001: test rows;")};
        EXPECT_EQUAL(in[0] + in[1] + in[2], 1);
        for (int p = 0; p < 3; p++)
            named[p] += in[p];
    }
    EXPECT(named[0] > 10 && named[1] > 2 && named[2] > 2);
    change(comm, "1.csv", 1, -1);
    EXPECT(meet(comm, NULL, 0, &data, &uncompared) == GR_OK);
    /* The same bytes elsewhere, and one silo that is away. */
    change(comm, "moved.csv", 1, -1);
    EXPECT(meet(comm, moved, 1, &data, &uncompared) == GR_OK);
    if (gr_comm_rank(comm) == 0) unlink("moved.csv");
    EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
    EXPECT(meet(comm, moved, 1, &data, &uncompared) == GR_OK);
    EXPECT(memcmp(&data, &first, sizeof data) == 0);
    change(comm, "0.csv", 0, 3);
    EXPECT(meet(comm, moved, 1, &data, &uncompared) == GR_ERROR_CONFIG && says("silo-000: "));
    change(comm, "0.csv", 0, -1);
    /* Without its salt a silo cannot be compared, which is told. */
    if (gr_comm_rank(comm) == 0) unlink("secrets/silo-002");
    change(comm, "2.csv", 2, 5);
    EXPECT(meet(comm, NULL, 0, &data, &uncompared) == GR_OK && uncompared == 3);
    change(comm, "2.csv", 2, 6);
    EXPECT(meet(comm, NULL, 0, &data, &uncompared) == GR_ERROR_CONFIG && says("silo-002: "));
    change(comm, "2.csv", 2, 5);
    /* A run with a test table. */
    if (gr_comm_rank(comm) == 0) unlink("fingerprints.json");
    data = (struct gr_run_data){0};
    EXPECT(meet(comm, test, 2, &data, &uncompared) == GR_OK);
    EXPECT(memcmp(&data, &first, sizeof data) != 0);
    change(comm, "t.csv", 7, 11);
    EXPECT(meet(comm, test, 2, &data, &uncompared) == GR_ERROR_CONFIG);
    EXPECT(says("begun with: the test table;"));
    /* What an earlier version has begun. */
    if (gr_comm_rank(comm) == 0) unlink("fingerprints.json");
    EXPECT(meet(comm, test, 2, &data, &uncompared) == GR_ERROR_CONFIG && says("earlier version"));
    leave(comm, folder);
    return bad;
}

/* One table for all; another number of ranks; another run's fingerprint says nothing of the data.
 */
static int test_one_table(struct gr_comm *comm) {
    static const char *const one[] = {"data.silo_tables=[]", "data.silos=3",
                                      "data.train.file=all.csv", "data.test_fraction=0",
                                      "data.test.file=t.csv"};
    const struct gr_comm_options options = {0};
    struct gr_comm *self = NULL;
    struct gr_run_data data = {0}, first;
    uint32_t uncompared = 0;
    int bad = 0;
    char folder[32];
    enter(comm, folder);
    EXPECT(meet(comm, one, 5, &data, &uncompared) == GR_OK);
    first = data;
    EXPECT(gr_comm_create(MPI_COMM_SELF, &options, &self) == GR_OK);
    if (gr_comm_rank(comm) == 0) {
        EXPECT(meet(self, one, 5, &data, &uncompared) == GR_OK && uncompared == 0);
        EXPECT(access("secrets/silo-000", F_OK) != 0);
    }
    change(comm, "all.csv", 9, 4);
    EXPECT(meet(comm, one, 5, &data, &uncompared) == GR_ERROR_CONFIG && says(" rows;"));
    change(comm, "all.csv", 9, -1);
    if (gr_comm_rank(comm) == 0) {
        unlink("fingerprints.json");
        unlink("secrets/run");
        struct gr_run_data anew = {0};
        EXPECT(meet(self, one, 5, &anew, &uncompared) == GR_OK);
        EXPECT(memcmp(anew.fingerprint, first.fingerprint, GR_DIGEST_BYTES) != 0);
    }
    gr_comm_free(self);
    leave(comm, folder);
    return bad;
}

PARALLEL_MAIN({"a table for each silo", test_silo_tables}, {"one table", test_one_table})
