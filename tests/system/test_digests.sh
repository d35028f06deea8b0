#!/usr/bin/env bash
# One config, one digest: on any number of ranks, with silos placed differently, with sums taken
# between nodes, by any of MPI's reduce algorithms.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables

# digest_of RANKS [mpirun flags --] WORDS...: trains quietly and prints the model's digest.
digest_of() {
    local ranks=$1 flags=; shift
    while [ "$1" != -- ]; do flags="$flags $1"; shift; done
    shift
    # shellcheck disable=SC2086
    timeout 120 mpirun $MPIRUN_FLAGS $flags -n "$ranks" "$GRANARY" train "$@" --quiet \
        --run "$(mktemp -u run-XXXXXXXX)" >train.out 2>&1 || { tail -n 5 train.out >&2; echo "failed"; return; }
    "$GRANARY" inspect --digest "$(ls -td run-*/ | head -n 1)/model.h5"
}

want=$(digest_of 1 -- small.yaml)
check "the digest is 64 hex digits" grep -qE '^[0-9a-f]{64}$' <<<"$want"
for ranks in 2 3 4 8 9; do
    check "$ranks ranks" equal "$(digest_of $ranks -- small.yaml)" "$want"
done
check "another placement" equal "$(digest_of 4 -- small.yaml --set run.placement=cyclic)" "$want"
for group in 1 2 3; do
    check "$group ranks a node" equal \
        "$(digest_of 4 -- small.yaml --set aggregation.ranks_per_node=$group)" "$want"
done
# Each way between nodes, and what the records say of it.
for placed in "2 1" "3 1" "5 1" "8 1" "5 2" "8 2"; do
    for between in direct mpi; do
        check "between $between, $placed" equal "$(digest_of ${placed% *} -- small.yaml \
            --set aggregation.ranks_per_node=${placed#* } --set aggregation.between=$between)" "$want"
        check "the event says $between, $placed" grep -q "\"event\":\"between\".*\"way\":\"$between\"" \
            "$(ls -td run-*/ | head -n 1)/events.jsonl"
    done
done
check "between auto" equal "$(digest_of 3 -- small.yaml --set aggregation.ranks_per_node=1 --set aggregation.between=auto)" "$want"
algorithms="1 2 3 4 5 6 7"
for algorithm in $algorithms; do
    check "reduce algorithm $algorithm" equal "$(digest_of 5 \
        --mca coll_tuned_use_dynamic_rules 1 --mca coll_tuned_reduce_algorithm $algorithm \
        --mca coll_tuned_ireduce_algorithm 1 --mca coll_libnbc_iallreduce_algorithm $((algorithm % 5)) -- \
        small.yaml --set aggregation.ranks_per_node=1 --set aggregation.between=mpi)" "$want"
done
check "another seed gives another model" differ "$(digest_of 2 -- small.yaml --set run.seed=4)" "$want"

# Updates are added as they come where many silos train on a rank, and kept where few do; with the
# batch of one silo in 40 the largest update comes from rounds of few rows and of many.
many="--set data.silos=35 --set data.partition.method=dirichlet --set data.partition.alpha=0.3"
for settings in "" "--set aggregation.encoding=ring64" "--set train.learning_rate=2 --set train.momentum=0.9" \
    "--set round.participants=20"; do
    # shellcheck disable=SC2086
    kept=$(digest_of 9 -- small.yaml $many $settings)
    check "many silos: $settings" grep -qE '^[0-9a-f]{64}$' <<<"$kept"
    for ranks in 1 2 3; do
        # shellcheck disable=SC2086
        check "many silos on $ranks ranks: $settings" equal "$(digest_of $ranks -- small.yaml $many $settings)" "$kept"
    done
done

# In bfloat16, where the processor has it: one silo's batches of odd rows too.
if "$GRANARY" train small.yaml --set model.compute=bfloat16 --quiet --run probe >probe.out 2>&1; then
    one=$(digest_of 1 -- small.yaml --set model.compute=bfloat16)
    check "bfloat16 differs" differ "$one" "$want"
    for ranks in 2 3 4 5 6 7 8; do
        check "bfloat16 on $ranks ranks" equal \
            "$(digest_of $ranks -- small.yaml --set model.compute=bfloat16)" "$one"
    done
else
    check "bfloat16 is refused" grep -q "model.compute: found bfloat16" probe.out
fi

# Other models and strategies, on two placements each.
for settings in "--set strategy.name=fedavgm" "--set round.participants=4" \
    "--set train.momentum=0.9 --set train.weight_decay=0.0001" "--set train.steps=3 --set train.epochs=0" \
    "--set model.activation=gelu" "--set model.activation=tanh --set model.initialisation=glorot" \
    "--set data.partition.method=iid" "--set data.partition.method=shards"; do
    # shellcheck disable=SC2086
    one=$(digest_of 1 -- small.yaml $settings)
    check "it differs: $settings" differ "$one" "$want"
    # shellcheck disable=SC2086
    check "$settings" equal "$(digest_of 3 -- small.yaml $settings)" "$one"
done
# Solvers, strategies and samplings, each on one rank and on two, three or five.
ranks=1
for settings in \
    "--set train.optimizer=nesterov --set train.momentum=0.9 --set train.max_gradient_norm=0.5 \
        --set round.participants=4 --set round.sampling=size --set round.share_sizes=true" \
    "--set train.optimizer=adam --set train.learning_rate=0.01 --set train.schedule.type=cosine \
        --set strategy.name=fedyogi --set strategy.server_learning_rate=0.1" \
    "--set train.optimizer=adamw --set train.weight_decay=0.1 --set train.schedule.type=step \
        --set strategy.name=fedprox --set train.proximal_mu=0.1 \
        --set round.participants=4 --set round.sampling=cyclic" \
    "--set strategy.name=fedsgd --set round.participants=4 --set round.sampling=list \
        --set round.availability=[{\"silos\":[1,2,8],\"from\":3}]" \
    "--set strategy.name=fedadam --set strategy.server_learning_rate=0.1" \
    "--set strategy.name=median --set aggregation.ranks_per_node=2" \
    "--set strategy.name=trimmed_mean --set strategy.trim=0.2 --set round.participants=6" \
    "--set strategy.name=fednova --set round.participants=6" \
    "--set aggregation.grid=public --set aggregation.clip_norm=0.5 --set aggregation.weight_max=60" \
    "--set aggregation.grid=public --set aggregation.clip_norm=9 --set aggregation.weight_max=60 \
        --set aggregation.encoding=ring64 --set round.participants=5 --set aggregation.ranks_per_node=2" \
    "--set strategy.name=scaffold --set round.participants=6 --set aggregation.ranks_per_node=2"; do
    # shellcheck disable=SC2086
    one=$(digest_of 1 -- small.yaml $settings)
    check "it differs: $settings" differ "$one" "$want"
    ranks=$((ranks == 5 ? 2 : ranks == 3 ? 5 : ranks + 1))
    # shellcheck disable=SC2086
    check "$settings on $ranks ranks" equal "$(digest_of $ranks -- small.yaml $settings)" "$one"
done
finish
