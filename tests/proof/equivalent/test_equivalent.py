"""The arguments of `equivalent`: types of arrays, uneven shards, partial sums, mistakes of the caller."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minipar as mp
from minipar.autograd import sum as total
from minipar.errors import MiniparError
from minipar.proof.equivalent.equivalent import EquivalenceReport

X = np.arange(14.0).reshape(7, 2)
GOOD: dict[str, Any] = dict(serial=lambda x: {"y": 2 * x}, parallel=lambda x: {"y": 2 * x}, inputs={"x": X})


def equivalent(ranks: int = 2, **changes: Any) -> EquivalenceReport:
    return mp.run(ranks, lambda comm: mp.equivalent(comm, **{**GOOD, **changes}))[0]


@pytest.mark.parametrize(
    "sharding",
    [mp.Replicated(), mp.Shard(0), mp.Shard(-1), mp.Shard(0, [0, 6, 1]), mp.Partial(), mp.OnRank(1)],
    ids=str,
)
def test_every_way_to_lie_on_the_ranks(sharding: Any) -> None:
    def parallel(x: np.ndarray | None) -> dict:
        return {} if x is None else {"y": 2 * x}
    report = equivalent(3, parallel=parallel, shards={"x": sharding, "y": sharding})
    assert report.proven and report.traffic == [], str(report)


def test_halves_of_integers_and_of_floats_add_up_exactly() -> None:
    for whole in (X, X.astype(int)):
        parts = [mp.Partial().part(whole, rank, 4) for rank in range(4)]
        assert np.array_equal(sum(parts), whole) and parts[0].dtype == whole.dtype


def test_blocks_are_sharded_one_by_one() -> None:
    qkv = np.arange(12.0)
    parts = [mp.Shard(0, blocks=3).part(qkv, rank, 2).tolist() for rank in range(2)]
    assert parts == [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]]


def test_tensors_and_numbers_count_as_arrays() -> None:
    def function(x: np.ndarray, scale: float) -> dict:
        t = mp.Tensor(x, requires_grad=True)
        loss = total(t * t * scale)
        mp.backward(loss)
        return {"loss": loss, "dx": t.grad, "n": x.size}
    report = equivalent(serial=function, parallel=function, inputs={"x": X, "scale": 0.5})
    assert report.proven, str(report)


def test_traffic_is_counted_where_the_function_takes_a_communicator() -> None:
    def parallel(comm: mp.Communicator, x: np.ndarray) -> dict:
        return {"y": mp.all_reduce(comm, 2 * x, label="y")}
    report = equivalent(parallel=parallel, shards={"x": mp.Partial()})
    assert report.proven and report.traffic[0].messages > 0 and report.traffic[0].bytes >= 2 * X.nbytes
    assert json.loads(json.dumps(report.as_dict()))["proven"]


def test_another_dtype_has_a_tolerance_of_as_many_units() -> None:
    half = {"x": X.astype(np.float32)}
    near = lambda x: {"y": 2 * x * np.float32(1 + 1e-5)}           # noqa: E731
    assert equivalent(inputs=half, parallel=near).proven
    assert not equivalent(inputs=half, parallel=near, tolerance=1e-14).proven


@pytest.mark.parametrize("changes, word", [
    (dict(inputs=[X]), "dictionary"), (dict(shards={"z": mp.Replicated()}), "'z'"),
    (dict(shards={"x": 1}), "Shard(axis)"), (dict(shards={"x": mp.OnRank(2)}), "OnRank(2)"),
    (dict(shards={"x": mp.Shard(2)}), "no axis 2"),
    (dict(shards={"x": mp.Shard(0, [3, 3])}), "counts [3, 3]"),
    (dict(shards={"y": mp.Shard(0, blocks=2)}), "equal blocks"), (dict(tolerance=-1.0), "tolerance"),
    (dict(serial=lambda x: 2 * x), "serial returns"), (dict(parallel=lambda x: [x]), "parallel returns"),
    (dict(serial=lambda x: {"y": "text"}), "serial returns under 'y'"),
    (dict(serial=lambda x: 1 / 0), "ZeroDivisionError"),
    (dict(parallel=lambda x: {"y": np.array([None])}), "objects"), (dict(serial=lambda x, more: {}), "more")])
def test_mistakes_of_the_caller_are_one_line(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(MiniparError) as error:
        equivalent(**changes)
    assert word in str(error.value) and "\n" not in str(error.value)


def test_inputs_that_differ_between_ranks_are_refused() -> None:
    with pytest.raises(MiniparError, match="'x' is not the same on all ranks"):
        mp.run(2, lambda comm: mp.equivalent(comm, **{**GOOD, "inputs": {"x": X + comm.rank}}))


def test_another_kind_of_communicator_is_refused() -> None:
    with pytest.raises(MiniparError, match="minipar's communicator"):
        mp.equivalent(None, **GOOD)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint32", "uint64", "int8"])
@pytest.mark.parametrize("right", [0, 1])
def test_wrong_booleans_and_integers_are_explained(dtype: str, right: int) -> None:
    """NumPy does not subtract booleans, and a difference of unsigned integers is not negative."""
    whole = np.full(7, right, dtype)
    whole[3] = 1
    spoilt = whole.copy()
    spoilt[0] = 1 - right
    report = equivalent(serial=lambda x: {"y": whole}, parallel=lambda x: {"y": spoilt})
    finding = report.findings[0]
    assert (finding.proven, report.proven) == (False, False) and "y[0]" in finding.location
    assert dtype == "uint64" or finding.absolute == 1


@pytest.mark.parametrize("change, same", [
    (lambda rank: X, True), (lambda rank: X + rank, False),
    (lambda rank: X.astype(np.float32) if rank else X, False), (lambda rank: X[:rank + 1], False),
    (lambda rank: -0.0 * X if rank else 0.0 * X, False), (lambda rank: 3, True)])
def test_same_on_all_ranks(change: Callable[[int], Any], same: bool) -> None:
    assert mp.run(3, lambda comm: mp.same_on_all_ranks(comm, change(comm.rank))) == [same] * 3
