/* SPDX-License-Identifier: Apache-2.0 */
/* Columns as people have them: the type they are guessed to have, and words that must not be told.
 */
#include "tables.h"

#include "data/infer.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { ROWS = 240 };

static char label[] = "y", no_label[] = "";
static const struct gr_csv_config semicolons = {
    .separator = GR_SEPARATOR_SEMICOLON, .header = true, .label = label};

/* A column of ROWS cells beside a number and a label. */
struct kind {
    const char *name;    /* of the column */
    const char *usual;   /* a pattern, see put_cell */
    int factor, modulus; /* k = i * factor % modulus */
    const char *odd;     /* the cell of each row that odd_each divides, beginning with row 7 */
    int odd_each;
    const char *expected; /* a part of the schema's YAML */
    const char *doubt;    /* a part of the comments; NULL: any */
    const char *secret;   /* in neither; NULL: anything goes */
};

/* @a: k / 10; @b: k % 10; @m, @d: a month and a day. */
static void put_cell(FILE *file, const char *pattern, int i, int k) {
    for (const char *p = pattern; *p; p++) {
        if (*p != '@') {
            fputc(*p, file);
            continue;
        }
        p++;
        fprintf(file, *p == 'm' || *p == 'd' ? "%02d" : "%d",
                *p == 'a'   ? k / 10
                : *p == 'b' ? k % 10
                : *p == 'm' ? i % 12 + 1
                            : k % 28 + 1);
    }
}

static void write_kind(const struct kind *kind, const char *path) {
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "%s;x;y\n", kind->name);
    for (int i = 0; i < ROWS; i++) {
        const bool odd = kind->odd && i % kind->odd_each == 7 % kind->odd_each;
        put_cell(file, odd ? kind->odd : kind->usual, i, i * kind->factor % kind->modulus);
        fprintf(file, ";%d.5;%d\n", i * 7 % 50, i % 2);
    }
    fclose(file);
}

static struct gr_infer_options options_of(const char *const *path,
                                          const struct gr_csv_config *csv) {
    return (struct gr_infer_options){
        .paths = path, .n_paths = 1, .csv = csv, .group = "", .threshold = 10, .names_told = true};
}

static const struct kind kinds[] = {
    /* numbers, and cells among them that are none */
    {"c", "@a", 37, 900, NULL, 1, "type: integer\n  range: [0, 90]\n", NULL, NULL},
    {"c", "@a.@b", 37, 900, NULL, 1, "type: number\n  range: [0, 90]\n", NULL, NULL},
    {"c", "@a.@b", 37, 900, "n.k.", 300,
     "type: number\n  range: [0, 90]\n  missing: mean\n  missing_words: [n.k.]\n",
     "# c: \"n.k.\" (first in line 9): taken for no value", NULL},
    {"c", "@a.@b", 37, 900, "<5", 300, "censored: [<5]\n", "the bound itself", NULL},
    {"c", "@a.@b", 37, 900, "> 89", 300, "censored: [", "\"> 89\" (first in line 9)", NULL},
    {"c", "@a.@b", 37, 900, "90+", 300, "censored: [90+]\n", "the bound itself", NULL},
    {"c", "@a.@b", 37, 900, "<0.25", 300, "censored: [<0.25]\n", "the bound itself", NULL},
    {"c", "@a.@b", 37, 900, "<500", 300, "censored: [<500]\n", "the bound itself", NULL},
    {"c", "@a.@b", 37, 900, "> 104", 300, "type: number\n", "line 9: no number", "104"},
    {"c", "@a.@b", 37, 900, "<61.7", 300, "type: number\n", "line 9: no number", "61.7"},
    {"c", "@a.@b", 37, 900, "<61.7", 12, "censored: [<61.7]\n", "the bound itself", NULL},
    {"c", "@a.@b", 37, 900, "<4.0713", 300, "type: number\n", "line 9: no number", "4.0713"},
    {"c", "@a.@b", 37, 900, "Mrs Secret", 300, "type: number\n  range: [0, 90]\n",
     "# c: line 9: no number; refused until it is mended", "Secret"},
    {"c", "@a.@b", 37, 900, "Mrs Secret", 100, "type: number\n",
     "# c: lines 9, 109 and 209: no number; refused until they are mended", "Secret"},
    {"c", "@a.@b", 37, 900, "not tested", 3, "missing: indicator\n  missing_words: [not tested]\n",
     "no value", NULL},
    {"c", "@a.@b", 37, 900, "unknown", 12, "missing: mean\n  missing_words: [unknown]\n", NULL,
     NULL},
    {"c", "@a.@b", 37, 900, "NA", 12, "type: number\n  range: [0, 90]\n  missing: mean\n- name: x",
     NULL, NULL},
    {"c", "@a.@b", 37, 900, "inf", 12, "missing: mean\n", "infinities", NULL},
    {"c", "@a.@b", 37, 900, "-0.6", 300, "type: number\n  range: [-5, 90]\n", NULL, NULL},
    {"c", "@a", 37, 900, "-999", 20, "range: [0, 90]\n  missing: mean\n  missing_words: [-999]\n",
     "# c: -999: far off all other values", NULL},
    {"c", "@a", 37, 900, "9999", 300, "range: [0, 90]\n  missing: mean\n  missing_words: [9999]\n",
     NULL, NULL},
    {"c", "3@a", 37, 900, "-200", 20, "missing_words: [-200]\n", NULL, NULL},
    {"c", "5@a@b", 37, 90, "0", 10, "type: integer\n  range: [0, 600]\n",
     "0 is far off all other values", NULL},
    {"c", "@a", 37, 900, "99", 300, "type: integer\n  range: [0, 100]\n", NULL, "missing_words"},
    /* ends that fewer than ten rows are near */
    {"c", "@a", 37, 900, "104", 300, "type: integer\n  range: [0, 200]\n", NULL, NULL},
    {"c", "@a", 37, 900, "104", 12, "type: integer\n  range: [0, 110]\n", NULL, NULL},
    {"c", "1@b@b.@b", 37, 900, "3.5", 100, "type: number\n  range: [0, 200]\n", NULL, NULL},
    {"c", "\u2212@a", 37, 900, "-104", 300, "type: integer\n  range: [-200, 0]\n", NULL, NULL},
    {"c", "\u2212@a.@b", 37, 900, NULL, 1, "type: number\n  range: [-90, 0]\n", NULL, NULL},
    /* other ways to write numbers */
    {"c", "@a,@b", 37, 900, NULL, 1, "range: [0, 90]\n  decimal: comma\n", "decimal comma", NULL},
    {"c", "1.@a23,@b", 37, 90, NULL, 1, "decimal: comma\n  thousands: point\n", NULL, NULL},
    {"c", "1,@a23.@b", 37, 90, NULL, 1, "thousands: comma\n", NULL, "decimal"},
    {"c", "1,@a2@b", 37, 90, NULL, 1, "type: integer\n  range: [1000, 1850]\n  thousands: comma\n",
     "three digits behind every mark", NULL},
    {"c", "1 @a2@b", 37, 90, NULL, 1, "thousands: space\n", NULL, NULL},
    {"c", "1'@a2@b", 37, 90, NULL, 1, "thousands: apostrophe\n", NULL, NULL},
    {"c", "@a.@b %", 37, 900, NULL, 1, "percent: true\n", "percent", NULL},
    {"c", "@a.@b kg", 37, 900, NULL, 1, "affixes: [kg]\n", "left away", NULL},
    {"c", "\u20AC @a.@b", 37, 900, NULL, 1, "affixes: [\u20AC]\n", "left away", NULL},
    {"c", "@a.@b kg", 37, 900, "5 lb", 3, "type: text\n", "left out", "lb"},
    {"c", "1000000.@a@b", 37, 90, NULL, 1, "origin: 1000000\n", "float32", NULL},
    /* no numbers, whatever they look like */
    {"c", "0@a@b", 37, 90, NULL, 1, "type: text\n", "left out", NULL},
    {"patient_id", "@a@b7", 37, 900, NULL, 1, "type: text\n", "left out: all values differ", NULL},
    {"c", "P@a@b", 37, 900, NULL, 1, "type: text\n", "left out: all values differ", "P37"},
    {"c", "he said @a and @b today", 37, 900, NULL, 1, "type: text\n", "left out: free text",
     "said"},
    {"c", "202@b-@m-@d", 37, 900, NULL, 1, "type: text\n",
     "dates; to use them: `type: date, format: iso", "-03-"},
    {"c", "@d.@m.202@b", 37, 900, NULL, 1, "type: text\n", "format: day_first", ".03."},
    {"c", "@m/@d/202@b", 37, 900, NULL, 1, "type: text\n", "format: month_first", NULL},
    {"c", "@m/@m/2020", 37, 900, NULL, 1, "type: text\n", "either way round", NULL},
    {"c", "202@b-@m-@d 1@b:30", 37, 900, NULL, 1, "type: text\n", "type: datetime", NULL},
    {"c", "@a/@b@b", 37, 900, NULL, 1, "type: text\n", "two numbers in a cell", NULL},
    {"zip_code", "1@a@b@b@b", 37, 900, NULL, 1, "type: text\n", "codes of places", NULL},
    {"c", "@m.@m.21", 37, 900, NULL, 1, "type: text\n", "years of two digits", NULL},
    {"c", "1@b.00.00", 37, 900, NULL, 1, "type: text\n", "times of a day", NULL},
    {"c", "1.1@a@b", 37, 90, NULL, 1, "type: number\n  range: [1.1, 1.19]\n",
     "taken for decimals: if it stands between thousands, `decimal: comma, thousands: point`",
     NULL},
    {"c", "1@b:@m", 37, 900, NULL, 1, "type: text\n", "times of a day", NULL},
    {"c", "202@b@m@d", 37, 900, NULL, 1, "type: text\n", "days as eight digits", NULL},
    {"seen_time", "15@b0@m00@d", 37, 900, NULL, 1, "type: text\n", "seconds since 1970", NULL},
    {"date_in", "43@b@m", 37, 900, NULL, 1, "type: text\n", "as a spreadsheet counts", NULL},
    {"c", "", 1, 2, NULL, 1, "type: text\n", "no row has a value", NULL},
    /* categories: none that a few rows have */
    {"c", "w@b", 37, 900, NULL, 1,
     "type: category\n  categories: [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9]\n  encode: one_hot\n",
     NULL, NULL},
    {"c", "w@b", 37, 900, "Mr Secret", 60, "categories: [w0,", "1 of its values", "Secret"},
    {"c", "w@b", 37, 900, "?", 12, "missing: mode\n  encode: one_hot\n", NULL, NULL},
    {"c", "w@b", 37, 900, "--", 12, "missing: mode\n  encode: one_hot\n  missing_words: [--]\n",
     NULL, NULL},
    {"c", "w@b", 37, 900, "unknown", 9, "categories: [unknown, w0,", "is no value", NULL},
    {"c", "w@a", 7, 900, NULL, 1, "type: text\n", "left out", "w42"},
    {"c", "@a", 10, 50, NULL, 1, "type: integer\n  range: [0, 4]\n", "codes of kinds", NULL},
    {"c", "w@b", 37, 900, "?", 9, "missing: indicator\n  encode: one_hot\n", NULL, NULL},
    /* a day that many rows have is still one of somebody's life */
    {"c", "9999-99-99", 37, 900, "202@b-01-1@b", 6, "type: text\n", "format: iso", "2021-01"},
    {"c", "alive", 37, 900, "202@b-01-1@b", 2, "type: text\n", "120 cells are no dates", "2021-01"},
    /* codes among numbers */
    {"c", "@a.@b", 37, 900, "V57", 5, "type: text\n", "left out", "V57"},
    {"c", "@a.@b", 37, 900, "V57", 22, "type: text\n", "left out", "V57"},
    /* who comes again */
    {"patient_nbr", "8@a@b", 7, 150, NULL, 1, "type: text\n", "called an identifier", NULL},
    {"patientID", "8@a@b", 7, 150, NULL, 1, "type: text\n", "called an identifier", NULL},
    {"patient_income", "8@a@b", 7, 150, NULL, 1, "type: integer\n", NULL, "identifier"},
    {"site_id", "8@b", 7, 150, NULL, 1, "type: integer\n", NULL, "identifier"},
    {"c", "5@a@b", 1, 900, NULL, 1, "type: text\n", "rises from row to row", NULL},
    {"c", "same", 1, 2, NULL, 1, "type: category\n", "the same in all rows", NULL}};

START_TEST(test_kinds) {
    const struct kind *kind = &kinds[_i];
    const char *path = "t.csv";
    const struct gr_infer_options options = options_of(&path, &semicolons);
    struct gr_inference *guess;
    struct gr_schema *again;
    char *yaml, *lines;
    write_kind(kind, path);
    CHECK_OK(gr_csv_infer(&options, &guess));
    CHECK_OK(gr_inference_to_yaml(guess, &yaml));
    CHECK_OK(gr_inference_tell(guess, &lines));
    char *rest = strstr(yaml, "- name: y");
    ck_assert_ptr_nonnull(rest);
    ck_assert_msg(strstr(yaml, kind->expected) != NULL, "%s lacks %s", yaml, kind->expected);
    if (kind->doubt)
        ck_assert_msg(strstr(yaml, kind->doubt) != NULL, "%s lacks %s", yaml, kind->doubt);
    if (kind->secret) {
        ck_assert_msg(strstr(yaml, kind->secret) == NULL, "%s tells %s", yaml, kind->secret);
        ck_assert_msg(strstr(lines, kind->secret) == NULL, "%s tells %s", lines, kind->secret);
    }
    CHECK_OK(gr_schema_parse("again", yaml, strlen(yaml), &again));
    ck_assert_uint_eq(again->columns_count, 3);
    gr_schema_free(again);
    gr_free(yaml);
    gr_free(lines);
    gr_inference_free(guess);
}
END_TEST

/* ---- labels -----------------------------------------------------------------------------------
 */

static const struct {
    const char *classes[4]; /* in turn */
    enum gr_label_kind kind;
    const char *expected; /* of the schema, from the label on */
} labels[] = {{{"yes", "no"}, GR_LABEL_TWO, "type: label\n  categories: [no, yes]\n"},
              {{"Dead", "Alive"}, GR_LABEL_TWO, "categories: [Alive, Dead]\n"},
              {{"malignant", "benign"}, GR_LABEL_TWO, "categories: [benign, malignant]\n"},
              {{"relapse", "no relapse"}, GR_LABEL_TWO, "categories: [no relapse, relapse]\n"},
              {{"+", "-"}, GR_LABEL_TWO, "categories: ['-', +]\n"},
              {{"2", "1"}, GR_LABEL_TWO, "type: label\n  categories: [1, 2]\n"},
              {{"1", "-1"}, GR_LABEL_TWO, "type: label\n  categories: [-1, 1]\n"},
              {{"10", "9"}, GR_LABEL_TWO, "type: label\n  categories: [9, 10]\n"},
              {{"1", "0", "1.0", "0.0"}, GR_LABEL_TWO, "- name: y\n  type: label\n"},
              {{"b", "a", "c"}, GR_LABEL_CLASSES, "categories: [a, b, c]\n"},
              {{"0", "1", "2"}, GR_LABEL_CLASSES, "- name: y\n  type: label\n"},
              {{"1", "2", "3"}, GR_LABEL_CLASSES, "type: label\n  categories: [1, 2, 3]\n"},
              {{"1.5", "2.5", "0.5"}, GR_LABEL_NUMBER, "type: target\n"},
              {{"-1", "0", "1"}, GR_LABEL_NUMBER, "type: target\n"},
              {{"1,5", "2,5", "3"}, GR_LABEL_NUMBER, "type: target\n  decimal: comma\n"},
              {{"yes", "no", ""}, GR_LABEL_TWO, "categories: [no, yes]\n  unlabelled: drop\n"},
              {{"yes", "no", "unknown"},
               GR_LABEL_TWO,
               "categories: [no, yes]\n  missing_words: [unknown]\n  unlabelled: drop\n"}};

START_TEST(test_labels) {
    const char *path = "t.csv";
    const struct gr_infer_options options = options_of(&path, &semicolons);
    struct gr_inference *guess;
    char *yaml;
    size_t n = 0;
    while (n < 4 && labels[_i].classes[n])
        n++;
    FILE *file = fopen(path, "wb");
    fprintf(file, "x;y\n");
    for (size_t i = 0; i < 60; i++)
        fprintf(file, "%zu.5;%s\n", i * 7 % 50, labels[_i].classes[i % n]);
    fclose(file);
    CHECK_OK(gr_csv_infer(&options, &guess));
    CHECK_OK(gr_schema_to_yaml(guess->schema, &yaml));
    ck_assert_int_eq((int)guess->label_kind, (int)labels[_i].kind);
    ck_assert_msg(strstr(yaml, labels[_i].expected) != NULL, "%s lacks %s", yaml,
                  labels[_i].expected);
    gr_free(yaml);
    gr_inference_free(guess);
}
END_TEST

/* Whole numbers of many values are counts; where other silos' rows are to fit, they stay labels,
 * which models of counts take too. */
START_TEST(test_counts) {
    const char *path = "t.csv";
    struct gr_infer_options options = options_of(&path, &semicolons);
    struct gr_inference *guess;
    FILE *file = fopen(path, "wb");
    fprintf(file, "x;y\n");
    for (int i = 0; i < 60; i++)
        fprintf(file, "%d.5;%d\n", i * 7 % 50, i * 11 % 30);
    fclose(file);
    CHECK_OK(gr_csv_infer(&options, &guess));
    ck_assert_int_eq((int)guess->label_kind, GR_LABEL_COUNT);
    ck_assert_int_eq((int)guess->schema->columns[1].type, GR_COLUMN_TARGET);
    ck_assert_double_eq_tol(guess->label_mean, 14.5, 1e-12); /* of 0 to 29, each twice */
    gr_inference_free(guess);
    options.federated = true;
    CHECK_OK(gr_csv_infer(&options, &guess));
    ck_assert_int_eq((int)guess->schema->columns[1].type, GR_COLUMN_LABEL);
    gr_inference_free(guess);
}
END_TEST

/* Prices are whole numbers, and no counts: those come down to few. */
START_TEST(test_prices) {
    const char *path = "t.csv";
    const struct gr_infer_options options = options_of(&path, &semicolons);
    struct gr_inference *guess;
    FILE *file = fopen(path, "wb");
    fprintf(file, "x;y\n");
    for (int i = 0; i < 60; i++)
        fprintf(file, "%d.5;%d\n", i * 7 % 50, 41000 + i * 1100 % 3000);
    fclose(file);
    CHECK_OK(gr_csv_infer(&options, &guess));
    ck_assert_int_eq((int)guess->label_kind, GR_LABEL_NUMBER);
    ck_assert_int_eq((int)guess->schema->columns[1].type, GR_COLUMN_TARGET);
    ck_assert_ptr_nonnull(strstr(guess->guesses[1].doubts, "poisson"));
    gr_inference_free(guess);
}
END_TEST

/* Categories that each are in enough rows are listed, however many silos share them out. */
START_TEST(test_many_categories) {
    const char *path = "t.csv";
    const struct gr_infer_options options = options_of(&path, &semicolons);
    struct gr_inference *guess;
    FILE *file = fopen(path, "wb");
    fprintf(file, "state;y\n");
    for (int i = 0; i < 1000; i++)
        fprintf(file, "S%02d;%d\n", i % 50, i % 2);
    fclose(file);
    CHECK_OK(gr_csv_infer(&options, &guess));
    ck_assert_uint_eq(guess->schema->columns[0].categories_count, 50);
    ck_assert(!guess->schema->columns[0].open);
    gr_inference_free(guess);
}
END_TEST

/* ---- tables -----------------------------------------------------------------------------------
 */

static void put_text(const char *path, const char *text) {
    put_file(path, text, strlen(text));
}

START_TEST(test_names) {
    const char *path = "t.csv";
    struct gr_csv_config csv = semicolons;
    struct gr_infer_options options = options_of(&path, &csv);
    struct gr_inference *guess;
    csv.label = (char[]){"dyed"};
    put_text(path, "centre;age;died\na;1;0\nb;2;1\n");
    CHECK_REFUSED(gr_csv_infer(&options, &guess), GR_ERROR_DATA,
                  "t.csv: has no column \"dyed\" of labels; nearest is \"died\"; likely are: died");
    options.names_told = false;
    ck_assert_int_eq(gr_csv_infer(&options, &guess), GR_ERROR_DATA);
    ck_assert_ptr_null(strstr(gr_message(), "died"));
    options.names_told = true;
    csv.label = (char[]){"died"};
    options.group = "center";
    CHECK_REFUSED(gr_csv_infer(&options, &guess), GR_ERROR_DATA,
                  "t.csv: has no column \"center\" of groups; nearest is \"centre\"");
    options.group = "";
    csv.label = no_label;
    options.unlabelled = true;
    CHECK_OK(gr_csv_infer(&options, &guess));
    ck_assert_ptr_nonnull(strstr(guess->notes, "no column is the label"));
    gr_inference_free(guess);
}
END_TEST

START_TEST(test_units) {
    const char *path = "t.csv";
    const struct gr_infer_options options = options_of(&path, &semicolons);
    struct gr_inference *guess;
    put_text(path, "age;bmi;sex;y\nyears;kg/m2;;0/1\n31;22.5;F;1\n42;31.5;M;0\n53;27.1;F;1\n");
    CHECK_OK(gr_csv_infer(&options, &guess));
    ck_assert_uint_eq(guess->units_line, 2);
    ck_assert_uint_eq(guess->n_rows, 3);
    ck_assert_str_eq(guess->schema->columns[1].unit, "kg/m2");
    ck_assert_ptr_nonnull(strstr(guess->notes, "line 2 seems to hold units"));
    ck_assert_int_eq((int)guess->schema->columns[0].type, GR_COLUMN_INTEGER);
    gr_inference_free(guess);
    /* One number there, and it is a row of values. */
    put_text(path, "age;bmi;sex;y\n20;kg/m2;;0\n31;22.5;F;1\n42;31.5;M;0\n53;27.1;F;1\n");
    CHECK_OK(gr_csv_infer(&options, &guess));
    ck_assert_uint_eq(guess->units_line, 0);
    ck_assert_uint_eq(guess->n_rows, 4);
    gr_inference_free(guess);
    /* Of several tables each may have such a row; they are not always the same units. */
    const char *paths[] = {path, "u.csv", "v.csv"};
    struct gr_infer_options three = options_of(paths, &semicolons);
    three.n_paths = 3;
    put_text("u.csv", "age;bmi;sex;y\nyears;kg/m2;;0/1\n31;22.5;F;1\n42;31.5;M;0\n53;27.1;F;1\n");
    put_text("v.csv", "age;bmi;sex;y\nyears;lb/ft2;;0/1\n31;4.5;F;1\n42;6.5;M;0\n53;5.1;F;1\n");
    put_text(path, "age;bmi;sex;y\n31;22.5;F;1\n42;31.5;M;0\n53;27.1;F;1\n");
    CHECK_OK(gr_csv_infer(&three, &guess));
    ck_assert_uint_eq(guess->n_units, 2);
    ck_assert_uint_eq(guess->units_table, 1);
    ck_assert_uint_eq(guess->units_line, 2);
    ck_assert_uint_eq(guess->n_rows, 9);
    ck_assert_uint_eq(guess->n_unfit, 0);
    ck_assert_ptr_nonnull(strstr(guess->notes, "line 2 of table 2, as in 1 more, seems to hold"));
    ck_assert_ptr_nonnull(strstr(guess->notes, "bmi: another unit in table 3 than before"));
    gr_inference_free(guess);
}
END_TEST

/* Numbers that rise with gaps in every table are identifiers, whatever they are called. */
START_TEST(test_rising) {
    const char *paths[] = {"a.csv", "b.csv"};
    struct gr_infer_options options = options_of(paths, &semicolons);
    struct gr_inference *guess;
    options.n_paths = 2;
    for (int t = 0; t < 2; t++) {
        FILE *file = fopen(paths[t], "wb");
        ck_assert_ptr_nonnull(file);
        fputs("case_no;x;y\n", file);
        for (int i = 0; i < 100; i++)
            fprintf(file, "%d;%d.5;%d\n", 9000 - 5000 * t + 9 * i + i % 4, i * 7 % 50, i % 2);
        fclose(file);
    }
    for (options.n_paths = 1; options.n_paths <= 2; options.n_paths++) {
        CHECK_OK(gr_csv_infer(&options, &guess));
        ck_assert_int_eq((int)guess->schema->columns[0].type, GR_COLUMN_TEXT);
        ck_assert_ptr_nonnull(strstr(guess->guesses[0].doubts, "rises from row to row"));
        gr_inference_free(guess);
    }
}
END_TEST

/* Several tables are one; lines are told with their table. */
START_TEST(test_several) {
    const char *paths[] = {"a.csv", "b.csv"};
    struct gr_infer_options options = options_of(paths, &semicolons);
    struct gr_inference *guess;
    options.n_paths = 2;
    const struct kind plain = {.name = "c", .usual = "@a.@b", .factor = 37, .modulus = 900},
                      odd = {"c", "@a.@b", 37, 900, "secret", 300, "", NULL, NULL};
    write_kind(&plain, "a.csv");
    write_kind(&odd, "b.csv");
    CHECK_OK(gr_csv_infer(&options, &guess));
    ck_assert_uint_eq(guess->n_rows, 2 * ROWS);
    ck_assert_uint_eq(guess->n_unfit, 1);
    ck_assert_ptr_nonnull(strstr(guess->guesses[0].doubts, "line 9 of table 2: no number"));
    gr_inference_free(guess);
    put_text("b.csv", "c;z;y\n1;2;0\n");
    CHECK_REFUSED(gr_csv_infer(&options, &guess), GR_ERROR_DATA, "b.csv: column 2: its name is");
    put_text("b.csv", "c;y\n1;0\n");
    CHECK_REFUSED(gr_csv_infer(&options, &guess), GR_ERROR_DATA, "b.csv: found 2 columns");
}
END_TEST

/* Columns that other silos' rows are to fit: nothing of this table's own is kept. */
START_TEST(test_federated) {
    const char *path = "t.csv";
    struct gr_infer_options options = options_of(&path, &semicolons);
    struct gr_inference *guess;
    char *yaml;
    options.federated = true;
    FILE *file = fopen(path, "wb");
    fprintf(file, "age;ward;bmi;y\n");
    for (int i = 0; i < 60; i++)
        fprintf(file, "%d;w%d;%d,%d;%d\n", i * 7 % 50, i % 3, i % 40, i % 10, i % 2);
    fclose(file);
    CHECK_OK(gr_csv_infer(&options, &guess));
    CHECK_OK(gr_schema_to_yaml(guess->schema, &yaml));
    ck_assert_str_eq(yaml, "columns:\n- name: age\n  type: number\n  missing: mean\n"
                           "- name: ward\n  type: category\n  missing: mode\n  encode: one_hot\n"
                           "  open: true\n"
                           "- name: bmi\n  type: number\n  missing: mean\n  decimal: comma\n"
                           "- name: y\n  type: label\n");
    gr_free(yaml);
    gr_inference_free(guess);
}
END_TEST

START_TEST(test_refused) {
    const char *path = "none";
    struct gr_infer_options options = options_of(&path, &semicolons);
    struct gr_inference *guess;
    CHECK_REFUSED(gr_csv_infer(&options, &guess), GR_ERROR_DATA, "none: cannot");
    path = "t.csv";
    put_text("t.csv", "a;y\n");
    CHECK_REFUSED(gr_csv_infer(&options, &guess), GR_ERROR_DATA, "t.csv: a header and no rows");
    put_text("t.csv", "a;y\n1;2\n3\n");
    CHECK_REFUSED(gr_csv_infer(&options, &guess), GR_ERROR_DATA,
                  "t.csv:3: found 1 fields, expected 2");
    put_text("t.csv", "a;y\n1;2\n\xFF;2\n");
    CHECK_REFUSED(gr_csv_infer(&options, &guess), GR_ERROR_DATA,
                  "t.csv:3: column 1: found bytes that are not UTF-8");
    ck_assert_ptr_null(guess);
    /* The schema would have to list them, and could not be read again. */
    put_text("t.csv", "a;y\n1;no\n2;y\x1b[2Jes\n");
    CHECK_REFUSED(gr_csv_infer(&options, &guess), GR_ERROR_DATA,
                  "t.csv:3: column \"y\": found a text with control characters");
    FILE *file = fopen(path, "wb");
    fprintf(file, "a;y\n");
    for (int i = 0; i < 300; i++)
        if (i % 20 != 5)
            fprintf(file, "%d.5;%d\n", i, i % 2);
        else
            fprintf(file, "n\x01k;%d\n", i % 2);
    fclose(file);
    CHECK_REFUSED(gr_csv_infer(&options, &guess), GR_ERROR_DATA,
                  "t.csv:7: column \"a\": found a text with control characters");
}
END_TEST

/* Without a header the first row is looked at twice. */
START_TEST(test_no_header) {
    const char *path = "t.csv";
    const struct gr_csv_config csv = {
        .separator = GR_SEPARATOR_COMMA, .header = false, .label = (char[]){"column2"}};
    struct gr_infer_options options = options_of(&path, &csv);
    struct gr_inference *guess;
    options.threshold = 1;
    put_text("t.csv", "\"a\"\"b\",1\nc,0\n");
    CHECK_OK(gr_csv_infer(&options, &guess));
    ck_assert_uint_eq(guess->schema->columns[0].categories_count, 2);
    ck_assert_str_eq(guess->schema->columns[0].categories[0], "a\"b");
    ck_assert_int_eq(guess->schema->columns[1].type, GR_COLUMN_LABEL);
    gr_inference_free(guess);
}
END_TEST

/* A first row of data would be lost, and its values be told as names of columns. */
static const struct {
    const char *first, *rest; /* rows: a number of their own, and `rest` */
    bool refused;
} headers[] = {{"39;Private;13;0", "Private;7;1", true},
               {"63.0;1.0;233.0;0", "0.0;250.0;2", true},
               {"842302;M;17.99;1", "M;20.5;0", true},
               {"age;sex;bmi;y", "M;20.5;0", false},
               {"0;1;2;y", "5;250;1", false},
               {"2019;2020;2021;y", "5;250;1", false},
               {"400.5;401;402.5;y", "0.5;0.2;1", false},
               {"M;F;n;y", "2;3;1", false}};

START_TEST(test_headers) {
    const char *path = "t.csv";
    const struct gr_infer_options options = options_of(&path, &semicolons);
    struct gr_csv_config bare = semicolons;
    struct gr_infer_options other = options_of(&path, &bare);
    struct gr_inference *guess;
    FILE *file = fopen(path, "wb");
    fprintf(file, "%s\n", headers[_i].first);
    for (int i = 0; i < 40; i++)
        fprintf(file, "%d;%s\n", 20 + i * 7 % 40, headers[_i].rest);
    fclose(file);
    if (!headers[_i].refused) {
        CHECK_OK(gr_csv_infer(&options, &guess));
        gr_inference_free(guess);
        return;
    }
    CHECK_REFUSED(gr_csv_infer(&options, &guess), GR_ERROR_DATA,
                  "t.csv: the first row seems to be data and no names of columns");
    bare.header = false;
    bare.label = (char[]){"column4"};
    CHECK_OK(gr_csv_infer(&other, &guess));
    ck_assert_uint_eq(guess->n_rows, 41);
    gr_inference_free(guess);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("infer");
    TCase *tests = tcase_create("infer");
    if (gr_base_start() != GR_OK) return 1;
    scratch_create();
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, scratch_enter, NULL);
    tcase_add_loop_test(tests, test_kinds, 0, (int)COUNT(kinds));
    tcase_add_loop_test(tests, test_labels, 0, (int)COUNT(labels));
    tcase_add_test(tests, test_counts);
    tcase_add_test(tests, test_prices);
    tcase_add_test(tests, test_many_categories);
    tcase_add_loop_test(tests, test_headers, 0, (int)COUNT(headers));
    tcase_add_test(tests, test_names);
    tcase_add_test(tests, test_units);
    tcase_add_test(tests, test_rising);
    tcase_add_test(tests, test_several);
    tcase_add_test(tests, test_federated);
    tcase_add_test(tests, test_refused);
    tcase_add_test(tests, test_no_header);
    suite_add_tcase(suite, tests);
    int failed = run_suite(suite);
    scratch_remove();
    return failed;
}
