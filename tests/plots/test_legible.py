"""The check of pictures finds each kind of text that a reader in the last row cannot read."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.plots.legible import faults

FAULTS: dict[str, Callable[[Axes], object]] = {
    "is cut off": lambda axes: axes.set_title("a title that is far too long for a picture of this width",
                                              fontsize=30),
    "lies on": lambda axes: [axes.text(0.5, 0.8, "one label", fontsize=20),
                             axes.text(0.52, 0.8, "another label", fontsize=20)],
    "under a legend": lambda axes: [axes.plot([0], label="a curve"), axes.text(0, 0, "here", fontsize=20),
                                    axes.legend(loc="center")],
    "a curve goes through": lambda axes: [axes.plot([0, 1], [0, 1]), axes.text(0.5, 0.5, "here", ha="center",
                                                                               va="center", fontsize=20)],
    "is small": lambda axes: axes.set_xlabel("an axis", fontsize=4)}


def chart() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots()
    axes.tick_params(labelsize=16)
    return figure, axes


@pytest.mark.parametrize("kind", FAULTS)
def test_a_planted_fault_is_found(kind: str) -> None:
    figure, axes = chart()
    FAULTS[kind](axes)
    assert any(kind in fault for fault in faults(figure))


def test_a_plain_chart_has_none() -> None:
    figure, axes = chart()
    axes.plot([0, 1], [0, 1], label="a curve")
    axes.set(xlim=(0, 0.5))                                         # ticks beyond the limit are not drawn
    axes.text(0.3, 0.1, "beside the curve", fontsize=16)
    axes.legend(fontsize=16, loc="upper left")
    assert not faults(figure)
    assert not faults(figure, lambda: figure.savefig(io.BytesIO(), format="png", dpi=figure.dpi))
