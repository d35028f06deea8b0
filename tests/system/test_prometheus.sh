#!/usr/bin/env bash
# The figures for Prometheus: their file, and where they are installed promtool, node_exporter and a
# Prometheus that scrape a running job.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables
mkdir textfile
figure() { sed -n "s/^granary_$1{run=\"small\",run_id=\"[0-9a-f]*\"${2:-}} //p" "${3:-textfile/run.prom}"; }

(umask 077; exits 0 "$GRANARY" train small.yaml --run run --quiet --set train.epochs=2 --set observe.prometheus=textfile/run.prom)
check "a run" test -s textfile/run.prom
check "others may read it, whatever the umask is" equal "$(stat -c %a textfile/run.prom)" 644
check "nothing else is left" equal "$(ls textfile)" run.prom
check "rounds" equal "$(figure done_rounds) of $(figure planned_rounds)" "6 of 6"
check "the outcome" equal "$(figure outcome ',outcome="finished"')$(figure outcome ',outcome="running"')" 10
check "one outcome holds" equal "$(grep -c '^granary_outcome.* 1$' textfile/run.prom)" 1
check "bytes" equal "$(figure sent_bytes_total)" "$(sed 's/.*"bytes_sent":\([0-9]*\).*/\1/' run/metrics.jsonl | awk '{s += $1} END {print s}')"
check "rows" equal "$(figure trained_rows_total)" "$(sed 's/.*"processed":\([0-9]*\).*/\1/' run/metrics.jsonl | awk '{s += $1} END {print s}')"
check "the last loss, with all digits" awk -v a="$(figure loss ',rows="test"')" -v b="$(sed -n '$s/.*"test_loss":\([^,]*\),.*/\1/p' run/metrics.jsonl)" 'BEGIN {exit !(a != "" && a == b)}'
check "the newest checkpoint" equal "$(figure checkpoint_round)" 6
check "no timestamps" bash -c '! grep -vE "^#|^granary_[a-z_]+\{[^}]*\} [0-9.e+-]+$" textfile/run.prom'
check "each name has one HELP and one TYPE" equal "$(grep -c '^# HELP' textfile/run.prom)" "$(grep -v '^#' textfile/run.prom | sed 's/{.*//' | sort -u | wc -l)"
check "counters are called so" equal "$(sed -n 's/^# TYPE \([a-z_]*\) counter$/\1/p' textfile/run.prom | grep -vc '_total$')" 0
check "and gauges are not" equal "$(sed -n 's/^# TYPE \([a-z_]*\) gauge$/\1/p' textfile/run.prom | grep -c '_total$')" 0
check "it is told as having left" grep -q '"name":"monitoring","values":[1-9]' run/events.jsonl
check "the releases say so" bash -c '"$GRANARY" releases small.yaml --set observe.prometheus=x.prom | grep -q monitoring && ! "$GRANARY" releases small.yaml | grep -q monitoring'
check "the same model as without" equal "$("$GRANARY" inspect --digest run)" "$("$GRANARY" train small.yaml --run plain --quiet --set train.epochs=2; "$GRANARY" inspect --digest plain)"
check "a name with a quote, and several ranks" exits 0 on_ranks 3 train small.yaml --run three --quiet --set train.epochs=2 --set observe.prometheus=three.prom
check "their sums" equal "$(figure trained_rows_total '' three.prom)" "$(figure trained_rows_total)"
check "an unusable file name" exits 78 "$GRANARY" validate small.yaml --set observe.prometheus=run.txt
check "is told" says "observe.prometheus: found a file of another name, allowed *.prom"
check "a folder that is not there ends no run" exits 0 "$GRANARY" train small.yaml --run lost --quiet --set observe.prometheus=nowhere/run.prom
check "and is one alert" equal "$(grep -c 'the file of observe.prometheus is not written' lost/events.jsonl)" 1
mkdir full; ln -s /dev/full full/run.prom
check "nor does a device" exits 0 "$GRANARY" train small.yaml --run device --quiet --set observe.prometheus=full/run.prom
check "which stays what it is" test -c /dev/full -a -L full/run.prom
check "absences" bash -c '"$GRANARY" train small.yaml --run nan --quiet --set run.rehearsal=true --set observe.prometheus=nan.prom --set "faults=[{kind: nan, silo: 0, round: 2}]"'
check "are counted" equal "$(figure absences_total ',reason="sat_out"' nan.prom)" "$(sed 's/.*"sat_out":\([0-9]*\).*/\1/' nan/metrics.jsonl | awk '{s += $1} END {print s}')"
check "a run that is stopped" bash -c '"$GRANARY" train small.yaml --run stopped --quiet --set run.rounds=100000 --set observe.prometheus=stopped.prom >/dev/null 2>&1 & wait_for=$!; for _ in $(seq 100); do [ -s stopped.prom ] && break; sleep 0.1; done; kill -USR1 $wait_for; wait $wait_for; [ $? = 75 ]'
check "says so" equal "$(figure outcome ',outcome="stopped"' stopped.prom)" 1

# ---- programs that others have --------------------------------------------------------------------
if command -v promtool >/dev/null; then
    check "promtool finds nothing" bash -c 'said=$(promtool check metrics <textfile/run.prom 2>&1) && [ -z "$said" ] || { echo "$said"; exit 1; }'
    check "alert rules" promtool check rules "$TOP/analysis/monitoring/alerts.yml" >/dev/null
    check "fire and are silent" bash -c 'cd "$TOP/analysis/monitoring" && promtool test rules alerts_test.yml >/dev/null'
fi
# expressions: of the dashboard, and of the rules.
expressions() {
    perl -ne 'print "$1\n" if /^\s*"expr": "(.*)",?$/' "$TOP/analysis/monitoring/dashboard.json"
}
if command -v prometheus prometheus-node-exporter curl >/dev/null && [ "$(command -v prometheus prometheus-node-exporter curl | wc -l)" = 3 ]; then
    check "the dashboard has expressions" test "$(expressions | wc -l)" -ge 15
    "$GRANARY" train small.yaml --run live --quiet --set run.rounds=1000000 --set observe.prometheus=textfile/live.prom --set checkpoint.every=100 >/dev/null 2>&1 &
    port=$((20000 + $$ % 20000))
    prometheus-node-exporter --web.listen-address=127.0.0.1:$port --collector.disable-defaults --collector.textfile --collector.textfile.directory="$SCRATCH/textfile" >node.log 2>&1 &
    cat >prometheus.yml <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["$TOP/analysis/monitoring/alerts.yml"]
scrape_configs: [{job_name: node, static_configs: [{targets: ["127.0.0.1:$port"]}]}]
YAML
    prometheus --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address=127.0.0.1:$((port + 1)) >prometheus.log 2>&1 &
    answer() { curl -s --max-time 5 --get --data-urlencode "query=$1" "http://127.0.0.1:$((port + 1))/api/v1/query"; }
    for _ in $(seq 60); do answer 'rate(granary_rounds_total[5m]) > 0' | grep -q '"value"' && break; sleep 0.5; done
    while read -r expression; do
        check "answers: $expression" grep -q '"run":"small"' <(answer "$expression")
    done < <(expressions)
    check "node_exporter has no complaint" grep -q '"value":\[[^]]*"0"\]' <(answer node_textfile_scrape_error)
    check "both runs are there" grep -q '"value":\[[^]]*"2"\]' <(answer 'count(granary_done_rounds)')
    check "the rules are loaded" bash -c "curl -s http://127.0.0.1:$((port + 1))/api/v1/rules | grep -q GranaryRunSilent"
    signal_ours USR1 granary
    signal_ours TERM 'prometheus|prometheus-node'
    wait
fi
finish
