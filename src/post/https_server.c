/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's end of https as a carrier: its port, and the letters that the post puts and
 * takes. */
#include "post/https_server.h"

#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { LINGER_S = 5, HEARD_S = 60, REFUSED_S = 600, EXPIRY_S = 14 * 24 * 3600 };

static struct gr_https_host *server_of(struct gr_carrier *carrier) {
    return (struct gr_https_host *)carrier;
}

/* ---- letters --------------------------------------------------------------------------------- */

static gr_status put_letter(struct gr_carrier *carrier, struct gr_letter *letter) {
    gr_status status = GR_OK;
    struct gr_https_host *server = server_of(carrier);
    const uint32_t to = letter->label.to;
    struct gr_https_entry *entry = NULL;
    if (to == 0 || to >= server->who.n_parties) {
        status =
            gr_fail(GR_ERROR_INTERNAL, "a letter to party %u of %u", to, server->who.n_parties);
        goto out;
    }
    GR_TRY(gr_allocate(1, sizeof *entry, "a letter", &entry));
    struct gr_https_site *site = &server->sites[to];
    pthread_mutex_lock(&server->lock);
    const size_t held = site->held;
    if (held <= GR_CARRIER_HELD && letter->n <= GR_CARRIER_HELD - held) {
        *entry = (struct gr_https_entry){.letter = letter, .number = ++site->put, .references = 1};
        if (site->last)
            site->last->next = entry;
        else
            site->first = entry;
        site->last = entry;
        site->held += letter->n;
        letter = NULL;
        entry = NULL;
        gr_https_resume(&site->poll);
    }
    pthread_mutex_unlock(&server->lock);
    if (entry)
        status = gr_fail(GR_ERROR_WRITE,
                         "%s: %zu bytes of letters wait for party %s, and one of %zu has no room",
                         server->address, held, server->who.parties[to].name, letter->n);
out:
    gr_free(entry);
    gr_free(letter);
    return status;
}

/* Sites that know the coordinator by an authority refuse it from the day on. Sites that know it by
 * its key do not ask for the day. Under the lock. */
static gr_status warn_of_expiry(struct gr_https_host *server, time_t now) {
    enum { DAY = 24 * 3600 };
    char day[16] = "";
    struct tm utc;
    server->warns = now + DAY;
    if (gmtime_r(&server->until, &utc)) strftime(day, sizeof day, "%Y-%m-%d", &utc);
    return gr_fail(GR_ERROR_CONFIG,
                   "%s: %s on %s; sites whose files have no pin refuse it then. It is read at the "
                   "start: once it is renewed, stop the coordinator (SIGTERM) and start it again",
                   server->certificate, now < server->until ? "expires" : "has expired", day);
}

static gr_status take_letter(struct gr_carrier *carrier, struct gr_letter **out) {
    gr_status status = GR_OK;
    struct gr_https_host *server = server_of(carrier);
    pthread_mutex_lock(&server->lock);
    struct gr_letter *letter = server->first;
    if (letter) {
        struct gr_https_site *site = &server->sites[letter->label.from];
        server->first = letter->next;
        if (!server->first) server->last = NULL;
        letter->next = NULL;
        site->inbox -= letter->n;
        if (site->ask && site->ask->note.room <= gr_https_room(site)) gr_https_resume(&site->ask);
    } else if (server->fault[0] && !server->fault_told) {
        server->fault_told = true;
        status = gr_fail(GR_ERROR_CONFIG, "%s", server->fault);
    } else if (server->certificate && time(NULL) >= server->warns) {
        status = warn_of_expiry(server, time(NULL));
    } else if (server->refused_news && gr_clock_seconds() - server->refused_s >= REFUSED_S) {
        server->refused_news = false;
        server->refused_s = gr_clock_seconds();
        status = gr_fail(GR_ERROR_CONFIG, "%s: a call was refused: %s", server->address,
                         server->refused_words);
    }
    pthread_mutex_unlock(&server->lock);
    *out = letter;
    return status;
}

static void forget_letters(struct gr_carrier *carrier, uint32_t to,
                           const unsigned char session[GR_SESSION_BYTES], uint64_t counter) {
    struct gr_https_host *server = server_of(carrier);
    if (to == 0 || to >= server->who.n_parties) return;
    struct gr_https_site *site = &server->sites[to];
    pthread_mutex_lock(&server->lock);
    struct gr_https_entry **link = &site->first, *last = NULL;
    while (*link) {
        struct gr_https_entry *entry = *link;
        const struct gr_letter_label *label = &entry->letter->label;
        if (memcmp(label->session, session, GR_SESSION_BYTES) == 0 && label->counter > counter) {
            last = entry;
            link = &entry->next;
            continue;
        }
        *link = entry->next;
        site->held -= entry->letter->n;
        gr_https_entry_release(entry);
    }
    site->last = last;
    pthread_mutex_unlock(&server->lock);
}

static size_t room_for(struct gr_carrier *carrier, uint32_t to) {
    struct gr_https_host *server = server_of(carrier);
    size_t held = GR_CARRIER_HELD;
    pthread_mutex_lock(&server->lock);
    if (to > 0 && to < server->who.n_parties) held = server->sites[to].held;
    pthread_mutex_unlock(&server->lock);
    return held < GR_CARRIER_HELD ? GR_CARRIER_HELD - held : 0;
}

/* ---- state ----------------------------------------------------------------------------------- */

static double silent_s(struct gr_carrier *carrier, uint32_t party) {
    struct gr_https_host *server = server_of(carrier);
    double heard = -INFINITY;
    pthread_mutex_lock(&server->lock);
    if (party > 0 && party < server->who.n_parties) heard = server->sites[party].heard;
    pthread_mutex_unlock(&server->lock);
    return gr_clock_seconds() - heard;
}

static void describe(struct gr_carrier *carrier, char *out, size_t size) {
    struct gr_https_host *server = server_of(carrier);
    const double now = gr_clock_seconds();
    unsigned here = 0, heard = 0;
    char refused[256] = "";
    pthread_mutex_lock(&server->lock);
    for (uint32_t i = 1; i < server->who.n_parties; i++) {
        here += now - server->sites[i].heard < HEARD_S;
        heard += isfinite(server->sites[i].heard) != 0;
    }
    if (server->refused > 0)
        snprintf(refused, sizeof refused, "; %llu requests were refused, the last: %s",
                 (unsigned long long)server->refused, server->refused_words);
    if (server->fault[0])
        snprintf(out, size, "%s", server->fault);
    else
        snprintf(out, size, "%s: %u of %u sites have called within %d s, %u since the start%s",
                 server->address, here, server->who.n_parties - 1, (int)HEARD_S, heard, refused);
    pthread_mutex_unlock(&server->lock);
}

/* ---- opening and closing --------------------------------------------------------------------- */

/* Whether letters are under way to sites that are there. */
static bool under_way(struct gr_https_host *server) {
    bool any = false;
    const double now = gr_clock_seconds();
    pthread_mutex_lock(&server->lock);
    for (uint32_t i = 1; i < server->who.n_parties; i++)
        any |= server->sites[i].first && now - server->sites[i].heard < HEARD_S;
    pthread_mutex_unlock(&server->lock);
    return any;
}

static void stop(struct gr_https_host *server) {
    pthread_mutex_lock(&server->lock);
    server->closing = true;
    pthread_cond_signal(&server->change);
    /* The library cannot stop while requests are held back. */
    for (uint32_t i = 1; i < server->who.n_parties; i++) {
        gr_https_resume(&server->sites[i].poll);
        gr_https_resume(&server->sites[i].ask);
    }
    pthread_mutex_unlock(&server->lock);
    if (server->watching) pthread_join(server->watch, NULL);
    if (server->daemon) MHD_stop_daemon(server->daemon);
}

static void server_free(struct gr_https_host *server) {
    if (!server) return;
    stop(server);
    for (uint32_t i = 1; server->sites && i < server->who.n_parties; i++) {
        gr_https_acknowledge(&server->sites[i], UINT64_MAX);
        gr_https_intake_drop(&server->sites[i].intake);
    }
    while (server->first) {
        struct gr_letter *letter = server->first;
        server->first = letter->next;
        gr_free(letter);
    }
    pthread_cond_destroy(&server->change);
    pthread_mutex_destroy(&server->lock);
    gr_free(server->sites);
    gr_free(server);
}

static void close_server(struct gr_carrier *carrier) {
    struct gr_https_host *server = server_of(carrier);
    const double until = gr_clock_seconds() + LINGER_S;
    while (under_way(server) && gr_clock_seconds() < until)
        usleep(10000);
    server_free(server);
}

/* "ADDRESS:PORT", "[ADDRESS]:PORT". */
static gr_status split_address(const char *text, char *host, size_t size, char port[8]) {
    const char *colon = strrchr(text, ':');
    const size_t length = colon ? (size_t)(colon - text) : 0;
    const bool brackets = length > 2 && text[0] == '[' && text[length - 1] == ']';
    if (!colon || length == 0 || length >= size || strlen(colon + 1) > 5 || !colon[1] ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || atoi(colon + 1) > 65535 ||
        (!brackets && memchr(text, ':', length)))
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: expected ADDRESS:PORT, such as 0.0.0.0:8443 or [::]:8443", text);
    snprintf(host, size, "%.*s", (int)(brackets ? length - 2 : length), text + brackets);
    snprintf(port, 8, "%s", colon + 1);
    return GR_OK;
}

static gr_status listen_on(struct gr_https_host *server, const char *address, int *out) {
    gr_status status = GR_OK;
    char host[256], port[8];
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *found = NULL;
    struct sockaddr_storage bound;
    socklen_t n = sizeof bound;
    const int on = 1;
    int fd = -1;
    GR_TRY(split_address(address, host, sizeof host, port));
    const int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) return gr_fail(GR_ERROR_CONFIG, "%s: %s", address, gai_strerror(error));
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* A coordinator that is started again finds connections of the one before. */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &n) != 0 ||
        getnameinfo((struct sockaddr *)&bound, n, NULL, 0, port, sizeof port, NI_NUMERICSERV) != 0)
        status =
            gr_fail(GR_ERROR_CONFIG, "%s: cannot be listened on: %s", address, strerror(errno));
    server->port = atoi(port);
    snprintf(server->address, sizeof server->address, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host,
             port);
out:
    if (found) freeaddrinfo(found);
    if (status != GR_OK && fd >= 0) close(fd);
    *out = status == GR_OK ? fd : -1;
    return status;
}

static unsigned connections_most(const struct gr_https_host *server) {
    enum { SPARE = 64 };
    return STRANGERS_MAX + SITE_CONNECTIONS * server->who.n_parties + SPARE;
}

/* The soft limit is often 1024, where the hard one is a hundred times that. */
static void allow_descriptors(rlim_t more) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= more + 512) return;
    limit.rlim_cur = more + 512 < limit.rlim_max ? more + 512 : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * The library owns fd from now on, whatever comes of it. By poll: its epoll (0.9.75) spins for as
 * long as a handshake is half done, which anybody can have.
 */
static gr_status start_daemon(struct gr_https_host *server,
                              const struct gr_https_identity *identity, char *authority, int fd) {
    enum { MEMORY = 64 << 10, GROWS_BY = 16 << 10 };
    const struct MHD_OptionItem trust[] = {
        {authority ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, authority},
        {MHD_OPTION_END, 0, NULL}};
    server->daemon = MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_TLS | MHD_ALLOW_SUSPEND_RESUME |
            MHD_USE_SUPPRESS_DATE_NO_CLOCK,
        0, NULL, NULL, gr_https_handle, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_HTTPS_MEM_KEY, identity->key, MHD_OPTION_HTTPS_MEM_CERT, identity->certificate,
        MHD_OPTION_HTTPS_PRIORITIES, "NORMAL:-VERS-ALL:+VERS-TLS1.3", MHD_OPTION_CONNECTION_LIMIT,
        connections_most(server), MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)STRANGER_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY, MHD_OPTION_CONNECTION_MEMORY_INCREMENT,
        (size_t)GROWS_BY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED,
        gr_https_completed, server, MHD_OPTION_NOTIFY_CONNECTION, gr_https_connection, server,
        MHD_OPTION_ARRAY, trust, MHD_OPTION_END);
    if (server->daemon) return GR_OK;
    return gr_fail(GR_ERROR_INTERNAL,
                   "%s: libmicrohttpd %s did not start; expected TLS, epoll and %u open files",
                   server->address, MHD_get_version(), connections_most(server));
}

/* Its threads leave signals to the others. */
static gr_status start_threads(struct gr_https_host *server,
                               const struct gr_https_identity *identity, char *authority, int fd) {
    gr_status status = GR_OK;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    GR_TRY(start_daemon(server, identity, authority, fd));
    if (pthread_create(&server->watch, NULL, gr_https_watch, server) != 0)
        status = gr_fail(GR_ERROR_INTERNAL, "%s: no thread: %s", server->address, strerror(errno));
    server->watching = status == GR_OK;
out:
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static const struct gr_carrier_kind https_server = {.name = "https",
                                                    .acknowledges = true,
                                                    .checks = true,
                                                    .put = put_letter,
                                                    .take = take_letter,
                                                    .forget = forget_letters,
                                                    .silent_s = silent_s,
                                                    .describe = describe,
                                                    .close = close_server,
                                                    .room = room_for};

static gr_status server_create(const struct gr_carrier_options *options,
                               struct gr_https_host **out) {
    gr_status status = GR_OK;
    struct gr_https_host *server;
    pthread_condattr_t monotonic;
    GR_TRY(gr_allocate_zero(1, sizeof *server, "https", &server));
    *out = server;
    server->carrier.kind = &https_server;
    server->who = *options;
    server->refused_s = -INFINITY;
    randombytes_buf(server->challenge, sizeof server->challenge);
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&server->change, &monotonic);
    pthread_condattr_destroy(&monotonic);
    GR_TRY(gr_allocate_zero(options->n_parties, sizeof *server->sites, "sites", &server->sites));
    for (uint32_t i = 0; i < options->n_parties; i++) {
        server->sites[i].heard = -INFINITY;
        server->sites[i].intake.carrier = &server->carrier;
        server->sites[i].intake.who = &server->who;
        server->sites[i].intake.from = i;
    }
out:
    return status;
}

gr_status gr_carrier_open_https_server(const struct gr_carrier_options *options,
                                       const struct gr_https_server *settings,
                                       struct gr_carrier **out) {
    gr_status status = GR_OK;
    struct gr_https_host *server = NULL;
    struct gr_https_identity identity = {0};
    char *authority = NULL;
    int fd = -1;
    GR_TRY(server_create(options, &server));
    GR_TRY(gr_https_identity_open(settings, &identity));
    if (settings->client_ca) GR_TRY(gr_https_authority_read(settings->client_ca, &authority));
    server->asks_certificate = authority != NULL;
    server->certificate = settings->certificate;
    server->until = identity.until;
    server->warns = identity.until - EXPIRY_S;
    memcpy(server->pin, identity.pin, sizeof server->pin);
    allow_descriptors(connections_most(server));
    GR_TRY(listen_on(server, settings->address, &fd));
    GR_TRY(start_threads(server, &identity, authority, fd));
    *out = &server->carrier;
out:
    gr_https_identity_release(&identity);
    gr_free(authority);
    if (status != GR_OK) server_free(server);
    return status;
}

int gr_https_server_port(const struct gr_carrier *carrier) {
    return ((const struct gr_https_host *)carrier)->port;
}

void gr_https_server_pin(const struct gr_carrier *carrier, char *out, size_t size) {
    snprintf(out, size, "%s", ((const struct gr_https_host *)carrier)->pin);
}
