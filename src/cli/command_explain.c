/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary explain: what happened to a run, in which round, why, and the next steps, out of its
 * records alone; or what an exit code, an event or an alert means.
 */
#include "cli/command.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "cli/run_story.h"
#include "observe/json.h"

enum { WIDTH = 78 };

/* ---- text ----------------------------------------------------------------------------------- */

/* Words in lines of WIDTH, those behind the first below it. */
static void print_wrapped(const char *head, const char *text) {
    int at = printf("%s", head);
    const int indent = at;
    for (const char *word = text; *word;) {
        const size_t n = strcspn(word, " ");
        if (at > indent && at + 1 + (int)n > WIDTH) {
            printf("\n%*s", indent, "");
            at = indent;
        }
        at += printf("%s%.*s", at > indent ? " " : "", (int)n, word);
        word += n + strspn(word + n, " ");
    }
    printf("\n");
}

static void print_steps(const struct gr_runbook_entry *entry) {
    printf("next\n");
    for (int i = 0; i < GR_RUNBOOK_STEPS; i++) {
        char head[16];
        snprintf(head, sizeof head, "  %d. ", i + 1);
        print_wrapped(head, entry->steps[i]);
    }
    if (entry->give_up) print_wrapped("give up  ", entry->give_up);
}

static const char *kind_of(const struct gr_runbook_entry *entry) {
    static const char *const kinds[] = {"exit code", "event", "alert"};
    return kinds[entry->kind];
}

static void print_entry(const struct gr_runbook_entry *entry) {
    printf("%s \"%s\"\n", kind_of(entry), entry->name);
    print_wrapped("means    ", entry->meaning);
    print_steps(entry);
}

/* As the manual page runbook has it. */
static void print_all(void) {
    static const char *const titles[] = {"Exit codes", "Events", "Alerts"};
    for (size_t i = 0; i < gr_runbook_n; i++) {
        const struct gr_runbook_entry *entry = &gr_runbook[i];
        if (i == 0 || gr_runbook[i - 1].kind != entry->kind)
            printf("## %s\n\n", titles[entry->kind]);
        printf("### `%s`\n\n%s\n\n", entry->name, entry->meaning);
        for (int k = 0; k < GR_RUNBOOK_STEPS; k++)
            printf("%d. %s\n", k + 1, entry->steps[k]);
        if (entry->give_up) printf("\nGive up: %s\n", entry->give_up);
        printf("\n");
    }
}

/* ---- a run ---------------------------------------------------------------------------------- */

/* The events that end a stretch are of the last round that was done. */
static void rounds_of(const struct gr_run_finding *f, char out[48]) {
    static const char *const ends[] = {"quorum lost", "stopped", "failed", "finished"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(f->entry->name, ends[i]) == 0) {
            snprintf(out, 48, "after round %u", f->last);
            return;
        }
    if (f->last == 0)
        snprintf(out, 48, "before round 1");
    else if (f->first == f->last)
        snprintf(out, 48, "round %u", f->last);
    else
        snprintf(out, 48, "rounds %u to %u", f->first, f->last);
}

static void print_finding(const struct gr_run_finding *f) {
    char rounds[48], text[600];
    rounds_of(f, rounds);
    snprintf(text, sizeof text, "%s%s%s%s%s%s", f->entry->name, f->words[0] ? ": " : "", f->words,
             f->silos[0] && !strstr(f->words, f->silos) ? ": " : "",
             f->silos[0] && !strstr(f->words, f->silos) ? f->silos : "", "");
    /* An alert's own words name it. */
    if (f->words[0] && strstr(f->words, f->entry->name))
        snprintf(text, sizeof text, "%s", f->words);
    if (f->n > 1)
        snprintf(text + strlen(text), sizeof text - strlen(text), " (%llu times)",
                 (unsigned long long)f->n);
    char head[64];
    snprintf(head, sizeof head, "  %-18s ", rounds);
    print_wrapped(head, text);
}

static void print_state(const char *path, const struct gr_run_story *story) {
    const struct gr_run_summary *s = &story->summary;
    printf("run      %s\n", path);
    if (s->rounds == 0 && story->state[0] == '\0') return;
    printf("state    %s; %llu of %llu rounds done", story->state,
           (unsigned long long)s->rounds_done, (unsigned long long)s->rounds);
    if (story->checkpoint > 0) printf("; newest checkpoint of round %u", story->checkpoint);
    printf("\n");
    if (story->code > 0) {
        const char code[] = {(char)('0' + story->code / 10 % 10), (char)('0' + story->code % 10),
                             0};
        const struct gr_runbook_entry *entry = gr_runbook_find(GR_RUNBOOK_EXIT, code);
        char head[24];
        snprintf(head, sizeof head, "exit %s  ", code);
        if (entry) print_wrapped(head, entry->meaning);
    }
}

/* What cannot be read is told before what follows from the rest. */
static void print_damage(const struct gr_run_story *story) {
    char text[160];
    for (const char *note = story->summary.notes; note && *note;) {
        const size_t n = strcspn(note, "\n");
        char line[300];
        snprintf(line, sizeof line, "%.*s", (int)(n < 280 ? n : 280), note);
        print_wrapped("damaged  ", line);
        note += n + (note[n] == '\n');
    }
    if (story->summary.broken_event > 0) {
        snprintf(text, sizeof text, "the chain of events breaks at line %zu of events.jsonl",
                 story->summary.broken_event);
        print_wrapped("damaged  ", text);
    }
    if (story->torn) print_wrapped("damaged  ", "an event was being written when the writer ended");
}

static void print_story(const char *path, const struct gr_run_story *story) {
    const struct gr_run_finding *cause = &story->findings[story->cause];
    char rounds[48], head[600];
    print_state(path, story);
    print_damage(story);
    rounds_of(cause, rounds);
    snprintf(head, sizeof head, "%s: %s%s%s", rounds, cause->entry->name,
             cause->silos[0] ? ": " : "", cause->silos);
    print_wrapped("cause    ", head);
    if (cause->words[0]) print_wrapped("         ", cause->words);
    print_wrapped("why      ", cause->entry->meaning);
    if (story->n > 1) {
        printf("events\n");
        for (size_t i = 0; i < story->n; i++)
            print_finding(&story->findings[i]);
    }
    print_steps(cause->entry);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *entry_json(const struct gr_runbook_entry *entry) {
    json_t *json = json_object(), *steps = json_array();
    json_object_set_new(json, "kind", json_string(kind_of(entry)));
    json_object_set_new(json, "name", json_string(entry->name));
    json_object_set_new(json, "meaning", json_string(entry->meaning));
    for (int i = 0; i < GR_RUNBOOK_STEPS; i++)
        json_array_append_new(steps, json_string(entry->steps[i]));
    json_object_set_new(json, "next", steps);
    json_object_set_new(json, "give_up",
                        entry->give_up ? json_string(entry->give_up) : json_null());
    return json;
}

static json_t *finding_json(const struct gr_run_finding *f) {
    json_t *json = json_object();
    json_object_set_new(json, "kind", json_string(kind_of(f->entry)));
    json_object_set_new(json, "name", json_string(f->entry->name));
    json_object_set_new(json, "first_round", json_integer(f->first));
    json_object_set_new(json, "last_round", json_integer(f->last));
    json_object_set_new(json, "times", json_integer((json_int_t)f->n));
    json_object_set_new(json, "silos", json_string(f->silos));
    json_object_set_new(json, "words", json_string(f->words));
    return json;
}

static json_t *story_json(const char *path, const struct gr_run_story *story) {
    json_t *json = json_object(), *findings = json_array(), *notes = json_array();
    json_object_set_new(json, "run", json_string(path));
    json_object_set_new(json, "state", json_string(story->state));
    json_object_set_new(json, "outcome", json_string(story->summary.outcome));
    json_object_set_new(json, "code", story->code < 0 ? json_null() : json_integer(story->code));
    json_object_set_new(json, "rounds", json_integer((json_int_t)story->summary.rounds));
    json_object_set_new(json, "rounds_done", json_integer((json_int_t)story->summary.rounds_done));
    json_object_set_new(json, "checkpoint", json_integer(story->checkpoint));
    json_object_set_new(json, "cause", finding_json(&story->findings[story->cause]));
    json_object_set_new(json, "runbook", entry_json(story->findings[story->cause].entry));
    for (size_t i = 0; i < story->n; i++)
        json_array_append_new(findings, finding_json(&story->findings[i]));
    json_object_set_new(json, "events", findings);
    for (const char *note = story->summary.notes; note && *note;) {
        const size_t n = strcspn(note, "\n");
        json_array_append_new(notes, json_stringn(note, n));
        note += n + (note[n] == '\n');
    }
    json_object_set_new(json, "damaged", notes);
    return json;
}

static gr_status print_json(json_t *json) {
    const bool written = json && json_dumpf(json, stdout, JSON_INDENT(2)) == 0;
    printf("\n");
    json_decref(json);
    return written ? GR_OK : gr_fail(GR_ERROR_INTERNAL, "memory for an explanation was refused");
}

/* ---- names ---------------------------------------------------------------------------------- */

/* The words of the command line as one, so that names need no quotes. */
static void join(const struct gr_invocation *invocation, char out[200]) {
    out[0] = '\0';
    for (int i = optind; i < invocation->argc; i++) {
        const size_t n = strlen(out);
        snprintf(out + n, 200 - n, "%s%s", n > 0 ? " " : "", invocation->argv[i]);
    }
}

static const struct gr_runbook_entry *entry_of(const char *name) {
    for (size_t i = 0; i < gr_runbook_n; i++)
        if (strcasecmp(gr_runbook[i].name, name) == 0) return &gr_runbook[i];
    for (size_t i = 0; i < gr_runbook_n && strlen(name) > 3; i++)
        if (gr_runbook[i].kind == GR_RUNBOOK_ALERT && strstr(name, gr_runbook[i].name))
            return &gr_runbook[i];
    return NULL;
}

static gr_status explain_run(const char *path, bool json) {
    struct gr_run_story *story;
    gr_status status = gr_allocate_zero(1, sizeof *story, "a story", &story);
    if (status != GR_OK) return status;
    status = gr_run_story_read(path, story);
    if (status == GR_OK && json)
        status = print_json(story_json(path, story));
    else if (status == GR_OK)
        print_story(path, story);
    gr_run_story_release(story);
    gr_free(story);
    return status;
}

/* A folder goes before a name, for names of runs are free. */
gr_status gr_command_explain(struct gr_invocation *invocation) {
    bool json = false, all = false;
    int option;
    char name[200];
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == '?') return GR_ERROR_USAGE;
        json = json || option == 'j';
        all = all || option == 'a';
    }
    join(invocation, name);
    if (all && name[0] == '\0') {
        print_all();
        return GR_OK;
    }
    if (name[0] == '\0')
        return gr_fail(GR_ERROR_USAGE,
                       "explain: expected a run directory, an exit code, or the name "
                       "of an event or alert; see `granary help explain`");
    const struct gr_runbook_entry *entry = entry_of(name);
    const bool exists =
        invocation->argc - optind == 1 && access(invocation->argv[optind], F_OK) == 0;
    if (exists || (!entry && strchr(name, '/'))) return explain_run(invocation->argv[optind], json);
    if (!entry)
        return gr_fail(
            GR_ERROR_USAGE,
            "explain: found \"%s\", expected a run directory, an exit code, or the name of "
            "an event or alert; `granary explain --all` lists them",
            name);
    if (json) return print_json(entry_json(entry));
    print_entry(entry);
    return GR_OK;
}
