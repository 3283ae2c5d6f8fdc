"""One body of assertions, run by several ranks: as threads, and under a real mpirun.

    from tests.ranks import ranks

    @ranks(2, 3, 5)
    def test_ring(comm):
        out = comm.sendrecv(...)
        assert ...                                  # every rank asserts; the first failure of any rank fails the test

gives the tests test_ring[threads-2] ... test_ring[mpi-5]. Other parameters stack as usual
(`@pytest.mark.parametrize` below it); under mpirun they travel by pickle. `@ranks(2, engines=["mpi"])` runs
on one engine only; `options` go to `run` or `world`.

All tests that want n ranks under mpirun share one job, since its start costs half a second of the processor
per rank. The ranks run the tests one after the other, each on a communicator of its own; what each rank found
is reported per test. A job that hangs ends within a minute and shows every rank's stack; the tests of the
other modules then get another job. Nothing is skipped: without mpirun the test fails and says what to
install.
"""

from __future__ import annotations

import faulthandler
import importlib
import inspect
import json
import os
import pickle
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from minipar.comm.diagnostics.ledger import Ledger, loose_ends
from minipar.comm.protocol import TAGS, exchange_texts
from minipar.comm.threads import run
from minipar.launcher.launch import Launcher, find_launcher, launch_command, rank_environment

if TYPE_CHECKING:
    from minipar.comm.mpi import MpiComm

ROOT = Path(__file__).parent.parent
HANG = 50  # seconds without progress until the ranks show their stacks

Work = tuple[str, str, dict[str, Any]]  # module, function, and its parameters beside comm
Outcomes = list[list[str]]  # per test, what went wrong, a text per rank that failed


def ranks(*counts: int, mpi: Iterable[int] | None = None, engines: Iterable[str] = ("threads", "mpi"),
          **options: Any) -> Callable[[Callable], Callable]:
    """Run the decorated function(comm, ...) on each of these numbers of ranks, on each engine; `mpi`: on
    these under mpirun.
    """
    numbers = {"threads": counts, "mpi": counts if mpi is None else tuple(mpi)}
    places = [pytest.param((engine, count), marks=pytest.mark.mpi if engine == "mpi" else (),
                           id=f"{engine}-{count}")
              for engine in engines for count in numbers[engine]]

    def decorate(body: Callable[..., Any]) -> Callable[..., Any]:
        def test(request: pytest.FixtureRequest, place: tuple[str, int], **parameters: Any) -> None:
            engine, count = place
            if engine == "threads":
                run(count, lambda comm: body(comm, **parameters), **options)
            elif wrong := outcome(request.node):
                pytest.fail(wrong, pytrace=False)

        test.__name__, test.__doc__, test.__module__ = body.__name__, body.__doc__, body.__module__
        others = [p for name, p in inspect.signature(body).parameters.items() if name != "comm"]
        here = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
                for name in ("request", "place")]
        test.__signature__ = inspect.Signature(here + others)  # type: ignore[attr-defined]
        test.body, test.options = body, options  # type: ignore[attr-defined]
        test.pytestmark = list(getattr(body, "pytestmark", []))  # type: ignore[attr-defined]
        return pytest.mark.parametrize("place", places)(test)

    return decorate


# In the process of pytest: start a job, remember what it found.

_outcomes: dict[str, str] = {}  # a test's id -> what went wrong, "" for nothing


def outcome(item: Any) -> str:
    """What went wrong with this test under mpirun, "" for nothing. The first test of a rank count starts the
    job.
    """
    if item.nodeid not in _outcomes:
        place = item.callspec.params["place"]
        mates = [mate for mate in item.session.items if mate.nodeid not in _outcomes
                 and mate.get_closest_marker("mpi") and hasattr(mate, "callspec")
                 and mate.callspec.params.get("place") == place]
        texts, printed = start(place[1], [work(mate) for mate in mates])
        _outcomes.update({mate.nodeid: "\n".join(found) for mate, found in zip(mates, texts, strict=False)})
        for mate in mates[len(texts):]:                             # the job did not get so far
            if mate.path == mates[len(texts)].path:
                _outcomes[mate.nodeid] = (
                    f"this test did not come to its end under mpirun -n {place[1]}, which said:\n{printed}"
                )
    return _outcomes[item.nodeid]


def work(item: Any) -> Work:
    parameters = {name: value for name, value in item.callspec.params.items() if name != "place"}
    return item.module.__name__, item.function.__name__, parameters


def start(count: int, tests: list[Work]) -> tuple[Outcomes, str]:
    """Run the tests in one job; returns what each that came to its end found, and what the job printed."""
    with tempfile.TemporaryDirectory() as folder:
        todo, found = Path(folder, "todo"), Path(folder, "found")
        todo.write_bytes(pickle.dumps(tests))
        command = [sys.executable, "-W", "error", "-m", "tests.ranks", str(todo), str(found)]
        finished = mpirun(count, command, limit=HANG + 10 * len(tests))
        lines = found.read_text().splitlines() if found.exists() else []
        return [json.loads(line) for line in lines], finished.stdout


@cache
def launcher_in(folders: str) -> Launcher | None:
    """As `find_launcher`, which asks the launcher for its version; here once per process."""
    return find_launcher(folders)


def mpirun(count: int, command: list[str], *, limit: float) -> subprocess.CompletedProcess[str]:
    """Run the command on `count` ranks; returns its exit status and all that it printed. Fails where there is
    no launcher.
    """
    environment = rank_environment(os.environ)
    environment.pop("PYTHONUNBUFFERED", None)  # with it, print writes in pieces, and ranks' lines mix
    launcher = launcher_in(environment["PATH"])
    if launcher is None:
        pytest.fail(f"no mpiexec or mpirun: {sys.executable} -m pip install mpich mpi4py", pytrace=False)
    line = launch_command(launcher, count, command, root=os.geteuid() == 0)
    job = subprocess.Popen(line, env=environment, cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        printed, _ = job.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        job.terminate()
        printed, _ = job.communicate()
        printed += f"\nstopped: not done after {limit:g} s"
    return subprocess.CompletedProcess(line, job.returncode, printed)


# In the ranks: `python -m tests.ranks`, with the file of what to run and the file for what was found.

def main(todo: str, found: str) -> None:
    from minipar.comm.mpi import mpi_job, world
    faulthandler.enable()
    # the modules under test import this file under its name
    sys.modules["tests.ranks"] = sys.modules["__main__"]
    tests: list[Work] = pickle.loads(Path(todo).read_bytes())
    bodies = [vars(importlib.import_module(module))[name].body for module, name, _ in tests]
    with mpi_job(world(timeout=HANG / 2), checked=True) as comm:
        for body, (_, _, parameters) in zip(bodies, tests, strict=True):
            faulthandler.dump_traceback_later(HANG, exit=True)
            texts = attempt(comm.inner, body, parameters)  # type: ignore[attr-defined]
            if comm.rank == 0:
                with open(found, "a", encoding="utf-8") as file:
                    file.write(json.dumps(texts) + "\n")
    faulthandler.cancel_dump_traceback_later()


def attempt(engine: MpiComm, body: Callable[..., Any], parameters: dict[str, Any]) -> list[str]:
    """What went wrong on any rank, or was left over. Each test has a communicator of its own, so that it
    harms no other test.
    """
    from minipar.comm.mpi.headed import Headed
    part, ledger, wrong = engine.split(0, label="world"), Ledger(engine.rank), ""
    try:
        body(Headed(part, ledger), **parameters)  # type: ignore[arg-type]
    except BaseException:
        wrong = f"rank {engine.rank} of {engine.size}:\n{traceback.format_exc()}"
    engine.lookout.leave("finished")  # so that a rank that still waits for this one is told so
    texts = exchange_texts(engine, json.dumps([wrong, ledger.close()]), label="what each rank found",
                           tag=TAGS - 1)
    engine.lookout.rejoin()
    reports = [json.loads(text) for text in texts]
    found = [text for text, _ in reports if text] or loose_ends([page for _, page in reports])
    if not found:
        part.intracomm.Free()  # type: ignore[attr-defined]  # an MPI library has only some thousands
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
