/* SPDX-License-Identifier: Apache-2.0 */
/* Silos as events list them: in ranges, so that a rank's loss is a line however many it hosts. */
#include "federation/run.h"

#include <stdio.h>
#include <string.h>

/* first, first + step, ... last, with no other silo between them. */
struct stretch {
    uint32_t first, last, step;
};

/*
 * The longest stretch that begins with silo[0] of n; of fewer than three silos the first alone,
 * because a range of two would be no shorter. *taken: how many it holds. Steps above 1 are common:
 * with cyclic placement a rank hosts every n-th silo.
 */
static struct stretch stretch_from(const uint32_t *silo, uint32_t n, uint32_t *taken) {
    uint32_t k = 2;
    const uint32_t step = n > 1 ? silo[1] - silo[0] : 1;
    while (k < n && silo[k] - silo[k - 1] == step)
        k++;
    *taken = n < 3 || k < 3 ? 1 : k;
    if (*taken == 1) return (struct stretch){silo[0], silo[0], 1};
    return (struct stretch){silo[0], silo[k - 1], step};
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

/* The text is bounded by n entries; gr_events_append cuts lists that are too long for a line. */
gr_status gr_silo_list(const char *key, const uint32_t *silo, uint32_t n, char **out) {
    size_t length = 0;
    *out = NULL;
    FILE *text = open_memstream(out, &length);
    if (!text) return gr_fail(GR_ERROR_INTERNAL, "memory for a list of silos was refused");
    fprintf(text, "{\"%s\":[", key);
    for (uint32_t i = 0, taken; i < n; i += taken) {
        if (i > 0) fputc(',', text);
        write_stretch(text, stretch_from(silo + i, n - i, &taken));
    }
    fputs("]}", text);
    const bool bad = ferror(text) != 0;
    if (fclose(text) == 0 && !bad) return GR_OK;
    gr_free(*out);
    *out = NULL;
    return gr_fail(GR_ERROR_INTERNAL, "memory for a list of silos was refused");
}
