"""A run as its folder shows it, and the runs below a folder."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from minipar.checkpoint.claim import claimed, is_claimed
from minipar.errors import CheckpointError
from minipar.tracking import run as tracked
from minipar.tracking.run import find_runs, read_run
from tests.refusals import refused
from tests.tracking.made import make_run


def test_the_figures_of_a_run(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", [3.0, 1.0, 2.0], {1: 1.5, 2: 1.75}, layout={"dp": 2, "tp": 4}))
    assert run.state == "finished" and run.layout.ranks == 8 and run.config["train"]["batch"] > 0
    assert run.figures() == {"steps": 3, "loss": 2.0, "best_loss": 1.0, "validation": 1.75,
                             "best_validation": 1.5, "seconds": 1.5, "tokens": 120.0}


def test_a_number_that_the_log_does_not_have_is_none(tmp_path: Path) -> None:
    empty = read_run(make_run(tmp_path / "empty", [], finished=False)).figures()
    assert empty.pop("steps") == 0 and set(empty.values()) == {None}
    folder = make_run(tmp_path / "short", [])
    (folder / "metrics.jsonl").write_text('{"step": 4, "loss": 2.5}\n')
    figures = read_run(folder).figures()
    assert (
        figures["steps"] == 5 and figures["loss"] == 2.5 and figures["seconds"] is figures["tokens"] is None
    )


def test_the_state_of_a_run(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [1.0], finished=False)
    with claimed(folder):
        assert read_run(folder).state == "running"
    assert read_run(folder).state == "stopped"
    (folder / "summary.txt").touch()
    assert read_run(folder).state == "finished"


def test_looking_at_a_run_does_not_stop_a_training_that_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`is_claimed` locks the folder for a moment. A training that starts in this moment tries again."""
    looking = [os.open(tmp_path, os.O_RDONLY)]
    fcntl.flock(looking[0], fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda seconds: os.close(looking.pop()))
    with claimed(tmp_path):
        assert looking == [] and is_claimed(tmp_path)


def test_a_second_training_in_a_folder_is_still_refused(tmp_path: Path) -> None:
    with claimed(tmp_path), refused(CheckpointError, "another minipar"), claimed(tmp_path):
        pass
    assert not is_claimed(tmp_path) and not is_claimed(tmp_path / "none")


def test_runs_are_found_down_to_a_depth(tmp_path: Path) -> None:
    for name in ("b", "a", "x/c", "x/y/d", "x/y/z/too-deep", "a/inside-a-run"):
        make_run(tmp_path / name, [1.0])
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in find_runs(tmp_path)] == ["a", "b", "x/c", "x/y/d"]
    assert find_runs(tmp_path / "a") == [tmp_path / "a"]


def test_the_search_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracked, "MOST_FOLDERS", 5)
    for number in range(9):
        (tmp_path / str(number)).mkdir()
    with refused(CheckpointError, "more than 5 folders"):
        find_runs(tmp_path)


def test_what_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder, word in ((tmp_path, "holds no run"), (tmp_path / "none", "not a folder"),
                         (tmp_path / "file", "not a folder"), ("a\0b", "not a folder")):
        for read in (read_run, find_runs):
            with refused(CheckpointError, word):
                read(folder)


@pytest.mark.parametrize("content, word", [
    (None, "cannot be read"), (b"", "JSON"), (b"[]", "model, train, layout"), (b"{}", "model"),
    (b"\xff", "UTF-8"), (b"[" * 99_999, "nested"), (b"{" + b" " * (1 << 20), "bytes"),
    ({"model": 3}, "model is 3"), ({"layout": "dp 2 x tp 2"}, "layout"),
    ({"layout": {"dp": "2"}}, "dp is '2'"),
    ({"layout": {"dp": 0}}, "dp is 0"), ({"layout": {"stage_layers": [[1]]}}, "stage_layers"),
    ({"train": {"lr": float("nan")}}, "lr is nan"), ({"train": {"steps": 10**300}}, "steps"),
    ({"model": {"hyper": 1}}, "hyper")])
def test_a_config_that_minipar_did_not_write(content: Any, word: str, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [1.0])
    path = folder / "config.json"
    if isinstance(content, dict):
        content = json.dumps({**json.loads(path.read_text()), **content}).encode()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with refused(CheckpointError, "config.json", word):
        read_run(folder)


def test_a_config_keeps_the_layers_of_its_stages(tmp_path: Path) -> None:
    """JSON has no tuples; the field is one."""
    layout = {"pp": 2, "stage_layers": (3, 1)}
    assert read_run(make_run(tmp_path / "run", [1.0], layout=layout)).layout.stage_layers == (3, 1)
