/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sum between institutions over https on the loopback: a coordinator and SITES sites, a process
 * each, add up PARAMETERS parameters, from each site's update to the step on every side, the
 * journal's digest of the update included; in turn with libcurl alone, which moves the same bytes
 * up, and then down again, through the same TLS: first by calls on a connection that is there, with
 * large buffers, and then by the command curl, a process for each direction. Prints the medians,
 * and the memory of the coordinator, of which libcurl's part is let go of before: P is 4 bytes
 * times the parameters.
 *
 *   bench_study [SITES [PARAMETERS [ring16|ring32|ring64 [REPETITIONS]]]]
 */
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <granary/comm.h>

#include "bench_https.h"
#include "store/lanes.h"

enum { REPETITIONS_MAX = 101 };

struct study_bench {
    uint32_t me, sites;
    size_t parameters;
    enum gr_encoding encoding;
    int repetitions;
    struct gr_carrier *carrier;
    struct gr_gateway *gateway;
    struct gr_comm *comm;
    struct gr_layout layout;
    struct gr_aggregator *aggregator;
    float *update, *state; /* of a site; of all */
    float *residual, *left;
    int32_t host_of[PARTIES_MAX]; /* slot of each site's silo */
};

/* ---- memory -----------------------------------------------------------------------------------
 */

/* In KiB, of a line of /proc/self/status. */
static long memory_of(const char *key) {
    char line[256];
    long found = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0) found = atol(line + strlen(key));
    if (file) fclose(file);
    return found;
}

static void forget_peak(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (!file) return;
    fputs("5", file);
    fclose(file);
}

/* ---- a party ----------------------------------------------------------------------------------
 */

/* A round with the silo of each site, to which all sums belong. */
static void close_round(struct study_bench *bench) {
    struct gr_roster roster;
    gr_control_expect(bench->comm, bench->sites);
    CHECK(gr_comm_agree(bench->comm, GR_OK));
    for (uint32_t s = 1; s <= bench->sites; s++)
        bench->host_of[s - 1] = (int32_t)s;
    gr_control_hosts(bench->comm, bench->host_of);
    CHECK(gr_roster_create(bench->sites, &roster));
    roster.round = 1;
    if (bench->me > 0) gr_flags_set(&roster.member, bench->me - 1, GR_PRESENT);
    CHECK(gr_control_close_round(bench->comm, &roster, GR_OK, 60));
    INSIST(roster.n_members == bench->sites);
    gr_roster_release(&roster);
}

static void open_party(struct study_bench *bench, struct gr_comm_study *of) {
    const struct gr_post_options post = {
        .who = options_of(bench->me), .carriers = &bench->carrier, .n_carriers = 1};
    struct gr_comm_options options = {.command = "bench", .start_s = 120, .study = of};
    int provided;
    CHECK(gr_gateway_open(&post, &bench->gateway));
    *of = (struct gr_comm_study){
        .party = bench->me, .n_parties = n_parties, .parties = parties, .gateway = bench->gateway};
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    CHECK(gr_comm_create(MPI_COMM_WORLD, &options, &bench->comm));
    gr_comm_started(bench->comm);
    gr_comm_set_deadlines(bench->comm, 120, 0);
    close_round(bench);
    CHECK(gr_layout_append(&bench->layout, "weight", 1, &bench->parameters));
    CHECK(gr_aggregator_create(bench->comm, &bench->layout, bench->encoding, &bench->aggregator));
    if (bench->me == 0)
        CHECK(gr_allocate_zero(bench->layout.size, sizeof(float), "state", &bench->state));
    if (bench->me > 0 && bench->encoding == GR_ENCODING_RING16) {
        CHECK(gr_allocate_zero(bench->layout.size, sizeof(float), "residual", &bench->residual));
        CHECK(gr_allocate_zero(bench->layout.size, sizeof(float), "residual", &bench->left));
    }
}

static double all_are_here(struct study_bench *bench) {
    CHECK(gr_comm_agree(bench->comm, GR_OK));
    return gr_clock_seconds();
}

/* Seconds from when all are here until all are done; and of processors, of all parties together. */
struct taken {
    double wall_s, cpu_s;
};

static struct taken since_begin(struct study_bench *bench, double begin_s, double cpu_s) {
    struct taken taken = {.wall_s = all_are_here(bench) - begin_s};
    int64_t used_ns = (int64_t)(1e9 * (gr_clock_cpu_seconds() - cpu_s));
    CHECK(gr_comm_sum_int64(bench->comm, &used_ns, 1));
    taken.cpu_s = 1e-9 * (double)used_ns;
    return taken;
}

static struct taken sum_once(struct study_bench *bench) {
    float mean[GR_RING_BLOCK];
    unsigned char digest[GR_DIGEST_BYTES];
    struct gr_digest running;
    struct gr_contribution mine = {
        .update = bench->update,
        .weight = 600,
        .pseudonym = "silo",
        .residual = bench->residual,
        .left = bench->left,
        .rounding = {.seed = 1, .silo = bench->me, .purpose = GR_PURPOSE_ROUNDING}};
    const size_t size = bench->layout.size;
    const double begin = all_are_here(bench), cpu = gr_clock_cpu_seconds();
    if (bench->me > 0) {
        gr_digest_start(&running);
        gr_digest_add_chunks(&running, bench->update, size * sizeof(float));
        gr_digest_finish(&running, digest);
    }
    CHECK(gr_aggregate_total(bench->aggregator, &mine, bench->me > 0, bench->sites));
    CHECK(gr_control_seal(bench->comm, GR_PHASE_SEALED));
    for (size_t at = 0; at < size; at += GR_RING_BLOCK) {
        const size_t n = size - at < GR_RING_BLOCK ? size - at : GR_RING_BLOCK;
        gr_aggregate_decode(bench->aggregator, 0, at, mean, n);
        for (size_t i = 0; i < n; i++)
            bench->state[at + i] += mean[i];
    }
    return since_begin(bench, begin, cpu);
}

static struct taken plain_once(struct study_bench *bench, CURL *easy, const struct calling *calling,
                               bool up) {
    const double begin = all_are_here(bench), cpu = gr_clock_cpu_seconds();
    if (bench->me > 0) plain_call(easy, calling, up);
    return since_begin(bench, begin, cpu);
}

/* Seconds of the command, from a file in the page cache and to nowhere. */
static double command_once(struct study_bench *bench, const struct calling *calling, bool up) {
    char command[512], file[64] = "";
    const double begin = all_are_here(bench);
    if (up) snprintf(file, sizeof file, "-H Expect: -T %s/bytes", scratch);
    snprintf(command, sizeof command,
             "curl -sSk --noproxy '*' --pinnedpubkey '%s' -o /dev/null %s %s", calling->pin, file,
             calling->plain_url);
    if (bench->me > 0) INSIST(system(command) == 0);
    return all_are_here(bench) - begin;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct taken median_of(const struct taken *taken, int n) {
    double wall[REPETITIONS_MAX], cpu[REPETITIONS_MAX];
    for (int i = 0; i < n; i++) {
        wall[i] = taken[i].wall_s;
        cpu[i] = taken[i].cpu_s;
    }
    qsort(wall, (size_t)n, sizeof *wall, ascending);
    qsort(cpu, (size_t)n, sizeof *cpu, ascending);
    return (struct taken){wall[n / 2], cpu[n / 2]};
}

static void print_figures(const struct study_bench *bench, const struct taken *up,
                          const struct taken *down, double *command, const struct taken *sum) {
    qsort(command, (size_t)bench->repetitions, sizeof *command, ascending);
    const struct taken u = median_of(up, bench->repetitions),
                       d = median_of(down, bench->repetitions),
                       s = median_of(sum, bench->repetitions);
    printf("%u sites, %zu parameters, %s: sum %.4f s, of processors %.4f s; libcurl alone, up and "
           "down, %.4f + %.4f s, of processors %.4f s; ratio %.2f, of processors %.2f; the command "
           "curl, up and down, %.4f s; ratio %.2f\n",
           bench->sites, bench->parameters, gr_encoding_text(bench->encoding), s.wall_s, s.cpu_s,
           u.wall_s, d.wall_s, u.cpu_s + d.cpu_s, s.wall_s / (u.wall_s + d.wall_s),
           s.cpu_s / (u.cpu_s + d.cpu_s), command[bench->repetitions / 2],
           s.wall_s / command[bench->repetitions / 2]);
}

static void run_party(struct study_bench *bench, const struct calling *calling) {
    static struct taken up[REPETITIONS_MAX], down[REPETITIONS_MAX], sum[REPETITIONS_MAX];
    static double command[REPETITIONS_MAX];
    struct gr_comm_study of;
    CURL *easy = curl_easy_init();
    open_party(bench, &of);
    const long before = memory_of("VmRSS:");
    (void)sum_once(bench);
    if (bench->me > 0) plain_call(easy, calling, false); /* the connection is there, as ours is */
    for (int r = 0; r < bench->repetitions; r++) {
        up[r] = plain_once(bench, easy, calling, true);
        down[r] = plain_once(bench, easy, calling, false);
        command[r] = command_once(bench, calling, true);
        command[r] += command_once(bench, calling, false);
        sum[r] = sum_once(bench);
    }
    if (bench->me == 0 && bench->repetitions > 0) {
        print_figures(bench, up, down, command, sum);
        INSIST(madvise(plenty, total + (1 << 20), MADV_DONTNEED) == 0);
        forget_peak();
    }
    (void)sum_once(bench);
    (void)sum_once(bench);
    if (bench->me == 0)
        printf("memory of the coordinator: %ld KiB, of which %ld before the first sum with the "
               "model; P %zu KiB\n",
               memory_of("VmHWM:"), before, bench->parameters * 4 / 1024);
    (void)all_are_here(bench);
    curl_easy_cleanup(easy);
    gr_aggregator_free(bench->aggregator);
    gr_control_hosts(bench->comm, NULL);
    gr_comm_free(bench->comm);
    gr_gateway_close(bench->gateway);
    gr_carrier_close(bench->carrier);
    MPI_Finalize();
}

/* ---- processes --------------------------------------------------------------------------------
 */

static void site(struct study_bench *bench, int from_parent) {
    struct calling calling;
    const struct gr_carrier_options options = options_of(bench->me);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    INSIST(read(from_parent, &calling, sizeof calling) == sizeof calling);
    const struct gr_https_client settings = {.url = calling.url, .pin = calling.pin, .proxy = ""};
    CHECK(gr_carrier_open_https_client(&options, &settings, &bench->carrier));
    run_party(bench, &calling);
    exit(0);
}

static void *map_zeros(size_t bytes, int how) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, how | MAP_ANONYMOUS, -1, 0);
    INSIST(memory != MAP_FAILED);
    return memory;
}

/* For the command. */
static void write_bytes(void) {
    char path[64];
    snprintf(path, sizeof path, "%s/bytes", scratch);
    FILE *file = fopen(path, "w");
    INSIST(file && fwrite(plenty, 1, total, file) == total && fclose(file) == 0);
}

/* The sites share one update and one state, so that a hundred of them fit into a machine. */
static void make_bytes(struct study_bench *bench) {
    uint32_t state = 1;
    total = bench->parameters * (bench->encoding == GR_ENCODING_RING64   ? 8
                                 : bench->encoding == GR_ENCODING_RING32 ? 4
                                                                         : 2);
    plenty = map_zeros(total + (1 << 20), MAP_PRIVATE);
    bench->update = map_zeros(bench->parameters * sizeof(float), MAP_SHARED);
    bench->state = map_zeros(bench->parameters * sizeof(float), MAP_SHARED);
    for (size_t i = 0; i < bench->parameters; i++) {
        state = state * 1664525U + 1013904223U;
        bench->update[i] = ((float)(state >> 8) / (float)(1 << 24) - 0.5F) * 1e-3F;
    }
}

int main(int argc, char **argv) {
    static const char *const names[] = {"ring16", "ring32", "ring64"};
    static const enum gr_encoding encodings[] = {GR_ENCODING_RING16, GR_ENCODING_RING32,
                                                 GR_ENCODING_RING64};
    struct study_bench bench = {.sites = argc > 1 ? (uint32_t)atol(argv[1]) : 3,
                                .parameters = argc > 2 ? (size_t)atol(argv[2]) : 25000000,
                                .encoding = GR_ENCODING_RING32,
                                .repetitions = argc > 4 ? atoi(argv[4]) : 11};
    struct calling calling = {0};
    static int to_site[PARTIES_MAX][2];
    static pid_t processes[PARTIES_MAX];
    for (int i = 0; i < 3; i++)
        if (argc > 3 && strcmp(argv[3], names[i]) == 0) bench.encoding = encodings[i];
    mallopt(M_MMAP_THRESHOLD, 4 << 20); /* as gr_take_part has it */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    INSIST(bench.repetitions >= 0 && bench.repetitions <= REPETITIONS_MAX);
    CHECK(gr_base_start());
    make_study(bench.sites + 1);
    make_bytes(&bench);
    write_bytes();
    for (uint32_t s = 1; s <= bench.sites; s++) {
        INSIST(pipe(to_site[s]) == 0);
        if ((processes[s] = fork()) != 0) continue;
        bench.me = s;
        site(&bench, to_site[s][0]);
    }
    munmap(bench.update, bench.parameters * sizeof(float)); /* of sites alone */
    munmap(bench.state, bench.parameters * sizeof(float));
    const struct gr_carrier_options options = options_of(0);
    const struct gr_https_server settings = {.address = "127.0.0.1:0", .directory = scratch};
    CHECK(gr_carrier_open_https_server(&options, &settings, &bench.carrier));
    snprintf(calling.url, sizeof calling.url, "https://127.0.0.1:%d",
             gr_https_server_port(bench.carrier));
    gr_https_server_pin(bench.carrier, calling.pin, sizeof calling.pin);
    struct MHD_Daemon *plain = plain_open(&calling);
    for (uint32_t s = 1; s <= bench.sites; s++)
        INSIST(write(to_site[s][1], &calling, sizeof calling) == sizeof calling);
    run_party(&bench, &calling);
    for (uint32_t s = 1; s <= bench.sites; s++) /* MPI has children of its own */
        waitpid(processes[s], NULL, 0);
    MHD_stop_daemon(plain);
    remove_study();
    return 0;
}
