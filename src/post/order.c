/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of a session: of letters that come doubled, late or early a stream that has each once.
 * Early ones wait for their turn, sealed, as many as the window has and GR_CARRIER_HELD bytes of
 * all parties together; whoever keeps to the window of gr_post_send never has one dropped.
 */
#include "post/session.h"

#include <math.h>
#include <string.h>

/*
 * A receipt is due when so many letters or bytes are owed one, so long after the first, or when
 * nothing was sent for gr_post.beat_s. Every letter of this side is one as well.
 */
enum { RECEIPT_LETTERS = GR_POST_WINDOW / 4, RECEIPT_BYTES = GR_CARRIER_HELD / 4 };
static const double receipt_s = 0.25;

void gr_post_session_end(struct gr_post *post, struct gr_post_session *session) {
    for (size_t i = 0; i < GR_POST_WINDOW; i++)
        if (session->early[i]) {
            post->early_bytes -= session->early[i]->n;
            gr_free(session->early[i]);
        }
    memset(session, 0, sizeof *session);
}

void gr_post_was_sent(struct gr_post_session *session, size_t n) {
    session->sent++;
    session->sizes[session->sent % GR_POST_WINDOW] = (uint32_t)n;
    session->under_way += n;
    session->receipted = session->taken;
    session->owed_bytes = 0;
}

/* They have taken ours up to a counter. */
static void confirm(struct gr_post *post, uint32_t party, uint64_t counter) {
    struct gr_post_session *now = &post->peers[party].now;
    if (counter <= now->confirmed || counter > now->sent) return;
    now->confirmed = counter;
    now->under_way = 0;
    /* Where the carrier acknowledges there is no window: none is counted beyond it. */
    if (now->sent - counter < GR_POST_WINDOW)
        for (uint64_t i = counter + 1; i <= now->sent; i++)
            now->under_way += now->sizes[i % GR_POST_WINDOW];
    gr_post_forget(post, party);
    if (post->options.notify) post->options.notify(post->options.context);
}

/* Opens the letter whose turn it is; *letter is NULL once *out has it. A letter that does not open
 * is dropped: the right one may come yet. carrier: by which it came this moment, or NULL. */
static gr_status take_in_order(struct gr_post *post, struct gr_carrier *carrier,
                               struct gr_letter **letter, const struct gr_letter_head *head,
                               struct gr_post_message *out) {
    const uint32_t party = head->label.from;
    struct gr_post_peer *peer = &post->peers[party];
    struct gr_post_session *now = &peer->now;
    const size_t bytes = (*letter)->n;
    unsigned char *message;
    size_t n;
    if (gr_letter_open_up(*letter, 0, peer->secrets->in, &message, &n) != GR_OK) {
        gr_post_refuse_closed(post, *letter, party);
        return GR_OK;
    }
    if (carrier) peer->carrier = carrier;
    if (now->taken == now->receipted) now->owed_s = gr_clock_seconds();
    now->taken++;
    now->waits_s = now->n_early > 0 ? gr_clock_seconds() : 0;
    now->owed_bytes += bytes;
    peer->heard_s = gr_clock_seconds();
    confirm(post, party, head->acknowledged);
    if (head->kind != GR_LETTER_MESSAGE) return GR_OK;
    *out = (struct gr_post_message){.kind = GR_POST_MESSAGE,
                                    .party = party,
                                    .session = peer->session,
                                    .n = n,
                                    .bytes = message,
                                    .memory = *letter};
    *letter = NULL;
    return GR_OK;
}

static gr_status take_receipt(struct gr_post *post, uint32_t party, struct gr_letter *letter,
                              const struct gr_letter_head *head) {
    struct gr_post_peer *peer = &post->peers[party];
    unsigned char *message;
    size_t n;
    if (gr_letter_open_up(letter, 0, peer->secrets->in, &message, &n) != GR_OK) {
        gr_post_refuse_closed(post, letter, party);
        return GR_OK;
    }
    /* One that a carrier brings again is no sign of life. */
    if (head->label.counter > peer->now.note) {
        peer->now.note = head->label.counter;
        peer->heard_s = gr_clock_seconds();
    }
    confirm(post, party, head->acknowledged);
    return GR_OK;
}

/* Whether the letter may stand where its counter says: notes nowhere; BEGIN second and first of
 * the session's own, of sites. */
static bool has_place(const struct gr_letter_head *head) {
    const bool note = (head->label.counter & GR_LETTER_NOTE) != 0;
    if (head->kind == GR_LETTER_RECEIPT) return note;
    if (note || head->label.counter < 2) return false;
    return (head->kind == GR_LETTER_BEGIN) == (head->label.counter == 2 && head->label.to == 0);
}

/* Keeps a letter whose turn has not come. */
static void keep(struct gr_post *post, uint32_t party, struct gr_letter *letter) {
    struct gr_post_session *now = &post->peers[party].now;
    const uint64_t counter = letter->label.counter;
    struct gr_letter **place = &now->early[counter % GR_POST_WINDOW];
    if (!gr_letter_is_whole(letter)) {
        gr_post_refuse(post, GR_FAULT_CHANGED, party);
        gr_free(letter);
    } else if (counter - now->taken >= GR_POST_WINDOW ||
               letter->n > (size_t)GR_CARRIER_HELD - post->early_bytes) {
        gr_post_refuse(post, GR_FAULT_EARLY, party);
        gr_free(letter);
    } else if (*place) {
        gr_post_refuse(post, GR_FAULT_REPEATED, party);
        gr_free(letter);
    } else {
        *place = letter;
        post->early_bytes += letter->n;
        if (now->n_early++ == 0) now->waits_s = gr_clock_seconds();
    }
}

gr_status gr_post_take_letter(struct gr_post *post, struct gr_carrier *carrier,
                              struct gr_letter *letter, const struct gr_letter_head *head,
                              struct gr_post_message *out) {
    gr_status status = GR_OK;
    const uint32_t party = head->label.from;
    struct gr_post_session *now = &post->peers[party].now;
    if (!has_place(head)) {
        gr_post_refuse(post, GR_FAULT_SEALING, party);
        goto out;
    }
    if (head->kind == GR_LETTER_RECEIPT)
        status = take_receipt(post, party, letter, head);
    else if (head->label.counter <= now->taken)
        gr_post_refuse(post, GR_FAULT_REPEATED, party);
    else if (head->label.counter == now->taken + 1)
        status = take_in_order(post, carrier, &letter, head, out);
    else {
        letter->label = head->label;
        keep(post, party, letter);
        letter = NULL;
    }
out:
    gr_free(letter);
    return status;
}

gr_status gr_post_take_early(struct gr_post *post, struct gr_post_message *out) {
    gr_status status = GR_OK;
    for (uint32_t p = 0; p < post->options.who.n_parties && post->early_bytes > 0; p++)
        while (out->kind == GR_POST_NOTHING && status == GR_OK) {
            struct gr_post_session *now = &post->peers[p].now;
            struct gr_letter **place = &now->early[(now->taken + 1) % GR_POST_WINDOW];
            struct gr_letter *letter = *place;
            if (!letter) break;
            *place = NULL;
            post->early_bytes -= letter->n;
            now->n_early--;
            const struct gr_letter_head head = gr_letter_read_head(letter->bytes);
            const uint64_t before = now->taken;
            status = take_in_order(post, NULL, &letter, &head, out);
            gr_free(letter);
            if (now->taken == before) break;
        }
    return status;
}

double gr_post_receipt_due_s(const struct gr_post *post, uint32_t party, double now_s) {
    const struct gr_post_peer *peer = &post->peers[party];
    const struct gr_post_session *now = &peer->now;
    if (!now->live || now->disowned) return INFINITY;
    double due_s = now->sent_s + post->beat_s;
    if (now->taken > now->receipted && !peer->carrier->kind->acknowledges) {
        if (now->taken - now->receipted >= RECEIPT_LETTERS || now->owed_bytes >= RECEIPT_BYTES)
            return 0;
        due_s = fmin(due_s, now->owed_s + receipt_s);
    }
    return fmax(due_s - now_s, 0);
}

/* A carrier that has not been rid of the last letter yet is not given another sign of life. */
static bool is_stuck(const struct gr_post_peer *peer, uint32_t party) {
    struct gr_carrier *carrier = peer->carrier;
    return carrier->kind->room && carrier->kind->room(carrier, party) < GR_CARRIER_HELD;
}

void gr_post_receipts(struct gr_post *post, double now) {
    for (uint32_t p = 0; p < post->options.who.n_parties; p++) {
        struct gr_post_peer *peer = &post->peers[p];
        if (p == post->options.who.me || gr_post_receipt_due_s(post, p, now) > 0) continue;
        peer->now.sent_s = peer->now.owed_s = now;
        if (peer->now.taken == peer->now.receipted && is_stuck(peer, p)) continue;
        if (gr_post_send_empty(post, p, GR_LETTER_RECEIPT) != GR_OK)
            gr_post_say(post, "%s", gr_message());
    }
}
