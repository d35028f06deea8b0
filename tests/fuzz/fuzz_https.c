/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What https reads of strangers, under libFuzzer: the notes of requests and answers, lines of an
 * answer's head, and bodies, which are letters of a real sender that the input changes and cuts
 * into pieces. Whatever comes in, a note is none or survives being written again; a letter that
 * comes out of a body has the head that its sender signed, and as many bytes. make MODE=fuzz
 * CC=clang ROOMS="base post" build/fuzz/tests/fuzz/fuzz_https build/fuzz/tests/fuzz/fuzz_https
 * -timeout=5 -max_total_time=600 CORPUS tests/fuzz/corpus/https
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "post/https.h"
#include "post/letter.h"

enum { LETTERS = 3 };

static struct gr_keys *keys;
static struct gr_party parties[2];
static const unsigned char study[GR_DIGEST_BYTES] = "a study";
static struct gr_letter *letters[LETTERS];
static unsigned char body[4096];
static size_t body_bytes;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define INSIST(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s does not hold\n%s\n", __LINE__, #condition,               \
                    gr_message());                                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Both parties have the same keys, so that one makes all letters. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static const unsigned char seal[GR_KEY_BYTES] = "of no importance here";
    char folder[] = "/tmp/granary-fuzz-XXXXXX", path[64];
    (void)argc, (void)argv;
    INSIST(gr_base_start() == GR_OK);
    INSIST(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/keys", folder);
    INSIST(gr_keys_generate(path, &parties[0].key) == GR_OK);
    INSIST(gr_keys_read(path, &keys) == GR_OK);
    parties[1].key = parties[0].key;
    for (size_t i = 0; i < LETTERS; i++) {
        const struct gr_letter_head head = {.label = {.from = 1, .to = 0, .counter = i + 1},
                                            .kind = GR_LETTER_MESSAGE};
        INSIST(gr_letter_create(0, i * 300, &letters[i]) == GR_OK);
        gr_letter_seal(letters[i], head, 0, seal, keys, study);
        memcpy(body + body_bytes, letters[i]->bytes, letters[i]->n);
        body_bytes += letters[i]->n;
    }
    snprintf(path, sizeof path, "rm -r %s", folder);
    return system(path);
}

static void read_note(const char *text, size_t n) {
    const struct gr_carrier_options who = {
        .keys = keys, .parties = parties, .n_parties = 2, .me = 0, .study = study};
    struct gr_https_note note, again;
    char written[GR_HTTPS_REQUEST_TEXT];
    bool noted = false;
    if (gr_https_answer_parse(text, n, &note)) {
        memset(written, 0, sizeof written);
        gr_https_note_write(&note, NULL, NULL, written);
        INSIST(strlen(written) == n);
        INSIST(gr_https_answer_parse(written, n, &again));
        INSIST(note.purpose == again.purpose && note.party == again.party &&
               note.sequence == again.sequence && note.number == again.number &&
               note.at == again.at && note.room == again.room && note.hold == again.hold);
        gr_https_note_write(&note, keys, study, written);
        const bool right = gr_https_request_parse(written, strlen(written), &who, &again);
        INSIST(right == (note.party == 1));
    }
    if (gr_https_request_parse(text, n, &who, &note)) INSIST(note.party == 1);
    gr_https_answer_line(text, n, &noted, &note);
}

/* Pairs of a place and a change, three bytes each; then lengths of pieces. */
static void read_body(const uint8_t *bytes, size_t size) {
    struct gr_carrier carrier = {0};
    const struct gr_carrier_options who = {
        .keys = keys, .parties = parties, .n_parties = 2, .me = 0, .study = study};
    struct gr_https_intake intake = {.carrier = &carrier, .who = &who, .from = 1, .room = 700};
    unsigned char changed[sizeof body];
    memcpy(changed, body, body_bytes);
    size_t changes = size > 0 ? bytes[0] % 4u : 0, at = 1, done = 0;
    for (; changes > 0 && at + 3 <= size; changes--, at += 3)
        changed[(size_t)(bytes[at] | bytes[at + 1] << 8) % body_bytes] ^= bytes[at + 2];
    while (done < body_bytes) {
        size_t piece = at < size ? (size_t)bytes[at++] * 3 : body_bytes, used = 0;
        struct gr_letter *letter = NULL;
        if (piece > body_bytes - done) piece = body_bytes - done;
        unsigned char *copy = malloc(piece + 1);
        INSIST(copy);
        memcpy(copy, changed + done, piece);
        const gr_status status = gr_https_intake_take(&intake, copy, piece, &used, &letter);
        free(copy);
        INSIST(used <= piece);
        INSIST(status == GR_OK || (status == GR_ERROR_DATA && !letter));
        if (letter) {
            const uint64_t i = letter->label.counter - 1;
            INSIST(i < LETTERS && letter->n == letters[i]->n && letter->n <= 700);
            INSIST(memcmp(letter->bytes, letters[i]->bytes, GR_LETTER_HEAD_BYTES) == 0);
        }
        gr_free(letter);
        if (status != GR_OK || piece == 0) break;
        done += used;
    }
    gr_https_intake_drop(&intake);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (size == 0) return 0;
    if (bytes[0] % 2 == 0) {
        /* A copy of just the right size, so that a read beyond it is seen. */
        char *text = malloc(size);
        INSIST(text);
        memcpy(text + 1, bytes + 1, size - 1);
        read_note(text + 1, size - 1);
        free(text);
    } else
        read_body(bytes + 1, size - 1);
    return 0;
}
