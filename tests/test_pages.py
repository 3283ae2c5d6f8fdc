"""The examples, numbers and files in ARCHITECTURE.md and CONTRIBUTING.md agree with the code."""

from __future__ import annotations

import re
import sys
from types import FrameType

import numpy as np
import pytest

from minipar.autograd import Tensor
from minipar.comm.backoff import FIRST_LOOK
from minipar.comm.deadlock.detector import GRACE, LOOKS
from minipar.comm.deadlock.wait_graph import State, stuck
from minipar.comm.job import TIMEOUT
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.counting import Counting
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.data.tokenizer import make_tokenizer
from minipar.parallel.grid import Grid
from minipar.parallel.operators import reduce_from_region
from minipar.parallel.pipeline import AHEAD
from minipar.schedules.find import find_schedule
from minipar.schedules.lower import SendCompleted, lower
from minipar.training.trainer import Trainer
from tests.ranks import ROOT

ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WORDS = " ".join(ARCHITECTURE.split())
PACKAGE = f"{ROOT / 'minipar'}/"


def test_the_grid_of_the_step() -> None:
    """Rank = 4 pp + 2 dp + tp, and the three groups of rank 0 that the text names."""
    def at(comm: Communicator) -> tuple:
        grid = Grid(comm, Layout(dp=2, tp=2, pp=2))
        return grid.at, grid.tp.members, grid.dp.members, grid.pp.members

    ranks = run(8, at)
    assert [4 * at["pp"] + 2 * at["dp"] + at["tp"] for at, *_ in ranks] == list(range(8))
    assert ranks[0][1:] == ((0, 1), (0, 2), (0, 4))
    assert "Ranks 0 and 1 form a tp group, ranks 0 and 2 a dp group, ranks 0 and 4 a pp group" in WORDS
    pieces = [len(rows) for rows in np.array_split(np.arange(TrainConfig().batch // 2), 4)]
    assert f"micro-batches of {pieces[0]}, {pieces[1]}, {pieces[2]} and {pieces[3]}" in WORDS


def executed_files(comm: Communicator) -> set[str]:
    """The files of minipar that one step of this rank executes, relative to the package."""
    text = "to be or not to be, " * 40
    letters = make_tokenizer("char", text)
    model = ModelConfig(vocabulary=letters.vocab_size, context=8, layers=2, heads=2, width=8)
    train = TrainConfig(batch=8, micro_batches=4, steps=2, validation_windows=2)
    trainer = Trainer(model, train, letters, letters.encode(text),
                      Grid(Counting(comm), Layout(dp=2, tp=2, pp=2)))
    found: set[str] = set()

    def record(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            found.add(frame.f_code.co_filename.removeprefix(PACKAGE))

    trainer.step()                                      # only the first step creates groups and caches
    sys.setprofile(record)
    trainer.step()
    sys.setprofile(None)
    return found


def test_the_files_on_the_way_of_a_micro_batch() -> None:
    """Each file that a step executes on ranks 0 and 4 is in the table, and each file of the table is
    executed, unless it belongs to the start, the loop, or MPI.
    """
    section = ARCHITECTURE[ARCHITECTURE.index("**Every file on this way**"):ARCHITECTURE.index("## 4.")]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    listed = {name for row in rows for name in re.findall(r"`([\w/]+\.py)`", row)}
    once = {name for row in rows[:4] for name in re.findall(r"`([\w/]+\.py)`", row)} | {"comm/mpi/engine.py"}
    ranks = run(8, executed_files)
    executed = ranks[0] | ranks[4]
    assert executed - listed == set(), "not in the table"
    assert listed - once - executed == set(), "not executed"


def test_the_value_that_two_ranks_hold_in_part() -> None:
    def whole(comm: Communicator) -> float:
        return reduce_from_region(Tensor(np.array([3.0, 5.0][comm.rank])), comm, "example").item()

    assert run(2, whole) == [8.0, 8.0]


def test_the_program_of_rank_0() -> None:
    program = lower(find_schedule("1f1b", 2, 2, None))[0]
    text = [f"{type(step).__name__} {step.message.what}{step.message.micro}" if hasattr(step, "message")
            else f"{step.kind}{step.micro}" for step in program]
    said = next(line for line in ARCHITECTURE.splitlines() if line.startswith("F0  Send x0"))
    assert re.split(r" {2,}", said) == text
    assert any(isinstance(step, SendCompleted) for step in program)


def test_the_examples_of_the_deadlock_rule() -> None:
    waits = [State("waiting", peer=1), State("waiting", peer=2)]
    assert stuck([*waits, State("running")]) == set()
    assert stuck([*waits, State("finished")]) == {0, 1}
    assert stuck([*waits, State("waiting", peer=0)]) == {0, 1, 2}


def test_the_numbers_of_the_state_diagram() -> None:
    assert f"waited for {1000 * FIRST_LOOK:.0f} ms" in WORDS
    assert f"for {GRACE} s" in WORDS and f"looked {LOOKS} times" in WORDS
    assert f"the limit is over ({TIMEOUT:.0f} s)" in WORDS
    assert "up to two receives ahead" in WORDS and AHEAD == 2


def test_the_program_to_try_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    program = next(block for block in re.findall(r"```python\n(.*?)```", CONTRIBUTING, re.S))
    exec(program, {})
    assert capsys.readouterr().out.split(maxsplit=1)[0] == "0"
