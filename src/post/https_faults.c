/* SPDX-License-Identifier: Apache-2.0 */
/* Why a call of the coordinator has failed, in words by which people can mend it. */
#include "post/https_client.h"

#include <stdio.h>
#include <string.h>

/* The library tells the reason in words alone, and they differ with the library of TLS below. */
static void certificate_words(const char *error, char *out, size_t size) {
    enum { MINUTE = 16 }; /* "2026-11-30T02:20": words that differ each second would be told anew */
    char now[32];
    gr_clock_utc(now);
    snprintf(now + MINUTE, sizeof now - MINUTE, "Z");
    if (strstr(error, "expired"))
        snprintf(out, size,
                 "the coordinator's certificate has expired, or the clock of this machine is ahead "
                 "(it says %s)",
                 now);
    else if (strstr(error, "not yet valid"))
        snprintf(out, size,
                 "the coordinator's certificate is not valid yet: the clock of this machine is "
                 "behind (it says %s), or the coordinator's is ahead",
                 now);
    else if (strstr(error, "self-signed") || strstr(error, "self signed"))
        snprintf(out, size,
                 "the coordinator has signed its certificate itself: expected `pin` or `ca` in the "
                 "site's file");
    else if (strstr(error, "local issuer") || strstr(error, "unknown"))
        snprintf(out, size,
                 "the coordinator's certificate is of an authority that this site does not know: "
                 "expected its certificate as `ca`, or a `pin`");
    else if (strstr(error, "does not match") || strstr(error, "no alternative"))
        snprintf(out, size,
                 "the coordinator's certificate is for another name: %s; expected the name in the "
                 "url, or a `pin`",
                 error);
    else
        snprintf(out, size, "the coordinator's certificate: %s", error);
}

static bool proxy_words(long code, char *out, size_t size) {
    if (code == 407)
        snprintf(out, size,
                 "the proxy wants a user and a password, or others than it was given (407)");
    else
        snprintf(out, size, "the proxy answers %ld", code);
    return code >= 400 && code < 500;
}

static bool answer_words(long code, char *out, size_t size) {
    switch (code) {
    case GR_HTTPS_UNKNOWN:
        snprintf(out, size,
                 "the coordinator does not know this site (404): it runs another edition of the "
                 "study than the one here, or knows another key of this site, or another server is "
                 "at this url; `granary study show` tells a study's digest and keys");
        return true;
    case GR_HTTPS_NO_CERTIFICATE:
        snprintf(out, size,
                 "the coordinator asks for a certificate of its authority, or a proxy forbids the "
                 "call (403)");
        return true;
    case GR_HTTPS_TOO_LARGE:
        snprintf(out, size,
                 "a proxy lets no upload of %d bytes through, or hides its length (413): expected "
                 "one that does",
                 GR_HTTPS_PART_LEAST);
        return true;
    case GR_HTTPS_ANOTHER:
        snprintf(out, size, "another process calls with the keys of this site");
        return true;
    case 502:
    case 503:
    case 504:
        snprintf(out, size, "a server in between answers %ld: it does not reach the coordinator",
                 code);
        return false;
    default:
        snprintf(out, size,
                 "a proxy, or another server at this url, answers %ld; expected an answer of "
                 "granary's",
                 code);
        return code < 500;
    }
}

/* The library's own words name the address: that of a proxy, perhaps, which the environment says.
 */
static void connect_words(const struct gr_https_call *call, char *out, size_t size) {
    long error = 0;
    char lower[64];
    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &error);
    snprintf(lower, sizeof lower, "%s", error ? strerror((int)error) : "no connection");
    if (lower[0] >= 'A' && lower[0] <= 'Z') lower[0] = (char)(lower[0] - 'A' + 'a');
    if (call->error[0])
        snprintf(out, size, "%s (%.160s)", lower, call->error);
    else
        snprintf(out, size, "%s", lower);
}

bool gr_https_fault(const struct gr_https_call *call, CURLcode result, long code, char *out,
                    size_t size) {
    long proxy = 0;
    const char *error = call->error[0] ? call->error : curl_easy_strerror(result);
    curl_easy_getinfo(call->easy, CURLINFO_HTTP_CONNECTCODE, &proxy);
    if (call->status != GR_OK) {
        snprintf(out, size, "%s", call->words);
        return false;
    }
    switch (result) {
    case CURLE_OK:
        return answer_words(code, out, size);
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        snprintf(out, size,
                 "the server there has another key than `pin` says: the pin is an old one, or "
                 "somebody stands in between; a proxy of this site's own that opens TLS is allowed "
                 "to by its authority as `ca` in the place of `pin`");
        return true;
    case CURLE_PEER_FAILED_VERIFICATION:
        certificate_words(error, out, size);
        return true;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        snprintf(out, size, "%s", error);
        return true;
    case CURLE_URL_MALFORMAT:
        snprintf(out, size, "the url, or that of the proxy, is none: %.160s", error);
        return true;
    case CURLE_COULDNT_RESOLVE_PROXY:
        snprintf(
            out, size,
            "the name of the proxy is not found (within its user and password, \"@\" is written "
            "%%40, \":\" %%3A and \"/\" %%2F)");
        return false;
    case CURLE_COULDNT_RESOLVE_HOST:
        snprintf(out, size, "the name of the host is not found");
        return false;
    case CURLE_SSL_CONNECT_ERROR:
        snprintf(out, size, "TLS: %s", error);
        return false;
    case CURLE_OPERATION_TIMEDOUT:
        snprintf(out, size, "no answer (%.160s)", error);
        return false;
    case CURLE_COULDNT_CONNECT:
        if (proxy < 300) {
            connect_words(call, out, size);
            return false;
        }
        return proxy_words(proxy, out, size);
    default:
        if (proxy >= 300) return proxy_words(proxy, out, size);
        snprintf(out, size, "%s", error);
        return false;
    }
}
