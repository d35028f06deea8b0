#!/usr/bin/env bash
# Several machines on one: hosts h1..hN and h0, from which jobs start, each with a network, a name,
# a /dev/shm and (h1..hN) a process table of its own, on one switch. Files are shared. Needs root,
# iproute2, util-linux. Nothing reaches the machine's own network.
#   up.sh DIR N          makes them, or again those that have crashed
# Makes in DIR:
#   on HOST COMMAND...   runs a command on a host
#   link HOST down|up    pulls the host's cable, plugs it in
#   link HOST slow MS MBIT  delay there and back, and rate: by the kernel's netem, else by line.c;
#                           exit code 2 where neither works
#   crash HOST           all its processes are gone at once, without a word
#   mpirun, hostfile     GRANARY_MPIRUN and --hostfile of granary run; rsh and addresses are mpirun's
set -eu
# Numbers are written with a point, whatever the user's language writes.
export LC_ALL=C
DIR=$(mkdir -p "$1" && cd "$1" && pwd -P) N=$2
NET=10.78.0
PATH=$PATH:/usr/sbin:/sbin
HERE=$(cd "$(dirname "$0")" && pwd)

alive() { # HOST: prints the process that holds it
    local pid
    pid=$(cat "$DIR/$1.pid" 2>/dev/null) && grep -qszF "granary-host $DIR $1" "/proc/$pid/cmdline" && echo "$pid"
}
# hold NAME FLAGS...: a process that keeps the namespaces; its parent, unshare, dies with it.
hold() {
    local name=$1 parent pid=; shift
    rm -f "$DIR/$name.ready"
    setsid unshare "$@" -- bash -c 'trap "" INT HUP; : >"$1"; while :; do sleep 3600 & wait; done' \
        bash "$DIR/$name.ready" "granary-host $DIR $name" </dev/null >/dev/null 2>&1 &
    parent=$!
    disown $parent
    for _ in $(seq 200); do
        pid=$parent
        case " $* " in *" --fork "*) read -r pid _ <"/proc/$parent/task/$parent/children" || true ;; esac
        [ -z "$pid" ] || [ ! -e "$DIR/$name.ready" ] || { echo "$pid" >"$DIR/$name.pid"; return; }
        sleep 0.02
    done
    echo "up.sh: $name does not start" >&2
    exit 1
}
lan() { nsenter -t "$SWITCH" -n "$@"; }

if ! SWITCH=$(alive switch); then
    hold switch --net
    SWITCH=$(alive switch)
    lan ip link add lan type bridge
    lan ip link set lan up
    for i in $(seq "$N"); do echo "h$i slots=2"; done >"$DIR/hostfile"
    { echo "127.0.0.1 localhost"; echo "$NET.254 h0"
      for i in $(seq "$N"); do echo "$NET.$i h$i"; done; } >"$DIR/addresses"
fi
for i in $(seq 0 "$N"); do
    host=h$i address=$NET.$i
    [ "$i" != 0 ] || address=$NET.254
    alive $host >/dev/null && continue
    lan ip link del "$host" 2>/dev/null || true
    # h0 shares the process table: mpirun starts remote shells from there.
    if [ "$i" = 0 ]; then hold h0 --net --uts --mount --propagation private
    else hold "$host" --net --uts --ipc --mount --propagation private --pid --fork --kill-child --mount-proc; fi
    pid=$(alive "$host")
    nsenter -t "$pid" --uts --mount --root --wdns=/ sh -c "hostname $host; mount --bind '$DIR/addresses' /etc/hosts
        mount -t tmpfs -o mode=1777 tmpfs /dev/shm; mkdir -m 1777 /dev/shm/tmp"
    # A fixed hardware address: the others need not notice that a host was replaced.
    lan ip link add "$host" type veth peer name eth0 address "$(printf '02:00:47:52:00:%02x' "$i")" netns "$pid"
    lan ip link set "$host" master lan up
    nsenter -t "$pid" -n sh -c "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
        ip link set lo up; ip addr add $address/24 dev eth0; ip link set eth0 up" 2>/dev/null
done

cat >"$DIR/on" <<ON
#!/usr/bin/env bash
host=\$1; shift
pid=\$(cat "$DIR/\$host.pid") || exit 255
spaces="--net --uts --mount"; [ "\$host" = h0 ] || spaces="\$spaces --ipc --pid"
export TMPDIR=/dev/shm/tmp # session folders must not be shared: process numbers are not unique
exec nsenter -t "\$pid" \$spaces --root --wdns="\$PWD" -- "\$@"
ON
cat >"$DIR/rsh" <<RSH
#!/usr/bin/env bash
while [ "\${1#-}" != "\$1" ]; do shift; done
host=\$1; shift
exec "$DIR/on" "\$host" sh -c "\$*"
RSH
cat >"$DIR/mpirun" <<MPIRUN
#!/usr/bin/env bash
exec "$HERE/mpirun" "$DIR" "\$@"
MPIRUN
cat >"$DIR/link" <<LINK
#!/usr/bin/env bash
PATH=\$PATH:/usr/sbin:/sbin
host=\$1
lan() { nsenter -t "\$(cat "$DIR/switch.pid")" -n "\$@"; }
# In the place of its cable, a program that carries the frames.
line() {
    local pid address mac
    pid=\$(cat "$DIR/\$host.pid")
    [ -c /dev/net/tun ] || return 2
    [ -e "$DIR/line" ] || \${CC:-cc} -O2 -D_GNU_SOURCE -o "$DIR/line" "$HERE/line.c" || return 2
    address=\$(awk -v host="\$host" '\$2 == host {print \$1}' "$DIR/addresses")
    mac=\$("$DIR/on" "\$host" cat /sys/class/net/eth0/address 2>/dev/null)
    lan ip link del "\$host"
    lan setsid "$DIR/line" "\$host" far "\$1" "\$2" </dev/null >/dev/null 2>&1 &
    for _ in \$(seq 100); do lan ip link show far >/dev/null 2>&1 && break; sleep 0.02; done
    lan ip link set far netns "\$pid" name eth0 || return 2
    lan ip link set "\$host" master lan up
    nsenter -t "\$pid" -n sh -c "ip link set eth0 \${mac:+address \$mac}; ip addr add \$address/24 dev eth0; ip link set eth0 up"
}
case \$2 in
down | up) lan ip link set "\$host" "\$2" ;;
slow) # half of the delay each way
    if lan tc qdisc replace dev "\$host" root netem delay "\$((\$3 / 2))ms" rate "\$4mbit" limit 10000 2>/dev/null; then
        "$DIR/on" "\$host" tc qdisc replace dev eth0 root netem delay "\$((\$3 / 2))ms" rate "\$4mbit" limit 10000
    else
        line "\$((\$3 / 2))" "\$4" || exit 2
    fi ;;
esac
LINK
cat >"$DIR/crash" <<CRASH
#!/usr/bin/env bash
"$DIR/link" "\$1" down
kill -KILL "\$(cat "$DIR/\$1.pid")"
CRASH
chmod 755 "$DIR"/on "$DIR"/rsh "$DIR"/mpirun "$DIR"/link "$DIR"/crash
