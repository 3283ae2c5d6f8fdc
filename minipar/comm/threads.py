"""The engine whose ranks are threads of one process: for notebooks, debuggers and most tests.

Messages wait in mailboxes under one lock. Because the engine sees every rank, it knows a deadlock the moment it arises: each
time a rank begins to wait, or leaves, it follows the arrows "waits for" (`minipar.comm.rollcall`), so no time limit is needed.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np

from minipar.comm.caller import waiting
from minipar.comm.checking import Checking
from minipar.comm.endings import raise_loose_ends
from minipar.comm.ledger import Ledger
from minipar.comm.protocol import Communicator, Request, check_message, one_node
from minipar.comm.rollcall import State, roll_call, stuck
from minipar.errors import CommError

Result = TypeVar("Result")
GRACE = 1.0                 # seconds that `run` gives the other ranks, in all, to reach their next call after one has failed


class Unwound(BaseException):
    """Ends a rank silently because another rank has failed. No program should catch it, hence no Exception."""


class World:
    """What the ranks share: mailboxes, who waits for whom, and one lock for all of it."""

    def __init__(self, size: int, *, nodes: Sequence[int] | None = None, synchronous: bool = False) -> None:
        self.size, self.synchronous = size, synchronous
        self.nodes = tuple(nodes or [0] * size)
        self.lock = threading.Lock()
        self.wakes = [threading.Condition(self.lock) for _ in range(size)]
        self.states = [State() for _ in range(size)]
        self.waited: list[Request | None] = [None] * size           # the request that each rank is blocked in
        self.sent: dict[Hashable, deque[Request]] = defaultdict(deque)      # messages that nobody has asked for yet
        self.posted: dict[Hashable, deque[Request]] = defaultdict(deque)    # receives that nothing has come for yet
        self.blocks: dict[Hashable, np.ndarray] = {}                # shared memory
        self.over = False                                           # a rank has failed: the others stop at their next call

    def match(self, receive: Request, message: Request) -> None:
        """A message meets its receive: copy it, or note on the receive what does not fit."""
        receive.handle.error = misfit(receive, message)
        if receive.handle.error is None:
            np.copyto(receive.array, message.array.reshape(receive.array.shape))
        for request in (receive, message.handle.original):
            request.done = True
            self.wake(request.handle.world_rank, request)

    def wake(self, rank: int, request: Request) -> None:
        if self.waited[rank] is request:
            self.waited[rank], self.states[rank] = None, State()
            self.wakes[rank].notify()

    def find_deadlock(self) -> None:
        """Wake every rank that can never go on, with the roll call as its error."""
        if lost := stuck(self.states):
            story = roll_call(self.states)
            for rank in lost:
                request = self.waited[rank]
                assert request is not None
                request.handle.error = CommError(f"rank {rank} of {self.size}: {story}")
                self.wake(rank, request)

    def leave(self, rank: int, doing: str) -> None:
        """A rank has come to its end ("finished" or "failed")."""
        with self.lock:
            self.states[rank] = State(doing)
            if doing == "failed":
                self.over = True
                for condition in self.wakes:
                    condition.notify_all()
            elif not self.over:
                self.find_deadlock()


class Slip:
    """The engine's part of a request: whose it is, and what went wrong with it."""

    __slots__ = ("error", "original", "world_rank")

    def __init__(self, world_rank: int, original: Request | None = None) -> None:
        self.world_rank, self.original = world_rank, original
        self.error: CommError | None = None


class ThreadComm(Communicator):
    """One rank's end of a group of threads."""

    def __init__(self, world: World, rank: int, members: Sequence[int] | None = None, group: Hashable = (),
                 name: str = "world") -> None:
        self.world, self.rank, self.group, self.name = world, rank, group, name
        self.members = tuple(range(world.size) if members is None else members)
        self.nodes = tuple(world.nodes[member] for member in self.members)
        self.size, self.me = len(self.members), self.members[rank]
        self.agreements = 0                                         # how many subgroups and blocks this group has made

    def isend(self, array: np.ndarray, dest: int, *, why: str, tag: int = 0) -> Request:
        check_message(self, "send", array, dest, why, tag)
        request = Request("send", dest, tag, array, why, Slip(self.me))
        message = Request("send", dest, tag, array.copy(), why, Slip(self.me, request))
        key = (self.group, self.rank, dest, tag)
        with self.world.lock:
            self.stop_if_over()
            request.done = not self.world.synchronous
            if posted := self.world.posted[key]:
                self.world.match(posted.popleft(), message)
            else:
                self.world.sent[key].append(message)
        return request

    def irecv(self, out: np.ndarray, source: int, *, why: str, tag: int = 0) -> Request:
        check_message(self, "recv", out, source, why, tag)
        request = Request("recv", source, tag, out, why, Slip(self.me))
        key = (self.group, source, self.rank, tag)
        with self.world.lock:
            self.stop_if_over()
            if sent := self.world.sent[key]:
                self.world.match(request, sent.popleft())
            else:
                self.world.posted[key].append(request)
        return request

    def test(self, request: Request) -> bool:
        with self.world.lock:
            self.stop_if_over()
            return self.settled(request)

    def wait(self, request: Request) -> np.ndarray:
        world = self.world
        with world.lock:
            if not self.settled(request):
                world.waited[self.me], world.states[self.me] = request, waiting(self, request)
                world.find_deadlock()
                while not self.settled(request):
                    self.stop_if_over()
                    world.wakes[self.me].wait()
        return request.array

    def settled(self, request: Request) -> bool:
        if request.handle.error is not None:
            raise request.handle.error
        return request.done

    def stop_if_over(self) -> None:
        if self.world.over:
            raise Unwound

    def subgroup(self, ranks: list[int], *, why: str) -> Communicator | None:
        self.agreements += 1
        if not ranks:
            return None
        group = (self.group, self.agreements, tuple(ranks))
        return ThreadComm(self.world, ranks.index(self.rank), [self.members[rank] for rank in ranks], group, why)

    def shared(self, nbytes: int, *, why: str) -> np.ndarray:
        one_node(self, why)
        self.agreements += 1
        with self.world.lock:
            block = self.world.blocks.setdefault((self.group, self.agreements), np.zeros(nbytes, np.uint8))
        self.barrier(why=why)
        return block


def misfit(receive: Request, message: Request) -> CommError | None:
    """What is wrong, naming both sides, unless the message is of the size and dtype that the receiver expects."""
    want, got = receive.array, message.array
    if want.dtype == got.dtype and want.size == got.size:
        return None
    return CommError(f"rank {message.peer}: recv '{receive.why}' expects {want.shape} {want.dtype} from rank {receive.peer}, "
                     f"which sent {got.shape} {got.dtype} for '{message.why}'")


def run(size: int, function: Callable[..., Result], *args: Any, nodes: Sequence[int] | None = None,
        checked: bool = True, synchronous: bool = False) -> list[Result]:
    """Call `function(comm, *args)` on `size` ranks, each a thread; returns the results by rank.

    If a rank raises, the others stop at their next call and `run` raises that rank's own exception, with a note that names the
    rank. A deadlock raises CommError at once; messages never received and requests never waited for raise it at the end.

    nodes: each rank's node (default: one node). checked: compare every collective across the ranks before data moves; a deadlock
    is found in any case. synchronous: a send waits for its receive, as a large message under MPI does.
    """
    world = World(size, nodes=nodes, synchronous=synchronous)
    ledgers = [Ledger(rank) for rank in range(size)]
    results: list[Any] = [None] * size
    errors: list[tuple[int, BaseException]] = []

    def work(rank: int) -> None:
        try:
            engine = ThreadComm(world, rank)
            results[rank] = function(Checking(engine, ledgers[rank]) if checked else engine, *args)
        except Unwound:
            pass
        except BaseException as error:
            errors.append((rank, error))
            world.leave(rank, "failed")
        else:
            world.leave(rank, "finished")

    threads = [threading.Thread(target=work, args=(rank,), name=f"rank {rank}", daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive() and not world.over:
            thread.join(0.05)
    for thread in threads if errors else ():
        thread.join(GRACE / size)
    if errors:
        rank, error = errors[0]
        note(error, f"raised by rank {rank} of {size}")
        raise error
    raise_loose_ends([ledger.page() for ledger in ledgers])
    return results


def note(error: BaseException, text: str) -> None:
    """Add a line to what the traceback shows (Python 3.11; nothing on 3.10)."""
    if hasattr(error, "add_note"):
        error.add_note(text)
