/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of silos, by which their random numbers go: a silo that is taken out of a list, or put into
 * it, moves no other's. Two names whose digests begin alike would give two silos the same numbers;
 * they are refused, for any way out would depend on the other silo.
 */
#include "config/rules.h"
#include "config/spot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t gr_name_stream(const char *name) {
    unsigned char digest[GR_DIGEST_BYTES];
    uint32_t stream = 0;
    gr_digest_of(name, strlen(name), digest);
    for (int i = 0; i < 4; i++)
        stream |= (uint32_t)digest[i] << 8 * i;
    return stream;
}

bool gr_silos_named(const struct gr_config *config) {
    return config->silos_count > 0 && config->silos[0].name[0] != '\0';
}

uint32_t gr_silo_stream(const struct gr_config *config, uint32_t silo) {
    return gr_silos_named(config) ? gr_name_stream(config->silos[silo].name) : silo;
}

uint32_t gr_silo_find(const struct gr_config *config, const char *name) {
    uint32_t i = 0;
    while (i < config->silos_count && (!name[0] || strcmp(config->silos[i].name, name) != 0))
        i++;
    return i < config->silos_count ? i : config->data.silos;
}

/* ---- rules ----------------------------------------------------------------------------------- */

struct stream_of_name {
    uint32_t stream, place;
};

static int by_stream(const void *a, const void *b) {
    const struct stream_of_name *x = a, *y = b;
    return x->stream != y->stream ? (x->stream > y->stream) - (x->stream < y->stream)
                                  : (x->place > y->place) - (x->place < y->place);
}

/* Equal names have equal streams, so that one order finds both. */
gr_status gr_names_clash(const char *const *names, uint32_t n, uint32_t *one, uint32_t *other) {
    struct stream_of_name *list = NULL;
    gr_status status;
    *one = *other = n;
    GR_TRY(gr_allocate(n, sizeof *list, "names of silos", &list));
    for (uint32_t i = 0; i < n; i++)
        list[i] = (struct stream_of_name){gr_name_stream(names[i]), i};
    if (n > 1) qsort(list, n, sizeof *list, by_stream);
    for (uint32_t i = 1; i < n && *one == n; i++) {
        if (list[i].stream != list[i - 1].stream) continue;
        *one = list[i - 1].place;
        *other = list[i].place;
    }
out:
    gr_free(list);
    return status;
}

static void refuse_name(const struct gr_rule_context *r, uint32_t silo, const char *what) {
    const struct gr_node *entry = gr_node_at(r->root, "silos")->child;
    char path[24];
    for (uint32_t i = 0; i < silo; i++)
        entry = entry->next;
    snprintf(path, sizeof path, "silos[%u]", silo);
    if (gr_rule_member_sound(entry, "name")) gr_rule_refuse_member(r, entry, path, "name", what);
}

/* The names one by one; false: some is missing, or is none. */
static bool check_each(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const bool first = gr_silos_named(config);
    char quoted[72], what[160];
    bool good = true;
    for (uint32_t i = 0; i < config->silos_count && good; i++) {
        const char *name = config->silos[i].name;
        gr_text_quote(name, strlen(name), quoted, sizeof quoted);
        good = first ? gr_is_study_name(name) : !name[0];
        if (first && !name[0])
            snprintf(what, sizeof what, "found none, allowed one for each silo, or for none");
        else if (first)
            snprintf(what, sizeof what, "found \"%s\", allowed " GR_NAME_WORDS, quoted);
        else
            snprintf(what, sizeof what,
                     "found \"%s\", and none of silos[0], allowed one for each silo, or for none",
                     quoted);
        if (!good) refuse_name(r, i, what);
    }
    return good;
}

static void check_clash(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const char **names = NULL;
    char what[256];
    uint32_t one, other;
    /* Where memory is refused here it is so soon after. */
    if (gr_allocate(config->silos_count, sizeof *names, "names of silos", &names) != GR_OK) return;
    for (uint32_t i = 0; i < config->silos_count; i++)
        names[i] = config->silos[i].name;
    if (gr_names_clash(names, config->silos_count, &one, &other) == GR_OK && one < other) {
        if (strcmp(names[one], names[other]) == 0)
            snprintf(what, sizeof what, "found \"%s\" a second time, allowed once", names[other]);
        else
            snprintf(what, sizeof what,
                     "found \"%s\", which would draw the random numbers of \"%s\", allowed another "
                     "name",
                     names[other], names[one]);
        refuse_name(r, other, what);
    }
    gr_free(names);
}

/* Rows that are dealt to silos are dealt by their places, so that a name would promise too much. */
void gr_rules_of_silo_names(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    if (config->silos_count == 0 || !gr_rule_sound(r, "silos")) return;
    if (!check_each(r) || !gr_silos_named(config)) return;
    if (config->data.silo_tables_count == 0 && gr_rule_sound(r, "data.silo_tables"))
        refuse_name(r, 0, "found a name, allowed none without data.silo_tables");
    else
        check_clash(r);
}
