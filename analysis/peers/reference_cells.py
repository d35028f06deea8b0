#!/usr/bin/env python3
"""Dates and numbers as Python reads them, for tests/unit/test_csv_cell.c.

    analysis/peers/reference_cells.py >tests/unit/cell_reference.h

Dates are datetime's (the proleptic Gregorian calendar, as here), seconds from 1970-01-01 UTC;
numbers are those of decimal.Decimal, rounded to a double by float. Needs only the standard library.
"""
import datetime
import decimal
import random

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
FORMS = {"ISO": ["%Y-%m-%d", "%Y/%m/%d", "%Y%m%d"],
         "DAY_FIRST": ["%d.%m.%Y", "%d/%m/%Y"],
         "MONTH_FIRST": ["%m/%d/%Y", "%m-%d-%Y"]}
# The order of marks: decimal, thousands.
MARKS = {("POINT", "NONE"): (".", ""), ("COMMA", "NONE"): (",", ""),
         ("COMMA", "POINT"): (",", "."), ("POINT", "COMMA"): (".", ","),
         ("COMMA", "SPACE"): (",", "\u202f"), ("POINT", "APOSTROPHE"): (".", "'")}


def quote(text):
    return '"' + "".join(c if 32 <= ord(c) < 127 else "\\u%04X" % ord(c) for c in text) + '"'


def dates(stream):
    days = [datetime.date(1, 1, 1), datetime.date(9999, 12, 31), datetime.date(1900, 2, 28),
            datetime.date(2000, 2, 29), datetime.date(1970, 1, 1), datetime.date(1969, 12, 31)]
    first = days[0].toordinal()
    days += [datetime.date.fromordinal(stream.randrange(first, days[1].toordinal()))
             for _ in range(60)]
    for i, day in enumerate(days):
        name = list(FORMS)[i % 3]
        form = FORMS[name][i % len(FORMS[name])]
        text = form.replace("%Y", "%04d" % day.year).replace("%m", "%02d" % day.month)
        text = text.replace("%d", "%02d" % day.day)
        moment = datetime.datetime.combine(day, datetime.time(), datetime.timezone.utc)
        yield name, False, text, (moment - EPOCH).total_seconds()


def times(stream):
    for i in range(30):
        zone = datetime.timezone(datetime.timedelta(minutes=stream.choice([0, 60, -330, 840])))
        moment = datetime.datetime(2024, 2, 28, tzinfo=zone) + datetime.timedelta(
            seconds=stream.randrange(-10**9, 10**9), milliseconds=stream.choice([0, 500, 250]))
        text = moment.isoformat(sep="T" if i % 2 else " ", timespec="milliseconds")
        yield "ISO", True, text, (moment - EPOCH).total_seconds()


def numbers(stream):
    for (mark, thousands), (point, group) in MARKS.items():
        for _ in range(20):
            value = decimal.Decimal(stream.randrange(-10**12, 10**12)) / 10 ** stream.randrange(9)
            text = format(value, ",f" if group else "f")
            text = text.translate({ord(","): group, ord("."): point})
            yield mark, thousands, text, float(value)


def main():
    stream = random.Random(10)
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Made by analysis/peers/reference_cells.py: Python's datetime and decimal. */")
    print("#ifndef GRANARY_TESTS_CELL_REFERENCE_H\n#define GRANARY_TESTS_CELL_REFERENCE_H\n")
    print("static const struct {\n    enum gr_date_format format;\n    bool with_time;\n"
          "    const char *text;\n    double seconds;\n} reference_dates[] = {")
    for name, timed, text, seconds in [*dates(stream), *times(stream)]:
        print("    {GR_DATE_%s, %s, %s, %.17g}," % (name, str(timed).lower(), quote(text), seconds))
    print("};\n\nstatic const struct {\n    enum gr_decimal decimal;\n"
          "    enum gr_thousands thousands;\n    const char *text;\n    double value;\n"
          "} reference_numbers[] = {")
    for mark, thousands, text, value in numbers(stream):
        print("    {GR_DECIMAL_%s, GR_THOUSANDS_%s, %s, %.17g},"
              % (mark, thousands, quote(text), value))
    print("};\n\n#endif")


main()
