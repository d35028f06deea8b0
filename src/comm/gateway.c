/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway of a job: its post, the bell that wakes it, and the hellos that have come.
 *
 * It is opened once in a process. A gr_comm ends when the run that it carries does, and the jobs
 * then meet again; sessions, and what has come meanwhile, outlive it.
 */
#include <string.h>
#include <time.h>

#include "comm/handshake.h"
#include "comm/jobs.h"
#include "comm/wait.h"

/* Called by the threads of carriers. */
static void ring(void *context) {
    struct gr_gateway *gateway = context;
    pthread_mutex_lock(&gateway->lock);
    gateway->pending = true;
    pthread_cond_signal(&gateway->rung);
    if (gateway->event) gr_wait_event_signal(gateway->event);
    pthread_mutex_unlock(&gateway->lock);
}

void gr_gateway_ring_at(struct gr_gateway *gateway, struct gr_wait_event *event) {
    pthread_mutex_lock(&gateway->lock);
    gateway->event = event;
    pthread_mutex_unlock(&gateway->lock);
}

void gr_gateway_wait(struct gr_gateway *gateway, double seconds) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(1e9 * seconds);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&gateway->lock);
    while (!gateway->pending &&
           pthread_cond_timedwait(&gateway->rung, &gateway->lock, &until) == 0) {
    }
    gateway->pending = false;
    pthread_mutex_unlock(&gateway->lock);
}

static void start_bell(struct gr_gateway *gateway) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&gateway->rung, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&gateway->lock, NULL);
}

gr_status gr_gateway_open(const struct gr_post_options *options, struct gr_gateway **out) {
    gr_status status = GR_OK;
    struct gr_post_options post = *options;
    struct gr_gateway *gateway = NULL;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *gateway, "a gateway", &gateway));
    start_bell(gateway);
    gateway->n_parties = options->who.n_parties;
    GR_TRY(gr_allocate_zero(gateway->n_parties, sizeof *gateway->hello, "hellos", &gateway->hello));
    GR_TRY(gr_allocate_zero(gateway->n_parties, sizeof *gateway->parting, "partings",
                            &gateway->parting));
    GR_TRY(gr_allocate_zero(gateway->n_parties, sizeof(bool), "hellos", &gateway->differs));
    gateway->told.changed = true;
    GR_TRY(
        gr_allocate_zero(gateway->n_parties, sizeof *gateway->outbox, "letters", &gateway->outbox));
    post.greeting = NULL;
    post.greeting_bytes = 0;
    post.notify = ring;
    post.context = gateway;
    GR_TRY(gr_post_open(&post, &gateway->post));
    *out = gateway;
    gateway = NULL;
out:
    gr_gateway_close(gateway);
    return status;
}

/* Where something waits already, all that follows waits behind it. */
static gr_status keep_waiting(struct gr_outbox *outbox, const struct gr_post_part *parts,
                              size_t n_parts, size_t n) {
    struct gr_waiting *waiting;
    gr_status status = gr_allocate(1, sizeof *waiting + n, "a message", &waiting);
    if (status != GR_OK) return status;
    *waiting = (struct gr_waiting){.n = n};
    unsigned char *at = waiting->bytes;
    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].n > 0) memcpy(at, parts[i].bytes, parts[i].n);
        at += parts[i].n;
    }
    if (outbox->last)
        outbox->last->next = waiting;
    else
        outbox->first = waiting;
    outbox->last = waiting;
    outbox->queued++;
    return GR_OK;
}

gr_status gr_gateway_send(struct gr_gateway *gateway, uint32_t party, enum gr_note_kind kind,
                          const void *head, size_t n_head, const void *bytes, size_t n,
                          uint64_t *ticket) {
    enum { PARTS = 3 };
    const uint32_t word = (uint32_t)kind;
    const struct gr_post_part parts[PARTS] = {{&word, sizeof word}, {head, n_head}, {bytes, n}};
    const size_t total = sizeof word + n_head + n;
    struct gr_outbox *outbox = &gateway->outbox[party];
    if (ticket) *ticket = 0;
    if (gr_post_session(gateway->post, party) == 0)
        return gr_fail(GR_STOPPED, "party %u has no session", party);
    if (!outbox->first && gr_post_room(gateway->post, party) >= total)
        return gr_post_send(gateway->post, party, parts, PARTS);
    gr_status status = keep_waiting(outbox, parts, PARTS, total);
    if (status == GR_OK && ticket) *ticket = outbox->queued;
    return status;
}

bool gr_gateway_has_sent(const struct gr_gateway *gateway, uint32_t party, uint64_t ticket) {
    return gateway->outbox[party].sent >= ticket;
}

static void take_first(struct gr_outbox *outbox) {
    struct gr_waiting *waiting = outbox->first;
    outbox->first = waiting->next;
    if (!outbox->first) outbox->last = NULL;
    outbox->sent++;
    gr_free(waiting);
}

gr_status gr_gateway_flush(struct gr_gateway *gateway) {
    gr_status status = GR_OK;
    for (uint32_t party = 0; party < gateway->n_parties; party++) {
        struct gr_outbox *outbox = &gateway->outbox[party];
        while (outbox->first) {
            const struct gr_post_part part = {outbox->first->bytes, outbox->first->n};
            const bool ended = gr_post_session(gateway->post, party) == 0;
            if (!ended && gr_post_room(gateway->post, party) < part.n) break;
            if (!ended) status = gr_post_send(gateway->post, party, &part, 1);
            if (status != GR_OK && status != GR_STOPPED) return status;
            status = GR_OK;
            take_first(outbox);
        }
    }
    return status;
}

void gr_gateway_close(struct gr_gateway *gateway) {
    if (!gateway) return;
    gr_post_close(gateway->post);
    for (uint32_t party = 0; gateway->outbox && party < gateway->n_parties; party++)
        while (gateway->outbox[party].first)
            take_first(&gateway->outbox[party]);
    gr_free(gateway->outbox);
    gr_free(gateway->finished);
    pthread_cond_destroy(&gateway->rung);
    pthread_mutex_destroy(&gateway->lock);
    gr_free(gateway->differs);
    gr_free(gateway->parting);
    gr_free(gateway->hello);
    gr_free(gateway);
}

const char *gr_gateway_finished(const struct gr_gateway *gateway) {
    return gateway->finished;
}

uint32_t gr_note_kind(const struct gr_post_message *message, const unsigned char **bytes,
                      size_t *n) {
    uint32_t kind = 0;
    if (message->kind != GR_POST_MESSAGE || message->n < sizeof kind) return 0;
    memcpy(&kind, message->bytes, sizeof kind);
    *bytes = message->bytes + sizeof kind;
    *n = message->n - sizeof kind;
    return kind;
}

/* ---- given up -------------------------------------------------------------------------------- */

/* Whom the letter does not reach has no session to do harm in. */
static void tell_given_up(struct gr_gateway *gateway, uint32_t party, const char *why) {
    const gr_status unused =
        gr_gateway_send(gateway, party, GR_NOTE_GIVEN_UP, why, strlen(why) + 1, NULL, 0, NULL);
    (void)unused;
}

void gr_gateway_give_up(struct gr_gateway *gateway, uint32_t party) {
    struct gr_parting *parting = &gateway->parting[party];
    if (parting->barred) return;
    *parting =
        (struct gr_parting){.why = GR_ERROR_INTERNAL, .untold = GR_ERROR_INTERNAL, .barred = true};
    gateway->hello[party].ranks = 0;
    gateway->told.changed = true;
    tell_given_up(gateway, party, gr_message());
}

void gr_gateway_greeted(struct gr_gateway *gateway, uint32_t party) {
    gateway->hello[party].ranks = 0;
    gateway->parting[party].barred = gateway->parting[party].said = false;
    gateway->told.changed = true;
}

gr_status gr_gateway_heed(const struct gr_post_message *message) {
    const unsigned char *bytes;
    size_t n;
    if (gr_note_kind(message, &bytes, &n) != GR_NOTE_GIVEN_UP || n == 0 || bytes[n - 1] != '\0')
        return GR_OK;
    return gr_fail(GR_ERROR_INTERNAL, "the coordinator has given this site up: %s",
                   (const char *)bytes);
}

/* ---- hellos ---------------------------------------------------------------------------------- */

bool gr_gateway_take_hello(struct gr_gateway *gateway, const struct gr_post_message *message) {
    struct gr_hello *hello = &gateway->hello[message->party];
    const unsigned char *bytes;
    size_t n;
    if (gr_note_kind(message, &bytes, &n) != GR_NOTE_HELLO || n != sizeof *hello) return false;
    if (gateway->parting[message->party].barred) {
        tell_given_up(gateway, message->party, "it has been given up in this session");
        return false;
    }
    memcpy(hello, bytes, sizeof *hello);
    if (gateway->parting[message->party].for_good) {
        tell_given_up(gateway, message->party, "it has left this study for good");
        return false;
    }
    gateway->parting[message->party].why = GR_OK;
    gateway->differs[message->party] = false;
    gateway->told.changed = true;
    hello->text[GR_HELLO_BYTES - 1] = '\0';
    if (hello->ranks < 1 || hello->ranks > GR_JOB_RANKS_MAX) hello->ranks = 0;
    return hello->ranks > 0;
}

/* ---- leaving --------------------------------------------------------------------------------- */

void gr_gateway_say_goodbye(struct gr_gateway *gateway, gr_status why) {
    static const double longest_s = 5, look_s = 0.02;
    const int32_t word = (int32_t)why;
    struct gr_post_message message = {0};
    uint64_t ticket = 0;
    const double until = gr_clock_seconds() + longest_s;
    if (gr_gateway_send(gateway, 0, GR_NOTE_GOODBYE, &word, sizeof word, NULL, 0, &ticket) != GR_OK)
        return;
    while (!gr_gateway_has_sent(gateway, 0, ticket) && gr_clock_seconds() < until) {
        /* Room comes with what the other side says that it has read. */
        if (gr_post_receive(gateway->post, &message) != GR_OK) return;
        gr_free(message.memory);
        if (gr_gateway_flush(gateway) != GR_OK) return;
        gr_gateway_wait(gateway, look_s);
    }
}

/* A status that this build does not know is a failure of some kind. */
static gr_status known_status(int32_t word) {
    switch (word) {
    case GR_STOPPED:
    case GR_ERROR_USAGE:
    case GR_ERROR_DATA:
    case GR_ERROR_WRITE:
    case GR_ERROR_POLICY:
    case GR_ERROR_CONFIG:
        return (gr_status)word;
    default:
        return GR_ERROR_INTERNAL;
    }
}

bool gr_gateway_take_goodbye(struct gr_gateway *gateway, const struct gr_post_message *message) {
    const unsigned char *bytes;
    size_t n;
    int32_t word;
    if (gr_note_kind(message, &bytes, &n) != GR_NOTE_GOODBYE || n != sizeof word) return false;
    memcpy(&word, bytes, sizeof word);
    const gr_status why = known_status(word);
    if (gateway->parting[message->party].for_good) return false;
    gateway->parting[message->party] = (struct gr_parting){
        .why = why, .untold = why, .said = gateway->parting[message->party].said};
    gateway->told.changed = true;
    gateway->hello[message->party].ranks = 0;
    return true;
}

/* Waits for the coordinator's word; `done` is what ends it. */
static gr_status wait_for_word(struct gr_gateway *gateway, double until,
                               bool (*done)(const struct gr_gateway *gateway,
                                            const struct gr_post_message *message),
                               bool *found) {
    static const double look_s = 0.05;
    struct gr_post_message message = {0};
    gr_status status = GR_OK;
    for (*found = false; !*found && gr_clock_seconds() < until;) {
        GR_TRY(gr_post_receive(gateway->post, &message));
        *found = done(gateway, &message);
        if (message.kind == GR_POST_NOTHING) gr_gateway_wait(gateway, look_s);
        gr_free(message.memory);
        message.memory = NULL;
        GR_TRY(gr_gateway_flush(gateway));
    }
out:
    gr_free(message.memory);
    return status;
}

static bool has_session(const struct gr_gateway *gateway, const struct gr_post_message *message) {
    (void)message;
    return gr_post_session(gateway->post, 0) > 0;
}

static bool is_left(const struct gr_gateway *gateway, const struct gr_post_message *message) {
    const unsigned char *bytes;
    size_t n;
    (void)gateway;
    return gr_note_kind(message, &bytes, &n) == GR_NOTE_LEFT;
}

gr_status gr_gateway_leave(struct gr_gateway *gateway, const char *line, double patience_s) {
    const double until = gr_clock_seconds() + patience_s;
    bool found;
    gr_status status = wait_for_word(gateway, until, has_session, &found);
    if (status == GR_OK && found) {
        GR_TRY(gr_gateway_send(gateway, 0, GR_NOTE_LEAVE, line, strlen(line) + 1, NULL, 0, NULL));
        status = wait_for_word(gateway, until, is_left, &found);
    }
    if (status == GR_OK && !found)
        status = gr_fail(GR_STOPPED,
                         "the coordinator is not there, and has not been told yet that this site "
                         "leaves: the same command tells it");
out:
    return status;
}

bool gr_gateway_take_leave(struct gr_gateway *gateway, const struct gr_comm_options *options,
                           const struct gr_post_message *message) {
    const struct gr_comm_study *study = options->study;
    const unsigned char *bytes;
    size_t n;
    if (gr_note_kind(message, &bytes, &n) != GR_NOTE_LEAVE || n == 0 || bytes[n - 1] != '\0')
        return false;
    struct gr_parting *parting = &gateway->parting[message->party];
    const bool known = parting->for_good;
    if (!known && (!study->leave || study->leave(study->report_context, message->party,
                                                 (const char *)bytes) != GR_OK)) {
        gr_say(options, "%s leaves for good, which is not written down: %s",
               study->parties[message->party].name, gr_message());
        return false;
    }
    const gr_status unused =
        gr_gateway_send(gateway, message->party, GR_NOTE_LEFT, NULL, 0, NULL, 0, NULL);
    (void)unused;
    *parting = (struct gr_parting){.why = GR_STOPPED, .untold = GR_STOPPED, .for_good = true};
    if (known) parting->untold = GR_OK;
    gateway->hello[message->party].ranks = 0;
    gateway->told.changed = true;
    return true;
}

bool gr_gateway_is_refused(const struct gr_gateway *gateway, uint32_t party) {
    const gr_status why = gateway->parting[party].why;
    return gateway->parting[party].for_good || (why != GR_OK && why != GR_STOPPED);
}

const char *gr_parting_words(const struct gr_parting *parting) {
    if (parting->for_good) return "it has left for good";
    switch (parting->why) {
    case GR_STOPPED:
        return "stopped, and may come back";
    case GR_ERROR_POLICY:
        return "its policy refuses";
    case GR_ERROR_DATA:
        return "bad data";
    case GR_ERROR_WRITE:
        return "cannot write";
    case GR_ERROR_CONFIG:
        return "bad config";
    default:
        return "internal error";
    }
}
