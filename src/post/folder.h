/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The carrier by a folder, inside the room: its state, for the file that is called by the post
 * (folder.c) and those that its thread runs (folder_read.c, folder_write.c).
 *
 * A letter is a file FROM-TO-SESSION-COUNTER.letter, the last two in hexadecimal; it is written as
 * .FROM-TO-SESSION-COUNTER.letter.tmp-XXXXXXXX first.
 */
#ifndef GRANARY_POST_FOLDER_H
#define GRANARY_POST_FOLDER_H

#include <pthread.h>
#include <sys/stat.h>

#include "post/carrier.h"

enum {
    GR_FOLDER_NAME = 96,  /* room for a letter's name, with its NUL */
    GR_FOLDER_TRACKS = 8, /* sessions of a party whose order is followed */
    GR_FOLDER_TROUBLES = 256,
};

/* Letters of a session as they come from a party. Of the thread. */
struct gr_folder_track {
    unsigned char session[GR_SESSION_BYTES];
    uint64_t next; /* counter of the one whose turn it is; 0: the track is not used */
    uint64_t note; /* the last note that was taken */
    double used_s; /* when it was last of use */
    bool loose;    /* a gap was not waited for any longer: the order is left to the post */
    double gap_s;  /* since when the next one is missing though later ones are there; 0: not */
};

/* A file that is none to be taken, or not yet. Of the thread. */
struct gr_folder_trouble {
    char name[GR_FOLDER_NAME];
    struct timespec changed;
    off_t size;
    double since_s; /* since when it is as it is */
    bool told;
};

/* What is known of a party. */
struct gr_folder_peer {
    /* Of letters to it, under the lock: those of session `kept` up to `read` may go, and all of
     * other sessions but `latest`, the last that was begun. */
    bool has_kept, has_latest;
    unsigned char kept[GR_SESSION_BYTES], latest[GR_SESSION_BYTES];
    uint64_t read;
    /* Of the thread: the last note that was written to it, and what comes from it. */
    unsigned char note_session[GR_SESSION_BYTES];
    uint64_t note;
    struct gr_folder_track tracks[GR_FOLDER_TRACKS];
};

/* Faults that people are told, each once for each change of its words. */
enum gr_folder_fault {
    GR_FOLDER_WRITING,
    GR_FOLDER_READING,
    GR_FOLDER_STALE,
    GR_FOLDER_OTHERS,
    GR_FOLDER_FAULTS
};
struct gr_folder_notice {
    char words[640];
    bool fault; /* they tell of a fault, and not of its end */
    bool untold;
    double since_s; /* when the words were set */
};

struct gr_folder_queue {
    struct gr_letter *first, **end;
    size_t bytes;
};

struct gr_folder {
    struct gr_carrier carrier; /* the first member: what others hold */
    struct gr_carrier_options options;
    char *path;
    int wake, watch; /* an eventfd; an inotify, or -1 */
    pthread_t thread;
    pthread_mutex_t lock; /* of all down to `peers` */
    bool closing;
    bool hungry; /* files were left for want of room */
    struct gr_folder_queue in, out;
    struct gr_folder_notice notices[GR_FOLDER_FAULTS];
    struct gr_folder_peer *peers; /* by party */
    /* Of the thread: whether a letter was written or taken in this turn. */
    bool active;
    struct gr_folder_trouble troubles[GR_FOLDER_TROUBLES];
};

void gr_folder_queue_put(struct gr_folder_queue *queue, struct gr_letter *letter);
struct gr_letter *gr_folder_queue_take(struct gr_folder_queue *queue);

/* Sets the words of a fault; "": it is over, which is told with `over` if it was told. */
void gr_folder_notice(struct gr_folder *folder, enum gr_folder_fault fault, const char *words,
                      const char *over);

void gr_folder_name(const struct gr_letter_label *label, char out[GR_FOLDER_NAME]);
/* False: it is no such name. */
bool gr_folder_parse(const char *name, struct gr_letter_label *out);
/* Whether a letter of this side to a party is void. With the lock held. */
bool gr_folder_is_void(const struct gr_folder_peer *peer, const struct gr_letter_label *label);

/* ---- folder_write.c: by the thread ---------------------------------------------------------- */

/* Writes the letters that wait; true: all of them. */
bool gr_folder_write(struct gr_folder *folder);

/* ---- folder_read.c: by the thread ----------------------------------------------------------- */

/* Looks through the folder: takes letters to this party, removes what is void. */
void gr_folder_read(struct gr_folder *folder);

#endif
