/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder's thread: files become letters. Whatever synchronises the folder may bring a file in
 * part, late, twice, or again after it was removed; others may put anything there. So a file is
 * opened without waiting and without following links, measured before it is read, admitted by its
 * first bytes, and compared with its checksum. One that does not pass is left where it is.
 *
 * Letters of a session leave the folder in their order: those whose turn has not come wait as
 * files, not in memory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "post/folder.h"

/*
 * A file that is refused may be in the making: it is refused for good when it has not changed for
 * settled_s, and told to be cut after stale_s. A gap in the order is waited for so long. A void
 * note stays a while, as nobody acknowledges it.
 */
static const double settled_s = 1, stale_s = 180, gap_s = 30;
enum { NOTE_STAYS_S = 60 };

/* A file that may be a letter to this party. */
struct folder_candidate {
    char name[GR_FOLDER_NAME];
    struct gr_letter_label label;
};

/* By party and session, in the order of counters: notes are the last. */
static int compare(const void *a, const void *b) {
    const struct gr_letter_label *x = &((const struct folder_candidate *)a)->label;
    const struct gr_letter_label *y = &((const struct folder_candidate *)b)->label;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    const int order = memcmp(x->session, y->session, GR_SESSION_BYTES);
    if (order != 0) return order;
    return (x->counter > y->counter) - (x->counter < y->counter);
}

/* ---- files that are none to be taken -------------------------------------------------------- */

/* By the time of change: whoever mends the mode of a file leaves its time of modification. */
static bool is_unchanged(const struct gr_folder_trouble *entry, const struct stat *is) {
    return entry->size == is->st_size && entry->changed.tv_sec == is->st_ctim.tv_sec &&
           entry->changed.tv_nsec == is->st_ctim.tv_nsec;
}

static struct gr_folder_trouble *find_trouble(struct gr_folder *folder, const char *name) {
    for (size_t i = 0; i < GR_FOLDER_TROUBLES; i++)
        if (strcmp(folder->troubles[i].name, name) == 0) return &folder->troubles[i];
    return NULL;
}

/* The entry of a file as it is now; the oldest makes place for a new one. */
static struct gr_folder_trouble *note_trouble(struct gr_folder *folder, const char *name,
                                              const struct stat *is) {
    struct gr_folder_trouble *entry = find_trouble(folder, name);
    if (entry && is_unchanged(entry, is)) return entry;
    if (!entry) {
        entry = &folder->troubles[0]; /* one without a name is of second 0 */
        for (size_t i = 1; i < GR_FOLDER_TROUBLES; i++)
            if (folder->troubles[i].since_s < entry->since_s) entry = &folder->troubles[i];
    }
    memset(entry, 0, sizeof *entry);
    snprintf(entry->name, sizeof entry->name, "%s", name);
    entry->changed = is->st_ctim;
    entry->size = is->st_size;
    entry->since_s = gr_clock_seconds();
    return entry;
}

/* A file that is shorter than it says: it is being brought. */
static void is_cut(struct gr_folder *folder, const char *name, const struct stat *is,
                   size_t expected) {
    struct gr_folder_trouble *entry = note_trouble(folder, name, is);
    char words[640];
    const double since = gr_clock_seconds() - entry->since_s;
    if (entry->told || since < stale_s) return;
    entry->told = true;
    snprintf(words, sizeof words,
             "folder %s: %s has %lld bytes for %.0f s, expected %zu: it was not brought whole",
             folder->path, name, (long long)is->st_size, since, expected);
    gr_folder_notice(folder, GR_FOLDER_STALE, words, "");
}

/* By the thread's last failure of gr_letter_admit or gr_letter_refuse. */
static void is_refused(struct gr_folder *folder, const char *name, const struct stat *is) {
    struct gr_folder_trouble *entry = note_trouble(folder, name, is);
    if (entry->told || gr_clock_seconds() - entry->since_s < settled_s) return;
    entry->told = true;
    gr_carrier_refuse(&folder->carrier);
    gr_carrier_tell(&folder->carrier);
}

/* Whether the file was refused before, and has not changed since. */
static bool is_known_bad(struct gr_folder *folder, int directory, const char *name) {
    struct stat is;
    struct gr_folder_trouble *entry = find_trouble(folder, name);
    if (!entry || !entry->told) return false;
    return fstatat(directory, name, &is, AT_SYMLINK_NOFOLLOW) == 0 && is_unchanged(entry, &is);
}

/* A file that was taken goes. Where it may not be removed it is passed over until it changes. */
static void remove_taken(struct gr_folder *folder, int directory, const char *name) {
    struct stat is;
    if (unlinkat(directory, name, 0) == 0 || errno == ENOENT) return;
    if (fstatat(directory, name, &is, AT_SYMLINK_NOFOLLOW) == 0)
        note_trouble(folder, name, &is)->told = true;
}

/* ---- reading one ---------------------------------------------------------------------------- */

static bool read_exactly(int fd, unsigned char *bytes, size_t n, off_t from) {
    while (n > 0) {
        const ssize_t done = pread(fd, bytes, n, from);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        bytes += done;
        n -= (size_t)done;
        from += done;
    }
    return true;
}

static bool same_label(const struct gr_letter_label *a, const struct gr_letter_label *b) {
    return a->from == b->from && a->to == b->to && a->counter == b->counter &&
           memcmp(a->session, b->session, GR_SESSION_BYTES) == 0;
}

/* Of an open file with this size; *expected: bytes that it says it has, 0 before that is known.
 * GR_OK with *out NULL: it is not whole yet. */
static gr_status read_body(const struct gr_folder *folder, int fd, size_t size,
                           const struct gr_letter_label *named, size_t *expected,
                           struct gr_letter **out) {
    gr_status status = GR_OK;
    const struct gr_carrier_options *who = &folder->options;
    unsigned char head[GR_LETTER_HEAD_BYTES];
    struct gr_letter_label label;
    struct gr_letter *letter = NULL;
    *expected = sizeof head;
    if (size > GR_LETTER_MAX)
        return gr_letter_refuse(GR_REFUSED_SIZE, "a letter has %zu bytes, expected at most %d",
                                size, (int)GR_LETTER_MAX);
    if (size < sizeof head || !read_exactly(fd, head, sizeof head, 0)) return GR_OK;
    GR_TRY(gr_letter_admit(head, sizeof head, who->parties, who->n_parties, who->study, &label,
                           expected));
    if (!same_label(&label, named))
        return gr_letter_refuse(GR_REFUSED_FORGED, "a letter has the name of another");
    if (size < *expected) return GR_OK;
    if (size > *expected)
        return gr_letter_refuse(GR_REFUSED_SIZE, "a letter has %zu bytes, expected %zu", size,
                                *expected);
    GR_TRY(gr_allocate(1, sizeof *letter + size, "a letter", &letter));
    *letter = (struct gr_letter){.label = label, .n = size};
    memcpy(letter->bytes, head, sizeof head);
    if (read_exactly(fd, letter->bytes + sizeof head, size - sizeof head, sizeof head)) {
        if (gr_letter_is_whole(letter))
            *out = letter;
        else
            status = gr_letter_refuse(GR_REFUSED_FORGED, "a letter was changed on its way");
    }
out:
    if (!*out) gr_free(letter);
    return status;
}

static struct gr_letter *read_letter(struct gr_folder *folder, int directory,
                                     const struct folder_candidate *file) {
    struct gr_letter *letter = NULL;
    struct stat is;
    size_t expected = 0;
    gr_status status = GR_OK;
    if (is_known_bad(folder, directory, file->name)) return NULL;
    const int fd =
        openat(directory, file->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT) return NULL;
    if (fd < 0 || fstat(fd, &is) != 0) {
        status = gr_letter_refuse(GR_REFUSED_UNREADABLE, "%s: %s", file->name, strerror(errno));
        if (fstatat(directory, file->name, &is, AT_SYMLINK_NOFOLLOW) != 0) goto out;
    } else if (!S_ISREG(is.st_mode)) {
        status = gr_letter_refuse(GR_REFUSED_UNREADABLE, "%s: not a regular file", file->name);
    } else {
        status = read_body(folder, fd, (size_t)is.st_size, &file->label, &expected, &letter);
    }
    if (status == GR_ERROR_DATA)
        is_refused(folder, file->name, &is);
    else if (status == GR_OK && !letter)
        is_cut(folder, file->name, &is, expected);
out:
    if (fd >= 0) close(fd);
    return letter;
}

/* ---- the order ------------------------------------------------------------------------------ */

static struct gr_folder_track *find_track(struct gr_folder_peer *peer,
                                          const unsigned char *session) {
    for (size_t i = 0; i < GR_FOLDER_TRACKS; i++)
        if (peer->tracks[i].next > 0 &&
            memcmp(peer->tracks[i].session, session, GR_SESSION_BYTES) == 0)
            return &peer->tracks[i];
    return NULL;
}

/* A session whose first letter has come takes the place of the one that was of use longest ago. */
static struct gr_folder_track *new_track(struct gr_folder_peer *peer,
                                         const unsigned char *session) {
    struct gr_folder_track *track = &peer->tracks[0];
    for (size_t i = 1; i < GR_FOLDER_TRACKS; i++)
        if (peer->tracks[i].used_s < track->used_s) track = &peer->tracks[i];
    memset(track, 0, sizeof *track);
    memcpy(track->session, session, GR_SESSION_BYTES);
    track->next = 1;
    return track;
}

enum folder_turn { TURN_NOW, TURN_LATER, TURN_PAST };

/* The letters of a session of which the first was not seen have no order here: the post sees to
 * them. */
static enum folder_turn turn_of(struct gr_folder_track *track,
                                const struct gr_letter_label *label) {
    if (!track || track->loose) return TURN_NOW;
    /* By no order: whoever was started anew numbers its notes from anywhere. */
    if (label->counter & GR_LETTER_NOTE)
        return label->counter == track->note ? TURN_PAST : TURN_NOW;
    /* A HELLO is repeated until it is answered, and its answer with it. */
    if (label->counter == track->next || (label->counter == 1 && track->next == 2)) return TURN_NOW;
    if (label->counter < track->next) return TURN_PAST;
    const double now = gr_clock_seconds();
    if (track->gap_s == 0) track->gap_s = now;
    track->loose = now - track->gap_s > gap_s;
    return track->loose ? TURN_NOW : TURN_LATER;
}

static void advance(struct gr_folder_track *track, const struct gr_letter_label *label) {
    if (!track) return;
    track->used_s = gr_clock_seconds();
    if (label->counter & GR_LETTER_NOTE) {
        track->note = label->counter;
    } else if (label->counter == track->next) {
        track->next = label->counter + 1;
        track->gap_s = 0;
    }
}

/* Puts a letter among those that have come; true: there is room for more. */
static bool hand_over(struct gr_folder *folder, struct gr_letter *letter) {
    pthread_mutex_lock(&folder->lock);
    gr_folder_queue_put(&folder->in, letter);
    const bool more = folder->in.bytes < GR_CARRIER_HELD;
    if (!more) folder->hungry = true;
    pthread_mutex_unlock(&folder->lock);
    gr_carrier_tell(&folder->carrier);
    return more;
}

/* Takes what has its turn, and removes what is taken or past. */
static void take_letters(struct gr_folder *folder, int directory,
                         const struct folder_candidate *files, size_t n) {
    pthread_mutex_lock(&folder->lock);
    bool more = folder->in.bytes < GR_CARRIER_HELD;
    if (!more) folder->hungry = true;
    pthread_mutex_unlock(&folder->lock);
    for (size_t i = 0; i < n && more; i++) {
        const struct gr_letter_label *label = &files[i].label;
        struct gr_folder_peer *peer = &folder->peers[label->from];
        struct gr_folder_track *track = find_track(peer, label->session);
        const enum folder_turn turn = turn_of(track, label);
        if (turn == TURN_LATER) continue;
        if (turn == TURN_NOW) {
            struct gr_letter *letter = read_letter(folder, directory, &files[i]);
            if (!letter) continue;
            if (!track && label->counter == 1) track = new_track(peer, label->session);
            advance(track, label);
            more = hand_over(folder, letter);
            folder->active = true;
        }
        remove_taken(folder, directory, files[i].name);
    }
}

/* ---- looking through ------------------------------------------------------------------------ */

/* A file of this party's own: it goes when it is void. */
static void look_at_own(struct gr_folder *folder, int directory, const char *name,
                        const struct gr_letter_label *label) {
    const struct gr_folder_peer *peer = &folder->peers[label->to];
    struct stat is;
    pthread_mutex_lock(&folder->lock);
    bool gone = gr_folder_is_void(peer, label);
    pthread_mutex_unlock(&folder->lock);
    if (label->counter & GR_LETTER_NOTE) {
        gone = gone && fstatat(directory, name, &is, AT_SYMLINK_NOFOLLOW) == 0 &&
               time(NULL) - is.st_mtim.tv_sec > NOTE_STAYS_S;
        /* By no order: a process before this one has numbered its own from anywhere. */
        if (memcmp(label->session, peer->note_session, GR_SESSION_BYTES) == 0 &&
            label->counter != peer->note)
            gone = true;
    }
    if (gone) unlinkat(directory, name, 0);
}

static void tell_others(struct gr_folder *folder, const char *name) {
    char words[640], shown[128];
    gr_text_quote(name, strlen(name), shown, sizeof shown);
    snprintf(words, sizeof words,
             "folder %s: has files that are no letters of this study's parties, %s among them; "
             "they are left alone",
             folder->path, shown);
    pthread_mutex_lock(&folder->lock);
    const bool told = folder->notices[GR_FOLDER_OTHERS].words[0] != '\0';
    pthread_mutex_unlock(&folder->lock);
    if (!told) gr_folder_notice(folder, GR_FOLDER_OTHERS, words, "");
}

/* Reads the names; fills files with at most `most` of those that are for this party. */
static size_t list_files(struct gr_folder *folder, DIR *directory, struct folder_candidate *files,
                         size_t most) {
    const struct gr_carrier_options *who = &folder->options;
    size_t n = 0;
    for (const struct dirent *entry; (entry = readdir(directory));) {
        struct gr_letter_label label;
        const char *name = entry->d_name;
        if (name[0] == '.') continue;
        if (!gr_folder_parse(name, &label) || label.from >= who->n_parties ||
            label.to >= who->n_parties) {
            tell_others(folder, name);
        } else if (label.from == who->me) {
            look_at_own(folder, dirfd(directory), name, &label);
        } else if (label.to == who->me && n < most &&
                   !is_known_bad(folder, dirfd(directory), name)) {
            memcpy(files[n].name, name, strlen(name) + 1); /* gr_folder_parse has measured it */
            files[n++].label = label;
        }
    }
    return n;
}

static void tell(struct gr_folder *folder, int error) {
    char words[640] = "", over[640];
    if (error)
        snprintf(words, sizeof words, "folder %s: letters cannot be read: %s; it is tried again",
                 folder->path, strerror(error));
    snprintf(over, sizeof over, "folder %s: letters are read again", folder->path);
    gr_folder_notice(folder, GR_FOLDER_READING, words, over);
}

void gr_folder_read(struct gr_folder *folder) {
    /* More files than the window of each party has are not of use at once. */
    const size_t most = 256 * (size_t)folder->options.n_parties + 256;
    struct folder_candidate *files = NULL;
    DIR *directory = opendir(folder->path);
    tell(folder, directory ? 0 : errno);
    if (!directory) return;
    if (gr_allocate(most, sizeof *files, "names of letters", &files) == GR_OK) {
        const size_t n = list_files(folder, directory, files, most);
        qsort(files, n, sizeof *files, compare);
        take_letters(folder, dirfd(directory), files, n);
    }
    gr_free(files);
    closedir(directory);
}
