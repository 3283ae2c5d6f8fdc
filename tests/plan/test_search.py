"""The search: every layout has a result or a reason, and the best one is the best."""

from __future__ import annotations

from dataclasses import replace

import pytest

from minipar.config import TrainConfig
from minipar.errors import ConfigError, LayoutError, MiniparError
from minipar.plan.advice import no_layout_fits, sensitivities
from minipar.plan.machine import machine
from minipar.plan.models import MODELS, find_model
from minipar.plan.search import (
    OBJECTIVES,
    Candidate,
    Task,
    best,
    candidate_from,
    candidates,
    evaluate,
    rank_counts,
    refusals,
    search,
)
from minipar.plan.step_memory import step_memory
from minipar.plan.step_time import step_time

TASK = Task(
    find_model("layers=4,width=256,heads=4,context=128"),
    TrainConfig(batch=16, precision="float16"),
    machine("a100-80g"),
)
TIGHT = TASK._replace(machine=replace(TASK.machine, memory=1 << 26, reserve=0.0))


@pytest.fixture(scope="module")
def outcomes() -> list:
    return search(TIGHT, 8)


def test_every_layout_has_a_result_or_a_reason(outcomes: list) -> None:
    assert len(outcomes) == len(set(each.candidate for each in outcomes)) == len(list(candidates(TIGHT, 8)))
    for each in outcomes:
        assert each.candidate.layout.ranks == 8
        assert bool(each.refusal) == bool(each.limit)
        if each.memory and not each.refusal:
            assert each.memory.total <= TIGHT.machine.usable and 0 < each.mfu < 1 and each.sent.total >= 0
        elif each.memory:
            assert each.limit == "memory" and each.memory.total > TIGHT.machine.usable
    assert {"memory", "batch"} >= set(refusals(outcomes)) and sum(refusals(outcomes).values()) < len(outcomes)
    seen = {(c.layout.dp, c.layout.tp, c.layout.pp) for c in (each.candidate for each in outcomes)}
    assert seen == {(d, t, p) for d in (1, 2, 4, 8) for t in (1, 2, 4) for p in (1, 2, 4) if d * t * p == 8}


def test_the_best_is_the_best(outcomes: list) -> None:
    able = [each for each in outcomes if not each.refusal]
    assert best(outcomes)[0].seconds == min(each.seconds for each in able)
    assert best(outcomes, "memory")[0].memory.total == min(each.memory.total for each in able)
    assert best(outcomes, "cost")[0].cost() == min(each.cost() for each in able)
    assert [each.seconds for each in best(outcomes, "time", 50)] == sorted(each.seconds for each in able)[:50]
    with pytest.raises(ConfigError, match="choose"):
        best(outcomes, "beauty")
    assert len(OBJECTIVES) == 3


def test_an_outcome_is_what_the_formulas_say(outcomes: list) -> None:
    for each in best(outcomes, "time", 7):
        train = each.candidate.train(TIGHT.train)
        args = TIGHT.model, train, each.candidate.layout
        assert each.times == step_time(*args, TIGHT.machine, software=TIGHT.software)
        assert each.memory == step_memory(*args, software=TIGHT.software)


def test_cost_may_choose_fewer_ranks() -> None:
    outcomes = [one for count in rank_counts(8, "cost") for one in search(TASK, count)]
    first = best(outcomes, "cost")[0]
    assert first.candidate.layout.ranks < 8 and first.cost() == min(
        one.cost() for one in outcomes if not one.refusal
    )


def test_a_layout_is_read_as_it_is_written(outcomes: list) -> None:
    for each in outcomes[::97]:
        assert candidate_from(each.candidate.text()) == each.candidate


def test_a_layout_may_name_its_schedule() -> None:
    found = candidate_from("pp=4,pipeline=zb-h1")
    assert found.layout.pipeline == "zb-h1" and candidate_from(found.text()) == found
    assert evaluate(TASK, found).times.bubble < evaluate(TASK, candidate_from("pp=4")).times.bubble
    assert evaluate(TASK, candidate_from("pp=4,pipeline=none")).refusal


@pytest.mark.parametrize("text", ["", "pipeline=", "dp=x", "dp=0", "dp=2,qp=3", "micro=0", "zero=4",
                                  "recompute=some", "dp=99999999", "dp=2,dp=4", "sp,sp",
                                  "recompute=full,recompute=none", "pipeline=gpipe,pipeline=1f1b",
                                  "tp=2,virtual=-1", "sp=1", "dp", "dp=2;tp=2"])
def test_wrong_layouts_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(MiniparError) as caught:
        candidate_from(text)
    assert "\n" not in str(caught.value)


def test_impossible_candidates_have_a_reason() -> None:
    for text, limit in (("dp=3", "batch"), ("tp=8", "tp"), ("pp=8", "pp"), ("sp", "sequence_parallel"),
                        ("micro=5", "batch")):
        outcome = evaluate(TASK, candidate_from(text))
        assert outcome.times is None and outcome.limit == limit and outcome.refusal
        assert outcome.seconds == float("inf")


def test_sensitivity_names_what_changes(outcomes: list) -> None:
    found = {one.change: one for one in sensitivities(TIGHT, outcomes)}
    assert found["rate -20 %"].same > 1 and found["launch overhead x 2"].same > 1
    assert all(one.gain <= 1 + 1e-12 for one in found.values())


@pytest.mark.parametrize("gib, words", [(19, "--offload"), (8, "ranks fit")])
def test_no_layout_fits_and_what_helps(gib: int, words: str) -> None:
    task = Task(
        MODELS["gpt-7.5b"],
        TrainConfig(batch=16, precision="float16"),
        replace(machine("a100-80g"), memory=gib << 30, reserve=0.0),
    )
    assert not best(search(task, 2))
    error = no_layout_fits(task, 2)
    assert error.facts["item"] == "memory" and words in str(error) and "GiB" in str(error)


@pytest.mark.parametrize("ranks", [0, -1, 1 << 21, 10**22])
def test_impossible_ranks(ranks: int) -> None:
    with pytest.raises(LayoutError, match="1 to 1,048,576"):
        list(candidates(TASK, ranks))


def test_a_batch_smaller_than_the_ranks() -> None:
    task = TASK._replace(train=TrainConfig(batch=3, precision="float16"))
    assert {each.candidate.layout.dp for each in search(task, 6) if each.times} == {1, 3}
    prime = TASK._replace(train=TrainConfig(batch=3))
    assert no_layout_fits(prime, 7).facts["item"] == "ranks"


def test_a_candidate_is_a_training() -> None:
    train = Candidate(candidate_from("dp=2").layout, 4, "full").train(TASK.train)
    assert (train.micro_batches, train.recompute, train.batch) == (2, "full", 16)
