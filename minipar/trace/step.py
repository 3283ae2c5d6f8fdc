"""Run a training step under the clock, and bring what all ranks saw to one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from minipar.comm.clock import Clock
from minipar.comm.gathered import gathered
from minipar.comm.network import Network
from minipar.comm.protocol import Communicator
from minipar.comm.timeline import Event, gather_events
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import Tokenizer
from minipar.parallel.grid import Grid
from minipar.parallel.stages import schedule_of
from minipar.schedule.instruction import Instruction, Schedule
from minipar.schedule.simulate import Timeline
from minipar.trace.flops import part_flops
from minipar.trace.tracer import Interval, Tracer
from minipar.train import Trainer

LINES = ("weights", "gradients", "optimizer", "activations", "messages")


@dataclass(frozen=True)
class Trace:
    """What all ranks saw, of a step of `layout`.

    schedule: of the first pipeline. measured: its instructions as they were carried out, in seconds. samples: of each of its
    micro-batches. events: of all ranks, for a trace file. memory: of each rank, bytes by LINES.
    """

    layout: Layout
    schedule: Schedule
    measured: Timeline
    samples: list[int]
    events: list[Event]
    memory: list[dict[str, int]]


def trace_step(world: Communicator, layout: Layout, model: ModelConfig, train: TrainConfig, tokenizer: Tokenizer,
               tokens: np.ndarray, network: Network, rate: float | None = None,
               flops: Callable[[Instruction], int] | None = None) -> Trace | None:
    """The third step of a training, timed by the clock; on rank 0, None elsewhere. The first warms up, the second is for memory.

    rate: FLOPs per second; None: by CPU time. flops: of each instruction, by default those of its matrix products. All ranks call
    it. Raises what Trainer raises.
    """
    clock = Clock(world, network, rate)
    grid = Grid(clock, layout)
    samples = _samples(train, grid)
    tracer = Tracer(clock, flops or (lambda one: work(trainer, one, samples[one.micro])))
    trainer = Trainer(model, train, tokenizer, tokens, grid, watch=tracer.watch)
    trainer.step()
    tracer.on = "memory"
    trainer.step()
    world.barrier(why="before the traced step")
    clock.restart()
    tracer.on = "time"
    trainer.step()
    events = gather_events(world, list(clock.timeline))
    intervals = gathered(world, [[*one.instruction, str(one.begin), str(one.end)] for one in tracer.intervals], "trace")
    memory = gathered(world, _memory(trainer, tracer), "memory")
    if events is None:
        return None
    pipeline = [rank for rank in range(layout.ranks) if rank // (layout.dp * layout.tp) * layout.dp * layout.tp == rank]
    found = [[Interval(Instruction(*one[:3]), Fraction(one[3]), Fraction(one[4])) for one in intervals[rank]] for rank in pipeline]
    schedule = schedule_of(layout, len(samples))
    return Trace(layout, schedule, _timeline(schedule, found), samples, events, memory)


def work(trainer: Trainer, instruction: Instruction, samples: int) -> int:
    """FLOPs of an instruction on this rank."""
    model = trainer.stages.parts[instruction.stage]
    forward = part_flops(trainer.model, model.part, samples, trainer.grid.tp.size, trainer.grid.tp.rank)
    split = schedule_of(trainer.grid.layout).split
    again = trainer.config.recompute == "full" and instruction.kind == "B"
    return forward * {"F": 1, "B": 1 if split else 2, "W": 1}[instruction.kind] + again * forward


def _samples(train: TrainConfig, grid: Grid) -> list[int]:
    """Of each micro-batch of this rank."""
    share = np.array_split(np.arange(train.batch), grid.layout.dp)[grid.at["dp"]]
    return [len(piece) for piece in np.array_split(share, train.micro_batches) if len(piece)]


def _memory(trainer: Trainer, tracer: Tracer) -> dict[str, int]:
    held = (trainer.flat.data.nbytes, trainer.flat.grad.nbytes, sum(a.nbytes for a in trainer.optimizer.state.values()),
            tracer.activations, tracer.messages)
    return dict(zip(LINES, held, strict=True))


def _timeline(schedule: Schedule, found: list[list[Interval]]) -> Timeline:
    """The instructions of one pipeline, by rank, from when the first of them began."""
    zero = min(row[0].begin for row in found)
    start = tuple(tuple(one.begin - zero for one in row) for row in found)
    end = tuple(tuple(one.end - zero for one in row) for row in found)
    busy = tuple(sum((one.end - one.begin for one in row), Fraction(0)) for row in found)
    return Timeline(started=tuple(row[0] for row in start), finished=tuple(row[-1] for row in end), busy=busy,
                    schedule=schedule, start=start, end=end)
