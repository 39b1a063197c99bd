#!/usr/bin/env bash
# A real Slurm of one node on this machine, for tests, from Debian's packages and without systemd.
#
#   one_node.sh install          packages; needs root and apt
#   one_node.sh start [FOLDER]   starts it; then `. FOLDER/environment` lets sinfo, sbatch and the rest find it
#   one_node.sh stop [FOLDER]    ends its jobs and daemons and removes the folder
#
# FOLDER (default /tmp/exobench-slurm) holds all of it: configuration, keys, state, logs. /etc/slurm and /etc/munge are
# not touched, and a Slurm that runs here is not in the way: the ports are others.
# SLURM_CPUS: CPUs that jobs may use, such as 2,3 (default: all). SLURM_ACCOUNTING=1: with slurmdbd and MariaDB.
set -euo pipefail

FOLDER=${2:-/tmp/exobench-slurm}
DAEMONS="slurmd slurmctld slurmdbd mariadbd munged"  # in the order in which they are stopped

main() {
  case "${1:-}" in
    install) install ;;
    start) start ;;
    stop) stop ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
}

install() {
  [ "$(id -u)" = 0 ] || fail "Slurm's packages need root: start as root, or install slurmctld, slurmd and munge yourself"
  local packages="slurmctld slurmd slurm-client munge"
  if [ "${SLURM_ACCOUNTING:-}" = 1 ]; then packages="$packages slurmdbd mariadb-server"; fi
  # shellcheck disable=SC2086
  if dpkg -s $packages >/dev/null 2>&1; then return; fi
  command -v apt-get >/dev/null || fail "there is no apt-get here: install $packages"
  forbid_services
  apt-get update -qq -o Acquire::http::Timeout=20 -o Acquire::Retries=1
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
}

# The packages would start daemons of their own.
forbid_services() {
  local policy=/usr/sbin/policy-rc.d
  if [ -e "$policy" ]; then return; fi
  # shellcheck disable=SC2064
  trap "rm -f $policy" EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
}

start() {
  [ "$(id -u)" = 0 ] || fail "slurmd needs root"
  stop
  mkdir -p "$FOLDER"/{ctld,d,log,munge,pids}
  chmod 755 "$FOLDER"
  chown munge:munge "$FOLDER/munge"
  start_munge
  if [ "${SLURM_ACCOUNTING:-}" = 1 ]; then start_accounting; fi
  configuration >"$FOLDER/slurm.conf"
  echo "export SLURM_CONF=$FOLDER/slurm.conf" >"$FOLDER/environment"
  export SLURM_CONF="$FOLDER/slurm.conf"
  run slurmctld slurmctld -D -f "$SLURM_CONF"
  run slurmd slurmd -D -f "$SLURM_CONF"
  wait_for "the node" idle_node
  sinfo
}

# In the background, out of reach of Ctrl-C, and known by its number from its first moment on.
run() {
  local name=$1
  shift
  setsid "$@" </dev/null >>"$FOLDER/log/$name.out" 2>&1 &
  echo $! >"$FOLDER/pids/$name"
}

start_munge() {
  local munge="$FOLDER/munge"
  mungekey --create --keyfile="$munge/key"
  chown -R munge:munge "$munge"
  run munged setpriv --reuid=munge --regid=munge --clear-groups munged --foreground --key-file="$munge/key" \
    --socket="$munge/socket" --pid-file="$munge/pid" --log-file="$munge/log" --seed-file="$munge/seed"
  wait_for munged test -S "$munge/socket"
}

start_accounting() {
  local db="$FOLDER/mariadb"
  local -x TMPDIR="$db"  # which mysql, the user, can write to
  mkdir -p "$db"
  chown mysql:mysql "$db"
  mariadb-install-db --user=mysql --datadir="$db" --skip-test-db >/dev/null
  run mariadbd mariadbd --user=mysql --datadir="$db" --socket="$db/socket" --pid-file="$db/pid" --skip-networking \
    --innodb-buffer-pool-size=64M
  wait_for "the database" mariadb-admin --socket="$db/socket" ping
  mariadb --socket="$db/socket" -e "create database slurm_acct_db"
  cat >"$FOLDER/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$FOLDER/munge/socket
DbdHost=localhost
DbdPort=26819
SlurmUser=root
PidFile=$FOLDER/slurmdbd.pid
LogFile=$FOLDER/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageUser=root
StorageLoc=slurm_acct_db
CONF
  chmod 600 "$FOLDER/slurmdbd.conf"
  # slurmdbd finds its configuration beside slurm.conf, and the database's socket by this variable.
  MYSQL_UNIX_PORT="$db/socket" SLURM_CONF="$FOLDER/slurm.conf" run slurmdbd slurmdbd -D
  wait_for slurmdbd listens 26819
}

configuration() {
  local host cpus
  host=$(hostname -s)
  cpus=$(nproc --all)
  cat <<CONF
ClusterName=exobench
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job waits for as long as a credential lives, two minutes by default.
AuthInfo=socket=$FOLDER/munge/socket,cred_expire=5
CredType=cred/munge
SlurmctldPort=26817
SlurmdPort=26818
SlurmctldPidFile=$FOLDER/slurmctld.pid
SlurmdPidFile=$FOLDER/slurmd.pid
StateSaveLocation=$FOLDER/ctld
SlurmdSpoolDir=$FOLDER/d
SlurmctldLogFile=$FOLDER/log/slurmctld.log
SlurmdLogFile=$FOLDER/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=$(($(memory_mb) / cpus))
SchedulerParameters=sched_interval=5,bf_interval=5
JobAcctGatherType=jobacct_gather/linux
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
ReturnToService=2
$(accounting)
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$(memory_mb) State=UNKNOWN$(spared "$cpus")
# A job of the second takes the place of those of the first, which have a time of grace to wind up.
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:$(jobs_per_cpu "$cpus") GraceTime=20
PartitionName=urgent Nodes=$host MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
CONF
}

# Four jobs run at a time, however small the machine.
jobs_per_cpu() {
  local cpus=$1
  if [ -n "${SLURM_CPUS:-}" ]; then cpus=$(tr ',' '\n' <<<"$SLURM_CPUS" | wc -l); fi
  echo $(((3 + cpus) / cpus))
}

accounting() {
  if [ "${SLURM_ACCOUNTING:-}" = 1 ]; then
    # The password is where munge is, for connections to slurmdbd.
    printf 'AccountingStorage%s\n' Type=accounting_storage/slurmdbd Host=localhost Port=26819 Pass="$FOLDER/munge/socket"
  else
    echo "AccountingStorageType=accounting_storage/none"
  fi
}

memory_mb() {
  awk '/^MemTotal/ {print int($2 / 1024 * 0.8)}' /proc/meminfo
}

# CPUs that jobs do not get.
spared() {
  [ -n "${SLURM_CPUS:-}" ] || return 0
  local spare
  spare=$(comm -23 <(seq 0 $(($1 - 1)) | sort) <(tr ',' '\n' <<<"$SLURM_CPUS" | sort) | paste -sd, -)
  [ -z "$spare" ] || echo " CpuSpecList=$spare"
}

stop() {
  [ -e "$FOLDER" ] || return 0
  [ -d "$FOLDER/pids" ] || fail "$FOLDER is not of this script: name a folder that is not there yet"
  if [ -f "$FOLDER/pids/slurmctld" ]; then
    export SLURM_CONF="$FOLDER/slurm.conf"
    end_jobs || true
  fi
  local name pid
  for name in $DAEMONS; do
    pid=$(cat "$FOLDER/pids/$name" 2>/dev/null || true)
    if [ -z "$pid" ]; then continue; fi
    kill "$pid" 2>/dev/null || true
    wait_for "the end of $name" gone "$pid" || kill -9 "$pid"
  done
  rm -rf "$FOLDER"
}

end_jobs() {
  timeout 20 scancel --signal=KILL --full --user="$(id -un)" 2>/dev/null || true
  timeout 20 scancel --user="$(id -un)" 2>/dev/null || return 0
  wait_for "the end of the jobs" no_job
}

idle_node() { [ "$(sinfo -h -o %T)" = idle ]; }
no_job() { [ -z "$(squeue -h)" ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }
listens() { (exec 3<>"/dev/tcp/localhost/$1") 2>/dev/null; }

wait_for() {
  local what=$1
  shift
  for _ in $(seq 150); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  echo "one_node.sh: $what did not come in 30 s; see $FOLDER/log" >&2
  return 1
}

fail() {
  echo "one_node.sh: $1" >&2
  exit 1
}

main "$@"
