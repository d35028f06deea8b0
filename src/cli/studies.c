/* SPDX-License-Identifier: Apache-2.0 */
/* Studies and sites for people: shown by `granary study`, `approve` and `validate`. */
#include "cli/command.h"

#include <granary/policy.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* "age, sex, ..." behind a label, in lines of at most 90 bytes. */
static void print_words(const char *label, const char *const *words, size_t n) {
    enum { INDENT = 13, WIDTH = 90 };
    size_t at = (size_t)printf("%-*s", INDENT, label);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && at + strlen(words[i]) + 2 > WIDTH)
            at = (size_t)printf(",\n%*s", INDENT, "") - 2;
        else if (i > 0)
            at += (size_t)printf(", ");
        at += (size_t)printf("%s", words[i]);
    }
    putchar('\n');
}

/* Columns by what becomes of them; none of text, which is never read into the rows. */
static void print_columns(const struct gr_schema *schema) {
    const char **names = NULL;
    size_t n = 0;
    if (gr_allocate(schema->columns_count, sizeof *names, "names of columns", &names) != GR_OK)
        return;
    for (unsigned i = 0; i < schema->columns_count; i++)
        if (gr_column_has_value(schema->columns[i].type)) names[n++] = schema->columns[i].name;
    print_words("features", names, n);
    for (unsigned i = 0; i < schema->columns_count; i++) {
        const struct gr_column *c = &schema->columns[i];
        if (!gr_column_has_value(c->type) && c->type != GR_COLUMN_TEXT)
            printf("%-13s%s\n", gr_column_type_text(c->type), c->name);
    }
    gr_free(names);
}

void gr_print_study(const struct gr_study *study) {
    const struct gr_config *c = study->config;
    char digest[GR_DIGEST_HEX], key[GR_PUBLIC_KEY_TEXT];
    gr_digest_hex(study->digest, digest);
    printf("study        %s\ndigest       %s\n", study->name, digest);
    if (study->n_follows > 0) {
        gr_digest_hex(study->follows[0], digest);
        printf("follows      %s\n", digest);
    }
    for (uint32_t p = 0; p < study->n_parties; p++) {
        const struct gr_study_site own = study->sites[p];
        gr_public_key_text(&study->parties[p].key, key);
        printf("%-13s%s", p == 0 ? "coordinator" : "site", p == 0 ? "" : study->parties[p].name);
        for (uint32_t i = 0; p > 0 && i < own.n_silos; i++)
            printf("%s%s", i == 0 ? ", silos: " : ", ", study->silos[own.first_silo + i]);
        if (study->parties[p].left) printf(", has left");
        printf("%s%*s%s\n", p == 0 ? "" : "\n", p == 0 ? 0 : 13, "", key);
    }
    printf("training     %s, %u rounds, %s\n", gr_model_type_text(c->model.type), c->run.rounds,
           c->strategy.name);
    if (c->model.initial_digest[0]) printf("starts from  the model %s\n", c->model.initial_digest);
    if (study->schema)
        print_columns(study->schema);
    else
        printf("columns      the study has no schema: they follow from the sites' tables\n");
}

/* A gr_study_change_function. */
static void print_change(void *context, const struct gr_study_change *change) {
    size_t *n = context;
    printf("  %s%s%s%s\n", change->words, change->refused ? " (refused: " : "",
           change->refused ? change->refused : "", change->refused ? ")" : "");
    ++*n;
}

gr_status gr_print_changes(const struct gr_study *then, const struct gr_study *now) {
    size_t n = 0;
    const gr_status status = gr_study_compare(then, now, print_change, &n);
    if (status == GR_OK && n == 0) puts("  no setting is another");
    return status;
}

gr_status gr_tell_refused(const struct gr_study *study) {
    const gr_status status = gr_policy_check_defaults(study);
    if (status != GR_ERROR_POLICY) return status;
    printf("to mind: sites refuse this study unless their own files allow it:\n%s\n", gr_message());
    return GR_OK;
}

/* ---- granary validate ------------------------------------------------------------------------ */

gr_status gr_validate_study(const char *path) {
    struct gr_study *study = NULL;
    char *beside = NULL;
    gr_status status;
    GR_TRY(gr_text_format(&beside, "%s.sig", path));
    const bool is_signed = access(beside, F_OK) == 0;
    GR_TRY(is_signed ? gr_study_load(path, &study) : gr_study_read(path, &study));
    printf(
        "%s: a study of %u sites with %u silos; %s\n", path, study->n_parties - 1, study->n_silos,
        is_signed ? "signed by its coordinator" : "not signed yet: `granary study sign` does it");
    status = gr_tell_refused(study);
out:
    gr_study_free(study);
    gr_free(beside);
    return status;
}

/* A table that cannot be opened is found before the others are waited for. */
static gr_status check_table(const struct gr_site *site, unsigned silo, const char *key,
                             const char *path) {
    if (!path[0] || access(path, R_OK) == 0) return GR_OK;
    return gr_fail(GR_ERROR_DATA, "%s:%zu: silos[%u].%s: %s: %s", site->path,
                   gr_site_line(site, "silos"), silo, key, path, strerror(errno));
}

gr_status gr_validate_site(const char *path) {
    struct gr_site *site = NULL;
    char key[GR_PUBLIC_KEY_TEXT];
    gr_status status;
    GR_TRY(gr_site_load(path, &site));
    const struct gr_site_config *s = site->settings;
    for (unsigned i = 0; i < s->silos_count; i++) {
        GR_TRY(check_table(site, i, "features", s->silos[i].features));
        GR_TRY(check_table(site, i, "labels", s->silos[i].labels));
        GR_TRY(check_table(site, i, "file", s->silos[i].file));
    }
    gr_public_key_text(gr_keys_public(site->keys), key);
    printf("%s: a site with %u silo%s, by %s; its key is\n%s\n", path, s->silos_count,
           s->silos_count == 1 ? "" : "s", s->mailbox.url[0] ? s->mailbox.url : s->mailbox.folder,
           key);
out:
    gr_site_free(site);
    return status;
}
