"""The executor of pipeline schedules: one table from a program's steps to what they do. Schedules differ in
data alone.

A program (`minipar.schedules.lower`) is a rank's list of computations, sends and receives. Sends do not
block, and receives are posted ahead: with blocking ones, 1F1B deadlocks as soon as messages outgrow the
buffers of the MPI library.
"""

# b samples of a micro-batch, T tokens, t: this rank's share of them, D model width

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

AHEAD = 2  # receives that are posted before they are needed

Around = Callable[[Instruction, "Execution"], AbstractContextManager[None]]


class MicroBatch(NamedTuple):
    """inputs, targets: int [b, T]. dropout: which masks to draw for its samples."""

    inputs: np.ndarray
    targets: np.ndarray
    dropout: Dropout


def nothing(*_: Any) -> nullcontext[None]:
    """A context that does nothing, for any arguments."""
    return nullcontext()


class Pipeline:
    """Runs a schedule on this rank's stages. All ranks of pp make one, and call `run` together.

    watch(instruction, execution): a context in which one instruction is carried out, to measure it.
    autocast(): a context in which all of them are, such as mixed precision.
    """

    def __init__(self, stages: Stages, schedule: Schedule, pp: Communicator, watch: Around = nothing,
                 autocast: Callable[[], AbstractContextManager[None]] = nothing):
        if 2 * schedule.stages > TAGS:
            raise ScheduleError(f"{schedule.stages:,} stages need a tag each in both directions, and there "
                                f"are {TAGS:,}; choose fewer stages")
        self.stages, self.schedule, self.pp = stages, schedule, pp
        self.watch, self.autocast = watch, autocast
        self.program = lower(schedule)[pp.rank]
        self.completes = completions(stages, schedule, pp.rank)

    def run(self, batch: Sequence[MicroBatch], count: int, scale: float = 1.0,
            expect: Callable[[list[Parameter]], object] = nothing) -> np.ndarray:
        """Add the gradient of the batch to the stages' parameters; returns the loss of each micro-batch,
        float64 [m].

        The losses are zero on all ranks but the one that has the last stage. count: what the loss is divided
        by, the targets of the global batch that count. scale: what the gradient is multiplied by (mixed
        precision). expect(parameters): called before the last backward that reaches these parameters.
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
    """Instruction -> the parameters of this rank whose gradient it completes."""
    last: dict[Parameter, Instruction] = {}
    for instruction in schedule.orders[rank]:
        if instruction.kind == ("W" if schedule.split else "B"):
            last.update(dict.fromkeys(stages.parts[instruction.stage].parameters(), instruction))
    completes: dict[ProgramStep, list[Parameter]] = {}
    for p, instruction in last.items():
        completes.setdefault(instruction, []).append(p)
    return completes


class Execution:
    """One run of a program: what is on its way, what waits to be used, and the tapes between forward and
    backward.
    """

    def __init__(self, pipeline: Pipeline, batch: Sequence[MicroBatch], count: int, scale: float):
        self.stages, self.pp = pipeline.stages, pipeline.pp
        self.schedule, self.watch = pipeline.schedule, pipeline.watch
        self.batch, self.count, self.scale = batch, count, scale
        self.losses = np.zeros(len(batch))
        self.values: dict[Message, np.ndarray] = {}                 # made or received, and not used yet
        self.tapes: dict[tuple[int, int], Tensor] = {}  # (stage, micro-batch) -> the stage's output
        self.deferred: dict[tuple[int, int], Deferred] = {}
        self.sending: dict[Message, Request] = {}
        self.receiving: dict[Message, Request] = {}
        self.coming = deque(step for step in pipeline.program if isinstance(step, Receive))
        self.table: dict[str | type, Callable[..., None]] = {
            "F": self.forward, "B": self.backward, "W": self.weights, Send: self.send, Receive: self.receive,
            SendCompleted: self.sent}

    def do(self, step: ProgramStep) -> None:
        if isinstance(step, Instruction):
            with self.watch(step, self):
                self.table[step.kind](step.stage, step.micro)
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
            out.drop_values()                                       # backward needs its node alone

    def backward(self, stage: int, micro: int) -> None:
        """All of it; where the schedule splits it, the gradient of the stage's input alone."""
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
            self._let_go()
        self.sending[message] = self.pp.isend(self.values.pop(message), peer, label=_label(message),
                                              tag=_tag(message))

    def sent(self, message: Message, peer: int) -> None:
        if message in self.sending:                                 # and not let go before
            self.pp.wait(self.sending.pop(message))

    def receive(self, message: Message, peer: int) -> None:
        while self.coming and len(self.receiving) < AHEAD:
            self._post(*self.coming.popleft())
        self.values[message] = self.pp.wait(self.receiving.pop(message))

    def _post(self, message: Message, peer: int) -> None:
        b, T = self.batch[message.micro].inputs.shape
        positions = self.stages.region.positions(T)
        out = np.empty((b, positions.stop - positions.start, self.stages.config.width),
                       self.stages.dtype)        # [b, t, D]
        self.receiving[message] = self.pp.irecv(out, peer, label=_label(message), tag=_tag(message))

    def _let_go(self) -> None:
        """Forget the oldest messages that are through: where no gradient comes back, `SendCompleted` comes
        late or never.
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
    """One per channel: within one, messages keep their order."""
    return 2 * message.source + (message.what == "g")
