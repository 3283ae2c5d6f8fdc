"""With `invariant`, a request has the same bits for any batch, blocks and chunks; without, it has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minipar.errors import ConfigError
from minipar.inference import invariant
from minipar.inference.completion import complete
from minipar.inference.engine import Engine
from minipar.inference.options import EngineOptions
from minipar.inference.requests import Sampling, TextRequest
from minipar.nn import GPT
from minipar.proof.serving import RecordingEngine, opinionated, written_plainly
from minipar.rng import stream
from tests.refusals import refused

SIZES = dict(context=70, width=48, heads=3, vocabulary=101)
ENGINES: list[dict[str, Any]] = [dict(batch=1, rows=1, block_size=4), dict(batch=8, rows=8, block_size=3),
           dict(batch=8, rows=37, block_size=1, blocks=150, preemption="swap"), dict(batch=5, rows=300),
           dict(batch=8, rows=64, block_size=7, blocks=22, share_prefixes=False)]


def all_logits(model: GPT, requests: list[TextRequest], **options: Any) -> dict[tuple[int, int], np.ndarray]:
    engine = RecordingEngine(model, options=EngineOptions(**options))
    complete(engine, requests)
    return {key: np.array(logits) for key, logits in engine.logits.items()}


def requests() -> list[TextRequest]:
    rng = stream(3, "invariant")
    beginning = rng.integers(101, size=20).tolist()
    return [TextRequest([*beginning[: rng.integers(20)],
                         *rng.integers(101, size=rng.integers(1, 40)).tolist()],
                        int(rng.integers(1, 12)), Sampling(seed=number)) for number in range(9)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_bits_for_any_batch_blocks_and_chunks(dtype: Any) -> None:
    model = opinionated(dtype=dtype, **SIZES)
    first, *others = (all_logits(model, requests(), invariant=True, **options) for options in ENGINES)
    for other in others:
        assert first.keys() == other.keys()
        assert all(np.array_equal(first[key], other[key]) for key in first)


def test_a_request_alone_has_the_bits_of_one_in_a_crowd() -> None:
    model, crowd = opinionated(dtype=np.float32, **SIZES), requests()
    together = all_logits(model, crowd, invariant=True)
    for number in (0, 4, 8):
        (lonely,) = all_logits(model, [crowd[number]], invariant=True, rows=32).values()
        assert np.array_equal(lonely, together[number, 0])


def test_without_it_bits_depend_on_the_batch() -> None:
    """Else the tests above could not fail."""
    model = opinionated(dtype=np.float32, **SIZES)
    one, other = (all_logits(model, requests(), **options) for options in ENGINES[:2])
    assert any(not np.array_equal(one[key], other[key]) for key in one)


def test_the_tokens_are_those_of_the_plain_version() -> None:
    model = opinionated(**SIZES)
    results = complete(Engine(model, options=EngineOptions(invariant=True)), requests())
    assert [one.tokens for (one,) in results] == [
        written_plainly(model, request)[0] for request in requests()
    ]


def test_a_library_that_treats_rows_differently_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def uneven(model: GPT, rows: np.ndarray) -> np.ndarray:
        return rows[0] * (1 + np.finfo(rows.dtype).eps * (np.arange(invariant.TILE) == 7))[:, None]

    monkeypatch.setattr(invariant, "head", uneven)
    with refused(ConfigError, item="invariant"):
        Engine(opinionated(8), options=EngineOptions(invariant=True))
