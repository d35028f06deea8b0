/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process's share of the federation: partition, split, and the rows of its own silos and test
 * batches read straight to where they stay, in one pass over the file.
 */
#include "data/preprocess.h"
#include "data/reader.h"
#include "data/rows.h"
#include "data/split.h"

#include <granary/slices.h>

#include <stdlib.h>
#include <string.h>

/* The data under construction, and the share that is loaded. */
struct load {
    const struct gr_config *config;
    const struct gr_share *share;
    struct gr_data *data;
};

/* The labels, targets and terms of a table's rows, one for each row of the file. */
struct answers {
    int32_t *labels;        /* owned */
    float *targets;         /* NULL: there are none; owned */
    float *terms[GR_TERMS]; /* likewise */
    uint32_t n_classes;
};

static gr_status read_answers(const struct load *l, struct gr_reader *reader, size_t n,
                              struct answers *answers) {
    gr_status status;
    GR_TRY(gr_reader_labels(reader, n, &answers->labels, &answers->n_classes));
    GR_TRY(gr_reader_targets(reader, n, &answers->targets));
    for (size_t k = 0; k < GR_TERMS; k++)
        GR_TRY(gr_reader_terms(reader, (enum gr_term)k, n, &answers->terms[k]));
    if (l->config->model.classes > 0) answers->n_classes = l->config->model.classes;
out:
    return status;
}

/* Of a common table after it has been dealt, so that a wrong column to partition by is told first.
 */
static gr_status check_answers(const struct load *l, struct gr_reader *reader, size_t n,
                               const struct answers *answers) {
    const struct gr_domain domain = gr_domain_of(&l->config->model);
    struct gr_columns *own = reader->columns;
    if (!own) reader->columns = l->data->columns; /* they were the first table's */
    const gr_status status = gr_reader_check(reader, &domain, n, answers->labels, answers->targets);
    reader->columns = own;
    return status;
}

static void release_answers(struct answers *answers) {
    gr_free(answers->labels);
    gr_free(answers->targets);
    for (size_t k = 0; k < GR_TERMS; k++)
        gr_free(answers->terms[k]);
    *answers = (struct answers){0};
}

/* Every process reads the answers of all rows of a common table: those of one copy have one digest.
 */
static void digest_answers(const struct gr_reader *reader, size_t n, const struct answers *answers,
                           unsigned char out[GR_DIGEST_BYTES]) {
    const struct gr_table_shape *shape = &reader->shape;
    const uint64_t form[] = {n, shape->n_features, shape->element};
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, form, sizeof form);
    gr_digest_add(&digest, answers->labels, n * sizeof *answers->labels);
    if (answers->targets) gr_digest_add(&digest, answers->targets, n * sizeof *answers->targets);
    for (size_t k = 0; k < GR_TERMS; k++)
        if (answers->terms[k]) gr_digest_add(&digest, answers->terms[k], n * sizeof(float));
    gr_digest_finish(&digest, out);
}

/* Of targets, weights and offsets counts only whether there are some. */
static struct gr_rows rows_like(const struct gr_table_shape *shape, const struct answers *answers) {
    return (struct gr_rows){.n_features = shape->n_features,
                            .element = shape->element,
                            .scale = shape->scale,
                            .targets = answers->targets,
                            .weights = answers->terms[GR_TERM_WEIGHT],
                            .offsets = answers->terms[GR_TERM_OFFSET]};
}

/* Row `row` of a table becomes row `at` of the rows, but for its features. */
static void put_answers(const struct answers *answers, size_t row, struct gr_rows *to, size_t at) {
    to->labels[at] = answers->labels[row];
    if (to->targets) to->targets[at] = answers->targets[row];
    if (to->weights) to->weights[at] = answers->terms[GR_TERM_WEIGHT][row];
    if (to->offsets) to->offsets[at] = answers->terms[GR_TERM_OFFSET][row];
}

/* The first table's columns are everybody's. */
static gr_status join_columns(struct gr_data *data, struct gr_reader *reader) {
    char difference[GR_DIFFERENCE_BYTES] = "it names no columns";
    gr_status status = GR_OK;
    bool first = data->n_features == 0;
    if (first && reader->columns) {
        data->columns = reader->columns;
        reader->columns = NULL;
        return gr_allocate_zero(data->n_local * data->columns->schema->columns_count,
                                sizeof *data->found, "findings", &data->found);
    }
    if (!data->columns) return GR_OK;
    if (!reader->columns || !gr_columns_alike(reader->columns->schema, data->columns->schema,
                                              difference, sizeof difference)) {
        status = gr_fail(GR_ERROR_DATA,
                         "%s: %s, unlike the tables before it; with a data.schema it is "
                         "said whose are wrong",
                         gr_reader_features_path(reader), difference);
        reader->misfit = true;
    }
    return status;
}

/* Takes the findings in a table that this process answers for, as it was read or imported, for
 * those of a silo by its index here. */
static void add_found(struct gr_data *data, size_t silo, const struct gr_reader *reader) {
    const struct gr_found *from = reader->found ? reader->found : reader->imported;
    for (unsigned i = 0; from && i < data->columns->schema->columns_count; i++) {
        struct gr_found *to = &data->found[silo * data->columns->schema->columns_count + i];
        to->missing += from[i].missing;
        to->outside += from[i].outside;
        to->unknown += from[i].unknown;
        to->censored += from[i].censored;
        to->lost += from[i].lost;
        to->dropped += from[i].dropped;
        to->present += from[i].present;
    }
}

/* Lines about a table whose columns were guessed; silos of which the same is to be said say it
 * once.
 */
static gr_status add_guessed(struct gr_data *data, const struct gr_reader *reader,
                             const char *who) {
    char *longer = NULL;
    if (!reader->guessed || (data->guessed && strstr(data->guessed, reader->guessed))) return GR_OK;
    gr_status status = gr_text_format(&longer, "%s%s: columns as guessed\n%s",
                                      data->guessed ? data->guessed : "", who, reader->guessed);
    if (status != GR_OK) return status;
    gr_free(data->guessed);
    data->guessed = longer;
    return GR_OK;
}

static void add_passed_over(struct gr_data *data, const struct gr_passed_over *from) {
    struct gr_passed_over *to = &data->passed_over;
    to->sep_line |= from->sep_line;
    to->comments |= from->comments;
    to->row_names |= from->row_names;
    to->empty_columns |= from->empty_columns;
}

/* All tables have rows of one width; the largest number of classes counts. */
static gr_status join_table(struct load *l, struct gr_reader *reader, uint32_t n_classes) {
    struct gr_data *data = l->data;
    gr_status status = join_columns(data, reader);
    if (status != GR_OK) return status;
    if (data->n_features != 0 && data->n_features != reader->shape.n_features)
        return gr_fail(GR_ERROR_DATA, "%s: rows of %zu features, expected %zu as in the others",
                       gr_reader_features_path(reader), reader->shape.n_features, data->n_features);
    const size_t n_dims = reader->shape.n_dims - 1, *dims = reader->shape.shape + 1;
    if (data->n_features != 0 &&
        (data->n_dims != n_dims || memcmp(data->shape, dims, n_dims * sizeof *dims) != 0))
        return gr_fail(GR_ERROR_DATA, "%s: rows of another shape than in the others",
                       gr_reader_features_path(reader));
    data->n_features = reader->shape.n_features;
    data->n_dims = n_dims;
    memcpy(data->shape, dims, n_dims * sizeof *dims);
    if (n_classes > data->n_classes) data->n_classes = n_classes;
    add_passed_over(data, &reader->passed_over);
    return GR_OK;
}

/* ---- silos ---------------------------------------------------------------------------------- */

/* Whose the rows of each part are, of the silo's n rows. */
static gr_status take_persons(const struct gr_named_rows *persons, size_t n, const uint8_t *part,
                              struct gr_silo *silo) {
    uint32_t *own = NULL;
    gr_status status;
    GR_TRY(gr_allocate(n, sizeof *own, "rows of persons", &own));
    for (int p = 0; p < GR_PARTS; p++) {
        struct gr_rows *rows = gr_silo_part(silo, (enum gr_part)p);
        size_t count = 0;
        for (size_t i = 0; i < n; i++)
            if (part[i] == p) own[count++] = persons->person[i];
        if (count > 0 || p == GR_PART_TRAIN)
            GR_TRY(gr_persons_create(own, persons->n, NULL, count, &rows->persons));
    }
out:
    gr_free(own);
    return status;
}

/*
 * Makes silo `id` of rows row[0..n-1] (NULL: rows 0..n-1) of a table: answers are in their place,
 * features are what picks[0..n-1] ask for. groups: whose the table's rows are; empty: nobody's.
 */
static gr_status plan_silo(const struct load *l, uint32_t id, const uint32_t *row, size_t n,
                           const struct answers *answers, const struct gr_row_groups *groups,
                           const struct gr_table_shape *shape, struct gr_silo *silo,
                           struct gr_pick *picks) {
    struct gr_rows like = rows_like(shape, answers), *to;
    size_t filled[GR_PARTS] = {0};
    uint8_t *part = NULL;
    int32_t *labels = NULL;
    uint32_t *person = NULL;
    gr_status status;
    GR_TRY(gr_allocate(n, 1, "a split", &part));
    GR_TRY(gr_allocate(n, sizeof *labels, "a split", &labels));
    GR_TRY(gr_allocate(n, sizeof *person, "a split", &person));
    for (size_t i = 0; i < n; i++)
        labels[i] = answers->labels[row ? row[i] : i];
    for (size_t i = 0; i < n && groups->group; i++)
        person[i] = groups->group[row ? row[i] : i];
    const struct gr_named_rows persons = {person, groups->name, groups->n};
    GR_TRY(gr_silo_create(l->config, id, n, labels, groups->group ? &persons : NULL, &like, silo,
                          part));
    if (groups->group) GR_TRY(take_persons(&persons, n, part, silo));
    for (size_t i = 0; i < n; i++) {
        uint32_t r = row ? row[i] : (uint32_t)i;
        size_t at = filled[part[i]]++;
        to = gr_silo_part(silo, part[i]);
        put_answers(answers, r, to, at);
        picks[i] = (struct gr_pick){r, (char *)to->features + at * shape->row_bytes};
    }
out:
    gr_free(person);
    gr_free(labels);
    gr_free(part);
    return status;
}

static int by_row(const void *a, const void *b) {
    const struct gr_pick *x = a, *y = b;
    return x->row < y->row ? -1 : x->row > y->row;
}

static gr_status partition_rows(struct load *l, struct gr_reader *reader, size_t n,
                                const int32_t *labels, struct gr_partition *out) {
    const struct gr_partition_config *config = &l->config->data.partition;
    struct gr_row_groups groups = {0};
    gr_status status;
    if (config->method != GR_PARTITION_COLUMN)
        return gr_partition_create(config, l->config->data.split_seed, l->share->n_silos, labels, n,
                                   out);
    GR_TRY(gr_reader_groups(reader, l->data->columns, config->column, n, &groups));
    if (groups.n != l->share->n_silos) {
        (void)gr_fail(GR_ERROR_CONFIG,
                      "data.silos: found %u, the column \"%s\" has %u values (and there is a silo "
                      "for each)",
                      l->share->n_silos, config->column, groups.n);
        status = GR_ERROR_CONFIG; /* said anew for the analyser */
        goto out;
    }
    status = gr_partition_by_group(config, groups.n, groups.group, n, out);
out:
    gr_row_groups_release(&groups);
    return status;
}

/* Where rows, persons or silos are hidden a row that cannot be read must not show, as it would if
 * its silo did not take part. A table that is dealt is everybody's, and refused. */
static unsigned asks_of(const struct gr_config *config, bool own) {
    unsigned asks = 0;
    if (config->privacy.unit == GR_PRIVACY_PERSON) asks |= GR_ASK_GROUPS;
    if (own && gr_is_private(config)) asks |= GR_ASK_DROPS;
    return asks;
}

/* Partitions n rows with these answers and plans the own silos. */
static gr_status plan_silos(struct load *l, struct gr_reader *reader, size_t n,
                            const struct answers *answers, struct gr_pick **picks,
                            size_t *n_picks) {
    const struct gr_share *share = l->share;
    struct gr_partition partition = {0};
    struct gr_row_groups groups = {0};
    size_t total = 0;
    gr_status status;
    if (reader->asks & GR_ASK_GROUPS)
        GR_TRY(gr_reader_groups(reader, l->data->columns, NULL, n, &groups));
    GR_TRY(partition_rows(l, reader, n, answers->labels, &partition));
    for (size_t i = 0; i < share->n_local; i++)
        total += partition.first[share->silos[i] + 1] - partition.first[share->silos[i]];
    GR_TRY(gr_allocate(total, sizeof **picks, "a reading plan", picks));
    for (size_t i = 0; i < share->n_local; i++) {
        uint32_t id = share->silos[i];
        const uint32_t *row = partition.row_of + partition.first[id];
        size_t count = partition.first[id + 1] - partition.first[id];
        GR_TRY(plan_silo(l, id, row, count, answers, &groups, &reader->shape, &l->data->local[i],
                         *picks + *n_picks));
        *n_picks += count;
    }
    /* One silo's rows are in order already. */
    if (share->n_local > 1) qsort(*picks, *n_picks, sizeof **picks, by_row);
out:
    gr_row_groups_release(&groups);
    gr_partition_release(&partition);
    return status;
}

/* One table for all silos. */
static gr_status load_train(struct load *l) {
    const struct gr_data_config *config = &l->config->data;
    struct gr_reader reader = {0};
    struct gr_pick *picks = NULL;
    struct answers answers = {0};
    size_t n_picks = 0;
    gr_status status;
    GR_TRY(gr_reader_open(config, &config->train, asks_of(l->config, false), &reader));
    size_t n = reader.shape.shape[0];
    if (config->limit != 0 && config->limit < n) n = config->limit;
    l->data->n_common = n;
    GR_TRY(read_answers(l, &reader, n, &answers));
    GR_TRY(join_table(l, &reader, answers.n_classes));
    digest_answers(&reader, n, &answers, l->data->common_digest[GR_COMMON_TRAIN]);
    GR_TRY(plan_silos(l, &reader, n, &answers, &picks, &n_picks));
    GR_TRY(check_answers(l, &reader, n, &answers));
    if (l->share->n_local > 0 && l->share->silos[0] == 0) {
        add_found(l->data, 0, &reader);
        GR_TRY(add_guessed(l->data, &reader, "common table"));
    }
    release_answers(&answers);
    GR_TRY(gr_reader_rows(&reader, picks, n_picks));
out:
    release_answers(&answers);
    gr_free(picks);
    gr_reader_close(&reader);
    return status;
}

/*
 * The rows of a silo's own table that may be used, and their places in it; NULL: all. The table is
 * opened once more where rows are to be passed over, and has to have as many rows as before.
 */
static gr_status list_fit(const struct gr_reader *reader, size_t *n, uint32_t **row) {
    const struct gr_unfit_rows *unfit = reader->unfit;
    const size_t all = *n;
    *row = NULL;
    if (!unfit || unfit->n == 0) return GR_OK;
    gr_status status = gr_allocate(all, sizeof **row, "a reading plan", row);
    if (status != GR_OK) return status;
    *n = 0;
    for (size_t i = 0; i < all; i++)
        if (!unfit->unfit[i]) (*row)[(*n)++] = (uint32_t)i;
    return GR_OK;
}

/* For a table that is read for the first time, or again. */
static gr_status expect_unfit(struct gr_reader *reader, struct gr_unfit_rows *unfit) {
    const size_t n = reader->shape.shape[0];
    if (!(reader->asks & GR_ASK_DROPS)) return GR_OK;
    reader->unfit = unfit;
    if (unfit->unfit)
        return n == unfit->n_rows ? GR_OK
                                  : gr_fail(GR_ERROR_DATA, "%s: it has changed while it was read",
                                            gr_reader_features_path(reader));
    unfit->n_rows = n;
    return gr_allocate_zero(n, 1, "rows", &unfit->unfit);
}

static void release_parts(struct gr_silo *silo) {
    gr_rows_release(&silo->train);
    gr_rows_release(&silo->validation);
    gr_rows_release(&silo->test);
    gr_free(silo->chain);
    silo->chain = NULL;
    silo->n_links = 0;
}

/* A ledger is of a table that may grow, and needs to know it. row: as of list_fit, n of them. */
static gr_status chain_rows(const struct load *l, const struct gr_reader *reader,
                            const struct answers *answers, const uint32_t *row,
                            const struct gr_pick *picks, size_t n, struct gr_silo *silo) {
    const struct gr_table_rows rows = {
        .n = n,
        .row = row,
        .picks = picks,
        .labels = answers->labels,
        .targets = answers->targets,
        .terms = {answers->terms[GR_TERM_WEIGHT], answers->terms[GR_TERM_OFFSET]},
        .shape = &reader->shape,
        .columns = reader->columns ? reader->columns : l->data->columns};
    if (!gr_is_private(l->config)) return GR_OK;
    silo->n_links = n + 1;
    return gr_rows_chain(&rows, &silo->chain);
}

/* The silo's rows but those that are known as unfit; more of these may be found on the way. */
static gr_status read_fit(struct load *l, size_t i, struct gr_reader *reader,
                          const struct answers *answers) {
    struct gr_silo *silo = &l->data->local[i];
    struct gr_pick *picks = NULL;
    struct gr_row_groups groups = {0};
    uint32_t *row = NULL;
    size_t n = reader->shape.shape[0];
    gr_status status;
    if ((reader->asks & GR_ASK_GROUPS) && n > 0)
        GR_TRY(gr_reader_groups(reader, reader->columns, NULL, n, &groups));
    GR_TRY(list_fit(reader, &n, &row));
    GR_TRY(gr_allocate(n, sizeof *picks, "a reading plan", &picks));
    GR_TRY(plan_silo(l, l->share->silos[i], row, n, answers, &groups, &reader->shape, silo, picks));
    GR_TRY(gr_reader_rows(reader, picks, n));
    status = chain_rows(l, reader, answers, row, picks, n, silo);
out:
    gr_row_groups_release(&groups);
    gr_free(row);
    gr_free(picks);
    return status;
}

/* What a silo brings counts only when all of it is well. */
static gr_status take_silo(struct load *l, size_t i, struct gr_reader *reader, uint32_t n_classes) {
    struct gr_silo *silo = &l->data->local[i];
    struct gr_unfit_rows *unfit = reader->unfit;
    char pseudonym[24];
    gr_status status;
    GR_TRY(join_table(l, reader, n_classes));
    add_found(l->data, i, reader);
    gr_silo_pseudonym(l->share->silos[i], pseudonym);
    GR_TRY(add_guessed(l->data, reader, pseudonym));
    silo->columns = reader->columns;
    reader->columns = NULL;
    char **first = reader->first_dropped || !unfit ? &reader->first_dropped : &unfit->first;
    silo->n_dropped = reader->n_dropped + (unfit ? unfit->n : 0);
    silo->first_dropped = *first;
    *first = NULL;
out:
    return status;
}

/*
 * One table of its own for a silo. Where rows are hidden, those that cannot be used are passed
 * over: if some are found only as features are read, all is read once more without them, so that a
 * silo is as if they had never been there. *again: it is to be.
 */
static gr_status read_silo(struct load *l, size_t i, struct gr_unfit_rows *unfit, bool *again) {
    const struct gr_data_config *config = &l->config->data;
    struct gr_reader reader = {0};
    struct answers answers = {0};
    gr_status status;
    *again = false;
    GR_TRY(gr_reader_open(config, &config->silo_tables[l->share->silos[i]],
                          asks_of(l->config, true), &reader));
    GR_TRY(expect_unfit(&reader, unfit));
    GR_TRY(read_answers(l, &reader, reader.shape.shape[0], &answers));
    GR_TRY(check_answers(l, &reader, reader.shape.shape[0], &answers));
    const size_t known = unfit->n;
    GR_TRY(read_fit(l, i, &reader, &answers));
    *again = unfit->n > known;
    if (*again)
        release_parts(&l->data->local[i]);
    else
        GR_TRY(take_silo(l, i, &reader, answers.n_classes));
out:
    l->data->local[i].misfit = reader.misfit;
    release_answers(&answers);
    gr_reader_close(&reader);
    return status;
}

static gr_status load_silo(struct load *l, size_t i) {
    struct gr_silo *silo = &l->data->local[i];
    struct gr_unfit_rows unfit = {0};
    bool again = false;
    do
        silo->unusable = read_silo(l, i, &unfit, &again);
    while (silo->unusable == GR_OK && again);
    gr_free(unfit.unfit);
    gr_free(unfit.first);
    if (silo->unusable == GR_OK || silo->unusable == GR_LOST) return silo->unusable;
    silo->id = l->share->silos[i];
    gr_silo_pseudonym(silo->id, silo->pseudonym);
    release_parts(silo);
    return gr_text_format(&silo->why, "%s", gr_message());
}

/* ---- test table ----------------------------------------------------------------------------- */

/*
 * The batches of this process in one ascending pass over the file, each row straight to its place.
 */
static gr_status read_test(const struct load *l, struct gr_reader *reader,
                           const struct answers *answers) {
    struct gr_data *data = l->data;
    struct gr_pick *picks = NULL;
    size_t k = 0;
    gr_status status;
    GR_TRY(gr_allocate(data->test.n_rows, sizeof *picks, "a reading plan", &picks));
    for (size_t i = 0; i < data->n_local_batches; i++) {
        size_t row = data->local_batch[i] * GR_TEST_BATCH, end = row + GR_TEST_BATCH;
        for (; row < end && row < data->n_test; row++, k++) {
            put_answers(answers, row, &data->test, k);
            picks[k] = (struct gr_pick){(uint32_t)row,
                                        (char *)data->test.features + k * reader->shape.row_bytes};
        }
    }
    GR_TRY(gr_reader_rows(reader, picks, k));
out:
    gr_free(picks);
    return status;
}

/*
 * Every process reads the labels of all test rows, and the features of its own batches only.
 */
static gr_status load_test(struct load *l) {
    const struct gr_data_config *config = &l->config->data;
    struct gr_reader reader = {0};
    struct answers answers = {0};
    gr_status status;
    const char *path = config->source == GR_SOURCE_IDX ? config->test.features : config->test.file;
    if (!path || !path[0]) return GR_OK;
    GR_TRY(gr_reader_open(config, &config->test, 0, &reader));
    size_t n = reader.shape.shape[0];
    GR_TRY(read_answers(l, &reader, n, &answers));
    GR_TRY(check_answers(l, &reader, n, &answers));
    struct gr_rows like = rows_like(&reader.shape, &answers);
    GR_TRY(join_table(l, &reader, answers.n_classes));
    digest_answers(&reader, n, &answers, l->data->common_digest[GR_COMMON_TEST]);
    GR_TRY(gr_test_create(l->share, n, &like, l->data));
    GR_TRY(read_test(l, &reader, &answers));
    l->data->test_columns = reader.columns;
    reader.columns = NULL;
out:
    release_answers(&answers);
    gr_reader_close(&reader);
    return status;
}

gr_status gr_data_drop_test(struct gr_data *data) {
    gr_free(data->local_batch);
    gr_free(data->test_why);
    gr_columns_free(data->test_columns);
    gr_rows_release(&data->test);
    data->local_batch = NULL;
    data->test_columns = NULL;
    data->test = (struct gr_rows){0};
    data->n_test = data->n_test_batches = data->n_local_batches = 0;
    data->test_why = NULL;
    return gr_text_format(&data->test_why, "%s", gr_message());
}

static gr_status load_optional_test(struct load *l) {
    gr_status status = load_test(l);
    if (status == GR_OK || status == GR_LOST || !l->share->test_optional) return status;
    return gr_data_drop_test(l->data);
}

/* ---- the whole ------------------------------------------------------------------------------ */

static gr_status check_share(const struct gr_share *share, const struct gr_data_config *config) {
    bool good = share->test_count > 0 && share->test_index < share->test_count;
    for (size_t i = 0; i < share->n_local; i++)
        good = good && share->silos[i] < share->n_silos &&
               (i == 0 || share->silos[i - 1] < share->silos[i]);
    if (config->silo_tables_count > 0) good = good && share->n_silos <= config->silo_tables_count;
    return good ? GR_OK : gr_fail(GR_ERROR_INTERNAL, "a share of silos that are not there");
}

/* Sets the columns that the loaded tables are then held against. */
static void expect_shape(const struct gr_share *share, struct gr_data *data) {
    if (share->n_dims == 0) return;
    data->n_dims = share->n_dims;
    data->n_features = 1;
    memcpy(data->shape, share->shape, sizeof data->shape);
    for (size_t i = 0; i < share->n_dims; i++)
        data->n_features *= share->shape[i];
}

static gr_status load_source(struct load *l) {
    const struct gr_data_config *config = &l->config->data;
    gr_status status;
    if (config->source == GR_SOURCE_SYNTHETIC) {
        status = gr_synthetic_load(l->config, l->share, l->data);
        if (l->config->model.classes > l->data->n_classes)
            l->data->n_classes = l->config->model.classes;
        return status;
    }
    if (config->silo_tables_count == 0) {
        GR_TRY(load_train(l));
        return load_optional_test(l);
    }
    /* The test table first: it is everybody's, and says how wide a silo's rows must be. */
    GR_TRY(load_optional_test(l));
    for (size_t i = 0; i < l->share->n_local; i++)
        GR_TRY(load_silo(l, i));
out:
    return status;
}

gr_status gr_data_load(const struct gr_config *config, const struct gr_share *share,
                       struct gr_data **out) {
    struct gr_data *data = NULL;
    struct load l = {.config = config, .share = share};
    gr_status status;
    GR_TRY(check_share(share, &config->data));
    GR_TRY(gr_allocate_zero(1, sizeof *data, "data", &data));
    data->n_silos = share->n_silos;
    GR_TRY(gr_allocate_zero(share->n_local, sizeof *data->local, "silos", &data->local));
    data->n_local = share->n_local;
    data->silo_tables = config->data.silo_tables_count > 0;
    expect_shape(share, data);
    l.data = data;
    GR_TRY(load_source(&l));
    if (config->data.source == GR_SOURCE_HDF5) gr_data_count_found(data);
    gr_data_digest(data);
    *out = data;
    data = NULL;
out:
    gr_data_free(data);
    return status;
}

/* The share's test rows alone; of `fresh` all but n_silos is empty. */
static gr_status load_test_only(const struct gr_config *config, const struct gr_share *share,
                                struct gr_data *fresh) {
    struct load l = {.config = config, .share = share, .data = fresh};
    gr_status status = check_share(share, &config->data);
    if (status != GR_OK) return status;
    if (config->data.source == GR_SOURCE_SYNTHETIC) return gr_synthetic_load(config, share, fresh);
    return load_test(&l);
}

gr_status gr_data_reload_test(const struct gr_config *config, uint32_t test_index,
                              uint32_t test_count, struct gr_data *data) {
    struct gr_share share = {
        .n_silos = data->n_silos, .test_index = test_index, .test_count = test_count};
    struct gr_data fresh = {.n_silos = data->n_silos};
    const size_t expected =
        data->preprocessing ? gr_preprocessing_values(data->preprocessing) : data->n_features;
    gr_status status = load_test_only(config, &share, &fresh);
    if (status == GR_OK && (fresh.n_test != data->n_test || fresh.n_classes > data->n_classes ||
                            (fresh.n_test > 0 && fresh.n_features != expected)))
        status = gr_fail(GR_ERROR_DATA,
                         "test table: found %zu rows of %zu features in %u classes, "
                         "expected %zu of %zu in at most %u as when the run began",
                         fresh.n_test, fresh.n_features, fresh.n_classes, data->n_test, expected,
                         data->n_classes);
    if (status == GR_OK) gr_data_digest(&fresh);
    if (status == GR_OK && data->preprocessing)
        status = gr_slicings_assign(data->slicings, data->preprocessing, fresh.columns,
                                    "test table", &fresh.test);
    if (status == GR_OK && data->preprocessing)
        status = gr_preprocess_rows(data->preprocessing, fresh.columns, "test table", &fresh.test);
    gr_columns_free(fresh.columns);
    gr_columns_free(fresh.test_columns);
    gr_free(fresh.found);
    if (status == GR_OK) {
        gr_free(data->local_batch);
        gr_rows_release(&data->test);
        data->local_batch = fresh.local_batch;
        data->n_local_batches = fresh.n_local_batches;
        data->test = fresh.test;
        memcpy(data->test_digest, fresh.test_digest, sizeof data->test_digest);
    } else {
        gr_free(fresh.local_batch);
        gr_rows_release(&fresh.test);
    }
    return status;
}

void gr_data_free(struct gr_data *data) {
    if (!data) return;
    for (size_t i = 0; i < data->n_local; i++) {
        gr_rows_release(&data->local[i].train);
        gr_rows_release(&data->local[i].validation);
        gr_rows_release(&data->local[i].test);
        gr_columns_free(data->local[i].columns);
        gr_free(data->local[i].why);
        gr_free(data->local[i].first_dropped);
        gr_free(data->local[i].chain);
    }
    gr_free(data->local);
    gr_free(data->local_batch);
    gr_rows_release(&data->test);
    gr_columns_free(data->test_columns);
    gr_free(data->test_why);
    if (data->preprocessing)
        gr_preprocessing_free(data->preprocessing);
    else
        gr_columns_free(data->columns);
    gr_slicings_free(data->slicings);
    gr_free(data->found);
    gr_free(data->guessed);
    gr_free(data);
}
