"""Standard input of every kind, where a reader should type."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from minipar.cli.keyboard import LONGEST, typed
from minipar.errors import ConfigError
from tests.commands import refused


def opened(path: str, flags: int) -> io.TextIOWrapper:
    """A file of this path as standard input; Python opens descriptor 0 in the same way."""
    return io.TextIOWrapper(io.FileIO(os.open(path, flags), "r"), encoding="utf-8")


def test_lines_come_in_order_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"one\n\n{'x' * LONGEST}"))
    assert [typed(""), typed(""), typed("")] == ["one", "", "x" * LONGEST]
    with pytest.raises(EOFError):
        typed("")


@pytest.mark.parametrize("path, flags", [("/dev/null", os.O_WRONLY), ("/dev/zero", os.O_RDONLY),
                                         ("/proc/self/mem", os.O_RDONLY), ("binary", os.O_RDONLY)])
def test_input_that_cannot_be_read_is_refused(path: str, flags: int, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    if path == "binary":
        path = str(tmp_path / "binary")
        Path(path).write_bytes(b"\xff\xfe\n")
    with opened(path, flags) as stream:
        monkeypatch.setattr("sys.stdin", stream)
        with pytest.raises(ConfigError, match="standard input"):
            typed("")


def test_the_command_without_standard_input(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake is found before the first cell: stdout would hold a part of the lesson otherwise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", None)
    assert "closed" in refused(capsys, "lesson", "teach", "1")
