/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manual: a page for each topic, in Markdown. The pages are src/cli/manual/NAME.md and are
 * built into the program by src/cli/manual/c.awk; a new page needs its file only.
 */
#ifndef GRANARY_CLI_MANUAL_H
#define GRANARY_CLI_MANUAL_H

#include <granary/base.h>
#include <stdio.h>

struct gr_page {
    const char *name, *title;
    const char *const *lines; /* without their ends; NULL behind the last; the first is the title */
};
/* By name. */
extern const struct gr_page gr_pages[];
extern const size_t gr_pages_n;

/* NULL: there is none of this name. */
const struct gr_page *gr_page_find(const char *name);

/* Through the program of PAGER where standard output is a terminal, else to standard output. */
gr_status gr_page_show(const struct gr_page *page) GR_CHECKED;

/*
 * Prints what of the manual, of the commands' help and of the tables of settings holds all n words,
 * whatever their case, each piece (a paragraph, an item of a list, a row) below its page and
 * heading. GR_ERROR_USAGE: nothing does; the message names the pages that have all words apart from
 * each other.
 */
gr_status gr_manual_search(char *const *words, size_t n) GR_CHECKED;

#endif
