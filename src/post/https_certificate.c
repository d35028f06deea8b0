/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's certificate. Where a study has no authority for certificates, the coordinator signs
 * its own, and sites pin its public key: the key stays when the certificate is made anew.
 */
#include "post/https.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PEM_MAX = 1 << 20 };

/* Goes to `out:` when a call of GnuTLS fails. */
#define TLS_TRY(call, what)                                                                        \
    do {                                                                                           \
        const int code_ = (call);                                                                  \
        if (code_ < 0) {                                                                           \
            status = gr_fail(GR_ERROR_CONFIG, "%s: %s", what, gnutls_strerror(code_));             \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)

/* SHA-256 of the public key as in the certificate (RFC 7469), as curl writes it. */
static gr_status find_pin(struct gr_https_identity *identity, const char *path) {
    gr_status status = GR_OK;
    gnutls_x509_crt_t certificate = NULL;
    gnutls_pubkey_t key = NULL;
    gnutls_datum_t der = {0};
    const gnutls_datum_t pem = {(unsigned char *)identity->certificate,
                                (unsigned)strlen(identity->certificate)};
    unsigned char digest[crypto_hash_sha256_BYTES];
    char text[sodium_base64_ENCODED_LEN(crypto_hash_sha256_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    TLS_TRY(gnutls_x509_crt_init(&certificate), path);
    TLS_TRY(gnutls_x509_crt_import(certificate, &pem, GNUTLS_X509_FMT_PEM), path);
    identity->until = gnutls_x509_crt_get_expiration_time(certificate);
    TLS_TRY(gnutls_pubkey_init(&key), path);
    TLS_TRY(gnutls_pubkey_import_x509(key, certificate, 0), path);
    TLS_TRY(gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der), path);
    crypto_hash_sha256(digest, der.data, der.size);
    sodium_bin2base64(text, sizeof text, digest, sizeof digest, sodium_base64_VARIANT_ORIGINAL);
    snprintf(identity->pin, sizeof identity->pin, "sha256//%s", text);
out:
    gnutls_free(der.data);
    gnutls_pubkey_deinit(key);
    gnutls_x509_crt_deinit(certificate);
    return status;
}

/* As gr_file_write, but others never get more than `mode` allows. */
static gr_status write_closed(const char *path, const void *bytes, size_t n, mode_t mode) {
    gr_status status = GR_OK;
    char *temporary = NULL;
    int fd = -1;
    GR_TRY(gr_text_format(&temporary, "%s.tmp", path));
    unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n || fsync(fd) != 0)
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    else
        status = gr_file_publish(temporary, path);
    if (fd >= 0) close(fd);
    if (fd >= 0 && status != GR_OK) unlink(temporary);
out:
    gr_free(temporary);
    return status;
}

static gr_status make_key(const char *path) {
    gr_status status = GR_OK;
    gnutls_x509_privkey_t key = NULL;
    gnutls_datum_t pem = {0};
    TLS_TRY(gnutls_x509_privkey_init(&key), path);
    TLS_TRY(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                         GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
            path);
    TLS_TRY(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), path);
    status = write_closed(path, pem.data, pem.size, 0600);
    sodium_memzero(pem.data, pem.size);
out:
    gnutls_free(pem.data);
    gnutls_x509_privkey_deinit(key);
    return status;
}

/* It begins a day ago, because clocks differ. It names nobody: sites go by its key. */
static gr_status make_certificate(const char *path, const char *key_text) {
    enum { DAY = 24 * 3600, YEARS = 10 };
    gr_status status = GR_OK;
    gnutls_x509_privkey_t key = NULL;
    gnutls_x509_crt_t made = NULL;
    const gnutls_datum_t key_pem = {(unsigned char *)(uintptr_t)key_text,
                                    (unsigned)strlen(key_text)};
    gnutls_datum_t pem = {0};
    unsigned char serial[16];
    const time_t now = time(NULL);
    TLS_TRY(gnutls_x509_privkey_init(&key), path);
    TLS_TRY(gnutls_x509_privkey_import(key, &key_pem, GNUTLS_X509_FMT_PEM), path);
    TLS_TRY(gnutls_x509_crt_init(&made), path);
    TLS_TRY(gnutls_x509_crt_set_version(made, 3), path);
    randombytes_buf(serial, sizeof serial);
    serial[0] = (unsigned char)((serial[0] & 0x3f) | 0x40); /* a positive number of full length */
    TLS_TRY(gnutls_x509_crt_set_serial(made, serial, sizeof serial), path);
    TLS_TRY(gnutls_x509_crt_set_dn(made, "CN=granary coordinator", NULL), path);
    TLS_TRY(gnutls_x509_crt_set_activation_time(made, now - DAY), path);
    TLS_TRY(gnutls_x509_crt_set_expiration_time(made, now + (time_t)YEARS * 365 * DAY), path);
    TLS_TRY(gnutls_x509_crt_set_key(made, key), path);
    TLS_TRY(gnutls_x509_crt_sign2(made, made, key, GNUTLS_DIG_SHA256, 0), path);
    TLS_TRY(gnutls_x509_crt_export2(made, GNUTLS_X509_FMT_PEM, &pem), path);
    status = write_closed(path, pem.data, pem.size, 0640);
out:
    gnutls_free(pem.data);
    gnutls_x509_crt_deinit(made);
    gnutls_x509_privkey_deinit(key);
    return status;
}

static gr_status read_key(const char *path, char **out) {
    struct stat is;
    size_t n;
    if (stat(path, &is) == 0 && is.st_mode & (S_IRWXG | S_IRWXO))
        return gr_fail(GR_ERROR_CONFIG, "%s: others than its owner may read it; chmod 600 it",
                       path);
    return gr_file_read(path, PEM_MAX, GR_ERROR_CONFIG, out, &n);
}

/* Said here with the files' names: later on, TLS would not start, without a word. */
static gr_status check_pair(const struct gr_https_identity *identity, const char *path) {
    gr_status status = GR_OK;
    gnutls_certificate_credentials_t credentials = NULL;
    const gnutls_datum_t certificate = {(unsigned char *)identity->certificate,
                                        (unsigned)strlen(identity->certificate)};
    const gnutls_datum_t key = {(unsigned char *)identity->key, (unsigned)strlen(identity->key)};
    TLS_TRY(gnutls_certificate_allocate_credentials(&credentials), path);
    TLS_TRY(
        gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM),
        path);
out:
    if (credentials) gnutls_certificate_free_credentials(credentials);
    return status;
}

gr_status gr_https_authority_read(const char *path, char **out) {
    gr_status status = GR_OK;
    gnutls_certificate_credentials_t credentials = NULL;
    size_t n;
    GR_TRY(gr_file_read(path, PEM_MAX, GR_ERROR_CONFIG, out, &n));
    const gnutls_datum_t pem = {(unsigned char *)*out, (unsigned)n};
    TLS_TRY(gnutls_certificate_allocate_credentials(&credentials), path);
    const int found = gnutls_certificate_set_x509_trust_mem(credentials, &pem, GNUTLS_X509_FMT_PEM);
    if (found <= 0)
        status = gr_fail(GR_ERROR_CONFIG, "%s: found no certificate in PEM, expected one at least",
                         path);
out:
    if (credentials) gnutls_certificate_free_credentials(credentials);
    return status;
}

static bool missing(const char *path) {
    return access(path, F_OK) != 0 && errno == ENOENT;
}

gr_status gr_https_identity_open(const struct gr_https_server *options,
                                 struct gr_https_identity *out) {
    gr_status status = GR_OK;
    char *certificate = NULL, *key = NULL;
    size_t n;
    *out = (struct gr_https_identity){0};
    if (!options->certificate != !options->key)
        return gr_fail(GR_ERROR_CONFIG, "found a %s of TLS alone, expected certificate and key",
                       options->key ? "key" : "certificate");
    if (options->certificate) {
        GR_TRY(read_key(options->key, &out->key));
        GR_TRY(gr_file_read(options->certificate, PEM_MAX, GR_ERROR_CONFIG, &out->certificate, &n));
        GR_TRY(find_pin(out, options->certificate));
        GR_TRY(gr_text_format(&key, "%s with %s", options->certificate, options->key));
        status = check_pair(out, key);
        goto out;
    }
    GR_TRY(gr_text_format(&key, "%s/https.key", options->directory));
    GR_TRY(gr_text_format(&certificate, "%s/https.crt", options->directory));
    const bool anew = missing(key);
    if (anew) GR_TRY(make_key(key));
    GR_TRY(read_key(key, &out->key));
    if (anew || missing(certificate)) GR_TRY(make_certificate(certificate, out->key));
    GR_TRY(gr_file_read(certificate, PEM_MAX, GR_ERROR_CONFIG, &out->certificate, &n));
    GR_TRY(find_pin(out, certificate));
    GR_TRY(check_pair(out, certificate));
out:
    gr_free(key);
    gr_free(certificate);
    return status;
}

void gr_https_identity_release(struct gr_https_identity *identity) {
    if (identity->key) sodium_memzero(identity->key, strlen(identity->key));
    gr_free(identity->key);
    gr_free(identity->certificate);
    *identity = (struct gr_https_identity){0};
}
