#!/usr/bin/env bash
# Tests against a real Slurm of one node on this machine, which is stopped again whatever happens.
#
#   test.sh PYTHON [argument of pytest ...]
set -euo pipefail

python=$1
shift
here=$(dirname "$0")
folder=$(mktemp -d "${TMPDIR:-/tmp}/exobench-slurm.XXXXXX")

if ! "$here/one_node.sh" install; then
  echo "skipped: Slurm's packages cannot be had on this machine (see above)."
  rm -rf "$folder"
  exit 0
fi
trap '"$here/one_node.sh" stop "$folder"' EXIT
trap 'exit 130' INT TERM
"$here/one_node.sh" start "$folder"
# shellcheck disable=SC1091
. "$folder/environment"
"$python" -m pytest -m slurm "$@"

# How jobs end is found out in another way where Slurm keeps accounts.
export SLURM_ACCOUNTING=1
if "$here/one_node.sh" install; then
  "$here/one_node.sh" start "$folder"
  "$python" -m pytest -m slurm "$here/../../tests/slurm/test_jobs.py"
else
  echo "skipped: slurmdbd and MariaDB cannot be had on this machine (see above)."
fi
