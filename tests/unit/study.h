/* SPDX-License-Identifier: Apache-2.0 */
/* A study of three sites with keys of their own, and a site's file, that break no rule. */
#ifndef TESTS_UNIT_STUDY_H
#define TESTS_UNIT_STUDY_H

#include "scratch.h"

#include <granary/study.h>

enum { PARTIES = 4 }; /* the coordinator and three sites */
static struct gr_public_key party_key[PARTIES];
static char key_text[PARTIES][GR_PUBLIC_KEY_TEXT];

/* SCRATCH/key0 to key3. */
static inline void make_keys(void) {
    for (int p = 0; p < PARTIES; p++) {
        char name[16];
        snprintf(name, sizeof name, "key%d", p);
        MUST(gr_keys_generate(in_scratch(name), &party_key[p]));
        gr_public_key_text(&party_key[p], key_text[p]);
    }
}

/* `text` with @0 to @3 replaced by the public keys. In one of two buffers that take turns. */
static inline const char *with_keys(const char *text) {
    static char buffers[2][16384];
    static unsigned turn;
    char *out = buffers[turn++ % 2], *at = out;
    for (; *text; text++) {
        const unsigned digit = (unsigned)(text[1] - '0');
        if (*text == '@' && digit < PARTIES) {
            at += sprintf(at, "%s", key_text[digit]);
            text++;
        } else {
            *at++ = *text;
        }
    }
    *at = '\0';
    return out;
}

#define STUDY_HEAD                                                                                 \
    "study:\n"                                                                                     \
    "  name: heart-4\n"                                                                            \
    "  coordinator: @0\n"                                                                          \
    "  sites:\n"                                                                                   \
    "  - {name: cleveland, key: @1}\n"                                                             \
    "  - {name: zurich, key: @2, silos: [zurich-a, zurich-b]}\n"                                   \
    "  - {name: budapest, key: @3}\n"
#define STUDY_SCHEMA                                                                               \
    "schema:\n"                                                                                    \
    "  columns:\n"                                                                                 \
    "  - {name: age, type: number, range: [18, 110]}\n"                                            \
    "  - {name: sex, type: category, categories: [f, m]}\n"                                        \
    "  - {name: sick, type: label, categories: [no, yes]}\n"
#define STUDY_CONFIG                                                                               \
    "run: {rounds: 5}\n"                                                                           \
    "data: {source: csv, test_fraction: 0.2}\n"                                                    \
    "model: {type: logistic}\n"                                                                    \
    "train: {learning_rate: 0.05, batch_size: 16}\n"                                               \
    "policy: {minimum_silos: 4}\n"
#define STUDY STUDY_HEAD STUDY_SCHEMA STUDY_CONFIG

/* Of party 2; its name in messages is SCRATCH/site.yaml. */
#define SITE                                                                                       \
    "site: {key: key2, directory: work}\n"                                                         \
    "mailbox: {folder: letters}\n"                                                                 \
    "silos:\n"                                                                                     \
    "- {name: zurich-b, file: b.csv, directory: private}\n"                                        \
    "- {name: zurich-a, file: /data/a.csv}\n"

#define SITE_WITH_FOLDERS                                                                          \
    "site: {key: key2, directory: work}\n"                                                         \
    "mailbox: {folder: letters}\n"                                                                 \
    "silos:\n"                                                                                     \
    "- {name: zurich-b, file: b.csv, directory: private-b}\n"                                      \
    "- {name: zurich-a, file: /data/a.csv, directory: private-a}\n"

/* Writes with_keys(text) to SCRATCH/name; the path. */
static inline const char *put(const char *name, const char *text) {
    const char *path = in_scratch(name), *words = with_keys(text);
    spill(path, words, strlen(words));
    return path;
}

#endif
