"""The collectives that add up: reduce, all_reduce, reduce_scatter, and the two that do not wait.

What holds for all of them:
* op is "sum", "mean", "max" or "min". The mean of integers is float64.
* `algorithm` is a name from `minipar.comm.collectives.table`, or "auto": the fastest by the cost model (select.py).
* All ranks get the same bits, whatever the algorithm. Two algorithms may differ in the last bit: they add in different orders.
* The input is never written to. Without `out` the result is a new array; with it, the result is written there and `out` is
  returned. Only where `out` is the input itself, the input is overwritten.
* All ranks must agree on shape, dtype, op and algorithm. Errors are CommError.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.arguments import Call, elements
from minipar.comm.collectives.channel import Channel, Handle, Steps, finish
from minipar.comm.collectives.select import choose
from minipar.comm.collectives.shared_memory import place_in
from minipar.comm.collectives.table import find
from minipar.comm.protocol import Communicator


def reduce(comm: Communicator, array: np.ndarray, op: str = "sum", *, root: int = 0, label: str, out: np.ndarray | None = None,
           algorithm: str = "auto") -> np.ndarray | None:
    """The reduction of all arrays, on the root; None on the others. `out` matters on the root only; it may be `array`."""
    call = Call(comm, "reduce", label)
    combine, root, source = call.reduction(op), call.root(root), call.source(array, op)
    total = call.result(out if comm.rank == root else None, source.shape, source.dtype)
    call.keep_apart(total, source, allowed=source)
    name = choose("reduce", algorithm, comm, source.nbytes)
    run = find("reduce", name)
    tag = comm.entering(f"reduce {op}", source.shape, source.dtype, label=label, root=root, algorithm=name)
    channel = Channel(comm, label, tag)
    finish(comm, run(channel, *flat(source, total), combine, root))
    if comm.rank != root:
        return None
    if op == "mean":
        np.divide(total, comm.size, out=total)
    return total


def all_reduce(comm: Communicator, array: np.ndarray, op: str = "sum", *, label: str, out: np.ndarray | None = None,
               algorithm: str = "auto") -> np.ndarray:
    """The reduction of all ranks' arrays, on every rank. `out` may be `array`: the ring then needs no memory but a chunk."""
    steps, total = _all_reduce(comm, array, op, label, out, algorithm)
    finish(comm, steps)
    return total


def start_all_reduce(comm: Communicator, array: np.ndarray, op: str = "sum", *, label: str, out: np.ndarray | None = None,
                     algorithm: str = "auto") -> Handle:
    """An all_reduce on its way; `handle.wait()` returns what all_reduce returns.

    Several may be under way at once, if all ranks start them in the same order. Not for algorithm="native", nor for "shared"
    unless `out` is in shared memory already: there is but one stage.
    """
    if algorithm == "native" or (algorithm == "shared" and (out is None or place_in(comm, out) is None)):
        raise Call(comm, "start_all_reduce", label).wrong(f"cannot start {algorithm}, which waits; choose an algorithm that "
                                                        "sends messages, or give an out made by shared_array")
    return Handle(comm, *_all_reduce(comm, array, op, label, out, algorithm))


def reduce_scatter(comm: Communicator, array: np.ndarray, op: str = "sum", *, counts: Sequence[int] | None = None, label: str,
                   out: np.ndarray | None = None, algorithm: str = "auto") -> np.ndarray:
    """This rank's rows of the reduction of all ranks' arrays.

    array: [N, ...] on every rank. Result: [counts[rank], ...], the rows behind those of the ranks before this one.
    counts: the rows of each rank, as even as can be by default (the first N % size ranks get one more). `out` may be this
    rank's own rows of `array`.
    """
    steps, own = _reduce_scatter(comm, array, op, counts, label, out, algorithm)
    finish(comm, steps)
    return own


def start_reduce_scatter(comm: Communicator, array: np.ndarray, op: str = "sum", *, counts: Sequence[int] | None = None,
                         label: str, out: np.ndarray | None = None, algorithm: str = "auto") -> Handle:
    """A reduce_scatter on its way; see start_all_reduce."""
    if algorithm == "native":
        raise Call(comm, "start_reduce_scatter", label).wrong("cannot start native, which waits; choose another algorithm")
    return Handle(comm, *_reduce_scatter(comm, array, op, counts, label, out, algorithm))


def _all_reduce(comm: Communicator, array: np.ndarray, op: str, label: str, out: np.ndarray | None,
                algorithm: str) -> tuple[Steps, np.ndarray]:
    call = Call(comm, "all_reduce", label)
    combine, source = call.reduction(op), call.source(array, op)
    total = call.result(out, source.shape, source.dtype)
    call.keep_apart(total, source, allowed=source)
    name = choose("all_reduce", algorithm, comm, source.nbytes, total)
    run = find("all_reduce", name)
    channel = Channel(comm, label, comm.entering(f"all_reduce {op}", source.shape, source.dtype, label=label, algorithm=name))
    steps = run(channel, *flat(source, total), combine)
    return divided(steps, total, comm.size) if op == "mean" else steps, total


def _reduce_scatter(comm: Communicator, array: np.ndarray, op: str, counts: Sequence[int] | None, label: str,
                    out: np.ndarray | None, algorithm: str) -> tuple[Steps, np.ndarray]:
    call = Call(comm, "reduce_scatter", label)
    combine, source = call.reduction(op), call.source(array, op)
    counts = call.split(call.rows(source), counts)
    own = call.result(out, (counts[comm.rank], *source.shape[1:]), source.dtype)
    call.keep_apart(own, source, allowed=source[sum(counts[:comm.rank]):])
    name = choose("reduce_scatter", algorithm, comm, source.nbytes)
    run = find("reduce_scatter", name)
    channel = Channel(comm, label, comm.entering(f"reduce_scatter {op}", source.shape, source.dtype, label=label, algorithm=name,
                                            counts=counts))
    steps = run(channel, source.reshape(-1), own.reshape(-1), elements(counts, source.shape[1:]), combine)
    return divided(steps, own, comm.size) if op == "mean" else steps, own


def flat(source: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as one row; the same object where they are the same memory, so that algorithms see that they work in place."""
    row = out.reshape(-1)
    return (row if source is out or np.may_share_memory(source, out) else source.reshape(-1)), row


def divided(steps: Steps, total: np.ndarray, ranks: int) -> Steps:
    """A sum that ends as a mean."""
    yield from steps
    np.divide(total, ranks, out=total)
