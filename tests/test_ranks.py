"""The tests' own tool fails when it should: on a wrong rank, a waiting rank, a dead rank, a missing
launcher.
"""

from pathlib import Path
from types import SimpleNamespace

import pytest

from minipar.comm.protocol import Communicator
from tests import ranks
from tests.conftest import LONG, unit_of
from tests.ranks import ROOT


@pytest.mark.mpi
def test_what_each_rank_finds_is_reported_per_test() -> None:
    tests = ["passes", "fails_on_one_rank", "fails_while_another_waits", "takes", "takes", "leaves_a_message",
             "dies", "passes"]
    values = [{}, {}, {}, {"number": 3}, {"number": 4}, {}, {}, {}]
    found, printed = ranks.start(2, [("tests.comm.failing", *pair)
                                     for pair in zip(tests, values, strict=True)])
    # how many ranks failed; the last two have no outcome
    assert [len(texts) for texts in found] == [0, 1, 2, 0, 2, 1]
    assert "rank 1 of 2:" in found[1][0] and "AssertionError: rank 1 sees it" in found[1][0]
    assert (
        "CommError: rank 0 of 2: the partner has left, rank 1" in found[2][0]
        and "AssertionError" in found[2][1]
    )
    assert "rank 1 never received a message from rank 0 'lost' sent at failing.py:" in found[5][0]
    assert "rank 1 ended without an error message" in printed


@pytest.mark.mpi
def test_a_job_that_hangs_is_stopped() -> None:
    done = ranks.mpirun(1, ["sleep", "60"], limit=0.3)
    assert done.returncode != 0 and "stopped: not done after 0.3 s" in done.stdout


def test_without_a_launcher_the_tests_fail_and_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "launcher_in", lambda folders: None)
    with pytest.raises(pytest.fail.Exception, match="pip install mpich mpi4py"):
        ranks.mpirun(1, ["true"], limit=1.0)


def test_an_assertion_of_one_thread_fails_the_test(request: pytest.FixtureRequest) -> None:
    @ranks.ranks(3, engines=["threads"])
    def body(comm: Communicator) -> None:
        assert comm.rank != 2, "rank 2 sees it"

    with pytest.raises(AssertionError, match="rank 2 sees it"):
        body(request, ("threads", 3))


class Item:
    """What `outcome` reads of a test that pytest has collected. place: None for one that is not for ranks."""

    def __init__(self, path: str, name: str, place: tuple[str, int] | None = ("mpi", 2)) -> None:
        self.path, self.nodeid, self.session = Path(path), f"{path}::{name}", SimpleNamespace(items=[])
        self.module = self.function = SimpleNamespace(__name__=name)
        if place is not None:
            self.callspec = SimpleNamespace(params={"place": place})
        self.get_closest_marker = lambda marker: True


def test_a_job_that_dies_takes_the_rest_of_its_module_along_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items = [Item("x/a.py", "good"), Item("x/a.py", "dies"), Item("x/a.py", "after"), Item("x/b.py", "other"),
             Item("y/c.py", "elsewhere"), Item("x/b.py", "more", ("mpi", 3)), Item("x/b.py", "plain", None)]
    jobs = []

    def start(count: int, tests: list[ranks.Work]) -> tuple[ranks.Outcomes, str]:
        jobs.append([name for _, name, _ in tests])
        return ([[]], "a rank died") if "dies" in jobs[-1] else ([["wrong on 0", "wrong on 1"]], "")

    monkeypatch.setattr(ranks, "start", start)
    monkeypatch.setattr(ranks, "_outcomes", {})
    for item in items:
        item.session.items = items
    told = [ranks.outcome(item) for item in items[:4]]
    assert jobs == [["good", "dies", "after", "other", "elsewhere"], ["other", "elsewhere"]]
    assert told[0] == "" and told[3] == "wrong on 0\nwrong on 1"
    assert all("did not come to its end under mpirun -n 2, which said:\na rank died" in text
               for text in told[1:3])


def test_tests_of_one_job_stay_together() -> None:
    units = ["tests/a/test_x.py::test_one[mpi-3]", "tests/a/test_y.py::test_two[ring-mpi-3-0]",
             "tests/a/test_y.py::test_two[mpi-4]", "tests/b/test_x.py::test_one[mpi-3]",
             "tests/a/test_y.py::test_two[threads-3]", "tests/a/test_y.py::test_plain",
             *(f"{path}::test_it" for path in LONG)]
    assert [unit_of(test) for test in units] == [
        "mpi-3", "mpi-3", "mpi-4", "mpi-3", "tests/a/test_y.py", "tests/a/test_y.py", *["long"] * len(LONG)]
    assert all((ROOT / path).is_file() for path in LONG)
