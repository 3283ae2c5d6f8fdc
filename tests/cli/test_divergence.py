"""A loss that becomes NaN: the run stops, names the step and the layer, and keeps the last good
checkpoint.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from minipar.checkpoint.archive import load, save
from minipar.checkpoint.folder import Checkpoints
from tests.commands import finished, stopped
from tests.tiny import losses, options


def keeps_a_good_checkpoint(run: Path, line: str) -> None:
    """The checkpoint that the line names is good, and there are only numbers in metrics.jsonl."""
    found = re.fullmatch(r"minipar train: .*; try a lower --lr; the last good checkpoint is (\S+)", line)
    assert found, line
    arrays, _ = load(found[1])
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert all(np.isfinite(value) for line in losses(run) for value in line.values())


def test_a_rate_beyond_all_measure(tmp_path: Path) -> None:
    shown = finished("train", *options(tmp_path, lr=1e30, warm_up=0), "--out", tmp_path / "run")
    assert (shown.returncode, shown.stdout) == (2, "")
    *bar, line = shown.stderr.splitlines()
    # no warning of NumPy between
    assert all(text.startswith("training:") for text in bar if text), shown.stderr
    assert line.startswith("minipar train: step 1: loss nan, gradient norm nan; it arose first in the output "
                           "of blocks.0")
    keeps_a_good_checkpoint(tmp_path / "run", line)


@pytest.mark.parametrize("values, said", [
    (dict(validate_every=1), "validation before step 1: loss nan; it arose first in the output of blocks.0"),
    (dict(save_every=1, lr=1e39), "before step 1: spoilt weights; it arose first in the weights "),
    (dict(lr=1e39), "step 1: loss nan, gradient norm nan; it arose first in the weights "),
    (dict(lr=1e30, dtype="float64", clip=0, optimizer="sgd", validate_every=20), r"step \d+: loss nan"),
])
def test_wherever_it_shows_first(tmp_path: Path, capsys: pytest.CaptureFixture[str], values: dict,
                                 said: str) -> None:
    """No checkpoint of a state that is lost: at the step before, the weights are huge, and one must not push
    out a good one.
    """
    run = tmp_path / "run"
    line = stopped(capsys, "train", *options(tmp_path, **{"lr": 1e30, "warm_up": 0, **values}), "--out", run)
    assert re.match(f"minipar train: {said}", line)
    keeps_a_good_checkpoint(run, line)


def test_a_planted_weight(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints = Checkpoints(done / "checkpoints")
    arrays, meta = load(checkpoints.path(20))
    arrays["weights/blocks.0.mlp.up.weight"][1, 2] = np.nan
    save(checkpoints.path(20), arrays, meta)
    said = stopped(capsys, "train", "--resume", done, "--steps", 40)
    assert "step-00000020.npz" in said and "weights/blocks.0.mlp.up.weight has NaN or infinity" in said
