"""The GPT: gradients of a whole block and of the whole model, causality, loss, dropout, sizes at the edge."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from minipar.autograd import Tensor, backward, gradcheck, no_grad, plain_gelu, softmax, sum
from minipar.autograd.fused import (
    plain_causal_attention,
    plain_cross_entropy,
    plain_layernorm,
    plain_unembedding,
)
from minipar.config import ModelConfig
from minipar.errors import DataError, MiniparError, ShapeError
from minipar.nn import GPT, Block, Dropout
from tests.refusals import refused

CONFIG = ModelConfig(vocabulary=13, context=9, layers=2, heads=2, width=8)
TEXT = np.random.default_rng(0).integers(0, 13, (4, 10))
TOKENS, TARGETS = TEXT[:, :-1], TEXT[:, 1:]


def shaken(model, scale: float = 0.3):
    """Random values throughout: no bias zero, no scale one, so that every term of every gradient is seen."""
    rng = np.random.default_rng(5)
    for p in model.parameters():
        p.data = p.data + rng.normal(0, scale, p.shape)
    return model


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_a_whole_block_element_by_element(bias: bool, rate: float) -> None:
    config = ModelConfig(layers=2, heads=2, width=6, hidden=7, bias=bias)
    block = Block("blocks.0", config)
    block.initialise(0, np.float64)
    shaken(block)
    x = Tensor(np.random.default_rng(1).standard_normal((2, 3, 6)), requires_grad=True)
    weights = np.random.default_rng(2).standard_normal((2, 3, 6))
    dropout = Dropout(rate, 0, 0, np.arange(2)).on(slice(0, 3), 3)
    checks = gradcheck(lambda: sum(block(x, dropout=dropout) * weights),
                       {"x": x} | {p.name: p for p in block.parameters()})
    assert len(checks) == (12 if bias else 6) + 2
    for check in checks:
        assert check.error <= 1e-7, str(check)


@pytest.mark.parametrize("tied", [True, False])
def test_a_whole_model_element_by_element(tied: bool) -> None:
    config = ModelConfig(vocabulary=5, context=4, layers=1, heads=2, width=4, hidden=5, tied=tied)
    model = shaken(GPT(config, dtype=np.float64))
    text = np.random.default_rng(0).integers(0, 5, (2, 4))
    for check in gradcheck(lambda: model.loss(text[:, :-1], text[:, 1:]),
                           {p.name: p for p in model.parameters()}):
        assert check.error <= 1e-7, str(check)


def plain_gpt(model: GPT, tokens: np.ndarray) -> Tensor:
    """The model once more, from plain ops alone and from its weights by name."""
    w = {p.name: p for p in model.parameters()}

    def norm(x: Tensor, name: str) -> Tensor:
        return plain_layernorm(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def linear(x: Tensor, name: str) -> Tensor:
        y = x @ w[f"{name}.weight"]
        return y + w[f"{name}.bias"] if f"{name}.bias" in w else y

    x = w["tokens.weight"][tokens] + w["positions.weight"][: tokens.shape[1]]
    for i in range(model.config.layers):
        name = f"blocks.{i}"
        qkv = linear(norm(x, f"{name}.norm1"), f"{name}.attention.qkv")
        x = x + linear(plain_causal_attention(qkv, model.config.heads), f"{name}.attention.out")
        x = x + linear(plain_gelu(linear(norm(x, f"{name}.norm2"), f"{name}.mlp.up")), f"{name}.mlp.down")
    table = w["tokens.weight" if model.config.tied else "head.weight"]
    return plain_unembedding(norm(x, "norm"), table)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("T", [1, 5, 9, 70])
def test_the_fused_model_is_the_plain_one(tied: bool, bias: bool, T: int) -> None:
    config = replace(CONFIG, tied=tied, bias=bias, context=max(T, 9))
    fused, plain = (shaken(GPT(config, dtype=np.float64)) for _ in range(2))
    text = np.random.default_rng(T).integers(0, 13, (2, T + 1))
    losses = fused.loss(text[:, :-1],
                        text[:, 1:]), plain_cross_entropy(plain_gpt(plain, text[:, :-1]), text[:, 1:])
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-13)
    for loss in losses:
        backward(loss)
    for p, q in zip(fused.parameters(), plain.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad, rtol=0, atol=1e-12 * abs(q.grad).max(), err_msg=p.name)


def test_no_token_sees_a_later_one() -> None:
    model = shaken(GPT(CONFIG, dtype=np.float64))
    changed = TOKENS.copy()
    changed[:, 5] = (changed[:, 5] + 1) % 13
    before, after = model(TOKENS).data, model(changed).data
    np.testing.assert_allclose(before[:, :5], after[:, :5], rtol=0, atol=1e-13)
    assert (abs(before - after).max(axis=(0, 2))[5:] > 1e-6).all()


def test_a_prefix_gives_the_logits_of_the_whole_and_start_shifts_places() -> None:
    model = shaken(GPT(CONFIG, dtype=np.float64))
    np.testing.assert_allclose(model(TOKENS[:, :4]).data, model(TOKENS).data[:, :4], rtol=0, atol=1e-13)
    shifted = GPT(CONFIG, dtype=np.float64)
    shifted.load_state_dict(model.state_dict())
    shifted.position_table.data = np.roll(model.position_table.data, -3, axis=0)
    np.testing.assert_array_equal(model(TOKENS[:, :4], start=3).data, shifted(TOKENS[:, :4]).data)


def test_a_new_model_knows_nothing() -> None:
    """Small weights: nearly uniform probabilities, a loss near log V."""
    assert GPT(CONFIG).loss(TOKENS, TARGETS).item() == pytest.approx(np.log(13), abs=0.05)
    np.testing.assert_allclose(softmax(GPT(CONFIG)(TOKENS)).data, 1 / 13, atol=0.03)


@pytest.mark.parametrize("sizes", [[4], [1, 3], [1, 1, 1, 1]])
def test_micro_batches_add_up_to_the_batch(sizes: list[int]) -> None:
    """Uneven pieces with uneven numbers of targets, each divided by the global count; dropout is that of the
    whole batch.
    """
    targets = np.where(np.random.default_rng(1).random(TARGETS.shape) < 0.4, -1, TARGETS)
    targets[0] = -1                                                 # a sequence in which nothing counts
    count = int((targets != -1).sum())
    whole, cut = (shaken(GPT(CONFIG, dtype=np.float64)) for _ in range(2))
    loss = whole.loss(TOKENS, targets, dropout=Dropout(0.2, 0, 7, np.arange(4)))
    backward(loss)
    ends = np.cumsum(sizes)
    total = 0.0
    for start, end in zip(ends - sizes, ends, strict=True):
        rows = slice(start, end)
        piece = cut.loss(TOKENS[rows], targets[rows], count=count,
                         dropout=Dropout(0.2, 0, 7, np.arange(4)[rows]))
        backward(piece)
        total += piece.item()
    assert total == pytest.approx(loss.item(), rel=1e-14)
    for p, q in zip(whole.parameters(), cut.parameters(), strict=True):
        np.testing.assert_allclose(q.grad, p.grad, rtol=0, atol=1e-13 * abs(p.grad).max(), err_msg=p.name)


def test_a_local_count_would_be_seen() -> None:
    """Dividing each micro-batch by its own number of targets is wrong wherever the numbers differ."""
    targets = TARGETS.copy()
    targets[0, 3:] = -1
    model = GPT(CONFIG, dtype=np.float64)
    pieces = [model.loss(TOKENS[i : i + 2], targets[i : i + 2]).item() for i in (0, 2)]
    assert abs(np.mean(pieces) - model.loss(TOKENS, targets).item()) > 1e-5


def test_a_tied_hook_fires_once_with_both_uses() -> None:
    model, seen = GPT(CONFIG), []
    model.token_table.weight.on_grad(lambda g: seen.append(g.copy()))
    backward(model.loss(TOKENS, TARGETS))
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], model.token_table.weight.grad)


def test_every_hook_fires_once_in_each_backward() -> None:
    model, fired = GPT(CONFIG), []
    for p in model.parameters():
        p.on_grad(lambda g, name=p.name: fired.append(name))
    for _ in range(2):
        fired.clear()
        backward(model.loss(TOKENS, TARGETS))
        assert sorted(fired) == sorted(p.name for p in model.parameters())


def test_the_attention_core_is_an_argument() -> None:
    model, layers = GPT(CONFIG), []

    def attend(layer: int):
        layers.append(layer)
        return lambda qkv, heads: plain_causal_attention(qkv, heads)

    with no_grad():
        np.testing.assert_allclose(model(TOKENS, attend=attend).data, model(TOKENS).data, atol=1e-6)
    assert layers == [0, 1]


@pytest.mark.parametrize("wrong, words", [
    (lambda model: model(np.zeros(9, int)),              "[B, T]; got ndarray of shape (9,)"),
    (lambda model: model([[1, 2]]),                      "got list of shape (1, 2)"),
    (lambda model: model(Tensor(np.zeros((1, 9), int))), "got Tensor of shape (1, 9)"),
    (lambda model: model(np.zeros((1, 10), int)),        "10 tokens are more than the context of 9"),
    (lambda model: model(TOKENS, start=1),               "10 tokens")])
def test_a_wrong_input_is_named(wrong: Callable[[GPT], object], words: str) -> None:
    with refused(ShapeError, words):
        wrong(GPT(CONFIG))


@pytest.mark.parametrize("wrong, error, item", [
    (lambda model: model.loss(np.zeros((2, 9), int), np.zeros((9, 2), int)), ShapeError, "targets"),
    (lambda model: model.loss(TOKENS, np.full_like(TOKENS, -1)), DataError, "targets"),
    (lambda model: model(np.full((1, 3), 13)), DataError, "vocabulary"),
    (lambda model: model(np.full((1, 3), -1)), DataError, "vocabulary")])
def test_wrong_tokens_and_targets_are_refused(wrong: Callable[[GPT], object], error: type[MiniparError],
                                              item: str) -> None:
    with refused(error, item=item):
        wrong(GPT(CONFIG))
