"""The clock: closed forms come out exactly, computing and messages overlap, and every run tells the same
time.
"""

from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

from minipar.comm.collectives.movements import broadcast
from minipar.comm.collectives.reductions import all_reduce, start_all_reduce
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.counting import Counting
from minipar.comm.wrappers.network import Network, Port, pack_time, unpack_time
from minipar.comm.wrappers.timeline import Event
from minipar.errors import CommError, ConfigError
from tests.ranks import ranks
from tests.refusals import refused

NETWORK = Network(alpha=5e-6, beta=1e-10)
RATE = 1e9                                                          # FLOPs per second


def message(nbytes: int) -> Fraction:
    return Fraction(5, 10**6) + nbytes * Fraction(1, 10**10)


def seconds(comm: Communicator, algorithm: str, elements: int) -> Fraction:
    """The time of one all-reduce of float32 on this rank."""
    clock = Clock(comm, NETWORK, RATE)
    all_reduce(clock, np.ones(elements, np.float32), label="gradients", algorithm=algorithm)
    return clock.now


@ranks(1, 2, 3, 5)
def test_a_ring_takes_what_the_formula_says(comm: Communicator) -> None:
    p = comm.size
    assert seconds(comm, "ring", 1000 * p) == 2 * (p - 1) * message(4000)


@ranks(2, 4)
def test_other_closed_forms(comm: Communicator) -> None:
    p, n = comm.size, 4000 * comm.size
    rounds, alpha, beta = p.bit_length() - 1, Fraction(5, 10**6), Fraction(1, 10**10)
    assert seconds(comm, "recursive_doubling", n // 4) == rounds * message(n)
    assert seconds(comm, "halving_doubling",
                   n // 4) == 2 * rounds * alpha + Fraction(2 * (p - 1), p) * n * beta
    assert seconds(comm, "tree", n // 4) == 2 * rounds * message(n)


@ranks(4)
def test_the_root_takes_in_one_message_at_a_time(comm: Communicator) -> None:
    """Rank 0's link is the bottleneck of the naive all-reduce; rank r is served r-th."""
    assert seconds(comm, "naive", 1000) == (3 + (comm.rank or 3)) * message(4000)


@ranks(2)
def test_a_message_arrives_after_alpha_and_n_beta(comm: Communicator) -> None:
    clock = Clock(comm, NETWORK, RATE)
    if clock.rank == 0:
        clock.compute(3000, "prepare")
        clock.send(np.zeros(100, np.uint8), 1, label="early")
        assert clock.now == Fraction(3, 10**6) + message(100)
    else:
        clock.recv(np.empty(100, np.uint8), 0, label="early")
        assert clock.now == Fraction(3, 10**6) + message(100)
        assert [(event.kind, event.duration) for event in clock.timeline] == [("recv", clock.now)]


@ranks(2)
def test_a_late_receiver_does_not_wait(comm: Communicator) -> None:
    clock = Clock(comm, NETWORK, RATE)
    if clock.rank == 0:
        clock.send(np.zeros(100, np.uint8), 1, label="early")
    else:
        clock.compute(1e6, "busy")
        clock.recv(np.empty(100, np.uint8), 0, label="early")
        assert clock.now == Fraction(1, 1000)
        assert [(event.kind, event.duration)
                for event in clock.timeline] == [("compute", clock.now), ("recv", 0)]


@ranks(2)
def test_a_port_carries_one_message_at_a_time(comm: Communicator) -> None:
    clock = Clock(comm, NETWORK, RATE)
    arrays = [np.zeros(50, np.uint8) for _ in range(3)]
    if clock.rank == 0:
        for request in [clock.isend(array, 1, label="burst") for array in arrays]:
            clock.wait(request)
    else:
        for array in arrays:
            clock.recv(array, 0, label="burst")
    assert clock.now == 3 * message(50)


@ranks(3)
def test_waiting_in_another_order_changes_nothing(comm: Communicator) -> None:
    """Rank 0 waits for the late message first; the early one has long been through its port."""
    clock = Clock(comm, NETWORK, RATE)
    if clock.rank:
        clock.compute(clock.rank * 1e6, "busy")
        clock.send(np.zeros(8), 0, label="result")
    else:
        outs = [np.empty(8), np.empty(8)]
        early, late = (clock.irecv(out, source, label="result") for source, out in enumerate(outs, start=1))
        clock.wait(late)
        assert clock.now == Fraction(2, 1000) + message(64)
        clock.wait(early)
        assert clock.now == Fraction(2, 1000) + message(64)


@ranks(2)
def test_messages_to_oneself_are_free(comm: Communicator) -> None:
    clock = Clock(comm, NETWORK, RATE)
    clock.sendrecv(np.zeros(9), clock.rank, np.empty(9), clock.rank, label="self")
    assert clock.now == 0


@ranks(4)
@pytest.mark.parametrize("flops, tests", [(0, 0), (0, 3), (1_000, 0), (1_000, 2), (10**9, 0), (10**9, 1)])
def test_a_non_blocking_collective_overlaps_with_computing(comm: Communicator, flops: int,
                                                           tests: int) -> None:
    clock = Clock(comm, NETWORK, RATE)
    handle = start_all_reduce(clock, np.ones(4000, np.float32), label="gradients", algorithm="ring")
    for _ in range(10):
        clock.compute(flops, "backward")
        for _ in range(tests):
            handle.test()
    handle.wait()
    assert clock.now == max(6 * message(4000), Fraction(10 * flops, 10**9))


@ranks(3)
def test_a_loop_of_tests_is_a_wait(comm: Communicator) -> None:
    clock = Clock(comm, NETWORK, RATE)
    handle = start_all_reduce(clock, np.ones(3, np.float32), label="gradients", algorithm="ring")
    while not handle.test():
        pass
    assert clock.now == 4 * message(4)


@ranks(4)
def test_two_collectives_share_the_link(comm: Communicator) -> None:
    clock = Clock(comm, NETWORK, RATE)
    bucket = np.ones(4000, np.float32)
    handles = [start_all_reduce(clock, bucket, label=f"bucket {number}", algorithm="ring")
               for number in (1, 2)]
    for handle in handles:
        handle.wait()
    assert clock.now == 12 * message(4000)


@ranks(4)
def test_nodes_that_are_not_there(comm: Communicator) -> None:
    slow = Network(alpha=1e-6, beta=0, alpha_between=1e-3, beta_between=1e-6)
    clock = Clock(comm, slow, RATE, nodes=(0, 0, 1, 1))
    assert clock.nodes == (0, 0, 1, 1)
    across = clock.split(clock.rank % 2, label="across")
    assert isinstance(across, Clock) and across.nodes == (0, 1)
    clock.sendrecv(np.zeros(8), clock.rank ^ 1, np.empty(8), clock.rank ^ 1, label="neighbour")
    assert clock.now == Fraction(1, 10**6)
    across.sendrecv(np.zeros(8), across.rank ^ 1, np.empty(8), across.rank ^ 1, label="far")
    assert across.now == clock.now == Fraction(1, 10**6) + Fraction(1064, 10**6)


@ranks(4)
def test_counting_outside_sees_no_stamps_and_inside_sees_two_messages_for_one(comm: Communicator) -> None:
    inside = Counting(comm)
    outside = Counting(Clock(inside, NETWORK, RATE))
    all_reduce(outside, np.ones(8), label="gradients", algorithm="ring")
    assert (outside.traffic.total().messages, outside.traffic.total().bytes) == (6, 6 * 16)
    assert (inside.traffic.total().messages, inside.traffic.total().bytes) == (12, 6 * 16 + 6 * 64)


def program(comm: Communicator) -> list[Event]:
    """A bit of everything: a pipeline, overlap, groups, a broadcast, uneven work."""
    clock = Clock(comm, Network(3e-6, 1e-9, 2e-5, 1e-8), 3e9, nodes=[rank // 2 for rank in range(comm.size)])
    rng = np.random.default_rng(clock.rank)
    pair = clock.split(clock.rank // 2, label="pair")
    assert isinstance(pair, Clock)
    for step in range(5):
        clock.compute(int(rng.integers(10**6)), f"forward {step}")
        handle = start_all_reduce(clock, np.ones(1000), label="gradients", algorithm="halving_doubling")
        if clock.rank + 1 < clock.size:
            clock.send(np.zeros(100), clock.rank + 1, label="activation")
        if clock.rank:
            clock.recv(np.empty(100), clock.rank - 1, label="activation")
        pair.compute(int(rng.integers(10**6)), f"backward {step}")
        handle.test()
        broadcast(pair, np.ones(7), label="settings", algorithm="tree")
        handle.wait()
    return clock.timeline


@cache
def first_run() -> list[list[Event]]:
    """What every other run, on every engine, must repeat."""
    return run(4, program)


@ranks(4)
@pytest.mark.parametrize("again", range(3))
def test_every_run_tells_the_same_time(comm: Communicator, again: int) -> None:
    assert program(comm) == first_run()[comm.rank]


def test_the_program_of_that_test_uses_all_there_is() -> None:
    assert {event.kind for events in first_run() for event in events} == {"compute", "send", "recv", "wait"}
    for events in first_run():
        busy = [event for event in events if event.track == "program"]
        assert all(before.end <= after.begin for before, after in zip(busy, busy[1:], strict=False))


@ranks(2)
def test_cpu_time_counts_computing_and_nothing_else(comm: Communicator) -> None:
    clock = Clock(comm, NETWORK)
    begin, total = clock.now, 0
    if clock.rank == 0:
        while clock.now - begin < Fraction(1, 50):                  # 20 ms of this thread's own time
            total += sum(range(1000))
        clock.compute(0, "counting")
        clock.send(np.zeros(1), 1, label="go")
    else:
        clock.recv(np.empty(1), 0, label="go")  # waits for real, which costs no virtual time of its own
        assert clock.now >= Fraction(1, 50) + message(8)
        assert sum(event.duration for event in clock.timeline if event.kind == "compute") < Fraction(1, 50)
    assert total == 0 or {"counting", ""} >= {event.label for event in clock.timeline
                                              if event.kind == "compute"}


@ranks(3)
def test_a_collective_under_cpu_time(comm: Communicator) -> None:
    clock = Clock(comm, NETWORK)
    handle = start_all_reduce(clock, np.ones(30, np.float32), label="gradients", algorithm="ring")
    while not handle.test():
        pass
    assert clock.now >= 4 * message(40) and np.array_equal(handle.wait(), np.full(30, 3, np.float32))


@pytest.mark.parametrize("dest", [2, 0.5])
def test_a_message_that_cannot_be_sent(dest: int) -> None:
    with refused(CommError, operation="send", label="x", item="rank"):
        run(2, lambda comm: Clock(comm, NETWORK, RATE).send(np.ones(1), dest, label="x"))


def test_what_a_clock_cannot_time() -> None:
    def shared(comm: Communicator) -> None:
        Clock(comm, NETWORK, RATE).shared(8, label="block")

    with pytest.raises(CommError, match="'block' at test_clock.py"):
        run(2, shared)
    with refused(CommError, operation="all_reduce", item="algorithm"):
        run(2, lambda comm: seconds(comm, "native", 8))


@pytest.mark.parametrize("wrong, complaint", [
    (lambda comm: Clock(comm, NETWORK, 0.0), "cannot compute 0.0 FLOPs per second; give a positive number"),
    (lambda comm: Clock(comm, NETWORK, float("nan")), "cannot compute nan FLOPs per second"),
    (lambda comm: Network(-1e-6, 0), "alpha is a time, not -1e-06"),
    (lambda comm: Network(0, float("inf")), "beta is a time, not inf"),
    (lambda comm: Network(0, 0, float("nan")), "alpha_between is a time, not nan"),
    (lambda comm: pack_time(Fraction(1, 10**60)), "does not fit 64 bytes"),
    (lambda comm: pack_time(Fraction(10**100)), "does not fit 64 bytes"),
    (lambda comm: Clock(comm, NETWORK, RATE, nodes=(0, 1, 1)), "3 nodes given for 1 ranks"),
    (lambda comm: Clock(comm, NETWORK, RATE).compute(-1, "undo"), "compute 'undo' of -1 FLOPs")])
def test_what_cannot_be(wrong: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        run(1, wrong)


def test_a_port_fills_its_gaps() -> None:
    port, third = Port(), Fraction(1, 3)
    claims: list[tuple[Any, Any, Any]] = [
        (5, 2, 7), (0, 1, 1), (0, third, 1 + third), (0, 4, 11), (1, Fraction(11, 3), 5), (2, 1, 12), (0, 0, 0)]
    for earliest, duration, end in claims:
        assert port.carry(Fraction(earliest), Fraction(duration)) == end


def test_times_travel_unharmed() -> None:
    for time in (Fraction(0), Fraction(1, 3), Fraction(10**60 + 7, 10**40 + 1), Fraction(str(2e-17))):
        assert unpack_time(pack_time(time)) == time
