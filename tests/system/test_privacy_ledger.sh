#!/usr/bin/env bash
# quick
# granary privacy ledger: what a ledger holds and what it comes to. Its files are written here by
# the rule that the manual tells, with b2sum in the place of granary.
. "$(dirname "$0")/library.sh"
field() { sed -n "s/.*\"$1\": \([^,]*\),*/\1/p" "$OUT"; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a <= b * 1.001 && a >= b * .999) }' || { echo "  '$1' is not '$2'"; return 1; }; }

folder=$SCRATCH/silo
zeros=$(printf '%064d' 0)
# add TEXT: a line, without its end and hash.
add() {
    hash=$(printf '%s%s' "$hash" "$1" | b2sum -l 256 | cut -d ' ' -f 1)
    printf '%s,"hash":"%s"}\n' "$1" "$hash" >>"$folder/privacy-ledger"
    printf 'granary-privacy-ledger-head 1 %d %s\n' "$n" "$hash" >"$folder/privacy-ledger.head"
}
begin() {
    rm -rf "$folder"
    mkdir "$folder"
    hash='' n=0
    add "{\"format\":\"granary-privacy-ledger\",\"version\":1,\"salt\":\"$zeros\",\"data\":\"$zeros\""
}
# entry UNIT ADJACENCY Z Q COUNT
entry() {
    n=$((n + 1))
    add "{\"entry\":$n,\"time\":\"2026-11-21T09:30:00Z\",\"run\":\"0a1b\",\"release\":\"round\",\"round\":$n,\"unit\":\"$1\",\"adjacency\":\"$2\",\"mechanism\":\"discrete_gaussian\",\"noise_multiplier\":$3,\"sampling\":$4,\"count\":$5,\"delta_added\":0,\"correlation\":\"none\",\"bands\":0,\"binding\":\"$(printf '%064x' "$n")\""
}
# ledger CODE OPTION...
ledger() {
    local code=$1
    shift
    exits "$code" "$GRANARY" privacy ledger "$folder" "$@"
}

begin
check "a ledger of nothing" ledger 0
check "has told nothing" prints "spent on each row: epsilon 0.0000 for delta 1e-05, add_remove"
for _ in 1 2 3; do entry row add_remove 1.5 0.03125 40; done
check "three entries" ledger 0 --delta 1e-6
check "are printed" test "$(grep -c '0a1b' "$OUT")" -eq 3
check "and counted" prints "3 entries, whole; head ${hash:0:16}"
check "by its file" exits 0 "$GRANARY" privacy ledger "$folder/privacy-ledger"
check "as JSON" ledger 0 --delta 1e-6 --json
upper=$(field epsilon_upper)
check "with its head" equal "$(field head)" "\"$hash\""
check "the same by hand" exits 0 "$GRANARY" privacy epsilon --noise-multiplier 1.5 --sampling 0.03125 --steps 120 --delta 1e-6 --json
check "is the same" near "$(field epsilon_upper)" "$upper"
entry person zero_out 8 0.25 1
check "a person" ledger 0 --delta 1e-6 --json
check "is about rows as well" equal "$(field unit | tail -n 1)" '"row"'
upper=$(field epsilon_upper)
check "the same by hand" exits 0 "$GRANARY" privacy epsilon --noise-multiplier 1.5 --sampling 0.03125 --steps 120 --before 4,1,1 --adjacency zero_out --delta 1e-6 --json
check "is at twice the clip norm, and not sampled" near "$(field epsilon_upper)" "$upper"
check "the number of units is no secret any more" ledger 77 --adjacency add_remove
check "which is told" says "how many units there are"
check "nothing was written" equal "$(find "$folder" | wc -l)" 3

cp -r "$folder" "$SCRATCH/whole"
# broken TITLE WORDS: refused with these words; whole again afterwards.
broken() {
    check "$1" ledger 77
    check "is told" says "$2"
    rm -rf "$folder"
    cp -r "$SCRATCH/whole" "$folder"
}
rm "$folder/privacy-ledger"
broken "without its ledger" "missing or empty, expected the 4 lines"
rm "$folder/privacy-ledger.head"
broken "without its head" "its head is missing"
sed -i '$d' "$folder/privacy-ledger"
broken "the last entry taken off" "was cut, expected the 4 lines"
sed -i 2d "$folder/privacy-ledger"
broken "an entry taken out" "privacy-ledger:2: not an entry that follows"
sed -i '2s/"count":40/"count":4/' "$folder/privacy-ledger"
broken "a smaller count" "privacy-ledger:2: not an entry that follows"
sed -i '1s/"version":1/"version":3/' "$folder/privacy-ledger"
broken "of a later version" "a ledger of version 3, which a later granary has written"
check "whole again" ledger 0
# A table that somebody adopts: the ledger goes on with what was spent.
digest=$(printf '%064x' 77)
check "adopt" ledger 0 --adopt "$digest"
check "says what it did" prints "all that was spent counts for all of its rows"
check "the ledger is whole" ledger 0 --json
check "with what was spent" near "$(field epsilon_upper)" "$("$GRANARY" privacy epsilon --noise-multiplier 1.5 --sampling 0.03125 --steps 120 --before 4,1,1 --adjacency zero_out --delta 1e-5 --json | sed -n 's/.*"epsilon_upper": \([^,]*\),*/\1/p')"
check "and tells of the table" prints '"table": "adopted"'
check "in words too" eval 'ledger 0 && prints "table adopted: the ledger is of another table, for which all of the above counts"'
for value in x "$digest"0 "${digest%?}" ''; do check "adopt '$value'" ledger 64 --adopt "$value"; done
check "adopt with more" ledger 64 --adopt "$digest" --json
check "adopt what is not there" exits 64 "$GRANARY" privacy ledger "$SCRATCH" --adopt "$digest"
check "no ledger" exits 64 "$GRANARY" privacy ledger "$SCRATCH"
check "says so" says "no privacy ledger, nor a trace of one"
check "no path" exits 64 "$GRANARY" privacy ledger
check "an option of others" ledger 64 --steps 3
for value in 0 1 nan -1 x; do check "delta $value" ledger 64 --delta "$value"; done
finish
