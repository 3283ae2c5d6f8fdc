"""Fits a machine's sustained rate (FLOPs per second) and launch overhead (seconds per layer) to measured
steps.

The time of a step is a sum. One part is inversely proportional to the rate, and one part is proportional to
the launch overhead. So least squares of the relative errors finds both numbers from two or more measured
steps. A calibration is valid only for one machine and one software. It changes no other number of the
machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import ConfigError
from minipar.plan.machine import Machine
from minipar.plan.software import MEGATRON, Software
from minipar.plan.step_time import step_time

ROUNDS = 8  # number of Gauss-Newton iterations
# The largest fitted launch overhead, as a multiple of the machine's launch overhead: PLAUSIBLE if noise can
# explain the fit, CLEAR if the rows show the overhead clearly.
PLAUSIBLE, CLEAR = 10, 100
NOISE = 0.02  # relative standard deviation of a measured step; published tables repeat to 1 to 3 %
SURE = 2  # an overhead is clear if it is at least this number of standard errors above zero
# Two rows separate the two numbers if the standard error of the overhead is at most SEPARATE times the
# machine's overhead. Otherwise the overhead is estimated with a log-normal prior. Its median is TYPICAL times
# the machine's overhead, and one standard deviation is a factor of FACTOR. In published tables, rows that
# separate the numbers show (median of each table) 7 to 126 times the overhead of the machine file.
SEPARATE, TYPICAL, FACTOR = 3, 10, 3
SUSTAINED = 0.9  # the largest fitted rate, as a fraction of the data sheet's peak


@dataclass(frozen=True)
class MeasuredStep:
    """Describes one measurement: a training run, its layout, and the measured seconds of a step. name: a name
    for the text `Machine.calibration`.
    """

    model: ModelConfig
    train: TrainConfig
    layout: Layout
    seconds: float
    name: str = ""

    def predicted(self, machine: Machine, software: Software) -> float:
        return step_time(self.model, self.train, self.layout, machine, software=software).total


def calibrate(machine: Machine, rows: Sequence[MeasuredStep], software: Software = MEGATRON) -> Machine:
    """Returns the machine with the rate and the launch overhead that fit the rows (measured steps) best, by
    relative error.

    Both numbers have limits: the overhead is from 0 to PLAUSIBLE times the machine's own overhead, and the
    rate is at most SUSTAINED times the peak. If the best fit is outside these limits, one number is set to
    its limit, and only the other number is fitted. Without the limits, the fit could explain the noise of two
    similar rows by a large overhead. Rows that differ in their micro-batches can show a large overhead in
    spite of the noise. Then the limit is CLEAR times the machine's overhead. Two rows with similar shares of
    overhead cannot separate the two numbers, because the noise of the rows changes the overhead too much.
    Then the fit also uses the typical overhead of published tables, as a prior. With a single row, only the
    rate is fitted. Raises ConfigError for no row, a time that is not positive, and rows that are faster than
    the machine.

    >>> from minipar.plan.machine import machine
    >>> a100, work = machine("a100-80g"), (ModelConfig(), TrainConfig(batch=8, micro_batches=2), Layout())
    >>> row = MeasuredStep(*work, step_time(*work, a100).total)
    >>> abs(calibrate(replace(a100, rate=100e12), [row]).rate / a100.rate - 1) < 1e-6
    True
    """
    if not rows:
        raise ConfigError("calibration needs at least one measured step")
    if bad := [row for row in rows if not 0 < row.seconds < float("inf")]:
        raise ConfigError(f"a measured step took {bad[0].seconds} s; give a positive number")
    slowness, launch = 1 / machine.rate, machine.launch if len(rows) == 1 else 0.0
    for _ in range(ROUNDS):  # the time contains a maximum over stages, so it is not linear
        slowness, launch = _fitted(machine, rows, software, slowness, launch)
    rate = 1 / slowness
    if rate > 0.999 * SUSTAINED * machine.peak and (len(rows) == 1 or not launch):
        raise ConfigError(
            f"these steps are faster than {SUSTAINED:.0%} of the peak of {machine.peak:.3g} FLOPs "
            "per second; check the times, the layouts and the peak",
            item="rate",
        )
    names = ", ".join(row.name for row in rows if row.name)
    return replace(machine, rate=rate, launch=launch, calibration=names or f"{len(rows)} measured steps")


def _fitted(
    machine: Machine, rows: Sequence[MeasuredStep], software: Software, slowness: float, launch: float
) -> tuple[float, float]:
    """Runs one Gauss-Newton iteration, and returns the new (slowness, launch). slowness: 1 / rate. launch:
    the launch overhead. The time of a step is linearised as base + a * slowness + b * launch, where a and b
    are slopes.
    """
    change, pause = slowness * 1e-3, 1e-7

    def seconds(row: MeasuredStep, slow: float, overhead: float) -> float:
        return row.predicted(
            replace(machine, peak=max(machine.peak, 1 / slow), rate=1 / slow, launch=overhead), software
        )

    slopes, rest = [], []
    for row in rows:
        now = seconds(row, slowness, launch)
        by_slowness = (seconds(row, slowness + change, launch) - now) / change
        by_launch = (seconds(row, slowness, launch + pause) - now) / pause
        slopes.append((by_slowness / row.seconds, by_launch / row.seconds))
        rest.append((row.seconds - now) / row.seconds + slopes[-1][0] * slowness + slopes[-1][1] * launch)
    matrix, wanted = np.array(slopes), np.array(rest)
    least = 1 / (SUSTAINED * machine.peak)
    if len(rows) == 1:
        return max(_one_unknown(matrix[:, 0], wanted - matrix[:, 1] * launch), least), launch
    units = np.abs(matrix).max(axis=0)  # lstsq needs columns of similar size
    found, *_ = np.linalg.lstsq(matrix / units, wanted, rcond=None)
    slow, overhead = (found / units).tolist()
    error = _error_of_overhead(matrix)
    clear = overhead >= SURE * error
    possible = _one_unknown(matrix[:, 0], wanted) > least  # without overhead, the rate is below its limit
    if len(rows) == 2 and possible and not clear and error > SEPARATE * machine.launch:
        return _with_typical_overhead(matrix, wanted, least, machine.launch)
    if overhead < 0:
        return max(_one_unknown(matrix[:, 0], wanted), least), 0.0
    if slow < least:
        slow, overhead = least, max(_one_unknown(matrix[:, 1], wanted - matrix[:, 0] * least), 0.0)
    if overhead > (most := (CLEAR if clear else PLAUSIBLE) * machine.launch):
        slow, overhead = max(_one_unknown(matrix[:, 0], wanted - matrix[:, 1] * most), least), most
    return slow, overhead


def _error_of_overhead(slopes: np.ndarray) -> float:
    """Returns the standard error of the fitted overhead, if every row has a relative error of NOISE.

    The inverse of the normal matrix gives this error. Rows with similar shares of overhead have a large
    standard error. Rows with equal shares have an infinite one.
    """
    a, b = slopes.T
    determinant = (a @ a) * (b @ b) - (a @ b) ** 2
    if determinant <= 1e-12 * (a @ a) * (b @ b):
        return float("inf")
    return NOISE * float(np.sqrt((a @ a) / determinant))


def _with_typical_overhead(
    slopes: np.ndarray, wanted: np.ndarray, least: float, launch: float
) -> tuple[float, float]:
    """Returns the (slowness, overhead) of the largest posterior probability. least: the smallest slowness.
    launch: the machine's own overhead.

    The rows have normal errors of NOISE. The logarithm of the overhead has a normal prior (TYPICAL, FACTOR).
    The posterior is evaluated for 81 overheads, up to 4 standard deviations from the median. For each one,
    the best slowness has a closed form. Source: regularised least squares (Tikhonov), as maximum a posteriori
    estimation (Bishop 2006, section 3.1.4).
    """
    found, lowest = (least, 0.0), float("inf")
    for deviation in np.linspace(-4, 4, 81).tolist():
        overhead = min(TYPICAL * FACTOR**deviation, CLEAR) * launch
        rest = wanted - slopes[:, 1] * overhead
        slow = max(_one_unknown(slopes[:, 0], rest), least)
        errors = (slopes[:, 0] * slow - rest) / NOISE
        cost = float(errors @ errors) + deviation**2
        if cost < lowest:
            found, lowest = (slow, overhead), cost
    return found


def _one_unknown(column: np.ndarray, wanted: np.ndarray) -> float:
    """Returns the least-squares solution x of column * x = wanted."""
    return float(column @ wanted / (column @ column))
