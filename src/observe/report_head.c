/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The top of the report: what ran and how it went, in two sentences and a few figures, for readers
 * who will read no further. Missing figures are left out, and the sentences
 * stay whole without them.
 */
#include <math.h>
#include <string.h>

#include "observe/html.h"
#include "observe/report.h"

/* ---- two sentences -------------------------------------------------------------------------- */

/* "21 November 2026" of "2026-11-21T16:55:31Z"; the text itself if it is no such date. */
static void write_date(FILE *page, const char *utc) {
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    unsigned year, month, day;
    if (sscanf(utc, "%4u-%2u-%2uT", &year, &month, &day) == 3 && month >= 1 && month <= 12)
        fprintf(page, "%u %s %u", day, months[month - 1], year);
    else
        gr_html_text(page, utc);
}

/* "8 silos trained a model (mlp, 199,210 parameters) by fedavg" */
static void write_what(FILE *page, const struct gr_report_run *run) {
    const json_t *m = run->manifest;
    const char *type = gr_json_text(json_object_get(m, "architecture"), "type");
    const char *strategy = gr_report_setting(run, "strategy.name");
    const char *drawn = gr_report_setting(run, "round.participants");
    gr_report_number(page, gr_json_count(m, "silos"), "silo", "silos");
    fputs(" trained a model", page);
    if (type) {
        fputs(" (", page);
        gr_html_text(page, type);
        fputs(", ", page);
        gr_report_number(page, gr_json_count(m, "parameters"), "parameter", "parameters");
        fputc(')', page);
    }
    if (strategy) {
        fputs(" with the strategy ", page);
        gr_html_text(page, strategy);
    }
    if (drawn && strcmp(drawn, "0") != 0) {
        fputs(", ", page);
        gr_html_text(page, drawn);
        fputs(" of them drawn for each round", page);
    }
}

/* "; the run, started on 21 November 2026, finished after all 20 rounds" */
static void write_outcome(FILE *page, const struct gr_report_run *run) {
    const json_t *m = run->manifest;
    const json_t *stretch = json_array_get(json_object_get(m, "stretches"), 0);
    const char *outcome = gr_json_text(m, "outcome");
    const char *started = gr_json_text(stretch, "started"), *words = "failed";
    uint64_t done = gr_report_rounds_done(run), planned = gr_json_count(m, "rounds");
    if (outcome && strcmp(outcome, "running") == 0)
        words = "had not ended when this page was made,";
    else if (outcome && strcmp(outcome, "stopped") == 0)
        words = "stopped, and can be resumed,";
    else if (outcome && strcmp(outcome, "finished") == 0)
        words = done < planned ? "ended early," : "finished";
    fputs("; the run, ", page);
    if (started) {
        fputs("started on ", page);
        write_date(page, started);
        fputs(", ", page);
    }
    fprintf(page, "%s after ", words);
    if (done == planned && planned == 1) {
        fputs("its only round", page);
        return;
    }
    if (done == planned)
        fputs("all ", page);
    else
        gr_html_count(page, done);
    fputs(done == planned ? "" : " of ", page);
    gr_report_number(page, planned, "round", "rounds");
}

/* " (best: 91.20 % after round 17)", where an earlier round was better. */
static void write_best(FILE *page, const struct gr_metrics *last, const struct gr_metrics *best,
                       bool tested) {
    const double before = tested ? best->test_accuracy : best->validation_accuracy;
    if (!(before > (tested ? last->test_accuracy : last->validation_accuracy))) return;
    fputs(" (best: ", page);
    gr_html_percent(page, before, 2);
    fprintf(page, " after round %u)", best->round);
}

/* ", where 52.00 % of them are of one class; the AUC is 0.870" */
static void write_headline(FILE *page, const struct gr_headline *h) {
    if (isfinite(h->largest)) {
        fputs(", where ", page);
        gr_html_percent(page, h->largest, 2);
        fputs(" are of the largest class", page);
    }
    if (isfinite(h->auc)) {
        fputs(isfinite(h->largest) ? ", and has an AUC of " : ", with an AUC of ", page);
        gr_html_real(page, h->auc, 3);
    }
}

/* Test rows go before validation rows, which settings may have been chosen by. */
static void write_result(FILE *page, const struct gr_report_totals *t,
                         const struct gr_headline *headline) {
    const struct gr_metrics *m = t->tested ? t->tested : t->validated;
    const char *rows = t->tested ? "test rows, which no silo trained on" : "the validation rows";
    if (!m) {
        fputs("No rows were kept from training, so that nothing is known of how well the model "
              "does on others; ",
              page);
        return;
    }
    double accuracy = t->tested ? m->test_accuracy : m->validation_accuracy;
    double loss = t->tested ? m->test_loss : m->validation_loss;
    fprintf(page, "On %s, the model after round %u ", rows, m->round);
    if (isfinite(accuracy)) {
        const double error =
            t->tested ? m->noise_error.test_accuracy : m->noise_error.validation_accuracy;
        fputs("is right in ", page);
        gr_html_percent(page, accuracy, 2);
        fputs(" of the cases", page);
        if (error > 0) {
            fputs(", with a standard error of ", page);
            gr_html_percent(page, error, 2);
            fputs(" by the noise of differential privacy alone", page);
        }
        write_best(page, m, t->tested ? t->best_tested : t->best_validated, t->tested != NULL);
        write_headline(page, headline);
    } else {
        fputs("has a loss of ", page);
        gr_html_real(page, loss, 4);
    }
    fputs("; ", page);
}

/* Alerts are counted here, at the top, since the timeline below is long. */
static void write_presence(FILE *page, const struct gr_report_run *run,
                           const struct gr_report_totals *t) {
    if (t->partial == 0) {
        fputs("all silos that were asked took part in every round", page);
    } else {
        fputs("in ", page);
        gr_html_count(page, t->partial);
        fputs(" of ", page);
        gr_report_number(page, run->n, "round", "rounds");
        fputs(" some silos were missing", page);
    }
    if (run->n_alerts > 0) {
        fputs(", and ", page);
        gr_report_number(page, run->n_alerts, "alert was", "alerts were");
        fputs(" raised", page);
    }
    fputs(".</p>\n", page);
}

/*
 * If an earlier model was kept, that is said in a sentence of its own: figures of the last round
 * would else be taken for the model's.
 */
static void write_sentences(FILE *page, const struct gr_report_run *run,
                            const struct gr_report_totals *t) {
    fputs("<p class=\"lead\">", page);
    write_what(page, run);
    write_outcome(page, run);
    fputs(". ", page);
    if (run->n == 0) {
        fputs("No round has been finished.</p>\n", page);
        return;
    }
    const struct gr_headline headline = gr_report_headline(run);
    write_result(page, t, &headline);
    write_presence(page, run, t);
    if (run->best_round > 0)
        fprintf(page,
                "<p class=\"lead\">The model that was kept is that of round %u, in which its score "
                "on the validation rows was best.</p>\n",
                run->best_round);
}

/* ---- figures -------------------------------------------------------------------------------- */

static void figure_begin(FILE *page) {
    fputs("<div class=\"card figure\"><b>", page);
}

static void figure_end(FILE *page, const char *label) {
    fprintf(page, "</b><span>%s</span></div>\n", label);
}

/* A score's rows, its value and the standard error that noise gives it; 0 or NaN: none. */
struct report_score {
    double accuracy, accuracy_error, loss, loss_error;
};

/*
 * Per cent for accuracy, four decimals for a loss: more digits would pretend to a precision that
 * few test rows give.
 */
static void write_score(FILE *page, const char *rows, const struct report_score *s) {
    static const char error[] = " <small>standard error ";
    char label[40];
    if (isfinite(s->accuracy)) {
        snprintf(label, sizeof label, "%s accuracy", rows);
        figure_begin(page);
        gr_html_percent(page, s->accuracy, 2);
        if (s->accuracy_error > 0) {
            fputs(error, page);
            gr_html_percent(page, s->accuracy_error, 2);
            fputs("</small>", page);
        }
        figure_end(page, label);
    }
    if (isfinite(s->loss)) {
        snprintf(label, sizeof label, "%s loss", rows);
        figure_begin(page);
        gr_html_real(page, s->loss, 4);
        if (s->loss_error > 0) {
            fputs(error, page);
            gr_html_real(page, s->loss_error, 4);
            fputs("</small>", page);
        }
        figure_end(page, label);
    }
}

/* Of test rows, or where there are none of the validation rows. */
static void write_scores(FILE *page, const struct gr_report_totals *t) {
    const struct gr_metrics *m = t->tested ? t->tested : t->validated;
    if (!m) return;
    const struct gr_noise_errors *e = &m->noise_error;
    const struct report_score test = {m->test_accuracy, e->test_accuracy, m->test_loss,
                                      e->test_loss},
                              validation = {m->validation_accuracy, e->validation_accuracy,
                                            m->validation_loss, e->validation_loss};
    write_score(page, t->tested ? "test" : "validation", t->tested ? &test : &validation);
}

/*
 * The largest class stands beside the accuracy, without which an accuracy means little on
 * unbalanced classes.
 */
static void write_figures(FILE *page, const struct gr_report_run *run,
                          const struct gr_report_totals *t) {
    fputs("<section class=\"grid figures\" aria-label=\"Figures\">\n", page);
    write_scores(page, t);
    const struct gr_headline headline = gr_report_headline(run);
    if (isfinite(headline.largest)) {
        figure_begin(page);
        gr_html_percent(page, headline.largest, 2);
        figure_end(page, "are of the largest class");
    }
    if (isfinite(headline.auc)) {
        figure_begin(page);
        gr_html_real(page, headline.auc, 3);
        figure_end(page, "AUC");
    }
    if (isfinite(headline.r2)) {
        figure_begin(page);
        gr_html_real(page, headline.r2, 3);
        figure_end(page, "R2");
    }
    figure_begin(page);
    gr_html_count(page, gr_report_rounds_done(run));
    fputs(" <small>of ", page);
    gr_html_count(page, gr_json_count(run->manifest, "rounds"));
    fputs("</small>", page);
    figure_end(page, "rounds");
    figure_begin(page);
    gr_html_seconds(page, t->seconds);
    figure_end(page, "in rounds");
    if (t->seconds > 0) {
        figure_begin(page);
        gr_html_count(page, (uint64_t)fmin((double)t->processed / t->seconds, 1e18));
        figure_end(page, "rows a second");
    }
    figure_begin(page);
    gr_html_bytes(page, (double)t->bytes);
    figure_end(page, "sent in all");
    fputs("</section>\n", page);
}

/* ---- all of it ------------------------------------------------------------------------------ */

/* Comes before the figures: a reader must know that records are damaged before believing them. */
static void write_notes(FILE *page, const struct gr_report_run *run) {
    json_t *text;
    size_t i;
    if (json_array_size(run->notes) == 0 && run->broken_event == 0) return;
    fputs("<div class=\"card warn\" role=\"note\"><h3>Not all records could be read</h3><ul>\n",
          page);
    json_array_foreach(run->notes, i, text) {
        fputs("<li>", page);
        gr_html_text(page, json_string_value(text));
        fputs("</li>\n", page);
    }
    if (run->broken_event > 0)
        fprintf(page,
                "<li>the chain of events breaks at line %zu of events.jsonl: what is told of it "
                "from there on is not certain</li>\n",
                run->broken_event);
    fputs("</ul></div>\n", page);
}

/*
 * `outcome` is text of a file; only known values become a CSS class, others are shown as text
 * alone.
 */
void gr_report_head(FILE *page, const struct gr_report_run *run) {
    /* The class is one of ours; anything else has none. */
    static const char *const known[] = {"finished", "stopped", "running", "failed"};
    const char *outcome = gr_json_text(run->manifest, "outcome"), *class = "";
    struct gr_report_totals totals = gr_report_totals_of(run);
    for (size_t i = 0; outcome && i < sizeof known / sizeof *known; i++)
        if (strcmp(outcome, known[i]) == 0) class = known[i];
    fprintf(page, "<div class=\"head\"><h%c>", run->label[0] ? '2' : '1');
    if (run->label[0]) fprintf(page, "<i class=\"key s%u\"></i>%s: ", run->colour, run->label);
    gr_report_name(page, run);
    fprintf(page, "</h%c><span class=\"badge %s\">", run->label[0] ? '2' : '1', class);
    gr_html_text(page, outcome);
    fputs("</span></div>\n", page);
    write_sentences(page, run, &totals);
    write_notes(page, run);
    if (run->n > 0) write_figures(page, run, &totals);
}
