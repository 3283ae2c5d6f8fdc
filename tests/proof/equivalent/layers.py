"""Small hand-written layers, serial and parallel, into which each classic bug can be planted.

The parallel ones do not use minipar directly. Their argument is an `Ops`, over minipar's communicator or
mpi4py's. `bug` plants a mistake; "" is the right program.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

import minipar as mp
from minipar.comm.collectives import all_gather, even_counts

Arrays = dict[str, np.ndarray]
PIECES = 3                                                          # micro-batches


class Ops(Protocol):
    """The messages that the layers use."""

    rank: int
    size: int

    def sum(self, array: np.ndarray) -> np.ndarray: ...

    def gather(self, array: np.ndarray) -> list[np.ndarray]: ...

    def send(self, array: np.ndarray, to: int) -> None: ...

    def receive(self, shape: tuple[int, ...], source: int) -> np.ndarray: ...


class MiniparOps:
    """Over a communicator of minipar."""

    def __init__(self, comm: mp.Communicator):
        self.comm, self.rank, self.size = comm, comm.rank, comm.size

    def sum(self, array: np.ndarray) -> np.ndarray:
        return mp.all_reduce(self.comm, np.ascontiguousarray(array), label="sum")

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Arrays of all ranks, whose shapes differ in the last axis alone."""
        sizes = all_gather(self.comm, np.array([array.shape[-1]]), label="sizes")
        flat = all_gather(self.comm, np.ascontiguousarray(np.moveaxis(array, -1, 0)), counts=sizes.tolist(),
                          label="parts")
        return [np.moveaxis(part, 0, -1) for part in np.split(flat, np.cumsum(sizes)[:-1])]

    def send(self, array: np.ndarray, to: int) -> None:
        self.comm.send(np.ascontiguousarray(array), to, label="stage")

    def receive(self, shape: tuple[int, ...], source: int) -> np.ndarray:
        buffer = np.empty(shape)
        self.comm.recv(buffer, source, label="stage")
        return buffer


class Mpi4pyOps:
    """Over mpi4py alone."""

    def __init__(self) -> None:
        from mpi4py import MPI
        self.world = MPI.COMM_WORLD
        self.rank, self.size = self.world.Get_rank(), self.world.Get_size()

    def sum(self, array: np.ndarray) -> np.ndarray:
        out = np.empty_like(array, order="C")
        self.world.Allreduce(np.ascontiguousarray(array), out)
        return out

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        return self.world.allgather(array)

    def send(self, array: np.ndarray, to: int) -> None:
        self.world.Send(np.ascontiguousarray(array), to)

    def receive(self, shape: tuple[int, ...], source: int) -> np.ndarray:
        buffer = np.empty(shape)
        self.world.Recv(buffer, source)
        return buffer


# A column-parallel layer, tanh, and a row-parallel layer: y = tanh(x w + b) v + c, with all gradients.

def pair_inputs() -> Arrays:
    rng = np.random.default_rng(1)
    return dict(x=rng.standard_normal((6, 7)), w=rng.standard_normal((7, 11)), b=rng.standard_normal(11),
                v=rng.standard_normal((11, 5)), c=rng.standard_normal(5), gy=rng.standard_normal((6, 5)))


PAIR = dict(w=mp.Shard(1), b=mp.Shard(0), v=mp.Shard(0), gw=mp.Shard(1), gb=mp.Shard(0), gv=mp.Shard(0))


def pair(x: np.ndarray, w: np.ndarray, b: np.ndarray, v: np.ndarray, c: np.ndarray, gy: np.ndarray) -> Arrays:
    h = np.tanh(x @ w + b)
    gh = gy @ v.T * (1 - h * h)
    return dict(h=h, y=h @ v + c, gx=gh @ w.T, gw=x.T @ gh, gb=gh.sum(0), gv=h.T @ gy, gc=gy.sum(0))


def parallel_pair(ops: Ops, bug: str, x: np.ndarray, w: np.ndarray, b: np.ndarray, v: np.ndarray,
                  c: np.ndarray, gy: np.ndarray) -> Arrays:
    p, last = ops.size, ops.size - 1
    h = np.tanh(x @ w + b)
    part = h @ v
    gh = gy @ v.T * (1 - h * h)
    gx, gw, gv, gc = ops.sum(gh @ w.T), x.T @ gh, h.T @ gy, gy.sum(0)
    if bug == "bias on every rank":
        y = ops.sum(part + c)
    elif bug == "y not summed":
        y = part + c / p
    else:
        y = ops.sum(part) + (0 if bug == "bias forgotten" else c)
    parts = ops.gather(h)
    if bug == "y on rank 0 alone" and ops.rank:
        y = part
    if bug == "gathered backwards":
        parts.reverse()
    if bug == "gx not summed":
        gx = gh @ w.T
    if bug == "gx summed twice":
        gx = ops.sum(gx)
    if bug == "gx averaged":
        gx = gx / p
    if bug == "bias shared out":
        gc = gc / p
    if bug == "whole gradient summed":
        gc = ops.sum(gc)
    if bug == "another rank's shard":
        gw = ops.gather(gw)[(ops.rank + 1) % p]
    if bug == "whole, not its shard":
        gw = np.concatenate(ops.gather(gw), axis=1)
    if bug == "shard begins late":
        whole, counts = np.concatenate(ops.gather(gw), axis=1), even_counts(11, p)
        begin = sum(counts[:ops.rank]) + 1
        gw = whole.take(range(begin, begin + counts[ops.rank]), axis=1, mode="wrap")
    if bug == "transposed":
        gv = gv.T
    if bug == "half the bits":
        gv = gv.astype(np.float32).astype(float)
    if bug == "one shard twice" and ops.rank == last:
        gv = 2 * gv
    if bug == "buffer never filled" and ops.rank == last:
        gv = np.full_like(gv, np.nan)
    gb = np.zeros_like(b) if bug == "nothing arrives" else gh.sum(0)
    return dict(h=np.concatenate(parts, axis=1), y=y, gx=gx, gw=gw, gb=gb, gv=gv, gc=gc)


# A step of data parallelism: mean squared error of a linear model, and the update of its weights.

def step_inputs() -> Arrays:
    rng = np.random.default_rng(2)
    return dict(x=rng.standard_normal((17, 4)), t=rng.standard_normal(17), w=rng.standard_normal(4))


STEP = dict(x=mp.Shard(0), t=mp.Shard(0), e=mp.Shard(0))


def step(x: np.ndarray, t: np.ndarray, w: np.ndarray) -> Arrays:
    e = x @ w - t
    g = x.T @ e / len(e)
    return dict(e=e, loss=e @ e / len(e), g=g, new=w - 0.1 * g)


def parallel_step(ops: Ops, bug: str, x: np.ndarray, t: np.ndarray, w: np.ndarray) -> Arrays:
    p, e = ops.size, x @ w - t
    n = ops.sum(np.array([float(len(e))]))[0]
    g = np.zeros_like(w)
    for rows in np.array_split(np.arange(len(e)), PIECES):          # micro-batches
        mine = x[rows].T @ e[rows]
        if bug == "micro-batches count whole":
            mine = mine * PIECES
        if bug == "divided by micro-batches":
            mine = mine / PIECES
        g = mine if bug == "accumulation overwritten" else g + mine
    if bug == "another sign":
        g = -g
    g = g / n if bug == "never summed" else ops.sum(g) / (len(e) if bug == "own count" else n)
    if bug == "averaged twice":
        g = g / p
    if bug == "another factor on each rank":
        g = g * (1 + ops.rank)
    loss = np.array([e @ e]) / n
    loss = loss[0] if bug == "loss of its own samples" else ops.sum(loss)[0]
    new = w - 0.1 * g
    if bug == "replicas drift" and ops.rank == p - 1:
        new = np.nextafter(new, np.inf)
    return dict(e=e[:17 // p - 1] if bug == "remainder dropped" else e, loss=loss, g=g, new=new)


# A pipeline of one layer per rank: y = tanh(... tanh(x w0) ... ) of micro-batches, and the gradient of
# sum(y y) / 2.


def pipeline_inputs(ranks: int) -> Arrays:
    rng = np.random.default_rng(3)
    return {"x": rng.standard_normal((7, 4)), **{f"w{s}": rng.standard_normal((4, 4)) for s in range(ranks)}}


def pipeline_shards(ranks: int) -> dict[str, Any]:
    return {f"{what}{s}": mp.OnRank(s) for s in range(ranks) for what in ("w", "g")} | {
        "y": mp.OnRank(ranks - 1)
    }


def pipeline(x: np.ndarray, **w: np.ndarray) -> Arrays:
    inputs = [x]
    for s in range(len(w)):
        inputs.append(np.tanh(inputs[-1] @ w[f"w{s}"]))
    gradient, found = inputs[-1], {}
    for s in reversed(range(len(w))):
        gradient = gradient * (1 - inputs[s + 1] ** 2)
        found[f"g{s}"] = inputs[s].T @ gradient
        gradient = gradient @ w[f"w{s}"].T
    y = inputs[-1]
    return dict(y=y, loss=0.5 * (y * y).sum(), **dict(sorted(found.items())))


def parallel_pipeline(ops: Ops, bug: str, x: np.ndarray, **weights: np.ndarray) -> Arrays:
    """All forwards, then all backwards, micro-batch after micro-batch."""
    s, last, w = ops.rank, ops.size - 1, weights[f"w{ops.rank}"]
    pieces = np.array_split(x, PIECES)
    inputs, outputs = [], []
    for piece in pieces:
        inputs.append(piece if s == 0 else ops.receive(piece.shape, s - 1))
        outputs.append(np.tanh(inputs[-1] @ w))
        if s < last:
            ops.send(outputs[-1], s + 1)
    g = np.zeros_like(w)
    for number, output in enumerate(outputs):
        gradient = output if s == last else ops.receive(output.shape, s + 1)
        if bug == "every stage takes the mean" and s == 0:
            gradient = gradient / PIECES
        gradient = gradient * (1 - output ** 2)
        if not (bug == "last micro-batch dropped" and number == PIECES - 1):
            g = g + inputs[number].T @ gradient
        if s > 0:
            ops.send(np.zeros_like(gradient) if bug == "gradient not sent" else gradient @ w.T, s - 1)
    y = np.concatenate(outputs[::-1] if bug == "micro-batches in reverse" and s == last else outputs)
    own = np.array([0.5 * (y * y).sum() if s == last else 0.0])
    loss = own[0] if bug == "loss on the last stage" else ops.sum(own)[0]
    found = {} if bug == "one stage forgotten" and s == last else {f"g{s}": g}
    return dict(y=y, loss=loss, **found)
