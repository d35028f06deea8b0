#!/usr/bin/env bash
# Ends what up.sh started in DIR, and every process of its jobs (they carry its name). Fails when
# something stays.
#   tests/slurm/down.sh DIR
set -u
DIR=$1
export SLURM_CONF=$DIR/slurm.conf
# ours NAME: the process whose pid is in run/NAME.pid, if it is still that one
ours() {
    local pid
    pid=$(cat "$DIR/run/$1.pid" 2>/dev/null) && grep -qs "${2:-$1}" "/proc/$pid/cmdline" && echo "$pid"
}
# left: processes of jobs by their environment; the daemons and each step's own, which overwrite
# theirs, by where they work
left() {
    local process
    for process in /proc/[0-9]*; do
        case $(readlink "$process/cwd") in "$DIR"/*) ;; *)
            grep -qszx "GRANARY_SLURM_DIR=$DIR" "$process/environ" || continue
            grep -qsz '^SLURM_JOB_ID=' "$process/environ" || continue ;;
        esac
        [ "$process" = "/proc/$munged" ] || echo "${process#/proc/}"
    done
}
munged=$(ours munged)
if [ -n "$(ours slurmctld)" ]; then
    # shellcheck disable=SC2046
    timeout 10 scancel $(timeout 10 squeue -h -o %A | sort -u) 2>/dev/null
    for _ in $(seq 80); do [ -z "$(timeout 10 squeue -h)" ] && break; sleep 0.25; done
fi
for name in slurmctld n1 n2; do
    word=slurmd; [ $name != slurmctld ] || word=slurmctld
    pid=$(ours $name $word) && kill "$pid"
done
for signal in 0 0 0 0 0 0 0 0 CONT TERM KILL; do
    pids=$(left); [ -n "$pids" ] || break
    # shellcheck disable=SC2086
    kill -s $signal $pids 2>/dev/null
    sleep 0.5
done
[ -z "$munged" ] || kill "$munged"
for _ in $(seq 20); do [ -n "$(ours munged)" ] || break; sleep 0.1; done
[ -z "$(left)$(ours munged)" ] || { echo "left: $(left) $(ours munged)"; exit 1; }
