"""Runs a planted fault on one of the engines, and records its message and its time."""

import re
import sys
import time
from dataclasses import dataclass

import tests.comm.planted.program  # noqa: F401 (it enters all faults)
from minipar.comm.diagnostics.exit_report import last_words
from minipar.comm.threads import run
from tests.comm.planted.table import PLANTED, Planted
from tests.ranks import mpirun

HANG = 60.0
# lines that the launcher adds when a signal has ended the job
LAUNCHER = re.compile(
    r"^(=|\s*$|YOUR APPLICATION|This typically|Please see|-{9}|prterun|mpirun|mpiexec).*\n?", re.MULTILINE
)


@dataclass(frozen=True)
class Ending:
    """The end of a wrong program. ended: by itself, within the time limit. failed: with an error or a status
    other than 0.
    """

    said: str
    seconds: float
    ended: bool
    failed: bool


def play(fault: Planted, engine: str) -> Ending:
    return on_threads(fault) if engine == "threads" else under_mpirun(fault)


def on_threads(fault: Planted) -> Ending:
    start, said, failed = time.monotonic(), "", False
    try:
        run(fault.ranks, fault.program, synchronous=fault.synchronous, timeout=fault.timeout)
    except BaseException as error:
        note = "".join(getattr(error, "__notes__", []))
        rank = int(found[1]) if (found := re.search(r"raised by rank (\d+)", note)) else -1
        said, failed = last_words(error, rank, fault.ranks)[0], True
    return Ending(said, time.monotonic() - start, True, failed)


def under_mpirun(fault: Planted) -> Ending:
    start = time.monotonic()
    job = mpirun(fault.ranks, [sys.executable, "-m", "tests.comm.planted.program", fault.name], limit=HANG)
    seconds = time.monotonic() - start
    return Ending(LAUNCHER.sub("", job.stdout).strip(), seconds, seconds < HANG, job.returncode != 0)


def wrong(fault: Planted, engine: str, ending: Ending) -> str:
    """The first thing that is wrong with the ending; "" if it is right."""
    says = fault.says_mpi if engine == "mpi" else fault.says
    missing = [text for text in says if text not in ending.said]
    if not ending.ended:
        return "it hangs"
    if not ending.failed:
        return "it reports success"
    if missing:
        return f"it does not say {missing}"
    if "''" in ending.said:
        return "it quotes an empty label"
    if len(re.findall(r"^\w+Error: ", ending.said,
                      re.MULTILINE)) > 1 or ending.said.count("Traceback (most recent") > 1:
        return "it is told more than once"
    return ""


__all__ = ["PLANTED", "Ending", "on_threads", "play", "under_mpirun", "wrong"]
