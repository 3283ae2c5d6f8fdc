"""The pictures of waiting: one line per policy and chart, with the values that were given."""

from __future__ import annotations

from pathlib import Path

from minipar.plots.queueing import draw_batch_sizes, draw_policies
from minipar.plots.save import save

RATES = [1.0, 2.0, 4.0]
CURVES = {"static": [(2.0, 0.01, 0.5), (4.0, 0.01, 0.2), (9.0, 0.01, 0.0)],
          "continuous": [(0.1, 0.03, 1.0), (0.2, 0.05, 2.0), (3.0, 0.06, 2.5)]}


def test_each_policy_has_a_line_in_each_chart(tmp_path: Path) -> None:
    figure = draw_policies(RATES, CURVES)
    for number, axes in enumerate(figure.axes):
        lines = {str(line.get_label()): line.get_xydata().tolist() for line in axes.lines}
        for name, points in CURVES.items():
            assert lines[name] == [[rate, point[number]] for rate, point in zip(RATES, points, strict=True)]
    assert len(figure.axes) == 3 and figure.axes[2].lines[-1].get_xydata().tolist() == [[r, r] for r in RATES]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == list(CURVES)
    assert len({(line.get_color(), line.get_marker()) for line in figure.axes[0].lines}) == len(CURVES)
    save(figure, tmp_path / "policies.png", dpi=40)


def test_a_server_that_meets_no_limit_can_be_drawn(tmp_path: Path) -> None:
    save(draw_policies([1.0], {"static": [(2.0, 0.1, 0.0)]}), tmp_path / "one.png", dpi=40)


def test_latency_and_throughput_against_the_batch(tmp_path: Path) -> None:
    figure = draw_batch_sizes([1, 8], [0.01, 0.02], [100.0, 400.0])
    latency, throughput = figure.axes
    assert latency.lines[0].get_xydata().tolist() == [[1, 10.0], [8, 20.0]]
    assert throughput.lines[0].get_xydata().tolist() == [[1, 100.0], [8, 400.0]]
    save(figure, tmp_path / "batch.svg")
