"""Command lines put together at random: each ends with exit status 0, or with 2 and one short line.

    python -m tests.cli.fuzz [HOW MANY] [SEED]

They run in this process. What would train for long is replaced: the fuzzer is about what is said before the
work.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from tests.commands import call
from tests.tiny import options

VALUES = [
          "", "0", "1", "2", "3", "-1", "1.5", "nan", "inf", "-inf", "1e999", "1e-999", "--", "-", "x", "α",
          "\udcff", "\x1b[31m", "a b",
          "9" * 30, "9" * 5000, "x" * 5000, "1,2", "2,-1", "1/3", "F=1/3", "F=1e5,B=2", "F=0", "None", "[]",
          "/dev/null", "/", "/nope/x",
          "{folder}", "{folder}/text.txt", "{folder}/pipe", "{folder}/zero", "{folder}/own.json",
          "{folder}/own.py", "zb-h1", "adam", "tiny",
          "float16", "bitwise", "full", "cosine", "byte", "g-forgotten", "threads", "png.png"]
FLAGS = {
    "train": ["--data", "--tokenizer", "--batch", "--micro-batches", "--steps", "--lr", "--schedule",
          "--warm-up", "--optimizer",
              "--weight-decay", "--clip", "--recompute", "--dtype", "--precision", "--loss-scale", "--seed",
          "--validate-every",
              "--save-every", "--layers", "--heads", "--width", "--hidden", "--context", "--dropout",
          "--preset", "--out", "--resume",
              "--dp", "--pp", "--tp", "--gradients", "--bucket-bytes", "--pipeline", "--virtual",
          "--stage-layers", "--engine",
              "--timeout", "--none"],
    "generate": ["--run", "--prompt", "--prompts", "--tokens", "--temperature", "--top-k", "--top-p", "--min-p",
          "--repetition-penalty", "--seed", "--samples", "--stop", "--batch", "--invariant", "--json", "--dp", "--pp",
          "--pipeline", "--engine"],
    "verify": ["--json", "--mutant", "--vocabulary", "--layers", "--heads", "--width", "--dp", "--pp",
          "--tp", "--batch", "--dtype",
               "--seed", "--gradients", "--pipeline", "--stage-layers", "--engine", "--timeout", "--dropout",
               "--recompute"],
    "trace": ["--out", "--alpha", "--beta", "--flops-rate", "--layers", "--pp", "--tp", "--micro-batches",
          "--gradients", "--engine"],
    "schedule": ["--ranks", "--micro-batches", "--virtual", "--json", "--costs", "--comm", "--out",
          "--width", "--synchronous"],
    "mutants": ["--json", "--list", "--curves", "g-forgotten"], "gradcheck": ["--layers", "--heads",
          "--width", "--seed", "--context"],
    "lesson": ["list", "run", "--fast", "--out", "7", "x"], "launch": ["-n", "--hostfile"],
    "doctor": ["--none"],
    "compare": ["--gradients", "--weights", "--batch", "--heads", "--tolerance", "--json"],
    "autopsy": ["--ratio", "--which", "--layout", "--most", "--metrics", "--gradients", "--checkpoints", "--json"],
}
POSITIONS = {"schedule": [["show"], ["lint"], ["simulate"], ["run"], ["x"], []],
             "lesson": [["list"], ["run"], []]}
WORK = {"cli.train._train_and_report": 0, "cli.verify.make_reference": None, "cli.verify.on_ranks": 0,
        "cli.trace.trace_step": None,
        "cli.mutants._try": {"name": "x", "check": "", "failed_checks": [], "found": True, "curves": {}},
          "cli.gradcheck.gradcheck": [],
        "cli.launch.launch": 0, "cli.doctor.check_up": [], "cli.schedule.run": [mock.Mock(proven=True)],
        "cli.schedule.lines": []}


def command(rng: random.Random, folder: Path) -> list[str]:
    name = rng.choice([*FLAGS, "train", "schedule", "schedule"])
    words = [name, *rng.choice(POSITIONS.get(name, [[]]))]
    if name == "train" and rng.random() < 0.7:
        words += options(folder)
    if name == "schedule" and rng.random() < 0.8:
        words.append(rng.choice(["gpipe", "1f1b", "zb-v", "interleaved", "{folder}/own.json",
                                 "{folder}/own.py", "x"]))
    for _ in range(rng.randrange(4)):
        flag, value = rng.choice(FLAGS[name]), rng.choice(VALUES)
        words += rng.choice([[flag, value], [f"{flag}={value}"], [flag], [value]])
    if rng.random() < 0.1:
        rng.shuffle(words)
    return [word.replace("{folder}", str(folder)) for word in words]


def prepare(folder: Path) -> None:
    options(folder)
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "own.json").write_text('{"orders": ["F0 F1 B0 B1", "F0 B0 F1 B1"]}')
    (folder / "own.py").write_text("def schedule(ranks, micro_batches):\n    raise GeneratorExit")


def attempt(words: list[str]) -> tuple[int, str]:
    """The exit status and what is on stderr, of a command whose long work is replaced."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.ExitStack() as stack:
        for place, result in WORK.items():
            stack.enter_context(mock.patch(f"minipar.{place}", lambda *_, result=result, **__: result))
        stack.enter_context(mock.patch("minipar.cli.lesson.run_lesson", lambda *_: {"lesson": mock.Mock()}))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
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
            prepare(Path(name))
            words, began = command(rng, Path(name)), time.perf_counter()
            where = f"seed {seed}, number {number}: {[word[:60] for word in words]}"
            try:
                status, said = attempt(words)
            except BaseException as error:
                raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error
            # 1: autopsy found no bug that shows these symptoms
            assert status in (0, 2) or status == 1 and words[0] == "autopsy", f"{where}: exit status {status}: {said[-500:]}"
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
