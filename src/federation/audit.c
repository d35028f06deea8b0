/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An audit of a study, and its page. Whatever is found is told, and the audit goes on: whoever
 * reads the page is to see all of it at once.
 */
#include <stdarg.h>
#include <string.h>

#include "federation/audit_parts.h"
#include "federation/run.h"

/* ---- lines ----------------------------------------------------------------------------------- */

static gr_status make_room(struct gr_audit_lines *lines) {
    char **grown;
    const size_t room = 2 * lines->room + 16;
    if (lines->n < lines->room) return GR_OK;
    gr_status status = gr_allocate(room, sizeof *grown, "the page of an audit", &grown);
    if (status != GR_OK) return status;
    if (lines->n > 0) memcpy(grown, lines->line, lines->n * sizeof *grown);
    gr_free(lines->line);
    lines->line = grown;
    lines->room = room;
    return GR_OK;
}

/* A file may hold anything: what comes from one is quoted. */
static void add_line(struct gr_audit_state *audit, struct gr_audit_lines *lines, const char *where,
                     const char *format, va_list arguments) GR_PRINTF(4, 0);
static void add_line(struct gr_audit_state *audit, struct gr_audit_lines *lines, const char *where,
                     const char *format, va_list arguments) {
    char text[2048], quoted[2560], *line = NULL;
    vsnprintf(text, sizeof text, format, arguments);
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    if (make_room(lines) != GR_OK || gr_text_format(&line, "%s%s", where, quoted) != GR_OK)
        audit->refused = true;
    else
        lines->line[lines->n++] = line;
}

void gr_audit_fact(struct gr_audit_state *audit, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add_line(audit, &audit->facts, "", format, arguments);
    va_end(arguments);
}

void gr_audit_holds(struct gr_audit_state *audit, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add_line(audit, &audit->holds, "", format, arguments);
    va_end(arguments);
}

void gr_audit_note(struct gr_audit_state *audit, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add_line(audit, &audit->notes, "", format, arguments);
    va_end(arguments);
}

void gr_audit_amiss(struct gr_audit_state *audit, const char *file, uint64_t line,
                    const char *format, ...) {
    char where[512] = "";
    va_list arguments;
    if (file && line > 0)
        snprintf(where, sizeof where, "%.480s:%llu: ", file, (unsigned long long)line);
    else if (file)
        snprintf(where, sizeof where, "%.480s: ", file);
    va_start(arguments, format);
    add_line(audit, &audit->amiss, where, format, arguments);
    va_end(arguments);
}

static void release_lines(struct gr_audit_lines *lines) {
    for (size_t i = 0; i < lines->n; i++)
        gr_free(lines->line[i]);
    gr_free(lines->line);
}

/* ---- the page -------------------------------------------------------------------------------- */

static void print_lines(FILE *out, const char *title, const struct gr_audit_lines *lines) {
    if (lines->n > 0) fprintf(out, "\n%s\n", title);
    for (size_t i = 0; i < lines->n; i++)
        fprintf(out, "  %s\n", lines->line[i]);
}

static void print_page(const struct gr_audit_state *audit, FILE *out) {
    fprintf(out, "audit of %s\n", audit->options->run_path);
    for (size_t i = 0; i < audit->facts.n; i++)
        fprintf(out, "  %s\n", audit->facts.line[i]);
    print_lines(out, "holds", &audit->holds);
    print_lines(out, "to know", &audit->notes);
    print_lines(out, "AMISS", &audit->amiss);
    fprintf(out, "\n%s\n",
            audit->amiss.n > 0 ? "Something is amiss."
                               : "All that is vouched for is as it was vouched for.");
}

static void release(struct gr_audit_state *audit) {
    release_lines(&audit->facts);
    release_lines(&audit->holds);
    release_lines(&audit->notes);
    release_lines(&audit->amiss);
    gr_config_free(audit->config);
    gr_study_free(audit->study);
    for (size_t i = 0; i < audit->n_versions; i++)
        gr_study_free(audit->versions[i]);
    gr_free(audit->versions);
    gr_free(audit->seals);
    gr_free(audit->seal_line);
    gr_free(audit->files);
}

gr_status gr_audit(const struct gr_audit_options *options, FILE *out) {
    gr_status status = GR_OK;
    struct gr_audit_state audit = {.options = options};
    GR_TRY(gr_audit_study(&audit));
    GR_TRY(gr_audit_run(&audit));
    if (options->n_journals == 0)
        gr_audit_note(&audit,
                      "no journal was given: a run directory alone does not show whether it "
                      "is an older copy");
    for (size_t i = 0; i < options->n_journals; i++)
        GR_TRY(gr_audit_journal(&audit, options->journals[i]));
    if (audit.refused) {
        status = gr_fail(GR_ERROR_INTERNAL, "memory for the page of an audit was refused");
        goto out;
    }
    if (out) print_page(&audit, out);
    if (audit.amiss.n > 0)
        status = gr_fail(GR_ERROR_DATA, "%s: %zu finding%s; the first: %s", options->run_path,
                         audit.amiss.n, audit.amiss.n == 1 ? "" : "s", audit.amiss.line[0]);
out:
    release(&audit);
    return status;
}
