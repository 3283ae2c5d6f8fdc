"""If no layout fits, the change that the error names makes one fit, and a smaller one does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from minipar.config import TrainConfig
from minipar.plan.advice import CHANGES, changed_machines, fits, no_layout_fits
from minipar.plan.machine import Link, machine
from minipar.plan.models import find_model
from minipar.plan.search import Task, candidates, evaluate
from minipar.rng import stream

A100 = machine("a100-80g")


def random_task(seed: int) -> tuple[Task, int]:
    """A small model on a machine with little memory, and a number of ranks."""
    draw = stream(seed, "tasks without a layout")
    heads = int(draw.choice([1, 3, 4, 8]))
    model = find_model(f"layers={draw.integers(1, 9)},width={8 * heads * draw.integers(1, 9)},heads={heads},"
                       f"context={2 ** draw.integers(3, 13)},vocabulary=64")
    memory = float(2.0 ** draw.uniform(20, 26))
    return Task(model, TrainConfig(batch=int(draw.integers(1, 17)), precision="bfloat16"),
                replace(A100, memory=memory, reserve=0.0)), int(draw.integers(1, 14))


def changed(task: Task, ranks: int, facts: dict[str, Any]) -> tuple[Task, int]:
    """The task with the change that an error names."""
    if "offload" in facts:
        task = task._replace(software=replace(task.software, offload=True))
    if "context" in facts:
        task = task._replace(model=replace(task.model, context=facts["context"]))
    if "batch" in facts:
        task = task._replace(train=replace(task.train, batch=facts["batch"]))
    return task, int(facts.get("ranks", ranks))


def any_fits(task: Task, ranks: int) -> bool:
    """True if the whole search finds a layout that fits."""
    return any(not evaluate(task, candidate).refusal for candidate in candidates(task, ranks))


def test_the_change_that_is_named_helps() -> None:
    """Random tasks: both limits and every kind of change occur."""
    seen = set()
    for seed in range(40):
        task, ranks = random_task(seed)
        if any_fits(task, ranks):
            continue
        error = no_layout_fits(task, ranks)
        facts: dict[str, Any] = {name: value for name, value in error.facts.items() if name != "item"}
        seen |= {error.facts["item"], *facts}
        if facts:
            assert any_fits(*changed(task, ranks, facts)), f"seed {seed}: {error}"
        if set(facts) == {"ranks"} and error.facts["item"] == "memory" and facts["ranks"] - ranks < 30:
            smaller = [count for count in range(ranks + 1, facts["ranks"]) if fits(task, count)]
            assert smaller == [], f"seed {seed}: {error}"
    assert seen == {"memory", "ranks", "batch", "offload", "context"}


@pytest.mark.parametrize(
    "ranks, batch, change",
    [(7, 8, {"ranks": 6}), (13, 1, {"ranks": 12}), (1_048_573, 8, {"batch": 1_048_573})],
)
def test_a_number_of_ranks_without_a_layout(ranks: int, batch: int, change: dict[str, int]) -> None:
    task = Task(
        find_model("layers=4,width=256,heads=4,context=128"),
        TrainConfig(batch=batch, precision="bfloat16"),
        A100,
    )
    facts = no_layout_fits(task, ranks).facts
    assert facts == {"item": "ranks", **change}


def test_nothing_helps() -> None:
    task = Task(find_model("layers=1,width=64,heads=1,context=1"), TrainConfig(batch=1, precision="bfloat16"),
                replace(A100, memory=float(1 << 20), reserve=float((1 << 20) - 1)))
    error = no_layout_fits(task, 1)
    assert error.facts == {"item": "memory"} and "smaller model" in str(error)
    assert "of 1 B on each rank" in str(error)


@pytest.mark.parametrize(
    "values, left_out",
    [
        ({}, set()),
        ({"rate": 1e6, "peak": 1e6}, {"rate -20 %"}),
        ({"launch": 1.0}, {"launch overhead x 2"}),
        ({"memory_rate": 1e6}, {"memory rate -20 %"}),
        ({"within": Link(0, 1e3)}, {"links within a node / 2"}),
        ({"between": Link(0, 1e3)}, {"links between nodes / 2"}),
        ({"reserve": 0.95 * A100.memory}, {"memory -10 %"}),
    ],
)
def test_a_change_beyond_the_valid_range_is_left_out(values: dict[str, Any], left_out: set[str]) -> None:
    assert set(CHANGES) - set(changed_machines(replace(A100, **values))) == left_out
