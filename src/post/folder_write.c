/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder's thread: letters become files, whole or not at all. A letter that cannot be written
 * stays the first of those that wait, and is tried again.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "post/folder.h"

static bool write_all(int fd, const unsigned char *bytes, size_t n) {
    while (n > 0) {
        const ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        bytes += done;
        n -= (size_t)done;
    }
    return true;
}

/* 0, or an errno. Others may read the file, whatever the umask is: there is nothing in it for them,
 * and whoever carries or reads it may have another account. */
static int write_letter(int directory, const struct gr_letter *letter) {
    char name[GR_FOLDER_NAME], temporary[GR_FOLDER_NAME + 16];
    gr_folder_name(&letter->label, name);
    snprintf(temporary, sizeof temporary, ".%s.tmp-%08x", name, randombytes_random());
    const int fd =
        openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) return errno;
    int error = 0;
    (void)fchmod(fd, 0644); /* some file systems have no modes */
    if (!write_all(fd, letter->bytes, letter->n) || fsync(fd) != 0 ||
        renameat(directory, temporary, directory, name) != 0) {
        error = errno;
        unlinkat(directory, temporary, 0);
    }
    close(fd);
    return error;
}

static struct gr_letter *next_letter(struct gr_folder *folder) {
    pthread_mutex_lock(&folder->lock);
    struct gr_letter *letter = gr_folder_queue_take(&folder->out);
    pthread_mutex_unlock(&folder->lock);
    return letter;
}

static void put_back(struct gr_folder *folder, struct gr_letter *letter) {
    struct gr_folder_queue *queue = &folder->out;
    pthread_mutex_lock(&folder->lock);
    letter->next = queue->first;
    if (!queue->first) queue->end = &letter->next;
    queue->first = letter;
    queue->bytes += letter->n;
    pthread_mutex_unlock(&folder->lock);
}

/* Notes of before are void with a later one. */
static void remember_note(struct gr_folder *folder, const struct gr_letter_label *label) {
    struct gr_folder_peer *peer = &folder->peers[label->to];
    if (!(label->counter & GR_LETTER_NOTE)) return;
    memcpy(peer->note_session, label->session, GR_SESSION_BYTES);
    peer->note = label->counter;
}

static void tell(struct gr_folder *folder, int error) {
    char words[640] = "";
    if (error)
        snprintf(words, sizeof words,
                 "folder %s: letters cannot be written: %s; it is tried again, nothing is lost",
                 folder->path, strerror(error));
    char over[640];
    snprintf(over, sizeof over, "folder %s: letters are written again", folder->path);
    gr_folder_notice(folder, GR_FOLDER_WRITING, words, over);
}

bool gr_folder_write(struct gr_folder *folder) {
    struct gr_letter *letter = next_letter(folder);
    if (!letter) return true;
    const int directory = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = directory < 0 ? errno : 0;
    while (letter && !error) {
        error = write_letter(directory, letter);
        if (error) break;
        folder->active = true;
        remember_note(folder, &letter->label);
        gr_free(letter);
        letter = next_letter(folder);
    }
    if (letter) put_back(folder, letter);
    /* Some file systems have no fsync for folders. */
    if (directory >= 0 && fsync(directory) != 0 && errno != EINVAL && !error) error = errno;
    if (directory >= 0) close(directory);
    tell(folder, error);
    gr_carrier_tell(&folder->carrier); /* there is room again */
    return !letter;
}
