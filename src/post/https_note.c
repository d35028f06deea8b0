/* SPDX-License-Identifier: Apache-2.0 */
/* Notes of requests and answers, and the intake of letters: what both ends of https parse. */
#include "post/https.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>

/* Version 1, purpose 1, hold 2, party 4, challenge 16, sequence 8, instance 8, number 8, at 8,
 * room 8: little-endian. */
static void put(unsigned char **at, uint64_t value, size_t n) {
    for (size_t i = 0; i < n; i++, value >>= 8)
        *(*at)++ = (unsigned char)value;
}

static uint64_t get(const unsigned char **at, size_t n) {
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value |= (uint64_t) * (*at)++ << (8 * i);
    return value;
}

static void pack(const struct gr_https_note *note, unsigned char out[GR_HTTPS_NOTE_BYTES]) {
    unsigned char *at = out;
    put(&at, GR_HTTPS_VERSION, 1);
    put(&at, note->purpose, 1);
    put(&at, note->hold, 2);
    put(&at, note->party, 4);
    memcpy(at, note->challenge, GR_HTTPS_CHALLENGE);
    at += GR_HTTPS_CHALLENGE;
    put(&at, note->sequence, 8);
    put(&at, note->instance, 8);
    put(&at, note->number, 8);
    put(&at, note->at, 8);
    put(&at, note->room, 8);
}

static bool unpack(const unsigned char bytes[GR_HTTPS_NOTE_BYTES], struct gr_https_note *out) {
    const unsigned char *at = bytes;
    const uint64_t version = get(&at, 1), purpose = get(&at, 1);
    if (version != GR_HTTPS_VERSION || (purpose != GR_HTTPS_POLL && purpose != GR_HTTPS_UPLOAD))
        return false;
    out->purpose = purpose == GR_HTTPS_POLL ? GR_HTTPS_POLL : GR_HTTPS_UPLOAD;
    out->hold = (uint16_t)get(&at, 2);
    out->party = (uint32_t)get(&at, 4);
    memcpy(out->challenge, at, GR_HTTPS_CHALLENGE);
    at += GR_HTTPS_CHALLENGE;
    out->sequence = get(&at, 8);
    out->instance = get(&at, 8);
    out->number = get(&at, 8);
    out->at = get(&at, 8);
    out->room = get(&at, 8);
    return true;
}

/* The study is signed, but does not travel: both sides know it. */
struct signed_note {
    unsigned char study[GR_DIGEST_BYTES];
    unsigned char note[GR_HTTPS_NOTE_BYTES];
};

void gr_https_note_write(const struct gr_https_note *note, const struct gr_keys *keys,
                         const unsigned char study[GR_DIGEST_BYTES], char *text) {
    unsigned char bytes[GR_HTTPS_REQUEST_BYTES];
    struct signed_note part;
    pack(note, bytes);
    if (!keys) {
        sodium_bin2base64(text, GR_HTTPS_ANSWER_TEXT, bytes, GR_HTTPS_NOTE_BYTES,
                          sodium_base64_VARIANT_ORIGINAL);
        return;
    }
    memcpy(part.study, study, sizeof part.study);
    memcpy(part.note, bytes, sizeof part.note);
    gr_keys_sign(keys, "https", &part, sizeof part, bytes + GR_HTTPS_NOTE_BYTES);
    sodium_bin2base64(text, GR_HTTPS_REQUEST_TEXT, bytes, sizeof bytes,
                      sodium_base64_VARIANT_ORIGINAL);
}

/* Whether the text is base64 of exactly n bytes, to its end. */
static bool decode(const char *text, size_t length, unsigned char *out, size_t n) {
    size_t got = 0;
    const char *end = NULL;
    return length == (n + 2) / 3 * 4 &&
           sodium_base642bin(out, n, text, length, NULL, &got, &end,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           got == n && end == text + length;
}

bool gr_https_answer_parse(const char *text, size_t length, struct gr_https_note *out) {
    unsigned char bytes[GR_HTTPS_NOTE_BYTES];
    return decode(text, length, bytes, sizeof bytes) && unpack(bytes, out);
}

void gr_https_answer_line(const char *line, size_t length, bool *noted, struct gr_https_note *out) {
    static const char name[] = GR_HTTPS_HEADER ":";
    size_t begin = sizeof name - 1, end = length;
    if (length < begin || strncasecmp(line, name, begin) != 0) return;
    while (begin < end && (line[begin] == ' ' || line[begin] == '\t'))
        begin++;
    while (end > begin && (unsigned char)line[end - 1] <= ' ')
        end--;
    *noted = gr_https_answer_parse(line + begin, end - begin, out);
}

bool gr_https_request_parse(const char *text, size_t length,
                            const struct gr_carrier_options *options, struct gr_https_note *out) {
    unsigned char bytes[GR_HTTPS_REQUEST_BYTES];
    struct signed_note part;
    if (!decode(text, length, bytes, sizeof bytes) || !unpack(bytes, out)) return false;
    if (out->party == 0 || out->party >= options->n_parties) return false;
    if (options->parties[out->party].left) return false;
    memcpy(part.study, options->study, sizeof part.study);
    memcpy(part.note, bytes, sizeof part.note);
    return gr_public_key_verify(&options->parties[out->party].key, "https", &part, sizeof part,
                                bytes + GR_HTTPS_NOTE_BYTES);
}

void gr_https_intake_drop(struct gr_https_intake *intake) {
    gr_free(intake->letter);
    intake->letter = NULL;
    intake->have = 0;
}

/* The head is whole: whether the rest may come, and memory for it. */
static gr_status admit(struct gr_https_intake *intake) {
    const struct gr_carrier_options *who = intake->who;
    struct gr_letter_label label;
    struct gr_letter *letter;
    size_t n = 0;
    gr_status status = gr_letter_admit(intake->head, sizeof intake->head, who->parties,
                                       who->n_parties, who->study, &label, &n);
    if (status != GR_OK) {
        gr_carrier_refuse(intake->carrier);
        return status;
    }
    if (label.from != intake->from || label.to != who->me)
        return gr_fail(GR_ERROR_DATA, "a letter from party %u to %u, expected one from %u to %u",
                       label.from, label.to, intake->from, who->me);
    if (n < sizeof intake->head || n > GR_LETTER_MAX || n > intake->room)
        return gr_fail(GR_ERROR_DATA, "a letter of %zu bytes, expected %zu to %zu", n,
                       sizeof intake->head,
                       intake->room < GR_LETTER_MAX ? intake->room : (size_t)GR_LETTER_MAX);
    GR_TRY(gr_allocate(1, sizeof *letter + n, "a letter", &letter));
    letter->next = NULL;
    letter->label = label;
    letter->n = n;
    memcpy(letter->bytes, intake->head, sizeof intake->head);
    intake->letter = letter;
out:
    return status;
}

gr_status gr_https_intake_take(struct gr_https_intake *intake, const unsigned char *bytes, size_t n,
                               size_t *used, struct gr_letter **out) {
    gr_status status = GR_OK;
    size_t taken = 0;
    *out = NULL;
    if (!intake->letter) {
        taken = sizeof intake->head - intake->have;
        if (taken > n) taken = n;
        memcpy(intake->head + intake->have, bytes, taken);
        intake->have += taken;
        if (intake->have == sizeof intake->head) status = admit(intake);
    }
    if (status == GR_OK && intake->letter) {
        size_t rest = intake->letter->n - intake->have;
        if (rest > n - taken) rest = n - taken;
        memcpy(intake->letter->bytes + intake->have, bytes + taken, rest);
        intake->have += rest;
        taken += rest;
        if (intake->have == intake->letter->n) {
            *out = intake->letter;
            intake->letter = NULL;
            intake->have = 0;
        }
    }
    if (status != GR_OK) gr_https_intake_drop(intake);
    *used = taken;
    return status;
}
