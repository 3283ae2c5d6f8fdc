"""Runs a function on n ranks, each a thread of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from minipar.comm.checking import Checking
from minipar.comm.endings import raise_loose_ends
from minipar.comm.ledger import Ledger
from minipar.comm.threads.engine import ThreadComm
from minipar.comm.threads.world import Unwound, World

Result = TypeVar("Result")
GRACE = 1.0                 # seconds that the other ranks get, in all, to reach their next call after one has failed


def run(size: int, function: Callable[..., Result], *args: Any, nodes: Sequence[int] | None = None, checked: bool = True,
        synchronous: bool = False, timeout: float = 30.0) -> list[Result]:
    """Call `function(comm, *args)` on `size` ranks, each a thread; returns the results by rank.

    If a rank raises, the others stop at their next call and `run` raises that rank's own exception, with a note that names the
    rank. A deadlock raises CommError at once; messages never received and requests never waited for raise it at the end.

    nodes: each rank's node (default: one node). checked: compare every collective across the ranks before data moves, and keep
    the books for the end; a deadlock is found in any case. synchronous: a send waits for its receive, as a large one does under
    MPI. timeout: how long, in seconds, a rank may wait for one that computes; inf while you stop ranks in a debugger.
    """
    world = World(size, nodes=nodes, synchronous=synchronous, timeout=timeout)
    ledgers = [Ledger(rank) for rank in range(size)]
    results: list[Any] = [None] * size
    errors: list[tuple[int, BaseException]] = []

    def work(rank: int) -> None:
        engine = ThreadComm(world, rank)
        try:
            results[rank] = function(Checking(engine, ledgers[rank]) if checked else engine, *args)
        except Unwound:
            return
        except BaseException as error:
            if not isinstance(error, SystemExit) or error.code:     # sys.exit(0) is an end like any other
                errors.append((rank, error))
                world.leave(rank, "failed")
                return
        world.leave(rank, "finished")

    world.threads[:] = [threading.Thread(target=work, args=(rank,), name=f"rank {rank}", daemon=True) for rank in range(size)]
    join(world)
    if errors:
        rank, error = errors[0]
        if hasattr(error, "add_note"):                              # Python 3.11
            error.add_note(f"raised by rank {rank} of {size}")
        raise error
    raise_loose_ends([ledger.page() for ledger in ledgers])
    return results


def join(world: World) -> None:
    """Run the threads until all have ended, or one has failed and the others had their grace."""
    threads = [thread for thread in world.threads if thread is not None]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive() and not world.over:
            thread.join(0.05)
    for thread in threads if world.over else ():
        thread.join(GRACE / world.size)
