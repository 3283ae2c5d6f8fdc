"""`equivalent` accepts the right layers, and finds and explains every planted bug."""

from __future__ import annotations

import pytest

import minipar as mp
from minipar.comm.protocol import Communicator
from tests.proof.equivalent.layers import MiniparOps, Mpi4pyOps
from tests.proof.equivalent.planted import PLANTED, Planted, report, wrong
from tests.ranks import ranks

LAYERS = ("pair", "step", "pipeline")


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_right_layers_are_accepted(size: int) -> None:
    for name in LAYERS:
        for found in mp.run(size, lambda comm, name=name: report(comm, MiniparOps(comm), name, "")):
            assert found.proven and not found.explanations, (name, str(found))


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.bug)
def test_a_planted_bug_is_found_and_explained(planted: Planted) -> None:
    for size in (2, 3, 5):
        found = mp.run(size, lambda comm: report(comm, MiniparOps(comm), planted.layer, planted.bug))
        assert all(one == found[0] for one in found)
        assert not wrong(planted, found[0])


@ranks(2, 3, 5, engines=["mpi"])
def test_the_same_of_programs_in_mpi4py(comm: Communicator) -> None:
    ops = Mpi4pyOps()
    for name in LAYERS:
        assert report(comm, ops, name, "").proven
    for planted in PLANTED:
        assert not wrong(planted, report(comm, ops, planted.layer, planted.bug))
