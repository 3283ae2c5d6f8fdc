"""metrics.jsonl, as it may have been left."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minipar.comm.protocol import Communicator
from minipar.comm.threads import run as run_ranks
from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.errors import CheckpointError
from minipar.training import run_folder as runs
from minipar.training.run_folder import RunFolder, read_metrics
from tests.refusals import refused


@pytest.mark.parametrize("content", [b"", b'{"step": 3, "lo', b"\0\0\0\0", b"\xff\xfe", b"7\n",
                                     b'{"loss": 3}\n', b"\n\n"])
def test_what_is_no_line_is_left_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 0, "loss": 2.5}\n{"step": 1, "loss": 2.25}\n' + content)
    assert list(read_metrics(path)) == [{"step": 0, "loss": 2.5}, {"step": 1, "loss": 2.25}]


def test_a_missing_file_has_no_lines(tmp_path: Path) -> None:
    assert list(read_metrics(tmp_path / "none")) == []


META = {"model": asdict(ModelConfig()), "train": asdict(TrainConfig())}


def trainer_after(steps: int) -> Any:
    """The fields of a trainer that `reopen` reads."""
    grid = SimpleNamespace(layout=Layout())
    return SimpleNamespace(model=ModelConfig(), config=TrainConfig(), grid=grid, steps_done=steps)


def test_lines_come_back_exactly_and_those_to_be_done_again_go(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create({})
    for step in range(4):
        run.log(step=step, loss=step / 3)
    run.log(step=3, validation=0.1)
    run.reopen(trainer_after(3), META)
    run.log(step=3, loss=-1.0)
    assert list(read_metrics(run.metrics)) == [{"step": s, "loss": s / 3}
                                               for s in range(3)] + [{"step": 3, "loss": -1.0}]


def test_a_checkpoint_that_cannot_be_read_is_not_to_be_moved_away(tmp_path: Path) -> None:
    loop = tmp_path / "checkpoints" / "step-00000003.npz"
    loop.parent.mkdir()
    loop.symlink_to(loop)                                            # refused to root, too
    with pytest.raises(CheckpointError,
                       match="cannot read .*step-00000003.npz: Too many levels of symbolic links$"):
        RunFolder(tmp_path).latest()


def test_a_rank_that_does_not_write_leaves_no_trace(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", writes=False)
    run.create({})
    run.log(step=0, loss=1.0)
    run.reopen(trainer_after(0), META)
    assert list(tmp_path.iterdir()) == []


def test_one_rank_chooses_the_checkpoint_while_a_training_saves(tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rank looked for the newest one itself: weights of two steps were mixed, exit status 0."""
    def latest(comm: Communicator) -> str:
        folder = RunFolder(tmp_path, writes=comm.rank == 0)
        folder.checkpoints.latest = lambda: folder.checkpoints.path(10 + comm.rank)  # type: ignore[method-assign]
        return folder.latest(comm)[0].name

    monkeypatch.setattr(runs, "load", lambda path, check: ({"weights/w": np.ones(2)}, {"step": 10}))
    monkeypatch.setattr(runs, "require_sound", lambda arrays, path: None)
    assert run_ranks(3, latest) == ["step-00000010.npz"] * 3


@pytest.mark.parametrize("changed", ["arrays", "meta"])
def test_a_checkpoint_replaced_between_two_reads(changed: str, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    turns = iter(range(3))

    def load(path: Path, check: object) -> tuple[dict[str, np.ndarray], dict[str, int]]:
        late = next(turns) == 2
        return {"weights/w": np.full(2, float(late and changed == "arrays"))}, {
            "step": 10 + (late and changed == "meta")
        }

    def latest(comm: Communicator) -> None:
        folder = RunFolder(tmp_path, writes=comm.rank == 0)
        folder.checkpoints.latest = lambda: folder.checkpoints.path(10)  # type: ignore[method-assign]
        with refused(CheckpointError, "replaced"):
            folder.latest(comm)

    monkeypatch.setattr(runs, "load", load)
    monkeypatch.setattr(runs, "require_sound", lambda arrays, path: None)
    run_ranks(3, latest)
