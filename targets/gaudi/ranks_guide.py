"""DEPLOY.md of an artifact of several ranks: how a launcher loads one."""

from __future__ import annotations

from targets.base import OutputFile, Source
from targets.deployment import DeploymentPlan
from targets.gaudi.deployment import GUIDE, head
from targets.gaudi.options import GaudiOptions

_WITH_PROGRAMS = """\
## Ranks

A process for each of {ranks} cards; process `R` reads `rank-R/` and nothing of the others:

```python
import os, pathlib, safetensors.torch, torch
import habana_frameworks.torch.core
import habana_frameworks.torch.distributed.hccl

torch.distributed.init_process_group("hccl")  # the default group: what the programs name
folder = pathlib.Path(f"rank-{{os.environ['RANK']}}")
stored = {{}}
for file in sorted(folder.glob("model*.safetensors")):
    stored |= safetensors.torch.load_file(file, device="hpu")
decode = torch.export.load(folder / "decode.pt2")
```

`decode.pt2` takes one token a sequence and `prefill-N.pt2` takes N, in a batch of {batch}, against
a cache of {context} slots. Their arguments are those of a program of the whole model: `input_ids`,
`attention_mask`, `position_ids`, `cache_position`, the weights by name, and the caches by name,
which hold this rank's own heads. Names must come in the program's own order, which
docs/gaudi.md of Tricast shows how to read. Every rank gets the same tokens and returns the same
logits, so that the ranks need not agree on the next token.

Between layers the ranks exchange partial sums, by the nodes
`_c10d_functional.all_reduce` and `_c10d_functional.all_gather_into_tensor`, each followed by
`_c10d_functional.wait_tensor`. All ranks meet at the same nodes in the same order."""

_PLANNED_FOR_SLICES = """\
The plan counts the embedding whole on each card, as runtimes that slice at load keep it. Here it is
cut as well, by the vocabulary; `tensor_parallel.json` has the bytes that each rank stores."""

_WITHOUT_PROGRAMS = """\
## Ranks

Process `R` of {ranks} reads `rank-R/` and nothing of the others. The artifact was made without
programs (`graphs: false`): a launcher brings code of its own that computes one rank's part. Which
part of each weight a rank has is in `tensor_parallel.json`: for each weight that is cut, the axis
and each rank's ranges of it."""

_NO_CHECKPOINTS_FILE = """\
There is no `checkpoints.json` here: DeepSpeed and optimum-habana slice whole weights while
loading, and would slice these again. vLLM does likewise. Give them a checkpoint that was converted
without `tensor_parallel`. `config.json` in the ranks' folders is the whole model's."""


def ranks_guide(source: Source, options: GaudiOptions, plan: DeploymentPlan) -> OutputFile:
    """DEPLOY.md.

    Args:
        source: The checkpoint.
        options: The deployment, a card a rank.
        plan: Its memory.
    """
    ranks = (_WITH_PROGRAMS if options.graphs else _WITHOUT_PROGRAMS).format(
        ranks=options.cards,
        batch=options.batch,
        context=options.context(source.config),
    )
    sections = (head(source, plan), _PLANNED_FOR_SLICES, ranks, _NO_CHECKPOINTS_FILE)
    return OutputFile.whole(GUIDE, ("\n\n".join(sections) + "\n").encode())
