"""Executes pipeline schedules. A table maps each kind of program step to the method that executes it. A
*step* in this file is one entry of a program, not a training step.

All schedules run with the same code. They differ only in their programs. A program
(`minipar.schedules.lower`) is the list of computations, sends and receives of one rank. Sends do not block,
and receives are posted before their use. With blocking sends, 1F1B deadlocks when a message is larger than
the buffer of the MPI library.

The table shows the arrays of rank 0 in 1F1B with 2 stages and 2 micro-batches:

    step of the program     values      sending     receiving
    F0                      x0
    Send x0                             x0
    F1                      x1          x0
    Send x1                             x0 x1
    Receive g0              g0          x0 x1       g1              posts g0 and g1, waits for g0
    SendCompleted x0        g0          x1          g1              g0 proves that x0 has arrived: x0 is freed
    B0                                  x1          g1
    Receive g1              g1          x1
    SendCompleted x1        g1
    B1
"""

# b: samples of a micro-batch, T: tokens per sample, t: this rank's shard of T, D: model width
# pp: the axis of pipeline parallelism

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minipar.autograd import Deferred, Tensor, backward, inlet, no_grad
from minipar.comm.protocol import TAGS, Communicator, Request
from minipar.errors import ScheduleError
from minipar.nn import Dropout, Parameter
from minipar.parallel.stages import Stages
from minipar.schedules.instruction import Instruction, Schedule
from minipar.schedules.lower import Message, ProgramStep, Receive, Send, SendCompleted, lower

# The largest number of posted receives, including the one that the rank waits for. Each receive needs a
# buffer. With 2 receives, the next message can arrive during a computation. Example with g0, g1, g2:
# "Receive g0" posts g0 and g1, and "Receive g1" posts g2.
AHEAD = 2

Around = Callable[[Instruction, "Execution"], AbstractContextManager[None]]


class MicroBatch(NamedTuple):
    """Holds the data of one micro-batch. inputs, targets: integers [b, T]. dropout: the dropout masks of its
    samples.
    """

    inputs: np.ndarray
    targets: np.ndarray
    dropout: Dropout


def nothing(*_: Any) -> nullcontext[None]:
    """Returns a context that does nothing. It accepts any arguments."""
    return nullcontext()


class Pipeline:
    """Runs a schedule on this rank's stages. All ranks of pp create a Pipeline, and call `run` together.

    watch(instruction, execution): returns a context around each instruction, for measurements. autocast():
    returns a context around the whole program, for mixed precision.
    """

    def __init__(self, stages: Stages, schedule: Schedule, pp: Communicator, watch: Around = nothing,
                 autocast: Callable[[], AbstractContextManager[None]] = nothing):
        if 2 * schedule.stages > TAGS:
            raise ScheduleError(f"{schedule.stages:,} stages need two tags each, and there are only "
                                f"{TAGS:,}; choose fewer stages")
        self.stages, self.schedule, self.pp = stages, schedule, pp
        self.watch, self.autocast = watch, autocast
        self.program = lower(schedule)[pp.rank]
        self.completes = completions(stages, schedule, pp.rank)

    def run(self, batch: Sequence[MicroBatch], count: int, scale: float = 1.0,
            expect: Callable[[list[Parameter]], object] = nothing) -> np.ndarray:
        """Add the gradient of the batch to the parameters' gradients. Returns the losses, float64 [number of
        micro-batches].

        The losses are zero on all ranks except the owner of the last stage. count: the divisor of the loss,
        which is the number of counted (not ignored) targets of the global batch. scale: a factor of the
        gradient, for mixed precision. expect(parameters): called before the last backward that adds to the
        gradients of `parameters`.
        """
        execution = Execution(self, batch, count, scale)
        with self.autocast():
            for step in self.program:
                if step in self.completes:
                    expect(self.completes[step])
                execution.do(step)
        execution.finish()
        return execution.losses


def completions(stages: Stages, schedule: Schedule, rank: int) -> dict[ProgramStep, list[Parameter]]:
    """Returns a dict: instruction -> the parameters of this rank whose gradients the instruction completes.
    """
    last: dict[Parameter, Instruction] = {}
    for instruction in schedule.orders[rank]:
        if instruction.kind == ("W" if schedule.split else "B"):
            last.update(dict.fromkeys(stages.parts[instruction.stage].parameters(), instruction))
    completes: dict[ProgramStep, list[Parameter]] = {}
    for p, instruction in last.items():
        completes.setdefault(instruction, []).append(p)
    return completes


class Execution:
    """Holds the state of one run of a program.

    values: message -> an array that was computed or received, and is not used yet. tapes: (stage,
    micro-batch) -> the output of the forward, until its backward runs. deferred: the weight gradients that W
    computes later. sending, receiving: the requests in flight. unposted: the receives that are not posted
    yet, in order.
    """

    def __init__(self, pipeline: Pipeline, batch: Sequence[MicroBatch], count: int, scale: float):
        self.stages, self.pp = pipeline.stages, pipeline.pp
        self.schedule, self.watch = pipeline.schedule, pipeline.watch
        self.batch, self.count, self.scale = batch, count, scale
        self.losses = np.zeros(len(batch))
        self.values: dict[Message, np.ndarray] = {}
        self.tapes: dict[tuple[int, int], Tensor] = {}
        self.deferred: dict[tuple[int, int], Deferred] = {}
        self.sending: dict[Message, Request] = {}
        self.receiving: dict[Message, Request] = {}
        self.unposted = deque(step for step in pipeline.program if isinstance(step, Receive))
        self.table: dict[str | type, Callable[..., None]] = {
            "F": self.forward, "B": self.backward, "W": self.weights, Send: self.send, Receive: self.receive,
            SendCompleted: self.sent}

    def do(self, step: ProgramStep) -> None:
        if isinstance(step, Instruction):
            with self.watch(step, self):
                self.table[step.kind](step.stage, step.micro)
                self.stages.parts[step.stage].units.end()
        else:
            self.table[type(step)](step.message, step.peer)

    def finish(self) -> None:
        for request in self.sending.values():
            self.pp.wait(request)

    def forward(self, stage: int, micro: int) -> None:
        model, (inputs, targets, dropout) = self.stages.parts[stage], self.batch[micro]
        T = inputs.shape[1]
        dropout = dropout.on(self.stages.region.positions(T), T)
        x: np.ndarray | Tensor = inputs
        if stage > 0:
            x = inlet(self.values.pop(Message("x", stage - 1, micro)),
                      partial(self._keep, Message("g", stage, micro)))
        with no_grad() if self.schedule.forward_only else nullcontext():
            out = model.loss(x, targets, count=self.count,
                             dropout=dropout) if model.part.last else model(x, dropout=dropout)
        if not self.schedule.forward_only:
            self.tapes[stage, micro] = out
        if model.part.last:
            self.losses[micro] = out.item()
        else:
            self._keep(Message("x", stage, micro), out.data)
            out.drop_values()                                       # backward needs no values of `out`

    def backward(self, stage: int, micro: int) -> None:
        """Run the whole backward. If the schedule splits backward, compute only the gradient of the stage's
        input.
        """
        out, deferred = self.tapes.pop((stage, micro)), None
        if self.stages.parts[stage].part.last:
            gradient = np.full_like(out.data, self.scale)
        else:
            gradient = self.values.pop(Message("g", stage + 1, micro))
        if self.schedule.split:
            deferred = self.deferred[stage, micro] = Deferred()
        backward(out, gradient, deferred=deferred)

    def weights(self, stage: int, micro: int) -> None:
        self.deferred.pop((stage, micro)).run()

    def send(self, message: Message, peer: int) -> None:
        if self.schedule.forward_only:
            self._free_arrived()
        self.sending[message] = self.pp.isend(self.values.pop(message), peer, label=_label(message),
                                              tag=_tag(message))

    def sent(self, message: Message, peer: int) -> None:
        if message in self.sending:                                 # otherwise _free_arrived has freed it
            self.pp.wait(self.sending.pop(message))

    def receive(self, message: Message, peer: int) -> None:
        while self.unposted and len(self.receiving) < AHEAD:
            self._post(*self.unposted.popleft())
        self.values[message] = self.pp.wait(self.receiving.pop(message))

    def _post(self, message: Message, peer: int) -> None:
        b, T = self.batch[message.micro].inputs.shape
        positions = self.stages.region.positions(T)
        out = np.empty((b, positions.stop - positions.start, self.stages.config.width),
                       self.stages.dtype)        # shape [b, t, D]
        self.receiving[message] = self.pp.irecv(out, peer, label=_label(message), tag=_tag(message))

    def _free_arrived(self) -> None:
        """Free the oldest sent arrays whose send has completed.

        In a forward-only schedule, no gradient proves that a message has arrived. So its program has
        `SendCompleted` late or never. Without this method, every sent array would be kept until the end.
        Example: x0, x1 and x2 are in flight, in this order, and x0 and x2 have arrived. This call frees x0
        and stops at x1.
        """
        for message, request in list(self.sending.items()):
            if not self.pp.test(request):
                break
            del self.sending[message]

    def _keep(self, message: Message, array: np.ndarray) -> None:
        self.values[message] = np.ascontiguousarray(array)


def _label(message: Message) -> str:
    what = "activations" if message.what == "x" else "gradient"
    return f"{what} {message.micro} of stage {message.source}"


def _tag(message: Message) -> int:
    """Returns the tag of the message's channel. Messages with the same tag arrive in the order of sending."""
    return 2 * message.source + (message.what == "g")
