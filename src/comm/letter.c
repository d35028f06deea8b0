/* SPDX-License-Identifier: Apache-2.0 */
/* Letters: composing, sending, taking in, sorting. */
#include "comm/letter.h"

#include <string.h>

#include "comm/communicator.h"
#include "comm/meeting.h"

enum { TAG_LETTER = 1 };

static size_t content_words(const struct gr_letter_head *head) {
    return (size_t)head->n_slots + head->n_fds + head->n_changes + head->n_ids + head->n_sat;
}

static size_t letter_bytes(const struct gr_letter_head *head) {
    return sizeof *head + content_words(head) * sizeof(uint32_t) + head->length;
}

/* The largest letter that a peer can honestly send. */
static size_t most_bytes(const struct gr_comm *comm) {
    return sizeof(struct gr_letter_head) +
           ((size_t)comm->slots * 4 + comm->ids_max * 2) * sizeof(uint32_t) + GR_MESSAGE_MAX;
}

static void set_pointers(struct gr_letter *letter) {
    const struct gr_letter_head *head = &letter->head;
    letter->slots = letter->content;
    letter->fds = letter->slots + head->n_slots;
    letter->changes = letter->fds + head->n_fds;
    letter->ids = letter->changes + head->n_changes;
    letter->sat = letter->ids + head->n_ids;
    letter->text = (const char *)(letter->sat + head->n_sat);
}

static gr_status allocate_letter(size_t bytes, struct gr_letter **out) {
    gr_status status =
        gr_allocate_zero(1, sizeof **out + bytes - sizeof(struct gr_letter_head), "a letter", out);
    if (status == GR_OK) (*out)->bytes = bytes;
    return status;
}

gr_status gr_letter_create(const struct gr_letter_head *head, struct gr_letter **out) {
    gr_status status = allocate_letter(letter_bytes(head), out);
    if (status != GR_OK) return status;
    (*out)->head = *head;
    set_pointers(*out);
    return GR_OK;
}

/* ---- sending -------------------------------------------------------------------------------- */

gr_status gr_letter_send(struct gr_comm *comm, int slot, const struct gr_letter *letter) {
    gr_status status = GR_OK;
    struct gr_letter *copy = NULL;
    if (comm->peers[slot].dead) return GR_OK;
    GR_TRY(allocate_letter(letter->bytes, &copy));
    memcpy(&copy->head, &letter->head, letter->bytes);
    int code = MPI_Isend(&copy->head, (int)copy->bytes, MPI_BYTE, slot, TAG_LETTER, comm->control,
                         &copy->request);
    if (code != MPI_SUCCESS) {
        /* A peer that cannot be reached will be found missing; that is not this letter's task. */
        gr_status failed = gr_detect_error(comm, code, "MPI_Isend");
        status = failed == GR_LOST ? GR_OK : failed;
        goto out;
    }
    comm->bytes_sent += copy->bytes;
    copy->peer = slot;
    copy->next = comm->post.outgoing;
    comm->post.outgoing = copy;
    copy = NULL;
    int rank = comm->rank_of[slot];
    if (rank >= 0 && comm->places[rank].node == comm->node_index &&
        comm->window.part[comm->places[rank].node_rank])
        gr_bell_ring(&gr_comm_member(comm, comm->places[rank].node_rank)->doorbell);
out:
    gr_free(copy);
    return status;
}

gr_status gr_letter_send_plain(struct gr_comm *comm, int slot, const struct gr_letter_head *head) {
    struct gr_letter *letter = NULL;
    gr_status status = gr_letter_create(head, &letter);
    if (status == GR_OK) status = gr_letter_send(comm, slot, letter);
    gr_free(letter);
    return status;
}

/* ---- sorting -------------------------------------------------------------------------------- */

static void keep(struct gr_letter **place, struct gr_letter *letter) {
    gr_free(*place);
    *place = letter;
}

/* What another rank has seen ended. */
static void learn_deaths(struct gr_comm *comm, const struct gr_letter *letter) {
    for (uint32_t i = 0; i < letter->head.n_slots; i++) {
        uint32_t slot = letter->slots[i];
        if (slot >= (uint32_t)comm->slots || (int)slot == comm->slot) continue;
        struct gr_peer *peer = &comm->peers[slot];
        peer->dead = true;
        peer->gone = peer->gone || peer->host == comm->peers[letter->peer].host;
        if (comm->rank_of[slot] >= 0) comm->lost = true;
    }
}

static gr_status tell_excluded(struct gr_comm *comm, int slot) {
    return gr_letter_send_plain(comm, slot,
                                &(struct gr_letter_head){.kind = GR_LETTER_EXCLUDED,
                                                         .epoch = comm->epoch,
                                                         .round = comm->situation.round});
}

/*
 * A sign of life says how long ago its sender was at work, or heard of somebody who was: what has
 * been heard gets older from rank to rank, so that ranks that wait for each other find out.
 */
static gr_status send_pong(struct gr_comm *comm, int slot) {
    const double most_s = UINT32_MAX / 1000;
    return gr_letter_send_plain(
        comm, slot,
        &(struct gr_letter_head){
            .kind = GR_LETTER_PONG,
            .epoch = comm->epoch,
            .round = (uint32_t)(1e3 * (comm->idle_s < most_s ? comm->idle_s : most_s))});
}

static void take_pong(struct gr_comm *comm, const struct gr_letter *letter) {
    const double idle_s = 1e-3 * letter->head.round;
    if (idle_s < comm->idle_s) comm->idle_s = idle_s;
}

/* A report: of a member, or of one that has been out since an earlier epoch. */
static gr_status sort_report(struct gr_comm *comm, struct gr_letter *letter) {
    const bool member = comm->rank_of[letter->peer] >= 0;
    const uint32_t kind = letter->head.kind;
    gr_status status = GR_OK;
    if (letter->head.epoch >= comm->epoch || member) learn_deaths(comm, letter);
    if (kind == GR_LETTER_TROUBLE && member) {
        comm->lost = true;
        comm->overdue = comm->overdue || (letter->head.flags & GR_FLAG_OVERDUE);
    }
    if (!member && letter->head.epoch < comm->epoch && kind != GR_LETTER_JOIN &&
        kind != GR_LETTER_ANSWER)
        status = tell_excluded(comm, letter->peer);
    if (kind == GR_LETTER_JOIN && !comm->out) status = send_pong(comm, letter->peer);
    /* Apart: a report may be sent while the summons is still on its way. */
    struct gr_peer *peer = &comm->peers[letter->peer];
    keep(kind == GR_LETTER_ANSWER ? &peer->answer : &peer->report, letter);
    return status;
}

static gr_status sort_letter(struct gr_comm *comm, struct gr_letter *letter) {
    struct gr_post *post = &comm->post;
    const uint32_t epoch = letter->head.epoch;
    gr_status status = GR_OK;
    /* Who asks to be taken in is no member that one could wait for. */
    if (letter->head.kind != GR_LETTER_JOIN) {
        comm->peers[letter->peer].silent_s = 0;
        comm->peers[letter->peer].unanswered = false;
        comm->peers[letter->peer].given_up = false;
    }
    switch (letter->head.kind) {
    case GR_LETTER_READY:
    case GR_LETTER_TROUBLE:
    case GR_LETTER_JOIN:
    case GR_LETTER_ANSWER:
        return sort_report(comm, letter);
    case GR_LETTER_SUMMONS:
        if (epoch >= comm->epoch) {
            comm->lost = true;
            keep(&post->summons, letter);
            return GR_OK;
        }
        /* Of a member: it has missed the verdict that began this epoch; all must meet again. */
        if (comm->rank_of[letter->peer] < 0)
            status = tell_excluded(comm, letter->peer);
        else
            comm->lost = true;
        break;
    case GR_LETTER_VERDICT:
        if (epoch < comm->epoch || (post->verdict && post->verdict->head.epoch > epoch)) break;
        if (epoch > comm->epoch) comm->lost = true;
        keep(&post->verdict, letter);
        return GR_OK;
    case GR_LETTER_EXCLUDED:
        if (epoch <= comm->epoch) break;
        /* The end is no loss: it may be told to a member that is still about to agree on it. */
        if (epoch != GR_EPOCH_OVER) comm->lost = true;
        keep(&post->excluded, letter);
        return GR_OK;
    case GR_LETTER_PING:
        status = send_pong(comm, letter->peer);
        break;
    case GR_LETTER_PONG:
        take_pong(comm, letter);
        break;
    default:
        break;
    }
    gr_free(letter);
    return status;
}

/* ---- taking in ------------------------------------------------------------------------------ */

static bool well_formed(const struct gr_comm *comm, const struct gr_letter *letter) {
    const struct gr_letter_head *head = &letter->head;
    const uint32_t slots = (uint32_t)comm->slots, ids = (uint32_t)comm->ids_max;
    return head->kind >= GR_LETTER_READY && head->kind <= GR_LETTER_PONG &&
           head->phase <= GR_PHASE_COMMITTED && head->n_slots <= slots && head->n_fds <= slots &&
           head->n_changes <= 2 * slots && head->n_ids <= ids && head->n_sat <= ids &&
           head->length < GR_MESSAGE_MAX && letter_bytes(head) == letter->bytes;
}

/* Begins to receive all that has arrived. */
static gr_status take_in(struct gr_comm *comm) {
    gr_status status = GR_OK;
    struct gr_letter *letter = NULL;
    for (;;) {
        MPI_Message message;
        MPI_Status came;
        int flag = 0, bytes = 0;
        int code = MPI_Improbe(MPI_ANY_SOURCE, TAG_LETTER, comm->control, &flag, &message, &came);
        if (code != MPI_SUCCESS) {
            gr_status failed = gr_detect_error(comm, code, "MPI_Improbe");
            return failed == GR_LOST ? GR_OK : failed;
        }
        if (!flag) return GR_OK;
        GR_TRY_MPI(MPI_Get_count(&came, MPI_BYTE, &bytes));
        if (bytes < (int)sizeof(struct gr_letter_head) || (size_t)bytes > most_bytes(comm))
            return gr_fail(GR_ERROR_INTERNAL, "a letter of %d bytes from slot %d, at most %zu",
                           bytes, came.MPI_SOURCE, most_bytes(comm));
        GR_TRY(allocate_letter((size_t)bytes, &letter));
        letter->peer = came.MPI_SOURCE;
        GR_TRY_MPI(MPI_Imrecv(&letter->head, bytes, MPI_BYTE, &message, &letter->request));
        /* At the end of the list, so that letters of one peer stay in order. */
        struct gr_letter **end = &comm->post.incoming;
        while (*end)
            end = &(*end)->next;
        *end = letter;
        letter = NULL;
    }
out:
    gr_free(letter);
    return status;
}

static gr_status sort_arrived(struct gr_comm *comm) {
    gr_status status = GR_OK;
    struct gr_letter **link = &comm->post.incoming;
    while (*link) {
        struct gr_letter *letter = *link;
        int done = 0;
        int code = MPI_Test(&letter->request, &done, MPI_STATUS_IGNORE);
        if (code == MPI_SUCCESS && !done) {
            link = &letter->next;
            continue;
        }
        *link = letter->next;
        letter->next = NULL;
        if (code != MPI_SUCCESS) { /* its sender has gone; the memory is left to MPI */
            gr_status failed = gr_detect_error(comm, code, "MPI_Test");
            GR_TRY(failed == GR_LOST ? GR_OK : failed);
            continue;
        }
        set_pointers(letter);
        if (!well_formed(comm, letter)) {
            status = gr_fail(GR_ERROR_INTERNAL, "a letter of slot %d does not hold what it says",
                             letter->peer);
            gr_free(letter);
            goto out;
        }
        GR_TRY(sort_letter(comm, letter));
    }
out:
    return status;
}

static void release_taken(struct gr_comm *comm) {
    struct gr_letter **link = &comm->post.outgoing;
    while (*link) {
        struct gr_letter *letter = *link;
        int done = 0;
        int code = MPI_Test(&letter->request, &done, MPI_STATUS_IGNORE);
        if (code == MPI_SUCCESS && !done) {
            link = &letter->next;
            continue;
        }
        *link = letter->next;
        if (code == MPI_SUCCESS) gr_free(letter); /* else left to MPI */
    }
}

gr_status gr_post_look(struct gr_comm *comm) {
    gr_status status = take_in(comm);
    if (status == GR_OK) status = sort_arrived(comm);
    release_taken(comm);
    return status;
}

/* What MPI has not let go of stays allocated. */
static void drop(struct gr_letter *letter) {
    while (letter) {
        struct gr_letter *next = letter->next;
        int done = 0;
        if (MPI_Test(&letter->request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done)
            gr_free(letter);
        letter = next;
    }
}

void gr_post_release(struct gr_comm *comm) {
    drop(comm->post.outgoing);
    drop(comm->post.incoming);
    gr_free(comm->post.summons);
    gr_free(comm->post.verdict);
    gr_free(comm->post.excluded);
    comm->post = (struct gr_post){0};
    for (int i = 0; comm->peers && i < comm->slots; i++) {
        gr_free(comm->peers[i].report);
        gr_free(comm->peers[i].answer);
        comm->peers[i].report = comm->peers[i].answer = NULL;
    }
}
