"""metrics.jsonl, as it may have been left."""

from __future__ import annotations

from pathlib import Path

import pytest

from minipar.errors import CheckpointError
from minipar.runs import Run, read_metrics


@pytest.mark.parametrize("content", [b"", b'{"step": 3, "lo', b"\0\0\0\0", b"\xff\xfe", b"7\n", b'{"loss": 3}\n', b"\n\n"])
def test_what_is_no_line_is_left_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 0, "loss": 2.5}\n{"step": 1, "loss": 2.25}\n' + content)
    assert list(read_metrics(path)) == [{"step": 0, "loss": 2.5}, {"step": 1, "loss": 2.25}]


def test_a_missing_file_has_no_lines(tmp_path: Path) -> None:
    assert list(read_metrics(tmp_path / "none")) == []


def test_lines_come_back_exactly_and_those_to_be_done_again_go(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.create({})
    for step in range(4):
        run.log(step=step, loss=step / 3)
    run.log(step=3, validation=0.1)
    run.go_on({}, done=3)
    run.log(step=3, loss=-1.0)
    assert list(read_metrics(run.metrics)) == [{"step": s, "loss": s / 3} for s in range(3)] + [{"step": 3, "loss": -1.0}]


def test_a_checkpoint_that_cannot_be_read_is_not_to_be_moved_away(tmp_path: Path) -> None:
    loop = tmp_path / "checkpoints" / "step-00000003.npz"
    loop.parent.mkdir()
    loop.symlink_to(loop)                                            # refused to root, too
    with pytest.raises(CheckpointError, match="cannot read .*step-00000003.npz: Too many levels of symbolic links$"):
        Run(tmp_path).latest()


def test_a_rank_that_does_not_write_leaves_no_trace(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", writes=False)
    run.create({})
    run.log(step=0, loss=1.0)
    run.go_on({}, done=0)
    assert list(tmp_path.iterdir()) == []
