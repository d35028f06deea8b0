/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preprocessing fitted over three silos against scikit-learn on all of their rows
 * (preprocess_reference.h), the same text on any number of ranks, and what cannot be fitted.
 *
 * ranks: 1 2 3
 */
#include "federation/internal.h"
#include "parallel.h"
#include "preprocess_reference.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { SILOS = 3 };

static const char schema_text[] =
    "columns:\n"
    "- {name: a, type: number, missing: mean, range: [-1.5, 2001.3], scale: standardise}\n"
    "- {name: b, type: number, range: [0, 10]}\n"
    "- {name: c, type: number, missing: indicator}\n"
    "- {name: d, type: number, missing: mean, scale: none}\n"
    "- {name: k, type: category, encode: one_hot, missing: mode}\n"
    "- {name: g, type: category, categories: [z, y, x], missing: mode}\n"
    "- {name: same, type: number, range: [0.1, 1], scale: standardise}\n"
    "- {name: label, type: label}\n";

static const char config_text[] =
    "run: {rounds: 1}\n"
    "data: {source: csv, schema: s.yaml, disclosure_threshold: 5,\n"
    "       silo_tables: [{file: 0.csv}, {file: 1.csv}, {file: 2.csv}]}\n"
    "preprocess: {scale: min_max, clip: true}\npolicy: {extremes: true}\n"
    "model: {type: softmax}\ntrain: {learning_rate: 0.1, batch_size: 8}\n";

static void put(const char *name, const char *text) {
    FILE *file = fopen(name, "w");
    if (!file) abort();
    fputs(text, file);
    fclose(file);
}

/* Each rank in a folder of its own, with all tables. */
static void enter(char folder[32]) {
    char name[16];
    strcpy(folder, "/tmp/granary-XXXXXX");
    if (!mkdtemp(folder) || chdir(folder) != 0) abort();
    put("s.yaml", schema_text);
    for (int s = 0; s < SILOS; s++) {
        snprintf(name, sizeof name, "%d.csv", s);
        put(name, reference_tables[s]);
    }
}

static void leave(const char *folder) {
    static const char *const names[] = {"0.csv", "1.csv", "2.csv", "s.yaml"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(names[i]);
    if (chdir("/") != 0 || rmdir(folder) != 0) abort();
}

/* A federation and its cohort, of a config. */
static gr_status found(struct gr_comm *comm, const struct gr_config *config,
                       const char *preprocessing, struct gr_federation **f) {
    const struct gr_cohort_options options = {.preprocessing = preprocessing,
                                              .resumed = preprocessing != NULL};
    struct gr_cohort *cohort = NULL;
    *f = NULL;
    gr_status status = gr_cohort_create(comm, config, &cohort);
    if (status != GR_OK) return status;
    gr_cohort_set_options(cohort, &options);
    status = gr_federation_create(cohort, f);
    if (status != GR_OK) gr_cohort_free(cohort);
    return status;
}

static gr_status make(struct gr_comm *comm, const char *override, struct gr_config **config,
                      struct gr_federation **f) {
    *f = NULL;
    gr_status status =
        gr_config_parse("t.yaml", config_text, strlen(config_text), &override, 1, config);
    return status == GR_OK ? found(comm, *config, NULL, f) : status;
}

static void let_go(struct gr_federation *f) {
    struct gr_cohort *cohort = f ? f->cohort : NULL;
    gr_federation_free(f);
    gr_cohort_free(cohort);
}

static int compare(const struct gr_silo *silo) {
    int bad = 0;
    const struct gr_rows *rows = &silo->train;
    const double *expected = reference_features;
    for (uint32_t s = 0; s < silo->id; s++)
        expected += reference_rows[s] * REFERENCE_WIDTH;
    EXPECT_EQUAL(rows->n_rows, reference_rows[silo->id]);
    EXPECT_EQUAL(rows->n_features, REFERENCE_WIDTH);
    for (size_t i = 0; !bad && i < rows->n_rows * REFERENCE_WIDTH; i++) {
        const double found = (double)((const float *)rows->features)[i];
        if (fabs(found - expected[i]) <= 1e-6 * fmax(fabs(expected[i]), 1)) continue;
        fprintf(stderr, "silo %u, row %zu, feature %zu is %.9g, expected %.9g\n", silo->id,
                i / REFERENCE_WIDTH, i % REFERENCE_WIDTH, found, expected[i]);
        bad++;
    }
    return bad;
}

static int check_columns(const struct gr_columns *columns) {
    const size_t n = sizeof reference_categories / sizeof *reference_categories;
    const struct gr_column *k = &columns->schema->columns[4];
    int bad = 0;
    EXPECT_EQUAL(k->categories_count, n);
    for (unsigned i = 0; i < n && i < k->categories_count; i++)
        EXPECT(strcmp(k->categories[i], reference_categories[i]) == 0);
    EXPECT_EQUAL(columns->n_features, REFERENCE_WIDTH);
    EXPECT_EQUAL(columns->features[3].kind, GR_FEATURE_INDICATOR);
    EXPECT_EQUAL(columns->features[5].kind, GR_FEATURE_ONE_HOT);
    EXPECT_EQUAL(columns->features[5 + n].kind, GR_FEATURE_CODE);
    EXPECT_EQUAL(columns->features[5 + n].n_categories, 3);
    return bad;
}

/* Features near scikit-learn's; the text is the one that a rank by itself would find. */
static int check_reference(struct gr_comm *comm, const char *override) {
    const struct gr_comm_options options = {0};
    struct gr_config *config = NULL, *own = NULL;
    struct gr_federation *f = NULL, *alone = NULL;
    struct gr_comm *self = NULL;
    char folder[32], *words = NULL;
    int bad = 0;
    enter(folder);
    EXPECT(make(comm, override, &config, &f) == GR_OK);
    EXPECT(gr_comm_create(MPI_COMM_SELF, &options, &self) == GR_OK);
    EXPECT(make(self, override, &own, &alone) == GR_OK);
    if (f && alone) {
        for (size_t i = 0; i < f->data->n_local; i++)
            bad += compare(&f->data->local[i]);
        bad += check_columns(f->data->columns);
        EXPECT(strcmp(gr_preprocessing_text(f->data->preprocessing),
                      gr_preprocessing_text(alone->data->preprocessing)) == 0);
        EXPECT(gr_cohort_tell_preprocessing(f->cohort, &words) == GR_OK);
        EXPECT(words && strstr(words, "the same in all training rows, and so 0: same"));
    }
    gr_free(words);
    let_go(alone);
    let_go(f);
    gr_config_free(own);
    gr_config_free(config);
    gr_comm_free(self);
    leave(folder);
    return bad;
}

static int test_reference(struct gr_comm *comm) {
    return check_reference(comm, "run.seed=1");
}

/* Sums in units of the ranges. */
static int test_ranges(struct gr_comm *comm) {
    return check_reference(comm, "aggregation={grid: public, clip_norm: 1, weight_max: 9}");
}

/* A silo that cannot be read has no part in the fit, and no rank waits for it. */
static int test_unusable(struct gr_comm *comm) {
    struct gr_config *config = NULL;
    struct gr_federation *f = NULL;
    char folder[32];
    int bad = 0;
    enter(folder);
    put("0.csv", "a,b,c,d,k,g,same,label\n1,2\n");
    EXPECT(make(comm, "run.seed=1", &config, &f) == GR_OK);
    if (f) {
        const struct gr_fit *fit = gr_preprocessing_fit(f->data->preprocessing);
        EXPECT_EQUAL(gr_cohort_unusable(f->cohort), 1);
        EXPECT(fit->centre[0] > 1400 && fit->centre[0] < 1700);
        EXPECT_EQUAL(f->data->n_features, gr_preprocessing_features(f->data->preprocessing));
    }
    let_go(f);
    gr_config_free(config);
    leave(folder);
    return bad;
}

/* A fit that is given is taken as it is; one of other columns is refused on all ranks. */
static int test_given(struct gr_comm *comm) {
    struct gr_config *config = NULL;
    struct gr_federation *f = NULL, *again = NULL;
    char folder[32], *text = NULL, *at;
    int bad = 0;
    enter(folder);
    EXPECT(make(comm, "run.seed=1", &config, &f) == GR_OK);
    EXPECT(gr_text_format(&text, "%s", gr_preprocessing_text(f->data->preprocessing)) == GR_OK);
    put("0.csv", reference_tables[1]);
    EXPECT(found(comm, config, text, &again) == GR_OK);
    EXPECT(again && strcmp(gr_preprocessing_text(again->data->preprocessing), text) == 0);
    let_go(again);
    at = strstr(text, "name: b\n");
    if (at) at[6] = 'B';
    EXPECT(found(comm, config, text, &again) == GR_ERROR_CONFIG);
    EXPECT(strstr(gr_message(), "column 2: found another name, expected \"B\""));
    EXPECT(found(comm, config, "fill: [1]\n", &again) == GR_ERROR_DATA);
    gr_free(text);
    let_go(f);
    gr_config_free(config);
    leave(folder);
    return bad;
}

static gr_status predict(struct gr_comm *comm, struct gr_federation *f, const char *preprocessing) {
    static char table[] = "1.csv", none[] = "";
    const struct gr_table_config config = {.file = table, .features = none, .labels = none};
    const struct gr_table_options options = {.source = GR_SOURCE_CSV, .csv = {.header = true}};
    struct gr_state state;
    struct gr_scored scored = {0};
    gr_federation_state(f, &state);
    state.preprocessing = preprocessing;
    gr_status status = gr_model_file_write("m.h5", &state);
    if (status == GR_OK)
        status = gr_predict_table(comm, "m.h5", &config, &options, "p.csv", &scored);
    gr_scored_release(&scored);
    unlink("m.h5");
    unlink("p.csv");
    return status;
}

/* A model file whose preprocessing makes other features than its model takes. Each rank alone. */
static int test_stored(struct gr_comm *comm) {
    const struct gr_comm_options options = {0};
    struct gr_comm *self = NULL;
    struct gr_config *config = NULL;
    struct gr_federation *f = NULL;
    char folder[32], *text = NULL, *at;
    int bad = 0;
    (void)comm;
    enter(folder);
    EXPECT(gr_comm_create(MPI_COMM_SELF, &options, &self) == GR_OK);
    EXPECT(make(self, "model={type: mlp, hidden: [3], embedding: 2}", &config, &f) == GR_OK);
    EXPECT(predict(self, f, gr_preprocessing_text(f->data->preprocessing)) == GR_OK);
    EXPECT(predict(self, f, NULL) == GR_ERROR_DATA);
    EXPECT(strstr(gr_message(), "the model knows no columns"));
    EXPECT(gr_text_format(&text, "%s", gr_preprocessing_text(f->data->preprocessing)) == GR_OK);
    at = strstr(text, "[z, y, x]");
    if (at) memcpy(at, "[z, xy ]", 8);
    if (at) at[8] = ' ';
    EXPECT(predict(self, f, text) == GR_ERROR_DATA);
    EXPECT(strstr(gr_message(), "makes the code of 2 categories, its architecture expects 3"));
    at = strstr(text, "missing: indicator");
    if (at) memcpy(at, "missing: zero     ", 18);
    EXPECT(predict(self, f, text) == GR_ERROR_DATA);
    EXPECT(strstr(gr_message(), "makes 10 features, the model has 11 inputs"));
    gr_free(text);
    let_go(f);
    gr_config_free(config);
    gr_comm_free(self);
    leave(folder);
    return bad;
}

/* Whatever the words of a union are, they come in byte order and each once. */
static int test_union(struct gr_comm *comm) {
    static const char *const words[SILOS][4] = {{"a", "abcdefg", "abcdefgh", "\xc3\xa9"},
                                                {"abcdefg", "Z", "abcdef", "b c"},
                                                {"abcdefgi", "abcdefghabcdefgh", "Z", "0"}};
    static const char *const expected[] = {
        "0",        "Z",   "a",       "abcdef", "abcdefg", "abcdefgh", "abcdefghabcdefgh",
        "abcdefgi", "b c", "\xc3\xa9"};
    struct gr_config *config = NULL;
    struct gr_federation *f = NULL;
    char folder[32], name[16];
    int bad = 0;
    enter(folder);
    put("s.yaml", "columns: [{name: k, type: category}, {name: label, type: label}]\n");
    for (int s = 0; s < SILOS; s++) {
        snprintf(name, sizeof name, "%d.csv", s);
        FILE *file = fopen(name, "w");
        fprintf(file, "k,label\n");
        for (int i = 0; i < 20; i++)
            fprintf(file, "%s,%d\n", words[s][i % 4], i % 2);
        fprintf(file, "seldom,0\n");
        fclose(file);
    }
    EXPECT(make(comm, "run.seed=1", &config, &f) == GR_OK);
    if (f) {
        const struct gr_column *k = &f->data->columns->schema->columns[0];
        EXPECT_EQUAL(k->categories_count, sizeof expected / sizeof *expected);
        for (unsigned i = 0; i < k->categories_count && !bad; i++)
            EXPECT(strcmp(k->categories[i], expected[i]) == 0);
    }
    let_go(f);
    f = NULL;
    gr_config_free(config);
    EXPECT(make(comm, "data.disclosure_threshold=6", &config, &f) == GR_OK);
    if (f) EXPECT_EQUAL(f->data->columns->schema->columns[0].categories_count, 0);
    let_go(f);
    gr_config_free(config);
    leave(folder);
    return bad;
}

PARALLEL_MAIN({"reference", test_reference}, {"ranges", test_ranges}, {"unusable", test_unusable},
              {"given", test_given}, {"stored", test_stored}, {"union", test_union})
