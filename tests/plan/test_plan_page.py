"""The example in PLAN.md runs, and predicts the row of the table that it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import minipar
from tests.plan.published import TABLE_1


def test_the_example_predicts_a_published_row() -> None:
    page = (Path(minipar.__file__).parent / "plan" / "PLAN.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    found: dict[str, Any] = {}
    exec(example, found)
    assert found["rows"][0].seconds == pytest.approx(TABLE_1[0].seconds, rel=1e-3)
    assert found["times"].total == pytest.approx(TABLE_1[1].seconds, rel=0.05)
