/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shows a page of the manual, and searches the whole of it: pages, help of commands, tables of
 * settings. Pages are compiled into the program, so that the manual is always of its version.
 */
#include "cli/manual.h"
#include "cli/command.h"

#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONTINUATION = 6, NAMES_BYTES = 512 };

const struct gr_page *gr_page_find(const char *name) {
    for (size_t i = 0; i < gr_pages_n; i++)
        if (strcmp(name, gr_pages[i].name) == 0) return &gr_pages[i];
    return NULL;
}

static void print_page(const struct gr_page *page, FILE *stream) {
    for (const char *const *line = page->lines; *line; line++)
        fprintf(stream, "%s\n", *line);
}

/*
 * False: there is no such program. A pager that is left early is no failure; the SIGPIPE that it
 * causes is ignored meanwhile.
 */
static bool show_in_pager(const struct gr_page *page, const char *pager) {
    enum { NOT_FOUND = 127 };
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    FILE *stream = popen(pager, "w");
    int ended = -1;
    if (stream) {
        print_page(page, stream);
        ended = pclose(stream);
    }
    signal(SIGPIPE, before);
    return ended != -1 && !(WIFEXITED(ended) && WEXITSTATUS(ended) == NOT_FOUND);
}

/* A pager only on a terminal and only the user's own choice (PAGER). */
gr_status gr_page_show(const struct gr_page *page) {
    const char *pager = getenv("PAGER");
    const bool wanted = pager && pager[0] && isatty(STDOUT_FILENO);
    if (!wanted || !show_in_pager(page, pager)) print_page(page, stdout);
    return GR_OK;
}

/* ---- searching ------------------------------------------------------------------------------- */

struct search {
    char *const *words;
    size_t n;
    size_t found;            /* pieces printed */
    char apart[NAMES_BYTES]; /* pages that have all words, but not in one piece */
};

/* Lines to be searched. */
struct document {
    const char *name;
    const char *const *lines; /* NULL behind the last */
    bool markdown;            /* else help of a command, or a table of settings */
};

static bool holds_word(const char *const *lines, size_t n, const char *word) {
    for (size_t i = 0; i < n; i++)
        if (strcasestr(lines[i], word)) return true;
    return false;
}

/*
 * Whether each word is in the piece or in its heading, and at least one in the piece: else a
 * heading would make a hit of everything below it.
 */
static bool holds_all(const struct search *search, const char *const *lines, size_t n,
                      const char *heading) {
    bool any = false;
    for (size_t i = 0; i < search->n; i++) {
        const bool here = holds_word(lines, n, search->words[i]);
        if (!here && !strcasestr(heading, search->words[i])) return false;
        any = any || here;
    }
    return any;
}

static bool begins_piece(const char *line) {
    const char *text = line + strspn(line, " ");
    const size_t digits = strspn(text, "0123456789");
    return *text == '\0' || *text == '|' || *text == '#' || strncmp(text, "- ", 2) == 0 ||
           strncmp(text, "```", 3) == 0 || (digits > 0 && strncmp(text + digits, ". ", 2) == 0);
}

/*
 * How many lines belong together: a paragraph, an item, a row. In code, a line and lines indented
 * at least CONTINUATION blanks below it, as help of options is.
 */
static size_t piece_lines(const char *const *lines, bool code) {
    size_t n = 1;
    if (lines[0][0] == '\0' || (!code && strchr("|#", lines[0][0]))) return n;
    while (lines[n] && lines[n][0] != '\0') {
        const bool below = strspn(lines[n], " ") >= CONTINUATION;
        if (code ? !below : begins_piece(lines[n])) break;
        n++;
    }
    return n;
}

static void print_piece(const char *const *lines, size_t n) {
    for (size_t i = 0; i < n; i++)
        printf("    %s\n", lines[i]);
}

/* A line between two places. */
static void print_place(const struct search *search, const struct document *document,
                        const char *heading) {
    printf("%s%s%s%s\n", search->found > 0 ? "\n" : "", document->name, heading[0] ? ": " : "",
           heading);
}

/*
 * "Dates" of "## Dates"; of a page's first line, "# Tables: CSV, IDX", the part behind the name,
 * which is printed already.
 */
static const char *heading_of(const char *line) {
    const char *behind = strstr(line, ": ");
    return line[1] == ' ' && behind ? behind + 2 : line + strspn(line, "# ");
}

static size_t count_lines(const char *const *lines) {
    size_t n = 0;
    while (lines[n])
        n++;
    return n;
}

/* Pages that have all words, but not in one piece; named if nothing better is found. */
static void note_apart(struct search *search, const struct document *document) {
    const size_t used = strlen(search->apart);
    snprintf(search->apart + used, sizeof search->apart - used, "%s%s", used ? ", " : "",
             document->name);
}

/*
 * The heading of a piece is printed once for all its hits. Fences of code switch how pieces are
 * cut, and are themselves no hit.
 */
static void search_document(struct search *search, const struct document *document) {
    const char *const *lines = document->lines;
    const char *heading = "", *printed = NULL;
    const size_t before = search->found, total = count_lines(lines);
    bool code = !document->markdown;
    for (size_t i = 0, n; i < total; i += n) {
        const bool fence = document->markdown && strncmp(lines[i], "```", 3) == 0;
        const bool is_heading = document->markdown && !code && lines[i][0] == '#';
        if (is_heading) heading = heading_of(lines[i]);
        if (fence) code = !code;
        n = fence ? 1 : piece_lines(lines + i, code);
        if (fence || !holds_all(search, lines + i, n, heading)) continue;
        if (printed != heading) print_place(search, document, heading);
        printed = heading;
        if (!is_heading) print_piece(lines + i, n);
        search->found++;
    }
    if (search->found == before && holds_all(search, lines, total, ""))
        note_apart(search, document);
}

/*
 * Text that is no page; it is cut into its lines in place. strtok skips empty lines, which mean
 * nothing in such text.
 */
static gr_status search_text(struct search *search, const char *name, char *text) {
    const char **lines = NULL;
    size_t n = 1;
    for (const char *c = text; *c; c++)
        n += *c == '\n';
    gr_status status = gr_allocate(n + 1, sizeof *lines, "lines", &lines);
    if (status != GR_OK) return status;
    n = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        lines[n++] = line;
    lines[n] = NULL;
    search_document(search, &(struct document){.name = name, .lines = lines});
    gr_free(lines);
    return GR_OK;
}

/*
 * The help is rendered as text and searched like a page, so that it cannot differ from what help
 * shows.
 */
static gr_status search_command(struct search *search, const struct gr_command *command) {
    char name[32], *text = NULL;
    size_t n = 0;
    FILE *stream = open_memstream(&text, &n);
    if (!stream) return gr_fail(GR_ERROR_INTERNAL, "memory for a command's help was refused");
    fprintf(stream, "%s\n", command->summary);
    gr_command_help(stream, command);
    const bool whole = fclose(stream) == 0;
    snprintf(name, sizeof name, "granary %s", command->name);
    gr_status status = whole
                           ? search_text(search, name, text)
                           : gr_fail(GR_ERROR_INTERNAL, "memory for a command's help was refused");
    free(text);
    return status;
}

static gr_status search_commands(struct search *search) {
    gr_status status = GR_OK;
    for (size_t i = 0; status == GR_OK && i < gr_commands_n; i++)
        status = search_command(search, &gr_commands[i]);
    return status;
}

static gr_status search_settings(struct search *search) {
    char *config = NULL, *schema = NULL;
    gr_status status;
    GR_TRY(gr_config_help("", &config));
    GR_TRY(search_text(search, "config", config));
    GR_TRY(gr_schema_help(&schema));
    GR_TRY(search_text(search, "schema", schema));
out:
    gr_free(config);
    gr_free(schema);
    return status;
}

/* Commands and settings come before the pages, as the exact reference. */
gr_status gr_manual_search(char *const *words, size_t n) {
    struct search search = {.words = words, .n = n};
    gr_status status;
    if (n == 0)
        return gr_fail(GR_ERROR_USAGE, "help --search: words are missing; see `granary help`");
    GR_TRY(search_commands(&search));
    GR_TRY(search_settings(&search));
    for (size_t i = 0; i < gr_pages_n; i++)
        search_document(&search, &(struct document){gr_pages[i].name, gr_pages[i].lines, true});
    if (search.found > 0) return GR_OK;
    status =
        gr_fail(GR_ERROR_USAGE, "help --search: %s%s%s",
                search.apart[0] ? "no piece has all words; apart from each other they are in "
                                : "nothing has all words",
                search.apart, n > 1 ? "; try fewer words" : "; `granary help` lists the topics");
out:
    return status;
}
