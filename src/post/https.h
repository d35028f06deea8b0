/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both ends of the https carrier share: the note in the head of each request and answer, and
 * the intake, which takes letters from a stream of bytes.
 *
 * A site makes two kinds of requests, one of each at a time, at the one address /letters:
 *   GET   a poll: the answer's body is letters for the site, or none after some seconds
 *   POST  an upload: the request's body is letters from it; without a body it asks where to go on
 * Each direction is a stream of numbered letters, numbers ascending, perhaps with gaps; the letters
 * of one body have numbers in succession. The receiver tells the number of the last whole letter
 * and how many bytes of the next it has, so that a transfer goes on where a broken one stopped. A
 * poll's note acknowledges by that what came before.
 *
 * A request is signed by the site and bound to the study and to this start of the server by a
 * challenge; the sequence of its purpose ascends. Repeating one that somebody has recorded
 * therefore does nothing. Whoever does not know the challenge yet is told it (401) if his signature
 * is right; all others get a bare 404.
 */
#ifndef GRANARY_POST_HTTPS_H
#define GRANARY_POST_HTTPS_H

#include <granary/post.h>
#include <time.h>

/* The header of HTTP that carries the note, of requests and answers. */
#define GR_HTTPS_HEADER "Granary"
#define GR_HTTPS_PATH   "/letters"

enum {
    GR_HTTPS_VERSION = 1,
    GR_HTTPS_CHALLENGE = 16,
    GR_HTTPS_HOLD_S = 25,           /* at most, before an answer says that there is nothing */
    GR_HTTPS_PART_LEAST = 16 << 10, /* bytes of an upload, however little a proxy lets through */
    /* Bytes of a note as it travels, and of its text in base64, with the NUL. */
    GR_HTTPS_NOTE_BYTES = 64,
    GR_HTTPS_REQUEST_BYTES = GR_HTTPS_NOTE_BYTES + GR_SIGNATURE_BYTES,
    GR_HTTPS_ANSWER_TEXT = (GR_HTTPS_NOTE_BYTES + 2) / 3 * 4 + 1,
    GR_HTTPS_REQUEST_TEXT = (GR_HTTPS_REQUEST_BYTES + 2) / 3 * 4 + 1
};

enum gr_https_purpose { GR_HTTPS_POLL = 1, GR_HTTPS_UPLOAD = 2 };

/* Answers, by the numbers of HTTP. All but the three that refuse a caller (403, 404, 413)
 * have a note. */
enum {
    GR_HTTPS_DONE = 200,
    GR_HTTPS_NOTHING = 204,        /* a poll's: no letter has come so far */
    GR_HTTPS_ANEW = 401,           /* the challenge or the sequence is not the present one */
    GR_HTTPS_NO_CERTIFICATE = 403, /* TLS: the server asks for one of its CA */
    GR_HTTPS_UNKNOWN = 404,        /* no such party, key, study or path: nothing is told */
    GR_HTTPS_ANOTHER = 409,        /* another process calls under this key */
    GR_HTTPS_ELSEWHERE = 412,      /* an upload does not begin where the note says */
    GR_HTTPS_TOO_LARGE = 413,      /* an upload of more than may come at once, or of no length */
    GR_HTTPS_REFUSED = 422         /* a letter of this upload is not in order: it is skipped */
};

struct gr_https_note {
    enum gr_https_purpose purpose;
    uint16_t hold;  /* request: seconds that the answer may be held back */
    uint32_t party; /* the site */
    unsigned char challenge[GR_HTTPS_CHALLENGE];
    uint64_t
        sequence; /* request: above the last of this purpose; answer: the last that was taken */
    uint64_t instance; /* of the site's process, drawn when it starts */
    /*
     * Poll: the number of the last whole letter that the site has; answer: of the first letter in
     * the body; 401: of the last that the site has acknowledged.
     * Upload: the number of the first letter in the body, or of the next one; answer: of the last
     * whole letter that the server has.
     */
    uint64_t number;
    uint64_t at;   /* of the next letter, bytes that are there already: the body begins with it */
    uint64_t room; /* poll, answer to an upload: bytes that may come; asking upload: bytes wanted */
};

/* Not collective. The note as text, signed for the study where keys are given. text: room for
 * GR_HTTPS_REQUEST_TEXT, or for GR_HTTPS_ANSWER_TEXT without keys. */
void gr_https_note_write(const struct gr_https_note *note, const struct gr_keys *keys,
                         const unsigned char study[GR_DIGEST_BYTES], char *text);
/* Not collective. Reads an answer's note of `length` characters; false: it is none. */
bool gr_https_answer_parse(const char *text, size_t length, struct gr_https_note *out);
/* Not collective. A line of an answer's head, of `length` bytes, its end included: if it is the
 * note's header, *noted is whether it has a note, which *out then is. */
void gr_https_answer_line(const char *line, size_t length, bool *noted, struct gr_https_note *out);
/*
 * Not collective. Reads a request's note, and whether it is signed, for this study, by the party
 * that it names, which is one of the sites.
 */
bool gr_https_request_parse(const char *text, size_t length,
                            const struct gr_carrier_options *options, struct gr_https_note *out);

/* Takes letters from a stream of bytes. At first zero but for the last four. */
struct gr_https_intake {
    unsigned char head[GR_LETTER_HEAD_BYTES];
    size_t have;              /* bytes of the present letter */
    struct gr_letter *letter; /* once its head has been admitted; owned */
    /* To be set before each use: whose letters these are, and the bytes that one may have. */
    struct gr_carrier *carrier;
    const struct gr_carrier_options *who;
    uint32_t from;
    size_t room;
};
/*
 * Not collective. Takes what it needs of n bytes for the present letter, *used of them, and gives
 * the letter once it is whole, owned by the caller; NULL: more is needed. No more than the head is
 * taken before gr_letter_admit has passed it, nor is memory; the carrier counts a refusal. Errors:
 * GR_ERROR_DATA, GR_ERROR_INTERNAL; the intake is then at the beginning of a letter.
 */
gr_status gr_https_intake_take(struct gr_https_intake *intake, const unsigned char *bytes, size_t n,
                               size_t *used, struct gr_letter **out) GR_CHECKED;
/* Not collective. The present letter is dropped. */
void gr_https_intake_drop(struct gr_https_intake *intake);

/* What is read of certificates and keys (post/https_certificate.c). */
struct gr_https_identity {
    char *certificate, *key; /* PEM, with a NUL; owned */
    char pin[64];            /* of the certificate: "sha256//BASE64" */
    time_t until;            /* when the certificate expires */
};
/*
 * Not collective. Reads the files that the options name, or else those in their directory, which
 * are made where they are missing: an ECDSA key (0600) and a certificate signed by itself, for ten
 * years. Errors: GR_ERROR_CONFIG, GR_ERROR_WRITE. Released by gr_https_identity_release in any
 * case.
 */
gr_status gr_https_identity_open(const struct gr_https_server *options,
                                 struct gr_https_identity *out) GR_CHECKED;
void gr_https_identity_release(struct gr_https_identity *identity);
/* Not collective. Reads certificates of authorities in PEM. Errors: GR_ERROR_CONFIG. *out: for
 * gr_free in any case, NULL at first. */
gr_status gr_https_authority_read(const char *path, char **out) GR_CHECKED;

#endif
