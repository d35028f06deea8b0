/* SPDX-License-Identifier: Apache-2.0 */
/* A caller of the coordinator's port who sends what he likes. */
#ifndef GRANARY_TESTS_HTTPS_CALLER_H
#define GRANARY_TESTS_HTTPS_CALLER_H

#include "https_study.h"

#include <curl/curl.h>

/* A connection of TLS to the server, for bytes of any kind. */
static inline CURL *tls_dial(void) {
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, server_url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    ck_assert_int_eq(curl_easy_perform(easy), CURLE_OK);
    return easy;
}

/* Sends as much as is taken. */
static inline void tls_send(CURL *easy, const void *bytes, size_t n) {
    size_t done = 0;
    for (int i = 0; i < 5000 && done < n; i++) {
        size_t sent = 0;
        const CURLcode result = curl_easy_send(easy, (const char *)bytes + done, n - done, &sent);
        if (result == CURLE_AGAIN)
            usleep(1000);
        else if (result != CURLE_OK)
            return;
        done += sent;
    }
}

#endif
