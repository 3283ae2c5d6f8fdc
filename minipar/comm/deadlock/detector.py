"""The deadlock detector under MPI. While a rank waits, it reads the states of the other ranks. It raises
CommError in a deadlock or after the time limit.

After a short wait, a rank writes its state to the board of its node (board.py). This entry is the *notice* of
the rank. At each look, the rank reads all states and analyses the wait graph (wait_graph.py). A rank is
*stuck* if it waits and no rank can end its wait. The rank reports the deadlock as soon as three conditions
hold:
* this rank is among the stuck ranks;
* the notices of all stuck ranks have not changed for GRACE seconds;
* each stuck rank has looked at least LOOKS times during this time.

During each look, MPI also delivers messages. So if these conditions hold, no message between the stuck ranks
is still in flight. A rank that computes, is stopped or is on another host may still send. If the wait depends
on such a rank, it ends only at the time limit.

Example: ranks 0 and 1 both wait in recv for each other.

    time    rank 0                                    rank 1    board: version, looks
    0.02    waits, writes its notice                  same      (4, 0) and (4, 0)
    0.07    stuck: {0, 1}; keeps both versions        same      (4, 1) and (4, 1)
    0.12    unchanged, but not yet for GRACE          same      (4, 2) and (4, 2)
    0.37    unchanged for 0.30 s, 6 looks: raises
            CommError, kind "deadlock"

If rank 1 received a message at 0.15, it would write a new notice, with version 6 (each notice
adds 2, and the version is odd during the write). Then rank 0 would count
GRACE again from this moment.
"""

from __future__ import annotations

import math
import os
import subprocess
import time
from dataclasses import replace

from minipar.comm.backoff import EVERY_LOOK
from minipar.comm.deadlock.board import Board, Notice, Process, life_of
from minipar.comm.deadlock.exit_pipe import hold_lifeline
from minipar.comm.deadlock.meeting import the_meeting
from minipar.comm.deadlock.polling import FEWEST, Polling
from minipar.comm.deadlock.stack_probe import be_findable, find
from minipar.comm.deadlock.wait_graph import LEFT, State, cycle, roll_call, say, stuck
from minipar.comm.deadlock.watchdog import Watchdog
from minipar.comm.diagnostics.caught_errors import CaughtErrors
from minipar.comm.diagnostics.requests import waiting
from minipar.comm.protocol import Communicator, Request
from minipar.errors import CommError

GRACE = 0.25  # seconds without a change before a deadlock is reported; a message needs much less time
UNSAID = 400                # largest number of characters of an error on the board
LOOKS = 3                   # number of looks that each stuck rank must make during GRACE
# A rank that stays in one of these states for GRACE sends nothing more, and its messages have arrived.
SENDS_NO_MORE = {"waiting", *LEFT}


class Lookout:
    """The detector without a board. It only limits each wait to `timeout` seconds."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.polling = Polling()
        self.watchdog = Watchdog(self)
        self.caught = CaughtErrors(timeout)
        self.jobs = 0               # number of `with job()` blocks that this process is in

    def look(self, comm: Communicator, request: Request, waited: float, strays: str,
             misfit: CommError | None) -> None:
        """Look for a reason to end the wait, and raise CommError if there is one. A waiting rank calls this
        method repeatedly.

        waited: the seconds of the wait until now. strays: a text about messages from the same rank with
        another tag. misfit: the error for a message with this tag and another dtype. The expected message may
        still be in flight. So `misfit` is raised only if no other message can come.
        """
        if self.is_over(waited):
            if misfit:
                raise misfit
            rank, state = comm.members[comm.rank], self.state(comm, request, strays)
            raise CommError(f"rank {rank} timed out after {self.timeout:g} s: "
                            f"{say(rank, replace(state, doing='waiting'))}", kind="timeout",
                            seconds=self.timeout)

    def is_over(self, waited: float) -> bool:
        """Returns whether this rank has waited longer than the limit, in `wait` or in a loop of tests."""
        return waited > self.timeout and (not self.polling or self.polling.tests >= FEWEST)

    def state(self, comm: Communicator, request: Request, strays: str) -> State:
        """Returns the state of this rank, which waits for the request, or tests the request and perhaps
        others in a loop.
        """
        return self.polling.state(strays) if self.polling else waiting(comm, request, strays)

    def resume(self) -> None:
        """Record that the rank computes again, after the end of a wait or a successful test."""
        self.polling.stop()

    def sent(self, dest: int) -> None:
        """Record a send to world rank `dest` in a loop of tests. The send counts as progress, unless `dest`
        has ended.
        """
        self.resume()

    def overdue(self, rank: int, state: State) -> CommError:
        """Returns the error for a call inside the MPI library that has lasted longer than the limit."""
        return CommError(f"rank {rank} timed out after {self.timeout:g} s: {say(rank, state)}",
                         kind="timeout", seconds=self.timeout)

    def leave(self, doing: str, unsaid: str = "") -> None:
        """Record the end of this rank ("finished" or "failed"). unsaid: the rank's error, if the rank could
        not print it.
        """

    def claim(self) -> bool:
        """Returns whether this rank reports the error that ends the job."""
        meeting = the_meeting()
        return meeting is None or meeting.claim()

    def rejoin(self) -> None:
        """Record that this process begins another job after the end of one."""

    def open(self) -> None:
        """Begin a job. Every rank calls this method."""
        self.jobs += 1

    def close(self) -> None:
        """End a job. Every rank calls this method."""
        self.jobs -= 1


class BoardLookout(Lookout):
    """The detector with a board. It reads the states of all ranks of this node."""

    def __init__(self, timeout: float, board: Board, rank: int) -> None:
        super().__init__(timeout)
        self.board, self.rank = board, rank
        self.request: Request | None = None  # the request that this rank's notice describes
        self.state_told, self.misfit_since = State(), math.inf
        self.suspects: dict[int, Notice] = {}  # the stuck ranks and their notices at `since`
        self.since = math.inf                                       # when these notices were first seen
        self.leaving = False
        self.left: set[int] = set()  # ended ranks to which this rank sent in a loop of tests
        self.next_reading = 0.0  # time from which `sent` may read the board again
        self.watcher: subprocess.Popen[bytes] | None = None                # only on the node's lowest rank
        board.sign_in(rank, Process(os.getpid(), be_findable(), hold_lifeline()))

    def look(self, comm: Communicator, request: Request, waited: float, strays: str,
             misfit: CommError | None) -> None:
        if self.leaving:
            return self.look_back(waited)
        self.tell(request, self.state(comm, request, strays))
        notices = self.board.everyone()
        states = [notice.state for notice in notices]
        who = f"rank {self.rank} of {self.board.size}"
        if misfit and self.is_final(states[comm.members[request.peer]], waited):
            raise misfit
        if self.is_hopeless(stuck(states), notices, waited):
            self.board.looked(self.rank, times=LOOKS)  # so the other stuck ranks also raise at once
            raise misfit or CommError(f"{who}: {roll_call(states)}", kind="deadlock",
                                      cycle=tuple(cycle(states)))
        if self.is_over(waited):
            slow = any(state.doing in ("running", "testing") for state in states)
            advice = "; if the computation needs more time, set MINIPAR_TIMEOUT=600" if slow else ""
            raise misfit or CommError(f"{who} timed out after {self.timeout:g} s: "
                                      f"{roll_call(self.located(states))}{advice}", kind="timeout",
                                      seconds=self.timeout)

    def tell(self, request: Request, state: State) -> None:
        """Update this rank's notice. A rank that calls `test` in a loop counts as waiting in two cases: it
        does not compute between the tests, or all its partners have ended.
        """
        if state.doing == "testing" and (self.polling.sure(self.timeout) or self.all_left(state.peers)):
            state = replace(state, doing="waiting")
        # keep the location of the first test
        state = replace(state, location=self.state_told.location) if self.request is request else state
        if self.request is request and self.state_told == state:
            self.board.looked(self.rank)
            return
        self.request, self.state_told, self.suspects, self.misfit_since = request, state, {}, math.inf
        self.board.write(self.rank, state)

    def all_left(self, peers: set[int]) -> bool:
        return all(self.board.read(rank).state.doing in LEFT for rank in peers)

    def is_final(self, sender: State, waited: float) -> bool:
        """Returns whether the message of the wrong dtype is the only one that can come: its sender sends
        nothing more, and GRACE seconds have passed.
        """
        self.misfit_since = min(self.misfit_since, waited)
        return waited - self.misfit_since > GRACE and sender.doing in SENDS_NO_MORE

    def is_hopeless(self, lost: set[int], notices: list[Notice], waited: float) -> bool:
        """Returns whether this rank is deadlocked. lost: the stuck ranks. The top of this file lists the
        conditions and gives an example.
        """
        if self.rank not in lost:
            self.suspects = {}
        elif {rank: notices[rank].version for rank in lost} != {rank: notice.version
                                                                for rank, notice in self.suspects.items()}:
            self.suspects, self.since = {rank: notices[rank] for rank in lost}, waited
        else:
            looks = min(notices[rank].looks - self.suspects[rank].looks for rank in lost)
            return waited - self.since > GRACE and looks >= LOOKS
        return False

    def sent(self, dest: int) -> None:
        # such a loop may send often, so this method reads the board rarely
        if dest not in self.left and (now := time.monotonic()) >= self.next_reading:
            self.next_reading = now + EVERY_LOOK
            notice = self.board.last(dest) if dest in self.board.slots else None
            if notice is not None and notice.state.doing in LEFT:
                self.left.add(dest)
        if dest not in self.left:
            self.resume()

    def resume(self) -> None:
        self.polling.stop()
        if self.request is not None and not self.leaving:
            self.request = None
            self.board.write(self.rank, State())

    def leave(self, doing: str, unsaid: str = "") -> None:
        self.leaving = True
        self.board.write(self.rank, State(doing, detail=unsaid[-UNSAID:]))

    def rejoin(self) -> None:
        self.leaving, self.request = False, None
        self.left.clear()
        self.board.write(self.rank, State())

    def end(self) -> None:
        """Record the end of the process. This comes before MPI_Finalize, which may wait for other ranks."""
        if not self.jobs:
            self.leave("finished")

    def claim(self) -> bool:
        return self.board.claim()

    def close(self) -> None:
        super().close()
        self.rejoin()
        if not self.jobs:
            # this notice stays until the next job or the end of this process
            self.board.write(self.rank, State("outside"))
        if self.watcher is not None:
            if life_of(self.watcher.pid) == "stopped":  # otherwise the launcher would wait for the watcher
                self.watcher.kill()
            # the watcher ends after this node's ranks, so this process must not wait for it
            self.watcher.returncode = 0

    def overdue(self, rank: int, state: State) -> CommError:
        states = [notice.state for notice in self.board.everyone()]
        states[rank] = state
        return CommError(f"rank {rank} of {self.board.size} timed out after {self.timeout:g} s: "
                         f"{roll_call(self.located(states))}", kind="timeout", seconds=self.timeout)

    def located(self, states: list[State]) -> list[State]:
        """Returns the states, with the current line of each computing rank of this node."""
        found = list(states)
        for rank, state in enumerate(states):
            if state.doing == "running":
                pid, answers, _ = self.board.process(rank)
                found[rank] = replace(state, location=find(pid, answers))
        return found

    def ended_within(self, rank: int) -> bool:
        """Returns whether the process of a rank has ended inside a job. rank: a rank in the state "gone"."""
        notice = self.board.last(rank)
        return notice is None or notice.state.doing != "outside"

    def look_back(self, waited: float) -> None:
        """Check the other ranks while this finished rank waits for them. Raises CommError if one of them is
        gone, or has been stopped for longer than the limit.
        """
        states = [notice.state for notice in self.board.everyone()]
        if any(self.ended_within(rank) for rank, state in enumerate(states)
               if state.doing == "gone") and waited > GRACE:
            raise CommError(f"rank {self.rank} has finished, but other ranks cannot: {roll_call(states)}",
                            kind="deadlock")
        if any(state.doing == "stopped" for state in states) and waited > self.timeout:
            raise CommError(
                f"rank {self.rank} finished more than {self.timeout:g} s ago: {roll_call(states)}",
                kind="timeout", seconds=self.timeout,
            )
