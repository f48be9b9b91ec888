"""launch.sh: torchrun starts the ranks, numactl keeps each on the cores and memory of a socket."""

from __future__ import annotations

NAME = "launch.sh"

_SCRIPT = """\
#!/usr/bin/env bash
# Runs the {ranks} ranks of this model, rank r on the r-th of {ranks} equal shares of the machine:
# on a server with {ranks} sockets one rank a socket, with the threads of its cores, its weights and
# its KV cache in the memory beside them.
#
#     bash launch.sh --prompt "Once upon a time" --new-tokens 64
#
# PYTHON is the interpreter that has tricast[xeon], THREADS the number of threads of a rank.
set -euo pipefail

ranks={ranks}
here=$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)
python=${{PYTHON:-python3}}

if [[ -z ${{LOCAL_RANK:-}} ]]; then
    exec "$python" -m torch.distributed.run --standalone --nnodes=1 --nproc-per-node="$ranks" \\
        --no-python bash "$here/launch.sh" "$@"
fi

# From here on, one rank. Hyper-threads of a core share its units and do not help.
cores=$(lscpu -p=core,socket 2>/dev/null | grep -v '^#' | sort -u | wc -l || true)
((cores > 0)) || cores=$(nproc)
threads=${{THREADS:-$((cores / ranks > 0 ? cores / ranks : 1))}}
export OMP_NUM_THREADS=$threads

place=()
nodes=$(find /sys/devices/system/node -maxdepth 1 -name 'node[0-9]*' 2>/dev/null | wc -l || true)
if command -v numactl >/dev/null && ((nodes > 0)); then
    first=$((LOCAL_RANK * nodes / ranks))
    last=$(((LOCAL_RANK + 1) * nodes / ranks - 1))  # not the first where a socket is split up
    bound="$first-$((last > first ? last : first))"
    place=(numactl --cpunodebind="$bound" --membind="$bound")
elif ((LOCAL_RANK == 0)); then
    echo "no numactl, or no NUMA nodes: the ranks are not bound to sockets" >&2
fi

exec ${{place[@]+"${{place[@]}}"}} "$python" -m targets.openvino.parallel.rank "$here" \\
    --threads "$threads" "$@"
"""


def launch_script(ranks: int) -> bytes:
    """The launch file of an artifact with so many ranks."""
    return _SCRIPT.format(ranks=ranks).encode()
