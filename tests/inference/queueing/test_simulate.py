"""The simulator schedules as the engine does, is deterministic, and shows what each policy is for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from minipar.config import ModelConfig
from minipar.errors import ConfigError
from minipar.inference.engine import Engine
from minipar.inference.options import EngineOptions
from minipar.inference.queueing.latency import LatencyLimits, LatencySummary, summary
from minipar.inference.queueing.policies import ServingPolicy, serving_policies
from minipar.inference.queueing.simulate import SimulatedStream, simulate_stream
from minipar.inference.queueing.step_time import LinearTime, TimedRunner
from minipar.inference.queueing.workload import TimedRequest, TokenLengths, request_stream
from minipar.inference.requests import Sampling, TextRequest
from minipar.inference.runner import LocalRunner
from minipar.proof.serving import opinionated
from tests.refusals import refused

MODEL = ModelConfig(context=256)
STEP = LinearTime(fixed=1.0, per_row=0.02, swapped=0.001)
LIMITS = LatencyLimits(first_token=20.0, between=2.0)


def traffic(rate: float, count: int = 60, **options: int) -> list[TimedRequest]:
    return request_stream(rate, count, TokenLengths("geometric", 60, 150), TokenLengths("geometric", 15, 100),
                          vocabulary=11, **options)


def served(
    requests: list[TimedRequest], policy: str, blocks: int = 0
) -> tuple[SimulatedStream, LatencySummary]:
    found = simulate_stream(MODEL, requests, serving_policies(8, MODEL.context, 32, blocks)[policy], STEP)
    return found, summary(found.times, LIMITS)


@pytest.mark.parametrize("options", [
    EngineOptions(batch=3, rows=12, block_size=4), EngineOptions(batch=4, rows=9, block_size=4, blocks=8),
    EngineOptions(batch=4, rows=9, block_size=4, blocks=8, preemption="swap"),
    EngineOptions(batch=4, rows=100, block_size=4, share_prefixes=False)])
def test_the_steps_are_those_of_the_engine_with_a_model(options: EngineOptions) -> None:
    """With all requests at time 0, the engine of a real model computes the same rows in each step."""
    model, rng = opinionated(24), np.random.default_rng(1)
    beginning = rng.integers(11, size=24).tolist()
    requests = [
        TextRequest(
            beginning[: int(same)] + rng.integers(11, size=3).tolist(), int(count), Sampling(temperature=0)
        )
        for same, count in rng.integers(1, 11, size=(12, 2))
    ]
    runner = TimedRunner(LocalRunner(model, options))
    engine = Engine(runner, options=options)
    for request in requests:
        engine.add(request)
    while engine.busy:
        engine.step()
    found = simulate_stream(
        model.config, [TimedRequest(0.0, one) for one in requests], ServingPolicy(options), STEP
    )
    assert [step.shape for step in found.steps] == [shape for shape, _ in runner.steps]
    assert (
        found.preemptions == engine.memory.preemptions and found.shared_tokens == engine.memory.shared_tokens
    )
    assert bool(found.preemptions) == bool(options.blocks)
    assert bool(found.shared_tokens) == options.share_prefixes or options.blocks
    assert all(seconds > 0 for _, seconds in runner.steps)


def test_a_seed_decides_everything() -> None:
    one, again, other = (served(traffic(0.3, 20, seed=seed), "chunked")[0] for seed in (5, 5, 6))
    assert one == again and one.times != other.times


@pytest.mark.parametrize("policy", ["static", "continuous", "chunked", "unshared", "recompute", "swap"])
def test_every_request_gets_all_its_tokens_in_order(policy: str) -> None:
    requests = traffic(0.3)
    found, _ = served(requests, policy, blocks=24)
    for one, times in zip(requests, found.times, strict=True):
        assert len(times.tokens) == one.request.max_tokens and times.arrived == one.arrival
        assert times.started is not None and one.arrival <= times.started < times.tokens[0]
        assert list(times.tokens) == sorted(set(times.tokens))
    for step, after in zip(found.steps, found.steps[1:], strict=False):
        assert step.began + step.seconds <= after.began + 1e-9      # one step at a time


def test_a_free_row_saves_time() -> None:
    requests = traffic(0.25)
    static, continuous = (served(requests, policy)[1] for policy in ("static", "continuous"))
    assert continuous.first_token.median < 0.5 * static.first_token.median
    assert continuous.goodput > 1.2 * static.goodput


def test_chunks_bound_the_time_between_tokens() -> None:
    """Without chunks, a text waits for the whole prompts of others."""
    requests = traffic(0.3)
    whole, chunked = (served(requests, policy)[1] for policy in ("continuous", "chunked"))
    assert chunked.between.p99 <= STEP.fixed + 32 * STEP.per_row + 1e-9 < whole.between.p99


def test_shared_prefixes_are_computed_once() -> None:
    requests = traffic(0.3, shared=48)
    (shared, fast), (unshared, slow) = (served(requests, policy) for policy in ("chunked", "unshared"))
    assert shared.shared_tokens > 0 == unshared.shared_tokens
    assert fast.first_token.median < 0.8 * slow.first_token.median


def test_a_small_cache_preempts_and_copies_cost_time() -> None:
    requests = traffic(0.3)
    recompute, swap = (served(requests, policy, blocks=24)[0] for policy in ("recompute", "swap"))
    assert recompute.preemptions > 0 and swap.preemptions > 0 == served(requests, "chunked")[0].preemptions
    policy = serving_policies(8, MODEL.context, 32, 24)["swap"]
    slow = simulate_stream(MODEL, requests, policy, replace(STEP, swapped=0.1))
    assert slow.times[-1].tokens[-1] > swap.times[-1].tokens[-1] + 1


def test_throughput_stops_growing_at_the_capacity_and_waiting_does_not() -> None:
    """For twice the rate: below the capacity twice the tokens per second, above it longer waits only."""
    below, at, above = (served(traffic(rate, 100), "chunked")[1] for rate in (0.05, 0.1, 10.0))
    far = served(traffic(20.0, 100), "chunked")[1]
    assert at.tokens_per_second > 1.7 * below.tokens_per_second
    assert (
        far.tokens_per_second < 1.1 * above.tokens_per_second
        and above.first_token.p95 > 5 * at.first_token.p95
    )
    assert above.goodput < above.requests_per_second and below.goodput == below.requests_per_second


def test_invalid_streams() -> None:
    policy = serving_policies(8, MODEL.context, 32)["chunked"]
    with refused(ConfigError, item="samples"):
        simulate_stream(MODEL, [TimedRequest(0.0, TextRequest([1], samples=2))], policy, STEP)
    with refused(ConfigError, item="prompt"):
        simulate_stream(MODEL, [TimedRequest(0.0, TextRequest([1] * 257))], policy, STEP)
    with refused(ConfigError, item="chunk"):
        serving_policies(8, 64, 7)
