/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A privacy ledger whose lines somebody else has written. Each line gets the hash that it needs to
 * be in the chain, and the head is that of all lines, so that what is fuzzed is behind them. Bit 0
 * of the first byte: the lines as they are. It is refused with words (77), or each entry can be
 * accounted for, and comes out the same when it is written again.
 *   make MODE=fuzz CC=clang build/fuzz/tests/fuzz/fuzz_ledger
 *   build/fuzz/tests/fuzz/fuzz_ledger -max_total_time=600 -timeout=5 tests/fuzz/corpus/ledger
 */
#include "privacy/ledger_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INSIST(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char folder[64], path[96], head_path[96];

/* A line of n bytes, without its end, and its place in the chain. */
static void add_line(FILE *file, const char *line, size_t n, char hash[GR_DIGEST_HEX]) {
    struct gr_digest digest;
    unsigned char out[GR_DIGEST_BYTES];
    gr_digest_start(&digest);
    gr_digest_add(&digest, hash, strlen(hash));
    gr_digest_add(&digest, line, n);
    gr_digest_finish(&digest, out);
    gr_digest_hex(out, hash);
    fwrite(line, 1, n, file);
    fprintf(file, ",\"hash\":\"%s\"}\n", hash);
}

static void make_files(bool as_they_are, const char *text, size_t n) {
    char hash[GR_DIGEST_HEX] = "";
    uint64_t lines = 0;
    FILE *file = fopen(path, "w"), *head = fopen(head_path, "w");
    INSIST(file && head);
    for (size_t at = 0; at < n && !as_they_are; lines++) {
        const char *end = memchr(text + at, '\n', n - at);
        const size_t length = end ? (size_t)(end - text) - at : n - at;
        add_line(file, text + at, length, hash);
        at += length + 1;
    }
    if (as_they_are) fwrite(text, 1, n, file);
    fprintf(head, "granary-privacy-ledger-head 1 %llu %s\n",
            (unsigned long long)(lines > 0 ? lines - 1 : 0), hash);
    INSIST(fclose(file) == 0 && fclose(head) == 0);
}

static void check_entries(const struct gr_ledger *ledger) {
    struct gr_privacy_event events[GR_LEDGER_KINDS_MAX];
    struct gr_privacy_history history;
    size_t n;
    const struct gr_ledger_entry *entries = gr_ledger_entries(ledger, &n);
    for (size_t i = 0; i < n; i++) {
        struct gr_head before = {.n = i}, again = before;
        struct gr_ledger_entry entry;
        char line[GR_LEDGER_LINE_BYTES];
        const size_t length = gr_ledger_write_entry(&entries[i], &before, line);
        INSIST(gr_ledger_event_sound(&entries[i].event));
        INSIST(length < sizeof line && strlen(line) == length);
        INSIST(gr_ledger_read_entry(line, length, &again, &entry) == GR_OK);
    }
    const struct gr_ledger_change *changes = gr_ledger_changes(ledger, &n);
    for (size_t i = 0; i < n; i++) {
        struct gr_head before = {.n = i}, again = before;
        struct gr_ledger_change change;
        char line[GR_LEDGER_LINE_BYTES];
        const size_t length = gr_ledger_write_change(&changes[i], &before, line);
        INSIST(length < sizeof line && strlen(line) == length && gr_ledger_is_change(line));
        INSIST(gr_ledger_read_change(line, length, &again, &change) == GR_OK);
    }
    for (int unit = GR_UNIT_ROW; unit <= GR_UNIT_SILO; unit++) {
        const gr_status status = gr_ledger_history(ledger, (enum gr_protected_unit)unit,
                                                   GR_ADJACENCY_ZERO_OUT, events, &history);
        INSIST(status == GR_ERROR_POLICY || (status == GR_OK && history.n <= GR_LEDGER_KINDS_MAX));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct gr_ledger *ledger = NULL;
    if (!folder[0]) {
        strcpy(folder, "/tmp/fuzz-ledger-XXXXXX");
        INSIST(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/privacy-ledger", folder);
        snprintf(head_path, sizeof head_path, "%s/privacy-ledger.head", folder);
    }
    if (size == 0) return 0;
    make_files(bytes[0] & 1, (const char *)bytes + 1, size - 1);
    const gr_status status = gr_ledger_read(folder, &ledger);
    INSIST(status == GR_OK || (status == GR_ERROR_POLICY && gr_message()[0]));
    if (status == GR_OK) check_entries(ledger);
    gr_ledger_close(ledger);
    return 0;
}
