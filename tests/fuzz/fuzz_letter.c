/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters before they are opened, as anybody on the way can make them, and as a party of the study
 * can: the first byte says how far the rest is made to pass.
 *   bit 0: the rest is a head as it is; else it fills in a head that has the magic, the version and
 *          the study's mark
 *   bit 1: the head is signed, by the party that it names if there is one
 *   bit 2: the checksum is that of the body
 * Whatever comes in, it is refused with words, or it has the size that was said and its label is
 * in range; and it never opens.
 *   make MODE=fuzz CC=clang ROOMS="base post" build/fuzz/tests/fuzz/fuzz_letter
 *   build/fuzz/tests/fuzz/fuzz_letter -max_total_time=600 -max_len=600 CORPUS
 * tests/fuzz/corpus/letter
 */
#include "post/letter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_parties.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A head of what passes without a signature, with bytes of the input in all other places. */
static void fill_head(unsigned char *head, const uint8_t *bytes, size_t n) {
    unsigned char mark[GR_DIGEST_BYTES];
    memset(head, 0, GR_LETTER_HEAD_BYTES);
    memcpy(head, "GrLetter\1\0\0", 12);
    memcpy(head + 12, bytes, n < 52 ? n : 52);
    gr_digest_of(fuzz_study, sizeof fuzz_study, mark);
    memcpy(head + 64, mark, 16);
}

static void sign(unsigned char *head) {
    unsigned char claim[GR_DIGEST_BYTES + 128];
    const struct gr_letter_head read = gr_letter_read_head(head);
    if (read.label.from >= FUZZ_PARTIES) return;
    memcpy(claim, fuzz_study, GR_DIGEST_BYTES);
    memcpy(claim + GR_DIGEST_BYTES, head, 128);
    gr_keys_sign(fuzz_keys[read.label.from], "letter", claim, sizeof claim, head + 128);
}

static void take(const struct gr_letter *letter) {
    static const unsigned char key[GR_KEY_BYTES] = "no key of any letter";
    unsigned char *message;
    size_t n;
    (void)gr_letter_is_whole(letter);
    for (size_t opening = 0; opening <= GR_LETTER_OPENING_BYTES;
         opening += GR_LETTER_OPENING_BYTES) {
        INSIST(gr_letter_open(letter, opening, key, &message, &n) == GR_ERROR_DATA);
        INSIST(!message);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct gr_letter_label label;
    size_t n = 0;
    if (size < 1) return 0;
    fuzz_parties_make();
    const uint8_t how = bytes[0];
    const size_t rest = size - 1;
    /* Of just the right size, so that a read beyond it is seen. */
    struct gr_letter *letter = malloc(sizeof *letter + rest + GR_LETTER_HEAD_BYTES);
    if (!letter) abort();
    memset(letter, 0, sizeof *letter);
    if (how & 1) {
        letter->n = rest;
        memcpy(letter->bytes, bytes + 1, rest);
    } else {
        fill_head(letter->bytes, bytes + 1, rest);
        letter->n = GR_LETTER_HEAD_BYTES + (rest > 52 ? rest - 52 : 0);
        if (rest > 52) memcpy(letter->bytes + GR_LETTER_HEAD_BYTES, bytes + 53, rest - 52);
    }
    if (letter->n >= GR_LETTER_HEAD_BYTES) {
        if (how & 4) fuzz_checksum(letter->bytes, letter->n);
        if (how & 2) sign(letter->bytes);
    }
    const gr_status status = gr_letter_admit(letter->bytes, letter->n, fuzz_parties, FUZZ_PARTIES,
                                             fuzz_study, &label, &n);
    INSIST(status == GR_OK || status == GR_ERROR_DATA);
    if (status == GR_OK) {
        INSIST(how & 2);
        INSIST(n >= GR_LETTER_HEAD_BYTES && n <= GR_LETTER_MAX);
        INSIST(label.from < FUZZ_PARTIES && label.to < FUZZ_PARTIES && label.from != label.to);
        take(letter);
    } else {
        INSIST(strlen(gr_message()) > 0 && gr_letter_refusal() < GR_CARRIER_REFUSALS);
    }
    free(letter);
    return 0;
}
