"""The reductions: reduce, all_reduce, reduce_scatter, start_all_reduce and start_reduce_scatter. They combine
the arrays of all ranks, element by element.

These rules hold for all of them:
* op is "sum", "mean", "max" or "min". The mean of integers is float64. If a mean fits the dtype, its
  computation does not overflow (combine.py).
* The result of max and min is NaN if any operand is NaN. For booleans, max is "any" and min is "all". A sum
  of integers wraps around.
* `algorithm` is a name from `minipar.comm.collectives.table`, "auto" or "by_size". "auto" selects the
  algorithm that is the fastest one in the cost model (select.py). "by_size" does the same, but as if all
  ranks were on one node.
* With every algorithm, all ranks get the same bits. Two algorithms add in different orders, so their results
  may differ in the last bit. Two groups may select different algorithms if their arrays have different
  lengths or their ranks are on different nodes.
* The input is not changed, unless it is also `out`. Without `out`, the result is a new array. With `out`, the
  result is written to `out`, which is returned.
* All ranks must agree on shape, dtype, op and algorithm. Otherwise they raise CommError.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.arguments import Call, elements
from minipar.comm.collectives.channel import AlgorithmSteps, Channel, Handle, finish
from minipar.comm.collectives.combine import addends
from minipar.comm.collectives.select import choose
from minipar.comm.collectives.shared_array import location_in_shared_memory
from minipar.comm.collectives.table import find
from minipar.comm.diagnostics.call_site import label_or_call_site
from minipar.comm.protocol import Communicator


def reduce(comm: Communicator, array: np.ndarray, op: str = "sum", *, root: int = 0, label: str | None = None,
           out: np.ndarray | None = None,
           algorithm: str = "auto") -> np.ndarray | None:
    """Returns the reduction of all ranks' arrays on the root, and None on the other ranks. Only the root uses
    `out`, which may be `array`.
    """
    call = Call(comm, "reduce", label)
    call.reduction(op)
    root, source = call.root(root), call.source(array, op)
    total = call.result(out if comm.rank == root else None, source.shape, source.dtype)
    call.keep_apart(total, source, allowed=source)
    terms, target, divisor = on_the_way(op, source, total, comm.size)
    combine = call.combine(op, terms.dtype)
    name = choose("reduce", algorithm, comm, terms.nbytes)
    run = find("reduce", name)
    tag = comm.entering(f"reduce {op}", source.shape, source.dtype, label=call.label, root=root,
                        algorithm=name)
    steps = run(Channel(comm, call.label, tag), *flat(terms, target), combine, root)
    finish(comm, divided(steps, target, divisor if comm.rank == root else 0, total))
    return total if comm.rank == root else None


def all_reduce(comm: Communicator, array: np.ndarray, op: str = "sum", *, label: str | None = None,
               out: np.ndarray | None = None, algorithm: str = "auto") -> np.ndarray:
    """Returns the reduction of all ranks' arrays on every rank. `out` may be `array`; then the ring needs
    additional memory for only 1/size of the array.

    >>> import numpy as np, minipar as mp
    >>> mp.run(3, lambda comm: mp.all_reduce(comm, np.array([comm.rank, 10])).tolist())
    [[3, 30], [3, 30], [3, 30]]
    >>> mp.run(3, lambda comm: mp.all_reduce(comm, np.array([comm.rank]), "max").tolist())
    [[2], [2], [2]]
    """
    steps, _, total = _all_reduce(comm, array, op, label, out, algorithm)
    finish(comm, steps)
    return total


def start_all_reduce(comm: Communicator, array: np.ndarray, op: str = "sum",
                     *, label: str | None = None, out: np.ndarray | None = None,
                     algorithm: str = "auto") -> Handle:
    """Start an all_reduce. `handle.wait()` returns its result.

    Several collectives may be in flight at once, if all ranks start them in the same order. This function
    does not accept algorithm="native". It accepts "shared" only if `out` is in shared memory, since the
    communicator has only one staging buffer for other arrays.
    """
    # a mean of float16 is summed in float32, so not in `out` (combine.py)
    staged = (out is None or location_in_shared_memory(comm, out) is None
              or (op == "mean" and out.itemsize == 2))
    if algorithm == "native" or (algorithm == "shared" and staged):
        raise Call(comm, "start_all_reduce", label).wrong(
            "algorithm", f"cannot start {algorithm}, which waits; choose an algorithm that sends messages, "
            "or give an out made by shared_array")
    return Handle(comm, label_or_call_site(label), *_all_reduce(comm, array, op, label, out, algorithm))


def reduce_scatter(comm: Communicator, array: np.ndarray, op: str = "sum", *,
                   counts: Sequence[int] | None = None, label: str | None = None,
                   out: np.ndarray | None = None, algorithm: str = "auto") -> np.ndarray:
    """Returns this rank's rows of the reduction of all ranks' arrays.

    array: [N, ...] on every rank. Result: [counts[rank], ...]. Rank 0 gets the first counts[0] rows, rank 1
    the next counts[1] rows, and so on. counts: the number of rows of each rank; by default as even as
    possible (the first N % size ranks get one row more). `out` may be this rank's own rows of `array`.
    """
    steps, _, own = _reduce_scatter(comm, array, op, counts, label, out, algorithm)
    finish(comm, steps)
    return own


def start_reduce_scatter(comm: Communicator, array: np.ndarray, op: str = "sum", *,
                         counts: Sequence[int] | None = None,
                         label: str | None = None, out: np.ndarray | None = None,
                         algorithm: str = "auto") -> Handle:
    """Start a reduce_scatter. `handle.wait()` returns its result. See start_all_reduce."""
    if algorithm == "native":
        raise Call(comm, "start_reduce_scatter", label).wrong(
            "algorithm", "cannot start native, which waits; choose another algorithm")
    return Handle(comm, label_or_call_site(label),
                  *_reduce_scatter(comm, array, op, counts, label, out, algorithm))


def _all_reduce(comm: Communicator, array: np.ndarray, op: str, label: str | None, out: np.ndarray | None,
                algorithm: str) -> tuple[AlgorithmSteps, np.ndarray, np.ndarray]:
    call = Call(comm, "all_reduce", label)
    call.reduction(op)
    source = call.source(array, op)
    total = call.result(out, source.shape, source.dtype)
    call.keep_apart(total, source, allowed=source)
    terms, target, divisor = on_the_way(op, source, total, comm.size)
    combine = call.combine(op, terms.dtype)
    name = choose("all_reduce", algorithm, comm, terms.nbytes, target)
    run = find("all_reduce", name)
    channel = Channel(comm, call.label, comm.entering(f"all_reduce {op}", source.shape, source.dtype,
                                                      label=call.label, algorithm=name))
    return divided(run(channel, *flat(terms, target), combine), target, divisor, total), source, total


def _reduce_scatter(comm: Communicator, array: np.ndarray, op: str, counts: Sequence[int] | None,
                    label: str | None, out: np.ndarray | None,
                    algorithm: str) -> tuple[AlgorithmSteps, np.ndarray, np.ndarray]:
    call = Call(comm, "reduce_scatter", label)
    call.reduction(op)
    source = call.source(array, op)
    counts = call.split(call.rows(source), counts)
    own = call.result(out, (counts[comm.rank], *source.shape[1:]), source.dtype)
    call.keep_apart(own, source, allowed=source[sum(counts[:comm.rank]):])
    terms, target, divisor = on_the_way(op, source, own, comm.size)
    combine = call.combine(op, terms.dtype)
    name = choose("reduce_scatter", algorithm, comm, terms.nbytes)
    run = find("reduce_scatter", name)
    channel = Channel(comm, call.label, comm.entering(f"reduce_scatter {op}", source.shape, source.dtype,
                                                      label=call.label, algorithm=name, counts=counts))
    steps = run(channel, terms.reshape(-1), target.reshape(-1), elements(counts, source.shape[1:]), combine)
    return divided(steps, target, divisor, own), source, own


def flat(source: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns `source` and `out` as one-dimensional arrays. If the two share memory, both results are the
    same object. Algorithms then work in place.
    """
    row = out.reshape(-1)
    return (row if source is out or np.may_share_memory(source, out) else source.reshape(-1)), row


def on_the_way(op: str, source: np.ndarray, out: np.ndarray,
               ranks: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns the array to send, the array for the reduced result, and the divisor. The divisor is 0 unless
    op is "mean" (see `addends`).
    """
    if op != "mean":
        return source, out, 0
    terms, divisor = addends(source, ranks)
    return terms, out if terms.dtype == out.dtype else np.empty(out.shape, terms.dtype), divisor


def divided(steps: AlgorithmSteps, total: np.ndarray, divisor: float, out: np.ndarray) -> AlgorithmSteps:
    """Returns the steps. If the divisor is not 0, a last step writes total / divisor to `out`."""
    return _then_divide(steps, total, divisor, out) if divisor else steps


def _then_divide(steps: AlgorithmSteps, total: np.ndarray, divisor: float, out: np.ndarray) -> AlgorithmSteps:
    yield from steps
    np.divide(total, total.dtype.type(divisor), out=out, casting="same_kind")
