"""The bitwise mode: the same bits of weights and losses for every dp and any number of micro-batches."""

from __future__ import annotations

import pytest

from minipar.config import Layout
from tests.proof.proofs import on_threads

SIZES = dict(dropout=0.1, batch=11)


@pytest.mark.parametrize("dtype, pieces", [("float64", (1, 3)), ("float32", (2,))])
def test_all_shares_of_a_batch_end_in_the_same_bits(dtype: str, pieces: tuple[int, ...]) -> None:
    shares = [(dp, micro_batches) for dp in (1, 2, 3, 4, 8) for micro_batches in pieces]
    reports = [on_threads(Layout(dp=dp, gradients="bitwise"), micro_batches=pieces, dtype=dtype, **SIZES)
               for dp, pieces in shares]
    for report in reports:
        assert (
            "clipped norms" in report.exact
            and report.proven
            and all(finding.bits for finding in report.findings if finding.item in report.exact)
        ), report.failed_checks
    assert len({report.fingerprint for report in reports}) == 1


def test_tensor_parallel_adds_its_own_sums_but_dp_changes_no_bit() -> None:
    prints = {on_threads(Layout(dp=dp, tp=2, gradients="bitwise"), micro_batches=pieces, **SIZES).fingerprint
              for dp, pieces in ((1, 1), (2, 3), (3, 1), (4, 2))}
    assert len(prints) == 1
    assert prints != {on_threads(Layout(gradients="bitwise"), **SIZES).fingerprint}


def test_the_other_sums_have_other_bits() -> None:
    """The fingerprint sees what the bitwise mode is for."""
    prints = [on_threads(Layout(dp=dp), **SIZES).fingerprint for dp in (1, 2, 3)]
    assert len(set(prints)) == 3
    assert prints[0] != on_threads(Layout(), **SIZES, seed=1).fingerprint
