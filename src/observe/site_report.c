/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report of a site: one page from its own journals, on all that has left it: of which kind, in
 * which rounds, to whom, and under which approval. It stays with the site, as the journals do.
 */
#include "observe/site_report.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/json.h"

/* ---- lines ----------------------------------------------------------------------------------- */

static void keep_text(char *to, size_t room, const char *text) {
    if (text) snprintf(to, room, "%.*s", (int)room - 1, text);
}

/* Beyond GR_SITE_STRETCHES the latest are kept, for the first is told by `since`. */
static struct gr_site_stretch *add_stretch(struct gr_site_report *report) {
    struct gr_site_stretch *stretches = report->stretches;
    report->n_stretches++;
    if (report->kept_stretches < GR_SITE_STRETCHES) return &stretches[report->kept_stretches++];
    memmove(stretches, stretches + 1, (GR_SITE_STRETCHES - 1) * sizeof *stretches);
    return &stretches[GR_SITE_STRETCHES - 1];
}

static void take_opening(struct gr_site_report *report, const json_t *json) {
    struct gr_site_stretch *stretch = add_stretch(report);
    *stretch = (struct gr_site_stretch){.rank = gr_json_count(json, "rank")};
    keep_text(stretch->opened, sizeof stretch->opened, gr_json_text(json, "time"));
    keep_text(report->site, sizeof report->site, gr_json_text(json, "site"));
    keep_text(report->study, sizeof report->study, gr_json_text(json, "study"));
    keep_text(report->key, sizeof report->key, gr_json_text(json, "key"));
    json_t *approvals = json_object_get(json, "approvals");
    if (!json_is_array(approvals)) return;
    json_decref(report->approvals);
    report->approvals = json_incref(approvals);
}

static void take_release(struct gr_site_report *report, const json_t *json, bool withheld) {
    const uint64_t id = gr_json_count(json, "release");
    const uint32_t round = (uint32_t)gr_json_count(json, "round");
    if (id == 0 || id >= GR_SITE_RELEASES) {
        report->unknown++;
        return;
    }
    struct gr_site_release *release = &report->releases[id];
    if (release->times + release->withheld == 0) {
        keep_text(release->name, sizeof release->name, gr_json_text(json, "name"));
        release->first = round;
    }
    release->last = round;
    if (withheld) {
        release->withheld++;
        keep_text(release->rule, sizeof release->rule, gr_json_text(json, "protected"));
        return;
    }
    release->times++;
    release->values += gr_json_count(json, "values");
    release->bytes += gr_json_count(json, "bytes");
    keep_text(release->how, sizeof release->how, gr_json_text(json, "protected"));
    if (round > report->last_round) report->last_round = round;
}

static void take_seal(struct gr_site_report *report, const json_t *json) {
    struct gr_run_seal seal;
    const char *text = gr_json_text(json, "seal");
    report->seals++;
    if (text && gr_run_seal_read(text, strlen(text), &seal) == GR_OK) report->last_seal = seal;
}

static void take_line(struct gr_site_report *report, const json_t *json) {
    const char *event = gr_json_text(json, "event"), *time = gr_json_text(json, "time");
    if (!event) return;
    if (!report->since[0]) keep_text(report->since, sizeof report->since, time);
    keep_text(report->until, sizeof report->until, time);
    if (strcmp(event, "opened") == 0) take_opening(report, json);
    if (strcmp(event, "release") == 0) take_release(report, json, false);
    if (strcmp(event, "withheld") == 0) take_release(report, json, true);
    if (strcmp(event, "seal") == 0) take_seal(report, json);
    if (strcmp(event, "contradiction") == 0) {
        report->contradictions++;
        keep_text(report->contradiction, sizeof report->contradiction, gr_json_text(json, "what"));
    }
    if (strcmp(event, "closed") == 0 && report->kept_stretches > 0) {
        struct gr_site_stretch *stretch = &report->stretches[report->kept_stretches - 1];
        keep_text(stretch->closed, sizeof stretch->closed, time);
        keep_text(stretch->outcome, sizeof stretch->outcome, gr_json_text(json, "outcome"));
        stretch->round = (uint32_t)gr_json_count(json, "round");
    }
}

static gr_status visit(void *context, const struct gr_chain_line *line) {
    struct gr_site_report *report = context;
    if (!line->follows && report->broken++ == 0)
        snprintf(report->broken_at, sizeof report->broken_at, "%.80s:%llu", report->reading,
                 (unsigned long long)line->number);
    json_t *json = json_loadb(line->text, line->n, JSON_REJECT_DUPLICATES, NULL);
    take_line(report, json);
    json_decref(json);
    return GR_OK;
}

/* ---- journals -------------------------------------------------------------------------------- */

/* journal.jsonl, journal-1.jsonl and so on, not what is kept aside as damaged. */
static int is_journal(const struct dirent *entry) {
    int rank, end = 0;
    const char *name = entry->d_name;
    if (strcmp(name, "journal.jsonl") == 0) return 1;
    return sscanf(name, "journal-%9d.jsonl%n", &rank, &end) == 1 && end > 0 && name[end] == '\0';
}

static gr_status read_journal(struct gr_site_report *report, const char *folder, const char *name) {
    gr_status status = GR_OK;
    char *path = NULL;
    uint64_t n;
    bool torn = false;
    report->reading = name;
    GR_TRY(gr_text_format(&path, "%s/%s", folder, name));
    GR_TRY(gr_chain_read(path, visit, report, &n, &torn));
    report->lines += n;
    report->journals++;
    report->torn = report->torn || torn;
out:
    gr_free(path);
    return status;
}

gr_status gr_site_report_read(const char *folder, struct gr_site_report *report) {
    gr_status status = GR_OK;
    struct dirent **names = NULL;
    const int n = scandir(folder, &names, is_journal, versionsort);
    if (n <= 0)
        status = gr_fail(GR_ERROR_DATA, "%s: found no journal.jsonl, expected the folder of a site",
                         folder);
    for (int i = 0; i < n; i++) {
        if (status == GR_OK) status = read_journal(report, folder, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    if (status == GR_OK && !report->site[0])
        status = gr_fail(GR_ERROR_DATA, "%s: no journal in it has a line that opens it", folder);
    return status;
}

/* ---- the page -------------------------------------------------------------------------------- */

bool gr_is_site_folder(const char *folder) {
    char *journal = NULL, *manifest = NULL;
    const bool known = gr_text_format(&journal, "%s/journal.jsonl", folder) == GR_OK &&
                       gr_text_format(&manifest, "%s/manifest.json", folder) == GR_OK;
    const bool is_site = known && access(journal, F_OK) == 0 && access(manifest, F_OK) != 0;
    gr_free(journal);
    gr_free(manifest);
    return is_site;
}

gr_status gr_site_report_write(const char *folder, gr_release_describe describe, const char *path) {
    gr_status status = GR_OK;
    struct gr_site_report *report = NULL;
    char *text = NULL;
    size_t length = 0;
    GR_TRY(gr_allocate_zero(1, sizeof *report, "a site's report", &report));
    GR_TRY(gr_site_report_read(folder, report));
    FILE *page = open_memstream(&text, &length);
    if (page) gr_site_page(page, report, describe);
    bool failed = !page || ferror(page);
    if (page && fclose(page) != 0) failed = true;
    if (failed)
        status = gr_fail(GR_ERROR_INTERNAL, "memory for a report was refused");
    else
        status = gr_file_write(path, text, length);
out:
    free(text);
    if (report) json_decref(report->approvals);
    gr_free(report);
    return status;
}
