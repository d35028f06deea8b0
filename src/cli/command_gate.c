/* SPDX-License-Identifier: Apache-2.0 */
/* granary gate: whether a run's model may go on, for jobs that depend on it and for people. */
#include "cli/command.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

/* "0.8412", "0.8402 to 0.8422" */
static void found_text(const struct gr_gate_result *gate, char out[64]) {
    if (!isfinite(gate->lower))
        snprintf(out, 64, "not known");
    else if (gate->lower < gate->upper)
        snprintf(out, 64, "%.6g to %.6g", gate->lower, gate->upper);
    else
        snprintf(out, 64, "%.6g", gate->lower);
}

static void limit_text(const struct gr_gate_result *gate, char out[64]) {
    if (isfinite(gate->limit))
        snprintf(out, 64, "at %s %.6g", gate->at_most ? "most" : "least", gate->limit);
    else
        snprintf(out, 64, "finished");
}

static void print_table(const struct gr_gate_result *gates, size_t n) {
    char found[64], limit[64];
    for (size_t i = 0; i < n; i++) {
        const struct gr_gate_result *gate = &gates[i];
        limit_text(gate, limit);
        found_text(gate, found);
        printf("%-10s  %-32s  %s", gate->passed ? "passed" : "NOT PASSED", gate->name, limit);
        if (isfinite(gate->lower)) printf(", found %s", found);
        if (gate->why[0]) printf(": %s", gate->why);
        putchar('\n');
    }
}

static json_t *real(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static gr_status print_json(const struct gr_gate_result *gates, size_t n, bool passed) {
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct gr_gate_result *gate = &gates[i];
        json_array_append_new(
            all, json_pack("{s:s, s:b, s:s, s:o, s:o, s:o, s:s?}", "gate", gate->name, "passed",
                           gate->passed, "require", gate->at_most ? "at_most" : "at_least", "limit",
                           real(gate->limit), "lower", real(gate->lower), "upper",
                           real(gate->upper), "why", gate->why[0] ? gate->why : NULL));
    }
    json_t *result = json_pack("{s:b, s:o}", "passed", passed, "gates", all);
    char *text = result ? json_dumps(result, JSON_INDENT(1)) : NULL;
    const gr_status status =
        text ? GR_OK : gr_fail(GR_ERROR_INTERNAL, "memory for JSON was refused");
    if (text) puts(text);
    free(text);
    json_decref(result);
    return status;
}

static void write_escaped(FILE *file, const char *text) {
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", file);
            break;
        case '>':
            fputs("&gt;", file);
            break;
        case '&':
            fputs("&amp;", file);
            break;
        case '"':
            fputs("&quot;", file);
            break;
        default:
            fputc(*text, file);
        }
}

/* A failed gate is a failure, one whose figure is not known an error, as test frames have it. */
static void write_cases(FILE *file, const struct gr_gate_result *gates, size_t n) {
    size_t failures = 0, errors = 0;
    char found[64], limit[64];
    for (size_t i = 0; i < n; i++) {
        failures += !gates[i].passed && !gates[i].why[0];
        errors += !gates[i].passed && gates[i].why[0];
    }
    fprintf(file,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"granary gate\" "
            "tests=\"%zu\" failures=\"%zu\" errors=\"%zu\">\n",
            n, failures, errors);
    for (size_t i = 0; i < n; i++) {
        const struct gr_gate_result *gate = &gates[i];
        limit_text(gate, limit);
        found_text(gate, found);
        fputs("  <testcase classname=\"granary.gate\" name=\"", file);
        write_escaped(file, gate->name);
        fprintf(file, " %s\"", limit);
        if (gate->passed) {
            fputs("/>\n", file);
            continue;
        }
        fprintf(file, "><%s message=\"", gate->why[0] ? "error" : "failure");
        if (gate->why[0])
            write_escaped(file, gate->why);
        else
            fprintf(file, "found %s", found);
        fputs("\"/></testcase>\n", file);
    }
    fputs("</testsuite>\n", file);
}

static gr_status write_junit(const char *path, const struct gr_gate_result *gates, size_t n) {
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    if (file) write_cases(file, gates, n);
    bool failed = !file || ferror(file);
    if (file && fclose(file) != 0) failed = true;
    const gr_status status = failed ? gr_fail(GR_ERROR_INTERNAL, "memory for XML was refused")
                                    : gr_file_write(path, text, length);
    free(text);
    return status;
}

gr_status gr_command_gate(struct gr_invocation *invocation) {
    const char *junit = NULL, *file = NULL;
    struct gr_gate_result *gates = NULL;
    size_t n = 0, passed = 0;
    bool as_json = false;
    gr_status status;
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == 'u')
            junit = optarg;
        else if (option == 'g')
            file = optarg;
        else if (option == 'j')
            as_json = true;
        else
            return GR_ERROR_USAGE;
    }
    if (invocation->argc - optind != 1)
        return gr_fail(GR_ERROR_USAGE,
                       "gate: found %d words, expected a run directory; see "
                       "`granary help gate`",
                       invocation->argc - optind);
    if (junit) GR_TRY(gr_file_check_output(junit, NULL, 0));
    GR_TRY(gr_gates_judge(invocation->argv[optind], file, &gates, &n));
    for (size_t i = 0; i < n; i++)
        passed += gates[i].passed;
    if (as_json)
        GR_TRY(print_json(gates, n, passed == n));
    else
        print_table(gates, n);
    if (junit) GR_TRY(write_junit(junit, gates, n));
    if (passed < n)
        status = gr_fail(GR_NOT_PASSED, "%s: %zu of %zu gates are not passed",
                         invocation->argv[optind], n - passed, n);
out:
    gr_free(gates);
    return status;
}
