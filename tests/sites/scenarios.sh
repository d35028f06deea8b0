# shellcheck shell=bash
# The study as it should be, and what goes wrong. Sourced by run.sh.
declare -A key
wanted() { [[ $1 == *$PATTERN* ]]; }

# ---- the parties, and what each may reach -------------------------------------------------------
prepare_parties
mkdir -m 0700 "$ROOT/kept/letters"
# The certificate is made, and its pin told, at the first start: sites put it into their files then.
at="url: \"https://$(address_of coordinator):$PORT\""
for party in a b; do site $party "{$at}"; done
site c '{folder: mail}'
check "all approve" study 2
coordinate
check "the coordinator listens" said coordinator "listening on port $PORT"
pin=$(sed -n 's/.*pin: "\(.*\)".*/\1/p' "$ROOT/kept/coordinator.log" | tail -n 1)
if [ -n "$NETWORKS" ]; then
    check "a reaches the coordinator" connects a "$(address_of coordinator)" $PORT
    check "the proxy does" connects proxy "$(address_of coordinator)" $PORT
    check "b does not" not connects b "$(address_of coordinator)" $PORT
    check "c does not" not connects c "$(address_of coordinator)" $PORT
    check "a reaches no proxy" not connects a "$(address_of proxy)" $PROXY_PORT
    start_proxy
    sleep 0.5
    check "b reaches the proxy" connects b "$(address_of proxy)" $PROXY_PORT
    check "the coordinator calls nobody" not connects coordinator "$(address_of proxy)" $PROXY_PORT
fi
# shellcheck disable=SC2046
kill -KILL $(process_of coordinator); wait "${PID[coordinator]}" 2>/dev/null
for one in a b c; do for other in coordinator a b c; do
    [ $one = $other ] || check "$one reads nothing of $other" not as $one ls "$(home $other)" 2>/dev/null
done; done
for one in a b c; do check "the coordinator reads nothing of $one" not as coordinator cat "$(home $one)/table-$one.csv" 2>/dev/null; done
direct="{$at, pin: \"$pin\"}"
by_proxy="{$at, pin: \"$pin\", proxy: \"http://$(address_of proxy):$PROXY_PORT\"}"
[ -n "$NETWORKS" ] || by_proxy=$direct
site a "$direct"
site b "$by_proxy"

# ---- the whole study, recorded ------------------------------------------------------------------
# modes: no file of a party belongs to another, or may be read by all; keys and folders as documented.
owned() { [ -z "$(find "$(home "$1")" ! -user "$(account "$1")")" ] || { find "$(home "$1")" ! -user "$(account "$1")"; return 1; }; }
closed() { [ -z "$(find "$@" ! -type l -perm /027)" ] || { find "$@" ! -type l -perm /027 -printf '  %m %p\n'; return 1; }; }
mode() { equal "$(stat -c %a "$1")" "$2"; }
nothing_passed() { # WORDS FILE...
    ! grep -laE "$1" "${@:2}"
}
rows_in() { "$ROOT/rows" "$@" >"$ROOT/kept/rows"; equal $? "${EXPECTED_CODE:-0}" || { cat "$ROOT/kept/rows"; return 1; }; }
if wanted "a study as it should be"; then
    [ -z "$NETWORKS" ] || record
    start_carrier 1
    again
    assert_run "a study as it should be" 400
    stop_carrier
    records=("$ROOT"/kept/letters/*.letter)
    check "letters passed by the folder" test -e "${records[0]}"
    if [ -n "$NETWORKS" ]; then
        end_record
        records+=("$ROOT"/kept/*.pcap)
        check "calls were recorded" test "$(stat -c %s "$ROOT/kept/middle.pcap")" -gt 50000
        check "those through the proxy too" grep -qa "CONNECT $(address_of coordinator):$PORT" "$ROOT/kept/proxy.pcap"
    fi
    check "no column, category, pseudonym, path or account passed" nothing_passed \
        "glucose|weightkg|site-[abc]|\"b[12]\"|table-|\.csv|/own|granary-test|trial" "${records[@]}"
    models=("$(home coordinator)"/run/model.h5 "$(home coordinator)"/run/checkpoints/*.h5)
    for model in "${models[@]}"; do check "no row of $(basename "$model") passed" rows_in "$model" "${records[@]}"; done
    # The search itself: it finds a row within other bytes.
    { cat "${records[@]}"; tail -c +3 "${models[0]}"; } >"$ROOT/kept/control"
    EXPECTED_CODE=1 check "rows that pass would be found" rows_in "${models[0]}" "$ROOT/kept/control"
    check "and columns too" not nothing_passed "glucose" "$(home a)/table-a.csv" >/dev/null
    for party in $PARTIES; do
        check "files of $party are its own" owned $party
        check "its secret key is its own" mode "$(home $party)/keys/secret.key" 600
    done
    check "the coordinator's run is closed" closed "$(home coordinator)/run"
    for party in a b c; do check "the folder of $party is closed" closed "$(home $party)/own"; done
    check "the coordinator's run names no home, account or host" not grep -rqwF -e "$ROOT" -e "$(account a)" -e "$(hostname)" --exclude-dir=secrets "$(home coordinator)/run"
fi

# ---- processes ----------------------------------------------------------------------------------
# shellcheck disable=SC2046
slay() { kill -KILL $(process_of "$1"); wait "${PID[$1]}" 2>/dev/null; }
# With c by https as well a round takes milliseconds; without networks all do it by the loopback.
[ -z "$NETWORKS" ] || { net middle nft add rule ip sites pass ip saddr $NET.18 ip daddr "$(address_of coordinator)" tcp dport $PORT accept
    ip netns del "$(space c)"
    address_of_c=$NET.18
    eval "$(declare -f address_of | sed "1s/address_of/address_of_others/")"
    address_of() { [ "$1" = c ] && echo "$address_of_c" || address_of_others "$1"; }
    lay_line c; }
site c "$direct"
check "the longer study is approved" study 200
if wanted "a site is killed"; then
    again; until_round 30
    slay b; sleep 1; join b
    assert_run "a site is killed"
fi
if wanted "the coordinator is killed"; then
    again; until_round 30
    slay coordinator; sleep 1; coordinate
    assert_run "the coordinator is killed"
fi
if wanted "join twice"; then
    again; until_round 30
    check "a second join is told who takes part" equal "$(as a "$COMMAND" join site.yaml --study study.yaml >"$ROOT/kept/twice" 2>&1; echo $?)" 73
    check "by its words" grep -q "another .granary join. takes part from here" "$ROOT/kept/twice"
    assert_run "join twice"
fi
if wanted "a clock is an hour off"; then
    if command -v faketime >/dev/null; then
        ahead=$(faketime -f '+1h' env | sed -n 's/^\(LD_PRELOAD\|FAKETIME\)=/&/p' | tr '\n' ' ')
        again; until_round 20
        slay b
        # shellcheck disable=SC2206
        SPECIAL=($ahead FAKETIME_DONT_FAKE_MONOTONIC=1); join b; SPECIAL=()
        assert_run "a clock is an hour off"
        check "its journal has that hour" test "$(as b tail -n 1 own/trial/journal.jsonl | grep -o '"time":"[^"]*' | cut -c9-21)" != "$(date -u +%Y-%m-%dT%H)"
    else echo "skipped: a clock is an hour off; faketime is missing"; fi
fi

# ---- links and proxies --------------------------------------------------------------------------
if [ -n "$NETWORKS" ]; then
    if wanted "a link is cut"; then
        again; until_round 30
        net middle ip link set to-a down; sleep 10; net middle ip link set to-a up
        assert_run "a link is cut"
        check "a link is cut: nobody is given up for 10 s" not grep -q '"event":"lost"' "$(home coordinator)/run/events.jsonl"
    fi
    if wanted "the proxy is killed"; then
        again; until_round 30
        stop_proxy; sleep 3; start_proxy
        assert_run "the proxy is killed"
    fi
    if wanted "the proxy answers 502"; then
        again; until_round 30
        stop_proxy; start_bad_proxy
        check "a site says what its proxy answers" said b "502"
        stop_proxy; start_proxy
        assert_run "the proxy answers 502"
    fi
fi

# ---- folders ------------------------------------------------------------------------------------
site c '{folder: mail}'
check "the study by the folder is approved" study 4
if wanted "rsync is away"; then
    start_carrier 0.1
    again; until_round 1
    stop_carrier; sleep 10; start_carrier 0.1
    assert_run "rsync is away"
    stop_carrier
fi
# Letters come by and by: half of each is there, under its name, before the whole.
half_carry() {
    local from to names letter target
    while sleep 0.1; do
        for way in "c coordinator 3-0-" "coordinator c 0-3-"; do
            read -r from to names <<<"$way"
            for letter in "$(home "$from")/mail/$names"*.letter; do
                target=$(home "$to")/mail/${letter##*/}
                [ -e "$letter" ] && [ ! -e "$target" ] || continue
                head -c $(($(stat -c %s "$letter") / 2)) "$letter" | as "$to" tee "$target" >/dev/null
            done
        done
        sleep 0.2
        for way in "c coordinator 3-0-" "coordinator c 0-3-"; do
            read -r from to names <<<"$way"
            rsync -a --inplace --chown="$(account "$to"):$(account "$to")" --include="$names*.letter" --exclude='*' "$(home "$from")/mail/" "$(home "$to")/mail/"
        done
    done >/dev/null 2>&1
}
if wanted "a folder is half-synchronised"; then
    (half_carry) & carrier=$!
    again
    assert_run "a folder is half-synchronised" 900
    stop_carrier
fi
if wanted "a folder is full"; then
    as c rm -rf mail; as c mkdir -m 0700 mail
    mount -t tmpfs -o "size=256k,mode=0700,uid=$(id -u "$(account c)"),gid=$(id -g "$(account c)")" tmpfs "$(home c)/mail"
    start_carrier 0.1
    again; until_round 1
    dd if=/dev/zero of="$(home c)/mail/other" bs=1k count=1024 2>/dev/null
    check "a site says that its folder is full" said c "No space left on device"
    rm "$(home c)/mail/other"
    assert_run "a folder is full"
    check "a folder is full: it says that letters are written again" said c "letters are written again"
    stop_carrier
fi
