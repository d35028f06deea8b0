/* SPDX-License-Identifier: Apache-2.0 */
/* The silos that took part, round by round, and the events on the way. */
#include <string.h>

#include "observe/chart.h"
#include "observe/html.h"
#include "observe/report.h"

enum { SILOS_NAMED = 6 };

/* ---- who took part -------------------------------------------------------------------------- */

enum part { TOOK_PART, LOST, LATE, SAT_OUT, AWAY, PARTS };
_Static_assert((int)PARTS <= (int)GR_REPORT_PARTS, "all of them in a bar");

static uint32_t take(uint32_t wanted, uint32_t *left) {
    uint32_t n = wanted < *left ? wanted : *left;
    *left -= n;
    return n;
}

/*
 * The selected silos of a round, by their fate; they add up to m->selected. The counts of lost and
 * late silos include silos that were not selected, so that each is taken from the missing ones at
 * most.
 */
static void add_parts(const struct gr_metrics *m, double *parts) {
    uint32_t missing = m->participants < m->selected ? m->selected - m->participants : 0;
    parts[TOOK_PART] += m->participants;
    parts[LOST] += take(m->dropped, &missing);
    parts[LATE] += take(m->late, &missing);
    parts[SAT_OUT] += take(m->sat_out, &missing);
    parts[AWAY] += missing;
}

/*
 * Colours as in the rest of the report: s0 for the good case; grey for silos that are still away,
 * which were lost or late in an earlier round.
 */
static void draw_parts(FILE *page, const struct gr_report_run *run) {
    static const char *const names[PARTS] = {"took part", "lost", "late", "sat out", "still away"};
    static const char *const classes[PARTS] = {"s0", "s1", "amber", "s3", "away"};
    gr_report_bars(page, run,
                   (struct gr_bars){.title = "Silos by round",
                                    .unit = "",
                                    .names = names,
                                    .classes = classes,
                                    .n_names = PARTS},
                   add_parts);
}

static void write_count(FILE *page, const char *label, uint64_t count) {
    fprintf(page, "<tr><th scope=\"row\">%s</th><td>", label);
    gr_html_count(page, count);
    fputs("</td></tr>\n", page);
}

/* Counts are of silos and rounds together: a silo that is lost twice counts twice. */
void gr_report_participation(FILE *page, const struct gr_report_run *run) {
    uint64_t dropped = 0, late = 0, sat_out = 0, returned = 0, recoveries = 0;
    size_t partial = 0;
    if (run->n == 0) return;
    for (size_t i = 0; i < run->n; i++) {
        const struct gr_metrics *m = &run->rounds[i];
        partial += m->participants < m->selected;
        dropped += m->dropped;
        late += m->late;
        sat_out += m->sat_out;
        returned += m->returned;
        recoveries += m->recoveries;
    }
    fputs("<h2>Who took part</h2>\n<section class=\"grid two\">\n", page);
    draw_parts(page, run);
    fputs("<div class=\"card scroll\"><table class=\"facts\"><caption>Over the whole run</caption>"
          "<tbody>\n",
          page);
    write_count(page, "rounds with all silos that were selected", run->n - partial);
    write_count(page, "rounds with fewer", partial);
    write_count(page, "silos lost: their process was gone", dropped);
    write_count(page, "silos late: not ready at the round's deadline", late);
    write_count(page, "silos that sat out: their data or update could not be used", sat_out);
    write_count(page, "silos that returned, for the next round on", returned);
    write_count(page, "sums and records repeated on fewer ranks", recoveries);
    fputs("</tbody></table></div>\n</section>\n", page);
}

/* ---- what happened -------------------------------------------------------------------------- */

/*
 * Members that every event has, and members that write_event puts in words; the rest is listed
 * behind.
 */
static bool is_common(const char *key) {
    static const char *const common[] = {"n",    "time",  "event", "round",     "previous",
                                         "hash", "silos", "what",  "silos_cut", "records"};
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (strcmp(key, common[i]) == 0) return true;
    return false;
}

/*
 * The event's words, with {} in place of its silos. NULL: an event of another version, which is
 * shown by its name.
 */
static const char *words_of(const char *event) {
    static const struct {
        const char *event, *words;
    } table[] = {
        {"started", "The run started."},
        {"resumed", "The run was resumed from this round."},
        {"restarted", "The run was started again from the checkpoint of this round."},
        {"takeover", "The rank that kept the records was lost; another took over."},
        {"lost", "Lost, their process was gone: {}."},
        {"late", "Not ready at the deadline: {}."},
        {"returned", "Back, for the next round on: {}."},
        {"sat out: update not finite", "Sat out, an update was not finite: {}."},
        {"sat out: data cannot be read", "Sat out, data could not be read: {}."},
        {"sat out: held-out rows cannot be scored",
         "Left out of the scores, a held-out row has no finite one: {}."},
        {"test table cannot be scored", "Test metrics are undefined: a row cannot be scored"},
        {"damaged checkpoint passed over", "A damaged checkpoint was passed over."},
        {"void",
         "No step was taken: too few parties of its secure sum were left, or one kept away."},
        {"scores left out", "Without scores of silos: too few parties of a secure sum were left."},
        {"quorum lost", "Too few silos were left for a round."},
        {"findings", "Found in the "},
        {"early stop", "Ended early: the score got no better."},
        {"best model", "The model kept is the best so far."},
        {"finished", "The run finished."},
        {"stopped", "The run stopped; it can be resumed."},
        {"failed", "The run failed."},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(event, table[i].event) == 0) return table[i].words;
    return NULL;
}

/* How many silos an entry of a list stands for. */
static uint64_t count_of(const json_t *entry) {
    struct gr_silo_range range;
    if (!gr_json_silos(json_string_value(entry), &range)) return 1;
    return (uint64_t)((range.last - range.first) / range.step) + 1;
}

/* "silo-000, silo-004, silo-010 to silo-099", or of many the first and how many more. */
static void write_silos(FILE *page, const json_t *event) {
    const json_t *silos = json_object_get(event, "silos");
    size_t n = json_array_size(silos), shown = n > SILOS_NAMED + 1 ? SILOS_NAMED : n;
    uint64_t more = gr_json_count(event, "silos_cut");
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(silos, i));
        if (i >= shown) {
            more += count_of(json_array_get(silos, i));
            continue;
        }
        const char *gap = text ? strstr(text, "..") : NULL;
        fputs(i == 0 ? "" : ", ", page);
        gr_html_bytes_of_text(page, text ? text : "",
                              gap    ? (size_t)(gap - text)
                              : text ? strlen(text)
                                     : 0);
        if (gap) fputs(" to ", page);
        if (gap) gr_html_text(page, gap + 2);
    }
    if (more > 0) {
        fputs(" and ", page);
        gr_html_count(page, more);
        fputs(" more", page);
    }
}

/*
 * Members that no words have taken up, "reason disk full, lines 3": so nothing of an event is
 * hidden, whichever version wrote it.
 */
static void write_rest(FILE *page, const json_t *json) {
    const char *key, *separator = " (";
    json_t *value;
    /* jansson's iterators take no const. */
    json_object_foreach((json_t *)(uintptr_t)json, key, value) {
        if (is_common(key)) continue;
        fputs(separator, page);
        gr_html_text(page, key);
        fputc(' ', page);
        gr_html_json(page, value);
        separator = ", ";
    }
    if (separator[0] == ',') fputc(')', page);
}

/*
 * The time of day, UTC, under a row with the date where a new day begins. `day` is the last date
 * that was written.
 */
static void write_time(FILE *page, const char *time, char day[11]) {
    const char *shown = time;
    if (time && strlen(time) == 20 && time[10] == 'T') {
        if (strncmp(day, time, 10) != 0) {
            snprintf(day, 11, "%.10s", time);
            fputs("<tr class=\"day\"><th colspan=\"3\">", page);
            gr_html_text(page, day);
            fputs("</th></tr>\n", page);
        }
        shown = time + 11;
    }
    fputs("<tr><td>", page);
    gr_html_bytes_of_text(page, shown ? shown : "", shown ? strcspn(shown, "Z") : 0);
}

/*
 * Everything that comes from the file passes gr_html_text; only words of the table are written as
 * they are.
 */
static void write_event(FILE *page, const json_t *json, char day[11]) {
    const char *event = gr_json_text(json, "event"), *what = gr_json_text(json, "what");
    const char *words = words_of(event);
    bool alert = strcmp(event, "alert") == 0;
    write_time(page, gr_json_text(json, "time"), day);
    fputs("</td><td>", page);
    gr_html_count(page, gr_json_count(json, "round"));
    fputs("</td><td>", page);
    if (alert) fputs("<b class=\"alert\">Alert</b> ", page);
    const char *gap = words ? strstr(words, "{}") : NULL;
    if (gap) {
        fprintf(page, "%.*s", (int)(gap - words), words);
        write_silos(page, json);
        fputs(gap + 2, page);
    } else if (words) {
        fputs(words, page);
    } else if (!alert) {
        gr_html_text(page, event);
    }
    if (what && !alert && !words) fputs(": ", page);
    if (what) gr_html_text(page, what);
    write_rest(page, json);
    fputs("</td></tr>\n", page);
}

/*
 * Of a long story the first half of GR_REPORT_EVENTS and the newest are shown, as take_event
 * (report_read.c) has kept them.
 */
void gr_report_timeline(FILE *page, const struct gr_report_run *run) {
    const size_t n = json_array_size(run->timeline);
    const size_t head = run->n_events > n ? n / 2 : n;
    if (n == 0) return;
    char day[11] = "";
    fputs("<h2>What happened</h2>\n<div class=\"card scroll\"><table class=\"story\"><thead><tr>"
          "<th scope=\"col\">UTC</th><th scope=\"col\">round</th><th scope=\"col\">event</th>"
          "</tr></thead>\n<tbody>\n",
          page);
    for (size_t i = 0; i < head; i++)
        write_event(page, json_array_get(run->timeline, i), day);
    if (n > head)
        fprintf(page,
                "<tr><td></td><td></td><td class=\"muted\">%zu more, in events.jsonl"
                "</td></tr>\n",
                run->n_events - n);
    for (size_t i = head; i < n; i++)
        write_event(page, json_array_get(run->timeline, i), day);
    fputs("</tbody></table></div>\n", page);
    if (run->n_checkpoints > 0) {
        fputs("<p class=\"muted\">Besides, ", page);
        gr_report_number(page, run->n_checkpoints, "checkpoint was", "checkpoints were");
        fputs(" written.</p>\n", page);
    }
}
