/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How sessions begin and end. A site says HELLO with a fresh key; the coordinator answers WELCOME
 * with one of its own, and takes the session for begun only when a letter has come that was sealed
 * with both: whoever repeats an old HELLO has no such letter, so that it ends nothing, and costs
 * the memory of one opening at most.
 *
 * A session that the coordinator does not know any more, it disowns, by a signed note for this
 * session alone; ids of sessions that have ended never come alive again.
 */
#include "post/session.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

/* The first pause before HELLO is repeated, the longest; and the least between two notes, or two
 * copies of a WELCOME. */
static const double hello_s = 0.2, hello_longest_s = 30, note_pause_s = 1, welcome_pause_s = 0.1;

/* The session of a note that is of none. */
static const unsigned char no_session[GR_SESSION_BYTES];

static bool same_id(const unsigned char *a, const unsigned char *b) {
    return memcmp(a, b, GR_SESSION_BYTES) == 0;
}

static struct gr_agreement agreement(const struct gr_post *post, uint32_t party,
                                     const unsigned char *id) {
    const struct gr_carrier_options *who = &post->options.who;
    return (struct gr_agreement){.mine = who->keys,
                                 .coordinator = &who->parties[0].key,
                                 .site = &who->parties[who->me == 0 ? party : who->me].key,
                                 .at_coordinator = who->me == 0,
                                 .study = who->study,
                                 .session = id};
}

static void drop_opening(struct gr_post_peer *peer) {
    gr_free(peer->next.letter);
    gr_free(peer->next.greeting);
    memset(&peer->next, 0, sizeof peer->next);
    sodium_memzero(peer->secrets->next_in, GR_KEY_BYTES);
    sodium_memzero(peer->secrets->next_out, GR_KEY_BYTES);
    sodium_memzero(&peer->secrets->fresh, sizeof peer->secrets->fresh);
}

/* A letter with a fresh key and this side's greeting. */
static gr_status greet(const struct gr_post *post, uint32_t party, enum gr_letter_kind kind,
                       const unsigned char *id, const unsigned char *fresh,
                       const unsigned char *key, struct gr_letter **out) {
    gr_status status = GR_OK;
    const struct gr_post_options *options = &post->options;
    struct gr_letter_head head = {.label = {.from = options->who.me, .to = party, .counter = 1},
                                  .kind = kind,
                                  .acknowledged = kind == GR_LETTER_WELCOME};
    memcpy(head.label.session, id, GR_SESSION_BYTES);
    GR_TRY(gr_letter_create(GR_LETTER_OPENING_BYTES, options->greeting_bytes, out));
    memcpy(gr_letter_body(*out), fresh, GR_LETTER_OPENING_BYTES);
    if (options->greeting_bytes > 0)
        memcpy(gr_letter_body(*out) + GR_LETTER_OPENING_BYTES, options->greeting,
               options->greeting_bytes);
    gr_letter_seal(*out, head, GR_LETTER_OPENING_BYTES, key, options->who.keys,
                   gr_post_study(post));
out:
    return status;
}

/* The session that was to begin has begun: it takes the place of the one before. */
static void promote(struct gr_post *post, uint32_t party, struct gr_carrier *carrier) {
    struct gr_post_peer *peer = &post->peers[party];
    gr_post_session_end(post, &peer->now);
    peer->now.live = true;
    memcpy(peer->now.id, peer->next.id, GR_SESSION_BYTES);
    peer->now.sent_s = gr_clock_seconds();
    peer->now.sent = peer->now.taken = peer->now.confirmed = peer->now.receipted = 1;
    memcpy(peer->secrets->in, peer->secrets->next_in, GR_KEY_BYTES);
    memcpy(peer->secrets->out, peer->secrets->next_out, GR_KEY_BYTES);
    peer->session++;
    peer->carrier = carrier;
    peer->heard_s = gr_clock_seconds();
    drop_opening(peer);
    gr_post_forget(post, party);
}

/* ---- at a site ------------------------------------------------------------------------------ */

/* again: to those carriers only that hold nothing any more, not even the last copy. */
static void put_everywhere(struct gr_post *post, const struct gr_letter *letter, bool again) {
    for (size_t i = 0; i < post->options.n_carriers; i++) {
        struct gr_carrier *carrier = post->carriers[i];
        if (again && carrier->kind->room && carrier->kind->room(carrier, 0) < GR_CARRIER_HELD)
            continue;
        gr_post_put_copy(post, carrier, letter);
    }
}

gr_status gr_post_hello(struct gr_post *post) {
    gr_status status = GR_OK;
    struct gr_post_peer *peer = &post->peers[0];
    unsigned char key[GR_KEY_BYTES];
    const double pause = peer->next.waiting ? peer->next.pause_s : hello_s;
    drop_opening(peer);
    randombytes_buf(peer->next.id, GR_SESSION_BYTES);
    gr_fresh_key_draw(&peer->secrets->fresh);
    const struct gr_agreement between = agreement(post, 0, peer->next.id);
    if (!gr_agree_hello(&between, peer->secrets->fresh.public_key, peer->secrets->fresh.secret,
                        key))
        return gr_fail(GR_ERROR_CONFIG, "%s: its public key in the study is none that can be used",
                       gr_post_name(post, 0));
    GR_TRY(greet(post, 0, GR_LETTER_HELLO, peer->next.id, peer->secrets->fresh.public_key, key,
                 &peer->next.letter));
    put_everywhere(post, peer->next.letter, false);
    peer->next.waiting = true;
    peer->next.pause_s = pause;
    peer->next.next_s = gr_clock_seconds() + pause;
out:
    sodium_memzero(key, sizeof key);
    return status;
}

gr_status gr_post_hello_again(struct gr_post *post, double now) {
    struct gr_post_opening *next = &post->peers[0].next;
    if (!next->waiting || now < next->next_s) return GR_OK;
    next->pause_s = next->pause_s * 2 < hello_longest_s ? next->pause_s * 2 : hello_longest_s;
    if (next->anew) return gr_post_hello(post);
    put_everywhere(post, next->letter, true);
    next->next_s = now + next->pause_s;
    return GR_OK;
}

gr_status gr_post_take_welcome(struct gr_post *post, struct gr_carrier *carrier,
                               const struct gr_letter *letter, const struct gr_letter_head *head,
                               struct gr_post_message *out) {
    struct gr_post_peer *peer = &post->peers[0];
    struct gr_post_secrets *secrets = peer->secrets;
    /* Every HELLO that was repeated has an answer of its own. */
    if (peer->now.live && same_id(head->label.session, peer->now.id)) return GR_OK;
    if (!peer->next.waiting || !same_id(head->label.session, peer->next.id)) {
        gr_post_refuse(post, GR_FAULT_SESSION, 0);
        return GR_OK;
    }
    const struct gr_agreement between = agreement(post, 0, peer->next.id);
    const unsigned char *theirs = letter->bytes + GR_LETTER_HEAD_BYTES;
    if (head->label.counter != 1) {
        gr_post_refuse(post, GR_FAULT_SEALING, 0);
        return GR_OK;
    }
    if (!gr_agree_session(&between, &secrets->fresh, theirs, secrets->next_out, secrets->next_in) ||
        gr_letter_open(letter, GR_LETTER_OPENING_BYTES, secrets->next_in, &out->bytes, &out->n) !=
            GR_OK) {
        gr_post_refuse_closed(post, letter, 0);
        return GR_OK;
    }
    promote(post, 0, carrier);
    out->memory = out->bytes;
    out->kind = GR_POST_GREETING;
    out->party = 0;
    out->session = peer->session;
    gr_post_begin_again(post);
    return GR_OK;
}

bool gr_post_has_to_begin(const struct gr_post *post) {
    const struct gr_post_session *now = &post->peers[0].now;
    return post->options.who.me != 0 && now->live && !now->disowned && now->sent == 1;
}

/* Once, unless the carrier has failed: then at every call until it is given up. */
void gr_post_begin_again(struct gr_post *post) {
    if (gr_post_has_to_begin(post) && gr_post_send_empty(post, 0, GR_LETTER_BEGIN) != GR_OK)
        gr_post_say(post, "%s", gr_message());
}

/* A coordinator has begun, or had when somebody repeats its note: so the note ends nothing, but has
 * this side write, at once or a pause after the last time, and what counts is the answer, which is
 * of the session. */
static void show_oneself(struct gr_post *post) {
    struct gr_post_peer *peer = &post->peers[0];
    const double now = gr_clock_seconds();
    if (peer->note_s > now) return;
    peer->note_s = fmax(now, peer->note_s + note_pause_s);
    peer->now.sent_s = fmin(peer->now.sent_s, peer->note_s - post->beat_s);
    peer->next.next_s = fmin(peer->next.next_s, now + hello_s);
}

/* A note is of the session that it names: it can be repeated for ever, and says no more than that
 * one, which ended then. It must name a letter that was really sent. */
gr_status gr_post_take_disowning(struct gr_post *post, const struct gr_letter_head *head) {
    struct gr_post_peer *peer = &post->peers[0];
    const uint64_t number = head->acknowledged & ~GR_LETTER_NOTE;
    const bool note = (head->acknowledged & GR_LETTER_NOTE) != 0;
    if (same_id(head->label.session, no_session)) {
        show_oneself(post);
        return GR_OK;
    }
    if (peer->next.waiting && same_id(head->label.session, peer->next.id)) {
        if (head->acknowledged != 1) return GR_OK;
        peer->next.anew = true;
        if (peer->next.next_s > gr_clock_seconds() + hello_s)
            peer->next.next_s = gr_clock_seconds() + hello_s;
        return GR_OK;
    }
    if (!peer->now.live || !same_id(head->label.session, peer->now.id)) {
        gr_post_refuse(post, GR_FAULT_SESSION, 0);
        return GR_OK;
    }
    if (number > (note ? peer->notes : peer->now.sent)) {
        gr_post_refuse(post, GR_FAULT_SEALING, 0);
        return GR_OK;
    }
    peer->heard_s = gr_clock_seconds();
    peer->now.disowned = true;
    if (head->kind == GR_LETTER_REPLACED) post->ended = true;
    return post->ended || peer->next.waiting ? GR_OK : gr_post_hello(post);
}

/* ---- at the coordinator --------------------------------------------------------------------- */

static void remember_gone(struct gr_post_peer *peer, const unsigned char *id, bool replaced) {
    struct gr_post_gone *gone = &peer->gone[peer->n_gone++ % GR_POST_GONE];
    memcpy(gone->id, id, GR_SESSION_BYTES);
    gone->replaced = replaced;
}

static const struct gr_post_gone *find_gone(const struct gr_post_peer *peer,
                                            const unsigned char *id) {
    for (uint32_t i = 0; i < GR_POST_GONE && i < peer->n_gone; i++)
        if (same_id(peer->gone[i].id, id)) return &peer->gone[i];
    return NULL;
}

/* That a session is not known, to a site; counter: of its letter that is meant. */
static void send_note(struct gr_post *post, struct gr_carrier *carrier, uint32_t party,
                      const unsigned char *session, uint64_t counter) {
    struct gr_post_peer *peer = &post->peers[party];
    const struct gr_post_gone *gone = find_gone(peer, session);
    struct gr_letter *letter;
    struct gr_letter_head note = {
        .label = {.from = 0, .to = party, .counter = GR_LETTER_NOTE | ++peer->notes},
        .kind = gone && gone->replaced ? GR_LETTER_REPLACED : GR_LETTER_UNKNOWN,
        .acknowledged = counter};
    memcpy(note.label.session, session, GR_SESSION_BYTES);
    if (gr_letter_create(0, 0, &letter) != GR_OK) return;
    gr_letter_seal(letter, note, 0, NULL, post->options.who.keys, gr_post_study(post));
    gr_post_put_copy(post, carrier, letter);
    gr_free(letter);
}

void gr_post_know_no_session(struct gr_post *post, struct gr_carrier *carrier, uint32_t party) {
    send_note(post, carrier, party, no_session, 0);
}

void gr_post_disown(struct gr_post *post, struct gr_carrier *carrier,
                    const struct gr_letter_head *head) {
    struct gr_post_peer *peer = &post->peers[head->label.from];
    if (!find_gone(peer, head->label.session)) remember_gone(peer, head->label.session, false);
    /* The site may write no more: its window is full, or it waits. So the last is told later. */
    peer->owes_note = true;
    peer->owed = *head;
    peer->owed_to = carrier;
    gr_post_owed_notes(post, gr_clock_seconds());
}

double gr_post_note_due_s(const struct gr_post *post, uint32_t party, double now) {
    const struct gr_post_peer *peer = &post->peers[party];
    return peer->owes_note ? peer->note_s + note_pause_s - now : INFINITY;
}

void gr_post_owed_notes(struct gr_post *post, double now) {
    for (uint32_t p = 0; p < post->options.who.n_parties; p++) {
        struct gr_post_peer *peer = &post->peers[p];
        if (gr_post_note_due_s(post, p, now) > 0) continue;
        peer->owes_note = false;
        peer->note_s = now;
        send_note(post, peer->owed_to, p, peer->owed.label.session, peer->owed.label.counter);
    }
}

/* The carrier has lost a letter, or its file was damaged beyond repair; no one has it any more. */
static gr_status give_up(struct gr_post *post, uint32_t party) {
    struct gr_post_peer *peer = &post->peers[party];
    struct gr_letter_head head = {.label = {.from = party, .counter = peer->now.taken}};
    gr_post_say(post,
                "%s: letter %llu of its session has not come for %.0f s, though later ones have; "
                "a new session is begun",
                gr_post_name(post, party), (unsigned long long)peer->now.taken + 1, post->gap_s);
    if (post->options.who.me != 0) {
        peer->now.waits_s = gr_clock_seconds();
        return gr_post_renew(post);
    }
    memcpy(head.label.session, peer->now.id, GR_SESSION_BYTES);
    gr_post_disown(post, peer->carrier, &head);
    gr_post_session_end(post, &peer->now);
    return GR_OK;
}

gr_status gr_post_heal(struct gr_post *post, double now) {
    gr_status status = GR_OK;
    for (uint32_t p = 0; p < post->options.who.n_parties; p++) {
        const struct gr_post_session *session = &post->peers[p].now;
        if (session->waits_s > 0 && now - session->waits_s > post->gap_s) GR_TRY(give_up(post, p));
    }
out:
    return status;
}

/* The HELLO of a session that is new here: its WELCOME, to be sent as often as it is asked for. */
static gr_status open_hello(struct gr_post *post, const struct gr_letter *letter, uint32_t party,
                            const unsigned char *id) {
    gr_status status = GR_OK;
    struct gr_post_peer *peer = &post->peers[party];
    struct gr_post_secrets *secrets = peer->secrets;
    const struct gr_agreement between = agreement(post, party, id);
    const unsigned char *theirs = letter->bytes + GR_LETTER_HEAD_BYTES;
    unsigned char key[GR_KEY_BYTES], *greeting = NULL;
    size_t n = 0;
    const bool good = gr_agree_hello(&between, theirs, NULL, key) &&
                      gr_letter_open(letter, GR_LETTER_OPENING_BYTES, key, &greeting, &n) == GR_OK;
    sodium_memzero(key, sizeof key);
    if (!good) {
        gr_post_refuse_closed(post, letter, party);
        return GR_OK;
    }
    if (peer->next.waiting) remember_gone(peer, peer->next.id, false);
    drop_opening(peer);
    peer->next.greeting = greeting;
    peer->next.greeting_bytes = n;
    memcpy(peer->next.id, id, GR_SESSION_BYTES);
    gr_fresh_key_draw(&secrets->fresh);
    if (!gr_agree_session(&between, &secrets->fresh, theirs, secrets->next_in, secrets->next_out)) {
        drop_opening(peer);
        gr_post_refuse(post, GR_FAULT_SEALING, party);
        return GR_OK;
    }
    GR_TRY(greet(post, party, GR_LETTER_WELCOME, id, secrets->fresh.public_key, secrets->next_out,
                 &peer->next.letter));
    peer->next.waiting = true;
out:
    sodium_memzero(&secrets->fresh, sizeof secrets->fresh);
    if (status != GR_OK) drop_opening(peer);
    return status;
}

gr_status gr_post_answer_hello(struct gr_post *post, struct gr_carrier *carrier,
                               const struct gr_letter *letter, const struct gr_letter_head *head) {
    gr_status status = GR_OK;
    const uint32_t party = head->label.from;
    struct gr_post_peer *peer = &post->peers[party];
    const unsigned char *id = head->label.session;
    const double now = gr_clock_seconds();
    if (head->label.counter != 1) {
        gr_post_refuse(post, GR_FAULT_SEALING, party);
        return GR_OK;
    }
    if (peer->now.live && same_id(id, peer->now.id)) return GR_OK;
    if (find_gone(peer, id)) {
        gr_post_refuse(post, GR_FAULT_REPEATED, party);
        gr_post_disown(post, carrier, head);
        return GR_OK;
    }
    if (!peer->next.waiting || !same_id(id, peer->next.id))
        GR_TRY(open_hello(post, letter, party, id));
    else if (now < peer->next.next_s && carrier == peer->next.carrier)
        return GR_OK;
    if (!peer->next.waiting) return GR_OK;
    peer->next.carrier = carrier;
    peer->next.next_s = now + welcome_pause_s;
    gr_post_put_copy(post, carrier, peer->next.letter);
out:
    return status;
}

gr_status gr_post_begin(struct gr_post *post, struct gr_carrier *carrier,
                        const struct gr_letter *letter, const struct gr_letter_head *head,
                        struct gr_post_message *out) {
    const uint32_t party = head->label.from;
    struct gr_post_peer *peer = &post->peers[party];
    unsigned char *message;
    size_t n;
    if (gr_letter_open(letter, 0, peer->secrets->next_in, &message, &n) != GR_OK) {
        gr_post_refuse_closed(post, letter, party);
        if (!gr_letter_is_whole(letter)) return GR_OK;
        /* The site has the answer of a coordinator before this one, to the same HELLO. */
        drop_opening(peer);
        gr_post_disown(post, carrier, head);
        return GR_OK;
    }
    gr_free(message);
    out->kind = GR_POST_GREETING;
    out->party = party;
    out->bytes = out->memory = peer->next.greeting;
    out->n = peer->next.greeting_bytes;
    peer->next.greeting = NULL;
    if (peer->now.live) remember_gone(peer, peer->now.id, true);
    promote(post, party, carrier);
    out->session = peer->session;
    return GR_OK;
}
