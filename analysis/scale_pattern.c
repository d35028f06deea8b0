/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of one round between leaders of nodes, one a node, without granary: to be run on a
 * simulated network (SimGrid's smpicc and smpirun), where no machine of that size is at hand.
 *
 *   smpirun ... scale_pattern BYTES_OF_THE_SUM BYTES_OF_THE_GRID BYTES_OF_THE_DECISION PIECE
 *
 * Prints, per phase, the seconds of the slowest rank and the bytes that rank 0 has sent:
 *   close     each rank reports to rank 0, whose decision goes along a tree of four and two
 *   meeting   8 bytes up the binary tree and down again
 *   grid      an exponent a block, likewise
 *   sum       the vector in pieces up the binary tree and down again, many under way at once
 */
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHILDREN = 2, TAG_UP = 1, TAG_DOWN = 2, TAG_READY = 3, READY_BYTES = 64 };
enum { REPEATS = 20 }; /* of small phases: ranks do not begin the first at one moment */

static int rank, size, first, children;
static double sent; /* bytes, by this rank */

static int parent(void) {
    return (rank - 1) / CHILDREN;
}

static void send(const void *bytes, size_t n, int to, int tag) {
    sent += (double)n;
    MPI_Send(bytes, (int)n, MPI_BYTE, to, tag, MPI_COMM_WORLD);
}

static void receive(void *bytes, size_t n, int from, int tag) {
    MPI_Recv(bytes, (int)n, MPI_BYTE, from, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void down(char *bytes, size_t n) {
    if (rank > 0) receive(bytes, n, parent(), TAG_DOWN);
    for (int i = 0; i < children; i++)
        send(bytes, n, first + i, TAG_DOWN);
}

static void up(char *bytes, size_t n) {
    for (int i = 0; i < children; i++)
        receive(bytes, n, first + i, TAG_UP);
    if (rank > 0) send(bytes, n, parent(), TAG_UP);
}

static void close_round(char *bytes, size_t decision) {
    if (rank > 0) send(bytes, READY_BYTES, 0, TAG_READY);
    for (int i = 1; i < size && rank == 0; i++)
        receive(bytes, READY_BYTES, MPI_ANY_SOURCE, TAG_READY);
    down(bytes, decision);
}

static void meet(char *bytes, size_t n) {
    up(bytes, n);
    down(bytes, n);
}

/*
 * Pieces to one peer: a few under way, in order. A simulator shares the line among all messages, so
 * that with many of them the first would arrive with the last, and nothing be passed on before.
 */
enum { UNDER_WAY = 2 };
struct line {
    int to, tag;
    size_t n;
    MPI_Request request[UNDER_WAY];
};

static void pass(struct line *line, const char *bytes, size_t n) {
    MPI_Request *request = &line->request[line->n % UNDER_WAY];
    if (line->n >= UNDER_WAY) MPI_Wait(request, MPI_STATUS_IGNORE);
    sent += (double)n;
    MPI_Isend(bytes, (int)n, MPI_BYTE, line->to, line->tag, MPI_COMM_WORLD, request);
    line->n++;
}

static void finish(struct line *line) {
    for (size_t i = 0; i < UNDER_WAY && i < line->n; i++)
        MPI_Wait(&line->request[i], MPI_STATUS_IGNORE);
}

/* What comes from one peer, all of it expected from the beginning: so nobody waits to send. */
struct source {
    size_t n, pieces; /* that have come */
    MPI_Request *request;
};

static void expect(struct source *from, char *bytes, size_t piece, size_t pieces, int peer,
                   int tag) {
    *from = (struct source){.pieces = pieces, .request = calloc(pieces, sizeof(MPI_Request))};
    for (size_t k = 0; k < pieces; k++)
        MPI_Irecv(bytes, (int)piece, MPI_BYTE, peer, tag, MPI_COMM_WORLD, &from->request[k]);
}

/* Both ways at once: whatever arrives next is passed on. From children, then from the parent. */
static void add_up(char *bytes, size_t n, size_t piece) {
    const size_t pieces = (n + piece - 1) / piece;
    struct line above = {.to = parent(), .tag = TAG_UP}, below[CHILDREN];
    struct source from[CHILDREN + 1] = {{0}};
    size_t risen = 0, fallen = 0;
    for (int i = 0; i < children; i++) {
        below[i] = (struct line){.to = first + i, .tag = TAG_DOWN};
        expect(&from[i], bytes, piece, pieces, first + i, TAG_UP);
    }
    if (rank > 0) expect(&from[CHILDREN], bytes, piece, pieces, parent(), TAG_DOWN);
    while (risen < pieces || fallen < pieces) {
        MPI_Request next[CHILDREN + 1];
        int which = MPI_UNDEFINED;
        bool ready = risen < pieces;
        for (int i = 0; i < children; i++)
            ready = ready && from[i].n > risen;
        if (ready) {
            risen++;
            if (rank > 0) pass(&above, bytes, piece);
            if (rank > 0) continue;
            fallen++;
            for (int i = 0; i < children; i++)
                pass(&below[i], bytes, piece);
            continue;
        }
        for (int i = 0; i <= CHILDREN; i++)
            next[i] = from[i].n < from[i].pieces ? from[i].request[from[i].n] : MPI_REQUEST_NULL;
        MPI_Waitany(CHILDREN + 1, next, &which, MPI_STATUS_IGNORE);
        from[which].request[from[which].n++] = MPI_REQUEST_NULL;
        if (which < CHILDREN) continue;
        fallen++;
        for (int i = 0; i < children; i++)
            pass(&below[i], bytes, piece);
    }
    finish(&above);
    for (int i = 0; i < children; i++)
        finish(&below[i]);
    for (int i = 0; i <= CHILDREN; i++)
        free(from[i].request);
}

/* without: seconds that are not the phase's. Returns the phase's. */
static double print_phase(const char *name, double begin, int repeats, double without) {
    double seconds = (MPI_Wtime() - begin) / repeats - without, slowest = 0;
    MPI_Reduce(&seconds, &slowest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    if (rank == 0) printf("%d %s %.9f %.0f\n", size, name, slowest, sent / repeats);
    sent = 0;
    MPI_Bcast(&slowest, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);
    return slowest;
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (argc != 5) {
        if (rank == 0) fprintf(stderr, "usage: scale_pattern SUM GRID DECISION PIECE (bytes)\n");
        MPI_Abort(MPI_COMM_WORLD, 64);
    }
    size_t bytes[4], most = READY_BYTES;
    for (int i = 0; i < 4; i++) {
        bytes[i] = strtoull(argv[i + 1], NULL, 10);
        if (i > 0 && bytes[i] > most) most = bytes[i];
    }
    char *buffer = calloc(1, most + 1);
    first = rank * CHILDREN + 1;
    children = size - first < 0 ? 0 : size - first < CHILDREN ? size - first : CHILDREN;
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = MPI_Wtime();
    for (int i = 0; i < REPEATS; i++)
        meet(buffer, 8);
    const double meeting = print_phase("meeting", begin, REPEATS, 0);
    /* All begin a close together, as after a training of equal length. */
    begin = MPI_Wtime();
    for (int i = 0; i < REPEATS; i++) {
        meet(buffer, 0);
        close_round(buffer, bytes[2]);
    }
    print_phase("close", begin, REPEATS, meeting);
    begin = MPI_Wtime();
    for (int i = 0; i < REPEATS; i++)
        meet(buffer, bytes[1]);
    print_phase("grid", begin, REPEATS, 0);
    begin = MPI_Wtime();
    add_up(buffer, bytes[0], bytes[3]);
    print_phase("sum", begin, 1, 0);
    free(buffer);
    MPI_Finalize();
    return 0;
}
