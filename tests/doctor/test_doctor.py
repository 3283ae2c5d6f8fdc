"""The doctor: a healthy machine passes, and each planted failure gets the command that fixes it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minipar.cli import doctor as command
from minipar.doctor import checkup
from minipar.doctor.checkup import Host, check_up, crossing, find_library
from minipar.doctor.findings import HealthFinding, broken
from minipar.doctor.smoke import fit
from minipar.launcher.launch import launcher_folders
from minipar.plan.collective_times import Links, ring_all_reduce, tree_all_reduce

FOLDERS = launcher_folders(os.environ)
ENVIRON = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
MPICH, OPENMPI = "HYDRA build details:", "mpiexec (Open MPI) 5.0.11"


def report(**machine: object) -> dict[str, HealthFinding]:
    given = {"environ": ENVIRON, "folders": FOLDERS, "cores": 2, **machine}
    return {finding.name: finding for finding in check_up(Host(**given))}  # type: ignore[arg-type]


def test_this_machine_is_fit() -> None:
    found = report(cores=4)                                         # as many as the race needs
    assert not broken(list(found.values())), found
    assert set(found) == {"Python", "cores", "mpi4py", "launcher", "mpirun", "minipar launch", "links",
                          "ring or tree"}
    assert "measured" in found["ring or tree"].text and "alpha" in found["links"].text


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes a folder whose mpiexec is of this version and runs the given lines; mpi4py's library is said to
    be `on`.
    """
    def make(version: str, lines: str, on: str) -> str:
        monkeypatch.setattr(checkup, "find_library",
                            lambda machine: HealthFinding("mpi4py", "ok", f"4.1.2, on {on}"))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        path = tmp_path / "mpiexec"
        path.write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo '{version}' && exit\n{lines}\n")
        path.chmod(0o755)
        return str(tmp_path)
    return make


def refuses(words: str, flag: str) -> str:
    """A launcher that fails with these words unless it is given the flag; otherwise it answers as a good job
    does.
    """
    return (f"case \"$*\" in *{flag}*) ;; *) echo '{words}' >&2; exit 1;; esac\n"
            "echo '{\"size\":' $2 ', \"alpha\": 1e-6, \"beta\": 1e-9, \"gamma\": 1e-10}'")


@pytest.mark.parametrize("words, flag, remedy", [
    ("There are not enough slots available in the system", "OVERSUBSCRIBE",
     "mpirun --map-by slot:OVERSUBSCRIBE -n 3 COMMAND"),
    ("prterun has detected an attempt to run as root.", "--allow-run-as-root",
     "export OMPI_ALLOW_RUN_AS_ROOT=1")])
def test_open_mpi_refuses(fake: Callable[..., str], words: str, flag: str, remedy: str) -> None:
    found = report(folders=fake(OPENMPI, refuses(words, flag), on="Open MPI 5.0.11"))
    assert found["launcher"].status == "ok" and found["mpirun"].status == "note"
    assert remedy in found["mpirun"].remedy and "minipar launch -n 3 COMMAND" in found["mpirun"].remedy
    assert found["minipar launch"].status == found["links"].status == "ok"  # it gives the flag
    found = report(folders=fake(OPENMPI, refuses(words, "--no-such-flag"), on="Open MPI 5.0.11"))
    assert (
        found["mpirun"].status == found["minipar launch"].status == "broken"
        and remedy in found["mpirun"].remedy
    )


def test_a_job_without_shared_memory(fake: Callable[..., str]) -> None:
    found = report(folders=fake(MPICH, "echo '=   EXIT CODE: 7' >&2; exit 7", on="MPICH 5.0.2"))
    assert (
        "too little space for MPI" in found["minipar launch"].text and "--shm-size" in found["mpirun"].remedy
    )


def test_no_launcher(tmp_path: Path) -> None:
    found = report(folders=str(tmp_path))
    assert found["launcher"] == HealthFinding("launcher", "broken",
                                              "no mpiexec or mpirun beside this Python or on the PATH",
                                        f"{sys.executable} -m pip install mpich")
    assert "mpirun" not in found


def test_the_launcher_belongs_to_another_mpi(fake: Callable[..., str]) -> None:
    """Either the ranks start and none of them hears of the others, or the library refuses to start."""
    alone = "ranks=$2; while [ $ranks -gt 0 ]; do ranks=$((ranks - 1)); echo '{\"size\": 1}'; done"
    refused = "echo 'check_MPIR_CVAR_PMI_VERSION: Runtime environment uses unsupported PMI version PMIx' >&2; exit 16"
    for version, lines, library in ((MPICH, alone, "Open MPI 5.0.11"), (OPENMPI, refused, "MPICH 5.0.2")):
        found = report(folders=fake(version, lines, on=library))
        for name in ("launcher", "mpirun", "minipar launch"):
            assert found[name].status == "broken" and "different MPIs" in found[name].text
            assert found[name].remedy.endswith("-m pip install mpich mpi4py")


def test_a_job_that_hangs(fake: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "LIMIT", 0.3)
    found = report(folders=fake(MPICH, "sleep 60", on="MPICH 5.0.2"))
    assert (
        found["minipar launch"].status == "broken"
        and "did not end within 0.3 s" in found["minipar launch"].text
    )
    assert "minipar.doctor.smoke" in found["minipar launch"].remedy # the command to try by hand


def test_a_failure_that_nobody_knows(fake: Callable[..., str]) -> None:
    found = report(folders=fake("mpiexec by somebody else", "echo 'the licence has run out' >&2; exit 3",
                                on="MPICH 5.0.2"))
    assert found["mpirun"].status == "broken" and found["mpirun"].text.endswith(
        "it ended with: the licence has run out"
    )
    assert "minipar launch" not in found                            # its flags are not known


def test_a_rank_that_is_alone_says_so() -> None:
    """What the fake launchers above stand for: the smoke test under a launcher that tells it nothing."""
    alone = subprocess.run([sys.executable, "-m", "minipar.doctor.smoke", "links"], capture_output=True,
                           text=True)
    assert json.loads(alone.stdout) == {"size": 1}


@pytest.mark.parametrize("error, text, remedy", [
    ("ModuleNotFoundError(\"No module named 'mpi4py'\")", "mpi4py is not installed",
     "-m pip install mpi4py mpich"),
    ("RuntimeError('cannot load MPI library')", "finds no MPI library", "-m pip install mpich"),
    ("ImportError('libmpi.so.40: cannot open shared object')", "built for another MPI",
     "--only-binary :all: mpi4py mpich"),
    ("OSError(__import__('os').kill(__import__('os').getpid(), 7))", "too little space for MPI",
     "--shm-size=1g"),
    ("OSError('ucx_init.c 86: Shared memory error')", "too little space for MPI", "--shm-size=1g"),
    ("OSError(__import__('os').kill(__import__('os').getpid(), 9))", "cannot be imported: killed: Killed",
     "--force"),
    ("OSError('disk on fire')", "cannot be imported: OSError: disk on fire",
     "--force-reinstall --no-cache-dir mpi4py mpich")])
def test_mpi4py_is_missing_or_broken(tmp_path: Path, error: str, text: str, remedy: str) -> None:
    (tmp_path / "mpi4py.py").write_text(f"raise {error}\n")
    found = report(environ={**ENVIRON, "PYTHONPATH": str(tmp_path)})
    assert (
        found["mpi4py"].status == "broken"
        and text in found["mpi4py"].text
        and remedy in found["mpi4py"].remedy
    )
    assert "mpirun" not in found                                    # nothing to try


@pytest.mark.parametrize("variable, value", [("MPI4PY_LIBMPI", "/gone/libmpi.so"),
                                             ("MPI4PY_MPIABI", "unheard-of")])
def test_mpi4py_is_told_to_load_what_is_not_there(variable: str, value: str) -> None:
    found = find_library(Host({**ENVIRON, variable: value}, FOLDERS, cores=2))
    assert (
        found.status == "broken"
        and f"{variable}={value}" in found.text
        and found.remedy == f"unset {variable}"
    )


@pytest.mark.parametrize("threads, cores, status",
                         [("8", 2, "note"), (None, 2, "note"), ("1", 2, "ok"), ("2", 4, "ok")])
def test_blas_threads_and_ranks_fight_for_cores(threads: str | None, cores: int, status: str,
                                                tmp_path: Path) -> None:
    environ = {name: value for name, value in ENVIRON.items() if not name.endswith("_NUM_THREADS")}
    environ |= {"OMP_NUM_THREADS": threads} if threads else {}
    found = report(environ=environ, cores=cores, folders=str(tmp_path))["cores"]
    assert found.status == status and ("OPENBLAS_NUM_THREADS=1" in found.remedy) == (status == "note")


def test_the_command_prints_the_remedy_and_fails(monkeypatch: pytest.MonkeyPatch,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MPI4PY_LIBMPI", "/gone/libmpi.so")
    assert command.run(None) == 1
    assert "repair: unset MPI4PY_LIBMPI" in capsys.readouterr().out
    monkeypatch.setattr(command, "check_up", lambda machine: [HealthFinding("most", "note", "slow", "hurry")])
    assert command.run(None) == 0


def test_the_fit_finds_the_line_and_the_crossing_is_where_the_times_meet() -> None:
    sizes = [8, 1000, 100_000]
    assert fit(sizes, [3e-6 + size * 2e-9 for size in sizes]) == pytest.approx((3e-6, 2e-9))
    links = Links(3e-6, 2e-9, 1e-10)
    assert ring_all_reduce(4, crossing(links),
                           links) == pytest.approx(tree_all_reduce(4, crossing(links), links))
    assert 1000 < crossing(links) < 10_000
