"""The executor: every schedule gives the gradients of one process that takes the same micro-batches one after
the other.

On threads tests/proof/test_pipelines.py proves every schedule under every layout; here they run where it does
not: with fewer micro-batches than stages in bits, under mpirun, through checkpoints, validation, generation
and mistakes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import numpy as np
import pytest

from minipar.comm.protocol import Communicator
from minipar.comm.solo import solo
from minipar.comm.threads import run
from minipar.config import Layout
from minipar.errors import DivergenceError, LayoutError, ScheduleError
from minipar.inference.generate import generate
from minipar.nn import NO_DROPOUT, Part
from minipar.parallel import Grid
from minipar.parallel.pipeline import Execution, MicroBatch, Pipeline
from minipar.parallel.stages import Stages, parts_of, schedule_of
from minipar.parallel.tensor import region_of
from minipar.proof.case import Case, make_trainer, uneven_case
from minipar.proof.findings import Finding, differences, tolerance
from minipar.proof.record import Record, part_of
from minipar.proof.runs import run_rank
from minipar.schedules.generators import SCHEDULES, forward_only
from minipar.schedules.instruction import Instruction
from minipar.training.trainer import Trainer
from tests.ranks import ranks

TRAINING = [name for name in SCHEDULES if name != "inference"]


def case(layout: Layout, **values: Any) -> Case:
    return uneven_case(layout, **dict(layers=9, context=5, batch=9, micro_batches=5, dropout=0.1) | values)


@cache
def serial(of: Case) -> dict[str, Record]:
    """One process that does the same micro-batches in order."""
    return {name: run_rank(solo(), replace(of, reference=True), name).record for name in ("SGD", "AdamW")}


def findings(comm: Communicator, of: Case) -> list[Finding]:
    """What this rank has against one process, over two short trainings."""
    reference = serial(replace(of, layout=Layout()))
    found = []
    for name in ("SGD", "AdamW"):
        mine = run_rank(comm, of, name)
        limits = dict.fromkeys(mine.record, tolerance("float64"))
        found += differences(mine.record, part_of(reference[name], mine), limits, exact=())
    return found


def require_equal(found: list[Finding], bits: bool = False) -> None:
    assert [one for one in found if not one.proven] == []
    if bits:
        assert [one for one in found if one.item in ("gradients", "first update", "SGD weights")
                and not one.bits] == []


@pytest.mark.parametrize("schedule", TRAINING)
def test_a_schedule_is_serial_accumulation_in_every_bit(schedule: str) -> None:
    """Where no weight has a copy, no sum over ranks takes place: with micro-batches in order, bits are
    equal.
    """
    of = case(Layout(pp=4, pipeline=schedule), micro_batches=2, tied=False)
    serial(replace(of, layout=Layout()))
    for found in run(4, findings, of):
        require_equal(found, bits=True)


@ranks(3, engines=["mpi"])
@pytest.mark.parametrize("schedule", TRAINING)
def test_a_tied_table_gets_the_gradient_of_both_ends(comm: Communicator, schedule: str) -> None:
    require_equal(findings(comm, case(Layout(pp=comm.size, pipeline=schedule), tied=True)))


@ranks(4, engines=["mpi"])
@pytest.mark.parametrize("values", [
    dict(tp=2, pipeline="interleaved", virtual=2), dict(dp=2, gradients="bitwise"),
    dict(dp=2, gradients="shared", pipeline="gpipe"), dict(dp=2, gradients="parameter"),
], ids=str)
def test_pipelines_go_with_the_other_axes(comm: Communicator, values: dict[str, Any]) -> None:
    layout = Layout(**{"pp": comm.size // 2, **values})
    of = case(layout, heads=5, width=15)
    reference = of if layout.gradients != "bitwise" else replace(of, train=replace(of.train, micro_batches=1))
    require_equal(findings(comm, reference))


def test_layers_are_shared_out_evenly() -> None:
    assert parts_of(5, 3) == [Part(True, range(2), False), Part(False, range(2, 4), False),
                              Part(False, range(4, 5), True)]
    assert parts_of(5, 1) == [Part(True, range(5), True)]
    for layers, stages, counts, wrong in (
            (2, 3, (), "2 layer.s. over 3 pipeline stages"), (4, 2, (4,), "2 numbers, one per stage"),
            (4, 2, (1, 2), "add up to 4 layers"), (4, 2, (5, -1), "add up to 4 layers"),
            (4, 3, (2, 0, 2), "may be 0")):
        with pytest.raises(LayoutError, match=wrong):
            parts_of(layers, stages, counts)
    with pytest.raises(ScheduleError, match="1b1f"):
        make_trainer(case(Layout(pipeline="1b1f")), "SGD", Grid(solo(), Layout(pipeline="1b1f")),
                     region_of(solo(), 5, False))


def test_a_wrong_schedule_is_named_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"orders": ["F0", "F0 B0"]}')
    with pytest.raises(ScheduleError, match=f"^{file}.*rank 0.*B0 is not among"):
        schedule_of(Layout(pp=2, pipeline=str(file)))


@ranks(2, 3)
def test_a_file_that_tells_each_rank_something_else(comm: Communicator) -> None:
    """Each of the schedules is right, but together they would pair the wrong messages."""
    with TemporaryDirectory() as folder:
        refuses_a_moody_file(comm, Path(folder) / "moody.py")


def refuses_a_moody_file(comm: Communicator, file: Path) -> None:
    file.write_text(f"def schedule(ranks, micro_batches):\n"
                    f"    order = range(micro_batches)[::-1 if {comm.rank} == 1 else 1]\n"
                    f"    return [[f'F{{m}}' for m in order] + [f'B{{m}}' for m in order]] * ranks\n")
    for axis in ("pp", "dp"):
        of = case(Layout(pipeline=str(file), dp=comm.size if axis == "dp" else 1,
                         pp=comm.size if axis == "pp" else 1), micro_batches=4)
        with pytest.raises(ScheduleError, match="moody.py"):
            make_trainer(of, "SGD", Grid(comm, of.layout), region_of(solo(), 5, False))


def test_a_file_is_read_anew_for_each_trainer_and_kept_by_it(tmp_path: Path) -> None:
    """Who edits a schedule in a notebook sees the new one; a run that is under way does not change."""
    file = tmp_path / "mine.json"

    def trainer(text: str) -> Trainer:
        file.write_text(text)
        of = case(Layout(pipeline=str(file)), micro_batches=2)
        return make_trainer(of, "SGD", Grid(solo(), of.layout), region_of(solo(), 5, False))

    first, second = trainer('{"orders": ["F0 F1 B0 B1"]}'), trainer('{"orders": ["F0 B0 F1 B1"]}')
    for one in (first, second):
        one.step()
    programs = [[str(step) for step in next(iter(one.pipelines)).orders[0]] for one in (first, second)]
    assert programs == [["F0@0", "F1@0", "B0@0", "B1@0"], ["F0@0", "B0@0", "F1@0", "B1@0"]]


@pytest.mark.parametrize("schedule", ["interleaved", "zb-v"])
def test_a_validation_goes_round_all_stages_of_a_rank(schedule: str) -> None:
    def validation(comm: Communicator, layout: Layout) -> float:
        return make_trainer(case(layout), "SGD", Grid(comm, layout), region_of(solo(), 5, False)).validate()

    alone = validation(solo(), Layout())
    for loss in run(2, validation, Layout(pp=2, pipeline=schedule)):
        assert abs(loss - alone) <= 1e-12 * alone


def test_sends_of_a_validation_do_not_pile_up() -> None:
    """No gradient comes back to tell that activations have arrived; the first stage asks, and keeps no more
    than are under way.
    """
    begun = [Event() for _ in range(12)]
    waiting: list[int] = []

    @contextmanager
    def watch(instruction: Instruction, execution: Execution) -> Iterator[None]:
        _, stage, micro = instruction
        if stage == 0:
            # the other rank has what was sent two micro-batches ago
            assert micro < 2 or begun[micro - 2].wait(20)
            waiting.append(len(execution.sending))
        else:
            begun[micro].set()
        yield

    def body(comm: Communicator) -> None:
        of = case(Layout(pp=2))
        pipe = Pipeline(make_trainer(of, "SGD", Grid(comm, of.layout), region_of(solo(), 5, False)).stages,
                        forward_only((0, 1), 12), comm, watch)
        tokens = np.zeros((1, 5), np.int64)
        pipe.run([MicroBatch(tokens, tokens, NO_DROPOUT)] * 12, count=1)

    run(2, body)
    assert len(waiting) == 12 and max(waiting) <= 3


@pytest.mark.parametrize("axes", [dict(pp=2), dict(pp=2, pipeline="zb-v"), dict(dp=2, pp=2)], ids=str)
def test_a_weight_that_is_spoilt_on_one_rank_ends_all_of_them(axes: dict[str, Any]) -> None:
    def body(comm: Communicator) -> str:
        trainer = make_trainer(case(layout), "SGD", Grid(comm, layout), region_of(solo(), 5, False))
        for p in trainer.flat.parameters:
            if p.name == "blocks.4.mlp.up.weight":
                p.data[0, 0] = np.inf
        with pytest.raises(DivergenceError) as caught:
            trainer.state()
        return str(caught.value)

    layout = Layout(**axes)
    assert set(run(layout.ranks,
                   body)) == {"before step 0: spoilt weights; it arose first in the weights "
                              "blocks.4.mlp.up.weight; "
                                            "try a lower --lr"}


@ranks(1, 4, mpi=[2])
@pytest.mark.parametrize("schedule", ["1f1b", "interleaved", "zb-v"])
def test_a_checkpoint_goes_on_under_any_layout(comm: Communicator, schedule: str) -> None:
    """Written under a pipeline, read by one process, and the other way round: the arrays are the same, and so
    is the next step.
    """
    def trained(world: Communicator, layout: Layout) -> Any:
        return make_trainer(case(layout), "AdamW", Grid(world, layout), region_of(solo(), 5, False))

    pipe = trained(comm, Layout(pp=comm.size, pipeline=schedule))
    alone = trained(solo(), Layout())
    arrays, meta = alone.state()
    pipe.restore(arrays, meta, "alone")
    back, told = pipe.state()
    assert (back.keys() == arrays.keys()) if comm.rank == 0 else not back
    assert told == meta and all(np.array_equal(back[name], arrays[name]) for name in back)
    one, other = alone.step(), pipe.step()
    assert abs(one.loss - other.loss) <= 1e-12 * one.loss and abs(one.norm - other.norm) <= 1e-12 * one.norm
    back, _ = pipe.state()
    for name, array in alone.state()[0].items() if comm.rank == 0 else ():
        np.testing.assert_allclose(back[name], array, rtol=0, atol=1e-12 * abs(array).max())


@ranks(3, 4, mpi=[4])
@pytest.mark.parametrize("axes", [dict(pipeline="1f1b"), dict(pipeline="interleaved"), dict(pipeline="zb-v"),
                                  dict(tp=2)], ids=str)
def test_every_layout_generates_the_same_text(comm: Communicator, axes: dict[str, Any]) -> None:
    tp = axes.get("tp", 1) if comm.size % 2 == 0 else 1
    layout = Layout(**{**axes, "tp": tp, "pp": comm.size // tp})
    texts = [list(itertools.islice(generate(stages(world, how), [1, 2, 3], seed=3), 12))
             for world, how in ((comm, layout), (solo(), Layout()))]
    assert texts[0] == texts[1] and len(set(texts[0])) > 2


def stages(world: Communicator, layout: Layout) -> Stages:
    of, grid = case(layout), Grid(world, layout)
    return make_trainer(of, "SGD", grid, region_of(grid.tp, 5, False)).stages


UNEVEN = """
def schedule(ranks, micro_batches):
    return [[f"{word}@{stage}" for m in range(micro_batches) for word, stage in zip([f"F{m}"] * 2 + [f"B{m}"] * 2, (0, 2, 2, 0))],
            [f"{kind}{m}@1" for m in range(micro_batches) for kind in "FB"]]
"""


@pytest.mark.parametrize("name, value, place", [
    ("blocks.4.mlp.up.weight", np.nan, "the weights blocks.4.mlp.up.weight"),
    ("blocks.1.mlp.up.bias", 1e308, "the gradient of blocks.1.mlp.up.bias"),
])
def test_a_divergence_has_the_place_that_one_process_finds(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float, place: str) -> None:
    """Every rank names it, whichever of them has the share that is spoilt; also if ranks have unequally many
    stages. Only the gradient of a huge bias is spoilt: this test gives GELU a wrong slope there.
    """
    file = tmp_path / "uneven.py"
    file.write_text(UNEVEN)

    def wrong_slope(x: np.ndarray, y: np.ndarray, slope: np.ndarray) -> None:
        replace_large(x, y, slope)
        slope[x > 1e300] = np.nan

    gelu = import_module("minipar.autograd.fused.gelu")
    replace_large = gelu._replace_large
    monkeypatch.setattr(gelu, "_replace_large", wrong_slope)

    def body(comm: Communicator, layout: Layout) -> None:
        grid = Grid(comm, layout)
        trainer = make_trainer(case(layout, dropout=0), "SGD", grid, region_of(grid.tp, 5, False))
        for p in trainer.flat.parameters:
            if p.name == name:
                spoilt = np.zeros(p.whole, bool)
                spoilt.flat[0] = True
                p.data[p.own(spoilt)] = value
        with pytest.raises(DivergenceError, match=f"it arose first in {place}; try a lower --lr$"):
            trainer.step()

    for layout in (Layout(), Layout(pp=3), Layout(pp=2, pipeline="zb-v"), Layout(pp=2, pipeline=str(file)),
                   Layout(tp=2, pp=2)):
        run(layout.ranks, body, layout)
