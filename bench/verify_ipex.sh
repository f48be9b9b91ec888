#!/usr/bin/env bash
# Loads ipex artifacts in IPEX 2.8 itself, in an environment of its own, and generates some tokens.
#
#   bench/verify_ipex.sh ENVIRONMENT ARTIFACT...
#
# ENVIRONMENT is a folder that is made if it is not there: about 7 GB, since the torch 2.8 of the
# usual index brings CUDA's libraries. PIP_OPTIONS may name an index that has torch 2.8.0+cpu.
# ARTIFACT is a folder that `convert run --to ipex:...` made. What IPEX generates should be what
# `convert generate ARTIFACT --prompt-tokens ...` does, but for ties between tokens: the weights are
# the same, the rounding of the kernels is not.
set -euo pipefail

if [ $# -lt 2 ]; then
    sed -n '2,12p' "$0"
    exit 2
fi
environment=$1
shift
if [ ! -x "$environment/bin/python" ]; then
    python3 -m venv "$environment"
    # shellcheck disable=SC2086
    "$environment/bin/pip" install --quiet ${PIP_OPTIONS:-} \
        torch==2.8.0 intel-extension-for-pytorch==2.8.0 transformers==4.51.3 'numpy<2.3'
fi
exec "$environment/bin/python" "$(dirname "$0")/verify_ipex.py" "$@"
