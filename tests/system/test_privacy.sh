#!/usr/bin/env bash
# quick
# granary privacy: what it is asked, what it prints, what it refuses. Numbers are held against other
# programs in unit/test_accounting.
. "$(dirname "$0")/library.sh"
# field NAME: of the JSON that the last command printed.
field() { sed -n "s/.*\"$1\": \([^,]*\),*/\1/p" "$OUT"; }
# at_most A B: as numbers.
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a + 0 <= b + 0) }' || { echo "  '$1' > '$2'"; return 1; }; }

steps="--steps 100 --sampling 0.05 --delta 1e-5"
# shellcheck disable=SC2086
{
check "epsilon" exits 0 "$GRANARY" privacy epsilon --noise-multiplier 1.5 $steps
check "it is an interval" grep -qE '^epsilon [0-9.]+ to [0-9.]+ for delta 1e-05, add_remove$' "$OUT"
read -r _ low _ high _ <"$OUT"
check "of which the lower end is the lower" at_most "$low" "$high"
check "as JSON" exits 0 "$GRANARY" privacy epsilon --noise-multiplier 1.5 $steps --json
check "what is printed is rounded down" at_most "$low" "$(field epsilon_lower)"
check "and up" at_most "$(field epsilon_upper)" "$high"
check "Renyi divergences are above" at_most "$high" "$(field epsilon_renyi)"
check "an exact one" exits 0 "$GRANARY" privacy epsilon --noise-multiplier 4 --steps 1 --delta 1e-5
# Phi(1/8 - 4 e) - exp(e) Phi(-1/8 - 4 e) = 1e-5 at e = 0.92634 (Balle, Wang 2018; by Python's erfc).
check "is one number" grep -qE '^epsilon 0.9264 for delta' "$OUT"
read -r _ once _ <"$OUT"
check "replacing a unit counts twice" exits 0 "$GRANARY" privacy epsilon --noise-multiplier 8 --steps 1 --delta 1e-5 --adjacency replace
check "so that half the noise is the same" prints "epsilon $once for"
check "steps before" exits 0 "$GRANARY" privacy epsilon --noise-multiplier 1.5 $steps --before 4,1,1 --before 2,0.01,50
read -r _ more _ <"$OUT"
check "count as well" at_most "$high" "$more"
check "noise" exits 0 "$GRANARY" privacy noise --epsilon 2 $steps
z=$(sed -n 's/^noise multiplier \([0-9.]*\) keeps .*/\1/p' "$OUT")
check "is enough" exits 0 "$GRANARY" privacy epsilon --noise-multiplier "$z" $steps --json
check "for its epsilon" at_most "$(field epsilon_upper)" 2
check "and hardly more than that" at_most 1.99 "$(field epsilon_upper)"
check "table" exits 0 "$GRANARY" privacy table --noise-multiplier 1.5 $steps
check "has a row for all steps" grep -qE '^ *100 ' "$OUT"
check "and the same numbers" grep -qF " $high " "$OUT"

check "needs a word" exits 64 "$GRANARY" privacy
check "needs a word it knows" exits 64 "$GRANARY" privacy sum $steps
check "and names those" says "expected epsilon, noise, table, plan, ledger or audit"
check "needs delta" exits 64 "$GRANARY" privacy epsilon --noise-multiplier 1 --steps 3
check "and says so" says "--delta is missing"
check "does not take what it finds" exits 64 "$GRANARY" privacy noise --epsilon 1 --noise-multiplier 2 $steps
check "sampling with replacement of units has no proof" exits 64 "$GRANARY" privacy epsilon --noise-multiplier 1 $steps --adjacency replace
check "and says which have one" says "add_remove or zero_out"
for value in nan inf -1 0 1e-5x "" 1e9; do
    check "noise multiplier '$value'" exits 64 "$GRANARY" privacy epsilon --noise-multiplier "$value" $steps
done
for value in nan 0 1 2 -1; do
    check "delta $value" exits 64 "$GRANARY" privacy epsilon --noise-multiplier 1 --steps 1 --delta $value
done
for value in 1,1 1,2,3 0,1,1 1,1,0 1,1,1,1 1,,1 a,b,c; do
    check "before $value" exits 64 "$GRANARY" privacy epsilon --noise-multiplier 1 $steps --before $value
done
check "noise that no epsilon has" exits 64 "$GRANARY" privacy noise --epsilon 0.1 $steps --before 0.1,1,1
check "and says so" says "no noise multiplier"
check "a comma as in German" env LC_ALL=de_DE.UTF-8 "$GRANARY" privacy epsilon --noise-multiplier 1.5 $steps
}
finish
