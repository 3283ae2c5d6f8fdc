"""A sample of the fuzzer's layouts, on few ranks, and the two layouts whose replicas once drifted apart."""

import pytest

from minipar.config import Layout
from minipar.proof import verify
from tests.proof.fuzz import draw, proof


@pytest.mark.parametrize("number", range(5))
def test_random_layouts_are_proven(number: int) -> None:
    report = proof(draw(0, number, ranks=8))
    assert report.proven, (f"seed 0, layout {number} on at most 8 ranks", report.lights)


@pytest.mark.parametrize("gradients", ["flat", "shared", "buckets"])
def test_uneven_ranks_of_tp_keep_their_replicas_equal(gradients: str) -> None:
    report = verify(Layout(dp=3, tp=2, gradients=gradients), context=190, heads=3, width=48, layers=1)
    assert report.proven, report.lights
