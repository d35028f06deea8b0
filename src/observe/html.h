/* SPDX-License-Identifier: Apache-2.0 */
/* Text and numbers for people, safe to stand in HTML. */
#ifndef GRANARY_OBSERVE_HTML_H
#define GRANARY_OBSERVE_HTML_H

#include <granary/base.h>
#include <jansson.h>
#include <stdio.h>

/* The style sheet of the report. */
extern const char gr_html_style[];

/* Text with all that HTML gives a meaning replaced; NULL is a dash. */
void gr_html_text(FILE *page, const char *text);
/* The same for n bytes. */
void gr_html_bytes_of_text(FILE *page, const char *text, size_t n);
/* A string as it is, anything else as JSON. */
void gr_html_json(FILE *page, const json_t *json);

/* "12,345"; "1.53 MB"; "2 min 5 s"; "0.4213" or a dash for NAN. */
void gr_html_count(FILE *page, uint64_t count);
void gr_html_bytes(FILE *page, double bytes);
void gr_html_seconds(FILE *page, double seconds);
void gr_html_real(FILE *page, double value, int decimals);
/* A share from 0 to 1: "85.71 %", or a dash for NAN. */
void gr_html_percent(FILE *page, double share, int decimals);
/* "not defined: one class only"; reason may be NULL. */
void gr_html_not_defined(FILE *page, const char *reason);

#endif
