/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary study status: how a study stands, by the files of one party's folder alone, while its
 * process runs and after. Nobody is asked and nothing is written.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/part_status.h"

/* Everything that the folder tells. */
struct standing_study {
    struct gr_study_state state;
    struct gr_journal_sums journals; /* of a site */
    enum gr_hold hold;               /* of the process's lock */
    uint64_t done;                   /* rounds, of the coordinator; the site's last */
    bool site;
    char *above; /* a site's folder, which holds this one; owned */
};

/* ---- reading ----------------------------------------------------------------------------------
 */

/* 0 where there is no run yet. */
static uint64_t rounds_done(const char *folder) {
    struct gr_run_summary summary = {0};
    const bool there = gr_run_summarise(folder, &summary) == GR_OK;
    const uint64_t done = there ? summary.rounds_done : 0;
    gr_run_summary_release(&summary);
    return done;
}

static gr_status read_folder(const char *folder, struct standing_study *out) {
    gr_status status = GR_OK;
    char *lock = NULL;
    GR_TRY(gr_study_state_read(folder, &out->state));
    out->site = strcmp(out->state.party, "coordinator") != 0;
    GR_TRY(gr_text_format(&lock, "%s/%s", folder, out->site ? GR_SITE_LOCK : GR_COORDINATOR_LOCK));
    out->hold = gr_lock_hold(lock);
    if (!out->site) {
        out->done = rounds_done(folder);
        goto out;
    }
    GR_TRY(gr_text_format(&out->above, "%s/..", folder));
    GR_TRY(gr_journal_sum_up(folder, &out->journals));
    out->done = out->journals.last_round;
out:
    gr_free(lock);
    return status;
}

/* A folder that holds those of studies is not one of them. */
static gr_status explain(const char *folder, gr_status status) {
    char *path = NULL;
    if (gr_text_format(&path, "%s/status.json", folder) != GR_OK) return status;
    if (access(path, F_OK) != 0)
        status =
            gr_fail(status,
                    "%s: found no status.json, expected the run directory of `granary "
                    "coordinate`, or a site's folder of one study, <site.directory>/"
                    "<study.name>, once `granary coordinate` or `granary join` has begun there",
                    folder);
    gr_free(path);
    return status;
}

/* ---- words ------------------------------------------------------------------------------------
 */

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

/* "40 s", "12 min", "3.5 h", "2.1 days". */
static const char *lasting(double seconds, char out[32]) {
    if (seconds < 120)
        snprintf(out, 32, "%.0f s", seconds);
    else if (seconds < 7200)
        snprintf(out, 32, "%.0f min", seconds / 60);
    else if (seconds < 172800)
        snprintf(out, 32, "%.1f h", seconds / 3600);
    else
        snprintf(out, 32, "%.1f days", seconds / 86400);
    return out;
}

static bool has_ended(const struct standing_study *study) {
    const char *phase = study->state.phase;
    return is(phase, "finished") || is(phase, "stopped") || is(phase, "refused") ||
           is(phase, "failed");
}

/* A process that was killed has left no word of its end. */
static const char *phase_of(const struct standing_study *study) {
    if (!has_ended(study) && study->hold == GR_HOLD_FREE) return "interrupted";
    return study->state.phase;
}

static const char *process_of(const struct standing_study *study) {
    if (study->hold == GR_HOLD_HELD) return "alive";
    return study->hold == GR_HOLD_FREE ? "none" : "not known, for the file system has no locks";
}

static bool waits_for_any(const struct gr_study_state *s) {
    for (uint32_t p = 0; p < s->n_parties; p++)
        if (s->parties[p].awaited) return true;
    return false;
}

/* What to do next, by whom this is read. */
static const char *next_step(const struct standing_study *study) {
    const char *phase = phase_of(study);
    if (study->hold == GR_HOLD_HELD && !has_ended(study))
        return waits_for_any(&study->state)
                   ? "nothing here: it goes on once those have come whom it waits for"
                   : "nothing: it goes on by itself";
    if (is(phase, "finished")) return "nothing: the run has finished";
    if (is(phase, "refused"))
        return study->site ? "its own words say which rule refuses: `granary help policy`"
                           : "a site's policy refuses; its own terminal says which rule";
    if (is(phase, "failed")) return "mend what its words say, and start the same command again";
    return study->site ? "start the same `granary join` again: it goes on where it stopped"
                       : "start the same `granary coordinate` again: it goes on where it stopped";
}

static void print_since(const char *label, const char *time) {
    char text[32];
    if (time[0]) printf("%s%s (%s)", label, time, lasting(gr_state_seconds_since(time), text));
}

/* ---- for people -------------------------------------------------------------------------------
 */

static void print_wait(const struct gr_study_state *s, bool site) {
    bool any = false;
    char waited[32], limit[32];
    for (uint32_t p = 0; p < s->n_parties; p++) {
        if (!s->parties[p].awaited) continue;
        printf("%s%s", any ? ", " : "waits for    ", s->parties[p].name);
        any = true;
    }
    if (any) print_since("; since ", s->waits_since[0] ? s->waits_since : s->since);
    if (any && s->limit_s > 0 && !site)
        printf("; a process was there for %s of %s", lasting(s->waited_s, waited),
               lasting(s->limit_s, limit));
    if (any) putchar('\n');
}

static void print_parties(const struct gr_study_state *s) {
    for (uint32_t p = 0; p < s->n_parties; p++) {
        const struct gr_party_state *party = &s->parties[p];
        if (!party->standing[0]) continue;
        printf("%-12s %s", party->name, party->standing);
        print_since(" since ", party->since);
        print_since("; last letter ", party->letter);
        putchar('\n');
    }
}

static void print_approval(void *context, const struct gr_approval_record *record) {
    char quoted[512];
    bool *any = context;
    gr_text_quote(record->number, strlen(record->number), quoted, sizeof quoted);
    printf("%s%s%s%s", *any ? "             " : "approved     ", record->time,
           quoted[0] ? ", number " : "", quoted);
    gr_text_quote(record->by, strlen(record->by), quoted, sizeof quoted);
    printf("%s%s\n", quoted[0] ? ", by " : "", quoted);
    *any = true;
}

/* An approval that was taken out is none: the study is then refused at the next start. */
static gr_status print_approvals(const struct standing_study *study) {
    struct gr_public_key key;
    bool any = false;
    if (!gr_public_key_parse(study->state.key, &key)) return GR_OK;
    const gr_status status =
        gr_site_show_approvals(study->above, &key, study->state.digest, print_approval, &any);
    if (status == GR_OK && !any) puts("approved     no: `granary approve` records it");
    return status;
}

static void print_journals(const struct gr_journal_sums *j) {
    if (j->n_files == 0) {
        puts("journal      none yet: nothing has left");
        return;
    }
    printf("journal      %u rounds given; %llu seals countersigned%s%s%s\n", j->rounds,
           (unsigned long long)j->seals, j->newest[0] ? "; the last release " : "", j->newest,
           j->contradiction[0] ? "; A SEAL CONTRADICTS WHAT WAS SEEN BEFORE" : "");
    if (j->broken > 0)
        printf("             %llu lines do not continue the chain: `granary audit` tells which\n",
               (unsigned long long)j->broken);
    for (size_t i = 0; i < j->n; i++)
        if (j->sum[i].times > 0)
            printf("  %3d  %-18s %8llu times %12llu values %14llu bytes\n", j->sum[i].id,
                   j->sum[i].name, (unsigned long long)j->sum[i].times,
                   (unsigned long long)j->sum[i].values, (unsigned long long)j->sum[i].bytes);
}

static gr_status print_study(const struct standing_study *study) {
    const struct gr_study_state *s = &study->state;
    printf("%s, %s: %s", s->study, s->party, phase_of(study));
    print_since(" since ", s->since);
    printf("\nstudy        %s\n", s->digest);
    printf("process      %s; it began %s", process_of(study), s->began);
    print_since(", and wrote this ", s->written);
    printf("\nrounds       %llu of %u %s\n", (unsigned long long)study->done, s->rounds,
           study->site ? "was the last that this site gave something to" : "done");
    print_wait(s, study->site);
    print_parties(s);
    gr_status status = study->site ? print_approvals(study) : GR_OK;
    if (study->site) print_journals(&study->journals);
    if (has_ended(study) && s->code != 0)
        printf("ended        with code %d%s%s\n", s->code, s->words ? ": " : "",
               s->words ? s->words : "");
    printf("next         %s\n", next_step(study));
    return status;
}

/* ---- for programs -----------------------------------------------------------------------------
 */

/* Texts of the state are quoted already: they hold nothing that JSON would escape but these. */
static void print_text(const char *key, const char *text, const char *behind) {
    printf("\"%s\": \"", key);
    for (const char *c = text; *c; c++)
        printf("%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
    printf("\"%s", behind);
}

static void print_parties_json(const struct gr_study_state *s) {
    printf("\"parties\": [");
    for (uint32_t p = 0; p < s->n_parties; p++) {
        printf("%s\n  {", p > 0 ? "," : "");
        print_text("name", s->parties[p].name, ", ");
        print_text("standing", s->parties[p].standing, ", ");
        print_text("since", s->parties[p].since, ", ");
        print_text("last_letter", s->parties[p].letter, ", ");
        printf("\"awaited\": %s}", s->parties[p].awaited ? "true" : "false");
    }
    printf("]");
}

static void print_journals_json(const struct gr_journal_sums *j) {
    printf(",\n \"journal\": {\"rounds\": %u, \"seals\": %llu, \"broken_lines\": %llu, ", j->rounds,
           (unsigned long long)j->seals, (unsigned long long)j->broken);
    printf("\"contradicted\": %s, \"releases\": [", j->contradiction[0] ? "true" : "false");
    for (size_t i = 0; i < j->n; i++) {
        printf("%s\n  {\"release\": %d, ", i > 0 ? "," : "", j->sum[i].id);
        print_text("name", j->sum[i].name, ", ");
        printf("\"times\": %llu, \"values\": %llu, \"bytes\": %llu, \"withheld\": %llu}",
               (unsigned long long)j->sum[i].times, (unsigned long long)j->sum[i].values,
               (unsigned long long)j->sum[i].bytes, (unsigned long long)j->sum[i].withheld);
    }
    printf("]}");
}

static void count_approval(void *context, const struct gr_approval_record *record) {
    (void)record;
    ++*(unsigned *)context;
}

static gr_status print_json(const struct standing_study *study) {
    const struct gr_study_state *s = &study->state;
    struct gr_public_key key;
    unsigned approvals = 0;
    gr_status status = GR_OK;
    if (study->site && gr_public_key_parse(s->key, &key))
        status = gr_site_show_approvals(study->above, &key, s->digest, count_approval, &approvals);
    printf("{");
    print_text("study", s->study, ", ");
    print_text("digest", s->digest, ",\n ");
    print_text("party", s->party, ", ");
    print_text("phase", phase_of(study), ", ");
    print_text("since", s->since, ",\n ");
    print_text("process", process_of(study), ", ");
    print_text("began", s->began, ", ");
    print_text("written", s->written, ",\n ");
    print_text("waits_since", s->waits_since, ", ");
    printf("\"waited_s\": %.0f, \"limit_s\": %.0f, \"round\": %llu, \"rounds\": %u, "
           "\"code\": %d,\n ",
           s->waited_s, s->limit_s, (unsigned long long)study->done, s->rounds, s->code);
    if (s->words) print_text("words", s->words, ",\n ");
    print_text("next", next_step(study), ",\n ");
    print_parties_json(s);
    if (study->site) printf(",\n \"approvals\": %u", approvals);
    if (study->site) print_journals_json(&study->journals);
    puts("}");
    return status;
}

gr_status gr_study_status(const char *folder, bool json) {
    struct standing_study study = {0};
    gr_status status = read_folder(folder, &study);
    if (status == GR_ERROR_DATA && !study.state.study[0])
        status = explain(folder, status);
    else if (status == GR_OK)
        status = json ? print_json(&study) : print_study(&study);
    gr_free(study.above);
    gr_journal_sums_release(&study.journals);
    gr_study_state_release(&study.state);
    return status;
}
