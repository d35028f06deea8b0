/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A site's end of https. Two threads meet here: the post's, which puts and takes letters
 * (https_client.c), and the carrier's own, which calls the coordinator (https_calls.c). What is not
 * said to be of one thread is under the lock.
 */
#ifndef GRANARY_POST_HTTPS_CLIENT_H
#define GRANARY_POST_HTTPS_CLIENT_H

#include <curl/curl.h>
#include <pthread.h>

#include "post/https.h"

enum { FAULT_WORDS = 384 };

/* A letter for the coordinator. */
struct gr_https_outgoing {
    struct gr_https_outgoing *next;
    struct gr_letter *letter;
    uint64_t number;
    bool under_way; /* in a body that is being sent */
};

/* A request: there is one for polls and one for uploads. Of the carrier's thread. */
struct gr_https_call {
    struct gr_https_caller *client;
    enum gr_https_purpose purpose;
    CURL *easy;
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
    unsigned char challenge[GR_HTTPS_CHALLENGE]; /* of the server, as this purpose knows it */
    uint64_t sequence;
    bool busy;
    double begun, next;        /* when it began, and before when it is not made again */
    unsigned failures;         /* in succession */
    bool answered;             /* the last of them by an answer */
    double retry;              /* before when it is not made again after a failure */
    unsigned anew;             /* answers in succession that it is to be made anew */
    uint16_t hold;             /* seconds that the server may hold it */
    struct gr_https_note note; /* of the answer */
    bool noted;                /* the answer has one */
    size_t body;               /* bytes of the answer's body */
    gr_status status;          /* of what it brought */
    char words[256];           /* where that is no good */
    /* The body of an upload: letters in succession from `first` on, without `at` bytes. */
    struct gr_https_outgoing *first;
    size_t at, size, sent;
};

struct gr_https_caller {
    struct gr_carrier carrier; /* must be first */
    struct gr_carrier_options who;
    CURLM *multi;
    struct gr_https_call poll, upload;
    pthread_t thread;
    pthread_mutex_t lock;
    bool started, closing;
    const char *url;                        /* of the coordinator, as it was given; borrowed */
    char *target;                           /* where calls go; owned */
    struct gr_https_outgoing *first, *last; /* letters that the server does not have yet */
    size_t held;
    uint64_t put; /* number of the last */
    struct gr_letter *in_first, *in_last;
    size_t inbox;
    bool starved; /* no letters are asked for, as there is no room for them */
    /* Of the carrier's thread. */
    uint64_t instance;
    uint64_t received;             /* number of the server's last whole letter */
    struct gr_https_intake intake; /* the letter that is coming */
    bool placed;                   /* it is known where uploads go on: `at`, `room` */
    uint64_t at, room;
    size_t most; /* bytes of an upload that whatever lies in between lets through */
    /* How it goes, for people. */
    double heard; /* -INFINITY: never */
    double since, heartbeat;
    char fault[FAULT_WORDS]; /* "": none */
    bool mendable, told;     /* by people here; by take */
    bool over;               /* the fault that take has told is, and take is to tell it */
    double told_s;           /* when it was */
    bool refused;            /* the coordinator has refused a letter, and take is to tell it */
};

/* Not collective. The carrier's thread; returns when the client closes. */
void *gr_https_call(void *client);
/* Not collective. Whatever stays the same from call to call. */
gr_status gr_https_call_create(struct gr_https_caller *client, struct gr_https_call *call,
                               enum gr_https_purpose purpose,
                               const struct gr_https_client *options) GR_CHECKED;
void gr_https_call_release(struct gr_https_call *call);

/* Why a call has failed, in words; code: HTTP's, 0: none. Returns whether people here can mend
 * it (post/https_faults.c). */
bool gr_https_fault(const struct gr_https_call *call, CURLcode result, long code, char *out,
                    size_t size);

#endif
