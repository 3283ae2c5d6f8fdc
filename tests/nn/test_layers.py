"""Layers ask their region for help at the right places, and shares of a layer pair add up to the whole."""

import numpy as np
import pytest

from minipar.autograd import Tensor, backward, gelu, layernorm, sum
from minipar.errors import DataError
from minipar.nn import (
    SERIAL,
    ColumnParallelLinear,
    LayerNorm,
    Linear,
    Region,
    RowParallelLinear,
    VocabParallelEmbedding,
)

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 4, 6))
TOKENS = rng.integers(0, 11, (2, 4))


class Share(Region):
    """One rank's cuts, uneven; it adds nothing up, and notes what it is asked for."""

    def __init__(self, rank: int, ranks: int):
        self.rank, self.ranks, self.asked = rank, ranks, []

    def shard(self, n: int, what: str) -> slice:
        return slice(n * self.rank // self.ranks, n * (self.rank + 1) // self.ranks)

    def enter(self, x: Tensor, label: str) -> Tensor:
        self.asked.append(("enter", label, x.shape))
        return x

    def leave(self, x: Tensor, label: str) -> Tensor:
        self.asked.append(("leave", label, x.shape))
        return x

    def replicated(self, w: Tensor, label: str) -> Tensor:
        self.asked.append(("replicated", label, w.shape))
        return w


def ready(*layers) -> None:
    for layer in layers:
        layer.initialise(0, np.float64)
        for p in layer.parameters():  # no bias zero; the same numbers for every share of it
            p.data = p.data + p.own(np.random.default_rng(p.size).standard_normal(p.whole))


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
@pytest.mark.parametrize("bias", [True, False])
def test_shares_of_a_pair_add_up_to_the_whole(ranks: int, bias: bool) -> None:
    """The output, the input's gradient, and every weight's gradient put together from the shares'
    gradients.
    """
    pairs = [(ColumnParallelLinear("up", 6, 7, region, bias=bias),
              RowParallelLinear("down", 7, 5, region, bias=False))
             for region in (SERIAL, *(Share(rank, ranks) for rank in range(ranks)))]
    outputs, inputs, g = [], [], rng.standard_normal((2, 4, 5))
    for up, down in pairs:
        ready(up, down)
        inputs.append(Tensor(X, requires_grad=True))
        outputs.append(down(gelu(up(inputs[-1]))))
        backward(outputs[-1], g)
    np.testing.assert_allclose(np.sum([y.data for y in outputs[1:]], axis=0), outputs[0].data, atol=1e-13)
    np.testing.assert_allclose(np.sum([x.grad for x in inputs[1:]], axis=0), inputs[0].grad, atol=1e-13)
    for layer in range(2):
        for whole, *shares in zip(*(pair[layer].parameters() for pair in pairs), strict=True):
            for share in shares:
                np.testing.assert_allclose(share.grad, share.own(whole.grad), atol=1e-13)


def test_the_bias_and_the_residual_come_once_after_the_sum() -> None:
    region = Share(0, 1)
    layer = RowParallelLinear("down", 6, 6, region)
    ready(layer)
    x, residual = Tensor(X), rng.standard_normal(X.shape)
    np.testing.assert_allclose(layer(x, Tensor(residual)).data, X @ layer.weight.data + layer.bias.data
                               + residual, atol=1e-13)
    assert region.asked == [("leave", "down", (2, 4, 6)), ("replicated", "down", (6,))]


def test_parts_of_the_columns_are_cut_alike() -> None:
    """Queries, keys and values of 3 heads of width 2: rank 1 of 2 holds heads 1 and 2 of each."""
    whole, share = (ColumnParallelLinear("qkv", 6, 18, region, parts=3, unit=2)
                    for region in (SERIAL, Share(1, 2)))
    ready(whole, share)
    held = [2, 3, 4, 5, 8, 9, 10, 11, 14, 15, 16, 17]
    np.testing.assert_allclose(share(Tensor(X)).data, whole(Tensor(X)).data[..., held], atol=1e-14)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_shares_of_the_vocabulary_add_up_to_the_whole(ranks: int) -> None:
    tables = [VocabParallelEmbedding("tokens", 11, 6, region)
              for region in (SERIAL, *(Share(r, ranks) for r in range(ranks)))]
    ready(*tables)
    rows = [table.look_up(TOKENS) for table in tables]
    np.testing.assert_array_equal(np.sum([x.data for x in rows[1:]], axis=0), rows[0].data)
    logits = [table.logits(Tensor(X)) for table in tables]
    np.testing.assert_allclose(np.concatenate([z.data for z in logits[1:]], axis=-1), logits[0].data,
                               atol=1e-14)
    for x in rows:
        backward(sum(x * X))
    whole, *shares = (table.weight for table in tables)
    for share in shares:
        np.testing.assert_allclose(share.grad, share.own(whole.grad), atol=1e-14)


def test_where_each_layer_asks() -> None:
    region = Share(0, 1)
    x = Tensor(X)
    norm, up, table = (LayerNorm("norm", 6, region), ColumnParallelLinear("up", 6, 7, region),
                       VocabParallelEmbedding("tokens", 11, 6, region))
    for layer in (norm, up):
        layer(x)
    table.look_up(TOKENS)
    table.logits(x)
    assert [(kind, label) for kind, label, _ in region.asked] == [
        ("replicated", "norm"), ("replicated", "norm"), ("enter", "up"), ("leave", "tokens"),
        ("enter", "tokens")]


def test_linear_and_layernorm() -> None:
    dense, norm = Linear("dense", 6, 3), LayerNorm("norm", 6)
    ready(dense, norm)
    np.testing.assert_allclose(dense(Tensor(X)).data, X @ dense.weight.data + dense.bias.data, atol=1e-14)
    np.testing.assert_array_equal(norm(Tensor(X)).data, layernorm(Tensor(X), norm.weight, norm.bias).data)
    assert Linear("dense", 6, 3, bias=False).bias is None and LayerNorm("norm", 6, bias=False).bias is None


@pytest.mark.parametrize("token", [-1, 11])
@pytest.mark.parametrize("region", [SERIAL, Share(1, 2)])
def test_a_token_outside_the_vocabulary_is_named(token: int, region: Region) -> None:
    with pytest.raises(DataError, match=f"{token}.* the vocabulary has 11"):
        VocabParallelEmbedding("tokens", 11, 6, region).look_up(np.array([[3, token]]))
