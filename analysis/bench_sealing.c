/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters between institutions: the time to seal and to open as many bytes as a model has, and how
 * much of it each part takes.
 *
 *   bench_sealing [parameters]
 *
 * Letters of a segment of a sum each; medians of repetitions taken in turn, processor time of one
 * thread. Sealing is into new memory, as gr_post_send does it; opening the check of the signature
 * and the decryption. Beside them the parts alone, over the same bytes: the copy, the encryption by
 * libsodium, the checksum, and the digest that might stand in its place.
 */
#include <granary/post.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "post/letter.h"

enum { REPETITIONS = 11, PARTS = 6, PARTIES = 2, SEGMENT = 512 << 10 };
static const char *const part_names[PARTS] = {"seal",    "open",     "copy",
                                              "encrypt", "checksum", "BLAKE2b"};

struct sealing_bench {
    struct gr_keys *keys[PARTIES];
    struct gr_party parties[PARTIES];
    unsigned char study[GR_DIGEST_BYTES], key[GR_KEY_BYTES], *bytes, *room;
    size_t n; /* bytes of a letter's message */
};

static void must(gr_status status) {
    if (status == GR_OK) return;
    fprintf(stderr, "%s\n", gr_message());
    exit(1);
}

static void make_keys(struct sealing_bench *bench) {
    char folder[] = "/tmp/granary-bench-XXXXXX", path[64];
    if (!mkdtemp(folder)) exit(1);
    for (int p = 0; p < PARTIES; p++) {
        snprintf(path, sizeof path, "%s/%d", folder, p);
        must(gr_keys_generate(path, &bench->parties[p].key));
        must(gr_keys_read(path, &bench->keys[p]));
        snprintf(path, sizeof path, "%s/%d/secret.key", folder, p);
        unlink(path);
        snprintf(path, sizeof path, "%s/%d/public.key", folder, p);
        unlink(path);
        snprintf(path, sizeof path, "%s/%d", folder, p);
        rmdir(path);
    }
    rmdir(folder);
}

static struct gr_letter *seal(const struct sealing_bench *bench) {
    struct gr_letter *letter;
    const struct gr_letter_head head = {.label = {.from = 1, .counter = 2},
                                        .kind = GR_LETTER_MESSAGE};
    must(gr_letter_create(0, bench->n, &letter));
    const struct gr_post_part part = {bench->bytes, bench->n};
    gr_letter_seal_parts(letter, head, 0, &part, 1, bench->key, bench->keys[1], bench->study);
    return letter;
}

static void open_letter(const struct sealing_bench *bench, struct gr_letter *letter) {
    struct gr_letter_label label;
    unsigned char *message;
    size_t n;
    must(gr_letter_admit(letter->bytes, letter->n, bench->parties, PARTIES, bench->study, &label,
                         &n));
    must(gr_letter_open_up(letter, 0, bench->key, &message, &n));
    gr_free(letter);
}

/* Seconds of one letter for each part. */
static void run_once(struct sealing_bench *bench, double seconds[PARTS]) {
    unsigned char nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES] = {0};
    unsigned char digest[GR_DIGEST_BYTES];
    double at[PARTS + 1];
    at[0] = gr_clock_cpu_seconds();
    struct gr_letter *letter = seal(bench);
    at[1] = gr_clock_cpu_seconds();
    open_letter(bench, letter);
    at[2] = gr_clock_cpu_seconds();
    memcpy(bench->room, bench->bytes, bench->n);
    at[3] = gr_clock_cpu_seconds();
    crypto_aead_xchacha20poly1305_ietf_encrypt(bench->room, NULL, bench->room, bench->n, NULL, 0,
                                               NULL, nonce, bench->key);
    at[4] = gr_clock_cpu_seconds();
    crypto_onetimeauth(digest, bench->room, bench->n, bench->key);
    at[5] = gr_clock_cpu_seconds();
    gr_digest_of(bench->room, bench->n, digest);
    at[6] = gr_clock_cpu_seconds();
    for (int i = 0; i < PARTS; i++)
        seconds[i] += at[i + 1] - at[i];
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    struct sealing_bench bench = {.n = SEGMENT, .study = "study", .key = "key"};
    const double parameters = argc > 1 ? atof(argv[1]) : 25e6;
    const size_t letters = (size_t)(4 * parameters / SEGMENT) + 1;
    static double seconds[PARTS][REPETITIONS];
    must(gr_base_start());
    make_keys(&bench);
    must(gr_allocate(bench.n, 1, "bytes", &bench.bytes));
    must(gr_allocate(bench.n + crypto_aead_xchacha20poly1305_ietf_ABYTES, 1, "bytes", &bench.room));
    randombytes_buf(bench.bytes, bench.n);
    for (int i = 0; i < REPETITIONS; i++) {
        double all[PARTS] = {0};
        for (size_t l = 0; l < letters; l++)
            run_once(&bench, all);
        for (int p = 0; p < PARTS; p++)
            seconds[p][i] = all[p];
    }
    const double megabytes = 1e-6 * (double)letters * (double)bench.n;
    printf("%zu letters of %zu bytes, %.1f MB, median of %d:\n", letters, bench.n, megabytes,
           REPETITIONS);
    for (int p = 0; p < PARTS; p++) {
        qsort(seconds[p], REPETITIONS, sizeof seconds[p][0], by_size);
        const double median = seconds[p][REPETITIONS / 2];
        printf("  %-8s %7.1f ms  %6.0f MB/s\n", part_names[p], 1e3 * median, megabytes / median);
    }
    gr_free(bench.bytes);
    gr_free(bench.room);
    for (int p = 0; p < PARTIES; p++)
        gr_keys_free(bench.keys[p]);
    return 0;
}
