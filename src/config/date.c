/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates in text: the proleptic Gregorian calendar, years 1 to 9999. strptime is not used: it
 * depends on the locale, skips spaces and takes the day 31 of every month. There are no leap
 * seconds, and no time zones by name.
 */
#include <granary/config.h>

#include <string.h>

/* Text that is being read. */
struct text {
    const char *at, *end;
};

/* From `least` to `most` digits; false: there are others. *n: how many there were. */
static bool read_digits(struct text *t, size_t least, size_t most, int *value, size_t *n) {
    *value = 0;
    for (*n = 0; t->at < t->end && (unsigned char)(*t->at - '0') < 10; t->at++, ++*n) {
        if (*n == most) return false;
        *value = *value * 10 + (*t->at - '0');
    }
    return *n >= least;
}

/* '\0' at the end. */
static char next_of(const struct text *t) {
    if (t->at == t->end) return '\0';
    return *t->at;
}

static bool take(struct text *t, char byte) {
    const bool there = t->at < t->end && *t->at == byte;
    t->at += there;
    return there;
}

static bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/*
 * Days from 1970-01-01; years begin in March here, so that a leap day is a year's last, and the
 * days before a month follow from 153 days in five months. An era is 400 years or 146097 days;
 * 719468 is 1970-01-01 counted from 0000-03-01. Source: Hinnant, "chrono-compatible low-level date
 * algorithms", days_from_civil. The year is at least 1, so that y is never negative.
 */
static int days_from_1970(int year, int month, int day) {
    const int y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y % 400;
    const int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Year, month, day with one sign between, or eight digits. */
static enum gr_date_reading read_iso(struct text *t, int ymd[3]) {
    size_t n;
    if (!read_digits(t, 1, 8, &ymd[0], &n)) return GR_DATE_NONE;
    if (n == 8) {
        ymd[2] = ymd[0] % 100;
        ymd[1] = ymd[0] / 100 % 100;
        ymd[0] /= 10000;
        return GR_DATE_READ;
    }
    const char sign = next_of(t);
    if ((sign != '-' && sign != '/' && sign != '.') || !take(t, sign)) return GR_DATE_NONE;
    const bool short_year = n == 2;
    if (n != 4 && n != 2) return GR_DATE_NONE;
    if (!read_digits(t, 1, 2, &ymd[1], &n) || !take(t, sign)) return GR_DATE_NONE;
    if (!read_digits(t, 1, 2, &ymd[2], &n)) return GR_DATE_NONE;
    return short_year ? GR_DATE_SHORT_YEAR : GR_DATE_READ;
}

/* A year of two digits is told apart from no date at all: the user learns what to mend, and no
 * century is guessed. */
static enum gr_date_reading read_year_last(struct text *t, enum gr_date_format format, int ymd[3]) {
    const int day = format == GR_DATE_DAY_FIRST ? 2 : 1;
    size_t n;
    if (!read_digits(t, 1, 2, &ymd[day == 2 ? 2 : 1], &n)) return GR_DATE_NONE;
    const char sign = next_of(t);
    if ((sign != '-' && sign != '/' && sign != '.') || !take(t, sign)) return GR_DATE_NONE;
    if (!read_digits(t, 1, 2, &ymd[day == 2 ? 1 : 2], &n) || !take(t, sign)) return GR_DATE_NONE;
    if (!read_digits(t, 2, 4, &ymd[0], &n) || n == 3) return GR_DATE_NONE;
    return n == 2 ? GR_DATE_SHORT_YEAR : GR_DATE_READ;
}

/* Behind a time: nothing, Z, +01:00, +0100 or +01; *minutes: east of Greenwich. */
static bool read_zone(struct text *t, int *minutes) {
    int hour, minute = 0;
    size_t n;
    *minutes = 0;
    while (take(t, ' '))
        ;
    if (t->at == t->end) return true;
    if (take(t, 'Z') || take(t, 'z')) return t->at == t->end;
    const bool west = take(t, '-');
    if (!west && !take(t, '+')) return false;
    if (!read_digits(t, 2, 4, &hour, &n) || n == 3) return false;
    if (n == 4) {
        minute = hour % 100;
        hour /= 100;
    } else if (take(t, ':') && !read_digits(t, 2, 2, &minute, &n)) {
        return false;
    }
    if (t->at != t->end || hour > 14 || minute > 59) return false;
    *minutes = (west ? -1 : 1) * (hour * 60 + minute);
    return true;
}

/* Digits beyond double's are read and change nothing. */
static double read_fraction(struct text *t, bool *good) {
    double value = 0, unit = 0.1;
    const char *first = t->at;
    for (; t->at < t->end && (unsigned char)(*t->at - '0') < 10; t->at++, unit /= 10)
        value += unit * (*t->at - '0');
    *good = t->at > first;
    return value;
}

/* Hours and minutes, perhaps seconds and their fraction, perhaps a zone; seconds in UTC. */
static enum gr_date_reading read_time(struct text *t, double *seconds) {
    int hour, minute, second = 0, east;
    double fraction = 0;
    size_t n;
    bool good = true;
    if (!read_digits(t, 1, 2, &hour, &n) || !take(t, ':') || !read_digits(t, 2, 2, &minute, &n))
        return GR_DATE_NO_SUCH_TIME;
    if (take(t, ':')) {
        good = read_digits(t, 2, 2, &second, &n);
        if (good && (take(t, '.') || take(t, ','))) fraction = read_fraction(t, &good);
    }
    if (!good || !read_zone(t, &east) || hour > 23 || minute > 59 || second > 59)
        return GR_DATE_NO_SUCH_TIME;
    *seconds = 3600.0 * hour + 60.0 * (minute - east) + second + fraction;
    return GR_DATE_READ;
}

/* Each reading that fails has a reason of its own: inference counts them to choose a format,
 * messages name them. *seconds is written only with GR_DATE_READ. */
enum gr_date_reading gr_date_read(const char *text, size_t length, enum gr_date_format format,
                                  bool with_time, double *seconds) {
    struct text t = {text, text + length};
    int ymd[3];
    double time = 0;
    enum gr_date_reading reading =
        format == GR_DATE_ISO ? read_iso(&t, ymd) : read_year_last(&t, format, ymd);
    if (reading == GR_DATE_NONE) return reading;
    if (t.at < t.end && *t.at != 'T' && *t.at != 't' && *t.at != ' ') return GR_DATE_NONE;
    if (reading == GR_DATE_SHORT_YEAR) return reading;
    if (ymd[0] < 1 || ymd[1] < 1 || ymd[1] > 12 || ymd[2] < 1 || ymd[2] > days_of(ymd[0], ymd[1]))
        return GR_DATE_NO_SUCH_DAY;
    if (t.at < t.end) {
        t.at++;
        const char *first = t.at;
        reading = read_time(&t, &time);
        if (reading != GR_DATE_READ) return reading;
        /* Midnight is how other programs write a day. */
        const char last = t.end[-1];
        const bool zone = last == 'Z' || last == 'z' ||
                          memchr(first, '+', (size_t)(t.end - first)) ||
                          memchr(first, '-', (size_t)(t.end - first));
        if (!with_time && (zone || time > 0 || time < 0)) return GR_DATE_HAS_TIME;
    }
    *seconds = 86400.0 * days_from_1970(ymd[0], ymd[1], ymd[2]) + time;
    return GR_DATE_READ;
}

const char *gr_date_reading_text(enum gr_date_reading reading, enum gr_date_format format) {
    static const char *const none[] = {"no date such as 2024-01-31",
                                       "no date with the day first, such as 31.01.2024",
                                       "no date with the month first, such as 01/31/2024"};
    switch (reading) {
    case GR_DATE_SHORT_YEAR:
        return "a year of two digits";
    case GR_DATE_NO_SUCH_DAY:
        return "a day that the calendar has not (or another order of day and month)";
    case GR_DATE_NO_SUCH_TIME:
        return "a time of day that is none, such as 23:59:59, perhaps with Z or +01:00";
    case GR_DATE_HAS_TIME:
        return "a time of day or a zone";
    default:
        return none[format];
    }
}
