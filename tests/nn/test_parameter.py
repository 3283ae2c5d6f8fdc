"""A parameter's first value depends on its name, its whole shape and the seed: not on order, neighbours or
cuts.
"""

import numpy as np
import pytest

from minipar.config import ModelConfig
from minipar.nn import GPT, SERIAL, Parameter, Region, Shard, Start

CONFIG = ModelConfig(vocabulary=13, context=8, layers=2, heads=5, width=20, hidden=17, tied=False)


class Share(Region):
    """The cuts of one rank of several, uneven where they must be."""

    def __init__(self, rank: int, ranks: int):
        self.rank, self.ranks = rank, ranks

    def shard(self, n: int, what: str) -> slice:
        return slice(n * self.rank // self.ranks, n * (self.rank + 1) // self.ranks)


def by_name(model: GPT) -> dict[str, Parameter]:
    return {p.name: p for p in model.parameters()}


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_shares_are_slices_of_the_whole_and_cover_it_once(ranks: int) -> None:
    whole = by_name(GPT(CONFIG, seed=3))
    counts = {name: np.zeros(p.whole, int) for name, p in whole.items()}
    for rank in range(ranks):
        for name, p in by_name(GPT(CONFIG, seed=3, region=Share(rank, ranks))).items():
            np.testing.assert_array_equal(p.data, p.own(whole[name].data))
            assert p.whole == whole[name].shape and p.size == whole[name].data.size
            np.add.at(counts[name].reshape(-1), p.own(np.arange(p.size).reshape(p.whole)).reshape(-1), 1)
    for name, count in counts.items():
        assert (count == (1 if whole[name].shard else ranks)).all(), name


def test_heads_stay_together_in_queries_keys_and_values() -> None:
    """Rank 1 of 2 holds heads 2, 3, 4 of each part; a head is 4 columns."""
    p = by_name(GPT(CONFIG, region=Share(1, 2)))["blocks.0.attention.qkv.weight"]
    assert p.shard == Shard(1, (slice(8, 20), slice(28, 40), slice(48, 60)))


def test_order_and_neighbours_do_not_matter() -> None:
    names = ["a", "b", "c"]
    forwards, backwards = ([Parameter(name, (3, 4), Start(std=1.0)) for name in order]
                           for order in (names, names[::-1]))
    for p in forwards + backwards[1:]:
        p.initialise(7, np.dtype(np.float64))
    for p, q in zip(forwards, backwards[::-1], strict=True):
        if q.name != "c":
            np.testing.assert_array_equal(p.data, q.data)
    deep, shallow = GPT(ModelConfig(13, 8, 3, 2, 8)), GPT(ModelConfig(13, 8, 3, 2, 8, tied=False, bias=False))
    for name, p in by_name(shallow).items():
        if name in by_name(deep):
            np.testing.assert_array_equal(p.data, by_name(deep)[name].data)


def test_no_two_parameters_start_alike() -> None:
    values = [p.data.reshape(-1)[:8].tobytes() for p in GPT(ModelConfig(13, 8, 4, 2, 8)).parameters()
              if p.ndim >= 2]
    assert len(set(values)) == len(values)
    assert (
        GPT(CONFIG, seed=1).token_table.weight.data[0, 0] != GPT(CONFIG, seed=2).token_table.weight.data[0, 0]
    )


def test_precisions_start_from_the_same_numbers() -> None:
    double, single = by_name(GPT(CONFIG, dtype=np.float64)), by_name(GPT(CONFIG, dtype=np.float32))
    for name, p in single.items():
        assert p.dtype == np.float32
        np.testing.assert_array_equal(p.data, double[name].data.astype(np.float32))


def test_gpt2_starts_with_its_standard_deviations() -> None:
    config = ModelConfig(vocabulary=500, context=100, layers=8, heads=2, width=100)
    for name, p in by_name(GPT(config, dtype=np.float64)).items():
        mean, std = {"bias": (0, 0), "weight": (1, 0) if "norm" in name else (0, 0.02)}[name.split(".")[-1]]
        if name.endswith(("attention.out.weight", "mlp.down.weight")):
            std /= 4                                                # sqrt(2 x 8 layers)
        n = p.data.size
        assert abs(p.data.mean() - mean) <= 5 * std / np.sqrt(n), name
        assert abs(p.data.std() - std) <= 5 * std / np.sqrt(2 * n), name


def test_cuts_of_shapes_and_of_arrays_agree() -> None:
    whole = np.arange(60).reshape(3, 10, 2)
    shard = Shard(1, (slice(2, 4), slice(7, 10)))
    assert shard.shape(whole.shape) == shard.take(whole).shape == (3, 5, 2)
    np.testing.assert_array_equal(shard.take(whole), whole[:, [2, 3, 7, 8, 9]])
    assert Shard(0, (slice(1, 1),)).shape((3, 2)) == Shard(0, (slice(1, 1),
                                                               )).take(np.zeros((3, 2))).shape == (0, 2)


def test_until_initialised_a_parameter_is_zero() -> None:
    p = Parameter("p", (2, 6), Start(std=1.0), Shard(1, (slice(1, 3),)))
    assert p.shape == (2, 2) and (p.data == 0).all() and p.requires_grad
    assert repr(p) == "Parameter(p, (2, 2) of (2, 6), float32)"
    assert SERIAL.shard(5, "heads") == slice(0, 5)
