/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stored model on a table of rows, by all ranks. The rows are dealt in turns: in each the ranks
 * take a portion each, one after another. A portion is whole batches, so that a row is scored with
 * the same others, and to the same bits, by any number of ranks.
 */
#include <granary/federation.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Enough batches that the ranks seldom meet, as far as they are of few floats. */
enum { BATCHES_MOST = 8, FLOATS_MOST = 4 << 20 };

struct scoring {
    struct gr_comm *comm;   /* borrowed */
    const char *model_path; /* borrowed */
    const char *table_path;
    struct gr_model_file file;
    struct gr_model *model;
    struct gr_preprocessing *preprocessing;  /* NULL: rows are taken as they are */
    struct gr_postprocessing postprocessing; /* of what the model gives */
    float *logits;                           /* of a row, calibrated; owned */
    struct gr_table *table;
    size_t portion;      /* rows of one */
    size_t n_rows, next; /* next: first row of the next turn */
};

/* ---- model and table ------------------------------------------------------------------------ */

/*
 * The codes that the model looks up must be those that preprocessing makes, feature by feature.
 * Both lists are ascending, so that one pass compares them. A mismatch means a file put together by
 * hand.
 */
static gr_status check_codes(const struct scoring *s) {
    const struct gr_columns *columns = gr_preprocessing_columns(s->preprocessing);
    const struct gr_codes *codes = gr_model_codes(s->model);
    if (!columns || codes->n == 0) return GR_OK;
    for (size_t i = 0, k = 0; i < columns->n_features; i++) {
        const struct gr_feature *feature = &columns->features[i];
        const uint32_t found = feature->kind == GR_FEATURE_CODE ? feature->n_categories : 0;
        const bool wanted = k < codes->n && codes->list[k].feature == i;
        const uint32_t expected = wanted ? codes->list[k].n_categories : 0;
        k += wanted;
        if (found != expected)
            return gr_fail(GR_ERROR_DATA,
                           "%s: feature %zu: /preprocessing makes the code of %u categories, its "
                           "architecture expects %u (0: a number)",
                           s->model_path, i, found, expected);
    }
    return GR_OK;
}

static gr_status open_preprocessing(struct scoring *s) {
    char name[256];
    gr_status status;
    snprintf(name, sizeof name, "%s: /preprocessing", s->model_path);
    GR_TRY(gr_preprocessing_create(name, s->file.preprocessing, &s->preprocessing));
    const size_t found = gr_preprocessing_features(s->preprocessing);
    if (found != gr_model_inputs(s->model))
        status = gr_fail(GR_ERROR_DATA, "%s makes %zu features, the model has %zu inputs", name,
                         found, gr_model_inputs(s->model));
    else
        status = check_codes(s);
out:
    return status;
}

static gr_status open_postprocessing(struct scoring *s) {
    char name[256];
    const size_t classes = gr_model_classes(s->model);
    gr_status status;
    snprintf(name, sizeof name, "%s: /postprocessing", s->model_path);
    GR_TRY(gr_postprocessing_parse(name, s->file.postprocessing, classes, &s->postprocessing));
    status = gr_allocate(classes > 0 ? classes : 1, sizeof *s->logits, "a row", &s->logits);
out:
    return status;
}

/*
 * Every rank reads the whole model file. Nothing in it is trusted: digests, architecture and
 * preprocessing are checked against each other before rows are scored.
 */
static gr_status open_model(struct scoring *s) {
    gr_status status = GR_OK;
    GR_TRY(
        gr_model_file_read(s->model_path, gr_comm_rank(s->comm), gr_comm_size(s->comm), &s->file));
    if (!s->file.digests_match)
        return gr_fail(GR_ERROR_DATA, "%s: damaged: a slab's digest differs", s->model_path);
    status = gr_model_create_from_description(s->file.architecture, &s->file.layout, GR_TEST_BATCH,
                                              &s->model);
    /* An error of settings is the user's in a config; in a model's file it is damage. */
    if (status != GR_OK)
        return gr_fail_context(status == GR_ERROR_CONFIG ? GR_ERROR_DATA : status,
                               "%s: ", s->model_path);
    if (s->file.preprocessing) GR_TRY(open_preprocessing(s));
    if (s->file.postprocessing) status = open_postprocessing(s);
out:
    return status;
}

/*
 * Collective. Whether all ranks have the same digest, found with one reduction: the maximum of a
 * word equals minus the maximum of its negation only if all words are equal. A rank's host may have
 * another copy of the file, or it is replaced while ranks open it; each would then score its rows
 * by another model, and the sum would be of none.
 */
static gr_status agree_on(const struct scoring *s, const char *path,
                          const unsigned char digest[GR_DIGEST_BYTES]) {
    enum { WORDS = GR_DIGEST_BYTES / sizeof(int64_t) };
    int64_t words[2 * WORDS];
    gr_status status;
    memcpy(words, digest, GR_DIGEST_BYTES);
    for (size_t i = 0; i < WORDS; i++) {
        words[i] >>= 1; /* so that the least has a negative too */
        words[WORDS + i] = -words[i];
    }
    GR_TRY(gr_comm_max_public(s->comm, words, sizeof words / sizeof *words));
    for (size_t i = 0; i < WORDS; i++)
        if (words[i] != -words[WORDS + i])
            return gr_fail(GR_ERROR_DATA,
                           "%s: ranks found different files: their hosts have other copies, or it "
                           "was replaced meanwhile",
                           path);
out:
    return status;
}

/* Collective. */
static gr_status agree_on_model(const struct scoring *s) {
    unsigned char found[GR_DIGEST_BYTES];
    struct gr_digest digest;
    gr_layout_digest(&s->file.layout, s->file.parameters, found);
    gr_digest_start(&digest);
    gr_digest_add(&digest, found, sizeof found);
    gr_digest_add(&digest, s->file.architecture, strlen(s->file.architecture) + 1);
    if (s->file.preprocessing)
        gr_digest_add(&digest, s->file.preprocessing, strlen(s->file.preprocessing));
    if (s->file.postprocessing)
        gr_digest_add(&digest, s->file.postprocessing, strlen(s->file.postprocessing) + 1);
    gr_digest_finish(&digest, found);
    return agree_on(s, s->model_path, found);
}

/*
 * Collective. Compares the number of rows, the bytes of the file, and the labels where there are
 * any. Features are not read as a whole by any rank, so a digest of them would cost a second pass.
 */
static gr_status agree_on_table(const struct scoring *s) {
    const int32_t *labels = gr_table_labels(s->table);
    const uint64_t n = s->n_rows;
    unsigned char found[GR_DIGEST_BYTES];
    struct gr_digest digest;
    struct stat info = {0};
    if (stat(s->table_path, &info) != 0) info.st_size = 0;
    const int64_t bytes = (int64_t)info.st_size;
    gr_digest_start(&digest);
    gr_digest_add(&digest, &n, sizeof n);
    gr_digest_add(&digest, &bytes, sizeof bytes);
    if (labels) gr_digest_add(&digest, labels, s->n_rows * sizeof *labels);
    gr_digest_finish(&digest, found);
    return agree_on(s, s->table_path, found);
}

static gr_status check_fit(const struct scoring *s) {
    const int32_t *labels = gr_table_labels(s->table);
    const size_t features = gr_table_n_features(s->table), classes = gr_model_classes(s->model);
    if (features != gr_model_inputs(s->model))
        return gr_fail(GR_ERROR_DATA, "%s: found %zu features in a row, expected %zu as in %s",
                       s->table_path, features, gr_model_inputs(s->model), s->model_path);
    if (labels && classes > 0) {
        gr_status status = gr_columns_have_label(gr_table_columns(s->table));
        if (status != GR_OK) return gr_fail_context(status, "%s: ", s->table_path);
    }
    return GR_OK;
}

/* The column of the model that a table lacks: the message says which. */
static gr_status refuse_without(const struct scoring *s, bool weight) {
    const struct gr_columns *columns =
        s->preprocessing ? gr_preprocessing_columns(s->preprocessing) : NULL;
    const int column = !columns ? -1 : weight ? columns->weight : columns->offset;
    const char *text = column >= 0 ? columns->schema->columns[column].name
                       : weight    ? "/weights"
                                   : "/offsets";
    char name[64];
    gr_text_quote(text, strlen(text), name, sizeof name);
    return gr_fail(GR_ERROR_DATA, "%s: has no \"%s\" of the rows' %s, which the model needs",
                   s->table_path, name, weight ? "weights" : "offsets");
}

/* Rows bring the weights and offsets that the model knows of. */
static gr_status use_terms(struct scoring *s, bool labelled) {
    const struct gr_columns *columns =
        s->preprocessing ? gr_preprocessing_columns(s->preprocessing) : NULL;
    gr_status status = GR_OK;
    if (gr_model_has_offset(s->model) && !gr_table_has_offsets(s->table))
        return refuse_without(s, false);
    if (labelled && columns && columns->weight >= 0 && !gr_table_has_weights(s->table))
        return refuse_without(s, true);
    if (gr_table_has_weights(s->table)) status = gr_model_use_weights(s->model);
    return status;
}

/*
 * A portion is whole batches: a row is scored with the same neighbours for any number of ranks.
 * More batches in a portion mean fewer meetings of the ranks; the bound on floats keeps a portion
 * of a wide table at 16 MiB, but never below one batch.
 */
static size_t choose_portion(size_t features, size_t classes) {
    const size_t width = features > classes ? features : classes; /* at least 1: features */
    const size_t batches = FLOATS_MOST / GR_TEST_BATCH / width;
    return GR_TEST_BATCH * (batches < 1 ? 1 : batches < BATCHES_MOST ? batches : BATCHES_MOST);
}

/* Collective. Both, on every rank; on failure too scoring_close is due. */
static gr_status scoring_open(struct scoring *s, const struct gr_table_config *table,
                              const struct gr_table_options *given, bool labelled) {
    gr_status status = GR_OK;
    struct gr_table_options options = *given;
    gr_alive_set(gr_control_watch, s->comm);
    s->table_path = options.source == GR_SOURCE_IDX ? table->features : table->file;
    GR_TRY(gr_comm_agree(s->comm, open_model(s)));
    GR_TRY(agree_on_model(s));
    options.labelled = labelled;
    options.preprocessing = s->preprocessing;
    options.domain = gr_model_domain(s->model);
    GR_TRY(gr_comm_agree(s->comm, gr_table_open(table, &options, &s->table)));
    s->n_rows = gr_table_n_rows(s->table);
    GR_TRY(gr_comm_agree(s->comm, check_fit(s)));
    GR_TRY(gr_comm_agree(s->comm, use_terms(s, labelled)));
    s->portion = choose_portion(gr_model_inputs(s->model), gr_model_classes(s->model));
    status = agree_on_table(s);
out:
    return status;
}

/* The model's; NULL: it knows none. */
static const struct gr_columns *columns_of(const struct scoring *s) {
    return s->preprocessing ? gr_preprocessing_columns(s->preprocessing) : NULL;
}

/* All parts may be NULL: due after a failure of scoring_open as well. */
static void scoring_close(struct scoring *s) {
    gr_alive_set(NULL, NULL);
    gr_table_close(s->table);
    gr_free(s->logits);
    gr_postprocessing_release(&s->postprocessing);
    gr_preprocessing_free(s->preprocessing);
    gr_model_free(s->model);
    gr_model_file_release(&s->file);
}

/*
 * This rank's portion of the next turn, perhaps without rows. False: all rows have been dealt. All
 * ranks call it equally often and get false in the same turn, so that collectives in between stay
 * in step.
 */
static bool next_portion(struct scoring *s, size_t *first, size_t *n) {
    const size_t all = s->n_rows, rank = (size_t)gr_comm_rank(s->comm), most = s->portion;
    if (s->next >= all) return false;
    *first = s->next + rank * most;
    *n = *first >= all ? 0 : all - *first < most ? all - *first : most;
    s->next += (size_t)gr_comm_size(s->comm) * most;
    return true;
}

/* Says where the rows are that cannot be scored. */
static gr_status name_rows(const struct scoring *s, size_t first, size_t n, gr_status status) {
    if (status != GR_ERROR_DATA) return status;
    return gr_fail_context(status, "%s: among rows %zu to %zu: ", s->table_path, first,
                           first + n - 1);
}

/* ---- evaluation ----------------------------------------------------------------------------- */

/*
 * Not collective: integer sums are added over ranks once, at the end, in whatever order ranks
 * finish.
 */
static gr_status evaluate_portions(struct scoring *s, struct gr_score *score,
                                   struct gr_accumulator *accumulator) {
    gr_status status = GR_OK;
    size_t first, n;
    while (next_portion(s, &first, &n)) {
        const struct gr_rows *rows;
        struct gr_score part;
        if (n == 0) continue;
        GR_TRY(gr_table_read(s->table, first, n, &rows));
        GR_TRY(name_rows(s, first, n,
                         gr_evaluate_rows(s->model, s->file.parameters, rows, gr_control_watch,
                                          s->comm, &part, accumulator)));
        gr_score_add(score, &part);
    }
out:
    return status;
}

/* ---- findings ------------------------------------------------------------------------------- */

_Static_assert(sizeof(struct gr_found) % sizeof(int64_t) == 0, "found is a list of int64_t");

/* Collective. Over all rows; of a table that every rank has looked through, rank 0's count. */
static gr_status sum_findings(struct scoring *s, struct gr_scored *out) {
    const struct gr_columns *columns = columns_of(s);
    gr_status status;
    bool whole;
    const struct gr_found *found = gr_table_found(s->table, &whole);
    const size_t n = columns ? columns->schema->columns_count : 0;
    if (!found || n == 0) return GR_OK;
    GR_TRY(
        gr_comm_agree(s->comm, gr_allocate_zero(n, sizeof *out->found, "findings", &out->found)));
    if (!whole || gr_comm_rank(s->comm) == 0) memcpy(out->found, found, n * sizeof *found);
    status = gr_comm_sum_public(s->comm, &out->found->missing, n * sizeof *found / sizeof(int64_t));
out:
    return status;
}

static gr_status copy_columns(const struct scoring *s, struct gr_scored *out) {
    const struct gr_columns *columns = columns_of(s);
    struct gr_schema *schema;
    if (!columns) return GR_OK;
    gr_status status = gr_schema_copy(columns->schema, &schema);
    return status == GR_OK ? gr_columns_create(schema, &out->columns) : status;
}

/* Collective. All that is told beside the scores. */
static gr_status conclude(struct scoring *s, struct gr_scored *out) {
    gr_status status;
    out->n_rows = s->n_rows;
    GR_TRY(gr_comm_agree(s->comm, copy_columns(s, out)));
    status = sum_findings(s, out);
out:
    return status;
}

void gr_scored_release(struct gr_scored *scored) {
    gr_accumulator_free(scored->accumulator);
    gr_columns_free(scored->columns);
    gr_free(scored->found);
    *scored = (struct gr_scored){0};
}

static const char *filled(const struct gr_column *c) {
    switch (c->missing) {
    case GR_MISSING_MEAN:
        return ", taken as the mean of the training rows";
    case GR_MISSING_MODE:
        return ", taken as the commonest category of the training rows";
    case GR_MISSING_INDICATOR:
        return ", taken as 0 and said so in a feature";
    case GR_MISSING_ZERO:
        return ", taken as 0";
    default:
        return "";
    }
}

/* "3 missing", or of all rows "all 40 missing". */
static void add_count(char *out, size_t size, int64_t count, size_t all, const char *what) {
    const size_t used = strlen(out);
    if (count == 0) return;
    snprintf(out + used, size - used, "%s%s%lld %s", used ? "; " : "",
             (size_t)count == all ? "all " : "", (long long)count, what);
}

gr_status gr_scored_tell(const struct gr_scored *scored, size_t column, char **words) {
    char text[512] = "", what[160];
    *words = NULL;
    if (!scored->columns || !scored->found) return GR_OK;
    const struct gr_column *c = &scored->columns->schema->columns[column];
    const struct gr_found *found = &scored->found[column];
    snprintf(what, sizeof what, "missing%s", filled(c));
    add_count(text, sizeof text, found->missing, scored->n_rows, what);
    if (c->range_count == 2)
        snprintf(what, sizeof what, "outside of %.9g to %.9g", c->range[0], c->range[1]);
    add_count(text, sizeof text, found->outside, scored->n_rows, what);
    add_count(text, sizeof text, found->unknown, scored->n_rows,
              "of a category that the model does not know");
    add_count(text, sizeof text, found->censored, scored->n_rows, "that stand for a bound");
    add_count(text, sizeof text, found->lost, scored->n_rows, "beyond the digits of float32");
    add_count(text, sizeof text, found->dropped, scored->n_rows, "without an answer, left out");
    return text[0] ? gr_text_format(words, "%s", text) : GR_OK;
}

/* ---- evaluation of a table ------------------------------------------------------------------ */

gr_status gr_evaluate_table(struct gr_comm *comm, const char *model_path,
                            const struct gr_table_config *table,
                            const struct gr_table_options *options, struct gr_scored *out) {
    gr_status status = GR_OK;
    struct scoring s = {.comm = comm, .model_path = model_path};
    size_t n;
    *out = (struct gr_scored){0};
    GR_TRY(scoring_open(&s, table, options, true));
    GR_TRY(
        gr_comm_agree(comm, gr_accumulator_create(gr_model_classes(s.model), &out->accumulator)));
    out->recalibration = s.postprocessing.recalibration.method;
    if (out->recalibration != GR_RECALIBRATION_NONE)
        GR_TRY(gr_comm_agree(
            comm, gr_accumulator_recalibrate(out->accumulator, &s.postprocessing.recalibration)));
    gr_accumulator_set_exponent(out->accumulator, gr_table_weight_exponent(s.table));
    out->weighted = gr_table_has_weights(s.table);
    out->lost_weights = gr_table_lost_weights(s.table);
    GR_TRY(gr_comm_agree(comm, evaluate_portions(&s, &out->score, out->accumulator)));
    GR_TRY(gr_accumulator_recalibrate(out->accumulator, NULL)); /* which is about to go */
    GR_TRY(gr_comm_sum_public(comm, &out->score.examples, GR_SCORE_SUMS));
    int64_t *counts = gr_accumulator_sums(out->accumulator, &n);
    GR_TRY(gr_comm_sum_public(comm, counts, n));
    gr_accumulator_bin(out->accumulator, out->accumulator);
    counts = gr_accumulator_counts(out->accumulator, &n);
    GR_TRY(gr_comm_sum_public(comm, counts, n));
    for (;;) {
        counts = gr_accumulator_fit(out->accumulator, out->accumulator, &n);
        if (n == 0) break;
        GR_TRY(gr_comm_sum_public(comm, counts, n));
    }
    counts = gr_accumulator_bounds(out->accumulator, &n);
    GR_TRY(gr_comm_max_public(comm, counts, n));
    status = conclude(&s, out);
out:
    scoring_close(&s);
    return status;
}

/* ---- prediction ----------------------------------------------------------------------------- */

/* Room for a portion. */
struct portion {
    int32_t *labels;
    float *values;    /* probabilities, or one number a row */
    uint8_t *sets;    /* of a conformal model: of each class whether it is in the set, or */
    float *intervals; /* the two ends of the interval */
};

/*
 * Probabilities of a row's logits z, in double, shifted by the largest so that exp cannot overflow;
 * the label is the first of the largest.
 */
static void softmax(const float *z, size_t classes, int32_t *label, float *p) {
    size_t best = 0;
    double sum = 0;
    for (size_t c = 1; c < classes; c++)
        if (z[c] > z[best]) best = c;
    for (size_t c = 0; c < classes; c++) {
        const double e = exp((double)z[c] - (double)z[best]);
        p[c] = (float)e;
        sum += e;
    }
    for (size_t c = 0; c < classes; c++)
        p[c] = (float)((double)p[c] / sum);
    *label = (int32_t)best;
}

/* Row i of `portion` of a classifier, from its logits; sets are of these as they are. */
static void take_classes(struct scoring *s, const float *z, size_t i, struct portion *portion) {
    const size_t classes = gr_model_classes(s->model);
    const struct gr_postprocessing *made = &s->postprocessing;
    if (portion->sets) gr_conformal_set(&made->conformal, z, classes, portion->sets + i * classes);
    if (made->recalibration.method != GR_RECALIBRATION_NONE) {
        gr_recalibrate(&made->recalibration, z, classes, s->logits);
        z = s->logits;
    }
    softmax(z, classes, portion->labels + i, portion->values + i * classes);
}

/* What the model has scored last, n rows, into `portion` from row `at` on. */
static void take_outputs(struct scoring *s, size_t at, size_t n, struct portion *portion) {
    const float *out = gr_model_logits(s->model);
    const size_t classes = gr_model_classes(s->model);
    for (size_t i = 0; i < n && classes > 0; i++)
        take_classes(s, out + i * classes, at + i, portion);
    for (size_t i = 0; i < n && classes == 0; i++) {
        portion->values[at + i] = out[i];
        if (portion->intervals)
            gr_conformal_interval(&s->postprocessing.conformal, out[i],
                                  portion->intervals + 2 * (at + i));
    }
}

/*
 * Rows first .. first + n - 1 into `portion`. Unlike an evaluation, which leaves bad rows out, a
 * prediction that is not finite is an error: a file of predictions has an answer for every row.
 */
static gr_status predict_rows(struct scoring *s, size_t first, size_t n, struct portion *portion) {
    gr_status status = GR_OK;
    const struct gr_rows *rows;
    if (n == 0) return GR_OK;
    GR_TRY(gr_table_read(s->table, first, n, &rows));
    for (size_t done = 0, batch; done < n; done += batch) {
        double loss;
        size_t correct;
        batch = n - done < GR_TEST_BATCH ? n - done : GR_TEST_BATCH;
        gr_rows_gather(rows, NULL, done, batch, gr_model_batch_features(s->model),
                       gr_model_batch_labels(s->model), gr_model_batch_targets(s->model));
        gr_rows_gather_terms(rows, NULL, done, batch, NULL, gr_model_batch_offsets(s->model));
        GR_TRY(name_rows(s, first + done, batch,
                         gr_model_score(s->model, s->file.parameters, batch, &loss, &correct)));
        if (!isfinite(loss))
            return gr_fail(GR_ERROR_DATA, "%s: among rows %zu to %zu a score is not finite",
                           s->table_path, first + done, first + done + batch - 1);
        take_outputs(s, done, batch, portion);
    }
out:
    return status;
}

/* The file that would be replaced must not be the one that is read. */
static gr_status check_output(const struct scoring *s, const char *path) {
    const char *read[] = {s->model_path, s->table_path};
    gr_status status = gr_predictions_check_path(path);
    return status == GR_OK ? gr_file_check_output(path, read, 2) : status;
}

/*
 * Collective in each turn: the file is written in parallel, so all ranks must know of a failure
 * before the next write. Ids are borrowed from the table until the next read.
 */
static gr_status predict_portions(struct scoring *s, struct portion *portion,
                                  struct gr_predictions *predictions) {
    gr_status status = GR_OK;
    size_t first, n;
    while (next_portion(s, &first, &n)) {
        GR_TRY(gr_comm_agree(s->comm, predict_rows(s, first, n, portion)));
        const struct gr_ids *ids = gr_table_ids(s->table);
        const struct gr_predicted rows = {.labels = portion->labels,
                                          .values = portion->values,
                                          .sets = portion->sets,
                                          .intervals = portion->intervals,
                                          .ids = ids ? ids->text : NULL,
                                          .id_end = ids ? ids->end : NULL};
        GR_TRY(gr_predictions_write(predictions, first, n, &rows));
    }
    status = gr_predictions_finish(predictions);
out:
    return status;
}

static bool has_sets(const struct scoring *s) {
    return s->postprocessing.conformal.alpha > 0;
}

static gr_status make_portion(const struct scoring *s, struct portion *out) {
    gr_status status = GR_OK;
    const size_t classes = gr_model_classes(s->model);
    const size_t row = (classes > 0 ? classes : 1) * sizeof *out->values;
    GR_TRY(gr_allocate(s->portion, sizeof *out->labels, "predictions", &out->labels));
    GR_TRY(gr_allocate(s->portion, row, "predictions", &out->values));
    if (!has_sets(s)) return GR_OK;
    if (classes > 0)
        status = gr_allocate(s->portion, classes, "predictions", &out->sets);
    else
        status =
            gr_allocate(s->portion, 2 * sizeof *out->intervals, "predictions", &out->intervals);
out:
    return status;
}

/* Collective. */
static gr_status create_predictions(const struct scoring *s, const char *path, const char *id,
                                    struct gr_predictions **out) {
    unsigned char digest[GR_DIGEST_BYTES];
    char hex[GR_DIGEST_HEX] = "";
    const size_t classes = gr_model_classes(s->model);
    if (gr_comm_rank(s->comm) == 0) {
        gr_layout_digest(&s->file.layout, s->file.parameters, digest);
        gr_digest_hex(digest, hex);
    }
    const struct gr_predictions_form form = {.n_rows = s->n_rows,
                                             .classes = classes,
                                             .class_names =
                                                 gr_columns_class_names(columns_of(s), classes),
                                             .sets = has_sets(s),
                                             .id_name = id,
                                             .id_bytes = gr_table_id_bytes(s->table),
                                             .model_digest = hex};
    return gr_predictions_create(s->comm, path, &form, out);
}

gr_status gr_predict_table(struct gr_comm *comm, const char *model_path,
                           const struct gr_table_config *table,
                           const struct gr_table_options *options, const char *out_path,
                           struct gr_scored *out) {
    gr_status status = GR_OK;
    struct scoring s = {.comm = comm, .model_path = model_path};
    struct portion portion = {0};
    struct gr_predictions *predictions = NULL;
    *out = (struct gr_scored){0};
    GR_TRY(scoring_open(&s, table, options, false));
    GR_TRY(gr_comm_agree(comm, check_output(&s, out_path)));
    GR_TRY(gr_comm_agree(comm, make_portion(&s, &portion)));
    GR_TRY(create_predictions(&s, out_path, options->id, &predictions));
    GR_TRY(predict_portions(&s, &portion, predictions));
    status = conclude(&s, out);
out:
    gr_predictions_free(predictions);
    gr_free(portion.intervals);
    gr_free(portion.sets);
    gr_free(portion.values);
    gr_free(portion.labels);
    scoring_close(&s);
    return status;
}
