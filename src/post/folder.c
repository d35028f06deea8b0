/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters as files of a folder that anything may synchronise. One thread writes and reads all of
 * it, so that a file system that is slow, or away, holds up nobody who calls here.
 */
#include "post/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

/* Pauses between two looks into the folder while nothing comes, and the time that closing takes at
 * most for letters that are not written yet, and until the thread is given up. */
static const double look_s = 0.2, look_longest_s = 2, close_s = 2, give_up_s = 5;

static struct gr_folder *folder_of(const struct gr_carrier *carrier) {
    /* The carrier is the first member of what gr_carrier_open_folder has made. */
    return (struct gr_folder *)(uintptr_t)carrier;
}

/* ---- names ---------------------------------------------------------------------------------- */

void gr_folder_name(const struct gr_letter_label *label, char out[GR_FOLDER_NAME]) {
    char session[2 * GR_SESSION_BYTES + 1];
    sodium_bin2hex(session, sizeof session, label->session, GR_SESSION_BYTES);
    snprintf(out, GR_FOLDER_NAME, "%" PRIu32 "-%" PRIu32 "-%s-%016" PRIx64 ".letter", label->from,
             label->to, session, label->counter);
}

bool gr_folder_parse(const char *name, struct gr_letter_label *out) {
    char session[2 * GR_SESSION_BYTES + 1], again[GR_FOLDER_NAME];
    memset(out, 0, sizeof *out);
    if (strlen(name) >= GR_FOLDER_NAME ||
        sscanf(name, "%9" SCNu32 "-%9" SCNu32 "-%32[0-9a-f]-%16" SCNx64 ".letter", &out->from,
               &out->to, session, &out->counter) != 4 ||
        sodium_hex2bin(out->session, GR_SESSION_BYTES, session, strlen(session), NULL, NULL,
                       NULL) != 0)
        return false;
    gr_folder_name(out, again);
    return strcmp(name, again) == 0;
}

/* ---- queues, notices ------------------------------------------------------------------------ */

void gr_folder_queue_put(struct gr_folder_queue *queue, struct gr_letter *letter) {
    letter->next = NULL;
    *queue->end = letter;
    queue->end = &letter->next;
    queue->bytes += letter->n;
}

struct gr_letter *gr_folder_queue_take(struct gr_folder_queue *queue) {
    struct gr_letter *letter = queue->first;
    if (!letter) return NULL;
    queue->first = letter->next;
    if (!queue->first) queue->end = &queue->first;
    queue->bytes -= letter->n;
    return letter;
}

void gr_folder_notice(struct gr_folder *folder, enum gr_folder_fault fault, const char *words,
                      const char *over) {
    struct gr_folder_notice *notice = &folder->notices[fault];
    bool tell = false;
    pthread_mutex_lock(&folder->lock);
    const char *said = *words || !*notice->words ? words : over;
    if (strcmp(notice->words, said) != 0) {
        snprintf(notice->words, sizeof notice->words, "%s", said);
        notice->fault = *words != '\0';
        notice->since_s = gr_clock_seconds();
        notice->untold = tell = true;
    }
    pthread_mutex_unlock(&folder->lock);
    if (tell) gr_carrier_tell(&folder->carrier);
}

/* ---- the carrier's functions ---------------------------------------------------------------- */

static void wake(const struct gr_folder *folder) {
    const uint64_t one = 1;
    /* It fails only when so many wakings wait already that one more is none. */
    if (write(folder->wake, &one, sizeof one) < 0) return;
}

static gr_status put(struct gr_carrier *carrier, struct gr_letter *letter) {
    struct gr_folder *folder = folder_of(carrier);
    struct gr_folder_peer *peer = &folder->peers[letter->label.to];
    pthread_mutex_lock(&folder->lock);
    if (letter->label.counter == 1) {
        memcpy(peer->latest, letter->label.session, GR_SESSION_BYTES);
        peer->has_latest = true;
    }
    gr_folder_queue_put(&folder->out, letter);
    pthread_mutex_unlock(&folder->lock);
    wake(folder);
    return GR_OK;
}

static size_t room(struct gr_carrier *carrier, uint32_t to) {
    struct gr_folder *folder = folder_of(carrier);
    (void)to;
    pthread_mutex_lock(&folder->lock);
    const size_t held = folder->out.bytes;
    pthread_mutex_unlock(&folder->lock);
    return held < GR_CARRIER_HELD ? GR_CARRIER_HELD - held : 0;
}

static gr_status take(struct gr_carrier *carrier, struct gr_letter **out) {
    struct gr_folder *folder = folder_of(carrier);
    gr_status status = GR_OK;
    bool call = false;
    *out = NULL;
    pthread_mutex_lock(&folder->lock);
    for (int i = 0; i < GR_FOLDER_FAULTS && status == GR_OK; i++)
        if (folder->notices[i].untold) {
            folder->notices[i].untold = false;
            status = gr_fail(i == GR_FOLDER_WRITING ? GR_ERROR_WRITE : GR_ERROR_DATA, "%s",
                             folder->notices[i].words);
        }
    if (status == GR_OK) {
        *out = gr_folder_queue_take(&folder->in);
        call = *out && folder->hungry && folder->in.bytes < GR_CARRIER_HELD / 2;
        if (call) folder->hungry = false;
    }
    pthread_mutex_unlock(&folder->lock);
    if (call) wake(folder);
    return status;
}

bool gr_folder_is_void(const struct gr_folder_peer *peer, const struct gr_letter_label *label) {
    if (!peer->has_kept) return false;
    if (memcmp(label->session, peer->kept, GR_SESSION_BYTES) == 0)
        return label->counter <= peer->read;
    return !peer->has_latest || memcmp(label->session, peer->latest, GR_SESSION_BYTES) != 0;
}

static void forget(struct gr_carrier *carrier, uint32_t to,
                   const unsigned char session[GR_SESSION_BYTES], uint64_t counter) {
    struct gr_folder *folder = folder_of(carrier);
    struct gr_folder_peer *peer = &folder->peers[to];
    struct gr_folder_queue left = {.end = &left.first};
    struct gr_letter *letter;
    pthread_mutex_lock(&folder->lock);
    memcpy(peer->kept, session, GR_SESSION_BYTES);
    peer->has_kept = true;
    peer->read = counter;
    while ((letter = gr_folder_queue_take(&folder->out)))
        if (letter->label.to == to && !(letter->label.counter & GR_LETTER_NOTE) &&
            gr_folder_is_void(peer, &letter->label))
            gr_free(letter);
        else
            gr_folder_queue_put(&left, letter);
    if (left.first) folder->out = left;
    pthread_mutex_unlock(&folder->lock);
}

/* A file is no sign of life: it may have lain somewhere. */
static double silent_s(struct gr_carrier *carrier, uint32_t party) {
    (void)carrier, (void)party;
    return INFINITY;
}

static void describe(struct gr_carrier *carrier, char *out, size_t size) {
    struct gr_folder *folder = folder_of(carrier);
    const double now = gr_clock_seconds();
    pthread_mutex_lock(&folder->lock);
    const struct gr_folder_notice *notice = &folder->notices[GR_FOLDER_WRITING];
    if (notice->fault)
        snprintf(out, size, "%s, for %.0f s", notice->words, now - notice->since_s);
    else
        snprintf(out, size, "folder %s", folder->path);
    pthread_mutex_unlock(&folder->lock);
}

/* ---- the thread ----------------------------------------------------------------------------- */

/* Whether the file's name is of a letter for this party. Whatever cannot be told may be. */
static bool concerns(const struct gr_folder *folder, const struct inotify_event *event) {
    struct gr_letter_label label;
    if (event->len == 0) return true;
    return gr_folder_parse(event->name, &label) && label.to == folder->options.me;
}

/* Reads all that the watch tells. In a folder of many parties nearly all of it is others': to look
 * through the folder each time would take all of them nearly all of their time. */
static bool has_come(const struct gr_folder *folder) {
    _Alignas(struct inotify_event) char events[4096];
    bool any = false;
    ssize_t n;
    while (folder->watch >= 0 && (n = read(folder->watch, events, sizeof events)) > 0)
        for (const char *at = events; at < events + n;) {
            const struct inotify_event *event = (const void *)at;
            any = any || concerns(folder, event);
            at += sizeof *event + event->len;
        }
    return any;
}

/* The watch is set anew each time: the folder may have been moved away and made again. It tells of
 * what comes on this host alone; looking at times tells of the rest. */
static void wait_for_change(const struct gr_folder *folder, double seconds) {
    struct pollfd on[2] = {{.fd = folder->wake, .events = POLLIN},
                           {.fd = folder->watch, .events = POLLIN}};
    const double until = gr_clock_seconds() + seconds;
    char wakes[8];
    if (folder->watch >= 0)
        (void)inotify_add_watch(folder->watch, folder->path, IN_MOVED_TO | IN_CLOSE_WRITE);
    for (;;) {
        const int left_ms = (int)ceil((until - gr_clock_seconds()) * 1000);
        if (left_ms <= 0 || poll(on, folder->watch >= 0 ? 2 : 1, left_ms) < 0) return;
        if (read(folder->wake, wakes, sizeof wakes) > 0 || has_come(folder)) return;
    }
}

static bool is_closing(struct gr_folder *folder) {
    pthread_mutex_lock(&folder->lock);
    const bool closing = folder->closing;
    pthread_mutex_unlock(&folder->lock);
    return closing;
}

static void *serve(void *context) {
    struct gr_folder *folder = context;
    double pause = look_s;
    while (!is_closing(folder)) {
        folder->active = false;
        (void)gr_folder_write(folder);
        gr_folder_read(folder);
        pause = folder->active ? look_s : fmin(2 * pause, look_longest_s);
        wait_for_change(folder, pause);
    }
    const double last = gr_clock_seconds() + close_s;
    while (!gr_folder_write(folder) && gr_clock_seconds() < last)
        wait_for_change(folder, look_s);
    return NULL;
}

/* ---- open, close ---------------------------------------------------------------------------- */

static void release(struct gr_folder *folder) {
    struct gr_letter *letter;
    while ((letter = gr_folder_queue_take(&folder->in)))
        gr_free(letter);
    while ((letter = gr_folder_queue_take(&folder->out)))
        gr_free(letter);
    if (folder->wake >= 0) close(folder->wake);
    if (folder->watch >= 0) close(folder->watch);
    pthread_mutex_destroy(&folder->lock);
    gr_free(folder->peers);
    gr_free(folder->path);
    gr_free(folder);
}

/* A thread that hangs in a file system that does not answer is left behind, with all it uses. */
static void close_folder(struct gr_carrier *carrier) {
    struct gr_folder *folder = folder_of(carrier);
    struct timespec until;
    pthread_mutex_lock(&folder->lock);
    folder->closing = true;
    pthread_mutex_unlock(&folder->lock);
    wake(folder);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)give_up_s;
    if (pthread_timedjoin_np(folder->thread, NULL, &until) != 0)
        pthread_detach(folder->thread);
    else
        release(folder);
}

/* What a killed process of this party has left of letters that it was writing. */
static void remove_unfinished(const char *path, uint32_t me) {
    char begin[16];
    const int n = snprintf(begin, sizeof begin, ".%" PRIu32 "-", me);
    DIR *directory = opendir(path);
    if (!directory) return;
    for (const struct dirent *entry; (entry = readdir(directory));)
        if (strncmp(entry->d_name, begin, (size_t)n) == 0 && strstr(entry->d_name, ".letter.tmp-"))
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
}

static gr_status check_folder(const char *path, uint32_t me) {
    gr_status status = GR_OK;
    struct stat is;
    char *probe = NULL;
    if (stat(path, &is) != 0)
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: %s; expected a folder for letters, which is there already", path,
                       strerror(errno));
    if (!S_ISDIR(is.st_mode))
        return gr_fail(GR_ERROR_CONFIG, "%s: found a file, expected a folder for letters", path);
    GR_TRY(gr_text_format(&probe, "%s/.%" PRIu32 "-probe.letter.tmp-%08x", path, me,
                          randombytes_random()));
    const int fd = open(probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        status =
            gr_fail(GR_ERROR_WRITE, "%s: letters cannot be written: %s", path, strerror(errno));
        goto out;
    }
    close(fd);
    unlink(probe);
    remove_unfinished(path, me);
out:
    gr_free(probe);
    return status;
}

/* Signals are left to the thread that runs the study. */
static gr_status start_thread(struct gr_folder *folder) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    const int error = pthread_create(&folder->thread, NULL, serve, folder);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) return GR_OK;
    return gr_fail(GR_ERROR_INTERNAL, "%s: a thread for letters: %s", folder->path,
                   strerror(error));
}

static const struct gr_carrier_kind folder_kind = {.name = "folder",
                                                   .acknowledges = false,
                                                   .put = put,
                                                   .take = take,
                                                   .forget = forget,
                                                   .silent_s = silent_s,
                                                   .describe = describe,
                                                   .close = close_folder,
                                                   .room = room};

gr_status gr_carrier_open_folder(const struct gr_carrier_options *options, const char *path,
                                 struct gr_carrier **out) {
    gr_status status = GR_OK;
    struct gr_folder *folder = NULL;
    *out = NULL;
    GR_TRY(check_folder(path, options->me));
    GR_TRY(gr_allocate_zero(1, sizeof *folder, path, &folder));
    folder->carrier.kind = &folder_kind;
    folder->options = *options;
    folder->in.end = &folder->in.first;
    folder->out.end = &folder->out.first;
    pthread_mutex_init(&folder->lock, NULL);
    folder->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    folder->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC); /* or -1: the kernel has no more */
    if (folder->wake < 0) {
        status = gr_fail(GR_ERROR_INTERNAL, "%s: an eventfd: %s", path, strerror(errno));
        goto out;
    }
    GR_TRY(gr_path_absolute(path, &folder->path));
    GR_TRY(gr_allocate_zero(options->n_parties, sizeof *folder->peers, "parties", &folder->peers));
    GR_TRY(start_thread(folder));
    *out = &folder->carrier;
    folder = NULL;
out:
    if (folder) release(folder);
    return status;
}
