/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several runs side by side: their figures, their curves over each other, and the settings in which
 * they differ. Each group of runs that differ in their seed alone has a label, and the first ones a
 * colour. Up to four groups stand side by side, more below each other.
 */
#include <math.h>
#include <string.h>

#include "observe/chart.h"
#include "observe/html.h"
#include "observe/report.h"

/* Behind figures of the table come facts in words, some in front of them. */
enum fact { OUTCOME, ROUNDS, SILOS, RANKS, MODEL, FACTS };
static const char *const fact_labels[FACTS] = {"outcome", "rounds", "silos", "ranks",
                                               "model digest"};
/* Groups that stand side by side, and seeds of a group that are told. */
enum { FACT_MAX = 64, SIDE_MAX = 4, SEEDS_SHOWN = 8 };

/* A column of the table, or a row where groups are columns. */
struct quantity {
    bool fact;
    unsigned which; /* an enum fact or an enum gr_report_figure */
};

/* Groups, or single runs as groups of one. */
struct table {
    FILE *page;
    const struct gr_report_set *set;
    const struct gr_report_group *subjects;
    size_t n;
    bool below; /* each other; else side by side */
};

/* ---- facts ---------------------------------------------------------------------------------- */

/* Digests are shown by their first twelve digits: enough to tell models apart by eye. */
static void fact_of(const struct gr_report_run *run, enum fact fact, char out[FACT_MAX]) {
    const char *text = gr_json_text(run->manifest, "outcome");
    const char *digest = gr_json_text(run->manifest, "model_digest");
    switch (fact) {
    case OUTCOME:
        snprintf(out, FACT_MAX, "%s", text ? text : "not known");
        return;
    case ROUNDS:
        snprintf(out, FACT_MAX, "%llu of %llu", (unsigned long long)gr_report_rounds_done(run),
                 (unsigned long long)gr_json_count(run->manifest, "rounds"));
        return;
    case SILOS:
    case RANKS:
        snprintf(out, FACT_MAX, "%llu",
                 (unsigned long long)gr_json_count(run->manifest, fact_labels[fact]));
        return;
    default:
        snprintf(out, FACT_MAX, "%.12s", digest ? digest : "no model");
    }
}

/* Whether n runs from `first` on are alike in a fact; its text is the first one's. */
static bool are_alike(const struct gr_report_set *set, size_t first, size_t n, enum fact fact,
                      char out[FACT_MAX]) {
    char other[FACT_MAX];
    fact_of(&set->runs[first], fact, out);
    for (size_t i = first + 1; i < first + n; i++) {
        fact_of(&set->runs[i], fact, other);
        if (strcmp(out, other) != 0) return false;
    }
    return true;
}

static void write_fact(const struct table *t, const struct gr_report_group *group, enum fact fact) {
    char text[FACT_MAX];
    const bool alike = are_alike(t->set, group->first, group->n, fact, text);
    if (alike) {
        fputs(fact == MODEL ? "<code>" : "", t->page);
        gr_html_text(t->page, text);
        fputs(fact == MODEL ? "</code>" : "", t->page);
    } else if (fact == OUTCOME) {
        fprintf(t->page, "%zu of %zu finished", gr_report_finished(t->set, group), group->n);
    } else {
        fputs("<span class=\"muted\">each another</span>", t->page);
    }
}

/* ---- figures -------------------------------------------------------------------------------- */

static void write_number(FILE *page, enum gr_report_figure figure, double value) {
    switch (gr_report_figure_rows[figure].kind) {
    case GR_SHOWN_PERCENT:
        gr_html_percent(page, value, 2);
        break;
    case GR_SHOWN_REAL:
        gr_html_real(page, value, 4);
        break;
    case GR_SHOWN_COUNT:
        gr_html_count(page, (uint64_t)fmin(fmax(round(value), 0), 1e18));
        break;
    case GR_SHOWN_SECONDS:
        gr_html_seconds(page, value);
        break;
    default:
        gr_html_bytes(page, value);
    }
}

/*
 * The best accuracy of a single run has its round beside it, as it is not the outcome; a mean its
 * standard deviation, and how many runs it is of where not all have the figure.
 */
static void write_figure(const struct table *t, const struct gr_report_group *group,
                         enum gr_report_figure figure) {
    const struct gr_report_mean m = gr_report_mean_of(t->set, group, figure);
    if (m.n == 0) {
        fputs("<span class=\"muted\">not measured</span>", t->page);
        return;
    }
    write_number(t->page, figure, m.mean);
    if (m.deviation > 1e-9 * fabs(m.mean) || (m.deviation >= 0 && m.n < group->n)) {
        fputs(" <small>&plusmn;&#8239;", t->page);
        write_number(t->page, figure, m.deviation);
        if (m.n < group->n) fprintf(t->page, ", %zu runs", m.n);
        fputs("</small>", t->page);
    } else if (group->n > 1 && m.n == 1) {
        fputs(" <small>1 run</small>", t->page);
    } else if (figure == GR_BEST_TEST_ACCURACY) {
        fprintf(t->page, " <small>round %u</small>", t->set->runs[group->first].best_tested_round);
    }
}

/* ---- the table ------------------------------------------------------------------------------ */

static void write_key(const struct table *t, const struct gr_report_group *group) {
    if (group->colour < GR_CHART_COLOURS)
        fprintf(t->page, "<i class=\"key s%u\"></i>", group->colour);
    gr_html_text(t->page, group->label);
}

/* "A", and below it what tells the group from others, or the run's name where nothing does. */
static void write_subject(const struct table *t, const struct gr_report_group *group, bool titled) {
    fprintf(t->page, "<th scope=\"%s\">", t->below ? "row" : "col");
    write_key(t, group);
    if (titled) {
        fputs("<br><span class=\"muted\">", t->page);
        if (group->title)
            gr_html_text(t->page, group->title);
        else
            gr_report_name(t->page, &t->set->runs[group->first]);
        fputs("</span>", t->page);
    }
    fputs("</th>", t->page);
}

static const char *label_of(const struct quantity *q) {
    return q->fact ? fact_labels[q->which] : gr_report_figure_rows[q->which].label;
}

static void write_cell(const struct table *t, const struct gr_report_group *group,
                       const struct quantity *q) {
    fputs("<td>", t->page);
    if (q->fact)
        write_fact(t, group, (enum fact)q->which);
    else
        write_figure(t, group, (enum gr_report_figure)q->which);
    fputs("</td>", t->page);
}

static void write_side_by_side(const struct table *t, const struct quantity *q, size_t n) {
    fputs("<td></td>", t->page);
    for (size_t g = 0; g < t->n; g++)
        write_subject(t, &t->subjects[g], true);
    fputs("</tr></thead>\n<tbody>\n", t->page);
    for (size_t i = 0; i < n; i++) {
        fprintf(t->page, "<tr><th scope=\"row\">%s</th>", label_of(&q[i]));
        for (size_t g = 0; g < t->n; g++)
            write_cell(t, &t->subjects[g], &q[i]);
        fputs("</tr>\n", t->page);
    }
}

static void write_below(const struct table *t, const struct quantity *q, size_t n) {
    fputs("<th scope=\"col\">runs</th>", t->page);
    for (size_t i = 0; i < n; i++)
        fprintf(t->page, "<th scope=\"col\">%s</th>", label_of(&q[i]));
    fputs("</tr></thead>\n<tbody>\n", t->page);
    for (size_t g = 0; g < t->n; g++) {
        fputs("<tr>", t->page);
        write_subject(t, &t->subjects[g], true);
        for (size_t i = 0; i < n; i++)
            write_cell(t, &t->subjects[g], &q[i]);
        fputs("</tr>\n", t->page);
    }
}

/* Whether a table is the better for it: a figure that a run has, a fact that runs differ in. */
static bool is_told(const struct table *t, const struct quantity *q) {
    const struct gr_report_set *set = t->set;
    char text[FACT_MAX];
    bool some = false, single = false;
    if (q->fact) {
        for (size_t g = 0; g < t->n; g++)
            single = single || t->subjects[g].n == 1;
        if (q->which == MODEL && !single) return false;
        return !t->below || !are_alike(set, 0, set->n, (enum fact)q->which, text);
    }
    for (size_t i = 0; i < set->n && !some; i++)
        some = isfinite(set->runs[i].figures[q->which]) &&
               (!t->below || q->which != GR_ROUNDS_PARTIAL || set->runs[i].figures[q->which] > 0);
    return some;
}

/* A quantity for each that at least one run has; a missing one reads "not measured", not 0. */
static void write_figures(const struct table *t) {
    struct quantity shown[(size_t)FACTS + GR_REPORT_FIGURES];
    size_t n = 0;
    for (unsigned i = 0; i < (unsigned)FACTS + GR_REPORT_FIGURES; i++) {
        struct quantity q = {true, i};
        if (i >= MODEL) q = (struct quantity){false, i - MODEL};
        if (i == MODEL + (unsigned)GR_REPORT_FIGURES) q = (struct quantity){true, MODEL};
        if (is_told(t, &q)) shown[n++] = q;
    }
    fprintf(t->page, "<div class=\"card scroll\"><table class=\"facts%s\"><thead><tr>",
            t->below ? " many" : "");
    if (t->below)
        write_below(t, shown, n);
    else
        write_side_by_side(t, shown, n);
    fputs("</tbody></table></div>\n", t->page);
}

/* ---- settings that differ ------------------------------------------------------------------- */

/* Paths differ between machines and may name a site, so they are not shown. */
static void write_value(FILE *page, const struct gr_report_difference *d, const char *value) {
    if (!value)
        fputs("not set", page);
    else if (d->is_path)
        fputs("(another path)", page);
    else
        gr_html_text(page, value[0] ? value : "(empty)");
}

/* Whether the group has the run's value before it. */
static bool is_repeated(const struct gr_report_difference *d, size_t first, size_t i) {
    for (size_t k = first; k < i; k++)
        if (d->values[k] == d->values[i] ||
            (d->values[k] && d->values[i] && strcmp(d->values[k], d->values[i]) == 0))
            return true;
    return false;
}

/* A group's seeds, or the setting that all its runs have. */
static void write_values(const struct table *t, const struct gr_report_difference *d,
                         const struct gr_report_group *group) {
    size_t told = 0;
    fputs("<td>", t->page);
    for (size_t i = group->first; i < group->first + group->n; i++) {
        if (is_repeated(d, group->first, i)) continue;
        if (told > 0) fputs(", ", t->page);
        if (told == SEEDS_SHOWN) {
            fputs("...", t->page);
            break;
        }
        write_value(t->page, d, d->values[i]);
        told++;
    }
    fputs("</td>", t->page);
}

static void write_setting_rows(const struct table *t) {
    const struct gr_report_set *set = t->set;
    fputs("<th scope=\"col\">setting</th>", t->page);
    for (size_t g = 0; g < t->n; g++)
        write_subject(t, &t->subjects[g], false);
    fputs("</tr></thead>\n<tbody>\n", t->page);
    for (size_t i = 0; i < set->n_differences; i++) {
        fputs("<tr><th scope=\"row\"><code>", t->page);
        gr_html_text(t->page, set->differences[i].path);
        fputs("</code></th>", t->page);
        for (size_t g = 0; g < t->n; g++)
            write_values(t, &set->differences[i], &t->subjects[g]);
        fputs("</tr>\n", t->page);
    }
    if (set->n_differences == 0)
        fprintf(t->page, "<tr><th scope=\"row\">none</th><td colspan=\"%zu\"></td></tr>\n", t->n);
}

static void write_setting_columns(const struct table *t) {
    const struct gr_report_set *set = t->set;
    fputs("<th scope=\"col\">runs</th>", t->page);
    for (size_t i = 0; i < set->n_differences; i++) {
        fputs("<th scope=\"col\"><code>", t->page);
        gr_html_text(t->page, set->differences[i].path);
        fputs("</code></th>", t->page);
    }
    fputs("</tr></thead>\n<tbody>\n", t->page);
    for (size_t g = 0; g < t->n; g++) {
        fputs("<tr>", t->page);
        write_subject(t, &t->subjects[g], false);
        for (size_t i = 0; i < set->n_differences; i++)
            write_values(t, &set->differences[i], &t->subjects[g]);
        fputs("</tr>\n", t->page);
    }
}

static void write_differences(const struct table *t) {
    fputs("<h2>Settings that differ</h2>\n", t->page);
    if (t->set->unknown) {
        fprintf(t->page, "<p>Not known, for those of %s are not.</p>\n", t->set->unknown->label);
        return;
    }
    fputs("<div class=\"card scroll\"><table class=\"facts\"><thead><tr>", t->page);
    if (t->below)
        write_setting_columns(t);
    else
        write_setting_rows(t);
    fputs("</tbody></table></div>\n", t->page);
}

/* ---- every run of a group ------------------------------------------------------------------- */

/* Each run as a group of its own, in the order of the groups. */
static gr_status find_singles(const struct gr_report_set *set, struct gr_report_group **out) {
    struct gr_report_group *singles;
    size_t n = 0;
    gr_status status = gr_allocate_zero(set->n, sizeof *singles, "runs", &singles);
    if (status != GR_OK) return status;
    for (size_t g = 0; g < set->n_groups; g++)
        for (size_t i = 0; i < set->groups[g].n; i++) {
            const size_t run = set->groups[g].first + i;
            singles[n] =
                (struct gr_report_group){.colour = set->groups[g].colour, .first = run, .n = 1};
            snprintf(singles[n].label, sizeof singles[n].label, "%s", set->runs[run].label);
            n++;
        }
    *out = singles;
    return GR_OK;
}

static void write_singles(FILE *page, const struct gr_report_set *set) {
    struct gr_report_group *singles;
    if (set->n_groups == set->n || find_singles(set, &singles) != GR_OK) return;
    const struct table t = {page, set, singles, set->n, true};
    fputs("<h2>Every run</h2>\n", page);
    write_figures(&t);
    gr_free(singles);
}

/* ---- all of it ------------------------------------------------------------------------------ */

/* A missing digest makes it false: a run without a model has none in common. */
static bool same_model(const struct gr_report_set *set) {
    const char *first = gr_json_text(set->runs[0].manifest, "model_digest");
    for (size_t i = 1; first && i < set->n; i++) {
        const char *digest = gr_json_text(set->runs[i].manifest, "model_digest");
        if (!digest || strcmp(first, digest) != 0) return false;
    }
    return first != NULL;
}

/* Equal digests are pointed out, because equality of the bits is the promise of the program. */
static void write_lead(FILE *page, const struct gr_report_set *set) {
    char text[FACT_MAX];
    bool any = false;
    fprintf(page, "<h1>%zu runs compared</h1>\n<p class=\"lead\">", set->n);
    fputs(set->brief
              ? "Tables and curves of all; <code>granary report RUN</code> makes the page of "
                "a single one."
              : "Side by side first, then each for itself.",
          page);
    if (same_model(set)) fputs(" All of them ended with the same model, to the last bit.", page);
    for (enum fact fact = 0; fact < MODEL && set->n_groups > SIDE_MAX; fact++) {
        if (!are_alike(set, 0, set->n, fact, text)) continue;
        fprintf(page, "%s %s ", any ? "," : " Alike in all:", fact_labels[fact]);
        gr_html_text(page, text);
        any = true;
    }
    fputs(any ? ".</p>\n" : "</p>\n", page);
}

/* Which runs are counted, and in which order they stand. */
static void write_rules(FILE *page, const struct gr_report_set *set) {
    bool unfinished = false;
    for (size_t g = 0; g < set->n_groups; g++) {
        const size_t finished = gr_report_finished(set, &set->groups[g]);
        unfinished = unfinished || (finished > 0 && finished < set->groups[g].n);
    }
    fputs("<p class=\"muted\">", page);
    if (set->n_groups < set->n)
        fprintf(page,
                "Runs that differ in their seed alone are one group, of which the mean and the "
                "standard deviation (of a sample) are shown: %zu groups.",
                set->n_groups);
    if (unfinished)
        fputs(" Runs that have not finished do not count in groups that have some.", page);
    if (set->order != GR_REPORT_FIGURES)
        fprintf(page, " The best by %s come first, and the first %d have curves.",
                gr_report_figure_rows[set->order].label, GR_CHART_COLOURS);
    fputs("</p>\n", page);
}

/* Runs of a folder that cannot be read, and, where runs have no sections, what is damaged. */
static void write_notes(FILE *page, const struct gr_report_set *set) {
    enum { NOTES_SHOWN = 100 };
    size_t i, k, n = json_array_size(set->left_out), told = 0;
    json_t *text;
    for (i = 0; i < set->n && set->brief; i++)
        n += json_array_size(set->runs[i].notes);
    if (n == 0) return;
    fputs("<div class=\"card warn\" role=\"note\"><h3>Not all records could be read</h3><ul>\n",
          page);
    json_array_foreach(set->left_out, k, text) {
        if (told++ >= NOTES_SHOWN) break;
        fputs("<li>left out, for it has no whole manifest.json: ", page);
        gr_html_text(page, json_string_value(text));
        fputs("</li>\n", page);
    }
    for (i = 0; i < set->n && set->brief; i++)
        json_array_foreach(set->runs[i].notes, k, text) {
            if (told++ >= NOTES_SHOWN) break;
            fprintf(page, "<li>%s: ", set->runs[i].label);
            gr_html_text(page, json_string_value(text));
            fputs("</li>\n", page);
        }
    if (n > NOTES_SHOWN) fprintf(page, "<li>and %zu more</li>\n", n - NOTES_SHOWN);
    fputs("</ul></div>\n", page);
}

void gr_report_comparison(FILE *page, const struct gr_report_set *set) {
    const struct table t = {page, set, set->groups, set->n_groups, set->n_groups > SIDE_MAX};
    write_lead(page, set);
    write_rules(page, set);
    write_notes(page, set);
    write_figures(&t);
    gr_report_group_curves(page, set);
    write_differences(&t);
    write_singles(page, set);
}
