/* SPDX-License-Identifier: Apache-2.0 */
/* See run_story.h. */
#include "cli/run_story.h"

#include <granary/journal.h>

#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "observe/json.h"
#include "observe/lines.h"

enum { SILOS_NAMED = 4 };

/* ---- an event in words ---------------------------------------------------------------------- */

static void quote(char *out, size_t size, const char *text) {
    gr_text_quote(text ? text : "", text ? strlen(text) : 0, out, size);
}

/* Appends as far as there is room. */
static void append(char *out, size_t size, const char *separator, const char *text) {
    const size_t n = strlen(out);
    snprintf(out + n, size - n, "%s%s", n > 0 ? separator : "", text);
}

/* Names stand alone, or each with its reason: {"silo": "silo-001", "why": "column 2: ..."}. */
static void tell_silos(const json_t *event, struct gr_run_finding *f) {
    static const char *const lists[] = {"silos", "absent"};
    char text[120] = "", why[240] = "", part[160];
    json_t *entry;
    size_t i, k;
    for (i = 0; i < sizeof lists / sizeof *lists; i++)
        json_array_foreach(json_object_get(event, lists[i]), k, entry) {
            const char *silo =
                json_is_string(entry) ? json_string_value(entry) : gr_json_text(entry, "silo");
            if (k == SILOS_NAMED) append(text, sizeof text, ", ", "...");
            if (k >= SILOS_NAMED || !silo) continue;
            append(text, sizeof text, ", ", silo);
            const char *reason = gr_json_text(entry, "why");
            if (!reason) continue;
            snprintf(part, sizeof part, "%.20s: %.120s", silo, reason);
            append(why, sizeof why, "; ", part);
        }
    quote(f->silos, sizeof f->silos, text);
    if (why[0]) quote(f->words, sizeof f->words, why);
}

/* Of the closing event `why` is a word of its own: the signal, the order. */
static void tell_words(const json_t *event, struct gr_run_finding *f) {
    static const char *const members[] = {"what", "party", "why", "reason", "where", "outcome"};
    char text[240] = "";
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const char *more = gr_json_text(event, members[i]);
        if (more) append(text, sizeof text, ": ", more);
    }
    quote(f->words, sizeof f->words, text);
}

/* ---- findings ------------------------------------------------------------------------------- */

static bool is(const char *name, const char *other) {
    return strcmp(name, other) == 0;
}

static bool begins_stretch(const char *name) {
    return is(name, "started") || is(name, "resumed") || is(name, "restarted") ||
           is(name, "opened");
}

static bool ends_stretch(const char *name) {
    return is(name, "finished") || is(name, "stopped") || is(name, "failed") || is(name, "closed");
}

/*
 * Events of one kind are one finding, of those that are more than a note each of its silos and
 * words. NULL: there are too many.
 */
static struct gr_run_finding *finding_of(struct gr_run_story *story,
                                         const struct gr_runbook_entry *entry,
                                         const struct gr_run_finding *like) {
    for (size_t i = 0; i < story->n; i++) {
        const struct gr_run_finding *f = &story->findings[i];
        const bool alike = is(f->words, like->words) && is(f->silos, like->silos);
        if (f->entry == entry &&
            (alike || entry->weight < 2 || story->n == GR_FINDINGS_OF_RUN_MAX - 1))
            return &story->findings[i];
    }
    if (story->n == GR_FINDINGS_OF_RUN_MAX - 1) return NULL;
    story->findings[story->n] = (struct gr_run_finding){.entry = entry, .first = UINT32_MAX};
    return &story->findings[story->n++];
}

/* Losses before the first round are of round 0. */
static void add(struct gr_run_story *story, const struct gr_runbook_entry *entry, uint32_t round,
                const json_t *event) {
    struct gr_run_finding told = {.entry = entry};
    tell_words(event, &told);
    tell_silos(event, &told);
    struct gr_run_finding *f = finding_of(story, entry, &told);
    if (!f) return;
    if (told.silos[0]) memcpy(f->silos, told.silos, sizeof f->silos);
    if (told.words[0]) memcpy(f->words, told.words, sizeof f->words);
    if (round < f->first) f->first = round;
    f->last = round;
    f->n++;
    f->stretch = story->stretches;
}

/* A run that begins anew in a folder has nothing of the one before. */
static void take_event(struct gr_run_story *story, const char *name, const json_t *event) {
    const uint32_t round = (uint32_t)gr_json_count(event, "round");
    const struct gr_runbook_entry *entry = is(name, "alert")
                                               ? gr_runbook_alert(gr_json_text(event, "what"))
                                               : gr_runbook_find(GR_RUNBOOK_EVENT, name);
    const json_t *code = json_object_get(event, "code");
    if (begins_stretch(name)) {
        story->stretches++;
        story->code = -1;
        if (is(name, "started")) story->n = 0;
    }
    story->ended = ends_stretch(name);
    if (is(name, "checkpoint")) story->checkpoint = round;
    if (ends_stretch(name))
        story->code = json_is_integer(code)  ? (int)json_integer_value(code)
                      : is(name, "finished") ? 0
                      : is(name, "stopped")  ? (int)GR_STOPPED
                                             : -1;
    if (entry && entry->weight > 0) add(story, entry, round, event);
}

/* A file that is not there has no lines. */
static gr_status read_events(const char *path, struct gr_run_story *story) {
    gr_status status = GR_OK;
    struct gr_lines_reader *reader = NULL;
    const char *line;
    size_t n;
    GR_TRY(gr_lines_start(path, &reader));
    for (;;) {
        GR_TRY(gr_lines_next(reader, &line, &n));
        if (!line) break;
        json_t *event = json_loadb(line, n, 0, NULL);
        const char *name = gr_json_text(event, "event");
        if (name)
            take_event(story, name, event);
        else
            story->damaged_lines++;
        json_decref(event);
    }
    story->torn = gr_lines_torn(reader);
out:
    gr_lines_end(reader);
    return status;
}

/* ---- the cause ------------------------------------------------------------------------------ */

/* Adds what no event tells, of a round; there is room for it. */
static void add_state(struct gr_run_story *story, const char *name, uint64_t round) {
    story->cause = story->n;
    story->findings[story->n++] =
        (struct gr_run_finding){.entry = gr_runbook_find(GR_RUNBOOK_EVENT, name),
                                .first = (uint32_t)round,
                                .last = (uint32_t)round,
                                .n = 1,
                                .stretch = story->stretches};
}

/*
 * The heaviest finding of the last stretch from round `from` on, of several the last; the findings
 * that end a stretch themselves are the cause only where nothing else is (closing).
 */
static size_t heaviest(const struct gr_run_story *story, uint32_t from, unsigned least,
                       uint32_t stretch) {
    size_t found = story->n;
    for (size_t i = 0; i < story->n; i++) {
        const struct gr_run_finding *f = &story->findings[i];
        if (ends_stretch(f->entry->name) || f->entry->weight < least || f->last < from ||
            f->stretch < stretch)
            continue;
        if (found == story->n || f->entry->weight >= story->findings[found].entry->weight)
            found = i;
    }
    return found;
}

static size_t closing(const struct gr_run_story *story) {
    for (size_t i = story->n; i-- > 0;)
        if (ends_stretch(story->findings[i].entry->name)) return i;
    return story->n;
}

/*
 * A stop that was asked for has its reason in its own words, and what the run had got over before
 * is not it. A run that has failed has an alert in its last round where the alert is why.
 */
static void find_cause(struct gr_run_story *story) {
    const char *outcome = story->summary.outcome;
    const uint64_t done = story->summary.rounds_done;
    const size_t end = closing(story);
    const bool unknown = strncmp(story->state, "not known", 9) == 0 && !story->ended;
    const bool interrupted = strncmp(story->state, "interrupted", 11) == 0;
    const bool alive =
        strncmp(story->state, "running", 7) == 0 || strncmp(story->state, "about to", 8) == 0;
    if (interrupted || unknown) {
        add_state(story, "killed", done + 1);
    } else if (!alive && end < story->n && !is(outcome, "finished")) {
        const struct gr_run_finding *f = &story->findings[end];
        story->cause = f->words[0] ? end : heaviest(story, f->last, 3, f->stretch);
        if (story->cause == story->n) story->cause = end;
    } else {
        story->cause = heaviest(story, 0, 2, alive ? story->stretches : 0);
        if (story->cause < story->n) return;
        if (story->site)
            add_state(story, "opened", 0);
        else
            add_state(story, alive ? "running" : "finished", alive ? done + 1 : done);
    }
}

gr_status gr_run_story_read(const char *path, struct gr_run_story *out) {
    gr_status status = GR_OK;
    char *events = NULL;
    *out = (struct gr_run_story){.code = -1};
    out->site = gr_is_site_folder(path);
    if (out->site) {
        GR_TRY(gr_journal_path(path, 0, &events));
    } else {
        GR_TRY(gr_run_summarise(path, &out->summary));
        snprintf(out->state, sizeof out->state, "%s",
                 gr_run_state_words(path, &out->summary, (char[128]){""}));
        GR_TRY(gr_text_format(&events, "%s/events.jsonl", path));
    }
    GR_TRY(read_events(events, out));
    find_cause(out);
out:
    gr_free(events);
    return status;
}

void gr_run_story_release(struct gr_run_story *story) {
    gr_run_summary_release(&story->summary);
}
