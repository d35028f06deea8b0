#!/usr/bin/env bash
# What a config may ask for is done, however large: 300,000 silos and the loss of a third of
# them, a silo of more than 2^24 rows, an architecture that no attribute of HDF5 could hold.
. "$(dirname "$0")/library.sh"

# ---- 300,000 silos, of which a rank takes a third with it ------------------------------------
LIMIT_S=300
cat >many.yaml <<'YAML'
run: {name: many, rounds: 3, rehearsal: true}
data:
  source: synthetic
  silos: 300000
  synthetic: {features: 1, classes: 2, minimum_rows: 1, maximum_rows: 1, test_rows: 0}
model: {type: softmax}
train: {learning_rate: 0.1, batch_size: 4}
checkpoint: {every: 0}
YAML
check "a rank with 100,000 silos is lost" exits 0 "$GRANARY" run -n 3 many.yaml --quiet --run many \
    --set "faults=[{kind: kill, silo: 0, round: 2}]"
check "it is told in a range" grep -q '"event":"lost","round":2,"silos":\["silo-000..silo-99999"\]' many/events.jsonl
check "who is absent as well, once" equal "$(grep -c '"event":"partial"' many/events.jsonl)" 1
check "and that they stay away" grep -q '"absent":\["silo-000..silo-99999"\],"stands":true' many/events.jsonl
check "no event is long" test "$(wc -c <many/events.jsonl)" -lt 10000
check "the report tells them as a range" grep -q 'silo-000 to silo-99999' many/report.html
check "it agrees" exits 0 "$GRANARY" inspect many
check "a replay" exits 0 on_ranks 2 train many.yaml --quiet --run again --set round.replay=many/events.jsonl
check "to the same model" equal "$("$GRANARY" inspect --digest again/model.h5)" "$("$GRANARY" inspect --digest many/model.h5)"

# ---- a silo of more than 2^24 rows --------------------------------------------------------------
# idx FILE MAGIC ROWS BYTE BYTE: rows of one byte each, the two in turn.
idx() {
    perl -e '($magic, $n, $a, $b) = @ARGV; print pack("NN", $magic, $n), $magic == 0x802 ? pack("N", 1) : "";
             print pack("CC", $a, $b) x ($n / 2), $n % 2 ? pack("C", $a) : ""' "$2" "$3" "$4" "$5" >"$1"
}
rows=$(((1 << 24) + 3))
idx heavy-rows $((0x802)) $rows 10 200; idx heavy-labels $((0x801)) $rows 0 1
idx light-rows $((0x802)) 500 20 220; idx light-labels $((0x801)) 500 0 1
cat >heavy.yaml <<'YAML'
run: {name: heavy, rounds: 1}
data:
  source: idx
  silo_tables: [{features: heavy-rows, labels: heavy-labels}, {features: light-rows, labels: light-labels}]
model: {type: softmax}
train: {learning_rate: 0.5, batch_size: 65536}
YAML
check "a silo of $rows rows" exits 0 on_ranks 2 train heavy.yaml --quiet --run heavy
check "both are in the sum, with their rows" equal "$(grep -c "\"participants\":2,.*\"examples\":$((rows + 500))," heavy/metrics.jsonl)" 1

# ---- 7,000 columns with an embedding table each -------------------------------------------------
perl -e '$n = 7000; open S, ">schema.yaml"; print S "columns:\n";
    print S "  - {name: c$_, type: category, categories: [a, b]}\n" for 1..$n;
    print S "  - {name: label, type: label, categories: [x, y]}\n";
    for $t (0, 1) { open T, ">wide-$t.csv"; print T join(",", map {"c$_"} 1..$n), ",label\n";
        print T join(",", map {($_ * 7 + $t) % 5 < 2 ? "a" : "b"} 1..$n), ",", $_ % 2 ? "x" : "y", "\n" for 0..3 }'
cat >wide.yaml <<'YAML'
run: {name: wide, rounds: 1}
data: {source: csv, silo_tables: [{file: wide-0.csv}, {file: wide-1.csv}], schema: schema.yaml}
model: {type: mlp, hidden: [2], embedding: 1}
train: {learning_rate: 0.1, batch_size: 4}
YAML
check "an architecture of over 60,000 bytes" exits 0 on_ranks 2 train wide.yaml --quiet --run wide
check "it is gone on with" exits 0 on_ranks 1 train wide.yaml --quiet --run wide --resume --set run.rounds=2
check "it is read" exits 0 "$GRANARY" inspect wide/model.h5
check "with its tables" prints "embedding6999.weight"
check "and predicts" exits 0 "$GRANARY" predict wide/model.h5 wide-0.csv -o wide.csv
finish
