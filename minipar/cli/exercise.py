"""`minipar exercise` (short: `minipar ex`): practise, and see five lights come on.

    minipar exercise list                   all exercises, and what you have passed
    minipar exercise start ring_shift       puts the task and a stub into exercises/ring_shift/
    minipar exercise check                  checks what you have written: on threads, then under mpirun

The lights are: runs, values, gradients, cost, no deadlock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minipar.cli.exercise_class import add_grade, add_pack
from minipar.cli.exercise_show import about, chapter_title, printed_lines, table, verdict_lines
from minipar.cli.ranks import require_one_process
from minipar.errors import ConfigError
from minipar.exercises import catalogue, workplace
from minipar.exercises.check import Checked, check
from minipar.exercises.exercise import HINTS, Exercise
from minipar.exercises.grade import fastest
from minipar.exercises.light import Verdict
from minipar.exercises.outcome import outputs, wanted
from minipar.exercises.progress import StudentProgress
from minipar.exercises.tasks import CallResult

LOOK = 0.2  # seconds between two looks at a file


def add_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, function, text in (
        ("list", list_all, "all exercises by chapter: state, kind, minutes"),
        ("next", show_next, "the first exercise that you have not passed"),
        ("progress", show_progress, "how many you have passed, by chapter"),
    ):
        action(actions, name, function, text)
    for name, function, text in (
        ("start", start, "put the task and the stub into your folder"),
        ("hint", hint, "the next hint: a nudge, a formula, an outline"),
        ("reset", reset, "begin again; what you have written is kept under another name"),
    ):
        action(actions, name, function, text).add_argument(
            "name", nargs="?", help="default: the one you are at"
        )
    for name, function, text in (
        ("check", check_once, "run it, and show the lights"),
        ("watch", watch, "check again whenever you save the file"),
    ):
        one = action(actions, name, function, text)
        one.add_argument("name", nargs="?", help="default: the one you are at")
        one.add_argument("--threads", action="store_true", help="on threads alone, not under mpirun")
        one.add_argument("--seed", type=int, help="of the inputs (default: another one each time)")
    shown = action(actions, "solution", solution, "a good solution, once you have passed")
    shown.add_argument("name", nargs="?", help="default: the one you are at")
    shown.add_argument("--teacher", action="store_true", help="without a pass")


    add_grade(actions.add_parser("grade", help="grade a class, each submission in processes of its own"))
    add_pack(actions.add_parser("pack", help="make a hand-out without solutions"))


def action(
    actions: Any, name: str, function: object, text: str
) -> argparse.ArgumentParser:
    one: argparse.ArgumentParser = actions.add_parser(name, help=text)
    one.add_argument(
        "--folder", type=Path, default=Path("exercises"), help="of your work (default exercises)"
    )
    one.set_defaults(run=function)
    return one


def chosen(options: argparse.Namespace, progress: StudentProgress) -> Exercise:
    """The exercise that was named, or the one that was last started. Raises ConfigError where there is
    neither.
    """
    require_one_process("minipar exercise")
    name = options.name or progress.current
    if not name:
        raise ConfigError(
            "name an exercise: minipar exercise list shows them all, minipar exercise next the first"
        )
    return catalogue.find(name)


def list_all(options: argparse.Namespace) -> int:
    progress = StudentProgress(options.folder)
    chapter = ""
    rows = []
    for exercise in catalogue.every():
        if exercise.chapter != chapter:
            chapter = exercise.chapter
            rows += [("", "", "", ""), (chapter_title(chapter), "", "", "")]
        rows.append(
            (f"  {exercise.name}", exercise.kind, f"{exercise.minutes} min", progress.state(exercise))
        )
    print("\n".join(table(rows)).strip("\n"))
    return 0


def show_next(options: argparse.Namespace) -> int:
    progress = StudentProgress(options.folder)
    for exercise in catalogue.every():
        if progress.state(exercise) != "passed":
            print("\n".join(about(exercise)))
            print(f"\nminipar exercise start {exercise.name}")
            return 0
    print("You have passed all exercises.")
    return 0


def show_progress(options: argparse.Namespace) -> int:
    progress = StudentProgress(options.folder)
    chapters: dict[str, list[str]] = {}
    for exercise in catalogue.every():
        chapters.setdefault(exercise.chapter, []).append(progress.state(exercise))
    rows = [("chapter", "passed", "")]
    for chapter, states in chapters.items():
        passed = states.count("passed")
        rows.append(
            (
                chapter_title(chapter),
                f"{passed} of {len(states)}",
                "#" * passed + "." * (len(states) - passed),
            )
        )
    print("\n".join(table(rows)))
    return 0


def start(options: argparse.Namespace) -> int:
    progress = StudentProgress(options.folder)
    exercise = chosen(options, progress)
    path, new = workplace.start(exercise, options.folder)
    progress.current = exercise.name
    progress.entry(exercise.name)
    progress.save()
    print("\n".join(about(exercise)))
    print(f"\n{exercise.text('task.md').strip()}\n")
    print(f"{'Write into' if new else 'Your file is still there:'}\n    {path}\nthen: minipar exercise check")
    return 0


def hint(options: argparse.Namespace) -> int:
    progress = StudentProgress(options.folder)
    exercise = chosen(options, progress)
    entry = progress.entry(exercise.name)
    entry.hints = min(entry.hints + 1, len(HINTS))
    progress.save()
    print(
        f"hint {entry.hints} of {len(HINTS)}, {HINTS[entry.hints - 1].lower()}:\n\n"
        f"{exercise.hints[entry.hints - 1]}"
    )
    return 0


def reset(options: argparse.Namespace) -> int:
    exercise = chosen(options, StudentProgress(options.folder))
    print(f"What you had is kept in\n    {workplace.reset(exercise, options.folder)}")
    return 0


def solution(options: argparse.Namespace) -> int:
    progress = StudentProgress(options.folder)
    exercise = chosen(options, progress)
    if not options.teacher and progress.state(exercise) != "passed":
        raise ConfigError(
            f"the solution of {exercise.name} is shown after a pass; minipar exercise hint helps, and "
            "--teacher shows it anyway"
        )
    print(exercise.text("solution.py"))
    return 0


def check_once(options: argparse.Namespace) -> int:
    progress = StudentProgress(options.folder)
    exercise = chosen(options, progress)
    return 0 if shown(exercise, options, progress).passed else 1


def shown(exercise: Exercise, options: argparse.Namespace, progress: StudentProgress) -> Checked:
    """Check, show the lights as they come, and write down what came of it."""
    path = workplace.find_answer(exercise, options.folder)
    print(f"{exercise.name}, on threads:", flush=True)

    def threads_part(lights: Verdict, results: Sequence[CallResult]) -> None:
        for line in locked(exercise, progress, lights, results):
            print(line)
        print("\n".join(verdict_lines(lights)), flush=True)
        if progress.timed(exercise, seconds := fastest(lights, results)) and seconds is not None:
            print(f"\n  {1e6 * seconds:.1f} us of virtual time: your best so far")

    result = check(exercise, path, mpi=not options.threads, seed=options.seed, on_threads_part=threads_part)
    for line in printed_lines(result.printed):
        print(line)
    if result.mpi is not None:
        print("\nunder mpirun: " + ("all lights are on" if result.mpi.passed else ""))
        if not result.mpi.passed:
            print("\n".join(verdict_lines(result.mpi)))
    elif result.without_mpi and result.threads.passed:
        print(f"\nnot under mpirun: {result.without_mpi}")
    progress.checked(exercise, result.mpi or result.threads, result.passed)
    progress.save()
    if result.passed:
        print(f"\nPassed.\n\n{exercise.text('explanation.md').strip()}\n\nnext: minipar exercise next")
    else:
        print(f"\nthe same inputs again: --seed {result.seed}")
    return result


def locked(exercise: Exercise, progress: StudentProgress, lights: Verdict,
           results: Sequence[CallResult]) -> list[str]:
    """Keep a prediction, on disk, before anything is shown of what the run did."""
    if exercise.kind != "predict" or lights.light("runs").state != "on":
        return []
    first = progress.predicted(exercise, outputs(results[0])[0], wanted(exercise, results[0])[0])
    progress.save()
    kept = progress.entry(exercise.name).prediction or {}
    which = "first" if first else "first (kept)"
    return [f"  your {which} prediction: {kept['right']} of {kept['of']} right"]


def watch(options: argparse.Namespace) -> int:
    """Check whenever the file is saved, until Ctrl-C or a pass."""
    exercise = chosen(options, StudentProgress(options.folder))
    path = workplace.find_answer(exercise, options.folder)
    seen = -1
    while True:
        now = path.stat().st_mtime_ns if path.exists() else seen
        if now != seen:
            seen = now
            if shown(exercise, options, StudentProgress(options.folder)).passed:
                return 0
            print(f"\nwatching; Ctrl-C ends:\n    {path}", flush=True)
        time.sleep(LOOK)
