/* SPDX-License-Identifier: Apache-2.0 */
/* Cells to numbers and dates by their columns' rules; digits that float32 does not hold. */
#include "tables.h"

#include <math.h>

#include "cell_reference.h"
#include "data/csv_cell.h"
#include "data/digits.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct gr_schema *schema_of(const char *column) {
    struct gr_schema *schema;
    char yaml[1024];
    snprintf(yaml, sizeof yaml, "columns:\n- {name: x, %s}\n", column);
    CHECK_OK(gr_schema_parse("s.yaml", yaml, strlen(yaml), &schema));
    return schema;
}

/* ---- against Python ------------------------------------------------------------------------- */

START_TEST(dates_are_pythons) {
    for (size_t i = 0; i < COUNT(reference_dates); i++) {
        const char *text = reference_dates[i].text;
        double seconds = NAN;
        ck_assert_msg(gr_date_read(text, strlen(text), reference_dates[i].format,
                                   reference_dates[i].with_time, &seconds) == GR_DATE_READ,
                      "%s", text);
        ck_assert_msg(seconds == reference_dates[i].seconds, "%s: %.17g", text, seconds);
    }
}
END_TEST

/* Every day of 400 years, one after the other: each is 86400 s behind the one before. */
START_TEST(days_follow_each_other) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    double last = NAN, seconds = NAN;
    char text[40];
    int count = 0;
    for (int year = 1800; year < 2200; year++)
        for (int month = 1; month <= 12; month++)
            for (int day = 1; day <= 32; day++) {
                const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
                const bool exists = day <= days[month - 1] + (month == 2 && leap);
                snprintf(text, sizeof text, "%d-%02d-%02d", year, month, day);
                enum gr_date_reading reading =
                    gr_date_read(text, strlen(text), GR_DATE_ISO, false, &seconds);
                ck_assert_msg(reading == (exists ? GR_DATE_READ : GR_DATE_NO_SUCH_DAY), "%s", text);
                if (!exists) continue;
                ck_assert_msg(count++ == 0 || seconds - last == 86400, "%s", text);
                last = seconds;
            }
    ck_assert_int_eq(count, 146097);
}
END_TEST

START_TEST(numbers_are_pythons) {
    for (size_t i = 0; i < COUNT(reference_numbers); i++) {
        static const char *const decimal[] = {"point", "comma"};
        static const char *const thousands[] = {"none", "comma", "point", "space", "apostrophe"};
        const char *text = reference_numbers[i].text;
        struct gr_cell_rules rules;
        char column[128];
        double value = NAN;
        float nearest;
        snprintf(column, sizeof column, "type: number, decimal: %s, thousands: %s",
                 decimal[reference_numbers[i].decimal], thousands[reference_numbers[i].thousands]);
        struct gr_schema *schema = schema_of(column);
        CHECK_OK(gr_cell_rules_create(schema->columns, &rules));
        ck_assert_msg(gr_cell_number(&rules, text, strlen(text), &value, &nearest) <= GR_CSV_WHOLE,
                      "%s", text);
        ck_assert_msg(value == reference_numbers[i].value, "%s: %.17g", text, value);
        ck_assert(nearest == (float)value);
        gr_cell_rules_release(&rules);
        gr_schema_free(schema);
    }
}
END_TEST

/* ---- dates ---------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    enum gr_date_format format;
    bool time;
    enum gr_date_reading reading;
} bad_dates[] = {
    {"2023-02-29", GR_DATE_ISO, false, GR_DATE_NO_SUCH_DAY},
    {"1900-02-29", GR_DATE_ISO, false, GR_DATE_NO_SUCH_DAY},
    {"2023-13-01", GR_DATE_ISO, false, GR_DATE_NO_SUCH_DAY},
    {"2023-00-10", GR_DATE_ISO, false, GR_DATE_NO_SUCH_DAY},
    {"0000-01-01", GR_DATE_ISO, false, GR_DATE_NO_SUCH_DAY},
    {"23-01-31", GR_DATE_ISO, false, GR_DATE_SHORT_YEAR},
    {"31.01.23", GR_DATE_DAY_FIRST, false, GR_DATE_SHORT_YEAR},
    {"1/31/23", GR_DATE_MONTH_FIRST, false, GR_DATE_SHORT_YEAR},
    {"01/31/2023", GR_DATE_DAY_FIRST, false, GR_DATE_NO_SUCH_DAY},
    {"2023-01-31", GR_DATE_DAY_FIRST, false, GR_DATE_NONE},
    {"31.01.2023", GR_DATE_ISO, false, GR_DATE_NONE},
    {"2023-01/31", GR_DATE_ISO, false, GR_DATE_NONE},
    {"2023-01", GR_DATE_ISO, false, GR_DATE_NONE},
    {"2023", GR_DATE_ISO, false, GR_DATE_NONE},
    {"2023-01-31x", GR_DATE_ISO, false, GR_DATE_NONE},
    {"", GR_DATE_ISO, false, GR_DATE_NONE},
    {"12345678901234567890", GR_DATE_ISO, false, GR_DATE_NONE},
    {"2023-01-31T10:00:00", GR_DATE_ISO, false, GR_DATE_HAS_TIME},
    {"2023-01-31T00:00:00Z", GR_DATE_ISO, false, GR_DATE_HAS_TIME},
    {"2023-01-31T00:00:00", GR_DATE_ISO, false, GR_DATE_READ},
    {"2023-01-31 24:00", GR_DATE_ISO, true, GR_DATE_NO_SUCH_TIME},
    {"2023-01-31 23:60", GR_DATE_ISO, true, GR_DATE_NO_SUCH_TIME},
    {"2023-01-31 23:59:60", GR_DATE_ISO, true, GR_DATE_NO_SUCH_TIME},
    {"2023-01-31 11:00 PM", GR_DATE_ISO, true, GR_DATE_NO_SUCH_TIME},
    {"2023-01-31T10:00:00+25:00", GR_DATE_ISO, true, GR_DATE_NO_SUCH_TIME},
    {"2023-01-31T10:00:00 CET", GR_DATE_ISO, true, GR_DATE_NO_SUCH_TIME},
    {"31/01/2023 7:05", GR_DATE_DAY_FIRST, true, GR_DATE_READ},
    {"2023-01-31T10:00:00+01", GR_DATE_ISO, true, GR_DATE_READ},
};

START_TEST(dates_refused) {
    double seconds;
    enum gr_date_reading reading = gr_date_read(bad_dates[_i].text, strlen(bad_dates[_i].text),
                                                bad_dates[_i].format, bad_dates[_i].time, &seconds);
    ck_assert_msg(reading == bad_dates[_i].reading, "%s: %d", bad_dates[_i].text, (int)reading);
}
END_TEST

/* ---- numbers by rules ----------------------------------------------------------------------- */

static const struct {
    const char *column, *text;
    enum gr_csv_number kind;
    double value;
} cells[] = {
    {"type: number, decimal: comma", "22,6", GR_CSV_NUMBER, 22.6},
    {"type: number, decimal: comma", "-1,5E+03", GR_CSV_NUMBER, -1500},
    {"type: number, decimal: comma", ",5", GR_CSV_NUMBER, 0.5},
    {"type: number, decimal: comma", "22.6", GR_CSV_OTHER, 0},
    {"type: number, decimal: comma", "22", GR_CSV_WHOLE, 22},
    {"type: number, decimal: comma", "\u221222,6", GR_CSV_NUMBER, -22.6},
    {"type: number, thousands: comma", "1,234,567.5", GR_CSV_NUMBER, 1234567.5},
    {"type: number, thousands: comma", "1,234", GR_CSV_WHOLE, 1234},
    {"type: number, thousands: comma", "1234", GR_CSV_WHOLE, 1234},
    {"type: number, thousands: comma", "1,23", GR_CSV_OTHER, 0},
    {"type: number, thousands: comma", "1234,567", GR_CSV_OTHER, 0},
    {"type: number, thousands: comma", "1,2345", GR_CSV_OTHER, 0},
    {"type: number, thousands: comma", ",123", GR_CSV_OTHER, 0},
    {"type: number, thousands: space", "1\u00A0234\u202F567", GR_CSV_WHOLE, 1234567},
    {"type: number, thousands: apostrophe", "1'234.5", GR_CSV_NUMBER, 1234.5},
    {"type: number, percent: true", "12.5%", GR_CSV_NUMBER, 12.5},
    {"type: number, percent: true", "12.5 %", GR_CSV_NUMBER, 12.5},
    {"type: number, percent: true", "12.5", GR_CSV_NUMBER, 12.5},
    {"type: number, percent: true", "%", GR_CSV_OTHER, 0},
    {"type: number", "12.5%", GR_CSV_OTHER, 0},
    {"type: number, affixes: [kg, EUR, $]", "5 kg", GR_CSV_WHOLE, 5},
    {"type: number, affixes: [kg, EUR, $]", "$-5.5", GR_CSV_NUMBER, -5.5},
    {"type: number, affixes: [kg, EUR, $]", "-$5", GR_CSV_WHOLE, -5},
    {"type: number, affixes: [kg, EUR, $]", "EUR 5", GR_CSV_WHOLE, 5},
    {"type: number, affixes: [kg, EUR, $]", "5 lb", GR_CSV_OTHER, 0},
    {"type: number, affixes: [kg, EUR, $]", "kg", GR_CSV_OTHER, 0},
    {"type: number, affixes: [m, mm]", "5mm", GR_CSV_WHOLE, 5},
    {"type: number, missing_words: ['-999', n.k.]", "-999", GR_CSV_MISSING, 0},
    {"type: number, missing_words: ['-999', n.k.]", "-999.0", GR_CSV_MISSING, 0},
    {"type: number, missing_words: ['-999', n.k.]", " n.k. ", GR_CSV_MISSING, 0},
    {"type: number, missing_words: ['-999', n.k.]", "-998", GR_CSV_WHOLE, -998},
    {"type: number, missing_words: ['-999', n.k.]", "N.K.", GR_CSV_OTHER, 0},
    {"type: number, censored: ['> 89', '<5', 90+]", "> 89", GR_CSV_CENSORED, 89},
    {"type: number, censored: ['> 89', '<5', 90+]", "<5", GR_CSV_CENSORED, 5},
    {"type: number, censored: ['> 89', '<5', 90+]", "90+", GR_CSV_CENSORED, 90},
    {"type: number, censored: ['> 89', '<5', 90+]", "<6", GR_CSV_OTHER, 0},
    {"type: number, censored: ['< 0,5'], decimal: comma", "< 0,5", GR_CSV_CENSORED, 0.5},
    {"type: number, censored: ['<-1.5']", "<-1.5", GR_CSV_CENSORED, -1.5},
    {"type: number, decimal: comma", "none", GR_CSV_MISSING, 0},
    {"type: number, decimal: comma", "-inf", GR_CSV_INFINITE, 0},
    {"type: number", "unknown", GR_CSV_MISSING, 0},
    {"type: number", "16777217", GR_CSV_WHOLE, 16777217},
    {"type: number", "0.99999999", GR_CSV_NUMBER, 0.99999999},
};

START_TEST(cells_by_rules) {
    struct gr_schema *schema = schema_of(cells[_i].column);
    struct gr_cell_rules rules;
    double value = 0;
    float nearest = 0;
    CHECK_OK(gr_cell_rules_create(schema->columns, &rules));
    enum gr_csv_number kind =
        gr_cell_number(&rules, cells[_i].text, strlen(cells[_i].text), &value, &nearest);
    ck_assert_msg(kind == cells[_i].kind, "%s: %d", cells[_i].text, (int)kind);
    if (gr_csv_is_number(kind)) {
        ck_assert_msg(value == cells[_i].value, "%s: %.17g", cells[_i].text, value);
        ck_assert(nearest == (float)value);
    }
    gr_cell_rules_release(&rules);
    gr_schema_free(schema);
}
END_TEST

/* A cell of any length is read, or is none: nothing is cut off. */
START_TEST(long_cells) {
    struct gr_schema *schema = schema_of("type: number, decimal: comma, thousands: point");
    struct gr_cell_rules rules;
    char text[2000];
    double value = 0;
    float nearest;
    CHECK_OK(gr_cell_rules_create(schema->columns, &rules));
    memset(text, '0', sizeof text);
    text[499] = '7';
    ck_assert_int_eq(gr_cell_number(&rules, text, 500, &value, &nearest), GR_CSV_WHOLE);
    ck_assert(value == 7);
    ck_assert_int_eq(gr_cell_number(&rules, text, sizeof text, &value, &nearest), GR_CSV_OTHER);
    gr_cell_rules_release(&rules);
    gr_schema_free(schema);
}
END_TEST

/* "none" and "-" are answers where they are categories, and only words of their own are not. */
START_TEST(missing_categories) {
    static const struct {
        const char *text;
        bool missing;
    } words[] = {{"", true},     {"NA", true},       {"n/a", true},     {"NaN", true},
                 {"null", true}, {"\\N", true},      {"none", false},   {"None", false},
                 {"-", false},   {".", false},       {"?", true},       {"missing", false},
                 {"nil", false}, {"unknown", false}, {"1.#IND", false}, {"n.k.", true}};
    struct gr_schema *schema = schema_of("type: category, missing_words: [n.k.]");
    struct gr_cell_rules rules;
    CHECK_OK(gr_cell_rules_create(schema->columns, &rules));
    for (size_t i = 0; i < COUNT(words); i++)
        ck_assert_msg(gr_cell_is_missing(&rules, words[i].text, strlen(words[i].text)) ==
                          words[i].missing,
                      "%s", words[i].text);
    gr_cell_rules_release(&rules);
    gr_schema_free(schema);
}
END_TEST

static const struct {
    const char *text;
    size_t length;
    bool whole;
} wholes[] = {
    {"1", 1, true},   {"1.0", 1, true},   {"-2.00", 2, true},  {"1.5", 3, false},
    {"", 0, false},   {".0", 2, false},   {"-.0", 3, false},   {"x.0", 3, false},
    {"10", 2, true},  {"007.0", 3, true}, {"1.0.0", 5, false}, {"-", 1, false},
    {"0.0", 1, true}, {"1,0", 3, false},
};

START_TEST(whole_texts) {
    const char *text = wholes[_i].text;
    const size_t n = strlen(text);
    ck_assert_msg(gr_whole_length(text, n, GR_DECIMAL_POINT) == wholes[_i].length, "%s", text);
    ck_assert_msg(gr_is_whole(text, n, GR_DECIMAL_POINT) == wholes[_i].whole, "%s", text);
    ck_assert_uint_eq(gr_whole_length("1,0", 3, GR_DECIMAL_COMMA), 1);
}
END_TEST

static const char *const bad_censored[] = {"'> x'", "'5-9'", "'>'"};

START_TEST(censored_without_a_bound) {
    char column[128];
    struct gr_cell_rules rules;
    snprintf(column, sizeof column, "type: number, censored: ['> 1', %s]", bad_censored[_i]);
    struct gr_schema *schema = schema_of(column);
    CHECK_REFUSED(gr_cell_rules_create(schema->columns, &rules), GR_ERROR_CONFIG,
                  "column \"x\": censored: entry 2: expected a text with one number in it");
    gr_schema_free(schema);
}
END_TEST

/* ---- lost digits ---------------------------------------------------------------------------- */

static int64_t lost_of(const double *values, size_t n) {
    struct gr_digits digits = {0};
    for (size_t i = 0; i < n; i++)
        gr_digits_add(&digits, values[i], (float)values[i]);
    return gr_digits_lost(&digits);
}

START_TEST(digits_that_are_lost) {
    enum { N = 1000 };
    static double x[N];
    /* Ordinary measurements, constants, computed doubles that differ in their last bit: none. */
    for (size_t i = 0; i < N; i++)
        x[i] = 20 + 0.1 * (double)(i % 77);
    ck_assert_int_eq(lost_of(x, N), 0);
    for (size_t i = 0; i < N; i++)
        x[i] = 22.6;
    ck_assert_int_eq(lost_of(x, N), 0);
    for (size_t i = 0; i < N; i++)
        x[i] = i % 2 ? 0.3 : 0.1 + 0.2;
    ck_assert_int_eq(lost_of(x, N), 0);
    /* Numbers of a million with one decimal: float32 has them to a sixteenth. */
    for (size_t i = 0; i < N; i++)
        x[i] = i % 2 ? 1000000.1 : 1000000.3;
    ck_assert_int_eq(lost_of(x, N), N);
    /* Seconds since 1970 within an hour: all are one value. */
    for (size_t i = 0; i < N; i++)
        x[i] = 1.7e9 + 3 * (double)i;
    ck_assert_int_ge(lost_of(x, N), N / 2);
    /* One value far from the others hides nothing. */
    x[500] = 0;
    ck_assert_int_ge(lost_of(x, N), N / 2);
    /* Years of days since 1970, whole numbers: none. */
    for (size_t i = 0; i < N; i++)
        x[i] = 19000 + (double)i;
    ck_assert_int_eq(lost_of(x, N), 0);
    ck_assert_int_eq(lost_of(x, 0), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("csv_cell");
    TCase *tests = tcase_create("cells");
    tcase_add_test(tests, dates_are_pythons);
    tcase_add_test(tests, days_follow_each_other);
    tcase_add_test(tests, numbers_are_pythons);
    tcase_add_loop_test(tests, dates_refused, 0, COUNT(bad_dates));
    tcase_add_loop_test(tests, cells_by_rules, 0, COUNT(cells));
    tcase_add_test(tests, long_cells);
    tcase_add_test(tests, missing_categories);
    tcase_add_loop_test(tests, whole_texts, 0, COUNT(wholes));
    tcase_add_loop_test(tests, censored_without_a_bound, 0, COUNT(bad_censored));
    tcase_add_test(tests, digits_that_are_lost);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
