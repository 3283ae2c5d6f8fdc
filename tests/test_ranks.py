"""The tests' own tool fails when it should: on a wrong rank, a waiting rank, a dead rank, a missing launcher."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import ranks


@pytest.mark.mpi
def test_what_each_rank_finds_is_reported_per_test() -> None:
    tests = ["passes", "fails_on_one_rank", "fails_while_another_waits", "takes", "takes", "leaves_a_message", "dies", "passes"]
    values = [{}, {}, {}, {"number": 3}, {"number": 4}, {}, {}, {}]
    found, printed = ranks.start("tests.comm.failing", 2, list(zip(tests, values, strict=True)))
    assert [len(texts) for texts in found] == [0, 1, 2, 0, 2, 1]    # how many ranks failed; the last two have no outcome
    assert "rank 1 of 2:" in found[1][0] and "AssertionError: rank 1 sees it" in found[1][0]
    assert "CommError: rank 0 of 2: the partner has left, rank 1" in found[2][0] and "AssertionError" in found[2][1]
    assert "rank 1 never received a message from rank 0 'lost' sent at failing.py:" in found[5][0]
    assert "rank 1 left without a word" in printed


@pytest.mark.mpi
def test_a_job_that_hangs_is_stopped() -> None:
    done = ranks.mpirun(1, [sys.executable, "-c", "import time; time.sleep(60)"], limit=1.0)
    assert done.returncode != 0 and "stopped: not done after 1 s" in done.stdout


def test_without_a_launcher_the_tests_fail_and_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "find_launcher", lambda folders: None)
    with pytest.raises(pytest.fail.Exception, match="pip install mpich mpi4py"):
        ranks.mpirun(1, ["true"], limit=1.0)


def test_an_assertion_of_one_thread_fails_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("from tests.ranks import ranks\n\n"
                                          "@ranks(3, engines=['threads'])\ndef test_it(comm):\n    assert comm.rank != 2\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path), "--rootdir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ranks.ROOT)
    assert done.returncode == 1 and "1 failed" in done.stdout and "raised by rank 2 of 3" in done.stdout
