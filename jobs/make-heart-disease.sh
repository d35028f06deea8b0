#!/usr/bin/env bash
# The tables of configs/heart-disease.yaml, of the UCI data set "Heart Disease" (Janosi, Steinbrunn,
# Pfisterer, Detrano 1988; https://archive.ics.uci.edu/dataset/45/heart+disease): four hospitals.
#   jobs/make-heart-disease.sh FOLDER [OUT]
# FOLDER: with the files processed.{cleveland,hungarian,switzerland,va}.data as they are downloaded.
# OUT: the folder of the tables; default heart-disease.
# One way of writing numbers for all; a blood pressure or a cholesterol of 0 was not measured; the
# label is whether there is a disease, whatever its degree.
set -eu
# Numbers are written with a point, whatever the user's language writes.
export LC_ALL=C
[ $# -ge 1 ] || { sed -n '2,9s/^# \?//p' "$0" >&2; exit 64; }
from=$1 out=${2:-heart-disease}
for hospital in cleveland hungarian switzerland va; do
    [ -r "$from/processed.$hospital.data" ] || { echo "make-heart-disease.sh: $from/processed.$hospital.data: cannot be read" >&2; exit 65; }
done
mkdir -p "$out"
for hospital in cleveland hungarian switzerland va; do
    awk -F, -v OFS=, '
        NF != 14 { next }
        {
            for (i = 1; i <= 13; i++) if ($i != "?") $i += 0
            if ($4 == 0) $4 = "?"
            if ($5 == 0) $5 = "?"
            $14 = $14 > 0
            print
        }' "$from/processed.$hospital.data" >"$out/$hospital.csv"
    echo "$out/$hospital.csv: $(wc -l <"$out/$hospital.csv") rows"
done
