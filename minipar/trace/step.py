"""Run a training step under the clock, and bring what all ranks saw to one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np

from minipar.comm.collectives.gather_values import gathered
from minipar.comm.protocol import Communicator
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

LINES = ("weights", "gradients", "optimizer", "activations", "messages")


@dataclass(frozen=True)
class StepTrace:
    """What all ranks saw, of a step of `layout`.

    schedule: of the first pipeline. intervals: of each of its ranks, the instructions as they were carried
    out. measured: the same as a timeline, in seconds. exact: the clock counted FLOPs. samples: of each of its
    micro-batches. events: of all ranks, for a trace file. memory: of each rank, bytes by LINES, as held.
    ledger: the same as predicted, but for the messages.
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


def trace_step(world: Communicator, layout: Layout, model: ModelConfig, train: TrainConfig,
               tokenizer: Tokenizer, tokens: np.ndarray, network: Network, rate: float | None = None,
               flops: Callable[[Instruction], int] | None = None) -> StepTrace | None:
    """The third step of a training, timed by the clock; on rank 0, None elsewhere. The first warms up, the
    second is for memory.

    rate: FLOPs per second; None: by CPU time. flops: of each instruction, by default those of its matrix
    products. All ranks call it. Raises what `require_traceable` and Trainer raise.
    """
    require_traceable(layout)
    clock = Clock(world, network, rate)
    tracer = Tracer(clock, partial(instruction_flops, train.recompute) if flops is None
                    else lambda instruction, execution: flops(instruction))
    trainer = Trainer(model, train, tokenizer, tokens, Grid(clock, layout), watch=tracer.watch)
    trainer.step()
    tracer.on = "memory"
    trainer.step()
    world.barrier(label="before the traced step")
    clock.restart()
    tracer.on = "time"
    trainer.step()
    return _from_all_ranks(world, trainer, tracer, exact=rate is not None)


def _from_all_ranks(world: Communicator, trainer: Trainer, tracer: Tracer, exact: bool) -> StepTrace | None:
    """What each rank saw, put together on rank 0; None elsewhere. All ranks call it."""
    layout, samples = trainer.grid.layout, [len(rows) for rows in trainer.pieces()]
    schedule = trainer.schedule(len(samples))
    events = gather_events(world, list(tracer.clock.timeline))
    texts = gathered(world, [_as_words(one) for one in tracer.intervals], "trace")
    memory = gathered(world, _memory(trainer, tracer), "memory")
    if events is None:
        return None
    first_pipeline = texts[::layout.dp * layout.tp]
    intervals = [[Interval(Instruction(*one[:3]), *map(Fraction, one[3:])) for one in of_rank]
                 for of_rank in first_pipeline]
    ledger = [training_memory(trainer.model, trainer.config, layout, rank, computed_pairs)
              for rank in range(layout.ranks)]
    return StepTrace(layout, schedule, intervals, _timeline(schedule, intervals), exact, samples, events,
                     memory, ledger)


def require_traceable(layout: Layout) -> None:
    """Raises LayoutError for gradients whose sum the clock cannot see, or the schedule cannot show."""
    if layout.gradients == "shared":
        raise LayoutError("gradients shared travel in memory, where no clock times them; to trace, choose "
                          "another way to sum them")
    if layout.gradients == "bitwise":
        raise LayoutError("gradients bitwise take one sample after the other, and not micro-batches as the "
                          "schedule has them; "
                          "to trace, choose another way to sum them")


def is_traceable(layout: Layout) -> bool:
    return layout.gradients not in ("shared", "bitwise")


def _as_words(one: Interval) -> list[int | str]:
    return [*one.instruction, *map(str, (one.begin, one.end, one.queued, one.talking))]


def _memory(trainer: Trainer, tracer: Tracer) -> dict[str, int]:
    held = (trainer.flat.data.nbytes, trainer.flat.grad.nbytes,
            sum(a.nbytes for a in trainer.optimizer.state.values()), tracer.activations, tracer.messages)
    return dict(zip(LINES, held, strict=True))


def _timeline(schedule: Schedule, found: list[list[Interval]]) -> Timeline:
    """The instructions of one pipeline, by rank, from when the first of them began."""
    zero = min(row[0].begin for row in found)
    start = tuple(tuple(one.begin - zero for one in row) for row in found)
    end = tuple(tuple(one.end - zero for one in row) for row in found)
    busy = tuple(sum((one.end - one.begin for one in row), Fraction(0)) for row in found)
    return Timeline(started=tuple(row[0] for row in start), finished=tuple(row[-1] for row in end), busy=busy,
                    schedule=schedule, start=start, end=end)
