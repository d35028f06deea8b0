/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests at the coordinator's port, as libmicrohttpd hands them over: first with their head alone
 * (begin), then with each piece of their body (take_body), at last without one (finish), perhaps
 * several times when they are held back. Nothing is kept of a request before its signature is found
 * right.
 */
#include "post/https_server.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Letters that an answer to a poll carries. */
struct letter_batch {
    struct gr_https_host *server;
    uint32_t party;
    size_t n, at, total; /* letters; bytes of the first that are left out; bytes of the body */
    struct gr_https_entry *entries[BATCH_LETTERS];
};

void gr_https_resume(struct gr_https_request **held) {
    struct gr_https_request *request = *held;
    *held = NULL;
    if (!request) return;
    request->held = false;
    MHD_resume_connection(request->connection);
}

void gr_https_give_up(struct gr_https_request **held) {
    if (*held) (*held)->given_up = true;
    gr_https_resume(held);
}

size_t gr_https_room(const struct gr_https_site *site) {
    const size_t used = site->inbox + site->coming;
    return used < GR_CARRIER_HELD ? GR_CARRIER_HELD - used : 0;
}

void gr_https_entry_release(struct gr_https_entry *entry) {
    if (atomic_fetch_sub(&entry->references, 1) != 1) return;
    gr_free(entry->letter);
    gr_free(entry);
}

void gr_https_acknowledge(struct gr_https_site *site, uint64_t number) {
    if (number > site->put) number = site->put;
    if (number > site->acknowledged) site->acknowledged = number;
    while (site->first && site->first->number <= number) {
        struct gr_https_entry *entry = site->first;
        site->first = entry->next;
        if (!site->first) site->last = NULL;
        site->held -= entry->letter->n;
        gr_https_entry_release(entry);
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Nothing but a number: who has no right to more learns no more. */
static enum MHD_Result answer_bare(struct MHD_Connection *connection, unsigned code) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response) return MHD_NO;
    const enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_response(struct MHD_Connection *connection, unsigned code,
                                       const struct gr_https_note *note,
                                       struct MHD_Response *response) {
    char text[GR_HTTPS_ANSWER_TEXT];
    enum MHD_Result result = MHD_NO;
    if (!response) return MHD_NO;
    gr_https_note_write(note, NULL, NULL, text);
    if (MHD_add_response_header(response, GR_HTTPS_HEADER, text) == MHD_YES)
        result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_note(struct MHD_Connection *connection, unsigned code,
                                   const struct gr_https_note *note) {
    return answer_response(connection, code, note,
                           MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
}

/* How far the site's letters have come. */
static struct gr_https_note upload_note(const struct gr_https_host *server,
                                        const struct gr_https_site *site,
                                        const struct gr_https_note *asked) {
    struct gr_https_note note = *asked;
    memcpy(note.challenge, server->challenge, sizeof note.challenge);
    note.sequence = site->sequence[GR_HTTPS_UPLOAD];
    note.number = site->received;
    note.at = site->intake.have;
    note.room = gr_https_room(site);
    return note;
}

/* ---- the head -------------------------------------------------------------------------------- */

/* Who calls without a note has come by chance, and is not worth a line. */
static void remember_refusal(struct gr_https_host *server, const char *words, bool by_chance) {
    server->refused++;
    if (!by_chance) server->refused_news = true;
    snprintf(server->refused_words, sizeof server->refused_words, "%s", words);
}

/* The library asks for a site's certificate, and leaves it to us to look at it. */
static bool certificate_shown(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    unsigned faults = 0;
    char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st want = {GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)purpose, 0};
    return info && info->tls_session &&
           gnutls_certificate_verify_peers(info->tls_session, &want, 1, &faults) == 0 &&
           faults == 0;
}

/* The length that the head says a body has; false: none is said, or no number. */
static bool content_length(struct MHD_Connection *connection, uint64_t *out) {
    const char *text =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    char *end;
    if (!text || text[0] < '0' || text[0] > '9' || strlen(text) > 18) return false;
    *out = strtoull(text, &end, 10);
    return *end == '\0';
}

/*
 * Whether a process of the site may speak. Two that are started with one key would take each
 * other's letters: the later one stays, and the earlier one is told, unless the later one has
 * ended.
 */
static bool instance_speaks(struct gr_https_site *site, uint64_t instance) {
    if (instance == site->instance) return true;
    for (unsigned i = 0; i < REPLACED_INSTANCES; i++)
        if (site->replaced[i] == instance) {
            if (gr_clock_seconds() - site->heard < INSTANCE_S) return false;
            site->replaced[i] = 0;
        }
    site->replaced[site->n_replaced++ % REPLACED_INSTANCES] = site->instance;
    site->instance = instance;
    gr_https_intake_drop(&site->intake);
    site->received = site->coming = 0;
    return true;
}

/* Letters that the site no longer has are skipped; a letter of which a part is here goes on. */
static void move_to(struct gr_https_site *site, uint64_t number) {
    if (number <= site->received + 1) return;
    gr_https_intake_drop(&site->intake);
    site->received = number - 1;
    site->coming = 0;
}

/* What stands against a request whose signature is right; GR_HTTPS_DONE: nothing. */
static unsigned check(struct gr_https_host *server, struct gr_https_site *site,
                      struct gr_https_note *note, uint64_t body) {
    const struct gr_https_note asked = *note;
    const bool upload = asked.purpose == GR_HTTPS_UPLOAD;
    if (memcmp(asked.challenge, server->challenge, sizeof asked.challenge) != 0 ||
        asked.sequence <= site->sequence[asked.purpose]) {
        *note = upload_note(server, site, &asked);
        note->sequence = site->sequence[asked.purpose];
        if (asked.instance != site->instance) note->number = note->at = 0;
        if (!upload) note->number = site->acknowledged;
        return GR_HTTPS_ANEW;
    }
    if (!instance_speaks(site, asked.instance)) return GR_HTTPS_ANOTHER;
    site->sequence[asked.purpose] = asked.sequence;
    site->heard = gr_clock_seconds();
    if (!upload) {
        gr_https_acknowledge(site, asked.number);
        return GR_HTTPS_DONE;
    }
    if (body == 0 || asked.at == 0) move_to(site, asked.number);
    if (body == 0) return GR_HTTPS_DONE;
    *note = upload_note(server, site, &asked);
    if (asked.number != site->received + 1 || asked.at != site->intake.have ||
        body > gr_https_room(site) + (site->coming ? site->coming - site->intake.have : 0))
        return GR_HTTPS_ELSEWHERE;
    *note = asked;
    return GR_HTTPS_DONE;
}

/* The request is taken: what the site had under way before it has been lost on its way. */
static void enter(struct gr_https_host *server, struct gr_https_site *site,
                  struct gr_https_request *request) {
    if (request->note.purpose == GR_HTTPS_POLL) {
        gr_https_give_up(&site->poll);
        return;
    }
    gr_https_give_up(&site->ask);
    if (site->upload) {
        site->upload->given_up = true;
        gr_https_end(server, site->upload->of);
    }
    site->upload = request->body > 0 ? request : NULL;
}

static enum MHD_Result admit(struct gr_https_host *server, struct gr_https_request *request,
                             void **state) {
    struct MHD_Connection *connection = request->connection;
    struct gr_https_site *site = &server->sites[request->note.party];
    const uint16_t hold =
        request->note.hold < GR_HTTPS_HOLD_S ? request->note.hold : (uint16_t)GR_HTTPS_HOLD_S;
    struct gr_https_request *kept = NULL;
    pthread_mutex_lock(&server->lock);
    const size_t held = site->held;
    gr_https_adopt(server, request->of, request->note.party);
    unsigned code = check(server, site, &request->note, request->body);
    if (code == GR_HTTPS_DONE && gr_allocate(1, sizeof *kept, "a request", &kept) == GR_OK) {
        *kept = *request;
        kept->until = gr_clock_seconds() + (request->note.room ? hold : 0);
        enter(server, site, kept);
    } else if (code == GR_HTTPS_ANOTHER)
        remember_refusal(server, "two processes call under one key", false);
    const bool room = site->held < held;
    pthread_mutex_unlock(&server->lock);
    if (room) gr_carrier_tell(&server->carrier);
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)SILENCE_S);
    if (code != GR_HTTPS_DONE) return answer_note(connection, code, &request->note);
    *state = kept;
    return kept ? MHD_YES : MHD_NO;
}

static enum MHD_Result refuse(struct gr_https_host *server, struct MHD_Connection *connection,
                              unsigned code, const char *words, bool by_chance) {
    pthread_mutex_lock(&server->lock);
    remember_refusal(server, words, by_chance);
    pthread_mutex_unlock(&server->lock);
    if (!by_chance) gr_carrier_tell(&server->carrier);
    return answer_bare(connection, code);
}

/* The party is as the request says, and nobody has vouched for it. */
static enum MHD_Result refuse_unsigned(struct gr_https_host *server,
                                       struct MHD_Connection *connection,
                                       const struct gr_https_note *note) {
    char words[sizeof server->refused_words];
    const bool named = note->party > 0 && note->party < server->who.n_parties;
    snprintf(words, sizeof words, "a request that no site of the study has signed%s%.40s%s",
             named ? "; it says it is " : "", named ? server->who.parties[note->party].name : "",
             named ? "'s: of another edition of the study, or by another key" : "");
    return refuse(server, connection, GR_HTTPS_UNKNOWN, words, false);
}

static enum MHD_Result begin(struct gr_https_host *server, struct MHD_Connection *connection,
                             const char *url, const char *method, void **state) {
    const bool get = strcmp(method, "GET") == 0, post = strcmp(method, "POST") == 0;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct gr_https_request request = {.connection = connection,
                                       .of = info ? info->socket_context : NULL};
    if (!request.of) return MHD_NO;
    const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, GR_HTTPS_HEADER);
    if ((!get && !post) || strcmp(url, GR_HTTPS_PATH) != 0 || !text)
        return refuse(server, connection, GR_HTTPS_UNKNOWN, "a request that is no site's", !text);
    if (server->asks_certificate && !request.of->shown &&
        !(request.of->shown = certificate_shown(connection)))
        return refuse(server, connection, GR_HTTPS_NO_CERTIFICATE,
                      "no certificate of the expected authority", false);
    if (!gr_https_request_parse(text, strlen(text), &server->who, &request.note) ||
        (request.note.purpose == GR_HTTPS_POLL) != get)
        return refuse_unsigned(server, connection, &request.note);
    if (post && (!content_length(connection, &request.body) || request.body > GR_CARRIER_HELD))
        return refuse(server, connection, GR_HTTPS_TOO_LARGE,
                      "an upload of no length, or of too many bytes", false);
    return admit(server, &request, state);
}

/* ---- the body -------------------------------------------------------------------------------- */

static void deliver(struct gr_https_host *server, struct gr_https_site *site,
                    struct gr_letter *letter) {
    letter->next = NULL;
    if (server->last)
        server->last->next = letter;
    else
        server->first = letter;
    server->last = letter;
    site->inbox += letter->n;
    site->received++;
}

/* A letter that is not in order would come again and again: it is skipped, and its site told. */
static void skip_letter(struct gr_https_host *server, struct gr_https_request *request) {
    char words[sizeof server->refused_words];
    snprintf(words, sizeof words, "%s: %.80s", server->who.parties[request->note.party].name,
             gr_message());
    remember_refusal(server, words, false);
    request->refused = true;
}

static enum MHD_Result take_body(struct gr_https_host *server, struct gr_https_request *request,
                                 const char *bytes, size_t *size) {
    struct gr_https_site *site = &server->sites[request->note.party];
    size_t done = 0, n_letters = 0;
    if (request->given_up || site->upload != request) return MHD_NO;
    while (done < *size && !request->refused) {
        struct gr_letter *letter = NULL;
        size_t used = 0;
        pthread_mutex_lock(&server->lock);
        site->intake.room = gr_https_room(site);
        pthread_mutex_unlock(&server->lock);
        const gr_status status = gr_https_intake_take(
            &site->intake, (const unsigned char *)bytes + done, *size - done, &used, &letter);
        done += used;
        pthread_mutex_lock(&server->lock);
        site->heard = gr_clock_seconds();
        site->coming = site->intake.letter ? site->intake.letter->n : 0;
        if (status != GR_OK) skip_letter(server, request);
        if (letter) deliver(server, site, letter);
        pthread_mutex_unlock(&server->lock);
        n_letters += letter != NULL;
    }
    *size = 0;
    if (n_letters > 0) gr_carrier_tell(&server->carrier);
    return MHD_YES;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Of a thread of the library: the body's bytes from `position` on. */
static ssize_t read_batch(void *context, uint64_t position, char *out, size_t most) {
    struct letter_batch *batch = context;
    uint64_t before = 0;
    size_t done = 0;
    for (size_t i = 0; i < batch->n && done < most; i++) {
        const size_t skip = i == 0 ? batch->at : 0;
        const struct gr_letter *letter = batch->entries[i]->letter;
        const size_t n = letter->n - skip;
        if (position < before + n) {
            const size_t from = (size_t)(position - before);
            const size_t take = n - from < most - done ? n - from : most - done;
            memcpy(out + done, letter->bytes + skip + from, take);
            done += take;
            position += take;
        }
        before += n;
    }
    /* A site that fetches a long answer is there. */
    pthread_mutex_lock(&batch->server->lock);
    batch->server->sites[batch->party].heard = gr_clock_seconds();
    pthread_mutex_unlock(&batch->server->lock);
    return done > 0 ? (ssize_t)done : MHD_CONTENT_READER_END_OF_STREAM;
}

static void free_batch(void *context) {
    struct letter_batch *batch = context;
    for (size_t i = 0; i < batch->n; i++)
        gr_https_entry_release(batch->entries[i]);
    gr_free(batch);
}

/* The letters that the site has not, as many as it has room for; NULL: none. Under the lock. */
static struct letter_batch *collect(struct gr_https_host *server, struct gr_https_site *site,
                                    struct gr_https_note *note) {
    struct gr_https_entry *entry = site->first;
    struct letter_batch *batch = NULL;
    while (entry && entry->number <= note->number)
        entry = entry->next;
    if (!entry || gr_allocate(1, sizeof *batch, "letters of an answer", &batch) != GR_OK)
        return NULL;
    if (entry->number != note->number + 1 || note->at >= entry->letter->n) note->at = 0;
    note->number = entry->number;
    *batch = (struct letter_batch){.server = server, .party = note->party, .at = (size_t)note->at};
    for (; entry && batch->n < BATCH_LETTERS && entry->number == note->number + batch->n;
         entry = entry->next) {
        const size_t n = entry->letter->n - (batch->n == 0 ? batch->at : 0);
        if (n > note->room - batch->total) break;
        atomic_fetch_add(&entry->references, 1);
        batch->entries[batch->n++] = entry;
        batch->total += n;
    }
    return batch;
}

static enum MHD_Result hold(struct gr_https_request *request, struct gr_https_request **place) {
    request->held = true;
    *place = request;
    MHD_suspend_connection(request->connection);
    return MHD_YES;
}

static enum MHD_Result finish_poll(struct gr_https_host *server, struct gr_https_site *site,
                                   struct gr_https_request *request) {
    enum { BLOCK = 64 << 10 };
    struct gr_https_note note = request->note;
    pthread_mutex_lock(&server->lock);
    struct letter_batch *batch = request->given_up ? NULL : collect(server, site, &note);
    if (!batch && !request->given_up && !server->closing && gr_clock_seconds() < request->until) {
        const enum MHD_Result result = hold(request, &site->poll);
        pthread_mutex_unlock(&server->lock);
        return result;
    }
    pthread_mutex_unlock(&server->lock);
    if (batch && batch->n == 0) { /* no room there for the next one */
        free_batch(batch);
        batch = NULL;
    }
    if (!batch) return answer_note(request->connection, GR_HTTPS_NOTHING, &note);
    struct MHD_Response *response = MHD_create_response_from_callback(
        batch->total, batch->total < BLOCK ? batch->total : BLOCK, read_batch, batch, free_batch);
    if (!response) free_batch(batch);
    return answer_response(request->connection, GR_HTTPS_DONE, &note, response);
}

static enum MHD_Result finish_upload(struct gr_https_host *server, struct gr_https_site *site,
                                     struct gr_https_request *request) {
    pthread_mutex_lock(&server->lock);
    if (request->body == 0 && request->note.room > gr_https_room(site) && !request->given_up &&
        !server->closing && gr_clock_seconds() < request->until) {
        const enum MHD_Result result = hold(request, &site->ask);
        pthread_mutex_unlock(&server->lock);
        return result;
    }
    const struct gr_https_note note = upload_note(server, site, &request->note);
    if (site->upload == request) site->upload = NULL;
    pthread_mutex_unlock(&server->lock);
    return answer_note(request->connection,
                       request->refused ? (unsigned)GR_HTTPS_REFUSED : (unsigned)GR_HTTPS_DONE,
                       &note);
}

enum MHD_Result gr_https_handle(void *context, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload,
                                size_t *upload_size, void **state) {
    struct gr_https_host *server = context;
    struct gr_https_request *request = *state;
    (void)version;
    if (!request) return begin(server, connection, url, method, state);
    struct gr_https_site *site = &server->sites[request->note.party];
    if (*upload_size > 0) return take_body(server, request, upload, upload_size);
    return request->note.purpose == GR_HTTPS_POLL ? finish_poll(server, site, request)
                                                  : finish_upload(server, site, request);
}

void gr_https_completed(void *context, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode how) {
    struct gr_https_host *server = context;
    struct gr_https_request *request = *state;
    (void)connection, (void)how;
    *state = NULL;
    if (!request) return;
    struct gr_https_site *site = &server->sites[request->note.party];
    pthread_mutex_lock(&server->lock);
    if (site->poll == request) site->poll = NULL;
    if (site->ask == request) site->ask = NULL;
    if (site->upload == request) site->upload = NULL;
    pthread_mutex_unlock(&server->lock);
    gr_free(request);
}
