"""Runs imported graphs of small models in OpenVINO."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from convert.parameter import Parameter
from convert.stream import write_layouts
from passes.encodings import encoding
from passes.kv_cache import StatefulCache
from targets.base import Layout
from targets.openvino.ir_file import ir_files
from targets.openvino.lower import lower
from targets.openvino.run import EXACT
from tests.support.imported import VOCAB, imported_graph_of, logits_of, original, plain_feed


class ImportedIr:
    """The IR of a config, with random weights, and what transformers makes of these.

    Args:
        raw: The config.
        folder: For the IR; new.
        encoding_name: Of the matrices.
    """

    def __init__(self, raw: dict[str, Any], folder: Path, encoding_name: str = "f32") -> None:
        import openvino

        self.model = original(raw)
        graph = imported_graph_of(raw, self.model)
        StatefulCache()(graph)
        for value in graph.graph.initializers.values():
            parameter = value.const_value
            if isinstance(parameter, Parameter) and len(parameter.weight.shape) == 2:
                parameter.encoding = encoding(encoding_name).fit(parameter.weight.columns)
        files = ir_files(lower(graph), "openvino_model")
        folder.mkdir(parents=True, exist_ok=True)
        write_layouts([(folder, Layout((files.xml, files.bin), files.jobs, ()))])
        core = openvino.Core()
        read = core.read_model(folder / "openvino_model.xml")
        options = {**EXACT, "INFERENCE_NUM_THREADS": "2"}
        self._compiled = core.compile_model(read, "CPU", options)
        self._request = self._compiled.create_infer_request()

    @property
    def kinds(self) -> Counter[str]:
        """How many nodes of each kind the runtime made."""
        nodes = self._compiled.get_runtime_model().get_ops()
        return Counter(str(node.get_rt_info()["layerType"].value) for node in nodes)

    def logits(self, ids: Any) -> Any:
        """Of sequences of one length, without padding."""
        return self._run(plain_feed(ids), (0, ids.shape[1]))

    def differences(self, seed: int = 0) -> dict[str, float]:
        """As `tests.support.imported.largest_differences`."""
        ids = np.random.default_rng(seed).integers(3, VOCAB, (2, 11))
        expected, feed = logits_of(self.model, ids), plain_feed(ids)
        whole = self._run(feed, (0, 11))
        cached = self._run(feed, (0, 4, 9, 10, 11))
        padded_ids = ids.copy()
        padded_ids[0, :4] = 0
        feed = plain_feed(padded_ids)
        feed["attention_mask"][0, :4] = 0
        feed["position_ids"][0] = np.maximum(np.arange(11) - 4, 0)
        padded, short = self._run(feed, (0, 7, 8, 11)), logits_of(self.model, ids[:1, 4:])
        apart = max(abs(padded[:1, 4:] - short).max(), abs(padded[1:] - expected[1:]).max())
        sigma = expected.std()
        return {
            "whole": float(abs(whole - expected).max() / sigma),
            "cached": float(abs(cached - expected).max() / sigma),
            "padded": float(apart / sigma),
        }

    def _run(self, feed: dict[str, Any], cuts: tuple[int, ...]) -> Any:
        self._request.reset_state()
        found = []
        for start, stop in itertools.pairwise(cuts):
            step = {name: values[:, start:stop] for name, values in feed.items()}
            step["attention_mask"] = feed["attention_mask"][:, :stop]
            step["beam_idx"] = np.arange(len(feed["input_ids"]), dtype=np.int32)
            found.append(self._request.infer(step)["logits"].copy())
        return np.concatenate(found, axis=1)
