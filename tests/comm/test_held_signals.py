"""A signal that comes while a child process or a temporary folder is made leaves neither behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minipar.cli.interruption import interrupted_by_signals
from minipar.comm import held_signals
from minipar.comm.held_signals import child_process, signals_held, temporary_folder

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]


def then_a_signal(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function; SIGTERM comes before its caller gets the result."""
    def wrapped(*args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        signal.raise_signal(signal.SIGTERM)
        return result
    return wrapped


def test_while_a_child_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[subprocess.Popen[Any]] = []

    def end(child: subprocess.Popen[Any]) -> None:
        child.kill()
        child.wait()
        ended.append(child)

    monkeypatch.setattr(subprocess.Popen, "_execute_child",
                        then_a_signal(subprocess.Popen._execute_child))  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt) as caught, interrupted_by_signals(), child_process(SLEEP, end):
        pytest.fail("the signal came before the block")
    assert caught.value.args == (signal.SIGTERM,)
    assert [child.returncode for child in ended] == [-signal.SIGKILL]


def test_while_a_temporary_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", then_a_signal(tempfile.mkdtemp))
    with pytest.raises(KeyboardInterrupt), interrupted_by_signals(), \
            pytest.warns(ResourceWarning, match="cleaning up"):
        temporary_folder("x")
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_several_counts() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, interrupted_by_signals(), signals_held(), signals_held():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.args == (signal.SIGHUP,)
    assert held_signals._waiting == []
