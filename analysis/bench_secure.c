/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secure sums: the processor time of one party, and how near its masks come to the bare key stream.
 *
 *   bench_secure [parameters]
 *
 * All parties of a sum run in turn in this process. "set-up" is what a party does before it masks
 * (keys, list, reveals, shares, pieces), "roster" the signatures and shares behind the sum, both
 * with their lines of a journal in a temporary folder; "mask" and "unmask" are of a vector of
 * 32-bit words, in milliseconds, the least of repetitions (of more than 64 parties there is one).
 * "stream" is the time that OpenSSL's ChaCha20 takes for as many bytes as the party's masks have,
 * into a buffer that stays in the first cache; "ratio" is mask / stream. "kB" is what the party
 * sends in both. One thread; a fresh one for each step of the party, which knows no signature that
 * another has looked at.
 */
#include "privacy/secure_sum.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REPETITIONS = 5, BUFFER = 8192 };

static char folder[] = "/tmp/granary-bench-XXXXXX";
static struct gr_keys *keys[GR_SECURE_PARTIES_MAX];
static struct gr_public_key identities[GR_SECURE_PARTIES_MAX];
static struct gr_sum_journal *journal; /* of party 0 */
static uint64_t counter;

static void must(gr_status status) {
    if (status == GR_OK) return;
    fprintf(stderr, "%s\n", gr_message());
    exit(1);
}

static char path[64]; /* of the journal */

static void make_parties(void) {
    if (!mkdtemp(folder)) exit(1);
    snprintf(path, sizeof path, "%s/sums", folder);
    must(gr_sum_journal_open(path, &journal));
    for (uint32_t p = 0; p < GR_SECURE_PARTIES_MAX; p++) {
        must(gr_keys_draw(&keys[p]));
        identities[p] = *gr_keys_public(keys[p]);
    }
}

static void remove_parties(void) {
    for (uint32_t p = 0; p < GR_SECURE_PARTIES_MAX; p++)
        gr_keys_free(keys[p]);
    gr_sum_journal_close(journal);
    unlink(path);
    rmdir(folder);
}

static double least(double a, double b) {
    return a == 0 || b < a ? b : a;
}

/* The bare stream, of so many bytes. */
static double stream_seconds(uint64_t bytes) {
    static unsigned char buffer[BUFFER];
    static const unsigned char key[GR_STREAM_KEY_BYTES], iv[16], zeros[BUFFER];
    double best = 0;
    for (int repetition = 0; repetition < REPETITIONS; repetition++) {
        int done;
        EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
        if (!context || EVP_EncryptInit_ex(context, EVP_chacha20(), NULL, key, iv) != 1) exit(1);
        const double began = gr_clock_cpu_seconds();
        for (uint64_t at = 0; at < bytes; at += BUFFER)
            EVP_EncryptUpdate(context, buffer, &done, zeros, BUFFER);
        best = least(best, gr_clock_cpu_seconds() - began);
        EVP_CIPHER_CTX_free(context);
    }
    return best;
}

struct secure_bench {
    struct gr_secure_terms terms;
    struct gr_secure_party *parties[GR_SECURE_PARTIES_MAX];
    struct gr_secure_collector *collector;
    double set_up, mask, roster, unmask; /* of party 0, seconds */
    size_t sent;                         /* by it, bytes */
};

/* A step of a party: what it is told, and what it sends. */
struct party_step {
    struct secure_bench *bench;
    uint32_t p;
    enum gr_secure_kind kind; /* that the step gives, or GR_SECURE_PIECES */
    struct gr_secure_message in, out;
    double seconds;
};

static gr_status take_step(struct party_step *step) {
    struct gr_secure_party *party = step->bench->parties[step->p];
    const struct gr_secure_message *in = &step->in;
    switch (step->kind) {
    case GR_SECURE_ADVERT: {
        const struct gr_secure_party_options options = {.terms = step->bench->terms,
                                                        .me = step->p,
                                                        .keys = keys[step->p],
                                                        .journal = step->p ? NULL : journal};
        must(gr_secure_party_create(&options, &step->bench->parties[step->p]));
        return gr_secure_party_advertise(step->bench->parties[step->p], &step->out);
    }
    case GR_SECURE_REVEAL:
        return gr_secure_party_reveal(party, in->bytes, in->n, &step->out);
    case GR_SECURE_SHARES:
        return gr_secure_party_share(party, in->bytes, in->n, &step->out);
    case GR_SECURE_PIECES:
        return gr_secure_party_take_pieces(party, in->bytes, in->n);
    default:
        return gr_secure_party_open_shares(party, in->bytes, in->n, &step->out);
    }
}

static void *take_step_timed(void *context) {
    struct party_step *step = context;
    const double began = gr_clock_cpu_seconds();
    must(take_step(step));
    step->seconds = gr_clock_cpu_seconds() - began;
    return NULL;
}

static void give(struct secure_bench *bench, uint32_t p, struct gr_secure_message message) {
    if (message.n > 0)
        must(gr_secure_collector_take(bench->collector, p, message.bytes, message.n));
    if (p == 0) bench->sent += message.n;
    gr_free(message.bytes);
}

/* All parties take one step; the seconds of the first. */
static double step_of_all(struct secure_bench *bench, enum gr_secure_kind kind) {
    double seconds = 0;
    for (uint32_t p = 0; p < bench->terms.n_parties; p++) {
        pthread_t thread;
        struct party_step step = {.bench = bench, .p = p, .kind = kind};
        if (kind != GR_SECURE_ADVERT) must(gr_secure_collector_tell(bench->collector, p, &step.in));
        if (p > 0) {
            must(take_step(&step));
        } else if (pthread_create(&thread, NULL, take_step_timed, &step) != 0 ||
                   pthread_join(thread, NULL) != 0) {
            exit(1);
        }
        gr_free(step.in.bytes);
        give(bench, p, step.out);
        if (p == 0) seconds = step.seconds;
    }
    if (kind != GR_SECURE_PIECES) must(gr_secure_collector_close(bench->collector));
    return seconds;
}

static void set_up(struct secure_bench *bench) {
    counter++;
    bench->terms.part = counter; /* another sum, over other parties */
    bench->terms.counter = counter;
    bench->sent = 0;
    must(gr_secure_collector_create(&bench->terms, &bench->collector));
    bench->set_up = step_of_all(bench, GR_SECURE_ADVERT);
    if (gr_secure_terms_draws(&bench->terms)) bench->set_up += step_of_all(bench, GR_SECURE_REVEAL);
    bench->set_up += step_of_all(bench, GR_SECURE_SHARES);
    bench->set_up += step_of_all(bench, GR_SECURE_PIECES);
}

static void end(struct secure_bench *bench) {
    struct gr_secure_message in, out;
    struct gr_party_set all = {0};
    static const unsigned char total[GR_DIGEST_BYTES];
    const uint32_t n = bench->terms.n_parties;
    for (uint32_t p = 0; p < n; p++)
        gr_party_set_add(&all, p);
    must(gr_secure_collector_summed(bench->collector, &all, total));
    for (uint32_t p = 0; p < n; p++) {
        const double began = gr_clock_cpu_seconds();
        must(gr_secure_party_sign(bench->parties[p], &all, total, &out));
        if (p == 0) bench->roster = gr_clock_cpu_seconds() - began;
        give(bench, p, out);
    }
    must(gr_secure_collector_close(bench->collector));
    bench->roster += step_of_all(bench, GR_SECURE_OPENING);
    must(gr_secure_collector_tell(bench->collector, 0, &in));
    must(gr_secure_party_take_secrets(bench->parties[0], in.bytes, in.n));
    gr_free(in.bytes);
}

static void run(uint32_t n, size_t n_words, uint32_t *words) {
    static struct secure_bench bench, best;
    const struct gr_stream_range range = {.bits = 32, .n = n_words};
    struct gr_secure_degree degree;
    best = (struct secure_bench){0};
    bench.terms = (struct gr_secure_terms){
        .identities = identities, .n_parties = n, .threshold = gr_secure_threshold_default(n)};
    must(gr_secure_terms_degree(&bench.terms, n, &degree));
    const int repetitions = gr_secure_terms_draws(&bench.terms) ? 1 : REPETITIONS;
    for (int repetition = 0; repetition < repetitions; repetition++) {
        set_up(&bench);
        double began = gr_clock_cpu_seconds();
        must(gr_secure_party_mask(bench.parties[0], NULL, range, words));
        bench.mask = gr_clock_cpu_seconds() - began;
        end(&bench);
        began = gr_clock_cpu_seconds();
        must(gr_secure_party_unmask(bench.parties[0], range, words));
        bench.unmask = gr_clock_cpu_seconds() - began;
        best.set_up = least(best.set_up, bench.set_up);
        best.mask = least(best.mask, bench.mask);
        best.roster = least(best.roster, bench.roster);
        best.unmask = least(best.unmask, bench.unmask);
        for (uint32_t p = 0; p < n; p++)
            gr_secure_party_free(bench.parties[p]);
        gr_secure_collector_free(bench.collector);
    }
    const double stream =
        stream_seconds((uint64_t)(degree.neighbours + 1) * n_words * sizeof *words);
    printf("%8u %10u %10zu %9.2f %9.2f %9.2f %9.2f %9.2f %7.2f %7.1f\n", n, degree.neighbours,
           n_words, 1e3 * best.set_up, 1e3 * best.roster, 1e3 * best.mask, 1e3 * best.unmask,
           1e3 * stream, best.mask / stream, (double)bench.sent / 1e3);
}

int main(int argc, char **argv) {
    static const uint32_t parties[] = {3, 8, 16, 32, 64, 100, 256, 1000};
    const size_t n_words = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    uint32_t *words = NULL;
    must(gr_base_start());
    must(gr_allocate_zero(n_words, sizeof *words, "a vector", &words));
    make_parties();
    printf(" parties neighbours parameters    set-up    roster      mask    unmask    stream   "
           "ratio   (ms)    kB\n");
    for (size_t i = 0; i < sizeof parties / sizeof *parties; i++)
        run(parties[i], n_words, words);
    remove_parties();
    gr_free(words);
    return 0;
}
