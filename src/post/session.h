/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The post, inside the room: sessions with other parties, for the files that begin them
 * (greeting.c), keep their order (order.c), and run the whole (session.c).
 */
#ifndef GRANARY_POST_SESSION_H
#define GRANARY_POST_SESSION_H

#include "post/agreement.h"
#include "post/carrier.h"

enum {
    GR_POST_WINDOW = 256, /* letters of a session that may be under way, or wait for their turn */
    GR_POST_GONE = 8,     /* sessions of a party that are remembered when they have ended */
};

/* A session that has begun. */
struct gr_post_session {
    bool live;     /* there is one */
    bool disowned; /* the coordinator has said that it does not know it */
    unsigned char id[GR_SESSION_BYTES];
    uint64_t sent, taken; /* counters of the last letter of ours, and of theirs in order */
    uint64_t confirmed;   /* of ours the last that they have taken */
    uint64_t receipted;   /* of theirs the last that we have told them we took */
    size_t owed_bytes;    /* of those between receipted and taken */
    double owed_s;        /* since when there are some */
    size_t under_way;     /* bytes of ours from confirmed to sent */
    uint32_t sizes[GR_POST_WINDOW]; /* of letters of ours, by counter modulo GR_POST_WINDOW */
    uint64_t note;                  /* counter of the latest of their receipts */
    double sent_s;                  /* when something was sent last */
    double waits_s; /* since when some of theirs wait for one before them; 0: none does */
    uint32_t n_early;
    struct gr_letter *early[GR_POST_WINDOW]; /* of theirs, likewise; owned */
};

/*
 * A session that is to begin: at a site a HELLO that waits for its answer, at the coordinator a
 * WELCOME that waits for the first letter.
 */
struct gr_post_opening {
    bool waiting;
    bool anew; /* the next HELLO is to be of a new session */
    unsigned char id[GR_SESSION_BYTES];
    struct gr_letter *letter;   /* to be sent again; owned */
    struct gr_carrier *carrier; /* of the coordinator: by which the HELLO came */
    unsigned char *greeting;    /* of the coordinator: the site's; owned */
    size_t greeting_bytes;
    double next_s, pause_s; /* when HELLO is to be sent again, and how long after that */
};

/* Secrets of the sessions with a party, in memory of sodium_malloc. */
struct gr_post_secrets {
    unsigned char in[GR_KEY_BYTES], out[GR_KEY_BYTES];           /* of the session */
    unsigned char next_in[GR_KEY_BYTES], next_out[GR_KEY_BYTES]; /* of the one that is to begin */
    struct gr_fresh_key fresh;                                   /* of the HELLO */
};

struct gr_post_gone {
    unsigned char id[GR_SESSION_BYTES];
    bool replaced; /* by another of the same party; else it never began here */
};

struct gr_post_peer {
    struct gr_post_session now;
    struct gr_post_opening next;
    struct gr_post_gone gone[GR_POST_GONE];
    uint32_t n_gone;  /* ever */
    uint32_t session; /* how many have begun */
    uint64_t notes;   /* the number of the last that was sent; the first is drawn */
    double note_s;    /* when the last UNKNOWN or REPLACED was sent; at a site: when one of no
                         session made a sign of life due */
    /* An UNKNOWN or REPLACED that was not sent yet, as one had been just before: for this letter.
     */
    bool owes_note;
    struct gr_letter_head owed;
    struct gr_carrier *owed_to;
    double heard_s;             /* when something valid came; -INFINITY: never */
    struct gr_carrier *carrier; /* by which it last wrote */
    struct gr_post_secrets *secrets;
};

struct gr_post {
    struct gr_post_options options;
    struct gr_carrier **carriers; /* a copy of the list */
    struct gr_post_peer *peers;   /* by party; that of this side is not used */
    struct gr_post_secrets *secrets;
    size_t turn;                     /* of the carriers: whose letters are taken next */
    size_t early_bytes;              /* of all letters that wait for their turn */
    double beat_s;                   /* how long nothing is sent before a receipt is */
    double gap_s;                    /* how long a letter is waited for when later ones are there */
    bool ended;                      /* another process has taken the place of this one */
    struct gr_post_refused own, all; /* refused here; with those that the carriers have refused */
    uint32_t told;                   /* a bit for each kind of refusal that was told */
};

/* Kinds of refusals that are told, beyond those of carriers. */
enum gr_post_fault {
    GR_FAULT_REPEATED = GR_CARRIER_REFUSALS,
    GR_FAULT_SESSION,
    GR_FAULT_EARLY,
    GR_FAULT_CHANGED, /* the body was cut or damaged */
    GR_FAULT_SEALING, /* it was not sealed for this session, or makes no sense in it */
};

/* ---- session.c ------------------------------------------------------------------------------ */

/* Counts a letter that is refused, and says so if it is the first of its kind. */
void gr_post_refuse(struct gr_post *post, enum gr_post_fault fault, uint32_t party);
/* The same for a letter that does not open: it was changed, or was not sealed for this session. */
void gr_post_refuse_closed(struct gr_post *post, const struct gr_letter *letter, uint32_t party);
/* Tells people by `say`, if there is one. */
void gr_post_say(const struct gr_post *post, const char *format, ...) GR_PRINTF(2, 3);
/* Gives a copy of the letter, sealed before, to a carrier; a failure is said. */
void gr_post_put_copy(struct gr_post *post, struct gr_carrier *carrier,
                      const struct gr_letter *letter);
/* Tells all carriers which letters to the party are void. */
void gr_post_forget(struct gr_post *post, uint32_t party);
const unsigned char *gr_post_study(const struct gr_post *post);
const char *gr_post_name(const struct gr_post *post, uint32_t party);

/* ---- greeting.c ----------------------------------------------------------------------------- */

/* Of a site: draws a new session and says HELLO. */
gr_status gr_post_hello(struct gr_post *post) GR_CHECKED;
/* Of a site: repeats HELLO if it is time. */
gr_status gr_post_hello_again(struct gr_post *post, double now) GR_CHECKED;
/* Of the coordinator: a HELLO that was admitted. */
gr_status gr_post_answer_hello(struct gr_post *post, struct gr_carrier *carrier,
                               const struct gr_letter *letter,
                               const struct gr_letter_head *head) GR_CHECKED;
/* Of a site: a WELCOME that was admitted; *out becomes the greeting where it is the answer. */
gr_status gr_post_take_welcome(struct gr_post *post, struct gr_carrier *carrier,
                               const struct gr_letter *letter, const struct gr_letter_head *head,
                               struct gr_post_message *out) GR_CHECKED;
/* Of a site: whether BEGIN, the first letter of a session, is still to be given to the carrier. */
bool gr_post_has_to_begin(const struct gr_post *post);
void gr_post_begin_again(struct gr_post *post);
/* Of the coordinator: the first letter of a session that is to begin, if it opens. */
gr_status gr_post_begin(struct gr_post *post, struct gr_carrier *carrier,
                        const struct gr_letter *letter, const struct gr_letter_head *head,
                        struct gr_post_message *out) GR_CHECKED;
/* Of the coordinator: a letter of a session that it does not know: the site is told so. */
void gr_post_disown(struct gr_post *post, struct gr_carrier *carrier,
                    const struct gr_letter_head *head);
/* Of the coordinator: tells what could not be told at once; and seconds until that is due. */
void gr_post_owed_notes(struct gr_post *post, double now);
double gr_post_note_due_s(const struct gr_post *post, uint32_t party, double now);
/* Of the coordinator: tells a site, by a note of no session, that this process knows none yet. */
void gr_post_know_no_session(struct gr_post *post, struct gr_carrier *carrier, uint32_t party);
/* Of a site: UNKNOWN or REPLACED. */
gr_status gr_post_take_disowning(struct gr_post *post,
                                 const struct gr_letter_head *head) GR_CHECKED;
/* Gives up the sessions in which a letter has been missing for too long: they are begun anew. */
gr_status gr_post_heal(struct gr_post *post, double now) GR_CHECKED;
/* A letter without a message, of the present session: BEGIN or RECEIPT. */
gr_status gr_post_send_empty(struct gr_post *post, uint32_t party,
                             enum gr_letter_kind kind) GR_CHECKED;

/* ---- order.c -------------------------------------------------------------------------------- */

/* A letter of the present session, owned here from now on; *out becomes its message where it is
 * its turn. */
gr_status gr_post_take_letter(struct gr_post *post, struct gr_carrier *carrier,
                              struct gr_letter *letter, const struct gr_letter_head *head,
                              struct gr_post_message *out) GR_CHECKED;
/* The next of the letters that came early, if it is its turn. */
gr_status gr_post_take_early(struct gr_post *post, struct gr_post_message *out) GR_CHECKED;
/* Acknowledges what is due, and shows that this side is there. */
void gr_post_receipts(struct gr_post *post, double now);
/* Seconds until a receipt to the party is due; INFINITY: there is no session. */
double gr_post_receipt_due_s(const struct gr_post *post, uint32_t party, double now);
/* A letter of n bytes was sent: it is under way, and has acknowledged all that was taken. */
void gr_post_was_sent(struct gr_post_session *session, size_t n);
/* Releases what the session holds; it is over. */
void gr_post_session_end(struct gr_post *post, struct gr_post_session *session);

#endif
