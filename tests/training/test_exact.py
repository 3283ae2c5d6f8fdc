"""Training repeats bit for bit, goes on bit for bit, and does not depend on how a batch is cut into
micro-batches.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minipar.autograd import Tensor
from minipar.checkpoint.archive import load, save
from minipar.errors import CheckpointError
from minipar.nn import GPT, Dropout
from tests.commands import command
from tests.refusals import refused
from tests.tiny import contents, losses, options, same_bits, trainer

DROPOUT: dict[str, Any] = dict(dropout=0.2, micro_batches=3)  # the micro-batches of a batch of 5 are uneven


def state(**values: Any) -> dict[str, np.ndarray]:
    """Weights and optimiser state after 6 steps."""
    one = trainer(**values)
    for _ in range(6):
        one.step()
    return one.state()[0]


@pytest.mark.parametrize("values", [{}, DROPOUT, dict(optimizer="sgd"), dict(optimizer="adagrad", tied=False),
                                    dict(optimizer="adam", dtype="float64", bias=False)])
def test_ten_and_ten_steps_are_twenty(tmp_path: Path, values: dict[str, Any]) -> None:
    whole, first, second = (trainer(schedule="constant", **values) for _ in range(3))
    expected = [whole.step() for _ in range(20)]
    found = [first.step() for _ in range(10)]
    save(tmp_path / "half.npz", *first.state())
    second.restore(*load(tmp_path / "half.npz"), where="half.npz")
    found += [second.step() for _ in range(10)]
    assert [replace(step, seconds=0) for step in found] == [replace(step, seconds=0) for step in expected]
    assert same_bits(second.state()[0], whole.state()[0]) and second.state()[1] == whole.state()[1]
    assert second.validate() == whole.validate()


@pytest.mark.parametrize("lost", ["done", "optimizer_steps", "optimizer/gradients", "optimizer/squares",
                                  "weights"])
def test_the_comparison_misses_each_part_of_the_state(lost: str) -> None:
    whole, other = trainer(**DROPOUT), trainer(**DROPOUT)
    for _ in range(10):
        whole.step()
    arrays, meta = whole.state()
    arrays = {name: np.zeros_like(array) if name.startswith(lost) else array.copy()
              for name, array in arrays.items()}
    other.restore(arrays, {**meta, lost: 0}, "memory")
    whole.step()
    other.step()
    assert not same_bits(other.state()[0], whole.state()[0])


def test_one_seed_gives_one_run() -> None:
    assert same_bits(state(**DROPOUT), state(**DROPOUT))
    assert not same_bits(state(**DROPOUT), state(**DROPOUT, seed=1))


def test_two_processes_give_the_same_files(tmp_path: Path) -> None:
    """Checkpoints byte for byte; one process after the other would share no more than these two do."""
    processes = []
    for name, hashing in (("one", "1"), ("two", "2")):
        words = command("train", *options(tmp_path, **DROPOUT), "--out", tmp_path / name)
        environment = {**os.environ, "PYTHONHASHSEED": hashing}      # sets and hashes must not matter either
        processes.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                          env=environment))
    for process in processes:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
    one, two = contents(tmp_path / "one" / "checkpoints"), contents(tmp_path / "two" / "checkpoints")
    assert list(one) == list(two) and len(one) >= 2 and one == two
    assert losses(tmp_path / "one") == losses(tmp_path / "two") and len(losses(tmp_path / "one")) == 20 + 5


def worst_difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """Over all parameters, the largest difference of an element relative to the parameter's largest."""
    assert one.keys() == other.keys()
    return max(float(abs(one[name] - other[name]).max() / abs(one[name]).max()) for name in one)


# SGD forgives no wrong scale
SGD = dict(optimizer="sgd", lr=0.3, weight_decay=0.01, dtype="float64", batch=7)


@pytest.mark.parametrize("micro_batches", [3, 5, 7])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_micro_batches_of_any_sizes_add_up(micro_batches: int, dropout: float) -> None:
    whole = state(**SGD, dropout=dropout)
    assert worst_difference(whole, state(**SGD, dropout=dropout, micro_batches=micro_batches)) < 1e-12


def test_a_mean_per_micro_batch_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = state(**SGD)

    def own_mean(model: GPT, tokens: np.ndarray, targets: np.ndarray, *, count: int,
                 dropout: Dropout) -> Tensor:
        # the classic: each micro-batch divides by its own tokens
        return loss(model, tokens, targets, dropout=dropout)

    loss = GPT.loss
    monkeypatch.setattr(GPT, "loss", own_mean)
    assert worst_difference(whole, state(**SGD, micro_batches=3)) > 1e-3


def test_the_loss_of_a_step_is_that_of_the_whole_batch() -> None:
    one, cut = trainer(dtype="float64"), trainer(dtype="float64", micro_batches=3)
    inputs, targets = one.batches.get(0)
    whole = one.stages.parts[0].loss(inputs, targets).item()
    assert abs(one.step().loss - whole) < 1e-14 and abs(cut.step().loss - whole) < 1e-14


def test_validation_knows_no_dropout() -> None:
    plain, noisy = trainer(), trainer(dropout=0.5)
    assert plain.validate() == noisy.validate() == noisy.validate()
    assert plain.step().loss != noisy.step().loss


def test_validation_is_the_mean_over_all_windows() -> None:
    one = trainer(dtype="float64", batch=3)                          # 8 windows in batches of 3, 3 and 2
    sums = [one.stages.parts[0].loss(inputs, targets).item() * targets.size
            for inputs, targets in one.validation]
    assert len(sums) == 3 and abs(one.validate() - sum(sums) / (8 * 8)) < 1e-14


@pytest.mark.parametrize("values, said", [
    (dict(heads=4), "it has heads 2, not 4"),  # all shapes agree, and yet it is another model
    (dict(width=16), "it has width 8, not 16"),
    (dict(layers=2, tied=False), "it has layers 1, not 2, tied True, not False"),
    (dict(optimizer="sgd"), "optimizer/.* is not in the model"),
])
def test_another_model_is_refused_and_left_alone(values: dict[str, Any], said: str) -> None:
    source, other = trainer(), trainer(**values)
    source.step()
    before = {name: array.copy() for name, array in other.state()[0].items()}
    with pytest.raises(CheckpointError, match=f"^here is of another model: .*{said}"):
        other.restore(*source.state(), "here")
    assert same_bits(other.state()[0], before) and other.steps_done == 0


def test_another_dtype_or_text_is_refused() -> None:
    source, other = trainer(), trainer()
    arrays, meta = source.state()
    with refused(CheckpointError, "float32", "--dtype"):
        trainer(dtype="float64").restore(arrays, meta, "here")
    with refused(CheckpointError, "another text", "--data"):
        other.restore(arrays, {**meta, "text": "0" * 32}, "here")
