/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads an HDF5 file of the user's in a child process, and writes one in a child process.
 *
 * Why: libhdf5 1.10.8, which current systems ship, can be made to crash, to loop or to ask for any
 * amount of memory by a file whose metadata is damaged, be it by a bad disk or on purpose. In the
 * process of an MPI rank that is the end of the whole job, with a stack trace instead of a message.
 * No check made beforehand can exclude it, since the check would have to parse what libhdf5 parses.
 *
 * So the rank never parses such a file at all: a forked child does, with limits on its processor
 * time and address space, and hands the rows over in a shared window, on request. A child that
 * dies, or does not answer within the deadline, makes the file refused as damaged, and the rank
 * goes on. Each byte is read once, so the guard costs a fork and a round trip per window (about a
 * millisecond, and 20 microseconds for each 256 KiB), and since nothing is read again after
 * checking, a file that changes meanwhile cannot slip through.
 *
 * Writing: when a disk is full, libhdf5 1.10.8 cannot close the file, keeps a dangling reference to
 * it, and crashes in its exit handler, long after the error has been reported. A child that wrote
 * leaves without exit handlers.
 *
 * The child calls no MPI function: HDF5 is initialised before the fork, because its parallel build
 * registers itself with MPI then. It leaves with _exit, so that no exit handler of MPI's runs.
 */
#include "data/reader_child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hdf5.h>

/* One verb for each operation of a reader; `rows` is the last case of `answer`. */
enum guard_verb {
    GUARD_LABELS,
    GUARD_ROWS,
    GUARD_TARGETS,
    GUARD_WEIGHTS,
    GUARD_OFFSETS,
    GUARD_COLUMNS,
    GUARD_GROUPS,
    GUARD_GROUP_NAMES,
    GUARD_FINDINGS
};

struct guard_request {
    enum guard_verb verb;
    size_t first, n;
};

/* The first reply answers the opening. */
struct guard_reply {
    gr_status status;
    struct gr_table_shape shape;
    char message[GR_MESSAGE_MAX];
};

struct guard_state {
    pid_t child;
    int socket;
    double wall_seconds;
    uint32_t cpu_seconds;
};

/* ---- the child ------------------------------------------------------------------------------ */

static void send_reply(int socket, gr_status status, const struct gr_table_shape *shape) {
    struct guard_reply reply;
    memset(&reply, 0, sizeof reply);
    reply.status = status;
    reply.shape = *shape;
    if (status != GR_OK) memcpy(reply.message, gr_message(), strlen(gr_message()));
    if (send(socket, &reply, sizeof reply, MSG_NOSIGNAL) != (ssize_t)sizeof reply) _exit(1);
}

/* In the child: does a request; its rows go into the window that both processes share. */
static gr_status answer(struct gr_reader *reader, const struct guard_request *request) {
    const void *block = reader->window;
    gr_status status;
    if (request->verb == GUARD_LABELS)
        return reader->operations->labels(reader, request->first, request->n, reader->window);
    if (request->verb == GUARD_TARGETS)
        return reader->operations->targets(reader, request->first, request->n, reader->window);
    if (request->verb == GUARD_WEIGHTS || request->verb == GUARD_OFFSETS)
        return reader->operations->terms(
            reader, request->verb == GUARD_WEIGHTS ? GR_TERM_WEIGHT : GR_TERM_OFFSET,
            request->first, request->n, reader->window);
    if (request->verb == GUARD_COLUMNS) return reader->operations->columns(reader);
    if (request->verb == GUARD_FINDINGS)
        return reader->operations->findings(reader, reader->window);
    if (request->verb == GUARD_GROUPS)
        return reader->operations->groups(reader, request->first, request->n, reader->window);
    if (request->verb == GUARD_GROUP_NAMES)
        return reader->operations->group_names(reader, reader->window);
    status = reader->operations->rows(reader, request->first, request->n, &block);
    if (status == GR_OK && block != reader->window)
        memcpy(reader->window, block, request->n * reader->shape.row_bytes);
    return status;
}

/* Any failure ends the child, with its reply sent: HDF5's objects are not used again after an
 * error. */
static _Noreturn void serve(struct gr_reader *reader, int socket, pid_t parent,
                            const struct gr_child_limits *limits) {
    struct guard_request request;
    gr_child_settle(parent);
    gr_child_limit_memory(limits->memory_bytes);
    gr_child_limit_cpu(limits->cpu_seconds);
    gr_status status = reader->operations->open(reader);
    send_reply(socket, status, &reader->shape);
    while (status == GR_OK && recv(socket, &request, sizeof request, 0) == sizeof request) {
        gr_child_limit_cpu(limits->cpu_seconds);
        status = answer(reader, &request);
        send_reply(socket, status, &reader->shape);
    }
    _exit(0);
}

/* ---- the parent ----------------------------------------------------------------------------- */

/* By SIGKILL, since a child that hangs in HDF5 would not notice a closed socket. */
static void guard_close(struct gr_reader *reader) {
    struct guard_state *state = reader->state;
    if (!state) return;
    if (state->socket >= 0) close(state->socket);
    if (state->child > 0) {
        kill(state->child, SIGKILL);
        while (waitpid(state->child, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (reader->window) munmap(reader->window, GR_WINDOW_BYTES_MAX);
    gr_free(state);
    reader->window = NULL;
    reader->state = NULL;
}

/* The child has closed its end: says how it ended. */
static gr_status child_lost(struct gr_reader *reader) {
    struct guard_state *state = reader->state;
    const char *path = gr_reader_features_path(reader);
    int how = 0;
    pid_t got;
    do
        got = waitpid(state->child, &how, 0);
    while (got < 0 && errno == EINTR);
    state->child = 0;
    if (got > 0 && WIFSIGNALED(how) && WTERMSIG(how) == SIGXCPU)
        return gr_fail(GR_ERROR_DATA, "%s: damaged: one step of reading it took over %u s", path,
                       state->cpu_seconds);
    if (got > 0 && WIFSIGNALED(how))
        return gr_fail(GR_ERROR_DATA, "%s: damaged: reading it ended in signal %d (%s)", path,
                       WTERMSIG(how), strsignal(WTERMSIG(how)));
    return gr_fail(GR_ERROR_DATA, "%s: damaged: reading it ended early", path);
}

/*
 * In the parent: a damaged file can hang the HDF5 library, so that the answer is waited for with a
 * deadline, and is not trusted to end in a NUL.
 */
static gr_status await_reply(struct gr_reader *reader, struct guard_reply *reply) {
    struct guard_state *state = reader->state;
    const char *path = gr_reader_features_path(reader);
    double deadline = gr_clock_seconds() + state->wall_seconds;
    for (;;) {
        double left = deadline - gr_clock_seconds();
        struct pollfd wait = {.fd = state->socket, .events = POLLIN};
        int ready = left > 0 ? poll(&wait, 1, (int)(left * 1000) + 1) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) return gr_fail(GR_ERROR_INTERNAL, "%s: poll: %s", path, strerror(errno));
        if (ready == 0)
            return gr_fail(GR_ERROR_DATA, "%s: damaged, or out of reach: no answer within %g s",
                           path, state->wall_seconds);
        break;
    }
    ssize_t got = recv(state->socket, reply, sizeof *reply, 0);
    if (got != (ssize_t)sizeof *reply) return child_lost(reader);
    reply->message[sizeof reply->message - 1] = '\0';
    return reply->status == GR_OK ? GR_OK : gr_fail(reply->status, "%s", reply->message);
}

/* The request is zeroed first, padding included: its bytes go through a socket as they are. */
static gr_status ask(struct gr_reader *reader, enum guard_verb verb, size_t first, size_t n) {
    struct guard_state *state = reader->state;
    struct guard_request request;
    struct guard_reply reply;
    memset(&request, 0, sizeof request);
    request.verb = verb;
    request.first = first;
    request.n = n;
    if (send(state->socket, &request, sizeof request, MSG_NOSIGNAL) != (ssize_t)sizeof request)
        return child_lost(reader);
    return await_reply(reader, &reply);
}

/*
 * HDF5 is started before the fork, once for all children. A SEQPACKET socket keeps
 * requests and replies whole.
 */
static gr_status start_child(struct gr_reader *reader, const struct gr_reader_operations *inner,
                             const struct gr_child_limits *limits) {
    struct guard_state *state = reader->state;
    const char *path = gr_reader_features_path(reader);
    int ends[2];
    if (H5open() < 0) return gr_fail(GR_ERROR_INTERNAL, "HDF5 did not start");
    reader->window =
        mmap(NULL, GR_WINDOW_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (reader->window == MAP_FAILED) {
        reader->window = NULL;
        return gr_fail(GR_ERROR_INTERNAL, "%s: a shared window: %s", path, strerror(errno));
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return gr_fail(GR_ERROR_INTERNAL, "%s: a socket pair: %s", path, strerror(errno));
    pid_t parent = getpid();
    state->child = fork();
    if (state->child == 0) {
        struct gr_reader own = {.operations = inner,
                                .table = reader->table,
                                .unlabelled = reader->unlabelled,
                                .id = reader->id,
                                .window = reader->window};
        close(ends[0]);
        serve(&own, ends[1], parent, limits);
    }
    close(ends[1]);
    state->socket = ends[0];
    if (state->child < 0)
        return gr_fail(GR_ERROR_INTERNAL, "%s: a process to read it in: %s", path, strerror(errno));
    return GR_OK;
}

/* Nothing that came out of the child is taken on trust where a wrong value would do harm. */
static gr_status check_reply(const char *path, struct gr_table_shape *shape) {
    if (shape->element != GR_ELEMENT_UINT8) shape->element = GR_ELEMENT_FLOAT32;
    gr_status status = gr_table_shape_check(path, shape);
    if (status != GR_OK) return status;
    if (shape->window_rows == 0 || shape->window_rows > GR_WINDOW_BYTES_MAX / shape->row_bytes ||
        shape->n_classes > GR_CLASSES_MAX || shape->column_bytes > GR_CONFIG_FILE_MAX ||
        shape->group_bytes > GR_WINDOW_BYTES_MAX || shape->n_findings > GR_FINDINGS_MAX)
        return gr_fail(GR_ERROR_DATA, "%s: damaged: windows of %zu rows, %u classes", path,
                       shape->window_rows, shape->n_classes);
    return GR_OK;
}

/* The reply's shape is held against all limits once more before it is used. */
gr_status gr_guard_open(struct gr_reader *reader, const struct gr_reader_operations *inner,
                        const struct gr_child_limits *limits) {
    struct guard_state *state = NULL;
    struct guard_reply reply;
    gr_status status;
    GR_TRY(gr_allocate_zero(1, sizeof *state, "a reader", &state));
    state->socket = -1;
    state->wall_seconds = limits->wall_seconds;
    state->cpu_seconds = limits->cpu_seconds;
    reader->state = state;
    GR_TRY(start_child(reader, inner, limits));
    GR_TRY(await_reply(reader, &reply));
    GR_TRY(check_reply(gr_reader_features_path(reader), &reply.shape));
    reader->shape = reply.shape;
out:
    if (status != GR_OK) guard_close(reader);
    return status;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* No limits on a writer: its input is ours, and a large table takes as long as it takes. A signal
 * that ends the command removes the temporary file. */
gr_status gr_guard_write(const char *path, const char *temporary, gr_status (*work)(void *context),
                         void *context) {
    char *what = NULL;
    gr_status status;
    if (H5open() < 0) return gr_fail(GR_ERROR_INTERNAL, "HDF5 did not start");
    GR_TRY(gr_text_format(&what, "%s: writing it", path));
    gr_child_unfinished(temporary);
    status = gr_child_run(what, GR_ERROR_WRITE, NULL, work, context);
    if (status != GR_OK) unlink(temporary);
    gr_child_unfinished(NULL);
out:
    gr_free(what);
    return status;
}

/* ---- the guarded reader --------------------------------------------------------------------- */

/* A window is 16 MiB at most: seconds are ample even where eight ranks share a slow disk. */
static gr_status guard_open(struct gr_reader *reader) {
    static const struct gr_child_limits limits = {
        .wall_seconds = 60, .cpu_seconds = 4, .memory_bytes = (size_t)512 << 20};
    return gr_guard_open(reader, &gr_hdf5_operations, &limits);
}

static gr_status guard_labels(struct gr_reader *reader, size_t first, size_t n, int32_t *out) {
    gr_status status = ask(reader, GUARD_LABELS, first, n);
    if (status == GR_OK) memcpy(out, reader->window, n * sizeof *out);
    return status;
}

static gr_status guard_rows(struct gr_reader *reader, size_t first, size_t n, const void **block) {
    *block = reader->window;
    return ask(reader, GUARD_ROWS, first, n);
}

static gr_status guard_targets(struct gr_reader *reader, size_t first, size_t n, float *out) {
    gr_status status = ask(reader, GUARD_TARGETS, first, n);
    if (status == GR_OK) memcpy(out, reader->window, n * sizeof *out);
    return status;
}

static gr_status guard_terms(struct gr_reader *reader, enum gr_term term, size_t first, size_t n,
                             float *out) {
    gr_status status =
        ask(reader, term == GR_TERM_WEIGHT ? GUARD_WEIGHTS : GUARD_OFFSETS, first, n);
    if (status == GR_OK) memcpy(out, reader->window, n * sizeof *out);
    return status;
}

static gr_status guard_columns(struct gr_reader *reader) {
    return ask(reader, GUARD_COLUMNS, 0, 0);
}

static gr_status guard_groups(struct gr_reader *reader, size_t first, size_t n, int32_t *out) {
    gr_status status = ask(reader, GUARD_GROUPS, first, n);
    if (status == GR_OK) memcpy(out, reader->window, n * sizeof *out);
    return status;
}

static gr_status guard_group_names(struct gr_reader *reader, char *out) {
    gr_status status = ask(reader, GUARD_GROUP_NAMES, 0, 0);
    if (status == GR_OK) memcpy(out, reader->window, reader->shape.group_bytes);
    return status;
}

static gr_status guard_findings(struct gr_reader *reader, int64_t *out) {
    gr_status status = ask(reader, GUARD_FINDINGS, 0, 0);
    if (status == GR_OK)
        memcpy(out, reader->window, reader->shape.n_findings * GR_FINDINGS * sizeof *out);
    return status;
}

const struct gr_reader_operations gr_guard_operations = {
    .open = guard_open,
    .labels = guard_labels,
    .rows = guard_rows,
    .close = guard_close,
    .targets = guard_targets,
    .terms = guard_terms,
    .columns = guard_columns,
    .groups = guard_groups,
    .group_names = guard_group_names,
    .findings = guard_findings,
};
