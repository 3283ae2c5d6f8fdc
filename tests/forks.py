"""Scripts and commands run in processes that need not import NumPy, matplotlib and minipar again: that takes
longer than many a script.

One process, started by the first of them, imports what they import, and nothing else happens in it. For each
it forks, and the fork becomes the script or the command: its own process from there on, with its own exit
status, warnings as errors.
"""

from __future__ import annotations

import atexit
import faulthandler
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.ranks import ROOT

HANG = 300  # seconds until a script shows its stack and ends
COMMANDS = ("minipar.cli.train", "minipar.cli.trace", "minipar.cli.schedule", "minipar.cli.verify",
            "minipar.cli.generate", "minipar.cli.lesson", "minipar.cli.ranks", "minipar.cli.gradcheck")
# With matplotlib, whose import is a matter of the environment.
SCRIPTS = ("minipar.lessons.support.lesson", "minipar.compress.prune", "minipar.compress.quantize",
           "minipar.training.trainer", "minipar.plots.save", "minipar.plots.trace")


@dataclass(frozen=True)
class Ended:
    """How a script ended, all that it printed, and its seconds of the processor, which a busy machine does
    not lengthen.
    """

    returncode: int
    stdout: str
    stderr: str
    seconds: float


def forked(script: Path, folder: Path, *options: str, environ: Mapping[str, str] | None = None,
           imported: tuple[str, ...] = SCRIPTS) -> Ended:
    """As `python -W error script *options folder` would; what it prints passes through `folder`.

    environ: variables that it finds beside ours. imported: the modules that it finds imported.
    """
    return _ended(imported, folder, script=str(script), words=[*options, str(folder)],
                  environ=dict(environ or {}), cwd=str(ROOT))


def forked_command(*words: object, environ: Mapping[str, str] | None = None, cwd: Path = ROOT,
                   imported: tuple[str, ...] = COMMANDS) -> Ended:
    """As `minipar *words` would in the folder `cwd`. For the rest see `forked`."""
    with tempfile.TemporaryDirectory() as folder:
        return _ended(imported, Path(folder), script="", words=[str(word) for word in words],
                      environ=dict(environ or {}), cwd=str(cwd))


def _ended(imported: tuple[str, ...], folder: Path, **wanted: Any) -> Ended:
    out, err = folder / "stdout", folder / "stderr"
    server = _server(imported)
    assert server.stdin and server.stdout
    server.stdin.write(json.dumps({"out": str(out), "err": str(err), **wanted}) + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    assert answer, "the process that forks has ended"
    status, seconds = json.loads(answer)
    return Ended(status, out.read_text(), err.read_text(), seconds)


@cache
def _server(imported: tuple[str, ...]) -> subprocess.Popen[str]:
    """It ends where its input does, when this process ends. One BLAS thread: what forks must have no
    others.
    """
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    server = subprocess.Popen([sys.executable, "-W", "error", "-m", "tests.forks", *imported],
                              env=environment, cwd=ROOT, text=True, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    atexit.register(server.communicate)
    return server


# In the process that forks: `python -m tests.forks MODULE ...`. A line in for each script; its exit status
# and seconds out.


def main(modules: list[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(**json.loads(line))
            return  # an ordinary end, or an ordinary traceback
        _, status, used = os.wait4(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime]), flush=True)


def become(out: str, err: str, script: str, words: list[str], environ: dict[str, str], cwd: str) -> None:
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    faulthandler.dump_traceback_later(HANG, exit=True)
    os.environ.update(environ)
    os.chdir(cwd)
    if not script:
        from minipar.cli import main as minipar

        sys.argv = ["minipar", *words]
        sys.exit(minipar(words))
    sys.argv, sys.path[0] = [script, *words], str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
