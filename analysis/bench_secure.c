/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secure sums: the processor time of one party, and how near its masks come to the bare key stream.
 *
 *   bench_secure [parameters]
 *
 * All parties of a sum run in turn in this process. "set-up" is what a party does before it masks
 * (keys, list, shares, pieces), "roster" the signatures and shares behind the sum, both with their
 * lines of a journal in a temporary folder; "mask" and "unmask" are of a vector of 32-bit words, in
 * milliseconds, the least of repetitions. "stream" is the time that OpenSSL's ChaCha20 takes for as
 * many bytes as the party's masks have, into a buffer that stays in the first cache; "ratio" is
 * mask / stream. One thread.
 */
#include "privacy/secure_sum.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REPETITIONS = 5, BUFFER = 8192 };

static char folder[] = "/tmp/granary-bench-XXXXXX";
static struct gr_keys *keys[GR_SECURE_PARTIES_MAX];
static struct gr_public_key identities[GR_SECURE_PARTIES_MAX];
static struct gr_sum_journal *journals[GR_SECURE_PARTIES_MAX];
static uint64_t counter;

static void must(gr_status status) {
    if (status == GR_OK) return;
    fprintf(stderr, "%s\n", gr_message());
    exit(1);
}

static void in_folder(char *out, size_t size, const char *name, uint32_t p) {
    snprintf(out, size, "%s/%s%u", folder, name, p);
}

static void make_parties(void) {
    char path[64];
    if (!mkdtemp(folder)) exit(1);
    for (uint32_t p = 0; p < GR_SECURE_PARTIES_MAX; p++) {
        in_folder(path, sizeof path, "keys", p);
        must(gr_keys_generate(path, &identities[p]));
        must(gr_keys_read(path, &keys[p]));
        in_folder(path, sizeof path, "sums", p);
        must(gr_sum_journal_open(path, &journals[p]));
    }
}

static void remove_parties(void) {
    char path[64], file[96];
    static const char *const names[] = {"secret.key", "public.key"};
    for (uint32_t p = 0; p < GR_SECURE_PARTIES_MAX; p++) {
        gr_keys_free(keys[p]);
        gr_sum_journal_close(journals[p]);
        in_folder(path, sizeof path, "sums", p);
        unlink(path);
        in_folder(path, sizeof path, "keys", p);
        for (size_t i = 0; i < 2; i++) {
            snprintf(file, sizeof file, "%s/%s", path, names[i]);
            unlink(file);
        }
        rmdir(path);
    }
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
    uint32_t n;
    struct gr_secure_party *parties[GR_SECURE_PARTIES_MAX];
    struct gr_secure_collector *collector;
    double set_up, mask, roster, unmask; /* of party 0, seconds */
};

static struct gr_secure_message told(const struct secure_bench *bench, uint32_t p) {
    struct gr_secure_message message;
    must(gr_secure_collector_tell(bench->collector, p, &message));
    return message;
}

static void give(struct secure_bench *bench, uint32_t p, struct gr_secure_message message) {
    must(gr_secure_collector_take(bench->collector, p, message.bytes, message.n));
    gr_free(message.bytes);
}

static void set_up(struct secure_bench *bench) {
    counter++;
    struct gr_secure_terms terms = {.identities = identities,
                                    .n_parties = bench->n,
                                    .threshold = gr_secure_threshold_default(bench->n),
                                    .part = counter, /* another sum, over other parties */
                                    .counter = counter};
    struct gr_secure_message in, out;
    must(gr_secure_collector_create(&terms, &bench->collector));
    for (uint32_t p = 0; p < bench->n; p++) {
        const struct gr_secure_party_options options = {
            .terms = terms, .me = p, .keys = keys[p], .journal = journals[p]};
        const double began = gr_clock_cpu_seconds();
        must(gr_secure_party_create(&options, &bench->parties[p]));
        must(gr_secure_party_advertise(bench->parties[p], &out));
        if (p == 0) bench->set_up = gr_clock_cpu_seconds() - began;
        give(bench, p, out);
    }
    must(gr_secure_collector_close(bench->collector));
    for (uint32_t p = 0; p < bench->n; p++) {
        in = told(bench, p);
        const double began = gr_clock_cpu_seconds();
        must(gr_secure_party_share(bench->parties[p], in.bytes, in.n, &out));
        if (p == 0) bench->set_up += gr_clock_cpu_seconds() - began;
        gr_free(in.bytes);
        give(bench, p, out);
    }
    must(gr_secure_collector_close(bench->collector));
    for (uint32_t p = 0; p < bench->n; p++) {
        in = told(bench, p);
        const double began = gr_clock_cpu_seconds();
        must(gr_secure_party_take_pieces(bench->parties[p], in.bytes, in.n));
        if (p == 0) bench->set_up += gr_clock_cpu_seconds() - began;
        gr_free(in.bytes);
    }
}

static void end(struct secure_bench *bench) {
    struct gr_secure_message in, out;
    struct gr_party_set all = {0};
    static const unsigned char total[GR_DIGEST_BYTES];
    for (uint32_t p = 0; p < bench->n; p++)
        gr_party_set_add(&all, p);
    must(gr_secure_collector_summed(bench->collector, &all, total));
    for (uint32_t p = 0; p < bench->n; p++) {
        const double began = gr_clock_cpu_seconds();
        must(gr_secure_party_sign(bench->parties[p], &all, total, &out));
        if (p == 0) bench->roster = gr_clock_cpu_seconds() - began;
        give(bench, p, out);
    }
    must(gr_secure_collector_close(bench->collector));
    for (uint32_t p = 0; p < bench->n; p++) {
        in = told(bench, p);
        const double began = gr_clock_cpu_seconds();
        must(gr_secure_party_open_shares(bench->parties[p], in.bytes, in.n, &out));
        if (p == 0) bench->roster += gr_clock_cpu_seconds() - began;
        gr_free(in.bytes);
        give(bench, p, out);
    }
    must(gr_secure_collector_close(bench->collector));
    in = told(bench, 0);
    must(gr_secure_party_take_secrets(bench->parties[0], in.bytes, in.n));
    gr_free(in.bytes);
}

static void run(uint32_t n, size_t n_words, uint32_t *words) {
    struct secure_bench bench = {.n = n}, best = {0};
    const struct gr_stream_range range = {.bits = 32, .n = n_words};
    for (int repetition = 0; repetition < REPETITIONS; repetition++) {
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
    const double stream = stream_seconds((uint64_t)n * n_words * sizeof *words);
    printf("%8u %10zu %9.2f %9.2f %9.2f %9.2f %9.2f %7.2f\n", n, n_words, 1e3 * best.set_up,
           1e3 * best.roster, 1e3 * best.mask, 1e3 * best.unmask, 1e3 * stream, best.mask / stream);
}

int main(int argc, char **argv) {
    static const uint32_t parties[] = {3, 8, 16, 32, 64};
    const size_t n_words = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    uint32_t *words = NULL;
    must(gr_base_start());
    must(gr_allocate_zero(n_words, sizeof *words, "a vector", &words));
    make_parties();
    printf(
        " parties parameters    set-up    roster      mask    unmask    stream   ratio   (ms)\n");
    for (size_t i = 0; i < sizeof parties / sizeof *parties; i++)
        run(parties[i], n_words, words);
    remove_parties();
    gr_free(words);
    return 0;
}
