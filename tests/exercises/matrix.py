"""What must hold for every exercise: form, stub, solution, wrong answers; on threads and under mpirun."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from minipar.exercises.catalogue import every
from minipar.exercises.check import read_submission, verdict_of_mpirun, whole
from minipar.exercises.exercise import HINTS, Exercise, WrongAnswer, sections
from minipar.exercises.light import Light, Verdict
from minipar.exercises.lights import verdict
from minipar.exercises.mpirun import under_mpirun
from minipar.exercises.runner import Threads
from minipar.exercises.tasks import graded_calls
from tests.ranks import ROOT

SEED = 20_260
COLUMNS, TASK_LINES = 80, 60


def form(exercise: Exercise) -> Iterator[str]:
    """What the files of an exercise lack, in words."""
    names = {other.name for other in every()}
    for page in ("task.md", "hints.md", "explanation.md"):
        lines = exercise.text(page).splitlines()
        yield from (
            f"{page}:{number}: {len(line)} columns, more than {COLUMNS}"
            for number, line in enumerate(lines, 1)
            if len(line) > COLUMNS and "](" not in line and "http" not in line
        )
    task = exercise.text("task.md")
    if not task.startswith("# ") or not 8 <= len(task.splitlines()) <= TASK_LINES:
        yield f"task.md must begin with '# Title' and have 8 to {TASK_LINES} lines"
    if [title for title, text in sections(exercise.text("hints.md")) if text] != list(HINTS):
        yield f"hints.md must have the sections {', '.join(HINTS)}, none of them empty"
    if len(exercise.wrong) < 2:
        yield "wrong/ must have two wrong answers that real people give"
    if not 5 <= exercise.minutes <= 40:
        yield f"minutes must be 5 to 40, not {exercise.minutes}"
    for name in exercise.prerequisites:
        if name not in names:
            yield f"prerequisite {name} is no exercise"
    if exercise.library and not names_code(exercise.library):
        yield f"library {exercise.library} is not there"
    if exercise.bug is not None:
        stub = exercise.text("stub.py")
        yield from (
            f"the bug's line {part!r} is not in stub.py" for part in exercise.bug.lines if part not in stub
        )
        fixed = exercise.text("solution.py").splitlines()
        if not any(
            part in line and line not in fixed for line in stub.splitlines() for part in exercise.bug.lines
        ):
            yield "the solution keeps the bug's lines"
        if not 3 <= len(exercise.bug.reasons) <= 5 or max(map(len, exercise.bug.reasons.values())) > 90:
            yield "a bug has 3 to 5 reasons of at most 90 characters"
    if exercise.comm and exercise.par is None:
        yield "an exercise that communicates needs a par"


def names_code(where: str) -> bool:
    """Whether "minipar/x.py:name" is there."""
    path, _, name = where.partition(":")
    file = ROOT / path
    return file.is_file() and (
        not name or re.search(rf"^\s*(def|class) {name}\b|^{name}\b", file.read_text(), re.M) is not None
    )


def on_threads_verdict(threads: Threads, exercise: Exercise, name: str) -> Verdict:
    """threads: where it runs. name: a file of the exercise's folder."""
    submission = read_submission(exercise.folder / name)
    calls = graded_calls(exercise, SEED)
    return verdict(
        exercise, submission.source, list(threads.results(exercise, submission, calls, exercise.seconds))
    )


def stub_problem(found: Verdict) -> str:
    light = found.light("runs")
    return (
        ""
        if light.state == "off" and light.diagnosis and light.advice
        else f"stub.py: the first light is {light}"
    )


def solution_problem(found: Verdict) -> str:
    return "" if found.passed else f"solution.py: {found.first_off or found.lights}"


def wrong_problem(wrong: WrongAnswer, found: Verdict) -> str:
    """It must fail on its light, and on none before, with its diagnosis."""
    light = found.first_off or Light("none", "on")
    if light.name == wrong.light and wrong.diagnosis in light.diagnosis:
        return ""
    return f"{wrong.path.name}: must fail on '{wrong.light}' with '{wrong.diagnosis}', but {light}"


def problems_on_threads(exercise: Exercise, threads: Threads) -> list[str]:
    """All of an exercise. threads: a process for all exercises; what is in the project is trusted to come to
    its end.
    """
    found = [*form(exercise), stub_problem(on_threads_verdict(threads, exercise, "stub.py")),
             solution_problem(on_threads_verdict(threads, exercise, "solution.py"))]
    found += [wrong_problem(wrong, on_threads_verdict(threads, exercise, f"wrong/{wrong.path.name}"))
              for wrong in exercise.wrong]
    return [f"{exercise.name}: {text}" for text in found if text]


def solutions_under_mpirun(exercises: Sequence[Exercise], ranks: int) -> list[str]:
    """All solutions in one job of so many ranks."""
    work = []
    for exercise in exercises:
        if ranks in exercise.ranks:
            calls = [call for call in graded_calls(exercise, SEED, [ranks]) if call.delays == 0]
            work.append((exercise, read_submission(exercise.folder / "solution.py"), calls))
    if not work:
        return []
    results, said = under_mpirun(work, ranks)
    found = []
    for (exercise, submission, calls), result in zip(work, results, strict=True):
        judged = verdict(exercise, submission.source, whole(result, calls, said))
        on_one = ranks == 1 and judged.light("no deadlock").state == "dark"
        if not judged.passed and not (on_one and judged.first_off is None):
            found.append(f"{exercise.name} on {ranks} ranks: {judged.first_off or judged.lights}")
    return found


def wrong_answers_in_one_job(exercises: Sequence[Exercise], ranks: int) -> list[str]:
    """All wrong answers that fail on values, gradients or cost in the first case, in one job; those that fail
    elsewhere, or end a job, run alone (`wrong_under_mpirun`).
    """
    work, wrongs = [], []
    for exercise in exercises:
        calls = (
            [call for call in graded_calls(exercise, SEED, [ranks]) if call.plain][:1]
            if ranks in exercise.ranks
            else []
        )
        for wrong in exercise.wrong if calls else ():
            if wrong.light in ("values", "gradients", "cost"):
                work.append((exercise, read_submission(wrong.path), calls))
                wrongs.append(wrong)
    results, said = under_mpirun(work, ranks)
    found, off = [], 0
    for wrong, (exercise, submission, calls), result in zip(wrongs, work, results, strict=True):
        judged = verdict(exercise, submission.source, whole(result, calls, said))
        light = judged.light(wrong.light)
        off += light.state == "off"
        if judged.light("runs").state != "on" or (
            light.state == "off" and wrong.diagnosis not in light.diagnosis
        ):
            found.append(f"{exercise.name}/{wrong.path.name} on {ranks} ranks: {judged.first_off}")
    return found if off > len(wrongs) / 2 else [*found, f"only {off} of {len(wrongs)} wrong answers fail"]


def wrong_under_mpirun(exercise: Exercise, wrong: WrongAnswer) -> str:
    """A wrong answer in a job of its own, on as many ranks as the exercise has."""
    return wrong_problem(
        wrong, verdict_of_mpirun(exercise, read_submission(wrong.path), graded_calls(exercise, SEED))
    )
