"""Recomputation in the GPT: the same bits in every gradient, and no change where nothing is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minipar.autograd import Deferred, backward, no_grad
from minipar.config import ModelConfig, TrainConfig
from minipar.errors import ConfigError
from minipar.inference.kv_cache import KVCache
from minipar.nn import GPT, Dropout
from minipar.nn.recomputation import RECOMPUTATIONS
from tests.nn.test_gpt import shaken
from tests.refusals import refused
from tests.tiny import same_bits, trainer

MODES = [mode for mode in RECOMPUTATIONS if mode != "none"]
CONFIG = ModelConfig(vocabulary=5, context=4, layers=2, heads=2, width=4, hidden=5)
TEXT = np.random.default_rng(0).integers(0, 5, (2, 5))
DROPOUT = Dropout(0.3, 0, 0, np.arange(2))


def model(mode: str) -> GPT:
    return shaken(GPT(CONFIG, dtype=np.float64, recompute=mode))


def test_the_config_names_them_all() -> None:
    assert all(TrainConfig(recompute=mode).recompute == mode for mode in RECOMPUTATIONS)
    with refused(ConfigError, "full", item="recompute"):
        TrainConfig(recompute="some")


@pytest.mark.parametrize("values", [
    dict(optimizer="sgd", lr=0.1), dict(dropout=0.2), dict(dtype="float64", bias=False),
    dict(dropout=0.2, precision="bfloat16"), dict(context=70, optimizer="sgd", precision="float16")], ids=str)
def test_a_training_ends_in_the_same_bits(values: dict[str, Any]) -> None:
    ends = []
    for mode in RECOMPUTATIONS:
        one = trainer(layers=2, micro_batches=2, recompute=mode, **values)
        losses = {f"step {number}": np.array(one.step().loss) for number in range(4)}
        ends.append(one.state()[0] | losses | {"validation": np.array(one.validate())})
    assert all(same_bits(end, ends[0]) for end in ends)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_hooks_and_deferred_weights_are_the_same(mode: str) -> None:
    fired: dict[str, list[str]] = {mode: [], "none": []}
    gradients = {}
    for way, names in fired.items():
        one, deferred = model(way), Deferred()
        for p in one.parameters():
            p.on_grad(lambda g, name=p.name, names=names: names.append(name))
        for later in (None, deferred):
            backward(one.loss(TEXT[:, :-1], TEXT[:, 1:], dropout=DROPOUT), deferred=later)
        assert len(names) == len(one.parameters())
        deferred.run()
        gradients[way] = {p.name: p.grad for p in one.parameters()}
    assert fired[mode] == fired["none"] and len(fired[mode]) == 2 * len(gradients[mode])
    assert same_bits(gradients[mode], gradients["none"])


@pytest.mark.parametrize("mode", MODES)
def test_nothing_runs_twice_where_nothing_is_recorded(mode: str) -> None:
    with no_grad():
        assert model(mode).loss(TEXT[:, :-1], TEXT[:, 1:]).node is None
    caches = [KVCache(model(way)) for way in (mode, "none")]
    for tokens in (TEXT[:, :3], TEXT[:, 3:4]):
        logits, plain = (cache.logits(tokens) for cache in caches)
        assert logits.tobytes() == plain.tobytes()
