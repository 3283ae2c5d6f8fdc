"""`python -m tests.exercises [--threads] [NAME ...]`: all that must hold for these exercises, or for all of
them.

--threads leaves mpirun out. Without a name the full matrix runs, and writes lessons/exercises/CHECKED.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence

from minipar.exercises.catalogue import every, exercises_folder, find
from minipar.exercises.exercise import RANKS, Exercise
from minipar.exercises.runner import Threads
from tests.exercises.matrix import problems_on_threads, solutions_under_mpirun, wrong_under_mpirun


def wrong_problems(exercise: Exercise) -> list[str]:
    """Of its wrong answers under mpirun, each in a job of its own."""
    found = [wrong_under_mpirun(exercise, wrong) for wrong in exercise.wrong if exercise.comm]
    return [f"{exercise.name} under mpirun: {text}" for text in found if text]


def main(words: list[str]) -> int:
    names, mpi = [word for word in words if word != "--threads"], "--threads" not in words
    exercises = [find(name) for name in names] or every()
    solutions = [text for ranks in RANKS for text in solutions_under_mpirun(exercises, ranks)] if mpi else []
    said = dict.fromkeys((exercise.name for exercise in exercises), "not run yet")
    bad = 0
    for exercise in exercises:
        began = time.perf_counter()
        with Threads(exercise.folder, cpu=600) as threads:
            found = problems_on_threads(exercise, threads)
        found += [text for text in solutions if text.startswith(f"{exercise.name} ")]
        found += wrong_problems(exercise) if mpi else []
        bad += bool(found)
        print(
            f"{exercise.name}: {'right' if not found else 'NOT RIGHT'} ({time.perf_counter() - began:.0f} s)",
            flush=True,
        )
        for text in found:
            print(f"    {text}", flush=True)
        said[exercise.name] = "no" if found else "yes"
        if not names and mpi:
            write(exercises, said)
    return bool(bad)


def write(exercises: Sequence[Exercise], said: Mapping[str, str]) -> None:
    """As far as it has come. said: by name, whether all is right."""
    text = """# What was checked

Written by `python -m tests.exercises`. For each exercise: the untouched stub fails on the first light; the solution has
all lights, on threads and under mpirun, on each number of ranks; each wrong answer fails on its light with its
diagnosis, on threads and, where the exercise communicates, under mpirun.

| chapter | exercise | kind | minutes | ranks | wrong answers | all right |
|---|---|---|---|---|---|---|
"""
    rows = [f"| {one.chapter} | {one.name} | {one.kind} | {one.minutes} | {', '.join(map(str, one.ranks))} | "
            f"{len(one.wrong)} | {said[one.name]} |\n" for one in exercises]
    (exercises_folder() / "CHECKED.md").write_text(text + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
