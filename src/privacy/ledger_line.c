/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/ledger_line.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const units[] = {"row", "person", "silo"};
static const char *const adjacencies[] = {"add_remove", "zero_out", "replace"};
static const char *const mechanisms[] = {"gaussian", "discrete_gaussian"};
static const char *const correlations[] = {"none", "banded", "blt"};
static const char *const releases[] = {"round", "statistics", "evaluation"};
static const char *const changes[] = {"begun", "grown", "dealt", "adopted"};

#define COUNT(array)           (sizeof(array) / sizeof *(array))
#define WORD_OF(array, number) ((size_t)(number) < COUNT(array) ? (array)[number] : "?")

const char *gr_protected_unit_word(enum gr_protected_unit unit) {
    return WORD_OF(units, unit);
}

const char *gr_adjacency_word(enum gr_adjacency adjacency) {
    return WORD_OF(adjacencies, adjacency);
}

const char *gr_mechanism_word(enum gr_mechanism mechanism) {
    return WORD_OF(mechanisms, mechanism);
}

const char *gr_correlation_word(enum gr_correlation correlation) {
    return WORD_OF(correlations, correlation);
}

const char *gr_noised_release_word(enum gr_noised_release release) {
    return WORD_OF(releases, release);
}

const char *gr_table_change_word(enum gr_table_change change) {
    return WORD_OF(changes, change);
}

/* A word's number; n, which is none of them, where it is not among the n. */
static unsigned number_of(const char *word, const char *const *words, size_t n) {
    unsigned i = 0;
    while (i < n && strcmp(words[i], word) != 0)
        i++;
    return i;
}

bool gr_ledger_event_sound(const struct gr_privacy_event *event) {
    return event->noise_multiplier >= GR_NOISE_MULTIPLIER_MIN &&
           event->noise_multiplier <= GR_NOISE_MULTIPLIER_MAX && event->sampling > 0 &&
           event->sampling <= 1 && event->count >= 1 && event->count <= GR_PRIVACY_STEPS_MAX &&
           event->delta_added >= 0 && event->delta_added < 1;
}

/* ---- the chain ------------------------------------------------------------------------------ */

void gr_ledger_salted(const unsigned char salt[GR_DIGEST_BYTES], const void *bytes, size_t n,
                      unsigned char out[GR_DIGEST_BYTES]) {
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, salt, GR_DIGEST_BYTES);
    gr_digest_add(&digest, bytes, n);
    gr_digest_finish(&digest, out);
}

/* Ends a line of n bytes, which has room. The first line has none before it. */
static size_t end_line(struct gr_head *head, char *line, size_t n) {
    unsigned char out[GR_DIGEST_BYTES];
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, head->hash, strlen(head->hash));
    gr_digest_add(&digest, line, n);
    gr_digest_finish(&digest, out);
    gr_digest_hex(out, head->hash);
    return n +
           (size_t)snprintf(line + n, GR_LEDGER_LINE_BYTES - n, ",\"hash\":\"%s\"}\n", head->hash);
}

size_t gr_ledger_write_title(const struct gr_ledger_title *title, struct gr_head *head,
                             char out[GR_LEDGER_LINE_BYTES]) {
    char salt[GR_DIGEST_HEX], parts[GR_DIGEST_HEX];
    gr_digest_hex(title->salt, salt);
    gr_digest_hex(title->parts, parts);
    int n = snprintf(out, GR_LEDGER_LINE_BYTES,
                     "{\"format\":\"granary-privacy-ledger\",\"version\":%d,\"salt\":\"%s\"",
                     title->version, salt);
    if (title->version == 1)
        n += snprintf(out + n, GR_LEDGER_LINE_BYTES - (size_t)n, ",\"data\":\"%s\"", parts);
    return end_line(head, out, (size_t)n);
}

size_t gr_ledger_write_change(const struct gr_ledger_change *change, struct gr_head *head,
                              char out[GR_LEDGER_LINE_BYTES]) {
    char rows[GR_DIGEST_HEX], parts[GR_DIGEST_HEX];
    gr_digest_hex(change->rows, rows);
    gr_digest_hex(change->parts, parts);
    const int n =
        snprintf(out, GR_LEDGER_LINE_BYTES,
                 "{\"line\":%" PRIu64 ",\"time\":\"%.31s\",\"table\":\"%s\","
                 "\"rows\":\"%s\",\"parts\":\"%s\"",
                 ++head->n, change->time, gr_table_change_word(change->change), rows, parts);
    return end_line(head, out, (size_t)n);
}

size_t gr_ledger_write_entry(const struct gr_ledger_entry *entry, struct gr_head *head,
                             char out[GR_LEDGER_LINE_BYTES]) {
    char binding[GR_DIGEST_HEX];
    const struct gr_privacy_event *event = &entry->event;
    gr_digest_hex(entry->binding, binding);
    const int n = snprintf(
        out, GR_LEDGER_LINE_BYTES,
        "{\"entry\":%" PRIu64 ",\"time\":\"%.31s\",\"run\":\"%.64s\",\"release\":\"%s\","
        "\"round\":%" PRIu32 ",\"unit\":\"%s\",\"adjacency\":\"%s\",\"mechanism\":\"%s\","
        "\"noise_multiplier\":%.17g,\"sampling\":%.17g,\"count\":%" PRIu64 ",\"delta_added\":%.17g,"
        "\"correlation\":\"%s\",\"bands\":%" PRIu32 ",\"binding\":\"%s\"",
        ++head->n, entry->time, entry->run, gr_noised_release_word(entry->release), entry->round,
        gr_protected_unit_word(entry->unit), gr_adjacency_word(entry->adjacency),
        gr_mechanism_word(entry->mechanism), event->noise_multiplier, event->sampling, event->count,
        event->delta_added, gr_correlation_word(entry->correlation), entry->bands, binding);
    return end_line(head, out, (size_t)n);
}

/* ---- reading -------------------------------------------------------------------------------- */

gr_status gr_ledger_read_title(const char *line, size_t n, struct gr_head *head,
                               struct gr_ledger_title *out) {
    char salt[GR_DIGEST_HEX] = "", parts[GR_DIGEST_HEX] = "", again[GR_LEDGER_LINE_BYTES];
    int version = 0;
    *out = (struct gr_ledger_title){0};
    const int found = sscanf(line,
                             "{\"format\":\"granary-privacy-ledger\",\"version\":%9d,\"salt\":\""
                             "%64[0-9a-f]\",\"data\":\"%64[0-9a-f]\"",
                             &version, salt, parts);
    out->version = version;
    if (found >= 1 && version > GR_LEDGER_VERSION)
        return gr_fail(GR_ERROR_POLICY,
                       "a ledger of version %d, which a later granary has written; this one reads "
                       "versions up to %d",
                       version, (int)GR_LEDGER_VERSION);
    *head = (struct gr_head){0};
    if (found < 2 || version < 1 || !gr_digest_from_hex(salt, out->salt) ||
        (version == 1 && !gr_digest_from_hex(parts, out->parts)) ||
        gr_ledger_write_title(out, head, again) != n || memcmp(line, again, n) != 0)
        return gr_fail(GR_ERROR_POLICY, "not the first line of a privacy ledger, or changed");
    return GR_OK;
}

static gr_status refuse_line(void) {
    return gr_fail(GR_ERROR_POLICY,
                   "not an entry that follows on the line before: it was changed, moved or taken "
                   "from elsewhere");
}

gr_status gr_ledger_read_entry(const char *line, size_t n, struct gr_head *head,
                               struct gr_ledger_entry *out) {
    char release[16] = "", unit[16] = "", adjacency[16] = "", mechanism[32] = "",
         correlation[16] = "", binding[GR_DIGEST_HEX] = "", again[GR_LEDGER_LINE_BYTES];
    struct gr_privacy_event *event = &out->event;
    uint64_t number = 0;
    *out = (struct gr_ledger_entry){0};
    const int found = sscanf(
        line,
        "{\"entry\":%" SCNu64 ",\"time\":\"%31[0-9TZ:-]\",\"run\":\"%64[A-Za-z0-9._-]\","
        "\"release\":\"%15[a-z_]\",\"round\":%" SCNu32 ",\"unit\":\"%15[a-z_]\",\"adjacency\":\""
        "%15[a-z_]\",\"mechanism\":\"%31[a-z_]\",\"noise_multiplier\":%lf,\"sampling\":%lf,"
        "\"count\":%" SCNu64 ",\"delta_added\":%lf,\"correlation\":\"%15[a-z_]\",\"bands\":%" SCNu32
        ",\"binding\":\"%64[0-9a-f]\"",
        &number, out->time, out->run, release, &out->round, unit, adjacency, mechanism,
        &event->noise_multiplier, &event->sampling, &event->count, &event->delta_added, correlation,
        &out->bands, binding);
    out->release = (enum gr_noised_release)number_of(release, releases, COUNT(releases));
    out->unit = (enum gr_protected_unit)number_of(unit, units, COUNT(units));
    out->adjacency = (enum gr_adjacency)number_of(adjacency, adjacencies, COUNT(adjacencies));
    out->mechanism = (enum gr_mechanism)number_of(mechanism, mechanisms, COUNT(mechanisms));
    out->correlation =
        (enum gr_correlation)number_of(correlation, correlations, COUNT(correlations));
    if (found != 15 || !gr_digest_from_hex(binding, out->binding) ||
        !gr_ledger_event_sound(event) || number != head->n + 1 ||
        gr_ledger_write_entry(out, head, again) != n || memcmp(line, again, n) != 0)
        return refuse_line();
    out->head = *head;
    return GR_OK;
}

bool gr_ledger_is_change(const char *line) {
    return strncmp(line, "{\"line\":", 8) == 0;
}

gr_status gr_ledger_read_change(const char *line, size_t n, struct gr_head *head,
                                struct gr_ledger_change *out) {
    char change[16] = "", rows[GR_DIGEST_HEX] = "", parts[GR_DIGEST_HEX] = "",
         again[GR_LEDGER_LINE_BYTES];
    uint64_t number = 0;
    *out = (struct gr_ledger_change){0};
    const int found = sscanf(line,
                             "{\"line\":%" SCNu64 ",\"time\":\"%31[0-9TZ:-]\",\"table\":\""
                             "%15[a-z]\",\"rows\":\"%64[0-9a-f]\",\"parts\":\"%64[0-9a-f]\"",
                             &number, out->time, change, rows, parts);
    out->change = (enum gr_table_change)number_of(change, changes, COUNT(changes));
    if (found != 5 || !gr_digest_from_hex(rows, out->rows) ||
        !gr_digest_from_hex(parts, out->parts) || number != head->n + 1 ||
        gr_ledger_write_change(out, head, again) != n || memcmp(line, again, n) != 0)
        return refuse_line();
    out->head = *head;
    return GR_OK;
}
