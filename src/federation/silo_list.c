/* SPDX-License-Identifier: Apache-2.0 */
/* Silos as events list them: in ranges, so that a rank's loss is a line however many it hosts. */
#include "federation/run.h"

#include <stdio.h>
#include <string.h>

/* first, first + step, ... last, with no other silo between them. */
struct stretch {
    uint32_t first, last, step;
};

/* The silo flagged at `from` or next; n: none. */
static uint32_t next_flagged(const uint8_t *flags, uint32_t n, uint32_t from) {
    while (from < n && !flags[from])
        from++;
    return from;
}

/*
 * The longest stretch that begins with `first`; of fewer than three silos the first alone, because
 * a range of two would be no shorter. Steps above 1 are common: with cyclic placement a rank hosts
 * every n-th silo.
 */
static struct stretch stretch_from(const uint8_t *flags, uint32_t n, uint32_t first) {
    const uint32_t second = next_flagged(flags, n, first + 1), step = second - first;
    uint32_t last = second, third = second == n ? n : next_flagged(flags, n, second + 1);
    if (third == n || third - second != step) return (struct stretch){first, first, 1};
    while (third < n && third - last == step) {
        last = third;
        third = next_flagged(flags, n, last + 1);
    }
    return (struct stretch){first, last, step};
}

static void write_stretch(FILE *out, struct stretch stretch) {
    char first[24], last[24];
    gr_silo_pseudonym(stretch.first, first);
    gr_silo_pseudonym(stretch.last, last);
    fprintf(out, "\"%s", first);
    if (stretch.last != stretch.first) fprintf(out, "..%s", last);
    if (stretch.step != 1) fprintf(out, "/%u", stretch.step);
    fputc('"', out);
}

/*
 * The text is bounded by n_silos entries; gr_events_append cuts lists that are too long for a line.
 */
gr_status gr_silo_list(const char *key, const uint8_t *flags, uint32_t n_silos, char **out,
                       uint32_t *n) {
    size_t length = 0;
    *out = NULL;
    *n = gr_count_flags(flags, n_silos);
    FILE *text = open_memstream(out, &length);
    if (!text) return gr_fail(GR_ERROR_INTERNAL, "memory for a list of silos was refused");
    fprintf(text, "{\"%s\":[", key);
    for (uint32_t i = next_flagged(flags, n_silos, 0), some = 0; i < n_silos; some = 1) {
        const struct stretch stretch = stretch_from(flags, n_silos, i);
        if (some) fputc(',', text);
        write_stretch(text, stretch);
        i = next_flagged(flags, n_silos, stretch.last + 1);
    }
    fputs("]}", text);
    const bool bad = ferror(text) != 0;
    if (fclose(text) == 0 && !bad) return GR_OK;
    gr_free(*out);
    *out = NULL;
    return gr_fail(GR_ERROR_INTERNAL, "memory for a list of silos was refused");
}
