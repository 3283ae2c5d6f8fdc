"""The threads engine: immediate deadlocks, the exception of one rank, ranks that end while others compute.
"""

import _thread
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.threads.limits import limits_of_threads
from minipar.errors import CommError, ConfigError, DataError
from tests.refusals import refused


def test_results_come_by_rank() -> None:
    assert run(4, lambda comm, factor: comm.rank * factor, 10) == [0, 10, 20, 30]


@pytest.mark.parametrize("size, options, says", [
    (0, {}, "cannot run 0 ranks"), (2.0, {}, "cannot run 2.0 ranks; give a whole number"),
    (10**9, {}, "ranks as threads; at most"),
    (2, {"nodes": [0, 0, 1]}, "3 nodes given for 2 ranks"), (2, {"timeout": 0}, "cannot wait 0 s")])
def test_what_cannot_be_run(size: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        run(size, lambda comm: None, **options)


@pytest.mark.parametrize("when", [0.0, 0.05])  # while `run` still starts threads, and once it waits
def test_ctrl_c_ends_the_ranks_too(when: float) -> None:
    ended = []

    def program(comm: Communicator) -> None:
        if comm.rank == 0:
            time.sleep(when)
            _thread.interrupt_main()
        try:
            while time.monotonic() < start + 10:
                comm.barrier(label="step")
        finally:
            ended.append(comm.rank)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(2, program)
    assert when == 0 or sorted(ended) == [0, 1]                     # `run` came back after they had ended
    while any(thread.name.startswith("rank ") for thread in threading.enumerate()):
        assert time.monotonic() < start + 5, "a rank still runs"
        time.sleep(0.01)


def test_more_ranks_than_the_system_has_threads_for(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, []

    def limited(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(start(thread))

    monkeypatch.setattr(threading.Thread, "start", limited)
    with refused(CommError, "only 2 of 5 ranks start", *limits_of_threads().values()):
        run(5, lambda comm: comm.barrier(label="all"))


def test_a_rank_that_uses_another_rank_s_communicator() -> None:
    ends: dict[int, Communicator] = {}

    def program(comm: Communicator) -> None:
        ends[comm.rank] = comm
        comm.barrier(label="all are here")
        ends[0].recv(np.empty(1), 1, label="mine")

    with pytest.raises(CommError,
                       match=r"recv 'mine' at test_threads.py:\d+ is called by the thread of rank 1"):
        run(2, program)


def test_a_deadlock_is_found_at_once_although_another_rank_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["minipar.comm.threads.run"], "GRACE", 0.1)
    busy, release = threading.Event(), threading.Event()

    def program(comm: Communicator) -> None:
        if comm.rank == 2:
            busy.set()
            release.wait(20)
        else:
            busy.wait(20)
            comm.recv(np.empty(1), 1 - comm.rank, label="cycle")

    start = time.monotonic()
    with refused(CommError, "rank 2 is computing at test_threads.py:", kind="deadlock", cycle=(0, 1)):
        run(3, program)
    release.set()
    assert time.monotonic() - start < 5


def test_every_rank_of_a_deadlock_raises_and_can_go_on() -> None:
    def program(comm: Communicator) -> str:
        with pytest.raises(CommError) as caught:
            comm.recv(np.empty(1), (comm.rank + 1) % comm.size, label="cycle")
        comm.barrier(label="after")
        return str(caught.value)

    texts = run(3, program)
    assert [text.split(":")[0] for text in texts] == ["rank 0 of 3", "rank 1 of 3", "rank 2 of 3"]


def test_an_exception_is_the_rank_s_own_and_names_it() -> None:
    mistake = DataError("no such file")

    def program(comm: Communicator) -> None:
        if comm.rank == 1:
            raise mistake
        comm.barrier(label="never")

    with pytest.raises(DataError) as caught:
        run(3, program)
    assert caught.value is mistake
    if hasattr(mistake, "__notes__"):
        assert mistake.__notes__ == ["raised by rank 1 of 3"]


def test_the_others_are_unwound_silently_and_clean_up() -> None:
    cleaned: list[int | str] = []

    def program(comm: Communicator) -> None:
        if comm.rank == 0:
            raise KeyError("weights")
        try:
            comm.recv(np.empty(1), 0, label="never")
        except Exception:
            cleaned.append("caught what was not meant for it")
        finally:
            cleaned.append(comm.rank)

    with pytest.raises(KeyError):
        run(3, program)
    assert sorted(cleaned) == [1, 2]


def test_a_send_waits_for_its_receive_in_a_synchronous_world() -> None:
    def program(comm: Communicator) -> bool:
        if comm.rank == 1:
            comm.recv(np.empty(1), 0, label="go", tag=1)
            comm.recv(np.empty(1), 0, label="late")
            return True
        request = comm.isend(np.ones(1), 1, label="late")
        early = comm.test(request)
        comm.send(np.ones(1), 1, label="go", tag=1)
        comm.wait(request)
        return early

    assert run(2, program)[0] is True
    assert run(2, program, synchronous=True)[0] is False


def test_an_array_may_change_once_it_is_sent() -> None:
    def program(comm: Communicator) -> float:
        array = np.ones(1)
        if comm.rank == 0:
            comm.send(array, 1, label="copy")
            array[0] = 5
            comm.barrier(label="changed")
        else:
            comm.barrier(label="changed")
            comm.recv(array, 0, label="copy")
        return float(array[0])

    assert run(2, program) == [5, 1]


def test_nodes_are_as_given_and_share_no_memory() -> None:
    def program(comm: Communicator) -> tuple[int, ...]:
        with pytest.raises(CommError, match=r"'block' at .* spans nodes \[0, 1\]"):
            comm.shared(8, label="block")
        here = comm.split(comm.nodes[comm.rank], label="node")
        assert here is not None
        here.shared(8, label="block")
        return here.members

    assert run(4, program, nodes=[0, 0, 1, 1]) == [(0, 1), (0, 1), (2, 3), (2, 3)]


def test_the_limit_counts_for_a_rank_that_computes() -> None:
    def program(comm: Communicator) -> None:
        if comm.rank == 0:
            time.sleep(0.5)
        comm.barrier(label="late")

    with pytest.raises(CommError, match=r"rank 1 of 2 timed out .*computing at test_threads.py:\d+"):
        run(2, program, timeout=0.2)


def test_a_second_thread_of_a_rank_is_refused_by_name() -> None:
    def program(comm: Communicator) -> None:
        found: list[BaseException] = []

        def send() -> None:
            try:
                comm.send(np.ones(1), 1 - comm.rank, label="from the side")
            except CommError as error:
                found.append(error)

        side = threading.Thread(target=send, name="helper")
        side.start()
        side.join()
        assert len(found) == 1 and "is called by the thread of helper" in str(found[0])

    run(2, program)
