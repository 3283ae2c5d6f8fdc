"""The closed forms against the modules, and against every matrix product that a training step really
computes.
"""

from collections import Counter

import numpy as np
import pytest

from minipar.autograd import backward
from minipar.autograd.fused import attention
from minipar.config import GPT2, ModelConfig
from minipar.nn import GPT, counts

SMALL = ModelConfig(vocabulary=13, context=11, layers=2, heads=3, width=12)
VARIANTS = [SMALL, ModelConfig(17, 9, 3, 2, 8, hidden=20, tied=False), ModelConfig(7, 8, 1, 1, 5, bias=False),
            ModelConfig(7, 8, 2, 5, 5, hidden=3, tied=False, bias=False)]
KINDS = {"tokens": "tokens", "positions": "positions", "norm": "norms", "norm1": "norms", "norm2": "norms",
         "qkv": "qkv", "out": "out", "up": "up", "down": "down", "head": "head"}


class Counted(np.ndarray):
    """An array that notes all its matrix products, and whose results do so too. A vector is no matrix."""

    products: Counter = Counter()                                   # (axes, inner length, columns) -> FLOPs

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        plain = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        if out is not None:
            kwargs["out"] = tuple(x.view(np.ndarray) if isinstance(x, Counted) else x for x in out)
        result = getattr(ufunc, method)(*plain, **kwargs)
        if ufunc is np.matmul and min(x.ndim for x in plain) >= 2:
            inner, columns = plain[1].shape[-2:]
            Counted.products[result.ndim, inner, columns] += 2 * result.size * inner
        return result.view(Counted) if isinstance(result, np.ndarray) and result.ndim else result


def multiplied(config: ModelConfig, batch: int, tokens: int,
               monkeypatch: pytest.MonkeyPatch) -> tuple[Counter, Counter]:
    """The products that forward and that backward computes."""
    model = GPT(config, dtype=np.float64)
    for p in model.parameters():
        p.data = p.data.view(Counted)
    text = np.random.default_rng(0).integers(0, config.vocabulary, (batch, tokens + 1))
    Counted.products = Counter()
    with monkeypatch.context() as patch:
        patch.setattr(np, "asarray", np.asanyarray)                 # a Tensor keeps the subclass
        loss = model.loss(text[:, :-1], text[:, 1:])
        forward, Counted.products = Counted.products, Counter()
        backward(loss)
    return forward, Counted.products


def test_gpt2_has_124439808_parameters() -> None:
    """Published as 124M: 124,439,808 with the head tied to the tokens."""
    assert counts.parameter_count(GPT2) == 124_439_808


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_parameters_are_those_of_the_modules(config: ModelConfig) -> None:
    found: Counter = Counter({kind: 0 for kind in counts.parameter_counts(config)})
    for p in GPT(config).parameters():
        found[KINDS[p.name.split(".")[-2]]] += p.size
    assert found == counts.parameter_counts(config)


def test_gpt2_modules_have_124439808_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole model, built without drawing or touching a value: untouched zeros take no memory."""
    monkeypatch.setattr(GPT, "initialise", lambda self, seed, dtype: None)
    assert sum(p.size for p in GPT(GPT2).parameters()) == 124_439_808


@pytest.mark.parametrize("config", VARIANTS, ids=str)
@pytest.mark.parametrize("queries", [3, 7, 64])  # so that no block ends where its length is the head width
def test_flops_are_those_that_are_multiplied(config: ModelConfig, queries: int,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "QUERIES", queries)
    monkeypatch.setattr(counts, "QUERIES", queries)
    D, F, K, V = config.width, config.mlp_width, config.head_width, config.vocabulary
    kinds = {(2, D, 3 * D): "qkv", (2, D, D): "out", (2, D, F): "up", (2, F, D): "down", (2, D, V): "head"}
    forward, back = multiplied(config, 2, 8, monkeypatch)
    by_kind: Counter = Counter()
    for (axes, inner, columns), flops in forward.items():
        by_kind[kinds[axes, inner, columns] if axes == 2 else "scores" if inner == K
                else "weighted values"] += flops
    assert by_kind == counts.forward_flops(config, 2, 8, counts.computed_pairs)
    assert forward.total() + back.total() == sum(
        counts.training_flops(config, 2, 8, counts.computed_pairs).values()
    )


@pytest.mark.parametrize("T", [1, 2, 63, 64, 65, 128, 200])
def test_pairs(T: int) -> None:
    mask = np.tril(np.ones((T, T), int))
    assert counts.causal_pairs(T) == mask.sum()
    assert counts.every_pair(T) == mask.size
    blocks = [(start, min(start + attention.QUERIES, T)) for start in range(0, T, attention.QUERIES)]
    computed = np.zeros_like(mask)
    for start, end in blocks:
        computed[start:end, :end] = 1
    assert counts.computed_pairs(T) == computed.sum()
    assert (computed >= mask).all()


def test_palm_and_kaplan() -> None:
    """PaLM, appendix B: 6 N + 12 L H K T FLOPs per token of training, N without look-ups. Kaplan, table 1: 2
    N + 2 L T D.
    """
    config = ModelConfig(vocabulary=257, context=96, layers=3, heads=4, width=64, bias=False, tied=False)
    by_kind, T = counts.parameter_counts(config), config.context
    L, H, K = config.layers, config.heads, config.head_width
    weights = {kind: by_kind[kind] for kind in ("qkv", "out", "up", "down", "head")}
    per_token = sum(counts.training_flops(config, 1, T).values()) // T
    assert per_token == 6 * sum(weights.values()) + 12 * L * H * K * T

    # Kaplan has T^2 / 2 pairs where T (T + 1) / 2 are exact
    causal = counts.forward_flops(config, 1, T, counts.causal_pairs)
    kaplan = 2 * (sum(weights.values()) - weights["head"]) + 2 * L * T * config.width
    assert (sum(causal.values()) - causal["head"]) / T == pytest.approx(kaplan + 2 * L * config.width)
