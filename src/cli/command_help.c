/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `granary help`: of commands, of settings, and the pages of the manual. It reads no config and
 * starts no MPI, so that it answers wherever the program runs.
 */
#include "cli/command.h"
#include "cli/manual.h"

#include <string.h>
#include <unistd.h>

/*
 * Written to standard output when it was asked for, and to standard error when a command is
 * missing.
 */
void gr_help_overview(FILE *stream) {
    fputs("granary trains one model across many silos without moving their data.\n\n"
          "usage: granary COMMAND ...\n\n",
          stream);
    for (size_t i = 0; i < gr_commands_n; i++)
        fprintf(stream, "  %-14s %s\n", gr_commands[i].name, gr_commands[i].summary);
    fputs("\n`granary help COMMAND` or `granary COMMAND --help` tells more, with an example.\n"
          "`granary help TOPIC` shows a page of the manual, `granary help --search WORD...` what\n"
          "holds all of the words:\n\n",
          stream);
    fputs("  config         every setting of a config: help config [SECTION]\n"
          "  schema         every setting of a table's columns\n",
          stream);
    for (size_t i = 0; i < gr_pages_n; i++) {
        const char *title = gr_pages[i].title, *behind = strstr(title, ": ");
        fprintf(stream, "  %-14s %s\n", gr_pages[i].name, behind ? behind + 2 : title);
    }
}

/*
 * Words of other tools that people try, and the command that does the same here. Spelling alone
 * would not find them.
 */
static const char *meant_by(const char *word) {
    static const struct {
        const char *word, *command;
    } known[] = {{"resume", "train CONFIG --run DIR --resume"},
                 {"continue", "train CONFIG --run DIR --resume"},
                 {"check", "validate"},
                 {"lint", "validate"},
                 {"test", "evaluate"},
                 {"eval", "evaluate"},
                 {"score", "evaluate"},
                 {"infer", "predict"},
                 {"convert", "import"},
                 {"load", "import"},
                 {"show", "inspect"},
                 {"status", "inspect"},
                 {"compare", "report"},
                 {"simulate", "run"},
                 {"fit", "train"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(word, known[i].word) == 0) return known[i].command;
    return NULL;
}

/*
 * The command, topic or table of settings whose name is nearest in spelling; with_topics false:
 * commands only. NULL: none is near.
 */
static const char *nearest_name(const char *word, bool with_topics) {
    enum { NAMES_MAX = 64 };
    const char *names[NAMES_MAX] = {"config", "schema"};
    size_t n = with_topics ? 2 : 0;
    for (size_t i = 0; i < gr_commands_n && n < NAMES_MAX; i++)
        names[n++] = gr_commands[i].name;
    for (size_t i = 0; with_topics && i < gr_pages_n && n < NAMES_MAX; i++)
        names[n++] = gr_pages[i].name;
    return gr_text_nearest(word, names, n);
}

/*
 * Guesses in the order of certainty: an option without a command, a config in a command's place, a
 * page of the manual, a word of another tool, a misspelling.
 */
gr_status gr_command_refuse(const char *name) {
    const char *meant = meant_by(name);
    char quoted[80];
    gr_text_quote(name, strlen(name), quoted, sizeof quoted);
    if (name[0] == '-')
        return gr_fail(GR_ERROR_USAGE,
                       "'%s' is no command: options come behind one, granary COMMAND ...; see "
                       "`granary help`",
                       quoted);
    if (access(name, F_OK) == 0 && gr_is_yaml_name(name))
        return gr_fail(GR_ERROR_USAGE,
                       "'%s' is no command, did you mean `granary train %s`; see `granary help`",
                       quoted, quoted);
    if (gr_page_find(name))
        return gr_fail(GR_ERROR_USAGE,
                       "'%s' is no command but a page of the manual: `granary help %s`", quoted,
                       quoted);
    if (!meant) meant = nearest_name(name, false);
    return gr_fail(GR_ERROR_USAGE, "'%s' is no command%s%s%s; see `granary help`", quoted,
                   meant ? ", did you mean '" : "", meant ? meant : "", meant ? "'" : "");
}

/* ---- granary help ... ------------------------------------------------------------------------ */

/* The settings of a config, or of a schema's columns. */
static gr_status help_settings(const char *which, const char *section) {
    char *page = NULL;
    gr_status status =
        strcmp(which, "config") == 0 ? gr_config_help(section, &page) : gr_schema_help(&page);
    if (status == GR_OK) fputs(page, stdout);
    gr_free(page);
    return status;
}

/* With the topics and not only the commands among the names that may have been meant. */
static gr_status refuse_topic(const char *name) {
    const char *meant = meant_by(name);
    char quoted[80];
    gr_text_quote(name, strlen(name), quoted, sizeof quoted);
    if (!meant) meant = nearest_name(name, true);
    return gr_fail(GR_ERROR_USAGE,
                   "help: '%s' is no command and no topic%s%s%s; `granary help` lists them, "
                   "`granary help --search WORD` searches the manual",
                   quoted, meant ? ", did you mean '" : "", meant ? meant : "", meant ? "'" : "");
}

/* Pages go before commands of the same name; `config` and `schema` are the tables of settings. */
gr_status gr_help(int argc, char **argv) {
    const char *about = argc > 0 ? argv[0] : "";
    const struct gr_command *command = gr_command_find(about);
    const struct gr_page *page = gr_page_find(about);
    if (argc == 0) {
        gr_help_overview(stdout);
        return GR_OK;
    }
    if (strcmp(about, "--search") == 0) return gr_manual_search(argv + 1, (size_t)argc - 1);
    if (strcmp(about, "config") == 0 || strcmp(about, "schema") == 0)
        return help_settings(about, argc > 1 ? argv[1] : "");
    if (page) return gr_page_show(page);
    if (!command) return refuse_topic(about);
    printf("granary %s: %s\n\n", command->name, command->summary);
    gr_command_help(stdout, command);
    return GR_OK;
}
