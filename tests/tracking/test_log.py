"""The log of a run as arrays, and the logs that are refused: one line that names the file and the line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from minipar.errors import CheckpointError
from minipar.tracking.log import read_log
from tests.refusals import refused

GOOD = b'{"step": 0, "loss": 2.5}\n{"step": 1, "loss": 2.25, "norm": null}\n'


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(content)
    return path


def test_numbers_come_back_in_every_bit(tmp_path: Path) -> None:
    losses = [2 / 3, 1e-300, 0.1 + 0.2, 1e300]
    lines = [json.dumps(dict(step=3 * step, loss=loss, norm=1.5, lr=0.1, seconds=1, tokens=40))
             for step, loss in enumerate(losses)]
    lines.insert(2, '{"step": 3, "validation": 1.25}')
    log = read_log(written(tmp_path, "\n".join([*lines, ""]).encode()))
    assert log.steps.tolist() == [0, 3, 6, 9] and log.columns["loss"].tolist() == losses
    assert log.columns["tokens"].tolist() == [40] * 4 and np.isnan(log.columns["loss_scale"]).all()
    assert log.validation_steps.tolist() == [3] and log.validations.tolist() == [1.25]


def test_a_missing_file_is_an_empty_log(tmp_path: Path) -> None:
    log = read_log(tmp_path / "none")
    assert len(log.steps) == len(log.validations) == 0 and {len(each) for each in log.columns.values()} == {0}


@pytest.mark.parametrize("end", [b"{", b'{"step": 2, "lo', b'{"step": 2, "loss": 2.5}', b"\0\0", b"\xff"])
def test_an_incomplete_last_line_is_left_out(end: bytes, tmp_path: Path) -> None:
    """A training that is running, or was killed, leaves one."""
    assert read_log(written(tmp_path, GOOD + end)).steps.tolist() == [0, 1]


@pytest.mark.parametrize("line, word", [
    (b"\n", "JSON"), (b"\0\0\0\n", "JSON"), (b"\xff\xfe\n", "UTF-8"), (b"7\n", "object"),
    (b'{"loss": 3}\n', "step"),
    (b'{"step": 2, "loss": 2.5\n', "JSON"), (b'{"step": 2, "loss": NaN}\n', "nan"),
    (b'{"step": 2, "loss": 1e400}\n', "inf"), (b'{"step": 2, "loss": ' + b"9" * 5000 + b"}\n", "digits"),
    (b'{"step": 1, "loss": 2.5}\n', "follows"), (b'{"step": 0, "loss": 2.5}\n', "follows"),
    (b'{"epoch": 1, "acc": 0.5}\n', "step"), (b'{"step": 2, "loss": 1, "acc": 0.5}\n', "acc"),
    (b"[" * 5000 + b"\n", "nested"), (b"x" * 20_000 + b"\n", "bytes"), (b"x" * 20_000, "bytes")])
def test_a_damaged_line_is_named(line: bytes, word: str, tmp_path: Path) -> None:
    with refused(CheckpointError, "metrics.jsonl, line 3", word):
        read_log(written(tmp_path, GOOD + line + b'{"step": 9, "loss": 1.0}\n'))


def test_a_file_that_is_too_large_or_not_regular(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with path.open("wb") as file:
        file.truncate(1 << 40)                                      # a sparse file takes no space
    with refused(CheckpointError, item=str(path), kind="too large"):
        read_log(path)
    path.unlink()
    os.mkfifo(path)
    with refused(CheckpointError, "not a regular file"):
        read_log(path)
