#!/usr/bin/env bash
# Studies under random faults. Each site's letters go by a folder, by a folder that bearer.c carries
# badly, by https, or by https through relay.c, which delays and cuts. Parties are killed, stopped, told
# to end and started again; links hang, are cut, or are away. A case has ended as documented when all
# parties end with 0, the audit finds nothing, and the model is that of a replay of the recorded rosters
# in one MPI job; where no silo may be missing also that of the same study in one job. Cases of odd seeds
# have secure sums, whose model is that of plain ones; none is of fewer than all three sites. Every fifth case
# the coordinator is killed once more when the last round is done, between any two files that it writes
# (mortal.c). Where it has ended and a site still waits, it is started again, as the manual says.
#   tests/faults/sites.sh BUILD CASES SEED [JOBS]     the cases SEED to SEED + CASES - 1, so many at a time
set -u
BUILD=$(cd "$1" && pwd) CASES=$2 SEED=$3 JOBS=${4:-1}
TESTS=$(cd "$(dirname "$0")/.." && pwd)
TOP=$(dirname "$TESTS")
export GRANARY=$BUILD/granary TESTS TOP BUILD
if [ "$JOBS" -gt 1 ]; then
    trap 'kill $(jobs -p) 2>/dev/null; wait; exit 130' INT TERM HUP
    each=$(((CASES + JOBS - 1) / JOBS))
    for ((lane = 0; lane * each < CASES; lane++)); do
        [ $((lane * each + each)) -le "$CASES" ] || last=$((CASES - lane * each))
        bash "$0" "$BUILD" "${last:-$each}" $((SEED + lane * each)) &
    done | {
        passed=0 failed=0
        while read -r line; do
            read -r p word f rest <<<"$line"
            if [ "$word $rest" = "passed, failed" ]; then passed=$((passed + p)) failed=$((failed + f)); else echo "$line"; fi
        done
        echo "$passed passed, $failed failed"
        [ $failed = 0 ]
    }
    exit
fi
. "$TESTS/system/library.sh"
. "$TESTS/system/sites.sh"
# Parties, and who bears their letters, end with the case, whichever way this script does.
trap 'exec 2>/dev/null; signal_ours KILL "granary|mpirun|prterun|relay|bearer"; rm -rf "$SCRATCH"' EXIT
trap 'exit 130' INT TERM HUP
ROUNDS=30
MPIRUN_FLAGS="$MPIRUN_FLAGS --mca btl self,vader"
for program in relay bearer; do
    ${CC:-cc} -O2 -D_GNU_SOURCE -o $program "$TESTS/faults/$program.c" || { echo "0 passed, 1 failed"; exit 1; }
done
${CC:-cc} -O2 -D_GNU_SOURCE -shared -fPIC -o mortal.so "$TESTS/faults/mortal.c" -ldl || { echo "0 passed, 1 failed"; exit 1; }
MORTAL_FROM=$(printf 'round-%06d.h5' $ROUNDS)

# ---- drawing: RANDOM of bash, which the case's seed begins --------------------------------------
pick() { shift $((RANDOM % $#)); drawn=$1; }
# A number of seconds up to N.
seconds() { local ms=$((RANDOM % ($1 * 1000))); drawn=$((ms / 1000)).$(printf %03d $((ms % 1000))); }

# ---- parties and links --------------------------------------------------------------------------
declare -A PID LINK WAY
number_of() { case $1 in a) echo 1 ;; b) echo 2 ;; c) echo 3 ;; esac; }
# start_link SITE: what bears its letters.
start_link() {
    local number
    number=$(number_of "$1")
    case ${WAY[$1]} in
    carried) ./bearer mail mail-"$1" "$number" $late_ms $((case_seed + number)) >>link.log 2>&1 & ;;
    relayed) ./relay $((port + number)) $port $cut_bytes 3 $((case_seed + number)) >>link.log 2>&1 & ;;
    *) return 0 ;;
    esac
    LINK[$1]=$!
}
# start PARTY
start() {
    case $1 in
    coordinator) MORTAL_FROM=$MORTAL_FROM MORTAL_AT=end LD_PRELOAD=$SCRATCH/mortal.so \
        coordinate faults --mailbox mail --listen "127.0.0.1:$port" --certificate kept/https.crt --certificate-key kept/https.key ;;
    b) if [ $ranks = 1 ]; then join b; else join_ranks b $ranks; fi ;;
    *) join "$1" ;;
    esac
    PID[$1]=$!
}
# processes PARTY: of its job, mpirun the first. A lone process has but what Open MPI 4 starts with it.
processes() {
    echo "${PID[$1]}"
    [ "$(cat "/proc/${PID[$1]}/comm" 2>/dev/null)" = granary ] || pgrep -x granary -P "${PID[$1]}"
}
alive() { kill -0 "${PID[$1]}" 2>/dev/null; }
# down PARTY SIGNAL: to any one of its processes; returns when all of them have ended, with the job's $code.
down() {
    local all=() process i
    mapfile -t all < <(processes "$1")
    drawn=$RANDOM
    kill "-$2" "${all[drawn % ${#all[@]}]}" 2>/dev/null
    for process in "${all[@]}"; do
        for ((i = 0; i < 400; i++)); do
            [ "$(sed 's/.*) //; s/ .*//' "/proc/$process/stat" 2>/dev/null | tr -d Z)" ] || break
            sleep 0.1
        done
        kill -KILL "$process" 2>/dev/null
    done
    wait "${PID[$1]}" 2>/dev/null
    code=$?
}
# hang SECONDS PROCESS...
hang() {
    kill -STOP "${@:2}" 2>/dev/null
    sleep "$1"
    kill -CONT "${@:2}" 2>/dev/null
}
rounds_done() { cat run/metrics.jsonl 2>/dev/null | wc -l; }

# ---- faults: each at a round, by its name; what was done goes into $told ------------------------
strike() {
    local kind=$1 party=$2 length=$3
    told="$told $kind:$party@$(rounds_done)"
    case $kind in
    kill)
        alive "$party" || return 0
        down "$party" KILL; sleep "$length"; start "$party" ;;
    both) # the coordinator and a site
        { alive coordinator && alive "$party"; } || return 0
        down coordinator KILL; down "$party" KILL; sleep "$length"; start "$party"; start coordinator ;;
    end) # told to, as by a batch system
        alive coordinator || return 0
        down coordinator TERM
        # 143: it had not begun to listen to signals; 137: it was at its end, and mortal.c came first.
        ! { [ $code = 137 ] && [ -e struck ]; } || { told="$told killed-at-end:$(cat struck)"; rm struck; code=75; }
        [ $code = 0 ] || [ $code = 75 ] || [ $code = 143 ] || { wrong="the coordinator ended with $code at SIGTERM"; return 0; }
        [ $code = 0 ] || { sleep "$length"; start coordinator; } ;;
    hang)
        # shellcheck disable=SC2046
        hang "$length" $(processes "$party") ;;
    cut) kill -USR1 "${LINK[$party]}" 2>/dev/null ;;
    stuck) hang "$length" "${LINK[$party]}" ;;
    away)
        kill -KILL "${LINK[$party]}"; wait "${LINK[$party]}" 2>/dev/null
        sleep "$length"; start_link "$party" ;;
    esac
}
draw_fault() {
    local link
    pick coordinator a b c; party=$drawn
    pick a b c; link=$drawn
    case ${WAY[$link]} in
    carried) pick kill kill both end hang stuck away ;;
    relayed) pick kill both end hang cut cut stuck away ;;
    *) pick kill kill both end hang ;;
    esac
    kind=$drawn
    case $kind in cut | stuck | away | both) party=$link ;; esac
    seconds 4; length=$drawn
    pick 0 0 1 2 3; [ "$drawn" = 0 ] || length=0.$drawn
    case $kind in end) party=coordinator ;; esac
}
# until_round N: or until the coordinator has ended, or 40 s.
until_round() {
    for _ in $(seq 800); do
        alive coordinator && [ "$(rounds_done)" -lt "$1" ] || return 0
        sleep 0.05
    done
}

# ---- a case -------------------------------------------------------------------------------------
draw_case() {
    local site
    RANDOM=$case_seed
    pick 4 4 3; minimum=$drawn
    pick 1 1 2; ranks=$drawn
    pick 0 100000 1000000; cut_bytes=$drawn
    pick 2 5 5 20; late_ms=$drawn
    for site in a b c; do pick mail carried https relayed relayed; WAY[$site]=$drawn; done
    pick 1 1 2 2 3; n_faults=$drawn
    secure=$((case_seed % 2))
}
# Ports below those that the kernel gives to calls, and of which none is in use.
draw_port() {
    local i
    port=$((10000 + ($$ * 16 + case_seed * 7) % 22000))
    for ((i = 0; i < 4; i++)); do
        (: <>"/dev/tcp/127.0.0.1/$((port + i))") 2>/dev/null && { port=$((port + 4)); i=-1; }
    done
}
prepare() {
    local site url policy='{minimum_silos: 2}'
    fresh
    rm -rf mail-? replay end struck
    [ $((case_seed % 5)) != 0 ] || echo $((case_seed / 5 * 7 % 70)) >end
    draw_port
    [ $minimum = 4 ] || policy='{minimum_silos: 2}'
    MORE=${grid[secure]}
    MORE="$MORE${mask[secure]}" MINIMUM=$minimum COLLECTIVE=6 START=45 write_study $ROUNDS
    { MINIMUM=$minimum settings $ROUNDS; echo "silos: [{name: site-a}, {name: b1}, {name: b2}, {name: site-c}]"
      echo "data: {source: csv, validation_fraction: 0.2, schema: schema.yaml, silo_tables: [{file: a.csv}, {file: b1.csv}, {file: b2.csv}, {file: c.csv}]}"; } >plain.yaml
    for site in a b c; do
        url="https://127.0.0.1:$port"
        [ "${WAY[$site]}" != relayed ] || url="https://127.0.0.1:$((port + $(number_of $site)))"
        case ${WAY[$site]} in
        mail) write_site $site '{folder: mail}' "$policy" ;;
        carried) mkdir mail-$site; write_site $site "{folder: mail-$site}" "$policy" ;;
        *) write_site $site "{url: \"$url\", pin: \"$pin\"}" "$policy" ;;
        esac
    done
    approve_all
}
# All end by themselves, but for what a coordinator has to be started for again.
see_to_end() {
    local turn i site waits
    for turn in 1 2 3; do
        for ((i = 0; i < 1200; i++)); do alive coordinator || break; sleep 0.1; done
        ! alive coordinator || return 0
        wait "${PID[coordinator]}" 2>/dev/null; code=$?
        for ((i = 0; i < 50; i++)); do
            waits=''
            for site in a b c; do ! alive $site || waits="$waits $site"; done
            [ -n "$waits" ] || break
            sleep 0.1
        done
        if [ $code = 137 ] && [ -e struck ]; then
            told="$told killed-at-end:$(cat struck)"
            rm struck
        elif [ $code != 0 ]; then
            wrong="the coordinator ended with $code"
            return 0
        elif [ -z "$waits" ]; then
            return 0
        else
            told="$told end-told-to:${waits// /}"
        fi
        [ $turn = 3 ] || start coordinator
    done
}
run_case() {
    local site party i round=0
    told='' wrong=''
    prepare || { wrong="the study was not approved"; return; }
    for site in a b c; do start_link $site; done
    for party in $(printf '%s\n' coordinator a b c | sort -R --random-source=<(yes $case_seed)); do
        start "$party"
        pick 0 0 0.2 1; sleep "$drawn"
    done
    for ((i = 0; i < n_faults; i++)); do
        round=$((round + RANDOM % (ROUNDS / n_faults)))
        pick no no no yes; [ "$drawn$i" != yes0 ] || round=0
        draw_fault
        until_round $round
        [ $round != 0 ] || { seconds 2; sleep "$drawn"; }
        strike $kind "$party" "$length"
    done
    see_to_end
}
well() { [ -z "$wrong" ] || { echo "  $wrong"; return 1; }; }
# The sites' records of sums: whatever was killed, no counter goes back, no site signs two rosters for one
# sum, and shares for sums of one thing leave for one set of parties.
records_of_sums() {
    awk '$1 == "begin" {if ($2 <= last[FILENAME]) bad = 1; last[FILENAME] = $2; next}
         {sum = FILENAME $3; if (sum in roster && roster[sum] != $4) bad = 1; roster[sum] = $4}
         $1 == "shares" {if ($5 in parties && parties[$5] != $6) bad = 1; parties[$5] = $6; n++}
         END {exit bad || n == 0}' own-?/trial/journal.jsonl.sums
}
judge_case() {
    check "$what: as documented" well
    check "$what: all end well" ended "${PID[coordinator]}" "${PID[a]}" "${PID[b]}" "${PID[c]}"
    # shellcheck disable=SC2046
    check "$what: the audit finds nothing" exits 0 "$GRANARY" audit run $(journals) --study study.yaml
    [ $secure = 0 ] || check "$what: the records of sums" records_of_sums
    "$GRANARY" train plain.yaml --run replay --quiet --set round.replay=run/events.jsonl >/dev/null 2>&1
    check "$what: the model of a replay" equal "$(digest)" "$("$GRANARY" inspect --digest replay/model.h5 2>/dev/null)"
    # Three silos of four may do, of three sites only where b's two have a rank each.
    { [ $minimum = 3 ] && [ $secure$ranks != 11 ]; } || grep -q '"event":"void"' run/events.jsonl || check "$what: the model of one job" equal "$(digest)" "${expected[secure]}"
}

make_parties
columns='columns: [{name: glucose, type: number, range: [0, 1]}, {name: weightkg, type: number, range: [0, 1]}, {name: sick, type: label, categories: ["no", "yes"]}]'
write_study $ROUNDS
# Without and with secure sums: what the config of a study has, and what it has beyond one of plain sums.
grid=('' 'aggregation: {grid: public, clip_norm: 1, weight_max: 200}')
mask=('' $'\nsecure: {aggregation: true}')
for secure in 0 1; do
    MORE=${grid[secure]}
    expected[secure]=$(one_job $ROUNDS)
done
coordinate pin --listen 127.0.0.1:0; first=$!
for _ in $(seq 300); do grep -q "listening on port" pin.log && break; sleep 0.1; done
kill -9 $first; wait $first 2>/dev/null
mkdir kept && cp -p run/https.* kept/
pin=$(sed -n 's/.*pin: "\(.*\)".*/\1/p' pin.log)
for ((case_seed = SEED; case_seed < SEED + CASES; case_seed++)); do
    began=$SECONDS before=$FAILED
    draw_case
    run_case 2>/dev/null
    what="seed $case_seed, ${WAY[a]} ${WAY[b]}*$ranks ${WAY[c]}, at least $minimum,${mask[secure]:+ secure,}$told"
    judge_case 2>>"$SCRATCH/bash.err"
    kill -KILL "${LINK[@]}" 2>/dev/null; wait 2>/dev/null
    LINK=()
    if [ "$FAILED" != "$before" ]; then
        kept=$(mktemp -d "${TMPDIR:-/tmp}/granary-sites.XXXXXX")
        cp -a run own-? mail* ./*.log ./*.yaml "$kept" 2>/dev/null
        echo "seed $case_seed: kept in $kept; again: tests/faults/sites.sh ${BUILD#"$TOP"/} 1 $case_seed"
    else
        echo "$what: well, $((SECONDS - began)) s"
    fi
done
finish
