/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordinator's end of https. Three threads meet here: the post's, which puts and takes letters
 * (https_server.c); libmicrohttpd's one, which answers requests (https_requests.c); and the watch,
 * which ends what takes too long (https_watch.c). What is not said to be of one thread is under the
 * lock.
 */
#ifndef GRANARY_POST_HTTPS_SERVER_H
#define GRANARY_POST_HTTPS_SERVER_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "post/https.h"

enum {
    STRANGERS_MAX = 64,     /* connections on which nobody has shown a site's signature yet */
    SITE_CONNECTIONS = 4,   /* of a site: two, and those that it has lost without knowing */
    STRANGER_S = 30,        /* for such a connection to show one */
    SILENCE_S = 120,        /* of a site's connection */
    BATCH_LETTERS = 256,    /* in an answer */
    REPLACED_INSTANCES = 8, /* processes of a site of which it is remembered that others came */
    INSTANCE_S = 60         /* after which a process that was replaced may come back */
};

/* A connection to the port, whoever made it. */
struct gr_https_connection {
    struct gr_https_connection *next, *previous;
    struct in6_addr address; /* of IPv4: mapped */
    double since;
    int fd;
    uint32_t site; /* 0: a stranger */
    bool shown;    /* its certificate is in order, where the server asks for one */
    bool ended;    /* shut down; the library has not let go of it yet */
};

/* A request whose signature is right. */
struct gr_https_request {
    struct MHD_Connection *connection;
    struct gr_https_connection *of;
    struct gr_https_note note;
    double until;  /* held back so long at most */
    uint64_t body; /* bytes that an upload brings */
    bool held;     /* suspended */
    bool refused;  /* a letter of the upload was */
    bool given_up; /* another has taken its place */
};

/* A letter for a site. It stays while an answer sends it, even when nobody needs it any more. */
struct gr_https_entry {
    struct gr_https_entry *next;
    struct gr_letter *letter;
    uint64_t number;
    atomic_uint references;
};

struct gr_https_site {
    struct gr_https_entry *first, *last; /* letters for it that it has not acknowledged */
    size_t held;                         /* their bytes */
    uint64_t put;                        /* number of the last */
    uint64_t acknowledged;               /* letters up to this number have come there */
    uint64_t sequence[3];                /* the last of each purpose */
    uint64_t instance, replaced[REPLACED_INSTANCES];
    unsigned n_replaced;
    double heard;                        /* when, by the monotonic clock; -INFINITY: never */
    struct gr_https_request *poll, *ask; /* held back */
    struct gr_https_request *upload; /* under way; of the library's thread, as the three below */
    struct gr_https_intake intake;   /* the letter that is coming */
    uint64_t received;               /* number of the last letter that has come */
    size_t coming;                   /* bytes of the intake's letter */
    size_t inbox;                    /* bytes of its letters that have not been taken */
};

struct gr_https_host {
    struct gr_carrier carrier; /* must be first */
    struct gr_carrier_options who;
    struct MHD_Daemon *daemon;
    pthread_t watch;
    pthread_mutex_t lock;
    pthread_cond_t change; /* for the watch: the server closes */
    bool watching, closing, asks_certificate;
    unsigned char challenge[GR_HTTPS_CHALLENGE];
    char address[128], pin[64];
    int port;
    struct gr_https_site *sites; /* who.n_parties, the first unused */
    struct gr_letter *first, *last;
    struct gr_https_connection *connections;
    unsigned n_strangers;
    char fault[256];         /* of this side; "": none */
    bool fault_told;         /* by take */
    uint64_t refused;        /* requests, of whatever kind */
    char refused_words[160]; /* the last of them */
    bool refused_news;       /* take is to tell it */
    double refused_s;        /* when it has done so; -INFINITY: never */
    /* A certificate of an authority: its file, NULL: none; when it expires; when take tells it. */
    const char *certificate;
    time_t until, warns;
};

/* Not collective. Of libmicrohttpd's thread (https_requests.c). */
enum MHD_Result gr_https_handle(void *context, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **state);
void gr_https_completed(void *context, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode how);

/* Not collective. Of libmicrohttpd's thread (https_watch.c): connections come and go. */
void gr_https_connection(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_ConnectionNotificationCode how);
/* Not collective. Under the lock: the connection is the site's from now on. */
void gr_https_adopt(struct gr_https_host *server, struct gr_https_connection *connection,
                    uint32_t site);
/* Not collective. Ends a connection as soon as the library's thread comes round. Under the lock. */
void gr_https_end(struct gr_https_host *server, struct gr_https_connection *connection);
/* Not collective. The watch's thread; returns when the server closes. */
void *gr_https_watch(void *server);

/* Not collective. Lets a held request go on, if there is one. Under the lock. */
void gr_https_resume(struct gr_https_request **held);
/* Not collective. The same for one that nobody waits for any more. Under the lock. */
void gr_https_give_up(struct gr_https_request **held);
/* Not collective. Bytes that may still come from a site. Under the lock. */
size_t gr_https_room(const struct gr_https_site *site);
/* Not collective. The letter is needed by one less. */
void gr_https_entry_release(struct gr_https_entry *entry);
/* Not collective. Removes the letters up to a number. Under the lock. */
void gr_https_acknowledge(struct gr_https_site *site, uint64_t number);

#endif
