/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base: streams against the known answers of Random123 1.14 (kat_vectors, philox4x32 10), digests
 * against Python's hashlib.blake2b, text and files against cases made by hand.
 */
/* The generator's block function has known answers for counters that no stream reaches. */
#include "../../src/base/random.c"

#include <check.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(philox_known_answers) {
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    uint32_t out[4];
    philox_block(known[_i].counter, known[_i].key, out);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(out[i], known[_i].expected[i]);
}
END_TEST

/* Any stretch of a stream, whatever vectors it is made in. */
START_TEST(words_are_the_streams) {
    enum { MOST = 400 };
    const struct gr_stream_key key = {
        .seed = 0x123456789abcdef0, .silo = 5, .round = 7, .purpose = GR_PURPOSE_ROUNDING};
    gsl_rng *stream;
    uint32_t expected[2 * MOST], words[MOST + 1];
    ck_assert_int_eq(gr_stream_create(key, &stream), GR_OK);
    for (size_t i = 0; i < 2 * MOST; i++)
        expected[i] = (uint32_t)gsl_rng_get(stream);
    for (size_t n = 0; n <= MOST; n++)
        for (uint32_t block = 0; block < 100; block += n % 3 ? 31 : 1) {
            words[n] = 77;
            gr_stream_words(key, block, words, n);
            ck_assert_mem_eq(words, expected + 4 * (size_t)block, n * sizeof *words);
            ck_assert_uint_eq(words[n], 77);
        }
    gsl_rng_free(stream);
}
END_TEST

/* However they are drawn, by one or by many. */
START_TEST(draws_go_on) {
    const struct gr_stream_key key = {
        .seed = 0x123456789abcdef0, .silo = 5, .round = 7, .purpose = GR_PURPOSE_DROPOUT};
    gsl_rng *one, *many;
    uint32_t words[301];
    ck_assert_int_eq(gr_stream_create(key, &one), GR_OK);
    ck_assert_int_eq(gr_stream_create(key, &many), GR_OK);
    for (size_t n = 0; n <= 300; n += n < 40 ? 1 : 13) {
        words[n] = 77;
        gr_stream_draw(many, words, n);
        for (size_t i = 0; i < n; i++)
            ck_assert_uint_eq(words[i], gsl_rng_get(one));
        ck_assert_uint_eq(words[n], 77);
        ck_assert_uint_eq(gsl_rng_get(many), gsl_rng_get(one));
    }
    gsl_rng_free(many);
    gsl_rng_free(one);
}
END_TEST

START_TEST(stream_is_its_key) {
    struct gr_stream_key key = {
        .seed = 0x123456789abcdefull, .silo = 3, .round = 7, .purpose = GR_PURPOSE_TEST};
    gsl_rng *a, *b;
    ck_assert_int_eq(gr_stream_create(key, &a), GR_OK);
    ck_assert_int_eq(gr_stream_create(key, &b), GR_OK);
    unsigned long first[10];
    for (int i = 0; i < 10; i++) {
        first[i] = gsl_rng_get(a);
        ck_assert_uint_eq(first[i], gsl_rng_get(b));
    }
    gr_stream_restart(b, key);
    ck_assert_uint_eq(first[0], gsl_rng_get(b));
    /* Each part of the key changes the stream. */
    struct gr_stream_key others[] = {key, key, key, key, key};
    others[0].seed ^= 1;
    others[1].seed ^= 1ull << 40;
    others[2].silo++;
    others[3].round++;
    others[4].purpose = GR_PURPOSE_BATCH;
    for (int i = 0; i < 5; i++) {
        gr_stream_restart(b, others[i]);
        ck_assert_uint_ne(first[0], gsl_rng_get(b));
    }
    gsl_rng_free(a);
    gsl_rng_free(b);
}
END_TEST

START_TEST(uniform_moments) {
    enum { N = 200000 };
    gsl_rng *stream;
    double sum = 0, square = 0;
    ck_assert_int_eq(
        gr_stream_create((struct gr_stream_key){.seed = 42, .purpose = GR_PURPOSE_TEST}, &stream),
        GR_OK);
    for (int i = 0; i < N; i++) {
        double u = gsl_rng_uniform(stream);
        ck_assert(u >= 0 && u < 1);
        sum += u;
        square += u * u;
    }
    /* Mean 1/2, second moment 1/3; five standard errors. */
    ck_assert_double_lt(fabs(sum / N - 0.5), 5 * sqrt(1.0 / 12 / N));
    ck_assert_double_lt(fabs(square / N - 1.0 / 3), 5 * sqrt(4.0 / 45 / N));
    gsl_rng_free(stream);
}
END_TEST

/* The shuffle a word at a time, from any place in a stream, and what comes after it in the stream.
 */
START_TEST(permutation_is_durstenfelds) {
    static const size_t sizes[] = {0, 1, 2, 3, 255, 256, 257, 258, 1000, 5000};
    enum { MOST = 5000 };
    const struct gr_stream_key key = {.seed = 77, .purpose = GR_PURPOSE_TEST};
    static uint32_t found[MOST], expected[MOST];
    gsl_rng *stream, *slow;
    ck_assert_int_eq(gr_stream_create(key, &stream), GR_OK);
    ck_assert_int_eq(gr_stream_create(key, &slow), GR_OK);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t skipped = 0; skipped < 6; skipped++) {
            const size_t n = sizes[s];
            for (size_t i = 0; i < skipped; i++)
                ck_assert_uint_eq(gsl_rng_get(stream), gsl_rng_get(slow));
            gr_stream_permutation(stream, found, n);
            for (size_t i = 0; i < n; i++)
                expected[i] = (uint32_t)i;
            for (size_t i = n; i > 1; i--) {
                const uint64_t high = gsl_rng_get(slow), bits = high << 32 | gsl_rng_get(slow);
                const size_t j = (size_t)(((unsigned __int128)bits * i) >> 64);
                const uint32_t swap = expected[i - 1];
                expected[i - 1] = expected[j];
                expected[j] = swap;
            }
            ck_assert_mem_eq(found, expected, n * sizeof *found);
        }
    gsl_rng_free(stream);
    gsl_rng_free(slow);
}
END_TEST

START_TEST(permutation_is_uniform) {
    enum { DRAWS = 60000 };
    gsl_rng *stream;
    int count[6] = {0};
    ck_assert_int_eq(
        gr_stream_create((struct gr_stream_key){.seed = 5, .purpose = GR_PURPOSE_TEST}, &stream),
        GR_OK);
    for (int i = 0; i < DRAWS; i++) {
        uint32_t p[3];
        gr_stream_permutation(stream, p, 3);
        ck_assert_uint_eq((1u << p[0] | 1u << p[1] | 1u << p[2]), 7);
        count[p[0] * 2 + (p[1] > p[2])]++;
    }
    /* Chi-squared with 5 degrees of freedom: 25.7 has probability 1e-4. */
    double chi = 0;
    for (int i = 0; i < 6; i++)
        chi += pow(count[i] - DRAWS / 6.0, 2) / (DRAWS / 6.0);
    ck_assert_double_lt(chi, 25.7);
    gsl_rng_free(stream);
}
END_TEST

/* Against an array that is looked through as a whole; sizes and shares for which the list is sorted
 * and for which it is made anew. */
START_TEST(flags_are_an_array) {
    static const uint32_t sizes[] = {1, 7, 100, 5000};
    const uint32_t n = sizes[_i];
    uint8_t *expected = calloc(n, 1);
    struct gr_flags flags;
    gsl_rng *stream;
    ck_assert_int_eq(
        gr_stream_create((struct gr_stream_key){.seed = 6, .purpose = GR_PURPOSE_TEST}, &stream),
        GR_OK);
    ck_assert_int_eq(gr_flags_create(n, "flags", &flags), GR_OK);
    ck_assert_uint_eq(flags.n, n);
    for (uint32_t trial = 0; trial < 60; trial++) {
        const uint32_t changes = (uint32_t)gsl_rng_uniform_int(stream, trial % 3 ? n : n / 64 + 1);
        for (uint32_t i = 0; i <= changes; i++) {
            const uint32_t element = (uint32_t)gsl_rng_uniform_int(stream, n);
            const uint8_t value = (uint8_t)gsl_rng_uniform_int(stream, 4);
            gr_flags_set(&flags, element, value);
            expected[element] = value;
        }
        gr_flags_sort(&flags);
        uint32_t found = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (!expected[i]) continue;
            ck_assert_uint_lt(found, flags.n_set);
            ck_assert_uint_eq(flags.set[found++], i);
        }
        ck_assert_uint_eq(flags.n_set, found);
        ck_assert_mem_eq(flags.flag, expected, n);
        if (trial % 4) continue;
        gr_flags_clear(&flags);
        memset(expected, 0, n);
        ck_assert_uint_eq(flags.n_set, 0);
        ck_assert_mem_eq(flags.flag, expected, n);
    }
    gr_flags_release(&flags);
    gsl_rng_free(stream);
    free(expected);
}
END_TEST

START_TEST(digest_known_answer) {
    unsigned char digest[GR_DIGEST_BYTES];
    char hex[GR_DIGEST_HEX];
    struct gr_digest parts;
    gr_digest_of("abc", 3, digest);
    gr_digest_hex(digest, hex);
    ck_assert_str_eq(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    gr_digest_start(&parts);
    gr_digest_add(&parts, "a", 1);
    gr_digest_add(&parts, "bc", 2);
    gr_digest_finish(&parts, digest);
    gr_digest_hex(digest, hex);
    ck_assert_str_eq(hex, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}
END_TEST

START_TEST(layout_of_tensors) {
    struct gr_layout layout = {0}, same = {0};
    const size_t a[] = {2, 3}, b[] = {5}, huge[] = {SIZE_MAX / 2, 4}, none[] = {0};
    ck_assert_int_eq(gr_layout_append(&layout, "a", 2, a), GR_OK);
    ck_assert_int_eq(gr_layout_append(&layout, "b", 1, b), GR_OK);
    ck_assert_uint_eq(layout.size, 32);
    ck_assert_uint_eq(layout.n_parameters, 11);
    ck_assert_uint_eq(layout.tensors[1].offset, 16);
    ck_assert_str_eq(gr_layout_find(&layout, 5)->name, "a");
    ck_assert_ptr_null(gr_layout_find(&layout, 6)); /* a gap */
    ck_assert_str_eq(gr_layout_find(&layout, 20)->name, "b");
    ck_assert_int_eq(gr_layout_append(&layout, "huge", 2, huge), GR_ERROR_INTERNAL);
    ck_assert_int_eq(gr_layout_append(&layout, "none", 1, none), GR_ERROR_INTERNAL);

    ck_assert_int_eq(gr_layout_append(&same, "a", 2, a), GR_OK);
    ck_assert(!gr_layout_equal(&layout, &same));
    ck_assert_int_eq(gr_layout_append(&same, "b", 1, b), GR_OK);
    ck_assert(gr_layout_equal(&layout, &same));

    float vector[32] = {0};
    for (int i = 0; i < 6; i++)
        vector[i] = (float)(1 + i);
    for (int i = 0; i < 5; i++)
        vector[16 + i] = (float)(7 + i);
    unsigned char digest[GR_DIGEST_BYTES];
    char hex[GR_DIGEST_HEX];
    gr_layout_digest(&layout, vector, digest);
    gr_digest_hex(digest, hex);
    /* hashlib.blake2b(struct.pack('<11f', *range(1, 12)), digest_size=32) */
    ck_assert_str_eq(hex, "935c3e10418ee5748fba1341e051d9b8aa3361bbd93a1e28f962e7afa6c7be34");
    gr_layout_release(&layout);
    gr_layout_release(&same);
}
END_TEST

START_TEST(some_tensors) {
    struct gr_layout whole = {0};
    struct gr_sublayout sub;
    const char *names[] = {"a", "b", "c", "d"};
    const size_t sizes[] = {17, 16, 3, 20};
    const uint8_t chosen[] = {0, 1, 1, 0}, ends[] = {1, 0, 0, 1}, none[] = {0, 0, 0, 0};
    float vector[100] = {0};
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(gr_layout_append(&whole, names[i], 1, &sizes[i]), GR_OK);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < sizes[i]; k++)
            vector[whole.tensors[i].offset + k] = (float)(100 * i + k + 1);

    ck_assert_int_eq(gr_sublayout_create(&whole, NULL, &sub), GR_OK);
    ck_assert(gr_layout_equal(&sub.layout, &whole));
    ck_assert_uint_eq(sub.n_spans, 1);
    ck_assert_uint_eq(sub.spans[0].n, whole.size);
    gr_sublayout_release(&sub);

    /* Neighbours, gap and all, are one span. */
    ck_assert_int_eq(gr_sublayout_create(&whole, chosen, &sub), GR_OK);
    ck_assert_uint_eq(sub.layout.size, 32);
    ck_assert_uint_eq(sub.layout.n_parameters, 19);
    ck_assert_uint_eq(sub.n_spans, 1);
    ck_assert(sub.spans[0].whole == 32 && sub.spans[0].part == 0 && sub.spans[0].n == 32);
    ck_assert_str_eq(gr_layout_find(&sub.layout, 18)->name, "c");
    gr_sublayout_release(&sub);

    ck_assert_int_eq(gr_sublayout_create(&whole, ends, &sub), GR_OK);
    ck_assert_uint_eq(sub.n_spans, 2);
    ck_assert(sub.spans[1].whole == 64 && sub.spans[1].part == 32 && sub.spans[1].n == 32);
    gr_sublayout_pack(&sub, vector);
    for (size_t i = 0; i < sub.layout.size; i++) {
        const size_t first = i < 32 ? 0 : 3, k = i % 32; /* tensors a and d, and zeros between */
        ck_assert(vector[i] == (k < sizes[first] ? (float)(100 * first + k + 1) : 0));
    }
    gr_sublayout_release(&sub);

    ck_assert_int_eq(gr_sublayout_create(&whole, none, &sub), GR_OK);
    ck_assert_uint_eq(sub.layout.size + sub.n_spans, 0);
    gr_sublayout_release(&sub);
    gr_layout_release(&whole);
}
END_TEST

START_TEST(nearest_word) {
    static const char *const words[] = {"momentum", "learning_rate", "batch_size"};
    ck_assert_str_eq(gr_text_nearest("momentun", words, 3), "momentum");
    ck_assert_str_eq(gr_text_nearest("learnig_rate", words, 3), "learning_rate");
    ck_assert_ptr_null(gr_text_nearest("xyzzy", words, 3));
    ck_assert_str_eq(gr_text_nearest("batchsize", words, 3), "batch_size");
    char longest[200];
    memset(longest, 'm', sizeof longest - 1);
    longest[199] = 0;
    ck_assert_ptr_null(gr_text_nearest(longest, words, 3));
}
END_TEST

START_TEST(utf8) {
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"plain", true},
        {"z\xc3\xbcrich", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x8c\xbe", true},
        {"\xc0\x80", false},
        {"\xed\xa0\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xff", false},
        {"\xc3", false},
        {"\xe0\x9f\xbf", false},
        {"\xf0\x8f\xbf\xbf", false},
    };
    ck_assert(gr_text_is_utf8(cases[_i].text, strlen(cases[_i].text)) == cases[_i].valid);
}
END_TEST

START_TEST(quote) {
    char out[12];
    gr_text_quote("plain", 5, out, sizeof out);
    ck_assert_str_eq(out, "plain");
    gr_text_quote("a\nb\x01\xff", 5, out, sizeof out);
    ck_assert_str_eq(out, "a?b??");
    gr_text_quote("abcdefghijklmnop", 16, out, sizeof out);
    ck_assert_str_eq(out, "abcdefgh...");
    gr_text_quote("abcdefghijk", 11, out, sizeof out);
    ck_assert_str_eq(out, "abcdefghijk");
    gr_text_quote("anything", 8, out, 1);
    ck_assert_str_eq(out, "");
}
END_TEST

START_TEST(messages) {
    ck_assert_int_eq(gr_fail(GR_ERROR_DATA, "%s: row %d", "x.csv", 3), GR_ERROR_DATA);
    ck_assert_str_eq(gr_message(), "x.csv: row 3");
    ck_assert_int_eq(gr_fail_context(GR_ERROR_DATA, "silo-%02d: ", 4), GR_ERROR_DATA);
    ck_assert_str_eq(gr_message(), "silo-04: x.csv: row 3");
    (void)gr_fail(GR_ERROR_DATA, "again: %s", gr_message());
    ck_assert_str_eq(gr_message(), "again: silo-04: x.csv: row 3");
    char *big = malloc(10000);
    memset(big, 'x', 9999);
    big[9999] = 0;
    (void)gr_fail(GR_ERROR_DATA, "%s", big);
    ck_assert_uint_eq(strlen(gr_message()), GR_MESSAGE_MAX - 1);
    (void)gr_fail_context(GR_ERROR_DATA, "%s", big);
    ck_assert_uint_eq(strlen(gr_message()), GR_MESSAGE_MAX - 1);
    free(big);
}
END_TEST

START_TEST(memory) {
    float *vector;
    ck_assert_int_eq(gr_allocate_zero(3, sizeof *vector, "three", &vector), GR_OK);
    ck_assert_uint_eq((uintptr_t)vector % 64, 0);
    ck_assert(vector[0] == 0 && vector[2] == 0);
    gr_free(vector);
    ck_assert_int_eq(gr_allocate(0, 8, "nothing", &vector), GR_OK);
    ck_assert_ptr_nonnull(vector);
    gr_free(vector);
    ck_assert_int_eq(gr_allocate(SIZE_MAX / 2, 8, "too much", &vector), GR_ERROR_INTERNAL);
    ck_assert_ptr_null(vector);
    ck_assert_ptr_nonnull(strstr(gr_message(), "too much"));
}
END_TEST

START_TEST(files) {
    char folder[] = "/tmp/granary-test-XXXXXX", path[64], temporary[80], *text;
    size_t length;
    struct stat info;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    ck_assert_int_eq(gr_file_write(path, "hello", 5), GR_OK);
    ck_assert_int_eq(gr_file_read(path, 5, GR_ERROR_DATA, &text, &length), GR_OK);
    ck_assert_uint_eq(length, 5);
    ck_assert_str_eq(text, "hello");
    gr_free(text);
    ck_assert_int_eq(gr_file_read(path, 4, GR_ERROR_DATA, &text, &length), GR_ERROR_DATA);
    ck_assert_ptr_null(text);
    ck_assert_int_eq(gr_file_read("/nowhere/x", 4, GR_ERROR_CONFIG, &text, &length),
                     GR_ERROR_CONFIG);
    ck_assert_int_eq(gr_file_read(folder, 4, GR_ERROR_CONFIG, &text, &length), GR_ERROR_CONFIG);
    ck_assert_int_eq(gr_file_write("/nowhere/x", "a", 1), GR_ERROR_WRITE);

    /* A write that fails half way leaves the old file and no temporary one. */
    struct rlimit limit, before;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 3;
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_int_eq(gr_file_write(path, "longer text", 11), GR_ERROR_WRITE);
    setrlimit(RLIMIT_FSIZE, &before);
    ck_assert_int_ne(stat(temporary, &info), 0);
    ck_assert_int_eq(gr_file_read(path, 5, GR_ERROR_DATA, &text, &length), GR_OK);
    ck_assert_str_eq(text, "hello");
    gr_free(text);
    unlink(path);
    rmdir(folder);
}
END_TEST

static gr_status do_deed(void *context) {
    const char deed = *(const char *)context;
    *(char *)context = 'x'; /* of a copy */
    if (deed == 'c') raise(SIGSEGV);
    for (volatile bool loop = deed == 'l'; loop;)
        ;
    for (void *block; deed == 'm' && gr_allocate((size_t)1 << 24, 1, "a block", &block) == GR_OK;)
        memset(block, 1, (size_t)1 << 24);
    if (deed == 'm') return gr_fail(GR_ERROR_DATA, "memory was refused");
    return deed == 'r' ? gr_fail(GR_ERROR_CONFIG, "refused: %d%%", 3) : GR_OK;
}

START_TEST(paths) {
    char *path, *folder = getcwd(NULL, 0);
    ck_assert_ptr_nonnull(folder);
    ck_assert_int_eq(GR_OK, gr_path_absolute("/x/y", &path));
    ck_assert_str_eq(path, "/x/y");
    ck_assert_str_eq(gr_path_shown(path), "/x/y");
    gr_free(path);
    ck_assert_int_eq(GR_OK, gr_path_absolute("runs/a b", &path));
    ck_assert_int_eq(strncmp(path, folder, strlen(folder)), 0);
    ck_assert_str_eq(gr_path_shown(path), "runs/a b");
    gr_free(path);
    ck_assert_str_eq(gr_path_shown(folder), folder);
    free(folder);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(GR_OK, gr_path_absolute("x", &path));
    ck_assert_str_eq(path, "/x");
    gr_free(path);
}
END_TEST

START_TEST(child) {
    static const struct {
        char deed;
        gr_status status;
        const char *message;
    } deeds[] = {{'f', GR_OK, NULL},
                 {'r', GR_ERROR_CONFIG, "refused: 3%"},
                 {'m', GR_ERROR_DATA, "memory was refused"},
                 {'c', GR_ERROR_WRITE, "the deed ended in signal 11 (Segmentation fault)"},
                 {'l', GR_ERROR_WRITE, "the deed took over 0.2 s"}};
#ifdef __SANITIZE_ADDRESS__
    if (deeds[_i].deed == 'm') return; /* whose allocator ends the process instead */
#endif
    const struct gr_child_limits limits = {.wall_seconds = deeds[_i].deed == 'l' ? 0.2 : 20,
                                           .cpu_seconds = 60,
                                           .memory_bytes = 1 << 28};
    char deed = deeds[_i].deed;
    gr_status status = gr_child_run("the deed", GR_ERROR_WRITE, &limits, do_deed, &deed);
    ck_assert_int_eq(status, deeds[_i].status);
    if (deeds[_i].message) ck_assert_str_eq(gr_message(), deeds[_i].message);
    ck_assert_int_eq(deed, deeds[_i].deed);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

/* Each write to a socket of datagrams is one of them: a line that several ranks write at once to
 * one terminal is to be one write. */
START_TEST(a_guards_line_is_one_write) {
    char line[64] = "";
    int ends[2], how;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    const pid_t other = fork();
    if (other == 0) {
        dup2(ends[1], STDERR_FILENO);
        gr_guard_start(0, "the disk");
        for (;;)
            pause();
    }
    ck_assert_int_eq(waitpid(other, &how, 0), other);
    ck_assert(WIFEXITED(how));
    ck_assert_int_eq(WEXITSTATUS(how), GR_STOPPED);
    ck_assert_int_gt(recv(ends[0], line, sizeof line - 1, MSG_DONTWAIT), 0);
    ck_assert_str_eq(line, "granary: given up: the disk\n");
    close(ends[0]);
    close(ends[1]);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("base");
    TCase *tests = tcase_create("base");
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_loop_test(tests, philox_known_answers, 0, 3);
    tcase_add_test(tests, words_are_the_streams);
    tcase_add_test(tests, draws_go_on);
    tcase_add_test(tests, stream_is_its_key);
    tcase_add_test(tests, uniform_moments);
    tcase_add_test(tests, permutation_is_durstenfelds);
    tcase_add_test(tests, permutation_is_uniform);
    tcase_add_loop_test(tests, flags_are_an_array, 0, 4);
    tcase_add_test(tests, digest_known_answer);
    tcase_add_test(tests, layout_of_tensors);
    tcase_add_test(tests, some_tensors);
    tcase_add_test(tests, nearest_word);
    tcase_add_loop_test(tests, utf8, 0, 11);
    tcase_add_test(tests, quote);
    tcase_add_test(tests, messages);
    tcase_add_test(tests, memory);
    tcase_add_test(tests, files);
    tcase_add_test(tests, paths);
    tcase_add_loop_test(tests, child, 0, 5);
    tcase_add_test(tests, a_guards_line_is_one_write);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
