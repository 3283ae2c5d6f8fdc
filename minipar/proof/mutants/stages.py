"""Bugs of a pipeline's stages: wrong layers, positions or initial values, a wrong tied table, and missing
sums over stages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minipar.autograd import Tensor
from minipar.comm.collectives import all_reduce
from minipar.comm.protocol import Communicator
from minipar.nn import GPT, Part
from minipar.optim import Flat, squared_norm
from minipar.parallel.stages import Stages, parts_of
from minipar.proof.mutants.mutant import Change, after_init
from minipar.proof.mutants.pipeline import pipelined
from minipar.rng import stream
from minipar.training import build
from minipar.training import trainer as train
from minipar.training.step_result import StepResult
from minipar.training.trainer import Trainer

Parts = list[Part]


@pipelined("initial weights", layers=3)
def remainder_layers_dropped() -> list[Change]:
    """Three layers are divided by two stages without the remainder. So each stage gets one layer, and no rank
    has the last layer.
    """
    def even(layers: int, stages: int, counts: Sequence[int] = ()) -> Parts:
        return parts_of(layers // stages * stages, stages)
    return [Change(build, "parts_of", even)]


@pipelined("initial weights")
def layers_numbered_from_zero() -> list[Change]:
    """Each stage numbers its own layers from zero. So two ranks have a layer with the same name, and no rank
    has the last layer.
    """
    return [_other_parts(lambda parts: [replace(part, layers=range(len(part.layers))) for part in parts])]


@pipelined("initial weights", pipeline="interleaved", layers=4)
def stages_dealt_in_blocks() -> list[Change]:
    """A rank gets neighbouring layers, although the interleaved schedule assigns the stages to the ranks in
    turn.
    """
    return [_other_parts(lambda parts: [parts[0], parts[2], parts[1], parts[3]])]


def _other_parts(change: Callable[[Parts], Parts]) -> Change:
    return Change(build, "parts_of", lambda layers, stages,
                  counts=(): change(parts_of(layers, stages, counts)))


def _own_name(model: GPT, name: str) -> str:
    """Returns the name that a parameter or layer has if its stage numbers the layers from zero."""
    layer, *rest = name.removeprefix("blocks.").split(".")
    return ".".join(["blocks", str(int(layer) - model.part.layers.start), *rest]) if layer.isdigit() else name


@pipelined("initial weights")
def stages_start_alike() -> list[Change]:
    """Initial values depend on a layer's number within its stage. So the first layers of all stages start
    with equal weights.
    """
    def draw(model: GPT, config: Any, *, seed: int, **options: Any) -> None:
        for p in model.parameters():
            p.data[...] = p.own(p.start.draw(stream(seed, "init", _own_name(model, p.name)), p.whole))
    return [after_init(GPT, draw)]


@pipelined("forward", dropout=0.2)
def masks_by_the_number_in_the_stage() -> list[Change]:
    """Dropout masks depend on a layer's number within its stage. So the first layers of all stages drop the
    same units.
    """
    def rename(model: GPT, *arguments: Any, **options: Any) -> None:
        for block in model.blocks:
            for layer in (block.attention, block.mlp):
                layer.name = _own_name(model, layer.name)
    return [after_init(GPT, rename)]


@pipelined("forward")
def positions_on_every_stage() -> list[Change]:
    """Every stage adds position embeddings to its input. Only the first stage should add them."""
    original = GPT.forward

    def forward(model: GPT, x: np.ndarray | Tensor, **options: Any) -> Tensor:
        if isinstance(x, Tensor):
            whole = (model.config.context, model.config.width)
            x = x + 0.02 * stream(0, "positions").standard_normal(whole)
        return original(model, x, **options)
    return [Change(GPT, "forward", forward)]


@pipelined("gradients")
def tied_table_not_reduced() -> list[Change]:
    """The first and the last stage have copies of the tied table, and the gradients of the copies are not
    summed. So the copies drift apart.
    """
    return [Change(Stages, "add_tied", lambda stages, flat: None)]


@pipelined("gradients")
def tied_table_reduced_twice() -> list[Change]:
    """The gradient of the tied table is summed twice over the first and the last stage."""
    original = Stages.add_tied

    def twice(stages: Stages, flat: Flat) -> None:
        original(stages, flat)
        original(stages, flat)
    return [Change(Stages, "add_tied", twice)]


@pipelined("norm")
def norm_counts_the_tied_table_twice() -> list[Change]:
    """The first and the last stage both count the tied table in the norm of the gradient. So clipping starts
    too early.
    """
    def forget(stages: Stages, *arguments: Any, **options: Any) -> None:
        stages.copies = set()
    return [after_init(Stages, forget)]


@pipelined("norm")
def norm_of_the_own_stages() -> list[Change]:
    """Each rank clips its gradients by the norm of its own stages. So the clipping factor differs from rank
    to rank.
    """
    return [Change(train, "global_norm",
                   lambda flat, *groups: math.sqrt(squared_norm(flat.gradient())))]


@pipelined("loss")
def loss_stays_on_the_last_stage() -> list[Change]:
    """Only the last stage has the loss. Rank 0 reports its own value, which is zero."""
    return [_not_over_pp(lambda losses: losses.size == 1)]


@pipelined("validation loss")
def validation_stays_on_the_last_stage() -> list[Change]:
    """Only the last stage has the validation loss. Rank 0 reports its own value, which is zero."""
    return [_not_over_pp(lambda losses: losses.size > 1)]


def _not_over_pp(forgotten: Callable[[np.ndarray], bool]) -> Change:
    def own(comm: Communicator, array: np.ndarray, op: str = "sum", *, label: str,
            algorithm: str = "auto") -> np.ndarray:
        if comm.name == "pp" and forgotten(array):
            return array
        return all_reduce(comm, array, op, label=label, algorithm=algorithm)
    return Change(train, "all_reduce", own)


@pipelined("validation loss")
def validation_with_stale_stages() -> list[Change]:
    """Validation runs on all stages, but all stages except the first use the weights of the previous step."""
    step, validate = Trainer.step, Trainer.validate

    def remember(trainer: Trainer) -> StepResult:
        vars(trainer)["stale"] = trainer.flat.data.copy()
        return step(trainer)

    def stale(trainer: Trainer) -> float:
        fresh = trainer.flat.data.copy()
        if trainer.grid.at["pp"] > 0:
            trainer.flat.data[...] = vars(trainer)["stale"]
        loss = validate(trainer)
        trainer.flat.data[...] = fresh
        return loss
    return [Change(Trainer, "step", remember), Change(Trainer, "validate", stale)]
