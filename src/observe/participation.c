/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the report on who took part, and on alerts. */
#include "observe/participation.h"

#include <stdlib.h>
#include <string.h>

#include "observe/html.h"
#include "observe/lines.h"

enum { ALERTS_SHOWN = 50 };

/* ---- who took part -------------------------------------------------------------------------- */

bool gr_participation_is_partial(const struct gr_metrics *metrics) {
    return metrics->participants < metrics->selected;
}

static size_t count_partial(const struct gr_metrics *rounds, size_t n) {
    size_t partial = 0;
    for (size_t i = 0; i < n; i++)
        partial += gr_participation_is_partial(&rounds[i]);
    return partial;
}

void gr_participation_sentence(FILE *page, const struct gr_metrics *rounds, size_t n) {
    size_t partial = count_partial(rounds, n);
    if (partial == 0) return;
    fputs("<p>In ", page);
    gr_html_count(page, partial);
    fputs(" of ", page);
    gr_html_count(page, n);
    fputs(n == 1 ? " round" : " rounds", page);
    fputs(" some silos were missing.</p>\n", page);
}

static void write_count(FILE *page, const char *label, uint64_t count) {
    fprintf(page, "<tr><td>%s</td><td>", label);
    gr_html_count(page, count);
    fputs("</td></tr>\n", page);
}

void gr_participation_section(FILE *page, const struct gr_metrics *rounds, size_t n) {
    uint64_t dropped = 0, late = 0, sat_out = 0, returned = 0;
    size_t partial = count_partial(rounds, n);
    if (partial == 0) return;
    for (size_t i = 0; i < n; i++) {
        dropped += rounds[i].dropped;
        late += rounds[i].late;
        sat_out += rounds[i].sat_out;
        returned += rounds[i].returned;
    }
    fputs("<h2>Who took part</h2>\n<div class=\"card scroll\"><table class=\"left\"><tbody>\n",
          page);
    write_count(page, "rounds with all silos that were selected", n - partial);
    write_count(page, "rounds with fewer", partial);
    write_count(page, "silos dropped: their process was lost in the round", dropped);
    write_count(page, "silos late: not ready at the round's deadline", late);
    write_count(page, "silos that sat out: their data or update could not be used", sat_out);
    write_count(page, "silos that returned", returned);
    fputs("</tbody></table></div>\n", page);
}

/* ---- alerts --------------------------------------------------------------------------------- */

gr_status gr_alerts_read(const char *path, json_t **out) {
    char *text = NULL;
    const char *line;
    size_t length = 0, at = 0, n;
    *out = NULL;
    gr_status status = gr_lines_read(path, &text, &length);
    if (status != GR_OK) return status;
    json_t *alerts = json_array();
    while (gr_lines_next(text, length, &at, &line, &n)) {
        /* Most events are none: look before parsing. */
        if (!memmem(line, n, "\"alert\"", 7)) continue;
        json_t *json = json_loadb(line, n, 0, NULL);
        const char *event = json_string_value(json_object_get(json, "event"));
        if (event && strcmp(event, "alert") == 0) json_array_append(alerts, json);
        json_decref(json);
    }
    gr_free(text);
    *out = alerts;
    return GR_OK;
}

/* Members that every event has. */
static bool is_common(const char *key) {
    static const char *const common[] = {"n", "time", "event", "round", "previous", "hash"};
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (strcmp(key, common[i]) == 0) return true;
    return false;
}

/* "round 7: reason disk full, lines 3" */
static void write_alert(FILE *page, const json_t *alert) {
    const char *key, *separator = ": ";
    json_t *value;
    fprintf(page, "<li>round %lld", (long long)json_integer_value(json_object_get(alert, "round")));
    /* jansson's iterators take no const. */
    json_object_foreach((json_t *)(uintptr_t)alert, key, value) {
        if (is_common(key)) continue;
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        fputs(separator, page);
        gr_html_text(page, key);
        fputc(' ', page);
        gr_html_text(page, text ? text : json_string_value(value));
        free(text);
        separator = ", ";
    }
    fputs("</li>\n", page);
}

void gr_alerts_section(FILE *page, const json_t *alerts) {
    size_t n = json_array_size(alerts), i;
    json_t *alert;
    if (n == 0) return;
    fputs("<h2>Alerts</h2>\n<div class=\"card\"><ul>\n", page);
    json_array_foreach(alerts, i, alert) {
        if (i < ALERTS_SHOWN) write_alert(page, alert);
    }
    fputs("</ul>\n", page);
    if (n > ALERTS_SHOWN)
        fprintf(page, "<p class=\"muted\">And %zu more, in <code>events.jsonl</code>.</p>\n",
                n - ALERTS_SHOWN);
    fputs("</div>\n", page);
}
