"""Calls `minipar`: in this process, which is fast, or in a separate one, for tests of signals and kills.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from minipar.cli import main


def call(*arguments: object) -> int:
    """The exit status of `minipar` with these arguments, run in this process."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as leaving:                                    # how argparse leaves
        assert isinstance(leaving.code, int)
        return leaving.code


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The line that `minipar` writes to stderr for a mistake; stdout must be empty, and the exit status 2.
    """
    capsys.readouterr()
    status = call(*arguments)
    out, err = capsys.readouterr()
    assert status == 2 and out == "", f"exit status {status}, stdout {out!r}, stderr {err!r}"
    assert err.startswith("minipar") and err.endswith("\n") and err.count("\n") == 1, f"not one line: {err!r}"
    return err


def stopped(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The line that `minipar` writes after the progress bar if it cannot continue; the exit status must be 2.
    """
    capsys.readouterr()
    status = call(*arguments)
    out, err = capsys.readouterr()
    *bar, line = err.splitlines()
    assert status == 2 and out == "", f"exit status {status}, stdout {out!r}, stderr {err!r}"
    assert line.startswith("minipar") and all(text.startswith("training:") for text in bar
                                              if text), f"not one line: {err!r}"
    return line


def command(*arguments: object) -> list[str]:
    """`minipar` with these arguments, as words that start a process."""
    return [sys.executable, "-m", "minipar", *map(str, arguments)]


def finished(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`minipar` run to its end in a process of its own."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, timeout=120)
