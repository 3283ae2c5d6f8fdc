"""Explanations of wrong arrays: each mistake is made by hand in the arrays of 2, 3 and 5 ranks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import minipar as mp
from minipar.proof.equivalent.compare import compare
from minipar.proof.equivalent.sharding import Replicated
from minipar.proof.equivalent.wrong_array import Facts

WHOLE = np.random.default_rng(7).standard_normal((23, 23))
SHARD = mp.Shard(0)
Mistake = Callable[[int, int], np.ndarray]                          # (rank, ranks) -> the array of this rank


def explained(mistake: Mistake, ranks: int, *, sharded: bool, whole: np.ndarray = WHOLE) -> str:
    facts = Facts(range(ranks), ranks, {"the ranks": [list(range(ranks))]})
    got = [{"y": mistake(rank, ranks)} for rank in range(ranks)]
    found = compare({"y": whole}, got, {"y": SHARD if sharded else Replicated()}, 1e-12, facts)
    return found.explanations[0]


def part(rank: int, ranks: int) -> np.ndarray:
    return SHARD.part(WHOLE, rank, ranks).copy()


def changed(index: int | slice, only: Callable[[int, int], bool] = lambda rank, ranks: True) -> Mistake:
    """The shard with other numbers at one index of axis 0."""
    def shard(rank: int, ranks: int) -> np.ndarray:
        own = part(rank, ranks)
        if only(rank, ranks):
            own[index] += 1 + np.arange(23)
        return own
    return shard


def boundary(rank: int, ranks: int) -> np.ndarray:
    own = part(rank, ranks)
    if rank == 0:
        own[0] = 0
    if rank == ranks - 1:
        own[-1] *= 3
    return own


def nudged(rank: int, ranks: int) -> np.ndarray:
    own = part(rank, ranks)
    own[-1, -1] += 1e-9 * (rank == ranks - 1)
    return own


def stale(rank: int, ranks: int) -> np.ndarray:
    """The new weights in the rank's own part, and the old ones elsewhere."""
    rows = np.array_split(np.arange(len(WHOLE)), ranks)[rank]
    own = 0.9 * WHOLE + 0.1
    own[rows] = WHOLE[rows]
    return own


def clipped(rank: int, ranks: int) -> np.ndarray:
    """A target of each other rank is counted at the nearest end of the shard, as by np.clip."""
    own = part(rank, ranks)
    own[0] -= rank > 0
    own[-1] -= rank < ranks - 1
    return own


@pytest.mark.parametrize("ranks", [2, 3, 5])
@pytest.mark.parametrize("mistake, sharded, words", [
    (changed(0), True, "only at the first index"),
    (changed(-1), True, "only at the last index"),
    (changed(0, lambda rank, ranks: rank > 0), True, "only at the first index"),
    (changed(slice(None, None, -1), lambda rank, ranks: rank == 0), True, "right on rank"),
    (boundary, True, "first and the last index of the whole array"),
    (lambda rank, ranks: part(rank, ranks).astype(np.float16).astype(float), True, "precision is lost"),
    (lambda rank, ranks: WHOLE.astype(np.float16).astype(float), False, "precision is lost"),
    (lambda rank, ranks: WHOLE[rank::ranks], True, "round robin"),
    (lambda rank, ranks: np.roll(WHOLE[::-1], 1, 0)[rank::ranks], True, "on other ranks"),
    (lambda rank, ranks: part({0: 1, 1: 0}.get(rank, rank), ranks), True, "the shard of "),
    (lambda rank, ranks: part(0, ranks), True, "the shard of rank 0"),
    (lambda rank, ranks: part(rank, ranks)[::-1], True, "axis 0: the order is reversed"),
    (lambda rank, ranks: part(rank, ranks)[:, ::-1], True, "axis 1: the order is reversed"),
    (nudged, True, "1 of 529 elements differ"),
    (lambda rank, ranks: part(rank, ranks).astype(np.float32).astype(float), True, "precision is lost"),
    (lambda rank, ranks: 0.999 * part(rank, ranks) + 1e-4 * part(rank, ranks) ** 2, True, "not a multiple"),
    (lambda rank, ranks: part(rank, ranks) + rank, True, "off by the same number (0, 1"),
    (lambda rank, ranks: part(rank, ranks) - rank - 1, True, "off by the same number (-1, -2"),
    (lambda rank, ranks: np.concatenate([WHOLE[:-1], 3 + WHOLE[-1:] ** 2]), False, "only at index 22 of axis 0"),
    (lambda rank, ranks: WHOLE.T, False, "transposed"),
    (stale, False, "only in its own part along axis 0: an all-gather is missing"),
    (clipped, True, "clipped to its ends"),
    (lambda rank, ranks: WHOLE * (1 + 1e-8 * np.sign(WHOLE - 1)), False, "or a small addend"),
    (lambda rank, ranks: WHOLE * (rank == 0), False, "nothing arrives there"),
    (lambda rank, ranks: WHOLE * (1 if rank < ranks - 1 else 0.9), False, "0.9"),
])
def test_mistake_is_named(mistake: Mistake, sharded: bool, words: str, ranks: int) -> None:
    assert words in explained(mistake, ranks, sharded=sharded)


@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_wrong_shape_is_that_of_a_wrong_rank(ranks: int) -> None:
    def late(rank: int, ranks: int) -> np.ndarray:
        return np.zeros((4, 4)) if rank == ranks - 1 else part(rank, ranks)

    assert f"has shape (4, 4) on rank {ranks - 1}, not" in explained(late, ranks, sharded=True)


def test_one_number_names_no_cause() -> None:
    """Every wrong number is a multiple of the right one. So it must not hide the array that was wrong before it.
    """
    facts = Facts(range(3), 3, {"the ranks": [[0, 1, 2]]})
    whole = {"x": WHOLE, "loss": np.array(2.0), "y": WHOLE}
    found = compare(whole, [{"x": WHOLE ** 2, "loss": np.array(1.9), "y": WHOLE}] * 3, {}, 1e-12, facts)
    assert [text.split(":")[0] for text in found.explanations] == ["1 of 3 arrays (x)", "1 of 3 arrays (loss)"]
    found = compare(whole, [{"x": WHOLE, "loss": np.array(1.9), "y": 1.7 * WHOLE}] * 3, {}, 1e-12, facts)
    assert [text.split(":")[0] for text in found.explanations] == ["1 of 3 arrays (loss)", "1 of 3 arrays (y)"]
    found = compare(whole, [{"x": WHOLE, "loss": np.array(6.0), "y": WHOLE}] * 3, {}, 1e-12, facts)
    assert "the ranks = 3" in found.explanations[0]


@pytest.mark.parametrize("factor, words", [(6, "dp times tp = 6"), (1 / 6, "1/6 for dp times tp"), (2, "dp = 2"),
                                           (8, "dp times micro-batches = 8"), (12, "tp times micro-batches = 12")])
def test_ratio_is_also_a_product_of_two_sizes(factor: float, words: str) -> None:
    facts = Facts([0, 1, 2, 0, 1, 2], 3, {"dp": [[0, 3], [1, 4], [2, 5]], "tp": [[0, 1, 2], [3, 4, 5]]}, pieces=4)
    found = compare({"y": WHOLE}, [{"y": factor * WHOLE}] * 6, {}, 1e-12, facts)
    assert words in found.explanations[0]


def test_order_of_micro_batches_is_named() -> None:
    """Only one rank holds the array, as the last stage of a pipeline does."""
    facts = Facts(range(2), 2, {"the ranks": [[0, 1]]}, pieces=4)
    backwards = np.concatenate(np.array_split(WHOLE, 4)[::-1])
    found = compare({"y": WHOLE}, [{}, {"y": backwards}], {"y": mp.OnRank(1)}, 1e-12, facts)
    assert "along axis 0: the micro-batches are in the order 3, 2, 1, 0" in found.explanations[0]


def test_vectors_are_named_only_beside_right_matrices() -> None:
    facts = Facts(range(2), 2, {"the ranks": [[0, 1]]})
    row = WHOLE[0]
    alone = compare({"b": row}, [{"b": 2 * row}] * 2, {}, 1e-12, facts).explanations[0]
    beside = compare({"b": row, "w": WHOLE}, [{"b": 2 * row, "w": WHOLE}] * 2, {}, 1e-12, facts).explanations[0]
    assert "only vectors" not in alone and "only vectors" in beside
