"""A sample of the fuzzer's layouts, on few ranks, and layouts whose replicas once drifted apart."""

import pytest

from minipar.config import Layout
from tests.proof.fuzz import Draw, draw, proof

SMALL = dict(layers=1, context=60, heads=3, width=12, hidden=11, vocabulary=13, batch=4)


@pytest.mark.parametrize("number", range(3))
def test_random_layouts_are_proven(number: int) -> None:
    report = proof(draw(0, number, ranks=6))
    assert report.proven, (f"seed 0, layout {number} on at most 6 ranks", report.failed_checks)


@pytest.mark.parametrize("gradients", ["flat", "shared", "buckets"])
def test_uneven_ranks_of_tp_keep_their_replicas_equal(gradients: str) -> None:
    """Links so fast that the short gradients here take the algorithms of long ones, which add by chunks."""
    report = proof(
        Draw(Layout(dp=3, tp=2, gradients=gradients, bucket_bytes=2000), SMALL, None, latency=1e-8)
    )
    assert report.proven, report.failed_checks


def test_replicas_of_dp_whose_ranks_of_tp_lie_on_nodes_in_different_ways() -> None:
    report = proof(Draw(Layout(dp=2, tp=3), SMALL, (0, 1, 1, 1, 1, 1), latency=1e-8))
    assert report.proven, report.failed_checks
