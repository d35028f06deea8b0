#!/bin/bash
# Messages about a silo's data: across ranks goes a reason out of a fixed list with the pseudonym;
# values, rows and paths go to the terminal of the silo's own process and to the log of its own.
# Planted: a number, a word, the names of the tables.
. "$TESTS/system/library.sh"

N=31337.25 WORD=quetzal
for i in 0 1 2; do
    mkdir site-$i
    awk -v s=$i 'BEGIN {srand(s + 1); print "x,y"; for (i = 0; i < 40; i++) printf "%.3f,%.3f\n", rand(), rand()}' >site-$i/secret-path-$i.csv
done
cat >schema.yaml <<'YAML'
columns: [{name: x, type: number, range: [0, 1000000]}, {name: y, type: target}]
YAML
cat >run.yaml <<'YAML'
run: {name: own, rounds: 3}
data:
  source: csv
  schema: schema.yaml
  validation_fraction: 0.3
  silo_tables: [{file: site-0/secret-path-0.csv}, {file: site-1/secret-path-1.csv}, {file: site-2/secret-path-2.csv}]
silos: [{directory: site-0/own}, {directory: site-1/own}, {directory: site-2/own}]
model: {type: linear}
train: {learning_rate: 0.1, batch_size: 8}
YAML
cp site-2/secret-path-2.csv good.csv

# Each rank's terminal is a file of its own.
cat >per <<'SH'
#!/bin/bash
exec "$GRANARY" "$@" 2>"$NAME.rank-$OMPI_COMM_WORLD_RANK" >"$NAME.out-$OMPI_COMM_WORLD_RANK"
SH
chmod +x per
# train CODE NAME WORDS...: on three ranks, silo 2 on the last.
train() {
    local want=$1 code; export NAME=$2; shift 2
    # shellcheck disable=SC2086
    timeout 120 mpirun $MPIRUN_FLAGS -n 3 ./per train run.yaml --run "$NAME" "$@" >"$OUT" 2>"$ERR" </dev/null; code=$?
    [ "$code" = "$want" ] || { echo "  exit code $code, expected $want"; cat "$NAME".rank-*; return 1; }
}
# hidden NAME TEXT...: in no file of the run directory but the config's, and on no other rank's terminal.
hidden() {
    local name=$1 text files; shift
    files=$(find "$name" -type f ! -name config.yaml ! -name resolved.yaml 2>/dev/null)
    for text in "$@"; do
        # shellcheck disable=SC2086
        if grep -alF -- "$text" $files "$name".rank-0 "$name".rank-1 "$name".out-*; then return 1; fi
    done
}
log() { cat site-2/own/silo-002.log; }
alone() { equal "$(stat -c %a site-2/own/silo-002.log) $(stat -c %a site-2/own)" "600 700"; }

check "all is well" train 0 well
check "no log" test ! -e site-2/own
# A cell of another kind: a silo that sits out.
sed "7s/,.*/,$N-$WORD/" good.csv >site-2/secret-path-2.csv
check "a cell that is no number" train 0 cell
check "its own terminal has file and line" grep -qF "silo-002 sits out the run: site-2/secret-path-2.csv:7: column 2 (y):" cell.rank-2
check "its own log too, with the time" grep -qE '^20[0-9-]*T[0-9:]*Z silo-002 sits out the run: site-2/secret-path-2.csv:7: column 2' site-2/own/silo-002.log
check "which is its own" alone
check "others have the reason" grep -qF "silo-002: column 2: a value is not a finite number" cell.out-0
check "and nothing else" hidden cell "$N" "$WORD" secret-path ":7:" "line 7" "row 5"
check "other silos have no log" test ! -e site-0/own -a ! -e site-1/own
# Columns that are not the schema's end the run before it begins.
sed "1s/.*/x,$WORD/" good.csv >site-2/secret-path-2.csv
check "another column" train 65 column
check "its own terminal has the file" grep -qF "silo-002 sits out the run: site-2/secret-path-2.csv:1: column 2: found another name" column.rank-2
check "the log as well" bash -c 'tail -n 1 site-2/own/silo-002.log | grep -qF "site-2/secret-path-2.csv:1: column 2: found another name"'
check "others hear that columns differ" grep -qx "granary: silo-002: column 2: the columns are not as expected" column.rank-0
check "and nothing else" hidden column "$WORD" secret-path "line 1" ":1:"
# A value that no sum takes: in training the silo sits out, among held-out rows its scores are.
trained=0 held=0
for row in 2 3 4 5 6 7 8 9; do
    sed "${row}s/.*/$N,98765432109.5/" good.csv >site-2/secret-path-2.csv
    check "row $row" train 0 "row$row"
    if grep -q "sat out: update not finite" "row$row/events.jsonl"; then trained=1; else held=1; fi
    check "its own log" bash -c 'tail -n 1 site-2/own/silo-002.log | grep -qE "silo-002: round [1-3]: (sits out|its held-out rows are not scored): "'
    check "its own terminal" grep -qE "silo-002: round [1-3]: (sits out|its held-out rows are not scored): " "row$row.rank-2"
    check "others hear nothing of it" hidden "row$row" "$N" 98765432109 9.8765 secret-path
    [ $trained$held = 11 ] && break
done
check "both were seen" equal $trained$held 11
# Without a folder there is the terminal alone; a folder that is none ends no run.
rm -rf site-*/own; sed '/^silos:/d' run.yaml >bare.yaml; cp run.yaml with.yaml; cp bare.yaml run.yaml
check "without a folder" train 0 bare
check "nothing is written" test ! -e site-2/own
check "the terminal has it" grep -q "silo-002: round" bare.rank-2
cp with.yaml run.yaml; touch site-2/own
check "a file in its place" train 0 file
check "is told on its own terminal" grep -qF "silo-002: its own log: site-2/own/silo-002.log: Not a directory" file.rank-2
check "and to nobody else" hidden file site-2 secret-path
rm site-2/own; mkdir site-2/own; echo mine >target; ln -s ../../target site-2/own/silo-002.log
check "a link in its place" train 0 link
check "is not followed" equal "$(cat target)" mine
check "a list of another length" exits 78 "$GRANARY" train run.yaml --run length --set 'silos=[{directory: a}]'
check "by name" says "silos: found 1, allowed none or one for each of the 3 of data.silos"
finish
