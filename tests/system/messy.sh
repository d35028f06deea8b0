#!/bin/sh
# Tables as people have them, all invented: with the traits of well-known public ones, not their
# values. The same words, the same bytes: the generator is of its own (Park and Miller's).
#   tests/system/messy.sh KIND ROWS SEED      writes the table
# KIND: adult (", " between fields, "?" for missing, names with hyphens, "<=50K"), bank (semicolons,
# everything quoted, "unknown", pdays 999), german (blanks, no header, codes "A11", label 1 and 2),
# air (decimal commas, -200 for missing, dates and times, two empty last columns, empty last rows).
set -eu
LC_ALL=C awk -v kind="$1" -v rows="$2" -v seed="$3" '
function uniform() { seed = (seed * 16807) % 2147483647; return seed / 2147483647 }
function normal(  u) { u = uniform(); return sqrt(-2 * log(u)) * cos(6.283185307179586 * uniform()) }
function pick(words,  list, n) { n = split(words, list, " "); chosen = 1 + int(uniform() * uniform() * n); return list[chosen] }
function comma(value, digits,  text) { text = sprintf("%." digits "f", value); sub(/\./, ",", text); return text }
function event(z) { return uniform() < 1 / (1 + exp(-z)) }
function adult(  age, work, edu, n, status, job, sex, gain, hours, land, z) {
    age = int(17 + 60 * uniform()); work = pick("Private Self-emp-not-inc Local-gov State-gov Federal-gov Without-pay")
    edu = pick("HS-grad Some-college Bachelors Masters Assoc-voc 11th Doctorate"); n = chosen
    status = pick("Married-civ-spouse Never-married Divorced Widowed"); z = chosen == 1 ? 1.2 : -0.6
    job = pick("Craft-repair Sales Exec-managerial Prof-specialty Adm-clerical Other-service Tech-support")
    z += chosen == 3 || chosen == 4 ? 0.9 : chosen == 6 ? -1 : 0
    sex = uniform() < 0.66 ? "Male" : "Female"; gain = uniform() < 0.9 ? 0 : int(2000 + 9000 * uniform())
    hours = int(40 + 10 * normal()); if (hours < 1) hours = 1; if (hours > 99) hours = 99
    land = uniform() < 0.9 ? "United-States" : pick("Mexico Philippines Germany Canada Cuba India Japan Laos Scotland Honduras")
    z += -2.2 + 0.03 * (age - 38) + 0.25 * (n - 3) + 0.0004 * gain + 0.03 * (hours - 40) + (sex == "Male" ? 0.3 : -0.3)
    if (uniform() < 0.06) { work = "?"; job = "?" }
    if (uniform() < 0.02) land = "?"
    printf "%d, %s, %d, %s, %d, %s, %s, %s, %d, %d, %s, %s\n", age, work, 20000 + int(900000 * uniform()), edu, n,
        status, job, sex, gain, hours, land, event(z) ? ">50K" : "<=50K"
}
function bank(  age, job, z, marital, edu, def, balance, housing, month, duration, pdays, poutcome) {
    age = int(20 + 55 * uniform()); job = pick("blue-collar management technician admin. services retired student unknown")
    z = chosen == 6 ? 0.8 : chosen == 7 ? 1 : 0
    marital = pick("married single divorced"); edu = pick("secondary tertiary primary unknown")
    def = uniform() < 0.02 ? "yes" : "no"; balance = int(1300 + 2500 * normal())
    housing = uniform() < 0.55 ? "yes" : "no"; z -= housing == "yes" ? 0.7 : 0
    month = pick("may jul aug jun nov apr feb jan oct sep mar dec"); z += chosen > 8 ? 1 : 0
    duration = int(-250 * log(uniform())); pdays = 999; poutcome = "unknown"
    if (uniform() < 0.2) { pdays = int(1 + 25 * uniform()); poutcome = pick("failure other success"); z += chosen == 3 ? 2 : 0.3 }
    z += -2.4 + 0.004 * duration + 0.0001 * balance
    printf "%d;\"%s\";\"%s\";\"%s\";\"%s\";%d;\"%s\";\"%s\";%d;%d;\"%s\";\"%s\"\n", age, job, marital, edu, def, balance,
        housing, month, duration, pdays, poutcome, event(z) ? "yes" : "no"
}
function german(  account, z, months, history, purpose, amount, savings, rate, age, job) {
    account = pick("A14 A11 A12 A13"); z = chosen == 1 ? -1.2 : chosen == 2 ? 0.6 : 0
    months = int(4 + 44 * uniform()); history = pick("A32 A34 A33 A31 A30"); z += chosen > 3 ? 0.9 : 0
    purpose = pick("A43 A40 A42 A41 A49 A46 A45 A410"); amount = int(400 + 250 * months * uniform())
    savings = pick("A61 A65 A62 A63 A64"); rate = int(1 + 4 * uniform()); age = int(19 + 50 * uniform())
    job = pick("A173 A172 A174 A171")
    z += -1 + 0.03 * (months - 20) + 0.00008 * amount + 0.2 * (rate - 2.5) - 0.02 * (age - 35)
    printf "%s %d %s %s %d %s %d %d %s %d\n", account, months, history, purpose, amount, savings, rate, age, job, event(z) ? 2 : 1
}
function gap(text) { return uniform() < 0.05 ? "-200" : text }
function air(row,  t, h, load, co, s1, nox, s3, temp, rh, ah) {
    h = row % 24; t = int(row / 24); load = sin((h - 5) / 24 * 6.2832) + 0.6 * normal()
    co = 2 + 1.1 * load + 0.3 * normal(); if (co < 0.1) co = 0.1
    s1 = int(1100 + 180 * load + 60 * normal()); nox = int(240 + 130 * load + 50 * normal()); if (nox < 2) nox = 2
    s3 = int(830 - 190 * load + 70 * normal()); temp = 18 + 8 * normal(); rh = 49 + 17 * normal(); ah = 1 + 0.3 * normal()
    printf "%02d/%02d/2004;%02d.00.00;%s;%s;%s;%s;%s;%s;%s;;\n", t % 28 + 1, int(t / 28) % 12 + 1, h, gap(comma(co, 1)),
        gap(s1 ""), gap(nox ""), gap(s3 ""), gap(comma(temp, 1)), gap(comma(rh, 1)), gap(comma(ah, 4))
}
BEGIN {
    if (kind == "adult") print "age, workclass, fnlwgt, education, education-num, marital-status, occupation, sex, capital-gain, hours-per-week, native-country, income"
    if (kind == "bank") print "\"age\";\"job\";\"marital\";\"education\";\"default\";\"balance\";\"housing\";\"month\";\"duration\";\"pdays\";\"poutcome\";\"y\""
    if (kind == "air") print "Date;Time;CO(GT);PT08.S1(CO);NOx(GT);PT08.S3(NOx);T;RH;AH;;"
    for (row = 0; row < rows; row++) {
        if (kind == "adult") adult()
        else if (kind == "bank") bank()
        else if (kind == "german") german()
        else air(row)
    }
    if (kind == "air") for (row = 0; row < 20; row++) print ";;;;;;;;;;"
}'
