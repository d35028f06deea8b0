/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of a site's https: it keeps a poll at the coordinator, uploads what was put, and calls
 * again, ever more slowly, whatever has failed. Nothing ends it but the client's close.
 */
#include "post/https_client.h"

#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    CONNECT_S = 20,
    SILENCE_S = 60,        /* without a byte: the connection is given up */
    UNACKNOWLEDGED_S = 20, /* and without a sign of the other end's system */
    PROBE_S = 5,           /* between signs that are asked for while nothing passes */
    BODY_LETTERS = 256,
    HEARTBEAT_S = 10,    /* between polls that say that there is no room here */
    ANEW_MAX = 4,        /* answers that a call is to be made anew, before it counts as failed */
    STRAY_MAX = 64 << 10 /* of an answer that is not the coordinator's */
};
static const double retry_first_s = 0.2, retry_most_s = 30;

/* ---- how it goes ----------------------------------------------------------------------------- */

/* Half of the waiting is by chance, so that sites do not come back all at once. */
static void failed(struct gr_https_call *call, const char *words, bool mendable) {
    struct gr_https_caller *client = call->client;
    const double now = gr_clock_seconds();
    const double chance = randombytes_uniform(1 << 16) / 65536.0;
    double wait = retry_first_s;
    pthread_mutex_lock(&client->lock);
    for (unsigned i = 0; i < call->failures && wait < retry_most_s; i++)
        wait *= 2;
    call->failures++;
    call->retry = now + fmin(wait, retry_most_s) * (0.5 + 0.5 * chance);
    if (!client->fault[0]) client->since = now;
    if (mendable && strcmp(client->fault, words) != 0) client->told = false;
    snprintf(client->fault, sizeof client->fault, "%s", words);
    client->mendable = mendable;
    pthread_mutex_unlock(&client->lock);
    if (mendable) gr_carrier_tell(&client->carrier);
}

/*
 * The coordinator has answered. Calls of the other purpose that found no way try again at once;
 * whatever answers them otherwise, though, is still there, and they keep their pace: a proxy that
 * lets polls through may let no upload through. To ask where uploads go on is no upload.
 */
static void succeeded(struct gr_https_call *call) {
    struct gr_https_caller *client = call->client;
    struct gr_https_call *other = call == &client->poll ? &client->upload : &client->poll;
    pthread_mutex_lock(&client->lock);
    client->heard = gr_clock_seconds();
    if (call == &client->poll || call->size > 0) call->failures = 0;
    if (!other->answered) other->failures = 0;
    if (call->failures == 0) call->retry = 0;
    if (other->failures == 0) other->retry = 0;
    if (call->failures == 0 && other->failures == 0) {
        client->over = client->over || (client->fault[0] && client->told);
        client->fault[0] = '\0';
        client->mendable = client->told = false;
    }
    pthread_mutex_unlock(&client->lock);
}

/* ---- what the library calls ------------------------------------------------------------------ */

/* A line of an answer's head. A status line begins a new answer. */
static size_t read_header(char *line, size_t size, size_t n, void *context) {
    struct gr_https_call *call = context;
    const size_t length = size * n;
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        call->noted = false;
        call->body = 0;
    }
    gr_https_answer_line(line, length, &call->noted, &call->note);
    return length;
}

static size_t no_good(struct gr_https_call *call, const char *words) {
    call->status = GR_ERROR_DATA;
    snprintf(call->words, sizeof call->words, "%s", words);
    return 0;
}

/* Where letters begin in the answer: behind those that are here, perhaps with a gap. */
static bool begin_letters(struct gr_https_caller *client, const struct gr_https_note *note) {
    if (note->number == client->received + 1 && note->at == client->intake.have) return true;
    if (note->number <= client->received || note->at != 0) return false;
    gr_https_intake_drop(&client->intake);
    client->received = note->number - 1;
    return true;
}

static void keep_letter(struct gr_https_caller *client, struct gr_letter *letter) {
    letter->next = NULL;
    client->received++;
    pthread_mutex_lock(&client->lock);
    if (client->in_last)
        client->in_last->next = letter;
    else
        client->in_first = letter;
    client->in_last = letter;
    client->inbox += letter->n;
    client->heard = gr_clock_seconds();
    pthread_mutex_unlock(&client->lock);
}

static size_t read_body(char *bytes, size_t size, size_t n, void *context) {
    struct gr_https_call *call = context;
    struct gr_https_caller *client = call->client;
    const size_t length = size * n;
    size_t done = 0, n_letters = 0;
    long code = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &code);
    const bool first = call->body == 0;
    call->body += length;
    if (code != GR_HTTPS_DONE || !call->noted || call->purpose != GR_HTTPS_POLL)
        return call->body <= STRAY_MAX ? length : no_good(call, "an answer that is not granary's");
    if (first && !begin_letters(client, &call->note))
        return no_good(call, "the answer's letters do not follow those that have come");
    while (done < length) {
        struct gr_letter *letter = NULL;
        size_t used = 0;
        pthread_mutex_lock(&client->lock);
        client->intake.room = client->inbox < GR_CARRIER_HELD ? GR_CARRIER_HELD - client->inbox : 0;
        pthread_mutex_unlock(&client->lock);
        if (gr_https_intake_take(&client->intake, (const unsigned char *)bytes + done,
                                 length - done, &used, &letter) != GR_OK)
            return no_good(call, gr_message());
        done += used;
        if (letter) keep_letter(client, letter);
        n_letters += letter != NULL;
    }
    if (n_letters > 0) gr_carrier_tell(&client->carrier);
    return length;
}

/* The next bytes of an upload's body. */
static size_t write_body(char *out, size_t size, size_t n, void *context) {
    struct gr_https_call *call = context;
    size_t skip = call->at + call->sent, done = 0;
    size_t most = size * n;
    if (most > call->size - call->sent) most = call->size - call->sent;
    for (const struct gr_https_outgoing *letter = call->first; done < most; letter = letter->next) {
        const size_t length = letter->letter->n;
        if (skip >= length) {
            skip -= length;
            continue;
        }
        const size_t take = length - skip < most - done ? length - skip : most - done;
        memcpy(out + done, letter->letter->bytes + skip, take);
        done += take;
        skip = 0;
        if (done == most) break;
    }
    call->sent += done;
    return done;
}

/* The library begins again when a connection that it had kept turns out to be closed. */
static int seek_body(void *context, curl_off_t offset, int origin) {
    struct gr_https_call *call = context;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > call->size)
        return CURL_SEEKFUNC_FAIL;
    call->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- calls ----------------------------------------------------------------------------------- */

void gr_https_call_release(struct gr_https_call *call) {
    if (call->busy) curl_multi_remove_handle(call->client->multi, call->easy);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
}

static bool set_tls(CURL *easy, const struct gr_https_client *options) {
    bool good = curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_3) == CURLE_OK;
    if (options->ca) good &= curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca) == CURLE_OK;
    if (options->pin)
        good &= curl_easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, options->pin) == CURLE_OK;
    if (options->pin && !options->ca) { /* the key alone says who it is */
        good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK;
        good &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK;
    }
    if (options->certificate) {
        good &= curl_easy_setopt(easy, CURLOPT_SSLCERT, options->certificate) == CURLE_OK;
        good &= curl_easy_setopt(easy, CURLOPT_SSLKEY, options->key) == CURLE_OK;
    }
    return good;
}

/* The proxy of the site's file goes before what the environment says, `no_proxy` too. Of the ways
 * to show a password each proxy has its own. */
static bool set_proxy(CURL *easy, const struct gr_https_client *options) {
    const long ways = (long)(CURLAUTH_BASIC | CURLAUTH_DIGEST | CURLAUTH_NTLM);
    if (curl_easy_setopt(easy, CURLOPT_PROXYAUTH, ways) != CURLE_OK) return false;
    return !options->proxy || (curl_easy_setopt(easy, CURLOPT_PROXY, options->proxy) == CURLE_OK &&
                               curl_easy_setopt(easy, CURLOPT_NOPROXY, "") == CURLE_OK);
}

static bool set_functions(CURL *easy, struct gr_https_call *call) {
    return curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PRIVATE, call) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, read_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, call) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, read_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, call) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_READFUNCTION, write_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_READDATA, call) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SEEKDATA, call) == CURLE_OK;
}

/* A middlebox that has forgotten a connection lets nothing through, and tells nobody: whoever does
 * not even acknowledge a probe is given up sooner than whoever is but silent. */
static int limit_silence(void *context, curl_socket_t fd, curlsocktype purpose) {
    const unsigned limit_ms = UNACKNOWLEDGED_S * 1000;
    (void)context, (void)purpose;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof limit_ms);
    return CURL_SOCKOPT_OK;
}

/* Redirections are not followed, and there is no limit of the whole time: only silence ends it. */
gr_status gr_https_call_create(struct gr_https_caller *client, struct gr_https_call *call,
                               enum gr_https_purpose purpose,
                               const struct gr_https_client *options) {
    enum { BUFFER = 512 << 10 };
    CURL *easy = curl_easy_init();
    *call = (struct gr_https_call){
        .client = client, .purpose = purpose, .easy = easy, .hold = GR_HTTPS_HOLD_S};
    bool good =
        easy && set_functions(easy, call) && set_tls(easy, options) &&
        curl_easy_setopt(easy, CURLOPT_URL, client->target) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)PROBE_S) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)PROBE_S) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, limit_silence) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER) == CURLE_OK;
    good = good && set_proxy(easy, options);
    if (good && purpose == GR_HTTPS_UPLOAD)
        good = curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK;
    if (!good)
        return gr_fail(GR_ERROR_INTERNAL, "%s: libcurl %s refuses an option", client->url,
                       curl_version_info(CURLVERSION_NOW)->version);
    return GR_OK;
}

/* Makes the call with a note of these fields, signed. */
static void start(struct gr_https_call *call, struct gr_https_note note) {
    struct gr_https_caller *client = call->client;
    char header[sizeof GR_HTTPS_HEADER + 2 + GR_HTTPS_REQUEST_TEXT] = GR_HTTPS_HEADER ": ";
    note.purpose = call->purpose;
    note.party = client->who.me;
    note.sequence = ++call->sequence;
    note.instance = client->instance;
    memcpy(note.challenge, call->challenge, sizeof note.challenge);
    gr_https_note_write(&note, client->who.keys, client->who.study, header + strlen(header));
    curl_slist_free_all(call->headers);
    call->headers = curl_slist_append(NULL, header);
    /* Names without a value: the library leaves these out. */
    curl_slist_append(call->headers, "Expect:");
    curl_slist_append(call->headers, "Accept:");
    curl_slist_append(call->headers, "Content-Type:");
    call->begun = gr_clock_seconds();
    call->noted = false;
    call->body = call->sent = 0;
    call->status = GR_OK;
    call->error[0] = '\0';
    call->busy = true;
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    if (call->purpose == GR_HTTPS_UPLOAD)
        curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->size);
    curl_multi_add_handle(client->multi, call->easy);
}

static void start_poll(struct gr_https_caller *client) {
    struct gr_https_call *call = &client->poll;
    struct gr_https_note note = {.number = client->received, .at = client->intake.have};
    pthread_mutex_lock(&client->lock);
    const size_t used = client->inbox + (client->intake.letter ? client->intake.letter->n : 0);
    client->starved = used + GR_LETTER_MAX > GR_CARRIER_HELD;
    if (!client->starved) {
        note.room = GR_CARRIER_HELD - used;
        note.hold = call->hold;
    }
    pthread_mutex_unlock(&client->lock);
    start(call, note);
}

/* Chooses the letters that there is room for, and marks them. Under the lock. */
static void fill_upload(struct gr_https_caller *client, struct gr_https_call *call) {
    struct gr_https_outgoing *letter = client->first;
    call->first = letter;
    call->at = (size_t)client->at;
    call->size = 0;
    /* The server has counted a letter whose head it has. */
    uint64_t room = client->room + (call->at >= GR_LETTER_HEAD_BYTES ? letter->letter->n : 0);
    for (unsigned i = 0; letter && i < BODY_LETTERS; i++, letter = letter->next) {
        if (letter->number != call->first->number + i || letter->letter->n > room) break;
        letter->under_way = true;
        room -= letter->letter->n;
        call->size += letter->letter->n;
    }
    if (call->size > 0) call->size -= call->at;
    if (call->size > client->most) call->size = client->most;
}

/* Without knowing where to go on, or without room, it asks. */
static void start_upload(struct gr_https_caller *client) {
    struct gr_https_call *call = &client->upload;
    struct gr_https_note note = {0};
    pthread_mutex_lock(&client->lock);
    note.number = client->first->number;
    call->size = 0;
    if (client->placed) {
        fill_upload(client, call);
        if (call->size > 0)
            note.at = client->at;
        else {
            note.room = client->first->letter->n;
            note.hold = call->hold;
        }
    }
    pthread_mutex_unlock(&client->lock);
    start(call, note);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Removes the first letter. Under the lock. */
static void drop_first(struct gr_https_caller *client) {
    struct gr_https_outgoing *letter = client->first;
    client->first = letter->next;
    if (!client->first) client->last = NULL;
    client->held -= letter->letter->n;
    gr_free(letter->letter);
    gr_free(letter);
}

/* The server has told how far the letters have come. */
static void settle(struct gr_https_caller *client, const struct gr_https_note *note, bool refused) {
    unsigned n = 0;
    pthread_mutex_lock(&client->lock);
    for (struct gr_https_outgoing *letter = client->first; letter; letter = letter->next)
        letter->under_way = false;
    for (; client->first && client->first->number <= note->number + refused; n++)
        drop_first(client);
    client->refused |= refused;
    const struct gr_https_outgoing *first = client->first;
    client->at =
        first && first->number == note->number + 1 && note->at < first->letter->n ? note->at : 0;
    client->room = note->room;
    client->placed = true;
    pthread_mutex_unlock(&client->lock);
    if (n > 0) gr_carrier_tell(&client->carrier);
}

/* The server, or this process at it, is new. */
static void renew(struct gr_https_caller *client, struct gr_https_call *call) {
    const struct gr_https_note *note = &call->note;
    const bool new_server = memcmp(call->challenge, note->challenge, sizeof call->challenge) != 0;
    memcpy(call->challenge, note->challenge, sizeof call->challenge);
    if (new_server || call->sequence < note->sequence) call->sequence = note->sequence;
    if (call->purpose == GR_HTTPS_UPLOAD)
        settle(client, note, false);
    else if (new_server) {
        client->received = note->number;
        gr_https_intake_drop(&client->intake);
        gr_carrier_renew(&client->carrier);
    }
}

/* A connection that was closed while the server held the call: something in between has less
 * patience than it. */
static bool impatient(struct gr_https_call *call, CURLcode result, long code) {
    const double lasted = gr_clock_seconds() - call->begun;
    if (call->hold <= 2 || lasted < 2 || lasted > call->hold + 5 || call->body > 0) return false;
    if (result != CURLE_GOT_NOTHING && result != CURLE_RECV_ERROR &&
        !(result == CURLE_OK && (code == 502 || code == 503 || code == 504)))
        return false;
    call->hold = lasted * 0.7 > 2 ? (uint16_t)(lasted * 0.7) : 2;
    return true;
}

/* A proxy, or a server before the coordinator's, has a limit of its own: the letter goes in parts.
 */
static bool too_large(struct gr_https_caller *client, const struct gr_https_call *call, long code) {
    if (code != GR_HTTPS_TOO_LARGE || call->size <= GR_HTTPS_PART_LEAST) return false;
    client->most = call->size / 2 > GR_HTTPS_PART_LEAST ? call->size / 2 : GR_HTTPS_PART_LEAST;
    return true;
}

static void fail_call(struct gr_https_caller *client, struct gr_https_call *call, CURLcode result,
                      long code) {
    char words[FAULT_WORDS];
    client->placed &= call->purpose != GR_HTTPS_UPLOAD;
    if (call->purpose == GR_HTTPS_POLL && impatient(call, result, code)) return;
    if (call->purpose == GR_HTTPS_UPLOAD && too_large(client, call, code)) return;
    const bool mendable = gr_https_fault(call, result, code, words, sizeof words);
    call->answered = result == CURLE_OK;
    failed(call, words, mendable);
}

static void end_poll(struct gr_https_caller *client, struct gr_https_call *call, long code) {
    const double now = gr_clock_seconds();
    succeeded(call);
    if (call->hold < GR_HTTPS_HOLD_S && code == GR_HTTPS_NOTHING) call->hold++;
    pthread_mutex_lock(&client->lock);
    if (client->starved)
        client->heartbeat = now + HEARTBEAT_S;
    else if (code == GR_HTTPS_NOTHING && now - call->begun < 1)
        call->next = now + retry_first_s; /* it was not held: not to be asked without a pause */
    pthread_mutex_unlock(&client->lock);
}

static void end_call(struct gr_https_caller *client, struct gr_https_call *call, CURLcode result) {
    long code = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &code);
    curl_multi_remove_handle(client->multi, call->easy);
    call->busy = false;
    const bool upload = call->purpose == GR_HTTPS_UPLOAD;
    const bool good = result == CURLE_OK && call->noted;
    const bool again = good && (code == GR_HTTPS_ANEW || code == GR_HTTPS_ELSEWHERE);
    call->anew = again ? call->anew + 1 : 0;
    if (again && call->anew <= ANEW_MAX && code == GR_HTTPS_ANEW)
        renew(client, call);
    else if (again && call->anew <= ANEW_MAX && upload)
        settle(client, &call->note, false);
    else if (good && !upload && (code == GR_HTTPS_DONE || code == GR_HTTPS_NOTHING))
        end_poll(client, call, code);
    else if (good && upload && (code == GR_HTTPS_DONE || code == GR_HTTPS_REFUSED)) {
        succeeded(call);
        settle(client, &call->note, code == GR_HTTPS_REFUSED);
    } else
        fail_call(client, call, result, code);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Starts what is due; milliseconds until something else is. */
static int start_due(struct gr_https_caller *client) {
    const double now = gr_clock_seconds(), idle_s = 10;
    pthread_mutex_lock(&client->lock);
    const double again = client->poll.retry, retry = client->upload.retry;
    const double pause = client->starved ? client->heartbeat : client->poll.next;
    const bool uploads = client->first != NULL;
    pthread_mutex_unlock(&client->lock);
    double due = now + idle_s;
    if (!client->poll.busy) {
        const double when = fmax(again, pause);
        if (when <= now)
            start_poll(client);
        else
            due = fmin(due, when);
    }
    if (!client->upload.busy && uploads) {
        if (retry <= now)
            start_upload(client);
        else
            due = fmin(due, retry);
    }
    return (int)ceil((due - now) * 1000);
}

static bool end_done(struct gr_https_caller *client) {
    CURLMsg *message;
    bool any = false;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left))) {
        struct gr_https_call *call = NULL;
        if (message->msg != CURLMSG_DONE) continue;
        const CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        end_call(client, call, result);
        any = true;
    }
    return any;
}

void *gr_https_call(void *context) {
    struct gr_https_caller *client = context;
    for (;;) {
        int running;
        pthread_mutex_lock(&client->lock);
        const bool closing = client->closing;
        pthread_mutex_unlock(&client->lock);
        if (closing) return NULL;
        const int wait_ms = start_due(client);
        curl_multi_perform(client->multi, &running);
        if (!end_done(client)) curl_multi_poll(client->multi, NULL, 0, wait_ms, NULL);
    }
}
