#!/usr/bin/env bash
# Differential privacy of silos: the norm of the mean update is that of its noise, which is so much
# wider that a hundredth of it would be seen, whoever is lost and where; what does not go with it is
# refused. Of 12,604 parameters a norm has a relative deviation of 0.0063, of which six are allowed.
. "$(dirname "$0")/library.sh"
cat >root.yaml <<'YAML'
run: {name: silos, seed: 1, rounds: 4, rehearsal: true}
data: {source: synthetic, silos: 8, synthetic: {features: 20, classes: 4, minimum_rows: 60, maximum_rows: 200, test_rows: 10}}
model: {type: mlp, hidden: [100, 100]}
train: {learning_rate: 0.1, batch_size: 32}
aggregation: {grid: public, clip_norm: 1, weight_max: 1}
round: {deadline_s: 20, collective_deadline_s: 10, heartbeat_s: 5}
privacy: {unit: silo, adjacency: zero_out, clip_norm: 1, noise_multiplier: 5, noise: root, budget: {delta: 0.01}}
YAML
{ sed 's/noise: root/noise: shared/' root.yaml; echo 'secure: {aggregation: true}'; } >shared.yaml

# on N CONFIG WORDS...: a run on so many ranks.
on() {
    rm -rf run
    timeout 100 "$GRANARY" run -n "$1" "$2" --quiet --restarts 0 --run run "${@:3}" >run.log 2>&1 </dev/null ||
        { tail -n 5 run.log; return 1; }
}
# noise DEVIATION [shared]: the mean of each of the four rounds has noise of it, over the silos that took part;
# shared: of all but one of them.
noise() {
    [ "$(wc -l <run/metrics.jsonl)" = 4 ] || { echo "  not four rounds"; return 1; }
    sed 's/.*"participants":\([0-9]*\),.*"update_norm":\([^,]*\),.*/\1 \2/' run/metrics.jsonl | awk -v sigma="$1" -v shared="${2:-}" '
        { more = shared ? sqrt($1 / ($1 - 1)) : 1
          ratio = $2 * $1 / (more * sigma * sqrt(12604)); if (!(ratio > 0.96 && ratio < 1.04)) bad = bad " " ratio }
        END { if (bad != "") { print "  noise / expected:" bad; exit 1 } }'
}

# ---- by rank 0 ------------------------------------------------------------------------------------------
for ranks in 1 3 8; do
    check "on $ranks ranks" on $ranks root.yaml
    check "all rounds have noise" noise 5
done
check "in nodes of two" on 5 root.yaml --set aggregation.ranks_per_node=2
check "all rounds have noise" noise 5
check "behind masks" on 8 root.yaml --set secure.aggregation=true
check "all rounds have noise" noise 5
check "with ring64" on 3 root.yaml --set aggregation.encoding=ring64
check "all rounds have noise" noise 5
check "of silos that are drawn" on 3 root.yaml --set round.participants=4
check "all rounds have noise" noise 5
for point in train ready aggregate seal unmask commit evaluate record; do
    check "rank 0 is lost before $point" on 4 root.yaml --set "faults=[{kind: kill, silo: 0, round: 2, point: $point}]"
    check "rounds have noise of one rank" noise 5
done
check "rank 0 is lost, and the next in the recovery" on 4 root.yaml \
    --set 'faults=[{kind: kill, silo: 0, round: 2, point: aggregate}, {kind: kill, silo: 2, round: 2, point: recover}]'
check "rounds have noise of one rank" noise 5

# ---- in shares ------------------------------------------------------------------------------------------
# Each of eight parties adds a seventh of the variance, for whoever knows its own share, or more where some
# collude; those of seven that are left add a sixth.
for ranks in 1 3 8; do
    check "in shares on $ranks ranks" on $ranks shared.yaml
    check "there is enough without any one's" noise 5 shared
done
check "of which three may collude" on 4 shared.yaml --set secure.colluding=3
check "there is enough without theirs" noise "$(awk 'BEGIN {print 5 * sqrt(8 / 5)}')"
check "a party is lost" on 8 shared.yaml --set 'run.rounds=5' --set 'faults=[{kind: kill, silo: 5, round: 1, point: seal}]'
sed -i 1d run/metrics.jsonl
check "rounds have the noise of seven" noise 5 shared

check "batches of any size" on 3 root.yaml --set train.batch_size=1000 --set data.synthetic.minimum_rows=1500 --set data.synthetic.maximum_rows=1600
check "have it as well" noise 5

# ---- ledger and budget ----------------------------------------------------------------------------------
# Four rounds of 4.995 C fit the budget and hardly more. What anybody may have read is charged to all who
# were in it, so a sum that is taken again over fewer is one more; behind masks it is not, as it was not opened.
epsilon=$("$GRANARY" privacy epsilon --noise-multiplier 4.99 --steps 4 --delta 0.01 | sed -n 's/^epsilon \([0-9.]*\).*/\1/p')
five=$("$GRANARY" privacy epsilon --noise-multiplier 4.99 --steps 5 --delta 0.01 | sed -n 's/^epsilon \([0-9.]*\).*/\1/p')
folders=$(seq -s, -f '{directory: own%g}' 0 7)
entries() { grep -c '"entry":' "own$1/privacy-ledger"; }
# upper: of the epsilon that the manifest tells.
upper() { sed -n 's/^ *"epsilon_upper": \([0-9.]*\).*/\1/p' run/manifest.json; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > b - 0.01 && a < b + 0.01) }' || { echo "  '$1' is not near '$2'"; return 1; }; }
own() { on "$@" --set "silos=[$folders]" --set "privacy.budget.epsilon=$epsilon"; }
rm -rf own?
check "a run with ledgers" own 4 root.yaml
check "four sums were charged" equal "$(entries 0) $(entries 7)" "4 4"
check "the manifest tells of four" near "$(upper)" "$epsilon"
check "and no more fit" exits 77 "$GRANARY" run -n 4 root.yaml --quiet --restarts 0 --run more --set "silos=[$folders]" --set "privacy.budget.epsilon=$epsilon"
rm -rf own?
check "rank 0 is lost in a sum" exits 77 "$GRANARY" run -n 4 root.yaml --quiet --restarts 0 --run spent --set "silos=[$folders]" --set "privacy.budget.epsilon=$epsilon" \
    --set 'faults=[{kind: kill, silo: 0, round: 2, point: aggregate}]'
check "which takes one more, so that the last does not fit" says "no further one fits an epsilon of"
check "in no ledger are more than four" equal "$(entries 0) $(entries 7)" "1 4"
rm -rf own?
check "with a greater budget" on 4 root.yaml --set "silos=[$folders]" --set "privacy.budget.epsilon=9" --set 'faults=[{kind: kill, silo: 0, round: 2, point: aggregate}]'
check "the lost silo has given one, the others five" equal "$(entries 0) $(entries 7)" "1 5"
check "the manifest tells of five" near "$(upper)" "$five"
rm -rf own?
check "a party is lost before its masked sum is sealed" on 8 shared.yaml --set "silos=[$folders]" --set "privacy.budget.epsilon=9" --set 'faults=[{kind: kill, silo: 5, round: 2, point: aggregate}]'
check "which nobody has read" equal "$(grep -c '"participants":7' run/metrics.jsonl) $(entries 5) $(entries 7)" "3 1 4"
check "and those who are left have greater shares" noise 5 shared
for point in seal unmask unmasking; do
    rm -rf own?
    check "a party is lost before $point" on 8 shared.yaml --set "silos=[$folders]" --set "privacy.budget.epsilon=9" --set "faults=[{kind: kill, silo: 5, round: 2, point: $point}]"
    check "and its share is in the noise" noise 5 shared
    check "and its update is opened without it, and charged" equal "$(grep -c '"participants":8' run/metrics.jsonl) $(entries 5) $(entries 7)" "2 2 4"
done

# ---- a clip norm that follows ---------------------------------------------------------------------------
# From far above or below all norms it goes by exp(0.2 / 2) a round, rounded to a step of 2^(1/256), at one silo
# more or less that the noise of the count tells of; the noise of the sum goes with it.
adaptive='privacy.adaptive_clipping={quantile: 0.5, count_noise: 0.3}'
# norms: of the rounds, on one line.
norms() { grep -o '"clip_norm":[^,}]*' run/metrics.jsonl | cut -d: -f2 | tr '\n' ' '; }
# goes FACTOR: from each round to the next by as much, to a tenth of what is beside 1.
goes() { norms | awk -v by="$1" '{ for (i = 2; i <= NF; i++) { f = log($i / $(i - 1)) / log(by); if (f < 0.5 || f > 1.02) bad = bad " " f } exit !(NF == 4 && bad == "") }' ||
    { echo "  norms: $(norms)"; return 1; }; }
low='privacy.noise_multiplier=0.1'
check "above all norms" on 3 root.yaml --set "$adaptive" --set "$low" --set train.learning_rate=1e-7
check "it falls" goes 0.9048374
check "below all norms" on 3 root.yaml --set "$adaptive" --set "$low" --set privacy.clip_norm=1e-4 --set aggregation.clip_norm=1e-4
check "it rises" goes 1.1051709
check "in shares" on 8 shared.yaml --set "$adaptive" --set "$low" --set privacy.clip_norm=1e-4 --set aggregation.clip_norm=1e-4 --set secure.colluding=2
check "it rises" goes 1.1051709
check "rank 0 is lost" on 4 root.yaml --set "$adaptive" --set "$low" --set privacy.clip_norm=1e-4 --set aggregation.clip_norm=1e-4 --set 'faults=[{kind: kill, silo: 0, round: 2, point: aggregate}]'
check "it rises" goes 1.1051709
# A norm that is taken up again at round 3: not from the beginning.
rm -rf run
check "two rounds" exits 0 "$GRANARY" run -n 2 root.yaml --quiet --restarts 0 --run run --set "$adaptive" --set "$low" --set privacy.clip_norm=1e-4 --set aggregation.clip_norm=1e-4 --set run.rounds=2
check "and two more" exits 0 on_ranks 3 train root.yaml --quiet --resume --run run --set "$adaptive" --set "$low" --set privacy.clip_norm=1e-4 --set aggregation.clip_norm=1e-4 --set run.rounds=4
check "go on from its norm" goes 1.1051709
# Noise of the sum: of its own multiplier, and relative to the norm of the round: z = 0.599 with 0.3 told beside
# it leaves 1 / sqrt(1 / 0.599^2 - 1 / 0.6^2), ten times as much.
follows() {
    sed 's/.*"participants":\([0-9]*\),.*"update_norm":\([^,]*\),.*"clip_norm":\([^,}]*\).*/\1 \2 \3/' run/metrics.jsonl | awk '
        { r = $1 * $2 / $3 / sqrt(12604) * sqrt(1 / 0.599 ^ 2 - 1 / 0.36); if (!(r > 0.96 && r < 1.04)) bad = bad " " r }
        END { if (bad != "" || NR != 4) { print "  " NR " rounds:" bad; exit 1 } }'
}
check "what the count tells is added to the noise" on 3 root.yaml --set "$adaptive" --set privacy.noise_multiplier=0.599
check "of each round's norm" follows
check "a count that tells all of it" exits 78 "$GRANARY" validate root.yaml --set "$adaptive"
check "is refused" says "privacy.adaptive_clipping.count_noise: found 0.3, allowed only more than half of privacy.noise_multiplier, which is 2.5"

# ---- what a table does not tell -------------------------------------------------------------------------
check "an update that is not finite" on 3 root.yaml --set 'faults=[{kind: nan, silo: 3, round: 2}]'
check "counts as none" equal "$(grep -c '"participants":8,' run/metrics.jsonl)" 4
check "in noise" noise 5
check "neither rows nor losses nor processor time are told" equal "$(grep -c '"examples":0,"processed":0,"train_loss":null,.*"cpu_seconds_train":null,' run/metrics.jsonl)" 4
check "and nobody is told but its own terminal" grep -q 'silo-003: round 2: counts as no change' run.log

# ---- what is refused ------------------------------------------------------------------------------------
# refused WORDS...: the config with these settings; says what follows.
refused() { exits 78 "$GRANARY" validate "$@"; }
check "noise of each silo" refused root.yaml --set privacy.noise=silo
check "is for rows" says "privacy.noise: found silo, allowed shared or root with privacy.unit silo"
check "shares without masks" refused root.yaml --set privacy.noise=shared
check "are seen one by one" says "privacy.noise: found shared, allowed only with secure.aggregation true"
check "who takes part" refused root.yaml --set privacy.adjacency=add_remove
check "is known" says "privacy.adjacency: found add_remove, allowed zero_out or replace"
check "noise in a count of none" refused root.yaml --set privacy.adaptive_clipping.count_noise=1
check "is forgotten" says "privacy.adaptive_clipping.count_noise: found 1, allowed only 0, the default, without privacy.adaptive_clipping.quantile"
check "an agreed grid" refused root.yaml --set 'aggregation={grid: agreed}'
check "tells of updates" says "aggregation.grid: found agreed, allowed only public with privacy.unit silo"
check "another clip" refused root.yaml --set aggregation.clip_norm=2
check "is none" says "aggregation.clip_norm: found 2, allowed only 1 (privacy.clip_norm)"
check "weights" refused root.yaml --set aggregation.weight_max=9
check "are 1" says "aggregation.weight_max: found 9, allowed only 1"
for strategy in scaffold fednova median; do
    check "$strategy" refused root.yaml --set "strategy.name=$strategy"
    check "adds up no one vector" says "strategy"
done
check "noise of few steps" exits 78 on_ranks 2 train root.yaml --quiet --run few --set data.silos=9000 --set privacy.noise_multiplier=0.05 \
    --set privacy.budget.delta=1e-5 --set data.synthetic.minimum_rows=2 --set data.synthetic.maximum_rows=2
finish
