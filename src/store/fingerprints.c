/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fingerprints.json: prints of the data that a run was begun with. They say whether data are the
 * same and nothing else of them, for the salts they are made with stay in files that only their
 * owner can read.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/container.h"
#include "store/run_directory.h"

/* ---- salts ---------------------------------------------------------------------------------- */

/*
 * False: there is none, or it is torn. A link or a pipe in its place is not followed: the folder
 * may have been writable by others. A byte more than a salt is asked for, so that a longer file is
 * not taken.
 */
static bool read_salt(const char *path, unsigned char salt[GR_DIGEST_BYTES]) {
    unsigned char more[GR_DIGEST_BYTES + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return false;
    const ssize_t n = read(fd, more, sizeof more);
    close(fd);
    if (n != GR_DIGEST_BYTES) return false;
    memcpy(salt, more, GR_DIGEST_BYTES);
    return true;
}

/* The file's mode is there before its first byte is, and its name only when it is whole: in the
 * place of a torn salt a new one would be drawn, and earlier prints could not be compared. */
static gr_status write_salt(const char *path, const unsigned char salt[GR_DIGEST_BYTES]) {
    gr_status status = GR_OK;
    char *temporary = NULL;
    int fd = -1;
    GR_TRY(gr_text_format(&temporary, "%s.tmp", path));
    unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, salt, GR_DIGEST_BYTES) != GR_DIGEST_BYTES || fsync(fd) != 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", temporary, strerror(errno));
        goto out;
    }
    status = gr_file_publish(temporary, path);
out:
    if (fd >= 0) close(fd);
    gr_free(temporary);
    return status;
}

/* *made: the salt is new, so that prints made with it cannot be compared with earlier ones. */
gr_status gr_salt_take(const char *dir, const char *name, unsigned char salt[GR_DIGEST_BYTES],
                       bool *made) {
    gr_status status = GR_OK;
    char *path = NULL;
    *made = false;
    GR_TRY(gr_text_format(&path, "%s/%s", dir, name));
    gr_file_keep_private(dir);
    gr_file_keep_private(path);
    if (read_salt(path, salt)) goto out;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", dir, strerror(errno));
        goto out;
    }
    randombytes_buf(salt, GR_DIGEST_BYTES);
    *made = true;
    status = write_salt(path, salt);
out:
    gr_free(path);
    return status;
}

/* ---- the file ------------------------------------------------------------------------------- */

enum { FINGERPRINTS_MAX = 256 << 20 };
static const char *const parts[GR_FINGERPRINTS_SILO] = {"train", "validation", "test"};

static gr_status path_of(const char *run_path, char **out) {
    return gr_text_format(out, "%s/fingerprints.json", run_path);
}

/* 16 digits as text: a JSON reader's numbers may be doubles, which lose the lower bits. */
static json_t *hex(int64_t print) {
    char text[24];
    if (print == 0) return json_null();
    snprintf(text, sizeof text, "%016llx", (unsigned long long)print);
    return json_string(text);
}

/* 0: null, or none of ours. */
static int64_t from_hex(const json_t *json) {
    const char *text = json_string_value(json);
    return text && strlen(text) == 16 ? (int64_t)strtoull(text, NULL, 16) : 0;
}

/* Silos in the order of their numbers, by pseudonym; nothing else of them is in the file. */
static json_t *compose(const struct gr_fingerprints *f) {
    json_t *json = json_pack("{s:s, s:i}", "format", "granary-fingerprints", "version", 1);
    json_t *silos = json_array();
    for (uint32_t i = 0; i < f->n_silos; i++) {
        char name[24];
        json_t *silo = json_object();
        snprintf(name, sizeof name, "silo-%03u", i);
        json_object_set_new(silo, "silo", json_string(name));
        for (size_t p = 0; p < GR_FINGERPRINTS_SILO; p++)
            json_object_set_new(silo, parts[p],
                                hex(f->print[(size_t)i * GR_FINGERPRINTS_SILO + p]));
        json_array_append_new(silos, silo);
    }
    const int64_t *common = f->print + (size_t)f->n_silos * GR_FINGERPRINTS_SILO;
    json_object_set_new(json, "silos", silos);
    json_object_set_new(json, "test_table", hex(common[GR_FINGERPRINT_TEST]));
    json_object_set_new(json, "columns", hex(common[GR_FINGERPRINT_COLUMNS]));
    return json;
}

gr_status gr_fingerprints_write(const char *run_path, const struct gr_fingerprints *f) {
    gr_status status = GR_OK;
    char *path = NULL;
    json_t *json = compose(f);
    char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
    if (!text) {
        status = gr_fail(GR_ERROR_INTERNAL, "memory for fingerprints was refused");
        goto out;
    }
    GR_TRY(path_of(run_path, &path));
    status = gr_file_write(path, text, strlen(text));
out:
    gr_free(path);
    free(text);
    json_decref(json);
    return status;
}

/* False where the file is not of as many silos, or of fewer where they may have grown. Prints that
 * are missing or malformed are 0, not known. */
static bool take(const json_t *json, struct gr_fingerprints *f) {
    const json_t *silos = json_object_get(json, "silos");
    const size_t n = json_array_size(silos);
    if (!json_is_array(silos) || n > f->n_silos || (n < f->n_silos && !f->grows)) return false;
    memset(f->print, 0, (size_t)f->n_silos * GR_FINGERPRINTS_SILO * sizeof *f->print);
    for (uint32_t i = 0; i < n; i++)
        for (size_t p = 0; p < GR_FINGERPRINTS_SILO; p++)
            f->print[(size_t)i * GR_FINGERPRINTS_SILO + p] =
                from_hex(json_object_get(json_array_get(silos, i), parts[p]));
    int64_t *common = f->print + (size_t)f->n_silos * GR_FINGERPRINTS_SILO;
    common[GR_FINGERPRINT_TEST] = from_hex(json_object_get(json, "test_table"));
    common[GR_FINGERPRINT_COLUMNS] = from_hex(json_object_get(json, "columns"));
    return true;
}

/* A file that is not there is *found false and no failure: runs of earlier versions have none. A
 * file that is there and does not fit is damage, and ends the start. */
gr_status gr_fingerprints_read(const char *run_path, struct gr_fingerprints *f, bool *found) {
    gr_status status = GR_OK;
    char *path = NULL, *text = NULL;
    size_t length;
    json_t *json = NULL;
    *found = false;
    GR_TRY(path_of(run_path, &path));
    if (access(path, F_OK) != 0) goto out;
    GR_TRY(gr_file_read(path, FINGERPRINTS_MAX, GR_ERROR_DATA, &text, &length));
    json = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    *found = take(json, f);
    if (!*found)
        status = gr_fail(GR_ERROR_DATA, "%s: not the fingerprints of a run of %u silos", path,
                         f->n_silos);
out:
    json_decref(json);
    gr_free(text);
    gr_free(path);
    return status;
}
