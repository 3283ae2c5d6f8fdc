"""One job of an elastic training. It starts the processes and counts the ranks that died.

When a rank ends, the launcher kills all others at once. So the supervisor could not see which ranks died
first. Therefore the launcher starts a keeper for each rank (launcher/keeper.py), and the keeper starts the
rank:

    launcher -> keeper of rank 0 -> rank 0    rank 0 is killed: its keeper writes a file, waits, then ends
             -> keeper of rank 1 -> rank 1    the launcher kills keeper 1 together with rank 1: no file

The keeper waits before it ends. So if two ranks are killed at once, both keepers can write a file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from minipar.launcher import keeper

POLL, LAST_WORDS = 0.02, 3.0  # seconds between two checks; seconds for the last error messages
SETTLE = 0.3  # seconds; ranks that die within this time after the first one are counted, too
STOPPED = 2.0  # seconds after which a stopped rank counts as dead


def kept(memory: Path, command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` under a keeper."""
    return [sys.executable, "-I", "-S", keeper.__file__, str(memory), *command]


class Job:
    """The processes of one job. `memory` is the supervisor's folder (see training/supervised.py)."""

    def __init__(self, memory: Path, line: Sequence[str], environ: Mapping[str, str]) -> None:
        self.memory = memory
        for leftover in [*memory.glob("rank-*.pid"), *memory.glob("ended.*")]:
            leftover.unlink(missing_ok=True)
        self._stopped_since: dict[int, float] = {}
        self._launcher = subprocess.Popen(line, env=environ, start_new_session=True,
                                          stdin=subprocess.DEVNULL)

    def watch(self, should_end: Callable[[], int]) -> tuple[int, int]:
        """Wait until the job has ended; returns its exit status and the number of ranks that a signal ended.

        `should_end()` is called repeatedly. When it returns the number of a signal, and not 0, the ranks
        receive the signal. So they save their state and end.
        """
        asked = broken = False
        deaths = 0
        try:
            while self._launcher.poll() is None and not broken:
                time.sleep(POLL)
                deaths, pids = self._deaths(), self._pids()
                broken = deaths > 0 or any(_state(pid) in ("", "Z") for pid in pids)
                if not asked and pids and (number := should_end()):
                    asked = True
                    _signal(pids, number)
            # After a death, wait a moment for the error messages of the other ranks. The supervisor's memory
            # has their state.
            began = time.monotonic()
            while self._launcher.poll() is None and time.monotonic() < began + LAST_WORDS:
                time.sleep(POLL)
                if time.monotonic() < began + SETTLE:
                    deaths = max(deaths, self._deaths())
            deaths = max(deaths, len(self._killed()))
        finally:
            _signal(self._pids(), signal.SIGKILL)
            if self._launcher.poll() is None:
                os.killpg(self._launcher.pid, signal.SIGKILL)
            status = self._launcher.wait()
        return status, deaths

    def _deaths(self) -> int:
        """Return the number of ranks that a signal has ended, or that were stopped for STOPPED seconds."""
        now, stopped = time.monotonic(), 0
        for pid in self._pids():
            if _state(pid) == "T":
                stopped += now - self._stopped_since.setdefault(pid, now) > STOPPED
            else:
                self._stopped_since.pop(pid, None)
        return len(self._killed()) + stopped

    def _killed(self) -> list[Path]:
        """Return the files of the keepers whose rank was ended by a signal."""
        return list(self.memory.glob("ended.*"))

    def _pids(self) -> list[int]:
        """Return the process ids of the ranks that have started and have not finished their last step."""
        pids = []
        for path in sorted(self.memory.glob("rank-*.pid")):
            with suppress(FileNotFoundError):                       # this rank has finished its last step
                text = path.read_text(encoding="ascii")
                pids += [int(text)] if text.isdigit() else []       # otherwise the file is being written
        return pids


def _state(pid: int) -> str:
    """Return the letter of a process's state, as `ps` shows it, or "" if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return text.rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)                                             # the system has no /proc
    except OSError:
        return ""
    return "" if Path("/proc/self/stat").exists() else "R"


def _signal(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
