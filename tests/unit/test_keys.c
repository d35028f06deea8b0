/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of a party: files that only their owner reads and nothing replaces; public keys and
 * signatures against the vectors of RFC 8032 and RFC 7748 and libsodium's own functions; words of
 * which no letter can be mistyped.
 */
#include <granary/post.h>

#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "post/keys.h"
#include "scratch.h"

#define REFUSED(call, code, words)                                                                 \
    do {                                                                                           \
        ck_assert_int_eq((call), (code));                                                          \
        ck_assert_msg(strstr(gr_message(), words) != NULL, "found %s", gr_message());              \
    } while (0)

static void bytes_of(const char *hex, unsigned char out[32]) {
    size_t n = 0;
    ck_assert_int_eq(sodium_hex2bin(out, 32, hex, strlen(hex), NULL, &n, NULL), 0);
    ck_assert_uint_eq(n, 32);
}

/* RFC 8032, 7.1, test 1; RFC 7748, 6.1, Alice. */
static const char sign_seed[] = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                  sign_public[] =
                      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                  seal_secret[] =
                      "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
                  seal_public[] =
                      "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
                  bob_public[] = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
                  alice_bob[] = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";

/* The files of keygen for keys that are given: their form is written down here once more. */
static void put_keys(const char *directory, const char *sign, const char *seal) {
    static const char title[] = "granary secret key 1";
    unsigned char all[sizeof title + 64], check[32];
    char hex[17], path[1100], word[GR_PUBLIC_KEY_TEXT];
    struct gr_public_key key;
    memcpy(all, title, sizeof title);
    bytes_of(sign, all + sizeof title);
    bytes_of(seal, all + sizeof title + 32);
    crypto_generichash(check, sizeof check, all, sizeof all, NULL, 0);
    sodium_bin2hex(hex, sizeof hex, check, 8);
    mkdir(directory, 0700);
    snprintf(path, sizeof path, "%s/secret.key", directory);
    remove(path);
    FILE *file = fopen(path, "w");
    fprintf(file, "%s\n%s\n%s\n%s\n", title, sign, seal, hex);
    fclose(file);
    chmod(path, 0600);
    bytes_of(sign_public, key.verify);
    bytes_of(seal_public, key.seal);
    gr_public_key_text(&key, word);
    snprintf(path, sizeof path, "%s/public.key", directory);
    spill(path, word, strlen(word));
}

START_TEST(keys_are_those_of_the_standards) {
    struct gr_keys *keys;
    unsigned char expected[32], found[32];
    put_keys(in_scratch("k"), sign_seed, seal_secret);
    MUST(gr_keys_read(in_scratch("k"), &keys));
    bytes_of(sign_public, expected);
    ck_assert_mem_eq(gr_keys_public(keys)->verify, expected, 32);
    bytes_of(seal_public, expected);
    ck_assert_mem_eq(gr_keys_public(keys)->seal, expected, 32);
    bytes_of(bob_public, expected);
    ck_assert(gr_keys_share(keys, expected, found));
    bytes_of(alice_bob, expected);
    ck_assert_mem_eq(found, expected, 32);
    /* A key of small order agrees with everybody on zero. */
    memset(found, 0, sizeof found);
    ck_assert(!gr_keys_share(keys, found, expected));
    gr_keys_free(keys);
}
END_TEST

/* Ed25519 of a digest whose bytes are put together here by hand. */
START_TEST(signatures_are_of_purpose_and_bytes) {
    struct gr_keys *keys;
    unsigned char digest[64], signature[64];
    put_keys(in_scratch("k"), sign_seed, seal_secret);
    MUST(gr_keys_read(in_scratch("k"), &keys));
    const struct gr_public_key *key = gr_keys_public(keys);
    gr_keys_sign(keys, "study", "abc", 3, signature);
    static const char text[] = "granary signature 1\0study\0abc";
    crypto_generichash(digest, sizeof digest, (const unsigned char *)text, sizeof text - 1, NULL,
                       0);
    ck_assert_int_eq(crypto_sign_verify_detached(signature, digest, sizeof digest, key->verify), 0);
    ck_assert(gr_public_key_verify(key, "study", "abc", 3, signature));
    ck_assert(!gr_public_key_verify(key, "studya", "bc", 2, signature));
    ck_assert(!gr_public_key_verify(key, "letter", "abc", 3, signature));
    ck_assert(!gr_public_key_verify(key, "study", "abd", 3, signature));
    for (size_t i = 0; i < sizeof signature; i++) {
        signature[i] ^= 1;
        ck_assert(!gr_public_key_verify(key, "study", "abc", 3, signature));
        signature[i] ^= 1;
    }
    gr_keys_free(keys);
}
END_TEST

START_TEST(generated_keys_are_read_back_and_private) {
    struct gr_public_key key, other, parsed;
    struct gr_keys *keys;
    struct stat is;
    const mode_t before = umask(0);
    MUST(gr_keys_generate(in_scratch("k"), &key));
    umask(0777);
    mkdir(in_scratch("l"), 0700);
    chmod(in_scratch("l"), 0700);
    MUST(gr_keys_generate(in_scratch("l"), &other));
    umask(before);
    ck_assert(memcmp(&key, &other, sizeof key) != 0);
    ck_assert_int_eq(stat(in_scratch("k"), &is), 0);
    ck_assert_uint_eq(is.st_mode & 07777, 0700);
    ck_assert_int_eq(stat(in_scratch("k/secret.key"), &is), 0);
    ck_assert_uint_eq(is.st_mode & 07777, 0600);
    ck_assert_int_eq(stat(in_scratch("l/public.key"), &is), 0);
    ck_assert_uint_eq(is.st_mode & 07777, 0644);
    char *word = slurp(in_scratch("k/public.key"), NULL);
    word[strcspn(word, "\n")] = '\0';
    ck_assert(gr_public_key_parse(word, &parsed));
    ck_assert_mem_eq(&parsed, &key, sizeof key);
    gr_free(word);
    MUST(gr_keys_read(in_scratch("k"), &keys));
    ck_assert_mem_eq(gr_keys_public(keys), &key, sizeof key);
    gr_keys_free(keys);
    gr_keys_free(NULL);
}
END_TEST

static int n_files(const char *directory) {
    char command[1200];
    int n = -1;
    snprintf(command, sizeof command, "ls -A %s | wc -l", directory);
    FILE *pipe = popen(command, "r");
    ck_assert_int_eq(fscanf(pipe, "%d", &n), 1);
    pclose(pipe);
    return n;
}

START_TEST(nothing_is_replaced) {
    static const char *const names[] = {"k/secret.key", "k/public.key"};
    struct gr_public_key key;
    for (size_t i = 0; i < 2; i++) {
        char kept[100];
        mkdir(in_scratch("k"), 0700);
        spill(in_scratch(names[i]), "mine", 4);
        snprintf(kept, sizeof kept, "%s: is there already", names[i]);
        REFUSED(gr_keys_generate(in_scratch("k"), &key), GR_ERROR_WRITE, kept);
        ck_assert_int_eq(n_files(in_scratch("k")), 1);
        char *text = slurp(in_scratch(names[i]), NULL);
        ck_assert_str_eq(text, "mine");
        gr_free(text);
        remove(in_scratch(names[i]));
        /* A link that leads nowhere is a name that is taken, too. */
        ck_assert_int_eq(symlink("nowhere", in_scratch(names[i])), 0);
        REFUSED(gr_keys_generate(in_scratch("k"), &key), GR_ERROR_WRITE, kept);
        ck_assert_int_eq(n_files(in_scratch("k")), 1);
        remove(in_scratch(names[i]));
    }
    spill(in_scratch("f"), "", 0);
    ck_assert_int_eq(gr_keys_generate(in_scratch("f"), &key), GR_ERROR_WRITE);
    ck_assert_int_eq(gr_keys_generate(in_scratch("no/such"), &key), GR_ERROR_WRITE);
}
END_TEST

START_TEST(keys_that_others_may_read_are_refused) {
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601};
    struct gr_keys *keys;
    put_keys(in_scratch("k"), sign_seed, seal_secret);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        char words[40];
        chmod(in_scratch("k/secret.key"), modes[i]);
        snprintf(words, sizeof words, "k/secret.key: found mode 0%o", (unsigned)modes[i]);
        REFUSED(gr_keys_read(in_scratch("k"), &keys), GR_ERROR_CONFIG, words);
        ck_assert_ptr_null(keys);
    }
    chmod(in_scratch("k/secret.key"), 0400);
    MUST(gr_keys_read(in_scratch("k"), &keys));
    gr_keys_free(keys);
}
END_TEST

START_TEST(damaged_keys_are_refused) {
    struct gr_keys *keys;
    struct gr_public_key key;
    size_t n = 0;
    put_keys(in_scratch("k"), sign_seed, seal_secret);
    char *good = slurp(in_scratch("k/secret.key"), &n);
    for (size_t i = 0; i <= n; i++) { /* each byte, and one more */
        char *bad = calloc(1, n + 2);
        memcpy(bad, good, n);
        bad[i] = (char)(bad[i] ^ 1);
        spill(in_scratch("k/secret.key"), bad, i == n ? n + 1 : n);
        chmod(in_scratch("k/secret.key"), 0600);
        REFUSED(gr_keys_read(in_scratch("k"), &keys), GR_ERROR_CONFIG, "k/secret.key: damaged");
        free(bad);
    }
    for (size_t length = 0; length < n; length++) {
        spill(in_scratch("k/secret.key"), good, length);
        chmod(in_scratch("k/secret.key"), 0600);
        REFUSED(gr_keys_read(in_scratch("k"), &keys), GR_ERROR_CONFIG, "k/secret.key: damaged");
    }
    gr_free(good);
    remove(in_scratch("k/secret.key"));
    REFUSED(gr_keys_read(in_scratch("k"), &keys), GR_ERROR_CONFIG, "k/secret.key: No such file");
    put_keys(in_scratch("k"), sign_seed, seal_secret);
    MUST(gr_keys_generate(in_scratch("l"), &key));
    good = slurp(in_scratch("l/public.key"), &n);
    spill(in_scratch("k/public.key"), good, n);
    REFUSED(gr_keys_read(in_scratch("k"), &keys), GR_ERROR_CONFIG,
            "k/public.key: does not belong to the secret.key");
    good[20] = good[20] == 'x' ? 'y' : 'x';
    spill(in_scratch("k/public.key"), good, n);
    REFUSED(gr_keys_read(in_scratch("k"), &keys), GR_ERROR_CONFIG, "k/public.key: damaged");
    gr_free(good);
}
END_TEST

/* Every other character at every place, every neighbour swapped, every length. */
START_TEST(no_slip_of_the_hand_in_a_word_is_missed) {
    struct gr_public_key key, found;
    char word[GR_PUBLIC_KEY_TEXT], bad[GR_PUBLIC_KEY_TEXT + 2];
    MUST(gr_keys_generate(in_scratch("k"), &key));
    gr_public_key_text(&key, word);
    const size_t n = strlen(word);
    ck_assert_uint_lt(n, GR_PUBLIC_KEY_TEXT);
    ck_assert(gr_public_key_parse(word, &found));
    for (size_t i = 0; i < n; i++)
        for (int c = 1; c < 256; c++) {
            memcpy(bad, word, n + 1);
            if ((char)c == bad[i]) continue;
            bad[i] = (char)c;
            ck_assert(!gr_public_key_parse(bad, &found));
        }
    for (size_t i = 0; i + 1 < n; i++) {
        memcpy(bad, word, n + 1);
        if (bad[i] == bad[i + 1]) continue;
        bad[i] = word[i + 1];
        bad[i + 1] = word[i];
        ck_assert(!gr_public_key_parse(bad, &found));
    }
    for (size_t length = 0; length < n; length++) {
        memcpy(bad, word, n + 1);
        bad[length] = '\0';
        ck_assert(!gr_public_key_parse(bad, &found));
    }
    snprintf(bad, sizeof bad, "%sA", word);
    ck_assert(!gr_public_key_parse(bad, &found));
}
END_TEST

/* Most accounts may lock 64 KiB to 8 MiB of memory; containers often none. */
START_TEST(keys_work_where_no_memory_may_be_locked) {
    const struct rlimit none = {0, 0};
    struct gr_public_key key;
    struct gr_keys *keys;
    ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    MUST(gr_keys_generate(in_scratch("k"), &key));
    MUST(gr_keys_read(in_scratch("k"), &keys));
    ck_assert_mem_eq(gr_keys_public(keys), &key, sizeof key);
    gr_keys_free(keys);
}
END_TEST

/* Of a process that ends by a fault while it is allowed core files, with keys or without. */
static bool leaves_core_file(bool with_keys) {
    struct rlimit limit;
    int state;
    ck_assert_int_eq(getrlimit(RLIMIT_CORE, &limit), 0);
    const pid_t child = fork();
    if (child == 0) {
        struct gr_keys *keys = NULL;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_CORE, &limit) != 0 || chdir(scratch) != 0) _exit(1);
        if (with_keys && gr_keys_draw(&keys) != GR_OK) _exit(1);
        abort();
    }
    ck_assert_int_eq(waitpid(child, &state, 0), child);
    ck_assert(WIFSIGNALED(state) && WTERMSIG(state) == SIGABRT);
    return WCOREDUMP(state);
}

/* Where the system keeps them at all, of others it keeps them. */
START_TEST(no_core_file_has_keys) {
    struct rlimit limit;
    struct gr_keys *keys;
    const bool kept = leaves_core_file(false);
    if (!kept) fprintf(stderr, "no core files on this system\n");
    ck_assert(!leaves_core_file(true));
    MUST(gr_keys_draw(&keys));
    ck_assert_int_eq(getrlimit(RLIMIT_CORE, &limit), 0);
    ck_assert(limit.rlim_max <= 1 && limit.rlim_cur == limit.rlim_max);
    gr_keys_free(keys);
}
END_TEST

RUN_TESTS("keys", no_core_file_has_keys, keys_are_those_of_the_standards,
          signatures_are_of_purpose_and_bytes, generated_keys_are_read_back_and_private,
          nothing_is_replaced, keys_that_others_may_read_are_refused, damaged_keys_are_refused,
          no_slip_of_the_hand_in_a_word_is_missed, keys_work_where_no_memory_may_be_locked)
