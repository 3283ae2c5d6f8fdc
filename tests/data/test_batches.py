"""Batches are a function of (seed, step); evaluation sees each token as often as it says."""

import subprocess
import sys

import numpy as np
import pytest

from minipar.data.batches import Batches, EvaluationBatches, split
from minipar.data.tokenizer import CharTokenizer
from minipar.errors import ConfigError, DataError
from tests.refusals import refused

TOKENS = np.arange(1000, dtype=np.int32)                             # the token is its position
ONE_STEP = ("import sys, numpy as np; from minipar.data.batches import Batches; "
            "sys.stdout.buffer.write(Batches(np.arange(1000), 8, 4, seed=5).get(17)[0].tobytes())")


def test_split_is_by_position() -> None:
    text = "all the world's a stage" * 10
    train, validation = split(CharTokenizer.from_text(text).encode(text))
    decode = CharTokenizer.from_text(text).decode
    assert decode(train) == text[:int(len(text) * 0.9)] and decode(train) + decode(validation) == text
    assert [len(part) for part in split(TOKENS, 0.75)] == [750, 250]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_targets_are_the_next_tokens(dtype: type) -> None:
    tokens = (np.arange(1000) % 251).astype(dtype)
    inputs, targets = Batches(tokens, context=8, batch=4, seed=0).get(3)
    assert inputs.shape == targets.shape == (4, 8) and inputs.dtype == targets.dtype == np.int64
    assert inputs.flags.c_contiguous and targets.flags.c_contiguous
    np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
    np.testing.assert_array_equal((inputs + 1) % 251, targets)


def test_a_step_depends_on_seed_and_step_alone() -> None:
    batches = Batches(TOKENS, context=8, batch=4, seed=5)
    forward = [batches.get(step)[0] for step in range(20)]
    backward = [Batches(TOKENS, context=8, batch=4, seed=5).get(step)[0] for step in reversed(range(20))]
    np.testing.assert_array_equal(forward, backward[::-1])
    assert len({batch.tobytes() for batch in forward}) == 20
    assert (Batches(TOKENS, context=8, batch=4, seed=6).get(0)[0] != forward[0]).any()
    elsewhere = subprocess.run([sys.executable, "-c", ONE_STEP], capture_output=True, check=True).stdout
    assert elsewhere == forward[17].tobytes()


def test_every_window_can_come_up_and_none_runs_over_the_end() -> None:
    batches = Batches(TOKENS[:20], context=8, batch=100, seed=0)
    starts = np.concatenate([batches.get(step)[0][:, 0] for step in range(20)])
    counts = np.bincount(starts, minlength=12)
    assert len(counts) == 12 and abs(counts - 2000 / 12).max() < 5 * np.sqrt(2000 / 12)
    inputs, targets = Batches(TOKENS[:9], context=8, batch=2, seed=0).get(0)  # the shortest text that will do
    np.testing.assert_array_equal(inputs, [range(8)] * 2)
    np.testing.assert_array_equal(targets, [range(1, 9)] * 2)


@pytest.mark.parametrize("length", [9, 16, 17, 18, 100, 113])
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_all_windows_hold_each_target_once(length: int, batch: int) -> None:
    evaluation = EvaluationBatches(TOKENS[:length], context=8, batch=batch)
    batches = list(evaluation)
    targets = np.concatenate([targets.ravel() for _, targets in batches])
    np.testing.assert_array_equal(targets, np.arange(1, 1 + (length - 1) // 8 * 8))
    assert len(evaluation) == len(batches) and all(inputs.shape[0] <= batch for inputs, _ in batches)
    assert all((inputs + 1 == targets).all() for inputs, targets in batches)


@pytest.mark.parametrize("windows", [1, 2, 5, 40, 992, 5000])
def test_a_stated_number_of_windows_is_spread_over_the_text(windows: int) -> None:
    evaluation = EvaluationBatches(TOKENS, context=8, batch=16, windows=windows)
    starts = np.concatenate([inputs[:, 0] for inputs, _ in evaluation])
    assert len(starts) == windows and len(evaluation) == -(-windows // 16)
    assert starts[0] == 0 and (windows == 1 or starts[-1] == 991)
    assert windows == 1 or np.ptp(np.diff(starts)) <= 1
    for first, second in zip(evaluation, evaluation, strict=True):   # the same at every evaluation
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind, what", [(Batches, "training text"), (EvaluationBatches, "validation text")])
def test_text_shorter_than_the_context(kind: type, what: str) -> None:
    with refused(DataError, what, "8 tokens", "needs 9"):
        kind(TOKENS[:8], 8, 4, 0)


@pytest.mark.parametrize("context, batch", [(0, 1), (8, 0), (-1, 1)])
def test_sizes_that_cannot_be(context: int, batch: int) -> None:
    with pytest.raises(ConfigError, match=f"context {context} and batch {batch}"):
        Batches(TOKENS, context, batch, seed=0)
    with pytest.raises(ConfigError, match="at least 1 window, not 0"):
        EvaluationBatches(TOKENS, 8, 4, windows=0)
