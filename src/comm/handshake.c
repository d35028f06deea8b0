/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first messages of all: each rank tells rank 0 what it is made of, and rank 0 tells each
 * whether all are made alike. Everything later is laid out by constants of the build, so that ranks
 * of two builds would read each other's bytes as numbers; these two messages are lines of text in
 * blocks of one size, which no build may change. Nothing here is a collective of MPI: of hosts that
 * do not reach each other rank 0 can say which.
 */
#include "comm/handshake.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "comm/communicator.h"
#include "comm/view_change.h"

enum { BLOCK = GR_HELLO_BYTES, TAG_HELLO = 32001, TAG_ANSWER = 32002 };
/* Seconds that rank 0, when it gives up, waits for its answers to leave. */
static const double leave_s = 2;

/* ---- what a rank is made of -------------------------------------------------------------------
 */

/* Lines are "key value". Beside the build the sizes of everything that travels or lies in shared
 * memory are told, for a build may be the same source compiled otherwise. */
gr_status gr_hello_compose(const struct gr_comm_options *options, char out[GR_HELLO_BYTES]) {
    char host[GR_HOST_BYTES];
    gr_host_name(host);
    if (options->study) snprintf(host, sizeof host, "-"); /* is not for other parties to know */
    memset(out, 0, BLOCK);
    int n =
        snprintf(out, BLOCK,
                 "host %s\n"
                 "granary %s\n"
                 "build %s\n"
                 "word %zu %zu %zu %d\n"
                 "layout %zu %zu %d %d %d %d %d\n"
                 "%s%s%s%s",
                 host, GRANARY_VERSION, gr_build_id(), sizeof(void *), sizeof(long), sizeof(size_t),
                 __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, sizeof(struct gr_control_message_head),
                 sizeof(struct gr_comm_node), (int)GR_RING_BLOCK, (int)GR_COMM_SMALL_MAX,
                 (int)GR_BROADCAST_CHUNK, (int)GR_MESSAGE_MAX, (int)GR_CONTROL_PONG,
                 options->command ? "command " : "", options->command ? options->command : "",
                 options->command ? "\n" : "", options->libraries ? options->libraries : "");
    if (n >= 0 && n < BLOCK) return GR_OK;
    return gr_fail(GR_ERROR_INTERNAL, "what this rank is made of takes %d bytes, at most %d", n,
                   (int)BLOCK);
}

static const char *end_of_line(const char *line) {
    return line + strcspn(line, "\n");
}

/* The host of a hello, its first line, quoted for a terminal: it comes from another process. */
static void host_of(const char *hello, char out[GR_HOST_BYTES]) {
    static const char key[] = "host ";
    out[0] = '\0';
    if (strncmp(hello, key, sizeof key - 1) == 0)
        gr_text_quote(hello + sizeof key - 1, strcspn(hello + sizeof key - 1, "\n"), out,
                      GR_HOST_BYTES);
}

/* The first line that is not the same in both, but for the host; false: there is none. */
static bool find_difference(const char *a, const char *b, const char **of_a, const char **of_b) {
    a = end_of_line(a);
    b = end_of_line(b);
    while (*a || *b) {
        a += *a == '\n';
        b += *b == '\n';
        const size_t n_a = strcspn(a, "\n"), n_b = strcspn(b, "\n");
        *of_a = a;
        *of_b = b;
        if (n_a != n_b || memcmp(a, b, n_a) != 0) return true;
        a += n_a;
        b += n_b;
    }
    return false;
}

/* Names the first line that differs, as found and as expected: it tells whether the program, a
 * library or the machine is at fault. */
static gr_status hello_compare(const char *first, const char *other, int rank) {
    const char *of_first, *of_other;
    char host[GR_HOST_BYTES], first_host[GR_HOST_BYTES], has[160], should[160];
    if (!find_difference(first, other, &of_first, &of_other)) return GR_OK;
    host_of(other, host);
    host_of(first, first_host);
    gr_text_quote(of_other, strcspn(of_other, "\n"), has, sizeof has);
    gr_text_quote(of_first, strcspn(of_first, "\n"), should, sizeof should);
    return gr_fail(GR_ERROR_CONFIG,
                   "rank %d on %s is not like rank 0 on %s: found \"%s\", expected \"%s\": all "
                   "ranks must run the same command of the same build with the same libraries",
                   rank, host, first_host, has, should);
}

/* Versions first: a site of another version is told both, before anything else that differs. */
gr_status gr_hello_of_site(const char *first, const char *other, const char *name) {
    const char *of_first, *of_other;
    char has[160], should[160];
    if (!find_difference(first, other, &of_first, &of_other)) return GR_OK;
    gr_text_quote(of_other, strcspn(of_other, "\n"), has, sizeof has);
    gr_text_quote(of_first, strcspn(of_first, "\n"), should, sizeof should);
    return gr_fail(
        GR_ERROR_CONFIG,
        "%s is not like the coordinator: found \"%s\", expected \"%s\": all parties of a "
        "study must run the same build with the same libraries",
        name, has, should);
}

/* ---- rank 0 ------------------------------------------------------------------------------------
 */

/* All that MPI may still write to when it is given up: then it is never freed. */
struct roll {
    MPI_Comm world;
    int size, heard;
    char (*hello)[BLOCK]; /* of each rank */
    MPI_Request *request; /* of each rank; MPI_REQUEST_NULL once it has been heard */
    int *done;
    char answer[BLOCK];
};

/*
 * The code of a call that completes requests. A peer that has died in the handshake, which an MPI
 * with failure mitigation tells, is no fault of this program's: the start is given up (GR_STOPPED),
 * *stuck, and can be made again without it. Several requests tell by their statuses alone why they
 * failed, and Open MPI 5 does not fill these in at every failure; messages of this size and form
 * have no other reason.
 */
static gr_status check_completion(int code, const char *call, bool *stuck) {
    gr_status status = gr_mpi_check(code, call);
#if defined(MPIX_ERR_PROC_FAILED)
    if (code == MPI_ERR_IN_STATUS)
        status = gr_fail(GR_STOPPED, "a rank was lost while the ranks met: start again");
#endif
    if (status == GR_STOPPED) *stuck = true;
    return status;
}

void gr_doze(double seconds) {
    const struct timespec moment = {(time_t)seconds,
                                    (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&moment, NULL);
}

/* Ranks whose message is still under way, as "rank 1, rank 5". Hosts are not known yet: they come
 * with the hello. */
static void list_missing(const struct roll *roll, struct gr_names *names) {
    for (int i = 1; i < roll->size; i++)
        if (roll->request[i] != MPI_REQUEST_NULL) gr_names_add(names, i, NULL);
}

/* Rank 0 hears all hellos, until start_s is over, and tells the terminal from time to time whom it
 * waits for. Ranks that never answer are GR_STOPPED (exit code 75): to start again may help. */
static gr_status hear_all(struct roll *roll, const struct gr_comm_options *options, bool *stuck) {
    gr_status status = GR_OK;
    const double began = gr_clock_seconds(), limit = gr_comm_start_s(options);
    const double every = gr_tell_every_s(limit);
    double told = 0, waited;
    for (int i = 1; i < roll->size; i++)
        GR_TRY_MPI(MPI_Irecv(roll->hello[i], BLOCK, MPI_CHAR, i, TAG_HELLO, roll->world,
                             &roll->request[i]));
    for (;;) {
        int n = 0;
        const int code =
            MPI_Testsome(roll->size - 1, roll->request + 1, &n, roll->done, MPI_STATUSES_IGNORE);
        GR_TRY(check_completion(code, "MPI_Testsome", stuck));
        if (n != MPI_UNDEFINED) roll->heard += n;
        if (roll->heard == roll->size - 1) return GR_OK;
        waited = gr_clock_seconds() - began;
        if (waited < told + every && waited < limit) {
            gr_doze(waited < 0.05 ? 50e-6 : 1e-3);
            continue;
        }
        struct gr_names names = {0};
        list_missing(roll, &names);
        if (waited >= limit)
            return gr_fail(GR_STOPPED,
                           "%s ha%s not answered within %g s (round.start_deadline_s): start again",
                           names.text, names.n == 1 ? "s" : "ve", limit);
        told = waited;
        gr_say(options, "waiting for %s, which ha%s not answered for %.0f of %g s", names.text,
               names.n == 1 ? "s" : "ve", waited, limit);
    }
out:
    return status;
}

/* The lowest rank that differs is named; the last byte is forced to 0, as a peer may be of any
 * build. */
static gr_status judge(const struct roll *roll) {
    gr_status status = GR_OK;
    for (int i = 1; status == GR_OK && i < roll->size; i++) {
        roll->hello[i][BLOCK - 1] = '\0';
        status = hello_compare(roll->hello[0], roll->hello[i], i);
    }
    return status;
}

/*
 * To ranks that have been heard; to the others the answer would never leave. A rank that hangs
 * meanwhile does not take it: where the answer was to go on that is GR_STOPPED, and *stuck; a
 * refusal is not held up by it, and has leave_s = 2 s to leave.
 */
static gr_status answer_all(struct roll *roll, const struct gr_comm_options *options,
                            gr_status decision, bool *stuck) {
    gr_status status = GR_OK;
    const double limit = decision == GR_OK ? gr_comm_start_s(options) : leave_s;
    const double until = gr_clock_seconds() + limit;
    struct gr_names names = {0};
    snprintf(roll->answer, BLOCK, "%d %s", (int)decision, decision == GR_OK ? "" : gr_message());
    for (int i = 1; i < roll->size; i++) {
        if (roll->request[i] != MPI_REQUEST_NULL) {
            roll->request[i] = MPI_REQUEST_NULL;
            continue;
        }
        GR_TRY_MPI(MPI_Isend(roll->answer, BLOCK, MPI_CHAR, i, TAG_ANSWER, roll->world,
                             &roll->request[i]));
    }
    for (int n = 0; gr_clock_seconds() < until; gr_doze(50e-6)) {
        const int code =
            MPI_Testsome(roll->size, roll->request, &n, roll->done, MPI_STATUSES_IGNORE);
        GR_TRY(check_completion(code, "MPI_Testsome", stuck));
        if (n == MPI_UNDEFINED) return GR_OK; /* nothing is under way any more */
    }
    *stuck = true;
    if (decision != GR_OK) return GR_OK;
    list_missing(roll, &names);
    status = gr_fail(GR_STOPPED,
                     "%s ha%s not taken the answer within %g s "
                     "(round.start_deadline_s): start again",
                     names.text, names.n == 1 ? "s" : "ve", limit);
out:
    return status;
}

/* Hears, judges, answers; the answer goes out whatever was found, so that the others end with rank
 * 0's reason instead of at their own deadline. */
static gr_status lead(struct roll *roll, const struct gr_comm_options *options, bool *stuck) {
    gr_status status = GR_OK, decision;
    char message[GR_MESSAGE_MAX] = "";
    const size_t n = (size_t)roll->size;
    GR_TRY(gr_allocate_zero(n, BLOCK, "the handshake", &roll->hello));
    GR_TRY(gr_allocate_zero(n, sizeof(MPI_Request), "the handshake", &roll->request));
    GR_TRY(gr_allocate_zero(n, sizeof *roll->done, "the handshake", &roll->done));
    for (size_t i = 0; i < n; i++)
        roll->request[i] = MPI_REQUEST_NULL;
    GR_TRY(gr_hello_compose(options, roll->hello[0]));
    decision = hear_all(roll, options, stuck);
    *stuck = decision != GR_OK;
    if (decision == GR_OK) decision = judge(roll);
    if (decision != GR_OK) memcpy(message, gr_message(), strlen(gr_message()) + 1);
    GR_TRY(answer_all(roll, options, decision, stuck));
    if (decision != GR_OK) status = gr_fail(decision, "%s", message);
out:
    return status;
}

/* ---- the others --------------------------------------------------------------------------------
 */

/*
 * The receive is posted before the hello is sent, so that the answer finds it. The deadline is
 * GR_COMM_LATER_S longer than rank 0's, which is to be the first to give up, as it can say who is
 * missing.
 */
static gr_status follow(struct roll *roll, const struct gr_comm_options *options, int rank,
                        bool *stuck) {
    gr_status status = GR_OK;
    MPI_Request request[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    const double began = gr_clock_seconds(), limit = gr_comm_start_s(options) + GR_COMM_LATER_S;
    int done = 0, code = 0, behind = 0;
    GR_TRY(gr_allocate_zero(1, BLOCK, "the handshake", &roll->hello));
    GR_TRY(gr_hello_compose(options, roll->hello[0]));
    GR_TRY_MPI(MPI_Irecv(roll->answer, BLOCK, MPI_CHAR, 0, TAG_ANSWER, roll->world, &request[0]));
    GR_TRY_MPI(MPI_Isend(roll->hello[0], BLOCK, MPI_CHAR, 0, TAG_HELLO, roll->world, &request[1]));
    while (!done) {
        const int all = MPI_Testall(2, request, &done, MPI_STATUSES_IGNORE);
        GR_TRY(check_completion(all, "MPI_Testall", stuck));
        if (done) break;
        const double waited = gr_clock_seconds() - began;
        *stuck = waited > limit;
        if (*stuck && rank == 1) gr_say(options, "rank 0 has not answered for %.0f s", limit);
        if (*stuck) return gr_fail(GR_STOPPED, "rank 0 has not answered for %.0f s", limit);
        gr_doze(waited < 0.05 ? 50e-6 : 1e-3);
    }
    roll->answer[BLOCK - 1] = '\0';
    if (sscanf(roll->answer, "%d %n", &code, &behind) != 1)
        return gr_fail(GR_ERROR_CONFIG, "rank 0 answers what this build does not understand");
    if (code != GR_OK) status = gr_fail((gr_status)code, "%s", roll->answer + behind);
out:
    return status;
}

/* *stuck: requests are still under way, so their memory is left to MPI, and the caller must not use
 * MPI again. */
gr_status gr_handshake(MPI_Comm world, const struct gr_comm_options *options) {
    gr_status status = GR_OK;
    struct roll *roll = NULL;
    int rank;
    bool stuck = false;
    GR_TRY(gr_allocate_zero(1, sizeof *roll, "the handshake", &roll));
    roll->world = world;
    GR_TRY_MPI(MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN));
    GR_TRY_MPI(MPI_Comm_rank(world, &rank));
    GR_TRY_MPI(MPI_Comm_size(world, &roll->size));
    if (roll->size > 1)
        status = rank == 0 ? lead(roll, options, &stuck) : follow(roll, options, rank, &stuck);
out:
    if (roll && !stuck) {
        gr_free(roll->done);
        gr_free(roll->request);
        gr_free(roll->hello);
        gr_free(roll);
    }
    return status;
}

/* Members have been compared at the start; only respawned ranks can differ, and only they fail. The
 * members then find them missing in the next collective, under the guard of gr_comm_respawn. */
gr_status gr_handshake_respawned(MPI_Comm merged, bool respawned,
                                 const struct gr_comm_options *options) {
    gr_status status = GR_OK;
    char mine[BLOCK], first[BLOCK];
    GR_TRY(gr_hello_compose(options, mine));
    memcpy(first, mine, BLOCK);
    GR_TRY_MPI(MPI_Bcast(first, BLOCK, MPI_CHAR, 0, merged));
    first[BLOCK - 1] = '\0';
    int rank;
    GR_TRY_MPI(MPI_Comm_rank(merged, &rank));
    if (respawned) status = hello_compare(first, mine, rank);
out:
    return status;
}
