"""`minipar exercise grade` and `pack`, two commands for a teacher."""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path

from minipar.cli.exercise_show import table, wrapped
from minipar.cli.files import require_file
from minipar.cli.options import natural, positive
from minipar.cli.ranks import require_one_process
from minipar.errors import ConfigError
from minipar.exercises import catalogue
from minipar.exercises.formats import FORMATS, points
from minipar.exercises.grade import Grade
from minipar.exercises.pack import pack
from minipar.exercises.workplace import write

LONGEST_CALL = 3600.0  # the largest time limit of a call, in seconds


def add_grade(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="one folder per student")
    parser.add_argument("--exercise", action="append", default=[], metavar="NAME",
                        help="grade this exercise; a missing answer gets 0 points (default: grade "
                             "all exercises in the folder)")
    for name in FORMATS:
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"write the grades as {name}")
    parser.add_argument("--seed", type=natural,
                        help="seed of the inputs, for the whole class (default: a new one, which is printed)")
    parser.add_argument("--limit", type=limit, help="longest time of one call in seconds (default: the "
                                                    "exercise's own)")
    parser.add_argument("--jobs", type=positive, default=2,
                        help="submissions graded at the same time (default 2)")
    parser.set_defaults(run=grade_class)


def limit(text: str) -> float:
    """Parse the time limit of a call, in seconds."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.1 <= found <= LONGEST_CALL:                            # NaN is refused, too
        raise argparse.ArgumentTypeError(f"{text!r} is not a time from 0.1 to {LONGEST_CALL:g} seconds")
    return found


def grade_class(options: argparse.Namespace) -> int:
    # not imported at the top, since it loads multiprocessing, which a student's check does not need
    from minipar.exercises.whole_class import Assignment, grades

    require_one_process("minipar exercise grade")
    outputs = [path for name in FORMATS if (path := getattr(options, name))]
    for path in outputs:
        require_file(str(path))
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} is not a regular file; choose another path")
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise ConfigError("two formats have the same file; give each format its own")
    found: list[Grade] = []
    # with a seed that students know, a table of right results would pass
    seed = secrets.randbits(32) if options.seed is None else options.seed
    work = Assignment(options.folders, options.exercise, seed, options.limit, options.jobs)
    for grade in grades(work):
        found.append(grade)
        off = grade.verdict.first_off
        print(f"{grade.student}  {grade.exercise}  {points(grade):g}", flush=True)
        if off:
            print("\n".join(wrapped(f"{off.name}: {off.diagnosis}", "    ")), flush=True)
    print(f"to grade with the same inputs again: --seed {seed}")
    for name, text in FORMATS.items():
        if path := getattr(options, name):
            write(path, text(found))
    return 0


def add_pack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="DIR", help="the new folder for the copies")
    parser.add_argument("names", nargs="*", metavar="NAME", help="exercises (default: all)")
    parser.set_defaults(run=pack_hand_out)


def pack_hand_out(options: argparse.Namespace) -> int:
    exercises = [catalogue.find(name) for name in options.names] or catalogue.every()
    print("\n".join(table([(str(path),) for path in pack(exercises, options.out)])))
    return 0
