"""`minipar exercise grade` and `pack`, two commands for a teacher."""

from __future__ import annotations

import argparse
from pathlib import Path

from minipar.cli.exercise_show import table, wrapped
from minipar.cli.files import require_file
from minipar.cli.ranks import require_one_process
from minipar.exercises import catalogue
from minipar.exercises.formats import FORMATS, points
from minipar.exercises.grade import Grade
from minipar.exercises.pack import pack
from minipar.exercises.workplace import write


def add_grade(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="one folder per student")
    parser.add_argument("--exercise", action="append", default=[], metavar="NAME",
                        help="grade this exercise; a missing answer gets 0 points (default: grade "
                             "all exercises in the folder)")
    for name in FORMATS:
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"write the grades as {name}")
    parser.add_argument("--seed", type=int, default=0,
                        help="seed of the inputs, for the whole class (default 0)")
    parser.add_argument("--limit", type=float, help="longest time of one call in seconds (default: the "
                                                    "exercise's own)")
    parser.add_argument("--jobs", type=int, default=2, help="submissions graded at the same time (default 2)")
    parser.set_defaults(run=grade_class)


def grade_class(options: argparse.Namespace) -> int:
    # not imported at the top, since it loads multiprocessing, which a student's check does not need
    from minipar.exercises.whole_class import Assignment, grades

    require_one_process("minipar exercise grade")
    for name in FORMATS:
        if path := getattr(options, name):
            require_file(str(path))
    found: list[Grade] = []
    work = Assignment(options.folders, options.exercise, options.seed, options.limit, options.jobs)
    for grade in grades(work):
        found.append(grade)
        off = grade.verdict.first_off
        print(f"{grade.student}  {grade.exercise}  {points(grade):g}", flush=True)
        if off:
            print("\n".join(wrapped(f"{off.name}: {off.diagnosis}", "    ")), flush=True)
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
