"""Every call that the face offers, in plain mpi4py. Rank 0 prints, by rank: case -> result, or the kind of
the error. It runs with mpi4py and with minipar, and the line must be the same.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI

CASES: dict[str, Callable[[Any], Any]] = {}
DTYPES = ("i1", "u1", "i2", "i4", "i8", "u8", "f4", "f8", "c8", "c16")


def case(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    CASES[function.__name__] = function
    return function


def mine(comm: Any, count: int = 3, dtype: str = "f8") -> np.ndarray:
    """This rank's numbers: different on each, exact in every type."""
    return (np.arange(count) + 2 * comm.rank + 1).astype(dtype)


def plain(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def neighbours(comm: Any) -> tuple[int, int]:
    return (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size


@case
def who(comm: Any) -> Any:
    return comm.Get_rank(), comm.rank, comm.Get_size(), comm.size, comm.Get_group().Get_size()


@case
def sendrecv_types(comm: Any) -> Any:
    right, left = neighbours(comm)
    found = []
    for dtype in DTYPES:
        out = np.zeros(5, dtype)
        status = MPI.Status()
        comm.Sendrecv(mine(comm, 3, dtype), right, 7, out, left, 7, status)
        found.append([out, status.Get_source(), status.Get_tag(), status.Get_count(MPI.BYTE)])
    return found


@case
def nonblocking_ring(comm: Any) -> Any:
    right, left = neighbours(comm)
    out, other = np.zeros(3), np.zeros(3, "i4")
    requests = [comm.Irecv([out, MPI.DOUBLE], left, 1), comm.Irecv(other, left, 2),
                comm.Isend([mine(comm), MPI.DOUBLE], right, 1), comm.Issend(mine(comm, 3, "i4"), right, 2)]
    statuses = [MPI.Status() for _ in requests]
    MPI.Request.Waitall(requests, statuses)
    return out, other, [status.Get_source() for status in statuses[:2]], statuses[1].Get_count(MPI.INT)


@case
def wait_for_each(comm: Any) -> Any:
    right, left = neighbours(comm)
    outs = [np.zeros(1) for _ in range(3)]
    requests = [comm.Irecv(out, left, tag) for tag, out in enumerate(outs)]
    for tag in range(3):
        comm.Send(np.array([10.0 * comm.rank + tag]), right, tag)
    indices = sorted(MPI.Request.Waitany(requests) for _ in range(3))
    return outs, indices, MPI.Request.Waitany(requests) == MPI.UNDEFINED, MPI.Request.Testall(requests)


@case
def object_messages(comm: Any) -> Any:
    right, left = neighbours(comm)
    request = comm.isend({"rank": comm.rank, "list": [1, 2.5, None, "text"]}, right, tag=3)
    came = comm.recv(source=left, tag=3)
    request.wait()
    second = comm.irecv(source=left, tag=4)
    comm.send((comm.rank, b"bytes"), dest=right, tag=4)
    return came, list(second.wait())[0], comm.sendrecv("x" * comm.rank, dest=right, source=left)


@case
def any_source(comm: Any) -> Any:
    status = MPI.Status()
    if comm.rank:
        comm.send(comm.rank**2, dest=0, tag=comm.rank)
        comm.Send(mine(comm), 0, 50)
        return None
    found = []
    for _ in range(1, comm.size):
        comm.Probe(MPI.ANY_SOURCE, 50, status)
        out = np.zeros(status.Get_count(MPI.DOUBLE))
        comm.Recv(out, status.Get_source(), status.Get_tag())
        value = comm.recv(source=status.Get_source(), tag=MPI.ANY_TAG, status=status)
        found.append([status.Get_source(), status.Get_tag(), value, out])
    return sorted(found, key=lambda entry: entry[0])


@case
def proc_null(comm: Any) -> Any:
    status, out = MPI.Status(), mine(comm)
    comm.Recv(out, MPI.PROC_NULL, status=status)
    comm.Send(out, MPI.PROC_NULL)
    return (out, status.Get_source() == MPI.PROC_NULL, status.Get_count(MPI.BYTE),
            comm.recv(source=MPI.PROC_NULL),
            comm.Sendrecv(out, MPI.PROC_NULL, recvbuf=out, source=MPI.PROC_NULL))


@case
def replace(comm: Any) -> Any:
    right, left = neighbours(comm)
    buffer = mine(comm)
    comm.Sendrecv_replace(buffer, right, 0, left, 0)
    return buffer


@case
def buffer_specifications(comm: Any) -> Any:
    right, left = neighbours(comm)
    found = []
    data = np.arange(8.0) + comm.rank
    for send, receive in (([data, MPI.DOUBLE], [np.zeros(8), MPI.DOUBLE]), ([data, 2], [np.zeros(8), 4]),
                          ([data, 2, MPI.DOUBLE], [np.zeros(2), "d"]),
                          ([data, (2, 3)], [np.zeros(8), (2, 1)]),
                          ([data, 2, 3, MPI.DOUBLE], [np.zeros(8), 2, 5, MPI.DOUBLE]),
                          ([data.T, "f8"], np.zeros((2, 4))), (array("d", data), array("d", [0.0] * 8)),
                          (bytes([comm.rank, 1]), bytearray(2)), (data[:0], np.zeros(0)),
                          (np.asfortranarray(data.reshape(2, 4)), np.zeros(8))):
        comm.Sendrecv(send, right, 0, receive, left, 0)
        out = receive[0] if isinstance(receive, list) else receive
        found.append(list(out) if not isinstance(out, np.ndarray) else out)
    return found


@case
def columns(comm: Any) -> Any:
    right, left = neighbours(comm)
    matrix, out = np.arange(12.0).reshape(3, 4) + 100 * comm.rank, np.zeros((3, 4))
    column = MPI.DOUBLE.Create_vector(3, 1, 4).Commit()
    comm.Sendrecv([matrix, 1, column], right, 0, [out, 1, column], left, 0)
    sizes = column.Get_size(), column.Get_extent()
    column.Free()
    inner = MPI.DOUBLE.Create_subarray([3, 4], [2, 2], [1, 1]).Commit()
    block = np.zeros(4)
    comm.Sendrecv([matrix, 1, inner], right, 1, block, left, 1)
    inner.Free()
    return out, sizes, block


@case
def packing(comm: Any) -> Any:
    """Two ints, a column of a matrix and a double travel in one message."""
    right, left = neighbours(comm)
    matrix, number = mine(comm, 6).reshape(2, 3), np.array(comm.rank + 0.5)
    column = MPI.DOUBLE.Create_vector(2, 1, 3).Commit()
    packed, position = bytearray(MPI.INT.Pack_size(2, comm) + 3 * MPI.DOUBLE.Pack_size(1, comm)), 0
    for datatype, part in ((MPI.INT, mine(comm, 2, "i4")), (column, matrix), (MPI.DOUBLE, number)):
        position = datatype.Pack(part, packed, position, comm)
    got = np.zeros(position, "u1")
    comm.Sendrecv([packed, position, MPI.PACKED], right, 0, [got, MPI.PACKED], left)
    ends, parts = [0], [np.zeros(2, "i4"), np.zeros((2, 3)), np.zeros(())]
    for datatype, part in zip((MPI.INT, column, MPI.DOUBLE), parts, strict=True):
        ends.append(datatype.Unpack(got, ends[-1], part, comm))
    return position, ends, parts


@case
def broadcast(comm: Any) -> Any:
    found = []
    for root in range(comm.size):
        for dtype in DTYPES:
            buffer = mine(comm, 4, dtype)
            comm.Bcast(buffer, root)
            found.append(buffer)
        found.append(comm.bcast({"from": comm.rank}, root)["from"])
    return found


@case
def gather_scatter(comm: Any) -> Any:
    found: list[Any] = []
    for root in range(comm.size):
        out = np.zeros((comm.size, 3)) if comm.rank == root else None
        comm.Gather(mine(comm), out, root)
        part = np.zeros(3)
        comm.Scatter(out * 2 if out is not None else None, part, root)
        found += [out if out is None else out.copy(), part]
        if comm.rank == root:
            out[root] = -1
            comm.Gather(MPI.IN_PLACE, out, root)
            comm.Scatter(out, MPI.IN_PLACE, root)
        else:
            comm.Gather(mine(comm), None, root)
            comm.Scatter(None, part, root)
        found += [
            out,
            part,
            comm.gather(comm.rank + 0.5, root),
            comm.scatter([f"to {rank}" for rank in range(comm.size)] if comm.rank == root else None, root),
        ]
    return found


@case
def uneven(comm: Any) -> Any:
    counts = [(2 * rank + 1) % 4 for rank in range(comm.size)]
    displs = [sum(counts[:rank]) + rank for rank in range(comm.size)]
    room = sum(counts) + comm.size
    out, part = np.full(room, -1.0), np.full(counts[comm.rank], -1.0)
    comm.Gatherv(mine(comm, counts[comm.rank]), [out, counts, displs, MPI.DOUBLE], 0)
    comm.Scatterv([out, counts, displs, MPI.DOUBLE] if comm.rank == 0 else None, part, 0)
    every, packed = np.full(room, -1.0), np.full(sum(counts), -1.0)
    comm.Allgatherv(mine(comm, counts[comm.rank]), [every, (counts, displs), MPI.DOUBLE])
    comm.Allgatherv([mine(comm, counts[comm.rank]), MPI.DOUBLE], [packed, counts])
    gives = [(comm.rank + rank) % 3 for rank in range(comm.size)]
    sends, takes = mine(comm, sum(gives)), np.full(sum(gives), -1.0)
    comm.Alltoallv([sends, gives], [takes, gives])
    return out if comm.rank == 0 else None, part, every, packed, takes


@case
def all_gather_all_to_all(comm: Any) -> Any:
    every, places = np.zeros((comm.size, 3)), np.zeros((comm.size, 2), "i4")
    comm.Allgather(mine(comm), every)
    places[comm.rank] = comm.rank + 1
    comm.Allgather(MPI.IN_PLACE, places)
    sends = np.arange(comm.size, dtype="i8") * 10 + comm.rank
    takes = np.zeros(comm.size, "i8")
    comm.Alltoall(sends, takes)
    swapped = sends.copy()
    comm.Alltoall(MPI.IN_PLACE, swapped)
    return every, places, takes, swapped, comm.allgather([comm.rank]), comm.alltoall(list(range(comm.size)))


@case
def reductions(comm: Any) -> Any:
    found: list[Any] = []
    for op in (MPI.SUM, MPI.PROD, MPI.MAX, MPI.MIN):
        for dtype in DTYPES:
            if dtype[0] == "c" and op in (MPI.MAX, MPI.MIN):
                continue
            source, out, total = mine(comm, 3, dtype), np.zeros(3, dtype), np.zeros(3, dtype)
            comm.Reduce(source, out, op, comm.size - 1)
            comm.Allreduce(source, total, op)
            comm.Allreduce(MPI.IN_PLACE, source, op)
            found += [out, total, source]
    for op in (MPI.LAND, MPI.LOR, MPI.LXOR, MPI.BAND, MPI.BOR, MPI.BXOR):
        out = np.zeros(4, "i4")
        comm.Allreduce(np.array([0, 1, comm.rank, 6], "i4"), out, op)
        found.append(out)
    return found


@case
def special_values(comm: Any) -> Any:
    out = np.zeros(4)
    comm.Allreduce(np.array([math.inf, -math.inf, 1e308 if comm.rank else 0.0, -0.0]), out, MPI.SUM)
    shorts = np.zeros(1, "i1")
    comm.Allreduce(np.array([100], "i1"), shorts, MPI.MAX)
    empty = np.zeros(0)
    comm.Allreduce(np.zeros(0), empty, MPI.SUM)
    return out, shorts, empty


@case
def places_of_extremes(comm: Any) -> Any:
    pair = np.zeros(2, np.dtype([("value", "f8"), ("place", "i4")], align=True))
    pair["value"], pair["place"] = [comm.rank % 2, -comm.rank], comm.rank
    out = np.zeros_like(pair)
    comm.Allreduce([pair, 2, MPI.DOUBLE_INT], [out, 2, MPI.DOUBLE_INT], MPI.MAXLOC)
    return (out["value"], out["place"], comm.allreduce((comm.rank % 2, comm.rank), op=MPI.MAXLOC),
            comm.allreduce((comm.rank % 2, comm.rank), op=MPI.MINLOC))


@case
def own_operations(comm: Any) -> Any:
    def digits(one: Any, other: Any, datatype: Any) -> None:
        """Digits one behind the other, (number, how many): associative, and the order of the ranks shows."""
        (first, long), into = np.frombuffer(one, "i8"), np.frombuffer(other, "i8")
        into[:] = first * 10 ** into[1] + into[0], long + into[1]

    def added(one: Any, other: Any, datatype: Any) -> None:
        into = np.frombuffer(other, "i8")
        into += np.frombuffer(one, "i8")

    op, commutes = MPI.Op.Create(digits, commute=False), MPI.Op.Create(added, commute=True)
    out, total, before = (np.full(2, -1, "i8") for _ in range(3))
    comm.Allreduce(np.array([comm.rank + 1, 1], "i8"), out, op)
    comm.Scan(np.array([comm.rank + 1, 1], "i8"), total, op)
    comm.Reduce(np.array([comm.rank, 1], "i8"), before, commutes, 0)
    result = out, total, before, comm.reduce([comm.rank], op=lambda one, other: one + other, root=0)
    op.Free()
    commutes.Free()
    return result


@case
def scans(comm: Any) -> Any:
    total, before = np.zeros(3), np.full(3, -1.0)
    comm.Scan(mine(comm), total, MPI.SUM)
    comm.Exscan(mine(comm), before, MPI.SUM)
    return total, before, comm.scan(comm.rank + 1, MPI.PROD), comm.exscan(comm.rank + 1)


@case
def reduce_scatters(comm: Any) -> Any:
    counts = [rank % 3 for rank in range(comm.size)]
    out, block = np.zeros(counts[comm.rank]), np.zeros(2)
    comm.Reduce_scatter(mine(comm, sum(counts)), out, counts, MPI.SUM)
    comm.Reduce_scatter_block(mine(comm, 2 * comm.size), block, MPI.MAX)
    return out, block


@case
def nonblocking_collectives(comm: Any) -> Any:
    own, buffer, total, every = mine(comm), mine(comm), np.zeros(3), np.zeros((comm.size, 3))
    parts, takes, before = np.zeros(3), np.zeros(comm.size, "i4"), np.full(3, -1.0)
    requests = [comm.Ibcast(buffer, 0), comm.Iallreduce(own, total), comm.Iallgather(own, every),
                comm.Iscatter(np.ones((comm.size, 3)) if comm.rank == 0 else None, parts, 0),
                comm.Ialltoall(np.arange(comm.size, dtype="i4") + comm.rank, takes), comm.Ibarrier(),
                comm.Iexscan(own, before)]
    MPI.Request.Waitall(requests)
    gathered = np.zeros((comm.size, 3)) if comm.rank == 0 else None
    request = comm.Igather(mine(comm), gathered, 0)
    while not request.Test():
        pass
    return buffer, total, every, parts, takes, before, gathered


@case
def groups(comm: Any) -> Any:
    whole = comm.Get_group()
    even, low = whole.Incl(list(range(0, comm.size, 2))), whole.Range_incl([(0, comm.size // 2, 1)])
    made = comm.Create(even)
    inside = made.allgather(comm.rank) if made != MPI.COMM_NULL else None
    own = comm.Create_group(low) if low.Get_rank() != MPI.UNDEFINED else None
    return (even.Get_size(), even.Get_rank() != MPI.UNDEFINED, MPI.Group.Union(even, low).Get_size(),
            MPI.Group.Intersection(even, low).Get_size(), MPI.Group.Difference(low, even).Get_size(),
            whole.Excl([0]).Get_size(), even.Translate_ranks([0], whole), inside, own and own.allreduce(1))


@case
def splits(comm: Any) -> Any:
    part = comm.Split(comm.rank % 2, -comm.rank)
    none = comm.Split(MPI.UNDEFINED if comm.rank == 0 else 0, 0)
    twin = comm.Dup()
    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    found = (part.rank, part.size, part.allgather(comm.rank), none == MPI.COMM_NULL, twin.rank,
             MPI.Comm.Compare(comm, twin) == MPI.CONGRUENT, MPI.Comm.Compare(comm, comm) == MPI.IDENT,
             node.size, MPI.COMM_SELF.size, MPI.COMM_SELF.allreduce(comm.rank))
    twin.Free()
    part.Free()
    return found


@case
def copies(comm: Any) -> Any:
    """Communicators of the same ranks, made in every way."""
    later, request = comm.Idup()
    request.Wait()
    nodes = comm.Split_type(
        MPI.COMM_TYPE_HW_GUIDED, info=MPI.Info.Create({"mpi_hw_resource_type": "mpi_shared_memory"})
    )
    others = comm.Dup(), later, MPI.Intracomm.Create_from_group(comm.group, "copies"), nodes
    return [[comm.Compare(other) == MPI.CONGRUENT, other.rank, other.allreduce(1)] for other in others], (
        comm.Split_type(MPI.COMM_TYPE_HW_GUIDED) == MPI.COMM_NULL)


@case
def grids(comm: Any) -> Any:
    dims = MPI.Compute_dims(comm.size, 2)
    grid = comm.Create_cart(dims, periods=[True, False])
    row = grid.Sub([False, True])
    steps = [[each == MPI.PROC_NULL or each for each in grid.Shift(axis, 1)] for axis in range(2)]
    line = comm.Create_cart([comm.size], periods=[True])
    return (dims, grid.Get_coords(grid.rank), grid.Get_cart_rank(grid.coords), steps, row.size, row.rank,
            row.allreduce(1), line.Shift(0, 1), grid.Get_dim(), grid.dims,
            [bool(period) for period in grid.periods])


@case
def graphs(comm: Any) -> Any:
    """A ring, made in each of the three ways, and what its ranks get from their neighbours."""
    right, left = neighbours(comm)
    ends, edges = [2 * rank + 2 for rank in range(comm.size)], []
    for rank in range(comm.size):
        edges += [(rank + 1) % comm.size, (rank - 1) % comm.size]
    ring = comm.Create_graph(ends, edges)
    own = comm.Create_dist_graph_adjacent([left], [right], [2], [3])
    told = comm.Create_dist_graph([comm.rank], [1], [right], [comm.rank + 1])
    found = [ring.Get_dims(), ring.index, ring.edges, ring.Get_neighbors(0), own.Get_dist_neighbors(),
             told.Get_dist_neighbors_count(), sorted(told.outedges), ring.Get_topology() == MPI.GRAPH,
             own.Get_topology() == MPI.DIST_GRAPH]
    if left != right:  # with both the same, MPI leaves open which is which
        found.append(exchanged(ring))
    return [*found, exchanged(own), exchanged(told)]


def exchanged(topology: Any) -> Any:
    """Every neighbourhood collective."""
    comes, goes = topology.indegree, topology.outdegree
    gathered, swapped = np.zeros((comes, 3)), np.zeros(comes, "i4")
    topology.Neighbor_allgather(mine(topology), gathered)
    topology.Ineighbor_alltoall(mine(topology, goes, "i4"), swapped).Wait()
    uneven = np.zeros(2 * comes)
    topology.Neighbor_alltoallv([mine(topology, 2 * goes), [2] * goes], [uneven, [2] * comes])
    topology.Neighbor_allgatherv(mine(topology, 2), [uneven[::-1].copy(), [2] * comes])
    return (gathered, swapped, uneven, topology.neighbor_allgather(f"from {topology.rank}"),
            topology.neighbor_alltoall([f"{topology.rank} to {each}" for each in range(goes)]))


@case
def neighbours_on_a_grid(comm: Any) -> Any:
    """A line with two ends, and a ring (where its neighbours are two different ranks)."""
    line = comm.Create_cart([comm.size], periods=[False])
    came = np.full(2, -1.0)
    line.Neighbor_alltoall(mine(line, 2), came)
    found = [
        came,
        [None if each == MPI.PROC_NULL else each for each in line.inedges],
        line.inedges == line.outedges,
        line.neighbor_allgather(line.rank),
    ]
    return found if comm.size < 3 else [*found, exchanged(comm.Create_cart([comm.size], periods=[True]))]


@case
def shared_window(comm: Any) -> Any:
    win = MPI.Win.Allocate_shared(8 * comm.size if comm.rank == 0 else 0, 8, comm=comm)
    memory, unit = win.Shared_query(0)
    table = np.ndarray(buffer=memory, dtype="f8", shape=(comm.size,))
    table[comm.rank] = comm.rank + 0.5
    win.Fence()
    found = table.tolist()
    win.Fence()
    win.Free()
    return found, unit


@case
def persistent(comm: Any) -> Any:
    right, left = neighbours(comm)
    data, out = np.zeros(2), np.zeros(2)
    send, receive, found = comm.Send_init(data, right), comm.Recv_init(out, left), []
    for step in range(3):
        data[:] = comm.rank, step
        MPI.Prequest.Startall([receive, send])
        MPI.Request.Waitall([send, receive])
        found.append(out.copy())
    send.Free()
    receive.Free()
    return found


@case
def buffered(comm: Any) -> Any:
    right, left = neighbours(comm)
    MPI.Attach_buffer(bytearray(1000))
    comm.Bsend(mine(comm), right)
    out = np.zeros(3)
    comm.Recv(out, left)
    MPI.Detach_buffer()
    return out


REFUSALS: dict[str, Callable[[Any], Any]] = {
    "no such rank": lambda comm: comm.Send(np.zeros(1), comm.size),
    "no such source": lambda comm: comm.recv(source=99),
    "negative tag": lambda comm: comm.Send(np.zeros(1), 0, -5),
    "no such root": lambda comm: comm.Bcast(np.zeros(1), 99),
    "no buffer": lambda comm: comm.Send("text", 0),
    "a list": lambda comm: comm.Send([1, 2, 3, 4, 5], 0),
    "an object array": lambda comm: comm.Send(np.array([None]), 0),
    "not contiguous": lambda comm: comm.Send(np.zeros((4, 4))[:, 0], 0),
    "read-only": lambda comm: comm.Recv(bytes(8), MPI.ANY_SOURCE),
    "negative count": lambda comm: comm.Send([np.zeros(4), -1, MPI.DOUBLE], 0),
    "half an item": lambda comm: comm.Send([bytearray(7), MPI.DOUBLE], 0),
    "scatter of too many": lambda comm: MPI.COMM_SELF.scatter([1, 2], 0),
    "counts differ": lambda comm: MPI.COMM_SELF.Allreduce(np.zeros(3), np.zeros(4)),
    "a null communicator": lambda comm: MPI.COMM_NULL.Get_rank(),
}


def kind(error: BaseException) -> str:
    """MPI's own error, or Python's."""
    kinds = {"MPI": MPI.Exception, "KeyError": KeyError}
    return next((name for name, each in kinds.items() if isinstance(error, each)), type(error).__name__)


def refusals(comm: Any) -> dict[str, str]:
    found = {}
    for name, call in REFUSALS.items():
        try:
            call(comm)
            found[name] = "nothing"
        except Exception as error:
            found[name] = kind(error)
    return found


def main() -> None:
    world = MPI.COMM_WORLD
    derived = {"world": world, "halves": world.Split(world.rank % 2, -world.rank)}
    results = {
        f"{name} {function}": plain(call(comm))
        for name, comm in derived.items()
        for function, call in CASES.items()
    }
    results["refusals"] = refusals(world)
    everyone = world.gather(results)
    if world.rank == 0:
        print(json.dumps(everyone))


if __name__ == "__main__":
    main()
