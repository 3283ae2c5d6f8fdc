"""MPI.Comm and MPI.Intracomm: the members of a communicator, and how to make new ones."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from minipar.comm.protocol import Communicator
from minipar.mpi4py_face import constants as c
from minipar.mpi4py_face.attributes import Attributes
from minipar.mpi4py_face.cartesian import CartesianGrid, even_dims
from minipar.mpi4py_face.collectives import Movements
from minipar.mpi4py_face.context import Context, group_of
from minipar.mpi4py_face.current import Rank, current
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.graphs import Graph, adjacent, edges_of, part_of
from minipar.mpi4py_face.groups import Group
from minipar.mpi4py_face.object_collectives import ObjectCollectives
from minipar.mpi4py_face.object_messages import ObjectMessages
from minipar.mpi4py_face.reductions import Reductions
from minipar.mpi4py_face.requests import PendingRequest
from minipar.mpi4py_face.work import Work


class Comm(ObjectMessages, Movements, Reductions, ObjectCollectives, Attributes):
    """Comm() is COMM_NULL; Comm(other) is another handle of the same communicator."""

    def __new__(cls, comm: Comm | None = None) -> Comm:
        new = super().__new__(cls)
        if comm is not None and not isinstance(comm, Comm):
            raise TypeError(f"expecting a communicator, not {type(comm).__name__}")
        new._context = None if comm is None else comm._context
        return new

    @classmethod
    def of(cls, rank: Rank, comm: Communicator, **about: Any) -> Any:
        """The program's communicator for one of the protocol. All ranks of the group call it."""
        comm.open_messages()
        new = cls()
        new._context = Context(rank, comm, **about)
        return new

    @classmethod
    def null(cls) -> Any:
        """COMM_NULL as a communicator of this kind."""
        return cls()

    def Get_rank(self) -> int:
        return self._enter().comm.rank

    def Get_size(self) -> int:
        return self._enter().comm.size

    rank, size = property(Get_rank), property(Get_size)

    def Get_group(self) -> Group:
        return group_of(self._enter())

    group = property(Get_group)

    def Compare(self, comm: Comm) -> int:
        first, second = self._enter(), comm._enter()
        if first is second:
            return c.IDENT
        order = group_of(first).Compare(group_of(second))
        return c.CONGRUENT if order == c.IDENT else order

    def Dup(self, info: Any = None) -> Comm:
        context = self._enter()
        part = context.comm.subgroup(list(range(context.comm.size)))
        assert part is not None
        new: Comm = type(self).of(context.rank, part, topology=context.topology,
                                  attributes=dict(context.attributes),
                            info=dict(context.info))
        return new

    Clone = Dup

    def Dup_with_info(self, info: Any) -> Comm:
        return self.Dup(info)

    def Idup(self, info: Any = None) -> tuple[Comm, PendingRequest]:
        """As Dup: it waits until all ranks have called it, so the request is complete at once."""
        return self.Dup(info), PendingRequest.of(Work())

    Idup_with_info = Idup

    def Split(self, color: int = 0, key: int = 0) -> Comm:
        """One communicator for each color, ranks in the order of their keys; COMM_NULL for MPI.UNDEFINED."""
        context = self._enter()
        if color < 0 and color != c.UNDEFINED:
            raise wrong("ERR_ARG", f"color {color} is negative; use 0 or more, or MPI.UNDEFINED for no group")
        return self._made(context.comm.split(None if color == c.UNDEFINED else color, key))

    def Split_type(self, split_type: int, key: int = 0, info: Any = None) -> Comm:
        """The ranks that share a node's memory: MPI.COMM_TYPE_SHARED, or one of the guided types with the
        hint mpi_hw_resource_type = mpi_shared_memory. No other resource is known: COMM_NULL.
        """
        context = self._enter()
        guided = (c.COMM_TYPE_HW_GUIDED, c.COMM_TYPE_RESOURCE_GUIDED)
        if split_type not in (c.COMM_TYPE_SHARED, c.COMM_TYPE_HW_UNGUIDED, *guided, c.UNDEFINED):
            raise wrong("ERR_ARG", f"split type {split_type}; use MPI.COMM_TYPE_SHARED, or Split and a color")
        shared = split_type == c.COMM_TYPE_SHARED or (
            split_type in guided and dict(info or {}).get("mpi_hw_resource_type") == "mpi_shared_memory")
        return self._made(context.comm.split(context.comm.nodes[context.comm.rank] if shared else None, key))

    def Create(self, group: Group) -> Comm:
        """All ranks call it. Members of the group get a communicator, the others COMM_NULL."""
        context = self._enter()
        ranks = self._ranks_of(group)
        return self._made(context.comm.subgroup(ranks if context.comm.rank in ranks else []))

    def _ranks_of(self, group: Group) -> list[int]:
        """The ranks here of a group's members. Raises MPIError if one is not in this communicator.
        """
        rank_of = {member: rank for rank, member in enumerate(self._enter().comm.members)}
        if missing := [member for member in group._members() if member not in rank_of]:
            raise wrong("ERR_GROUP", f"the group holds world ranks {missing}, which are not in this "
                                     "communicator")
        return [rank_of[member] for member in group._members()]

    def _made(self, part: Communicator | None) -> Comm:
        made: Comm = Intracomm.null() if part is None else Intracomm.of(self._enter().rank, part)
        return made

    def Free(self) -> None:
        """The program no longer uses it. As in MPI, all ranks must free it."""
        context = self._enter()
        if context.predefined:
            raise wrong("ERR_COMM", f"{context.name} cannot be freed")
        context.comm.close()
        self._context = None

    Disconnect = Free

    def free(self) -> None:
        if self._context is not None and not self._context.predefined:
            self.Free()

    @classmethod
    def Get_parent(cls) -> Any:
        """COMM_NULL: no program is started by another one here."""
        return Intercomm()

    def Abort(self, errorcode: int = 0) -> None:
        """End all ranks with this status."""
        self._enter()
        raise SystemExit(errorcode or 1)

    def __bool__(self) -> bool:
        return self._context is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Comm):
            return NotImplemented
        return self._context is other._context

    def __hash__(self) -> int:
        return id(self._context)

    def __reduce__(self) -> Any:
        rank = current()
        for name, comm in (("world", rank.world), ("own", rank.own), ("null", COMM_NULL)):
            if self._context is comm._context and (self._context is not None
                                                   or type(self) in (Comm, Intracomm)):
                return (of_rank if self is comm else copy_of_rank), (name,)
        raise ValueError("a communicator cannot be pickled; each rank has its own")

    def __repr__(self) -> str:
        name = "COMM_NULL" if self._context is None else self._context.comm.name
        return f"<mpi4py.MPI.{type(self).__name__} {name}>"


COMM_NULL = Comm()


def of_rank(name: str) -> Any:
    """COMM_WORLD, COMM_SELF or COMM_NULL of the rank that asks."""
    return COMM_NULL if name == "null" else getattr(current(), name)


def copy_of_rank(name: str) -> Any:
    return type(of_rank(name))(of_rank(name))


class Intracomm(Comm):
    """A communicator of one group. Intercommunicators are not offered."""

    def Create_group(self, group: Group, tag: int = 0) -> Comm:
        """Only the ranks of the group call it."""
        context = self._enter()
        ranks = self._ranks_of(group)
        if context.comm.rank not in ranks:
            return Intracomm()
        made: Intracomm = Intracomm.of(context.rank, context.comm.group_of(ranks, tag))
        return made

    @classmethod
    def Create_from_group(cls, group: Group, stringtag: str = "", info: Any = None,
                          errhandler: Any = None) -> Any:
        """As COMM_WORLD.Create_group. Calls that may be under way at once have different stringtags."""
        return current().world.Create_group(group, zlib.crc32(stringtag.encode()) & c.LARGEST_TAG)

    def Create_cart(self, dims: Sequence[int] | int, periods: Sequence[bool] | bool | None = None,
                    reorder: bool = False) -> Any:
        """A grid over the first ranks, row by row; the remaining ranks get COMM_NULL."""
        size, grid = self.Get_size(), CartesianGrid.of(dims, periods)
        if grid.size > size:
            raise wrong("ERR_DIMS", f"dims {list(grid.dims)} need {grid.size} ranks, there are {size}; "
                                    "MPI.Compute_dims(size, ndims) finds some that fit")
        return self._with(grid, range(grid.size))

    def Create_graph(self, index: Sequence[int], edges: Sequence[int], reorder: bool = False) -> Any:
        """A graph that is known to every rank; the remaining ranks get COMM_NULL."""
        size, graph = self.Get_size(), Graph.of(index, edges)
        if graph.size > size:
            raise wrong("ERR_ARG", f"the graph has {graph.size} ranks, the communicator {size}")
        return self._with(graph, range(graph.size))

    def Create_dist_graph_adjacent(self, sources: Sequence[int] | None, destinations: Sequence[int] | None,
                                   sourceweights: Any = None, destweights: Any = None, info: Any = None,
                                   reorder: bool = False) -> Any:
        """A graph in which each rank gives its own incoming and outgoing edges."""
        size = self.Get_size()
        return self._with(adjacent(sources, destinations, sourceweights, destweights, size), range(size))

    def Create_dist_graph(self, sources: Sequence[int], degrees: Sequence[int], destinations: Sequence[int],
                          weights: Any = None, info: Any = None, reorder: bool = False) -> Any:
        """A graph in which each rank may give any edges. degrees: number of edges of each source."""
        size = self.Get_size()
        all_edges = self.allgather(edges_of(sources, degrees, destinations, weights))
        weighted = any(with_weights for edges, with_weights in all_edges)
        edges = [edge for edges, _ in all_edges for edge in edges]
        if bad := [edge[:2] for edge in edges if not (0 <= edge[0] < size and 0 <= edge[1] < size)]:
            raise wrong("ERR_RANK", f"edges {bad} name ranks outside the group, which has {size}")
        return self._with(part_of(edges, self.Get_rank(), weighted), range(size))

    def _with(self, topology: Any, ranks: Sequence[int]) -> Any:
        """The communicator of these ranks, with neighbours; COMM_NULL on the others."""
        context, kind = self._enter(), TOPOLOGIES[type(topology)]
        part = context.comm.subgroup(list(ranks) if context.comm.rank in ranks else [])
        return kind.null() if part is None else kind.of(context.rank, part, topology=topology)

    def Cart_map(self, dims: Sequence[int] | int, periods: Sequence[bool] | bool | None = None) -> int:
        """The rank of this process in such a grid; UNDEFINED if it has none."""
        return self._rank_among(CartesianGrid.of(dims, periods).size)

    def Graph_map(self, index: Sequence[int], edges: Sequence[int]) -> int:
        """The rank of this process in such a graph; UNDEFINED if it has none."""
        return self._rank_among(Graph.of(index, edges).size)

    def _rank_among(self, size: int) -> int:
        return self.Get_rank() if self.Get_rank() < size else c.UNDEFINED


TOPOLOGIES: dict[type, type[Comm]] = {}  # topology -> kind of communicator; filled by topologies.py


class Intercomm(Comm):
    """Not offered; the name is there for isinstance."""


def Compute_dims(nnodes: int, dims: int | Sequence[int]) -> list[int]:
    """A grid of this many ranks, as square as possible; numbers other than 0 in dims are kept."""
    return even_dims(nnodes, [0] * dims if isinstance(dims, int) else list(dims))
