"""Lint against brute force: every illegal mutant is refused, at a place that really is wrong, and every legal
one accepted.
"""

from __future__ import annotations

import functools
import re
from types import ModuleType

import pytest

from minipar.errors import ScheduleError
from minipar.schedules import contents
from minipar.schedules import lint as linter
from minipar.schedules.generators import make_schedule
from minipar.schedules.lower import lower
from tests.schedules.brute import Verdict, judge
from tests.schedules.corpus import BASES, Base, Mutant, mutants_of

# A mutant, the truth about it, and, where it is legal, the truth under synchronous sends.
Judged = tuple[Mutant, Verdict, Verdict | None]


@functools.cache
def judged(base: Base) -> list[Judged]:
    schedule = make_schedule(*base)
    originals = [Mutant("the order as it is", schedule),
                 Mutant("the program as it is", schedule, lower(schedule))]
    return [_judged(mutant) for mutant in originals + mutants_of(base)]


def _judged(mutant: Mutant) -> Judged:
    truth = judge(mutant.schedule, mutant.programs)
    programs = lower(mutant.schedule) if truth.legal and mutant.programs is None else mutant.programs
    return mutant, truth, judge(mutant.schedule, programs, synchronous=True) if truth.legal else None


def disagreement(mutant: Mutant, truth: Verdict, under_synchronous: Verdict | None) -> str:
    """In which point lint and the truth differ; empty if in none."""
    try:
        report = linter.lint(mutant.schedule, mutant.programs)
    except ScheduleError as error:
        return "refused, but legal" if under_synchronous else _misplaced(str(error), truth)
    if under_synchronous is None:
        return f"accepted, but {truth}"
    if report.peaks != truth.peaks:
        return f"peaks {report.peaks}, but {truth.peaks}"
    if report.safe_sync != under_synchronous.legal:
        return f"under synchronous sends {report.deadlock!r}, but {under_synchronous}"
    return (
        "" if report.safe_sync or mutant.programs is None else _misplaced(report.deadlock, under_synchronous)
    )


def _misplaced(said: str, truth: Verdict) -> str:
    """Every place that is named must be wrong; or stuck, where ranks wait for each other."""
    named = {(int(rank), int(step)) for rank, step in re.findall(r"rank (\d+), stage -?\d+, step (\d+)",
                                                                 said)}
    return "" if named and named <= truth.wrong | truth.stuck else f"{said!r} does not point at {truth}"


def safe(under_synchronous: Verdict | None) -> bool:
    return under_synchronous is not None and under_synchronous.legal


@pytest.mark.parametrize("base", BASES, ids=lambda base: f"{base[0]}-{base[1]}x{base[2]}")
def test_lint_is_right(base: Base) -> None:
    assert all(truth.legal for _, truth,
               _ in judged(base)[:2]), "what the mutants are made from is not legal itself"
    assert {mutant.name: said for mutant, *truths in judged(base)
            if (said := disagreement(mutant, *truths))} == {}


def test_the_corpus_holds_mutants_of_every_kind() -> None:
    made_from_safe = [one for base in BASES if safe(judged(base)[1][2]) for one in judged(base)[2:]]
    every = [one for base in BASES for one in judged(base)[2:]]
    assert len(every) >= 200
    assert sum(bool(truth.wrong) for _, truth, _ in every) >= 200
    assert sum(bool(truth.stuck) for _, truth, _ in every) >= 20, "deadlocks whatever the sends are"
    assert sum(truth.legal for _, truth, _ in every) >= 100
    assert sum(truth.legal and not safe(synchronous) for _, truth, synchronous in made_from_safe) >= 5


CHECKS = ["_check_instruction", "_check_address", "_check_message", "_check_own", "_check_needed",
          "_check_complete"]


@pytest.mark.parametrize("module, check", [(contents, name) for name in CHECKS] + [
    (linter, "check_turns"), (linter, "deadlock"), (linter, "check_sent")])
def test_without_any_check_a_mutant_goes_through(monkeypatch: pytest.MonkeyPatch, module: ModuleType,
                                                 check: str) -> None:
    monkeypatch.setattr(module, check, lambda *_, **__: ())
    assert any(_goes_through(mutant) for base in BASES for mutant, truth, _ in judged(base)
               if not truth.legal)


def _goes_through(mutant: Mutant) -> bool:
    try:
        linter.lint(mutant.schedule, mutant.programs)
    except ScheduleError:
        return False
    except Exception:  # a later check that counts on the one that is gone
        return True
    return True
