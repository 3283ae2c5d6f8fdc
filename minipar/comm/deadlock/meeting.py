"""The meeting of a node's ranks: they wait for each other before MPI starts.

MPI_Init waits for every rank inside the library, where no Python code runs. If one rank ends before MPI_Init,
or never calls it, the other ranks hang. So the ranks first wait here, with a time limit, and the error names
the missing rank.

Each rank listens on a socket in Linux's abstract namespace (unix(7)). Such a socket has no file and is closed
when its process ends. A process that connects to it gets the process id of the listener (SO_PEERCRED). The
names of all sockets of a job begin with the process id of the launcher that started the ranks of this node.
On systems other than Linux, there is no meeting.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from glob import glob

from minipar.comm.deadlock.board import life_of
from minipar.errors import CommError

# Each launcher sets four environment variables, which hold: the rank on this node, the number of ranks on
# this node, the rank in the job, the number of ranks in the job.
LAUNCHED = (("MPI_LOCALRANKID", "MPI_LOCALNRANKS", "PMI_RANK", "PMI_SIZE"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_RANK",
             "OMPI_COMM_WORLD_SIZE"))
LAUNCHERS = {"hydra_pmi_proxy", "prterun", "prted", "orted", "mpirun", "mpiexec"}
EXITING = 4                         # a flag of Linux in the process table: PF_EXITING
# PAUSE: seconds between two checks. The time between two checks counts as at most LONGEST seconds, since the
# process may have been stopped.
PAUSE, LONGEST = 0.005, 0.5
SETTLE = 0.3                        # seconds in which an ending rank can write its error


@dataclass
class Meeting:
    """One rank's data about its node's meeting. `rank` and the keys of `present` are ranks on this node."""

    name: str                                                       # prefix of the job's socket names
    launcher: int                                                   # process that started the ranks
    rank: int
    ranks: int
    offset: int                                                     # rank in the job of the node's rank 0
    variable: str                                                   # environment variable that holds `rank`
    present: dict[int, int] = field(default_factory=dict)           # rank -> process id, if it has come
    sockets: list[socket.socket] = field(default_factory=list)      # open until the process ends

    def come(self, limit: float) -> None:
        """Wait until every rank of the node has called this method. Raises CommError if a rank has ended, or
        after `limit` seconds.
        """
        if not self.listen(f"{self.rank}"):
            raise CommError(f"two processes have rank {self.offset + self.rank}; start each rank once",
                            kind="repeated rank")
        waited, now = 0.0, time.monotonic()
        while absent := self.absent():
            if self.gone_of(absent):
                time.sleep(SETTLE)  # the process that has ended may belong to another rank
                if (absent := self.absent()) and (gone := self.gone_of(absent)):
                    raise CommError(f"{gone} ended before `with job()`, where {self.names([*self.present])} "
                                    "waited; see its output above", kind="ended")
            time.sleep(PAUSE)
            before, now = now, time.monotonic()
            waited += min(now - before, LONGEST)
            if waited > limit:
                raise CommError(f"timed out after {limit:g} s: {self.names(absent)} did not come to `with "
                                f"job()`; {self.roll_call()}", kind="timeout", seconds=limit,
                                ranks=tuple(self.offset + rank for rank in absent))

    def gone_of(self, absent: list[int]) -> str:
        """Returns a text about the absent ranks that have ended; "" if there is none."""
        left = [rank for rank in absent if listener(f"{self.name}-left-{rank}")]
        ended = self.ended()
        if left or ended >= len(absent):
            return self.names(left or absent)
        return f"{ended} of {self.names(absent)}" if ended else ""

    def absent(self) -> list[int]:
        """Returns the ranks that have not come yet."""
        for rank in range(self.ranks):
            if rank not in self.present and (pid := listener(f"{self.name}-{rank}")):
                self.present[rank] = pid
        return [rank for rank in range(self.ranks) if rank not in self.present]

    def ended(self) -> int:
        """Returns how many of the processes that the launcher started on this node have ended."""
        lives = [life_of(pid) for pid in children(self.launcher)]
        alive = sum(life != "gone" for life in lives)
        # if no process is found, the number is unknown on this system
        return max(0, self.ranks - alive) if lives else 0

    def leave(self) -> None:
        """Announce to the waiting ranks that this rank ends and will not come."""
        self.listen(f"left-{self.rank}")

    def claim(self) -> bool:
        """Returns True for the first rank of the node that calls this method. This rank reports the error
        of the start.
        """
        return self.listen("claim")

    def listen(self, name: str) -> bool:
        """Listen under a name. Returns False if another process has this name."""
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            door.bind(f"{self.name}-{name}")
        except OSError:
            door.close()
            return False
        door.listen(4 * self.ranks)
        self.sockets.append(door)
        return True

    def names(self, ranks: list[int]) -> str:
        numbers = ", ".join(str(self.offset + rank) for rank in ranks)
        return f"rank{'s' * (len(ranks) > 1)} {numbers}"

    def roll_call(self) -> str:
        """Returns the state of each rank of this node in words, from the state of its process."""
        return "; ".join(f"rank {self.offset + rank} {self.doing(rank)}" for rank in range(self.ranks))

    def doing(self, rank: int) -> str:
        pid = self.present.get(rank) or self.process_of(rank)
        life = life_of(pid) if pid else "gone"
        if life == "stopped":
            return f"is stopped (kill -CONT {pid} lets it go on)"
        if life == "gone":
            return "is gone"
        return "is starting" if rank in self.present else f"is elsewhere (process {pid})"

    def all_gone(self) -> bool:
        """Returns whether the processes of all ranks of the node have ended."""
        return all(life_of(pid) == "gone" for pid in self.present.values())

    def process_of(self, rank: int) -> int:
        """Returns the process id of a rank: the launcher's child with this rank in its environment (proc(5)).
        Returns 0 if none is found.
        """
        for pid in children(self.launcher):
            with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
                if f"{self.variable}={rank}".encode() in file.read().split(b"\0"):
                    return pid
        return 0


_met: list[Meeting] = []                                            # the meeting of this process


def meet(environ: Mapping[str, str], limit: float) -> Meeting | None:
    """Wait for the ranks of this node, once per process. Returns None if a meeting is not possible."""
    if not _met and (meeting := meeting_of(environ)):
        _met.append(meeting)
        meeting.come(limit)
    return the_meeting()


def the_meeting() -> Meeting | None:
    return _met[0] if _met else None


def leave_unmet(environ: Mapping[str, str]) -> None:
    """Announce the end of this process, if it ends before the meeting."""
    if not _met and (meeting := meeting_of(environ)):
        meeting.leave()
        for door in meeting.sockets:
            door.detach()  # the socket stays open until the process ends


def meeting_of(environ: Mapping[str, str]) -> Meeting | None:
    """Returns the meeting of this node's ranks. Returns None if the launcher's variables are missing or the
    system has no such sockets.
    """
    for names in LAUNCHED:
        with suppress(KeyError, ValueError):
            local, ranks, rank, size = (int(environ[name]) for name in names)
            launcher = launcher_of(os.getpid())
            if launcher is None or not 0 <= local < ranks <= size or not os.path.exists("/proc/self/ns/net"):
                return None
            if not same_network(launcher):  # in a container the socket would not be visible
                return None
            job = environ.get("PMIX_NAMESPACE", "")
            return Meeting(f"\0minipar-{launcher}-{started(launcher)}-{job}", launcher, local, ranks,
                           rank - local,
                           names[0])
    return None


def claim_for(name: str) -> Meeting | None:
    """Claim the report about the start of a job, like `Meeting.claim`, for a process that is not a rank.
    name: the name of the job's meeting. Returns None if another process has claimed the report; otherwise,
    keep the result until the report is written.
    """
    meeting = Meeting(name, 0, 0, 1, 0, "")
    return meeting if meeting.claim() else None


def listener(name: str) -> int:
    """Returns the process that listens under a name; 0 if there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.setblocking(False)
        try:
            caller.connect(name)
        except OSError:
            return 0
        return int(struct.unpack("iii", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


def launcher_of(pid: int) -> int | None:
    """Returns the nearest ancestor process that is a launcher. A shell may be between the two processes."""
    while pid > 1:
        if command_of(pid) in LAUNCHERS:
            return pid
        pid = parent(pid)
    return None


def command_of(pid: int) -> str:
    """Returns the name of the program that a process runs; "" if the process has ended."""
    with suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return ""


def status(pid: int) -> list[str]:
    """Returns the fields after the name in a process's entry of the process table (proc(5)). Returns [] if
    the process has ended.
    """
    with suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()
    return []


def is_ending(pid: int) -> bool:
    """Returns whether a process has ended, or is releasing its memory and files before it ends."""
    fields = status(pid)
    return not fields or fields[0] in "ZX" or bool(int(fields[6]) & EXITING)


def parent(pid: int) -> int:
    return int((status(pid) or "00")[1])


def started(pid: int) -> str:
    """Returns the start time of a process. Two processes with the same id have different start times."""
    return (status(pid) or [""] * 20)[19]


def children(pid: int) -> list[int]:
    found: list[int] = []
    for path in glob(f"/proc/{pid}/task/*/children"):
        with suppress(OSError), open(path, encoding="ascii") as file:
            found += [int(word) for word in file.read().split()]
    return found


def descendants(pid: int) -> list[int]:
    """Returns the children of a process, their children, and so on."""
    found = children(pid)
    for child in found:
        found += children(child)
    return found


def same_network(pid: int) -> bool:
    """Returns whether process pid and this process have the same network namespace, and so the same sockets.
    """
    try:
        return os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
    except OSError:
        return False
