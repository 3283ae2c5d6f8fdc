"""The line of a process is found on a loaded machine, too: for several ranks that ask at once, beside helper
threads, and before the process gets a core.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from time import monotonic

import pytest

from minipar.comm.deadlock import stack_probe
from minipar.comm.deadlock.stack_probe import HEADER, find, innermost

TARGET = """
import signal, threading, time
from minipar.comm.deadlock.stack_probe import SIGNAL, be_findable
handle = be_findable()
def rest():
    while True: time.sleep(0.001)
def busy(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end: pass
"""


@contextmanager
def process(folder: Path, code: str) -> Iterator[tuple[int, int]]:
    """A process that runs TARGET and this code: its pid, and the file where it answers."""
    program = folder / "target.py"
    program.write_text(TARGET + code)
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield child.pid, int(child.stdout.readline())
        finally:
            child.kill()


def answers(pid: int, handle: int, times: int) -> list[str]:
    return [find(pid, handle) for _ in range(times)]


def test_many_askers_and_a_helper_thread(tmp_path: Path) -> None:
    """A signal to the process would often reach the helper: its line is not where the program is."""
    code = "threading.Thread(target=rest, daemon=True).start()\nprint(handle, flush=True)\nbusy(60)\n"
    with process(tmp_path, code) as (pid, handle), get_context("spawn").Pool(2) as pool:
        found = Counter(line for each in pool.starmap(answers, [(pid, handle, 40)] * 2) for line in each)
    lines = {f"target.py:{number}" for number, text in enumerate((TARGET + code).splitlines(), 1)
             if "end" in text and "monotonic" in text or text == "busy(60)"}
    assert found.keys() <= lines and sum(found.values()) == 80, found


def test_a_process_that_gets_its_signal_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that waits for a core: the time for the answer begins when the signal is delivered."""
    monkeypatch.setattr(stack_probe, "ANSWER", 0.3)
    code = ("signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})\nprint(handle, flush=True)\nbusy(1)\n"
            "signal.pthread_sigmask(signal.SIG_UNBLOCK, {SIGNAL})\nbusy(60)\n")
    with process(tmp_path, code) as (pid, handle):
        assert find(pid, handle).startswith("target.py:")


def test_a_signal_that_never_arrives_is_not_waited_for_too_long(tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_probe, "LONGEST", 0.5)
    code = "signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})\nprint(handle, flush=True)\nbusy(60)\n"
    with process(tmp_path, code) as (pid, handle):
        begin = monotonic()
        assert find(pid, handle) == "" and 0.4 < monotonic() - begin < 5


OUTER, INNER = 'File "/folder/outer.py", line 9 in main\n', 'File "/folder/inner.py", line 3 in work\n'


@pytest.mark.parametrize("answer, found", [
    (f"Stack {HEADER}  {INNER}  {OUTER}", ("/folder/inner.py", "3")),
    (f"  {OUTER}", ("", "")),                                       # the rest of an answer to another rank
    (f"  {OUTER}Stack {HEADER}  {INNER}", ("/folder/inner.py", "3")),
    (f"Stack {HEADER}  {INNER[:-4]}", ("", "")), ("Stack (most rec", ("", "")), ("", ("", "")),
])
def test_an_answer_counts_from_its_beginning(answer: str, found: tuple[str, str]) -> None:
    assert innermost(answer) == found
