#!/bin/sh
# Makes the tables of configs/poisson.yaml: visits to the emergency room of patients of eight
# practices, who were watched for different lengths of time. All of it is invented.
#   jobs/make-visits.sh [FOLDER [ROWS]]      default: visits 4000
# FOLDER/train.csv has ROWS patients, FOLDER/test.csv a quarter as many. The visits of each are drawn
# from a Poisson distribution of mean
#   exp(-0.5 + log_years + 0.3 age + 0.5 smoker - 0.25 distance)
# where distance, in tens of kilometres, is the practice's: its patients come to the hospital less
# often. The same words, the same bytes: the generator is of its own (Park and Miller's).
set -eu
# Numbers are written with a point, whatever the user's language writes.
export LC_ALL=C
folder=${1:-visits} rows=${2:-4000}
mkdir -p "$folder"
make_table() {
    awk -v rows="$1" -v seed="$2" '
    function uniform() { seed = (seed * 16807) % 2147483647; return seed / 2147483647 }
    function normal(  u) { u = uniform(); return sqrt(-2 * log(u)) * cos(6.283185307179586 * uniform()) }
    # Knuth: how many uniforms may be multiplied before the product falls below exp(-mean).
    function poisson(mean,  n, left) {
        left = exp(-mean); n = -1; product = 1
        while (product > left) { product *= uniform(); n++ }
        return n
    }
    BEGIN {
        split("Aare Emme Gürbe Kander Lütschine Saane Sense Zulg", practice, " ")
        split("0.5 2.0 1.2 3.1 3.6 0.2 0.9 1.6", distance, " ")
        print "practice,log_years,age,smoker,distance,visits"
        for (row = 1; row <= rows; row++) {
            p = 1 + int(8 * uniform() * uniform())    # the first have more patients than the last
            years = sprintf("%.3f", log(0.25 + 2.75 * uniform()))
            age = sprintf("%.2f", 0.2 * (p - 4) + 1.4 * normal())
            smoker = uniform() < 0.28
            visits = poisson(exp(-0.5 + years + 0.3 * age + 0.5 * smoker - 0.25 * distance[p]))
            printf "%s,%s,%s,%s,%s,%d\n", practice[p], years, age, smoker ? "yes" : "no", distance[p], visits
        }
    }' >"$folder/$3.csv"
}
make_table "$rows" 1837 train
make_table $((rows / 4)) 7041776 test
echo "$folder/train.csv, $folder/test.csv: $rows and $((rows / 4)) invented patients"
