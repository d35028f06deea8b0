#!/usr/bin/env bash
# Ends the hosts of up.sh, all that runs on them, and removes the folder: down.sh DIR
set -u
[ -d "${1:-}" ] || exit 0
DIR=$(cd "$1" && pwd -P)
for file in "$DIR"/*.pid; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    grep -qszF "granary-host $DIR $(basename "$file" .pid)" "/proc/$pid/cmdline" || continue
    # All that lives in its network: on h1..hN the whole process table goes with the holder.
    net=$(readlink "/proc/$pid/ns/net")
    for other in /proc/[0-9]*; do
        [ "$(readlink "$other/ns/net" 2>/dev/null)" != "$net" ] || kill -KILL "${other#/proc/}" 2>/dev/null
    done
done
rm -rf "$DIR"
