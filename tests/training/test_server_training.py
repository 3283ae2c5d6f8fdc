"""A tiny GPT with a parameter server: synchronous it is data parallelism in bits, asynchronous it repeats."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import minipar as mp
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.preferring import Preferring
from minipar.data.tokenizer import CharTokenizer
from minipar.errors import ConfigError, LayoutError
from minipar.training.server_training import ServedTraining, train_gpt_with_server
from tests.ranks import ranks
from tests.tiny import TEXT, same_bits

LETTERS = CharTokenizer.from_text(TEXT)
TOKENS = LETTERS.encode(TEXT)
MODEL = mp.ModelConfig(vocabulary=LETTERS.vocab_size, context=8, layers=2, heads=2, width=8, dropout=0.1)
STEPS = 4


def config(**values: Any) -> mp.TrainConfig:
    return mp.TrainConfig(**{"batch": 5, "steps": STEPS, "lr": 0.05, "warm_up": 2, "clip": 0.0, "optimizer": "sgd",
                             "validation_windows": 1, **values})


def served(comm: Communicator, values: dict[str, Any], **options: Any) -> ServedTraining:
    return train_gpt_with_server(comm, MODEL, config(**values), LETTERS, TOKENS, **options)


def uneven(worker: int, step: int) -> float:
    return 1 + 0.5 * worker + 0.25 * ((worker + step) % 3)


def data_parallel(comm: Communicator, values: dict[str, Any],
                  algorithm: str) -> tuple[dict[str, np.ndarray], list[float]]:
    grid = mp.Grid(Preferring(comm, {"all_reduce": algorithm}), mp.Layout(dp=comm.size))
    trainer = mp.Trainer(MODEL, config(**values), LETTERS, TOKENS, grid)
    losses = [trainer.step().loss for _ in range(STEPS)]
    return trainer.flat.weights_by_name(), losses


@pytest.mark.parametrize("servers, values", [
    (1, {}), (2, {}), (1, {"optimizer": "adamw", "micro_batches": 2}),
    (3, {"optimizer": "adam", "dtype": "float64"}),
    (2, {"optimizer": "adagrad", "weight_decay": 0.3}), (1, {"precision": "bfloat16"})])
def test_a_server_that_waits_for_all_is_data_parallelism_in_bits(
    servers: int, values: dict[str, Any]
) -> None:
    for workers in (1, 3) if servers == 1 else (2,):
        weights, losses = run(workers, data_parallel, values, "naive")[0]
        for result in run(
            workers + servers,
            lambda comm: served(comm, values, servers=servers, synchronous=True, seconds=uneven),
        ):
            assert same_bits(result.weights, weights)
            np.testing.assert_allclose(result.losses, losses, rtol=1e-6 if "dtype" not in values else 1e-13)


def test_other_algorithms_agree_to_rounding() -> None:
    values = {"dtype": "float64"}
    weights, _ = run(3, data_parallel, values, "ring")[0]
    found = run(4, lambda comm: served(comm, values, synchronous=True))[0].weights
    assert max(abs(found[name] - weights[name]).max() for name in weights) < 1e-12


def test_the_comparison_sees_samples_that_are_used_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, _ = run(3, data_parallel, {}, "naive")[0]
    monkeypatch.setattr(
        "minipar.training.server_training.samples_of", lambda worker, shares: np.arange(shares[worker])
    )
    assert not same_bits(run(4, lambda comm: served(comm, {}, synchronous=True))[0].weights, weights)


@pytest.mark.parametrize("options", [{}, {"bound": 1}, {"servers": 2, "bound": 0}])
def test_asynchronous_runs_repeat_in_bits(options: dict[str, Any]) -> None:
    """Each worker uses its samples of each batch once, and the loss falls."""
    first, *others = [result for _ in range(2) for result in
                      run(4, lambda comm: served(comm, {"steps": 12, "lr": 0.3}, seconds=uneven, **options))]
    for other in others:
        assert same_bits(first.weights, other.weights) and first.applied == other.applied
        assert first.losses.tobytes() == other.losses.tobytes()
    workers = 4 - options.get("servers", 1)
    assert Counter((one.worker, one.step) for one in first.applied) \
        == {(worker, step): 1 for worker in range(workers) for step in range(12)}
    assert max(one.staleness for one in first.applied) > 0 and first.losses[-1] < first.losses[0]


@ranks(4, engines=["mpi"])
def test_under_mpirun_as_on_threads(comm: Communicator) -> None:
    for options in ({"bound": 1}, {"servers": 2, "synchronous": True}):
        def train(group: Communicator, options: dict[str, Any] = options) -> ServedTraining:
            return served(group, {"optimizer": "adamw"}, seconds=uneven, **options)
        found, expected = train(comm), run(4, train)[0]
        assert same_bits(found.weights, expected.weights) and found.applied == expected.applied


@pytest.mark.parametrize("values, options, error, item", [
    ({"clip": 1.0}, {}, ConfigError, "clip"), ({"precision": "float16"}, {}, ConfigError, "precision"),
    ({"batch": 1}, {}, LayoutError, "batch"), ({}, {"servers": 3}, ConfigError, "servers"),
    ({}, {"servers": 0}, ConfigError, "servers"), ({}, {"servers": 1.5}, ConfigError, "servers"),
    ({}, {"servers": True}, ConfigError, "servers"), ({}, {"bound": -1}, ConfigError, "bound"),
    ({}, {"bound": float("nan")}, ConfigError, "bound"),
    ({}, {"seconds": lambda worker, step: -1.0}, ConfigError, "seconds"),
    ({}, {"seconds": lambda worker, step: float("nan")}, ConfigError, "seconds"),
    ({}, {"seconds": lambda worker, step: "x"}, ConfigError, "seconds")])
def test_what_a_server_cannot_use(
    values: dict[str, Any], options: dict[str, Any], error: type[mp.MiniparError], item: str
) -> None:
    with pytest.raises(error) as caught:
        run(3, lambda comm: served(comm, values, **options), timeout=5)
    assert caught.value.facts["item"] == item


def test_ranks_with_different_options() -> None:
    with pytest.raises(ConfigError, match="different") as caught:
        run(4, lambda comm: served(comm, {}, servers=1 + comm.rank // 3), timeout=5)
    assert caught.value.facts["item"] == "options"


def test_a_loss_that_is_not_finite() -> None:
    with pytest.raises(mp.MiniparError, match="lower lr"):
        run(3, lambda comm: served(comm, {"lr": 1e30, "steps": 6, "warm_up": 0}), timeout=20)
