"""The shared state of ranks that are threads: mailboxes, the state of each rank, and one lock.

The wait graph has an edge from each waiting rank to its partner (`minipar.comm.deadlock.wait_graph`). The
world searches this graph for a deadlock at two events: a rank begins to wait, or a rank ends. So it finds a
deadlock at once, not after a time limit. A new deadlock contains the rank that begins to wait, or a rank that
waits for the ended rank. The world follows only the paths from these ranks.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from minipar.comm.deadlock.polling import Polling
from minipar.comm.deadlock.wait_graph import LEFT, State, cycle, is_stuck, roll_call, stuck
from minipar.comm.diagnostics.call_site import communicates
from minipar.comm.diagnostics.caught_errors import CaughtErrors
from minipar.comm.diagnostics.forked import CHILD, refuse_after_fork
from minipar.comm.diagnostics.header import MessageHeader, fits, given
from minipar.comm.protocol import Communicator, Request, is_whole
from minipar.comm.threads.arrival_order import ArrivalOrder, held_before, is_held, release_one
from minipar.comm.threads.channels import WORLD, GroupKey, MailboxKey, Queues
from minipar.comm.threads.diagnosis import with_details
from minipar.comm.threads.limits import MOST
from minipar.comm.threads.messages import Letter, Mailbox, asks_for, find_letter, open_letter
from minipar.comm.threads.turns import Turns
from minipar.errors import CommError, ConfigError, shown

RUNNING = State()
SHARED = 64  # with more ranks than this, the time limit grows, because the ranks share the cores
SETTLE = 0.25  # the longest wait for the states of other ranks before the report of a deadlock, in seconds


@dataclass(eq=False, slots=True)
class Slip:
    """The engine's data about a request. owner: the world rank that made the request. error: why it has
    failed.
    """

    owner: int
    channel: MailboxKey
    original: Request | None = None                                 # the sender's request; None for a receive
    seen: bool = False  # the owner has seen that the request is complete
    misfit: MessageHeader | None = None  # header of the message, if it does not fit
    unfit: bool = False                 # the message has another type or is too long
    error: CommError | None = None


class Unwound(BaseException):
    """The exception that ends the other ranks after one rank has failed. These ranks print no error. It is
    not a subclass of Exception, so a program's `except Exception` does not catch it.
    """


class World:
    """The shared state of `size` ranks. nodes: the node of each rank. synchronous: a send completes only
    after its receive has begun. checked: compare the label of a message with the label of its receive.

    any_source: the order in which receives from any source take messages (`ArrivalOrder`); None for the order
    of arrival.

    Raises ConfigError for an invalid size, nodes, timeout (in seconds) or order.
    """

    def __init__(self, size: int, *, nodes: Sequence[int] | None = None, synchronous: bool = False,
                 timeout: float = 30.0, checked: bool = False, any_source: str | None = None) -> None:
        if not is_whole(size) or size < 1:
            raise ConfigError(f"cannot run {size!r} ranks; give a whole number, 1 or more", item="size")
        if size > MOST:
            raise ConfigError(f"cannot run {shown(size)} ranks as threads; at most {MOST:,}", item="size")
        if nodes is not None and len(nodes) != size:
            raise ConfigError(f"{len(nodes)} nodes given for {size} ranks; name the node of each rank")
        if not timeout > 0:
            raise ConfigError(f"a rank cannot wait {timeout} s; give a timeout in seconds, or inf")
        self.size, self.synchronous, self.checked = size, synchronous, checked
        self.timeout = timeout * max(1.0, size / SHARED)
        self.ranks = tuple(range(size))
        self.nodes = (0,) * size if nodes is None else tuple(nodes)
        self.lock = threading.Lock()
        self.turns = Turns(size)
        self.threads: list[threading.Thread | None] = [None] * size
        self.states = [RUNNING] * size
        self.waited: dict[int, Request] = {}                        # the request for which a rank waits
        self.polls = [Polling() for _ in range(size)]  # the requests that each rank tests repeatedly
        self.sent: Queues = {}  # messages that have no receive yet
        self.posted: Queues = {}  # receives that have no message yet
        self.order = None if any_source is None else ArrivalOrder(any_source)
        self.mailboxes: dict[tuple[int, int], Mailbox] = defaultdict(Mailbox)  # by (group, receiver)
        self.groups: dict[GroupKey, int] = {}  # the number of each group except the world
        self.blocks: dict[tuple[int, int], np.ndarray] = {}         # shared memory
        self.thread = 1 + CHILD  # CHILD in a child process that a rank has forked
        refuse_after_fork(self)
        self.over = False  # True after a rank has failed; the others stop at their next call
        self.errors: list[tuple[int, BaseException]] = []           # (rank, error) of the ranks that failed
        self.caught = [CaughtErrors(self.timeout, partial(self.end, rank)) for rank in range(size)]

    def number_of(self, key: GroupKey) -> int:
        """Returns the number of the group with this key. It is the same on all ranks of the group."""
        with self.lock:
            return self.groups.setdefault(key, WORLD + 1 + len(self.groups))

    # The caller of each method below holds the lock, except for `leave` and `stop`.

    def match(self, receive: Request, message: Request) -> None:
        """Match a message with its receive: copy the array, or record that the message does not fit."""
        want, got = receive.array, message.array
        line = message.site[1] if message.site else ""
        sent = MessageHeader(got.size, got.dtype, given(message.label), line)
        if fits(receive, sent, labels=self.checked):
            np.copyto(want, got.reshape(want.shape))
        else:
            receive.handle.misfit = sent
        for request in (receive, message.handle.original):
            request.done = True
            self.wake(request)

    def post(self, mailbox: Mailbox, letter: Letter) -> None:
        """Deliver a message with an envelope to the first receive that matches it. Probes that match it and
        were posted before this receive get the envelope. If no receive matches, the message stays in the
        mailbox.
        """
        for entry in list(mailbox.wanted):
            comm, request = entry
            if not asks_for(request, letter.envelope):
                continue
            if self.order is not None and is_held(request):
                if request.kind == "recv":
                    break                       # `release_one` may choose the message later
                continue
            mailbox.wanted.remove(entry)
            if request.kind == "probe":
                request.came = letter.envelope
                self.finish(request)
                continue
            self.hand_over(comm, request, letter)
            return
        mailbox.letters.append(letter)

    def ask(self, mailbox: Mailbox, comm: Communicator, request: Request) -> None:
        """Post a receive or a probe."""
        letter = find_letter(mailbox, request)
        if self.order is not None and letter is not None and (is_held(request)
                                                              or held_before(mailbox, letter)):
            letter = None
        if letter is None:
            mailbox.wanted.append((comm, request))
        elif request.kind == "probe":
            request.came = letter.envelope
            self.finish(request)
        else:
            mailbox.letters.remove(letter)
            self.hand_over(comm, request, letter)

    def hand_over(self, comm: Communicator, request: Request, letter: Letter) -> None:
        open_letter(comm, request, letter)
        self.finish(request)
        self.finish(letter.original)

    def finish(self, request: Request) -> None:
        request.done = True
        self.wake(request)

    def wake(self, request: Request) -> None:
        """Let the owner of the request continue, if it waits for this request."""
        rank = request.handle.owner
        if self.waited.get(rank) is request:
            del self.waited[rank]
            self.states[rank] = RUNNING
            self.turns.resume(rank)

    def begin_to_wait(self, rank: int, request: Request, state: State) -> None:
        """Record that the rank waits for this request, and search for a deadlock."""
        self.waited[rank], self.states[rank] = request, state
        self.turns.end()
        if self.order is not None or is_stuck(self.states, rank):
            self.find_deadlock()

    def find_deadlock(self, states: Sequence[State] | None = None) -> None:
        """Wake every deadlocked rank. Each of these then raises an error that describes all ranks. states:
        the states of all ranks, if they differ from `self.states`.
        """
        if self.order is not None and release_one(self, stuck(states or self.states)):
            return
        if states is None and stuck(self.states):
            self.let_others_settle()
        states = states or self.states
        if lost := stuck(states):
            story, ring = roll_call(with_details(self, states)), tuple(cycle(states))
            for rank in lost:
                request = self.waited.get(rank)
                for doomed in [request] if request else self.polls[rank].requests:
                    doomed.handle.error = CommError(f"rank {rank} of {self.size}: {story}", kind="deadlock",
                                                    cycle=ring)
                    self.wake(doomed)

    def let_others_settle(self) -> None:
        """Wait a moment, so that ranks inside a call can record their new state.

        A deadlock does not end by itself, so a later report is still correct.
        """
        deadline = time.monotonic() + SETTLE
        # number of successive checks that found no rank inside a call; one check is not enough, because a
        # rank may be between two calls at that moment
        quiet = 0
        while quiet < 3 and time.monotonic() < deadline:
            self.lock.release()
            time.sleep(SETTLE / 100)
            self.lock.acquire()
            quiet = 0 if self.some_are_within_a_call() else quiet + 1

    def some_are_within_a_call(self) -> bool:
        frames = sys._current_frames()
        return any(state.doing == "running" and thread is not None and thread.ident != threading.get_ident()
                   and thread.ident in frames and communicates(frames[thread.ident])
                   for state, thread in zip(self.states, self.threads, strict=True))

    def test_failed(self, rank: int, comm: Communicator, request: Request) -> None:
        """Record a failed test: a call of `test` on a request that is not complete. Raises CommError after
        the time limit, or if this rank is part of a deadlock.

        A deadlock can contain ranks that call `test` in a loop. Only these ranks search for such a deadlock.
        The search of a waiting rank assumes that ranks in a loop of tests can continue.
        """
        polling = self.polls[rank]
        self.turns.failed_test()
        if not polling.failed(comm, request):
            return
        self.states[rank] = polling.state()
        idle = {other for other in range(self.size) if self.polls[other]
                and self.polls[other].sure(self.timeout)}
        if all(self.states[peer].doing in LEFT for peer in self.states[rank].peers):
            idle.add(rank)
        if polling.beyond(self.timeout):
            raise self.caught[rank].raised(self.give_up(rank))
        if rank in idle:
            self.find_deadlock(self.taken_for_waiting(idle))

    def taken_for_waiting(self, ranks: set[int]) -> list[State]:
        """Returns the states of all ranks. A rank in `ranks`, which calls `test` in a loop, gets the state
        "waiting".
        """
        return [replace(state, doing="waiting") if rank in ranks else state
                for rank, state in enumerate(self.states)]

    def has_sent(self, rank: int, dest: int) -> None:
        """Record a send to world rank `dest`. If the rank is in a loop of tests, the send counts as progress,
        unless `dest` has ended.
        """
        if self.polls[rank] and self.states[dest].doing not in LEFT:
            self.gets_on(rank)

    def gets_on(self, rank: int) -> None:
        """Record that the rank has made progress."""
        self.polls[rank].stop()
        self.states[rank] = RUNNING

    def give_up(self, rank: int) -> CommError:
        """Returns the time-out error of a rank."""
        story = roll_call(with_details(self, self.taken_for_waiting({rank})))
        if self.waited.pop(rank, None):
            self.turns.take()
        self.states[rank] = RUNNING
        return CommError(f"rank {rank} of {self.size} timed out after {self.timeout:g} s: {story}",
                         kind="timeout", seconds=self.timeout)

    def end(self, rank: int, error: CommError) -> BaseException:
        """End the job with this error of a rank. Returns the exception that ends the rank."""
        if not self.over:
            self.errors.append((rank, error))
            self.over = True
        return Unwound()

    def leave(self, rank: int, doing: str) -> None:
        """Record the end of a rank ("finished" or "failed")."""
        with self.lock:
            self.states[rank] = State(doing)
            self.turns.end()
            if doing == "finished" and not self.over and (self.order is not None or self.strands(rank)):
                self.find_deadlock()
        if doing == "failed":
            self.stop()

    def strands(self, rank: int) -> bool:
        """Returns whether a rank that waits for this one is deadlocked."""
        return any(rank in self.states[other].peers and is_stuck(self.states, other) for other in self.waited)

    def stop(self) -> None:
        """End all ranks at their next call. Waiting ranks end at once."""
        with self.lock:
            self.over = True
            for request in list(self.waited.values()):
                self.wake(request)
            self.turns.give(self.size)
