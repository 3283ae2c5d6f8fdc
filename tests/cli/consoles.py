"""Commands with broken consoles: `python -m tests.cli.consoles FOLDER`, a line of JSON for each command and
console.

Imports once what the commands import, then forks for each case. The fork breaks its own stdout or stderr, as
a shell would before it starts Python, calls the command and ends as every process of Python does. Pictures
are empty files, since a real one takes longer than all else.
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import os
import pty
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from minipar import cli
from minipar.plots import save
from tests.tiny import options

LIMIT = 60                                                          # seconds for one command


def closed(number: int) -> None:
    os.close(number)


def full(number: int) -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), number)


def unread(number: int) -> None:
    """A pipe whose reader has gone, as of `| head`."""
    reader, writer = os.pipe()
    os.dup2(writer, number)
    os.close(reader)


def hung_up(number: int) -> None:
    """A terminal that is no longer there."""
    master, terminal = pty.openpty()
    os.dup2(terminal, number)
    os.close(master)


BREAKS: dict[str, Callable[[int], None]] = {"closed": closed, "full": full, "unread": unread,
                                            "hung up": hung_up}
STREAMS = {"stdout": (1,), "stderr": (2,), "both": (1, 2)}
THOROUGH = "schedule"                                               # the quickest
COMMANDS = ("train", "train on ranks", "generate", "verify", "schedule", "trace", "lesson list", "plan",
            "exercise", "autopsy", "run", "help", "a mistake")


def table(folder: Path) -> dict[str, list[str]]:
    """Command -> its words. OUT is a folder of the case's own."""
    return {
        "train": ["train", *options(folder, steps=2), "--out", "OUT/run"],
        "train on ranks": ["train", *options(folder, steps=2), "--dp", "2", "--engine", "threads", "--out",
                           "OUT/run"],
        "generate": ["generate", "--run", str(folder / "run"), "--prompt", "the ", "--tokens", "4"],
        "verify": ["verify", "--tp", "2", "--engine", "threads", "--layers", "1", "--json", "OUT/found.json"],
        "schedule": ["schedule", "show", "1f1b", "--json", "OUT/mine.json"],
        "trace": ["trace", *options(folder), "--flops-rate", "1e9", "--out", "OUT/trace"],
        "lesson list": ["lesson", "list"],
        "plan": ["plan", "--model", "gpt2", "--machine", "a100-80g", "--ranks", "4", "--json",
                 "OUT/plan.json"],
        "exercise": ["exercise", "start", "ring_shift", "--folder", "OUT"],
        "autopsy": ["autopsy", "--ratio", "4", "--layout", "tp=4", "--json", "OUT/bugs.json"],
        "run": ["run", "-n", "2", str(folder / "program.py")],
        "help": ["--help"],
        "a mistake": ["schedule", "show", "none"],
    }


def cases(commands: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yields (command, how, stream). THOROUGH gets all combinations. Each other command gets two, so that
    these commands together get all combinations, too.
    """
    for number, command in enumerate(commands):
        yield command, "none", "both"
        pairs = [(how, stream) for how in BREAKS for stream in STREAMS]
        yield from ((command, *pair) for pair in (pairs if command == THOROUGH else pairs[number % 6::6]))


def written(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "said"
    )


def temporary(out: Path) -> Path:
    """The folder for the temporary files of a case."""
    return out.with_name(f"{out.name}.temporary")


def start(words: list[str], breaking: Callable[[int], None], numbers: tuple[int, ...], out: Path) -> int:
    """In the fork. Never returns but as the command does."""
    (out / "said").mkdir(parents=True)
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary(out))
    temporary(out).mkdir()
    for number in (1, 2):
        os.dup2(os.open(out / "said" / str(number), os.O_CREAT | os.O_WRONLY), number)
    for number in numbers:
        breaking(number)
    for number, name in ((1, "stdout"), (2, "stderr")):
        try:
            stream = open(  # noqa: SIM115
                number, "w", encoding="utf-8", closefd=False)
        except OSError as error:                                    # Python, too, starts with None then
            assert error.errno == errno.EBADF
            stream = None
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    return cli.main([word.replace("OUT", str(out)) for word in words])


def outcome(pid: int) -> int:
    """The exit status of a child; 1000 where it does not end."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return 1000


def main(folder: Path) -> None:
    for name in ("cli.train", "cli.generate", "cli.verify", "cli.schedule", "cli.trace", "cli.lesson",
                 "cli.plan", "cli.exercise", "cli.autopsy", "cli.run", "plots.loss", "plots.trace"):
        importlib.import_module(f"minipar.{name}")
    save.save = lambda figure, path: Path(path).touch()  # type: ignore[assignment]
    assert cli.main(["train", *options(folder, steps=2), "--out", str(folder / "run")]) == 0
    (folder / "program.py").write_text("from mpi4py import MPI\nprint(MPI.COMM_WORLD.size)\n")
    gc.freeze()  # a fork shall not copy all that is imported
    for number, (command, how, stream) in enumerate(cases(list(COMMANDS))):
        out = folder / str(number)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            breaking = BREAKS.get(how, lambda descriptor: None)
            sys.exit(start(table(folder)[command], breaking, STREAMS[stream], out))
        status = outcome(pid)
        said = ["".join((out / "said" / name).read_text(encoding="utf-8")) for name in "12"]
        print("case " + json.dumps({"command": command, "how": how, "stream": stream, "status": status,
                                    "files": written(out),
                                       "left": os.listdir(temporary(out)), "out": said[0], "err": said[1]}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
