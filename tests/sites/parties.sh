# shellcheck shell=bash
# Four parties on one machine, each with an account, a home that nobody else may enter, and a network of
# its own that leads to the coordinator's port and nowhere else. Sourced by run.sh, as root, with
#   ROOT       a folder that all may enter, for homes and what the test keeps
#   COMMAND    the command, below ROOT
# Nothing reaches the machine's own network; accounts, networks and processes are gone after `dismiss`.
PORT=8443 PROXY_PORT=3128 NET=10.79.0
PARTIES="coordinator a b c"
address_of() { case $1 in coordinator) echo $NET.2 ;; a) echo $NET.6 ;; b) echo $NET.10 ;; proxy) echo $NET.14 ;; esac; }
account() { echo "granary-test-$1"; }
home() { echo "$ROOT/$1"; }
space() { echo "granary-test-$1"; }

# ---- accounts -----------------------------------------------------------------------------------
make_accounts() {
    local party
    for party in $PARTIES; do
        ! id "$(account "$party")" >/dev/null 2>&1 || { echo "there is an account $(account "$party") already"; return 1; }
    done
    for party in $PARTIES; do
        useradd --system --user-group --shell /bin/sh --home-dir "$(home "$party")" "$(account "$party")" || return 1
        MADE="$MADE $party"
        install -d -m 0700 -o "$(account "$party")" -g "$(account "$party")" "$(home "$party")"
    done
}

# ---- networks -----------------------------------------------------------------------------------
# net NAME COMMAND...: in that network.
net() { ip netns exec "$(space "$1")" "${@:2}"; }
# A line from a network to the middle, which passes on what its rules let through.
lay_line() {
    local name=$1 mine middle
    mine=$(address_of "$name")
    middle=$NET.$((${mine##*.} - 1))
    ip netns add "$(space "$name")" || return 1
    net "$name" ip link set lo up
    net middle ip link add "to-$name" type veth peer name eth0 netns "$(space "$name")"
    net middle ip addr add "$middle/30" dev "to-$name"
    net middle ip link set "to-$name" up
    net "$name" ip addr add "$mine/30" dev eth0
    net "$name" ip link set eth0 up
    net "$name" ip route add default via "$middle"
}
# A site by a folder has no line at all.
make_networks() {
    local name
    ip netns add "$(space middle)" || return 1
    net middle ip link set lo up
    net middle sysctl -qw net.ipv4.ip_forward=1
    for name in coordinator a b proxy; do lay_line $name || return 1; done
    ip netns add "$(space c)" && net c ip link set lo up
    net middle nft -f - <<RULES
table ip sites {
    chain pass {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        ip saddr { $(address_of a), $(address_of proxy) } ip daddr $(address_of coordinator) tcp dport $PORT accept
        ip saddr $(address_of b) ip daddr $(address_of proxy) tcp dport $PROXY_PORT accept
    }
}
RULES
}
# connects FROM ADDRESS PORT
connects() { net "$1" timeout 2 bash -c ": <>/dev/tcp/$2/$3" 2>/dev/null; }

# ---- who does what ------------------------------------------------------------------------------
# as PARTY COMMAND...: as that account, in its home, in its network where there are networks.
as() {
    local party=$1; shift
    local words=(setpriv --reuid "$(account "$party")" --regid "$(account "$party")" --clear-groups
        env -i PATH="$PATH" HOME="$(home "$party")" TMPDIR="$(home "$party")" LC_ALL=C OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
        GRANARY_TEST_MARK="$ROOT" "${SPECIAL[@]}" "$@")
    cd "$(home "$party")" || return 1
    if [ -n "$NETWORKS" ]; then net "$party" "${words[@]}"; else "${words[@]}"; fi
}
SPECIAL=()
# file PARTY NAME: writes its input as a file of the account.
file() { as "$1" tee "$2" >/dev/null; }
declare -A PID
# begin PARTY COMMAND...: in the background; its words go to what the test keeps.
begin() {
    as "$1" "${@:2}" >>"$ROOT/kept/$1.log" 2>&1 </dev/null &
    PID[$1]=$!
}
# ours NAMES: processes of this test, by name.
ours() {
    local process
    for process in $(pgrep -x "$1"); do
        grep -qszx "GRANARY_TEST_MARK=$ROOT" "/proc/$process/environ" && echo "$process"
    done
}
# process_of PARTY: its granary.
process_of() {
    local process
    for process in $(ours granary); do
        [ "$(stat -c %U "/proc/$process")" = "$(account "$1")" ] && echo "$process"
    done
}
dismiss() {
    local party process name
    # shellcheck disable=SC2046
    kill -KILL $(ours 'granary|orted|tinyproxy|socat|bash|rsync|sleep') $CAPTURES 2>/dev/null
    wait 2>/dev/null
    for name in middle coordinator a b c proxy; do ip netns del "$(space $name)" 2>/dev/null; done
    for party in $MADE; do
        for process in $(pgrep -u "$(account "$party")"); do kill -KILL "$process" 2>/dev/null; done
        for _ in $(seq 50); do pgrep -u "$(account "$party")" >/dev/null || break; sleep 0.1; done
        userdel "$(account "$party")" 2>/dev/null
    done
    umount "$(home c)/mail" 2>/dev/null
    rm -rf "$ROOT"
}
