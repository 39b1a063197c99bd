#!/usr/bin/env bash
# Tests against a real Slurm of one node on this machine, which is stopped again whatever happens.
#
#   test.sh PYTHON [option of pytest ...]
#
# Then once more with accounting, for what depends on it (SLURM_ACCOUNTING=0: not). Where Slurm's packages cannot be had,
# or its daemons do not start: skipped, with the reason.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tests=$here/../../tests/slurm
python=$1
shift
folder=$(mktemp -d "${TMPDIR:-/tmp}/exobench-slurm.XXXXXX")
chmod 755 "$folder"  # munge has a user of its own
running=

main() {
  trap clean EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  if ! "$here/one_node.sh" install; then
    echo "skipped: Slurm's packages cannot be had on this machine (see above)."
    exit 0
  fi
  with_slurm "$tests" "$@"
  if [ "${SLURM_ACCOUNTING:-}" = 0 ]; then return; fi
  export SLURM_ACCOUNTING=1
  if "$here/one_node.sh" install; then
    with_slurm -k "one_job_killed or (test_jobs and not queued_again and not can_be_cancelled)" "$tests"
  else
    echo "skipped: slurmdbd and MariaDB cannot be had on this machine (see above)."
  fi
}

# In the background, because a shell hears of a signal only when its foreground command is over; in a group of its own,
# so that what the tests have started ends with them.
with_slurm() {
  if ! "$here/one_node.sh" start "$folder/slurm"; then
    echo "skipped: Slurm does not start on this machine; what its daemons said last:"
    show_logs 0
  fi
  # shellcheck disable=SC1091
  . "$folder/slurm/environment"
  TMPDIR=$folder setsid "$python" -m pytest -m slurm --basetemp="$folder/tests" "$@" &
  running=$!
  local status=0
  wait "$running" || status=$?
  end_tests
  if [ "$status" != 0 ]; then show_logs "$status"; fi
  "$here/one_node.sh" stop "$folder/slurm"
}

# They are gone with the folder.
show_logs() {
  tail -n 30 "$folder"/slurm/log/slurm*.log || true
  exit "$1"
}

end_tests() {
  if [ -n "$running" ]; then kill -KILL -- "-$running" 2>/dev/null || true; fi
  running=
}

clean() {
  trap '' INT TERM
  end_tests
  "$here/one_node.sh" stop "$folder/slurm" || true
  rm -rf "$folder"
}

main "$@"
