"""Runs a function on n ranks. Each rank is a thread of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NoReturn, TypeVar

from minipar.comm.diagnostics.escapes import guard_exit, report_escapes
from minipar.comm.diagnostics.exit_report import exit_status, first_diagnosis, raise_loose_ends
from minipar.comm.diagnostics.ledger import Ledger
from minipar.comm.threads.engine import ThreadComm
from minipar.comm.threads.limits import fewer_collections, small_stacks, too_many
from minipar.comm.threads.world import Unwound, World
from minipar.comm.wrappers.checking import Checking

Result = TypeVar("Result")
GRACE = 0.5  # after one rank has failed, seconds for all other ranks to reach their next call
HEED = 0.1  # Ctrl-C takes effect within this many seconds, even if it does not interrupt a wait


def run(size: int, function: Callable[..., Result], *args: Any, nodes: Sequence[int] | None = None,
        checked: bool = True, synchronous: bool = False, timeout: float = 30.0,
        any_source: str | None = None) -> list[Result]:
    """Call `function(comm, *args)` on `size` ranks. Each rank is a thread. Returns the results in the order
    of ranks.

    If a rank raises, the other ranks stop at their next call. Then `run` raises the exception of the rank
    that failed first, with a note that names this rank. A deadlock raises CommError at once. Messages that
    were not received and requests that were not waited for raise CommError at the end.

    nodes: the node of each rank (default: one node). checked: compare every collective across the ranks
    before data moves, and record all requests, to find incomplete ones at the end. Deadlocks are found also
    without `checked`. synchronous: a send waits for its receive, like a large send under MPI. timeout: the
    longest wait, in seconds; pass inf to stop ranks in a debugger. With more than 64 ranks, the limit is
    timeout * size / 64, since the ranks share the cores. any_source: the order in which receives from any
    source take messages, "first" or "seed=N"; None for the order of arrival.

    Raises ConfigError for an invalid size, nodes or timeout. Ctrl-C ends `run`, and ends each rank at its
    next call.

    >>> import minipar as mp
    >>> mp.run(4, lambda comm: comm.rank**2)
    [0, 1, 4, 9]
    """
    world = World(size, nodes=nodes, synchronous=synchronous, timeout=timeout, checked=checked,
                  any_source=any_source)
    ledgers = [Ledger(rank) for rank in range(size)]
    results: list[Any] = [None] * size
    ends: SimpleQueue[int] = SimpleQueue()

    def work(rank: int) -> None:
        try:
            engine = ThreadComm(world, rank)
            results[rank] = function(Checking(engine, ledgers[rank]) if checked else engine, *args)
            world.leave(rank, "finished")
        except Unwound:
            pass
        except BaseException as error:
            if isinstance(error, SystemExit) and not error.code:    # sys.exit(0) is a normal end
                world.leave(rank, "finished")
            else:
                world.errors.append((rank, first_diagnosis(error)))
                world.leave(rank, "failed")
        finally:
            ends.put(rank)

    threads = [threading.Thread(target=work, args=(rank,), name=f"rank {rank}", daemon=True)
               for rank in range(size)]
    world.threads[:] = threads
    escaped: list[BaseException] = []  # errors of threads that the ranks have started
    undo, undo_guard = report_escapes(escaped.append), guard_exit(raise_it)
    try:
        with fewer_collections(size):
            await_all(world, threads, ends)
    finally:
        undo()
        undo_guard()
    if world.errors:
        rank, error = world.errors[0]
        if hasattr(error, "add_note"):                              # since Python 3.11
            error.add_note(f"raised by rank {rank} of {size}")
        raise with_status(error)
    if escaped:
        raise with_status(escaped[0])
    raise_loose_ends([ledger.close() for ledger in ledgers])
    return results


def with_status(error: BaseException) -> BaseException:
    """Returns the error. A SystemExit gets a status that the system does not take for success."""
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        error.code = exit_status(error.code)
    return error


def raise_it(error: BaseException) -> NoReturn:
    raise error


def await_all(world: World, threads: Sequence[threading.Thread], ends: SimpleQueue[int]) -> None:
    """Run the threads until all have ended, or until GRACE seconds after one has failed. ends: a queue to
    which each rank writes its number when it ends.

    This function does not call Thread.join. After Ctrl-C, `join` may treat a running thread as ended
    (CPython's bug bpo-45274).
    """
    running = 0
    try:
        with small_stacks(len(threads)):
            for thread in threads:
                try:
                    thread.start()
                except RuntimeError as error:  # the system limits threads or memory
                    raise too_many(running, len(threads), error) from error
                running += 1
        while running and not world.over:
            with suppress(Empty):
                ends.get(timeout=HEED)
                running -= 1
            with world.lock:
                world.turns.tick()
        if world.over:
            world.stop()
    except BaseException:  # Python raises the error of Ctrl-C only in this thread
        world.stop()
        raise
    finally:
        deadline = time.monotonic() + GRACE
        with suppress(Empty):
            for _ in range(running):
                ends.get(timeout=max(0.0, deadline - time.monotonic()))
