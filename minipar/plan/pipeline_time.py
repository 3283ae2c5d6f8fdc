"""Computes the time of a pipeline with messages, by a closed form or by simulation of the schedule.

In the closed form, a rank computes m micro-batches on each of its v stages. The busiest rank determines the
time:

    step = m * seconds of the busiest rank per micro-batch + idle(p, m, v, F, B, W) + messages

F, B and W are the seconds of forward, of backward for the inputs, and of backward for the weights. `idle` is
the formula of `schedules.closed_forms`, with the mean times of all stages except the slowest. The result is
exact for stages of equal time. For 1F1B and GPipe it is exact for all times: the step takes m times the time
of the slowest stage, plus the time of each other stage once. While the pipeline fills and drains, a message
of c seconds passes p - 1 boundaries forward and p - 1 backward. Software that waits for its messages adds 2 c
for each micro-batch and stage.
"""

# tp, pp: the axes of tensor and pipeline parallelism

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from minipar.config import Layout
from minipar.errors import ScheduleError
from minipar.plan.stages import owners_of
from minipar.schedules.closed_forms import CLOSED_FORMS
from minipar.schedules.costs import Costs
from minipar.schedules.find import find_schedule
from minipar.schedules.simulate import simulate


class StageSeconds(NamedTuple):
    """Holds the seconds of F, B and W of one micro-batch on one stage, each as (compute, messages along tp).
    """

    F: tuple[float, float]
    B: tuple[float, float]
    W: tuple[float, float]

    @property
    def compute(self) -> float:
        return self.F[0] + self.B[0] + self.W[0]

    @property
    def talk(self) -> float:
        return self.F[1] + self.B[1] + self.W[1]

    @property
    def total(self) -> float:
        return self.compute + self.talk


class PipelineTimes(NamedTuple):
    """Holds the seconds of a pipeline. compute: computation of the busiest rank. tensor: messages along tp of
    the busiest rank. messages: messages along pp. idle: idle time.
    """

    compute: float
    tensor: float
    messages: float
    idle: float


def closed_pipeline(
    layout: Layout, m: int, stages: list[StageSeconds], message: float, blocking: bool
) -> PipelineTimes:
    """Returns the times by the closed form, or by simulation if no closed form holds."""
    owners = owners_of(layout.pipeline, layout.pp, layout.virtual)
    p, v = layout.pp, len(owners) // layout.pp
    compute, talk = [0.0] * p, [0.0] * p
    for owner, stage in zip(owners, stages, strict=True):
        compute[owner] += stage.compute
        talk[owner] += stage.talk
    busiest = max(range(p), key=lambda rank: compute[rank] + talk[rank])
    if p == 1:
        return PipelineTimes(m * compute[0], m * talk[0], 0.0, 0.0)
    form = CLOSED_FORMS.get(layout.pipeline)
    slowest = max(range(len(stages)), key=lambda stage: stages[stage].total)
    rest = stages[:slowest] + stages[slowest + 1 :]
    F, B, W = (sum(sum(getattr(stage, kind)) for stage in rest) / len(rest) for kind in "FBW")
    if form is None or m < form.enough(p) or not form.fits(*map(_rounded, (F, B, W))):
        return simulated_pipeline(layout, m, stages, message, blocking)
    idle = float(form.idle(p, m, v, F, B, W))  # type: ignore[arg-type]
    waits = 2 * message * ((m * v if blocking else 0) + p - 1)
    return PipelineTimes(m * compute[busiest], m * talk[busiest], waits, idle)


def _rounded(seconds: float) -> Fraction:
    """Rounds a time. Some closed forms require equal times. After rounding, times that differ only by
    rounding errors are equal.
    """
    return Fraction(f"{seconds:.9e}")


def simulated_pipeline(
    layout: Layout, m: int, stages: list[StageSeconds], message: float, blocking: bool
) -> PipelineTimes:
    """Simulates the schedule with the times of every stage.

    blocking: if true, a rank waits for its messages, so the time of each instruction includes one message.
    Raises ScheduleError for a schedule that deadlocks.
    """
    schedule = find_schedule(layout.pipeline, layout.pp, m, layout.virtual or None)
    if len(stages) != schedule.stages:
        raise ScheduleError(f"the times are of {len(stages)} stages, but the schedule has {schedule.stages}")
    waits = message if blocking and layout.pp > 1 else 0.0
    F, B, W = (
        [sum(getattr(stage, kind)) + (waits if kind != "W" else 0.0) for stage in stages] for kind in "FBW"
    )
    timeline = simulate(schedule, Costs(F, B, W, message=0 if blocking else message))
    compute, talk = [0.0] * layout.pp, [0.0] * layout.pp
    for owner, stage in zip(schedule.stage_to_rank, stages, strict=True):
        compute[owner] += m * stage.compute
        talk[owner] += m * stage.talk
    busiest = max(range(layout.pp), key=lambda rank: compute[rank] + talk[rank])
    without = timeline.makespan
    if message:
        quiet = [[sum(getattr(stage, kind)) for stage in stages] for kind in "FBW"]
        without = simulate(schedule, Costs(quiet[0], quiet[1], quiet[2])).makespan
    idle = float(without) - compute[busiest] - talk[busiest]
    return PipelineTimes(compute[busiest], talk[busiest], float(timeline.makespan - without), max(idle, 0.0))
