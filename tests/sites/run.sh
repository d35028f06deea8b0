#!/usr/bin/env bash
# A study of a coordinator and three sites, each under an account of its own with a home that no other may
# enter, in a network of its own: a calls the coordinator, b calls it through a proxy, c has no network but
# a folder that rsync carries. All that passes is recorded and looked through. Then what goes wrong:
# processes, links, proxies, folders, clocks. Needs root, and jobs/deps.sh --sites.
#   run.sh GRANARY [PATTERN]     last line "N passed, N failed"
set -u
export LC_ALL=C
SITES=$(cd "$(dirname "$0")" && pwd)
TESTS=$(dirname "$SITES") GRANARY=$(readlink -f "$1") PATTERN=${2:-}
PATH=$PATH:/usr/sbin:/sbin
skip() { echo "skipped: $1"; echo "0 passed, 0 failed"; exit 0; }
[ "$(id -u)" = 0 ] || skip "accounts and networks need root"
for word in useradd setpriv rsync; do command -v $word >/dev/null || skip "$word is missing: jobs/deps.sh --sites"; done
ROOT=$(mktemp -d /tmp/granary-sites.XXXXXX) MADE='' CAPTURES='' NETWORKS=''
. "$TESTS/environment.sh"
. "$SITES/parties.sh"
trap '[ -z "${SITES_KEEP:-}" ] || { rm -rf "$SITES_KEEP"; cp -a "$ROOT" "$SITES_KEEP"; }; dismiss' EXIT
trap 'exit 130' INT TERM HUP
passed=0 failed=0
check() {
    local what=$1; shift
    if "$@"; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAILED: $what: $*"
    fi
}
not() { ! "$@"; }
equal() { [ "$1" = "$2" ] || { echo "  '$1' is not '$2'"; return 1; }; }
chmod 0711 "$ROOT"
mkdir -m 0755 "$ROOT/bin" && install -m 0755 "$GRANARY" "$ROOT/bin/granary" || exit 1
mkdir -m 0700 "$ROOT/kept"
COMMAND=$ROOT/bin/granary
${CC:-cc} -O2 -D_GNU_SOURCE -o "$ROOT/rows" "$SITES/rows.c" -lm || skip "rows.c does not compile"
make_accounts || skip "no accounts can be made here"
NETWORKS=1
if ! make_networks 2>"$ROOT/kept/networks"; then
    NETWORKS='' NET=127.0.0
    address_of() { echo 127.0.0.1; }
    echo "skipped: networks, their proxy, records and faults, for: $(tail -n 1 "$ROOT/kept/networks"); all by the loopback"
fi

# ---- the files of each person -------------------------------------------------------------------
# The tables are made by the tests of studies; nobody but their owners gets them.
. "$TESTS/system/sites.sh"
digest() { as coordinator "$COMMAND" inspect --digest run/model.h5; }
prepare_parties() {
    local party table
    (cd "$ROOT/kept" && GRANARY=$COMMAND make_parties && rm -rf ./*-keys)
    for party in $PARTIES; do
        as "$party" "$COMMAND" keygen keys >/dev/null 2>&1
        key[$party]=$(as "$party" cat keys/public.key)
    done
    for table in a b1 b2 c; do file ${table%[12]} table-$table.csv <"$ROOT/kept/$table.csv"; done
    as c mkdir -m 0700 mail
    as coordinator mkdir -m 0700 mail
}
# study ROUNDS [LINES]: signed by the coordinator, sent to all, approved by each.
study() {
    local party
    { echo "study: {name: trial, coordinator: ${key[coordinator]}, sites: ["
      echo "  {name: site-a, key: ${key[a]}}, {name: site-b, key: ${key[b]}, silos: [b1, b2]}, {name: site-c, key: ${key[c]}}]}"
      echo "schema: {$columns}"
      echo "data: {source: csv, validation_fraction: 0.2}"
      echo "round: {collective_deadline_s: 40, start_deadline_s: 90}"
      settings "$1"; } | file coordinator study.yaml
    as coordinator "$COMMAND" study sign study.yaml --key keys >/dev/null
    for party in a b c; do
        as coordinator cat study.yaml | file $party study.yaml
        as coordinator cat study.yaml.sig | file $party study.yaml.sig
        as $party "$COMMAND" approve study.yaml --site site.yaml --yes >/dev/null 2>"$ROOT/kept/approve" || { cat "$ROOT/kept/approve"; return 1; }
    done
    (cd "$ROOT/kept" && GRANARY=$COMMAND one_job "$1") >"$ROOT/kept/expected"
}
# site PARTY MAILBOX
site() {
    local silos="[{name: site-$1, file: table-$1.csv}]"
    [ "$1" != b ] || silos="[{name: b1, file: table-b1.csv}, {name: b2, file: table-b2.csv}]"
    printf 'site: {key: keys, directory: own}\nmailbox: %s\nsilos: %s\n' "$2" "$silos" | file "$1" site.yaml
}
coordinate() {
    begin coordinator "$COMMAND" coordinate study.yaml --key keys --run run --listen "$(address_of coordinator):$PORT" --mailbox mail
}
join() { begin "$1" "$COMMAND" join site.yaml --study study.yaml; }

# ---- what carries letters -----------------------------------------------------------------------
# carry SECONDS: root's rsync between the homes, letters of c and to c alone.
carry() {
    local pause=$1 from to names
    while sleep "$pause"; do
        for way in "c coordinator 3-0-" "coordinator c 0-3-"; do
            read -r from to names <<<"$way"
            rsync -a --chown="$(account "$to"):$(account "$to")" --include="$names*.letter" --exclude='*' "$(home "$from")/mail/" "$(home "$to")/mail/"
            rsync -a --include='*.letter' --exclude='*' "$(home "$from")/mail/" "$ROOT/kept/letters/"
        done
    done >>"$ROOT/kept/carry.log" 2>&1
}
start_carrier() { (carry "$1") & carrier=$!; }
stop_carrier() { kill "$carrier" 2>/dev/null; wait "$carrier" 2>/dev/null; }
start_proxy() {
    printf 'Port %d\nListen %s\nTimeout 600\nAllow %s\nConnectPort %d\nMaxClients 20\nLogLevel Critical\n' \
        $PROXY_PORT "$(address_of proxy)" "$(address_of b)" $PORT >"$ROOT/kept/proxy.conf"
    GRANARY_TEST_MARK=$ROOT ip netns exec "$(space proxy)" tinyproxy -d -c "$ROOT/kept/proxy.conf" >/dev/null 2>&1 &
    proxy=$!
}
stop_proxy() { kill -KILL $proxy; wait $proxy 2>/dev/null; }
# Answers each request, once it is whole, with 502. A file, for socat takes marks out of words given to it.
start_bad_proxy() {
    cat >"$ROOT/kept/bad-proxy" <<'ANSWER'
while read -r line; do
    [ "$line" != $'\r' ] || { printf 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n'; exit; }
done
ANSWER
    GRANARY_TEST_MARK=$ROOT ip netns exec "$(space proxy)" socat TCP-LISTEN:$PROXY_PORT,fork,reuseaddr \
        EXEC:"bash $ROOT/kept/bad-proxy" >/dev/null 2>&1 &
    proxy=$!
}
record() {
    local name
    for name in middle coordinator proxy; do
        ip netns exec "$(space $name)" tcpdump -i any -s 0 -U -Z root -w "$ROOT/kept/$name.pcap" >/dev/null 2>&1 &
        CAPTURES="$CAPTURES $!"
    done
    sleep 1
}
# shellcheck disable=SC2086
end_record() { sleep 1; kill -INT $CAPTURES; wait $CAPTURES 2>/dev/null; CAPTURES=''; }

# ---- a run of the study -------------------------------------------------------------------------
rounds_done() { cat "$(home coordinator)/run/metrics.jsonl" 2>/dev/null | wc -l; }
# until_round N: at most 120 s.
until_round() {
    for _ in $(seq 1200); do
        [ "$(rounds_done)" -lt "$1" ] || return 0
        sleep 0.1
    done
    return 1
}
# said PARTY WORDS: within 60 s.
said() {
    for _ in $(seq 600); do
        grep -qaE -- "$2" "$ROOT/kept/$1.log" && return 0
        sleep 0.1
    done
    echo "  $1 has not said '$2':"; tail -n 5 "$ROOT/kept/$1.log"
    return 1
}
all_end() { # LIMIT_S
    local party code=0 one
    for _ in $(seq $(($1 * 10))); do
        for party in $PARTIES; do kill -0 "${PID[$party]}" 2>/dev/null && sleep 0.1 && continue 2; done
        break
    done
    for party in $PARTIES; do
        # shellcheck disable=SC2046
        kill -0 "${PID[$party]}" 2>/dev/null && kill -KILL $(process_of $party) 2>/dev/null
        wait "${PID[$party]}"; one=$?
        [ $one = 0 ] || { code=$one; echo "  $party ended with $one:"; tail -n 6 "$ROOT/kept/$party.log"; }
    done
    return $code
}
# What every run must have left.
assert_run() {
    check "$1: all end well" all_end "${2:-240}"
    check "$1: the model of one job" equal "$(digest)" "$(cat "$ROOT/kept/expected")"
    check "$1: the audit finds nothing" audited
}
audited() {
    local party words=()
    for party in a b c; do
        as $party cat own/trial/journal.jsonl | file coordinator journal-$party.jsonl
        words+=(--journal journal-$party.jsonl)
    done
    as coordinator "$COMMAND" audit run "${words[@]}" --study study.yaml >"$ROOT/kept/audit" 2>&1 || { tail -n 5 "$ROOT/kept/audit"; return 1; }
}
# again: nothing of the run before but the certificate, and all parties begin.
again() {
    local party
    as coordinator find run mail -mindepth 1 -maxdepth 1 ! -name 'https.*' -exec rm -rf {} +
    as c sh -c 'rm -rf mail/*'
    for party in $PARTIES; do as $party rm -rf own/trial; : >"$ROOT/kept/$party.log"; done
    coordinate
    for party in a b c; do join $party; done
}
. "$SITES/scenarios.sh"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
