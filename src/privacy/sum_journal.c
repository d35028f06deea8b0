/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text file, a line for each step:
 *   begin COUNTER ID
 *   roster COUNTER ID DIGEST
 *   shares COUNTER ID DIGEST SUBJECT PARTIES
 *   parties STUDY SITES, by a bit of each place, the first byte of the first eight
 * A line counts once it is whole and on disk.
 */
#include "privacy/sum_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Sums that have begun and are not yet closed, at most: an older one's roster is refused. */
enum { LINE_MAX_BYTES = 384, BEGUN_MAX = 16 };

struct begun_sum {
    uint64_t counter; /* 0: none */
    unsigned char id[GR_DIGEST_BYTES], roster[GR_DIGEST_BYTES];
    bool has_roster;
};

struct sum_place {
    struct gr_sum_subject subject;
    bool taken;
};

/* The parties of a sum of updates, by their places in a study. */
struct party_sites {
    unsigned char study[GR_DIGEST_BYTES];
    struct gr_party_set sites;
};

struct gr_sum_journal {
    char *path; /* owned */
    int fd;
    off_t end;                         /* of the whole lines */
    uint64_t counter;                  /* the greatest */
    struct begun_sum begun[BEGUN_MAX]; /* the latest, in turns from `next` on */
    size_t next;
    bool damaged;
    /* Of which shares have left: a table by their digests, of a power of two places, at most half
     * of them taken; owned. */
    struct sum_place *places;
    size_t n_subjects, n_places;
    struct party_sites *sets; /* of sums of updates; owned */
    size_t n_sets, sets_room;
};

uint64_t gr_sum_journal_counter(const struct gr_sum_journal *journal) {
    return journal->counter;
}

void gr_sum_journal_close(struct gr_sum_journal *journal) {
    if (!journal) return;
    if (journal->fd >= 0) close(journal->fd);
    gr_free(journal->places);
    gr_free(journal->sets);
    gr_free(journal->path);
    gr_free(journal);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* NULL: none of the latest. */
static struct begun_sum *find_begun(struct gr_sum_journal *journal, const unsigned char *id) {
    struct begun_sum *found = NULL;
    for (size_t i = 0; i < BEGUN_MAX; i++) {
        struct begun_sum *sum = &journal->begun[i];
        if (sum->counter == 0 || memcmp(sum->id, id, sizeof sum->id) != 0) continue;
        if (!found || sum->counter > found->counter) found = sum;
    }
    return found;
}

static void keep_begun(struct gr_sum_journal *journal, uint64_t counter, const unsigned char *id) {
    struct begun_sum *sum = &journal->begun[journal->next];
    *sum = (struct begun_sum){.counter = counter};
    memcpy(sum->id, id, sizeof sum->id);
    journal->counter = counter;
    journal->next = (journal->next + 1) % BEGUN_MAX;
}

/* Its place among n, or the free one where it belongs. A digest is as good as a hash. */
static struct sum_place *place_of(struct sum_place *places, size_t n,
                                  const struct gr_sum_subject *subject) {
    size_t at;
    memcpy(&at, subject->of, sizeof at);
    for (at &= n - 1; places[at].taken; at = (at + 1) & (n - 1))
        if (memcmp(places[at].subject.of, subject->of, sizeof subject->of) == 0) break;
    return &places[at];
}

static const struct gr_sum_subject *find_subject(const struct gr_sum_journal *journal,
                                                 const struct gr_sum_subject *like) {
    if (journal->n_places == 0) return NULL;
    const struct sum_place *place = place_of(journal->places, journal->n_places, like);
    return place->taken ? &place->subject : NULL;
}

static gr_status make_places(struct gr_sum_journal *journal) {
    enum { PLACES_AT_FIRST = 128 };
    const size_t n = journal->n_places > 0 ? 2 * journal->n_places : PLACES_AT_FIRST;
    struct sum_place *places;
    const gr_status status = gr_allocate_zero(n, sizeof *places, "a journal", &places);
    if (status != GR_OK) return status;
    for (size_t i = 0; i < journal->n_places; i++)
        if (journal->places[i].taken)
            *place_of(places, n, &journal->places[i].subject) = journal->places[i];
    gr_free(journal->places);
    journal->places = places;
    journal->n_places = n;
    return GR_OK;
}

static gr_status keep_subject(struct gr_sum_journal *journal,
                              const struct gr_sum_subject *subject) {
    if (2 * journal->n_subjects >= journal->n_places) {
        const gr_status status = make_places(journal);
        if (status != GR_OK) return status;
    }
    struct sum_place *place = place_of(journal->places, journal->n_places, subject);
    if (place->taken) return GR_OK;
    *place = (struct sum_place){*subject, true};
    journal->n_subjects++;
    return GR_OK;
}

static bool has_set(const struct gr_sum_journal *journal, const struct party_sites *set) {
    for (size_t i = 0; i < journal->n_sets; i++)
        if (gr_party_set_equal(&journal->sets[i].sites, &set->sites) &&
            memcmp(journal->sets[i].study, set->study, sizeof set->study) == 0)
            return true;
    return false;
}

static gr_status keep_set(struct gr_sum_journal *journal, const struct party_sites *set) {
    if (has_set(journal, set)) return GR_OK;
    if (journal->n_sets == journal->sets_room) {
        const size_t room = 2 * journal->sets_room + 4;
        struct party_sites *grown;
        const gr_status status = gr_allocate(room, sizeof *grown, "a journal", &grown);
        if (status != GR_OK) return status;
        if (journal->n_sets > 0) memcpy(grown, journal->sets, journal->n_sets * sizeof *grown);
        gr_free(journal->sets);
        journal->sets = grown;
        journal->sets_room = room;
    }
    journal->sets[journal->n_sets++] = *set;
    return GR_OK;
}

/* Of a line; false: it is none of parties. */
static bool read_set(const char *line, struct party_sites *out) {
    char study[GR_DIGEST_HEX], sites[2 * GR_PARTY_SET_BYTES + 1];
    unsigned char bytes[GR_PARTY_SET_BYTES] = {0};
    int end = 0;
    if (sscanf(line, "parties %64[0-9a-f] %256[0-9a-f]%n", study, sites, &end) != 2 ||
        line[end] != '\0' || !gr_digest_from_hex(study, out->study) ||
        sodium_hex2bin(bytes, sizeof bytes, sites, strlen(sites), NULL, NULL, NULL) != 0)
        return false;
    memcpy(&out->sites, bytes, sizeof bytes);
    return true;
}

/* Behind a line of shares; false: they are no two digests. */
static bool read_subject(const char *text, struct gr_sum_subject *out) {
    char of[GR_DIGEST_HEX], parties[GR_DIGEST_HEX];
    int end = 0;
    return sscanf(text, " %64[0-9a-f] %64[0-9a-f]%n", of, parties, &end) == 2 &&
           text[end] == '\0' && gr_digest_from_hex(of, out->of) &&
           gr_digest_from_hex(parties, out->parties);
}

/* A line without its end; false: it is none, or does not follow from the lines before. *status: of
 * the memory for it. */
static bool take_line(struct gr_sum_journal *journal, const char *line, gr_status *status) {
    char word[8], id_text[GR_DIGEST_HEX], roster_text[GR_DIGEST_HEX] = "";
    unsigned char id[GR_DIGEST_BYTES], roster[GR_DIGEST_BYTES];
    struct gr_sum_subject subject;
    struct party_sites set;
    uint64_t counter;
    int end = 0, roster_end = 0;
    if (read_set(line, &set)) {
        *status = keep_set(journal, &set);
        return true;
    }
    if (sscanf(line, "%7[a-z] %" SCNu64 " %64[0-9a-f]%n", word, &counter, id_text, &end) != 3 ||
        !gr_digest_from_hex(id_text, id))
        return false;
    if (strcmp(word, "begin") == 0) {
        if (line[end] != '\0' || counter <= journal->counter) return false;
        keep_begun(journal, counter, id);
        return true;
    }
    struct begun_sum *sum = find_begun(journal, id);
    if (sscanf(line + end, " %64[0-9a-f]%n", roster_text, &roster_end) != 1 ||
        !gr_digest_from_hex(roster_text, roster) || !sum || counter != sum->counter)
        return false;
    const char *rest = line + end + roster_end;
    const bool is_roster = strcmp(word, "roster") == 0 && rest[0] == '\0';
    if (is_roster && !sum->has_roster) {
        memcpy(sum->roster, roster, sizeof roster);
        sum->has_roster = true;
        return true;
    }
    const bool same = sum->has_roster && memcmp(sum->roster, roster, sizeof roster) == 0;
    if (strcmp(word, "shares") != 0) return is_roster && same;
    if (!same || !read_subject(rest, &subject)) return false;
    *status = keep_subject(journal, &subject);
    return true;
}

static gr_status read_lines(struct gr_sum_journal *journal, FILE *file) {
    char line[LINE_MAX_BYTES];
    for (uint64_t number = 1; fgets(line, sizeof line, file); number++) {
        const size_t n = strlen(line);
        if (n == 0 || line[n - 1] != '\n') {
            if (feof(file)) break; /* cut by a crash */
            return gr_fail(GR_ERROR_DATA, "%s:%" PRIu64 ": a line of over %d bytes or with a NUL",
                           gr_path_shown(journal->path), number, LINE_MAX_BYTES - 2);
        }
        line[n - 1] = '\0';
        gr_status status = GR_OK;
        if (!take_line(journal, line, &status))
            return gr_fail(GR_ERROR_DATA,
                           "%s:%" PRIu64
                           ": no line of a journal of secure sums, or not behind the lines before; "
                           "expected begin, roster or shares with a counter that rises",
                           gr_path_shown(journal->path), number);
        if (status != GR_OK) return status;
        journal->end += (off_t)n;
    }
    return ferror(file) ? gr_fail(GR_ERROR_DATA, "%s: cannot be read", gr_path_shown(journal->path))
                        : GR_OK;
}

static gr_status look_back(struct gr_sum_journal *journal) {
    gr_status status;
    const int fd = dup(journal->fd);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!file) {
        if (fd >= 0) close(fd);
        return gr_fail(GR_ERROR_WRITE, "%s: %s", gr_path_shown(journal->path), strerror(errno));
    }
    status = read_lines(journal, file);
    fclose(file);
    if (status == GR_OK && ftruncate(journal->fd, journal->end) != 0)
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", gr_path_shown(journal->path), strerror(errno));
    return status;
}

gr_status gr_sum_journal_open(const char *path, struct gr_sum_journal **out) {
    gr_status status;
    struct stat is;
    struct gr_sum_journal *journal = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *journal, "a journal", &journal));
    journal->fd = -1;
    GR_TRY(gr_text_format(&journal->path, "%s", path));
    journal->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (journal->fd < 0 || fstat(journal->fd, &is) != 0 || !S_ISREG(is.st_mode)) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", gr_path_shown(path),
                         journal->fd < 0 ? strerror(errno) : "not a file");
        goto out;
    }
    if (flock(journal->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        status = gr_fail(GR_ERROR_WRITE, "%s: another process of this party is running with it",
                         gr_path_shown(path));
        goto out;
    }
    gr_file_keep_private(path);
    GR_TRY(gr_file_sync_folder(path));
    GR_TRY(look_back(journal));
    *out = journal;
    journal = NULL;
out:
    gr_sum_journal_close(journal);
    return status;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* After a failure the file's end is unknown, so nothing more is written, and nothing leaves. */
static gr_status append(struct gr_sum_journal *journal, const char *line) {
    const size_t n = strlen(line);
    if (journal->damaged)
        return gr_fail(GR_ERROR_WRITE, "%s: an earlier line could not be written",
                       gr_path_shown(journal->path));
    errno = ENOSPC;
    if (pwrite(journal->fd, line, n, journal->end) != (ssize_t)n || fsync(journal->fd) != 0) {
        journal->damaged = true;
        return gr_fail(GR_ERROR_WRITE, "%s: %s", gr_path_shown(journal->path), strerror(errno));
    }
    journal->end += (off_t)n;
    return GR_OK;
}

gr_status gr_sum_journal_begin(struct gr_sum_journal *journal, uint64_t counter,
                               const unsigned char id[GR_DIGEST_BYTES]) {
    gr_status status;
    char line[LINE_MAX_BYTES], hex[GR_DIGEST_HEX];
    if (!journal) return GR_OK;
    if (counter <= journal->counter)
        return gr_fail(GR_ERROR_POLICY,
                       "secure sum: the counter %" PRIu64
                       " was offered, expected one above %" PRIu64
                       ", which this party has begun: a sum is not begun twice",
                       counter, journal->counter);
    gr_digest_hex(id, hex);
    snprintf(line, sizeof line, "begin %" PRIu64 " %s\n", counter, hex);
    GR_TRY(append(journal, line));
    keep_begun(journal, counter, id);
out:
    return status;
}

/* subject NULL: the line has none. */
static gr_status note(struct gr_sum_journal *journal, const char *word, const unsigned char *id,
                      const unsigned char *roster, const struct gr_sum_subject *subject) {
    char line[LINE_MAX_BYTES], hex[4][GR_DIGEST_HEX];
    const struct begun_sum *sum = find_begun(journal, id);
    if (!sum)
        return gr_fail(GR_ERROR_POLICY,
                       "secure sum: not one of the %d sums that this party has begun last",
                       (int)BEGUN_MAX);
    if (sum->has_roster && memcmp(sum->roster, roster, sizeof sum->roster) != 0)
        return gr_fail(GR_ERROR_POLICY,
                       "secure sum: a second roster was offered for one sum, which "
                       "would reveal by subtraction who is not in both");
    gr_digest_hex(id, hex[0]);
    gr_digest_hex(roster, hex[1]);
    if (subject) gr_digest_hex(subject->of, hex[2]);
    if (subject) gr_digest_hex(subject->parties, hex[3]);
    snprintf(line, sizeof line, "%s %" PRIu64 " %s %s%s%s%s%s\n", word, sum->counter, hex[0],
             hex[1], subject ? " " : "", subject ? hex[2] : "", subject ? " " : "",
             subject ? hex[3] : "");
    return append(journal, line);
}

gr_status gr_sum_journal_roster(struct gr_sum_journal *journal,
                                const unsigned char id[GR_DIGEST_BYTES],
                                const unsigned char roster[GR_DIGEST_BYTES]) {
    gr_status status;
    if (!journal) return GR_OK;
    GR_TRY(note(journal, "roster", id, roster, NULL));
    struct begun_sum *sum = find_begun(journal, id); /* note has found it */
    memcpy(sum->roster, roster, sizeof sum->roster);
    sum->has_roster = true;
out:
    return status;
}

gr_status gr_sum_journal_parties(struct gr_sum_journal *journal,
                                 const unsigned char study[GR_DIGEST_BYTES],
                                 const struct gr_party_set *sites) {
    gr_status status = GR_OK;
    char line[LINE_MAX_BYTES], hex[GR_DIGEST_HEX], places[2 * GR_PARTY_SET_BYTES + 1];
    unsigned char bytes[GR_PARTY_SET_BYTES];
    size_t n = sizeof bytes;
    struct party_sites set = {.sites = *sites};
    memcpy(set.study, study, sizeof set.study);
    if (!journal || has_set(journal, &set)) return GR_OK;
    gr_digest_hex(study, hex);
    memcpy(bytes, sites, sizeof bytes);
    while (n > 1 && bytes[n - 1] == 0)
        n--;
    snprintf(line, sizeof line, "parties %s %s\n", hex,
             sodium_bin2hex(places, sizeof places, bytes, n));
    GR_TRY(append(journal, line));
    status = keep_set(journal, &set);
out:
    return status;
}

uint32_t gr_sum_journal_difference(const struct gr_sum_journal *journal,
                                   const unsigned char study[GR_DIGEST_BYTES],
                                   const struct gr_party_set *sites) {
    uint32_t least = UINT32_MAX;
    for (size_t i = 0; journal && i < journal->n_sets; i++) {
        struct gr_party_set apart;
        for (size_t w = 0; w < sizeof apart.bits / sizeof *apart.bits; w++)
            apart.bits[w] = journal->sets[i].sites.bits[w] ^ sites->bits[w];
        const uint32_t n = gr_party_set_count(&apart);
        if (n > 0 && n < least && memcmp(journal->sets[i].study, study, GR_DIGEST_BYTES) == 0)
            least = n;
    }
    return least;
}

gr_status gr_sum_journal_check(const struct gr_sum_journal *journal,
                               const struct gr_sum_subject *subject) {
    const struct gr_sum_subject *before = journal ? find_subject(journal, subject) : NULL;
    if (!before || memcmp(before->parties, subject->parties, sizeof before->parties) == 0)
        return GR_OK;
    return gr_fail(
        GR_ERROR_POLICY,
        "secure sum: shares of the same sum over other parties have left before, in this "
        "run or an earlier one; the two would tell what those in only one of them have "
        "brought; expected the parties of then");
}

gr_status gr_sum_journal_shares(struct gr_sum_journal *journal,
                                const unsigned char id[GR_DIGEST_BYTES],
                                const unsigned char roster[GR_DIGEST_BYTES],
                                const struct gr_sum_subject *subject) {
    gr_status status;
    if (!journal) return GR_OK;
    const struct begun_sum *sum = find_begun(journal, id);
    if (!sum || !sum->has_roster)
        return gr_fail(GR_ERROR_POLICY, "secure sum: shares were asked for before a roster");
    GR_TRY(gr_sum_journal_check(journal, subject));
    GR_TRY(keep_subject(journal, subject));
    status = note(journal, "shares", id, roster, subject);
out:
    return status;
}
