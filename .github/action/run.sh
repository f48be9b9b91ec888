#!/usr/bin/env bash
# Runs a recipe; or verifies its artifacts, where the cache of an earlier job had them.
#
# All that a workflow's author may set comes in through TRICAST_* variables, never as text of this
# script. What is made goes to TRICAST_OUT, JUnit reports to TRICAST_REPORTS.
set -euo pipefail

refuse() {
  printf 'error: %s\n' "$1" >&2
  exit 2
}

out=${TRICAST_OUT:?} reports=${TRICAST_REPORTS:?} recipe=${TRICAST_RECIPE:?}
arguments=()
while IFS= read -r line; do
  line=${line%$'\r'}
  [[ -z $line ]] || arguments+=("$line")
done <<<"${TRICAST_ARGUMENTS:-}"

mkdir -p -- "$reports"

verify_cached() {
  local gate=() found=0 folder
  case ${TRICAST_VERIFY_CACHED:-gate} in
    gate) ;;
    hashes) gate=(--no-gate) ;;
    *) refuse "verify-cached is neither 'gate' nor 'hashes'" ;;
  esac
  for folder in "$out"/*/; do
    [[ -f ${folder}manifest.json ]] || continue
    found=1
    convert verify ${gate[@]+"${gate[@]}"} --junit "$reports/verify-$(basename -- "$folder").xml" -- "${folder%/}"
  done
  ((found)) || refuse "the cache holds no artifact"
}

if [[ ${TRICAST_CACHE_HIT:-} == true ]]; then
  verify_cached
else
  convert run --recipe "$recipe" --out "$out" --junit "$reports/run.xml" \
    ${arguments[@]+"${arguments[@]}"} ${TRICAST_MODEL:+-- "$TRICAST_MODEL"}
fi
