"""Compares gradients of another framework with the gradients that minipar computes on one process.

Both frameworks use the same weights and the same batch. The gradients of the other framework are read from
files, so that framework need not be installed here.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from minipar.autograd import backward
from minipar.checkpoint.file_layout import FileLayout, rank_files, read_layout
from minipar.checkpoint.gpt2 import load_gpt2
from minipar.comm.collectives import even_counts
from minipar.config import ModelConfig
from minipar.errors import CheckpointError, ConfigError, ShapeError
from minipar.nn import GPT
from minipar.nn.gpt2_names import our_name
from minipar.proof.clues import CLEAN
from minipar.proof.equivalent.compare import compare
from minipar.proof.equivalent.equivalent import EquivalenceReport
from minipar.proof.equivalent.gradient_files import by_part, read_batch, read_gradients
from minipar.proof.equivalent.sharding import Replicated, Sharded, Sharding
from minipar.proof.equivalent.wrong_array import Facts
from minipar.proof.findings import tolerance as units

MOST = 0.02  # the largest default tolerance; with a larger one, bugs would pass
QKV = ".attention.qkv."
INTERLEAVED = ('the columns of qkv are ordered by heads, q, k and v of each one, as in Megatron-LM; add '
               '"qkv": "interleaved" to layout.json')
FilePath = str | os.PathLike[str]


def compare_gradients(
    gradients: FilePath,
    *,
    weights: FilePath | None = None,
    batch: FilePath | None = None,
    heads: int | None = None,
    tolerance: float | None = None,
) -> EquivalenceReport:
    """Compare the gradients in a folder with the gradients of one process.

        report = mp.compare_gradients("dumped")             # same as `minipar compare --gradients dumped`
        assert report.proven, report

    >>> import minipar as mp
    >>> try:
    ...     mp.compare_gradients("dumped")
    ... except mp.MiniparError as error:
    ...     print(str(error).split(";")[0])
    there is no folder dumped

    gradients: a folder with layout.json and one file of gradients per rank (see gradient_files.py).
    weights: a .safetensors or .npz file of the whole weights with GPT-2's names. By default the file
        weights.safetensors or weights.npz in the folder is used.
    batch: an .npz file with inputs and targets, integers [B, T]. By default batch.npz in the folder is used.
    heads: the number of attention heads. The default is the number in layout.json, or the width divided by
        64.
    tolerance: the largest allowed error, relative to the largest element of an array. The default is 4504
        units in the last place of the files' dtype (5e-4 for float32), but at most 0.02.

    Raises CheckpointError, ConfigError or ShapeError if a file is missing or damaged, or if a size is wrong.
    """
    folder = Path(gradients)
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder {folder}; give the one that holds layout.json")
    layout = read_layout(folder / "layout.json")
    weights = _found(weights, folder, "weights.safetensors", "weights.npz")
    config, state = load_gpt2(weights, heads or layout.heads)
    inputs, targets = read_batch(_found(batch, folder, "batch.npz", "batch.safetensors"), config)
    ranks = read_gradients(rank_files(folder, layout.ranks), config, layout)
    whole = single_process_gradients(config, state, inputs, targets)
    if layout.loss is None:
        whole.pop("loss")
    else:
        ranks = [{"loss": np.asarray(float(layout.loss)), **rank} for rank in ranks]
    if tolerance is None:
        kinds = {str(array.dtype) for rank in ranks for array in rank.values() if array.ndim}
        tolerance = min(MOST, max(map(units, kinds), default=units("float64")))
    if not tolerance >= 0:
        raise ConfigError(f"tolerance is {tolerance}; choose 0 or more")
    axes = {axis: layout.groups(axis) for axis in ("dp", "tp", "pp") if getattr(layout, axis) > 1}
    facts = Facts(
        [layout.at(rank)["tp"] for rank in range(layout.ranks)],
        layout.tp,
        axes,
        pieces=layout.micro_batches,
        clean=max(CLEAN, min(4 * tolerance, MOST)),
    )
    lie = shardings(config, layout)
    found = compare(whole, ranks, lie, tolerance, facts)
    explanations = found.explanations
    if any(QKV in finding.item for finding in found.findings if not finding.proven):
        again = [{name: by_part(array, config.head_width) if QKV in name else array
                  for name, array in rank.items()} for rank in ranks]
        retried = compare(whole, again, lie, tolerance, facts).findings
        if all(finding.proven for finding in retried if QKV in finding.item):
            explanations = [INTERLEAVED, *explanations]
    return EquivalenceReport(layout.ranks, tolerance, found.findings, [], explanations)


def single_process_gradients(
    config: ModelConfig, state: dict[str, np.ndarray], inputs: np.ndarray, targets: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns a dict, parameter name -> gradient of the loss, in float64. The key "loss" holds the loss
    itself: the mean over the counted (not ignored) targets.
    """
    model = GPT(config, dtype=np.float64)
    model.load_state_dict({name: array.astype(np.float64) for name, array in state.items()})
    loss = model.loss(inputs, targets)
    backward(loss)
    found = {"loss": np.asarray(loss.data)}
    return found | {p.name: np.zeros(p.shape) if p.grad is None else p.grad for p in model.parameters()}


def shardings(config: ModelConfig, layout: FileLayout) -> dict[str, Sharding]:
    """Returns how Megatron-LM distributes each parameter of GPT-2 over tp: parameter name -> sharding.

    Megatron-LM shards the columns of qkv and up, the rows of out and down, and the vocabulary. Parameters
    that are not sharded have no entry.
    """
    tp, heads = layout.tp, even_counts(config.heads, layout.tp)
    by_heads = [count * config.head_width for count in heads]
    found: dict[str, Sharding] = {"tokens.weight": Sharded(0), "head.weight": Sharded(0)}
    for layer in range(config.layers):
        block = f"blocks.{layer}"
        found |= {
            f"{block}.attention.qkv.weight": Sharded(1, by_heads, 3),
            f"{block}.attention.qkv.bias": Sharded(0, by_heads, 3),
            f"{block}.attention.out.weight": Sharded(0, by_heads),
            f"{block}.mlp.up.weight": Sharded(1),
            f"{block}.mlp.up.bias": Sharded(0),
            f"{block}.mlp.down.weight": Sharded(0),
        }
    for name, axis in (layout.shards or {}).items():
        try:
            ours, _ = our_name(config, name)
        except ShapeError as error:
            raise ShapeError(f"layout.json: shards: {error}", item="shards") from None
        found[ours] = Replicated() if axis is None else Sharded(axis)
    return found if tp > 1 else {}


def _found(given: FilePath | None, folder: Path, *names: str) -> Path:
    if given is not None:
        return Path(given)
    return next((folder / name for name in names if (folder / name).exists()), folder / names[0])
