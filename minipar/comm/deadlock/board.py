"""The board is shared memory of a node. Each rank of the node writes its state to the board. The ranks and
the watcher (watcher.py) read it.

The board is a small file, which all ranks of the node map into their memory. It has one slot per rank. A
rank's entry in its slot is called its notice. A rank writes only after it has waited for a while, so fast
messages cost nothing. If a rank is stopped or dead, its last notice stays readable. As soon as every rank has
opened the file, its name is removed. So no job leaves a file behind.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from minipar.comm.deadlock.wait_graph import State

SLOT = 1024
PROCESS_TABLE = "/proc"                                             # Linux has this folder, macOS does not
# A slot begins with these words: version (odd during a write), looks, pid, stack file, lifeline, text length.
HEAD = struct.Struct("=IIIIII")
VERSION, LOOKS, _, _, _, LENGTH = range(6)                          # indices of the words
# this word of the first slot is 1 after a rank has claimed the report of the error
CLAIM = struct.Struct("=I")


class Process(NamedTuple):
    """The process of a rank and two of its file descriptors. answers: the file to which the process writes
    its stack (stack_probe.py). lifeline: the pipe that breaks when the process ends (exit_pipe.py).
    """

    pid: int
    answers: int
    lifeline: int


@dataclass(frozen=True)
class Notice:
    """The content of one rank's slot. version: a number that increases with each notice. looks: how often the
    waiting rank has read the board since it wrote this notice.
    """

    state: State
    version: int
    looks: int


class Board:
    """The board in file descriptor `file`. size: the number of ranks of the job. slots: the slot of each rank
    of this node.
    """

    def __init__(self, file: int, size: int, slots: Mapping[int, int]) -> None:
        self.file, self.size, self.slots = file, size, dict(slots)
        self.memory = mmap.mmap(file, board_bytes(len(slots)))
        # `write` stores each word of a slot's head at once. struct.pack_into would clear the bytes first, and
        # a reader could see the cleared bytes.
        self.words = memoryview(self.memory).cast("I")

    def sign_in(self, rank: int, process: Process) -> None:
        """Write this rank's first notice: its process and the state "running"."""
        HEAD.pack_into(self.memory, self._at(rank), 0, 0, *process, 0)
        self.write(rank, State())

    def write(self, rank: int, state: State) -> None:
        at = self._at(rank)
        head = self._head(rank)
        version = head[VERSION]
        # shorten the texts, so that they fit a slot
        state = replace(state, label=state.label[:80], group=state.group[:40], location=state.location[-80:])
        said = {field: value for field, value in asdict(state).items() if value not in ("", None, ())}
        text = json.dumps(said, ensure_ascii=False).encode(errors="surrogatepass")
        if len(text) > SLOT - HEAD.size:  # JSON needs up to six bytes for a control character
            return self.write(rank, replace(state, label="", group="", location="", detail=""))
        head[VERSION] = version + 1
        head[LOOKS], head[LENGTH] = 0, len(text)
        self.memory[at + HEAD.size:at + HEAD.size + len(text)] = text
        head[VERSION] = version + 2

    def looked(self, rank: int, times: int = 1) -> None:
        """Record that this rank has read the board again and still waits."""
        self._head(rank)[LOOKS] += times

    def read(self, rank: int) -> Notice:
        """Returns the last notice of a rank. A rank that is stopped or has ended cannot write a new notice.
        So this method checks its process, and returns the state "stopped" or "gone" instead.
        """
        if rank not in self.slots:
            return Notice(State("unknown"), 0, 0)
        pid = self.process(rank).pid
        while (notice := self.last(rank)) is None and life_of(pid) == "alive":
            continue                                                # a write is in progress
        life, notice = life_of(pid), notice or Notice(State(), 0, 0)
        if life == "stopped":
            return replace(notice, state=State("stopped", detail=f"kill -CONT {pid} lets it go on"))
        if life == "gone" and notice.state.doing not in ("finished", "failed"):
            return replace(notice, state=State("gone"))
        return notice

    def last(self, rank: int) -> Notice | None:
        """Returns the last notice of a rank of this node; None during a write."""
        at, head = self._at(rank), self._head(rank)
        version, looks, _, _, _, length = head
        text = self.memory[at + HEAD.size:at + HEAD.size + length]
        if version % 2 or head[VERSION] != version:
            return None
        return Notice(State(**json.loads(text)), version, looks)

    def everyone(self) -> list[Notice]:
        return [self.read(rank) for rank in range(self.size)]

    def process(self, rank: int) -> Process:
        """Returns the process of a rank of this node."""
        _, _, pid, answers, lifeline, _ = self._head(rank)
        return Process(pid, answers, lifeline)

    def claim(self) -> bool:
        """Returns True for the first caller on the node, which then reports the job's error."""
        fcntl.lockf(self.file, fcntl.LOCK_EX)
        try:
            first = CLAIM.unpack_from(self.memory, 0) == (0,)
            CLAIM.pack_into(self.memory, 0, 1)
        finally:
            fcntl.lockf(self.file, fcntl.LOCK_UN)
        return first

    def claimed(self) -> bool:
        """Returns whether a rank has claimed the report of the error."""
        return bool(CLAIM.unpack_from(self.memory, 0)[0])

    def _at(self, rank: int) -> int:
        return (1 + self.slots[rank]) * SLOT

    def _head(self, rank: int) -> memoryview:
        return self.words[self._at(rank) // 4:][:6]


def board_bytes(ranks: int) -> int:
    return (1 + ranks) * SLOT


def life_of(pid: int) -> str:
    """Returns "alive", "stopped" or "gone". In the process table (proc(5)), the state of a process follows
    its name, which is in brackets.
    """
    try:
        with open(f"{PROCESS_TABLE}/{pid}/stat", encoding="utf-8", errors="replace") as file:
            letter = file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone" if os.path.exists(f"{PROCESS_TABLE}/self") or not _answers(pid) else "alive"
    except OSError:                                                 # for example, too many open files
        return "alive" if _answers(pid) else "gone"
    return {"Z": "gone", "X": "gone", "T": "stopped", "t": "stopped"}.get(letter, "alive")


def _answers(pid: int) -> bool:
    """Returns whether the process exists. This function is for systems without /proc (macOS)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # the process exists, but belongs to another user
        pass
    return True
