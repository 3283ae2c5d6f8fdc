"""What ARCHITECTURE.md and CONTRIBUTING.md say in examples and numbers is what the code does."""

from __future__ import annotations

import re

import numpy as np
import pytest

from minipar.autograd import Tensor
from minipar.comm.backoff import FIRST_LOOK
from minipar.comm.deadlock.detector import GRACE, LOOKS
from minipar.comm.deadlock.wait_graph import State, stuck
from minipar.comm.job import TIMEOUT
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.config import Layout, TrainConfig
from minipar.parallel.grid import Grid
from minipar.parallel.operators import reduce_from_region
from minipar.parallel.pipeline import AHEAD
from minipar.schedules.find import find_schedule
from minipar.schedules.lower import SendCompleted, lower
from tests.ranks import ROOT

ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WORDS = " ".join(ARCHITECTURE.split())


def test_the_grid_of_the_step() -> None:
    """Rank = 4 pp + 2 dp + tp, and the three groups of rank 0 that the text names."""
    def at(comm: Communicator) -> tuple:
        grid = Grid(comm, Layout(dp=2, tp=2, pp=2))
        return grid.at, grid.tp.members, grid.dp.members, grid.pp.members

    ranks = run(8, at)
    assert [4 * place["pp"] + 2 * place["dp"] + place["tp"] for place, *_ in ranks] == list(range(8))
    assert ranks[0][1:] == ((0, 1), (0, 2), (0, 4))
    assert "Ranks 0 and 1 form a tp group, ranks 0 and 2 a dp group, ranks 0 and 4 a pp group" in WORDS
    pieces = [len(rows) for rows in np.array_split(np.arange(TrainConfig().batch // 2), 4)]
    assert f"micro-batches of {pieces[0]}, {pieces[1]}, {pieces[2]} and {pieces[3]}" in WORDS


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
