"""The picture of a run: what is in it, and the file that it becomes."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from minipar.errors import CheckpointError
from minipar.plots.loss import draw_loss, running_mean
from minipar.plots.save import save
from tests.refusals import refused

TRAINING = [{"step": step, "loss": 4 / (step + 1)} for step in range(10)]
VALIDATION = [{"step": 4, "validation": 1.25}, {"step": 9, "validation": 0.75}]


def test_curves_of_training_and_validation(tmp_path: Path) -> None:
    figure = draw_loss(iter(TRAINING + VALIDATION))
    (axes,) = figure.axes
    each, mean, validation = axes.lines
    assert each.get_xydata().tolist() == [[line["step"], line["loss"]] for line in TRAINING]
    assert mean.get_ydata()[0] == 4 and (np.diff(mean.get_ydata()) < 0).all()  # type: ignore[index]
    assert validation.get_xydata().tolist() == [[5, 1.25], [10, 0.75]]             # after so many steps
    assert axes.get_xlabel() == "step" and axes.get_ylabel() == "loss (nats per token)"
    assert [text.get_text()
            for text in axes.get_legend().get_texts()] == ["training, each step", "training, running mean",
                                                                           "validation"]
    save(figure, tmp_path / "loss.png", dpi=50)
    picture = imread(tmp_path / "loss.png")
    assert picture.shape == (225, 400, 4) and picture.std() > 0.05   # not one colour


@pytest.mark.parametrize("lines", [[], TRAINING, VALIDATION, TRAINING[:1]])
def test_what_is_not_there_is_left_out(lines: list[dict[str, float]], tmp_path: Path) -> None:
    """Without a warning of matplotlib, too: of a run that was stopped before its first step, say."""
    figure = draw_loss(lines)
    (axes,) = figure.axes
    assert len(axes.lines) == 2 * any("loss" in line
                                      for line in lines) + any("validation" in line for line in lines)
    save(figure, tmp_path / "loss.png", dpi=20)


def test_therunning_mean_does_not_lag() -> None:
    """It is centred: of numbers on a line it is the line, from the first to the last."""
    line = [5 - 0.1 * step for step in range(50)]
    assert running_mean(line) == pytest.approx(line, rel=1e-12)
    assert running_mean([1.0, 2.0, 6.0], half=1) == pytest.approx([1, 3, 6])
    assert running_mean([]) == [] and running_mean([2.0]) == [2.0]


def test_therunning_mean_is_smoother_than_the_values() -> None:
    noise = np.random.default_rng(0).normal(size=400).tolist()
    assert np.std(running_mean(noise)[20:-20]) < 0.3 * np.std(noise)


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "none" / "loss.png"
    with refused(CheckpointError, item=str(path), errno=errno.ENOENT):
        save(draw_loss(TRAINING), path)
