"""What a proof looks at beside the steps: ill-conditioned sizes, forced algorithms, what both doors
refuse.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from minipar.cli import main
from minipar.comm.threads import run
from minipar.config import Layout
from minipar.errors import ConfigError
from minipar.proof import make_reference, prove, uneven_case
from minipar.proof.case import ALGORITHMS
from tests.proof.proofs import SMALL, on_threads


@pytest.mark.parametrize("width, heads, seed", [(3, 3, 0), (3, 1, 1), (4, 2, 2)])
def test_sizes_where_a_last_bit_counts_are_judged_by_the_control(width: int, heads: int, seed: int) -> None:
    report = on_threads(Layout(dp=2, tp=min(2, heads)), layers=3, heads=heads, width=width, seed=seed)
    assert report.proven, report.failed_checks
    # a factor of 1/2 is a difference of 0.5
    assert all(
        one.proven and one.limit < (0.5 if one.item.startswith("mixed") else 0.01) for one in report.findings
    )


def test_a_bug_is_seen_where_the_control_is_large() -> None:
    from minipar.proof.mutants import MUTANTS
    case = uneven_case(Layout(dp=2), **SMALL | dict(layers=3, heads=3, width=3))
    known = make_reference(case)
    with MUTANTS["never-reduced"].planted():
        assert run(2, lambda world: prove(world, case, known))[0].failed_checks[0] == "gradients"


def test_both_doors_refuse_a_width_of_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="width other than 2"):
        uneven_case(Layout(), heads=2, width=2)
    assert main(["verify", "--heads", "2", "--width",
                 "2"]) == 2 and "width other than 2" in capsys.readouterr().err


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name not in ("auto", "hierarchical")])
def test_a_forced_algorithm_is_taken_counted_and_right(algorithm: str,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--dp", "3", "--layers", "1", "--context", "7", "--algorithm", algorithm,
                 "--engine", "threads"]) == 0
    assert f"all_reduce by {algorithm} " in capsys.readouterr().out


def test_hierarchical_sums_follow_the_nodes_but_not_where_ranks_of_tp_hold_copies() -> None:
    """The groups dp of two ranks of tp lie on nodes in different ways; what both hold stays equal in bits."""
    case = replace(uneven_case(Layout(dp=4, tp=2), **SMALL), algorithm="hierarchical")
    known = make_reference(case)
    report = run(8, lambda world: prove(world, case, known), nodes=(0, 0, 0, 1, 1, 1, 1, 1), checked=False)[0]
    assert report.proven, report.failed_checks
    assert "hierarchical" in report.algorithms["all_reduce"] and len(report.algorithms["all_reduce"]) > 1


def test_a_hierarchy_of_one_node_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--dp", "2", "--algorithm", "hierarchical", "--engine", "threads"]) == 2
    error = capsys.readouterr().err
    assert "all ranks are on one node" in error and error.count("\n") == 1


def test_an_algorithm_without_a_formula_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--algorithm", "native"]) == 2
    assert "no all-reduce 'native' has a traffic formula" in capsys.readouterr().err
