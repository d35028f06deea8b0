/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of sums between the leaders. Each piece passes these stations, and each station takes the
 * pieces in their order, without waiting for any other station, so that what goes up is not held
 * back by what comes down:
 *
 *     rise    where it has no children here: the node's sum leaves for the parent
 *     gather  where it has: the children's are added, in ascending order; the sum goes on to the
 *             parent, or at the root down to the children
 *     turn    what was sent up has left: its buffer may receive the sum over all nodes
 *     fall    that has come; it goes on to the children
 *     free    all have left and the node has kept it: the buffer may be used again
 *
 * A leader that waits is always able to tell for whom: the first piece that is not whole has a
 * message that has not come.
 */
#include "comm/relay.h"

#include <math.h>

enum { TAG_SUM_UP = GR_TREE_TAG_DATA, TAG_SUM_DOWN };
/* Between hosts a line of 20 ms holds 20 MB where it carries 1 GB a second. */
enum { WINDOW_BYTES = 16 << 20, FAR_WINDOW_BYTES = 32 << 20 };
/* Between the jobs of a study, of all sites together: the coordinator has room for all of it. */
enum { STUDY_WINDOW_BYTES = 64 << 20 };
/*
 * Between hosts a piece is to be sent at once, without asking the receiver first, which would cost
 * two more ways: below the limit of Open MPI for TCP, 64 KiB with its header. On one host, where
 * that saves nothing, a segment is one piece.
 */
enum { PIECE_BYTES = 32 << 10 };

/* Of segments that may be under way, whatever else is. */
enum { LEAST_WINDOW = 4 };

/*
 * Small enough that what is under way stays in the caches, large enough that ranks seldom wait for
 * each other (measured from 8 to 64 blocks). Between jobs a segment is a letter, which is signed
 * and checked whatever its size: of few sites and long vectors it is larger, and of many sites the
 * coordinator has room for the fewest of each.
 */
size_t gr_relay_segment_blocks(const struct gr_comm *comm, size_t vector_bytes, size_t element) {
    enum { BLOCKS = 32, LETTER_BYTES = 1 << 20, SHARE = 32 };
    if (!comm->link) return BLOCKS;
    const size_t room = STUDY_WINDOW_BYTES / gr_comm_parties(comm) / LEAST_WINDOW;
    size_t bytes = vector_bytes / SHARE;
    if (bytes < LETTER_BYTES) bytes = LETTER_BYTES;
    if (bytes > gr_link_part_most()) bytes = gr_link_part_most();
    if (bytes > room) bytes = room;
    const size_t blocks = bytes / (GR_RING_BLOCK * element);
    return blocks > 0 ? blocks : 1;
}

size_t gr_relay_window(const struct gr_comm *comm, size_t segment_bytes, size_t n_segments) {
    size_t most = comm->far ? FAR_WINDOW_BYTES : WINDOW_BYTES;
    if (comm->link) most = STUDY_WINDOW_BYTES / gr_comm_parties(comm);
    size_t n = most / (segment_bytes > 0 ? segment_bytes : 1);
    if (n < LEAST_WINDOW) n = LEAST_WINDOW;
    if (n > GR_RELAY_SEGMENTS_MAX) n = GR_RELAY_SEGMENTS_MAX;
    return n < n_segments ? n : n_segments;
}

/* ---- shape ---------------------------------------------------------------------------------- */

static size_t segment_pieces(const struct gr_relay_shape *shape, size_t piece) {
    return (shape->segment + piece - 1) / piece;
}

static void shape_pieces(struct gr_relay *relay, enum gr_between way) {
    const struct gr_relay_shape *shape = &relay->shape;
    const struct gr_comm *comm = relay->comm;
    const size_t nodes = (size_t)comm->nodes, me = (size_t)comm->node_index;
    relay->way = way;
    relay->piece = PIECE_BYTES / shape->codec->element;
    if (relay->piece > shape->segment || !comm->far || way == GR_BETWEEN_MPI)
        relay->piece = shape->segment;
    relay->per_segment = segment_pieces(shape, relay->piece);
    relay->n_pieces = (shape->size + relay->piece - 1) / relay->piece;
    relay->n_led = relay->slots = 0;
    relay->children = 0;
    const size_t window = shape->window * relay->per_segment;
    if (way == GR_BETWEEN_DIRECT) {
        relay->children = comm->nodes - 1;
        relay->n_led = relay->n_pieces / nodes + (me < relay->n_pieces % nodes);
        relay->slots = window / nodes + 1;
    } else if (way == GR_BETWEEN_TREE && gr_tree_children(comm) > 0) {
        relay->children = gr_tree_children(comm);
        relay->n_led = relay->n_pieces;
        relay->slots = window;
    }
}

static bool is_led(const struct gr_relay *relay, size_t p) {
    if (relay->way != GR_BETWEEN_DIRECT) return relay->children > 0;
    return p % (size_t)relay->comm->nodes == (size_t)relay->comm->node_index;
}

/* Of those led, the number of piece p, and the piece of that number. */
static size_t led_number(const struct gr_relay *relay, size_t p) {
    return relay->way == GR_BETWEEN_DIRECT ? p / (size_t)relay->comm->nodes : p;
}

static size_t led_piece(const struct gr_relay *relay, size_t number) {
    if (relay->way != GR_BETWEEN_DIRECT) return number;
    return number * (size_t)relay->comm->nodes + (size_t)relay->comm->node_index;
}

/* Index of the leader that piece p is sent to, -1 where it comes to its end here. */
static int parent_of(const struct gr_relay *relay, size_t p) {
    if (relay->way != GR_BETWEEN_DIRECT) return gr_tree_parent(relay->comm);
    return is_led(relay, p) ? -1 : (int)(p % (size_t)relay->comm->nodes);
}

/* Index of child i of the pieces led here. */
static int child_of(const struct gr_relay *relay, int i) {
    if (relay->way != GR_BETWEEN_DIRECT) return gr_tree_child(relay->comm, i);
    return i < relay->comm->node_index ? i : i + 1;
}

static size_t elements(const struct gr_relay *relay, size_t p) {
    const size_t rest = relay->shape.size - p * relay->piece;
    return rest < relay->piece ? rest : relay->piece;
}

static size_t bytes(const struct gr_relay *relay, size_t p) {
    return elements(relay, p) * relay->shape.codec->element;
}

static char *sum_buffer(const struct gr_relay *relay, size_t p) {
    const size_t segment = p / relay->per_segment, in = p % relay->per_segment;
    const size_t buffer =
        relay->shape.whole ? segment : relay->place[segment % relay->shape.window];
    const size_t at = buffer * relay->shape.segment + in * relay->piece;
    return relay->sums + at * relay->shape.codec->element;
}

static size_t led_slot(const struct gr_relay *relay, size_t p, int child) {
    return led_number(relay, p) % relay->slots * (size_t)relay->children + (size_t)child;
}

/* Children's pieces are received beside the node's sum, not into it: they may be there before it
 * is. */
static char *child_buffer(const struct gr_relay *relay, size_t p, int child) {
    return relay->received + led_slot(relay, p, child) * relay->piece * relay->shape.codec->element;
}

static struct gr_message *child_message(const struct gr_relay *relay, size_t p, int child) {
    return &relay->child[led_slot(relay, p, child)];
}

static struct gr_message *up_message(const struct gr_relay *relay, size_t p) {
    return &relay->up[p % (relay->shape.window * relay->per_segment)];
}

/* ---- making and freeing --------------------------------------------------------------------- */

static void larger(size_t *most, size_t n) {
    if (n > *most) *most = n;
}

/* A child's message has the slot's number among those of all ways, so room is made for each. */
static gr_status make_messages(size_t n, struct gr_message **out) {
    gr_status status = gr_allocate(n, sizeof **out, "messages", out);
    for (size_t i = 0; i < n && status == GR_OK; i++)
        (*out)[i] = GR_NO_MESSAGE;
    return status;
}

bool gr_relay_goes(const struct gr_comm *comm, bool floats, enum gr_between way) {
    if (way == GR_BETWEEN_TREE) return true;
    if (floats || way == GR_BETWEEN_AUTO || comm->link) return false;
    if (way == GR_BETWEEN_DIRECT) return comm->nodes <= GR_RELAY_DIRECT_NODES;
    return comm->leaders != MPI_COMM_NULL && comm->leaders_epoch == comm->epoch;
}

gr_status gr_relay_create(struct gr_comm *comm, const struct gr_relay_shape *shape, void *sums,
                          uint16_t *place, struct gr_relay *out) {
    gr_status status = GR_OK;
    size_t piece = 0;
    *out = (struct gr_relay){.comm = comm, .shape = *shape, .sums = sums, .place = place};
    for (int way = GR_BETWEEN_TREE; way <= GR_BETWEEN_MPI; way++) {
        if (!gr_relay_goes(comm, shape->floats, (enum gr_between)way)) continue;
        shape_pieces(out, (enum gr_between)way);
        larger(&out->max_pieces, shape->window * out->per_segment);
        larger(&out->max_slots, out->slots);
        larger(&out->max_below, out->slots * (size_t)out->children);
        if (out->children > 0) larger(&piece, out->piece);
    }
    GR_TRY(make_messages(out->max_pieces, &out->up));
    if (out->max_below == 0) goto out;
    GR_TRY(make_messages(out->max_below, &out->child));
    GR_TRY(gr_allocate(2 * out->max_slots, sizeof(size_t), "sums of other nodes", &out->spare));
    out->holds = out->spare + out->max_slots;
    GR_TRY(gr_allocate(out->max_below, piece * shape->codec->element, "sums of other nodes",
                       &out->received));
out:
    return status;
}

void gr_relay_release(struct gr_relay *relay) {
    gr_free(relay->up);
    gr_free(relay->child);
    gr_free(relay->received);
    gr_free(relay->spare);
    relay->spare = relay->holds = NULL;
    relay->up = relay->child = NULL;
    relay->received = NULL;
}

/* A collective of MPI cannot be cancelled, only be left. */
static void abandon(struct gr_relay *relay, struct gr_message *message) {
    int done = 0;
    if (relay->way != GR_BETWEEN_MPI)
        gr_message_abandon(relay->comm, message);
    else if (gr_message_under_way(message) &&
             (MPI_Test(&message->request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || !done))
        relay->comm->pending++;
}

void gr_relay_abandon(struct gr_relay *relay) {
    for (size_t i = 0; relay->up && i < relay->max_pieces; i++)
        abandon(relay, &relay->up[i]);
    for (size_t i = 0; relay->child && i < relay->max_below; i++)
        abandon(relay, &relay->child[i]);
}

/* ---- buffers -------------------------------------------------------------------------------- */

void gr_relay_start(struct gr_relay *relay, enum gr_between way) {
    shape_pieces(relay, way);
    relay->offered = relay->risen = relay->posted = relay->gathered = 0;
    relay->turned = relay->fallen = relay->freed = relay->kept = relay->begun = 0;
    relay->added = 0;
    relay->n_idle = relay->shape.window;
    for (size_t i = 0; i < relay->n_idle; i++)
        relay->idle[i] = (uint16_t)(relay->n_idle - 1 - i);
    relay->n_spare = relay->slots;
    for (size_t i = 0; i < relay->n_spare; i++)
        relay->spare[i] = relay->n_spare - 1 - i;
    relay->begun_s = 0;
    relay->least_begin_s[1] = relay->least_begin_s[0];
    relay->least_back_s[1] = relay->least_back_s[0];
    relay->least_begin_s[0] = relay->least_back_s[0] = 0;
}

/* Of this sum's least and that of the one before; 0: nothing has been measured. */
static double least_of(const double seconds[2]) {
    if (seconds[0] > 0 && seconds[1] > 0) return fmin(seconds[0], seconds[1]);
    return seconds[0] + seconds[1];
}

/*
 * As many segments as can be begun before one comes back, and two; 0 s: not known yet. On one host
 * the time until it is back is that in which other ranks have the core, and tells nothing.
 */
static size_t window_now(const struct gr_relay *relay) {
    enum { FEWEST = 5, SLACK = 2 };
    const double begin_s = least_of(relay->least_begin_s), back_s = least_of(relay->least_back_s);
    double n = FEWEST;
    /* Sites' segments come as they go on, and are added as they come. */
    if (relay->comm->link && relay->way == GR_BETWEEN_TREE && gr_tree_parent(relay->comm) < 0)
        return relay->shape.window;
    if ((relay->comm->far || relay->comm->link) && begin_s > 0) n = back_s / begin_s + SLACK;
    if (n < FEWEST) n = FEWEST;
    return n < (double)relay->shape.window ? (size_t)n : relay->shape.window;
}

static void note_least(double *least, double seconds) {
    if (seconds > 0 && (*least <= 0 || seconds < *least)) *least = seconds;
}

bool gr_relay_begin(struct gr_relay *relay) {
    const double now = gr_clock_seconds();
    const size_t freed = relay->freed / relay->per_segment;
    if (relay->n_idle == 0 || relay->begun - freed >= window_now(relay)) {
        relay->begun_s = 0;
        return false;
    }
    if (relay->begun_s > 0) note_least(&relay->least_begin_s[0], now - relay->begun_s);
    relay->begun_s = now;
    relay->place[relay->begun++ % relay->shape.window] = relay->idle[--relay->n_idle];
    return true;
}

/* Pieces of the first n segments; the last one may have fewer. */
static size_t pieces_of(const struct gr_relay *relay, size_t n) {
    const size_t pieces = n * relay->per_segment;
    return pieces < relay->n_pieces ? pieces : relay->n_pieces;
}

void gr_relay_offer(struct gr_relay *relay, size_t n) {
    const size_t offered = pieces_of(relay, n);
    if (offered > relay->offered)
        relay->offered_s[(n - 1) % relay->shape.window] = gr_clock_seconds();
    relay->offered = offered;
}

void gr_relay_keep(struct gr_relay *relay, size_t n) {
    relay->kept = pieces_of(relay, n);
}

size_t gr_relay_whole(const struct gr_relay *relay) {
    const size_t last = relay->fallen == relay->n_pieces ? relay->per_segment - 1 : 0;
    return (relay->fallen + last) / relay->per_segment;
}

/* ---- stations ------------------------------------------------------------------------------- */

/* Receives are there before the messages: a segment ahead of those that have been begun. */
static gr_status post(struct gr_relay *relay, bool *moved) {
    gr_status status = GR_OK;
    while (relay->posted < relay->n_led) {
        const size_t p = led_piece(relay, relay->posted);
        if (p >= (relay->begun + 1) * relay->per_segment || relay->n_spare == 0 ||
            (relay->posted >= relay->slots &&
             led_piece(relay, relay->posted - relay->slots) >= relay->freed))
            break;
        relay->holds[relay->posted % relay->slots] = relay->spare[--relay->n_spare];
        for (int i = 0; i < relay->children; i++)
            GR_TRY(gr_tree_receive(relay->comm, child_of(relay, i), TAG_SUM_UP,
                                   child_buffer(relay, p, i), bytes(relay, p),
                                   child_message(relay, p, i)));
        relay->posted++;
        *moved = true;
    }
out:
    return status;
}

static gr_status send_up(struct gr_relay *relay, size_t p) {
    return gr_tree_send(relay->comm, parent_of(relay, p), TAG_SUM_UP, sum_buffer(relay, p),
                        bytes(relay, p), up_message(relay, p));
}

static gr_status send_down(struct gr_relay *relay, size_t p) {
    gr_status status = GR_OK;
    for (int i = 0; i < relay->children; i++)
        GR_TRY(gr_tree_send(relay->comm, child_of(relay, i), TAG_SUM_DOWN, sum_buffer(relay, p),
                            bytes(relay, p), child_message(relay, p, i)));
out:
    return status;
}

static gr_status rise(struct gr_relay *relay, bool *moved) {
    gr_status status = GR_OK;
    for (; relay->risen < relay->offered; relay->risen++, *moved = true)
        if (!is_led(relay, relay->risen)) GR_TRY(send_up(relay, relay->risen));
out:
    return status;
}

/* Integers of the ring are of any value; a float that is none would make the sum none. */
static gr_status check_floats(const struct gr_relay *relay, size_t p, int child) {
    struct gr_comm *comm = relay->comm;
    const float *sums = (const float *)(const void *)child_buffer(relay, p, child);
    const int slot = comm->leader_of[child_of(relay, child)];
    size_t i = 0;
    if (!relay->shape.floats || gr_link_trusts(comm, slot) || parent_of(relay, p) >= 0)
        return GR_OK;
    while (i < elements(relay, p) && isfinite(sums[i]))
        i++;
    return i == elements(relay, p) ? GR_OK : gr_tree_refuse(comm, slot, "a sum");
}

/* A posted receive is not looked at before the node's own sum is there, so it is added at once. */
static gr_status gather(struct gr_relay *relay, bool *moved) {
    gr_status status = GR_OK;
    const struct gr_codec *codec = relay->shape.codec;
    while (relay->gathered < relay->posted) {
        const size_t p = led_piece(relay, relay->gathered);
        if (p >= relay->offered) break;
        for (; relay->added < relay->children; relay->added++) {
            bool came;
            GR_TRY(gr_tree_look(relay->comm, child_of(relay, relay->added),
                                "a piece of its node's sum", child_message(relay, p, relay->added),
                                bytes(relay, p), &came));
            if (!came) goto out;
            GR_TRY(check_floats(relay, p, relay->added));
            codec->add(sum_buffer(relay, p), child_buffer(relay, p, relay->added),
                       sum_buffer(relay, p), elements(relay, p));
            *moved = true;
        }
        GR_TRY(parent_of(relay, p) < 0 ? send_down(relay, p) : send_up(relay, p));
        relay->spare[relay->n_spare++] = relay->holds[relay->gathered % relay->slots];
        relay->gathered++;
        relay->added = 0;
    }
out:
    return status;
}

/* Whether the piece has left for its parent; of those without one, whether it is whole. */
static bool has_risen(const struct gr_relay *relay, size_t p) {
    return is_led(relay, p) ? led_number(relay, p) < relay->gathered : p < relay->risen;
}

static gr_status turn(struct gr_relay *relay, bool *moved) {
    gr_status status = GR_OK;
    for (; relay->turned < relay->n_pieces; relay->turned++, *moved = true) {
        const size_t p = relay->turned;
        const int parent = parent_of(relay, p);
        bool left;
        if (parent < 0) continue;
        if (!has_risen(relay, p)) break;
        GR_TRY(gr_tree_look(relay->comm, parent, "to take a piece of this node's sum",
                            up_message(relay, p), 0, &left));
        if (!left) break;
        GR_TRY(gr_tree_receive(relay->comm, parent, TAG_SUM_DOWN, sum_buffer(relay, p),
                               bytes(relay, p), up_message(relay, p)));
    }
out:
    return status;
}

static gr_status fall(struct gr_relay *relay, bool *moved) {
    gr_status status = GR_OK;
    for (; relay->fallen < relay->n_pieces; relay->fallen++, *moved = true) {
        const size_t p = relay->fallen;
        const int parent = parent_of(relay, p);
        bool came;
        if (!has_risen(relay, p) || p >= relay->turned) break;
        if (parent < 0) continue;
        GR_TRY(gr_tree_look(relay->comm, parent, "a piece of the sum over all nodes",
                            up_message(relay, p), bytes(relay, p), &came));
        if (!came) break;
        note_least(&relay->least_back_s[0],
                   gr_clock_seconds() -
                       relay->offered_s[p / relay->per_segment % relay->shape.window]);
        if (is_led(relay, p)) GR_TRY(send_down(relay, p));
    }
out:
    return status;
}

static gr_status free_buffers(struct gr_relay *relay, bool *moved) {
    gr_status status = GR_OK;
    for (; relay->freed < relay->kept; *moved = true) {
        const size_t p = relay->freed;
        for (int i = 0; i < relay->children && is_led(relay, p); i++) {
            bool left;
            GR_TRY(gr_tree_look(relay->comm, child_of(relay, i), "to take a piece of the sum",
                                child_message(relay, p, i), 0, &left));
            if (!left) goto out;
        }
        relay->freed++;
        if (relay->freed % relay->per_segment != 0 && relay->freed < relay->n_pieces) continue;
        relay->idle[relay->n_idle++] = relay->place[p / relay->per_segment % relay->shape.window];
    }
out:
    return status;
}

/* MPI adds up whole words modulo 2^b. Collectives are begun in the order of segments by all. */
static gr_status all_reduce(struct gr_relay *relay, size_t p) {
    const struct gr_word_sums *sums = &relay->comm->word_sums;
    const size_t width = gr_word_width(relay->shape.codec->element);
    if (relay->comm->lost) return gr_comm_lose(relay->comm, "the membership changes");
    relay->comm->bytes_sent += bytes(relay, p);
    relay->comm->bytes_between += bytes(relay, p);
    return gr_detect_error(relay->comm,
                           MPI_Iallreduce(MPI_IN_PLACE, sum_buffer(relay, p),
                                          (int)elements(relay, p), sums->type[width],
                                          sums->op[width], relay->comm->leaders,
                                          &up_message(relay, p)->request),
                           "MPI_Iallreduce");
}

/* In place of the stations up to `fall`, for MPI. */
static gr_status reduce_segments(struct gr_relay *relay, bool *moved) {
    gr_status status = GR_OK;
    for (; relay->risen < relay->offered; relay->risen++, *moved = true)
        GR_TRY(all_reduce(relay, relay->risen));
    for (; relay->fallen < relay->risen; relay->fallen++, *moved = true) {
        bool came;
        GR_TRY(gr_wait_look(relay->comm, up_message(relay, relay->fallen), "MPI_Iallreduce",
                            GR_WAIT_LEADERS, 0, &came));
        if (!came) break;
    }
out:
    return status;
}

/* The slot whose message is waited for before anything else can become whole, or free. */
static int blocker(const struct gr_relay *relay, const char **what) {
    const size_t p = relay->fallen;
    int leader = relay->comm->node_index;
    *what = "to take a piece of the sum";
    if (relay->way == GR_BETWEEN_MPI) {
        *what = "a sum by MPI_Iallreduce";
        return GR_WAIT_LEADERS;
    }
    if (p >= relay->n_pieces || p >= relay->offered) {
        for (int i = 0; i < relay->children && is_led(relay, relay->freed); i++)
            if (gr_message_under_way(child_message(relay, relay->freed, i)))
                leader = child_of(relay, i);
    } else if (is_led(relay, p) && !has_risen(relay, p)) {
        *what = "a piece of its node's sum";
        leader = child_of(relay, relay->added);
    } else {
        *what = p < relay->turned ? "a piece of the sum over all nodes"
                                  : "to take a piece of this node's sum";
        leader = parent_of(relay, p);
    }
    return relay->comm->leader_of[leader];
}

static gr_status move_all(struct gr_relay *relay, bool *moved) {
    gr_status status = GR_OK;
    *moved = false;
    if (relay->way == GR_BETWEEN_MPI) {
        GR_TRY(reduce_segments(relay, moved));
    } else {
        GR_TRY(post(relay, moved));
        GR_TRY(rise(relay, moved));
        GR_TRY(gather(relay, moved));
        GR_TRY(turn(relay, moved));
        GR_TRY(fall(relay, moved));
    }
    GR_TRY(free_buffers(relay, moved));
out:
    return status;
}

gr_status gr_relay_move(struct gr_relay *relay, bool wait) {
    gr_status status = GR_OK;
    struct gr_comm *comm = relay->comm;
    struct gr_wait_event *event = gr_comm_wait_event(comm);
    struct gr_wait waiting;
    const char *what;
    bool moved;
    GR_TRY(move_all(relay, &moved));
    if (moved || !wait) goto out;
    const int peer = blocker(relay, &what);
    gr_wait_start(&waiting, comm, what, peer, true);
    for (;;) {
        const uint32_t seen = atomic_load(&event->value);
        if (comm->lost) return gr_comm_lose(comm, "the membership changes");
        GR_TRY(move_all(relay, &moved));
        if (moved) break;
        GR_TRY(gr_wait_pause(&waiting, event, seen));
    }
out:
    return status;
}

gr_status gr_relay_finish(struct gr_relay *relay) {
    gr_status status = GR_OK;
    while (relay->freed < relay->n_pieces)
        GR_TRY(gr_relay_move(relay, true));
out:
    return status;
}
