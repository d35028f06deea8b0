/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signature of a study, in a small file beside it: people can read whose it is and of which
 * digest. The signature is over the bytes of the study, so that the file needs no form of its own
 * to be sure of them; the digest in it tells an edited study from a wrong key.
 */
#include "config/spot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char purpose[] = "study";
static const char head[] = "granary signature 1\nof: study\nby: ";

enum { SIGNATURE_FILE_MAX = 1024, HALF = GR_DIGEST_HEX - 1, HEX_DIGITS = 2 * HALF };

/* A signature is as long as two digests, of which there is a writer and a reader. */
_Static_assert(GR_SIGNATURE_BYTES == 2 * GR_DIGEST_BYTES, "a signature is not two digests");

struct study_signature {
    struct gr_public_key by;
    unsigned char digest[GR_DIGEST_BYTES];
    unsigned char bytes[GR_SIGNATURE_BYTES];
};

static gr_status write_signature(const char *path, const struct study_signature *s) {
    char key[GR_PUBLIC_KEY_TEXT], digest[GR_DIGEST_HEX], halves[2][GR_DIGEST_HEX];
    char *text = NULL;
    gr_public_key_text(&s->by, key);
    gr_digest_hex(s->digest, digest);
    gr_digest_hex(s->bytes, halves[0]);
    gr_digest_hex(s->bytes + GR_DIGEST_BYTES, halves[1]);
    gr_status status = gr_text_format(&text, "%s%s\ndigest: %s\nsignature: %s%s\n", head, key,
                                      digest, halves[0], halves[1]);
    if (status == GR_OK) status = gr_file_write(path, text, strlen(text));
    gr_free(text);
    return status;
}

/* The line behind `label`, moved past; false: there is another, or it does not fit. */
static bool take_line(const char **at, const char *label, char *out, size_t size) {
    const size_t n = strlen(label);
    if (strncmp(*at, label, n) != 0) return false;
    const char *value = *at + n;
    const size_t length = strcspn(value, "\n");
    if (length >= size || value[length] != '\n') return false;
    memcpy(out, value, length);
    out[length] = '\0';
    *at = value + length + 1;
    return true;
}

/* Mail programs and editors write line ends of their own. */
static void drop_returns(char *text) {
    char *to = text;
    for (const char *from = text; *from; from++)
        if (*from != '\r') *to++ = *from;
    *to = '\0';
}

static bool parse_signature(const char *text, struct study_signature *s) {
    char key[GR_PUBLIC_KEY_TEXT], digest[GR_DIGEST_HEX], both[2 * GR_DIGEST_HEX],
        half[GR_DIGEST_HEX];
    const char *at = text;
    if (!take_line(&at, head, key, sizeof key) || !gr_public_key_parse(key, &s->by)) return false;
    if (!take_line(&at, "digest: ", digest, sizeof digest) ||
        !gr_digest_from_hex(digest, s->digest))
        return false;
    if (!take_line(&at, "signature: ", both, sizeof both) || *at) return false;
    if (strlen(both) != HEX_DIGITS) return false;
    snprintf(half, sizeof half, "%.*s", HALF, both);
    return gr_digest_from_hex(half, s->bytes) &&
           gr_digest_from_hex(both + HALF, s->bytes + GR_DIGEST_BYTES);
}

static gr_status read_signature(const char *path, const char *study, struct study_signature *s) {
    char *text = NULL;
    size_t length = 0;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: found none, expected the coordinator's signature under this name; it "
                       "comes with the study, and the coordinator makes it by `granary study sign "
                       "%s --key DIR`",
                       path, study);
    gr_status status = gr_file_read(path, SIGNATURE_FILE_MAX, GR_ERROR_CONFIG, &text, &length);
    bool good = status == GR_OK && strlen(text) == length;
    if (good) {
        drop_returns(text);
        good = parse_signature(text, s);
    }
    if (status == GR_OK && !good)
        status =
            gr_fail(GR_ERROR_CONFIG,
                    "%s: found something else, expected a signature by `granary study sign`", path);
    gr_free(text);
    return status;
}

static gr_status refuse_key(const char *path, const struct gr_public_key *found,
                            const struct gr_study *study, const char *what) {
    char text[2][GR_PUBLIC_KEY_TEXT];
    gr_public_key_text(found, text[0]);
    gr_public_key_text(&study->parties[0].key, text[1]);
    return gr_fail(GR_ERROR_CONFIG, "%s: found %s %s, expected %s (study.coordinator of %s)", path,
                   what, text[0], text[1], study->path);
}

/* The ways in which mail programs and editors write the same lines. */
enum line_form { FORM_RETURNS = 1, FORM_MARK = 2, FORM_OPEN = 4, N_FORMS = 8 };
static const char utf8_mark[] = "\xef\xbb\xbf";

/* The digest of these lines in that form: each with a return, behind a mark, the last without an
 * end.
 */
static void digest_in_form(const char *lines, size_t n, unsigned form,
                           unsigned char out[GR_DIGEST_BYTES]) {
    struct gr_digest digest;
    const char *end = form & FORM_RETURNS ? "\r\n" : "\n";
    size_t length;
    gr_digest_start(&digest);
    if (form & FORM_MARK) gr_digest_add(&digest, utf8_mark, strlen(utf8_mark));
    for (size_t i = 0; i <= n; i += length + 1) {
        const char *stop = memchr(lines + i, '\n', n - i);
        length = stop ? (size_t)(stop - lines) - i : n - i;
        gr_digest_add(&digest, lines + i, length);
        if (stop || !(form & FORM_OPEN)) gr_digest_add(&digest, end, strlen(end));
    }
    gr_digest_finish(&digest, out);
}

/* Whether the text has the lines that were signed, and was but written in another form. */
static bool has_signed_lines(const char *text, size_t length,
                             const unsigned char digest[GR_DIGEST_BYTES]) {
    const size_t mark = strlen(utf8_mark);
    unsigned char found[GR_DIGEST_BYTES];
    char *lines = NULL;
    size_t n = 0;
    bool same = false;
    if (gr_allocate(1, length + 1, "a study", &lines) != GR_OK) return false;
    for (size_t i = length >= mark && memcmp(text, utf8_mark, mark) == 0 ? mark : 0; i < length;
         i++)
        if (text[i] != '\r') lines[n++] = text[i];
    n -= n > 0 && lines[n - 1] == '\n';
    for (unsigned form = 0; form < N_FORMS && !same; form++) {
        digest_in_form(lines, n, form, found);
        same = memcmp(found, digest, sizeof found) == 0;
    }
    gr_free(lines);
    return same;
}

static gr_status verify(const struct gr_study *study, const char *path,
                        const struct study_signature *s, const char *text, size_t length) {
    char found[GR_DIGEST_HEX], signed_hex[GR_DIGEST_HEX];
    if (memcmp(&s->by, &study->parties[0].key, sizeof s->by) != 0)
        return refuse_key(path, &s->by, study, "a signature by the key");
    gr_digest_hex(study->digest, found);
    gr_digest_hex(s->digest, signed_hex);
    if (strcmp(found, signed_hex) != 0 && has_signed_lines(text, length, s->digest))
        return gr_fail(
            GR_ERROR_CONFIG,
            "%s: found other line ends than those that were signed (%s), or a mark of the "
            "encoding: a mail program or an editor has changed them, expected the file as "
            "it was sent, such as in an archive",
            study->path, path);
    if (strcmp(found, signed_hex) != 0)
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: found the digest %s, expected %s: the study was changed after it was "
                       "signed (%s)",
                       study->path, found, signed_hex, path);
    if (!gr_public_key_verify(&s->by, purpose, text, length, s->bytes))
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: found a signature that is not of its key, expected one "
                       "by `granary study sign`",
                       path);
    return GR_OK;
}

gr_status gr_study_load(const char *path, struct gr_study **out) {
    struct study_signature signature;
    struct gr_study *study = NULL;
    char *text = NULL, *beside = NULL;
    size_t length = 0;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_file_read(path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, &text, &length));
    GR_TRY(gr_study_parse(path, text, length, &study));
    GR_TRY(gr_text_format(&beside, "%s.sig", path));
    GR_TRY(read_signature(beside, path, &signature));
    GR_TRY(verify(study, beside, &signature, text, length));
    *out = study;
    study = NULL;
out:
    gr_study_free(study);
    gr_free(beside);
    gr_free(text);
    return status;
}

gr_status gr_study_sign(const char *path, const struct gr_keys *keys) {
    struct study_signature signature;
    struct gr_study *study = NULL;
    char *text = NULL, *beside = NULL;
    size_t length = 0;
    gr_status status;
    GR_TRY(gr_file_read(path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, &text, &length));
    GR_TRY(gr_study_parse(path, text, length, &study));
    GR_TRY(gr_text_format(&beside, "%s.sig", path));
    signature.by = *gr_keys_public(keys);
    memcpy(signature.digest, study->digest, sizeof signature.digest);
    if (memcmp(&signature.by, &study->parties[0].key, sizeof signature.by) != 0) {
        status = refuse_key(path, &signature.by, study, "the key");
        goto out;
    }
    gr_keys_sign(keys, purpose, text, length, signature.bytes);
    status = write_signature(beside, &signature);
out:
    gr_study_free(study);
    gr_free(beside);
    gr_free(text);
    return status;
}
