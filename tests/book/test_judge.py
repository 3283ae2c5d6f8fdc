"""The book judges a prediction as the lesson player in the terminal does."""

from __future__ import annotations

import json
from collections.abc import Callable

from minipar.classroom.predictions import judged
from tests.browser import Page

CASES = [
    ("4", 4, ""), ("4.02", 4, ""), ("5", 4, ""), ("2", 4, ""), ("-4", 4, ""), ("0", 4, ""), ("4", 0, ""),
    ("0", 0, ""), ("25 %", 25.0, "%"), ("0.25", 25.0, "%"), ("50 %", 25.0, "%"), ("25", 25.0, "%"),
    ("3/4", 0.75, ""), ("24 ms", 24.3, "ms"), ("24.3 ms", 24.3, "ms"), ("0.0243 s", 24.3, "ms"),
    ("24.3", 24.3, "ms"), ("24300 us", 24.3, "ms"), ("2 KiB", 2048, "bytes"), ("2,048", 2048, "bytes"),
    ("1e3", 1000, ""), ("1/0", 1, ""), ("1.6 GB", 1.6, "GB"), ("three", 3, ""), ("memory", "memory", ""),
    ("Memory ", "memory", ""), ("time", "memory", ""), ("11 or more", "11 or more", ""),
    ("3 times", 3.0, "times"), ("3", 3.0, "times"), ("0.69", 0.693147, "nats"), ("", 3, ""),
]


def shown(answer: object, unit: str) -> str:
    """As `Lesson.reveal` writes it."""
    return (f"{answer:.6g}" if isinstance(answer, float) else str(answer)) + f" {unit}" * bool(unit)


def test_both_judge_alike(player: Callable[[str], Page]) -> None:
    page = player("schedule")
    for prediction, answer, unit in CASES:
        if not prediction:
            continue
        mine = page.run(f"minipar.judge({json.dumps(prediction)}, {json.dumps(shown(answer, unit))})")
        told = judged(prediction, answer, unit).removeprefix(f"you predicted {prediction}").lstrip(":; ")
        assert mine == told, (prediction, answer, unit)
