/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records in a folder that somebody else may have written: of a run, or of a site. The first byte
 * says which the rest is:
 *   0 status.json                3 seals.jsonl, each line put into its chain and signed
 *   1 withdrawn.json, manifest   4 journal.jsonl, likewise
 *   2 approvals, leavings        5 seals, journal and events as they are
 *   6 two versions of a study, with a zero byte between; and a signature of the first
 * Bit 7: lines are signed by another key than the one they are of. Whatever comes in, it is refused
 * with words, or holds what the interfaces promise; and no page has a control character.
 *   make MODE=fuzz CC=clang build/fuzz/tests/fuzz/fuzz_records
 *   build/fuzz/tests/fuzz/fuzz_records -max_total_time=600 -timeout=5 CORPUS
 * tests/fuzz/corpus/records
 */
#include <granary/audit.h>
#include <granary/journal.h>
#include <granary/observe.h>
#include <granary/policy.h>
#include <granary/store.h>
#include <granary/study_state.h>

#include <fcntl.h>
#include <jansson.h>

#include "fuzz_parties.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { OTHER_KEY = 0x80, KINDS = 7 };
struct input {
    const char *text; /* n bytes */
    size_t n;
    bool other_key;
};
static char folder[64];

static const char *in_folder(const char *name) {
    static char path[8][128];
    static unsigned next;
    char *out = path[next++ % 8];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static void spill(const char *name, const char *text, size_t n) {
    const int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    INSIST(fd >= 0);
    INSIST(write(fd, text, n) == (ssize_t)n);
    close(fd);
}

static void take_away(const char *name) {
    unlink(in_folder(name));
}

/* What goes to a terminal has no bytes in it that a terminal obeys. */
static void is_plain(const char *text) {
    for (; *text; text++)
        INSIST(((unsigned char)*text >= ' ' && *text != 0x7f) || *text == '\n' || *text == '\t');
}

static void is_answered(gr_status status, gr_status refusal) {
    INSIST(status == GR_OK || status == refusal);
    INSIST(status == GR_OK || strlen(gr_message()) > 0);
}

/* ---- lines ----------------------------------------------------------------------------------- */

typedef void (*take_line)(void *context, json_t *object);

static void for_each_line(const struct input *input, take_line take, void *context) {
    for (size_t at = 0; at < input->n;) {
        const char *end = memchr(input->text + at, '\n', input->n - at);
        const size_t n = end ? (size_t)(end - input->text) - at : input->n - at;
        json_t *object = json_loadb(input->text + at, n, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_object(object)) take(context, object);
        json_decref(object);
        at += n + 1;
    }
}

struct chain {
    struct gr_events_file *file;
    struct gr_chain_signer signer;
};

/* The members that a chain makes itself are left to it. */
static void put_into_chain(void *context, json_t *object) {
    static const char *const own[] = {"n",        "time",      "event", "round",
                                      "previous", "signature", "hash"};
    const struct chain *chain = context;
    char event[64];
    const char *word = json_string_value(json_object_get(object, "event"));
    const json_int_t round = json_integer_value(json_object_get(object, "round"));
    snprintf(event, sizeof event, "%.60s", word && strlen(word) < 60 ? word : "none");
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        json_object_del(object, own[i]);
    char *detail = json_dumps(object, JSON_COMPACT);
    INSIST(detail);
    (void)!gr_events_append_signed(chain->file, event, (uint32_t)round, detail, &chain->signer,
                                   NULL);
    free(detail);
}

static void write_chain(const struct input *input, const char *name, const char *purpose) {
    struct chain chain = {.signer = {fuzz_keys[input->other_key], purpose}};
    take_away(name);
    INSIST(gr_events_open(in_folder(name), &chain.file) == GR_OK);
    for_each_line(input, put_into_chain, &chain);
    gr_events_close(chain.file);
}

struct records {
    FILE *file;
    const char *purpose;
    const struct gr_keys *keys;
};

/* As store/site_records.c signs a line. */
static void write_record(void *context, json_t *object) {
    const struct records *records = context;
    unsigned char signature[GR_SIGNATURE_BYTES];
    json_object_del(object, "signature");
    char *text = json_dumps(object, JSON_COMPACT);
    INSIST(text);
    const size_t n = strlen(text);
    gr_keys_sign(records->keys, records->purpose, text, n, signature);
    fprintf(records->file, "%.*s,\"signature\":\"", (int)(n - 1), text);
    for (size_t i = 0; i < sizeof signature; i++)
        fprintf(records->file, "%02x", signature[i]);
    fputs("\"}\n", records->file);
    free(text);
}

static void write_records(const struct input *input, const char *name, const char *purpose) {
    struct records records = {fopen(in_folder(name), "w"), purpose, fuzz_keys[input->other_key]};
    INSIST(records.file);
    for_each_line(input, write_record, &records);
    fclose(records.file);
}

/* ---- readers --------------------------------------------------------------------------------- */

static void read_state(const struct input *input) {
    struct gr_study_state state;
    spill("status.json", input->text, input->n);
    is_answered(gr_study_state_read(folder, &state), GR_ERROR_DATA);
    is_plain(state.study);
    is_plain(state.phase);
    if (state.words) is_plain(state.words);
    INSIST(state.waited_s >= 0 && state.limit_s >= 0);
    INSIST(gr_state_seconds_since(state.written) >= 0);
    for (uint32_t p = 0; p < state.n_parties; p++)
        is_plain(state.parties[p].name);
    gr_study_state_release(&state);
}

static void read_statement(const struct input *input) {
    struct gr_withdrawn withdrawn;
    struct gr_run_facts facts;
    spill("withdrawn.json", input->text, input->n);
    const gr_status status = gr_withdrawal_read(folder, &withdrawn);
    is_answered(status, GR_ERROR_DATA);
    INSIST((status == GR_OK) == withdrawn.found);
    spill("manifest.json", input->text, input->n);
    spill("seals.jsonl", input->text, input->n);
    is_answered(gr_run_facts_read(folder, &facts), GR_ERROR_DATA);
    take_away("withdrawn.json");
    take_away("manifest.json");
    take_away("seals.jsonl");
}

static void see_approval(void *context, const struct gr_approval_record *record) {
    *(size_t *)context += strlen(record->time) + strlen(record->number) + strlen(record->by);
}

static void read_records(const struct input *input) {
    size_t sum = 0;
    char digest[GR_DIGEST_HEX];
    bool left[FUZZ_PARTIES] = {false};
    struct gr_study study = {.parties = fuzz_parties, .n_parties = FUZZ_PARTIES, .name = "heart"};
    memset(study.digest, 0xab, sizeof study.digest);
    gr_digest_hex(study.digest, digest);
    write_records(input, "approvals.jsonl", "approval");
    is_answered(gr_site_show_approvals(folder, &fuzz_parties[0].key, digest, see_approval, &sum),
                GR_ERROR_CONFIG);
    write_records(input, "left.jsonl", "leave");
    is_answered(gr_leaving_read(&study, folder, left), GR_ERROR_CONFIG);
    INSIST(!left[0] && !left[2]);
    spill("left.jsonl", input->text, input->n);
    is_answered(gr_leaving_read(&study, folder, left), GR_ERROR_CONFIG);
    take_away("left.jsonl");
}

static void audit(void) {
    char *page = NULL;
    size_t n = 0;
    const char *journals[] = {in_folder("journal.jsonl")};
    const struct gr_audit_options options = {.run_path = folder, .journals = journals, 1};
    FILE *out = open_memstream(&page, &n);
    INSIST(out);
    is_answered(gr_audit(&options, out), GR_ERROR_DATA);
    fclose(out);
    is_plain(page);
    free(page);
}

static void sum_up(void) {
    struct gr_journal_sums sums;
    is_answered(gr_journal_sum_up(folder, &sums), GR_ERROR_DATA);
    INSIST(sums.n <= GR_JOURNAL_SUMS_MAX);
    for (size_t i = 0; i < sums.n; i++)
        is_plain(sums.sum[i].name);
    is_plain(sums.newest);
    gr_journal_sums_release(&sums);
    is_answered(gr_site_report_write(folder, NULL, in_folder("site.html")), GR_ERROR_DATA);
}

static void read_evidence(const struct input *input, unsigned kind) {
    static const unsigned char digest[GR_DIGEST_BYTES];
    if (kind == 3) write_chain(input, "seals.jsonl", GR_PURPOSE_OF_SEALS);
    if (kind == 4) write_chain(input, "journal.jsonl", GR_PURPOSE_OF_JOURNALS);
    if (kind == 5) {
        spill("seals.jsonl", input->text, input->n);
        spill("journal.jsonl", input->text, input->n);
        spill("events.jsonl", input->text, input->n);
    }
    char *last = gr_run_finished_by(folder, digest);
    INSIST(!last || kind == 3);
    gr_free(last);
    audit();
    sum_up();
    take_away("seals.jsonl");
    take_away("journal.jsonl");
    take_away("events.jsonl");
}

static void see_change(void *context, const struct gr_study_change *change) {
    (void)context;
    INSIST(change->words && strlen(change->words) > 0);
}

static void read_versions(const struct input *input) {
    struct gr_study *then = NULL, *now = NULL, *signed_one = NULL;
    const char *between = memchr(input->text, 0, input->n);
    const size_t n = between ? (size_t)(between - input->text) : input->n;
    const size_t rest = between ? input->n - n - 1 : 0;
    is_answered(gr_study_parse("then.yaml", input->text, n, &then), GR_ERROR_CONFIG);
    is_answered(gr_study_parse("now.yaml", between ? between + 1 : "", rest, &now),
                GR_ERROR_CONFIG);
    if (then && now) {
        INSIST(gr_study_compare(then, now, see_change, NULL) == GR_OK);
        is_answered(gr_study_check_version(then, now), GR_ERROR_CONFIG);
    }
    if (now) INSIST(gr_study_is_version(now, now->digest));
    spill("study.yaml", input->text, n);
    spill("study.yaml.sig", between ? between + 1 : "", rest);
    INSIST(gr_study_load(in_folder("study.yaml"), &signed_one) == GR_ERROR_CONFIG);
    gr_study_free(signed_one);
    gr_study_free(then);
    gr_study_free(now);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (size < 1) return 0;
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/granary-fuzz-XXXXXX");
        fuzz_parties_make();
        INSIST(mkdtemp(folder));
    }
    /* A copy of just the right size, so that a read beyond it is seen. */
    char *text = malloc(size);
    if (!text) abort();
    memcpy(text + 1, bytes + 1, size - 1);
    const unsigned kind = (bytes[0] & ~OTHER_KEY) % KINDS;
    const struct input input = {text + 1, size - 1, (bytes[0] & OTHER_KEY) != 0};
    if (kind == 0) read_state(&input);
    if (kind == 1) read_statement(&input);
    if (kind == 2) read_records(&input);
    if (kind == 3 || kind == 4 || kind == 5) read_evidence(&input, kind);
    if (kind == 6) read_versions(&input);
    free(text);
    return 0;
}
