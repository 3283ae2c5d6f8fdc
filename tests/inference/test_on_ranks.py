"""Engines on several ranks write the tokens of one process, with logits equal to 1e-12."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.comm.wrappers.counting import Counting
from minipar.config import Layout
from minipar.errors import ConfigError, LayoutError
from minipar.inference.completion import complete
from minipar.inference.drafts import ModelDraft, NgramDraft
from minipar.inference.engine import Engine
from minipar.inference.handover import HandoverEngine
from minipar.inference.options import EngineOptions
from minipar.inference.replicas import ReplicatedEngine
from minipar.inference.requests import TextRequest
from minipar.inference.stages_runner import StagesRunner
from minipar.nn import GPT
from minipar.parallel.grid import Grid
from minipar.parallel.stages import Stages, parts_of, schedule_of
from minipar.parallel.tensor import region_of
from minipar.proof.serving import RecordingEngine, opinionated
from tests.inference.models import random_requests, written_alone
from tests.ranks import ranks
from tests.refusals import refused

CONTEXT = 12
SIZES: dict[str, Any] = dict(layers=4, heads=3, width=12)           # 3 heads over tp 2 are uneven
OPTIONS = EngineOptions(batch=4, rows=17, block_size=3, blocks=12)


def whole() -> GPT:
    return opinionated(CONTEXT, **SIZES)


@cache
def requests() -> tuple[TextRequest, ...]:
    return tuple(random_requests(np.random.default_rng(8), CONTEXT, 6, samples=2))


@cache
def expected() -> list[list[list[int]]]:
    return written_alone(whole(), list(requests()))


@cache
def expected_logits() -> dict[tuple[int, int], np.ndarray]:
    engine = RecordingEngine(whole(), options=OPTIONS)
    complete(engine, requests())
    return {key: np.array(rows) for key, rows in engine.logits.items()}


def stages_of(grid: Grid) -> Stages:
    model, layout = whole(), grid.layout
    order = schedule_of(layout).stage_to_rank
    stages = Stages(model.config, parts_of(model.config.layers, len(order)), order, grid,
                    region_of(grid.tp, CONTEXT, layout.sequence_parallel), seed=0, dtype=np.float64)
    state = model.state_dict()
    stages.load_state_dict({p.name: p.own(state[p.name]) for p in stages.parameters()})
    return stages


def runner_of(grid: Grid, micro_batches: int = 0, options: EngineOptions = OPTIONS) -> StagesRunner:
    return StagesRunner(stages_of(grid), options, micro_batches)


def tokens_of(engine: Any) -> list[list[list[int]]]:
    return [[one.tokens for one in samples] for samples in complete(engine, requests())]


def same_as_one_process(comm: Communicator, layout: Layout, **options: Any) -> None:
    engine = RecordingEngine(runner_of(Grid(comm, layout), **options), options=OPTIONS)
    assert tokens_of(engine) == expected()
    for key, logits in expected_logits().items():
        np.testing.assert_allclose(np.array(engine.logits[key]), logits, rtol=1e-12,
                                   atol=1e-12 * np.abs(logits).max())


@ranks(2)
@pytest.mark.parametrize("layout, options", [
    (Layout(tp=2), {}), (Layout(pp=2), {}), (Layout(pp=2), {"micro_batches": 1}),
    (Layout(pp=2), {"micro_batches": 4})], ids=["tp", "pp", "one-micro-batch", "four-micro-batches"])
def test_two_ranks(comm: Communicator, layout: Layout, options: dict[str, Any]) -> None:
    same_as_one_process(comm, layout, **options)


@ranks(4, mpi=())
@pytest.mark.parametrize(
    "layout",
    [Layout(tp=2, pp=2), Layout(pp=2, tp=2, pipeline="interleaved", virtual=2)],
    ids=["1f1b", "interleaved"],
)
def test_four_ranks(comm: Communicator, layout: Layout) -> None:
    same_as_one_process(comm, layout)


@ranks(3, mpi=())
def test_a_pipeline_of_three(comm: Communicator) -> None:
    same_as_one_process(comm, Layout(pp=3))


@ranks(2)
def test_replicas_behind_one_queue(comm: Communicator) -> None:
    engine = ReplicatedEngine(Engine(whole(), options=OPTIONS), comm)
    assert tokens_of(engine) == expected()
    assert engine.engine.steps > 0                                   # every replica served something


@ranks(4, mpi=())
def test_replicas_of_tensor_parallel_models(comm: Communicator) -> None:
    grid = Grid(comm, Layout(dp=2, tp=2))
    engine = ReplicatedEngine(Engine(runner_of(grid), options=OPTIONS), grid.dp)
    assert tokens_of(engine) == expected() and engine.engine.steps > 0


@ranks(2)
def test_prompts_on_one_rank_and_tokens_on_the_other(comm: Communicator) -> None:
    counted = Counting(comm)
    engine = HandoverEngine(Engine(whole(), options=OPTIONS), counted)
    assert tokens_of(engine) == expected()
    token_bytes = 2 * SIZES["layers"] * SIZES["width"] * 8
    sent = {
        label: tally.bytes
        for (label,), tally in counted.traffic.by("label").items()
        if "prompt" in str(label)
    }
    predicted = {f"prompt of request {number}": (len(request.prompt) - 1) * token_bytes
                 for number, request in enumerate(requests()) if len(request.prompt) > 1}
    assert sent == (predicted if comm.rank == 0 else {})
    assert engine.engine.memory.pool.in_use == 0


@ranks(2)
@pytest.mark.parametrize("kind", ["ngram", "model"])
def test_speculation_on_ranks(comm: Communicator, kind: str) -> None:
    """A draft model is whole on every rank; it follows the same blocks."""
    make_draft: dict[str, Callable[[], Any]] = {
        "ngram": lambda: NgramDraft(3),
        "model": lambda: ModelDraft(whole(), OPTIONS, 3)}
    engine = Engine(runner_of(Grid(comm, Layout(tp=2))), options=OPTIONS, speculator=make_draft[kind]())
    tokens = tokens_of(engine)
    assert kind == "model" or tokens == expected()
    assert engine.accepted > 0 and [len(one) for one in tokens] == [len(one) for one in expected()]


@ranks(2)
def test_invariant_over_pp_has_the_bits_of_one_process(comm: Communicator) -> None:
    options = EngineOptions(batch=4, rows=17, block_size=3, blocks=12, invariant=True)
    one = RecordingEngine(whole(), options=options)
    several = RecordingEngine(runner_of(Grid(comm, Layout(pp=2)), options=options), options=options)
    complete(one, requests())
    complete(several, requests())
    assert all(np.array_equal(logits, several.logits[key]) for key, logits in one.logits.items())


@ranks(2)
def test_invariant_over_dp_has_the_bits_of_one_process(comm: Communicator) -> None:
    """A replica serves some of the requests, and counts them from 0."""
    options = EngineOptions(batch=4, rows=17, block_size=3, blocks=12, invariant=True)
    one, mine = (RecordingEngine(whole(), options=options) for _ in range(2))
    complete(one, requests())
    replicated = ReplicatedEngine(mine, comm)
    complete(replicated, requests())
    assert 0 < len(mine.logits) < len(one.logits)
    assert all(np.array_equal(logits, one.logits[replicated._numbers[number], sample])
               for (number, sample), logits in mine.logits.items())


def test_what_is_refused() -> None:
    grid = Grid(solo(), Layout())
    with refused(ConfigError, item="micro_batches"):
        runner_of(grid, micro_batches=-1)
    with refused(LayoutError, "2 ranks"):
        HandoverEngine(Engine(whole()), solo())


@ranks(2, mpi=())
def test_sequence_parallelism_is_refused(comm: Communicator) -> None:
    with refused(LayoutError, "sequence parallelism"):
        runner_of(Grid(comm, Layout(tp=2, sequence_parallel=True)))
