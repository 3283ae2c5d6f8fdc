"""`minipar train --elastic`: real processes die, are added, lose their supervisor; no bit of the weights changes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from minipar.checkpoint.archive import load
from minipar.checkpoint.folder import Checkpoints
from minipar.training.run_folder import read_metrics
from tests.commands import call, command
from tests.tiny import options, same_bits

STEPS = 200
pytestmark = pytest.mark.mpi


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process that nothing disturbs."""
    folder = tmp_path_factory.mktemp("plain")
    assert call("train", *words(folder), "--out", folder / "run") == 0
    return folder / "run"


def words(folder: Path) -> list[str]:
    return [*options(folder, steps=STEPS, gradients="bitwise"), "--save-every", "50", "--validate-every", "60"]


def started(folder: Path, *more: object) -> subprocess.Popen:
    return subprocess.Popen(command("train", "--elastic", *words(folder), "--out", folder / "run", *more),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def memory_of(job: subprocess.Popen) -> Path:
    """The supervisor's memory: the folder that holds its rank's pid files and was made after it started."""
    for folder in Path("/dev/shm").glob("minipar-elastic-*"):
        if folder.owner() and f"{job.pid}" in _holders(folder):
            return folder
    raise FileNotFoundError


def _holders(folder: Path) -> str:
    """The process that has the folder's lock open."""
    lock = str(folder / "supervisor.lock")
    found = [pid for pid in os.listdir("/proc") if pid.isdigit() and lock in _open_files(pid)]
    return " ".join(found)


def _open_files(pid: str) -> list[str]:
    try:
        return [os.readlink(f"/proc/{pid}/fd/{each}") for each in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []


def wait_for(holds: Callable[[], object], job: subprocess.Popen) -> None:
    for _ in range(1500):
        try:
            if holds():
                return
        except (FileNotFoundError, ValueError):
            pass
        assert job.poll() is None, job.stdout.read()
        time.sleep(0.04)
    raise AssertionError("it did not come in a minute")


def pid_of(memory: Path, rank: int) -> int:
    return int((memory / f"rank-{rank}.pid").read_text())


def newest(memory: Path) -> int:
    path = Checkpoints(memory / "replicas").latest()
    return int(path.stem.removeprefix("step-")) if path else -1


def assert_as_if_undisturbed(run: Path, plain: Path) -> None:
    arrays, expected = (load(Checkpoints(each / "checkpoints").latest())[0] for each in (run, plain))
    assert same_bits(arrays, expected)
    lines, wanted = ([(line["step"], line["loss"]) for line in read_metrics(each / "metrics.jsonl") if "loss" in line]
                     for each in (run, plain))
    assert lines == wanted, "every step stands in the metrics once, with its loss"
    assert not (run / "supervisor.json").exists()


def test_a_rank_is_killed_then_one_is_added(tmp_path: Path, plain: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job = started(tmp_path, "--dp", 3)
    wait_for(lambda: newest(memory_of(job)) >= 3, job)
    memory = memory_of(job)
    os.kill(pid_of(memory, 1), signal.SIGKILL)
    dead = newest(memory)
    wait_for(lambda: newest(memory) > dead + 3, job)
    assert not (memory / "rank-2.pid").exists()
    assert call("elastic", "add", tmp_path / "run", 1) == 0
    output = job.communicate(timeout=100)[0]
    assert job.returncode == 0, output
    assert "1 of 3 ranks ended; 2 go on from step" in output and "2 ranks become 3" in output
    assert_as_if_undisturbed(tmp_path / "run", plain)
    assert not memory.exists()


def test_the_supervisor_is_killed(tmp_path: Path, plain: Path) -> None:
    """The ranks save and end within seconds; --resume goes on to the same bits."""
    job = started(tmp_path, "--layouts", "dp2,dp1")
    wait_for(lambda: newest(memory_of(job)) >= 3, job)
    memory, pids = memory_of(job), [pid_of(memory_of(job), rank) for rank in range(2)]
    os.kill(job.pid, signal.SIGKILL)
    output = job.communicate(timeout=60)[0]                         # ends when the ranks have closed it
    assert "SIGHUP" in output and "saved" in output and not memory.exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert call("train", "--resume", tmp_path / "run", "--gradients", "bitwise") == 0
    (tmp_path / "run" / "supervisor.json").unlink()
    assert_as_if_undisturbed(tmp_path / "run", plain)


def test_it_is_told_to_stop(tmp_path: Path) -> None:
    job = started(tmp_path, "--dp", 2)
    wait_for(lambda: newest(memory_of(job)) >= 2, job)
    job.send_signal(signal.SIGTERM)
    output = job.communicate(timeout=60)[0]
    assert job.returncode == 128 + signal.SIGTERM and "--resume" in output


@pytest.mark.parametrize("more, words_", [
    (["--layouts", "dp2,cp2"], "cp2"), (["--layouts", "dp0"], "dp0"), (["--replica-every", "0"], "--replica-every"),
    (["--engine", "threads"], "--engine"), (["--dp", "99", "--batch", "5"], "dp=99")])
def test_options_that_cannot_be(more: list[str], words_: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call("train", "--elastic", *words(tmp_path), "--out", tmp_path / "run", *more) == 2
    assert words_ in capfd.readouterr().err


@pytest.mark.parametrize("arguments, words_", [
    (("add", "RUN", 1), "no elastic training"), (("remove", "RUN", 0), "0 ranks"), (("add", "nothing", 1), "no elastic")])
def test_elastic_without_a_training(arguments: tuple, words_: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "RUN").mkdir()
    (tmp_path / "RUN" / "supervisor.json").write_text('{"pid": 1, "ranks": "x"}')
    action, folder, number = arguments
    assert call("elastic", action, tmp_path / folder, number) == 2
    assert words_ in capsys.readouterr().err
