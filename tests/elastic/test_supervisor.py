"""The parts of the supervisor, without a training: deaths are counted, requests are kept, memory is freed."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minipar.cli.elastic_requests import STATE, request, take_request
from minipar.cli.supervised_job import Job, _state, kept
from minipar.cli.supervisor import MOST_ERRORS, Supervisor
from minipar.config import Layout
from minipar.errors import CheckpointError, LayoutError
from minipar.training import supervised
from minipar.training.elastic import smaller_along_dp
from minipar.training.supervised import LOCK, PREFIX, REQUEST, Supervised, supervisors_memory
from tests.commands import call, refused


def supervisor(run: Path, ranks: int = 4, resume: bool = True) -> Supervisor:
    return Supervisor([], run, smaller_along_dp(Layout(dp=4)), ranks, resume)


@pytest.mark.parametrize("deaths, change, left", [
    (0, None, 3), (1, None, 3), (2, None, 2), (4, None, 0), (0, 2, 6), (0, -3, 1), (1, 1, 4), (2, -1, 1),
    (3, -3, 0)])
def test_how_many_ranks_go_on(deaths: int, change: int | None, left: int, tmp_path: Path,
                              capsys: pytest.CaptureFixture[str]) -> None:
    if change is not None:
        (tmp_path / REQUEST).write_text(json.dumps({"change": change}))
    training = supervisor(tmp_path / "run")
    training._after(tmp_path, deaths)
    said = capsys.readouterr().err
    assert training.ranks == left and not (tmp_path / REQUEST).exists()
    assert ("as asked" in said) == (change is not None)
    assert (f"{max(deaths, 1)} of 4 ranks ended" in said) == (deaths > 0 or change is None)


def test_deaths_never_end_a_training_that_has_ranks_but_errors_do(tmp_path: Path) -> None:
    training = supervisor(tmp_path / "run", ranks=20)
    training.last = 5
    for _ in range(2 * MOST_ERRORS):
        training._after(tmp_path, 1)
    assert training.ranks == 20 - 2 * MOST_ERRORS
    with pytest.raises(CheckpointError, match="in a row"):
        for _ in range(MOST_ERRORS):
            training._after(tmp_path, 0)


def test_no_layout_for_the_ranks_that_are_left(tmp_path: Path) -> None:
    for resume in (True, False):
        training = Supervisor([], tmp_path, [Layout(dp=4), Layout(tp=2)], 1, resume)
        with pytest.raises(LayoutError) as caught:
            training._layout()
        assert ("--resume" in str(caught.value)) == resume and caught.value.facts["item"] == "layouts"


def test_a_keeper_notes_signals_only(tmp_path: Path) -> None:
    jobs = {}
    for name, program in (("killed", "import os; os.kill(os.getpid(), 9)"), ("error", "raise SystemExit(3)"),
                          ("fine", "pass"), ("crash", "import os; os.abort()")):
        (tmp_path / name).mkdir()
        jobs[name] = subprocess.Popen(kept(tmp_path / name, [sys.executable, "-S", "-c", program]))
    notes = {
        name: (job.wait(60), [path.read_text() for path in (tmp_path / name).iterdir()])
        for name, job in jobs.items()
    }
    assert notes == {"killed": (137, ["9"]), "error": (3, []), "fine": (0, []), "crash": (134, ["6"])}


RANK = """
import os, sys, time
open(sys.argv[1] + f"/rank-{sys.argv[2]}.pid", "w").write(str(os.getpid()))
time.sleep(60)
"""


@pytest.mark.parametrize(
    "number, count", [(signal.SIGKILL, 1), (signal.SIGKILL, 3), (signal.SIGSEGV, 2), (signal.SIGSTOP, 2)]
)
def test_ranks_that_die_at_once_are_counted(
    number: int, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell stands in for the launcher: when one keeper ends, it kills all keepers and their ranks."""
    monkeypatch.setattr("minipar.cli.supervised_job.STOPPED", 0.2)
    monkeypatch.setattr("minipar.cli.supervised_job.LAST_WORDS", 1.0)
    keepers = [
        " ".join(
            f"'{word}'" for word in kept(tmp_path, [sys.executable, "-c", RANK, str(tmp_path), str(rank)])
        )
        for rank in range(4)
    ]
    job = Job(tmp_path, ["bash", "-c", " & ".join(keepers) + " & wait -n; kill -9 -- -$$"], os.environ)
    killed: list[int] = []

    def kill() -> int:
        if not killed and len(pids := job._pids()) == 4:
            killed.extend(pids[:count])
            for pid in killed:
                os.kill(pid, number)
        return 0

    status, deaths = job.watch(kill)
    assert deaths == count and status != 0
    for _ in range(500):                                            # a killed process ends a little later
        if {_state(pid) for pid in killed} <= {"", "Z"}:
            break
        time.sleep(0.01)
    else:
        pytest.fail("a stopped rank was left")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_memory_of_dead_supervisors_is_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But not that of a living one, of living ranks, or of one that has just started."""
    monkeypatch.setattr(supervised, "Path", lambda name: tmp_path if name == "/dev/shm" else Path(name))
    folders = {name: tmp_path / f"{PREFIX}{name}" for name in ("dead", "living", "ranks", "young", "new")}
    for name, folder in folders.items():
        folder.mkdir()
        if name != "new":
            (folder / LOCK).write_text("")
            (folder / "rank-0.pid").write_text("1")
            if name != "young":
                os.utime(folder / LOCK, (0, 0))
    with locked(folders["ranks"] / "rank-0.pid"), (folders["living"] / LOCK).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with supervisors_memory() as memory:
            assert memory.parent == tmp_path and supervised.is_supervised(memory)
            assert {name for name, folder in folders.items() if folder.exists()} == {"living", "ranks", "young", "new"}
        assert not memory.exists()


def test_a_rank_holds_its_file_while_it_lives(tmp_path: Path) -> None:
    rank = Supervised(tmp_path, 3, 1)
    assert (tmp_path / "rank-3.pid").read_text() == str(os.getpid()) and supervised._is_locked(
        tmp_path / "rank-3.pid"
    )
    assert rank.supervisor_ended()
    rank.leave()
    assert not (tmp_path / "rank-3.pid").exists()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """The folder of a run whose supervisor lives."""
    memory = tmp_path / "memory"
    memory.mkdir()
    (tmp_path / STATE).write_text(
        json.dumps({"memory": str(memory), "ranks": 3, "used": 2, "fewest": 2, "most": 4})
    )
    with locked(memory / LOCK):
        yield tmp_path


def test_requests(running: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("elastic", "add", running, 5) == 0
    assert "3 ranks become 8" in (said := capsys.readouterr().out) and "spare" in said
    assert "under way" in refused(capsys, "elastic", "add", running, 1)
    assert take_request(running / "memory") == 5 and take_request(running / "memory") is None
    assert request(running, -1).ranks == 3 and take_request(running / "memory") == -1
    assert sorted(path.name for path in (running / "memory").iterdir()) == [LOCK]
    for words, said in ((("remove", 2), "at most 1"), (("remove", 10 ** 30), "at most 1"),
                        (("add", 10 ** 30), "too many"), (("add", 0), "0 ranks"),
                        (("remove", -1), "-1 ranks"), (("add", "x"), "int")):
        assert said in refused(capsys, "elastic", words[0], running, words[1])
    assert "already" in refused(capsys, "train", "--elastic", "--out", running)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"change": "x"}', '{"change": true}', '{"change": 1e9}', "{}"]
)
def test_a_request_that_nobody_wrote_is_removed(text: str, tmp_path: Path) -> None:
    (tmp_path / REQUEST).write_text(text)
    assert take_request(tmp_path) == 0 and not (tmp_path / REQUEST).exists()


@pytest.mark.parametrize("state", [
    "", "[]", "{}", '{"memory": 3}', '{"memory": "/"}', '{"memory": "", "ranks": 1}',
    '{"memory": "nowhere", "ranks": 1}', '{"memory": "a\\u0000b", "ranks": 1}',
    '{"memory": "\\ud800", "ranks": 1}'])
def test_a_state_that_no_living_supervisor_wrote(
    state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / STATE).write_text(state)
    assert "no elastic training" in refused(capsys, "elastic", "add", tmp_path, 1)
    os.unlink(tmp_path / STATE)
    os.mkfifo(tmp_path / STATE)
    assert "no elastic training" in refused(capsys, "elastic", "add", tmp_path, 1)
