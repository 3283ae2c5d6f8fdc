"""The time of a step, predicted from sizes and links alone, is the executed time, as an exact fraction."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from minipar.cli.plan_prove import RATE, Check, checks, cluster_of, executed, lines_of, shrunk
from minipar.errors import LayoutError
from minipar.plan.collective_times import Links
from minipar.plan.machine import machine
from minipar.plan.search import candidate_from
from minipar.trace.planned import planned_step

A100 = replace(machine("a100-80g"), per_node=2)  # small nodes, so that both links occur


@pytest.mark.parametrize(
    "text",
    [
        "dp=2",
        "dp=3",
        "pp=2",
        "pp=4",
        "tp=2",
        "tp=2,sp",
        "tp=2,pp=2,recompute=full",
        "dp=2,tp=2,pp=2,sp,recompute=full",
        "pp=2,virtual=2",
        "dp=2,pp=2,tp=2",
        "tp=4,pp=2,recompute=selective",
        "dp=2,pp=2,virtual=3",
    ],
)
def test_planned_is_executed(text: str) -> None:
    small = shrunk(candidate_from(text))
    trace = executed(small, A100, zero=0)
    planned = planned_step(small.model, small.train, small.layout, cluster_of(A100, small.layout)[1])
    assert planned.pipeline.makespan == trace.measured.makespan
    assert planned.end == max(Fraction(event.end) for event in trace.events)


@pytest.mark.parametrize("name", ["gpipe", "eager-1f1b", "zb-h1", "zb-v"])
def test_every_schedule(name: str) -> None:
    small = shrunk(candidate_from("pp=2,tp=2"))
    layout = replace(small.layout, pipeline=name)
    small = replace(small, layout=layout, model=replace(small.model, layers=4))
    planned = planned_step(small.model, small.train, layout, cluster_of(A100, layout)[1])
    trace = executed(small, A100, zero=0)
    assert (planned.pipeline.makespan, planned.end) == (
        trace.measured.makespan,
        max(Fraction(e.end) for e in trace.events),
    )


@pytest.mark.parametrize("zero", [1, 2, 3])
def test_zero_is_refused(zero: int) -> None:
    small = shrunk(candidate_from(f"dp=2,zero={zero}"))
    with pytest.raises(LayoutError, match=f"zero={zero}"):
        planned_step(small.model, small.train, small.layout, cluster_of(A100, small.layout)[1])


def test_prove_says_equal_and_different(monkeypatch: pytest.MonkeyPatch) -> None:
    small = shrunk(candidate_from("dp=2,pp=2,zero=1"))
    found = checks(small, A100)
    assert [one.equal for one in found] == [True] * 5 and len(lines_of(small, found)) == 8
    links = replace(cluster_of(A100, small.layout)[1], between=Links(1, 1))
    assert planned_step(small.model, small.train, replace(small.layout, zero=0), links).end > 1
    assert "DIFFERENT" in lines_of(small, [Check("x", "1", "2", equal=False)])[-1]


def test_large_layouts_are_cut_to_this_machine() -> None:
    whole = shrunk(candidate_from("dp=32,tp=4,pp=8,zero=2,sp"))
    assert whole.layout.ranks == 1024 and whole.changed == ()
    small = shrunk(candidate_from("dp=32,tp=8,pp=256,virtual=3,zero=2,sp"))
    assert (small.layout.dp, small.layout.tp, small.layout.pp, small.layout.zero) == (2, 8, 64, 2)
    assert small.model.layers == 128 and "dp=2 instead of 32" in small.changed
    assert "pp=64 instead of 256" in small.changed
    assert shrunk(candidate_from("tp=8,pp=256")).layout.pp == 128
    assert RATE == cluster_of(A100, small.layout)[1].rate
