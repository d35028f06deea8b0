/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launcher, mpirun of Open MPI 4 or later, and the words it is started with. All differences
 * between its generations stand here.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/launch.h"

enum { VERSION_SECONDS = 30 };

/*
 * Grows word by word: a command line is short. A NULL always stands behind the last, as execv needs
 * it.
 */
gr_status gr_words_add(struct gr_words *words, const char *format, ...) {
    char *text = NULL;
    va_list list;
    va_start(list, format);
    int n = vasprintf(&text, format, list);
    va_end(list);
    char **grown = n < 0 ? NULL : realloc(words->word, (words->n + 2) * sizeof *grown);
    if (!grown) {
        if (n >= 0) free(text);
        return gr_fail(GR_ERROR_INTERNAL, "memory for a command line was refused");
    }
    words->word = grown;
    words->word[words->n++] = text;
    words->word[words->n] = NULL;
    return GR_OK;
}

void gr_words_release(struct gr_words *words) {
    for (size_t i = 0; i < words->n; i++)
        free(words->word[i]);
    free(words->word);
    *words = (struct gr_words){0};
}

/*
 * The first number of "mpirun (Open MPI) 4.1.4"; 0: another launcher, whose options are not known.
 */
static int generation_of(const char *text) {
    const char *name = strstr(text, "(Open MPI)");
    return name ? atoi(name + strlen("(Open MPI)")) : 0;
}

/*
 * Where `name` is in PATH; NULL: nowhere. execvp would search by itself, but resolve_folder needs
 * the path. An empty element of PATH is the working folder, as in a shell. Caller frees.
 */
static char *find_in_path(const char *name) {
    const char *path = getenv("PATH");
    char *copy = path ? strdup(path) : NULL, *rest = copy, *folder, *found = NULL;
    while (!found && rest && (folder = strsep(&rest, ":"))) {
        if (asprintf(&found, "%s/%s", *folder ? folder : ".", name) < 0) {
            found = NULL;
            break;
        }
        if (access(found, X_OK) == 0) break;
        free(found);
        found = NULL;
    }
    free(copy);
    return found;
}

/*
 * The launcher's folder as it is, where its path leads through a link: Open MPI takes the folder
 * above for its prefix, and that of /bin/mpirun, where /bin is a link to /usr/bin, is no folder at
 * all. Its own name stays: it may be a link that tells the program what to be.
 */
static void resolve_folder(char **path) {
    char *copy = strdup(*path), *slash = copy ? strrchr(copy, '/') : NULL, *whole = NULL;
    if (slash) *slash = '\0';
    char *folder = slash ? realpath(slash == copy ? "/" : copy, NULL) : NULL;
    if (folder && asprintf(&whole, "%s/%s", folder, slash + 1) >= 0) {
        free(*path);
        *path = whole;
    }
    free(folder);
    free(copy);
}

/*
 * --version is asked with a time limit, since an mpirun on a file system that hangs would block
 * here.
 */
gr_status gr_launcher_find(struct gr_launcher *launcher) {
    gr_status status = GR_OK;
    struct gr_words words = {0};
    char said[256];
    const char *named = getenv("GRANARY_MPIRUN");
    launcher->path = named && *named ? (strchr(named, '/') ? strdup(named) : find_in_path(named))
                                     : find_in_path("mpirun");
    if (!launcher->path) {
        status = gr_fail(GR_ERROR_USAGE, "%s: not found in PATH; GRANARY_MPIRUN can name it",
                         named && *named ? named : "mpirun");
        goto out;
    }
    resolve_folder(&launcher->path);
    GR_TRY(gr_words_add(&words, "%s", launcher->path));
    GR_TRY(gr_words_add(&words, "--version"));
    if (!gr_watch_quick(&words, VERSION_SECONDS, said, sizeof said)) {
        status = gr_fail(GR_ERROR_USAGE, "%s: does not answer to --version", launcher->path);
        goto out;
    }
    launcher->generation = generation_of(said);
    if (launcher->generation < 4)
        status = gr_fail(GR_ERROR_USAGE, "%s: found '%.*s', expected Open MPI 4 or later",
                         launcher->path, (int)strcspn(said, "\n"), said);
out:
    gr_words_release(&words);
    return status;
}

/*
 * Options that keep the job alive when a rank dies, and let it have more ranks than cores. Without
 * them mpirun ends all ranks with the first that dies, and nothing could be survived in flight.
 */
static gr_status add_recovery(const struct gr_launcher *launcher, struct gr_words *words) {
    /* Without the second, daemons on several hosts never end a job whose ranks end with an error.
     */
    static const char *const four[] = {
        "--enable-recovery", "--mca", "orte_abort_on_non_zero_status", "0",
        "--oversubscribe",   NULL};
    /* Open MPI 5 takes --map-by once, and it is the user's: this is what it is added to. */
    static const char *const five[] = {
        "--with-ft", "ulfm", "--prtemca", "rmaps_default_mapping_policy", ":oversubscribe", NULL};
    gr_status status = GR_OK;
    for (const char *const *word = launcher->generation < 5 ? four : five; *word; word++)
        GR_TRY(gr_words_add(words, "%s", *word));
out:
    return status;
}

/* "--" ends the options, as a config's name may begin with a dash. */
static gr_status add_train(const struct gr_start *start, struct gr_words *words) {
    gr_status status = GR_OK;
    char self[PATH_MAX];
    GR_TRY(gr_own_program(self));
    GR_TRY(gr_words_add(words, "%s", self));
    GR_TRY(gr_words_add(words, "train"));
    for (size_t i = 0; i < start->overrides->n; i++) {
        GR_TRY(gr_words_add(words, "--set"));
        GR_TRY(gr_words_add(words, "%s", start->overrides->text[i]));
    }
    /* Always named, so that a restart goes on in the same directory. */
    GR_TRY(gr_words_add(words, "--run"));
    GR_TRY(gr_words_add(words, "%s", start->run_path));
    if (start->resume) GR_TRY(gr_words_add(words, "--resume"));
    if (start->quiet) GR_TRY(gr_words_add(words, "--quiet"));
    GR_TRY(gr_words_add(words, "--"));
    GR_TRY(gr_words_add(words, "%s", start->config_path));
out:
    return status;
}

/* -x exports the variables to ranks on other hosts. The caller releases `out`, also on failure. */
gr_status gr_start_words(const struct gr_start *start, struct gr_words *out) {
    gr_status status = GR_OK;
    GR_TRY(gr_words_add(out, "%s", start->launcher->path));
    GR_TRY(add_recovery(start->launcher, out));
    GR_TRY(gr_words_add(out, "-n"));
    GR_TRY(gr_words_add(out, "%u", start->ranks));
    if (start->hosts) {
        GR_TRY(gr_words_add(out, "--host"));
        GR_TRY(gr_words_add(out, "%s", start->hosts));
    }
    GR_TRY(gr_words_add(out, "-x"));
    GR_TRY(gr_words_add(out, GR_STATUS_FILE));
    GR_TRY(gr_words_add(out, "-x"));
    GR_TRY(gr_words_add(out, GR_COMM_START_VARIABLE));
    /* The user's last: they are the ones that count where two contradict each other. */
    for (char *const *option = start->options; option && *option; option++)
        GR_TRY(gr_words_add(out, "%s", *option));
    GR_TRY(add_train(start, out));
out:
    return status;
}
