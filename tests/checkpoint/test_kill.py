"""kill -9 at any moment leaves the last good checkpoint, and a state that belongs to one step.

A child saves as fast as it can; the parent kills it at a random moment. Arrays and metadata carry the step,
so a mixture of two steps would show; and the child says each step once its save has returned, so a step that
was lost would show.
"""

import contextlib
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from minipar.checkpoint import archive
from minipar.checkpoint.archive import load
from minipar.checkpoint.folder import Checkpoints
from minipar.errors import CheckpointError
from tests.checkpoint.kills import kill_often

KILLS = 25


def save_for_ever(folder: Path, told: int) -> None:
    """Save as fast as possible, and write each saved step to the file descriptor `told`."""
    checkpoints, latest = Checkpoints(folder, keep=2), Checkpoints(folder).latest()
    first = 1 + (int(latest.name[5:13]) if latest else 0)
    for step in range(first, first + 10**6):
        arrays = {name: np.full(20_000, step) for name in ("weight", "adam/m", "adam/v")}
        checkpoints.save(step, arrays, {"position": step}, loss=1 / step)
        os.write(told, f"{step}\n".encode())


def save_carelessly(folder: Path, told: int) -> None:
    """The same, but the writer writes straight into the file's own name: the rename prevents this."""
    @contextlib.contextmanager
    def in_place(path: Path) -> Iterator[IO[bytes]]:
        with open(path, "wb", buffering=0) as file:
            yield file

    archive.replacing = in_place  # type: ignore[assignment, attr-defined]
    save_for_ever(folder, told)


def kill_while_saving(saver: Callable[[Path, int], None], folder: Path, delay: float) -> int:
    """Run the saver in a fork, and kill it `delay` seconds after its first save. Returns the last step that
    it said was safe.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            saver(folder, writing)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading) as pipe:
        first = pipe.readline()
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        # a last line without its end may have been cut short
        said = (first + pipe.read()).split("\n")[:-1]
    return int(said[-1])


def test_every_kill_leaves_a_whole_state(tmp_path: Path) -> None:
    moments, leftovers = random.Random(0), 0
    for _ in range(KILLS):
        safe = kill_while_saving(save_for_ever, tmp_path, moments.uniform(0, 0.03))
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
        kill_while_saving(save_carelessly, tmp_path, moments.uniform(0, 0.03))
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
