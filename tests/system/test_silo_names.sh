#!/usr/bin/env bash
# Silos with names: their order does not matter to the model, and a silo that sits out every round is
# the same as one that is not there, to the last bit.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
. "$TESTS/system/tables.sh"
for seed in 1 2 3 4 5; do table $((seed * 77)) $((40 + 9 * seed)) >$seed.csv; done
echo "$columns" >schema.yaml

# config NAME=FILE...: of these silos in this order; $list: round.availability.
config() {
    local tables='' names='' word
    for word; do names="$names{name: ${word%=*}}, " tables="$tables{file: ${word#*=}.csv}, "; done
    cat <<YAML
run: {rounds: 4, seed: 5}
data: {source: csv, schema: schema.yaml, validation_fraction: 0.2, silo_tables: [$tables]}
silos: [$names]
model: {type: mlp, hidden: [6]}
train: {learning_rate: 0.05, batch_size: 8}
round: {availability: [${list:-}]}
YAML
}
config bern=1 graz=2 linz=3 rome=4 nice=5 >all.yaml
config nice=5 linz=3 bern=1 rome=4 graz=2 >mixed.yaml
list="{silos: [0]}" config bern=1 graz=2 rome=4 nice=5 >without.yaml
list="{silos: [2], from: 1000}" config bern=1 graz=2 linz=3 rome=4 nice=5 >away.yaml
list="{silos: [1], from: 1000}" config nice=5 linz=3 bern=1 rome=4 graz=2 >away-mixed.yaml

# of CONFIG RANKS WORDS...: the model's digest.
of() {
    rm -rf run
    local launch="mpirun $MPIRUN_FLAGS -n $2"
    [ "$2" -gt 1 ] || launch=
    # shellcheck disable=SC2086
    timeout 60 $launch "$GRANARY" train "$1" --run run --quiet "${@:3}" >train.out 2>&1 </dev/null ||
        { tail -n 3 train.out >&2; echo "failed $RANDOM"; return; }
    "$GRANARY" inspect --digest run/model.h5
}
set_all() { local word; words=(); for word; do words+=(--set "$word"); done; }

# Whatever the order.
for setting in "" "preprocess.scale=standardise train.class_weights=balanced" \
    "train.optimizer=adam train.state=keep aggregation.encoding=ring16" \
    "train.momentum=0.9 aggregation.encoding=ring64 strategy.name=fedavgm" "strategy.name=scaffold" \
    "strategy.name=median" "strategy.name=trimmed_mean strategy.trim=0.2" "strategy.name=fedadam" "strategy.name=fednova" \
    "round.participants=3" "round.participants=3 round.sampling=size round.share_sizes=true" \
    "round.participants=2 round.sampling=cyclic" \
    "aggregation.grid=public aggregation.clip_norm=1 aggregation.weight_max=100"; do
    # shellcheck disable=SC2086
    set_all $setting
    want=$(of all.yaml 1 "${words[@]}")
    check "in another order: $setting" equal "$(of mixed.yaml "${ranks:-2}" "${words[@]}")" "$want"
    ranks=1
done

# Dropout, of images.
for silo in x y z; do
    idx_images $silo-images 40 "$(printf %d "'$silo")"; idx_labels $silo-labels 40
done
for order in "x y z" "z x y"; do
    { echo 'run: {rounds: 2}'
      echo "silos: [$(for silo in $order; do echo "{name: $silo},"; done)]"
      echo "data: {source: idx, silo_tables: [$(for silo in $order; do echo "{features: $silo-images, labels: $silo-labels},"; done)]}"
      echo 'model: {type: cnn, layers: [{type: dropout, rate: 0.3}, {type: dense, width: 6}]}'
      echo 'train: {learning_rate: 0.1, batch_size: 8}'; } >"images-${order:0:1}.yaml"
done
check "dropout in another order" equal "$(of images-z.yaml 1)" "$(of images-x.yaml 1)"

# Without one, and with one that always sits out; SCAFFOLD and a turn of silos count all there are.
for setting in "" "train.optimizer=adam train.state=keep aggregation.encoding=ring16" \
    "strategy.name=fedavgm aggregation.encoding=ring64" "strategy.name=median" "round.participants=2" \
    "strategy.name=fednova round.participants=3" \
    "aggregation.grid=public aggregation.clip_norm=1 aggregation.weight_max=100"; do
    # shellcheck disable=SC2086
    set_all round.sampling=list $setting
    want=$(of without.yaml 1 "${words[@]}")
    check "one that sits out: $setting" equal "$(of away.yaml 1 "${words[@]}")" "$want"
    check "in another order: $setting" equal "$(of away-mixed.yaml 1 "${words[@]}")" "$want"
done
check "with it the model is another" differ "$(of all.yaml 1)" "$(of without.yaml 1 --set round.sampling=list)"

# A run that is gone on with keeps its names.
of all.yaml 1 >/dev/null
check "renamed, it is another run" exits 78 "$GRANARY" train all.yaml --run run --resume --set run.rounds=5 --set 'silos=[{name: bern}, {name: graz}, {name: linz}, {name: rome}, {name: oslo}]'
check "and the names are told" says "silos[].name: [bern, graz, linz, rome, nice] then"
finish
