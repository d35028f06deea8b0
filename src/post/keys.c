/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of a party: an Ed25519 pair for its signatures and an X25519 pair for what is sealed to it,
 * drawn apart from each other, so that neither use can be turned against the other. Two files of a
 * folder: secret.key, three lines in hexadecimal with a checksum, and public.key, the word that
 * others are given.
 *
 * The secret half lies in memory of sodium_malloc: between guard pages, kept from core files, and
 * locked where the system allows it; where it does not (RLIMIT_MEMLOCK), it works unlocked. A
 * process that has keys leaves no core file at all, for what is made from them and hidden by them
 * lies in other memory as well.
 */
#include "post/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHECK_BYTES = 8,
    BOTH_BYTES = 2 * GR_KEY_BYTES,
    WORD_BYTES = BOTH_BYTES + CHECK_BYTES, /* of a public key's word: both keys, checksum */
    WORD_TEXT = WORD_BYTES / 3 * 4,
    SEEDS_TEXT = 65 + 65 + 2 * CHECK_BYTES + 1, /* of the lines behind the title */
    SECRET_TEXT = 256,                          /* room for the text of secret.key, with its NUL */
    FILE_MAX = 4096
};
static const char word_prefix[] = "gk1-";
enum { PREFIX = sizeof word_prefix - 1 };
static const char secret_title[] = "granary secret key 1";

_Static_assert(WORD_BYTES % 3 == 0, "no bit of the last letter of a word is without a meaning");
_Static_assert(PREFIX + WORD_TEXT < GR_PUBLIC_KEY_TEXT, "a word has its room");
_Static_assert(GR_SIGNATURE_BYTES == crypto_sign_BYTES, "signatures are Ed25519's");

struct gr_keys {
    struct gr_public_key public_half;
    unsigned char sign[crypto_sign_SECRETKEYBYTES];
    unsigned char seal[GR_KEY_BYTES];
};

/* What the two secret halves are drawn as: a seed of Ed25519, a scalar of X25519. */
struct key_seeds {
    unsigned char sign[crypto_sign_SEEDBYTES];
    unsigned char seal[crypto_scalarmult_SCALARBYTES];
};

/* The first bytes of BLAKE2b-256 of a title and n bytes: against slips of the hand and damage. */
static void checksum(const char *title, const void *bytes, size_t n,
                     unsigned char out[CHECK_BYTES]) {
    struct gr_digest digest;
    unsigned char whole[GR_DIGEST_BYTES];
    gr_digest_start(&digest);
    gr_digest_add(&digest, title, strlen(title) + 1);
    gr_digest_add(&digest, bytes, n);
    gr_digest_finish(&digest, whole);
    memcpy(out, whole, CHECK_BYTES);
    sodium_memzero(&digest, sizeof digest);
    sodium_memzero(whole, sizeof whole);
}

/* ---- the public half as a word -------------------------------------------------------------- */

void gr_public_key_text(const struct gr_public_key *key, char out[GR_PUBLIC_KEY_TEXT]) {
    unsigned char bytes[WORD_BYTES];
    memcpy(bytes, key->verify, GR_KEY_BYTES);
    memcpy(bytes + GR_KEY_BYTES, key->seal, GR_KEY_BYTES);
    checksum(word_prefix, bytes, BOTH_BYTES, bytes + BOTH_BYTES);
    memcpy(out, word_prefix, PREFIX);
    sodium_bin2base64(out + PREFIX, GR_PUBLIC_KEY_TEXT - PREFIX, bytes, sizeof bytes,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool gr_public_key_parse(const char *text, struct gr_public_key *out) {
    unsigned char bytes[WORD_BYTES];
    char again[GR_PUBLIC_KEY_TEXT];
    size_t n = 0;
    memset(out, 0, sizeof *out);
    if (strnlen(text, PREFIX + WORD_TEXT + 1) != PREFIX + WORD_TEXT ||
        memcmp(text, word_prefix, PREFIX) != 0)
        return false;
    if (sodium_base642bin(bytes, sizeof bytes, text + PREFIX, WORD_TEXT, NULL, &n, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        n != sizeof bytes)
        return false;
    memcpy(out->verify, bytes, GR_KEY_BYTES);
    memcpy(out->seal, bytes + GR_KEY_BYTES, GR_KEY_BYTES);
    /* Written again, checksum and all: libsodium takes some bytes over 127 for others. */
    gr_public_key_text(out, again);
    return strcmp(text, again) == 0;
}

/* ---- the secret half as a text -------------------------------------------------------------- */

/* text: of SECRET_TEXT bytes; to be wiped by the caller. */
static void write_seeds(const struct key_seeds *seeds, char *text) {
    unsigned char check[CHECK_BYTES];
    char sign[65], seal[65], sum[2 * CHECK_BYTES + 1];
    checksum(secret_title, seeds, sizeof *seeds, check);
    sodium_bin2hex(sign, sizeof sign, seeds->sign, sizeof seeds->sign);
    sodium_bin2hex(seal, sizeof seal, seeds->seal, sizeof seeds->seal);
    sodium_bin2hex(sum, sizeof sum, check, sizeof check);
    snprintf(text, SECRET_TEXT, "%s\n%s\n%s\n%s\n", secret_title, sign, seal, sum);
    sodium_memzero(sign, sizeof sign);
    sodium_memzero(seal, sizeof seal);
}

/* Whether the text is one of write_seeds, byte by byte. */
static bool read_seeds(const char *text, size_t n, struct key_seeds *seeds) {
    char again[SECRET_TEXT];
    const char *at = text + sizeof secret_title;
    if (n != sizeof secret_title + SEEDS_TEXT) return false;
    if (sodium_hex2bin(seeds->sign, sizeof seeds->sign, at, 64, NULL, NULL, NULL) != 0 ||
        sodium_hex2bin(seeds->seal, sizeof seeds->seal, at + 65, 64, NULL, NULL, NULL) != 0)
        return false;
    write_seeds(seeds, again);
    const bool same = sodium_memcmp(text, again, n) == 0;
    sodium_memzero(again, sizeof again);
    return same;
}

/* NULL: memory was refused, and the message says so. */
static struct gr_keys *keys_of_seeds(const struct key_seeds *seeds) {
    struct gr_keys *keys = sodium_malloc(sizeof *keys);
    gr_leave_no_core_file();
    if (!keys) {
        (void)gr_fail(GR_ERROR_INTERNAL, "memory for keys was refused");
        return NULL;
    }
    crypto_sign_seed_keypair(keys->public_half.verify, keys->sign, seeds->sign);
    memcpy(keys->seal, seeds->seal, sizeof keys->seal);
    crypto_scalarmult_base(keys->public_half.seal, keys->seal);
    return keys;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* As rename, but a file that has the name already stays, even if it has come this moment. */
static int rename_to_new(const char *temporary, const char *path) {
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    return link(temporary, path) == 0 ? unlink(temporary) : -1;
}

/* A new file, whole and on disk or not there at all. */
static gr_status write_new(const char *path, const char *text, mode_t mode) {
    gr_status status = GR_OK;
    char *temporary = NULL;
    const size_t n = strlen(text);
    GR_TRY(gr_text_format(&temporary, "%s.tmp-%08x", path, randombytes_random()));
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", temporary, strerror(errno));
        goto out;
    }
    /* The mode is as said whatever the umask is. */
    const bool good = fchmod(fd, mode) == 0 && write(fd, text, n) == (ssize_t)n && fsync(fd) == 0 &&
                      rename_to_new(temporary, path) == 0;
    if (!good) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
        unlink(temporary);
    }
    close(fd);
    if (good) GR_TRY(gr_file_sync_folder(path));
out:
    gr_free(temporary);
    return status;
}

static gr_status refuse_existing(const char *path) {
    struct stat is;
    if (lstat(path, &is) == 0)
        return gr_fail(GR_ERROR_WRITE,
                       "%s: is there already; keys are never replaced, expected a folder without",
                       path);
    if (errno != ENOENT) return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    return GR_OK;
}

static gr_status make_folder(const char *directory) {
    if (mkdir(directory, 0700) == 0) return gr_file_sync_folder(directory);
    if (errno != EEXIST) return gr_fail(GR_ERROR_WRITE, "%s: %s", directory, strerror(errno));
    return GR_OK;
}

/* The paths of both files, for gr_free. */
static gr_status paths_of(const char *directory, char **secret, char **word) {
    gr_status status = GR_OK;
    GR_TRY(gr_text_format(secret, "%s/secret.key", directory));
    GR_TRY(gr_text_format(word, "%s/public.key", directory));
out:
    return status;
}

gr_status gr_keys_generate(const char *directory, struct gr_public_key *out) {
    gr_status status = GR_OK;
    char *secret_path = NULL, *word_path = NULL, text[SECRET_TEXT], word[GR_PUBLIC_KEY_TEXT];
    struct key_seeds seeds;
    struct gr_keys *keys = NULL;
    randombytes_buf(&seeds, sizeof seeds);
    GR_TRY(paths_of(directory, &secret_path, &word_path));
    GR_TRY(make_folder(directory));
    GR_TRY(refuse_existing(secret_path));
    GR_TRY(refuse_existing(word_path));
    keys = keys_of_seeds(&seeds);
    if (!keys) {
        status = GR_ERROR_INTERNAL;
        goto out;
    }
    write_seeds(&seeds, text);
    GR_TRY(write_new(secret_path, text, 0600));
    gr_public_key_text(&keys->public_half, word);
    snprintf(text, sizeof text, "%s\n", word);
    GR_TRY(write_new(word_path, text, 0644));
    *out = keys->public_half;
out:
    sodium_memzero(&seeds, sizeof seeds);
    sodium_memzero(text, sizeof text);
    gr_keys_free(keys);
    gr_free(secret_path);
    gr_free(word_path);
    return status;
}

gr_status gr_keys_draw(struct gr_keys **out) {
    struct key_seeds seeds;
    randombytes_buf(&seeds, sizeof seeds);
    *out = keys_of_seeds(&seeds);
    sodium_memzero(&seeds, sizeof seeds);
    return *out ? GR_OK : GR_ERROR_INTERNAL;
}

/* Before any byte is read: a key that others could have read is none. */
static gr_status refuse_open_to_others(const char *path) {
    struct stat is;
    if (stat(path, &is) != 0) return gr_fail(GR_ERROR_CONFIG, "%s: %s", path, strerror(errno));
    if (is.st_mode & (S_IRWXG | S_IRWXO))
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: found mode %04o, expected 0600: others than its owner may use it, and "
                       "may have done so",
                       path, (unsigned)(is.st_mode & 07777));
    return GR_OK;
}

static gr_status read_secret(const char *path, struct gr_keys **out) {
    gr_status status = GR_OK;
    char *text = NULL;
    size_t n = 0;
    struct key_seeds seeds;
    GR_TRY(refuse_open_to_others(path));
    GR_TRY(gr_file_read(path, FILE_MAX, GR_ERROR_CONFIG, &text, &n));
    if (read_seeds(text, n, &seeds)) {
        *out = keys_of_seeds(&seeds);
        if (!*out) status = GR_ERROR_INTERNAL;
    } else
        status =
            gr_fail(GR_ERROR_CONFIG,
                    "%s: damaged, or not a secret key, expected a file of granary keygen", path);
    sodium_memzero(&seeds, sizeof seeds);
out:
    if (text) sodium_memzero(text, n);
    gr_free(text);
    return status;
}

static gr_status check_word(const char *path, const struct gr_public_key *expected) {
    gr_status status = GR_OK;
    struct gr_public_key found;
    char *text = NULL;
    size_t n = 0;
    GR_TRY(gr_file_read(path, FILE_MAX, GR_ERROR_CONFIG, &text, &n));
    text[strcspn(text, "\r\n")] = '\0';
    if (!gr_public_key_parse(text, &found))
        status =
            gr_fail(GR_ERROR_CONFIG,
                    "%s: damaged, or not a public key, expected a file of granary keygen", path);
    else if (memcmp(&found, expected, sizeof found) != 0)
        status = gr_fail(GR_ERROR_CONFIG,
                         "%s: does not belong to the secret.key beside it, expected both of one "
                         "granary keygen",
                         path);
out:
    gr_free(text);
    return status;
}

gr_status gr_keys_read(const char *directory, struct gr_keys **out) {
    gr_status status = GR_OK;
    char *secret_path = NULL, *word_path = NULL;
    struct gr_keys *keys = NULL;
    *out = NULL;
    GR_TRY(paths_of(directory, &secret_path, &word_path));
    GR_TRY(read_secret(secret_path, &keys));
    if (keys) GR_TRY(check_word(word_path, &keys->public_half));
    *out = keys;
    keys = NULL;
out:
    gr_keys_free(keys);
    gr_free(secret_path);
    gr_free(word_path);
    return status;
}

void gr_keys_free(struct gr_keys *keys) {
    sodium_free(keys); /* it wipes */
}

const struct gr_public_key *gr_keys_public(const struct gr_keys *keys) {
    return &keys->public_half;
}

/* ---- uses ----------------------------------------------------------------------------------- */

/* The title keeps it apart from whatever else is signed with Ed25519; the NUL behind the purpose
 * keeps two purposes apart of which one begins as the other. */
static void digest_for(const char *purpose, const void *bytes, size_t n,
                       unsigned char out[crypto_generichash_BYTES_MAX]) {
    static const char title[] = "granary signature 1";
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, crypto_generichash_BYTES_MAX);
    crypto_generichash_update(&state, (const unsigned char *)title, sizeof title);
    crypto_generichash_update(&state, (const unsigned char *)purpose, strlen(purpose) + 1);
    crypto_generichash_update(&state, bytes, n);
    crypto_generichash_final(&state, out, crypto_generichash_BYTES_MAX);
}

void gr_keys_sign(const struct gr_keys *keys, const char *purpose, const void *bytes, size_t n,
                  unsigned char out[GR_SIGNATURE_BYTES]) {
    unsigned char digest[crypto_generichash_BYTES_MAX];
    digest_for(purpose, bytes, n, digest);
    crypto_sign_detached(out, NULL, digest, sizeof digest, keys->sign);
}

bool gr_public_key_verify(const struct gr_public_key *key, const char *purpose, const void *bytes,
                          size_t n, const unsigned char signature[GR_SIGNATURE_BYTES]) {
    unsigned char digest[crypto_generichash_BYTES_MAX];
    digest_for(purpose, bytes, n, digest);
    return crypto_sign_verify_detached(signature, digest, sizeof digest, key->verify) == 0;
}

bool gr_keys_share(const struct gr_keys *keys, const unsigned char public_key[GR_KEY_BYTES],
                   unsigned char out[GR_KEY_BYTES]) {
    return crypto_scalarmult(out, keys->seal, public_key) == 0;
}
