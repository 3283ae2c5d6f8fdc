"""The loss curves of several runs in one picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.image import imread

from minipar.errors import ConfigError
from minipar.plots.loss import running_mean
from minipar.plots.runs import COLORS, MOST_RUNS, LossCurve, draw_runs
from minipar.plots.save import save
from tests.refusals import refused


def curve(number: int) -> LossCurve:
    losses = [4 / (step + 1) + number for step in range(20)]
    return LossCurve(f"runs/{number}", range(20), losses, {9: 0.5 + number, 19: 0.25 + number})


def test_a_mean_and_circles_for_each_run(tmp_path: Path) -> None:
    figure = draw_runs([curve(0), curve(1)])
    (axes,) = figure.axes
    for number in range(2):
        each, mean, validation = axes.lines[3 * number:3 * number + 3]
        assert np.asarray(each.get_ydata()).tolist() == list(curve(number).losses)
        assert np.asarray(mean.get_ydata()).tolist() == running_mean(curve(number).losses)
        assert validation.get_xydata().tolist() == [[10, 0.5 + number], [20, 0.25 + number]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["runs/0", "runs/1"]
    save(figure, tmp_path / "runs.png", dpi=40)
    assert imread(tmp_path / "runs.png").std() > 0.05


def test_every_run_has_its_own_colour_and_line() -> None:
    (axes,) = draw_runs([curve(number) for number in range(MOST_RUNS)]).axes
    looks = [(to_hex(line.get_color()).upper(), line.get_linestyle()) for line in axes.lines[1::3]]
    assert len(set(looks)) == MOST_RUNS and {color for color, _ in looks} == {
        color.upper() for color in COLORS
    }


def test_a_number_of_runs_that_nobody_can_read() -> None:
    for count in (0, MOST_RUNS + 1):
        with refused(ConfigError, f"{count} runs"):
            draw_runs([curve(0)] * count)


def test_strange_names_are_drawn(tmp_path: Path) -> None:
    labels = ["$x^$", "runs/\x1b[31m", "ü" * 900, "_hidden"]
    figure = draw_runs([curve(0)._replace(label=label) for label in labels])
    assert len(figure.axes[0].get_legend().get_texts()) == len(labels)
    save(figure, tmp_path / "runs.svg")
    ElementTree.parse(tmp_path / "runs.svg")


def test_a_loss_that_cannot_be_drawn() -> None:
    with refused(ConfigError, "runs/0", "1e+300"):
        draw_runs([curve(0)._replace(losses=[1e300] * 20)])
