/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opening: a run before its first round, for people, in a few aligned lines. `granary validate`
 * prints the same, so that its reader sees what train would begin with. It has no names of columns
 * or silos, because logs travel further than tables.
 */
#include "observe/opening.h"

#include <string.h>

enum { SAID_BYTES = 512 };

/* Thousands are separated by commas. 20 digits and 6 commas fit into out. */
void gr_count_text(uint64_t count, char out[32]) {
    char digits[24];
    const int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    size_t used = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = '\0';
}

static void say_line(FILE *stream, const char *name, const char *text) {
    fprintf(stream, "%-10s %s\n", name, text);
}

/* Negative: the policy does not let the number of rows leave (gr_federation_outline). */
static void say_rows(FILE *stream, const struct gr_opening *o) {
    char text[SAID_BYTES], train[32], test[32];
    if (o->train_rows < 0) return;
    gr_count_text((uint64_t)o->train_rows, train);
    snprintf(text, sizeof text, "%s to train on", train);
    if (o->test_rows > 0) {
        gr_count_text((uint64_t)o->test_rows, test);
        snprintf(text + strlen(text), sizeof text - strlen(text), ", a test table of %s", test);
    }
    say_line(stream, "rows", text);
}

/* Ranks stand beside silos because a run with fewer ranks than silos is slower, never different. */
static void say_silos(FILE *stream, const struct gr_opening *o) {
    char text[SAID_BYTES];
    snprintf(text, sizeof text, "%u on %d rank%s", o->silos, o->ranks, o->ranks == 1 ? "" : "s");
    if (o->drawn > 0 && o->drawn < o->silos)
        snprintf(text + strlen(text), sizeof text - strlen(text), "; %u of them in each round",
                 o->drawn);
    if (o->unusable > 0)
        snprintf(text + strlen(text), sizeof text - strlen(text), "; %u cannot be read and sit out",
                 o->unusable);
    say_line(stream, "silos", text);
}

/*
 * Both features and columns are told: categories become several features, which surprises readers
 * of the parameters' number.
 */
static void say_model(FILE *stream, const struct gr_opening *o) {
    char text[SAID_BYTES], number[32], more[32];
    gr_count_text(o->features, number);
    snprintf(text, sizeof text, "%s", number);
    gr_count_text(o->columns, more);
    if (o->columns > 0)
        snprintf(text + strlen(text), sizeof text - strlen(text), ", of tables of %s columns",
                 more);
    say_line(stream, "features", text);
    gr_count_text(o->parameters, number);
    gr_count_text(o->classes, more);
    snprintf(text, sizeof text, "%s, %s parameters, %s%s; %s%s%s", o->model, number,
             o->classes > 0 ? more : "one number", o->classes > 0 ? " classes" : " to predict",
             o->strategy, o->loss ? ", loss " : "", o->loss ? o->loss : "");
    say_line(stream, "model", text);
}

/* The path comes from the user and is quoted: control characters must not reach the terminal. */
void gr_opening_write(FILE *stream, const struct gr_opening *o) {
    char text[SAID_BYTES];
    if (o->run_path) {
        gr_text_quote(o->run_path, strlen(o->run_path), text, sizeof text);
        say_line(stream, "run", text);
    }
    say_silos(stream, o);
    say_rows(stream, o);
    say_model(stream, o);
    snprintf(text, sizeof text, o->rounds_done > 0 ? "%u, of which %u are done" : "%u", o->rounds,
             o->rounds_done);
    say_line(stream, "rounds", text);
}
