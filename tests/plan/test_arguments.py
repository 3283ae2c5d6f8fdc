"""Every public function of `plan` refuses, by name, arguments that no layout has; it never computes with
them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from minipar.lessons.support.memory_pool import Lifetime

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import LayoutError, ScheduleError
from minipar.plan import collective_times, collectives, pieces
from minipar.plan.activations import published
from minipar.plan.collective_times import Links
from minipar.plan.memory import FLOAT32_ADAM, PrecisionRecipe, state
from minipar.plan.stages import stages_of
from minipar.plan.traffic import step_traffic
from minipar.schedules.find import find_schedule
from tests.refusals import refused

RIGHT: dict[str, Any] = dict(
    p=4, q=4, r=1, v=1, rank=1, root=1, n=16, segment=4, block=3, stages=1, layers=1, width=8, heads=2,
    length=4, samples=1, parameters=100,
    recipe=FLOAT32_ADAM, counts=[4] * 4, send_counts=[4] * 4, net=Links(1, 1, 1), within=Links(1, 1),
    between=Links(1, 1), nodes=2)
WRONG: list[Any] = [-1, -96, 2.5, float("nan"), float("inf"), "8", None, True, 10**400, Fraction(-1, 2)]
FUNCTIONS = [f for module in (collectives, collective_times, pieces) for f in vars(module).values()
             if inspect.isfunction(f) and hasattr(f, "__wrapped__")] + [published, state]
OPTIONS = {"published": {"itemsize": 2, "tp": 2}, "state": {"dp": 2, "parts": 2, "zero": 1}}


def arguments(function: Callable[..., Any]) -> dict[str, Any]:
    names = inspect.signature(function).parameters
    given = {name: RIGHT[name] for name, about in names.items() if about.default is about.empty}
    if function.__name__ == "hierarchical_all_reduce" and "rank" in names:
        given["nodes"] = [0, 0, 1, 1]
    return {**given, **OPTIONS.get(function.__name__, {})}


@pytest.mark.parametrize("function", FUNCTIONS,
                         ids=lambda f: f"{f.__module__.rpartition('.')[2]}.{f.__name__}")
def test_what_no_layout_has_is_refused_by_name(function: Callable[..., Any]) -> None:
    right = arguments(function)
    function(**right)
    for name in right.keys() - {"recipe", "net", "within", "between"}:
        for wrong in WRONG + ([0] if name in {"p", "q", "tp", "dp", "parts", "width", "layers"} else []):
            value = (
                [wrong] * 4 if name in {"counts", "send_counts"} or isinstance(right[name], list) else wrong
            )
            if (
                name == "n"
                and wrong == 2.5
                and "net" in right
                or name == "n"
                and "within" in right
                and wrong == 2.5
            ):
                continue                                             # half a byte takes half the time
            with pytest.raises(LayoutError, match="ZeRO" if name == "zero" else name):
                function(**{**right, name: value})


def test_ranks_that_are_not_there() -> None:
    with refused(LayoutError, item="rank"):
        collectives.ring_all_reduce(4, 4, 16)


@pytest.mark.parametrize("nodes", [[], [0, 0], None, 5, "0011", b"0011", [0, 0, 1, [1]], [0, 0, None, 1],
                                   [0, 0, 0.5, 1], [-1, 0, 0, 0], [True, False, True, False]], ids=repr)
def test_nodes_that_are_no_row_of_one_number_per_rank(nodes: Any) -> None:
    with pytest.raises(LayoutError):
        collectives.hierarchical_all_reduce(nodes, 3, 16)
    if nodes is not None:                                           # None: one node
        with refused(LayoutError, item="nodes"):
            step_traffic(MODEL, TrainConfig(batch=4), Layout(dp=2, tp=2), 3, lambda *args, **options: "ring",
                         nodes=nodes)


MODEL = ModelConfig(12, context=6, layers=4, heads=2, width=8)


@pytest.mark.parametrize("model, layout, item", [
    (None, Layout(pp=2), "model"), ([], Layout(pp=2), "model"), (MODEL, None, "layout"),
    (MODEL, Layout(pp=2, stage_layers=(1, 2)), "stage_layers"),
    (MODEL, Layout(pp=2, stage_layers=(1, 1, 2)), "stage_layers"),
    (MODEL, Layout(pp=2, stage_layers=(4,)), "stage_layers"),
    (MODEL, Layout(pp=2, stage_layers=(-1, 5)), "stage_layers"),
])
def test_stages_that_are_not_of_this_model(model: Any, layout: Any, item: str) -> None:
    with refused(LayoutError, item=item):
        stages_of(model, layout)


@pytest.mark.parametrize("rank", [2, -1, "0", 0.0, True, None, [], 10**400], ids=lambda rank: repr(rank)[:9])
def test_stages_of_a_rank_that_is_not_there(rank: Any) -> None:
    with refused(LayoutError, item="rank"):
        stages_of(MODEL, Layout(pp=2)).of_rank(rank)
    with refused(ScheduleError, item="rank"):
        find_schedule("1f1b", 2).stages_of(rank)


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "1", None])
def test_records(wrong: Any) -> None:
    for make in (lambda: Links(wrong, 1), lambda: Links(1, 1, wrong), lambda: PrecisionRecipe(wrong, 1, 1),
                 lambda: Lifetime(wrong, 0, 1)):
        with pytest.raises(LayoutError):
            make()
    with pytest.raises(LayoutError, match="cannot die"):
        Lifetime(1, 3, 2)
