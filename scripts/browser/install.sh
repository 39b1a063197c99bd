#!/usr/bin/env bash
# Installs Chromium from Debian's packages where it is missing, for the tests of the pages; needs root or sudo.
set -euo pipefail
if command -v chromium >/dev/null; then
  echo "chromium: $(command -v chromium)"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "no apt-get here: install Chromium by hand and set EXOBENCH_CHROMIUM to its path" >&2
  exit 1
fi
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium
command -v chromium
