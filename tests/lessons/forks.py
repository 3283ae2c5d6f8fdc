"""Scripts run in processes that need not import NumPy, matplotlib and minipar again: that takes longer than
many a script.

One process, started by the first script, imports what lessons import, and nothing else happens in it. For
each script it forks, and the fork becomes the script: its own process from there on, with its own exit
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
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.ranks import ROOT

HANG = 120  # seconds until a script shows its stack and ends
IMPORTED = ["minipar.lessons.support.lesson", "minipar.compress.prune", "minipar.compress.quantize",
            "minipar.training.trainer"]


@dataclass(frozen=True)
class Ended:
    """How a script ended, all that it printed, and its seconds of the processor, which a busy machine does
    not lengthen.
    """

    returncode: int
    stdout: str
    stderr: str
    seconds: float


def forked(script: Path, folder: Path, *options: str) -> Ended:
    """As `python -W error script *options folder` would; what it prints passes through `folder`.
    """
    out, err = folder / "stdout", folder / "stderr"
    server = _server()
    assert server.stdin and server.stdout
    server.stdin.write(json.dumps([str(out), str(err), str(script), *options, str(folder)]) + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    assert answer, "the process that forks has ended"
    status, seconds = json.loads(answer)
    return Ended(status, out.read_text(), err.read_text(), seconds)


@cache
def _server() -> subprocess.Popen[str]:
    """It ends where its input does, when this process ends. One BLAS thread: what forks must have no
    others.
    """
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    server = subprocess.Popen([sys.executable, "-W", "error", "-m", "tests.lessons.forks"], env=environment,
                              cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(server.communicate)
    return server


# In the process that forks: `python -m tests.lessons.forks`. A line in for each script; its exit status and seconds out.

def main() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        out, err, script, *words = json.loads(line)
        child = os.fork()
        if child == 0:
            become(Path(out), Path(err), script, words)
            return  # an ordinary end, or an ordinary traceback
        _, status, used = os.wait4(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime]), flush=True)


def become(out: Path, err: Path, script: str, words: list[str]) -> None:
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    faulthandler.dump_traceback_later(HANG, exit=True)
    sys.argv, sys.path[0] = [script, *words], str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
