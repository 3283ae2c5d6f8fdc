"""Every layout trains as one process does: the matrix that the promise names, on threads, under mpirun a
part.

Here every layout takes two of its four sets of options; `python -m tests.proof.test_layouts` runs all four.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from minipar.comm.protocol import Communicator
from minipar.config import Layout
from minipar.errors import LayoutError
from minipar.proof import prove, uneven_case
from minipar.proof.findings import tolerance
from tests.proof.proofs import SMALL, on_threads
from tests.ranks import ranks

SIZES = (1, 2, 3, 4, 8)
LAYOUTS = [Layout(dp=dp, tp=tp, sequence_parallel=sequence) for dp, tp in itertools.product(SIZES, SIZES)
           if dp * tp <= 8
           for sequence in ((False, True) if tp > 1 else (False,))]
# vocabulary, tied, dropout, micro-batches: all 16 combinations, in four quarters that have each value twice;
# layouts take turns.
OPTIONS = list(itertools.product((65, 257), (True, False), (0.0, 0.15), (1, 3)))
QUARTERS = [[OPTIONS[number] for number in quarter]
            for quarter in ((0, 6, 11, 13), (1, 7, 10, 12), (2, 4, 9, 15), (3, 5, 8, 14))]
GRADIENTS = ("flat", "buckets", "parameter", "bitwise")


def name(layout: Layout) -> str:
    return f"dp{layout.dp}-tp{layout.tp}{'-sequence' * layout.sequence_parallel}"


def check(layout: Layout, **values: Any) -> None:
    report = on_threads(layout, **values)
    assert report.proven, (layout, values, report.failed_checks, report.explanations)
    assert report.tolerance == tolerance(values.get("dtype", "float64"))


def test_the_lists_are_those_promised() -> None:
    pairs = {(layout.dp, layout.tp) for layout in LAYOUTS}
    assert pairs == {(1, 1), (1, 2), (1, 3), (1, 4), (1, 8), (2, 1), (2, 2), (2, 3), (2, 4), (3, 1), (3, 2),
                     (4, 1), (4, 2), (8, 1)}
    assert len(LAYOUTS) == 14 + 9 and tolerance("float64") == 1e-12
    assert sorted(itertools.chain(*QUARTERS), key=OPTIONS.index) == OPTIONS
    assert all(len({options[axis] for options in quarter}) == 2 for quarter in QUARTERS for axis in range(4))


@pytest.mark.parametrize("number", range(len(LAYOUTS)), ids=lambda number: name(LAYOUTS[number]))
def test_a_layout_is_one_process(number: int) -> None:
    check_options(number, [number // 4 % 2, number // 4 % 2 + 2])


def check_options(number: int, turns: Sequence[int]) -> None:
    """The layout of this number with these of the four sets of options of its quarter."""
    layout = LAYOUTS[number]
    for turn in turns:
        vocabulary, tied, dropout, pieces = QUARTERS[number % 4][turn]
        how = Layout(dp=layout.dp, tp=layout.tp, sequence_parallel=layout.sequence_parallel,
                     bucket_bytes=3000, gradients=GRADIENTS[(turn + number) % 4])
        check(how, vocabulary=vocabulary, tied=tied, dropout=dropout, micro_batches=pieces)


@pytest.mark.parametrize("layout", [Layout(dp=2, tp=2, sequence_parallel=True), Layout(tp=4),
                                    Layout(dp=3, gradients="buckets")],
                         ids=name)
def test_two_layers_in_their_default_sizes(layout: Layout) -> None:
    check(layout, layers=2, context=11, dropout=0.1)


@pytest.mark.parametrize("layout", [Layout(dp=2, tp=2), Layout(tp=4, sequence_parallel=True),
                                    Layout(dp=4, gradients="bitwise")],
                         ids=name)
def test_single_precision_is_within_as_many_of_its_own_units(layout: Layout) -> None:
    check(layout, dtype="float32")
    assert 5.3e-4 < tolerance("float32") < 5.4e-4
    assert tolerance("float32") / np.finfo(np.float32).eps == pytest.approx(1e-12 / np.finfo(np.float64).eps)


def test_no_biases_and_no_hidden_width() -> None:
    check(Layout(dp=2, tp=3), bias=False, hidden=0)
    check(Layout(tp=2, sequence_parallel=True), bias=False)


@pytest.mark.parametrize("mode", ["selective", "full"])
@pytest.mark.parametrize("layout", [Layout(dp=2, tp=2), Layout(tp=3, sequence_parallel=True),
                                    Layout(dp=3, gradients="buckets", bucket_bytes=3000),
                                    Layout(dp=2, gradients="bitwise")],
                         ids=name)
def test_with_recomputation(layout: Layout, mode: str) -> None:
    """Against one process without: values, gradients, weights, and what is sent."""
    check(layout, layers=2, dropout=0.15, recompute=mode)


def test_shares_are_uneven() -> None:
    """What the matrix is worth: 6 heads over 4 ranks are 2, 2, 1 and 1, and nothing else divides either."""
    case = uneven_case(Layout(dp=2, tp=4, sequence_parallel=True))
    model, train = case.model, case.train
    assert (model.heads, model.vocabulary) == (6, 65)
    assert all(size % 4 for size in (model.heads, model.vocabulary, model.mlp_width, model.context))
    assert train.batch % 2 and train.batch % train.micro_batches


def test_fewer_heads_than_ranks_is_one_clear_error() -> None:
    with pytest.raises(LayoutError, match="6 heads.*tp=8"):
        on_threads(Layout(tp=8), heads=6)


UNDER_MPIRUN: dict[int, list[tuple[Layout, dict[str, Any]]]] = {
    2: [(Layout(dp=2, gradients="buckets", bucket_bytes=3000), dict(dropout=0.1)),
        (Layout(tp=2), dict(tied=False)),
        (Layout(tp=2, sequence_parallel=True), dict(micro_batches=1, vocabulary=257))],
    3: [(Layout(dp=3, gradients="bitwise"), dict(dropout=0.1)),
        (Layout(tp=3, sequence_parallel=True), dict(tied=False))],
    4: [(Layout(dp=2, tp=2, sequence_parallel=True), dict(dropout=0.1)), (Layout(tp=4), dict(vocabulary=257)),
        (Layout(dp=4, gradients="parameter"), dict(tied=False, dtype="float32"))],
    6: [(Layout(dp=3, tp=2, sequence_parallel=True), dict(micro_batches=1, dropout=0.1))],
    8: [(Layout(dp=2, tp=4, sequence_parallel=True), {})],
}


@ranks(*UNDER_MPIRUN, engines=["mpi"])
def test_layouts_under_mpirun(comm: Communicator) -> None:
    for layout, values in UNDER_MPIRUN[comm.size]:
        report = prove(comm, uneven_case(layout, **SMALL | values))
        assert report.proven, (layout, values, report.failed_checks, report.explanations)


if __name__ == "__main__":
    for each in range(len(LAYOUTS)):
        check_options(each, range(4))
        print(name(LAYOUTS[each]), "proven with all its options", flush=True)
