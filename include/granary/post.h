/* SPDX-License-Identifier: Apache-2.0 */
/*
 * post: sealed letters between the parties of a study, each under its own account, on its own
 * machine: their keys, the letters, the carriers that bring them, and sessions, which make of
 * letters that may be lost, doubled or out of order an ordered stream of messages.
 *
 * A carrier is not trusted: whoever runs it reads nothing of a message, changes nothing, and
 * replays nothing; it sees who writes to whom, when, and how much.
 *
 * Not collective: nothing here calls MPI. Lifetime: keys, parties and a carrier outlive the post
 * that borrows them. A post is used by one thread; carriers have threads of their own, which call
 * no one but `notify`.
 *
 * Interface: internal.
 */
#ifndef GRANARY_POST_H
#define GRANARY_POST_H

#include <granary/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- keys (post/keys.c) ---------------------------------------------------------------------- */

enum {
    GR_KEY_BYTES = 32,
    GR_SIGNATURE_BYTES = 64,
    GR_PUBLIC_KEY_TEXT = 104 /* room for gr_public_key_text, with its NUL */
};

/* The public half of a party's keys. */
struct gr_public_key {
    unsigned char verify[GR_KEY_BYTES]; /* Ed25519 (RFC 8032): its signatures */
    unsigned char seal[GR_KEY_BYTES];   /* X25519 (RFC 7748): letters to it */
};

struct gr_keys; /* opaque; both halves, locked in memory where the system allows it */

/*
 * Not collective. Draws the keys of a party from the system's entropy into `directory`, which is
 * made where it is missing (0700): secret.key (0600) and public.key (0644), durable before this
 * returns. Errors: GR_ERROR_WRITE; a key that is there already is never replaced.
 */
gr_status gr_keys_generate(const char *directory, struct gr_public_key *out) GR_CHECKED;
/*
 * Not collective. Reads a folder of gr_keys_generate. Errors: GR_ERROR_CONFIG names the file: not
 * there, not of this form, its halves do not belong together, or others than its owner may read it.
 * *out: the caller's, for gr_keys_free.
 */
gr_status gr_keys_read(const char *directory, struct gr_keys **out) GR_CHECKED;
/* Not collective. Draws keys that end with this process. *out: the caller's, for gr_keys_free.
 * Errors: GR_ERROR_INTERNAL: no memory. */
gr_status gr_keys_draw(struct gr_keys **out) GR_CHECKED;
/* Not collective. Wipes and releases; NULL accepted. */
void gr_keys_free(struct gr_keys *keys);
/* Not collective. Borrowed. */
const struct gr_public_key *gr_keys_public(const struct gr_keys *keys);

/* Not collective. The key as a word for files and people, with a checksum. */
void gr_public_key_text(const struct gr_public_key *key, char out[GR_PUBLIC_KEY_TEXT]);
/* Not collective. Reads such a word; false: it is none, or was mistyped. */
bool gr_public_key_parse(const char *text, struct gr_public_key *out);

/*
 * Not collective. Signs n bytes for a purpose ("study", "letter"), so that a signature given for
 * one cannot be shown for another. Ed25519 over BLAKE2b-512 of purpose and bytes.
 */
void gr_keys_sign(const struct gr_keys *keys, const char *purpose, const void *bytes, size_t n,
                  unsigned char out[GR_SIGNATURE_BYTES]);
/* Not collective. Whether the signature is the key's, for this purpose, of these bytes. */
bool gr_public_key_verify(const struct gr_public_key *key, const char *purpose, const void *bytes,
                          size_t n, const unsigned char signature[GR_SIGNATURE_BYTES]);

/* A party of a study. */
struct gr_party {
    char name[64]; /* its pseudonym */
    struct gr_public_key key;
    bool left; /* the study: nothing of it is taken any more */
};

/* ---- letters (post/letter.c) ----------------------------------------------------------------- */

enum {
    GR_SESSION_BYTES = 16,
    GR_LETTER_BODY_MAX = 8 << 20, /* bytes of a message in a letter */
    GR_LETTER_HEAD_BYTES =
        192, /* label, kind, acknowledgement, size and tag of the body, signature */
    GR_LETTER_MAX = GR_LETTER_BODY_MAX + GR_LETTER_HEAD_BYTES + 64
};

/* The outside of a letter, in the clear: what a carrier goes by. It is bound into the sealing. */
struct gr_letter_label {
    uint32_t from, to; /* parties by number: 0 the coordinator, sites from 1 */
    unsigned char session[GR_SESSION_BYTES];
    /* Of the sender's letters in this session, from 1. With its highest bit set: a note, which
     * stands outside the order, and which a later note of the session makes void. */
    uint64_t counter;
};

/* A letter as it travels. */
struct gr_letter {
    struct gr_letter *next; /* for whoever holds it in a list */
    struct gr_letter_label label;
    size_t n; /* bytes, head included */
    unsigned char bytes[];
};

/*
 * Not collective. Reads the label from the first GR_LETTER_HEAD_BYTES of a letter, checks that it
 * is of this study and that the signature is that of the party who it says sent it, and learns how
 * many bytes the letter has in all, so that a carrier can refuse all else before it takes room or
 * reads on. Errors: GR_ERROR_DATA in words without any byte of the letter.
 */
gr_status gr_letter_admit(const unsigned char *head, size_t n, const struct gr_party *parties,
                          uint32_t n_parties, const unsigned char study[GR_DIGEST_BYTES],
                          struct gr_letter_label *label, size_t *bytes) GR_CHECKED;

/* ---- carriers -------------------------------------------------------------------------------- */

/*
 * Brings letters from one party to another at some time, perhaps several times, in any order;
 * nothing is lost for good unless the post is told. A carrier's thread stores and forwards; it
 * holds at most GR_CARRIER_HELD bytes for each party and direction: beyond it a sender is made to
 * wait where the carrier can (https), else GR_ERROR_WRITE tells.
 */
enum { GR_CARRIER_HELD = 32 << 20 };

/* Letters that a carrier has refused for one reason, and the words of the first. */
enum { GR_CARRIER_REFUSALS = 5 };
struct gr_carrier_refused {
    uint64_t n;
    char words[256];
};

/* All zero at first but for `kind`. */
struct gr_carrier {
    const struct gr_carrier_kind *kind;
    /* Called through gr_carrier_tell by a carrier's thread when something has come, or there is
     * room again. May be NULL. */
    void (*notify)(void *context);
    void *context;
    struct gr_carrier_refused refused[GR_CARRIER_REFUSALS]; /* by gr_carrier_refuse */
    /* A party in whose name a letter of another study has come, + 1, until the post has asked; 0:
     * there is none. */
    uint32_t stranger;
    bool renewed; /* by gr_carrier_renew */
};
/* Not collective. By a carrier's thread: calls `notify`, if anybody listens. No lock that put or
 * take need may be held. */
void gr_carrier_tell(struct gr_carrier *carrier);
/* Not collective. By a carrier's thread, as gr_carrier_tell: another process is at the other end
 * since. It may know no session, and what the one before had taken may be lost with it: the post
 * makes itself heard at once. */
void gr_carrier_renew(struct gr_carrier *carrier);
/* Not collective. By the thread whose gr_letter_admit has just failed: counts the letter by its
 * reason, for the post to tell. */
void gr_carrier_refuse(struct gr_carrier *carrier);

struct gr_carrier_kind {
    const char *name; /* "https", "folder" */
    /* Whether a letter that was given up to the carrier is known by it to have come: the post then
     * need not acknowledge by letters. */
    bool acknowledges;
    /* Whether it brings each letter as it was put, or not at all, as TLS does: letters need no
     * checksum of their bodies then. */
    bool checks;
    /* Takes ownership of the letter in any case. Does not wait for the network. A letter for which
     * this fails is never sent. */
    gr_status (*put)(struct gr_carrier *carrier, struct gr_letter *letter);
    /* The next letter for this party, owned by the caller (gr_free); *out NULL: none has come. It
     * need not be kept any longer: if this process is killed now, its session ends as well. An
     * error is a fault of this side that people can mend, told once for each change of it. */
    gr_status (*take)(struct gr_carrier *carrier, struct gr_letter **out);
    /* This party's letters to that one up to the counter have been read, and those of all other
     * sessions are void: they may be removed. */
    void (*forget)(struct gr_carrier *carrier, uint32_t to,
                   const unsigned char session[GR_SESSION_BYTES], uint64_t counter);
    /* Seconds since a party was last heard of, by whatever sign the carrier has; INFINITY: never.
     */
    double (*silent_s)(struct gr_carrier *carrier, uint32_t party);
    /* The state in words, for people who wait: "https://h:8443: connection refused, for 34 s". */
    void (*describe)(struct gr_carrier *carrier, char *out, size_t size);
    void (*close)(struct gr_carrier *carrier);
    /* Bytes of letters that put takes for that party now; NULL: any. */
    size_t (*room)(struct gr_carrier *carrier, uint32_t to);
};

/* All a carrier has to know; borrowed for its life. */
struct gr_carrier_options {
    const struct gr_keys *keys;
    const struct gr_party *parties; /* [0]: the coordinator */
    uint32_t n_parties, me;
    const unsigned char *study; /* GR_DIGEST_BYTES: its digest */
};

/*
 * Not collective. Letters as files of a folder that anything may synchronise (post/folder.c): each
 * is written under a temporary name, fsynced, renamed. Other files are left alone and told once.
 * Errors: GR_ERROR_CONFIG: no folder; GR_ERROR_WRITE: it cannot be written. *out: for
 * gr_carrier_close.
 */
gr_status gr_carrier_open_folder(const struct gr_carrier_options *options, const char *folder,
                                 struct gr_carrier **out) GR_CHECKED;

/* The coordinator's end of https. All text borrowed for the carrier's life. */
struct gr_https_server {
    const char *address;           /* "0.0.0.0:8443", "[::1]:0" */
    const char *certificate, *key; /* PEM files; NULL: a self-signed one, made in `directory` */
    const char *directory;
    const char *client_ca; /* PEM: sites must show a certificate of it; NULL: need not */
};
/* The site's end: it calls out only. */
struct gr_https_client {
    const char *url; /* "https://host:port" */
    const char *ca;  /* PEM file; NULL: the system's */
    const char
        *pin; /* "sha256//BASE64" of the server's public key, in the place of a CA; or NULL */
    const char *proxy;             /* "http://host:port"; NULL: as the environment says */
    const char *certificate, *key; /* PEM, where the server asks for them; or NULL */
};
/* Not collective. By libmicrohttpd, TLS 1.3. Errors: GR_ERROR_CONFIG names what cannot be listened
 * on or read. */
gr_status gr_carrier_open_https_server(const struct gr_carrier_options *options,
                                       const struct gr_https_server *server,
                                       struct gr_carrier **out) GR_CHECKED;
/* Not collective. By libcurl. No connection is tried yet. */
gr_status gr_carrier_open_https_client(const struct gr_carrier_options *options,
                                       const struct gr_https_client *client,
                                       struct gr_carrier **out) GR_CHECKED;
/* Not collective. The port that is listened on. */
int gr_https_server_port(const struct gr_carrier *carrier);
/* Not collective. The pin of the certificate, for people to hand to sites. */
void gr_https_server_pin(const struct gr_carrier *carrier, char *out, size_t size);
/* Not collective. NULL accepted; waits at most seconds for letters that are under way. */
void gr_carrier_close(struct gr_carrier *carrier);

/* ---- the post (post/session.c) --------------------------------------------------------------- */

/*
 * A session between the coordinator and a site. The site begins it with a HELLO, sealed to the
 * coordinator's key and signed, with a fresh X25519 key and a random session number; the
 * coordinator answers with a WELCOME and a fresh key of its own; both derive a key for each
 * direction from both fresh keys, both lasting ones, the study and the session. Letters of a
 * session are sealed with it (XChaCha20-Poly1305), signed, and counted: none is taken twice, none
 * out of order, none of another session or study. A new session takes the place of the old one when
 * its first letter has been opened, so that a HELLO that somebody repeats ends nothing. Sites write
 * to the coordinator alone.
 */
struct gr_post; /* opaque */

struct gr_post_options {
    struct gr_carrier_options who;
    struct gr_carrier *const *carriers; /* all of which are listened to; a party is answered by the
                                           one by which it last wrote */
    size_t n_carriers;
    const void *greeting; /* goes with HELLO and WELCOME, sealed; at most GR_GREETING_MAX bytes */
    size_t greeting_bytes;
    void (*notify)(void *context); /* by any thread: gr_post_receive may find something */
    void *context;
    void (*say)(void *context, const char *words); /* faults and waits for the terminal; or NULL */
};
enum { GR_GREETING_MAX = 4096 };

/* Not collective. A site's post says HELLO and repeats it until it is answered. */
gr_status gr_post_open(const struct gr_post_options *options, struct gr_post **out) GR_CHECKED;
/* Not collective. NULL accepted. Does not close carriers. */
void gr_post_close(struct gr_post *post);

enum gr_post_kind {
    GR_POST_NOTHING,
    GR_POST_GREETING, /* a session has begun, anew if there was one: bytes are the other's greeting
                       */
    GR_POST_MESSAGE
};
struct gr_post_message {
    enum gr_post_kind kind;
    uint32_t party;
    uint32_t session; /* how many there have been with this party, from 1 */
    size_t n;
    unsigned char *bytes;
    void *memory; /* in which they lie; owned by the receiver: gr_free */
};
/*
 * Not collective. The next of what has come, without waiting; at most one message is opened.
 * Letters that come before their turn are kept for a while, within limits; others that are not in
 * order are dropped, counted, and told by `say`. It also repeats HELLO and acknowledges, and is to
 * be called again whenever `notify` says so and within gr_post_due_s. Errors: a carrier's, where
 * there is no `say`, after which the post goes on; GR_ERROR_USAGE: another process has begun a
 * session with these keys since, and this post has ended.
 */
gr_status gr_post_receive(struct gr_post *post, struct gr_post_message *out) GR_CHECKED;
/* Not collective. Seconds until gr_post_receive has something to do by itself; INFINITY: nothing.
 */
double gr_post_due_s(const struct gr_post *post);

/* Part of a message. */
struct gr_post_part {
    const void *bytes;
    size_t n;
};
/*
 * Not collective. Bytes of messages that gr_post_send takes for the party now, so that no more than
 * GR_CARRIER_HELD wait to be read; 0 also without a session. `notify` tells when it may have grown.
 */
size_t gr_post_room(const struct gr_post *post, uint32_t party);
/*
 * Not collective. Sends the parts as one message, of at most GR_LETTER_BODY_MAX bytes, which are
 * copied, within the present session. Errors, after which nothing was sent: GR_STOPPED: there is no
 * session with that party; GR_ERROR_WRITE: gr_post_room is less, or the carrier failed.
 */
gr_status gr_post_send(struct gr_post *post, uint32_t party, const struct gr_post_part *parts,
                       size_t n_parts) GR_CHECKED;
/* Not collective. The number of the present session, 0: there is none, or the other side has said
 * that it does not know it any more. */
uint32_t gr_post_session(const struct gr_post *post, uint32_t party);
/*
 * Not collective. Of a site: begins a new session. The present one lasts until the new one has
 * begun. Nothing happens while a HELLO waits for its answer. A coordinator that was started anew is
 * found without it, within half a minute and the time that letters take.
 */
gr_status gr_post_renew(struct gr_post *post) GR_CHECKED;
/* Not collective. Seconds since anything valid came from the party; INFINITY: never. In a session
 * each side writes at least every half minute. */
double gr_post_silent_s(const struct gr_post *post, uint32_t party);
/* Letters that were refused, by reason, since the start: for evidence. */
struct gr_post_refused {
    uint64_t forged, repeated, other_session, other_study, other_version, too_large, unreadable;
    uint64_t early; /* came too long before their turn to be kept */
};
/* Not collective. Borrowed; as of the last gr_post_receive, carriers included. */
const struct gr_post_refused *gr_post_refused(const struct gr_post *post);

#ifdef __cplusplus
}
#endif
#endif
