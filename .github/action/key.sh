#!/usr/bin/env bash
# Writes the key by which a run's artifacts are kept: see convert/run_key.py.
set -euo pipefail

options=(--recipe "${TRICAST_RECIPE:?}")
[[ -z ${TRICAST_MODEL:-} ]] || options+=(--model "$TRICAST_MODEL")
while IFS= read -r line; do
  line=${line%$'\r'}
  [[ -z $line ]] || options+=("--argument=$line")
done <<<"${TRICAST_ARGUMENTS:-}"

key=$(python -m convert.run_key "${options[@]}")
[[ $key =~ ^tricast-[0-9a-f]{64}$ ]]
printf 'key=%s\n' "$key" >>"${GITHUB_OUTPUT:?}"
