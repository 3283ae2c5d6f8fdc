"""`minipar exercise` (short: `minipar ex`): practise; five lights judge your code.

    minipar exercise list              lists all exercises, and those you passed
    minipar exercise start ring_shift  puts the task and a file to complete into
                                       exercises/ring_shift/
    minipar exercise check             checks your code: on threads, then under
                                       mpirun

A light is one check of your code. The lights are: runs, values, gradients,
cost, no deadlock.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from minipar.cli.exercise_check import show_check
from minipar.cli.exercise_class import add_grade, add_pack
from minipar.cli.exercise_show import about, chapter_title, table
from minipar.cli.options import natural
from minipar.cli.ranks import require_one_process
from minipar.errors import ConfigError
from minipar.exercises import catalogue, workplace
from minipar.exercises.bug import answer_path
from minipar.exercises.exercise import HINTS, Exercise
from minipar.exercises.progress import StudentProgress

LOOK = 0.2  # seconds between two looks at the file's time stamp


def add_options(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, function, text in (
        ("list", list_all, "list all exercises by chapter: kind, minutes, state"),
        ("next", show_next, "show the next exercise that you have not passed"),
        ("progress", show_progress, "show the number of passed exercises of each chapter"),
    ):
        action(actions, name, function, text)
    for name, function, text in (
        ("start", start, "put the task and a file to complete into your folder"),
        ("hint", hint, "show the next hint: a nudge, a formula, an outline"),
        ("reset", reset, "start the exercise again; your file is kept under another name"),
    ):
        action(actions, name, function, text).add_argument(
            "name", nargs="?", help="default: the exercise started last"
        )
    for name, function, text in (
        ("check", check_once, "run your code and show the lights"),
        ("watch", watch, "check again whenever you save the file"),
    ):
        one = action(actions, name, function, text)
        one.add_argument("name", nargs="?", help="default: the exercise started last")
        one.add_argument("--threads", action="store_true", help="check only on threads, not under mpirun")
        one.add_argument("--seed", type=natural, help="seed of the inputs (default: a new one each time)")
    shown = action(actions, "solution", solution, "show a good solution, after you have passed")
    shown.add_argument("name", nargs="?", help="default: the exercise started last")
    shown.add_argument("--teacher", action="store_true", help="show it before you have passed")
    add_grade(actions.add_parser("grade", help="grade the submissions of a class, each in its own processes"))
    add_pack(actions.add_parser("pack", help="copy exercises without their solutions, for a class"))


def action(
    actions: Any, name: str, function: object, text: str
) -> argparse.ArgumentParser:
    one: argparse.ArgumentParser = actions.add_parser(name, help=text)
    one.add_argument(
        "--folder", type=Path, default=Path("exercises"), help="folder of your work (default exercises)"
    )
    one.set_defaults(run=function)
    return one


def chosen(options: argparse.Namespace, progress: StudentProgress) -> Exercise:
    """Return the named exercise, or without a name the exercise that was started last. Raises ConfigError if
    there is no such exercise.
    """
    require_one_process("minipar exercise")
    name = options.name or progress.current
    if not name:
        raise ConfigError(
            "name an exercise: minipar exercise list shows all, minipar exercise next the next one"
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
            print("\n".join([exercise.title, *about(exercise)]))
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
    print(f"{exercise.text('task.md').strip()}\n")
    print("\n".join(about(exercise)))
    where = "Write into" if new else "Your file is still there:"
    print(f"\n{where}\n    {path}")
    if exercise.bug is not None:
        print("or name the bug's line and the reason in this file, which lists the reasons:")
        print(f"    {answer_path(path)}")
    print("then: minipar exercise check")
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
    print(f"Your old file is kept in\n    {workplace.reset(exercise, options.folder)}")
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
    exercise = chosen(options, StudentProgress(options.folder))
    path = workplace.find_answer(exercise, options.folder)
    return 0 if show_check(exercise, path, options.folder, options.threads, options.seed).passed else 1


def watch(options: argparse.Namespace) -> int:
    """Check whenever the file is saved, until Ctrl-C or a pass."""
    exercise = chosen(options, StudentProgress(options.folder))
    path = workplace.find_answer(exercise, options.folder)
    seen = -1
    while True:
        now = changed_at(path, seen)
        if now != seen:
            first, seen = seen == -1, now
            try:
                if show_check(exercise, path, options.folder, options.threads, options.seed).passed:
                    return 0
            except ConfigError as error:                            # an editor may be replacing the file
                if first:
                    raise
                print(error)
            print(f"\nwatching; Ctrl-C ends:\n    {path}", flush=True)
        time.sleep(LOOK)


def changed_at(path: Path, otherwise: int) -> int:
    """Return the time stamp of a file in nanoseconds, or `otherwise` while an editor replaces the file."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return otherwise
