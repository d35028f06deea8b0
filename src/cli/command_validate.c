/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary validate: the refusals of `train` before its first round, found by the code that train
 * itself runs (gr_examine), so the two cannot differ. Ends with the code that train would end with.
 */
#include "cli/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct validate_words {
    const char *config_path, *run_path; /* borrowed; run_path NULL: a new one */
    const char *site_path;              /* of a study; NULL: none was given */
    struct gr_overrides overrides;
    bool resolved;
};

static gr_status read_words(struct gr_invocation *invocation, struct validate_words *words) {
    gr_status status = GR_OK;
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == 's')
            GR_TRY(gr_overrides_add(&words->overrides, optarg));
        else if (option == 'd')
            words->run_path = optarg;
        else if (option == 'f')
            words->site_path = optarg;
        else if (option == 'r')
            words->resolved = true;
        else
            return GR_ERROR_USAGE;
    }
    status = gr_only_argument(invocation, "CONFIG", &words->config_path);
out:
    return status;
}

/* ---- the settings -----------------------------------------------------------------------------
 */

/*
 * Keeps the path of the setting at a line of YAML: "  rounds: 3" below "run:" makes "run.rounds.".
 * The text is gr_config_to_yaml's, with two blanks for each level, so no YAML parser is needed.
 */
static void follow(char path[256], const char *line, size_t n) {
    size_t indent = strspn(line, " "), depth = indent / 2;
    const size_t key = strcspn(line + indent, ":");
    char *at = path;
    for (; depth > 0 && at; depth--) {
        at = strchr(at, '.');
        if (at) at++;
    }
    if (!at || indent + key >= n) return;
    snprintf(at, 256 - (size_t)(at - path), "%.*s.", (int)key, line + indent);
}

/* The resolved config, with a remark where a setting has no default. */
static void print_resolved(const char *yaml) {
    char path[256] = "", name[256];
    for (const char *line = yaml; *line;) {
        const size_t n = strcspn(line, "\n");
        follow(path, line, n);
        snprintf(name, sizeof name, "%s", path);
        if (name[0]) name[strlen(name) - 1] = '\0';
        printf("%.*s%s\n", (int)n, line, gr_config_requires(name) ? "  # required" : "");
        line += n + (line[n] == '\n');
    }
}

/* Without MPI and without tables: the settings alone. */
static gr_status show_resolved(const struct validate_words *words) {
    struct gr_config *config = NULL;
    char *yaml = NULL;
    gr_status status;
    GR_TRY(gr_check_is_config(words->config_path));
    GR_TRY(gr_config_load(words->config_path, words->overrides.text, words->overrides.n, &config));
    GR_TRY(gr_config_to_yaml(config, &yaml));
    print_resolved(yaml);
out:
    gr_free(yaml);
    gr_config_free(config);
    return status;
}

/* ---- what train would find --------------------------------------------------------------------
 */

/*
 * Silos of this rank, on its own terminal: the whole reason may be told here, as it does not leave
 * the rank.
 */
static void print_sitting(const struct gr_examination *e) {
    for (size_t i = 0; i < e->n_sitting; i++)
        fprintf(stderr, "granary: %s\n", e->sitting[i]);
    if (e->n_more > 0) fprintf(stderr, "granary: and %zu silos more\n", e->n_more);
    if (e->n_sitting > 0 && e->status == GR_OK)
        fprintf(stderr, "granary: %zu silo%s would sit out, and the others train\n",
                e->n_sitting + e->n_more, e->n_sitting + e->n_more == 1 ? "" : "s");
}

/*
 * All problems as one message, a line each, cut at GR_MESSAGE_MAX bytes; the first is the one that
 * train would tell.
 */
static gr_status fail_with(const struct gr_examination *e) {
    char message[GR_MESSAGE_MAX] = "";
    for (size_t i = 0; i < e->n; i++) {
        const size_t used = strlen(message);
        snprintf(message + used, sizeof message - used, "%s%s", i > 0 ? "\n" : "", e->problem[i]);
    }
    return gr_fail(e->status, "%s", message);
}

/* A folder for the schema of a study, which is gone when the tables have been read. */
struct scratch_folder {
    char path[64]; /* "": there is none */
};

static void remove_scratch(const struct scratch_folder *folder) {
    char *schema = NULL;
    if (!folder->path[0]) return;
    if (gr_text_format(&schema, "%s/schema.yaml", folder->path) == GR_OK) unlink(schema);
    gr_free(schema);
    rmdir(folder->path);
}

/* The site's own part of a study; nobody's signature is asked for, as this may be a first try. */
static gr_status load_part(const struct validate_words *words, struct scratch_folder *folder,
                           struct gr_config **out) {
    struct gr_study *study = NULL;
    struct gr_site *site = NULL;
    gr_status status;
    GR_TRY(gr_study_read(words->config_path, &study));
    GR_TRY(gr_site_load(words->site_path, &site));
    snprintf(folder->path, sizeof folder->path, "/tmp/granary-validate-XXXXXX");
    if (!mkdtemp(folder->path)) {
        folder->path[0] = '\0';
        status = gr_fail(GR_ERROR_WRITE, "/tmp: no folder can be made for the schema");
        goto out;
    }
    status = gr_study_configure_alone(study, site, folder->path, out);
out:
    gr_site_free(site);
    gr_study_free(study);
    return status;
}

static gr_status load(const struct validate_words *words, struct scratch_folder *folder,
                      struct gr_config **out) {
    if (words->site_path) return load_part(words, folder, out);
    gr_status status = gr_check_is_config(words->config_path);
    if (status != GR_OK) return status;
    return gr_config_load(words->config_path, words->overrides.text, words->overrides.n, out);
}

/*
 * Collective, under MPI if there is one. Every rank reads the config by itself: a host that
 * does not see the file makes all fail, by the agreement.
 */
static gr_status examine(struct gr_invocation *invocation) {
    gr_status status;
    struct validate_words words = {0};
    struct gr_comm *comm = NULL;
    struct gr_config *config = NULL;
    struct gr_examination found = {0};
    struct scratch_folder folder = {""};
    const struct gr_comm_options whole_nodes = {0};
    optind = 1;
    GR_TRY(read_words(invocation, &words));
    GR_TRY(gr_comm_create(invocation->world, &whole_nodes, &comm));
    GR_TRY(gr_comm_agree(comm, load(&words, &folder, &config)));
    GR_TRY(gr_examine(comm, config, words.run_path, &found));
    print_sitting(&found);
    if (found.status != GR_OK) {
        status = fail_with(&found);
    } else if (invocation->speaks) {
        if (words.site_path)
            printf("%s: its tables can be read as by %s\n", words.site_path, words.config_path);
        else
            printf("%s: train would begin\n", words.config_path);
        gr_opening_write(stdout, &found.opening);
        for (size_t i = 0; i < found.n_notes; i++)
            printf("%s\n", found.note[i]);
    }
out:
    gr_examination_release(&found);
    remove_scratch(&folder);
    gr_leave(invocation, comm);
    gr_config_free(config);
    free(words.overrides.text);
    return status;
}

/* A study or a site, which have no settings beside the file. */
static gr_status validate_other(const struct validate_words *words,
                                gr_status (*validate)(const char *path)) {
    if (words->overrides.n > 0 || words->run_path || words->resolved)
        return gr_fail(GR_ERROR_USAGE,
                       "validate: %s is no config, expected no option but --site of a study; see "
                       "`granary help validate`",
                       words->config_path);
    return validate(words->config_path);
}

/*
 * The words are read twice: --resolved needs no MPI, which therefore starts only behind the first
 * reading; optind is reset for the second.
 */
gr_status gr_command_validate(struct gr_invocation *invocation) {
    struct validate_words words = {0};
    gr_status status = read_words(invocation, &words);
    const bool study = status == GR_OK && gr_file_has_section(words.config_path, "study");
    const bool site = status == GR_OK && !study && gr_file_has_section(words.config_path, "site");
    const bool part =
        study && words.site_path && words.overrides.n == 0 && !words.run_path && !words.resolved;
    const bool done = !part && (study || site || words.resolved || words.site_path);
    if (status == GR_OK && words.site_path && !study)
        status = gr_fail(GR_ERROR_USAGE, "validate: %s is no study, expected one with --site",
                         words.config_path);
    else if ((study || site) && !part)
        status = validate_other(&words, study ? gr_validate_study : gr_validate_site);
    else if (status == GR_OK && words.resolved)
        status = show_resolved(&words);
    free(words.overrides.text);
    if (status != GR_OK || done) return status;
    return gr_run_with_mpi(examine, false, invocation);
}
