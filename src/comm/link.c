/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parcels between the jobs of a study: sending, routing, delivering.
 *
 * A parcel is a part of a message, of at most PARCEL_BYTES, with the slots it is from and to. The
 * ways between two slots keep the order: MPI to the gateway, the letters of a session, MPI again.
 * So the parts of a message come one behind the other, and of two messages with one tag the earlier
 * comes first, as with MPI.
 */
#include "comm/link.h"

#include <string.h>

#include "comm/communicator.h"
#include "comm/handshake.h"
#include "comm/jobs.h"

/* Of a part; letters are sealed whole, so a larger one would keep the next from being on its way.
 */
enum { PARCEL_BYTES = 2 << 20 };
/*
 * Bytes of messages that nobody awaits yet, of a party: a sum's window and what announces it. Each
 * has its own, or one could take all, and another be given up for the next. However short, one
 * counts as some: a list of millions is walked through for each that comes.
 */
static const size_t held_most = (size_t)256 << 20, held_least = 64 << 10;

/* The last two are within a job. Of FAREWELL the tag is the status for which the job leaves; LEFT
 * is of its gateway: the party of the slot that it is from has left. */
enum parcel_kind { PARCEL_CONTROL = 1, PARCEL_DATA, PARCEL_FAREWELL, PARCEL_LEFT };

struct parcel_head {
    uint32_t kind;
    int32_t from, to, tag;
    uint32_t epoch;
    int32_t meeting;
    uint64_t total, offset; /* bytes of the message, and of those before this part */
};
_Static_assert(PARCEL_BYTES + sizeof(struct parcel_head) + sizeof(uint32_t) <= GR_LETTER_BODY_MAX,
               "a parcel fits a letter");

/* A message that came before it was awaited. */
struct unawaited {
    struct unawaited *next;
    int slot, tag;
    uint32_t epoch;
    size_t n, came;
    unsigned char bytes[];
};

struct gr_link {
    const struct gr_comm_study *study; /* borrowed */
    struct gr_gateway *gateway;        /* borrowed; NULL: this rank is none */
    int32_t meeting;
    struct gr_link_job *jobs; /* n_parties; owned */
    int slots;
    struct gr_awaited
        *awaited; /* in the order in which they were; owned by their callers' requests */
    struct unawaited *arrivals; /* in the order in which they came; owned */
};

/* ---- slots ------------------------------------------------------------------------------------
 */

int gr_link_slots(const struct gr_link *link) {
    return link->slots;
}

uint32_t gr_link_party(const struct gr_link *link, int slot) {
    uint32_t party = 0;
    while (party + 1 < link->study->n_parties &&
           slot >= link->jobs[party].first + link->jobs[party].ranks)
        party++;
    return party;
}

const struct gr_link_job *gr_link_job(const struct gr_link *link, uint32_t party) {
    return &link->jobs[party];
}

void gr_link_forget_members(struct gr_link *link) {
    for (uint32_t party = 0; party < link->study->n_parties; party++)
        link->jobs[party].members = 0;
}

void gr_link_add_member(struct gr_link *link, int slot) {
    link->jobs[gr_link_party(link, slot)].members++;
}

bool gr_link_has_members(const struct gr_link *link, uint32_t party, int64_t found) {
    return found == (int64_t)link->jobs[party].members;
}

bool gr_link_awaited(const struct gr_link *link) {
    bool any = false;
    for (uint32_t party = 1; link->gateway && party < link->study->n_parties; party++)
        any = any || link->gateway->hello[party].ranks > 0;
    return any;
}

const char *gr_link_name(const struct gr_link *link, uint32_t party) {
    return link->study->parties[party].name;
}

bool gr_link_is_foreign(const struct gr_link *link, int slot) {
    if (!link) return false;
    const struct gr_link_job *own = &link->jobs[link->study->party];
    return slot < own->first || slot >= own->first + own->ranks;
}

/* ---- making ------------------------------------------------------------------------------------
 */

void gr_link_ring_at(struct gr_link *link, struct gr_wait_event *event) {
    if (link->gateway) gr_gateway_ring_at(link->gateway, event);
}

/* A gateway's part: `ranks` of all parties. */
static gr_status meet(struct gr_link *link, const struct gr_comm_options *options,
                      const char *hello, gr_jobs_differ differs, int32_t *ranks) {
    const struct gr_comm_study *study = options->study;
    if (study->failed != GR_OK && link->gateway && study->party > 0)
        gr_jobs_decline(link->gateway, study->failed);
    if (study->failed != GR_OK) return gr_fail(study->failed, "%s", study->why);
    return study->party == 0 ? gr_jobs_gather(link->gateway, options, hello, differs, ranks)
                             : gr_jobs_attend(link->gateway, options, hello, ranks);
}

gr_status gr_link_create(MPI_Comm parent, const struct gr_comm_options *options, const char *hello,
                         gr_jobs_differ differs, struct gr_link **out) {
    gr_status status = GR_OK;
    const struct gr_comm_study *study = options->study;
    const size_t n = study->n_parties;
    struct gr_link *link = NULL;
    int32_t *ranks = NULL;
    int rank, size;
    GR_TRY_MPI(MPI_Comm_rank(parent, &rank));
    GR_TRY_MPI(MPI_Comm_size(parent, &size));
    GR_TRY(gr_allocate_zero(1, sizeof *link, "links", &link));
    link->study = study;
    link->gateway = rank == 0 ? study->gateway : NULL;
    GR_TRY(gr_allocate_zero(n, sizeof *link->jobs, "links", &link->jobs));
    GR_TRY(gr_allocate_zero(n, sizeof *ranks, "links", &ranks));
    ranks[study->party] = size;
    GR_TRY(gr_job_share(parent, rank == 0 ? meet(link, options, hello, differs, ranks) : GR_OK,
                        study->ends, ranks, n));
    for (size_t p = 0; p < n; p++) {
        link->jobs[p] = (struct gr_link_job){
            .first = link->slots, .ranks = ranks[p] > 0 ? ranks[p] : 1, .here = ranks[p] > 0};
        link->slots += link->jobs[p].ranks;
    }
    if (link->gateway) link->meeting = link->gateway->meeting;
    GR_TRY(gr_job_share(parent, GR_OK, NULL, &link->meeting, 1));
    *out = link;
    link = NULL;
out:
    gr_free(ranks);
    gr_link_free(link);
    return status;
}

void gr_link_free(struct gr_link *link) {
    if (!link) return;
    for (struct unawaited *next; link->arrivals; link->arrivals = next) {
        next = link->arrivals->next;
        gr_free(link->arrivals);
    }
    for (struct gr_awaited *next; link->awaited; link->awaited = next) {
        next = link->awaited->next;
        gr_free(link->awaited);
    }
    gr_free(link->jobs);
    gr_free(link);
}

/* The ranks of the job first put theirs together, then the gateways, who tell their ranks. */
gr_status gr_link_share(struct gr_link *link, MPI_Comm local, const struct gr_comm_options *options,
                        int32_t *numbers, size_t n) {
    gr_status status = GR_OK;
    const struct gr_link_job *own = &link->jobs[link->study->party];
    const size_t total = (size_t)link->slots * n;
    int rank;
    GR_TRY_MPI(MPI_Comm_rank(local, &rank));
    GR_TRY_MPI(MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, numbers + (size_t)own->first * n,
                             (int)n, MPI_INT32_T, local));
    status = gr_job_share(
        local,
        rank == 0 ? gr_jobs_exchange(link->gateway, options, link->jobs, numbers, n, total) : GR_OK,
        options->study->ends, numbers, total);
out:
    return status;
}

/* ---- sending -----------------------------------------------------------------------------------
 */

size_t gr_link_part_most(void) {
    return PARCEL_BYTES;
}

size_t gr_link_parcel_most(void) {
    return sizeof(struct parcel_head) + PARCEL_BYTES;
}

/* To a rank of this job, by MPI; the copy is freed once it has been sent. */
static gr_status send_local(struct gr_comm *comm, int slot, const struct parcel_head *head,
                            const void *bytes, size_t n) {
    gr_status status = GR_OK;
    struct gr_packet *packet = NULL;
    if (comm->peers[slot].dead) return GR_OK;
    GR_TRY(gr_packet_create(sizeof *head + n, &packet));
    memcpy(packet->content, head, sizeof *head);
    memcpy(packet->content + sizeof *head, bytes, n);
    status = gr_packet_start(comm, slot, GR_TAG_PARCEL, packet);
    packet = NULL;
out:
    gr_free(packet);
    return status;
}

/* A party that is away takes nothing, and nothing of its session will ever be awaited: as with MPI,
 * sending does not fail because of the receiver, who will be found missing. */
static gr_status send_letter(const struct gr_link *link, uint32_t party,
                             const struct parcel_head *head, const void *bytes, size_t n,
                             uint64_t *ticket) {
    const gr_status status =
        gr_gateway_send(link->gateway, party, GR_NOTE_PARCEL, head, sizeof *head, bytes, n, ticket);
    return status == GR_STOPPED ? GR_OK : status;
}

/* By the way that leads on from this rank. */
static gr_status pass_on(struct gr_comm *comm, const struct parcel_head *head, const void *bytes,
                         size_t n, uint64_t *ticket) {
    const struct gr_link *link = comm->link;
    const uint32_t own = link->study->party, party = gr_link_party(link, head->to);
    if (party == own) return send_local(comm, head->to, head, bytes, n);
    if (link->gateway) return send_letter(link, own == 0 ? party : 0, head, bytes, n, ticket);
    return send_local(comm, link->jobs[own].first, head, bytes, n);
}

static gr_status send_parts(struct gr_comm *comm, struct parcel_head head, const void *bytes,
                            size_t n, uint64_t *ticket) {
    gr_status status = GR_OK;
    head.from = comm->slot;
    head.epoch = comm->epoch;
    head.meeting = comm->link->meeting;
    head.total = n;
    do {
        const size_t left = n - (size_t)head.offset;
        const size_t part = left < PARCEL_BYTES ? left : PARCEL_BYTES;
        GR_TRY(pass_on(comm, &head, (const char *)bytes + head.offset, part, ticket));
        head.offset += part;
    } while (head.offset < n);
out:
    return status;
}

gr_status gr_link_send_control(struct gr_comm *comm, int slot, const void *bytes, size_t n) {
    return send_parts(comm, (struct parcel_head){.kind = PARCEL_CONTROL, .to = slot}, bytes, n,
                      NULL);
}

gr_status gr_link_send(struct gr_comm *comm, int slot, int tag, const void *bytes, size_t n,
                       uint64_t *ticket) {
    return send_parts(comm, (struct parcel_head){.kind = PARCEL_DATA, .to = slot, .tag = tag},
                      bytes, n, ticket);
}

gr_status gr_link_send_farewell(struct gr_comm *comm, int slot, gr_status why, const char *text,
                                size_t n) {
    const struct parcel_head head = {.kind = PARCEL_FAREWELL,
                                     .from = comm->slot,
                                     .to = slot,
                                     .tag = (int32_t)why,
                                     .epoch = comm->epoch,
                                     .meeting = comm->link->meeting,
                                     .total = n};
    return send_local(comm, slot, &head, text, n);
}

bool gr_link_has_sent(const struct gr_comm *comm, int slot, uint64_t ticket) {
    const struct gr_link *link = comm->link;
    const uint32_t party = link->study->party == 0 ? gr_link_party(link, slot) : 0;
    return gr_gateway_has_sent(link->gateway, party, ticket);
}

/* ---- delivering --------------------------------------------------------------------------------
 */

static gr_status refuse(const struct gr_comm *comm, int slot, const char *why) {
    const uint32_t party = gr_link_party(comm->link, slot);
    return gr_fail(GR_ERROR_INTERNAL, "a message from %s %s", gr_link_name(comm->link, party), why);
}

/* The first that is awaited from there and not complete, of that tag and epoch. */
static struct gr_awaited *find_awaited(const struct gr_link *link, const struct parcel_head *head) {
    struct gr_awaited *a = link->awaited;
    while (a &&
           (a->complete || a->slot != head->from || a->tag != head->tag || a->epoch != head->epoch))
        a = a->next;
    return a;
}

/* A message of which earlier parts have come, and this is the next. */
static struct unawaited *find_arrival(const struct gr_link *link, const struct parcel_head *head) {
    struct unawaited *a = link->arrivals;
    while (a && (a->came == a->n || a->slot != head->from || a->tag != head->tag ||
                 a->epoch != head->epoch))
        a = a->next;
    return a;
}

static size_t weight_of(const struct unawaited *arrival) {
    return arrival->n > held_least ? arrival->n : held_least;
}

static size_t *held_of(struct gr_link *link, int slot) {
    return &link->jobs[gr_link_party(link, slot)].held;
}

/* Takes one out of the list. */
static void drop_arrival(struct gr_link *link, struct unawaited **at) {
    struct unawaited *arrival = *at;
    *at = arrival->next;
    *held_of(link, arrival->slot) -= weight_of(arrival);
    gr_free(arrival);
}

static gr_status keep_part(struct gr_comm *comm, const struct parcel_head *head, const void *bytes,
                           size_t n) {
    gr_status status = GR_OK;
    struct gr_link *link = comm->link;
    struct unawaited *arrival = find_arrival(link, head);
    if (!arrival) {
        const size_t room = held_most - *held_of(link, head->from);
        if (head->total > room || held_least > room)
            return refuse(comm, head->from, "is more than may wait");
        GR_TRY(gr_allocate(1, sizeof *arrival + head->total, "a message", &arrival));
        *arrival = (struct unawaited){
            .slot = head->from, .tag = head->tag, .epoch = head->epoch, .n = head->total};
        *held_of(link, head->from) += weight_of(arrival);
        struct unawaited **end = &link->arrivals;
        while (*end)
            end = &(*end)->next;
        *end = arrival;
    }
    if (head->total != arrival->n || head->offset != arrival->came)
        return refuse(comm, head->from, "does not go on where it stopped");
    memcpy(arrival->bytes + arrival->came, bytes, n);
    arrival->came += n;
out:
    return status;
}

/* Of an epoch gone by nobody awaits anything any more. */
static gr_status take_data(struct gr_comm *comm, const struct parcel_head *head, const void *bytes,
                           size_t n) {
    if (head->epoch < comm->epoch) return GR_OK;
    struct gr_awaited *awaited =
        find_arrival(comm->link, head) ? NULL : find_awaited(comm->link, head);
    if (!awaited) return keep_part(comm, head, bytes, n);
    if (head->total != awaited->n || head->offset != awaited->came)
        return refuse(comm, head->from, "is not as long as expected");
    memcpy(awaited->bytes + awaited->came, bytes, n);
    awaited->came += n;
    awaited->complete = awaited->came == awaited->n;
    return GR_OK;
}

/* Into the list of what has come, complete. */
static gr_status take_control(struct gr_comm *comm, const struct parcel_head *head,
                              const void *bytes, size_t n) {
    gr_status status = GR_OK;
    struct gr_packet *packet;
    if (head->offset != 0 || head->total != n)
        return refuse(comm, head->from, "of the control plane is larger than any is");
    GR_TRY(gr_packet_create(n, &packet));
    packet->peer = head->from;
    memcpy(packet->content, bytes, n);
    gr_packet_arrived(comm, packet);
out:
    return status;
}

/* A gateway tells the coordinator and the ranks of its job; another learns that it has. */
static gr_status take_farewell(struct gr_comm *comm, const struct parcel_head *head,
                               const void *text, size_t n) {
    const gr_status why = (gr_status)head->tag;
    if (comm->slot != comm->first) {
        gr_departure_take(comm, why, text, n);
        return GR_OK;
    }
    return gr_comm_depart(comm, gr_fail(why, "%.*s", (int)n, (const char *)text));
}

/* Letters come to the gateway alone: the other ranks of its job learn of it who has left. */
static void tell_left(struct gr_comm *comm, uint32_t party) {
    const struct gr_link *link = comm->link;
    const struct gr_link_job *own = &link->jobs[link->study->party];
    for (int slot = own->first; slot < own->first + own->ranks; slot++) {
        const struct parcel_head head = {.kind = PARCEL_LEFT,
                                         .from = link->jobs[party].first,
                                         .to = slot,
                                         .epoch = comm->epoch,
                                         .meeting = link->meeting};
        if (slot != comm->slot && send_local(comm, slot, &head, &head, 0) != GR_OK)
            gr_say(&comm->options, "%s", gr_message());
    }
}

/* Of a party that has left: what will never be whole, and what is for epochs that it is not of. */
static void drop_torn(struct gr_comm *comm, uint32_t party) {
    struct unawaited **at = &comm->link->arrivals;
    while (*at)
        if (gr_link_party(comm->link, (*at)->slot) == party &&
            ((*at)->came < (*at)->n || (*at)->epoch > comm->epoch))
            drop_arrival(comm->link, at);
        else
            at = &(*at)->next;
}

/* A party whose process has left the meeting, or has ended: what it held is gone. */
static void note_left(struct gr_comm *comm, uint32_t party) {
    const struct gr_link_job *job = &comm->link->jobs[party];
    for (int slot = job->first; slot < job->first + job->ranks; slot++) {
        comm->peers[slot].dead = comm->peers[slot].gone = true;
        if (comm->rank_of[slot] >= 0) comm->lost = true;
        if (comm->link->gateway) comm->link->gateway->told.changed = true;
    }
    drop_torn(comm, party);
    if (comm->link->gateway) tell_left(comm, party);
}

/* n: bytes behind the head. A job may speak for its own slots alone, as its letters' sender says.
 */
static gr_status route(struct gr_comm *comm, const struct parcel_head *head, const void *bytes,
                       size_t n) {
    const struct gr_link *link = comm->link;
    if (head->from < 0 || head->from >= link->slots || head->to < 0 || head->to >= link->slots ||
        n > PARCEL_BYTES || head->offset > head->total || n > head->total - head->offset)
        return gr_fail(GR_ERROR_INTERNAL, "a message from %s does not hold together",
                       head->from >= 0 && head->from < link->slots
                           ? gr_link_name(link, gr_link_party(link, head->from))
                           : "no party");
    if (head->to != comm->slot) return pass_on(comm, head, bytes, n, NULL);
    if (head->kind == PARCEL_FAREWELL) return take_farewell(comm, head, bytes, n);
    if (head->kind == PARCEL_LEFT) {
        if (!link->gateway) note_left(comm, gr_link_party(link, head->from));
        return GR_OK;
    }
    return head->kind == PARCEL_CONTROL ? take_control(comm, head, bytes, n)
                                        : take_data(comm, head, bytes, n);
}

gr_status gr_link_take(struct gr_comm *comm, const unsigned char *bytes, size_t n) {
    struct parcel_head head;
    if (n < sizeof head)
        return gr_fail(GR_ERROR_INTERNAL, "a message between jobs of %zu bytes", n);
    memcpy(&head, bytes, sizeof head);
    return route(comm, &head, bytes + sizeof head, n - sizeof head);
}

/* Sites' letters name the coordinator's slots or their own; the coordinator passes on others'. */
static bool may_speak(const struct gr_link *link, uint32_t party, const struct parcel_head *head) {
    if (head->from < 0 || head->from >= link->slots) return false;
    const uint32_t of = gr_link_party(link, head->from);
    return of == party || (party == 0 && of != link->study->party);
}

/* Of an earlier meeting: its sender does not know that it is over. */
static gr_status tell_over(const struct gr_link *link, uint32_t party, int32_t meeting) {
    if (link->study->party > 0) return GR_OK;
    const gr_status status = gr_gateway_send(link->gateway, party, GR_NOTE_OVER, &meeting,
                                             sizeof meeting, NULL, 0, NULL);
    return status == GR_STOPPED ? GR_OK : status;
}

/* Of a party that has left, or was given up, nothing is taken any more. */
static gr_status open_parcel(struct gr_comm *comm, uint32_t party, const unsigned char *bytes,
                             size_t n) {
    struct parcel_head head;
    if (comm->link->gateway->parting[party].barred) return GR_OK;
    if (n < sizeof head)
        return gr_fail(GR_ERROR_INTERNAL, "%s: a message between jobs of %zu bytes",
                       gr_link_name(comm->link, party), n);
    memcpy(&head, bytes, sizeof head);
    if (head.meeting != comm->link->meeting) return tell_over(comm->link, party, head.meeting);
    if (!may_speak(comm->link, party, &head))
        return gr_fail(GR_ERROR_INTERNAL, "%s speaks for another party",
                       gr_link_name(comm->link, party));
    if (head.kind != PARCEL_CONTROL && head.kind != PARCEL_DATA)
        return gr_fail(GR_ERROR_INTERNAL, "%s sends a message of no known kind",
                       gr_link_name(comm->link, party));
    return route(comm, &head, bytes + sizeof head, n - sizeof head);
}

static gr_status take_letter(struct gr_comm *comm, const struct gr_post_message *message) {
    struct gr_link *link = comm->link;
    const unsigned char *bytes;
    size_t n;
    int32_t meeting = 0;
    if (link->study->party > 0) {
        const gr_status given_up = gr_gateway_heed(message);
        if (given_up != GR_OK) return gr_comm_depart(comm, given_up);
    }
    switch (gr_note_kind(message, &bytes, &n)) {
    case GR_NOTE_PARCEL:
        return open_parcel(comm, message->party, bytes, n);
    case GR_NOTE_HELLO:
        if (!gr_gateway_take_hello(link->gateway, message)) return GR_OK;
        note_left(comm, message->party);
        return GR_OK;
    case GR_NOTE_GOODBYE:
    case GR_NOTE_LEAVE:
        if (link->study->party > 0 || !gr_jobs_take_goodbye(link->gateway, &comm->options, message))
            return GR_OK;
        note_left(comm, message->party);
        return GR_OK;
    case GR_NOTE_OVER:
        if (n == sizeof meeting) memcpy(&meeting, bytes, n);
        if (meeting == link->meeting) note_left(comm, message->party);
        return GR_OK;
    default:
        return GR_OK;
    }
}

bool gr_link_trusts(const struct gr_comm *comm, int slot) {
    return !gr_link_is_foreign(comm->link, slot) || gr_link_party(comm->link, slot) == 0;
}

gr_status gr_link_contain(struct gr_comm *comm, int slot, gr_status status) {
    if (status != GR_ERROR_INTERNAL || !gr_link_is_foreign(comm->link, slot)) return status;
    const struct gr_link *link = comm->link;
    const uint32_t party = gr_link_party(link, slot);
    if (link->study->party > 0) return status;
    if (comm->peers[link->jobs[party].first].dead) return GR_OK; /* it has left already */
    gr_say(&comm->options, "%s; it is given up", gr_message());
    if (link->gateway) gr_gateway_give_up(link->gateway, party);
    note_left(comm, party);
    return GR_OK;
}

gr_status gr_link_poll(struct gr_comm *comm) {
    gr_status status = GR_OK;
    struct gr_link *link = comm->link;
    struct gr_post_message message = {0};
    if (link->gateway) GR_TRY(gr_gateway_flush(link->gateway));
    while (link->gateway) {
        GR_TRY(gr_post_receive(link->gateway->post, &message));
        if (message.kind == GR_POST_NOTHING) break;
        if (message.kind == GR_POST_GREETING) {
            gr_gateway_greeted(link->gateway, message.party);
            note_left(comm, message.party);
        }
        if (message.kind == GR_POST_MESSAGE)
            GR_TRY(gr_link_contain(comm, link->jobs[message.party].first,
                                   take_letter(comm, &message)));
        gr_free(message.memory);
        message.memory = NULL;
    }
    if (link->gateway) gr_attendance_of_run(comm, link->gateway);
out:
    gr_free(message.memory);
    return status;
}

/* ---- awaiting ----------------------------------------------------------------------------------
 */

/* Takes an arrival out of the list: what has come of it becomes the awaited message's. */
static void hand_over(struct gr_link *link, struct unawaited **at, struct gr_awaited *awaited) {
    struct unawaited *arrival = *at;
    memcpy(awaited->bytes, arrival->bytes, arrival->came);
    awaited->came = arrival->came;
    awaited->complete = arrival->came == arrival->n;
    drop_arrival(link, at);
}

/* Of earlier epochs, from the list. */
static void drop_old(struct gr_comm *comm) {
    struct unawaited **at = &comm->link->arrivals;
    while (*at)
        if ((*at)->epoch < comm->epoch)
            drop_arrival(comm->link, at);
        else
            at = &(*at)->next;
}

gr_status gr_link_await(struct gr_comm *comm, int slot, int tag, void *bytes, size_t n,
                        struct gr_awaited **out) {
    gr_status status = GR_OK;
    struct gr_link *link = comm->link;
    struct gr_awaited *awaited = NULL;
    drop_old(comm);
    GR_TRY(gr_allocate_zero(1, sizeof *awaited, "a message", &awaited));
    *awaited =
        (struct gr_awaited){.slot = slot, .tag = tag, .epoch = comm->epoch, .bytes = bytes, .n = n};
    for (struct unawaited **at = &link->arrivals; *at; at = &(*at)->next) {
        if ((*at)->slot != slot || (*at)->tag != tag || (*at)->epoch != comm->epoch) continue;
        if ((*at)->n != n) {
            GR_TRY(gr_link_contain(comm, slot, refuse(comm, slot, "is not as long as expected")));
            status = gr_comm_lose(comm, "the membership changes");
            goto out;
        }
        hand_over(link, at, awaited);
        break;
    }
    struct gr_awaited **end = &link->awaited;
    while (*end)
        end = &(*end)->next;
    *end = awaited;
    *out = awaited;
    awaited = NULL;
out:
    gr_free(awaited);
    return status;
}

void gr_link_forget(struct gr_comm *comm, struct gr_awaited *awaited) {
    struct gr_awaited **at = &comm->link->awaited;
    while (*at && *at != awaited)
        at = &(*at)->next;
    if (!*at) return;
    *at = awaited->next;
    gr_free(awaited);
}
