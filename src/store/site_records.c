/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of a site in its own folder: which studies it has approved, and in which runs it took
 * part. A line of JSON each, signed with the site's key, so that nobody but its holder can approve;
 * a line can be taken out by whoever may write the folder, which withdraws an approval.
 */
#include <granary/policy.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORDS_FILE_MAX = 4 << 20, RECORD_LINE_MAX = 16384 };

/* A file of records, and the purpose of its signatures: an approval is no run. */
struct records {
    const char *name, *purpose;
};
static const struct records approvals = {"approvals.jsonl", "approval"};
static const struct records runs = {"runs.jsonl", "run"};
static const struct records leavings = {"left.jsonl", "leave"};

/* Behind the other members of a line; it is not part of what is signed. */
static const char signature_label[] = ",\"signature\":\"";

/* ---- writing --------------------------------------------------------------------------------- */

static gr_status cannot_append(const char *path) {
    return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
}

/* Links are not followed, as in a silo's log. A line goes in one write; a part of a line, of a disk
 * that is full, is taken back. */
static gr_status append_line(const char *path, const char *line, size_t n) {
    struct stat is;
    gr_status status = GR_OK;
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    const int fd = open(path, flags, 0600);
    if (fd < 0) return cannot_append(path);
    if (fstat(fd, &is) != 0) {
        status = cannot_append(path);
    } else if (!S_ISREG(is.st_mode)) {
        status = gr_fail(GR_ERROR_WRITE, "%s: not a regular file", path);
    } else if (write(fd, line, n) != (ssize_t)n || fsync(fd) != 0) {
        status = cannot_append(path);
        (void)!ftruncate(fd, is.st_size);
    }
    close(fd);
    return status;
}

static gr_status path_of(const struct gr_site *site, const struct records *which, char **out) {
    return gr_text_format(out, "%s/%s", site->settings->site.directory, which->name);
}

/* {"a":1} becomes {"a":1,"signature":"..."}; a signature is as long as two digests. */
static gr_status sign_line(const struct gr_site *site, const struct records *which,
                           const char *text, char **line) {
    unsigned char signature[GR_SIGNATURE_BYTES];
    char halves[2][GR_DIGEST_HEX];
    const size_t n = strlen(text);
    gr_keys_sign(site->keys, which->purpose, text, n, signature);
    gr_digest_hex(signature, halves[0]);
    gr_digest_hex(signature + GR_DIGEST_BYTES, halves[1]);
    return gr_text_format(line, "%.*s%s%s%s\"}\n", (int)(n - 1), text, signature_label, halves[0],
                          halves[1]);
}

gr_status gr_site_folder(const struct gr_site *site) {
    if (mkdir(site->settings->site.directory, 0700) == 0 || errno == EEXIST) return GR_OK;
    return cannot_append(site->settings->site.directory);
}

/* Takes the object over. */
static gr_status add_record(const struct gr_site *site, const struct records *which,
                            json_t *object) {
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL, *line = NULL, *path = NULL;
    gr_status status = GR_OK;
    json_decref(object);
    if (!text) return gr_fail(GR_ERROR_INTERNAL, "memory for a record was refused");
    GR_TRY(path_of(site, which, &path));
    GR_TRY(gr_site_folder(site));
    GR_TRY(sign_line(site, which, text, &line));
    GR_TRY(append_line(path, line, strlen(line)));
    status = gr_file_sync_folder(path);
out:
    free(text);
    gr_free(line);
    gr_free(path);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Whose records are read: they lie in its folder, and its key has signed them. */
struct record_owner {
    const char *directory;
    const struct gr_public_key *key;
};

static struct record_owner owner_of(const struct gr_site *site) {
    return (struct record_owner){site->settings->site.directory, gr_keys_public(site->keys)};
}

/* A line of a file, and its number from 1. */
struct record_line {
    const char *path, *text;
    size_t n, number;
};

static gr_status refuse_line(const struct record_line *line, const char *found) {
    return gr_fail(GR_ERROR_CONFIG,
                   "%s:%zu: found %s, expected a line that this site's key has signed", line->path,
                   line->number, found);
}

/* The text that was signed is the line without its last member. */
static gr_status verify_line(const struct record_owner *owner, const struct records *which,
                             const struct record_line *line) {
    enum { LABEL = sizeof signature_label - 1, HALF = GR_DIGEST_HEX - 1, BOTH = 2 * HALF };
    const size_t tail = LABEL + BOTH + 2;
    unsigned char signature[GR_SIGNATURE_BYTES];
    char half[GR_DIGEST_HEX], text[RECORD_LINE_MAX];
    if (line->n <= tail || line->n - tail + 2 > sizeof text) return refuse_line(line, "no record");
    const char *label = line->text + line->n - tail;
    if (memcmp(label, signature_label, LABEL) != 0) return refuse_line(line, "no signature");
    for (size_t i = 0; i < 2; i++) {
        memcpy(half, label + LABEL + i * HALF, HALF);
        half[HALF] = '\0';
        if (!gr_digest_from_hex(half, signature + i * GR_DIGEST_BYTES))
            return refuse_line(line, "no signature");
    }
    if (memcmp(label + LABEL + BOTH, "\"}", 2) != 0) return refuse_line(line, "no record");
    memcpy(text, line->text, line->n - tail);
    text[line->n - tail] = '}';
    if (!gr_public_key_verify(owner->key, which->purpose, text, line->n - tail + 1, signature))
        return refuse_line(line, "a line that another key has signed, or that was changed");
    return GR_OK;
}

typedef void (*record_reader)(void *context, const json_t *record);

static gr_status read_line(const struct record_owner *owner, const struct records *which,
                           const struct record_line *line, record_reader read, void *context) {
    gr_status status = verify_line(owner, which, line);
    if (status != GR_OK) return status;
    json_t *record = json_loadb(line->text, line->n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(record))
        status = refuse_line(line, "no record");
    else
        read(context, record);
    json_decref(record);
    return status;
}

/* A file that is missing has no record. */
static gr_status read_records(const struct record_owner *owner, const struct records *which,
                              record_reader read, void *context) {
    char *path = NULL, *text = NULL;
    size_t length = 0;
    struct record_line line = {.number = 1};
    gr_status status;
    GR_TRY(gr_text_format(&path, "%s/%s", owner->directory, which->name));
    if (access(path, F_OK) != 0 && errno == ENOENT) goto out;
    GR_TRY(gr_file_read(path, RECORDS_FILE_MAX, GR_ERROR_CONFIG, &text, &length));
    line.path = path;
    for (const char *at = text, *end = text + length; at < end; line.number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        line.text = at;
        line.n = (size_t)((stop ? stop : end) - at);
        GR_TRY(read_line(owner, which, &line, read, context));
        at += line.n + (stop != NULL);
    }
out:
    gr_free(path);
    gr_free(text);
    return status;
}

static const char *member(const json_t *record, const char *key) {
    const char *text = json_string_value(json_object_get(record, key));
    return text ? text : "";
}

/* ---- approvals ------------------------------------------------------------------------------- */

gr_status gr_site_approve(const struct gr_study *study, const struct gr_site *site,
                          const char *number, const char *by) {
    char now[32], digest[GR_DIGEST_HEX];
    gr_clock_utc(now);
    gr_digest_hex(study->digest, digest);
    return add_record(site, &approvals,
                      json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?}", "time", now, "study", digest,
                                "name", study->name, "file", study->path, "number", number, "by",
                                by));
}

struct approval_search {
    const char *digest;
    bool found;
};

static void look_at_approval(void *context, const json_t *record) {
    struct approval_search *search = context;
    if (strcmp(member(record, "study"), search->digest) == 0) search->found = true;
}

gr_status gr_site_approved(const struct gr_study *study, const struct gr_site *site) {
    char digest[GR_DIGEST_HEX];
    struct approval_search search = {digest, false};
    const struct record_owner owner = owner_of(site);
    gr_digest_hex(study->digest, digest);
    gr_status status = read_records(&owner, &approvals, look_at_approval, &search);
    if (status != GR_OK || search.found) return status;
    return gr_fail(
        GR_ERROR_POLICY,
        "%s: found the digest %s, which is not approved in %s/%s; to look at it: granary "
        "approve %s --site %s",
        study->path, digest, site->settings->site.directory, approvals.name, study->path,
        site->path);
}

/* Of the site's file: those of this study, or of any. */
static bool is_of_study(const struct gr_approval_config *approval, const char *digest) {
    return !approval->study[0] || strcasecmp(approval->study, digest) == 0;
}

static const char *or_null(const char *text) {
    return text[0] ? text : NULL;
}

struct approval_list {
    const char *digest;
    json_t *list;
    bool refused; /* memory */
};

static void add_approval(struct approval_list *list, json_t *approval) {
    if (json_array_append_new(list->list, approval) != 0) list->refused = true;
}

static void list_approval(void *context, const json_t *record) {
    struct approval_list *list = context;
    if (strcmp(member(record, "study"), list->digest) != 0) return;
    add_approval(list,
                 json_pack("{s:s, s:s*, s:s*}", "approved", member(record, "time"), "number",
                           or_null(member(record, "number")), "by", or_null(member(record, "by"))));
}

gr_status gr_site_approvals(const struct gr_study *study, const struct gr_site *site, char **out) {
    const struct gr_site_config *settings = site->settings;
    char digest[GR_DIGEST_HEX];
    struct approval_list list = {.digest = digest, .list = json_array()};
    gr_digest_hex(study->digest, digest);
    *out = NULL;
    for (unsigned i = 0; i < settings->approvals_count; i++) {
        const struct gr_approval_config *approval = &settings->approvals[i];
        if (is_of_study(approval, digest))
            add_approval(&list,
                         json_pack("{s:s, s:s*, s:s*}", "number", approval->number, "by",
                                   or_null(approval->by), "until", or_null(approval->until)));
    }
    const struct record_owner owner = owner_of(site);
    gr_status status = read_records(&owner, &approvals, list_approval, &list);
    char *text = list.refused || !list.list ? NULL : json_dumps(list.list, JSON_COMPACT);
    if (status == GR_OK)
        status = text ? gr_text_format(out, "%s", text)
                      : gr_fail(GR_ERROR_INTERNAL, "memory for a list of approvals was refused");
    json_decref(list.list);
    free(text);
    return status;
}

struct approval_visit {
    const char *digest;
    gr_approval_visit visit;
    void *context;
};

static void show_approval(void *context, const json_t *record) {
    const struct approval_visit *visit = context;
    const struct gr_approval_record shown = {member(record, "time"), member(record, "number"),
                                             member(record, "by")};
    if (strcmp(member(record, "study"), visit->digest) == 0) visit->visit(visit->context, &shown);
}

gr_status gr_site_show_approvals(const char *directory, const struct gr_public_key *key,
                                 const char *digest, gr_approval_visit visit, void *context) {
    struct approval_visit wanted = {digest, visit, context};
    const struct record_owner owner = {directory, key};
    return read_records(&owner, &approvals, show_approval, &wanted);
}

/* ---- runs ------------------------------------------------------------------------------------ */

struct run_count {
    const struct gr_study *study;
    const char *run; /* NULL: any of this study */
    uint32_t n_others;
    bool found;
};

static void look_at_run(void *context, const json_t *record) {
    struct run_count *count = context;
    unsigned char digest[GR_DIGEST_BYTES];
    /* A run that goes on by a new version of its study is the same. */
    const bool ours = gr_digest_from_hex(member(record, "study"), digest) &&
                      gr_study_is_version(count->study, digest);
    const bool same =
        ours && (count->run ? strcmp(member(record, "run"), count->run) == 0 : !count->found);
    count->found = count->found || same;
    count->n_others += !same;
}

gr_status gr_site_count_runs(const struct gr_study *study, const struct gr_site *site,
                             const char *run, uint32_t *n) {
    struct run_count count = {.study = study, .run = run};
    const struct record_owner owner = owner_of(site);
    gr_status status = read_records(&owner, &runs, look_at_run, &count);
    *n = count.n_others;
    return status;
}

gr_status gr_site_note_run(const struct gr_study *study, const struct gr_site *site,
                           const char *run) {
    char now[32], digest[GR_DIGEST_HEX];
    struct run_count count = {.study = study, .run = run};
    const struct record_owner owner = owner_of(site);
    gr_digest_hex(study->digest, digest);
    gr_status status = read_records(&owner, &runs, look_at_run, &count);
    if (status != GR_OK || count.found) return status;
    gr_clock_utc(now);
    return add_record(site, &runs,
                      json_pack("{s:s, s:s, s:s, s:s}", "time", now, "study", digest, "name",
                                study->name, "run", run));
}

/* ---- leaving for good ------------------------------------------------------------------------ */

struct leaving {
    const char *digest;
    char time[32]; /* "": there is none */
};

static void look_at_leaving(void *context, const json_t *record) {
    struct leaving *leaving = context;
    if (strcmp(member(record, "study"), leaving->digest) == 0)
        snprintf(leaving->time, sizeof leaving->time, "%s", member(record, "time"));
}

static gr_status find_leaving(const struct gr_study *study, const struct gr_site *site,
                              char digest[GR_DIGEST_HEX], struct leaving *out) {
    const struct record_owner owner = owner_of(site);
    gr_digest_hex(study->digest, digest);
    *out = (struct leaving){.digest = digest};
    return read_records(&owner, &leavings, look_at_leaving, out);
}

gr_status gr_site_stays(const struct gr_study *study, const struct gr_site *site) {
    char digest[GR_DIGEST_HEX];
    struct leaving leaving;
    gr_status status = find_leaving(study, site, digest, &leaving);
    if (status != GR_OK || !leaving.time[0]) return status;
    return gr_fail(GR_ERROR_POLICY,
                   "%s: this site has left the study for good at %s (%s/%s); it takes part again "
                   "in another edition of the study, which the coordinator signs and this site "
                   "approves",
                   study->path, leaving.time, site->settings->site.directory, leavings.name);
}

gr_status gr_site_leave(const struct gr_study *study, const struct gr_site *site, char **line) {
    char now[32], digest[GR_DIGEST_HEX], *signed_line = NULL, *text = NULL;
    struct leaving leaving;
    json_t *object = NULL;
    gr_status status;
    GR_TRY(find_leaving(study, site, digest, &leaving));
    gr_clock_utc(now);
    /* The same words each time, so that the signature is, too. */
    object = json_pack("{s:s, s:s, s:s}", "time", leaving.time[0] ? leaving.time : now, "study",
                       digest, "name", study->name);
    text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    if (!text) {
        status = gr_fail(GR_ERROR_INTERNAL, "memory for a record was refused");
        goto out;
    }
    if (!leaving.time[0]) GR_TRY(add_record(site, &leavings, json_incref(object)));
    GR_TRY(sign_line(site, &leavings, text, &signed_line));
    status = gr_text_format(line, "%.*s", (int)strcspn(signed_line, "\n"), signed_line);
out:
    json_decref(object);
    free(text);
    gr_free(signed_line);
    return status;
}

/* The party whose key has signed a line; 0: none has. */
static uint32_t signer_of(const struct gr_study *study, const struct record_line *line) {
    for (uint32_t p = 1; p < study->n_parties; p++) {
        const struct record_owner owner = {.key = &study->parties[p].key};
        if (verify_line(&owner, &leavings, line) == GR_OK) return p;
    }
    return 0;
}

/* Whether a line is of this study, by its digest. */
static bool is_of(const struct gr_study *study, const struct record_line *line) {
    char digest[GR_DIGEST_HEX];
    json_t *record = json_loadb(line->text, line->n, JSON_REJECT_DUPLICATES, NULL);
    gr_digest_hex(study->digest, digest);
    const bool is = strcmp(member(record, "study"), digest) == 0;
    json_decref(record);
    return is;
}

gr_status gr_leaving_note(const struct gr_study *study, const char *directory, uint32_t party,
                          const char *line) {
    const struct record_line given = {.path = "a letter", .text = line, .n = strlen(line)};
    char *path = NULL, *whole = NULL;
    gr_status status;
    if (signer_of(study, &given) != party || !is_of(study, &given))
        return gr_fail(GR_ERROR_DATA, "%s: found a line that is not this site's, of this study",
                       study->parties[party].name);
    GR_TRY(gr_text_format(&path, "%s/%s", directory, leavings.name));
    GR_TRY(gr_text_format(&whole, "%s\n", line));
    GR_TRY(append_line(path, whole, strlen(whole)));
    status = gr_file_sync_folder(path);
out:
    gr_free(whole);
    gr_free(path);
    return status;
}

gr_status gr_leaving_read(const struct gr_study *study, const char *directory, bool *left) {
    char *path = NULL, *text = NULL;
    size_t length = 0;
    gr_status status;
    GR_TRY(gr_text_format(&path, "%s/%s", directory, leavings.name));
    if (access(path, F_OK) != 0 && errno == ENOENT) goto out;
    GR_TRY(gr_file_read(path, RECORDS_FILE_MAX, GR_ERROR_CONFIG, &text, &length));
    struct record_line line = {.path = path, .number = 1};
    for (const char *at = text, *end = text + length; at < end; line.number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        line.text = at;
        line.n = (size_t)((stop ? stop : end) - at);
        const uint32_t party = signer_of(study, &line);
        if (party == 0) {
            status = refuse_line(&line, "a line of no site of this study");
            goto out;
        }
        left[party] = left[party] || is_of(study, &line);
        at += line.n + (stop != NULL);
    }
out:
    gr_free(path);
    gr_free(text);
    return status;
}
