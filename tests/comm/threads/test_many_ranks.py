"""Many ranks as threads: the cost of a rank does not grow with their number, and nothing depends on which of
them run at a time.
"""

from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest

from minipar.comm.agreement import all_agree
from minipar.comm.collectives import all_reduce
from minipar.comm.collectives.gather_values import gathered, gathered_on_root, one_choice, same_everywhere
from minipar.comm.protocol import Communicator
from minipar.comm.threads import ThreadComm, run, world
from minipar.comm.threads.limits import RARER
from minipar.comm.threads.turns import ALL, FEW
from minipar.comm.wrappers.checking import Checking
from minipar.errors import CommError
from tests.refusals import refused

MANY = 2 * ALL + 1


def engine_of(comm: Communicator) -> ThreadComm:
    assert isinstance(comm, Checking) and isinstance(comm.inner, ThreadComm)
    return comm.inner


def test_a_sum_over_many_ranks_and_over_groups_of_them() -> None:
    def program(comm: Communicator) -> tuple[float, float]:
        group = comm.split(comm.rank % 3, key=-comm.rank, label="thirds")
        assert group is not None and group.members == tuple(range(comm.rank % 3, MANY, 3))[::-1]
        mine = np.array([float(comm.rank)])
        return float(all_reduce(comm, mine, label="all")[0]), float(all_reduce(group, mine, label="third")[0])

    for rank, sums in enumerate(run(MANY, program)):
        assert sums == (sum(range(MANY)), sum(range(rank % 3, MANY, 3)))


def test_a_wait_does_not_look_at_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, each wait analysed the states of all ranks."""
    analyses: list[int] = []
    whole = world.stuck                                             # type: ignore[attr-defined]
    monkeypatch.setattr(world, "stuck", lambda states: analyses.append(len(states)) or whole(states))
    run(MANY, lambda comm: all_reduce(comm, np.ones(1), label="sum"))
    assert analyses == []
    with refused(CommError, kind="deadlock", cycle=(0, 1)):
        run(2, lambda comm: comm.recv(np.empty(1), 1 - comm.rank, label="cycle"))
    assert analyses and set(analyses) == {2}


def test_nothing_is_kept_of_messages_that_have_arrived() -> None:
    """Every collective has a tag of its own, so a queue for each tag would be kept for ever."""
    def program(comm: Communicator) -> tuple[int, int]:
        for _ in range(20):
            all_reduce(comm, np.ones(3), label="sum")
        comm.barrier(label="all messages have arrived")
        world = engine_of(comm).world
        return len(world.sent), len(world.posted)

    sent, posted = run(8, program)[0]
    assert sent + posted <= 8 * 3  # those of the last barrier may be in flight


def test_the_key_of_a_channel_does_not_hold_the_ranks_of_its_group() -> None:
    def program(comm: Communicator) -> list[int]:
        numbers = []
        for parts in (1, 2, 1):
            group = comm.split(comm.rank // (MANY // parts + 1), label="part")
            assert group is not None
            numbers.append(engine_of(group).group)
        return numbers

    found = run(MANY, program)
    assert all(type(number) is int for numbers in found for number in numbers)
    assert found[0][0] == found[-1][0] != found[0][2] == found[-1][2] and found[0][1] != found[-1][1]


@pytest.mark.parametrize("about, agreed", [
    ([[2, 7], [2, 7], [0, 1]], True), ([[0, 1], [0, 1]], True), ([[1, 5], [1, 6]], True),
    ([[2, 7], [0, 1], [0, 1]], False), ([[2, 7], [2, 8], [0, 1]], False), ([[-1, 1], [0, 1], [0, 1]], False)])
def test_lists_agree_if_as_many_ranks_name_one_as_it_is_long(about: list[list[int]], agreed: bool) -> None:
    assert all_agree(np.array(about)) is agreed


def test_values_of_all_ranks_and_values_for_rank_0() -> None:
    def program(comm: Communicator) -> None:
        value = {"rank": comm.rank, "text": "x" * comm.rank}
        everyone = [{"rank": rank, "text": "x" * rank} for rank in range(comm.size)]
        assert gathered(comm, value, "all") == everyone
        assert gathered_on_root(comm, value, "root") == (everyone if comm.rank == 0 else None)
        assert one_choice(comm, value, "choice") == everyone[0]
        assert same_everywhere(comm, {"a": 1, "b": 2} if comm.rank else {"b": 2, "a": 1}, "order")
        assert not same_everywhere(comm, comm.rank == 3, "one differs")

    run(5, program)


def test_only_a_few_ranks_run_at_a_time() -> None:
    """They count themselves between two barriers."""
    lock, running, most = threading.Lock(), 0, 0

    def program(comm: Communicator) -> None:
        nonlocal running, most
        for _ in range(3):
            comm.barrier(label="together")
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.0005)
            with lock:
                running -= 1

    run(MANY, program)
    assert most < MANY // 2, f"{most} of {MANY} ranks ran at a time; {FEW} turns"


def test_ranks_that_wait_for_each_other_without_a_message() -> None:
    """The ranks with a turn all wait for the last one, which has none: the others get turns, too."""
    event = threading.Event()

    def program(comm: Communicator) -> bool:
        comm.barrier(label="all")
        if comm.rank == comm.size - 1:
            event.set()
        return event.wait(20)

    began = time.monotonic()
    assert run(MANY, program) == [True] * MANY and time.monotonic() - began < 10


def test_no_rank_that_is_ready_waits_for_ever() -> None:
    """Pairs of ranks exchange messages until the last rank has run. They always become ready after it."""
    ended = threading.Event()

    def program(comm: Communicator) -> int:
        comm.barrier(label="all")
        if comm.rank == comm.size - 1:
            ended.set()
            return 0
        pair = comm.rank ^ 1
        for number in range(10_000):
            last = np.array([ended.is_set()], np.uint8)
            if comm.sendrecv(last, pair, np.empty_like(last), pair, label="again")[0] and last[0]:
                return number
        return 10_000

    assert max(run(MANY, program)) < 10_000


def test_ranks_that_test_in_a_loop() -> None:
    def program(comm: Communicator) -> float:
        comm.barrier(label="all")
        got = np.empty(1)
        request = comm.irecv(got, (comm.rank - 1) % comm.size, label="ring")
        if comm.rank == 0:
            comm.send(np.zeros(1), 1, label="ring")
        while not comm.test(request):
            pass
        if comm.rank:
            comm.send(got + 1, (comm.rank + 1) % comm.size, label="ring")
        return float(got[0])

    assert run(MANY, program) == [MANY - 1, *range(MANY - 1)]


def test_a_deadlock_among_many_ranks_is_told_in_a_few_words() -> None:
    """The ranks of the cycle one by one, the others together."""
    def program(comm: Communicator) -> None:
        if comm.rank in (5, 6):
            comm.recv(np.empty(1), 11 - comm.rank, label="swap")
        comm.barrier(label="all")

    with pytest.raises(CommError, match="a cycle of waiting 5 -> 6 -> 5") as caught:
        run(65, program)
    assert caught.value.facts["cycle"] == (5, 6) and len(str(caught.value)) < 1500
    assert "rank 5 waits in recv(source=6) 'swap'" in str(caught.value)


def test_many_ranks_that_end_one_after_the_other_leave_no_one_behind() -> None:
    """A rank that has left may strand others at any time: that is found for many ranks, too."""
    def program(comm: Communicator) -> None:
        if comm.rank == 0:
            comm.recv(np.empty(1), comm.size - 1, label="never")

    with refused(CommError, kind="deadlock", cycle=()):
        run(MANY, program)


def test_many_ranks_may_wait_longer() -> None:
    limits = [run(size, lambda comm: engine_of(comm).world.timeout, timeout=3.0)[0] for size in (2, 64, 128)]
    assert limits == [3.0, 3.0, 6.0]


def test_garbage_is_searched_less_often_for_many_ranks() -> None:
    before = gc.get_threshold()
    for size, factor in ((4, 1), (128, 2 * RARER)):
        assert run(size, lambda comm: gc.get_threshold()[0])[0] == factor * before[0]
        assert gc.get_threshold() == before


def test_many_ranks_have_small_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    before, given = threading.stack_size(), []
    original = threading.stack_size
    monkeypatch.setattr(threading, "stack_size", lambda size=0: given.append(size) or original(size))
    run(4, lambda comm: None)
    assert given == []
    run(65, lambda comm: None)
    assert given == [1 << 20, before]
