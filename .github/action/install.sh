#!/usr/bin/env bash
# Installs Tricast from this checkout, with the extras that were asked for.
set -euo pipefail

extras=${TRICAST_EXTRAS:-}
[[ $extras =~ ^[a-z,]*$ ]] || { printf 'error: extras are names with commas between\n' >&2; exit 2; }
root=$(cd -- "$(dirname -- "$0")/../.." && pwd)
python -m pip install --disable-pip-version-check --constraint "$root/constraints.txt" \
  "$root${extras:+[$extras]}"
