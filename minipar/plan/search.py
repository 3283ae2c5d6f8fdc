"""Evaluates all layouts of a model on a cluster. The result for a layout is its time, memory and traffic, or
the reason for its refusal.

The search tries every product dp x tp x pp, and all values of stages per rank, samples of a micro-batch,
recomputation, ZeRO stage and sequence parallelism. The search does not leave out any layout: a layout that
does not fit is also an outcome. The closed forms take microseconds, so 1e5 layouts take seconds.
"""

# dp, tp, pp: the axes of data, tensor and pipeline parallelism

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import ConfigError, LayoutError, MiniparError, shown
from minipar.plan.amounts import bytes_text
from minipar.plan.counts import architecture
from minipar.plan.machine import Machine
from minipar.plan.models import require_different
from minipar.plan.sent_bytes import SentBytes, sent_bytes
from minipar.plan.software import MEGATRON, Software
from minipar.plan.step_memory import StepMemory, step_memory
from minipar.plan.step_time import StepTimes, step_time
from minipar.plan.utilisation import model_flops, utilisation

RECOMPUTE = ("none", "selective", "full")
OBJECTIVES = ("time", "memory", "cost")
MOST = 1 << 20  # largest number of ranks in a search
# LARGEST_MICRO: the largest number of samples in a micro-batch. MOST_VIRTUAL: the most stages per rank.
LARGEST_MICRO, MOST_VIRTUAL = 64, 8


class Task(NamedTuple):
    """Describes the task of a search: a model, a training run (batch, precision, optimiser), a machine and
    its software.
    """

    model: ModelConfig
    train: TrainConfig
    machine: Machine
    software: Software = MEGATRON


class Candidate(NamedTuple):
    """Describes a layout with the options that the search chooses. micro: samples of a micro-batch."""

    layout: Layout
    micro: int
    recompute: str = "none"

    def train(self, train: TrainConfig) -> TrainConfig:
        """Returns the training with this candidate's micro-batches and recomputation.

        Raises LayoutError if dp does not divide the batch, or if the micro-batches do not divide a rank's
        share.
        """
        share, left = divmod(train.batch, self.layout.dp)
        if left or share % self.micro:
            raise LayoutError(
                f"a batch of {train.batch} is not dp={self.layout.dp} times micro-batches of {self.micro}; "
                "choose divisors of the batch",
                item="batch",
            )
        return replace(train, micro_batches=share // self.micro, recompute=self.recompute)

    def text(self) -> str:
        """Returns the candidate as a text that `candidate_from` can parse."""
        layout = self.layout
        words = [f"dp={layout.dp}", f"tp={layout.tp}", f"pp={layout.pp}", f"micro={self.micro}"]
        words += [f"virtual={layout.virtual}"] * (layout.virtual > 1)
        words += [f"pipeline={layout.pipeline}"] * (layout.pipeline != usual_pipeline(layout.virtual))
        words += [f"recompute={self.recompute}"] * (self.recompute != "none")
        words += [f"zero={layout.zero}"] * (layout.zero > 0) + ["sp"] * layout.sequence_parallel
        return ",".join(words)


def usual_pipeline(virtual: int) -> str:
    """Returns the name of the schedule that the search uses, for this number of stages per rank."""
    return "interleaved" if virtual > 1 else "1f1b"


def candidate_from(text: str) -> Candidate:
    """Parses a layout such as "dp=2,tp=8,pp=4,micro=1,virtual=2,recompute=full,zero=1,sp". All words are
    optional. pipeline=NAME selects a schedule, such as zb-h1, instead of `usual_pipeline`.

    Raises ConfigError for an unknown word, and the errors of Layout.

    >>> candidate_from("tp=8,pp=4,zero=1").text()
    'dp=1,tp=8,pp=4,micro=1,zero=1'
    """
    numbers, recompute, sequence_parallel, pipeline = {"micro": 1}, "none", False, ""
    words = [word.strip() for word in text.split(",")]
    require_different([word.partition("=")[0] for word in words], "layout", text)
    for word in words:
        name, _, value = word.partition("=")
        if word == "sp":
            sequence_parallel = True
        elif name == "recompute" and value in RECOMPUTE:
            recompute = value
        elif name == "pipeline" and value:
            pipeline = value
        elif name in ("dp", "tp", "pp", "micro", "virtual", "zero") and re.fullmatch("[0-9]{1,7}", value):
            numbers[name] = int(value)
        else:
            raise ConfigError(
                f"{shown(word)} in layout {shown(text)} is none of dp=N, tp=N, pp=N, micro=N, virtual=N, "
                f"zero=N, recompute={'|'.join(RECOMPUTE)}, pipeline=NAME, sp",
                item="layout",
            )
    micro, zero, virtual = numbers.pop("micro"), numbers.pop("zero", 0), numbers.pop("virtual", 1)
    if not micro:
        raise ConfigError("micro is 0; a micro-batch has at least 1 sample", item="micro")
    dp, pp, tp = (numbers.get(name, 1) for name in ("dp", "pp", "tp"))
    layout = Layout(
        dp,
        pp,
        1,
        tp,
        sequence_parallel,
        virtual=virtual if virtual > 1 else 0,
        zero=zero,
        pipeline=pipeline or usual_pipeline(virtual),
    )
    return Candidate(layout, micro, recompute)


@dataclass(frozen=True)
class PlanOutcome:
    """Holds the result for one candidate layout.

    times, memory and sent are None if they cannot be computed. mfu: model FLOPs utilisation. refusal: the
    reason why the candidate cannot run, or "". limit: the name of the limit that the candidate exceeds, or
    "".
    """

    candidate: Candidate
    times: StepTimes | None = None
    memory: StepMemory | None = None
    sent: SentBytes | None = None
    mfu: float = 0.0
    refusal: str = ""
    limit: str = ""

    @property
    def seconds(self) -> float:
        return self.times.total if self.times else float("inf")

    def cost(self) -> float:
        """Returns the rank-seconds of one step."""
        return self.seconds * self.candidate.layout.ranks


def evaluate(task: Task, candidate: Candidate) -> PlanOutcome:
    """Evaluates one candidate. If the layout is impossible or does not fit, the outcome has a refusal."""
    layout, software = candidate.layout, task.software
    try:
        train = candidate.train(task.train)
        memory = step_memory(task.model, train, layout, software=software)
        times = step_time(task.model, train, layout, task.machine, software=software)
    except MiniparError as error:
        return PlanOutcome(candidate, refusal=str(error), limit=str(error.facts.get("item", "layout")))
    sent = sent_bytes(task.model, train, layout, software)
    mfu = utilisation(model_flops(task.model, train.batch), times.total, layout.ranks, task.machine)
    refusal = ""
    if memory.total > task.machine.usable:
        lines = memory.lines()
        largest = max(lines, key=lines.__getitem__)
        refusal = (
            f"needs {bytes_text(memory.total)} of {bytes_text(task.machine.usable)} on pp rank "
            f"{memory.pp_rank}, mostly {largest} ({bytes_text(lines[largest])})"
        )
    return PlanOutcome(candidate, times, memory, sent, mfu, refusal, "memory" if refusal else "")


def divisors(n: int, most: int) -> list[int]:
    return [d for d in range(1, min(n, most) + 1) if n % d == 0]


def require_ranks(ranks: int) -> None:
    """Raises LayoutError for a number of ranks that is not from 1 to MOST."""
    if not 1 <= ranks <= MOST:
        raise LayoutError(f"{shown(ranks)} ranks; choose 1 to {MOST:,}", item="ranks")


def candidates(task: Task, ranks: int) -> Iterator[Candidate]:
    """Yields every layout with this number of ranks. Raises LayoutError for an invalid number of ranks."""
    require_ranks(ranks)
    sizes = architecture(task.model)
    for tp in divisors(ranks, min(sizes.heads, ranks)):
        for pp in divisors(ranks // tp, sizes.layers):
            dp = ranks // tp // pp
            share = task.train.batch // dp
            for layout in _layouts(dp, tp, pp, sizes.layers):
                for micro in divisors(share, LARGEST_MICRO) or [1]:
                    for recompute in RECOMPUTE:
                        yield Candidate(layout, micro, recompute)


def _layouts(dp: int, tp: int, pp: int, layers: int) -> Iterator[Layout]:
    for virtual in _stages_per_rank(layers, pp):
        for sequence_parallel in (False, True)[: 1 + (tp > 1)]:
            for zero in range(4 if dp > 1 else 1):
                yield Layout(
                    dp,
                    pp,
                    1,
                    tp,
                    sequence_parallel,
                    pipeline=usual_pipeline(virtual),
                    virtual=virtual,
                    zero=zero,
                )


def _stages_per_rank(layers: int, pp: int) -> list[int]:
    """Returns the values of Layout.virtual to try: 0 (one stage per rank), then the values for
    interleaved schedules.
    """
    if pp == 1 or layers % pp:
        return [0]
    return [0, *(v for v in divisors(layers // pp, MOST_VIRTUAL) if v > 1)]


def rank_counts(ranks: int, objective: str = "time") -> list[int]:
    """Returns the numbers of ranks to search. For "cost" the list also has a half, a quarter and so on of the
    ranks, because fewer ranks may be cheaper.

    >>> rank_counts(24), rank_counts(24, "cost")
    ([24], [24, 12, 6, 3])
    """
    counts = [ranks]
    while objective == "cost" and counts[-1] > 1 and counts[-1] % 2 == 0:
        counts.append(counts[-1] // 2)
    return counts


def search(task: Task, ranks: int) -> list[PlanOutcome]:
    """Returns the outcomes of all candidates with this number of ranks, in the order of `candidates`."""
    return [evaluate(task, candidate) for candidate in candidates(task, ranks)]


def require_objective(objective: str) -> None:
    """Raises ConfigError for an unknown objective."""
    if objective not in OBJECTIVES:
        raise ConfigError(f"objective is {objective!r}; choose {', '.join(OBJECTIVES)}", item="objective")


def best(outcomes: Sequence[PlanOutcome], objective: str = "time", most: int = 10) -> list[PlanOutcome]:
    """Returns the best outcomes that can run, the best first. If two outcomes are equal, the one
    with less memory is first.

    Raises ConfigError for an unknown objective.
    """
    require_objective(objective)
    able = [outcome for outcome in outcomes if not outcome.refusal]

    def key(outcome: PlanOutcome) -> tuple[float, float]:
        memory = outcome.memory.total if outcome.memory else 0.0
        if objective == "memory":
            return memory, outcome.seconds
        return outcome.cost() if objective == "cost" else outcome.seconds, memory

    return sorted(able, key=key)[:most]


def refusals(outcomes: Sequence[PlanOutcome]) -> dict[str, int]:
    """Returns a dict: limit -> number of refused candidates, with the most frequent limit first."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        if outcome.limit:
            counts[outcome.limit] = counts.get(outcome.limit, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
