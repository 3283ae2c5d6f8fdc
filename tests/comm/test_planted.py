"""116 wrong programs (`tests/comm/planted`) on two engines: each ends by itself with the right message."""

import re

import pytest

from minipar.comm.protocol import Communicator
from tests.comm.planted.__main__ import ENDINGS, TABLE
from tests.comm.planted.play import PLANTED, Ending, play, wrong
from tests.comm.planted.table import Planted
from tests.ranks import ROOT

ENGINES = ["threads", pytest.param("mpi", marks=pytest.mark.mpi)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", PLANTED)
def test_a_wrong_program_explains_itself(name: str, engine: str) -> None:
    ending = play(PLANTED[name], engine)
    verdict = wrong(PLANTED[name], engine, ending)
    assert not verdict, f"{verdict}; it said, after {ending.seconds:.1f} s:\n{ending.said}"


def right(comm: Communicator) -> None:
    comm.barrier(label="all is well")


def test_a_right_program_is_not_taken_for_a_wrong_one() -> None:
    fault = Planted(right, 2, ("a cycle of waiting",), (), synchronous=False, timeout=5.0)
    assert wrong(fault, "threads", play(fault, "threads")) == "it reports success"


@pytest.mark.parametrize("ending, verdict", [
    (Ending("CommError: deadlock", 60.0, ended=False, failed=True), "it hangs"),
    (Ending("CommError: something else", 1.0, ended=True, failed=True), "it does not say ['deadlock']"),
    (Ending("CommError: deadlock\nCommError: deadlock", 1.0, ended=True, failed=True),
     "it is told more than once"),
    (Ending("CommError: deadlock", 1.0, ended=True, failed=False), "it reports success"),
    (Ending("CommError: deadlock", 1.0, ended=True, failed=True), ""),
])
def test_the_judge_sees_each_way_to_be_wrong(ending: Ending, verdict: str) -> None:
    assert wrong(Planted(right, 2, ("deadlock",), ("deadlock",), False, 5.0), "mpi", ending) == verdict


def test_the_table_names_each_mistake_in_the_words_of_its_program() -> None:
    rows = re.findall(r"^\| \d+ \| (.*?) \| \d+ \| ", TABLE.read_text(encoding="utf-8"), re.M)
    assert rows == [fault.mistake for fault in PLANTED.values()]


def test_the_table_of_endings_names_tests_that_exist() -> None:
    assert TABLE.read_text(encoding="utf-8").endswith(ENDINGS)
    named = re.findall(r"`(tests/[^`]*)`", ENDINGS)
    assert named and all((ROOT / name).is_file() for name in named)
