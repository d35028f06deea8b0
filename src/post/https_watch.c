/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections at the coordinator's port, and the thread that ends what takes too long. Strangers
 * have a fixed number of places and seconds; sites have places of their own, so that however many
 * strangers call, those who are there go on.
 */
#include "post/https_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

void gr_https_end(struct gr_https_host *server, struct gr_https_connection *connection) {
    if (connection->ended) return;
    connection->ended = true;
    if (connection->site == 0) server->n_strangers--;
    /* The library owns the socket, and closes it when it finds it shut down. */
    shutdown(connection->fd, SHUT_RDWR);
    /* It does not look at one that is held back. */
    struct gr_https_site *site = &server->sites[connection->site];
    if (site->poll && site->poll->of == connection) gr_https_give_up(&site->poll);
    if (site->ask && site->ask->of == connection) gr_https_give_up(&site->ask);
}

void gr_https_adopt(struct gr_https_host *server, struct gr_https_connection *connection,
                    uint32_t site) {
    if (connection->ended) return;
    if (connection->site == 0) server->n_strangers--;
    connection->site = site;
    connection->since = gr_clock_seconds();
    unsigned n = 0;
    struct gr_https_connection *oldest = NULL;
    for (struct gr_https_connection *c = server->connections; c; c = c->next)
        if (c->site == site && !c->ended) {
            n++;
            if (c != connection && (!oldest || c->since < oldest->since)) oldest = c;
        }
    if (n > SITE_CONNECTIONS) gr_https_end(server, oldest);
}

static unsigned strangers_from(const struct gr_https_host *server, const struct in6_addr *address) {
    unsigned n = 0;
    for (const struct gr_https_connection *c = server->connections; c; c = c->next)
        n += c->site == 0 && !c->ended && memcmp(&c->address, address, sizeof *address) == 0;
    return n;
}

/* All places of strangers are taken: the oldest from the address that has taken most must go. */
static void make_place(struct gr_https_host *server) {
    struct gr_https_connection *worst = NULL;
    unsigned most = 0;
    for (struct gr_https_connection *c = server->connections; c; c = c->next) {
        if (c->site != 0 || c->ended) continue;
        const unsigned n = strangers_from(server, &c->address);
        if (!worst || n > most || (n == most && c->since < worst->since)) {
            most = n;
            worst = c;
        }
    }
    if (worst) gr_https_end(server, worst);
}

static void find_address(const struct sockaddr *from, struct in6_addr *out) {
    memset(out, 0, sizeof *out);
    if (from && from->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof v6);
        *out = v6.sin6_addr;
    } else if (from && from->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof v4);
        memcpy(out->s6_addr + 12, &v4.sin_addr, sizeof v4.sin_addr);
    }
}

static void arrive(struct gr_https_host *server, struct MHD_Connection *of, void **state) {
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(of, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *from =
        MHD_get_connection_info(of, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct gr_https_connection *connection = NULL;
    if (!fd || gr_allocate_zero(1, sizeof *connection, "a connection", &connection) != GR_OK)
        return; /* its requests are refused */
    connection->fd = fd->connect_fd;
    connection->since = gr_clock_seconds();
    find_address(from ? from->client_addr : NULL, &connection->address);
    pthread_mutex_lock(&server->lock);
    if (server->n_strangers >= STRANGERS_MAX) make_place(server);
    server->n_strangers++;
    connection->next = server->connections;
    if (connection->next) connection->next->previous = connection;
    server->connections = connection;
    pthread_mutex_unlock(&server->lock);
    *state = connection;
}

static void leave(struct gr_https_host *server, struct gr_https_connection *connection) {
    pthread_mutex_lock(&server->lock);
    if (connection->site == 0 && !connection->ended) server->n_strangers--;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        server->connections = connection->next;
    if (connection->next) connection->next->previous = connection->previous;
    pthread_mutex_unlock(&server->lock);
    gr_free(connection);
}

void gr_https_connection(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_ConnectionNotificationCode how) {
    if (how == MHD_CONNECTION_NOTIFY_STARTED)
        arrive(context, connection, state);
    else if (*state) {
        leave(context, *state);
        *state = NULL;
    }
}

/* Without a descriptor for them, calls wait in the kernel, and nobody would know why. */
static void look_for_descriptors(struct gr_https_host *server) {
    struct rlimit limit = {0};
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int error = fd < 0 ? errno : 0;
    if (fd >= 0) close(fd);
    getrlimit(RLIMIT_NOFILE, &limit);
    pthread_mutex_lock(&server->lock);
    const bool before = server->fault[0] != '\0';
    if (error == EMFILE || error == ENFILE)
        snprintf(server->fault, sizeof server->fault,
                 "%s: no calls can be taken: all of %llu open files are in use; raise ulimit -n",
                 server->address, (unsigned long long)limit.rlim_cur);
    else
        server->fault[0] = '\0';
    if (before != (server->fault[0] != '\0')) server->fault_told = false;
    pthread_mutex_unlock(&server->lock);
}

static void look_for_late(struct gr_https_host *server) {
    const double now = gr_clock_seconds();
    for (uint32_t i = 1; i < server->who.n_parties; i++) {
        struct gr_https_site *site = &server->sites[i];
        if (site->poll && now >= site->poll->until) gr_https_resume(&site->poll);
        if (site->ask && now >= site->ask->until) gr_https_resume(&site->ask);
    }
    for (struct gr_https_connection *c = server->connections; c; c = c->next)
        if (c->site == 0 && now - c->since > STRANGER_S) gr_https_end(server, c);
}

void *gr_https_watch(void *context) {
    struct gr_https_host *server = context;
    pthread_mutex_lock(&server->lock);
    while (!server->closing) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&server->change, &server->lock, &until);
        look_for_late(server);
        pthread_mutex_unlock(&server->lock);
        look_for_descriptors(server);
        pthread_mutex_lock(&server->lock);
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}
