/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions of a study. A run goes on by a new version while all that decides its bits stays: what
 * is refused here would make a run that no single job could repeat, or one whose silos have changed
 * places. The digests that a version names chain it to those before, under the signature of its
 * coordinator.
 */
#include "config/spot.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORDS_BYTES = 512, LINES_BYTES = GR_MESSAGE_MAX - 256 };

struct study_comparison {
    const struct gr_study *then, *now;
    gr_study_change_function visit;
    void *context;
};

static void tell(const struct study_comparison *c, const char *refused, const char *format, ...)
    GR_PRINTF(3, 4);
static void tell(const struct study_comparison *c, const char *refused, const char *format, ...) {
    char words[WORDS_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    c->visit(c->context, &(struct gr_study_change){words, refused});
}

/* ---- whose it is ----------------------------------------------------------------------------- */

/* The version before is the first of those that are followed, and what it follows comes behind. An
 * earlier one is anywhere among them, with what it follows behind it. */
static bool follows(const struct gr_study *now, const struct gr_study *then) {
    uint32_t at = 0;
    while (at < now->n_follows && memcmp(now->follows[at], then->digest, GR_DIGEST_BYTES) != 0)
        at++;
    if (at == now->n_follows || now->n_follows - at - 1 != then->n_follows) return false;
    return then->n_follows == 0 || memcmp(now->follows[at + 1], then->follows[0],
                                          then->n_follows * sizeof *then->follows) == 0;
}

static void compare_chains(const struct study_comparison *c) {
    char digest[GR_DIGEST_HEX];
    if (follows(c->now, c->then)) return;
    gr_digest_hex(c->then->digest, digest);
    tell(c, "it is no version that follows the other",
         "study.follows: found none of it, expected %s%s", digest,
         c->then->n_follows > 0 ? " and behind it those that it follows" : "");
}

static void compare_heads(const struct study_comparison *c) {
    char keys[2][GR_PUBLIC_KEY_TEXT];
    if (strcmp(c->then->name, c->now->name) != 0)
        tell(c, "the run and the folders of sites have that name", "study.name: %s then, %s now",
             c->then->name, c->now->name);
    if (memcmp(&c->then->parties[0].key, &c->now->parties[0].key, sizeof(struct gr_public_key)) ==
        0)
        return;
    gr_public_key_text(&c->then->parties[0].key, keys[0]);
    gr_public_key_text(&c->now->parties[0].key, keys[1]);
    tell(c, "seals and versions are known by it", "study.coordinator: %s then, %s now", keys[0],
         keys[1]);
}

/* ---- sites and silos ------------------------------------------------------------------------- */

static void compare_site(const struct study_comparison *c, uint32_t p) {
    const struct gr_party *was = &c->then->parties[p], *is = &c->now->parties[p];
    char keys[2][GR_PUBLIC_KEY_TEXT];
    if (memcmp(&was->key, &is->key, sizeof was->key) != 0) {
        gr_public_key_text(&was->key, keys[0]);
        gr_public_key_text(&is->key, keys[1]);
        tell(c, NULL, "study.sites: the key of %s: %s then, %s now", is->name, keys[0], keys[1]);
    }
    if (is->left != was->left)
        tell(c, NULL, "study.sites: %s %s", is->name,
             is->left ? "leaves: its silos take no further part" : "takes part again");
}

/* Silos of a new site come behind all others. */
static void tell_new_site(const struct study_comparison *c, uint32_t p) {
    const struct gr_study *now = c->now;
    const struct gr_study_site own = now->sites[p];
    char silos[WORDS_BYTES / 2] = "", key[GR_PUBLIC_KEY_TEXT];
    for (uint32_t i = 0; i < own.n_silos; i++) {
        const size_t used = strlen(silos);
        snprintf(silos + used, sizeof silos - used, "%s%s", i > 0 ? ", " : "",
                 now->silos[own.first_silo + i]);
    }
    gr_public_key_text(&now->parties[p].key, key);
    tell(c, NULL, "study.sites: %s joins with the silo%s %s; its key is %s", now->parties[p].name,
         own.n_silos == 1 ? "" : "s", silos, key);
}

/* Checkpoints and records know a silo by its place. */
static const char by_place[] =
    "silos keep their places: a site that leaves stays in the list with `left: true`, and new "
    "silos come behind all others, under a site of their own";

static void compare_sites(const struct study_comparison *c) {
    const struct gr_study *then = c->then, *now = c->now;
    for (uint32_t p = 1; p < then->n_parties; p++) {
        const bool same = p < now->n_parties &&
                          strcmp(then->parties[p].name, now->parties[p].name) == 0 &&
                          then->sites[p].n_silos == now->sites[p].n_silos;
        if (same) {
            compare_site(c, p);
            continue;
        }
        tell(c, by_place, "study.sites[%u]: %s with %u silo%s then, %s now", p - 1,
             then->parties[p].name, then->sites[p].n_silos, then->sites[p].n_silos == 1 ? "" : "s",
             p >= now->n_parties                                        ? "none"
             : strcmp(then->parties[p].name, now->parties[p].name) == 0 ? "another number of them"
                                                                        : now->parties[p].name);
        return;
    }
    for (uint32_t i = 0; i < then->n_silos; i++)
        if (strcmp(then->silos[i], now->silos[i]) != 0) {
            tell(c, by_place, "study.sites: the silo %s then, %s now, at the place %u",
                 then->silos[i], now->silos[i], i);
            return;
        }
    for (uint32_t p = then->n_parties; p < now->n_parties; p++)
        tell_new_site(c, p);
}

/* ---- schema and settings --------------------------------------------------------------------- */

static gr_status compare_schemas(const struct study_comparison *c) {
    const struct gr_schema *was = c->then->schema, *is = c->now->schema;
    char *texts[2] = {NULL, NULL};
    gr_status status = GR_OK;
    if (was) GR_TRY(gr_schema_to_yaml(was, &texts[0]));
    if (is) GR_TRY(gr_schema_to_yaml(is, &texts[1]));
    if (!was != !is || (was && strcmp(texts[0], texts[1]) != 0))
        tell(c, "the model and what was fitted are of these columns", "schema: another than then");
out:
    gr_free(texts[0]);
    gr_free(texts[1]);
    return status;
}

bool gr_study_may_change(const struct gr_config *now, const char *path) {
    static const char *const paths[] = {"data.silos",           "silos[].name",
                                        "policy.minimum_silos", "secure.threshold",
                                        "secure.colluding",     "secure.neighbours"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (strcmp(path, paths[i]) == 0) return true;
    /* A metric of fewer digits ends a run, and chooses its model, elsewhere. */
    return strcmp(path, "policy.digits") == 0 && now->stop.metric == GR_STOP_NONE;
}

/* Of these the sites tell. */
static bool is_of_sites(const char *path) {
    static const char *const paths[] = {"data.silos", "data.silo_tables", "silos", "silos[].name"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (strcmp(path, paths[i]) == 0) return true;
    return false;
}

/* A gr_difference_function. */
static void compare_setting(void *context, const struct gr_difference *d) {
    const struct study_comparison *c = context;
    const char *refused = "it decides the bits of the model";
    if (is_of_sites(d->path)) return;
    if (strcmp(d->path, "train.schedule.rounds") == 0)
        refused = "it decides the bits of the model; it follows run.rounds where it is not given";
    tell(c, d->decides && !gr_study_may_change(c->now->config, d->path) ? refused : NULL,
         "%s: %s then, %s now", d->path, d->was, d->now);
}

/* ---- all ------------------------------------------------------------------------------------- */

gr_status gr_study_compare(const struct gr_study *then, const struct gr_study *now,
                           gr_study_change_function visit, void *context) {
    struct study_comparison c = {then, now, visit, context};
    gr_status status;
    compare_chains(&c);
    compare_heads(&c);
    compare_sites(&c);
    GR_TRY(compare_schemas(&c));
    status = gr_config_each_difference(then->config, now->config, compare_setting, &c);
out:
    return status;
}

struct refusals {
    size_t n;
    char lines[LINES_BYTES];
};

static void add_refusal(void *context, const struct gr_study_change *change) {
    struct refusals *r = context;
    const size_t used = strlen(r->lines);
    if (!change->refused) return;
    snprintf(r->lines + used, sizeof r->lines - used, "%s%s (%s)", r->n++ > 0 ? "\n" : "",
             change->words, change->refused);
}

gr_status gr_study_check_version(const struct gr_study *then, const struct gr_study *now) {
    struct refusals r = {0};
    gr_status status;
    GR_TRY(gr_study_compare(then, now, add_refusal, &r));
    if (r.n > 0)
        status = gr_fail(GR_ERROR_CONFIG, "%s: no version by which a run of %s can go on:\n%s",
                         now->path, then->path, r.lines);
out:
    return status;
}

/* ---- copies ---------------------------------------------------------------------------------- */

static gr_status path_of(const char *folder, const unsigned char digest[GR_DIGEST_BYTES],
                         char **out) {
    char hex[GR_DIGEST_HEX];
    gr_digest_hex(digest, hex);
    return gr_text_format(out, "%s/%s.yaml", folder, hex);
}

/* The text that was read once may have been changed since: its digest says so. */
static gr_status copy_file(const char *from, const char *to, const unsigned char *digest) {
    unsigned char found[GR_DIGEST_BYTES];
    char *text = NULL;
    size_t length = 0;
    gr_status status;
    GR_TRY(gr_file_read(from, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, &text, &length));
    gr_digest_of(text, length, found);
    if (digest && memcmp(found, digest, sizeof found) != 0) {
        status = gr_fail(GR_ERROR_CONFIG, "%s: was changed while it was in use", from);
        goto out;
    }
    status = gr_file_write(to, text, length);
    if (status == GR_OK) gr_file_keep_private(to);
out:
    gr_free(text);
    return status;
}

gr_status gr_study_keep(const struct gr_study *study, const char *folder) {
    char *path = NULL, *from = NULL, *to = NULL;
    gr_status status;
    if (mkdir(folder, 0750) != 0 && errno != EEXIST)
        return gr_fail(GR_ERROR_WRITE, "%s: %s", folder, strerror(errno));
    GR_TRY(path_of(folder, study->digest, &path));
    GR_TRY(gr_text_format(&from, "%s.sig", study->path));
    GR_TRY(gr_text_format(&to, "%s.sig", path));
    GR_TRY(copy_file(from, to, NULL));
    status = copy_file(study->path, path, study->digest);
out:
    gr_free(to);
    gr_free(from);
    gr_free(path);
    return status;
}

gr_status gr_study_kept(const char *folder, const unsigned char digest[GR_DIGEST_BYTES],
                        struct gr_study **out) {
    char *path = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(path_of(folder, digest, &path));
    if (access(path, F_OK) != 0 && errno == ENOENT) goto out;
    GR_TRY(gr_study_load(path, out));
    if (memcmp((*out)->digest, digest, GR_DIGEST_BYTES) == 0) goto out;
    gr_study_free(*out);
    *out = NULL;
    status = gr_fail(GR_ERROR_CONFIG,
                     "%s: found a study of another digest, expected that of its "
                     "name",
                     path);
out:
    gr_free(path);
    return status;
}

gr_status gr_study_kept_before(const char *folder, const struct gr_study *study,
                               struct gr_study **out) {
    gr_status status = GR_OK;
    *out = NULL;
    for (uint32_t i = 0; i < study->n_follows && !*out; i++)
        GR_TRY(gr_study_kept(folder, study->follows[i], out));
out:
    return status;
}
