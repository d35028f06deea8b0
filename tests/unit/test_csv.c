/* SPDX-License-Identifier: Apache-2.0 */
/* CSV text to rows and numbers; rows to features; what is refused, with line and column. */
#include "tables.h"

#include <float.h>
#include <math.h>

#include <gsl/gsl_rng.h>

#include "data/csv_table.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void put_text(const char *path, const char *text) {
    put_file(path, text, strlen(text));
}

static const struct gr_csv_config comma = {.header = true};

/* ---- rows ----------------------------------------------------------------------------------- */

/* All fields of a text: fields end in '|', rows in '/', the line where a row began before it. */
static void scan_all(const char *path, enum gr_separator separator, char *out) {
    const struct gr_csv_config csv = {.separator = separator, .header = true};
    struct gr_csv_scan scan;
    bool more;
    CHECK_OK(gr_csv_scan_open(path, &csv, &scan));
    for (;;) {
        CHECK_OK(gr_csv_scan_next(&scan, &more));
        if (!more) break;
        out += sprintf(out, "%zu:", scan.row_line);
        for (size_t i = 0; i < scan.n_fields; i++)
            out += sprintf(out, "%.*s|", (int)scan.fields[i].length, scan.fields[i].text);
        out += sprintf(out, "/");
    }
    *out = '\0';
    gr_csv_scan_close(&scan);
}

static const struct {
    const char *text;
    enum gr_separator separator;
    const char *rows;
} rows[] = {
    {"a,b\n1,2\n", GR_SEPARATOR_COMMA, "1:a|b|/2:1|2|/"},
    {"a,b\r\n1,2\r\n", GR_SEPARATOR_COMMA, "1:a|b|/2:1|2|/"},
    {"a,b\n1,2", GR_SEPARATOR_COMMA, "1:a|b|/2:1|2|/"},
    {"a,b\r\n1,2\r", GR_SEPARATOR_COMMA, "1:a|b|/2:1|2|/"},
    {"\xEF\xBB\xBF"
     "a,b\n",
     GR_SEPARATOR_COMMA, "1:a|b|/"},
    {"a;b,c\n", GR_SEPARATOR_SEMICOLON, "1:a|b,c|/"},
    {"a\tb\n", GR_SEPARATOR_TAB, "1:a|b|/"},
    {"  a \t b\n1 2\t \n\n \n\"x y\"  3 \n", GR_SEPARATOR_BLANKS, "1:a|b|/2:1|2|/5:x y|3|/"},
    {" 1  2", GR_SEPARATOR_BLANKS, "1:1|2|/"},
    {"a,b\r1,\"x\ry\"\r3,4", GR_SEPARATOR_COMMA, "1:a|b|/2:1|x\ry|/4:3|4|/"},
    {",\n,,\n", GR_SEPARATOR_COMMA, "1:||/2:|||/"},
    {"\n\na\n\r\n\nb\n\n", GR_SEPARATOR_COMMA, "3:a|/6:b|/"},
    {"\"\"\n", GR_SEPARATOR_COMMA, "1:|/"},
    {"\"a,b\",\"c\"\"d\"\n", GR_SEPARATOR_COMMA, "1:a,b|c\"d|/"},
    {"\"x\ny\r\nz\",1\n2,3\n", GR_SEPARATOR_COMMA, "1:x\ny\r\nz|1|/4:2|3|/"},
    {"\"a\",\"\"", GR_SEPARATOR_COMMA, "1:a||/"},
    {"\"a\"\"\"\r\nb", GR_SEPARATOR_COMMA, "1:a\"|/2:b|/"},
    {"", GR_SEPARATOR_COMMA, ""},
    {"\n", GR_SEPARATOR_COMMA, ""},
};

START_TEST(test_rows) {
    char out[512];
    put_text("t.csv", rows[_i].text);
    scan_all("t.csv", rows[_i].separator, out);
    ck_assert_str_eq(out, rows[_i].rows);
}
END_TEST

/* Rows at every place against the end of the buffer: the same as in a file that fits. */
START_TEST(test_buffer_ends) {
    static const char part[] = "1,\"a\"\"b\nc\",\"\",2.5\r\n";
    enum { BUFFER = 256 << 10 };
    for (size_t shift = 0; shift < 2 * sizeof part; shift++) {
        struct gr_csv_scan scan;
        bool more;
        FILE *file = fopen("t.csv", "wb");
        size_t n = BUFFER - sizeof part - 2 + shift;
        for (size_t i = 0; i + 2 < n; i += 60000)
            fprintf(file, "%0*d,", (int)(n - i - 1 < 60000 ? n - i - 1 : 59999), 7);
        fprintf(file, "\n%s%s", part, part);
        fclose(file);
        CHECK_OK(gr_csv_scan_open("t.csv", &comma, &scan));
        CHECK_OK(gr_csv_scan_next(&scan, &more));
        for (int row = 0; row < 2; row++) {
            CHECK_OK(gr_csv_scan_next(&scan, &more));
            ck_assert(more);
            ck_assert_uint_eq(scan.n_fields, 4);
            ck_assert_uint_eq(scan.row_line, (size_t)(2 + 2 * row));
            ck_assert_uint_eq(scan.fields[1].length, 5);
            ck_assert(memcmp(scan.fields[1].text, "a\"b\nc", 5) == 0);
            ck_assert_uint_eq(scan.fields[2].length, 0);
            ck_assert(memcmp(scan.fields[3].text, "2.5", 3) == 0);
        }
        CHECK_OK(gr_csv_scan_next(&scan, &more));
        ck_assert(!more);
        gr_csv_scan_close(&scan);
    }
}
END_TEST

static const struct {
    const char *text, *message;
} bad_text[] = {
    {"a,b\n1,\"2\n", "t.csv:2: column 2: a quote is opened and not closed"},
    {"a\n1\"2\n", "t.csv:2: column 1: a quote within a field, expected it doubled"},
    {"a\n\"1\"2\n", "t.csv:2: column 1: a quote within a field"},
    {"a\rb\r\n", "t.csv:1: column 1: a carriage return without a line feed"},
    {"\xFF\xFE"
     "a\n",
     "t.csv: expected CSV, found text in UTF-16: save it as UTF-8"},
    {"\x1F\x8B\x08\n", "t.csv: the gzip stream is cut off"},
};

START_TEST(test_bad_text) {
    struct gr_csv_scan scan = {0};
    bool more = true;
    put_text("t.csv", bad_text[_i].text);
    gr_status status = gr_csv_scan_open("t.csv", &comma, &scan);
    while (status == GR_OK && more)
        status = gr_csv_scan_next(&scan, &more);
    CHECK_REFUSED(status, GR_ERROR_DATA, bad_text[_i].message);
    gr_csv_scan_close(&scan);
}
END_TEST

/* A million characters in a field, quoted or not, or a quote that nobody closes: bounded. */
START_TEST(test_long_field) {
    enum { N = 1000000 };
    char *text = malloc(N + 16);
    for (int quoted = 0; quoted < 2; quoted++) {
        struct gr_csv_scan scan;
        bool more;
        strcpy(text, quoted ? "1,\"" : "1,x");
        memset(text + 3, 'x', N);
        strcpy(text + 3 + N, "\n2,3\n");
        put_text("t.csv", text);
        CHECK_OK(gr_csv_scan_open("t.csv", &comma, &scan));
        CHECK_REFUSED(gr_csv_scan_next(&scan, &more), GR_ERROR_DATA,
                      "t.csv:1: column 2: more than 65536 bytes, or a quote that is not closed");
        ck_assert_uint_le(scan.room, 1 << 20);
        gr_csv_scan_close(&scan);
    }
    free(text);
}
END_TEST

/* ---- numbers -------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    enum gr_csv_number kind;
} kinds[] = {
    {"1", GR_CSV_WHOLE},
    {"-12", GR_CSV_WHOLE},
    {"+3", GR_CSV_WHOLE},
    {"007", GR_CSV_WHOLE},
    {" 5 ", GR_CSV_WHOLE},
    {"1.5", GR_CSV_NUMBER},
    {".5", GR_CSV_NUMBER},
    {"5.", GR_CSV_NUMBER},
    {"1e3", GR_CSV_NUMBER},
    {"-2.5E-3", GR_CSV_NUMBER},
    {"1e-50", GR_CSV_NUMBER},
    {"0e999", GR_CSV_NUMBER},
    {"", GR_CSV_MISSING},
    {"NA", GR_CSV_MISSING},
    {"n/a", GR_CSV_MISSING},
    {"NaN", GR_CSV_MISSING},
    {"nan", GR_CSV_MISSING},
    {"-NaN", GR_CSV_MISSING},
    {"+nan", GR_CSV_MISSING},
    {"nan(0x1)", GR_CSV_MISSING},
    {"NULL", GR_CSV_MISSING},
    {"None", GR_CSV_MISSING},
    {"?", GR_CSV_MISSING},
    {".", GR_CSV_MISSING},
    {"-", GR_CSV_MISSING},
    {"#N/A", GR_CSV_MISSING},
    {"1.#QNAN", GR_CSV_MISSING},
    {"\\N", GR_CSV_MISSING},
    {"unknown", GR_CSV_MISSING},
    {"\u2014", GR_CSV_MISSING},
    {"\u22125", GR_CSV_WHOLE},
    {"\u2013.5", GR_CSV_NUMBER},
    {"\u00A05\u202F", GR_CSV_WHOLE},
    {"\u2212x", GR_CSV_OTHER},
    {"-1.#IND", GR_CSV_MISSING},
    {"inf", GR_CSV_INFINITE},
    {"-Inf", GR_CSV_INFINITE},
    {"+INFINITY", GR_CSV_INFINITE},
    {"1.#INF", GR_CSV_INFINITE},
    {"\u221E", GR_CSV_INFINITE},
    {"1e39", GR_CSV_OVERFLOW},
    {"-1e400", GR_CSV_OVERFLOW},
    {"3.5e38", GR_CSV_OVERFLOW},
    {"x", GR_CSV_OTHER},
    {"1,5", GR_CSV_OTHER},
    {"1.2.3", GR_CSV_OTHER},
    {"1e", GR_CSV_OTHER},
    {"0x10", GR_CSV_OTHER},
    {"1 2", GR_CSV_OTHER},
    {"--1", GR_CSV_OTHER},
    {"e5", GR_CSV_OTHER},
    {"+", GR_CSV_OTHER},
    {"1f", GR_CSV_OTHER},
    {"+?", GR_CSV_OTHER},
    {"nano", GR_CSV_OTHER},
};

START_TEST(test_kinds) {
    double exact;
    float value;
    enum gr_csv_number kind = gr_csv_number(kinds[_i].text, strlen(kinds[_i].text), &exact, &value);
    ck_assert_msg(kind == kinds[_i].kind, "\"%s\": %d", kinds[_i].text, (int)kind);
    if (kind <= GR_CSV_WHOLE && (unsigned char)kinds[_i].text[0] < 0x80)
        ck_assert(value == strtof(kinds[_i].text, NULL));
}
END_TEST

static void check_number(const char *text) {
    double exact = -1, wide = strtod(text, NULL);
    float value = -1, expected = strtof(text, NULL);
    enum gr_csv_number kind = gr_csv_number(text, strlen(text), &exact, &value);
    if (!isfinite(expected)) {
        ck_assert_int_eq(kind, GR_CSV_OVERFLOW);
        return;
    }
    ck_assert_msg(kind <= GR_CSV_WHOLE && memcmp(&value, &expected, sizeof value) == 0,
                  "%s: found %a, expected %a", text, (double)value, (double)expected);
    ck_assert_msg(memcmp(&exact, &wide, sizeof wide) == 0, "%s: found %a, expected %a", text, exact,
                  wide);
}

/* The C library's strtof and strtod, which round correctly, are the judges: to the last bit. */
START_TEST(test_numbers_are_exact) {
    static const int digits[] = {6, 17, 9, 3, 15, 25};
    struct gr_stream_key key = {.seed = 4, .purpose = GR_PURPOSE_TEST};
    gsl_rng *stream;
    char text[400];
    CHECK_OK(gr_stream_create(key, &stream));
    for (int i = 0; i < 300000; i++) {
        uint32_t bits = (uint32_t)gsl_rng_get(stream);
        float f;
        memcpy(&f, &bits, sizeof f);
        if (!isfinite(f)) continue;
        double d = i % 3 == 0 ? (double)f : ldexp(gsl_rng_uniform(stream) - 0.5, i % 60 - 30);
        /* The middle of two floats, and its neighbours, are the hard cases. */
        if (i % 3 == 1) d = ((double)f + (double)nextafterf(f, INFINITY)) / 2;
        if (i % 6 == 4) d = nextafter(d, 0);
        if (!isfinite(d)) continue;
        snprintf(text, sizeof text, i % 4 ? "%.*g" : "%.*f", digits[i % 6], d);
        check_number(text);
    }
    gsl_rng_free(stream);
    check_number("9007199254740993");
    check_number("0.000000000000000000000000000000000000011754943508222875");
    check_number("340282346638528859811704183484516925440");
    check_number("16777217");
    check_number("-0");
    check_number("00000000000000000000000000000000001.5");
    check_number("0.1000000014901161193847656250000000000000000000000000000000001");
}
END_TEST

/* ---- rows to values ------------------------------------------------------------------------- */

static struct gr_columns *columns_of(const char *yaml) {
    struct gr_schema *schema;
    struct gr_columns *columns;
    CHECK_OK(gr_schema_parse("s.yaml", yaml, strlen(yaml), &schema));
    CHECK_OK(gr_columns_create(schema, &columns));
    return columns;
}

static const char schema_text[] =
    "columns:\n- {name: id, type: text}\n- {name: n, type: number, range: [0, 10], missing: mean}\n"
    "- {name: i, type: integer, missing: indicator}\n"
    "- {name: c, type: category, categories: [y, x], missing: mode}\n"
    "- {name: h, type: category, categories: [p, q], encode: one_hot, missing: indicator}\n"
    "- {name: z, type: number, missing: zero}\n- {name: l, type: label, categories: [no, yes]}\n";

/* Numbers, and places of categories; NaN where there is none. */
START_TEST(test_values) {
    static const float expected[4][5] = {
        {1, 5, 1, 0, 1}, {NAN, NAN, NAN, NAN, NAN}, {11, -2, 1, 2, 2}, {0, 7, 2, 1, 3}};
    struct gr_columns *columns = columns_of(schema_text);
    struct gr_csv_table table;
    float values[5];
    bool more, misfit = false;
    put_text("t.csv",
             "id,n,i,c,h,z,l\nA,1,5,x,p,1,no\nB,,NA,NA,,,yes\n\"C\n\",11,-2, x ,r,2,\"yes\""
             "\nD,0,7,w,q,3,no\n");
    CHECK_OK(gr_csv_table_open("t.csv", &comma, columns, false, &table, &misfit));
    for (int row = 0; row < 4; row++)
        CHECK_OK(gr_csv_table_next(&table, values, &more));
    CHECK_OK(gr_csv_table_next(&table, values, &more));
    ck_assert(!more);
    CHECK_OK(gr_csv_table_settle(&table, columns));
    CHECK_OK(gr_csv_scan_seek(&table.scan, 15, 2));
    for (int row = 0; row < 4; row++) {
        CHECK_OK(gr_csv_table_next(&table, values, &more));
        ck_assert(more);
        for (size_t j = 0; j < 5; j++)
            ck_assert_msg(values[j] == expected[row][j] ||
                              (isnan(values[j]) && isnan(expected[row][j])),
                          "row %d, value %zu: %g", row, j, (double)values[j]);
        ck_assert_int_eq(table.label, row == 1 || row == 2);
    }
    /* Counted the first time through only. */
    ck_assert_int_eq(table.column[1].found.missing, 1);
    ck_assert_int_eq(table.column[1].found.outside, 1);
    ck_assert_int_eq(table.column[3].found.unknown, 1);
    ck_assert_int_eq(table.column[4].found.unknown, 1);
    ck_assert_int_eq(table.column[4].found.missing, 1);
    ck_assert_int_eq(table.column[5].found.missing, 1);
    gr_csv_table_close(&table);
    gr_columns_free(columns);
}
END_TEST

/* Against n: number, i: integer, c: category [x], l: label, t: text. */
static const struct {
    const char *rows, *message;
} bad_rows[] = {
    {"n,i,c,l,t\n1,2,x,0\n", "t.csv:2: found 4 fields, expected 5"},
    {"n,i,c,l,t\n1,2,x,0,a\n\n1,2,x,0,a,\n", "t.csv:4: found 6 fields, expected 5"},
    {"n,i,c,l,t\nabc,2,x,0,\n", "t.csv:2: column 1 (n): found text, expected a finite number"},
    {"n,i,c,l,t\n\"1,5\",2,x,0,\n",
     "t.csv:2: column 1 (n): found text with a comma (`decimal: comma`"},
    {"n,i,c,l,t\n,2,x,0,\n", "t.csv:2: column 1 (n): found no value, expected a finite number"},
    {"n,i,c,l,t\nNaN,2,x,0,\n", "t.csv:2: column 1 (n): found no value, expected"},
    {"n,i,c,l,t\n-inf,2,x,0,\n", "t.csv:2: column 1 (n): found an infinity, expected"},
    {"n,i,c,l,t\n1e99,2,x,0,\n", "t.csv:2: column 1 (n): found a number beyond float32"},
    {"n,i,c,l,t\n1,2.5,x,0,\n", "t.csv:2: column 2 (i): found a number that is not whole"},
    {"n,i,c,l,t\n1,16777218,x,0,\n", "column 2 (i): found a number that is not whole, or beyond"},
    {"n,i,c,l,t\n1,2,,0,\n", "t.csv:2: column 3 (c): found no value, expected one of its"},
    {"n,i,c,l,t\n1,2,x,,\n",
     "t.csv:2: column 4 (l): found no value, expected a label (`unlabelled: drop`"},
    {"n,i,c,l,t\n1,2,x,-1,\n", "t.csv:2: column 4 (l): found no such label, expected a whole"},
    {"n,i,c,l,t\n1,2,x,0.5,\n", "t.csv:2: column 4 (l): found no such label"},
    {"n,i,c,l,t\n1,2,x,65535,\n", "t.csv:2: column 4 (l): found no such label"},
    {"n,i,c,l,t\n1,2,\xE4,0,\n", "t.csv:2: column 3 (c): found bytes that are not UTF-8"},
    {"n,i,c,l,t\n1,2,x,0,\xE4\n", "t.csv:2: column 5 (t): found bytes that are not UTF-8"},
    {"n,i,c,l,t\n\"1\n\",2,x,0,\n1,2,x,9x,\n", "t.csv:2: column 1 (n): found text"},
    {"n,i,C,l,t\n", "t.csv:1: column 3: found another name, expected \"c\""},
    {"n,c,i,l,t\n",
     "t.csv:1: column 2: found another name, expected \"i\", which is column 3 here: "
     "columns stand in the order of the schema"},
    {"1,2,x,0,y\n", "t.csv:1: column 1: found another name, expected \"n\" (or `header: false`, "
                    "--no-header, where the first row is data)"},
    {"n,i,c,l\n", "t.csv:1: found 4 columns, expected 5"},
    {"n,i,c,l,t,u\n", "t.csv:1: found 6 columns, expected 5"},
    {"n,i,c,c,t\n", "t.csv:1: columns 3 and 4 have the same name, expected different ones"},
    {"n,,c,l,t\n", "t.csv:1: column 2: has no name"},
    {"n,i,\xE4,l,t\n", "t.csv:1: column 3: its name is not UTF-8"},
    {"n;i;c;l;t\n", "t.csv:1: found 1 column with separator comma, it would be 5 with semicolon"},
    {"n\ti\tc\tl\tt\n", "t.csv:1: found 1 column with separator comma, it would be 5 with tab"},
    {"", "t.csv: empty, expected a row of column names"},
    {"\xEF\xBB\xBF", "t.csv: empty, expected a row of column names"},
};

START_TEST(test_bad_rows) {
    struct gr_columns *columns =
        columns_of("columns: [{name: n, type: number}, {name: i, type: integer}, {name: c, type: "
                   "category, categories: [x]}, {name: l, type: label}, {name: t, type: text}]");
    struct gr_csv_table table = {0};
    float features[3];
    bool more = true, misfit = false;
    put_text("t.csv", bad_rows[_i].rows);
    gr_status status = gr_csv_table_open("t.csv", &comma, columns, false, &table, &misfit);
    const char *message = bad_rows[_i].message;
    ck_assert_int_eq(misfit, strstr(message, "another name") || strstr(message, " columns, "));
    while (status == GR_OK && more)
        status = gr_csv_table_next(&table, features, &more);
    CHECK_REFUSED(status, GR_ERROR_DATA, bad_rows[_i].message);
    gr_csv_table_close(&table);
    gr_columns_free(columns);
}
END_TEST

/* What stands in a cell stays in the silo: no message holds it. */
START_TEST(test_cells_are_not_told) {
    struct gr_columns *columns = columns_of("columns: [{name: n, type: number}, {name: l, type: "
                                            "label, categories: [a]}]");
    /* The last ones have no header. */
    static const char *const texts[] = {
        "n,l\nSECRET,a\n", "n,l\n1,SECRET\n",      "n,l\n1,a,SECRET\n",  "SECRET,a\n1,a\n",
        "n,SECRET\n1,a\n", "SECRET,SECRET\n1,a\n", "n,l,SECRET\n1,a,1\n"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct gr_csv_table table;
        float features[1];
        bool more, misfit;
        put_text("t.csv", texts[i]);
        gr_status status = gr_csv_table_open("t.csv", &comma, columns, false, &table, &misfit);
        ck_assert_int_eq(status, i < 3 ? GR_OK : GR_ERROR_DATA);
        if (i < 3) status = gr_csv_table_next(&table, features, &more);
        ck_assert_int_eq(status, GR_ERROR_DATA);
        ck_assert_ptr_null(strstr(gr_message(), "SECRET"));
        gr_csv_table_close(&table);
    }
    gr_columns_free(columns);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("csv");
    TCase *tests = tcase_create("csv");
    if (gr_base_start() != GR_OK) return 1;
    scratch_create();
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, scratch_enter, NULL);
    tcase_add_loop_test(tests, test_rows, 0, (int)COUNT(rows));
    tcase_add_test(tests, test_buffer_ends);
    tcase_add_loop_test(tests, test_bad_text, 0, (int)COUNT(bad_text));
    tcase_add_test(tests, test_long_field);
    tcase_add_loop_test(tests, test_kinds, 0, (int)COUNT(kinds));
    tcase_add_test(tests, test_numbers_are_exact);
    tcase_add_test(tests, test_values);
    tcase_add_loop_test(tests, test_bad_rows, 0, (int)COUNT(bad_rows));
    tcase_add_test(tests, test_cells_are_not_told);
    suite_add_tcase(suite, tests);
    int failed = run_suite(suite);
    scratch_remove();
    return failed;
}
