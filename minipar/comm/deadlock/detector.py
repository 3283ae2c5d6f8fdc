"""What a rank does while it waits in vain under MPI, where nobody sees all ranks: it looks around, and knows
when to give up.

Each rank that has waited for a moment writes so on the board of its node and reads what the others wrote. If
the arrows "waits for" end in a cycle or at a rank that has left, and stay so while every rank on the way
looks around again and again in vain, no message can be on its way between them: the rank raises the roll call
at once. Whatever is not certain (a rank that computes, or is stopped, or runs on another host) is given until
the time limit.
"""

from __future__ import annotations

import math
import os
import subprocess
from dataclasses import replace

from minipar.comm.deadlock.board import Board, Notice, Process, life_of
from minipar.comm.deadlock.exit_pipe import hold_lifeline
from minipar.comm.deadlock.meeting import the_meeting
from minipar.comm.deadlock.polling import FEWEST, Polling
from minipar.comm.deadlock.stack_probe import be_findable, find
from minipar.comm.deadlock.wait_graph import LEFT, State, cycle, roll_call, say, stuck
from minipar.comm.deadlock.watchdog import Watchdog
from minipar.comm.diagnostics.requests import waiting
from minipar.comm.protocol import Communicator, Request
from minipar.errors import CommError

GRACE = 0.25  # seconds that a deadlock must last unchanged: far longer than a message takes to be noticed
UNSAID = 400                # characters of an error that fit the board
LOOKS = 3                   # times that each rank concerned must have looked in vain meanwhile
# a rank that waits drives its messages on, so what has not come by now will not come
SENDS_NO_MORE = {"waiting", *LEFT}


class Lookout:
    """The part without a board: a limit, in seconds, on any wait."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.polling = Polling()
        self.watchdog = Watchdog(self)
        self.jobs = 0               # how many `with job()` blocks this process is in

    def look(self, comm: Communicator, request: Request, waited: float, strays: str, misfit: CommError
             | None) -> None:
        """Called now and then by a rank that has waited in vain for `waited` seconds. Raises CommError to end
        the wait.

        strays: what has come from the same rank with another tag, in words. misfit: the error to raise if a
        message that has come with this tag and another dtype is the one; it may also be the next one, which
        overtook a large one that is on its way.
        """
        if self.is_over(waited):
            if misfit:
                raise misfit
            rank, state = comm.members[comm.rank], self.state(comm, request, strays)
            raise CommError(f"rank {rank} gave up after {self.timeout:g} s: "
                            f"{say(rank, replace(state, doing='waiting'))}")

    def is_over(self, waited: float) -> bool:
        """Whether this rank has waited beyond the limit, in `wait` or by testing."""
        return waited > self.timeout and (not self.polling or self.polling.tests >= FEWEST)

    def state(self, comm: Communicator, request: Request, strays: str) -> State:
        """What this rank is doing: it waits for the request, or tests it and perhaps others."""
        return self.polling.state(strays) if self.polling else waiting(comm, request, strays)

    def resume(self) -> None:
        """The wait is over, or a test has succeeded; the rank computes again."""
        self.polling.stop()

    def overdue(self, rank: int, state: State) -> CommError:
        """The error of a rank whose call has waited inside the MPI library for longer than the limit."""
        return CommError(f"rank {rank} gave up after {self.timeout:g} s: {say(rank, state)}")

    def leave(self, doing: str, unsaid: str = "") -> None:
        """This rank has come to its end ("finished" or "failed"). unsaid: what it could tell nobody."""

    def claim(self) -> bool:
        """Whether it falls to this rank to report the error that ends the job."""
        meeting = the_meeting()
        return meeting is None or meeting.claim()

    def rejoin(self) -> None:
        """This rank goes on after all, for the next of several programs."""

    def open(self) -> None:
        """A job begins on every rank."""
        self.jobs += 1

    def close(self) -> None:
        """The job is over on every rank."""
        self.jobs -= 1


class BoardLookout(Lookout):
    """The part with a board: the roll call of all ranks of this node."""

    def __init__(self, timeout: float, board: Board, rank: int) -> None:
        super().__init__(timeout)
        self.board, self.rank = board, rank
        self.request: Request | None = None  # the one that the notice on the board is about
        self.state_told, self.misfit_since = State(), math.inf
        self.suspects: dict[int, Notice] = {}  # ranks that seemed unable to go on, as they were then
        self.since = math.inf                                       # when they first seemed so
        self.leaving = False
        self.watcher: subprocess.Popen[bytes] | None = None                # on the node's lowest rank
        board.sign_in(rank, Process(os.getpid(), be_findable(), hold_lifeline()))

    def look(self, comm: Communicator, request: Request, waited: float, strays: str, misfit: CommError
             | None) -> None:
        if self.leaving:
            return self.look_back(waited)
        self.tell(request, self.state(comm, request, strays))
        notices = self.board.everyone()
        states = [notice.state for notice in notices]
        who = f"rank {self.rank} of {self.board.size}"
        if misfit and self.is_final(states[comm.members[request.peer]], waited):
            raise misfit
        if self.is_hopeless(stuck(states), notices, waited):
            self.board.looked(self.rank, times=LOOKS)  # the others concerned may give up at once, too
            raise misfit or CommError(f"{who}: {roll_call(states)}", kind="deadlock",
                                      cycle=tuple(cycle(states)))
        if self.is_over(waited):
            slow = any(state.doing in ("running", "testing") for state in states)
            advice = "; if that only takes long, allow it: MINIPAR_TIMEOUT=600" if slow else ""
            raise misfit or CommError(f"{who} gave up after {self.timeout:g} s: "
                                      f"{roll_call(self.located(states))}{advice}")

    def tell(self, request: Request, state: State) -> None:
        """Keep this rank's notice up to date. A rank that tests waits once it does nothing else, or all its
        partners have left.
        """
        if state.doing == "testing" and (self.polling.sure(self.timeout) or self.all_left(state.peers)):
            state = replace(state, doing="waiting")
        # of the first test
        state = replace(state, place=self.state_told.place) if self.request is request else state
        if self.request is request and self.state_told == state:
            self.board.looked(self.rank)
            return
        self.request, self.state_told, self.suspects, self.misfit_since = request, state, {}, math.inf
        self.board.write(self.rank, state)

    def all_left(self, peers: set[int]) -> bool:
        return all(self.board.read(rank).state.doing in LEFT for rank in peers)

    def is_final(self, sender: State, waited: float) -> bool:
        """Whether the message of another dtype is the one, since nothing can be on its way from its sender
        any more.
        """
        self.misfit_since = min(self.misfit_since, waited)
        return waited - self.misfit_since > GRACE and sender.doing in SENDS_NO_MORE

    def is_hopeless(self, lost: set[int], notices: list[Notice], waited: float) -> bool:
        """Whether this rank is among the ranks that can never go on, and all of them have looked in vain for
        long enough.
        """
        if self.rank not in lost:
            self.suspects = {}
        elif {rank: notices[rank].version for rank in lost} != {rank: notice.version for rank,
                                                                notice in self.suspects.items()}:
            self.suspects, self.since = {rank: notices[rank] for rank in lost}, waited
        else:
            looks = min(notices[rank].looks - self.suspects[rank].looks for rank in lost)
            return waited - self.since > GRACE and looks >= LOOKS
        return False

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
        self.board.write(self.rank, State())

    def end(self) -> None:
        """The process ends. MPI's own end may wait for other ranks, so it is said before."""
        if not self.jobs:
            self.leave("finished")

    def claim(self) -> bool:
        return self.board.claim()

    def close(self) -> None:
        super().close()
        self.rejoin()
        if not self.jobs:
            self.board.write(self.rank, State("outside"))  # until the next job, or this process's end
        if self.watcher is not None:
            if life_of(self.watcher.pid) == "stopped":              # it would keep the launcher waiting
                self.watcher.kill()
            self.watcher.returncode = 0  # it ends once this node's ranks have: nobody waits for it

    def overdue(self, rank: int, state: State) -> CommError:
        states = [notice.state for notice in self.board.everyone()]
        states[rank] = state
        return CommError(f"rank {rank} of {self.board.size} gave up after {self.timeout:g} s: "
                         f"{roll_call(self.located(states))}")

    def located(self, states: list[State]) -> list[State]:
        """The same, with the line that each computing rank of this node is on."""
        found = list(states)
        for rank, state in enumerate(states):
            if state.doing == "running":
                pid, answers, _ = self.board.process(rank)
                found[rank] = replace(state, place=find(pid, answers))
        return found

    def ended_within(self, rank: int) -> bool:
        """Whether a rank that is gone ended in the middle of a job."""
        notice = self.board.last(rank)
        return notice is None or notice.state.doing != "outside"

    def look_back(self, waited: float) -> None:
        """A rank that has finished waits for the others as long as they work, but not for one that is gone or
        stays stopped.
        """
        states = [notice.state for notice in self.board.everyone()]
        if any(self.ended_within(rank) for rank, state in enumerate(states)
               if state.doing == "gone") and waited > GRACE:
            raise CommError(f"rank {self.rank} has finished, but not every rank can: {roll_call(states)}")
        if any(state.doing == "stopped" for state in states) and waited > self.timeout:
            raise CommError(
                f"rank {self.rank} finished more than {self.timeout:g} s ago: {roll_call(states)}"
            )
