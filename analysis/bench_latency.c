/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sum between nodes that are far apart, on one machine: every message arrives DELAY_MS after it
 * was sent, and one that MPI would announce first, as it does over TCP beyond 64 KiB, three times
 * as late. Each rank is a node.
 *
 *   mpirun -n 8 bench_latency DELAY_MS [elements [tree|direct [ring16|ring32|ring64|float32]]]
 *
 * Told are the median time of gr_aggregate_total and of the agreements around it, and the bound
 * without delay plus twice the depth of a tree of the nodes times the delay. The messages are held
 * back in this program, by its own MPI_Isend, MPI_Irecv and MPI_Test: the network is as fast as
 * memory, and all nodes share the cores of the machine. Those of MPI_Iallreduce are not.
 */
#include <stdlib.h>
#include <string.h>

#include "bench_sum.h"

enum { REPETITIONS = 7, MESSAGES = 1 << 14, ANNOUNCED_BYTES = 65536 - 64 };

/* ---- messages that take their time ---------------------------------------------------------- */

struct message {
    MPI_Request request; /* MPI_REQUEST_NULL: a free place */
    char *copy;          /* with the time of sending behind it; owned */
    void *into;          /* NULL: it is sent */
    size_t n;
    bool came;
};
static struct message messages[MESSAGES];
static double delay_s;
static MPI_Comm data = MPI_COMM_NULL; /* of sums and agreements: the first that granary makes */

static size_t place_of(MPI_Request request) {
    return ((uintptr_t)request >> 6) * 0x9E3779B97F4A7C15u >> 50;
}

/* The message of a request, or the free place for it. */
static struct message *find(MPI_Request request) {
    size_t at = place_of(request);
    while (messages[at].request != request && messages[at].request != MPI_REQUEST_NULL)
        at = (at + 1) % MESSAGES;
    return &messages[at];
}

/* Those behind it move up, so that none is cut off from its place. */
static void forget(struct message *message) {
    size_t at = (size_t)(message - messages);
    free(message->copy);
    message->request = MPI_REQUEST_NULL;
    for (at = (at + 1) % MESSAGES; messages[at].request != MPI_REQUEST_NULL;
         at = (at + 1) % MESSAGES) {
        struct message moved = messages[at];
        messages[at].request = MPI_REQUEST_NULL;
        *find(moved.request) = moved;
    }
}

static char *copy_of(const void *bytes, size_t n) {
    const double now = gr_clock_seconds();
    char *copy = malloc(n + sizeof now);
    if (!copy) MPI_Abort(MPI_COMM_WORLD, 1);
    if (bytes) memcpy(copy, bytes, n);
    memcpy(copy + n, &now, sizeof now);
    return copy;
}

int MPI_Comm_dup(MPI_Comm from, MPI_Comm *out) {
    int code = PMPI_Comm_dup(from, out);
    if (data == MPI_COMM_NULL) data = *out;
    return code;
}

int MPI_Isend(const void *bytes, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request *request) {
    if (comm != data) return PMPI_Isend(bytes, n, type, to, tag, comm, request);
    char *copy = copy_of(bytes, (size_t)n);
    int code = PMPI_Isend(copy, n + (int)sizeof(double), type, to, tag, comm, request);
    *find(*request) = (struct message){.request = *request, .copy = copy, .n = (size_t)n};
    return code;
}

int MPI_Irecv(void *bytes, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm,
              MPI_Request *request) {
    if (comm != data) return PMPI_Irecv(bytes, n, type, from, tag, comm, request);
    char *copy = copy_of(NULL, (size_t)n);
    int code = PMPI_Irecv(copy, n + (int)sizeof(double), type, from, tag, comm, request);
    *find(*request) =
        (struct message){.request = *request, .copy = copy, .into = bytes, .n = (size_t)n};
    return code;
}

/* A receive is complete when its time has come; what MPI has completed before keeps its handle. */
int MPI_Test(MPI_Request *request, int *done, MPI_Status *came) {
    struct message *message = find(*request);
    if (*request == MPI_REQUEST_NULL || message->request != *request)
        return PMPI_Test(request, done, came);
    MPI_Request handle = *request;
    MPI_Status status;
    double sent;
    *done = 0;
    if (!message->came) {
        int complete, code = PMPI_Request_get_status(handle, &complete, &status);
        if (code != MPI_SUCCESS || !complete) return code;
        message->came = true;
    }
    memcpy(&sent, message->copy + message->n, sizeof sent);
    const double late = message->n > ANNOUNCED_BYTES ? 3 * delay_s : delay_s;
    if (message->into && gr_clock_seconds() < sent + late) return MPI_SUCCESS;
    int code = PMPI_Test(request, done, &status);
    if (message->into) memcpy(message->into, message->copy, message->n);
    MPI_Status_set_elements(&status, MPI_BYTE, (int)message->n);
    if (came != MPI_STATUS_IGNORE) *came = status;
    forget(message);
    return code;
}

/* ---- measuring ------------------------------------------------------------------------------ */

struct bench {
    struct gr_comm *comm;
    struct gr_aggregator *aggregator;
    struct gr_contribution mine;
    double sum[REPETITIONS], agree[REPETITIONS];
};

static void measure(struct bench *bench) {
    /* The window follows the line within two sums: these are not taken. */
    for (int i = -2; i < REPETITIONS; i++) {
        CHECK(gr_comm_agree(bench->comm, GR_OK));
        const double begin = gr_clock_seconds();
        CHECK(gr_comm_agree(bench->comm, GR_OK));
        const double agreed = gr_clock_seconds();
        CHECK(gr_aggregate_total(bench->aggregator, &bench->mine, 1,
                                 (uint32_t)gr_comm_size(bench->comm)));
        if (i >= 0) bench->agree[i] = agreed - begin;
        if (i >= 0) bench->sum[i] = gr_clock_seconds() - agreed;
    }
    qsort(bench->agree, REPETITIONS, sizeof(double), bench_ascending);
    qsort(bench->sum, REPETITIONS, sizeof(double), bench_ascending);
}

static int depth(int nodes) {
    int levels = 0;
    for (int n = nodes; n > 1; n /= 2)
        levels++;
    return levels;
}

static void run(struct bench *bench, double delay) {
    const int nodes = gr_comm_nodes(bench->comm);
    delay_s = 0;
    measure(bench);
    const double without = bench->sum[REPETITIONS / 2];
    delay_s = delay;
    measure(bench);
    const double bound = without + 2 * depth(nodes) * delay, with = bench->sum[REPETITIONS / 2];
    if (gr_comm_rank(bench->comm) == 0)
        printf("%d nodes: %.1f ms without delay; with %.0f ms: %.1f ms, %.2f of the bound %.1f ms; "
               "an agreement %.1f ms\n",
               nodes, without * 1e3, delay * 1e3, with * 1e3, with / bound, bound * 1e3,
               bench->agree[REPETITIONS / 2] * 1e3);
}

int main(int argc, char **argv) {
    int provided;
    struct gr_comm_options options = {.ranks_per_node = 1, .far = true};
    struct gr_layout layout = {0};
    struct bench bench = {.mine = {.weight = 600, .pseudonym = "silo-00"}};
    float *update;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    const double delay = argc > 1 ? strtod(argv[1], NULL) * 1e-3 : 0.01;
    const size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 5000000;
    struct gr_aggregator_options how = {.between = GR_BETWEEN_DIRECT};
    if (argc > 3 && strcmp(argv[3], "tree") == 0) how.between = GR_BETWEEN_TREE;
    for (int e = 0; argc > 4 && e <= GR_ENCODING_FLOAT32; e++)
        if (strcmp(argv[4], gr_encoding_text((enum gr_encoding)e)) == 0)
            how.encoding = (enum gr_encoding)e;
    for (size_t i = 0; i < MESSAGES; i++)
        messages[i].request = MPI_REQUEST_NULL;
    CHECK(gr_base_start());
    CHECK(gr_comm_create(MPI_COMM_WORLD, &options, &bench.comm));
    CHECK(gr_layout_append(&layout, "weight", 1, &n));
    CHECK(gr_aggregator_create_with(bench.comm, &layout, &how, &bench.aggregator));
    CHECK(gr_allocate(layout.size, sizeof *update, "update", &update));
    for (size_t i = 0; i < layout.size; i++)
        update[i] = (float)((uint32_t)i * 2654435761u >> 8) / (float)(1 << 24) - 0.5f;
    bench.mine.update = update;
    float *residual = NULL, *left = NULL; /* ring16's */
    CHECK(gr_allocate_zero(layout.size, sizeof *left, "residual", &residual));
    CHECK(gr_allocate_zero(layout.size, sizeof *left, "residual", &left));
    bench.mine.residual = residual;
    bench.mine.left = left;
    run(&bench, delay);
    gr_aggregator_free(bench.aggregator);
    gr_comm_free(bench.comm);
    gr_free(update);
    gr_free(residual);
    gr_free(left);
    gr_layout_release(&layout);
    MPI_Finalize();
    return 0;
}
