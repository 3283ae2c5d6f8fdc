"""Traces one training step with a clock on each rank, and gathers the records of all ranks on rank 0."""

# dp, tp, pp: the axes of data, tensor and pipeline parallelism

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np

from minipar.comm.collectives.gather_values import gathered_on_root
from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.network import Network
from minipar.comm.wrappers.timeline import Event, gather_events
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import Tokenizer
from minipar.errors import LayoutError
from minipar.nn.counts import computed_pairs
from minipar.parallel.grid import Grid
from minipar.plan.memory import MemoryLedger, training_memory
from minipar.schedules.instruction import Instruction, Schedule
from minipar.schedules.simulate import Timeline
from minipar.trace.flops import instruction_flops
from minipar.trace.tracer import Interval, Tracer
from minipar.training.trainer import Trainer

LINES = ("weights", "gradients", "gathered", "residuals", "optimizer", "activations", "messages")


@dataclass(frozen=True)
class StepTrace:
    """Holds the records of all ranks for one step of a training run with `layout`.

    The fields schedule, intervals, measured and samples describe the first pipeline, which has dp rank 0 and
    tp rank 0.

    schedule     the schedule
    intervals    one list per rank of the pipeline: the executed instructions in order
    measured     the same instructions as a timeline, in seconds
    samples      the number of samples of each micro-batch
    exact        true if the clock counted FLOPs
    events       the events of all ranks, for a trace file
    memory       one dict per rank: line (of LINES) -> measured bytes
    ledger       the predicted bytes of each rank, without messages
    losses       the losses of all steps
    """

    layout: Layout
    schedule: Schedule
    intervals: list[list[Interval]]
    measured: Timeline
    exact: bool
    samples: list[int]
    events: list[Event]
    memory: list[dict[str, int]]
    ledger: list[MemoryLedger]
    losses: list[float]


def trace_step(world: Communicator, layout: Layout, model: ModelConfig, train: TrainConfig,
               tokenizer: Tokenizer, tokens: np.ndarray, network: Network, rate: float | None = None,
               flops: Callable[[Instruction], int] | None = None, *,
               nodes: Sequence[int] | None = None) -> StepTrace | None:
    """Returns the trace of a training's last step on rank 0, and None on other ranks. All ranks call this
    function.

    The training has three steps: the first warms up, the second measures memory, the third measures times.
    With a rate, the training has only two steps. Measuring memory takes no virtual time, so the second step
    measures both. rate: FLOPs per second; None selects CPU time. flops: the FLOPs of each instruction, by
    default the FLOPs of its matrix products. nodes: the node of each rank, see Clock. Raises the errors of
    `require_traceable` and Trainer.
    """
    require_traceable(layout)
    clock = Clock(world, network, rate, nodes)
    tracer = Tracer(clock, partial(instruction_flops, train.recompute) if flops is None
                    else lambda instruction, execution: flops(instruction))
    trainer = Trainer(model, train, tokenizer, tokens, Grid(clock, layout), watch=tracer.watch)
    losses = [trainer.step().loss]
    if rate is None:
        tracer.on = ("memory",)
        losses.append(trainer.step().loss)
    world.barrier(label="before the traced step")
    clock.restart()
    tracer.on = ("time",) if rate is None else ("time", "memory")
    losses.append(trainer.step().loss)
    return _from_all_ranks(world, trainer, tracer, losses, exact=rate is not None)


def single_process_losses(model: ModelConfig, train: TrainConfig, tokenizer: Tokenizer, tokens: np.ndarray,
                          steps: int) -> list[float]:
    """Returns the losses of the first steps on one rank, to compare them with the losses of a `StepTrace`."""
    trainer = Trainer(model, train, tokenizer, tokens, Grid(solo(), Layout()))
    return [trainer.step().loss for _ in range(steps)]


def _from_all_ranks(world: Communicator, trainer: Trainer, tracer: Tracer, losses: list[float],
                    exact: bool) -> StepTrace | None:
    """Returns the records of all ranks as a StepTrace on rank 0, and None on other ranks. All ranks call this
    function.

    The first pipeline has every (dp * tp)-th world rank, because tp and dp are faster axes than pp. Example:
    dp=2, tp=2 and pp=2 give 8 ranks. Ranks 0 to 3 have stage 0, ranks 4 to 7 have stage 1, and texts[::4] has
    the texts of ranks 0 and 4.
    """
    layout, samples = trainer.grid.layout, [len(rows) for rows in trainer.pieces()]
    schedule = trainer.schedule(len(samples))
    events = gather_events(world, list(tracer.clock.timeline))
    first_pipeline = world.rank % (layout.dp * layout.tp) == 0
    texts = gathered_on_root(world, [_as_words(one) for one in tracer.intervals] if first_pipeline else [],
                             "trace")
    memory = gathered_on_root(world, _memory(trainer, tracer), "memory")
    if events is None or texts is None or memory is None:
        return None
    intervals = [[Interval(Instruction(*one[:3]), *map(Fraction, one[3:])) for one in of_rank]
                 for of_rank in texts[::layout.dp * layout.tp]]
    ledger = [training_memory(trainer.model, trainer.config, layout, rank, computed_pairs)
              for rank in range(layout.ranks)]
    return StepTrace(layout, schedule, intervals, _timeline(schedule, intervals), exact, samples, events,
                     memory, ledger, losses)


def require_traceable(layout: Layout) -> None:
    """Raises LayoutError if the clock cannot time the sum of gradients, or if the sum does not use the
    schedule.
    """
    if layout.gradients == "shared":
        raise LayoutError("gradients shared uses shared memory, which the clock cannot time; to trace, "
                          "choose another way to sum them")
    if layout.gradients == "bitwise":
        raise LayoutError("gradients bitwise computes one sample after the other, not the micro-batches "
                          "of the schedule; to trace, choose another way to sum them")


def is_traceable(layout: Layout) -> bool:
    return layout.gradients not in ("shared", "bitwise")


def _as_words(one: Interval) -> list[int | str]:
    return [*one.instruction, *map(str, (one.begin, one.end, one.queued, one.talking))]


def _memory(trainer: Trainer, tracer: Tracer) -> dict[str, int]:
    state = sum(array.nbytes for array in trainer.optimizer.state.values())
    residuals = trainer.reducer.residual_bytes if trainer.reducer is not None else 0
    held = {**trainer.store.held(), "residuals": residuals, "optimizer": state,
            "activations": tracer.activations, "messages": tracer.messages}
    return {line: held[line] for line in LINES}


def _timeline(schedule: Schedule, found: list[list[Interval]]) -> Timeline:
    """Converts the intervals of one pipeline to a timeline that starts at 0 with the first instruction.

    Example: rank 0 ran F0 from 7 to 9, and rank 1 from 10 to 12. Then start is ((0,), (3,)), end is ((2,),
    (5,)), and busy is (2, 2).
    """
    zero = min(row[0].begin for row in found)
    start = tuple(tuple(one.begin - zero for one in row) for row in found)
    end = tuple(tuple(one.end - zero for one in row) for row in found)
    busy = tuple(sum((one.end - one.begin for one in row), Fraction(0)) for row in found)
    return Timeline(started=tuple(row[0] for row in start), finished=tuple(row[-1] for row in end), busy=busy,
                    schedule=schedule, start=start, end=end)
