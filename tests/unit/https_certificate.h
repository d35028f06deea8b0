/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of an authority of the tests', as a study may have one. */
#ifndef GRANARY_TESTS_HTTPS_CERTIFICATE_H
#define GRANARY_TESTS_HTTPS_CERTIFICATE_H

#include "scratch.h"

#include <gnutls/x509.h>
#include <time.h>

#define TLS(call) ck_assert_int_ge(call, 0)

struct authority {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
};

static inline gnutls_x509_privkey_t tls_key(void) {
    gnutls_x509_privkey_t key;
    TLS(gnutls_x509_privkey_init(&key));
    TLS(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    return key;
}

static inline gnutls_x509_crt_t tls_certificate(gnutls_x509_privkey_t key, const char *name,
                                                time_t from, time_t until) {
    gnutls_x509_crt_t made;
    static unsigned char serial;
    serial++;
    TLS(gnutls_x509_crt_init(&made));
    TLS(gnutls_x509_crt_set_version(made, 3));
    TLS(gnutls_x509_crt_set_serial(made, &serial, 1));
    TLS(gnutls_x509_crt_set_dn(made, name, NULL));
    TLS(gnutls_x509_crt_set_activation_time(made, from));
    TLS(gnutls_x509_crt_set_expiration_time(made, until));
    TLS(gnutls_x509_crt_set_key(made, key));
    return made;
}

/* Writes NAME.crt and, of an end's own, NAME.key into the scratch folder. */
static inline void tls_write(const char *name, gnutls_x509_crt_t certificate,
                             gnutls_x509_privkey_t key) {
    gnutls_datum_t pem;
    char file[64];
    TLS(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem));
    snprintf(file, sizeof file, "%s.crt", name);
    spill(in_scratch(file), (const char *)pem.data, pem.size);
    gnutls_free(pem.data);
    if (!key) return;
    TLS(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem));
    snprintf(file, sizeof file, "%s.key", name);
    spill(in_scratch(file), (const char *)pem.data, pem.size);
    ck_assert_int_eq(chmod(in_scratch(file), 0600), 0);
    gnutls_free(pem.data);
}

static inline struct authority authority_make(const char *name) {
    const time_t now = time(NULL);
    struct authority made = {.key = tls_key()};
    char dn[64];
    snprintf(dn, sizeof dn, "CN=authority %s", name);
    made.certificate = tls_certificate(made.key, dn, now - 1000, now + 100000);
    TLS(gnutls_x509_crt_set_ca_status(made.certificate, 1));
    TLS(gnutls_x509_crt_set_key_usage(made.certificate, GNUTLS_KEY_KEY_CERT_SIGN));
    TLS(gnutls_x509_crt_sign2(made.certificate, made.certificate, made.key, GNUTLS_DIG_SHA256, 0));
    tls_write(name, made.certificate, NULL);
    return made;
}

/* A certificate for 127.0.0.1, and for a purpose, valid from and until so many seconds from now. */
static inline void authority_issue(const struct authority *authority, const char *name,
                                   const char *purpose, long from, long until) {
    const time_t now = time(NULL);
    const unsigned char address[4] = {127, 0, 0, 1};
    gnutls_x509_privkey_t key = tls_key();
    gnutls_x509_crt_t made = tls_certificate(key, "CN=an end", now + from, now + until);
    TLS(gnutls_x509_crt_set_subject_alt_name(made, GNUTLS_SAN_IPADDRESS, address, sizeof address,
                                             GNUTLS_FSAN_SET));
    TLS(gnutls_x509_crt_set_key_purpose_oid(made, purpose, 0));
    TLS(gnutls_x509_crt_sign2(made, authority->certificate, authority->key, GNUTLS_DIG_SHA256, 0));
    tls_write(name, made, key);
    gnutls_x509_crt_deinit(made);
    gnutls_x509_privkey_deinit(key);
}

static inline void authority_release(struct authority *authority) {
    gnutls_x509_crt_deinit(authority->certificate);
    gnutls_x509_privkey_deinit(authority->key);
}

#endif
