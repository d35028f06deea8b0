#!/usr/bin/env bash
# The programs of tests/examples against the installed library: its version, what it shows, what
# its headers promise; and readers of model.h5 in other languages.
. "$(dirname "$0")/library.sh"
make -s -C "$TOP" BUILD="$BUILD" PREFIX="$SCRATCH/root" install >make.log 2>&1
check "install" test -e root/lib/pkgconfig/granary.pc
export LD_LIBRARY_PATH=$SCRATCH/root/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PKG_CONFIG_PATH=$SCRATCH/root/lib/pkgconfig
sanitize=
case $BUILD in *sanitize*) sanitize=-fsanitize=address,undefined ;; esac
# builds COMPILER SOURCE OUT: without a warning.
builds() {
    # shellcheck disable=SC2046
    "$1" $sanitize -DOMPI_SKIP_MPICXX -Wall -Wextra -Werror "$TOP/tests/examples/$2" $(pkg-config --cflags --libs granary) -lm -o "$3"
}

# ---- the library -------------------------------------------------------------------------------
soname=$(readelf -d root/lib/libgranary.so | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
check "the library's name has its SOVERSION" equal "${soname%.*}" libgranary.so
check "and leads to it" test -e "root/lib/$soname"
nm -D --defined-only root/lib/libgranary.so | sed -n 's/.* [TDRB] \([^@]*\).*/\1/p' | sort >shown
check "it shows the public functions" grep -qx gr_model_file_read shown
check "and nothing else" equal "$(grep -v '^gr_' shown; while read -r name; do grep -qw "$name" root/include/granary/*.h || echo "$name"; done <shown)" ""
check "not what rooms share among themselves" equal "$(grep -x gr_node_create shown)" ""
for header in root/include/granary/*.h; do
    check "$(basename "$header") says how long it stays" grep -qE '^ \* Interface: (stable|internal)\.' "$header"
done

# ---- programs ----------------------------------------------------------------------------------
cat >small.yaml <<'YAML'
run: {name: small, rounds: 3, seed: 3}
data:
  source: synthetic
  silos: 3
  synthetic: {features: 4, classes: 3, minimum_rows: 20, maximum_rows: 30, test_rows: 5}
model: {type: mlp, hidden: [5], activation: tanh}
train: {learning_rate: 0.1, batch_size: 10}
YAML
check "run.c builds" builds mpicc run.c run
check "it needs the library that is installed" equal "$(ldd ./run | grep -c "$SCRATCH/root/lib/$soname")" 1
# shellcheck disable=SC2086
check "a run in a program of its own" exits 0 mpirun $MPIRUN_FLAGS -n 2 ./run small.yaml embedded
check "the same by the command" exits 0 "$GRANARY" train small.yaml --quiet --run command
check "is the same model" equal "$("$GRANARY" inspect --digest embedded/model.h5)" "$("$GRANARY" inspect --digest command/model.h5)"
check "a mistake has its exit code" exits 78 ./run small.yml nowhere
check "and its message" says "small.yml: No such file or directory"

check "strategy.c builds" builds mpicc strategy.c strategy
{ cat small.yaml; echo 'strategy: {name: bounded, most: 0.001}'; } >bounded.yaml
sed 's/most: 0.001/most: 1000/' bounded.yaml >unbounded.yaml
for n in 1 2; do
    # shellcheck disable=SC2086
    check "an own strategy on $n ranks" exits 0 mpirun $MPIRUN_FLAGS -n $n ./strategy bounded.yaml bounded-$n
done
check "has the same bits" equal "$("$GRANARY" inspect --digest bounded-1/model.h5)" "$("$GRANARY" inspect --digest bounded-2/model.h5)"
check "its setting is in the run" grep -q '^  most: 0.001' bounded-1/resolved.yaml
check "without a bound" exits 0 ./strategy unbounded.yaml unbounded
check "it is FedAvg" equal "$("$GRANARY" inspect --digest unbounded/model.h5)" "$("$GRANARY" inspect --digest command/model.h5)"
check "with one it is not" differ "$("$GRANARY" inspect --digest bounded-1/model.h5)" "$("$GRANARY" inspect --digest command/model.h5)"
sed "s/most: 0.001/most: 0/" bounded.yaml >wrong.yaml
check "what it must not be" exits 78 ./strategy wrong.yaml nowhere
check "by name" says "strategy.most: found 0, allowed 0 < x <= 1000"
check "without a config" exits 64 ./strategy
check "it says so" says "found 0 words, expected CONFIG DIR"
check "the command knows no such strategy" exits 78 "$GRANARY" train bounded.yaml --run nowhere

check "sum.c builds" builds mpicc sum.c sum
check "a sum on one rank" exits 0 ./sum
one=$(cat "$OUT")
# sum of (s + 1) sin(s) / 21 over s = 0 .. 5
check "is the weighted mean" equal "${one#* }" "$(awk 'BEGIN {for (s = 0; s < 6; s++) m += (s + 1) * sin(s) / 21; printf "%.6f", m}')"
for n in 2 3 8; do
    # shellcheck disable=SC2086
    check "on $n ranks" exits 0 mpirun $MPIRUN_FLAGS -n $n ./sum
    check "has the same bits" equal "$(cat "$OUT")" "$one"
done

"$GRANARY" train small.yaml --quiet --run linear --set model='{type: softmax}' >/dev/null
printf '%s\n' 0.5,-1,2,0.25 0,0,0,0 -3,1.5,0.125,4 >rows.txt
# same A B: files of as many numbers, within 2e-6 of each other.
same() {
    paste -d' ' "$1" "$2" | awk '{n = NF / 2; for (i = 1; i <= n; i++) {d = $i - $(i + n); if (d > 2e-6 || d < -2e-6) bad = 1}}
        END {exit bad || NR != 3 || n != 3}' || { paste "$1" "$2"; return 1; }
}
check "predict.c builds" builds mpicc predict.c predict
check "settings.cpp builds" builds mpicxx settings.cpp settings
check "settings from C++" exits 0 ./settings small.yaml
check "are those of the command" equal "$(cat "$OUT")" "small $(sed -n 's/.*"config_digest": "\(.*\)".*/\1/p' command/manifest.json)"
# The command takes rows without a schema from HDF5 only.
python=$(for p in /usr/bin/python3 python3; do "$p" -c 'import h5py, numpy' 2>/dev/null && echo "$p" && break; done)
[ -z "$python" ] || "$python" -c 'import h5py, numpy
with h5py.File("rows.h5", "w") as f: f["features"] = numpy.loadtxt("rows.txt", numpy.float32, delimiter=",")'
for model in command linear; do
    check "$model: predict.c" exits 0 bash -c "./predict $model/model.h5 <rows.txt"
    cp "$OUT" $model.said
    check "$model: scores each row" equal "$(wc -l <$model.said)" 3
    if [ -z "$python" ]; then
        echo "left out: the command and read_model.py on these rows, for there is no Python with h5py"
        continue
    fi
    check "$model: the command" exits 0 "$GRANARY" predict $model/model.h5 rows.h5 -o $model.csv
    tail -n +2 $model.csv | cut -d, -f2- | tr , ' ' >by-command
    check "$model: says the same" same by-command $model.said
    check "$model: read_model.py" exits 0 bash -c "$python '$TOP/tests/examples/read_model.py' $model/model.h5 <rows.txt"
    check "$model: says the same" same "$OUT" $model.said
done
# Models that a reader does not know are refused, and not scored by another model's formula.
"$GRANARY" train small.yaml --quiet --run events --set model='{type: logistic}' --set data.synthetic.classes=2 >/dev/null
"$GRANARY" train small.yaml --quiet --run scaled --set model='{type: softmax}' --set preprocess.scale=standardise >/dev/null
if [ -n "$python" ]; then
    check "read_model.py: another model" exits 1 bash -c "$python '$TOP/tests/examples/read_model.py' events/model.h5 <rows.txt"
    check "is named" says '"type": "logistic"'
    check "read_model.py: preprocessed rows" exits 1 bash -c "$python '$TOP/tests/examples/read_model.py' scaled/model.h5 <rows.txt"
    check "is said" says 'use `granary predict`'
fi
if Rscript -e 'library(hdf5r)' >/dev/null 2>&1; then
    check "read_model.R" exits 0 Rscript "$TOP/tests/examples/read_model.R" linear/model.h5 rows.txt
    check "says the same" same "$OUT" linear.said
    check "read_model.R: another model" exits 1 Rscript "$TOP/tests/examples/read_model.R" command/model.h5 rows.txt
    check "is named" says '"type":"mlp"'
    check "read_model.R: preprocessed rows" exits 1 Rscript "$TOP/tests/examples/read_model.R" scaled/model.h5 rows.txt
    check "is said" says 'use `granary predict`'
else
    echo "left out: read_model.R, for there is no Rscript with hdf5r"
fi
finish
