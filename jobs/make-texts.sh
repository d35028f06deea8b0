#!/bin/sh
# Makes the tables of configs/texts.yaml: short notes on four subjects, each a list of ids of words,
# filled up with 0. All of it is invented.
#   jobs/make-texts.sh [FOLDER [ROWS]]      default: texts 8000
# FOLDER/train.csv has ROWS notes, FOLDER/test.csv a quarter as many. The same words, the same
# bytes: the generator is of its own (Park and Miller's), whatever awk is installed.
set -eu
# Numbers are written with a point, whatever the user's language writes.
export LC_ALL=C
folder=${1:-texts} rows=${2:-8000}
mkdir -p "$folder"
make_table() {
    awk -v rows="$1" -v seed="$2" '
    function uniform() { seed = (seed * 16807) % 2147483647; return seed / 2147483647 }
    function below(n) { return int(n * uniform()) }
    BEGIN {
        words = 2000; longest = 16; subjects = 4; own = 60
        for (i = 1; i <= longest; i++) printf "w%d,", i
        print "label"
        for (row = 1; row <= rows; row++) {
            subject = below(subjects)
            length_ = 3 + below(longest - 2)
            for (i = 1; i <= longest; i++) {
                u = uniform()
                # Words of the subject, of another, or of all: there few are frequent, most are rare.
                if (u < 0.22) id = 1 + subject * own + below(own)
                else if (u < 0.30) id = 1 + below(subjects * own)
                else id = subjects * own + int(exp(log(words - subjects * own) * uniform()))
                printf "%d,", i <= length_ ? id : 0
            }
            print subject
        }
    }' >"$folder/$3.csv"
}
make_table "$rows" 20261122 train
make_table $((rows / 4)) 7041777 test
echo "$folder/train.csv, $folder/test.csv: $rows and $((rows / 4)) invented notes"
