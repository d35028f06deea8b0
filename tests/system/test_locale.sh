#!/usr/bin/env bash
# quick
# Where the user's language writes 2,3 the scripts and the command write 2.3 all the same.
. "$(dirname "$0")/library.sh"

# ---- a language with a comma: German where its sources are here, else numbers alone ------------
mkdir languages plain comma
localedef -i de_DE -f UTF-8 "$SCRATCH/languages/de_DE.UTF-8" >/dev/null 2>&1
if [ -e languages/de_DE.UTF-8/LC_NUMERIC ]; then
    german=(LOCPATH="$SCRATCH/languages" LC_ALL=de_DE.UTF-8)
else
    printf 'LC_NUMERIC\ndecimal_point ","\nthousands_sep ""\ngrouping -1\nEND LC_NUMERIC\n' >numbers
    localedef -c -f ANSI_X3.4-1968 -i ./numbers "$SCRATCH/languages/comma" >/dev/null 2>&1
    german=(-u LC_ALL LOCPATH="$SCRATCH/languages" LC_NUMERIC=comma)
fi
spoken=$(env "${german[@]}" bash -c 'printf %.1f 0,5' 2>/dev/null)
check "a language that writes a comma can be made" equal "$spoken" "0,5"
check "awk writes one too" equal "$(env "${german[@]}" awk 'BEGIN {printf "%.1f", 0.5}')" "0,5"

# ---- the generators ---------------------------------------------------------------------------
for kind in hospital texts visits; do
    (cd plain && sh "$TOP/jobs/make-$kind.sh" $kind 300) >/dev/null
    (cd comma && env "${german[@]}" sh "$TOP/jobs/make-$kind.sh" $kind 300) >/dev/null
    for part in train test; do
        check "make-$kind.sh: the same $part.csv" cmp plain/$kind/$part.csv comma/$kind/$part.csv
    done
done
check "with fractions in it" grep -q ',6\.[0-9],' comma/hospital/train.csv
check "and names beyond ASCII" grep -q '^Lütschine,' comma/visits/train.csv
mkdir uci
for hospital in cleveland hungarian switzerland va; do
    echo "63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,2.3,3.0,0.0,6.0,2" >uci/processed.$hospital.data
done
check "make-heart-disease.sh" exits 0 env "${german[@]}" bash "$TOP/jobs/make-heart-disease.sh" uci heart
check "keeps the fraction" equal "$(cat heart/va.csv)" "63,1,1,145,233,1,2,150,0,2.3,3,0,6,1"

# ---- the command ------------------------------------------------------------------------------
check "train and evaluate in German" exits 0 env "${german[@]}" "$GRANARY" train "$TOP/configs/synthetic.yaml" \
    --set run.rounds=1 --set train.learning_rate=0.25 --run german
check "which tells its loss with a point" grep -qE 'loss [0-9]+\.[0-9]' "$OUT"
check "train in English" exits 0 "$GRANARY" train "$TOP/configs/synthetic.yaml" --set run.rounds=1 \
    --set train.learning_rate=0.25 --run english --quiet
check "the same model" equal "$("$GRANARY" inspect --digest german)" "$("$GRANARY" inspect --digest english)"
check "the rate is a quarter" grep -q 'learning_rate: 0.25' german/resolved.yaml
check "no comma in the numbers of its records" bash -c "! grep -qE '[0-9],[0-9]' german/resolved.yaml"

# ---- every script that has to do with fractions -----------------------------------------------
# Each says so itself, or begins with one that does.
unmarked() {
    (cd "$TOP" && grep -lE '\b(awk|printf|bc)\b|sort -[a-z]*g' jobs/*.sh jobs/*.sbatch analysis/*.sh tests/*.sh tests/*/*.sh) |
        while read -r script; do
            grep -qE 'LC_ALL=C|/(environment|library|case|asserts)\.sh' "$TOP/$script" || echo "$script"
        done
}
# train.sbatch takes a whole number from a line; asserts.sh, scenarios.sh, clinics.sh and sites.sh are sourced by scripts that say so.
check "none forgets it" equal "$(unmarked | tr '\n' ' ')" "jobs/train.sbatch tests/faults/asserts.sh tests/sites/scenarios.sh tests/system/clinics.sh tests/system/sites.sh "
finish
