/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that a study's and a site's file have in common: names, public keys, days, digests. */
#include "config/spot.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_BYTES = 512 };

/* Of a list's entry ("keys[2]") there is no node to be asked for: its list's is. */
static const struct gr_node *node_of(const struct gr_spot *spot, const char *key) {
    return gr_node_child(spot->node, key, strcspn(key, "["));
}

void gr_spot_refuse(const struct gr_spot *spot, const char *key, const char *format, ...) {
    char words[WORDS_BYTES], path[128];
    const struct gr_node *node = node_of(spot, key);
    if (node && node->broken) return;
    const bool given = node && node->place.line > 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    snprintf(path, sizeof path, "%s%s%s", spot->path, *spot->path && *key ? "." : "", key);
    gr_broken_add(spot->broken, given ? node->place : spot->node->place, path, "%s", words);
}

/* A pseudonym becomes the name of a folder, and stands in letters and lines of progress. */
bool gr_is_study_name(const char *text) {
    const size_t n = strlen(text);
    return n > 0 && n < sizeof((struct gr_party *)NULL)->name && text[0] != '-' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

void gr_spot_check_name(const struct gr_spot *spot, const char *key, const char *text) {
    char quoted[72];
    if (gr_is_study_name(text)) return;
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    gr_spot_refuse(spot, key, "found \"%s\", allowed " GR_NAME_WORDS, quoted);
}

void gr_spot_check_key(const struct gr_spot *spot, const char *key, const char *text,
                       struct gr_public_key *out) {
    char quoted[GR_PUBLIC_KEY_TEXT + 8];
    memset(out, 0, sizeof *out);
    if (gr_public_key_parse(text, out)) return;
    memset(out, 0, sizeof *out);
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    gr_spot_refuse(
        spot, key,
        "found \"%s\", allowed a public key as `granary keygen` shows it: it is none, or "
        "was mistyped",
        quoted);
}

void gr_spot_check_day(const struct gr_spot *spot, const char *key, const char *text) {
    char quoted[64];
    double seconds;
    if (!text[0] || gr_date_read(text, strlen(text), GR_DATE_ISO, false, &seconds) == GR_DATE_READ)
        return;
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    gr_spot_refuse(spot, key, "found \"%s\", allowed a day such as 2027-12-31", quoted);
}

void gr_spot_check_digest(const struct gr_spot *spot, const char *key, const char *text) {
    unsigned char digest[GR_DIGEST_BYTES];
    char quoted[72];
    if (!text[0] || gr_digest_from_hex(text, digest)) return;
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    gr_spot_refuse(spot, key,
                   "found \"%s\", allowed a study's digest, 64 hexadecimal digits (`granary study "
                   "show`)",
                   quoted);
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *gr_texts_repeated(const char **texts, size_t n) {
    qsort(texts, n, sizeof *texts, by_bytes);
    for (size_t i = 1; i < n; i++)
        if (strcmp(texts[i - 1], texts[i]) == 0) return texts[i];
    return NULL;
}
