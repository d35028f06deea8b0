# Helpers of the tests of studies: tables, keys and files of a coordinator and three sites, a, b (two
# silos) and c, in the working folder, and the commands of each party. Sourced behind library.sh.

# table SEED ROWS: numbers that a linear rule with noise labels; made by awk's own arithmetic.
table() {
    awk -v seed="$1" -v rows="$2" 'function draw() { s = (s * 69069 + 12345) % 4294967296; return s / 4294967296 }
        BEGIN { s = seed; print "glucose,weightkg,sick"
            for (i = 0; i < rows; i++) { x = draw(); y = draw(); printf "%.4f,%.4f,%s\n", x, y, (x + y + draw() > 1.5 ? "yes" : "no") } }'
}
# make_parties: tables and keys.
make_parties() {
    local site party
    for site in a b1 b2 c; do
        table $((7 + ${#site} * 13 + $(printf %d "'${site: -1}"))) 150 >$site.csv
    done
    for party in coordinator a b c; do "$GRANARY" keygen $party-keys >/dev/null 2>&1; done
}
columns='columns: [{name: glucose, type: number}, {name: weightkg, type: number}, {name: sick, type: label, categories: ["no", "yes"]}]'
# settings ROUNDS: and MORE, sections of a config
settings() {
    cat <<YAML
run: {rounds: $1}
preprocess: {scale: ${SCALE:-standardise}}
model: {type: mlp, hidden: [${HIDDEN:-8}]}
train: {${TRAIN:-learning_rate: 0.05, batch_size: 16}}
evaluate: {every: ${EVERY:-20}}
checkpoint: {every: 10}
policy: {minimum_silos: ${MINIMUM:-4}}
${MORE:-}
YAML
}
# write_study ROUNDS
write_study() {
    { echo "study: {name: trial, coordinator: $(cat coordinator-keys/public.key), sites: ["
      echo "  {name: site-a, key: $(cat a-keys/public.key)},"
      echo "  {name: site-b, key: $(cat b-keys/public.key), silos: [b1, b2]},"
      echo "  {name: site-c, key: $(cat c-keys/public.key)}]}"
      echo "schema: {$columns}"
      echo "data: {source: csv, validation_fraction: ${HELD_OUT:-0.2}}"
      echo "round: {collective_deadline_s: ${COLLECTIVE:-30}, start_deadline_s: ${START:-90}}"
      settings "$1"; } >study.yaml
    "$GRANARY" study sign study.yaml --key coordinator-keys >/dev/null
}
# write_site SITE MAILBOX [POLICY]
write_site() {
    local silos folder
    folder() { [ -z "${FOLDERS:-}" ] || echo ", directory: folder-$1"; }
    silos="[{name: site-$1, file: $1.csv$(folder "$1")}]"
    [ "$1" != b ] || silos="[{name: b1, file: b1.csv$(folder b1)}, {name: b2, file: b2.csv$(folder b2)}]"
    printf 'site: {key: %s-keys, directory: own-%s}\nmailbox: %s\nsilos: %s\npolicy: %s\n' \
        "$1" "$1" "$2" "$silos" "${3:-{\}}" >site-$1.yaml
}
approve_all() {
    for site in a b c; do "$GRANARY" approve study.yaml --site site-$site.yaml --yes >/dev/null 2>&1 || return 1; done
}
# one_job ROUNDS: the digest of the same study as one MPI job, by plain.yaml.
one_job() {
    echo "$columns" >schema.yaml
    { settings "$1"; echo "silos: [{name: site-a}, {name: b1}, {name: b2}, {name: site-c}]"
      echo "data: {source: csv, validation_fraction: 0.2, schema: schema.yaml, silo_tables: [{file: a.csv}, {file: b1.csv}, {file: b2.csv}, {file: c.csv}]}"; } >plain.yaml
    rm -rf plain
    "$GRANARY" train plain.yaml --run plain --quiet >/dev/null 2>&1
    "$GRANARY" inspect --digest plain/model.h5
}
# coordinate NAME WORDS...: in the background, its output in NAME.log.
coordinate() { "$GRANARY" coordinate study.yaml --key coordinator-keys --run run "${@:2}" >>"$1.log" 2>&1 </dev/null & }
# listen NAME WORDS...: coordinate by https, in the process $!; its port and pin go into the site files,
# with $POLICY.
listen() {
    local port pin site
    coordinate "$1" --listen 127.0.0.1:0 "${@:2}"
    for _ in $(seq 300); do grep -q "listening on port" "$1.log" && break; sleep 0.1; done
    port=$(sed -n 's/.*listening on port \([0-9]*\);.*/\1/p' "$1.log" | tail -n 1)
    pin=$(sed -n 's/.*pin: "\(.*\)".*/\1/p' "$1.log" | tail -n 1)
    for site in a b c; do write_site $site "{url: \"https://127.0.0.1:$port\", pin: \"$pin\"}" "${POLICY:-}"; done
}
join() { "$GRANARY" join site-$1.yaml --study study.yaml >>"join-$1.log" 2>&1 </dev/null & }
# join_ranks SITE RANKS
join_ranks() {
    # shellcheck disable=SC2086
    mpirun $MPIRUN_FLAGS -n "$2" "$GRANARY" join site-$1.yaml --study study.yaml >>"join-$1.log" 2>&1 </dev/null &
}
fresh() { rm -rf run own-?/trial mail ./*.log; mkdir mail; }
# ended PID...: all of them with 0, within 120 s.
ended() {
    local pid code=0
    for _ in $(seq 1200); do
        for pid; do kill -0 "$pid" 2>/dev/null && sleep 0.1 && continue 2; done
        break
    done
    for pid; do kill -9 "$pid" 2>/dev/null; wait "$pid" || code=$?; done
    [ $code = 0 ] || { echo "  code $code"; tail -n 5 ./*.log; }
    return $code
}
# left CODE PID: whether it ends with the code, within LEFT_S (10) s.
left() {
    local code=0
    for _ in $(seq $((${LEFT_S:-10} * 10))); do kill -0 "$2" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$2" 2>/dev/null
    wait "$2" || code=$?
    equal $code "$1"
}
# round_reached N: until the coordinator has recorded so many rounds, at most 60 s.
round_reached() {
    for _ in $(seq 600); do
        [ "$(cat run/metrics.jsonl 2>/dev/null | wc -l)" -ge "$1" ] && return 0
        sleep 0.1
    done
    return 1
}
digest() { "$GRANARY" inspect --digest run/model.h5; }
journals() { for site in a b c; do printf -- '--journal own-%s/trial/journal.jsonl ' $site; done; }
