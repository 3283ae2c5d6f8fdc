"""The collectives that only move arrays: broadcast, gather, scatter, all_gather, all_to_all.

These rules hold for all of them:
* The input is not changed.
* Without `out`, the result is a new array. With `out`, the result is written to `out`, which is returned.
* Arrays are divided into rows, along the first axis.
* `algorithm` is a name from `minipar.comm.collectives.table`, or "auto". "auto" selects the fastest algorithm
  by the cost model (select.py).
* All ranks must agree on shape, dtype, root, counts and algorithm. Otherwise they raise CommError.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipar.comm.collectives.arguments import Call, elements
from minipar.comm.collectives.channel import AlgorithmSteps, Channel, Handle, finish
from minipar.comm.collectives.select import choose
from minipar.comm.collectives.table import find
from minipar.comm.diagnostics.call_site import label_or_call_site
from minipar.comm.protocol import Communicator


def broadcast(comm: Communicator, array: np.ndarray, *, root: int = 0, label: str | None = None,
              out: np.ndarray | None = None, algorithm: str = "auto") -> np.ndarray:
    """Returns the root's array on every rank. `out` may be `array`.

    On the other ranks, only the shape and the dtype of `array` are used, so pass np.empty(...).
    """
    call = Call(comm, "broadcast", label)
    root, source = call.root(root), call.source(array)
    copy = call.result(out, source.shape, source.dtype)
    call.keep_apart(copy, source, allowed=source)
    name = choose("broadcast", algorithm, comm, source.nbytes)
    run = find("broadcast", name)
    channel = Channel(comm, call.label, comm.entering("broadcast", source.shape, source.dtype,
                                                      label=call.label, root=root, algorithm=name))
    if comm.rank == root and copy is not source:
        np.copyto(copy, source)
    finish(comm, run(channel, copy.reshape(-1), root))
    return copy


def gather(comm: Communicator, array: np.ndarray, *, root: int = 0, counts: Sequence[int] | None = None,
           label: str | None = None,
           out: np.ndarray | None = None, algorithm: str = "auto") -> np.ndarray | None:
    """Returns the concatenated rows of all ranks, [sum of counts, ...], on the root; None on the other ranks.

    array: [counts[rank], ...]. counts: the number of rows of each rank; by default every rank has as many
    rows as this one. Only the root uses `out`.
    """
    call = Call(comm, "gather", label)
    root, source = call.root(root), call.source(array)
    counts = call.gathered(source, counts)
    shape = (sum(counts), *source.shape[1:])
    everything = call.result(out, shape, source.dtype) if comm.rank == root else np.empty(0, source.dtype)
    call.keep_apart(source, everything, allowed=everything[sum(counts[:root]):])
    name = choose("gather", algorithm, comm, sum(elements(counts, shape[1:])) * source.itemsize)
    run = find("gather", name)
    channel = Channel(comm, call.label, comm.entering("gather", shape, source.dtype, label=call.label,
                                                      root=root, algorithm=name, counts=counts))
    finish(comm, run(channel, source.reshape(-1), everything.reshape(-1), elements(counts, shape[1:]), root))
    return everything if comm.rank == root else None


def scatter(comm: Communicator, array: np.ndarray, *, root: int = 0, counts: Sequence[int] | None = None,
            label: str | None = None, out: np.ndarray | None = None, algorithm: str = "auto") -> np.ndarray:
    """Returns this rank's rows of the root's array, [counts[rank], ...].

    array: [N, ...]; on the other ranks, only its shape and its dtype are used. counts: the number of rows of
    each rank; by default these numbers are as even as possible.
    """
    call = Call(comm, "scatter", label)
    root, source = call.root(root), call.source(array)
    counts = call.split(call.rows(source), counts)
    own = call.result(out, (counts[comm.rank], *source.shape[1:]), source.dtype)
    call.keep_apart(own, source, allowed=source[sum(counts[:comm.rank]):])
    name = choose("scatter", algorithm, comm, source.nbytes)
    run = find("scatter", name)
    channel = Channel(comm, call.label, comm.entering("scatter", source.shape, source.dtype, label=call.label,
                                                      root=root, algorithm=name, counts=counts))
    finish(comm, run(channel, source.reshape(-1), own.reshape(-1), elements(counts, source.shape[1:]), root))
    return own


def all_gather(comm: Communicator, array: np.ndarray, *, counts: Sequence[int] | None = None,
               label: str | None = None, out: np.ndarray | None = None,
               algorithm: str = "auto") -> np.ndarray:
    """Returns the concatenated rows of all ranks, [sum of counts, ...], on every rank.

    array: [counts[rank], ...]; it may be this rank's own rows of `out`. counts: the number of rows of each
    rank; by default every rank has as many rows as this one.
    """
    steps, _, everything = _all_gather(comm, array, counts, label, out, algorithm)
    finish(comm, steps)
    return everything


def start_all_gather(comm: Communicator, array: np.ndarray, *, counts: Sequence[int] | None = None,
                     label: str | None = None, out: np.ndarray | None = None,
                     algorithm: str = "auto") -> Handle:
    """Start an all_gather. `handle.wait()` returns its result. See start_all_reduce."""
    if algorithm == "native":
        raise Call(comm, "start_all_gather",
                   label).wrong("algorithm", "cannot start native, which waits; choose another algorithm")
    return Handle(comm, label_or_call_site(label), *_all_gather(comm, array, counts, label, out, algorithm))


def _all_gather(comm: Communicator, array: np.ndarray, counts: Sequence[int] | None, label: str | None,
                out: np.ndarray | None, algorithm: str) -> tuple[AlgorithmSteps, np.ndarray, np.ndarray]:
    call = Call(comm, "all_gather", label)
    source = call.source(array)
    counts = call.gathered(source, counts)
    shape = (sum(counts), *source.shape[1:])
    everything = call.result(out, shape, source.dtype)
    own_rows = everything[sum(counts[:comm.rank]):][:source.shape[0]]
    call.keep_apart(source, everything, allowed=own_rows)
    name = choose("all_gather", algorithm, comm, everything.nbytes)
    run = find("all_gather", name)
    channel = Channel(comm, call.label, comm.entering("all_gather", shape, source.dtype, label=call.label,
                                                      algorithm=name, counts=counts))
    if not np.may_share_memory(own_rows, source):                   # otherwise the rows are there already
        np.copyto(own_rows, source)
    return run(channel, everything.reshape(-1), elements(counts, shape[1:])), source, everything


def all_to_all(comm: Communicator, array: np.ndarray, *, send_counts: Sequence[int] | None = None,
               receive_counts: Sequence[int] | None = None, label: str | None = None,
               out: np.ndarray | None = None, algorithm: str = "auto") -> np.ndarray:
    """Send one block of rows to each rank. Rank r returns the r-th block of every rank, concatenated: [sum of
    receive_counts, ...].

    array: [N, ...], this rank's blocks, concatenated. send_counts: the number of rows for each rank.
    receive_counts: the number of rows from each rank. By default all blocks have N / size rows. If a rank
    does not know receive_counts, exchange the counts first: `receive_counts = all_to_all(comm,
    np.array(send_counts), label="counts")`.
    """
    call = Call(comm, "all_to_all", label)
    source = call.source(array)
    rows, even = call.rows(source), send_counts is None and receive_counts is None
    if even and rows % comm.size:
        raise call.wrong("array", f"cannot divide {rows} rows into {comm.size} equal blocks; give "
                                  "send_counts and receive_counts")
    if not even and (send_counts is None or receive_counts is None):
        raise call.wrong("counts", "needs send_counts and receive_counts, or neither")
    send_counts = call.split(rows, send_counts)
    receive_counts = send_counts if receive_counts is None else call.one_each(receive_counts)
    shape = (sum(receive_counts), *source.shape[1:])
    blocks = call.result(out, shape, source.dtype)
    call.keep_apart(blocks, source)
    # no rank has all sizes, so all ranks use pairwise, which works for all sizes
    if algorithm == "auto" and not even:
        algorithm = "pairwise"
    name = choose("all_to_all", algorithm, comm, source.nbytes)
    run = find("all_to_all", name)
    tag = comm.entering("all_to_all", source.shape if even else None, source.dtype, label=call.label,
                        algorithm=name)
    channel = Channel(comm, call.label, tag)
    finish(comm, run(channel, source.reshape(-1), blocks.reshape(-1), elements(send_counts, shape[1:]),
                     elements(receive_counts, shape[1:])))
    return blocks
