"""The parts of the proof one by one, each with something wrong that it must see."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minipar.autograd import IGNORE
from minipar.comm.collectives.gather_values import gathered
from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.config import Layout
from minipar.errors import ConfigError
from minipar.nn import SERIAL
from minipar.parallel.grid import Grid
from minipar.proof import uneven_case
from minipar.proof.case import RUNS, make_trainer
from minipar.proof.clues import ratio
from minipar.proof.findings import Finding, difference, differences, over_ranks
from minipar.proof.record import Location, Record, Seen
from minipar.proof.reference import make_reference
from minipar.proof.replicas import fingerprint, replicas
from tests.ranks import ranks

ONES = np.ones((2, 3))


def record(**arrays: np.ndarray) -> Record:
    return {"gradients": {Location("parameter", name): Seen(array, lambda whole: whole)
                          for name, array in arrays.items()}}


def changed(array: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


@pytest.mark.parametrize("got, want, expected", [
    (ONES, ONES, (0.0, 0.0)),
    # the largest difference is of the others, relative to 4
    (changed(ONES, (1, 1), 3), 4 * ONES, (3.0, 0.75)),
    (changed(ONES, (0, 0), np.nan), ONES, (math.inf, math.inf)),
    (changed(ONES, (0, 0), np.inf), ONES, (math.inf, math.inf)),
    (ONES[:1], ONES, (math.inf, math.inf)),
    (ONES, 0 * ONES, (math.inf, math.inf)),
    (-0.0 * ONES, 0 * ONES, (0.0, 0.0)),
])
def test_differences_are_relative_to_the_largest_element(got: np.ndarray, want: np.ndarray,
                                                         expected: tuple[float, float]) -> None:
    assert difference(got, want) == expected


def test_a_finding_names_the_worst_element() -> None:
    right = record(a=ONES, b=4 * ONES)
    wrong = record(a=changed(ONES, (1, 2), 1 + 1e-9), b=changed(4 * ONES, (0, 1), 4 + 2e-9))
    (found,) = differences(wrong, right, dict(gradients=1e-12), exact=())
    assert found.location == "a[1, 2]" and not found.proven and not found.bits
    assert found.absolute == pytest.approx(2e-9) and found.relative == pytest.approx(1e-9)
    (found,) = differences(record(a=ONES, b=changed(4 * ONES, (0, 1), np.nan)), right, dict(gradients=1e-12),
                           exact=())
    assert found.location == "b[0, 1]" and not found.proven


def test_the_limit_and_the_bits() -> None:
    near = record(a=changed(ONES, (0, 0), 1 + 1e-15))
    (found,) = differences(near, record(a=ONES), dict(gradients=1e-12), exact=())
    assert found.proven and not found.bits
    (found,) = differences(near, record(a=ONES), dict(gradients=1e-12), exact=("gradients",))
    assert not found.proven
    (found,) = differences(record(a=-0.0 * ONES), record(a=0.0 * ONES), dict(gradients=1e-12),
                           exact=("gradients",))
    assert not found.proven and not found.bits


def test_what_is_missing_is_found() -> None:
    for got, want, place in ((record(a=ONES), record(a=ONES, b=ONES), "b is missing"),
                             (record(a=ONES, b=ONES), record(a=ONES), "b is one too many")):
        (found,) = differences(got, want, dict(gradients=1e-12), exact=())
        assert (found.location, found.relative, found.proven) == (place, math.inf, False)
    (found,) = differences(record(a=ONES[:1]), record(a=ONES), dict(gradients=1e-12), exact=())
    assert found.location == "a has shape (1, 3), not (2, 3)"


def test_one_bad_rank_is_enough() -> None:
    fine, bad = Finding("loss", 0.0, 0.0, "", bits=True,
                        proven=True), Finding("loss", 0.1, 0.2, "step 1", bits=False, proven=False)
    assert over_ranks([[fine], [bad], [fine]]) == [Finding("loss", 0.1, 0.2, "step 1 on rank 1", bits=False,
                                                           proven=False)]
    assert over_ranks([[fine], [fine]]) == [fine]


def test_replicas_differ_by_one_bit() -> None:
    one, other = fingerprint(ONES), fingerprint(np.nextafter(ONES, 2))
    same = [{"weight": one, "part 0": one}, {"weight": one, "part 1": other}]
    assert replicas(same).proven                                     # parts are not replicas
    found = replicas([*same, {"weight": other, "part 0": one}])
    assert not found.proven and found.location == "weight on ranks 0 and 2"


@pytest.mark.parametrize("got, expected", [(2.5 * ONES, 2.5), (0 * ONES, 0.0),
                                           (changed(ONES, (0, 0), 2), None), (ONES[:1], None),
                                           (changed(ONES, (0, 0), np.nan), None)])
def test_ratio(got: np.ndarray, expected: float | None) -> None:
    assert ratio(got, ONES) == expected


@ranks(1, 3)
def test_all_ranks_gather_the_same(comm: Communicator) -> None:
    found = gathered(comm, {"rank": comm.rank, "worst": math.inf, "names": ["a"] * comm.rank}, "test")
    assert found == [{"rank": rank, "worst": math.inf, "names": ["a"] * rank} for rank in range(comm.size)]


def test_some_targets_do_not_count_and_nothing_begins_at_zero() -> None:
    case = uneven_case(Layout())
    trainer = make_trainer(case, "SGD", Grid(solo(), Layout()), SERIAL)
    _, targets = trainer.batches.get(0)
    counted = (targets != IGNORE).sum(axis=1)
    assert len(set(counted.tolist())) > 1 and counted.min() > 0 and (targets == IGNORE).any()
    assert all((p.data != 0).all() and len(np.unique(p.data)) == p.data.size for p in trainer.flat.parameters)


def test_adamw_is_clipped_and_sgd_is_not() -> None:
    found = make_reference(uneven_case(Layout(), layers=1, context=9)).records
    assert RUNS["SGD"]["clip"] == 0
    assert all(norm.values > RUNS["AdamW"]["clip"] for norm in found["AdamW"]["clipped norms"].values())


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no size or option depth"):
        uneven_case(Layout(), depth=3)
