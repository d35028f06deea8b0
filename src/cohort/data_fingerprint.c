/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a run that is gone on with has the data it was begun with, told by silo and table. A
 * digest leaves its rank salted, with what only that silo's rank can read where a silo has a table
 * of its own; so it says "the same as before", and does not confirm a guess.
 */
#include "cohort/cohort_parts.h"

#include <stdio.h>
#include <string.h>

enum { PARTS = GR_FINGERPRINTS_SILO, MESSAGE_BYTES = 1024, SILOS_TOLD = 5 };
_Static_assert((int)PARTS == (int)GR_SILO_PARTS, "a fingerprint for each part of a silo");

/* Marks one that cannot be compared, for its salt is new. */
#define ANEW (INT64_C(1) << 62)

struct prints {
    struct gr_cohort *cohort; /* borrowed */
    const char *run_path;
    char *secrets; /* folder; owned */
    size_t n;
    int64_t *now, *earlier; /* n; owned; `earlier` is all 0 where there are none */
    bool found;             /* there are earlier ones */
    bool run_anew;          /* the salt "run" is new */
    unsigned char run_salt[GR_DIGEST_BYTES];
};

/*
 * A digest of salt, place and bytes, cut to 62 bits: bit 62 is ANEW, and the sign stays 0. The
 * lowest bit is set, for 0 means that there is none. The place keeps two silos with the same rows
 * from having the same print.
 */
static int64_t salted(const unsigned char salt[GR_DIGEST_BYTES], uint32_t number, uint32_t part,
                      const void *bytes, size_t n) {
    const uint32_t place[] = {number, part};
    unsigned char out[GR_DIGEST_BYTES];
    struct gr_digest digest;
    uint64_t print;
    gr_digest_start(&digest);
    gr_digest_add(&digest, salt, GR_DIGEST_BYTES);
    gr_digest_add(&digest, place, sizeof place);
    gr_digest_add(&digest, bytes, n);
    gr_digest_finish(&digest, out);
    memcpy(&print, out, sizeof print);
    return (int64_t)(print >> 2 | 1);
}

/*
 * A silo with a table of its own has a salt of its own, which only its rank can read: the others,
 * who know the run's salt, cannot try out which rows would give this print. An unusable silo has no
 * print, and is not compared.
 */
static gr_status print_silo(struct prints *p, const struct gr_silo *silo) {
    unsigned char own[GR_DIGEST_BYTES];
    const unsigned char *salt = p->run_salt;
    bool anew = p->run_anew;
    gr_status status = GR_OK;
    if (silo->unusable != GR_OK) return GR_OK;
    if (p->cohort->data->silo_tables) {
        GR_TRY(gr_salt_take(p->secrets, silo->pseudonym, own, &anew));
        salt = own;
    }
    for (uint32_t k = 0; k < PARTS; k++)
        p->now[(size_t)silo->id * PARTS + k] =
            salted(salt, silo->id, k, silo->digest[k], GR_DIGEST_BYTES) | (anew ? ANEW : 0);
out:
    return status;
}

static gr_status print_silos(struct prints *p) {
    gr_status status = GR_OK;
    for (size_t i = 0; i < p->cohort->data->n_local; i++)
        GR_TRY(print_silo(p, &p->cohort->data->local[i]));
out:
    return status;
}

/*
 * Collective. All ranks' fingerprints on all of them. Every print is one rank's and 0 on the
 * others, so the sum puts them side by side. The test table is dealt in shares: its digest is a sum
 * over rows, and does not depend on how it was dealt.
 */
static gr_status take_prints(struct prints *p) {
    gr_status status = GR_OK;
    struct gr_comm *comm = p->cohort->comm;
    const bool root = gr_comm_rank(comm) == 0;
    int64_t words[GR_DIGEST_WORDS], *common = p->now + (size_t)p->cohort->data->n_silos * PARTS;
    GR_TRY(gr_comm_agree(comm, root ? gr_salt_take(p->secrets, "run", p->run_salt, &p->run_anew)
                                    : GR_OK));
    GR_TRY(gr_comm_broadcast(comm, p->run_salt, sizeof p->run_salt));
    GR_TRY(gr_comm_broadcast(comm, &p->run_anew, sizeof p->run_anew));
    GR_TRY(gr_comm_agree(comm, print_silos(p)));
    memcpy(words, p->cohort->data->test_digest, sizeof words);
    GR_TRY(gr_comm_sum_public(comm, words, GR_DIGEST_WORDS));
    memcpy(p->cohort->test_total, words, sizeof words);
    p->cohort->test_known = true;
    const int64_t anew = p->run_anew ? ANEW : 0;
    if (root && p->cohort->data->n_test > 0)
        common[GR_FINGERPRINT_TEST] =
            salted(p->run_salt, 0, PARTS + GR_FINGERPRINT_TEST, words, sizeof words) | anew;
    if (root)
        common[GR_FINGERPRINT_COLUMNS] = salted(p->run_salt, 0, PARTS + GR_FINGERPRINT_COLUMNS,
                                                p->cohort->columns_digest, GR_DIGEST_BYTES) |
                                         anew;
    status = gr_release_sum(p->cohort->door, GR_RELEASE_FINGERPRINTS, p->now, p->n);
out:
    return status;
}

/* Collective. Rank 0 reads the file, and all get the prints. A run that says it has fingerprints,
 * and a folder without them: the data cannot be compared, so the run is refused and not trusted. */
static gr_status read_earlier(struct prints *p, const struct gr_run_data *told) {
    gr_status status = GR_OK;
    struct gr_comm *comm = p->cohort->comm;
    struct gr_fingerprints earlier = {p->cohort->data->n_silos, told->grows, p->earlier};
    const bool root = gr_comm_rank(comm) == 0;
    if (!told->known) return GR_OK;
    GR_TRY(
        gr_comm_agree(comm, root ? gr_fingerprints_read(p->run_path, &earlier, &p->found) : GR_OK));
    GR_TRY(gr_comm_broadcast(comm, &p->found, sizeof p->found));
    if (!p->found)
        return gr_fail(GR_ERROR_CONFIG,
                       "%s/fingerprints.json: is not there, so the data cannot be compared with "
                       "those that the run was begun with; a run of an earlier version of granary "
                       "is gone on with by that version",
                       p->run_path);
    status = gr_comm_broadcast(comm, p->earlier, p->n * sizeof *p->earlier);
out:
    return status;
}

/* ---- comparison ----------------------------------------------------------------------------- */

/* Only two prints that are both there, made with the same salt, can differ: a silo that was lost,
 * or whose salts are new, is not said to have changed. */
static bool changed(const struct prints *p, size_t i) {
    return p->earlier[i] != 0 && p->now[i] != 0 && !(p->now[i] & ANEW) &&
           p->now[i] != p->earlier[i];
}

static void add_words(char out[MESSAGE_BYTES], const char *separator, const char *words) {
    const size_t used = strlen(out);
    snprintf(out + used, MESSAGE_BYTES - used, "%s%s", used > 0 ? separator : "", words);
}

/* Its own table has to be found by whoever reads this: in a study that is the site alone. */
static void name_table(const struct gr_cohort *cohort, uint32_t silo, char *out, size_t size) {
    const struct gr_config *config = cohort->config;
    char pseudonym[24];
    gr_silo_pseudonym(silo, pseudonym);
    if (gr_comm_parties(cohort->comm) == 1 || silo >= config->data.silo_tables_count ||
        silo >= config->silos_count)
        snprintf(out, size, "%s", pseudonym);
    else
        snprintf(out, size, "%s (%s)", config->silos[silo].name,
                 config->data.silo_tables[silo].file);
}

/* "silo-003: train, validation rows". */
static void name_silo(const struct prints *p, uint32_t silo, char out[MESSAGE_BYTES]) {
    static const char *const part[PARTS] = {"train", "validation", "test"};
    char line[768], name[512];
    size_t n = 0;
    name_table(p->cohort, silo, name, sizeof name);
    int used = snprintf(line, sizeof line, "%s: ", name);
    for (size_t k = 0; k < PARTS; k++)
        if (changed(p, (size_t)silo * PARTS + k))
            used += snprintf(line + used, sizeof line - (size_t)used, "%s%s", n++ > 0 ? ", " : "",
                             part[k]);
    snprintf(line + used, sizeof line - (size_t)used, " rows");
    add_words(out, "; ", line);
}

/* Whether it is for this rank to refuse what has become of a silo: in a study for its own site. */
static bool is_ours(const struct gr_cohort *cohort, uint32_t silo) {
    const uint32_t own = gr_comm_party(cohort->comm, gr_comm_slot(cohort->comm));
    return gr_comm_parties(cohort->comm) == 1 ||
           gr_comm_party(cohort->comm, cohort->host_of[silo]) == own;
}

/* All ranks hold all prints; whose silos have changed says so, which in a single job are all. At
 * most SILOS_TOLD silos are named, so that the message stays readable with a thousand of them.
 * *others: silos of other sites have changed. */
static gr_status compare(const struct prints *p, bool *others) {
    const uint32_t n_silos = p->cohort->data->n_silos;
    const size_t common = (size_t)n_silos * PARTS;
    char words[MESSAGE_BYTES] = "", line[64];
    uint32_t n = 0;
    for (uint32_t s = 0; s < n_silos; s++) {
        bool any = false;
        for (size_t k = 0; k < PARTS; k++)
            any = any || changed(p, (size_t)s * PARTS + k);
        *others = *others || (any && !is_ours(p->cohort, s));
        any = any && is_ours(p->cohort, s);
        if (any && n++ < SILOS_TOLD) name_silo(p, s, words);
    }
    if (n > SILOS_TOLD) {
        snprintf(line, sizeof line, "rows of %u more silos", n - SILOS_TOLD);
        add_words(words, "; ", line);
    }
    if (changed(p, common + GR_FINGERPRINT_TEST)) add_words(words, "; ", "the test table");
    if (changed(p, common + GR_FINGERPRINT_COLUMNS))
        add_words(words, "; ", "the columns (data.schema)");
    if (!words[0]) return GR_OK;
    return gr_fail(GR_ERROR_CONFIG,
                   "%s: the data are not those that the run was begun with: %s; a run goes on with "
                   "the same rows only",
                   p->run_path, words);
}

/* Collective. A site whose data have changed leaves, and the others begin anew without it. */
static gr_status compare_all(const struct prints *p) {
    bool others = false;
    gr_status status = compare(p, &others);
    if (gr_comm_parties(p->cohort->comm) > 1) status = gr_comm_agree(p->cohort->comm, status);
    if (status == GR_OK && others)
        status =
            gr_fail(GR_ERROR_CONFIG, "a site's data are not those that the run was begun with, "
                                     "and it takes part all the same");
    return status;
}

/* Prints known now or known then, in p->now; returns how many could not be compared, as their salts
 * are new. *news: the file has to be written, for something was not known. */
static uint32_t merge(struct prints *p, bool *news) {
    uint32_t uncompared = 0;
    *news = !p->found;
    for (size_t i = 0; i < p->n; i++) {
        const bool anew = (p->now[i] & ANEW) != 0;
        p->now[i] &= ~ANEW;
        if (anew && p->earlier[i] != 0) uncompared++;
        if (p->now[i] == 0) p->now[i] = p->earlier[i];
        *news = *news || p->now[i] != p->earlier[i];
    }
    return uncompared;
}

/* The run's data keep the fingerprint that they were given first: in it a resumed run recognises
 * its data, even if more silos are there now than then. */
static void set_run_data(struct gr_cohort *cohort, const struct prints *p,
                         const struct gr_run_data *told) {
    cohort->run_data = *told;
    if (told->known) return;
    cohort->run_data.known = true;
    /* Silos that were lost before they were counted are missing as those that cannot be read. */
    cohort->run_data.incomplete = cohort->n_unusable > 0;
    for (uint32_t i = 0; i < cohort->data->n_silos; i++)
        if (p->now[(size_t)i * PARTS] == 0) cohort->run_data.incomplete = true;
    gr_digest_of(p->now, p->n * sizeof *p->now, cohort->run_data.fingerprint);
}

static gr_status make_room(struct prints *p) {
    gr_status status;
    p->n = (size_t)p->cohort->data->n_silos * PARTS + GR_FINGERPRINTS_COMMON;
    GR_TRY(gr_allocate_zero(p->n, sizeof *p->now, "fingerprints", &p->now));
    GR_TRY(gr_allocate_zero(p->n, sizeof *p->earlier, "fingerprints", &p->earlier));
    status = gr_text_format(&p->secrets, "%s/secrets", p->run_path);
out:
    return status;
}

/* fingerprints.json is written only after the comparison has succeeded: a refused start leaves the
 * evidence as it was. */
gr_status gr_cohort_fingerprint(struct gr_cohort *cohort, const char *run_path,
                                const struct gr_run_data *earlier) {
    struct prints p = {.cohort = cohort, .run_path = run_path};
    struct gr_run_data told = *earlier;
    gr_status status;
    bool news;
    GR_TRY(gr_comm_agree(cohort->comm, make_room(&p)));
    GR_TRY(gr_comm_broadcast(cohort->comm, &told, sizeof told));
    GR_TRY(take_prints(&p));
    GR_TRY(read_earlier(&p, &told));
    GR_TRY(compare_all(&p));
    cohort->n_uncompared = merge(&p, &news);
    const struct gr_fingerprints all = {.n_silos = cohort->data->n_silos, .print = p.now};
    GR_TRY(gr_comm_agree(cohort->comm, news && gr_comm_rank(cohort->comm) == 0
                                           ? gr_fingerprints_write(run_path, &all)
                                           : GR_OK));
    set_run_data(cohort, &p, &told);
out:
    gr_free(p.secrets);
    gr_free(p.earlier);
    gr_free(p.now);
    return status;
}
