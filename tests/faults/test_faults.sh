#!/usr/bin/env bash
# What training must survive, one fault of each kind at each point of a round, then twenty-six
# cases drawn by seed. What is asserted of each: driver.sh. Under two minutes on two cores.
. "$(dirname "$0")/../system/library.sh"

# Not empty: MPI does not tell of a process that has failed.
ALONE=$(mpirun --version 2>/dev/null | grep 'Open MPI) 4')

# ---- named cases: what driver.sh takes ----------------------------------------------------------
{
    # A rank killed, before, inside and after all that a round does; others than rank 0, then rank 0.
    for point in train ready aggregate seal commit evaluate score record checkpoint write; do
        echo "shm --ranks 4 --silos 5 --fault kill:2:3:$point"
    done
    for point in train aggregate seal commit score record checkpoint write; do
        echo "shm --ranks 3 --silos 4 --fault kill:0:3:$point"
    done
    echo "tcp --ranks 3 --silos 4 --fault kill:0:4:aggregate"
    echo "tcp --ranks 4 --silos 5 --fault kill:2:3:aggregate:0.0005"
    echo "tcp --ranks 4 --silos 5 --fault kill:0:3:seal --fault kill:3:3:commit"
    # Given up, not dead, after the seal: its silo stays in the sum, and it learns what became of it.
    echo "shm --ranks 3 --silos 4 --fault stop:2:3:commit:0:2.5"
    echo "tcp --ranks 4 --silos 4 --fault stop:1:3:record:0:2.5"
    echo "shm --ranks 4 --silos 4 --fault kill:3:6:record"
    # Between checkpoints that all write together: survived, and the next is the survivors'.
    echo "shm --ranks 4 --silos 5 --set checkpoint.io=collective --fault kill:2:3:aggregate"
    echo "tcp --ranks 3 --silos 4 --set checkpoint.io=collective --fault kill:0:3:record"
    # Inside one: MPI tells of it where it has ULFM, and the others write it again, each for itself.
    [ -n "$ALONE" ] || echo "shm --ranks 4 --silos 5 --set checkpoint.io=collective --fault kill:2:3:write"
    # Of features that are scaled, by a fit that nobody makes anew.
    echo "shm --ranks 3 --silos 4 --set preprocess.scale=standardise --fault kill:0:2:train"
    # In each phase before the first round; what is fitted and counted then is without their silos.
    for point in load compare fit dictionary count open fingerprint start; do
        echo "shm --ranks 4 --silos 5 --set preprocess.scale=standardise --fault kill:2:0:$point"
    done
    for point in load fit open start; do
        echo "shm --ranks 3 --silos 4 --set preprocess.scale=standardise --fault kill:0:0:$point"
    done
    echo "tcp --ranks 4 --silos 5 --set preprocess.scale=min_max --fault kill:2:0:fit:0.0005"
    echo "shm --ranks 5 --silos 6 --set train.class_weights=balanced --fault kill:1:0:load --fault kill:4:0:load --fault kill:0:0:count"
    echo "shm --ranks 4 --silos 4 --set preprocess.scale=standardise --fault kill:0:0:fingerprint --fault kill:1:2:aggregate"
    echo "shm --ranks 3 --silos 6 --end stopped --set round.quorum=5 --set preprocess.scale=standardise --fault kill:0:0:fit"
    # Two at once; one more during the recovery; all but one, one after the other.
    echo "shm --ranks 5 --silos 6 --fault kill:1:3:aggregate --fault kill:4:3:aggregate"
    echo "shm --ranks 4 --silos 4 --fault kill:2:3:aggregate --fault kill:0:3:recover"
    echo "tcp --ranks 5 --silos 5 --fault kill:0:3:train --fault kill:1:3:recover"
    echo "shm --ranks 3 --silos 4 --fault kill:0:2:commit --fault kill:2:4:ready"
    # Struck when it is about to pass on the decision that closes the round.
    echo "tcp --ranks 6 --silos 6 --fault kill:1:3:ready:0.0005"
    echo "tcp --ranks 6 --silos 6 --fault stop:1:3:ready:0.0005"
    echo "shm --ranks 7 --silos 7 --fault stop:1:3:ready:0.0005:2.5"
    # Stopped and continued, stopped for ever, late.
    echo "shm --ranks 3 --silos 4 --fault stop:2:3:train:0:2.5"
    echo "tcp --ranks 4 --silos 4 --fault stop:2:3:aggregate:0:2.5"
    echo "shm --ranks 4 --silos 4 --fault stop:0:3:record"
    echo "shm --ranks 4 --silos 4 --fault delay:1:3:train:0:2.5"
    # An update or data that must not enter a sum; a damaged checkpoint.
    echo "shm --ranks 3 --silos 5 --fault nan:3:2:train --fault explode:0:4:train"
    echo "shm --ranks 2 --silos 3 --fault corrupt:0:3:checkpoint"
    # What a silo keeps from round to round: as the replay has it, whatever became of its rank.
    echo "shm --ranks 4 --silos 5 --set aggregation.encoding=ring16 --fault kill:2:3:aggregate"
    echo "tcp --ranks 4 --silos 5 --set aggregation.encoding=ring16 --fault kill:2:3:commit"
    echo "shm --ranks 3 --silos 4 --set aggregation.encoding=ring16 --fault stop:2:3:commit:0:2.5"
    echo "shm --ranks 4 --silos 4 --end stopped --set round.quorum=4 --set aggregation.encoding=ring16 --fault kill:2:3:commit"
    echo "shm --ranks 4 --silos 5 --set train.state=keep --set train.momentum=0.9 --fault kill:2:3:commit"
    echo "shm --ranks 3 --silos 4 --set train.state=keep --set train.optimizer=adam --fault stop:2:3:commit:0:2.5"
    # Updates side by side: before the slices, while they travel, once they are combined.
    echo "shm --ranks 4 --silos 6 --set strategy.name=median --fault kill:2:3:aggregate"
    echo "shm --ranks 3 --silos 5 --set strategy.name=trimmed_mean --set strategy.trim=0.2 --fault kill:0:3:seal"
    echo "tcp --ranks 4 --silos 6 --set strategy.name=median --set model.hidden=[300,300] --fault kill:2:3:aggregate:0.0005"
    echo "tcp --ranks 4 --silos 5 --set strategy.name=median --fault kill:0:3:seal --fault kill:3:3:commit"
    echo "shm --ranks 3 --silos 4 --set strategy.name=median --fault stop:2:3:aggregate:0:2.5"
    # A second vector in the sum, and one that a silo keeps.
    echo "shm --ranks 4 --silos 5 --set strategy.name=scaffold --fault kill:2:3:aggregate"
    echo "tcp --ranks 4 --silos 5 --set strategy.name=scaffold --fault kill:2:3:commit"
    echo "shm --ranks 3 --silos 4 --set strategy.name=scaffold --set aggregation.encoding=ring16 --fault stop:2:3:commit:0:2.5"
    echo "shm --ranks 4 --silos 4 --end stopped --set round.quorum=4 --set strategy.name=scaffold --fault kill:2:3:commit"
    echo "shm --ranks 4 --silos 5 --set strategy.name=fednova --fault kill:0:3:aggregate"
    # On a grid that does not depend on who is left.
    echo "shm --ranks 4 --silos 5 --set aggregation.grid=public --set aggregation.clip_norm=1 --set aggregation.weight_max=50 --fault kill:2:3:aggregate"
    # Too few are left: stopped, and resumed with everybody.
    echo "shm --ranks 4 --silos 4 --end stopped --set round.quorum=4 --fault kill:2:3:train"
    echo "shm --ranks 3 --silos 6 --end stopped --set round.quorum=5 --fault kill:0:4:aggregate"
} >named
# soak WORDS...: soak.sh's cases count as ours.
soak() {
    local verdict
    bash "$TESTS/faults/soak.sh" "$@" >"$OUT" 2>&1
    verdict=$(tail -n 1 "$OUT")
    if ! grep -qE '^[0-9]+ passed, [0-9]+ failed$' <<<"$verdict"; then
        cat "$OUT"; echo "FAILED: soak.sh $*: no verdict"
        FAILED=$((FAILED + 1))
        return
    fi
    sed '$d' "$OUT"
    PASSED=$((PASSED + ${verdict%% *}))
    verdict=${verdict#*, }
    FAILED=$((FAILED + ${verdict%% *}))
}
soak --list named
soak 12 1 shm
soak 8 101 tcp
soak 6 1 early

# ---- a damaged checkpoint, and a death after it: resumed from the one before --------------------
cat >base.yaml <<'YAML'
run: {name: base, rounds: 6, rehearsal: true}
data: {source: synthetic, silos: 4, synthetic: {features: 8, classes: 3, minimum_rows: 20, maximum_rows: 60, test_rows: 5}}
model: {type: mlp, hidden: [8]}
train: {learning_rate: 0.05, batch_size: 8}
YAML
check "undisturbed" exits 0 on_ranks 2 train base.yaml --quiet --run whole
want=$("$GRANARY" inspect --digest whole/model.h5)
# Without --enable-recovery the job ends with its rank.
# shellcheck disable=SC2086
mpirun $MPIRUN_FLAGS -n 2 "$GRANARY" train base.yaml --quiet --run torn --set round.quorum=4 \
    --set "faults=[{kind: corrupt, silo: 0, round: 4, point: checkpoint}, {kind: kill, silo: 3, round: 5}]" \
    --set round.deadline_s=1.5 >"$OUT" 2>&1 </dev/null
check "it ended early" test ! -e torn/model.h5
check "its newest checkpoint is damaged" exits 65 "$GRANARY" inspect "$(ls torn/checkpoints/*.h5 | tail -n 1)"
check "resumed" exits 0 on_ranks 2 train base.yaml --quiet --run torn --resume
check "from the one before" grep -q "passed over" torn/events.jsonl
check "same digest" equal "$("$GRANARY" inspect --digest torn/model.h5)" "$want"

# mpirun --enable-recovery ends with 0 however its ranks end: `granary run` tells.
check "below quorum" exits 75 "$GRANARY" run -n 2 --restarts 0 --run below base.yaml --set round.quorum=4 \
    --set "faults=[{kind: kill, silo: 3, round: 3}]" --set round.deadline_s=1.5
check "resumed" exits 0 on_ranks 2 train base.yaml --quiet --run below --resume
check "same digest" equal "$("$GRANARY" inspect --digest below/model.h5)" "$want"

# A rank dies in the midst of a checkpoint that all write together: nobody can go on, and the job
# ends within the watchdog's time (the deadline, its bytes, a second), to be resumed.
for silo in ${ALONE:+0 3}; do
    SECONDS=0
    check "lost in a collective checkpoint" exits 75 "$GRANARY" run -n 2 --restarts 0 --run together-$silo base.yaml \
        --set checkpoint.io=collective --set round.collective_deadline_s=2 \
        --set "faults=[{kind: kill, silo: $silo, round: 3, point: write}]"
    check "in the watchdog's time" test $SECONDS -lt 20
    check "which file is named" says "round-000003.0.h5.tmp: the ranks do not get on"
    check "nothing half-written" equal "$(ls together-$silo/checkpoints | xargs)" "round-000001.h5 round-000002.h5"
    check "resumed" exits 0 "$GRANARY" run -n 2 --run together-$silo base.yaml --set checkpoint.io=collective --resume
    check "its leftovers are gone" equal "$(ls -A together-$silo/checkpoints | xargs)" "round-000005.h5 round-000006.h5"
    check "the manifest tells the way" grep -q '"checkpoint_io": "collective"' together-$silo/manifest.json
    check "same digest" equal "$("$GRANARY" inspect --digest together-$silo/model.h5)" "$want"
done

# Rank 0 dies, too few are left, and the next one cannot take the records over: all end alike.
timeout 60 "$GRANARY" run -n 4 --restarts 0 --quiet --run barred base.yaml --set run.rounds=9 --set round.quorum=4 \
    --set "faults=[{kind: delay, silo: 1, round: 2, seconds: 2}, {kind: kill, silo: 0, round: 8}]" \
    --set round.deadline_s=3 --set round.collective_deadline_s=2 >barred.out 2>&1 </dev/null &
job=$!
for _ in $(seq 400); do
    [ "$(cat barred/metrics.jsonl 2>/dev/null | wc -l)" -lt 1 ] || break
    sleep 0.05
done
mv barred/events.jsonl events; mkdir barred/events.jsonl
wait $job
check "no take-over, below quorum" equal $? 75
check "no rank crashes" bash -c "! grep -iE 'signal|segmentation|address' barred.out"
check "seven rounds are kept" test -e barred/checkpoints/round-000007.h5
rmdir barred/events.jsonl; mv events barred/events.jsonl
check "resumed" exits 0 on_ranks 2 train base.yaml --quiet --run barred --resume --set run.rounds=9
check "all rounds" equal "$(wc -l <barred/metrics.jsonl)" 9

# ---- faults only where they are rehearsed ------------------------------------------------------
check "faults are refused" exits 78 "$GRANARY" train base.yaml --quiet --set run.rehearsal=false \
    --set "faults=[{kind: kill, silo: 0, round: 1}]"
check "and why" says run.rehearsal

# ---- the disk fills up, and has room again ------------------------------------------------------
# Held up in round 10, in which the disk is filled, and in round 30, in which that is undone.
full_disk() {
    check "undisturbed" exits 0 on_ranks 2 train base.yaml --quiet --run whole-40 --set run.rounds=40
    # shellcheck disable=SC2086
    mpirun $MPIRUN_FLAGS -n 2 "$GRANARY" train base.yaml --quiet --run disk/run --set run.rounds=40 \
        --set "faults=[{kind: delay, silo: 0, round: 10, seconds: 2}, {kind: delay, silo: 0, round: 30, seconds: 4}]" \
        --set round.heartbeat_s=0 >train.out 2>&1 </dev/null &
    job=$!
    for _ in $(seq 200); do
        [ "$(cat disk/run/metrics.jsonl 2>/dev/null | wc -l)" -lt 9 ] || break
        sleep 0.05
    done
    sleep 0.3
    cat /dev/zero >disk/filler 2>/dev/null
    sleep 3.5
    check "training has not ended" kill -0 $job
    check "a checkpoint is there" bash -c 'ls disk/run/checkpoints/round-*.h5 >/dev/null'
    for file in disk/run/checkpoints/round-*.h5; do
        check "and whole" exits 0 "$GRANARY" inspect "$file"
    done
    rm disk/filler
    wait $job
    check "it went on to the end" equal $? 0
    check "a line a round" equal "$(wc -l <disk/run/metrics.jsonl)" 40
    check "told" grep -q '"event": *"alert"' disk/run/events.jsonl
    check "the chain is whole" exits 0 "$GRANARY" inspect disk/run
    check "same digest" equal "$("$GRANARY" inspect --digest disk/run/model.h5)" "$("$GRANARY" inspect --digest whole-40/model.h5)"
}
mkdir disk
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=4m tmpfs disk 2>/dev/null; then
    trap 'umount -l "$SCRATCH/disk"; rm -rf "$SCRATCH"' EXIT
    full_disk
else
    echo "skipped: a full disk; only root can make one"
fi
finish
