"""The planted bugs of the layers: the check that must fail first, and key words of the explanation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import minipar as mp
from minipar.proof.equivalent.equivalent import EquivalenceReport
from tests.proof.equivalent import layers
from tests.proof.equivalent.layers import PIECES, Ops


class Planted(NamedTuple):
    """first: the first check that fails. words: in the explanation; {p} is the number of ranks."""

    layer: str
    bug: str
    first: str
    words: str


PLANTED = [
    Planted("pair", "y not summed", "y", "sum over the ranks is right"),
    Planted("pair", "y on rank 0 alone", "y", "right on rank 0, wrong on"),
    Planted(
        "pair", "bias on every rank", "y", "'c': each rank adds it before the sum, so it counts {p} times"
    ),
    Planted("pair", "bias forgotten", "y", "off by 'c': no rank adds it"),
    Planted("pair", "gathered backwards", "h", "permuted along axis 1"),
    Planted("pair", "gx not summed", "gx", "sum over the ranks is right"),
    Planted("pair", "gx summed twice", "gx", "{p} times the right value, the ranks = {p}: summed"),
    Planted("pair", "gx averaged", "gx", "1/{p} for the ranks = {p}: averaged"),
    Planted("pair", "bias shared out", "gc", "only vectors (biases and the like) (gc): "),
    Planted("pair", "whole gradient summed", "gc", "{p} times the right value"),
    Planted("pair", "another rank's shard", "gw", "the shard of the rank that is 1 higher"),
    Planted("pair", "whole, not its shard", "gw", "each rank has the whole"),
    Planted("pair", "shard begins late", "gw", "begins one index too late along axis 1"),
    Planted("pair", "transposed", "gv", "transposed"),
    Planted("pair", "half the bits", "gv", "precision is lost"),
    Planted("pair", "one shard twice", "gv", "2 times the right value"),
    Planted("pair", "buffer never filled", "gv", "NaN or infinite on rank"),
    Planted("pair", "nothing arrives", "gb", "zero: nothing arrives"),
    Planted("step", "never summed", "g", "sum over the ranks is right"),
    Planted("step", "averaged twice", "g", "averaged twice"),
    Planted("step", "own count", "g", "each divides by its own number of samples"),
    Planted("step", "another factor on each rank", "g", "different factor on each rank"),
    Planted("step", "micro-batches count whole", "g", "3 times the right value"),
    Planted("step", "divided by micro-batches", "g", "1/3 for 3 micro-batches"),
    Planted("step", "accumulation overwritten", "g", "not a multiple"),
    Planted("step", "another sign", "g", "sign"),
    Planted("step", "loss of its own samples", "loss", "sum over the ranks is right"),
    Planted("step", "remainder dropped", "e", "remainder"),
    Planted("step", "replicas drift", "replicas", "replicas drift apart: new on ranks 0 and"),
    Planted("pipeline", "every stage takes the mean", "g0", "1/3 for 3 micro-batches"),
    Planted("pipeline", "last micro-batch dropped", "g0", "not a multiple"),
    Planted("pipeline", "gradient not sent", "g0", "zero: nothing arrives"),
    Planted("pipeline", "micro-batches in reverse", "y", "permuted along axis 0"),
    Planted("pipeline", "loss on the last stage", "loss", "sum over the ranks is right"),
    Planted("pipeline", "one stage forgotten", "g{p-1}", "missing on rank"),
]
Layer = tuple[Callable[..., Any], Callable[..., Any], dict[str, Any], dict[str, Any]]


def layer(name: str, ranks: int) -> Layer:
    """The serial function, the parallel one, the inputs and their distribution over the ranks."""
    layer: dict[str, Layer] = {
        "pair": (layers.pair, layers.parallel_pair, layers.pair_inputs(), layers.PAIR),
        "step": (layers.step, layers.parallel_step, layers.step_inputs(), layers.STEP),
        "pipeline": (layers.pipeline, layers.parallel_pipeline, layers.pipeline_inputs(ranks),
                     layers.pipeline_shards(ranks))}
    return layer[name]


def report(comm: mp.Communicator, ops: Ops, name: str, bug: str) -> EquivalenceReport:
    serial, parallel, inputs, shards = layer(name, comm.size)
    return mp.equivalent(comm, serial=serial, parallel=partial(parallel, ops, bug), inputs=inputs,
                         shards=shards, micro_batches=PIECES)


def wrong(planted: Planted, found: EquivalenceReport) -> str:
    """The report of a planted bug, if it is wrong; else ""."""
    first = planted.first.replace("{p-1}", str(found.ranks - 1))
    words = planted.words.replace("{p}", str(found.ranks))
    if found.failed_checks[:1] != [first] or not any(words in text for text in found.explanations):
        return f"{planted.bug} on {found.ranks} ranks: {found.failed_checks} {found.explanations}"
    return ""
