#!/usr/bin/env bash
# CSV import against pandas' read_csv (Debian: python3-pandas) on the same file of about 500 MB,
# one after the other, each the best of three.
#   analysis/bench_import.sh BUILD [MEGABYTES]
# Prints a line each: wall-clock seconds, processor seconds, peak memory in MiB. `random` has six
# decimals, `exact` the 17 digits that a double needs.
set -eu
# Numbers are written with a point, whatever the user's language writes.
export LC_ALL=C
BUILD=$1 MB=${2:-500}
GRANARY=$(cd "$BUILD" && pwd)/granary
TIME=$(mktemp)
FOLDER=$(mktemp -d -p "${TMPDIR:-/tmp}")
trap 'rm -rf "$FOLDER" "$TIME"' EXIT

# make_file NAME FORMAT: 40 columns of numbers and a label
make_file() {
    /usr/bin/python3 - "$FOLDER/$1.csv" "$2" "$MB" <<'PYTHON'
import sys
import numpy
path, form, megabytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
random = numpy.random.default_rng(1)
with open(path, "w") as file:
    file.write(",".join("f%d" % i for i in range(40)) + ",label\n")
    block = random.normal(size=(5000, 40))
    line = ",".join([form] * 40) + ",%d\n"
    while file.tell() < megabytes * 1000000:
        numpy.add(block, 0.001, out=block)
        file.write("".join(line % (*row, i % 2) for i, row in enumerate(block.tolist())))
PYTHON
}
# best NAME COMMAND...: the fastest of three
best() {
    local what=$1; shift
    for _ in 1 2 3; do
        /usr/bin/time -f '%e %U %S %M' -o "$TIME.1" "$@" >/dev/null && cat "$TIME.1"
    done | sort -n | head -n 1 |
        awk -v what="$what" '{printf "%-28s %6.2f s  %6.2f s cpu  %6.0f MiB\n", what, $1, $2 + $3, $4 / 1024}'
    rm -f "$TIME.1"
}
for kind in random exact; do
    make_file $kind "$([ $kind = random ] && echo %.6f || echo %.17g)"
    best "granary import, $kind" "$GRANARY" import "$FOLDER/$kind.csv" -o "$FOLDER/$kind.h5"
    best "pandas.read_csv, $kind" /usr/bin/python3 -c "import pandas; pandas.read_csv('$FOLDER/$kind.csv')"
    rm -f "$FOLDER/$kind".*
done
