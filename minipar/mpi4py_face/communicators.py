"""MPI.Comm and MPI.Intracomm. Their methods give the members of a communicator and make new communicators."""

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
    """A communicator. Comm() is COMM_NULL. Comm(other) is a second object for the same communicator."""

    def __new__(cls, comm: Comm | None = None) -> Comm:
        new = super().__new__(cls)
        if comm is not None and not isinstance(comm, Comm):
            raise TypeError(f"expecting a communicator, not {type(comm).__name__}")
        new._context = None if comm is None else comm._context
        return new

    @classmethod
    def of(cls, rank: Rank, comm: Communicator, **about: Any) -> Any:
        """Returns the MPI.Comm for a `Communicator` of minipar. All ranks of the group call this method.
        """
        comm.open_messages()
        new = cls()
        new._context = Context(rank, comm, **about)
        return new

    @classmethod
    def null(cls) -> Any:
        """Returns COMM_NULL as a communicator of this class."""
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
        """Duplicate the communicator as Dup does. This method waits until all ranks have called it. So the
        request that it returns is already complete.
        """
        return self.Dup(info), PendingRequest.of(Work())

    Idup_with_info = Idup

    def Split(self, color: int = 0, key: int = 0) -> Comm:
        """Make one communicator for each color, with the ranks in the order of their keys. Returns COMM_NULL
        for the color MPI.UNDEFINED.
        """
        context = self._enter()
        if color < 0 and color != c.UNDEFINED:
            raise wrong("ERR_ARG", f"color {color} is negative; use 0 or more, or MPI.UNDEFINED for no group")
        return self._made(context.comm.split(None if color == c.UNDEFINED else color, key))

    def Split_type(self, split_type: int, key: int = 0, info: Any = None) -> Comm:
        """Returns a communicator of the ranks that share the memory of a node. split_type:
        MPI.COMM_TYPE_SHARED, or a guided type with the hint mpi_hw_resource_type = mpi_shared_memory in
        `info`. Returns COMM_NULL for other types and hints.
        """
        context = self._enter()
        guided = (c.COMM_TYPE_HW_GUIDED, c.COMM_TYPE_RESOURCE_GUIDED)
        if split_type not in (c.COMM_TYPE_SHARED, c.COMM_TYPE_HW_UNGUIDED, *guided, c.UNDEFINED):
            raise wrong("ERR_ARG", f"split type {split_type}; use MPI.COMM_TYPE_SHARED, or Split and a color")
        shared = split_type == c.COMM_TYPE_SHARED or (
            split_type in guided and dict(info or {}).get("mpi_hw_resource_type") == "mpi_shared_memory")
        return self._made(context.comm.split(context.comm.nodes[context.comm.rank] if shared else None, key))

    def Create(self, group: Group) -> Comm:
        """Make a communicator for a group. All ranks call this method. Ranks that are not in the group get
        COMM_NULL.
        """
        context = self._enter()
        ranks = self._ranks_of(group)
        return self._made(context.comm.subgroup(ranks if context.comm.rank in ranks else []))

    def _ranks_of(self, group: Group) -> list[int]:
        """Returns the rank in this communicator of each member of a group. Raises MPIError if a member is not
        in this communicator.
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
        """Free the communicator. After this, the program must not use it. As in MPI, all ranks must call this
        method.
        """
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
        """Returns COMM_NULL, since minipar cannot start a program from another one."""
        return Intercomm()

    def Abort(self, errorcode: int = 0) -> None:
        """End all ranks with this exit status."""
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
    """Returns COMM_WORLD, COMM_SELF or COMM_NULL of the calling rank."""
    return COMM_NULL if name == "null" else getattr(current(), name)


def copy_of_rank(name: str) -> Any:
    return type(of_rank(name))(of_rank(name))


class Intracomm(Comm):
    """A communicator of one group of ranks. minipar does not offer intercommunicators, which have two groups.
    """

    def Create_group(self, group: Group, tag: int = 0) -> Comm:
        """Make a communicator for a group. Only the ranks of the group call this method."""
        context = self._enter()
        ranks = self._ranks_of(group)
        if context.comm.rank not in ranks:
            return Intracomm()
        made: Intracomm = Intracomm.of(context.rank, context.comm.group_of(ranks, tag))
        return made

    @classmethod
    def Create_from_group(cls, group: Group, stringtag: str = "", info: Any = None,
                          errhandler: Any = None) -> Any:
        """Make a communicator as COMM_WORLD.Create_group does. Calls that may run at the same time must have
        different stringtags.
        """
        return current().world.Create_group(group, zlib.crc32(stringtag.encode()) & c.LARGEST_TAG)

    def Create_cart(self, dims: Sequence[int] | int, periods: Sequence[bool] | bool | None = None,
                    reorder: bool = False) -> Any:
        """Make a communicator whose ranks form a grid. It contains the first ranks of this one, row by row.
        The remaining ranks get COMM_NULL.
        """
        size, grid = self.Get_size(), CartesianGrid.of(dims, periods)
        if grid.size > size:
            raise wrong("ERR_DIMS", f"dims {list(grid.dims)} need {grid.size} ranks, there are {size}; "
                                    "MPI.Compute_dims(size, ndims) finds some that fit")
        return self._with(grid, range(grid.size))

    def Create_graph(self, index: Sequence[int], edges: Sequence[int], reorder: bool = False) -> Any:
        """Make a communicator whose ranks form a graph. Each rank passes the whole graph. Ranks that are not
        in the graph get COMM_NULL.
        """
        size, graph = self.Get_size(), Graph.of(index, edges)
        if graph.size > size:
            raise wrong("ERR_ARG", f"the graph has {graph.size} ranks, the communicator {size}")
        return self._with(graph, range(graph.size))

    def Create_dist_graph_adjacent(self, sources: Sequence[int] | None, destinations: Sequence[int] | None,
                                   sourceweights: Any = None, destweights: Any = None, info: Any = None,
                                   reorder: bool = False) -> Any:
        """Make a communicator whose ranks form a graph. Each rank passes its own incoming and outgoing edges.
        """
        size = self.Get_size()
        return self._with(adjacent(sources, destinations, sourceweights, destweights, size), range(size))

    def Create_dist_graph(self, sources: Sequence[int], degrees: Sequence[int], destinations: Sequence[int],
                          weights: Any = None, info: Any = None, reorder: bool = False) -> Any:
        """Make a communicator whose ranks form a graph. Each rank may pass any edges. degrees: the number of
        edges from each source.
        """
        size = self.Get_size()
        all_edges = self.allgather(edges_of(sources, degrees, destinations, weights))
        weighted = any(with_weights for edges, with_weights in all_edges)
        edges = [edge for edges, _ in all_edges for edge in edges]
        if bad := [edge[:2] for edge in edges if not (0 <= edge[0] < size and 0 <= edge[1] < size)]:
            raise wrong("ERR_RANK", f"edges {bad} name ranks outside the group, which has {size}")
        return self._with(part_of(edges, self.Get_rank(), weighted), range(size))

    def _with(self, topology: Any, ranks: Sequence[int]) -> Any:
        """Returns a communicator of these ranks with this topology; COMM_NULL on the other ranks."""
        context, kind = self._enter(), TOPOLOGIES[type(topology)]
        part = context.comm.subgroup(list(ranks) if context.comm.rank in ranks else [])
        return kind.null() if part is None else kind.of(context.rank, part, topology=topology)

    def Cart_map(self, dims: Sequence[int] | int, periods: Sequence[bool] | bool | None = None) -> int:
        """Returns the rank that Create_cart would give this process. Returns UNDEFINED if this process would
        not be in the grid.
        """
        return self._rank_among(CartesianGrid.of(dims, periods).size)

    def Graph_map(self, index: Sequence[int], edges: Sequence[int]) -> int:
        """Returns the rank that Create_graph would give this process. Returns UNDEFINED if this process would
        not be in the graph.
        """
        return self._rank_among(Graph.of(index, edges).size)

    def _rank_among(self, size: int) -> int:
        return self.Get_rank() if self.Get_rank() < size else c.UNDEFINED


# class of a topology -> class of its communicator; topologies.py fills this dictionary
TOPOLOGIES: dict[type, type[Comm]] = {}


class Intercomm(Comm):
    """A class of mpi4py that minipar does not offer. The name exists only for isinstance."""


def Compute_dims(nnodes: int, dims: int | Sequence[int]) -> list[int]:
    """Returns the sizes of a grid of `nnodes` ranks, as equal as possible. dims: the number of directions, or
    a list of sizes. Zeros in the list are replaced.
    """
    return even_dims(nnodes, [0] * dims if isinstance(dims, int) else list(dims))
