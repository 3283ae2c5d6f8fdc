"""The communicators with a topology: MPI.Cartcomm, MPI.Graphcomm and MPI.Distgraphcomm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minipar.mpi4py_face.cartesian import CartesianGrid
from minipar.mpi4py_face.communicators import TOPOLOGIES, Comm, Intracomm
from minipar.mpi4py_face.exceptions import wrong
from minipar.mpi4py_face.graphs import DistGraph, Graph
from minipar.mpi4py_face.neighbourhoods import NeighbourCollectives


class Topocomm(NeighbourCollectives, Intracomm):
    """A communicator whose ranks have neighbours."""

    def __new__(cls, comm: Comm | None = None) -> Any:
        if comm and not isinstance(comm, cls):
            raise TypeError(f"expecting a {cls.__name__}, not {type(comm).__name__}")
        return super().__new__(cls, comm)

    inedges = property(lambda self: self._edges()[0])
    outedges = property(lambda self: self._edges()[1])
    indegree = property(lambda self: len(self.inedges))
    outdegree = property(lambda self: len(self.outedges))
    inoutedges = property(lambda self: (self.inedges, self.outedges))
    degrees = property(lambda self: (self.indegree, self.outdegree))


class Cartcomm(Topocomm):
    """A communicator whose ranks form a grid."""

    def _grid(self) -> CartesianGrid:
        grid: CartesianGrid | None = self._enter().topology
        if grid is None:
            raise wrong("ERR_TOPOLOGY", "the communicator has no grid; make one with Create_cart")
        return grid

    def Get_dim(self) -> int:
        return len(self._grid().dims)

    dim = ndim = property(Get_dim)

    def Get_topo(self) -> tuple[list[int], list[int], list[int]]:
        """Returns (dims, periods, coordinates of this rank)."""
        grid = self._grid()
        return list(grid.dims), [int(period) for period in grid.periods], self.coords

    topo = property(Get_topo)
    dims = property(lambda self: list(self._grid().dims))
    periods = property(lambda self: [int(period) for period in self._grid().periods])

    @property
    def coords(self) -> list[int]:
        return self.Get_coords(self.Get_rank())

    def Get_coords(self, rank: int) -> list[int]:
        if not 0 <= rank < self.Get_size():
            raise wrong("ERR_RANK", f"rank {rank}, but the grid has ranks 0 to {self.Get_size() - 1}")
        return self._grid().coords(rank)

    def Get_cart_rank(self, coords: Sequence[int] | int) -> int:
        return self._grid().rank(coords)

    def Shift(self, direction: int, disp: int) -> tuple[int, int]:
        """Returns (source, dest) of a shift by `disp` along a direction. If a rank would be outside the grid,
        in a direction that is not periodic, it is PROC_NULL.
        """
        return self._grid().shift(self.Get_rank(), direction, disp)

    def Sub(self, remain_dims: Sequence[bool] | bool) -> Cartcomm:
        """Returns the part of the grid that contains this rank. remain_dims: for each direction, whether the
        part keeps it.
        """
        grid, context = self._grid(), self._enter()
        color, key, rest = grid.sub(context.comm.rank, remain_dims)
        part = context.comm.split(color, key)
        assert part is not None
        made: Cartcomm = Cartcomm.of(context.rank, part, topology=rest)
        return made


class Graphcomm(Topocomm):
    """A communicator with a graph. Every rank has all edges of the graph."""

    def _graph(self) -> Graph:
        graph: Graph = self._enter().topology
        return graph

    def Get_dims(self) -> tuple[int, int]:
        """Returns (number of ranks, number of edges)."""
        return self._graph().size, len(self._graph().edges)

    dims = property(Get_dims)
    nnodes = property(lambda self: self._graph().size)
    nedges = property(lambda self: len(self._graph().edges))

    def Get_topo(self) -> tuple[list[int], list[int]]:
        """Returns (index, edges)."""
        return list(self._graph().index), list(self._graph().edges)

    topo = property(Get_topo)
    index = property(lambda self: list(self._graph().index))
    edges = property(lambda self: list(self._graph().edges))

    def Get_neighbors(self, rank: int) -> list[int]:
        if not 0 <= rank < self._graph().size:
            raise wrong("ERR_RANK", f"rank {rank}, but the graph has ranks 0 to {self._graph().size - 1}")
        return self._graph().neighbours(rank)

    def Get_neighbors_count(self, rank: int) -> int:
        return len(self.Get_neighbors(rank))

    neighbors = property(lambda self: self.Get_neighbors(self.Get_rank()))
    nneighbors = property(lambda self: len(self.neighbors))


class Distgraphcomm(Topocomm):
    """A communicator with a graph. Each rank has only its own edges of the graph."""

    def Get_dist_neighbors_count(self) -> tuple[int, int, bool]:
        """Returns (number of ranks that send to this rank, number of ranks to which it sends, whether the
        edges have weights).
        """
        graph: DistGraph = self._enter().topology
        return len(graph.incoming), len(graph.outgoing), graph.weights is not None

    def Get_dist_neighbors(self) -> tuple[list[int], list[int], tuple[list[int], list[int]] | None]:
        """Returns (sources, destinations, weights of both, or None for a graph without weights)."""
        graph: DistGraph = self._enter().topology
        weights = None if graph.weights is None else (list(graph.weights[0]), list(graph.weights[1]))
        return list(graph.incoming), list(graph.outgoing), weights


TOPOLOGIES.update({CartesianGrid: Cartcomm, Graph: Graphcomm, DistGraph: Distgraphcomm})
