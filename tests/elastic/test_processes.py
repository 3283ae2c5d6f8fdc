"""`minipar train --elastic`: real processes die, are added, lose their supervisor; no bit of the weights
changes.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.commands import call, refused
from tests.elastic.processes import difference, memory_of, newest, pid_of, started, wait_for, words

pytestmark = pytest.mark.mpi


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process that nothing disturbs."""
    folder = tmp_path_factory.mktemp("plain")
    assert call("train", *words(folder), "--out", folder / "run") == 0
    return folder / "run"


def assert_as_if_undisturbed(run: Path, plain: Path) -> None:
    assert difference(run, plain) == ""


def test_two_ranks_are_killed_at_once_then_two_are_added(tmp_path: Path, plain: Path) -> None:
    job = started(tmp_path, "--dp", 4)
    run = tmp_path / "run"
    wait_for(lambda: newest(memory_of(run)) >= 3, job)
    memory = memory_of(run)
    for pid in [pid_of(memory, 1), pid_of(memory, 3)]:
        os.kill(pid, signal.SIGKILL)
    dead = newest(memory)
    wait_for(lambda: newest(memory) > dead + 3, job)
    assert (memory / "rank-1.pid").exists() and not (memory / "rank-2.pid").exists()
    assert call("elastic", "add", run, 2) == 0
    wait_for(lambda: (memory / "rank-3.pid").exists(), job)
    assert call("elastic", "remove", run, 1) == 0
    output = job.communicate(timeout=240)[0]
    assert job.returncode == 0, output
    assert "2 of 4 ranks ended; 2 go on from step" in output and "2 ranks become 4" in output
    assert "4 ranks become 3" in output
    assert_as_if_undisturbed(run, plain)
    assert not memory.exists()


def test_the_supervisor_is_killed(tmp_path: Path, plain: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The ranks save and end within seconds; --resume goes on to the same bits."""
    run = tmp_path / "run"
    job = started(tmp_path, "--layouts", "dp2,dp1")
    wait_for(lambda: newest(memory_of(run)) >= 3, job)
    memory = memory_of(run)
    pids = [pid_of(memory, rank) for rank in range(2)]
    assert "runs in" in refused(capfd, "train", "--elastic", "--resume", run)       # not a second supervisor
    assert "at most 1" in refused(capfd, "elastic", "remove", run, 2)               # and this one goes on
    os.kill(job.pid, signal.SIGKILL)
    output = job.communicate(timeout=240)[0]                         # ends when the ranks have closed it
    assert "SIGHUP" in output and "saved" in output and not memory.exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert "no elastic training" in refused(capfd, "elastic", "add", run, 1)
    assert call("train", "--resume", run, "--gradients", "bitwise") == 0
    (run / "supervisor.json").unlink()
    assert_as_if_undisturbed(run, plain)


def test_it_is_told_to_stop(tmp_path: Path) -> None:
    job = started(tmp_path, "--dp", 2)
    wait_for(lambda: newest(memory_of(tmp_path / "run")) >= 2, job)
    job.send_signal(signal.SIGTERM)
    output = job.communicate(timeout=240)[0]
    assert job.returncode == 128 + signal.SIGTERM and "stopped by SIGTERM" in output and "--resume" in output


def test_too_few_ranks_are_left(tmp_path: Path, plain: Path) -> None:
    """No allowed layout fits: one line, nothing is lost, and --resume goes on."""
    run = tmp_path / "run"
    job = started(tmp_path, "--layouts", "dp2")
    wait_for(lambda: newest(memory_of(run)) >= 3, job)
    memory = memory_of(run)
    os.kill(pid_of(memory, 0), signal.SIGKILL)
    output = job.communicate(timeout=240)[0]
    last = output.splitlines()[-1]
    assert (
        job.returncode == 2 and "1 rank is left" in last and f"--resume {run}" in last and not memory.exists()
    )
    assert call("train", "--resume", run, "--gradients", "bitwise") == 0
    assert_as_if_undisturbed(run, plain)


def test_a_training_that_diverges_does_not_start_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert call("train", "--elastic", *words(tmp_path), "--out", tmp_path / "run", "--dp", 2, "--lr", "1e30",
                "--optimizer", "sgd", "--clip", 0, "--warm-up", 0) == 2
    said = capfd.readouterr().err
    assert said.count("try a lower --lr") == 1 and "ranks ended" not in said
    assert not (tmp_path / "run" / "supervisor.json").exists()


@pytest.mark.parametrize("more, words_", [
    (["--layouts", "dp2,cp2"], "cp2"), (["--layouts", "dp0"], "dp0"),
    (["--replica-every", "0"], "--replica-every"), (["--engine", "threads"], "--engine"),
    (["--dp", "99", "--batch", "5"], "dp=99"), (["--layouts", "dp2-dp3"], "dp2-dp3"),
    (["--layouts", "dp2,"], "not a layout"), (["--layouts", "dp2,tp3"], "2 heads over tp=3"),
    (["--tp", "3"], "2 heads"), (["--layouts", "pp9999-tp9999"], "layer"), (["--pp", "2"], "1 layer"),
    (["--dp", "0"], "dp is 0")])
def test_options_that_cannot_be(
    more: list[str], words_: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert words_ in refused(capfd, "train", "--elastic", *words(tmp_path), "--out", tmp_path / "run", *more)
    assert not (tmp_path / "run").exists()


def test_there_is_nothing_to_resume(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No replica, and no checkpoint: the folder is missing, empty, or holds a damaged checkpoint."""
    for name in ("missing", "empty", "damaged"):
        if name != "missing":
            (tmp_path / name / "checkpoints").mkdir(parents=True)
        if name == "damaged":
            (tmp_path / name / "checkpoints" / "step-00000003.npz").write_bytes(b"PK")
        assert name in refused(capfd, "train", "--elastic", "--resume", tmp_path / name, "--dp", 2)
    assert not (tmp_path / "missing").exists() and not list((tmp_path / "empty").glob("*.json"))


@pytest.mark.parametrize("arguments, words_", [
    (("add", "RUN", 1), "no elastic training"), (("remove", "RUN", 0), "0 ranks"),
    (("add", "nothing", 1), "no elastic")])
def test_elastic_without_a_training(
    arguments: tuple, words_: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "RUN").mkdir()
    (tmp_path / "RUN" / "supervisor.json").write_text('{"memory": "/", "ranks": 2}')
    action, folder, number = arguments
    assert call("elastic", action, tmp_path / folder, number) == 2
    assert words_ in capsys.readouterr().err
