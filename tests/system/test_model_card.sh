#!/usr/bin/env bash
# quick
# model-card.md: what a run writes for people who are given its model, and text that would break it.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/clinics.sh"
has() { grep -qxF -- "$2" "$1" || { echo "  $1 lacks the line '$2'"; return 1; }; }
lacks() { ! grep -qF -- "$2" "$1" || { echo "  $1 has '$2'"; return 1; }; }

make_clinics 300
sed '/^privacy:/,$d; s/^data: {/data: {test_fraction: 0.3, /; /^silos:/d; s/steps: 10/steps: 2/' run.yaml >plain.yaml
cat >>plain.yaml <<'YAML'
card:
  title: 'Died | *yes* <b>'
  license: apache-2.0
  contact: a@example.org
  intended_use: '# To rank patients.'
  limits: 1. Not for children.
  data: '- of three [clinics](x)'
  approvals: ['2026-11-02, board, a: b', 'second']
  tags: [cardiology, 'x: y']
YAML
check "a run" exits 0 "$GRANARY" train plain.yaml --quiet --run plain
card=plain/model-card.md
check "front matter first" equal "$(head -1 $card) $(grep -c '^---$' $card)" "--- 2"
check "a licence" has $card 'license: "apache-2.0"'
check "a task" has $card 'pipeline_tag: tabular-classification'
check "tags" has $card '- "x: y"'
check "the title is one scalar" has $card '- name: "Died | *yes* <b>"'
accuracy=$(awk '/"accuracy": \{/ { getline; print $2; exit }' plain/evaluation.json)
check "the index has the evaluation's accuracy" awk -v a="$accuracy" '/type: "accuracy", value:/ { sub(/.*value: /, ""); if ($0 + 0 > a - 1e-6 && $0 + 0 < a + 1e-6) ok = 1 } END { exit !ok }' $card
check "the table as well" grep -qE '^\| accuracy \| 0\.[0-9]+ \|$' $card
check "the title breaks nothing" has $card '# Died \| \*yes\* \<b\>'
check "a text is no heading" has $card '\# To rank patients.'
check "no list" has $card '1\. Not for children.'
check "and no link" has $card '\- of three \[clinics\](x)'
check "approvals" has $card '- 2026-11-02, board, a: b'
check "digests" has $card "- model digest: $("$GRANARY" inspect --digest plain/model.h5)"
check "no folder is named" lacks $card "$SCRATCH"
check "no silo either" lacks $card silo-0
cp $card first.md
check "report" exits 0 "$GRANARY" report plain
check "writes the same" cmp first.md $card
check "a resumed run may say other things" exits 0 "$GRANARY" validate plain.yaml --set card.title=other
check "a long text" exits 78 "$GRANARY" validate plain.yaml --set "card.limits=$(printf 'x%.0s' $(seq 4097))"
check "is refused" says "card.limits: "

check "a private run" exits 0 "$GRANARY" train run.yaml --quiet --run private
card=private/model-card.md
check "what is promised" has $card "$(sed -n 's/^ *"statement": "\(.*\)"$/\1/p' private/manifest.json)"
check "nothing is stated" has $card 'Not stated (`card.limits` of the config).'
check "there is no score" has $card '  results: []'
check "a rehearsal" exits 0 "$GRANARY" train run.yaml --quiet --run rehearsal --set run.rehearsal=true
check "protects nothing" grep -qi 'rehearsal' rehearsal/model-card.md

# ---- a model of numbers, one that has not finished -----------------------------------------------------
cp -r plain half
sed -i 's/"outcome": "finished"/"outcome": "stopped"/' half/manifest.json
rm half/evaluation.json half/resolved.yaml
check "of a stopped run" exits 0 "$GRANARY" report half
check "that is said" has half/model-card.md '**The run has not finished: it is stopped.**'
check "as is what is missing" grep -q 'resolved.yaml is missing' half/model-card.md
check "a full disk" bash -c 'ulimit -f 1; "$GRANARY" report half 2>/dev/null; [ $? = 73 ]'
check "leaves the card as it was" has half/model-card.md '**The run has not finished: it is stopped.**'
finish
