/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary study trial: a study as a config for one machine, with tables that stand for those of the
 * sites. What is trained by it has the digest that the sites would get from the same tables.
 */
#include "cli/command.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A silo's table by the words SILO=FILE, or SILO=FEATURES,LABELS; the pieces point into `word`. */
static gr_status read_table(char *word, bool idx, struct gr_site_silo_config *silo) {
    static char nothing[] = "";
    char quoted[80], *file = strchr(word, '='), *labels = file ? strchr(file, ',') : NULL;
    *silo = (struct gr_site_silo_config){word, nothing, nothing, nothing, nothing};
    if (!file || !file[1] || (idx && (!labels || !labels[1]))) {
        gr_text_quote(word, strlen(word), quoted, sizeof quoted);
        return gr_fail(GR_ERROR_USAGE, "study trial: found '%s', expected %s", quoted,
                       idx ? "SILO=FEATURES,LABELS" : "SILO=FILE");
    }
    *file++ = '\0';
    if (idx) *labels++ = '\0';
    *(idx ? &silo->features : &silo->file) = file;
    if (idx) silo->labels = labels;
    return GR_OK;
}

/* As `granary init`: what is there stays as it is. */
static gr_status make_folder(const char *folder, const char *config) {
    struct stat found;
    if (lstat(config, &found) == 0)
        return gr_fail(GR_ERROR_WRITE, "%s: is there already, and stays as it is", config);
    if (mkdir(folder, 0777) == 0 || errno == EEXIST) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "%s: %s", folder, strerror(errno));
}

/* With differential privacy each silo has a folder, for its ledger. */
static gr_status add_folders(struct gr_site_silo_config *silos, unsigned n, const char *folder) {
    gr_status status = GR_OK;
    for (unsigned i = 0; i < n; i++)
        GR_TRY(gr_text_format(&silos[i].directory, "%s/%s", folder, silos[i].name));
out:
    return status;
}

static gr_status write_config(const struct gr_study *study, const struct gr_site_silo_config *silos,
                              unsigned n, const char *folder) {
    struct gr_config *config = NULL;
    char *path = NULL, *yaml = NULL;
    gr_status status;
    GR_TRY(gr_text_format(&path, "%s/config.yaml", folder));
    GR_TRY(make_folder(folder, path));
    GR_TRY(gr_study_configure_trial(study, silos, n, folder, &config));
    GR_TRY(gr_config_to_yaml(config, &yaml));
    GR_TRY(gr_file_write(path, yaml, strlen(yaml)));
    printf("%s: %u silos of %u sites on this machine; next:\n  granary run -n %u %s\n", path,
           study->n_silos, study->n_parties - 1, study->n_parties - 1, path);
out:
    gr_config_free(config);
    gr_free(yaml);
    gr_free(path);
    return status;
}

gr_status gr_study_trial(const char *path, char **tables, int n, const char *folder) {
    struct gr_study *study = NULL;
    struct gr_site_silo_config *silos = NULL;
    gr_status status;
    GR_TRY(gr_study_read(path, &study));
    GR_TRY(gr_allocate_zero((size_t)n, sizeof *silos, "tables", &silos));
    for (int i = 0; i < n; i++)
        GR_TRY(read_table(tables[i], study->config->data.source == GR_SOURCE_IDX, &silos[i]));
    if (gr_is_private(study->config)) GR_TRY(add_folders(silos, (unsigned)n, folder));
    status = write_config(study, silos, (unsigned)n, folder);
out:
    for (int i = 0; silos && i < n; i++)
        if (silos[i].directory && silos[i].directory[0]) gr_free(silos[i].directory);
    gr_free(silos);
    gr_study_free(study);
    return status;
}
