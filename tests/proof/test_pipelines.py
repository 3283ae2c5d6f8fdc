"""Every layout with a pipeline trains as one process does, whatever the schedule: on threads, and a part
under mpirun.

Here every grid has one schedule. `python -m tests.proof.test_pipelines` tries three on each grid without
tensor parallelism.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from minipar.autograd import Tensor
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.config import COMPRESSED, GRADIENTS, Layout
from minipar.proof import Case, VerificationReport, make_reference, prove, uneven_case
from minipar.proof.bits import ALWAYS, OF_THE_NORM, SGD
from minipar.proof.clues import edge
from minipar.proof.mutants import MUTANTS
from minipar.proof.record import Location, part_of
from minipar.proof.recording import Recording
from minipar.proof.runs import run_rank
from minipar.proof.zoo import trial
from minipar.schedules.generators import SCHEDULES
from minipar.schedules.generators.table import Generator
from minipar.schedules.instruction import Schedule
from tests.proof.proofs import reference
from tests.ranks import ranks

TRAINING = [name for name in SCHEDULES if name != "inference"]
GRIDS = [(dp, pp, tp) for pp, dp, tp in itertools.product(range(2, 9), range(1, 5), range(1, 5)) if dp * pp
         * tp <= 8]
PLACES = [(*grid, sequence) for grid in GRIDS for sequence in ((False, True) if grid[2] > 1 else (False,))]
EXACT = [
    way for way in GRADIENTS if way not in COMPRESSED
]  # tests/parallel/test_compressed.py has the others


def small(layout: Layout, **values: Any) -> Case:
    """One layer more than stages, which does not divide; a batch whose shares give ranks of dp unequal
    micro-batches.
    """
    stages = layout.pp * (layout.virtual or SCHEDULES[layout.pipeline].virtual)
    return uneven_case(layout, **dict(layers=stages + 1, context=9, hidden=19) | values)


def matrix(schedules: int) -> Iterator[Case]:
    """Every grid with one schedule, those without tp with so many; all other choices take turns."""
    turns = [place for place in PLACES if place[2] == 1
             for _ in range(schedules)] + [place for place in PLACES if place[2] > 1]
    for count, (dp, pp, tp, sequence) in enumerate(turns):
        modes = EXACT if dp > 1 and tp == 1 else EXACT[:4]           # sample by sample takes long
        layout = Layout(dp=dp, pp=pp, tp=tp, sequence_parallel=sequence,
                        pipeline=TRAINING[count * 3 % len(TRAINING)],
                        gradients=modes[(count + count // 8) % len(modes)], bucket_bytes=3000)
        yield small(layout, tied=(count // 10 + count) % 3 > 0, dropout=0.15
                    * ((count // 10 + count // 5) % 2), micro_batches=(5, 3, 1, 2)[(count + count // 4) % 4])


CASES = list(matrix(1))


def name(case: Case) -> str:
    layout, model = case.layout, case.model
    return (
        f"dp{layout.dp}-pp{layout.pp}-tp{layout.tp}{'-sequence' * layout.sequence_parallel}-{layout.pipeline}-"
        f"{layout.gradients}-m{case.train.micro_batches}{'-tied' * model.tied}{'-dropout' * (model.dropout > 0)}"
    )


def proven(case: Case) -> VerificationReport:
    known = reference(case.single_process())
    checked = case.layout.tp == 1  # comparing tp's many collectives takes as long as the rest
    report = run(case.layout.ranks, lambda world: prove(world, case, known), checked=checked)[0]
    assert report.proven, (name(case), report.failed_checks, report.explanations,
                           [one.wrong for one in report.traffic])
    return report


def test_the_matrix_is_what_is_promised() -> None:
    """Every place; each schedule with each value of what else a layout and a model can be; each sum over dp
    with both tables.
    """
    whole = list(matrix(3))
    assert len(whole) == 12 * 3 + 12 and {case.layout.pipeline for case in CASES} == set(TRAINING)
    assert len(GRIDS) == 18 and len(PLACES) == 24 and len(TRAINING) == 10 and len(CASES) == 24
    met = {(case.layout.pipeline, kind, value) for case in whole for kind, value in (
        ("tied", case.model.tied), ("dropout", case.model.dropout > 0),
        ("tensor parallel", case.layout.tp > 1), ("data parallel", case.layout.dp > 1),
        ("fewer micro-batches than stages", case.train.micro_batches < case.layout.pp))}
    assert met == set(itertools.product(TRAINING, {kind for _, kind, _ in met}, (False, True)))
    sums = {(case.layout.gradients, case.model.tied) for case in whole if case.layout.dp > 1}
    assert sums == set(itertools.product(EXACT, (False, True)))


@pytest.mark.parametrize("case", CASES, ids=name)
def test_a_layout_is_one_process(case: Case) -> None:
    proven(case)


def test_ranks_of_dp_may_have_unequal_numbers_of_micro_batches() -> None:
    """7 samples over 2 ranks in up to 5 pieces are 4 micro-batches and 3, over 4 ranks in 3 they are 2, 2, 2
    and 1.
    """
    def sent(world: Communicator) -> set[str]:
        sending = run_rank(world, case, "SGD").sent
        return {label for group, op, label in sending if (group, op) == ("pp", "send")}

    case = small(Layout(dp=2, pp=2), micro_batches=5)
    assert case.train.batch == 7
    first, second, *_ = run(4, sent)
    assert first - second == {"activations 3 of stage 0"} and len(second) == 3
    for layout, pieces in ((Layout(dp=2, pp=2, pipeline="zb-v"), 5), (Layout(dp=4, pp=2), 3)):
        proven(small(layout, micro_batches=pieces, dropout=0.15))


@pytest.mark.parametrize("layout, values", [
    (Layout(pp=4, stage_layers=(3, 1, 1, 2)), {}),
    (Layout(pp=4, pipeline="zb-h1", stage_layers=(0, 2, 3, 0)), {}),
    (Layout(pp=2, tp=2, pipeline="interleaved", virtual=3), {}),
    (Layout(pp=3, pipeline="gpipe"), dict(dtype="float32")),
    (Layout(pp=2, dp=2, pipeline="zb-v"), dict(bias=False)), (Layout(pipeline="interleaved", virtual=3), {}),
    (Layout(pp=2, tp=2, pipeline="zb-h1"), dict(recompute="full", dropout=0.15)),
    (Layout(pp=3, dp=2, pipeline="dualpipev"), dict(recompute="selective")),
    (Layout(pp=2, tp=2, sequence_parallel=True), dict(recompute="full", tied=False)),
], ids=str)
def test_more_layouts(layout: Layout, values: dict[str, Any]) -> None:
    proven(small(layout, **dict(layers=sum(layout.stage_layers)) if layout.stage_layers else {}, **values))


# In bits.

@pytest.mark.parametrize("schedule", TRAINING)
def test_a_schedule_is_serial_accumulation_in_every_bit(schedule: str) -> None:
    """But for the norm, a sum over ranks, and what it clips."""
    case = replace(small(Layout(pp=3, pipeline=schedule), tied=False, micro_batches=5, dropout=0.15),
                   serial=True)
    report = proven(case)
    assert report.exact == ALWAYS + SGD and {one.item for one in report.findings
                                             if one.bits} >= {*ALWAYS, *SGD}
    assert {*SGD, *OF_THE_NORM, *ALWAYS, "replicas"} <= {one.item for one in report.findings}


def test_where_bits_are_promised() -> None:
    """Where they are not, they do differ: the promise has a reason."""
    promised = [(Layout(dp=2, pp=2, gradients="bitwise"), dict(tied=False)), (Layout(), {})]
    for layout, values in promised:
        report = proven(replace(small(layout, **values), serial=layout.gradients != "bitwise"))
        assert "gradients" in report.exact and (layout.pp > 1
                                                or len(report.exact) == len(ALWAYS + SGD + OF_THE_NORM))
    for layout, values in ((Layout(pp=2), {}), (Layout(pp=2, dp=2), dict(tied=False)),
                           (Layout(pp=2, tp=2), dict(tied=False))):
        report = proven(replace(small(layout, **values), serial=True))
        assert report.exact == ALWAYS and not all(one.bits for one in report.findings if one.item in SGD)


def test_backwards_in_another_order_are_proven_but_not_in_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in GPipe's paper: the newest activations first."""
    def reversed_gpipe(pp: int, pieces: int) -> Schedule:
        plain = SCHEDULES["gpipe"].make(pp, pieces)
        return replace(plain, name="reversed",
                       orders=tuple((*order[:pieces], *order[:pieces - 1:-1]) for order in plain.orders))

    assert SCHEDULES["gpipe"].make(2, 3).in_order and not reversed_gpipe(2, 3).in_order
    monkeypatch.setitem(SCHEDULES, "reversed", Generator(reversed_gpipe))
    report = proven(replace(small(Layout(pp=2, pipeline="reversed"), tied=False), serial=True))
    found = {one.item: one.bits for one in report.findings}
    assert report.exact == ALWAYS and found["forward"] and found["backward"] and not found["gradients"]


# What belongs to whom, and what is told of a failure.

@cache
def records(case: Case) -> list[Any]:
    known = make_reference(case).records["SGD"]
    return [known, *run(case.layout.ranks, lambda world: part_of(known, run_rank(world, case, "SGD")))]


@pytest.mark.parametrize("layout", [Layout(pp=3), Layout(pp=2, pipeline="interleaved"),
                                    Layout(pp=2, pipeline="zb-v"), Layout(pp=3, stage_layers=(0, 4, 0))],
                         ids=lambda layout: f"{layout.pp} {layout.pipeline}")
def test_together_the_ranks_have_every_location_once(layout: Layout) -> None:
    """But for the tied table, which both ends have, and for losses and norms, which all ranks are told."""
    whole, *parts = records(small(layout, **dict(layers=4) if layout.stage_layers else {}))
    for item, entries in whole.items():
        assert set().union(*(part[item] for part in parts)) == entries.keys()
        for at in entries:
            holders = [rank for rank, part in enumerate(parts) if at in part[item]]
            ends = [0] if layout.pipeline == "zb-v" else [0, layout.pp - 1]
            expected = ends if at.name == "tokens.weight" else holders[:1]
            assert holders == (list(range(layout.pp)) if at.kind == "value" else expected), at


def test_a_location_that_no_rank_has_seen_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    original, lost = Recording.leave, "blocks.1.mlp.down"

    def forgetful(recording: Recording, x: Tensor, label: str) -> Tensor:
        return recording.inner.leave(x, label) if label == lost else original(recording, x, label)

    case = small(Layout(pp=2))
    known = make_reference(case)
    monkeypatch.setattr(Recording, "leave", forgetful)
    report = run(2, lambda world: prove(world, case, known))[0]
    assert report.failed_checks == ["forward", "backward"]
    assert {one.location for one in report.findings if not one.proven} == {
        f"out of {lost} is missing on rank 0"
    }
    assert report.explanations[0].startswith(
        "forward is right into blocks.1.mlp.up and goes wrong out of " + lost
    )


@pytest.mark.parametrize("wrong, expected", [("", (None, None)), ("ac", (None, "a")), ("cb", ("a", "b")),
                                             ("x", ("c", "x"))])
def test_the_first_wrong_location_is_the_first_of_the_computation(wrong: str, expected: tuple) -> None:
    at = {letter: Location("into", letter) for letter in "abcx"}
    assert edge([at[one] for one in "abc"], {at[one] for one in wrong}) == tuple(map(at.get, expected))


def test_the_first_wrong_location_is_that_of_the_first_wrong_stage_not_rank() -> None:
    """Interleaved on two ranks, stages 0 and 2 are on rank 0: of the two stages that go wrong, rank 1 has the
    first.
    """
    bug = MUTANTS["positions-on-every-stage"]
    moved = replace(bug, case=small(Layout(pp=2, pipeline="interleaved")))
    assert (
        "is right out of blocks.1.mlp.down and goes wrong into blocks.2.attention.qkv"
        in trial(moved).explanations[0]
    )


def test_a_tied_table_that_drifts_apart_is_named() -> None:
    said = trial(MUTANTS["tied-table-not-reduced"]).explanations
    assert said[-1] == "replicas drift apart: tokens.weight of SGD weights on ranks 0 and 1 differ"


# Under mpirun.

UNDER_MPIRUN: dict[int, list[Case]] = {
    2: [small(Layout(pp=2, pipeline="zb-v"), dropout=0.15), small(Layout(pp=2), micro_batches=1)],
    3: [small(Layout(pp=3, pipeline="zb-h2"), micro_batches=5),
        small(Layout(pp=3, pipeline="interleaved"), tied=False)],
    4: [small(Layout(dp=2, pp=2, gradients="buckets", bucket_bytes=3000, pipeline="zb-h1"), micro_batches=5),
        small(Layout(pp=2, tp=2, sequence_parallel=True))],
    8: [small(Layout(dp=2, pp=2, tp=2), dropout=0.15)],
}


@ranks(*UNDER_MPIRUN, engines=["mpi"])
def test_pipelines_under_mpirun(comm: Communicator) -> None:
    for case in UNDER_MPIRUN[comm.size]:
        report = prove(comm, case)
        assert report.proven, (name(case), report.failed_checks, report.explanations)


if __name__ == "__main__":
    for number, one in enumerate(matrix(3)):
        proven(one)
        print(number, name(one), "PROVEN", flush=True)
