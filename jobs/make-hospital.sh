#!/bin/sh
# Makes the tables of configs/hospital.yaml: patients of six centres that differ in size, in whom
# they admit and in how they measure, with categories and missing values. All of it is invented.
#   jobs/make-hospital.sh [FOLDER [ROWS]]      default: hospital 6000
# FOLDER/train.csv has ROWS patients, FOLDER/test.csv a quarter as many. The same words, the same
# bytes: the generator is of its own (Park and Miller's), whatever awk is installed.
set -eu
# Numbers are written with a point, whatever the user's language writes.
export LC_ALL=C
folder=${1:-hospital} rows=${2:-6000}
mkdir -p "$folder"
make_table() {
    awk -v rows="$1" -v seed="$2" '
    function uniform() { seed = (seed * 16807) % 2147483647; return seed / 2147483647 }
    function normal(  u) { u = uniform(); return sqrt(-2 * log(u)) * cos(6.283185307179586 * uniform()) }
    function one_of(n, weight,  i, u) {
        u = uniform()
        for (i = 1; i < n; i++) { if (u < weight[i]) return i; u -= weight[i] }
        return n
    }
    BEGIN {
        split("Ahorn Birke Buche Eiche Linde Ulme", centre, " ")
        split("0.35 0.25 0.15 0.12 0.08 0.05", size, " ")     # share of the patients
        split("0.9 -0.4 0.2 -0.8 0.5 -0.1", sicker, " ")      # how ill those are whom it admits
        split("0.02 0.10 0.05 0.25 0.15 0.40", gaps, " ")     # laboratory values that are missing
        split("emergency planned transfer", admission, " ")
        split("never former current", smoker, " ")
        print "patient,centre,age,sex,admission,smoker,creatinine,lactate,albumin,died"
        for (row = 1; row <= rows; row++) {
            c = one_of(6, size)
            ill = sicker[c] + normal()
            age = 6.2 + 1.6 * normal(); if (age < 1.8) age = 1.8; if (age > 10.5) age = 10.5
            sex = uniform() < 0.47 ? "F" : "M"
            u = uniform() + 0.12 * ill
            a = u > 0.55 ? 1 : u > 0.15 ? 2 : 3
            u = uniform(); s = u < 0.5 ? 1 : u < 0.8 ? 2 : 3
            creatinine = exp(0.05 + 0.25 * ill + 0.3 * normal())
            lactate = exp(0.3 + 0.35 * ill + 0.35 * normal())
            albumin = 3.8 - 0.3 * ill + 0.4 * normal()
            risk = -2.2 + 0.55 * (age - 6) + 0.9 * ill + (a == 1 ? 0.6 : 0) + (s == 3 ? 0.5 : 0)
            died = uniform() < 1 / (1 + exp(-risk)) ? "yes" : "no"
            printf "P%06d,%s,%.1f,%s,%s,%s,%s,%s,%s,%s\n", row, centre[c], age, sex, admission[a],
                uniform() < 0.08 ? "" : smoker[s],
                uniform() < gaps[c] ? "" : sprintf("%.2f", creatinine),
                uniform() < gaps[c] ? "NA" : sprintf("%.2f", lactate),
                uniform() < gaps[c] / 2 ? "" : sprintf("%.1f", albumin), died
        }
    }' >"$folder/$3.csv"
}
make_table "$rows" 20261121 train
make_table $((rows / 4)) 7041776 test
echo "$folder/train.csv, $folder/test.csv: $rows and $((rows / 4)) invented patients"
