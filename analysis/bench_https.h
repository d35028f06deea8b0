/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benchmarks of studies have in common: keys of parties, and libcurl alone, which moves
 * the same bytes by the same TLS, to and from the same server library.
 */
#ifndef GRANARY_ANALYSIS_BENCH_HTTPS_H
#define GRANARY_ANALYSIS_BENCH_HTTPS_H

#include <curl/curl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "post/https.h"

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != GR_OK) {                                                                     \
            fprintf(stderr, "%s: %s\n", #call, gr_message());                                      \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define INSIST(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #condition);                  \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { PARTIES_MAX = 1001 };

struct calling { /* what a site is told */
    char url[64], plain_url[64], pin[64];
};

static struct gr_keys *keys[PARTIES_MAX];
static struct gr_party parties[PARTIES_MAX];
static uint32_t n_parties;
static const unsigned char study[GR_DIGEST_BYTES] = "a study of nothing";
static char scratch[] = "/tmp/granary-bench-XXXXXX";
static size_t total; /* bytes of one site in one direction */

static inline void make_study(uint32_t n) {
    INSIST(n <= PARTIES_MAX && mkdtemp(scratch));
    n_parties = n;
    for (uint32_t i = 0; i < n; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%u", scratch, i);
        CHECK(gr_keys_generate(path, &parties[i].key));
        CHECK(gr_keys_read(path, &keys[i]));
        snprintf(parties[i].name, sizeof parties[i].name, "party-%u", i);
    }
}

static inline void remove_study(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", scratch);
    INSIST(system(command) == 0);
}

static inline struct gr_carrier_options options_of(uint32_t me) {
    return (struct gr_carrier_options){
        .keys = keys[me], .parties = parties, .n_parties = n_parties, .me = me, .study = study};
}

/* ---- libcurl alone --------------------------------------------------------------------------- */

static char *plenty; /* total, and room behind it */

static ssize_t plain_read(void *context, uint64_t position, char *out, size_t most) {
    (void)context;
    const size_t n = total - position < most ? (size_t)(total - position) : most;
    memcpy(out, plenty + position, n);
    return (ssize_t)n;
}

static enum MHD_Result plain_handle(void *context, struct MHD_Connection *connection,
                                    const char *url, const char *method, const char *version,
                                    const char *upload, size_t *upload_size, void **state) {
    (void)context, (void)url, (void)version;
    static char seen;
    if (!*state) {
        *state = &seen;
        return MHD_YES;
    }
    if (*upload_size > 0) { /* it keeps what comes, as a receiver does */
        memcpy(plenty + total, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    struct MHD_Response *response =
        strcmp(method, "GET") == 0
            ? MHD_create_response_from_callback(total, 64 << 10, plain_read, NULL, NULL)
            : MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    const enum MHD_Result result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

static inline struct MHD_Daemon *plain_open(struct calling *calling) {
    const struct gr_https_server settings = {.directory = scratch};
    struct gr_https_identity identity;
    CHECK(gr_https_identity_open(&settings, &identity));
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_TLS, 0, NULL, NULL, plain_handle, NULL,
        MHD_OPTION_HTTPS_MEM_KEY, identity.key, MHD_OPTION_HTTPS_MEM_CERT, identity.certificate,
        MHD_OPTION_HTTPS_PRIORITIES, "NORMAL:-VERS-ALL:+VERS-TLS1.3",
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(64 << 10),
        MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)(16 << 10), MHD_OPTION_END);
    INSIST(daemon);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    snprintf(calling->plain_url, sizeof calling->plain_url, "https://127.0.0.1:%u/", info->port);
    gr_https_identity_release(&identity);
    return daemon;
}

static size_t plain_drop(char *bytes, size_t size, size_t n, void *context) {
    (void)context;
    static char last[1 << 20];
    memcpy(last, bytes, size * n);
    return size * n;
}

static inline void plain_call(CURL *easy, const struct calling *calling, bool up) {
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, calling->plain_url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, calling->pin);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, plain_drop);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 512L << 10);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
    if (up) {
        struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, plenty);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)total);
        INSIST(curl_easy_perform(easy) == CURLE_OK);
        curl_slist_free_all(headers);
    } else
        INSIST(curl_easy_perform(easy) == CURLE_OK);
}

#endif
