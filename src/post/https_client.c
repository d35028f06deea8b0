/* SPDX-License-Identifier: Apache-2.0 */
/* A site's end of https as a carrier: the letters that the post puts and takes. */
#include "post/https_client.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { LINGER_S = 5 };

static struct gr_https_caller *client_of(struct gr_carrier *carrier) {
    return (struct gr_https_caller *)carrier;
}

/* ---- letters --------------------------------------------------------------------------------- */

static gr_status put_letter(struct gr_carrier *carrier, struct gr_letter *letter) {
    gr_status status = GR_OK;
    struct gr_https_caller *client = client_of(carrier);
    struct gr_https_outgoing *outgoing = NULL;
    if (letter->label.to != 0) {
        status = gr_fail(GR_ERROR_INTERNAL, "a letter to party %u, expected one to the coordinator",
                         letter->label.to);
        goto out;
    }
    GR_TRY(gr_allocate(1, sizeof *outgoing, "a letter", &outgoing));
    pthread_mutex_lock(&client->lock);
    const size_t held = client->held;
    const bool fits = held <= GR_CARRIER_HELD && letter->n <= GR_CARRIER_HELD - held;
    if (fits) {
        *outgoing = (struct gr_https_outgoing){.letter = letter, .number = ++client->put};
        if (client->last)
            client->last->next = outgoing;
        else
            client->first = outgoing;
        client->last = outgoing;
        client->held += letter->n;
        outgoing = NULL;
    }
    pthread_mutex_unlock(&client->lock);
    if (fits) {
        curl_multi_wakeup(client->multi);
        return GR_OK;
    }
    status = gr_fail(GR_ERROR_WRITE, "%s: %zu bytes of letters wait, and one of %zu has no room",
                     client->url, held, letter->n);
out:
    gr_free(outgoing);
    gr_free(letter);
    return status;
}

/* A fault that people here can mend is told at once, others when they last; and both again while
 * they do, and that they are over. Under the lock. */
static gr_status tell(struct gr_https_caller *client) {
    static const double lasting_s = 10, again_s = 60;
    const double now = gr_clock_seconds(), lasts = now - client->since;
    const bool due =
        client->told ? now - client->told_s >= again_s : client->mendable || lasts >= lasting_s;
    if (client->fault[0] && due) {
        client->told = true;
        client->told_s = now;
        client->over = false;
        if (lasts < 1) return gr_fail(GR_ERROR_CONFIG, "%s: %s", client->url, client->fault);
        return gr_fail(GR_ERROR_CONFIG, "%s: %s, for %.0f s; it is tried again", client->url,
                       client->fault, lasts);
    }
    if (client->over) {
        client->over = false;
        return gr_fail(GR_ERROR_CONFIG, "%s: the coordinator answers again", client->url);
    }
    if (!client->refused) return GR_OK;
    client->refused = false;
    return gr_fail(GR_ERROR_CONFIG,
                   "%s: the coordinator has refused a letter of this site, which is lost",
                   client->url);
}

static gr_status take_letter(struct gr_carrier *carrier, struct gr_letter **out) {
    gr_status status = GR_OK;
    struct gr_https_caller *client = client_of(carrier);
    bool wake = false;
    pthread_mutex_lock(&client->lock);
    struct gr_letter *letter = client->in_first;
    if (letter) {
        client->in_first = letter->next;
        if (!client->in_first) client->in_last = NULL;
        letter->next = NULL;
        client->inbox -= letter->n;
        /* By half, so that polls do not ask for little at a time. */
        wake = client->starved && client->inbox <= GR_CARRIER_HELD / 2;
        if (wake) client->starved = false;
    } else
        status = tell(client);
    pthread_mutex_unlock(&client->lock);
    if (wake) curl_multi_wakeup(client->multi);
    *out = letter;
    return status;
}

static void forget_letters(struct gr_carrier *carrier, uint32_t to,
                           const unsigned char session[GR_SESSION_BYTES], uint64_t counter) {
    struct gr_https_caller *client = client_of(carrier);
    if (to != 0) return;
    pthread_mutex_lock(&client->lock);
    struct gr_https_outgoing **link = &client->first, *last = NULL;
    while (*link) {
        struct gr_https_outgoing *outgoing = *link;
        const struct gr_letter_label *label = &outgoing->letter->label;
        if (outgoing->under_way ||
            (memcmp(label->session, session, GR_SESSION_BYTES) == 0 && label->counter > counter)) {
            last = outgoing;
            link = &outgoing->next;
            continue;
        }
        *link = outgoing->next;
        client->held -= outgoing->letter->n;
        gr_free(outgoing->letter);
        gr_free(outgoing);
    }
    client->last = last;
    pthread_mutex_unlock(&client->lock);
}

static size_t room_for(struct gr_carrier *carrier, uint32_t to) {
    struct gr_https_caller *client = client_of(carrier);
    pthread_mutex_lock(&client->lock);
    const size_t held = client->held;
    pthread_mutex_unlock(&client->lock);
    return to == 0 && held < GR_CARRIER_HELD ? GR_CARRIER_HELD - held : 0;
}

/* ---- state ----------------------------------------------------------------------------------- */

static double silent_s(struct gr_carrier *carrier, uint32_t party) {
    struct gr_https_caller *client = client_of(carrier);
    pthread_mutex_lock(&client->lock);
    const double heard = party == 0 ? client->heard : -INFINITY;
    pthread_mutex_unlock(&client->lock);
    return gr_clock_seconds() - heard;
}

static void describe(struct gr_carrier *carrier, char *out, size_t size) {
    struct gr_https_caller *client = client_of(carrier);
    const double now = gr_clock_seconds();
    pthread_mutex_lock(&client->lock);
    if (client->fault[0])
        snprintf(out, size, "%s: %s, for %.0f s; the next try is in %.0f s", client->url,
                 client->fault, now - client->since,
                 fmax(fmax(client->poll.retry, client->upload.retry) - now, 0));
    else if (!isfinite(client->heard))
        snprintf(out, size, "%s: has not answered yet", client->url);
    else
        snprintf(out, size, "%s: last answered %.0f s ago, %zu bytes wait to be sent", client->url,
                 now - client->heard, client->held);
    pthread_mutex_unlock(&client->lock);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static bool under_way(struct gr_https_caller *client) {
    pthread_mutex_lock(&client->lock);
    const bool any = client->first && client->poll.failures == 0 && client->upload.failures == 0;
    pthread_mutex_unlock(&client->lock);
    return any;
}

static void client_free(struct gr_https_caller *client) {
    if (!client) return;
    if (client->started) {
        pthread_mutex_lock(&client->lock);
        client->closing = true;
        pthread_mutex_unlock(&client->lock);
        curl_multi_wakeup(client->multi);
        pthread_join(client->thread, NULL);
    }
    if (client->poll.easy) gr_https_call_release(&client->poll);
    if (client->upload.easy) gr_https_call_release(&client->upload);
    curl_multi_cleanup(client->multi);
    while (client->first) {
        struct gr_https_outgoing *outgoing = client->first;
        client->first = outgoing->next;
        gr_free(outgoing->letter);
        gr_free(outgoing);
    }
    while (client->in_first) {
        struct gr_letter *letter = client->in_first;
        client->in_first = letter->next;
        gr_free(letter);
    }
    gr_https_intake_drop(&client->intake);
    pthread_mutex_destroy(&client->lock);
    gr_free(client->target);
    gr_free(client);
}

static void close_client(struct gr_carrier *carrier) {
    struct gr_https_caller *client = client_of(carrier);
    const double until = gr_clock_seconds() + LINGER_S;
    while (under_way(client) && gr_clock_seconds() < until)
        usleep(10000);
    client_free(client);
}

static const struct gr_carrier_kind https_client = {.name = "https",
                                                    .acknowledges = true,
                                                    .checks = true,
                                                    .put = put_letter,
                                                    .take = take_letter,
                                                    .forget = forget_letters,
                                                    .silent_s = silent_s,
                                                    .describe = describe,
                                                    .close = close_client,
                                                    .room = room_for};

static void start_curl(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Files that cannot be read are told here, rather than at each call. */
static gr_status check_options(const struct gr_https_client *options) {
    const char *const files[] = {options->ca, options->certificate, options->key};
    const char *host = options->url + strlen("https://");
    if (strncasecmp(options->url, "https://", strlen("https://")) != 0 || host[0] == '\0' ||
        host[strcspn(host, "@?# /")] == '@' || strcspn(host, "@?# ") != strlen(host))
        return gr_fail(GR_ERROR_CONFIG, "%s: expected https://HOST:PORT", options->url);
    if (options->pin && (strncmp(options->pin, "sha256//", 8) != 0 || strlen(options->pin) != 52))
        return gr_fail(GR_ERROR_CONFIG,
                       "pin %s: expected sha256// and 44 characters, as the "
                       "coordinator prints it",
                       options->pin);
    if (!options->certificate != !options->key)
        return gr_fail(GR_ERROR_CONFIG, "found a %s of TLS alone, expected certificate and key",
                       options->key ? "key" : "certificate");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i] && access(files[i], R_OK) != 0)
            return gr_fail(GR_ERROR_CONFIG, "%s: %s", files[i], strerror(errno));
    return GR_OK;
}

/* Its thread leaves signals to the others. */
static gr_status start_thread(struct gr_https_caller *client) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&client->thread, NULL, gr_https_call, client);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return gr_fail(GR_ERROR_INTERNAL, "%s: no thread: %s", client->url, strerror(error));
    client->started = true;
    return GR_OK;
}

gr_status gr_carrier_open_https_client(const struct gr_carrier_options *options,
                                       const struct gr_https_client *settings,
                                       struct gr_carrier **out) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    gr_status status = GR_OK;
    struct gr_https_caller *client = NULL;
    pthread_once(&once, start_curl);
    GR_TRY(check_options(settings));
    GR_TRY(gr_allocate_zero(1, sizeof *client, "https", &client));
    pthread_mutex_init(&client->lock, NULL);
    client->carrier.kind = &https_client;
    client->who = *options;
    client->heard = -INFINITY;
    client->most = SIZE_MAX;
    client->intake.carrier = &client->carrier;
    client->intake.who = &client->who;
    randombytes_buf(&client->instance, sizeof client->instance);
    const size_t length = strlen(settings->url);
    client->url = settings->url;
    GR_TRY(gr_text_format(&client->target, "%s%s", settings->url,
                          settings->url[length - 1] == '/' ? &GR_HTTPS_PATH[1] : GR_HTTPS_PATH));
    client->multi = curl_multi_init();
    if (!client->multi) GR_TRY(gr_fail(GR_ERROR_INTERNAL, "%s: no memory", client->url));
    GR_TRY(gr_https_call_create(client, &client->poll, GR_HTTPS_POLL, settings));
    GR_TRY(gr_https_call_create(client, &client->upload, GR_HTTPS_UPLOAD, settings));
    GR_TRY(start_thread(client));
    *out = &client->carrier;
out:
    if (status != GR_OK) client_free(client);
    return status;
}
