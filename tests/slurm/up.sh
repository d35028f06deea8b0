#!/usr/bin/env bash
# A Slurm of two pretended nodes, n1 and n2, on this machine: munged, slurmctld, two slurmd.
#   eval "$(tests/slurm/up.sh DIR)"     prints the environment its commands need
#   tests/slurm/up.sh DIR NODE          starts the slurmd of one node again
# DIR is short (socket paths) and holds everything: key, configuration, state, logs, pid files.
# Plain processes, no cgroups, loopback only. As an ordinary user jobs run as that user.
set -eu
# Numbers are written with a point, whatever the user's language writes.
export LC_ALL=C
DIR=$1 ONLY=${2:-}
PATH=$PATH:/usr/sbin:/sbin
export SLURM_CONF=$DIR/slurm.conf GRANARY_SLURM_DIR=$DIR
start_node() {
    mkdir -p "$DIR/spool/$1" "$DIR/tmp/$1"
    slurmd -N "$1" </dev/null >>"$DIR/log/$1.out" 2>&1
}
if [ -n "$ONLY" ]; then start_node "$ONLY"; exit; fi

umask 022
mkdir -p "$DIR"/{run,log,state,spool,tmp}
chmod 755 "$DIR" "$DIR/run" # munged wants it so
(umask 077; head -c 1024 /dev/urandom >"$DIR/munge.key")

# Three ports next to each other that nobody listens on, below the range of outgoing ones.
busy=" $(ss -Htln | awk '{sub(/.*:/, "", $4); printf "%s ", $4}')"
for _ in $(seq 100); do
    port=$((20000 + RANDOM % 10000))
    case $busy in *" $port "* | *" $((port + 1)) "* | *" $((port + 2)) "*) ;; *) break ;; esac
done
host=$(hostname -s)
# Two nodes with one hostname would share the names of shared-memory segments and sessions.
# Not in the batch step: mpirun would hand its values on to all nodes.
cat >"$DIR/prolog.sh" <<PROLOG
#!/bin/sh
[ -n "\$SLURM_STEP_ID" ] || exit 0
for name in btl_vader_backing_directory btl_sm_backing_directory osc_sm_backing_directory orte_tmpdir_base; do
    echo "export OMPI_MCA_\$name=$DIR/tmp/\$SLURMD_NODENAME"
done
PROLOG
chmod 755 "$DIR/prolog.sh"
# ProctrackType pgid: under linuxproc an mpirun whose batch shell is gone escapes and hangs.
# cred_expire: how long a requeued job waits (120 s by default).
cat >"$SLURM_CONF" <<CONF
ClusterName=private
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$DIR/run/munge,cred_expire=5
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool/%n
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
TaskProlog=$DIR/prolog.sh
TmpFS=$DIR/tmp/%n
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdTimeout=10
KillWait=10
MinJobAge=3600
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
JobRequeue=1
AccountingStorageType=accounting_storage/none
NodeName=n[1-2] NodeHostname=$host NodeAddr=127.0.0.1 Port=[$((port + 1))-$((port + 2))] CPUs=4 Boards=1 Sockets=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=10 State=UP
CONF

munged --key-file="$DIR/munge.key" --socket="$DIR/run/munge" --pid-file="$DIR/run/munged.pid" \
    --log-file="$DIR/log/munged.log" --seed-file="$DIR/run/seed" </dev/null >>"$DIR/log/munged.out" 2>&1 ||
    { cat "$DIR/log/munged.out" >&2; exit 1; }
slurmctld </dev/null >>"$DIR/log/slurmctld.out" 2>&1
start_node n1
start_node n2
for _ in $(seq 60); do
    [ "$(sinfo -h -N -o %T 2>/dev/null | grep -c idle)" = 2 ] && break
    sleep 0.5
done
[ "$(sinfo -h -N -o %T | grep -c idle)" = 2 ] || { tail -n 5 "$DIR"/log/*.log >&2; exit 1; }
echo "export SLURM_CONF=$SLURM_CONF GRANARY_SLURM_DIR=$DIR"
echo "export OMPI_MCA_oob_tcp_if_include=lo OMPI_MCA_btl_tcp_if_include=lo"
