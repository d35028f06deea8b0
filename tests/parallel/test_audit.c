/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The evidence of a study: a run whose every rank has keys and a journal, as a party of its own; an
 * audit that finds nothing amiss in it; and whatever is done to its files afterwards, which is
 * found. Bytes are flipped in turn, lines taken out, files exchanged, and the run put back.
 *
 * ranks: 1 2 3
 */
#include <ctype.h>
#include <ftw.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <granary/audit.h>
#include <granary/federation.h>
#include <granary/study.h>

#include "parallel.h"

enum { PARTIES_MAX = 8, PATH = 256, FLIPS = 60 };

static const char config_text[] =
    "run: {name: study, rounds: %d, directory: %s/run}\n"
    "data:\n"
    "  source: synthetic\n"
    "  silos: 4\n"
    "  synthetic: {features: 5, classes: 3, minimum_rows: 20, maximum_rows: 30, test_rows: 6}\n"
    "model: {type: softmax}\n"
    "train: {learning_rate: 0.1, batch_size: 8}\n"
    "checkpoint: {every: 2, keep: 2}\n";

static char scratch[64];

/* SCRATCH/name, in one of many buffers that take turns: not to be kept over an audit. */
static const char *in_scratch(const char *format, ...) GR_PRINTF(1, 2);
static const char *in_scratch(const char *format, ...) {
    static char paths[16][PATH];
    static unsigned turn;
    char *path = paths[turn++ % 16];
    va_list arguments;
    const int n = snprintf(path, PATH, "%s/", scratch);
    va_start(arguments, format);
    vsnprintf(path + n, PATH - (size_t)n, format, arguments);
    va_end(arguments);
    return path;
}

static int unlink_one(const char *path, const struct stat *info, int type, struct FTW *at) {
    (void)info, (void)type, (void)at;
    return remove(path);
}

static char *slurp(const char *path, size_t *n) {
    char *text = NULL;
    *n = 0;
    return gr_file_read(path, 64 << 20, GR_ERROR_DATA, &text, n) == GR_OK ? text : NULL;
}

static void spill(const char *path, const char *text, size_t n) {
    FILE *file = fopen(path, "w");
    if (!file) return;
    (void)!fwrite(text, 1, n, file);
    fclose(file);
}

/* ---- a study in one job ---------------------------------------------------------------------- */

struct study {
    struct gr_party parties[PARTIES_MAX];
    struct gr_keys *keys; /* this rank's */
    unsigned char digest[GR_DIGEST_BYTES];
};

/* As MPI_Barrier, but without spinning while rank 0 audits. */
static void meet(void) {
    MPI_Request request;
    int done = 0;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    while (MPI_Test(&request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done)
        usleep(2000);
}

/* SCRATCH/study.yaml, signed: all ranks but the first are sites; of a rank alone there is one that
 * nobody is. */
static gr_status write_study(const struct study *study, int size) {
    char word[GR_PUBLIC_KEY_TEXT];
    FILE *file = fopen(in_scratch("study.yaml"), "w");
    if (!file) return GR_ERROR_WRITE;
    gr_public_key_text(&study->parties[0].key, word);
    fprintf(file, "study:\n  name: heart\n  coordinator: %s\n  sites:\n", word);
    struct gr_public_key nobody;
    if (size == 1 && gr_keys_generate(in_scratch("nobody"), &nobody) != GR_OK)
        return GR_ERROR_WRITE;
    for (int i = 1; i < size || i == 1; i++) {
        gr_public_key_text(size == 1 ? &nobody : &study->parties[i].key, word);
        fprintf(file, "  - {name: site-%d, key: %s, silos: [a-%d, b-%d]}\n", i, word, i, i);
    }
    fputs("run: {rounds: 4}\ndata: {source: csv, test_fraction: 0.2}\nmodel: {type: softmax}\n"
          "train: {learning_rate: 0.1, batch_size: 8}\n",
          file);
    fclose(file);
    return gr_study_sign(in_scratch("study.yaml"), study->keys);
}

/* Keys of all ranks, each by its rank, and a folder for all. */
static int found(struct gr_comm *comm, struct study *study) {
    int bad = 0;
    size_t n;
    const int rank = gr_comm_rank(comm);
    strcpy(scratch, "/tmp/granary-test-XXXXXX");
    if (rank == 0) EXPECT(mkdtemp(scratch) != NULL);
    MPI_Bcast(scratch, sizeof scratch, MPI_CHAR, 0, MPI_COMM_WORLD);
    memset(study, 0, sizeof *study);
    struct gr_public_key key;
    EXPECT(gr_keys_generate(in_scratch("key-%d", rank), &key) == GR_OK);
    EXPECT(gr_keys_read(in_scratch("key-%d", rank), &study->keys) == GR_OK);
    for (int i = 0; i < gr_comm_size(comm); i++) {
        study->parties[i].key = key;
        MPI_Bcast(&study->parties[i].key, sizeof key, MPI_BYTE, i, MPI_COMM_WORLD);
        snprintf(study->parties[i].name, sizeof study->parties[i].name,
                 i == 0 ? "coordinator" : "site-%d", i);
    }
    if (rank == 0) EXPECT(write_study(study, gr_comm_size(comm)) == GR_OK);
    meet();
    char *text = slurp(in_scratch("study.yaml"), &n);
    EXPECT(text != NULL);
    if (text) gr_digest_of(text, n, study->digest);
    gr_free(text);
    return bad;
}

static void dissolve(struct gr_comm *comm, struct study *study) {
    gr_keys_free(study->keys);
    meet();
    if (gr_comm_rank(comm) == 0) nftw(scratch, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* In a communicator of its own, which the end of a run ends. */
static gr_status train(const struct study *study, const char *name, int rounds, bool resume) {
    gr_status status = GR_OK;
    const struct gr_comm_options plain = {0};
    struct gr_comm *comm = NULL;
    struct gr_config *config = NULL;
    char *path = NULL;
    GR_TRY(gr_comm_create(MPI_COMM_WORLD, &plain, &comm));
    const int rank = gr_comm_rank(comm);
    char text[1024], run[PATH], journal[PATH];
    snprintf(text, sizeof text, config_text, rounds, scratch);
    snprintf(run, sizeof run, "%s", in_scratch("%s", name));
    GR_TRY(gr_journal_path(in_scratch("."), rank, &path));
    snprintf(journal, sizeof journal, "%s", path);
    GR_TRY(gr_config_parse("study.yaml", text, strlen(text), NULL, 0, &config));
    const struct gr_run_evidence evidence = {.study = study->digest,
                                             .parties = study->parties,
                                             .party = (uint32_t)rank,
                                             .keys = study->keys,
                                             .journal = journal,
                                             .rank = rank};
    const struct gr_run_options options = {
        .run_path = run, .resume = resume, .config_text = "as given", .evidence = &evidence};
    status = gr_run(comm, config, &options);
out:
    gr_comm_free(comm);
    gr_free(path);
    gr_config_free(config);
    return status;
}

/* Of the run and all journals. */
static gr_status audit(struct gr_comm *comm, const char *name, FILE *out) {
    char run[PATH], journal[PARTIES_MAX][PATH];
    const char *journals[PARTIES_MAX];
    const size_t n = (size_t)gr_comm_size(comm);
    snprintf(run, sizeof run, "%s", in_scratch("%s", name));
    for (size_t i = 0; i < n; i++) {
        char *path = NULL;
        if (gr_journal_path(in_scratch("."), (int)i, &path) != GR_OK) return GR_ERROR_INTERNAL;
        snprintf(journal[i], PATH, "%s", path);
        journals[i] = journal[i];
        gr_free(path);
    }
    const struct gr_audit_options options = {
        .run_path = run, .journals = journals, .n_journals = n};
    return gr_audit(&options, out);
}

/* ---- files that are changed ------------------------------------------------------------------ */

/* Every byte of a small file, a sample of a large one. */
static int flip_bytes(struct gr_comm *comm, const char *given) {
    char path[PATH];
    int bad = 0;
    size_t n, missed = 0;
    snprintf(path, sizeof path, "%s", given);
    char *text = slurp(path, &n);
    EXPECT(text && n > 0);
    const size_t flips = FLIPS / (size_t)gr_comm_size(comm), step = n > flips ? n / flips : 1;
    for (size_t i = 0; text && i < n; i += step) {
        const size_t at = i + (size_t)(rand() % (int)step);
        if (at >= n) break;
        text[at] ^= 1;
        spill(path, text, n);
        if (audit(comm, "run", NULL) != GR_ERROR_DATA && missed++ < 3)
            fprintf(stderr, "%s: byte %zu of %zu is changed, and not found\n", path, at, n);
        text[at] ^= 1;
    }
    if (text) spill(path, text, n);
    EXPECT_EQUAL(missed, 0);
    gr_free(text);
    return bad;
}

/* Cut at the end of each line and in its middle; and each line taken out. */
static int cut_lines(struct gr_comm *comm, const char *given) {
    char path[PATH];
    int bad = 0;
    size_t n, missed = 0;
    snprintf(path, sizeof path, "%s", given);
    char *text = slurp(path, &n), *without = text ? malloc(n) : NULL;
    EXPECT(text && without);
    for (size_t from = 0; without && from < n;) {
        const char *end = memchr(text + from, '\n', n - from);
        const size_t to = end ? (size_t)(end - text) + 1 : n;
        const size_t cuts[] = {from, from + (to - from) / 2, to - 1};
        for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
            spill(path, text, cuts[k]);
            missed += audit(comm, "run", NULL) != GR_ERROR_DATA;
        }
        memcpy(without, text, from);
        memcpy(without + from, text + to, n - to);
        spill(path, without, n - (to - from));
        missed += audit(comm, "run", NULL) != GR_ERROR_DATA;
        from = to;
    }
    if (text) spill(path, text, n);
    EXPECT_EQUAL(missed, 0);
    free(without);
    gr_free(text);
    return bad;
}

static int exchange(struct gr_comm *comm, const char *first, const char *second) {
    int bad = 0;
    char one[PATH], other[PATH], aside[PATH + 8];
    snprintf(one, sizeof one, "%s", first);
    snprintf(other, sizeof other, "%s", second);
    snprintf(aside, sizeof aside, "%s.aside", one);
    EXPECT(rename(one, aside) == 0 && rename(other, one) == 0 && rename(aside, other) == 0);
    EXPECT_EQUAL(audit(comm, "run", NULL), GR_ERROR_DATA);
    EXPECT(rename(one, aside) == 0 && rename(other, one) == 0 && rename(aside, other) == 0);
    return bad;
}

static int take_away(struct gr_comm *comm, const char *given) {
    char path[PATH];
    int bad = 0;
    char aside[PATH + 8];
    snprintf(path, sizeof path, "%s", given);
    snprintf(aside, sizeof aside, "%s.aside", path);
    EXPECT(rename(path, aside) == 0);
    EXPECT_EQUAL(audit(comm, "run", NULL), GR_ERROR_DATA);
    EXPECT(rename(aside, path) == 0);
    return bad;
}

static const char *const records[] = {"run/seals.jsonl",
                                      "run/events.jsonl",
                                      "run/metrics.jsonl",
                                      "run/manifest.json",
                                      "run/evaluation.json",
                                      "run/resolved.yaml",
                                      "run/config.yaml",
                                      "run/fingerprints.json",
                                      "run/model.h5",
                                      "run/checkpoints/round-000002.h5",
                                      "run/checkpoints/round-000004.h5"};
enum { RECORDS = sizeof records / sizeof *records, LINES = 3 };

static int change_all(struct gr_comm *comm) {
    int bad = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        bad += flip_bytes(comm, in_scratch("%s", records[i]));
        /* Older checkpoints make room. */
        if (strcmp(records[i], "run/checkpoints/round-000002.h5") != 0)
            bad += take_away(comm, in_scratch("%s", records[i]));
        if (i < LINES) bad += cut_lines(comm, in_scratch("%s", records[i]));
        if (i > 0)
            bad += exchange(comm, in_scratch("%s", records[i]), in_scratch("%s", records[i - 1]));
    }
    for (int i = 0; i < gr_comm_size(comm); i++) {
        char *path = NULL;
        EXPECT(gr_journal_path(in_scratch("."), i, &path) == GR_OK);
        bad += flip_bytes(comm, path);
        bad += cut_lines(comm, path);
        bad += take_away(comm, path);
        bad += exchange(comm, path, in_scratch("run/seals.jsonl"));
        gr_free(path);
    }
    EXPECT_EQUAL(audit(comm, "run", NULL), GR_OK); /* all is put back */
    return bad;
}

/* ---- what a run directory tells ---------------------------------------------------------------
 */

/* Words that are nobody's to know: host, account, home, working folder, the run's own path. */
static const char *secret_words[8];
static size_t n_words;
static int found_words;

static void find_words(void) {
    static char host[256], here[4096];
    const struct passwd *account = getpwuid(getuid());
    n_words = 0;
    if (gethostname(host, sizeof host) == 0) secret_words[n_words++] = host;
    if (getcwd(here, sizeof here)) secret_words[n_words++] = here;
    if (account) secret_words[n_words++] = account->pw_name;
    if (getenv("HOME")) secret_words[n_words++] = getenv("HOME");
    secret_words[n_words++] = scratch;
}

static bool is_letter(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

/* By itself, not as a part of another word: an account may be called "a". A page has a style of
 * ":root". */
static bool holds(const char *text, size_t n, const char *word) {
    const size_t length = strlen(word);
    const char *at = text, *end = text + n;
    for (; (at = memmem(at, (size_t)(end - at), word, length)) != NULL; at++)
        if ((at == text || (!is_letter(at[-1]) && at[-1] != ':')) &&
            (at + length == end || !is_letter(at[length])))
            return true;
    return false;
}

/* Salts are random bytes, and never leave. */
static int look_into(const char *path, const struct stat *info, int type, struct FTW *at) {
    size_t n;
    (void)at;
    if (type != FTW_SL && info->st_mode & (S_IWGRP | S_IRWXO)) {
        fprintf(stderr, "%s: mode %o\n", path, info->st_mode);
        found_words++;
    }
    char target[4096];
    const ssize_t length = type == FTW_SL ? readlink(path, target, sizeof target) : 0;
    for (size_t i = 0; length > 0 && i < n_words; i++)
        if (holds(target, (size_t)length, secret_words[i])) {
            fprintf(stderr, "%s: leads to %.*s\n", path, (int)length, target);
            found_words++;
        }
    if (type != FTW_F || strstr(path, "/secrets/") || info->st_size == 0) return 0;
    char *text = slurp(path, &n);
    for (size_t i = 0; text && i < n_words; i++) {
        if (strcmp(secret_words[i], "/") == 0 || !holds(text, n, secret_words[i])) continue;
        fprintf(stderr, "%s: holds %s\n", path, secret_words[i]);
        found_words++;
    }
    gr_free(text);
    return 0;
}

/* ---- with the study, by the command -----------------------------------------------------------
 */

/* The exit code of `granary audit` of the run, site 1's journal and more; its page in SCRATCH/page.
 * Without the environment of mpirun, as a person starts it. */
static int by_command(const char *more) {
    char line[2048];
    const char *command = getenv("GRANARY") ? getenv("GRANARY") : "build/release/granary";
    snprintf(line, sizeof line,
             "env -i PATH=\"$PATH\" %s audit %s --journal %s %s > %s 2>&1 < /dev/null", command,
             in_scratch("run"), in_scratch("journal-1.jsonl"), more, in_scratch("page"));
    const int code = system(line);
    return WIFEXITED(code) ? WEXITSTATUS(code) : -1;
}

static bool page_says(const char *words) {
    size_t n;
    char *text = slurp(in_scratch("page"), &n);
    const bool says = text && strstr(text, words);
    if (!says) fprintf(stderr, "the page lacks \"%s\":\n%s\n", words, text ? text : "");
    gr_free(text);
    return says;
}

/* Of another coordinator, with the same sites: its signature is whole, and the seals are not of it.
 */
static int with_study(struct study *study, int size) {
    int bad = 0;
    char more[PATH + 16];
    struct gr_keys *own = study->keys;
    const struct gr_public_key coordinator = study->parties[0].key;
    snprintf(more, sizeof more, "--study %s", in_scratch("study.yaml"));
    EXPECT_EQUAL(by_command(more), 0);
    EXPECT(page_says("study heart, signed by its coordinator"));
    EXPECT(page_says("its seals are the run's; its releases are listed"));
    EXPECT_EQUAL(by_command(""), 0);
    EXPECT(page_says("no study was given"));
    EXPECT(gr_keys_generate(in_scratch("other"), &study->parties[0].key) == GR_OK);
    EXPECT(gr_keys_read(in_scratch("other"), &study->keys) == GR_OK);
    EXPECT(write_study(study, size) == GR_OK);
    gr_keys_free(study->keys);
    study->keys = own;
    study->parties[0].key = coordinator;
    EXPECT_EQUAL(by_command(more), 65);
    EXPECT(page_says("seals.jsonl:1: not signed by the coordinator whose key the study names"));
    EXPECT(page_says("of study "));
    /* Edited after it was signed. */
    FILE *file = fopen(in_scratch("study.yaml"), "a");
    EXPECT(file && fputs("# later\n", file) >= 0 && fclose(file) == 0);
    EXPECT_EQUAL(by_command(more), 65);
    EXPECT(page_says("study.yaml"));
    return bad;
}

/* A key that is not the site's: the journal is whole, and of somebody else. */
static int with_another_site(struct study *study, int size) {
    int bad = 0;
    char more[PATH + 16];
    const struct gr_public_key site = study->parties[1].key;
    snprintf(more, sizeof more, "--study %s", in_scratch("study.yaml"));
    EXPECT(gr_keys_generate(in_scratch("another"), &study->parties[1].key) == GR_OK);
    EXPECT(write_study(study, size) == GR_OK);
    study->parties[1].key = site;
    EXPECT_EQUAL(by_command(more), 65);
    EXPECT(page_says("journal-1.jsonl:1: of another key than the study has for site-1"));
    return bad;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static int test_changes(struct gr_comm *comm) {
    struct study study;
    int bad = found(comm, &study);
    EXPECT(train(&study, "run", 4, false) == GR_OK);
    meet();
    if (gr_comm_rank(comm) == 0) {
        EXPECT_EQUAL(audit(comm, "run", NULL), GR_OK);
        srand(1);
        bad += change_all(comm);
    }
    dissolve(comm, &study);
    return bad;
}

/* A copy that is older than the journals is found by them, and by nothing else. */
static int test_older_copy(struct gr_comm *comm) {
    struct study study;
    int bad = found(comm, &study);
    char words[3 * PATH];
    EXPECT(train(&study, "run", 2, false) == GR_OK);
    meet();
    if (gr_comm_rank(comm) == 0) {
        snprintf(words, sizeof words, "cp -r %s %s", in_scratch("run"), in_scratch("old"));
        EXPECT(system(words) == 0);
    }
    EXPECT(train(&study, "run", 4, true) == GR_OK);
    meet();
    if (gr_comm_rank(comm) == 0) {
        EXPECT_EQUAL(audit(comm, "run", NULL), GR_OK);
        EXPECT_EQUAL(audit(comm, "old", NULL), GR_ERROR_DATA);
        EXPECT(strstr(gr_message(), "an older copy") != NULL);
        const struct gr_audit_options alone = {.run_path = in_scratch("old")};
        EXPECT_EQUAL(gr_audit(&alone, NULL), GR_OK);
    }
    dissolve(comm, &study);
    return bad;
}

/* A coordinator that goes on from an older copy is refused by whoever has a journal. */
static int test_gone_back(struct gr_comm *comm) {
    struct study study;
    int bad = found(comm, &study);
    char words[4 * PATH];
    EXPECT(train(&study, "run", 2, false) == GR_OK);
    meet();
    if (gr_comm_rank(comm) == 0) {
        snprintf(words, sizeof words, "cp -r %s %s", in_scratch("run"), in_scratch("old"));
        EXPECT(system(words) == 0);
    }
    EXPECT(train(&study, "run", 4, true) == GR_OK);
    meet();
    EXPECT_EQUAL(train(&study, "old", 4, true), GR_ERROR_POLICY);
    EXPECT(strstr(gr_message(), "has gone back behind what it had sealed") != NULL);
    meet();
    if (gr_comm_rank(comm) == 0) {
        EXPECT_EQUAL(audit(comm, "run", NULL), GR_ERROR_DATA);
        EXPECT(strstr(gr_message(), "the site has refused a seal") != NULL);
    }
    dissolve(comm, &study);
    return bad;
}

/* Also after it was gone on with, when its files do not fit each other, which is told. */
static int test_names_nobody(struct gr_comm *comm) {
    struct study study;
    int bad = found(comm, &study);
    EXPECT(train(&study, "run", 2, false) == GR_OK);
    meet();
    if (gr_comm_rank(comm) == 0) {
        size_t n;
        char path[PATH], *text;
        snprintf(path, sizeof path, "%s", in_scratch("run/metrics.jsonl"));
        text = slurp(path, &n);
        EXPECT(text && n > 10);
        if (text) spill(path, text, n - 10);
        gr_free(text);
    }
    EXPECT(train(&study, "run", 4, true) == GR_OK);
    meet();
    if (gr_comm_rank(comm) == 0) {
        size_t n;
        char *text = slurp(in_scratch("run/events.jsonl"), &n);
        EXPECT(text && strstr(text, "metrics.jsonl: "));
        gr_free(text);
        find_words();
        found_words = 0;
        EXPECT(nftw(in_scratch("run"), look_into, 8, FTW_PHYS) == 0);
        EXPECT_EQUAL(found_words, 0);
    }
    dissolve(comm, &study);
    return bad;
}

static int test_study(struct gr_comm *comm) {
    struct study study;
    int bad = found(comm, &study);
    const int size = gr_comm_size(comm);
    EXPECT(train(&study, "run", 4, false) == GR_OK);
    meet();
    if (gr_comm_rank(comm) == 0 && size > 1) {
        bad += with_study(&study, size);
        bad += with_another_site(&study, size);
    }
    dissolve(comm, &study);
    return bad;
}

PARALLEL_MAIN({"study", test_study}, {"names nobody", test_names_nobody}, {"changes", test_changes},
              {"older copy", test_older_copy}, {"gone back", test_gone_back})
