/* SPDX-License-Identifier: Apache-2.0 */
/* Parties with keys that are made once, for fuzzers of the post. */
#ifndef GRANARY_TESTS_FUZZ_PARTIES_H
#define GRANARY_TESTS_FUZZ_PARTIES_H

#include <granary/post.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INSIST(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s does not hold\n%s\n", __LINE__, #condition,               \
                    gr_message());                                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { FUZZ_PARTIES = 3 };
static struct gr_keys *fuzz_keys[FUZZ_PARTIES];
static struct gr_party fuzz_parties[FUZZ_PARTIES];
static const unsigned char fuzz_study[GR_DIGEST_BYTES] = "the digest of a study";

/* Sets the checksum of a letter of n bytes to that of its body. */
static inline void fuzz_checksum(unsigned char *letter, size_t n) {
    unsigned char key[GR_DIGEST_BYTES];
    gr_digest_of(letter, 112, key);
    crypto_onetimeauth(letter + 112, letter + GR_LETTER_HEAD_BYTES, n - GR_LETTER_HEAD_BYTES, key);
}

static inline void fuzz_parties_make(void) {
    char folder[] = "/tmp/granary-fuzz-XXXXXX", path[64];
    if (fuzz_keys[0]) return;
    INSIST(gr_base_start() == GR_OK);
    INSIST(mkdtemp(folder));
    for (uint32_t p = 0; p < FUZZ_PARTIES; p++) {
        snprintf(path, sizeof path, "%s/%u", folder, p);
        INSIST(gr_keys_generate(path, &fuzz_parties[p].key) == GR_OK);
        INSIST(gr_keys_read(path, &fuzz_keys[p]) == GR_OK);
        snprintf(fuzz_parties[p].name, sizeof fuzz_parties[p].name, "party-%u", p);
        snprintf(path, sizeof path, "%s/%u/secret.key", folder, p);
        unlink(path);
        snprintf(path, sizeof path, "%s/%u/public.key", folder, p);
        unlink(path);
        snprintf(path, sizeof path, "%s/%u", folder, p);
        rmdir(path);
    }
    rmdir(folder);
}

#endif
