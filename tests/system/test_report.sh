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
check "it says how many" says "found 0 run directories, expected 1 to 8"
check "several without a file" exits 64 "$GRANARY" report a b
check "it says what is missing" says "-o FILE"
check "too many" exits 64 "$GRANARY" report a a a a a a a a a -o x.html
check "no such directory" exits 65 "$GRANARY" report nothing
check "it is named" says "nothing: not a run directory"
mkdir empty
check "an empty directory" exits 65 "$GRANARY" report a empty -o x.html
check "it is named" says "empty: not a run directory"
check "a file" exits 65 "$GRANARY" report a/manifest.json
check "no page is left" test ! -e x.html
check "a page that cannot be written" exits 73 "$GRANARY" report a -o nowhere/x.html
check "a folder in its place" exits 73 "$GRANARY" report a -o empty

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
