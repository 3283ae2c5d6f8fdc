"""The engine for ranks that are threads. It implements the protocol with the mailboxes of a `World`."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from minipar.comm.agreement import agree_on_groups, group_name
from minipar.comm.diagnostics.call_site import caller, label_or_call_site
from minipar.comm.diagnostics.forked import CHILD, forked
from minipar.comm.diagnostics.header import unfit
from minipar.comm.diagnostics.requests import other_thread, unfit_message, waiting
from minipar.comm.message_types import bytes_of
from minipar.comm.protocol import Communicator, MessageEnvelope, Request
from minipar.comm.refusals import check_message, one_node
from minipar.comm.room import zeros
from minipar.comm.threads.channels import WORLD, GroupKey, MailboxKey, put, take
from minipar.comm.threads.messages import Letter
from minipar.comm.threads.world import Slip, Unwound, World
from minipar.errors import CommError

LONGEST_WAIT = 3600.0                           # in seconds; a lock does not accept an infinite limit


class ThreadComm(Communicator):
    """The communicator of one thread. members: the world ranks of the group (default: all). group: the number
    of the group; its messages match only receives with the same number.
    """

    def __init__(self, world: World, rank: int, members: Sequence[int] | None = None, group: int = WORLD,
                 name: str = "world") -> None:
        self.world, self.rank, self.group, self.name = world, rank, group, name
        self.members, self.nodes = world.ranks, world.nodes         # all ranks share one tuple
        if members is not None:
            self.members, self.nodes = tuple(members), tuple(world.nodes[member] for member in members)
        self.size, self.me = len(self.members), self.members[rank]
        # number of groups made by `group_of`, by tag and ranks
        self.own_groups: Counter[GroupKey] = Counter()
        self.agreements = 0  # number of subgroups and shared blocks made from this group

    def isend(self, array: np.ndarray, dest: int, *, label: str | None = None, tag: int = 0) -> Request:
        label = label_or_call_site(label)
        self.refuse_others("send", label)
        check_message(self, "send", array, dest, label, tag)
        channel, world = MailboxKey(self.group, self.rank, dest, tag), self.world
        site = caller() if world.checked else None
        request = Request("send", dest, tag, array, label, Slip(self.me, channel), site=site)
        message = Request("send", dest, tag, array.copy(), label, Slip(self.me, channel, request), site=site)
        with world.lock:
            self.stop_if_over()
            world.has_sent(self.me, self.members[dest])
            request.done = not world.synchronous
            if (receive := take(world.posted, channel)) is not None:
                world.match(receive, message)
            else:
                put(world.sent, channel, message)
        return request

    def irecv(self, out: np.ndarray, source: int, *, label: str | None = None, tag: int = 0) -> Request:
        label = label_or_call_site(label)
        self.refuse_others("recv", label)
        check_message(self, "recv", out, source, label, tag)
        channel, world = MailboxKey(self.group, source, self.rank, tag), self.world
        request = Request("recv", source, tag, out, label, Slip(self.me, channel))
        with world.lock:
            self.stop_if_over()
            if (message := take(world.sent, channel)) is not None:
                world.match(request, message)
            else:
                put(world.posted, channel, request)
        return request

    def isend_message(self, data: np.ndarray, dest: int, *, type_code: int, tag: int = 0,
                      label: str | None = None, synchronous: bool = False) -> Request:
        label = label_or_call_site(label)
        self.refuse_others("send", label)
        world, channel = self.world, MailboxKey(self.group, self.rank, dest, tag)
        request = Request("send", dest, tag, data, label, Slip(self.me, channel), type_code=type_code)
        letter = Letter(MessageEnvelope(self.rank, tag, type_code, data.nbytes),
                        bytes_of(data).copy(), request)
        with world.lock:
            self.stop_if_over()
            world.has_sent(self.me, self.members[dest])
            request.done = not (world.synchronous or synchronous)
            world.post(world.mailboxes[self.group, dest], letter)
        return request

    def irecv_message(self, out: np.ndarray | None, source: int, *, type_code: int, tag: int = 0,
                      label: str | None = None) -> Request:
        return self.ask("recv", out, source, type_code, tag, label)

    def probe_message(self, source: int, *, tag: int = 0, label: str | None = None) -> Request:
        return self.ask("probe", None, source, 0, tag, label)

    def ask(self, kind: str, out: np.ndarray | None, source: int, type_code: int, tag: int,
            label: str | None) -> Request:
        """Post a receive or a probe."""
        label = label_or_call_site(label)
        self.refuse_others(kind, label)
        world, channel = self.world, MailboxKey(self.group, source, self.rank, tag)
        # if `out` is None, the array is set when the request is complete
        request = Request(kind, source, tag, out,                   # type: ignore[arg-type]
                          label, Slip(self.me, channel), type_code=type_code)
        with world.lock:
            self.stop_if_over()
            world.ask(world.mailboxes[self.group, self.rank], self, request)
        return request

    def cancel_message(self, request: Request) -> bool:
        with self.world.lock:
            wanted = self.world.mailboxes[self.group, self.rank].wanted
            if (self, request) in wanted:
                wanted.remove((self, request))
                return True
        return False

    def open_messages(self) -> None:
        """Do nothing, since mailboxes are made at their first use."""

    def group_of(self, ranks: list[int], tag: int, *, label: str | None = None) -> Communicator:
        self.own_groups[tag, tuple(ranks)] += 1  # the same count on all members
        return self.part(ranks, (self.group, "group", self.own_groups[tag, tuple(ranks)], tag, *ranks), label)

    def test(self, request: Request) -> bool:
        self.refuse_others(f"test of {request.kind}", request.label)
        world, slip = self.world, request.handle
        with world.lock:
            self.stop_if_over()
            if not self.settled(request):
                world.test_failed(self.me, self, request)
                return self.settled(request)  # raises if the test has found a deadlock
            if not slip.seen and world.polls[self.me]:
                world.gets_on(self.me)
            slip.seen = True
            return True

    def wait(self, request: Request) -> np.ndarray:
        self.refuse_others(f"wait for {request.kind}", request.label)
        world = self.world
        with world.lock:
            if world.polls[self.me] and not (request.kind == "send" and request.done):
                world.gets_on(self.me)
            if self.settled(request):
                return request.array
            self.stop_if_over()
            world.begin_to_wait(self.me, request, waiting(self, request))
        self.await_turn(request)
        if not self.settled(request):
            raise Unwound
        return request.array

    def await_turn(self, request: Request) -> None:
        """Block until the request is complete and this rank has a turn. Raises CommError after the time
        limit.
        """
        world, limit = self.world, time.monotonic() + self.world.timeout
        while not world.turns.wait(self.me, max(0.0, min(limit - time.monotonic(), LONGEST_WAIT))):
            if time.monotonic() < limit:
                continue
            with world.lock:
                if world.waited.get(self.me) is request:
                    raise world.caught[self.me].raised(world.give_up(self.me))
            world.turns.wait(self.me)           # the request is complete, so this rank only needs a turn
            return

    def settled(self, request: Request) -> bool:
        if request.handle.error is not None:
            raise self.world.caught[self.me].raised(request.handle.error)
        if request.handle.unfit and request.envelope is not None:
            raise CommError(unfit_message(self, request, request.envelope))
        if request.handle.misfit:
            raise unfit(self, request, request.handle.misfit)
        return request.done

    def refuse_others(self, call: str, label: str) -> None:
        """Raises CommError if the caller is not the rank's own thread, or is a child process of the rank."""
        if self.world.thread == CHILD:
            raise forked(self, call, label)
        owner = self.world.threads[self.me]
        if owner is not None and owner.ident != threading.get_ident():
            raise other_thread(self, call, label)

    def stop_if_over(self) -> None:
        if self.world.over:
            raise Unwound

    def subgroup(self, ranks: list[int], *, label: str | None = None) -> Communicator | None:
        agree_on_groups(self, ranks, label=label)
        return self.agreed_group(ranks, label=label)

    def agreed_group(self, ranks: list[int], *, label: str | None = None) -> Communicator | None:
        self.agreements += 1
        if not ranks:
            return None
        return self.part(ranks, (self.group, self.agreements, *ranks), label)

    def part(self, ranks: list[int], key: GroupKey, label: str | None) -> Communicator:
        """Returns the communicator of a new group of these ranks."""
        members = tuple(self.members[rank] for rank in ranks)
        return ThreadComm(self.world, ranks.index(self.rank), members, self.world.number_of(key),
                          group_name(label, members))

    def shared(self, nbytes: int, *, label: str | None = None) -> np.ndarray:
        one_node(self, label)
        self.agreements += 1
        with self.world.lock:
            key = self.group, self.agreements
            if key not in self.world.blocks:
                self.world.blocks[key] = zeros(self, nbytes, label)
            block = self.world.blocks[key]
        self.barrier(label=label)
        return block
