"""Pictures of a graph: every node is a box, every read value an arrow, every pass a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imread
from matplotlib.patches import Rectangle

import minipar as mp
from minipar.graph import capture, optimise
from minipar.plots.graph import KEPT, NEW, REMOVED, draw_graphs, draw_passes
from minipar.plots.save import save

MODEL = mp.GPT(mp.ModelConfig(vocabulary=7, context=4, layers=1, heads=1, width=4))
GRAPH = capture(MODEL, np.array([[1, 2, 3, 0]]))
FOUND = optimise(GRAPH)


def test_each_node_is_a_box(tmp_path: Path) -> None:
    figure = draw_graphs(GRAPH, FOUND.graph)
    for axes, graph in zip(figure.axes, (GRAPH, FOUND.graph), strict=True):
        boxes = [text.get_text() for text in axes.texts if text.get_text()]
        assert sorted(boxes) == sorted([*graph.inputs, *(node.op for node in graph.nodes)])
        arrows = sum(
            len({name for name in node.inputs if name not in graph.constants}) for node in graph.nodes
        )
        assert len(axes.texts) - len(boxes) == arrows
        assert str(len(graph.nodes)) in axes.get_title(loc="left")
    save(figure, tmp_path / "graph.png", dpi=50)
    assert imread(tmp_path / "graph.png").std() > 0.01


def test_colours_show_what_changed() -> None:
    def colors(number: int) -> dict[str, Any]:
        texts = [text for text in figure.axes[number].texts if text.get_bbox_patch()]
        return {text.get_text(): text.get_bbox_patch().get_facecolor() for text in texts}

    figure = draw_graphs(GRAPH, FOUND.graph)
    from matplotlib.colors import to_rgba
    before, after = colors(0), colors(1)
    assert before["gelu"] == to_rgba(REMOVED) and after["linear_gelu"] == to_rgba(NEW)
    assert before["causal_attention"] == after["causal_attention"] == to_rgba(KEPT)


def test_each_pass_is_a_row(tmp_path: Path) -> None:
    figure = draw_passes(FOUND.reports)
    assert len(figure.axes) == 3
    bars = [[bar for bar in axes.patches if isinstance(bar, Rectangle)] for axes in figure.axes]
    widths = [[bar.get_width() for bar in row] for row in bars]
    assert widths[0] == [report.nodes for report in FOUND.reports]
    np.testing.assert_allclose(widths[2], [report.flops / 1e6 for report in FOUND.reports])
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [report.name for report in FOUND.reports]
    save(figure, tmp_path / "passes.svg")
