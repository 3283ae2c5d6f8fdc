"""kill -9 at any moment leaves the last good checkpoint, and a state that belongs to one step.

A child saves as fast as it can; the parent kills it at a random moment. Arrays and metadata carry the step,
so a mixture of two steps would show; and the child says each step once its save has returned, so a step that
was lost would show.
"""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minipar.checkpoint.archive import load
from minipar.checkpoint.folder import Checkpoints
from minipar.errors import CheckpointError
from tests.checkpoint.kills import kill_often

KILLS = 25

SAVER = """
import sys
import numpy as np
from minipar.checkpoint.folder import Checkpoints

def saver(folder):
    checkpoints, latest = Checkpoints(folder, keep=2), Checkpoints(folder).latest()
    first = 1 + (int(latest.name[5:13]) if latest else 0)
    for step in range(first, first + 10**6):
        arrays = {name: np.full(20_000, step) for name in ("weight", "adam/m", "adam/v")}
        checkpoints.save(step, arrays, {"position": step}, loss=1 / step)
        print(step, flush=True)
"""
# The same, but writing straight into the file's own name: what the rename is there to prevent.
CARELESS = SAVER + """
import contextlib
import minipar.checkpoint.archive

@contextlib.contextmanager
def in_place(path):
    with open(path, "wb", buffering=0) as file:
        yield file

minipar.checkpoint.archive.replacing = in_place
"""


def kill_while_saving(program: str, folder: Path, delay: float) -> int:
    """Run the saver, kill it `delay` seconds after its first save; the last step that it said was safe."""
    command = [sys.executable, "-c", program + "\nsaver(sys.argv[1])", str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        first = child.stdout.readline()
        time.sleep(delay)
        child.kill()
        child.wait()
        # a last line without its end may have been cut short
        said = (first + child.stdout.read()).split("\n")[:-1]
    return int(said[-1])


def test_every_kill_leaves_a_whole_state(tmp_path: Path) -> None:
    moments, leftovers = random.Random(0), 0
    for _ in range(KILLS):
        safe = kill_while_saving(SAVER, tmp_path, moments.uniform(0, 0.03))
        latest = Checkpoints(tmp_path).latest()
        assert latest is not None
        arrays, meta = load(latest)
        assert meta["step"] == meta["position"] >= safe  # the save after it may have been done, but not said
        assert {int(value) for array in arrays.values() for value in array} == {meta["step"]}
        names = [path.name for path in tmp_path.iterdir()]
        leftovers += any(name.endswith(".tmp") for name in names)
        assert len(names) <= 3  # the two that stay, and a leftover or one about to go
    assert leftovers > 0  # some kills did fall into the middle of a write


def test_the_kills_find_a_careless_writer(tmp_path: Path) -> None:
    moments = random.Random(1)
    for _ in range(10 * KILLS):
        kill_while_saving(CARELESS, tmp_path, moments.uniform(0, 0.03))
        latest = Checkpoints(tmp_path).latest()
        assert latest is not None
        try:
            load(latest)
        except CheckpointError:
            return
        for path in tmp_path.iterdir():                              # whole by luck: start afresh
            path.unlink()
    pytest.fail("no kill fell into a write")


def test_a_run_killed_at_any_file_operation_can_be_finished() -> None:
    """A sample of `python -m tests.checkpoint.kills`."""
    assert kill_often(6, seed=5)[1] == []
