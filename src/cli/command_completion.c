/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary completion: the completions of bash and zsh, made from the table of commands and the
 * table of settings, so that they cannot fall behind either. Words in them are granary's own, never
 * a file's, so that nothing has to be escaped but punctuation.
 */
#include "cli/command.h"
#include "cli/manual.h"

#include <stdlib.h>
#include <string.h>

/*
 * The paths of all settings that --set can replace. help: gr_config_help's table, a setting a line.
 * A path with brackets is an element of a list, which --set cannot name.
 */
static void write_settings(const char *help, const char *between, const char *end) {
    for (const char *line = help; *line; line += strcspn(line, "\n") + 1) {
        const size_t n = strcspn(line, " \n");
        if (!memchr(line, '[', n) && memchr(line, '.', n))
            printf("%s%.*s%s", between, (int)n, line, end);
        if (!strchr(line, '\n')) break;
    }
}

/* The sections of a config, each once: they stand together in the table. */
static void write_sections(const char *help) {
    const char *last = "";
    size_t last_n = 0;
    for (const char *line = help; *line; line += strcspn(line, "\n") + 1) {
        const size_t n = strcspn(line, ".\n");
        if (line[n] == '.' && !memchr(line, ' ', n) &&
            !(n == last_n && strncmp(line, last, n) == 0)) {
            printf(" %.*s", (int)n, line);
            last = line;
            last_n = n;
        }
        if (!strchr(line, '\n')) break;
    }
}

static void write_topics(void) {
    printf("config schema --search");
    for (size_t i = 0; i < gr_commands_n; i++)
        printf(" %s", gr_commands[i].name);
    for (size_t i = 0; i < gr_pages_n; i++)
        printf(" %s", gr_pages[i].name);
}

static void write_names(void) {
    for (size_t i = 0; i < gr_commands_n; i++)
        printf("%s ", gr_commands[i].name);
    printf("help");
}

/* ---- bash ----------------------------------------------------------------------------------- */

/*
 * A case for each option that takes a value, by the word before the cursor: words of a fixed list,
 * files, folders or settings.
 */
static void write_bash_values(const struct gr_command *command) {
    static const char *const completes[] = {[GR_VALUE_OTHER] = "return",
                                            [GR_VALUE_FILE] = "files=-f",
                                            [GR_VALUE_FOLDER] = "files=-d",
                                            [GR_VALUE_SETTING] = "words=$settings"};
    for (const struct gr_option *option = command->options; option->name; option++) {
        if (!option->value) continue;
        printf("        %s:", command->name);
        if (option->letter) printf("-%c | %s:", option->key, command->name);
        if (option->kind == GR_VALUE_WORD)
            printf("--%s) words='%s' ;;\n", option->name, option->words);
        else
            printf("--%s) %s ;;\n", option->name, completes[option->kind]);
    }
}

static void write_bash_options(const struct gr_command *command) {
    printf("        %s) words='", command->name);
    for (const struct gr_option *option = command->options; option->name; option++) {
        if (option->letter) printf("-%c ", option->key);
        printf("--%s ", option->name);
    }
    printf("--help' ;;\n");
}

static void write_bash_arguments(void) {
    printf("        help) words='");
    write_topics();
    printf("' ;;\n");
    for (size_t i = 0; i < gr_commands_n; i++)
        if (gr_commands[i].words)
            printf("        %s) %swords='%s' ;;\n", gr_commands[i].name,
                   gr_commands[i].flags & GR_COMMAND_FILES
                       ? "[ \"$COMP_CWORD\" = 2 ] || files=-f; [ -n \"$files\" ] || "
                       : "",
                   gr_commands[i].words);
    printf("        *) files=-f ;;\n");
}

/*
 * With settings no blank is put behind the word (nospace), for the value follows the "=". Files are
 * completed by bash itself, which quotes names with blanks (filenames).
 */
static void write_bash(const char *settings) {
    printf("# Completion of granary for bash; made by `granary completion bash`.\n"
           "_granary() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    local command=${COMP_WORDS[1]} words='' files='' settings='");
    write_settings(settings, "", "= ");
    printf("'\n"
           "    COMPREPLY=()\n"
           "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
           "        words='");
    write_names();
    printf("'\n"
           "    else\n"
           "        case $command:$before in\n");
    for (size_t i = 0; i < gr_commands_n; i++)
        write_bash_values(&gr_commands[i]);
    printf("        help:config) words=${settings//=/}'");
    write_sections(settings);
    printf("' ;;\n        esac\n"
           "        if [ -z \"$words$files\" ] && [[ $word = -* && $command != help ]]; then\n"
           "            case $command in\n");
    for (size_t i = 0; i < gr_commands_n; i++) {
        printf("    ");
        write_bash_options(&gr_commands[i]);
    }
    printf("            esac\n"
           "        elif [ -z \"$words$files\" ]; then\n"
           "            case $command in\n");
    write_bash_arguments();
    printf("            esac\n"
           "        fi\n"
           "    fi\n"
           "    if [ -n \"$files\" ]; then\n"
           "        mapfile -t COMPREPLY < <(compgen $files -- \"$word\")\n"
           "        compopt -o filenames 2>/dev/null\n"
           "    else\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
           "        [[ $words != \"$settings\" ]] || compopt -o nospace 2>/dev/null\n"
           "    fi\n"
           "}\n"
           "complete -F _granary granary\n");
}

/* ---- zsh ------------------------------------------------------------------------------------ */

/*
 * Text within a single-quoted specification of _arguments: one line, with the characters escaped
 * that mean something there.
 */
static void write_zsh_text(const char *text) {
    for (const char *c = text; *c; c++) {
        if (*c == '\n')
            putchar(' ');
        else if (*c == '\'')
            printf("'\\''");
        else
            printf(strchr("[]:\\", *c) ? "\\%c" : "%c", *c);
    }
}

/*
 * A setting becomes a state ("->setting"), for which write_zsh has compadd put no blank behind
 * "key=".
 */
static void write_zsh_value(const struct gr_option *option) {
    printf(":");
    write_zsh_text(option->value);
    switch (option->kind) {
    case GR_VALUE_FILE:
        printf(":_files");
        break;
    case GR_VALUE_FOLDER:
        printf(":_files -/");
        break;
    case GR_VALUE_WORD:
        printf(":(%s)", option->words);
        break;
    case GR_VALUE_SETTING:
        printf(":->setting");
        break;
    case GR_VALUE_OTHER:
        printf(":");
        break;
    }
}

/*
 * Each option may be given repeatedly ('*'), as --set is; the parser decides where that is wrong.
 */
static void write_zsh_option(const struct gr_option *option) {
    for (int letter = option->letter; letter >= 0; letter--) {
        printf("            '*");
        if (letter)
            printf("-%c", option->key);
        else
            printf("--%s", option->name);
        printf("[");
        write_zsh_text(option->help);
        printf("]");
        if (option->value) write_zsh_value(option);
        printf("' \\\n");
    }
}

/* --help is no row of the table, since main answers it for every command. */
static void write_zsh_command(const struct gr_command *command) {
    printf("    %s)\n        _arguments \\\n", command->name);
    for (const struct gr_option *option = command->options; option->name; option++)
        write_zsh_option(option);
    printf("            '--help[tells more]' \\\n");
    if (command->words) printf("            '1:name:(%s)'", command->words);
    if (command->words && command->flags & GR_COMMAND_FILES) printf(" \\\n");
    if (!command->words || command->flags & GR_COMMAND_FILES) printf("            '*:file:_files'");
    printf("\n        ;;\n");
}

/*
 * The script defines the function and calls it, so that it serves when autoloaded and when sourced.
 */
static void write_zsh(const char *settings) {
    printf("#compdef granary\n"
           "# Completion of granary for zsh; made by `granary completion zsh`.\n"
           "_granary() {\n"
           "    local state\n"
           "    local -a commands settings\n"
           "    commands=(\n");
    for (size_t i = 0; i < gr_commands_n; i++) {
        printf("        '%s:", gr_commands[i].name);
        write_zsh_text(gr_commands[i].summary);
        printf("'\n");
    }
    printf("        'help:show a page of the manual'\n"
           "    )\n"
           "    settings=(\n");
    write_settings(settings, "        ", "=\n");
    printf("    )\n"
           "    if (( CURRENT == 2 )); then\n"
           "        _describe command commands\n"
           "        return\n"
           "    fi\n"
           "    local name=$words[2]\n"
           "    shift words\n"
           "    (( CURRENT-- ))\n"
           "    case $name in\n"
           "    help)\n"
           "        if [[ $words[CURRENT-1] == config ]]; then\n"
           "            compadd -- ${settings%%=}");
    write_sections(settings);
    printf("\n"
           "        else\n"
           "            _values topic ");
    write_topics();
    printf("\n        fi\n        ;;\n");
    for (size_t i = 0; i < gr_commands_n; i++)
        write_zsh_command(&gr_commands[i]);
    printf("    esac\n"
           "    [[ $state != setting ]] || compadd -S '' -a settings\n"
           "}\n"
           "_granary \"$@\"\n");
}

/*
 * Settings come from the help of the config, as text, so that this file need not know their types.
 */
gr_status gr_command_completion(struct gr_invocation *invocation) {
    const char *shell = NULL;
    char *settings = NULL, quoted[80];
    gr_status status = GR_OK;
    if (gr_next_option(invocation) != -1) return GR_ERROR_USAGE;
    GR_TRY(gr_only_argument(invocation, "bash or zsh", &shell));
    GR_TRY(gr_config_help("", &settings));
    if (strcmp(shell, "bash") == 0) {
        write_bash(settings);
    } else if (strcmp(shell, "zsh") == 0) {
        write_zsh(settings);
    } else {
        gr_text_quote(shell, strlen(shell), quoted, sizeof quoted);
        status = gr_fail(GR_ERROR_USAGE, "completion: found '%s', expected bash or zsh", quoted);
    }
out:
    gr_free(settings);
    return status;
}
