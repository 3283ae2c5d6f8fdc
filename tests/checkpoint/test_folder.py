"""A run's checkpoints: which stay, which go, and that the old ones go only after the new one is safe."""

import os
from pathlib import Path

import numpy as np
import pytest

from minipar.checkpoint import folder
from minipar.checkpoint.archive import load
from minipar.checkpoint.folder import Checkpoints
from minipar.errors import CheckpointError, ConfigError
from tests.refusals import refused


def arrays(step: int) -> dict[str, np.ndarray]:
    return {"weight": np.full(4, step)}


def steps(checkpoints: Checkpoints) -> list[int]:
    return [int(name[5:13]) for name in sorted(os.listdir(checkpoints.folder))]


def test_an_empty_or_missing_folder_has_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "none", tmp_path / "file", tmp_path / "file" / "none"):
        assert Checkpoints(place).latest() is None and Checkpoints(place).best() is None


def test_the_folder_is_made_and_the_latest_comes_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "runs" / "a")
    path = checkpoints.save(10, arrays(10), {"seed": 3}, loss=2.5)
    assert path == checkpoints.latest() == checkpoints.best() == tmp_path / "runs" / "a" / "step-00000010.npz"
    loaded, meta = load(path)
    assert loaded["weight"].tolist() == [10] * 4 and meta == {"seed": 3, "step": 10, "loss": 2.5}


@pytest.mark.parametrize("keep, losses, kept", [
    (1, [5, 4, 3, 2], [4]),                                          # the last is the best
    (1, [2, 3, 4, 5], [1, 4]),
    (2, [3, 2, 4, 5, 6], [2, 4, 5]),
    (2, [3, 2, 2, 5, 6], [3, 4, 5]),                                 # of equals, the later
    (3, [None] * 5, [3, 4, 5]),
    (1, [float("nan"), 3, float("inf"), None], [2, 4]),
    (9, [1, 2, 3], [1, 2, 3]),
])
def test_the_last_few_and_the_best_stay(tmp_path: Path, keep: int, losses: list, kept: list[int]) -> None:
    checkpoints = Checkpoints(tmp_path, keep)
    for step, loss in enumerate(losses, start=1):
        checkpoints.save(step, arrays(step), {}, loss)
    assert steps(checkpoints) == kept
    latest, best = checkpoints.latest(), checkpoints.best()
    assert latest == checkpoints.path(len(losses))
    finite = [(loss, -step) for step, loss in enumerate(losses, start=1) if loss is not None
              and np.isfinite(loss)]
    assert best == (checkpoints.path(-min(finite)[1]) if finite else None)


def test_another_process_goes_on_with_the_same_folder(tmp_path: Path) -> None:
    for step, loss in enumerate([3, 1, 2, 2, 2, 2], start=1):
        Checkpoints(tmp_path, keep=2).save(step, arrays(step), {}, loss)  # nothing is remembered in memory
    assert steps(Checkpoints(tmp_path)) == [2, 5, 6]


def test_steps_beyond_eight_digits_are_in_order(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (99_999_999, 100_000_000):
        checkpoints.save(step, arrays(step), {})
    assert checkpoints.latest() == checkpoints.path(100_000_000)


def test_old_ones_go_only_when_the_new_one_is_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(1, arrays(1), {}, loss=1.0)
    checkpoints.save(2, arrays(2), {}, loss=2.0)
    unlink, order = Path.unlink, []

    def noted(path: Path, missing_ok: bool = False) -> None:
        if path.exists():
            order.append((path.name, load(checkpoints.path(3))[1]["step"]))          # step 3 loads by now
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", noted)
    checkpoints.save(3, arrays(3), {}, loss=3.0)
    assert order == [("step-00000002.npz", 3)] and steps(checkpoints) == [1, 3]


def test_a_failed_save_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(1, arrays(1), {})

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(folder, "save", full)
    with refused(CheckpointError, item=str(checkpoints.path(2)), errno=28):
        checkpoints.save(2, arrays(2), {})
    assert checkpoints.latest() == checkpoints.path(1) and load(checkpoints.path(1))[1]["step"] == 1


def test_leftovers_are_no_checkpoints_and_go_with_the_next_save(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, arrays(1), {}, loss=1.0)
    leftover = tmp_path / "step-00000002.npz.0123abcd.tmp"
    leftover.write_bytes(b"half a check")
    # readers remove nothing
    assert checkpoints.latest() == checkpoints.best() == checkpoints.path(1) and leftover.exists()
    checkpoints.save(2, arrays(2), {})
    assert steps(checkpoints) == [1, 2]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "step-final.npz").touch()
    (tmp_path / "config.json").touch()
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step in (1, 2):
        checkpoints.save(step, arrays(step), {})
    assert sorted(os.listdir(tmp_path)) == ["config.json", "step-00000002.npz", "step-final.npz"]


def test_a_damaged_checkpoint_is_never_the_best(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (1, 2, 3):
        checkpoints.save(step, arrays(step), {}, loss=step)
    checkpoints.path(1).write_bytes(checkpoints.path(1).read_bytes()[:-100])
    assert checkpoints.best() == checkpoints.path(2)


def test_the_same_step_can_be_saved_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, arrays(5), {"try": 1})
    checkpoints.save(5, arrays(5), {"try": 2})
    assert load(checkpoints.path(5))[1]["try"] == 2


def test_another_run_in_the_same_folder_loses_nothing(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(2000, arrays(2000), {})
    with refused(CheckpointError, "step 2000", "step 100"):
        Checkpoints(tmp_path, keep=1).save(100, arrays(100), {})
    assert steps(Checkpoints(tmp_path)) == [2000]


@pytest.mark.parametrize("name", ["file", "file/run", "/proc/self/run"])
def test_a_folder_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / name
    with refused(CheckpointError, item=str(folder / "step-00000001.npz")):
        Checkpoints(folder).save(1, arrays(1), {})
    assert (tmp_path / "file").read_bytes() == b""


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot read .*: File name too long"):
        Checkpoints(tmp_path / ("x" * 300)).latest()


def test_at_least_one_stays(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1 checkpoint, not 0"):
        Checkpoints(tmp_path, keep=0)
