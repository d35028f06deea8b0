#!/usr/bin/env bash
# quick
# granary report: of a run, of several, of what is none or not whole.
. "$(dirname "$0")/library.sh"

small="--set run.rounds=3 --quiet"
# shellcheck disable=SC2086
check "a run" exits 0 "$GRANARY" train "$TOP/configs/synthetic.yaml" $small --run a
# shellcheck disable=SC2086
check "another" exits 0 "$GRANARY" train "$TOP/configs/synthetic.yaml" $small --run b \
    --set train.learning_rate=0.02 --set run.name=other
holds() { grep -qF -- "$2" "$1" || { echo "  $1 lacks '$2'"; return 1; }; }
lacks() { ! grep -qF -- "$2" "$1" || { echo "  $1 has '$2'"; return 1; }; }

mv a/report.html ended.html
check "report" exits 0 "$GRANARY" report a/
check "it says where" prints "a/report.html"
check "the page that the run itself wrote" cmp ended.html a/report.html
check "no folder is named" lacks a/report.html "$SCRATCH"
check "no host is named" lacks a/report.html "$(hostname)"
check "several" exits 0 "$GRANARY" report a b -o both.html
check "both are in it" holds both.html "2 runs compared"
check "what differs is in it" holds both.html "<code>train.learning_rate</code>"
check "options may come last or first" exits 0 "$GRANARY" report --output first.html a b
check "the same page" cmp both.html first.html

for file in manifest.json resolved.yaml metrics.jsonl events.jsonl evaluation.json model.h5; do
    check "$file is no place for it" exits 64 "$GRANARY" report b -o b/$file
done
check "and stays" exits 0 "$GRANARY" report b
check "a limit of size" bash -c 'ulimit -f 4; "$GRANARY" report a -o large.html 2>/dev/null; [ $? = 73 ]'
check "nothing is left of it" equal "$(ls | grep -c large)" 0

check "no run" exits 64 "$GRANARY" report
check "it says so" says "found no run directory"
check "several without a file" exits 64 "$GRANARY" report a b
check "it says what is missing" says "-o FILE"
check "no such directory" exits 65 "$GRANARY" report nothing
check "it is named" says "nothing: not a run directory"
mkdir empty
check "an empty directory" exits 65 "$GRANARY" report a empty -o x.html
check "it is named" says "empty: not a run directory"
check "a file" exits 65 "$GRANARY" report a/manifest.json
check "no page is left" test ! -e x.html
check "a page that cannot be written" exits 73 "$GRANARY" report a -o nowhere/x.html
check "a folder in its place" exits 73 "$GRANARY" report a -o empty

# Runs of a folder: eight settings and a learning rate more with two seeds, one run without a
# manifest that can be read.
mkdir sweep sweep/deep
for i in 1 2 3 4 5 6 7 8 9; do
    for seed in 1 2; do
        cp -r a sweep/deep/$i-$seed
        sed -i -e "/^run:/,/^[a-z]*:\$/s/^  seed: .*/  seed: $seed/" \
            -e "s/^  learning_rate: .*/  learning_rate: 0.$i/" sweep/deep/$i-$seed/resolved.yaml
    done
done
mv sweep/deep/9-2 sweep/torn
: >sweep/torn/manifest.json
check "a folder of runs" exits 0 "$GRANARY" report sweep
check "its page is in it" prints "sweep/report.html"
check "its runs are counted" holds sweep/report.html "<h1>17 runs compared</h1>"
check "those that differ by seed are one group" holds sweep/report.html ": 9 groups."
check "groups have titles" holds sweep/report.html '<span class="muted">learning_rate 0.7</span>'
check "and seeds" holds sweep/report.html "<td>1, 2</td>"
check "a run that cannot be read is told" holds sweep/report.html "no whole manifest.json: torn"
check "single runs are named" holds sweep/report.html '</i>C2<br>'
check "none is shown whole" lacks sweep/report.html "All about this run"
check "data of them" exits 0 "$GRANARY" report sweep --csv s.csv --json s.json
check "both are told" prints "s.csv"
check "a line for each run" equal "$(wc -l <s.csv)" 18
check "what differs is a column" holds s.csv "group,run,name,folder,run.seed,train.learning_rate,outcome"
check "JSON with the groups" equal "$(grep -c '"title": "learning_rate 0' s.json)" 9
check "the same run twice is no group" exits 0 "$GRANARY" report a a -o x.html
check "it is two" lacks x.html "are one group"
rm x.html

# Costs: bytes by link are all that rounds have sent, and what was sent behind the last.
check "two nodes of two ranks" exits 0 on_ranks 4 train "$TOP/configs/synthetic.yaml" --quiet --run nodes \
    --set run.rounds=3 --set aggregation.ranks_per_node=2
bytes() { sed -n "s/^ *\"$1\": \([0-9]*\).*/\1/p" nodes/manifest.json; }
sent=$(sed 's/.*"bytes_sent":\([0-9]*\).*/\1/' nodes/metrics.jsonl | awk "{n += \$1} END {print n}")
all=$(($(bytes inside_nodes) + $(bytes between_nodes) + $(bytes control)))
check "all bytes have a link" test $((all >= sent && all < 2 * sent)) = 1
check "some went between nodes" test "$(bytes between_nodes)" -gt 10000
check "none in one process" grep -q '"between_nodes": 0,' a/manifest.json
check "node-hours" grep -q '"node_hours": 0.000' a/manifest.json
check "energy, or why not" grep -qE '"energy_joules": [0-9]|"no_energy": "' a/manifest.json
check "the page has them" holds nodes/report.html "bytes between nodes</th>"
check "and why there is no energy" holds nodes/report.html "not to be had: aggregation.ranks_per_node"

cp -r a broken
echo '{"name": "x", ' >broken/manifest.json
check "a damaged manifest" exits 65 "$GRANARY" report broken
check "its place is named" says "broken/manifest.json:2:"
cp -r a half
sed -i 's/"outcome": "finished"/"outcome": "running"/' half/manifest.json
truncate -s -20 half/metrics.jsonl
truncate -s -20 half/events.jsonl
echo '{' >half/evaluation.json
rm half/resolved.yaml half/model.h5
check "a run that is half written" exits 0 "$GRANARY" report half
check "it has not ended" holds half/report.html "had not ended when this page was made"
check "what is missing is told" holds half/report.html "resolved.yaml is missing"
check "what is damaged is told" holds half/report.html "evaluation.json is damaged"
check "a torn last line is no damage" lacks half/report.html "metrics.jsonl is damaged"
finish
