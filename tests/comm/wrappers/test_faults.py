"""Faults: each one happens where it was planted, and only there."""

import signal
import sys
import time

import numpy as np
import pytest

from minipar.comm.collectives.reductions import all_reduce
from minipar.comm.protocol import Communicator
from minipar.comm.threads import run
from minipar.comm.wrappers.faults import Fault, Faults
from minipar.errors import CommError, ConfigError
from tests.ranks import mpirun, ranks
from tests.refusals import refused

COUNT = 4


def numbers(comm: Communicator, *faults: Fault, messages: int = 4, seed: int = 0) -> list[list[float]]:
    """Rank 0 sends its messages to rank 1, which returns what came for as many as it can expect."""
    comm = Faults(comm, *faults, seed=seed)
    if comm.rank == 0:
        for number in range(messages):
            comm.send(np.arange(COUNT) + 10.0 * number, 1, label="numbers")
        return []
    lost = sum(fault.action == "drop" and fault.rank == 0 for fault in faults)
    return [comm.recv(np.empty(COUNT), 0, label="numbers").tolist() for _ in range(messages - lost)]


def sent(*order: int) -> list[list[float]]:
    return [(np.arange(COUNT) + 10.0 * number).tolist() for number in order]


@ranks(2)
@pytest.mark.parametrize("fault, arrives", [
    (Fault("drop", rank=0, nth=1), sent(0, 2, 3)), (Fault("reorder", rank=0, nth=1), sent(0, 2, 1, 3)),
    (Fault("drop", rank=1), sent(0, 1, 2, 3)), (Fault("delay", op="send", seconds=0.001), sent(0, 1, 2, 3)),
    (Fault("corrupt", label="something else"), sent(0, 1, 2, 3)),
    (Fault("corrupt", peer=0), sent(0, 1, 2, 3)), (Fault("corrupt", op="recv"), sent(0, 1, 2, 3)),
], ids=str)
def test_messages_get_lost_and_out_of_order(comm: Communicator, fault: Fault, arrives: list) -> None:
    assert numbers(comm, fault) == (arrives if comm.rank == 1 else [])


@ranks(2)
def test_one_bit_is_flipped_the_same_each_time(comm: Communicator) -> None:
    first, again, other = (numbers(comm, Fault("corrupt", rank=0, nth=2), seed=seed) for seed in (0, 0, 7))
    if comm.rank == 1:
        raw = np.array(first).tobytes(), np.array(sent(0, 1, 2, 3)).tobytes()
        differing = [bin(a ^ b).count("1") for a, b in zip(*raw, strict=True)]
        assert sum(differing) == 1 and first[2] != sent(2)[0] and again == first != other


@ranks(2)
def test_a_truncated_message_does_not_fit(comm: Communicator) -> None:
    if comm.rank == 0:
        numbers(comm, Fault("truncate", rank=0, nth=0), messages=1)
    else:
        with refused(CommError, kind="other message", label="numbers", source=0):
            numbers(comm, messages=1)


@ranks(3)
def test_a_fault_within_a_collective(comm: Communicator) -> None:
    faults = Faults(comm, Fault("corrupt", rank=2, op="all_reduce sum", label="gradients"))
    array = np.ones(6, np.int64)
    assert np.array_equal(all_reduce(faults, array, label="activations", algorithm="ring"), array * 3)
    assert not np.array_equal(all_reduce(faults, array, label="gradients", algorithm="ring"), array * 3)


@ranks(4)
def test_groups_share_the_count(comm: Communicator) -> None:
    naps: list[float] = []
    faults = Faults(comm, Fault("slow", label="here", nth=1, seconds=9.0), sleep=naps.append)
    part = faults.split(comm.rank % 2, label="part")
    assert part is not None
    for group in (faults, part, faults):
        group.barrier(label="here")
    assert naps == [9.0]


def test_delay_and_slow_take_time() -> None:
    def body(comm: Communicator) -> float:
        begin = time.perf_counter()
        numbers(comm, Fault("delay", rank=0, nth=0, seconds=0.05),
                Fault("slow", rank=1, op="recv", nth=3, seconds=0.05))
        return time.perf_counter() - begin

    assert min(run(2, body)) >= 0.05


def test_a_killed_thread_says_so() -> None:
    with pytest.raises(CommError, match="rank 1 was killed in recv 'numbers', as planted"):
        run(2, lambda comm: numbers(comm, Fault("kill", rank=1, op="recv", nth=2)))


KILLED = """
import numpy as np
from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.faults import Fault, Faults
from minipar.comm.mpi import world
from minipar.comm.wrappers.network import Network
comm = Faults(Clock(world(timeout=5.0), Network(0, 0)), Fault("kill", rank=1, op="send", nth=1))
for number in range(3):
    print(comm.rank, "begins", number, flush=True)
    comm.sendrecv(np.zeros(1), 1 - comm.rank, np.empty(1), 1 - comm.rank, label="swap")
"""


def test_a_killed_process_is_gone() -> None:
    job = mpirun(2, [sys.executable, "-c", KILLED], limit=30)
    assert job.returncode in (signal.SIGKILL, 128 + signal.SIGKILL), job.stdout
    assert "1 begins 1" in job.stdout and "1 begins 2" not in job.stdout


def test_what_the_protocol_allows_or_refuses_it_still_does() -> None:
    def body(comm: Communicator) -> None:
        faults = Faults(comm, Fault("drop"))
        lost = faults.isend(np.ones(1), 0, label="lost")
        assert faults.test(lost) and faults.wait(lost) is faults.wait(lost)
        for call in (faults.send, faults.recv):
            with refused(CommError, label="x", item="rank"):
                call(np.ones(1), 2, label="x")

    run(2, body)


def test_an_unknown_fault() -> None:
    with pytest.raises(ConfigError, match="'lose'.*drop, truncate"):
        Fault("lose")
