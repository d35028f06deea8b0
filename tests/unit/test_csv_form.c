/* SPDX-License-Identifier: Apache-2.0 */
/* The form of CSV files as people have them, files of other programs, and rows by cells' rules. */
#include "tables.h"

#include <math.h>

#include <zlib.h>

#include "data/csv_table.h"
#include "data/foreign.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void put_text(const char *path, const char *text) {
    put_file(path, text, strlen(text));
}

static const struct gr_csv_config automatic = {.separator = GR_SEPARATOR_AUTO, .header = true};

/* ---- forms ---------------------------------------------------------------------------------- */

/* Names and rows by the form found: "a|b|/2:1|2|/", with the line of each row before it. */
static gr_status read_all(const char *path, const struct gr_csv_config *csv, char *out,
                          char *told) {
    struct gr_csv_scan scan = {0};
    char **names = NULL;
    size_t n = 0;
    bool more = true;
    gr_status status;
    GR_TRY(gr_csv_scan_open(path, csv, &scan));
    GR_TRY(gr_csv_names(&scan, csv->header, &names, &n));
    for (size_t i = 0; i < n; i++)
        out += sprintf(out, "%s|", names[i]);
    for (;;) {
        GR_TRY(gr_csv_scan_next(&scan, &more));
        if (!more) break;
        out += sprintf(out, "/%zu:", scan.row_line);
        for (size_t i = 0; i < scan.n_fields; i++)
            out += sprintf(out, "%.*s|", (int)scan.fields[i].length, scan.fields[i].text);
    }
    gr_csv_form_tell(&scan.form, told);
out:
    gr_csv_names_free(names, n);
    gr_csv_scan_close(&scan);
    return status;
}

static const struct {
    const char *path, *text, *rows, *told;
} forms[] = {
    {"t.csv", "a,b\n1,2\n3,4\n", "a|b|/2:1|2|/3:3|4|", ""},
    {"t.csv", "a;b\n1,5;2\n3,5;4\n", "a|b|/2:1,5|2|/3:3,5|4|", "separator semicolon, as found"},
    {"t.csv", "a\tb\n1,5\t2\n", "a|b|/2:1,5|2|", "separator tab, as found"},
    {"t.csv", "a|b\n1|2\n", "a|b|/2:1|2|", "separator pipe, as found"},
    {"t.csv", "  a  b\n  1  2\n 30 40\n", "a|b|/2:1|2|/3:30|40|", "separator blanks, as found"},
    {"t.csv", "a,b\n1,\"x;y\"\n2,x;y\n", "a|b|/2:1|x;y|/3:2|x;y|", ""},
    {"t.csv", "a;b\n1;\"x,y,z\"\n2;x\n", "a|b|/2:1|x,y,z|/3:2|x|", "separator semicolon, as found"},
    {"t.csv", "a,b\n1,\"x\n;;;\n\"\n2,y\n", "a|b|/2:1|x\n;;;\n|/5:2|y|", ""},
    {"t.tsv", "a\tb,c\n1\t2,3\n", "a|b,c|/2:1|2,3|", "separator tab, as found"},
    {"t.csv", "a\nx\ny\n", "a|/2:x|/3:y|", ""},
    {"t.csv", "sep=;\na;b\n1,5;2\n", "a|b|/3:1,5|2|",
     "separator semicolon, as found; a line \"sep=\" passed over"},
    {"t.csv", "\"sep=|\"\r\na|b\r\n1|2\r\n", "a|b|/3:1|2|",
     "separator pipe, as found; a line \"sep=\" passed over"},
    {"t.csv", "# one, two\n\n#\n# three, \"four\na,b\n1,2\n", "a|b|/6:1|2|",
     "3 comment lines passed over"},
    {"t.csv", "# site A, 2023\na,b\n1,2\n", "a|b|/3:1|2|", "1 comment line passed over"},
    {"t.csv", "# a,b\n1,2\n3,4\n", "a|b|/2:1|2|/3:3|4|",
     "the header is the line that begins with \"#\""},
    {"t.csv", "# written today\n#a\tb\n1\t2\n", "a|b|/3:1|2|",
     "separator tab, as found; 1 comment line passed over; the header is the line that begins with "
     "\"#\""},
    {"t.csv", "a,b\n1,2\n#3,4\n", "a|b|/2:1|2|/3:#3|4|", ""},
    {"t.csv", ",a,b\n0,1,2\n1,3,4\n", "a|b|/2:1|2|/3:3|4|",
     "a first column without a name: names of rows, passed over"},
    {"t.csv", "\"\",\"a\",\"b\"\n\"1\",\"x\",2\n", "a|b|/2:x|2|",
     "a first column without a name: names of rows, passed over"},
    {"t.csv", "\"a\" \"b\"\n\"1\" 5 6\n\"2\" 7 8\n", "a|b|/2:5|6|/3:7|8|",
     "separator blanks, as found; a first column without a name: names of rows, passed over"},
    {"t.csv", "a,b,,\n1,2,,\n3,4,,\n", "a|b|/2:1|2|/3:3|4|", "2 empty last columns left out"},
    {"t.csv", "a,b\n1,2,\n3,4,\n", "a|b|/2:1|2|/3:3|4|", "1 empty last column left out"},
    {"t.csv", "a,b,\n1,2,\n3,4,5\n", "a|b|/2:1|2|/3:3|4|5|", "1 empty last column left out"},
    {"t.csv", "a,b\n1,\n,\n", "a|b|/2:1||/3:||", ""},
    {"t.csv", "\xEF\xBB\xBFsep=,\n#x\na,b\n1,2\n", "a|b|/4:1|2|",
     "a line \"sep=\" passed over; 1 comment line passed over"},
    {"t.csv", "a,b\r1,2\r3,4", "a|b|/2:1|2|/3:3|4|", ""},
};

START_TEST(forms_found) {
    char rows[512], told[GR_FORM_LINE];
    put_text(forms[_i].path, forms[_i].text);
    CHECK_OK(read_all(forms[_i].path, &automatic, rows, told));
    ck_assert_str_eq(rows, forms[_i].rows);
    ck_assert_str_eq(told, forms[_i].told);
}
END_TEST

/* What is declared is not looked for. */
START_TEST(forms_declared) {
    struct gr_csv_config csv = {.separator = GR_SEPARATOR_COMMA, .header = true};
    char rows[512], told[GR_FORM_LINE];
    put_text("t.csv", "sep=;\na;b,c\n1;2,3\n");
    CHECK_OK(read_all("t.csv", &csv, rows, told));
    ck_assert_str_eq(rows, "a;b|c|/3:1;2|3|");
    csv.header = false;
    csv.separator = GR_SEPARATOR_AUTO;
    put_text("t.csv", "1,5;2,5\n3,5;4\n");
    CHECK_OK(read_all("t.csv", &csv, rows, told));
    ck_assert_str_eq(rows, "column1|column2|/1:1,5|2,5|/2:3,5|4|");
    put_text("t.csv", "# a,b\n1,2\n");
    CHECK_OK(read_all("t.csv", &csv, rows, told));
    ck_assert_str_eq(rows, "column1|column2|/2:1|2|");
}
END_TEST

/* Names and texts in Latin-1 as Windows has it; offsets stay the file's, so that seeking works. */
START_TEST(latin1) {
    struct gr_csv_config csv = automatic;
    char rows[512], told[GR_FORM_LINE];
    csv.encoding = GR_TEXT_LATIN1;
    put_text("t.csv", "Gr\xF6\xDF"
                      "e,\x80\n\"M\xFC\"\"ller\",\x81\n1,2\n");
    CHECK_OK(read_all("t.csv", &csv, rows, told));
    ck_assert_str_eq(rows, "Größe|€|/2:Mü\"ller|\uFFFD|/3:1|2|");
    ck_assert_str_eq(told, "read as Latin-1, but for rows that are UTF-8");
    CHECK_REFUSED(read_all("t.csv", &automatic, rows, told), GR_ERROR_DATA,
                  "its name is not UTF-8; if it is Latin-1, as of Excel: data.csv.encoding latin1");
    /* Another site's file of the same run. */
    put_text("t.csv", "\xEF\xBB\xBFGröße,€\nMüller,ä\nM\xFCller,\xE4\n");
    CHECK_OK(read_all("t.csv", &csv, rows, told));
    ck_assert_str_eq(rows, "Größe|€|/2:Müller|ä|/3:Müller|ä|");
}
END_TEST

/* One file compressed in parts, and padded with zeros; rows appended as they are would be lost. */
START_TEST(gzip_and_more) {
    char rows[512], told[GR_FORM_LINE];
    static const char *const parts[] = {"a,b\n1,2\n", "3,4\n"};
    static const char zeros[1024];
    for (int i = 0; i < 2; i++) {
        gzFile file = gzopen("t.csv.gz", i ? "ab" : "wb");
        gzputs(file, parts[i]);
        gzclose(file);
    }
    FILE *file = fopen("t.csv.gz", "ab");
    fwrite(zeros, sizeof zeros, 1, file);
    fflush(file);
    CHECK_OK(read_all("t.csv.gz", &automatic, rows, told));
    ck_assert_str_eq(rows, "a|b|/2:1|2|/3:3|4|");
    fputs("5,6\n", file);
    fclose(file);
    CHECK_REFUSED(read_all("t.csv.gz", &automatic, rows, told), GR_ERROR_DATA,
                  "t.csv.gz: bytes follow the end of the gzip stream");
}
END_TEST

/* A compressed file is read as what is in it, in any order of rows; cut off it is refused. */
START_TEST(gzip) {
    enum { N = 60000 };
    struct gr_csv_scan scan;
    size_t offset = 0, line = 0;
    char rows[512], told[GR_FORM_LINE];
    bool more;
    gzFile file = gzopen("t.csv.gz", "wb");
    gzprintf(file, "a,b\n");
    for (int i = 0; i < N; i++)
        gzprintf(file, "%d,%d\n", i, 7919 * i);
    gzclose(file);
    CHECK_OK(gr_csv_scan_open("t.csv.gz", &automatic, &scan));
    ck_assert(scan.form.gzip);
    CHECK_OK(gr_csv_scan_next(&scan, &more));
    for (int pass = 0; pass < 2; pass++) {
        for (int i = pass ? N / 2 : 0; i < N; i++) {
            char expected[16];
            CHECK_OK(gr_csv_scan_next(&scan, &more));
            ck_assert(more);
            snprintf(expected, sizeof expected, "%d", 7919 * i);
            ck_assert_uint_eq(scan.row_line, (size_t)i + 2);
            ck_assert_uint_eq(scan.fields[1].length, strlen(expected));
            ck_assert(memcmp(scan.fields[1].text, expected, strlen(expected)) == 0);
            if (i == N / 2 && pass == 0) {
                offset = scan.row_offset;
                line = scan.row_line;
            }
        }
        CHECK_OK(gr_csv_scan_next(&scan, &more));
        ck_assert(!more);
        ck_assert_uint_eq(gr_csv_scan_done(&scan), scan.file_size);
        CHECK_OK(gr_csv_scan_seek(&scan, offset, line));
    }
    const size_t size = scan.file_size;
    gr_csv_scan_close(&scan);
    ck_assert_int_eq(truncate("t.csv.gz", (off_t)size - 9), 0);
    CHECK_OK(gr_csv_scan_open("t.csv.gz", &automatic, &scan));
    gr_status status;
    do
        status = gr_csv_scan_next(&scan, &more);
    while (status == GR_OK && more);
    CHECK_REFUSED(status, GR_ERROR_DATA, "the gzip stream is cut off");
    gr_csv_scan_close(&scan);
    put_text("t.csv", "a,b\n1,2\n");
    file = gzopen("t.csv", "wb");
    gzprintf(file, "%%PDF-1.4");
    gzclose(file);
    CHECK_REFUSED(read_all("t.csv", &automatic, rows, told), GR_ERROR_DATA, "found a PDF document");
}
END_TEST

/* ---- files of other programs ---------------------------------------------------------------- */

#define BYTES(text) text, sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t n;
    const char *says;
} foreign[] = {
    {BYTES("PK\x03\x04\x14\0\6\0\10\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x13\0\0\0[Content_Types].xml"),
     "an Excel workbook"},
    {BYTES("PK\x03\x04\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0mimetypeapplication/"
           "vnd.oasis.opendocument.spreadsheet"),
     "an OpenDocument file (ods)"},
    {BYTES("PK\x03\x04\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0x.npy\x93NUMPY"),
     "NumPy arrays (npz)"},
    {BYTES("PK\x03\x04\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0a.csv"),
     "a zip archive"},
    {BYTES("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0\0"), "(xls)"},
    {BYTES("PAR1\x15\x04\x15"), "a Parquet file"},
    {BYTES("ARROW1\0\0\xFF"), "an Arrow or Feather file"},
    {BYTES("\x93NUMPY\x01\0v\0"), "a NumPy array (npy)"},
    {BYTES("\x80\x04\x95\x1A\0\0"), "a Python pickle"},
    {BYTES("<stata_dta><header><release>118"), "a Stata file (dta)"},
    {BYTES("r\x02\x01\0\x05\0"), "a Stata file (dta)"},
    {BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\xC2\xEA\x81\x60\xB3\x14\x11\xCF"), "a SAS file (sas7bdat)"},
    {BYTES("HEADER RECORD*******LIBRARY HEADER RECORD"), "a SAS transport file"},
    {BYTES("$FL2@(#) SPSS DATA FILE"), "an SPSS file (sav)"},
    {BYTES("RDX3\nX\n\0\0\0\3"), "an R workspace (RData)"},
    {BYTES("X\n\0\0\0\3\0\4"), "an R object (rds)"},
    {BYTES("MATLAB 5.0 MAT-file, Platform"), "a MATLAB file"},
    {BYTES("CDF\1\0\0"), "a netCDF file"},
    {BYTES("SQLite format 3\0\x10\0"), "an SQLite database"},
    {BYTES("\xFD\x37zXZ\0\0\4"), "compressed with xz"},
    {BYTES("BZh91AY&SY\x00"), "compressed with bzip2"},
    {BYTES("\x28\xB5\x2F\xFD\x04"), "compressed with zstd"},
    {BYTES("%PDF-1.7\n"), "a PDF document"},
    {BYTES("{\"rows\": [1]}\n"), "JSON"},
    {BYTES("[{\"a\": 1}]\n"), "JSON"},
    {BYTES("\n<!DOCTYPE html>\n<html>"), "a page of HTML"},
    {BYTES("<?xml version=\"1.0\"?>"), "XML"},
    {BYTES("@RELATION iris\n"), "a Weka file (arff)"},
    {BYTES("\xFF\xFE"
           "a\0,\0"),
     "text in UTF-16"},
    {BYTES("a\0,\0b\0\n\0"), "text in UTF-16 without a mark"},
    {BYTES("a,b\n1,2\0\n4,5\n6,7\n"), "not text: it holds bytes of 0"},
    {BYTES("\x89HDF\r\n\x1A\n\0"), "an HDF5 file: data.source is hdf5"},
    {BYTES("\0\0\x08\x03\0\0\0\x0A"), "an IDX file: data.source is idx"},
    {BYTES("+1 1:0.79 2:-0.239 3:1\n-1 1:0.63\n"), "lines of svmlight"},
    {BYTES("# made by x\n3 qid:1 1:0.5 2:1 # note\n"), "lines of svmlight"},
};

START_TEST(foreign_files) {
    char rows[512], told[GR_FORM_LINE];
    put_file("t.csv", foreign[_i].bytes, foreign[_i].n);
    CHECK_REFUSED(read_all("t.csv", &automatic, rows, told), GR_ERROR_DATA, foreign[_i].says);
    ck_assert_msg(strncmp(gr_message(), "t.csv:", 6) == 0, "%s", gr_message());
    ck_assert_ptr_null(strchr(gr_message(), '\n'));
}
END_TEST

/* Tables whose first line looks like another program's. */
static const char *const tables[] = {"PAR1,PAR2\n1,2\n", "ORC,b\n1,2\n",     "[a],[b]\n1,2\n",
                                     "{a},b\n1,2\n",     "FEA1,b\n1,2\n",    "BZh,b\n1,2\n",
                                     "RDX,b\n1,2\n",     "10:30,b\n1:2,3\n", "time a:1\n1 2:3\n"};

START_TEST(no_foreign_files) {
    char rows[512], told[GR_FORM_LINE];
    put_text("t.csv", tables[_i]);
    CHECK_OK(read_all("t.csv", &automatic, rows, told));
    ck_assert_ptr_null(gr_foreign_file(tables[_i], strlen(tables[_i])));
}
END_TEST

/* ---- rows ----------------------------------------------------------------------------------- */

/* Reads a table twice, as readers do; its rows in words, and what was found. */
struct reading {
    float values[16][8];
    int32_t labels[16];
    size_t n;
    struct gr_found found[8];
};

static gr_status read_table(const char *schema_text, const char *text, struct reading *out) {
    struct gr_schema *schema;
    struct gr_columns *columns = NULL;
    struct gr_csv_table table = {0};
    bool more = true, misfit;
    gr_status status;
    put_text("t.csv", text);
    GR_TRY(gr_schema_parse("s.yaml", schema_text, strlen(schema_text), &schema));
    GR_TRY(gr_columns_create(schema, &columns));
    GR_TRY(gr_csv_table_open("t.csv", &automatic, columns, false, &table, &misfit));
    const size_t at = table.scan.offset + table.scan.at, line = table.scan.line;
    for (int pass = 0; pass < 2; pass++) {
        for (out->n = 0;; out->n++) {
            GR_TRY(gr_csv_table_next(&table, out->values[out->n], &more));
            if (!more) break;
            out->labels[out->n] = table.label;
        }
        if (pass == 0) GR_TRY(gr_csv_table_settle(&table, columns));
        if (pass == 0) GR_TRY(gr_csv_scan_seek(&table.scan, at, line));
    }
    for (size_t i = 0; i < columns->schema->columns_count; i++)
        out->found[i] = gr_csv_table_found(&table, i);
out:
    gr_csv_table_close(&table);
    gr_columns_free(columns);
    return status;
}

/* Bounds are the file's: a cell equal to one is inside, whatever float32 makes of both. */
START_TEST(ranges_in_double) {
    struct reading r;
    CHECK_OK(read_table("columns:\n- {name: t, type: number, range: [35.1, 41.9]}\n"
                        "- {name: o, type: number, range: [35.1, 41.9], origin: 35.1}\n"
                        "- {name: l, type: label}\n",
                        "t,o,l\n35.1,35.1,0\n41.9,41.9,1\n41.90000001,41.9,0\n35.09999999,35.2,1\n",
                        &r));
    ck_assert_int_eq(r.found[0].outside, 2);
    ck_assert_int_eq(r.found[1].outside, 0);
    ck_assert(r.values[0][1] == 0);
    ck_assert(r.values[1][1] == (float)(41.9 - 35.1));
    ck_assert_int_eq(r.found[0].present, 4);
}
END_TEST

/* What is whole in float32 only is not whole. */
static const struct {
    const char *column, *cell, *says;
} not_whole[] = {
    {"type: integer", "16777217", "not whole, or beyond 16777216"},
    {"type: integer", "1.00000001", "not whole"},
    {"type: integer, origin: 1600000000", "1700000000", "beyond 16777216"},
    {"type: integer, origin: 1600000000", "1600000000.5", "not whole"},
};

START_TEST(whole_in_double) {
    struct reading r;
    char schema[256], text[64];
    snprintf(schema, sizeof schema, "columns:\n- {name: x, %s}\n- {name: l, type: label}\n",
             not_whole[_i].column);
    snprintf(text, sizeof text, "x,l\n%s,0\n", not_whole[_i].cell);
    CHECK_REFUSED(read_table(schema, text, &r), GR_ERROR_DATA, not_whole[_i].says);
    CHECK_REFUSED(read_table("columns:\n- {name: x, type: number}\n- {name: l, type: label}\n",
                             "x,l\n1,0.99999999\n", &r),
                  GR_ERROR_DATA, "column 2 (l): found no such label");
}
END_TEST

START_TEST(origins) {
    struct reading r;
    CHECK_OK(read_table("columns:\n- {name: x, type: number, origin: 1700000000}\n"
                        "- {name: y, type: number}\n- {name: l, type: label}\n",
                        "x,y,l\n1700000000.25,1700000000,0\n1700000001.5,1700000001,0\n"
                        "1700003600,1700003600,1\n",
                        &r));
    ck_assert(r.values[0][0] == 0.25f && r.values[1][0] == 1.5f && r.values[2][0] == 3600);
    ck_assert_int_eq(r.found[0].lost, 0);
    ck_assert_int_gt(r.found[1].lost, 0);
}
END_TEST

START_TEST(dates) {
    struct reading r;
    CHECK_OK(read_table(
        "columns:\n- {name: born, type: text, format: day_first}\n"
        "- {name: seen, type: date, missing: mean}\n"
        "- {name: age, type: date, format: month_first, since: born, in: years, missing: mean}\n"
        "- {name: at, type: datetime, since: 2024-02-28, in: hours, missing: indicator}\n"
        "- {name: l, type: label}\n",
        "born,seen,age,at,l\n31.12.1980,2000-01-01,12/31/2000,2024-02-29T06:30:00,0\n"
        ",1999-12-31,01/01/2000,2024-02-29 06:30:00+01:00,1\n01.02.1990,NA,,none,0\n",
        &r));
    ck_assert(r.values[0][0] == 0 && r.values[1][0] == -1 && isnan(r.values[2][0]));
    /* 7305 days, by Python's datetime. */
    ck_assert(r.values[0][1] == (float)(7305 / 365.25) && isnan(r.values[1][1]));
    ck_assert(r.values[0][2] == 30.5f && r.values[1][2] == 29.5f && isnan(r.values[2][2]));
    ck_assert_int_eq(r.found[1].missing, 1);
    ck_assert_int_eq(r.found[2].missing, 2);
}
END_TEST

static const struct {
    const char *column, *cell, *says;
} bad_dates[] = {
    {"type: date", "2023-02-29", "t.csv:2: column 1 (x): found a day that the calendar has not"},
    {"type: date", "31.12.2023", "found no date such as 2024-01-31, expected a date"},
    {"type: date", "23-12-31", "found a year of two digits"},
    {"type: date", "2023-12-31T10:00", "found a time of day or a zone, expected a date"},
    {"type: date", "", "found no value, expected a date"},
    {"type: datetime", "2023-12-31 25:00", "found a time of day that is none"},
    {"type: date, format: month_first", "31/12/2023", "another order of day and month"},
};

START_TEST(dates_refused) {
    struct reading r;
    char schema[256], text[64];
    snprintf(schema, sizeof schema, "columns:\n- {name: x, %s}\n- {name: l, type: label}\n",
             bad_dates[_i].column);
    snprintf(text, sizeof text, "x,l\n%s,0\n", bad_dates[_i].cell);
    CHECK_REFUSED(read_table(schema, text, &r), GR_ERROR_DATA, bad_dates[_i].says);
    if (bad_dates[_i].cell[0]) ck_assert_ptr_null(strstr(gr_message(), bad_dates[_i].cell));
}
END_TEST

/* Of whole numbers 1 and 1.0 are one, listed or open; of codes with a point they are two. */
START_TEST(whole_categories) {
    struct reading r;
    CHECK_OK(read_table("columns:\n- {name: a, type: category, categories: ['0', '1']}\n"
                        "- {name: b, type: category}\n"
                        "- {name: c, type: category, categories: ['250', '250.0', '250.1']}\n"
                        "- {name: d, type: category, categories: ['250', '250.1'], missing: mode}\n"
                        "- {name: l, type: label, categories: ['1', '2']}\n",
                        "a,b,c,d,l\n1,2,250,250,1\n1.0,1.0,250.0,250.0,2.0\n0.00,1,250,250.1,1\n",
                        &r));
    ck_assert(r.values[0][0] == 1 && r.values[1][0] == 1 && r.values[2][0] == 0);
    ck_assert(r.values[0][1] == 1 && r.values[1][1] == 0 && r.values[2][1] == 0);
    ck_assert(r.values[0][2] == 0 && r.values[1][2] == 1 && r.values[2][2] == 0);
    ck_assert(r.values[0][3] == 0 && r.values[1][3] == 2 && r.values[2][3] == 1);
    ck_assert_int_eq(r.found[0].unknown, 0);
    ck_assert_int_eq(r.found[3].unknown, 1);
    ck_assert(r.labels[0] == 0 && r.labels[1] == 1 && r.labels[2] == 0);
}
END_TEST

/* Listed categories go before words for missing values. */
START_TEST(listed_words) {
    struct reading r;
    CHECK_OK(read_table("missing_words: [unknown]\ncolumns:\n"
                        "- {name: a, type: category, categories: [none, NA, unknown]}\n"
                        "- {name: b, type: category, missing: mode, missing_words: [none]}\n"
                        "- {name: l, type: label, categories: [NA, x]}\n",
                        "a,b,l\nNA,none,NA\nnone,-,x\nunknown,unknown,x\n", &r));
    ck_assert(r.values[0][0] == 1 && r.values[1][0] == 0 && r.values[2][0] == 2);
    ck_assert(isnan(r.values[0][1]) && r.values[1][1] == 0 && isnan(r.values[2][1]));
    ck_assert_int_eq(r.found[1].missing, 2);
    ck_assert(r.labels[0] == 0 && r.labels[1] == 1);
}
END_TEST

START_TEST(unlabelled_rows) {
    static const char text[] = "x,l,t\n1,0,5\n2,,6\nx,NA,7\n3,1,\n4,1,8\n";
    struct reading r;
    CHECK_OK(read_table("columns:\n- {name: x, type: number}\n"
                        "- {name: l, type: label, unlabelled: drop}\n"
                        "- {name: t, type: target, unlabelled: drop}\n",
                        text, &r));
    ck_assert_uint_eq(r.n, 2);
    ck_assert(r.values[0][0] == 1 && r.values[1][0] == 4);
    ck_assert_int_eq(r.found[1].dropped, 2);
    ck_assert_int_eq(r.found[2].dropped, 1);
    ck_assert_int_eq(r.found[0].present, 2);
    CHECK_REFUSED(read_table("columns:\n- {name: x, type: number}\n- {name: l, type: label}\n"
                             "- {name: t, type: target}\n",
                             text, &r),
                  GR_ERROR_DATA, "t.csv:3: column 2 (l): found no value, expected a label");
}
END_TEST

START_TEST(groups) {
    struct reading r;
    static const char schema[] = "columns:\n- {name: x, type: number}\n- {name: g, type: group}\n"
                                 "- {name: l, type: label}\n";
    CHECK_OK(read_table(schema, "x,g,l\n1, A ,0\n", &r));
    CHECK_OK(read_table(schema, "x,l\n1,0\n2,1\n", &r));
    ck_assert_uint_eq(r.n, 2);
    ck_assert(r.values[1][0] == 2 && r.labels[1] == 1);
    CHECK_REFUSED(read_table(schema, "x,l\n1,0\n2,1,3\n", &r), GR_ERROR_DATA,
                  "t.csv:3: found 3 fields, expected 2");
    CHECK_REFUSED(read_table(schema, "y,l\n1,0\n", &r), GR_ERROR_DATA, "t.csv:1: column 1: found");
}
END_TEST

START_TEST(censored_cells) {
    struct reading r;
    CHECK_OK(
        read_table("columns:\n- {name: age, type: integer, range: [0, 89], censored: ['> 89']}\n"
                   "- {name: l, type: label}\n",
                   "age,l\n80,0\n> 89,1\n> 89,0\n", &r));
    ck_assert(r.values[1][0] == 89);
    ck_assert_int_eq(r.found[0].censored, 2);
    ck_assert_int_eq(r.found[0].outside, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("csv_form");
    TCase *tests = tcase_create("forms");
    if (gr_base_start() != GR_OK) return 1;
    scratch_create();
    tcase_add_checked_fixture(tests, scratch_enter, NULL);
    tcase_add_loop_test(tests, forms_found, 0, (int)COUNT(forms));
    tcase_add_test(tests, forms_declared);
    tcase_add_test(tests, latin1);
    tcase_add_test(tests, gzip);
    tcase_add_test(tests, gzip_and_more);
    tcase_add_loop_test(tests, foreign_files, 0, (int)COUNT(foreign));
    tcase_add_loop_test(tests, no_foreign_files, 0, (int)COUNT(tables));
    tcase_add_test(tests, ranges_in_double);
    tcase_add_loop_test(tests, whole_in_double, 0, (int)COUNT(not_whole));
    tcase_add_test(tests, origins);
    tcase_add_test(tests, dates);
    tcase_add_loop_test(tests, dates_refused, 0, (int)COUNT(bad_dates));
    tcase_add_test(tests, whole_categories);
    tcase_add_test(tests, listed_words);
    tcase_add_test(tests, unlabelled_rows);
    tcase_add_test(tests, groups);
    tcase_add_test(tests, censored_cells);
    suite_add_tcase(suite, tests);
    int failed = run_suite(suite);
    scratch_remove();
    return failed;
}
