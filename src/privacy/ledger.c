/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An entry is appended and brought to disk, then the head is replaced, and only then does its
 * release leave. So the ledger is as long as its head, or by one entry longer where a kill came
 * between the two; that entry counts, though nothing of it has left. A line without its end was
 * never relied on, and goes. Any other difference is none that a kill leaves.
 */
#include "privacy/ledger.h"

#include "privacy/ledger_line.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTES_MAX = 256 << 20, HEAD_BYTES = 256, HEAD_VERSION = 1 };

struct gr_ledger {
    char *path, *head_path; /* owned */
    int fd;                 /* -1: it is only read */
    off_t end;              /* of the whole lines */
    struct gr_ledger_title title;
    struct gr_head first, head;      /* behind the title, and behind all lines */
    struct gr_ledger_entry *entries; /* owned */
    size_t n, room;
    struct gr_ledger_change *changes; /* owned */
    size_t n_changes, changes_room;
    size_t of_other_rows; /* entries before other rows were there, or were held out */
    bool damaged;
};

void gr_ledger_close(struct gr_ledger *ledger) {
    if (!ledger) return;
    if (ledger->fd >= 0) close(ledger->fd);
    gr_free(ledger->entries);
    gr_free(ledger->changes);
    gr_free(ledger->head_path);
    gr_free(ledger->path);
    gr_free(ledger);
}

struct gr_head gr_ledger_head(const struct gr_ledger *ledger) {
    return ledger->head;
}

const struct gr_ledger_entry *gr_ledger_entries(const struct gr_ledger *ledger, size_t *n) {
    *n = ledger->n;
    return ledger->entries;
}

const struct gr_ledger_change *gr_ledger_changes(const struct gr_ledger *ledger, size_t *n) {
    *n = ledger->n_changes;
    return ledger->changes;
}

/* Room is made before anything is written, so that what is on disk is known here as well. */
static gr_status make_room(struct gr_ledger *ledger) {
    gr_status status = GR_OK;
    struct gr_ledger_entry *grown;
    if (ledger->n < ledger->room) return GR_OK;
    const size_t room = 2 * ledger->room + 64;
    GR_TRY(gr_allocate(room, sizeof *grown, "a ledger", &grown));
    if (ledger->n > 0) memcpy(grown, ledger->entries, ledger->n * sizeof *grown);
    gr_free(ledger->entries);
    ledger->entries = grown;
    ledger->room = room;
out:
    return status;
}

static gr_status make_change_room(struct gr_ledger *ledger) {
    gr_status status = GR_OK;
    struct gr_ledger_change *grown;
    if (ledger->n_changes < ledger->changes_room) return GR_OK;
    const size_t room = 2 * ledger->changes_room + 4;
    GR_TRY(gr_allocate(room, sizeof *grown, "a ledger", &grown));
    if (ledger->n_changes > 0) memcpy(grown, ledger->changes, ledger->n_changes * sizeof *grown);
    gr_free(ledger->changes);
    ledger->changes = grown;
    ledger->changes_room = room;
out:
    return status;
}

/* The change behind the last one is there. */
static void count_change(struct gr_ledger *ledger) {
    if (ledger->changes[ledger->n_changes++].change != GR_TABLE_BEGUN)
        ledger->of_other_rows = ledger->n;
}

/* ---- the head ------------------------------------------------------------------------------- */

static int write_head(const struct gr_head *head, char out[HEAD_BYTES]) {
    return snprintf(out, HEAD_BYTES, "granary-privacy-ledger-head %d %" PRIu64 " %s\n",
                    (int)HEAD_VERSION, head->n, head->hash);
}

static gr_status keep_head(const struct gr_ledger *ledger) {
    char text[HEAD_BYTES];
    const int n = write_head(&ledger->head, text);
    const gr_status status = gr_file_write(ledger->head_path, text, (size_t)n);
    if (status == GR_OK) gr_file_keep_private(ledger->head_path);
    return status;
}

/* *found false: there is none. */
static gr_status read_head(const struct gr_ledger *ledger, struct gr_head *out, bool *found) {
    gr_status status = GR_OK;
    char *text = NULL, again[HEAD_BYTES];
    size_t n;
    *out = (struct gr_head){0};
    struct stat is;
    *found = lstat(ledger->head_path, &is) == 0 || errno != ENOENT;
    if (!*found) goto out;
    GR_TRY(gr_file_read(ledger->head_path, HEAD_BYTES - 1, GR_ERROR_POLICY, &text, &n));
    int version = 0;
    const int read = sscanf(text, "granary-privacy-ledger-head %9d %" SCNu64 " %64[0-9a-f]",
                            &version, &out->n, out->hash);
    if (read >= 1 && version > HEAD_VERSION)
        status = gr_fail(GR_ERROR_POLICY,
                         "%s: of version %d, which a later granary has written; this one reads "
                         "version %d",
                         gr_path_shown(ledger->head_path), version, (int)HEAD_VERSION);
    else if (read != 3 || (size_t)write_head(out, again) != n || memcmp(text, again, n) != 0)
        status = gr_fail(GR_ERROR_POLICY, "%s: not the head of a privacy ledger, or changed",
                         gr_path_shown(ledger->head_path));
out:
    gr_free(text);
    return status;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* The head is somewhere among the lines that were read. */
struct known_head {
    struct gr_head head;
    bool found; /* there is a file of it */
    bool met;   /* among the lines */
};

static gr_status take_line(struct gr_ledger *ledger, const char *line, size_t n,
                           struct known_head *known) {
    gr_status status = GR_OK;
    if (ledger->end == 0) {
        GR_TRY(gr_ledger_read_title(line, n, &ledger->head, &ledger->title));
        ledger->first = ledger->head;
    } else if (gr_ledger_is_change(line)) {
        GR_TRY(make_change_room(ledger));
        GR_TRY(gr_ledger_read_change(line, n, &ledger->head, &ledger->changes[ledger->n_changes]));
        count_change(ledger);
    } else if (ledger->title.version > 1 && ledger->n_changes == 0) {
        status = gr_fail(GR_ERROR_POLICY, "an entry before any that says of which table it is");
        goto out;
    } else {
        GR_TRY(make_room(ledger));
        GR_TRY(gr_ledger_read_entry(line, n, &ledger->head, &ledger->entries[ledger->n]));
        ledger->n++;
    }
    ledger->end += (off_t)n;
    if (ledger->head.n == known->head.n && strcmp(ledger->head.hash, known->head.hash) == 0)
        known->met = true;
out:
    return status;
}

static gr_status take_lines(struct gr_ledger *ledger, const char *text, size_t n,
                            struct known_head *known) {
    gr_status status = GR_OK;
    char line[GR_LEDGER_LINE_BYTES];
    for (uint64_t number = 1; (size_t)ledger->end < n; number++) {
        const char *from = text + ledger->end, *end = memchr(from, '\n', n - (size_t)ledger->end);
        if (!end) break; /* cut by a kill, if the head agrees */
        const size_t length = (size_t)(end - from) + 1;
        if (length < sizeof line) {
            memcpy(line, from, length);
            line[length] = '\0';
            status = take_line(ledger, line, length, known);
        } else {
            status = gr_fail(GR_ERROR_POLICY, "a line of over %d bytes", (int)sizeof line - 1);
        }
        if (status != GR_OK)
            return gr_fail_context(status, "%s:%" PRIu64 ": ", gr_path_shown(ledger->path), number);
    }
    return status;
}

/* Compares what was read with the head. in_use: another process may go on with it meanwhile. */
static gr_status compare(const struct gr_ledger *ledger, const struct known_head *known,
                         bool in_use) {
    const char *path = gr_path_shown(ledger->path);
    if (!known->found && ledger->n == 0) return GR_OK; /* it was being made */
    if (!known->found)
        return gr_fail(GR_ERROR_POLICY,
                       "%s: has %zu entries, and its head is missing (%s.head), so nobody can tell "
                       "whether it is whole; expected both, from the newest copy",
                       path, ledger->n, path);
    if (ledger->end == 0 || ledger->head.n < known->head.n)
        return gr_fail(GR_ERROR_POLICY,
                       "%s: %s, expected the %" PRIu64
                       " lines behind its first that its head tells of; what was spent is not "
                       "known, so nothing "
                       "more of this table may leave",
                       path, ledger->end == 0 ? "missing or empty" : "was cut", known->head.n);
    if (!known->met || (!in_use && ledger->head.n > known->head.n + 1))
        return gr_fail(GR_ERROR_POLICY,
                       "%s: does not agree with its head, of %" PRIu64
                       " lines: the two are of different times or ledgers",
                       path, known->head.n);
    return GR_OK;
}

/* Lines and head. The head is read first: whoever uses the ledger writes it last. */
static gr_status look_back(struct gr_ledger *ledger, bool *has_head) {
    gr_status status = GR_OK;
    struct known_head known = {0};
    char *text = NULL;
    size_t n = 0;
    GR_TRY(read_head(ledger, &known.head, &known.found));
    if (ledger->fd >= 0 || access(ledger->path, F_OK) == 0)
        GR_TRY(gr_file_read(ledger->path, BYTES_MAX, GR_ERROR_POLICY, &text, &n));
    GR_TRY(take_lines(ledger, text, n, &known));
    GR_TRY(compare(ledger, &known, ledger->fd < 0));
    *has_head = known.found && known.head.n == ledger->head.n;
out:
    gr_free(text);
    return status;
}

/* ---- opening -------------------------------------------------------------------------------- */

static gr_status start(const char *path, struct gr_ledger **out) {
    gr_status status;
    struct gr_ledger *ledger = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *ledger, "a ledger", &ledger));
    ledger->fd = -1;
    GR_TRY(gr_text_format(&ledger->path, "%s", path));
    GR_TRY(gr_text_format(&ledger->head_path, "%s.head", path));
    *out = ledger;
    ledger = NULL;
out:
    gr_ledger_close(ledger);
    return status;
}

/* The ledger itself, or its folder. */
static gr_status path_of(const char *path, char **out) {
    struct stat is;
    const bool folder = stat(path, &is) == 0 && S_ISDIR(is.st_mode);
    return gr_text_format(out, "%s%s", path, folder ? "/privacy-ledger" : "");
}

static gr_status check_there(const struct gr_ledger *ledger) {
    if (access(ledger->path, F_OK) == 0 || access(ledger->head_path, F_OK) == 0) return GR_OK;
    return gr_fail(GR_ERROR_USAGE, "%s: no privacy ledger, nor a trace of one",
                   gr_path_shown(ledger->path));
}

static gr_status lock(struct gr_ledger *ledger) {
    struct stat is;
    ledger->fd = open(ledger->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                      S_IRUSR | S_IWUSR);
    if (ledger->fd < 0 || fstat(ledger->fd, &is) != 0 || !S_ISREG(is.st_mode))
        return gr_fail(GR_ERROR_WRITE, "%s: %s", gr_path_shown(ledger->path),
                       ledger->fd >= 0  ? "not a file"
                       : errno == ELOOP ? "a symbolic link, expected the file itself"
                                        : strerror(errno));
    if (flock(ledger->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return gr_fail(GR_ERROR_WRITE,
                       "%s: another process, or another silo of this one, has it; each silo needs "
                       "a folder of its own",
                       gr_path_shown(ledger->path));
    gr_file_keep_private(ledger->path);
    return GR_OK;
}

/* Whether the path still names the file that is open, as it was left: one that was removed or
 * replaced is nobody's ledger, and where file systems lock nothing another run may have added to
 * it.
 */
static bool is_ours(const struct gr_ledger *ledger) {
    struct stat open_file, named;
    return fstat(ledger->fd, &open_file) == 0 && lstat(ledger->path, &named) == 0 &&
           open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino &&
           open_file.st_size == ledger->end;
}

/* After a failure the file's end is unknown, so nothing more is written, and nothing leaves. */
static gr_status append(struct gr_ledger *ledger, const char *line, size_t n) {
    if (!is_ours(ledger)) {
        ledger->damaged = true;
        return gr_fail(GR_ERROR_WRITE,
                       "%s: was removed, replaced or written by others while it was in use",
                       gr_path_shown(ledger->path));
    }
    errno = ENOSPC;
    if (pwrite(ledger->fd, line, n, ledger->end) != (ssize_t)n || fsync(ledger->fd) != 0) {
        ledger->damaged = true;
        return gr_fail(GR_ERROR_WRITE, "%s: %s", gr_path_shown(ledger->path), strerror(errno));
    }
    ledger->end += (off_t)n;
    return GR_OK;
}

/* In an empty ledger, or one of which a kill has left a part of the first line. The head is written
 * next, and brings the folder to disk. */
static gr_status write_title(struct gr_ledger *ledger) {
    char line[GR_LEDGER_LINE_BYTES];
    ledger->title = (struct gr_ledger_title){.version = GR_LEDGER_VERSION};
    randombytes_buf(ledger->title.salt, sizeof ledger->title.salt);
    ledger->first = (struct gr_head){0};
    const size_t n = gr_ledger_write_title(&ledger->title, &ledger->first, line);
    ledger->head = ledger->first;
    return append(ledger, line, n);
}

/* A whole line that follows on the others, whose head is given. */
static gr_status add_line(struct gr_ledger *ledger, const char *line, size_t n,
                          const struct gr_head *head) {
    gr_status status;
    if ((size_t)ledger->end + n > BYTES_MAX)
        return gr_fail(GR_ERROR_WRITE, "%s: is full, at %d bytes", gr_path_shown(ledger->path),
                       (int)BYTES_MAX);
    GR_TRY(append(ledger, line, n));
    ledger->head = *head;
    status = keep_head(ledger);
    if (status != GR_OK) ledger->damaged = true;
out:
    return status;
}

/* ---- the table ------------------------------------------------------------------------------ */

static gr_status add_change(struct gr_ledger *ledger, enum gr_table_change change,
                            const unsigned char rows[GR_DIGEST_BYTES],
                            const unsigned char parts[GR_DIGEST_BYTES]) {
    char line[GR_LEDGER_LINE_BYTES];
    gr_status status;
    GR_TRY(make_change_room(ledger));
    struct gr_ledger_change *kept = &ledger->changes[ledger->n_changes];
    *kept = (struct gr_ledger_change){.change = change, .head = ledger->head};
    memcpy(kept->rows, rows, GR_DIGEST_BYTES);
    memcpy(kept->parts, parts, GR_DIGEST_BYTES);
    gr_clock_utc(kept->time);
    const size_t n = gr_ledger_write_change(kept, &kept->head, line);
    const struct gr_head head = kept->head;
    GR_TRY(add_line(ledger, line, n, &head));
    count_change(ledger);
out:
    return status;
}

/* The link behind all rows that the ledger is of, counted from 1; 0: the table does not begin with
 * them. The usual one has no more, or a few. */
static size_t known_links(const struct gr_ledger *ledger, const struct gr_ledger_table *table) {
    const struct gr_ledger_change *last = &ledger->changes[ledger->n_changes - 1];
    unsigned char digest[GR_DIGEST_BYTES];
    size_t n = table->links;
    for (; n > 0; n--) {
        gr_ledger_salted(ledger->title.salt, table->chain[n - 1], GR_LINK_BYTES, digest);
        if (memcmp(digest, last->rows, sizeof digest) == 0) break;
    }
    return n;
}

/* The digest is of no use to whoever has not the ledger, whose salt is in it. */
static gr_status refuse_table(const struct gr_ledger *ledger,
                              const unsigned char rows[GR_DIGEST_BYTES]) {
    char digest[GR_DIGEST_HEX];
    gr_digest_hex(rows, digest);
    return gr_fail(GR_ERROR_POLICY,
                   "%s: tells what was spent of another table, whose rows are not the first ones "
                   "of this one; expected these, and new rows behind them. If both hold the same "
                   "people, corrected or in another order, `granary privacy ledger %s --adopt %s` "
                   "goes on with all that was spent; a table of other people needs another folder "
                   "of the silo (silos[].directory)",
                   gr_path_shown(ledger->path), gr_path_shown(ledger->path), digest);
}

/* Whether it is of this table, which may have grown. In version 1 the parts alone are known. */
static gr_status check_table(struct gr_ledger *ledger, const struct gr_ledger_table *table) {
    unsigned char rows[GR_DIGEST_BYTES], parts[GR_DIGEST_BYTES];
    const unsigned char *salt = ledger->title.salt;
    gr_ledger_salted(salt, table->chain[table->links - 1], GR_LINK_BYTES, rows);
    gr_ledger_salted(salt, table->parts, GR_DIGEST_BYTES, parts);
    if (ledger->n_changes == 0)
        return ledger->title.version > 1 || memcmp(parts, ledger->title.parts, sizeof parts) == 0
                   ? add_change(ledger, GR_TABLE_BEGUN, rows, parts)
                   : refuse_table(ledger, rows);
    const size_t known = known_links(ledger, table);
    if (known == 0) return refuse_table(ledger, rows);
    if (known < table->links) return add_change(ledger, GR_TABLE_GROWN, rows, parts);
    if (memcmp(parts, ledger->changes[ledger->n_changes - 1].parts, sizeof parts) != 0)
        return add_change(ledger, GR_TABLE_DEALT, rows, parts);
    return GR_OK;
}

/* A line without its end goes. */
static gr_status cut_off(const struct gr_ledger *ledger) {
    if (ftruncate(ledger->fd, ledger->end) == 0) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "%s: %s", gr_path_shown(ledger->path), strerror(errno));
}

/* To be written: locked, whole, and with its head. */
static gr_status open_to_write(const char *path, bool make, struct gr_ledger **out) {
    gr_status status;
    struct gr_ledger *ledger = NULL;
    bool has_head = false;
    GR_TRY(start(path, &ledger));
    if (!make) GR_TRY(check_there(ledger));
    GR_TRY(lock(ledger));
    GR_TRY(look_back(ledger, &has_head));
    GR_TRY(cut_off(ledger));
    if (ledger->end == 0) GR_TRY(write_title(ledger));
    if (!has_head) GR_TRY(keep_head(ledger));
    *out = ledger;
    ledger = NULL;
out:
    gr_ledger_close(ledger);
    return status;
}

gr_status gr_ledger_open(const char *directory, const struct gr_ledger_table *table,
                         struct gr_ledger **out) {
    gr_status status;
    struct gr_ledger *ledger = NULL;
    char *path = NULL;
    *out = NULL;
    GR_TRY(gr_text_format(&path, "%s/privacy-ledger", directory));
    GR_TRY(open_to_write(path, true, &ledger));
    GR_TRY(check_table(ledger, table));
    *out = ledger;
    ledger = NULL;
out:
    gr_ledger_close(ledger);
    gr_free(path);
    return status;
}

gr_status gr_ledger_adopt(const char *path, const unsigned char rows[GR_DIGEST_BYTES]) {
    static const unsigned char unknown[GR_DIGEST_BYTES];
    struct gr_ledger *ledger = NULL;
    char *file = NULL;
    gr_status status;
    GR_TRY(path_of(path, &file));
    GR_TRY(open_to_write(file, false, &ledger));
    status = add_change(ledger, GR_TABLE_ADOPTED, rows, unknown);
out:
    gr_ledger_close(ledger);
    gr_free(file);
    return status;
}

gr_status gr_ledger_read(const char *path, struct gr_ledger **out) {
    gr_status status;
    struct gr_ledger *ledger = NULL;
    char *file = NULL;
    bool has_head;
    *out = NULL;
    GR_TRY(path_of(path, &file));
    GR_TRY(start(file, &ledger));
    GR_TRY(check_there(ledger));
    GR_TRY(look_back(ledger, &has_head));
    *out = ledger;
    ledger = NULL;
out:
    gr_ledger_close(ledger);
    gr_free(file);
    return status;
}

/* ---- charging ------------------------------------------------------------------------------- */

static const struct gr_ledger_entry *find(const struct gr_ledger *ledger,
                                          const unsigned char *binding) {
    for (size_t i = ledger->n; i-- > 0;) /* a repetition is of a late one */
        if (memcmp(ledger->entries[i].binding, binding, GR_DIGEST_BYTES) == 0)
            return &ledger->entries[i];
    return NULL;
}

static bool same_price(const struct gr_ledger_entry *a, const struct gr_ledger_entry *b) {
    return gr_privacy_same_kind(&a->event, &b->event) && a->event.count == b->event.count &&
           a->unit == b->unit && a->adjacency == b->adjacency && a->mechanism == b->mechanism &&
           a->correlation == b->correlation && a->bands == b->bands;
}

static gr_status check_entry(const struct gr_ledger *ledger, const struct gr_ledger_entry *entry) {
    const size_t n = strnlen(entry->run, sizeof entry->run);
    const struct gr_ledger_entry *before = find(ledger, entry->binding);
    if (before && !same_price(before, entry))
        return gr_fail(GR_ERROR_POLICY,
                       "%s: what is about to leave is bound to the noise of an earlier release, "
                       "which was charged with another event: noise is not used twice",
                       gr_path_shown(ledger->path));
    if (before && before < ledger->entries + ledger->of_other_rows)
        return gr_fail(GR_ERROR_POLICY,
                       "%s: what is about to leave is bound to the noise of an earlier release, "
                       "of other rows: noise is not used twice",
                       gr_path_shown(ledger->path));
    if (!gr_ledger_event_sound(&entry->event) || n == 0 || n == sizeof entry->run ||
        strspn(entry->run, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") < n)
        return gr_fail(GR_ERROR_INTERNAL,
                       "a privacy ledger was to be charged with noise multiplier %g, sampling %g, "
                       "%" PRIu64 " steps, added delta %g",
                       entry->event.noise_multiplier, entry->event.sampling, entry->event.count,
                       entry->event.delta_added);
    return GR_OK;
}

gr_status gr_ledger_charge(struct gr_ledger *ledger, const struct gr_ledger_entry *entry) {
    gr_status status;
    char line[GR_LEDGER_LINE_BYTES];
    if (ledger->fd < 0 || ledger->damaged)
        return gr_fail(GR_ERROR_WRITE, "%s: %s", gr_path_shown(ledger->path),
                       ledger->damaged ? "an earlier entry could not be written" : "is only read");
    GR_TRY(check_entry(ledger, entry));
    if (find(ledger, entry->binding)) return GR_OK;
    GR_TRY(make_room(ledger));
    struct gr_ledger_entry *kept = &ledger->entries[ledger->n];
    *kept = *entry;
    gr_clock_utc(kept->time);
    kept->head = ledger->head;
    const size_t n = gr_ledger_write_entry(kept, &kept->head, line);
    const struct gr_head head = kept->head;
    GR_TRY(add_line(ledger, line, n, &head));
    ledger->n++;
out:
    return status;
}

static bool same_head(const struct gr_head *a, const struct gr_head *b) {
    return a->n == b->n && strcmp(a->hash, b->hash) == 0;
}

gr_status gr_ledger_check(const struct gr_ledger *ledger, const struct gr_head *known) {
    bool found = same_head(&ledger->first, known);
    for (size_t i = 0; i < ledger->n && !found; i++)
        found = same_head(&ledger->entries[i].head, known);
    for (size_t i = 0; i < ledger->n_changes && !found; i++)
        found = same_head(&ledger->changes[i].head, known);
    if (found) return GR_OK;
    return gr_fail(GR_ERROR_POLICY,
                   "%s: has %" PRIu64 " lines, and is not the ledger of at least %" PRIu64
                   " that a run has noted: it is of an earlier time, or another one",
                   gr_path_shown(ledger->path), ledger->head.n, known->n);
}

/* ---- what was spent ------------------------------------------------------------------------- */

/* An entry's event as one about another unit and adjacency. */
static gr_status view(const struct gr_ledger *ledger, const struct gr_ledger_entry *entry,
                      enum gr_protected_unit unit, enum gr_adjacency adjacency,
                      struct gr_privacy_event *out) {
    *out = entry->event;
    if (entry->unit < unit)
        return gr_fail(GR_ERROR_POLICY,
                       "%s: holds releases that hide a %s, which promise nothing about a whole %s "
                       "of the same table; expected privacy.unit %s",
                       gr_path_shown(ledger->path), gr_protected_unit_word(entry->unit),
                       gr_protected_unit_word(unit), gr_protected_unit_word(entry->unit));
    if (adjacency == GR_ADJACENCY_ADD_REMOVE && entry->adjacency != GR_ADJACENCY_ADD_REMOVE)
        return gr_fail(GR_ERROR_POLICY,
                       "%s: holds releases of adjacency %s, after which it is no secret how many "
                       "units there are; expected privacy.adjacency %s",
                       gr_path_shown(ledger->path), gr_adjacency_word(entry->adjacency),
                       gr_adjacency_word(entry->adjacency));
    /* The accountant itself doubles the sensitivity of replace, and knows no sampling with it. */
    if (entry->unit > unit || adjacency == GR_ADJACENCY_REPLACE) out->sampling = 1;
    if (entry->unit > unit && adjacency != GR_ADJACENCY_REPLACE) out->noise_multiplier /= 2;
    return GR_OK;
}

/* Counts `event` among the n kinds; the last one that there is room for takes all others up. */
static size_t count_event(struct gr_privacy_event *kinds, size_t n,
                          const struct gr_privacy_event *event) {
    for (size_t i = 0; i < n; i++)
        if (gr_privacy_same_kind(&kinds[i], event)) {
            kinds[i].count += event->count;
            return n;
        }
    if (n < GR_LEDGER_KINDS_MAX) {
        kinds[n] = *event;
        return n + 1;
    }
    struct gr_privacy_event *last = &kinds[n - 1];
    last->noise_multiplier = fmin(last->noise_multiplier, event->noise_multiplier);
    last->sampling = fmax(last->sampling, event->sampling);
    last->delta_added = fmax(last->delta_added, event->delta_added);
    last->count += event->count;
    return n;
}

gr_status gr_ledger_history(const struct gr_ledger *ledger, enum gr_protected_unit unit,
                            enum gr_adjacency adjacency,
                            struct gr_privacy_event events[GR_LEDGER_KINDS_MAX],
                            struct gr_privacy_history *out) {
    gr_status status = GR_OK;
    size_t n = 0;
    *out = (struct gr_privacy_history){.adjacency = adjacency, .events = events};
    for (size_t i = 0; i < ledger->n; i++) {
        struct gr_privacy_event event;
        GR_TRY(view(ledger, &ledger->entries[i], unit, adjacency, &event));
        n = count_event(events, n, &event);
    }
    out->n = n;
out:
    return status;
}
