/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The post: takes letters from its carriers, has them checked, and sends messages as letters.
 * Carriers are not believed: whatever they bring is admitted here once more.
 */
#include "post/session.h"

#include <math.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Letters without a message that are dealt with in one call of gr_post_receive at most. */
enum { LETTERS_AT_ONCE = 64 };
/* Long enough for whatever synchronises a folder to bring a file that it left out the first time.
 */
static const double gap_s = 300;
/* So that each side knows of the other, and a site of a coordinator that was started anew. */
static const double beat_s = 30;

const unsigned char *gr_post_study(const struct gr_post *post) {
    return post->options.who.study;
}

const char *gr_post_name(const struct gr_post *post, uint32_t party) {
    return post->options.who.parties[party].name;
}

void gr_post_say(const struct gr_post *post, const char *format, ...) {
    char words[GR_MESSAGE_MAX];
    va_list arguments;
    if (!post->options.say) return;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    post->options.say(post->options.context, words);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static const char *fault_words(enum gr_post_fault fault) {
    switch (fault) {
    case GR_FAULT_REPEATED:
        return "has come before";
    case GR_FAULT_SESSION:
        return "is of a session that has ended, as there are after a restart, or for another party";
    case GR_FAULT_EARLY:
        return "has come too long before its turn";
    case GR_FAULT_CHANGED:
        return "was changed on its way";
    case GR_FAULT_SEALING:
        return "does not open with the keys of its session, or has no place in it";
    default:
        return "is not wanted";
    }
}

static uint64_t *counter_of(struct gr_post_refused *refused, enum gr_post_fault fault) {
    switch (fault) {
    case GR_FAULT_REPEATED:
        return &refused->repeated;
    case GR_FAULT_SESSION:
        return &refused->other_session;
    case GR_FAULT_EARLY:
        return &refused->early;
    case GR_FAULT_CHANGED:
        return &refused->forged;
    default:
        return &refused->unreadable;
    }
}

static bool first_of(struct gr_post *post, unsigned kind) {
    const bool first = !(post->told & 1U << kind);
    post->told |= 1U << kind;
    return first;
}

void gr_post_refuse(struct gr_post *post, enum gr_post_fault fault, uint32_t party) {
    ++*counter_of(&post->own, fault);
    if (first_of(post, fault))
        gr_post_say(post,
                    "%s: a letter of it %s; it was dropped, as will be others like it, which are "
                    "counted",
                    gr_post_name(post, party), fault_words(fault));
}

void gr_post_refuse_closed(struct gr_post *post, const struct gr_letter *letter, uint32_t party) {
    gr_post_refuse(post, gr_letter_is_whole(letter) ? GR_FAULT_SEALING : GR_FAULT_CHANGED, party);
}

/* Adds what the carriers have refused to what was refused here, and tells the first of a kind. */
static void count_refusals(struct gr_post *post) {
    static const size_t places[GR_CARRIER_REFUSALS] = {
        [GR_REFUSED_FORGED] = offsetof(struct gr_post_refused, forged),
        [GR_REFUSED_STUDY] = offsetof(struct gr_post_refused, other_study),
        [GR_REFUSED_VERSION] = offsetof(struct gr_post_refused, other_version),
        [GR_REFUSED_SIZE] = offsetof(struct gr_post_refused, too_large),
        [GR_REFUSED_UNREADABLE] = offsetof(struct gr_post_refused, unreadable)};
    post->all = post->own;
    for (size_t i = 0; i < post->options.n_carriers; i++)
        for (unsigned why = 0; why < GR_CARRIER_REFUSALS; why++) {
            const struct gr_carrier *carrier = post->carriers[i];
            const uint64_t n = gr_carrier_n_refused(carrier, why);
            uint64_t *sum = (uint64_t *)(void *)((char *)&post->all + places[why]);
            *sum += n;
            if (n > 0 && first_of(post, why))
                gr_post_say(post,
                            "by %s: %s; it was refused, as will be others like it, which are "
                            "counted",
                            carrier->kind->name, gr_carrier_refusal_words(carrier, why));
        }
}

const struct gr_post_refused *gr_post_refused(const struct gr_post *post) {
    return &post->all;
}

/* ---- open, close ---------------------------------------------------------------------------- */

static void listen_to_all(const struct gr_post *post, void (*notify)(void *), void *context) {
    for (size_t i = 0; i < post->options.n_carriers; i++)
        gr_carrier_listen(post->carriers[i], notify, context);
}

static gr_status create(const struct gr_post_options *options, struct gr_post **out) {
    gr_status status = GR_OK;
    struct gr_post *post;
    const uint32_t n = options->who.n_parties;
    GR_TRY(gr_allocate_zero(1, sizeof *post, "the post", out));
    post = *out;
    post->options = *options;
    post->gap_s = gap_s;
    post->beat_s = beat_s;
    GR_TRY(
        gr_allocate(options->n_carriers, sizeof(struct gr_carrier *), "carriers", &post->carriers));
    for (size_t i = 0; i < options->n_carriers; i++)
        post->carriers[i] = options->carriers[i];
    GR_TRY(gr_allocate_zero(n, sizeof *post->peers, "parties", &post->peers));
    post->secrets = sodium_allocarray(n, sizeof *post->secrets);
    if (!post->secrets)
        return gr_fail(GR_ERROR_INTERNAL, "memory for the keys of sessions was refused");
    sodium_memzero(post->secrets, n * sizeof *post->secrets);
    for (uint32_t p = 0; p < n; p++)
        post->peers[p] = (struct gr_post_peer){.heard_s = -INFINITY,
                                               .note_s = -INFINITY,
                                               .notes = randombytes_random(),
                                               .carrier = post->carriers[0],
                                               .secrets = &post->secrets[p]};
out:
    return status;
}

/* Of the coordinator: the process before it may have taken all that a site has written, so that the
 * site would not be heard before its next sign of life. By https it learns of this one by itself.
 */
static void show_itself(struct gr_post *post) {
    for (size_t i = 0; i < post->options.n_carriers; i++)
        for (uint32_t p = 1; p < post->options.who.n_parties; p++)
            if (!post->carriers[i]->kind->acknowledges && !post->options.who.parties[p].left)
                gr_post_know_no_session(post, post->carriers[i], p);
}

gr_status gr_post_open(const struct gr_post_options *options, struct gr_post **out) {
    gr_status status = GR_OK;
    struct gr_post *post = NULL;
    *out = NULL;
    if (options->n_carriers == 0 || options->who.me >= options->who.n_parties ||
        options->greeting_bytes > GR_GREETING_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "a post without a carrier, or with too long a greeting");
    GR_TRY(create(options, &post));
    listen_to_all(post, options->notify, options->context);
    if (options->who.me != 0) {
        GR_TRY(gr_post_hello(post));
        for (size_t i = 0; i < options->n_carriers; i++) /* those of an earlier start */
            post->carriers[i]->kind->forget(post->carriers[i], 0, post->peers[0].next.id, 0);
    } else {
        show_itself(post);
    }
    *out = post;
    post = NULL;
out:
    gr_post_close(post);
    return status;
}

void gr_post_close(struct gr_post *post) {
    if (!post) return;
    if (post->carriers) listen_to_all(post, NULL, NULL);
    for (uint32_t p = 0; post->peers && p < post->options.who.n_parties; p++) {
        gr_post_session_end(post, &post->peers[p].now);
        gr_free(post->peers[p].next.letter);
        gr_free(post->peers[p].next.greeting);
    }
    sodium_free(post->secrets);
    gr_free(post->peers);
    gr_free(post->carriers);
    gr_free(post);
}

/* ---- receiving ------------------------------------------------------------------------------ */

void gr_post_forget(struct gr_post *post, uint32_t party) {
    const struct gr_post_session *now = &post->peers[party].now;
    for (size_t i = 0; i < post->options.n_carriers; i++)
        post->carriers[i]->kind->forget(post->carriers[i], party, now->id, now->confirmed);
}

static bool is_of(const struct gr_letter_head *head, bool live, const unsigned char *id) {
    return live && memcmp(head->label.session, id, GR_SESSION_BYTES) == 0;
}

/* A letter of a session: BEGIN, MESSAGE, RECEIPT. It is owned here. */
static gr_status take_of_session(struct gr_post *post, struct gr_carrier *carrier,
                                 struct gr_letter *letter, const struct gr_letter_head *head,
                                 struct gr_post_message *out) {
    gr_status status = GR_OK;
    struct gr_post_peer *peer = &post->peers[head->label.from];
    const bool coordinator = post->options.who.me == 0;
    if (coordinator && is_of(head, peer->next.waiting, peer->next.id))
        GR_TRY(gr_post_begin(post, carrier, letter, head, out));
    if (is_of(head, peer->now.live, peer->now.id))
        return gr_post_take_letter(post, carrier, letter, head, out);
    if (out->kind == GR_POST_NOTHING) gr_post_refuse(post, GR_FAULT_SESSION, head->label.from);
    if (coordinator && !is_of(head, peer->next.waiting, peer->next.id))
        gr_post_disown(post, carrier, head);
out:
    gr_free(letter);
    return status;
}

/* A letter that a carrier has brought; it is owned here. */
static gr_status take_letter(struct gr_post *post, struct gr_carrier *carrier,
                             struct gr_letter *letter, struct gr_post_message *out) {
    gr_status status = GR_OK;
    const struct gr_carrier_options *who = &post->options.who;
    struct gr_letter_label label;
    size_t bytes;
    if (gr_letter_admit(letter->bytes, letter->n, who->parties, who->n_parties, who->study, &label,
                        &bytes) != GR_OK) {
        gr_carrier_refuse(carrier);
        goto out;
    }
    const struct gr_letter_head head = gr_letter_read_head(letter->bytes);
    const bool to_coordinator = who->me == 0;
    if (label.to != who->me) {
        gr_post_refuse(post, GR_FAULT_SESSION, label.from);
    } else if (letter->n != bytes) {
        gr_post_refuse(post, GR_FAULT_CHANGED, label.from);
    } else if (head.kind == GR_LETTER_HELLO && to_coordinator) {
        status = gr_post_answer_hello(post, carrier, letter, &head);
    } else if (head.kind == GR_LETTER_WELCOME && !to_coordinator) {
        status = gr_post_take_welcome(post, carrier, letter, &head, out);
    } else if ((head.kind == GR_LETTER_UNKNOWN || head.kind == GR_LETTER_REPLACED) &&
               !to_coordinator) {
        status = gr_post_take_disowning(post, &head);
    } else if (head.kind == GR_LETTER_BEGIN || head.kind == GR_LETTER_MESSAGE ||
               head.kind == GR_LETTER_RECEIPT) {
        return take_of_session(post, carrier, letter, &head, out);
    } else {
        gr_post_refuse(post, GR_FAULT_SEALING, label.from);
    }
out:
    gr_free(letter);
    return status;
}

/* The next letter of any carrier, each in its turn. */
static gr_status next_letter(struct gr_post *post, struct gr_carrier **carrier,
                             struct gr_letter **letter) {
    *letter = NULL;
    for (size_t i = 0; i < post->options.n_carriers && !*letter; i++) {
        *carrier = post->carriers[post->turn++ % post->options.n_carriers];
        const gr_status status = (*carrier)->kind->take(*carrier, letter);
        if (status == GR_OK) continue;
        if (!post->options.say) return status;
        gr_post_say(post, "%s", gr_message());
    }
    return GR_OK;
}

static gr_status ended(const struct gr_post *post) {
    return gr_fail(
        GR_ERROR_USAGE,
        "another process that has the keys of %s takes part in the study since; only one "
        "may: this one has ended its part",
        gr_post_name(post, post->options.who.me));
}

/*
 * Of the coordinator: a site that has another edition of the study cannot be answered in it, and
 * would wait for ever. A note in this one, which it can only refuse, tells it so. Nobody has
 * vouched for the site: the note says nothing, and goes to nobody who has a session here.
 */
static void answer_strangers(struct gr_post *post, double now) {
    static const unsigned char no_session[GR_SESSION_BYTES];
    for (size_t i = 0; i < post->options.n_carriers; i++) {
        struct gr_carrier *carrier = post->carriers[i];
        uint32_t party;
        if (!gr_carrier_stranger(carrier, &party) || post->options.who.me != 0 || party == 0)
            continue;
        struct gr_post_peer *peer = &post->peers[party];
        if (peer->now.live || peer->next.waiting || now - peer->note_s < post->beat_s) continue;
        peer->note_s = now;
        carrier->kind->forget(carrier, party, no_session, 0);
        gr_post_know_no_session(post, carrier, party);
    }
}

/* A letter of a session that the coordinator's new process does not know is what it answers to. */
static void look_for_renewal(struct gr_post *post) {
    for (size_t i = 0; i < post->options.n_carriers; i++)
        if (gr_carrier_was_renewed(post->carriers[i]))
            post->peers[0].now.sent_s = -INFINITY; /* a sign of life is due */
}

gr_status gr_post_receive(struct gr_post *post, struct gr_post_message *out) {
    gr_status status = GR_OK;
    const double now = gr_clock_seconds();
    memset(out, 0, sizeof *out);
    if (post->ended) return ended(post);
    GR_TRY(gr_post_hello_again(post, now));
    gr_post_begin_again(post);
    if (post->options.who.me != 0) look_for_renewal(post);
    GR_TRY(gr_post_heal(post, now));
    gr_post_owed_notes(post, now);
    GR_TRY(gr_post_take_early(post, out));
    for (int i = 0; out->kind == GR_POST_NOTHING && i < LETTERS_AT_ONCE; i++) {
        struct gr_carrier *carrier = NULL;
        struct gr_letter *letter;
        GR_TRY(next_letter(post, &carrier, &letter));
        if (!letter) break;
        GR_TRY(take_letter(post, carrier, letter, out));
        if (post->ended) return ended(post);
        /* There may be more, of which no carrier tells again. */
        if (i == LETTERS_AT_ONCE - 1 && post->options.notify)
            post->options.notify(post->options.context);
    }
    gr_post_receipts(post, now);
    answer_strangers(post, now);
out:
    count_refusals(post);
    return status;
}

double gr_post_due_s(const struct gr_post *post) {
    const double now = gr_clock_seconds();
    double due = INFINITY;
    if (post->ended) return 0;
    for (uint32_t p = 0; p < post->options.who.n_parties; p++) {
        const struct gr_post_opening *next = &post->peers[p].next;
        if (p == post->options.who.me) continue;
        due = fmin(due, gr_post_receipt_due_s(post, p, now));
        due = fmin(due, gr_post_note_due_s(post, p, now));
        if (post->peers[p].now.waits_s > 0)
            due = fmin(due, post->peers[p].now.waits_s + post->gap_s - now);
        if (post->options.who.me != 0 && next->waiting) due = fmin(due, next->next_s - now);
    }
    return fmax(due, 0);
}

/* ---- sending -------------------------------------------------------------------------------- */

void gr_post_put_copy(struct gr_post *post, struct gr_carrier *carrier,
                      const struct gr_letter *letter) {
    struct gr_letter *copy;
    gr_status status = gr_allocate(1, sizeof *copy + letter->n, "a letter", &copy);
    if (status == GR_OK) {
        memcpy(copy, letter, sizeof *copy + letter->n);
        copy->next = NULL;
        status = carrier->kind->put(carrier, copy);
    }
    if (status != GR_OK) gr_post_say(post, "%s", gr_message());
}

static struct gr_letter_head head_of(const struct gr_post *post, uint32_t party,
                                     enum gr_letter_kind kind, uint64_t counter) {
    const struct gr_post_session *now = &post->peers[party].now;
    struct gr_letter_head head = {
        .label = {.from = post->options.who.me, .to = party, .counter = counter},
        .kind = kind,
        .acknowledged = now->taken,
        .unchecked = post->peers[party].carrier->kind->checks};
    memcpy(head.label.session, now->id, GR_SESSION_BYTES);
    return head;
}

/* Seals a letter of the present session, of these parts, and gives it up. */
static gr_status send_letter(struct gr_post *post, uint32_t party, enum gr_letter_kind kind,
                             const struct gr_post_part *parts, size_t n_parts,
                             struct gr_letter *letter) {
    struct gr_post_peer *peer = &post->peers[party];
    struct gr_post_session *now = &peer->now;
    const size_t n = letter->n;
    const bool note = kind == GR_LETTER_RECEIPT;
    const uint64_t counter = note ? GR_LETTER_NOTE | ++peer->notes : now->sent + 1;
    gr_letter_seal_parts(letter, head_of(post, party, kind, counter), 0, parts, n_parts,
                         peer->secrets->out, post->options.who.keys, gr_post_study(post));
    const gr_status status = peer->carrier->kind->put(peer->carrier, letter);
    if (status != GR_OK) return status;
    now->sent_s = gr_clock_seconds();
    if (!note) {
        gr_post_was_sent(now, n);
    } else {
        now->receipted = now->taken;
        now->owed_bytes = 0;
    }
    return GR_OK;
}

gr_status gr_post_send_empty(struct gr_post *post, uint32_t party, enum gr_letter_kind kind) {
    gr_status status = GR_OK;
    struct gr_letter *letter;
    GR_TRY(gr_letter_create(0, 0, &letter));
    GR_TRY(send_letter(post, party, kind, NULL, 0, letter));
out:
    return status;
}

static bool has_session(const struct gr_post *post, uint32_t party) {
    return !post->ended && party < post->options.who.n_parties && post->peers[party].now.live &&
           !post->peers[party].now.disowned;
}

size_t gr_post_room(const struct gr_post *post, uint32_t party) {
    size_t room = GR_CARRIER_HELD;
    if (!has_session(post, party) || gr_post_has_to_begin(post)) return 0;
    const struct gr_post_peer *peer = &post->peers[party];
    struct gr_carrier *carrier = peer->carrier;
    if (!carrier->kind->acknowledges) {
        if (peer->now.sent - peer->now.confirmed >= GR_POST_WINDOW - 1) return 0;
        room = peer->now.under_way < room ? room - peer->now.under_way : 0;
    }
    if (carrier->kind->room) {
        const size_t more = carrier->kind->room(carrier, party);
        if (more < room) room = more;
    }
    return room > GR_LETTER_HEAD_BYTES ? room - GR_LETTER_HEAD_BYTES : 0;
}

gr_status gr_post_send(struct gr_post *post, uint32_t party, const struct gr_post_part *parts,
                       size_t n_parts) {
    gr_status status = GR_OK;
    struct gr_letter *letter;
    size_t n = 0;
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].n > GR_LETTER_BODY_MAX - n)
            return gr_fail(GR_ERROR_INTERNAL, "a message has more than %d bytes",
                           GR_LETTER_BODY_MAX);
        n += parts[i].n;
    }
    if (!has_session(post, party)) return gr_fail(GR_STOPPED, "there is no session with the party");
    const size_t room = gr_post_room(post, party);
    if (room == 0 || n > room)
        return gr_fail(GR_ERROR_WRITE, "%s: found %zu bytes of room for letters, expected %zu",
                       gr_post_name(post, party), room, n);
    GR_TRY(gr_letter_create(0, n, &letter));
    GR_TRY(send_letter(post, party, GR_LETTER_MESSAGE, parts, n_parts, letter));
out:
    return status;
}

/* ---- state ---------------------------------------------------------------------------------- */

uint32_t gr_post_session(const struct gr_post *post, uint32_t party) {
    return has_session(post, party) ? post->peers[party].session : 0;
}

double gr_post_silent_s(const struct gr_post *post, uint32_t party) {
    double silent = gr_clock_seconds() - post->peers[party].heard_s;
    for (size_t i = 0; i < post->options.n_carriers; i++)
        silent = fmin(silent, post->carriers[i]->kind->silent_s(post->carriers[i], party));
    return silent;
}

gr_status gr_post_renew(struct gr_post *post) {
    if (post->ended || post->options.who.me == 0 || post->peers[0].next.waiting) return GR_OK;
    return gr_post_hello(post);
}
