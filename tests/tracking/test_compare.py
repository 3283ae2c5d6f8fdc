"""Two runs compared: their configs, the first step that differs, and their figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minipar.tracking.compare import TOLERANCES, RunComparison, compare_runs
from minipar.tracking.run import read_run
from tests.tracking.made import make_run


def compared(tmp_path: Path, a: list[float], b: list[float], **config: Any) -> RunComparison:
    return compare_runs(
        read_run(make_run(tmp_path / "a", a)), read_run(make_run(tmp_path / "b", b, **config))
    )


def test_equal_runs_have_no_difference(tmp_path: Path) -> None:
    found = compared(tmp_path, [3.0, 2.0, 1.0], [3.0, 2.0, 1.0])
    assert found.config == {} and found.first is found.largest is None and found.common_steps == 3
    assert set(found.beyond.values()) == {None} and all(a == b for a, b in found.figures.values())


def test_the_fields_that_differ(tmp_path: Path) -> None:
    found = compared(tmp_path, [1.0], [1.0], train={"lr": 0.5}, layout={"dp": 4})
    assert set(found.config) == {"train.lr", "layout.dp"} and found.config["layout.dp"] == (1, 4)


def test_the_first_bit_and_the_larger_differences(tmp_path: Path) -> None:
    """Step 1 differs in its last bit only; then the losses part by 1e-9, 1e-4 and a half."""
    a = [4.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    b = [4.0, np.nextafter(2.0, 3), 2 + 2e-9, 2 + 2e-4, 1.0, 2.0]
    found = compared(tmp_path, a, b)
    assert found.first is not None and found.largest is not None
    assert (found.first.step, found.first.a, found.first.b) == (1, 2.0, np.nextafter(2.0, 3))
    assert (found.largest.step, found.largest.relative) == (4, 0.5)
    assert [found.beyond[tolerance] for tolerance in TOLERANCES] == [2, 3, 4, 4]


@pytest.mark.parametrize("a, b", [(0.0, -0.0), (1e308, -1e308), (5e-324, 0.0), (0.0, 5e-324)])
def test_extreme_losses(a: float, b: float, tmp_path: Path) -> None:
    found = compared(tmp_path, [1.0, a], [1.0, b])
    assert found.first is not None and found.first.step == 1 and 0 <= found.first.relative <= 2


def test_only_common_steps_are_compared(tmp_path: Path) -> None:
    found = compared(tmp_path, [1.0, 2.0, 3.0], [1.0, 2.0])
    assert found.common_steps == 2 and found.first is None and found.figures["steps"] == (3, 2)
    found = compared(tmp_path, [], [1.0])
    assert found.common_steps == 0 and found.first is None and found.figures["loss"] == (None, 1.0)
