"""Collectives that carry pickled Python objects: bcast, gather, scatter and others.

Only the sender knows the length of a pickled object, so lengths are sent first. One rank computes a
reduction, in the order of the ranks. This is rank 0 for allreduce, scan and exscan, and the root for reduce.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minipar.comm.collectives.algorithms import naive, tree
from minipar.comm.collectives.channel import AlgorithmSteps, Channel, meet
from minipar.mpi4py_face.calls import Collective
from minipar.mpi4py_face.context import check_root
from minipar.mpi4py_face.host_memory import NOTHING
from minipar.mpi4py_face.ops import Op
from minipar.mpi4py_face.pickling import to_bytes, to_object
from minipar.mpi4py_face.reductions import SUM, op_name

Reduction = Op | Callable[[Any, Any], Any]


class ObjectCollectives(Collective):
    """The lower-case collectives."""

    def barrier(self) -> None:
        self._collective("barrier", meet).wait()

    def bcast(self, obj: Any, root: int = 0) -> Any:
        return self._objects("bcast", root, lambda channel, box: self._bcast_object(channel, box, obj, root))

    def gather(self, sendobj: Any, root: int = 0) -> list[Any] | None:
        def steps(channel: Channel, box: list[Any]) -> AlgorithmSteps:
            parts = yield from gather_bytes(channel, to_bytes(sendobj), root)
            box.append(None if parts is None else [to_object(part) for part in parts])

        parts: list[Any] | None = self._objects("gather", root, steps)
        return parts

    def scatter(self, sendobj: Sequence[Any] | None, root: int = 0) -> Any:
        root = check_root(self._enter(), root)
        size = self._enter().comm.size
        parts = None
        if self._enter().comm.rank == root:
            objects = list(sendobj) if sendobj is not None else []
            expect_one_each(objects, size)
            parts = [to_bytes(each) for each in objects]

        def steps(channel: Channel, box: list[Any]) -> AlgorithmSteps:
            mine = yield from scatter_bytes(channel, parts, root)
            box.append(to_object(mine))

        return self._objects("scatter", root, steps)

    def allgather(self, sendobj: Any) -> list[Any]:
        def steps(channel: Channel, box: list[Any]) -> AlgorithmSteps:
            parts = yield from allgather_bytes(channel, to_bytes(sendobj))
            box.append([to_object(part) for part in parts])

        return list(self._objects("allgather", None, steps))

    def alltoall(self, sendobj: Sequence[Any]) -> list[Any]:
        objects = list(sendobj)
        expect_one_each(objects, self._enter().comm.size)

        def steps(channel: Channel, box: list[Any]) -> AlgorithmSteps:
            parts = yield from alltoall_bytes(channel, [to_bytes(each) for each in objects])
            box.append([to_object(part) for part in parts])

        return list(self._objects("alltoall", None, steps))

    def reduce(self, sendobj: Any, op: Reduction = SUM, root: int = 0) -> Any:
        def steps(channel: Channel, box: list[Any]) -> AlgorithmSteps:
            parts = yield from gather_bytes(channel, to_bytes(sendobj), root)
            box.append(None if parts is None else fold(op, parts)[-1])

        return self._objects(f"reduce {name_of(op)}", root, steps)

    def allreduce(self, sendobj: Any, op: Reduction = SUM) -> Any:
        def steps(channel: Channel, box: list[Any]) -> AlgorithmSteps:
            parts = yield from gather_bytes(channel, to_bytes(sendobj), 0)
            yield from self._bcast_object(channel, box, None if parts is None else fold(op, parts)[-1], 0)

        return self._objects(f"allreduce {name_of(op)}", None, steps)

    def scan(self, sendobj: Any, op: Reduction = SUM) -> Any:
        return self._scan_objects("scan", sendobj, op)

    def exscan(self, sendobj: Any, op: Reduction = SUM) -> Any:
        return self._scan_objects("exscan", sendobj, op)

    def _scan_objects(self, name: str, sendobj: Any, op: Reduction) -> Any:
        def steps(channel: Channel, box: list[Any]) -> AlgorithmSteps:
            parts = yield from gather_bytes(channel, to_bytes(sendobj), 0)
            results = None if parts is None else fold(op, parts)
            if results is not None and name == "exscan":
                results = [None, *results[:-1]]
            mine = yield from scatter_bytes(channel, results and [to_bytes(each) for each in results], 0)
            box.append(to_object(mine))

        return self._objects(f"{name} {name_of(op)}", None, steps)

    def _bcast_object(self, channel: Channel, box: list[Any], obj: Any, root: int) -> AlgorithmSteps:
        data = to_bytes(obj) if channel.rank == root else NOTHING
        size = np.array([data.size])
        yield from tree.broadcast(channel, size, root)
        data = data if channel.rank == root else np.empty(int(size[0]), np.uint8)
        yield from tree.broadcast(channel, data, root)
        box.append(obj if channel.rank == root else to_object(data))

    def _objects(self, op: str, root: int | None,
                 steps: Callable[[Channel, list[Any]], AlgorithmSteps]) -> Any:
        if root is not None:
            root = check_root(self._enter(), root)
        box: list[Any] = []
        self._collective(op, lambda channel: steps(channel, box), root=root).wait()
        return box[0]


PickledParts = list[np.ndarray]


def gather_bytes(channel: Channel, mine: np.ndarray, root: int) -> Any:
    """Gather the bytes of all ranks on the root. As the value of `yield from`, the root gets a list with the
    bytes of each rank, and the other ranks get None.
    """
    sizes = np.zeros(channel.size, np.int64)
    yield from naive.gather(channel, np.array([mine.size]), sizes, [1] * channel.size, root)
    out = np.empty(int(sizes.sum()), np.uint8)
    yield from naive.gather(channel, mine, out, sizes.tolist(), root)
    return split(out, sizes) if channel.rank == root else None


def scatter_bytes(channel: Channel, parts: PickledParts | None, root: int) -> Any:
    """Scatter the root's parts. The value of `yield from` is this rank's part."""
    sizes = np.array([part.size for part in parts or []], np.int64)
    size = np.empty(1, np.int64)
    yield from naive.scatter(channel, sizes, size, [1] * channel.size, root)
    mine = np.empty(int(size[0]), np.uint8)
    yield from naive.scatter(channel, np.concatenate(parts) if parts else NOTHING, mine, sizes.tolist(), root)
    return mine


def allgather_bytes(channel: Channel, mine: np.ndarray) -> Any:
    sizes = np.zeros(channel.size, np.int64)
    sizes[channel.rank] = mine.size
    yield from naive.all_gather(channel, sizes, [1] * channel.size)
    out = np.empty(int(sizes.sum()), np.uint8)
    start = int(sizes[:channel.rank].sum())
    out[start:start + mine.size] = mine
    yield from naive.all_gather(channel, out, sizes.tolist())
    return split(out, sizes)


def alltoall_bytes(channel: Channel, parts: PickledParts) -> Any:
    gives = np.array([part.size for part in parts], np.int64)
    takes = np.empty_like(gives)
    ones = [1] * channel.size
    yield from naive.all_to_all(channel, gives, takes, ones, ones)
    out = np.empty(int(takes.sum()), np.uint8)
    yield from naive.all_to_all(channel, np.concatenate(parts), out, gives.tolist(), takes.tolist())
    return split(out, takes)


def split(data: np.ndarray, sizes: np.ndarray) -> PickledParts:
    return np.split(data, np.cumsum(sizes)[:-1])


def fold(op: Reduction, parts: PickledParts) -> list[Any]:
    """Returns [x0, x0 op x1, (x0 op x1) op x2, ...]. Each call of op gets new copies, so op may change its
    arguments.
    """
    results: list[Any] = []
    for part in parts:
        term = to_object(part)
        results.append(op(to_object(to_bytes(results[-1])), term) if results else term)
    return results


def name_of(op: Reduction) -> str:
    return op_name(op) if isinstance(op, Op) else "with a function of the program"


def expect_one_each(objects: Sequence[Any], size: int) -> None:
    if len(objects) != size:
        raise ValueError(f"expecting {size} items, one for each rank, got {len(objects)}")
