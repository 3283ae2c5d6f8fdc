"""Bugs of a running pipeline: stages send wrong messages, use a wrong order, or mix up micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minipar.nn import Parameter
from minipar.parallel import pipeline
from minipar.parallel.pipeline import Execution, MicroBatch, Pipeline
from minipar.parallel.stages import Stages
from minipar.proof.mutants.mutant import Change, Mutant, mutant
from minipar.schedules.instruction import Instruction, Schedule
from minipar.schedules.lower import Message, Program, Receive, lower

PIECES = 3  # number of micro-batches; all have the same size
# x: the activations that a stage sends to the next stage. g: the gradient of x, which is sent back.
# B: backward for the gradient of the input. W: backward for the weights, which may run later.


def pipelined(check: str, **values: Any) -> Callable[[Callable[[], list[Change]]], Mutant]:
    """Returns a decorator that makes a mutant of a pipeline with two stages of one layer each. values: fields
    of Layout, ModelConfig and TrainConfig that replace these sizes.
    """
    return mutant(check, **dict(pp=2, layers=2, batch=2 * PIECES, micro_batches=PIECES) | values)


@pipelined("forward")
def stale_activation() -> list[Change]:
    """A stage computes with the activations of the previous micro-batch."""
    original = Execution.receive

    def receive(execution: Execution, message: Message, peer: int) -> None:
        original(execution, message, peer)
        if message.what == "x" and not execution.schedule.forward_only:
            fresh = execution.values[message]
            execution.values[message] = vars(execution).get("stale", fresh)
            vars(execution)["stale"] = fresh
    return [Change(Execution, "receive", receive)]


@pipelined("forward")
def activations_sent_before_forward() -> list[Change]:
    """A stage sends the buffer of its activations before forward fills it. So the message has the old content
    of the buffer, which is zero at first.
    """
    return _sent_early("x")


@pipelined("backward", pp=3, layers=3)
def gradient_sent_before_backward() -> list[Change]:
    """A stage sends the buffer of its gradient before backward fills it. So the message has the old content
    of the buffer, which is zero at first.
    """
    return _sent_early("g")


def _sent_early(what: str) -> list[Change]:
    original = Execution.send

    def send(execution: Execution, message: Message, peer: int) -> None:
        if message.what == what and not execution.schedule.forward_only:
            full = execution.values[message]
            execution.values[message] = vars(execution).get("buffer", np.zeros_like(full))
            vars(execution)["buffer"] = full
        original(execution, message, peer)
    return [Change(Execution, "send", send)]


@pipelined("backward", pp=3, layers=3)
def gradient_handed_on() -> list[Change]:
    """A stage sends the gradient that it received (of its output) instead of the gradient of its input.
    """
    receive, send = Execution.receive, Execution.send

    def keep(execution: Execution, message: Message, peer: int) -> None:
        receive(execution, message, peer)
        vars(execution)["received"] = execution.values[message]

    def hand_on(execution: Execution, message: Message, peer: int) -> None:
        if message.what == "g" and not execution.stages.parts[message.source].part.last:
            execution.values[message] = vars(execution)["received"]
        send(execution, message, peer)
    return [Change(Execution, "receive", keep), Change(Execution, "send", hand_on)]


@pipelined("gradients", pp=3, layers=3, pipeline="zb-h1")
def gradient_buffer_reused() -> list[Change]:
    """All gradients are received in one buffer. So a W that runs later reads the gradient of the next
    micro-batch.
    """
    original = Execution.receive

    def receive(execution: Execution, message: Message, peer: int) -> None:
        original(execution, message, peer)
        if message.what == "g":
            buffer = vars(execution).setdefault("buffer", np.empty_like(execution.values[message]))
            buffer[...] = execution.values[message]
            execution.values[message] = buffer
    return [Change(Execution, "receive", receive)]


@pipelined("CommError", pipeline="gpipe")
def received_in_another_order() -> list[Change]:
    """A stage receives the activations of the micro-batches in reverse order. All messages have the right
    size.
    """
    def swapped(schedule: Schedule) -> list[Program]:
        programs = lower(schedule)
        if schedule.forward_only:
            return programs
        inputs = [[step for step in program if isinstance(step, Receive) and step.message.what == "x"]
                  for program in programs]
        return [mine[::-1] + [step for step in program if step not in mine]
                for mine, program in zip(inputs, programs, strict=True)]
    return [Change(pipeline, "lower", swapped)]


@pipelined("CommError")
def gradient_awaited_first() -> list[Change]:
    """The first stage waits for a gradient before it sends activations, and the second stage waits for these
    activations. This is a deadlock.
    """
    def first(schedule: Schedule) -> list[Program]:
        return [sorted(program, key=lambda step: not isinstance(step, Receive))
                for program in lower(schedule)]
    return [Change(pipeline, "lower", first)]


@pipelined("CommError")
def last_gradient_left_behind() -> list[Change]:
    """The first stage leaves out its last backward. So it never receives the last gradient that the second
    stage sent.
    """
    def shorter(schedule: Schedule) -> list[Program]:
        programs = lower(schedule)
        ends = [number for number, step in enumerate(programs[0]) if isinstance(step, Receive)]
        return [programs[0][: ends[-1]] if ends else programs[0], *programs[1:]]
    return [Change(pipeline, "lower", shorter)]


@pipelined("loss")
def targets_of_another_micro_batch() -> list[Change]:
    """The last stage uses the targets of the micro-batches in reverse order."""
    return _mixed_up(lambda own, other: own._replace(targets=other.targets))


@pipelined("forward", dropout=0.2)
def masks_of_another_micro_batch() -> list[Change]:
    """Later stages use the dropout masks of another micro-batch."""
    return _mixed_up(lambda own, other: own._replace(dropout=other.dropout))


def _mixed_up(mix: Callable[[MicroBatch, MicroBatch], MicroBatch]) -> list[Change]:
    original = Pipeline.run

    def run(pipe: Pipeline, batch: Sequence[MicroBatch], *arguments: Any, **options: Any) -> np.ndarray:
        if pipe.pp.rank > 0 and not pipe.schedule.forward_only:
            batch = [mix(own, other) for own, other in zip(batch, reversed(batch), strict=True)]
        return original(pipe, batch, *arguments, **options)
    return [Change(Pipeline, "run", run)]


@pipelined("backward")
def micro_batches_count_whole() -> list[Change]:
    """The loss of each micro-batch counts like the loss of a whole batch. So gradients grow with the number
    of micro-batches.
    """
    return [_scaled(lambda execution: execution.stages.pp.rank == execution.stages.stage_to_rank[-1], PIECES)]


@pipelined("backward")
def every_stage_takes_the_mean() -> list[Change]:
    """Each stage divides the gradient by the number of micro-batches, but only the last stage should do this.
    So the gradients of earlier stages are divided several times.
    """
    return [_scaled(lambda execution: True, 1 / PIECES)]


def _scaled(here: Callable[[Execution], bool], factor: float) -> Change:
    """Returns a change that multiplies the incoming gradient of each backward by `factor`, if here(execution)
    is true.
    """
    original = Execution.backward

    def backward(execution: Execution, stage: int, micro: int) -> None:
        message = Message("g", stage + 1, micro)
        if here(execution):
            if message in execution.values:
                execution.values[message] = execution.values[message] * factor
            else:
                execution.scale = factor
        original(execution, stage, micro)
    return Change(Execution, "backward", backward)


@pipelined("gradients", pipeline="zb-h1")
def weight_gradient_dropped() -> list[Change]:
    """The W of the last micro-batch never runs. No other instruction waits for this W, so the job does not
    stop.
    """
    original = Execution.weights

    def weights(execution: Execution, stage: int, micro: int) -> None:
        if micro < PIECES - 1:
            original(execution, stage, micro)
    return [Change(Execution, "weights", weights)]


@pipelined("CommError", dp=2, pipeline="zb-h1", gradients="buckets", bucket_bytes=3000)
def bucket_sent_before_weights() -> list[Change]:
    """A bucket of gradients is sent after the last B, although a W follows. So the bucket lacks the result of
    this W.
    """
    def last_instructions(stages: Stages, schedule: Schedule,
                          rank: int) -> dict[Instruction, list[Parameter]]:
        last = {step.stage: step for step in schedule.orders[rank] if step.kind == "B"}
        return {step: stages.parts[stage].parameters() for stage, step in last.items()}
    return [Change(pipeline, "completions", last_instructions)]
