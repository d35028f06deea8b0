#!/usr/bin/env bash
# granary watch, by its lines and through a pseudo terminal: a run that is finished, under way, torn,
# killed and gone; what the terminal is like afterwards.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables
check "a run" exits 0 "$GRANARY" train small.yaml --run runs/whole --quiet

# ---- lines ------------------------------------------------------------------------------------
check "not on a terminal" exits 0 "$GRANARY" watch runs/whole
check "a line a round, and the state" equal "$(wc -l <"$OUT")" 7
check "each with its figures" grep -qE '^round 6/6  accuracy [0-9.]+ %  loss [0-9.]+  9 silos  [0-9.e-]+ s  ' "$OUT"
check "the state" equal "$(tail -n 1 "$OUT")" "whole: finished"
check "nothing of a terminal's" bash -c "! grep -q $'\e' '$OUT'"
check "the accuracy of the records" grep -qF "round 6/6  accuracy $(sed -n '6s/.*"test_accuracy":\([0-9.]*\).*/\1/p' runs/whole/metrics.jsonl | awk '{printf "%.2f", 100 * $1}') %" "$OUT"
check "no run" exits 65 "$GRANARY" watch silos.yaml
mkdir nothing
check "nor runs" exits 65 "$GRANARY" watch nothing
check "it is told what was looked for" says "neither a run directory nor a folder of some"
check "needs a folder" exits 64 "$GRANARY" watch
check "to nobody" bash -c '"$GRANARY" watch runs/whole >/dev/full 2>/dev/null; [ $? = 73 ]'
before=$(find runs -printf '%p %s %T@ %i\n' | sort | cksum)
check "it leaves all as it is" bash -c '"$GRANARY" watch runs >/dev/null'
check "all" equal "$before" "$(find runs -printf '%p %s %T@ %i\n' | sort | cksum)"

cp -r runs/whole torn
head -c -60 runs/whole/metrics.jsonl >torn/metrics.jsonl
printf '{"n":1,"event":"alert","round":2,"what":"\\u001b[2J low"}\n\x80\xff{\n{"n":' >>torn/events.jsonl
echo '{"name": ' >torn/manifest.json
check "torn files" exits 0 "$GRANARY" watch torn
check "all whole lines" equal "$(grep -c '^round [1-5]/0 ' "$OUT")" 5
check "an alert, without its control characters" prints "round 2: alert: ?[2J low"
check "the state is not known" prints "torn: not known"

slow="--set run.rehearsal=true --set run.rounds=8"
# shellcheck disable=SC2086
"$GRANARY" train small.yaml $slow --run live --quiet --set "faults=[{kind: delay, silo: 0, round: 4, seconds: 3}]" >/dev/null 2>&1 &
wait_lines live/metrics.jsonl 1
check "one under way, to its end" exits 0 "$GRANARY" watch live
wait
check "each round once" equal "$(grep -o '^round [0-9]*' "$OUT" | tr -dc '0-9\n' | tr '\n' ' ')" "1 2 3 4 5 6 7 8 "
check "until it has ended" equal "$(tail -n 1 "$OUT")" "live: finished"
# shellcheck disable=SC2086
"$GRANARY" train small.yaml $slow --run runs/killed --quiet --set "faults=[{kind: delay, silo: 0, round: 4, seconds: 30}]" >/dev/null 2>&1 &
wait_lines runs/killed/metrics.jsonl 3
signal_ours KILL granary
wait 2>/dev/null
check "a killed one" exits 0 "$GRANARY" watch runs/killed
check "is told to be so" prints "killed: interrupted: no process holds it; --resume goes on"
check "several" exits 0 "$GRANARY" watch runs
check "each line with its run" grep -q '^whole: round 6/6 ' "$OUT"
check "of each" grep -q '^killed: round 3/8 ' "$OUT"

# ---- a screen ---------------------------------------------------------------------------------
# on_screen WIDTH HEIGHT KEYS WORDS...: granary watch on a terminal of that size; the keys are typed
# one after the other. `shown` is the last screen, `before` and `after` the terminal's settings.
on_screen() {
    local width=$1 height=$2 keys=$3 i; shift 3
    { sleep 1; for ((i = 0; i < ${#keys}; i++)); do printf '%s' "${keys:i:1}"; sleep 0.7; done; } |
        timeout 30 script -qec "stty cols $width rows $height; stty -a >before; env TERM=xterm $* '$GRANARY' watch $watched; echo \$? >code; stty -a >after" /dev/null >bytes
    perl "$TESTS/system/screen.pl" "$width" "$height" <bytes >shown
}
# whole_screen: no byte but known ones, none out of the screen, and the terminal as it was.
whole_screen() {
    cmp before after && grep -qE '^cursor on, alternate off, ink off, faults 0(, coloured)?$' shown || { tail -n 1 shown; return 1; }
}
watched=runs/whole
on_screen 80 24 q LC_ALL=C.UTF-8
check "on a terminal of 80 x 24" whole_screen
check "q ends" equal "$(cat code)" 0
check "title and state" grep -qE '^small  whole +finished$' shown
check "rounds" grep -qE '^round +6 of 6 \[#+\] 100 %' shown
check "scores" grep -qE '^scores +test [0-9.]+ %  best [0-9.]+ % in round [1-6]' shown
check "curves" grep -qE 'test accuracy, % +training loss$' shown
check "of dots" grep -q '[⠁-⣿]' shown
check "phases" grep -qE '^phases +train [0-9]+ %  aggregate [0-9]+ %' shown
check "bytes" grep -qE '^sent +[0-9.]+ [KM]?i?B, .* a round; 9 silos on 1 rank; checkpoint of round 6$' shown
check "silos" grep -qxF 'silos    9 of 9 took part in round 6; none has missed a round' shown
check "events" grep -qE '^events +0 alerts of [0-9]+$' shown
check "what to do" grep -qE '^q ends +last record ' shown
check "in colours" grep -q coloured shown
on_screen 200 60 q LC_ALL=C.UTF-8 NO_COLOR=1
check "200 x 60" whole_screen
check "without colours" bash -c '! grep -q coloured shown'
check "four curves" grep -qE 'test accuracy, % +test loss +training loss +ms a round' shown
on_screen 80 24 q LC_ALL=C
check "a terminal without UTF-8" whole_screen
check "has plain characters" bash -c '! LC_ALL=C grep -q "[^ -~]" shown && grep -q "\*" shown'
on_screen 20 5 q LC_ALL=C.UTF-8
check "a tiny one" whole_screen
watched=runs
on_screen 80 24 q LC_ALL=C.UTF-8
check "a list" whole_screen
check "of both" grep -qE '^runs +2 runs, 0 under way$' shown
check "the killed" grep -qE '^killed +\[###\.+\] +3 .* interrupted: ' shown
check "the whole" grep -qE '^whole +\[##########\] +6 .* finished$' shown
on_screen 80 24 $'j\rq' LC_ALL=C.UTF-8
check "the second is shown" grep -qE '^small  whole +finished$' shown
on_screen 80 24 $'j\rbq' LC_ALL=C.UTF-8
check "and left" grep -qE '^runs +2 runs' shown
watched=torn
on_screen 80 24 q LC_ALL=C.UTF-8
check "torn files" whole_screen
check "the alert" grep -qF 'round 2 alert: ?[2J low' shown

# A window that is made larger, and a signal.
cat >inner <<'SH'
stty cols 80 rows 24; stty -a >before; tty >terminal
TERM=xterm LC_ALL=C.UTF-8 "$GRANARY" watch runs/whole; echo $? >code
stty cols 80 rows 24; stty -a >after
SH
rm -f terminal code
(timeout 30 script -qec "sh inner" /dev/null </dev/null >bytes) &
for _ in $(seq 100); do [ -s terminal ] && [ -n "$(ours granary)" ] && break; sleep 0.1; done
sleep 1
stty -F "$(cat terminal)" cols 120 rows 40
sleep 1.5
signal_ours TERM granary
wait
check "killed by a signal, it dies of it" equal "$(cat code)" 143
perl "$TESTS/system/screen.pl" 120 40 <bytes >shown
check "and leaves the terminal as it was" whole_screen
check "after it had been drawn for the new size" equal "$(sed -n '40s/ .*//p' shown)" q

# The folder goes while it is looked at.
cp -r runs/whole gone
watched=gone
(sleep 1.5; rm -r gone) &
on_screen 80 24 xxxq LC_ALL=C.UTF-8
wait
check "a folder that goes" whole_screen
check "is told so, with what was known" bash -c "grep -qE '^small  gone +the folder is gone$' shown && grep -q '6 of 6' shown"
check "TERM=dumb: lines" bash -c 'script -qec "TERM=dumb $GRANARY watch runs/whole" /dev/null </dev/null | grep -q "^round 6/6 "'
finish
