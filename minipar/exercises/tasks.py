"""Defines the calls that grade a submission, and their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minipar.exercises.exercise import Exercise, Par, RankArguments

DELAYS = (1, 2)  # seeds; each one gives another order in which messages arrive


@dataclass(frozen=True)
class GradedCall:
    """One call of the student's function on all ranks. arguments: one tuple per rank.

    * synchronous: if true, a send completes only after its receive has begun.
    * delays: the seed that selects the delayed messages. 0 means no delays.
    * clock: if true, the call runs under the virtual clock, which computes times from a model.
    * memory: if true, the peak of allocated bytes is measured.
    * single: true if the exercise has no communicator. Such an exercise runs on one rank only.
    """

    number: int
    ranks: int
    case: str
    arguments: list[RankArguments]
    synchronous: bool = False
    delays: int = 0
    clock: bool = False
    memory: bool = False
    single: bool = False

    @property
    def plain(self) -> bool:
        return not (self.synchronous or self.delays)

    def described(self) -> str:
        how = (", with synchronous sends"
               if self.synchronous
               else ", with late arrivals"
               if self.delays
               else "")
        ranks = "" if self.single else f"on {self.ranks} rank{'s' * (self.ranks > 1)}, "
        return f"{ranks}case {self.case}{how}"


@dataclass
class RankResult:
    """The result of one rank. outputs: what the student's function returned. error: None, or a dict with the
    keys kind, text, where and line (see `wrapping.described`). peers: the ranks to which the rank has sent
    messages. seconds: the virtual time, as the text of a fraction. memory: peak of allocated bytes. changed:
    the indices of the arguments that the rank has changed.
    """

    outputs: Any = None
    error: dict[str, Any] | None = None
    printed: str = ""
    messages: int = 0
    bytes: int = 0
    peers: list[int] = field(default_factory=list)
    seconds: str = ""
    memory: int = 0
    changed: list[int] = field(default_factory=list)


@dataclass
class CallResult:
    """The result of a call. error: an error that does not belong to one rank, for example a message that was
    never received, or a process that died.
    """

    call: GradedCall
    ranks: list[RankResult | None] = field(default_factory=list)
    error: dict[str, Any] | None = None

    def errors(self) -> list[tuple[int | None, dict[str, Any]]]:
        """Return a list of (rank, error), the most informative first. For example, an exception on one rank
        comes before the deadlock that it causes on other ranks.
        """
        found = [
            (rank, result.error)
            for rank, result in enumerate(self.ranks)
            if result is not None and result.error is not None and result.error["kind"] != "stopped"
        ]
        order = {"stub": 0, "refused": 1, "exception": 2, "memory": 2, "comm": 3, "exit": 4, "stuck": 5}
        found.sort(key=lambda one: order.get(one[1]["kind"], 2))
        first: list[tuple[int | None, dict[str, Any]]] = list(found)
        return first if first or self.error is None else [(None, self.error)]


def graded_calls(exercise: Exercise, seed: int, ranks: Sequence[int] | None = None) -> list[GradedCall]:
    """Return all calls that grade a submission: few ranks first, tests for deadlocks last. seed: the seed of
    the inputs.

    Each call has inputs of its own. So a submission that keeps the results of earlier calls cannot answer a
    test for deadlocks without sending messages.
    """
    found: list[GradedCall] = []
    for size in ranks or exercise.ranks:
        for number, (case, wanted) in enumerate(exercise.cases.items()):
            arguments = exercise.inputs(size, np.random.default_rng([seed, size, number]), wanted)
            par = Par() if exercise.par is None else exercise.par(size, arguments)
            found.append(GradedCall(len(found), size, case, arguments, clock=par.seconds is not None,
                                    memory=par.memory is not None and size == 1,
                                    single=not exercise.comm))
    first, wanted = next(iter(exercise.cases.items()))
    for call in [call for call in found if call.case == first and exercise.comm]:
        for delay in (0, *(DELAYS if call.ranks in (3, 4) else ())):
            random = np.random.default_rng([seed, call.ranks, 0, 1 + delay])
            arguments = exercise.inputs(call.ranks, random, wanted)
            found.append(replace(call, number=len(found), arguments=arguments, clock=False, memory=False,
                                 synchronous=delay == 0, delays=delay))
    return found
