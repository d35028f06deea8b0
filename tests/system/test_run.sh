#!/usr/bin/env bash
# granary run: the launcher killed, signals, mistakes, hosts that are gone; nothing left behind.
. "$(dirname "$0")/library.sh"
cat >small.yaml <<'YAML'
run: {name: small, rounds: 8000, seed: 3}
data:
  source: synthetic
  silos: 6
  synthetic: {alpha: 1, beta: 1, features: 20, classes: 4, minimum_rows: 40, maximum_rows: 60, test_rows: 5}
model: {type: softmax}
train: {learning_rate: 0.05, batch_size: 10, epochs: 5}
checkpoint: {every: 50}
YAML

lines() { cat "$1" 2>/dev/null | wc -l; }
# wait_round DIR N: until N rounds are recorded.
wait_round() { wait_lines "$1/metrics.jsonl" "$2"; }
# start DIR OPTIONS...: granary run in the background, which a shell has ignore SIGINT, in $job; its stderr in DIR.log.
start() {
    env --default-signal=INT,HUP "$GRANARY" run -n 3 small.yaml --quiet --run "$@" >"$1.out" 2>"$1.log" </dev/null &
    job=$!
}
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }
event() { grep -c "\"event\":\"$2\"" "$1/events.jsonl"; }

# ---- a run without faults -----------------------------------------------------------------------
check "undisturbed" exits 0 "$GRANARY" run -n 3 small.yaml
want=$(digest runs/latest)
check "named as a run of train" grep -q '/runs/small-[0-9]*-[0-9]*-[0-9]*$' <<<"$(readlink -f runs/latest)"
check "output is passed through" prints "finished 8000 of 8000"
check "the folder holds the run alone" equal "$(ls -A runs | wc -l)" 2
check "launcher options" exits 0 "$GRANARY" run -n 2 small.yaml --set run.rounds=2 --run opt --quiet -- -x GRANARY_TEST_MARK
check "options that are its own as well" exits 0 "$GRANARY" run -n 5 small.yaml --set run.rounds=2 --run own --quiet -- --map-by slot
check "on a host" exits 0 "$GRANARY" run -n 2 small.yaml --set run.rounds=2 --run host --quiet --host localhost:2
printf '# here\nlocalhost slots=2\n' >hosts
check "on hosts of a file" exits 0 "$GRANARY" run -n 2 small.yaml --set run.rounds=2 --run hostfile --quiet --hostfile hosts

# ---- the launcher dies --------------------------------------------------------------------------
start killed --backoff 0.1
check "runs" wait_round killed 600
check "the second on one directory refuses" exits 73 "$GRANARY" run -n 2 small.yaml --run killed --resume
check "and says why" says "in use"
check "it does not try again" equal "$(grep -c restart "$ERR")" 1
kill -KILL "$(pgrep -P $job)"
wait $job; code=$?
check "launcher killed: exit code 0" equal $code 0
check "it says so" grep -q "launcher died; restart 1 of 5, from round [0-9]*[05]0, on 3 ranks" killed.log
check "same digest" equal "$(digest killed)" "$want"
check "a line a round" equal "$(lines killed/metrics.jsonl)" 8000
check "one restart in the events" equal "$(event killed restarted)" 1
check "with its reason" grep -q '"restarted".*"attempt":1,"reason":"launcher died","ranks":3' killed/events.jsonl
check "the chain of events is whole" exits 0 "$GRANARY" inspect killed
check "nothing left" none_left
check "no status file left" equal "$(ls -A | grep -c status)" 0

start frozen --backoff 0.1
check "runs" wait_round frozen 600
launcher=$(pgrep -P $job)
kill -STOP $(ours granary | grep -vx $job)
kill -KILL "$launcher"
wait $job; code=$?
check "launcher killed, its ranks suspended: exit code 0" equal $code 0
check "same digest" equal "$(digest frozen)" "$want"
check "nothing left" none_left

# ---- signals ------------------------------------------------------------------------------------
for signal in TERM INT USR1 HUP; do
    start stop-$signal
    check "runs" wait_round stop-$signal 200
    kill -$signal $job; wait $job; code=$?
    check "SIG$signal: exit code 75" equal $code 75
    check "SIG$signal: no restart" equal "$(event stop-$signal restarted)" 0
    check "SIG$signal: a checkpoint of the last round" test -e \
        "$(printf 'stop-%s/checkpoints/round-%06d.h5' $signal "$(lines stop-$signal/metrics.jsonl)")"
    check "SIG$signal: nothing left" none_left
done
check "resumed on 2 ranks" exits 0 "$GRANARY" run -n 2 small.yaml --quiet --run stop-TERM --resume
check "same digest" equal "$(digest stop-TERM)" "$want"

start stuck --grace 2
check "runs" wait_round stuck 200
kill -STOP $(ours granary | grep -vx $job)
kill -TERM $job; wait $job; code=$?
check "ranks that do not answer: exit code 75" equal $code 75
check "nothing left" none_left

start insist
check "runs" wait_round insist 200
kill -STOP $(ours granary | grep -vx $job)
kill -TERM $job; sleep 1; kill -TERM $job; wait $job; code=$?
check "a second SIGTERM: exit code 75" equal $code 75
check "nothing left" none_left
check "resumed" exits 0 "$GRANARY" run -n 2 small.yaml --quiet --run insist --resume
check "same digest" equal "$(digest insist)" "$want"

start orphaned --set run.rounds=800000
check "runs" wait_round orphaned 200
kill -KILL $job; wait $job 2>/dev/null
check "granary run killed: nothing left" none_left
check "resumed" exits 0 "$GRANARY" run -n 2 small.yaml --quiet --run orphaned --resume
check "same digest" equal "$(digest orphaned)" "$want"

# A daemon that leaves the launcher's process group, as a runtime's may: ours to end all the same.
# (`exec -a` names it, so that no other sleep is meant.)
cat >mpirun-daemon <<'SH'
#!/bin/bash
[ "${1:-}" = --version ] || setsid bash -c 'exec -a granary-daemon sleep 300' &
exec mpirun "$@"
SH
chmod +x mpirun-daemon
check "a launcher with a daemon" env GRANARY_MPIRUN="$PWD/mpirun-daemon" \
    "$GRANARY" run -n 2 small.yaml --set run.rounds=2 --run daemon --quiet
check "the daemon does not outlive it" equal "$(pgrep -fx 'granary-daemon 300' | wc -l)" 0

# ---- mistakes -----------------------------------------------------------------------------------
check "no ranks" exits 64 "$GRANARY" run small.yaml
check "it is named" says "-n RANKS is missing"
check "no config" exits 64 "$GRANARY" run -n 2
check "0 ranks" exits 64 "$GRANARY" run -n 0 small.yaml
check "half a restart" exits 64 "$GRANARY" run -n 2 small.yaml --restarts 1.5
check "both kinds of hosts" exits 64 "$GRANARY" run -n 2 small.yaml --host a --hostfile hosts
check "no slots" exits 64 "$GRANARY" run -n 2 small.yaml --host a:0
check "an empty host" exits 64 "$GRANARY" run -n 2 small.yaml --host a,,b
check "no hosts in a file" exits 64 "$GRANARY" run -n 2 small.yaml --hostfile /dev/null
echo "a slots=many" >bad-hosts
check "slots that are no number" exits 64 "$GRANARY" run -n 2 small.yaml --hostfile bad-hosts
check "they are named with the line" says "bad-hosts:1"
check "bad config" exits 78 "$GRANARY" run -n 2 small.yaml --set run.rouns=3 --run bad
check "no restart" equal "$(grep -c restart "$ERR")" 0
check "nothing made" test ! -e bad
check "bad data" exits 65 "$GRANARY" run -n 2 small.yaml --set data.source=idx --run bad \
    --set 'data.train={features: small.yaml, labels: small.yaml}' --set 'data.test={features: small.yaml, labels: small.yaml}'
check "a directory with a run" exits 73 "$GRANARY" run -n 2 small.yaml --run killed
check "nothing to resume" exits 64 "$GRANARY" run -n 2 small.yaml --run nowhere --resume
check "nothing made" test ! -e nowhere
check "an option the launcher lacks" exits 70 "$GRANARY" run -n 2 small.yaml --run bad -- --no-such-option
# Open MPI 5 refuses --map-by when it is there twice: it is left to the user.
cat >five <<'SH'
#!/bin/bash
[ "$1" != --version ] || { echo "mpirun (Open MPI) 5.0.7"; exit; }
printf '%s\n' "$@" >five-words
exit 1
SH
chmod +x five
GRANARY_MPIRUN=./five "$GRANARY" run -n 3 small.yaml --run five-run -- --map-by node 2>/dev/null
check "Open MPI 5: lost ranks are survived" equal "$(grep -cx -e --with-ft -e ulfm five-words)" 2
check "Open MPI 5: more ranks than cores" grep -qx :oversubscribe five-words
check "Open MPI 5: --map-by is the user's" equal "$(grep -cx -e --map-by five-words)" 1
# A rank that dies within MPI_Init there ends the launcher with the code of the others, which cannot
# reach it; so does a wrong choice of networks, always.
cat >unreachable <<'SH'
#!/bin/bash
[ "$1" != --version ] || exec mpirun "$@"
echo x >>starts
[ "$(wc -l <starts)" -gt "$UNREACHABLE" ] || exit 14
exec mpirun "$@"
SH
chmod +x unreachable
# unreachable CODE TIMES OPTIONS...
unreachable() {
    rm -f starts
    exits "$1" env GRANARY_MPIRUN=./unreachable UNREACHABLE="$2" "$GRANARY" run -n 2 small.yaml \
        --set run.rounds=2 --quiet --backoff 0 "${@:3}"
}
check "unreachable once" unreachable 0 1 --run once
check "is started again" says "granary run: launcher gave up; restart 1 of 5"
check "twice" unreachable 70 2 --run twice
check "is no chance" says "the launcher ended with code 14 before training began"
check "without restarts" unreachable 75 1 --run none --restarts 0
check "no launcher" env GRANARY_MPIRUN=/nowhere/mpirun bash -c '"$GRANARY" run -n 2 small.yaml 2>/dev/null; [ $? = 64 ]'
check "a launcher of another make" env GRANARY_MPIRUN=/bin/ls bash -c '"$GRANARY" run -n 2 small.yaml 2>/dev/null; [ $? = 64 ]'

# Whoever was cut off ends later than the others, and otherwise.
echo 0 >note
check "an error" env GRANARY_STATUS_FILE=note bash -c '"$GRANARY" train small.yaml --run killed 2>/dev/null; [ $? = 73 ]'
check "a noted 0 stays" equal "$(cat note)" 0
rm note

# ---- launchers that behave badly ----------------------------------------------------------------
real=$(command -v mpirun)
cat >dies <<SH
#!/bin/sh
[ "\$1" != --version ] || exec "$real" --version
echo "\$*" >>dies.log
kill -KILL \$\$
SH
# Dies in the first start; "gone" does not answer; what is left is this host under another name.
cat >loses <<SH
#!/bin/bash
[ "\$1" != --version ] || exec "$real" --version
echo "\$*" >>loses.log
case "\$*" in
*"--host gone true") exit 1 ;;
*"--host stays true") exit 0 ;;
*gone*) kill -KILL \$\$ ;;
*) exec "$real" "\${@/#stays:2/localhost:2}" ;;
esac
SH
# Open MPI 4 over several hosts after the death of a rank: all ranks have left, it stays; so does
# what it started.
cat >stays <<SH
#!/bin/bash
[ "\$1" != --version ] || exec "$real" --version
echo "\$*" >>stays.log
if [ -e quorum ]; then mv quorum quorum.lost; echo 75 >"\$GRANARY_STATUS_FILE"; else "$real" "\$@"; fi
sleep 3600 &
trap "" TERM
while :; do sleep 3600; done
SH
chmod +x dies loses stays
# outlives NAME CODE OPTIONS...: with that launcher.
outlives() {
    local name=$1 code=$2; shift 2
    rm -f stays.log
    check "$name: exit code $code" exits "$code" env GRANARY_MPIRUN=./stays "$GRANARY" run -n 2 small.yaml --quiet --backoff 0.1 "$@"
    check "$name: it says so" says "the launcher outlives its run by"
    check "$name: nothing left" none_left 'granary|mpirun|prterun|stays|sleep'
}
outlives "a launcher that stays" 0 --set run.rounds=5 --run stays-run
check "no restart" equal "$(event stays-run restarted)" 0
check "one start" equal "$(lines stays.log)" 1
check "finished" exits 0 "$GRANARY" inspect stays-run
short="--set round.deadline_s=2 --set round.collective_deadline_s=1 --set round.heartbeat_s=1"
outlives "it stays after an error" 73 $short --run killed
check "one start" equal "$(lines stays.log)" 1
touch quorum
outlives "it stays after the quorum was lost" 0 $short --set run.rounds=5 --run quorum-run
check "two starts" equal "$(lines stays.log)" 2
check "restarts are limited" env GRANARY_MPIRUN=./dies bash -c \
    '"$GRANARY" run -n 2 small.yaml --run dies-run --restarts 2 --backoff 0.1 2>dies.err; [ $? = 75 ]'
check "three starts" equal "$(lines dies.log)" 3
check "it says so" grep -q "given up after 2 restarts" dies.err
check "--restarts 0" env GRANARY_MPIRUN=./dies bash -c \
    '"$GRANARY" run -n 2 small.yaml --run dies-run --restarts 0 2>/dev/null; [ $? = 75 ]'
check "one start" equal "$(lines dies.log)" 4
check "a host is lost" env GRANARY_MPIRUN=./loses bash -c \
    '"$GRANARY" run -n 4 --host stays:2,gone:2 small.yaml --quiet --set run.rounds=5 --run loses-run --backoff 0.1 2>loses.err'
check "first on both" grep -q -- "-n 4 --host stays:2,gone:2" <<<"$(head -n 1 loses.log)"
check "then on the one that is left" grep -q -- "-n 2 --host stays:2 " <<<"$(tail -n 1 loses.log)"
check "it says so" grep -q "on 2 ranks" loses.err
check "another's run is not resumed" env GRANARY_MPIRUN=./dies bash -c \
    '"$GRANARY" run -n 2 small.yaml --run killed --restarts 1 --backoff 0.1 2>/dev/null; ! grep -q -- "--run killed --resume" dies.log'
check "nor noted in it" equal "$(event killed restarted)" 1
check "no status file left" equal "$(ls -A | grep -c status)" 0
finish
