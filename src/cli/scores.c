/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scores of a model on a table, for people and as JSON. The table is the user's own, so nothing
 * is withheld or rounded for privacy here.
 */
#include "cli/command.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of more classes the matrix is wider than a page, and of more than hundred nobody has counted. */
enum { MATRIX_CLASSES_MAX = 12, NAME_BYTES = 24, CLASS_NAME_BYTES = 64 };

/* ---- findings ------------------------------------------------------------------------------- */

static size_t columns_of(const struct gr_scored *s) {
    return s->columns && s->found ? s->columns->schema->columns_count : 0;
}

/*
 * Findings are counts over all rows and ranks, under the columns' own names: the table is the
 * user's.
 */
gr_status gr_print_findings(FILE *stream, const struct gr_scored *s) {
    gr_status status = GR_OK;
    char *words = NULL, name[CLASS_NAME_BYTES];
    bool first = true;
    for (size_t i = 0; i < columns_of(s); i++) {
        GR_TRY(gr_scored_tell(s, i, &words));
        if (!words) continue;
        const char *text = s->columns->schema->columns[i].name;
        gr_text_quote(text, strlen(text), name, sizeof name);
        if (first) fprintf(stream, "found in the table's %zu rows:\n", s->n_rows);
        fprintf(stream, "  %s: %s\n", name, words);
        first = false;
        gr_free(words);
        words = NULL;
    }
    if (s->lost_weights > 0)
        fprintf(stream, "%zu weights above 0 but below 2^-25 of the largest, and taken as 0\n",
                s->lost_weights);
out:
    gr_free(words);
    return status;
}

/*
 * [{"column", "missing", "outside", "unknown", "censored", "lost", "dropped"}, ...] of columns in
 * which something was found; NULL: nothing was found. Caller frees.
 */
static gr_status findings_json(const struct gr_scored *s, char **out) {
    gr_status status = GR_OK;
    json_t *list = json_array();
    char *text = NULL;
    *out = NULL;
    for (size_t i = 0; i < columns_of(s); i++) {
        const struct gr_found *found = &s->found[i];
        if (found->missing + found->outside + found->unknown + found->censored + found->lost +
                found->dropped ==
            0)
            continue;
        json_array_append_new(
            list,
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "column",
                      s->columns->schema->columns[i].name, "missing", (json_int_t)found->missing,
                      "outside", (json_int_t)found->outside, "unknown", (json_int_t)found->unknown,
                      "censored", (json_int_t)found->censored, "lost", (json_int_t)found->lost,
                      "dropped", (json_int_t)found->dropped));
    }
    if (json_array_size(list) > 0) {
        text = json_dumps(list, JSON_COMPACT);
        status = text ? gr_text_format(out, "%s", text)
                      : gr_fail(GR_ERROR_INTERNAL, "memory for findings was refused");
    }
    free(text);
    json_decref(list);
    return status;
}

/* ---- classes -------------------------------------------------------------------------------- */

/* The class's name, quoted and cut, or its number where it has none. */
static const char *name_of(const struct gr_scored *s, size_t c, char out[CLASS_NAME_BYTES]) {
    const char *const *names =
        gr_columns_class_names(s->columns, gr_accumulator_classes(s->accumulator));
    if (names)
        gr_text_quote(names[c], strlen(names[c]), out, CLASS_NAME_BYTES);
    else
        snprintf(out, CLASS_NAME_BYTES, "%zu", c);
    return out;
}

/*
 * The width for printf that makes `text` fill `width` columns: printf counts bytes, and
 * continuation bytes of UTF-8 take no column.
 */
static int padded(const char *text, int width) {
    for (const char *c = text; *c; c++)
        width += ((unsigned char)*c & 0xC0) == 0x80;
    return width;
}

/* Weights of rows, which are their numbers where rows have no weights. */
struct class_counts {
    double actual, predicted, found;
};

static struct class_counts count_class(const struct gr_accumulator *accumulator, size_t c) {
    struct class_counts n = {.found = gr_accumulator_confusion(accumulator, c, c)};
    for (size_t k = 0; k < gr_accumulator_classes(accumulator); k++) {
        n.actual += gr_accumulator_confusion(accumulator, c, k);
        n.predicted += gr_accumulator_confusion(accumulator, k, c);
    }
    return n;
}

static void print_share(double part, double of) {
    if (of > 0)
        printf("  %9.4f", part / of);
    else
        printf("  %9s", "-");
}

/* Whole numbers, or weights to six digits. */
static void print_count(double count) {
    if (count == floor(count))
        printf("  %9.10g", count);
    else
        printf("  %9.6g", count);
}

/*
 * Precision, recall and F1 of each class, as scikit-learn's classification_report defines them; "-"
 * where the denominator is 0, which scikit-learn shows as 0.
 */
static void print_classes(const struct gr_scored *s) {
    char name[CLASS_NAME_BYTES];
    printf("\n%-*s  %9s  %9s  %9s  %9s\n", NAME_BYTES, "class", s->weighted ? "weight" : "rows",
           "precision", "recall", "f1");
    for (size_t c = 0; c < gr_accumulator_classes(s->accumulator); c++) {
        const struct class_counts n = count_class(s->accumulator, c);
        name_of(s, c, name);
        printf("%-*s", padded(name, NAME_BYTES), name);
        print_count(n.actual);
        print_share(n.found, n.predicted);
        print_share(n.found, n.actual);
        print_share(2 * n.found, n.actual + n.predicted);
        printf("\n");
    }
}

/*
 * Rows are the true classes, as in scikit-learn's confusion_matrix. Left out where it would be
 * wider than a page.
 */
static void print_matrix(const struct gr_scored *s) {
    const size_t classes = gr_accumulator_classes(s->accumulator);
    char name[CLASS_NAME_BYTES];
    if (classes > MATRIX_CLASSES_MAX) return;
    printf("\n%-*s", NAME_BYTES, "is \\ was taken for");
    for (size_t c = 0; c < classes; c++) {
        name_of(s, c, name);
        printf("  %*s", padded(name, 9), name);
    }
    printf("\n");
    for (size_t i = 0; i < classes; i++) {
        name_of(s, i, name);
        printf("%-*s", padded(name, NAME_BYTES), name);
        for (size_t j = 0; j < classes; j++)
            print_count(gr_accumulator_confusion(s->accumulator, i, j));
        printf("\n");
    }
}

/*
 * The accuracy must be read against this share: a model that always names the largest class reaches
 * it.
 */
static void print_largest(const struct gr_scored *s) {
    char name[CLASS_NAME_BYTES];
    const struct gr_class_share largest = gr_accumulator_largest_class(s->accumulator);
    if (isfinite(largest.share))
        printf("%-26s %.6f  (class %s: the accuracy of who always says so)\n", "largest_class",
               largest.share, name_of(s, largest.index, name));
}

/* The last line that is there for two classes alone. */
static void print_interval(const struct gr_scored *s) {
    const struct gr_metric_value error = gr_accumulator_auc_error(s->accumulator);
    const struct gr_interval interval = gr_accumulator_auc_interval(s->accumulator);
    if (error.why)
        printf("%-26s not defined: %s\n", "auc_interval", error.why);
    else
        printf("%-26s %.6f to %.6f  (95 %%, DeLong; standard error %.6f)\n", "auc_interval",
               interval.lower, interval.upper, error.value);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static void print_head(const struct gr_scored *s) {
    const struct gr_accumulator *a = s->accumulator;
    const bool recalibrated = s->recalibration != GR_RECALIBRATION_NONE;
    double loss = gr_score_loss(&s->score), accuracy = gr_score_accuracy(&s->score);
    if (recalibrated) {
        loss = gr_accumulator_metric(a, gr_metric_find("log_loss")).value;
        accuracy = gr_accumulator_metric(a, gr_metric_find("accuracy")).value;
    }
    printf("rows %lld  loss %.6f", (long long)s->score.examples, loss);
    if (gr_accumulator_classes(a) > 0) printf("  accuracy %.4f", accuracy);
    printf("\n");
    if (recalibrated)
        printf("probabilities are recalibrated, as the model says: %s\n",
               gr_recalibration_text(s->recalibration));
}

/*
 * A value with bounds is known only as far as its bins are narrow; the range is printed beside it.
 */
gr_status gr_print_scores(const struct gr_scored *s) {
    const size_t classes = gr_accumulator_classes(s->accumulator);
    print_head(s);
    if (classes > 0) print_largest(s);
    for (unsigned m = 0; m < gr_metric_count; m++) {
        const char *name = gr_metric_rows[m].name;
        const struct gr_metric_value v = gr_accumulator_metric(s->accumulator, m);
        if (gr_metric_rows[m].always || !gr_metric_fits(m, classes)) continue;
        /* The AUC may be not known for its bins are too wide; its bounds are still told. */
        if (v.why && v.lower < v.upper)
            printf("%-26s not known: %s (%.6f to %.6f)\n", name, v.why, v.lower, v.upper);
        else if (v.why)
            printf("%-26s not defined: %s\n", name, v.why);
        else if (v.lower < v.upper)
            printf("%-26s %.6f  (%.6f to %.6f)\n", name, v.value, v.lower, v.upper);
        else
            printf("%-26s %.6f\n", name, v.value);
    }
    if (classes == 2) print_interval(s);
    if (classes > 0 && classes <= GR_CONFUSION_CLASSES_MAX) {
        print_classes(s);
        print_matrix(s);
    }
    if (columns_of(s) > 0) printf("\n");
    return gr_print_findings(stdout, s);
}

/* The form of a run's evaluation.json, so that one reader serves for both; "rows_of" is "table". */
gr_status gr_print_scores_json(const struct gr_scored *s) {
    char *findings = NULL, *text = NULL;
    gr_status status;
    GR_TRY(findings_json(s, &findings));
    const struct gr_evaluation evaluation = {
        .rows_of = "table",
        .accumulator = s->accumulator,
        .class_names = gr_columns_class_names(s->columns, gr_accumulator_classes(s->accumulator)),
        .findings = findings,
        .weighted = s->weighted,
        .lost_weights = s->lost_weights};
    GR_TRY(gr_evaluation_to_json(&evaluation, &text));
    fputs(text, stdout);
out:
    gr_free(text);
    gr_free(findings);
    return status;
}

/* A statement that cannot be read is told, and does not keep anybody from the model. */
void gr_warn_withdrawn(const char *model_path) {
    struct gr_withdrawn withdrawn;
    if (gr_withdrawal_of_model(model_path, &withdrawn) != GR_OK)
        fprintf(stderr, "granary: %s\n", gr_message());
    else if (withdrawn.found)
        fprintf(stderr,
                "granary: %s: the silo %s has been withdrawn from this model (withdrawn.json); the "
                "model without it has the digest %s\n",
                model_path, withdrawn.silo, withdrawn.model);
}
