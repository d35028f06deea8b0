#!/usr/bin/env bash
# granary evaluate and predict: the same for any number of ranks, files that do not fit, disks that
# are full; and evaluation.json of a run, which must say the same as evaluate.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables
idx_images many 9100 5; idx_labels many-labels 9100
test="--features test-images --labels test-labels"
# metrics_of FILE: what stands under "metrics", "confusion" and "reliability".
metrics_of() { sed -n '/^ "metrics"/,/^ "[sw]/p' "$1" | grep -v '^ "[sw]' | tr -d ' \n}' | sed 's/,$//'; }

# ---- what a run leaves ------------------------------------------------------------------------
check "a run that tells of its silos" exits 0 on_ranks 3 train small.yaml --quiet --run run \
    --set evaluate.per_silo=true --set evaluate.minimum_rows=4 --set "evaluate.metrics=[brier, auc]" \
    --set data.validation_fraction=0.2
check "evaluate" exits 0 "$GRANARY" evaluate run/model.h5 $test --json
cp "$OUT" table.json
check "metrics are found" grep -q '"auc"' <<<"$(metrics_of table.json)"
check "evaluation.json says the same as evaluate" equal "$(metrics_of run/evaluation.json)" "$(metrics_of table.json)"
check "and is of the last round" grep -q '"round": 6' run/evaluation.json
check "named metrics in every line" equal "$(grep -c '"test_brier":0.*"test_auc":\|"test_auc":.*"test_brier":0' run/metrics.jsonl)" 6
check "and no others" bash -c "! grep -q macro_f1 run/metrics.jsonl"
rows=$(sed -n 's/.*"rows": \([0-9]*\),/\1/p' run/evaluation.json | tail -n +2)
check "silos are told of" test "$(wc -w <<<"$rows")" -gt 2
check "not all of them" test "$(wc -w <<<"$rows")" -lt 9
check "not those of fewer than 4 rows" equal "$(sort -n <<<"$rows" | head -n 1)" "$(sort -n <<<"$rows" | awk '$1 >= 4' | head -n 1)"
check "on another number of ranks" exits 0 on_ranks 2 train small.yaml --quiet --run other \
    --set evaluate.per_silo=true --set evaluate.minimum_rows=4 --set "evaluate.metrics=[brier, auc]" \
    --set data.validation_fraction=0.2
check "the same evaluation" cmp run/evaluation.json other/evaluation.json
spread() { grep -o '"silos":{[^}]*}' "$1/metrics.jsonl"; }
check "what the silos span, in every line" equal "$(spread run | wc -l)" 6
check "the same on another number" equal "$(spread run)" "$(spread other)"
lowest=$(sed -n 's/^   "accuracy": \([0-9.]*\),*$/\1/p' run/evaluation.json | sort -g | head -n 1)
check "it is of the silos that are told of" grep -q "\"accuracy\":\[$lowest," <<<"$(spread run | tail -n 1)"
check "a run whose test table is nobody's" exits 0 on_ranks 2 train small.yaml --quiet --run validated \
    --set data.test.features="''" --set data.test.labels="''"
check "is evaluated on the validation rows" grep -q '"rows_of": "validation"' validated/evaluation.json
check "named so in the lines" equal "$(grep -c '"validation_macro_f1"' validated/metrics.jsonl)" 6
check "no silo is told of unless the config says so" bash -c "! grep -q silo validated/evaluation.json validated/metrics.jsonl"
alone="data.silos=1 data.test.features='' data.test.labels='' evaluate.per_silo=true evaluate.metrics=[auc]"
# shellcheck disable=SC2046
check "one silo" exits 0 "$GRANARY" train small.yaml --quiet --run alone $(printf -- '--set %s ' $alone)
check "has the metrics of all" equal "$(tr -d ' \n' <alone/evaluation.json | grep -o '"auc":{"value[^}]*}' | sort | uniq -c | awk '{print $1}')" 2
check "a run whose silos have few classes" exits 0 on_ranks 2 train small.yaml --quiet --run few \
    --set data.partition.method=shards --set data.partition.shards_per_silo=1 --set evaluate.per_silo=true --set evaluate.minimum_rows=1
check "a silo of one class has no AUC, and why" grep -q '"auc": *{"value":null,"why":"oneclassonly"}' <<<"$(tr -d ' \n' <few/evaluation.json)"
check "a run that ends early" exits 0 on_ranks 2 train small.yaml --quiet --run early --set evaluate.per_silo=true \
    --set evaluate.minimum_rows=4 --set data.validation_fraction=0.2 --set run.rounds=30 --set train.learning_rate=3 \
    --set stop.metric=validation_loss --set stop.patience=2
check "it does" grep -q '"early stop"' early/events.jsonl
check "the model that was kept is scored, silo by silo" test "$(grep -c '^   "metrics"' early/evaluation.json)" -gt 2
check "a run that loses a rank before the last evaluation" exits 0 "$GRANARY" run -n 3 --restarts 0 small.yaml --quiet \
    --run lost --set evaluate.per_silo=true --set evaluate.minimum_rows=1 --set run.rehearsal=true --set "faults=[{kind: kill, silo: 5, round: 6, point: evaluate}]"
check "whoever is lost is not told of, the others are" bash -c "! grep -q silo-005 lost/evaluation.json && grep -q silo-001 lost/evaluation.json"
check "all test rows are scored" grep -q '"rows": 90' lost/evaluation.json
check "evaluate its model" exits 0 "$GRANARY" evaluate lost/model.h5 $test --json
check "the same" equal "$(metrics_of lost/evaluation.json)" "$(metrics_of "$OUT")"

# ---- evaluate ---------------------------------------------------------------------------------
check "evaluate many rows" exits 0 "$GRANARY" evaluate run/model.h5 --features many --labels many-labels
cp "$OUT" one
for ranks in 2 3; do
    check "on $ranks ranks" exits 0 on_ranks $ranks evaluate run/model.h5 --features many --labels many-labels
    check "the same on $ranks ranks" cmp one "$OUT"
done
for metric in balanced_accuracy macro_f1 auc brier calibration_error; do
    check "it tells $metric" grep -qE "^$metric +[01]\.[0-9]{6}" one
done
perl -e 'print pack("NN", 0x801, 90), "\0" x 90' >one-class
check "labels of one class" exits 0 "$GRANARY" evaluate run/model.h5 --features test-images --labels one-class
check "the AUC is not defined" grep -qE '^auc +not defined: one class only$' "$OUT"
check "labels of one class, as JSON" exits 0 "$GRANARY" evaluate run/model.h5 --features test-images --labels one-class --json
check "null, and why" bash -c "tr -d ' \n' <'$OUT' | grep -q '\"auc\":{\"value\":null,\"why\":\"oneclassonly\"}'"

# ---- predict ----------------------------------------------------------------------------------
for format in csv h5; do
    check "predict to $format" exits 0 "$GRANARY" predict run/model.h5 --features many -o one.$format
    for ranks in 2 3; do
        check "predict to $format on $ranks ranks" exits 0 on_ranks $ranks predict run/model.h5 --features many -o $ranks.$format
        check "the same $format on $ranks ranks" cmp one.$format $ranks.$format
    done
done
check "its names" equal "$(head -n 1 one.csv)" "label,p0,p1,p2,p3"
check "a line for each row" equal "$(wc -l <one.csv)" 9101
found=$(awk -F, 'NR > 1 && $1 == (NR - 2) % 4 {n++} END {printf "%.4f", n / (NR - 1)}' one.csv)
check "labels as evaluate finds them" equal "$found" "$(sed -n 's/^rows.*accuracy //p' one)"
check "the label is the likeliest, probabilities add up to 1" awk -F, 'NR > 1 {
    s = 0; b = 2; for (i = 2; i <= 5; i++) {s += $i; if ($i > $b) b = i}
    if (b - 2 != $1 || s < 0.9999999 || s > 1.0000001) exit 1}' one.csv
check "no temporary files" equal "$(ls | grep -c tmp)" 0
"$GRANARY" import --features many --labels many-labels -o many.h5 >/dev/null
check "predict from HDF5" exits 0 on_ranks 2 predict run/model.h5 many.h5 -o table.csv
check "the same" cmp one.csv table.csv
if python3 -c "import h5py, numpy" 2>/dev/null; then
    check "both forms hold the same" python3 - <<'PY'
import csv, h5py
with h5py.File("one.h5") as f:
    assert f.attrs["format"] == b"granary-predictions"
    labels, p = f["labels"][:], f["probabilities"][:]
rows = list(csv.reader(open("one.csv")))[1:]
assert len(rows) == len(labels) == len(p)
for row, label, line in zip(rows, labels, p):
    assert int(row[0]) == label and all(abs(float(a) - float(b)) <= 5.1e-10 for a, b in zip(row[1:], line))
with h5py.File("many.h5") as f, h5py.File("unlabelled.h5", "w") as g:
    f.copy("features", g)
PY
    check "a table without labels" exits 0 "$GRANARY" predict run/model.h5 unlabelled.h5 -o unlabelled.csv
    check "to the same" cmp one.csv unlabelled.csv
    check "cannot be evaluated" exits 65 "$GRANARY" evaluate run/model.h5 unlabelled.h5
fi

# ---- models that predict a number -------------------------------------------------------------
check "a model of counts" exits 0 on_ranks 2 train small.yaml --quiet --run counts --set "model={type: poisson}" \
    --set train.learning_rate=0.01 --set evaluate.every=3
check "its metrics in the lines" equal "$(grep -c '"test_mae":[0-9].*"test_r2":' counts/metrics.jsonl)" 2
check "and no others" bash -c "! grep -qE 'macro_f1|confusion' counts/metrics.jsonl counts/evaluation.json"
check "evaluate it" exits 0 on_ranks 2 evaluate counts/model.h5 $test
check "to the same" equal "$(awk '$1 == "mae" {print $2}' "$OUT")" \
    "$(tail -n 1 counts/metrics.jsonl | perl -ne 'printf "%.6f", $1 if /"test_mae":([0-9.]+)/')"
for ranks in 1 2; do
    check "predict on $ranks ranks" exits 0 on_ranks $ranks predict counts/model.h5 --features many -o counts-$ranks.csv
    check "and to HDF5" exits 0 on_ranks $ranks predict counts/model.h5 --features many -o counts-$ranks.h5
done
check "the same" cmp counts-1.csv counts-2.csv
check "the same" cmp counts-1.h5 counts-2.h5
check "one positive number a row" awk 'NR == 1 && $0 != "prediction" || NR > 1 && !($0 > 0) {exit 1} END {if (NR != 9101) exit 1}' counts-1.csv

# ---- what does not fit ------------------------------------------------------------------------
refused() { # CODE TEXT WORDS...: on two ranks
    local code=$1 text=$2; shift 2
    exits "$code" on_ranks 2 "$@" && says "$text"
}
perl -e 'print pack("NNNN", 0x803, 4, 5, 6), "x" x 120' >narrow
perl -e 'print pack("NN", 0x801, 90), chr(7) x 90' >seven
check "rows of another width" refused 65 "narrow: found 30 features in a row, expected 36" predict run/model.h5 --features narrow -o no.csv
check "labels of more classes" refused 65 "seven: row 0: found a label beyond the classes, expected 0 to 3" evaluate run/model.h5 --features test-images --labels seven
check "a table that is none" refused 64 "small.yaml: a config or a schema, expected a table" predict run/model.h5 small.yaml -o no.csv
check "a model that is none" refused 65 "many.h5" predict many.h5 many.h5 -o no.csv
check "another ending" refused 64 ".csv, .h5 or .hdf5" predict run/model.h5 many.h5 -o no.txt
check "a folder that is not there" refused 73 "none/no.csv" predict run/model.h5 many.h5 -o none/no.csv
cp many.h5 same.h5
check "output over the input" refused 64 "is read" predict run/model.h5 same.h5 -o ./same.h5
check "which is left as it was" cmp many.h5 same.h5
check "no output" refused 64 "-o FILE" predict run/model.h5 many.h5
cp run/model.h5 bad.h5
perl -e 'open F, "+<", "bad.h5"; seek F, -700, 2; read F, $b, 1; seek F, -700, 2; print F chr(ord($b) ^ 1)'
check "a damaged model" refused 65 "bad.h5" predict bad.h5 many.h5 -o no.csv
if [ "$(id -u)" = 0 ] && mkdir tiny && mount -t tmpfs -o size=100k none tiny 2>/dev/null; then
    for format in csv h5; do
        check "a full disk, $format" refused 73 "No space left" predict run/model.h5 many.h5 -o tiny/full.$format
        check "named" says "granary: tiny/full.$format: "
    done
    check "nothing is left on it" equal "$(ls tiny)" ""
    umount tiny
fi
# Hosts with other copies: two folders stand for them.
mkdir here there; cp run/model.h5 here/m.h5; cp other/model.h5 there/m.h5
cp test-images test-labels here; cp test-images test-labels there
apart() { # WORDS...: on two ranks, each in a folder of its own
    # shellcheck disable=SC2086
    mpirun $MPIRUN_FLAGS -n 1 -wdir "$PWD/here" "$GRANARY" "$@" : -n 1 -wdir "$PWD/there" "$GRANARY" "$@" \
        >"$OUT" 2>"$ERR" </dev/null
}
check "copies that are the same" apart predict m.h5 --features test-images -o "$PWD/x.csv"
rm -f x.csv
check "another model trained" exits 0 "$GRANARY" train small.yaml --quiet --run elsewhere --set run.seed=7
cp elsewhere/model.h5 there/m.h5
refused_apart() { ! apart "$@"; }
check "another model there" refused_apart predict m.h5 --features test-images -o "$PWD/x.csv"
check "is found" says "m.h5: ranks found different files"
cp run/model.h5 there/m.h5; printf x >>there/m.h5
check "a damaged model there" refused_apart predict m.h5 --features test-images -o "$PWD/x.csv"
for format in csv h5; do
    check "another writes it, $format" exits 73 flock -n "no.$format.tmp" "$GRANARY" predict run/model.h5 many.h5 -o "no.$format"
    check "it says so" says "no.$format: another process is writing it"
    check "the other's file is left to him" [ -e "no.$format.tmp" ]
    rm -f "no.$format.tmp"
done
check "nothing is left of what was refused" equal "$(ls | grep -cE '^no\.(csv|h5|txt)|tmp')" 0
finish
