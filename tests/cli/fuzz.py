"""Command lines put together at random: each ends with exit status 0, or with 2 and one short line.

    python -m tests.cli.fuzz [HOW MANY] [SEED]

They run in this process. What would train for long is replaced: the fuzzer is about what is said before the
work.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import io
import json
import math
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from minipar.cli import COMMANDS, Parser, command_module
from minipar.exercises.grade import Grade
from minipar.exercises.light import Light, Verdict
from minipar.plan.machine import machine
from tests.commands import call
from tests.tiny import options
from tests.tracking.made import make_run

# Each path is in the folder of the case, or in /proc, where not even root can make a file.
VALUES = [
    "", "0", "1", "2", "3", "8", "-1", "1.5", "nan", "inf", "-inf", "1e999", "1e-999", "--", "-", "x", "α", "\udcff",
    "\x1b[31m", "a b", "9" * 30, "9" * 5000, "x" * 5000, "1,2", "2,-1", "1/3", "F=1/3", "F=1e5,B=2", "F=0",
    "None", "[]", "/proc/none", "/proc/none/x", "{folder}", "{folder}/text.txt", "{folder}/pipe",
    "{folder}/null", "{folder}/zero", "{folder}/own.json", "{folder}/own.py", "zb-h1", "adam", "tiny",
    "float16", "bitwise", "full", "cosine", "byte", "g-forgotten", "threads", "png.png", "a100-80g", "gpt2", "layers=2,width=8",
    "layers=2,width=nan", "dp=2,tp=2", "dp=0", "alpha=1e-6,beta=nan", "seed=1", "first", "ring_shift", "7",
    "{folder}/run", "{folder}/bad", "{folder}/machine.json", "pp=3,virtual=2,sp", "1048576", "720720"]
# what a command needs before it looks at anything else
NEEDED = {
    "plan": ["--model", "gpt2", "--machine", "a100-80g", "--ranks", "8"], "run": ["{folder}/own.py"],
    "serve": ["--run", "{folder}/run"], "bench-serve": ["--run", "{folder}/run"],
    "generate": ["--run", "{folder}/run"], "elastic": ["add", "{folder}", "1"],
    "schedule": ["zb-v"], "exercise": ["ring_shift"], "lesson": ["7"], "launch": ["-n", "2", "x"],
    "report": ["{folder}/run"], "runs": ["{folder}/run", "{folder}/run"], "autopsy": ["--ratio", "4"],
    "compare": ["--weights", "{folder}/own.json", "--batch", "{folder}/own.json", "--gradients", "{folder}"]}
GRADE = Grade("student", "ring_shift", 1, 0, Verdict((Light("runs", "off", "there is no file"),)))
# Work that is long, or that leaves this process, is replaced.
WORK = {
    "cli.train._train_and_report": 0, "cli.train._supervise": 0, "cli.verify.make_reference": None,
    "cli.verify.on_ranks": 0, "cli.trace.trace_step": None,
    "cli.mutants._try": {"name": "x", "check": "", "failed_checks": [], "found": True, "curves": {}},
    "cli.gradcheck.gradcheck": [], "cli.launch.launch": 0, "cli.doctor.check_up": [],
    "cli.schedule.run": [mock.Mock(proven=True)], "cli.schedule.lines": [], "cli.plan._calibrate": 0,
    "cli.plan._prove": 0,
    "cli.run.run_on_threads": mock.Mock(failure=None, books=[]), "cli.run.races": (False, ""),
    "cli.exercise.show_check": mock.Mock(passed=True), "cli.exercise.watch": 0,
    "exercises.whole_class._graded": GRADE, "cli.serve._serve": None, "cli.serve.asyncio.run": 0,
    "cli.bench_serve._started": contextlib.nullcontext(1), "cli.bench_serve._measured": 0,
}


def parser_of(name: str) -> Parser:
    """The parser of one command."""
    parser = Parser(prog=f"minipar {name}")
    command_module(name).add_options(parser)
    return parser


def actions_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The subcommands of a parser, by name: `list`, `run` and others of `lesson`."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def an_option(rng: random.Random, parser: argparse.ArgumentParser) -> list[str]:
    """One option of a parser with its values, some of which may be absurd or missing; or a value alone."""
    known = [
        action
        for action in parser._actions
        if action.option_strings and action.nargs != 0 or action.const is True
    ]
    if not known or rng.random() < 0.1:
        return [rng.choice(["--none", "-x", *VALUES])]
    action = rng.choice(known)
    flag = action.option_strings[-1]
    values = rng.choices(VALUES, k=action.nargs if isinstance(action.nargs, int) else 1)
    return rng.choice(
        [[flag, *values], [flag, *values], [f"{flag}={values[0]}"] if values else [flag], [flag, *values[1:]]]
    )


def command(rng: random.Random, folder: Path) -> list[str]:
    """A command, perhaps what it needs, and up to three options with values that may be absurd."""
    name = rng.choice([*COMMANDS, "train", "plan"])
    parser: argparse.ArgumentParser = parser_of(name)
    words = [name]
    if actions := actions_of(parser):
        action = rng.choice([*actions, "x"])
        words.append(action)
        parser = actions.get(action, parser)
    if rng.random() < 0.9:
        words += options(folder) if name == "train" else NEEDED.get(name, [])
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        words += an_option(rng, parser)
    if rng.random() < 0.05:
        rng.shuffle(words)
    return [word.replace("{folder}", str(folder)) for word in words]


@cache
def finished_run() -> Path:
    """The folder of a run of two steps, made once."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert call("train", *options(folder, steps=2), "--out", folder / "run") == 0
    return folder / "run"


def broken_machine(rng: random.Random) -> dict[str, Any]:
    """The fields of a machine; some are missing, or have an absurd value."""
    values = machine("a100-80g").to_dict()
    for _ in range(rng.randrange(3)):
        fields = (
            values if rng.random() < 0.7 or not isinstance(values.get("within"), dict) else values["within"]
        )
        name = rng.choice([*fields, "speed"])
        fields[name] = rng.choice(
            [None, "", "1e12", [], {}, True, 0, -1, 1, 3, 1e6, 1e9, 1e13, math.nan, math.inf, 10**399]
        )
        if rng.random() < 0.2:
            del fields[name]
    return values


def prepare(folder: Path, rng: random.Random) -> None:
    options(folder)
    (make_run(folder / "bad", [2.0]) / "metrics.jsonl").write_text('{"epoch": 1}\n')
    (folder / "machine.json").write_text(json.dumps(broken_machine(rng)))
    shutil.copytree(finished_run(), folder / "run")
    os.mkfifo(folder / "pipe")
    for device in ("null", "zero"):
        (folder / device).symlink_to(f"/dev/{device}")
    (folder / "own.json").write_text('{"orders": ["F0 F1 B0 B1", "F0 B0 F1 B1"]}')
    (folder / "own.py").write_text("def schedule(ranks, micro_batches):\n    raise GeneratorExit")


def attempt(words: list[str], typed: io.StringIO | None) -> tuple[int, str]:
    """The exit status and what is on stderr, of a command whose long work is replaced. `typed`: standard
    input.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        for place, result in WORK.items():
            stack.enter_context(mock.patch(f"minipar.{place}", lambda *_, result=result, **__: result))
        stack.enter_context(mock.patch("minipar.cli.lesson.run_lesson", lambda *_: {"lesson": mock.Mock()}))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        stack.enter_context(mock.patch.object(sys, "stdin", typed))
        return call(*words), err.getvalue()


@contextlib.contextmanager
def inside(folder: str) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def fuzz(count: int, seed: int) -> dict[int, int]:
    """How many ended with which status; raises AssertionError, which names the seed, for whatever else
    happens.
    """
    found = {0: 0, 1: 0, 2: 0}
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        with tempfile.TemporaryDirectory() as name, inside(name), mock.patch.object(sys, "argv", sys.argv), \
                mock.patch.object(sys, "path", [*sys.path]):
            prepare(Path(name), rng)
            words, began = command(rng, Path(name)), time.perf_counter()
            where = f"seed {seed}, number {number}: {[word[:60] for word in words]}"
            try:
                status, said = attempt(words, rng.choice([None, io.StringIO(), io.StringIO("m\nx\n")]))
            except BaseException as error:
                raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error
            # 1: autopsy found no bug that shows these symptoms
            assert status in (0, 2) or status == 1 and words[0] == "autopsy", (
                f"{where}: exit status {status}: {said[-500:]}"
            )
            if status == 2:
                assert said.count("\n") == 1 and said.startswith("minipar") and len(said) < 540, (
                    f"{where}: {said[:2000]!r}"
                )
                assert said[:-1].isprintable(), f"{where}: {said!r}"
            assert time.perf_counter() - began < 30, f"{where}: took too long"
            found[status] += 1
    return found


if __name__ == "__main__":
    how_many, first = (*map(int, sys.argv[1:]), *(800, 0)[len(sys.argv) - 1:])
    print(f"seed {first}: {fuzz(how_many, first)}")
